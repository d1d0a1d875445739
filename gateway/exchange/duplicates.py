"""Looks whether what is being ordered was measured elsewhere and may be recognised here, item by item.

Hooks, the façade for older systems and the page in a HIS all ask here. A manifest's columns are looked
at first: only results that could count are opened, the newest few of each item, in one event. What a
person withholds is not among them, and gives the answer of what never was.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import orjson

from gateway.audit.events import Kind
from gateway.exchange import ledger
from gateway.exchange.ask import Gathering, Match, Opened, Shown, glance
from gateway.exchange.consulting import Subject
from gateway.exchange.image_probes import named, states
from gateway.exchange.issued import Resource, collected, parsed
from gateway.exchange.ledger import Asked, Visit
from gateway.exchange.page_records import (
    platform_items,
    platforms_told,
    studies_for,
    studies_of,
)
from gateway.exchange.patients import the_one
from gateway.exchange.person import Person
from gateway.exchange.recognise import Judged, judged, platforms_of, receiver_of, visit_of
from gateway.exchange.same_finding import said
from gateway.exchange.succeeding import replaced_among
from gateway.recognition.catalogue import LOINC, Catalogue, Item
from gateway.recognition.decisions import Choice
from gateway.recognition.eligibility import Receiver
from gateway.recognition.facts import ResultFacts, facts_of
from gateway.recognition.images import Images, together
from gateway.recognition.ledger import Event, Happened
from gateway.recognition.orders import Candidate, Compared, Order, compare, meant
from gateway.records.entry import EARLIEST, Nature
from gateway.services import Services
from gateway.services.caller import Caller

NEWEST = 3  # results of one item that are opened
DAY = 86_400_000_000
_STANDS = frozenset({"final", "amended", "corrected", "appended"})
_REPORT = "DiagnosticReport"
_BLOOD = frozenset({"serum", "plasma", "blood", "capillary blood"})


@dataclass(frozen=True, slots=True)
class Draft:
    """One order that is being written. `key` names it to its sender, `group` what it is ordered with.

    `codings` are (system, code); `specimen` and `side` are words of `facts`, empty when not stated.
    """

    key: str
    codings: tuple[tuple[str, str], ...]
    name: str = ""
    group: str = ""
    specimen: str = ""
    side: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """An earlier result as its laboratory issued it. `report` is the id of the page that shows it."""

    opened: Opened
    specimen: Resource | None
    collected: date | datetime | None
    judged: Judged
    report: str
    side: str = ""

    @property
    def resource(self) -> Resource:
        """Its text, every number as the digits that stand in it."""
        return parsed(self.opened.text)

    @property
    def organization(self) -> str:
        """Who issued it."""
        return self.opened.match.pair[0].source


@dataclass(frozen=True, slots=True)
class Question:
    """One item (and side) of one person in one visit. `task` is the decision that stands on it, `accepted` when
    that says yes; `dismissed` when this clinician has closed a prompt without a reason."""

    id: str
    task: str = ""
    accepted: bool = False
    dismissed: bool = False

    @property
    def settled(self) -> bool:
        """Is there nothing left to ask?"""
        return bool(self.task) or self.dismissed


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found for each draft, in the order given; `chart` is empty when nothing may be shown.

    `questions` are by item code and the judgement's side; `unmapped` are the drafts nobody knows the meaning of.
    """

    chart: str
    drafts: tuple[Draft, ...]
    orders: tuple[Compared[Measured], ...]
    questions: Mapping[tuple[str, str], Question]
    unmapped: tuple[Draft, ...]
    visit: Visit
    at: int
    person: Person | None = None

    def question(self, measured: Measured) -> Question:
        """The question whether this result may be recognised here."""
        judgement = measured.judged.judgement
        assert judgement is not None, "only what was judged is asked about"
        return self.questions[judgement.item, judgement.side]

    def of_order(self, order: Order, item: Item) -> tuple[Question, ...]:
        """The questions whose answer spares what the order would measure, those on its own side."""
        return tuple(
            question
            for (code, side), question in self.questions.items()
            if code == item.code and order.fits(item, side)
        )

    def asked(self, measured: Measured, caller: Caller) -> Asked:
        """What the ledger is told of one result."""
        judgement = measured.judged.judgement
        assert self.person is not None, "nobody was met"
        assert judgement is not None, "only what was judged is told"
        return Asked(
            caller=caller,
            person=ledger.person_name(self.person, caller),
            result=measured.opened.id,
            issuer=measured.organization,
            item=judgement.item,
            rules=judgement.rules,
            visit=self.visit,
            said=said(measured.resource),
            side=judgement.side,
        )


