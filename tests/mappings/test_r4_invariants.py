"""Each invariant of R4 that is looked at, by one example that keeps it and one that breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mappings.r4 import check, definitions, invariants, structs

CONDITION = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
ALLERGY_VERIFIED = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
UCUM = "http://unitsofmeasure.org"
TEXT = {"text": "x"}
SUBJECT = {"reference": "Patient/1"}
DAY, LATER = "2026-03-01", "2026-03-02"


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": TEXT} | more


def condition(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "subject": SUBJECT} | more


def allergy(**more: Any) -> dict[str, Any]:
    return {"resourceType": "AllergyIntolerance", "patient": SUBJECT} | more


def extended(**value: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", "code": TEXT, "extension": [{"url": "http://x", **value}]}


def timing(**repeat: Any) -> dict[str, Any]:
    return observation(effectiveTiming={"repeat": repeat})


def appointment(**more: Any) -> dict[str, Any]:
    participant = {"status": "accepted", "actor": SUBJECT}
    made = {"resourceType": "Appointment", "status": "proposed", "participant": [participant]}
    return made | more


def bundle(type_: str, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)} | more


def triggered(**more: Any) -> dict[str, Any]:
    return extended(valueTriggerDefinition={"type": "named-event", "name": "x"} | more)


def composition(**section: Any) -> dict[str, Any]:
    made = {
        "resourceType": "Composition",
        "status": "final",
        "type": TEXT,
        "date": DAY,
        "title": "x",
    }
    return made | {"author": [{"display": "x"}], "section": [section]}


def consent(**more: Any) -> dict[str, Any]:
    made = {"resourceType": "Consent", "status": "active", "scope": TEXT, "category": [TEXT]}
    return made | more


def listed(mode: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "List", "status": "current", "mode": mode} | more


def drug(**more: Any) -> dict[str, Any]:
    made = {"resourceType": "MedicationDispense", "status": "completed"}
    return made | {"medicationCodeableConcept": TEXT} | more


def given(**dosage: Any) -> dict[str, Any]:
    made = {"resourceType": "MedicationAdministration", "status": "completed", "subject": SUBJECT}
    return made | {"medicationCodeableConcept": TEXT, "effectiveDateTime": DAY, "dosage": dosage}


def family(**more: Any) -> dict[str, Any]:
    made = {"resourceType": "FamilyMemberHistory", "status": "completed", "patient": SUBJECT}
    return made | {"relationship": TEXT} | more


def goal(**target: Any) -> dict[str, Any]:
    made = {"resourceType": "Goal", "lifecycleStatus": "active", "description": TEXT}
    return made | {"subject": SUBJECT, "target": [target]}


def shot(**education: Any) -> dict[str, Any]:
    made = {"resourceType": "Immunization", "status": "completed", "vaccineCode": TEXT}
    return made | {"patient": SUBJECT, "occurrenceDateTime": DAY, "education": [education]}


def advised(**more: Any) -> dict[str, Any]:
    made = {"resourceType": "ImmunizationRecommendation", "patient": SUBJECT, "date": DAY}
    return made | {"recommendation": [{"forecastStatus": TEXT} | more]}


def audited(**entity: Any) -> dict[str, Any]:
    made = {"resourceType": "AuditEvent", "type": {"code": "rest"}, "recorded": f"{DAY}T00:00:00Z"}
    made |= {"agent": [{"requestor": True}], "source": {"observer": {"display": "x"}}}
    return made | {"entity": [entity]}


def group(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Group", "type": "person", "actual": True} | more


def planned(**activity: Any) -> dict[str, Any]:
    made = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": SUBJECT}
    return made | {"activity": [activity]}


def answered(**item: Any) -> dict[str, Any]:
    made = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    return made | {"item": [{"linkId": "1"} | item]}


def requested(**more: Any) -> dict[str, Any]:
    made = {"resourceType": "ServiceRequest", "status": "active", "intent": "order"}
    return made | {"subject": SUBJECT} | more


def grouped(**action: Any) -> dict[str, Any]:
    made = {"resourceType": "RequestGroup", "status": "active", "intent": "order"}
    return made | {"action": [action]}


def required(**data: Any) -> dict[str, Any]:
    return extended(valueDataRequirement={"type": "Patient"} | data)


DOCUMENT = {"resource": composition(text={"status": "empty", "div": "<div>x</div>"})}
HEADER = {
    "resource": {
        "resourceType": "MessageHeader",
        "eventUri": "http://x",
        "source": {"endpoint": "http://x"},
    }
}
NAMED = {"system": "http://x", "value": "1"}
DETAIL = {"detailString": "x"}
KEPT_AND_BROKEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("qty-3", observation(valueQuantity={"value": 1, "code": "g", "system": UCUM}),
     observation(valueQuantity={"value": 1, "code": "g"})),
    ("age-1", condition(onsetAge={"value": 1, "code": "a", "system": UCUM}),
     condition(onsetAge={"value": 1})),
    ("cnt-3", extended(valueCount={"value": 2, "code": "1", "system": UCUM}),
     extended(valueCount={"value": 2.5, "code": "1", "system": UCUM})),
    ("cnt-3", extended(valueCount={"unit": "x"}), extended(valueCount={"value": 2})),
    ("dis-1", extended(valueDistance={"value": 2, "code": "m", "system": UCUM}),
     extended(valueDistance={"value": 2})),
    ("drt-1", extended(valueDuration={"value": 2, "code": "h", "system": UCUM}),
     extended(valueDuration={"code": "h", "system": UCUM})),
    ("rat-1", observation(valueRatio={"numerator": {"value": 1}, "denominator": {"value": 80}}),
     observation(valueRatio={"numerator": {"value": 1}})),
    ("ext-1", extended(valueString="x"), extended()),
    ("ext-1", extended(extension=[{"url": "a", "valueCode": "b"}]),
     extended(valueString="x", extension=[{"url": "a", "valueCode": "b"}])),
    ("att-1", extended(valueAttachment={"data": "YQ==", "contentType": "text/plain"}),
     extended(valueAttachment={"data": "YQ=="})),
    ("cpt-2", {"resourceType": "Patient", "telecom": [{"system": "phone", "value": "1"}]},
     {"resourceType": "Patient", "telecom": [{"value": "1"}]}),
    ("drq-1", required(codeFilter=[{"path": "code"}]),
     required(codeFilter=[{"path": "code", "searchParam": "code"}])),
    ("drq-2", required(dateFilter=[{"path": "date"}]), required(dateFilter=[{"valueDateTime": DAY}])),
    ("exp-1", extended(valueExpression={"language": "text/cql", "expression": "1"}),
     extended(valueExpression={"language": "text/cql"})),
    ("trd-1", triggered(timingDate=DAY), triggered(timingDate=DAY, data=[{"type": "Patient"}])),
    ("trd-2",
     triggered(data=[{"type": "Patient"}],
               condition={"language": "text/cql", "expression": "1"}),
     triggered(condition={"language": "text/cql", "expression": "1"})),
    ("tim-1", timing(duration=1, durationUnit="h"), timing(duration=1)),
    ("tim-2", timing(period=1, periodUnit="h"), timing(period=1)),
    ("tim-4", timing(duration=1, durationUnit="h"), timing(duration=-1, durationUnit="h")),
    ("tim-5", timing(period=1, periodUnit="h"), timing(period=-1, periodUnit="h")),
    ("tim-6", timing(period=1, periodMax=2, periodUnit="h"), timing(periodMax=2)),
    ("tim-7", timing(duration=1, durationMax=2, durationUnit="h"), timing(durationMax=2)),
    ("tim-8", timing(count=1, countMax=2), timing(countMax=2)),
    ("tim-10", timing(when=["HS"]), timing(when=["HS"], timeOfDay=["08:00:00"])),
    ("app-1", appointment(), appointment(participant=[{"status": "accepted"}])),
    ("app-2", appointment(start=f"{DAY}T08:00:00Z", end=f"{DAY}T09:00:00Z"),
     appointment(start=f"{DAY}T08:00:00Z")),
    ("app-3", appointment(), appointment(status="booked")),
    ("app-4", appointment(status="cancelled", cancelationReason=TEXT),
     appointment(cancelationReason=TEXT)),
    ("apr-1",
     {"resourceType": "AppointmentResponse", "appointment": {"reference": "Appointment/1"},
      "participantStatus": "accepted", "actor": SUBJECT},
     {"resourceType": "AppointmentResponse", "appointment": {"reference": "Appointment/1"},
      "participantStatus": "accepted"}),
    ("sev-1", audited(name="x"), audited(name="x", query="YQ==")),
    ("bdl-5", bundle("collection", {"resource": observation()}),
     bundle("collection", {"fullUrl": "urn:oid:1.2"})),
    ("bdl-9", bundle("document", DOCUMENT, identifier=NAMED, timestamp=f"{DAY}T00:00:00Z"),
     bundle("document", DOCUMENT, timestamp=f"{DAY}T00:00:00Z")),
    ("bdl-9", bundle("document", DOCUMENT, identifier=NAMED, timestamp=f"{DAY}T00:00:00Z"),
     bundle("document", {"resource": observation()}, identifier=NAMED,
            timestamp=f"{DAY}T00:00:00Z")),
    ("bdl-12", bundle("message", HEADER), bundle("message", {"resource": observation()})),
    ("cpl-3", planned(reference={"reference": "Task/1"}),
     planned(reference={"reference": "Task/1"}, detail={"status": "completed"})),
    ("cmp-1", composition(title="x", entry=[{"reference": "Observation/1"}]), composition(title="x")),
    ("cmp-2", composition(emptyReason=TEXT, text={"status": "empty", "div": "<div>x</div>"}),
     composition(emptyReason=TEXT, entry=[{"reference": "Observation/1"}])),
    ("con-1", condition(stage=[{"summary": TEXT}]), condition(stage=[{"type": TEXT}])),
    ("con-2", condition(evidence=[{"code": [TEXT]}]), condition(evidence=[{"id": "a"}])),
    ("con-3", condition(category=[coded("http://x", "encounter-diagnosis")]),
     condition(category=[coded("http://x", "problem-list-item")])),
    ("con-4", condition(abatementDateTime=DAY, clinicalStatus=coded(CONDITION, "resolved")),
     condition(abatementDateTime=DAY, clinicalStatus=coded(CONDITION, "active"))),
    ("con-5",
     condition(verificationStatus=coded(VERIFIED, "confirmed"),
               clinicalStatus=coded(CONDITION, "active")),
     condition(verificationStatus=coded(VERIFIED, "entered-in-error"),
               clinicalStatus=coded(CONDITION, "active"))),
    ("ait-1", allergy(clinicalStatus=coded(ALLERGY, "active")), allergy()),
    ("ait-2", allergy(verificationStatus=coded(ALLERGY_VERIFIED, "entered-in-error")),
     allergy(verificationStatus=coded(ALLERGY_VERIFIED, "entered-in-error"),
             clinicalStatus=coded(ALLERGY, "active"))),
    ("ppc-1", consent(policyRule=TEXT), consent()),
    ("fhs-1", family(ageString="x"), family(ageString="x", bornString="y")),
    ("fhs-2", family(ageString="x", estimatedAge=True), family(estimatedAge=True)),
    ("gol-1", goal(measure=TEXT, **DETAIL), goal(**DETAIL)),
    ("grp-1", group(member=[{"entity": SUBJECT}]),
     group(actual=False, member=[{"entity": SUBJECT}])),
    ("imm-1", shot(documentType="x"), shot(publicationDate=DAY)),
    ("imr-1", advised(vaccineCode=[TEXT]), advised()),
    ("lst-1", listed("working", emptyReason=TEXT),
     listed("working", emptyReason=TEXT, entry=[{"item": SUBJECT}])),
    ("lst-2", listed("changes", entry=[{"item": SUBJECT, "deleted": True}]),
     listed("working", entry=[{"item": SUBJECT, "deleted": True}])),
    ("lst-3", listed("working", entry=[{"item": SUBJECT, "date": DAY}]),
     listed("snapshot", entry=[{"item": SUBJECT, "date": DAY}])),
    ("mad-1", given(dose={"value": 1}), given(text="x")),
    ("mdd-1", drug(whenPrepared=DAY, whenHandedOver=LATER),
     drug(whenPrepared=LATER, whenHandedOver=DAY)),
    ("obs-3", observation(referenceRange=[{"text": "x"}]),
     observation(referenceRange=[{"age": {"low": {"value": 1}}}])),
    ("obs-6", observation(dataAbsentReason=TEXT),
     observation(dataAbsentReason=TEXT, valueString="x")),
    ("obs-7",
     observation(valueString="x", component=[{"code": coded("http://x", "b")}],
                 code=coded("http://x", "a")),
     observation(valueString="x", component=[{"code": coded("http://x", "a")}],
                 code=coded("http://x", "a"))),
    ("org-1", {"resourceType": "Organization", "name": "x"},
     {"resourceType": "Organization", "active": True}),
    ("org-2", {"resourceType": "Organization", "name": "x", "address": [{"use": "work"}]},
     {"resourceType": "Organization", "name": "x", "address": [{"use": "home"}]}),
    ("org-3", {"resourceType": "Organization", "name": "x", "telecom": [{"use": "work"}]},
     {"resourceType": "Organization", "name": "x", "telecom": [{"use": "home"}]}),
    ("inv-1", {"resourceType": "Parameters", "parameter": [{"name": "a", "valueString": "b"}]},
     {"resourceType": "Parameters", "parameter": [{"name": "a"}]}),
    ("inv-1",
     {"resourceType": "Task", "status": "ready", "intent": "order", "authoredOn": DAY,
      "lastModified": LATER},
     {"resourceType": "Task", "status": "ready", "intent": "order", "authoredOn": LATER,
      "lastModified": DAY}),
    ("pat-1", {"resourceType": "Patient", "contact": [{"name": {"text": "x"}}]},
     {"resourceType": "Patient", "contact": [{"gender": "male"}]}),
    ("per-1", observation(effectivePeriod={"start": DAY, "end": "2026"}),
     observation(effectivePeriod={"start": LATER, "end": DAY})),
    ("per-1",
     observation(effectivePeriod={"start": f"{DAY}T09:00:00+08:00", "end": f"{DAY}T02:00:00Z"}),
     observation(effectivePeriod={"start": f"{DAY}T02:00:00Z", "end": f"{DAY}T09:00:00+08:00"})),
    ("qrs-1", answered(item=[{"linkId": "2"}]),
     answered(item=[{"linkId": "2"}], answer=[{"valueString": "x"}])),
    ("rng-2", observation(valueRange={"low": {"value": 9}, "high": {"value": 10}}),
     observation(valueRange={"low": {"value": 10}, "high": {"value": 9}})),
    ("rqg-1", grouped(resource={"reference": "Task/1"}), grouped(title="x")),
    ("prr-1", requested(code=TEXT, orderDetail=[TEXT]), requested(orderDetail=[TEXT])),
    ("ref-1",
     observation(contained=[{"resourceType": "Patient", "id": "a"}], subject={"reference": "#a"}),
     observation(subject={"reference": "#a"})),
    ("dom-2",
     observation(contained=[{"resourceType": "Patient", "id": "a"}], subject={"reference": "#a"}),
     observation(contained=[{"resourceType": "Patient", "id": "a",
                             "contained": [{"resourceType": "Patient"}]}],
                 subject={"reference": "#a"})),
    ("dom-3",
     observation(contained=[{"resourceType": "Provenance", "id": "a",
                             "target": [{"reference": "#"}], "recorded": f"{DAY}T00:00:00Z",
                             "agent": [{"who": {"display": "x"}}]}]),
     observation(contained=[{"resourceType": "Patient", "id": "a"}])),
    ("dom-4",
     observation(contained=[{"resourceType": "Patient", "id": "a", "meta": {"source": "http://x"}}],
                 subject={"reference": "#a"}),
     observation(contained=[{"resourceType": "Patient", "id": "a", "meta": {"versionId": "1"}}],
                 subject={"reference": "#a"})),
    ("dom-5",
     observation(contained=[{"resourceType": "Patient", "id": "a", "meta": {"source": "http://x"}}],
                 subject={"reference": "#a"}),
     observation(contained=[{"resourceType": "Patient", "id": "a",
                             "meta": {"security": [{"code": "R"}]}}],
                 subject={"reference": "#a"})),
]  # fmt: skip


def rules(content: dict[str, Any]) -> list[str]:
    issues = check.text(json.dumps(content).encode(), content["resourceType"])
    assert [issue for issue in issues if issue.code != "r4-rule"] == []
    return [issue.rule for issue in issues]


@pytest.mark.parametrize(("key", "kept", "broken"), KEPT_AND_BROKEN)
def test_an_invariant_is_kept_or_broken(
    key: str, kept: dict[str, Any], broken: dict[str, Any]
) -> None:
    assert rules(kept) == []
    assert key in rules(broken)
    assert not structs.accepts(json.dumps(broken).encode(), broken["resourceType"])


def test_every_invariant_has_its_examples() -> None:
    shown = {(key, kind(broken)) for key, _, broken in KEPT_AND_BROKEN}
    keys = {key for key, _ in shown}
    looked_at = {one.key for one in (*invariants.PRESENCE, *invariants.CONTENT)}
    assert looked_at <= keys
    assert {"dom-2", "dom-3", "dom-4", "dom-5", "ref-1"} <= keys
    assert {("inv-1", "Task"), ("inv-1", "Parameters")} <= shown


def kind(content: dict[str, Any]) -> str:
    return str(content["resourceType"])


def test_the_ordinary_good_examples_need_no_walk() -> None:
    """They are accepted at once, but for what the Structs leave to the walk on purpose."""
    walked = {
        key
        for key, kept, _ in KEPT_AND_BROKEN
        if not structs.accepts(json.dumps(kept).encode(), kind(kept))
    }
    seldom = {"att-1", "cnt-3", "dis-1", "drt-1", "drq-1", "drq-2", "exp-1", "trd-1", "trd-2"}
    contained = {"ref-1", "dom-2", "dom-3", "dom-4", "dom-5"}
    assert walked == seldom | contained


def test_required_codes_of_a_concept_must_be_from_the_list() -> None:
    assert definitions.elements("Condition")["clinicalStatus"].codes
    text_alone = condition(clinicalStatus=TEXT)
    issues = check.text(json.dumps(text_alone).encode(), "Condition")
    assert [(i.code, i.place) for i in issues] == [("r4-code", "Condition.clinicalStatus")]
