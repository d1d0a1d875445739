"""FHIR R4 Consent in and out: strict reading, the registration desk's forms, the stored encoding.

Reading is strict so that deciding can be simple: what is not understood is refused by name, never
skipped. The text itself was already parsed strictly (no duplicate members). Of what R4 allows beside
the rules themselves, narrative, meta, language, identifiers, categories, verifications and plain
extensions are kept as sent and never read for a decision (R4 lets none of them change a meaning);
contained resources, modifier extensions and implicit rules are refused wherever they stand.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from consent.labels import V3_ACT_CODE, V3_CONFIDENTIALITY
from consent.model import Actor, ActorKind, Datum, Directive, Meaning, Provision
from consent.policy import LEVELS, PolicySet
from consent.reading import (
    CONSENT_ACTION,
    CONSENT_SCOPE,
    ELEMENT,
    RESOURCE_TYPES,
    V3_ACT_REASON,
    V3_PARTICIPATION,
    Elements,
    Refusal,
    Resolve,
    system_of,
    type_of,
)

EVIDENCE_EXTENSION = "StructureDefinition/evidence-sha256"  # under our canonical base

_RECIPIENTS = frozenset({"IRCP", "PRCP"})  # other roles would mean something we do not enforce
_ACTIONS = {
    "access": ("read", "search", "history", "print"),
    "use": ("read", "search", "history", "print"),
    "disclose": ("export", "subscribe", "push"),
    "collect": ("export", "subscribe"),
}
_RULES = {"OPTIN": True, "OPTOUT": False}
_MAX_NODES, _MAX_DEPTH = 256, 8

_ROOT = ELEMENT | {
    *("resourceType", "meta", "language", "text", "identifier", "status", "scope", "category"),
    *("patient", "dateTime", "performer", "organization", "sourceAttachment", "sourceReference"),
    *("policy", "policyRule", "verification", "provision"),
}
_VERIFICATION = ELEMENT | {"verified", "verifiedWith", "verificationDate"}
_PROVISION = ELEMENT | {
    *("type", "period", "actor", "action", "securityLabel", "purpose", "class", "code"),
    *("dataPeriod", "data", "provision"),
}


class Evidence(msgspec.Struct, frozen=True):
    """What proves the signature: "sha-256" (hex), "sha-1" (base64) or "reference"."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Context:
    """What the reader of a Consent must be told; the functions resolve literal references.

    `id`, `version` are the gateway's own. `patient`, `organization`, `person`, `group` and
    `record` give our id for a reference such as "Patient/1", None when unknown. `signer`
    (reference, chart, instant) gives the chart when the patient signed and was surely old enough,
    else the id of a representative with authority at that instant, else None. `assurance` derives
    1 to 3 from evidence, None when it cannot be verified; nothing in the resource can claim it.
    """

    id: str
    version: str
    now: int
    policy: PolicySet
    base_url: str
    policies: frozenset[str]
    patient: Resolve
    organization: Resolve
    person: Resolve
    group: Resolve
    record: Resolve
    signer: Callable[[str, str, int], str | None]
    assurance: Callable[[Evidence], int | None]
    types: frozenset[str] | None = None  # resource types a class may name; None is any
    author: Resolve | None = None  # who wrote records, where that is not a person's own id


def read_consent(
    resource: Mapping[str, Any], context: Context, *, depth: int = _MAX_DEPTH
) -> Directive | tuple[Refusal, ...]:
    """Read a Consent, or say everything that is wrong with it. `depth`: nested levels, up to 8."""
    reader = _Reader(context, min(depth, _MAX_DEPTH))
    directive = reader.consent(resource)
    return tuple(dict.fromkeys(reader.refusals)) if directive is None else directive


