"""The seal: one-time keys, commitment, AES-256-GCM, compression and padding.

A sealed text, suite 1, all numbers big-endian:

    suite       1 byte    1
    generation  4 bytes   of the key it was sealed under
    codec       1 byte    0 as it is, 1 zstd, 2 zstd with dictionary.bin
    salt       16 bytes
    nonce      12 bytes
    commitment 32 bytes
    ciphertext            of (length, 4 bytes | content | zeros up to a step of 64), then tag 16

    context = frame("health-gateway seal", county, use, place, shelf) | frame(name …) | first 34 bytes
    key | commitment = HKDF-Expand(SHA-512, sub-key, context, 64)
    ciphertext = AES-256-GCM(key, nonce, …, AAD = context)
    sub-key = HKDF-Expand(SHA-512, chart key, frame("health-gateway sub-key", use), 32)

where frame writes each part as UTF-8 after its length in 4 bytes, so no two lists of parts look
alike. Use, place, shelf and name are: record, chart, tier, (type, id, version); manifest, chart,
tier, (about); audit, chart, year, (about); raw, source, day, (raw id); token, "", "", (kind); field,
"", "", (table, row). A key encrypts once: anything moved, altered or cut changes the context, fails
the commitment and is never decrypted; and one ciphertext opens under one key only.

The salt is hashed from fresh randomness and the content under the sub-key: a machine restored from a
snapshot, drawing the same randomness again, still uses another key for other content.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.vault.faults import KeyMissing, SealBroken, Shredded

SUITE: Final = 1
AS_IT_IS, ZSTD, ZSTD_FHIR = 0, 1, 2
STEP: Final = 64
HEAD: Final = 34  # up to the nonce
OPENING: Final = 66  # up to the commitment
LEAST: Final = OPENING + STEP + 16

DICTIONARY: Final = Path(__file__).with_name("dictionary.bin").read_bytes()


def frame(*parts: str) -> bytes:
    """The parts in UTF-8, each after its length: different parts never give the same bytes.

    Lone surrogates pass, because an encoding error would carry the value in its text.
    """
    framed = b""
    for text in parts:
        part = text.encode("utf-8", "surrogatepass")
        framed += len(part).to_bytes(4, "big") + part
    return framed


def sub_key(key: bytes, use: str) -> bytes:
    """HKDF-Expand to 32 bytes: keys for different uses of one chart key tell nothing of each other."""
    return hmac.digest(key, _use(use), "sha512")[:32]


@lru_cache(maxsize=32)
def _use(use: str) -> bytes:
    return frame("health-gateway sub-key", use) + b"\x01"


@lru_cache(maxsize=32)
def _start(county: str, use: str) -> bytes:
    return frame("health-gateway seal", county, use)


class Sealer:
    """Seals and opens for one use of one key, in all its generations.

    It keeps no key bytes, only HMAC states inside the cryptographic library, which give none back.
    """

    __slots__ = ("_macs", "_newest", "_prefix", "_shredded", "_use")

    def __init__(
        self,
        county: str,
        use: str,
        place: str,
        shelf: str,
        keys: Mapping[int, bytes],
        shredded: int = 0,
    ) -> None:
        """`keys` are sub-keys by generation; generations up to `shredded` were destroyed."""
        self._use = use
        self._prefix = _start(county, use) + frame(place, shelf)
        self._newest = max(keys)
        self._shredded = shredded
        self._macs = {}
        for generation, key in keys.items():
            mac = HMAC(key, SHA512())
            mac.update(self._prefix)
            self._macs[generation] = mac

    def __repr__(self) -> str:
        return f"<sealer for {self._use}>"

    def __reduce__(self) -> str:
        raise TypeError("Keys do not leave the vault.")

    def seal(self, plain: bytes, name: bytes, codec: int = AS_IT_IS) -> bytes:
        """Seal under the newest generation; `name` is a frame."""
        return self.seal_with(os.urandom(32), plain, name, codec)

    def seal_with(self, chance: bytes, plain: bytes, name: bytes, codec: int) -> bytes:
        """Seal with given randomness: `seal` draws it anew, test vectors fix it."""
        if codec:
            plain = _zstd.compress(plain, codec)
        padded = len(plain).to_bytes(4, "big") + plain
        padded += bytes(-len(padded) % STEP)
        mac = self._macs[self._newest]
        salting = mac.copy()
        salting.update(b"salt" + chance + hmac.digest(chance, padded, "sha256"))
        generation = self._newest.to_bytes(4, "big")
        head = b"%c%b%c%b" % (SUITE, generation, codec, salting.finalize()[:28])
        tail = name + head
        expand = mac.copy()
        expand.update(tail + b"\x01")
        once = expand.finalize()
        sealed = AESGCM(once[:32]).encrypt(head[22:], padded, self._prefix + tail)
        return b"%b%b%b" % (head, once[32:], sealed)

    def open(self, sealed: bytes, name: bytes) -> bytes:
        """Open, or raise SealBroken, KeyMissing (unknown generation) or Shredded."""
        # Raised from here, not from below: no frame of the traceback holds a key.
        padded = self._unlock(sealed, name)
        if padded is None:
            raise self._refusal(sealed)
        plain = padded[4 : 4 + int.from_bytes(padded[:4], "big")]
        codec = sealed[5]
        return _zstd.decompress(plain, codec) if codec else plain

    def _unlock(self, sealed: bytes, name: bytes) -> bytes | None:
        if len(sealed) < LEAST or sealed[0] != SUITE or sealed[5] > ZSTD_FHIR:
            return None
        mac = self._macs.get(int.from_bytes(sealed[1:5], "big"))
        if mac is None:
            return None
        tail = name + sealed[:HEAD]
        expand = mac.copy()
        expand.update(tail + b"\x01")
        once = expand.finalize()
        if not hmac.compare_digest(once[32:], sealed[HEAD:OPENING]):
            return None
        try:
            return AESGCM(once[:32]).decrypt(sealed[22:HEAD], sealed[OPENING:], self._prefix + tail)
        except InvalidTag:
            return None

    def _refusal(self, sealed: bytes) -> Exception:
        if len(sealed) >= LEAST and sealed[0] == SUITE:
            generation = int.from_bytes(sealed[1:5], "big")
            if generation not in self._macs:
                if 0 < generation <= self._shredded:
                    return Shredded(f"{self._use}: sealed under a key that was destroyed.")
                return KeyMissing(f"{self._use}: sealed under a generation not held here.")
        return SealBroken(f"{self._use}: the seal does not open; moved, altered or another key's.")


class _Zstd(threading.local):
    """Compressors of this thread: zstandard's objects must not be shared between threads."""

    def __init__(self) -> None:
        fhir = zstandard.ZstdCompressionDict(DICTIONARY)
        fhir.precompute_compress(level=3)
        # The dictionary's number stands in our own header, where it is authenticated.
        self._in = {
            ZSTD: zstandard.ZstdCompressor(level=3, write_dict_id=False),
            ZSTD_FHIR: zstandard.ZstdCompressor(level=3, write_dict_id=False, dict_data=fhir),
        }
        self._out = {
            ZSTD: zstandard.ZstdDecompressor(),
            ZSTD_FHIR: zstandard.ZstdDecompressor(dict_data=fhir),
        }

    def compress(self, plain: bytes, codec: int) -> bytes:
        return bytes(self._in[codec].compress(plain))

    def decompress(self, packed: bytes, codec: int) -> bytes:
        return bytes(self._out[codec].decompress(packed))


_zstd = _Zstd()
