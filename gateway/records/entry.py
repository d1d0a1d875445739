"""The manifest: what a chart holds, in a few bytes a record, decided on before anything is opened.

A segment is written in columns: numbers beside numbers, ids and digests as one text each, natures and
bundles of links told once. So a search looks at columns, and an `Entry` is made only of what is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from operator import add
from struct import unpack
from typing import Final

import msgspec

DAY: Final = 86_400_000_000
ID: Final = 16  # bytes, of an id and of a digest
EARLIEST: Final = -(2**62)
"""Stands in a column for an instant that is not told, before every other …"""
LATEST: Final = 2**62
"""… and after every other."""

Links = tuple[tuple[str, bytes], ...]

# Without `gc`: these hold values only, never each other in a circle, and come by the hundred.


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of a record that is labelled apart: `component[2]`."""

    path: str
    confidentiality: str
    sensitivities: tuple[str, ...] = ()


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
    labels: str = ""  # version of the rules it was labelled by last; empty is not labelled
    tier: int = 1  # county category: 0 basic, 1 general, 2 restricted, 3 sealed
    notifiable: bool = False
    parts: tuple[Part, ...] = ()  # what can be cut out of it, with labels of its own
    rest: tuple[str, tuple[str, ...]] = ("N", ())  # labels of what remains then
    health_check: bool = False  # a visit of this kind: hepatitis B of it is not shared


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
    links: Links = ()  # (element, id) inside the gateway
    digest: bytes = b""  # keyed hash of the content, 16 bytes; empty in a stub
    length: int = 0  # of the stored text
    gone: bool = False  # moved to another tier: only hides older entries of the same id
    disputed: bool = False  # another chart claims the same id

    @property
    def hex(self) -> str:
        """The id as clients see it."""
        return self.id.hex()


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record's own copy of its entry, so that a read by id decides like a search."""

    nature: Nature
    entry: Entry


