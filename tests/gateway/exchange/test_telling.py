"""Residents are told: by message as soon as can be, once, and tried until somebody takes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import acting, casework, telling
from gateway.services.messenger import KeptMessenger
from gateway.store import notices, own
from gateway.store import oversight as listed
from gateway.store.engine import Tx
from tests.gateway.exchange.house import HOUR, House
from tests.gateway.exchange.test_casework import LU, QIAN, opened

CHART = "ab" * 16
PHONE = "10000000001"


@dataclass
class Deaf:
    """Takes nothing until it is told to."""

    open: bool = False
    asked: int = 0
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, phone: str, text: str) -> bool:
        self.asked += 1
        if self.open:
            self.sent.append((phone, text))
        return self.open


@pytest.fixture
def told(house: House) -> House:
    return House(replace(house.services, messenger=KeptMessenger()), house.clock)


async def account(house: House, login: str = "shen", phone: str = PHONE) -> None:
    """The resident's own account with a verified telephone."""
    services = house.services
    columns = list(own.ADD_OWN.names)
    identity = acting.Identity("王珅", phone, stands=True)
    given = {
        "login": login, "chart": CHART, "proof": "in-person",
        "sealed": acting.seal_identity(login, CHART, identity, services),
        "phone": b"", "verified": 1, "code": b"", "code_ends": 0, "attempts": 0,
        "made_by": "registrar", "at": 1, "ended": 0,
    }  # fmt: skip

    def put(tx: Tx) -> None:
        tx.run(own.ADD_OWN, *(given[name] for name in columns))

    await services.db.do(put)


async def notice(house: House, about: str = "c1", held: int = 0) -> None:
    def put(tx: Tx) -> None:
        notices.add(tx, CHART, "emergency", about, house.services.now(), held)

    await house.services.db.do(put)


def sent(house: House) -> list[tuple[str, str]]:
    messenger = house.services.messenger
    assert isinstance(messenger, KeptMessenger)
    return messenger.sent


async def test_a_message_goes_out_at_once_and_once(told: House) -> None:
    await account(told)
    await notice(told)
    assert await telling.send_due(told.services) == 1
    assert await telling.send_due(told.services) == 0
    [(phone, text)] = sent(told)
    assert phone == PHONE
    assert text == telling.TEXTS["emergency"]
    for secret in ("人民医院", "王珅", "医生", "dr-"):
        assert secret not in text
    events = await told.services.db.session(
        listed.events, listed.Narrow(kind=str(Noted.NOTICE)), 0, 5
    )
    assert events.total == 1


async def until_tried(house: House, deaf: Deaf) -> int:
    """How long it takes until the next try, in µs."""
    begun, tried = house.clock.at, deaf.asked
    while deaf.asked == tried:
        house.clock.forward(10)
        await telling.send_due(house.services)
    return house.clock.at - begun


async def test_what_is_not_taken_is_tried_again_later_and_later(told: House) -> None:
    deaf = Deaf()
    house = House(replace(told.services, messenger=deaf), told.clock)
    await opened(house)
    await account(house)
    await notice(house)
    waits = [await until_tried(house, deaf) for _ in range(6)]
    assert waits[1:] == sorted(waits[1:])
    assert waits[5] > 4 * waits[1]
    [missed] = await telling.undelivered(QIAN, house.services)
    assert (missed.kind, missed.organization) == ("emergency", "people")
    elsewhere = replace(QIAN, organization="tcm")
    assert await telling.undelivered(elsewhere, house.services) == ()
    assert await telling.count(house.services) == 1

    deaf.open = True
    house.clock.forward(7 * 3600)
    assert await telling.send_due(house.services) == 1
    assert await telling.count(house.services) == 0


async def test_a_crash_before_the_message_means_once_more(told: House) -> None:
    """The worker died after it took the notice in hand: counted, put off, not lost."""
    await account(told)
    await notice(told)
    [row] = await notices.of_charts(told.services.db, [CHART], told.services.now())
    assert await told.services.db.do(telling._take, row, told.clock.at + 20_000_000) == 1
    assert await told.services.db.do(telling._take, row, told.clock.at + 20_000_000) is None, (
        "two workers do not both have it"
    )
    assert await telling.send_due(told.services) == 0
    told.clock.forward(21)
    assert await telling.send_due(told.services) == 1


async def test_nobody_is_told_at_a_number_that_is_not_surely_theirs(told: House) -> None:
    await notice(told)
    assert await telling.send_due(told.services) == 0, "no account"
    await account(told)
    await account(told, "other", "10000000002")
    told.clock.forward(3600)
    assert await telling.send_due(told.services) == 0, (
        "two accounts: two persons' charts were joined"
    )
    assert sent(told) == []


async def test_an_officer_keeps_a_notice_back_for_safety_only(told: House) -> None:
    services = told.services
    id = await opened(told)
    await account(told)
    await notice(told, id)
    until = services.now() + 48 * HOUR
    why = "施暴嫌疑人掌握其手机"
    with pytest.raises(Problem) as caught:
        await telling.hold_back(id, until, why, QIAN, services)
    assert caught.value.kind is Kind.CONFLICT, "who has not taken the case"
    await casework.take(id, QIAN, services)
    with pytest.raises(Problem) as caught:
        await telling.hold_back(id, until, "安全", QIAN, services)
    assert caught.value.kind is Kind.UNPROCESSABLE
    with pytest.raises(Problem):
        await telling.hold_back(id, until, why, LU, services)
    await telling.hold_back(id, until, why, QIAN, services)

    assert await telling.send_due(services) == 0
    assert await notices.of_charts(services.db, [CHART], services.now()) == []
    told.clock.forward(48 * 3600 + 1)
    assert await telling.send_due(services) == 1
    assert len(await telling.read([CHART], services)) == 1
    with pytest.raises(Problem) as caught:
        await telling.hold_back(id, services.now() + HOUR, why, QIAN, services)
    assert caught.value.kind is Kind.CONFLICT, "told is told"
