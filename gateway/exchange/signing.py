"""Who signed a Consent, for whom, and what proves it: looked up before the strict reader runs.

The reader itself is pure; it is told here which references mean whom, who had authority when the
Consent is dated, and what the evidence is worth.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from consent import fhir as consent_fhir
from consent.ages import surely
from consent.model import Delegation, Directive, PatientContext
from consent.policy import PolicySet
from consent.reading import Refusal
from gateway.exchange import acting, directives, evidence, signatures
from gateway.exchange.authority import decides
from gateway.exchange.person import ALL_TIERS, manifests, segment_name
from gateway.records import facts as facts_
from gateway.records.entry import unpack_segment
from gateway.services import Services
from gateway.store import accounts, own
from gateway.store import charts as rows
from gateway.store import evidence as evidence_rows
from gateway.vault import ChartTier, Grant, ManifestKey, Tier
from mappings.r4 import definitions

_REFERENCE = re.compile(rb'"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})"')
_NAMED = frozenset({"Patient", "Practitioner", "Organization", "Group", "RelatedPerson"})


@dataclass(frozen=True, slots=True)
class Proof:
    """What the source of a Consent is worth. `signer` is the chart of who typed a code, `serial`
    what the certificate of a signature calls who signed."""

    assurance: int
    single_use: bool = False
    signer: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Representative:
    """Somebody with a recorded right to act; `charts` and `numbers` are their own."""

    id: str
    login: str
    charts: frozenset[str]
    numbers: frozenset[str]
    right: Delegation


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known before a Consent is read: the person's charts, their standing directives."""

    chart: str
    epochs: Mapping[str, int]
    organizations: frozenset[str]
    directives: tuple[Directive, ...]
    acts: tuple[Representative, ...]
    numbers: frozenset[str]
    proof: Proof | None
    context: consent_fhir.Context


async def ground(
    id: str,
    version: str,
    text: bytes,
    plain: Mapping[str, Any],
    at: int,
    services: Services,
    standing: Directive | None = None,
    posted: Mapping[str, Any] | None = None,
) -> Ground:
    """Everything the reading of a Consent stands on; `standing` is the version it would replace,
    `posted` the Consent as it was sent and so signed, where we put our own ids into it."""
    patient = plain.get("patient")
    reference = patient.get("reference") if isinstance(patient, Mapping) else None
    chart = reference.removeprefix("Patient/") if isinstance(reference, str) else ""
    known = await rows.grounds(services.db, chart, "") if chart else rows.Grounds((), (), ())
    policy = await services.policies.of(known.policy) if chart else services.policy
    charts = frozenset(row.id for row in known.charts)
    keys = await _keys(known.charts, services)
    facts = _facts(known.charts, keys)
    births = [told for one in facts if (told := facts_.days(one.birth))]
    found, _ = directives.opened(
        [row for row in known.charts if row.id in keys], known.directives, keys, services
    )
    person = PatientContext(
        charts=charts,
        birth=(min(b[0] for b in births), max(b[1] for b in births)) if births else None,
    )
    acts = await _representatives(charts, services)
    proof = await _proof((plain, posted or plain), charts, standing, at, services)
    context = consent_fhir.Context(
        id=id,
        version=version,
        now=at,
        policy=policy,
        base_url=services.settings.canonical,
        policies=consent_fhir.policy_uris(policy, services.settings.canonical)
        | services.register.policies,
        patient=lambda ref: chart if ref == f"Patient/{chart}" and chart in charts else None,
        organization=_among("Organization", {one.id for one in services.register}),
        person=_among("Practitioner", await _people(text, services)),
        group=_among("Group", set(services.register.groups)),
        record=(await _records(text, charts, services)).get,
        signer=lambda ref, who, signed: _signer(ref, who, signed, person, acts, policy),
        assurance=lambda _: proof.assurance if proof else None,
        types=definitions.resources(),
        author=_among("Practitioner", await _authors(text, known.charts, services)),
    )
    return Ground(
        chart=chart,
        epochs={row.id: row.epoch for row in known.charts},
        organizations=frozenset(row.organization for row in known.charts),
        directives=found,
        acts=acts,
        numbers=frozenset(one.number for one in facts),
        proof=proof,
        context=context,
    )


async def _keys(charts: Sequence[rows.ChartRow], services: Services) -> dict[str, ManifestKey]:
    wants = [ChartTier(row.id, Tier.GENERAL) for row in charts]
    found = await manifests(services, Grant("filing", "consent", ALL_TIERS), wants)
    return {want.chart: key for want, key in found.items()}


