"""The tree is the one of RFC 6962, and no proof but the right one is believed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import merkle
from gateway.audit.merkle import EMPTY_ROOT, Frontier

LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(64)]


def plain(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, section 2.1 defines it, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + plain(leaves[:split]) + plain(leaves[split:])).digest()


ROOTS = [plain(LEAVES[:size]) for size in range(65)]


def get(level: int, index: int) -> bytes:
    part = LEAVES[index << level : (index + 1) << level]
    if len(part) != 1 << level:
        raise LookupError
    return plain(part)


def test_the_known_roots_of_rfc_6962_come_out():
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    frontier = Frontier()
    frontier.extend(merkle.leaf_hash(bytes.fromhex(data)) for data in inputs)
    assert EMPTY_ROOT.hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert merkle.leaf_hash(b"").hex().startswith("6e340b9cffb37a989ca544e6bb780a2c")
    # certificate-transparency-go's reference tree, size 7
    assert (
        frontier.root().hex() == "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"
    )


def test_the_frontier_gives_every_root_and_survives_writing_down():
    frontier = Frontier()
    for size in range(65):
        assert frontier.root() == ROOTS[size] == merkle.root(size, get)
        assert Frontier.decode(frontier.encode()).root() == ROOTS[size]
        assert Frontier.of(size, get).nodes == frontier.nodes
        if size < 64:
            frontier.append(LEAVES[size])


def test_every_inclusion_proof_up_to_64_holds_for_its_own_leaf_and_place_only():
    for size in range(1, 65):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, get)
            assert merkle.verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            for other in {0, index - 1, index + 1, size - 1, size} - {index}:
                assert not merkle.verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
            assert not merkle.verify_inclusion(
                LEAVES[index - 1 or -1], index, size, proof, ROOTS[size]
            )


def test_every_consistency_proof_up_to_64_holds_for_its_own_sizes_only():
    for new in range(65):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, get)
            assert merkle.verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)
            if 0 < old < new:
                for wrong in {old - 1, old + 1} - {new, 0}:
                    assert not merkle.verify_consistency(wrong, new, ROOTS[old], ROOTS[new], proof)
                    assert not merkle.verify_consistency(old, new, ROOTS[wrong], ROOTS[new], proof)


@given(
    st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_any_flipped_bit_dropped_or_added_node_spoils_an_inclusion_proof(place, data):
    size, index = place
    proof = merkle.inclusion_proof(index, size, get)
    spoilt = _spoil(proof, data)
    assert not merkle.verify_inclusion(LEAVES[index], index, size, spoilt, ROOTS[size])


@given(
    st.integers(2, 64).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n))), st.data()
)
@settings(max_examples=300, deadline=None)
def test_any_flipped_bit_dropped_or_added_node_spoils_a_consistency_proof(sizes, data):
    old, new = sizes
    spoilt = _spoil(merkle.consistency_proof(old, new, get), data)
    assert not merkle.verify_consistency(old, new, ROOTS[old], ROOTS[new], spoilt)


def _spoil(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    spoilt = list(proof)
    way = data.draw(st.sampled_from(["flip", "drop", "add", "cut"] if proof else ["add"]))
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if way == "flip":
        byte = data.draw(st.integers(0, 31))
        spoilt[at] = spoilt[at][:byte] + bytes([spoilt[at][byte] ^ 1]) + spoilt[at][byte + 1 :]
    elif way == "drop":
        del spoilt[at]
    elif way == "cut":
        spoilt[at] = spoilt[at][:-1]
    else:
        spoilt.insert(at, LEAVES[5])
    return spoilt


def test_a_node_cannot_be_passed_off_as_a_leaf():
    node = ROOTS[2]
    as_leaf = merkle.leaf_hash(LEAVES[0] + LEAVES[1])
    assert as_leaf != node
    # The two-leaf subtree offered as one leaf of a two-leaf tree (second preimage).
    assert not merkle.verify_inclusion(as_leaf, 0, 2, [plain(LEAVES[2:4])], ROOTS[4])


def test_the_empty_tree_holds_nothing_and_begins_every_tree():
    assert not merkle.verify_inclusion(LEAVES[0], 0, 0, [], EMPTY_ROOT)
    assert not merkle.verify_inclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)
    assert merkle.verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert not merkle.verify_consistency(0, 0, ROOTS[1], ROOTS[1], [])
    assert not merkle.verify_consistency(0, 5, ROOTS[1], ROOTS[5], [])
    assert not merkle.verify_consistency(0, 5, EMPTY_ROOT, ROOTS[5], [ROOTS[1]])
    assert not merkle.verify_consistency(5, 4, ROOTS[5], ROOTS[4], [])
    assert not merkle.verify_consistency(1, 2, ROOTS[1], ROOTS[2], [])


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 7, b"\x00" * 40, (3).to_bytes(8, "big") + b"x" * 32]
)
def test_a_frontier_with_the_wrong_number_of_hashes_is_refused(data):
    with pytest.raises(ValueError):
        Frontier.decode(data)


def test_a_proof_outside_the_tree_is_not_made():
    for index, size in [(0, 0), (5, 5), (-1, 5)]:
        with pytest.raises(ValueError):
            merkle.inclusion_proof(index, size, get)
    with pytest.raises(ValueError):
        merkle.consistency_proof(3, 2, get)
