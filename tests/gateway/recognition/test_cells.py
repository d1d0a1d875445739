"""No withheld count can be computed from the shown ones: tried with linear algebra of our own here."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition.cells import LEAST, Mask, mask_of_totals, masks, small
from gateway.recognition.figures import COLUMNS, LONE, PARTS, Counts

LEAVES = ("silent", "accepted", "reread", "undecided", *PARTS["declined"], *PARTS["uncounted"])


def counts_of(leaves: Mapping[str, int], lone: Mapping[str, int]) -> Counts:
    of = {name: n for name, n in {**leaves, **lone}.items() if n}
    for whole in ("uncounted", "declined", "prompted", "eligible"):
        of[whole] = sum(of.get(part, 0) for part in PARTS[whole])
    return Counts({name: n for name, n in of.items() if n})


def summed(rows: Mapping[str, Counts]) -> Counts:
    return Counts({name: sum(row[name] for row in rows.values()) for name in COLUMNS})


numbers = st.one_of(st.just(0), st.just(0), st.integers(0, 9), st.integers(0, 60))
some = ("accepted", "reread", "undecided", "silent", "reason-07", "reason-02", "reason-98")
rows_ = st.builds(
    counts_of,
    st.fixed_dictionaries({}, optional=dict.fromkeys(some, numbers)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(LONE, numbers)),
).filter(lambda row: row["eligible"] > 0)
tables = st.dictionaries(st.sampled_from("abcdef"), rows_, min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_no_withheld_count_follows_from_what_is_shown(
    first: dict[str, Counts], random: object
) -> None:
    totals = summed(first)
    second = _another_table(totals, random)  # the same whole, broken down in another way
    of_totals = mask_of_totals(totals)
    equations: list[dict[tuple[str, str, str], Fraction]] = []
    values: dict[tuple[str, str, str], int] = {}
    hidden: set[tuple[str, str, str]] = set()

    def take(table: str, key: str, counts: Counts, mask: Mask) -> None:
        for name in COLUMNS:
            values[table, key, name] = counts[name]
            if name in mask:
                hidden.add((table, key, name))
        for whole, parts in PARTS.items():
            equations.append(
                {(table, key, whole): Fraction(-1)}
                | {(table, key, part): Fraction(1) for part in parts}
            )

    take("", "", totals, of_totals)
    for table, rows in (("one", first), ("two", second)):
        for key, mask in masks(rows, of_totals).items():
            take(table, key, rows[key], mask)
        equations += [
            {("", "", name): Fraction(-1)} | {(table, key, name): Fraction(1) for key in rows}
            for name in COLUMNS
        ]
    shown_small = {place for place, n in values.items() if small(n)} - hidden
    assert not shown_small
    # A count that is alone in its sums may be told by them only where it is no small one.
    assert not {place for place in _computable(equations, hidden) if small(values[place])}


def _computable(
    equations: list[dict[tuple[str, str, str], Fraction]], hidden: set[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """The unknowns that Gauss and Jordan leave alone in a row of their own."""
    rows = [{p: c for p, c in one.items() if p in hidden} for one in equations]
    done: list[tuple[tuple[str, str, str], dict[tuple[str, str, str], Fraction]]] = []
    for row in rows:
        for place, pivot in done:
            if place in row:
                _subtract(row, pivot, row[place])
        if row:
            place = next(iter(row))
            scale = row[place]
            row = {p: c / scale for p, c in row.items()}
            for _, other in done:
                if place in other:
                    _subtract(other, row, other[place])
            done.append((place, row))
    return {place for place, row in done if len(row) == 1}


def _subtract(
    row: dict[tuple[str, str, str], Fraction],
    pivot: Mapping[tuple[str, str, str], Fraction],
    by: Fraction,
) -> None:
    for place, coefficient in pivot.items():
        left = row.get(place, Fraction(0)) - by * coefficient
        if left:
            row[place] = left
        else:
            row.pop(place, None)


def _another_table(totals: Counts, random: object) -> dict[str, Counts]:
    """The same totals spread over up to four other rows."""
    leaves: list[dict[str, int]] = [{} for _ in range(4)]
    lone: list[dict[str, int]] = [{} for _ in range(4)]
    for name in LEAVES:
        for _ in range(totals[name]):
            row = leaves[random.randrange(4)]  # type: ignore[attr-defined]
            row[name] = row.get(name, 0) + 1
    for name in LONE:
        for _ in range(totals[name]):
            row = lone[random.randrange(4)]  # type: ignore[attr-defined]
            row[name] = row.get(name, 0) + 1
    rows = {str(n): counts_of(leaf, lone[n]) for n, leaf in enumerate(leaves)}
    kept = {key: row for key, row in rows.items() if row["eligible"]}
    if summed(kept).of != totals.of and len(kept) < 4:
        return {"whole": totals}
    return kept


@settings(max_examples=100, deadline=None)
@given(tables)
def test_what_is_withheld_of_a_shown_sum_is_together_not_small(rows: dict[str, Counts]) -> None:
    totals = summed(rows)
    of_totals = mask_of_totals(totals)
    found = masks(rows, of_totals)
    for key, mask in found.items():
        for whole, parts in PARTS.items():
            if whole not in mask:
                assert not small(sum(rows[key][part] for part in parts if part in mask))
    if len(rows) > 1:
        for name in set(COLUMNS) - of_totals:
            assert not small(sum(rows[key][name] for key, mask in found.items() if name in mask))


def test_a_large_table_shows_everything() -> None:
    rows = {
        key: counts_of({"accepted": 50, "reason-07": 9}, {"viewed": 30, "saved": 40})
        for key in ("a", "b")
    }
    totals = summed(rows)
    assert mask_of_totals(totals) == frozenset()
    assert masks(rows, frozenset()) == {"a": frozenset(), "b": frozenset()}


def test_one_small_count_takes_another_of_its_row_and_of_its_column_with_it() -> None:
    rows = {
        "a": counts_of({"accepted": 40, "undecided": 3}, {}),
        "b": counts_of({"accepted": 30, "undecided": 12}, {}),
    }
    found = masks(rows, mask_of_totals(summed(rows)))
    assert {"accepted", "undecided"} == found["a"] == found["b"]


def test_fewer_than_five_questions_show_nothing() -> None:
    few = counts_of({"accepted": LEAST - 1}, {})
    assert mask_of_totals(few) == frozenset(COLUMNS)
