"""Signed notes (C2SP signed-note): text under Ed25519 signatures that many tools can check."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
MAX_NOTE_BYTES = 100_000
MAX_SIGNATURES = 32
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # all but the line feed

Sign = Callable[[bytes], bytes]
"""Signs bytes with Ed25519: 64 bytes of signature. The key stays with whoever gives this."""


class NoteFault(ValueError):
    """The note cannot be relied on; `code` says why, in a word that holds nothing of its text.

    Codes: malformed, unknown-key (nobody known signed it), bad-signature.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Key(NamedTuple):
    """A public key and the name it signs under; together they are what a verifier pins."""

    name: str
    public: bytes  # 32 bytes, RFC 8032

    @property
    def id(self) -> bytes:
        """The four bytes before a signature that say which key made it."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        """The verifier key in the usual text form: name+id+base64(type ‖ key)."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key that `text` wrote; ValueError when the text, its id or its type is wrong."""
        name, _, rest = text.strip().partition("+")
        id_hex, _, encoded = rest.partition("+")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError("not a verifier key") from None
        made = cls(name, key[1:])
        if not name_ok(name) or key[:1] != ED25519 or len(key) != 33 or made.id.hex() != id_hex:
            raise ValueError("not a verifier key")
        return made


def name_ok(name: str) -> bool:
    """Key names are not empty and hold neither spaces nor a plus sign nor control characters."""
    return bool(name) and not any(c.isspace() or c == "+" or c < " " for c in name)


def write(text: str, key: Key, sign: Sign) -> bytes:
    """The note: `text` (ending with a line feed) and one signature line."""
    _check_text(text)
    if not name_ok(key.name):
        raise ValueError("a key name holds neither spaces nor +")
    return text.encode() + b"\n" + signature_line(key, sign(text.encode()))


def signature_line(key: Key, signature: bytes) -> bytes:
    """One line to put under a note; more signers append theirs."""
    encoded = base64.b64encode(key.id + signature).decode()
    return f"\u2014 {key.name} {encoded}\n".encode()


def read(note: bytes, keys: Sequence[Key]) -> str:
    """The text of a note that at least one of `keys` signed and none of them signed wrongly.

    Raises NoteFault. Signatures of keys that are not known are ignored, as the specification asks.
    """
    text, lines = _split(note)
    known = {(key.name, key.id): key.public for key in keys}
    verified = False
    for name, id_, signature in lines:
        public = known.get((name, id_))
        if public is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
        except InvalidSignature:
            raise NoteFault("bad-signature") from None
        verified = True
    if not verified:
        raise NoteFault("unknown-key")
    return text


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteFault("malformed")


def _split(note: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Text and signature lines; the text ends at the last empty line."""
    if len(note) > MAX_NOTE_BYTES:
        raise NoteFault("malformed")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteFault("malformed") from None
    head, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise NoteFault("malformed")
    text = head + "\n"
    _check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteFault("malformed")
    return text, [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise NoteFault("malformed") from None
    # One spelling only: base64 leaves bits over that could be changed unseen.
    canonical = base64.b64encode(signature).decode() == encoded
    if dash != "\u2014" or not name_ok(name) or len(signature) < 5 or not canonical:
        raise NoteFault("malformed")
    return name, signature[:4], signature[4:]
