"""HL7 v2 segments, the groups they form, and the addresses that read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from mappings.engine.reader import AddressFault, Getter, Unusual, Value

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


class Segment(msgspec.Struct, eq=False, gc=False):
    """One segment: its split fields, where it stands, and how often its kind came before it.

    `plain` says that no field repeats or holds an escape: true of most segments, and much is skipped then.
    """

    name: str
    fields: list[str]
    line: int
    ordinal: int
    wire: Wire
    plain: bool

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

    __slots__ = ("_among", "head", "kind", "members", "own", "parent")

    def __init__(self, kind: str, head: Segment, parent: Group | None) -> None:
        self._among: dict[tuple[str, int, int], dict[str, list[Segment]]] | None = None
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

    def where(self) -> str:
        patient = self.own.get("PID") if self.kind == "message" else None
        return (patient[0] if patient else self.head).where()

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

    def record(self, name: str) -> Sequence[str]:
        """The fields of the nearest segment of a name; none when there is no such segment."""
        found = self.own.get(name)
        if found is None:
            if name == "NTE":
                return ()  # Notes never come from above.
            found = self.segments(name)
        return found[0].fields if found else ()

    def among(self, name: str, number: int, part: int) -> Mapping[str, Sequence[Segment]]:
        """The nearest segments of a name by what one component of a field says; sorted once for a finished group."""
        if self._among is None:
            self._among = {}
        found = self._among.get((name, number, part))
        if found is None:
            found = self._among[name, number, part] = {}
            for segment in self.segments(name):
                if number < len(segment.fields):
                    parts = segment.fields[number].split(segment.wire.component)
                    if part < len(parts):
                        found.setdefault(parts[part], []).append(segment)
        return found

    def untie(self) -> None:
        """Let go of the groups below, so that a letter nobody needs any more is freed at once, without the collector."""
        for member in self.members:
            if member.members:
                member.untie()
        self.members.clear()

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


class Address(msgspec.Struct, frozen=True):
    """A parsed address. `every` and `rep` are the brackets behind segment and field, "" when there are none."""

    segment: str
    every: str
    by: str
    equals: str
    field: int
    rep: str
    filter: str
    want: str
    component: int
    sub: int

    @property
    def plain(self) -> bool:
        """Whether it means one repetition of one field of one segment: by far the most frequent."""
        return not self.every and not self.rep


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address:
    """``PID-5``, ``PID-3[5=NI].1``, ``OBX-5[*]``, ``OBX[3.1=IMP]-5[*]``, ``NTE[*]-3``, or `AddressFault`."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise AddressFault(
            f"地址 {text} 写法不对，例如 PID-5、PID-3[5=NI].1、OBX-5[*]",
            f"the address {text} is not valid; for example PID-5, PID-3[5=NI].1, OBX-5[*]",
        )
    if match["field"].strip("0") == "" or match["component"] == "0":
        raise AddressFault("字段和组件从 1 数起", "fields and components count from 1")
    return Address(
        segment=match["segment"],
        every=match["every"] or "",
        by=match["by"] or "",
        equals=match["equals"] or "",
        field=int(match["field"]),
        rep=match["rep"] or "",
        filter=match["filter"] or "",
        want=match["want"] or "",
        component=int(match["component"] or 0),
        sub=int(match["sub"] or 0),
    )


def compile_address(text: str) -> Getter:
    """An address as a getter."""
    address = parse_address(text)
    single = _simple(address)
    if address.plain:
        return single
    name, field, leaf = address.segment, address.field, _leaf(address)
    choose = _chooser(address)
    picked = _repetitions(address.rep, address.filter, address.want)
    one_or_all = not address.every and address.rep == "*"

    def get(scope: Group) -> Sequence[Value]:
        if one_or_all and scope.head.name == name and scope.head.plain:
            return single(scope)
        found: list[Value] = []
        for segment in choose(scope):
            raw = segment.field(field)
            if raw:
                found.extend(
                    value
                    for text in picked(raw, segment.wire)
                    if (value := leaf(text, segment)) is not None
                )
        return found

    return get


