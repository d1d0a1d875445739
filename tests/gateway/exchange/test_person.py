"""A person as one request sees them: one decision for what records share."""

from __future__ import annotations

from typing import Any, cast

from consent.model import DenyHide
from consent.policy import load
from gateway.exchange.person import NOBODY, OwnSource, Person
from gateway.exchange.shelf import permits
from gateway.records.entry import Entry, Nature
from gateway.vault import Grant, Tier

CHART = "ab" * 16


def person() -> Person:
    grant = Grant("request", "t", frozenset(Tier))
    request = cast(Any, None)
    policy = load("cn-optin", "Asia/Shanghai")
    return Person((), (), NOBODY, request, None, OwnSource("people"), {}, grant, {}, policy)


def test_a_decision_is_of_its_own_nature_also_when_another_takes_its_place_in_memory() -> None:
    """Segments come and go within one request; what was decided on one must not open the next."""
    whose = person()
    entry = Entry(bytes(16), 1, 1, 0)
    for turn in range(500):
        source = "people" if turn % 2 else "tcm"
        nature = Nature("Observation", source, codes=(f"urn:x|{turn % 7}",), labels="1")
        assert permits(whose.decide(CHART, (nature, entry))) is (source == "people")
        del nature


def test_natures_that_say_the_same_are_decided_once() -> None:
    whose = person()
    one, same = (Nature("Observation", "tcm", labels="1") for _ in range(2))
    decision = whose.decide_all(CHART, one)
    assert isinstance(decision, DenyHide)
    assert whose.decide_all(CHART, same) is decision
