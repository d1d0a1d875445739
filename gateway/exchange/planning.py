"""Plans what a message wants written: ids, labels, tiers, keys; nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from gateway.exchange import correcting, labelling
from gateway.exchange.aside import aside
from gateway.exchange.doubting import Doubt
from gateway.exchange.issued import listed
from gateway.exchange.joining import Join, joins_of, keys_of
from gateway.exchange.person import ALL_TIERS, manifests
from gateway.identity.matching import Ground
from gateway.identity.names import spelled
from gateway.identity.systems import INSURANCE_CARD, NAME_AND_BIRTH, RESIDENT_ID, canonical_system
from gateway.records import extract
from gateway.records import facts as facts_
from gateway.records.entry import Links, Nature
from gateway.records.instant import moment
from gateway.records.redact import is_redacted
from gateway.services import Services
from gateway.services.log import Draft
from gateway.store import charts as rows
from gateway.vault import ChartTier, Grant, ManifestKey, RecordKey, Tier
from mappings.engine import Issue, Mapped, Message

REGISTERS = frozenset({"Organization", "Practitioner", "PractitionerRole", "Location"})


@dataclass(frozen=True, slots=True)
class Planned:
    """One resource ready to be written, but for its version."""

    mapped: Mapped
    said: extract.Said
    nature: Nature
    tier: Tier
    digest: bytes
    visit: bool = False  # it hangs on a visit that is a health check


@dataclass(slots=True)
class Plan:
    """One message's work on one chart."""

    chart: str
    organization: str
    inbox: str
    at: int
    resources: tuple[Planned, ...]
    facts: facts_.Facts | None
    facts_mode: str
    identifiers: tuple[tuple[bytes, bool], ...]  # (blind index, evidence of being one person)
    shelves: dict[ChartTier, ManifestKey]
    bodies: dict[ChartTier, RecordKey]
    neighbours: frozenset[str]
    issues: list[Issue] = field(default_factory=list)
    lacking: set[ChartTier] = field(default_factory=set)  # keys that writing turned out to need
    joins: tuple[Join, ...] = ()  # what is said of this chart and others of the hospital
    release: int = 0  # number of the map release that made it; 0 when no map did
    snapshot: bool = False  # the source's reports are whole: an item that is gone was taken out
    again: bool = False  # a message filed before, read again under another release
    telling: frozenset[str] = frozenset()  # Provenance of it, written when something else is
    fresh: set[str] = field(default_factory=set)  # ids this filing wrote, shared by its plans
    written: list[str] = field(default_factory=list)  # types of the versions that writing made
    called: bytes = b""  # the index of the Patient's name with the birth date
    seconds: Mapping[bytes, Ground] = field(default_factory=dict)  # the telephone's and cards'
    compares: set[str] = field(default_factory=set)  # charts that writing found to compare with
    corrects: bool = False  # writing found the folder's number to be another than before
    partings: Mapping[str, Draft] = field(default_factory=dict)  # what is logged then, by chart
    doubt: Doubt | None = None  # and what its old number leaves in doubt
    named: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # registers it tells of


async def plan(
    message: Message, organization: str, inbox_id: str, services: Services
) -> tuple[Plan | None, list[Issue]]:
    """What a message wants written, or why nothing can be."""
    ids = services.ids(organization)
    issues = []
    resources = []
    named: dict[str, Mapping[str, object]] = {}
    for mapped in message.resources:
        if mapped.type in REGISTERS:
            named[f"{mapped.type}/{mapped.id}"] = orjson.loads(mapped.text())
            issues.append(Issue("note", "register-only", mapped.place))
        elif mapped.kept_meta and is_redacted(mapped.kept_meta):
            issues.append(Issue("hold", "incomplete-copy", mapped.place))
        else:
            resources.append(mapped)
    if message.patient is None:
        told = issues or any(issue.severity == "hold" for issue in message.issues)
        if resources or not told:
            issues.append(Issue("stop", "no-patient", ""))
        return None, issues
    chart = ids(message.patient.space, "Patient", (message.patient.number,))
    size = sum(len(one.head) + len(one.tail) for one in resources)
    planned = await aside(size, _prepared, resources, organization, services)
    tiers = sorted({Tier.GENERAL, *(one.tier for one in planned)})
    wants = [ChartTier(chart, tier) for tier in tiers]
    at = services.now()
    await services.vault.ensure(wants, [(chart, moment(at).year)])
    patient = next((one for one in planned if one.mapped.type == "Patient"), None)
    linking = {(i.system, i.value) for i in message.identifiers}
    facts, mode, identifiers = None, "", _indexed(None, linking, services)
    called, seconds = b"", dict[bytes, Ground]()
    if patient is not None:
        resource = orjson.loads(patient.mapped.text())
        number = next((v for s, v in sorted(linking) if s == RESIDENT_ID), "")
        facts = msgspec.structs.replace(facts_.of_patient(resource), number=number)
        mode = patient.mapped.mode
        identifiers = _indexed(resource, linking, services)
        called = services.vault.blind(NAME_AND_BIRTH, spelled(facts.name, facts.birth))
        seconds = _seconds(resource, services)
        identifiers = (
            *identifiers,
            *((one, False) for one in seconds if one not in dict(identifiers)),
        )
    grant = Grant("filing", inbox_id, ALL_TIERS)
    joins = await joins_of(message, chart, organization, inbox_id, services)
    shelves = await services.vault.manifests(grant, wants)
    shelves |= await keys_of(joins, grant, services)
    planned_chart = Plan(
        chart=chart,
        organization=organization,
        inbox=inbox_id,
        at=at,
        resources=planned,
        facts=facts,
        facts_mode=mode,
        identifiers=identifiers,
        shelves=shelves,
        bodies=await services.vault.records(grant, wants),
        neighbours=frozenset(),
        joins=joins,
        named=named,
        called=called,
        seconds=seconds,
    )
    await meet_neighbours(planned_chart, services)
    return planned_chart, issues


