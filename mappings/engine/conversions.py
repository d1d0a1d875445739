"""A result in another unit, to be shown beside what the laboratory wrote: a view, never stored.

Only between the pairs of (LOINC, unit) that `tables/conversions.csv` lists, exactly, with Decimal.
Where the other unit means another quantity (mass or moles) the LOINC of the view is another one and
says so: nothing converted keeps the code of what was measured.

view = conversions.views("2160-0", "mg/dL", "1.02")[0]   # 14682-9, 90.2 umol/L
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import NamedTuple

from mappings.engine import tables
from mappings.engine.files import HOME

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Conversion(NamedTuple):
    """One listed pair: value * times / over + plus. `basis` says where the factor comes from."""

    from_loinc: str
    from_unit: str
    to_loinc: str
    to_unit: str
    times: Decimal
    over: Decimal
    plus: Decimal
    basis: str

    def exactly(self, value: Decimal) -> Decimal:
        """The converted value to 60 digits."""
        with localcontext(_EXACT):
            return value * self.times / self.over + self.plus

    def back(self, value: Decimal) -> Decimal:
        """The value this came from."""
        with localcontext(_EXACT):
            return (value - self.plus) * self.over / self.times


class View(NamedTuple):
    """A result as it would read in another unit, to as many digits as the laboratory's own carry.

    `digits` counts the significant digits of `text`. `basis` is that of the factor, for people.
    """

    loinc: str
    unit: str
    text: str
    digits: int
    basis: str


def views(loinc: str, unit: str, value: str) -> tuple[View, ...]:
    """Every listed view of a result: LOINC, UCUM code and digits as received; often there is none.

    The text is the shortest that brings the laboratory's own digits back when converted back. A
    comparator (``<0.01``) is not part of `value`: every listed conversion keeps the order, so it
    stands before the view too. What is not a plain number has no view.
    """
    try:
        number = Decimal(value)
    except InvalidOperation:
        return ()
    if not number.is_finite():
        return ()
    return tuple(_view(one, number) for one in listed().get((loinc, unit), ()))


def _view(by: Conversion, number: Decimal) -> View:
    exact = by.exactly(number)
    places = number.as_tuple().exponent
    unit_of_last = Decimal((0, (1,), int(places)))
    shown = exact
    for digits in range(max(1, len(number.as_tuple().digits)), 60):
        shown = _rounded(exact, digits)
        with localcontext(_EXACT):
            if by.back(shown).quantize(unit_of_last) == number:
                break
    text = format(shown, "f")
    return View(by.to_loinc, by.to_unit, text, len(shown.as_tuple().digits), by.basis)


def _rounded(value: Decimal, digits: int) -> Decimal:
    """To so many significant digits, written without an exponent."""
    if not value:
        return Decimal(0)
    with localcontext(_EXACT):
        rounded = value.quantize(Decimal((0, (1,), value.adjusted() - digits + 1)))
    exponent = rounded.as_tuple().exponent
    return rounded.quantize(Decimal(1)) if int(exponent) > 0 else rounded


@lru_cache(maxsize=1)
def version() -> str:
    """The year and month that the list of conversions says it is of."""
    with (HOME / "tables" / "conversions.csv").open(encoding="utf-8") as file:
        found = re.search(r"(\d{4}-\d{2})\s*$", file.readline())
    return found[1] if found else ""


@lru_cache(maxsize=1)
def listed() -> dict[tuple[str, str], Sequence[Conversion]]:
    """The listed conversions by (LOINC, unit) of what they begin with."""
    name = "conversions.csv"
    # It is no table of codes: its columns are its own, which `read` remarks.
    found, _ = tables.read(name, (HOME / "tables" / name).read_bytes())
    made: dict[tuple[str, str], list[Conversion]] = {}
    for line in found.lines:
        row = line.row
        one = Conversion(
            row["from_loinc"],
            row["from_unit"],
            row["to_loinc"],
            row["to_unit"],
            Decimal(row["times"]),
            Decimal(row["over"]),
            Decimal(row["plus"] or 0),
            row["basis"],
        )
        made.setdefault((one.from_loinc, one.from_unit), []).append(one)
    return dict(made)
