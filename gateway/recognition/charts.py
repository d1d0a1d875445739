"""One chart of one test over time: its series, what cannot be drawn, and where a line must break.

Points keep the result as issued; what is drawn is its number, converted only by a listed pair. A
limit (<0.01) is a point at the limit that no line touches. Withdrawn results, titres, ordinals and
words are never drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from gateway.recognition.annex_d_2 import platform
from gateway.recognition.series import (
    Part,
    Reading,
    Row,
    Together,
    View,
    Views,
    Why,
    axis_unit,
    comparable,
    rows,
)

Censored = Literal["", "below", "above"]
_BELOW, _ABOVE = frozenset({"<", "<="}), frozenset({">", ">="})


class Undrawn(StrEnum):
    """Why a result of the table is not on the chart."""

    WITHDRAWN = "withdrawn"
    NO_NUMBER = "no-number"
    NO_TIME = "no-time"
    NO_CONVERSION = "no-conversion"

    @property
    def zh(self) -> str:
        """The reason in Chinese."""
        return _UNDRAWN[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _UNDRAWN[self][1]


_UNDRAWN = {
    Undrawn.WITHDRAWN: ("已作废", "withdrawn"),
    Undrawn.NO_NUMBER: ("不是数值", "not a number"),
    Undrawn.NO_TIME: ("没有采样时间", "no time of collection"),
    Undrawn.NO_CONVERSION: ("没有单位或没有认可的换算", "no unit, or no listed conversion"),
}


class Changed(StrEnum):
    """What changed between two results of one line."""

    METHOD = "method"
    RANGE = "range"

    @property
    def zh(self) -> str:
        """The change in Chinese."""
        return {"method": "方法或仪器改变", "range": "参考范围改变"}[self.value]

    @property
    def en(self) -> str:
        """The same in English."""
        return {"method": "method or instrument changed", "range": "reference range changed"}[
            self.value
        ]


@dataclass(frozen=True, slots=True)
class Point:
    """One result on the chart: `y` in the chart's unit, `view` when it was converted.

    `low` and `high` are its own range in the chart's unit, None where none is known there.
    """

    reading: Reading
    at: int
    y: Decimal
    censored: Censored = ""
    view: View | None = None
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """From this moment on the line is another one (method) or has another band (range)."""

    at: int
    changed: Changed


@dataclass(frozen=True, slots=True)
class Line:
    """One series, oldest first. `segments` are the runs of points a stroke may connect."""

    organization: str
    method: str
    unit: str  # as issued
    points: tuple[Point, ...]
    breaks: tuple[Break, ...]
    segments: tuple[tuple[Point, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything one chart of one test shows. Without lines there is nothing to draw.

    `caveat` stands above a chart with several series; `refused` says why there is no chart though
    there are numbers. `bottom` and `top` contain every point and every range of the chart.
    """

    unit: str
    lines: tuple[Line, ...]
    undrawn: tuple[tuple[Reading, Undrawn], ...]
    caveat: Why | None = None
    refused: Why | None = None
    bottom: Decimal = Decimal(0)
    top: Decimal = Decimal(1)


def charts(readings: Iterable[Reading], views: Views) -> tuple[Chart, ...]:
    """The charts of one test or of several, one for each row of results that may share an axis.

    A test whose results the catalogue calls incomparable gets no chart once they come from several
    laboratories or methods: one after another they would be read as a course.
    """
    found = rows(readings, views)
    made = []
    for row in found:
        rivals = [
            other
            for other in found
            if other.test == row.test and other is not row and _stands(other)
        ]
        made.append(_chart(row, rivals, views))
    return tuple(made)


def _stands(row: Row) -> bool:
    return any(not one.withdrawn for part in row.parts for one in part.readings)


def _chart(row: Row, rivals: Sequence[Row], views: Views) -> Chart:
    lead = row.parts[0].readings[0]
    unit = axis_unit(lead, views)
    undrawn: list[tuple[Reading, Undrawn]] = []
    lines = [line for part in row.parts if (line := _line(part, unit, undrawn, views))]
    refused = next(
        (
            why
            for other in rivals
            if (why := comparable(lead, other.parts[0].readings[0], views).why)
            in {Why.NOT_COMPARABLE, Why.OTHER_PLATFORM}
        ),
        None,
    )
    if refused or not lines:
        return Chart(unit, (), tuple(undrawn), refused=refused if lines else None)
    bottom, top = _extent([point for line in lines for point in line.points])
    return Chart(unit, tuple(lines), tuple(undrawn), _caveat(row, views), None, bottom, top)


