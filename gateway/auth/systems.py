"""The token endpoint: a registered system proves itself and gets a short-lived access token.

SMART Backend Services: `client_credentials` with `private_key_jwt`. A token that carries the
`hl7-b2b` object (HL7 UDAP Security, "B2B Authorization Extension Object") speaks for a person with one
purpose; without it it may only push and read what its own source sent.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.auth import assertions
from gateway.auth.assertions import Claimed, Proven, Unproven
from gateway.auth.scopes import narrowed
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import accounts, clients
from gateway.store.clients import Registered

TOKEN_LIFE = 300  # seconds
_FORM_LIMIT = 64_000
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PURPOSE = re.compile(
    r"(?:(?:urn:oid:2\.16\.840\.1\.113883\.5\.8|http://terminology\.hl7\.org/CodeSystem/v3-ActReason)[#|])?"
    r"([A-Z][A-Z0-9]{1,31})"
)
_ROLE = re.compile(r"(?:[!-~]{1,200}[#|])?([a-z][a-z-]{0,31})")
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class Access(msgspec.Struct, frozen=True, array_like=True, tag="access-1"):
    """What an access token holds, sealed; `expires` is µs UTC, `epoch` the client's when issued."""

    client: str
    epoch: int
    expires: int
    jti: str
    organization: str
    role: str
    user: str
    name: str
    purpose: str
    scopes: tuple[str, ...]


