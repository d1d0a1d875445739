"""Verifies the whole access log from its rows: what an auditor runs, here against the live store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.audit.verify import Fault, Finding, Report, Row, verify
from gateway.exchange.sequence import checkpoint_file, event_of, log_key
from gateway.services import Services
from gateway.store import log as rows

BATCH = 5_000


async def verify_log(services: Services, witnessed: Sequence[bytes] = ()) -> Report:
    """Check every entry, checkpoint and counter; reads the store, changes nothing.

    The checkpoint kept outside the database is always among the witnesses. Events that still wait
    for their place are checked by their writer's counters.
    """
    outside = checkpoint_file(services)
    kept = [outside.read_bytes()] if outside.exists() else []
    notes = [note.encode() for _, note in await services.db.read(rows.CHECKPOINTS)]
    loop = asyncio.get_running_loop()

    def entries() -> Iterator[Row]:
        first = 0
        while True:
            reading = services.db.read(rows.LOGGED, first, BATCH)
            found = asyncio.run_coroutine_threadsafe(reading, loop).result()
            yield from (row_of(row) for row in found if row[4] is not None)
            if not found:
                return
            first = found[-1][0] + 1

    report = await asyncio.to_thread(
        verify, entries(), notes, log_key(services), witnessed=[*kept, *witnessed]
    )
    return await _with_waiting(report, services)


def row_of(row: Sequence[Any]) -> Row:
    """A row of LOGGED (place, hash, event columns, body) as the verifier takes it."""
    number, kept, *columns, sealed = row
    return Row(number, event_of(tuple(columns)), sealed, bytes(kept))


async def _with_waiting(report: Report, services: Services) -> Report:
    """The report with a finding for each writer whose waiting events have a hole."""
    findings = list(report.findings)
    counts = dict(report.counts)
    for writer, sequenced, counter in await services.db.read(rows.BEHIND):
        have = [
            row[1]
            for row in await services.db.read(rows.EVENTS_AFTER, writer, sequenced, 1_000_000)
        ]
        lacking = counter - sequenced - len(have)
        if lacking > 0:
            counts[Fault.COUNTER_GAP] = counts.get(Fault.COUNTER_GAP, 0) + lacking
            findings.append(
                Finding(
                    Fault.COUNTER_GAP,
                    None,
                    f"写入者 {writer} 有 {lacking} 条尚未入树的事件缺失",
                    f"{lacking} events of writer {writer} that waited for their place are gone",
                )
            )
    return msgspec.structs.replace(report, findings=tuple(findings), counts=counts)
