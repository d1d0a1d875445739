"""Hot statements: written once from the tables, compiled once to SQL text for each engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, bindparam, column, func, select, table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles

_SQLITE = sqlite.dialect(paramstyle="qmark")
_POSTGRES = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class any_of(ColumnElement[bool]):
    """`column IN (the list bound to name)`: one parameter, whatever the length of the list."""

    inherit_cache = False

    def __init__(self, tested: Any, name: str, array: str = "TEXT[]") -> None:
        self.tested = tested
        self.name = name
        self.array = array


@compiles(any_of, "sqlite")
def _any_of_sqlite(element: any_of, compiler: Any, **kw: Any) -> str:
    inner: Any = select(column("value")).select_from(func.json_each(bindparam(element.name)))
    return str(compiler.process(element.tested.in_(inner), **kw))


@compiles(any_of, "postgresql")
def _any_of_postgresql(element: any_of, compiler: Any, **kw: Any) -> str:
    bound = compiler.process(bindparam(element.name), **kw)
    # Without the cast asyncpg cannot tell text[] from anything else.
    return f"{compiler.process(element.tested, **kw)} = ANY (CAST({bound} AS {element.array}))"


class exclusive(ColumnElement[int]):
    """Waits until nobody else's transaction holds the bytes bound to `name`.

    SQLite has one writer and nothing to wait for.
    """

    inherit_cache = False

    def __init__(self, name: str) -> None:
        self.name = name


@compiles(exclusive, "sqlite")
def _exclusive_sqlite(element: exclusive, compiler: Any, **kw: Any) -> str:
    bound = compiler.process(bindparam(element.name), **kw)
    return f"length({bound})"


@compiles(exclusive, "postgresql")
def _exclusive_postgresql(element: exclusive, compiler: Any, **kw: Any) -> str:
    bound = compiler.process(bindparam(element.name), **kw)
    return f"pg_advisory_xact_lock(hashtextextended(encode(CAST({bound} AS BYTEA), 'hex'), 0))"


class Statement:
    """SQL text for both engines and the order in which each wants its parameters.

    `names` is the order in which callers give them; lists are for `any_of`.
    """

    __slots__ = ("_clause", "lists", "names", "postgres", "sqlite")

    def __init__(self, clause: ClauseElement, *names: str, lists: tuple[str, ...] = ()) -> None:
        self._clause = clause
        self.names = names
        self.lists = frozenset(names.index(name) for name in lists)
        self.sqlite = self._compile(_SQLITE)
        self.postgres = self._compile(_POSTGRES)

    def _compile(self, dialect: Any) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
        compiled = self._clause.compile(dialect=dialect)
        wanted = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        if dialect is _POSTGRES:
            wanted = tuple(dict.fromkeys(wanted))
        binds = compiled.binds  # type: ignore[attr-defined]
        fixed = {
            name: value
            for name, value in compiled.params.items()
            if name not in self.names and not binds[name].required
        }
        if set(wanted) - set(fixed) != set(self.names):
            raise ValueError(f"statement wants {wanted}, callers give {self.names}")
        if wanted == self.names:
            return str(compiled), lambda given: given
        plan = tuple(
            (self.names.index(name), None) if name in self.names else (-1, fixed[name])
            for name in wanted
        )
        return str(compiled), lambda given: tuple(
            given[at] if at >= 0 else value for at, value in plan
        )

    def __repr__(self) -> str:
        return f"Statement({self.sqlite[0]!r})"


__all__ = ["Statement", "any_of", "table"]
