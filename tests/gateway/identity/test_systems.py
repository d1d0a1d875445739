"""Identifier systems have one spelling inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import systems
from gateway.identity.systems import canonical_system


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
