"""Functions for results: values, flags, ranges and what the laboratory literally wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mappings.engine import times, units, values
from mappings.engine.bound import Apply, Bound, Function, Setup
from mappings.engine.elements import Choice
from mappings.engine.reader import Value
from mappings.engine.tables import Row, Table

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

_NARRATIVE = frozenset({"TX", "FT"})
_CODED = frozenset({"CD", "CE", "CV", "CO", "CWE", "CNE"})
_TIMES = frozenset({"DT", "TS", "DTM", "TM"})
_SYSTEMS = {
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "2.16.840.1.113883.6.96": "http://snomed.info/sct",
}
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):?([0-5]\d)(?::?([0-5]\d))?")


def _interpretation(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": INTERPRETATION, "code": code}]}]


def absent(code: str, text: str = "") -> dict[str, Any]:
    """A dataAbsentReason, with what the laboratory wrote instead of a result."""
    node: dict[str, Any] = {"coding": [{"system": ABSENT, "code": code}]}
    if text:
        node["text"] = text
    return node


def _unit_tables(bound: Bound) -> tuple[Table, ...]:
    names = ("units", "county_units")
    return tuple(bound.tables[name] for name in names if name in bound.tables)


def _quantity(digits: str, unit: str, code: str) -> dict[str, Any]:
    node: dict[str, Any] = {"value": values.number(digits)}
    if unit:
        node["unit"] = unit
    if code:
        node["system"], node["code"] = units.UCUM, code
    return node


def _make_lab_value(setup: Setup, bound: Bound) -> Apply:
    words = bound.tables.get("words")
    unit_tables = _unit_tables(bound)
    ordinal_system = setup.code_system("ordinal")
    answers = setup.code_system(f"{setup.source.org}-answers")

    def made(text: str, unit: str) -> _Made:
        return _lab_node(text, unit, words, unit_tables, ordinal_system)

    def lab_value(found: Sequence[Value], at: Instance) -> Any:
        if "dataAbsentReason" in at.offered and at.body.get("status") == "cancelled":
            return None
        if not found:
            if at.mode != "patch" and "dataAbsentReason" not in at.offered:
                at.offer("dataAbsentReason", absent("unknown"))
            return None
        first = found[0]
        kind = bound.text("type", at)
        if kind in _CODED and len(first.parts) > 1 and len(found) == 1:
            named = made(first.part(2) or first.part(1), "")
            for element, node in named.offers:
                at.offer(element, node)
            return Choice("CodeableConcept", _answer(first, answers))
        if kind in _NARRATIVE:
            return Choice("String", "\n".join(value.whole for value in found))
        if kind in _TIMES and len(found) == 1 and (when := _time_value(first.text, kind, at)):
            return when
        unit_value = bound.first("unit", at)
        unit = ""
        if unit_value is not None:
            unit, joined = units.rejoin(unit_value.parts)
            if joined:
                at.issue("note", "unit-rejoined", unit_value.place)
        text = first.whole if len(first.parts) > 1 else first.text
        result = made(_structured(first.parts) if kind == "SN" else text, unit)
        if len(found) > 1:
            return _components(found, unit, at, made)
        _tell(result, first, unit_value, at)
        if result.unmapped_unit:
            at.unmapped(unit_tables[0].name if unit_tables else "units", unit)
        for element, node in result.offers:
            at.offer(element, node)
        return result.node

    return lab_value


def _structured(parts: Sequence[str]) -> str:
    """A structured number (SN: comparator, number, separator, number) as laboratories print it."""
    comparator, first, separator, second = (*parts[:4], "", "", "", "")[:4]
    return f"{comparator if comparator != '=' else ''}{first}{separator}{second}"


def _time_value(text: str, kind: str, at: Instance) -> Choice | None:
    """A result that is a day or a time; anything else in such a field is read like any result."""
    if kind == "TM":
        match = _CLOCK_TIME.fullmatch(text)
        return match and Choice("Time", f"{match[1]}:{match[2]}:{match[3] or '00'}")
    moment = times.read(text, at.run.source.zone)
    return Choice("DateTime", moment.text) if isinstance(moment, times.Moment) else None


class _Made:
    """A finished value node with what goes beside it; shared between equal results."""

    __slots__ = ("code", "issue", "node", "offers", "unmapped_unit")

    def __init__(
        self,
        node: Choice | None,
        offers: tuple[tuple[str, Any], ...] = (),
        issue: str = "",
        unmapped_unit: bool = False,
    ) -> None:
        self.node, self.offers, self.issue = node, offers, issue
        self.unmapped_unit = unmapped_unit


def _tell(made: _Made, value: Value, unit: Value | None, at: Instance) -> None:
    if made.issue:
        at.issue("hold" if made.issue == "ambiguous-dash" else "note", made.issue, value.place)
    if made.unmapped_unit and unit is not None:
        at.issue("note", "unmapped-unit", unit.place)


def _components(found: Sequence[Value], unit: str, at: Instance, made: Any) -> None:
    """Several values of one item: all of them, as components; never the first only."""
    parts: list[dict[str, Any]] = []
    for index, value in enumerate(found, 1):
        result = made(value.text, unit)
        _tell(result, value, None, at)
        part: dict[str, Any] = {"code": {"text": f"结果 {index}"}}
        if result.node is not None:
            part[f"value{result.node.suffix}"] = result.node.node
        part.update((name, node) for name, node in result.offers)
        parts.append(part)
    at.offer("component", parts)
    at.issue("note", "repeated-value", found[0].place)


def _lab_node(
    text: str, unit: str, words: Table | None, tables: tuple[Table, ...], ordinal_system: str
) -> _Made:
    value = values.read(text, words)
    offers: list[tuple[str, Any]] = []
    flag = value.flag
    if value.word is not None and not flag:
        flag = value.word.get("interpretation", "")
    if flag:
        offers.append(("interpretation", _interpretation(flag)))
    code = units.ucum(unit, tables) if unit else ""
    unmapped = bool(unit) and not code
    match value.kind:
        case "quantity":
            node = _quantity(value.first, unit, code)
            if value.comparator:
                node = {
                    "value": node.pop("value"),
                    "comparator": value.comparator,
                    **node,
                }
            return _Made(Choice("Quantity", node), tuple(offers), value.issue, unmapped)
        case "ratio":
            below: dict[str, Any] = {"value": values.number(value.second)}
            if value.comparator:
                below["comparator"] = value.comparator
            ratio = {"numerator": {"value": values.number(value.first)}, "denominator": below}
            return _Made(Choice("Ratio", ratio), tuple(offers), value.issue)
        case "range":
            # ``0-1/HP`` carries its own unit.
            shown = unit or value.unit
            code = code or units.ucum(shown, tables)
            node = {
                "low": _quantity(value.first, shown, code),
                "high": _quantity(value.second, shown, code),
            }
            return _Made(Choice("Range", node), tuple(offers), value.issue, unmapped)
        case "word":
            return _Made(
                Choice("CodeableConcept", _word(value.word or {}, text, ordinal_system)),
                tuple(offers),
                value.issue,
            )
        case "absent":
            reason = (value.word or {}).get("absent", "unknown")
            return _Made(None, (*offers, ("dataAbsentReason", absent(reason, text))))
        case "hold":
            return _Made(None, (), value.issue)
        case "text":
            return _Made(Choice("String", text), tuple(offers), value.issue)


def _word(row: Row, text: str, system: str) -> dict[str, Any]:
    node: dict[str, Any] = {}
    if row.get("ordinal"):
        node["coding"] = [{"system": system, "code": row["ordinal"]}]
    node["text"] = text
    return node


def _answer(value: Value, local: str) -> dict[str, Any]:
    """A result that was sent as a code: in its own dictionary, an OID or this sender's."""
    code, name, dictionary = value.part(1), value.part(2), value.part(3)
    node: dict[str, Any] = {}
    if code:
        oid = f"urn:oid:{dictionary}" if dictionary.startswith(("1.", "2.")) else local
        coding = {"system": _SYSTEMS.get(dictionary, oid), "code": code}
        node["coding"] = [coding | ({"display": name} if name else {})]
    node["text"] = name or code
    return node


