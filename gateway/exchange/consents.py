"""Records, replaces and withdraws consents; what is withdrawn is gone with the next request.

A consent is a record of the chart it names, kept for ever, and a compiled directive beside it that
every decision reads. Both change in the transaction that bumps the chart's epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as replace_
from typing import Any, Literal, NamedTuple

import msgspec

from consent import fhir as consent_fhir
from consent.model import Directive
from consent.reading import Refusal
from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Complaint, Kind, Problem
from gateway.exchange import county_chart, directives, evidence, signing
from gateway.exchange.ask import nothing, settled
from gateway.exchange.authority import RESIDENTS, may_decide
from gateway.exchange.consent_versions import Work, newest, ready, write_version
from gateway.exchange.patients import canonical, matched
from gateway.exchange.person import ALL_TIERS, manifests
from gateway.identity.systems import RESIDENT_ID
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Moved, append
from gateway.store import charts as rows
from gateway.store import inbox, notices
from gateway.store.engine import Tx
from gateway.store.evidence import EvidenceRow
from gateway.vault import ChartTier, Grant, RecordName, SealBroken, Tier
from mappings.engine import jsontext
from mappings.r4 import check

RECORDERS = frozenset({"registrar"})
SUPERSEDED_BY = "StructureDefinition/superseded-by"  # extension of Consent, under our base
ELSEWHERE = "consent-elsewhere"  # recorded by an institution that does not know the resident


class Recorded(NamedTuple):
    """A consent as it now stands. Signed on a folder whose number was corrected since, it is in
    `doubt`: "refuses" where what it refuses holds, "ended" where all it did was permit."""

    id: str
    version: str
    text: bytes
    filed: int
    active: bool
    doubt: Literal["", "refuses", "ended"] = ""


async def create(
    text: bytes, caller: Caller, services: Services, scan: EvidenceRow | None = None
) -> Recorded:
    """Record a FHIR R4 Consent; Problem UNPROCESSABLE names each element that is not accepted.

    The same text sent again is the same consent. An earlier one of the same patient, controller and
    policy that is not better proved becomes inactive in the same transaction, and says by which.
    `scan` is kept in that transaction, too (`evidence.prepare`).
    """
    _may_record(caller)
    return await settled(lambda: _create(text, caller, services, scan))


async def _create(
    text: bytes, caller: Caller, services: Services, scan: EvidenceRow | None
) -> Recorded:
    posted = _parsed(text)
    text = await _with_patient(text, caller, services)
    plain = _parsed(text)
    patient = plain.get("patient")
    named = patient.get("reference") if isinstance(patient, dict) else ""
    await _theirs(str(named).removeprefix("Patient/"), caller, services)
    id = services.ids(caller.organization)(
        "consent", "Consent", [services.vault.digest("consent", text).hex()]
    )
    if await rows.current(services.db, id) is not None:
        return await read(id, caller, services)
    return await _record(id, text, plain, None, caller, services, scan, posted)


async def _with_patient(text: bytes, caller: Caller, services: Services) -> bytes:
    """The text with a patient (or signing patient) named by identifier named by chart instead.

    Registrars know numbers, not our ids; exactly one person must carry the identifier. Each number
    looked up is a `search` event, because the answer tells whether anybody carries it. Who is named
    by resident ID number is the county's own chart, as at the desk: no hospital corrects its number.
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
        charts = await matched(system, value, caller, services)
        at = services.now()
        body = Body(request=f"consent.{at}", returned=len(charts)).asked_by(caller)
        outcome = Outcome.PERMIT if len(charts) == 1 else Outcome.DENY
        await services.log.note(Noted.SEARCH, outcome, caller, at, body, charts)
        if len(charts) != 1:
            raise Problem(Kind.UNPROCESSABLE, "This patient is not known here.", path)
        chart = charts[0]
        if path == "Consent.patient" and canonical(system, value)[0] == RESIDENT_ID:
            chart = await _own_chart(chart, value, caller, services)
        edits.append(jsontext.replaced(place, b'{"reference":"Patient/%s"}' % chart.encode()))
    return jsontext.apply(text, edits)


async def _own_chart(chart: str, number: str, caller: Caller, services: Services) -> str:
    """The county's chart of the person of `chart`; that one where the two are not surely one person's,
    so that a refusal never hangs beside the records it is about."""
    charts, facts = await county_chart.known(RESIDENT_ID, number, services)
    try:
        own = await county_chart.county_chart(charts, facts, "", caller, services)
    except Problem as problem:
        if problem.kind is not Kind.UNPROCESSABLE:
            raise
        return chart  # nobody has said their name yet
    known = (await rows.grounds(services.db, own, "")).charts
    return own if chart in rows.alongside(known, own) else chart


