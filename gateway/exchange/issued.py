"""Reads results as their laboratory issued them: digits, unit, range and flag, word for word.

What a map kept verbatim (extension `result-raw`) comes before what was read from it; numbers are
never turned into floats.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

Resource = Mapping[str, Any]
FlagKind = Literal["", "normal", "high", "low", "very-high", "very-low", "abnormal", "unread"]
ReportKind = Literal[
    "laboratory", "ultrasound", "ct", "radiology", "mri", "pathology", "ecg", "other"
]

RAW = "/StructureDefinition/result-raw"
LOINC_FINDINGS = "18782-3"
LOINC_IMPRESSION = "19005-8"

# v3-ObservationInterpretation and HL7 table 0078, then what laboratories print.
_FLAGS: dict[str, FlagKind] = {
    **dict.fromkeys(("N", "NEG", "ND", "S", "正常", "阴性", "-", "(-)"), "normal"),
    **dict.fromkeys(("H", "HU", ">", "↑", "偏高", "高"), "high"),
    **dict.fromkeys(("L", "LU", "<", "↓", "偏低", "低"), "low"),
    **dict.fromkeys(("HH", "HH>", "↑↑", "⇈", "危急值高"), "very-high"),
    **dict.fromkeys(("LL", "LL<", "↓↓", "⇊", "危急值低"), "very-low"),
    **dict.fromkeys(
        ("A", "AA", "POS", "DET", "WR", "RR", "R", "I", "*", "异常", "阳性", "弱阳性", "+", "(+)"),
        "abnormal",
    ),
}
# HL7 table 0074 (diagnostic service sections) and observation-category.
_KINDS: dict[str, ReportKind] = {
    **dict.fromkeys(
        ("LAB", "CH", "HM", "SR", "MB", "BG", "IMM", "VR", "TX", "laboratory"), "laboratory"
    ),
    **dict.fromkeys(("RUS", "US", "OUS", "VUS", "CUS"), "ultrasound"),
    **dict.fromkeys(("CT",), "ct"),
    **dict.fromkeys(("RAD", "RX", "DX", "CR", "DR"), "radiology"),
    **dict.fromkeys(("NMR", "MR", "MRI"), "mri"),
    **dict.fromkeys(("SP", "CP", "PAT"), "pathology"),
    **dict.fromkeys(("EC", "ECG"), "ecg"),
}


def parsed(text: bytes) -> dict[str, Any]:
    """A stored resource with every number as the digits that stand in it."""
    found: dict[str, Any] = _with_digits(text.decode())
    return found


_with_digits = json.JSONDecoder(parse_float=str, parse_int=str).decode


def listed(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; a lone object counts as a list of one."""
    if value is None:
        return []
    if isinstance(value, list):
        return [one for one in value if isinstance(one, dict | Mapping)]
    return [value] if isinstance(value, dict | Mapping) else []


def codings(concept: object) -> Iterator[tuple[str, str]]:
    """(system, code) of a concept or of each in a list."""
    for one in listed(concept):
        for coding in listed(one.get("coding")):
            if isinstance(coding.get("code"), str):
                yield str(coding.get("system", "")), coding["code"]


def words(concept: object) -> str:
    """What a concept is called: its text, else a display, else a code."""
    for one in listed(concept):
        if text := one.get("text"):
            return str(text)
        for name in ("display", "code"):
            for coding in listed(one.get("coding")):
                if coding.get(name):
                    return str(coding[name])
    return ""


def raw(result: Resource) -> dict[str, str]:
    """The verbatim parts a map kept: value, unit, range, flag; those it did not are absent."""
    for extension in listed(result.get("extension")):
        if str(extension.get("url", "")).endswith(RAW):
            return {
                str(part.get("url")): part["valueString"]
                for part in listed(extension.get("extension"))
                if isinstance(part.get("valueString"), str)
            }
    return {}


def value(result: Resource) -> str:
    """The value as issued; empty when there is none."""
    kept = raw(result).get("value")
    if kept is not None:
        return kept
    own = _value(result)
    if own:
        return own
    parts = [
        f"{words(part.get('code'))} {_value(part)} {_quantity_unit(part)}".strip()
        for part in listed(result.get("component"))
    ]
    return "; ".join(parts) or words(result.get("dataAbsentReason"))


