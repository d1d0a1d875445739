"""Somebody was answered with nothing; when it is one time too many, an alarm says who."""

from __future__ import annotations

from gateway.audit.events import Body, Kind, Outcome
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import inbox
from gateway.store.engine import Tx

ALARM = "probe"


async def struck(caller: Caller, services: Services) -> None:
    """Count an answer that showed nothing. The alarm is the caller's organisation's to look into."""
    at = services.now()
    if not services.probes.strike(caller.client, caller.user, at):
        return
    body = Body(request=f"probe.{at}", reason="asked many times for what is not there").asked_by(
        caller
    )
    draft = await services.log.draft(Kind.ALARM, Outcome.DENY, caller, at, body)
    await services.db.do(_raise, caller.organization, draft, services, at)


def _raise(tx: Tx, organization: str, draft: Draft, services: Services, at: int) -> None:
    append(tx, services.log.filing_writer, [draft], services.now)
    tx.run(inbox.ADD_ALARM, ALARM, organization, "", at)
