"""When results of several laboratories may stand in one row or on one line, and when never.

Comparability is the catalogue's word on an item: A may share a row and a line, B a chart with a
series for each laboratory and method, C nothing. An item the catalogue does not know counts as B;
another specimen or another quantity counts as C. What the laboratory wrote stays as it wrote it.

    readings = [reading_of(result, facts, item_for(catalogue, facts, at, views)) for ...]
    for row in rows(readings, views): row.parts[n].readings   # newest first
    comparable(a, b, views).zh                                # why, or why not

`views` is `mappings.engine.conversions.views`: the listed conversions, and no other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Protocol

from gateway.recognition.annex_d_2 import platform
from gateway.recognition.catalogue import Catalogue, Item
from gateway.recognition.facts import ResultFacts

Resource = Mapping[str, Any]
Mark = Literal["", "high", "low", "normal"]


class View(Protocol):
    """A result as it would read in another unit; shaped like `mappings.engine.conversions.View`."""

    @property
    def loinc(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def basis(self) -> str: ...


Views = Callable[[str, str, str], Sequence[View]]
"""(LOINC, UCUM unit, digits) to every listed view; often there is none."""


class Together(StrEnum):
    """What two results may share."""

    LINE = "line"  # one row, one line
    SERIES = "series"  # one chart with a series each; a row each under one head
    NEVER = "never"  # neither a row nor an axis


class Why(StrEnum):
    """The reason, as told to whoever looks at it."""

    SAME = "same"
    LISTED = "listed"
    OTHER_TEST = "other-test"
    OTHER_SPECIMEN = "other-specimen"
    OTHER_QUANTITY = "other-quantity"
    OTHER_UNIT = "other-unit"
    NOT_COMPARABLE = "not-comparable"
    OTHER_PLATFORM = "other-platform"
    OTHER_LABORATORY = "other-laboratory"
    OTHER_METHOD = "other-method"
    UNKNOWN_ITEM = "unknown-item"
    CONVERTED = "converted"

    @property
    def zh(self) -> str:
        """The reason in Chinese."""
        return _WHY[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _WHY[self][1]


_WHY = {
    Why.SAME: ("同一实验室、同一方法、同一单位", "same laboratory, method and unit"),
    Why.LISTED: (
        "目录规定不同实验室的结果可以直接比较",
        "the catalogue lists it as comparable between laboratories",
    ),
    Why.OTHER_TEST: ("不是同一个项目", "not the same test"),
    Why.OTHER_SPECIMEN: ("标本不同，不能比较", "different specimens cannot be compared"),
    Why.OTHER_QUANTITY: ("所测的量不同，不能比较", "different quantities cannot be compared"),
    Why.OTHER_UNIT: (
        "单位不同，且没有认可的换算",
        "different units, and no listed conversion between them",
    ),
    Why.NOT_COMPARABLE: (
        "目录规定该项目不同实验室或方法的结果不能比较",
        "the catalogue says results of different laboratories or methods cannot be compared",
    ),
    Why.OTHER_PLATFORM: (
        "只有同一检测平台的结果才能比较，平台不同或未注明",
        "comparable on one platform only; the platforms differ or are not stated",
    ),
    Why.OTHER_LABORATORY: (
        "不同实验室的结果分别画线，比较时请注意方法与参考范围",
        "each laboratory has its own line: mind method and range when comparing",
    ),
    Why.OTHER_METHOD: (
        "方法不同，分别画线",
        "different methods, each with its own line",
    ),
    Why.UNKNOWN_ITEM: (
        "目录中没有该项目，各实验室分别画线",
        "not in the catalogue: each laboratory has its own line",
    ),
    Why.CONVERTED: (
        "单位不同，按认可的系数换算后同图显示",
        "different units, shown by a listed factor",
    ),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One result as far as comparing it goes.

    `test` is the item's code, or what the laboratory calls it where no item is known. `number` holds
    the digits of a plain number and nothing else: titres, ordinals and words have none. With a
    `comparator` it is a limit. `low` and `high` are limits of its own range in its own unit. `at` is
    µs UTC of collection or examination.
    """

    key: str
    organization: str
    test: str
    loinc: str = ""
    item: Item | None = None
    specimen: str = ""
    method: str = ""
    device: str = ""
    unit: str = ""
    number: str = ""
    comparator: str = ""
    low: str = ""
    high: str = ""
    at: int | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """What two results may share, and why no more."""

    together: Together
    why: Why

    @property
    def zh(self) -> str:
        """The reason in Chinese."""
        return self.why.zh

    @property
    def en(self) -> str:
        """The same in English."""
        return self.why.en


