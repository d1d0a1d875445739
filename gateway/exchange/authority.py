"""What somebody at a resident's account may do for a person: read, decide about sharing, neither.

Asked again at every request: a birthday, a court's word or a death changes the answer.
"""

from __future__ import annotations

from consent.ages import perhaps
from consent.delegation import life
from consent.model import Delegation, DelegationKind, FacetClass, PatientContext
from consent.policy import PolicySet
from consent.provisions import within
from consent.standing import permits
from gateway.exchange.ask import settled
from gateway.exchange.person import Person, meet
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.charts import alongside

RESIDENTS = frozenset({"patient", "representative"})
"""Roles of a resident's account: for themselves, and for whom they act for."""


def may_read(person: Person, chart: str) -> bool:
    """Whether the decision lets the caller read the plainest record of this chart of the person."""
    if person.gate is not None or person.rule is None or chart not in person.chart_ids:
        return False
    decision = person.rule.of_class(FacetClass("Observation", "", (chart,)))
    return decision is not None and permits(decision)


def runs(one: Delegation, person: PatientContext, at: int, policy: PolicySet) -> bool:
    """Does the right hold now, as far as that does not hang on a record?"""
    if one.suspended or not within(at, *life(one, policy)):
        return False
    if (person.death is not None) != (one.kind is DelegationKind.HEIR):
        return False
    return one.kind is not DelegationKind.GUARDIAN or not perhaps(
        person, policy.adult_age, at, policy
    )


def decides(one: Delegation, person: PatientContext, at: int, policy: PolicySet) -> bool:
    """Does the right let its holder decide about sharing at this instant? A parent decides for a child
    that surely has no say of its own yet, a court's guardian for their ward; a mandate only lets read."""
    if not within(at, *life(one, policy)):
        return False
    if one.kind is DelegationKind.GUARDIAN:
        return not perhaps(person, policy.guardian_limited_age, at, policy)
    return one.kind is DelegationKind.COURT


def signs(one: Delegation, person: PatientContext, at: int, policy: PolicySet) -> bool:
    """Does the right run now, and let its holder decide about sharing?"""
    return runs(one, person, at, policy) and decides(one, person, at, policy)


async def may_decide(chart: str, caller: Caller, services: Services) -> bool:
    """May this resident's account see and change the consents of the person of `chart` now?"""
    if caller.role not in RESIDENTS:
        return False
    at = services.now()
    person = await settled(lambda: meet(chart, caller, services, at, action="read", named=True))
    if not may_read(person, chart):
        return False
    if caller.user in person.context.selves:
        return True
    near = alongside(person.charts, chart)
    held = [
        one
        for one in person.context.delegations
        if one.user == caller.user and (one.suspended or one.chart in near)
    ]
    if any(one.suspended for one in held):
        return False  # whoever was stopped decides nothing by another paper either
    return any(signs(one, person.context, at, services.policy) for one in held)
