"""What pages ask for when they show figures on recognition: a month, live beside frozen; targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.recognition.publication import Publication, Side
from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Said


@dataclass(frozen=True, slots=True)
class FrozenFigures:
    """A frozen month. Without `figures` it does not stand as it was signed, and nothing of it is
    shown. `late` is how many events came since (None: some, but few), `late_kinds` of which kinds."""

    hash: str
    by: str
    at: datetime
    figures: Publication | None
    late: int | None
    late_kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ObjectionView:
    """What a hospital says about frozen figures, and what the commission answered."""

    id: str
    organization: str
    by: str
    at: datetime
    text: str
    state: Literal["open", "upheld", "rejected"]
    answered_by: str = ""
    answered_at: datetime | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class FiguresView:
    """The figures of a month on one side. `months` are all there are (newest first) and whether each
    is frozen; `names` say what the keys of the tables are called, by dimension."""

    months: tuple[tuple[str, bool], ...]
    live: Publication
    at: datetime
    closed: bool  # the month is over
    frozen: FrozenFigures | None
    names: Mapping[str, Mapping[str, Said]]
    objections: tuple[ObjectionView, ...]


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target in one scope today. `least` is the number to exceed, None for all that are listed."""

    says: Said
    scope: Said
    by: datetime
    listed: int
    entitled: int
    least: int | None
    reached: bool
    short: int
    gaps: tuple[tuple[str, Said], ...]


class StatisticsStories(Protocol):
    """Stories on figures; each reading and each change is one audited act."""

    async def figures(self, month: str, side: Side, caller: Caller) -> FiguresView:
        """A month's figures; an empty month is the newest. Problem MALFORMED for no month."""

    async def figures_file(
        self, form: str, month: str, side: Side, language: str, caller: Caller, report: str = ""
    ) -> tuple[bytes, str]:
        """The same as a file in xlsx, csv, json or fhir, and its media type; with `report` only what
        one receiver of reports wants, as xlsx or csv."""

    async def freeze_figures(self, month: str, caller: Caller) -> None:
        """Freeze a month that is over."""

    async def object_to_figures(self, month: str, text: str, caller: Caller) -> None:
        """A hospital objects to its frozen figures."""

    async def answer_objection(self, id: str, upheld: bool, text: str, caller: Caller) -> None:
        """The commission answers, once."""

    async def recognition_targets(self, caller: Caller) -> tuple[TargetView, ...]:
        """How many items may really be recognised where, and which are missing."""
