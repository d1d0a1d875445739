"""Results of several laboratories share a row, a line or an axis only where that is safe."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition.series import (
    Reading,
    Together,
    Why,
    comparable,
    item_for,
    reading_of,
    rows,
    second_mark,
)
from mappings.engine.conversions import views
from tests.gateway.recognition.table import CATALOGUE, DAY, NOON, facts

ITEMS = {item.code: item for item in CATALOGUE.items}
ALT, CREA, CKMB, CEA, HBSAG = (
    ITEMS[code] for code in ("HR-L-0001", "HR-L-0013", "HR-L-0027", "HR-L-0068", "HR-L-0071")
)


def reading(item=ALT, organization="people", day=-1.0, number="30", **more) -> Reading:
    made = Reading(
        key=f"{organization}/{day}/{number}",
        organization=organization,
        test=item.code if item else "999-1",
        loinc=item.loinc[0] if item else "999-1",
        item=item,
        specimen="serum",
        unit=item.ucum[0] if item and item.ucum else "",
        number=number,
        at=NOON + round(day * DAY),
    )
    return replace(made, **more)


@pytest.mark.parametrize(
    ("a", "b", "together", "why"),
    [
        (reading(), reading(organization="tcm"), "line", "listed"),
        (reading(), reading(organization="tcm", specimen="plasma"), "line", "listed"),
        (reading(), reading(organization="tcm", specimen=""), "line", "listed"),
        (reading(), reading(organization="tcm", specimen="urine"), "never", "other-specimen"),
        (reading(), reading(CREA), "never", "other-test"),
        (reading(CREA), reading(CREA, "tcm"), "series", "other-laboratory"),
        (reading(CREA), reading(CREA, method="酶法"), "series", "other-method"),
        (reading(CREA, method="酶法"), reading(CREA, method="酶法", day=-2), "line", "same"),
        (reading(CREA), reading(CREA, loinc="2160-0", unit="mg/dL"), "series", "converted"),
        (reading(CREA), reading(CREA, loinc="14682-9", unit="g/L"), "never", "other-unit"),
        (reading(CREA), reading(CREA, loinc="x", unit="U/L"), "never", "other-quantity"),
        (reading(CREA), reading(CREA, "tcm", unit=""), "never", "other-unit"),
        (reading(CKMB), reading(CKMB, "tcm"), "never", "not-comparable"),
        (reading(CKMB), reading(CKMB, day=-3), "line", "same"),
        (reading(CEA), reading(CEA, "tcm"), "never", "other-platform"),
        (reading(CEA), reading(CEA, day=-3), "line", "same"),
        (
            reading(CEA, device="COBAS E801-1"),
            reading(CEA, "tcm", device="cobas e801-2"),
            "series",
            "other-laboratory",
        ),
        (
            reading(CEA, device="COBAS E801"),
            reading(CEA, device="ARCHITECT I2000"),
            "never",
            "other-platform",
        ),
        (reading(None), reading(None, "tcm"), "series", "unknown-item"),
        (reading(None), reading(None, "tcm", specimen="blood"), "never", "other-specimen"),
        (reading(None, unit="g/L"), reading(None, "tcm", unit="mg/dL"), "never", "other-unit"),
        (reading(None), reading(None, day=-4), "line", "same"),
    ],
)
def test_what_two_results_may_share(a, b, together, why):
    found = comparable(a, b, views)
    assert (found.together, found.why) == (together, why)
    assert comparable(b, a, views) == found
    assert found.zh
    assert found.en


readings = st.builds(
    reading,
    st.sampled_from([ALT, CREA, CKMB, CEA, HBSAG, None]),
    st.sampled_from(["people", "tcm"]),
    st.integers(-400, 0),
    st.sampled_from(["30", "31.50", ""]),
    specimen=st.sampled_from(["serum", "plasma", "", "urine"]),
    method=st.sampled_from(["", "酶法"]),
    device=st.sampled_from(["", "COBAS E801-1", "COBAS E801-2", "I2000"]),
    unit=st.sampled_from(["U/L", "umol/L", "mg/dL", "ng/mL", ""]),
    loinc=st.sampled_from(["1742-6", "14682-9", "2160-0"]),
    low=st.sampled_from(["", "10"]),
    high=st.sampled_from(["", "40"]),
    comparator=st.sampled_from(["", "", "<", ">"]),
    withdrawn=st.sampled_from([False, False, True]),
)
many = st.lists(readings, max_size=9, unique_by=lambda one: one.key)


@given(many)
@settings(max_examples=250, deadline=None)
def test_rows_and_comparing_say_the_same(found):
    made = rows(found, views)
    placed = [
        (one, n, m)
        for n, row in enumerate(made)
        for m, p in enumerate(row.parts)
        for one in p.readings
    ]
    assert sorted(one.key for one, _, _ in placed) == sorted(one.key for one in found)
    for (a, row_a, part_a), (b, row_b, part_b) in combinations(placed, 2):
        together = comparable(a, b, views).together
        if row_a != row_b:
            assert together is Together.NEVER
        elif part_a != part_b:
            assert together is Together.SERIES
        else:
            assert together is Together.LINE
    for row in made:
        for part in row.parts:
            assert all((a.at, b.key) >= (b.at, a.key) for a, b in pairwise(part.readings))


def test_one_row_for_all_hospitals_where_the_catalogue_lists_it_so():
    [row] = rows([reading(), reading(organization="tcm", day=-2)], views)
    [part] = row.parts
    assert (part.organization, part.unit, len(part.readings)) == ("", "U/L", 2)


def test_a_head_with_a_part_for_each_laboratory_method_and_unit():
    found = rows(
        [
            reading(CREA),
            reading(CREA, "tcm", method="酶法"),
            reading(CREA, "tcm", loinc="2160-0", unit="mg/dL", number="1.02"),
        ],
        views,
    )
    assert [(p.organization, p.method, p.unit) for p in found[0].parts] == [
        ("people", "", "umol/L"), ("tcm", "", "mg/dL"), ("tcm", "酶法", "umol/L"),
    ]  # fmt: skip
    assert len(found) == 1


def test_rows_of_one_test_that_stand_apart_say_why():
    found = rows([reading(CKMB), reading(CKMB, "tcm"), reading(ALT)], views)
    assert [(row.test, row.apart) for row in found] == [
        (CKMB.code, None), (CKMB.code, Why.NOT_COMPARABLE), (ALT.code, None),
    ]  # fmt: skip


def test_words_in_the_place_of_a_number_stay_in_the_row_of_their_item():
    [row] = rows([reading(CREA), reading(CREA, number="", unit="", day=-2)], views)
    assert [len(part.readings) for part in row.parts] == [2]


@pytest.mark.parametrize(
    ("more", "mark"),
    [
        ({"number": "30"}, "normal"),
        ({"number": "9"}, "low"),
        ({"number": "41"}, "high"),
        ({"number": "40"}, "normal"),
        ({"number": "41", "low": ""}, "high"),
        ({"number": "30", "low": ""}, ""),
        ({"number": "30", "low": "", "high": ""}, ""),
        ({"number": "41", "unit": ""}, ""),
        ({"number": ""}, ""),
        ({"number": "41", "withdrawn": True}, ""),
        ({"number": "5", "comparator": "<"}, "low"),
        ({"number": "20", "comparator": "<"}, ""),
        ({"number": "1000", "comparator": ">"}, "high"),
        ({"number": "20", "comparator": ">"}, ""),
    ],
)
def test_the_second_mark_says_only_what_its_own_range_says(more, mark):
    assert second_mark(reading(**{"low": "10", "high": "40"} | more)) == mark


def test_a_reading_is_read_from_what_the_laboratory_sent():
    result = {
        "resourceType": "Observation",
        "valueQuantity": {"value": "13.20", "unit": "U/L", "code": "U/L", "comparator": "<"},
        "referenceRange": [{"low": {"value": "9", "unit": "U/L"}, "high": {"value": "50.0"}}],
    }
    found = reading_of(result, facts(), ALT)
    assert (found.number, found.comparator, found.low, found.high) == ("13.20", "<", "9", "50.0")
    assert (found.test, found.organization, found.unit) == (ALT.code, "people", "U/L")
    titre = {"valueRatio": {"numerator": {"value": "1"}, "denominator": {"value": "8"}}}
    assert reading_of(titre, facts(), ALT).number == ""
    other = {"valueQuantity": {"value": 1, "unit": "mg/dL"},
             "referenceRange": [{"low": {"value": 9, "unit": "U/L"}}]}  # fmt: skip
    assert reading_of(other, facts(), ALT).low == ""
    unmapped = msgspec.structs.replace(facts(), loinc=())
    assert reading_of(result, unmapped, None, local="urn:x|ALT").test == "people|urn:x|ALT"


def test_an_item_is_found_by_its_code_or_by_what_its_unit_is_listed_to_convert_to():
    assert item_for(CATALOGUE, facts(), NOON, views) == ALT
    imported = msgspec.structs.replace(facts(), loinc=("2160-0",), unit="mg/dL")
    assert item_for(CATALOGUE, imported, NOON, views) == CREA
    stranger = msgspec.structs.replace(facts(), loinc=("2160-0",), unit="furlong")
    assert item_for(CATALOGUE, stranger, NOON, views) is None
