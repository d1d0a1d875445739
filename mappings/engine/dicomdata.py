"""Reads the header of a DICOM object into plain data sets: Part 10 files and DICOM JSON alike, never their pixels.

A Part 10 file (PS3.10) is read by pydicom up to the first bulk value. DICOM JSON (PS3.18 F) is read
strictly, numbers keep their digits. Both become a `DataSet`: tag to `Element`, texts decoded and trimmed.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import data_element_generator, read_sequence

from mappings.engine import jsontext
from mappings.engine.dicomtext import Letters
from mappings.engine.jsontext import Number

# Its texts quote what stands in the file.
logging.getLogger("pydicom").disabled = True
warnings.filterwarnings("ignore", module=r"pydicom\b")

_MAGIC = b"DICM"
_PREAMBLE = 128
_CHARSET = 0x00080005
_TRANSFER_SYNTAX = 0x00020010
_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_UNDEFINED = 0xFFFFFFFF

_BULK_FROM = 0x54000000  # waveforms, spectra, overlays, pixel data and what pads a file's end
_BULK = frozenset({0x00880200, 0x00420011, 0x52009230})
"""Icon image, encapsulated document, and what an enhanced object repeats for each frame."""
_MOST_BINARY = 16_384
_DEPTH = 12
_AFTER_FAULT = 1_024

_CODED = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
_ASCII = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
_ONE_VALUE = frozenset({"ST", "LT", "UT", "UR"})
_NUMBERS = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d",
}  # fmt: skip


class Element(NamedTuple):
    """The values of one attribute: texts, or data sets when `vr` is SQ. Empty values are left out at the end."""

    vr: str
    values: tuple[str | DataSet, ...]


DataSet = dict[int, Element]


class DicomFault(Exception):
    """A delivery is not readable DICOM: an issue code and a place. Holds no value."""

    def __init__(self, code: str, place: str = "") -> None:
        self.code, self.place = code, place
        super().__init__(code)


class File(NamedTuple):
    """A Part 10 file: its header's bytes, its data set, and issue codes of its texts."""

    header: bytes
    data: DataSet
    faults: tuple[str, ...]


def tag_name(tag: int) -> str:
    """A tag as PS3.6 writes it: ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def is_file(raw: bytes) -> bool:
    """A Part 10 file, or what some devices write instead: its data set alone, without preamble and meta."""
    return raw[_PREAMBLE : _PREAMBLE + 4] == _MAGIC or raw[:2] in (b"\x02\0", b"\x08\0", b"\0\x08")


def text_of(data: DataSet, tag: int) -> str:
    """The first value of an attribute of the data set itself, or an empty text."""
    element = data.get(tag)
    first = element.values[0] if element is not None and element.values else ""
    return first if isinstance(first, str) else ""


# --- Part 10 ---------------------------------------------------------------------------------------


def read_file(raw: bytes, registered: str) -> File:
    """Read a Part 10 file; `registered` is the source's character set. Raises `DicomFault`."""
    header, kept = _cut(raw)
    if isinstance(kept, DicomFault):
        raise kept
    declared = next((e.value for e in kept.elements if e.tag == _CHARSET), b"")
    letters = Letters(_ascii(declared).split("\\"), registered)
    try:
        data = _data_set(kept.elements, letters, kept.implicit, kept.little, 0)
    except Exception:  # pydicom raises whatever its parts raise on broken bytes
        raise DicomFault("dicom-broken") from None
    return File(header, data, tuple(letters.faults))


def header(raw: bytes) -> bytes:
    """A Part 10 file without pixels and other bulk; the same file gives the same bytes, and so does its header.

    Of a file that cannot be read it is the part up to just behind the fault, which is not readable either.
    """
    return _cut(raw)[0]


class _Kept(NamedTuple):
    elements: list[RawDataElement | DataElement]
    implicit: bool
    little: bool


