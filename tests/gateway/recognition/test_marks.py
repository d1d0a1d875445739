"""Printed marks beside the register: what is counted agrees with what the rules flag."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.demo import story
from gateway.recognition.annex_d_2 import Walk
from gateway.recognition.catalogue import SHIPPED
from gateway.recognition.catalogue.reader import load
from gateway.recognition.eligibility import Receiver
from gateway.recognition.facts import LOINC, facts_of
from gateway.recognition.judgement import Flag
from gateway.recognition.marks import Misfit, misfits

NOW = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
CATALOGUE = load(SHIPPED, story.CATALOGUE, zone=UTC)
ALT, PLATELETS, UNLISTED = "1742-6", "777-3", "99999-9"


def result(
    id: str, loinc: str, mark: str = "", when: str = "2026-02-20T08:00:00Z"
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": loinc}]},
        "effectiveDateTime": when,
    }
    return made | marked(mark)


def marked(mark: str) -> dict[str, Any]:
    said = {"url": "http://county/StructureDefinition/hr-mark", "valueString": mark}
    return {"extension": [said]} if mark else {}


def report(mark: str, *results: str) -> dict[str, Any]:
    named = [{"reference": f"Observation/{id}"} for id in results]
    return {"resourceType": "DiagnosticReport", "id": "r", "result": named} | marked(mark)


def found(*resources: dict[str, Any], organization: str = "people") -> list[tuple[str, Any]]:
    known = {f"{one['resourceType']}/{one['id']}": one for one in resources}

    def at(reference: object) -> Mapping[str, Any]:
        return known.get(str(reference.get("reference")), {}) if isinstance(reference, dict) else {}

    return list(misfits(resources, at, organization, CATALOGUE, NOW, UTC))


CASES = [
    ("held", result("a", ALT, "【全国HR】"), ("HR-L-0001", None)),
    ("a star claims no scope", result("a", ALT, "★"), ("HR-L-0001", None)),
    (
        "a wider scope holds for a narrower mark",
        result("a", ALT, "［全国ｈｒ］"),
        ("HR-L-0001", None),
    ),
    ("unknown", result("a", ALT, "【火星HR】"), ("HR-L-0001", Misfit.UNKNOWN)),
    ("suspended", result("a", PLATELETS, "★"), ("HR-L-0053", Misfit.NOT_IN_REGISTER)),
    (
        "before it was granted",
        result("a", ALT, "★", "2023-12-31T08:00:00Z"),
        ("HR-L-0001", Misfit.NOT_IN_REGISTER),
    ),
    ("not on the list", result("a", UNLISTED, "★"), ("-", Misfit.NOT_LISTED)),
]


@pytest.mark.parametrize(("_situation", "one", "told"), CASES, ids=[row[0] for row in CASES])
def test_a_mark_beside_the_register(
    _situation: str, one: dict[str, Any], told: tuple[str, Misfit | None]
) -> None:
    assert found(one) == [told]


@pytest.mark.parametrize("one", [row[1] for row in CASES[:-1]], ids=[row[0] for row in CASES[:-1]])
def test_the_count_and_the_flag_of_the_rules_say_the_same(one: dict[str, Any]) -> None:
    facts = facts_of(
        one, version="1", content="c", organization="people", identity_tier=1, zone=UTC
    )
    flags = set(Walk(facts, Receiver("tcm"), CATALOGUE, NOW).judge().flags)
    ((_, misfit),) = found(one)
    assert (misfit is Misfit.UNKNOWN) == (Flag.MARK_UNKNOWN in flags)
    assert (misfit is Misfit.NOT_IN_REGISTER) == (Flag.MARK_NOT_IN_REGISTER in flags)


def test_a_mark_on_the_whole_report_speaks_for_its_listed_results_once() -> None:
    assert found(
        report("【全国HR】", "a", "b", "c"),
        result("a", ALT, "【全国HR】"),
        result("b", PLATELETS),
        result("c", UNLISTED),
    ) == [("HR-L-0001", None), ("HR-L-0053", Misfit.NOT_IN_REGISTER)]


def test_another_hospital_is_judged_by_its_own_entitlements() -> None:
    one = result("a", ALT, "【全国HR】")
    assert found(one, organization="tcm") == [("HR-L-0001", Misfit.NOT_IN_REGISTER)]


def test_results_without_a_mark_are_not_counted() -> None:
    assert found(report("", "a"), result("a", ALT)) == []
