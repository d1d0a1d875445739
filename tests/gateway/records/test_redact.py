"""What is left of a record that may be shown in part: its own bytes, and nothing that tells of the rest."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.labels import LabelFacts, label
from gateway.records import extract
from gateway.records.entry import Nature, Part
from gateway.records.extract import INLINE_LABEL
from gateway.records.redact import MARKS, is_redacted, redacted

HERE, THERE = "a" * 32, "b" * 32
ZONE = ZoneInfo("Asia/Shanghai")
REST = ("N", ())


def nature(*paths: str, kind: str = "Observation") -> Nature:
    parts = tuple(Part(path, "R", ("HIV",)) for path in paths)
    return Nature(kind, "people", (), (), "R", ("HIV",), labels="1", parts=parts, rest=REST)


def cut(
    text: str, *paths: str, withheld: tuple[str, ...] = (), kind: str = "Observation"
) -> tuple[bytes, dict[str, Any]]:
    copy = redacted(text.encode(), nature(*paths, kind=kind), paths, withheld, "v2")
    return copy, json.loads(copy)


def test_a_component_goes_with_the_narrative_and_its_labels_and_the_rest_keeps_its_digits() -> None:
    label_of = f'{{"url":"{INLINE_LABEL}","valueCoding":{{"system":"s","code":"HIV"}}}}'
    copy, plain = cut(
        '{"resourceType":"Observation","id":"x","meta":{"versionId":"v1","lastUpdated":"t",'
        '"security":[{"code":"HIV"}],"extension":[{"url":"why"}]},"text":{"div":"<div>HIV</div>"},'
        '"component":[{"code":{"text":"HIV"}},{"valueQuantity":{"value":6.10},"extension":'
        f"[{label_of}]"
        ',"note":"好"}]}',
        "component[0]",
    )
    assert b"6.10" in copy
    assert b"HIV" not in copy
    assert plain["component"] == [{"valueQuantity": {"value": 6.1}, "note": "好"}]
    assert plain["meta"]["versionId"] == "v2"
    assert [one["code"] for one in plain["meta"]["security"]] == ["N", *MARKS]
    assert "text" not in plain


def test_the_last_component_takes_its_list_along() -> None:
    _, plain = cut('{"meta":{},"id":"x","component":[{"code":{"text":"HIV"}}]}', "component[0]")
    assert set(plain) == {"meta", "id"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'"result":[{{"reference":"Observation/{HERE}"}},{{"reference":"Observation/{THERE}"}}]',
         {"result": [{"reference": f"Observation/{HERE}"}]}),
        (f'"result":[{{"reference":"Observation/{THERE}/_history/1","display":"HIV"}}]', {}),
        (f'"encounter":{{"reference":"Encounter/{THERE}"}}', {}),
        (f'"diagnosis":[{{"condition":{{"reference":"Condition/{THERE}"}},"rank":1}}]', {}),
        (f'"context":{{"related":[{{"reference":"ServiceRequest/{THERE}"}}],"x":1}}', {"context": {"x": 1}}),
        (f'"content":[{{"attachment":{{"url":"Binary/{THERE}","size":3}}}}]', {}),
        (f'"subject":{{"reference":"Patient/{HERE}"}}', {"subject": {"reference": f"Patient/{HERE}"}}),
        ('"presentedForm":[{"title":"HIV"}]', {}),
    ],
)  # fmt: skip
def test_a_reference_to_what_is_withheld_goes_with_what_it_is_about(
    before: str, after: dict[str, Any]
) -> None:
    text = f'{{"meta":{{"versionId":"1"}},"id":"x",{before}}}'
    _, plain = cut(text, withheld=(THERE,), kind="DiagnosticReport")
    del plain["meta"]
    assert plain == {"id": "x", **after}


COMPONENTS = st.lists(
    st.tuples(st.sampled_from(["HIV抗体", "梅毒", "PHQ-9", "血红蛋白", "收缩压"]), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(COMPONENTS, st.sampled_from(["", "HIV阳性"]))
def test_a_copy_that_is_labelled_again_has_no_label_that_was_withheld(
    components: list[tuple[str, bool]], narrative: str
) -> None:
    told = [
        {
            "code": {"text": name},
            "valueString": name,
            **({"extension": [inline()]} if tagged else {}),
        }
        for name, tagged in components
    ]
    resource = {"id": "x", "resourceType": "Observation", "meta": {}, "code": {"text": "组合"},
                "text": {"div": f"<div>{narrative}</div>"}, "component": told}  # fmt: skip
    paths = [
        f"component[{number}]"
        for number, one in enumerate(told)
        if labelled({"resourceType": "Observation", "component": [one]}) != frozenset()
    ]
    if paths:
        _, plain = cut(json.dumps(resource, ensure_ascii=False), *paths)
        assert labelled(plain) == frozenset()


def inline() -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    return {"url": INLINE_LABEL, "valueCoding": {"system": system, "code": "HIV"}}


def labelled(resource: dict[str, Any]) -> frozenset[str]:
    said = extract.said(resource, ZONE)
    return label(
        LabelFacts(said.type, said.codings, said.texts, given=(*said.labels, *said.inline))
    ).sensitivities


@pytest.mark.parametrize(
    ("meta", "copy"),
    [
        (b'"security":[{"code":"REDACTED"}]', True),
        (b'"tag":[{"system":"x","code":"SUBSETTED"}]', True),
        (b'"security":[{"code":"R","display":"REDACTED"}]', False),
        (b"", False),
    ],
)
def test_a_copy_is_known_by_its_marks(meta: bytes, copy: bool) -> None:
    assert is_redacted(meta) is copy
