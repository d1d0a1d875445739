"""Deliveries of any size, read in pieces: no more than one message is held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from mappings.engine import jsontext


class TooLarge(Exception):
    """One message, one row or one JSON text is larger than its source may send."""


def whole(file: BinaryIO, limit: int) -> bytes:
    """Everything from here to the end."""
    raw = file.read(limit + 1)
    if len(raw) > limit:
        raise TooLarge
    return raw


def lines(file: BinaryIO, limit: int) -> Iterator[bytes]:
    """The lines with their ends, which may be CR, LF or CRLF."""
    while line := file.readline(limit + 1):
        if len(line) > limit:
            raise TooLarge
        yield from line.splitlines(keepends=True)


def is_ndjson(file: BinaryIO, limit: int) -> bool:
    """Whether each line is a JSON text of its own; the file stands again where it stood.

    It is when the first line is a whole JSON text and not the only one, or when every line begins an
    object: then the first line is the broken one.
    """
    here = file.tell()
    try:
        filled = (line for line in iter(lambda: file.readline(limit + 1), b"") if line.strip())
        first = next(filled, b"")
        if not first.startswith(b"{") or len(first) > limit:
            return False
        second = next(filled, b"")
        if not second:
            return False
        try:
            jsontext.parse(first)
        except jsontext.JsonFault:
            return second.startswith(b"{") and all(line.startswith(b"{") for line in filled)
        return True
    finally:
        file.seek(here)
