"""One page about one person: problems, allergies, the newest reports, images, and what may count here.

One gathering, one event for what it shows. Nothing is opened that the page does not show: of a long
record that is a small part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Final

from consent.model import Reason
from gateway.exchange import image_probes
from gateway.exchange.ask import Gathering, Match, Opened, Permitted
from gateway.exchange.issued import Resource, codings, listed, parsed, when, words
from gateway.exchange.measured import pairs
from gateway.exchange.page_records import AMENDED, members
from gateway.exchange.residents import InHand
from gateway.exchange.results import DAY, Hospital, Report, gathered, hospitals, note_view
from gateway.recognition.catalogue import LOINC
from gateway.recognition.images import Images
from gateway.records.entry import Nature
from gateway.services import Services
from gateway.services.caller import Caller

NEWEST: Final = 3
"""How many of its newest reports are shown of each hospital."""
STUDIES: Final = 8
STATEMENTS: Final = 60
_OVER: Final = frozenset({"resolved", "inactive", "remission", "refuted", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A problem or an allergy as a hospital stated it, and how often it did."""

    words: str
    organization: str
    at: date | datetime | None
    over: bool
    times: int = 1
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """Images of one examination, by their header."""

    opened: Opened
    title: str
    modality: str
    organization: str
    at: date | datetime | None
    series: str
    count: str  # of images
    images: Images = "unknown"


@dataclass(frozen=True, slots=True)
class Overview:
    """What the caller may see first. `newest` and `countable` are newest first; `countable` are the
    results, each within its report, that may be recognised here and wait for a decision."""

    resident: InHand
    hospitals: tuple[Hospital, ...]
    allergies: tuple[Statement, ...]
    problems: tuple[Statement, ...]
    newest: tuple[Report, ...]
    studies: tuple[Study, ...]
    countable: tuple[Report, ...]


async def overview(chart: str, caller: Caller, services: Services) -> Overview | Reason:
    """The page for the person of `chart`; a Reason or Problem UNKNOWN as in `results`."""
    shown = await gathered(
        chart, caller, services, lambda permitted: _of_page(permitted, caller, services)
    )
    if isinstance(shown, Reason):
        return shown
    resident, reports, seen = shown
    countable = tuple(one for one in map(_countable, reports) if one is not None)
    await note_view(seen, countable, caller, services)
    return Overview(
        resident,
        await hospitals(services),
        _statements(seen, "AllergyIntolerance", services),
        _statements(seen, "Condition", services),
        _newest(reports),
        await _with_images(seen, services),
        countable,
    )


def _of_page(permitted: Permitted, caller: Caller, services: Services) -> list[Match]:
    def of_type(kind: str) -> list[Match]:
        return permitted.where(lambda nature: nature.type == kind)

    reports = of_type("DiagnosticReport")
    main = [*_of_each(reports, NEWEST), *_recent(permitted, reports, caller, services)]
    main += members(permitted, main)
    for kind, most in (
        ("Condition", STATEMENTS),
        ("AllergyIntolerance", STATEMENTS),
        ("ImagingStudy", STUDIES),
    ):
        main += sorted(of_type(kind), key=_age)[:most]
    return main


def _age(match: Match) -> tuple[int, bytes]:
    """Sorts the newest first; what has no time counts from when it came."""
    entry = match.pair[1]
    return -(entry.start if entry.start is not None else entry.filed), entry.id


def _of_each(reports: Sequence[Match], most: int) -> list[Match]:
    """The newest of each hospital."""
    found: dict[str, list[Match]] = {}
    for one in sorted(reports, key=_age):
        own = found.setdefault(one.pair[0].source, [])
        if len(own) < most:
            own.append(one)
    return [one for own in found.values() for one in own]


