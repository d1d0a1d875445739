"""Files what a source sent: raw bytes → map → one transaction per chart → filed or quarantined.

Filing twice equals filing once: ids come from the sender's own keys, an older business clock never
replaces a newer one, and equal content makes no new version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.person import (
    head_name,
    segment_name,
)
from gateway.exchange.planning import Plan, Planned, meet_neighbours, prepare
from gateway.exchange.planning import plan as plan_of
from gateway.identity import matching
from gateway.records import facts as facts_
from gateway.records import merge
from gateway.records.entry import Entry, Nature, pack_head, pack_segment, unpack_head
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.vault import ChartTier, ManifestKey, RecordName, Tier
from mappings.engine import Issue

T = TypeVar("T")

STICKY = frozenset({"entered-in-error", "cancelled"})
FINISHED = frozenset({"final", "corrected", "amended", "cancelled", "entered-in-error"})
UNFINISHED = frozenset({"registered", "preliminary", "partial"})


class Settled(NamedTuple):
    """How a raw message ended, and what was written."""

    state: str  # filed | quarantined
    versions: int
    issues: tuple[Issue, ...]


class _Again(Exception):
    """Something the transaction needs was not prepared; prepare again."""


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
    site = services.maps.get(source.map)
    owner = ChartTier(raw.owner, Tier(raw.owner_tier)) if raw.owner else None
    text = await services.vault.open_raw(raw.source, raw.day, id, raw.sealed, raw.wrap, owner)
    reading = site.read(text, services.ids(source.organization), origin=id)
    issues = list(reading.issues)
    plans: list[Plan] = []
    for message in reading.messages:
        issues += message.issues
        if not any(issue.severity == "stop" for issue in message.issues):
            plan, trouble = await plan_of(message, source.organization, id, services)
            issues += trouble
            plans += [plan] if plan else []
    end = await _ending(raw, source, site.release, plans, issues, services)
    return await with_neighbours(plans, services, _file, plans, end, services)


async def with_neighbours(
    plans: Sequence[Plan], services: Services, work: Callable[..., T], *given: Any
) -> T:
    """Run `work(tx, *given)`, which writes `plans`; again when a chart to compare with appeared."""
    for _ in range(4):
        try:
            return await services.db.do(work, *given)
        except _Again:
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


async def _ending(
    raw: inbox.RawRow,
    source: inbox.SourceRow,
    release: str,
    plans: Sequence[Plan],
    issues: Sequence[Issue],
    services: Services,
) -> Ending:
    """The raw message's new owner (the highest tier found) and its event, ready to append."""
    shelves = [
        ChartTier(plan.chart, max((p.tier for p in plan.resources), default=Tier.GENERAL))
        for plan in plans
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
        tuple(issues),
        at,
    )


def _file(tx: Tx, plans: Sequence[Plan], end: Ending, services: Services) -> Settled:
    """Everything of one raw message in one transaction: records, its event, its state, its job."""
    versions = sum(write_plan(tx, plan, services) for plan in plans)
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
        _as_text(issues),
        end.release,
        end.at,
    )
    for code in sorted({issue.code for issue in issues if issue.severity == "alarm"}):
        tx.run(inbox.ADD_ALARM, code, end.raw.source, end.raw.id, end.at)
    tx.run(inbox.END_JOB, "file", end.raw.id)
    return Settled(state, versions, issues)


