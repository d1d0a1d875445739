"""The indicator dictionary, read once from indicators.toml: what each figure is called and means."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from gateway.recognition.cells import Mask, small
from gateway.recognition.figures import COLUMNS, Counts

_DECIDED = ("accepted", "reread", "declined", "uncounted")
_FILE = Path(__file__).with_suffix(".toml")


class Indicator(msgspec.Struct, frozen=True):
    """One figure. `numerator` and `denominator` name counts that are added; "-name" is taken off and
    "decided" stands for R + N + X. A `check` asks for a look and accuses nobody."""

    code: str
    zh: str
    en: str
    kind: Literal["count", "rate", "money"]
    numerator: tuple[str, ...]
    definition_zh: str
    definition_en: str
    denominator: tuple[str, ...] = ()
    improvement: Literal["", "increase", "decrease"] = ""
    check: bool = False

    @property
    def formula(self) -> str:
        """How it is computed, in the names of the counts."""
        above = _sum(self.numerator)
        if self.kind == "money":
            return "Σ price(saved)"
        return f"({above}) / ({_sum(self.denominator)})" if self.denominator else above


class Target(msgspec.Struct, frozen=True):
    """How many items are to be recognised in scopes of a kind: more than `items`, or all (None)."""

    code: str
    scope: str
    by: date
    zh: str
    en: str
    items: int | None = None


class Report(msgspec.Struct, frozen=True):
    """What one receiver of reports wants: its code for each of our indicators, in its order."""

    code: str
    zh: str
    en: str
    lines: tuple[tuple[str, str], ...]


class Dictionary(msgspec.Struct, frozen=True):
    """All definitions of one version."""

    version: str
    least_denominator: int
    owner_zh: str
    owner_en: str
    source_zh: str
    source_en: str
    exclusions_zh: str
    exclusions_en: str
    indicator: tuple[Indicator, ...]
    target: tuple[Target, ...]
    report: tuple[Report, ...]

    def named(self, code: str) -> Indicator:
        """The indicator of that code; KeyError when there is none."""
        return self.by_code[code]

    @property
    def by_code(self) -> Mapping[str, Indicator]:
        """Indicators by code."""
        return {one.code: one for one in self.indicator}


class Value(msgspec.Struct, frozen=True):
    """An indicator's value. None is not shown; `why` then says withheld (small), few (denominator
    too small) or empty (nothing to divide by). `value` is decimal text: a rate in percent with one
    digit, money in CNY; `least` says that it is at least so much."""

    code: str
    numerator: int | None = None
    denominator: int | None = None
    value: str | None = None
    why: Literal["", "withheld", "few", "empty"] = ""
    least: bool = False


@lru_cache(maxsize=1)
def dictionary() -> Dictionary:
    """The shipped definitions."""
    return msgspec.convert(tomllib.loads(_FILE.read_text("utf-8")), Dictionary)


def value_of(indicator: Indicator, counts: Counts, mask: Mask, least: int) -> Value:
    """A count's or rate's value; `mask` is what of the totals is withheld, `least` the smallest
    denominator of a rate. A part that could be computed from what is withheld is withheld too."""
    above = _amount(indicator.numerator, counts)
    if _withheld(indicator.numerator, counts, mask):
        return Value(indicator.code, why="withheld")
    if indicator.kind != "rate":
        return Value(indicator.code, above, value=str(above))
    below = _amount(indicator.denominator, counts)
    if _withheld(indicator.denominator, counts, mask) or small(below - above):
        return Value(indicator.code, why="withheld")
    if below < least:
        return Value(indicator.code, above, below, why="few" if below else "empty")
    return Value(indicator.code, above, below, str(percent(above, below)))


def percent(above: int, below: int) -> Decimal:
    """A share in percent with one digit, halves rounded up."""
    return (Decimal(above) * 100 / Decimal(below)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def _amount(names: tuple[str, ...], counts: Counts) -> int:
    return sum(
        -counts[name[1:]] if name.startswith("-") else counts[name] for name in _parts(names)
    )


def _parts(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for name in names for part in (_DECIDED if name == "decided" else (name,)))


def _withheld(names: tuple[str, ...], counts: Counts, mask: Mask) -> bool:
    plain = [name.removeprefix("-") for name in _parts(names)]
    hidden = any(name in mask for name in plain)
    aside = any(small(counts[name]) for name in plain if name not in COLUMNS)
    return hidden or aside or small(_amount(names, counts))


def _sum(names: tuple[str, ...]) -> str:
    text = " + ".join(names)
    return text.replace("+ -", "− ")
