"""Until when an answer holds: the next instant at which anything that was considered may change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from consent.ages import turns
from consent.delegation import life
from consent.model import AccessRequest, Directive, PatientContext, Provision
from consent.policy import PolicySet


def horizon(
    request: AccessRequest,
    patient: PatientContext,
    directives: Iterable[Directive],
    policy: PolicySet,
) -> int | None:
    """The first such instant after now, for any record of this patient; None: nothing changes."""
    instants: list[int | None] = []
    for directive in directives:
        if directive.active and directive.patient in patient.charts:
            instants.append(directive.at - policy.clock_skew)
            if directive.root is not None:
                _turns(directive.root, instants)
    for relationship in request.relationships:
        instants.extend(policy.life(relationship))
    if request.grant is not None:
        instants += (request.grant.start, request.grant.end)
    if patient.death is not None:
        last = patient.death + timedelta(days=policy.treatment_after_death)
        instants += (policy.midnight(patient.death), policy.midnight(last + timedelta(days=1)))
    if not policy.patient.isdisjoint(request.purposes):
        for delegation in patient.delegations:
            instants.extend(life(delegation, policy))
        ages = (policy.self_access_age, policy.guardian_limited_age, policy.adult_age)
        for birth in patient.birth or ():
            instants.extend(turns(birth, age, policy) for age in ages)
    return min((t for t in instants if t is not None and t > request.now), default=None)


def _turns(provision: Provision, instants: list[int | None]) -> None:
    instants += (provision.start, provision.end)
    for child in provision.exceptions:
        _turns(child, instants)
