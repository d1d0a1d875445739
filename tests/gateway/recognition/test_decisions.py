"""A decision is whole, pinned to what was seen, and kept as a Task that others can read."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import msgspec
import pytest
from fhir.resources.R4B.task import Task

from gateway.recognition.decisions import (
    Choice,
    Decision,
    Declined,
    Pin,
    decision_task,
    fault_of,
)
from gateway.recognition.eligibility import Judgement, Reason

ZONE = ZoneInfo("Asia/Shanghai")
BASE = "https://gateway.example/fhir"
RULES = {"catalogue": "abc", "rules": "annex-d-1"}
FINE = Judgement(True, None, "HR-L-0001", 3, 7, RULES, ())
OLD = Judgement(False, Reason.TOO_OLD, "", 9, 7, RULES, ())
ACCEPTED = Decision(
    id="d" * 32,
    result=Pin("Observation", "a" * 32, "v7", "c" * 64),
    chart="p" * 32,
    organization="tcm",
    practitioner="u-17",
    choice=Choice.ACCEPT,
    at=1_772_596_800_000_001,
)
DECLINED = msgspec.structs.replace(
    ACCEPTED, choice=Choice.DECLINE, reason=Declined.CHANGED, informed=True, note=" 黄疸加重 "
)


def task(decision: Decision, judgement: Judgement = FINE) -> dict:
    text = decision_task(decision, judgement, base=BASE, zone=ZONE)
    Task.model_validate_json(text)
    return json.loads(text)


def codes(parts: list[dict]) -> dict[str, object]:
    found = {}
    for part in parts:
        value = next(part[name] for name in part if name.startswith("value"))
        if isinstance(value, dict):
            value = value["coding"][0]["code"]
        found[part["type"]["coding"][0]["code"]] = value
    return found


def test_an_accepted_result_is_pinned_to_the_version_that_was_seen():
    made = task(ACCEPTED)
    assert list(made)[:2] == ["resourceType", "id"]
    assert "meta" not in made
    assert made["status"] == "completed"
    assert made["focus"]["reference"] == f"Observation/{'a' * 32}/_history/v7"
    assert made["for"]["reference"] == f"Patient/{'p' * 32}"
    assert made["owner"]["identifier"]["value"] == "u-17"
    assert made["requester"]["identifier"]["value"] == "tcm"
    assert made["authoredOn"] == "2026-03-04T12:00:00.000001+08:00"
    assert codes(made["input"]) == {
        "content-hash": "c" * 64, "eligibility": "eligible", "item": "HR-L-0001",
        "catalogue": "abc", "rules": "annex-d-1",
    }  # fmt: skip
    assert codes(made["output"]) == {"decision": "accept"}


def test_a_decision_names_the_state_of_the_register_where_its_judgement_does():
    rules = {"catalogue": "abc", "register": "17", "rules": "annex-d-2"}
    made = task(ACCEPTED, msgspec.structs.replace(FINE, rules=rules))
    assert {name: codes(made["input"])[name] for name in rules} == rules


def test_a_declined_result_keeps_the_coded_reason_and_the_doctors_words():
    made = task(DECLINED, OLD)
    assert codes(made["output"]) == {
        "decision": "decline", "decline-reason": "01", "patient-informed": True,
    }  # fmt: skip
    assert codes(made["input"])["eligibility"] == "E03"
    assert made["note"][0]["text"] == "黄疸加重"
    assert made["businessStatus"]["coding"][0]["display"] == "不认可"


def test_an_image_may_be_accepted_and_read_again():
    made = task(msgspec.structs.replace(ACCEPTED, choice=Choice.ACCEPT_REREAD))
    assert codes(made["output"]) == {"decision": "accept-reread"}


def test_a_revoked_decision_is_cancelled_and_stays_readable():
    revoked = msgspec.structs.replace(ACCEPTED, revoked=ACCEPTED.at + 60_000_000)
    made = task(revoked)
    assert made["status"] == "cancelled"
    assert made["statusReason"]["coding"][0]["code"] == "revoked"
    assert made["authoredOn"] < made["lastModified"]


def test_the_same_decision_gives_the_same_bytes():
    one = decision_task(DECLINED, FINE, base=BASE, zone=ZONE)
    assert one == decision_task(DECLINED, FINE, base=BASE, zone=ZONE)
    assert one.startswith(b'{"resourceType":"Task","id":"dddd')


@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({}, True),
        ({"choice": Choice.DECLINE}, False),
        ({"reason": Declined.FAST}, False),
        ({"choice": Choice.DECLINE, "reason": Declined.OTHER}, False),
        ({"choice": Choice.DECLINE, "reason": Declined.OTHER, "note": " \n"}, False),
        ({"choice": Choice.DECLINE, "reason": Declined.OTHER, "note": "标本运输时间过长"}, True),
        ({"choice": Choice.DECLINE, "reason": Declined.QUALITY}, True),
        ({"revoked": 1}, False),
    ],
)
def test_a_decision_that_is_not_whole_is_not_kept(changes, whole):
    decision = msgspec.structs.replace(ACCEPTED, **changes)
    assert (fault_of(decision) is None) is whole
    if not whole:
        assert all(fault_of(decision) or ())
        with pytest.raises(ValueError):
            decision_task(decision, FINE, base=BASE, zone=ZONE)


def test_the_reasons_are_those_of_the_province_and_one_of_ours():
    assert [reason.value for reason in Declined] == [
        "01", "02", "03", "04", "05", "06", "07", "08", "09", "98", "99",
    ]  # fmt: skip
    assert {reason.value for reason in Declined if not reason.counted} == {"98", "99"}
    assert Declined.QUALITY.upstream == "08"
    assert all(r.upstream == r.value for r in Declined if r is not Declined.QUALITY)
    assert all(word.zh and word.en for word in (*Declined, *Choice))
    assert len({reason.zh for reason in Declined}) == len(Declined)
