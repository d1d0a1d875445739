"""Signed checkpoints of the log (C2SP tlog-checkpoint): its name, size and root at one moment.

Two extension lines of ours follow the root: `time <microseconds UTC>`, and `previous <base64>`, the
SHA-256 of the text of the checkpoint before, so that a printed series can be followed by eye. They
are signed, but only the size and root are evidence: a monitor cannot audit what an extension says.
"""

from __future__ import annotations

import base64
import re
from hashlib import sha256

import msgspec

from gateway.audit import note
from gateway.audit.merkle import EMPTY_ROOT, HASH_BYTES
from gateway.audit.note import Key, NoteFault, Sign

__all__ = ["Checkpoint", "Key", "NoteFault", "Sign", "read", "read_text", "sign"]

_SIZE = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)


class Checkpoint(msgspec.Struct, frozen=True):
    """What the log stood for at `at`: its first `size` entries have this `root`.

    `previous` is the SHA-256 of the text of the checkpoint before it, None for the first.
    """

    origin: str
    size: int
    root: bytes
    at: int  # µs UTC
    previous: bytes | None = None

    def text(self) -> str:
        """The note text that is signed."""
        lines = [self.origin, str(self.size), _base64(self.root), f"time {self.at}"]
        if self.previous is not None:
            lines.append(f"previous {_base64(self.previous)}")
        return "\n".join(lines) + "\n"

    def digest(self) -> bytes:
        """What the next checkpoint names as its `previous`."""
        return sha256(self.text().encode()).digest()


def sign(checkpoint: Checkpoint, key: Key, signer: Sign) -> bytes:
    """The signed note. The log signs under its own name: the key's name must be the origin."""
    if key.name != checkpoint.origin:
        raise ValueError("a log signs under its own origin")
    if read_text(checkpoint.text()) != checkpoint:
        raise ValueError("not a checkpoint that can be written")
    return note.write(checkpoint.text(), key, signer)


def read(signed: bytes, key: Key) -> Checkpoint:
    """The checkpoint, if the log `key` names signed it for itself.

    Raises NoteFault: malformed, unknown-key, bad-signature, or other-origin when the signature is
    good but the text speaks for another log.
    """
    checkpoint = read_text(note.read(signed, [key]))
    if checkpoint.origin != key.name:
        raise NoteFault("other-origin")
    return checkpoint


def read_text(text: str) -> Checkpoint:
    """The checkpoint a note text holds, unverified; NoteFault `malformed` unless exactly ours."""
    lines = text.split("\n")
    if len(lines) not in (5, 6) or lines[-1] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise NoteFault("malformed")
    word, _, at = lines[3].partition(" ")
    if word != "time" or not _SIZE.fullmatch(at):
        raise NoteFault("malformed")
    previous = None
    if len(lines) == 6:
        word, _, encoded = lines[4].partition(" ")
        if word != "previous":
            raise NoteFault("malformed")
        previous = _hash(encoded)
    checkpoint = Checkpoint(lines[0], int(lines[1]), _hash(lines[2]), int(at), previous)
    # One spelling only (base64 has several for the same bytes), and one empty tree.
    if checkpoint.text() != text or (checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT):
        raise NoteFault("malformed")
    return checkpoint


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _hash(encoded: str) -> bytes:
    try:
        value = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise NoteFault("malformed") from None
    if len(value) != HASH_BYTES:
        raise NoteFault("malformed")
    return value
