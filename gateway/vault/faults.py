"""What a vault says when it will not: kinds and places, never a value, a chart or a key."""

from __future__ import annotations

from collections.abc import Iterable


class VaultError(Exception):
    """Anything the vault refuses; the text is safe to log."""


class SealBroken(VaultError):
    """Sealed bytes do not open here: moved, altered, cut, rolled to another place, or another key's."""


class KeyMissing(VaultError):
    """The keyring does not hold the key asked for.

    `wants` lists what is missing, as the caller asked for it (ChartTier or (chart, year)); it is
    not part of the text.
    """

    def __init__(self, text: str, wants: Iterable[object] = ()) -> None:
        super().__init__(text)
        self.wants = tuple(wants)


class Shredded(VaultError):
    """The key was destroyed on purpose, and what it sealed with it; `wants` as in KeyMissing."""

    def __init__(self, text: str, wants: Iterable[object] = ()) -> None:
        super().__init__(text)
        self.wants = tuple(wants)


class GrantRefused(VaultError):
    """The grant does not cover the key: a tier not granted, or no durable audit leaf."""


class RootRefused(VaultError):
    """The root key cannot be used as it is kept, or does not belong to this keyring."""
