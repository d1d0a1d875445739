"""Keeps long manifests readable for a minute: who opens a person looks again within seconds.

What is kept saves reading columns anew, and decides nothing: whoever asks has fetched the sealed bytes
and the key of this request first, and gets only what is in those very bytes. A manifest that grew, was
labelled again or whose key was destroyed is never found here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from gateway.records.entry import Segment, unpack_segment
from gateway.vault import ManifestKey

LONG = 32_768  # sealed bytes; a shorter piece is read anew each time
MOST = 2_097_152  # sealed bytes of all that is kept: about 40,000 entries
LIFE = 60.0  # seconds since it was opened


class _Kept(NamedTuple):
    sealed: bytes
    segment: Segment
    until: float


class LongManifests:
    """What was opened in the last minute, by the place it is bound to; the oldest make room."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._held: OrderedDict[bytes, _Kept] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._held)

    def opened(self, key: ManifestKey, sealed: bytes, about: bytes) -> Segment:
        """The segment in these bytes; raises as `ManifestKey.open` and `unpack_segment` do."""
        now = self._clock()
        self._let_go(now)
        kept = self._held.get(about)
        if kept is not None and kept.sealed == sealed:
            return kept.segment
        segment = unpack_segment(key.open(sealed, about))
        if LONG <= len(sealed) <= self._most:
            self._drop(about)
            self._held[about] = _Kept(sealed, segment, now + LIFE)
            self._size += len(sealed)
            self._let_go(now)
        return segment

    def _let_go(self, now: float) -> None:
        """Of what is too old, and of the oldest while there is too much."""
        while self._held:
            oldest = next(iter(self._held))
            if self._held[oldest].until > now and self._size <= self._most:
                return
            self._drop(oldest)

    def _drop(self, about: bytes) -> None:
        kept = self._held.pop(about, None)
        if kept is not None:
            self._size -= len(kept.sealed)
