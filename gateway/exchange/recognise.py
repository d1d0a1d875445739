"""May this result be recognised here, and what has been decided about it? For pages and prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

import msgspec

from gateway.exchange.ask import Match, Opened, Permitted
from gateway.exchange.issued import Resource, codings, listed, parsed, words
from gateway.exchange.ledger import Visit
from gateway.exchange.person import Person
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.decisions import Choice
from gateway.recognition.eligibility import (
    DAY,
    Case,
    Judgement,
    PatientClass,
    Receiver,
    case_of,
    judge,
)
from gateway.recognition.facts import LOINC, ResultFacts, facts_of, in_one
from gateway.recognition.images import Images
from gateway.records.instant import interval, moment
from gateway.services import Services
from gateway.services.caller import Caller

DECISION = "recognition-decision"
_TOLD: tuple[PatientClass, ...] = ("OP", "IP", "EM")
_BEFORE_SURGERY = "术前"
LOCAL = "/decline-reason"  # how the system of a hospital's own reasons ends
# v3-ActCode encounter classes; all others count as outpatient.
_CLASSES: dict[str, PatientClass] = {
    **dict.fromkeys(("IMP", "ACUTE", "NONAC", "SS", "OBSENC"), "IP"),
    "EMER": "EM",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement as a page tells it. `judgement` is None for the caller's own results.

    `reason` is E01 to E14; `until` is the last county day on which it may still be recognised.
    """

    state: Literal["eligible", "not-eligible", "own"]
    reason: str = ""
    mark: str = ""
    until: date | None = None
    judgement: Judgement | None = None
    case: Case | None = None  # what it was judged from


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision about one version; `by` is a login, `at` µs UTC."""

    task: str
    target: str  # id of the result or report
    version: str
    choice: Choice
    reason: str
    words: str
    by: str
    organization: str
    at: int
    local: str = ""  # the hospital's own code beside the reason
    informed: bool = False  # the patient was told why it is repeated
    acknowledged: str = ""  # and signed this


def receiver_of(
    caller: Caller,
    own: Iterable[Resource],
    *,
    platforms: Iterable[tuple[str, str]] = (),
) -> Receiver:
    """The caller's organisation, with class and department of the newest of `own`, its open
    encounters; `platforms` as in `platforms_of`."""
    newest: Resource = max(own, key=_begin, default={})
    found = listed(newest.get("class"))
    code = str(found[0].get("code", "")) if found else ""
    why = [words(one) for name in ("type", "reasonCode") for one in listed(newest.get(name))]
    return Receiver(
        caller.organization,
        _CLASSES.get(code, "OP"),
        words(newest.get("serviceType")),
        any(_BEFORE_SURGERY in one for one in why),
        tuple(sorted(set(platforms))),
    )


def at_visit(known: Receiver, visit: Visit) -> Receiver:
    """The receiver in the visit that was told, where that says more than what is on file."""
    said: PatientClass | None = next((c for c in _TOLD if c == visit.patient_class), None)
    return msgspec.structs.replace(
        known,
        patient_class=said or known.patient_class,
        department=visit.department or known.department,
    )


def platforms_of(results: Iterable[Resource], services: Services, at: int) -> set[tuple[str, str]]:
    """(item, instrument) of the receiver's own `results`, for items that are comparable on one
    platform only."""
    return {
        (item.code, device)
        for result in results
        if (device := _display(result.get("device")))
        for item in services.catalogue.items_for(
            (code for system, code in codings(result.get("code")) if system == LOINC), at
        )
        if item.platform_only
    }


def _display(reference: object) -> str:
    return next((str(one.get("display", "")) for one in listed(reference)), "")


def visit_of(caller: Caller, own: Iterable[Resource]) -> Visit:
    """The newest of `own`, its open encounters, as a place to ask and decide at."""
    newest = max(own, key=_begin, default=None)
    if newest is None:
        return Visit()
    department = words(newest.get("serviceType"))
    return Visit(str(newest.get("id", "")), department, receiver_of(caller, [newest]).patient_class)


def _begin(encounter: Resource) -> str:
    period = listed(encounter.get("period"))
    return str(period[0].get("start", "")) if period else ""


def judged(
    result: Resource,
    opened: Opened,
    receiver: Receiver,
    person: Person,
    services: Services,
    at: int,
    *,
    report: Resource | None = None,
    specimen: Resource | None = None,
    encounter: Resource | None = None,
    study: Resource | None = None,
    images: Images,
    latest: bool = True,
) -> Judged:
    """The rules of recognition for one result and this receiver, at µs `at`; `images` is what
    `image_probes` says of its studies and counts for imaging alone; `latest` is False for
    one that a later report probably corrects. What is known of copied times is what
    `services.copied_times` read last."""
    match = opened.match
    nature, entry = match.pair
    if nature.source == receiver.organization:
        return Judged("own")
    facts = facts_of(
        result,
        version=opened.version,
        content=entry.digest.hex(),
        organization=nature.source,
        identity_tier=_identity_tier(person, match),
        zone=services.settings.zone,
        report=report,
        specimen=specimen,
        encounter=encounter,
        study=study,
        latest=latest,
        disputed=entry.disputed,
        sensitivities=nature.sensitivities,
    )
    catalogue = services.catalogue
    if any(item.kind == "imaging" for item in catalogue.items_for(facts.loinc, at)):
        facts = msgspec.structs.replace(facts, images=images)
    if services.copied_times.of(nature.source):
        facts = msgspec.structs.replace(facts, times_copied=in_one(facts))
    case = case_of(facts, receiver, at)
    found = judge(facts, receiver, catalogue, at)
    if not found.eligible:
        return Judged("not-eligible", str(found.reason or ""), judgement=found, case=case)
    mark, until = _mark(facts, found, receiver, catalogue, at), _until(found, services)
    return Judged("eligible", "", mark, until, found, case)


def _identity_tier(person: Person, match: Match) -> int:
    """1 where the chart itself carries the person's own checked number, else 2: look at the card."""
    facts = person.facts.get(match.chart)
    return 1 if facts is not None and facts.number else 2


