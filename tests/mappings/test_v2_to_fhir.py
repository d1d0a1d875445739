"""Every unconditional row of HL7's v2-to-FHIR tables is followed, or listed with the reason."""

from __future__ import annotations

import csv
import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mappings.engine import Map, load, tables
from tests.mappings import v2_to_fhir

HOME = Path(__file__).parent.parent.parent / "mappings"
SITE: Map = load(Path(__file__).parent.parent / "journeys" / "sites" / "hl7v2")


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


ABSENT = not v2_to_fhir.PUBLISHED.is_dir()
if ABSENT:
    warnings.warn("SKIPPED FOR LACK OF FIXTURES: are HL7's v2-to-FHIR rows followed?", stacklevel=1)
published = pytest.mark.skipif(ABSENT, reason="no published tables here")
ROWS = [] if ABSENT else list(v2_to_fhir.rows())
DEPARTURES = v2_to_fhir.departures()


CODE_TABLES = {
    "AdministrativeSex": "v2_0001_sex.csv",
    "PatientClass_EncounterClass_": "v2_0004_class.csv",
    "Event_EncounterStatus_": "encounter_events.csv",
    "InterpretationCodes": "v2_0078_flags.csv",
    "ObservationResultStatusCodesInterpretation": "v2_0085_observation_status.csv",
    "ResultStatus_Non-Queries_": "v2_0123_report_status.csv",
    "DiagnosticServiceSectionID": "v2_0074_section.csv",
    "OrderStatus": "v2_0038_order_status.csv",
    "OrderControlCode_ServiceRequest.status_": "v2_0119_order_control.csv",
    "ExtendedPriorityCodes": "v2_0485_priority.csv",
    "AdmissionType": "v2_0007_admission.csv",
    "EncounterPriority": "v2_0217_priority.csv",
    "DocumentConfidentialityStatus": "v2_0272_confidentiality.csv",
    "YesNoIndicator_AvailabilityStatus_": "v2_0136_available.csv",
    "SpecimenType": "v2_0487_specimen.csv",
}
"""Published code tables that the base maps have a counterpart of."""
CODES_LISTED: dict[str, str] = {
    key: reason for key, reason in DEPARTURES.items() if key.partition(":")[0] in CODE_TABLES
}


def followed(row: v2_to_fhir.Row) -> bool:
    messages = SITE.read(v2_to_fhir.message(row), ids).messages
    texts = [mapped.text() for message in messages for mapped in message.resources]
    return v2_to_fhir.found([json.loads(text) for text in texts], row)


@published
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_published_row_is_followed_or_listed_with_a_reason(row: v2_to_fhir.Row) -> None:
    if row.table in DEPARTURES:
        assert DEPARTURES[row.table]
    elif row.id in DEPARTURES:
        assert not followed(row), "followed after all: take it off the list"
    else:
        assert followed(row), f"{row.id} {row.element}: neither followed nor listed"


@published
def test_every_listed_departure_is_a_published_row_or_table() -> None:
    known = {row.id for row in ROWS} | {row.table for row in ROWS}
    assert set(DEPARTURES) - known - set(CODES_LISTED) == set()


@published
def test_how_many_rows_are_followed() -> None:
    """Pinned, so that a row lost is seen; the tables that are left out whole are counted apart."""
    whole = sum(row.table in DEPARTURES for row in ROWS)
    listed = sum(row.id in DEPARTURES for row in ROWS)
    assert (len(ROWS), whole, listed) == (508, 215, 95)


# --- data types -------------------------------------------------------------------------------------

