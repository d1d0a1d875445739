"""Which imaging studies somebody has open in this process: what was decided, for a few minutes."""

from __future__ import annotations

from typing import Any

from gateway.services.caller import Caller

MOST = 2_000


class OpenStudies:
    """What is open, by session, person, purpose and study; the oldest make room."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: dict[tuple[str, str, str, str], Any] = {}

    def get(self, caller: Caller, id: str) -> Any:
        """What this very session opened, or None."""
        return self._held.get(_key(caller, id))

    def put(self, caller: Caller, id: str, opened: Any) -> None:
        """Keep it."""
        self.drop(caller, id)
        while len(self._held) >= self._most:
            del self._held[next(iter(self._held))]
        self._held[_key(caller, id)] = opened

    def drop(self, caller: Caller, id: str) -> None:
        """Let go of it."""
        self._held.pop(_key(caller, id), None)


def _key(caller: Caller, id: str) -> tuple[str, str, str, str]:
    return (caller.session, caller.user, caller.purpose, id)
