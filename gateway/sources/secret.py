"""Reads a secret that stands in a file of its own: an address with a password in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_LONGEST: Final = 4096


class SecretRefused(Exception):
    """The file cannot be read, or others may read it. Holds the path, never what stands in it."""


def read_secret(path: Path) -> str:
    """The one line of a file that only its owner may read; raises `SecretRefused`."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not hang the worker
    except OSError as error:
        raise SecretRefused(f"{path} cannot be read: {error.strerror}.") from None
    try:
        state = os.fstat(number)
        if not stat.S_ISREG(state.st_mode):
            raise SecretRefused(f"{path} is not a file.")
        if state.st_mode & 0o077:
            raise SecretRefused(f"{path} is open to other users of this machine: chmod 600.")
        found = os.read(number, _LONGEST).decode("utf-8", "replace").strip()
    finally:
        os.close(number)
    if not found or "\n" in found:
        raise SecretRefused(f"{path} does not hold just one line.")
    return found
