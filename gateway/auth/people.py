"""People's local accounts: signing in, the signed-in browser, signing out.

Passwords are kept as argon2id. A browser holds a random name and nothing else; what it stands for is
a row that can be deleted, so signing out, disabling an account and taking a role away hold at once.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth.systems import note_of
from gateway.errors import Kind, Problem
from gateway.exchange import launching
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.settings import Settings
from gateway.store import accounts
from gateway.store.accounts import Person, SignedIn, tidy
from gateway.store.tables import PortalSession
from gateway.vault import SealBroken

Language = Literal["zh", "en"]

ROLES = ("clinician", "registrar", "auditor", "privacy", "commission", "it", "patient")
"""In the order in which one is taken when a person with several names none."""

_ALONE = {"auditor", "privacy", "patient"}

IDLE = 15 * 60_000_000
ABSOLUTE = 10 * 3_600_000_000
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
_TOUCH = 30_000_000
_PURPOSE = {"clinician": "TREAT", "patient": "PATRQT"}
_HASHER = PasswordHasher()  # RFC 9106, second recommended option: 64 MiB, 3 passes
# Two at a time: a flood of sign-ins takes 128 MiB and two cores at most, and waits in line.
_HASHING = ThreadPoolExecutor(2, "argon2")
# Who would wait longer than about four seconds is told so at once.
LONGEST_LINE = 32
_in_line = 0


class _InHand(msgspec.Struct, frozen=True, array_like=True):
    language: Language = "zh"
    chart: str = ""
    strong: int = 0


@dataclass(frozen=True, slots=True)
class PortalCaller:
    """Somebody at the portal: who, the token their forms carry, and what they have in hand.

    `handle` names the session's row, for `keep` and `sign_out`; it is not the cookie. `strong` is
    until when (µs UTC) a second factor counts that was shown in it.
    """

    caller: Caller
    csrf: str
    handle: str
    language: Language = "zh"
    chart: str = ""
    strong: int = 0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A sign-in that succeeded: `cookie` goes to the browser and nowhere else."""

    cookie: str
    portal: PortalCaller


# Accounts.


async def open_account(
    services: Services,
    *,
    login: str,
    name: str,
    organization: str,
    password: str,
    roles: tuple[str, ...],
    by: Caller,
    licence: str = "",
) -> None:
    """Open an account, or set it anew and sign its owner out everywhere.

    Problem(MALFORMED) for an unknown role, roles that exclude each other, or a
    password that is too short; Problem(REQUIRED) without a login, a name or an organisation.
    """
    login = tidy(login)
    if not login or len(login) > 64 or not name or not organization:
        raise Problem(Kind.REQUIRED, "An account needs a login, a name and an organisation.")
    check_roles(roles)
    hashed = await _hashed(password)
    sealed = services.vault.seal_field("account", login, msgspec.msgpack.encode((name, licence)))
    at = services.now()

    def put(session: Session) -> None:
        accounts.put(
            session,
            login=login,
            organization=organization,
            sealed=sealed,
            password=hashed,
            roles=roles,
            at=at,
        )

    await services.db.session(put)
    body = note_of(by, account=login, roles=" ".join(roles))
    await services.log.note(Noted.ROLE, Outcome.PERMIT, by, at, body)


async def change_roles(
    services: Services, login: str, roles: tuple[str, ...], *, by: Caller
) -> None:
    """Give exactly these roles; the owner is signed out. Problem(UNKNOWN) without an account."""
    check_roles(roles)
    if not await services.db.session(accounts.set_roles, tidy(login), roles):
        raise Problem(Kind.UNKNOWN, "There is no such account.")
    body = note_of(by, account=tidy(login), roles=" ".join(roles))
    await services.log.note(Noted.ROLE, Outcome.PERMIT, by, services.now(), body)


