"""The manifest: what a chart holds, in a few bytes a record, decided on before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

DAY: Final = 86_400_000_000

# Without `gc`: these hold values only, never each other in a circle, and come by the hundred.


class Nature(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What records of one kind share, and what consent looks at; interned once a segment.

    `codes` and `categories` are `system|code`; `authors` are references as stored.
    """

    type: str
    source: str  # organisation that sent it
    codes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    confidentiality: str = "N"
    sensitivities: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    status: str = ""
    labels: str = ""  # version of the labelling rules; empty is not labelled
    tier: int = 1  # county category: 0 basic, 1 general, 2 restricted, 3 sealed


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record of a chart, as its manifest tells it. Instants are µs UTC."""

    id: bytes  # 16 bytes, the resource id
    version: int
    seq: int  # the chart's sequence number of this version
    nature: int  # place in the segment's list
    start: int | None = None
    end: int | None = None
    filed: int = 0
    clock: int = 0
    links: tuple[tuple[str, bytes], ...] = ()  # (element, id) inside the gateway
    digest: bytes = b""  # keyed hash of the content
    length: int = 0  # of the stored text
    gone: bool = False  # moved to another tier: only hides older entries of the same id
    disputed: bool = False  # another chart claims the same id

    @property
    def hex(self) -> str:
        """The id as clients see it."""
        return self.id.hex()


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece of a manifest: entries in order of sequence number, and their natures."""

    natures: tuple[Nature, ...]
    entries: tuple[Entry, ...]


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record's own copy of its entry, so that a read by id decides like a search."""

    nature: Nature
    entry: Entry


_encode = msgspec.msgpack.Encoder().encode
_segment = msgspec.msgpack.Decoder(Segment).decode
_head = msgspec.msgpack.Decoder(Head).decode


def pack_head(nature: Nature, entry: Entry) -> bytes:
    """A head as bytes to seal."""
    return _encode(Head(nature, msgspec.structs.replace(entry, nature=0)))


def unpack_head(plain: bytes) -> Head:
    """The inverse of `pack_head`; raises msgspec.DecodeError on other bytes."""
    return _head(plain)


def pack_segment(pairs: Iterable[tuple[Nature, Entry]]) -> bytes:
    """Entries with their natures as one segment's bytes."""
    places: dict[Nature, int] = {}
    entries = [
        msgspec.structs.replace(entry, nature=places.setdefault(nature, len(places)))
        for nature, entry in pairs
    ]
    return _encode(Segment(tuple(places), tuple(entries)))


def unpack_segment(plain: bytes) -> Segment:
    """The inverse of `pack_segment`; raises msgspec.DecodeError on other bytes."""
    return _segment(plain)


def standing(segments: Sequence[Segment]) -> list[tuple[Nature, Entry]]:
    """The newest entry of each id over all segments, in order of sequence number."""
    last: dict[bytes, tuple[Nature, Entry]] = {}
    everything = [
        (natures[entry.nature], entry)
        for natures, entries in [(segment.natures, segment.entries) for segment in segments]
        for entry in entries
    ]
    if len({entry.id for _, entry in everything}) == len(everything):
        if len(segments) > 1:
            everything.sort(key=lambda pair: pair[1].seq)
        return [pair for pair in everything if not pair[1].gone]
    everything.sort(key=lambda pair: (pair[1].seq, not pair[1].gone))
    for nature, entry in everything:
        last.pop(entry.id, None)
        last[entry.id] = (nature, entry)
    return [pair for pair in last.values() if not pair[1].gone]
