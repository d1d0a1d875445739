"""The public C-CDA examples, whole documents and single sections: what comes out of each is agreed in a table."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mappings.engine import load
from mappings.engine.explain import Explained
from mappings.r4 import check, second
from tests import public
from tests.mappings.test_rows_golden import SITES, ids

HERE = Path(__file__).parent
SITE = load(HERE / "xml_sites" / "ccda.toml")
FILES = public.files(
    "hl7-ccda-examples/documents", "hl7-ccda-examples/sections", suffixes=(".xml",)
)
published = pytest.mark.skipif(not FILES, reason="published test data are missing")
TABLE = HERE / "xml_cases" / "ccda.txt"

# A fragment has no document around it, and ten of them use prefixes they do not declare.
HEAD = (
    '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xmlns:sdtc="urn:hl7-org:sdtc"><templateId root="2.16.840.1.113883.10.20.22.1.1"/>'
    '<id root="1.2.3" extension="D1"/><effectiveTime value="20240101120000-0500"/><recordTarget>'
    '<patientRole><id root="2.16.840.1.113883.19.5" extension="1"/></patientRole></recordTarget>'
    "<component><structuredBody><component>"
)
TAIL = "</component></structuredBody></component></ClinicalDocument>"


def document(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.parent.name == "documents":
        return raw
    text = raw.decode("utf-8-sig")
    return (HEAD + (text.partition("?>")[2] if text.startswith("<?xml") else text) + TAIL).encode()


def row(path: Path, explained: Explained) -> str:
    resources: Counter[str] = Counter()
    issues = Counter(f"{one.severity} {one.code}" for one in explained.issues)
    unread = 0
    for one in explained.messages:
        resources.update(made.type for made in one.message.resources)
        issues.update(f"{issue.severity} {issue.code}" for issue in one.message.issues)
        unread += sum(field.count for field in one.unread)

    def told(counts: Counter[str]) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "-"

    return f"{path.stem} | {told(resources)} | {told(issues)} | {unread}"


@published
def test_each_example_gives_what_the_table_says() -> None:
    rows = [row(path, SITE.explain(document(path), ids)) for path in FILES]
    text = "document or section | resources | issues | values no rule reads\n"
    text += "".join(f"{one}\n" for one in rows)
    if os.environ.get("WRITE_CASES"):
        TABLE.write_text(text, encoding="utf-8")
    assert text == TABLE.read_text(encoding="utf-8")


def found(name: str, type_: str) -> list[dict[str, Any]]:
    (path,) = (one for one in FILES if one.stem.startswith(name))
    return [
        json.loads(made.text())
        for message in SITE.read(document(path), ids).messages
        for made in message.resources
        if made.type == type_
    ]


@published
def test_no_known_problems_is_not_a_problem() -> None:
    assert found("Problems--No_Known", "Condition") == []
    (active,) = found("Problems--Active", "Condition")
    assert active["code"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert active["clinicalStatus"]["coding"][0]["code"] == "active"
    assert active["recorder"]["display"] == "Heartly Sixer"
    (over,) = found("Problems--Resolved", "Condition")
    assert over["clinicalStatus"]["coding"][0]["code"] == "resolved"
    assert over["abatementDateTime"].startswith("2014-04-05")


@published
def test_values_keep_what_the_laboratory_said() -> None:
    (above,) = found("Results--Result_with_greater", "Observation")
    assert above["valueQuantity"]["comparator"] == ">"
    assert above["referenceRange"][0]["text"] == "80-140"
    coded = found("Results--Result_panel_with_coded", "Observation")
    assert [one["valueCodeableConcept"]["text"] for one in coded] == ["Negative", "Positive"]
    (words,) = found("Results--Result_with_an_unstructured", "Observation")
    assert words["valueString"] == "Amber"


@published
def test_every_resource_of_the_examples_is_valid_r4_to_both_readers() -> None:
    for path in FILES:
        for message in SITE.read(document(path), ids).messages:
            for one in message.resources:
                assert check.text(one.text(), one.type) == [], f"{path.stem} {one.type}"
                assert second.faults(one.text(), one.type) == [], f"{path.stem} {one.type}"


@pytest.mark.parametrize(
    "path", sorted((HERE / "xml_cases" / "tcm-cda").glob("*.xml")), ids=lambda path: path.stem
)
def test_every_resource_of_a_golden_case_is_valid_r4_to_both_readers(path: Path) -> None:
    for message in load(SITES / "tcm-cda").read(path.read_bytes(), ids).messages:
        for one in message.resources:
            assert check.text(one.text(), one.type) == [], one.type
            assert second.faults(one.text(), one.type) == [], one.type


def unstructured(body: str) -> bytes:
    head = HEAD.replace("<structuredBody><component>", "")
    return f"{head}<nonXMLBody>{body}</nonXMLBody></component></ClinicalDocument>".encode()


def test_an_unstructured_body_is_kept_as_the_document_it_is() -> None:
    pdf = base64.b64encode(b"%PDF-1.4 invented").decode()
    raw = unstructured(f'<text mediaType="application/pdf" representation="B64">\n {pdf}\n</text>')
    (message,) = SITE.read(raw, ids).messages
    made = {one.type: json.loads(one.text()) for one in message.resources}
    (content,) = made["DocumentReference"]["content"]
    assert (
        content["attachment"]["contentType"] == made["Binary"]["contentType"] == "application/pdf"
    )
    assert base64.b64decode(made["Binary"]["data"]) == b"%PDF-1.4 invented"
    assert content["attachment"]["url"] == f"Binary/{made['Binary']['id']}"
    assert [issue.code for issue in message.issues] == ["unstructured-body"]


def test_a_body_that_lies_elsewhere_is_named_and_not_fetched() -> None:
    raw = unstructured(
        '<text mediaType="application/pdf"><reference value="https://127.0.0.1/a.pdf"/></text>'
    )
    (message,) = SITE.read(raw, ids).messages
    made = {one.type: json.loads(one.text()) for one in message.resources}
    assert made["DocumentReference"]["content"][0]["attachment"]["url"] == "https://127.0.0.1/a.pdf"
    assert "Binary" not in made


def test_broken_base64_holds_the_document_only() -> None:
    raw = unstructured('<text mediaType="application/pdf" representation="B64">JVBE$$$</text>')
    (message,) = SITE.read(raw, ids).messages
    assert {one.type for one in message.resources} == {"Patient", "Provenance"}
    assert ("hold", "attachment-broken") in {(one.severity, one.code) for one in message.issues}


@published
def test_an_undeclared_prefix_is_told_and_the_repair_named() -> None:
    (path,) = (one for one in FILES if one.stem.startswith("Results--Result_with_greater"))
    raw = document(path).replace(b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"', b"")
    assert [issue.code for issue in SITE.read(raw, ids).issues] == ["defect-undeclared-prefix"]