async def disable_account(services: Services, login: str, *, by: Caller) -> None:
    """Nobody uses it from now on; Problem(UNKNOWN) without an account."""
    if not await services.db.session(accounts.disable, tidy(login)):
        raise Problem(Kind.UNKNOWN, "There is no such account.")
    body = note_of(by, account=tidy(login), state="disabled")
    await services.log.note(Noted.ROLE, Outcome.PERMIT, by, services.now(), body)


def check_roles(roles: tuple[str, ...]) -> None:
    """Problem(MALFORMED) unless one person may hold these roles together.

    An auditor and a privacy officer are nothing else, nor is a resident's own account; who runs
    the systems does not treat.
    """
    held = set(roles)
    if not held or held - set(ROLES):
        raise Problem(Kind.MALFORMED, f"The roles are {', '.join(ROLES)}.")
    if (held & _ALONE and len(held) > 1) or {"it", "clinician"} <= held:
        raise Problem(Kind.MALFORMED, "One person may not hold these roles together.")


def check_password(password: str) -> str:
    """The password as it is hashed; Problem(MALFORMED) when it is too short or too long."""
    text = unicodedata.normalize("NFKC", password)
    if not SHORTEST_PASSWORD <= len(text) <= LONGEST_PASSWORD:
        raise Problem(
            Kind.MALFORMED,
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
        )
    return text


async def _hashed(password: str) -> str:
    text = check_password(password)
    return await asyncio.get_running_loop().run_in_executor(_HASHING, _HASHER.hash, text)


@cache
def _nobody() -> str:
    """A hash of nothing anybody knows, so that an unknown login takes as long as a known one."""
    return _HASHER.hash(secrets.token_hex(16))


async def _in_turn(hashed: str | None, password: str) -> bool:
    """`_matches` when its turn comes; Problem BUSY when too many wait already."""
    global _in_line
    if _in_line >= LONGEST_LINE:
        raise Problem(Kind.BUSY, "Too many people are signing in; please try again in a moment.")
    _in_line += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(
            _HASHING, _matches, hashed, password
        )
    finally:
        _in_line -= 1


