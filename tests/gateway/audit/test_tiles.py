"""Tiles and bundles are those of C2SP tlog-tiles."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import merkle, tiles
from gateway.audit.tiles import Tile

SIZE = 70_000


@cache
def get(level: int, index: int) -> bytes:
    if (index + 1) << level > SIZE:
        raise LookupError
    if level == 0:
        return merkle.leaf_hash(index.to_bytes(4, "big"))
    return merkle.node_hash(get(level - 1, 2 * index), get(level - 1, 2 * index + 1))


def test_a_tree_of_70_000_has_the_tiles_the_specification_says():
    made = list(tiles.tiles_of(SIZE))
    by_level = [[t for t in made if t.level == level] for level in range(3)]
    assert [len(level) for level in by_level] == [274, 2, 1]
    assert [level[-1].width for level in by_level] == [112, 17, 1]
    assert list(tiles.tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles.tiles_of(0)) == []


def test_names_are_written_as_the_specification_writes_them():
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(3, 7, 17).path == "tile/3/007.p/17"
    assert Tile(0, 1000, 5).entries_path == "tile/entries/x001/000.p/5"


@given(st.integers(0, 63), st.integers(0, 10**9), st.integers(1, 256))
def test_a_name_read_gives_the_tile_back(level, number, width):
    tile = Tile(level, number, width)
    assert tiles.parse_path(tile.path) == (tile, False)
    bundle = Tile(0, number, width)
    assert tiles.parse_path(bundle.entries_path) == (bundle, True)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0", "tile/0/0001", "tile/0/x000/001", "tile/00/001", "tile/64/001",
        "tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/300", "tile/0/001.p/01",
        "tile/0/x1/001", "tile/-1/001", "tile/entries/x001", "/tile/0/001", "tile/0/001/",
        "tile/0/../001", "tile/0/００１", "",
    ],
)  # fmt: skip
def test_other_spellings_of_a_name_are_refused(path):
    with pytest.raises(ValueError):
        tiles.parse_path(path)


def test_everything_can_be_proven_from_tiles_alone():
    files = {tile.path: tiles.build(tile, get) for tile in tiles.tiles_of(SIZE)}
    from_tiles = tiles.hashes_of(lambda tile: files[tile.path], SIZE)
    root = merkle.root(SIZE, get)
    assert merkle.root(SIZE, from_tiles) == root
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, SIZE - 1):
        proof = merkle.inclusion_proof(index, SIZE, from_tiles)
        assert merkle.verify_inclusion(get(0, index), index, SIZE, proof, root)
    for old in (1, 256, 65_536, 69_999):
        proof = merkle.consistency_proof(old, SIZE, from_tiles)
        assert merkle.verify_consistency(old, SIZE, merkle.root(old, get), root, proof)


def test_growing_writes_only_the_tiles_that_changed():
    grown = set(tiles.tiles_of(70_000, since=69_999))
    assert grown == {Tile(0, 273, 112)}
    assert set(tiles.tiles_of(512, since=511)) == {Tile(0, 1), Tile(1, 0, 2)}
    assert list(tiles.tiles_of(512, since=512)) == []


def test_a_damaged_or_absent_tile_is_no_hash():
    files = {tile.path: tiles.build(tile, get) for tile in tiles.tiles_of(300)}
    for damage in (b"", files["tile/0/000"][:-1], files["tile/0/000"] + b"x"):
        broken = tiles.hashes_of(
            lambda tile, files=files | {"tile/0/000": damage}: files[tile.path], 300
        )
        with pytest.raises(LookupError):
            broken(0, 3)
    whole = tiles.hashes_of(lambda tile: files[tile.path], 300)
    for level, index in [(0, 300), (3, 37), (8, 1), (16, 0)]:
        with pytest.raises(LookupError):
            whole(level, index)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_read_gives_the_entries_back(entries):
    data = tiles.bundle(entries)
    assert tiles.parse_bundle(data, len(entries)) == entries
    for cut in {1, len(data) // 2, len(data) - 1} - {len(data)}:
        with pytest.raises(ValueError):
            tiles.parse_bundle(data[:cut], len(entries))
    with pytest.raises(ValueError):
        tiles.parse_bundle(data + b"\x00\x00", len(entries))


def test_a_bundle_cannot_hold_what_two_bytes_cannot_measure():
    assert tiles.parse_bundle(tiles.bundle([b"x" * 65_535]), 1) == [b"x" * 65_535]
    for entries in ([], [b"x" * 65_536], [b""] * 257):
        with pytest.raises(ValueError):
            tiles.bundle(entries)
