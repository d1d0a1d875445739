"""Results of several laboratories share a row, a line or an axis only where that is safe."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition.charts import Changed, Undrawn, charts
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


@given(many)
@settings(max_examples=250, deadline=None)
def test_a_chart_draws_numbers_that_stand_and_holds_every_range(found):
    for chart in charts(found, views):
        for line in chart.lines:
            assert [p.at for p in line.points] == sorted(p.at for p in line.points)
            for point in line.points:
                assert point.reading.number
                assert not point.reading.withdrawn
                assert chart.bottom <= point.y <= chart.top
                for limit in (point.low, point.high):
                    assert limit is None or chart.bottom <= limit <= chart.top
                assert (point.view is None) == (point.reading.unit == chart.unit)
                assert bool(point.censored) == bool(point.reading.comparator)
            connected = [point for run in line.segments for point in run]
            assert connected == [point for point in line.points if not point.censored]
        assert not (chart.refused and chart.lines)


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


def test_a_converted_point_keeps_its_own_digits_and_says_what_it_was_converted_by():
    [chart] = charts(
        [reading(CREA, number="88.40"), reading(CREA, "tcm", loinc="2160-0", unit="mg/dL",
                                                number="1.02", low="0.5", high="1.1")],
        views,
    )  # fmt: skip
    assert (chart.unit, chart.caveat) == ("umol/L", Why.CONVERTED)
    [point] = next(line for line in chart.lines if line.organization == "tcm").points
    assert (point.reading.number, point.reading.unit) == ("1.02", "mg/dL")
    assert (point.view.text, point.view.unit) == ("90.2", "umol/L")
    assert Decimal("90.1") < point.y < Decimal("90.2")  # drawn finer than it may be written
    assert Decimal(44) < point.low < Decimal(45)
    assert Decimal(97) < point.high < Decimal(98)


def test_a_limit_is_drawn_at_the_limit_and_no_line_touches_it():
    [chart] = charts(
        [reading(day=-3), reading(day=-2, number="5", comparator="<"), reading(day=-1)], views
    )
    [line] = chart.lines
    assert [point.censored for point in line.points] == ["", "below", ""]
    assert [len(run) for run in line.segments] == [1, 1]


def test_what_is_not_drawn_is_named():
    [chart] = charts(
        [
            reading(),
            reading(day=-2, withdrawn=True),
            reading(day=-3, number=""),
            reading(number="7", at=None, key="untimed"),
        ],
        views,
    )
    assert sorted(why for _, why in chart.undrawn) == [
        Undrawn.NO_NUMBER, Undrawn.NO_TIME, Undrawn.WITHDRAWN,
    ]  # fmt: skip
    assert all(why.zh and why.en for why in Undrawn)


def test_results_that_cannot_be_compared_get_no_chart_and_a_reason():
    rivals = [reading(CKMB), reading(CKMB, "tcm")]
    assert [(c.lines, c.refused) for c in charts(rivals, views)] == [
        ((), Why.NOT_COMPARABLE), ((), Why.NOT_COMPARABLE),
    ]  # fmt: skip
    alone = charts([reading(CKMB), reading(CKMB, day=-5)], views)
    assert [(len(c.lines[0].points), c.refused) for c in alone] == [(2, None)]
    withdrawn = charts([reading(CKMB), reading(CKMB, "tcm", withdrawn=True)], views)
    assert [bool(chart.lines) for chart in withdrawn] == [True, False]


def test_a_line_breaks_where_method_instrument_or_range_change():
    [chart] = charts(
        [
            reading(CREA, day=-4, high="97", low="57"),
            reading(CREA, day=-3, high="104", low="57"),
            reading(CREA, day=-2, high="104", low="57", device="AU5800-1"),
            reading(CREA, day=-1, high="104", low="57", device="AU5800-2"),
        ],
        views,
    )
    [line] = chart.lines
    assert [one.changed for one in line.breaks] == [Changed.RANGE, Changed.METHOD]
    assert [len(run) for run in line.segments] == [2, 2]
    assert all(one.zh and one.en for one in Changed)


def test_a_quiet_course_does_not_look_like_a_storm():
    [chart] = charts([reading(number="100"), reading(number="101", day=-2)], views)
    assert chart.top - chart.bottom >= 20
    [low] = charts([reading(number="0.1"), reading(number="9", day=-2)], views)
    assert low.bottom >= 0


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