class _Reader(Elements):
    """Reads one Consent."""

    def __init__(self, context: Context, depth: int) -> None:
        super().__init__(context.policy)
        self.context = context
        self.depth = depth
        self.nodes = 0

    # --- the resource ---

    def consent(self, resource: Mapping[str, Any]) -> Directive | None:
        if resource.get("resourceType") != "Consent":
            self.refuse("not-a-consent", "Consent")
            return None
        self.modifiers(resource, "Consent")
        if "contained" in resource:
            self.refuse("contained", "Consent.contained")
        self.members(resource, _ROOT | {"contained"}, "Consent")
        status = resource.get("status")
        if status not in ("active", "inactive"):
            self.refuse("missing" if status is None else "status", "Consent.status")
        self.scope(resource)
        for _ in self.objects(resource, "category", "Consent", required=True):
            pass
        patient = self.patient(resource)
        base = self.base(resource)
        at = self.date_time(resource, permit=bool(base))
        performer = self.performer(resource, patient, at)
        controller = self.controller(resource)
        policy = self.policy_uri(resource)
        evidence, assurance = self.evidence(resource)
        for path, verification in self.objects(resource, "verification", "Consent"):
            self.members(verification, _VERIFICATION, path)
        given = self.object(resource, "provision", "Consent") or {}
        root = self.provision(given, "Consent.provision", 0, base) if base is not None else None
        if (
            self.refusals
            or (patient is None or controller is None or performer is None)
            or (at is None or assurance is None or root is None)
        ):
            return None
        return Directive(
            id=self.context.id,
            version=self.context.version,
            patient=patient,
            controller=controller,
            at=at,
            assurance=assurance,
            performer=performer,
            root=root,
            active=status == "active",
            policy=policy or "",
            evidence=str(evidence),
        )

    def scope(self, resource: Mapping[str, Any]) -> None:
        scope = self.object(resource, "scope", "Consent", required=True)
        if scope is not None:
            codings = list(self.codings(scope, "Consent.scope"))
            if (CONSENT_SCOPE, "patient-privacy") not in [(s, c) for s, c, _ in codings]:
                self.refuse("scope", "Consent.scope")

    def patient(self, resource: Mapping[str, Any]) -> str | None:
        path = "Consent.patient"
        patient = self.object(resource, "patient", "Consent", required=True)
        if patient is None:
            return None
        return self.reference(patient, path, self.context.patient, "unknown-patient")

    def date_time(self, resource: Mapping[str, Any], *, permit: bool) -> int | None:
        """A date alone is read so that it gives less: a permit from its first instant, a refusal
        to its last, but not beyond now."""
        path = "Consent.dateTime"
        text = resource.get("dateTime")
        if text is None:
            self.refuse("missing", path)
            return None
        bounds = self.instant(text, path)
        if bounds is None:
            return None
        first, last = bounds
        if first > self.context.now + self.policy.clock_skew:
            self.refuse("future", path)
            return None
        return first if permit or first == last else max(first, min(last - 1, self.context.now))

    def performer(
        self, resource: Mapping[str, Any], patient: str | None, at: int | None
    ) -> str | None:
        performer = self.one(resource, "performer", "Consent")
        if performer is None or patient is None or at is None:
            return None
        signer = self.context.signer
        return self.reference(
            performer, "Consent.performer[0]", lambda ref: signer(ref, patient, at), "no-authority"
        )

    def controller(self, resource: Mapping[str, Any]) -> str | None:
        controller = self.one(resource, "organization", "Consent")
        if controller is None:
            return None
        resolve = self.context.organization
        return self.reference(
            controller, "Consent.organization[0]", resolve, "unknown-organization"
        )

    def policy_uri(self, resource: Mapping[str, Any]) -> str | None:
        """A policy of the county's catalogue; without one, the policy rule must be known."""
        uri = None
        for path, policy in self.objects(resource, "policy", "Consent"):
            self.members(policy, ELEMENT | {"authority", "uri"}, path)
            if uri is not None:
                self.refuse("one-value", "Consent.policy")
            uri = policy.get("uri")
            if not isinstance(uri, str) or uri.partition("#")[0] not in self.context.policies:
                self.refuse("missing" if uri is None else "unknown-policy", f"{path}.uri")
        if not resource.get("policy") and "policyRule" not in resource:
            self.refuse("missing", "Consent.policy")
        return uri

    def base(self, resource: Mapping[str, Any]) -> bool | None:
        """Permit or deny: the root's type or the policy rule; when both, they agree."""
        rule: bool | None = None
        path = "Consent.policyRule"
        given = self.object(resource, "policyRule", "Consent")
        if given is not None:
            for system, code, place in self.codings(given, path):
                if system != V3_ACT_CODE:
                    self.refuse("unknown-system", place)
                elif code not in _RULES or rule not in (None, _RULES[code]):
                    self.refuse("unknown-code", place)
                else:
                    rule = _RULES[code]
        provision = resource.get("provision")
        kind = provision.get("type") if isinstance(provision, Mapping) else None
        stated = self.permit(kind, "Consent.provision.type") if kind is not None else None
        if rule is None and stated is None and given is None and kind is None:
            self.refuse("no-base", "Consent.provision.type")
        if rule is not None and stated is not None and rule != stated:
            self.refuse("contradiction", "Consent.provision.type")
        return rule if stated is None else stated

    def evidence(self, resource: Mapping[str, Any]) -> tuple[Evidence | None, int | None]:
        path = "Consent.source[x]"
        attachment = self.object(resource, "sourceAttachment", "Consent")
        reference = self.object(resource, "sourceReference", "Consent")
        if attachment is not None and reference is not None:
            self.refuse("one-value", path)
            return None, None
        evidence = None
        if reference is not None:
            path = "Consent.sourceReference"
            found = reference.get("reference")
            evidence = Evidence("reference", found) if isinstance(found, str) and found else None
        elif attachment is not None:
            path = "Consent.sourceAttachment"
            evidence = self.attachment(attachment, path)
        if evidence is None:
            self.refuse("no-evidence", path)
            return None, None
        assurance = self.context.assurance(evidence)
        if assurance not in (1, 2, 3):
            self.refuse("evidence", path)
        return evidence, assurance

    def attachment(self, attachment: Mapping[str, Any], path: str) -> Evidence | None:
        """Our SHA-256 extension, FHIR's own hash (SHA-1), or the scan itself, hashed here."""
        digest, data = attachment.get("hash"), attachment.get("data")
        if data is not None:
            try:
                scan = base64.b64decode(data, validate=True)
            except (TypeError, ValueError, binascii.Error):
                self.refuse("wrong-type", f"{path}.data")
                return None
            sha1 = base64.b64encode(hashlib.sha1(scan, usedforsecurity=False).digest()).decode()
            if digest not in (None, sha1):
                self.refuse("evidence", f"{path}.hash")
            return Evidence("sha-256", hashlib.sha256(scan).hexdigest())
        for place, extension in self.objects(attachment, "extension", path):
            if extension.get("url") == f"{self.context.base_url}/{EVIDENCE_EXTENSION}":
                value = extension.get("valueString")
                if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
                    return Evidence("sha-256", value)
                self.refuse("wrong-type", f"{place}.valueString")
        if isinstance(digest, str) and re.fullmatch("[A-Za-z0-9+/]{27}=", digest):
            return Evidence("sha-1", digest)
        return None

    # --- provisions ---

    def provision(
        self, given: Mapping[str, Any], path: str, level: int, permit: bool
    ) -> Provision | None:
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            self.refuse("too-many", path)
            return None
        self.members(given, _PROVISION, path)
        start, end = self.period(given, "period", path)
        data_start, data_end = self.period(given, "dataPeriod", path)
        levels, sensitivities = self.security_labels(given, path)
        return Provision(
            permit=permit,
            start=start,
            end=end,
            purposes=tuple(self.purposes(given, path)),
            actors=tuple(self.actors(given, path)),
            actions=tuple(dict.fromkeys(self.actions(given, path))),
            confidentiality=levels,
            sensitivities=sensitivities,
            classes=tuple(self.classes(given, path)),
            codes=tuple(self.codes(given, path)),
            data_start=data_start,
            data_end=data_end,
            data=tuple(self.data(given, path)),
            exceptions=tuple(self.nested(given, path, level + 1)),
        )

    def nested(self, given: Mapping[str, Any], path: str, level: int) -> Iterator[Provision]:
        for place, child in self.objects(given, "provision", path):
            if level > self.depth:
                self.refuse("too-deep", place)
                return
            if "type" not in child:
                self.refuse("missing", f"{place}.type")
                continue
            permit = self.permit(child["type"], f"{place}.type")
            node = self.provision(child, place, level, bool(permit))
            if node is not None:
                yield node

    def permit(self, kind: object, path: str) -> bool | None:
        if kind not in ("permit", "deny"):
            self.refuse("unknown-code", path)
            return None
        return kind == "permit"

    def purposes(self, given: Mapping[str, Any], path: str) -> Iterator[str]:
        """v3-ActReason codes; a purpose of another system is known where the policy lists it, as
        "system|code"."""
        known = self.policy.known_purposes
        for place, coding in self.objects(given, "purpose", path):
            own = f"{coding.get('system')}|{coding.get('code')}"
            if own in known:
                yield own
            else:
                yield from self.known(coding, place, V3_ACT_REASON, known)

    def classes(self, given: Mapping[str, Any], path: str) -> Iterator[str]:
        for place, coding in self.objects(given, "class", path):
            yield from self.known(coding, place, RESOURCE_TYPES, self.context.types)

    def actions(self, given: Mapping[str, Any], path: str) -> Iterator[str]:
        for place, concept in self.objects(given, "action", path):
            for system, code, where in self.codings(concept, place):
                if system != CONSENT_ACTION:
                    self.refuse("unknown-system", where)
                elif code not in _ACTIONS:
                    self.refuse("unknown-code", where)
                else:
                    yield from _ACTIONS[code]

    def codes(self, given: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
        for place, concept in self.objects(given, "code", path):
            for system, code, _ in self.codings(concept, place):
                yield system, code

    def security_labels(
        self, given: Mapping[str, Any], path: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        levels: list[str] = []
        sensitivities: list[str] = []
        known = self.policy.known_labels
        for place, coding in self.objects(given, "securityLabel", path):
            if system_of(coding) == V3_CONFIDENTIALITY:
                levels += self.known(coding, place, V3_CONFIDENTIALITY, LEVELS.keys())
            else:
                sensitivities += self.known(coding, place, V3_ACT_CODE, known)
        return tuple(levels), tuple(sensitivities)

    def actors(self, given: Mapping[str, Any], path: str) -> Iterator[Actor]:
        kinds = {
            "Organization": (ActorKind.ORGANIZATION, self.context.organization),
            "Practitioner": (ActorKind.PERSON, self.context.person),
            "RelatedPerson": (ActorKind.PERSON, self.context.person),
            "Patient": (ActorKind.PERSON, self.context.person),
            "Group": (ActorKind.GROUP, self.context.group),
            "CareTeam": (ActorKind.GROUP, self.context.group),
        }
        for place, actor in self.objects(given, "actor", path):
            self.members(actor, ELEMENT | {"role", "reference"}, place)
            role = self.object(actor, "role", place, required=True)
            if role is not None:
                for system, code, where in self.codings(role, f"{place}.role"):
                    if system != V3_PARTICIPATION:
                        self.refuse("unknown-system", where)
                    elif code not in _RECIPIENTS:
                        self.refuse("unknown-code", where)
            who = self.object(actor, "reference", place, required=True)
            if who is None:
                continue
            kind, resolve = kinds.get(type_of(who), (ActorKind.PERSON, lambda _: None))
            found = self.reference(who, f"{place}.reference", resolve, "unknown-reference")
            if found is not None:
                yield Actor(kind, found)

    def data(self, given: Mapping[str, Any], path: str) -> Iterator[Datum]:
        for place, datum in self.objects(given, "data", path):
            self.members(datum, ELEMENT | {"meaning", "reference"}, place)
            if datum.get("meaning") not in list(Meaning):
                self.refuse("unknown-code", f"{place}.meaning")
                continue
            meaning = Meaning(datum["meaning"])
            what = self.object(datum, "reference", place, required=True)
            if what is None:
                continue
            resolve = self.context.record
            if meaning is Meaning.AUTHORED_BY:
                by_organization = type_of(what) == "Organization"
                author = self.context.author or self.context.person
                resolve = self.context.organization if by_organization else author
            found = self.reference(what, f"{place}.reference", resolve, "unknown-reference")
            if found is not None:
                yield Datum(meaning, found)


# --- what the registration desk writes ------------------------------------------------------------


class Choice(StrEnum):
    """What a patient can say at the desk."""

    PERMIT_TREATMENT = "permit-treatment"
    PERMIT_CATEGORY = "permit-category"
    REFUSE_ALL = "refuse-all"


@dataclass(frozen=True, slots=True)
class Form:
    """One signed form. References are literal; `at` is FHIR text with a zone."""

    choice: Choice
    id: str
    patient: str
    performer: str
    organization: str
    at: str
    evidence_sha256: str
    category: str | None = None
    recipients: tuple[str, ...] = ()
    until: str | None = None


def policy_uris(policy: PolicySet, base_url: str) -> frozenset[str]:
    """The policies our own forms name, before any "#" that says whom one is about; a newer form for
    the same one supersedes the older."""
    categories = {f"{base_url}/policies/sharing-{label.lower()}" for label in policy.known_labels}
    return frozenset(categories | {f"{base_url}/policies/sharing"})


def write_consent(form: Form, base_url: str) -> bytes:
    """The FHIR Consent of a form, UTF-8 JSON; the same form gives the same bytes."""
    permit = form.choice is not Choice.REFUSE_ALL
    if (form.category is not None) != (form.choice is Choice.PERMIT_CATEGORY):
        raise ValueError("a category goes with the choice permit-category, and only with it")
    uri = f"{base_url}/policies/sharing" + (f"-{form.category.lower()}" if form.category else "")
    if form.recipients:
        # Another recipient is another question: its form leaves the first one's answer standing.
        uri += "#" + ",".join(sorted(form.recipients))
    provision: dict[str, Any] = {"type": "permit" if permit else "deny"}
    if form.until is not None:
        provision["period"] = {"end": form.until}
    if form.recipients:
        role = {"coding": [{"system": V3_PARTICIPATION, "code": "IRCP"}]}
        provision["actor"] = [
            {"role": role, "reference": {"reference": who}} for who in form.recipients
        ]
    if form.category is not None:
        provision["securityLabel"] = [{"system": V3_ACT_CODE, "code": form.category}]
    if permit:
        provision["purpose"] = [{"system": V3_ACT_REASON, "code": "TREAT"}]
    return _text(
        {
            "resourceType": "Consent",
            "id": form.id,
            "status": "active",
            "scope": {"coding": [{"system": CONSENT_SCOPE, "code": "patient-privacy"}]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
            "patient": {"reference": form.patient},
            "dateTime": form.at,
            "performer": [{"reference": form.performer}],
            "organization": [{"reference": form.organization}],
            "sourceAttachment": {
                "extension": [
                    {
                        "url": f"{base_url}/{EVIDENCE_EXTENSION}",
                        "valueString": form.evidence_sha256,
                    }
                ]
            },
            "policy": [{"uri": uri}],
            "provision": provision,
        }
    )


def withdrawn(resource: Mapping[str, Any]) -> bytes:
    """The same Consent, withdrawn: status inactive and nothing else changed."""
    return _text({**resource, "status": "inactive"})


def _text(resource: Mapping[str, Any]) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


# --- what is kept ---------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Directive)


def encode(directive: Directive) -> bytes:
    """A directive as compact bytes, to be sealed and kept."""
    return _encoder.encode(directive)


def decode(stored: bytes) -> Directive:
    """The directive of `encode`; raises msgspec.DecodeError for anything else."""
    return _decoder.decode(stored)
