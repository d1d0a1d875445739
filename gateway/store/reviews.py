"""What was answered about pairs of folders that may be one person's, and which pairs are open."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, or_, select

from gateway.store import recognition_tables, tables
from gateway.store.charts import binds
from gateway.store.links import CONTRADICTED, POSSIBLE, Link
from gateway.store.statements import Statement, any_of

_review = recognition_tables.IdentityReview.__table__  # type: ignore[attr-defined]
_link = tables.Link.__table__  # type: ignore[attr-defined]
_chart = tables.Chart.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]


class ReviewRow(NamedTuple):
    """One answer; `at` is µs UTC."""

    id: int
    link: int
    answer: str
    before: str
    organization: str
    login: str
    at: int
    sealed: bytes


_ROW = tuple(_review.c[name] for name in ReviewRow._fields)
_LINK = tuple(_link.c[name] for name in Link._fields)

ADD = Statement(
    insert(_review).values(**binds(_review, "id")),
    *(c.name for c in _review.columns if c.name != "id"),
)
OPEN = Statement(
    select(*_LINK)
    .where(
        or_(
            _link.c.revoked_by == CONTRADICTED,
            _link.c.revoked_by == POSSIBLE,
            (_link.c.revoked == 0) & (_link.c.confirmed == 0),
        )
    )
    .order_by(_link.c.at, _link.c.id)
)
"""The pairs nobody has settled, oldest first; what was answered of them is in `NEWEST`."""
PAIR = Statement(select(*_LINK).where(_link.c.id == bindparam("id")), "id")
_last = select(func.max(_review.c.id)).group_by(_review.c.link)
NEWEST = Statement(select(*_ROW).where(_review.c.id.in_(_last)).order_by(_review.c.id.desc()))
"""The newest answer of each pair that has one, newest first."""
OF = Statement(
    select(*_ROW).where(_review.c.link == bindparam("link")).order_by(_review.c.id.desc()), "link"
)
"""Every answer about a pair, newest first."""
HELD = Statement(
    select(_chart.c.id, _chart.c.created, func.count(_record.c.id), func.max(_record.c.filed))
    .select_from(
        _chart.outerjoin(_record, (_record.c.chart == _chart.c.id) & (_record.c.current == 1))
    )
    .where(any_of(_chart.c.id, "charts"))
    .group_by(_chart.c.id, _chart.c.created),
    "charts",
    lists=("charts",),
)
"""(chart, opened, records that stand in it, the newest's filing) of charts, times µs UTC."""
