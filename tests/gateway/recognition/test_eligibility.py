"""The table of situations (eligibility.csv) that a privacy officer and a laboratory head can read."""

from __future__ import annotations

import csv
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition import eligibility
from gateway.recognition.catalogue import SHIPPED
from gateway.recognition.catalogue.reader import load
from gateway.recognition.eligibility import Case, Flag, Judgement, Reason, Receiver, judge
from gateway.recognition.facts import ResultFacts

HERE = Path(__file__).parent
ZONE = ZoneInfo("Asia/Shanghai")
CATALOGUE = load(SHIPPED, HERE / "county", zone=ZONE)
NOON = 1_772_596_800_000_000  # 2026-03-04 12:00 +08:00
DAY = 86_400_000_000

ALT = ResultFacts(
    result="Observation/" + "a" * 32,
    version="v1",
    content="c" * 64,
    organization="people",
    identity_tier=1,
    status="final",
    report_status="final",
    source_class="clinical",
    loinc=("1742-6",),
    specimen="serum",
    collected=NOON - 3 * DAY,
    effective=NOON - 3 * DAY,
    issued=NOON - 3 * DAY + 7_200_000_000,
    value="quantity",
    unit="U/L",
)
US = msgspec.structs.replace(
    ALT, result="DiagnosticReport/" + "b" * 32, loinc=("24558-9",), specimen="", collected=None,
    modality="US", value="report", unit="", body_parts=("上腹部",),
)  # fmt: skip
CT = msgspec.structs.replace(US, loinc=("29252-4",), modality="CT", body_parts=("胸部",))


def facts_from(changes: str) -> ResultFacts:
    facts = ALT
    for change in changes.split():
        name, equals, value = change.partition("=")
        if not equals:
            facts = {"us": US, "ct": CT}[name]
            continue
        made: object = value.replace("§", " ")
        if name in {"collected", "effective", "issued"}:
            made = NOON + round(float(value) * DAY) if value else None
        elif name in {"latest", "disputed"}:
            made = value == "yes"
        elif name == "identity_tier":
            made = int(value)
        elif name in {"loinc", "marks", "sensitivities", "body_parts"}:
            made = tuple(filter(None, value.split("|")))
        facts = msgspec.structs.replace(facts, **{name: made})
    return facts


with (HERE / "eligibility.csv").open(encoding="utf-8", newline="") as lines:
    TABLE = list(csv.DictReader(lines))


@pytest.mark.parametrize("row", TABLE, ids=[row["situation"] for row in TABLE])
def test_the_table_of_situations(row):
    organization, patient_class = row["receiver"].split()
    found = judge(
        facts_from(row["changes"]), Receiver(organization, patient_class), CATALOGUE, NOON
    )
    assert (found.reason.value if found.reason else "") == row["reason"]
    assert found.eligible == (row["reason"] == "")
    for flag in row["flags"].split():
        assert Flag(flag) in found.flags
    if "mark" not in row["flags"]:
        assert not {Flag.MARK_NOT_IN_REGISTER, Flag.MARK_UNKNOWN} & set(found.flags)


def test_the_table_reaches_every_reason_that_is_decided_here():
    reached = {row["reason"] for row in TABLE} - {""}
    assert reached == {reason.value for reason in Reason} - {Reason.NO_BASIS.value}
    assert len(TABLE) >= 40


def test_a_judgement_says_what_it_was_made_from():
    found = judge(ALT, Receiver("tcm"), CATALOGUE, NOON)
    assert (found.item, found.age_days, found.window_days) == ("HR-L-0001", 3, 7)
    assert found.rules == {"catalogue": CATALOGUE.version, "rules": "annex-d-1"}
    assert found.evidence == "eqa/2026/people-chem"
    assert (found.qualified_then, found.qualified_now) == (True, True)
    assert [step.number for step in found.trace] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert all(step.passed for step in found.trace)


def test_a_refusal_ends_the_trace_at_the_step_that_refused():
    found = judge(facts_from("organization=tcm loinc=14771-0 unit=mmol/L collected=-5"),
                  Receiver("people"), CATALOGUE, NOON)  # fmt: skip
    assert (found.qualified_then, found.qualified_now) == (False, True)
    assert (found.trace[-1].number, found.trace[-1].passed) == (8, False)
    assert all(step.passed for step in found.trace[:-1])


