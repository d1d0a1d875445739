"""Statements on the way in: raw messages, jobs, alarms, and the counts that must always agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.engine import Tx
from gateway.store.statements import Statement

_source = tables.Source.__table__  # type: ignore[attr-defined]
_inbox = tables.Inbox.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]
_job = tables.Job.__table__  # type: ignore[attr-defined]
_alarm = tables.Alarm.__table__  # type: ignore[attr-defined]


class SourceRow(NamedTuple):
    """A declared source."""

    name: str
    organization: str
    map: str
    keep: str
    state: str
    facility: str
    certificate: str
    client: str


_SOURCE = tuple(_source.c[name] for name in SourceRow._fields)

SOURCE = Statement(select(*_SOURCE).where(_source.c.name == bindparam("name")), "name")
SOURCE_OF_CLIENT = Statement(
    select(_source.c.name).where(_source.c.client == bindparam("client")).order_by(_source.c.name),
    "client",
)
SOURCES = Statement(select(*_SOURCE).order_by(_source.c.name))
SOURCES_OF_MAP = Statement(
    select(*_SOURCE).where(_source.c.map == bindparam("map")).order_by(_source.c.name), "map"
)
PUT_SOURCE = Statement(insert(_source).values(**binds(_source)), *(c.name for c in _source.columns))
SET_SOURCE = Statement(
    update(_source)
    .where(_source.c.name == bindparam("name_"))
    .values(
        map=bindparam("map_"),
        facility=bindparam("facility_"),
        certificate=bindparam("certificate_"),
        client=bindparam("client_"),
    ),
    "name_",
    "map_",
    "facility_",
    "certificate_",
    "client_",
)
CERTIFICATE_ENDS = Statement(
    update(_source)
    .where(_source.c.name == bindparam("name_"), _source.c.certificate_ends != bindparam("ends_"))
    .values(certificate_ends=bindparam("ends_")),
    "name_",
    "ends_",
)
"""When the client certificate that a source showed ends (µs UTC); written when it is another."""
CERTIFICATES = Statement(
    select(
        _source.c.name, _source.c.organization, _source.c.certificate, _source.c.certificate_ends
    )
    .where(_source.c.certificate != "")
    .order_by(_source.c.name)
)
"""(name, organisation, fingerprint, end in µs UTC or 0) of the sources known by a certificate."""
SET_SOURCE_STATE = Statement(
    update(_source).where(_source.c.name == bindparam("name_")).values(state=bindparam("state_")),
    "name_",
    "state_",
)
COUNT_ARRIVAL = Statement(
    update(_source)
    .where(_source.c.name == bindparam("name_"))
    .values(received=_source.c.received + bindparam("count_"), last_at=bindparam("at_")),
    "name_",
    "count_",
    "at_",
)

SAME_BYTES = Statement(
    select(_inbox.c.id, _inbox.c.state).where(
        _inbox.c.source == bindparam("source"), _inbox.c.digest == bindparam("digest")
    ),
    "source",
    "digest",
)
SAME_CONTROL = Statement(
    select(_inbox.c.id)
    .where(_inbox.c.source == bindparam("source"), _inbox.c.control == bindparam("control"))
    .limit(1),
    "source",
    "control",
)
KEEP = Statement(
    insert_or_leave(_inbox).values(**binds(_inbox)).returning(_inbox.c.id),
    *(c.name for c in _inbox.columns),
)
ARRIVED_AGAIN = Statement(
    update(_inbox).where(_inbox.c.id == bindparam("id_")).values(arrivals=_inbox.c.arrivals + 1),
    "id_",
)


class RawRow(NamedTuple):
    """A kept raw message."""

    id: str
    source: str
    day: str
    sealed: bytes
    wrap: bytes
    owner: str
    owner_tier: int
    state: str
    issues: str
    arrived: int


_RAW = tuple(_inbox.c[name] for name in RawRow._fields)
RAW = Statement(select(*_RAW).where(_inbox.c.id == bindparam("id")), "id")
ARRIVAL = Statement(select(_inbox.c.arrived).where(_inbox.c.id == bindparam("id")), "id")
ARRIVAL_OF = Statement(
    select(_inbox.c.arrived)
    .join(_record, _record.c.inbox == _inbox.c.id)
    .where(
        _record.c.bucket == bindparam("bucket"),
        _record.c.chart == bindparam("chart"),
        _record.c.seq == bindparam("seq"),
    ),
    "bucket",
    "chart",
    "seq",
)
"""When the message arrived that a record came from."""
SETTLE = Statement(
    update(_inbox)
    .where(_inbox.c.id == bindparam("id_"))
    .values(
        state=bindparam("state_"),
        wrap=bindparam("wrap_"),
        owner=bindparam("owner_"),
        owner_tier=bindparam("tier_"),
        issues=bindparam("issues_"),
        release=bindparam("release_"),
        settled=bindparam("at_"),
    ),
    "id_",
    "state_",
    "wrap_",
    "owner_",
    "tier_",
    "issues_",
    "release_",
    "at_",
)
REVIEW = Statement(
    update(_inbox)
    .where(
        _inbox.c.id == bindparam("id_"),
        _inbox.c.state == "quarantined",
        _inbox.c.issues == bindparam("had_"),
    )
    .values(state=bindparam("state_"), issues=bindparam("issues_"), settled=bindparam("at_"))
    .returning(_inbox.c.id),
    "id_",
    "had_",
    "state_",
    "issues_",
    "at_",
)
"""A person has looked at a held message that is still as it was when they looked."""
REOPEN = Statement(
    update(_inbox)
    .where(_inbox.c.id == bindparam("id_"), _inbox.c.state == "quarantined")
    .values(state="waiting")
    .returning(_inbox.c.source),
    "id_",
)
UNOWNED_DAYS = Statement(
    select(_inbox.c.source, _inbox.c.day)
    .where(_inbox.c.owner == "", _inbox.c.day < bindparam("before"))
    .distinct(),
    "before",
)
"""The sources and days, earlier than an ISO day, of messages that no chart's key holds yet."""
INBOX_IDS = Statement(
    select(_inbox.c.id)
    .where(_inbox.c.source == bindparam("source"), _inbox.c.state == bindparam("state"))
    .order_by(_inbox.c.arrived),
    "source",
    "state",
)
QUARANTINED = Statement(
    select(_inbox.c.id, _inbox.c.source, _inbox.c.issues, _inbox.c.arrived, _inbox.c.settled)
    .where(_inbox.c.state == "quarantined")
    .order_by(_inbox.c.settled.desc())
    .limit(bindparam("most")),
    "most",
)
ISSUES = Statement(
    select(_inbox.c.source, _inbox.c.issues).where(_inbox.c.issues != "").limit(bindparam("most")),
    "most",
)


