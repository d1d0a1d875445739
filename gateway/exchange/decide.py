"""Records a clinician's decision on results of other hospitals: recognised or not, and why.

A decision is a Task in the folder the deciding organisation keeps on the person, pinned to one
version of one result. It orders nothing, cancels nothing and merges nothing. Deciding
anew about the same version makes a new version of the same Task; the old one stays in its history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import filing
from gateway.exchange.ask import Opened, nothing, settled
from gateway.exchange.person import ALL_TIERS
from gateway.exchange.planning import Plan, Planned, prepare
from gateway.exchange.recognise import Decided, Judged
from gateway.exchange.results import Issued, look_at
from gateway.recognition.decisions import Choice, Decision, Declined, Pin, decision_task, fault_of
from gateway.records import merge
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, Moved, append
from gateway.store import charts as rows
from gateway.store import links
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, Tier
from mappings.engine import Mapped


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the clinician said. `informed`: the patient was told why a test is repeated."""

    choice: Choice
    reason: Declined | None = None
    words: str = ""
    informed: bool = False


@dataclass(frozen=True, slots=True)
class _Decision:
    """One decision, ready to be written."""

    chart: str
    source: str  # the chart of the result
    target: str
    version: int  # the one decided on
    planned: Planned
    draft: Draft


async def decide(
    report: str,
    targets: Sequence[tuple[str, str]],
    verdict: Verdict,
    caller: Caller,
    services: Services,
) -> None:
    """Record the verdict on each (id, version tag) of one report, all or none.

    Problem UNKNOWN for what is absent, hidden or of another report; CONFLICT when another version
    stands; UNPROCESSABLE when a target may not be recognised here, or the verdict is not whole. The
    same person saying the same again changes nothing.
    """
    if not targets:
        raise Problem(Trouble.REQUIRED, "Say which results.", "target")
    if caller.purpose == services.policy.emergency_override:
        raise Problem(Trouble.REFUSED, "Emergency access is read-only.")
    await settled(lambda: _decide(report, dict(targets), verdict, caller, services))


async def _decide(
    report: str, targets: Mapping[str, str], verdict: Verdict, caller: Caller, services: Services
) -> None:
    issued = await look_at(report, caller, services)
    offered = _offered(issued)
    work = []
    at = services.now()
    for id, version in targets.items():
        if id not in offered:
            raise nothing()
        opened, judged, decided = offered[id]
        if opened.version != version:
            raise Problem(Trouble.CONFLICT, "Another version stands; look at it first.")
        if judged.state != "eligible":
            raise Problem(Trouble.UNPROCESSABLE, "This may not be recognised here.", "target")
        if not _said_already(verdict, decided, caller):
            work.append(await _prepared(issued, opened, judged, verdict, at, caller, services))
    if work:
        plans = await _plans(work, caller, services, at)
        epochs = issued.seen.person.epochs
        await filing.with_neighbours(
            plans, services, _write, work, plans, epochs, caller.user, services, at
        )


def _offered(issued: Issued) -> dict[str, tuple[Opened, Judged, Decided | None]]:
    """What of a report can be decided on: its results, or an examination as a whole."""
    found = {r.opened.id: (r.opened, r.judged, r.decided) for r in issued.report.results}
    report = issued.report
    found.setdefault(report.opened.id, (report.opened, report.judged, report.decided))
    return found


def _said_already(verdict: Verdict, decided: Decided | None, caller: Caller) -> bool:
    return decided is not None and (
        (decided.choice, decided.reason, decided.words, decided.by)
        == (verdict.choice, verdict.reason or "", verdict.words.strip(), caller.user)
    )


