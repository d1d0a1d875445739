"""What the portal asks of the rest of the house: the stories it tells, and who is at the door.

Pages are built from these values only, so a page can be read, and tested, without a database.
Texts of hospitals and persons are shown verbatim and escaped; `Literal` fields are codes, which the
portal puts into words. A day is a `date`; a moment is an aware `datetime` and is shown in the
county's time zone. Every story may raise `Problem`; whoever may not know gets the same answer as
for what does not exist. The desk's, the auditors' and the IT office's stories stand in files of their
own; pages find all values here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Protocol

from gateway.exchange.issued import ReportKind
from gateway.exchange.measured import NO_DETAIL, Detail
from gateway.portal.audit_stories import (
    Access,
    Accesses,
    AccessFilter,
    Alarm,
    AuditStories,
    LogCheck,
)
from gateway.portal.basic_stories import (
    Age,
    Choice,
    Identifier,
    Language,
    NeedsClaim,
    Refused,
    Resident,
    Said,
    When,
)
from gateway.portal.catalogue_stories import CatalogueStories
from gateway.portal.chart_stories import ChartStories
from gateway.portal.county_desk_stories import CountyDeskStories
from gateway.portal.decisions_stories import DecisionStories
from gateway.portal.desk_stories import (
    Consent,
    ConsentChoice,
    ConsentDesk,
    ConsentKind,
    DeskStories,
    Evidence,
)
from gateway.portal.emergency_stories import EmergencyStories, SecondFactors
from gateway.portal.explain_stories import ExplainStories
from gateway.portal.identity_stories import IdentityStories
from gateway.portal.image_stories import ImageStories
from gateway.portal.label_stories import LabelStories
from gateway.portal.mine_stories import MineStories
from gateway.portal.office_stories import (
    CodeSuggestion,
    Detected,
    Held,
    Issue,
    IssueCount,
    OfficeStories,
    SourceQuality,
    SourceRow,
    Struck,
    UnmappedCode,
)
from gateway.portal.operators_stories import OperatorStories
from gateway.portal.policy_stories import PolicyStories
from gateway.portal.presence_stories import PresenceStories
from gateway.portal.printing_stories import Printing
from gateway.portal.prompt_stories import PromptStories
from gateway.portal.registers_stories import RegisterStories
from gateway.portal.signing_stories import SigningStories
from gateway.portal.statistics_stories import StatisticsStories
from gateway.services.caller import Caller
from gateway.settings import Settings

__all__ = [
    "Access",
    "AccessFilter",
    "Accesses",
    "Age",
    "Alarm",
    "Amendment",
    "Choice",
    "CodeSuggestion",
    "Consent",
    "ConsentChoice",
    "ConsentDesk",
    "ConsentKind",
    "Contribution",
    "Decision",
    "DemoAccount",
    "Detected",
    "Evidence",
    "Flag",
    "Held",
    "Identifier",
    "Issue",
    "IssueCount",
    "Language",
    "LogCheck",
    "NeedsClaim",
    "People",
    "Recognition",
    "Refused",
    "Report",
    "Resident",
    "Result",
    "ResultStatus",
    "Results",
    "Said",
    "Session",
    "SourceQuality",
    "SourceRow",
    "Stories",
    "Struck",
    "Surroundings",
    "Target",
    "UnmappedCode",
    "Verdict",
    "When",
]

# Who is at the door.


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser in one role.

    `memory` is small, sealed, JSON-able and dies with the session; pages keep in it what must
    never stand in an address: the chart in hand, the last search, a draft.
    """

    caller: Caller
    csrf: str
    name: str  # names the session for `remember` and `sign_out`; not the cookie
    organization: str  # as shown to people
    memory: Mapping[str, Any]
    strong: int = 0  # µs UTC until which a second factor counts


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the pretend county, printed on its sign-in page."""

    login: str
    password: str
    name: str
    organization: str
    role: str
    secret: str = ""  # of its second factor


class People(SecondFactors, Protocol):
    """Local accounts and browser sessions; see `local.py`."""

    async def sign_in(
        self, login: str, password: str, role: str, address: str, before: str | None
    ) -> str | None:
        """The cookie of a new session in `role`, or in the only sensible one when empty.

        None whatever was wrong. `before` is the cookie the browser came with, which ends.
        """

    async def launched(
        self, ticket: str, address: str, before: str | None
    ) -> tuple[str, str] | None:
        """The cookie of the doctor a HIS opened a page for, and the prompt; None for no good ticket."""

    async def session_at(self, cookie: str, address: str) -> Session | None:
        """The living session behind a cookie; None when it ended, idled or never was."""

    async def remember(self, session: Session, memory: Mapping[str, Any]) -> None:
        """Replace what the session keeps in hand."""

    async def sign_out(self, session: Session) -> None:
        """End the session at once."""

    def demo_accounts(self) -> tuple[DemoAccount, ...]:
        """The accounts to print on the sign-in page; empty outside the demo."""


# Results of all hospitals.


@dataclass(frozen=True, slots=True)
class Contribution:
    """One hospital of the county and whether it answered this time."""

    organization: str
    state: Literal["answered", "late", "silent"]
    last: When | None  # its newest data


@dataclass(frozen=True, slots=True)
class Flag:
    """The issuing laboratory's flag: `raw` as issued, `kind` only for filtering and the arrow."""

    kind: Literal["", "normal", "high", "low", "very-high", "very-low", "abnormal", "unread"]
    raw: str


