"""What kind of message some bytes are: told from their beginning, in words of a closed set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.message_kinds import HL7, KINDS, kind_of
from gateway.portal.operators_words import KINDS as WORDS

HEADER = "MSH|^~\\&|LIS|H|GW|C|20260301||{}|1|P|2.4\rPID|1"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (HEADER.format("ORU^R01").encode(), "ORU"),
        (b"\x0b" + HEADER.format("ADT").encode(), "ADT"),
        (b"FHS|^~\\&|x\rBHS|^~\\&|y\r" + HEADER.format("MDM^T02").encode(), "MDM"),
        (HEADER.format("ORM^O01").replace("|", "#").replace("^", "!").encode(), "ORM"),
        (HEADER.format("检验^R01").encode("gb18030"), "HL7"),
        (HEADER.format("ZZZ^Z01").encode(), "HL7"),
        (b"MSH|not a message", "HL7"),
        (b"MSH", "HL7"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><!-- x --><ClinicalDocument xmlns="urn:hl7-org:v3">', "CDA"),
        (b"<n1:ClinicalDocument>", "CDA"),
        (b'<soap:Envelope xmlns:soap="x"><soap:Body><ClinicalDocument/>', "SOAP"),
        (b"<Report/>", "XML"),
        (b"<", "XML"),
        (b'{"resourceType":"Bundle"}', "FHIR"),
        (b'[{"0020000D":{"vr":"UI","Value":["1"]}}]', "DICOM"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b'{"JCRQ":"2026-03-01"}', "ROWS"),
        ("检验号,项目\n1,血糖".encode("gb18030"), "ROWS"),
        (b"", "ROWS"),
    ],
)  # fmt: skip
def test_a_message_is_told_from_its_beginning(raw: bytes, kind: str):
    assert kind_of(raw) == kind


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda more: b"MSH|^~\\&|" + more))
def test_whatever_comes_is_called_by_one_of_the_words(raw: bytes):
    assert kind_of(raw) in KINDS


def test_every_kind_has_words_and_types_are_told_apart_once():
    assert tuple(WORDS) == KINDS
    assert len(set(HL7)) == len(HL7)
