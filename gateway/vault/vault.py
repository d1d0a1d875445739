"""The vault: the only room that sees key bytes; others get handles that seal and open."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, TypeVar

from gateway.vault.county import CountyKeys, end_epochs, house_of, sweep
from gateway.vault.faults import VaultError
from gateway.vault.handles import AuditKey, Handle, ManifestKey, RecordKey
from gateway.vault.model import ChartTier, Grant, Keyring, RootProvider, SealedRaw, Tier
from gateway.vault.seal import ZSTD, Sealer, frame
from gateway.vault.stock import Held, Stock
from gateway.vault.wrap import KeyWrap

LARGE: Final = 262_144  # bytes; larger raw messages are sealed and opened off the event loop
_SHELF: Final = ("/0", "/1", "/2")

H = TypeVar("H", bound=Handle)


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
        keys, created = await CountyKeys.load(keyring, root, county)
        return cls(keyring, keys, root.demo, created, clock, cached)

    def __init__(
        self,
        keyring: Keyring,
        keys: CountyKeys,
        demo: bool,
        created: bool,
        clock: Callable[[], float],
        cached: int,
    ) -> None:
        """Not for callers: see `open`."""
        self.county = keys.county
        self.demo = demo
        self.created = created
        self._keyring = keyring
        self._keys = keys
        self._clock = clock
        self._stock = Stock(keyring, keys, clock, cached)

    def __repr__(self) -> str:
        return "<Vault>"

    def __reduce__(self) -> str:
        raise TypeError("Keys do not leave the vault.")

    async def close(self) -> None:
        """Forget the chart keys at hand; do not use the vault afterwards."""
        self._stock.clear()

    # Keyed functions of values: no waiting, no keyring.

    def resource_id(self, organization: str, space: str, type: str, key: Sequence[str]) -> str:
        """The id of a resource: 32 lower-case hex of keyed BLAKE2b-128.

        Each organisation has its own sub-key, so organisations can be moved apart. Parts are
        compared in Unicode NFC and encoded with their lengths, so ("a", "bc") is not ("ab", "c").
        No other cleaning: trimming and case are the mapping's business.
        """
        return self._keys.keyed.resource_id(organization, space, type, key)

    def version_tag(self, id: str, version: int) -> str:
        """The opaque versionId of a version: 16 lower-case hex; hidden versions leave no gap."""
        return self._keys.keyed.version_tag(id, version)

    def digest(self, about: str, data: bytes) -> bytes:
        """Keyed digest, 32 bytes; equal data under another `about` gives another digest."""
        return self._keys.keyed.digest(about, data)

    def blind(self, field: str, value: str) -> bytes:
        """Blind index: HMAC-SHA-256 in full, a key per field, over the NFC text as given."""
        return self._keys.keyed.blind(field, value)

    # Charts.

    async def ensure(
        self, wants: Iterable[ChartTier], audit_years: Iterable[tuple[str, int]] = ()
    ) -> None:
        """Make missing chart and audit keys, all durable in one keyring write, before any data.

        Calling it again, or from two processes at once, changes nothing. Costs nothing when the
        keys are cached. A shredded chart raises Shredded: see `renew`.
        """
        names: dict[str, object] = {_chart_name(want): want for want in wants}
        names |= {_audit_name(want): want for want in audit_years}
        await self._stock.ensure(names)

    async def renew(self, wants: Iterable[ChartTier]) -> None:
        """Make a next generation: new versions seal under it, older ones still open.

        Also the deliberate way to begin again after a shred. Other processes learn of it within
        five minutes and until then raise KeyMissing for what was sealed under it.
        """
        await self._stock.renew([_chart_name(want) for want in wants])

    async def manifests(
        self, grant: Grant, wants: Sequence[ChartTier]
    ) -> dict[ChartTier, ManifestKey]:
        """Manifest handles, after the request and relationship gates: all wanted, or an error.

        KeyMissing and Shredded carry the ChartTiers concerned in `.wants`, so that the caller can
        ask again for the rest.
        """
        grant.covers(wants)
        return await self._handles(ManifestKey, "manifest", wants)

    async def records(self, grant: Grant, wants: Sequence[ChartTier]) -> dict[ChartTier, RecordKey]:
        """Record handles, after a permit; kinds `request` and `release` need a durable leaf."""
        grant.covers(wants)
        grant.opens_records()
        return await self._handles(RecordKey, "record", wants)

    # Raw messages: each has its own key.

    async def seal_raw(self, source: str, day: str, raw: str, data: bytes) -> SealedRaw:
        """Compress and seal a raw message under a key of its own, wrapped by the intake key.

        `day` (ISO) is the day of receipt, `raw` the message's own id; the intake key of (source,
        day) is durable before this returns. Large messages are sealed off the event loop.
        """
        name = _intake_name(source, day)
        await self._stock.ensure({name: (source, day)})
        wrapping = await self._wrapping(name, (source, day))
        sealer, wrap = self._raw_key(wrapping, source, day, raw)
        if len(data) > LARGE:
            sealed = await asyncio.to_thread(sealer.seal, data, frame(raw), ZSTD)
        else:
            sealed = sealer.seal(data, frame(raw), ZSTD)
        return SealedRaw(sealed, wrap)

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
        wrapping = await self._owner_wrapping(source, day, owner)
        about = self._about_raw(source, day, raw, owner)
        sealer = Sealer(self.county, "raw", source, day, {1: wrapping.unwrap(wrap, about)})
        if len(sealed) > LARGE:
            return await asyncio.to_thread(sealer.open, sealed, frame(raw))
        return sealer.open(sealed, frame(raw))

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
        old = await self._owner_wrapping(source, day, was)
        new = await self._owner_wrapping(source, day, owner)
        return new.wrap(
            old.unwrap(wrap, self._about_raw(source, day, raw, was)),
            self._about_raw(source, day, raw, owner),
        )

    async def close_intake(self, source: str, day: str) -> int:
        """Erase a past day's intake key, once every raw message of it is owned by a chart.

        Only then does shredding a chart reach old backups of the inbox. A raw message still under
        the key would be lost: the caller counts first. Returns the rows erased.
        """
        return await self._stock.shred([_intake_name(source, day)])

    # Audit bodies.

    async def audit_seals(
        self, grant: Grant, wants: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], AuditKey]:
        """Audit handles by (chart, year), chart "" for county-level events; `ensure` makes them."""
        del grant  # every kind of work is noted; the vault's own process will check who asks
        found = await self._stock.need({_audit_name(want): want for want in wants})
        return {
            want: self._handle(found[_audit_name(want)], AuditKey, "audit", want[0], str(want[1]))
            for want in wants
        }

    # Small things.

    def seal_token(self, kind: str, plain: bytes) -> str:
        """A URL-safe text that only this county opens, and only as this kind."""
        sealed = self._keys.token.seal(plain, frame(kind))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open_token(self, kind: str, token: str) -> bytes | None:
        """What was sealed, or None if forged, altered or of another kind."""
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            # Only the one spelling that seal_token gives: others are forged.
            if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != token:
                return None
            return self._keys.token.open(sealed, frame(kind))
        except (ValueError, VaultError):
            return None

    def seal_field(self, table: str, row: str, plain: bytes) -> bytes:
        """Seal a small text of a directory table, bound to its table and row."""
        return self._keys.field.seal(plain, frame(table, row))

    def open_field(self, table: str, row: str, sealed: bytes) -> bytes:
        """Open it there again, or raise SealBroken."""
        return self._keys.field.open(sealed, frame(table, row))

    def sign(self, note: bytes) -> bytes:
        """Ed25519 signature (64 bytes) by the county's checkpoint key."""
        return self._keys.signer.sign(note)

    def public_key(self) -> bytes:
        """The Ed25519 public key (32 bytes) that verifies `sign`."""
        return self._keys.signer.public_key().public_bytes_raw()

    def sign_policy(self, note: bytes) -> bytes:
        """Ed25519 signature (64 bytes) by the key that puts consent policies in force."""
        return self._keys.legislator.sign(note)

    def policy_key(self) -> bytes:
        """The Ed25519 public key (32 bytes) that verifies `sign_policy`."""
        return self._keys.legislator.public_key().public_bytes_raw()

    # Rotation and destruction.

    async def rotate(self, tier: Tier | Literal["audit", "intake"]) -> int:
        """A new epoch of the county key; every key under an older one is wrapped again.

        Data is not touched. Returns the keys re-wrapped. The old epoch stays, for processes that
        have not noticed yet: `retire` destroys it.
        """
        house = house_of(tier)
        await self._keys.begin_epoch(house)
        return await sweep(self._keyring, self._keys, house)

    async def retire(self, tier: Tier | Literal["audit", "intake"]) -> int:
        """Destroy all epochs but the newest, after re-wrapping what is left under them.

        Run it a while after `rotate`. From then on keyring backups from before the rotation open
        nothing, which is what completes a shred. Returns the epochs destroyed.
        """
        ended = await end_epochs(self._keyring, self._keys, house_of(tier))
        self._stock.clear()  # rows at hand may still lie under an epoch that is gone
        return ended

    async def shred(self, chart: str, *, audit: bool = False) -> int:
        """Erase every wrapped key of the chart, and its audit body keys if asked.

        Later opens raise Shredded (in other processes within five minutes; handles already given
        out keep working for the request that holds them). Records, manifests and raw messages it
        owns are then unreadable. Returns the keys erased; repeating it is harmless.
        """
        erased = await self._stock.shred([_chart_name(ChartTier(chart, tier)) for tier in Tier])
        if audit:
            erased += await self._stock.shred(await self._keyring.names(f"audit/{chart}/"))
        return erased

    # Inside.

    async def _handles(
        self, kind: type[H], use: str, wants: Sequence[ChartTier]
    ) -> dict[ChartTier, H]:
        now = self._clock()
        found: dict[ChartTier, H] = {}
        absent: dict[str, object] = {}
        for want in wants:
            held = self._stock.get("chart/" + want[0] + _SHELF[want[1]], now)
            if held is None:
                absent[_chart_name(want)] = want
            else:
                found[want] = held.made.get(use) or self._chart_handle(held, kind, use, want)
        if absent:
            fetched = await self._stock.need(absent)
            for want in wants:
                if want not in found:
                    found[want] = self._chart_handle(fetched[_chart_name(want)], kind, use, want)
        return found

    def _chart_handle(self, held: Held, kind: type[H], use: str, want: ChartTier) -> H:
        return self._handle(held, kind, use, want[0], str(int(want[1])))

    def _handle(self, held: Held, kind: type[H], use: str, place: str, shelf: str) -> H:
        made: H | None = held.made.get(use)
        if made is None:
            # Sub-keys go straight into the sealer: no variable of ours ever holds one.
            made = kind(
                Sealer(
                    self.county,
                    use,
                    place,
                    shelf,
                    self._stock.sub_keys(held, use),
                    held.shredded,
                )
            )
            held.made[use] = made
        return made

    async def _owner_wrapping(self, source: str, day: str, owner: ChartTier | None) -> KeyWrap:
        if owner is None:
            return await self._wrapping(_intake_name(source, day), (source, day))
        return await self._wrapping(_chart_name(owner), owner)

    async def _wrapping(self, name: str, want: object) -> KeyWrap:
        """What wraps the keys of raw messages that this chart or intake day owns."""
        held = (await self._stock.need({name: want}))[name]
        made: KeyWrap | None = held.made.get("raw wrap")
        if made is None:
            made = KeyWrap("raw message key", self._stock.sub_keys(held, "raw wrap"))
            held.made["raw wrap"] = made
        return made

    def _raw_key(self, wrapping: KeyWrap, source: str, day: str, raw: str) -> tuple[Sealer, bytes]:
        key = os.urandom(32)
        wrap = wrapping.wrap(key, self._about_raw(source, day, raw, None))
        return Sealer(self.county, "raw", source, day, {1: key}), wrap

    def _about_raw(self, source: str, day: str, raw: str, owner: ChartTier | None) -> bytes:
        chart, tier = (owner.chart, str(int(owner.tier))) if owner else ("", "")
        return frame("health-gateway raw wrap", self.county, source, day, raw, chart, tier)


def _chart_name(want: ChartTier) -> str:
    return "chart/" + _hex(want[0]) + _SHELF[want[1]]


def _audit_name(want: tuple[str, int]) -> str:
    return f"audit/{_hex(want[0]) if want[0] else ''}/{want[1]:d}"


def _intake_name(source: str, day: str) -> str:
    if not source or not day or "/" in source + day:
        raise ValueError("An intake key is named by a source and a day, without slashes.")
    return f"intake/{source}/{day}"


def _hex(chart: str) -> str:
    if len(chart) != 32 or chart.strip("0123456789abcdef"):
        raise ValueError("A chart is named by 32 lower-case hexadecimal characters.")
    return chart
