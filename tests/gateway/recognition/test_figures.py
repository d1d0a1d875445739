"""A county whose figures were counted by hand, and what must hold of the figures of any county."""

from __future__ import annotations

import csv
import tomllib
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition import figure_words
from gateway.recognition.decisions import Choice, Declined
from gateway.recognition.figures import (
    COLUMNS,
    DIMENSIONS,
    LONE,
    PARTS,
    Case,
    Counts,
    broken_down,
    cases,
    counted,
)
from gateway.recognition.indicators import dictionary, value_of
from gateway.recognition.ledger import Event, Happened
from gateway.recognition.publication import Publication, decode, encode, publish

HERE = Path(__file__).parent / "figures"
EXPECTED = tomllib.loads((HERE / "expected.toml").read_text("utf-8"))
MINUTE = 60_000_000


def _event(row: dict[str, str]) -> Event:
    said = {name: row[name] for name in (
        "question", "organization", "issuer", "item", "department", "hook", "result", "choice",
        "reason", "task", "price", "comparison",
    )}  # fmt: skip
    return Event(
        kind=Happened(row["kind"]),
        at=int(Decimal(row["minute"]) * MINUTE),
        patient="p" + row["question"],
        counted=row["counted"] == "yes",
        **said,
    )


with (HERE / "events.csv").open(encoding="utf-8", newline="") as file:
    EVENTS = [_event(row) for row in csv.DictReader(file)]
TENFOLD = [
    msgspec.structs.replace(event, question=f"{event.question}.{n}")
    for event in EVENTS
    for n in range(10)
]


def published(events: list[Event]) -> Publication:
    found, unanswered = cases(events)
    return publish(found, unanswered, dictionary(), month="2026-10", until=0, events=len(events))


def test_the_counts_are_those_counted_by_hand() -> None:
    found, unanswered = cases(EVENTS)
    whole = counted(found, unanswered)
    assert dict(whole.of) == EXPECTED["whole"]
    assert whole.saved == Decimal(EXPECTED["money"]["saved"])


@pytest.mark.parametrize("by", sorted(DIMENSIONS))
def test_the_breakdowns_are_those_counted_by_hand(by: str) -> None:
    found, _ = cases(EVENTS)
    assert {key: row["eligible"] for key, row in broken_down(found, by).items()} == EXPECTED[
        "eligible"
    ][by]


def test_the_rates_are_those_computed_by_hand() -> None:
    whole = published(TENFOLD)
    found = {
        one.code: [one.value, one.numerator, one.denominator]
        for one in whole.values
        if one.denominator is not None
    }
    assert found == EXPECTED["rates"]
    money = whole.value("REC-SAVED")
    assert (money.value, money.numerator, money.least) == ("2865.00", 60, False)


def test_a_small_county_shows_no_small_count() -> None:
    whole = published(EVENTS)
    rows = [whole.totals, *(row for table in whole.tables for row in table.rows)]
    assert all(n == 0 or n >= 5 for row in rows for n in row.counts.values())
    assert whole.value("REC-RATE").why == "withheld"
    assert whole.value("REC-DOUBT").why == "withheld"
    assert whole.repeated == {}
    assert decode(encode(whole)) == whole


def test_money_is_a_least_where_an_items_count_is_withheld() -> None:
    """Of ten counties and one image more: 240.00 of that item must not be had by subtraction.

    So the 20 saved of HR-L-0001 (100.00) are withheld with it, and 365.00 of HR-L-0013 remain.
    """
    lone = [event for event in EVENTS if event.question == "q17"]
    many = [one for one in TENFOLD if one.item != "HR-I-001"] + lone
    money = published(many).value("REC-SAVED")
    assert (money.value, money.least) == ("365.00", True)


def test_a_rate_over_few_is_not_shown() -> None:
    few = [event for event in TENFOLD if event.question.startswith(("q01.", "q07."))]
    kept = [one for one in few if int(one.question.rpartition(".")[2]) < 5]
    assert published(kept).value("CHK-07").why == "few"
    assert published(kept).totals.rate == "50.0"


