"""Signing at the desk over the real county: pages' questions in, pages' values out."""

from __future__ import annotations

from gateway.errors import Kind, Problem
from gateway.exchange import desk, desk_signing
from gateway.identity.systems import HEALTH_CARD, RESIDENT_ID
from gateway.portal.shown import ORGANIZATION, Shown
from gateway.portal.signing_stories import CodeSent, SigningWays
from gateway.portal.stories import Choice, ConsentChoice, Evidence, Identifier
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller

_SYSTEMS = {"resident-id": RESIDENT_ID, "health-card": HEALTH_CARD}


def signed(choice: ConsentChoice) -> desk.Signed:
    """A choice as the desk records it."""
    if choice.kind == "other":
        raise Problem(Kind.MALFORMED, "Choose one of the desk's forms.", "kind")
    recipient = choice.organization
    if recipient and "/" not in recipient:
        recipient = ORGANIZATION + recipient
    return desk.Signed(
        kind=choice.kind,
        day=choice.signed,
        witness=choice.witness,
        recipient=recipient,
        category=choice.category,
        name=choice.name,
        guardian=choice.guardian,
    )


class SigningCounty:
    """`SigningStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def signing_ways(self, identifier: Identifier, caller: Caller) -> SigningWays:
        system = _SYSTEMS[identifier.kind]
        found = await desk_signing.ways(system, identifier.number, caller, self._services)
        return SigningWays(found.phone, tuple(Choice(one.id, one.name) for one in found.guardians))

    async def send_signing_code(
        self, identifier: Identifier, choice: ConsentChoice, caller: Caller
    ) -> CodeSent:
        system = _SYSTEMS[identifier.kind]
        sent = await desk_signing.begin(
            system, identifier.number, signed(choice), caller, self._services
        )
        return CodeSent(sent.id, sent.phone, moment(sent.ends, self._services.settings.zone))

    async def sign_with_code(self, id: str, code: str, caller: Caller) -> str:
        return await desk_signing.finish(id, code, caller, self._services)

    async def consent_evidence(self, id: str, caller: Caller) -> Evidence:
        found = await desk_signing.evidence_of(id, caller, self._services)
        return Evidence(found.kept.media_type, found.content)
