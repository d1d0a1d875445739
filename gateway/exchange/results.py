"""Results of all hospitals for one person in hand, and one report as issued.

A page is one event for what it shows, and one more when it shows results that may be recognised
here: prompt, view, decision and revocation are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Literal

from consent.model import DenyTell, Reason
from gateway.audit.events import Body, Item, Kind, Outcome, manifest_root
from gateway.exchange import image_probes, ledger
from gateway.exchange.ask import Gathering, Match, Opened, Permitted, gather, nothing
from gateway.exchange.issued import (
    LOINC_FINDINGS,
    LOINC_IMPRESSION,
    Resource,
    parsed,
    report_kind,
    says,
    when,
)
from gateway.exchange.issued import collected as collected_of
from gateway.exchange.ledger import PORTAL, Visit
from gateway.exchange.page_records import (
    AMENDED,
    in_parts,
    issued,
    of_page,
    studies_of,
    tellings,
    to_decide,
    with_grounds,
)
from gateway.exchange.recognise import (
    Decided,
    Judged,
    at_visit,
    decisions,
    judged,
    platforms_of,
    receiver_of,
    visit_of,
)
from gateway.exchange.residents import InHand, in_hand
from gateway.exchange.succeeding import replaced_among
from gateway.recognition.eligibility import Judgement, Receiver
from gateway.recognition.images import Images, together
from gateway.recognition.ledger import Happened
from gateway.records.merge import without_meta
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.store import oversight as feeds

Timeliness = Literal["answered", "late", "silent"]

CORRECTED = frozenset({"corrected", "amended"})
DAY = 86_400_000_000
SILENT_AFTER = 7 * DAY
STUCK_AFTER = 600_000_000
MOST = 300  # results and reports of a part


@dataclass(frozen=True, slots=True)
class Result:
    """One result. `resource` holds numbers as text; `before` is the version a correction replaced."""

    opened: Opened
    resource: Resource
    specimen: Resource | None
    collected: date | datetime | None
    judged: Judged
    decided: Decided | None
    before: Resource | None = None

    @property
    def organization(self) -> str:
        """Who issued it."""
        return self.opened.match.pair[0].source


@dataclass(frozen=True, slots=True)
class Report:
    """Results as they were reported together; an examination in words has none.

    Where a hospital sends a result without a report, `opened` is the result's own.
    """

    opened: Opened
    resource: Resource
    collected: date | datetime | None
    results: tuple[Result, ...]
    judged: Judged
    decided: Decided | None
    findings: str = ""
    conclusion: str = ""

    @property
    def organization(self) -> str:
        """Who issued it."""
        return self.opened.match.pair[0].source


@dataclass(frozen=True, slots=True)
class Hospital:
    """Whether a hospital's data came in time: nothing here is about the person in hand."""

    organization: str
    state: Timeliness
    last: int | None  # µs UTC, when it last sent anything at all


