"""Values that the pages of every area share: moments, sentences, choices, and the resident in hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

When = date | datetime
Language = Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence in both languages."""

    zh: str
    en: str

    def in_(self, language: str) -> str:
        """The sentence in `language`; Chinese when there is no other."""
        return (self.en if language == "en" else self.zh) or self.zh


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to pick from a list."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number that could have been issued; a resident ID is read and checked at the door."""

    kind: Literal["resident-id", "health-card"]
    number: str


@dataclass(frozen=True, slots=True)
class NeedsClaim:
    """Nobody by that number, or nobody this caller is known to treat: the same answer."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing may be shown; decided without looking at what there is."""

    reason: str  # a Reason of the consent decision


@dataclass(frozen=True, slots=True)
class Age:
    """An age as clinicians say it: days, then months, then years."""

    number: int
    unit: Literal["year", "month", "day"]


@dataclass(frozen=True, slots=True)
class Resident:
    """The person in hand; `chart` is any of their charts, opaque."""

    chart: str
    name: str
    sex: Literal["male", "female", "other", "unknown"]
    age: Age | None
    number: str  # masked
    hospitals: tuple[str, ...]
    relationship: Literal["encounter", "claimed", ""] = ""
    until: datetime | None = None  # when a claimed relationship ends
