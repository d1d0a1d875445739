"""Wraps keys under keys: suite (1) | generation (4) | nonce (12) | AES-256-GCM of 32 bytes and tag.

The AAD is what the caller names, then the first five bytes. A wrapping key is used often, with
random nonces: far below 2^32 keys in each epoch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.vault.faults import KeyMissing, SealBroken

SUITE: Final = 1
LENGTH: Final = 5 + 12 + 32 + 16


class KeyWrap:
    """Wraps under the newest generation of one wrapping key and unwraps under any; shows none."""

    __slots__ = ("_gcms", "_place", "newest")

    def __init__(self, place: str, keys: Mapping[int, bytes]) -> None:
        """`place` is told in errors; `keys` by generation, 32 bytes each."""
        self._place = place
        self._gcms = {generation: AESGCM(key) for generation, key in keys.items()}
        self.newest = max(keys)

    def __repr__(self) -> str:
        return f"<key wrap of {self._place}>"

    def __reduce__(self) -> str:
        raise TypeError("Keys do not leave the vault.")

    def learn(self, generation: int, key: bytes) -> None:
        """Take up one more generation."""
        self._gcms[generation] = AESGCM(key)
        self.newest = max(self.newest, generation)

    def forget_older(self) -> None:
        """Keep the newest generation only."""
        self._gcms = {self.newest: self._gcms[self.newest]}

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """Encrypt a 32-byte key, bound to `about`."""
        head = b"%c%b" % (SUITE, self.newest.to_bytes(4, "big"))
        nonce = os.urandom(12)
        return head + nonce + self._gcms[self.newest].encrypt(nonce, key, about + head)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Decrypt it, or raise SealBroken or (generation not held) KeyMissing."""
        if len(wrapped) != LENGTH or wrapped[0] != SUITE:
            raise SealBroken(f"{self._place}: not a wrapped key.")
        gcm = self._gcms.get(int.from_bytes(wrapped[1:5], "big"))
        if gcm is None:
            raise KeyMissing(f"{self._place}: wrapped under a generation not held here.")
        try:
            return gcm.decrypt(wrapped[5:17], wrapped[17:], about + wrapped[:5])
        except InvalidTag:
            pass
        raise SealBroken(
            f"{self._place}: the key does not unwrap; moved, altered or another key's."
        )
