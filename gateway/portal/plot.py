"""Draws one test over time: one line for each laboratory and method, each with its own range.

The table beside the drawing is the record. What is drawn is made of the digits as issued; a value in
another unit is drawn only by a listed conversion, and what cannot be compared is not drawn together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from typing import Final, Literal

from gateway.portal.stories import Result, When
from gateway.portal.words import VOID
from gateway.recognition import series
from gateway.recognition.series import Reading, Why
from mappings.engine import conversions

WIDTH: Final = 960
HEIGHT: Final = 300
LEFT: Final = 58
RIGHT: Final = 14
TOP: Final = 12
BOTTOM: Final = 30
FAR: Final = 1e15
"""Nothing that a laboratory measures is so large: a number beyond it is not drawn."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A value in the drawing's unit, and how it came there."""

    text: str
    unit: str
    factor: str
    basis: str
    version: str


@dataclass(frozen=True, slots=True)
class Point:
    """One result as drawn. `at` is seconds of Unix time; `y`, `low` and `high` are in the unit of
    the drawing; `censored` is "<" or ">" where the laboratory told a limit alone."""

    id: str
    at: int
    y: float
    censored: Literal["", "<", ">"]
    low: float | None
    high: float | None
    result: Result
    converted: Converted | None = None


@dataclass(slots=True)
class Series:
    """The results of one laboratory by one method, oldest first; `breaks` are the times at which
    its range, or what it measures with, changed."""

    organization: str
    method: str
    instrument: str
    points: list[Point] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plot:
    """What can be drawn. `joined`: the list says that all of it may share one line. `beside` says
    why other results of the test are not in it, None when all are."""

    unit: str
    series: tuple[Series, ...]
    joined: bool
    bottom: float
    top: float
    first: int
    last: int
    beside: Why | None = None


@dataclass(frozen=True, slots=True)
class Undrawn:
    """Why there is no drawing: they "never" may share an axis, and why, or "nothing" is a number."""

    what: Literal["never", "nothing"]
    why: Why | None = None


def plot(results: Sequence[Result], zone: tzinfo) -> Plot | Undrawn:
    """The drawing of one test. Voided results are never drawn, nor what has no time or number."""
    drawn = {
        one.id: one
        for one in results
        if one.status not in VOID
        and one.detail.reading.number
        and not one.detail.reading.withdrawn
        and one.collected is not None
    }
    if not drawn:
        return Undrawn("nothing")
    views = conversions.views
    heads = series.rows([replace(one.detail.reading, key=one.id) for one in drawn.values()], views)
    apart = [head.apart for head in heads if head.apart]
    item = heads[0].item
    if apart and item is not None and (item.comparability == "C" or item.platform_only):
        return Undrawn("never", apart[0])
    # Of others, such as another specimen's, what was measured last is drawn.
    head = max(heads, key=lambda one: max(r.at or 0 for part in one.parts for r in part.readings))
    readings = [reading for part in head.parts for reading in part.readings]
    unit = series.axis_unit(readings[0], views)
    lines: dict[tuple[str, str], Series] = {}
    for reading in sorted(readings, key=lambda r: _seconds(drawn[r.key].collected, zone)):
        one = drawn[reading.key]
        point = _point(one, reading, unit, zone)
        if point is None:
            continue
        line = lines.setdefault(
            (one.organization, one.method), Series(one.organization, one.method, "")
        )
        if line.points and _changed(line.points[-1].result, one):
            line.breaks.append(point.at)
        line.instrument = one.detail.instrument or line.instrument
        line.points.append(point)
    points = [point for line in lines.values() for point in line.points]
    if not points:
        return Undrawn("nothing")
    bottom, top = _extent(points)
    first, last = min(p.at for p in points), max(p.at for p in points)
    joined = any(
        series.comparable(a, b, views).why is Why.LISTED for a, b in itertools.pairwise(readings)
    )
    beside = next(iter(apart), None)
    return Plot(unit, tuple(lines.values()), joined, bottom, top, first, last, beside)


def _point(one: Result, reading: Reading, unit: str, zone: tzinfo) -> Point | None:
    converted = None
    number, low, high = (_decimal(text) for text in (reading.number, reading.low, reading.high))
    if reading.unit and reading.unit != unit:
        view = next(
            (
                view
                for view in conversions.views(reading.loinc, reading.unit, reading.number)
                if view.unit == unit
            ),
            None,
        )
        rules = conversions.listed().get((reading.loinc, reading.unit), ())
        rule = next((rule for rule in rules if rule.to_unit == unit), None)
        if view is None or rule is None:
            return None
        converted = Converted(
            reading.comparator + view.text, unit, _factor(rule), rule.basis, conversions.version()
        )
        number = Decimal(view.text)
        low, high = (None if v is None else rule.exactly(v) for v in (low, high))
    assert number is not None, "only numbers are drawn"
    if any(value is not None and abs(value) > FAR for value in (number, low, high)):
        return None
    comparator = reading.comparator[:1]
    return Point(
        one.id,
        _seconds(one.collected, zone),
        float(number),
        "<" if comparator == "<" else ">" if comparator == ">" else "",
        None if low is None else float(low),
        None if high is None else float(high),
        one,
        converted,
    )


def _factor(rule: conversions.Conversion) -> str:
    factor = f"× {rule.times:f}"
    if rule.over != 1:
        factor += f" ÷ {rule.over:f}"
    return factor + (f" + {rule.plus:f}" if rule.plus else "")


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def _changed(before: Result, after: Result) -> bool:
    return before.range != after.range or before.detail.instrument != after.detail.instrument


