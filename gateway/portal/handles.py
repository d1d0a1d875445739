"""Names for records in addresses that mean something in one browser session only.

A record id is 16 bytes, so one AES block under a key of the session is a permutation of all ids: a
handle copied into another session, a log or a history names nothing there. It is not an access
check: the story decides again whatever the handle says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def _block(csrf: str) -> Cipher[modes.ECB]:
    key = hashlib.sha256(b"portal handles\0" + csrf.encode()).digest()[:16]
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305  (one block, a permutation)


def handles(csrf: str) -> Callable[[str], str]:
    """Gives the handles of record ids (32 lower-case hex characters) in the session of `csrf`."""
    block = _block(csrf).encryptor().update  # blocks know nothing of each other
    return lambda id: block(bytes.fromhex(id)).hex()


def handle(csrf: str, id: str) -> str:
    """The handle of one record id."""
    return handles(csrf)(id)


def id_of(csrf: str, handle: str) -> str:
    """The record id behind a handle; a foreign handle gives an id nobody has."""
    try:
        block = bytes.fromhex(handle)
    except ValueError:
        block = b""
    if len(block) != 16:
        return "0" * 32
    decryptor = _block(csrf).decryptor()
    return (decryptor.update(block) + decryptor.finalize()).hex()