def stated(bodies: Sequence[Resource], specimens: Sequence[Resource]) -> tuple[str, str]:
    """(specimen, side) that an order states in its concepts, in the words of `facts`."""
    said = {"type": {"text": " ".join(str(one.get("text", "")) for one in specimens)}}
    material = _words(specimen=said) if specimens else None
    sides = {_words(bodySite=one).laterality for one in bodies} - {""}
    return material.specimen if material else "", sides.pop() if len(sides) == 1 else ""


def _words(specimen: Resource | None = None, **resource: object) -> ResultFacts:
    return facts_of(
        resource,
        version="",
        content="",
        organization="",
        identity_tier=0,
        zone=UTC,
        specimen=specimen,
    )


async def chart_of(subject: Subject, caller: Caller, services: Services) -> str:
    """The one person's chart; empty for nobody, and for numbers of several persons.

    Our Patient ids have 32 hexadecimal digits; anything else is the caller organisation's own number.
    """
    if subject.chart:
        if len(subject.chart) == 32 and not set(subject.chart) - set("0123456789abcdef"):
            return subject.chart
        return services.ids(caller.organization)("mrn", "Patient", [subject.chart])
    return await the_one(subject.identifiers, caller, services)


async def check(
    subject: Subject, drafts: Sequence[Draft], visit: Visit, caller: Caller, services: Services
) -> Checked:
    """What of the drafts is there already, one durable event before it.

    Nothing is opened when the drafts mean nothing. Problem BUSY when the record cannot be read now.
    """
    at = services.now()
    orders = [_meant(draft, caller, services.catalogue, at) for draft in drafts]
    unmapped = tuple(
        draft
        for draft, order in zip(drafts, orders, strict=True)
        if not (order.items or order.beyond) and (draft.codings or draft.name)
    )
    items = {item.code: item for order in orders for item in order.items}
    if not items:
        nothing: tuple[Compared[Measured], ...] = compare(orders, ()).orders
        return Checked("", tuple(drafts), nothing, {}, unmapped, visit, at)
    looked = await _look(subject, items.values(), visit, caller, services, at, NEWEST)
    compared = tuple(
        compare([order], looked.fitting(draft)).orders[0]
        for draft, order in zip(drafts, orders, strict=True)
    )
    return await _checked(looked, drafts, compared, unmapped, caller, services)


async def survey(subject: Subject, visit: Visit, caller: Caller, services: Services) -> Checked:
    """Everything of the person that may be recognised here now, as if all of it were ordered."""
    at = services.now()
    catalogue = services.catalogue
    items = tuple(
        item for item in catalogue.items if item.effective.covers(at) and not item.negative_list
    )
    looked = await _look(subject, items, visit, caller, services, at, 1)
    drafts = (Draft("", (), ""),)
    compared = compare([Order("", items)], looked.candidates).orders
    return await _checked(looked, drafts, compared, (), caller, services)


def _meant(draft: Draft, caller: Caller, catalogue: Catalogue, at: int) -> Order:
    """What a draft means; an item that is not measured in the stated specimen is not meant."""
    order = meant(catalogue, draft.key, caller.organization, draft.codings, draft.name, at)
    if draft.side and draft.side != order.side:  # its site says what its name does not
        order = replace(order, side="" if order.side else draft.side)
    other = [item for item in order.items if not _measured_in(item, draft.specimen)]
    if not other:
        return order
    fitting = tuple(item for item in order.items if item not in other)
    return replace(order, items=fitting, beyond=(*order.beyond, *(item.code for item in other)))


def _measured_in(item: Item, specimen: str) -> bool:
    """An order for venous blood is one for serum; one for urine is not."""
    if not specimen or not item.specimens or specimen in item.specimens:
        return True
    return specimen in _BLOOD and not _BLOOD.isdisjoint(item.specimens)


# Looking


@dataclass(frozen=True, slots=True)
class _Looked:
    seen: Gathering
    chart: str
    visit: Visit
    at: int
    candidates: tuple[Candidate[Measured], ...] = field(default=())

    def fitting(self, draft: Draft) -> Iterable[Candidate[Measured]]:
        """Those of the side that the draft states."""
        if not draft.side:
            return self.candidates
        return [one for one in self.candidates if one.result.side in ("", draft.side)]


