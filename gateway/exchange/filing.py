"""Files what a source sent: raw bytes → map → one transaction per chart → filed or quarantined.

Filing twice equals filing once: ids come from the sender's own keys, an older business clock never
replaces a newer one, and equal content makes no new version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import (
    labelling,
    relations,
    relied,
    repeats,
    rights,
    snapshots,
    unmapped_queue,
)
from gateway.exchange.aside import aside
from gateway.exchange.filing_person import Again, join, write_person
from gateway.exchange.kept import opened
from gateway.exchange.planning import Plan, Planned, inherited, meet_neighbours, prepare
from gateway.exchange.planning import plan as plan_of
from gateway.exchange.shelves import add_segment, head_name, segment_name
from gateway.records import merge
from gateway.records.entry import (
    Entry,
    Head,
    Links,
    Nature,
    Segment,
    pack_head,
    unpack_head,
    unpack_segment,
)
from gateway.records.entry import standing as standing_in
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.services.maps import Release
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.vault import ChartTier, ManifestKey, RecordName, Tier
from mappings.engine import Issue, Mapped, Message, Reading, Unmapped

T = TypeVar("T")

STICKY = frozenset({"entered-in-error", "cancelled"})
FINISHED = frozenset({"final", "corrected", "amended", "cancelled", "entered-in-error"})
UNFINISHED = frozenset({"registered", "preliminary", "partial"})


class Settled(NamedTuple):
    """How a raw message ended, and what was written."""

    state: str  # filed | quarantined
    versions: int
    issues: tuple[Issue, ...]


async def file_message(id: str, services: Services) -> Settled | None:
    """Map and file one kept raw message; None when somebody else has settled it.

    Raises Problem BUSY when a part of the gateway cannot work now: the job is tried again.
    """
    found = await services.db.read(inbox.RAW, id)
    if not found:
        return None
    raw = inbox.RawRow(*found[0])
    if raw.state != "waiting":
        await services.db.do(_end_job, id)
        return None
    known = await services.db.read(inbox.SOURCE, raw.source)
    source = inbox.SourceRow(*known[0])
    release = await services.maps.in_force(source.map)
    text = await opened(raw, services)
    read = await read_raw(text, id, raw.day, source.organization, release, services)
    read = await within_rights(read, source, services)
    end = await ending(raw, source, release.map.release, read, services)
    return await with_neighbours(read.plans, services, _file, read.plans, end, services)


class Read(NamedTuple):
    """What a raw message says under a release, and what it wants written."""

    reading: Reading
    plans: list[Plan]
    issues: tuple[Issue, ...]
    unmapped: tuple[Unmapped, ...]


async def read_raw(
    text: bytes,
    id: str,
    day: str,
    organization: str,
    release: Release,
    services: Services,
    retell: Callable[[Message], Message] | None = None,
) -> Read:
    """What a raw message wants written under a release, and what was not understood.

    The `day` it arrived (ISO) decides how strictly its resources are validated, also in a replay.
    `retell` changes what a message says before it is planned: for one that was filed before.
    """
    ids = services.ids(organization)
    arrived = date.fromisoformat(day)
    work = partial(release.map.read, text, ids, origin=id, gate=release.gate, day=arrived)
    reading = await aside(len(text), work)
    issues = list(reading.issues)
    plans: list[Plan] = []
    fresh: set[str] = set()
    for message in reading.messages:
        issues += message.issues
        if not any(issue.severity == "stop" for issue in message.issues):
            said = retell(message) if retell else message
            plan, trouble = await plan_of(said, organization, id, services)
            issues += trouble
            if plan is not None:
                plan.release, plan.fresh = release.number, fresh
                plan.snapshot = release.map.source.options.get("snapshot") is True
                plans.append(plan)
    unmapped = tuple(one for message in reading.messages for one in message.unmapped)
    return Read(reading, plans, tuple(issues), unmapped)


async def within_rights(read: Read, source: inbox.SourceRow, services: Services) -> Read:
    """The same while the source has the right to store every class of it here; else nothing of it."""
    said = {
        (one.mapped.type, one.nature.categories) for plan in read.plans for one in plan.resources
    }
    lacking = await rights.storable(source, said, services)
    return read._replace(plans=[], issues=(*read.issues, *lacking)) if lacking else read


async def with_neighbours(
    plans: Sequence[Plan], services: Services, work: Callable[..., T], *given: Any
) -> T:
    """Run `work(tx, *given)`, which writes `plans`; again when a chart to compare with appeared."""
    for _ in range(4):
        try:
            return await services.db.do(work, *given)
        except Again:
            for plan in plans:
                await meet_neighbours(plan, services)
    raise Problem(Trouble.BUSY, "Charts are being linked; please try again in a moment.")


@dataclass(frozen=True, slots=True)
class Ending:
    """What settles a raw message once its plans are written."""

    raw: inbox.RawRow
    release: str
    wrap: bytes
    owner: str
    tier: int
    draft: Draft
    issues: tuple[Issue, ...]
    at: int
    unmapped: tuple[unmapped_queue.Met, ...]


async def ending(
    raw: inbox.RawRow,
    source: inbox.SourceRow,
    release: str,
    read: Read,
    services: Services,
) -> Ending:
    """The raw message's new owner (the highest tier found) and its event, ready to append."""
    shelves = [
        ChartTier(plan.chart, max((p.tier for p in plan.resources), default=Tier.GENERAL))
        for plan in read.plans
    ]
    owner = max(shelves, key=lambda shelf: shelf.tier, default=None)
    was = ChartTier(raw.owner, Tier(raw.owner_tier)) if raw.owner else None
    wrap = raw.wrap
    if owner is not None and (was is None or owner.tier > was.tier):
        wrap = await services.vault.own_raw(raw.source, raw.day, raw.id, wrap, owner, was)
    else:
        owner = was
    at = services.now()
    draft = await services.log.draft(
        Kind.FILED,
        Outcome.PERMIT,
        Caller(client=raw.source, organization=source.organization, role="system"),
        at,
        Body(request=raw.id, details={"source": raw.source, "release": release}),
        (owner.chart,) if owner else (),
    )
    return Ending(
        raw,
        release,
        wrap,
        owner.chart if owner else "",
        int(owner.tier) if owner else 0,
        draft,
        (*read.issues, *snapshots.unreviewed(issues_of(raw.issues))),
        at,
        unmapped_queue.met(raw.source, read.unmapped, services),
    )


