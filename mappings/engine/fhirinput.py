"""FHIR R4 as a source sends it: a resource, a Bundle or NDJSON, read into messages whose text stays the sender's.

| what arrives | what it becomes |
|---|---|
| one resource | one message |
| Bundle `message`, `transaction` | one message about one patient; naming several is a stop (`several-patients`) |
| Bundle `batch`, `collection` | one message per patient named |
| Bundle `document` | one message with the Bundle itself as the resource, its inside untouched |
| NDJSON | one message per line; a bad line stops only itself |

The MessageHeader is the envelope: it gives control id, kind and sender and is not a resource of the
message. `control_id` otherwise is the Bundle's identifier or id, else a digest of the content, so that the
same bytes are the same message. Times of resources (`clock`): see `[Resource] clock` in base/fhir.toml.

XML, search results, histories and responses are refused (stop). What a resource is checked against
stands in mappings/r4/check.py; an invalid one is held, the others of its message go through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO

from msgspec import convert, structs

from mappings.engine import jsontext, streams
from mappings.engine.fhirresource import (
    Arrival,
    CodingRule,
    Rules,
    Scope,
    Target,
    UnitRule,
    business_key,
    mapped,
    patient_identifiers,
    subject,
)
from mappings.engine.jsontext import JsonFault, Value
from mappings.engine.model import (
    Finding,
    Identifier,
    Ids,
    Issue,
    Mapped,
    Message,
    Mode,
    Reading,
    Unit,
)
from mappings.engine.reader import Source
from mappings.engine.rules import Line, Rule, RuleFile
from mappings.engine.tables import Table
from mappings.engine.validation import Validation
from mappings.r4 import check, definitions

if TYPE_CHECKING:
    from mappings.engine.release import Map

_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_ENVELOPES = ("message", "transaction", "batch", "collection")
_ONE_PATIENT = ("message", "transaction")
_NEWLINE = re.compile(rb"\r?\n")


class FhirMap:
    """A site's compiled map for FHIR input; `read` is deterministic and never raises on bad input."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def read(self, raw: bytes, ids: Ids, day: date | None = None) -> Reading:
        """Everything one delivery says, in the order it was written; `day` is when it arrived."""
        limits = self.rules.source.limits
        if len(raw) > limits.bytes:
            return _stopped("too-many-bytes")
        begin = raw[:200].lstrip(b" \t\r\n\xef\xbb\xbf")
        if not begin:
            return _stopped("empty")
        if begin.startswith(b"<"):
            return _stopped("fhir-xml")
        try:
            root = jsontext.parse(raw)
        except JsonFault as fault:
            if fault.code == "trailing" or _looks_like_lines(raw):
                return self._lines(raw, ids, day, fault)
            return Reading(issues=(_json_issue(fault),))
        return Reading(messages=tuple(_Delivery(raw, root, self.rules, ids, day).messages()))

    def _lines(self, raw: bytes, ids: Ids, day: date | None, fault: JsonFault) -> Reading:
        """NDJSON: each line is one delivery of its own. `fault` is what it is as one JSON text."""
        lines = [line for line in enumerate(_NEWLINE.split(raw), 1) if line[1].strip()]
        if len(lines) < 2:
            return Reading(issues=(_json_issue(fault),))
        if len(lines) > self.rules.source.limits.rows:
            return _stopped("too-many-messages")
        messages: list[Message] = []
        for number, line in lines:
            try:
                root = jsontext.parse(line)
            except JsonFault as fault:
                place = f"line {number} column {fault.column}"
                issue = Issue("stop", f"json-{fault.code}", place)
                messages.append(Message(_digest(line), "", issues=(issue,)))
                continue
            messages += _Delivery(line, root, self.rules, ids, day, f"line {number} ").messages()
        return Reading(messages=tuple(messages))


