"""How fast one person may look people up: nobody treats thirty-one a minute."""

from __future__ import annotations

from collections import deque

from gateway.errors import Kind, Problem

MOST = 30
WITHIN = 60_000_000  # µs


class Pace:
    """Counts what each person did in the last minute, in this process."""

    def __init__(self, most: int = MOST, within: int = WITHIN) -> None:
        self._most = most
        self._within = within
        self._done: dict[tuple[str, str], deque[int]] = {}

    def take(self, what: str, who: str, now: int) -> None:
        """Count one more; Problem THROTTLED when `who` has done it too often (then not counted)."""
        oldest = now - self._within
        done = self._done.setdefault((what, who), deque())
        while done and done[0] <= oldest:
            done.popleft()
        if len(done) >= self._most:
            raise Problem(Kind.THROTTLED, "Too many look-ups in a minute.")
        done.append(now)
        if len(self._done) > 10_000:
            self._done = {one: times for one, times in self._done.items() if times[-1] > oldest}
