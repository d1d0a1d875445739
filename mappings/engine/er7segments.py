"""HL7 v2 segments, the groups they form, and the addresses that read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from mappings.engine.reader import AddressFault, Getter, Value

# FHIR strings hold no control characters but tab, line feed and carriage return.
CONTROL = dict.fromkeys([*range(0x20), 0x7F], None)
for _kept in (0x09, 0x0A, 0x0D):
    del CONTROL[_kept]
_FIXED = {".br": "\n", ".sp": "\n", ".fi": "", ".nf": "", ".in": "", ".ti": "", "H": "", "N": "",
          ".ce": "\n", ".sk": " "}  # fmt: skip


class Wire(msgspec.Struct, frozen=True):
    """How one message is written: its delimiters and the codec of its bytes."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str
    codec: str

    def unescape(self, text: str) -> str:
        """Undo the escapes of one leaf; hex bytes go through the source's codec, unknown ones stay."""
        if self.escape not in text or not self.escape:
            return text
        pieces = text.split(self.escape)
        out = [pieces[0]]
        index = 1
        while index < len(pieces):
            if index + 1 < len(pieces) and (made := self._one(pieces[index])) is not None:
                out.append(made)
                out.append(pieces[index + 1])
                index += 2
            else:
                out.append(self.escape)
                out.append(pieces[index])
                index += 1
        return "".join(out)

    def _one(self, code: str) -> str | None:
        match code:
            case "F":
                return self.field
            case "S":
                return self.component
            case "T":
                return self.subcomponent
            case "R":
                return self.repetition
            case "E":
                return self.escape
        if code[:1] == "X" and len(code) > 1:
            try:
                return bytes.fromhex(code[1:]).decode(self.codec).translate(CONTROL)
            except ValueError:
                return None
        name = re.match(r"\.[a-z]{2}|[HN]\Z", code)
        return _FIXED.get(name[0]) if name else None


class Segment:
    """One segment: its split fields, where it stands, and how often its kind came before it."""

    __slots__ = ("fields", "line", "name", "ordinal", "plain", "wire")

    def __init__(
        self, name: str, fields: list[str], line: int, ordinal: int, wire: Wire, plain: bool
    ) -> None:
        self.name, self.fields, self.line = name, fields, line
        self.ordinal, self.wire = ordinal, wire
        # Whether no field repeats or holds an escape: true of most segments, and much is skipped then.
        self.plain = plain

    def where(self, address: str = "") -> str:
        ordinal = f"[{self.ordinal}]" if self.ordinal > 1 or self.name in _NUMBERED else ""
        return f"{self.name}{ordinal}{address} (line {self.line})"

    def field(self, number: int) -> str:
        fields = self.fields
        return fields[number] if number < len(fields) else ""


_NUMBERED = frozenset({"OBX", "OBR", "NTE", "DG1", "SPM", "ORC", "AL1", "NK1", "IN1"})


class Spot(msgspec.Struct, frozen=True, gc=False):
    """The place of a value; formatted only when an issue needs it."""

    segment: Segment
    address: str

    def __str__(self) -> str:
        return self.segment.where(self.address)


class Group:
    """A segment with what belongs to it: a message's patient part, an order, a result."""

    __slots__ = ("head", "kind", "members", "own", "parent")

    def __init__(self, kind: str, head: Segment, parent: Group | None) -> None:
        self.kind, self.head, self.parent = kind, head, parent
        self.members: list[Group] = []
        # Every segment that stands directly in this group, its own head included.
        self.own: dict[str, list[Segment]] = {head.name: [head]}
        if parent is not None:
            parent.members.append(self)

    @property
    def place(self) -> object:
        # A whole message is best found by its patient.
        patient = self.own.get("PID") if self.kind == "message" else None
        return Spot(patient[0] if patient else self.head, "")

    def locate(self, address: str) -> str:
        name, _, rest = address.partition("-")
        found = self.segments(re.sub(r"\[.*", "", name))
        return found[0].where(f"-{rest}" if rest else "") if found else f"{address} ({self.place})"

    def children(self, each: str) -> Iterable[Group]:
        if each == "message":
            return [self]
        found: list[Group] = []
        for member in self.members:
            if member.kind == each:
                found.append(member)
            if member.members:
                found.extend(member.children(each))
        return found

    def segments(self, name: str) -> list[Segment]:
        """The nearest segments of a name: in this group, below it, then upwards. Notes never come from above."""
        group: Group | None = self
        while group is not None:
            if found := group.own.get(name):
                return found
            if name == "NTE":
                return []
            group = group.parent
        return []

    def add(self, segment: Segment) -> None:
        self.own.setdefault(segment.name, []).append(segment)


# --- addresses -------------------------------------------------------------------------------------

_ADDRESS = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})"
    r"(?:\[(?P<every>\*|(?P<by>\d+(?:\.\d+)?)=(?P<equals>[^\]]*))\])?"
    r"-(?P<field>\d{1,3})"
    r"(?:\[(?P<rep>\*|\d+|(?P<filter>\d+)=(?P<want>[^\]]*))\])?"
    r"(?:\.(?P<component>\d{1,2})(?:\.(?P<sub>\d{1,2}))?)?"
)


