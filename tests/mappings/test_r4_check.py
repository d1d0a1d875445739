"""Validity of incoming FHIR: what the models let pass is caught, places are FHIRPath, values stay unsaid."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mappings.engine import jsontext
from mappings.engine.model import Issue
from mappings.r4 import check
from tests import public

MINIMAL = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def found(content: dict[str, Any] | str) -> list[Issue]:
    text = content if isinstance(content, str) else json.dumps(content)
    node = jsontext.parse(text.encode())
    return check.resource(text.encode(), node, node.string("resourceType") or "")


def holds(content: dict[str, Any] | str) -> list[tuple[str, str]]:
    return [(issue.code, issue.place) for issue in found(content) if issue.severity == "hold"]


@pytest.mark.parametrize(
    ("more", "code", "place"),
    [
        ({"status": "banana"}, "r4-code", "status"),
        ({"status": None}, "r4-null", "status"),
        ({"code": None}, "r4-null", "code"),
        ({"category": []}, "r4-empty", "category"),
        ({"subject": {}}, "r4-empty", "subject"),
        ({"valueString": ""}, "r4-empty", "valueString"),
        ({"valueString": "a\0b"}, "r4-character", "valueString"),
        ({"valueQuantity": {"value": "6.10"}}, "r4-number-as-text", "valueQuantity.value"),
        ({"valueInteger": "1"}, "r4-number-as-text", "valueInteger"),
        ({"valueInteger": 1.5}, "r4-number", "valueInteger"),
        ({"valueBoolean": "true"}, "r4-type", "valueBoolean"),
        ({"valueString": 1}, "r4-type", "valueString"),
        ({"valueQuantity": {"value": 1, "comparator": "~"}}, "r4-code", "valueQuantity.comparator"),
        ({"category": {"text": "x"}}, "r4-type", "category"),
        ({"subject": [{"reference": "Patient/1"}]}, "r4-type", "subject"),
        ({"effectiveDateTime": "2026-13-01"}, "r4-form", "effectiveDateTime"),
        ({"issued": "2026-03-01"}, "r4-form", "issued"),
        (
            {"component": [{"code": {"text": "a"}}, {"valueInteger": 1}]},
            "r4-missing",
            "component[1].code",
        ),
        ({"foo": 1}, "r4-unknown", "foo"),
        ({"contained": [{"resourceType": "Foo"}]}, "r4-type-unknown", "contained[0]"),
        (
            {"contained": [{"resourceType": "Patient", "gender": "m"}]},
            "r4-code",
            "contained[0].gender",
        ),
    ],
)
def test_one_fault_is_named_where_it_is(more: dict[str, Any], code: str, place: str) -> None:
    assert (code, f"Observation.{place}") in holds(MINIMAL | more)


def test_two_values_for_one_result_are_refused() -> None:
    codes = [code for code, _ in holds(MINIMAL | {"valueString": "a", "valueInteger": 1})]
    assert codes == ["r4-choice"]


def test_a_value_and_a_reason_for_having_none_contradict_each_other() -> None:
    reason = {"dataAbsentReason": {"text": "x"}, "valueString": "y"}
    issues = [issue for issue in found(MINIMAL | reason) if issue.code == "r4-rule"]
    assert [(issue.severity, issue.rule) for issue in issues] == [("hold", "obs-6")]


def test_smaller_faults_are_noted_and_kept() -> None:
    more = {
        "valueQuantity": {"value": 1, "code": "mmol/L"},
        "referenceRange": [{"age": {"low": {"value": 1}}}],
        "subject": {"reference": "Medication/1"},
        "performer": [{"reference": "Medication/1"}],
    }
    issues = found(MINIMAL | more)
    assert {issue.severity for issue in issues} == {"note"}
    assert {(issue.code, issue.rule) for issue in issues} == {
        ("r4-rule", "qty-3"),
        ("r4-rule", "obs-3"),
        ("r4-reference", ""),
    }


def test_null_beside_an_extension_is_how_fhir_writes_it() -> None:
    patient = {
        "resourceType": "Patient",
        "name": [{"given": ["王", None], "_given": [None, {"id": "x"}]}],
        "gender": "male",
        "_birthDate": {"extension": [{"url": "http://x.example/y", "valueCode": "unknown"}]},
    }
    assert found(patient) == []


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ({"given": ["王", None]}, "given[1]"),
        ({"given": [None], "_given": [None]}, "given[0]"),
        ({"given": ["王"], "_given": [None, None]}, "_given[1]"),
        ({"family": "王", "_family": None}, "_family"),
        ({"family": "王", "_family": [{"id": "x"}]}, "_family"),
        ({"given": ["王"], "_given": {"id": "x"}}, "_given"),
        ({"_period": {"id": "x"}}, "_period"),
    ],
)
def test_null_and_extensions_out_of_place_are_refused(name: dict[str, Any], place: str) -> None:
    found_places = [at for _, at in holds({"resourceType": "Patient", "name": [name]})]
    assert f"Patient.name[0].{place}" in found_places


def test_a_missing_required_status_and_a_type_nobody_knows_are_named() -> None:
    without = {name: value for name, value in MINIMAL.items() if name != "status"}
    assert holds(without) == [("r4-missing", "Observation.status")]
    assert holds({"resourceType": "Beobachtung", "id": "1"}) == [("r4-type-unknown", "Beobachtung")]
    assert holds({"resourceType": "SubscriptionTopic", "id": "1"})[0][0] == "r4-type-unknown"


def test_types_that_r4b_dropped_are_still_r4() -> None:
    assert holds({"resourceType": "MedicinalProduct", "name": [{"productName": "x"}]}) == []
    assert holds({"resourceType": "MedicinalProduct", "name": []}) == [
        ("r4-empty", "MedicinalProduct.name")
    ]


def test_numbers_may_have_any_form_fhir_allows() -> None:
    text = '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":-1.00000e245}}'
    assert found(text) == []


@pytest.mark.parametrize("folder", ["hl7-fhir-r4-examples", "ihe-pixm", "ihe-pdqm"])
def test_published_examples_are_valid(folder: str) -> None:
    for path in sorted(public.folder(folder).glob("*.json")):
        raw = path.read_bytes()
        node = jsontext.parse(raw)
        issues = check.resource(raw, node, node.string("resourceType") or "")
        assert [issue for issue in issues if issue.severity == "hold"] == [], path.name


def test_no_issue_says_what_stood_there() -> None:
    secret = "330421198001010005"
    more = {
        "status": secret,
        "effectiveDateTime": secret,
        "valueQuantity": {"value": secret, "unit": ""},
        "subject": {"reference": secret, "display": secret + "\0"},
        secret: 1,
    }
    issues = found(MINIMAL | more)
    assert len(issues) >= 5
    for issue in issues:
        assert secret not in issue.text("zh") + issue.text("en")
    assert "Observation.?" in {issue.place for issue in issues}