async def _look(
    subject: Subject,
    items: Iterable[Item],
    visit: Visit,
    caller: Caller,
    services: Services,
    at: int,
    newest: int,
) -> _Looked:
    chart = await chart_of(subject, caller, services)
    pick = _Pick(items, caller, services, at, newest)
    seen = await glance(chart, caller, services, pick, kind=Kind.RECOGNITION_PROMPT, why=visit.hook)
    if seen.person.gate is not None:
        return _Looked(seen, "", visit, at)
    # The rules look at no number: only what is shown is read with its digits.
    texts: dict[str, Resource] = {one.id: orjson.loads(one.text) for one in seen.records}
    own = [texts[one.id] for one in seen.records if _own_visit(one.match.pair[0], caller)]
    here = [one for one in own if one.get("id") == visit.encounter] or own
    measured = [texts[one.id] for one in seen.records if _own_result(one.match.pair[0], caller)]
    receiver = receiver_of(caller, here, platforms=platforms_of(measured, services, at))
    if here:
        known = visit_of(caller, here)
        visit = replace(
            visit,
            encounter=visit.encounter,
            department=visit.department or known.department,
            patient_class=visit.patient_class or known.patient_class,
        )
    await services.copied_times.current(services.now())
    studies = (named(one, texts[one.id]) for one in seen.records if one.type == "ImagingStudy")
    images = await states(studies, services)
    found = [
        one
        for one in _judged(seen, texts, images, receiver, services, at)
        if one.issuer
        != caller.organization  # what it measured itself says on what, and is not offered
    ]
    return _Looked(seen, chart, visit, at, tuple(found))


async def _checked(
    looked: _Looked,
    drafts: Sequence[Draft],
    compared: tuple[Compared[Measured], ...],
    unmapped: tuple[Draft, ...],
    caller: Caller,
    services: Services,
) -> Checked:
    person = looked.seen.person
    shown = Checked(
        looked.chart if looked.candidates else "",
        tuple(drafts),
        compared,
        {},
        unmapped,
        looked.visit,
        looked.at,
        person,
    )
    if not looked.candidates:
        return shown
    ids = ledger.questions(
        caller,
        ledger.person_name(person, caller),
        {(one.judgement.item, one.judgement.side) for one in looked.candidates},
        looked.visit,
        looked.at,
        services,
    )
    events: dict[str, list[Event]] = {}
    for event in await ledger.of_questions(sorted(set(ids.values())), services):
        events.setdefault(event.question, []).append(event)
    questions = {about: _question(id, events.get(id, ()), caller) for about, id in ids.items()}
    return replace(shown, questions=questions)


def _question(id: str, events: Sequence[Event], caller: Caller) -> Question:
    """How the question stands after its events, oldest first."""
    found = Question(id)
    for event in events:
        match event.kind:
            case Happened.DECISION:
                accepted = event.choice != Choice.DECLINE
                found = replace(found, task=event.task, accepted=accepted)
            case Happened.REVOCATION:
                found = replace(found, task="", accepted=False)
            case Happened.DISMISSED if event.practitioner == caller.user:
                found = replace(found, dismissed=True)
    return found


def _own_visit(nature: Nature, caller: Caller) -> bool:
    return (nature.type, nature.source, nature.status) == (
        "Encounter",
        caller.organization,
        "in-progress",
    )


def _own_result(nature: Nature, caller: Caller) -> bool:
    return (nature.type, nature.source) == ("Observation", caller.organization)


