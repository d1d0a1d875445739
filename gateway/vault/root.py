"""Root keys kept in a file: the weakest custody that is still honest about it (security.md 2.6)."""

from __future__ import annotations

from pathlib import Path


class KeyFile:
    """A root key in a file that only its owner may read."""

    kind = "key-file"
    limits: tuple[str, ...] = ()
    demo: bool = False

    @classmethod
    def create(cls, path: Path, *, demo: bool = False) -> KeyFile:
        """Write a new key to `path` (mode 0600, durable); refuse if anything is there already."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path, *, allow_demo: bool = False) -> KeyFile:
        """Read a key file; raise RootRefused if it is readable by others, damaged, or a demo's."""
        raise NotImplementedError

    def wrap(self, plain: bytes, about: bytes) -> bytes:
        """Encrypt a county key, bound to `about`."""
        raise NotImplementedError

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Decrypt a county key, or raise SealBroken."""
        raise NotImplementedError
