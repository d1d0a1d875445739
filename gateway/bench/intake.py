"""Measures the way in, in a process of its own on one core: raw messages to filed, sealed, noted records."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop

from gateway.bench import ceiling, county
from gateway.bench.machine import pin
from gateway.demo.people import CHARSET
from gateway.demo.volume import PER_MESSAGE, volume
from gateway.exchange.receive import Unit, receive
from gateway.jobs.worker import Worker
from gateway.services import Services
from gateway.store import inbox
from gateway.store.engine import sqlite_connection

PERSONS = 24
TOGETHER = 16  # messages in flight, as from as many connections
MOST = 1_600


async def measure(seconds: float, folder: Path) -> dict[str, Any]:
    """Messages a second of the gateway and of the bare program, alternating; bytes an observation.

    The ratio is that of each pair, neighbours in time.
    """
    messages = [
        Unit(one.raw, one.control_id)
        for one in islice(volume(PERSONS, 20 * MOST // PERSONS, "intake"), MOST)
    ]
    services = await county.opened(folder, "sqlite")
    bare = sqlite_connection(str(folder / "ceiling.sqlite"))
    for table in ceiling.TABLES:
        bare.execute(table.format(blob="BLOB"))
    worker = Worker(services)
    pairs: list[tuple[float, float]] = []
    done, tried = 0, 0
    await _file(services, worker, messages[:TOGETHER])  # the maps are compiled
    done += TOGETHER
    for _ in range(3):
        started = time.perf_counter()
        first = tried
        while time.perf_counter() - started < seconds / 12:
            tried += 1
            ceiling.file_message(bare, tried, messages[tried % MOST].raw, CHARSET)
        best = (tried - first) / (time.perf_counter() - started)
        started = time.perf_counter()
        first = done
        while time.perf_counter() - started < seconds / 4 and done + TOGETHER <= MOST:
            await _file(services, worker, messages[done : done + TOGETHER])
            done += TOGETHER
        while await worker.sequence_some():
            pass
        pairs.append(((done - first) / (time.perf_counter() - started), best))
    while await worker.keep_up():
        pass
    (state,) = {row.filed == row.received for row in await _tallies(services) if row.received}
    await services.close()
    bare.close()
    filed = [path for name in ("records", "keyring") if (path := folder / f"{name}.sqlite")]
    return {
        "pairs": pairs,
        "messages": done,
        "all filed": state,
        "observation bytes": sum(map(_used, filed)) / (done * PER_MESSAGE),
    }


async def _file(services: Services, worker: Worker, units: list[Unit]) -> None:
    await asyncio.gather(*(receive("people-his", [unit], services) for unit in units))
    while await worker.file_some():
        pass


async def _tallies(services: Services) -> list[inbox.Tally]:
    return [inbox.Tally(*row) for row in await services.db.read(inbox.TALLY)]


def _used(path: Path) -> int:
    """Bytes of the pages in use."""
    db = sqlite3.connect(path)
    try:
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
    finally:
        db.close()


def main() -> None:
    """Print what was measured as JSON."""
    pin(0)
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            json.dump(runner.run(measure(float(sys.argv[1]), folder)), sys.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
