"""What the portal asks of the rest of the house: the stories it tells, and who is at the door.

Pages are built from these values only, so a page can be read, and tested, without a database.
Texts of hospitals and persons are shown verbatim and escaped; `Literal` fields are codes, which the
portal puts into words. A day is a `date`; a moment is an aware `datetime` and is shown in the
county's time zone. Every story may raise `Problem`; whoever may not know gets the same answer as
for what does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Protocol

from gateway.exchange.measured import NO_DETAIL, Detail
from gateway.portal.catalogue_stories import CatalogueStories
from gateway.portal.chart_stories import ChartStories, Difference, Original
from gateway.portal.decisions_stories import DecisionStories
from gateway.portal.emergency_stories import EmergencyStories, SecondFactors
from gateway.portal.explain_stories import ExplainStories
from gateway.portal.identity_stories import IdentityStories
from gateway.portal.image_stories import ImageStories
from gateway.portal.label_stories import LabelStories
from gateway.portal.mine_stories import MineStories
from gateway.portal.policy_stories import PolicyStories
from gateway.portal.presence_stories import PresenceStories
from gateway.portal.printing_stories import Printing
from gateway.portal.prompt_stories import PromptStories
from gateway.portal.registers_stories import RegisterStories
from gateway.portal.releases import SiteReleases
from gateway.portal.signing_stories import SigningStories
from gateway.portal.statistics_stories import StatisticsStories
from gateway.services.caller import Caller
from gateway.settings import Settings

When = date | datetime
Language = Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence in both languages."""

    zh: str
    en: str

    def in_(self, language: str) -> str:
        """The sentence in `language`; Chinese when there is no other."""
        return (self.en if language == "en" else self.zh) or self.zh


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to pick from a list."""

    code: str
    name: str


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


# Finding a resident.


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number that could have been issued; a resident ID is read and checked at the door."""

    kind: Literal["resident-id", "health-card"]
    number: str


@dataclass(frozen=True, slots=True)
class NeedsClaim:
    """Nobody by that number, or nobody this caller is known to treat: the same answer."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing may be shown; decided without looking at what there is."""

    reason: str  # a Reason of the consent decision


@dataclass(frozen=True, slots=True)
class Age:
    """An age as clinicians say it: days, then months, then years."""

    number: int
    unit: Literal["year", "month", "day"]


@dataclass(frozen=True, slots=True)
class Resident:
    """The person in hand; `chart` is any of their charts, opaque."""

    chart: str
    name: str
    sex: Literal["male", "female", "other", "unknown"]
    age: Age | None
    number: str  # masked
    hospitals: tuple[str, ...]
    relationship: Literal["encounter", "claimed", ""] = ""
    until: datetime | None = None  # when a claimed relationship ends


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
    kind: Literal["laboratory", "ultrasound", "ct", "radiology", "mri", "pathology", "ecg", "other"]
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


@dataclass(frozen=True, slots=True)
class Amendment:
    """One version of a report, in the order they came."""

    version: str
    at: When
    status: ResultStatus
    says: str = ""


@dataclass(frozen=True, slots=True)
class ReportView:
    """One report as issued, and what became of it."""

    resident: Resident
    report: Report
    findings: str
    department: str
    author: str
    verifier: str
    source: str  # the system it was received from
    received: datetime
    fingerprint: str  # keyed hash of the content, shortened
    amendments: tuple[Amendment, ...]
    newer: str = ""  # id of the report that replaced it
    originals: tuple[Original, ...] = ()  # listed; their content is asked for apart
    differences: tuple[Difference, ...] = ()
    sha256: str = ""  # of the text as opened now; "" where something of it is withheld
    unaltered: bool = True  # it is the text that was stored


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


# The registration desk.


ConsentKind = Literal["share", "category", "refuse-all", "refuse-organization", "other"]


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent on file. `kind` "other" came from elsewhere and is told by `says`."""

    id: str
    kind: ConsentKind
    state: Literal["active", "withdrawn", "superseded", "expired"]
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


# The auditor.


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
    failure: Said | None = None


# The IT office.


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A hospital system that sends, and what became of all it sent."""

    name: str
    organization: str
    speaks: str  # e.g. HL7 v2.4 / MLLP
    state: Literal["active", "paused"]
    received: int
    filed: int
    quarantined: int
    duplicates: int
    waiting: int
    last: datetime | None

    @property
    def agrees(self) -> bool:
        """Received = filed + quarantined + duplicates + waiting, always."""
        return self.received == self.filed + self.quarantined + self.duplicates + self.waiting


@dataclass(frozen=True, slots=True)
class Issue:
    """What could not be read, and where; never a value."""

    severity: Literal["stop", "hold", "drop", "note", "alarm"]
    place: str
    code: str
    says: Said


@dataclass(frozen=True, slots=True)
class Held:
    """A message in quarantine."""

    id: str
    source: str
    organization: str
    arrived: datetime
    size: int
    arrivals: int
    issues: tuple[Issue, ...]
    lost: bool = (
        False  # waits for the caller's word on the items that a newer report no longer holds
    )


@dataclass(frozen=True, slots=True)
class IssueCount:
    """How often one place of one source has had one issue."""

    source: str
    organization: str
    issue: Issue
    messages: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Struck:
    """How often at one place: a field of the sender's, a kind of examination, a reason."""

    place: Said
    times: int


