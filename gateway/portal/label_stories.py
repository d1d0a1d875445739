"""Values of the page of labels: which lists are in force, and how far the records follow them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Said


@dataclass(frozen=True, slots=True)
class LabelRun:
    """One time all charts were labelled again; `counts` are of records by label, never of persons."""

    number: int
    rules: str
    running: bool
    begun: datetime
    ended: datetime | None
    total: int
    done: int
    records: int
    raised: int
    unreadable: int
    counts: tuple[tuple[Said, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LabelsView:
    """What the county's lists hold, how many charts are left to be labelled by them, and the runs."""

    rules: str
    policy: str
    left: int
    categories: tuple[tuple[Said, int], ...]  # and how many rows of the lists speak of each
    runs: tuple[LabelRun, ...]


class LabelStories(Protocol):
    """The stories behind the page."""

    async def labels(self, caller: Caller) -> LabelsView:
        """Lists and progress; no patient, no record."""