@dataclass(frozen=True, slots=True)
class Part:
    """Results that share a line: all of one laboratory and method, or of all where A allows it.

    `organization` and `method` are empty where several share it.
    """

    organization: str
    method: str
    unit: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One head with its parts. Two rows of one test cannot be compared: `apart` says why."""

    test: str
    item: Item | None
    specimen: str
    parts: tuple[Part, ...]
    apart: Why | None = None


_PLAIN = re.compile(r"[-+]?\d+(?:\.\d+)?")
_WITHDRAWN = frozenset({"cancelled", "entered-in-error"})


def item_for(catalogue: Catalogue, facts: ResultFacts, at: int, views: Views) -> Item | None:
    """The item of a result: of its own code, else of what its unit is listed to convert to."""
    found = catalogue.items_for(facts.loinc, at)
    if not found:
        reached = {view.loinc for code in facts.loinc for view in views(code, facts.unit, "1")}
        found = catalogue.items_for(sorted(reached), at)
    return found[0] if len(found) == 1 else None


def reading_of(
    result: Resource, facts: ResultFacts, item: Item | None, *, local: str = ""
) -> Reading:
    """An Observation (numbers as text, or as numbers) with its facts. `local` names its test where
    it has no LOINC code: system and code of its own."""
    loinc = facts.loinc[0] if facts.loinc else ""
    quantity = _map(result.get("valueQuantity"))
    number = str(quantity.get("value", ""))
    low, high = _limits(result, quantity)
    clock = (facts.collected, facts.effective, facts.issued)
    return Reading(
        key=facts.result,
        organization=facts.organization,
        test=item.code if item else loinc or f"{facts.organization}|{local}",
        loinc=loinc,
        item=item,
        specimen=facts.specimen,
        method=facts.method,
        device=facts.device,
        unit=facts.unit or str(quantity.get("unit", "")),
        number=number if _PLAIN.fullmatch(number) else "",
        comparator=str(quantity.get("comparator", "")),
        low=low,
        high=high,
        at=next((one for one in clock if one is not None), None),
        withdrawn=facts.status in _WITHDRAWN,
    )


def _limits(result: Resource, value: Resource) -> tuple[str, str]:
    """Limits of the only range, when it is in the unit of the value."""
    ranges = result.get("referenceRange")
    if not isinstance(ranges, list) or len(ranges) != 1:
        return "", ""
    found = []
    for name in ("low", "high"):
        limit = _map(_map(ranges[0]).get(name))
        digits = str(limit.get("value", ""))
        same = limit.get("code", limit.get("unit")) in (value.get("code"), value.get("unit"), None)
        found.append(digits if same and _PLAIN.fullmatch(digits) else "")
    return found[0], found[1]


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def second_mark(reading: Reading) -> Mark:
    """The flag computed from the result's own number, range and unit, to be drawn beside the
    laboratory's and unlike it; "" when that cannot be said. A limit decides only where it must."""
    if not (reading.number and reading.unit) or reading.withdrawn:
        return ""
    number = Decimal(reading.number)
    low = Decimal(reading.low) if reading.low else None
    high = Decimal(reading.high) if reading.high else None
    match reading.comparator:
        case "<" | "<=":
            return "low" if low is not None and number <= low else ""
        case ">" | ">=":
            return "high" if high is not None and number >= high else ""
        case "":
            if low is not None and number < low:
                return "low"
            if high is not None and number > high:
                return "high"
            return "normal" if low is not None and high is not None else ""
        case _:
            return ""


# Comparing


def axis_unit(reading: Reading, views: Views) -> str:
    """The unit in which it may stand beside others of its item: the item's own where it is that or a
    listed conversion leads there, else as issued."""
    item = reading.item
    if item is None or not item.ucum or reading.unit == item.ucum[0]:
        return reading.unit
    if not reading.unit and not reading.number:
        return item.ucum[0]  # a word in the place of a number belongs to the item's row
    found = {view.unit for view in views(reading.loinc, reading.unit, "1")}
    return item.ucum[0] if item.ucum[0] in found else reading.unit


