"""The registration desk: what a resident has agreed to, and how a signed form is recorded.

What is signed at the desk hangs on the county's own chart of the resident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from consent import fhir as consent_fhir
from consent.fhir import EVIDENCE_EXTENSION, Choice, Form
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import consents, evidence
from gateway.exchange.county_chart import county_chart as county_chart
from gateway.exchange.county_chart import known as known
from gateway.exchange.issued import listed, when
from gateway.exchange.patients import controller as controller
from gateway.records.facts import Facts
from gateway.records.instant import interval, moment
from gateway.services import Services
from gateway.services.caller import Caller

# On Consent.verification: the login of who took the patient's word down.
RECORDED_BY = "StructureDefinition/recorded-by"
WITHDRAWN_BY = "StructureDefinition/withdrawn-by"

SignedKind = Literal["share", "category", "refuse-all", "refuse-organization"]
ConsentState = Literal["active", "refusing", "doubted", "withdrawn", "superseded", "expired"]


@dataclass(frozen=True, slots=True)
class Scan:
    """The scan of the signed form."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed. `recipient` is "Organization/…" or "Practitioner/…" where the form names
    one; `name` is needed only for a resident no hospital has sent yet; `guardian` is the id of the
    right by which somebody signed for them."""

    kind: SignedKind
    day: date
    witness: str
    recipient: str = ""
    category: str = ""
    name: str = ""
    guardian: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """Somebody's word on a consent: who took it down, before whom, µs UTC."""

    recorder: str
    witness: str
    at: int


@dataclass(frozen=True, slots=True)
class OnFile:
    """One consent. `kind` is "other" for what no form of this desk says. Signed on a folder whose
    number was corrected since, it is "refusing" where it refuses anything, else "doubted"."""

    id: str
    kind: SignedKind | Literal["other"]
    state: ConsentState
    signed: date | datetime | None
    recipient: str
    category: str
    until: date | None
    evidence: str  # keyed hash, in hex
    recorded: Word
    withdrawn: Word | None


@dataclass(frozen=True, slots=True)
class AtDesk:
    """A resident at the desk. Only what proves who they are: nothing clinical, no hospital."""

    chart: str  # empty when nobody knows the number
    facts: Facts
    on_file: tuple[OnFile, ...]


async def at_desk(system: str, value: str, caller: Caller, services: Services) -> AtDesk:
    """The resident and every consent on file, newest first; Problem REFUSED for who records none.

    One `search` event for the look-up, one `read` for each consent.
    """
    _may_record(caller)
    charts, facts = await known(system, value, services)
    at = services.now()
    body = _body(f"desk.{at}", caller, returned=len(charts))
    await services.log.note(Kind.SEARCH, Outcome.PERMIT, caller, at, body, charts)
    found: dict[str, consents.Recorded] = {}
    for chart in charts:
        for one in await consents.on_file(chart, caller, services):
            found[one.id] = one
    newest = sorted(found.values(), key=lambda one: -one.filed)
    return AtDesk(charts[0] if charts else "", facts, tuple(told(one, services) for one in newest))


async def record(
    system: str, value: str, signed: Signed, scan: Scan, caller: Caller, services: Services
) -> str:
    """Record a signed form and its scan, which is kept sealed; returns the consent's id.

    Two events: `create` where the county's chart of the resident had to be made, and
    `consent-create`. Problem UNPROCESSABLE when the resident has no usable resident ID number or
    name, or signed too young.
    """
    _may_record(caller)
    charts, facts = await known(system, value, services)
    chart = await county_chart(charts, facts, signed.name, caller, services)
    text = consent_text(chart, signed, scan, caller, services)
    _, row, _ = await evidence.prepare(
        chart, "scan", scan.content, scan.media_type, caller, services
    )
    return (await consents.create(text, caller, services, row)).id


async def withdraw(id: str, witness: str, caller: Caller, services: Services) -> None:
    """Make a consent inactive, whatever version stands; one withdrawn already stays as it is."""
    recorded = await consents.read(id, caller, services)
    if not recorded.active:
        return
    plain = json.loads(recorded.text)
    plain.pop("meta", None)
    said = [*listed(plain.get("verification")), word(WITHDRAWN_BY, witness, caller, services)]
    text = consent_fhir.withdrawn(plain | {"verification": said})
    await consents.replace(id, text, recorded.version, caller, services)


def _may_record(caller: Caller) -> None:
    if caller.role not in consents.RECORDERS:
        raise Problem(Trouble.REFUSED, "Consents are recorded by a registrar.")


def _body(request: str, caller: Caller, **more: Any) -> Body:
    return Body(request=request, **more).asked_by(caller)


# The form


CHOICES = {
    "share": Choice.PERMIT_TREATMENT,
    "category": Choice.PERMIT_CATEGORY,
    "refuse-all": Choice.REFUSE_ALL,
    "refuse-organization": Choice.REFUSE_ALL,
}