ADT = "MSH|^~\\&|HIS|F|G|C|20260301090000||ADT^A08|V1|P|2.5\rEVN|A08|20260301090000\r"
ORU = (
    "MSH|^~\\&|LIS|F|G|C|20260301090000||ORU^R01|V1|P|2.5\rPID|1||0001^^^HIS^MR||Test\r"
    "OBR|1|P1|F1|PAN^Panel|||20260228071500|||||||||||||||20260228081500||CH|F\r"
)
DATATYPES: list[tuple[str, str, str, str, Any]] = [
    # (component, message, resource type, element, expected)
    ("CWE.1", f"{ORU}OBX|1|ST|A1^Name^L^B2^Other^LN^^^Said||x||||||F\r", "Observation", "code.coding.0.code", "A1"),
    ("CWE.2", f"{ORU}OBX|1|ST|A1^Name^L^B2^Other^LN^^^Said||x||||||F\r", "Observation", "code.coding.0.display", "Name"),
    ("CWE.4", f"{ORU}OBX|1|ST|A1^Name^L^B2^Other^LN^^^Said||x||||||F\r", "Observation", "code.coding.1.code", "B2"),
    ("CWE.5", f"{ORU}OBX|1|ST|A1^Name^L^B2^Other^LN^^^Said||x||||||F\r", "Observation", "code.coding.1.display", "Other"),
    ("CWE.6", f"{ORU}OBX|1|ST|A1^Name^L^B2^Other^LN^^^Said||x||||||F\r", "Observation", "code.coding.1.system", "http://loinc.org"),
    ("CX.1", f"{ADT}PID|1||0001^^^HIS^MR||Test\r", "Patient", "identifier.0.value", "0001"),
    ("XPN.1", f"{ADT}PID|1||0001^^^HIS^MR||Ng^Ann^May\r", "Patient", "name.0.family", "Ng"),
    ("XPN.2", f"{ADT}PID|1||0001^^^HIS^MR||Ng^Ann^May\r", "Patient", "name.0.given.0", "Ann"),
    ("XPN.3", f"{ADT}PID|1||0001^^^HIS^MR||Ng^Ann^May\r", "Patient", "name.0.given.1", "May"),
    ("XAD.1", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.line.0", "1 Road"),
    ("XAD.2", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.line.1", "Flat 2"),
    ("XAD.3", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.city", "Town"),
    ("XAD.4", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.state", "Land"),
    ("XAD.5", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.postalCode", "314100"),
    ("XAD.6", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.country", "CHN"),
    ("XAD.7", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.use", "home"),
    ("XAD.9", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||1 Road^Flat 2^Town^Land^314100^CHN^H^^District\r", "Patient", "address.0.district", "District"),
    ("XTN.1", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||||0573^PRN^FX\r", "Patient", "telecom.0.value", "0573"),
    ("XTN.2", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||||0573^WPN^FX\r", "Patient", "telecom.0.use", "work"),
    ("XTN.3", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||||0573^PRN^FX\r", "Patient", "telecom.0.system", "fax"),
    ("XTN.4", f"{ADT}PID|1||0001^^^HIS^MR||Ng||||||||^NET^Internet^a@example.com\r", "Patient", "telecom.0.value", "a@example.com"),
    ("XCN.1", f"{ADT}PID|1||0001^^^HIS^MR\rPV1|1|I|||||D1^Ng^Ann||||||||||||V1\r", "Encounter", "participant.0.individual.identifier.value", "D1"),
    ("XCN.2", f"{ADT}PID|1||0001^^^HIS^MR\rPV1|1|I|||||D1^Ng^Ann||||||||||||V1\r", "Encounter", "participant.0.individual.display", "Ann Ng"),
    ("DTM.1", f"{ADT}PID|1||0001^^^HIS^MR\rPV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||20260228071500-0500\r", "Encounter", "period.start", "2026-02-28T07:15:00-05:00"),
    ("EI.1", f"{ORU}OBX|1|ST|A1||x||||||F\r", "ServiceRequest", "identifier.0.value", "P1"),
    ("NM.1", f"{ORU}OBX|1|NM|A1||6.10||||||F\r", "Observation", "valueQuantity.value", "6.10"),
    ("SN.1", f"{ORU}OBX|1|SN|A1||>^100||||||F\r", "Observation", "valueQuantity.comparator", ">"),
    ("SN.2", f"{ORU}OBX|1|SN|A1||^3^-^5||||||F\r", "Observation", "valueRange.low.value", "3"),
    ("SN.4", f"{ORU}OBX|1|SN|A1||^3^-^5||||||F\r", "Observation", "valueRange.high.value", "5"),
    ("SN.2 ratio", f"{ORU}OBX|1|SN|A1||^1^:^128||||||F\r", "Observation", "valueRatio.numerator.value", "1"),
    ("SN.4 ratio", f"{ORU}OBX|1|SN|A1||^1^:^128||||||F\r", "Observation", "valueRatio.denominator.value", "128"),
    ("ED.3", f"{ORU}OBX|1|ED|A1||^AP^PDF^Base64^JVBERi0xLjQKJSVFT0Y=||||||F\r", "DocumentReference", "content.0.attachment.contentType", "application/pdf"),
    ("ED.5", f"{ORU}OBX|1|ED|A1||^AP^PDF^Base64^JVBERi0xLjQKJSVFT0Y=||||||F\r", "Binary", "data", "JVBERi0xLjQKJSVFT0Y="),
    ("FT.1", f"{ORU}OBX|1|ST|A1||x||||||F\rNTE|1||said\r", "Observation", "note.0.text", "said"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("component", "raw", "type_", "element", "expected"), DATATYPES, ids=[d[0] for d in DATATYPES]
)
def test_a_component_goes_where_the_data_type_tables_say(
    component: str, raw: str, type_: str, element: str, expected: Any
) -> None:
    (message,) = SITE.read(raw.encode(), ids).messages
    node: Any = json.loads(
        next(mapped.text() for mapped in message.resources if mapped.type == type_),
        parse_float=str,
        parse_int=str,
    )
    for step in element.split("."):
        node = node[int(step)] if step.isdigit() else node[step]
    assert node == expected


# --- code tables ------------------------------------------------------------------------------------


def _codes() -> list[tuple[str, str, str]]:
    """(published table, code, the FHIR code it becomes) of every row that has both and no condition."""
    found = []
    for name in CODE_TABLES:
        path = v2_to_fhir.PUBLISHED / "codesystems" / f"{name}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for line in list(csv.reader(file))[2:]:
                cells = [cell.strip() for cell in [*line, *[""] * 9]]
                if cells[0] and cells[6] and not any(cells[3:6]):
                    found.append((name, cells[0], cells[6]))
    return found


@published
@pytest.mark.parametrize("name", CODE_TABLES)
def test_our_code_table_agrees_with_the_published_one_or_says_why_not(name: str) -> None:
    path = HOME / "tables" / CODE_TABLES[name]
    table, findings = tables.read_csv(path, path.read_bytes(), name, "urn:x")
    assert findings == []
    differ = {
        f"{name}:{code}"
        for published_name, code, target in _codes()
        if published_name == name and (table.get(code) or {}).get("target") != target
    }
    whole = CODES_LISTED.get(f"{name}:*")
    assert whole or differ == {key for key in CODES_LISTED if key.startswith(f"{name}:")}
