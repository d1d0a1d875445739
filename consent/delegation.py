"""Who may act for the patient: the patient, guardians by age, mandates as far as they go, heirs.

Rights begin and end by computation from now, birth and death; no job has to end them.
"""

from __future__ import annotations

from collections.abc import Iterable

from consent.ages import perhaps, surely
from consent.model import Delegation, DelegationKind, Reason, Tier
from consent.policy import PolicySet
from consent.provisions import Asked, Record, within

_GUARDIANS = (DelegationKind.GUARDIAN, DelegationKind.COURT)


def acting_for(asked: Asked, record: Record) -> tuple[bool, Reason]:
    """Whether the requester may read this as the patient or for the patient, and why."""
    patient, policy, request = asked.patient, asked.policy, asked.request
    user = request.requester.user
    if user not in patient.selves:
        return _representative(asked, record, user)
    if patient.death is not None:
        return False, Reason.AFTER_DEATH  # whoever this is, it is not the patient
    if not surely(patient, policy.self_access_age, request.now, policy):
        return False, Reason.TOO_YOUNG
    if not _reaches(asked, (chart for one, chart in patient.self_charts if one == user), record):
        return False, Reason.IDENTITY_UNCONFIRMED
    return True, Reason.DATA_SUBJECT


def life(delegation: Delegation, policy: PolicySet) -> tuple[int, int | None]:
    """From when until when (None: open) a right was recorded for; a court's also needs reviews."""
    start, end = delegation.start, delegation.end
    if delegation.kind is DelegationKind.COURT:
        due = (start if delegation.reviewed is None else delegation.reviewed) + policy.court_review
        end = due if end is None else min(end, due)
    return start, end


def _representative(asked: Asked, record: Record, user: str) -> tuple[bool, Reason]:
    held = [d for d in asked.patient.delegations if d.user == user]
    if any(d.suspended and d.kind in _GUARDIANS for d in held):
        held = [d for d in held if d.kind not in _GUARDIANS]
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
    if delegation.suspended or not within(now, *life(delegation, policy)):
        return False
    if delegation.kind is DelegationKind.HEIR:
        return patient.death is not None and policy.day(now) >= patient.death
    if patient.death is not None:
        return False
    return delegation.kind is not DelegationKind.GUARDIAN or not perhaps(
        patient, policy.adult_age, now, policy
    )


def _covers(asked: Asked, delegation: Delegation, record: Record) -> bool:
    policy, labels = asked.policy, record.labels
    if record.tier is Tier.SEALED or not _reaches(asked, (delegation.chart,), record):
        return False
    if delegation.kind is DelegationKind.HEIR:
        named = labels.restricted or (frozenset({record.tier.name.lower()}),)
        return all(names & delegation.categories for names in named)
    if delegation.kind is DelegationKind.GUARDIAN:
        if not perhaps(asked.patient, policy.guardian_limited_age, asked.request.now, policy):
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


def _reaches(asked: Asked, charts: Iterable[str], record: Record) -> bool:
    """Nobody reaches across a merge that the patient has not confirmed."""
    return not asked.patient.identities or any(
        asked.one_identity(chart, record.facets.kind.subjects) for chart in charts
    )
