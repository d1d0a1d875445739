"""Values of the pages of the recognition catalogue and of the register of entitlements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from gateway.recognition.catalogue import Item, Panel, Scope
from gateway.recognition.catalogue.csvfile import Fault
from gateway.recognition.catalogue.difference import Change
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class CatalogueVersionView:
    """A version; `seen` is the hash of its content. `may` the caller approve it, is it `mine`?"""

    number: int
    seen: str
    state: str
    note: str
    made_by: str
    made_at: datetime
    mine: bool = False
    may: bool = False
    decided_by: str = ""
    reason: str = ""
    since: datetime | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """The catalogue in force: its items, how many of them count in each scope, and all versions."""

    version: str
    register: str
    items: tuple[Item, ...]
    in_force: frozenset[str]
    scopes: tuple[tuple[Scope, int], ...]
    versions: tuple[CatalogueVersionView, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """One stretch of an entitlement or membership, in the county's days; `to` None is open."""

    number: int
    organization: str
    name: str
    what: str  # code of an item or name of a group; empty for a membership
    scope: str
    status: str
    begins: date
    to: date | None
    basis: str = ""
    evidence: str = ""
    today: bool = False


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item with the panels that contain it and who is entitled for it."""

    item: Item
    panels: tuple[Panel, ...]
    scopes: tuple[Scope, ...]
    holders: tuple[Holder, ...]
    in_force: bool


@dataclass(frozen=True, slots=True)
class RegisterView:
    """Who holds what today: a cell for each organisation and group or item, and all stretches."""

    number: str
    organizations: tuple[tuple[str, str], ...]  # id, name
    rows: tuple[str, ...]  # groups and single items of which somebody holds something
    names: dict[str, tuple[str, str]]
    cells: dict[tuple[str, str], tuple[Holder, ...]]
    members: tuple[Holder, ...]
    holders: tuple[Holder, ...]
    groups: tuple[str, ...]
    items: tuple[tuple[str, str], ...]
    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class SheetView:
    """What a workbook adds to the register, or what is wrong in it; `seen` names exactly that."""

    faults: tuple[Fault, ...]
    rows: tuple[Holder, ...]  # `number` is the row of the sheet
    seen: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of an entitlement."""

    number: int
    act: str
    by: str
    at: datetime
    begins: date
    to: date | None
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class LineView:
    """An entitlement or membership with everything that happened to it, and what codes are called."""

    number: int
    organization: str
    what: str
    scope: str
    basis: str
    status: str
    member: bool
    steps: tuple[StepView, ...]
    stretches: tuple[Holder, ...]
    names: dict[str, tuple[str, str]]
    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a step of the register stands on: for which county days, by which evidence, why."""

    begins: date | None
    to: date | None
    basis: str
    evidence: str
    reason: str


class CatalogueStories(Protocol):
    """Stories on the catalogue and the register, for persons of the health commission."""

    async def catalogue(self, caller: Caller) -> CatalogueView:
        """The catalogue in force and its versions."""

    async def catalogue_item(self, code: str, caller: Caller) -> ItemView:
        """One item; Problem UNKNOWN when there is none of that code."""

    async def catalogue_file(self, number: int, caller: Caller) -> bytes:
        """A version as Excel; 0 is the one in force."""

    async def draft_catalogue(self, body: bytes, note: str, caller: Caller) -> tuple[Fault, ...]:
        """Keep a workbook as a draft, or say everything that is wrong with it."""

    async def approve_catalogue(self, number: int, seen: str, reason: str, caller: Caller) -> None:
        """Agree to a draft as another person than who made it."""

    async def publish_catalogue(self, number: int, day: date | None, caller: Caller) -> None:
        """Put an approved version in force, at once or from a county day on."""

    async def refuse_catalogue(self, number: int, reason: str, caller: Caller) -> None:
        """Turn a version down."""

    async def entitlements(self, caller: Caller) -> RegisterView:
        """Who holds what."""

    async def entitlements_file(self, caller: Caller) -> bytes:
        """The register as Excel."""

    async def read_entitlements(self, body: bytes, caller: Caller) -> SheetView:
        """What a workbook would add; nothing is kept."""

    async def take_entitlements(self, body: bytes, seen: str, reason: str, caller: Caller) -> int:
        """Add what it adds, all of it, when that is still what was `seen`; how many lines."""

    async def entitlement(self, number: int, caller: Caller) -> LineView:
        """One line of the register; Problem UNKNOWN without one."""

    async def grant_entitlement(
        self, organization: str, what: str, scope: str, grounds: Grounds, caller: Caller
    ) -> int:
        """Entitle (or, without `what`, put into the scope); the number of the new line."""

    async def act_on_entitlement(
        self, act: str, number: int, grounds: Grounds, caller: Caller
    ) -> None:
        """Suspend, restore, revoke or end it."""
