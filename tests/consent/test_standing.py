"""Who could see what: every cell is the decision's own answer, told in groups and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import effects, policy
from consent.decide import decide
from consent.effects import Names, Reach, Turn
from consent.model import Directive, FacetClass, PatientContext, Requester, Tier
from consent.standing import (
    ELSEWHERE,
    OWN,
    WAYS,
    Asker,
    Cell,
    Need,
    Standing,
    consent_for,
    facets_for,
    names_of,
    on_file,
    permits,
    persons_named,
    possible,
    request_for,
    standing,
)
from tests.consent import build
from tests.consent.test_properties import consents

OPT_IN, OPT_OUT = (policy.load(name, "Asia/Shanghai") for name in ("cn-optin", "opt-out"))
CALLED = {"A": "县人民医院", "B": "县中医院", "C": "妇幼保健院", "D": "柳溪卫生院"}
NAMES = Names(
    lambda id, language: CALLED[id] if language == "zh" else f"Hospital {id}",
    lambda id, language: id,
)
PERSON = build.patient({})


def house(id: str, user: str = "") -> Asker:
    chain = (id, "ALLIANCE") if id in "AB" else (id,)
    return Asker(Requester(user, user or None, id, chain, "clinician", "portal"), "TREAT")


HOUSES = [house(id) for id in "ABCD"]
INSURER = Asker(Requester("", None, "", ("",), "insurer", ""), "HPAYMT")


def stands(
    signed: Sequence[dict[str, Any]] = (),
    county: policy.PolicySet = OPT_IN,
    askers: Sequence[Asker] = HOUSES,
    person: PatientContext = PERSON,
) -> Standing:
    directives = [build.directive(one, n) for n, one in enumerate(signed, 1)]
    return standing(
        person, directives, county, possible(person, directives, county), askers, build.NOW
    )


def cell(found: Standing, asker: str, name: str, source: str = ELSEWHERE) -> Cell:
    (column,) = [c for c in found.columns if c.asker.requester.organization == asker]
    (one,) = [c for c in column.cells if c.content.names == (name,) and c.content.source == source]
    return one


@settings(max_examples=40, deadline=None)
@given(consents(), st.sampled_from([OPT_IN, OPT_OUT]))
def test_every_cell_is_what_the_decision_says_of_the_request_it_stands_for(
    signed: list[Directive], county: policy.PolicySet
) -> None:
    askers = [house("A"), house("B", "dr-b1"), house("C"), INSURER]

    found = standing(PERSON, signed, county, possible(PERSON, signed, county), askers, build.NOW)

    for column in found.columns:
        for one in column.cells:
            facets = facets_for(column.asker, one.content)
            answers = {}
            for needs in WAYS:
                request = request_for(column.asker, needs, PERSON, county, build.NOW)
                would_be = consent_for(column.asker, facets.kind, PERSON, signed, county, build.NOW)
                given_ = [*signed, would_be] if Need.CONSENT in needs else signed
                answers[needs] = decide(request, PERSON, given_, facets, county)
            assert one.now == answers[()]
            told = {way.needs: way.decision for way in one.ways}
            assert all(answers[needs] == decision for needs, decision in told.items())
            assert all(permits(decision) for decision in told.values())
            # What is not told is either a no, or needs more than something that is told.
            for needs in set(answers) - set(told):
                met = {m for way in told for m in way if set(way) <= _implied(needs)}
                assert not permits(answers[needs]) or met or () in told


def _implied(needs: tuple[Need, ...]) -> set[Need]:
    return {*needs, *([Need.RELATIONSHIP] if Need.PRESENCE in needs else [])}


def test_with_nothing_signed_the_county_decides() -> None:
    strict, open_ = stands(county=OPT_IN), stands(county=OPT_OUT)

    assert effects.reach(cell(strict, "A", "general")) is Reach.PRESENT
    assert effects.reach(cell(open_, "A", "general")) is Reach.TREATING
    assert effects.reach(cell(strict, "A", "general", OWN)) is Reach.TREATING
    assert effects.reach(cell(open_, "A", "HIV")) is Reach.CONSENT
    assert effects.reach(cell(open_, "A", "sealed")) is Reach.CLOSED
    assert cell(open_, "A", "general").ways[0].decision.rules[0].startswith("policy/opt-out/")


def test_the_rule_the_beginning_and_the_end_are_told() -> None:
    form = {"permit": True, "purposes": ["TREAT"], "from": "2026-02-01", "until": "2027-01-01"}

    one = cell(stands([form]), "A", "general")

    assert one.ways[0].decision.rules == ("Consent/c1/_history/1",)
    assert one.since == build.at("2026-02-01")
    assert one.ways[0].decision.valid_until == build.at("2027-01-01")


def test_a_consent_that_names_dates_says_that_single_records_differ() -> None:
    dated = {"permit": True, "to": ["A"], "data_from": "2025-01-01", "data_until": "2026-01-01"}

    assert cell(stands([dated]), "A", "general").varies
    assert not cell(stands([{"permit": True}]), "A", "general").varies


def test_what_is_on_file_is_called_by_its_nearest_category_and_counted() -> None:
    lab = FacetClass("Observation", "B", ("P",))
    opioid = FacetClass("Observation", "B", ("P",), sensitivities=frozenset({"OPIOIDUD"}))
    both = FacetClass("Observation", "B", ("P",), sensitivities=frozenset({"PSY", "HIV"}))
    wrong = FacetClass("Observation", "B", ("P",), entered_in_error=True)

    found = on_file([(lab, 2), (opioid, 1), (both, 3), (wrong, 9), (lab, 1)], OPT_IN)

    assert {(one.names, one.source, one.count) for one in found} == {
        (("general",), "B", 3),
        (("ETH",), "B", 1),
        (("HIV", "PSY"), "B", 3),
    }


@pytest.mark.parametrize(
    ("tier", "confidentiality", "name"),
    [
        (Tier.BASIC, "N", "basic"),
        (Tier.GENERAL, "N", "general"),
        (Tier.GENERAL, "R", "restricted"),
        (Tier.BASIC, "V", "sealed"),
    ],
)
def test_without_a_category_the_stricter_tier_is_the_name(
    tier: Tier, confidentiality: str, name: str
) -> None:
    kind = FacetClass("Observation", "B", ("P",), tier, confidentiality)

    assert names_of(kind, OPT_IN) == (name,)


def test_for_a_child_it_is_the_guardian_s_consent_that_would_open_it() -> None:
    child = build.patient({"birth": ("2020-01-01", "2020-01-01")})

    one = cell(stands(county=OPT_OUT, person=child), "A", "HIV")

    assert effects.reach(one) is Reach.CONSENT


def test_equal_columns_stand_together() -> None:
    form = {"deny": True, "to": ["A", "B"]}

    groups = [
        [column.asker.requester.organization for column in group]
        for group in stands([form], askers=[*HOUSES, INSURER]).groups
    ]

    assert groups == [["A", "B"], ["C", "D"], [""]]


def test_who_is_named_as_a_person_is_found_at_any_depth() -> None:
    form = {"deny": True, "to": ["A"], "except": [{"permit": True, "to": ["dr-a1"]}]}

    assert persons_named([build.directive(form, 1)]) == {"dr-a1"}


def told(
    before: Sequence[dict[str, Any]],
    after: Sequence[dict[str, Any]],
    language: effects.Language = "zh",
    register: effects.Register = "plain",
    county: policy.PolicySet = OPT_OUT,
    askers: Sequence[Asker] = HOUSES,
) -> tuple[str, ...]:
    was, becomes = (stands(signed, county, askers) for signed in (before, after))
    found = effects.changes(was, becomes)
    return effects.sentences(found, askers, county, NAMES, language, register)


def test_a_refusal_of_two_hospitals_is_one_sentence() -> None:
    refusal = {"deny": True, "to": ["A", "B"], "labels": ["N"]}

    assert told([], [refusal], "zh")[0] == (
        "这两家医院（县人民医院、县中医院）将不再看到您的基本信息（过敏、用药、疫苗、血型）、"
        "就诊和检查检验结果（不论在哪里产生），以及您在该院的所有受保护类别的记录。"
    )
    assert told([], [refusal], "en")[0].startswith(
        "These two hospitals (Hospital A and Hospital B) will no longer see your basics"
    )


def test_who_keeps_what_is_left_out_of_the_sentence() -> None:
    everybody = {"deny": True}
    but_one = {"deny": True, "except": [{"permit": True, "to": ["C"]}]}

    assert told([], [everybody])[0].startswith("县内所有医疗机构将不再看到您在其他医院的")
    assert told([], [but_one])[0].startswith("除妇幼保健院外的县内所有医疗机构将不再看到")


def test_taking_a_refusal_back_gives_again() -> None:
    refusal = {"deny": True, "to": ["A"]}

    (sentence, *more) = told([refusal], [])

    assert sentence.startswith("县人民医院给您看病时，将可以看到您的基本信息")
    assert not more


def test_a_broad_permit_frees_from_showing_a_code_where_the_county_asks_for_it() -> None:
    broad = {"permit": True, "purposes": ["TREAT"]}

    assert told([], [broad], county=OPT_IN) == (
        "县内所有医疗机构给您看病时，不用您出示凭证就可以看到您在其他医院的"
        "基本信息（过敏、用药、疫苗、血型）、就诊和检查检验结果。",
    )
    assert told([broad], [], county=OPT_IN)[0].startswith("只有您在场并出示凭证时，")
    assert told([], [broad], county=OPT_OUT) == ()  # nothing a resident would notice


def test_a_refusal_of_emergency_access_is_told() -> None:
    assert told([], [{"deny": True, "purposes": ["BTG"]}], "en")[0].startswith(
        "Not even in an emergency will all hospitals of the county see your basics"
    )


def test_a_person_is_named_only_where_something_else_is_true_of_them_than_of_their_house() -> None:
    askers = [*HOUSES, house("A", "dr-a1")]

    (alike,) = told([], [{"permit": True, "to": ["A"], "labels": ["PSY"]}], askers=askers)
    (only,) = told([], [{"permit": True, "to": ["dr-a1"], "labels": ["PSY"]}], askers=askers)

    assert alike == "县人民医院给您看病时，将可以看到您在其他医院的精神卫生记录。"
    assert only == "Dr-a1给您看病时，将可以看到您在其他医院的精神卫生记录。"


def test_officers_read_the_rule_before_and_after() -> None:
    broad = {"permit": True, "purposes": ["TREAT"], "classes": ["Observation"]}

    zh = told([], [broad], "zh", "precise")
    en = told([], [broad], "en", "precise")

    general = next(line for line in en if ", general (another's)" in line)
    assert general.startswith(
        "Hospital A, Hospital B, Hospital C and Hospital D (clinician, TREAT)"
    )
    assert "county-default, policy/opt-out/" in general
    assert "to 「a treatment relationship〔directive, Consent/c1/_history/1〕" in general
    assert len(zh) == len(en)
    assert "由「诊疗关系〔county-default" in zh[0] + zh[-1]


def test_what_does_not_change_is_not_told() -> None:
    form = {"deny": True, "to": ["A"]}

    assert told([form], [form]) == ()
    assert told([form], [form], register="precise") == ()


def test_every_turn_has_both_languages_and_every_category_a_name() -> None:
    for turn in Turn:
        zh, en = effects._SENTENCES[turn]
        assert "{who}" in zh
        assert "{what}" in zh
        assert "{who}" in en
        assert "{what}" in en
    assert OPT_IN.restricted | OPT_OUT.restricted <= effects.CONTENTS.keys()


def test_a_standing_is_told_by_groups_with_equal_answers_side_by_side() -> None:
    found = stands([{"permit": True, "to": ["A"], "labels": ["PSY"]}], OPT_OUT)

    first, rest = effects.told(found, OPT_OUT, NAMES, "en")

    assert (first.who, rest.who) == ("Hospital A", "All hospitals of the county except Hospital A")
    psychiatry = next(line for line in first.lines if "psychiatric" in line.contents)
    assert psychiatry.reach is Reach.TREATING
    assert psychiatry.emergency
    assert {line.reach for line in rest.lines} == {Reach.TREATING, Reach.CONSENT, Reach.CLOSED}


def test_standings_of_different_askers_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different askers"):
        effects.changes(stands(askers=HOUSES[:1]), stands(askers=HOUSES[1:2]))