def compile_map(
    file: RuleFile,
    source: Source,
    tables: Mapping[str, Table],
    validation: Validation,
) -> FhirMap:
    """A map of `input = "fhir"` made ready; raises `FhirMapFault` for a rule FHIR input does not know."""
    clocks: dict[str, tuple[str, ...]] = {}
    spaces: dict[str, str] = {}
    modes: dict[str, Mode] = {}
    codings: dict[str, tuple[CodingRule, ...]] = {}
    units: dict[str, tuple[UnitRule, ...]] = {}
    for block in file.blocks.values():
        if block.clock is not None:
            clocks[block.type] = tuple(
                ("$" if atoms[0].kind == "fact" else "") + atoms[0].text
                for atoms in block.clock.expression.alternatives
            )
        if block.space is not None:
            spaces[block.type] = block.space
        if block.mode is not None:
            modes[block.type] = convert(block.mode, Mode)
        bound = [_bind(rule, tables) for rule in block.rules.values()]
        codings[block.type] = tuple(rule for rule in bound if isinstance(rule, CodingRule))
        units[block.type] = tuple(rule for rule in bound if isinstance(rule, UnitRule))
    stable = source.options.get("resource_ids", "stable") != "message"
    return FhirMap(Rules(source, stable, spaces, clocks, modes, codings, units, validation))


def lint(file: RuleFile, tables: Mapping[str, Table]) -> list[Finding]:
    """Every rule of a map that means nothing for FHIR input."""
    findings: list[Finding] = []
    for block in file.blocks.values():
        for rule in block.rules.values():
            try:
                _bind(rule, tables)
                _exists(rule, block.type)
            except FhirMapFault as fault:
                line = fault.line
                findings.append(Finding(line.file, line.number, line.column, fault.zh, fault.en))
    return findings


def _exists(rule: Rule, type_: str) -> None:
    if type_ != "Resource" and definitions.at(f"{type_}.{rule.path}") is None:
        raise FhirMapFault(
            rule.line,
            f"FHIR R4 的 {type_} 没有 {rule.path}",
            f"{type_} has no {rule.path} in FHIR R4",
        )


# By file names too: the same rules are told with the lines of the files they were loaded from.
_COMPILED: dict[tuple[str, str, tuple[str, ...]], FhirMap] = {}
_KEPT = 64


def read(site: Map, raw: bytes, ids: Ids, origin: str = "", day: date | None = None) -> Reading:
    """Read one delivery by a loaded site (`release.Map.read` comes here); compiled once per release."""
    known = (site.organization, site.release, site.files)
    ready = _COMPILED.get(known)
    if ready is None:
        if len(_COMPILED) >= _KEPT:
            _COMPILED.clear()
        part = site.parts[0]
        ready = _COMPILED[known] = compile_map(part.file, site.source, part.tables, site.validation)
    return ready.read(raw, ids, day)


def units(file: BinaryIO, source: Source, issues: list[Issue]) -> Iterator[Unit]:
    """One unit a line of NDJSON; anything else is one unit.

    A Bundle stays whole even when it names several patients: its entries point at each other.
    """
    limit = source.limits.bytes
    if streams.is_ndjson(file, limit):
        while line := file.readline(limit + 1):
            if len(line) > limit:
                raise streams.TooLarge
            if line.strip():
                yield Unit(line.removesuffix(b"\n").removesuffix(b"\r"))
        return
    raw = streams.whole(file, limit)
    yield Unit(raw, _control_id(raw))


def _control_id(raw: bytes) -> str:
    """The id of a message's MessageHeader; other Bundles may come again under their id with more in them."""
    if b'"MessageHeader"' not in raw:
        return ""
    try:
        root = jsontext.parse(raw)
    except JsonFault:
        return ""
    if root.string("type") != "message" or root.string("resourceType") != "Bundle":
        return ""
    return root.string("entry", 0, "resource", "id") or ""


class FhirMapFault(Exception):
    """A rule that means nothing for FHIR input; `line` says where it stands."""

    def __init__(self, line: Line, zh: str, en: str) -> None:
        super().__init__(en)
        self.line, self.zh, self.en = line, zh, en


