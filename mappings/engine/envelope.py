"""Peels what a message is wrapped in, layer by layer, as ``[source] envelope`` declares it.

    envelope = ["soap:Body/*/payload", "cdata", "xml"]
    envelope = ["json:body.data", "base64", "gzip"]
    envelope = ["BSXML/LABREQUEST", "rows:ROW"]

What comes out is read by the source's `input`, whatever that is; one envelope may hold several messages.

    a/b/*           elements by name, of any namespace and in any case; ``*`` is any one. A first name that
                    is the root's own may be left out; ``soap:`` stands for the Envelope of SOAP 1.1 and 1.2
    cdata, text     the text of an element, written as CDATA or escaped
    xml             an element in there, or the text, as a document of its own; a declaration in it is ignored
    base64, gzip    bytes
    json:a.b[*].c   a member; its text, or the JSON text of an object or array
    rows:ROW        the elements of that name as JSON rows, by their children or attributes; what a row
                    does not hold is an empty cell

A delivery that is not wrapped at all is taken as the message itself: that is how a message cut out of a
larger envelope comes back.
"""

from __future__ import annotations

import binascii
import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from lxml import etree

from mappings.engine import jsontext, xmlparse
from mappings.engine.er7 import CODECS
from mappings.engine.jsontext import JsonFault
from mappings.engine.model import Issue
from mappings.engine.reader import Source

Layer = Any
"""bytes not yet decoded, text, or an lxml element."""

_PLAIN = ("cdata", "text", "xml", "base64", "gzip")
_JSON_STEP = re.compile(r"([^.\[\]]+)((?:\[(?:\d+|\*)\])*)\Z")
_PATH = re.compile(r"(?:soap:)?(?:\*|[^\W\d][\w.\-]*)(?:/(?:\*|[^\W\d][\w.\-]*))*\Z")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]{0,200}\?>\s*")
_UTF8 = '<?xml version="1.0" encoding="UTF-8"?>'
_SPACE = re.compile(r"\s+")


class _Stop(Exception):
    def __init__(self, code: str, place: str) -> None:
        self.code, self.place = code, place


class _Bare(Exception):
    """The delivery is not wrapped."""


def declared(source: Source) -> tuple[str, ...]:
    """The layers a source declares, outermost first."""
    steps = source.options.get("envelope", ())
    return (steps,) if isinstance(steps, str) else tuple(str(step) for step in steps)


def lint(source: Source) -> list[tuple[str, str]]:
    """What is wrong in the declaration, as pairs of a Chinese and an English sentence."""
    return [
        (
            f"envelope 里不认识 {step}；可用：元素路径、{'、'.join(_PLAIN)}、json:路径、rows:路径",
            f"envelope knows element paths, {', '.join(_PLAIN)}, json:PATH and rows:PATH, not {step}",
        )
        for step in declared(source)
        if step not in _PLAIN and not _known(step)
    ]


def _known(step: str) -> bool:
    if step.startswith("json:"):
        return all(_JSON_STEP.match(part) for part in step[5:].split("."))
    return _PATH.match(step.removeprefix("rows:")) is not None


def peel(raw: bytes, source: Source, issues: list[Issue]) -> list[bytes]:
    """The messages in a delivery, as bytes their dialect can read; empty, with a stop, when a layer is missing."""
    steps = declared(source)
    if not steps:
        return [raw]
    if len(raw) > source.limits.bytes:
        issues.append(Issue("stop", "too-many-bytes", ""))
        return []
    layers: list[Layer] = [raw]
    peeler = _Peeler(source, issues)
    try:
        for number, step in enumerate(steps):
            peeler.first = number == 0
            layers = [inner for layer in layers for inner in peeler.step(step, layer)]
            if len(layers) > source.limits.messages:
                raise _Stop("too-many-messages", step)
        return [peeler.finished(layer) for layer in layers]
    except _Bare:
        return [raw]
    except xmlparse.XmlStop as stop:
        if stop.code:
            issues.append(Issue("stop", stop.code, stop.place))
    except _Stop as stop:
        issues.append(Issue("stop", stop.code, stop.place))
    return []