def consent_text(
    chart: str, signed: Signed, scan: Scan | None, caller: Caller, services: Services
) -> bytes:
    """The FHIR Consent of a form, with its witness and the hash of its scan; without a scan it has
    no source yet.

    What is signed today holds from this second, so that it follows what was signed this morning;
    an earlier day is kept as a day and read so that it gives less.
    """
    named = signed.kind in {"category", "refuse-organization"}
    if named != bool(signed.recipient) or (signed.kind == "category") != bool(signed.category):
        raise Problem(Trouble.UNPROCESSABLE, "The form is not whole.", "kind")
    if signed.category and signed.category not in services.policy.restricted:
        raise Problem(Trouble.UNPROCESSABLE, "There is no such category.", "category")
    base, now = services.settings.canonical, services.now()
    today = moment(now, services.settings.zone).date()
    form = Form(
        choice=CHOICES[signed.kind],
        id=chart,  # replaced by the consent's own when it is recorded
        patient=f"Patient/{chart}",
        performer=f"RelatedPerson/{signed.guardian}" if signed.guardian else f"Patient/{chart}",
        organization=f"Organization/{controller(services)}",
        at=second(now, services) if signed.day == today else signed.day.isoformat(),
        evidence_sha256=hashlib.sha256(scan.content).hexdigest() if scan else "",
        category=signed.category or None,
        recipients=(signed.recipient,) if signed.recipient else (),
    )
    resource = json.loads(consent_fhir.write_consent(form, base))
    if scan is None:
        del resource["sourceAttachment"]
    else:
        resource["sourceAttachment"]["contentType"] = scan.media_type
    resource["verification"] = [word(RECORDED_BY, signed.witness, caller, services)]
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def word(extension: str, witness: str, caller: Caller, services: Services) -> dict[str, Any]:
    """Who took it down and who was there (nobody, where residents sign at home), as a
    Consent.verification."""
    url = f"{services.settings.canonical}/{extension}"
    said: dict[str, Any] = {
        "extension": [{"url": url, "valueString": caller.user or caller.client}],
        "verified": True,
    }
    if witness:
        said["verifiedWith"] = {"display": witness}
    return said | {"verificationDate": second(services.now(), services)}


def second(at: int, services: Services) -> str:
    return moment(at, services.settings.zone).replace(microsecond=0).isoformat()


# What is on file


def told(one: consents.Recorded, services: Services) -> OnFile:
    plain = json.loads(one.text)
    provision = plain.get("provision") or {}
    zone, now = services.settings.zone, services.now()
    until = when((provision.get("period") or {}).get("end"), zone)
    ends = interval(str((provision.get("period") or {}).get("end", "")), zone)
    kind, recipient, category = _kind(plain, provision)
    state = _state(plain, one, ends is not None and ends[1] <= now)
    return OnFile(
        id=one.id,
        kind=kind,
        state=state,
        signed=when(plain.get("dateTime"), zone),
        recipient=recipient,
        category=category,
        until=until.date() if isinstance(until, datetime) else until,
        evidence=_evidence(plain, services),
        recorded=_said(plain, RECORDED_BY, one.filed, services),
        withdrawn=None
        if one.active or state == "doubted"
        else _said(plain, WITHDRAWN_BY, one.filed, services),
    )


def _state(plain: Mapping[str, Any], one: consents.Recorded, over: bool) -> ConsentState:
    """What became of a consent; one whose place another took says so in an extension."""
    if one.active:
        return "expired" if over else "refusing" if one.doubt else "active"
    if one.doubt == "ended":
        return "doubted"
    urls = [str(one.get("url", "")) for one in listed(plain.get("extension"))]
    taken = any(url.endswith(consents.SUPERSEDED_BY) for url in urls)
    return "superseded" if taken else "withdrawn"


def _kind(
    plain: Mapping[str, Any], provision: Mapping[str, Any]
) -> tuple[SignedKind | Literal["other"], str, str]:
    """Which form it is, whom and which category it names; "other" unless it says exactly that."""
    other: tuple[Literal["other"], str, str] = ("other", "", "")
    if set(provision) - {"type", "period", "actor", "purpose", "securityLabel"}:
        return other
    actors = [
        str((one.get("reference") or {}).get("reference", ""))
        for one in listed(provision.get("actor"))
    ]
    labels = [str(one.get("code", "")) for one in listed(provision.get("securityLabel"))]
    purposes = [one.get("code") for one in listed(provision.get("purpose"))]
    rule = [
        coding.get("code")
        for one in listed(plain.get("policyRule"))
        for coding in listed(one.get("coding"))
    ]
    match provision.get("type"), purposes, actors, labels:
        case _ if rule:
            return other
        case "permit", ["TREAT"], [], []:
            return "share", "", ""
        case "permit", ["TREAT"], [recipient], [category]:
            return "category", recipient, category
        case "deny", [], [], []:
            return "refuse-all", "", ""
        case "deny", [], [recipient], []:
            return "refuse-organization", recipient, ""
        case _:
            return other


def _said(plain: Mapping[str, Any], extension: str, filed: int, services: Services) -> Word:
    """The last word of that kind; where another door recorded it, only when it was filed."""
    for word in reversed(listed(plain.get("verification"))):
        for one in listed(word.get("extension")):
            if str(one.get("url", "")).endswith(extension):
                at = interval(str(word.get("verificationDate", "")), services.settings.zone)
                witness = str((word.get("verifiedWith") or {}).get("display", ""))
                return Word(str(one.get("valueString", "")), witness, at[0] if at else filed)
    return Word("", "", filed)


def _evidence(plain: Mapping[str, Any], services: Services) -> str:
    """A keyed hash of the scan's hash, or of what the source refers to: comparable here, worthless
    elsewhere."""
    named = (plain.get("sourceReference") or {}).get("reference")
    if named:
        return services.vault.digest("evidence", str(named).encode()).hex()
    for one in listed((plain.get("sourceAttachment") or {}).get("extension")):
        if str(one.get("url", "")).endswith(EVIDENCE_EXTENSION):
            return services.vault.digest("evidence", str(one.get("valueString")).encode()).hex()
    return ""
