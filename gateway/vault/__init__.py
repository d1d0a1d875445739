"""The only room that sees key bytes: seals, keyed ids and digests, rotation and shredding."""

from __future__ import annotations

from gateway.vault.faults import (
    GrantRefused,
    KeyMissing,
    RootRefused,
    SealBroken,
    Shredded,
    VaultError,
)
from gateway.vault.handles import AuditKey, ManifestKey, RecordKey
from gateway.vault.model import (
    ChartTier,
    Grant,
    Keyring,
    RecordName,
    RootProvider,
    SealedRaw,
    Tier,
    Wrapped,
)
from gateway.vault.root import KeyFile
from gateway.vault.vault import Vault

__all__ = [
    "AuditKey",
    "ChartTier",
    "Grant",
    "GrantRefused",
    "KeyFile",
    "KeyMissing",
    "Keyring",
    "ManifestKey",
    "RecordKey",
    "RecordName",
    "RootProvider",
    "RootRefused",
    "SealBroken",
    "SealedRaw",
    "Shredded",
    "Tier",
    "Vault",
    "VaultError",
    "Wrapped",
]
