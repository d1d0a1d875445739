"""Conversions: between listed pairs only, factors from molar masses, digits that come back."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mappings
from mappings.engine import conversions, terms, unit_kinds
from mappings.engine.conversions import Conversion, listed, views

EVERY = [one for several in listed().values() for one in several]

# IUPAC abridged standard atomic weights.
WEIGHTS = {
    "H": "1.008", "C": "12.011", "N": "14.007", "O": "15.999", "P": "30.974", "Mg": "24.305",
    "Ca": "40.078", "Fe": "55.845", "I": "126.904",
}  # fmt: skip


def molar_mass(formula: str) -> Decimal:
    atoms = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    assert "".join(a + n for a, n in atoms) == formula
    return sum((Decimal(WEIGHTS[a]) * int(n or 1) for a, n in atoms), Decimal(0))


PREFIXES = {"": 0, "d": -1, "m": -3, "u": -6, "n": -9, "p": -12, "k": 3}


def scale(unit: str) -> Decimal:
    """How many base units (g, mol, U … in a litre) one of these is."""
    top, _, bottom = re.sub(r"\{.*?\}", "", unit).partition("/")
    value = Decimal(1)
    for text, sign in ((top, 1), (bottom, -1)):
        if match := re.fullmatch(r"10\*(\d+)", text):
            value *= Decimal(10) ** (sign * int(match[1]))
            continue
        if text == "%":
            value /= 100
            continue
        match = re.fullmatch(r"([dmunpk]?)(g|mol|eq|U|\[IU\]|kat|L)|()()", text)
        assert match, unit
        value *= Decimal(10) ** (sign * PREFIXES[match[1] or ""])
    return value


def test_every_pair_is_of_codes_the_county_may_use_and_of_units_they_are_told_in():
    for one in EVERY:
        source, target = terms.licensed()[one.from_loinc], terms.licensed()[one.to_loinc]
        assert one.to_unit == target.unit, one
        assert unit_kinds.fits(one.to_unit, target.property), one
        same_quantity = unit_kinds.fits(one.from_unit, source.property)
        assert same_quantity or one.basis.startswith("rule: "), one
        assert len([o for o in EVERY if o[:4] == one[:4]]) == 1, one


@pytest.mark.parametrize("one", [o for o in EVERY if re.fullmatch(r"[A-Z][A-Za-z0-9]*", o.basis)])
def test_a_factor_between_mass_and_moles_is_the_molar_mass(one: Conversion):
    assert one.over == molar_mass(one.basis)
    assert one.times == scale(one.from_unit) / scale(one.to_unit)
    assert one.plus == 0


@pytest.mark.parametrize("one", [o for o in EVERY if o.basis == "unit"])
def test_a_factor_between_units_of_one_quantity_is_their_scale(one: Conversion):
    katal = Decimal("60000000") if one.from_unit.endswith("kat/L") else Decimal(1)  # 1 kat = 6e7 U
    assert one.from_loinc == one.to_loinc
    assert one.times / one.over == katal * scale(one.from_unit) / scale(one.to_unit)


@pytest.mark.parametrize("one", [o for o in EVERY if o.basis.startswith("valence ")])
def test_equivalents_are_moles_by_valence(one: Conversion):
    assert one.times / one.over == 1 / Decimal(one.basis.removeprefix("valence "))


def test_every_factor_has_one_of_the_known_bases():
    for one in EVERY:
        assert re.fullmatch(
            r"unit|valence [12]|[A-Z][A-Za-z0-9]*|(?:rule|convention): .+", one.basis
        ), one


@pytest.mark.parametrize(
    ("loinc", "unit", "value", "to", "text"),
    [
        # 297 would come back as 4.99, so a fourth digit is needed.
        ("2160-0", "mg/dL", "1.00", "14682-9", "88.4"),
        ("1975-2", "mg/dL", "1.00", "14631-6", "17.1"),
        ("3091-6", "mg/dL", "30.0", "22664-7", "5.00"),
        ("3094-0", "mg/dL", "14.0", "22664-7", "5.00"),
        ("3084-1", "mg/dL", "5.00", "14933-6", "297.4"),
        ("2345-7", "mg/dL", "100", "14749-6", "5.55"),
        ("2093-3", "mg/dL", "200", "14647-2", "5.17"),
        ("2571-8", "mg/dL", "150", "14927-8", "1.69"),
        ("17861-6", "mg/dL", "9.60", "2000-8", "2.395"),
        ("2777-1", "mg/dL", "3.50", "14879-1", "1.13"),
        ("19123-9", "mg/dL", "2.00", "2601-3", "0.823"),
        ("2498-4", "ug/dL", "100", "14798-3", "17.9"),
        ("3051-0", "pg/mL", "3.00", "14928-6", "4.61"),
        ("3024-7", "ng/dL", "1.20", "14920-3", "15.4"),
        ("59261-8", "mmol/mol", "48", "4548-4", "6.5"),
        ("4548-4", "%", "6.5", "59261-8", "48"),
        ("718-7", "g/dL", "13.2", "718-7", "132"),
        ("4544-3", "%", "41.0", "4544-3", "0.410"),
        ("89579-7", "ng/mL", "0.014", "89579-7", "14"),
        ("6690-2", "/uL", "6500", "6690-2", "6.500"),
        ("1742-6", "[IU]/L", "62.40", "1742-6", "62.40"),
        ("1742-6", "ukat/L", "0.50", "1742-6", "30"),
        ("1834-1", "[IU]/mL", "5.0", "1834-1", "6.0"),
        ("2000-8", "meq/L", "4.80", "2000-8", "2.40"),
    ],
)
def test_results_read_in_the_other_unit_with_the_digits_they_carry(loinc, unit, value, to, text):
    (view,) = views(loinc, unit, value)
    assert (view.loinc, view.text) == (to, text)


def test_urea_and_urea_nitrogen_are_never_taken_for_each_other():
    urea, nitrogen = (views(loinc, "mg/dL", "30.0")[0].text for loinc in ("3091-6", "3094-0"))
    assert (urea, nitrogen) == ("5.00", "10.7")


def reachable(loinc: str) -> set[str]:
    found, ahead = {loinc}, [loinc]
    while ahead:
        at = ahead.pop()
        near = {o.to_loinc for o in EVERY if o.from_loinc == at} | {
            o.from_loinc for o in EVERY if o.to_loinc == at
        }
        ahead += near - found
        found |= near
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("48065-7", "48066-5"),  # FEU, DDU
        ("10835-7", "43583-4"),  # Lp(a) mass, moles
        ("13969-1", "32673-6"),  # CK-MB mass, activity
        ("10334-1", "24108-3"),  # tumour markers
        ("42595-9", "29615-2"),  # HBV DNA in IU, in copies
        ("14749-6", "14771-0"),  # any glucose, fasting glucose
        ("10839-9", "89579-7"),  # troponin I, high-sensitive
    ],
)
def test_what_must_never_be_converted_is_not_connected_by_any_chain(one, other):
    assert other not in reachable(one)


def test_a_view_never_keeps_the_code_when_the_quantity_changes():
    for one in EVERY:
        if unit_kinds.kind(one.from_unit) != unit_kinds.kind(one.to_unit):
            alike = unit_kinds.alike(one.from_unit, one.to_unit)
            assert one.from_loinc != one.to_loinc or alike or one.basis.startswith("rule: "), one


numbers = st.decimals("0.001", "99999", allow_nan=False, allow_infinity=False, places=None).map(
    lambda d: format(d.quantize(Decimal("0.001")), "f")
)


@given(st.sampled_from(EVERY), numbers, st.integers(0, 3))
def test_converted_back_and_rounded_it_is_the_laboratorys_own_number(one, text, places):
    own = Decimal(text).quantize(Decimal(1).scaleb(-places))
    assume(own > 0)
    view = next(
        v for v in views(one.from_loinc, one.from_unit, format(own, "f"))
        if (v.loinc, v.unit) == (one.to_loinc, one.to_unit)
    )  # fmt: skip
    assert one.back(Decimal(view.text)).quantize(Decimal(1).scaleb(-places)) == own
    assert "E" not in view.text
    assert view.digits <= len(own.as_tuple().digits) + 3 or one.plus


@given(st.sampled_from(EVERY), numbers, numbers)
def test_the_order_of_two_results_stays(one, lower, higher):
    if Decimal(lower) < Decimal(higher):
        assert one.exactly(Decimal(lower)) < one.exactly(Decimal(higher))


@pytest.mark.parametrize("value", ["", "阴性", "1:80", "NaN", "Infinity", "<0.01", "3-5"])
def test_what_is_no_plain_number_has_no_view(value):
    assert views("2160-0", "mg/dL", value) == ()


@pytest.mark.parametrize(
    ("loinc", "unit"), [("14682-9", "mg/dL"), ("2160-0", "umol/L"), ("2160-0", "mg/dl"), ("", "")]
)
def test_what_is_not_listed_has_no_view(loinc, unit):
    assert views(loinc, unit, "1.0") == ()


def test_zero_stays_zero():
    assert conversions.views("2160-0", "mg/dL", "0.00")[0].text == "0"


def test_nothing_that_maps_or_stores_knows_of_conversions():
    """A view and never more: whoever maps or files cannot change a value or its unit by it."""
    root = Path(mappings.__path__[0])
    knowing = {path.name for path in root.rglob("*.py") if "conversions" in path.read_text("utf-8")}
    assert knowing == {"conversions.py"}
