"""Statements that a policy is in force: one spelling, two persons, nothing of it can be exchanged."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import charter, note
from gateway.audit.charter import Charter, Key, NoteFault

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = Key("yunxi/policy", SIGNER.public_key().public_bytes_raw())
FIRST = Charter(KEY.name, 1, sha256(b"one").digest(), 1_700_000_000_000_000, "operator")
NEXT = Charter(
    KEY.name, 3, sha256(b"two").digest(), 1_800_000_000_000_000, "p-lin", "p-he", FIRST.digest()
)


def test_what_is_signed_is_read_again_and_says_who() -> None:
    for one in (FIRST, NEXT):
        assert charter.read(charter.sign(one, KEY, SIGNER.sign), KEY) == one
    assert FIRST.founding
    assert not NEXT.founding
    assert "founded-by operator\n" in FIRST.text()
    assert "proposed-by p-lin\napproved-by p-he\n" in NEXT.text()


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_byte_of_a_signed_statement_can_be_changed(place: int, by: int) -> None:
    signed = bytearray(charter.sign(NEXT, KEY, SIGNER.sign))
    signed[place % len(signed)] ^= by

    with pytest.raises(NoteFault):
        charter.read(bytes(signed), KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"approved_by": ""},
        {"approved_by": "p-lin"},  # one person alone
        {"proposed_by": ""},
        {"number": 0},
        {"proposed_by": "a\nb"},
        {"origin": "other/policy"},
    ],
)
def test_what_two_persons_did_not_say_is_not_signed_and_not_read(change: dict[str, object]) -> None:
    wrong = msgspec.structs.replace(NEXT, **change)

    with pytest.raises(ValueError):
        charter.sign(wrong, KEY, SIGNER.sign)
    if "\n" not in wrong.proposed_by:  # also where somebody else's program signed it
        with pytest.raises(NoteFault):
            charter.read(note.write(wrong.text(), KEY, SIGNER.sign), KEY)


def test_another_countys_statement_is_not_ours() -> None:
    theirs = Key("linshui/policy", KEY.public)
    signed = charter.sign(msgspec.structs.replace(FIRST, origin=theirs.name), theirs, SIGNER.sign)

    with pytest.raises(NoteFault):
        charter.read(signed, KEY)