def _cut(raw: bytes) -> tuple[bytes, _Kept | DicomFault]:
    file = io.BytesIO(raw)
    if raw[_PREAMBLE : _PREAMBLE + 4] == _MAGIC:
        file.seek(_PREAMBLE + 4)
    last = ""
    try:
        syntax = ""
        meta = data_element_generator(
            file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2
        )
        for element in meta:
            if element.tag == _TRANSFER_SYNTAX:
                syntax = _ascii(element.value)
        begin = file.tell()
        if syntax == _DEFLATED:
            return raw[:begin], DicomFault("dicom-transfer-syntax")
        first = raw[begin : begin + 6]
        # Where no syntax is told, the first element shows it: explicit has a VR of two letters.
        implicit = syntax == _IMPLICIT or not (syntax or first[4:6].isalpha())
        little = syntax != _BIG_ENDIAN and (bool(syntax) or first[:1] != b"\0")
        spans, elements = [raw[:begin]], list[RawDataElement | DataElement]()
        start = begin
        found = data_element_generator(
            file, implicit, little, stop_when=lambda tag, vr, length: tag >= _BULK_FROM
        )
        for element in found:
            end = file.tell()
            last = tag_name(element.tag)
            if end > len(raw) or _short(element):
                return raw[: start + _AFTER_FAULT], DicomFault("dicom-truncated", last)
            if not _is_bulk(element):
                spans.append(raw[start:end])
                elements.append(element)
            start = end
        if file.tell() != start or _cut_within_tag(raw, start, little):
            return raw[: start + _AFTER_FAULT], DicomFault("dicom-truncated", last)
        return b"".join(spans), _Kept(elements, implicit, little)
    except Exception:  # pydicom raises whatever its parts raise on broken bytes
        return raw[: file.tell() + _AFTER_FAULT], DicomFault("dicom-broken", last)


def _short(element: RawDataElement | DataElement) -> bool:
    return (
        isinstance(element, RawDataElement)
        and element.length != _UNDEFINED
        and len(element.value or b"") != int(element.length)
    )


def _cut_within_tag(raw: bytes, start: int, little: bool) -> bool:
    """Does something follow that is neither the end nor the tag of a bulk value?"""
    rest = raw[start : start + 4]
    if not rest:
        return False
    if len(rest) < 4:
        return True
    group, element = struct.unpack("<HH" if little else ">HH", rest)
    tag: int = group << 16 | element
    return tag < _BULK_FROM


def _is_bulk(element: RawDataElement | DataElement) -> bool:
    if int(element.tag) in _BULK:
        return True
    vr = element.VR or _vr(element.tag)
    return (
        isinstance(element, RawDataElement)
        and vr not in _CODED | _ASCII | {"SQ"}
        and len(element.value or b"") > _MOST_BINARY
    )


def _vr(tag: int) -> str:
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"


def _ascii(value: object) -> str:
    return bytes(value).decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""


def _data_set(
    elements: Iterable[RawDataElement | DataElement],
    letters: Letters,
    implicit: bool,
    little: bool,
    depth: int,
) -> DataSet:
    if depth > _DEPTH:
        raise DicomFault("dicom-broken")
    made: DataSet = {}
    elements = list(elements)
    own = next((_ascii(one.value) for one in elements if depth and one.tag == _CHARSET), "")
    letters = letters.within(own.split("\\")) if own else letters
    for element in elements:
        tag = int(element.tag)
        vr = element.VR if element.VR and element.VR != "UN" else _vr(tag)
        if vr == "SQ":
            items = _items(element, implicit, little)
            made[tag] = Element(
                vr, tuple(_data_set(item, letters, implicit, little, depth + 1) for item in items)
            )
        elif isinstance(element, RawDataElement):
            values = _texts(vr, element.value or b"", letters, little)
            if values:
                made[tag] = Element(vr, values)
    return made


