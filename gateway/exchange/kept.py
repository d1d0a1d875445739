"""Kept messages read again: opened through the vault, in order of arrival, a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from gateway.services import Services
from gateway.store import maps as rows
from gateway.store.inbox import RawRow
from gateway.store.maps import KeptRow
from gateway.vault import ChartTier, Tier

DAY: Final = 86_400_000_000
PAGE: Final = 25  # messages in memory at a time
MOST: Final = 20_000


async def opened(row: KeptRow | RawRow, services: Services) -> bytes:
    """The bytes as received; VaultError when their key was destroyed."""
    owner = ChartTier(row.owner, Tier(row.owner_tier)) if row.owner else None
    return await services.vault.open_raw(row.source, row.day, row.id, row.sealed, row.wrap, owner)


async def since_newest(
    source: str, since: int, until: int, most: int, services: Services
) -> tuple[int, bool]:
    """From when on a source's window holds `most` messages, and whether older ones were left out."""
    older = await services.db.read(rows.NTH_NEWEST, source, since, until, most)
    return (older[0][0] + 1, True) if older else (since, False)


async def pages(
    source: str, since: int, until: int, services: Services, size: int = PAGE
) -> AsyncIterator[list[KeptRow]]:
    """The messages of a source that arrived in a window (µs UTC), oldest first."""
    position, last = 0, ""
    while found := await services.db.read(rows.KEPT, source, since, until, position, last, 0, size):
        page = [KeptRow(*row) for row in found]
        yield page
        position, last = page[-1].arrived, page[-1].id