def _recent(
    permitted: Permitted, reports: Sequence[Match], caller: Caller, services: Services
) -> list[Match]:
    """Others' reports and lone results young enough for the longest window of what they hold."""
    at, catalogue = services.now(), services.catalogue
    longest = {
        code: max(one.op_days, one.ip_days, *(w.days for w in one.windows), 0)
        for one in catalogue.items
        for code in one.loinc
    }

    of_all = max(longest.values(), default=0)

    @cache
    def limit(nature: Nature) -> int:
        codes = [code for system, code in pairs(nature.codes) if system == LOINC]
        return max((longest.get(code, 0) for code in codes), default=0) * DAY

    def of_others(nature: Nature) -> bool:
        own = nature.source == caller.organization
        return nature.type in AMENDED and not own and bool(limit(nature))

    recent = [
        match
        for match in permitted.where(of_others, at - (of_all + 1) * DAY)
        if at - (match.pair[1].start or match.pair[1].filed) - DAY <= limit(match.pair[0])
    ]
    listed_ones = {match.pair[1].id for match in recent}
    held = {
        to for one in reports for said, to in one.pair[1].links if said == "result"
    } & listed_ones
    holding = [
        one
        for one in reports
        if one.pair[1].id in listed_ones
        or any(said == "result" and to in held for said, to in one.pair[1].links)
    ]
    lone = listed_ones - held - {one.pair[1].id for one in reports}
    return [*holding, *(match for match in recent if match.pair[1].id in lone)]


def _newest(reports: Sequence[Report]) -> tuple[Report, ...]:
    found: dict[str, int] = {}
    chosen = []
    for one in reports:
        found[one.organization] = found.get(one.organization, 0) + 1
        if found[one.organization] <= NEWEST:
            chosen.append(one)
    return tuple(chosen)


def _countable(report: Report) -> Report | None:
    """The report with only those results that may count here and nobody has decided about."""
    results = tuple(
        one for one in report.results if one.judged.state == "eligible" and one.decided is None
    )
    if results:
        return replace(report, results=results)
    alone = not report.results and report.judged.state == "eligible" and report.decided is None
    return report if alone else None


def _statements(seen: Gathering, kind: str, services: Services) -> tuple[Statement, ...]:
    """What hospitals stated, the newest of the same words of one hospital, newest first."""
    found: dict[tuple[str, str], Statement] = {}
    dated: list[tuple[int, Statement]] = []
    for one in seen.records:
        if one.type != kind:
            continue
        text = parsed(one.text)
        said = words(text.get("code"))
        status = {code for _, code in codings(text.get("clinicalStatus"))}
        status |= {code for _, code in codings(text.get("verificationStatus"))}
        statement = Statement(
            said,
            one.match.pair[0].source,
            _when(text, services),
            bool(status & _OVER),
            severity=str(text.get("criticality", "")),
        )
        dated.append((_age(one.match)[0], statement))
    for _, statement in sorted(dated, key=lambda pair: pair[0]):
        key = (statement.words, statement.organization)
        before = found.get(key)
        found[key] = statement if before is None else _again(before)
    return tuple(found.values())


def _again(before: Statement) -> Statement:
    return replace(before, times=before.times + 1)


def _when(text: Resource, services: Services) -> date | datetime | None:
    for name in ("onsetDateTime", "recordedDate", "started", "lastOccurrence"):
        found = when(text.get(name), services.settings.zone)
        if found is not None:
            return found
    return None


async def _with_images(seen: Gathering, services: Services) -> tuple[Study, ...]:
    found = _studies(seen, services)
    known = await image_probes.states((image_probes.named(one.opened) for one in found), services)
    return tuple(replace(one, images=known[one.opened.id]) for one in found)


def _studies(seen: Gathering, services: Services) -> tuple[Study, ...]:
    found = []
    for one in sorted(seen.records, key=lambda one: _age(one.match)):
        if one.type != "ImagingStudy":
            continue
        text = parsed(one.text)
        series = listed(text.get("series"))
        modalities = [str(m.get("code", "")) for m in listed(text.get("modality"))]
        modalities += [str(m.get("code", "")) for s in series for m in listed(s.get("modality"))]
        found.append(
            Study(
                one,
                str(text.get("description", "")) or words(text.get("procedureCode")),
                "、".join(dict.fromkeys(filter(None, modalities))),
                one.match.pair[0].source,
                _when(text, services),
                str(text.get("numberOfSeries", "")),
                str(text.get("numberOfInstances", "")),
            )
        )
    return tuple(found)