@dataclass(frozen=True, slots=True)
class Folder:
    """Everything of the kind this caller may see of one person, newest first, or a part of it."""

    resident: InHand
    reports: tuple[Report, ...]
    hospitals: tuple[Hospital, ...]
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a report that may be known of: its tag, µs UTC of filing, its status."""

    tag: str
    filed: int
    status: str


@dataclass(frozen=True, slots=True)
class Issued:
    """One report with where it came from. `content` is the keyed hash of its content, in hex;
    `sha256` that of its content as opened now, and `unaltered` says that both tell of one text. `newer`
    is a later report of the same examination on the same specimen, "" when there is none."""

    resident: InHand
    report: Report
    source: str
    received: int
    content: str
    versions: tuple[Version, ...]
    seen: Gathering
    visit: Visit
    sha256: str = ""
    unaltered: bool = True
    newer: str = ""


async def results(
    chart: str,
    caller: Caller,
    services: Services,
    since: int | None = None,
    part: int | None = None,
) -> Folder | Reason:
    """All results and reports of the person of `chart`, each as its laboratory issued it.

    `since` (µs UTC) leaves out, unopened, what was collected before; what has no time is kept. With
    `part` a long record is opened a part at a time: the newest is 1, and behind the last is the last. A
    Reason is a refusal decided without looking at what there is (an unknown chart and one
    without a relationship give the same); Problem UNKNOWN when nothing may be shown.
    """
    turn, turns = 1, 1

    def main(permitted: Permitted) -> list[Match]:
        nonlocal turn, turns
        found = issued(permitted, since)
        if part is None or not found:
            return found
        parts = in_parts(found, MOST)
        turn, turns = min(part, len(parts)), len(parts)
        return parts[turn - 1]

    shown = await gathered(chart, caller, services, main)
    if isinstance(shown, Reason):
        return shown
    resident, reports, seen = shown
    await note_view(seen, reports, caller, services)
    return Folder(resident, reports, await hospitals(services), turn, turns)


async def gathered(
    chart: str, caller: Caller, services: Services, main: Callable[[Permitted], list[Match]]
) -> tuple[InHand, tuple[Report, ...], Gathering] | Reason:
    """What `main` picks of everything about the person of `chart`, with the grounds to judge it by:
    the person, the reports, all that was opened. A Reason or Problem UNKNOWN as in `results`."""
    asked: set[str] = set()

    def choose(permitted: Permitted) -> list[Match]:
        chosen = main(permitted)
        asked.update(match.pair[1].hex for match in chosen)
        return with_grounds(permitted, chosen, caller, services)

    seen = await gather(
        chart,
        caller,
        services,
        choose,
        kind=Kind.EVERYTHING,
        named=True,
        amended=AMENDED,
    )
    if isinstance(seen.person.gate, DenyTell):
        return seen.person.gate.reason
    resident = in_hand(seen, caller, services)
    if resident is None:
        raise nothing()
    return resident, await reports_of(seen, caller, services, asked), seen


async def report(id: str, caller: Caller, services: Services) -> Issued:
    """One report, or one result that came without; Problem UNKNOWN when absent or hidden."""
    issued = await look_at(id, caller, services)
    await note_view(issued.seen, (issued.report,), caller, services)
    await note_looks(issued.seen, issued.report, issued.visit, caller, services)
    return issued


@dataclass(frozen=True, slots=True)
class Looked:
    """Reports, or the asked results of them, with what their judgement rests on."""

    reports: tuple[Report, ...]
    seen: Gathering
    visit: Visit  # the receiver's own open visit, as far as it is on file


async def look_at_each(
    chart: str,
    ids: Collection[str],
    caller: Caller,
    services: Services,
    visit: Visit,
    beside: Collection[str] = (),
    *,
    decisive: bool = False,
) -> Looked:
    """These results or reports of the person of `chart`, as one `read`; what is absent or hidden is
    simply not among them. They are judged for the `visit`, as far as it is told; `beside` are ids of
    the caller's own records that come along. `decisive`: their images are asked for first."""
    wanted, more = frozenset(ids), frozenset(beside)
    replaced: frozenset[str] = frozenset()

    def choose(permitted: Permitted) -> list[Match]:
        nonlocal replaced
        chosen = to_decide(permitted, caller, services, wanted, more)
        replaced = _replaced(permitted, chosen)
        return chosen

    seen = await gather(
        chart,
        caller,
        services,
        choose,
        kind=Kind.READ,
        named=False,
        amended=AMENDED,
    )
    pages = await _pages(seen, caller, services, wanted, visit, replaced, decisive=decisive)
    return Looked(pages.reports(), seen, pages.visit)


async def look_at_all(chart: str, caller: Caller, services: Services, visit: Visit) -> Looked:
    """The same for everything of that person, as one `everything`."""
    seen = await gather(
        chart,
        caller,
        services,
        lambda permitted: with_grounds(permitted, issued(permitted), caller, services),
        kind=Kind.EVERYTHING,
        named=False,
        amended=AMENDED,
    )
    pages = await _pages(seen, caller, services, None, visit)
    return Looked(pages.reports(), seen, pages.visit)


