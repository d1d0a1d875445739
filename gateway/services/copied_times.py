"""Which organisations run an interface that writes one time into all places, as the nightly scans found.

A trace of it is kept in memory for a while, so that judging a result costs no question to the database.
"""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from gateway.records.instant import moment
from gateway.store import quality as rows
from gateway.store.engine import Store
from mappings.quality import DETECTORS

DETECTOR = "equal-times"
DAYS = 30
FRESH = 600_000_000  # µs


class CopiedTimes:
    """What the counts of `equal-times` over the last 30 days say of each organisation's sources."""

    def __init__(self, db: Store, zone: ZoneInfo) -> None:
        self._db = db
        self._zone = zone
        self._read_at = -FRESH
        self._held: frozenset[str] = frozenset()

    async def current(self, now: int) -> frozenset[str]:
        """The organisations with such a source; asked of the database when ten minutes have passed."""
        if not 0 <= now - self._read_at < FRESH:
            since = moment(now, self._zone).date() - timedelta(days=DAYS - 1)
            found = await self._db.read(rows.BY_ORGANIZATION, DETECTOR, since.isoformat())
            crossed = DETECTORS[DETECTOR].threshold.crossed
            self._held = frozenset(row[0] for row in found if crossed(int(row[2]), int(row[3])))
            self._read_at = now
        return self._held

    def forget(self) -> None:
        """Ask again next time: something was counted."""
        self._read_at = -FRESH

    def of(self, organization: str) -> bool:
        """Whether times of this organisation may be copies, as last read."""
        return organization in self._held