def _bind(rule: Rule, tables: Mapping[str, Table]) -> CodingRule | UnitRule:
    calls = rule.expression.calls
    first = rule.expression.alternatives[0][0]
    names = ("add_coding", "add_unit")
    if first.text != rule.path or len(calls) != 1 or calls[0].name not in names:
        raise FhirMapFault(
            rule.line,
            "FHIR 来源按原文保留，规则只能写成 路径 | add_coding(码表) 或 路径 | add_unit(码表)",
            "FHIR passes through as sent; a rule can only be path | add_coding(table) or path | add_unit(table)",
        )
    named = [atom.text for atom in calls[0].positional]
    if not named or any(name not in tables for name in named):
        raise FhirMapFault(
            rule.line, "码表没有在 [tables] 登记", "the table is not declared in [tables]"
        )
    path = tuple(rule.path.split("."))
    if calls[0].name == "add_unit":
        return UnitRule(path, tuple(tables[name] for name in named), str(rule.line))
    system = calls[0].named.get("system")
    return CodingRule(path, system[0].text if system else "", tables[named[0]], str(rule.line))


class _Delivery:
    """One JSON value on its way to messages."""

    def __init__(
        self,
        raw: bytes,
        root: Value,
        rules: Rules,
        ids: Ids,
        day: date | None,
        prefix: str = "",
    ) -> None:
        self.raw = raw
        self.root = root
        self.rules = rules
        self.ids = ids
        self.day = day
        self.prefix = prefix
        self.digest = _digest(raw)

    def messages(self) -> list[Message]:
        kind = self.root.string("resourceType")
        if kind is None or not _TYPE.fullmatch(kind):
            return [self._stop("not-a-resource", "resourceType", "")]
        if kind == "Bundle":
            of = self.root.string("type")
            if of in _ENVELOPES:
                return self._envelope(of)
            if of != "document":
                return [self._stop("bundle-type", "Bundle.type", "Bundle")]
        scope = Scope(self.rules, self.ids, "")
        arrival = self._arrival(self.root, kind, kind, "", self.digest)
        scope.add(arrival)
        return [self._message(Message(self.digest, kind), [arrival], scope, [])]

    def _envelope(self, of: str) -> list[Message]:
        """A Bundle whose entries are the resources."""
        envelope = Message(
            control_id=self.root.string("identifier", "value")
            or self.root.string("id")
            or self.digest,
            kind=of,
            timestamp=self.root.string("timestamp") or "",
        )
        entries = self.root.get("entry")
        entry_list = entries.items() if entries is not None else []
        if len(entry_list) > self.rules.source.limits.messages:
            return [self._stop("too-many-entries", "Bundle.entry", of)]
        if of == "message":
            header = entry_list[0].get("resource") if entry_list else None
            if header is None or header.string("resourceType") != "MessageHeader":
                return [self._stop("message-header-missing", "Bundle.entry[0]", of)]
            envelope = _from_header(envelope, header)
        issues: list[Issue] = []
        scope = Scope(self.rules, self.ids, envelope.timestamp)
        arrivals: list[Arrival] = []
        for number, entry in enumerate(entry_list):
            arrival = self._entry(entry, number, envelope.control_id, issues)
            if arrival is not None:
                scope.add(arrival)
                arrivals.append(arrival)
        arrivals = self._apart(arrivals)
        groups = _by_patient(arrivals, scope)
        patients = [group for group in groups if group is not None]
        if len(patients) <= 1:
            return [self._message(envelope, arrivals, scope, issues)]
        if of in _ONE_PATIENT:
            # The second one named; the first may well be the one that was meant.
            place = groups[patients[1]][0].place
            return [
                structs.replace(
                    envelope, issues=(*issues, Issue("stop", "several-patients", place))
                )
            ]
        issues.append(Issue("note", "bundle-of-several", f"{self.prefix}Bundle"))
        parts: list[Message] = []
        for number, group in enumerate(groups.values(), 1):
            part = structs.replace(envelope, control_id=f"{envelope.control_id}#{number}")
            parts.append(self._message(part, group, scope, issues if number == 1 else []))
        return parts

    def _entry(
        self, entry: Value, number: int, message_id: str, issues: list[Issue]
    ) -> Arrival | None:
        place = f"Bundle.entry[{number}]"
        method = entry.string("request", "method")
        node = entry.get("resource")
        if node is None or (method is not None and method not in ("POST", "PUT")):
            issues.append(Issue("hold", "entry-not-supported", f"{self.prefix}{place}.request"))
            return None
        kind = node.string("resourceType")
        if kind is None or not _TYPE.fullmatch(kind):
            issues.append(Issue("hold", "not-a-resource", f"{self.prefix}{place}.resource"))
            return None
        if kind == "MessageHeader":
            return None
        full_url = entry.string("fullUrl") or ""
        return self._arrival(node, kind, f"{place}.resource", full_url, message_id)

    def _arrival(
        self, node: Value, kind: str, place: str, full_url: str, message_id: str
    ) -> Arrival:
        content = self.raw[node.start : node.end]
        space, key = business_key(node, kind, full_url, message_id, content, self.rules)
        target = Target(kind, self.ids(space, kind, key), space, key)
        place = f"{self.prefix}{place}"
        notes: tuple[Issue, ...] = ()
        if space in ("message", "url", "content"):
            notes = (Issue("note", "identity-of-message", place),)
        return Arrival(node, kind, place, full_url, target, notes)

    def _apart(self, arrivals: list[Arrival]) -> list[Arrival]:
        """Two resources under one key but with different content both live; the later gets an ordinal."""
        seen: dict[str, bytes] = {}
        apart: list[Arrival] = []
        for arrival in arrivals:
            content = self.raw[arrival.node.start : arrival.node.end]
            target, ordinal = arrival.target, 1
            while seen.setdefault(target.reference, content) != content:
                ordinal += 1
                key = (*arrival.target.key, str(ordinal))
                target = Target(
                    target.type, self.ids(target.space, target.type, key), target.space, key
                )
            if ordinal > 1:
                issue = Issue("note", "key-collision", arrival.place)
                arrival = replace(arrival, target=target, notes=(*arrival.notes, issue))
            apart.append(arrival)
        return apart

    def _message(
        self, envelope: Message, arrivals: list[Arrival], scope: Scope, issues: list[Issue]
    ) -> Message:
        found: list[Issue] = list(issues)
        resources: list[Mapped] = []
        patient: Target | None = None
        identifiers: tuple[Identifier, ...] = ()
        scope.unmapped.clear()
        for arrival in arrivals:
            patient = patient or subject(arrival, scope)
            if arrival.type == "Patient":
                identifiers, noted = patient_identifiers(
                    arrival.node, self.rules.source, arrival.place
                )
                found += noted
            faults = self.rules.validation.judged(
                check.resource(self.raw, arrival.node, arrival.place),
                arrival.place,
                arrival.type,
                self.day,
            )
            found += faults
            if any(fault.severity == "hold" for fault in faults):
                continue
            resource, noted = mapped(self.raw, arrival, scope)
            resources.append(resource)
            found += noted
        return structs.replace(
            envelope,
            patient=patient.patient if patient else None,
            identifiers=identifiers,
            resources=tuple(resources),
            issues=tuple(found),
            unmapped=tuple(dict.fromkeys(scope.unmapped)),
        )

    def _stop(self, code: str, place: str, kind: str) -> Message:
        return Message(self.digest, kind, issues=(Issue("stop", code, f"{self.prefix}{place}"),))


