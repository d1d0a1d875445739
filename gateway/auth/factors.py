"""The second factor: one-time codes by time (RFC 6238), each worth one step-up for a few minutes.

Six digits, thirty seconds, SHA-1, as every authenticator app reads them; one step of either side is
taken, and no code twice. Who has lost theirs is helped by the operator and by nobody else.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth import people
from gateway.auth.people import Admitted, PortalCaller
from gateway.auth.systems import note_of
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import accounts, factors, inbox
from gateway.store.engine import Tx

STEP = 30
DIGITS = 6
SECRET_BYTES = 20  # RFC 4226 section 4, R6
FRESH = 24 * 3_600_000_000  # a factor taken by password alone is watched for so long, in µs
ALARM = "fresh-factor"
STRONG_FOR = 5 * 60_000_000  # how long a step-up lasts, in µs


def new_secret() -> str:
    """A fresh secret, in the spelling authenticator apps take (base 32)."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def address(login: str, secret: str, county: str) -> str:
    """The `otpauth` address that a QR code holds."""
    label = quote(f"{county}:{login}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': county})}"


def code_at(secret: str, at: int) -> str:
    """The code of an instant (µs UTC)."""
    return _totp(secret).generate(at // 1_000_000).decode()


def _totp(secret: str) -> TOTP:
    # HMAC-SHA-1 is what every authenticator app computes; collisions of SHA-1 do not touch it.
    sha1 = SHA1()  # noqa: S303
    return TOTP(base64.b32decode(secret), DIGITS, sha1, STEP, enforce_key_length=False)


def _step_of(secret: str, code: str, at: int) -> int:
    """Which step a code belongs to, the one now or one beside it; 0 for none."""
    typed = "".join(code.split())
    now = at // 1_000_000 // STEP
    found = 0
    for step in (now - 1, now, now + 1):
        right = _totp(secret).generate(step * STEP)
        if hmac.compare_digest(right, typed.encode()):
            found = max(found, step)
    return found


def seal(services: Services, login: str, secret: str) -> bytes:
    """A secret as it is kept, bound to its account."""
    return services.vault.seal_field("second_factor", login, secret.encode())


async def has(services: Services, login: str) -> bool:
    """Whether the account has a second factor."""
    return await services.db.session(factors.enrolled, accounts.tidy(login))


async def enrol(services: Services, login: str, secret: str, *, by: Caller) -> None:
    """Give an account this secret and no other; Problem(UNKNOWN) without an account."""
    login, at = accounts.tidy(login), services.now()
    if await services.db.session(accounts.find, login) is None:
        raise Problem(Kind.UNKNOWN, "There is no such account.")
    await services.db.session(factors.put, login, seal(services, login, secret), by.user, at)
    body = note_of(by, account=login, state="enrolled")
    await services.log.note(Noted.SECOND_FACTOR, Outcome.PERMIT, by, at, body)


async def enrol_own(
    services: Services, portal: PortalCaller, secret: str, password: str, code: str
) -> bool:
    """Take a secret for one's own account: by password and a code of it; False when either is wrong.

    Problem(REFUSED) when there is one already: the operator takes it away first.
    """
    login = accounts.tidy(portal.caller.user)
    if await has(services, login):
        raise Problem(Kind.REFUSED, "There is a second factor already.")
    step = _step_of(secret, code, services.now())
    if not step or await people.proved(services, login, password) is None:
        return False
    at = services.now()
    sealed = seal(services, login, secret)
    if not await services.db.do(factors.put_first, login, sealed, at, step):
        raise Problem(Kind.REFUSED, "There is a second factor already.")
    body = note_of(portal.caller, account=login, state="enrolled")
    await services.log.note(Noted.SECOND_FACTOR, Outcome.PERMIT, portal.caller, at, body)
    return True


async def reset(services: Services, login: str, *, by: Caller) -> None:
    """Take an account's second factor away; Problem(UNKNOWN) when it has none."""
    login = accounts.tidy(login)
    if not await services.db.session(factors.drop, login):
        raise Problem(Kind.UNKNOWN, "There is no second factor of such an account.")
    body = note_of(by, account=login, state="taken away")
    await services.log.note(Noted.SECOND_FACTOR, Outcome.PERMIT, by, services.now(), body)


async def shown(services: Services, login: str, code: str) -> bool:
    """Whether a code is right now, and used up by saying so; tries are counted and lock for a while."""
    login, at = accounts.tidy(login), services.now()
    trial = await services.db.session(factors.attempt, login, at)
    if trial is None or trial.locked:
        return False
    secret = services.vault.open_field("second_factor", login, trial.sealed).decode()
    step = _step_of(secret, code, at)
    good = bool(step) and await services.db.session(factors.spend, login, trial.sealed, step)
    if good and trial.own and at - trial.made < FRESH:
        await services.db.do(_alarm, login, at)
    return good


def _alarm(tx: Tx, login: str, at: int) -> None:
    """A factor its owner took by password alone is used at once: perhaps it was the password's thief."""
    held = tx.one(accounts.ACCOUNT, login)
    if held is not None and tx.one(inbox.ALARM_STANDS, ALARM, login) is None:
        tx.run(inbox.ADD_ALARM, ALARM, str(held[0]), login, at)


async def proved(services: Services, who: Caller, code: str) -> bool:
    """Whether it is the person themselves a system speaks for: a code of their own; noted either way."""
    good = bool(who.user) and await shown(services, who.user, code)
    outcome = Outcome.PERMIT if good else Outcome.DENY
    await services.log.note(Noted.STEP_UP, outcome, who, services.now(), note_of(who))
    return good


async def step_up(services: Services, portal: PortalCaller, code: str) -> Admitted | None:
    """Show the second factor in a living session: it is strong for five minutes, under a new cookie.

    None whatever was wrong with the code. The cookie it came with is worth nothing afterwards.
    """
    who, at = portal.caller, services.now()
    admitted = None
    if await shown(services, who.user, code):
        admitted = await people.rotate(services, portal, strong=at + STRONG_FOR)
    outcome = Outcome.PERMIT if admitted else Outcome.DENY
    await services.log.note(Noted.STEP_UP, outcome, who, at, note_of(who))
    return admitted


async def vouch(
    services: Services, login: str, password: str, code: str, role: str, address: str
) -> Caller | None:
    """Somebody else at the same page proves who they are: password, second factor, role; or None.

    They are not signed in. Wrong passwords and codes count and lock as at signing in.
    """
    login = accounts.tidy(login)[:64]
    person = await people.proved(services, login, password)
    good = person is not None and role in person.roles and await shown(services, login, code)
    who = Caller(
        client="portal",
        organization=person.organization if person else "",
        role=role,
        user=login if person else "",
        name=people.name_of(services, person)[0] if person else "",
        strength=2 if good else 1,
        address=address,
    )
    outcome = Outcome.PERMIT if good else Outcome.DENY
    await services.log.note(Noted.STEP_UP, outcome, who, services.now(), note_of(who, as_="second"))
    return who if good else None
