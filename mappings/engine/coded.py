"""Functions for codes: from a table into FHIR, the sender's own coding always kept beside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mappings.engine import table_review, unit_kinds, units, values
from mappings.engine.bound import Apply, Bound, Function, Setup
from mappings.engine.measured import absent
from mappings.engine.model import Severity
from mappings.engine.reader import Value
from mappings.engine.tables import SAME, Table

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
_ICD_BASE = re.compile(r"([A-Z]\d\d)(?:\.(\d))?(?![A-Za-z])")


_SAID = {
    "LN": LOINC, "SCT": "http://snomed.info/sct", "I10": ICD10, "UCUM": units.UCUM,
    "ISO639": "urn:ietf:bcp:47",
}  # fmt: skip
_HL7_TABLE = re.compile(r"HL7(\d{4})\Z")


def _said_system(name: str, local: str) -> str:
    """The code system a sender names in CWE.3 or CWE.6, where the name says it; else the local one."""
    if match := _HL7_TABLE.match(name):
        return f"http://terminology.hl7.org/CodeSystem/v2-{match[1]}"
    return _SAID.get(name, local)


def _alternate(parts: tuple[str, ...], local: str) -> list[dict[str, Any]]:
    """The second coding of a CWE (components 4 to 6), as sent."""
    code, name, system = (*parts[3:6], "", "", "")[:3]
    if not code or len(parts) < 5:
        return []
    return _own(_said_system(system, f"{local}-alternate"), code, name)


def _target(table: Table, text: str, pairs: dict[str, str]) -> str | None:
    if text in pairs:
        return pairs[text]
    row = table.get(text) or table.get(values.fold(text).upper())
    return None if row is None else row.get("target", "")


def _make_code(setup: Setup, bound: Bound) -> Apply:
    """code(table, 'a' = 'b'): a code for a required binding; an unknown one is nothing, with an issue."""
    table, pairs = bound.tables["table"], bound.pairs

    def code(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        target = _target(table, value.text, pairs)
        if target is None:
            at.issue("drop", "unknown-code", value.place)
            at.unmapped(table.name, value.text)
        elif (alarm := (table.get(value.text) or {}).get("alarm")) and value.text not in pairs:
            at.issue("note", alarm, value.place)
        return target or None

    return code


def _own(system: str, code: str, display: str) -> list[dict[str, Any]]:
    """The sender's own coding, as the one item of a list; nothing without a code.

    A FHIR code has no blank at its ends and no two in a row (R4 2.24.0.1): such are drawn together.
    """
    code = " ".join(code.split())
    if not code:
        return []
    node: dict[str, Any] = {"system": system, "code": code}
    if display:
        node["display"] = display
    return [node]


def _make_concept(setup: Setup, bound: Bound) -> Apply:
    """concept(items, specimen=…, unit=…): the item as LOINC and as the sender calls it.

    Marks leave the name for the extension hr-mark, a method in brackets goes to Observation.method;
    both keep the sender's text. The table is asked with (code, specimen), then with (code, any); the
    unit decides where the table's rows differ only by what they measure.
    """
    table = bound.tables["items"]
    unit_tables = tuple(
        bound.tables[name] for name in ("units", "county_units") if name in bound.tables
    )
    mark_url = setup.extension("hr-mark")

    def made(
        parts: tuple[str, ...], specimen: str, kind: str
    ) -> tuple[Any, tuple[tuple[str, Any], ...], bool, bool]:
        """The node, what goes beside it, whether it is mapped, and whether the table knows it at all."""
        code, name, system = (*parts[:3], "", "")[:3]
        # Some sources send a name and no code, others a code and no name: then the table's own helps out.
        row = table.get(code or name, specimen, kind)
        name = name or (row or {}).get("name", "")
        item = values.read_name(name)
        codings: list[dict[str, Any]] = []
        if row is not None and row.get("loinc") and row.get("relation", "") in SAME:
            codings.append({"system": LOINC, "code": row["loinc"]})
        elif row is not None and row.get("target"):
            coding = {"system": row.get("system") or table.system, "code": row["target"]}
            if row.get("display"):
                coding["display"] = row["display"]
            codings.append(coding)
        mapped = bool(codings)
        if system == "LN" and code and not mapped:
            # The sender itself says LOINC: taken as said, beside nothing of ours.
            codings += _own(LOINC, code, name)
            mapped = True
        else:
            codings += _own(table.system, code, name)
        if len(parts) > 3:
            codings += _alternate(parts, table.system)
        node: dict[str, Any] = {"coding": codings} if codings else {}
        shown = item.name or name or code
        if shown:
            node["text"] = shown
        offers: list[tuple[str, Any]] = []
        if item.mark:
            offers.append(("extension", [{"url": mark_url, "valueString": item.mark}]))
        if item.method:
            offers.append(("method", {"text": item.method}))
        return node, tuple(offers), mapped, row is not None

    def unit_of(at: Instance) -> str:
        sent = bound.first("unit", at)
        return units.rejoin(sent.parts)[0] if sent is not None else ""

    def concept(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        kind = unit_kinds.kind(units.ucum(unit_of(at), unit_tables)) if table.by_unit else ""
        key = (value.parts, bound.text("specimen", at), kind)
        node, offers, mapped, decided = made(*key)
        if not mapped:
            at.issue("note", "unmapped-code", value.place)
            if not decided:
                code = value.part(1) or value.part(2)
                at.unmapped(table.name, code, value.part(2), key[1], unit_of(at))
        if at.block.type == "Observation":
            for element, offered in offers:
                at.offer(element, offered)
        return node or None

    return concept


def _make_local(setup: Setup, bound: Bound) -> Apply:
    """local(system): the sender's own code and name as a CodeableConcept, a second coding beside.

    Nothing is claimed but what the sender says itself (LN, HL7 tables); where the site has a table of
    that name its approved LOINC stands in front.
    """
    system = setup.code_system(f"{setup.source.org}-{bound.texts['system']}")
    table = setup.tables.get(bound.texts["system"])

    def local(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        code, name = value.part(1), value.part(2)
        node: dict[str, Any] = {}
        codings = _own(_said_system(value.part(3), system), code, name)
        if codings:
            codings += _alternate(value.parts, system)
            row = table.get(code) if table is not None else None
            if row is not None and row.get("loinc") and row.get("relation", "") in SAME:
                codings.insert(0, {"system": LOINC, "code": row["loinc"]})
            elif row is None and table is not None and table_review.modality(name):
                # An examination is recognised by its own code, a laboratory panel by its items.
                at.unmapped(table.name, code, name)
            node["coding"] = codings
        if name or code:
            node["text"] = name or code
        return node or None

    return local


def _make_locals(setup: Setup, bound: Bound) -> Apply:
    """locals(system): the same for each of several codes."""
    local = _make_local(setup, bound)
    return lambda found, at: [local((value,), at) for value in found if any(value.parts)] or None


def _make_named(setup: Setup, bound: Bound) -> Apply:
    """named(system): the same where the field may hold a bare name, which is text and no code."""
    local = _make_local(setup, bound)

    def named(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        return {"text": value.text} if len(value.parts) < 2 else local(found, at)

    return named


def _make_local_coding(setup: Setup, bound: Bound) -> Apply:
    """local_coding(system): the same as one Coding, where FHIR has no room for more."""
    local = _make_local(setup, bound)

    def local_coding(found: Sequence[Value], at: Instance) -> Any:
        node = local(found, at)
        return node and node.get("coding", [None])[0]

    return local_coding


def _make_code_extension(setup: Setup, bound: Bound) -> Apply:
    """code_extension(system): the same inside an extension's ``code`` (patient-citizenship and its like)."""
    local = _make_local(setup, bound)

    def code_extension(found: Sequence[Value], at: Instance) -> Any:
        node = local(found, at)
        return node and {"extension": [{"url": "code", "valueCodeableConcept": node}]}

    return code_extension


