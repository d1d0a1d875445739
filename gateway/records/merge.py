"""Joins stored text and new text on bytes: what was not named keeps the bytes it had."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mappings.engine import jsontext


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
    old: bytes, new: bytes, deletes: Iterable[str], unions: Collection[str] = ()
) -> tuple[bytes, bytes]:
    """`old` with the top-level members of `new` in place of its own, and `deletes` taken out.

    Both are JSON objects; meta is left out. Members keep the order they had; new ones follow. The
    arrays named in `unions` are not replaced: references that are not there yet are added.
    """
    standing = jsontext.parse(old)
    coming = jsontext.parse(new)
    gone = set(deletes) | {"meta"}
    fresh = {
        name: new[value.key : value.end]
        for name, value in coming.members().items()
        if name not in gone
    }
    for name in unions:
        before, after = standing.get(name), coming.get(name)
        if name in fresh and before is not None and after is not None:
            fresh[name] = b'"%s":%s' % (name.encode(), _united(old, before, new, after))
    members = [
        (name, fresh.pop(name, old[value.key : value.end]))
        for name, value in standing.members().items()
        if name not in gone or name in fresh
    ]
    members += fresh.items()
    return _joined([one for one in members if one[0] not in gone])


def _united(old: bytes, before: jsontext.Value, new: bytes, after: jsontext.Value) -> bytes:
    """The elements of both arrays, one for each reference."""
    elements: dict[str | bytes, bytes] = {}
    for text, array in ((old, before), (new, after)):
        for one in array.items():
            written = text[one.start : one.end]
            elements.setdefault(one.string("reference") or written, written)
    return b"[%s]" % b",".join(elements.values())


def _joined(members: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Members as (head, tail), cut behind the first two, resourceType and id; a tail has a member."""
    texts = [text for _, text in members]
    cut = min(2, len(texts) - 1)
    return b"{" + b",".join(texts[:cut]) + b",", b",".join(texts[cut:]) + b"}"


def with_meta(head: bytes, tail: bytes, kept: bytes, version: str, updated: str) -> bytes:
    """The text as stored and served."""
    meta = f'"meta":{{"versionId":"{version}","lastUpdated":"{updated}"'.encode()
    return b"".join((head, meta, b"," if kept else b"", kept, b"},", tail))


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
