"""FHIR deliveries: envelopes, ids, references, codings and what is held back, on small readable cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine.fhirinput import FhirMap
from mappings.engine.fhirresource import CodingRule, Rules, received
from mappings.engine.model import Identifier, LocalId, Message, Reading
from mappings.engine.reader import Limits, Source
from mappings.engine.tables import Table

RESIDENT = "urn:oid:2.16.156.10011.1.3"
MRN = "https://his.example/sid/patient"
REPORTS = "https://his.example/sid/report"
ITEMS = "https://his.example/items"
TABLE = Table(
    "items",
    ITEMS,
    {
        ("ALT", ""): {"loinc": "1742-6", "relation": "equivalent"},
        ("GLU", "SER"): {"loinc": "14749-6", "relation": ""},
        ("GLU", "URI"): {"loinc": "25428-4", "relation": "equal"},
        ("PCT", ""): {"loinc": "33959-8", "relation": "wider"},
    },
)


def ids(space: str, kind: str, key: Sequence[str]) -> str:
    return blake2b("\0".join([space, kind, *key]).encode(), digest_size=16).hexdigest()


def fhir_map(**changes: Any) -> FhirMap:
    source = Source(
        org="mch",
        name="妇幼",
        charset="utf-8",
        zone=ZoneInfo("Asia/Shanghai"),
        space="fhir",
        ids=changes.pop("declared", {MRN: "mrn", REPORTS: "report", RESIDENT: "resident-id"}),
        limits=Limits(),
        options={},
        base_url="https://gateway.example/fhir",
    )
    rules = {
        "spaces": {"Patient": "mrn"},
        "clocks": {"Resource": ("meta.lastUpdated", "issued", "$sent", "effectiveDateTime")},
        "codings": {"Observation": (CodingRule(("code",), ITEMS, TABLE, "fhir.toml:9"),)},
    }
    return FhirMap(Rules(source, **(rules | changes)))


def patient(number: str = "M1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [{"system": MRN, "value": number}],
        "name": [{"text": "王珅"}],
        **more,
    }


def observation(own: str = "o1", code: str = "ALT", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": own,
        "status": "final",
        "code": {"coding": [{"system": ITEMS, "code": code}]},
        "subject": {"reference": "Patient/M1"},
        "effectiveDateTime": "2026-03-02",
        **more,
    }


def header(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MessageHeader",
        "id": "MSG-1",
        "eventCoding": {"system": "https://his.example/events", "code": "lab-report"},
        "source": {"endpoint": "https://his.example/fhir"},
        **more,
    }


def bundle(kind: str, *resources: dict[str, Any], **more: Any) -> bytes:
    entries = [
        {
            "fullUrl": f"https://his.example/fhir/{each['resourceType']}/{each.get('id')}",
            "resource": each,
        }
        for each in resources
    ]
    whole = {"resourceType": "Bundle", "type": kind, **more, "entry": entries}
    return json.dumps(whole, ensure_ascii=False).encode()


def the(reading: Reading) -> Message:
    assert not reading.issues
    assert len(reading.messages) == 1
    return reading.messages[0]


def stored(message: Message, kind: str) -> dict[str, Any]:
    found = [one for one in message.resources if one.type == kind]
    assert len(found) == 1
    return json.loads(found[0].text())


def codes(found: Any) -> list[str]:
    return [issue.code for issue in found.issues]


def test_a_message_bundle_is_one_message_about_one_patient() -> None:
    raw = bundle(
        "message",
        header(),
        patient(
            identifier=[
                {"system": MRN, "value": "M1"},
                {"system": RESIDENT, "value": "330421198001010005"},
            ]
        ),
        observation(),
        timestamp="2026-03-02T10:21:00+08:00",
    )

    message = the(fhir_map().read(raw, ids))

    assert (message.control_id, message.kind, message.sender) == (
        "MSG-1",
        "lab-report",
        "https://his.example/fhir",
    )
    assert message.timestamp == "2026-03-02T10:21:00+08:00"
    assert message.patient == LocalId("mrn", "M1")
    assert message.identifiers == (
        Identifier("https://gateway.example/fhir/sid/mch/mrn", "M1"),
        Identifier(RESIDENT, "330421198001010005"),
    )
    assert [one.type for one in message.resources] == ["Patient", "Observation"]
    chart = ids("mrn", "Patient", ["M1"])
    assert stored(message, "Patient")["id"] == chart
    assert stored(message, "Observation")["subject"] == {"reference": f"Patient/{chart}"}
    assert message.resources[1].place == "Bundle.entry[2].resource"
    assert message.issues == ()


@pytest.mark.parametrize(
    ("reference", "becomes"),
    [
        ("Patient/M1", "Patient/" + ids("mrn", "Patient", ["M1"])),
        ("https://his.example/fhir/Patient/M1", "Patient/" + ids("mrn", "Patient", ["M1"])),
        ("Patient/M1/_history/3", "Patient/" + ids("mrn", "Patient", ["M1"])),
        # Not in this delivery: the chart the sender's own patient number leads to.
        ("Patient/M9", "Patient/" + ids("mrn", "Patient", ["M9"])),
        (f"Patient?identifier={MRN}|M1", "Patient/" + ids("mrn", "Patient", ["M1"])),
        ("Practitioner/d7", "Practitioner/" + ids("fhir", "Practitioner", ["d7"])),
        # Contained, external and unknown ones stay what they are.
        ("#here", "#here"),
        (
            "https://elsewhere.example/fhir/Practitioner/7",
            "https://elsewhere.example/fhir/Practitioner/7",
        ),
        (
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        ),
    ],
)
def test_literal_references_lead_to_our_ids(reference: str, becomes: str) -> None:
    raw = bundle("batch", patient(), observation(performer=[{"reference": reference}]))
    message = the(fhir_map().read(raw, ids))
    assert stored(message, "Observation")["performer"] == [{"reference": becomes}]
    assert ("reference-unresolved" in codes(message)) == reference.startswith("urn:")


def test_entries_known_only_by_urn_point_at_each_other() -> None:
    entries = [
        {"fullUrl": "urn:uuid:a1", "resource": patient()},
        {"fullUrl": "urn:uuid:b2", "resource": observation(subject={"reference": "urn:uuid:a1"})},
    ]
    raw = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
    message = the(fhir_map().read(raw, ids))
    chart = ids("mrn", "Patient", ["M1"])
    assert stored(message, "Observation")["subject"]["reference"] == f"Patient/{chart}"


def test_a_report_is_the_same_report_by_its_declared_number_whatever_its_id() -> None:
    def report(own: str) -> dict[str, Any]:
        return {
            "resourceType": "DiagnosticReport",
            "id": own,
            "identifier": [{"system": REPORTS, "value": "R-7"}],
            "status": "final",
            "code": {"text": "肝功能"},
            "subject": {"reference": "Patient/M1"},
        }

    first = the(fhir_map().read(json.dumps(report("a")).encode(), ids))
    second = the(fhir_map().read(json.dumps(report("b")).encode(), ids))
    assert first.resources[0].id == second.resources[0].id
    assert first.resources[0].key == ("R-7",)


def test_a_sender_without_stable_ids_gets_new_ids_with_each_message() -> None:
    without = fhir_map(stable_ids=False)
    one = the(without.read(bundle("message", header(), patient(), observation()), ids))
    two = the(without.read(bundle("message", header(id="MSG-2"), patient(), observation()), ids))
    assert one.resources[0].id == two.resources[0].id  # the patient number is declared
    assert one.resources[1].id != two.resources[1].id
    assert "identity-of-message" in codes(one)


def test_two_resources_under_one_number_both_live() -> None:
    twins = [
        observation(own, identifier=[{"system": REPORTS, "value": "R-7"}]) for own in ("a", "b")
    ]
    message = the(fhir_map().read(bundle("collection", patient(), *twins), ids))
    assert len({one.id for one in message.resources}) == 3
    assert codes(message) == ["key-collision"]


def test_a_message_that_names_two_patients_is_stopped() -> None:
    for raw in (
        bundle("message", header(), patient(), patient("M2")),
        bundle("transaction", patient(), observation(subject={"reference": "Patient/M2"})),
    ):
        message = the(fhir_map().read(raw, ids))
        assert not message.resources
        assert [(i.severity, i.code) for i in message.issues] == [("stop", "several-patients")]


def test_a_batch_about_two_patients_becomes_two_messages() -> None:
    raw = bundle(
        "batch",
        patient(),
        observation("a"),
        patient("M2"),
        observation("b", subject={"reference": "Patient/M2"}),
        id="B-1",
    )
    reading = fhir_map().read(raw, ids)
    assert [one.patient for one in reading.messages] == [LocalId("mrn", "M1"), LocalId("mrn", "M2")]
    assert [one.control_id for one in reading.messages] == ["B-1#1", "B-1#2"]
    assert [len(one.resources) for one in reading.messages] == [2, 2]


@pytest.mark.parametrize(
    ("code", "specimen", "added"),
    [
        ("ALT", None, "1742-6"),
        ("GLU", "SER", "14749-6"),
        ("GLU", "URI", "25428-4"),
        ("GLU", None, None),
        ("PCT", None, None),
        ("XYZ", None, None),
    ],
)
def test_loinc_is_inserted_beside_the_local_code_only_when_it_says_the_same(
    code: str, specimen: str | None, added: str | None
) -> None:
    resources = [patient(), observation(code=code)]
    if specimen:
        resources[1]["specimen"] = {"reference": "Specimen/s1"}
        resources.append(
            {"resourceType": "Specimen", "id": "s1", "type": {"coding": [{"code": specimen}]}}
        )
    message = the(fhir_map().read(bundle("batch", *resources), ids))
    coding = stored(message, "Observation")["code"]["coding"]
    expected = [{"system": ITEMS, "code": code}]
    if added:
        expected.append({"system": "http://loinc.org", "code": added})
    assert coding == expected
    assert ("unmapped-code" in codes(message)) == (added is None)


def test_a_code_that_is_already_loinc_is_left_alone() -> None:
    coding = [{"system": ITEMS, "code": "ALT"}, {"system": "http://loinc.org", "code": "1743-4"}]
    raw = json.dumps(observation(code="ALT") | {"code": {"coding": coding}}).encode()
    message = the(fhir_map().read(raw, ids))
    assert stored(message, "Observation")["code"]["coding"] == coding
    assert message.issues == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"resourceType":"Observation","id":"o","meta":{"versionId":"7","profile":["https://p.example"],"tag":[{"code":"t"}]},"status":"final","code":{"text":"x"}}',
        '{"meta":{"profile":["https://p.example"],"tag":[{"code":"t"}]},"id":"o","resourceType":"Observation","status":"final","code":{"text":"x"}}',
        '{ "status" : "final", "code":{"text":"x"}, "resourceType":"Observation" ,\n "meta" : {"tag":[{"code":"t"}],"lastUpdated":"2026-01-01T00:00:00Z","profile":["https://p.example"]} }',
        '{"status":"final","code":{"text":"x"},"id":"o","resourceType":"Observation","meta":{"profile":["https://p.example"],"tag":[{"code":"t"}]}}',
    ],
)
def test_meta_is_cut_out_wherever_it_stands(text: str) -> None:
    message = the(fhir_map().read(text.encode(), ids))
    one = message.resources[0]
    whole = json.loads(one.head + b'"meta":{"versionId":"ours"},' + one.tail)
    assert whole == {
        "resourceType": "Observation",
        "id": one.id,
        "meta": {"versionId": "ours"},
        "status": "final",
        "code": {"text": "x"},
    }
    assert json.loads(b"{" + one.kept_meta + b"}") == {
        "profile": ["https://p.example"],
        "tag": [{"code": "t"}],
    }
    assert received(one.text(), one.edits) == text.encode()


def test_a_resource_that_is_nothing_but_its_type_and_meta_can_carry_ours() -> None:
    one = the(fhir_map().read(b'{"resourceType":"Basic","meta":{},"code":{}}', ids))
    assert codes(one)  # empty objects are not valid: held, so nothing is stored
    bare = the(fhir_map().read(b'{"resourceType":"Patient","meta":{"tag":[{"code":"t"}]}}', ids))
    only = bare.resources[0]
    assert json.loads(only.head + b'"meta":{},' + only.tail) == {
        "resourceType": "Patient",
        "meta": {},
        "id": only.id,
    }


@pytest.mark.parametrize(
    ("more", "clock"),
    [
        (
            {
                "meta": {"lastUpdated": "2026-03-02T00:00:00.123456Z"},
                "issued": "2026-01-01T00:00:00Z",
            },
            1772409600123456,
        ),
        ({"issued": "2026-03-02T08:00:00+08:00"}, 1772409600000000),
        (
            {},
            1772380800000000,
        ),  # effective on 2 March: the day begins in the county, not in Greenwich
        ({"effectiveDateTime": "2026"}, 1767196800000000),
    ],
)
def test_the_clock_is_the_senders_best_time(more: dict[str, Any], clock: int) -> None:
    raw = json.dumps(observation(**more)).encode()
    assert the(fhir_map().read(raw, ids)).resources[0].clock == clock


@pytest.mark.parametrize(
    ("system", "value", "expected", "issue"),
    [
        (
            "urn:oid:2.16.840.1.113883.2.23.1.19.1",
            "330421198001010005",
            (RESIDENT, "330421198001010005"),
            "",
        ),
        ("urn:oid:2.16.840.1.113883.4.1", "３３０４２１ 19550615000x", None, "resident-id-check"),
        (RESIDENT, "33042119550615000x", (RESIDENT, "33042119550615000X"), ""),
        (RESIDENT, "330421198001010006", None, "resident-id-check"),
        (RESIDENT, "3304211980****0005", None, "resident-id-form"),
        ("https://x.example/card", " C-7 ", ("https://x.example/card", "C-7"), ""),
    ],
)
def test_identifiers_are_canonical_and_doubtful_ones_recognise_nobody(
    system: str, value: str, expected: tuple[str, str] | None, issue: str
) -> None:
    if issue == "resident-id-check":
        value = value[:-1] + "9"
    raw = json.dumps(patient(identifier=[{"system": system, "value": value}])).encode()
    message = the(fhir_map().read(raw, ids))
    assert message.identifiers == ((Identifier(*expected),) if expected else ())
    assert codes(message) == ([issue] if issue else [])
    assert stored(message, "Patient")["identifier"] == [{"system": system, "value": value}]


def test_a_newborn_under_its_mothers_number_is_not_linked_to_her() -> None:
    raw = json.dumps(
        patient(
            identifier=[
                {"system": MRN, "value": "M1"},
                {"system": RESIDENT, "value": "330421198001010005"},
            ],
            name=[{"text": "王某之女"}],
            birthDate="2026-02-01",
        )
    ).encode()
    message = the(fhir_map().read(raw, ids))
    assert [one.value for one in message.identifiers] == ["M1"]
    assert codes(message) == ["newborn-mothers-number"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty"),
        (b"<Patient xmlns='http://hl7.org/fhir'/>", "fhir-xml"),
        (b"\xef\xbb\xbf<Patient/>", "fhir-xml"),
        (b'{"resourceType":"Patient","resourceType":"Patient"}', "json-duplicate"),
        (b'{"resourceType":"Patient"', "json-truncated"),
        ('{"resourceType":"Patient","name":[{"text":"王"}]}'.encode("gb18030"), "json-not-utf8"),
        (b'{"a":1}', "not-a-resource"),
        (b"[]", "not-a-resource"),
        (b'{"resourceType":"<b>"}', "not-a-resource"),
        (b'{"resourceType":"Bundle","type":"searchset"}', "bundle-type"),
        (b'{"resourceType":"Bundle"}', "bundle-type"),
        (b'{"resourceType":"Bundle","type":"message"}', "message-header-missing"),
        (bundle("message", patient()), "message-header-missing"),
    ],
)
def test_what_cannot_be_read_is_stopped_with_a_sentence(raw: bytes, code: str) -> None:
    reading = fhir_map().read(raw, ids)
    issues = [*reading.issues, *(i for m in reading.messages for i in m.issues)]
    assert [(issue.severity, issue.code) for issue in issues] == [("stop", code)]
    assert not any(message.resources for message in reading.messages)
    assert code not in issues[0].text("zh")
    assert code not in issues[0].text("en")


def test_a_bad_line_of_ndjson_stops_only_itself() -> None:
    lines = [json.dumps(patient("M1")), '{"resourceType":', json.dumps(patient("M2"))]
    reading = fhir_map().read("\n".join([*lines, ""]).encode(), ids)
    assert [len(message.resources) for message in reading.messages] == [1, 0, 1]
    assert reading.messages[1].issues[0].place == "line 2 column 17"
    assert reading.messages[2].resources[0].place == "line 3 Patient"


def test_the_first_line_may_be_the_bad_one() -> None:
    lines = ['{"resourceType":]}', json.dumps(patient("M1")), json.dumps(patient("M2"))]
    reading = fhir_map().read("\n".join(lines).encode(), ids)
    assert [len(message.resources) for message in reading.messages] == [0, 1, 1]


def test_something_behind_a_resource_is_no_second_line() -> None:
    reading = fhir_map().read(json.dumps(patient()).encode() + b" {}", ids)
    assert codes(reading) == ["json-trailing"]


def test_an_invalid_resource_waits_and_the_others_go_through() -> None:
    raw = bundle("batch", patient(), observation(status="banana"), observation("o2"))
    message = the(fhir_map().read(raw, ids))
    assert [one.type for one in message.resources] == ["Patient", "Observation"]
    assert [(i.severity, i.code, i.place) for i in message.issues] == [
        ("hold", "r4-code", "Bundle.entry[1].resource.status")
    ]


def test_requests_other_than_storing_are_named_not_carried_out() -> None:
    entries = [
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        {"request": {"method": "POST", "url": "Patient"}, "resource": patient()},
    ]
    raw = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
    message = the(fhir_map().read(raw, ids))
    assert [one.type for one in message.resources] == ["Patient"]
    assert codes(message) == ["entry-not-supported"]


def test_no_issue_repeats_what_the_sender_wrote() -> None:
    raw = bundle(
        "batch", patient(gender="王珅", birthDate="330421198001010005"), observation(status="王珅")
    )
    message = the(fhir_map().read(raw, ids))
    assert len(message.issues) >= 3
    for issue in message.issues:
        for text in (issue.text("zh"), issue.text("en"), issue.place):
            assert "王珅" not in text
            assert "3304" not in text


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_and_never_raise(raw: bytes) -> None:
    reading = fhir_map().read(raw, ids)
    assert reading.issues or reading.messages


GOOD = bundle("message", header(), patient(), observation(), timestamp="2026-03-02T10:21:00+08:00")


@given(
    st.integers(0, len(GOOD)),
    st.sampled_from([b"", b"null", b"[]", b"{}", b'"', b",", b"1", b'"x":{},']),
)
def test_a_damaged_message_never_raises(at: int, piece: bytes) -> None:
    reading = fhir_map().read(GOOD[:at] + piece + GOOD[at + 1 :], ids)
    for message in reading.messages:
        for one in message.resources:
            json.loads(one.text())


WORD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    str.strip
)


@given(
    WORD,
    st.integers(0, 4),
    st.booleans(),
    st.permutations(["resourceType", "id", "meta", "status", "code", "note"]),
)
def test_every_layout_keeps_the_senders_bytes(
    word: str, indent: int, ascii_only: bool, order: list[str]
) -> None:
    content = observation(
        note=[{"text": word}], meta={"tag": [{"code": "t"}], "lastUpdated": "2026-01-01T00:00:00Z"}
    )
    turned = {name: content[name] for name in order} | content
    raw = json.dumps(turned, ensure_ascii=ascii_only, indent=indent or None).encode()
    one = the(fhir_map().read(raw, ids)).resources[0]
    assert received(one.text(), one.edits) == raw
    assert json.loads(one.head + b'"meta":{},' + one.tail)["note"] == [{"text": word}]
