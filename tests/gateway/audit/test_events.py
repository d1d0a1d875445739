"""A leaf is one event in one spelling, and everything noted has a code the world knows."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import events
from gateway.audit.events import Body, Event, Item, Kind, Outcome, Restricted, Ruling
from gateway.services.caller import Caller

texts = st.text(max_size=20)
made = st.builds(
    Event,
    writer=texts,
    counter=st.integers(1, 2**40),
    at=st.integers(0, 2**55),
    kind=st.sampled_from(Kind),
    outcome=st.sampled_from(Outcome),
    actor=texts,
    client=texts,
    organization=texts,
    purpose=texts,
    charts=st.lists(texts, max_size=4).map(tuple),
    body_hash=st.binary(min_size=32, max_size=32),
)
PLAIN = Event(
    "gw-1",
    7,
    1_772_400_000_000_000,
    Kind.READ,
    Outcome.PERMIT,
    "d0012",
    "portal",
    "people",
    "TREAT",
    ("00ff",),
    bytes(32),
)


def test_the_leaf_stands_as_it_was_written_in_the_first_release():
    """These bytes are in logs; a change here breaks every proof ever made."""
    assert events.leaf(PLAIN).hex() == (
        "9caf676174657761792d61756469742d31a467772d3107cf00064bfd08666000a472656164a67065726d6974"
        "a56430303132a6706f7274616ca670656f706c65a5545245415491a430306666c420" + "00" * 32
    )


@given(made)
def test_a_leaf_read_gives_the_event_back(event):
    assert events.event_of(events.leaf(event)) == event


@given(made, made)
def test_two_events_never_share_a_leaf(one, other):
    assert (events.leaf(one) == events.leaf(other)) == (one == other)


def test_moving_a_letter_from_one_column_to_the_next_changes_the_leaf():
    moved = msgspec.structs.replace(PLAIN, actor="d001", client="2portal")
    assert events.leaf(moved) != events.leaf(PLAIN)


@given(st.binary(max_size=80))
def test_other_bytes_are_no_leaf(data):
    with pytest.raises(ValueError):
        events.event_of(data)


def test_a_leaf_in_longer_forms_or_of_another_version_is_refused():
    data = events.leaf(PLAIN)
    for other in (
        data.replace(b"\x07\xcf", b"\xcc\x07\xcf"),
        data.replace(b"audit-1", b"audit-2"),
        data + b"\x00",
        data[:-1],
    ):
        with pytest.raises(ValueError):
            events.event_of(other)


def test_what_does_not_fit_into_a_bundle_is_refused():
    with pytest.raises(ValueError):
        events.leaf(msgspec.structs.replace(PLAIN, charts=("f" * 32,) * 2_000))
    with pytest.raises(ValueError):
        events.leaf(msgspec.structs.replace(PLAIN, body_hash=b"short"))


def test_every_kind_has_codes():
    assert set(events.PATTERNS) == set(Kind)
    for kind in Kind:
        assert kind.pattern.action in "CRUDE"
        assert kind.pattern.type.system.startswith("http")
        assert kind.pattern.subtype.code


def test_the_codes_are_those_of_the_balp_examples():
    assert Kind.READ.pattern.type.code == "rest"
    assert (Kind.SEARCH.pattern.subtype.code, Kind.SEARCH.pattern.action) == ("search", "E")
    assert Kind.DECISION.pattern == (
        ("http://dicom.nema.org/resources/ontology/DCM", "110113"),
        ("https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType", "AuthZ-Consent"),
        "E",
    )
    assert Kind.DISCLOSURE.pattern.type.code == "110106"
    assert Kind.DISCLOSURE.pattern.subtype.code == "disclose"
    assert [outcome.fhir for outcome in Outcome] == ["0", "4", "8"]


def test_a_body_is_written_in_one_way_and_read_back():
    body = Body(
        request="r-1",
        human="沈珅",
        policies={"policy": "cn-optin@3", "labels": "7"},
        rulings=(Ruling("permit", "own-consent", ("C1.2",), 3, 9), Ruling("deny-hide", "label")),
        returned=3,
        manifest=bytes(32),
        restricted=Restricted(2, {"label": 2}),
    )
    data = events.encode_body(body)
    assert events.decode_body(data) == body
    turned = msgspec.structs.replace(body, policies={"labels": "7", "policy": "cn-optin@3"})
    assert events.encode_body(turned) == data
    assert json.loads(data)["restricted"] == {"withheld": 2, "reasons": {"label": 2}}
    assert events.decode_body(data[:-1] + b',"later":1}') == body
    with pytest.raises(ValueError):
        events.decode_body(b"{}")


def test_an_event_says_who_asked_how_surely_from_which_session_and_where():
    who = Caller(
        "portal", "people", "clinician", name="李娜", strength=2, session="s1", address="10.0.0.7"
    )
    found = Body(request="r", returned=1).asked_by(who)
    assert found == Body("r", "李娜", "clinician", "2", "s1", "10.0.0.7", returned=1)


def test_the_manifest_depends_on_every_item_and_on_their_order():
    items = [Item("Observation", f"{n:032x}", f"v{n}", bytes([n]) * 32) for n in range(3)]
    root = events.manifest_root(items)
    assert len(root) == 32
    others = [
        items[:2],
        items[::-1],
        [*items[:2], items[2]._replace(version="v9")],
        [*items[:2], items[2]._replace(content=bytes(32))],
        [*items[:2], items[2]._replace(id="0" * 32)],
        [],
    ]
    assert len({root, *map(events.manifest_root, others)}) == 7


def test_no_column_of_an_event_could_hold_what_is_sealed():
    assert Event.__struct_fields__ == (
        "writer", "counter", "at", "kind", "outcome", "actor", "client", "organization",
        "purpose", "charts", "body_hash",
    )  # fmt: skip