def _facts(charts: Sequence[rows.ChartRow], keys: Mapping[str, ManifestKey]) -> list[facts_.Facts]:
    return [
        facts_.unpack(keys[row.id].open(row.facts, f"facts/{row.id}".encode()))
        for row in charts
        if row.facts and row.id in keys
    ]


def _among(kind: str, ids: Collection[str]) -> Any:
    """Resolves "kind/id" to the id when it is one of these."""

    def resolve(reference: str) -> str | None:
        found, _, bare = reference.partition("/")
        return bare if found == kind and bare in ids else None

    return resolve


async def _people(text: bytes, services: Services) -> set[str]:
    named = {match.decode() for match in _REFERENCE.findall(text)}
    logins = {name.partition("/")[2] for name in named if name.startswith("Practitioner/")}
    return {
        login for login in logins if await services.db.session(accounts.find, login) is not None
    }


async def _records(text: bytes, charts: frozenset[str], services: Services) -> dict[str, str]:
    """The records of the patient that the text refers to, by reference."""
    found = {}
    for name in {match.decode() for match in _REFERENCE.findall(text)}:
        kind, _, bare = name.partition("/")
        if kind not in _NAMED and len(bare) == 32:
            row = await rows.current(services.db, bare)
            if row is not None and row.chart in charts:
                found[name] = bare
    return found


async def _authors(
    text: bytes, charts: Sequence[rows.ChartRow], services: Services
) -> frozenset[str]:
    """Who wrote the patient's records, when a Consent speaks of authors: as the records name them."""
    found: set[str] = set()
    for row in charts if b"authoredby" in text else ():
        segments = await rows.segments(services.db, row.id, rows.ALL)
        wants = [ChartTier(row.id, Tier(tier)) for tier in {one[1] for one in segments}]
        keys = await manifests(services, Grant("filing", "consent", ALL_TIERS), wants)
        for _, tier, number, sealed in segments:
            key = keys.get(ChartTier(row.id, Tier(tier)))
            if key is not None:
                opened = unpack_segment(key.open(sealed, segment_name(row.id, tier, number)))
                found.update(who for nature in opened.natures for who in nature.authors)
    return frozenset(who.rpartition("/")[2] for who in found)


async def _representatives(
    charts: frozenset[str], services: Services
) -> tuple[Representative, ...]:
    """Everybody with a recorded right to act for the patient, and the charts that are their own."""
    found = []
    for row in await services.db.read(own.MANDATES_ON, list(charts)):
        mandate = own.MandateRow(*row)
        right = acting.delegation(mandate, services)
        account = await acting.own_account(mandate.login, services)
        if right is not None and account is not None:
            theirs = await rows.grounds(services.db, account.chart, "")
            ids = frozenset(one.id for one in theirs.charts)
            keys = await _keys(theirs.charts, services)
            numbers = frozenset(one.number for one in _facts(theirs.charts, keys))
            found.append(Representative(mandate.id, mandate.login, ids, numbers, right))
    return tuple(found)


def _signer(
    reference: str,
    patient: str,
    signed: int,
    person: PatientContext,
    acts: Sequence[Representative],
    policy: PolicySet,
) -> str | None:
    """Who signed: the patient's chart when surely old enough then, else the login of who had the
    right to decide at that instant ("Patient/" their own chart, or "RelatedPerson/" the right)."""
    kind, _, bare = reference.partition("/")
    if kind == "Patient" and bare in person.charts:
        return patient if surely(person, policy.guardian_limited_age, signed, policy) else None
    held = [
        one
        for one in acts
        if (kind == "Patient" and bare in one.charts)
        or (kind == "RelatedPerson" and bare == one.id)
    ]
    if any(one.right.suspended for one in acts if one.login in {other.login for other in held}):
        return None  # whoever was stopped decides nothing by another paper either
    return next((one.login for one in held if decides(one.right, person, signed, policy)), None)


# What it is worth