def _file(tx: Tx, plans: Sequence[Plan], end: Ending, services: Services) -> Settled:
    """Everything of one raw message in one transaction: records, its event, its state, its job."""
    for plan in plans:
        plan.fresh.clear()
    versions = sum(write_plan(tx, plan, services) for plan in plans)
    repeats.note(tx, plans, services)
    issues = (*end.issues, *(issue for plan in plans for issue in plan.issues))
    held = not plans or any(issue.severity in {"stop", "hold"} for issue in issues)
    state = "quarantined" if held else "filed"
    draft = end.draft
    if held:
        draft = draft._replace(kind=Kind.QUARANTINED, outcome=Outcome.ERROR)
    append(tx, services.log.filing_writer, [draft], services.now)
    tx.run(
        inbox.SETTLE,
        end.raw.id,
        state,
        end.wrap,
        end.owner,
        end.tier,
        issues_text(issues),
        end.release,
        end.at,
    )
    for code in sorted({issue.code for issue in issues if issue.severity == "alarm"}):
        tx.run(inbox.ADD_ALARM, code, end.raw.source, end.raw.id, end.at)
    tx.run(inbox.END_JOB, "file", end.raw.id)
    unmapped_queue.note(tx, end.raw.source, end.raw.id, end.unmapped, end.at, services)
    return Settled(state, versions, issues)


def issues_text(issues: Sequence[Issue]) -> str:
    """Issues as the inbox keeps them: severity, code, place, rule."""
    if not issues:
        return ""
    return json.dumps(
        [(i.severity, i.code, i.place, i.rule) for i in issues[:200]], ensure_ascii=False
    )


