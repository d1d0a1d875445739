"""云溪县妇幼保健院: a modern system that posts FHIR R4 message Bundles with codes of its own.

The texts are written by a small writer here, because a number must keep the digits that were
measured: 6.10 is not 6.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from gateway.demo.delivery import Delivery, moment
from gateway.demo.dice import Dice
from gateway.demo.panels import BLOOD_COUNT, HEPATITIS_B, URINE, Panel, Result, results
from gateway.demo.residents import Resident

SOURCE = "mch-fhir"
DICE = Dice("mch")
BASE = "https://his.mch.yunxi.example/fhir"
ITEMS = f"{BASE}/CodeSystem/lis-items"
PANELS = (BLOOD_COUNT, URINE, HEPATITIS_B)
NATIONAL_ID = "urn:oid:2.16.156.10011.1.3"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
DIAGNOSES = (("Z34.900", "正常妊娠监督"), ("D50.900", "缺铁性贫血"), ("O99.000", "妊娠合并贫血"))


class Digits(NamedTuple):
    """A number to be written exactly so."""

    text: str


def text_of(node: Any) -> str:
    """JSON of dicts, lists, strings, booleans and Digits; nothing is rounded."""
    match node:
        case Digits(text):
            return text
        case dict():
            return "{" + ",".join(f"{text_of(k)}:{text_of(v)}" for k, v in node.items()) + "}"
        case list():
            return "[" + ",".join(map(text_of, node)) + "]"
        case _:
            return json.dumps(node, ensure_ascii=False)


def bundle(
    one: Resident, panel: Panel, values: Sequence[Result], at: datetime
) -> tuple[bytes, str]:
    """A message Bundle with everything of one visit, and its id."""
    number = f"M{DICE.number(10**7, one.key):07d}"
    visit = f"V{at:%Y%m%d}{DICE.number(10**4, one.key, 'visit'):04d}"
    report = f"{visit}-{panel.code}"
    name = blake2b(f"{visit}/{panel.code}/{at}".encode(), digest_size=16).hexdigest()
    identity = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
    subject = {"reference": f"Patient/{number}"}
    encounter = {"reference": f"Encounter/{visit}"}
    collected, issued = iso(at), iso(at + timedelta(hours=2))
    specimen = {"reference": f"Specimen/{report}-{panel.specimen}"}
    context = {
        "subject": subject,
        "encounter": encounter,
        "specimen": specimen,
        "effectiveDateTime": collected,
    }
    observations = [
        _observation(f"{report}-{n}", value, panel, context | {"issued": issued})
        for n, value in enumerate(values, 1)
    ]
    diagnosis = DICE.pick(DIAGNOSES, one.key) if one.sex == "female" else ("Z00.000", "健康查体")
    resources = [
        {
            "resourceType": "MessageHeader",
            "id": f"{report}-message",
            "eventCoding": {"system": f"{BASE}/CodeSystem/events", "code": "lab-report"},
            "destination": [
                {"name": "云溪县健康档案共享网关", "endpoint": "https://gateway.example/fhir"}
            ],
            "source": {"name": "妇幼LIS", "software": "MCH-LIS", "endpoint": BASE},
            "focus": [{"reference": f"DiagnosticReport/{report}"}],
        },
        _patient(one, number),
        {
            "resourceType": "Encounter",
            "id": visit,
            "identifier": [{"system": f"{BASE}/sid/visit", "value": visit}],
            "status": "finished",
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "AMB",
                "display": "门诊",
            },
            "subject": subject,
            "period": {"start": collected, "end": issued},
            "serviceType": {"text": "妇女保健科"},
        },
        {
            "resourceType": "Condition",
            "id": f"{visit}-1",
            "clinicalStatus": _code("condition-clinical", "active"),
            "verificationStatus": _code("condition-ver-status", "confirmed"),
            "category": [_code("condition-category", "encounter-diagnosis")],
            "code": {
                "coding": [
                    {
                        "system": f"{BASE}/CodeSystem/icd10-gb",
                        "code": diagnosis[0],
                        "display": diagnosis[1],
                    }
                ],
                "text": diagnosis[1],
            },
            "subject": subject,
            "encounter": encounter,
            "recordedDate": collected,
        },
        {
            "resourceType": "Specimen",
            "id": f"{report}-{panel.specimen}",
            "type": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0487",
                        "code": panel.specimen,
                        "display": panel.specimen_name,
                    }
                ]
            },
            "subject": subject,
            "collection": {"collectedDateTime": collected},
        },
        *observations,
        {
            "resourceType": "DiagnosticReport",
            "id": report,
            "identifier": [{"system": f"{BASE}/sid/report", "value": report}],
            "status": "final",
            "category": [
                {
                    "coding": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}
                    ]
                }
            ],
            "code": {
                "coding": [
                    {
                        "system": f"{BASE}/CodeSystem/lis-panels",
                        "code": panel.code,
                        "display": panel.name,
                    }
                ],
                "text": panel.name,
            },
            "subject": subject,
            "encounter": encounter,
            "effectiveDateTime": collected,
            "issued": issued,
            "result": [{"reference": f"Observation/{each['id']}"} for each in observations],
        },
    ]
    whole = {
        "resourceType": "Bundle",
        "id": identity,
        "type": "message",
        "timestamp": issued,
        "entry": [
            {"fullUrl": f"{BASE}/{each['resourceType']}/{each['id']}", "resource": each}
            for each in resources
        ],
    }
    return text_of(whole).encode(), identity


def iso(at: datetime) -> str:
    """A local time with the county's offset."""
    return f"{at:%Y-%m-%dT%H:%M:%S}+08:00"


