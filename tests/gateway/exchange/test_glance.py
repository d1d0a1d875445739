"""What an IT office should know first, many messages read again, and messages to its HIS that failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import glance, replays
from gateway.exchange.replays import Choice
from gateway.store import write_backs
from gateway.store.engine import Tx
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import LI, ZHOU, Office, office

BY_HAND = '"method" = "\'by hand\' | codeable_text"'
DAY = 86_400


@pytest.fixture
def here(house: House, tmp_path: Path) -> Office:
    return office(house, tmp_path / "sites")


async def test_what_is_stuck_held_silent_or_failed_is_counted_for_the_own_hospital(here: Office):
    house, services = here.house, here.services
    await house.file(house.adt(person()), b"MSH|not a message")
    await house.send(house.oru(person()))
    seen = await glance.glance(LI, services)
    assert (seen.stuck, seen.held) == (0, 1)
    assert "people-his" not in {one.source for one in seen.silent}
    house.clock.forward(700)
    assert (await glance.glance(LI, services)).stuck == 1
    house.clock.forward(2 * DAY)

    seen = await glance.glance(LI, services)
    other = await glance.glance(ZHOU, services)

    assert (seen.stuck, seen.held) == (1, 0)
    assert "people-his" in {one.source for one in seen.silent}
    assert (other.stuck, other.held) == (0, 0)
    assert {one.source for one in other.silent}.isdisjoint(one.source for one in seen.silent)
    with pytest.raises(Problem) as caught:
        await glance.glance(replace(LI, role="clinician"), services)
    assert caught.value.kind is Kind.REFUSED


async def test_a_message_to_the_own_his_that_failed_is_sent_again_once(here: Office):
    services = here.services

    def fail(tx: Tx) -> None:
        row = (
            "a" * 32,
            "people",
            "c" * 32,
            "t",
            1,
            "failed",
            24,
            1,
            "ConnectTimeout",
            b"x",
            "alert",
        )
        tx.run(write_backs.ADD, *row)

    await services.db.do(fail)
    [failed] = (await glance.glance(LI, services)).failed
    assert (failed.tries, failed.error) == (24, "ConnectTimeout")
    assert (await glance.glance(ZHOU, services)).failed == ()
    told = set()
    for id, caller in (("a" * 32, ZHOU), ("b" * 32, LI)):
        with pytest.raises(Problem) as caught:
            await glance.send_again(id, caller, services)
        told.add((caught.value.kind, str(caught.value)))
    assert len(told) == 1
    await glance.send_again("a" * 32, LI, services)
    assert (await glance.glance(LI, services)).failed == ()
    [due] = await services.db.read(write_backs.DUE, services.now(), 9)
    assert write_backs.MessageRow(*due).attempts == 0
    with pytest.raises(Problem):
        await glance.send_again("a" * 32, LI, services)


async def broken(*_: object) -> None:
    raise ConnectionError


async def test_many_are_tried_then_done_and_only_what_was_tried(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    here.add_rule("Observation", BY_HAND)
    await here.release()
    number = await glance.try_many("people-his", Choice(kind="ORU^*"), LI, here.services)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(here.services.log), "note", broken)
        with pytest.raises(ConnectionError):
            await glance.settle_many(number, "pause", LI, here.services)
    [untouched] = await glance.reruns(LI, here.services)
    assert untouched.state == "running", "what nobody noted has not happened"
    with pytest.raises(Problem) as early:
        await glance.settle_many(number, "do", LI, here.services)
    assert early.value.kind is Kind.CONFLICT
    tried = replays.tally_of(await here.finish(number))
    assert (tried.changed, tried.passed) == (1, 1)
    assert (await here.house.only("Observation")).version == 1
    for act in ("do", "pause"):
        with pytest.raises(Problem) as foreign:
            await glance.settle_many(number, act, ZHOU, here.services)
        assert foreign.value.kind is Kind.UNKNOWN

    done = await glance.settle_many(number, "do", LI, here.services)

    row = await here.finish(done)
    assert (row.dry, row.kind, replays.tally_of(row).types) == (0, "ORU^*", tried.types)
    assert (await here.house.only("Observation")).version == 2
    assert [one.id for one in await glance.reruns(LI, here.services)] == [done, number]
    assert await glance.reruns(ZHOU, here.services) == ()