def _caveat(row: Row, views: Views) -> Why | None:
    """The first reason why two of its parts are not one."""
    first, *others = (part.readings[0] for part in row.parts)
    for other in others:
        relation = comparable(first, other, views)
        if relation.together is not Together.LINE:
            return relation.why
    return None


def _line(
    part: Part, unit: str, undrawn: list[tuple[Reading, Undrawn]], views: Views
) -> Line | None:
    points = []
    for reading in sorted(part.readings, key=lambda one: (one.at or 0, one.key)):
        point = _point(reading, unit, views)
        if isinstance(point, Undrawn):
            undrawn.append((reading, point))
        else:
            points.append(point)
    if not points:
        return None
    breaks, segments = _broken(points)
    return Line(part.organization, part.method, part.unit, tuple(points), breaks, segments)


def _point(reading: Reading, unit: str, views: Views) -> Point | Undrawn:
    if reading.withdrawn:
        return Undrawn.WITHDRAWN
    if not reading.number or reading.comparator not in {"", *_BELOW, *_ABOVE}:
        return Undrawn.NO_NUMBER
    if reading.at is None:
        return Undrawn.NO_TIME
    if not reading.unit and unit:
        return Undrawn.NO_CONVERSION
    view = None
    if reading.unit != unit:
        view = _viewed(reading, reading.number, unit, views)
    drawn = _drawn(reading, reading.number, unit, views)
    if drawn is None:
        return Undrawn.NO_CONVERSION
    censored: Censored = (
        "below" if reading.comparator in _BELOW else "above" if reading.comparator else ""
    )
    low, high = (_drawn(reading, one, unit, views) for one in (reading.low, reading.high))
    return Point(reading, reading.at, drawn, censored, view, low, high)


def _viewed(reading: Reading, digits: str, unit: str, views: Views) -> View | None:
    return next(
        (view for view in views(reading.loinc, reading.unit, digits) if view.unit == unit), None
    )


def _drawn(reading: Reading, digits: str, unit: str, views: Views) -> Decimal | None:
    """A number or limit in the unit of the chart, finer than it may be written: a view carries only
    as many digits as the laboratory's own, and 0.5 mg/dL must not be drawn as 40 umol/L."""
    if not digits:
        return None
    if reading.unit == unit:
        return Decimal(digits)
    finer = digits + ("000" if "." in digits else ".000")
    view = _viewed(reading, finer, unit, views)
    return Decimal(view.text) if view else None


def _broken(points: Sequence[Point]) -> tuple[tuple[Break, ...], tuple[tuple[Point, ...], ...]]:
    """A new method ends a stroke, a new range marks it; a limit stands outside of every stroke."""
    breaks: list[Break] = []
    segments: list[list[Point]] = [[]]
    for before, point in zip([None, *points], points, strict=False):
        if before is not None:
            if _how(before.reading) != _how(point.reading):
                breaks.append(Break(point.at, Changed.METHOD))
                segments.append([])
            if (before.low, before.high) != (point.low, point.high):
                breaks.append(Break(point.at, Changed.RANGE))
        if point.censored:
            segments.append([])
        else:
            segments[-1].append(point)
    return tuple(breaks), tuple(tuple(run) for run in segments if run)


def _how(reading: Reading) -> tuple[str, str]:
    return reading.method, platform(reading.device)


def _extent(points: Sequence[Point]) -> tuple[Decimal, Decimal]:
    """Bottom and top with a margin. Never narrower than a tenth of the largest number to each side,
    so that a quiet course does not look like a storm, and not below nought unless something is."""
    numbers = [p.y for p in points]
    numbers += [limit for p in points for limit in (p.low, p.high) if limit is not None]
    bottom, top = min(numbers), max(numbers)
    margin = max((top - bottom) / 20, Decimal(0))
    least = max(abs(bottom), abs(top)) / 10
    middle = (bottom + top) / 2
    low, high = min(bottom - margin, middle - least), max(top + margin, middle + least)
    if bottom >= 0:
        low = max(low, Decimal(0))
    return low, high if high > low else low + 1