def _make_coded(setup: Setup, bound: Bound) -> Apply:
    """coded(table): a CodeableConcept by the table's target, system and display; sender's text kept."""
    table = bound.tables["table"]

    def coded(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        row = table.get(value.text) or table.get(values.fold(value.text).upper())
        if row is None or not row.get("target"):
            if row is None:
                severity: Severity = "drop" if bound.closed else "note"
                code = "unknown-code" if bound.closed else "unmapped-code"
                at.issue(severity, code, value.place)
                at.unmapped(table.name, value.text, value.part(2))
            if bound.closed:
                return None
            name = value.part(2)
            codings = _own(table.system, value.text, name)
            return {"coding": codings} if codings else {"text": name} if name else None
        coding = {"system": row.get("system") or table.system, "code": row["target"]}
        if row.get("display"):
            coding["display"] = row["display"]
        node: dict[str, Any] = {"coding": [coding]}
        if value.text != row["target"]:
            node["text"] = value.part(2) or value.text
        return node

    return coded


def _make_coding(setup: Setup, bound: Bound) -> Apply:
    """coding(table): one Coding (Encounter.class), in the table's system; nothing when unknown."""
    table = bound.tables["table"]

    def coding(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        row = table.get(value.text) or table.get(values.fold(value.text).upper())
        if row is None or not row.get("target"):
            at.issue("drop", "unknown-code", value.place)
            at.unmapped(table.name, value.text, value.part(2))
            return None
        node = {"system": row.get("system") or table.system, "code": row["target"]}
        if row.get("display"):
            node["display"] = row["display"]
        return node

    return coding


def _make_status(setup: Setup, bound: Bound) -> Apply:
    """observation_status(table, report=OBR-25): OBX-11, or the report's status when it is empty.

    The row may say `absent` (a dataAbsentReason), `alarm` (an issue code) or ``skip`` (no
    Observation at all). Nothing is ever assumed final.
    """
    table, report = bound.tables["table"], bound.tables["report_table"]

    def status(found: Sequence[Value], at: Instance) -> Any:
        text = found[0].text if found else ""
        row = table.get(text) if text else None
        if row is None:
            if text:
                at.issue("note", "unknown-code", found[0].place)
                at.unmapped(table.name, text)
            fallback = report.get(bound.text("report", at))
            target = "" if fallback is None else fallback.get("target", "")
            # A partial report holds preliminary results: Observation.status has no word "partial".
            return {"partial": "preliminary", "appended": "final"}.get(target, target) or None
        if row["target"] == "skip":
            at.skipped = True
            return None
        if row.get("alarm"):
            at.issue("alarm", row["alarm"], found[0].place)
        # "Not asked", and a value all the same: R4 forbids both (obs-6), and the value is what was seen.
        # A cancelled result loses its value instead (`lab_value`).
        if row.get("absent") and (row["target"] == "cancelled" or not bound.text("value", at)):
            at.offer("dataAbsentReason", absent(row["absent"]))
        if row.get("mode") == "patch" and not bound.text("value", at):
            at.mode = "patch"
        return row["target"]

    return status


def _make_encounter_status(setup: Setup, bound: Bound) -> Apply:
    """encounter_status(events, ended=PV1-45): by the event; an end time means finished.

    ``skip`` in the table: the event says nothing of a visit, so there is no Encounter. ``fill``: the
    event does not say where the visit stands, so a status that is known already stays. ``deletes``
    names what the event takes back (a cancelled discharge, the end).
    """
    table = bound.tables["events"]

    def status(found: Sequence[Value], at: Instance) -> Any:
        row = table.get(found[0].text)
        target = "unknown" if row is None else row["target"]
        if target == "skip":
            at.skipped = True
            return None
        if row is not None and row.get("deletes"):
            at.nulls.append(row["deletes"])
        elif target in ("in-progress", "unknown") and bound.text("ended", at):
            return "finished"
        if row is None or row.get("fill"):
            at.fills.append("status")
        return target

    return status


def _make_diagnosis(setup: Setup, bound: Bound) -> Apply:
    """diagnosis(dictionaries, dictionary=DG1-2, name=DG1-4): the code as sent in its own dictionary.

    The WHO base code stands beside it when the form leaves no doubt (``I10.x00`` → ``I10``,
    ``J06.903`` → ``J06.9``); codes are never cut silently.
    """
    table = bound.tables["dictionaries"]
    default = setup.code_system(f"{setup.source.org}-diagnoses")

    def diagnosis(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        code, name = value.part(1), value.part(2) or bound.text("name", at)
        dictionary = bound.text("dictionary", at)
        row = table.get(value.part(3)) or table.get(dictionary)
        codings: list[dict[str, Any]] = []
        if code:
            target = row["target"] if row is not None else ""
            system = (
                default if not target else target if "://" in target else setup.code_system(target)
            )
            codings += _own(system, code, name)
            base = _ICD_BASE.match(code)
            if row is None:
                at.issue("note", "unmapped-code", value.place)
                at.unmapped(table.name, value.part(3) or dictionary)
            elif base is not None and row.get("base") == "icd-10":
                short = base[1] + (f".{base[2]}" if base[2] else "")
                if (system, code) != (ICD10, short):
                    codings.append({"system": ICD10, "code": short})
        node: dict[str, Any] = {"coding": codings} if codings else {}
        if said := bound.text("name", at) or name or code:
            node["text"] = said
        return node or None

    return diagnosis


def _make_among(setup: Setup, bound: Bound) -> Apply:
    """among('TX', 'FT'): the text itself when it is one of these; for `when`."""
    allowed = frozenset(bound.texts_many)
    return lambda found, at: found[0].text if found[0].text in allowed else None


def _make_not_among(setup: Setup, bound: Bound) -> Apply:
    """not_among('TX', 'FT'): the text itself, or a dash when there is none, unless it is one of these."""
    refused = frozenset(bound.texts_many)

    def not_among(found: Sequence[Value], at: Instance) -> Any:
        text = found[0].text if found else ""
        return None if text in refused else text or "-"

    return not_among


def _make_unless(setup: Setup, bound: Bound) -> Apply:
    """unless(other=SPM-4): the value, but nothing when the other source holds something; for `when`."""
    return lambda found, at: None if bound.first("other", at) is not None else found[0].text


FUNCTIONS = {
    "code": Function(_make_code, order=("table",), tables=("table",), needs=("table",), pairs=True),
    "concept": Function(
        _make_concept,
        own=True,
        order=("items",),
        tables=("items", "units", "county_units"),
        needs=("items",),
        sources=("specimen", "unit"),
    ),
    "local": Function(_make_local, order=("system",), texts=("system",)),
    "code_extension": Function(_make_code_extension, order=("system",), texts=("system",)),
    "locals": Function(_make_locals, order=("system",), texts=("system",)),
    "named": Function(_make_named, order=("system",), texts=("system",)),
    "local_coding": Function(_make_local_coding, order=("system",), texts=("system",)),
    "coded": Function(_make_coded, order=("table",), tables=("table",), needs=("table",)),
    "coding": Function(_make_coding, order=("table",), tables=("table",), needs=("table",)),
    "observation_status": Function(
        _make_status,
        own=True,
        order=("table", "report_table"),
        tables=("table", "report_table"),
        needs=("table", "report_table"),
        sources=("report", "value"),
        seldom=("value",),
        empty=True,
    ),
    "encounter_status": Function(
        _make_encounter_status,
        order=("events",),
        tables=("events",),
        needs=("events",),
        sources=("ended",),
        own=True,
    ),
    "diagnosis": Function(
        _make_diagnosis,
        order=("dictionaries",),
        tables=("dictionaries",),
        needs=("dictionaries",),
        sources=("dictionary", "name"),
    ),
    "unless": Function(_make_unless, sources=("other",)),
    "among": Function(_make_among, variadic=True),
    "not_among": Function(_make_not_among, variadic=True, empty=True),
}
