"""What the registration desk asks: the consents of a resident, recorded and withdrawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from gateway.portal.basic_stories import Choice, Identifier, Resident, Said, When
from gateway.services.caller import Caller

ConsentKind = Literal["share", "category", "refuse-all", "refuse-organization", "other"]


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent on file. `kind` "other" came from elsewhere and is told by `says`."""

    id: str
    kind: ConsentKind
    state: Literal["active", "refusing", "doubted", "withdrawn", "superseded", "expired"]
    signed: When
    organization: str = ""
    category: str = ""
    until: date | None = None
    recorded_by: str = ""
    recorded_at: datetime | None = None
    witness: str = ""
    evidence: str = ""  # keyed hash of the scan, shortened
    withdrawn_by: str = ""
    withdrawn_at: datetime | None = None
    says: Said | None = None

    @property
    def in_force(self) -> bool:
        """Whether it still says anything, and so can be taken back."""
        return self.state in {"active", "refusing"}


@dataclass(frozen=True, slots=True)
class ConsentDesk:
    """A resident at the registration desk: who, what is on file, what may be chosen.

    A resident no hospital has sent yet has an empty name: the desk opens the county's own chart.
    """

    resident: Resident
    consents: tuple[Consent, ...]
    organizations: tuple[Choice, ...]
    categories: tuple[Choice, ...]
    by_default: Literal["shared", "not-shared"]


@dataclass(frozen=True, slots=True)
class ConsentChoice:
    """What the resident signed, in the desk's words."""

    kind: ConsentKind
    signed: date
    witness: str
    organization: str = ""
    category: str = ""
    name: str = ""  # only for a resident not known yet
    guardian: str = ""  # the right by which somebody signs for them


@dataclass(frozen=True, slots=True)
class Evidence:
    """The scan of the signed form."""

    media_type: str
    content: bytes = field(repr=False)


class DeskStories(Protocol):
    """Stories of the registration desk."""

    async def consents(self, identifier: Identifier, caller: Caller) -> ConsentDesk:
        """The resident and the consents on file."""

    async def record_consent(
        self, identifier: Identifier, choice: ConsentChoice, evidence: Evidence, caller: Caller
    ) -> str:
        """Record what was signed; returns the consent's id."""

    async def withdraw_consent(self, id: str, witness: str, caller: Caller) -> None:
        """Make a consent inactive; the next request of anybody is decided without it."""
