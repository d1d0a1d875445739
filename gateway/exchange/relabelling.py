"""Labels charts again: when lists or policy changed, and when what came changes what others hang on.

A chart's row says under which rules all of it is labelled. One that says others is labelled before
anything of it is shown, by whoever asks first or by the worker; so an answer never rests on old
rules, and a county of any size may be asked while it is worked through. One transaction a chart:
a fault leaves it as it was. Labels only rise.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import orjson

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import labelling
from gateway.exchange.shelves import ALL_TIERS, add_segment, head_name, manifests, segment_name
from gateway.records import extract
from gateway.records.closure import label_of
from gateway.records.entry import (
    Entry,
    Head,
    Links,
    Nature,
    Segment,
    pack_head,
    standing,
    unpack_head,
    unpack_segment,
)
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import labels as statements
from gateway.store.engine import Tx
from gateway.store.labels import ChartState
from gateway.vault import ChartTier, Grant, ManifestKey, RecordKey, RecordName, Tier, VaultError

PAGE: Final = 256
SEGMENT: Final = 1_024
ATTEMPTS: Final = 6
WORKER: Final = Caller(client="gateway", organization="county", role="system")


class _Moved(Exception):
    """The chart changed while it was read; read it again."""


@dataclass(slots=True)
class Labelled:
    """What labelling a chart again came to: records read, those that rose, those that could not be
    read (they stay hidden), and how many records carry each label now."""

    records: int = 0
    raised: int = 0
    faults: int = 0
    labels: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Work:
    """One chart as read, and what is to be written of it."""

    chart: ChartState
    rules: str
    keys: dict[ChartTier, ManifestKey]
    bodies: dict[ChartTier, RecordKey]
    natures: dict[tuple[str, int], Nature] = field(default_factory=dict)  # that change, by version
    tiers: dict[str, Tier] = field(default_factory=dict)  # where all versions of a record go
    came: Labelled = field(default_factory=Labelled)


async def settle(charts: Iterable[rows.ChartRow], services: Services) -> bool:
    """Label those again that are labelled under other rules; whether there were any.

    Problem BUSY when a chart does not stand still for it.
    """
    rules = services.rules
    stale = [row.id for row in charts if row.labelled != rules]
    for chart in stale:
        await relabel(chart, services)
    return bool(stale)


async def relabel(chart: str, services: Services) -> Labelled | None:
    """Label one chart by the rules in force; None when it is labelled by them, or unknown."""
    for _ in range(ATTEMPTS):
        found = await services.db.read(statements.CHART, chart)
        if not found:
            return None
        state = ChartState(*found[0])
        if state.labelled == services.rules:
            return None
        try:
            return await _relabel(state, services)
        except _Moved:
            await asyncio.sleep(0)
    raise Problem(Kind.BUSY, "This record is changing right now; please try again.")


async def _relabel(state: ChartState, services: Services) -> Labelled:
    rules = services.rules
    found = await rows.segments(services.db, state.id, rows.ALL)
    grant = Grant("job", f"labels.{state.id}", ALL_TIERS)
    work = _Work(state, rules, {}, {})
    await _unlock(work, {Tier(tier) for _, tier, _, _ in found}, grant, services)
    segments = _opened(work, found)
    stand = {entry.id: (nature, entry) for nature, entry in standing(segments)}
    now = {id: nature for id, (nature, _) in stand.items()}
    if state.labelled != rows.OPEN_ENDS + rules:
        now |= await _read_again(work, services)
    linked: dict[bytes, tuple[Nature, Links]] = {
        id: (now[id], entry.links) for id, (_, entry) in stand.items()
    }
    now |= labelling.closed(linked, services)
    for id, nature in now.items():
        old, entry = stand[id]
        if nature != old:
            work.natures[entry.hex, entry.version] = nature
            shelf = labelling.shelf_of(nature)
            work.tiers[entry.hex] = max(shelf, work.tiers.get(entry.hex, shelf))
            work.came.raised += label_of(nature) != label_of(old)
        work.came.labels.update((nature.confidentiality, *nature.sensitivities))
    await _unlock(work, set(work.tiers.values()), grant, services)
    draft = await _event(work, services) if work.natures else None
    await services.db.do(_write, work, draft, services)
    return work.came


async def _unlock(work: _Work, tiers: set[Tier], grant: Grant, services: Services) -> None:
    wants = [
        want
        for tier in sorted(tiers | {Tier.GENERAL})
        if (want := ChartTier(work.chart.id, tier)) not in work.keys
    ]
    if not wants:
        return
    known = await manifests(services, grant, wants)
    missing = [want for want in wants if want not in known]
    if missing and work.keys:  # a tier it had nothing on so far
        await services.vault.ensure(missing)
        known |= await manifests(services, grant, missing)
    work.keys |= known
    work.bodies |= await services.vault.records(grant, list(known)) if known else {}


def _opened(work: _Work, found: Iterable[tuple[str, int, int, bytes]]) -> list[Segment]:
    """The chart's manifest; a tier whose keys were destroyed is left out."""
    segments = []
    for chart, tier, number, sealed in found:
        key = work.keys.get(ChartTier(chart, Tier(tier)))
        if key is not None:
            segments.append(unpack_segment(key.open(sealed, segment_name(chart, tier, number))))
    return segments