def issues_of(text: str) -> tuple[Issue, ...]:
    """The inverse: the issues kept beside a raw message."""
    return tuple(Issue(*row) for row in json.loads(text)) if text else ()


def _end_job(tx: Tx, id: str) -> None:
    tx.run(inbox.END_JOB, "file", id)


# Writing


def write_plan(tx: Tx, plan: Plan, services: Services) -> int:
    """Write one plan: the chart's row first, then compare, then write; returns the new versions.

    Part of a `work` that is run by `with_neighbours`.
    """
    plan.issues.clear()
    plan.written.clear()
    chart, rules = plan.chart, services.rules
    tx.run(
        rows.ADD_CHART,
        chart, rows.bucket_of(chart), plan.organization, chart, chart, 0, 0, 0, b"", b"", rules,
        plan.at,
    )  # fmt: skip
    count = len(plan.resources)
    taken = rows.take_to_write(tx, chart, count, rules)
    seq, sealed_facts = taken.seq, taken.facts
    high = seq + count
    if plan.joins and not join(tx, plan, sealed_facts, services):
        return 0
    resources = _on_checks(tx, plan, services)
    if taken.highest > Tier.GENERAL:
        resources = inherited(resources, services, _kept_closely(tx, plan))
    standing = rows.standing(tx, [one.mapped.id for one in resources])
    written: dict[Tier, list[tuple[Nature, Entry]]] = {}
    versions = relabelled = 0
    passed_over: set[str] = set()
    added: list[tuple[object, ...]] = []
    changed: list[relied.Changed] = []
    first: list[tuple[Nature, Entry]] = []  # results that were not here before
    ends = labels_end = taken.labelled  # what is to be said of the chart's labels then
    for one in resources:
        seq += 1
        if one.mapped.id in plan.telling and not versions:
            continue  # nothing was read otherwise, so there is nothing to tell of
        before = standing.get(one.mapped.id)
        if before is not None and before.seq > high - count and added:
            tx.many(rows.ADD_RECORD, added)  # said twice in one message: the first must stand
            added = []
        if before is not None and before.chart != chart:
            plan.issues.append(Issue("hold", "other-chart", one.mapped.place))
            if all(issue.severity != "alarm" for issue in plan.issues):
                plan.issues.append(Issue("alarm", "other-chart", one.mapped.place))
            tx.run(inbox.ADD_JOB, "dispute", one.mapped.id, plan.at)
            continue
        old = head_of(plan, before) if before else None
        changes: Changes = "all"
        if before is not None and old is not None:
            changes = _changes(tx, plan, one, before, old)
            if changes == "nothing":
                passed_over.add(one.mapped.type)
                continue
            if changes == "additions":
                one = _late(one, old)
        under = _stood_before(tx, plan, one, before)
        planned = _merged(plan, one, under, services, changes)
        if before is not None and old is not None:
            if planned.digest == old.entry.digest:
                if not plan.again or _own(plan, before):
                    _heard_again(tx, plan, before, old, one.mapped.clock)
                continue
            if plan.snapshot and one.mapped.type == "DiagnosticReport" and changes == "all":
                lost = snapshots.missing(old.entry, planned.said)
                plan.issues.extend(snapshots.told(one.mapped.place) if lost else ())
            # Labels only rise: what was closely kept stays so.
            planned = _raised(planned, old.nature, Tier(before.tier), services)
            relabelled += _labels(planned.nature) != _labels(old.nature)
            tx.run(rows.RETIRE, rows.bucket_of(chart), chart, before.seq)
            if planned.tier != before.tier:
                moved = Entry(old.entry.id, before.version, seq, 0, filed=plan.at, gone=True)
                written.setdefault(Tier(before.tier), []).append((Nature("", ""), moved))
                _move_past(tx, plan, one.mapped, planned.tier)
        entry, row = _file_one(plan, planned, seq, before, old, services)
        added.append(_as_written(row, plan))
        standing[row.id] = row
        if one.mapped.type in relied.RESULTS:
            if before is not None:
                changed.append(relied.Changed(row.id, row.version, planned.nature.status))
            else:
                first.append((planned.nature, entry))
        written.setdefault(planned.tier, []).append((planned.nature, entry))
        plan.fresh.add(row.id)
        versions += 1
        ends = _left_to_do(ends, planned, before, taken, rules)
        plan.written.append(one.mapped.type)
        if one.mapped.type in relations.TELLING and one.mapped.mode != "reference":
            relabelled += 1
            relations.write(tx, plan, planned, services)
    if added:
        tx.many(rows.ADD_RECORD, added)
    relied.changed(tx, changed, plan.at, services)
    relied.replaced(tx, chart, first, partial(head_of, plan), plan.at, services)
    for tier, entries in sorted(written.items()):
        add_segment(tx, _shelf(plan, tier), chart, tier, entries)
    if ends != labels_end:
        tx.run(rows.SET_LABELLED, chart, ends)
        relabelled += 1
    if relabelled:
        rows.take(tx, chart, 0, 1)
    write_person(tx, plan, sealed_facts, services, known_better="Patient" in passed_over)
    return versions