class _Peeler:
    def __init__(self, source: Source, issues: list[Issue]) -> None:
        self.source, self.issues = source, issues
        self.first = True
        self.repairs = frozenset(map(str, source.options.get("repair", ())))

    def step(self, step: str, layer: Layer) -> Sequence[Layer]:
        """What one declared layer holds."""
        known: dict[str, Callable[[Layer], Sequence[Layer]]] = {
            "cdata": lambda layer: [self.text(layer)],
            "text": lambda layer: [self.text(layer)],
            "xml": self.documents,
            "base64": lambda layer: [self.base64(layer)],
            "gzip": lambda layer: [self.gzip(layer)],
        }
        if step in known:
            return known[step](layer)
        if step.startswith("json:"):
            return self.json(step[5:], layer)
        if step.startswith("rows:"):
            return [self.rows(step, layer)]
        return self.elements(step, layer)

    # XML

    def tree(self, layer: Layer) -> Any:
        """The layer as an element."""
        if isinstance(layer, str):
            layer = _standing_alone(layer)
        if not isinstance(layer, bytes):
            return layer
        if self.first and not _begins(layer, b"<"):
            raise _Bare
        source = self.source
        root, _ = xmlparse.parse(layer, source.charset, source.limits, self.repairs, self.issues)
        return root

    def elements(self, path: str, layer: Layer) -> list[Any]:
        given = isinstance(layer, (bytes, str))
        names = path.lower().split("/")
        soap = names[0].startswith("soap:")
        names[0] = names[0].removeprefix("soap:")
        outermost = "envelope" if soap else names[0]
        if self.first and isinstance(layer, bytes) and outermost != "*":
            # Told without parsing where it can be: most of what is not wrapped is parsed only once.
            name = xmlparse.root_name(layer).lower()
            if name and name != outermost:
                raise _Bare
        root = self.tree(layer)
        own = _local(root)
        if given and self.first and own != outermost != "*":
            raise _Bare
        if given and not soap and own == names[0]:
            names = names[1:]
        return self.below(root, names, path)

    def below(self, root: Any, names: Sequence[str], path: str) -> list[Any]:
        found = [root]
        for name in names:
            found = [
                child for one in found for child in one if name == "*" or _local(child) == name
            ]
        if not found:
            raise _Stop("envelope-not-found", path)
        return found

    def documents(self, layer: Layer) -> list[Layer]:
        """Elements within as documents of their own, or a text that is one."""
        if isinstance(layer, (bytes, str)):
            return [layer]
        children = list(layer)
        return children or [self.text(layer)]

    def rows(self, step: str, layer: Layer) -> str:
        names = step[5:].lower().split("/")
        given = isinstance(layer, (bytes, str))
        root = self.tree(layer)
        if given and _local(root) == names[0] and len(names) > 1:
            names = names[1:]
        columns = self.source.options.get("columns", "")
        listed = columns if isinstance(columns, list) else str(columns).split(",")
        proper = {name.strip().lower(): name.strip() for name in listed}
        rows = [_row(one, proper) for one in self.below(root, names, step)]
        return orjson.dumps(rows).decode()

    # text and bytes

    def text(self, layer: Layer) -> str:
        if isinstance(layer, str):
            return layer
        if not isinstance(layer, bytes):
            return "".join(layer.itertext()).strip()
        try:
            return layer.decode(CODECS[self.source.charset])
        except UnicodeDecodeError:
            raise _Stop("charset-broken", "") from None

    def base64(self, layer: Layer) -> bytes:
        try:
            written = _SPACE.sub("", self.text(layer)).encode("ascii")
            return b64decode(written, validate=True)
        except (binascii.Error, ValueError):
            if self.first:
                raise _Bare from None
            raise _Stop("envelope-base64", "base64") from None

    def gzip(self, layer: Layer) -> bytes:
        packed = layer if isinstance(layer, bytes) else b""
        if packed[:2] != b"\x1f\x8b":
            if self.first:
                raise _Bare
            raise _Stop("envelope-gzip", "gzip")
        unpacker = zlib.decompressobj(31)
        most = self.source.limits.bytes
        try:
            plain = unpacker.decompress(packed, most + 1)
        except zlib.error:
            raise _Stop("envelope-gzip", "gzip") from None
        if len(plain) > most:
            raise _Stop("too-many-bytes", "gzip")
        if not unpacker.eof:
            raise _Stop("envelope-gzip", "gzip")
        return plain

    # JSON

    def json(self, path: str, layer: Layer) -> list[Layer]:
        text = layer if isinstance(layer, bytes) else self.text(layer).encode()
        if self.first and not _begins(text, b"{", b"["):
            raise _Bare
        try:
            root = jsontext.parse(text)
        except JsonFault as fault:
            place = f"line {fault.line} column {fault.column}"
            raise _Stop(f"json-{fault.code}", place) from None
        found = [root]
        for number, part in enumerate(path.split(".")):
            before, found = found, [one for value in found for one in _members(value, part)]
            if not found and self.first and number == 0 and _is_message(before[0]):
                raise _Bare
        if not found:
            raise _Stop("envelope-not-found", f"json:{path}")
        return [
            value.data if type(value.data) is str else text[value.start : value.end].decode()
            for value in found
        ]

    # the message itself

    def finished(self, layer: Layer) -> bytes:
        """The innermost layer as its dialect reads it."""
        if isinstance(layer, bytes):
            return layer
        if not isinstance(layer, str):
            document: str = etree.tostring(layer, encoding="unicode", with_tail=False)
            return _standing_alone(document)
        begin = layer.lstrip("\ufeff \t\r\n")[:1]
        if begin == "<":
            return _standing_alone(layer)
        codec = "utf-8" if begin in ("{", "[") else CODECS[self.source.charset]
        try:
            return layer.encode(codec)
        except UnicodeEncodeError:
            raise _Stop("charset-broken", "") from None


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _standing_alone(text: str) -> bytes:
    """A document whose declaration says what its bytes now are."""
    return (_UTF8 + _DECLARATION.sub("", text.lstrip("\ufeff"), count=1)).encode("utf-8", "replace")


