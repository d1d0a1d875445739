"""Detectors of persons and visits: sex unknown though the number says it (4), a new report instead of a
correction (14), results of no known kind of visit (15)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from mappings.engine import identity
from mappings.engine.reader import SYSTEMS
from mappings.quality.counting import OK, STRUCK, Days, Judged, Label, together
from mappings.quality.sighting import Resource, Sighting

_RESIDENT_ID = SYSTEMS["resident-id"]

# 4. A typing error in an enumeration makes every woman unknown.


def gender_unknown(seen: Sighting) -> Iterator[Label]:
    """Patients with a valid resident ID: does the sender know the sex the number tells?"""
    for patient in seen.of("Patient"):
        tells = _sex_told(patient)
        if not tells:
            continue
        gender = patient.get("gender", "")
        if gender == tells:
            yield "same", OK
        elif gender in {"male", "female"}:
            yield "contradicts", STRUCK
        else:
            yield f"unknown, {tells} by number", STRUCK


def _sex_told(patient: Resource) -> str:
    for one in patient.get("identifier") or ():
        if one.get("system") == _RESIDENT_ID and one.get("use") != "secondary":
            checked = identity.resident_id(str(one.get("value", "")))
            if checked.usable:
                return identity.sex_of(checked.value)
    return ""


# 14. A corrected report sent under a new number, the old one never withdrawn.

_GONE = frozenset({"entered-in-error", "cancelled"})


def amended_as_new(seen: Sighting) -> Iterator[Label]:
    """Laboratory results by patient, moment of collection and item: (those three, result, status)."""
    for result in seen.of("Observation"):
        taken = str(result.get("effectiveDateTime", ""))
        subject = result.get("subject")
        if "T" not in taken or not isinstance(subject, dict) or result.get("issued") == taken:
            continue  # without a moment of its own nothing says that it is the same specimen
        for coding in (result.get("code") or {}).get("coding") or ():
            specimen = _kind_of(seen.at(result.get("specimen")))
            same = f"{subject.get('reference')} {taken} {coding.get('code')} {specimen}"
            yield same, str(result.get("id")), str(result.get("status"))
            break


def _kind_of(specimen: Resource) -> str:
    kind = specimen.get("type") or {}
    codings = kind.get("coding") or ()
    return str(codings[0].get("code") if codings else kind.get("text", ""))


def superseded(days: Days) -> Judged:
    """Struck are the second and later results of one specimen and item, on the day each first came."""
    gone = {(group, result) for group, result, status in together(days) if status in _GONE}
    first: dict[tuple[str, str], str] = {}
    for day in sorted(days):
        for group, result, _ in days[day]:
            first.setdefault((group, result), day)
    came: Counter[str] = Counter(first.values())
    struck: dict[str, int] = {}
    standing: dict[str, list[str]] = {}
    for (group, result), day in first.items():
        if (group, result) not in gone:
            standing.setdefault(group, []).append(day)
    for arrivals in standing.values():  # in the order of days, as `first` is
        for day in arrivals[1:]:
            struck[day] = struck.get(day, 0) + 1
    return {day: (came[day], {"Observation": struck[day]} if day in struck else {}) for day in days}


# 15. Health checks and research among the results of treatment.

_HEALTH_CHECK = re.compile("体检|健康检查|健康体检|入职|征兵")
_RESEARCH = re.compile("临床试验|科研|受试者|入组|研究")


def encounter_class(seen: Sighting) -> Iterator[Label]:
    """Reports: is the class of their visit known, and does the visit's own text agree with it?"""
    for report in seen.of("DiagnosticReport"):
        visit = seen.at(report.get("encounter"))
        text = " ".join(
            _texts(
                [
                    visit.get("type"),
                    visit.get("serviceType"),
                    visit.get("reasonCode"),
                    visit.get("location"),
                    report.get("code"),
                    seen.at((report.get("basedOn") or [None])[0]).get("code"),
                ]
            )
        )
        if _HEALTH_CHECK.search(text):
            yield "health check", STRUCK
        elif _RESEARCH.search(text):
            yield "research", STRUCK
        elif not (visit.get("class") or {}).get("code"):
            yield "no class", STRUCK
        else:
            yield "class", OK


def _texts(node: object, depth: int = 0) -> Iterator[str]:
    if depth > 8:
        return
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for one in node:
            yield from _texts(one, depth + 1)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in {"text", "display", "coding", "location"}:
                yield from _texts(value, depth + 1)
