"""What the auditor asks: who looked at whom, what needs a look, and whether the log is whole.

Persons are told by short opaque names, the same for the same person; nothing clinical is opened.
The question itself is an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.audit.events import Body, Kind, Outcome
from gateway.audit.verify import Report
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.claims import SELF_CLAIM
from gateway.exchange.event_bodies import bodies
from gateway.exchange.patients import charts_of
from gateway.exchange.staff import called
from gateway.exchange.verification import verify_log
from gateway.identity.systems import RESIDENT_ID
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store import oversight as listed
from gateway.store.engine import Tx
from gateway.store.oversight import EventRow, Narrow

PAGE = 50
MOST_ALARMS = 200
COUNTYS = frozenset({"authority", ""})  # kinds of organisation; a door or a node has none
SHORT = 8  # hexadecimal digits of a person's name in the log


@dataclass(frozen=True, slots=True)
class Filter:
    """What the auditor asks for. `actor` is a login, a client or a person's name; `number` a
    resident ID; times are µs UTC, `until` not included."""

    number: str = ""
    actor: str = ""
    organization: str = ""
    kind: str = ""
    outcome: str = ""
    since: int | None = None
    until: int | None = None
    page: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """One event. `reason` is the caller's own words on a claim, or the code of a refusal.

    What stands in a body that can no longer be opened is empty.
    """

    number: int | None
    at: int
    kind: str
    outcome: str
    actor: str
    role: str
    organization: str
    purpose: str
    person: str
    shown: int | None
    reason: str
    claimed: bool


@dataclass(frozen=True, slots=True)
class Accesses:
    """A page of them, newest first."""

    rows: tuple[Access, ...]
    total: int
    more: bool
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something to look at; actor and words are of the person whose act caused it."""

    kind: str
    at: int
    organization: str
    source: str
    actor: str
    person: str
    words: str
    settled: int | None
    id: int
    mine: bool  # the caller may settle it


async def accesses(asked: Filter, caller: Caller, services: Services) -> Accesses:
    """A page of the log: the whole county's for the authority, else of the caller's organisation.

    One `audit-read` event, durable before the answer; it names the person when one was asked for.
    """
    _must_be("auditor", caller)
    charts: list[str] = []
    if asked.number:
        for chart in await charts_of(RESIDENT_ID, asked.number, services):
            charts += [row.id for row in (await rows.grounds(services.db, chart, "")).charts]
    narrow = Narrow(
        tags=tuple(map(services.log.tag, charts)) if asked.number else None,
        actors=await called(asked.actor, services) if asked.actor else None,
        organization=asked.organization,
        kind=asked.kind,
        outcome=asked.outcome,
        since=asked.since,
        until=asked.until,
    )
    mine = "" if sees_all(caller, services) else caller.organization
    if mine and asked.organization not in ("", mine):
        raise Problem(Trouble.REFUSED, "Another organisation's log.")
    narrow = replace(narrow, organization=asked.organization or mine)
    await _note_reading("accesses", asked, charts, caller, services)
    first = (asked.page - 1) * PAGE
    found = await services.db.session(listed.events, narrow, first, PAGE)
    kinds = await services.db.session(listed.event_kinds)
    told = await bodies(found.rows, services)
    people = await _people(found.rows, services)
    shown = tuple(
        _access(row, body, person)
        for row, body, person in zip(found.rows, told, people, strict=True)
    )
    return Accesses(shown, found.total, first + len(shown) < found.total, kinds)


def _access(row: EventRow, body: Body | None, person: str) -> Access:
    claimed = row.kind == Kind.RELATIONSHIP_CLAIM
    reason = ""
    if body is not None and claimed:
        reason = body.reason
    elif body is not None and row.outcome == Outcome.DENY:
        reason = next(iter(sorted(body.restricted.reasons)), "")
    return Access(
        number=row.number,
        at=row.at,
        kind=row.kind,
        outcome=row.outcome,
        actor=(body.human if body else "") or row.actor or row.client,
        role=body.role if body else "",
        organization=row.organization,
        purpose=row.purpose,
        person=person,
        shown=body.returned if body is not None and row.kind in _SHOWING else None,
        reason=reason,
        claimed=claimed,
    )


_SHOWING = frozenset({Kind.READ, Kind.SEARCH, Kind.EVERYTHING, Kind.DISCLOSURE, Kind.EXPORT})


def sees_all(caller: Caller, services: Services) -> bool:
    """The county's health authority sees every organisation's."""
    return services.register.get(caller.organization).kind == "authority"


def _must_be(role: str, caller: Caller) -> None:
    if caller.role != role:
        raise Problem(Trouble.REFUSED, "Another role's work.")


async def _note_reading(
    what: str, asked: Filter, charts: Sequence[str], caller: Caller, services: Services
) -> None:
    at = services.now()
    details = {
        name: str(getattr(asked, name))
        for name in ("actor", "organization", "kind", "outcome", "since", "until")
        if getattr(asked, name)
    }
    body = _body(what, at, caller, details | {"person": "named" if asked.number else "any"})
    await services.log.note(Kind.AUDIT_READ, Outcome.PERMIT, caller, at, body, charts)


