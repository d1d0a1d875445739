"""The county's own keys: made once, wrapped by the root, and wrapping everybody else's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.vault.faults import KeyMissing, RootRefused, SealBroken, VaultError
from gateway.vault.keyed import Keyed
from gateway.vault.model import Keyring, RootProvider, Tier, Wrapped
from gateway.vault.seal import Sealer, frame
from gateway.vault.wrap import KeyWrap

House = Literal["general", "restricted", "sealed", "audit", "intake"]

# Houses whose keys wrap others and are rotated; by tier first.
WRAPPING: Final[tuple[House, ...]] = ("general", "restricted", "sealed", "audit", "intake")
# Houses whose keys compute, seal or sign by themselves. They have one epoch: ids, blind indexes and
# digests must come out the same for as long as the county exists.
WORKING: Final = ("id", "blind", "digest", "token", "field", "signing", "policy")
# Added since: a county made before has none and is given one. What the lost key of such a house had
# signed is then refused, so nothing is gained by taking it away.
LATER: Final = frozenset({"county/policy"})


def house_of(what: Tier | Literal["audit", "intake"]) -> House:
    """The house that wraps chart keys of a tier, audit body keys or intake keys."""
    return WRAPPING[what] if isinstance(what, Tier) else what


class CountyKeys:
    """The county's keys, loaded; only handles and wrapping objects, never bytes."""

    def __init__(self, keyring: Keyring, root: RootProvider, county: str) -> None:
        """Not for callers: see `load`."""
        self.county = county
        self._keyring = keyring
        self._root = root
        self._wraps: dict[str, KeyWrap] = {}
        self._starts = {use: frame(f"health-gateway {use}", county) for use in ("wrap", "root")}
        self._unders: dict[str, KeyWrap] = {}  # the same by the `under` of rows

    def __repr__(self) -> str:
        return "<CountyKeys>"

    def __reduce__(self) -> str:
        raise TypeError("Keys do not leave the vault.")

    @classmethod
    async def load(
        cls, keyring: Keyring, root: RootProvider, county: str
    ) -> tuple[CountyKeys, bool]:
        """The county's keys, and whether the keyring was empty and they were made just now."""
        keys = cls(keyring, root, county)
        names = [f"county/{house}" for house in (*WRAPPING, *WORKING)]
        rows = await keyring.fetch(names)
        created = not rows
        if created:
            await keyring.keep([keys._new(name, 1) for name in names])
            # Another process may have been first; what is kept counts.
            rows = await keyring.fetch(names)
        missing = sorted(set(names) - {row.name for row in rows})
        if set(missing) - LATER:
            raise KeyMissing(
                f"The keyring lacks {', '.join(missing)}; restore its backup, nothing new is made."
            )
        if missing:
            await keyring.keep([keys._new(name, 1) for name in missing])
            rows = await keyring.fetch(names)
        keys._take_up(rows)
        return keys, created

    def _take_up(self, rows: Sequence[Wrapped]) -> None:
        first = {row.name.removeprefix("county/"): row for row in rows if row.generation == 1}
        self.keyed = Keyed(*[self._open(first[house]) for house in ("id", "blind", "digest")])
        self.token = Sealer(self.county, "token", "", "", {1: self._open(first["token"])})
        self.field = Sealer(self.county, "field", "", "", {1: self._open(first["field"])})
        self.signer = Ed25519PrivateKey.from_private_bytes(self._open(first["signing"]))
        self.legislator = Ed25519PrivateKey.from_private_bytes(self._open(first["policy"]))
        for house in WRAPPING:
            name = f"county/{house}"
            self._wraps[house] = wrap = KeyWrap(
                name, {row.generation: self._open(row) for row in rows if row.name == name}
            )
            self._unders |= {f"{name}/{row.generation}": wrap for row in rows if row.name == name}

    def knows(self, row: Wrapped) -> bool:
        """Whether the county key that wraps this row is loaded."""
        return row.under in self._unders

    def learn(self, rows: Iterable[Wrapped]) -> None:
        """Take up epochs that another process made, from rows of wrapping houses."""
        for row in rows:
            wrap = self._wraps[row.name.removeprefix("county/")]
            if (under := f"{row.name}/{row.generation}") not in self._unders:
                wrap.learn(row.generation, self._open(row))
                self._unders[under] = wrap

    async def refresh(self) -> None:
        """Take up epochs that another process made."""
        self.learn(await self._keyring.fetch([f"county/{house}" for house in WRAPPING]))

    def newest(self, house: House) -> str:
        """The `under` of rows wrapped from now on."""
        return f"county/{house}/{self._wraps[house].newest}"

    def wrap(self, house: House, name: str, generation: int, key: bytes) -> Wrapped:
        """The row of a chart, audit or intake key, under the newest epoch of its house."""
        under = self.newest(house)
        about = self._about("wrap", name, generation, under)
        return Wrapped(name, generation, under, self._wraps[house].wrap(key, about))

    def unwrap(self, row: Wrapped) -> bytes:
        """The key of such a row, or SealBroken or KeyMissing. The caller keeps it out of sight."""
        wrap = self._unders.get(row.under)
        if wrap is None:
            raise KeyMissing("The county key that wraps this key is not in the keyring.")
        return wrap.unwrap(row.wrapped, self._about("wrap", row.name, row.generation, row.under))

    def rewrap(self, house: House, row: Wrapped) -> Wrapped:
        """The same key under the newest epoch."""
        return self.wrap(house, row.name, row.generation, self.unwrap(row))

    async def begin_epoch(self, house: House) -> None:
        """Make the next epoch of a wrapping house, durable before its first use."""
        await self.refresh()
        row = self._new(f"county/{house}", self._wraps[house].newest + 1)
        await self._keyring.keep([row])
        await self.refresh()

    async def end_epochs(self, house: House) -> int:
        """Erase all epochs of a wrapping house but the newest; returns how many."""
        await self.refresh()
        name = f"county/{house}"
        newest = self._wraps[house].newest
        ended = 0
        for row in await self._keyring.fetch([name]):
            if row.generation < newest:
                ended += await self._keyring.erase(name, row.generation)
        self._wraps[house].forget_older()
        self._unders = {
            under: wrap
            for under, wrap in self._unders.items()
            if wrap is not self._wraps[house] or under == self.newest(house)
        }
        return ended

    def _new(self, name: str, generation: int) -> Wrapped:
        under = f"root/{self._root.kind}"
        about = self._about("root", name, generation, under)
        return Wrapped(name, generation, under, self._root.wrap(os.urandom(32), about))

    def _open(self, row: Wrapped) -> bytes:
        try:
            return self._root.unwrap(
                row.wrapped, self._about("root", row.name, row.generation, row.under)
            )
        except (SealBroken, KeyMissing):
            pass
        raise RootRefused(
            f"The root key does not open {row.name}: another GATEWAY_KEY_FILE, another"
            " GATEWAY_COUNTY, or damage."
        )

    def _about(self, use: Literal["wrap", "root"], name: str, generation: int, under: str) -> bytes:
        return self._starts[use] + frame(name, str(generation), under)


