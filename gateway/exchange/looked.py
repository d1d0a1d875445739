"""Who looked: every event of the log about a person, told to that person.

Nothing is left out but what a recorded safety reason keeps back for a while, and, where somebody
acts for the person, what that somebody may not read either. People, programs and the person's own
visits are told apart: a program that prepares a page is not a curious doctor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from consent.model import FacetClass, RelationshipKind
from consent.standing import permits
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import ask, casework
from gateway.exchange.authority import may_read
from gateway.exchange.event_bodies import bodies
from gateway.exchange.person import Person, meet, relationships_of
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.store import oversight as listed
from gateway.store import own
from gateway.store.oversight import EventRow

WINDOW = 90  # days of a page
_MOST = 10_000  # events of a page; more are told of
_EMERGENCY = frozenset({"BTG", "ETREAT", "ERTREAT"})
_SHOWING = frozenset({Kind.READ, Kind.SEARCH, Kind.EVERYTHING, Kind.DISCLOSURE, Kind.EXPORT})
_VISITS = frozenset(
    {RelationshipKind.ENCOUNTER, RelationshipKind.REFERRAL, RelationshipKind.APPOINTMENT}
)

Who = Literal["people", "program", "self"]


@dataclass(frozen=True, slots=True)
class Look:
    """One event. `ref` names it as the log does; `ground` is the decision's reason, empty where
    none was needed; `shown` counts the records handed over, None where that is not what it did."""

    ref: str
    at: int
    kind: str
    refused: bool
    who: Who
    role: str
    login: str
    name: str
    organization: str
    purpose: str
    ground: str
    shown: int | None
    emergency: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """What happened on one county day at one organisation, newest first; `treated` when the person
    was a patient there then."""

    day: date
    organization: str
    treated: bool
    looks: tuple[Look, ...]

    @property
    def emergency(self) -> bool:
        """Was any of it an emergency?"""
        return any(look.emergency for look in self.looks)


@dataclass(frozen=True, slots=True)
class Looks:
    """A page: the days from `since` to before `until`, told apart by who it was."""

    people: tuple[Visit, ...]
    program: tuple[Visit, ...]
    self: tuple[Visit, ...]
    since: date
    until: date
    more: bool  # there are earlier ones

    def find(self, ref: str) -> Look | None:
        """The event with this name, if the page holds it."""
        for visit in (*self.people, *self.program, *self.self):
            for look in visit.looks:
                if look.ref == ref:
                    return look
        return None


async def looks(chart: str, until: date | None, caller: Caller, services: Services) -> Looks:
    """Who looked at the person of `chart` in the 90 days before `until` (tomorrow when None).

    One `audit-read` event before the answer. Problem UNKNOWN for who may not read of this person.
    """
    return await ask.settled(lambda: _looks(chart, until, caller, services))


async def _looks(chart: str, until: date | None, caller: Caller, services: Services) -> Looks:
    at, policy = services.now(), services.policy
    person = await meet(chart, caller, services, at, action="read", named=True)
    if not may_read(person, chart):
        raise ask.nothing()
    last = min(until or date.max, policy.day(at) + timedelta(days=1))
    first = last - timedelta(days=WINDOW)
    charts = rows.alongside(person.charts, chart)
    tags = tuple(map(services.log.tag, charts))
    narrow = listed.Narrow(tags=tags, since=policy.midnight(first), until=policy.midnight(last))
    found = await services.db.session(listed.events, narrow, 0, _MOST)
    if found.total > len(found.rows):
        raise Problem(Trouble.TOO_LARGE, "More than can be shown at once.")
    before = listed.Narrow(tags=tags, until=policy.midnight(first))
    earlier = await services.db.session(listed.events, before, 0, 1)
    told = await bodies(found.rows, services)
    held = await services.db.read(own.HELD_BACK, list(charts), at)
    shown = [
        _look(row, body, person)
        for row, body in zip(found.rows, told, strict=True)
        if not _kept_back(row, held) and _may_know(row, body, chart, person, services)
    ]
    treated = await _treated({look.organization for look in shown}, charts, services)
    body = Body(
        request=f"looked.{at}",
        returned=len(shown),
        details={"person": "own" if caller.purpose == "PATRQT" else "represented"},
        epochs=person.epochs,
    ).asked_by(caller)
    draft = await services.log.draft(
        Kind.AUDIT_READ, Outcome.PERMIT, caller, at, body, charts, person.epochs
    )
    await services.log.write(draft)

    def of(who: Who) -> tuple[Visit, ...]:
        return _visits([one for one in shown if one.who == who], treated, services)

    return Looks(
        people=of("people"),
        program=of("program"),
        self=of("self"),
        since=first,
        until=last,
        more=bool(earlier.total),
    )


async def question(
    chart: str, ref: str, day: date, words: str, caller: Caller, services: Services
) -> str:
    """The person does not know who looked: a case for a privacy officer; its id.

    Problem UNKNOWN for an event the caller may not know of, UNPROCESSABLE for too few words.
    """
    page = await looks(chart, day + timedelta(days=1), caller, services)
    look = page.find(ref)
    if look is None or look.who == "self":
        raise ask.nothing()
    return await casework.open_question(
        chart, ref, look.login, look.organization, words, caller, services
    )


def _may_know(
    row: EventRow, body: Body | None, chart: str, person: Person, services: Services
) -> bool:
    """The person knows of everything; who acts for them only of what they may read themselves.

    Of an event that handed over records of protected categories that is the decision on those
    categories. What was filed, and what says nothing of its categories, is not told to them at all:
    whether anything is withheld must not show.
    """
    if person.request.requester.user in person.context.selves:
        return True
    if row.kind not in _SHOWING or body is None or body.sensitivities is None:
        return False
    if not body.sensitivities:
        return True
    labels = frozenset(body.sensitivities)
    level = "R" if labels & services.policy.restricted else "N"
    kind = FacetClass(
        "Observation",
        row.organization,
        (chart,),
        tier=services.policy.tier_of("Observation", frozenset(), level, labels),
        confidentiality=level,
        sensitivities=labels,
    )
    assert person.rule is not None, "a person without a gate has a rule"
    decision = person.rule.of_class(kind)
    return decision is not None and permits(decision)


def _kept_back(row: EventRow, held: Sequence[tuple[object, ...]]) -> bool:
    """Is it part of an emergency access the person is told of only later?"""
    if row.kind != Kind.BREAK_GLASS and row.purpose != "BTG":
        return False
    return any(
        row.actor == login and row.organization == house and int(str(start)) <= row.at
        for login, house, start, _ in held
    )


def _look(row: EventRow, body: Body | None, person: Person) -> Look:
    role = body.role if body else ""
    reasons = [ruling.reason for ruling in body.rulings] if body else []
    return Look(
        ref=f"{row.writer}/{row.counter}",
        at=row.at,
        kind=row.kind,
        refused=row.outcome != Outcome.PERMIT,
        who=_who(row, role, person),
        role=role,
        login=row.actor,
        name=body.human if body else "",
        organization=row.organization,
        purpose=row.purpose,
        ground=reasons[0] if reasons else "",
        shown=body.returned if body is not None and row.kind in _SHOWING else None,
        emergency=row.kind == Kind.BREAK_GLASS or row.purpose in _EMERGENCY,
    )


def _who(row: EventRow, role: str, person: Person) -> Who:
    near = person.context.selves | {one.user for one in person.context.delegations}
    if row.actor in near or role in {"patient", "representative"}:
        return "self"
    if not row.actor or role == "system" or row.kind in {Kind.FILED, Kind.RECOGNITION_PROMPT}:
        return "program"
    return "people"


def _visits(
    found: Sequence[Look],
    treated: Mapping[str, Sequence[tuple[int, int | None]]],
    services: Services,
) -> tuple[Visit, ...]:
    """By day and place, in the order of the log."""
    groups: dict[tuple[date, str], list[Look]] = {}
    for look in found:
        groups.setdefault((services.policy.day(look.at), look.organization), []).append(look)
    return tuple(
        Visit(
            day,
            house,
            any(
                start <= look.at and (end is None or look.at < end)
                for look in some
                for start, end in treated.get(house, ())
            ),
            tuple(some),
        )
        for (day, house), some in groups.items()
    )


async def _treated(
    houses: set[str], charts: Sequence[str], services: Services
) -> dict[str, list[tuple[int, int | None]]]:
    """When the person was a patient of each organisation, as its own systems told."""
    found: dict[str, list[tuple[int, int | None]]] = {}
    for house in sorted(houses - {""}):
        known = await rows.grounds(services.db, charts[0], house)
        near = tuple(one for one in known.relationships if one[0] in charts)
        lives = [
            services.policy.life(one)
            for one in relationships_of(known._replace(relationships=near), house, services)
            if one.kind in _VISITS
        ]
        if lives:
            found[house] = lives
    return found
