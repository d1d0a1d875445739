"""The table of situations (eligibility.toml), and what must hold for any result whatever."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition import eligibility
from gateway.recognition.catalogue import Catalogue, Member, Span
from gateway.recognition.decisions import Choice
from gateway.recognition.eligibility import (
    CURRENT,
    Flag,
    Judgement,
    Offer,
    Outcome,
    Reason,
    Receiver,
    case_of,
    judge,
)
from gateway.recognition.facts import ResultFacts
from tests.gateway.recognition import table
from tests.gateway.recognition.table import CATALOGUE, DAY, NOON, TABLE, answer, facts, wrong

CASES = TABLE["case"]


@pytest.mark.parametrize("row", CASES, ids=[row["situation"] for row in CASES])
def test_the_table_of_situations(row):
    assert wrong(row, answer(row)) == ""


def test_the_table_meets_every_reason_flag_step_and_outcome():
    found = [answer(row) for row in CASES]
    assert len(CASES) >= 100
    assert len({row["situation"] for row in CASES}) == len(CASES)
    assert {one.reason for one in found} == {None, *Reason} - {Reason.NO_BASIS}
    assert {flag for one in found for flag in one.flags} == set(Flag)
    assert {flag for row in CASES for flag in row.get("flags", ())} == {f.value for f in Flag}
    assert {table.failed_at(one) for one in found} == {0, *range(2, 12)}
    assert {one.outcome for one in found} == set(Outcome)
    softer = {one.reason for one in found if one.outcome is Outcome.INFORMATIONAL}
    assert softer == {Reason.IDENTITY, Reason.TOO_OLD, Reason.NO_IMAGES, Reason.EMERGENCY}


def test_the_table_is_printed_as_pass_and_fail():
    printed, failed = table.told([CASES[0], {**CASES[0], "outcome": "none", "reason": "E01"}])
    assert failed == 1
    assert "FAIL: ('eligible', '', 0) instead of ('none', 'E01', 0)" in printed
    assert printed.endswith("2 cases: 1 pass, 1 fail")


def test_a_judgement_says_what_it_was_made_from():
    found = judge(facts(), Receiver("tcm"), CATALOGUE, NOON)
    assert (found.item, found.age_days, found.window_days) == ("HR-L-0001", 3, 7)
    at_step = CATALOGUE.with_register(CATALOGUE.members, CATALOGUE.entitled, "17")
    found = judge(facts(), Receiver("tcm"), at_step, NOON)
    assert found.rules == {
        "catalogue": CATALOGUE.version, "register": "17", "rules": "annex-d-2",
    }  # fmt: skip
    assert found.evidence == "eqa/2026/people-chem"
    assert (found.qualified_then, found.qualified_now) == (True, True)
    assert (found.choices, found.counted, found.clock) == (
        ("accept", "decline"), True, NOON - 3 * DAY,
    )  # fmt: skip
    assert [step.number for step in found.trace] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert all(step.passed for step in found.trace)


def test_a_doctors_conclusion_is_for_reference_only_and_a_new_reading_can_be_asked_for():
    found = judge(facts("abdomen"), Receiver("tcm"), CATALOGUE, NOON)
    assert found.reference_only == ("conclusion",)
    assert found.choices == ("accept", "accept-reread", "decline")
    assert judge(facts(), Receiver("tcm"), CATALOGUE, NOON).reference_only == ()


def test_what_may_be_offered_is_what_can_be_decided():
    assert set(get_args(Offer)) == {choice.value for choice in Choice}


def test_a_hard_failure_ends_the_walk_and_a_soft_one_does_not():
    cancelled = judge(facts(changes={"status": "cancelled"}), Receiver("tcm"), CATALOGUE, NOON)
    assert [step.number for step in cancelled.trace] == [2, 3, 4]
    maybe = judge(facts(changes={"identity_tier": 2}), Receiver("tcm"), CATALOGUE, NOON)
    assert [step.number for step in maybe.trace] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [step.number for step in maybe.trace if not step.passed] == [2]


def test_a_protected_result_is_silent_and_its_trace_names_no_category():
    found = judge(facts(changes={"sensitivities": ["HIV"]}), Receiver("tcm"), CATALOGUE, NOON)
    assert found.silent
    assert "HIV" not in msgspec.json.encode(found.trace).decode()


def test_both_moments_of_entitlement_are_kept():
    changes = {"organization": "tcm", "loinc": ["14771-0"], "unit": "mmol/L", "collected": -5}
    found = judge(facts(changes=changes), Receiver("people"), CATALOGUE, NOON)
    assert (found.qualified_then, found.qualified_now) == (False, True)
    assert (found.trace[-1].number, found.trace[-1].passed) == (8, False)


def test_a_renewal_on_the_day_between_counts_on_both_sides():
    renewed = facts(changes={"organization": "tcm", "collected": -3})
    found = judge(renewed, Receiver("people"), CATALOGUE, NOON)
    assert found.evidence == "eqa/2026/tcm-alt"  # the row of today, not the one that ended


def test_an_entitlement_lasts_to_the_end_of_its_last_county_day():
    end = 1_772_467_200_000_000  # 2026-03-03 00:00 +08:00: the day after the last
    last = facts(changes={"organization": "tcm", "loinc": ["1920-8"]})
    fits = msgspec.structs.replace(last, collected=end - 1)
    assert judge(fits, Receiver("people"), CATALOGUE, end - 1).eligible
    assert judge(fits, Receiver("people"), CATALOGUE, end).reason is Reason.NOT_ENTITLED


# What holds for any result

times = st.one_of(st.none(), st.integers(NOON - 40 * DAY, NOON + DAY))
likely = st.integers(NOON - 3 * DAY, NOON)
anything = st.builds(
    ResultFacts,
    result=st.sampled_from(["Observation/1", "DiagnosticReport/2"]),
    version=st.just("v"),
    content=st.just("c"),
    organization=st.sampled_from(["people", "people", "tcm", "township", "mch2", "nobody", ""]),
    identity_tier=st.sampled_from([1, 1, 1, 1, 0, 2]),
    status=st.sampled_from(["final", "final", "final", "corrected", "cancelled", ""]),
    report_status=st.sampled_from(["", "final", "final", "partial"]),
    latest=st.sampled_from([True, True, True, False]),
    disputed=st.sampled_from([False, False, False, True]),
    source_class=st.sampled_from(["clinical", "clinical", "unknown", "health-check"]),
    sensitivities=st.sampled_from([(), (), (), ("PSY",)]),
    loinc=st.one_of(
        st.sampled_from([(code,) for item in CATALOGUE.items for code in item.loinc]),
        st.just(("x",)),
        st.just(("1742-6", "1920-8")),
    ),
    specimen=st.sampled_from(["", "serum", "blood", "other"]),
    method=st.sampled_from(["", "酶法"]),
    laterality=st.sampled_from(["", "left"]),
    collected=st.one_of(likely, times),
    effective=st.one_of(likely, times),
    issued=times,
    acquired=times,
    value=st.sampled_from(["quantity", "concept", "text", "absent", "report"]),
    unit=st.sampled_from(["U/L", "umol/L", "mmol/L", "10*9/L", "ng/mL", ""]),
    images=st.sampled_from(["reachable", "unreachable", "unknown"]),
    contrast=st.sampled_from(["", "with", "without", "both"]),
    device=st.sampled_from(["", "COBAS E801"]),
    marks=st.lists(st.text(max_size=6), max_size=2).map(tuple),
    times_copied=st.booleans(),
)
receivers = st.builds(
    Receiver,
    st.sampled_from(["people", "tcm", "mch", "shanghai", "beijing", "nowhere"]),
    st.sampled_from(["OP", "OP", "IP", "EM"]),
    st.sampled_from(["", "内分泌科", "全科门诊"]),
    st.booleans(),
)
# A result that is eligible, with one thing after another made worse, meets the later steps.
usual = st.builds(
    lambda changes: facts(changes=changes),
    st.fixed_dictionaries(
        {},
        optional={
            "organization": st.sampled_from(["people", "tcm", "mch2", "township"]),
            "collected": st.sampled_from([-0.5, -3, -7.5, -20]),
            "identity_tier": st.sampled_from([1, 2]),
            "value": st.sampled_from(["quantity", "text"]),
            "specimen": st.sampled_from(["serum", ""]),
            "loinc": st.sampled_from([["1742-6"], ["1920-8"], ["6768-6"], ["2324-2"]]),
        },
    ),
)
results = st.one_of(anything, usual)


@given(results, receivers)
@settings(max_examples=250, deadline=None)
def test_a_judgement_is_made_again_from_what_was_stored(given_facts, receiver):
    found = judge(given_facts, receiver, CATALOGUE, NOON)
    stored = eligibility.encode(case_of(given_facts, receiver, NOON))

    again = eligibility.replay(eligibility.decode(stored), CATALOGUE)
    assert eligibility.written(again) == eligibility.written(found)
    assert again == found
    assert eligibility.read(eligibility.written(found)) == found


@given(results, receivers)
@settings(max_examples=250, deadline=None)
def test_the_trace_alone_gives_the_answer_again(given_facts, receiver):
    found = judge(given_facts, receiver, CATALOGUE, NOON)
    assert again(found) == (found.outcome, found.reason)


def again(found: Judgement) -> tuple[Outcome, Reason | None]:
    """The answer as a reviewer derives it from the steps: the first failure gives the reason; where
    the walk went on to the last step in spite of it, there is something to look at."""
    failed = [step for step in found.trace if not step.passed]
    if not failed:
        return Outcome.ELIGIBLE, None
    by_step = {
        2: {Reason.IDENTITY}, 3: {Reason.PROTECTED}, 4: {Reason.NOT_FINAL}, 5: {Reason.SOURCE},
        6: {Reason.NOT_LISTED, Reason.NEGATIVE}, 7: {Reason.OTHER_MATERIAL},
        8: {Reason.NOT_ENTITLED, Reason.SUSPENDED}, 9: {Reason.TOO_OLD},
        10: {Reason.NOT_READABLE, Reason.NO_IMAGES}, 11: {Reason.EMERGENCY},
    }  # fmt: skip
    assert found.reason in by_step[failed[0].number]
    finished = found.trace[-1].number == 11
    return (Outcome.INFORMATIONAL if finished else Outcome.NONE), found.reason


@given(results, receivers)
@settings(max_examples=250, deadline=None)
def test_what_is_eligible_has_everything_that_recognition_needs(given_facts, receiver):
    found = judge(given_facts, receiver, CATALOGUE, NOON)
    assert found.eligible == (found.reason is None) == (found.outcome is Outcome.ELIGIBLE)
    assert found.eligible == all(step.passed for step in found.trace)
    assert found.eligible == bool(found.choices) == found.counted
    if found.outcome is not Outcome.NONE:
        assert given_facts.identity_tier in {1, 2}
        assert given_facts.status in {"final", "corrected"}
        assert given_facts.latest
        assert not given_facts.disputed
        assert not given_facts.sensitivities
        assert found.item
        assert found.age_days is not None
        assert found.window_days is not None
        assert 0 <= found.age_days <= found.window_days * 2
        own = given_facts.organization == receiver.organization
        assert own or (found.qualified_then and found.qualified_now and found.evidence)
    if found.eligible:
        assert given_facts.identity_tier == 1
        assert receiver.patient_class != "EM"
        assert not receiver.preoperative
        assert found.age_days <= found.window_days


ORDER = [Outcome.NONE, Outcome.INFORMATIONAL, Outcome.ELIGIBLE]


@given(results, receivers, st.integers(0, 60))
@settings(max_examples=250, deadline=None)
def test_a_result_never_becomes_better_by_growing_older(given_facts, receiver, days):
    """All else equal: the specimen is moved back on the same day of the same register."""
    older = msgspec.structs.replace(
        given_facts,
        **{
            name: moment - days * DAY
            for name in ("collected", "effective", "issued", "acquired")
            if (moment := getattr(given_facts, name)) is not None and moment <= NOON
        },
    )
    lasting = standing_since_ever(CATALOGUE)
    before, after = (judge(one, receiver, lasting, NOON).outcome for one in (given_facts, older))
    assert ORDER.index(after) <= ORDER.index(before)


def standing_since_ever(catalogue: Catalogue) -> Catalogue:
    ever = Span(0, 2**62)
    return with_entitlements(
        catalogue,
        [
            msgspec.structs.replace(row, valid=ever)
            for row in table.rows(catalogue)
            if row.status == "active"
        ],
    )


MEMBERS = table.frozen().members


def with_entitlements(catalogue: Catalogue, rows, members=MEMBERS) -> Catalogue:
    return Catalogue(catalogue.items, catalogue.scopes.values(), members, rows, "changed")


ROWS = table.rows(CATALOGUE)
spans = st.builds(
    lambda start, length: Span(NOON + start * DAY, NOON + (start + length) * DAY),
    st.integers(-20, 3),
    st.integers(1, 30),
)


@given(results, receivers, st.sampled_from(ROWS), spans, st.sampled_from(["suspended", "revoked"]))
@settings(max_examples=200, deadline=None)
def test_a_suspension_never_widens(given_facts, receiver, row, span, status):
    lost = msgspec.structs.replace(row, status=status, valid=span)
    before = judge(given_facts, receiver, CATALOGUE, NOON).outcome
    after = judge(given_facts, receiver, with_entitlements(CATALOGUE, [*ROWS, lost]), NOON).outcome
    assert ORDER.index(after) <= ORDER.index(before)


@given(results, receivers, st.sampled_from(sorted(CATALOGUE.scopes)))
@settings(max_examples=200, deadline=None)
def test_joining_another_scope_takes_nothing_away(given_facts, receiver, scope):
    joined = [*MEMBERS, Member(receiver.organization, scope, Span(0, 2**62))]
    before = judge(given_facts, receiver, CATALOGUE, NOON).outcome
    after = judge(given_facts, receiver, with_entitlements(CATALOGUE, ROWS, joined), NOON).outcome
    assert ORDER.index(after) >= ORDER.index(before)


def test_every_reason_flag_and_outcome_has_words():
    assert [reason.value for reason in Reason] == [f"E{number:02d}" for number in range(1, 15)]
    assert all(one.zh and one.en for group in (Reason, Flag, Outcome) for one in group)
    assert CURRENT == "annex-d-2"
