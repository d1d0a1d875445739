"""What a resource says of itself: dates best first, links of our own ids, errors told as errors."""

from __future__ import annotations

import base64
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.records.extract import IDENTIFIER, INLINE_LABEL, Said, number_digest, read
from gateway.records.instant import interval

ZONE = ZoneInfo("Asia/Shanghai")
ID = "ab" * 16


def said(type: str, **members: Any) -> Said:
    return read(json.dumps({"resourceType": type, **members}).encode(), ZONE)


def concept(code: str, system: str = "urn:s") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@pytest.mark.parametrize("type", ["Condition", "AllergyIntolerance"])
def test_a_diagnosis_entered_in_error_says_so(type: str) -> None:
    """R4: only verificationStatus tells; clinicalStatus is then absent."""
    wrong = said(type, verificationStatus=concept("entered-in-error"))
    assert wrong.status == "entered-in-error"
    assert (
        said(type, clinicalStatus=concept("active"), verificationStatus=concept("confirmed")).status
        == "active"
    )


def test_codes_and_categories_carry_their_system_once() -> None:
    found = said(
        "Observation",
        code={
            "coding": [{"system": "a", "code": "1"}, {"system": "a", "code": "1"}, {"code": "2"}]
        },
        category=[concept("laboratory"), concept("exam")],
    )
    assert found.codes == ("a|1", "|2")
    assert found.categories == ("urn:s|laboratory", "urn:s|exam")


def test_the_best_date_wins() -> None:
    both = said("Observation", issued="2026-03-02", effectiveDateTime="2026-03-01")
    assert (both.start, both.end) == interval("2026-03-01", ZONE)
    period = said("Encounter", period={"start": "2026-03-01", "end": "2026-03-02"})
    first, last = interval("2026-03-01", ZONE), interval("2026-03-02", ZONE)
    assert first
    assert last
    assert (period.start, period.end) == (first[0], last[1])
    assert said("Encounter", period={"start": "2026-03-01"}).end is None
    assert said("Encounter", period={"end": "2026-03-02"}).start is None
    assert said("Observation", effectiveDateTime="not a date").start is None


def test_links_are_our_own_ids_only() -> None:
    found = said(
        "DiagnosticReport",
        result=[
            {"reference": f"Observation/{ID}"},
            {"reference": f"Observation/{ID}/_history/3"},
            {"reference": "Observation/abc"},
            {"reference": f"https://elsewhere.example/Observation/{ID}"},
            {"display": "no reference"},
        ],
        encounter={"reference": f"Encounter/{'cd' * 16}"},
    )
    assert set(found.links) == {
        ("result", bytes.fromhex(ID)),
        ("encounter", bytes.fromhex("cd" * 16)),
    }


def test_what_a_result_replaces_and_its_laboratorys_own_number_are_links() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/observation-replaces"
    own = {"type": {"coding": [{"system": "urn:0203", "code": "FILL"}]}, "value": "7"}
    found = said(
        "Observation",
        extension=[
            {"url": url, "valueReference": {"reference": f"Observation/{ID}"}},
            {"url": "urn:other", "valueReference": {"reference": f"Observation/{'cd' * 16}"}},
        ],
        identifier=[{"system": "urn:lab", **own}, {"system": "urn:lab", "value": "8"}, 5],
    )
    assert set(found.links) == {
        ("relatesto", bytes.fromhex(ID)),
        (IDENTIFIER, number_digest("urn:lab|7")),
    }


@pytest.mark.parametrize(
    "value", [None, 5, "x", [], [None], {"coding": None}, {"coding": [None, 5]}]
)
def test_odd_shapes_are_nothing_and_no_fault(value: Any) -> None:
    found = said(
        "Observation", code=value, category=value, status=value, subject=value, performer=value,
        effectivePeriod=value, encounter=value, meta=value,
    )  # fmt: skip
    assert found.codes == ()
    assert found.links == ()


def test_every_coding_feeds_the_labels_wherever_it_stands() -> None:
    found = said(
        "Observation",
        code=concept("1"),
        valueCodeableConcept=concept("2"),
        component=[{"code": concept("3"), "valueCodeableConcept": concept("4")}],
        contained=[{"resourceType": "Condition", "code": concept("5")}],
        subject={"identifier": {"system": "urn:s", "value": "x"}, "type": "Patient"},
    )
    assert found.codings == tuple(("urn:s", str(n)) for n in range(1, 6))


def test_labels_of_elements_and_words_of_narrative_and_plain_attachments_are_read() -> None:
    """What a source says of one element raises; words are found wherever they are shown."""
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    deep: dict[str, Any] = {"extension": [{"url": INLINE_LABEL, "valueCoding": coding}]}
    for _ in range(5):
        deep = {"component": [deep]}
    page = base64.b64encode("<p>抑<b>郁</b></p>".encode("gb18030")).decode()
    found = said(
        "DiagnosticReport",
        **deep,
        text={"div": "<div>梅<i>毒</i></div>"},
        presentedForm=[{"contentType": "text/html", "data": page}],
        securityLabel=[{"coding": [{"system": "s", "code": "R"}]}],
    )
    assert found.inline == ((coding["system"], "PSY"),)
    assert {"梅毒", "抑郁"} <= set(found.texts)
    assert ("s", "R") in found.labels
