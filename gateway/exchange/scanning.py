"""Reads a source's kept messages again, only to count: the detectors' way in.

Off the path of filing on purpose: looking costs about as much as mapping. A scan is an event of the
log before it opens anything; it keeps counts and forgets everything else.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Problem
from gateway.exchange import quality
from gateway.exchange.filing import issues_of
from gateway.exchange.kept import opened
from gateway.exchange.receive import source_named
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.marks import Misfit, misfits
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.scrub import withheld
from gateway.store import inbox
from gateway.store import quality as rows
from gateway.store.engine import Tx
from gateway.vault import VaultError
from mappings.engine import Ids, Map
from mappings.quality import DETECTORS, Result, Sighting, Tally, sighting
from mappings.quality.tally import MOST_PLACES, ODD

DAYS = 7
MOST = 50_000  # messages of one scan; of more a fair sample is read
JOB = "quality"
NIGHT = 2  # the county's hour in which sources are scanned
READING = tuple(one.name for one in DETECTORS.values() if one.notice is not None)
MARKS = "printed-marks"
WRITTEN = (*READING, "control-id-reused", "reconcile", MARKS, quality.SCANNED)
SCANNER = Caller(client="worker", organization="county", role="operator", user="worker")


class Scanned(NamedTuple):
    """What a scan read; `whole` is False when it was a sample."""

    source: str
    since: str
    messages: int
    unreadable: int
    whole: bool
    crossed: tuple[str, ...]


class _Seen:
    """What a scan carries along: the tally, and the reports by the day they were performed."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.read: Counter[str] = Counter()
        self.unreadable: Counter[str] = Counter()
        self.reports: dict[str, set[str]] = {}
        self.marks: Counter[str] = Counter()
        self.misfits: dict[str, Counter[str]] = {}

    def add(self, one: Sighting, marks: Iterable[tuple[str, Misfit | None]]) -> None:
        self.tally.add(one)
        for item, wrong in marks:
            self.marks[one.day] += 1
            if wrong is not None:
                self.misfits.setdefault(one.day, Counter())[f"{wrong}: {item}"] += 1
        for report in one.of("DiagnosticReport"):
            performed = str(report.get("effectiveDateTime") or report.get("issued") or "")[:10]
            if performed:
                self.reports.setdefault(performed, set()).add(str(report["id"]))


async def scan(
    name: str, services: Services, caller: Caller = SCANNER, days: int = DAYS, most: int = MOST
) -> Scanned:
    """Count what a source sent in the last `days` days, replacing what was counted of them.

    Problem UNKNOWN for a source that is not declared, BUSY when its map does not load. A message
    whose key was destroyed is counted as unreadable.
    """
    source = await source_named(name, services)
    site = await services.maps.get(source.map)
    await services.catalogues.current()
    claims = partial(_claims, source.organization, services.catalogue, services)
    since = quality.since(days, services)
    found = await services.db.read(rows.TO_SCAN, name, since, most + 1)
    whole = len(found) <= most
    details = {"quality": name, "since": since, "messages": str(min(len(found), most))}
    body = Body(request=f"quality.{services.now()}", human=caller.name, details=details)
    await services.log.note(Kind.READ, Outcome.PERMIT, caller, services.now(), body)
    seen = _Seen()
    ids = services.ids(source.organization)
    for id, arrived in found[:most]:
        day = moment(arrived, services.settings.zone).date().isoformat()
        text = await _opened(id, services)
        if text is None:
            seen.unreadable[day] += 1
            continue
        # In a thread, one message at a time: whoever is at a door goes first.
        for one, marks in await asyncio.to_thread(_look, text, site, ids, id, day, arrived, claims):
            seen.add(one, marks)
        seen.read[day] += 1
    results = [
        *seen.tally.results(),
        *_scanned(seen),
        *_marked(seen),
        *await _reused(name, since, services),
        *(await _reconciled(name, since, seen, services) if whole else []),
    ]
    crossed = await services.db.do(_write, name, since, results, services.now())
    services.copied_times.forget()
    total = seen.read.total() + seen.unreadable.total()
    return Scanned(name, since, total, seen.unreadable.total(), whole, crossed)


async def _opened(id: str, services: Services) -> bytes | None:
    found = await services.db.read(inbox.RAW, id)
    if not found:
        return None
    raw = inbox.RawRow(*found[0])
    try:
        return await opened(raw, services)
    except VaultError:
        return None


_Claims = list[tuple[str, Misfit | None]]


def _look(
    text: bytes,
    site: Map,
    ids: Ids,
    id: str,
    day: str,
    arrived: int,
    claims: Callable[[Sighting], _Claims],
) -> list[tuple[Sighting, _Claims]]:
    reading = site.read(text, ids, origin=id)
    found = [
        sighting(text, site, message, day, arrived, with_cells=n == 0)
        for n, message in enumerate(reading.messages)
    ]
    return [(one, claims(one)) for one in found]


