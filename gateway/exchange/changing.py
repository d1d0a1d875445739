"""What every change of the county's own rules says and leaves: a reason in words, an event in the log."""

from __future__ import annotations

import secrets

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft


def said(text: str, place: str) -> str:
    """Words of why, trimmed; Problem REQUIRED without any."""
    if not text.strip():
        raise Problem(Kind.REQUIRED, "Say why, in a few words.", place)
    return text.strip()


async def noted(about: str, what: str, by: Caller, services: Services, **details: str) -> Draft:
    """The audit event of a change: `about` is what was changed, such as the policy or a map."""
    at = services.now()
    body = Body(request=secrets.token_hex(8), details={about: what, **details}).asked_by(by)
    return await services.log.draft(Noted.CONFIG, Outcome.PERMIT, by, at, body)
