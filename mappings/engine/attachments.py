"""Documents inside messages (HL7 v2 ED and RP): cut out, decoded strictly, checked, and told as FHIR Attachments.

A document's base64 leaves the field it stands in before anything else reads it; a token stands there
instead, and the letter keeps what was cut out. A document becomes one Binary, whose business key is its
content's SHA-256 and the patient's number, so the same document sent again is stored once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mappings.engine.bound import Apply, Bound, Function, Setup
from mappings.engine.reader import Value

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

MARK = "base64:"
_LONG = 512
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]+={0,2}[\r\n]*")
_BREAKS = re.compile(r"\\\.br\\|\\X0D(?:0A)?\\|\\X0A\\|\s")
_ENCODINGS = {"BASE64": "base64", "HEX": "hex"}

PLAIN_TEXT = "text/plain; charset=utf-8"
UNKNOWN = "application/octet-stream"
_MAGIC = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
    (0, b"PK\x03\x04", "application/zip"),
    (128, b"DICM", "application/dicom"),
)
_BY_NAME = {
    "PDF": "application/pdf", "JPEG": "image/jpeg", "JPG": "image/jpeg", "PNG": "image/png",
    "GIF": "image/gif", "TIFF": "image/tiff", "TIF": "image/tiff", "BMP": "image/bmp",
    "RTF": "application/rtf", "MSWORD": "application/msword", "DOC": "application/msword",
    "ZIP": "application/zip", "DOCX": "application/zip", "DICOM": "application/dicom",
    "XML": "application/xml", "X-HL7-CDA-LEVEL-ONE": "application/xml", "HTML": "text/html",
}  # fmt: skip
"""HL7 tables 0191 and 0291 as they are met, by the last word of a type."""


class Blob:
    """One encoded document as received."""

    def __init__(self, text: str, encoding: str = "base64") -> None:
        self.text, self.encoding = text, encoding
        self.token = f"{MARK}{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"

    @cached_property
    def data(self) -> bytes | None:
        """The document; None when it is not strictly what its encoding demands."""
        try:
            if self.encoding == "hex":
                return bytes.fromhex(self.text)
            return base64.b64decode(self.text, validate=True)
        except (ValueError, binascii.Error):
            return None

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data or b"").hexdigest()


def text_blob(text: str) -> Blob:
    """A written document as a blob of UTF-8."""
    return Blob(base64.b64encode(text.encode()).decode())


def cut(
    name: str, fields: list[str], component: str, repetition: str, blobs: dict[str, Blob]
) -> None:
    """Put a token in the place of every encoded document in a split segment.

    OBX-5 of type ED says how it is encoded; elsewhere only a run of 512 and more base64 signs is one.
    """
    typed = name == "OBX" and len(fields) > 5 and fields[2].strip().upper() == "ED"
    for number, field in enumerate(fields):
        if len(field) >= _LONG or (typed and number == 5):
            fields[number] = repetition.join(
                component.join(_cut_one(part.split(component), typed and number == 5, blobs))
                for part in field.split(repetition)
            )


def _cut_one(parts: list[str], typed: bool, blobs: dict[str, Blob]) -> Iterator[str]:
    encoding = ""
    for part in parts:
        blob = _blob(part, encoding, typed) if len(part) >= 8 else None
        if blob is not None:
            blobs[blob.token] = blob
        yield part if blob is None else blob.token
        encoding = _ENCODINGS.get(part.strip().upper(), "")


def _blob(part: str, encoding: str, typed: bool) -> Blob | None:
    if typed and encoding:
        return Blob(_BREAKS.sub("", part), encoding)
    shortest = 64 if typed else _LONG
    if len(part) < shortest or " " in part.strip():
        return None
    bare = _BREAKS.sub("", part) if "\\" in part else part
    return Blob(_BREAKS.sub("", bare)) if _BASE64.fullmatch(bare) else None


def sniff(data: bytes) -> str:
    """The media type a document's first bytes show; empty when they show none."""
    for offset, magic, type_ in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return type_
    head = data[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith((b"<?xml", b"<clinicaldocument")):
        return "application/xml"
    if head.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if b"\x00" in data:
        return ""
    for codec in ("utf-8", "gb18030"):
        try:
            data.decode(codec)
        except UnicodeDecodeError:
            continue
        return f"text/plain; charset={codec}"
    return ""


def declared(parts: Sequence[str]) -> str:
    """The media type the sender names, in whichever component it stands; empty when in none we know."""
    for part in reversed(parts):
        word = part.strip().upper().rpartition("/")[2]
        if word in _BY_NAME:
            return _BY_NAME[word]
    return ""


def _pieces(found: Sequence[Value], at: Instance) -> Iterator[tuple[Value, Blob]]:
    """The encoded documents among values, and everything else that is written as one text document."""
    written: list[Value] = []
    blobs: Mapping[str, Blob] = at.run.letter.blobs
    for value in found:
        token = next((part for part in value.parts if part.startswith(MARK)), "")
        if token in blobs:
            yield value, blobs[token]
        else:
            written.append(value)
    if written:
        yield written[0], text_blob("\n".join(value.whole for value in written))


def _is_text(value: Value) -> bool:
    return not any(part.startswith(MARK) for part in value.parts)


def _type(value: Value, blob: Blob, at: Instance, quiet: bool) -> str:
    if _is_text(value):
        return PLAIN_TEXT
    shown, said = sniff(blob.data or b""), declared(value.parts)
    if said and shown != said and not quiet:
        at.issue("note", "attachment-type", value.place)
    return shown or UNKNOWN


def _key(blob: Blob, at: Instance) -> str:
    number = at.run.patient.number if at.run.patient is not None else ""
    return f"{number}/{blob.sha256}"


def _usable(value: Value, blob: Blob, at: Instance, quiet: bool) -> bool:
    """Whether the document can be stored; says why not, and holds back what cannot do without it."""
    code = ""
    if not blob.data:
        code = "attachment-broken"
    elif len(blob.data) > at.run.source.limits.attachment:
        code = "attachment-too-large"
    if code and not quiet:
        at.issue("hold", code, value.place)
    return not code


def _attachments(found: Sequence[Value], at: Instance, quiet: bool) -> list[dict[str, Any]]:
    space = at.block.space
    nodes: list[dict[str, Any]] = []
    pointers = [value for value in found if _pointer(value)]
    rest = [value for value in found if not _pointer(value)]
    for value in pointers:
        node: dict[str, Any] = {"url": value.text}
        if type_ := declared(value.parts[1:]):
            node = {"contentType": type_, **node}
        nodes.append(node)
    for value, blob in _pieces(rest, at):
        if not _usable(value, blob, at, quiet):
            continue
        data = blob.data or b""
        digest = hashlib.sha1(data, usedforsecurity=False).digest()
        nodes.append(
            {
                "contentType": _type(value, blob, at, quiet),
                "url": f"Binary/{at.run.ids(space, 'Binary', (_key(blob, at),))}",
                "size": len(data),
                # R4 defines SHA-1 here; what the content is known by is the Binary's own key.
                "hash": base64.b64encode(digest).decode(),
            }
        )
    return nodes


def _pointer(value: Value) -> bool:
    """A reference (RP) to a document the sender keeps: kept as said, never fetched."""
    return "://" in value.text[:12] or value.text.startswith("\\\\")


def _make_attachment(setup: Setup, bound: Bound) -> Apply:
    """attachment: one Attachment for each encoded document, pointer, or all written lines together.

    Says nothing of broken ones: the DocumentReference made of the same field does.
    """

    def attachment(found: Sequence[Value], at: Instance) -> Any:
        return _attachments(found, at, quiet=True) or None

    return attachment


def _make_contents(setup: Setup, bound: Bound) -> Apply:
    """contents or contents(missing='…'): the same as DocumentReference.content.

    With `missing`, a patch without any content gives that title where no content is known yet.
    """
    missing = bound.texts.get("missing", "")

    def contents(found: Sequence[Value], at: Instance) -> Any:
        nodes = _attachments(found, at, quiet=False)
        if not nodes and not found and missing:
            at.fills.append("content")
            nodes = [{"title": missing}]
        return [{"attachment": node} for node in nodes] or None

    return contents


def _make_related(setup: Setup, bound: Bound) -> Apply:
    """related(relations, event=$event): DocumentReference.relatesTo the document of another number, where the event relates them."""
    table = bound.tables["relations"]

    def related(found: Sequence[Value], at: Instance) -> Any:
        row = table.get(bound.text("event", at))
        if row is None:
            return None
        id_ = at.run.ids(at.block.space, at.block.type, (found[0].text,))
        target = {"reference": f"{at.block.type}/{id_}"}
        return [{"code": row["target"], "target": target}]

    return related


def _chosen(found: Sequence[Value], at: Instance, part: str) -> tuple[Value, Blob] | None:
    """The document a Binary is made of: the first encoded one, or with 'text' the written one."""
    wanted = part == "text"
    pieces = _pieces([value for value in found if not _pointer(value)], at)
    one = next((piece for piece in pieces if _is_text(piece[0]) is wanted), None)
    if one is None or not one[1].data or len(one[1].data) > at.run.source.limits.attachment:
        return None
    return one


def _make_content_key(setup: Setup, bound: Bound) -> Apply:
    """content_key or content_key('text'): what a document is known by; nothing when there is none to store."""
    part = bound.texts.get("part", "")

    def content_key(found: Sequence[Value], at: Instance) -> Any:
        one = _chosen(found, at, part)
        return None if one is None else _key(one[1], at)

    return content_key


def _make_content(setup: Setup, bound: Bound) -> Apply:
    """content or content('text'): Binary.data; gives the Binary its content type too."""
    part = bound.texts.get("part", "")

    def content(found: Sequence[Value], at: Instance) -> Any:
        one = _chosen(found, at, part)
        if one is None:
            return None
        value, blob = one
        at.offer("contentType", _type(value, blob, at, quiet=True))
        return base64.b64encode(blob.data or b"").decode()

    return content


FUNCTIONS = {
    "attachment": Function(_make_attachment, own=True),
    "content": Function(_make_content, order=("part",), texts=("part",), own=True),
    "content_key": Function(_make_content_key, order=("part",), texts=("part",), own=True),
    "contents": Function(_make_contents, texts=("missing",), own=True, empty=True),
    "related": Function(
        _make_related,
        order=("relations",),
        tables=("relations",),
        needs=("relations",),
        sources=("event",),
        own=True,
    ),
}
