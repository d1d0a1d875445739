"""Keeping: once, all or nothing, and the counts always agree."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import receive, sources
from gateway.exchange.receive import Unit
from gateway.store import inbox
from gateway.store.engine import Store
from tests.gateway.exchange.house import House, person


async def tally(house: House, name: str = "people-his") -> inbox.Tally:
    rows = await sources.tallies(house.services)
    assert all(row.agrees for row in rows)
    return next(row for row in rows if row.name == name)


async def test_the_same_bytes_are_one_message_however_often_and_however_they_come(
    house: House,
) -> None:
    raw = house.adt(person())
    first, second = await house.send(raw, raw)
    assert (first.outcome, second.outcome) == ("new", "again")
    assert first.id == second.id
    again = await asyncio.gather(*(house.send(raw) for _ in range(5)))
    assert {receipt.id for (receipt,) in again} == {first.id}
    await house.work()
    assert (await house.send(raw))[0].outcome == "again"
    found = await tally(house)
    assert (found.received, found.filed, found.duplicates) == (8, 1, 7)


async def test_a_control_id_used_for_other_content_is_kept_filed_and_alarmed(house: House) -> None:
    one, other = (house.adt(person(), visit=visit, control="H7") for visit in ("V1", "V2"))
    receipts = [*await house.send(one), *await house.send(other), *await house.send(other)]
    assert [receipt.outcome for receipt in receipts] == ["new", "conflict", "again"]
    assert await house.alarms() == ["control-id-reused"]
    await house.work()
    assert len(await house.current("Encounter")) == 2
    assert (await tally(house)).filed == 2


async def test_the_same_control_id_of_another_source_is_another_message(house: House) -> None:
    await house.send(house.adt(person(), control="H7"))
    (receipt,) = await receive.receive("tcm-lis", [Unit(b"other", "H7")], house.services)
    assert receipt.outcome == "new"
    assert await house.alarms() == []


async def test_messages_without_a_control_id_never_clash(house: House) -> None:
    receipts = await receive.receive("tcm-lis", [Unit(b"one"), Unit(b"two")], house.services)
    assert [receipt.outcome for receipt in receipts] == ["new", "new"]


async def test_an_undeclared_source_is_unknown_and_a_paused_one_is_told_to_come_again(
    house: House,
) -> None:
    with pytest.raises(Problem) as caught:
        await house.send(b"x", source="nobody")
    assert caught.value.kind is Kind.UNKNOWN
    await sources.set_state("people-his", "paused", house.services)
    with pytest.raises(Problem) as caught:
        await house.send(b"x")
    assert caught.value.kind is Kind.BUSY
    await sources.set_state("people-his", "active", house.services)
    assert (await house.send(b"x"))[0].outcome == "new"


async def test_too_large_is_said_and_nothing_of_it_is_kept(house: House) -> None:
    small = replace(house.services, settings=replace(house.services.settings, body_limit=100))
    with pytest.raises(Problem) as caught:
        await receive.receive("people-his", [Unit(b"x" * 60), Unit(b"y" * 60)], small)
    assert caught.value.kind is Kind.TOO_LARGE
    assert (await tally(house)).received == 0


async def test_a_delivery_is_kept_whole_or_not_at_all(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = receive._keep_one

    def fails_at_the_third(tx, letter):  # type: ignore[no-untyped-def]
        if letter.size == 3:
            raise LookupError
        return kept(tx, letter)

    monkeypatch.setattr(receive, "_keep_one", fails_at_the_third)
    with pytest.raises(LookupError):
        await receive.receive("people-his", [Unit(b"1"), Unit(b"22"), Unit(b"333")], house.services)
    found = await tally(house)
    assert (found.received, found.waiting) == (0, 0)
    assert await house.services.db.read(inbox.JOBS_WAITING, "file") == [(0,)]


async def test_what_could_not_be_sealed_is_not_acknowledged(house: House) -> None:
    class NoKeys:
        def __getattr__(self, name: str) -> object:
            raise Problem(Kind.BUSY, "no keys")

    closed = replace(house.services, vault=NoKeys())  # type: ignore[arg-type]
    with pytest.raises(Problem):
        await receive.receive("people-his", [Unit(b"x")], closed)
    assert (await tally(house)).received == 0


async def test_the_counts_agree_through_every_fate(house: House) -> None:
    one = house.adt(person())
    await house.send(one)
    assert (await tally(house)).waiting == 1
    await house.send(one)
    await house.file(house.oru(person()), b"not HL7 at all", b"MSH|^~\\&|x\r")
    found = await tally(house)
    assert (found.received, found.filed, found.quarantined, found.duplicates) == (5, 2, 2, 1)
    (row, *_) = await house.services.db.read(inbox.QUARANTINED, 10)
    assert await receive.replay(row[0], house.services)
    assert not await receive.replay(row[0], house.services), "it is in line already"
    assert (await tally(house)).waiting == 1
    await house.work()
    found = await tally(house)
    assert (found.filed, found.quarantined, found.waiting) == (2, 2, 0)
    assert not await receive.replay("unknown", house.services)


async def test_the_order_within_a_delivery_is_an_order_of_arrival(house: House) -> None:
    receipts = await house.send(*(house.adt(person(), visit=f"V{n}") for n in range(5)))
    db: Store = house.services.db
    times = [(await db.read(inbox.ARRIVAL, receipt.id))[0][0] for receipt in receipts]
    assert times == sorted(set(times))
