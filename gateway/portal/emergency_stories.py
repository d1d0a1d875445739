"""What the pages of emergency access and of privacy officers ask for: values and promises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Identifier, Said, Session


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    """Broken glass: until when, and the chart to ask by."""

    grant: str
    chart: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Plea:
    """What a clinician says when breaking the glass; `keep_back` delays the patient's notice."""

    reason: str
    words: str
    keep_back: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the county's policy makes of an emergency access, for the page that offers it."""

    hours: int
    per_day: int
    characters: int
    notice_minutes: int
    review_hours: int


@dataclass(frozen=True, slots=True)
class CaseWord:
    """What somebody said in a case."""

    role: str
    by: str
    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case in the queue. `person` is the opaque short name the log uses."""

    id: str
    kind: str
    by: str
    organization: str
    person: str
    opened: datetime
    due: datetime
    overdue: bool
    state: str  # open | taken | asked | second | closed
    taken_by: str = ""
    mine: bool = False
    free: bool = False
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """Something found beside a case: `code` is put into words, `tone` is good, warn or quiet."""

    code: str
    tone: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case opened: what was said, what was found, what the officer may do."""

    line: CaseLine
    words: tuple[CaseWord, ...]
    signs: tuple[Sign, ...]
    reason: str
    opened: int
    over: int
    kinds: tuple[tuple[str, str, int], ...]  # type, tier, how many
    labels: tuple[tuple[Said, int], ...]
    verdicts: tuple[str, ...]
    may_ask: bool
    told: bool | None  # whether a message has reached the resident; None when there is no notice


@dataclass(frozen=True, slots=True)
class HouseShare:
    """An organisation's month of emergency accesses among all accesses."""

    organization: str
    accesses: int
    emergencies: int
    share: float
    reason: str
    times: int


@dataclass(frozen=True, slots=True)
class Untold:
    """A resident no message has reached."""

    kind: str
    person: str
    organization: str
    at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class PrivacyDesk:
    """An officer's front page: cases, overdue ones first, what could not be told, this month."""

    cases: tuple[CaseLine, ...]
    untold: tuple[Untold, ...]
    month: tuple[HouseShare, ...]

    @property
    def overdue(self) -> int:
        """How many should have been decided by now."""
        return sum(one.overdue for one in self.cases)


@dataclass(frozen=True, slots=True)
class NewFactor:
    """A secret to be taken into an authenticator app, and its QR code as an SVG image."""

    secret: str
    qr: str  # data: address


class SecondFactors(Protocol):
    """The second factor of accounts (RFC 6238 codes)."""

    async def has_factor(self, session: Session) -> bool:
        """Whether the account has one."""

    def new_factor(self, session: Session, secret: str = "") -> NewFactor:
        """A fresh secret, or the one given, to be shown once."""

    async def enrol(self, session: Session, secret: str, password: str, code: str) -> bool:
        """Take it for the account; False when the password or the code is wrong."""

    async def step_up(self, session: Session, code: str) -> tuple[str, Session] | None:
        """The session's new cookie, strong for five minutes; None whatever was wrong."""

    async def vouch(
        self, login: str, password: str, code: str, role: str, address: str
    ) -> Caller | None:
        """Somebody else proves who they are at this page, without being signed in."""

    def demo_code(self, session: Session) -> str:
        """The code of this moment in the pretend county; empty anywhere else."""


class EmergencyStories(Protocol):
    """Emergency access and its review."""

    def emergency_terms(self) -> Terms:
        """What the policy says of it."""

    async def break_glass(
        self, who: Identifier | str, plea: Plea, caller: Caller, approver: Caller | None
    ) -> EmergencyAccess:
        """For a number, or for the chart in hand; the same answer whoever it is.

        Problem UNPROCESSABLE names the field that says too little, REFUSED with the place `second`
        asks for another clinician.
        """

    async def emergency(self, chart: str, caller: Caller) -> EmergencyAccess | None:
        """The caller's live emergency access to the person of a chart."""

    async def end_emergency(self, grant: str, caller: Caller) -> None:
        """Give it back before its time."""

    def in_emergency(self, caller: Caller) -> Caller:
        """The caller asking with the purpose of an emergency: what they hold is looked up."""

    async def questions(self, caller: Caller) -> tuple[CaseView, ...]:
        """What privacy officers ask the caller about accesses of their own."""

    async def answer_question(self, case: str, words: str, caller: Caller) -> None:
        """Answer one."""

    async def privacy_desk(self, caller: Caller) -> PrivacyDesk:
        """The officer's front page."""

    async def privacy_case(self, id: str, caller: Caller) -> CaseView:
        """One case; looking at it is logged."""

    async def take_case(self, id: str, caller: Caller) -> None:
        """Take it; Problem CONFLICT when another officer has it."""

    async def ask_about_case(self, id: str, words: str, caller: Caller) -> None:
        """Ask the person whose access it is."""

    async def decide_case(
        self, id: str, verdict: str, words: str, told: str, caller: Caller
    ) -> None:
        """Decide it; `told` is what a resident who asked is answered."""

    async def second_case(self, id: str, agrees: bool, words: str, caller: Caller) -> None:
        """A second officer's word."""

    async def hold_notice(self, id: str, days: int, reason: str, caller: Caller) -> None:
        """Keep the resident's notice back for safety; 0 days lets it go."""
