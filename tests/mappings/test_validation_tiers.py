"""Validation in tiers: what a map says of strictness, which day counts, what is let pass and until when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from mappings.engine import Map, lint, load
from mappings.engine.model import Issue
from mappings.engine.validation import STRICT, Allowance, Validation

BEFORE, FIRST_STRICT, LATER = date(2026, 12, 31), date(2027, 1, 1), date(2027, 6, 1)

FHIR_MAP = """
[map]
id = "x"
version = "1"
base = "base/fhir"
input = "fhir"

[source]
org = "x"
timezone = "Asia/Shanghai"
ids = { "http://x.example/mrn" = "mrn" }
"""


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return blake2b(repr((space, type_, tuple(key))).encode(), digest_size=16).hexdigest()


def site(folder: Path, tables: str) -> Map:
    (folder / "fhir.toml").write_text(FHIR_MAP + tables, "utf-8")
    return load(folder)


def found(map_: Map, resource: dict[str, Any], day: date | None) -> tuple[list[str], list[Issue]]:
    (message,) = map_.read(json.dumps(resource).encode(), ids, day=day).messages
    faults = [issue for issue in message.issues if issue.code.startswith("r4-")]
    return [one.type for one in message.resources], faults


BAD_CODE = {"resourceType": "Patient", "id": "1", "gender": "m"}
BAD_SHAPE = {"resourceType": "Patient", "id": "1", "name": {"text": "x"}}

REPORT = '[validation]\ntier = "report"\nstrict_from = "2027-01-01"\n'


@pytest.mark.parametrize(
    ("tables", "day", "severity"),
    [
        ("", BEFORE, "hold"),
        ('[validation]\ntier = "strict"\n', None, "hold"),
        (REPORT, BEFORE, "note"),
        (REPORT, FIRST_STRICT, "hold"),
        (REPORT, LATER, "hold"),
        (REPORT, None, "hold"),  # an unknown day is the strictest the map names
        ('[validation]\ntier = "report"\n', LATER, "note"),
        ('[validation]\ntier = "report"\n', None, "note"),
        (
            '[validation]\n[validation.allow]\n"Patient.gender" = "until 2026-12-31: HIS upgrade"\n',
            BEFORE,
            "note",
        ),
        (
            '[validation]\n[validation.allow]\n"Patient.gender" = "until 2026-12-31: HIS upgrade"\n',
            FIRST_STRICT,
            "hold",
        ),
        (
            '[validation.allow]\n"Patient.birthDate" = "until 2027-12-31: HIS upgrade"\n',
            BEFORE,
            "hold",
        ),
    ],
)
def test_the_day_of_arrival_decides_whether_a_fault_holds(
    tables: str, day: date | None, severity: str, tmp_path: Path
) -> None:
    types, faults = found(site(tmp_path, tables), BAD_CODE, day)
    assert [(one.severity, one.code, one.place) for one in faults] == [
        (severity, "r4-code", "Patient.gender")
    ]
    assert types == ([] if severity == "hold" else ["Patient"])


def test_a_resource_without_the_shape_of_its_type_holds_in_every_tier(tmp_path: Path) -> None:
    types, faults = found(site(tmp_path, REPORT), BAD_SHAPE, BEFORE)
    assert types == []
    assert [(one.severity, one.code) for one in faults] == [("hold", "r4-type")]


def test_an_exception_says_where_its_reason_stands(tmp_path: Path) -> None:
    tables = '[validation.allow]\n"Patient.gender" = "until 2027-12-31: HIS upgrade"\n'
    _, faults = found(site(tmp_path, tables), BAD_CODE, BEFORE)
    line = (
        (FHIR_MAP + tables).split("\n").index('"Patient.gender" = "until 2027-12-31: HIS upgrade"')
    )
    assert faults[0].rule == f"fhir.toml:{line + 1}"


def test_an_exception_covers_every_repetition_and_nothing_beside_it() -> None:
    allowed = Allowance("Patient.name[].use", date(2027, 1, 1), "x", "x:1")
    rules = Validation(allow=(allowed,))
    places = [
        "Bundle.entry[4].resource.name[3].use",
        "Bundle.entry[4].resource.name[3].use.extension",
    ]
    judged = rules.judged(
        [Issue("hold", "r4-code", place) for place in places],
        "Bundle.entry[4].resource",
        "Patient",
        BEFORE,
    )
    assert [one.severity for one in judged] == ["note", "hold"]


def test_a_note_stays_a_note_in_the_strict_tier() -> None:
    note = Issue("note", "r4-rule", "Observation", "obs-3")
    assert STRICT.judged([note], "Observation", "Observation", LATER) == [note]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('[validation]\ntier = "lax"\n', "tier is report or strict"),
        ('[validation]\nstrict_from = "next year"\n', "strict_from is a day"),
        ("[validation]\nevery = 0\n", "every is a positive number"),
        ("[validation]\nevry = 5\n", "known are: tier, strict_from, every, allow"),
        ('[validation.allow]\n"Patient.gender" = "HIS upgrade"\n', "has an end and a reason"),
        ('[validation.allow]\n"Patient.gender" = "until 2027-02-30: x"\n', "an end and a reason"),
        ('[validation.allow]\n"Patient.gender" = "until 2027-02-20: "\n', "an end and a reason"),
        (
            '[validation.allow]\n"Patient.sex" = "until 2027-02-20: x"\n',
            "FHIR R4 has no Patient.sex",
        ),
        ("[validation]\nallow = 5\n", "unknown in [validation]: allow"),
    ],
)
def test_lint_names_what_is_wrong_in_the_tables(tables: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "fhir.toml").write_text(FHIR_MAP + tables, "utf-8")
    told = lint(tmp_path)
    assert len(told) == 1, told
    assert told[0].line == (FHIR_MAP + tables).count("\n")
    assert said in told[0].en
    assert told[0].zh != told[0].en


def test_the_tables_may_stand_beside_the_maps_in_the_sources_own_file(tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text(REPORT, "utf-8")
    map_ = site(tmp_path, "[validation]\nevery = 10\nstrict_from = 2028-01-01\n")
    assert map_.validation == Validation("report", date(2028, 1, 1), 10)


def test_people_are_told_the_tier_in_force_and_what_may_go() -> None:
    allowed = Allowance("Patient.gender", BEFORE, "x", "x:1")
    rules = Validation("report", FIRST_STRICT, allow=(allowed,))
    assert rules.text(BEFORE, "en") == (
        "validation: report (faults are notes), strict from 2027-01-01, 1 exceptions"
    )
    assert rules.text(FIRST_STRICT, "en") == "validation: strict (faults hold the resource)"
    assert rules.text(FIRST_STRICT) == "校验：严格（不合格的资源暂存）"
    assert (rules.over(BEFORE), rules.over(FIRST_STRICT)) == ((), (allowed,))
