"""The last thing a log line meets: whatever looks like a resident ID is taken out before it is written.

Nothing of ours puts a number into a log; this is for the line of a library, or of a fault of ours, that
does. What was taken out is counted, and the count becomes a finding about this gateway.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any

# GB 11643: region, a date of birth, sequence, check digit; also when full-width or cut by a separator.
_NUMBER = re.compile(
    r"(?<!\d)[1-9]\d{5}[ \-]?(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[ \-]?\d{3}[\dXxＸｘ](?!\d)"
)
TAKEN_OUT = "[resident-id]"


class _Withheld:
    """How many numbers were taken out since somebody asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def add(self, count: int) -> None:
        with self._lock:
            self._count += count

    def take(self) -> int:
        """The count, which begins anew."""
        with self._lock:
            count, self._count = self._count, 0
        return count


withheld = _Withheld()


def scrubbed(text: str) -> str:
    """The text without anything that looks like a resident ID."""
    text, found = _NUMBER.subn(TAKEN_OUT, text)
    if found:
        withheld.add(found)
    return text


def scrub(logger: Any, method: str, line: Any) -> str:
    """The last structlog processor, behind the renderer: it sees the line as it would be written."""
    return scrubbed(str(line))


class Scrubbing(logging.Formatter):
    """The same for the standard library's loggers, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line without numbers."""
        return scrubbed(super().format(record))
