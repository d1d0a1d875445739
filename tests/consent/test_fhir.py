"""FHIR Consent in and out: what is read, what is refused and where, what the desk writes."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import policy
from consent.decide import decide
from consent.fhir import (
    EVIDENCE_EXTENSION,
    Choice,
    Context,
    Evidence,
    Form,
    decode,
    encode,
    policy_uris,
    read_consent,
    withdrawn,
    write_consent,
)
from consent.model import Actor, ActorKind, Datum, DenyHide, Directive, Meaning, Permit, Provision
from consent.reading import Refusal
from tests import public
from tests.consent import build

BASE = "https://gateway.example/fhir"
HASH = hashlib.sha256(b"scan").hexdigest()
COUNTY = policy.load("cn-optin", "Asia/Shanghai")
IHE = public.FOLDER / "ihe-pcf"
V3 = "http://terminology.hl7.org/CodeSystem/"


def known(*ids: str) -> Any:
    """Resolves "Type/id" to the id when it is one of these."""
    return lambda reference: next((i for i in ids if reference.endswith(f"/{i}")), None)


def signer(reference: str, chart: str, at: int) -> str | None:
    return {"Patient/P": "P", "RelatedPerson/mother": "mother"}.get(reference)


CONTEXT = Context(
    id="c1",
    version="v1",
    now=build.NOW,
    policy=COUNTY,
    base_url=BASE,
    policies=policy_uris(COUNTY, BASE),
    patient=known("P"),
    organization=known("county", "A"),
    types=frozenset({"Observation"}),
    person=known("dr-a1", "dr-b1"),
    group=known("heart-team"),
    record=known("o1", "e1"),
    signer=signer,
    assurance=lambda evidence: 2,
)


def consent() -> dict[str, Any]:
    form = Form(
        Choice.PERMIT_TREATMENT,
        id="c1",
        patient="Patient/P",
        performer="Patient/P",
        organization="Organization/county",
        at="2026-05-01T09:30:00+08:00",
        evidence_sha256=HASH,
    )
    resource: dict[str, Any] = json.loads(write_consent(form, BASE))
    return resource


def changed(path: str, value: Any) -> dict[str, Any]:
    """The plain consent with one element set ("a.0.b"), or removed when the value is None."""
    resource = consent()
    *steps, last = path.split(".")
    place: Any = resource
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    if value is None:
        place.pop(last)
    elif isinstance(place, list):
        place.insert(int(last), value)
    else:
        place[last] = value
    return resource


def coding(system: str, code: str) -> dict[str, str]:
    return {"system": V3 + system, "code": code}


def test_the_desks_permit_is_read_back() -> None:
    assert read_consent(consent(), CONTEXT) == Directive(
        id="c1",
        version="v1",
        patient="P",
        controller="county",
        at=build.at("2026-05-01T09:30:00"),
        assurance=2,
        performer="P",
        root=Provision(permit=True, purposes=("TREAT",)),
        active=True,
        policy=f"{BASE}/policies/sharing",
        evidence=f"sha-256:{HASH}",
    )


IRCP = {"coding": [coding("v3-ParticipationType", "IRCP")]}
NESTED = {"type": "deny"}


def nested(levels: int) -> dict[str, Any]:
    return NESTED if levels == 1 else NESTED | {"provision": [nested(levels - 1)]}


REFUSED = [
    ("resourceType", "Patient", "not-a-consent", "Consent"),
    ("modifierExtension", [{"url": "x"}], "modifier", "Consent.modifierExtension"),
    ("implicitRules", "http://x", "modifier", "Consent.implicitRules"),
    ("contained", [{}], "contained", "Consent.contained"),
    ("contained", [{"resourceType": "Patient", "id": "q"}], "contained", "Consent.contained"),
    ("meta", {"tag": [{"modifierExtension": []}]}, "modifier", "Consent.meta.tag[0].modifierExtension"),
    ("text", {"status": "generated", "implicitRules": "x"}, "modifier", "Consent.text.implicitRules"),
    ("patient.modifierExtension", [], "modifier", "Consent.patient.modifierExtension"),
    ("patient.type", "Group", "ambiguous", "Consent.patient"),
    ("performer.0.identifier", {"value": "1"}, "ambiguous", "Consent.performer[0]"),
    ("organization.0.type", "Patient", "ambiguous", "Consent.organization[0]"),
    ("category", ["x"], "wrong-type", "Consent.category[0]"),
    ("policy.1", {"uri": f"{BASE}/policies/sharing"}, "one-value", "Consent.policy"),
    ("_dateTime", {}, "unknown-element", "Consent._dateTime"),
    ("姓名 <b>", 1, "unknown-element", "Consent.?"),
    ("status", None, "missing", "Consent.status"),
    ("status", "draft", "status", "Consent.status"),
    ("status", {"a": 1}, "status", "Consent.status"),
    ("scope", None, "missing", "Consent.scope"),
    ("scope", {"coding": [coding("consentscope", "research")]}, "scope", "Consent.scope"),
    ("scope", {"coding": [{"system": "x"}]}, "missing", "Consent.scope.coding[0].code"),
    ("scope", "patient-privacy", "wrong-type", "Consent.scope"),
    ("category", None, "missing", "Consent.category"),
    ("patient", None, "missing", "Consent.patient"),
    ("patient", {"reference": "Patient/Q"}, "unknown-patient", "Consent.patient"),
    ("patient", {"identifier": {"value": "1"}}, "unknown-patient", "Consent.patient"),
    ("patient.identifier", {"value": "1"}, "ambiguous", "Consent.patient"),
    ("dateTime", None, "missing", "Consent.dateTime"),
    ("dateTime", "2026-05-01T09:30:00", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "2026-05", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "2026-02-30", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "2026-05-01T24:00:00+08:00", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "2026-05-01T23:59:60+08:00", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "0001-01-01T00:00:00Z", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "0001-01-01", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "9999-12-31", "not-an-instant", "Consent.dateTime"),
    ("dateTime", "２０２６-05-01", "not-an-instant", "Consent.dateTime"),
    ("dateTime", 20260501, "not-an-instant", "Consent.dateTime"),
    ("dateTime", "2026-06-01T10:06:00+08:00", "future", "Consent.dateTime"),
    ("dateTime", "2026-06-02", "future", "Consent.dateTime"),
    ("performer", None, "missing", "Consent.performer"),
    ("performer", [], "missing", "Consent.performer"),
    ("performer", {"reference": "Patient/P"}, "wrong-type", "Consent.performer"),
    ("performer.0.reference", "RelatedPerson/uncle", "no-authority", "Consent.performer[0]"),
    ("performer.1", {"reference": "Patient/P"}, "one-value", "Consent.performer"),
    ("organization", None, "missing", "Consent.organization"),
    ("organization.0.reference", "Organization/x", "unknown-organization", "Consent.organization[0]"),
    ("organization.0", "county", "wrong-type", "Consent.organization[0]"),
    ("policy", None, "missing", "Consent.policy"),
    ("policy.0.uri", "http://elsewhere", "unknown-policy", "Consent.policy[0].uri"),
    ("policy.0.uri", ["http://elsewhere"], "unknown-policy", "Consent.policy[0].uri"),
    ("policy.0.uri", None, "missing", "Consent.policy[0].uri"),
    ("policy.0.modifierExtension", [], "modifier", "Consent.policy[0].modifierExtension"),
    ("policyRule", {"coding": [coding("v3-ActCode", "OPTOUT")]}, "contradiction", "Consent.provision.type"),
    ("policyRule", {"coding": [coding("v3-ActCode", "OPTINR")]}, "unknown-code", "Consent.policyRule.coding[0]"),
    ("policyRule", {"coding": [coding("v3-ActCode", "OPTIN"), coding("v3-ActCode", "OPTOUT")]}, "unknown-code", "Consent.policyRule.coding[1]"),
    ("policyRule", {"coding": [{"system": "urn:x", "code": "OPTIN"}]}, "unknown-system", "Consent.policyRule.coding[0]"),
    ("provision", None, "no-base", "Consent.provision.type"),
    ("provision", [], "wrong-type", "Consent.provision"),
    ("provision.type", None, "no-base", "Consent.provision.type"),
    ("provision.type", "allow", "unknown-code", "Consent.provision.type"),
    ("provision.type", ["permit"], "unknown-code", "Consent.provision.type"),
    ("verification", [{"verified": True, "modifierExtension": []}], "modifier", "Consent.verification[0].modifierExtension"),
    ("sourceAttachment", None, "no-evidence", "Consent.source[x]"),
    ("sourceAttachment", {"title": "scan"}, "no-evidence", "Consent.sourceAttachment"),
    ("sourceAttachment", {"extension": [{"url": "urn:x", "valueString": HASH}]}, "no-evidence", "Consent.sourceAttachment"),
    ("sourceAttachment", {"hash": "zz"}, "no-evidence", "Consent.sourceAttachment"),
    ("sourceAttachment", {"data": "%"}, "wrong-type", "Consent.sourceAttachment.data"),
    ("sourceAttachment", {"data": 1}, "wrong-type", "Consent.sourceAttachment.data"),
    ("sourceAttachment", {"data": "c2Nhbg==", "hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "evidence", "Consent.sourceAttachment.hash"),
    ("sourceAttachment.extension.0.valueString", "abc", "wrong-type", "Consent.sourceAttachment.extension[0].valueString"),
    ("sourceReference", {"reference": "DocumentReference/1"}, "one-value", "Consent.source[x]"),
    ("provision.modifierExtension", [], "modifier", "Consent.provision.modifierExtension"),
    ("provision.when", 1, "unknown-element", "Consent.provision.when"),
    ("provision.period", {}, "missing", "Consent.provision.period.start"),
    ("provision.period", {"start": "2026-05-01T09:30:00"}, "not-an-instant", "Consent.provision.period.start"),
    ("provision.period", {"end": "tomorrow"}, "not-an-instant", "Consent.provision.period.end"),
    ("provision.period", {"start": "2026-05-02", "end": "2026-05-01"}, "period", "Consent.provision.period"),
    ("provision.dataPeriod", {"start": "2026-05-02", "end": "2026-04-01"}, "period", "Consent.provision.dataPeriod"),
    ("provision.purpose.0", coding("v3-ActReason", "FOO"), "unknown-code", "Consent.provision.purpose[0]"),
    ("provision.purpose.0", {"system": "http://example.org", "code": "TREAT"}, "unknown-system", "Consent.provision.purpose[0]"),
    ("provision.purpose", [coding("v3-ActReason", "TREAT")] * 101, "too-many", "Consent.provision.purpose"),
    ("provision.action", [{"coding": [coding("consentaction", "correct")]}], "unknown-code", "Consent.provision.action[0].coding[0]"),
    ("provision.action", [{"coding": [coding("x", "use")]}], "unknown-system", "Consent.provision.action[0].coding[0]"),
    ("provision.action", [{"text": "use"}], "missing", "Consent.provision.action[0].coding"),
    ("provision.securityLabel", [coding("v3-ActCode", "FOO")], "unknown-code", "Consent.provision.securityLabel[0]"),
    ("provision.securityLabel", [coding("v3-Confidentiality", "X")], "unknown-code", "Consent.provision.securityLabel[0]"),
    ("provision.securityLabel", [{"system": "urn:x", "code": "R"}], "unknown-system", "Consent.provision.securityLabel[0]"),
    ("provision.securityLabel", [{"code": "R"}], "unknown-system", "Consent.provision.securityLabel[0]"),
    ("provision.class", [{"system": "urn:ietf:bcp:13", "code": "text/xml"}], "unknown-system", "Consent.provision.class[0]"),
    ("provision.class", [{"system": "http://hl7.org/fhir/resource-types", "code": "Observatoin"}], "unknown-code", "Consent.provision.class[0]"),
    ("provision.actor", [{"role": IRCP}], "missing", "Consent.provision.actor[0].reference"),
    ("provision.actor", [{"reference": {"reference": "Organization/A"}}], "missing", "Consent.provision.actor[0].role"),
    ("provision.actor", [{"role": IRCP, "reference": {"reference": "Organization/x"}}], "unknown-reference", "Consent.provision.actor[0].reference"),
    ("provision.actor", [{"role": IRCP, "reference": {"reference": "Device/A"}}], "unknown-reference", "Consent.provision.actor[0].reference"),
    ("provision.actor", [{"role": IRCP, "reference": {"display": "A"}}], "unknown-reference", "Consent.provision.actor[0].reference"),
    ("provision.actor", [{"role": {"coding": [coding("v3-ParticipationType", "CST")]}, "reference": {"reference": "Organization/A"}}], "unknown-code", "Consent.provision.actor[0].role.coding[0]"),
    ("provision.actor", [{"role": {"coding": [coding("x", "IRCP")]}, "reference": {"reference": "Organization/A"}}], "unknown-system", "Consent.provision.actor[0].role.coding[0]"),
    ("provision.data", [{"meaning": "nearby", "reference": {"reference": "Encounter/e1"}}], "unknown-code", "Consent.provision.data[0].meaning"),
    ("provision.data", [{"meaning": "related"}], "missing", "Consent.provision.data[0].reference"),
    ("provision.data", [{"meaning": "related", "reference": {"reference": "Encounter/x"}}], "unknown-reference", "Consent.provision.data[0].reference"),
    ("provision.provision", [{"purpose": []}], "missing", "Consent.provision.provision[0].type"),
    ("provision.provision", [{"type": "forbid"}], "unknown-code", "Consent.provision.provision[0].type"),
    ("provision.provision", [nested(9)], "too-deep", "Consent.provision" + ".provision[0]" * 9),
    ("provision.provision", [{**NESTED, "purpose": []}], "missing", "Consent.provision.provision[0].purpose"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("element", "value", "code", "path"), REFUSED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_is_not_understood_is_refused_by_name(
    element: str, value: Any, code: str, path: str
) -> None:
    refusals = read_consent(changed(element, value), CONTEXT)

    assert Refusal(code, path) in refusals


def test_what_r4_allows_beside_the_rules_is_kept_and_means_nothing() -> None:
    resource = consent() | {
        "meta": {"profile": ["https://profiles.ihe.net/ITI/PCF/x"]},
        "language": "zh-CN",
        "text": {"status": "generated", "div": "<div/>"},
        "identifier": [{"system": "urn:x", "value": "1"}],
        "extension": [{"url": "urn:x", "valueBoolean": True}],
        "verification": [{"verified": True, "verifiedWith": {"reference": "Patient/Q"}}],
    }
    resource["provision"]["extension"] = [{"url": "urn:x", "valueCode": "deny"}]

    assert read_consent(resource, CONTEXT) == read_consent(consent(), CONTEXT)


def test_a_purpose_of_another_system_is_known_where_the_policy_lists_it() -> None:
    own = "http://example.org/purposes|FooBar"
    text = (Path(policy.__file__).parent / "policy" / "cn-optin.toml").read_text("utf-8")
    listed = text.replace("[purposes.includes]", f'[purposes.includes]\n"{own}" = []')
    county = policy.parse(listed.encode(), "Asia/Shanghai")
    given = [{"system": "http://example.org/purposes", "code": "FooBar"}]

    directive = read_consent(changed("provision.purpose", given), replace(CONTEXT, policy=county))

    assert isinstance(directive, Directive)
    assert directive.root == Provision(True, purposes=(own,))


def test_every_refusal_has_a_sentence_in_both_languages() -> None:
    for _, _, code, path in REFUSED:
        refusal = Refusal(code, path)
        assert refusal.text("zh") != refusal.text("en")
        assert refusal.text("zh").startswith(path)


def test_everything_wrong_is_said_at_once_and_once() -> None:
    resource = changed("status", "draft")
    del resource["patient"], resource["organization"]

    refusals = read_consent(resource, CONTEXT)

    assert set(refusals) == {
        Refusal("status", "Consent.status"),
        Refusal("missing", "Consent.patient"),
        Refusal("missing", "Consent.organization"),
    }


def test_evidence_that_cannot_be_verified_is_refused() -> None:
    unverified = replace(CONTEXT, assurance=lambda evidence: None)

    assert read_consent(consent(), unverified) == (Refusal("evidence", "Consent.sourceAttachment"),)


@pytest.mark.parametrize(
    ("source", "evidence"),
    [
        ({"sourceAttachment": {"data": "c2Nhbg=="}}, Evidence("sha-256", HASH)),
        (
            {
                "sourceAttachment": {
                    "data": "c2Nhbg==",
                    "hash": base64.b64encode(hashlib.sha1(b"scan").digest()).decode(),
                }
            },
            Evidence("sha-256", HASH),
        ),
        (
            {"sourceAttachment": {"hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
            Evidence("sha-1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ),
        (
            {"sourceReference": {"reference": "DocumentReference/d1"}},
            Evidence("reference", "DocumentReference/d1"),
        ),
    ],
)
def test_assurance_comes_from_the_evidence(source: dict[str, Any], evidence: Evidence) -> None:
    resource = consent()
    del resource["sourceAttachment"]
    resource.update(source)
    seen: list[Evidence] = []
    context = replace(CONTEXT, assurance=lambda found: seen.append(found) or 3)

    directive = read_consent(resource, context)

    assert isinstance(directive, Directive)
    assert (seen, directive.assurance, directive.evidence) == ([evidence], 3, str(evidence))


def test_a_base_r4_consent_with_a_policy_rule_and_no_root_type_is_read() -> None:
    for code, permit in (("OPTIN", True), ("OPTOUT", False)):
        resource = changed("policyRule", {"coding": [coding("v3-ActCode", code)]})
        del resource["policy"]
        resource["provision"] = {
            "provision": [{"type": "permit", "purpose": [coding("v3-ActReason", "ETREAT")]}]
        }

        directive = read_consent(resource, CONTEXT)

        assert isinstance(directive, Directive)
        assert directive.root == Provision(
            permit, exceptions=(Provision(True, purposes=("ETREAT",)),)
        )


def test_every_element_of_a_provision_is_read() -> None:
    resource = changed(
        "provision",
        {
            "type": "deny",
            "period": {"start": "2026-01-01", "end": "2026-05-31"},
            "actor": [
                {"role": IRCP, "reference": {"reference": "Organization/A"}},
                {"role": IRCP, "reference": {"reference": "Practitioner/dr-a1"}},
                {"role": IRCP, "reference": {"reference": "Group/heart-team"}},
            ],
            "action": [{"coding": [coding("consentaction", "disclose")]}],
            "securityLabel": [
                {"system": "http://hl7.org/fhir/v3/Confidentiality", "code": "R"},
                coding("v3-ActCode", "PSY"),
            ],
            "purpose": [coding("v3-ActReason", "TREAT")],
            "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}],
            "code": [{"coding": [{"system": "http://loinc.org", "code": "718-7"}]}],
            "dataPeriod": {"start": "2025-01-01T00:00:00+08:00"},
            "data": [
                {"meaning": "instance", "reference": {"reference": "Observation/o1"}},
                {"meaning": "authoredby", "reference": {"reference": "Practitioner/dr-b1"}},
                {"meaning": "authoredby", "reference": {"reference": "Organization/A"}},
            ],
            "provision": [{"type": "permit"}],
        },
    )

    directive = read_consent(resource, CONTEXT)

    assert isinstance(directive, Directive)
    assert directive.root == Provision(
        permit=False,
        start=build.at("2026-01-01"),
        end=build.at("2026-06-01"),  # a date alone runs through that county day
        purposes=("TREAT",),
        actors=(
            Actor(ActorKind.ORGANIZATION, "A"),
            Actor(ActorKind.PERSON, "dr-a1"),
            Actor(ActorKind.GROUP, "heart-team"),
        ),
        actions=("export", "subscribe", "push"),
        confidentiality=("R",),
        sensitivities=("PSY",),
        classes=("Observation",),
        codes=(("http://loinc.org", "718-7"),),
        data_start=build.at("2025-01-01"),
        data=(
            Datum(Meaning.INSTANCE, "o1"),
            Datum(Meaning.AUTHORED_BY, "dr-b1"),
            Datum(Meaning.AUTHORED_BY, "A"),
        ),
        exceptions=(Provision(True),),
    )


def test_a_date_alone_gives_a_permit_its_first_and_a_refusal_its_last_instant() -> None:
    permit = read_consent(changed("dateTime", "2026-05-01"), CONTEXT)
    resource = changed("dateTime", "2026-05-01")
    resource["provision"] = {"type": "deny"}
    refusal = read_consent(resource, CONTEXT)
    resource["dateTime"] = "2026-06-01"
    today = read_consent(resource, CONTEXT)

    assert isinstance(permit, Directive)
    assert isinstance(refusal, Directive)
    assert isinstance(today, Directive)
    assert permit.at == build.at("2026-05-01")
    assert refusal.at == build.at("2026-05-02") - 1
    assert today.at == build.NOW


def test_times_are_read_to_the_microsecond_with_their_zone() -> None:
    read = read_consent(changed("dateTime", "2026-05-01T01:30:00.1234567Z"), CONTEXT)

    assert isinstance(read, Directive)
    assert read.at == build.at("2026-05-01T09:30:00") + 123_456


def test_nesting_is_read_as_deep_as_allowed() -> None:
    resource = consent()
    place = resource["provision"]
    for _ in range(8):
        place["provision"] = [{"type": "deny"}]
        place = place["provision"][0]

    assert isinstance(read_consent(resource, CONTEXT, depth=8), Directive)
    place["provision"] = [{"type": "deny"}]
    assert read_consent(resource, CONTEXT, depth=99) == (
        Refusal("too-deep", "Consent.provision" + ".provision[0]" * 9),
    )


def test_there_is_an_end_to_the_number_of_nodes() -> None:
    resource = consent()
    leaf = {"type": "deny"}
    resource["provision"]["provision"] = [{"type": "deny", "provision": [leaf] * 90}] * 3

    refusals = read_consent(resource, CONTEXT, depth=2)

    assert isinstance(refusals, tuple)
    assert {r.code for r in refusals} == {"too-many"}


# --- IHE's examples -------------------------------------------------------------------------------

IHE_POLICIES = frozenset(
    {
        "http://example.org/policies/basePrivacyConsentPolicy.txt",
        "http://example.org/policies/researchPrivacyConsentPolicy.txt",
        "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal",
        "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only",
    }
)
IHE_CONTEXT = replace(
    CONTEXT,
    policies=IHE_POLICIES,
    patient=known("ex-patient"),
    organization=known("ex-organization", "ex-org-researcher"),
    person=known("ex-practitioner", "ex-author"),
    group=known("ex-privilegedUsers"),
    record=lambda reference: reference.split("/")[-1],
    signer=lambda reference, chart, at: {"Patient/ex-mother": "mother"}.get(reference, chart),
)
IHE_REFUSED = {
    # A purpose of an invented code system: nobody could enforce it.
    "Consent-ex-consent-intermediate-purpose.json": (
        Refusal("unknown-system", "Consent.provision.purpose[0]"),
    ),
}


@pytest.mark.parametrize("path", sorted(IHE.glob("Consent-*.json")), ids=lambda path: path.stem)
def test_the_examples_of_ihe_are_read_or_refused_by_name(path: Path) -> None:
    answer = read_consent(json.loads(path.read_text(encoding="utf-8")), IHE_CONTEXT)

    if path.name in IHE_REFUSED:
        assert answer == IHE_REFUSED[path.name]
    else:
        assert isinstance(answer, Directive), answer


def test_the_examples_are_all_there() -> None:
    public.folder("ihe-pcf")
    assert len(list(IHE.glob("Consent-*.json"))) == 23


@pytest.mark.parametrize(
    ("example", "record", "shared"),
    [
        ("basic-treat", {}, True),
        ("basic-treat-infant", {}, True),
        ("basic-reject", {}, False),
        ("basic-research", {}, False),
        ("expired-treat", {}, False),
        ("intermediate-timeframe", {"start": "2022-05-01", "end": "2022-05-02"}, True),
        ("intermediate-timeframe", {"start": "2023-05-01", "end": "2023-05-02"}, False),
        ("intermediate-not-timeframe", {"start": "2022-12-31T23:00:00"}, False),
        ("intermediate-not-timeframe", {"start": "2023-01-01"}, True),
        ("intermediate-data", {"id": "ex-weight"}, True),
        ("intermediate-data", {"id": "other"}, False),
        ("intermediate-not-data", {"id": "ex-alcoholUse"}, False),
        ("intermediate-not-data", {"id": "ex-weight"}, True),
        ("intermediate-encounter", {"links": ["ex-encounter"]}, True),
        ("intermediate-encounter", {}, False),
        ("intermediate-not-encounter", {"links": ["ex-encounter"]}, False),
        ("intermediate-authoredby", {"authors": ["ex-practitioner"]}, True),
        ("intermediate-authoredby", {"authors": ["ex-author"]}, False),
        ("intermediate-not-authoredby", {"authors": ["ex-practitioner"]}, False),
        ("advanced-normal", {}, True),
        ("advanced-normal", {"confidentiality": "R"}, False),
        ("advanced-normal-restricted", {"confidentiality": "R"}, True),
        ("advanced-normal-not-restricted", {"confidentiality": "R"}, False),
        ("advanced-normal-focused-psy", {"confidentiality": "R", "sensitivities": ["PSY"]}, True),
        ("advanced-normal-focused-psy", {"confidentiality": "R", "sensitivities": ["SDV"]}, False),
        ("advanced-normal-focused-psy-or-sdv", {"confidentiality": "R", "sensitivities": ["SDV"]}, True),
        ("advanced-normal-focused-restricted", {"confidentiality": "R"}, True),
    ],
)  # fmt: skip
def test_the_examples_of_ihe_mean_what_they_say(
    example: str, record: dict[str, Any], shared: bool
) -> None:
    public.folder("ihe-pcf")
    resource = json.loads((IHE / f"Consent-ex-consent-{example}.json").read_text("utf-8"))
    context = replace(IHE_CONTEXT, patient=lambda _: "P", organization=lambda _: "county")
    directive = read_consent(resource, context)
    assert isinstance(directive, Directive)
    person = {"organization": "A", "chain": ["A"], "role": "clinician"}
    request = build.request({}, "ex-practitioner", person)

    decision = decide(request, build.patient({}), [directive], build.facets(record), COUNTY)

    assert isinstance(decision, Permit if shared else DenyHide), decision


# --- the desk -------------------------------------------------------------------------------------

FORM = Form(
    Choice.PERMIT_TREATMENT,
    id="c1",
    patient="Patient/P",
    performer="RelatedPerson/mother",
    organization="Organization/county",
    at="2026-05-01T09:30:00+08:00",
    evidence_sha256=HASH,
)


@pytest.mark.parametrize(
    ("form", "root", "uri"),
    [
        (FORM, Provision(True, purposes=("TREAT",)), "sharing"),
        (replace(FORM, choice=Choice.REFUSE_ALL), Provision(False), "sharing"),
        (
            replace(
                FORM,
                choice=Choice.PERMIT_CATEGORY,
                category="PSY",
                recipients=("Organization/A",),
                until="2026-12-31",
            ),
            Provision(
                True,
                end=build.at("2027-01-01"),
                purposes=("TREAT",),
                actors=(Actor(ActorKind.ORGANIZATION, "A"),),
                sensitivities=("PSY",),
            ),
            "sharing-psy#Organization/A",
        ),
    ],
)
def test_what_the_desk_writes_is_read_as_meant(form: Form, root: Provision, uri: str) -> None:
    text = write_consent(form, BASE)

    directive = read_consent(json.loads(text), CONTEXT)

    assert text == write_consent(form, BASE)
    assert isinstance(directive, Directive)
    assert directive.root == root
    assert directive.policy == f"{BASE}/policies/{uri}"
    assert directive.performer == "mother"


@pytest.mark.parametrize(
    "form",
    [
        replace(FORM, choice=Choice.PERMIT_CATEGORY),
        replace(FORM, choice=Choice.REFUSE_ALL, category="PSY"),
    ],
)
def test_a_category_goes_with_its_choice_only(form: Form) -> None:
    with pytest.raises(ValueError, match="category"):
        write_consent(form, BASE)


def test_withdrawing_changes_the_status_and_nothing_else() -> None:
    before = consent()

    after = json.loads(withdrawn(copy.deepcopy(before)))

    assert after == {**before, "status": "inactive"}
    directive = read_consent(after, CONTEXT)
    assert isinstance(directive, Directive)
    assert not directive.active


# --- what is kept ---------------------------------------------------------------------------------


def test_a_directive_is_kept_without_loss() -> None:
    for path in IHE.glob("Consent-*.json"):
        directive = read_consent(json.loads(path.read_text(encoding="utf-8")), IHE_CONTEXT)
        if isinstance(directive, Directive):
            assert decode(encode(directive)) == directive
    unreadable = Directive("c1", "1", "P", "county", 0, 1, "P", None)
    assert decode(encode(unreadable)) == unreadable


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_other_bytes_are_not_a_directive(stored: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b"\x00" + stored)


PLACES = st.sampled_from(
    [
        "status",
        "patient",
        "dateTime",
        "performer",
        "scope",
        "category",
        "policy",
        "policyRule",
        "sourceAttachment",
        "provision",
        "provision.actor",
        "provision.purpose",
        "provision.data",
        "provision.period",
        "provision.securityLabel",
        "provision.provision",
        "provision.code",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["reference", "coding", "system", "code", "type", "start", "role"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(PLACES, JSON)
def test_no_content_breaks_the_reader(place: str, value: Any) -> None:
    resource = consent()
    *steps, last = place.split(".")
    target: Any = resource
    for step in steps:
        target = target[step]
    target[last] = value

    answer = read_consent(resource, CONTEXT)

    assert isinstance(answer, Directive) or (answer and all(r.text("zh") for r in answer))


def test_our_extension_url_stands_under_the_canonical_base() -> None:
    assert consent()["sourceAttachment"]["extension"][0]["url"] == f"{BASE}/{EVIDENCE_EXTENSION}"