async def _read_again(work: _Work, services: Services) -> dict[bytes, Nature]:
    """What the rules in force say of each record as it stands, from the texts of all its versions.

    What an older version said is not unsaid by a newer one; those that rise are noted in `work`.
    """
    now, checks = await _pass(work, services, frozenset())
    if checks:  # hepatitis B of a health check is known by the visit
        now, _ = await _pass(work, services, checks)
    return now


async def _pass(
    work: _Work, services: Services, checks: frozenset[bytes]
) -> tuple[dict[bytes, Nature], frozenset[bytes]]:
    work.natures.clear()
    work.came.records = work.came.faults = 0
    before: dict[str, Nature] = {}
    found: set[bytes] = set()
    now: dict[bytes, Nature] = {}
    after = -1
    bucket, chart = rows.bucket_of(work.chart.id), work.chart.id
    while page := await services.db.read(statements.RECORDS, bucket, chart, after, PAGE):
        for seq, id, version, current, tier, head, sealed in page:
            after = seq
            want = ChartTier(chart, Tier(tier))
            if want not in work.keys:
                continue
            stored = unpack_head(work.keys[want].open(head, head_name(id, version)))
            if stored.nature.labels == labelling.EXEMPT:
                continue
            body = work.bodies[want]
            nature = _anew(work, stored, body, sealed, checks, services)
            if id in before:
                nature = _no_lower(nature, before[id], services)
            before[id] = nature
            if nature.health_check:
                found.add(stored.entry.id)
            if current:
                now[stored.entry.id] = nature
            elif nature != stored.nature:
                work.natures[id, version] = nature
                work.tiers[id] = max(labelling.shelf_of(nature), work.tiers.get(id, Tier.GENERAL))
    return now, frozenset(found)


def _anew(
    work: _Work,
    head: Head,
    key: RecordKey,
    sealed: bytes | None,
    checks: frozenset[bytes],
    services: Services,
) -> Nature:
    """One version's nature by the rules in force; one that cannot be read is not labelled: hidden."""
    nature, entry = head.nature, head.entry
    work.came.records += 1
    if sealed is None:
        return labelling.by_codes(nature, services)
    try:
        text = key.open(sealed, RecordName(nature.type, entry.hex, entry.version))
        resource = orjson.loads(text)
    except (VaultError, ValueError):
        work.came.faults += 1
        return msgspec.structs.replace(nature, labels="")
    said = extract.said(resource, services.settings.zone)
    visit = any(name == "encounter" and to in checks for name, to in entry.links)
    fresh = labelling.read(resource, said, nature.source, services, visit=visit)
    return labelling.anew(nature, fresh, services)


def _no_lower(nature: Nature, before: Nature, services: Services) -> Nature:
    raised = labelling.risen(nature, before, services)
    return nature if label_of(raised) == label_of(nature) else raised


async def _event(work: _Work, services: Services) -> Draft:
    body = Body(
        request=f"labels.{work.chart.id}",
        role="system",
        policies={"labels": work.rules},
        details={"labels": "raised", "records": str(work.came.raised)},
    )
    return await services.log.draft(
        Noted.RELABEL, Outcome.PERMIT, WORKER, services.now(), body, (work.chart.id,)
    )


