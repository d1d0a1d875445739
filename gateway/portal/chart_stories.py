"""What the pages about the person in hand ask: overview, results, one test over time, one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.recognition.images import Images
from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.image_stories import StudyRow
    from gateway.portal.stories import (
        Amendment,
        Contribution,
        Refused,
        Report,
        Resident,
        Result,
        Results,
    )


@dataclass(frozen=True, slots=True)
class NameAsked:
    """A name and a birth date, and the asking hospital's own number where more than one fits."""

    name: str
    birth: date
    number: str = ""


@dataclass(frozen=True, slots=True)
class SeveralFit:
    """More than one of the persons treated here fits what was typed: a detail is missing."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A problem or an allergy as a hospital stated it, and how often it did."""

    words: str
    organization: str
    at: date | datetime | None
    over: bool = False
    times: int = 1
    severity: str = ""  # AllergyIntolerance.criticality: low, high, unable-to-assess


@dataclass(frozen=True, slots=True)
class Study:
    """Images of one examination, by their header."""

    id: str
    title: str
    modality: str
    organization: str
    at: date | datetime | None
    series: str = ""
    count: str = ""  # of images
    images: Images = "unknown"


@dataclass(frozen=True, slots=True)
class Overview:
    """What this caller may see first of one person; each list newest first.

    `countable` are reports with only those results that may be recognised here and wait.
    """

    resident: Resident
    contributions: tuple[Contribution, ...]
    allergies: tuple[Statement, ...]
    problems: tuple[Statement, ...]
    newest: tuple[Report, ...]
    studies: tuple[Study, ...]
    countable: tuple[Report, ...]
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """All results of one test of one person, newest first, voided ones among them."""

    resident: Resident
    contributions: tuple[Contribution, ...]
    results: tuple[Result, ...]
    reports: Mapping[str, str]  # of a result's id, the report it came in
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Original:
    """What the hospital itself laid out: a document (`media_type`, `content`), or a narrative (XHTML)."""

    kind: Literal["document", "narrative"]
    title: str
    media_type: str = ""
    size: int = 0
    content: bytes = field(default=b"", repr=False)
    narrative: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a newer version changed; `item` is empty where it is the report itself."""

    item: str
    part: Literal["value", "unit", "range", "flag", "status", "conclusion"]
    before: str
    after: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that came with a report. It is told of, not verified here."""

    who: str
    at: date | datetime | None


@dataclass(frozen=True, slots=True)
class ReportView:
    """One report as issued, and what became of it."""

    resident: Resident
    report: Report
    findings: str
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
    studies: tuple[StudyRow, ...] = ()  # the images it tells of
    signatures: tuple[Signature, ...] = ()


class ChartStories(Protocol):
    """Each is one audited act of one caller."""

    async def open_by_name(self, asked: NameAsked, caller: Caller) -> Resident | SeveralFit | None:
        """The one person of that name and birth date whom the caller's organisation treats.

        None for nobody and for everybody else: the same answer.
        """

    async def overview(self, chart: str, caller: Caller) -> Overview | Refused:
        """The first page about a person; Problem UNKNOWN when the chart is not theirs."""

    async def results(
        self, chart: str, caller: Caller, since: datetime | None = None, part: int | None = None
    ) -> Results | Refused:
        """Results and reports of all hospitals, or one part of a long record; Problem UNKNOWN when
        the chart is not theirs."""

    async def line(self, id: str, caller: Caller) -> Line:
        """All results of the test that result `id` is one of; Problem UNKNOWN when hidden."""

    async def report(self, id: str, caller: Caller) -> ReportView:
        """One report as issued; Problem UNKNOWN when absent or hidden."""

    async def original(self, id: str, place: int, caller: Caller) -> Original:
        """One of a report's originals with its content; Problem UNKNOWN when absent or hidden."""
