"""HL7's published v2-to-FHIR mapping as assertions: each row is a message with one field filled and one element expected.

A row is unconditional when none of its condition columns is filled and it names an element. A value row expects
the sample put into the field to come out in that element; a row with an assignment expects that text there.
Index numbers of list items are ours to give, and what lies inside a referenced resource is looked for in the
reference: the gateway refers to persons and places by identifier and name.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PUBLISHED = HERE.parent.parent.parent / "shared" / "fixtures" / "hl7-v2-to-fhir"
DEPARTURES = HERE / "v2_to_fhir_departures.csv"

KINDS = {
    "PID_Patient": "ADT^A08", "PD1_Patient": "ADT^A08", "NK1_Patient": "ADT^A08",
    "PID_Account": "ADT^A08", "PID_Provenance-Patient": "ADT^A08",
    "PD1_Observation-LivingWill": "ADT^A08", "NK1_RelatedPerson": "ADT^A08",
    "PV1_Encounter": "ADT^A08", "PV1_Patient": "ADT^A08", "PV1_Coverage": "ADT^A08",
    "PV1_Basic-EncounterHistory": "ADT^A08",
    "PV2_Encounter": "ADT^A08", "DG1_Condition": "ADT^A08", "DG1_Encounter": "ADT^A08",
    "DG1_EpisodeOfCare": "ADT^A08", "AL1_AllergyIntolerance": "ADT^A08",
    "EVN_Provenance": "ADT^A08", "MRG_Account": "ADT^A40", "IN1_Coverage": "ADT^A08",
    "MSH_Bundle": "ADT^A08", "MSH_Encounter": "ADT^A03", "MSH_MessageHeader": "ADT^A08",
    "MSH_Provenance-Operator": "ADT^A08", "MSH_Provenance-Source": "ADT^A08",
    "MSH_Provenance-Transformation": "ADT^A08",
    "PR1_Procedure": "ADT^A08", "ROL_CareTeam": "ADT^A08",
    "ROL_Encounter-PractitionerRole": "ADT^A08", "ROL_Patient-GeneralPractitioner": "ADT^A08",
    "ROL_RelatedPerson": "ADT^A08",
    "OBR_DiagnosticReport": "ORU^R01", "OBR_Specimen": "ORU^R01", "OBX_Observation": "ORU^R01",
    "OBX_Observation-Component": "ORU^R01", "OBX_DocumentReference": "MDM^T02",
    "ORC_DiagnosticReport": "ORU^R01", "SPM_Specimen": "ORU^R01", "NTE_Observation": "ORU^R01",
    "OBR_ServiceRequest": "ORM^O01", "ORC_ServiceRequest": "ORM^O01", "ORC_Provenance": "ORM^O01",
    "NTE_ServiceRequest": "ORM^O01", "NTE_DocumentReference": "MDM^T02",
    "TXA_DocumentReference": "MDM^T02", "TXA_Provenance": "MDM^T02",
}  # fmt: skip
"""Segment tables that belong to the kinds of message the base maps take, and the kind each is tried with."""


@dataclass(frozen=True)
class Row:
    """One unconditional row of a table. `id` is its place in the published file: ``PID_Patient:12 PID-5``."""

    id: str
    table: str
    field: str
    v2_type: str
    element: str
    assigned: str


def rows() -> Iterator[Row]:
    """Every unconditional row of the segment tables in `KINDS` that names an element."""
    for path in sorted((PUBLISHED / "segments").glob("*.csv")):
        table = path.name.partition("__")[0]
        if table not in KINDS:
            continue
        yield from _rows(path, table)


def datatype_rows(*tables: str) -> Iterator[Row]:
    """The same for data types; `field` is a component (``CWE.2``)."""
    for path in sorted((PUBLISHED / "datatypes").glob("*.csv")):
        table = path.name.partition("__")[0]
        if table in tables:
            yield from _rows(path, table)


def _rows(path: Path, table: str) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.reader(file), 1):
            cells = [*line, *[""] * 20]
            conditional = any(cell.strip() for cell in cells[6:9])
            if number < 3 or conditional or not cells[9].strip():
                continue
            field = cells[1].strip()
            yield Row(
                f"{table}:{number} {field}",
                table,
                field,
                cells[3].strip(),
                cells[9].strip(),
                cells[16].strip(),
            )


def departures() -> dict[str, str]:
    """Row id or table name -> why we do not follow it."""
    with DEPARTURES.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file) if line and not line[0].startswith("#")]
    return {line[0]: line[1] for line in lines[1:]}


# --- messages ---------------------------------------------------------------------------------------

MARK = "Q7X"
SAMPLES = {
    "CX": f"{MARK}^^^HIS&1.2&ISO^MR", "XPN": f"{MARK}^Given^Middle", "XAD": f"{MARK} Road^^City",
    "XTN": "0573Q7X4000", "CWE": f"{MARK}^{MARK} name^L", "XCN": f"{MARK}^Name^Given", "PL": f"{MARK}^R1^B2",
    "DTM": "20260228071500", "DT": "20260228", "TS": "20260228071500", "ST": MARK, "NM": "7", "ID": MARK,
    "EI": f"{MARK}^NS", "EIP": f"{MARK}&NS^{MARK}F&NS", "HD": MARK, "XON": f"{MARK}^L", "FT": MARK,
    "NDL": f"{MARK}&Name&Given", "CQ": "7^mL", "DLD": MARK, "SPS": f"{MARK}^{MARK} name", "DLN": MARK,
    "TQ": "1^^^^^S", "FC": MARK, "PT": "P", "MSG": "ADT^A03", "DR": "20260228071500",
}  # fmt: skip
CODES = {
    "PID-8": "F", "PV1-2": "I", "PV1-4": "E", "OBR-5": "S", "OBR-24": "CT", "OBR-25": "F", "OBX-11": "F",
    "OBX-8": "H", "ORC-5": "CM", "ORC-1": "NW", "SPM-20": "Y", "TXA-17": "AU", "TXA-18": "R",
    "PV2-25": "1", "DG1-6": "F", "TXA-3": "TX", "SPM-4": "SER", "DG1-21": "D", "PID-25": "7",
    "DG1-15": "7", "PID-7": "19800228", "PID-19": "330421198002280005",
}  # fmt: skip
EXPECTED = {
    "PID-8": "female", "PV1-2": "IMP", "PV1-4": "E", "OBR-5": "stat", "OBR-24": "CT", "OBX-11": "final",
    "OBX-8": "H", "ORC-5": "completed", "ORC-1": "active", "SPM-20": "available", "TXA-17": "final",
    "TXA-18": "R", "PV2-25": "EM", "SPM-4": "SER", "DTM": "2026-02-28", "DT": "2026-02-28",
    "TS": "2026-02-28", "NM": "7", "CQ": "7", "PID-7": "1980-02-28", "DR": "2026-02-28",
    "MSH-9": "finished", "PID-19": "330421198002280005",
}  # fmt: skip
BASE = {
    "MSH": {3: "HIS", 4: "F", 5: "G", 6: "C", 7: "20260301090000", 10: "V1", 11: "P", 12: "2.5"},
    "EVN": {2: "20260301090000"},
    "PID": {3: "0001^^^HIS^MR", 5: "Test"},
    "PV1": {2: "I", 19: "V1"},
    "ORC": {1: "RE", 2: "P1", 3: "F1"},
    "OBR": {2: "P1", 3: "F1", 4: "PAN^Panel", 24: "CH", 25: "F"},
    "OBX": {2: "ST", 3: "IT^Item", 5: "result", 11: "F"},
    "TXA": {1: "1", 2: "CN^Note", 12: "D1"},
    "DG1": {3: "I10^Hypertension^I10"},
    "SPM": {4: "SER^Serum"},
    "NTE": {3: "note"},
    "MRG": {1: "0002^^^HIS^MR"},
}
SHAPES = {
    "ADT": ("EVN", "PID", "PD1", "NK1", "PV1", "PV2", "ROL", "AL1", "DG1", "PR1", "IN1"),
    "ORU": ("PID", "PV1", "ORC", "OBR", "OBX", "NTE", "SPM"),
    "ORM": ("PID", "PV1", "ORC", "OBR", "NTE"),
    "MDM": ("EVN", "PID", "PV1", "TXA", "OBX", "NTE"),
}


def sample(row: Row) -> str:
    """What is put into the field."""
    return CODES.get(row.field) or SAMPLES.get(row.v2_type, MARK)


def expected(row: Row) -> str:
    """What must come out in the element."""
    assigned = row.assigned.strip()
    if assigned.startswith('"'):
        return assigned.strip('"').strip()
    return EXPECTED.get(row.field) or EXPECTED.get(row.v2_type, MARK)


def message(row: Row) -> bytes:
    """A message of the row's kind with just the base fields and the row's own filled."""
    kind = KINDS[row.table]
    segment, _, number = row.field.partition("-")
    segment = segment.strip() or row.table.partition("_")[0]
    shape = SHAPES[kind[:3]]
    if kind == "ADT^A40":
        shape = ("EVN", "PID", "MRG")
    if row.table == "OBR_Specimen":
        shape = tuple(name for name in shape if name != "SPM")
    lines = [_segment("MSH", {**BASE["MSH"], 9: kind})]
    for name in shape:
        fields = dict(BASE.get(name, {}))
        if name == "PD1" or name not in BASE:
            fields = {1: "1"} if name == segment else {}
        if name == "OBR" and row.table.startswith("ORC_"):
            del fields[2], fields[3]
        if name == "OBR" and row.table == "OBR_Specimen":
            fields[15] = "SER^Serum"
        if name == "EVN":
            fields[1] = kind[4:]
        if name == segment and number.isdigit() and name != "MSH":
            fields[int(number)] = sample(row)
        if fields:
            lines.append(_segment(name, fields))
    if segment == "MSH" and number.isdigit() and number not in ("1", "2", "9"):
        lines[0] = _segment("MSH", {**BASE["MSH"], 9: kind, int(number): sample(row)})
    return ("\r".join(lines) + "\r").encode()


def _segment(name: str, fields: dict[int, str]) -> str:
    last = max(fields)
    if name == "MSH":
        return "|".join(["MSH|^~\\&", *(fields.get(n, "") for n in range(3, last + 1))])
    return "|".join([name, *(fields.get(n, "") for n in range(1, last + 1))])


# --- elements ---------------------------------------------------------------------------------------


def resource_type(row: Row) -> str:
    """``PV1_Encounter`` and ``PD1_Observation-LivingWill`` as a resource type."""
    return row.table.partition("_")[2].partition("-")[0].partition(".")[0]


def found(resources: list[dict[str, Any]], row: Row) -> bool:
    """Whether an element of that path in a resource of that type holds what is expected."""
    want = expected(row)
    path = [re.sub(r"\[.*?\]", "", part) for part in _steps(row.element)]
    for resource in resources:
        if resource["resourceType"] != resource_type(row):
            continue
        for node in _at(resource, path):
            text = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
            if want in text:
                return True
    return False


def _steps(element: str) -> list[str]:
    """The path as far as it lies in the resource itself: a reference ends it."""
    element = re.sub(r'\s*=\s*".*', "", element).strip().lstrip("$")
    outer, bracket, _ = element.partition("(")
    steps = [step for step in outer.strip().split(".") if step]
    if steps and steps[0] == "this":
        return []
    return [step.strip() for step in steps if step.strip()] or ([] if bracket else [element])


def _at(node: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for one in node:
            yield from _at(one, path)
    elif not path:
        yield node
    elif isinstance(node, dict):
        name, *rest = path
        for key in (name, "url" if name == "uri" else name):
            if key in node:
                yield from _at(node[key], rest)
                return
