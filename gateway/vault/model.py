"""The values and interfaces by which other rooms speak to the vault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple, Protocol

import msgspec

from gateway.vault.faults import GrantRefused


class Tier(IntEnum):
    """How closely a record is kept; every chart has one key per tier."""

    GENERAL = 0
    RESTRICTED = 1
    SEALED = 2


class ChartTier(NamedTuple):
    """The shelf a key belongs to: one chart (32 lower-case hex) at one tier."""

    chart: str
    tier: Tier


class RecordName(NamedTuple):
    """What one sealed record is bound to: FHIR type, id, and version counted from 1."""

    type: str
    id: str
    version: int


class SealedRaw(NamedTuple):
    """A raw message, and its own key wrapped for whoever owns it now."""

    sealed: bytes
    wrap: bytes


class Wrapped(msgspec.Struct, frozen=True):
    """One row of the keyring: a key that only the key named by `under` can unwrap.

    `name` is "chart/<chart>/<tier number>", "audit/<chart>/<year>", "intake/<source>/<day>" or
    "county/<house>"; "shred/<chart>" marks that the chart's keys up to `generation` were destroyed
    and carries no key (`under` "", `wrapped` empty); "policy" is no key either but version
    `generation` of the consent policy as it was signed, kept apart from the records, as are "catalogue",
    "register" and "rights" (which lines were decided). `under` is "county/<house>/<epoch>" or
    "root/<kind>". (`name`, `generation`) is the row's key; generations count from 1.
    """

    name: str
    generation: int
    under: str
    wrapped: bytes


class Keyring(Protocol):
    """Where wrapped keys are kept: a database of its own, with its own backup.

    Every writing call is one transaction (all rows or none) and durable when it returns: the vault
    hands out a key only after that. `erase` should overwrite (SQLite: PRAGMA secure_delete).
    """

    async def fetch(self, names: Sequence[str]) -> Sequence[Wrapped]:
        """All generations of each name, in any order; unknown names are simply absent."""

    async def keep(self, rows: Sequence[Wrapped]) -> None:
        """Insert each row whose (name, generation) is absent; leave a row that stands untouched."""

    async def replace(self, rows: Sequence[Wrapped]) -> int:
        """Overwrite `under` and `wrapped` where (name, generation) exists; never insert.

        Used to re-wrap: a key shredded meanwhile must not come back. Returns the rows changed.
        """

    async def erase(self, name: str, generation: int | None = None) -> int:
        """Delete all generations of a name, or the one given; returns the rows deleted."""

    async def names(self, prefix: str) -> Sequence[str]:
        """The distinct names that start with `prefix`."""


class RootProvider(Protocol):
    """The top of the key hierarchy (L0): a key file, a key service or an HSM."""

    @property
    def kind(self) -> str:
        """Short word for rows and screens, such as "key-file"."""

    @property
    def limits(self) -> tuple[str, ...]:
        """What this kind of custody does not protect from, in sentences for check-config."""

    @property
    def demo(self) -> bool:
        """Whether this root is marked as a demonstration's and so protects nothing."""

    def wrap(self, plain: bytes, about: bytes) -> bytes:
        """Encrypt a county key, bound to `about`."""

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Decrypt a county key, or raise SealBroken."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Why keys may be used: the vault compares it with what is asked for.

    `request`  answering somebody; its record keys need the durable audit leaf.
    `release`  sending out without being asked (export, notification); needs the leaf as well.
    `filing`   keeping what a source sent.
    `job`      the gateway's own work on kept records (merging segments, re-sealing).

    `about` is the id of the request, filing, job or release; `leaf` the (writer, counter) of the
    audit event that is durable already.
    """

    kind: Literal["request", "filing", "job", "release"]
    about: str
    tiers: frozenset[Tier]
    leaf: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("request", "filing", "job", "release") or not self.about:
            raise GrantRefused("A grant names its kind and what it is about.")

    def covers(self, wants: Sequence[ChartTier]) -> None:
        """Return when every tier is granted; raise GrantRefused otherwise."""
        tiers = self.tiers
        for want in wants:
            if want[1] not in tiers:
                raise GrantRefused(f"The {self.kind} grant does not cover the tier asked for.")

    def opens_records(self) -> None:
        """Return when record bytes may be opened: no leaf, no bytes."""
        if self.kind in ("request", "release") and not (
            self.leaf and self.leaf[0] and self.leaf[1] >= 0
        ):
            raise GrantRefused(f"The {self.kind} grant carries no durable audit leaf.")