def _body(what: str, at: int, caller: Caller, details: dict[str, str]) -> Body:
    return Body(request=f"{what}.{at}", details=details).asked_by(caller)


async def _people(events: Sequence[EventRow], services: Services) -> list[str]:
    """The short name of the person each event is about: of the person's chart, as the log tags it."""
    owners = sorted({event.body_owner for event in events if event.body_owner})
    known = await services.db.session(listed.persons, owners) if owners else {}
    return [
        services.log.tag(known.get(event.body_owner, event.body_owner))[:SHORT]
        if event.body_owner
        else ""
        for event in events
    ]


# Alarms


async def alarms(caller: Caller, services: Services) -> tuple[Alarm, ...]:
    """Recent alarms of the caller's organisation, of all for the authority; newest first.

    Settled ones come behind those that wait. An auditor also gets who claimed and why (one
    `audit-read` event); an IT office does not.
    """
    _sees_alarms(caller)
    mine = "" if sees_all(caller, services) else caller.organization
    if caller.role == "auditor":
        await _note_reading("alarms", Filter(), (), caller, services)
    found = await services.db.session(listed.alarms, mine, MOST_ALARMS)
    causes: list[EventRow | None] = []
    for row in found:
        cause = None
        if row.kind == SELF_CLAIM and caller.role == "auditor":
            cause = await services.db.session(
                listed.event_before, Kind.RELATIONSHIP_CLAIM, row.organization, row.about, row.at
            )
        causes.append(cause)
    return tuple(await _told(zip(found, causes, strict=True), caller, services))


async def settle(id: int, caller: Caller, services: Services) -> None:
    """Somebody has looked at an alarm; an `update` event names them.

    It is raised anew when its cause comes again. Once is enough: again, it stays as it was settled.
    Problem UNKNOWN when the caller does not see it, REFUSED when it is another organisation's.
    """
    _sees_alarms(caller)
    found = await services.db.read(listed.ALARM, id)
    row = listed.AlarmRow(*found[0]) if found else None
    if row is None or not (row.organization == caller.organization or sees_all(caller, services)):
        raise Problem(Trouble.UNKNOWN, "No such alarm.")
    if not _may_settle(row, caller, services):
        raise Problem(Trouble.REFUSED, "The organisation that it concerns settles it.")
    at = services.now()
    body = _body("settle", at, caller, {"alarm": str(id), "what": row.kind, "source": row.source})
    draft = await services.log.draft(Kind.UPDATE, Outcome.PERMIT, caller, at, body)
    await services.db.do(_settle, id, caller.user, at, draft, services)


def _settle(tx: Tx, id: int, by: str, at: int, draft: Draft, services: Services) -> None:
    if tx.one(inbox.SETTLE_ALARM, id, at, by) is not None:
        append(tx, services.log.filing_writer, [draft], services.now)


def _may_settle(row: listed.AlarmRow, caller: Caller, services: Services) -> bool:
    """An organisation's own; what belongs to no hospital is the authority's."""
    if row.organization == caller.organization:
        return True
    known = services.register.get(row.organization).kind
    return sees_all(caller, services) and known in COUNTYS


def _sees_alarms(caller: Caller) -> None:
    if caller.role not in {"auditor", "it"}:
        raise Problem(Trouble.REFUSED, "Another role's work.")


async def _told(
    pairs: Iterable[tuple[listed.AlarmRow, EventRow | None]], caller: Caller, services: Services
) -> list[Alarm]:
    told = []
    for row, cause in pairs:
        [body] = await bodies([cause], services) if cause else [None]
        [person] = await _people([cause], services) if cause else [""]
        told.append(
            Alarm(
                kind=row.kind,
                at=row.at,
                organization=row.organization,
                source="" if row.source == row.organization else row.source,
                actor=((body.human if body else "") or cause.actor) if cause else "",
                person=person,
                words=body.reason if body else "",
                settled=row.settled or None,
                id=row.id,
                mine=_may_settle(row, caller, services),
            )
        )
    return told


# The whole log


class Check(NamedTuple):
    """What walking the log found, and when (µs UTC)."""

    report: Report
    at: int


async def verify(caller: Caller, services: Services) -> Check:
    """Walk the log now; an `audit-verify` event tells the verdict, and an alarm a bad one."""
    _must_be("auditor", caller)
    report = await verify_log(services)
    at = services.now()
    details = {"ok": "yes" if report.ok else "no", "entries": str(report.entries)}
    details |= {str(fault): str(count) for fault, count in report.counts.items()}
    outcome = Outcome.PERMIT if report.ok else Outcome.ERROR
    body = _body("verify", at, caller, details)
    draft = await services.log.draft(Kind.AUDIT_VERIFY, outcome, caller, at, body)
    await services.db.do(_note_check, draft, report.ok, caller.organization, services)
    return Check(report, at)


def _note_check(tx: Tx, draft: Draft, ok: bool, organization: str, services: Services) -> None:
    append(tx, services.log.filing_writer, [draft], services.now)
    if not ok:
        tx.run(inbox.ADD_ALARM, "log", organization, "", services.now())
