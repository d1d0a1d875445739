"""Verifies the whole access log from its rows: what an auditor runs, here against the live store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.audit.verify import Fault, Finding, Report, Row, verify
from gateway.exchange import vouched
from gateway.exchange.sequence import checkpoint_file, event_of, log_key
from gateway.exchange.standing_consents import contradictions
from gateway.services import Services
from gateway.store import log as rows

BATCH = 5_000


async def verify_log(services: Services, witnessed: Sequence[bytes] = ()) -> Report:
    """Check every entry, checkpoint and counter; reads the store, changes nothing.

    The checkpoint kept outside the database is always among the witnesses. Events that still wait
    for their place are checked by their writer's counters.
    """
    outside = checkpoint_file(services)
    kept = [outside.read_bytes()] if outside.exists() else []
    notes = [note.encode() for _, note in await services.db.read(rows.CHECKPOINTS)]
    loop = asyncio.get_running_loop()

    unreadable: list[int] = []
    owners: list[int] = []

    def entries() -> Iterator[Row]:
        first = 0
        while True:
            reading = services.db.read(rows.LOGGED, first, BATCH)
            found = asyncio.run_coroutine_threadsafe(reading, loop).result()
            for row in found:
                if row[4] is None:
                    continue  # the verifier tells the gap
                try:
                    yield row_of(row)
                except (ValueError, TypeError, AttributeError):
                    unreadable.append(row[0])
                    continue
                owner, charts = row[-1], row[-4]
                if owner and services.log.tag(owner) != charts.partition(" ")[0]:
                    owners.append(row[0])
            if not found:
                return
            first = found[-1][0] + 1

    report = await asyncio.to_thread(
        verify, entries(), notes, log_key(services), witnessed=[*kept, *witnessed]
    )
    for entry in unreadable:
        report = with_finding(
            report,
            Fault.CHANGED,
            entry,
            f"条目 {entry} 已无法读取，说明有人改动过。",
            f"Entry {entry} cannot be read any more: it was changed.",
        )
    for entry in owners:
        report = with_finding(
            report,
            Fault.CHANGED,
            entry,
            f"条目 {entry} 的正文归属被改动。",
            f"Entry {entry} names another owner of its body than it was written with.",
        )
    report = await _with_stray(await _with_waiting(report, services), services)
    return await _with_rows(await _with_consents(report, services), services)


def with_finding(
    report: Report, fault: Fault, entry: int | None, zh: str, en: str, count: int = 1
) -> Report:
    counts = {**report.counts, fault.value: report.counts.get(fault.value, 0) + count}
    findings = (*report.findings, Finding(fault, entry, zh, en))
    return msgspec.structs.replace(report, findings=findings, counts=counts)


def row_of(row: Sequence[Any]) -> Row:
    """A row of LOGGED (place, hash, event columns, body) as the verifier takes it."""
    number, kept, *columns, sealed, _ = row
    return Row(number, event_of(tuple(columns)), sealed, bytes(kept))


async def _with_waiting(report: Report, services: Services) -> Report:
    """The report with a finding for each writer whose waiting events have a hole."""
    for writer, sequenced, counter in await services.db.read(rows.BEHIND):
        waiting = await services.db.read(rows.EVENTS_AFTER, writer, sequenced, 1_000_000)
        lacking = counter - sequenced - len(waiting)
        if lacking > 0:
            report = with_finding(
                report,
                Fault.COUNTER_GAP,
                None,
                f"写入者 {writer} 有 {lacking} 条尚未入树的事件缺失",
                f"{lacking} events of writer {writer} that waited for their place are gone",
                lacking,
            )
    return report


async def _with_stray(report: Report, services: Services) -> Report:
    """The report with a finding for events that were put beside the log."""
    for writer, count in await services.db.read(rows.STRAY):
        report = with_finding(
            report,
            Fault.COUNTER_BACK,
            None,
            f"写入者 {writer} 名下有 {count} 条事件不在日志中，说明是后来插入的。",
            f"{count} events under writer {writer} are not in the log: they were inserted.",
            count,
        )
    return report


async def _with_consents(report: Report, services: Services) -> Report:
    """The report with a finding for each consent that does not stand as the log says."""
    for one in await contradictions(services):
        place = "?" if one.entry is None else one.entry
        report = with_finding(
            report,
            Fault.MISSING if one.gone else Fault.CHANGED,
            one.entry,
            f"条目 {place} 登记的同意，库里已{'不存在' if one.gone else '不是登记时的样子'}。",
            f"The consent recorded by entry {place} is {'gone' if one.gone else 'not as recorded'}.",
        )
    return report


async def _with_rows(report: Report, services: Services) -> Report:
    """The report with a finding for each kind of row that is not as the log vouches for it."""
    found: dict[tuple[str, str], list[vouched.Contradiction]] = {}
    for one in await vouched.contradictions(services):
        found.setdefault((one.table, one.what), []).append(one)
    for (table, what), those in sorted(found.items()):
        entries = [one.entry for one in those if one.entry is not None]
        first = min(entries, default=None)
        rows_zh, rows_en = _ROWS[table]
        zh, en = _WHAT[what]
        place = (
            ("", "") if first is None else (f"（最早见条目 {first}）", f", first by entry {first}")
        )
        report = with_finding(
            report,
            Fault.MISSING if what == "gone" else Fault.CHANGED,
            first,
            f"{rows_zh}有 {len(those)} 条{zh}{place[0]}。",
            f"{len(those)} {rows_en} {en}{place[1]}.",
            len(those),
        )
    return report


_ROWS = {
    "audit_event": ("登记留证的正文", "bodies of events that vouch for rows"),
    "decision_evidence": ("互认决定的依据", "rows of decisions' evidence"),
    "recognition_event": ("互认统计事件", "events of the figures' ledger"),
    "relied_alert": ("结果变更提醒", "alerts of changed results"),
    "statistics_objection": ("统计异议", "objections to figures"),
    "statistics_snapshot": ("冻结的统计", "frozen figures"),
    "write_back": ("发给医院系统的消息", "messages to hospitals' systems"),
}
_WHAT = {
    "gone": ("已不在库中，说明被人删除", "are gone: they were deleted"),
    "changed": (
        "不是登记时的样子，说明被人改动",
        "are not as they were written: they were changed",
    ),
    "added": (
        "从未登记过，说明是后来塞入的",
        "were never written by this system: they were put in",
    ),
}