def test_a_share_is_not_shown_where_the_rest_of_it_is_small() -> None:
    """12 of 14 answered at once tells that two were not."""
    quick = dictionary().named("CHK-QUICK")
    counts = Counts({"accepted": 14, "quick": 12})
    assert value_of(quick, counts, frozenset(), 10).why == "withheld"
    more = Counts({"accepted": 17, "quick": 12})
    assert value_of(quick, more, frozenset(), 10).value == "70.6"


# Any county

_kinds = st.sampled_from(list(Happened))
_events = st.builds(
    Event,
    kind=_kinds,
    question=st.sampled_from([f"q{n}" for n in range(12)]),
    at=st.integers(0, 50).map(lambda n: n * MINUTE // 30),
    organization=st.just("tcm"),
    issuer=st.sampled_from(["people", "mch"]),
    item=st.sampled_from(["A", "B"]),
    patient=st.just("p"),
    result=st.sampled_from(["r1", "r2"]),
    department=st.sampled_from(["", "内科"]),
    hook=st.sampled_from(["order-select", "portal"]),
    counted=st.sampled_from([True, True, True, False]),
    choice=st.sampled_from(list(Choice)).map(str),
    reason=st.sampled_from(list(Declined)).map(str),
    task=st.sampled_from(["t1", "t2"]),
    price=st.sampled_from(["", "1.10", "NaN", "-3"]),
)
_ledgers = st.lists(_events, max_size=60)


@settings(max_examples=150, deadline=None)
@given(_ledgers, st.randoms(use_true_random=False))
def test_order_and_repetition_of_events_change_nothing(events: list[Event], random: object) -> None:
    mixed = [*events, *events[: len(events) // 2]]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert cases(mixed) == cases(events)


@settings(max_examples=150, deadline=None)
@given(_ledgers)
def test_parts_add_up_to_wholes_and_rows_to_totals(events: list[Event]) -> None:
    found, unanswered = cases(events)
    whole = counted(found, unanswered)
    for sum_, parts in PARTS.items():
        assert whole[sum_] == sum(whole[part] for part in parts)
    for by in DIMENSIONS:
        rows = broken_down(found, by).values()
        for name in COLUMNS:
            assert whole[name] == sum(row[name] for row in rows)
        assert whole.saved == sum((row.saved for row in rows), Decimal(0))
    assert all(whole[name] <= whole["eligible"] for name in LONE)
    questions = {event.question for event in events}
    assert whole["eligible"] + whole["emergencies"] + unanswered <= len(questions)


@settings(max_examples=150, deadline=None)
@given(_ledgers)
def test_who_says_nothing_has_not_declined(events: list[Event]) -> None:
    silent = [event for event in events if event.kind is not Happened.DECISION]
    found, _ = cases(silent)
    assert {one.outcome for one in found} <= {"undecided", "silent"}
    assert counted(found)["declined"] == 0


@settings(max_examples=100, deadline=None)
@given(_ledgers)
def test_a_revoked_decision_is_as_if_it_had_never_been(events: list[Event]) -> None:
    kept = [event for event in events if event.kind is not Happened.REVOCATION]
    last = max((event.at for event in kept), default=0) + 1
    revoked = [
        msgspec.structs.replace(
            event, kind=Happened.REVOCATION, at=last, task="", choice="", reason=""
        )
        for event in kept
        if event.kind is Happened.DECISION
    ]
    assert _outcomes(cases([*kept, *revoked])[0]) <= {"undecided", "silent"}


def _outcomes(found: tuple[Case, ...]) -> set[str]:
    return {one.outcome for one in found}


def test_there_is_no_dimension_of_persons() -> None:
    assert set(DIMENSIONS) == {"item", "pair", "department", "hook"}
    assert not any("practitioner" in name for name in Case.__struct_fields__)


def test_everything_that_happens_or_is_counted_has_a_word() -> None:
    assert set(figure_words.KINDS) == {one.value for one in Happened}
    assert set(COLUMNS) <= set(figure_words.COUNTS)
