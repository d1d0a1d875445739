"""Flat consents are decided as Cedar decides them: a second engine that knows nothing of ours.

A flat consent becomes one Cedar policy (permit or forbid); organizations, roles and purposes become
Cedar entities with their parents. What Cedar has no word for (exceptions, labels, dates, taking
back) stays out: all consents are signed in one instant, so a refusal wins over a permit in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import policy
from consent.decide import decide
from consent.model import Actor, ActorKind, Directive, Permit, Provision, Reason
from tests.consent import build
from tests.consent.test_properties import some

COUNTY = policy.load("cn-optin", "Asia/Shanghai")
HOUSES = {"A-PSY": "A", "A": "ALLIANCE", "B": "ALLIANCE", "ALLIANCE": "", "C": ""}
PURPOSES = {
    "clinician": ["TREAT", "COC", "ETREAT", "ERTREAT"],
    "insurer": ["HPAYMT"],
    "quality": ["HOPERAT"],
    "researcher": ["HRESCH"],
}
TYPES = ["Observation", "Condition", "Encounter", "Procedure"]
ACTIONS = ["read", "search", "export", "print"]
ACTORS = [
    *(Actor(ActorKind.ORGANIZATION, house) for house in HOUSES),
    *(Actor(ActorKind.ROLE, role) for role in PURPOSES),
    *(Actor(ActorKind.PERSON, person) for person in ("dr-1", "dr-2")),
    Actor(ActorKind.GROUP, "heart-team"),
]
KINDS = {"person": "User", "organization": "House", "role": "Role", "group": "Team"}

flat = st.builds(
    Provision,
    permit=st.booleans(),
    purposes=some(["TREAT", "COC", "ETREAT", "ERTREAT", "HPAYMT", "HOPERAT", "HRESCH"]),
    actors=some(ACTORS),
    actions=some(ACTIONS),
    classes=some(TYPES),
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    house = draw(st.sampled_from(sorted(HOUSES)))
    chain = [house]
    while HOUSES[chain[-1]]:
        chain.append(HOUSES[chain[-1]])
    role = draw(st.sampled_from(sorted(PURPOSES)))
    return {
        "user": draw(st.sampled_from(["dr-1", "dr-2"])),
        "person": {
            "organization": house,
            "chain": chain,
            "role": role,
            "groups": draw(some(["heart-team", "stroke-team"])),
        },
        "purpose": draw(st.sampled_from(PURPOSES[role])),
        "action": draw(st.sampled_from(ACTIONS)),
        "type": draw(st.sampled_from(TYPES)),
    }


def one_of(left: str, kind: str, names: Iterable[str]) -> str:
    listed = ", ".join(f'{kind}::"{name}"' for name in names)
    return f"{left} in [{listed}]"


def cedar_policy(consent: Provision) -> str:
    """One consent in Cedar's words: elements are ANDed, values of one are ORed."""
    tests = []
    if consent.actors:
        named = (f'principal in {KINDS[a.kind.value]}::"{a.id}"' for a in consent.actors)
        tests.append(f"({' || '.join(named)})")
    if consent.purposes:
        tests.append(one_of("context.purpose", "Purpose", consent.purposes))
    if consent.actions:
        tests.append(one_of("action", "Action", consent.actions))
    if consent.classes:
        tests.append(one_of("resource", "Type", consent.classes))
    word = "permit" if consent.permit else "forbid"
    return f"{word}(principal, action, resource) when {{ {' && '.join(tests) or 'true'} }};"


def entity(kind: str, id: str, *parents: tuple[str, str]) -> dict[str, Any]:
    above = [{"type": type, "id": name} for type, name in parents]
    return {"uid": {"type": kind, "id": id}, "attrs": {}, "parents": above}


def cedar_says(asked: dict[str, Any], consents: list[Provision]) -> bool:
    person, user = asked["person"], asked["user"]
    above: list[tuple[str, str]] = [("House", person["organization"]), ("Role", person["role"])]
    above += [("Team", team) for team in person["groups"]]
    entities = [
        entity("User", user, *above),
        *(entity("House", house, *[("House", up)] * bool(up)) for house, up in HOUSES.items()),
        *(
            entity("Purpose", low, *(("Purpose", up) for up in ups))
            for low, ups in {"COC": ["TREAT"], "ETREAT": ["TREAT"], "ERTREAT": ["ETREAT"]}.items()
        ),
        entity("Record", "o1", ("Type", asked["type"])),
    ]
    answer = cedarpy.is_authorized(
        {
            "principal": f'User::"{user}"',
            "action": f'Action::"{asked["action"]}"',
            "resource": 'Record::"o1"',
            "context": {"purpose": {"__entity": {"type": "Purpose", "id": asked["purpose"]}}},
        },
        "\n".join(cedar_policy(consent) for consent in consents),
        entities,
    )
    assert not answer.diagnostics.errors, answer.diagnostics.errors
    return bool(answer.decision == cedarpy.Decision.Allow)


@settings(max_examples=200, deadline=None)
@given(requests(), st.lists(flat, max_size=6))
def test_flat_consents_are_decided_as_cedar_decides_them(
    asked: dict[str, Any], consents: list[Provision]
) -> None:
    row = {"purposes": [asked["purpose"]], "action": asked["action"]}
    signed = [
        Directive(f"c{n}", "1", "P", "county", build.at("2026-01-01"), 3, "P", root)
        for n, root in enumerate(consents)
    ]
    decision = decide(
        build.request(row, asked["user"], asked["person"]),
        build.patient({}),
        signed,
        build.facets({"type": asked["type"], "source": "elsewhere"}),
        COUNTY,
    )

    expected = cedar_says(asked, consents)

    # Emergency treatment is open by the county's default unless somebody refused.
    silent = decision.reason in (Reason.DEFAULT, Reason.PRESENCE)
    assert (isinstance(decision, Permit) and not silent) == expected, decision


def test_cedar_understands_what_it_is_told() -> None:
    asked = {
        "user": "dr-1",
        "person": {"organization": "A-PSY", "role": "clinician", "groups": ()},
        "purpose": "ERTREAT",
        "action": "read",
        "type": "Observation",
    }
    alliance = Provision(
        True, purposes=("TREAT",), actors=(Actor(ActorKind.ORGANIZATION, "ALLIANCE"),)
    )
    other = Provision(True, purposes=("HPAYMT",))
    refused = Provision(False, classes=("Observation",), actions=("read",))

    assert cedar_says(asked, [alliance, other])
    assert not cedar_says(asked, [other])
    assert not cedar_says(asked, [alliance, refused])
