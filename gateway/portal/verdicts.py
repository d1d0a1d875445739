"""A clinician's word from a form, as the exchange takes it."""

from __future__ import annotations

from gateway.errors import Kind, Problem
from gateway.exchange import decide, reasons
from gateway.portal.shown import OUTCOMES
from gateway.portal.stories import Verdict
from gateway.recognition.decisions import Choice
from gateway.services import Services
from gateway.services.caller import Caller

_CHOICES = {outcome: choice for choice, outcome in OUTCOMES.items()}


def verdict_of(said: Verdict, caller: Caller, services: Services) -> decide.Verdict:
    """The same with its reason looked up; Problem MALFORMED for one the hospital's list lacks."""
    if said.outcome != "declined":
        return decide.Verdict(_CHOICES[said.outcome], words=said.words)
    if said.reason not in reasons.of(caller.organization, services):
        raise Problem(Kind.MALFORMED, "Choose a reason of the list.", "reason")
    reason = reasons.named(said.reason, caller.organization, services)
    return decide.Verdict(
        Choice.DECLINE, reason.national, said.words, said.explained, reason.local, said.acknowledged
    )