async def _prepared(
    issued: Issued,
    opened: Opened,
    judged: Judged,
    verdict: Verdict,
    at: int,
    caller: Caller,
    services: Services,
) -> _Decision:
    entry = opened.match.pair[1]
    id = services.ids(caller.organization)("recognition", "Task", (opened.id, opened.version))
    decision = Decision(
        id=id,
        result=Pin(opened.type, opened.id, opened.version, entry.digest.hex()),
        chart=_folder(issued, id, opened.match.chart, caller, services),
        organization=caller.organization,
        practitioner=caller.user,
        choice=verdict.choice,
        at=at,
        reason=verdict.reason,
        note=verdict.words,
        informed=verdict.informed,
    )
    fault = fault_of(decision)
    if fault:
        raise Problem(Trouble.UNPROCESSABLE, " ".join(fault), "reason")
    assert judged.judgement is not None, "what is eligible was judged"
    settings = services.settings
    text = decision_task(decision, judged.judgement, base=settings.canonical, zone=settings.zone)
    head, tail = merge.renamed(text, id)
    mapped = Mapped("Task", id, (opened.id, opened.version), head, tail, clock=at)
    body = Body(
        request=f"recognition.{at}",
        human=caller.name,
        role=caller.role,
        strength=str(caller.strength),
        token=caller.session,
        address=caller.address,
        policies=dict(judged.judgement.rules),
        note=verdict.words,
        details={
            "task": id,
            "target": f"{opened.type}/{opened.id}/_history/{opened.version}",
            "content": entry.digest.hex(),
            "item": judged.judgement.item,
            "choice": str(verdict.choice),
            "reason": str(verdict.reason or ""),
            "informed": "yes" if verdict.informed else "no",
        },
    )
    charts = tuple(dict.fromkeys((opened.match.chart, decision.chart)))
    return _Decision(
        decision.chart,
        opened.match.chart,
        opened.id,
        entry.version,
        prepare(mapped, caller.organization, services),
        await services.log.draft(
            Kind.RECOGNITION_DECISION, Outcome.PERMIT, caller, at, body, charts
        ),
    )


def _folder(issued: Issued, task: str, source: str, caller: Caller, services: Services) -> str:
    """The deciding organisation's folder on the person: where the Task already is, else its first
    chart, else one that is made for it, named after the chart of the result and linked with it."""
    for opened in issued.seen.records:
        if opened.id == task:
            return opened.match.chart
    own = [row.id for row in issued.seen.person.charts if row.organization == caller.organization]
    made = services.ids(caller.organization)("recognition", "Patient", (source,))
    return min(own, default=made)


async def _plans(
    work: Sequence[_Decision], caller: Caller, services: Services, at: int
) -> list[Plan]:
    """The decisions by the folder they go to, with its keys."""
    plans = []
    year = moment(at).year
    for chart in sorted({one.chart for one in work}):
        planned = tuple(one.planned for one in work if one.chart == chart)
        wants = [ChartTier(chart, t) for t in sorted({Tier.GENERAL, *(p.tier for p in planned)})]
        await services.vault.ensure(wants, [(chart, year)])
        grant = Grant("filing", f"recognition.{at}", ALL_TIERS)
        plans.append(
            Plan(
                chart=chart,
                organization=caller.organization,
                inbox="",
                at=at,
                resources=planned,
                facts=None,
                facts_mode="",
                identifiers=(),
                shelves=await services.vault.manifests(grant, wants),
                bodies=await services.vault.records(grant, wants),
                neighbours=frozenset(),
            )
        )
    return plans


def _write(
    tx: Tx,
    work: Sequence[_Decision],
    plans: Sequence[Plan],
    epochs: Mapping[str, int],
    user: str,
    services: Services,
    at: int,
) -> None:
    """Tasks and their events in one transaction, if what was judged still stands."""
    for source in sorted({one.source for one in work}):
        rows.take(tx, source, 0)
    if dict(tx.all(rows.STOOD_ON, list(epochs))) != dict(epochs):
        raise Moved
    standing = rows.standing(tx, [one.target for one in work])
    if any(standing[one.target].version != one.version for one in work):
        raise Problem(Trouble.CONFLICT, "Another version stands; look at it first.")
    for plan in plans:
        filing.write_plan(tx, plan, services)
        if plan.issues:
            raise Problem(Trouble.CONFLICT, "Somebody else has just decided; look at it first.")
    for chart, source in sorted({(one.chart, one.source) for one in work}):
        if chart not in epochs and not tx.all(links.OF, [chart]):
            links.add(tx, (chart, source), links.RECOGNITION, user, at)
            links.regroup(tx, {chart, source})
    append(tx, services.log.filing_writer, [one.draft for one in work], services.now)