def _shelf(plan: Plan, tier: int) -> ManifestKey:
    """The chart's manifest key of a tier; when it was not prepared, prepare again with it."""
    want = ChartTier(plan.chart, Tier(tier))
    if want not in plan.shelves or want not in plan.bodies:
        plan.lacking.add(want)
        raise Again
    return plan.shelves[want]


def head_of(plan: Plan, row: rows.RecordRow) -> Head:
    """A version's head, opened with the keys of a plan of its chart, inside `with_neighbours`."""
    return unpack_head(_shelf(plan, row.tier).open(row.head, head_name(row.id, row.version)))


def _stood_before(
    tx: Tx, plan: Plan, one: Planned, before: rows.RecordRow | None
) -> rows.RecordRow | None:
    """What a patch is laid over: what stands, or what stood before this message when it wrote that."""
    if before is None or one.mapped.mode != "patch" or not _own(plan, before):
        return before
    found = tx.one(rows.NOT_FROM, before.id, plan.inbox, before.version)
    return rows.RecordRow(*found) if found else None


def _merged(
    plan: Plan, one: Planned, before: rows.RecordRow | None, services: Services, changes: Changes
) -> Planned:
    """What will stand: a patch laid over what stands, additions put in, anything else as it came."""
    coming = one.mapped
    if changes == "all" and (coming.mode != "patch" or (before is None and not coming.deletes)):
        return one
    if before is None or before.sealed is None:
        head, tail = merge.patched(coming.text(), b"{}", coming.deletes)
    else:
        _shelf(plan, before.tier)
        key = plan.bodies[ChartTier(plan.chart, Tier(before.tier))]
        body = key.open(before.sealed, RecordName(coming.type, before.id, before.version))
        if changes == "additions":
            head, tail = merge.added(body, coming.text(), coming.unions)
        else:
            head, tail = merge.patched(
                body, coming.text(), coming.deletes, coming.unions, coming.fills
            )
    merged = msgspec.structs.replace(coming, head=head, tail=tail)
    said = prepare(merged, plan.organization, services, visit=one.visit)
    return _raised(said, one.nature, one.tier, services)


def _labels(nature: Nature) -> tuple[object, ...]:
    """What of a nature a decision may turn on, beside what the record is."""
    error = nature.status == "entered-in-error"
    return nature.confidentiality, nature.sensitivities, nature.tier, error


def _raised(planned: Planned, old: Nature, tier: Tier, services: Services) -> Planned:
    nature = labelling.risen(planned.nature, old, services)
    tier = max(tier, labelling.shelf_of(nature))
    if nature == planned.nature and planned.tier >= tier:
        return planned
    return replace(planned, nature=nature, tier=max(tier, planned.tier))


