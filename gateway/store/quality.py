"""Statements on data quality: what detectors found, and which raw messages a scan reads."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.statements import Statement, any_of

_quality = tables.Quality.__table__  # type: ignore[attr-defined]
_inbox = tables.Inbox.__table__  # type: ignore[attr-defined]
_source = tables.Source.__table__  # type: ignore[attr-defined]
_alarm = tables.Alarm.__table__  # type: ignore[attr-defined]


class Row(NamedTuple):
    """How often a detector struck on a day; `detail` is JSON, counts by place."""

    source: str
    day: str
    detector: str
    seen: int
    struck: int
    detail: str


_COLUMNS = tuple(_quality.c[name] for name in Row._fields)
_ONE = (
    _quality.c.source == bindparam("source_"),
    _quality.c.day == bindparam("day_"),
    _quality.c.detector == bindparam("detector_"),
)

SINCE = Statement(
    select(*_COLUMNS)
    .where(any_of(_quality.c.source, "sources"), _quality.c.day >= bindparam("since"))
    .order_by(_quality.c.source, _quality.c.detector, _quality.c.day),
    "sources",
    "since",
    lists=("sources",),
)
BY_ORGANIZATION = Statement(
    select(
        _source.c.organization,
        _source.c.name,
        func.sum(_quality.c.seen),
        func.sum(_quality.c.struck),
    )
    .select_from(_quality.join(_source, _source.c.name == _quality.c.source))
    .where(_quality.c.detector == bindparam("detector"), _quality.c.day >= bindparam("since"))
    .group_by(_source.c.organization, _source.c.name),
    "detector",
    "since",
)
"""(organisation, source, seen, struck) of one detector since a day."""
OTHERS = Statement(select(_quality.c.source).distinct().order_by(_quality.c.source))
"""Everybody something was counted for: sources, clients that were refused, the gateway itself."""
PUT = Statement(insert(_quality).values(**binds(_quality)), *(c.name for c in _quality.columns))
DROP = Statement(
    delete(_quality).where(
        _quality.c.source == bindparam("source_"),
        _quality.c.day >= bindparam("since_"),
        any_of(_quality.c.detector, "detectors_"),
    ),
    "source_",
    "since_",
    "detectors_",
    lists=("detectors_",),
)
BEGIN = Statement(insert_or_leave(_quality).values(**binds(_quality)), *_quality.columns.keys())
ADD = Statement(
    update(_quality)
    .where(*_ONE)
    .values(
        seen=_quality.c.seen + bindparam("seen_"), struck=_quality.c.struck + bindparam("struck_")
    )
    .returning(_quality.c.seen, _quality.c.struck),
    "source_",
    "day_",
    "detector_",
    "seen_",
    "struck_",
)
SET = Statement(
    update(_quality)
    .where(*_ONE)
    .values(seen=bindparam("seen_"), struck=bindparam("struck_"), detail=bindparam("detail_")),
    "source_",
    "day_",
    "detector_",
    "seen_",
    "struck_",
    "detail_",
)

TO_SCAN = Statement(
    select(_inbox.c.id, _inbox.c.arrived)
    .where(
        _inbox.c.source == bindparam("source"),
        _inbox.c.day >= bindparam("since"),
        _inbox.c.state != "waiting",
    )
    .order_by(_inbox.c.id)
    .limit(bindparam("most")),
    "source",
    "since",
    "most",
)
"""Messages in the order of their ids, which are random: the first so many are a fair sample."""
BY_DAY = Statement(
    select(
        _inbox.c.day,
        func.count(),
        func.count().filter(func.length(_inbox.c.control) > 0),
    )
    .where(_inbox.c.source == bindparam("source"), _inbox.c.day >= bindparam("since"))
    .group_by(_inbox.c.day)
    .order_by(_inbox.c.day),
    "source",
    "since",
)
"""(day, messages kept, messages with a control id)."""
HELD_BY_DAY = Statement(
    select(_inbox.c.day, _inbox.c.issues).where(
        _inbox.c.source == bindparam("source"),
        _inbox.c.day >= bindparam("since"),
        _inbox.c.state == "quarantined",
    ),
    "source",
    "since",
)
REUSED_IDS = Statement(
    select(_inbox.c.day, func.count())
    .select_from(_alarm.join(_inbox, _inbox.c.id == _alarm.c.about))
    .where(
        _alarm.c.kind == "control-id-reused",
        _alarm.c.source == bindparam("source"),
        _inbox.c.day >= bindparam("since"),
    )
    .group_by(_inbox.c.day),
    "source",
    "since",
)
UNSETTLED = Statement(
    select(_alarm.c.id)
    .where(
        _alarm.c.kind == bindparam("kind"),
        _alarm.c.source == bindparam("source"),
        _alarm.c.settled == 0,
    )
    .limit(1),
    "kind",
    "source",
)
