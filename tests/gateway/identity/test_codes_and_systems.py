"""Organisation codes check, and identifier systems have one spelling inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import organization_codes as codes
from gateway.identity import systems
from gateway.identity.systems import canonical_system


def test_the_vectors_of_annex_c():
    assert codes.uscc_check("12330421000000000") == "B"
    assert codes.is_uscc("12330421000000000B")
    assert codes.is_uscc("１２３３０４２１０００００００００b")


# The published example of GB 11714, and what an organisation's letterhead may look like.
@pytest.mark.parametrize("code", ["D2143569X", "d2143569-x", "000000000", "73510201-7"])
def test_organisation_codes_with_the_right_last_character(code):
    written = codes.normalised(code)
    expected = codes.organization_check(written[:8]) == written[8]
    assert codes.is_organization_code(code) is expected


def test_the_example_in_the_standard_is_right():
    assert codes.is_organization_code("D2143569-X")
    assert not codes.is_organization_code("D2143569-0")


@pytest.mark.parametrize(
    "code",
    ["", "12330421000000000A", "1233042100000000B", "I2330421000000000B", "12330421000000000B0",
     "1233042100000000ⅠB", "12A30421000000000B"],
)  # fmt: skip
def test_other_texts_are_no_credit_code(code):
    assert not codes.is_uscc(code)


def test_a_credit_code_with_a_wrong_organisation_code_inside_is_refused():
    first = "12330421" + "000000001"
    assert not codes.is_uscc(first + codes.uscc_check(first))


@given(st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_one_wrong_character_is_always_noticed(at, char):
    good = "12330421000000000B"
    wrong = good[:at] + char + good[at + 1 :]
    assert codes.is_uscc(wrong) == (wrong == good)


@pytest.mark.parametrize(
    ("alias", "canonical"),
    [
        ("urn:oid:2.16.156.10011.1.3", systems.RESIDENT_ID),
        ("2.16.156.10011.1.3", systems.RESIDENT_ID),
        ("URN:OID:2.16.156.10011.1.3 ", systems.RESIDENT_ID),
        ("oid:2.16.156.10011.1.3", systems.RESIDENT_ID),
        ("urn:oid:2.16.840.1.113883.2.23.1.19.1", systems.RESIDENT_ID),
        ("2.16.840.1.113883.4.1", systems.RESIDENT_ID),
        ("urn:oid:2.16.156.10011.1.2", systems.HEALTH_RECORD),
        ("2.16.156.10011.1.19", systems.HEALTH_CARD),
        ("urn:oid:2.16.840.1.113883.2.23.1.19.2", systems.INSURANCE_CARD),
        ("https://gateway.example/fhir/sid/people/mrn",) * 2,
        ("urn:oid:1.2.3.4.5", "urn:oid:1.2.3.4.5"),
        ("2.16.156.10011.1.03", "2.16.156.10011.1.03"),
        ("", ""),
    ],
)
def test_any_alias_in_the_canonical_system_out(alias, canonical):
    assert canonical_system(alias) == canonical
    assert canonical_system(canonical) == canonical


@given(st.text(max_size=40))
def test_canonical_stays_canonical(system):
    once = canonical_system(system)
    assert canonical_system(once) == once
