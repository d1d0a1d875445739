"""Events of recognition come back as they were written, once, and tell a thief nothing."""

from __future__ import annotations

from gateway.exchange import ledger
from gateway.recognition.ledger import Event, Happened
from gateway.services import Services
from gateway.store.engine import Tx
from gateway.store.ledger import OF_QUESTION, EventRow

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