@dataclass(frozen=True, slots=True)
class Detected:
    """How often one defect was found among what could have shown it; never a value."""

    name: str
    number: int
    says: Said
    means: Said
    do: Said
    seen: int
    struck: int
    crossed: bool  # more than its threshold lets pass
    days: tuple[tuple[date, int, int], ...]  # seen and struck, oldest first
    places: tuple[Struck, ...]

    @property
    def share(self) -> float:
        """Strikes among what could have been struck."""
        return self.struck / self.seen if self.seen else 0.0


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """One source's data quality over the last days; `messages` is how many were read for it."""

    source: str
    organization: str
    detected: tuple[Detected, ...]
    messages: int
    unreadable: int
    last: date | None

    @property
    def crossed(self) -> int:
        """How many detectors ask for a look."""
        return sum(one.crossed for one in self.detected)


@dataclass(frozen=True, slots=True)
class CodeSuggestion:
    """What an unmapped code could mean, and why; `cells` are the row's, by column."""

    name: str
    score: int  # 0 to 100
    says: Said
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A code or unit that no table knows, as its hospital sent it.

    `gives` is what a row of its table would say; empty where none can be added from here. `cells`
    are those proposed, by `proposed_by`; `mine` says that the caller did.
    """

    id: int
    source: str
    table: str
    code: str
    name: str
    specimen: str
    unit: str
    messages: int
    last: datetime
    state: Literal["open", "proposed", "approved", "ignored"]
    gives: Literal["items", "units", "codes", ""]
    suggestions: tuple[CodeSuggestion, ...] = ()
    cells: Mapping[str, str] = field(default_factory=dict)
    proposed_by: str = ""
    mine: bool = False
    reason: str = ""


class Stories(
    ChartStories,
    DecisionStories,
    EmergencyStories,
    ExplainStories,
    IdentityStories,
    ImageStories,
    LabelStories,
    MineStories,
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

    async def consents(self, identifier: Identifier, caller: Caller) -> ConsentDesk:
        """The resident and the consents on file."""

    async def record_consent(
        self, identifier: Identifier, choice: ConsentChoice, evidence: Evidence, caller: Caller
    ) -> str:
        """Record what was signed; returns the consent's id."""

    async def withdraw_consent(self, id: str, witness: str, caller: Caller) -> None:
        """Make a consent inactive; the next request of anybody is decided without it."""

    async def accesses(self, filter: AccessFilter, caller: Caller) -> Accesses:
        """Who looked at whom; the question itself is logged."""

    async def alarms(self, caller: Caller) -> tuple[Alarm, ...]:
        """Recent alarms of the caller's organisation, or of all for the county; newest first."""

    async def settle(self, id: int, caller: Caller) -> None:
        """Somebody has looked at an alarm of the caller's own organisation."""

    async def verify(self, caller: Caller) -> LogCheck:
        """Walk the log now."""

    async def sources(self, caller: Caller) -> tuple[SourceRow, ...]:
        """The sources the caller's organisation may see."""

    async def quarantine(self, source: str, caller: Caller) -> tuple[Held, ...]:
        """Messages held back, oldest first; an empty `source` means all."""

    async def replay(self, id: str, caller: Caller) -> Literal["filed", "quarantined", "waiting"]:
        """Read a held message again with the map as it is now."""

    async def review(self, id: str, verdict: Literal["withdraw", "keep"], caller: Caller) -> None:
        """Say of a report that lost items whether the laboratory took them out, or they stand."""

    async def issues(self, caller: Caller) -> tuple[IssueCount, ...]:
        """Issues by place, most frequent first."""

    async def quality(self, caller: Caller) -> tuple[SourceQuality, ...]:
        """What the detectors counted of the caller's sources in the last days."""

    async def unmapped(self, ignored: bool, caller: Caller) -> tuple[UnmappedCode, ...]:
        """Codes of the caller's own hospital that wait, most messages first; or those ignored."""

    async def propose_code(
        self, id: int, cells: Mapping[str, str], knowing: bool, caller: Caller
    ) -> Said | None:
        """Propose a row; a sentence when it is doubtful, which `knowing` passes over."""

    async def approve_code(self, id: int, caller: Caller) -> None:
        """Agree to another person's proposal; its messages are read again."""

    async def decline_code(self, id: int, caller: Caller) -> None:
        """Turn a proposal down, or take one back."""

    async def ignore_code(self, id: int, reason: str, caller: Caller) -> None:
        """No row is needed, and why."""

    async def reopen_code(self, id: int, caller: Caller) -> None:
        """What was ignored waits again."""

    async def releases(self, caller: Caller) -> tuple[SiteReleases, ...]:
        """The releases of the maps that the caller's organisation looks after."""

    async def decide_release(self, number: int, approve: bool, caller: Caller) -> None:
        """Put a release in force or turn it down; Problem REFUSED for one's own proposal."""


class Surroundings(Protocol):
    """What the portal needs of the services: the settings and the time."""

    @property
    def settings(self) -> Settings:
        """What the operator set."""

    def now(self) -> int:
        """This instant, in integer microseconds UTC."""