def unit(result: Resource) -> str:
    """The unit as issued."""
    kept = raw(result)
    return kept["unit"] if "unit" in kept else "" if "value" in kept else _quantity_unit(result)


def reference_range(result: Resource) -> str:
    """The range as issued: its text, else its limits."""
    kept = raw(result).get("range")
    if kept is not None:
        return kept
    for one in listed(result.get("referenceRange")):
        if one.get("text"):
            return str(one["text"])
        low, high = (_digits(one.get(name)) for name in ("low", "high"))
        if low or high:
            return f"{low}-{high}" if low and high else f"≥{low}" if low else f"≤{high}"
    return ""


def flag(result: Resource) -> tuple[FlagKind, str]:
    """(kind, as issued). A flag nobody here can read is `unread`, never left out."""
    codes = [code for _, code in codings(result.get("interpretation"))]
    kept = raw(result).get("flag")
    issued = words(result.get("interpretation")) if kept is None else kept
    for code in (*codes, issued):
        kind = _FLAGS.get(unicodedata.normalize("NFKC", code).strip().upper())
        if kind:
            return kind, issued
    return ("unread" if issued else ""), issued


def _value(result: Resource) -> str:
    for name, given in result.items():
        if not name.startswith("value") or name.startswith("value_"):
            continue
        match name:
            case "valueQuantity":
                return _digits(given)
            case "valueCodeableConcept":
                return words(given)
            case "valueRange":
                return f"{_digits(given.get('low'))}-{_digits(given.get('high'))}"
            case "valueRatio":
                parts = given.get("numerator"), given.get("denominator")
                return ":".join(_digits(part) for part in parts)
            case "valueBoolean":
                return "true" if given else "false"
            case _ if isinstance(given, str):
                return given
    return ""


def _digits(quantity: object) -> str:
    if not isinstance(quantity, Mapping):
        return ""
    return f"{quantity.get('comparator', '')}{quantity.get('value', '')}"


def _quantity_unit(result: Resource) -> str:
    quantity = result.get("valueQuantity")
    if not isinstance(quantity, Mapping):
        return ""
    return str(quantity.get("unit") or quantity.get("code") or "")


def report_kind(report: Resource) -> ReportKind:
    """What sort of examination it reports, by its category; `other` when that says nothing."""
    for _, code in codings(report.get("category")):
        kind = _KINDS.get(code)
        if kind:
            return kind
    return "other"


def says(results: Sequence[Resource], loinc: str) -> str:
    """The words of those results that carry this LOINC code, in order."""
    found = [
        value(one)
        for one in results
        if ("http://loinc.org", loinc) in set(codings(one.get("code")))
    ]
    return "\n".join(text for text in found if text)


def people(report: Resource, name: str) -> str:
    """The displayed names of the persons in an element; organisations are left out."""
    found = [
        str(one["display"])
        for one in listed(report.get(name))
        if one.get("display")
        and one.get("type") != "Organization"
        and not str(one.get("reference", "")).startswith("Organization/")
    ]
    return "、".join(dict.fromkeys(found))


def laboratories(observation: Resource) -> str:
    """The laboratories that a result names beside its hospital; the persons in them are left out."""
    found = []
    for one in listed(observation.get("performer")):
        known = listed(one.get("identifier"))  # a hospital of the register, said elsewhere
        person = str(one.get("type", "")).startswith("Practitioner")
        if one.get("display") and not person and not known and not one.get("reference"):
            found.append(str(one["display"]))
    return "、".join(dict.fromkeys(found))


def when(text: object, zone: ZoneInfo) -> date | datetime | None:
    """A FHIR date or dateTime as written: a day stays a day; less than a day says too little."""
    if not isinstance(text, str):
        return None
    try:
        if "T" not in text:
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def collected(
    result: Resource, specimen: Resource | None, zone: ZoneInfo
) -> date | datetime | None:
    """When the specimen was taken or the examination done."""
    taken = listed(specimen.get("collection"))[:1] if specimen else []
    for holder, names in (
        (taken[0] if taken else {}, ("collectedDateTime", "collectedPeriod")),
        (result, ("effectiveDateTime", "effectiveInstant", "effectivePeriod")),
    ):
        for name in names:
            said = holder.get(name)
            found = when(said.get("start") if isinstance(said, Mapping) else said, zone)
            if found is not None:
                return found
    return None
