"""The handles that leave the vault: they seal and open, and never show the key they use.

Nothing that Python offers (attributes, repr, pickle, a traceback's variables) gives the key's bytes;
whoever can read the process's memory can still find them.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.vault.model import RecordName
from gateway.vault.seal import ZSTD, ZSTD_FHIR, Sealer, frame


class Handle:
    """What the handles share: one sealer, and no way to copy it out of the process."""

    __slots__ = ("_sealer",)

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> str:
        raise TypeError("Keys do not leave the vault.")


class _AboutKey(Handle):
    """Seals bytes that are bound to a place their caller describes."""

    __slots__ = ()

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Seal as it is (not compressed); `about` names the place and is needed again to open."""
        return self._sealer.seal(plain, len(about).to_bytes(4, "big") + about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Open, or raise SealBroken, KeyMissing or Shredded."""
        return self._sealer.open(sealed, len(about).to_bytes(4, "big") + about)


class ManifestKey(_AboutKey):
    """For what is read before the decision: manifest segments, record heads, grounds, directives."""

    __slots__ = ()


class AuditKey(_AboutKey):
    """For audit bodies of one chart (or "" for the county) and year; `about` names the event."""

    __slots__ = ()


class RecordKey(Handle):
    """For record texts of one chart and tier."""

    __slots__ = ()

    def seal(self, plain: bytes, name: RecordName, dictionary: bool = True) -> bytes:
        """Compress (with the FHIR dictionary unless told not to) and seal one record version."""
        return self._sealer.seal(plain, _name(name), ZSTD_FHIR if dictionary else ZSTD)

    def open(self, sealed: bytes, name: RecordName) -> bytes:
        """Open to the very bytes sealed, or raise SealBroken, KeyMissing or Shredded."""
        return self._sealer.open(sealed, _name(name))


def _name(name: RecordName) -> bytes:
    """`frame` of type, id and version; types and versions are few."""
    type, id, version = name
    return _framed(type) + frame(id) + _framed(str(version))


_framed = lru_cache(maxsize=1024)(frame)
