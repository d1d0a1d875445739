"""What residents' own pages ask of the rest of the house, and what the desk asks for their accounts.

`acting` names the right by which somebody acts for another, and is empty for oneself; it is looked
up anew by every story, so that a right that has ended ends with the next click.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.chart_stories import ReportView
    from gateway.portal.stories import Choice, Consent, Evidence, Report, Said


@dataclass(frozen=True, slots=True)
class ActsFor:
    """Somebody the account acts for, or who acts for its owner."""

    id: str
    name: str
    ground: Literal["guardian", "court", "mandate", "heir"]
    state: Literal["running", "stopped", "ended", "waiting"]
    since: datetime
    recorded_by: str = ""
    until: date | None = None
    document: str = ""


@dataclass(frozen=True, slots=True)
class MyNotice:
    """Something the resident is told; `organization` and `says` where there is more to tell."""

    kind: str
    at: datetime
    new: bool
    organization: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Me:
    """Whose pages these are. `name` is of whom they are about; `acting` names the right, if any."""

    name: str
    acting: str
    decides: bool  # may see and change consents
    others: tuple[ActsFor, ...]
    helpers: tuple[ActsFor, ...]
    notices: tuple[MyNotice, ...]
    login: str
    phone: str
    since: datetime


@dataclass(frozen=True, slots=True)
class MyConsent:
    """One consent with what its receipt says; `category` is a code, `digest` of the record as
    stored."""

    consent: Consent
    category: str
    version: str
    filed: datetime
    proof: Literal["code", "paper", "other"]
    digest: str


@dataclass(frozen=True, slots=True)
class MyConsents:
    """What is on file, and what may be chosen."""

    consents: tuple[MyConsent, ...]
    organizations: tuple[Choice, ...]
    categories: tuple[Choice, ...]
    by_default: Literal["shared", "not-shared"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants; `organization` is a code of the list of choices."""

    kind: str
    organization: str = ""
    category: str = ""
    until: date | None = None


@dataclass(frozen=True, slots=True)
class CodeSent:
    """A code is on its way to the telephone, whose number is masked."""

    id: str
    phone: str


@dataclass(frozen=True, slots=True)
class MyLook:
    """One access, or `times` of the same kind in a row: `at` is the last, `first` the first of them,
    `ref` names the last. `name` is empty unless the county shows names."""

    ref: str
    at: datetime
    first: datetime
    times: int
    kind: str
    refused: bool
    role: str
    name: str
    purpose: str
    ground: str
    shown: int | None
    emergency: bool


@dataclass(frozen=True, slots=True)
class MyVisit:
    """What happened on one day at one place."""

    day: date
    organization: str
    treated: bool
    emergency: bool
    looks: tuple[MyLook, ...]


@dataclass(frozen=True, slots=True)
class MyLooks:
    """Who looked, from a day to before another."""

    people: tuple[MyVisit, ...]
    program: tuple[MyVisit, ...]
    own: tuple[MyVisit, ...]
    since: date
    last: date
    more: bool


@dataclass(frozen=True, slots=True)
class DeskAccount:
    """What the desk sees of a resident's account and of who acts for them."""

    login: str  # empty when there is none
    phone: str
    since: datetime | None
    waiting: bool
    helpers: tuple[ActsFor, ...]


@dataclass(frozen=True, slots=True)
class NewMandate:
    """What the desk takes down of somebody's right to act."""

    ground: str
    login: str
    relation: str
    document: str
    witness: str
    until: date | None
    restricted: bool
    categories: tuple[str, ...]


class MineStories(Protocol):
    """The stories behind residents' own pages; each is one audited act of one caller."""

    async def me(self, acting: str, caller: Caller) -> Me | None:
        """Whose pages these are; None when the account ended or does not act for them any more."""

    async def seen_notices(self, acting: str, caller: Caller) -> None:
        """The notices of the page were read."""

    async def my_consents(self, acting: str, caller: Caller) -> MyConsents:
        """What is on file; Problem UNKNOWN for who may not decide."""

    async def my_consent(self, id: str, caller: Caller) -> MyConsent:
        """One of them, for its receipt; also to a registrar."""

    async def preview_wish(self, acting: str, wish: Wish, caller: Caller) -> tuple[Said, ...]:
        """What signing would change, in plain sentences."""

    async def sign_wish(self, acting: str, wish: Wish, caller: Caller) -> CodeSent:
        """Send the code that signs it."""

    async def confirm_wish(
        self, acting: str, code_id: str, code: str, caller: Caller
    ) -> str | None:
        """Record what the code signs; the consent's id, None for a code that signs nothing now."""

    async def preview_taking_back(self, acting: str, id: str, caller: Caller) -> tuple[Said, ...]:
        """What taking a consent back would change."""

    async def take_back(self, acting: str, id: str, caller: Caller) -> CodeSent | None:
        """Take it back; a code is sent where that has to be signed."""

    async def confirm_taking_back(
        self, acting: str, id: str, code_id: str, code: str, caller: Caller
    ) -> bool:
        """End a refusal by its code; False for a code that signs nothing now."""

    async def my_looks(self, acting: str, before: date | None, caller: Caller) -> MyLooks:
        """Who looked, the 90 days before that day."""

    async def question_look(
        self, acting: str, ref: str, day: date, words: str, caller: Caller
    ) -> None:
        """The resident does not know who looked: a case is opened."""

    async def my_results(self, acting: str, caller: Caller) -> tuple[Report, ...]:
        """Results of all hospitals, as issued; empty when there is nothing to show."""

    async def my_report(self, acting: str, id: str, caller: Caller) -> ReportView:
        """One report as issued."""

    async def end_acting(self, id: str, caller: Caller) -> None:
        """Give up a right of one's own, or take back one that was given."""

    async def end_account(self, caller: Caller) -> None:
        """Close the own account."""

    # The desk

    async def desk_account(self, number: str, caller: Caller) -> DeskAccount:
        """The account of the resident with this number, and who acts for them."""

    async def ask_account(self, number: str, name: str, phone: str, caller: Caller) -> str:
        """Begin an account; the login that `confirm_account` wants."""

    async def confirm_account(self, login: str, code: str, caller: Caller) -> None:
        """The telephone has answered."""

    async def renew_account(self, number: str, caller: Caller) -> None:
        """Send a new code for the password of this resident's account."""

    async def close_account(self, number: str, caller: Caller) -> None:
        """End this resident's account at the desk."""

    async def record_mandate(
        self, number: str, new: NewMandate, evidence: Evidence, caller: Caller
    ) -> None:
        """Record who acts for the resident."""

    async def stop_mandate(self, number: str, id: str, why: str, caller: Caller) -> None:
        """A court or child protection has stopped it."""

    async def end_mandate(self, number: str, id: str, caller: Caller) -> None:
        """It is over."""

    async def first_password(self, login: str, code: str, password: str, address: str) -> bool:
        """Set the first password; False whatever was wrong with login or code."""
