"""Takes in deliveries of many messages, from a file of any size or a large body: in batches, each durably kept.

Stopping anywhere is harmless: what was kept is found again as a duplicate, so the same delivery sent or
loaded once more goes on where it ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from gateway.errors import Kind, Problem
from gateway.exchange.receive import Receipt, Unit, receive, source_named
from gateway.services import Services
from gateway.store import inbox
from gateway.store.engine import Tx
from mappings.engine import Issue, Map, TooLarge

BATCH = 200
BATCH_BYTES = 8_000_000


async def load(
    source_name: str, file: Path, services: Services
) -> AsyncIterator[tuple[list[str], int]]:
    """Keep every message of a file as if the source had sent it.

    Gives after each commit the outcomes of its messages (`new`, `again`, `conflict`) and how many
    more bytes of the file are done. A batch shorter than its trailer says raises an alarm. Raises
    Problem UNKNOWN for an undeclared source, TOO_LARGE when one message is over the limit, BUSY when
    the gateway cannot keep more now; what was given before is kept.
    """
    source = await source_named(source_name, services)
    reading = _File(file, await services.maps.get(source.map))
    done = 0
    async for receipts in in_batches(source.name, reading.units(), services, "file"):
        yield [receipt.outcome for receipt in receipts], reading.position - done
        done = reading.position
    yield [], file.stat().st_size - done
    for code in sorted({one.code for one in reading.issues if one.severity == "alarm"}):
        await services.db.do(_alarm, code, source.name, services.now())


class _File:
    """A file read by its source's map; `position` is how far, `issues` what it says of the whole."""

    def __init__(self, path: Path, site: Map) -> None:
        self.path, self.site = path, site
        self.position = 0
        self.issues: list[Issue] = []

    def units(self) -> Iterator[Unit]:
        with self.path.open("rb") as opened:
            try:
                for unit in self.site.stream(opened, self.issues):
                    self.position = opened.tell()
                    yield unit
            except TooLarge:
                raise Problem(
                    Kind.TOO_LARGE, "A message in the file is larger than its source may send."
                ) from None


async def in_batches(
    source_name: str, units: Iterable[Unit], services: Services, channel: str
) -> AsyncIterator[list[Receipt]]:
    """Receive units in order, a commit for each batch; gives the receipts after each commit."""
    batch: list[Unit] = []
    size = 0
    most = min(BATCH_BYTES, services.settings.body_limit)
    for unit in units:
        if batch and (len(batch) == BATCH or size + len(unit.raw) > most):
            yield await receive(source_name, batch, services, channel)
            batch, size = [], 0
        batch.append(unit)
        size += len(unit.raw)
    if batch:
        yield await receive(source_name, batch, services, channel)


def _alarm(tx: Tx, code: str, source: str, at: int) -> None:
    tx.run(inbox.ADD_ALARM, code, source, "", at)