def _write(tx: Tx, work: _Work, draft: Draft | None, services: Services) -> None:
    """What rises, where it lies from now on, its event, and that the chart is labelled."""
    chart = work.chart
    changes = 1 if draft else 0
    seq, epoch, _, _ = rows.take(tx, chart.id, 0, changes)
    if (seq, epoch - changes) != (chart.seq, chart.epoch):
        raise _Moved
    for id, tier in sorted(work.tiers.items()):
        for found in tx.all(rows.VERSIONS, id):
            row = rows.RecordRow(*found)
            if row.chart == chart.id:
                _seal_anew(tx, work, row, max(tier, Tier(row.tier)))
    if draft is not None:
        _lay_anew(tx, work)
        append(tx, services.log.filing_writer, [draft], services.now)
    tx.run(rows.SET_LABELLED, chart.id, work.rules)
    if chart.labelled != rows.OPEN_ENDS + work.rules:
        _count(tx, work)


def _seal_anew(tx: Tx, work: _Work, row: rows.RecordRow, tier: Tier) -> None:
    """A version with its nature as it is now, under the key of the tier it belongs to now."""
    was, now = (ChartTier(row.chart, one) for one in (Tier(row.tier), tier))
    about = head_name(row.id, row.version)
    head = unpack_head(work.keys[was].open(row.head, about))
    nature = work.natures.get((row.id, row.version), head.nature)
    told = work.keys[now].seal(pack_head(nature, head.entry), about)
    body = row.sealed
    if body is not None and was != now:
        name = RecordName(nature.type, row.id, row.version)
        body = work.bodies[now].seal(work.bodies[was].open(body, name), name)
    key = (rows.bucket_of(row.chart), row.chart, row.seq)
    tx.run(rows.MOVE_RECORD, *key, int(tier), told, body)


def _lay_anew(tx: Tx, work: _Work) -> None:
    """The chart's manifest written again, each entry in the segment of its record's tier.

    Sequence numbers stay, so an open page link sees the same records, labelled as they are now.
    """
    chart = work.chart.id
    bucket = rows.bucket_of(chart)
    found = tx.all(rows.SEGMENTS, bucket, chart, rows.ALL)
    shelves: dict[Tier, list[tuple[Nature, Entry]]] = {}
    for _, tier, number, sealed in found:
        key = work.keys.get(ChartTier(chart, Tier(tier)))
        if key is None:
            continue
        segment = unpack_segment(key.open(sealed, segment_name(chart, tier, number)))
        for entry in segment.entries:
            nature = segment.natures[entry.nature]
            shelf = Tier(tier)
            if not entry.gone:
                nature = work.natures.get((entry.hex, entry.version), nature)
                shelf = max(shelf, work.tiers.get(entry.hex, shelf))
            shelves.setdefault(shelf, []).append((nature, entry))
    for tier in {tier for _, tier, _, _ in found}:
        if ChartTier(chart, Tier(tier)) in work.keys:
            tx.run(rows.DROP_SEGMENTS, bucket, chart, tier, rows.ALL)
    for shelf, entries in sorted(shelves.items()):
        entries.sort(key=lambda pair: pair[1].seq)
        key = work.keys[ChartTier(chart, shelf)]
        for start in range(0, len(entries), SEGMENT):
            add_segment(tx, key, chart, shelf, entries[start : start + SEGMENT])


def _count(tx: Tx, work: _Work) -> None:
    """The chart in the run under way, whoever had it labelled."""
    newest = tx.one(statements.NEWEST_RUN)
    if newest is None:
        return
    run = statements.RunRow(*newest)
    if run.rules != work.rules or run.state != "running":
        return
    came = work.came
    told = tx.one(statements.MOVE_ON, run.id, came.records, came.raised, came.faults)
    if told is not None:
        counts = Counter(msgspec.json.decode(told[0] or "{}", type=dict[str, int]))
        counts.update(came.labels)
        tx.run(statements.SET_REPORT, run.id, msgspec.json.encode(dict(counts)).decode())
