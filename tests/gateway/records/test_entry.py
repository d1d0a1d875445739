"""The manifest: entries come back as they were packed, and the newest of each id stands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records.entry import (
    Entry,
    Nature,
    Segment,
    pack_head,
    pack_segment,
    places_of,
    standing,
    standing_places,
    unpack_head,
    unpack_segment,
)

texts = st.text(max_size=8)
instants = st.one_of(st.none(), st.integers(-(2**60), 2**60))
natures = st.builds(
    Nature,
    type=st.sampled_from(["Observation", "Patient", "Condition"]),
    source=texts,
    codes=st.tuples(texts),
    categories=st.lists(texts, max_size=2).map(tuple),
    confidentiality=st.sampled_from("ULMNRV"),
    sensitivities=st.lists(texts, max_size=3).map(tuple),
    authors=st.lists(texts, max_size=2).map(tuple),
    status=texts,
    labels=texts,
    tier=st.integers(0, 3),
)
entries = st.builds(
    Entry,
    id=st.binary(min_size=16, max_size=16),
    version=st.integers(1, 2**31),
    seq=st.integers(0, 2**60),
    nature=st.just(0),
    start=instants,
    end=instants,
    filed=st.integers(0, 2**60),
    clock=st.integers(0, 2**60),
    links=st.lists(st.tuples(texts, st.binary(min_size=16, max_size=16)), max_size=3).map(tuple),
    digest=st.one_of(st.just(b""), st.binary(min_size=16, max_size=16).filter(any)),
    length=st.integers(0, 2**40),
    gone=st.booleans(),
    disputed=st.booleans(),
)


@given(natures, entries)
def test_a_head_comes_back_as_it_was(nature: Nature, entry: Entry) -> None:
    head = unpack_head(pack_head(nature, entry))
    assert (head.nature, head.entry) == (nature, entry)


@given(st.lists(st.tuples(natures, entries), max_size=12))
def test_a_segment_comes_back_as_it_was_and_tells_each_nature_once(
    pairs: list[tuple[Nature, Entry]],
) -> None:
    segment = unpack_segment(pack_segment(pairs))
    again = [
        (segment.natures[e.nature], msgspec.structs.replace(e, nature=0)) for e in segment.entries
    ]
    assert again == pairs
    assert list(segment.entries) == [segment.entry(place) for place in range(len(pairs))]
    assert len(set(segment.natures)) == len(segment.natures)


@given(st.binary(max_size=40))
def test_other_bytes_are_refused_not_guessed(plain: bytes) -> None:
    for unpack in (unpack_head, unpack_segment):
        try:
            unpack(plain)
        except msgspec.DecodeError:
            continue


A = Nature("Observation", "people")
B = Nature("Observation", "people", confidentiality="R", tier=2)


def entry(id: int, seq: int, **more: object) -> Entry:
    return Entry(id=id.to_bytes(16), version=seq, seq=seq, nature=0, **more)  # type: ignore[arg-type]


def segment(*pairs: tuple[Nature, Entry]) -> Segment:
    return unpack_segment(pack_segment(pairs))


def seen(*segments: Segment) -> list[tuple[int, int, str]]:
    return [(int.from_bytes(e.id), e.seq, n.confidentiality) for n, e in standing(segments)]


def test_the_newest_of_each_id_stands_in_order_of_sequence() -> None:
    one = segment((A, entry(1, 1)), (A, entry(2, 2)))
    two = segment((A, entry(1, 3)))
    assert seen(one, two) == seen(two, one) == [(2, 2, "N"), (1, 3, "N")]


def test_also_within_one_segment() -> None:
    assert seen(segment((A, entry(1, 1)), (A, entry(2, 2)), (B, entry(1, 3)))) == [
        (2, 2, "N"),
        (1, 3, "R"),
    ]


def test_what_moved_to_another_tier_is_shown_there_and_only_there() -> None:
    general = segment((A, entry(1, 1)), (A, entry(2, 2)))
    moved = segment((A, entry(1, 3, gone=True)))
    restricted = segment((B, entry(1, 3)))
    assert seen(general, moved, restricted) == [(2, 2, "N"), (1, 3, "R")]
    assert seen(restricted, moved, general) == [(2, 2, "N"), (1, 3, "R")]


def test_whoever_cannot_open_the_other_tier_sees_nothing_of_it() -> None:
    general = segment((A, entry(1, 1)), (A, entry(1, 3, gone=True)))
    assert seen(general) == []
    assert seen(segment((A, entry(1, 1))), segment((A, entry(1, 3, gone=True)))) == []


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=20),
    st.lists(st.integers(1, 20), max_size=4),
)
def test_how_it_is_cut_into_segments_does_not_matter(
    said: list[tuple[int, bool]], cuts: Sequence[int]
) -> None:
    pairs = [(A, entry(id, seq, gone=gone)) for seq, (id, gone) in enumerate(said, start=1)]
    places = [0, *sorted(cut for cut in set(cuts) if cut < len(pairs)), len(pairs)]
    pieces = [segment(*pairs[a:b]) for a, b in pairwise(places)]
    expected = {}
    for seq, (id, gone) in enumerate(said, start=1):
        expected.pop(id, None)
        expected[id] = None if gone else seq
    assert [(id, seq) for id, seq, _ in seen(*pieces)] == [
        (id, seq) for id, seq in expected.items() if seq is not None
    ]


def test_a_nature_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        A.source = "tcm"  # type: ignore[misc]


def test_a_large_segment_of_one_message_after_another_takes_few_bytes_an_entry() -> None:
    encounter = bytes(range(16))
    pairs = [
        (
            A,
            Entry(
                id=(number * 7919 << 64).to_bytes(16),
                version=1,
                seq=number,
                nature=0,
                start=1_770_000_000_000_000 + number // 20 * 86_400_000_000,
                end=1_770_000_001_000_000 + number // 20 * 86_400_000_000,
                filed=1_780_000_000_000_000,
                clock=1_770_000_100_000_000 + number // 20 * 86_400_000_000,
                links=(("encounter", encounter), ("specimen", (number // 20).to_bytes(16))),
                digest=b"d" * 16,
                length=1_750,
            ),
        )
        for number in range(1, 251)
    ]
    assert len(pack_segment(pairs)) < 80 * len(pairs)


few = st.lists(
    st.lists(
        st.tuples(st.sampled_from([b"a" * 16, b"b" * 16, b"c" * 16, b"d" * 16]), st.booleans()),
        max_size=5,
    ),
    max_size=4,
)


@given(few, st.integers(0, 20))
def test_what_stands_is_the_newest_of_each_id_however_the_segments_lie(
    told: list[list[tuple[bytes, bool]]], high: int
) -> None:
    numbers = iter(range(1, 100))
    segments = [
        _packed([Entry(id, 1, next(numbers), 0, gone=gone) for id, gone in own]) for own in told
    ]
    newest: dict[bytes, tuple[int, int, bool]] = {}
    every: dict[bytes, tuple[int, int, bool]] = {}
    for number, segment in enumerate(segments):
        for place, id in enumerate(segment.ids):
            every[id] = number, place, place in segment.gone
            if segment.seqs[place] <= high:
                newest[id] = every[id]
    found = [
        (number, place)
        for number, places in enumerate(standing_places(segments, high))
        for place in places
    ]
    assert found == sorted((n, place) for n, place, gone in newest.values() if not gone)
    wanted = {b"a" * 16, b"c" * 16, b"x" * 16}
    assert sorted(places_of(segments, wanted)) == sorted(
        (n, place) for id, (n, place, gone) in every.items() if id in wanted and not gone
    )


def _packed(entries: list[Entry]) -> Segment:
    return unpack_segment(pack_segment((Nature("Observation", "people"), one) for one in entries))
