"""Raw fields by the sender's own places, in every form, whatever the map reads."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from mappings.engine import load
from mappings.quality import Tally, sighting
from mappings.quality.cells import cells
from tests.mappings.quality.build import DAY, NOON

SITES = Path(mappings.__path__[0]) / "sites"
CASES = Path(__file__).parents[1] / "cases" / "people"
PEOPLE, TCM = load(SITES / "people"), load(SITES / "tcm")


AB = msgspec.structs.replace(PEOPLE.source, charset="gb18030", options={"columns": "A,B"})


def told(raw: bytes, input: str) -> list[tuple[str, str]]:
    return [tuple(one) for one in cells(raw, input, AB)]


def test_hl7_fields_by_segment_field_and_component() -> None:
    raw = 'MSH|^~\\&|LIS|A\rPID|1||7~8^^^B|||""|王珅\nOBX|1|NM|ALT^转氨酶\r'.encode("gb18030")
    assert told(raw, "er7") == [
        ("MSH-3", "LIS"),
        ("MSH-4", "A"),
        ("PID-1", "1"),
        ("PID-3", "7"),
        ("PID-3", "8"),
        ("PID-3.4", "B"),
        ("PID-7", "王珅"),
        ("OBX-1", "1"),
        ("OBX-2", "NM"),
        ("OBX-3", "ALT"),
        ("OBX-3.2", "转氨酶"),
    ]


@pytest.mark.parametrize(
    ("input", "raw"),
    [
        ("rows", b"A,B\n1,\n2,x y\n"),
        ("rows", b'[{"A":"1","B":null},{"A":"2","B":"x y"}]'),
        ("rows", b'{"A":"1","B":null}\n{"A":"2","B":"x y"}\n'),
    ],
)
def test_rows_by_column(input: str, raw: bytes) -> None:
    assert told(raw, input) == [("A", "1"), ("A", "2"), ("B", "x y")]


def test_fhir_by_element_and_xml_by_parent_and_attribute() -> None:
    bundle = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","birthDate":"1980"}}]}'
    assert told(bundle, "fhir") == [("Patient.birthDate", "1980")]
    xml = b'<d xmlns="urn:hl7-org:v3"><t value="20260302"/><x><y>z</y></x></d>'
    assert told(xml, "xml") == [("d/t/@value", "20260302"), ("x/y", "z")]


def test_an_entry_of_a_clinical_document_is_told_by_its_code() -> None:
    entry = b'<observation><code code="DE06.00.182.00"/><value>62.4</value></observation>'
    assert told(entry, "xml") == [
        ("observation[DE06.00.182.00]/code/@code", "DE06.00.182.00"),
        ("observation[DE06.00.182.00]/value", "62.4"),
    ]
    named = '<observation><code code="王珅"/><value>62.4</value></observation>'.encode()
    assert [place for place, _ in told(named, "xml")] == [
        "observation/code/@code",
        "observation/value",
    ]


def test_a_document_inside_an_envelope_is_opened_and_a_broken_one_read_as_far_as_it_goes() -> None:
    inner = "<![CDATA[<?xml version='1.0' encoding='gbk'?><r><t>20260302</t></r>]]>"
    assert told(f"<e><b>{inner}</b></e>".encode(), "xml") == [("r/t", "20260302")]
    assert told(b"<e><a>1</a><b>2", "xml") == [("e/a", "1"), ("e/b", "2")]


def test_a_name_that_is_no_element_name_is_no_place() -> None:
    patient = '{"resourceType":"Patient","王珅":{"a":"1"},"n330421198001010005":"3","b":"2"}'
    assert told(patient.encode(), "fhir") == [("Patient.b", "2")]
    assert told("<e><王珅>1</王珅></e>".encode(), "xml") == [("e/?", "1")]
    assert told("A,王珅\n1,2\n".encode("gb18030"), "rows") == [("A", "1")]
    assert told('[{"A":"1","王珅":"2"}]'.encode(), "rows") == [("A", "1")]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["er7", "rows", "fhir", "xml", "dicom"]))
def test_no_bytes_make_it_raise(raw: bytes, input: str) -> None:
    for one in cells(raw, input, PEOPLE.source):
        assert one.text
    for one in cells(b"MSH|^~\\&|" + raw, input, PEOPLE.source):
        assert one.text


def test_entities_are_not_opened() -> None:
    bomb = (
        b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY f SYSTEM "file:///etc/hostname">]><d>&a;&f;</d>'
    )
    assert [one.text for one in cells(bomb, "xml", PEOPLE.source)] in ([], ["aaaa"])


def test_a_real_delivery_is_seen_by_the_detectors_that_concern_it() -> None:
    raw = (CASES / "oru-corrected-cancelled-wrong-patient.hl7").read_bytes()
    tally = Tally()
    for message in PEOPLE.read(raw, lambda *key: f"{hash(key) & (1 << 128) - 1:032x}").messages:
        tally.add(sighting(raw, PEOPLE, message, DAY, NOON))
    rows = {row.detector: row for row in tally.results()}
    assert {"equal-times", "code-meaning", "time-formats", "encounter-class"} <= set(rows)
    assert rows["time-formats"].struck == 0
    assert all(row.day == DAY for row in rows.values())