def compile_text(text: str) -> Callable[[str, Wire], str | None] | None:
    """(field as received, delimiters) -> the text of a plain address's value; None for other addresses."""
    address = parse_address(text)
    if not address.plain:
        return None
    read, verbatim, component = _parts(address), _verbatim(address), address.component
    if address.sub or verbatim:
        component = -1

    def found(raw: str, wire: Wire) -> str | None:
        if component >= 0 and wire.escape not in raw and wire.repetition not in raw:
            # The frequent case, without the detours of the others.
            if component:
                pieces = raw.split(wire.component)
                if component > len(pieces):
                    return None
                raw = pieces[component - 1]
            if component or wire.component not in raw:
                text = raw.strip()
                if text == '""':
                    raise Unusual
                return text or None
        if wire.repetition in raw and not verbatim:
            raw = _first_repetition(raw, wire)[0]
        parts = read(raw, wire)
        if parts is None:
            return None
        if parts is _NULL:
            raise Unusual
        return parts[0]

    return found


def _simple(address: Address) -> Getter:
    """The getter of one field's first repetition."""
    name, field, spot = address.segment, address.field, _spot(address)
    read, verbatim = _parts(address), _verbatim(address)

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
        if not segment.plain and wire.repetition in raw and not verbatim:
            raw = _first_repetition(raw, wire)[0]
        parts = read(raw, wire)
        if parts is None:
            return ()
        return (Value(parts[0], Spot(segment, spot), parts, parts is _NULL),)

    return get


def _first_repetition(raw: str, wire: Wire) -> list[str]:
    """The first repetition that holds something: senders leave empty ones in front."""
    for text in raw.split(wire.repetition):
        if text:
            return [text]
    return [""]


def _repetitions(rep: str, filter_: str, want: str) -> Callable[[str, Wire], list[str]]:
    if not rep:
        return _first_repetition
    if rep == "*":
        return lambda raw, wire: raw.split(wire.repetition)
    if filter_:
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


def _chooser(address: Address) -> Callable[[Group], Sequence[Segment]]:
    name = address.segment
    if not address.every:
        return lambda scope: scope.segments(name)[:1]
    if not address.by:
        return lambda scope: scope.segments(name)
    field, _, component = address.by.partition(".")
    number, part, equals = int(field), int(component or 1) - 1, address.equals
    return lambda scope: scope.among(name, number, part).get(equals, ())


_NULL = ("",)
"""What `_parts` says of an explicit null; told from an empty text by identity."""


def _verbatim(address: Address) -> bool:
    return address.segment == "MSH" and address.field <= 2


def _spot(address: Address) -> str:
    shown = f"-{address.field}"
    if address.component:
        shown += f".{address.component}"
    return f"{shown}.{address.sub}" if address.sub else shown


def _parts(address: Address) -> Callable[[str, Wire], tuple[str, ...] | None]:
    """What one repetition says at an address: its components, `_NULL`, or None when it holds nothing."""
    component, sub, verbatim = address.component, address.sub, _verbatim(address)

    def read(raw: str, wire: Wire) -> tuple[str, ...] | None:
        if verbatim:
            return (raw,)
        escaped = wire.escape in raw
        if component:
            parts = raw.split(wire.component)
            if component > len(parts):
                return None
            raw = parts[component - 1]
            if sub:
                subs = raw.split(wire.subcomponent)
                raw = subs[sub - 1] if sub <= len(subs) else ""
        elif wire.component in raw:
            pieces = raw.split(wire.component)
            if escaped:
                pieces = [wire.unescape(piece) for piece in pieces]
            leaves = tuple([piece.strip() for piece in pieces])
            return leaves if any(leaves) else None
        text = raw.strip()
        if text == '""':
            return _NULL
        if escaped:
            text = wire.unescape(text).strip()
        return (text,) if text else None

    return read


def _leaf(address: Address) -> Callable[[str, Segment], Value | None]:
    read, spot = _parts(address), _spot(address)

    def leaf(raw: str, segment: Segment) -> Value | None:
        parts = read(raw, segment.wire)
        if parts is None:
            return None
        return Value(parts[0], Spot(segment, spot), parts, parts is _NULL)

    return leaf