def _prepared(
    resources: Sequence[Mapped], organization: str, services: Services
) -> tuple[Planned, ...]:
    first = [prepare(one, organization, services) for one in resources]
    checks = {bytes.fromhex(one.mapped.id) for one in first if one.nature.health_check}
    planned = [
        prepare(one.mapped, organization, services, visit=True)
        if checks and any(name == "encounter" and to in checks for name, to in one.said.links)
        else one
        for one in first
    ]
    return inherited(planned, services)


def prepare(
    mapped: Mapped, organization: str, services: Services, *, visit: bool = False
) -> Planned:
    """A mapped resource with its manifest nature: codes, labels, tier; `visit`: of a health check."""
    text = mapped.text()
    resource = orjson.loads(text)
    said = extract.said(resource, services.settings.zone)
    kept = mapped.kept_meta
    given = orjson.loads(b"{" + kept + b"}").get("security", []) if kept else []
    nature = labelling.read(
        resource,
        said,
        organization,
        services,
        visit=visit,
        given=[(g.get("system", ""), g.get("code", "")) for g in given],
    )
    return Planned(
        mapped,
        said,
        nature,
        labelling.shelf_of(nature),
        services.vault.digest("content", text)[:16],
        visit,
    )


def inherited(
    planned: Sequence[Planned],
    services: Services,
    standing: Mapping[bytes, tuple[Nature, Links]] | None = None,
) -> tuple[Planned, ...]:
    """The resources of one message, labels raised by what they hang on in it and in `standing`.

    Records of `standing` count as they stand there, beside what the message says of them.
    """
    known: dict[bytes, tuple[Nature, Links]] = dict(standing or {})
    for one in planned:
        id = bytes.fromhex(one.mapped.id)
        stood = known.get(id)
        nature = one.nature if stood is None else labelling.risen(one.nature, stood[0], services)
        known[id] = nature, (*one.said.links, *(stood[1] if stood else ()))
    rises = labelling.closed(known, services)
    # A document's content is what its document is: a consent on the one is a consent on the other.
    contents = {
        to: one.nature.codes
        for one in planned
        for name, to in one.said.links
        if name == "attachment"
    }
    found = []
    for one in planned:
        id = bytes.fromhex(one.mapped.id)
        nature = rises.get(id, one.nature)
        if id in contents and one.said.type == "Binary":
            codes = tuple(dict.fromkeys((*nature.codes, *contents[id])))
            nature = msgspec.structs.replace(nature, codes=codes)
        found.append(
            one
            if nature == one.nature
            else replace(one, nature=nature, tier=labelling.shelf_of(nature))
        )
    return tuple(found)


def _indexed(
    patient: dict[str, object] | None, linking: set[tuple[str, str]], services: Services
) -> tuple[tuple[bytes, bool], ...]:
    """Blind indexes of a Patient's identifiers; those in `linking` tell that two are one."""
    pairs = set(linking)
    given = patient.get("identifier") if patient else None
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict) and one.get("value") and one.get("system"):
            system = canonical_system(str(one["system"]))
            value = str(one["value"])
            if system != RESIDENT_ID:
                pairs.add((system, value))
    if patient:
        called = spelled(facts_.of_patient(patient).name, str(patient.get("birthDate", "")))
        if called:
            pairs.add((NAME_AND_BIRTH, called))
    return tuple(
        (services.vault.blind(system, value), (system, value) in linking)
        for system, value in sorted(pairs)
    )


def _seconds(patient: Mapping[str, object], services: Services) -> dict[bytes, Ground]:
    """Indexes of a Patient's telephones and insurance cards: second signs of being one person.

    A telephone's is of a space of its own, in which nobody can be looked up.
    """
    found = {}
    for one in listed(patient.get("telecom")):
        if one.get("system") == "phone" and one.get("value"):
            digest = services.vault.digest("second/phone", str(one["value"]).encode())
            found[digest] = Ground.SAME_PHONE
    for one in listed(patient.get("identifier")):
        if canonical_system(str(one.get("system", ""))) == INSURANCE_CARD and one.get("value"):
            digest = services.vault.blind(INSURANCE_CARD, str(one["value"]))
            found[digest] = Ground.SAME_INSURANCE
    return found


async def meet_neighbours(plan: Plan, services: Services) -> None:
    """Prepare what writing compares with: charts of the same identifiers, keys it turned out to need."""
    grant = Grant("filing", plan.inbox or "none", ALL_TIERS)
    if plan.lacking:
        wants = sorted(plan.lacking)
        await services.vault.ensure(wants)
        plan.shelves |= await services.vault.manifests(grant, wants)
        plan.bodies |= await services.vault.records(grant, wants)
        plan.lacking.clear()
    if plan.corrects:
        plan.partings, keys, plan.doubt = await correcting.prepared(
            plan.chart, plan.organization, plan.inbox, grant, services
        )
        plan.shelves |= keys
    known = {
        row[0]
        for digest, linked in plan.identifiers
        if linked
        for row in await services.db.read(rows.FIND, digest)
        if row[1]
    } | plan.compares - {plan.chart}
    wants = [ChartTier(one, Tier.GENERAL) for one in sorted(known - plan.neighbours)]
    plan.shelves |= await manifests(services, grant, wants)
    plan.neighbours = frozenset(known)
