"""Takes a resident in hand: found by number, and only by whoever is treating them.

Nobody by that number, somebody the caller has no relationship with, and somebody of whom nothing
may be shown are one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Literal

from consent.decide import live_relationships
from consent.model import DenyTell, Reason
from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import claims, probing
from gateway.exchange.ask import Gathering, Match, Opened, Permitted, gather, settled
from gateway.exchange.issued import listed, parsed
from gateway.exchange.patients import matched, stranger
from gateway.exchange.person import Person
from gateway.identity import resident_id
from gateway.identity.resident_id import ResidentId
from gateway.identity.systems import RESIDENT_ID, canonical_system
from gateway.records import facts as facts_
from gateway.services import Services
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class InHand:
    """Who the caller has in hand, by the Patient resources they may see.

    `number` is the whole resident ID: for the screen mask it. `until` (µs UTC) is when a claimed
    relationship ends, None when an encounter carries it.
    """

    chart: str
    name: str
    sex: str
    birth: date | None
    number: str
    organizations: tuple[str, ...]
    claimed: bool
    until: int | None


async def open_resident(
    system: str, value: str, caller: Caller, services: Services, claim: str = ""
) -> InHand | Reason | None:
    """The person who carries the identifier; None whenever there is nobody to show.

    A Reason is a refusal that was decided without looking at what there is. `claim` is the
    caller's own reason for saying "I am treating them": where a relationship is lacking it is
    recorded for 24 hours with an alarm, and an unknown number is answered like a known one.
    Problem MALFORMED for a number that cannot be anybody's, UNPROCESSABLE for a claim that says
    too little.
    """
    if system == RESIDENT_ID and not isinstance(resident_id.read(value), ResidentId):
        raise Problem(Trouble.MALFORMED, "This cannot be anybody's resident ID number.", "number")
    if claim and not claims.says_enough(claim):
        raise Problem(Trouble.UNPROCESSABLE, "Say why in a few words.", "claim")
    charts: Sequence[str] = await matched(system, value, caller, services)
    if claim:
        for chart in charts or [""]:
            await settled(
                partial(claims.claim_where_lacking, chart, claim.strip(), caller, services)
            )
    found: list[InHand] = []
    refusal = None
    for chart in charts or [stranger(system, value, services)]:
        seen = await gather(
            chart,
            caller,
            services,
            lambda permitted: patients_of(permitted, services),
            kind=Kind.SEARCH,
            named=True,
        )
        if isinstance(seen.person.gate, DenyTell):
            refusal = seen.person.gate.reason
        elif shown := in_hand(seen, caller, services):
            found.append(shown)
    if len(found) > 1:
        # One number, several people nobody has told apart: showing one of them is a guess.
        return Reason.IDENTITY_DISPUTE
    if found:
        return found[0]
    await probing.struck(caller, services)
    return refusal if refusal is not Reason.NO_RELATIONSHIP else None


def patients_of(permitted: Permitted, services: Services) -> list[Match]:
    """The hospitals' Patients. The county's own says only that somebody signed there."""
    county = services.policy.controllers
    return permitted.where(lambda nature: nature.type == "Patient" and nature.source not in county)


def in_hand(seen: Gathering, caller: Caller, services: Services) -> InHand | None:
    """The banner of a gathering that holds Patients; None when it holds none."""
    patients = [one for one in seen.records if one.type == "Patient"]
    if not patients:
        return None
    patients.sort(key=lambda one: (_source(one) != caller.organization, -one.filed, one.id))
    texts = [parsed(one.text) for one in patients]
    birth = next((found for text in texts if (found := _birth(text.get("birthDate")))), None)
    claimed, until = relationship(seen.person, services)
    return InHand(
        chart=patients[0].match.chart,
        name=next((name for text in texts if (name := facts_.of_patient(text).name)), ""),
        sex=next((str(text["gender"]) for text in texts if text.get("gender")), "unknown"),
        birth=birth,
        number=next((number for text in texts if (number := _number(text))), ""),
        organizations=tuple(dict.fromkeys(map(_source, patients))),
        claimed=claimed,
        until=until,
    )


def _source(one: Opened) -> str:
    return one.match.pair[0].source


def _birth(text: object) -> date | None:
    """The earliest day the text may mean: an age is never made smaller than it can be."""
    found = facts_.days(text) if isinstance(text, str) else None
    return found[0] if found else None


def _number(patient: object) -> str:
    for one in listed(patient.get("identifier") if isinstance(patient, dict) else None):
        if canonical_system(str(one.get("system", ""))) == RESIDENT_ID and one.get("value"):
            return resident_id.normalised(str(one["value"]))
    return ""


def relationship(person: Person, services: Services) -> tuple[bool, int | None]:
    """(only by the caller's own word, until when): an encounter outweighs a claim."""
    live = live_relationships(person.request, services.policy)
    if any(one.kind != claims.SELF_CLAIM for one in live):
        return False, None
    ends = [end for one in live if (end := services.policy.life(one)[1]) is not None]
    return bool(live), max(ends, default=None)


# Ages


@dataclass(frozen=True, slots=True)
class Age:
    """As clinicians say it: days in the first month, months in the first two years, then years."""

    number: int
    unit: Literal["year", "month", "day"]


def age(birth: date | None, today: date) -> Age | None:
    """How old somebody born on `birth` is; None when that is not known or lies ahead."""
    if birth is None or birth > today:
        return None
    months = (today.year - birth.year) * 12 + today.month - birth.month
    months -= today.day < birth.day
    if months < 1:
        return Age((today - birth).days, "day")
    return Age(months, "month") if months < 24 else Age(months // 12, "year")
