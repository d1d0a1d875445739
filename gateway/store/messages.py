"""Statements of the message monitor: counts, a page of messages, one message and what stands of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, cast, func, or_, select
from sqlmodel import Session

from gateway.store import tables
from gateway.store.statements import Statement

_inbox = tables.Inbox.__table__  # type: ignore[attr-defined]
_job = tables.Job.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which messages; times of arrival are µs UTC (`until` not included), empty fields do not narrow.

    `state` is waiting, retry (waiting after a failed try), filed, quarantined or repeated (arrived
    more than once); `issue` is a code, `kind` a word of `message_kinds`.
    """

    sources: tuple[str, ...]
    since: int = 0
    until: int = 0
    state: str = ""
    issue: str = ""
    kind: str = ""


class MessageRow(NamedTuple):
    """A kept message without its content; times are µs UTC, 0: not yet."""

    id: str
    source: str
    state: str
    size: int
    arrivals: int
    issues: str
    release: str
    arrived: int
    settled: int
    tries: int
    due: int
    kind: str


class CountRow(NamedTuple):
    """How many messages of a source are where. `repeats` are arrivals of what was already here."""

    source: str
    messages: int
    filed: int
    quarantined: int
    waiting: int
    retry: int
    repeats: int


_JOINED = _inbox.outerjoin(_job, and_(_job.c.kind == "file", _job.c.key == _inbox.c.id))
_ROW = (
    _inbox.c.id, _inbox.c.source, _inbox.c.state, _inbox.c.size, _inbox.c.arrivals,
    _inbox.c.issues, _inbox.c.release, _inbox.c.arrived, _inbox.c.settled,
    func.coalesce(_job.c.attempts, 0), func.coalesce(_job.c.due, 0),
    _inbox.c.kind,
)  # fmt: skip
# Tried before and put off: one that is being tried for the first time is leased.
_RETRY = and_(_inbox.c.state == "waiting", _job.c.attempts > 0, _job.c.leased == 0)
ONE = Statement(
    select(*_ROW).select_from(_JOINED).where(_inbox.c.id == bindparam("id")),
    "id",
)
OF_MESSAGE = Statement(
    select(
        _record.c.id, _record.c.version, _record.c.tier, _record.c.head, _record.c.current
    ).where(
        _record.c.bucket == bindparam("bucket"),
        _record.c.chart == bindparam("chart"),
        _record.c.inbox == bindparam("inbox"),
    ),
    "bucket",
    "chart",
    "inbox",
)
"""(id, version, tier, sealed head, current) of the versions that a message wrote in a chart."""


def counts(session: Session, narrow: Narrow) -> Sequence[CountRow]:
    """What arrived in the window, by source; state, issue and kind do not narrow it."""
    where = _tests(Narrow(narrow.sources, narrow.since, narrow.until))
    rows = session.execute(
        select(
            _inbox.c.source,
            func.count(),
            func.count().filter(_inbox.c.state == "filed"),
            func.count().filter(_inbox.c.state == "quarantined"),
            func.count().filter(_inbox.c.state == "waiting"),
            func.count().filter(_RETRY),
            cast(func.sum(_inbox.c.arrivals - 1), BigInteger),
        )
        .select_from(_JOINED)
        .where(*where)
        .group_by(_inbox.c.source)
        .order_by(_inbox.c.source)
    )
    return [CountRow(*row) for row in rows]


def page(
    session: Session, narrow: Narrow, first: int, most: int
) -> tuple[Sequence[MessageRow], int]:
    """`most` messages from the `first`-th, newest first, and how many there are."""
    where = _tests(narrow)
    total = session.execute(select(func.count()).select_from(_JOINED).where(*where)).scalar_one()
    rows = session.execute(
        select(*_ROW)
        .select_from(_JOINED)
        .where(*where)
        .order_by(_inbox.c.arrived.desc(), _inbox.c.id.desc())
        .offset(first)
        .limit(most)
    )
    return [MessageRow(*row) for row in rows], total


def _tests(narrow: Narrow) -> list[Any]:
    tests: list[Any] = [_inbox.c.source.in_(narrow.sources)]
    if narrow.since:
        tests.append(_inbox.c.arrived >= narrow.since)
    if narrow.until:
        tests.append(_inbox.c.arrived < narrow.until)
    match narrow.state:
        case "":
            pass
        case "retry":
            tests.append(_RETRY)
        case "repeated":
            tests.append(_inbox.c.arrivals > 1)
        case state:
            tests.append(_inbox.c.state == state)
    if narrow.kind:
        tests.append(_inbox.c.kind == narrow.kind)
    if narrow.issue:
        code = narrow.issue
        tests.append(or_(*(_inbox.c.issues.contains(one, autoescape=True) for one in _lines(code))))
    return tests


def _lines(code: str) -> tuple[str, ...]:
    """How an issue of that code begins in the column, whatever its severity (`filing.issues_text`)."""
    known = ("stop", "hold", "drop", "note", "alarm")
    return tuple(f'["{severity}", "{code}", ' for severity in known)