async def sweep(keyring: Keyring, county: CountyKeys, house: House) -> int:
    """Wrap every key of a house under its newest epoch; returns how many were moved."""
    moved = 0
    for prefix in _pages(house):
        names = [name for name in await keyring.names(prefix) if house_of_name(name) == house]
        for start in range(0, len(names), 500):
            rows = await keyring.fetch(names[start : start + 500])
            stale = [row for row in rows if row.under != county.newest(house)]
            if stale:
                moved += await keyring.replace([county.rewrap(house, row) for row in stale])
    return moved


async def end_epochs(keyring: Keyring, county: CountyKeys, house: House) -> int:
    """Destroy all epochs of a house but the newest, when nothing is wrapped under them."""
    await county.refresh()
    await sweep(keyring, county, house)
    if await sweep(keyring, county, house):
        raise VaultError(f"Keys are still being made under older epochs of {house}; try later.")
    return await county.end_epochs(house)


def _pages(house: House) -> list[str]:
    # A county has a million chart keys: their names come in 256 lots.
    lots = [f"{lot:02x}" for lot in range(256)]
    if house == "intake":
        return ["intake/"]
    if house == "audit":
        return ["audit//", *[f"audit/{lot}" for lot in lots]]
    return [f"chart/{lot}" for lot in lots]


def house_of_name(name: str) -> House:
    """The house that wraps the key of this name."""
    kind, _, rest = name.partition("/")
    if kind == "chart":
        return WRAPPING[int(rest.rpartition("/")[2])]
    return "audit" if kind == "audit" else "intake"