class Refusal(Exception):
    """An answer of RFC 6749 5.2: `error` for the caller, `check` for our log only."""

    def __init__(self, error: str, check: str, client: str = "", status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.check = check
        self.client = client
        self.status = status


_TOLD = {
    "invalid_request": "The request is not a token request of SMART Backend Services.",
    "invalid_client": "The client assertion was not accepted.",
    "invalid_grant": "The hl7-b2b object was not accepted.",
    "invalid_scope": "None of the scopes can be granted.",
    "unsupported_grant_type": "The grant type is client_credentials.",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a system speaks for and where, as checked against its registration."""

    organization: str
    user: str
    name: str
    role: str
    purpose: str


def token_url(services: Services) -> str:
    """The address of the token endpoint, which is also the audience of every assertion."""
    return f"{services.settings.base_url.rstrip('/')}/auth/token"


def form(body: bytes) -> dict[str, str]:
    """The fields of a form; Refusal for more than a token request has or a repeated field."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=False, strict_parsing=True, max_num_fields=16
        )
    except ValueError:
        raise Refusal("invalid_request", "form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refusal("invalid_request", "repeated field")
    return fields


def spoken_for(
    b2b: Any,
    client: Registered,
    bases: tuple[str, ...] = (),
    chain: Callable[[str], tuple[str, ...]] = lambda id: (id,),
) -> Person:
    """The person in an `hl7-b2b` object; Refusal when the registration does not cover it.

    The organisation is the client's own or one within it (`chain` runs up from an organisation), as
    id, `Organization/<id>` or an address below one of `bases`; the role is one of those registered;
    there is exactly one purpose (v3-ActReason).
    """

    def wrong(check: str) -> Refusal:
        return Refusal("invalid_grant", check, client.id)

    if not isinstance(b2b, dict) or b2b.get("version") != "1":
        raise wrong("version")
    organization, user, name = (
        b2b.get(member, "") for member in ("organization_id", "subject_id", "subject_name")
    )
    if not _line(user, 128) or not user:
        raise wrong("subject_id")
    if not _line(name, 200):
        raise wrong("subject_name")
    if not _line(organization, 240):
        raise wrong("organization_id")
    for base in bases:
        organization = organization.removeprefix(f"{base.rstrip('/')}/")
    organization = organization.removeprefix("Organization/")
    if client.organization not in chain(organization):
        raise wrong("organization_id")
    role = _ROLE.fullmatch(b2b["subject_role"]) if _line(b2b.get("subject_role"), 240) else None
    if role is None or role[1] not in client.roles:
        raise wrong("subject_role")
    purposes = b2b.get("purpose_of_use")
    if not isinstance(purposes, list) or len(purposes) != 1 or not _line(purposes[0], 240):
        raise wrong("purpose_of_use")
    purpose = _PURPOSE.fullmatch(purposes[0])
    if purpose is None:
        raise wrong("purpose_of_use")
    return Person(organization, user, name, role[1], purpose[1])


async def stands_for(user: str, role: str, organization: str, services: Services) -> bool:
    """Whether a token may speak for `user`.

    A hospital's own name for a person is its word. But a login of ours is what consents name, so
    it stands only for its owner: in the organisation and a role they hold now, and not disabled.
    """
    held = await services.db.read(accounts.ACCOUNT, accounts.tidy(user))
    if not held:
        return True
    at, state, _ = held[0]
    near = organization in services.register.chain(at) or at in services.register.chain(
        organization
    )
    return near and state == "active" and role in {row[2] for row in held}


def _line(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and value.isprintable()


async def claimant(
    text: str, services: Services, *, subject: bool = True
) -> tuple[Claimed, Registered]:
    """Which active client an assertion says it is of; nothing is proved yet. Refusal without one."""
    try:
        claimed = assertions.read(text, subject=subject)
    except Unproven as fault:
        raise Refusal("invalid_client", str(fault)) from None
    client = await services.db.session(clients.find, claimed.client)
    if client is None:
        raise Refusal("invalid_client", "client")
    if not client.active:
        raise Refusal("invalid_client", "client revoked", client.id)
    return claimed, client


def proved(claimed: Claimed, client: Registered, audience: str, at: int) -> Proven:
    """The assertion, signed with a registered key, for this endpoint and now; Refusal otherwise."""
    try:
        return assertions.verify(claimed, client.jwks, audience, at)
    except Unproven as fault:
        raise Refusal("invalid_client", str(fault), client.id) from None


async def person_of(proven: Proven, client: Registered, services: Services) -> Person:
    """For whom the client speaks: itself, or the person of its `hl7-b2b` object; Refusal if it may not."""
    if "hl7-b2b" not in proven.extensions:
        return Person(client.organization, "", "", "system", "")
    bases = (services.settings.canonical, f"{services.settings.base_url.rstrip('/')}/fhir")
    b2b = proven.extensions["hl7-b2b"]
    person = spoken_for(b2b, client, bases, services.register.chain)
    if not await stands_for(person.user, person.role, person.organization, services):
        raise Refusal("invalid_grant", "account", client.id)
    return person


async def spent(proven: Proven, client: Registered, at: int, services: Services) -> None:
    """The assertion is used up now, by one of several that come with it; Refusal for the others."""
    tag = services.vault.digest("assertion", f"{client.id}\n{proven.jti}".encode())
    if not await services.db.session(spend, client, proven.kid, tag, proven.expires, at):
        raise Refusal("invalid_client", "used before, or the client changed", client.id)


async def issue(fields: Mapping[str, str], services: Services, address: str = "") -> dict[str, Any]:
    """Answer a token request: the members of RFC 6749 5.1, or Refusal.

    1 what is asked · 2 who signed it, with a registered key · 3 for whom · 4 how far · 5 the
    assertion is spent, which only one of several succeeds in · 6 noted · 7 given.
    """
    at = services.now()
    # 1
    if not fields.get("grant_type"):
        raise Refusal("invalid_request", "grant_type")
    if fields["grant_type"] != "client_credentials":
        raise Refusal("unsupported_grant_type", "grant_type")
    if fields.get("client_assertion_type") != _ASSERTION_TYPE or not fields.get("client_assertion"):
        raise Refusal("invalid_request", "client_assertion_type")
    # 2
    claimed, client = await claimant(fields["client_assertion"], services)
    if fields.get("client_id", client.id) != client.id:
        raise Refusal("invalid_client", "client_id", client.id)
    proven = proved(claimed, client, token_url(services), at)
    # 3
    person = await person_of(proven, client, services)
    # 4
    scopes = narrowed(fields.get("scope", ""), client.scopes)
    if not scopes:
        raise Refusal("invalid_scope", "scope", client.id)
    # 5
    await spent(proven, client, at, services)
    # 6
    access = Access(
        client=client.id,
        epoch=client.epoch,
        expires=at + TOKEN_LIFE * 1_000_000,
        jti=secrets.token_hex(8),
        organization=person.organization,
        role=person.role,
        user=person.user,
        name=person.name,
        purpose=person.purpose,
        scopes=tuple(sorted(scopes)),
    )
    who = caller(access, address)
    await services.log.note(Noted.TOKEN, Outcome.PERMIT, who, at, note_of(who))
    # 7
    return {
        "access_token": services.vault.seal_token("access", msgspec.msgpack.encode(access)),
        "token_type": "bearer",
        "expires_in": TOKEN_LIFE,
        "scope": " ".join(access.scopes),
    }


def spend(
    session: Session, client: Registered, kid: str, tag: bytes, expires: int, at: int
) -> bool:
    """Spend the assertion, if the client is still what it was when its key `kid` was checked.

    Other keys may come and go meanwhile: no call fails while keys are exchanged.
    """
    now = clients.find(session, client.id)
    same = now is not None and replace(now, jwks=client.jwks) == client
    held = now is not None and assertions.listed(now.jwks).get(kid)
    return bool(
        same
        and held == assertions.listed(client.jwks).get(kid)
        and clients.spend(session, tag, expires, at)
    )


def caller(access: Access, address: str = "") -> Caller:
    """Who speaks with this token."""
    return Caller(
        client=access.client,
        organization=access.organization,
        role=access.role,
        user=access.user,
        name=access.name,
        purpose=access.purpose,
        scopes=frozenset(access.scopes),
        strength=2,  # a key pair; the person behind it is the hospital's word
        session=access.jti,
        address=address,
    )


def note_of(who: Caller, **details: str) -> Body:
    """The sealed part of an event about signing in."""
    return Body(request=secrets.token_hex(8), details=details).asked_by(who)


async def note_refusal(refusal: Refusal, services: Services, address: str) -> None:
    """Write down what was refused and by which check; the client is named only if it exists."""
    who = Caller(client=refusal.client, organization="", role="system", address=address)
    body = note_of(who, error=refusal.error, check=refusal.check)
    await services.log.note(Noted.TOKEN, Outcome.DENY, who, services.now(), body)


def configuration(services: Services) -> dict[str, Any]:
    """The discovery document (SMART App Launch 2.2, "Conformance"); backend services only."""
    return {
        "token_endpoint": token_url(services),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }


def routes(services: Services) -> list[Route]:
    """The token endpoint and its discovery documents."""

    async def token(request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/x-www-form-urlencoded":
                raise Refusal("invalid_request", "content-type")
            fields = form(await _body(request))
            return JSONResponse(await issue(fields, services, address), headers=_NO_STORE)
        except Refusal as refusal:
            answer = refusal
        except Problem as problem:
            return _unavailable(problem)
        try:
            await note_refusal(answer, services, address)
        except Problem as problem:
            return _unavailable(problem)
        told = {"error": answer.error, "error_description": _TOLD[answer.error]}
        return JSONResponse(told, answer.status, headers=_NO_STORE)

    async def discover(request: Request) -> Response:
        return JSONResponse(configuration(services), headers={"access-control-allow-origin": "*"})

    return [
        Route("/auth/token", token, methods=["POST"]),
        Route("/.well-known/smart-configuration", discover, methods=["GET"]),
        Route("/fhir/.well-known/smart-configuration", discover, methods=["GET"]),
    ]


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_LIMIT:
            raise Refusal("invalid_request", "size", status=413)
    return bytes(body)


def _unavailable(problem: Problem) -> Response:
    """RFC 6749 has no word for it at the token endpoint; the status says it."""
    if problem.kind is not Kind.BUSY:
        raise problem
    told = {"error": "temporarily_unavailable", "error_description": problem.text}
    return JSONResponse(told, 503, headers={**_NO_STORE, "retry-after": "5"})
