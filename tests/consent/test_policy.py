"""The county's policy file: what is refused, what it answers."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from consent import policy
from consent.model import Tier
from tests.consent import build

ZONE = "Asia/Shanghai"
FILE = Path(policy.__file__).parent / "policy" / "cn-optin.toml"
TEXT = FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name = "cn-optin"', 'name = "cn-optin"\nnmae = "x"', "nmae"),
        ("[death]", "[deaht]", "deaht"),
        ("personal = true", "persnal = true", "persnal"),
        ("[relationships.encounter]", "[relationships.friend]", "friend"),
        ('TREAT = "presence"', 'TREAT = "perhaps"', "perhaps"),
        ("[defaults.restricted]", '[defaults.restricted]\nTREAT = "permit"', "defaults.restricted"),
        ('clock_skew = "5m"', 'clock_skew = "5 min"', "duration"),
        ("registrar = []", 'registrar = ["TRAET"]', "TRAET"),
        ("registrar = []", 'registrar = ["HMARKT"]', "HMARKT"),
        ('MH = ["PSY"]', 'MH = ["PSY", "BH"]', "itself"),
        ('actions = ["read", "search", "history"]', 'actions = ["reed"]', "reed"),
        ('actions = ["read", "search", "history"]', 'actions = ["read", "print"]', "covers print"),
        ('emergency = ["ETREAT"', 'emergency = ["ETRAET"', "ETRAET"),
        ("[obligations.labels]", "[obligations.labels]\nHVI = []", "label HVI"),
        ("[obligations.purposes]", "[obligations.purposes]\nHREZCH = []", "purpose HREZCH"),
        ('basic_codes = ["http://loinc.org|882-1"', 'basic_codes = ["882-1"', "882-1"),
        ("[relationships.contract]\n", "", "contract"),
        ('name = "cn-optin"', "name = ", "Invalid value"),
        ('life = "4h"', 'life = "0h"', "break_glass.life"),
        ("per_day = 3", "per_day = 0", "break_glass.per_day"),
        ("reason_length = 15", "reason_length = 0", "break_glass.reason_length"),
        ('notice = "always"', 'notice = "hidden"', "answers.notice"),
    ],
)
def test_a_file_that_cannot_be_meant_stops_the_start(old: str, new: str, named: str) -> None:
    assert old in TEXT

    with pytest.raises(policy.PolicyFault, match=named):
        policy.parse(TEXT.replace(old, new, 1).encode(), ZONE)


@pytest.mark.parametrize("preset", ["nothing", "../policy", "cn-optin.toml"])
def test_an_unknown_preset_stops_the_start(preset: str) -> None:
    with pytest.raises(policy.PolicyFault):
        policy.load(preset, ZONE)


def test_the_version_changes_with_any_change_of_the_file() -> None:
    one = policy.load("cn-optin", ZONE)

    assert policy.load("cn-optin", ZONE, FILE).version == one.version
    assert policy.parse((TEXT + "\n").encode(), ZONE).version != one.version


@pytest.mark.parametrize("preset", ["cn-optin", "opt-out"])
def test_the_terms_of_an_emergency_access_stand_in_the_file(preset: str) -> None:
    county = policy.load(preset, ZONE)
    minute = 60_000_000

    assert county.emergency_life == 4 * 60 * minute
    assert county.emergency_per_day == 3
    assert county.emergency_reason_length == 15
    assert county.emergency_notice == 5 * minute
    assert county.emergency_review == 72 * 60 * minute
    assert county.notice == "always"


@pytest.mark.parametrize("preset", ["cn-optin", "opt-out"])
def test_only_clinicians_may_assert_treatment(preset: str) -> None:
    county = policy.load(preset, ZONE)

    may = {role for role, purposes in county.roles.items() if purposes & county.treatment}

    assert may == {"clinician"}
    assert {"registrar", "auditor", "it"} <= county.roles.keys()


def test_permits_do_not_reach_down_where_the_county_says_so() -> None:
    county = policy.load("opt-out", ZONE)

    for child, parent in (
        *((purpose, "TREAT") for purpose in ("BTG", "CLINTRL", "POPHLTH")),
        *((purpose, "HOPERAT") for purpose in ("SYSDEV", "TRAIN")),
        *((purpose, "PATRQT") for purpose in ("FAMRQT", "PWATRNY")),
    ):
        assert parent not in county.permitted_by(child), child
        assert parent in county.refused_by(child), child
    assert "TREAT" in county.permitted_by("ERTREAT")


def test_the_county_category_follows_type_code_and_labels() -> None:
    county = policy.load("cn-optin", ZONE)
    plain: frozenset[str] = frozenset()

    assert county.tier_of("Immunization", frozenset(), "N", plain) is Tier.BASIC
    blood = frozenset({("http://loinc.org", "882-1")})
    assert county.tier_of("Observation", blood, "N", plain) is Tier.BASIC
    assert county.tier_of("Observation", frozenset(), "N", plain) is Tier.GENERAL
    assert county.tier_of("Immunization", frozenset(), "R", plain) is Tier.RESTRICTED
    assert county.tier_of("Observation", blood, "N", frozenset({"HIV"})) is Tier.RESTRICTED
    assert county.tier_of("Observation", blood, "V", plain) is Tier.SEALED
    assert county.tier_of("Observation", blood, "?", plain) is Tier.SEALED


def test_the_county_day_begins_at_county_midnight() -> None:
    county = policy.load("cn-optin", ZONE)
    midnight = county.midnight(date(2026, 6, 1))

    assert midnight == build.at("2026-06-01")
    assert county.day(midnight) == date(2026, 6, 1)
    assert county.day(midnight - 1) == date(2026, 5, 31)


def test_statutes_may_name_codes() -> None:
    text = (
        TEXT
        + '\n[[statutory]]\nbasis = "x"\npurpose = "PUBHLTH"\nbodies = ["cdc"]\ncodes = ["s|1"]\n'
    )
    county = policy.parse(text.encode(), ZONE)

    assert county.statutory[-1].names(frozenset({("s", "1")}))
    assert not county.statutory[-1].names(frozenset({("s", "2")}))
