"""Keyed functions of values: ids, version tags, digests and blind indexes; no key can be read back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from unicodedata import normalize

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.vault.seal import frame

_KINDS = 4_096


class Keyed:
    """What one county computes from values, the same for as long as it exists."""

    __slots__ = ("_blind", "_digest", "_fields", "_kinds", "_organization", "_version")

    def __init__(self, id: bytes, blind: bytes, digest: bytes) -> None:
        # Only keyed states are kept; the libraries give no key back from them.
        self._organization = hashlib.blake2b(key=id, person=b"organization", digest_size=64)
        self._version = hashlib.blake2b(key=id, person=b"version", digest_size=8)
        self._digest = hashlib.blake2b(key=digest, person=b"digest", digest_size=32)
        self._blind = HMAC(blind, SHA256())
        self._kinds: dict[tuple[str, str, str], hashlib.blake2b] = {}
        self._fields: dict[str, HMAC] = {}

    def resource_id(self, organization: str, space: str, type: str, key: Sequence[str]) -> str:
        """See Vault.resource_id."""
        state = self._kinds.get((organization, space, type))
        if state is None:
            state = self._kind(organization, space, type)
        state = state.copy()
        state.update(frame(*[part if part.isascii() else normalize("NFC", part) for part in key]))
        return state.hexdigest()

    def _kind(self, organization: str, space: str, type: str) -> hashlib.blake2b:
        """The state behind organization, space and type; kept, because a message asks for the same few."""
        own = self._organization.copy()
        own.update(frame(organization))
        state = hashlib.blake2b(key=own.digest(), person=b"resource id", digest_size=16)
        state.update(frame(normalize("NFC", space), normalize("NFC", type)))
        if len(self._kinds) >= _KINDS:
            self._kinds.clear()
        self._kinds[organization, space, type] = state
        return state

    def version_tag(self, id: str, version: int) -> str:
        """See Vault.version_tag."""
        state = self._version.copy()
        state.update(frame(id, str(version)))
        return state.hexdigest()

    def digest(self, about: str, data: bytes) -> bytes:
        """See Vault.digest."""
        state = self._digest.copy()
        state.update(frame(about))
        state.update(data)
        return state.digest()

    def blind(self, field: str, value: str) -> bytes:
        """See Vault.blind."""
        state = self._fields.get(field)
        if state is None:
            own = self._blind.copy()
            own.update(frame(field))
            state = self._fields[field] = HMAC(own.finalize(), SHA256())
        state = state.copy()
        state.update(normalize("NFC", value).encode("utf-8", "surrogatepass"))
        return state.finalize()
