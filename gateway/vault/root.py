"""Root keys kept in a file: the weakest custody that is still honest about it."""

from __future__ import annotations

import base64
import hmac
import os
import stat
from pathlib import Path
from typing import Final

from gateway.vault.faults import RootRefused
from gateway.vault.wrap import KeyWrap

_REAL: Final = "health-gateway root key 1"
_DEMO: Final = "health-gateway DEMONSTRATION root key 1, protects nothing"
_LIMITS: Final = (
    "The root key lies in a file: whoever reads both this file and the keyring reads every record.",
    "One person with root on this machine is enough; nobody else has to agree.",
    "The key is in the memory of the running gateway, and in its swap unless that is off.",
    "A lost key file cannot be replaced: keep a copy offline, never beside a backup of the keyring.",
)


class KeyFile:
    """A root key in a file that only its owner may read.

    Three lines of text: what the file is, `check <16 hex>` that a typing error does not pass, and
    the key in base64.
    """

    kind = "key-file"
    limits = _LIMITS

    def __init__(self, key: bytes, *, demo: bool) -> None:
        """Not for callers: see `create` and `open`."""
        self._wrap = KeyWrap("root key", {1: key})
        self.demo = demo

    def __repr__(self) -> str:
        return "<KeyFile>"

    def __reduce__(self) -> str:
        raise TypeError("Keys do not leave the vault.")

    @classmethod
    def create(cls, path: Path, *, demo: bool = False) -> KeyFile:
        """Write a new key to `path` (mode 0600, durable); refuse if anything is there already."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            number = os.open(path, flags, 0o600)
        except FileExistsError:
            number = -1
        if number < 0:
            raise RootRefused(f"{path} exists; a root key is never overwritten.")
        key = os.urandom(32)
        with os.fdopen(number, "w", encoding="ascii") as file:
            encoded, first = base64.b64encode(key).decode(), _DEMO if demo else _REAL
            file.write(f"{first}\ncheck {_check(key, first)}\n{encoded}\n")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return cls(key, demo=demo)

    @classmethod
    def open(cls, path: Path, *, allow_demo: bool = False) -> KeyFile:
        """Read a key file; RootRefused if others may read it, it is damaged, or it is a demo's."""
        try:
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not hang the start
        except OSError as error:
            hint = "" if path.exists() else " A new county's is made by `health-gateway init`."
            raise RootRefused(f"{path} cannot be read: {error.strerror}.{hint}") from None
        try:
            state = os.fstat(number)
            if not stat.S_ISREG(state.st_mode):
                raise RootRefused(f"{path} is not a file.")
            if state.st_mode & 0o077:
                raise RootRefused(f"{path} is open to other users of this machine: chmod 600.")
            if state.st_uid not in (os.geteuid(), 0):
                raise RootRefused(f"{path} belongs to another user.")
            found = _read(os.read(number, 4096))
        finally:
            os.close(number)
        if found is None:
            raise RootRefused(f"{path} is not a root key file, or is damaged.")
        if found.demo and not allow_demo:
            raise RootRefused(f"{path} is a demonstration key; it protects nothing.")
        return found

    def wrap(self, plain: bytes, about: bytes) -> bytes:
        """Encrypt a county key, bound to `about`."""
        return self._wrap.wrap(plain, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Decrypt a county key, or raise SealBroken."""
        return self._wrap.unwrap(wrapped, about)


def _read(content: bytes) -> KeyFile | None:
    """The root key in a file's content, or None; never raises where a key is a local variable."""
    lines = content.decode("ascii", "replace").splitlines()
    if len(lines) != 3 or lines[0] not in (_REAL, _DEMO):
        return None
    try:
        key = base64.b64decode(lines[2], validate=True)
    except ValueError:
        return None
    if len(key) != 32 or lines[1] != f"check {_check(key, lines[0])}":
        return None
    return KeyFile(key, demo=lines[0] == _DEMO)


def _check(key: bytes, first: str) -> str:
    # Over the first line as well: a demonstration's key is not made real by editing its name.
    return hmac.digest(key, first.encode(), "sha256")[:8].hex()
