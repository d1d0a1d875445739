"""The handles that leave the vault: they seal and open, and never show the key they use."""

from __future__ import annotations

from gateway.vault.model import RecordName


class ManifestKey:
    """Seals and opens what must be read before the decision: segments, heads, grounds, directives."""

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Seal; `about` names the place (table, row, number) and must be given again to open."""
        raise NotImplementedError

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Open, or raise SealBroken, KeyMissing or Shredded."""
        raise NotImplementedError


class RecordKey:
    """Seals and opens record texts of one chart and tier."""

    def seal(self, plain: bytes, name: RecordName, dictionary: bool = True) -> bytes:
        """Compress (with the FHIR dictionary unless told not to) and seal one record version."""
        raise NotImplementedError

    def open(self, sealed: bytes, name: RecordName) -> bytes:
        """Open to the very bytes sealed, or raise SealBroken, KeyMissing or Shredded."""
        raise NotImplementedError


class AuditKey:
    """Seals and opens audit bodies of one chart (or "" for the county) and year."""

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Seal; `about` names the event (writer and counter) and must be given again to open."""
        raise NotImplementedError

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Open, or raise SealBroken, KeyMissing or Shredded."""
        raise NotImplementedError
