"""What may be held of request bodies, by all requests together, and how long a sender may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import Kind, Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

WITHIN = 60.0  # seconds between two pieces
WHOLE = 600.0  # seconds for the whole body


class Bodies:
    """Counts the bytes of bodies that are being received; `limit` is for all of them together."""

    def __init__(self, limit: int, within: float = WITHIN, whole: float = WHOLE) -> None:
        self.held = 0
        self._limit = limit
        self._within = within
        self._whole = whole

    def watched(self, receive: Receive) -> Body:
        """The `receive` of one request, to be `close`d with it."""
        return Body(self, receive)


class Body:
    """One body. A sender that falls silent is as one that hung up; Problem BUSY when too much is
    held already."""

    def __init__(self, all: Bodies, receive: Receive) -> None:
        self._all = all
        self._receive = receive
        self._held = 0
        self._ended = False
        self._until = asyncio.get_running_loop().time() + all._whole

    async def __call__(self) -> MutableMapping[str, Any]:
        """The next piece, as ASGI has it."""
        if self._ended:  # what comes now is only the end of the connection, which may take for ever
            return await self._receive()
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout(min(self._all._within, left)):
                message = await self._receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        size = len(message.get("body", b""))
        self._held += size
        self._all.held += size
        if self._all.held > self._all._limit:
            raise Problem(Kind.BUSY, "Too much is being received at once; please send again.")
        self._ended = not message.get("more_body")
        return message

    def close(self) -> None:
        """Its bytes are not held any more."""
        self._all.held -= self._held
        self._held = 0