def _seconds(at: When | None, zone: tzinfo) -> int:
    """A day of which no hour is told is drawn at its noon."""
    match at:
        case datetime():
            return int(at.timestamp())
        case date():
            return int(datetime.combine(at, time(12), zone).timestamp())
        case None:
            return 0


def _extent(points: Sequence[Point]) -> tuple[float, float]:
    """The axis holds every point and every range, and some air. A range without a lower limit begins
    at 0, and so does an axis that would otherwise begin near it. It reaches a tenth of the largest
    number to each side of its middle: a quiet course does not look like a storm."""
    values = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    values += [0.0 for p in points if p.low is None and p.high is not None and p.high > 0]
    bottom, top = min(values), max(values)
    air = (top - bottom) * 0.08 or abs(top) * 0.1 or 1.0
    middle, least = (bottom + top) / 2, max(abs(bottom), abs(top)) / 10
    lowest = min(bottom - air, middle - least)
    if bottom >= 0 and lowest < (top - bottom) * 0.25:
        lowest = 0.0
    return lowest, max(top + air, middle + least)


# The drawing for paper and for browsers without scripts


@dataclass(frozen=True, slots=True)
class Drawn:
    """A point's place on the drawing."""

    x: float
    y: float
    point: Point


@dataclass(frozen=True, slots=True)
class Picture:
    """The lines, bands and points of a plot in the coordinates of the drawing."""

    lines: tuple[tuple[int, str], ...]  # series, path
    bands: tuple[tuple[int, float, float, float, float], ...]  # series, x, y, width, height
    points: tuple[tuple[int, Drawn], ...]
    breaks: tuple[tuple[int, float], ...]
    levels: tuple[tuple[float, str], ...]  # y, label
    months: tuple[tuple[float, date], ...]


def picture(found: Plot, zone: tzinfo) -> Picture:
    """The plot as it is drawn by the server."""
    span = max(found.last - found.first, 1)
    inner, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    pad = inner * 0.03

    def x(at: int) -> float:
        if found.last == found.first:
            return round(LEFT + inner / 2, 1)
        return round(LEFT + pad + (at - found.first) / span * (inner - 2 * pad), 1)

    def y(value: float) -> float:
        inside = min(max(value, found.bottom), found.top)
        return round(TOP + (found.top - inside) / (found.top - found.bottom) * height, 1)

    lines, bands, points, breaks = [], [], [], []
    for number, line in enumerate(found.series):
        placed = [Drawn(x(p.at), y(p.y), p) for p in line.points]
        points += [(number, one) for one in placed]
        breaks += [(number, x(at)) for at in line.breaks]
        if not found.joined:
            lines.append((number, _path(placed)))
        for place, one in enumerate(placed):
            low, high = one.point.low, one.point.high
            if low is None and high is None:
                continue
            left = placed[place - 1].x if place else one.x - 14
            right = one.x if place + 1 < len(placed) else one.x + 14
            left = max(left, LEFT) if place else max(one.x - 14, LEFT)
            right = min(right, WIDTH - RIGHT)
            over = y(found.top if high is None else high)
            under = y(found.bottom if low is None else low)
            bands.append((number, left, over, round(right - left, 1), round(under - over, 1)))
    if found.joined:
        lines.append((0, _path(sorted((one for _, one in points), key=lambda d: d.point.at))))
    levels = tuple((y(value), _plain(value)) for value in _levels(found.bottom, found.top))
    return Picture(
        tuple(lines), tuple(bands), tuple(points), tuple(breaks), levels,
        tuple((x(at), day) for at, day in _days(found.first, found.last, zone)),
    )  # fmt: skip


def _path(points: Sequence[Drawn]) -> str:
    """Strokes from one measured point to the next; what is only a limit is touched by none."""
    runs: list[list[str]] = [[]]
    for one in points:
        if one.point.censored:
            runs.append([])
        else:
            runs[-1].append(f"{one.x} {one.y}")
    return " ".join("M" + " L".join(run) for run in runs if len(run) > 1)


def _levels(bottom: float, top: float) -> list[float]:
    """Round values inside the axis, five or so."""
    step = Decimal(str((top - bottom) / 5))
    power = Decimal(1).scaleb(step.adjusted())
    step = next(
        m * power for m in (Decimal(1), Decimal(2), Decimal(5), Decimal(10)) if m * power >= step
    )
    value = (Decimal(str(bottom)) / step).to_integral_value(rounding="ROUND_CEILING") * step
    found = []
    while value <= Decimal(str(top)):
        found.append(float(value))
        value += step
    return found


def _plain(value: float) -> str:
    return f"{value:.6g}"


def _days(first: int, last: int, zone: tzinfo) -> list[tuple[int, date]]:
    """Dates to name below the axis: at most six, month by month where the time is long."""
    begin, end = (datetime.fromtimestamp(at, zone) for at in (first, last))
    days = max((end.date() - begin.date()).days, 0)
    if days <= 62:
        count = min(days, 5) or 1
        return [
            (
                first + (last - first) * n // count,
                datetime.fromtimestamp(first + (last - first) * n // count, zone).date(),
            )
            for n in range(count + (days > 0))
        ]
    found = []
    year, month = begin.year, begin.month
    total = (end.year - year) * 12 + end.month - month
    step = max(1, -(-total // 6))
    while (year, month) <= (end.year, end.month):
        at = int(datetime(year, month, 1, tzinfo=zone).timestamp())
        if at >= first:
            found.append((at, date(year, month, 1)))
        month += step
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return found