async def _proof(
    texts: tuple[Mapping[str, Any], Mapping[str, Any]],
    charts: frozenset[str],
    standing: Directive | None,
    at: int,
    services: Services,
) -> Proof | None:
    """What the Consent's source is worth; None where it proves nothing here.

    Taking a consent back claims nothing new, so the source it already had still stands.
    """
    plain, _ = texts
    attachment = plain.get("sourceAttachment")
    if isinstance(attachment, Mapping) and attachment.get("contentType") == signatures.MEDIA_TYPE:
        return _signature(attachment.get("data"), texts, standing, at, services)
    source = plain.get("sourceReference")
    named = source.get("reference") if isinstance(source, Mapping) else None
    if not isinstance(named, str):
        return Proof(1)  # a scan, or its hash: what staff saw
    if (
        standing is not None
        and plain.get("status") == "inactive"
        and standing.evidence == f"reference:{named}"
    ):
        return Proof(standing.assurance)
    kind, _, bare = named.partition("/")
    if kind != evidence.TYPE:
        return None
    row = await evidence.find(bare, services)
    if row is None:
        record = await rows.current(services.db, bare)
        return Proof(1) if record is not None and record.chart in charts else None
    if row.kind == "scan":
        return Proof(row.assurance) if row.chart in charts else None
    if row.kind != "code":
        return None
    said = await evidence.transcript(row, services)
    signed = sha256(evidence.statement(plain)).hexdigest()
    if not hmac.compare_digest(said.statement, signed):
        return None  # something else was signed
    return Proof(row.assurance, single_use=True, signer=said.signer)


def _signature(
    data: object,
    texts: tuple[Mapping[str, Any], Mapping[str, Any]],
    standing: Directive | None,
    at: int,
    services: Services,
) -> Proof | None:
    """A qualified signature over the Consent, as we name things or as it was sent."""
    try:
        jws = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except (ValueError, binascii.Error):
        return None
    kept = f"sha-256:{sha256(jws).hexdigest()}"
    if standing is not None and texts[0].get("status") == "inactive" and standing.evidence == kept:
        return Proof(standing.assurance)
    trusted = signatures.anchors(services.settings.signature_anchors)
    for text in texts:
        serial = trusted.verified(jws, evidence.statement(text), at)
        if serial is not None:
            return Proof(evidence.ASSURANCE["signature"], single_use=True, serial=serial)
    return None


async def objections(
    read_as: Directive, on: Ground, standing: Directive | None, services: Services
) -> tuple[Refusal, ...]:
    """Why a Consent that can be read is not recorded all the same.

    A code proves the signature of whoever has that telephone, and one signature only; what was taken
    back is not revived; what was signed is not undone by less than what signed it.
    """
    proof, source = on.proof, "Consent.source[x]"
    found = []
    if proof is not None and proof.signer and proof.signer not in _charts_of(read_as.performer, on):
        found.append(Refusal("evidence", source))
    if proof is not None and proof.serial:
        numbers = _numbers_of(read_as.performer, on)
        if not any(signatures.names(proof.serial, number) for number in numbers):
            found.append(Refusal("evidence", source))
    if proof is not None and proof.single_use:
        rests = services.vault.digest("evidence", read_as.evidence.encode())
        used = await services.db.read(evidence_rows.PROVED_BY, list(on.epochs), rests)
        if any(row[0] != read_as.id for row in used):
            found.append(Refusal("used", source))
    if standing is not None:
        if not standing.active:
            found.append(Refusal("withdrawn", "Consent.status"))
        weaker = read_as.assurance < standing.assurance
        # Taking a refusal back gives more, so it has to be signed, too.
        unsigned = (
            not read_as.active
            and standing.assurance > 1
            and standing.refuses
            and read_as.evidence == standing.evidence
        )
        if weaker or unsigned:
            found.append(Refusal("weaker", source))
    return tuple(found)


def _charts_of(performer: str, on: Ground) -> frozenset[str]:
    """The charts of who signed."""
    if performer in on.epochs:
        return frozenset(on.epochs)
    return frozenset().union(*(one.charts for one in on.acts if one.login == performer))


def _numbers_of(performer: str, on: Ground) -> frozenset[str]:
    """The resident ID numbers of who signed."""
    if performer in on.epochs:
        return on.numbers
    return frozenset().union(*(one.numbers for one in on.acts if one.login == performer))


def superseded(read_as: Directive, on: Ground) -> list[Directive]:
    """The directives in force that this one takes the place of: the same patient, controller and
    policy, not dated later and not better proved."""
    if not read_as.active or not read_as.policy:
        return []
    return [
        old
        for old in on.directives
        if old.root is not None
        and old.id != read_as.id
        and (old.patient, old.controller, old.policy)
        == (read_as.patient, read_as.controller, read_as.policy)
        and old.at <= read_as.at
        and old.assurance <= read_as.assurance
    ]