async def look_at(id: str, caller: Caller, services: Services) -> Issued:
    """A report with what its judgement rests on, as one `read`; Problem UNKNOWN as in `report`."""
    current = await rows.current(services.db, id)
    newer = ""
    replaced: frozenset[str] = frozenset()

    def choose(permitted: Permitted) -> list[Match]:
        nonlocal newer, replaced
        newer = _newer(permitted, id)
        chosen = of_page(permitted, caller, services, frozenset({id}))
        replaced = _replaced(permitted, chosen)
        return chosen + (tellings(permitted, {bytes.fromhex(id)}) if chosen else [])

    seen = await gather(
        current.chart if current else "",
        caller,
        services,
        choose,
        kind=Kind.READ,
        named=False,
        amended=AMENDED,
    )
    resident = in_hand(seen, caller, services)
    pages = await _pages(seen, caller, services, {id}, PORTAL, replaced)
    found = [one for one in pages.reports() if one.opened.id == id]
    if resident is None or not found:
        raise nothing()
    opened = found[0].opened
    source, received = await _received(opened, services)
    versions = tuple(
        Version(
            services.vault.version_tag(id, match.pair[1].version),
            match.pair[1].filed,
            match.pair[0].status,
        )
        for match in seen.versions
        if match.pair[1].hex == id
    )
    digest = opened.match.pair[1].digest
    # A copy from which something is withheld is another text, and not said to be the hospital's.
    text = without_meta(opened.text)
    whole = bool(opened.cut) or services.vault.digest("content", text)[:16] == digest
    return Issued(
        resident,
        found[0],
        source,
        received,
        digest.hex(),
        versions,
        seen,
        pages.visit,
        "" if opened.cut else sha256(text).hexdigest(),
        whole,
        newer,
    )


def _replaced(permitted: Permitted, chosen: Iterable[Match]) -> frozenset[str]:
    """Those of the chosen that a later report probably corrects."""
    ids = {match.pair[1].id for match in chosen}
    return replaced_among((match.pair for match in issued(permitted)), ids) if ids else frozenset()


def _newer(permitted: Permitted, id: str) -> str:
    """The last of the same hospital's reports of the same name on the same specimen that came after."""
    reports = permitted.where(lambda nature: nature.type == "DiagnosticReport")
    asked = next((m for m in reports if m.pair[1].hex == id), None)
    if asked is None:
        return ""
    on = {to for said, to in asked.pair[1].links if said == "specimen"}
    later = [
        m
        for m in reports
        if m.pair[0].source == asked.pair[0].source
        and m.pair[0].codes == asked.pair[0].codes
        and m.pair[1].clock > asked.pair[1].clock
        and any(said == "specimen" and to in on for said, to in m.pair[1].links)
    ]
    return max(later, key=lambda m: m.pair[1].clock).pair[1].hex if later else ""


async def _received(opened: Opened, services: Services) -> tuple[str, int]:
    """The system it came from and when; a record of our own was received when it was filed."""
    found = await services.db.read(feeds.RECEIVED, opened.id)
    if found:
        source, arrived = found[0]
        return source, arrived
    return opened.match.pair[0].source, opened.filed


# One gathering, read once


async def _pages(
    seen: Gathering,
    caller: Caller,
    services: Services,
    ids: Collection[str] | None = None,
    visit: Visit = PORTAL,
    replaced: frozenset[str] = frozenset(),
    *,
    decisive: bool = False,
) -> _Pages:
    """One gathering, with what is known of the images of its studies; `replaced` are results that
    later reports probably correct, beside those that show in what was gathered. Where it is
    `decisive`, images nobody asked for yet are asked for first."""
    studies = (image_probes.named(one) for one in seen.records if one.type == "ImagingStudy")
    images = await image_probes.states(studies, services, wait=decisive)
    await services.copied_times.current(services.now())
    return _Pages(seen, caller, services, ids, visit, images, replaced)


async def reports_of(
    seen: Gathering, caller: Caller, services: Services, ids: Collection[str]
) -> tuple[Report, ...]:
    """Reports with their results, newest first; a result without report stands for itself if it is
    one of `ids`, those asked for: what came along to judge by is not shown."""
    return (await _pages(seen, caller, services, ids)).reports()


