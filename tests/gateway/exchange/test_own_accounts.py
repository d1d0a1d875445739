"""A resident's own account: who gets one, who does not, and what nobody at the desk can do."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway.auth import people
from gateway.auth.first_password import first_password
from gateway.errors import Kind, Problem
from gateway.exchange import own_accounts
from gateway.exchange.patients import charts_of
from gateway.identity.systems import RESIDENT_ID
from gateway.store import inbox
from gateway.store import oversight as listed
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import (
    CHILD,
    MOTHER,
    PASSWORD,
    Post,
    account,
    myself,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PHONE = "10012345678"


async def fault(work: Awaitable[Any]) -> tuple[Kind, str]:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind, caught.value.place


async def states(house: House) -> list[tuple[str, str]]:
    """(state, outcome) of every event about own accounts, oldest first."""
    from gateway.exchange.event_bodies import bodies

    found = await house.services.db.session(
        listed.events, listed.Narrow(kind="own-account"), 0, 100
    )
    told = await bodies(found.rows, house.services)
    return [
        (body.details["state"], row.outcome)
        for row, body in reversed(list(zip(found.rows, told, strict=True)))
        if body is not None
    ]


async def alarms(house: House) -> int:
    found = await house.services.db.read(inbox.ALARMS, 100)
    return sum(row[1] == "own-account" for row in found)


async def test_the_desk_checks_who_it_is_the_telephone_answers_and_only_the_owner_knows_the_password(
    house: House,
) -> None:
    services, post = house.services, Post(house.services)
    await house.file(house.adt(MOTHER))
    login = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    assert (await fault(own_accounts.confirm(login, "000000", REGISTRAR, services)))[1] == "code"
    await own_accounts.confirm(login, post.code(), REGISTRAR, services)
    secret = post.code()
    assert [to for to, _ in post.sent] == [PHONE, PHONE]
    assert all("医院" not in text and MOTHER.name not in text for _, text in post.sent)

    with pytest.raises(Problem):  # before the owner has set a password nobody signs in
        await people.sign_in(services, login=login, password="", address="10.0.0.1")
    await first_password(
        services, login=login.upper(), code=secret.lower(), password=PASSWORD, address="10.0.0.9"
    )
    admitted = await people.sign_in(services, login=login, password=PASSWORD)
    caller = admitted.portal.caller
    assert (caller.role, caller.purpose, caller.name) == ("patient", "PATRQT", MOTHER.name)
    assert await own_accounts.phone_of(login, services) == PHONE
    assert await states(house) == [("asked", "permit"), ("opened", "permit")]
    assert await alarms(house) == 0

    # The code is spent.
    again = first_password(services, login=login, code=secret, password="x" * 12, address="")
    assert (await fault(again))[0] is Kind.UNAUTHENTICATED
    assert await people.sign_in(services, login=login, password=PASSWORD)


async def test_one_person_has_one_account_also_when_two_desks_are_quick(house: House) -> None:
    services, post = house.services, Post(house.services)
    first = await account(MOTHER, services)
    twice = own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    assert (await fault(twice))[0] is Kind.CONFLICT

    await own_accounts.end(first.user, first, services)
    begun = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    code = post.code()
    other = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    late = own_accounts.confirm(begun, code, REGISTRAR, services)
    assert await fault(late) == (Kind.UNPROCESSABLE, "code")  # the newer question replaced it
    await own_accounts.confirm(other, post.code(), REGISTRAR, services)
    [chart] = await charts_of(RESIDENT_ID, MOTHER.number, services)
    standing = await own_accounts.of_person(chart, services)
    assert standing is not None
    assert (standing.login, standing.phone, standing.waiting) == (other, "100****5678", True)


@ON_SQLITE
async def test_a_name_that_is_not_the_numbers_is_refused_and_noted(house: House) -> None:
    await house.file(house.adt(MOTHER))
    wrong = own_accounts.ask(MOTHER.number, "李四", PHONE, REGISTRAR, house.services)
    assert await fault(wrong) == (Kind.UNPROCESSABLE, "name")
    assert await states(house) == [("refused", "deny")]
    assert Post(house.services).sent == []


@ON_SQLITE
@pytest.mark.parametrize("phone", ["", "12345", "1001234567a", "00000000000", "100123456789"])
async def test_a_number_that_is_no_mobile_telephone_gets_no_code(house: House, phone: str) -> None:
    asked = own_accounts.ask(MOTHER.number, MOTHER.name, phone, REGISTRAR, house.services)
    assert await fault(asked) == (Kind.UNPROCESSABLE, "phone")


@ON_SQLITE
async def test_under_the_self_access_age_there_is_no_account_and_on_the_birthday_there_is(
    house: House,
) -> None:
    young = person("young", "陈知夏", date(2012, 3, 2))  # 14 tomorrow, by the house's clock
    asked = own_accounts.ask(young.number, young.name, PHONE, REGISTRAR, house.services)
    assert await fault(asked) == (Kind.UNPROCESSABLE, "age")
    house.clock.forward(24 * 3600)
    assert await own_accounts.ask(young.number, young.name, PHONE, REGISTRAR, house.services)


@ON_SQLITE
async def test_nobody_but_the_desk_opens_accounts_and_nobody_else_ends_them(house: House) -> None:
    services = house.services
    mine = await account(MOTHER, services)
    for caller in (clinician(), myself("r00000000"), replace(REGISTRAR, role="privacy")):
        asked = own_accounts.ask(CHILD.number, CHILD.name, PHONE, caller, services)
        assert (await fault(asked))[0] is Kind.REFUSED
        assert (await fault(own_accounts.end(mine.user, caller, services)))[0] is Kind.REFUSED
        assert (await fault(own_accounts.renew(mine.user, caller, services)))[0] is Kind.REFUSED
    assert (await fault(own_accounts.end("r99999999", REGISTRAR, services)))[0] is Kind.UNKNOWN


@ON_SQLITE
async def test_whoever_guesses_learns_neither_logins_nor_codes(house: House) -> None:
    services, post = house.services, Post(house.services)
    login = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    await own_accounts.confirm(login, post.code(), REGISTRAR, services)
    good = post.code()
    heard = []
    for tried in ("r00000000", login, login, login, login, login):
        with pytest.raises(Problem) as caught:
            await first_password(
                services, login=tried, code="AAAA-AAAA-AAAA", password=PASSWORD, address="10.0.0.7"
            )
        heard.append((caught.value.kind, caught.value.text))
    assert len(set(heard)) == 1
    # Five wrong ones: the right one is worth nothing, until the desk sends another.
    late = first_password(services, login=login, code=good, password=PASSWORD, address="")
    assert (await fault(late))[0] is Kind.UNAUTHENTICATED
    await own_accounts.renew(login, REGISTRAR, services)
    await first_password(services, login=login, code=post.code(), password=PASSWORD, address="")
    assert await people.sign_in(services, login=login, password=PASSWORD)


@ON_SQLITE
async def test_codes_end(house: House) -> None:
    services, post = house.services, Post(house.services)
    login = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    house.clock.forward(601)
    late = own_accounts.confirm(login, post.code(), REGISTRAR, services)
    assert (await fault(late))[1] == "code"
    login = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, REGISTRAR, services)
    await own_accounts.confirm(login, post.code(), REGISTRAR, services)
    house.clock.forward(24 * 3600 + 1)
    late_too = first_password(
        services, login=login, code=post.code(), password=PASSWORD, address=""
    )
    assert (await fault(late_too))[0] is Kind.UNAUTHENTICATED


@ON_SQLITE
async def test_a_password_set_at_the_desks_own_machine_raises_an_alarm(house: House) -> None:
    services, post = house.services, Post(house.services)
    desk = replace(REGISTRAR, address="10.1.1.1")
    login = await own_accounts.ask(MOTHER.number, MOTHER.name, PHONE, desk, services)
    await own_accounts.confirm(login, post.code(), desk, services)
    assert await alarms(house) == 0
    await first_password(
        services, login=login, code=post.code(), password=PASSWORD, address="10.1.1.1"
    )
    assert await alarms(house) == 1


@ON_SQLITE
async def test_one_telephone_for_two_persons_raises_an_alarm(house: House) -> None:
    other = person("other", "李玘", date(1971, 4, 4))
    await account(MOTHER, house.services, phone=PHONE)
    assert await alarms(house) == 0
    await account(other, house.services, phone=PHONE)
    assert await alarms(house) == 1


@ON_SQLITE
async def test_an_account_that_ended_signs_nobody_in_and_signs_out_whoever_is(house: House) -> None:
    services = house.services
    mine = await account(MOTHER, services)
    admitted = await people.sign_in(services, login=mine.user, password=PASSWORD)
    assert await people.session_at(admitted.cookie, services)
    await own_accounts.end(mine.user, REGISTRAR, services)
    assert await people.session_at(admitted.cookie, services) is None
    with pytest.raises(Problem):
        await people.sign_in(services, login=mine.user, password=PASSWORD)
    assert await own_accounts.phone_of(mine.user, services) == ""