async def replace(
    id: str, text: bytes, if_match: str, caller: Caller, services: Services
) -> Recorded:
    """A new version of a consent, or its withdrawal (status inactive).

    `if_match` is the version tag the caller saw: PRECONDITION when another stands. The patient
    cannot change, a consent that was withdrawn stays so, and a weaker proof undoes nothing.
    """
    _may_record(caller)
    return await settled(lambda: _replace(id, text, if_match, caller, services))


async def _replace(
    id: str, text: bytes, if_match: str, caller: Caller, services: Services
) -> Recorded:
    row = await _standing(id, services)
    await _theirs(row.chart, caller, services)
    plain = _parsed(text)
    patient = plain.get("patient")
    if not isinstance(patient, dict) or patient.get("reference") != f"Patient/{row.chart}":
        raise Problem(Kind.UNPROCESSABLE, "A consent stays with its patient.", "Consent.patient")
    if not if_match:
        raise Problem(Kind.PRECONDITION, "Say with If-Match which version this replaces.")
    if if_match != services.vault.version_tag(id, row.version):
        raise Problem(Kind.PRECONDITION, "Another version stands; read it first.")
    return await _record(id, text, plain, row, caller, services)


async def withdraw(id: str, caller: Caller, services: Services) -> Recorded:
    """Make a consent inactive, whatever version stands; one withdrawn already stays as it is."""
    recorded = await read(id, caller, services)
    if not recorded.active:
        return recorded
    plain = _parsed(recorded.text)
    plain.pop("meta", None)
    return await replace(id, consent_fhir.withdrawn(plain), recorded.version, caller, services)


async def read(id: str, caller: Caller, services: Services) -> Recorded:
    """A consent for whoever records them; UNKNOWN for everybody else.

    One that ended because it may be another person's exists for no resident's account.
    """
    recorded = await _read(id, caller, services)
    if _another(recorded, caller):
        raise nothing()
    return recorded


def _another(recorded: Recorded, caller: Caller) -> bool:
    return recorded.doubt == "ended" and caller.role in RESIDENTS


async def _read(id: str, caller: Caller, services: Services) -> Recorded:
    _may_record(caller)
    row = await _standing(id, services)
    await _theirs(row.chart, caller, services)
    want = ChartTier(row.chart, Tier(row.tier))
    at = services.now()
    leaf = await services.log.note(
        Noted.READ,
        Outcome.PERMIT,
        caller,
        at,
        Body(request=f"consent.{at}", returned=1).asked_by(caller),
        (row.chart,),
    )
    keys = await services.vault.records(Grant("request", f"consent.{at}", ALL_TIERS, leaf), [want])
    if row.sealed is None:
        raise nothing()
    text = keys[want].open(row.sealed, RecordName("Consent", id, row.version))
    active = _parsed(text).get("status") == "active"
    meant = await _directive(row, services)
    tag = services.vault.version_tag(id, row.version)
    return Recorded(id, tag, text, row.filed, active, _doubt(meant))


async def on_file(chart: str, caller: Caller, services: Services) -> list[Recorded]:
    """Every consent of the person, for whoever records them; newest first.

    A resident's account is told of the charts that are surely of the person of `chart`.
    """
    _may_record(caller)
    await _theirs(chart, caller, services)
    known = await rows.grounds(services.db, chart, caller.organization)
    charts = [row.id for row in known.charts]
    if caller.role in RESIDENTS:
        charts = list(rows.alongside(known.charts, chart))
    ids = [row[0] for row in await services.db.read(rows.DIRECTIVES_OF, charts)]
    found = [await _read(id, caller, services) for id in ids]
    found = [one for one in found if not _another(one, caller)]
    return sorted(found, key=lambda one: -one.filed)


async def understood(
    text: bytes, assurance: int, services: Services, somebody: str = ""
) -> tuple[Directive, frozenset[str]]:
    """What a FHIR Consent would mean if it were recorded now with proof of that worth, and the ids of
    those whose place it would take; nothing is kept.

    `somebody` stands for a patient who has no chart yet. Problem UNPROCESSABLE names each element, as
    when it is recorded.
    """
    plain, at = _parsed(text), services.now()
    on = await signing.ground("previewed", "1", text, plain, at, services)
    context = replace_(on.context, assurance=lambda _: assurance)
    if somebody:
        context = replace_(
            context,
            patient=lambda reference: somebody if reference == f"Patient/{somebody}" else None,
            signer=lambda performer, patient, _: patient,
        )
    read_as = consent_fhir.read_consent(plain, context)
    if isinstance(read_as, Directive):
        return read_as, frozenset(old.id for old in signing.superseded(read_as, on))
    raise _not_recorded(_told(read_as))


def _told(refusals: Iterable[Refusal]) -> list[Complaint]:
    return [
        Complaint(one.text("zh") + " " + one.text("en"), one.path, "invalid") for one in refusals
    ]


