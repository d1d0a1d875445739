"""HL7 v2 in its bar form: bytes cut into messages, decoded, grouped, and read by address.

Bytes are decoded before they are split, because a GBK character may hold a delimiter as its second
byte (珅 holds a bar, 玘 a caret); a leaf is unescaped last. What cannot be read becomes a stop issue.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from mappings.engine.model import Issue
from mappings.engine.reader import AddressFault, Getter, Letter, Source, Value

CODECS = {
    "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030", "gb 18030-2000": "gb18030",
    "utf-8": "utf-8", "utf8": "utf-8", "unicode utf-8": "utf-8", "ascii": "ascii",
}  # fmt: skip
"""Character sets a source may be registered with. GBK and GB2312 are subsets of GB18030."""

_BOM = b"\xef\xbb\xbf"
_MSH_AT = re.compile(rb"(?:\A|[\r\n])[ \t]*(?=MSH[^A-Za-z0-9\s])")
_ENVELOPE = re.compile(rb"(?:\A|[\r\n])[ \t]*(?:FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9]|\Z)[^\r\n]*")
_TRAILER = re.compile(rb"(?:\A|[\r\n])[ \t]*BTS[^A-Za-z0-9\s](\d+)")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_DAMAGED = ("锟斤拷", "\ufffd", "烫烫烫", "浣犲ソ", "锘挎", "Ã¤")
_PRIVATE = re.compile(r"[\ue000-\uf8ff]")
# FHIR strings hold no control characters but tab, line feed and carriage return.
_CONTROL = dict.fromkeys([*range(0x20), 0x7F], None)
for _kept in (0x09, 0x0A, 0x0D):
    del _CONTROL[_kept]
_BAD_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
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
                return bytes.fromhex(code[1:]).decode(self.codec).translate(_CONTROL)
            except ValueError:
                return None
        name = re.match(r"\.[a-z]{2}|[HN]\Z", code)
        return _FIXED.get(name[0]) if name else None


class Segment:
    """One segment: its split fields, where it stands, and how often its kind came before it."""

    __slots__ = ("fields", "line", "name", "ordinal", "wire")

    def __init__(self, name: str, fields: list[str], line: int, ordinal: int, wire: Wire) -> None:
        self.name, self.fields, self.line, self.ordinal, self.wire = (
            name,
            fields,
            line,
            ordinal,
            wire,
        )

    def where(self, address: str = "") -> str:
        ordinal = f"[{self.ordinal}]" if self.ordinal > 1 or self.name in _NUMBERED else ""
        return f"{self.name}{ordinal}{address} (line {self.line})"

    def field(self, number: int) -> str:
        fields = self.fields
        return fields[number] if number < len(fields) else ""


_NUMBERED = frozenset({"OBX", "OBR", "NTE", "DG1", "SPM", "ORC", "AL1", "NK1", "IN1"})


class Spot:
    """The place of a value; formatted only when an issue needs it."""

    __slots__ = ("address", "segment")

    def __init__(self, segment: Segment, address: str) -> None:
        self.segment, self.address = segment, address

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
        return Spot(self.head, "")

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
        return _simple(name, field, leaf)
    choose = _chooser(match["every"], match["by"], match["equals"])
    picked = pick or _first_repetition

    def get(scope: Group) -> Sequence[Value]:
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


def _simple(name: str, field: int, leaf: Callable[[str, Segment], Value | None]) -> Getter:
    def get(scope: Group) -> Sequence[Value]:
        # The head is by far the most frequent answer.
        head = scope.head
        if head.name == name:
            segment = head
        else:
            found = scope.segments(name)
            if not found:
                return ()
            segment = found[0]
        fields = segment.fields
        raw = fields[field] if field < len(fields) else ""
        if not raw:
            return ()
        repetition = segment.wire.repetition
        if repetition in raw and not (name == "MSH" and field < 3):
            raw = _first_repetition(raw, segment.wire)[0]
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
            unescape = wire.unescape
            leaves = tuple([unescape(part).strip() for part in raw.split(wire.component)])
            if not any(leaves):
                return None
            return Value(leaves[0], Spot(segment, address), leaves)
        if raw == '""':
            return Value("", Spot(segment, address), ("",), True)
        text = wire.unescape(raw).strip()
        return Value(text, Spot(segment, address), (text,)) if text else None

    return leaf


# --- cutting ---------------------------------------------------------------------------------------


class Er7Dialect:
    """HL7 v2 as an input form."""

    def address(self, text: str, source: Source) -> Getter:
        return compile_address(text)

    def eaches(self, source: Source) -> Callable[[str], bool]:
        return lambda name: _SEGMENT.match(name) is not None

    def cut(self, raw: bytes, source: Source) -> tuple[Sequence[Letter], Sequence[Issue]]:
        """Cut a delivery (a message, several, or an FHS/BHS batch) into one letter per patient."""
        limits = source.limits
        if len(raw) > limits.bytes:
            return (), (Issue("stop", "too-many-bytes", ""),)
        body = raw.strip(b"\x0b\x1c\r\n\t \x00").removeprefix(_BOM)
        if not body:
            return (), (Issue("stop", "empty", ""),)
        starts = [match.end() for match in _MSH_AT.finditer(body)]
        if not starts:
            return (), (Issue("stop", "not-hl7", ""),)
        if len(starts) > limits.messages:
            return (), (Issue("stop", "too-many-messages", ""),)
        issues: list[Issue] = []
        before = _ENVELOPE.sub(b"", body[: starts[0]]).strip(b"\r\n\t \xef\xbb\xbf\x0b\x1c")
        if before:
            issues.append(Issue("note", "text-before-message", ""))
        declared = [int(count) for count in _TRAILER.findall(body)]
        if declared and sum(declared) != len(starts):
            issues.append(Issue("alarm", "batch-short", "BTS-1"))
        batch = bool(declared) or _ENVELOPE.match(body) is not None
        letters: list[Letter] = []
        for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
            piece = body[start:end]
            if batch:
                piece = _ENVELOPE.sub(b"", piece)
            letters.extend(_letters(piece.strip(b"\x0b\x1c\r\n"), source))
        return letters, issues


def _letters(raw: bytes, source: Source) -> list[Letter]:
    codec = CODECS[source.charset]
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    issues: list[Issue] = []
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        code = "charset-broken"
        if codec == "utf-8" and _decodes(raw, "gb18030"):
            code = "charset-suspicious-gb"
        return [_stopped(raw, digest, Issue("stop", code, "MSH-18"))]
    if codec == "gb18030" and not raw.isascii() and _looks_utf8(raw):
        issues.append(Issue("alarm", "charset-suspicious-utf8", "MSH-18"))
    wire, fault = _wire(text, codec)
    if wire is None:
        return [_stopped(raw, digest, fault)]
    lines = _lines(text, wire)
    if len(lines) > source.limits.segments:
        return [_stopped(raw, digest, Issue("stop", "too-many-segments", ""))]
    segments: list[Segment] = []
    counts: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split(wire.field)
        name = fields[0]
        if name == "MSH":
            fields.insert(1, wire.field)
        counts[name] = counts.get(name, 0) + 1
        segment = Segment(name, fields, number, counts[name], wire)
        if len(fields) > source.limits.fields + 2:
            return [_stopped(raw, digest, Issue("stop", "too-many-fields", segment.where()))]
        if line.count(wire.repetition) > source.limits.repetitions:
            return [_stopped(raw, digest, Issue("stop", "too-many-repetitions", segment.where()))]
        segments.append(segment)
    issues.extend(_damage(text, segments, wire))
    issues.extend(_unknown_escapes(segments, wire))
    return _group(segments, digest, issues)


def _decodes(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _looks_utf8(raw: bytes) -> bool:
    """Strict UTF-8 with ten Chinese characters: a chance of under 1 in 50,000 for real GB18030."""
    return _decodes(raw, "utf-8") and len(_HAN.findall(raw.decode("utf-8"))) >= 10


def _stopped(raw: bytes, digest: str, issue: Issue) -> Letter:
    """A message that cannot be mapped still needs its control id for the acknowledgment."""
    first = re.split(rb"[\r\n]", raw, maxsplit=1)[0].decode("ascii", "replace")
    fields = first.split(first[3:4] or "|")

    def at(index: int) -> str:
        text = fields[index] if index < len(fields) else ""
        return text if "\ufffd" not in text and text.isprintable() else ""

    return Letter(at(9), "", at(3), "", None, digest, (issue,))


def _wire(text: str, codec: str) -> tuple[Wire | None, Issue]:
    fault = Issue("stop", "bad-delimiters", "MSH (line 1)")
    field = text[3:4]
    signs = re.split(r"[\r\n]", text[4:12], maxsplit=1)[0].partition(field)[0] if field else ""
    if len(signs) < 4 or len({field, *signs[:4]}) < 5 or any(sign.isalnum() for sign in signs[:4]):
        # MSH-2 of three signs without subcomponents, or a broken one: HL7 2.5 §2.5.4.
        if len(signs) in (2, 3) and not any(sign.isalnum() for sign in signs):
            escape = signs[2:3]
            return Wire(field, signs[0], signs[1], escape, "\x00", codec), fault
        return None, fault
    return Wire(field, signs[0], signs[1], signs[2], signs[3], codec), fault


def _lines(text: str, wire: Wire) -> list[str]:
    """Segments: on CR when there is one (an LF inside is text), else on LF; odd lines continue the last."""
    if _BAD_CONTROL.search(text):
        text = text.translate(_CONTROL)
    if "\r" in text:
        rows = [row.removeprefix("\n") for row in text.split("\r")]
    else:
        rows = text.split("\n")
    lines: list[str] = []
    for row in rows:
        stripped = row.lstrip(" \t\ufeff")
        head, _, _ = stripped.partition(wire.field)
        if _SEGMENT.match(head) and (len(stripped) > 3 or len(stripped.rstrip()) == 3):
            lines.append(stripped)
        elif lines and row.strip():
            lines[-1] = f"{lines[-1]}\n{row.rstrip()}"
    return lines


def _damage(text: str, segments: Sequence[Segment], wire: Wire) -> list[Issue]:
    if text.isascii():
        return []
    issues: list[Issue] = []
    if any(sign in text for sign in _DAMAGED):
        place = next(
            (s.where() for s in segments if any(d in wire.field.join(s.fields) for d in _DAMAGED)),
            "",
        )
        issues.append(Issue("alarm", "charset-mojibake", place))
    if _PRIVATE.search(text):
        place = next((s.where() for s in segments if _PRIVATE.search("".join(s.fields))), "")
        issues.append(Issue("note", "charset-private-use", place))
    return issues


def _unknown_escapes(segments: Sequence[Segment], wire: Wire) -> list[Issue]:
    """One note for each segment with an escape that means nothing; its text was kept as written."""
    if not wire.escape:
        return []
    issues: list[Issue] = []
    for segment in segments[1:]:
        for number, field in enumerate(segment.fields):
            if wire.escape in field and wire.escape in wire.unescape(
                field.replace(f"{wire.escape}E{wire.escape}", "")
            ):
                issues.append(Issue("note", "unknown-escape", segment.where(f"-{number}")))
    return issues


# --- grouping --------------------------------------------------------------------------------------

_HEADERS = frozenset({"MSH", "SFT", "UAC", "EVN", "PID", "PD1", "PV1", "PV2", "MRG", "ARV"})
_RESULTS = ("ORU", "OUL")


_MSH = [compile_address(f"MSH-{where}") for where in ("9.1", "9.2", "10", "3", "7")]


def _text(get: Getter, scope: Group) -> str:
    values = get(scope)
    return values[0].text if values else ""


def _group(segments: list[Segment], digest: str, issues: list[Issue]) -> list[Letter]:
    head = segments[0]
    message = Group("message", head, None)

    code, event, control_id, sender, sent = (_text(get, message) for get in _MSH)
    kind = f"{code}^{event}" if event else code
    if not kind:
        stop = Issue("stop", "no-kind", "MSH-9 (line 1)")
        return [Letter(control_id, "", sender, sent, None, digest, (stop,))]
    if not control_id:
        issues.append(Issue("note", "no-control-id", "MSH-10 (line 1)"))
    grouper = _Grouper(head, code, issues)
    for segment in segments[1:]:
        grouper.place(segment)
    roots = grouper.finish()
    letters: list[Letter] = []
    for number, root in enumerate(roots, 1):
        own = tuple(issues) if number == 1 else ()
        if number > 1:
            own = (Issue("note", "second-patient", str(root.own["PID"][0].where())),)
        letters.append(
            Letter(
                control_id if number == 1 else f"{control_id}#{number}",
                kind,
                sender,
                sent,
                root,
                digest if number == 1 else f"{digest}#{number}",
                own,
            )
        )
    return letters


class _Grouper:
    """Declared grouping: who belongs to whom is never searched for and never bound to a neighbour."""

    def __init__(self, head: Segment, code: str, issues: list[Issue]) -> None:
        self.head, self.issues = head, issues
        self.results = code in _RESULTS
        self.common: list[Segment] = []
        self.roots: list[Group] = []
        self.start()

    def start(self) -> None:
        self.root = Group("message", self.head, None)
        for segment in self.common:
            self.root.add(segment)
        self.order: Group | None = None
        self.specimen: Group | None = None
        self.orc: Segment | None = None
        # The segment that notes belong to: the nearest OBR, OBX or PID above.
        self.noted: Group = self.root
        self.roots.append(self.root)

    def place(self, segment: Segment) -> None:
        name = segment.name
        if name == "PID" and "PID" in self.root.own:
            self.flush()
            self.start()
        match name:
            case "OBR":
                self.open_order(segment)
            case "ORC":
                self.flush()
                self.orc, self.order = segment, None
            case "OBX":
                self.result(segment)
            case "NTE":
                self.noted.add(segment)
            case "SPM":
                self.open_specimen(segment)
            case (
                "SAC"
                | "CTD"
                | "TQ1"
                | "TQ2"
                | "CTI"
                | "FT1"
                | "BLG"
                | "RXO"
                | "RXE"
                | "RXR"
                | "RXD"
            ):
                (self.order or self.root).add(segment)
            case _ if name in _HEADERS:
                self.header(segment)
            case _:
                # DG1, AL1, NK1, IN1, Z segments …: each its own small group of the patient.
                Group(name, segment, self.root)
                self.root.add(segment)

    def header(self, segment: Segment) -> None:
        if "PID" not in self.root.own and segment.name in ("EVN", "SFT", "UAC"):
            self.common.append(segment)
        self.root.add(segment)
        if segment.name == "PID":
            self.noted = self.root

    def open_order(self, segment: Segment) -> None:
        if self.specimen is not None and self.specimen.parent is self.root:
            parent = self.specimen
        else:
            parent, self.specimen = self.root, None
        self.order = Group("OBR", segment, parent)
        if self.orc is not None:
            self.order.add(self.orc)
            self.orc = None
        self.noted = self.order

    def open_specimen(self, segment: Segment) -> None:
        """SPM behind its OBR belongs to that order; in front of every OBR it opens a specimen group."""
        under = self.order is None or self.order.parent is not self.root
        if under:
            self.specimen = Group("SPM", segment, self.root)
            self.order = None
        elif self.order is not None:
            self.specimen = Group("SPM", segment, self.order)
            self.order.add(segment)
        self.noted = self.specimen or self.root

    def result(self, segment: Segment) -> None:
        parent: Group
        if self.specimen is not None:
            parent = (
                self.order
                if self.order is not None and self.specimen.parent is self.root
                else (self.specimen)
            )
        else:
            parent = self.order or self.root
        if parent is self.root and self.results:
            self.issues.append(Issue("note", "orphan", segment.where()))
            return
        self.noted = Group("OBX", segment, parent)
        parent.add(segment)

    def flush(self) -> None:
        """An ORC that no OBR followed stands alone."""
        if self.orc is not None:
            Group("ORC", self.orc, self.root)
            self.root.add(self.orc)
            self.orc = None

    def finish(self) -> list[Group]:
        self.flush()
        if "PID" not in self.root.own and not any("PID" in root.own for root in self.roots):
            self.issues.append(Issue("stop", "no-patient", "PID"))
        return self.roots


DIALECT: Any = Er7Dialect()
