"""What offices and auditors list: events, alarms, sources, held messages; all of it read-only.

Rows are told as tuples; nothing here opens what is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, func, or_, select, tuple_
from sqlmodel import Session

from gateway.store import log_tables, tables
from gateway.store.statements import Statement

_source = tables.Source.__table__  # type: ignore[attr-defined]
_inbox = tables.Inbox.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]
_event = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]
_leaf = log_tables.LogLeaf.__table__  # type: ignore[attr-defined]
_alarm = tables.Alarm.__table__  # type: ignore[attr-defined]
_directive = tables.Directive.__table__  # type: ignore[attr-defined]
_chart = tables.Chart.__table__  # type: ignore[attr-defined]

FEEDS = Statement(
    select(_source.c.name, _source.c.organization, _source.c.state, _source.c.last_at).order_by(
        _source.c.name
    )
)
"""(name, organisation, state, µs of the last arrival or 0) of every source."""
WAITING = Statement(
    select(_inbox.c.source, func.min(_inbox.c.arrived))
    .where(_inbox.c.state == "waiting")
    .group_by(_inbox.c.source)
)
"""(source, µs of its oldest message that waits to be read)."""
HELD_COUNTS = Statement(
    select(_inbox.c.source, func.count(), func.min(_inbox.c.arrived))
    .where(_inbox.c.state == "quarantined")
    .group_by(_inbox.c.source)
)
"""(source, how many messages are held back, µs of the oldest one's arrival)."""
RECEIVED = Statement(
    select(_inbox.c.source, _inbox.c.arrived)
    .join(_record, _record.c.inbox == _inbox.c.id)
    .where(_record.c.id == bindparam("id"), _record.c.current == 1),
    "id",
)
"""(source, µs of arrival) of the raw message a record's current version came from."""
HELD_ONE = Statement(
    select(_inbox.c.source, _inbox.c.state).where(_inbox.c.id == bindparam("id")), "id"
)


# The access log.


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which events; empty fields do not narrow. `tags` None is everybody; times are µs UTC."""

    tags: tuple[str, ...] | None = None
    actors: tuple[str, ...] | None = None  # logins or clients
    organization: str = ""
    kind: str = ""
    outcome: str = ""
    since: int | None = None
    until: int | None = None


class EventRow(NamedTuple):
    """An event's clear columns, its place in the log, and its sealed body."""

    writer: str
    counter: int
    at: int
    kind: str
    outcome: str
    actor: str
    client: str
    organization: str
    purpose: str
    charts: str
    body_owner: str
    sealed: bytes | None
    number: int | None


class Events(NamedTuple):
    """A page of events, newest first, and how many there are in all."""

    rows: tuple[EventRow, ...]
    total: int


def events(session: Session, narrow: Narrow, first: int, most: int) -> Events:
    """`most` events from the `first`-th, newest first; those that only vouch for rows when asked for."""
    where = and_(True, *_tests(narrow))
    total = session.execute(select(func.count()).select_from(_event).where(where)).scalar_one()
    found = session.execute(
        select(*(_event.c[name] for name in EventRow._fields[:-1]))
        .where(where)
        .order_by(_event.c.at.desc(), _event.c.writer.desc(), _event.c.counter.desc())
        .offset(first)
        .limit(most)
    ).all()
    numbers = _numbers(session, [(row[0], row[1]) for row in found])
    return Events(
        tuple(EventRow._make((*row, numbers.get((row[0], row[1])))) for row in found), total
    )


def directives(session: Session) -> dict[str, tuple[int, bool]]:
    """(version, active) of every consent that decisions read."""
    rows = session.execute(select(_directive.c.id, _directive.c.version, _directive.c.active))
    return {row[0]: (row[1], bool(row[2])) for row in rows}


def _tests(narrow: Narrow) -> list[Any]:
    tests: list[Any] = [
        _event.c[name] == wanted
        for name in ("organization", "kind", "outcome")
        if (wanted := getattr(narrow, name))
    ]
    if not narrow.kind:
        tests.append(_event.c.kind != "vouched")
    if narrow.tags is not None:
        # Tags are hexadecimal and of one length, so one cannot be part of another.
        tests.append(or_(False, *(_event.c.charts.contains(tag) for tag in narrow.tags)))
    if narrow.actors is not None:
        tests.append(or_(_event.c.actor.in_(narrow.actors), _event.c.client.in_(narrow.actors)))
    if narrow.since is not None:
        tests.append(_event.c.at >= narrow.since)
    if narrow.until is not None:
        tests.append(_event.c.at < narrow.until)
    return tests


def _numbers(session: Session, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    if not places:
        return {}
    asked: Select[Any] = select(_leaf.c.writer, _leaf.c.counter, _leaf.c.number).where(
        tuple_(_leaf.c.writer, _leaf.c.counter).in_(places)
    )
    return {(writer, counter): number for writer, counter, number in session.execute(asked)}


def event_at(session: Session, number: int) -> EventRow | None:
    """The event at a place in the log."""
    asked: Select[Any] = (
        select(*(_event.c[name] for name in EventRow._fields[:-1]), _leaf.c.number)
        .join(_leaf, (_leaf.c.writer == _event.c.writer) & (_leaf.c.counter == _event.c.counter))
        .where(_leaf.c.number == number)
    )
    found = session.execute(asked).first()
    return EventRow._make(found) if found else None


def event_kinds(session: Session) -> tuple[str, ...]:
    """The kinds that occur."""
    return tuple(
        session.execute(select(_event.c.kind).distinct().order_by(_event.c.kind)).scalars()
    )


def persons(session: Session, charts: Sequence[str]) -> dict[str, str]:
    """The person each chart belongs to now."""
    asked = select(_chart.c.id, _chart.c.person).where(_chart.c.id.in_(charts))
    return {row.id: row.person for row in session.execute(asked)}


# Alarms.


class AlarmRow(NamedTuple):
    """An alarm and the organisation it concerns: its source's, or `source` where that is one."""

    kind: str
    source: str
    about: str
    at: int
    settled: int
    organization: str
    id: int


_whose = func.coalesce(_source.c.organization, _alarm.c.source)
_ALARMS = select(
    _alarm.c.kind, _alarm.c.source, _alarm.c.about, _alarm.c.at, _alarm.c.settled, _whose,
    _alarm.c.id,
).select_from(_alarm.outerjoin(_source, _source.c.name == _alarm.c.source))  # fmt: skip
ALARM = Statement(_ALARMS.where(_alarm.c.id == bindparam("id")), "id")


def alarms(session: Session, organization: str, most: int) -> tuple[AlarmRow, ...]:
    """The newest alarms of an organisation, or of all when it is empty; settled ones come last."""
    asked = _ALARMS.order_by(_alarm.c.settled != 0, _alarm.c.at.desc(), _alarm.c.id.desc()).limit(
        most
    )
    if organization:
        asked = asked.where(_whose == organization)
    return tuple(AlarmRow(*row) for row in session.execute(asked))


def event_before(
    session: Session, kind: str, organization: str, charts: str, at: int
) -> EventRow | None:
    """The last such event about exactly these charts up to a moment."""
    row = session.execute(
        select(*(_event.c[name] for name in EventRow._fields[:-1]))
        .where(
            _event.c.kind == kind,
            _event.c.organization == organization,
            _event.c.charts == charts,
            _event.c.at <= at,
        )
        .order_by(_event.c.at.desc(), _event.c.counter.desc())
        .limit(1)
    ).first()
    return EventRow._make((*row, None)) if row else None


# Messages.


class HeldRow(NamedTuple):
    """A message in quarantine; `issues` as the inbox keeps them."""

    id: str
    source: str
    arrived: int
    size: int
    arrivals: int
    issues: str


def held(session: Session, sources: Sequence[str], most: int) -> tuple[HeldRow, ...]:
    """Messages of these sources in quarantine, oldest first."""
    asked = (
        select(*(_inbox.c[name] for name in HeldRow._fields))
        .where(_inbox.c.state == "quarantined", _inbox.c.source.in_(sources))
        .order_by(_inbox.c.arrived, _inbox.c.id)
        .limit(most)
    )
    return tuple(HeldRow(*row) for row in session.execute(asked))


def with_issues(
    session: Session, sources: Sequence[str], most: int
) -> tuple[tuple[str, str, int], ...]:
    """(source, issues, µs of arrival) of the newest messages of these sources that have any."""
    asked = (
        select(_inbox.c.source, _inbox.c.issues, _inbox.c.arrived)
        .where(_inbox.c.issues != "", _inbox.c.source.in_(sources))
        .order_by(_inbox.c.arrived.desc())
        .limit(most)
    )
    return tuple((source, issues, arrived) for source, issues, arrived in session.execute(asked))


def accesses_by_organization(session: Session, since: int, until: int) -> dict[str, int]:
    """How often somebody of each organisation looked at a person's records between two instants."""
    found = session.execute(
        select(_event.c.organization, func.count())
        .where(
            _event.c.kind.in_(("read", "search", "everything")),
            _event.c.outcome == "permit",
            _event.c.actor != "",
            _event.c.at >= since,
            _event.c.at < until,
        )
        .group_by(_event.c.organization)
    )
    return {row[0]: int(row[1]) for row in found}
