"""Gives waiting events their place in the Merkle log and signs a checkpoint over them.

One process at a time holds the lease. Writers' events are taken in the order of their counters: a
counter without its row stays a gap in the log, which verification names. A log that is shorter than
the checkpoint kept outside the database is never signed: that would overwrite the proof.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.audit import checkpoint
from gateway.audit.events import Event, Kind, Outcome, leaf
from gateway.audit.merkle import Frontier, leaf_hash
from gateway.audit.note import Key
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.services import Services
from gateway.store import log as rows
from gateway.store.engine import Row, Tx

LEASE = 5_000_000
MOST = 5_000


def log_key(services: Services) -> Key:
    """What a verifier pins: the log's name and the county's public key."""
    return Key(f"{services.settings.county}/access-log", services.vault.public_key())


def event_of(row: Row) -> Event:
    """An `audit_event` row's clear columns (`EVENT`) as the event they tell."""
    writer, counter, at, kind, outcome, actor, client, organization, purpose, charts, digest = row
    return Event(
        writer,
        counter,
        at,
        Kind(kind),
        Outcome(outcome),
        actor,
        client,
        organization,
        purpose,
        tuple(charts.split()),
        bytes(digest),
    )


async def sequence(services: Services, holder: str) -> int:
    """Append what waits; returns how many events got their place (0 without the lease).

    Problem CONFLICT when the log was cut off: somebody must look before it goes on.
    """
    outside = checkpoint_file(services)
    kept = outside.read_bytes() if outside.exists() else b""
    done, note = await services.db.do(_sequence, services, holder, kept)
    if note:
        keep_outside(outside, note)
    return done


def checkpoint_file(services: Services) -> Path:
    """The newest checkpoint outside the database: against it a cut-off log shows."""
    return services.settings.data / "checkpoint"


def keep_outside(path: Path, note: bytes) -> None:
    """Replace the file whole, and only after it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    with beside.open("wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _sequence(tx: Tx, services: Services, holder: str, kept: bytes) -> tuple[int, bytes]:
    now = services.now()
    tx.run(rows.ADD_LEASE, "sequencer")
    if tx.one(rows.TAKE_LEASE, "sequencer", holder, now, now + LEASE) is None:
        return 0, b""
    newest = tx.one(rows.NEWEST_CHECKPOINT)
    frontier = Frontier.decode(newest[2]) if newest else Frontier()
    waiting = [
        [event_of(row) for row in tx.all(rows.EVENTS_AFTER, writer, sequenced, MOST)]
        for writer, sequenced, _ in tx.all(rows.BEHIND)
    ]
    leaves = []
    last: dict[str, int] = {}
    for event in _in_order(waiting):
        last[event.writer] = event.counter
        digest = leaf_hash(leaf(event))
        leaves.append((frontier.size, event.writer, event.counter, digest))
        frontier.append(digest)
    if not leaves:
        return 0, b""
    key = log_key(services)
    previous = checkpoint.read(newest[1].encode(), key) if newest else None
    if kept and not _reaches(previous, checkpoint.read(kept, key)):
        raise Problem(Trouble.CONFLICT, "The access log is shorter than its kept checkpoint.")
    tx.many(rows.ADD_LEAF, leaves)
    for writer, counter in last.items():
        tx.run(rows.SEQUENCED, writer, counter)
    signed = checkpoint.sign(
        checkpoint.Checkpoint(
            origin=key.name,
            size=frontier.size,
            root=frontier.root(),
            at=max(now, previous.at + 1 if previous else 0),
            previous=previous.digest() if previous else None,
        ),
        key,
        services.vault.sign,
    )
    tx.run(rows.ADD_CHECKPOINT, frontier.size, signed.decode(), frontier.encode(), now)
    return len(leaves), signed


def _reaches(newest: checkpoint.Checkpoint | None, kept: checkpoint.Checkpoint) -> bool:
    """Does the log still hold all that was signed when `kept` was?"""
    if newest is None or newest.size < kept.size:
        return False
    return newest.size > kept.size or newest.root == kept.root


def _in_order(writers: Iterable[list[Event]]) -> Iterator[Event]:
    """Each writer's events in their own order, the writers merged by time."""
    return heapq.merge(*writers, key=lambda event: event.at)
