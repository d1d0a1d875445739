"""Long work is done beside the event loop, so that nobody at any door waits for a large message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LARGE = 262_144  # bytes: about 50 ms of reading


async def aside(size: int, work: Callable[..., T], *given: Any) -> T:
    """`work(*given)`, which touches neither loop nor store; in a thread when `size` is LARGE."""
    if size > LARGE:
        return await asyncio.to_thread(work, *given)
    return work(*given)