def test_a_renewal_on_the_day_between_counts_on_both_sides():
    found = judge(facts_from("organization=tcm collected=-3"), Receiver("people"), CATALOGUE, NOON)
    assert found.evidence == "eqa/2026/tcm-alt"  # the row of today, not the one that ended


def test_an_entitlement_lasts_to_the_end_of_its_last_county_day():
    last = facts_from("organization=tcm loinc=1920-8")
    end = 1_772_467_200_000_000  # 2026-03-03 00:00 +08:00: the day after the last
    fits = msgspec.structs.replace(last, collected=end - 1)
    assert judge(fits, Receiver("people"), CATALOGUE, end - 1).eligible
    assert judge(fits, Receiver("people"), CATALOGUE, end).reason is Reason.NOT_ENTITLED


times = st.one_of(st.none(), st.integers(NOON - 40 * DAY, NOON + DAY))
anything = st.builds(
    ResultFacts,
    result=st.sampled_from(["Observation/1", "DiagnosticReport/2"]),
    version=st.just("v"),
    content=st.just("c"),
    organization=st.sampled_from(["people", "tcm", "township", "mch", "nobody", ""]),
    identity_tier=st.sampled_from([1, 1, 1, 0, 2]),
    status=st.sampled_from(["final", "final", "corrected", "cancelled", ""]),
    report_status=st.sampled_from(["", "final", "partial"]),
    latest=st.sampled_from([True, True, False]),
    disputed=st.sampled_from([False, False, True]),
    source_class=st.sampled_from(["clinical", "unknown", "health-check"]),
    sensitivities=st.sampled_from([(), (), ("PSY",)]),
    loinc=st.lists(
        st.sampled_from([code for item in CATALOGUE.items for code in item.loinc] + ["x"]),
        max_size=2,
    ).map(tuple),
    specimen=st.sampled_from(["", "serum", "blood", "other"]),
    collected=times,
    effective=times,
    issued=times,
    value=st.sampled_from(["quantity", "text", "absent", "report"]),
    unit=st.sampled_from(["U/L", "umol/L", "mmol/L", "10*9/L", ""]),
    images=st.sampled_from(["reachable", "unreachable", "unknown"]),
    marks=st.lists(st.text(max_size=6), max_size=2).map(tuple),
)
receivers = st.builds(
    Receiver,
    st.sampled_from(["people", "tcm", "mch", "shanghai", "beijing", "nowhere"]),
    st.sampled_from(["OP", "IP", "EM"]),
)


@given(anything, receivers)
@settings(max_examples=400, deadline=None)
def test_a_judgement_is_replayed_from_what_was_stored(facts, receiver):
    found = judge(facts, receiver, CATALOGUE, NOON)
    stored = eligibility.encode(Case(facts, receiver, NOON))

    assert eligibility.replay(eligibility.decode(stored), CATALOGUE) == found
    assert msgspec.json.decode(msgspec.json.encode(found), type=Judgement) == found


@given(anything, receivers)
@settings(max_examples=400, deadline=None)
def test_what_is_eligible_has_everything_that_recognition_needs(facts, receiver):
    found = judge(facts, receiver, CATALOGUE, NOON)
    assert found.eligible == (found.reason is None)
    assert found.eligible == all(step.passed for step in found.trace)
    if found.eligible:
        assert facts.identity_tier == 1
        assert facts.status in {"final", "corrected"}
        assert facts.latest
        assert not facts.disputed
        assert not facts.sensitivities
        assert receiver.patient_class != "EM"
        assert found.item
        assert 0 <= found.age_days <= found.window_days
        own = facts.organization == receiver.organization
        assert own or (found.qualified_then and found.qualified_now and found.evidence)


@given(anything, receivers, st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_a_result_never_becomes_eligible_by_growing_older(facts, receiver, days):
    facts = msgspec.structs.replace(facts, organization="people")
    later = NOON + days * DAY
    now = judge(facts, receiver, CATALOGUE, NOON)
    if now.reason is Reason.TOO_OLD and Flag.IN_THE_FUTURE not in now.flags:
        assert not judge(facts, receiver, CATALOGUE, later).eligible


def test_every_reason_has_words():
    assert [reason.value for reason in Reason] == [f"E{number:02d}" for number in range(1, 15)]
    assert all(reason.zh and reason.en for reason in Reason)