def _begins(raw: bytes, *signs: bytes) -> bool:
    begin = raw[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    # UTF-16 begins with its mark; only XML comes so.
    return begin.startswith(signs) or (signs == (b"<",) and begin[:2] in (b"\xff\xfe", b"\xfe\xff"))


def _row(element: Any, proper: dict[str, str]) -> dict[str, str | None]:
    cells: dict[str, str | None] = dict.fromkeys(proper.values())
    given = [(_local(child), "".join(child.itertext()), child.tag) for child in element] or [
        (name.lower(), text, name) for name, text in element.attrib.items()
    ]
    for name, text, shown in given:
        cells[proper.get(name) or str(shown).rpartition("}")[2]] = text.strip()
    return cells


def _members(value: jsontext.Value, part: str) -> list[jsontext.Value]:
    """What one step of a JSON path finds: a member, of any case when there is none of this one, and its items."""
    match = _JSON_STEP.match(part)
    if match is None:
        return []
    members = value.members()
    folded = {name.lower(): name for name in members}
    one = members.get(match[1]) or members.get(folded.get(match[1].lower(), ""))
    found = [] if one is None else [one]
    for index in re.findall(r"\[(\d+|\*)\]", match[2]):
        if index == "*":
            found = [item for each in found for item in each.items()]
        else:
            found = [each.items()[int(index)] for each in found if int(index) < len(each.items())]
    return found


def _is_message(value: jsontext.Value) -> bool:
    """A FHIR resource or rows, as they come back when cut out of an envelope."""
    return type(value.data) is list or "resourceType" in value.members()