class _Pick:
    """Takes from the columns what could be recognised, and what judging it needs."""

    def __init__(
        self, items: Iterable[Item], caller: Caller, services: Services, at: int, newest: int
    ) -> None:
        self.caller, self.catalogue, self.at, self.newest = caller, services.catalogue, at, newest
        self.services = services
        self.items = {item.code: item for item in items}
        self.reach = self.catalogue.scopes_of(caller.organization, at)
        self.known: dict[Nature, Item | None] = {}

    def __call__(self, shown: Sequence[Shown]) -> list[Match]:
        found: dict[str, list[tuple[int, int, int]]] = {}  # by item: when, segment, place
        for number, one in enumerate(shown):
            for n, nature in enumerate(one.segment.natures):
                item = self._item(nature)
                places = one.of_nature(n) if item else ()
                if item is None or not places:
                    continue
                starts, since = one.segment.starts, self._since(item)
                found.setdefault(item.code, []).extend(
                    (starts[place], number, place)
                    for place in places
                    if starts[place] >= since or starts[place] == EARLIEST
                )
        chosen = {
            (number, place)
            for places in found.values()
            for _, number, place in heapq.nlargest(self.newest, places)
        }
        results = [shown[number].match(place) for number, place in sorted(chosen)]
        return results + self._about(shown, results)

    def _item(self, nature: Nature) -> Item | None:
        if nature not in self.known:
            self.known[nature] = self._meant(nature)
        return self.known[nature]

    def _meant(self, nature: Nature) -> Item | None:
        """The item that records of this nature measure, if one of them may count here at all."""
        if nature.type not in {"Observation", _REPORT} or nature.sensitivities:
            return None
        if nature.source == self.caller.organization or nature.status not in _STANDS:
            return None
        codes = [code.rpartition("|") for code in nature.codes]
        items = self.catalogue.items_for((c for s, _, c in codes if s == LOINC), self.at)
        item = items[0] if len(items) == 1 else None
        if item is None or item.code not in self.items:
            return None
        if nature.type == _REPORT and item.kind == "lab":
            return None  # its results are asked
        entitled = any(
            row.status == "active" and row.scope in self.reach and row.valid.covers(self.at)
            for row in self.catalogue.entitlements(nature.source, item)
        )
        return item if entitled else None

    def _since(self, item: Item) -> int:
        """Before it nothing can be young enough, whatever the visit; a day for times without a zone."""
        days = max(item.op_days, item.ip_days, *(one.days for one in item.windows), 0)
        return self.at - (days + 1) * DAY

    def _about(self, shown: Sequence[Shown], results: Sequence[Match]) -> list[Match]:
        """Reports on the results, their specimens and visits, the caller's own open visits, and on what
        it measures what is comparable on one platform only.

        A report is not looked for among those that are a month older than the oldest result.
        """
        ids = {match.pair[1].id for match in results}
        if not ids:
            return []
        oldest = min(match.pair[1].start or EARLIEST for match in results) - 30 * DAY
        named = {
            to
            for match in results
            for said, to in match.pair[1].links
            if said in {"specimen", "encounter"}
        }
        asked = {item.code for match in results if (item := self._item(match.pair[0]))}
        found: list[Match] = []
        measured: list[Match] = []
        for one in shown:
            segment, starts = one.segment, one.segment.starts
            places = set(one.among(named))
            for n, nature in enumerate(segment.natures):
                if _own_visit(nature, self.caller):
                    places.update(one.of_nature(n))
                elif asked.intersection(
                    platform_items(nature, self.caller, self.services, self.at)
                ):
                    measured += [one.match(place) for place in one.of_nature(n)]
                elif nature.type == _REPORT:
                    places.update(
                        place
                        for place in one.of_nature(n)
                        if not EARLIEST < starts[place] < oldest
                        and any(to in ids for said, to in segment.links(place) if said == "result")
                    )
            found += [one.match(place) for place in sorted(places)]
        found += platforms_told(measured, self.caller, self.services)
        others = [match for match in found if match.pair[1].id not in ids]
        if any(match.pair[0].type == _REPORT for match in results):  # else no examination is meant
            others += studies_for(_studies(shown), results)
        return others


def _studies(shown: Sequence[Shown]) -> list[Match]:
    return [
        one.match(place)
        for one in shown
        for n, nature in enumerate(one.segment.natures)
        if nature.type == "ImagingStudy"
        for place in one.of_nature(n)
    ]


def _judged(
    seen: Gathering,
    texts: Mapping[str, Resource],
    images: Mapping[str, Images],
    receiver: Receiver,
    services: Services,
    at: int,
) -> Iterable[Candidate[Measured]]:
    """Every result that was opened, judged for this receiver."""
    opened = {one.id: one for one in seen.records}
    reports = {
        to.hex(): one.id
        for one in seen.records
        if one.type == _REPORT
        for said, to in one.match.pair[1].links
        if said == "result" and to.hex() in opened
    }
    named = set(reports.values())
    replaced = replaced_among(one.match.pair for one in seen.records)

    def linked(one: Opened, element: str) -> Resource | None:
        links = (to.hex() for said, to in one.match.pair[1].links if said == element)
        return next((texts[id] for id in links if id in texts), None)

    for one in seen.records:
        if one.type not in {"Observation", _REPORT} or one.id in named:
            continue
        report = reports.get(one.id, "")
        specimen = linked(one, "specimen")
        if specimen is None and report:
            specimen = linked(opened[report], "specimen")
        text, studies = texts[one.id], studies_of(one, seen.records)
        said = judged(
            text,
            one,
            receiver,
            seen.person,
            services,
            at,
            report=texts.get(report),
            specimen=specimen,
            encounter=linked(one, "encounter"),
            study=next((texts[id] for id in studies), None),
            images=together([images[id] for id in studies]),
            latest=one.id not in replaced,
        )
        if said.judgement is None:
            continue
        when = collected(text, specimen, services.settings.zone)
        bodies = text.get("bodySite")
        side = _words(bodySite=bodies).laterality if bodies else ""
        measured = Measured(one, specimen, when, said, report or one.id, side)
        key = f"{one.type}/{one.id}"
        yield Candidate(said.judgement, measured.organization, key, measured)