def compile_address(text: str) -> Getter:
    """``PID-5``, ``PID-3[5=NI].1``, ``OBX-5[*]``, ``OBX[3.1=IMP]-5[*]``, ``NTE[*]-3`` as a getter."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise AddressFault(
            f"地址 {text} 写法不对，例如 PID-5、PID-3[5=NI].1、OBX-5[*]",
            f"the address {text} is not valid; for example PID-5, PID-3[5=NI].1, OBX-5[*]",
        )
    name, field = match["segment"], int(match["field"])
    if field == 0 or match["component"] == "0":
        raise AddressFault("字段和组件从 1 数起", "fields and components count from 1")
    component = int(match["component"] or 0)
    sub = int(match["sub"] or 0)
    leaf = _leaf(name, field, component, sub)
    pick = _repetitions(match["rep"], match["filter"], match["want"])
    if match["every"] is None and pick is None:
        return _simple(name, field, component, sub, leaf)
    choose = _chooser(match["every"], match["by"], match["equals"])
    picked = pick or _first_repetition
    single = _simple(name, field, component, sub, leaf)
    one_or_all = match["every"] is None and match["rep"] == "*"

    def get(scope: Group) -> Sequence[Value]:
        if one_or_all and scope.head.name == name and scope.head.plain:
            return single(scope)
        found: list[Value] = []
        for segment in choose(scope.segments(name)):
            raw = segment.field(field)
            if raw:
                found.extend(
                    value
                    for text in picked(raw, segment.wire)
                    if (value := leaf(text, segment)) is not None
                )
        return found

    return get


def _simple(
    name: str, field: int, component: int, sub: int, leaf: Callable[[str, Segment], Value | None]
) -> Getter:
    """The getter of one field's first repetition, by far the most frequent; kept quick."""
    address = f"-{field}.{component}" if component else f"-{field}"
    index = component - 1

    def get(scope: Group) -> Sequence[Value]:
        segment = scope.head
        if segment.name != name:
            found = scope.segments(name)
            if not found:
                return ()
            segment = found[0]
        fields = segment.fields
        if field >= len(fields) or not (raw := fields[field]):
            return ()
        wire = segment.wire
        if not segment.plain:
            if wire.repetition in raw and not (name == "MSH" and field < 3):
                raw = _first_repetition(raw, wire)[0]
        elif not sub and raw != '""':
            if component:
                parts = raw.split(wire.component)
                if component > len(parts):
                    return ()
                raw = parts[index]
            if component or wire.component not in raw:
                text = raw.strip()
                if text == '""':
                    return (Value("", Spot(segment, address), ("",), True),)
                return (Value(text, Spot(segment, address), (text,)),) if text else ()
        value = leaf(raw, segment)
        return () if value is None else (value,)

    return get


def _first_repetition(raw: str, wire: Wire) -> list[str]:
    """The first repetition that holds something: senders leave empty ones in front."""
    for text in raw.split(wire.repetition):
        if text:
            return [text]
    return [""]


def _repetitions(
    rep: str | None, filter_: str | None, want: str | None
) -> Callable[[str, Wire], list[str]] | None:
    if rep is None:
        return None
    if rep == "*":
        return lambda raw, wire: raw.split(wire.repetition)
    if filter_ is not None:
        number = int(filter_) - 1

        def matching(raw: str, wire: Wire) -> list[str]:
            found = []
            for text in raw.split(wire.repetition):
                parts = text.split(wire.component)
                if (parts[number] if number < len(parts) else "") == want:
                    found.append(text)
            return found

        return matching
    index = int(rep) - 1

    def at_index(raw: str, wire: Wire) -> list[str]:
        return raw.split(wire.repetition)[index : index + 1] if index >= 0 else []

    return at_index


def _chooser(
    every: str | None, by: str | None, equals: str | None
) -> Callable[[list[Segment]], list[Segment]]:
    if every is None:
        return lambda segments: segments[:1]
    if by is None:
        return lambda segments: segments
    field, _, component = by.partition(".")
    number, part = int(field), int(component or 1) - 1

    def choose(segments: list[Segment]) -> list[Segment]:
        found = []
        for segment in segments:
            parts = segment.field(number).split(segment.wire.component)
            if part < len(parts) and parts[part] == equals:
                found.append(segment)
        return found

    return choose


def _leaf(
    name: str, field: int, component: int, sub: int
) -> Callable[[str, Segment], Value | None]:
    address = f"-{field}" + (f".{component}" if component else "") + (f".{sub}" if sub else "")
    verbatim = name == "MSH" and field <= 2

    def leaf(raw: str, segment: Segment) -> Value | None:
        wire = segment.wire
        if verbatim:
            return Value(raw, Spot(segment, address), (raw,))
        if component:
            parts = raw.split(wire.component)
            if component > len(parts):
                return None
            raw = parts[component - 1]
            if sub:
                subs = raw.split(wire.subcomponent)
                raw = subs[sub - 1] if sub <= len(subs) else ""
        elif wire.component in raw:
            escaped = wire.escape in raw
            leaves = tuple(
                [
                    (wire.unescape(part) if escaped else part).strip()
                    for part in raw.split(wire.component)
                ]
            )
            if not any(leaves):
                return None
            return Value(leaves[0], Spot(segment, address), leaves)
        if raw == '""':
            return Value("", Spot(segment, address), ("",), True)
        text = (wire.unescape(raw) if wire.escape in raw else raw).strip()
        return Value(text, Spot(segment, address), (text,)) if text else None

    return leaf
