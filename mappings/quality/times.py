"""Detectors of times: three that are one (1), several ways to write one (9), a clock that starts late (11)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from mappings.quality.counting import OK, STRUCK, Days, Judged, Label, together
from mappings.quality.sighting import Resource, Sighting

# 1. Report, audit and study time computed from one variable.


def equal_times(seen: Sighting) -> Iterator[Label]:
    """Reports with a time of the examination and one of the report, both to the minute or finer."""
    for report in seen.of("DiagnosticReport"):
        period = report.get("effectivePeriod") or {}
        done = report.get("effectiveDateTime") or period.get("start") or period.get("end")
        issued = report.get("issued")
        if _exact(done) and _exact(issued):
            yield section(report), STRUCK if _same(str(done), str(issued)) else OK


def section(report: Resource) -> str:
    """The service section of a report (LAB, CT …), a code of HL7 table 0074 or DICOM; else a dash."""
    for concept in report.get("category") or ():
        for coding in concept.get("coding") or ():
            code = str(coding.get("code", ""))
            if _SECTION.match(code):
                return code
    return "-"


_SECTION = re.compile(r"[A-Z]{2,12}\Z")


def _exact(text: object) -> bool:
    return isinstance(text, str) and "T" in text


def _same(one: str, other: str) -> bool:
    try:
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    except (ValueError, TypeError):
        return one == other


# 9. Two forms of date in one field, and Beijing time written as UTC.

_STAMP = re.compile(
    r"(?P<year>(?:19|20)\d\d)(?:"
    r"(?P<compact>(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d(?:[0-5]\d(?:\.\d+)?)?)?)"
    r"|(?P<sign>[-/.])\d{1,2}(?P=sign)\d{1,2}(?:(?P<gap>[T ])\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?)?"
    r"|年\d{1,2}月\d{1,2}日.*"
    r")(?P<zone>Z|[+-]\d\d:?\d\d)?\Z"
)
_DIGITS = re.compile(r"\d+")
_EARLY = timedelta(minutes=10)  # clocks of senders are this wrong, and no more


def time_formats(seen: Sighting) -> Iterator[Label]:
    """Each time at its field: how it is written, and whether its Z can be true."""
    stamps = [(cell.place, cell.text, found) for cell in seen.cells if (found := _stamp(cell.text))]
    local = {_instant(text) for _, text, found in stamps if not found["zone"]} - {None}
    for place, text, found in stamps:
        yield place, _form(found)
        timed = found["gap"] or len(found["compact"] or "") > 4
        if found["zone"] == "Z" and timed and not seen.pseudo_utc:
            yield place, "Z true" if _is_utc(text, local, seen) else "Z false"


def _stamp(text: str) -> re.Match[str] | None:
    return _STAMP.match(text.strip()) if 8 <= len(text) <= 40 else None


def _form(found: re.Match[str]) -> str:
    if found["compact"] is not None:
        form = "compact"
    elif found["sign"] is None:
        form = "年月日"
    else:
        form = found["sign"] + (found["gap"] or "")
        if form == "-":
            form = "- "  # a bare date fits beside a time written after it, with T or a blank
    return form + {"Z": " Z", None: ""}.get(found["zone"], " offset")


def _instant(text: str) -> tuple[int, ...] | None:
    """The digits of a time to the minute at least, whatever stands between them."""
    digits = "".join(_DIGITS.findall(text.partition(".")[0].split("+")[0]))
    return tuple(map(int, digits[:14])) if len(digits) >= 12 else None


def _is_utc(text: str, local: set[Any], seen: Sighting) -> bool:
    """Beijing time with a Z repeats a local time of the message, or lies ahead of its arrival."""
    digits = _instant(text)
    if digits is None:
        return True
    if digits in local:
        return False
    try:
        numbers = [int("".join(map(str, digits[a:b]))) for a, b in _PARTS if digits[a:b]]
        at = datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type,misc]
    except (ValueError, TypeError):
        return True
    arrived = datetime.fromtimestamp(seen.arrived / 1e6, UTC)
    ahead = at - arrived
    return not _EARLY < ahead <= timedelta(seconds=seen.offset)


_PARTS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))


def formats_mixed(days: Days) -> Judged:
    """Struck are the times of a field that are not written as most of that field, and every false Z."""
    usual: dict[str, tuple[int, str]] = {}
    for (place, form), n in together(days).items():
        if not form.startswith("Z "):
            usual[place] = max(usual.get(place, (0, "")), (n, form))
    judged: Judged = {}
    for day, counted in days.items():
        struck: Counter[str] = Counter()
        total = 0
        for (place, form), n in counted.items():
            if form == "Z false":
                struck[f"{place} +8h"] += n
            elif form != "Z true":
                total += n
                if form != usual[place][1]:
                    struck[place] += n
        judged[day] = (total, struck)
    return judged


# 11. Validity computed from the report's time, because nobody says when the specimen was taken.


def clock_source(seen: Sighting) -> Iterator[Label]:
    """Laboratory results: was the specimen's own time sent, or does the clock start at the report?"""
    for result in seen.of("Observation"):
        if not _laboratory(result):
            continue
        collection = seen.at(result.get("specimen")).get("collection") or {}
        done = result.get("effectiveDateTime") or (result.get("effectivePeriod") or {}).get("start")
        if any(name.startswith("collected") for name in collection):
            yield "collected", OK
        elif not done:
            yield "no time", STRUCK
        elif _same(str(done), str(result.get("issued", ""))):
            yield "report time", STRUCK
        else:
            yield "effective", OK


def _laboratory(result: Resource) -> bool:
    return any(
        coding.get("code") in {"laboratory", "LAB"}
        for concept in result.get("category") or ()
        for coding in concept.get("coding") or ()
    )
