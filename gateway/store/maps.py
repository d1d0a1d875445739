"""Statements on map releases and replays: what runs, what was proposed, what is being read again."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, or_, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.statements import Statement, exclusive

_release = tables.MapRelease.__table__  # type: ignore[attr-defined]
_replay = tables.Replay.__table__  # type: ignore[attr-defined]
_inbox = tables.Inbox.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]
_job = tables.Job.__table__  # type: ignore[attr-defined]
_met = tables.UnmappedMessage.__table__  # type: ignore[attr-defined]

# Releases.


class ReleaseRow(NamedTuple):
    """A release without its files; times are µs UTC, 0 is never."""

    number: int
    site: str
    hash: str
    state: str  # proposed | in-force | retired | refused
    note: str
    report: str
    proposed_by: str
    proposed_at: int
    decided_by: str
    decided_at: int
    since: int
    until: int


_ROW = tuple(_release.c[name] for name in ReleaseRow._fields)

IN_FORCE = Statement(
    select(_release.c.number)
    .where(_release.c.site == bindparam("site"), _release.c.state == "in-force")
    .order_by(_release.c.since.desc(), _release.c.number.desc())
    .limit(1),
    "site",
)
"""The number of the release that runs: read before every message."""
READ_BY = Statement(
    select(_release.c.engine).where(_release.c.number == bindparam("number")), "number"
)
FILES = Statement(
    select(_release.c.site, _release.c.hash, _release.c.files).where(
        _release.c.number == bindparam("number")
    ),
    "number",
)
RELEASE = Statement(select(*_ROW).where(_release.c.number == bindparam("number")), "number")
RELEASES = Statement(
    select(*_ROW).where(_release.c.site == bindparam("site")).order_by(_release.c.number), "site"
)
BY_HASH = Statement(
    select(*_ROW).where(_release.c.site == bindparam("site"), _release.c.hash == bindparam("hash")),
    "site",
    "hash",
)
HOLD_SITE = Statement(select(exclusive("name")), "name")
"""Waits until no other transaction decides about this site."""
ADD_RELEASE = Statement(
    insert(_release).values(**binds(_release, "number")).returning(_release.c.number),
    *(c.name for c in _release.columns if c.name != "number"),
)
PROPOSE_AGAIN = Statement(
    update(_release)
    .where(_release.c.number == bindparam("number_"), _release.c.state == "refused")
    .values(
        state="proposed",
        note=bindparam("note_"),
        report="",
        proposed_by=bindparam("by_"),
        proposed_at=bindparam("at_"),
        decided_by="",
        decided_at=0,
    ),
    "number_",
    "note_",
    "by_",
    "at_",
)
REPORT = Statement(
    update(_release)
    .where(_release.c.number == bindparam("number_"), _release.c.state == "proposed")
    .values(report=bindparam("report_")),
    "number_",
    "report_",
)
RETIRE = Statement(
    update(_release)
    .where(_release.c.site == bindparam("site_"), _release.c.state == "in-force")
    .values(state="retired", until=bindparam("at_")),
    "site_",
    "at_",
)
DECIDE = Statement(
    update(_release)
    .where(_release.c.number == bindparam("number_"))
    .values(
        state=bindparam("state_"),
        decided_by=bindparam("by_"),
        decided_at=bindparam("at_"),
        since=bindparam("since_"),
        until=0,
    ),
    "number_",
    "state_",
    "by_",
    "at_",
    "since_",
)

# What was kept.


class KeptRow(NamedTuple):
    """A kept raw message, in order of arrival."""

    id: str
    source: str
    day: str
    sealed: bytes
    wrap: bytes
    owner: str
    owner_tier: int
    state: str
    issues: str
    release: str
    arrived: int


_KEPT = tuple(_inbox.c[name] for name in KeptRow._fields)


def _chosen() -> tuple[object, ...]:
    """Messages of a source that arrived in a window, after a position in their order."""
    return (
        _inbox.c.source == bindparam("source"),
        _inbox.c.arrived >= bindparam("since"),
        _inbox.c.arrived < bindparam("until"),
        or_(
            _inbox.c.arrived > bindparam("position"),
            (_inbox.c.arrived == bindparam("position")) & (_inbox.c.id > bindparam("after")),
        ),
        or_(
            bindparam("unmapped") == 0,
            _inbox.c.id.in_(select(_met.c.inbox).where(_met.c.unmapped == bindparam("unmapped"))),
        ),
    )


KEPT = Statement(
    select(*_KEPT)
    .where(*_chosen())  # type: ignore[arg-type]
    .order_by(_inbox.c.arrived, _inbox.c.id)
    .limit(bindparam("most")),
    "source",
    "since",
    "until",
    "position",
    "after",
    "unmapped",
    "most",
)
"""Kept messages of one source from a place in their order of arrival on."""
STRAGGLERS = Statement(
    select(*_KEPT)
    .where(
        _inbox.c.source == bindparam("source"),
        _inbox.c.arrived < bindparam("until"),
        _inbox.c.settled >= bindparam("begun"),
        _inbox.c.release != bindparam("release"),
        _inbox.c.state != "waiting",
    )
    .order_by(_inbox.c.arrived, _inbox.c.id)
    .limit(bindparam("most")),
    "source",
    "until",
    "begun",
    "release",
    "most",
)
"""Messages that were just being filed under another release when a replay began."""
COUNT_KEPT = Statement(
    select(func.count()).select_from(_inbox).where(*_chosen()),  # type: ignore[arg-type]
    "source",
    "since",
    "until",
    "position",
    "after",
    "unmapped",
)
NTH_NEWEST = Statement(
    select(_inbox.c.arrived)
    .where(
        _inbox.c.source == bindparam("source"),
        _inbox.c.arrived >= bindparam("since"),
        _inbox.c.arrived < bindparam("until"),
    )
    .order_by(_inbox.c.arrived.desc())
    .limit(1)
    .offset(bindparam("skipped")),
    "source",
    "since",
    "until",
    "skipped",
)
"""When the message arrived that is behind the `skipped` newest of a window."""
LINE = Statement(
    select(func.count())
    .select_from(_job)
    .where(_job.c.kind == "file", _job.c.due <= bindparam("now")),
    "now",
)
"""How many messages wait to be filed: live traffic, which goes first."""

# Replays.


class ReplayRow(NamedTuple):
    """A replay and how far it is."""

    id: int
    source: str
    release: int
    why: str
    asked_by: str
    asked_at: int
    from_at: int
    until_at: int
    unmapped: int
    kind: str
    issue: str
    position: int
    last: str
    total: int
    done: int
    changed: int
    dry: int
    state: str  # running | paused | done
    report: str
    ended: int


_REPLAY = tuple(_replay.c[name] for name in ReplayRow._fields)

ADD_REPLAY = Statement(
    insert(_replay).values(**binds(_replay, "id")).returning(_replay.c.id),
    *(c.name for c in _replay.columns if c.name != "id"),
)
REPLAY = Statement(select(*_REPLAY).where(_replay.c.id == bindparam("id")), "id")
REPLAYS = Statement(
    select(*_REPLAY).where(_replay.c.source == bindparam("source")).order_by(_replay.c.id), "source"
)
RUNNING = Statement(select(_replay.c.id).where(_replay.c.state == "running").order_by(_replay.c.id))
MOVE_ON = Statement(
    update(_replay)
    .where(_replay.c.id == bindparam("id_"))
    .values(
        position=bindparam("position_"),
        last=bindparam("last_"),
        done=bindparam("done_"),
        changed=bindparam("changed_"),
        state=bindparam("state_"),
        report=bindparam("report_"),
        ended=bindparam("ended_"),
    ),
    "id_",
    "position_",
    "last_",
    "done_",
    "changed_",
    "state_",
    "report_",
    "ended_",
)
SET_REPLAY_STATE = Statement(
    update(_replay)
    .where(_replay.c.id == bindparam("id_"), _replay.c.state != "done")
    .values(state=bindparam("state_")),
    "id_",
    "state_",
)
