"""One resource that arrives as FHIR: who it is, what it points at, and the few edits made to its text.

The text stays the sender's. Edited are: `id` (ours), literal references (to our ids), `meta` (cut out;
profile, tag and security labels are handed on), and codings and unit codes are inserted where the map says so. Every
edit is recorded; outside the edits the bytes are identical to what was received.

Whose number becomes the business key, first match wins:

1. an identifier whose system the site's `ids` declares, in the order declared there;
2. the sender's own resource id, when the source says they are stable (`resource_ids = "stable"`), in the
   number space `fhir`, or in the block's `space`: `[Patient] space = "mrn"` says that this sender's
   Patient ids *are* its patient numbers, so that a reference alone leads to the same chart;
3. any other identifier with system and value;
4. in a message of a sender without stable ids: message id and fullUrl or id (unique, but new each time);
5. the fullUrl, else a digest of the content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple, TypeVar

from mappings.engine import identity, jsontext, times, unit_kinds, units
from mappings.engine.jsontext import Value
from mappings.engine.model import Edit, Identifier, Ids, Issue, LocalId, Mapped, Mode, Unmapped
from mappings.engine.reader import SYSTEMS, Source
from mappings.engine.tables import SAME, Table
from mappings.engine.validation import STRICT, Validation

T = TypeVar("T")

KEPT_IN_META = ("profile", "tag", "security")
SUBJECTS = ("subject", "patient", "for", "beneficiary")
LOINC = "http://loinc.org"

# Alias systems met in China, the second of them the US social security number's OID.
ALIASES: Mapping[str, str] = {
    "urn:oid:2.16.840.1.113883.2.23.1.19.1": SYSTEMS["resident-id"],
    "urn:oid:2.16.840.1.113883.4.1": SYSTEMS["resident-id"],
    "http://hl7.org/fhir/sid/us-ssn": SYSTEMS["resident-id"],
    "urn:oid:2.16.840.1.113883.2.23.1.19.2": SYSTEMS["insurance-card"],
}

_RELATIVE = re.compile(
    r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,63})\?identifier=([^&|]+)(?:\||%7[Cc])([^&|]+)")


class Target(NamedTuple):
    """A resource as others point at it: our id, and the number space and key it was made from."""

    type: str
    id: str
    space: str
    key: tuple[str, ...]

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def patient(self) -> LocalId:
        return LocalId(self.space, self.key[-1])


class CodingRule(NamedTuple):
    """Add LOINC beside the local code of the CodeableConcept at `path`, by an approved row of `table`.

    `system` narrows to local codings of one system; empty takes any. Only an equal or equivalent code
    is added: a wider or narrower one would pass for the same test.
    """

    path: tuple[str, ...]
    system: str
    table: Table
    rule: str

    def find(self, code: str, specimen: str, kind: str) -> tuple[str, str] | None:
        """System and code to add, or None; `kind` is what the unit sent measures."""
        row = self.table.get(code, specimen, kind)
        if row is None or not row.get("loinc"):
            return None
        if row.get("relation", "") not in SAME:
            return None
        return LOINC, row["loinc"]


class UnitRule(NamedTuple):
    """Add the UCUM code beside the unit text of the Quantity at `path`, by an approved unit of `tables`."""

    path: tuple[str, ...]
    tables: tuple[Table, ...]
    rule: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site's map says about FHIR input, by resource type; ``Resource`` stands for all others."""

    source: Source
    stable_ids: bool = True
    spaces: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modes: Mapping[str, Mode] = field(default_factory=dict)
    codings: Mapping[str, tuple[CodingRule, ...]] = field(default_factory=dict)
    units: Mapping[str, tuple[UnitRule, ...]] = field(default_factory=dict)
    validation: Validation = STRICT

    def of(self, table: Mapping[str, T], kind: str) -> T | None:
        """The entry for a resource type, else the one for every type (`Resource`)."""
        return table.get(kind, table.get("Resource"))

    def own(self, kind: str) -> str:
        """The number space of the sender's own resource ids of a type."""
        return self.of(self.spaces, kind) or "fhir"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One resource in the delivery, with the identity found for it."""

    node: Value
    type: str
    place: str
    full_url: str
    target: Target
    notes: tuple[Issue, ...] = ()


class Scope:
    """What references inside one delivery can mean: its own resources first, then the sender's other ones."""

    def __init__(self, rules: Rules, ids: Ids, sent: str) -> None:
        self.rules = rules
        self.ids = ids
        self.sent = sent
        self._by_url: dict[str, Target] = {}
        self._by_local: dict[tuple[str, str], Target] = {}
        self._nodes: dict[str, Value] = {}
        self.unmapped: list[Unmapped] = []  # met since the last message was finished

    def add(self, arrival: Arrival) -> None:
        """Make a resource of this delivery known to the others."""
        if arrival.full_url:
            self._by_url.setdefault(arrival.full_url, arrival.target)
        local = arrival.node.string("id")
        if local is not None:
            self._by_local.setdefault((arrival.type, local), arrival.target)
        self._nodes.setdefault(arrival.target.reference, arrival.node)

    def node(self, target: Target) -> Value | None:
        """The text of a resource of this delivery."""
        return self._nodes.get(target.reference)

    def resolve(self, node: Value) -> Target | None:
        """What the Reference object `node` points at; None when that is nobody's we could know.

        Contained (``#x``), external absolute and unknown urn references give None and stay as they are.
        """
        reference = node.string("reference")
        if reference is None or reference.startswith("#"):
            return None
        if found := self._by_url.get(reference.partition("/_history/")[0]):
            return found
        if match := _CONDITIONAL.fullmatch(reference):
            return self._declared(match[1], match[2], match[3])
        match = _RELATIVE.fullmatch(reference)
        if match is None:
            return None
        kind, local = match[1], match[2]
        if found := self._by_local.get((kind, local)):
            return found
        system = node.string("identifier", "system")
        value = node.string("identifier", "value")
        if system and value and (found := self._declared(kind, system, value)):
            return found
        if not self.rules.stable_ids:
            return None
        return self.target(kind, self.rules.own(kind), (local,))

    def _declared(self, kind: str, system: str, value: str) -> Target | None:
        space = self.rules.source.ids.get(system)
        if space is None or space in SYSTEMS:
            return None
        return self.target(kind, space, (value.strip(),))

    def target(self, kind: str, space: str, key: tuple[str, ...]) -> Target:
        return Target(kind, self.ids(space, kind, key), space, key)


