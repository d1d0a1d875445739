"""FHIR dates as intervals: precision is width, and a date without offset is the county's day."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records.instant import instant_text, interval, micros, moment

COUNTY = ZoneInfo("Asia/Shanghai")
SECOND = 1_000_000
DAY = 86_400 * SECOND
days = st.dates(date(1, 1, 2), date(9998, 12, 30))
# Before 1901 local time was not a whole number of minutes from UTC; from 1992 there is no summer time.
modern = st.datetimes(datetime(1992, 1, 1), datetime(9998, 12, 30))
offsets = st.integers(-14 * 60, 14 * 60)


def offset_text(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@given(days)
def test_a_date_is_the_countys_day_from_midnight_to_midnight(day: date) -> None:
    found = interval(day.isoformat(), COUNTY)
    after = day + timedelta(days=1)
    assert found == (
        micros(datetime(day.year, day.month, day.day, tzinfo=COUNTY)),
        micros(datetime(after.year, after.month, after.day, tzinfo=COUNTY)),
    )


@given(st.integers(1, 9998), st.integers(1, 12))
def test_a_month_is_all_its_days_and_a_year_all_its_months(year: int, month: int) -> None:
    whole = interval(f"{year:04}", COUNTY)
    part = interval(f"{year:04}-{month:02}", COUNTY)
    first = interval(f"{year:04}-{month:02}-01", COUNTY)
    last = interval(f"{year:04}-{month:02}-{monthrange(year, month)[1]}", COUNTY)
    assert whole is not None
    assert part is not None
    assert first is not None
    assert last is not None
    assert part == (first[0], last[1])
    assert whole[0] <= part[0] < part[1] <= whole[1]


@given(modern, offsets)
def test_an_offset_says_which_instant(at: datetime, minutes: int) -> None:
    text = at.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    start = micros(at.replace(microsecond=0, tzinfo=UTC)) - minutes * 60 * SECOND
    assert interval(text + offset_text(minutes), COUNTY) == (start, start + SECOND)


@given(modern)
def test_z_is_utc_and_no_offset_is_the_county(at: datetime) -> None:
    text = at.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    assert interval(f"{text}Z", COUNTY) == interval(f"{text}+00:00", COUNTY)
    assert interval(text, COUNTY) == interval(f"{text}+08:00", COUNTY)


@given(modern, st.integers(1, 9))
def test_a_fraction_is_as_wide_as_its_last_digit(at: datetime, digits: int) -> None:
    fraction = f"{at.microsecond:06}000"[:digits]
    text = f"{at.strftime('%Y-%m-%dT%H:%M:%S').rjust(19, '0')}.{fraction}Z"
    found = interval(text, COUNTY)
    assert found is not None
    assert found[0] == micros(at.replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=UTC))
    assert found[1] - found[0] == 10 ** (6 - min(digits, 6))


def test_minutes_without_seconds_are_a_minute() -> None:
    assert interval("2026-03-01T12:30+08:00", COUNTY) == (
        micros(datetime(2026, 3, 1, 4, 30, tzinfo=UTC)),
        micros(datetime(2026, 3, 1, 4, 31, tzinfo=UTC)),
    )


def test_in_the_summers_of_1986_to_1991_the_clock_was_put_forward() -> None:
    spring = interval("1986-05-04", COUNTY)
    assert spring is not None
    assert spring[1] - spring[0] == DAY - 3600 * SECOND
    july = interval("1988-07-01T00:00:00", COUNTY)
    assert july == interval("1988-07-01T00:00:00+09:00", COUNTY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-29",
        "1900-02-29",
        "2026-02-30",
        "2026-13",
        "2026-00",
        "2026-1-1",
        "26-01-01",
        "20260101",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:60:00Z",
        "2026-01-01T12",
        "2026-01-01T12:00:00+8:00",
        "2026-01-01T12:00:00+25:00",
        "2026-01-01T12:00:00.Z",
        "2026-01-01 12:00:00",
        "2026-01-01T12:00:00Z\n",
        " 2026",
        "二〇二六",
        "２０２６-01-01",
        "0000",
        "2026-01-01T12:00:00.1234567890Z",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert interval(text, COUNTY) is None


@pytest.mark.parametrize("text", ["2024-02-29", "2000-02-29"])
def test_leap_days_are_days(text: str) -> None:
    found = interval(text, COUNTY)
    assert found is not None
    assert found[1] - found[0] == DAY


@pytest.mark.parametrize("text", ["9999-12-31", "9999", "9999-12"])
def test_the_end_of_time_is_no_date(text: str) -> None:
    """Hospital systems write it for "still going on": no end is what that means."""
    assert interval(text, COUNTY) is None


@given(st.integers(-(2**55), 2**55))
def test_an_instant_is_written_so_that_it_can_be_read_again(at: int) -> None:
    assert micros(moment(at)) == at
    assert micros(moment(at, COUNTY)) == at
    if abs(at) < 2**50:  # within the years 1935 to 2005 offsets are whole minutes
        found = interval(instant_text(at, COUNTY), COUNTY)
        assert found is not None
        assert found[0] == at // 1000 * 1000
