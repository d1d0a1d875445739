"""Bytes of an XML document to a tree: decoded, hardened and bounded before anything is believed.

No document type, no entities beyond the five of XML, no network. Bytes are decoded by the document's own
declaration, then by the charset of its source; the GB character sets are all read as GB18030. What makes
a document large in memory (elements, attributes, depth) is counted before or while it is parsed, so the
time is linear in bytes. No text of the parser reaches an issue: it may quote the document.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from lxml import etree

from mappings.engine import xmlrepair
from mappings.engine.model import Issue
from mappings.engine.reader import Limits

DEPTH = 256
"""Levels of elements a document may have; the parser's own limit."""
LONGEST_ATTRIBUTE = 100_000

Element = Any
"""An lxml element; lxml ships no types."""

_SMALL = 65_536
_DECLARED = re.compile(rb"""<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z][\w.\-]*)["']""")
_LONG = re.compile(
    rb"=\s*(?:\"[^\"<]{%d}|'[^'<]{%d})" % (LONGEST_ATTRIBUTE, LONGEST_ATTRIBUTE)
)  # fmt: skip
_ROOT_NAME = re.compile(rb"<(?:[A-Za-z_][\w.\-]*:)?([A-Za-z_][\w.\-]*)[\s/>]")
_HAN = re.compile("[\u4e00-\u9fff]")
_SPACE = b" \t\r\n"
_CODECS = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8", "big5": "big5",
    "iso-8859-1": "iso-8859-1", "latin1": "iso-8859-1", "windows-1252": "windows-1252",
    "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030", "x-gbk": "gb18030",
    "cp936": "gb18030", "ms936": "gb18030", "gb_2312-80": "gb18030", "euc-cn": "gb18030",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}  # fmt: skip
_RESOURCE_LIMIT = 114
_ILLEGAL_ENCODING = frozenset({81, 6003})


def _parser(*, huge: bool) -> Any:
    return etree.XMLParser(
        encoding="utf-8",  # bytes are always UTF-8 here, whatever the declaration says
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
        huge_tree=huge,
    )


_PARSER = _parser(huge=False)
_HUGE = _parser(huge=True)


class XmlStop(Exception):
    """A document that cannot be read: an issue code and a place, never a piece of the document."""

    def __init__(self, code: str, place: str = "") -> None:
        self.code, self.place = code, place
        super().__init__(code)


class Broken(Exception):
    """Not well-formed; `place` is where the parser noticed."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(place)


def parse(
    raw: bytes, charset: str, limits: Limits, repairs: Collection[str], issues: list[Issue]
) -> tuple[Element, bytes]:
    """The root element and the document as UTF-8, or `XmlStop`.

    What was repaired on the way is a note in `issues`; a defect whose repair the source does not
    declare is told there too, before the stop.
    """
    if len(raw) > limits.bytes:
        raise XmlStop("too-many-bytes")
    data = decoded(raw, charset, repairs, issues)
    if not data:
        raise XmlStop("empty")
    try:
        return tree(data, limits), data
    except Broken as broken:
        place = broken.place
    mended, defects = xmlrepair.mend(data)
    if not defects:
        raise XmlStop("xml-broken", place)
    try:
        root = tree(mended, limits)
    except Broken:
        raise XmlStop("xml-broken", place) from None
    for name in defects:
        xmlrepair.tell(name, repairs, place, issues, otherwise="stop")
    if not set(defects) <= set(repairs):
        raise XmlStop("", place)
    return root, mended


def decoded(raw: bytes, charset: str, repairs: Collection[str], issues: list[Issue]) -> bytes:
    """The document as UTF-8 without byte order mark or space around it; `XmlStop` when it fits no charset."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _recoded(raw, "utf-16").lstrip(b"\xef\xbb\xbf")
    if raw[:4] in (b"<\0?\0", b"\0<\0?"):
        return _recoded(raw, "utf-16-le" if raw[0] else "utf-16-be")
    data = raw.removeprefix(b"\xef\xbb\xbf").strip(_SPACE)
    named = _DECLARED.match(data)
    name = named[1].decode("ascii").lower() if named is not None else charset
    codec = _CODECS.get(name)
    if codec is None:
        raise XmlStop("xml-encoding-unknown", "line 1")
    # Read byte by byte so far, so the bytes are of no wider set, whatever the declaration says.
    if codec == "utf-8" or codec.startswith("utf-16"):
        if is_text(data, "utf-8"):
            return data
        if not is_text(data, "gb18030"):
            raise XmlStop("charset-broken")
        if not xmlrepair.tell("encoding-gb18030", repairs, "line 1", issues, otherwise="stop"):
            raise XmlStop("")
        return _recoded(data, "gb18030")
    if codec == "gb18030" and _looks_utf8(data):
        # Without a declaration UTF-8 is what XML says; the charset of a source is for the rest it sends.
        if named is not None and not xmlrepair.tell(
            "encoding-utf8", repairs, "line 1", issues, otherwise="stop"
        ):
            raise XmlStop("")
        return data
    return _recoded(data, codec)