def business_key(
    node: Value, kind: str, full_url: str, message_id: str, content: bytes, rules: Rules
) -> tuple[str, tuple[str, ...]]:
    """Number space and business key of a resource; see the order at the top of this file."""
    identifiers = [
        (system, value.strip())
        for item in _identifiers(node)
        if (system := item.string("system")) and (value := item.string("value")) and value.strip()
    ]
    spaces = rules.source.ids
    for declared, space in spaces.items():
        if space in SYSTEMS:
            continue  # a national number names the person, not this organisation's chart
        for system, value in identifiers:
            if system == declared:
                return space, (value,)
    local = node.string("id")
    if local and rules.stable_ids:
        return rules.own(kind), (local,)
    if identifiers:
        return "identifier", identifiers[0]
    if not rules.stable_ids and (full_url or local):
        return "message", (message_id, full_url or f"{kind}/{local}")
    if full_url:
        return "url", (full_url,)
    return "content", (blake2b(content, digest_size=16).hexdigest(),)


def _identifiers(node: Value) -> list[Value]:
    found = node.get("identifier")
    if found is None:
        return []
    # A few types (Bundle, Composition) have one identifier and no array.
    return found.items() or [found]


def patient_identifiers(
    node: Value, source: Source, place: str
) -> tuple[tuple[Identifier, ...], list[Issue]]:
    """The identifiers of a Patient that may recognise the person: canonical system, checked value.

    Left out: old ones (`use`), placeholders, and resident ID numbers that are malformed, fail their
    check digit or are probably the mother's; each with an issue. The Patient's own text keeps them all.
    """
    found: dict[Identifier, None] = {}
    issues: list[Issue] = []
    name = node.string("name", 0, "text") or ""
    born = node.string("birthDate") or ""
    for number, item in enumerate(_identifiers(node)):
        system, value = item.string("system"), item.string("value")
        if not system or not value or item.string("use") == "old":
            continue
        space = source.ids.get(system)
        canonical = source.system_of(space) if space else ALIASES.get(system, system)
        resident = canonical == SYSTEMS["resident-id"]
        checked = identity.resident_id(value) if resident else identity.local_number(value)
        code = checked.issue
        if resident and checked.usable and identity.mothers_number(checked.value, name, born):
            code = "newborn-mothers-number"
        if code:
            issues.append(Issue("note", code, f"{place}.identifier[{number}]"))
        else:
            found[Identifier(canonical, checked.value)] = None
    return tuple(found), issues


