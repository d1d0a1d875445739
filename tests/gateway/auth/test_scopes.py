"""Scopes only narrow: nothing is granted that was not both asked for and registered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.scopes import INTERACTIONS, allows, narrowed, scope

TYPES = st.sampled_from(["*", "Observation", "Patient", "Bundle"])
LETTERS = st.sets(st.sampled_from("cruds"), min_size=1).map(
    lambda some: "".join(letter for letter in "cruds" if letter in some)
)
SCOPES = st.lists(st.builds("system/{}.{}".format, TYPES, LETTERS), max_size=4).map(" ".join)
ASKED = st.tuples(
    st.sampled_from(["Observation", "Patient", "Bundle", "Consent"]), st.sampled_from("cruds")
)


@given(SCOPES, SCOPES, ASKED)
def test_what_is_granted_was_asked_for_and_registered(wanted, registered, asked):
    granted = narrowed(wanted, registered)

    both = allows(wanted.split(), *asked) and allows(registered.split(), *asked)
    assert allows(granted, *asked) == both


@given(st.text(max_size=40))
def test_any_text_either_names_its_own_scope_or_none(text):
    assert scope(text) is None or str(scope(text)) == text


def test_fhir_interactions_need_their_letter():
    granted = {"system/Observation.rs"}

    assert allows(granted, "Observation", "read")
    assert allows(granted, "Observation", "search-type")
    assert not allows(granted, "Observation", "create")
    assert not allows(granted, "Patient", "read")
    assert set(INTERACTIONS.values()) == set("cruds")


@pytest.mark.parametrize("interaction", ["", "everything", "rs", "cruds", "R", "operation"])
def test_an_unknown_interaction_is_allowed_to_nobody(interaction):
    assert not allows({"system/*.cruds"}, "Observation", interaction)


def test_asking_for_all_gives_what_is_registered():
    assert narrowed("system/*.cruds", "system/Patient.r system/Consent.cu") == {
        "system/Patient.r",
        "system/Consent.cu",
    }
