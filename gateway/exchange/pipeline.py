"""The five stages of the exchange, per source: what really happened in each, and how good it was.

采集 collect → 整理 organise → 识别 identify → 评估 assess → 选择 select. All figures are counts over the
databases; no message is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.exchange import quality
from gateway.exchange.registers import commission
from gateway.exchange.sources import tallies
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inventory
from gateway.store.inbox import Tally

DAYS = 30
# Which detectors speak of which property of GB/T 36344-2018.
DIMENSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "completeness": ("default-values", "truncated-text", "encounter-class", "reconcile"),
        "validity": ("code-meaning", "share-of-other", "time-formats"),
        "timeliness": ("equal-times", "clock-source"),
        "consistency": ("gender-unknown", "last-item-only", "printed-marks"),
        "uniqueness": ("control-id-reused", "amended-as-new"),
    }
)


@dataclass(frozen=True, slots=True)
class Score:
    """One property: 100 × (1 - struck / seen) over its detectors; None where nothing was seen."""

    name: str
    seen: int
    struck: int

    @property
    def points(self) -> float | None:
        """0 to 100."""
        return 100 * (1 - self.struck / self.seen) if self.seen else None


@dataclass(frozen=True, slots=True)
class Stages:
    """One source through the five stages. `folders` and `linked` are its organisation's."""

    tally: Tally
    folders: int
    linked: int
    codes: int  # met that no table knew
    codes_open: int
    standing: int
    closer: int  # of them on a closer shelf: withheld unless somebody is entitled to the category
    scores: tuple[Score, ...]

    @property
    def kept(self) -> int:
        """Messages kept: all that arrived but for repeated ones."""
        return self.tally.received - self.tally.duplicates

    @property
    def score(self) -> float | None:
        """The plain mean of the properties that could be judged."""
        points = [one.points for one in self.scores if one.points is not None]
        return sum(points) / len(points) if points else None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All sources, and what was answered to each organisation in the last `DAYS` days."""

    sources: tuple[Stages, ...]
    answered: Mapping[str, tuple[int, int]]


async def pipeline(caller: Caller, services: Services) -> Pipeline:
    """The stages of every source, for the health authority."""
    commission(caller, services)
    found = await tallies(services)
    named = {one.name: one.organization for one in found}
    judged = {one.source: one for one in await quality.of_sources(named, DAYS, services)}
    folders = await services.db.session(inventory.linked)
    codes = await services.db.session(inventory.unmapped)
    roads = {one.source: one for one in await services.db.session(inventory.roads)}
    since = services.now() - DAYS * 86_400_000_000
    answered = await services.db.session(inventory.answered, since)
    return Pipeline(
        tuple(
            Stages(
                one,
                *folders.get(one.organization, (0, 0)),
                *codes.get(one.name, (0, 0)),
                roads[one.name].standing if one.name in roads else 0,
                roads[one.name].closer if one.name in roads else 0,
                scores(judged[one.name].found),
            )
            for one in found
        ),
        answered,
    )


def scores(found: Sequence[quality.Found]) -> tuple[Score, ...]:
    """The five properties of what the detectors found."""
    return tuple(
        Score(
            name,
            sum(one.seen for one in found if one.detector in detectors),
            sum(one.struck for one in found if one.detector in detectors),
        )
        for name, detectors in DIMENSIONS.items()
    )
