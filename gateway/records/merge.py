"""Joins stored text and new text on bytes: what was not named keeps the bytes it had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import orjson

from mappings.engine import jsontext
from mappings.engine.elements import JOINED


def split_meta(text: bytes) -> tuple[bytes, bytes]:
    """(head, tail) of a stored text without its meta; `head + tail` is the resource again."""
    root = jsontext.parse(text)
    members = [
        (name, text[value.key : value.end])
        for name, value in root.members().items()
        if name != "meta"
    ]
    return _joined(members)


def patched(
    old: bytes,
    new: bytes,
    deletes: Iterable[str],
    unions: Collection[str] = (),
    fills: Collection[str] = (),
) -> tuple[bytes, bytes]:
    """`old` with the top-level members of `new` in place of its own, and `deletes` taken out.

    Both are JSON objects; meta is left out. Members keep the order they had; new ones follow. The
    arrays named in `unions` are not replaced: elements that are not there yet are added, and of one
    that is there the members that came are taken. ``series.instance`` unites the arrays in them too.
    Members named in `fills` are left alone where `old` has them, and so are extensions of a url that
    `new` does not bring. Of the objects in `JOINED` (a period) the members are changed one by one, and
    `deletes` may name one of them (``period.end``).
    """
    standing, coming = jsontext.parse(old), jsontext.parse(new)
    gone = set(deletes) | {"meta"}
    members = dict(_members(old, standing, new, coming, _tree(unions), newer=True))
    for name in fills:
        if (stands := standing.get(name)) is not None:
            members[name] = old[stands.key : stands.end]
    before, after = standing.get("extension"), coming.get("extension")
    if before is not None and after is not None:
        members["extension"] = _extensions(old, before, new, after)
    for name in JOINED:
        if (stands := standing.get(name)) is not None and old[stands.start :].startswith(b"{"):
            lost = {path.partition(".")[2] for path in gone if path.startswith(f"{name}.")}
            inner = _inner(old, stands, new, coming.get(name), lost)
            members[name] = b'"%s":{%s}' % (name.encode(), inner)
            gone |= set() if inner else {name}
    return _joined([(name, text) for name, text in members.items() if name not in gone])


def _extensions(old: bytes, before: jsontext.Value, new: bytes, after: jsontext.Value) -> bytes:
    """One extension for each url, the newer one; each says one thing."""
    elements = {}
    for text, array in ((old, before), (new, after)):
        for one in array.items():
            elements[one.string("url")] = text[one.start : one.end]
    return b'"extension":[%s]' % b",".join(elements.values())


def _inner(
    old: bytes,
    before: jsontext.Value,
    new: bytes,
    after: jsontext.Value | None,
    lost: Collection[str],
) -> bytes:
    """The members of one object, those of `after` in place of the ones that stood."""
    members = {name: old[value.key : value.end] for name, value in before.members().items()}
    if after is not None:
        members |= {name: new[value.key : value.end] for name, value in after.members().items()}
    return b",".join(text for name, text in members.items() if name not in lost)


def added(old: bytes, new: bytes, unions: Collection[str]) -> tuple[bytes, bytes]:
    """`old` with what it does not say yet: members it lacks, and elements of the arrays in `unions`.

    Nothing that stands is changed, but for the status of a stub, which is nobody's word.
    """
    standing, coming = jsontext.parse(old), jsontext.parse(new)
    members = _members(old, standing, new, coming, _tree(unions), newer=False)
    status = coming.get("status")
    if standing.string("status") == "unknown" and status is not None:
        told = new[status.key : status.end]
        members = [(name, told if name == "status" else text) for name, text in members]
    return _joined([(name, text) for name, text in members if name != "meta"])


_Tree = dict[str, "_Tree"]
_COUNTS = {"series": "numberOfSeries", "instance": "numberOfInstances"}
"""Lists whose length another element tells: it never tells fewer than are listed."""


def _tree(unions: Iterable[str]) -> _Tree:
    tree: _Tree = {}
    for path in unions:
        here = tree
        for name in path.split("."):
            here = here.setdefault(name, {})
    return tree


def _members(
    old: bytes,
    standing: jsontext.Value,
    new: bytes,
    coming: jsontext.Value,
    unions: _Tree,
    *,
    newer: bool,
) -> list[tuple[str, bytes]]:
    """The members of both objects; where both have one, that of the new object if it is `newer`."""
    before, after = standing.members(), coming.members()
    members = {name: old[value.key : value.end] for name, value in before.items()}
    for name, value in after.items():
        if name in before and name in unions:
            united = _united(old, before[name], new, value, unions[name], newer=newer)
            members[name] = b'"%s":[%s]' % (name.encode(), b",".join(united))
        elif newer or name not in before:
            members[name] = new[value.key : value.end]
    _count(members, unions, before, after)
    return list(members.items())


def _united(
    old: bytes,
    before: jsontext.Value,
    new: bytes,
    after: jsontext.Value,
    unions: _Tree,
    *,
    newer: bool,
) -> list[bytes]:
    """The elements of both arrays, one for each reference or uid."""
    elements: dict[str | bytes, bytes] = {}
    known: dict[str | bytes, jsontext.Value] = {}
    for one in before.items():
        written = old[one.start : one.end]
        known[_name(one, written)] = one
        elements.setdefault(_name(one, written), written)
    for one in after.items():
        written = new[one.start : one.end]
        name = _name(one, written)
        if name in known and unions:
            members = _members(old, known[name], new, one, unions, newer=newer)
            elements[name] = b"{%s}" % b",".join(text for _, text in members)
        else:
            elements.setdefault(name, written)
    return list(elements.values())


def _name(element: jsontext.Value, written: bytes) -> str | bytes:
    return element.string("reference") or element.string("uid") or written


def _count(
    members: dict[str, bytes],
    unions: _Tree,
    before: Mapping[str, jsontext.Value],
    after: Mapping[str, jsontext.Value],
) -> None:
    """Raise the counts that stand beside united lists to what was said at most, and is listed at least."""
    for name, below in unions.items():
        if name not in _COUNTS or name not in members:
            continue
        listed = orjson.loads(b"{%s}" % members[name])[name]  # to count; nothing of it is written
        counts = {_COUNTS[name]: len(listed)}
        for inner in below:
            if (count := _COUNTS.get(inner)) is not None:
                told = [one.get(count) for one in listed if type(one) is dict]
                counts[count] = sum(number for number in told if type(number) is int)
        for count, least in counts.items():
            most = max(least, _said(before, count), _said(after, count))
            members[count] = b'"%s":%d' % (count.encode(), most)


def _said(members: Mapping[str, jsontext.Value], count: str) -> int:
    said = str(members[count].data) if count in members else ""
    return int(said) if said.isascii() and said.isdigit() else 0


def _joined(members: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Members as (head, tail), cut behind the first two, resourceType and id; a tail has a member."""
    texts = [text for _, text in members]
    cut = min(2, len(texts) - 1)
    return b"{" + b",".join(texts[:cut]) + b",", b",".join(texts[cut:]) + b"}"


def with_meta(head: bytes, tail: bytes, kept: bytes, version: str, updated: str) -> bytes:
    """The text as stored and served."""
    meta = f'"meta":{{"versionId":"{version}","lastUpdated":"{updated}"'.encode()
    return b"".join((head, meta, b"," if kept else b"", kept, b"},", tail))


def without_meta(text: bytes) -> bytes:
    """A stored text as it came to `with_meta`: what its content's digest is over."""
    meta = jsontext.parse(text).members().get("meta")
    return text if meta is None else text[: meta.key] + text[meta.end + 1 :]


def renamed(text: bytes, id: str) -> tuple[bytes, bytes]:
    """(head, tail) of a sender's resource under our id; its own id and meta are left out."""
    root = jsontext.parse(text)
    members = [
        (name, text[value.key : value.end])
        for name, value in root.members().items()
        if name not in {"id", "meta"}
    ]
    members.sort(key=lambda member: member[0] != "resourceType")
    members.insert(1, ("id", b'"id":"%s"' % id.encode()))
    return _joined(members)
