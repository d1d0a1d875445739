"""A person ends the wait of a report that lost items: the laboratory took them out, or they still stand.

The message is settled, its alarm too, and one event names the person: in one transaction, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import snapshots
from gateway.exchange.feeds import Held, held_here
from gateway.exchange.filing import (
    head_of,
    issues_of,
    issues_text,
    read_raw,
    with_neighbours,
    write_plan,
)
from gateway.exchange.kept import opened
from gateway.exchange.planning import Plan, Planned, prepare
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.engine import Tx
from mappings.engine import Issue, Mapped

Verdict = Literal["withdraw", "keep"]
SAID: dict[Verdict, str] = {"withdraw": "snapshot-withdrawn", "keep": "snapshot-kept"}


def awaits(held: Held, caller: Caller) -> bool:
    """Whether a held message waits for this caller's word."""
    mine = held.organization == caller.organization
    return mine and bool(snapshots.unreviewed(held.issues))


async def review(id: str, verdict: Verdict, caller: Caller, services: Services) -> int:
    """Settle a held report that lost items; how many results were withdrawn.

    `withdraw` gives each result that the report's version before had and this one does not the
    status entered-in-error, by the report's clock; one that a still newer version names again
    stands. `keep` changes no result. The same verdict again changes nothing. What else holds the
    message goes on holding it. Problem UNKNOWN when the caller does not see it, REFUSED when
    another hospital sent it, CONFLICT when it does not wait for this or was decided otherwise.
    """
    source = await held_here(id, caller, services)
    if source.organization != caller.organization:
        raise Problem(Trouble.REFUSED, "Only the hospital that sent the report decides this.")
    raw = inbox.RawRow(*(await services.db.read(inbox.RAW, id))[0])
    had = issues_of(raw.issues)
    if SAID[verdict] in {issue.code for issue in had}:
        return 0
    if raw.state != "quarantined" or not snapshots.unreviewed(had):
        raise Problem(Trouble.CONFLICT, "The message does not wait for this decision.", "message")
    plans = await _plans(raw, source, services) if verdict == "withdraw" else []
    at = services.now()
    body = Body(request=f"review.{at}", details={verdict: id, "source": source.name}).asked_by(
        caller
    )
    charts = tuple(sorted({plan.chart for plan in plans} or ({raw.owner} if raw.owner else ())))
    draft = await services.log.draft(Kind.UPDATE, Outcome.PERMIT, caller, at, body, charts)
    return await with_neighbours(
        plans, services, _settle, plans, raw, verdict, caller.user, draft, at, services
    )


async def _plans(raw: inbox.RawRow, source: inbox.SourceRow, services: Services) -> list[Plan]:
    """The message's charts, with their keys."""
    release = await services.maps.in_force(source.map)
    text = await opened(raw, services)
    read = await read_raw(text, raw.id, raw.day, source.organization, release, services)
    if not read.plans:
        raise Problem(Trouble.CONFLICT, "The map in force cannot read the message.", "message")
    return read.plans


def _settle(
    tx: Tx,
    plans: Sequence[Plan],
    raw: inbox.RawRow,
    verdict: Verdict,
    by: str,
    draft: Draft,
    at: int,
    services: Services,
) -> int:
    withdrawn = 0
    for plan in plans:
        rows.take(tx, plan.chart, 0)  # nothing else is filed in the chart meanwhile
        lost = _lost(tx, plan, services)
        if lost:
            withdrawal = replace(
                plan, resources=lost, facts=None, identifiers=(), joins=(),
                telling=frozenset(), fresh=set(), issues=[], written=[],
            )  # fmt: skip
            withdrawn += write_plan(tx, withdrawal, services)
    append(tx, services.log.filing_writer, [draft], services.now)
    issues = _reviewed(issues_of(raw.issues), verdict)
    held = any(issue.severity in {"stop", "hold"} for issue in issues)
    state = "quarantined" if held else "filed"
    settled = tx.one(inbox.REVIEW, raw.id, raw.issues, state, issues_text(issues), at)
    if settled is None:
        raise Problem(Trouble.CONFLICT, "Somebody else has just decided this.", "message")
    tx.run(inbox.SETTLE_ALARMS, snapshots.MISSING, raw.id, at, by)
    return withdrawn


def _reviewed(issues: Sequence[Issue], verdict: Verdict) -> list[Issue]:
    """The issues with the person's word in place of the wait."""
    told = (
        Issue("note", SAID[verdict], one.place, one.rule) if one.code == snapshots.MISSING else one
        for one in issues
    )
    return list(dict.fromkeys(told))


def _lost(tx: Tx, plan: Plan, services: Services) -> tuple[Planned, ...]:
    """For each result the message's reports lost, the patch that withdraws it."""
    clocks: dict[str, int] = {}
    for report in plan.resources:
        if report.mapped.type != "DiagnosticReport":
            continue
        versions = [rows.RecordRow(*row) for row in tx.all(rows.VERSIONS, report.mapped.id)]
        own = next((one for one in versions if one.inbox == plan.inbox), None)
        found = tx.one(rows.NOT_FROM, own.id, own.inbox, own.version) if own else None
        if own is None or found is None:
            continue
        gone = snapshots.results(head_of(plan, rows.RecordRow(*found)).entry)
        for newer in versions:
            if newer.version >= own.version:
                gone -= snapshots.results(head_of(plan, newer).entry)
        clock = head_of(plan, own).entry.clock
        clocks |= {target.hex(): max(clock, clocks.get(target.hex(), 0)) for target in gone}
    standing = rows.standing(tx, sorted(clocks))
    return tuple(
        prepare(_withdrawal(id, clocks[id]), plan.organization, services)
        for id, row in sorted(standing.items())
        if row.chart == plan.chart
    )


def _withdrawal(id: str, clock: int) -> Mapped:
    head = b'{"resourceType":"Observation","id":"%s",' % id.encode()
    return Mapped(
        "Observation", id, (), head, b'"status":"entered-in-error"}', clock=clock, mode="patch"
    )
