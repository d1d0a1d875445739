"""A keyring in memory that counts, fails and forgets on demand, and a vault on top of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from gateway.vault import Grant, KeyFile, Tier, Vault, Wrapped


class MemoryKeyring:
    """Rows in a dictionary. `lose` = "question" fails before keeping, "answer" after it."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], Wrapped] = {}
        self.fetches = self.writes = 0
        self.lose = ""

    async def fetch(self, names: Sequence[str]) -> Sequence[Wrapped]:
        self.fetches += 1
        return [row for row in self.rows.values() if row.name in set(names)]

    async def keep(self, rows: Sequence[Wrapped]) -> None:
        self.writes += 1
        if self.lose == "question":
            raise ConnectionError
        for row in rows:
            self.rows.setdefault((row.name, row.generation), row)
        if self.lose == "answer":
            raise ConnectionError

    async def replace(self, rows: Sequence[Wrapped]) -> int:
        known = [row for row in rows if (row.name, row.generation) in self.rows]
        self.rows.update({(row.name, row.generation): row for row in known})
        return len(known)

    async def erase(self, name: str, generation: int | None = None) -> int:
        gone = [key for key in self.rows if key[0] == name and generation in (None, key[1])]
        for key in gone:
            del self.rows[key]
        return len(gone)

    async def names(self, prefix: str) -> Sequence[str]:
        return sorted({name for name, _ in self.rows if name.startswith(prefix)})

    def copy(self) -> MemoryKeyring:
        twin = MemoryKeyring()
        twin.rows = dict(self.rows)
        return twin

    def put(self, row: Wrapped, **changes: object) -> None:
        """What a database administrator could do."""
        row = msgspec.structs.replace(row, **changes)
        self.rows[row.name, row.generation] = row


class Clock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keyring() -> MemoryKeyring:
    return MemoryKeyring()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path) -> KeyFile:
    return KeyFile.create(tmp_path / "root.key")


@pytest.fixture
async def vault(keyring, root, clock) -> Vault:
    return await Vault.open(keyring, root, "yunxi", clock=clock)


@pytest.fixture
def filing() -> Grant:
    return Grant("filing", "letter-1", frozenset(Tier))
