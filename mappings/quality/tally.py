"""Adds up what the detectors notice, in bounded memory and in any order.

A detector turns a message into labels; a tally counts labels by day; the detector judges the counts of
all days together. The first word of a label is its group. When there are more groups than a tally may
hold, those with the smallest hashes stay, with everything ever counted for them: a fair sample that
does not depend on the order in which messages came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from heapq import nsmallest
from typing import NamedTuple

from mappings.quality.detectors import DETECTORS, Detector, Label
from mappings.quality.sighting import Sighting

MOST_GROUPS = 20_000
MOST_PLACES = 20
ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a resource raises that is not as R4 has it: FHIR that passes through may be of any shape."""


class Result(NamedTuple):
    """What a detector found on one day; `detail` counts strikes by place, the most frequent first."""

    day: str
    detector: str
    seen: int
    struck: int
    detail: Mapping[str, int]


class _Counts:
    """The labels of one detector by day, cut to the groups with the smallest hashes."""

    __slots__ = ("days", "groups", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.groups: set[str] = set()
        self.days: dict[str, Counter[Label]] = {}

    def add(self, day: str, counted: Mapping[Label, int]) -> None:
        kept = self.days.setdefault(day, Counter())
        kept.update(counted)
        self.groups.update(label[0] for label in counted)
        if len(self.groups) > 2 * self.most:
            self.cut()

    def cut(self) -> None:
        """Keep the smallest. A group among them at the end was among them at every cut before."""
        if len(self.groups) <= self.most:
            return
        self.groups = set(nsmallest(self.most, self.groups, key=_hash))
        for day, counted in self.days.items():
            self.days[day] = Counter(
                {label: count for label, count in counted.items() if label[0] in self.groups}
            )


@lru_cache(65_536)
def _hash(group: str) -> int:
    return int.from_bytes(blake2b(group.encode(), digest_size=8).digest(), "big")


class Tally:
    """Counts of one source over some days."""

    def __init__(
        self, detectors: Iterable[Detector] = DETECTORS.values(), most: int = MOST_GROUPS
    ) -> None:
        self._detectors = tuple(one for one in detectors if one.notice is not None)
        self._counts = {one.name: _Counts(most) for one in self._detectors}

    def add(self, seen: Sighting) -> None:
        """Count one message."""
        for one in self._detectors:
            if one.notice is None:
                continue
            try:
                counted = Counter(one.notice(seen))
            except ODD:  # it has nothing to say of a resource of no known shape
                continue
            self._counts[one.name].add(seen.day, counted)

    def merge(self, other: Tally) -> None:
        """Take over what another tally of the same source counted."""
        for name, counts in other._counts.items():
            for day, counted in counts.days.items():
                self._counts[name].add(day, counted)

    def results(self) -> list[Result]:
        """What every detector found on every day it saw something, by detector and day."""
        found = []
        for one in self._detectors:
            counts = self._counts[one.name]
            counts.cut()
            judged = one.judge(counts.days) if one.judge is not None else {}
            for day, (seen, struck) in sorted(judged.items()):
                if seen:
                    places = sorted(struck.items(), key=lambda pair: (-pair[1], pair[0]))
                    detail = dict(places[:MOST_PLACES])
                    found.append(Result(day, one.name, seen, sum(struck.values()), detail))
        return found
