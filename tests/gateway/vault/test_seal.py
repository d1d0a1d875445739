"""The seal itself: its written format, its attackers, and what its lengths tell."""

from __future__ import annotations

import hashlib
import os
import struct

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.vault import KeyMissing, SealBroken, VaultError, seal
from gateway.vault.seal import AS_IT_IS, ZSTD, ZSTD_FHIR, Sealer, frame, sub_key

KEY = bytes(range(32))
ALICE = "a" * 32
CHART = "0123456789abcdef" * 2
PLAIN = b'{"resourceType":"Observation","valueQuantity":{"value":6.10,"unit":"mmol/L"}}'
NAME = ("Observation", "fedcba9876543210" * 2, "3")

# Sealed texts of suite 1: chart key KEY, county "yunxi", use "record", CHART, tier 1, generation 7.
VECTORS = {
    AS_IT_IS: (
        "0100000007001061f2404c12708a3596846418bed9c6e87676a0e4dabec6c4522e7876376f398a4520cb"
        "c89fd2b8c1f9bc6f038374a8967ffb795b875e0bfb4fa91e294d7fbcb11503494a79f68a6c24ece38f97"
        "554f17662139511cf89e164d96f8cef19e471654153e32621d107254669fb818c791ece47d65b722d519"
        "cb08a9482b8181d9e0810890e1c29b235676f16305ea7381bc9b0f6f869d9f142c12197e95e1d8055f4e"
        "4e5e9de53eb241c79a636c56d41f62cb10623778053e964fee17aa42e400d92688796e92ab5eaf76e46c"
    ),
    ZSTD: (
        "010000000701dae47a727b2e7ba6292026fcf9edb4c4f2427bc16a59ce8f9fcf603401a1f01aa060bb9b"
        "378d969938c3f6f80dda5eeaa150493103e732b3d73254b32c90a74a5236a9e38aa4c1b1dfe4f572d129"
        "ea4c832321b2f133d499b41bb0de7d972ef19e5f074c51ba0f93b42c601fc134b8ddd33457249ca825b4"
        "4d3460406b9e3fe98b11f38248b6807204362696902362f4a17eca762eebbdb7e805be394c44b13d3c72"
        "e7d3fdc7f565184b8ac9fab99b7083e16d054f62fd41e0811a033d694aba0e592b9b161e025278146e31"
    ),
    ZSTD_FHIR: (
        "010000000702e44a469926eaaaa18518d53f91df92158d815cd50027fee746a47ea9e82cfbbf85a88fa8"
        "c6242e7110c79b55298213830e20168f0d0ad75e52b24d4cf4303debc4f90e9c2045294dd8e132e2a55d"
        "9eac5c97a73f30ec6188702aefea4da8d096f5b1a9725a1f7fe14d947388c4d29c4120f004b4dd917405"
        "1d2cd3504600d730139b9c75497c0acebf4f1e91"
    ),
}


def sealer(key: bytes = KEY, generation: int = 7, **changes: str) -> Sealer:
    told = {"county": "yunxi", "use": "record", "place": CHART, "shelf": "1"} | changes
    return Sealer(**told, keys={generation: sub_key(key, told["use"])})


def read_by_the_book(sealed: bytes, key: bytes, place: tuple[str, ...], name: tuple[str, ...]):
    """A second implementation, from the words at the top of seal.py."""

    def parts(*texts: str) -> bytes:
        return b"".join(struct.pack(">I", len(t.encode())) + t.encode() for t in texts)

    def expand(key: bytes, info: bytes, length: int) -> bytes:
        return HKDFExpand(SHA512(), length, info).derive(key)

    suite, generation, codec, _salt, nonce, commitment = struct.unpack(">BIB16s12s32s", sealed[:66])
    sub = expand(key, parts("health-gateway sub-key", place[1]), 32)
    context = parts("health-gateway seal", *place) + parts(*name) + sealed[:34]
    once = expand(sub, context, 64)
    assert once[32:] == commitment
    padded = AESGCM(once[:32]).decrypt(nonce, sealed[66:], context)
    (length,) = struct.unpack(">I", padded[:4])
    content = padded[4 : 4 + length]
    if codec == 1:
        content = zstandard.ZstdDecompressor().decompress(content)
    if codec == 2:
        book = zstandard.ZstdCompressionDict(seal.DICTIONARY)
        content = zstandard.ZstdDecompressor(dict_data=book).decompress(content)
    return suite, generation, content


@pytest.mark.parametrize("codec", VECTORS)
def test_what_was_sealed_years_ago_still_opens(codec):
    assert sealer().open(bytes.fromhex(VECTORS[codec]), frame(*NAME)) == PLAIN


def test_the_same_randomness_and_content_give_the_published_bytes():
    sealed = sealer().seal_with(bytes(range(32, 64)), PLAIN, frame(*NAME), AS_IT_IS)

    assert sealed.hex() == VECTORS[AS_IT_IS]


@pytest.mark.parametrize("codec", [AS_IT_IS, ZSTD, ZSTD_FHIR])
def test_a_second_implementation_reads_the_format_as_written(codec):
    sealed = sealer().seal(PLAIN, frame(*NAME), codec)

    read = read_by_the_book(sealed, KEY, ("yunxi", "record", CHART, "1"), NAME)

    assert read == (1, 7, PLAIN)


