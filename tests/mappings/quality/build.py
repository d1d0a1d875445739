"""Small messages for the detectors: FHIR as the maps write it, raw fields as senders do."""

from __future__ import annotations

from typing import Any

from mappings.engine.identity import _CHECK, _WEIGHTS
from mappings.quality import Sighting
from mappings.quality.cells import Cell

DAY = "2026-03-02"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
NOON = 1_772_424_000_000_000  # 2026-03-02T12:00:00+08:00


def number(male: bool) -> str:
    """A resident ID that tells a sex; no region begins with 99, so it can be nobody's."""
    digits = "990421" + "19800101" + ("123" if male else "124")
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return digits + _CHECK[total % 11]


def seen(
    *resources: dict[str, Any], raw: tuple[tuple[str, str], ...] = (), **more: Any
) -> Sighting:
    given: dict[str, Any] = {"day": DAY, "arrived": NOON} | more
    return Sighting(resources=resources, raw=[Cell(*one) for one in raw], **given)


def concept(code: str = "", text: str = "", display: str = "", system: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"text": text} if text else {}
    if code:
        system = system or "https://gateway.example/fhir/CodeSystem/second-items"
        made["coding"] = [{"system": system, "code": code, "display": display or text}]
    return made


def patient(gender: str, of: str) -> dict[str, Any]:
    made = {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": of}],
    }
    return made | ({"gender": gender} if gender else {})


def report(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "category": [concept("CT", "CT", system=SECTION)],
        "code": concept("CT01", "胸部CT平扫"),
        "effectiveDateTime": "2026-03-02T08:00:00+08:00",
        "issued": "2026-03-02T09:30:00+08:00",
        **more,
    }


def result(id: str = "o", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [concept("laboratory", "检验", system=CATEGORY)],
        "code": concept("ALT", "丙氨酸氨基转移酶"),
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-03-02T07:30:00+08:00",
        "issued": "2026-03-02T09:30:00+08:00",
        **more,
    }


def visit(code: str = "AMB", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Encounter", "id": "e", "status": "finished"}
    return made | ({"class": {"code": code}} if code else {}) | more


AT_E = {"reference": "Encounter/e"}
