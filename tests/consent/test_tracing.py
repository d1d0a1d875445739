"""The way to a decision adds up to the decision, for the whole table and for any set of consents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from consent.decide import decide
from consent.model import Directive, Redact
from consent.provisions import MAYBE, NO, YES
from consent.tracing import State, trace
from tests.consent import build
from tests.consent.test_decisions import TABLE, inputs
from tests.consent.test_properties import Setting, consents, situations, usual


@pytest.mark.parametrize("row", TABLE["case"], ids=lambda row: f"case-{row['number']}")
def test_the_trace_of_every_case_of_the_table_adds_up_to_its_decision(row: dict[str, Any]) -> None:
    arguments = inputs(row)

    found = trace(*arguments)

    assert found.decision == decide(*arguments)
    assert found.whole, f"case {row['number']}: {row['situation']}: {found.concluded}"


@usual
@given(situations(), consents())
def test_the_trace_of_any_consents_adds_up_to_the_decision(
    at: Setting, signed: list[Directive]
) -> None:
    found = trace(at.request, at.patient, signed, at.facets, at.policy)

    assert found.decision == at.decide(signed)
    assert isinstance(found.decision, Redact) or found.whole, found.concluded


def traced(**row: Any) -> Any:
    return trace(*inputs(row))


def states(found: Any) -> list[State]:
    return [one.state for one in found.consents]


def test_a_gate_ends_it_before_any_consent_is_looked_at() -> None:
    found = traced(relationships=[], consents=[{"permit": True}])

    assert found.gate is not None
    assert found.consents == ()


def test_relationships_are_told_with_whether_they_count() -> None:
    found = traced(
        relationships=[
            {"kind": "encounter", "organization": "A", "start": "2026-05-30"},
            {"kind": "self-claim", "organization": "A", "user": "dr-a1", "start": "2026-05-01"},
        ]
    )

    assert [live for _, live in found.relationships] == [True, False]


def test_what_became_of_each_consent() -> None:
    found = traced(
        consents=[
            {"deny": True},
            {"permit": True, "active": False},
            {"permit": True, "patient": "somebody"},
            {"permit": True, "controller": "C"},
            {"permit": True, "until": "2026-01-02"},
            {"permit": True, "classes": ["Condition"]},
            {"deny": True, "unreadable": True},
            {"permit": True, "doubted": "2026-02-02"},
            {"permit": True, "doubted": "2026-02-02", "active": False},
            {"permit": True, "doubted": "2026-02-02", "classes": ["Condition"]},
            {"deny": True, "doubted": "2026-02-02"},
            {"deny": True, "doubted": "2026-02-02", "active": False},
        ]
    )

    assert states(found) == [
        State.REFUSES,
        State.WITHDRAWN,
        State.OTHER_PATIENT,
        State.OTHER_SOURCE,
        State.NOT_NOW,
        State.SILENT,
        State.UNREADABLE,
        State.DOUBTED,
        State.DOUBTED,
        State.NOT_NOW,
        State.REFUSES,
        State.WITHDRAWN,
    ]


def test_a_refusal_that_was_taken_back_names_the_permit() -> None:
    found = traced(consents=[{"deny": True}, {"permit": True, "to": ["A"], "at": "2026-02-01"}])

    assert states(found) == [State.TAKEN_BACK, State.PERMITS]
    assert found.consents[0].taken_back_by == ("Consent/c2/_history/1",)


@pytest.mark.parametrize(
    ("form", "element", "match"),
    [
        ({"deny": True, "to": ["A"]}, "actors", YES),
        ({"deny": True, "to": ["C"]}, "actors", NO),
        ({"deny": True, "to_unknown_role": ["C"]}, "actors", MAYBE),
        ({"permit": True, "data_from": "2025-01-01"}, "dates", MAYBE),
        ({"deny": True, "codes": ["http://loinc.org|718-7"]}, "codes", NO),
        ({"deny": True, "purposes": ["TREAT"]}, "purposes", YES),
        ({"deny": True, "labels": ["PSY"]}, "labels", NO),
        ({"deny": True, "instances": ["o1"]}, "data", YES),
        ({"deny": True, "authored_by": ["dr-b1"]}, "data", MAYBE),
        ({"deny": True, "classes": ["Observation"]}, "classes", YES),
        ({"permit": True, "actions": ["read"]}, "actions", YES),
        ({"deny": True, "until": "2027-01-01"}, "period", YES),
    ],
)
def test_each_element_says_whether_it_matches(
    form: dict[str, Any], element: str, match: int
) -> None:
    (consent,) = traced(consents=[form]).consents

    ((only,),) = [one.elements for one in consent.provisions]
    assert (only.name, only.match) == (element, match)


def test_a_broad_permit_is_silent_on_what_is_protected() -> None:
    (consent,) = traced(record="psy-note", consents=[{"permit": True}]).consents

    assert consent.state is State.SILENT
    assert [(one.name, one.match) for one in consent.provisions[0].elements] == [("labels", NO)]


def test_nested_provisions_are_told_in_their_order() -> None:
    form = {"deny": True, "except": [{"permit": True, "to": ["A"], "except": [{"deny": True}]}]}

    (consent,) = traced(consents=[form]).consents

    assert [(one.depth, one.permit, one.match) for one in consent.provisions] == [
        (0, False, YES),
        (1, True, YES),
        (2, False, YES),
    ]


def test_a_minor_not_old_enough_is_told_apart_from_what_the_form_says() -> None:
    """What a form matches is told even when its signer's word counts nothing."""
    found = trace(
        build.request({}, "dr-a1", TABLE["people"]["dr-a1"]),
        build.patient({"birth": ("2020-01-01", "2020-01-01")}),
        [build.directive({"permit": True, "to": ["A"]}, 1)],
        build.facets({}),
        inputs({})[4],
    )

    (consent,) = found.consents
    assert consent.provisions[0].match == YES
    assert found.whole
