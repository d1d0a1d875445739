"""Who calls a CDS service: a client that signs each call, or one that holds an access token of ours.

HL7 CDS Hooks 2.0, "Trusting CDS Clients": a JWT for exactly this endpoint, at most five minutes old and
used once. Keys are those of the client's registration; `jku` and everything else in the header that
points at a key is never followed. For a person the client signs the same `hl7-b2b` object as at the
token endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.auth import bearer, systems
from gateway.auth.systems import Refusal
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import clients


async def caller_of(
    headers: Mapping[str, str], services: Services, audience: str, address: str = ""
) -> Caller:
    """The proved caller; Problem UNAUTHENTICATED with one text for all. A refused signature is noted."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or token.count(".") != 2:
        return await bearer.caller_of(headers, services, address)
    listed = getattr(headers, "getlist", None)
    try:
        if listed is not None and len(listed("authorization")) != 1:
            raise Refusal("invalid_client", "repeated header")
        return await _signed(token.strip(), services, audience, address)
    except Refusal as refusal:
        await systems.note_refusal(refusal, services, address)
        raise Problem(Kind.UNAUTHENTICATED, "A valid signature is needed.") from None


async def _signed(token: str, services: Services, audience: str, address: str) -> Caller:
    """1 which client · 2 its signature, for this endpoint, now · 3 for whom · 4 spent once."""
    at = services.now()
    # 1
    claimed, client = await systems.claimant(token, services, subject=False)
    # 2
    if "iat" not in claimed.claims:
        raise Refusal("invalid_client", "iat", client.id)
    proven = systems.proved(claimed, client, audience, at)
    # 3
    person = await systems.person_of(proven, client, services)
    # 4
    await systems.spent(proven, client, at, services)
    return Caller(
        client=client.id,
        organization=person.organization,
        role=person.role,
        user=person.user,
        name=person.name,
        purpose=person.purpose,
        scopes=frozenset(client.scopes.split()),
        strength=2,
        session=proven.jti[:64],
        address=address,
    )


async def for_doctor(caller: Caller, user: str, name: str, services: Services) -> Caller:
    """The caller speaking for a doctor whom its message names.

    A caller that speaks for somebody already must name the same; one that speaks for nobody may name a
    clinician of its own organisation, if its registration has that role and the login is not somebody
    else's. Problem REFUSED otherwise.
    """
    if caller.user:
        if caller.user != user:
            raise Problem(Kind.REFUSED, "Somebody else than was proved.", "doctor/id")
        return caller
    client = await services.db.session(clients.find, caller.client)
    said = {
        "version": "1",
        "organization_id": caller.organization,
        "subject_id": user,
        "subject_name": name,
        "subject_role": "clinician",
        "purpose_of_use": ["TREAT"],
    }
    try:
        if client is None:
            raise Refusal("invalid_client", "client")
        person = systems.spoken_for(said, client, chain=services.register.chain)
        if not await systems.stands_for(person.user, person.role, person.organization, services):
            raise Refusal("invalid_grant", "account", client.id)
    except Refusal as refusal:
        await systems.note_refusal(refusal, services, caller.address)
        raise Problem(Kind.REFUSED, "Not a doctor this system may speak for.", "doctor") from None
    return replace(
        caller, role=person.role, user=person.user, name=person.name, purpose=person.purpose
    )
