"""Who may act for the patient: the patient, guardians by age, mandates as far as they go.

Ages are computed from `now` and the birth date in county time, never looked up; a birth date known
in part is read the way that gives less access.
"""

from __future__ import annotations

from datetime import date

from consent.model import Delegation, DelegationKind, PatientContext, Reason, Tier
from consent.provisions import Asked, Record, within


def acting_for(asked: Asked, record: Record) -> tuple[bool, Reason]:
    """Whether the requester may read this as the patient or for the patient, and why."""
    patient, policy, user = asked.patient, asked.policy, asked.request.requester.user
    if user not in patient.selves:
        return _representative(asked, record, user)
    if patient.death is not None:
        return False, Reason.AFTER_DEATH  # whoever this is, it is not the patient
    if age(patient, policy.day(asked.request.now), latest=True) < policy.self_access_age:
        return False, Reason.TOO_YOUNG
    return True, Reason.DATA_SUBJECT


def _representative(asked: Asked, record: Record, user: str) -> tuple[bool, Reason]:
    held = [d for d in asked.patient.delegations if d.user == user]
    if any(d.suspended and d.kind is DelegationKind.GUARDIAN for d in held):
        held = [d for d in held if d.kind is not DelegationKind.GUARDIAN]
    if not held:
        return False, Reason.NO_DELEGATION
    running = [d for d in held if _runs(asked, d)]
    if not running:
        return False, Reason.DELEGATION_ENDED
    if any(_covers(asked, d, record) for d in running):
        return True, Reason.REPRESENTATIVE
    return False, Reason.DELEGATION_SCOPE


def _runs(asked: Asked, delegation: Delegation) -> bool:
    now, patient, policy = asked.request.now, asked.patient, asked.policy
    if delegation.suspended or patient.death is not None:
        return False
    if not within(now, delegation.start, delegation.end):
        return False
    if delegation.kind is DelegationKind.GUARDIAN:
        return age(patient, policy.day(now), latest=False) < policy.adult_age
    return True


def _covers(asked: Asked, delegation: Delegation, record: Record) -> bool:
    policy, labels = asked.policy, record.labels
    if record.tier is Tier.SEALED:
        return False
    if delegation.kind is DelegationKind.GUARDIAN:
        years = age(asked.patient, policy.day(asked.request.now), latest=False)
        if years < policy.guardian_limited_age:
            return not labels.around & policy.child_withheld
        return record.tier < Tier.RESTRICTED and not labels.around & policy.minor_withheld
    if record.tier < Tier.RESTRICTED:
        return True
    if not delegation.restricted:
        return False
    return not delegation.categories or (
        bool(labels.restricted)
        and all(names & delegation.categories for names in labels.restricted)
    )


def birthday(birth: date, age: int) -> date:
    """The day somebody turns `age`; born on 29 February, on 1 March of other years."""
    try:
        return birth.replace(year=birth.year + age)
    except ValueError:
        return date(birth.year + age, 3, 1)


def age(patient: PatientContext, today: date, *, latest: bool) -> int:
    """Completed years by the latest or earliest possible birth; unknown reads as least access."""
    if patient.birth is None:
        return -1 if latest else 999
    birth = patient.birth[1 if latest else 0]
    years = today.year - birth.year
    return years if birthday(birth, years) <= today else years - 1
