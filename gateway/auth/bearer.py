"""Access tokens at the resource doors: who speaks, and how far the scopes reach.

The checks in order: token, times, client and its epoch. Whether the client may
still speak is read from the register at every request, so a revocation holds from the next one on.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NoReturn

import msgspec

from gateway.auth.scopes import allows
from gateway.auth.systems import Access, caller, stands_for
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import clients
from gateway.vault import Vault

__all__ = ["CHALLENGE", "allows", "caller_of"]

CHALLENGE = {"www-authenticate": 'Bearer realm="fhir"'}
"""The header that goes with a 401 at these doors (RFC 9110 11.6.1)."""

LONGEST = 4_096
SKEW = 30_000_000
_KEPT = 4_096
_READ = msgspec.msgpack.Decoder(Access).decode

# Opening a sealed token costs more than looking it up. Kept by digest, so the cache holds no token;
# with its vault, so that no other county's token is ever taken for ours.
_opened: dict[bytes, tuple[Vault, Access]] = {}


def _unauthenticated() -> NoReturn:
    raise Problem(Kind.UNAUTHENTICATED, "A valid access token is needed.")


async def caller_of(headers: Mapping[str, str], services: Services, address: str = "") -> Caller:
    """Who speaks, from the `authorization` header; Problem(UNAUTHENTICATED) with one text for all.

    `headers` is case-insensitive (Starlette's) or has lower-case names.
    """
    token = _token(headers)
    access = _open(token, services)
    if access is None or access.expires + SKEW <= services.now():
        _unauthenticated()
    rows = await services.db.read(clients.STANDING, access.client)
    if not rows or tuple(rows[0]) != ("active", access.epoch):
        _unauthenticated()
    if access.user and not await stands_for(
        access.user, access.role, access.organization, services
    ):
        _unauthenticated()
    return caller(access, address)


def _token(headers: Mapping[str, str]) -> str:
    listed = getattr(headers, "getlist", None)
    given = listed("authorization") if listed else [headers.get("authorization", "")]
    if len(given) != 1:
        _unauthenticated()
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token.strip()) <= LONGEST:
        _unauthenticated()
    return str(token.strip())


def _open(token: str, services: Services) -> Access | None:
    digest = sha256(token.encode()).digest()
    kept = _opened.get(digest)
    if kept is not None and kept[0] is services.vault:
        return kept[1]
    plain = services.vault.open_token("access", token)
    if plain is None:
        return None
    try:
        access = _READ(plain)
    except msgspec.MsgspecError:
        return None
    while len(_opened) >= _KEPT:
        del _opened[next(iter(_opened))]
    _opened[digest] = (services.vault, access)
    return access
