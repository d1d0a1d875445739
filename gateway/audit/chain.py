"""Signed entries of a register that only grows: each covers its row and the entry before it.

One key checks the whole line; none of it can be left out, altered or put in another's place, and the
number and digest of the last entry, kept elsewhere, show that nothing was cut off (C2SP signed-note).
"""

from __future__ import annotations

import base64
from hashlib import sha256

import msgspec

from gateway.audit import note
from gateway.audit.note import Key, NoteFault, Sign

__all__ = ["Entry", "Key", "NoteFault", "Sign", "read", "sign"]


class Entry(msgspec.Struct, frozen=True):
    """Entry `number` stands for a row with this SHA-256; the first has no `previous`."""

    origin: str
    number: int
    hash: bytes
    previous: bytes | None = None

    def text(self) -> str:
        """The note text that is signed."""
        lines = [self.origin, f"event {self.number}", f"sha256 {self.hash.hex()}"]
        if self.previous is not None:
            lines.append(f"previous {base64.b64encode(self.previous).decode()}")
        return "\n".join(lines) + "\n"

    def digest(self) -> bytes:
        """What the next entry names as its `previous`."""
        return sha256(self.text().encode()).digest()


def sign(entry: Entry, key: Key, signer: Sign) -> bytes:
    """The signed note; ValueError unless the key is the register's own."""
    if key.name != entry.origin:
        raise ValueError("another register's key")
    return note.write(entry.text(), key, signer)


def read(signed: bytes, key: Key) -> Entry:
    """The entry that `key` signed; NoteFault as `note.read`, malformed or other-origin."""
    text = note.read(signed, [key])
    lines = text.split("\n")
    said = dict(line.split(" ", 1) for line in lines[1:-1] if " " in line)
    try:
        entry = Entry(
            lines[0],
            int(said["event"]),
            bytes.fromhex(said["sha256"]),
            base64.b64decode(said["previous"]) if "previous" in said else None,
        )
    except (KeyError, ValueError):
        raise NoteFault("malformed") from None
    if entry.text() != text or (entry.number == 1) != (entry.previous is None):
        raise NoteFault("malformed")
    if entry.origin != key.name:
        raise NoteFault("other-origin")
    return entry
