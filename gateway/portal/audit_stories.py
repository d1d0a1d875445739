"""What auditors ask: who looked at whom, what alarms there are, and whether the log is whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from gateway.exchange.inspecting import Inspected
from gateway.portal.basic_stories import Choice, Said
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Which accesses to show; empty fields do not narrow. Days are the county's."""

    number: str = ""  # a checked resident ID; never in an address
    actor: str = ""
    organization: str = ""
    kind: str = ""
    outcome: str = ""
    since: date | None = None
    until: date | None = None
    page: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """One audit event, without anything clinical."""

    number: int | None  # its place in the log; None while it waits to be appended
    at: datetime
    kind: str
    outcome: Literal["permit", "deny", "error"]
    actor: str
    role: str
    organization: str
    purpose: str
    person: str  # the same opaque short name for the same person
    shown: int | None = None  # how many records left the house
    reason: str = ""  # the caller's own words, or the code of a refusal
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Accesses:
    """A page of the log, newest first, and what can be chosen to narrow it."""

    rows: tuple[Access, ...]
    total: int
    more: bool
    organizations: tuple[Choice, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should look at; `words` are those of the person who caused it."""

    kind: str
    at: datetime
    organization: str
    actor: str = ""
    source: str = ""
    person: str = ""
    words: str = ""
    settled: datetime | None = None
    says: Said | None = None  # what it is, when `kind` is not enough
    id: int = 0
    mine: bool = False  # the caller may settle it


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What walking the whole log found."""

    sound: bool
    size: int
    root: str
    signed_at: datetime | None
    signed_by: str
    signature: bool
    checked_at: datetime
    pending: int = 0  # written, not yet in the tree
    first_failure: int | None = None
    failures: tuple[Said, ...] = ()  # the first of them
    unlisted: int = 0  # how many more there are


class AuditStories(Protocol):
    """Stories of auditors, and of whoever settles alarms."""

    async def accesses(self, filter: AccessFilter, caller: Caller) -> Accesses:
        """Who looked at whom; the question itself is logged."""

    async def inspect(self, number: int, caller: Caller) -> Inspected:
        """Whether the evidence of the decision at that place of the log is whole; nothing of what it
        says. Problem UNKNOWN when the auditor sees no decision there."""

    async def alarms(self, caller: Caller) -> tuple[Alarm, ...]:
        """Recent alarms of the caller's organisation, or of all for the county; newest first."""

    async def settle(self, id: int, caller: Caller) -> None:
        """Somebody has looked at an alarm of the caller's own organisation."""

    async def verify(self, caller: Caller) -> LogCheck:
        """Walk the log now."""
