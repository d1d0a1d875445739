"""Counts how often somebody is answered with nothing: who goes on asking may be guessing.

In memory, a process each: a threshold, not a ledger. The events of the log keep every single one.
"""

from __future__ import annotations

from collections import deque

MOST = 60
WITHIN = 600_000_000  # µs


class Probes:
    """Answers that showed nothing, by whom they went to."""

    def __init__(self, most: int = MOST, within: int = WITHIN) -> None:
        self._most = most
        self._within = within
        self._struck: dict[tuple[str, str], deque[int]] = {}

    def strike(self, client: str, user: str, at: int) -> bool:
        """Count one; True when it is one too many. Then counting begins anew."""
        struck = self._struck.setdefault((client, user), deque())
        struck.append(at)
        while struck[0] <= at - self._within:
            struck.popleft()
        if len(self._struck) > 10_000:
            late = at - self._within
            self._struck = {who: one for who, one in self._struck.items() if one[-1] > late}
        if len(struck) <= self._most:
            return False
        del self._struck[client, user]
        return True