def _not_recorded(complaints: Iterable[Complaint]) -> Problem:
    return Problem(
        Kind.UNPROCESSABLE, "The consent was not recorded.", complaints=tuple(complaints)
    )


def _may_record(caller: Caller) -> None:
    if caller.role not in RECORDERS | RESIDENTS:
        raise Problem(Kind.REFUSED, "Consents are recorded by a registrar.")


async def _theirs(chart: str, caller: Caller, services: Services) -> None:
    """A resident's account reaches the consents of those it decides for, and no other exists."""
    if caller.role in RESIDENTS and not await may_decide(chart, caller, services):
        raise nothing()


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
    row: rows.RecordRow | None,
    caller: Caller,
    services: Services,
    scan: EvidenceRow | None = None,
    posted: Mapping[str, Any] | None = None,
) -> Recorded:
    at = services.now()
    version = row.version + 1 if row else 1
    tag = services.vault.version_tag(id, version)
    before = await _directive(row, services) if row else None
    on = await signing.ground(id, tag, text, plain, at, services, before, posted)
    read_as = consent_fhir.read_consent(plain, on.context)
    if not isinstance(read_as, Directive):
        raise _not_recorded(_told(read_as))
    if before is not None:
        read_as = msgspec.structs.replace(read_as, doubted=before.doubted)
    wrong = _told(await signing.objections(read_as, on, before, services)) or [
        Complaint(one.text("zh") + " " + one.text("en"), one.place, "invalid")
        for one in check.text(text, "Consent")
        if one.severity == "hold"
    ]
    if wrong:
        raise _not_recorded(wrong)
    works = [
        await ready(text, read_as, version - 1, caller, services, at),
        *[await _retired(old, id, caller, services, at) for old in signing.superseded(read_as, on)],
    ]
    known = set(services.register.chain(caller.organization)) & on.organizations
    county = caller.organization in services.policy.controllers
    elsewhere = row is None and not known and not county
    stored = await services.db.do(_write, works, scan, on.epochs, elsewhere, services, at)
    return Recorded(id, tag, stored, at, read_as.active, _doubt(read_as))


def _doubt(meant: Directive) -> Literal["", "refuses", "ended"]:
    return "" if not meant.in_doubt else "refuses" if meant.refuses else "ended"


async def _directive(row: rows.RecordRow, services: Services) -> Directive:
    """What a consent meant so far: a refusal of everything when it can no longer be read."""
    [(_, id, _, _, sealed)] = await services.db.read(rows.DIRECTIVE, row.chart, row.id)
    want = ChartTier(row.chart, Tier.GENERAL)
    keys = await manifests(services, Grant("filing", f"consent.{id}", ALL_TIERS), [want])
    try:
        return consent_fhir.decode(keys[want].open(sealed, directives.sealed_name(id)))
    except (SealBroken, msgspec.MsgspecError, ValueError):
        return directives.unreadable(row.chart, id, services)


async def _retired(old: Directive, by: str, caller: Caller, services: Services, at: int) -> Work:
    """The last version of a consent whose place another takes: inactive, and saying by which."""
    row, standing = await newest(old.id, services)
    plain = _parsed(standing)
    plain.pop("meta", None)
    url = f"{services.settings.canonical}/{SUPERSEDED_BY}"
    said = {"url": url, "valueReference": {"reference": f"Consent/{by}"}}
    plain["extension"] = [*(plain.get("extension") or ()), said]
    directive = msgspec.structs.replace(
        old, active=False, version=services.vault.version_tag(old.id, row.version + 1)
    )
    text = consent_fhir.withdrawn(plain)
    more = {"superseded-by": f"Consent/{by}"}
    return await ready(text, directive, row.version, caller, services, at, **more)


def _write(
    tx: Tx,
    works: Sequence[Work],
    scan: EvidenceRow | None,
    epochs: Mapping[str, int],
    elsewhere: bool,
    services: Services,
    at: int,
) -> bytes:
    """Records, directives, the epoch of every chart of the person, and events in one transaction."""
    stored: dict[str, bytes] = {}
    for chart in sorted(epochs):
        own = [work for work in works if work.chart == chart]
        high, epoch, _, _ = rows.take(tx, chart, len(own), 1)
        if epoch != epochs[chart] + 1:
            raise Moved  # what this was read against has changed
        for seq, work in enumerate(own, high - len(own) + 1):
            stored[work.id] = write_version(tx, work, seq, services, at)
    append(tx, services.log.filing_writer, [work.draft for work in works], services.now)
    if scan is not None:
        evidence.write(tx, scan)
    new = works[0]
    if elsewhere:
        about = services.log.tag(new.chart)
        tx.run(inbox.ADD_ALARM, ELSEWHERE, new.source, about, services.now())
        notices.add(tx, new.chart, ELSEWHERE, new.id, at)
    return stored[new.id]
