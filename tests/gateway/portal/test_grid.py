"""Which results stand in one row, what a row and a column say, and what is drawn together."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.portal.grid import Grid, Row, grid, narrowed
from gateway.portal.plot import Plot, Undrawn, picture, plot
from gateway.portal.stories import Flag, Result
from gateway.recognition.series import Why
from tests.gateway.portal.fake_charts import (
    MCH,
    PEOPLE,
    TCM,
    many,
    measured,
    number,
    three_hospitals,
)
from tests.gateway.portal.fake_records import NOON

ZONE = ZoneInfo("Asia/Shanghai")


def rows(found: Grid, item: str) -> list[Row]:
    return [row for block in found.blocks for row in block.rows if row.name == item]


def said(row: Row) -> list[tuple[str, str]]:
    """(value, flag) of a row's cells, newest first."""
    return [(o.value, o.flag.raw) for n in sorted(row.cells) for o in row.cells[n]]


@pytest.fixture(scope="module")
def county() -> Grid:
    return grid(three_hospitals(NOON), ZONE)


def test_columns_are_times_with_their_hospital_newest_first(county: Grid) -> None:
    assert [(c.organization, c.at) for c in county.columns] == [
        (TCM, NOON - timedelta(days=1)),
        (PEOPLE, NOON - timedelta(days=2)),
        (MCH, NOON - timedelta(days=40)),
    ]
    assert [title for _, title in county.columns[0].reports] == ["中医综合", "肾功能"]


def test_what_may_be_compared_shares_a_row_and_says_unit_and_range_once(county: Grid) -> None:
    [row] = rows(county, "项目08")
    assert said(row) == [("4", "")] * 3
    assert (row.unit, row.range, row.apart) == ("U/L", "9-50", ())


def test_other_methods_and_units_stand_in_rows_of_their_own_that_say_why(county: Grid) -> None:
    found = rows(county, "肌酐")
    assert {(row.apart, row.unit, *said(row)) for row in found} == {
        ((TCM, "酶法"), "umol/L", ("97", "")),
        ((PEOPLE, "苦味酸法"), "umol/L", ("97", "")),
        ((MCH, "酶法"), "mg/dL", ("1.02", "")),
    }
    assert [row.sub for row in found] == [False, True, True]


def test_what_must_never_be_compared_is_never_a_row_below_another(county: Grid) -> None:
    found = rows(county, "D-二聚体")
    assert sorted(row.unit for row in found) == ["mg/L DDU", "mg/L FEU", "mg/L FEU"]
    assert not any(row.sub for row in found)
    assert [row.why is None for row in found] == [True, False, False]


def test_a_result_of_two_reports_stands_once(county: Grid) -> None:
    assert sum(len(cell) for row in rows(county, "肌酐") for cell in row.cells.values()) == 3


def test_limits_titres_and_words_stay_as_issued(county: Grid) -> None:
    values = {row.name: said(row)[0] for block in county.blocks for row in block.rows}
    assert values["高敏肌钙蛋白I"] == ("<0.01", "")
    assert values["抗核抗体"] == ("1:80", "★")
    assert values["尿蛋白"] == ("++", "阳性")


def test_panels_of_the_list_come_first_in_its_order(county: Grid) -> None:
    assert [block.zh for block in county.blocks][:3] == ["生化", "凝血", "心肌标志物"]
    assert county.blocks[0].rows[0].name == "肌酐"
    assert county.blocks[0].rows[-1].name == "钾"


def test_three_hundred_columns_make_three_hundred_columns() -> None:
    found = grid(many(300, NOON), ZONE)
    assert len(found.columns) == 300
    [row] = rows(found, "葡萄糖")
    assert sorted(row.cells) == list(range(300))
    assert [len(part) for part in found.parts(7)] == [7] * 42 + [6]


def test_a_day_without_an_hour_and_no_time_at_all_have_columns_too() -> None:
    reports = many(2, NOON)
    [only] = reports[1].results
    reports[1] = replace(reports[1], results=(replace(only, collected=date(2020, 1, 1)),))
    found = grid([*reports, replace(reports[0], id=number("x"), results=(
        replace(reports[0].results[0], id=number("y"), collected=None),))], ZONE)  # fmt: skip
    assert [c.at for c in found.columns] == [NOON, date(2020, 1, 1), None]


def test_only_what_its_own_laboratory_flagged_is_abnormal() -> None:
    found = narrowed(three_hospitals(NOON), abnormal=True, organization="")
    items = {one.item for report in found for one in report.results}
    assert items == {"抗核抗体", "尿蛋白", "钾"}  # sodium 151 is ours to compute, not to filter by
    assert {r.organization for r in narrowed(found, abnormal=False, organization=MCH)} == {MCH}


