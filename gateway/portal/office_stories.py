"""What an IT office asks: its sources, what is held and why, quality, unmapped codes, releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from gateway.portal.basic_stories import Said
from gateway.portal.releases import SiteReleases
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A hospital system that sends, and what became of all it sent."""

    name: str
    organization: str
    speaks: str  # e.g. HL7 v2.4 / MLLP
    state: Literal["active", "paused"]
    received: int
    filed: int
    quarantined: int
    duplicates: int
    waiting: int
    last: datetime | None

    @property
    def agrees(self) -> bool:
        """Received = filed + quarantined + duplicates + waiting, always."""
        return self.received == self.filed + self.quarantined + self.duplicates + self.waiting


@dataclass(frozen=True, slots=True)
class Issue:
    """What could not be read, and where; never a value."""

    severity: Literal["stop", "hold", "drop", "note", "alarm"]
    place: str
    code: str
    says: Said


@dataclass(frozen=True, slots=True)
class Held:
    """A message in quarantine."""

    id: str
    source: str
    organization: str
    arrived: datetime
    size: int
    arrivals: int
    issues: tuple[Issue, ...]
    lost: bool = (
        False  # waits for the caller's word on the items that a newer report no longer holds
    )


@dataclass(frozen=True, slots=True)
class IssueCount:
    """How often one place of one source has had one issue."""

    source: str
    organization: str
    issue: Issue
    messages: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Struck:
    """How often at one place: a field of the sender's, a kind of examination, a reason."""

    place: Said
    times: int


@dataclass(frozen=True, slots=True)
class Detected:
    """How often one defect was found among what could have shown it; never a value."""

    name: str
    number: int
    says: Said
    means: Said
    do: Said
    seen: int
    struck: int
    crossed: bool  # more than its threshold lets pass
    days: tuple[tuple[date, int, int], ...]  # seen and struck, oldest first
    places: tuple[Struck, ...]

    @property
    def share(self) -> float:
        """Strikes among what could have been struck."""
        return self.struck / self.seen if self.seen else 0.0


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """One source's data quality over the last days; `messages` is how many were read for it."""

    source: str
    organization: str
    detected: tuple[Detected, ...]
    messages: int
    unreadable: int
    last: date | None

    @property
    def crossed(self) -> int:
        """How many detectors ask for a look."""
        return sum(one.crossed for one in self.detected)


@dataclass(frozen=True, slots=True)
class CodeSuggestion:
    """What an unmapped code could mean, and why; `cells` are the row's, by column."""

    name: str
    score: int  # 0 to 100
    says: Said
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A code or unit that no table knows, as its hospital sent it.

    `gives` is what a row of its table would say; empty where none can be added from here. `cells`
    are those proposed, by `proposed_by`; `mine` says that the caller did.
    """

    id: int
    source: str
    table: str
    code: str
    name: str
    specimen: str
    unit: str
    messages: int
    last: datetime
    state: Literal["open", "proposed", "approved", "ignored"]
    gives: Literal["items", "units", "codes", ""]
    suggestions: tuple[CodeSuggestion, ...] = ()
    cells: Mapping[str, str] = field(default_factory=dict)
    proposed_by: str = ""
    mine: bool = False
    reason: str = ""


class OfficeStories(Protocol):
    """Stories of an IT office about what its hospital sends."""

    async def sources(self, caller: Caller) -> tuple[SourceRow, ...]:
        """The sources the caller's organisation may see."""

    async def quarantine(self, source: str, caller: Caller) -> tuple[Held, ...]:
        """Messages held back, oldest first; an empty `source` means all."""

    async def replay(self, id: str, caller: Caller) -> Literal["filed", "quarantined", "waiting"]:
        """Read a held message again with the map as it is now."""

    async def review(self, id: str, verdict: Literal["withdraw", "keep"], caller: Caller) -> None:
        """Say of a report that lost items whether the laboratory took them out, or they stand."""

    async def issues(self, caller: Caller) -> tuple[IssueCount, ...]:
        """Issues by place, most frequent first."""

    async def quality(self, caller: Caller) -> tuple[SourceQuality, ...]:
        """What the detectors counted of the caller's sources in the last days."""

    async def unmapped(self, ignored: bool, caller: Caller) -> tuple[UnmappedCode, ...]:
        """Codes of the caller's own hospital that wait, most messages first; or those ignored."""

    async def propose_code(
        self, id: int, cells: Mapping[str, str], knowing: bool, caller: Caller
    ) -> Said | None:
        """Propose a row; a sentence when it is doubtful, which `knowing` passes over."""

    async def approve_code(self, id: int, caller: Caller) -> None:
        """Agree to another person's proposal; its messages are read again."""

    async def decline_code(self, id: int, caller: Caller) -> None:
        """Turn a proposal down, or take one back."""

    async def ignore_code(self, id: int, reason: str, caller: Caller) -> None:
        """No row is needed, and why."""

    async def reopen_code(self, id: int, caller: Caller) -> None:
        """What was ignored waits again."""

    async def releases(self, caller: Caller) -> tuple[SiteReleases, ...]:
        """The releases of the maps that the caller's organisation looks after."""

    async def decide_release(self, number: int, approve: bool, caller: Caller) -> None:
        """Put a release in force or turn it down; Problem REFUSED for one's own proposal."""
