"""A reviewer re-derives every judgement from what was stored, and reads it in words."""

from __future__ import annotations

import re

import msgspec
import pytest

from gateway.recognition import eligibility
from gateway.recognition.eligibility import Outcome, case_of, judge, written
from gateway.recognition.judgement import Step
from gateway.recognition.tracing import ASKED, explained, review
from tests.gateway.recognition import table
from tests.gateway.recognition.table import CATALOGUE, NOON, TABLE, inputs
from tests.gateway.recognition.test_rule_versions import STORED

CASES = TABLE["case"]


@pytest.mark.parametrize("row", CASES, ids=[row["situation"] for row in CASES])
def test_every_case_of_the_table_is_re_derived_from_its_bytes(row):
    facts, receiver = inputs(row)
    case = eligibility.encode(case_of(facts, receiver, NOON))
    found = review(case, written(judge(facts, receiver, CATALOGUE, NOON)), CATALOGUE)
    assert found.sound
    assert found.derived.value == row["outcome"]


def test_a_judgement_that_was_altered_is_not_sound():
    facts, receiver = inputs(CASES[0])
    case = eligibility.encode(case_of(facts, receiver, NOON))
    made = judge(facts, receiver, CATALOGUE, NOON)
    altered = msgspec.structs.replace(made, age_days=1)
    assert not review(case, written(altered), CATALOGUE).sound
    failed = msgspec.structs.replace(made, trace=(*made.trace[:-1], Step(10, False, "text")))
    assert review(case, written(failed), CATALOGUE).derived is Outcome.NONE


def test_another_catalogue_re_derives_nothing():
    facts, receiver = inputs(CASES[0])
    case = eligibility.encode(case_of(facts, receiver, NOON))
    with pytest.raises(LookupError):
        review(case, written(judge(facts, receiver, CATALOGUE, NOON)), table.frozen().catalogue())


def test_another_state_of_the_register_re_derives_nothing():
    facts, receiver = inputs(CASES[0])
    case = eligibility.encode(case_of(facts, receiver, NOON))
    then, later = (
        CATALOGUE.with_register(CATALOGUE.members, CATALOGUE.entitled, step) for step in ("7", "8")
    )
    kept = written(judge(facts, receiver, then, NOON))
    assert review(case, kept, then).sound
    with pytest.raises(LookupError):
        review(case, kept, later)


def test_stored_cases_of_the_first_version_are_re_derived_too():
    catalogue = table.frozen().catalogue()
    for one in STORED:
        assert review(bytes(one.case), bytes(one.judgement), catalogue).sound


def test_every_step_is_told_in_both_languages():
    """No note is left as the code wrote it: what stands in the table and in the stored cases."""
    judgements = [judge(*inputs(row), CATALOGUE, NOON) for row in CASES]
    judgements += [eligibility.read(bytes(one.judgement)) for one in STORED]
    for judgement in judgements:
        for step, told in zip(judgement.trace, explained(judgement), strict=True):
            assert told.asked == ASKED[step.number]
            assert re.search("[\u4e00-\u9fff]", told.found[0]), step
            assert told.found[0] != step.note
            assert "{" not in told.zh + told.en


def test_a_step_as_a_reviewer_reads_it():
    facts, receiver = inputs(next(row for row in CASES if row["reason"] == "E12"))
    told = explained(judge(facts, receiver, CATALOGUE, NOON))[-1]
    assert told.zh == "第8步 出具机构的互认资格：未通过，在 CN-ZJ-JX 的资格已暂停"
    assert told.en == "Step 8, entitlement of the laboratory: failed, suspended in CN-ZJ-JX"
    protected = next(row for row in CASES if "HIV" in row["situation"])
    assert "HIV" not in str(explained(judge(*inputs(protected), CATALOGUE, NOON)))