def _as_text(issues: Sequence[Issue]) -> str:
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
    chart = plan.chart
    tx.run(
        rows.ADD_CHART,
        chart, rows.bucket_of(chart), plan.organization, chart, 0, 0, 0, b"", plan.at,
    )  # fmt: skip
    count = len(plan.resources)
    high, _, _, sealed_facts = rows.take(tx, chart, count)
    seq = high - count
    standing = rows.standing(tx, [one.mapped.id for one in plan.resources])
    written: dict[Tier, list[tuple[Nature, Entry]]] = {}
    versions = 0
    for one in plan.resources:
        seq += 1
        before = standing.get(one.mapped.id)
        if before is not None and before.chart != chart:
            plan.issues.append(Issue("hold", "other-chart", one.mapped.place))
            if all(issue.severity != "alarm" for issue in plan.issues):
                plan.issues.append(Issue("alarm", "other-chart", one.mapped.place))
            tx.run(inbox.ADD_JOB, "dispute", one.mapped.id, plan.at)
            continue
        head, tail = one.mapped.head, one.mapped.tail
        planned = one
        if before is not None:
            shelf = plan.shelves.get(ChartTier(chart, Tier(before.tier)))
            if shelf is None:
                raise Problem(Trouble.BUSY, "A chart's key is missing.")
            old = unpack_head(shelf.open(before.head, head_name(before.id, before.version)))
            if not _replaces(one, old.nature, old.entry, plan.issues):
                continue
            if one.mapped.mode == "patch" and before.sealed is not None:
                name = RecordName(one.mapped.type, before.id, before.version)
                body = plan.bodies[ChartTier(chart, Tier(before.tier))].open(before.sealed, name)
                coming = one.mapped
                head, tail = merge.patched(body, coming.text(), coming.deletes, coming.unions)
                merged = msgspec.structs.replace(one.mapped, head=head, tail=tail)
                planned = prepare(merged, plan.organization, services)
                planned = _raised(planned, one.nature, one.tier)
                if planned.digest == old.entry.digest:
                    continue
            # Labels only rise: what was closely kept stays so.
            planned = _raised(planned, old.nature, Tier(before.tier))
            rows_before = (rows.bucket_of(chart), chart, before.seq)
            tx.run(rows.RETIRE, *rows_before)
        elif one.mapped.mode == "patch" and one.mapped.deletes:
            head, tail = merge.patched(one.mapped.text(), b"{}", one.mapped.deletes)
        version = before.version + 1 if before else 1
        entry = _file_one(tx, plan, planned, head, tail, seq, version, services)
        written.setdefault(planned.tier, []).append((planned.nature, entry))
        if before is not None and Tier(before.tier) != planned.tier:
            gone = msgspec.structs.replace(entry, gone=True)
            written.setdefault(Tier(before.tier), []).append((planned.nature, gone))
        versions += 1
    for tier, entries in sorted(written.items()):
        add_segment(tx, plan.shelves[ChartTier(chart, tier)], chart, tier, entries)
    _write_person(tx, plan, sealed_facts)
    return versions


def _raised(planned: Planned, old: Nature, tier: Tier) -> Planned:
    if planned.tier >= tier and set(old.sensitivities) <= set(planned.nature.sensitivities):
        return planned
    order = "ULMNRV"
    nature = msgspec.structs.replace(
        planned.nature,
        confidentiality=max(old.confidentiality, planned.nature.confidentiality, key=order.index),
        sensitivities=tuple(sorted({*old.sensitivities, *planned.nature.sensitivities})),
        tier=max(old.tier, planned.nature.tier),
    )
    return Planned(planned.mapped, planned.said, nature, max(tier, planned.tier), planned.digest)


def _replaces(one: Planned, nature: Nature, entry: Entry, issues: list[Issue]) -> bool:
    """May this replace what stands? By business clock, not by arrival (mapping 2.12)."""
    place = one.mapped.place
    stub = entry.clock == 0
    if one.mapped.mode == "reference":
        return False
    if one.digest == entry.digest and one.mapped.mode != "patch":
        return False
    clock = one.mapped.clock
    if clock is None or stub:
        return True
    if clock < entry.clock:
        issues.append(Issue("note", "older-than-stored", place))
        return False
    if clock == entry.clock:
        if nature.status in STICKY:
            issues.append(Issue("note", "withdrawn-stays", place))
            return False
        if one.mapped.mode != "patch":
            issues.append(Issue("note", "same-clock-other-content", place))
        return True
    if nature.status in FINISHED and one.said.status in UNFINISHED:
        issues.append(Issue("hold", "status-goes-back", place))
        return False
    return True


