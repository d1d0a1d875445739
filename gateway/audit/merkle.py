"""The Merkle tree of RFC 6962: append, root, inclusion and consistency proofs.

A leaf is hashed behind a 0x00 byte and a node behind 0x01 (RFC 6962, section 2.1), so that no leaf
can be passed off as a node. Proofs are made from a `Hashes` source, which knows only complete
subtrees; whatever stands behind it (tiles, a table, a list) never has to be trusted, because each
proof is checked against a signed root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Hashes = Callable[[int, int], bytes]
"""`get(level, index)`: root of the complete subtree of 2**level leaves from leaf index << level.

Raises LookupError when that subtree is not complete or not at hand.
"""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry: SHA-256(0x00 ‖ data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: enough to append and to give the root, O(log n) in size.

    Holds one hash for each 1 bit of the size: the complete subtrees from the left, largest first.
    """

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(nodes) != size.bit_count():
            raise ValueError("a frontier has one hash for each 1 bit of its size")
        if any(len(node) != HASH_BYTES for node in nodes):
            raise ValueError("a frontier holds SHA-256 hashes")
        self.size = size
        self.nodes = list(nodes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf *hash* (not its data) at the right."""
        size, nodes = self.size, self.nodes
        self.size = size + 1
        while size & 1:
            leaf = sha256(b"\x01" + nodes.pop() + leaf).digest()
            size >>= 1
        nodes.append(leaf)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The root of the tree so far; SHA-256 of nothing for the empty tree."""
        return _fold(self.nodes)

    def copy(self) -> Frontier:
        """An independent frontier of the same tree."""
        return Frontier(self.size, self.nodes)

    def encode(self) -> bytes:
        """Eight bytes of size, big-endian, then the hashes; `decode` gives the same frontier."""
        return self.size.to_bytes(8, "big") + b"".join(self.nodes)

    @classmethod
    def decode(cls, data: bytes) -> Frontier:
        """The frontier that `encode` wrote; ValueError for anything else."""
        if len(data) < 8 or (len(data) - 8) % HASH_BYTES:
            raise ValueError("not an encoded frontier")
        nodes = [data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES)]
        return cls(int.from_bytes(data[:8], "big"), nodes)

    @classmethod
    def of(cls, size: int, get: Hashes) -> Frontier:
        """The frontier of the first `size` leaves, read from a source of hashes."""
        return cls(size, [get(level, index) for level, index in _complete(0, size)])


def _fold(nodes: Sequence[bytes]) -> bytes:
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = sha256(b"\x01" + node + root).digest()
    return root


def _complete(start: int, end: int) -> list[tuple[int, int]]:
    """The complete subtrees that make up leaves start..end; start must be aligned to the range."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append((level, start >> level))
        start += 1 << level
    return parts


def _range(start: int, end: int, get: Hashes) -> bytes:
    """MTH(D[start:end]) for a range that RFC 6962 splits off, so start is aligned to it."""
    return _fold([get(level, index) for level, index in _complete(start, end)])


def root(size: int, get: Hashes) -> bytes:
    """The root over the first `size` leaves."""
    return _range(0, size, get)


def inclusion_proof(index: int, size: int, get: Hashes) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError("the tree does not hold this index")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        if index < middle:
            path.append(_range(middle, end, get))
            end = middle
        else:
            path.append(_range(start, middle, get))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, get: Hashes) -> list[bytes]:
    """Proof that the tree of `new` leaves begins with that of `old` (RFC 6962, section 2.1.2).

    Empty for old == new and for old == 0, where there is nothing to prove.
    """
    if not 0 <= old <= new:
        raise ValueError("a tree only grows")
    if old in (0, new):
        return []
    path = []
    start, end = 0, new
    whole = True  # the old tree is the left edge itself: its root is known to the verifier
    while old != end:
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        if old <= middle:
            path.append(_range(middle, end, get))
            end = middle
        else:
            path.append(_range(start, middle, get))
            start = middle
            whole = False
    if not whole:
        path.append(_range(start, end, get))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Does the tree (`size`, `root`) hold the leaf hash at `index`? RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size or not _hashes(leaf, root, *proof):
        return False
    place, last, found = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(node, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, node)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Does the tree (`new`, `new_root`) begin with (`old`, `old_root`)? RFC 9162, 2.1.4.2.

    Every tree begins with the empty one, which has one root only and needs no proof.
    """
    if not 0 <= old <= new or not _hashes(old_root, new_root, *proof):
        return False
    if old == 0:
        empty = new > 0 or new_root == EMPTY_ROOT
        return empty and not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:  # a complete tree is its own first node
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(node, before), node_hash(node, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, node)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