class _Pages:
    """One gathering, read once. `ids` are those asked for, None for all there are."""

    def __init__(
        self,
        seen: Gathering,
        caller: Caller,
        services: Services,
        ids: Collection[str] | None,
        visit: Visit,
        images: Mapping[str, Images],
        replaced: frozenset[str],
    ) -> None:
        self.seen, self.services, self.ids, self.images = seen, services, ids, images
        self.replaced = replaced | replaced_among(one.match.pair for one in seen.records)
        self.at = services.now()
        self.opened = {one.id: one for one in seen.records}
        self.texts = {one.id: parsed(one.text) for one in seen.records}
        self.before: dict[str, Resource] = {}
        for one in seen.earlier:  # oldest first: the last one standing is the newest of them
            self.before[one.id] = parsed(one.text)
        self.studies = [one for one in seen.records if one.type == "ImagingStudy"]
        self.decided = decisions(seen.records, services)
        own = [
            self.texts[one.id]
            for one in seen.records
            if one.type == "Encounter"
            and one.match.pair[0].source == caller.organization
            and one.match.pair[0].status == "in-progress"
        ]
        measured = (
            self.texts[one.id]
            for one in seen.records
            if one.type == "Observation" and one.match.pair[0].source == caller.organization
        )
        platforms = platforms_of(measured, services, self.at)
        known = receiver_of(caller, own, platforms=platforms)
        self.receiver: Receiver = at_visit(known, visit)
        self.visit = visit_of(caller, own)

    def reports(self) -> tuple[Report, ...]:
        reported: set[str] = set()
        found = []
        for one in self.seen.records:
            if one.type == "DiagnosticReport":
                members = [i for i in self.links(one, "result") if self.type_of(i) == "Observation"]
                reported.update(members)
                found.append(self.report(one, members))
        found += [
            self.alone(one)
            for one in self.seen.records
            if one.type == "Observation"
            and one.id not in reported
            and (self.ids is None or one.id in self.ids)
        ]
        return tuple(sorted(found, key=self.newest))

    def newest(self, report: Report) -> tuple[int, str]:
        start = report.opened.match.pair[1].start
        return (-(start if start is not None else report.opened.filed), report.opened.id)

    def type_of(self, id: str) -> str:
        return self.opened[id].type if id in self.opened else ""

    def links(self, one: Opened, element: str) -> list[str]:
        entry = one.match.pair[1]
        return [to.hex() for said, to in entry.links if said == element and to.hex() in self.opened]

    def linked(self, one: Opened, element: str) -> Resource | None:
        return next((self.texts[id] for id in self.links(one, element)), None)

    def report(self, one: Opened, members: Sequence[str]) -> Report:
        text = self.texts[one.id]
        measured = [id for id in members if not _in_words(self.texts[id])]
        parts = [self.texts[id] for id in members if id not in measured]
        results = tuple(self.result(self.opened[id], one) for id in measured)
        panel = bool(results) and report_kind(text) in {"laboratory", "other"}
        return Report(
            one,
            text,
            next((r.collected for r in results if r.collected), self.collected(text, one)),
            results,
            _summary(results) if panel else self.judged(one, text, None),
            self.decision(one),
            findings=says(parts, LOINC_FINDINGS),
            conclusion=str(text.get("conclusion") or "") or says(parts, LOINC_IMPRESSION),
        )

    def alone(self, one: Opened) -> Report:
        result = self.result(one, None)
        return Report(
            one,
            result.resource,
            result.collected,
            (result,),
            result.judged,
            None,
        )

    def result(self, one: Opened, report: Opened | None) -> Result:
        text = self.texts[one.id]
        specimen = self.linked(one, "specimen")
        if specimen is None and report is not None:
            specimen = self.linked(report, "specimen")
        corrected = text.get("status") in CORRECTED
        return Result(
            one,
            text,
            specimen,
            collected_of(text, specimen, self.services.settings.zone),
            self.judged(one, text, self.texts[report.id] if report else None, specimen),
            self.decision(one),
            self.before.get(one.id) if corrected else None,
        )

    def collected(self, text: Resource, one: Opened) -> date | datetime | None:
        zone = self.services.settings.zone
        found = collected_of(text, self.linked(one, "specimen"), zone)
        return found or when(text.get("issued"), zone)

    def judged(
        self,
        one: Opened,
        text: Resource,
        report: Resource | None,
        specimen: Resource | None = None,
    ) -> Judged:
        studies = studies_of(one, self.studies)
        return judged(
            text,
            one,
            self.receiver,
            self.seen.person,
            self.services,
            self.at,
            report=report,
            specimen=specimen,
            encounter=self.linked(one, "encounter"),
            study=next((self.texts[id] for id in studies), None),
            images=together([self.images[id] for id in studies]),
            latest=one.id not in self.replaced,
        )

    def decision(self, one: Opened) -> Decided | None:
        """What was decided on this very version: a newer one is a new question."""
        return self.decided.get((one.id, one.version)) if self.decided else None


