"""A hospital's own system clients: what they may, which keys they hold, how old those are, exchanging them.

Keys are exchanged with overlap: the new one is added beside the old, the vendor changes over, the
old one is dropped; no call fails in between. A key may carry its own end, after which it is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth import assertions, registry
from gateway.auth.systems import note_of
from gateway.errors import Kind, Problem
from gateway.exchange.feeds import own_sources
from gateway.exchange.oversight import sees_all
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.services.log import append
from gateway.store import clients, inbox
from gateway.store.clients import Registered
from gateway.store.engine import Tx

MOST_KEYS: Final = 4
SOON: Final = 30 * 86_400_000_000
"""µs before its end from which a key or certificate is warned of."""
LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Key:
    """A public key; µs UTC when it was added and until when it counts, 0 where nothing says so.

    `print` is the beginning of its thumbprint (RFC 7638), to compare with what the vendor holds.
    """

    kid: str
    kind: str
    print: str
    added: int
    ends: int


@dataclass(frozen=True, slots=True)
class Client:
    """A system client; `used` and `refused` are its newest proof and refusal (µs UTC, 0: none).

    `sources` are those it may post for.
    """

    id: str
    name: str
    organization: str
    active: bool
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    created: int
    used: int
    refused: int
    keys: tuple[Key, ...]
    sources: tuple[str, ...]


class Certificate(NamedTuple):
    """A TLS certificate: of a source known by one (its client's), or of this gateway (`source` empty).

    `ends` is µs UTC; 0: it has not been shown yet.
    """

    source: str
    organization: str
    print: str
    ends: int


async def certificates(caller: Caller, services: Services) -> tuple[Certificate, ...]:
    """This gateway's own, where TLS ends here, and those of the caller's own sources."""
    known = await own_sources(caller, services)
    found = [Certificate(*row) for row in await services.db.read(inbox.CERTIFICATES)]
    path = services.settings.tls_certificate
    here = await asyncio.to_thread(_of_file, path) if path != Path() else None
    return (*((here,) if here else ()), *(one for one in found if one.source in known))


def _of_file(path: Path) -> Certificate | None:
    try:
        read = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None  # `check-config` says what is wrong with it
    print = read.fingerprint(SHA256()).hex()
    return Certificate("", "", print, int(read.not_valid_after_utc.timestamp()) * 1_000_000)


async def ending(caller: Caller, services: Services) -> int:
    """How many of the caller's clients and certificates stop being let in within `SOON`, or have.

    A client counts when every key it holds ends: one that is followed by a later key is being exchanged.
    """
    until = services.now() + SOON
    held = [one.keys for one in await own(caller, services) if one.active and one.keys]
    keys = sum(all(0 < key.ends < until for key in each) for each in held)
    shown = await certificates(caller, services)
    return keys + sum(0 < one.ends < until for one in shown)


async def own(caller: Caller, services: Services) -> tuple[Client, ...]:
    """The clients of the caller's organisation, all for the county's; by name, revoked ones last."""
    found = await _own(caller, services)
    calls = {(row[0], row[1]): row[2] for row in await services.db.read(clients.CALLS)}
    sources = [inbox.SourceRow(*row) for row in await services.db.read(inbox.SOURCES)]
    return tuple(
        Client(
            one.id,
            one.name,
            one.organization,
            one.active,
            tuple(one.scopes.split()),
            one.roles,
            one.created,
            calls.get((one.id, "permit")) or 0,
            calls.get((one.id, "deny")) or 0,
            _keys(one.jwks),
            tuple(source.name for source in sources if source.client == one.id),
        )
        for one in sorted(found, key=lambda one: (not one.active, one.organization, one.id))
    )


async def add_key(id: str, text: str, ends: int, caller: Caller, services: Services) -> None:
    """Add a public key (a JWK, or a set of one) beside those a client holds; tokens go on.

    `ends` is when it stops counting (µs UTC, 0: it does not). Problem UNKNOWN for a client that is
    not there or another's, MALFORMED for what is no usable public key, CONFLICT for a `kid` that is
    taken, for more than MOST_KEYS, or when somebody changed the keys meanwhile.
    """
    client = await _one(id, caller, services)
    new = _read(text)
    at = services.now()
    new["iat"] = at // 1_000_000
    if ends:
        new["exp"] = ends // 1_000_000
    if ends and ends <= at:
        raise Problem(Kind.MALFORMED, "The key would have ended already.", "ends")
    held = assertions.listed(client.jwks)
    if new["kid"] in held:
        raise Problem(Kind.CONFLICT, "The client holds a key of that `kid`.", "kid")
    if len(held) >= MOST_KEYS:
        raise Problem(Kind.CONFLICT, "Drop an old key first.", "kid")
    await _change(client, [*held.values(), new], False, caller, services, added=new["kid"])


async def drop_key(id: str, kid: str, at_once: bool, caller: Caller, services: Services) -> None:
    """Drop a key; `at_once` also ends the tokens the client holds, which last minutes otherwise.

    Problem UNKNOWN for a client or key that is not there, CONFLICT for its last key: that is revoking.
    """
    client = await _one(id, caller, services)
    held = assertions.listed(client.jwks)
    if kid not in held:
        raise Problem(Kind.UNKNOWN, "The client holds no such key.", "kid")
    if len(held) == 1:
        raise Problem(Kind.CONFLICT, "It is the client's last key; revoke the client.", "kid")
    left = [one for name, one in held.items() if name != kid]
    await _change(client, left, at_once, caller, services, dropped=kid)


async def revoke(id: str, reason: str, caller: Caller, services: Services) -> None:
    """No new tokens, and those it holds end at once; the reason is noted.

    Problem UNKNOWN for a client that is not there or another's, MALFORMED without a reason.
    """
    client = await _one(id, caller, services)
    if not 2 <= len(reason) <= LONGEST_REASON:
        raise Problem(Kind.MALFORMED, "A reason in words is needed.", "reason")
    await registry.revoke(services, client.id, by=caller, reason=reason)


async def _own(caller: Caller, services: Services) -> Sequence[Registered]:
    if caller.role not in ("it", OPERATOR.role) or not caller.user:
        raise Problem(Kind.REFUSED, "Another role's work.")
    everything = caller == OPERATOR or sees_all(caller, services)
    return [
        one
        for one in await services.db.session(clients.everyone)
        if everything or one.organization == caller.organization
    ]


async def _one(id: str, caller: Caller, services: Services) -> Registered:
    for one in await _own(caller, services):
        if one.id == id and one.active:
            return one
    raise Problem(Kind.UNKNOWN, "There is no such client.", "client")


async def _change(
    client: Registered,
    keys: Sequence[dict[str, Any]],
    end: bool,
    caller: Caller,
    services: Services,
    **said: str,
) -> None:
    jwks = json.dumps({"keys": keys}, ensure_ascii=False)
    assertions.key_set(jwks)
    body = note_of(caller, client=client.id, tokens="ended" if end else "go on", **said)
    draft = await services.log.draft(Noted.CLIENT, Outcome.PERMIT, caller, services.now(), body)

    def change(tx: Tx) -> None:
        if not clients.change_keys(tx, client.id, client.jwks, jwks, end):
            raise Problem(Kind.CONFLICT, "Somebody has just changed this client.", "client")
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(change)


def _read(text: str) -> dict[str, Any]:
    wrapped = text.strip()
    if '"keys"' not in wrapped:
        wrapped = f'{{"keys":[{wrapped}]}}'
    if len(assertions.key_set(wrapped)) != 1:
        raise Problem(Kind.MALFORMED, "One key at a time.", "key")
    [new] = assertions.listed(wrapped).values()
    if len(new["kid"]) > 200 or not new["kid"].isprintable():
        raise Problem(Kind.MALFORMED, "The `kid` is too long, or not one line.", "key")
    return new


def _keys(jwks: str) -> tuple[Key, ...]:
    try:
        usable = assertions.key_set(jwks)
    except Problem:
        return ()
    written = assertions.listed(jwks)
    return tuple(
        Key(
            kid,
            {"EC": "ES384"}.get(key.key_type, "RS384"),
            key.thumbprint()[:16],
            written[kid].get("iat", 0) * 1_000_000,
            written[kid].get("exp", 0) * 1_000_000,
        )
        for kid, key in usable.items()
    )
