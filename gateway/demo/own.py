"""Residents of the pretend county with accounts of their own, opened at the desk as it is done."""

from __future__ import annotations

import re

from gateway.auth.first_password import first_password
from gateway.demo import story
from gateway.demo.residents import Resident
from gateway.errors import Kind, Problem
from gateway.exchange import mandates, own_accounts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.messenger import KeptMessenger

LOGIN, OWNER = story.RESIDENT.login, "zu"
SCAN = b"%PDF-1.4\n% a household register of the pretend county\n%%EOF\n"
CHILD_AGE = 12  # surely a child, whose guardian decides


def child_of(county: story.County) -> Resident:
    """The resident who plays the child: the first who is young enough and has
    a number of their own."""
    youngest = county.today.replace(year=county.today.year - CHILD_AGE, day=1)
    return next(
        one
        for one in county.residents
        if one.born and one.born > youngest and one.number[6:14] == f"{one.born:%Y%m%d}"
    )


async def open_accounts(services: Services, county: story.County, desk: Caller) -> None:
    """The mother's account and her right to act for the child; done already, it stays so."""
    messenger, owner = services.messenger, county.resident(OWNER)
    if not isinstance(messenger, KeptMessenger):
        return
    try:
        await own_accounts.ask(owner.number, owner.name, owner.phone, desk, services, wished=LOGIN)
    except Problem as problem:
        if problem.kind is Kind.CONFLICT:
            return
        raise
    await own_accounts.confirm(LOGIN, _code(messenger, r"\d{6}"), desk, services)
    await first_password(
        services,
        login=LOGIN,
        code=_code(messenger, r"\w{4}-\w{4}-\w{4}"),
        password=story.PASSWORD,
        address="",
    )
    child = child_of(county)
    given = mandates.Given(
        ground="guardian",
        login=LOGIN,
        relation="parent",
        document="household-register",
        witness="周立",
        scan=SCAN,
        name=child.name,
    )
    await mandates.record(child.number, given, desk, services)


def _code(messenger: KeptMessenger, shape: str) -> str:
    found = re.search(rf"(?<![\w]){shape}(?![\w])", messenger.sent[-1][1])
    assert found is not None, "the message carries a code"
    return found.group()