def _kept_closely(tx: Tx, plan: Plan) -> dict[bytes, tuple[Nature, Links]]:
    """The chart's records that stand on the closer shelves: what comes may hang on them."""
    chart = plan.chart
    segments: list[Segment] = []
    for _, tier, number, sealed in tx.all(rows.SEGMENTS, rows.bucket_of(chart), chart, rows.ALL):
        if tier > Tier.GENERAL:
            plain = _shelf(plan, tier).open(sealed, segment_name(chart, tier, number))
            segments.append(unpack_segment(plain))
    return {entry.id: (nature, entry.links) for nature, entry in standing_in(segments)}


def _on_checks(tx: Tx, plan: Plan, services: Services) -> tuple[Planned, ...]:
    """The plan's resources, those anew that hang on a health check which is not in the message."""
    told = {one.mapped.id for one in plan.resources}
    visits = {
        to.hex() for one in plan.resources for name, to in one.said.links if name == "encounter"
    }
    checks = {
        bytes.fromhex(row.id)
        for row in (rows.standing(tx, sorted(visits - told)).values() if visits - told else ())
        if row.chart == plan.chart and head_of(plan, row).nature.health_check
    }
    if not checks:
        return plan.resources
    anew = [
        prepare(one.mapped, plan.organization, services, visit=True)
        if any(name == "encounter" and to in checks for name, to in one.said.links)
        else one
        for one in plan.resources
    ]
    return inherited(anew, services)


def _left_to_do(
    labelled: str,
    planned: Planned,
    before: rows.RecordRow | None,
    taken: rows.Taken,
    rules: str,
) -> str:
    """What the chart's row says of its labels once this record is written.

    What stood there before may hang on a record that is closely kept from now on, or on a visit
    that turns out to be a health check: then the chart is looked through before it is read again.
    """
    if planned.nature.labels not in (rules, labelling.EXEMPT) or not labelled:
        return ""
    if taken.seq == 0:
        return labelled
    if planned.nature.health_check and planned.said.type == "Encounter":
        return ""
    if planned.tier > (Tier.GENERAL if before is None else before.tier):
        return rows.OPEN_ENDS + rules
    return labelled


Changes = Literal["all", "additions", "nothing"]
"""What of a resource that came may change what stands; additions are to the lists that its map unites."""


def _changes(tx: Tx, plan: Plan, one: Planned, before: rows.RecordRow, old: Head) -> Changes:
    """What may change what stands: by business clock, then by arrival (mapping 2.12).

    The message that wrote what stands may say it anew, because its map may have changed. But nothing
    comes back that was withdrawn, and a message read again never overrides a later one.
    """
    place, clock, entry, nature = one.mapped.place, one.mapped.clock, old.entry, old.nature
    own = _own(plan, before)
    united = one.mapped.unions and nature.status not in STICKY
    if one.mapped.mode == "reference":
        anew = own and one.digest != entry.digest
        return "additions" if united else "all" if anew else "nothing"
    if plan.joins and one.mapped.type == "Patient":
        return "all"  # said of the pair, and ordered with what else was said of it
    if entry.clock == 0 or (one.digest == entry.digest and one.mapped.mode != "patch"):
        return "all"  # a stub is filled; the same again is heard again
    newer = clock is not None and clock > entry.clock and not own
    # What was only added to keeps the clock of what it was added to.
    older = clock is not None and clock < entry.clock and (not own or bool(united))
    late = not own and (plan.again or not newer) and _came_later(tx, before, plan)
    if older or late:
        if united:
            return "additions"
        plan.issues.append(Issue("note", "older-than-stored", place))
        return "nothing"
    if not newer and nature.status in STICKY and not (own and one.said.status in STICKY):
        plan.issues.append(Issue("note", "withdrawn-stays", place))
        return "nothing"
    if own:
        return "all"
    if nature.status in FINISHED and one.said.status in UNFINISHED:
        plan.issues.append(Issue("hold", "status-goes-back", place))
        return "nothing"
    if clock == entry.clock and one.mapped.mode != "patch":
        plan.issues.append(Issue("note", "same-clock-other-content", place))
    return "all"


