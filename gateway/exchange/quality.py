"""The quality of what each source sends: counts of the detectors, and who is told of them.

Counts come from four places: a scan of kept messages (`scanning`), the inbox's own columns, the
hospital's word on what it performed, and the doors. None of them holds a value of a patient.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.oversight import sees_all
from gateway.exchange.receive import source_named
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inbox
from gateway.store import quality as rows
from gateway.store.engine import Tx
from mappings.quality import DETECTORS

DAYS = 14
ALARM = "quality-"  # with the detector's name: the kind of its alarm
GATEWAY = "gateway"  # whom what strikes our own log is counted for
SCANNED, EXPECTED = "scanned", "expected"  # rows that are no detector's
REASONS = {
    "performed": "performed",
    "已执行": "performed",
    "no-resident-id": "no-resident-id",
    "无身份证号": "no-resident-id",
    "not-shared": "not-shared",
    "未授权": "not-shared",
    "cancelled": "cancelled",
    "已取消": "cancelled",
    "other": "other",
    "其他": "other",
}
"""What a hospital may say of a day: how many it performed, and why some were not sent."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one detector found of one source, in all and by day; `detail` is strikes by place."""

    source: str
    detector: str
    seen: int
    struck: int
    days: tuple[tuple[str, int, int], ...]
    detail: Mapping[str, int]

    @property
    def crossed(self) -> bool:
        """More than the detector's threshold lets pass."""
        return DETECTORS[self.detector].threshold.crossed(self.seen, self.struck)


@dataclass(frozen=True, slots=True)
class Quality:
    """A source's detectors and how far its kept messages were read."""

    source: str
    organization: str
    found: tuple[Found, ...]
    scanned: int
    unreadable: int
    last: str  # the newest day read; empty when nothing was

    @property
    def crossed(self) -> int:
        """How many detectors ask for a look."""
        return sum(one.crossed for one in self.found)


def since(days: int, services: Services) -> str:
    """The first of the last `days` county days, today the last of them."""
    return (today(services) - timedelta(days=max(days, 1) - 1)).isoformat()


def today(services: Services) -> date:
    """The county's day."""
    return moment(services.now(), services.settings.zone).date()


async def of_sources(
    sources: Mapping[str, str], days: int, services: Services
) -> tuple[Quality, ...]:
    """The quality of sources (name → organisation), each with the detectors that saw something."""
    known: dict[str, list[rows.Row]] = {name: [] for name in sources}
    for row in await services.db.read(rows.SINCE, sorted(sources), since(days, services)):
        known[row[0]].append(rows.Row(*row))
    return tuple(_quality(name, sources[name], found) for name, found in known.items())


def _quality(name: str, organization: str, stored: Sequence[rows.Row]) -> Quality:
    scanned = [row for row in stored if row.detector == SCANNED]
    found = []
    for detector in DETECTORS:
        mine = [row for row in stored if row.detector == detector]
        if not mine:
            continue
        detail: dict[str, int] = {}
        for row in mine:
            for place, count in _counts(row.detail).items():
                detail[place] = detail.get(place, 0) + count
        found.append(
            Found(
                name,
                detector,
                sum(row.seen for row in mine),
                sum(row.struck for row in mine),
                tuple((row.day, row.seen, row.struck) for row in mine),
                dict(sorted(detail.items(), key=lambda pair: (-pair[1], pair[0]))),
            )
        )
    return Quality(
        name,
        organization,
        tuple(found),
        sum(row.seen for row in scanned),
        sum(row.struck for row in scanned),
        max((row.day for row in scanned), default=""),
    )


def _counts(detail: str) -> Mapping[str, int]:
    return {str(place): int(n) for place, n in json.loads(detail).items()} if detail else {}


async def overview(caller: Caller, services: Services, days: int = DAYS) -> tuple[Quality, ...]:
    """The caller's own sources; for the authority all, with refused clients and the gateway itself."""
    if caller.role != "it":
        raise Problem(Trouble.REFUSED, "Another role's work.")
    everything = sees_all(caller, services)
    mine = {
        row[0]: row[1]
        for row in await services.db.read(inbox.SOURCES)
        if everything or row[1] == caller.organization
    }
    if everything:
        others = [row[0] for row in await services.db.read(rows.OTHERS)]
        mine |= {name: caller.organization for name in others if name not in mine}
    return await of_sources(mine, days, services)


# What the hospital says it performed


async def expect(
    source: str, told: Iterable[tuple[str, str, int]], services: Services
) -> Sequence[str]:
    """Keep a source's own counts of reports: (day, reason, count); gives the days.

    Telling a day again replaces it. Problem MALFORMED names the line, UNKNOWN an undeclared source.
    """
    await source_named(source, services)
    days: dict[str, dict[str, int]] = {}
    for line, (day, reason, count) in enumerate(told, 2):
        place = f"line {line}"
        try:
            day = date.fromisoformat(day.strip()).isoformat()
        except ValueError:
            raise Problem(Trouble.MALFORMED, "A day is written 2026-03-01.", place) from None
        known = REASONS.get(reason.strip())
        if known is None:
            raise Problem(
                Trouble.MALFORMED, f"A reason is one of {', '.join(sorted(REASONS))}.", place
            )
        if count < 0:
            raise Problem(Trouble.MALFORMED, "A count is not negative.", place)
        of_day = days.setdefault(day, {})
        of_day[known] = of_day.get(known, 0) + count
    for day, counts in days.items():
        if "performed" not in counts:
            raise Problem(Trouble.MALFORMED, "Each day says how many were performed.", day)
    await services.db.do(_expect, source, days)
    return sorted(days)


def _expect(tx: Tx, source: str, days: Mapping[str, Mapping[str, int]]) -> None:
    for day, counts in days.items():
        explained = {reason: n for reason, n in counts.items() if reason != "performed"}
        tx.run(rows.BEGIN, source, day, EXPECTED, 0, 0, "")
        tx.run(
            rows.SET,
            source,
            day,
            EXPECTED,
            counts["performed"],
            sum(explained.values()),
            json.dumps(explained),
        )


# Counted as it happens


async def count(who: str, detector: str, times: int, services: Services) -> None:
    """Add strikes of a detector that looks at doors or at our own log."""
    await services.db.do(_count, who, today(services).isoformat(), detector, times, services.now())


def _count(tx: Tx, who: str, day: str, detector: str, times: int, at: int) -> None:
    tx.run(rows.BEGIN, who, day, detector, 0, 0, "")
    found = tx.one(rows.ADD, who, day, detector, times, times)
    if found is not None and DETECTORS[detector].threshold.crossed(*found):
        alarm(tx, who, detector, at)


def alarm(tx: Tx, source: str, detector: str, at: int) -> None:
    """Raise an alarm, once for each source and detector until it is settled."""
    kind = ALARM + detector
    if tx.one(rows.UNSETTLED, kind, source) is None:
        tx.run(inbox.ADD_ALARM, kind, source, "", at)