def _mark(
    facts: ResultFacts, found: Judgement, receiver: Receiver, catalogue: Catalogue, at: int
) -> str:
    """The mark under which it counts here."""
    item = next(
        (one for one in catalogue.items_for(facts.loinc, at) if one.code == found.item), None
    )
    if item is None:
        return ""
    reach = catalogue.scopes_of(receiver.organization, at)
    for row in catalogue.entitlements(facts.organization, item):
        if row.status == "active" and row.scope in reach and row.valid.covers(at):
            return next(iter(catalogue.scopes[row.scope].marks), "")
    return ""


def _until(found: Judgement, services: Services) -> date | None:
    if found.clock is None or found.window_days is None:
        return None
    return moment(found.clock + found.window_days * DAY, services.settings.zone).date()


# Decisions on file


def decision_records(permitted: Permitted, caller: Caller) -> list[Match]:
    """The caller organisation's own decision Tasks."""
    return permitted.where(
        lambda nature: (
            (nature.type, nature.source) == ("Task", caller.organization)
            and any(code.endswith(f"|{DECISION}") for code in nature.codes)
        )
    )


def decisions(records: Iterable[Opened], services: Services) -> dict[tuple[str, str], Decided]:
    """The standing decision on each (id, version); one that was revoked does not stand."""
    found: dict[tuple[str, str], Decided] = {}
    for opened in records:
        if opened.type == "Task" and (one := decided_in(parsed(opened.text), services)):
            before = found.get((one.target, one.version))
            if before is None or before.at <= one.at:
                found[one.target, one.version] = one
    return found


def decided_in(task: Resource, services: Services) -> Decided | None:
    """The decision a Task tells of; None for one that was revoked, or that is no decision."""
    focus = listed(task.get("focus"))
    reference = str(focus[0].get("reference", "")) if focus else ""
    _, _, pinned = reference.partition("/")
    target, _, version = pinned.partition("/_history/")
    choice = next((code for _, code in codings(task.get("businessStatus"))), "")
    if task.get("status") == "cancelled" or choice not in set(Choice) or not version:
        return None
    reason = local = acknowledged = ""
    informed = False
    for part in listed(task.get("output")):
        if any(code == "patient-informed" for _, code in codings(part.get("type"))):
            informed = part.get("valueBoolean") is True
        if any(code == "patient-acknowledged" for _, code in codings(part.get("type"))):
            acknowledged = str(part.get("valueString", ""))
        if any(code == "decline-reason" for _, code in codings(part.get("type"))):
            said = list(codings(part.get("valueCodeableConcept")))
            reason = next((code for _, code in said), "")
            local = next((code for system, code in said if system.endswith(LOCAL)), "")
    at = interval(str(task.get("authoredOn", "")), services.settings.zone)
    return Decided(
        task=str(task.get("id", "")),
        target=target,
        version=version,
        choice=Choice(choice),
        reason=reason,
        words="\n".join(str(note.get("text", "")) for note in listed(task.get("note"))),
        by=_identified(task.get("owner")),
        organization=_identified(task.get("requester")),
        at=at[0] if at else 0,
        local=local,
        informed=informed,
        acknowledged=acknowledged,
    )


def _identified(reference: object) -> str:
    for one in listed(reference):
        for identifier in listed(one.get("identifier")):
            return str(identifier.get("value", ""))
    return ""


class RestedOn(NamedTuple):
    """What a decision's Task says it rested on; `rules` are versions by name."""

    issuer: str
    item: str
    rules: dict[str, str]
    side: str


def rested_on(task: Resource) -> RestedOn:
    """The inputs of a decision's Task; what it does not say is empty."""
    said: dict[str, str] = {}
    for part in listed(task.get("input")):
        for _, code in codings(part.get("type")):
            said[code] = str(part.get("valueString") or part.get("valueCode") or "")
    rules = {
        name: text for name, text in said.items() if name in {"catalogue", "register", "rules"}
    }
    return RestedOn(said.get("issuer", ""), said.get("item", ""), rules, said.get("side", ""))
