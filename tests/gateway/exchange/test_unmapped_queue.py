"""What no table knows is queued once, with the messages that met it, and nothing of it in clear."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from gateway.exchange import unmapped_queue
from gateway.services import Services
from gateway.store import tables
from gateway.store import unmapped as rows
from gateway.store.statements import Statement
from mappings.engine import Unmapped
from tests.gateway.exchange.house import House, person

LINKS = Statement(select(tables.UnmappedMessage.__table__))  # type: ignore[attr-defined]
STATES = ("open", "proposed", "approved", "ignored")


async def lines(services: Services) -> list[tuple[Unmapped, rows.Line]]:
    found = await services.db.session(rows.queue, ["people-his"], STATES, 100)
    return [(unmapped_queue.open_line(line, services), line) for line in found]


async def test_a_code_nobody_knows_is_one_line_with_every_message_that_met_it(house: House):
    strange = ("CP01", "0.25", "F")
    await house.file(
        house.adt(person()),
        house.oru(person(), "0000000001", strange, report="R1"),
        house.oru(person(), "0000000001", strange, report="R2"),
        house.oru(person(), "0000000001", ("ALT", "12", "F"), report="R3"),
    )

    ((unmapped, line),) = await lines(house.services)
    assert unmapped == Unmapped("items", "CP01", "CP01", "SER", "U/L")
    assert (line.messages, line.state) == (2, "open")
    assert line.first_at < line.last_at
    assert len(await house.services.db.read(LINKS)) == 2


async def test_filing_again_counts_nothing_twice(house: House):
    await house.file(house.adt(person()), house.oru(person(), "0000000001", ("CP01", "1", "F")))
    before = await lines(house.services)

    await house.again()

    assert await lines(house.services) == before


async def test_code_and_name_stand_nowhere_in_clear(house: House):
    name = "王珅的铜蓝蛋白"  # a code cell may hold anything, even a patient's name
    raw = house.oru(person(), "0000000001", (name, "1", "F"))
    await house.file(house.adt(person()), raw)

    ((unmapped, _),) = await lines(house.services)
    assert unmapped.code == name
    for table in (tables.Unmapped, tables.UnmappedMessage):
        found = await house.services.db.read(Statement(select(table.__table__)))  # type: ignore[attr-defined]
        assert found
        assert name.encode() not in b"".join(map(_plain, found))


def _plain(row: Any) -> bytes:
    return b"".join(c if isinstance(c, bytes) else str(c).encode() for c in row)


async def test_beyond_the_bound_messages_are_counted_but_not_remembered(house: House, monkeypatch):
    monkeypatch.setattr(unmapped_queue, "MOST_MESSAGES", 1)
    reports = [house.oru(person(), "0000000001", ("CP01", "1", "F"), report=r) for r in "ABC"]
    await house.file(house.adt(person()), *reports)

    ((_, line),) = await lines(house.services)
    assert line.messages == 3
    assert len(await house.services.db.read(LINKS)) == 1


async def test_a_sender_with_values_in_its_codes_does_not_fill_the_queue(house: House, monkeypatch):
    monkeypatch.setattr(unmapped_queue, "MOST_OPEN", 2)
    codes = [(f"X{n}", "1", "F") for n in range(5)]
    states = await house.file(house.adt(person()), house.oru(person(), "0000000001", *codes))

    assert states == ["filed", "filed"]
    assert len(await lines(house.services)) == 2


async def test_a_line_is_of_one_source_whatever_name_the_code_came_with(house: House):
    def digest(source: str, *given: str) -> bytes:
        return unmapped_queue.met(source, [Unmapped("items", *given)], house.services)[0].digest

    assert digest("a", "X", "铜蓝蛋白") == digest("a", "X", "★铜蓝蛋白")
    assert digest("a", "X") != digest("b", "X")
    assert digest("a", "X", "", "SER") != digest("a", "X", "", "UR")


async def test_messages_filed_at_once_make_one_line_and_lose_no_count(house: House):
    services = house.services
    codes = [Unmapped("items", code) for code in ("X1", "X2", "X3")]

    async def file(number: int) -> None:
        # In whatever order a message names them, every transaction takes them in the same.
        found = unmapped_queue.met("people-his", codes[:: 1 if number % 2 else -1], services)
        given = ("people-his", f"m{number}", found, number, services)
        await services.db.do(unmapped_queue.note, *given)

    await asyncio.gather(*(file(number) for number in range(20)))
    await asyncio.gather(*(file(number) for number in range(20)))

    assert [line.messages for _, line in await lines(services)] == [20, 20, 20]
    assert len(await services.db.read(LINKS)) == 60


async def test_a_line_whose_filing_failed_is_made_by_the_next(house: House):
    services = house.services
    found = unmapped_queue.met("people-his", [Unmapped("items", "X")], services)

    def broken(tx: Any) -> None:
        unmapped_queue.note(tx, "people-his", "m1", found, 1, services)
        raise RuntimeError

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await services.db.do(broken)
    await services.db.do(unmapped_queue.note, "people-his", "m2", found, 2, services)

    assert [line.messages for _, line in await lines(services)] == [1]
