"""The vault: the only room that sees key bytes; others get handles that seal and open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from gateway.vault.handles import AuditKey, ManifestKey, RecordKey
from gateway.vault.model import ChartTier, Grant, Keyring, RootProvider, SealedRaw, Tier


class Vault:
    """All keys of one county. Made by `open`; safe to share between tasks of one event loop.

    Unwrapped chart keys live at most five minutes in a bounded cache, so that a key shredded or
    renewed by another process is noticed here within that time.
    """

    county: str
    demo: bool  # the root key is a demonstration's
    created: bool  # this opening found an empty keyring and made the county's keys

    @classmethod
    async def open(
        cls,
        keyring: Keyring,
        root: RootProvider,
        county: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        cached: int = 20_000,
    ) -> Vault:
        """Load the county's keys, or make them durable first if the keyring is empty.

        A keyring that holds some county keys but not all is damaged: KeyMissing, never a new key.
        A root or county name that does not belong to the keyring: RootRefused.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Forget all keys; any later use raises KeyMissing."""

    # Keyed functions of values: no waiting, no keyring.

    def resource_id(self, organization: str, space: str, type: str, key: Sequence[str]) -> str:
        """The id of a resource: 32 lower-case hex of keyed BLAKE2b-128 (design.md 3).

        Each organisation has its own sub-key, so organisations can be moved apart. Parts are
        compared in Unicode NFC and encoded with their lengths, so ("a", "bc") is not ("ab", "c").
        No other cleaning: trimming and case are the mapping's business.
        """
        raise NotImplementedError

    def version_tag(self, id: str, version: int) -> str:
        """The opaque versionId of a version: 16 lower-case hex; hidden versions leave no gap."""
        raise NotImplementedError

    def digest(self, about: str, data: bytes) -> bytes:
        """Keyed digest, 32 bytes; equal data under another `about` gives another digest."""
        raise NotImplementedError

    def blind(self, field: str, value: str) -> bytes:
        """Blind index: HMAC-SHA-256 in full, a key per field, over the NFC text as given."""
        raise NotImplementedError

    # Charts.

    async def ensure(
        self, wants: Iterable[ChartTier], audit_years: Iterable[tuple[str, int]] = ()
    ) -> None:
        """Make missing chart and audit keys, all durable in one keyring write, before any data.

        Calling it again, or from two processes at once, changes nothing. Costs nothing when the
        keys are cached. A shredded chart raises Shredded: see `renew`.
        """
        raise NotImplementedError

    async def renew(self, wants: Iterable[ChartTier]) -> None:
        """Make a next generation: new versions seal under it, older ones still open.

        Also the deliberate way to begin again after a shred. Other processes learn of it within
        five minutes and until then raise KeyMissing for what was sealed under it.
        """
        raise NotImplementedError

    async def manifests(
        self, grant: Grant, wants: Sequence[ChartTier]
    ) -> dict[ChartTier, ManifestKey]:
        """Manifest handles, after the request and relationship gates: all wanted, or an error.

        KeyMissing and Shredded carry the ChartTiers concerned in `.wants`, so that the caller can
        ask again for the rest.
        """
        raise NotImplementedError

    async def records(self, grant: Grant, wants: Sequence[ChartTier]) -> dict[ChartTier, RecordKey]:
        """Record handles, after a permit; kinds `request` and `release` need a durable leaf."""
        raise NotImplementedError

    # Raw messages: each has its own key.

    async def seal_raw(self, source: str, day: str, raw: str, data: bytes) -> SealedRaw:
        """Compress and seal a raw message under a key of its own, wrapped by the intake key.

        `day` (ISO) is the day of receipt, `raw` the message's own id; the intake key of (source,
        day) is durable before this returns. Large messages are sealed off the event loop.
        """
        raise NotImplementedError

    async def open_raw(
        self,
        source: str,
        day: str,
        raw: str,
        sealed: bytes,
        wrap: bytes,
        owner: ChartTier | None,
    ) -> bytes:
        """Open a raw message; `owner` None while the intake key still owns it."""
        raise NotImplementedError

    async def own_raw(
        self,
        source: str,
        day: str,
        raw: str,
        wrap: bytes,
        owner: ChartTier,
        was: ChartTier | None = None,
    ) -> bytes:
        """A new wrap under the chart's key, to replace the old one; `was` the owner until now.

        The chart's key must exist (`ensure`). The sealed bytes stay as they are.
        """
        raise NotImplementedError

    async def close_intake(self, source: str, day: str) -> int:
        """Erase a past day's intake key, once every raw message of it is owned by a chart.

        Only then does shredding a chart reach old backups of the inbox. A raw message still under
        the key would be lost: the caller counts first. Returns the rows erased.
        """
        raise NotImplementedError

    # Audit bodies.

    async def audit_seals(
        self, grant: Grant, wants: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], AuditKey]:
        """Audit handles by (chart, year), chart "" for county-level events; `ensure` makes them."""
        raise NotImplementedError

    # Small things.

    def seal_token(self, kind: str, plain: bytes) -> str:
        """A URL-safe text that only this county opens, and only as this kind."""
        raise NotImplementedError

    def open_token(self, kind: str, token: str) -> bytes | None:
        """What was sealed, or None if forged, altered or of another kind."""
        raise NotImplementedError

    def seal_field(self, table: str, row: str, plain: bytes) -> bytes:
        """Seal a small text of a directory table, bound to its table and row."""
        raise NotImplementedError

    def open_field(self, table: str, row: str, sealed: bytes) -> bytes:
        """Open it there again, or raise SealBroken."""
        raise NotImplementedError

    def sign(self, note: bytes) -> bytes:
        """Ed25519 signature (64 bytes) by the county's checkpoint key."""
        raise NotImplementedError

    def public_key(self) -> bytes:
        """The Ed25519 public key (32 bytes) that verifies `sign`."""
        raise NotImplementedError

    # Rotation and destruction.

    async def rotate(self, tier: Tier | Literal["audit", "intake"]) -> int:
        """A new epoch of the county key; every key under an older one is wrapped again.

        Data is not touched. Returns the keys re-wrapped. The old epoch stays, for processes that
        have not noticed yet: `retire` destroys it.
        """
        raise NotImplementedError

    async def retire(self, tier: Tier | Literal["audit", "intake"]) -> int:
        """Destroy all epochs but the newest, after re-wrapping what is left under them.

        Run it a while after `rotate`. From then on keyring backups from before the rotation open
        nothing, which is what completes a shred. Returns the epochs destroyed.
        """
        raise NotImplementedError

    async def shred(self, chart: str, *, audit: bool = False) -> int:
        """Erase every wrapped key of the chart, and its audit body keys if asked.

        Later opens raise Shredded (in other processes within five minutes; handles already given
        out keep working for the request that holds them). Records, manifests and raw messages it
        owns are then unreadable. Returns the keys erased; repeating it is harmless.
        """
        raise NotImplementedError