def deliveries(folk: Sequence[Resident], today: date) -> Iterator[Delivery]:
    """One Bundle per visit, oldest first."""
    chosen = [
        one
        for index, one in enumerate(folk)
        if one.key in {"qi", "zu", "ayguli", "withdrawn"}
        or (not one.trap and one.will == "broad" and one.sex == "female" and index % 4 == 2)
    ]
    sent = []
    for one in chosen:
        at = moment(today, DICE.between(2, 70, one.key, "days"), "09:10")
        panel = DICE.pick(PANELS, one.key)
        raw, identity = bundle(one, panel, results(panel, "mch", one.key), at)
        sent.append(Delivery(SOURCE, "fhir", "application/fhir+json", raw, at, one.trap, identity))
    yield from sorted(sent, key=lambda delivery: delivery.at)


def _patient(one: Resident, number: str) -> dict[str, Any]:
    identifiers = [{"use": "usual", "system": f"{BASE}/sid/patient", "value": number}]
    if one.number:
        identifiers.append({"use": "official", "system": NATIONAL_ID, "value": one.number})
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": identifiers,
        "active": True,
        "name": [{"use": "official", "text": one.name}],
        "telecom": [{"system": "phone", "value": one.phone, "use": "mobile"}],
        "gender": one.sex,
        **({"birthDate": f"{one.born:%Y-%m-%d}"} if one.born else {}),
        "address": [{"text": one.address}],
    }


def _observation(
    identity: str, result: Result, panel: Panel, context: dict[str, Any]
) -> dict[str, Any]:
    item = result.item
    # The same word is measured in blood and in urine; this house tells them apart by the code.
    urine = "U-" if panel.specimen == "UR" and item.code == "GLU" else ""
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "category": [_code("observation-category", "laboratory")],
        "code": {
            "coding": [{"system": ITEMS, "code": f"MCH-{urine}{item.code}", "display": item.name}],
            "text": item.mark + item.name,
        },
        **context,
        **_value(result),
        **(
            {
                "interpretation": [
                    {"coding": [{"system": INTERPRETATION, "code": "H", "display": "↑"}]}
                ]
            }
            if result.flag
            else {}
        ),
        "referenceRange": [{"text": item.range.replace("--", "-")}],
    }


def _value(result: Result) -> dict[str, Any]:
    item = result.item
    if item.words:
        return {"valueString": result.value}
    unit = {"unit": item.unit} if item.unit else {}
    return {"valueQuantity": {"value": Digits(result.value), **unit}}


def _code(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}