def _claims(organization: str, catalogue: Catalogue, services: Services, seen: Sighting) -> _Claims:
    """What the printed marks of a message claim, beside the catalogue and register in force."""
    try:
        zone = services.settings.zone
        found = misfits(seen.resources, seen.at, organization, catalogue, seen.arrived, zone)
        return list(found)
    except ODD:  # a mark on a resource of no known shape claims nothing
        return []


def _marked(seen: _Seen) -> list[Result]:
    return [
        Result(day, MARKS, total, wrong.total(), dict(wrong.most_common(MOST_PLACES)))
        for day, total in sorted(seen.marks.items())
        for wrong in [seen.misfits.get(day, Counter())]
    ]


def _scanned(seen: _Seen) -> list[Result]:
    days = sorted({*seen.read, *seen.unreadable})
    return [
        Result(
            day, quality.SCANNED, seen.read[day] + seen.unreadable[day], seen.unreadable[day], {}
        )
        for day in days
    ]


async def _reused(name: str, since: str, services: Services) -> list[Result]:
    """Control ids used again, by the alarms that were raised when it happened."""
    reused: dict[str, int] = dict(map(_pair, await services.db.read(rows.REUSED_IDS, name, since)))
    return [
        Result(
            day, "control-id-reused", named, reused.get(day, 0), _some("MSH-10", reused.get(day))
        )
        for day, _, named in await services.db.read(rows.BY_DAY, name, since)
        if named
    ]


def _pair(row: Sequence[Any]) -> tuple[str, int]:
    return row[0], row[1]


def _some(place: str, count: int | None) -> Mapping[str, int]:
    return {place: count} if count else {}


async def _reconciled(name: str, since: str, seen: _Seen, services: Services) -> list[Result]:
    """What the hospital performed beside the reports that came, for each past day it told of."""
    held: dict[str, Counter[str]] = {}
    for day, text in await services.db.read(rows.HELD_BY_DAY, name, since):
        codes = [one.code for one in issues_of(text) if one.severity in {"stop", "hold"}]
        held.setdefault(day, Counter())[f"in quarantine: {codes[0] if codes else '-'}"] += 1
    results = []
    for row in map(rows.Row._make, await services.db.read(rows.SINCE, [name], since)):
        if row.detector != quality.EXPECTED or row.day >= quality.today(services).isoformat():
            continue
        due = max(row.seen - row.struck, 0)
        missing = max(due - len(seen.reports.get(row.day, ())), 0)
        detail = {**_some("not received", missing), **held.get(row.day, {})}
        detail |= {f"not sent: {reason}": n for reason, n in json.loads(row.detail).items()}
        results.append(Result(row.day, "reconcile", due, missing, detail))
    return results


def _write(tx: Tx, name: str, since: str, results: Sequence[Result], at: int) -> tuple[str, ...]:
    tx.run(rows.DROP, name, since, list(WRITTEN))
    sums: Counter[tuple[str, str]] = Counter()
    for one in results:
        detail = json.dumps(dict(one.detail), ensure_ascii=False) if one.detail else ""
        tx.run(rows.PUT, name, one.day, one.detector, one.seen, one.struck, detail)
        sums[one.detector, "seen"] += one.seen
        sums[one.detector, "struck"] += one.struck
    crossed = tuple(
        name_
        for name_, detector in DETECTORS.items()
        if detector.threshold.crossed(sums[name_, "seen"], sums[name_, "struck"])
    )
    for detector in crossed:
        if detector != "control-id-reused":  # each of them is an alarm of its own already
            quality.alarm(tx, name, detector, at)
    return crossed


# Every night


async def tonight(services: Services) -> int:
    """Scan the active sources whose turn it is; each has a job that is put off to the next night.

    Raises the last Problem a source met, once all have had their turn.
    """
    if withheld_now := withheld.take():
        await quality.count(quality.GATEWAY, "numbers-in-log", withheld_now, services)
    sources = [row[0] for row in await services.db.read(inbox.SOURCES) if row[4] == "active"]
    now = services.now()
    await services.db.do(_add_jobs, sources, _next_night(now, services))
    done, trouble = 0, None
    while jobs := await services.db.do(inbox.lease_jobs, JOB, now, now + _LEASE, 1):
        for name, _ in jobs:
            try:
                if name in sources:
                    await scan(name, services)
            except Problem as problem:
                trouble = problem  # the next source does not wait for this one's map
            finally:
                await services.db.do(_again, name, _next_night(services.now(), services))
            done += 1
    if trouble is not None:
        raise trouble
    return done


_LEASE = 4 * 3600 * 1_000_000


def _add_jobs(tx: Tx, sources: Sequence[str], due: int) -> None:
    for name in sources:
        tx.run(inbox.ADD_JOB, JOB, name, due)


def _again(tx: Tx, name: str, due: int) -> None:
    tx.run(inbox.PUT_OFF_JOB, JOB, name, due)


def _next_night(now: int, services: Services) -> int:
    """The next NIGHT o'clock of the county."""
    local: datetime = moment(now, services.settings.zone)
    at = local.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    if at <= local:
        at += timedelta(days=1)
    return int(at.timestamp() * 1_000_000)
