"""Lays results out as a grid: a row for what may be compared, a column for each time of collection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from typing import Final

from gateway.portal import words
from gateway.portal.stories import Report, Result, When
from gateway.recognition import series
from gateway.recognition.series import Why
from mappings.engine import conversions

PAPER: Final = 7
"""Columns of one part on paper (A4, upright)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One time at one hospital. `reports` are (id, title) of what was issued then."""

    organization: str
    at: When | None
    reports: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Row:
    """Results that may stand beside each other. `apart` says what keeps it from the rows around it;
    `unit` and `range` are empty where they differ from cell to cell. `cells` is by column."""

    name: str
    english: str
    apart: tuple[str, ...] = ()
    unit: str = ""
    range: str = ""
    cells: dict[int, list[Result]] = field(default_factory=dict)
    sub: bool = False
    why: Why | None = None  # it may not be compared with the rows of this test before it

    @property
    def newest(self) -> Result:
        """The first of its results."""
        return self.cells[min(self.cells)][0]


@dataclass(slots=True)
class Block:
    """A panel: its name in both languages, and its rows."""

    zh: str
    en: str
    rows: list[Row]

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns newest first, rows by panel: the list's own panels, then the hospitals'."""

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]

    def parts(self, width: int = PAPER) -> list[range]:
        """The columns in parts that fit on paper."""
        return [
            range(start, min(start + width, len(self.columns)))
            for start in range(0, len(self.columns), width)
        ]


@dataclass(frozen=True, slots=True)
class _Placed:
    result: Result
    column: tuple[str, str]
    report: Report


def grid(reports: Iterable[Report], zone: tzinfo) -> Grid:
    """The results of these reports, newest first. A result of two reports stands once."""
    placed: dict[str, _Placed] = {}
    columns: dict[tuple[str, str], list[Report]] = {}
    times: dict[tuple[str, str], When | None] = {}
    for report in reports:
        for result in report.results:
            key = (result.organization, _sortable(result.collected, zone))
            times.setdefault(key, result.collected)
            held = columns.setdefault(key, [])
            if report not in held:
                held.append(report)
            placed.setdefault(result.id, _Placed(result, key, report))
    # Newest first; what has no time stands last. Hospitals of one moment in a fixed order.
    order = sorted(sorted(columns), key=lambda key: key[1], reverse=True)
    numbers = {key: number for number, key in enumerate(order)}
    return Grid(
        tuple(
            Column(key[0], times[key], tuple((one.id, one.title) for one in columns[key]))
            for key in order
        ),
        tuple(_blocks(placed.values(), numbers)),
    )


def _sortable(at: When | None, zone: tzinfo) -> str:
    """A text that sorts as time does: a day of which no hour is told after the hours of that day."""
    match at:
        case None:
            return ""
        case datetime():
            return at.astimezone(zone).isoformat(timespec="seconds")
        case date():
            return at.isoformat()


def _blocks(placed: Iterable[_Placed], numbers: dict[tuple[str, str], int]) -> list[Block]:
    tests: dict[str, list[_Placed]] = {}
    for one in placed:
        tests.setdefault(one.result.detail.reading.test or one.result.item, []).append(one)
    blocks: dict[str, tuple[tuple[int, int], Block, list[tuple[int, list[Row]]]]] = {}
    for place, same in enumerate(tests.values()):
        detail = same[0].result.detail
        title = detail.panel_zh or same[0].report.title
        # A panel of the list stands before one of a hospital's own; both as they come otherwise.
        rank = (0, detail.order // 1_000) if detail.panel_zh else (1, place)
        known = blocks.get(title)
        if known is None or rank < known[0]:
            rows = known[2] if known else []
            blocks[title] = known = (rank, Block(title, detail.panel_en or title, []), rows)
        inside = detail.order % 1_000 if detail.panel_zh else 1_000 + place
        known[2].append((inside, _rows(same, numbers)))
    found = []
    for _, block, parts in sorted(blocks.values(), key=lambda one: one[0]):
        block.rows.extend(row for _, rows in sorted(parts, key=lambda p: p[0]) for row in rows)
        found.append(block)
    return found


def _rows(same: Sequence[_Placed], numbers: dict[tuple[str, str], int]) -> list[Row]:
    """One test's rows: as many as there are kinds of it that must not share one."""
    by_id = {one.result.id: one for one in same}
    heads = series.rows(
        [replace(one.result.detail.reading, key=one.result.id) for one in same], conversions.views
    )
    found = []
    for head in heads:
        for place, part in enumerate(head.parts):
            members = [by_id[reading.key] for reading in part.readings]
            results = [one.result for one in members]
            names = dict.fromkeys(result.item for result in results)
            item = results[0].detail.item
            row = Row(
                name=next(iter(names)) if len(names) == 1 or not item else item.name_zh,
                english=item.name_en if item else "",
                apart=_apart(results, same),
                unit=_one(result.unit for result in results if result.value),
                range=_one(result.range for result in results),
                sub=place > 0,
                why=head.apart if place == 0 else None,
            )
            for one in members:
                row.cells.setdefault(numbers[one.column], []).append(one.result)
            found.append(row)
    return found


def _apart(results: Sequence[Result], same: Sequence[_Placed]) -> tuple[str, ...]:
    """What keeps these results from the others of the same test: only what is not the same for all."""
    said = []
    for name in ("organization", "specimen", "method"):
        own = dict.fromkeys(str(getattr(result, name)) for result in results)
        others = {getattr(one.result, name) for one in same}
        if len(own) == 1 and len(others) > 1:
            said.append(next(iter(own)))
    return tuple(filter(None, said))


def _one(texts: Iterable[str]) -> str:
    """What all say; "" when they do not agree."""
    found = set(texts)
    return found.pop() if len(found) == 1 else ""


def narrowed(reports: Iterable[Report], *, abnormal: bool, organization: str) -> list[Report]:
    """The reports with those results alone that are asked for; a report without any is left out.

    Abnormal is what its own laboratory flagged, and a flag that nobody here can read.
    """
    found = []
    for report in reports:
        if organization and report.organization != organization:
            continue
        results = tuple(
            one for one in report.results if not abnormal or one.flag.kind in words.ABNORMAL
        )
        if results or not report.results:
            found.append(replace(report, results=results))
    return found
