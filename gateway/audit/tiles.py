"""The log as static files: C2SP tlog-tiles, 256 hashes a tile, 256 entries a bundle.

Tiles are named as the specification names them (`tile/0/x001/234.p/17`), so any tool that reads
such logs can read ours. Only levels 8·L of the tree are kept; the seven between are computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gateway.audit.merkle import HASH_BYTES, Hashes, node_hash

WIDTH = 256
MAX_ENTRY = 0xFFFF


class Tile(NamedTuple):
    """One tile: its level (0: leaf hashes), its number in the level, how many hashes it has."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where the hashes lie: tile/<L>/<N>[.p/<W>]."""
        return f"tile/{self.level}/{self._place()}"

    @property
    def entries_path(self) -> str:
        """Where the entry bundle of a level-0 tile lies: tile/entries/<N>[.p/<W>]."""
        return f"tile/entries/{self._place()}"

    def _place(self) -> str:
        digits = f"{self.number:d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return name if self.width == WIDTH else f"{name}.p/{self.width}"


_PATH = re.compile(
    r"tile/(entries|0|[1-9]\d?)/((?:x\d{3}/)*)(\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII
)


def parse_path(path: str) -> tuple[Tile, bool]:
    """The tile a path names, and whether it is the entry bundle; ValueError when it names none."""
    found = _PATH.fullmatch(path)
    if not found:
        raise ValueError("not the path of a tile")
    level, upper, last, width = found.groups()
    tile = Tile(
        0 if level == "entries" else int(level),
        int(upper.replace("x", "").replace("/", "") + last),
        int(width or WIDTH),
    )
    # Writing it again settles what the pattern leaves open: leading zero groups, width 256.
    written = tile.entries_path if level == "entries" else tile.path
    if written != path or tile.level > 63 or tile.width > WIDTH:
        raise ValueError("not the path of a tile")
    return tile, level == "entries"


def tile_at(level: int, index: int, size: int) -> Tile:
    """The tile of a tree of `size` leaves: full, partial, or LookupError when there is none."""
    width = min(WIDTH, (size >> 8 * level) - index * WIDTH)
    if width <= 0:
        raise LookupError("the tree has no such tile")
    return Tile(level, index, width)


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """Every tile of the tree of `size` leaves that differs from the tree of `since` leaves."""
    level = 0
    while size >> 8 * level:
        hashes = size >> 8 * level
        known = since >> 8 * level
        if hashes > known:
            for index in range(known // WIDTH, -(-hashes // WIDTH)):
                yield tile_at(level, index, size)
        level += 1


def build(tile: Tile, get: Hashes) -> bytes:
    """The bytes of one tile, from a source that knows its hashes."""
    start = tile.number * WIDTH
    return b"".join(get(8 * tile.level, start + at) for at in range(tile.width))


def parse(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile; ValueError when its length is not that of `width` hashes."""
    if not 1 <= width <= WIDTH or len(data) != width * HASH_BYTES:
        raise ValueError("the tile has the wrong length")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry behind its length in two bytes, big-endian."""
    if not 1 <= len(entries) <= WIDTH or any(len(entry) > MAX_ENTRY for entry in entries):
        raise ValueError("a bundle holds 1 to 256 entries of at most 65535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle; ValueError when it is cut off or holds another number of them."""
    entries = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise ValueError("the entry bundle is cut off")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise ValueError("the entry bundle holds another number of entries")
    return entries


def hashes_of(read: Callable[[Tile], bytes], size: int) -> Hashes:
    """A source of hashes over the tiles of a tree of `size` leaves.

    `read` gives a tile's bytes, or raises LookupError; a damaged tile counts as absent. The last tile read of each level is kept,
    so that walking from left to right reads each tile once.
    """
    kept: dict[int, tuple[int, list[bytes]]] = {}  # level of tiles: first hash held, the hashes

    def get(level: int, index: int) -> bytes:
        row, within = divmod(level, 8)
        first, count = index << within, 1 << within
        start, hashes = kept.get(row, (0, _NONE))
        if not start <= first < start + len(hashes):
            tile = tile_at(row, first // WIDTH, size)
            try:
                start, hashes = tile.number * WIDTH, parse(read(tile), tile.width)
            except ValueError:
                raise LookupError("the stored tile is damaged") from None
            kept[row] = start, hashes
        if first + count > start + len(hashes):
            raise LookupError("this subtree is not complete")
        return _up(hashes[first - start : first - start + count])

    return get


_NONE: list[bytes] = []


def _up(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]
