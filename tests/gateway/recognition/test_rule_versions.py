"""What was judged by an old version of the rules is judged so for ever, to the byte."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.recognition import eligibility
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.eligibility import Outcome, Reason
from tests.gateway.recognition import table

HERE = Path(__file__).parent / "annex-d-1"


class Stored(msgspec.Struct):
    case: msgspec.Raw
    judgement: msgspec.Raw


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return table.frozen().catalogue()


STORED = [
    msgspec.json.decode(line, type=Stored)
    for line in (HERE / "cases.jsonl").read_bytes().splitlines()
]


def test_the_first_version_answers_every_stored_case_byte_for_byte(catalogue):
    different = [
        number
        for number, stored in enumerate(STORED, start=1)
        if eligibility.written(
            eligibility.replay(eligibility.decode(bytes(stored.case)), catalogue)
        )
        != bytes(stored.judgement)
    ]
    assert different == []


def test_the_stored_cases_meet_every_answer_of_that_version(catalogue):
    answers = [msgspec.json.decode(bytes(stored.judgement)) for stored in STORED]
    reasons = {answer["reason"] for answer in answers}
    assert reasons == {None} | {reason.value for reason in Reason} - {Reason.NO_BASIS.value}
    assert {answer["trace"][-1]["number"] for answer in answers} == set(range(2, 12))


def test_a_case_without_a_version_is_of_the_first(catalogue):
    case = eligibility.decode(bytes(STORED[0].case))
    assert case.rules == "annex-d-1"
    assert eligibility.replay(case, catalogue).rules["rules"] == "annex-d-1"


def test_a_judgement_of_the_first_version_is_read_with_its_outcome():
    for stored in STORED:
        found = eligibility.read(bytes(stored.judgement))
        assert found.outcome is (Outcome.ELIGIBLE if found.eligible else Outcome.NONE)
        assert eligibility.written(found) == bytes(stored.judgement)


def test_rules_nobody_knows_are_not_guessed(catalogue):
    case = msgspec.structs.replace(eligibility.decode(bytes(STORED[0].case)), rules="annex-d-0")
    with pytest.raises(LookupError):
        eligibility.replay(case, catalogue)
