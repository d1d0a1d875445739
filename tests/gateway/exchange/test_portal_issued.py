"""Results are read as issued: no digit, sign or flag is lost on the way to the screen."""

from __future__ import annotations

import json
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import issued
from gateway.exchange.residents import Age, age

ZONE = ZoneInfo("Asia/Shanghai")
digits = st.from_regex(
    r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)


@given(digits)
def test_every_digit_that_was_sent_is_shown(number: str) -> None:
    text = f'{{"resourceType":"Observation","valueQuantity":{{"value":{number},"unit":"U/L"}}}}'
    assert issued.value(issued.parsed(text.encode())) == number


@given(st.text(max_size=12), digits)
def test_what_the_map_kept_verbatim_comes_first(words: str, number: str) -> None:
    result = {
        "valueQuantity": {"value": number, "unit": "mmol/L"},
        "referenceRange": [{"text": "0-1"}],
        "extension": [
            {
                "url": "https://gateway.example/fhir/StructureDefinition/result-raw",
                "extension": [
                    {"url": "value", "valueString": words},
                    {"url": "range", "valueString": words},
                ],
            }
        ],
    }
    assert issued.value(result) == words
    assert issued.reference_range(result) == words
    assert issued.unit(result) == "", "a unit that was not sent is not added"


@pytest.mark.parametrize(
    ("element", "shown"),
    [
        ({"valueQuantity": {"comparator": "<", "value": "0.010"}}, "<0.010"),
        ({"valueString": "1:80"}, "1:80"),
        ({"valueRatio": {"numerator": {"value": "1"}, "denominator": {"value": "160"}}}, "1:160"),
        ({"valueRange": {"low": {"value": "5"}, "high": {"value": "10"}}}, "5-10"),
        ({"valueCodeableConcept": {"coding": [{"code": "x", "display": "阴性"}]}}, "阴性"),
        ({"valueInteger": "3"}, "3"),
        ({"dataAbsentReason": {"text": "标本溶血"}}, "标本溶血"),
        ({"component": [{"code": {"text": "收缩压"}, "valueQuantity": {"value": "138", "unit": "mmHg"}}]}, "收缩压 138 mmHg"),
        ({}, ""),
    ],
)  # fmt: skip
def test_each_kind_of_value_has_its_spelling(element: dict[str, object], shown: str) -> None:
    assert issued.value(json.loads(json.dumps(element))) == shown


@pytest.mark.parametrize(
    ("codes", "raw", "kind", "shown"),
    [
        (["H"], "↑", "high", "↑"),
        ([], "↓", "low", "↓"),
        (["HH"], "", "very-high", "HH"),
        ([], "阳性", "abnormal", "阳性"),
        ([], "Ｈ", "high", "Ｈ"),
        ([], "★", "unread", "★"),
        ([], "", "", ""),
    ],
)
def test_a_flag_is_sorted_but_never_softened(
    codes: list[str], raw: str, kind: str, shown: str
) -> None:
    interpretation: dict[str, object] = {"coding": [{"code": code} for code in codes]}
    if raw:
        interpretation["text"] = raw
    assert issued.flag({"interpretation": [interpretation]}) == (kind, shown)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-03-01", date(2026, 3, 1)),
        ("2026-03-01T08:30:00+08:00", datetime(2026, 3, 1, 8, 30, tzinfo=ZONE)),
        ("2026-03", None),
        ("x", None),
        (None, None),
    ],
)
def test_a_day_stays_a_day(text: str | None, found: date | None) -> None:
    assert issued.when(text, ZONE) == found


@pytest.mark.parametrize(
    ("birth", "found"),
    [
        (date(2026, 3, 1), Age(0, "day")),
        (date(2026, 2, 2), Age(27, "day")),
        (date(2026, 2, 1), Age(1, "month")),
        (date(2024, 3, 2), Age(23, "month")),
        (date(2024, 3, 1), Age(2, "year")),
        (date(1980, 3, 2), Age(45, "year")),
        (date(2026, 3, 2), None),
        (None, None),
    ],
)
def test_ages_are_said_as_clinicians_say_them(birth: date | None, found: Age | None) -> None:
    assert age(birth, date(2026, 3, 1)) == found
