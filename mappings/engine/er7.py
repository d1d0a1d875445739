"""HL7 v2 in its bar form: bytes cut into messages, decoded, grouped, and read by address.

Bytes are decoded before they are split, because a GBK character may hold a delimiter as its second
byte (珅 holds a bar, 玘 a caret); a leaf is unescaped last. What cannot be read becomes a stop issue.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, BinaryIO

from mappings.engine import attachments, er7groups
from mappings.engine.er7segments import (
    CONTROL,
    Group,
    Segment,
    Spot,
    Wire,
    compile_address,
    compile_text,
    parse_address,
)
from mappings.engine.model import Issue, Unit
from mappings.engine.reader import Getter, Letter, Slot, Source
from mappings.engine.streams import TooLarge

CODECS = {
    "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030", "gb 18030-2000": "gb18030",
    "utf-8": "utf-8", "utf8": "utf-8", "unicode utf-8": "utf-8", "ascii": "ascii",
}  # fmt: skip
"""Character sets a source may be registered with. GBK and GB2312 are subsets of GB18030."""

_BOM = b"\xef\xbb\xbf"
_MSH_AT = re.compile(
    rb"(?:\A[\x0b\x1c\r\n\t \x00]*(?:\xef\xbb\xbf)?|[\r\n\x0b])[ \t]*(?=MSH[^A-Za-z0-9\s])"
)
_AROUND = b"\x0b\x1c\r\n\t \x00"
_ENVELOPE = re.compile(rb"(?:\A|[\r\n])[ \t]*(?:FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9]|\Z)[^\r\n]*")
_ENVELOPE_NAMES = (b"FHS", b"BHS", b"BTS", b"FTS")
_TRAILER = re.compile(rb"(?:\A|[\r\n])[ \t]*BTS[^A-Za-z0-9\s](\d+)")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_DAMAGED = ("锟斤拷", "\ufffd", "烫烫烫", "浣犲ソ", "锘挎", "Ã¤")
_DAMAGED_BEGIN = tuple({sign[0] for sign in _DAMAGED})
_PRIVATE = re.compile(r"[\ue000-\uf8ff]")
_PRIVATE_UTF8 = re.compile(rb"\xef[\x80-\xa3]")

_BAD_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_BYTES = bytes(CONTROL)
_FAMILIAR = frozenset(
    {
        "MSH",
        "EVN",
        "PID",
        "PD1",
        "PV1",
        "PV2",
        "ORC",
        "OBR",
        "OBX",
        "NTE",
        "SPM",
        "DG1",
        "AL1",
        "TXA",
    }
)
"""Names that need no second look."""


_ABOVE = {
    "OBX": frozenset({"MSH", "EVN", "PID", "PD1", "PV1", "PV2", "ORC", "OBR", "SPM"}),
    "OBR": frozenset({"MSH", "EVN", "PID", "PD1", "PV1", "PV2"}),
    "DG1": frozenset({"MSH", "EVN", "PID", "PD1", "PV1", "PV2"}),
}
"""Segments that can only stand above a group, so that their values are the same for its siblings."""


_OWN_USE = frozenset(
    {f"MSH-{number}" for number in (1, 2, 3, 7, 9, 10, 12, 18)}
    | {
        f"{name}-1"
        for name in ("PID", "OBR", "OBX", "NTE", "DG1", "SPM", "PV1", "ORC", "NK1", "AL1", "IN1")
    }
)
"""Fields that cut, order or name a message: the reader uses them, so rules need not."""


def _segments(group: Group, seen: set[int] | None = None) -> Iterator[Segment]:
    """Each segment of a letter once, though some stand in two groups."""
    known = set[int]() if seen is None else seen
    for segment in chain.from_iterable(group.own.values()):
        if id(segment) not in known:
            known.add(id(segment))
            yield segment
    for member in group.members:
        yield from _segments(member, known)


class Er7Dialect:
    """HL7 v2 as an input form."""

    def address(self, text: str, source: Source) -> Getter:
        return compile_address(text)

    def eaches(self, source: Source) -> Callable[[str], bool]:
        return lambda name: _SEGMENT.match(name) is not None

    def outside(self, address: str, each: str) -> bool:
        """Whether the address belongs to a segment that no group of that kind can hold."""
        segment = address[:3]
        return segment in _ABOVE.get(each, frozenset()) and segment != each

    def slot(self, address: str, source: Source) -> Slot | None:
        """One field of one segment, however much of it the address takes."""
        parsed = parse_address(address)
        return Slot(parsed.segment, -1 if parsed.every else parsed.field)

    def text(self, address: str, source: Source) -> Callable[[str, Any], str | None] | None:
        return compile_text(address)

    def form(self, root: Group) -> Hashable:
        return root.head.wire

    def relative(self, place: object, scope: Group) -> Hashable | None:
        if not isinstance(place, Spot):
            return None
        name = place.segment.name
        found = scope.segments(name)
        if found and found[0] is place.segment:
            return name, place.address
        return None

    def absolute(self, place: Any, scope: Group) -> str:
        name, address = place
        return scope.segments(name)[0].where(address)

    def mapped(self, letters: Sequence[Letter]) -> None:
        """Nobody reads these letters any more."""
        for letter in letters:
            if letter.root is not None:
                letter.root.untie()

    def filled(self, root: Group, source: Source) -> Iterator[tuple[str, str]]:
        """Every filled field; not what the reader itself goes by (delimiters, kind, set ids)."""
        for segment in sorted(_segments(root), key=lambda one: one.line):
            for number, text in enumerate(segment.fields[1:], 1):
                if text.strip(f'{segment.wire.component}{segment.wire.repetition} "'):
                    address = f"{segment.name}-{number}"
                    if address not in _OWN_USE:
                        yield address, segment.where(f"-{number}")

    def whole(self, place: object) -> str:
        if not isinstance(place, Spot):
            return str(place)
        return place.segment.where(place.address.partition(".")[0])

    def field(self, address: str) -> str:
        name, _, rest = address.partition("-")
        return f"{name[:3]}-{re.split(r'[.[]', rest, maxsplit=1)[0]}"

    def cut(self, raw: bytes, source: Source) -> tuple[Sequence[Letter], Sequence[Issue]]:
        """Cut a delivery (a message, several, or an FHS/BHS batch) into one letter per patient."""
        limits = source.limits
        if len(raw) > limits.bytes:
            return (), (Issue("stop", "too-many-bytes", ""),)
        body = raw.strip(_AROUND).removeprefix(_BOM)
        if not body:
            return (), (Issue("stop", "empty", ""),)
        if body.startswith(b"MSH|") and body.count(b"MSH") == 1:
            starts = [0]
        else:
            starts = [match.end() for match in _MSH_AT.finditer(body)]
        if not starts:
            return (), (Issue("stop", "not-hl7", ""),)
        if len(starts) > limits.messages:
            return (), (Issue("stop", "too-many-messages", ""),)
        issues: list[Issue] = []
        before = _ENVELOPE.sub(b"", body[: starts[0]]).strip(b"\r\n\t \xef\xbb\xbf\x0b\x1c")
        if before:
            issues.append(Issue("note", "text-before-message", ""))
        batch = _may_be_batch(body) and any(name in body for name in _ENVELOPE_NAMES)
        declared = [int(count) for count in _TRAILER.findall(body)] if batch else []
        if declared and sum(declared) != len(starts):
            issues.append(Issue("alarm", "batch-short", "BTS-1"))
        letters: list[Letter] = []
        for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
            piece = body[start:end]
            if batch:
                piece = _ENVELOPE.sub(b"", piece)
            letters.extend(_letters(piece.strip(b"\x0b\x1c\r\n"), source))
        return letters, issues


def _may_be_batch(body: bytes) -> bool:
    """Whether an envelope line can be in it: a quick look, because most deliveries have none."""
    return b"TS" in body or b"HS" in body


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
    lines = _lines(text.translate(CONTROL) if _holds_control(raw) else text, wire)
    if len(lines) > source.limits.segments:
        return [_stopped(raw, digest, Issue("stop", "too-many-segments", ""))]
    # Behind the delimiters: most messages repeat nothing and escape nothing.
    repeats = text.find(wire.repetition, 8) >= 0
    escapes = bool(wire.escape) and text.find(wire.escape, 8) >= 0
    segments: list[Segment] = []
    blobs: dict[str, attachments.Blob] = {}
    encoded = f"{wire.field}ED{wire.field}"
    counts: dict[str, int] = {}
    encodes = encoded in text
    sign, most = wire.field, source.limits.fields + 2
    for number, line in enumerate(lines, 1):
        fields = line.split(sign)
        name = fields[0]
        if name == "MSH":
            fields.insert(1, sign)
        ordinal = counts[name] = counts.get(name, 0) + 1
        plain = (
            name != "MSH"
            and not (repeats and wire.repetition in line)
            and not (escapes and wire.escape in line)
        )
        if len(line) > 512 or (encodes and encoded in line):
            attachments.cut(name, fields, wire.component, wire.repetition, blobs)
        segment = Segment(name, fields, number, ordinal, wire, plain)
        if len(fields) > most:
            return [_stopped(raw, digest, Issue("stop", "too-many-fields", segment.where()))]
        if repeats and line.count(wire.repetition) > source.limits.repetitions:
            return [_stopped(raw, digest, Issue("stop", "too-many-repetitions", segment.where()))]
        segments.append(segment)
    issues.extend(_damage(text, segments, wire))
    if escapes:
        issues.extend(_unknown_escapes(segments, wire))
    return er7groups.group(segments, digest, issues, blobs)


def _holds_control(raw: bytes) -> bool:
    """Whether characters are in it that FHIR cannot hold; none of them is part of another in a known set."""
    return len(raw.translate(None, _CONTROL_BYTES)) != len(raw)


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
    if "\r" in text:
        rows = text.split("\r")
        if "\n" in text:
            rows = [row.removeprefix("\n") for row in rows]
    else:
        rows = text.split("\n")
    # A document sent with line breaks may continue for thousands of rows: joined once.
    lines: list[str] = []
    broken: dict[int, list[str]] = {}
    sign = wire.field
    for row in rows:
        if row[:3] in _FAMILIAR and row[3:4] == sign:
            lines.append(row)
            continue
        stripped = row.lstrip(" \t\ufeff")
        head, _, _ = stripped.partition(sign)
        if _SEGMENT.match(head) and (len(stripped) > 3 or len(stripped.rstrip()) == 3):
            lines.append(stripped)
        elif lines and row.strip():
            broken.setdefault(len(lines) - 1, []).append(row.rstrip())
    for number, rest in broken.items():
        lines[number] = "\n".join((lines[number], *rest))
    return lines


def _damage(text: str, segments: Sequence[Segment], wire: Wire) -> list[Issue]:
    if text.isascii():
        return []
    issues: list[Issue] = []
    if any(sign in text for sign in _DAMAGED_BEGIN) and any(sign in text for sign in _DAMAGED):
        place = next(
            (s.where() for s in segments if any(d in wire.field.join(s.fields) for d in _DAMAGED)),
            "",
        )
        issues.append(Issue("alarm", "charset-mojibake", place))
    if _holds_private(text):
        place = next((s.where() for s in segments if _PRIVATE.search("".join(s.fields))), "")
        issues.append(Issue("note", "charset-private-use", place))
    return issues


def _holds_private(text: str) -> bool:
    """Whether a private-use character is in it; looked for in UTF-8, where it takes a fifth of the time."""
    encoded = text.encode("utf-8", "surrogatepass")
    return b"\xee" in encoded or _PRIVATE_UTF8.search(encoded) is not None


def _unknown_escapes(segments: Sequence[Segment], wire: Wire) -> list[Issue]:
    """One note for each segment with an escape that means nothing; its text was kept as written."""
    issues: list[Issue] = []
    for segment in segments[1:]:
        for number, field in enumerate(segment.fields):
            if wire.escape in field and wire.escape in wire.unescape(
                field.replace(f"{wire.escape}E{wire.escape}", "")
            ):
                issues.append(Issue("note", "unknown-escape", segment.where(f"-{number}")))
    return issues


DIALECT: Any = Er7Dialect()


# --- units -----------------------------------------------------------------------------------------

_CHUNK = 1 << 20


def units(file: BinaryIO, source: Source, issues: list[Issue]) -> Iterator[Unit]:
    """One unit a message, from MSH to the last byte before the next, ended by CR.

    Envelope lines (FHS, BHS, BTS, FTS) belong to no message, what stands before the first MSH to the
    first. A delivery that is one bare message, or none, is the unit as it came.
    """
    declared = found = 0
    held = b""
    for chunk in chain(iter(lambda: file.read(_CHUNK), b""), (b"",)):
        held += chunk
        starts = [match.end() for match in _MSH_AT.finditer(held)]
        alone = not chunk and not found and len(starts) < 2
        if alone and not (starts and _ENVELOPE.search(held)):
            yield Unit(held, _control_id(held, source))
            return
        # Complete is what another message follows, and the last one when nothing comes any more.
        cuts = [0, *starts[1:], *([] if chunk else [len(held)])]
        for start, end in pairwise(cuts):
            found += 1
            piece = held[start:end].strip(_AROUND).removeprefix(_BOM)
            declared += sum(int(count) for count in _TRAILER.findall(piece))
            bare = _ENVELOPE.sub(b"", piece).strip(b"\r\n") + b"\r"
            yield Unit(bare, _control_id(bare, source))
        held = held[cuts[-1] :]
        if len(held) > source.limits.bytes:
            raise TooLarge
    if declared and declared != found:
        issues.append(Issue("alarm", "batch-short", "BTS-1"))


def _control_id(unit: bytes, source: Source) -> str:
    """MSH-10; decoded before it is split, like the message itself."""
    begin = _MSH_AT.search(unit)
    if begin is None:
        return ""
    line = re.split(rb"[\r\n]", unit[begin.end() :], maxsplit=1)[0][:4_096].decode(
        CODECS[source.charset], "replace"
    )
    fields = line.split(line[3:4] or "|")
    return _BAD_CONTROL.sub("", fields[9]).strip()[:199] if len(fields) > 9 else ""
