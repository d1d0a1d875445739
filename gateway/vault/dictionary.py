"""Makes dictionary.bin, the compression dictionary of record texts, from resources invented here.

A dictionary holds fragments of what it was trained on, so it is trained on nothing but this file.
`python -m gateway.vault.dictionary FILE` writes one; dictionary.bin is pinned by
a test, because records sealed with it need these very bytes for as long as they are kept. A better
one gets a new number in seal.py beside the old.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

SIZE = 16_384
SEED = 20_260_301
BASE = "https://gateway.example/fhir"
ORGANIZATIONS = ("people", "tcm", "mch", "township", "county")
ITEMS = (  # LOINC, Chinese name, unit, UCUM, low, high
    ("14682-9", "肌酐", "μmol/L", "umol/L", 57, 97),
    ("14749-6", "葡萄糖", "mmol/L", "mmol/L", 3.9, 6.1),
    ("22664-7", "尿素", "mmol/L", "mmol/L", 2.6, 7.5),
    ("14933-6", "尿酸", "μmol/L", "umol/L", 208, 428),
    ("1742-6", "丙氨酸氨基转移酶", "U/L", "U/L", 9, 50),
    ("1920-8", "天门冬氨酸氨基转移酶", "U/L", "U/L", 15, 40),
    ("2885-2", "总蛋白", "g/L", "g/L", 65, 85),
    ("1751-7", "白蛋白", "g/L", "g/L", 40, 55),
    ("14631-6", "总胆红素", "μmol/L", "umol/L", 3.4, 20.5),
    ("14647-2", "总胆固醇", "mmol/L", "mmol/L", 2.9, 5.2),
    ("14927-8", "甘油三酯", "mmol/L", "mmol/L", 0.4, 1.7),
    ("2823-3", "钾", "mmol/L", "mmol/L", 3.5, 5.3),
    ("2951-2", "钠", "mmol/L", "mmol/L", 137, 147),
    ("2075-0", "氯", "mmol/L", "mmol/L", 99, 110),
    ("6690-2", "白细胞计数", "10^9/L", "10*9/L", 3.5, 9.5),
    ("789-8", "红细胞计数", "10^12/L", "10*12/L", 3.8, 5.8),
    ("718-7", "血红蛋白", "g/L", "g/L", 115, 175),
    ("777-3", "血小板计数", "10^9/L", "10*9/L", 125, 350),
    ("4548-4", "糖化血红蛋白", "%", "%", 4, 6),
    ("3016-3", "促甲状腺激素", "mIU/L", "m[IU]/L", 0.27, 4.2),
)
DIAGNOSES = (
    ("I10.x00", "原发性高血压"),
    ("E11.900", "2型糖尿病"),
    ("J06.900", "急性上呼吸道感染"),
    ("K29.500", "慢性胃炎"),
    ("I25.103", "冠状动脉粥样硬化性心脏病"),
    ("J18.900", "肺炎"),
)
REPORTS = ("生化全套", "血常规", "尿常规", "肝功能", "肾功能", "血脂四项", "胸部CT平扫", "腹部彩超")
DEPARTMENTS = ("检验科", "放射科", "超声科", "内科门诊", "急诊科", "中医科", "儿科")
FAMILY, GIVEN = "赵钱孙李周吴郑王冯陈", "安平宁和康乐明华文林"
FINDINGS = (
    "双肺纹理清晰，未见明显实变影，纵隔居中，心影大小形态正常。",
    "肝脏大小形态正常，包膜光整，实质回声均匀，胆囊壁光滑，未见结石。",
    "右肺上叶见小结节影，边界清楚，建议定期复查。",
)


def main(path: Path) -> None:
    """Train on the invented resources and write the dictionary."""
    samples: list[Any] = [
        text.encode()
        for text in resources(random.Random(SEED), 4_000)  # noqa: S311 (invented data)
    ]
    path.write_bytes(zstandard.train_dictionary(SIZE, samples, level=3).as_bytes())


def resources(chance: random.Random, count: int) -> Iterator[str]:
    """Invented resources as the mappings write them: compact JSON, Chinese text unescaped."""
    makers = (observation, observation, observation, observation, report, patient, condition, other)
    for _ in range(count):
        yield json.dumps(chance.choice(makers)(chance), ensure_ascii=False, separators=(",", ":"))


def observation(chance: random.Random) -> dict[str, Any]:
    """One laboratory result, with what the laboratory wrote beside what was understood."""
    loinc, name, unit, ucum, low, high = chance.choice(ITEMS)
    organization, value = chance.choice(ORGANIZATIONS), round(chance.uniform(low, high * 1.3), 2)
    flag, word = ("H", "High") if value > high else ("N", "Normal")
    quantity = {"system": "http://unitsofmeasure.org", "code": ucum}
    return {
        **_start(chance, "Observation", organization),
        "extension": [
            {
                "url": f"{BASE}/StructureDefinition/result-raw",
                "extension": [
                    {"url": "value", "valueString": str(value)},
                    {"url": "unit", "valueString": unit},
                    {"url": "range", "valueString": f"{low}-{high}"},
                    {"url": "flag", "valueString": "↑" if flag == "H" else ""},
                ],
            },
            {
                "url": f"{BASE}/StructureDefinition/hr-mark",
                "extension": [
                    {"url": "scope", "valueCode": "CN"},
                    {"url": "raw", "valueString": "【全国HR】"},
                    {"url": "verified", "valueBoolean": True},
                ],
            },
        ],
        "status": chance.choice(("final", "preliminary", "corrected")),
        "category": [_category("laboratory", "Laboratory")],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": loinc, "display": name},
                {
                    "system": f"{BASE}/CodeSystem/{organization}-items",
                    "code": str(chance.randrange(100, 9999)),
                    "display": name,
                },
            ],
            "text": name,
        },
        "subject": {"reference": f"Patient/{_id(chance)}"},
        "encounter": {"reference": f"Encounter/{_id(chance)}"},
        "effectiveDateTime": _when(chance),
        "issued": _when(chance),
        "performer": [{"reference": f"Organization/{_id(chance)}", "display": "检验科"}],
        "valueQuantity": {"value": value, "unit": unit, **quantity},
        "interpretation": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                        "code": flag,
                        "display": word,
                    }
                ]
            }
        ],
        "method": {"text": chance.choice(("酶法", "比色法", "化学发光法", "离子选择电极法"))},
        "specimen": {"reference": f"Specimen/{_id(chance)}"},
        "device": {"display": "AU5800-2"},
        "referenceRange": [
            {
                "low": {"value": low, "unit": unit, **quantity},
                "high": {"value": high, "unit": unit, **quantity},
                "text": f"{low}-{high}",
            }
        ],
    }


def report(chance: random.Random) -> dict[str, Any]:
    """One report of laboratory, radiology or ultrasound."""
    organization, name = chance.choice(ORGANIZATIONS), chance.choice(REPORTS)
    return {
        **_start(chance, "DiagnosticReport", organization),
        "identifier": [_number(chance, organization, "report", "FILL")],
        "basedOn": [{"reference": f"ServiceRequest/{_id(chance)}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                        "code": chance.choice(("LAB", "RAD", "CH", "HM", "US")),
                    }
                ],
                "text": chance.choice(DEPARTMENTS),
            }
        ],
        "code": {
            "coding": [
                {
                    "system": f"{BASE}/CodeSystem/{organization}-reports",
                    "code": f"JY{chance.randrange(1000):03}",
                    "display": name,
                }
            ],
            "text": name,
        },
        "subject": {"reference": f"Patient/{_id(chance)}"},
        "encounter": {"reference": f"Encounter/{_id(chance)}"},
        "effectiveDateTime": _when(chance),
        "issued": _when(chance),
        "performer": [{"reference": f"Organization/{_id(chance)}", "display": "云溪县人民医院"}],
        "resultsInterpreter": [{"display": _name(chance)}],
        "result": [
            {"reference": f"Observation/{_id(chance)}"} for _ in range(chance.randrange(1, 12))
        ],
        "conclusion": chance.choice(FINDINGS),
    }


def patient(chance: random.Random) -> dict[str, Any]:
    """One patient; the resident ID has an impossible area and sequence 000."""
    organization, name = chance.choice(ORGANIZATIONS), _name(chance)
    born = (
        f"{chance.randrange(1930, 2024)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    )
    return {
        **_start(chance, "Patient", organization),
        "identifier": [
            _number(chance, organization, "mrn", "MR"),
            {
                "use": "official",
                "type": _identifier_type("NI"),
                "system": "urn:oid:2.16.156.10011.1.3",
                "value": _resident_id(f"990000{born.replace('-', '')}000"),
            },
            {
                "type": _identifier_type("HC"),
                "system": "urn:oid:2.16.156.10011.1.19",
                "value": "9" * 18,
            },
        ],
        "active": True,
        "name": [{"use": "official", "text": name, "family": name[0], "given": [name[1:]]}],
        "telecom": [{"system": "phone", "value": "19900000000", "use": "mobile"}],
        "gender": chance.choice(("male", "female", "unknown")),
        "birthDate": born,
        "address": [
            {"use": "home", "text": "云溪县柳溪镇示例村", "district": "云溪县", "country": "CN"}
        ],
        "contact": [{"relationship": [{"text": "配偶"}], "name": {"text": _name(chance)}}],
        "managingOrganization": {"reference": f"Organization/{_id(chance)}"},
    }


def condition(chance: random.Random) -> dict[str, Any]:
    """One diagnosis."""
    organization, (code, name) = chance.choice(ORGANIZATIONS), chance.choice(DIAGNOSES)
    terms = "http://terminology.hl7.org/CodeSystem/condition"
    return {
        **_start(chance, "Condition", organization),
        "clinicalStatus": {"coding": [{"system": f"{terms}-clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{terms}-ver-status", "code": "confirmed"}]},
        "category": [{"coding": [{"system": f"{terms}-category", "code": "encounter-diagnosis"}]}],
        "code": {
            "coding": [
                {"system": f"{BASE}/CodeSystem/icd10-gb", "code": code, "display": name},
                {"system": "http://hl7.org/fhir/sid/icd-10", "code": code[:5].rstrip(".x")},
            ],
            "text": name,
        },
        "subject": {"reference": f"Patient/{_id(chance)}"},
        "encounter": {"reference": f"Encounter/{_id(chance)}"},
        "recordedDate": _when(chance),
        "recorder": {"display": _name(chance)},
    }


def other(chance: random.Random) -> dict[str, Any]:
    """An encounter, a specimen or a request."""
    organization = chance.choice(ORGANIZATIONS)
    subject = {"reference": f"Patient/{_id(chance)}"}
    match chance.randrange(3):
        case 0:
            return {
                **_start(chance, "Encounter", organization),
                "identifier": [_number(chance, organization, "visit", "VN")],
                "status": "finished",
                "class": {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                    "code": chance.choice(("AMB", "IMP", "EMER")),
                },
                "subject": subject,
                "period": {"start": _when(chance), "end": _when(chance)},
                "location": [{"location": {"display": chance.choice(DEPARTMENTS)}}],
                "serviceProvider": {"reference": f"Organization/{_id(chance)}"},
            }
        case 1:
            return {
                **_start(chance, "Specimen", organization),
                "identifier": [_number(chance, organization, "specimen", "ACSN")],
                "type": {
                    "coding": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v2-0487", "code": "SER"}
                    ],
                    "text": chance.choice(("血清", "全血", "尿液", "血浆")),
                },
                "subject": subject,
                "receivedTime": _when(chance),
                "collection": {"collectedDateTime": _when(chance)},
            }
        case _:
            return {
                **_start(chance, "ServiceRequest", organization),
                "identifier": [_number(chance, organization, "order", "PLAC")],
                "status": "completed",
                "intent": "order",
                "code": {"text": chance.choice(REPORTS)},
                "subject": subject,
                "authoredOn": _when(chance),
                "requester": {"display": _name(chance)},
            }


def _start(chance: random.Random, type: str, organization: str) -> dict[str, Any]:
    return {
        "resourceType": type,
        "id": _id(chance),
        "meta": {
            "source": f"{BASE}/Organization/{organization}",
            "profile": [f"{BASE}/StructureDefinition/{type.lower()}"],
        },
    }


def _number(chance: random.Random, organization: str, space: str, kind: str) -> dict[str, Any]:
    return {
        "type": _identifier_type(kind),
        "system": f"{BASE}/sid/{organization}/{space}",
        "value": str(chance.randrange(10**9)),
    }


def _identifier_type(kind: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]}


def _resident_id(digits: str) -> str:
    """With the check digit of GB 11643."""
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(digits))
    return digits + "10X98765432"[total % 11]


def _category(code: str, display: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _when(chance: random.Random) -> str:
    return (
        f"20{chance.randrange(20, 27)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        f"T{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}+08:00"
    )


def _name(chance: random.Random) -> str:
    return chance.choice(FAMILY) + "".join(chance.choices(GIVEN, k=2))


def _id(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