def subject(arrival: Arrival, scope: Scope) -> Target | None:
    """The patient a resource is about: itself, or what its subject, patient, for or beneficiary says."""
    if arrival.type == "Patient":
        return arrival.target
    if arrival.type == "Appointment":
        return _only_attendee(arrival, scope)
    for name in SUBJECTS:
        node = arrival.node.get(name)
        if node is not None and (target := scope.resolve(node)) and target.type == "Patient":
            return target
    return None


def _only_attendee(arrival: Arrival, scope: Scope) -> Target | None:
    """The patient an appointment is for; None when it is for none, or for several."""
    participants = arrival.node.get("participant")
    found = set()
    for one in participants.items() if participants is not None else ():
        actor = one.get("actor")
        if actor is not None and (target := scope.resolve(actor)) and target.type == "Patient":
            found.add(target)
    return found.pop() if len(found) == 1 else None


def mapped(raw: bytes, arrival: Arrival, scope: Scope) -> tuple[Mapped, list[Issue]]:
    """The resource with its edits applied, ready to be stored, and what was noticed on the way.

    The caller has seen to it that the node is an object with a `resourceType`.
    """
    node, target, rules = arrival.node, arrival.target, scope.rules
    issues = list(arrival.notes)
    planned: list[tuple[jsontext.Edit, str, str]] = []  # the edit, path, reason

    members = node.members()
    names = list(members)
    kind = members["resourceType"]
    own_id = members.get("id")
    new_id = jsontext.quoted(target.id)
    if own_id is None:
        planned.append((jsontext.inserted(kind, "id", new_id), "id", "id"))
    elif own_id.data != target.id:
        planned.append((jsontext.replaced(own_id, new_id), "id", "id"))

    if arrival.type != "Bundle":
        for path, reference in _references(node):
            other = scope.resolve(reference)
            place = f"{arrival.place}.{path}"
            if other is not None:
                new = jsontext.quoted(other.reference)
                edit = jsontext.replaced(reference.members()["reference"], new)
                planned.append((edit, f"{path}.reference", "reference"))
            elif _dangling(reference):
                issues.append(Issue("note", "reference-unresolved", f"{place}.reference"))
        _add_codings(arrival, scope, planned, issues)
        _add_units(arrival, scope, planned, issues)

    # The place of our own meta: in front of the member that follows the sender's meta, else its id,
    # else its resourceType.
    meta = members.get("meta")
    kept = b""
    anchor = next((name for name in ("id", "resourceType") if name in members), "resourceType")
    others = [name for name in names if name != "meta"]
    following = others[others.index(anchor) + 1 :] or others
    split = members[following[0]].key
    if meta is not None:
        cut = jsontext.removed(node, "meta")
        planned.append((cut, "meta", "meta"))
        if names[-1] != "meta":
            split = cut.end
        kept = b",".join(
            b'"%s":%s' % (name.encode(), raw[part.start : part.end])
            for name in KEPT_IN_META
            if (part := meta.get(name)) is not None
        )

    planned.sort(key=lambda item: item[0].start)
    before = [edit for edit, _, _ in planned if edit.end <= split]
    after = [edit for edit, _, _ in planned if edit.end > split]
    return Mapped(
        type=arrival.type,
        id=target.id,
        key=target.key,
        head=_applied(raw, node.start, split, before),
        tail=_applied(raw, split, node.end, after),
        kept_meta=kept,
        clock=_clock(arrival, scope),
        mode=rules.of(rules.modes, arrival.type) or "full",
        place=arrival.place,
        edits=tuple(
            Edit(
                f"{arrival.type}.{path}",
                reason,
                edit.start - node.start,
                raw[edit.start : edit.end],
                edit.new,
            )
            for edit, path, reason in planned
        ),
    ), issues


def received(stored: bytes, edits: Sequence[Edit]) -> bytes:
    """Undo the recorded edits: from `Mapped.text()` back to the bytes the sender wrote."""
    for edit in edits:  # first to last, so that each offset counts in text already restored
        end = edit.offset + len(edit.inserted)
        if stored[edit.offset : end] != edit.inserted:
            raise ValueError("these edits do not belong to this text")
        stored = stored[: edit.offset] + edit.removed + stored[end:]
    return stored


def _applied(raw: bytes, start: int, end: int, edits: Sequence[jsontext.Edit]) -> bytes:
    shifted = [jsontext.Edit(edit.start - start, edit.end - start, edit.new) for edit in edits]
    return jsontext.apply(raw[start:end], shifted)


