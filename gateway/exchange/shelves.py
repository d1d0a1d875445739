"""The shelves of a chart: its manifest keys, and the names its sealed pieces are bound to."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.records.entry import Entry, Nature, pack_segment
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, KeyMissing, ManifestKey, Shredded, Tier

ALL_TIERS = frozenset(Tier)


async def manifests(
    services: Services, grant: Grant, wants: Sequence[ChartTier]
) -> dict[ChartTier, ManifestKey]:
    """Handles for those of `wants` that still have keys."""
    try:
        return await services.vault.manifests(grant, wants)
    except (KeyMissing, Shredded) as fault:
        rest = [want for want in wants if want not in fault.wants]
        return await manifests(services, grant, rest) if rest and fault.wants else {}


def segment_name(chart: str, tier: int, number: int) -> bytes:
    """What a sealed segment is bound to."""
    return f"segment/{chart}/{tier}/{number}".encode()


def head_name(id: str, version: int) -> bytes:
    """What a sealed head is bound to."""
    return f"head/{id}/{version}".encode()


def add_segment(
    tx: Tx, key: ManifestKey, chart: str, tier: Tier, entries: Sequence[tuple[Nature, Entry]]
) -> None:
    """One new piece of a chart's manifest, named by its highest sequence number."""
    number = max(entry.seq for _, entry in entries)
    tx.run(
        rows.ADD_SEGMENT,
        rows.bucket_of(chart),
        chart,
        int(tier),
        number,
        len(entries),
        key.seal(pack_segment(entries), segment_name(chart, tier, number)),
    )
