"""The fast reader, the slow one and fhir.resources judge the same resources: where they agree, and where not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.engine import jsontext
from mappings.engine.model import Issue
from mappings.r4 import check, definitions, second, structs
from tests import public

CASES = Path(__file__).parent
PUBLISHED = ["hl7-fhir-r4-examples", "ihe-balp", "ihe-mhd", "ihe-pcf", "ihe-pdqm", "ihe-pixm"]

FAULTY = {
    "Binary-B-ink.json": [("hold", "r4-form", "Binary.data")],  # its base64 is cut short
    # The performer is a resource type that R4 does not allow there.
    "Observation-clinical-gender.json": [
        ("note", "r4-reference", "Observation.performer[0].reference")
    ],
}
"""Published examples that are not valid, as they were published."""


def walked(raw: bytes) -> list[Issue]:
    """What the slow reader finds, whatever the fast one says."""
    node = jsontext.parse(raw)
    kind = node.string("resourceType") or ""
    return list(check.walk(node, kind))


def kind_of(raw: bytes) -> str:
    return str(json.loads(raw)["resourceType"])


@pytest.mark.parametrize("folder", PUBLISHED)
def test_published_resources_are_valid_for_both_readers(folder: str) -> None:
    for path in sorted(public.folder(folder).glob("*.json")):
        raw = path.read_bytes()
        issues = [(one.severity, one.code, one.place) for one in walked(raw)]
        assert issues == FAULTY.get(path.name, []), path.name
        if structs.accepts(raw, kind_of(raw)):
            assert issues == [], path.name


def test_nearly_all_published_resources_need_no_walk() -> None:
    left: list[str] = []
    for path in public.files(*PUBLISHED):
        raw = path.read_bytes()
        if not structs.accepts(raw, kind_of(raw)) and path.name not in FAULTY:
            content = json.loads(raw)
            if "contained" not in json.dumps(content):
                left.append(path.name)
    # Every other one contains a resource, or wears what machines seldom write.
    assert len(left) <= 10, left


_START = re.compile(r'\{\s*"resourceType"')


def golden() -> Iterator[tuple[str, bytes]]:
    """The text of every resource in the expected outputs of all cases, digits as they stand there."""
    for path in sorted(CASES.glob("*cases/**/*.fhir.json")):
        text, at = path.read_text("utf-8"), 0
        while start := _START.search(text, at):
            _, at = json.JSONDecoder().raw_decode(text, start.start())
            yield path.name, text[start.start() : at].encode()


def text_of(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def test_whatever_our_maps_make_is_plainly_valid() -> None:
    seen = 0
    for name, raw in golden():
        # What a source sends itself may hold a contained resource; what is mapped does not.
        assert structs.accepts(raw, kind_of(raw)) or b'"contained"' in raw, (name, walked(raw))
        assert walked(raw) == [], name
        seen += 1
    assert seen > 100


THREADS = """
import sys, threading
from mappings.r4 import structs
sys.setswitchinterval(1e-6)
RAW = b'{"resourceType":"%s","status":"final","code":{"text":"x"},"extension":[{"url":"u","valueString":"x"}]}'
kinds = ["Observation"] * 4 + ["DiagnosticReport"] * 4
told = []
def work(kind):
    told.append(structs.accepts(RAW % kind.encode(), kind))
threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
for one in threads: one.start()
for one in threads: one.join()
print(sorted(set(told)), len(told))
"""


def test_threads_that_meet_a_type_at_once_all_get_the_whole_of_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[True] 8\n"


# --- the second opinion ----------------------------------------------------------------------------


DIFFERENT = {
    # ours refuses, fhir.resources accepts
    "Observation-clinical-gender.json": "it does not know which types a reference may point at",
}


@pytest.mark.parametrize("folder", PUBLISHED)
def test_fhir_resources_agrees_but_for_what_is_listed(folder: str) -> None:
    for path in sorted(public.folder(folder).glob("*.json")):
        raw = path.read_bytes()
        same = (walked(raw) == []) == (second.faults(raw, kind_of(raw)) == [])
        assert same is (path.name not in DIFFERENT), path.name


def test_fhir_resources_finds_nothing_in_what_our_maps_make() -> None:
    for name, raw in golden():
        assert second.faults(raw, kind_of(raw)) == [], name


def test_the_second_opinion_names_paths_and_no_values() -> None:
    raw = text_of(OBSERVATION | {"effectiveDateTime": "赵一", "赵一": 1, "foo": 1})
    paths = second.faults(raw, "Observation")
    assert {"Observation.effectiveDateTime", "Observation.foo", "Observation.?"} <= set(paths)
    assert second.faults(b'{"resourceType":"MedicinalProduct"}', "MedicinalProduct") == []


OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


@pytest.mark.parametrize(
    ("more", "code", "place"),
    [
        ({"status": "banana"}, "r4-code", "status"),
        ({"valueQuantity": {"value": 1, "comparator": "~"}}, "r4-code", "valueQuantity.comparator"),
        ({"subject": {"reference": "Medication/1"}}, "r4-reference", "subject.reference"),
        ({"category": []}, "r4-empty", "category"),
        ({"subject": None}, "r4-null", "subject"),
        ({"valueString": "a\0b"}, "r4-character", "valueString"),
        ({"referenceRange": [{}]}, "r4-empty", "referenceRange[0]"),
        ({"valueString": "x", "dataAbsentReason": {"text": "y"}}, "r4-rule", ""),
        ({"valueQuantity": {"value": "6.10"}}, "r4-number-as-text", "valueQuantity.value"),
        ({"implicitRules": "a b"}, "r4-form", "implicitRules"),
    ],
)
def test_what_fhir_resources_lets_pass_is_refused_here(
    more: dict[str, Any], code: str, place: str
) -> None:
    raw = text_of(OBSERVATION | more)
    assert second.faults(raw, "Observation") == []  # when this fails, the library has learnt it
    assert not structs.accepts(raw, "Observation")
    full = f"Observation.{place}" if place else "Observation"
    assert (code, full) in [(issue.code, issue.place) for issue in walked(raw)]


@pytest.mark.parametrize("digits", ["6.10", "0.010", "1.00000", "-1.00000e245", "1e2", "9" * 40])
def test_a_decimal_may_be_written_in_any_way_and_stays_so(digits: str) -> None:
    raw = text_of(OBSERVATION)[:-1] + b', "valueQuantity": {"value": %b}}' % digits.encode()
    assert check.text(raw, "Observation") == []
    assert digits.encode() in raw  # nothing is written, so nothing can change


@pytest.mark.parametrize("value", ["1abc", "NaN", True, None, {}, [], "9" * 5000, -0.0])
def test_a_wrong_kind_of_value_anywhere_is_told_and_never_raises(value: Any) -> None:
    """Invariants look into elements that may hold anything."""
    made = [
        OBSERVATION | {"valueRange": {"low": {"value": value}, "high": {"value": 1}}},
        OBSERVATION | {"effectivePeriod": {"start": value, "end": "2026-03-01T00:00:00Z"}},
        OBSERVATION | {"code": {"coding": value}, "valueString": "x", "component": value},
        {"resourceType": "Condition", "subject": {}, "clinicalStatus": value, "category": value},
        {"resourceType": "List", "mode": value, "entry": [{"deleted": value}]},
        {"resourceType": "Bundle", "type": "document", "entry": value, "identifier": value},
        {"resourceType": "Bundle", "type": "message", "entry": [{"resource": value}]},
        {"resourceType": "Appointment", "status": value, "cancelationReason": value},
        {"resourceType": "Group", "actual": value, "member": [value]},
        {"resourceType": "Organization", "address": value, "telecom": [value]},
        OBSERVATION | {"effectiveTiming": {"repeat": {"duration": value, "period": value}}},
        OBSERVATION | {"contained": value, "subject": {"reference": value}},
        OBSERVATION | {"contained": [value], "subject": value},
    ]
    for content in made:
        raw = text_of(content)
        assert not structs.accepts(raw, str(content["resourceType"])) or walked(raw) == []
        walked(raw)


# --- break one thing -------------------------------------------------------------------------------


@cache
def valid() -> list[Any]:
    """Valid resources to break: the published ones and what our maps make."""
    made = [json.loads(raw) for _, raw in golden()]
    published = [
        json.loads(path.read_bytes())
        for path in public.files(*PUBLISHED)
        if path.name not in FAULTY and path.stat().st_size < 20_000
    ]
    return made[::7] + published


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of everything below a node, `resourceType` and extensions' contents left out."""
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    for name, value in inner:
        if name in ("resourceType", "extension", "contained", "modifierExtension"):
            continue
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, name))


def shown(kind: str, path: tuple[str | int, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return kind + "".join(steps)


def put(node: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The node with another value at a path; nothing else changes."""
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = put(node[path[0]], path[1:], value)
    return copy


BREAKS: dict[str, Any] = {
    "null": None,
    "empty array": [],
    "empty object": {},
    "empty text": "",
    "control character": "a\u0001b",
    "array in an array": [[1]],
    "unknown element": {"unknownElement": 1},
}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_one_broken_thing_is_refused_at_its_place(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(valid()))
    path = data.draw(st.sampled_from(sorted(leaves(content), key=str)))
    name = data.draw(st.sampled_from(sorted(BREAKS)))
    kind = content["resourceType"]
    broken = put(content, path, BREAKS[name])
    raw = text_of(broken)
    assert not structs.accepts(raw, kind)
    place = shown(kind, path)
    places = [issue.place for issue in walked(raw)]
    assert any(found == place or found.startswith((place + ".", place + "[")) for found in places)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_fast_reader_never_accepts_what_the_slow_one_faults(data: st.DataObject) -> None:
    """Anything at all in any place: taken from elsewhere, of another type, twice, or gone."""
    content = data.draw(st.sampled_from(valid()))
    other = data.draw(st.sampled_from(valid()))
    kind = content["resourceType"]
    path = data.draw(st.sampled_from(sorted(leaves(content), key=str)))
    from_there = data.draw(st.sampled_from(sorted(leaves(other), key=str)))
    value: Any = other
    for step in from_there:
        value = value[step]
    value = data.draw(st.sampled_from([value, [value], str(value), 1, 1.5, True, "Patient/1"]))
    raw = text_of(put(content, path, value))
    found = walked(raw)  # and it never raises
    if structs.accepts(raw, kind):
        assert found == []


def test_a_missing_required_element_is_named_by_each_reader() -> None:
    for content in valid():
        kind = content["resourceType"]
        for name in definitions.required(kind):
            if name in content and f"_{name}" not in content:
                without = {key: value for key, value in content.items() if key != name}
                raw = text_of(without)
                assert not structs.accepts(raw, kind)
                assert ("r4-missing", f"{kind}.{name}") in [
                    (issue.code, issue.place) for issue in walked(raw)
                ]
