"""Keeps small counts from being read, also by subtraction, in tables whose sums are shown.

Counts from 1 to 4 are withheld, and so many others with them that no withheld count follows from
those that are shown. A row of a table is a tree of sums (`PARTS`), its columns add up to the total:
that is a network whose lines are the counts and whose points are the sums, and a withheld count can be
computed from the shown ones exactly where its line is the only one between two parts of the network
of withheld lines (a bridge). So withheld lines are completed to rings. First the totals by
themselves, once, for all tables of a publication; then each table as if the totals were known, with
one row in which everything is withheld that is withheld of the totals: what can be moved there can
be moved in the totals, in every table at once. And what is withheld of one sum is together not small.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.recognition.figures import COLUMNS, LONE, PARTS, Counts

LEAST = 5
"""The smallest count that is shown, but for 0."""

Mask = frozenset[str]
"""The columns of a row that are withheld."""

_PARENT = {part: whole for whole, parts in PARTS.items() for part in parts}
_LEAVES = tuple(name for name in COLUMNS if name not in PARTS)


def small(count: int) -> bool:
    """May this count not be shown?"""
    return 0 < count < LEAST


class _Line(NamedTuple):
    """A count between two sums; `row` is empty for totals."""

    row: str
    column: str
    value: int
    ends: tuple[str, str]


def mask_of_totals(totals: Counts) -> Mask:
    """What of the totals is withheld. Everything when there are so few questions at all."""
    if small(totals["eligible"]):
        return frozenset(COLUMNS)
    lines = [line for line in _row("", totals) if line.value and line.column not in LONE]
    hidden = {line for line in lines if small(line.value)}
    _complete(lines, hidden)
    lone = {name for name in LONE if small(totals[name])}
    return frozenset(line.column for line in hidden) | lone


def masks(rows: Mapping[str, Counts], totals: Mask) -> dict[str, Mask]:
    """What of each row is withheld when the rows add up to totals of which `totals` is withheld."""
    if len(rows) == 1:
        return dict.fromkeys(rows, totals)
    met = {name for name in COLUMNS if any(counts[name] for counts in rows.values())}
    lines = [line for key, of in rows.items() for line in _row(key, of) if line.column in met]
    few = {key for key, counts in rows.items() if small(counts["eligible"])}
    hidden = {line for line in lines if small(line.value) or line.row in few}
    if totals and rows:
        carrier = _carrier(rows, totals)
        hidden |= {line for line in lines if line.row == carrier and line.column in totals}
    _complete(lines, hidden)
    found: dict[str, set[str]] = {key: set(COLUMNS) if key in few else set() for key in rows}
    for line in hidden:
        found[line.row].add(line.column)
    return {key: frozenset(names) for key, names in found.items()}


def _carrier(rows: Mapping[str, Counts], totals: Mask) -> str:
    """The row in which the least is lost and as many as can be of the withheld counts are not 0."""
    return min(
        rows,
        key=lambda key: (
            sum(rows[key][name] == 0 for name in totals),
            rows[key]["eligible"],
            key,
        ),
    )


def _row(key: str, counts: Counts) -> list[_Line]:
    """The lines of a row: from the sum a count is part of to the sum it is, or to its column's."""
    found = []
    for name in COLUMNS:
        whole = _PARENT.get(name)
        first = f"row {key} {whole}" if whole else ("end" if name in PARTS else f"end {name}")
        last = f"row {key} {name}" if name in PARTS else f"column {name}"
        if not key and name in _LEAVES:
            last = "end"  # a total is no part of a column
        found.append(_Line(key, name, counts[name], (first, last)))
    return found


def _complete(lines: Sequence[_Line], hidden: set[_Line]) -> None:
    """Withhold more of `lines`, until nothing withheld can be computed and no rest is small."""
    at: dict[str, list[_Line]] = {}
    for line in lines:
        for end in set(line.ends):
            at.setdefault(end, []).append(line)
    more = True
    while more:
        more = False
        for bridge in sorted(_bridges(hidden)):
            ring = _ring(bridge, at, hidden)
            more |= bool(ring)
            hidden |= ring
        if not more and (rest := _rest(lines, hidden)):
            hidden |= rest
            more = True


def _bridges(hidden: Iterable[_Line]) -> set[_Line]:
    """The lines that lie on no ring: without one of them its ends do not hang together."""
    at: dict[str, list[_Line]] = {}
    for line in hidden:
        for end in set(line.ends):
            at.setdefault(end, []).append(line)
    found: set[_Line] = set()
    depth: dict[str, int] = {}
    low: dict[str, int] = {}
    for root in sorted(at):
        if root in depth:
            continue
        depth[root] = low[root] = 0
        stack: list[tuple[str, _Line | None, list[_Line]]] = [(root, None, list(at[root]))]
        while stack:
            here, came, ahead = stack[-1]
            if not ahead:
                stack.pop()
                if came is not None:
                    before = stack[-1][0]
                    low[before] = min(low[before], low[here])
                    if low[here] > depth[before]:
                        found.add(came)
                continue
            line = ahead.pop()
            if line is came or line.ends[0] == line.ends[1]:
                continue
            there = _other(line, here)
            if there in depth:
                low[here] = min(low[here], depth[there])
            else:
                depth[there] = low[there] = depth[here] + 1
                stack.append((there, line, list(at[there])))
    return found


def _other(line: _Line, end: str) -> str:
    return line.ends[1] if line.ends[0] == end else line.ends[0]


def _ring(bridge: _Line, at: Mapping[str, Sequence[_Line]], hidden: set[_Line]) -> set[_Line]:
    """The shown lines that close the cheapest ring through this one: few and small, 0 at last."""
    start, goal = bridge.ends
    best: dict[str, int] = {start: 0}
    came: dict[str, _Line] = {}
    queue = [(0, start)]
    while queue:
        cost, here = heapq.heappop(queue)
        if here == goal:
            break
        if cost > best[here]:
            continue
        for line in at[here]:
            if line == bridge:
                continue
            there, price = _other(line, here), cost + _price(line, line in hidden)
            if price < best.get(there, price + 1):
                best[there], came[there] = price, line
                heapq.heappush(queue, (price, there))
    found: set[_Line] = set()
    here = goal
    while here != start and here in came:
        line = came[here]
        if line not in hidden:
            found.add(line)
        here = _other(line, here)
    return found


def _price(line: _Line, hidden: bool) -> int:
    if hidden:
        return 1 if line.value else 1_000
    return 100_000 + line.value if line.value else 100_000_000


def _rest(lines: Sequence[_Line], hidden: set[_Line]) -> set[_Line]:
    """One more line of a sum whose withheld parts add up to a small count though it is shown."""
    parts: dict[str, list[_Line]] = {}
    wholes: dict[str, _Line] = {}
    for line in lines:
        if line.column in _PARENT:
            parts.setdefault(f"row {line.row} {_PARENT[line.column]}", []).append(line)
        if line.column in PARTS:
            wholes[f"row {line.row} {line.column}"] = line
        if line.row:
            parts.setdefault(f"column {line.column}", []).append(line)
    for sum_, of in sorted(parts.items()):
        whole = wholes.get(sum_)
        if whole is not None and whole in hidden:
            continue
        if small(sum(line.value for line in of if line in hidden)):
            shown = [line for line in of if line not in hidden and line.value]
            if shown:
                return {min(shown, key=lambda line: (line.value, line))}
    return set()
