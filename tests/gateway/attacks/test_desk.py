"""Attacks by registrars and by residents: accounts on others' charts, codes, what needs no code."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from consent.fhir import Choice
from consent.reading import V3_PARTICIPATION
from gateway.auth import factors, people
from gateway.errors import Kind, Problem
from gateway.exchange import consents, evidence, own_accounts, own_consents
from gateway.portal.county import stories as county
from gateway.services.caller import OPERATOR
from gateway.services.messenger import KeptMessenger
from gateway.store import inbox
from tests.gateway.attacks.test_consents import consent, text
from tests.gateway.exchange.conftest import clock, house
from tests.gateway.exchange.house import REGISTRAR, House, person
from tests.gateway.exchange.residents_at_desk import MOTHER, Post, account

__all__ = ["clock", "house"]

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
KNOWN = replace(MOTHER, phone="13912345678")
SHEN = person()
THEIRS = "13700000007"  # the registrar's own
DAY = 24 * 3600


async def alarms(house: House) -> int:
    found = await house.services.db.read(inbox.ALARMS, 100)
    return sum(row[1] == own_accounts.ALARM for row in found)


@ON_SQLITE
async def test_an_account_under_another_telephone_than_hospitals_know_is_told_to_the_known_one(
    house: House,
) -> None:
    post = Post(house.services)
    await house.file(house.adt(KNOWN))
    house.clock.forward(DAY + 1)
    await account(KNOWN, house.services, phone=THEIRS)
    [said] = [words for to, words in post.sent if to == KNOWN.phone]
    assert "账户" in said
    assert not any(word in said for word in (KNOWN.name, THEIRS, "人民医院"))
    assert await alarms(house) == 1


@ON_SQLITE
async def test_an_account_under_the_telephone_hospitals_know_is_nobodys_alarm(house: House) -> None:
    await house.file(house.adt(KNOWN))
    house.clock.forward(DAY + 1)
    await account(KNOWN, house.services)
    assert await alarms(house) == 0
    assert len(Post(house.services).sent) == 2


@ON_SQLITE
async def test_who_owns_an_account_is_told_when_the_desk_closes_it(house: House) -> None:
    await house.file(house.adt(KNOWN))
    mine = await account(KNOWN, house.services)
    post = Post(house.services)
    before = len(post.sent)
    await own_accounts.end(mine.user, REGISTRAR, house.services)
    [(to, said)] = post.sent[before:]
    assert to == KNOWN.phone
    assert KNOWN.name not in said


@ON_SQLITE
async def test_closing_it_oneself_needs_no_message_and_a_silent_messenger_keeps_nothing_open(
    house: House,
) -> None:
    await house.file(house.adt(KNOWN))
    mine, services = await account(KNOWN, house.services), house.services
    assert isinstance(services.messenger, KeptMessenger)
    before = len(services.messenger.sent)
    await own_accounts.end(mine.user, mine, services)
    assert len(services.messenger.sent) == before
    assert await own_accounts.of_person(house.chart(), services) is None


@ON_SQLITE
async def test_the_desk_reaches_the_account_of_whom_it_has_before_it_and_no_other(
    house: House,
) -> None:
    await house.file(house.adt(KNOWN), house.adt(SHEN, "0000000002", visit="V2"))
    mine, stories = await account(KNOWN, house.services), county(house.services)
    sent = len(Post(house.services).sent)
    for act in (stories.renew_account, stories.close_account):
        with pytest.raises(Problem) as told:
            await act(SHEN.number, REGISTRAR)
        assert told.value.kind is Kind.UNKNOWN
    assert len(Post(house.services).sent) == sent
    assert await own_accounts.phone_of(mine.user, house.services) == KNOWN.phone
    await stories.close_account(KNOWN.number, REGISTRAR)
    assert await own_accounts.phone_of(mine.user, house.services) == ""


async def test_of_many_codes_asked_for_at_once_five_go_out(house: House) -> None:
    await house.file(house.adt(SHEN))
    plain = consent(house)
    plain.pop("sourceAttachment")
    words = text(plain)
    phone = evidence.Phone(THEIRS, "source")
    asked = [
        evidence.begin_code(words, house.chart(), phone, REGISTRAR, house.services)
        for _ in range(9)
    ]
    found = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in found if isinstance(one, Problem)]
    assert [one.kind for one in refused] == [Kind.THROTTLED] * 4
    assert len(Post(house.services).sent) == evidence.SENT_AN_HOUR


@ON_SQLITE
async def test_a_permission_that_holds_a_refusal_is_taken_back_by_a_code_only(house: House) -> None:
    """Ending it opens what its exception kept shut."""
    await house.file(house.adt(KNOWN))
    mine, services, chart = await account(KNOWN, house.services), house.services, house.chart()
    plain = consent(house, Choice.PERMIT_TREATMENT)
    plain["provision"]["provision"] = [
        {
            "type": "deny",
            "actor": [
                {
                    "role": {"coding": [{"system": V3_PARTICIPATION, "code": "IRCP"}]},
                    "reference": {"reference": "Organization/tcm"},
                }
            ],
        }
    ]
    made = await consents.create(text(plain), REGISTRAR, services)
    sent = await own_consents.withdraw(chart, made.id, mine, services)
    assert sent is not None
    assert (await consents.read(made.id, REGISTRAR, services)).active


@ON_SQLITE
async def test_of_two_who_take_a_second_factor_the_first_keeps_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the password and is a moment later does not put theirs in its place."""
    services, password = house.services, "eleven-chars"
    await people.open_account(
        services, login="li", name="李", organization="people", password=password,
        roles=("clinician",), by=REGISTRAR,
    )  # fmt: skip
    portal = (await people.sign_in(services, login="li", password=password)).portal

    async def not_yet(*_: object) -> bool:
        return False

    monkeypatch.setattr(factors, "has", not_yet)
    owner, thief = factors.new_secret(), factors.new_secret()

    def code(secret: str) -> str:
        return factors.code_at(secret, services.now())

    assert await factors.enrol_own(services, portal, owner, password, code(owner))
    with pytest.raises(Problem) as told:
        await factors.enrol_own(services, portal, thief, password, code(thief))
    assert told.value.kind is Kind.REFUSED
    house.clock.forward(60)
    assert not await factors.shown(services, "li", code(thief))
    assert await factors.shown(services, "li", code(owner))


@ON_SQLITE
@pytest.mark.parametrize(
    ("later", "by_operator", "count"), [(60, False, 1), (DAY, False, 0), (60, True, 0)]
)
async def test_a_factor_taken_by_password_alone_and_used_at_once_raises_an_alarm(
    house: House, later: int, by_operator: bool, count: int
) -> None:
    """Who has stolen a password may take the first factor, but not without being asked about."""
    services, password = house.services, "eleven-chars"
    await people.open_account(
        services, login="li", name="李", organization="people", password=password,
        roles=("clinician",), by=REGISTRAR,
    )  # fmt: skip
    portal = (await people.sign_in(services, login="li", password=password)).portal
    secret = factors.new_secret()
    if by_operator:
        await factors.enrol(services, "li", secret, by=OPERATOR)
    else:
        code = factors.code_at(secret, services.now())
        assert await factors.enrol_own(services, portal, secret, password, code)
    for wait in (later, 60):
        house.clock.forward(wait)
        assert await factors.shown(services, "li", factors.code_at(secret, services.now()))
    found = await services.db.read(inbox.ALARMS, 100)
    assert [row[2] for row in found if row[1] == "fresh-factor"] == ["people"] * count