def _matches(hashed: str | None, password: str) -> bool:
    try:
        _HASHER.verify(hashed or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None


# Signing in and out.


async def sign_in(
    services: Services,
    *,
    login: str,
    password: str,
    role: str = "",
    language: Language = "zh",
    address: str = "",
    before: str | None = None,
) -> Admitted:
    """Sign a person in; Problem(UNAUTHENTICATED) with one text whatever was wrong.

    A wrong password, an unknown login, a locked or disabled account and a role not held look the
    same and take the same time. `before` is the cookie the browser came with: it ends here, so a
    cookie planted before signing in is worth nothing afterwards.
    """
    login, at = tidy(login)[:64], services.now()
    attempt = await services.db.session(accounts.attempt, login, at)
    text = unicodedata.normalize("NFKC", password[: LONGEST_PASSWORD + 1])
    matches = await _in_turn(attempt.password if attempt else None, text)
    check = "login"
    if attempt is not None:
        person = attempt.person
        held = [one for one in ROLES if one in person.roles and role in ("", one)]
        check = (
            "locked"
            if attempt.locked
            else "password"
            if not matches
            else "disabled"
            if not person.active
            else "role"
            if not held
            else ""
        )
        if not check:
            admitted = await _admit(services, person, held[0], language, address, before, at)
            if admitted is not None:
                return admitted
            check = "changed"
    who = Caller(
        client="portal",
        organization=attempt.person.organization if attempt else "",
        user=login if attempt else "",
        address=address,
    )
    body = note_of(who, check=check)
    await services.log.note(Noted.LOGIN_FAILED, Outcome.DENY, who, at, body)
    raise Problem(Kind.UNAUTHENTICATED, "The login or the password is not right.")


async def launched(
    services: Services, name: str, address: str = "", before: str | None = None
) -> tuple[Admitted, str]:
    """The session of the doctor whom a HIS opened a page for, and the prompt to show there.

    The hospital's system vouches for the doctor, as it does with every token; the account must be of
    that hospital, a clinician's and active. Problem UNKNOWN, one answer, for whatever is wrong.
    """
    launch = await launching.spend(name, services)
    person = await services.db.session(accounts.find, launch.login)
    chain = services.register.chain
    near = person is not None and (
        launch.organization in chain(person.organization)
        or person.organization in chain(launch.organization)
    )
    if person is not None and near and person.active and "clinician" in person.roles:
        admitted = await _admit(
            services, person, "clinician", "zh", address, before, services.now(),
            vouched=launch.client,
        )  # fmt: skip
        if admitted is not None:
            return admitted, launch.card
    raise Problem(Kind.UNKNOWN, "This address has been used, or its time is over.")


async def _admit(
    services: Services,
    person: Person,
    role: str,
    language: Language,
    address: str,
    before: str | None,
    at: int,
    **details: str,
) -> Admitted | None:
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    tag = _tag(services, cookie)
    browser = PortalSession(
        tag=tag,
        login=person.login,
        role=role,
        epoch=person.epoch,
        csrf=csrf,
        created=at,
        seen=at,
        ends=at + ABSOLUTE,
        sealed=_sealed(services, tag, _InHand(language)),
    )
    old = _tag(services, before) if before else None
    if not await services.db.session(accounts.admit, browser, old, at - IDLE, at):
        return None
    who = _caller(services, person.login, person.organization, person.sealed, role, tag, address)
    await services.log.note(Noted.LOGIN, Outcome.PERMIT, who, at, note_of(who, **details))
    return Admitted(cookie, PortalCaller(who, csrf, tag.hex(), language))


async def session_at(cookie: str, services: Services, address: str = "") -> PortalCaller | None:
    """Who is signed in by this cookie, or None: ended, idle, changed or never was."""
    at, tag = services.now(), _tag(services, cookie)
    rows = await services.db.read(accounts.SESSION, tag)
    if not rows:
        return None
    row = SignedIn(*rows[0])
    if at >= row.ends or at - row.seen >= IDLE:
        return None
    if row.state != "active" or row.epoch != row.account_epoch or not row.held:
        return None
    try:
        in_hand = msgspec.msgpack.decode(
            services.vault.open_field("portal_session", tag.hex(), row.sealed), type=_InHand
        )
    except (SealBroken, msgspec.MsgspecError):
        return None
    if at - row.seen >= _TOUCH:
        await services.db.session(accounts.touch, tag, at)
    who = _caller(services, row.login, row.organization, row.account_sealed, row.role, tag, address)
    if at < in_hand.strong:
        who = replace(who, strength=2)
    return PortalCaller(
        who, row.csrf, tag.hex(), in_hand.language, in_hand.chart, in_hand.strong
    )  # fmt: skip


async def keep(
    portal: PortalCaller,
    services: Services,
    *,
    language: Language | None = None,
    chart: str | None = None,
) -> PortalCaller:
    """Take another language or chart in hand; the session as it is from the next request on."""
    changed = replace(
        portal,
        language=portal.language if language is None else language,
        chart=portal.chart if chart is None else chart,
    )
    tag = bytes.fromhex(portal.handle)
    sealed = _sealed(services, tag, _InHand(changed.language, changed.chart, changed.strong))
    await services.db.session(accounts.keep, tag, sealed)
    return changed


async def rotate(services: Services, portal: PortalCaller, *, strong: int) -> Admitted | None:
    """The same session under a new cookie, strong until `strong`; None when it has ended.

    What it has in hand and its end stay; the cookie before is worth nothing any more.
    """
    cookie = secrets.token_urlsafe(32)
    old, tag = bytes.fromhex(portal.handle), _tag(services, cookie)
    sealed = _sealed(services, tag, _InHand(portal.language, portal.chart, strong))
    if not await services.db.session(accounts.rotate, old, tag, sealed):
        return None
    who = replace(portal.caller, strength=2, session=tag.hex()[:16])
    return Admitted(cookie, replace(portal, caller=who, handle=tag.hex(), strong=strong))


async def proved(services: Services, login: str, password: str) -> Person | None:
    """Whose password it is, without signing anybody in; None whatever was wrong.

    It counts as an attempt to sign in, and locks like one.
    """
    attempt = await services.db.session(accounts.attempt, login, services.now())
    text = unicodedata.normalize("NFKC", password[: LONGEST_PASSWORD + 1])
    matches = await _in_turn(attempt.password if attempt else None, text)
    if attempt is None or attempt.locked or not matches or not attempt.person.active:
        return None
    await services.db.session(accounts.forgive, login)
    return attempt.person


async def sign_out(portal: PortalCaller, services: Services) -> None:
    """End the session at once; its cookie is worth nothing afterwards."""
    await services.db.session(accounts.end, bytes.fromhex(portal.handle))
    body = note_of(portal.caller)
    await services.log.note(Noted.LOGOUT, Outcome.PERMIT, portal.caller, services.now(), body)


def name_of(services: Services, person: Person) -> tuple[str, str]:
    """(name, licence number) of an account's owner."""
    return _opened(services, person.login, person.sealed)


def _opened(services: Services, login: str, sealed: bytes) -> tuple[str, str]:
    plain = services.vault.open_field("account", login, sealed)
    return msgspec.msgpack.decode(plain, type=tuple[str, str])


def _caller(
    services: Services,
    login: str,
    organization: str,
    sealed: bytes,
    role: str,
    tag: bytes,
    address: str,
) -> Caller:
    name, _ = _opened(services, login, sealed)
    return Caller(
        client="portal",
        organization=organization,
        role=role,
        user=login,
        name=name,
        purpose=_PURPOSE.get(role, ""),
        session=tag.hex()[:16],
        address=address,
    )


def _tag(services: Services, cookie: str) -> bytes:
    return services.vault.digest("portal-session", cookie.encode())


def _sealed(services: Services, tag: bytes, in_hand: _InHand) -> bytes:
    plain = msgspec.msgpack.encode(in_hand)
    return services.vault.seal_field("portal_session", tag.hex(), plain)


# The cookie.


def _cookie_name(settings: Settings) -> str:
    if settings.behind_proxy or settings.tls_certificate.name:
        return "__Host-session"
    if settings.demo:
        return "session"  # browsers take no __Host- cookie over plain HTTP
    raise Problem(Kind.REFUSED, "Signing in needs TLS.")


def cookie_of(request: Request, settings: Settings) -> str | None:
    """The session cookie a browser sent, if it sent exactly one."""
    name = _cookie_name(settings)
    # Counted by hand: a cookie planted from elsewhere stands beside ours, and parsers pick one.
    pairs = [
        pair.strip().partition("=")
        for line in request.headers.getlist("cookie")
        for pair in line.split(";")
    ]
    ours = [value for key, _, value in pairs if key == name]
    return ours[0] if len(ours) == 1 and 0 < len(ours[0]) <= 128 else None


def set_cookie(response: Response, cookie: str, settings: Settings) -> None:
    """Give the browser its session: for this host and path only, out of reach of scripts."""
    name = _cookie_name(settings)
    response.set_cookie(
        name, cookie, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="strict"
    )


def clear_cookie(response: Response, settings: Settings) -> None:
    """Take the session away from the browser, and what it had cached."""
    name = _cookie_name(settings)
    response.delete_cookie(
        name, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="strict"
    )
    response.headers["clear-site-data"] = '"cache", "storage"'


# Requests that change something.


def same_origin(headers: Mapping[str, str], settings: Settings) -> bool:
    """Whether the browser says that our own page sent this request.

    `Sec-Fetch-Site` decides where browsers send it; else `Origin` must be ours. A request with
    neither is from no browser we support. Also checked at sign-in, where there is no session yet.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    ours = urlsplit(settings.base_url)
    return headers.get("origin") == f"{ours.scheme}://{ours.netloc}"
