"""Values of the page of map releases: what was proposed, what it would change, who decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.exchange import comparing


@dataclass(frozen=True, slots=True)
class Turn:
    """How often what was `was` would be `now`: codes of a table, or a word for anything else."""

    was: str
    now: str
    times: int


@dataclass(frozen=True, slots=True)
class RuleCount:
    """One element that would be made otherwise, and the line of its rule."""

    element: str
    line: str
    times: int
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a proposal would change, as its shadow run counted it; `messages` None: not run yet."""

    files: tuple[tuple[str, int, int], ...]  # path, lines added, lines removed
    failing: tuple[str, ...] = ()  # golden cases that would read otherwise
    messages: int | None = None
    days: int = 0
    cut: bool = False  # there were more messages than were looked at
    changed: int = 0
    rules: tuple[RuleCount, ...] = ()
    appeared: tuple[tuple[str, int], ...] = ()
    disappeared: tuple[tuple[str, int], ...] = ()
    issues: tuple[tuple[str, int, int], ...] = ()  # code, before, after


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a map: proposed by one person, decided by another."""

    number: int
    state: Literal["proposed", "in-force", "retired", "refused"]
    note: str
    proposed_by: str
    proposed_at: datetime
    mine: bool  # the caller proposed it, so another person decides
    decided_by: str = ""
    since: datetime | None = None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class SiteReleases:
    """The releases of one map, newest first, and the sources that use it."""

    site: str
    sources: tuple[str, ...]
    releases: tuple[Release, ...]


def difference(report: comparing.Report) -> Difference:
    """The report of a shadow run as a page lists it."""
    files = tuple((one.path, one.added, one.removed) for one in report.files)
    if report.shadow is None:
        return Difference(files, report.failing)
    found = report.shadow.found
    return Difference(
        files=files,
        failing=report.failing,
        messages=found.messages,
        days=report.shadow.days,
        cut=report.shadow.cut,
        changed=found.changed,
        rules=tuple(
            RuleCount(
                f"{one.block} {one.element}",
                one.after or one.before,
                one.count,
                tuple(Turn(turn.was, turn.now, turn.count) for turn in one.turns),
            )
            for one in found.rules
        ),
        appeared=tuple(found.appeared.items()),
        disappeared=tuple(found.disappeared.items()),
        issues=tuple((one.code, one.before, one.after) for one in found.issues),
    )
