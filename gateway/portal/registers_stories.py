"""Values of the county's register pages: the matrix as a map, lines with what ends soon, drafts by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.exchange.elements import Coverage
from gateway.exchange.inventory import Inventory
from gateway.exchange.pipeline import Stages
from gateway.exchange.registers import Chosen, Draft, Entry
from gateway.recognition.registers import Column, Kind
from gateway.services.caller import Caller

SOON = 90
"""Days before its end that a right or contract is told of."""

CellState = Literal["on", "soon", "later", "ended", "off"]


@dataclass(frozen=True, slots=True)
class UseMark:
    """One cell: how it stands today. `entry` is its line in the register; None where there is none."""

    use: str
    state: CellState
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A holder and what they may do with each class of data."""

    holder: str
    name: str
    classes: tuple[tuple[str, tuple[UseMark, ...]], ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends within `SOON` days or has ended; `days` is negative when past.

    `cell` says of a right whose, over which class and to do what.
    """

    kind: Kind
    id: str
    name: str
    what: str
    day: str
    days: int
    cell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unregistered:
    """A source or client that works here and stands under no system."""

    sort: Literal["source", "client"]
    name: str
    organization: str


@dataclass(frozen=True, slots=True)
class DraftShown:
    """A draft, what its maker is called, and what it is about in words."""

    draft: Draft
    maker: str
    at: datetime
    about: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlarmShown:
    """Somebody asked outside the matrix; `about` is the class and the use, dotted."""

    who: str
    about: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CountyHome:
    """The first screen: rights, systems, what ends, who is not registered, the stages of each source."""

    matrix: tuple[MatrixRow, ...]
    systems: tuple[tuple[str, tuple[Entry, ...]], ...]  # by level
    endings: tuple[Ending, ...]
    unregistered: tuple[Unregistered, ...]
    sources: tuple[Stages, ...]
    alarms: tuple[AlarmShown, ...]
    drafts: int
    names: Mapping[str, str]  # of organisations


@dataclass(frozen=True, slots=True)
class RegisterView:
    """One register: its columns, its lines, and what waits for a second person."""

    kind: Kind
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]
    drafts: tuple[DraftShown, ...]
    unregistered: tuple[Unregistered, ...] = ()
    coverage: Coverage | None = None
    matrix: tuple[MatrixRow, ...] = ()
    holders: tuple[tuple[str, str], ...] = ()  # who may be given a right: holder, name


@dataclass(frozen=True, slots=True)
class VersionShown:
    """A version of a line; `line` None where the row was altered."""

    number: int
    act: str
    state: str
    maker: str
    made: datetime
    decider: str
    line: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class LineView:
    """A line to be changed, empty for a new one, with all its versions, newest first."""

    kind: Kind
    id: str
    columns: tuple[Column, ...]
    line: Mapping[str, str]
    versions: tuple[VersionShown, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineView:
    """Each source through the stages, and (organisation, answers given, refused) of the last days."""

    sources: tuple[Stages, ...]
    answered: tuple[tuple[str, int, int], ...]
    names: Mapping[str, str]


class RegisterStories(Protocol):
    """The stories behind the register pages."""

    async def county_home(self, caller: Caller) -> CountyHome:
        """The first screen of the health authority."""

    async def register(self, kind: Kind, caller: Caller) -> RegisterView:
        """One register whole."""

    async def register_line(self, kind: Kind, id: str, caller: Caller) -> LineView:
        """A line with its past; an empty `id` is a new one."""

    async def propose_lines(
        self, kind: Kind, lines: Sequence[Mapping[str, str]], act: str, caller: Caller
    ) -> int:
        """Keep drafts; `registers.Faults` says what cannot be meant."""

    async def lines_of_sheet(
        self, kind: Kind, content: bytes, caller: Caller
    ) -> list[Mapping[str, str]]:
        """The lines of an Excel file; `registers.Faults` says row and column."""

    async def decide_drafts(self, chosen: Sequence[Chosen], approve: bool, caller: Caller) -> None:
        """Approve or refuse drafts as they were read."""

    async def export_register(self, name: str, form: str, caller: Caller) -> bytes:
        """A register, or the inventory, as a file."""

    async def pipeline(self, caller: Caller) -> PipelineView:
        """The five stages of every source."""

    async def stored(self, caller: Caller) -> Inventory:
        """What lies where."""

    async def own_systems(self, caller: Caller) -> tuple[Entry, ...]:
        """The registered systems of the caller's own organisation."""