def test_what_lies_outside_its_own_limits_is_told_only_of_plain_numbers() -> None:
    def computed(value: str, limits: tuple[str, str]) -> str:
        one = measured("0" * 32, "t", "钠", value, "mmol/L", TCM, NOON, limits=limits)
        return one.detail.computed

    assert computed("151", ("137", "147")) == "high"
    assert computed("136.9", ("137", "147")) == "low"
    assert computed("147.0", ("137", "147")) == "normal"
    assert computed("1:80", ("", "1")) == ""
    assert computed("151", ("", "")) == ""


def of(item: str) -> list[Result]:
    every = {o.id: o for report in three_hospitals(NOON) for o in report.results}
    return [one for one in every.values() if one.item == item]


def test_each_laboratory_and_method_is_a_series_and_conversions_say_what_they_are() -> None:
    found = plot(of("肌酐"), ZONE)
    assert isinstance(found, Plot)
    assert not found.joined
    assert [(s.organization, s.method, len(s.points)) for s in found.series] == [
        (MCH, "酶法", 1),
        (PEOPLE, "苦味酸法", 1),
        (TCM, "酶法", 1),
    ]
    converted = found.series[0].points[0].converted
    assert converted is not None
    assert (converted.text, converted.unit) == ("90.2", "umol/L")
    assert converted.factor.startswith("× 10000 ÷ 113.")
    assert converted.version == "2026-03"
    assert found.series[1].points[0].converted is None
    assert found.series[0].points[0].result.value == "1.02"


def test_what_must_never_be_compared_is_not_drawn() -> None:
    assert plot(of("D-二聚体"), ZONE) == Undrawn("never", Why.OTHER_UNIT)


def test_titres_words_and_voided_results_are_not_drawn() -> None:
    assert plot(of("抗核抗体"), ZONE) == Undrawn("nothing")
    assert plot(of("尿蛋白"), ZONE) == Undrawn("nothing")
    found = plot(of("尿酸"), ZONE)
    assert isinstance(found, Plot)
    assert {s.organization for s in found.series} == {TCM, MCH}


def test_a_limit_alone_is_drawn_as_one() -> None:
    found = plot(of("高敏肌钙蛋白I"), ZONE)
    assert isinstance(found, Plot)
    points = [p for s in found.series for p in s.points]
    assert {(p.censored, p.y, p.low, p.high) for p in points} == {("<", 0.01, None, 0.04)}
    assert found.bottom <= 0 < 0.04 < found.top


def course(*values: str) -> Plot | Undrawn:
    """One laboratory's results of one test, a day apart."""
    results = [
        measured(number(str(n)), "t", "钾", value, "mmol/L", TCM, NOON + timedelta(days=n))
        for n, value in enumerate(values)
    ]
    return plot(results, ZONE)


def test_no_line_touches_a_limit() -> None:
    found = course("4.1", "4.2", "<0.5", "4.3", "4.4", "<0.5")
    assert isinstance(found, Plot)
    [(_, path)] = picture(found, ZONE).lines
    assert (path.count("M"), path.count("L")) == (2, 2)


def test_a_quiet_course_does_not_look_like_a_storm() -> None:
    found = course("100", "101")
    assert isinstance(found, Plot)
    assert found.top - found.bottom >= 20


def test_a_number_beyond_all_measuring_is_not_drawn() -> None:
    assert course("9" * 400) == Undrawn("nothing")
    found = course("4.1", "9" * 400)
    assert isinstance(found, Plot)
    assert found.top < 10


def test_a_changed_range_breaks_the_line_of_its_laboratory() -> None:
    first, second = (replace(r.results[0], organization=TCM) for r in reversed(many(2, NOON)))
    found = plot([replace(second, range="4.1-6.3"), first], ZONE)
    assert isinstance(found, Plot)
    [line] = found.series
    assert line.breaks == [line.points[1].at]


@given(
    st.lists(
        st.tuples(
            st.decimals("0.001", "99999", places=3),
            st.decimals("0.001", "999", places=2),
            st.integers(0, 4_000),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_everything_drawn_lies_inside_the_drawing(
    given_: list[tuple[object, object, int, bool]],
) -> None:
    results = [
        measured(number(str(n)), "t", "钾", str(value), "mmol/L", TCM, NOON - timedelta(days=days),
                 limits=("", str(high)) if half else ("0.001", str(high)), flag=Flag("", ""))
        for n, (value, high, days, half) in enumerate(given_)
    ]  # fmt: skip
    found = plot(results, ZONE)
    assert isinstance(found, Plot)
    drawn = picture(found, ZONE)
    assert len(drawn.points) == len(results)
    assert all(58 <= d.x <= 946 and 12 <= d.y <= 270 for _, d in drawn.points)
    assert all(
        x >= 58 and x + w <= 946.2 and y >= 12 and y + h <= 270.2 for _, x, y, w, h in drawn.bands
    )
    assert 1 <= len(drawn.levels) <= 12
    assert len(drawn.months) <= 8
