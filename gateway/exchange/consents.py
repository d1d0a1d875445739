"""Records, replaces and withdraws consents; what is withdrawn is gone with the next request.

A consent is a record of the chart it names, kept for ever, and a compiled directive beside it that
every decision reads. Both change in the transaction that bumps the chart's epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_
from typing import Any, NamedTuple

import msgspec

from consent import fhir as consent_fhir
from consent.model import Directive
from consent.reading import Refusal
from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Complaint, Kind, Problem
from gateway.exchange.ask import nothing
from gateway.exchange.filing import add_segment
from gateway.exchange.patients import charts_of
from gateway.exchange.person import ALL_TIERS, head_name, manifests
from gateway.records import facts as facts_
from gateway.records import merge
from gateway.records.entry import Entry, Nature, pack_head, unpack_head
from gateway.records.instant import instant_text, moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import accounts
from gateway.store import charts as rows
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, RecordName, Tier
from mappings.engine import jsontext

_REFERENCE = re.compile(rb'"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})"')
RECORDERS = frozenset({"registrar"})


class Recorded(NamedTuple):
    """A consent as it now stands."""

    id: str
    version: str
    text: bytes
    filed: int
    active: bool


@dataclass(frozen=True, slots=True)
class _Work:
    """One version of one consent, ready to be written."""

    chart: str
    id: str
    directive: Directive
    head: bytes
    tail: bytes
    expected: int  # the version it replaces, 0 for a new one
    recorded_by: str
    source: str
    keys: Any
    bodies: Any
    draft: Draft


async def create(text: bytes, caller: Caller, services: Services) -> Recorded:
    """Record a FHIR Consent (strict, security 1.2); Problem UNPROCESSABLE names each element.

    The same text sent again is the same consent.
    """
    _may_record(caller)
    text = await _with_patient(text, caller, services)
    plain = _parsed(text)
    id = services.ids(caller.organization)(
        "consent", "Consent", [services.vault.digest("consent", text).hex()]
    )
    standing = await rows.current(services.db, id)
    if standing is not None:
        return await read(id, caller, services)
    return await _record(id, text, plain, 0, caller, services)


async def _with_patient(text: bytes, caller: Caller, services: Services) -> bytes:
    """The text with a patient (or signing patient) named by identifier named by chart instead.

    Registrars know numbers, not our ids; exactly one person must carry the identifier. Each number
    looked up is a `search` event, because the answer tells whether anybody carries it.
    """
    _parsed(text)
    root = jsontext.parse(text)
    edits = []
    for place, path in (
        (root.get("patient"), "Consent.patient"),
        (root.get("performer", 0), "Consent.performer[0]"),
    ):
        if place is None or place.get("reference") is not None:
            continue
        system, value = place.string("identifier", "system"), place.string("identifier", "value")
        if system is None or value is None:
            continue
        charts = await charts_of(system, value, services)
        at = services.now()
        body = Body(
            request=f"consent.{at}", human=caller.name, role=caller.role, returned=len(charts)
        )
        outcome = Outcome.PERMIT if len(charts) == 1 else Outcome.DENY
        await services.log.note(Noted.SEARCH, outcome, caller, at, body, charts)
        if len(charts) != 1:
            raise Problem(Kind.UNPROCESSABLE, "This patient is not known here.", path)
        edits.append(jsontext.replaced(place, b'{"reference":"Patient/%s"}' % charts[0].encode()))
    return jsontext.apply(text, edits)


async def replace(
    id: str, text: bytes, if_match: str, caller: Caller, services: Services
) -> Recorded:
    """A new version of a consent, or its withdrawal (status inactive).

    `if_match` is the version tag the caller saw: PRECONDITION when another stands. The patient
    cannot change.
    """
    _may_record(caller)
    row = await _standing(id, services)
    plain = _parsed(text)
    patient = plain.get("patient")
    if not isinstance(patient, dict) or patient.get("reference") != f"Patient/{row.chart}":
        raise Problem(Kind.UNPROCESSABLE, "A consent stays with its patient.", "Consent.patient")
    if not if_match:
        raise Problem(Kind.PRECONDITION, "Say with If-Match which version this replaces.")
    if if_match != services.vault.version_tag(id, row.version):
        raise Problem(Kind.PRECONDITION, "Another version stands; read it first.")
    return await _record(id, text, plain, row.version, caller, services)


async def withdraw(id: str, caller: Caller, services: Services) -> Recorded:
    """Make a consent inactive, whatever version stands."""
    _may_record(caller)
    recorded = await read(id, caller, services)
    row = await _standing(id, services)
    plain = _parsed(recorded.text)
    plain.pop("meta", None)
    text = consent_fhir.withdrawn(plain)
    return await _record(id, text, plain | {"status": "inactive"}, row.version, caller, services)


async def read(id: str, caller: Caller, services: Services) -> Recorded:
    """A consent for whoever records them; UNKNOWN for everybody else."""
    _may_record(caller)
    row = await _standing(id, services)
    want = ChartTier(row.chart, Tier(row.tier))
    at = services.now()
    leaf = await services.log.note(
        Noted.READ,
        Outcome.PERMIT,
        caller,
        at,
        Body(request=f"consent.{at}", human=caller.name, role=caller.role, returned=1),
        (row.chart,),
    )
    keys = await services.vault.records(Grant("request", f"consent.{at}", ALL_TIERS, leaf), [want])
    if row.sealed is None:
        raise nothing()
    text = keys[want].open(row.sealed, RecordName("Consent", id, row.version))
    active = _parsed(text).get("status") == "active"
    return Recorded(id, services.vault.version_tag(id, row.version), text, row.filed, active)


async def on_file(chart: str, caller: Caller, services: Services) -> list[Recorded]:
    """Every consent of the person, for whoever records them; newest first."""
    _may_record(caller)
    known = await rows.grounds(services.db, chart, caller.organization)
    charts = [row.id for row in known.charts]
    ids = [row[0] for row in await services.db.read(rows.DIRECTIVES_OF, charts)]
    found = [await read(id, caller, services) for id in ids]
    return sorted(found, key=lambda one: -one.filed)


async def understood(
    text: bytes, assurance: int, services: Services, somebody: str = ""
) -> Directive:
    """What a FHIR Consent would mean if it were recorded now with proof of that worth; nothing is kept.

    `somebody` stands for a patient who has no chart yet. Problem UNPROCESSABLE names each element, as
    when it is recorded.
    """
    plain, at = _parsed(text), services.now()
    context, _ = await _context("previewed", "1", text, plain, at, services)
    context = replace_(context, assurance=lambda _: assurance)
    if somebody:
        context = replace_(
            context,
            patient=lambda reference: somebody if reference == f"Patient/{somebody}" else None,
            signer=lambda performer, patient, _: patient,
        )
    read_as = consent_fhir.read_consent(plain, context)
    if isinstance(read_as, Directive):
        return read_as
    raise _not_recorded(read_as)


def _not_recorded(refusals: Iterable[Refusal]) -> Problem:
    return Problem(
        Kind.UNPROCESSABLE,
        "The consent was not recorded.",
        complaints=tuple(
            Complaint(one.text("zh") + " " + one.text("en"), one.path, "invalid")
            for one in refusals
        ),
    )


def _may_record(caller: Caller) -> None:
    if caller.role not in RECORDERS:
        raise Problem(Kind.REFUSED, "Consents are recorded by a registrar.")


async def _standing(id: str, services: Services) -> rows.RecordRow:
    row = await rows.current(services.db, id)
    if row is None or not await services.db.read(rows.DIRECTIVE, row.chart, id):
        raise nothing()
    return row


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        plain = jsontext.parse(text).plain()
    except jsontext.JsonFault as fault:
        raise Problem(Kind.MALFORMED, fault.text("en"), f"line {fault.line}") from None
    if not isinstance(plain, dict):
        raise Problem(Kind.MALFORMED, "A resource is a JSON object.")
    return plain


async def _record(
    id: str,
    text: bytes,
    plain: Mapping[str, Any],
    expected: int,
    caller: Caller,
    services: Services,
) -> Recorded:
    at = services.now()
    version = expected + 1
    tag = services.vault.version_tag(id, version)
    context, chart = await _context(id, tag, text, plain, at, services)
    read_as = consent_fhir.read_consent(plain, context)
    if not isinstance(read_as, Directive):
        raise _not_recorded(read_as)
    want = ChartTier(chart, Tier.GENERAL)
    await services.vault.ensure([want], [(chart, moment(at).year)])
    grant = Grant("filing", f"consent.{at}", ALL_TIERS)
    body = Body(
        request=f"consent.{at}",
        human=caller.name,
        role=caller.role,
        details={
            "consent": f"{id}/{version}",
            "evidence": read_as.evidence,
            "assurance": str(read_as.assurance),
            "status": "active" if read_as.active else "inactive",
        },
    )
    kind = Noted.CONSENT_CREATE if read_as.active else Noted.CONSENT_WITHDRAW
    head, tail = merge.renamed(text, id)
    work = _Work(
        chart=chart,
        id=id,
        directive=read_as,
        head=head,
        tail=tail,
        expected=expected,
        recorded_by=caller.user or caller.client,
        source=caller.organization,
        keys=(await manifests(services, grant, [want]))[want],
        bodies=(await services.vault.records(grant, [want]))[want],
        draft=await services.log.draft(kind, Outcome.PERMIT, caller, at, body, (chart,)),
    )
    stored = await services.db.do(_write, work, services, at)
    return Recorded(id, tag, stored, at, read_as.active)


def _write(tx: Tx, work: _Work, services: Services, at: int) -> bytes:
    """Record, directive, epoch and event in one transaction."""
    chart, id = work.chart, work.id
    seq, _, _, _ = rows.take(tx, chart, 1, 1)
    before = rows.standing(tx, [id]).get(id)
    if (before.version if before else 0) != work.expected:
        raise Problem(Kind.PRECONDITION, "Another version stands; read it first.")
    version = work.expected + 1
    nature = Nature(
        type="Consent",
        source=work.source,
        status="active" if work.directive.active else "inactive",
        labels="none",
    )
    if before is not None:
        tx.run(rows.RETIRE, rows.bucket_of(chart), chart, before.seq)
        nature = msgspec.structs.replace(
            unpack_head(work.keys.open(before.head, head_name(id, before.version))).nature,
            status=nature.status,
        )
    text = merge.with_meta(
        work.head,
        work.tail,
        b"",
        services.vault.version_tag(id, version),
        instant_text(at, services.settings.zone),
    )
    entry = Entry(
        id=bytes.fromhex(id),
        version=version,
        seq=seq,
        nature=0,
        start=work.directive.at,
        end=work.directive.at,
        filed=at,
        clock=at,
        digest=services.vault.digest("content", work.head + work.tail)[:16],
        length=len(text),
    )
    tx.run(
        rows.ADD_RECORD,
        rows.bucket_of(chart), chart, seq, id, version, 1, int(Tier.GENERAL),
        work.keys.seal(pack_head(nature, entry), head_name(id, version)),
        work.bodies.seal(text, RecordName("Consent", id, version)),
        "", at, 0,
    )  # fmt: skip
    add_segment(tx, work.keys, chart, Tier.GENERAL, [(nature, entry)])
    tx.run(
        rows.PUT_DIRECTIVE,
        chart, id, version, int(work.directive.active),
        work.keys.seal(consent_fhir.encode(work.directive), f"directive/{id}".encode()),
        services.vault.digest("evidence", work.directive.evidence.encode()),
        work.recorded_by, at,
    )  # fmt: skip
    append(tx, services.log.filing_writer, [work.draft], services.now)
    return text


async def _context(
    id: str, version: str, text: bytes, plain: Mapping[str, Any], at: int, services: Services
) -> tuple[consent_fhir.Context, str]:
    """What the strict reader must be told, looked up before it runs; and the chart named."""
    named = {match.decode() for match in _REFERENCE.findall(text)}
    patient = plain.get("patient")
    reference = str(patient.get("reference", "")) if isinstance(patient, Mapping) else ""
    chart = reference.removeprefix("Patient/")
    known = await rows.grounds(services.db, chart, "") if chart else rows.Grounds((), (), ())
    charts = {row.id for row in known.charts}
    logins = {name.partition("/")[2] for name in named if name.startswith("Practitioner/")}
    people = {
        login for login in logins if await services.db.session(accounts.find, login) is not None
    }
    records = {}
    for name in named:
        kind, _, bare = name.partition("/")
        if kind not in {"Patient", "Practitioner", "Organization", "Group"} and len(bare) == 32:
            row = await rows.current(services.db, bare)
            if row is not None and row.chart in charts:
                records[name] = bare
    organizations = {one.id for one in services.register}
    births = await _births(known, services)

    def signer(performer: str, patient_id: str, signed: int) -> str | None:
        who = performer.removeprefix("Patient/")
        if who not in charts or not births:
            return None
        youngest = max(births)
        age_then = services.policy.day(signed)
        coming = services.policy.guardian_limited_age
        try:
            of_age = youngest.replace(year=youngest.year + coming)
        except ValueError:  # 29 February
            of_age = youngest.replace(year=youngest.year + coming, day=28)
        return patient_id if age_then >= of_age else None

    context = consent_fhir.Context(
        id=id,
        version=version,
        now=at,
        policy=services.policy,
        base_url=services.settings.canonical,
        policies=consent_fhir.policy_uris(services.policy, services.settings.canonical),
        patient=lambda ref: chart if ref == f"Patient/{chart}" and chart in charts else None,
        organization=lambda ref: _known(ref, "Organization", organizations),
        person=lambda ref: _known(ref, "Practitioner", people),
        group=lambda ref: None,
        record=records.get,
        signer=signer,
        assurance=lambda evidence: 1,  # what staff recorded; better proof has no verifier here yet
    )
    return context, chart


def _known(reference: str, kind: str, ids: set[str]) -> str | None:
    found, _, bare = reference.partition("/")
    return bare if found == kind and bare in ids else None


async def _births(known: rows.Grounds, services: Services) -> list[Any]:
    """The latest possible birth day each chart tells."""
    wants = [ChartTier(row.id, Tier.GENERAL) for row in known.charts if row.facts]
    keys = await manifests(services, Grant("filing", "consent", ALL_TIERS), wants)
    days = []
    for row in known.charts:
        key = keys.get(ChartTier(row.id, Tier.GENERAL))
        if key is not None and row.facts:
            told = facts_.days(facts_.unpack(key.open(row.facts, f"facts/{row.id}".encode())).birth)
            if told:
                days.append(told[1])
    return days
