"""Makes the copy of a record that may be shown: without its withheld parts and what points at others.

Made on the way out and never kept: it has a version name of its own, is marked as incomplete, and is
refused where a source sends it back.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import orjson

from gateway.records.entry import Nature
from gateway.records.extract import INLINE_LABEL
from mappings.engine import jsontext
from mappings.engine.jsontext import Value

OBSERVATION_VALUE: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
MARKS: Final = ("REDACTED", "SUBSETTED")

# What may tell in other words what is withheld: the narrative, a rendering of the whole.
_RETOLD: Final = frozenset({"text", "presentedForm"})
_TARGET = re.compile(r"(?:[A-Z][A-Za-z]+/)?([0-9a-f]{32})(?:/_history/.*)?")
_NAMES: Final = ("reference", "url")


class _Named(Exception):
    """A reference to what is withheld: the smallest element that is about it goes."""


def redacted(
    text: bytes, nature: Nature, paths: Collection[str], withheld: Collection[str], version: str
) -> bytes:
    """The stored text without `paths` (``component[2]``) and without references to `withheld` ids.

    What stays keeps its bytes. Narrative, renderings and labels of elements go as well; of the
    record's own labels only the confidentiality of what remains is told. `version` is the copy's
    own name.
    """
    root = jsontext.parse(text)
    cut = _Cut(text, frozenset(paths), frozenset(withheld))
    members = []
    for name, value in root.members().items():
        if name in _RETOLD:
            continue
        if name == "meta":
            members.append(b'"meta":' + _meta(text, value, nature, bool(paths), version))
        elif (kept := cut.member(value, name)) is not None:
            members.append(text[value.key : value.start] + kept)
    return b"{" + b",".join(members) + b"}"


def is_redacted(meta: bytes) -> bool:
    """Whether members of a meta say that its record is an incomplete copy: it is nobody's truth."""
    if not any(mark.encode() in meta for mark in MARKS):
        return False
    told = orjson.loads(b"{" + meta + b"}")
    return any(
        isinstance(one, dict) and one.get("code") in MARKS
        for name in ("security", "tag")
        for one in told.get(name) or ()
    )


def _meta(text: bytes, meta: Value, nature: Nature, parts: bool, version: str) -> bytes:
    level = nature.rest[0] if parts and nature.parts else nature.confidentiality
    labels = [(CONFIDENTIALITY, level), *((OBSERVATION_VALUE, mark) for mark in MARKS)]
    told = b",".join(
        b'{"system":"%s","code":"%s"}' % (system.encode(), code.encode()) for system, code in labels
    )
    members = [b'"versionId":"%s"' % version.encode()]
    members += [
        text[value.key : value.end]
        for name, value in meta.members().items()
        if name not in ("versionId", "security", "extension", "_versionId")
    ]
    return b"{" + b",".join([*members, b'"security":[%s]' % told]) + b"}"


class _Cut:
    """Writes values of a text again without what is cut out; what is untouched keeps its bytes."""

    def __init__(self, text: bytes, paths: frozenset[str], withheld: frozenset[str]) -> None:
        self._text = text
        self._paths = paths
        self._withheld = withheld

    def member(self, value: Value, path: str) -> bytes | None:
        """A member's value; None when nothing of it is left."""
        try:
            return self._value(value, path)
        except _Named:
            return None

    def _value(self, value: Value, path: str) -> bytes | None:
        if type(value.data) is dict:
            return self._object(value, path)
        if type(value.data) is list:
            return self._array(value, path)
        return self._text[value.start : value.end]

    def _object(self, value: Value, path: str) -> bytes | None:
        if path in self._paths or value.string("url") == INLINE_LABEL:
            return None
        if any(self._names_withheld(value.string(name)) for name in _NAMES):
            raise _Named
        members, whole = [], True
        for name, inner in value.members().items():
            kept = self._value(inner, f"{path}.{name}")
            whole = whole and kept == self._text[inner.start : inner.end]
            if kept is not None:
                members.append(self._text[inner.key : inner.start] + kept)
        if whole:
            return self._text[value.start : value.end]
        return b"{" + b",".join(members) + b"}" if members else None

    def _array(self, value: Value, path: str) -> bytes | None:
        elements = []
        for number, inner in enumerate(value.items()):
            try:
                kept = self._value(inner, f"{path}[{number}]")
            except _Named:
                continue
            if kept is not None:
                elements.append(kept)
        if len(elements) == len(value.items()):
            plain = [self._text[one.start : one.end] for one in value.items()]
            if plain == elements:
                return self._text[value.start : value.end]
        return b"[" + b",".join(elements) + b"]" if elements else None

    def _names_withheld(self, target: str | None) -> bool:
        found = _TARGET.fullmatch(target) if target else None
        return found is not None and found[1] in self._withheld
