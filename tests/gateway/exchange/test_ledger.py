"""Events of recognition come back as they were written, once, and tell a thief nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import structs

from gateway.exchange import ledger, vouched
from gateway.recognition.ledger import Event, Happened
from gateway.services import Services
from gateway.store.engine import Row, Tx
from gateway.store.ledger import ALL, OF_QUESTION, EventRow
from gateway.store.statements import Statement

EVENT = Event(
    Happened.PROMPT, "q" * 32, 1_000, "tcm", "people", "HR-L-0001", "p" * 32, "r" * 32,
    practitioner="dr-li", hook="order-select", price="12.50",
)  # fmt: skip


async def test_an_event_is_kept_once_and_read_back(services: Services) -> None:
    prepared = ledger.prepared([EVENT], services)
    for _ in range(2):
        await services.db.do(_add, prepared)
    assert await ledger.between(1_000, 1_001, services) == [EVENT]
    assert await ledger.between(0, 1_000, services) == []
    assert await ledger.of_question(EVENT.question, services) == [EVENT]


async def test_the_stored_row_does_not_say_who_or_what(services: Services) -> None:
    await services.db.do(_add, ledger.prepared([EVENT], services))
    (row,) = await services.db.read(OF_QUESTION, EVENT.question)
    told = repr(EventRow(*row))
    assert "HR-L-0001" not in told
    assert "dr-li" not in told
    assert "people" not in told


def test_pseudonyms_differ_by_what_they_are_about(services: Services) -> None:
    person = ledger.pseudonym("patient", "a", services)
    assert person == ledger.pseudonym("patient", "a", services)
    assert person != ledger.pseudonym("result", "a", services)
    assert len(person) == 32


def _add(tx: Tx, prepared: ledger.Prepared) -> None:
    ledger.add(tx, prepared)


class Meanwhile:
    """A store in which somebody writes as soon as the rows of the ledger are about to be read."""

    def __init__(self, services: Services) -> None:
        self._services, self._left = services, [2_000, 3_000]

    def __getattr__(self, name: str) -> object:
        return getattr(self._services.db, name)

    async def read(self, statement: Statement, *given: Any) -> Sequence[Row]:
        if statement is ALL and self._left:
            other = structs.replace(EVENT, at=self._left.pop())
            await self._services.db.do(ledger.write, ledger.prepared([other], self._services))
        return await self._services.db.read(statement, *given)


async def test_what_is_written_while_rows_are_compared_with_the_log_is_no_contradiction(
    services: Services,
) -> None:
    await services.db.do(_add, ledger.prepared([EVENT], services))
    busy = replace(services, db=Meanwhile(services))  # type: ignore[arg-type]
    assert await vouched.contradictions(busy) == []
    assert len(await ledger.between(0, 4_000, services)) == 3
