"""How strictly a source's resources are judged, from which day on, and what is let pass until when.

    [validation]
    tier        = "report"        # faults are told; "strict" holds the resource (the default)
    strict_from = "2027-01-01"    # from this day on the tier is strict
    every       = 500             # how often a known shape of mapped output is looked at again

    [validation.allow]
    "Patient.identifier[].system" = "until 2027-03-01: the HIS is being upgraded"

The day is the message's day of arrival and comes from whoever calls, never from a clock in here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import msgspec

from mappings.engine.model import Finding, Issue
from mappings.engine.rules import Line, RuleFile
from mappings.r4 import definitions

Tier = Literal["report", "strict"]

EVERY: Final = 500
NEVER_LOOSENED: Final = frozenset(
    ["r4-type-unknown", "r4-type", "r4-null", "r4-character", "json-number-range", "json-surrogate"]
)
"""Faults that hold in every tier: a resource without the shape of its type cannot be searched or released."""

_WORDS: Final = ("tier", "strict_from", "every", "allow")
_UNTIL: Final = re.compile(r"\s*until\s+(\d{4}-\d\d-\d\d)\s*:\s*(\S.*)", re.DOTALL)
_INDEX: Final = re.compile(r"\[\d*\]")


@dataclass(frozen=True, slots=True)
class Allowance:
    """Faults at one path that do not hold, up to and including a day, for a reason that is written down."""

    path: str
    until: date
    reason: str
    line: str


@dataclass(frozen=True, slots=True)
class Validation:
    """The `[validation]` tables of a source. Without them everything is strict."""

    tier: Tier = "strict"
    strict_from: date | None = None
    every: int = EVERY
    allow: tuple[Allowance, ...] = ()

    def tier_on(self, day: date | None) -> Tier:
        """The tier on a day; on an unknown day the strictest the map names."""
        if self.tier == "strict" or (self.strict_from is None and day is None):
            return self.tier
        if self.strict_from is None:
            return "report"
        return "strict" if day is None or day >= self.strict_from else "report"

    def judged(
        self, faults: Iterable[Issue], place: str, type_: str, day: date | None
    ) -> list[Issue]:
        """The faults of one resource as they count on that day.

        `place` is how the places of the faults begin; what follows is the path in the resource. In tier
        report, and where a path is allowed, a hold becomes a note. A note stays one.
        """
        report = self.tier_on(day) == "report"
        judged: list[Issue] = []
        for fault in faults:
            if fault.severity == "hold" and fault.code not in NEVER_LOOSENED:
                path = type_ + fault.place.removeprefix(place)
                allowed = self.allowance(path, day)
                if report or allowed is not None:
                    rule = fault.rule or (allowed.line if allowed is not None else "")
                    fault = msgspec.structs.replace(fault, severity="note", rule=rule)
            judged.append(fault)
        return judged

    def allowance(self, path: str, day: date | None) -> Allowance | None:
        """The exception for a path that is in force on the day; none on an unknown day."""
        if day is None or not self.allow:
            return None
        plain = _INDEX.sub("[]", path)
        for one in self.allow:
            if one.path == plain and day <= one.until:
                return one
        return None

    def over(self, day: date) -> tuple[Allowance, ...]:
        """Exceptions whose day has passed: lines that may go."""
        return tuple(one for one in self.allow if day > one.until)

    def text(self, day: date, language: str = "zh") -> str:
        """One line for people: the tier in force, from when it tightens, how much is let pass."""
        tier = self.tier_on(day)
        inside = sum(day <= one.until for one in self.allow)
        zh = {"strict": "严格（不合格的资源暂存）", "report": "只报告（不合格也归档）"}[tier]
        en = {"strict": "strict (faults hold the resource)", "report": "report (faults are notes)"}
        tightening = tier == "report" and self.strict_from is not None
        if language == "zh":
            more = f"，{self.strict_from} 起严格" if tightening else ""
            return f"校验：{zh}{more}" + (f"，例外 {inside} 处" if inside else "")
        more = f", strict from {self.strict_from}" if tightening else ""
        return f"validation: {en[tier]}{more}" + (f", {inside} exceptions" if inside else "")


STRICT: Final = Validation()
"""What holds where a map says nothing."""


def read(files: Sequence[RuleFile]) -> tuple[Validation, list[Finding]]:
    """The `[validation]` tables of a site's files, later ones over earlier ones, and what is wrong in them."""
    reader = _Reader()
    for file in files:
        reader.take(file)
    return reader.made(), reader.findings


class _Reader:
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.settings: dict[str, Any] = {}
        self.allow: dict[str, Allowance] = {}

    def find(self, line: Line, zh: str, en: str) -> None:
        self.findings.append(Finding(line.file, line.number, line.column, zh, en))

    def take(self, file: RuleFile) -> None:
        lines: Mapping[str, Line] = file.extras.get("lines", {})
        settings = file.extras.get("validation", {})
        if not isinstance(settings, dict):
            settings = {"validation": settings}
        for name, value in settings.items():
            line = lines.get(f"validation.{name}", file.line)
            if name == "allow" and isinstance(value, dict):
                for path, text in value.items():
                    at = lines.get(f"validation.allow.{path}", line)
                    self.exception(str(path), text, at)
            else:
                self.setting(name, value, line)

    def setting(self, name: str, value: Any, line: Line) -> None:
        if name == "tier":
            if value in ("report", "strict"):
                self.settings["tier"] = value
                return
            self.find(line, "tier 写 report 或 strict", "tier is report or strict")
        elif name == "strict_from":
            day = _day(value)
            if day is not None:
                self.settings["strict_from"] = day
                return
            self.find(
                line, "strict_from 写日期，例如 2027-01-01", "strict_from is a day: 2027-01-01"
            )
        elif name == "every":
            if type(value) is int and value > 0:
                self.settings["every"] = value
                return
            self.find(line, "every 写正整数，1 表示全部", "every is a positive number; 1 is all")
        else:
            listed = ", ".join(_WORDS)
            self.find(
                line,
                f"[validation] 不认识 {name}；可用：{listed}",
                f"unknown in [validation]: {name}; known are: {listed}",
            )

    def exception(self, path: str, text: Any, line: Line) -> None:
        match = _UNTIL.fullmatch(text) if isinstance(text, str) else None
        until = _day(match[1]) if match is not None else None
        if match is None or until is None:
            self.find(
                line,
                "例外要写期限和理由：until 2027-03-01: 理由",
                "an exception has an end and a reason: until 2027-03-01: reason",
            )
            return
        if definitions.at(path) is None:
            self.find(
                line,
                f"FHIR R4 没有 {path}；例如 Patient.identifier[].system",
                f"FHIR R4 has no {path}; for example Patient.identifier[].system",
            )
            return
        plain = _INDEX.sub("[]", path)
        self.allow[plain] = Allowance(plain, until, match[2].strip(), str(line))

    def made(self) -> Validation:
        if self.settings.get("tier") == "strict" and "strict_from" in self.settings:
            del self.settings["strict_from"]  # already so
        return Validation(**self.settings, allow=tuple(self.allow.values()))


def _day(value: object) -> date | None:
    """A day as TOML writes one, or as text."""
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
