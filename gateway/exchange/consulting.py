"""Answers whether something could be shared, without sharing it: the same decision, and only yes or no.

Who asks is who was proved at the door. A person nobody knows, one who refused and one the caller has
no relationship with are the same no; its reason is for the access log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consent.model import (
    Decision,
    DenyHide,
    FacetClass,
    Facets,
    Obligation,
    Permit,
    PermitEmergency,
    Reason,
)
from gateway.audit.events import Body, Kind, Outcome, Restricted, Ruling
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.ask import settled
from gateway.exchange.patients import the_one
from gateway.exchange.person import WITHOUT_RIGHT, Person, meet
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Leaf


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom it is about: a chart, or identifiers (system, value) that all are one person's."""

    chart: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Matter:
    """What it is about: a type of resource with labels; `source` empty is any organisation's but
    the caller's own."""

    type: str = "Observation"
    confidentiality: str = "N"
    sensitivities: frozenset[str] = frozenset()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes with what is owed for it and until when (µs UTC), or no and nothing else."""

    permit: bool
    obligations: tuple[Obligation, ...]
    valid_until: int | None
    leaf: Leaf


async def consult(
    subject: Subject,
    matters: Sequence[Matter],
    caller: Caller,
    services: Services,
    ignored: Sequence[str] = (),
) -> Answer:
    """Yes when every one of the matters could be read now, else no; one `decision` event before it.

    `ignored` are names of what the caller sent and nobody listens to, for the event. Problem REFUSED
    for a system that speaks for no person: decided before anybody is looked up.
    """
    if not caller.user or not caller.purpose:
        raise Problem(Trouble.REFUSED, "Say for which person, in which role and for what purpose.")
    return await settled(lambda: _consult(subject, matters, caller, services, ignored))


async def _consult(
    subject: Subject,
    matters: Sequence[Matter],
    caller: Caller,
    services: Services,
    ignored: Sequence[str],
) -> Answer:
    at = services.now()
    chart = await _chart(subject, caller, services)
    person = await meet(chart, caller, services, at, action="read", named=True)
    decisions = [_decided(person, matter, services) for matter in matters]
    refused = [one for one in decisions if not isinstance(one, Permit | PermitEmergency)]
    leaf = await _noted(person, decisions, refused, at, caller, services, ignored)
    if refused or not decisions:
        return Answer(False, (), None, leaf)
    owed = [obligation for one in decisions for obligation in one.obligations]
    ends = [one.valid_until for one in decisions if one.valid_until is not None]
    return Answer(True, tuple(dict.fromkeys(owed)), min(ends, default=None), leaf)


async def _chart(subject: Subject, caller: Caller, services: Services) -> str:
    """The one person's chart; empty for nobody, and for numbers of several."""
    if subject.chart:
        return subject.chart
    return await the_one(subject.identifiers, caller, services)


def _decided(person: Person, matter: Matter, services: Services) -> Decision:
    """The decision on a record of that kind of which nothing else is known."""
    if person.gate is not None:
        return person.gate
    if person.rule is None:
        return DenyHide(Reason.UNKNOWN_SUBJECT)
    if person.entitled is not None and not person.entitled.sees(matter.type):
        return WITHOUT_RIGHT
    kind = FacetClass(
        type=matter.type,
        source=matter.source,
        subjects=person.chart_ids,  # where a merge is not confirmed, what holds for all of them
        tier=services.policy.tier_of(
            matter.type, frozenset(), matter.confidentiality, matter.sensitivities
        ),
        confidentiality=matter.confidentiality,
        sensitivities=matter.sensitivities,
    )
    return person.rule.decide(Facets(kind, ""))


async def _noted(
    person: Person,
    decisions: Sequence[Decision],
    refused: Sequence[Decision],
    at: int,
    caller: Caller,
    services: Services,
    ignored: Sequence[str],
) -> Leaf:
    """The durable event of the answer, of the charts as they were read."""
    reasons: dict[str, int] = {}
    for one in refused:
        reasons[one.reason.value] = reasons.get(one.reason.value, 0) + 1
    body = Body(
        request=f"consult.{at}",
        policies={"consent": services.policy.version},
        epochs=person.epochs,
        rulings=tuple(
            Ruling("permit", one.reason.value, one.rules, 1, one.valid_until)
            for one in decisions
            if one not in refused
        ),
        details={"asked": "consult"} | ({"ignored": " ".join(ignored)} if ignored else {}),
        restricted=Restricted(len(refused), reasons),
    ).asked_by(caller)
    draft = await services.log.draft(
        Kind.DECISION,
        Outcome.DENY if refused else Outcome.PERMIT,
        caller,
        at,
        body,
        person.chart_ids,
        person.epochs,
    )
    return await services.log.write(draft)
