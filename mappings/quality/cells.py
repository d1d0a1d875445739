"""The filled fields of a raw message with their place in the sender's terms, whatever its form.

Deliberately not the reader of the rules: a detector must see what the map does not read, and a fault
of the map's reader must not hide itself from the detectors.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
from lxml import etree

from mappings.engine.er7 import CODECS
from mappings.engine.reader import Source
from mappings.engine.rows import Contract

MOST = 50_000
"""Cells looked at in one message; what stands behind them is not counted."""
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_NAME = re.compile(r"(?!.*\d{5})[A-Za-z_][A-Za-z0-9_.-]{0,39}\Z")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9.-]{2,20}\Z")
_DECLARATION = re.compile(r"\A<\?xml[^>]*\?>")
_NESTED = 3
_CODED = {"", "NULL", "null", '""', "\\N"}


class Cell(NamedTuple):
    """One filled field: `OBX-14`, `PID-10.1`, a column, an element's path; repetitions share a place."""

    place: str
    text: str


def cells(raw: bytes, input: str, source: Source) -> list[Cell]:
    """The filled cells of one unit, none when it cannot be read: others say why it cannot."""
    text = raw.decode(CODECS.get(source.charset, "utf-8"), "replace").lstrip("\ufeff")
    try:
        match input:
            case "er7":
                found = _er7(text)
            case "rows":
                found = _rows(text, Contract(source))
            case "fhir":
                found = _json(orjson.loads(raw), "")
            case "xml":
                found = _xml(raw)
            case _:
                return []
        return [cell for cell, _ in zip(found, range(MOST), strict=False)]
    except (ValueError, csv.Error, etree.Error, RecursionError):
        return []


def _er7(text: str) -> Iterator[Cell]:
    text = text[max(text.find("MSH"), 0) :]
    bar, component, repetition = text[3:4], text[4:5], text[5:6]
    if not (bar and component and repetition):
        return
    for line in re.split(r"[\r\n]+", text):
        name, *fields = line.strip().split(bar)
        if not _SEGMENT.match(name):
            continue
        first = 2 if name == "MSH" else 1
        for number, field in enumerate(fields, first):
            if field in _CODED or (name == "MSH" and number == 2):
                continue
            for one in field.split(repetition):
                parts = one.split(component)
                for at, part in enumerate(parts, 1):
                    if part not in _CODED:
                        yield Cell(f"{name}-{number}.{at}" if at > 1 else f"{name}-{number}", part)


def _rows(text: str, contract: Contract) -> Iterator[Cell]:
    if text.lstrip()[:1] in "[{":
        try:
            nodes = orjson.loads(text)
        except orjson.JSONDecodeError:
            nodes = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        for row in nodes if isinstance(nodes, list) else [nodes]:
            if isinstance(row, dict):
                declared = (name for name in contract.columns if row.get(name) is not None)
                yield from (Cell(name, str(row[name])) for name in declared)
        return
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=contract.delimiter)
    heading = [name.strip() for name in next(lines, [])]
    for line in lines:
        for name, cell in zip(heading, line, strict=False):
            # A heading that nobody declared may be a patient's row.
            if (cell := cell.strip()) not in _CODED and name in contract.index:
                yield Cell(name, cell)


def _json(node: Any, path: str) -> Iterator[Cell]:
    match node:
        case dict():
            type_ = node.get("resourceType")
            path = type_ if isinstance(type_, str) and _NAME.match(type_) else path
            for name, value in node.items():
                # An element's name is the standard's; anything else is not told as a place.
                if name != "resourceType" and _NAME.match(name):
                    yield from _json(value, f"{path}.{name}")
        case list():
            for value in node:
                yield from _json(value, path)
        case None:
            return
        case _:
            yield Cell(path, str(node))


def _xml(raw: bytes, depth: int = 0) -> Iterator[Cell]:
    """Attributes and texts by parent and name; a document inside a text (SOAP, CDATA) is opened."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True
    )
    root = etree.fromstring(raw, parser)
    for element in root.iter(etree.Element) if root is not None else ():
        above = element.getparent()
        name = _local(element)
        path = f"{_called(above)}/{name}" if above is not None else name
        for attribute, value in element.attrib.items():
            if value:
                yield Cell(f"{path}/@{_local(attribute)}", value)
        text = (element.text or "").strip()
        if text.startswith("<") and depth < _NESTED:
            yield from _xml(_DECLARATION.sub("", text).encode(), depth + 1)
        elif text:
            yield Cell(path, text)


def _called(element: Any) -> str:
    """An element's name, with the code that says what a CDA entry is: `observation[DE04.30.019.00]`."""
    name = _local(element)
    for child in element.iterchildren("{*}code"):
        code = child.get("code", "")
        return f"{name}[{code}]" if _CODE.match(code) else name
    return name


def _local(named: Any) -> str:
    """A name without its namespace; what is no plain name of a schema is not told."""
    name = str(etree.QName(named).localname)
    return name if _NAME.match(name) else "?"
