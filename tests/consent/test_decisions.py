"""The decision table a privacy officer can read: every row of decisions.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from consent import policy
from consent.decide import decide, gates
from consent.model import (
    Decision,
    DenyHide,
    DenyTell,
    Permit,
    PermitEmergency,
    Reason,
    Redact,
)
from tests.consent import build

TABLE = tomllib.loads((Path(__file__).parent / "decisions.toml").read_text(encoding="utf-8"))
POLICIES = {name: policy.load(name, "Asia/Shanghai") for name in ("cn-optin", "opt-out")}
ANSWERS: dict[type[Decision], str] = {
    Permit: "PERMIT",
    PermitEmergency: "PERMIT-BTG",
    Redact: "REDACT",
    DenyHide: "DENY-HIDE",
    DenyTell: "DENY-TELL",
}
KEYS = {
    *("number", "situation", "answer", "because", "policy", "now", "who", "who_with", "purposes"),
    *("action", "relationships", "grant", "named_patient", "patient", "record", "record_with"),
    *("consents", "obligations", "not_obliged", "paths"),
}


def inputs(row: dict[str, Any]) -> Any:
    who = row.get("who", "dr-a1")
    person = {**TABLE["people"][who], **row.get("who_with", {})}
    record = {**TABLE["records"][row.get("record", "lab")], **row.get("record_with", {})}
    return (
        build.request(row, who, person),
        build.patient(row.get("patient", {})),
        [build.directive(one, n) for n, one in enumerate(row.get("consents", ()), start=1)],
        build.facets(record),
        POLICIES[row.get("policy", "opt-out")],
    )


@pytest.mark.parametrize("row", TABLE["case"], ids=lambda row: f"case-{row['number']}")
def test_the_table_says_what_is_answered(row: dict[str, Any]) -> None:
    assert row.keys() <= KEYS, f"misspelt key in case {row['number']}"

    decision = decide(*inputs(row))

    because = str(decision.reason)
    if decision.reason is Reason.DIRECTIVE:
        because = " ".join(f"directive {rule.split('/')[1]}" for rule in decision.rules)
    shown = f"case {row['number']}: {row['situation']}\n  got {decision}"
    assert (ANSWERS[type(decision)], because) == (row["answer"], row["because"]), shown
    for obligation in row.get("obligations", ()):
        assert obligation in decision.obligations, shown
    for obligation in row.get("not_obliged", ()):
        assert obligation not in decision.obligations, shown
    if "paths" in row:
        assert isinstance(decision, Redact), shown
        assert list(decision.paths) == row["paths"], shown


@pytest.mark.parametrize("row", TABLE["case"], ids=lambda row: f"case-{row['number']}")
def test_what_is_refused_openly_is_refused_before_any_record_is_touched(
    row: dict[str, Any],
) -> None:
    request, patient, _, _, county = inputs(row)

    gate = gates(request, patient, county)

    if row["answer"] == "DENY-TELL":
        assert isinstance(gate, DenyTell)
    elif isinstance(gate, DenyHide):
        assert not request.named_patient
    else:
        assert gate is None


def test_case_numbers_are_unique() -> None:
    numbers = [row["number"] for row in TABLE["case"]]
    assert len(numbers) == len(set(numbers))


def test_nobody_knows_a_patient_and_nobody_is_treating_one_sound_the_same() -> None:
    row = {"relationships": []}
    request, patient, _, _, county = inputs(row)
    unknown = build.PatientContext(charts=frozenset())

    assert gates(request, unknown, county) == gates(request, patient, county)
