"""Answers that show nothing take a whole number of steps of time, whatever was looked up for them.

A shortest time alone would be outgrown by a large chart or a busy minute; between two steps an
answer tells nothing even then.
"""

from __future__ import annotations

import asyncio
import math
import time


def rest(spent: float, step: float) -> float:
    """Seconds left to the next whole step after `spent` seconds, at least to the first; 0 without a step."""
    if step <= 0:
        return 0.0
    return max(0.0, step * max(1, math.ceil(spent / step)) - spent)


def now() -> float:
    """The clock that `even` counts from, in seconds. Not the event loop's: that stands still while
    the loop is busy, and what was looked up in between would show after all."""
    return time.perf_counter()


async def even(began: float, step_ms: int) -> None:
    """Wait until a whole number of steps has passed since `began`, which is a `now()`.

    Timers are coarse (a millisecond); the last of it is waited in turns of the loop.
    """
    end = now() + rest(now() - began, step_ms / 1000)
    while (left := end - now()) > 0:  # noqa: ASYNC110 - nothing happens that could be waited for
        await asyncio.sleep(left - 0.001 if left > 0.002 else 0)
