"""Detectors of raw fields: texts cut off at a round length (6), defaults that are no data (7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mappings.quality.counting import Days, Judged, Label, together
from mappings.quality.sighting import Sighting

LIMITS = (50, 100, 127, 128, 200, 250, 254, 255, 256, 500, 510, 511, 512, 1000, 1024, 2000, 4000)
"""Lengths of columns that cut texts off, in characters or in bytes of GB18030."""

_LONG = 40  # shorter texts are codes and names
_NEIGHBOURS = 20
_LEAST = 5  # texts of exactly one length before that is more than chance


# 6. Findings cut off, silently, at the width of a column.


def truncated_text(seen: Sighting) -> Iterator[Label]:
    """Long texts by field: their length in characters and in bytes, never the text."""
    for cell in seen.cells:
        if len(cell.text) >= _LONG and not cell.text.isascii():
            yield cell.place, str(min(len(cell.text), 4_001)), _in_bytes(cell.text)


def _in_bytes(text: str) -> str:
    return str(min(len(text.encode("gb18030", "replace")), 4_001))


def lengths_spike(days: Days) -> Judged:
    """Struck are the texts of a field at a length where the field plainly ends."""
    ends = _ends(together(days))
    judged: Judged = {}
    for day, counted in days.items():
        struck: Counter[str] = Counter()
        for (place, *lengths), n in counted.items():
            hit = next(
                (unit for unit, length in enumerate(lengths) if int(length) in ends[place][unit]),
                None,
            )
            if hit is not None:
                struck[f"{place} = {lengths[hit]}{(' characters', ' bytes')[hit]}"] += n
        judged[day] = (counted.total(), struck)
    return judged


def _ends(counted: Counter[Label]) -> dict[str, tuple[set[int], set[int]]]:
    """The lengths, in characters and in bytes, at which each field ends."""
    histograms: dict[tuple[str, int], Counter[int]] = {}
    for (place, *lengths), n in counted.items():
        for unit, length in enumerate(lengths):
            histograms.setdefault((place, unit), Counter())[int(length)] += n
    found: dict[str, tuple[set[int], set[int]]] = {}
    for (place, unit), histogram in histograms.items():
        ends = found.setdefault(place, (set(), set()))
        for limit in LIMITS:
            # Half a character does not fit into the last byte.
            at = [limit] if unit == 0 else [limit, limit - 1]
            if _spikes(histogram, at):
                ends[unit].update(at)
    return found


def _spikes(histogram: Counter[int], at: list[int]) -> bool:
    here = sum(histogram[length] for length in at)
    below = sum(histogram[min(at) - n] for n in range(1, _NEIGHBOURS + 1)) / _NEIGHBOURS
    beyond = sum(n for length, n in histogram.items() if length > max(at))
    return here >= _LEAST and here > 4 * len(at) * below and beyond * 10 <= here


# 7. Defaults that are no data: Han, unknown, China, no.

DEFAULTS = frozenset(
    {"0", "00", "01", "05", "5", "9", "09", "99", "CN", "CHN", "156", "汉族", "中国", "-1"}
)
"""What forms are filled with when nobody asked: ethnicity 01, unknown 9, nationality CN, newborn 0 …"""

_SHARE = 0.995  # nine in ten people of a county may be 01; nearly all of them is a program's doing
_ENOUGH = 200
_SHORT = 8
_ENVELOPE = (
    "MSH-",
    "EVN-",
)  # CHN in MSH-17 says how a message is written, of nobody where he is from


def default_values(seen: Sighting) -> Iterator[Label]:
    """Short fields: does one hold a declared default? Other values are not told apart."""
    for cell in seen.cells:
        if len(cell.text) <= _SHORT and not cell.place.startswith(_ENVELOPE):
            yield cell.place, cell.text if cell.text in DEFAULTS else "*"


def defaults_rule(days: Days) -> Judged:
    """Struck are the fields that hold one default nearly always; seen are those that ever hold one."""
    window = together(days)
    totals: Counter[str] = Counter()
    for (place, _), n in window.items():
        totals[place] += n
    watched = {place for place, value in window if value != "*"}
    ruled = {
        (place, value)
        for (place, value), n in window.items()
        if value != "*" and totals[place] >= _ENOUGH and n >= _SHARE * totals[place]
    }
    return {
        day: (
            sum(n for (place, _), n in counted.items() if place in watched),
            {
                f"{place} = {value}": n
                for (place, value), n in counted.items()
                if (place, value) in ruled
            },
        )
        for day, counted in days.items()
    }