def test_the_dictionary_is_the_one_that_old_records_need():
    # A new dictionary gets a new codec number; these bytes stay.
    assert hashlib.sha256(seal.DICTIONARY).hexdigest() == (
        "26db1d6aae42162bcdc059dbe14a8b2d9865288e55a913c1b6147a72708ccc91"
    )


@given(st.binary(max_size=3_000), st.sampled_from([AS_IT_IS, ZSTD, ZSTD_FHIR]))
def test_what_is_sealed_comes_back_byte_for_byte(plain, codec):
    assert sealer().open(sealer().seal(plain, frame("x"), codec), frame("x")) == plain


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_parts_never_look_alike(some, others):
    assert (frame(*some) == frame(*others)) == (some == others)


def test_a_lone_surrogate_is_bound_like_any_other_text():
    assert frame("\ud800") != frame("?")


places = st.fixed_dictionaries(
    {
        "county": st.sampled_from(["yunxi", "linshui"]),
        "use": st.sampled_from(["record", "manifest", "audit"]),
        "place": st.sampled_from([CHART, ALICE, CHART[:-1]]),
        "shelf": st.sampled_from(["0", "1", "11", ""]),
    }
)
names = st.tuples(
    st.sampled_from(["Observation", "Observatio", "Condition"]),
    st.sampled_from(["fe" * 16, "n" + "fe" * 16, ""]),
    st.sampled_from(["1", "2", "12"]),
)


@given(places, names, places, names, st.integers(1, 3), st.integers(1, 3))
def test_a_sealed_text_opens_at_its_own_place_and_nowhere_else(
    place, name, other_place, other_name, generation, other_generation
):
    assume((place, name, generation) != (other_place, other_name, other_generation))
    sealed = sealer(generation=generation, **place).seal(PLAIN, frame(*name))

    with pytest.raises((SealBroken, KeyMissing)):
        sealer(generation=other_generation, **other_place).open(sealed, frame(*other_name))


def test_a_text_relabelled_with_another_generation_does_not_open_there():
    both = Sealer("yunxi", "record", CHART, "1", {1: KEY, 2: KEY})
    older = Sealer("yunxi", "record", CHART, "1", {1: KEY}).seal(PLAIN, frame(*NAME))
    assert both.open(older, frame(*NAME)) == PLAIN

    moved = older[:1] + (2).to_bytes(4, "big") + older[5:]

    with pytest.raises(SealBroken):
        both.open(moved, frame(*NAME))


def test_no_single_byte_can_be_changed_anywhere():
    sealed = sealer().seal(PLAIN, frame(*NAME), ZSTD_FHIR)
    for place in range(len(sealed)):
        forged = bytearray(sealed)
        forged[place] ^= 1
        with pytest.raises(VaultError):
            sealer().open(bytes(forged), frame(*NAME))


@pytest.mark.parametrize("suite", [0, 2, 255])
def test_another_suite_in_the_header_is_refused(suite):
    sealed = sealer().seal(PLAIN, frame(*NAME))

    with pytest.raises(SealBroken):
        sealer().open(bytes([suite]) + sealed[1:], frame(*NAME))


@given(st.integers(0, 400))
def test_a_cut_text_is_refused_wherever_it_is_cut(length):
    sealed = sealer().seal(PLAIN * 3, frame(*NAME))
    assume(length < len(sealed))

    with pytest.raises(SealBroken):
        sealer().open(sealed[:length], frame(*NAME))


def test_one_text_cannot_be_made_to_open_under_two_keys():
    # GCM alone would allow it: the tag of a forged text can be solved for two keys. Whatever the
    # ciphertext, the commitment in front of it names one key, so the other never gets to the tag.
    other = os.urandom(32)
    sealed = sealer().seal(PLAIN, frame(*NAME))
    context = frame("health-gateway seal", "yunxi", "record", CHART, "1") + frame(*NAME)
    once = HKDFExpand(SHA512(), 64, context + sealed[:34]).derive(sub_key(other, "record"))
    under_other = AESGCM(once[:32]).encrypt(sealed[22:34], bytes(64), context + sealed[:34])

    with pytest.raises(SealBroken):
        sealer(other).open(sealed[:66] + under_other, frame(*NAME))
    assert sealer(other).open(sealed[:34] + once[32:] + under_other, frame(*NAME)) == b""


def test_a_machine_restored_from_a_snapshot_never_uses_a_key_twice(monkeypatch):
    monkeypatch.setattr(os, "urandom", bytes)  # both machines draw the same

    here = sealer().seal(b"kalium 4.1", frame(*NAME))
    there = sealer().seal(b"kalium 7.9", frame(*NAME))

    assert here[6:34] != there[6:34]  # salt and nonce
    assert here[34:66] != there[34:66]  # and so the key


def test_sealing_twice_gives_unlike_bytes():
    assert sealer().seal(PLAIN, b"") != sealer().seal(PLAIN, b"")


def test_lengths_tell_only_steps_of_64():
    lengths = {len(sealer().seal(bytes(n), b"")) for n in range(200)}

    assert lengths == {82 + 64 * steps for steps in (1, 2, 3, 4)}
