"""The keyring database: wrapped keys, apart from what they open, in a backup of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import bindparam, delete, func, select, update

from gateway.store import tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.engine import Store, Tx
from gateway.store.statements import Statement, any_of

_key = tables.WrappedKey.__table__  # type: ignore[attr-defined]
_COLUMNS = (_key.c.name, _key.c.generation, _key.c.under, _key.c.wrapped)

FETCH = Statement(select(*_COLUMNS).where(any_of(_key.c.name, "names")), "names", lists=("names",))
KEEP = Statement(insert_or_leave(_key).values(**binds(_key)), *(c.name for c in _key.columns))
REPLACE = Statement(
    update(_key)
    .where(_key.c.name == bindparam("name_"), _key.c.generation == bindparam("generation_"))
    .values(under=bindparam("under_"), wrapped=bindparam("wrapped_"))
    .returning(_key.c.name),
    "name_",
    "generation_",
    "under_",
    "wrapped_",
)
ERASE = Statement(
    delete(_key).where(_key.c.name == bindparam("name_")).returning(_key.c.generation), "name_"
)
ERASE_ONE = Statement(
    delete(_key)
    .where(_key.c.name == bindparam("name_"), _key.c.generation == bindparam("generation_"))
    .returning(_key.c.generation),
    "name_",
    "generation_",
)
NAMES = Statement(
    select(_key.c.name)
    .where(func.substr(_key.c.name, 1, bindparam("length")) == bindparam("prefix"))
    .distinct()
    .order_by(_key.c.name),
    "length",
    "prefix",
)

W = TypeVar("W", bound=Any)


class StoredKeyring(Generic[W]):
    """A keyring on a Store; `row` makes the vault's own value of (name, generation, under, wrapped)."""

    def __init__(self, store: Store, row: Callable[[str, int, str, bytes], W]) -> None:
        self._store = store
        self._row = row

    async def fetch(self, names: Sequence[str]) -> Sequence[W]:
        """All generations of each name; unknown names are absent."""
        return [self._row(*row) for row in await self._store.read(FETCH, list(names))]

    async def keep(self, rows: Sequence[W]) -> None:
        """Insert what is absent; durable on return."""
        await self._store.do(_keep, rows)

    async def replace(self, rows: Sequence[W]) -> int:
        """Overwrite what stands; never insert."""
        return await self._store.do(_replace, rows)

    async def erase(self, name: str, generation: int | None = None) -> int:
        """Delete all generations of a name, or one."""
        return await self._store.do(_erase, name, generation)

    async def names(self, prefix: str) -> Sequence[str]:
        """The distinct names that start with `prefix`."""
        rows = await self._store.read(NAMES, len(prefix), prefix)
        return [row[0] for row in rows]


def _keep(tx: Tx, rows: Sequence[Any]) -> None:
    tx.many(KEEP, [(row.name, row.generation, row.under, row.wrapped) for row in rows])


def _replace(tx: Tx, rows: Sequence[Any]) -> int:
    return sum(
        len(tx.all(REPLACE, row.name, row.generation, row.under, row.wrapped)) for row in rows
    )


def _erase(tx: Tx, name: str, generation: int | None) -> int:
    if generation is None:
        return len(tx.all(ERASE, name))
    return len(tx.all(ERASE_ONE, name, generation))