def _items(
    element: RawDataElement | DataElement, implicit: bool, little: bool
) -> Iterator[Iterable[RawDataElement | DataElement]]:
    if isinstance(element, DataElement):
        found = element.value
    else:
        raw = element.value or b""
        # A sequence under the VR UN is encoded implicitly (PS3.5 6.2.2).
        implicit = implicit or element.VR == "UN"
        found = read_sequence(io.BytesIO(raw), implicit, little, len(raw), "iso8859")
    for item in found or ():
        yield item.elements()


def _texts(vr: str, raw: bytes, letters: Letters, little: bool) -> tuple[str, ...]:
    if vr in _CODED:
        text = letters.read(raw)
    elif vr in _ASCII:
        text = _ascii(raw)
    elif vr in _NUMBERS:
        return _numbers(_NUMBERS[vr], raw, little)
    else:
        return ()
    if text is None:
        return ()
    # Split behind decoding: in GB18030 a backslash may be the second byte of a character.
    parts = [text] if vr in _ONE_VALUE else text.split("\\")
    return _filled(part.strip(" \0\t\r\n") for part in parts)


def _numbers(form: str, raw: bytes, little: bool) -> tuple[str, ...]:
    size = struct.calcsize(form)
    count = len(raw) // size
    values = struct.unpack(f"{'<' if little else '>'}{count}{form}", raw[: count * size])
    return tuple(_shortest(value, form) for value in values)


def _shortest(value: float, form: str) -> str:
    """The shortest decimal that is this very value: of a single one in 7 digits when they suffice."""
    if form == "f":
        short = f"{value:.7g}"
        return (
            short if struct.unpack("f", struct.pack("f", float(short)))[0] == value else repr(value)
        )
    return repr(value)


def _filled(values: Iterable[str]) -> tuple[str, ...]:
    kept = list(values)
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


# --- DICOM JSON ------------------------------------------------------------------------------------


class Part(NamedTuple):
    """One data set of a DICOM JSON text and the bytes it stands in."""

    data: DataSet
    text: bytes


def read_json(raw: bytes) -> list[Part]:
    """The data sets of a DICOM JSON text: an array of them, or one. Raises `DicomFault`."""
    try:
        root = jsontext.parse(raw)
    except jsontext.JsonFault as fault:
        place = f"line {fault.line} column {fault.column}"
        raise DicomFault(f"json-{fault.code}", place) from None
    items = root.items() if type(root.data) is list else [root]
    parts = []
    for number, item in enumerate(items, 1):
        if type(item.data) is not dict:
            raise DicomFault("not-dicom", f"instance {number}")
        parts.append(Part(_json_set(item, 0), raw[item.start : item.end]))
    return parts


def _json_set(node: jsontext.Value, depth: int) -> DataSet:
    made: DataSet = {}
    if depth > _DEPTH:
        raise DicomFault("dicom-broken")
    for name, attribute in node.members().items():
        try:
            tag = int(name, 16) if len(name) == 8 else -1
        except ValueError:
            tag = -1
        listed = attribute.get("Value")
        if tag < 0 or tag >= _BULK_FROM or tag in _BULK or listed is None:
            continue
        vr = attribute.string("vr") or _vr(tag)
        values = [_json_value(vr, one, depth) for one in listed.items()]
        if vr == "SQ":
            made[tag] = Element(vr, tuple(one for one in values if not isinstance(one, str)))
        elif texts := _filled(one for one in values if isinstance(one, str)):
            made[tag] = Element(vr, texts)
    return made


def _json_value(vr: str, node: jsontext.Value, depth: int) -> str | DataSet:
    data = node.data
    if vr == "SQ":
        return _json_set(node, depth + 1) if type(data) is dict else ""
    if vr == "PN" and type(data) is dict:
        groups: Sequence[str] = [
            node.string(form) or "" for form in ("Alphabetic", "Ideographic", "Phonetic")
        ]
        return "=".join(groups).rstrip("=")
    return str(data).strip() if type(data) is str or type(data) is Number else ""