class Tally(NamedTuple):
    """What came from a source. Received = filed + quarantined + waiting + duplicates, always."""

    name: str
    organization: str
    state: str
    received: int
    filed: int
    quarantined: int
    waiting: int
    duplicates: int
    last_at: int

    @property
    def agrees(self) -> bool:
        """The independent count of arrivals equals the sum of where they are."""
        return self.received == self.filed + self.quarantined + self.waiting + self.duplicates


def _in_state(state: str) -> object:
    return func.count().filter(_inbox.c.state == state)


TALLY = Statement(
    select(
        _source.c.name,
        _source.c.organization,
        _source.c.state,
        _source.c.received,
        _in_state("filed"),  # type: ignore[call-overload]
        _in_state("quarantined"),
        _in_state("waiting"),
        func.coalesce(func.sum(_inbox.c.arrivals - 1), 0),
        _source.c.last_at,
    )
    .select_from(_source.outerjoin(_inbox, _inbox.c.source == _source.c.name))
    .group_by(
        _source.c.name,
        _source.c.organization,
        _source.c.state,
        _source.c.received,
        _source.c.last_at,
    )
    .order_by(_source.c.name)
)

# Jobs.

ADD_JOB = Statement(
    insert_or_leave(_job).values(
        kind=bindparam("kind"), key=bindparam("key"), due=bindparam("due"), attempts=0, leased=0
    ),
    "kind",
    "key",
    "due",
)
LEASE_JOBS = Statement(
    update(_job)
    .where(
        _job.c.id.in_(
            select(_job.c.id)
            .where(
                _job.c.kind == bindparam("kind_"),
                _job.c.due <= bindparam("now_"),
                _job.c.leased <= bindparam("now_"),
            )
            .order_by(_job.c.due, _job.c.id)
            .limit(bindparam("most_"))
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
    )
    .values(leased=bindparam("until_"), attempts=_job.c.attempts + 1)
    .returning(_job.c.id, _job.c.key, _job.c.attempts),
    "kind_",
    "now_",
    "until_",
    "most_",
)
END_JOB = Statement(
    delete(_job).where(_job.c.kind == bindparam("kind_"), _job.c.key == bindparam("key_")),
    "kind_",
    "key_",
)
PUT_OFF_JOB = Statement(
    update(_job)
    .where(_job.c.kind == bindparam("kind_"), _job.c.key == bindparam("key_"))
    .values(due=bindparam("due_"), leased=0),
    "kind_",
    "key_",
    "due_",
)
JOBS_WAITING = Statement(
    select(func.count()).select_from(_job).where(_job.c.kind == bindparam("kind")), "kind"
)


def lease_jobs(tx: Tx, kind: str, now: int, until: int, most: int) -> Sequence[tuple[str, int]]:
    """(key, attempts) of due jobs, ours alone until `until` (µs)."""
    rows = sorted(tx.all(LEASE_JOBS, kind, now, until, most))
    return [(row[1], row[2]) for row in rows]


# Alarms.

ADD_ALARM = Statement(
    insert(_alarm).values(
        kind=bindparam("kind"),
        source=bindparam("source"),
        about=bindparam("about"),
        at=bindparam("at"),
        settled=0,
        settled_by="",
    ),
    "kind",
    "source",
    "about",
    "at",
)
ALARMS = Statement(
    select(
        _alarm.c.id, _alarm.c.kind, _alarm.c.source, _alarm.c.about, _alarm.c.at, _alarm.c.settled
    )
    .order_by(_alarm.c.at.desc(), _alarm.c.id.desc())
    .limit(bindparam("most")),
    "most",
)
ALARM_STANDS = Statement(
    select(_alarm.c.id)
    .where(
        _alarm.c.kind == bindparam("kind"),
        _alarm.c.about == bindparam("about"),
        _alarm.c.settled == 0,
    )
    .limit(1),
    "kind",
    "about",
)
SETTLE_ALARM = Statement(
    update(_alarm)
    .where(_alarm.c.id == bindparam("id_"), _alarm.c.settled == 0)
    .values(settled=bindparam("at_"), settled_by=bindparam("by_"))
    .returning(_alarm.c.id),
    "id_",
    "at_",
    "by_",
)
SETTLE_ALARMS = Statement(
    update(_alarm)
    .where(
        _alarm.c.kind == bindparam("kind_"),
        _alarm.c.about == bindparam("about_"),
        _alarm.c.settled == 0,
    )
    .values(settled=bindparam("at_"), settled_by=bindparam("by_")),
    "kind_",
    "about_",
    "at_",
    "by_",
)
