"""Reads from a resource what its manifest entry says: codes, categories, dates, links."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from gateway.records.instant import interval

_LINK = re.compile(r"[A-Z][A-Za-z]+/([0-9a-f]{32})")

# Which elements say when, of each type, best first (R4 search parameters `date`, `onset-date` …).
_WHEN = {
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "Encounter": ("period",),
    "ServiceRequest": ("authoredOn", "occurrenceDateTime"),
    "Specimen": ("receivedTime",),
    "Provenance": ("occurredDateTime", "recorded"),
    "Consent": ("dateTime",),
    "Task": ("authoredOn",),
    "ImagingStudy": ("started",),
    "DocumentReference": ("date",),
    "DetectedIssue": ("identifiedDateTime", "identifiedPeriod"),
    "Communication": ("sent", "received"),
    "Appointment": ("start",),
    "CareTeam": ("period",),
    "EpisodeOfCare": ("period",),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "Immunization": ("occurrenceDateTime",),
    "MedicationRequest": ("authoredOn",),
    "AllergyIntolerance": ("onsetDateTime", "recordedDate"),
}
# Which elements point at other records of the same chart.
_LINKS = {
    "encounter": "encounter",
    "specimen": "specimen",
    "result": "result",
    "basedOn": "based-on",
    "hasMember": "has-member",
    "derivedFrom": "derived-from",
    "imagingStudy": "imaging-study",
    "focus": "focus",
    "target": "target",
    "diagnosticReport": "report",
    "implicated": "implicated",
    "supportingInfo": "supporting-info",
    "about": "about",
}
_AUTHORS = ("performer", "author", "recorder", "asserter", "requester", "resultsInterpreter")
_STATUS = {"Condition": "clinicalStatus", "AllergyIntolerance": "clinicalStatus"}
_CODE = {
    "Immunization": "vaccineCode",
    "MedicationRequest": "medicationCodeableConcept",
    "Encounter": "type",
    "Specimen": "type",
    "DocumentReference": "type",
    "Communication": "topic",
}
_BINARY = re.compile(r"Binary/([0-9a-f]{32})")
INLINE_LABEL = (
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
)
IDENTIFIER = "identifier"
"""Under this a link is no id, but what a study's number, or its laboratory's own number of a
measurement, is known by."""
_REPLACES = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/{one}-replaces"
    for one in ("observation", "diagnosticReport")
)
_TAG = re.compile(r"<[^>]{0,4000}>")
_READABLE = ("text/", "application/xml", "application/json")


@dataclass(frozen=True, slots=True)
class Said:
    """What a resource says of itself. Instants are µs UTC; `texts` and `codings` feed the labeller only."""

    type: str
    codes: tuple[str, ...]
    categories: tuple[str, ...]
    status: str
    start: int | None
    end: int | None
    links: tuple[tuple[str, bytes], ...]
    authors: tuple[str, ...]
    texts: tuple[str, ...]
    codings: tuple[tuple[str, str], ...]
    subjects: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]  # (system, code) of meta.security
    departments: tuple[str, ...]
    inline: tuple[tuple[str, str], ...] = ()  # the same, of single elements


def read(text: bytes, zone: ZoneInfo) -> Said:
    """What a stored text says; it is valid JSON by now (the door parsed it strictly)."""
    return said(orjson.loads(text), zone)


def said(resource: Mapping[str, Any], zone: ZoneInfo) -> Said:
    """What a parsed resource says."""
    kind = str(resource.get("resourceType", ""))
    code = resource.get(_CODE.get(kind, "code"))
    category = resource.get("category")
    start, end = _when(resource, _WHEN.get(kind, ()), zone)
    if kind == "Specimen" and isinstance(collection := resource.get("collection"), Mapping):
        collected = _when(collection, ("collectedDateTime", "collectedPeriod"), zone)
        if collected[0] is not None:
            start, end = collected
    status = resource.get("status", "")
    if kind in _STATUS:
        status = next((c for _, c in _codings(resource.get(_STATUS[kind]))), "")
        if any(c == "entered-in-error" for _, c in _codings(resource.get("verificationStatus"))):
            status = "entered-in-error"
    subjects = []
    for name in ("subject", "patient", "for", "beneficiary"):
        match resource.get(name):
            case {"reference": str(target)}:
                subjects.append(target)
    texts, codings, inline = words(resource)
    links = list(_links(resource))
    if kind == "ImagingStudy":
        code, category = _imaged(resource)
        links += [(IDENTIFIER, digest) for digest in _numbers(resource)]
    if kind == "Observation":
        links += [(IDENTIFIER, digest) for digest in _own_numbers(resource)]
    if kind == "Binary":
        texts += _written(resource)
    given = [*_listed(_meta(resource).get("security")), *_labels_of(resource)]
    return Said(
        type=kind,
        codes=tuple(dict.fromkeys(f"{s}|{c}" for s, c in _codings(code))),
        categories=tuple(dict.fromkeys(f"{s}|{c}" for s, c in _codings(category))),
        status=str(status) if isinstance(status, str) else "",
        start=start,
        end=end,
        links=tuple(dict.fromkeys(links)),
        authors=tuple(dict.fromkeys(_references(resource, _AUTHORS))),
        texts=tuple(texts),
        codings=tuple(dict.fromkeys(codings)),
        subjects=tuple(dict.fromkeys(subjects)),
        labels=tuple(_codings([{"coding": given}])),
        departments=tuple(_departments(resource)),
        inline=tuple(inline),
    )


def _written(attachment: Mapping[str, Any]) -> Iterator[str]:
    """What a Binary or an Attachment says whose content is text; in tags, also what they part."""
    if str(attachment.get("contentType", "")).startswith(_READABLE):
        try:
            data = base64.b64decode(str(attachment.get("data", "")), validate=True)
        except ValueError:  # of bytes that are no text the labels of its document speak
            return
        for charset in ("utf-8", "gb18030"):
            try:
                text = data.decode(charset)
            except ValueError:
                continue
            yield text
            if "<" in text:
                yield _TAG.sub("", text)
            return


def _labels_of(resource: Mapping[str, Any]) -> Iterator[Any]:
    """DocumentReference.securityLabel, which says of the document what meta.security says."""
    for one in _listed(resource.get("securityLabel")):
        if type(one) is dict:
            yield from _listed(one.get("coding"))


def _meta(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = resource.get("meta")
    return meta if isinstance(meta, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _codings(concept: Any) -> Iterator[tuple[str, str]]:
    for one in _listed(concept):
        if type(one) is dict:
            for coding in _listed(one.get("coding")):
                if type(coding) is dict and type(coding.get("code")) is str:
                    yield str(coding.get("system", "")), coding["code"]


def _imaged(study: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """What was imaged (body sites, procedures) and with what (modalities), of a study and its series."""
    series = [one for one in _listed(study.get("series")) if type(one) is dict]
    sites = [{"coding": one.get("bodySite")} for one in series]
    kinds = [{"coding": one.get("modality")} for one in (study, *series)]
    return [*sites, *_listed(study.get("procedureCode"))], kinds


def _numbers(resource: Mapping[str, Any]) -> Iterator[bytes]:
    for one in _listed(resource.get("identifier")):
        match one:
            case {"value": str(value), **rest}:
                yield number_digest(f"{rest.get('system', '')}|{value}")
                yield number_digest(value)


def _own_numbers(resource: Mapping[str, Any]) -> Iterator[bytes]:
    """The numbers whose sender calls them its own (HL7 v2 table 0203, FILL)."""
    for one in _listed(resource.get("identifier")):
        match one:
            case {"value": str(value), "type": kind, **rest}:
                if any(code == "FILL" for _, code in _codings(kind)):
                    yield number_digest(f"{rest.get('system', '')}|{value}")


def number_digest(token: str) -> bytes:
    """What an entry holds of an identifier, ``system|value`` or ``value``, so that it can be searched for."""
    return blake2b(token.encode(), digest_size=16).digest()


def _when(
    resource: Mapping[str, Any], names: tuple[str, ...], zone: ZoneInfo
) -> tuple[int | None, int | None]:
    for name in names:
        match resource.get(name):
            case str(text):
                if found := interval(text, zone):
                    return found
            case {"start": str(text), **rest}:
                first = interval(text, zone)
                last = interval(str(rest["end"]), zone) if "end" in rest else None
                if first:
                    return first[0], last[1] if last else None
            case {"end": str(text)}:
                if last := interval(text, zone):
                    return None, last[1]
    return None, None


def _references(resource: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name not in resource:
            continue
        for one in _listed(resource[name]):
            match one:
                case {"reference": str(target)} | {"actor": {"reference": str(target)}}:
                    yield target


def _links(resource: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for name, said_as in _LINKS.items():
        if name not in resource:
            continue
        yield from _targets(resource[name], said_as)
    if "context" in resource and type(context := resource["context"]) is dict:
        yield from _targets(context.get("encounter"), "encounter")
        yield from _targets(context.get("related"), "related")
    for one in _listed(resource.get("relatesTo")):
        if type(one) is dict:
            yield from _targets(one.get("target"), "relatesto")
    for one in _listed(resource.get("extension")):
        if type(one) is dict and one.get("url") in _REPLACES:
            yield from _targets(one.get("valueReference"), "relatesto")
    forms = _listed(resource.get("presentedForm"))
    forms += [c.get("attachment") for c in _listed(resource.get("content")) if type(c) is dict]
    for one in forms:
        url = one.get("url") if type(one) is dict else None
        if type(url) is str and (match := _BINARY.fullmatch(url)):
            yield "attachment", bytes.fromhex(match[1])


def _targets(value: Any, said_as: str) -> Iterator[tuple[str, bytes]]:
    for one in _listed(value):
        target = one.get("reference") if type(one) is dict else None
        if type(target) is str and (match := _LINK.fullmatch(target.partition("/_history")[0])):
            yield said_as, bytes.fromhex(match[1])


_WORDS = frozenset(
    {"display", "text", "conclusion", "valueString", "title", "comment", "description"}
)
_ABOUT_OTHERS = frozenset({"subject", "patient"})


_DEEP = 40


def words(value: Any) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]]:
    """What a labeller reads of a resource or a piece of one: its texts, its codings (system, code),
    and the labels that stand in its elements."""
    texts: list[str] = []
    codings: list[tuple[str, str]] = []
    inline: list[tuple[str, str]] = []
    _texts(value, texts, codings, inline)
    return texts, codings, inline


def _texts(
    value: Any,
    found: list[str],
    coded: list[tuple[str, str]],
    inline: list[tuple[str, str]],
    depth: int = 0,
) -> None:
    """Every displayed word of the resource, every coding (system, code) in it, and inline labels."""
    if type(value) is dict:
        if depth < _DEEP:
            for name, inner in value.items():
                kind = type(inner)
                if kind is str:
                    if name in _WORDS:
                        found.append(inner)
                    elif name == "code":
                        if type(system := value.get("system", "")) is str:
                            coded.append((system, inner))
                    elif name == "div":
                        found.append(_TAG.sub("", inner))
                    elif name == "data" and "contentType" in value and depth:
                        found.extend(_written(value))
                    elif name == "url" and inner == INLINE_LABEL:
                        inline.extend(_codings([{"coding": value.get("valueCoding")}]))
                elif (kind is dict or kind is list) and name not in _ABOUT_OTHERS:
                    _texts(inner, found, coded, inline, depth + 1)
    elif type(value) is list and depth < _DEEP:
        for inner in value:
            _texts(inner, found, coded, inline, depth + 1)


def _departments(resource: Mapping[str, Any]) -> Iterator[str]:
    for name in ("serviceType", "serviceProvider", "location", "performer"):
        if name not in resource:
            continue
        for one in _listed(resource.get(name)):
            match one:
                case {"text": str(text)} | {"display": str(text)}:
                    yield text
                case {"location": {"display": str(text)}} | {"actor": {"display": str(text)}}:
                    yield text