def comparable(a: Reading, b: Reading, views: Views) -> Relation:
    """May these two share a line, a chart or nothing? The order of the two does not matter."""
    if a.test != b.test:
        return Relation(Together.NEVER, Why.OTHER_TEST)
    if _specimen(a) != _specimen(b):
        return Relation(Together.NEVER, Why.OTHER_SPECIMEN)
    if axis_unit(a, views) != axis_unit(b, views):
        both = a.loinc and b.loinc and a.loinc != b.loinc
        return Relation(Together.NEVER, Why.OTHER_QUANTITY if both else Why.OTHER_UNIT)
    item, alike = a.item, _source(a) == _source(b)
    if item is not None and item.comparability == "C" and not alike:
        return Relation(Together.NEVER, Why.NOT_COMPARABLE)
    if item is not None and item.platform_only and _platform(a) != _platform(b):
        return Relation(Together.NEVER, Why.OTHER_PLATFORM)
    if _unit(a, views) != _unit(b, views):
        return Relation(Together.SERIES, Why.CONVERTED)
    if alike:
        return Relation(Together.LINE, Why.SAME)
    if item is not None and item.comparability == "A" and not item.platform_only:
        return Relation(Together.LINE, Why.LISTED)
    if a.organization == b.organization:
        return Relation(Together.SERIES, Why.OTHER_METHOD)
    return Relation(Together.SERIES, Why.OTHER_LABORATORY if item else Why.UNKNOWN_ITEM)


def _specimen(reading: Reading) -> str:
    """All specimens the item allows count as one; so does one that is not stated, since the code
    names it. Without an item only like is like."""
    item = reading.item
    if item is not None and (not reading.specimen or reading.specimen in item.specimens):
        return ""
    return reading.specimen


def _unit(reading: Reading, views: Views) -> str:
    return reading.unit or axis_unit(reading, views)


def _source(reading: Reading) -> tuple[str, str]:
    return reading.organization, unicodedata.normalize("NFKC", reading.method).upper()


def _platform(reading: Reading) -> str:
    """One that is not stated is nobody's but that laboratory's and method's own."""
    return platform(reading.device) if reading.device else "|".join(("?", *_source(reading)))


# Rows of a grid


def rows(readings: Iterable[Reading], views: Views) -> tuple[Row, ...]:
    """Results grouped for a grid, each in exactly one part of one row.

    Rows stand in the order in which their tests first come, parts by laboratory and method, the
    results of a part newest first. The order within one moment is that of the keys.
    """
    heads: dict[tuple[str, ...], list[Reading]] = {}
    tests: dict[str, int] = {}
    for one in readings:
        tests.setdefault(one.test, len(tests))
        heads.setdefault(_head(one, views), []).append(one)
    found = [_row(members, views) for members in heads.values()]
    found.sort(
        key=lambda row: (
            tests[row.test],
            row.specimen,
            row.parts[0].unit,
            row.parts[0].organization,
        )
    )
    first: dict[str, Reading] = {}
    made = []
    for row in found:
        lead = row.parts[0].readings[0]
        other = first.setdefault(row.test, lead)
        apart = None if other is lead else comparable(other, lead, views).why
        made.append(Row(row.test, row.item, row.specimen, row.parts, apart))
    return tuple(made)


def _head(one: Reading, views: Views) -> tuple[str, ...]:
    """What results must have in common to stand under one head: no two of them are NEVER."""
    key = (one.test, _specimen(one), axis_unit(one, views))
    item = one.item
    if item is None:
        return key
    if item.comparability == "C":
        return (*key, *_source(one))
    if item.platform_only:
        return (*key, _platform(one))
    return key


def _row(members: Sequence[Reading], views: Views) -> Row:
    lines: dict[tuple[str, ...], list[Reading]] = {}
    for one in members:
        shared = (
            one.item is not None and one.item.comparability == "A" and not one.item.platform_only
        )
        source = ("", "") if shared else _source(one)
        lines.setdefault((*source, _unit(one, views)), []).append(one)
    parts = tuple(_part(key, lines[key]) for key in sorted(lines))
    return Row(members[0].test, members[0].item, _specimen(members[0]), parts)


def _part(key: tuple[str, ...], found: list[Reading]) -> Part:
    found.sort(key=lambda one: (-(one.at or 0), one.key))
    organization, method, unit = key
    issuers = {one.organization for one in found}
    methods = {one.method for one in found}
    return Part(
        organization or (issuers.pop() if len(issuers) == 1 else ""),
        method or (methods.pop() if len(methods) == 1 else ""),
        unit,
        tuple(found),
    )
