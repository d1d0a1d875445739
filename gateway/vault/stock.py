"""The keys of charts, audit years and intake days: made, fetched, renewed and destroyed in batches.

What is fetched is held for a few minutes, bounded in number: the rows, still wrapped, and the handles
made from them. Destroying a key leaves a mark, `shred/<name>`, with the last generation destroyed.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.vault.county import CountyKeys, house_of_name
from gateway.vault.faults import KeyMissing, Shredded
from gateway.vault.model import Keyring, Wrapped
from gateway.vault.seal import sub_key

LIFE = 300.0  # seconds, after which a key shredded or renewed elsewhere is noticed here


class Held:
    """What is known of one key: its live rows and the handles made of them, good until a time."""

    __slots__ = ("made", "rows", "shredded", "until")

    def __init__(self, rows: tuple[Wrapped, ...], shredded: int, until: float) -> None:
        """`shredded` is the last generation destroyed, 0 for none."""
        self.rows = rows
        self.shredded = shredded
        self.until = until
        self.made: dict[str, Any] = {}


class Stock:
    """Keys by name, the most recently used ones at hand."""

    def __init__(
        self, keyring: Keyring, county: CountyKeys, clock: Callable[[], float], room: int
    ) -> None:
        self._keyring = keyring
        self._county = county
        self._clock = clock
        self._room = room
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._turn = 0  # moves when keys are destroyed or renewed here

    def __len__(self) -> int:
        return len(self._held)

    def get(self, name: str, now: float) -> Held | None:
        """What is at hand and still good, or None."""
        held = self._held.get(name)
        if held is None or held.until <= now:
            return None
        self._held.move_to_end(name)
        return held

    def sub_keys(self, held: Held, use: str) -> dict[int, bytes]:
        """The sub-keys for one use by generation, for a handle that will not show them."""
        return {row.generation: sub_key(self._county.unwrap(row), use) for row in held.rows}

    async def need(self, wants: Mapping[str, object]) -> dict[str, Held]:
        """All the names, what is not at hand in one fetch; or KeyMissing or Shredded.

        The values are what the caller calls the keys; errors carry those of the keys concerned.
        """
        now = self._clock()
        found = {name: held for name in wants if (held := self.get(name, now))}
        absent = [name for name in wants if name not in found]
        if not absent:
            return found
        live, marks = await self._fetch(absent)
        if gone := [wants[name] for name in absent if name not in live and name in marks]:
            raise Shredded(f"{_kind(absent)}: the key was destroyed.", gone)
        if lost := [wants[name] for name in absent if name not in live]:
            raise KeyMissing(f"{_kind(absent)}: no such key in the keyring.", lost)
        return found | {name: self._put(name, live[name], marks, now) for name in absent}

    async def ensure(self, wants: Mapping[str, object]) -> None:
        """Make what is missing, in one durable write; a destroyed chart key is not made again."""
        now = self._clock()
        absent = [name for name in wants if self.get(name, now) is None]
        if not absent:
            return
        live, marks = await self._fetch(absent, making=True)
        missing = [name for name in absent if name not in live]
        _refuse_shredded(missing, wants, marks)
        if missing:
            await self._keep_new({name: marks.get(name, 0) + 1 for name in missing})
            # Another process may have been first, or may have shredded: what is kept counts.
            live, marks = await self._fetch(absent)
            _refuse_shredded([name for name in absent if name not in live], wants, marks)
        for name in absent:
            self._put(name, live[name], marks, now)

    async def renew(self, names: Sequence[str]) -> None:
        """Make the next generation of each, after a destroyed one too."""
        live, marks = await self._fetch(names, making=True)
        await self._keep_new(
            {
                name: max(marks.get(name, 0), *[row.generation for row in live.get(name, ())], 0)
                + 1
                for name in names
            }
        )
        self._drop(names)

    async def shred(self, names: Sequence[str]) -> int:
        """Destroy these keys together: mark first, so that a crash leaves no key half known."""
        rows = [row for row in await self._keyring.fetch(names) if row.wrapped]
        self._drop(names)
        if not rows:
            return 0
        last = max(row.generation for row in rows)
        await self._keyring.keep([Wrapped(f"shred/{name}", last, "", b"") for name in names])
        erased = 0
        for name in names:
            erased += await self._keyring.erase(name)
        self._drop(names)
        return erased

    def clear(self) -> None:
        """Forget what is at hand."""
        self._turn += 1
        self._held.clear()

    async def _fetch(
        self, names: Sequence[str], making: bool = False
    ) -> tuple[dict[str, tuple[Wrapped, ...]], dict[str, int]]:
        """Live rows by name, and the last destroyed generation by name, in one fetch.

        Before making keys the county keys come along, to wrap under the newest epoch.
        """
        asked = [*names, *[f"shred/{name}" for name in names]]
        if making:
            asked += sorted({f"county/{house_of_name(name)}" for name in names})
        while True:
            turn = self._turn
            rows = await self._keyring.fetch(asked)
            if not all(self._county.knows(row) for row in rows if row.under.startswith("county/")):
                await self._county.refresh()
            if turn == self._turn:  # otherwise keys were destroyed here while we waited
                break
        if making:
            self._county.learn(row for row in rows if row.name.startswith("county/"))
        marks: dict[str, int] = {}
        for row in rows:
            if row.name.startswith("shred/"):
                name = row.name.removeprefix("shred/")
                marks[name] = max(marks.get(name, 0), row.generation)
        live: dict[str, tuple[Wrapped, ...]] = {}
        for row in rows:
            if row.under.startswith("county/") and row.generation > marks.get(row.name, 0):
                live[row.name] = (*live.get(row.name, ()), row)
        return live, marks

    async def _keep_new(self, generations: Mapping[str, int]) -> None:
        await self._keyring.keep(
            [
                self._county.wrap(house_of_name(name), name, generation, os.urandom(32))
                for name, generation in generations.items()
            ]
        )

    def _put(
        self, name: str, rows: tuple[Wrapped, ...], marks: Mapping[str, int], now: float
    ) -> Held:
        held = self._held[name] = Held(rows, marks.get(name, 0), now + LIFE)
        self._held.move_to_end(name)
        while len(self._held) > self._room:
            self._held.popitem(last=False)
        return held

    def _drop(self, names: Iterable[str]) -> None:
        self._turn += 1
        for name in names:
            self._held.pop(name, None)


def _refuse_shredded(
    missing: Sequence[str], wants: Mapping[str, object], marks: Mapping[str, int]
) -> None:
    # The audit and the intake go on under new keys; a chart begins again only by `renew`.
    gone = [wants[name] for name in missing if name in marks and name.startswith("chart/")]
    if gone:
        raise Shredded("chart key: destroyed, and not begun again.", gone)


def _kind(names: Sequence[str]) -> str:
    return f"{names[0].partition('/')[0]} key"
