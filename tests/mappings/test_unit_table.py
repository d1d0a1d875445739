"""The approved units, held against a UCUM library: it checks the table and decides nothing (mapping.md 2.8)."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from ucumvert import PintUcumRegistry

import mappings
from mappings.engine import tables, unit_kinds, units
from mappings.engine.tables import Table

TABLES = Path(mappings.__path__[0]) / "tables"
RAW = (TABLES / "units.csv").read_bytes()
LINES = [line for line in RAW.decode().splitlines() if not line.startswith("#")]
ROWS = list(csv.DictReader(LINES))
CODES = sorted({row["ucum"] for row in ROWS})
UNITS: Table = tables.read_csv(TABLES / "units.csv", RAW, "units", "urn:x")[0]


@pytest.fixture(scope="module")
def ucum() -> Any:
    return PintUcumRegistry()


# What the library makes of a kind of unit. Catalytic activity is moles a second to it, an
# arbitrary unit a bare number.
DIMENSIONS = {
    "MCnc": "[mass] / [length] ** 3",
    "SCnc": "[substance] / [length] ** 3",
    "CCnc": "[substance] / [time] / [length] ** 3",
    "ACnc": "1 / [length] ** 3",
    "NCnc": "1 / [length] ** 3",
    "NFr": "dimensionless", "SFr": "dimensionless", "VFr": "dimensionless",
    "MRto": "dimensionless", "Naric": "dimensionless",
    "Ratio": "[mass] / [substance]",
    "Vel": "[length] / [time]",
    "VRat": "[length] ** 3 / [time]",
    "MRat": "[mass] / [time]",
    "NRat": "1 / [time]",
    "Time": "[time]", "Len": "[length]", "Mass": "[mass]", "Vol": "[length] ** 3",
    "Temp": "[temperature]",
    "Pres": "[mass] / [length] / [time] ** 2",
}  # fmt: skip


@pytest.mark.parametrize("code", [c for c in CODES if not re.fullmatch(r"\{.*\}|\[pH\]", c)])
def test_every_approved_code_is_ucum_of_the_kind_we_take_it_for(ucum: Any, code: str) -> None:
    kind = unit_kinds.kind(code)
    assert kind, f"{code} is of no known kind"
    assert str(ucum.from_ucum(code).dimensionality) == DIMENSIONS[kind]


def test_the_library_does_not_know_ph_and_bare_annotations(ucum: Any) -> None:
    """Known gaps of ucumvert: the day they close, these two join the others."""
    for code in ("[pH]", "{INR}"):
        with pytest.raises(Exception, match=r".*"):
            _ = ucum.from_ucum(code).dimensionality
        assert unit_kinds.kind(code)


@pytest.mark.parametrize(
    ("sent", "means"),
    [
        ("S", "[current] ** 2 * [time] ** 3 / [mass] / [length] ** 2"),  # siemens
        ("u/L", "[mass] / [length] ** 3"),  # atomic mass units in a litre
        ("mm/H", "[time] ** 2 * [current] ** 2 / [length] / [mass]"),  # millimetre per henry
    ],
)
def test_what_parses_as_ucum_and_means_something_else_is_not_approved(
    ucum: Any, sent: str, means: str
) -> None:
    assert str(ucum.from_ucum(sent).dimensionality) == means
    assert units.ucum(sent, (UNITS,)) == ""
    assert sent not in CODES


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("×10⁹/L", "10*9/L"), ("10⁹/L", "10*9/L"), ("10^9/L", "10*9/L"), ("x10^9/L", "10*9/L"),
        ("10E9/L", "10*9/L"), ("G/L", "10*9/L"), ("×10¹²/L", "10*12/L"), ("10^12/L", "10*12/L"),
        ("秒", "s"), ("sec", "s"), ("s", "s"), ("µmol/L", "umol/L"), ("μmol/L", "umol/L"),
        ("ｍｍｏｌ／Ｌ", "mmol/L"), (" mmol / L ", "mmol/L"), ("mIU/ml", "m[IU]/mL"), ("fl", "fL"),
        ("Pg", "pg"), ("mm/1h", "mm/h"), ("mm/小时", "mm/h"), ("个/HP", "/[HPF]"), ("U/l", "U/L"),
        ("IU/L", "[IU]/L"), ("℃", "Cel"), ("mg/L FEU", "mg/L{FEU}"), ("K/uL", "10*3/uL"),
        ("拷贝/mL", "{copies}/mL"), ("mL/min/1.73m2", "mL/min/{1.73_m2}"),
    ],
)  # fmt: skip
def test_units_as_hospitals_write_them_have_their_code(sent: str, code: str) -> None:
    assert units.ucum(sent, (UNITS,)) == code


@pytest.mark.parametrize(
    "sent", ["u/l", "MMOL/L", "PG/ML", "S/CO", "COI", "mol", "g/L?", "克/升", ""]
)
def test_other_case_or_other_words_are_never_guessed(sent: str) -> None:
    assert units.ucum(sent, (UNITS,)) == ""


def test_only_giga_and_gram_differ_by_their_case_alone() -> None:
    seen: dict[str, set[str]] = {}
    for row in ROWS:
        seen.setdefault(units.clean(row["text"]).casefold(), set()).add(row["ucum"])
    assert {text: codes for text, codes in seen.items() if len(codes) > 1} == {
        "g/l": {"g/L", "10*9/L"}
    }


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("mg/dL", "g/L", True), ("U/L", "[IU]/L", True), ("U/L", "ukat/L", True),
        ("mg/dL", "mmol/L", False), ("%", "10*9/L", False), ("%", "L/L", True),
        ("mg/L{FEU}", "mg/L{DDU}", False), ("mg/L{FEU}", "ug/mL{FEU}", True), ("s", "min", True),
        ("", "U/L", False), ("nonsense", "U/L", False),
    ],
)  # fmt: skip
def test_units_are_alike_when_one_could_be_read_as_the_other(one, other, alike) -> None:
    assert unit_kinds.alike(one, other) is alike
    assert unit_kinds.alike(other, one) is alike


@pytest.mark.parametrize("code", ["", "S", "mm/H", "g.L", "a/b/c", "mg//L", "克/L", "10^9^2/L"])
def test_a_code_beyond_our_units_is_of_no_kind_and_fits_everything(code: str) -> None:
    assert unit_kinds.kind(code) == ""
    assert unit_kinds.fits(code, "SCnc")