def _in_words(result: Mapping[str, object]) -> bool:
    """Is this a paragraph of an examination rather than something measured?"""
    codes = {LOINC_FINDINGS, LOINC_IMPRESSION}
    code = result.get("code")
    given = code.get("coding") if isinstance(code, Mapping) else None
    return any(
        isinstance(one, Mapping) and one.get("code") in codes
        for one in (given if isinstance(given, list) else ())
    )


def _summary(results: Sequence[Result]) -> Judged:
    """A panel's own line: eligible when any of it is, else why the first is not."""
    best = next((r.judged for r in results if r.judged.state == "eligible"), None)
    return best or results[0].judged


def _eligible(report: Report) -> list[tuple[Opened, Judgement]]:
    """What of a report may be recognised here: its results, or an examination as a whole."""
    things = [(r.opened, r.judged) for r in report.results] or [(report.opened, report.judged)]
    return [
        (opened, judged.judgement)
        for opened, judged in things
        if judged.state == "eligible" and judged.judgement is not None
    ]


async def note_looks(
    seen: Gathering, report: Report, visit: Visit, caller: Caller, services: Services
) -> None:
    """The doctor looked at these very results: one event for each that may be recognised here."""
    if caller.purpose in services.policy.patient:
        return
    at = services.now()
    person = ledger.person_name(seen.person, caller)
    events = [
        ledger.event(
            Happened.VIEW,
            ledger.Asked(
                caller,
                person,
                opened.id,
                opened.match.pair[0].source,
                found.item,
                found.rules,
                visit,
                side=found.side,
            ),
            at,
            services,
        )
        for opened, found in _eligible(report)
    ]
    if events:
        await services.db.do(ledger.write, ledger.prepared(events, services))


async def note_view(
    seen: Gathering, reports: Sequence[Report], caller: Caller, services: Services
) -> None:
    """One event for the page when it shows what may be recognised here, to who may decide so."""
    if caller.purpose in services.policy.patient:
        return
    shown = [opened for report in reports for opened, _ in _eligible(report)]
    if not shown:
        return
    items = [
        Item(one.type, one.id, one.version, one.match.pair[1].digest)
        for one in sorted(shown, key=lambda one: one.id)
    ]
    at = services.now()
    body = Body(
        request=f"recognition.{at}",
        human=caller.name,
        role=caller.role,
        token=caller.session,
        address=caller.address,
        policies={"catalogue": services.catalogue.version},
        returned=len(items),
        manifest=manifest_root(items),
        details={"event": f"{seen.leaf.writer}/{seen.leaf.counter}"},
    )
    await services.log.note(
        Kind.RECOGNITION_VIEW, Outcome.PERMIT, caller, at, body, seen.person.chart_ids
    )


# Which hospitals are missing


async def hospitals(services: Services) -> tuple[Hospital, ...]:
    """Each organisation that sends, and whether it is behind.

    `late`: its messages wait unread here for more than ten minutes, or nothing came for a day.
    `silent`: nothing came for a week, it is paused, or it never sent.
    """
    now = services.now()
    waiting: dict[str, int] = dict(await services.db.read(feeds.WAITING))
    states: dict[str, list[tuple[Timeliness, int | None]]] = {}
    for name, organization, state, last in await services.db.read(feeds.FEEDS):
        said: Timeliness = "answered"
        if not last or state != "active" or now - last > SILENT_AFTER:
            said = "silent"
        elif now - last > DAY or now - waiting.get(name, now) > STUCK_AFTER:
            said = "late"
        states.setdefault(organization, []).append((said, last or None))
    order: tuple[Timeliness, ...] = ("silent", "late", "answered")
    return tuple(
        Hospital(
            organization,
            min((said for said, _ in found), key=order.index),
            max((last for _, last in found if last), default=None),
        )
        for organization, found in sorted(states.items())
    )
