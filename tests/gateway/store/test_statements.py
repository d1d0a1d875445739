"""Statements: every caller's value arrives at its own column, whatever the order they are used in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, func, insert, literal, select

from gateway.store import charts, inbox, log
from gateway.store.charts import binds
from gateway.store.engine import Store
from gateway.store.statements import Statement, any_of
from gateway.store.tables import Alarm, Chart

_chart = Chart.__table__  # type: ignore[attr-defined]
_alarm = Alarm.__table__  # type: ignore[attr-defined]
NAMES = ("one", "two", "three", "four")
IN = Statement(
    select(_chart.c.id).where(any_of(_chart.c.id, "ids")).order_by(_chart.c.id),
    "ids",
    lists=("ids",),
)
BOTH = Statement(
    select(_chart.c.id)
    .where(
        any_of(_chart.c.id, "ids") | any_of(_chart.c.person, "ids"),
        _chart.c.organization == bindparam("organization"),
    )
    .order_by(_chart.c.id),
    "organization",
    "ids",
    lists=("ids",),
)


def chart(number: int, organization: str = "people") -> tuple[object, ...]:
    id = f"{number:032x}"
    return (id, 0, organization, id, id, 0, 0, 0, b"", b"", "", 1)


@given(
    used=st.lists(st.sampled_from(NAMES), min_size=1, max_size=8),
    order=st.permutations(NAMES),
)
def test_values_follow_their_names_on_both_engines(used: list[str], order: list[str]) -> None:
    """A statement may use a name twice, or in another order than callers give it."""
    wanted = [name for name in order if name in used]
    statement = Statement(select(literal(7), *(func.f(bindparam(n)) for n in used)), *wanted)
    values = tuple(f"<{name}>" for name in wanted)

    _, to_sqlite = statement.sqlite
    assert list(to_sqlite(values)) == [7, *(f"<{name}>" for name in used)]

    sql, to_postgres = statement.postgres
    ordered = to_postgres(values)
    places = [int(number) for number in re.findall(r"\$(\d+)", sql)]
    assert [ordered[place - 1] for place in places] == [7, *(f"<{name}>" for name in used)]
    assert len(ordered) == 1 + len(wanted), "one place for each name"


def test_a_value_that_nobody_gives_is_refused_when_the_statement_is_made() -> None:
    with pytest.raises(ValueError, match="callers give"):
        Statement(select(_chart.c.id).where(_chart.c.id == bindparam("chart")))
    with pytest.raises(ValueError, match="callers give"):
        Statement(select(_chart.c.id).where(_chart.c.id == bindparam("chart")), "chart", "more")


@pytest.mark.parametrize("count", [0, 1, 1000])
async def test_a_list_is_one_parameter_whatever_its_length(store: Store, count: int) -> None:
    def put(tx):  # type: ignore[no-untyped-def]
        tx.many(charts.ADD_CHART, [chart(n) for n in range(1001)])

    await store.do(put)
    ids = [f"{n:032x}" for n in range(count)]
    assert [row[0] for row in await store.read(IN, ids)] == ids


async def test_a_list_may_be_used_twice_beside_other_values(store: Store) -> None:
    def put(tx):  # type: ignore[no-untyped-def]
        tx.many(charts.ADD_CHART, [chart(1), chart(2, "tcm"), chart(3)])

    await store.do(put)
    ids = [f"{n:032x}" for n in (1, 2)]
    assert [row[0] for row in await store.read(BOTH, "people", ids)] == ids[:1]


async def test_a_quote_in_a_list_is_a_quote(store: Store) -> None:
    assert await store.read(IN, ['"', "'", "],[", "�"]) == []


async def test_every_statement_of_the_house_is_understood_by_both_engines(store: Store) -> None:
    """Prepared, not run: a typing slip shows here and not on somebody's first night."""
    found = 0
    for module in (charts, inbox, log):
        for name, statement in vars(module).items():
            if not isinstance(statement, Statement):
                continue
            found += 1
            if store.engine == "sqlite":
                sql, order = statement.sqlite
                store._reader.execute(f"EXPLAIN {sql}", order(tuple(statement.names)))  # type: ignore[attr-defined]
            else:
                line = await store._take()  # type: ignore[attr-defined]
                try:
                    await line.db.prepare(statement.postgres[0])
                except Exception as fault:
                    raise AssertionError(f"{name}: {fault}") from None
                finally:
                    store._free.put_nowait(line)  # type: ignore[attr-defined]
    assert found > 50


def test_an_insert_names_every_column() -> None:
    statement = Statement(insert(_alarm).values(**binds(_alarm)), *(c.name for c in _alarm.columns))
    assert statement.sqlite[0].count("?") == len(_alarm.columns)