def _late(one: Planned, old: Head) -> Planned:
    """What only adds moves no clock: it does not make what stands newer, or more than a stub."""
    stub = old.entry.clock == 0
    mapped = msgspec.structs.replace(
        one.mapped, clock=old.entry.clock or None, mode="reference" if stub else "patch", deletes=()
    )
    return replace(one, mapped=mapped)


def _own(plan: Plan, before: rows.RecordRow) -> bool:
    """Did an earlier filing of this very message write what stands?"""
    return before.inbox == plan.inbox != "" and before.id not in plan.fresh


def _came_later(tx: Tx, before: rows.RecordRow, plan: Plan) -> bool:
    """Did what stands arrive after what is filed now? Then this is filed late, or again."""
    key = (rows.bucket_of(before.chart), before.chart, before.seq)
    stands, this = tx.one(inbox.ARRIVAL_OF, *key), tx.one(inbox.ARRIVAL, plan.inbox)
    return stands is not None and this is not None and int(this[0]) < int(stands[0])


def _heard_again(tx: Tx, plan: Plan, before: rows.RecordRow, old: Head, clock: int | None) -> None:
    """The same content, said later: no version, but what is older than this is late now."""
    if clock is not None and clock > old.entry.clock:
        entry = msgspec.structs.replace(old.entry, clock=clock)
        sealed = _shelf(plan, before.tier).seal(
            pack_head(old.nature, entry), head_name(before.id, before.version)
        )
        key = (rows.bucket_of(before.chart), before.chart, before.seq)
        tx.run(rows.SET_HEAD, *key, sealed)


def _move_past(tx: Tx, plan: Plan, mapped: Mapped, tier: Tier) -> None:
    """Seal the older versions of a record anew in the tier it has risen to."""
    for found in tx.all(rows.VERSIONS, mapped.id):
        row = rows.RecordRow(*found)
        if row.tier >= tier:
            continue
        about = head_name(row.id, row.version)
        head = _shelf(plan, tier).seal(_shelf(plan, row.tier).open(row.head, about), about)
        name = RecordName(mapped.type, row.id, row.version)
        was, now = (plan.bodies[ChartTier(plan.chart, Tier(t))] for t in (row.tier, tier))
        body = now.seal(was.open(row.sealed, name), name) if row.sealed is not None else None
        key = (rows.bucket_of(row.chart), row.chart, row.seq)
        tx.run(rows.MOVE_RECORD, *key, int(tier), head, body)


def _file_one(
    plan: Plan,
    one: Planned,
    seq: int,
    before: rows.RecordRow | None,
    old: Head | None,
    services: Services,
) -> tuple[Entry, rows.RecordRow]:
    mapped = one.mapped
    version = before.version + 1 if before else 1
    text = merge.with_meta(
        mapped.head,
        mapped.tail,
        mapped.kept_meta,
        services.vault.version_tag(mapped.id, version),
        instant_text(plan.at, services.settings.zone),
    )
    entry = Entry(
        id=bytes.fromhex(mapped.id),
        version=version,
        seq=seq,
        nature=0,
        start=one.said.start,
        end=one.said.end,
        filed=plan.at,
        clock=0
        if mapped.mode == "reference"
        else max(mapped.clock or plan.at, old.entry.clock if old else 0),
        links=one.said.links,
        digest=one.digest,
        length=len(text),
        disputed=old is not None and old.entry.disputed,
    )
    head = _shelf(plan, one.tier).seal(pack_head(one.nature, entry), head_name(mapped.id, version))
    body = plan.bodies[ChartTier(plan.chart, one.tier)].seal(
        text, RecordName(mapped.type, mapped.id, version)
    )
    return entry, rows.RecordRow(
        plan.chart, seq, mapped.id, version, one.tier, head, body, plan.at, plan.inbox, plan.release
    )


def _as_written(row: rows.RecordRow, plan: Plan) -> tuple[object, ...]:
    return (
        rows.bucket_of(row.chart), row.chart, row.seq, row.id, row.version, 1, int(row.tier),
        row.head, row.sealed, plan.inbox, row.filed, plan.release,
    )  # fmt: skip
