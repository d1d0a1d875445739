"""Every form a result is met in, from OBX to the Observation: what it becomes, and that its own words stay.

The rows are those of the design's value table and of what Chinese laboratories were seen to send.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mappings.engine import Message, load

PEOPLE = load(Path(__file__).parent.parent.parent / "mappings" / "sites" / "people")
HEAD = (
    "MSH|^~\\&|LIS|330421A|GATEWAY|330421|20260302102100||ORU^R01|V1|P|2.4|||AL|AL|CHN|GBK",
    "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M",
    "OBR|1|R1|S1|X^某项|||20260302075800|||||||20260302081500|SER^血清|||||||20260302102100||CH|F",
)
UCUM = "http://unitsofmeasure.org"
TEN = {"system": UCUM, "code": "10*9/L"}


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


def read(
    type_: str, value: str, unit: str = "", range_: str = "", flag: str = "", state: str = "F"
) -> Message:
    obx = f"OBX|1|{type_}|Q1^某项||{value}|{unit}|{range_}|{flag}|||{state}"
    (message,) = PEOPLE.read(("\r".join((*HEAD, obx)) + "\r").encode("gb18030"), ids).messages
    return message


def observation(message: Message) -> dict[str, Any]:
    """With numbers as text, so that a digit more or less is seen."""
    (text,) = [mapped.text() for mapped in message.resources if mapped.type == "Observation"]
    return dict(json.loads(text, parse_float=str, parse_int=str))


def codes(message: Message) -> set[str]:
    return {issue.code for issue in message.issues} - {"unmapped-code"}


def quantity(value: str, unit: str = "", comparator: str = "", **coded: str) -> dict[str, Any]:
    node = {"value": value}
    node |= {"comparator": comparator} if comparator else {}
    node |= {"unit": unit} if unit else {}
    return {"valueQuantity": node | coded}


def word(code: str, text: str) -> dict[str, Any]:
    system = "https://gateway.example/fhir/CodeSystem/ordinal"
    return {"valueCodeableConcept": {"coding": [{"system": system, "code": code}], "text": text}}


def absent(code: str, text: str = "") -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    node: dict[str, Any] = {"coding": [{"system": system, "code": code}]}
    return {"dataAbsentReason": node | ({"text": text} if text else {})}


def ratio(first: str, second: str, comparator: str = "") -> dict[str, Any]:
    below = {"value": second} | ({"comparator": comparator} if comparator else {})
    return {"valueRatio": {"numerator": {"value": first}, "denominator": below}}


def between(low: str, high: str, unit: str = "", **coded: str) -> dict[str, Any]:
    shown = ({"unit": unit} if unit else {}) | coded
    return {"valueRange": {"low": {"value": low} | shown, "high": {"value": high} | shown}}


FORMS = [
    # numbers keep their digits
    ("NM", "6.10", "", quantity("6.10"), set()),
    ("NM", "1.00000", "", quantity("1.00000"), set()),
    ("ST", "62.40", "U/L", quantity("62.40", "U/L", system=UCUM, code="U/L"), set()),
    ("NM", ".5", "", quantity("0.5"), set()),
    ("NM", "5.", "", quantity("5"), set()),
    ("NM", "+5.2", "", quantity("5.2"), set()),
    ("NM", "065.88", "", quantity("65.88"), set()),
    ("NM", "-1.50", "", quantity("-1.50"), set()),
    ("NM", "0", "", quantity("0"), set()),
    ("NM", "６．１０", "", quantity("6.10"), set()),
    ("NM", "1.2E+10", "", quantity("1.2e+10"), set()),
    # comparators
    ("ST", "<0.01", "", quantity("0.01", comparator="<"), set()),
    ("ST", "＜0.1", "", quantity("0.1", comparator="<"), set()),
    ("ST", "＞1000", "", quantity("1000", comparator=">"), set()),
    ("ST", "≤0.5", "", quantity("0.5", comparator="<="), set()),
    ("ST", ">=20", "", quantity("20", comparator=">="), set()),
    ("ST", "=>20", "", quantity("20", comparator=">="), set()),
    # arrows and letters behind the number
    ("ST", "6.10↑", "", quantity("6.10"), set()),
    ("ST", "6.1 H", "", quantity("6.1"), set()),
    ("ST", "62.4↓↓", "", quantity("62.4"), set()),
    # not guessed
    ("NM", "1,234", "", {"valueString": "1,234"}, {"ambiguous-number"}),
    # titres
    ("ST", "1:80", "", ratio("1", "80"), set()),
    ("ST", "1：8", "", ratio("1", "8"), set()),
    ("ST", ">1:640", "", ratio("1", "640", ">"), set()),
    ("ST", "1:>640", "", ratio("1", "640", ">"), set()),
    ("ST", "阳性(1:16)", "", ratio("1", "16"), set()),
    # ranges of microscopy
    ("ST", "3-5", "/HP", between("3", "5", "/HP", system=UCUM, code="/[HPF]"), set()),
    ("ST", "0.4--8", "", between("0.4", "8"), set()),
    ("ST", "0-1/HP", "", between("0", "1", "/HP", system=UCUM, code="/[HPF]"), set()),
    ("ST", "0～2", "个/HP", between("0", "2", "个/HP", system=UCUM, code="/[HPF]"), set()),
    # words
    ("ST", "+", "", word("1+", "+"), set()),
    ("ST", "++", "", word("2+", "++"), set()),
    ("ST", "2+", "", word("2+", "2+"), set()),
    ("ST", "+3", "", word("3+", "+3"), set()),
    ("ST", "±", "", word("trace", "±"), set()),
    ("ST", "+-", "", word("trace", "+-"), set()),
    ("ST", "阴性(-)", "", word("neg", "阴性(-)"), set()),
    ("ST", "阴性（-）", "", word("neg", "阴性（-）"), set()),
    ("ST", "(-)", "", word("neg", "(-)"), set()),
    ("ST", "阳性(+)", "", word("pos", "阳性(+)"), set()),
    ("ST", "弱阳性", "", word("weak", "弱阳性"), set()),
    ("ST", "未见", "", word("not-detected", "未见"), set()),
    ("ST", "未检出", "", word("not-detected", "未检出"), set()),
    ("ST", "Neg", "", word("neg", "Neg"), set()),
    ("ST", "REACTIVE", "", word("pos", "REACTIVE"), set()),
    ("NM", "阴性", "", word("neg", "阴性"), set()),
    # a number and the laboratory's word for it
    ("ST", "0.35(可疑)", "", quantity("0.35"), set()),
    # no result
    ("ST", "溶血", "", absent("error", "溶血"), set()),
    ("ST", "未做", "", absent("not-performed", "未做"), set()),
    ("ST", "标本不足", "", absent("not-performed", "标本不足"), set()),
    ("ST", "见附页", "", absent("as-text", "见附页"), set()),
    ("ST", "复查", "", absent("temp-unknown", "复查"), set()),
    ("ST", "/", "", absent("unknown", "/"), set()),
    ("ST", ".", "", absent("unknown", "."), set()),
    ("ST", "****", "", absent("error", "****"), set()),
    ("NM", "", "", absent("unknown"), set()),
    ("NM", '""', "", absent("unknown"), set()),
    # structured numbers
    ("SN", ">^100", "", quantity("100", comparator=">"), set()),
    ("SN", "^6.10", "", quantity("6.10"), set()),
    ("SN", "=^6.10", "", quantity("6.10"), set()),
    ("SN", "^1^:^128", "", ratio("1", "128"), set()),
    ("SN", "^3^-^5", "", between("3", "5"), set()),
    ("SN", "^2^+", "", word("2+", "2+"), set()),
    # days and times
    ("DT", "20260301", "", {"valueDateTime": "2026-03-01"}, set()),
    ("DT", "202603", "", {"valueDateTime": "2026-03"}, set()),
    ("TS", "20260301083000", "", {"valueDateTime": "2026-03-01T08:30:00+08:00"}, set()),
    ("DTM", "2026-03-01 08:30:15", "", {"valueDateTime": "2026-03-01T08:30:15+08:00"}, set()),
    ("TM", "0830", "", {"valueTime": "08:30:00"}, set()),
    ("TM", "08:30:15", "", {"valueTime": "08:30:15"}, set()),
    ("DT", "末次月经不详", "", {"valueString": "末次月经不详"}, {"text-value"}),
    # narrative, arrays, and what nobody foresaw
    ("FT", "未见明显异常\\.br\\建议复查", "", {"valueString": "未见明显异常\n建议复查"}, set()),
    ("TX", "6.10", "", {"valueString": "6.10"}, set()),
    ("NA", "1^2^3", "", {"valueString": "1^2^3"}, {"text-value"}),
    ("ST", "见镜检报告单", "", {"valueString": "见镜检报告单"}, {"text-value"}),
    # units
    ("NM", "6.1", "10^9/L", quantity("6.1", "10^9/L", **TEN), {"unit-rejoined"}),
    ("NM", "6.1", "10\\S\\9/L", quantity("6.1", "10^9/L", **TEN), set()),
    ("NM", "6.1", "×10⁹/L", quantity("6.1", "×10⁹/L", **TEN), set()),
    ("NM", "6.1", "^10*9/L", quantity("6.1", "10*9/L", **TEN), set()),
    ("NM", "6.1", "μmol/L", quantity("6.1", "μmol/L", system=UCUM, code="umol/L"), set()),
    ("NM", "6.1", "u/L", quantity("6.1", "u/L"), {"unmapped-unit"}),
]
VALUES = ("valueQuantity", "valueRatio", "valueRange", "valueCodeableConcept", "valueString",
          "valueDateTime", "valueTime", "dataAbsentReason")  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "value", "unit", "expected", "issues"),
    FORMS,
    ids=[f"{row[0]} {row[1] or 'empty'} {row[2]}".strip() for row in FORMS],
)
def test_a_result_becomes_just_this_and_keeps_its_own_words(
    type_: str, value: str, unit: str, expected: dict[str, Any], issues: set[str]
) -> None:
    message = read(type_, value, unit)
    found = observation(message)
    assert {name: found[name] for name in VALUES if name in found} == expected
    assert codes(message) == issues
    raw = {
        part["url"]: part["valueString"]
        for one in found.get("extension", ())
        if one["url"].endswith("/result-raw")
        for part in one["extension"]
    }
    if value not in ("", '""'):
        assert raw["value"] == value.replace("\\.br\\", "\n")
    if unit:
        assert raw["unit"].lstrip("^") == unit.replace("\\S\\", "^").lstrip("^")


@pytest.mark.parametrize("dash", ["-", "－"])
def test_a_bare_dash_waits_until_the_site_says_what_it_means(dash: str) -> None:
    message = read("ST", dash)
    assert "Observation" not in {mapped.type for mapped in message.resources}
    assert ("hold", "ambiguous-dash") in {(i.severity, i.code) for i in message.issues}


@pytest.mark.parametrize(
    ("value", "flag", "expected", "issues"),
    [
        ("6.10↑", "", ["H"], set()),
        ("6.10↑", "↑", ["H"], set()),
        ("6.10↑", "L", ["L"], {"flag-disagrees"}),
        ("6.1 H", "", ["H"], set()),
        ("62.4↓↓", "", ["LL"], set()),
        ("阳性(+)", "", ["POS"], set()),
        ("未检出", "", ["ND"], set()),
        ("0.35(可疑)", "", ["IND"], set()),
        ("6.10", "HH", ["HH"], set()),
        ("6.10", "偏高", ["H"], set()),
    ],
)
def test_a_flag_is_told_once_and_a_contradiction_is_said(
    value: str, flag: str, expected: list[str], issues: set[str]
) -> None:
    message = read("ST", value, flag=flag)
    nodes = observation(message).get("interpretation", ())
    assert [coding["code"] for node in nodes for coding in node["coding"]] == expected
    assert codes(message) == issues


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("F", "final", ""), ("C", "corrected", ""), ("A", "amended", ""), ("P", "preliminary", ""),
        ("S", "preliminary", ""), ("R", "preliminary", ""), ("I", "registered", ""),
        ("U", "final", ""), ("V", "final", ""), ("B", "final", ""),
        ("X", "cancelled", "not-performed"), ("D", "entered-in-error", ""),
        ("W", "entered-in-error", ""), ("N", "final", "not-asked"), ("", "final", ""),
        ("Q", "final", ""),
    ],
)  # fmt: skip
def test_obx_11_is_the_status_and_an_empty_or_unknown_one_is_the_reports(
    state: str, status: str, reason: str
) -> None:
    value = "" if reason or state == "I" else "6.10"
    message = read("NM", value, state=state)
    found = observation(message)
    assert found["status"] == status
    if reason:
        assert found["dataAbsentReason"]["coding"][0]["code"] == reason
    assert ("unknown-code" in codes(message)) is (state == "Q")
    assert ("wrong-patient" in codes(message)) is (state == "W")


def test_o_describes_the_order_and_is_no_result() -> None:
    assert "Observation" not in {mapped.type for mapped in read("NM", "", state="O").resources}


@pytest.mark.parametrize("report", ["", "Q"])
def test_nothing_is_ever_assumed_final(report: str) -> None:
    head = HEAD[2].replace("|CH|F", f"|CH|{report}")
    raw = "\r".join((*HEAD[:2], head, "OBX|1|NM|Q1^某项||6.10"))
    (message,) = PEOPLE.read(f"{raw}\r".encode("gb18030"), ids).messages
    assert "Observation" not in {mapped.type for mapped in message.resources}
    assert "must-missing" in codes(message)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("O", "registered"), ("I", "registered"), ("S", "registered"), ("A", "partial"),
        ("P", "preliminary"), ("R", "partial"), ("F", "final"), ("C", "corrected"),
        ("M", "corrected"), ("X", "cancelled"), ("Y", "unknown"), ("Z", "unknown"),
        ("N", "registered"),
    ],
)  # fmt: skip
def test_obr_25_is_the_status_of_the_report(state: str, status: str) -> None:
    head = HEAD[2].replace("|CH|F", f"|CH|{state}")
    raw = "\r".join((*HEAD[:2], head))
    (message,) = PEOPLE.read(f"{raw}\r".encode("gb18030"), ids).messages
    (report,) = [m.text() for m in message.resources if m.type == "DiagnosticReport"]
    assert json.loads(report)["status"] == status


def test_u_without_a_value_changes_the_stored_result_and_nothing_else() -> None:
    (mapped,) = [m for m in read("NM", "", state="U").resources if m.type == "Observation"]
    assert mapped.mode == "patch"
    body = json.loads(mapped.text())
    assert not {name for name in body if name.startswith(("value", "dataAbsent"))}
