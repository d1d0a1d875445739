"""Times as hospitals write them, read into FHIR text of the same precision and into µs UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(msgspec.Struct, frozen=True):
    """A time that could be read.

    `text` is FHIR (dateTime or date grammar) at the sender's precision, with the source's offset;
    `us` is the first instant it covers, µs UTC; `precise` says it has a time of day. `notes` are issue
    codes for what had to be filled or shortened.
    """

    text: str
    us: int
    precise: bool
    notes: tuple[str, ...] = ()


class BadTime(msgspec.Struct, frozen=True):
    """A time that could not be read, and the issue code that says why."""

    code: str


_COMPACT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:[T ]?(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?)?)?)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?"
)
_SPACED = re.compile(
    r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2})"
    r"(?:[T ]+(\d{1,2})(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?\s*(Z|[+-]\d\d:?\d\d)?"
)
_CHINESE = re.compile(
    r"(\d{4})年(\d{1,2})月(?:(\d{1,2})日"
    r"(?:\s*(\d{1,2})[时:](?:(\d\d)(?:[分:](?:(\d\d)秒?)?)?)?)?)?()()"
)
PLACEHOLDERS = frozenset({date(1900, 1, 1), date(9999, 12, 31), date(1, 1, 1), date(1753, 1, 1)})


@lru_cache(maxsize=8192)
def read(text: str, zone: ZoneInfo, form: str = "", pseudo_utc: bool = False) -> Moment | BadTime:
    """Read one time. An offset in the text wins over the source's zone; `Z` is Beijing time when
    `pseudo_utc` says that this source means it so. `form` is a strptime format; else HL7 stamps,
    ``2024-10-23 15:49:54`` and their relatives are tried in turn.
    """
    text = text.strip()
    if form:
        return _by_form(text, zone, form)
    if len(text) == 14 and text.isascii() and text.isdigit():
        # By far the most frequent: an hour of one zone is worked out once, the rest is put behind it.
        hour = _hour(text[:10], zone)
        minute, second = text[10:12], text[12:]
        if hour is not None and minute < "60" and second < "60":
            begin, start, east = hour
            seconds = int(minute) * 60 + int(second)
            return Moment(f"{begin}:{minute}:{second}{east}", start + seconds * 1_000_000, True)
    for shape in (_COMPACT, _SPACED, _CHINESE):
        if match := shape.fullmatch(text):
            return _moment(match.groups(), zone, pseudo_utc)
    return BadTime("bad-time")


@lru_cache(maxsize=2048)
def _hour(text: str, zone: ZoneInfo) -> tuple[str, int, str] | None:
    """Text, first µs and offset of an hour (``2026030209``) of which all minutes have that offset; else None."""
    first, last = (
        _moment((*_parts(text), minute, second, None, None), zone, False)
        for minute, second in (("00", "00"), ("59", "59"))
    )
    if isinstance(first, BadTime) or isinstance(last, BadTime) or text[8:] == "24":
        return None
    same = first.precise and not first.notes and first.text[19:] == last.text[19:]
    if not same or last.us - first.us != 3_599_000_000:
        return None
    return first.text[:13], first.us, first.text[19:]


def _parts(text: str) -> tuple[str, str, str, str]:
    return text[:4], text[4:6], text[6:8], text[8:]


def _by_form(text: str, zone: ZoneInfo, form: str) -> Moment | BadTime:
    try:
        parsed = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added just below
    except ValueError:
        return BadTime("bad-time")
    groups: list[str | None] = [f"{parsed:%Y}".rjust(4, "0"), f"{parsed:%m}", f"{parsed:%d}"]
    if "%H" in form or "%I" in form:
        groups += [f"{parsed:%H}", f"{parsed:%M}", f"{parsed:%S}" if "%S" in form else None]
        groups.append(f"{parsed:%f}".rstrip("0") or None if "%f" in form else None)
    else:
        groups += [None, None, None, None]
    return _moment((*groups, None), zone, False)


def _moment(groups: tuple[str | None, ...], zone: ZoneInfo, pseudo_utc: bool) -> Moment | BadTime:
    year, month, day, hour, minute, second, fraction, offset = groups
    try:
        first = date(int(year or 0), int(month or 1), int(day or 1))
    except ValueError:
        return BadTime("bad-time")
    if first in PLACEHOLDERS or not 1850 <= first.year <= 2200:
        return BadTime("placeholder-time")
    if not hour:
        start = datetime(first.year, first.month, first.day, tzinfo=zone)
        shown = f"{year}-{first.month:02}-{first.day:02}" if day else f"{year}-{first.month:02}"
        return Moment(shown if month else str(year), _micros(start), False)
    notes: tuple[str, ...] = () if second else ("seconds-filled",)
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    # 24:00 is the end of the day; nothing else after 23:59:59 is a time.
    extra = timedelta(days=1) if (hours, minutes, seconds) == (24, 0, 0) else timedelta()
    if hours > 24 - (not extra) or minutes > 59 or seconds > 59:
        return BadTime("bad-time")
    micro = int((fraction or "")[:6].ljust(6, "0"))
    naive = (
        datetime(first.year, first.month, first.day, hours % 24, minutes, seconds, micro)  # noqa: DTZ001 - zone below
        + extra
    )
    if offset and not (offset == "Z" and pseudo_utc):
        local = naive.replace(tzinfo=_offset(offset))
    else:
        local = naive.replace(tzinfo=zone)
    shift = local.utcoffset() or timedelta()
    if shift % timedelta(minutes=1) or abs(shift) > timedelta(hours=14):
        # Shanghai before 1901 was +08:05:43, which FHIR cannot write.
        return Moment(naive.date().isoformat(), _micros(local), False, (*notes, "old-time"))
    tail = f".{fraction}" if fraction else ""
    minutes_east = int(shift.total_seconds()) // 60
    sign = "-" if minutes_east < 0 else "+"
    east = f"{sign}{abs(minutes_east) // 60:02}:{abs(minutes_east) % 60:02}"
    return Moment(f"{naive:%Y-%m-%dT%H:%M:%S}{tail}{east}", _micros(local), True, notes)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return timezone(sign * timedelta(hours=min(int(digits[:2]), 23), minutes=int(digits[2:]) % 60))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
