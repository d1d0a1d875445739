"""A resident sets the password of their own account, with the code that was sent to them."""

from __future__ import annotations

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth import people
from gateway.auth.systems import note_of
from gateway.errors import Kind, Problem
from gateway.exchange import desk, own_accounts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.accounts import tidy


async def first_password(
    services: Services, *, login: str, code: str, password: str, address: str
) -> None:
    """Open the account under the password its owner chose; who was signed in with it is not.

    Problem(MALFORMED) for a password that is too short or too long, before the code is looked at;
    Problem(UNAUTHENTICATED), with one text whatever was wrong: login, code, or both.
    """
    people.check_password(password)
    login = tidy(login)[:64]
    county = desk.controller(services)
    who = Caller(client="portal", organization=county, role="patient", user=login, address=address)
    identity = await own_accounts.redeem(login, code[:64], address, services)
    if identity is None:
        body = note_of(who, check="code")
        await services.log.note(Noted.LOGIN_FAILED, Outcome.DENY, who, services.now(), body)
        raise Problem(Kind.UNAUTHENTICATED, "The login or the code is not right.")
    await people.open_account(
        services,
        login=login,
        name=identity.name,
        organization=county,
        password=password,
        roles=("patient",),
        by=who,
    )
