"""Keeps the house in order: later tries, quarantine for our own faults, merged segments, disputes."""

from __future__ import annotations

import json

import msgspec

from gateway.exchange import relied
from gateway.exchange.shelves import ALL_TIERS, add_segment, head_name, manifests, segment_name
from gateway.records.entry import Entry, Nature, Segment, pack_head, unpack_head, unpack_segment
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, ManifestKey, Tier

SMALL = 1_024
MANY = 8
MOST = 200
KEEP_SUPERSEDED = 3_600_000_000  # page links in use may still point at them


async def put_off(id: str, attempts: int, services: Services) -> None:
    """Try a message again later, at growing intervals."""
    due = services.now() + min(2 ** min(attempts, 9), 300) * 1_000_000
    await services.db.do(_put_off, id, due)


def _put_off(tx: Tx, id: str, due: int) -> None:
    tx.run(inbox.PUT_OFF_JOB, "file", id, due)


async def set_aside(id: str, services: Services) -> None:
    """Quarantine a message this gateway fails on, with an alarm; the raw bytes stay."""
    await services.db.do(_set_aside, id, services.now())


def _set_aside(tx: Tx, id: str, at: int) -> None:
    row = tx.one(inbox.RAW, id)
    raw = inbox.RawRow(*row) if row else None
    if raw is not None and raw.state == "waiting":
        issues = json.dumps([("stop", "gateway-fault", "", "")])
        tx.run(inbox.SETTLE, id, "quarantined", raw.wrap, raw.owner, raw.owner_tier, issues, "", at)
        tx.run(inbox.ADD_ALARM, "gateway-fault", raw.source, id, at)
    tx.run(inbox.END_JOB, "file", id)


async def merge_segments(services: Services) -> int:
    """Join the small segments of charts that have many; returns how many charts were done."""
    done = 0
    for chart, tier in await services.db.read(rows.SCATTERED, SMALL, MANY, MOST):
        want = ChartTier(chart, Tier(tier))
        keys = await manifests(services, Grant("job", "merge", ALL_TIERS), [want])
        if want in keys:
            done += await services.db.do(_merge, want, keys[want], services.now())
    return done


def _merge(tx: Tx, want: ChartTier, key: ManifestKey, now: int) -> int:
    """Small neighbours become one segment; sequence numbers stay, superseded entries go in time."""
    chart, tier = want
    rows.take(tx, chart, 0)
    found = [
        row for row in tx.all(rows.SEGMENTS, rows.bucket_of(chart), chart, 2**62) if row[1] == tier
    ]
    if len(found) < 2:
        return 0
    pairs: list[tuple[Nature, Entry]] = []
    for _, _, number, sealed in found:
        segment: Segment = unpack_segment(key.open(sealed, segment_name(chart, tier, number)))
        pairs += [(segment.natures[entry.nature], entry) for entry in segment.entries]
    pairs.sort(key=lambda pair: pair[1].seq)
    followed_by: dict[bytes, Entry] = {}
    kept: list[tuple[Nature, Entry]] = []
    for nature, entry in reversed(pairs):
        after = followed_by.get(entry.id)
        # When a dispute was marked is not kept, so what it superseded stays.
        if after is None or after.disputed or after.filed > now - KEEP_SUPERSEDED:
            kept.append((nature, entry))
        followed_by[entry.id] = entry
    kept.reverse()
    high = max(number for _, _, number, _ in found)
    tx.run(rows.DROP_SEGMENTS, rows.bucket_of(chart), chart, int(tier), high)
    for start in range(0, len(kept), SMALL):
        add_segment(tx, key, chart, tier, kept[start : start + SMALL])
    return 1


async def mark_disputed(id: str, services: Services) -> None:
    """Show a standing record as disputed: another chart has claimed its id."""
    row = await rows.current(services.db, id)
    if row is not None:
        want = ChartTier(row.chart, Tier(row.tier))
        keys = await manifests(services, Grant("job", "dispute", ALL_TIERS), [want])
        if want in keys:
            await services.db.do(_mark_disputed, row.id, want, keys[want], services.now(), services)
            return
    await services.db.do(_end_dispute, id)


def _mark_disputed(
    tx: Tx, id: str, want: ChartTier, key: ManifestKey, at: int, services: Services
) -> None:
    seq, _, _, _ = rows.take(tx, want.chart, 1, 1)
    row = rows.standing(tx, [id]).get(id)
    if row is not None and row.chart == want.chart and row.tier == want.tier:
        head = unpack_head(key.open(row.head, head_name(row.id, row.version)))
        entry = msgspec.structs.replace(head.entry, seq=seq, disputed=True)
        add_segment(tx, key, want.chart, want.tier, [(head.nature, entry)])
        tx.run(
            rows.SET_HEAD,
            rows.bucket_of(row.chart),
            row.chart,
            row.seq,
            key.seal(pack_head(head.nature, entry), head_name(row.id, row.version)),
        )
        relied.disputed(tx, id, at, services)
    tx.run(inbox.END_JOB, "dispute", id)


def _end_dispute(tx: Tx, id: str) -> None:
    tx.run(inbox.END_JOB, "dispute", id)
