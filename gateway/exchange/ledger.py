"""Writes and reads the events of recognition, sealed; the statistics' only source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.recognition.ledger import Event, decode, encode
from gateway.services import Services
from gateway.store import ledger as rows
from gateway.store.engine import Tx
from gateway.store.ledger import EventRow

_TABLE = "recognition_event"


def pseudonym(about: str, name: str, services: Services) -> str:
    """The keyed hash (32 hex) by which events know a person's identity group or a record."""
    return services.vault.digest(f"ledger-{about}", name.encode())[:16].hex()


def question_of(organization: str, patient: str, item: str, visit: str, services: Services) -> str:
    """The name of one question. `visit` is the encounter's id, or the county day when there is none."""
    parts = "\n".join((organization, patient, item, visit))
    return services.vault.digest("ledger-question", parts.encode())[:16].hex()


def prepared(events: Iterable[Event], services: Services) -> list[EventRow]:
    """Rows to be added. The same kind at the same question and time is the same row."""
    found = []
    for event in events:
        name = f"{event.question}\n{event.kind}\n{event.result}\n{event.at}"
        id = services.vault.digest("ledger-event", name.encode())[:16].hex()
        sealed = services.vault.seal_field(_TABLE, id, encode(event))
        found.append(
            EventRow(id, event.kind.value, event.at, event.organization, event.question, sealed)
        )
    return found


def add(tx: Tx, prepared: Sequence[EventRow]) -> None:
    """Add them in the caller's transaction."""
    if prepared:
        tx.many(rows.ADD, prepared)


async def between(start: int, end: int, services: Services) -> list[Event]:
    """Events with start ≤ at < end (µs UTC), oldest first."""
    return [_opened(row, services) for row in await services.db.read(rows.BETWEEN, start, end)]


async def of_question(question: str, services: Services) -> list[Event]:
    """All events of one question, oldest first."""
    return [_opened(row, services) for row in await services.db.read(rows.OF_QUESTION, question)]


def _opened(row: Sequence[object], services: Services) -> Event:
    found = EventRow(*row)  # type: ignore[arg-type]
    return decode(services.vault.open_field(_TABLE, found.id, found.sealed))