def _make_amount(setup: Setup, bound: Bound) -> Apply:
    """amount or amount('d'): a quantity of ``10^mL``; with a unit of its own, a number alone is of that unit."""
    unit_tables = _unit_tables(bound)
    fixed = bound.texts.get("unit", "")

    def amount(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        exact = values.digits(values.fold(value.text))
        if exact is None:
            at.issue("drop", "not-a-number", value.place)
            return None
        unit = fixed or value.part(2).replace("&", " ").strip()
        return _quantity(exact, unit, fixed or (units.ucum(unit, unit_tables) if unit else ""))

    return amount


def _make_arrows(setup: Setup, bound: Bound) -> Apply:
    """interpretation(flags) and arrows: the sender's flag as an interpretation, its own text kept."""
    table = bound.tables["flags"]

    def made(text: str) -> tuple[list[dict[str, Any]], bool] | None:
        row = table.get(values.fold(text)) or table.get(text)
        if row is None:
            return [{"text": text}], False
        target = row.get("target", "")
        if not target:
            return None
        node: dict[str, Any] = {"coding": [{"system": INTERPRETATION, "code": target}]}
        if text != target:
            node["text"] = text
        return [node], True

    def interpretation(found: Sequence[Value], at: Instance) -> Any:
        nodes: list[dict[str, Any]] = []
        for value in found:
            text = value.text
            result = made(text)
            if result is not None:
                nodes.extend(result[0])
                if not result[1]:
                    at.issue("note", "unknown-code", value.place)
                    at.unmapped(table.name, text)
        return nodes or None

    return interpretation


def _make_range(setup: Setup, bound: Bound) -> Apply:
    unit_tables = _unit_tables(bound)

    def made(text: str, unit: str) -> tuple[list[dict[str, Any]], bool]:
        parts, sure = values.read_range(text)
        code = units.ucum(unit, unit_tables) if unit else ""
        nodes: list[dict[str, Any]] = []
        for part in parts:
            node: dict[str, Any] = {}
            if part.low:
                node["low"] = _quantity(part.low, unit, code)
            if part.high:
                node["high"] = _quantity(part.high, unit, code)
            if part.sex:
                system = "http://hl7.org/fhir/administrative-gender"
                node["appliesTo"] = [{"coding": [{"system": system, "code": part.sex}]}]
            node["text"] = part.text
            nodes.append(node)
        return nodes, sure

    def reference_range(found: Sequence[Value], at: Instance) -> Any:
        if not found:
            return None
        unit_value = bound.first("unit", at)
        unit = units.rejoin(unit_value.parts)[0] if unit_value is not None else ""
        nodes, sure = made(found[0].whole, unit)
        if not sure:
            at.issue("note", "range-text-only", found[0].place)
        return nodes

    return reference_range


def _make_result_raw(setup: Setup, bound: Bound) -> Apply:
    """The laboratory's own words: value, unit, range and flag exactly as received."""

    def result_raw(found: Sequence[Value], at: Instance) -> Any:
        parts: list[dict[str, Any]] = []
        if found:
            text = "\n".join(value.whole for value in found)
            parts.append({"url": "value", "valueString": text})
        for name in ("unit", "range", "flag"):
            value = bound.first(name, at)
            if value is not None and value.whole:
                parts.append({"url": name, "valueString": value.whole})
        return {"extension": parts} if parts else None

    return result_raw


FUNCTIONS = {
    "lab_value": Function(
        _make_lab_value,
        own=True,
        sources=("type", "unit"),
        tables=("words", "units", "county_units"),
        empty=True,
        wide=True,
    ),
    "amount": Function(
        _make_amount, order=("unit",), texts=("unit",), tables=("units", "county_units")
    ),
    "interpretation": Function(_make_arrows, order=("flags",), tables=("flags",), needs=("flags",)),
    "arrows": Function(_make_arrows, order=("flags",), tables=("flags",), needs=("flags",)),
    "range": Function(_make_range, sources=("unit",), tables=("units", "county_units")),
    "result_raw": Function(
        _make_result_raw, sources=("unit", "range", "flag"), empty=True, wide=True
    ),
}
