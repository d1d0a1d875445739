"""Registers and revokes systems; every change is in the access log."""

from __future__ import annotations

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth.assertions import key_set
from gateway.auth.scopes import scope
from gateway.auth.systems import note_of
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import append
from gateway.store import clients
from gateway.store.engine import Tx


async def register(
    services: Services,
    *,
    id: str,
    organization: str,
    name: str,
    jwks: str,
    scopes: str,
    roles: tuple[str, ...] = (),
    by: Caller,
) -> None:
    """Register a client or register it anew, with its event; tokens it holds end at once.

    Problem MALFORMED when its keys or scopes cannot be used.
    """
    unknown = [word for word in scopes.split() if scope(word) is None]
    if unknown or not scopes.split():
        raise Problem(Kind.MALFORMED, "Scopes are like system/Observation.rs.", "scopes")
    try:
        keys = key_set(jwks)
    except ValueError:
        keys = {}
    if not keys:
        raise Problem(Kind.MALFORMED, "The key set holds no usable public key.", "jwks")
    at = services.now()
    body = note_of(by, client=id, scopes=scopes, roles=" ".join(roles))
    draft = await services.log.draft(Noted.CLIENT, Outcome.PERMIT, by, at, body)

    def put(tx: Tx) -> None:
        clients.put(
            tx,
            id=id,
            organization=organization,
            name=name,
            jwks=jwks,
            scopes=scopes,
            roles=roles,
            at=at,
        )
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(put)


async def revoke(services: Services, id: str, *, by: Caller, reason: str = "") -> None:
    """No new tokens, and those it holds end at once; Problem UNKNOWN without such a client."""
    body = note_of(by, client=id, state="revoked", reason=reason)
    draft = await services.log.draft(Noted.CLIENT, Outcome.PERMIT, by, services.now(), body)

    def end(tx: Tx) -> None:
        if not clients.revoke(tx, id):
            raise Problem(Kind.UNKNOWN, "There is no such client.")
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(end)
