"""Signed statements that a version of the county's policy or catalogue is in force (C2SP signed-note).

A statement covers the version's text by its SHA-256, since when it holds, who proposed and who
approved it, and the statement before it. So one key checks the whole line of versions, and none
of them can be left out, altered or put in another's place.
"""

from __future__ import annotations

import base64
from hashlib import sha256

import msgspec

from gateway.audit import note
from gateway.audit.note import Key, NoteFault, Sign

__all__ = ["Charter", "Key", "NoteFault", "Sign", "read", "sign"]


class Charter(msgspec.Struct, frozen=True):
    """Version `number`, whose text has this SHA-256, is in force since `since`.

    The founding version has no `previous` and nobody who approved it: an operator's command took it
    up when the county was made. Every later one was approved by another than who proposed it, and
    `previous` is the digest of the statement before it.
    """

    origin: str
    number: int
    hash: bytes  # SHA-256 of the text
    since: int  # µs UTC
    proposed_by: str
    approved_by: str = ""
    previous: bytes | None = None

    @property
    def founding(self) -> bool:
        """Whether it is the version the county began with."""
        return self.previous is None

    def text(self) -> str:
        """The note text that is signed."""
        lines = [
            self.origin,
            f"version {self.number}",
            f"sha256 {self.hash.hex()}",
            f"since {self.since}",
        ]
        if self.previous is None:
            lines.append(f"founded-by {self.proposed_by}")
        else:
            lines += [
                f"proposed-by {self.proposed_by}",
                f"approved-by {self.approved_by}",
                f"previous {base64.b64encode(self.previous).decode()}",
            ]
        return "\n".join(lines) + "\n"

    def digest(self) -> bytes:
        """What the next statement names as its `previous`."""
        return sha256(self.text().encode()).digest()


def sign(charter: Charter, key: Key, signer: Sign) -> bytes:
    """The signed note; ValueError unless it is one that `read` would take."""
    if key.name != charter.origin or _read_text(charter.text()) != charter:
        raise ValueError("not a statement that can be signed")
    return note.write(charter.text(), key, signer)


def read(signed: bytes, key: Key) -> Charter:
    """The statement that `key` signed; NoteFault as `note.read`, or other-origin."""
    charter = _read_text(note.read(signed, [key]))
    if charter.origin != key.name:
        raise NoteFault("other-origin")
    return charter


def _read_text(text: str) -> Charter:
    """NoteFault `malformed` unless exactly ours: one spelling, two persons but for the founding."""
    lines = text.split("\n")
    said = dict(line.split(" ", 1) for line in lines[1:-1] if " " in line)
    try:
        charter = Charter(
            origin=lines[0],
            number=int(said["version"]),
            hash=bytes.fromhex(said["sha256"]),
            since=int(said["since"]),
            proposed_by=said.get("founded-by") or said["proposed-by"],
            approved_by=said.get("approved-by", ""),
            previous=base64.b64decode(said["previous"]) if "previous" in said else None,
        )
    except (KeyError, ValueError):
        raise NoteFault("malformed") from None
    two = bool(charter.approved_by) and charter.approved_by != charter.proposed_by
    known = charter.number > 0 and bool(charter.proposed_by) and (charter.founding or two)
    if charter.text() != text or not known:
        raise NoteFault("malformed")
    return charter
