"""The decision table a privacy officer can read: every row of decisions.toml."""

from __future__ import annotations

from typing import Any

import pytest

from consent import decide as deciding
from consent.decide import gates
from tests.consent import build, checks, table
from tests.consent.table import TABLE, answer, inputs, told, wrong

KEYS = {
    *("number", "situation", "answer", "because", "policy", "now", "who", "who_with", "purposes"),
    *("action", "relationships", "grant", "named_patient", "patient", "record", "record_with"),
    *("consents", "others", "obligations", "not_obliged", "paths", "until"),
    *("rules", "policy_with"),
}


@pytest.mark.parametrize("row", TABLE["case"], ids=lambda row: f"case-{row['number']}")
def test_the_table_says_what_is_answered(row: dict[str, Any]) -> None:
    assert row.keys() <= KEYS, f"misspelt key in case {row['number']}"

    decision = answer(row)

    shown = f"case {row['number']}: {row['situation']}\n  got {decision}"
    assert not wrong(row, decision), shown


def test_the_table_is_printed_as_pass_and_fail() -> None:
    right, broken = TABLE["case"][0], {**TABLE["case"][1], "answer": "PERMIT"}

    printed, failed = told([right, broken])

    head, first, second, total = printed.splitlines()
    assert head.startswith("No.")
    assert first.endswith("pass")
    assert "FAIL: ('DENY-TELL', 'no-relationship') instead of ('PERMIT'" in second
    assert (failed, total) == (1, "2 cases: 1 pass, 1 fail")


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 5, "abcd…"),
        ("知情同意书", 7, "知情同…"),
        ("同意", 4, "同意"),
    ],
)
def test_a_column_is_as_wide_as_the_terminal_shows_it(text: str, columns: int, shown: str) -> None:
    assert table._wide(text, columns) == shown


@pytest.mark.parametrize("row", TABLE["case"], ids=lambda row: f"case-{row['number']}")
def test_what_is_refused_openly_is_refused_before_any_record_is_touched(
    row: dict[str, Any],
) -> None:
    assert not checks.gate_wrong(deciding, row)


@pytest.mark.parametrize("row", TABLE["case"], ids=lambda row: f"case-{row['number']}")
def test_a_class_is_decided_as_its_record(row: dict[str, Any]) -> None:
    assert not checks.class_wrong(deciding, row)


def test_case_numbers_are_unique() -> None:
    numbers = [row["number"] for row in TABLE["case"]]
    assert len(numbers) == len(set(numbers))


def test_nobody_knows_a_patient_and_nobody_is_treating_one_sound_the_same() -> None:
    row: dict[str, Any] = {"relationships": []}
    request, patient, _, _, county = inputs(row)
    unknown = build.PatientContext(charts=frozenset())

    assert gates(request, unknown, county) == gates(request, patient, county)