class _Columns(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A segment as written. Runs of `seqs`, `starts`, `filed` and `clocks` count from the one before."""

    natures: list[msgspec.Raw]
    ids: bytes
    digests: bytes
    which: list[int]  # nature
    seqs: list[int]
    versions: list[int]
    starts: list[int]
    lasts: list[int]  # from start to end
    filed: list[int]
    clocks: list[int]
    lengths: list[int]
    gone: list[int]  # places
    disputed: list[int]  # places
    tied: list[int]  # bundle
    bundles: list[list[int]]  # element, target, element, target …
    elements: list[str]
    others: bytes  # ids of targets; above 0 a target is here, else among the entries (0, -1 …)


_encode = msgspec.msgpack.Encoder().encode
_columns = msgspec.msgpack.Decoder(_Columns).decode
_nature = msgspec.msgpack.Decoder(Nature).decode
_head = msgspec.msgpack.Decoder(Head).decode

_MOST_NATURES = 4_096
_natures: dict[bytes, Nature] = {}


def _interned(raw: msgspec.Raw) -> Nature:
    """A nature as decoded before: they are few in a county, and say nothing of whose they are."""
    told = bytes(raw)
    known = _natures.get(told)
    if known is None:
        if len(_natures) >= _MOST_NATURES:
            _natures.clear()
        known = _natures[told] = _nature(told)
    return known


class Segment:
    """A piece of a manifest: entries in the order they were packed, by column.

    Columns are lists as long as `ids`; `starts` and `ends` have EARLIEST and LATEST where nothing was
    told. Raises msgspec.DecodeError for bytes that `pack_segment` did not make.
    """

    def __init__(self, plain: bytes) -> None:
        told = self._told = _columns(plain)
        count, rest = divmod(len(told.ids), ID)
        sized = (
            told.which, told.seqs, told.versions, told.starts, told.lasts,
            told.filed, told.clocks, told.lengths, told.tied,
        )  # fmt: skip
        if (
            rest
            or len(told.digests) != len(told.ids)
            or {count, *map(len, sized)} != {count}
            or not _within(told.which, len(told.natures))
            or not _within(told.tied, len(told.bundles))
        ):
            raise msgspec.DecodeError("not a segment")
        self.natures = tuple(map(_interned, told.natures))
        self.which = told.which
        self.ids: tuple[bytes, ...] = unpack("16s" * count, told.ids)
        self.seqs = list(accumulate(told.seqs))
        self.gone = frozenset(told.gone)
        self._links: dict[int, Links] = {}

    @cached_property
    def counts(self) -> Mapping[int, int]:
        """How many entries have each nature."""
        return Counter(self.which)

    @cached_property
    def by_nature(self) -> Mapping[int, Sequence[int]]:
        """The places of each nature, in order."""
        found: dict[int, list[int]] = {}
        for place, nature in enumerate(self.which):
            found.setdefault(nature, []).append(place)
        return found

    @cached_property
    def last(self) -> Mapping[bytes, int]:
        """The last place of each id."""
        return dict(zip(self.ids, range(len(self.ids)), strict=True))

    @cached_property
    def high(self) -> int:
        """The highest sequence number; 0 without entries."""
        return max(self.seqs, default=0)

    @cached_property
    def starts(self) -> list[int]:
        """When each began, µs UTC."""
        return list(accumulate(self._told.starts))

    @cached_property
    def ends(self) -> list[int]:
        """When each ended, µs UTC."""
        return list(map(add, self.starts, self._told.lasts))

    @cached_property
    def filed(self) -> list[int]:
        """When each was filed, µs UTC."""
        return list(accumulate(self._told.filed))

    @cached_property
    def _clocks(self) -> list[int]:
        return list(accumulate(self._told.clocks))

    @cached_property
    def _disputed(self) -> frozenset[int]:
        return frozenset(self._told.disputed)

    def links(self, place: int) -> Links:
        """What the entry at a place points at."""
        number = self._told.tied[place]
        known = self._links.get(number)
        if known is None:
            known = self._links[number] = self._untied(self._told.bundles[number])
        return known

    def _untied(self, flat: Sequence[int]) -> Links:
        elements, others = self._told.elements, self._told.others
        try:
            return tuple(
                [
                    (
                        elements[element],
                        others[(to - 1) * ID : to * ID] if to > 0 else self.ids[-to],
                    )
                    for element, to in zip(flat[::2], flat[1::2], strict=True)
                ]
            )
        except (IndexError, ValueError):
            raise msgspec.DecodeError("not a segment") from None

    def entry(self, place: int) -> Entry:
        """The entry at a place, in full."""
        told = self._told
        start, end = self.starts[place], self.ends[place]
        digest = told.digests[place * ID : place * ID + ID]
        return Entry(
            self.ids[place],
            told.versions[place],
            self.seqs[place],
            self.which[place],
            None if start == EARLIEST else start,
            None if end == LATEST else end,
            self.filed[place],
            self._clocks[place],
            self.links(place),
            b"" if digest == _NO_DIGEST else digest,
            told.lengths[place],
            place in self.gone,
            place in self._disputed,
        )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry, in full: by column, which takes a tenth of one by one."""
        told, count = self._told, len(self.ids)
        tied = [self._links.get(n) or self._untied(flat) for n, flat in enumerate(told.bundles)]
        gone, disputed = [False] * count, [False] * count
        for place in self.gone:
            gone[place] = True
        for place in self._disputed:
            disputed[place] = True
        return tuple(
            map(
                Entry,
                self.ids,
                told.versions,
                self.seqs,
                self.which,
                [None if start == EARLIEST else start for start in self.starts],
                [None if end == LATEST else end for end in self.ends],
                self.filed,
                self._clocks,
                [tied[number] for number in told.tied],
                [b"" if one == _NO_DIGEST else one for one in unpack("16s" * count, told.digests)],
                told.lengths,
                gone,
                disputed,
            )
        )


_NO_DIGEST: Final = bytes(ID)


def _within(numbers: Sequence[int], count: int) -> bool:
    return not numbers or (min(numbers) >= 0 and max(numbers) < count)


def pack_head(nature: Nature, entry: Entry) -> bytes:
    """A head as bytes to seal."""
    return _encode(Head(nature, msgspec.structs.replace(entry, nature=0)))


def unpack_head(plain: bytes) -> Head:
    """The inverse of `pack_head`; raises msgspec.DecodeError on other bytes."""
    return _head(plain)


def pack_segment(pairs: Iterable[tuple[Nature, Entry]]) -> bytes:
    """Entries with their natures as one segment's bytes."""
    given = list(pairs)
    entries = [entry for _, entry in given]
    natures: dict[Nature, int] = {}
    which = [natures.setdefault(nature, len(natures)) for nature, _ in given]
    known: dict[bytes, int] = {}
    for place, entry in enumerate(entries):
        known.setdefault(entry.id, -place)
    others: dict[bytes, int] = {}
    elements: dict[str, int] = {}
    bundles: dict[Links, int] = {}
    tied = [bundles.setdefault(entry.links, len(bundles)) for entry in entries]
    flat = [
        [
            number
            for element, to in links
            for number in (
                elements.setdefault(element, len(elements)),
                known[to] if to in known else others.setdefault(to, len(others) + 1),
            )
        ]
        for links in bundles
    ]
    starts = [EARLIEST if entry.start is None else entry.start for entry in entries]
    ends = [LATEST if entry.end is None else entry.end for entry in entries]
    return _encode(
        _Columns(
            [msgspec.Raw(_encode(nature)) for nature in natures],
            b"".join([entry.id for entry in entries]),
            b"".join([entry.digest or _NO_DIGEST for entry in entries]),
            which,
            _steps([entry.seq for entry in entries]),
            [entry.version for entry in entries],
            _steps(starts),
            [end - start for start, end in zip(starts, ends, strict=True)],
            _steps([entry.filed for entry in entries]),
            _steps([entry.clock for entry in entries]),
            [entry.length for entry in entries],
            [place for place, entry in enumerate(entries) if entry.gone],
            [place for place, entry in enumerate(entries) if entry.disputed],
            tied,
            flat,
            list(elements),
            b"".join(others),
        )
    )


def _steps(numbers: Sequence[int]) -> list[int]:
    """Each number from the one before; `accumulate` undoes it."""
    return [number - before for before, number in zip((0, *numbers), numbers, strict=False)]


def unpack_segment(plain: bytes) -> Segment:
    """The inverse of `pack_segment`; raises msgspec.DecodeError on other bytes."""
    return Segment(plain)


def standing_places(segments: Sequence[Segment], high: int = 2**62) -> list[Sequence[int]]:
    """Of each segment the places that stand: the newest of each id over all segments, up to `high`."""
    places: list[Sequence[int]] = []
    ids: set[bytes] = set()
    count = 0
    longest = max(segments, key=lambda one: len(one.ids), default=None)
    apart = True  # no id stands twice
    for segment in segments:
        own: Sequence[int] = range(len(segment.ids))
        if segment.high > high:
            own = [place for place in own if segment.seqs[place] <= high]
            ids.update([segment.ids[place] for place in own])
            count += len(own)
        elif segment is longest:  # its ids are in a table already
            apart = len(segment.last) == len(segment.ids)
        else:
            ids.update(segment.ids)
            count += len(own)
        places.append(own)
    if longest is not None and longest.high <= high:
        apart = apart and ids.isdisjoint(longest.last)
    if apart and len(ids) == count:
        return [
            [place for place in own if place not in segment.gone] if segment.gone else own
            for segment, own in zip(segments, places, strict=True)
        ]
    found: list[Sequence[int]] = [[] for _ in segments]
    for number, place in sorted(_last(segments, places)):
        found[number].append(place)  # type: ignore[attr-defined]
    return found


def _last(
    segments: Sequence[Segment], places: Sequence[Sequence[int]]
) -> Iterable[tuple[int, int]]:
    """(segment, place) of the newest of each id that is not gone."""
    last: dict[bytes, tuple[int, int]] = {}
    for _, _, number, place in sorted(
        (segment.seqs[place], place not in segment.gone, number, place)
        for number, (segment, own) in enumerate(zip(segments, places, strict=True))
        for place in own
    ):
        last[segments[number].ids[place]] = (number, place)
    return [(n, place) for n, place in last.values() if place not in segments[n].gone]


def places_of(segments: Sequence[Segment], wanted: Collection[bytes]) -> list[tuple[int, int]]:
    """(segment, place) at which each of these ids stands, as `standing_places` would say."""
    wanted = frozenset(wanted)
    some: list[Sequence[int]] = []
    for segment in segments:
        own = sorted(segment.last[id] for id in wanted if id in segment.last)
        if own and len(segment.last) < len(segment.ids):
            own = [place for place, id in enumerate(segment.ids) if id in wanted]
        some.append(own)
    return list(_last(segments, some))


def standing(segments: Sequence[Segment], high: int = 2**62) -> list[tuple[Nature, Entry]]:
    """The newest entry of each id over all segments, in order of sequence number."""
    found = [
        (segment.natures[segment.which[place]], segment.entry(place))
        for segment, places in zip(segments, standing_places(segments, high), strict=True)
        for place in places
    ]
    found.sort(key=lambda pair: pair[1].seq)
    return found
