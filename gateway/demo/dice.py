"""Chance that repeats itself: the same question always gets the same answer, on every machine.

The pretend county must have the same bytes whoever builds it, so nothing here keeps state: each
draw is a hash of the seed and of what is being asked, and the order of asking does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Dice:
    """Draws that depend on `seed` and the words of the question only."""

    seed: str

    def number(self, below: int, *about: object) -> int:
        """A number from 0 up to, not including, `below`."""
        question = "/".join((self.seed, *map(str, about)))
        return int.from_bytes(blake2b(question.encode(), digest_size=8).digest(), "big") % below

    def pick(self, choices: Sequence[T], *about: object) -> T:
        """One of the choices."""
        return choices[self.number(len(choices), *about)]

    def chance(self, percent: int, *about: object) -> bool:
        """True about `percent` times in a hundred."""
        return self.number(100, *about) < percent

    def between(self, low: int, high: int, *about: object) -> int:
        """A number from `low` to `high`, both included."""
        return low + self.number(high - low + 1, *about)
