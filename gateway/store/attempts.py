"""Counts attempts on a password or a code, and locks it for a while after too many."""

from __future__ import annotations

from gateway.store.tables import Account, SecondFactor

FREE = 5
FIRST_LOCK = 60_000_000
LONGEST_LOCK = 15 * 60_000_000


def locked(row: Account | SecondFactor, at: int) -> bool:
    """Count an attempt before it is looked at; True while it is locked.

    Counting first means that guesses sent all at once are all counted. From the fifth on it is locked
    for a minute, then twice as long each time, a quarter of an hour at most; attempts while it is
    locked neither count nor lengthen the lock.
    """
    if row.locked_until > at:
        return True
    row.failures += 1
    if row.failures >= FREE:
        doubled = FIRST_LOCK << min(row.failures - FREE, 10)
        row.locked_until = at + min(doubled, LONGEST_LOCK)
    return False
