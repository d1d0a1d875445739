"""The maps that run: the release of each site that is in force, exchanged between two messages.

What runs is what was approved and kept in the store, never what lies in the sites folder: an edit
there acts when a second person has approved it. Every process asks before each message which release
is in force, which is one indexed row, and loads it when it is another than the one at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from gateway.errors import Kind, Problem
from gateway.store import inbox
from gateway.store import maps as rows
from gateway.store.engine import Store, Tx
from mappings.engine import Map, MapError, load
from mappings.engine.release import ENGINE
from mappings.r4.gate import Gate

LARGEST: Final = 100_000_000  # bytes of a release's files, unpacked
OLDER: Final = 4  # releases not in force that stay loaded
_DECODE = msgspec.msgpack.Decoder(dict[str, bytes])


@dataclass(frozen=True, slots=True)
class Release:
    """A release ready to run; `number` is what records keep of it.

    `gate` counts which shapes of its resources have proved valid, in this process.
    """

    number: int
    site: str
    map: Map
    gate: Gate


def pack(contents: Mapping[str, bytes]) -> bytes:
    """Files by path as the store keeps them: the same files are the same bytes."""
    whole = msgspec.msgpack.encode(dict(sorted(contents.items())))
    return zstandard.ZstdCompressor(level=10).compress(whole)


def unpack(kept: bytes) -> dict[str, bytes]:
    """The inverse; ValueError when it is not what `pack` made."""
    try:
        whole = zstandard.ZstdDecompressor().decompress(kept, max_output_size=LARGEST)
        return _DECODE.decode(whole)
    except (zstandard.ZstdError, msgspec.MsgspecError):
        raise ValueError("not the files of a release") from None


class Maps:
    """Maps by site name: those in force from the store, drafts from the sites folder."""

    def __init__(self, folder: Path, base_url: str, db: Store, now: Callable[[], int]) -> None:
        self.folder = folder
        self._base_url = base_url
        self._db = db
        self._now = now
        self._running: dict[str, Release] = {}
        self._older: dict[int, Release] = {}
        self._broken: set[int] = set()

    @property
    def engine(self) -> str:
        """What beside its files makes a map's hash: the engine's version and the canonical base."""
        return f"{ENGINE} {self._base_url}"

    async def get(self, site: str) -> Map:
        """The map of a site that is in force now; see `in_force`."""
        return (await self.in_force(site)).map

    async def in_force(self, site: str) -> Release:
        """The release of a site that is in force now.

        One that cannot be loaded raises an alarm, and what ran before goes on. Problem BUSY when
        there is nothing that could run: messages wait then, none is lost.
        """
        found = await self._db.read(rows.IN_FORCE, site)
        at_hand = self._running.get(site)
        if not found:
            raise Problem(
                Kind.BUSY,
                f"No release of the map {site!r} is in force; `health-gateway migrate` adopts the"
                " one in the sites folder.",
            )
        number: int = found[0][0]
        if at_hand is not None and (at_hand.number == number or number in self._broken):
            return at_hand
        try:
            self._running[site] = await self.of(number)
        except Problem:
            if at_hand is None:
                raise
        return self._running[site]

    async def of(self, number: int) -> Release:
        """Any release, as long ago as it may be. Problem UNKNOWN without one, BUSY when it cannot run."""
        for known in (*self._running.values(), *self._older.values()):
            if known.number == number:
                return known
        made = await self._loaded(number)
        self._older[number] = made
        while len(self._older) > OLDER:
            del self._older[next(iter(self._older))]
        return made

    def draft(self, site: str) -> Map:
        """The map as it lies in the sites folder; `MapError` says everything that is wrong with it."""
        if not site or "/" in site or site.startswith("."):
            raise Problem(Kind.UNKNOWN, "A site is a folder in the sites folder.", "site")
        return load(self.folder / site, self._base_url)

    def of_files(self, contents: Mapping[str, bytes]) -> Map:
        """The map that these files make; `MapError` says everything that is wrong with it."""
        return load(contents, self._base_url)

    async def _loaded(self, number: int) -> Release:
        found = await self._db.read(rows.FILES, number)
        if not found:
            raise Problem(Kind.UNKNOWN, "There is no release of that number.", "release")
        site, _, files = found[0]
        try:
            # Beside the event loop: a large map takes many messages' time to load.
            made = await asyncio.to_thread(lambda: self.of_files(unpack(files)))
        except (ValueError, MapError):
            if number not in self._broken:
                self._broken.add(number)
                await self._db.do(_alarm, site, number, self._now())
            raise Problem(
                Kind.BUSY, f"Release {number} of the map {site!r} cannot be loaded by this version."
            ) from None
        self._broken.discard(number)
        return Release(number, site, made, made.gate())


def _alarm(tx: Tx, site: str, number: int, at: int) -> None:
    """For every source whose messages may wait because of it, once."""
    about = f"{site} {number}"
    if tx.one(inbox.ALARM_STANDS, "map-release", about) is None:
        for name in [row[0] for row in tx.all(inbox.SOURCES_OF_MAP, site)] or [site]:
            tx.run(inbox.ADD_ALARM, "map-release", name, about, at)