def _looks_utf8(data: bytes) -> bool:
    """Strict UTF-8 with ten Chinese characters is no GB text; read as such it would be gibberish."""
    if data.isascii() or not is_text(data, "utf-8"):
        return False
    return len(_HAN.findall(data.decode())) >= 10


def is_text(raw: bytes, codec: str) -> bool:
    """Whether the bytes are text of this charset."""
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _recoded(raw: bytes, codec: str) -> bytes:
    try:
        return raw.decode(codec).encode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise XmlStop("charset-broken") from None


def tree(data: bytes, limits: Limits) -> Element:
    """Parse UTF-8; `Broken` when it is not well-formed, `XmlStop` when it is not wanted."""
    if _has_doctype(data):
        raise XmlStop("xml-doctype", "line 1")
    if len(data) > _SMALL:
        _measure(data, limits)
    try:
        return etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        fault = error
    except ValueError:  # a character lxml refuses before it parses
        raise Broken("line 1 column 1") from None
    place = "line {} column {}".format(*fault.position)
    if fault.code in _ILLEGAL_ENCODING:
        raise XmlStop("charset-broken", place)
    if fault.code != _RESOURCE_LIMIT:
        raise Broken(place)
    if "depth" in str(fault.msg):
        raise XmlStop("xml-too-deep", place)
    return _huge(data, place)


def _huge(data: bytes, place: str) -> Element:
    """A document with one text of more than 10 MB; its bytes, elements and attributes are counted already."""
    try:
        root = etree.fromstring(data, _HUGE)
    except etree.XMLSyntaxError:
        raise Broken(place) from None
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > DEPTH:
            raise XmlStop("xml-too-deep")
    return root


def _has_doctype(data: bytes) -> bool:
    """Whether a document type stands in front of the root element, where alone it may stand."""
    return data.startswith(b"<!", _behind_prolog(data))


def root_name(raw: bytes) -> str:
    """The local name of the root element, read off without parsing; empty when that needs a parser."""
    data = raw.removeprefix(b"\xef\xbb\xbf")
    match = _ROOT_NAME.match(data, _behind_prolog(data))
    return match[1].decode("ascii") if match else ""


def _behind_prolog(data: bytes) -> int:
    """Where declarations, comments and instructions before the root element end."""
    at = 0
    while True:
        while data[at : at + 1].isspace():
            at += 1
        if data.startswith(b"<?", at):
            end = data.find(b"?>", at)
        elif data.startswith(b"<!--", at):
            end = data.find(b"-->", at) + 1
        else:
            return at
        if end < 1:
            return len(data)  # not well-formed; the parser says where
        at = end + 2


def _measure(data: bytes, limits: Limits) -> None:
    """Refuse what would be many times larger in memory than in bytes."""
    if data.count(b"<") > 2 * limits.elements:
        raise XmlStop("xml-too-many-elements")
    if data.count(b'="') + data.count(b"='") > 4 * limits.elements:
        raise XmlStop("xml-too-many-elements")
    if _LONG.search(data):
        raise XmlStop("xml-attribute-too-long")