def _from_header(envelope: Message, header: Value) -> Message:
    """The envelope as the MessageHeader tells it: its id, event and source (FHIR R4 messaging 2.4)."""
    return structs.replace(
        envelope,
        control_id=header.string("id") or envelope.control_id,
        kind=header.string("eventCoding", "code") or header.string("eventUri") or envelope.kind,
        sender=header.string("source", "endpoint") or header.string("source", "name") or "",
    )


def _by_patient(arrivals: list[Arrival], scope: Scope) -> Mapping[str | None, list[Arrival]]:
    """The resources by the patient they are about; None holds those about nobody (organisations …)."""
    groups: dict[str | None, list[Arrival]] = {}
    for arrival in arrivals:
        target = subject(arrival, scope)
        groups.setdefault(target.id if target else None, []).append(arrival)
    return groups


def _looks_like_lines(raw: bytes) -> bool:
    """Whether every line begins an object: NDJSON whose first line is the broken one."""
    return b"\n{" in raw and all(
        line.startswith(b"{") for line in _NEWLINE.split(raw) if line.strip()
    )


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()


def _stopped(code: str) -> Reading:
    return Reading(issues=(Issue("stop", code, ""),))


def _json_issue(fault: JsonFault) -> Issue:
    return Issue("stop", f"json-{fault.code}", f"line {fault.line} column {fault.column}")