def _file_one(
    tx: Tx,
    plan: Plan,
    one: Planned,
    head: bytes,
    tail: bytes,
    seq: int,
    version: int,
    services: Services,
) -> Entry:
    mapped = one.mapped
    text = merge.with_meta(
        head,
        tail,
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
        clock=0 if mapped.mode == "reference" else (mapped.clock or plan.at),
        links=one.said.links,
        digest=one.digest,
        length=len(text),
    )
    shelf = ChartTier(plan.chart, one.tier)
    tx.run(
        rows.ADD_RECORD,
        rows.bucket_of(plan.chart),
        plan.chart,
        seq,
        mapped.id,
        version,
        1,
        int(one.tier),
        plan.shelves[shelf].seal(pack_head(one.nature, entry), head_name(mapped.id, version)),
        plan.bodies[shelf].seal(text, RecordName(mapped.type, mapped.id, version)),
        plan.inbox,
        plan.at,
    )
    return entry


def add_segment(
    tx: Tx, key: ManifestKey, chart: str, tier: Tier, entries: Sequence[tuple[Nature, Entry]]
) -> None:
    """One new piece of a chart's manifest, named by its highest sequence number."""
    number = max(entry.seq for _, entry in entries)
    tx.run(
        rows.ADD_SEGMENT,
        rows.bucket_of(chart),
        chart,
        int(tier),
        number,
        len(entries),
        key.seal(pack_segment(entries), segment_name(chart, tier, number)),
    )


def _write_person(tx: Tx, plan: Plan, sealed_facts: bytes) -> None:
    """Who the chart is about: facts, identifiers, relationships, and whom it is linked with."""
    chart = plan.chart
    key = plan.shelves[ChartTier(chart, Tier.GENERAL)]
    about = f"facts/{chart}".encode()
    before = facts_.unpack(key.open(sealed_facts, about)) if sealed_facts else None
    facts = before
    if plan.facts is not None and (before is None or plan.facts_mode != "reference"):
        facts = _told(plan.facts, before)
        if facts != before:
            tx.run(rows.SET_FACTS, chart, key.seal(facts_.pack(facts), about))
            rows.take(tx, chart, 0, 1)
    for id, kind, sealed in plan.relationships:
        tx.run(rows.PUT_RELATIONSHIP, chart, id, plan.organization, kind, sealed, plan.at)
    if plan.relationships:
        rows.take(tx, chart, 0, 1)
    for digest, linking in plan.identifiers:
        if linking:
            # Two charts of one person filed at the same moment must not miss each other.
            tx.run(rows.HOLD, digest)
        tx.run(rows.INDEX, digest, chart, int(linking))
    if facts is None:
        return
    linked = set()
    for digest, linking in plan.identifiers:
        if not linking:
            continue
        for other, evidence, _, _, other_facts in tx.all(rows.FIND, digest):
            if other == chart or not evidence or other in linked or not other_facts:
                continue
            other_key = plan.shelves.get(ChartTier(other, Tier.GENERAL))
            if other_key is None:
                if other not in plan.neighbours:
                    raise _Again
                continue  # its keys were destroyed
            theirs = facts_.unpack(other_key.open(other_facts, f"facts/{other}".encode()))
            result = matching.match(_known(facts), _known(theirs))
            if result.tier is matching.Tier.SAME:
                linked.add(other)
            elif result.tier is matching.Tier.POSSIBLE:
                plan.issues.append(Issue("note", "possible-same-person", ""))
    # A pair that a person has parted is never joined again by a rule.
    new = linked - {other for pair in tx.all(rows.LINKED_EVER, chart) for other in pair}
    for other in sorted(new):
        tx.run(
            rows.ADD_LINK, *sorted((chart, other)), "resident-id+name", "gateway", plan.at, 0, ""
        )
    if new:
        rows.regroup(tx, {chart, *new})


def _told(new: facts_.Facts, before: facts_.Facts | None) -> facts_.Facts:
    """New facts over old: what is not said stays."""
    if before is None:
        return new
    return facts_.Facts(
        new.name or before.name,
        new.sex or before.sex,
        new.birth or before.birth,
        new.death or before.death,
        new.number or before.number,
        before.sealed or new.sealed,
    )


def _known(facts: facts_.Facts) -> matching.Known:
    birth = facts_.days(facts.birth) if facts.birth else None
    return matching.Known(
        name=facts.name,
        number=facts.number,
        birth=birth[0] if birth and birth[0] == birth[1] else None,
        sex="male" if facts.sex == "male" else "female" if facts.sex == "female" else None,
    )