@dataclass(frozen=True, slots=True)
class Recognition:
    """May this result be recognised here, or the machine's reason why not."""

    state: Literal["eligible", "not-eligible", "own"]
    reason: str = ""  # E01 to E14
    mark: str = ""  # e.g. 全国HR
    until: date | None = None
    reread: bool = False  # a new reading of the images may be asked for


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded human decision about one version of one result or report."""

    outcome: Literal["accepted", "accepted-reread", "declined"]
    reason: str  # 01 to 08, 98, 99, 09; empty when accepted
    words: str
    by: str
    organization: str
    at: datetime
    version: str
    task: str = ""  # the id of its record


ResultStatus = Literal[
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error"
]


@dataclass(frozen=True, slots=True)
class Result:
    """One result, digit by digit as issued."""

    id: str
    version: str
    item: str
    value: str
    unit: str
    range: str
    flag: Flag
    organization: str
    collected: When | None
    status: ResultStatus
    recognition: Recognition
    decision: Decision | None = None
    earlier: str = ""  # the value before the correction
    specimen: str = ""
    method: str = ""
    note: str = ""
    detail: Detail = NO_DETAIL


@dataclass(frozen=True, slots=True)
class Report:
    """One issued report; `results` is empty for an examination in words."""

    id: str
    version: str
    title: str
    kind: ReportKind
    organization: str
    collected: When | None
    issued: When | None
    status: ResultStatus
    results: tuple[Result, ...]
    recognition: Recognition
    decision: Decision | None = None
    conclusion: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """Everything this caller may see of one person, newest first."""

    resident: Resident
    contributions: tuple[Contribution, ...]
    reports: tuple[Report, ...]
    notice: bool = False  # pages say that something may be withheld: on all of them or on none
    part: int = 1  # of so many parts; the newest is the first
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Amendment:
    """One version of a report, in the order they came."""

    version: str
    at: When
    status: ResultStatus
    says: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A result or report, in the version that was on the screen."""

    id: str
    version: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A clinician's word on whether results are recognised."""

    outcome: Literal["accepted", "accepted-reread", "declined"]
    reason: str
    words: str
    explained: bool  # the patient was told why the test is repeated
    acknowledged: str = ""  # what they signed to that


class Stories(
    CountyDeskStories,
    AuditStories,
    DeskStories,
    OfficeStories,
    ChartStories,
    DecisionStories,
    EmergencyStories,
    ExplainStories,
    IdentityStories,
    ImageStories,
    LabelStories,
    MineStories,
    OperatorStories,
    PolicyStories,
    PresenceStories,
    PromptStories,
    Printing,
    RegisterStories,
    SigningStories,
    CatalogueStories,
    StatisticsStories,
    Protocol,
):
    """The stories behind the pages; each is one audited act of one caller."""

    async def open_resident(
        self, identifier: Identifier, caller: Caller, claim: str | None
    ) -> Resident | NeedsClaim | Refused:
        """Find the person; `claim` is the caller's reason for saying "I am treating them"."""

    async def decide(
        self, report: str, targets: tuple[Target, ...], verdict: Verdict, caller: Caller
    ) -> None:
        """Record a decision per target; Problem CONFLICT when one has a newer version."""


class Surroundings(Protocol):
    """What the portal needs of the services: the settings and the time."""

    @property
    def settings(self) -> Settings:
        """What the operator set."""

    def now(self) -> int:
        """This instant, in integer microseconds UTC."""
