"""FHIR dates as intervals of microseconds UTC; a date without offset is the county's day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970 UTC; `moment` is aware."""
    return (moment - _EPOCH) // _MICRO


def moment(instant: int, zone: ZoneInfo | None = None) -> datetime:
    """The aware datetime of an instant, in UTC or in `zone`."""
    at = _EPOCH + timedelta(microseconds=instant)
    return at.astimezone(zone) if zone else at


@lru_cache(maxsize=4096)
def interval(text: str, zone: ZoneInfo) -> tuple[int, int] | None:
    """[start, end) of a FHIR date, dateTime or instant (R4 search 3.1.1.4.7); None if it is none."""
    match = _FORM.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        if day is None:
            first = date(int(year), int(month or 1), 1)
            if month is None:
                after = date(int(year) + 1, 1, 1)
            else:
                after = (first + timedelta(days=32)).replace(day=1)
            return _midnight(first, zone), _midnight(after, zone)
        if hour is None:
            first = date(int(year), int(month), int(day))
            return _midnight(first, zone), _midnight(first + timedelta(days=1), zone)
        at = datetime.fromisoformat(
            f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{'+00:00' if offset == 'Z' else offset or ''}"
        )
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
        start = micros(at)
    except (ValueError, OverflowError):
        return None
    if second is None:
        return start, start + 60_000_000
    if fraction is None:
        return start, start + 1_000_000
    shown = fraction[:6]
    start += int(shown.ljust(6, "0"))
    return start, start + 10 ** (6 - len(shown))


def _midnight(day: date, zone: ZoneInfo) -> int:
    return micros(datetime(day.year, day.month, day.day, tzinfo=zone))


@lru_cache(maxsize=256)
def instant_text(at: int, zone: ZoneInfo | None = None) -> str:
    """An instant as FHIR writes it, to the millisecond."""
    return moment(at, zone or ZoneInfo("UTC")).isoformat(timespec="milliseconds")
