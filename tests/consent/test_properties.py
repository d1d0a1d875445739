"""What must hold for any set of consents: order, refusals, withdrawal, time."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import decide as deciding
from consent import policy
from consent.decide import decide, decide_shared, ruling
from consent.model import (
    Actor,
    ActorKind,
    Datum,
    Directive,
    Facets,
    Meaning,
    Permit,
    PermitEmergency,
    Provision,
    Redact,
)
from tests.consent import build, checks
from tests.consent.table import inputs

POLICIES = [policy.load(name, "Asia/Shanghai") for name in ("cn-optin", "opt-out")]
DAYS = st.integers(-40, 40).map(lambda n: build.NOW + n * policy.DAY // 4)
# CONSENT_EXAMPLES=2000 looks longer, as after a change of the decision.
EXAMPLES = int(os.environ.get("CONSENT_EXAMPLES", "50"))
usual = settings(max_examples=EXAMPLES, deadline=None)
few = settings(max_examples=EXAMPLES // 2, deadline=None)
SHARED = (Permit, PermitEmergency, Redact)


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    """Usually nothing, sometimes one or two."""
    return st.one_of(
        st.just(()), st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)
    )


ACTORS = [
    Actor(ActorKind.ORGANIZATION, "A"),
    Actor(ActorKind.ORGANIZATION, "B"),
    Actor(ActorKind.ORGANIZATION, "ALLIANCE"),
    Actor(ActorKind.ORGANIZATION, "C"),
    Actor(ActorKind.ORGANIZATION, "A", False),
    Actor(ActorKind.PERSON, "dr-a1"),
    Actor(ActorKind.ROLE, "clinician"),
    Actor(ActorKind.GROUP, "heart-team"),
]
DATA = [
    Datum(Meaning.INSTANCE, "o1"),
    Datum(Meaning.RELATED, "e1"),
    Datum(Meaning.AUTHORED_BY, "dr-b1"),
]


@st.composite
def provisions(draw: st.DrawFn, depth: int = 2) -> Provision:
    return Provision(
        permit=draw(st.booleans()),
        start=draw(st.none() | DAYS),
        end=draw(st.none() | DAYS),
        purposes=draw(some(["TREAT", "ETREAT", "BTG", "HRESCH"])),
        actors=draw(some(ACTORS)),
        actions=draw(some(["read", "export"])),
        confidentiality=draw(some(["N", "R", "V"])),
        sensitivities=draw(some(["PSY", "HIV", "ETH", "OPIOIDUD"])),
        classes=draw(some(["Observation", "Condition"])),
        codes=draw(some([("http://loinc.org", "718-7")])),
        data_start=draw(st.none() | DAYS),
        data_end=draw(st.none() | DAYS),
        data=draw(some(DATA)),
        exceptions=tuple(draw(st.lists(provisions(depth - 1), max_size=2))) if depth else (),
    )


@st.composite
def directives(draw: st.DrawFn) -> Directive:
    return Directive(
        id="c",
        version="1",
        patient=draw(st.sampled_from(["P", "P-at-B"])),
        controller=draw(st.sampled_from(["county", "county", "B", "C"])),
        at=draw(DAYS),
        assurance=draw(st.integers(1, 3)),
        performer=draw(st.sampled_from(["P", "P", "mother", "father"])),
        root=None,
    )


@st.composite
def consents(draw: st.DrawFn) -> list[Directive]:
    roots = draw(st.lists(st.none() | provisions(), max_size=5))
    return [
        msgspec.structs.replace(draw(directives()), id=f"c{number}", root=root)
        for number, root in enumerate(roots)
    ]


@dataclass
class Setting:
    request: Any
    patient: Any
    facets: Facets
    policy: policy.PolicySet

    def decide(self, directives: list[Directive]) -> Any:
        return decide(self.request, self.patient, directives, self.facets, self.policy)


@st.composite
def situations(draw: st.DrawFn) -> Setting:
    who = draw(
        st.sampled_from(["dr-a1", "dr-a1", "dr-b1", "dr-c1", "mother", "daughter", "patient-self"])
    )
    role = {"mother": "representative", "daughter": "representative", "patient-self": "patient"}
    role = role.get(who, "clinician")
    organization = who[3].upper() if who.startswith("dr-") else "county"
    chain = [organization] + (["ALLIANCE"] if organization in "AB" else [])
    person = {"organization": organization, "chain": chain, "role": role, "groups": ["heart-team"]}
    purposes = {
        "representative": ["FAMRQT"],
        "patient": ["PATRQT"],
        "clinician": ["TREAT", "ETREAT", "BTG"],
    }[role]
    record = {
        "type": draw(st.sampled_from(["Observation", "Condition", "Immunization"])),
        "confidentiality": draw(st.sampled_from("NRV")),
        "sensitivities": draw(some(["PSY", "HIV", "OPIOIDUD", "SDV"])),
        "codes": draw(some(["http://loinc.org|718-7"])),
        "authors": draw(some(["dr-b1", "dr-b2"])),
        "links": draw(some(["e1"])),
        "subjects": draw(st.sampled_from([["P"], ["P-at-B"], ["P", "P-at-B"]])),
    }
    facets = build.facets(record)
    begin, length = draw(st.none() | DAYS), draw(st.none() | st.integers(0, 20 * policy.DAY))
    if begin is not None:
        facets = msgspec.structs.replace(
            facets, start=begin, end=None if length is None else begin + length
        )
    row: dict[str, Any] = {
        "purposes": [draw(st.sampled_from(purposes))],
        "grant": {"user": who},
        "action": draw(st.sampled_from(["read", "read", "export"])),
    }
    birth = draw(
        st.sampled_from(
            [
                *(["1980-01-01"] * 2, ["2016-01-01"] * 2, ["2012-06-01"] * 2, ["2008-06-02"] * 2),
                *(["2012-05-28", "2012-06-04"], ["2008-05-28", "2008-06-04"], []),
            ]
        )
    )
    request = build.request(row, who, person)
    patient = build.patient(
        {
            "birth": birth,
            "delegations": [
                {"user": "mother", "kind": "guardian", "chart": "P"},
                {"user": "daughter", "kind": "court", "chart": "P", "start": "2025-05-30"},
                {
                    "user": "daughter",
                    "kind": "heir",
                    "chart": "P",
                    "categories": ["general", "PSY"],
                },
            ],
            "identities": draw(st.sampled_from([[], [["P"], ["P-at-B"]]])),
            "self_charts": ["P"],
            **draw(st.sampled_from([{}, {}, {"death": "2026-05-20"}, {"dispute": True}])),
        }
    )
    return Setting(
        msgspec.structs.replace(request, now=draw(DAYS)),
        patient,
        facets,
        draw(st.sampled_from(POLICIES)),
    )


def same(one: Any, other: Any) -> bool:
    return bool(type(one) is type(other) and one.reason == other.reason)


@usual
@given(situations(), consents(), st.randoms(use_true_random=False))
def test_the_order_of_consents_does_not_matter(
    at: Setting, signed: list[Directive], random: Any
) -> None:
    shuffled = random.sample(signed, len(signed))

    assert at.decide(shuffled) == at.decide(signed)


@usual
@given(situations(), consents(), provisions(depth=0), directives())
def test_adding_a_flat_refusal_never_shares_more(
    at: Setting, signed: list[Directive], refusal: Provision, like: Directive
) -> None:
    refusal = msgspec.structs.replace(refusal, permit=False)
    added = msgspec.structs.replace(like, id="new", root=refusal)

    if isinstance(at.decide([*signed, added]), SHARED):
        assert isinstance(at.decide(signed), SHARED)


@usual
@given(situations(), consents(), st.integers(1, 3))
def test_the_newest_refusal_of_everything_refuses_in_every_institution(
    at: Setting, signed: list[Directive], assurance: int
) -> None:
    newest = max([c.at for c in signed], default=0) + 1
    everything = Directive("new", "1", "P", "county", newest, assurance, "P", Provision(False))

    decision = at.decide([*signed, everything])

    # What the patient cannot refuse by it: the source's own care, the patient's own access, a grant.
    others = {"own-source", "data-subject", "representative"}
    assert not isinstance(decision, Permit | Redact) or decision.reason in others


@usual
@given(situations(), consents(), provisions(depth=0), directives())
def test_removing_a_flat_permit_never_shares_more(
    at: Setting, signed: list[Directive], permit: Provision, like: Directive
) -> None:
    permit = msgspec.structs.replace(permit, permit=True)
    added = msgspec.structs.replace(like, id="new", root=permit)

    if isinstance(at.decide(signed), SHARED):
        assert isinstance(at.decide([*signed, added]), SHARED)


@settings(max_examples=EXAMPLES * 3 // 2, deadline=None)
@given(situations(), consents(), st.floats(0, 1, exclude_max=True))
def test_the_answer_holds_until_it_says(at: Setting, signed: list[Directive], share: float) -> None:
    now = at.decide(signed)
    until = now.valid_until if now.valid_until is not None else at.request.now + 400 * policy.DAY
    assert until > at.request.now
    instant = min(at.request.now + int((until - at.request.now) * share), until - 1)
    for moment in (instant, until - 1):
        at.request = msgspec.structs.replace(at.request, now=moment)

        assert same(at.decide(signed), now)


@usual
@given(situations(), consents(), st.lists(situations(), max_size=4))
def test_the_decision_of_a_class_is_that_of_each_of_its_records(
    at: Setting, signed: list[Directive], others: list[Setting]
) -> None:
    prepared = ruling(at.request, at.patient, signed, at.policy)
    for record in [at.facets, *(other.facets for other in others)]:
        of_all = prepared.of_class(record.kind)
        if of_all is not None:
            assert of_all == decide(at.request, at.patient, signed, record, at.policy)


@usual
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_of_eight_levels_the_deepest_that_is_about_the_record_decides(
    levels: list[tuple[bool, bool]],
) -> None:
    request, patient, _, facets, county = inputs({"policy": "cn-optin"})
    root = None
    for permit, about in reversed(levels):
        root = Provision(
            permit,
            classes=("Observation" if about else "Condition",),
            exceptions=() if root is None else (root,),
        )
    reached = list(itertools.takewhile(lambda level: level[1], levels))

    signed = Directive("c1", "1", "P", "county", build.NOW - 1, 3, "P", root)
    decision = decide(request, patient, [signed], facets, county)

    assert isinstance(decision, Permit) == (bool(reached) and reached[-1][0])
    assert (decision.reason == "directive") == bool(reached)


@few
@given(st.lists(st.tuples(situations(), consents()), min_size=1, max_size=3), situations())
def test_a_record_of_several_persons_is_shared_no_more_than_each_allows(
    people: list[tuple[Setting, list[Directive]]], about: Setting
) -> None:
    names = [f"P{number}" for number in range(len(people))]
    rulings = []
    for name, (at, signed) in zip(names, people, strict=True):
        own = msgspec.structs.replace(
            at.patient, charts=frozenset({name}), identities=(), self_charts=frozenset()
        )
        theirs = [msgspec.structs.replace(c, patient=name, performer=name) for c in signed]
        rulings.append(ruling(about.request, own, theirs, about.policy))
    kinds = [
        msgspec.structs.replace(about.facets.kind, subjects=subjects)
        for subjects in (tuple(names), *((name,) for name in names))
    ]
    whole, *each = (msgspec.structs.replace(about.facets, kind=kind) for kind in kinds)

    together = decide_shared(rulings, whole)
    alone = [one.decide(facets) for one, facets in zip(rulings, each, strict=True)]

    assert isinstance(together, SHARED) == all(isinstance(one, SHARED) for one in alone)
    assert isinstance(together, Permit) == all(isinstance(one, Permit) for one in alone)
    ends = [one.valid_until for one in alone if one.valid_until is not None]
    assert together.valid_until == min(ends, default=None)
    assert decide_shared(rulings[::-1], whole) == together


@usual
@given(situations(), consents(), st.lists(situations(), max_size=4))
def test_the_decision_of_many_is_the_decisions_of_each(
    at: Setting, signed: list[Directive], others: list[Setting]
) -> None:
    prepared = ruling(at.request, at.patient, signed, at.policy)
    records = [at.facets, *(other.facets for other in others), at.facets]

    together = [prepared.decide(record) for record in records]

    assert together == [
        decide(at.request, at.patient, signed, record, at.policy) for record in records
    ]


@usual
@given(situations(), consents())
def test_a_refusal_on_either_side_of_a_merge_stays_effective(
    at: Setting, signed: list[Directive]
) -> None:
    first, last = min([c.at for c in signed], default=0), max([c.at for c in signed], default=0)
    for chart, instant in (("P", first - 1), ("P-at-B", last + 1)):
        refusal = Directive("new", "1", chart, "county", instant, 3, chart, Provision(False))
        others = [c for c in signed if c.patient != chart]
        unconfirmed = msgspec.structs.replace(
            at.patient, identities=(frozenset({"P"}), frozenset({"P-at-B"}))
        )

        decision = decide(at.request, unconfirmed, [*others, refusal], at.facets, at.policy)

        assert not isinstance(decision, Permit) or decision.reason != "directive"


@usual
@given(situations(), consents(), some(["PSY", "HIV"]))
def test_what_is_left_after_redaction_is_permitted(
    at: Setting, signed: list[Directive], hidden: tuple[str, ...]
) -> None:
    kind = at.facets.kind
    part = build.Part("component[0]", "R", frozenset(hidden))
    whole = msgspec.structs.replace(
        kind,
        confidentiality="R",
        sensitivities=kind.sensitivities | frozenset(hidden),
        parts=(part,),
        rest=(kind.confidentiality, kind.sensitivities),
    )
    at.facets = msgspec.structs.replace(at.facets, kind=whole)

    if isinstance(at.decide(signed), Redact):
        at.facets = msgspec.structs.replace(at.facets, kind=kind)
        assert isinstance(at.decide(signed), Permit)


@pytest.mark.parametrize("tier", ["restricted", "sealed"])
def test_no_broad_permit_opens_what_it_does_not_speak_about(tier: str) -> None:
    broad = build.directive({"permit": True}, "c1")
    person = {"organization": "A", "chain": ["A"], "role": "clinician"}
    for confidentiality, sensitivities in (("R", ()), ("N", ("HIV",)), ("V", ()), ("V", ("PSY",))):
        record = build.facets({"confidentiality": confidentiality, "sensitivities": sensitivities})
        for county in POLICIES:
            request = build.request({}, "dr-a1", person)
            decision = decide(request, build.patient({}), [broad], record, county)
            assert not isinstance(decision, SHARED), (tier, confidentiality, sensitivities)


@pytest.mark.parametrize("consent", checks.TELLING)
def test_records_of_one_class_are_told_apart_where_a_consent_does(consent: dict[str, Any]) -> None:
    assert not checks.telling_wrong(deciding, consent)


@usual
@given(situations(), consents())
def test_a_number_that_is_corrected_opens_nothing_and_ends_no_refusal(
    at: Setting, signed: list[Directive]
) -> None:
    """Each consent in doubt, beside the others as they are: whatever it was, no more is shared."""
    for number, one in enumerate(signed):
        doubted = msgspec.structs.replace(one, doubted=one.at + 1)
        others = [*signed[:number], *signed[number + 1 :]]

        after = at.decide([*others, doubted])

        assert not isinstance(after, SHARED) or isinstance(at.decide(signed), SHARED)
        assert not isinstance(after, SHARED) or isinstance(at.decide(others), SHARED)
