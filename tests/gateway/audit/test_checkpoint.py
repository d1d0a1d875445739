"""Checkpoints are C2SP signed notes, and only the pinned key of the pinned log is believed."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import checkpoint, note
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.note import Key, NoteFault

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KEY = Key("gateway.example/yunxi", PRIVATE.public_key().public_bytes_raw())
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
HEAD = Checkpoint(KEY.name, 20852163, b"r" * 32, 1_772_400_000_000_000, b"p" * 32)
SIGNED = checkpoint.sign(HEAD, KEY, PRIVATE.sign)


def fault(signed: bytes, key: Key = KEY) -> str:
    with pytest.raises(NoteFault) as raised:
        checkpoint.read(signed, key)
    return raised.value.code


def test_the_note_of_gos_documentation_is_read():
    """golang.org/x/mod/sumdb/note: other people's note, key and signature."""
    key = Key.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    signed = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
        "otpRZb6KE6RyyBwJnAM=\n"
    ).encode()
    assert note.read(signed, [key]).startswith("If you think")
    assert key.text() == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_a_checkpoint_is_written_as_lines_and_read_back():
    lines = SIGNED.decode().split("\n")
    assert lines[:3] == [KEY.name, "20852163", base64.b64encode(b"r" * 32).decode()]
    assert lines[3] == "time 1772400000000000"
    assert lines[5] == ""
    assert lines[6].startswith(f"— {KEY.name} ")
    assert checkpoint.read(SIGNED, KEY) == HEAD
    first = Checkpoint(KEY.name, 0, EMPTY_ROOT, 1)
    assert checkpoint.read(checkpoint.sign(first, KEY, PRIVATE.sign), KEY) == first


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
@settings(max_examples=500, deadline=None)
def test_no_byte_of_a_checkpoint_can_be_changed(at, difference):
    changed = SIGNED[:at] + bytes([SIGNED[at] ^ difference]) + SIGNED[at + 1 :]
    with pytest.raises(NoteFault):
        checkpoint.read(changed, KEY)


def test_a_witness_may_sign_under_it_and_its_line_is_passed_over():
    witness = Key("health.example/commission", OTHER.public_key().public_bytes_raw())
    both = SIGNED + note.signature_line(witness, OTHER.sign(HEAD.text().encode()))
    assert checkpoint.read(both, KEY) == HEAD
    assert note.read(both, [witness]) == HEAD.text()


def test_another_key_under_the_same_name_is_unknown():
    impostor = Key(KEY.name, OTHER.public_key().public_bytes_raw())
    assert fault(checkpoint.sign(HEAD, impostor, OTHER.sign)) == "unknown-key"


def test_the_right_key_signing_wrongly_spoils_the_whole_note():
    wrong = note.write(HEAD.text(), KEY, lambda text: OTHER.sign(text))
    assert fault(wrong) == "bad-signature"
    assert fault(SIGNED + wrong.split(b"\n\n")[1]) == "bad-signature"
    assert fault(note.write(HEAD.text(), KEY, lambda text: b"short")) == "bad-signature"


def test_a_log_cannot_speak_for_another():
    other = Checkpoint("gateway.example/elsewhere", 5, b"r" * 32, 7)
    with pytest.raises(ValueError):
        checkpoint.sign(other, KEY, PRIVATE.sign)
    assert fault(note.write(other.text(), KEY, PRIVATE.sign)) == "other-origin"


GOOD = HEAD.text()


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("20852163", "020852163"),
        GOOD.replace("20852163", "-1"),
        GOOD.replace("20852163", "２０"),
        GOOD.replace("20852163", "0"),
        GOOD.replace("time ", "time  "),
        GOOD.replace("time 1", "Time 1"),
        GOOD.replace("previous", "before"),
        GOOD + "more\n",
        GOOD.replace("cnJycnI=", "cnJycnJ="),
        "\n".join(GOOD.split("\n")[:3]) + "\n",
        "x\n",
    ],
)
def test_a_signed_text_that_is_not_exactly_a_checkpoint_is_refused(text):
    assert fault(note.write(text, KEY, PRIVATE.sign)) == "malformed"


@pytest.mark.parametrize(
    "signed",
    [
        b"", b"\n\n", b"text\n", SIGNED[:-1], SIGNED.replace(b"\n", b"\r\n"),
        SIGNED.replace("—".encode(), b"-"), b"\xff" + SIGNED, SIGNED + b"\n", b"x" * 200_000,
        SIGNED + SIGNED.split(b"\n\n")[1] * 40,
    ],
)  # fmt: skip
def test_what_is_not_a_note_is_malformed(signed):
    assert fault(signed) == "malformed"


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
     "PeterNeumann+c74f20a3+AhpcMQ==", "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"],
)  # fmt: skip
def test_a_verifier_key_with_a_wrong_id_or_type_is_refused(text):
    with pytest.raises(ValueError):
        Key.parse(text)