def _references(node: Value, path: str = "") -> Iterator[tuple[str, Value]]:
    """Every Reference object with a literal reference, with its path; a Bundle inside is left alone."""
    data = node.data
    if type(data) is dict:
        found = data.get("reference")
        if found is not None and type(found.data) is str:
            yield path, node
        for own_name, value in data.items():
            name = jsontext.shown(own_name)
            below = value.data
            if type(below) is dict:
                if value.string("resourceType") != "Bundle":
                    yield from _references(value, f"{path}.{name}" if path else name)
            elif type(below) is list:
                for number, item in enumerate(below):
                    if type(item.data) is dict and item.string("resourceType") != "Bundle":
                        inner = f"{path}.{name}[{number}]" if path else f"{name}[{number}]"
                        yield from _references(item, inner)


def _dangling(node: Value) -> bool:
    """Whether a reference that could not be resolved should have been: not contained, not external."""
    reference = node.string("reference") or ""
    return not reference.startswith(("#", "http://", "https://"))


def _add_codings(
    arrival: Arrival,
    scope: Scope,
    planned: list[tuple[jsontext.Edit, str, str]],
    issues: list[Issue],
) -> None:
    for rule in scope.rules.of(scope.rules.codings, arrival.type) or ():
        codings = arrival.node.get(*rule.path, "coding")
        if codings is None or not codings.items():
            continue
        path = ".".join(rule.path) + ".coding"
        present = {(coding.string("system"), coding.string("code")) for coding in codings.items()}
        if any(system == LOINC for system, _ in present):
            continue
        local = [
            code
            for system, code in sorted(present, key=str)
            if code and (system == rule.system if rule.system else True)
        ]
        if not local:
            continue
        specimen = _specimen(arrival.node, scope)
        quantity = arrival.node.get("valueQuantity")
        unit = (quantity.string("code") or quantity.string("unit")) if quantity else None
        kind = unit_kinds.kind(unit or "")
        found = next((hit for code in local if (hit := rule.find(code, specimen, kind))), None)
        if found is None:
            place = f"{arrival.place}.{path}"
            issues.append(Issue("note", "unmapped-code", place, rule.rule))
            scope.unmapped.append(_unmapped(rule, local[0], codings, arrival.node, specimen))
        elif found not in present:
            system, code = (jsontext.quoted(part) for part in found)
            new = b'{"system":%s,"code":%s}' % (system, code)
            planned.append((jsontext.appended(codings, new), path, "coding"))


def _unmapped(rule: CodingRule, code: str, codings: Value, node: Value, specimen: str) -> Unmapped:
    coding = next(one for one in codings.items() if one.string("code") == code)
    name = coding.string("display") or node.string(*rule.path, "text") or ""
    unit = node.string("valueQuantity", "unit") or ""
    return Unmapped(rule.table.name, code, name, specimen, unit)


def _add_units(
    arrival: Arrival,
    scope: Scope,
    planned: list[tuple[jsontext.Edit, str, str]],
    issues: list[Issue],
) -> None:
    for rule in scope.rules.of(scope.rules.units, arrival.type) or ():
        quantity = arrival.node.get(*rule.path)
        unit = quantity.get("unit") if quantity is not None else None
        if quantity is None or unit is None or type(unit.data) is not str:
            continue
        if quantity.members().keys() & {"code", "system"}:
            continue  # the sender's own code is not second-guessed
        path = ".".join(rule.path)
        code = units.ucum(unit.data, rule.tables)
        if code:
            new = b',"system":%s,"code":%s' % (jsontext.quoted(units.UCUM), jsontext.quoted(code))
            planned.append((jsontext.Edit(unit.end, unit.end, new), path, "coding"))
        else:
            issues.append(Issue("note", "unmapped-unit", f"{arrival.place}.{path}.unit", rule.rule))
            scope.unmapped.append(Unmapped(rule.tables[0].name, unit.data))


def _specimen(node: Value, scope: Scope) -> str:
    """The sender's code of the specimen an Observation was made from, or an empty text."""
    reference = node.get("specimen")
    if reference is None:
        return ""
    target = scope.resolve(reference)
    specimen = scope.node(target) if target else None
    return (specimen.string("type", "coding", 0, "code") if specimen else None) or ""


def _clock(arrival: Arrival, scope: Scope) -> int | None:
    """Business time in µs UTC by the first rule that finds one."""
    for path in scope.rules.of(scope.rules.clocks, arrival.type) or ():
        text = scope.sent if path == "$sent" else arrival.node.string(*path.split("."))
        if not text:
            continue
        match times.read(text, scope.rules.source.zone):
            case times.Moment(us=at):
                return at
    return None
