"""Records a clinician's decision on results of other hospitals: recognised or not, and why.

A decision is a Task in the folder the deciding organisation keeps on the person, pinned to one
version of one result. It orders nothing, cancels nothing and merges nothing. Deciding
anew about the same version makes a new version of the same Task; the old one stays in its history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import filing, ledger
from gateway.exchange.ask import Gathering, Opened, nothing, settled
from gateway.exchange.ledger import PORTAL, Visit
from gateway.exchange.person import ALL_TIERS
from gateway.exchange.planning import Plan, Planned, prepare
from gateway.exchange.recognise import Decided, Judged
from gateway.exchange.results import Looked, Report, look_at, look_at_each
from gateway.recognition.decisions import Choice, Decision, Declined, Pin, decision_task, fault_of
from gateway.recognition.ledger import Event, Happened
from gateway.records import merge
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, Moved, append
from gateway.store import charts as rows
from gateway.store import links
from gateway.store.engine import Tx
from gateway.store.ledger import EventRow
from gateway.vault import ChartTier, Grant, Tier
from mappings.engine import Mapped


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the clinician said. `informed`: the patient was told why a test is repeated."""

    choice: Choice
    reason: Declined | None = None
    words: str = ""
    informed: bool = False


class Made(NamedTuple):
    """A decision on file. `task` is its Task's id, `target` and `version` (tag) what was decided on."""

    task: str
    target: str
    version: str
    choice: Choice
    new: bool  # False where the same person had said just that already


@dataclass(frozen=True, slots=True)
class _Decision:
    """One decision, ready to be written."""

    made: Made
    chart: str
    source: str  # the chart of the result
    version: int  # the one decided on
    planned: Planned
    draft: Draft
    event: Event


@dataclass(frozen=True, slots=True)
class _Thing:
    """What can be decided on: one result, or an examination as a whole, in the report it is of."""

    opened: Opened
    judged: Judged
    decided: Decided | None
    report: Report


async def decide(
    report: str,
    targets: Sequence[tuple[str, str]],
    verdict: Verdict,
    caller: Caller,
    services: Services,
    visit: Visit = PORTAL,
) -> tuple[Made, ...]:
    """`decide_results` on results of one report; Problem UNKNOWN for a target of another."""
    _may_decide(targets, caller, services)

    async def work() -> tuple[Made, ...]:
        issued = await look_at(report, caller, services)
        looked = Looked((issued.report,), issued.seen, issued.visit)
        return await _decide(looked, dict(targets), verdict, caller, services, visit)

    return await settled(work)


async def decide_results(
    chart: str,
    targets: Sequence[tuple[str, str]],
    verdict: Verdict,
    caller: Caller,
    services: Services,
    visit: Visit,
) -> tuple[Made, ...]:
    """Record the verdict on each (id, version tag) of the person of `chart`, all or none.

    Problem UNKNOWN for what is absent or hidden; CONFLICT when another version stands, REFUSED in
    emergency access and for a caller that names no clinician; UNPROCESSABLE when a target may not be
    recognised here, or the verdict is not whole. The same person saying the same again changes nothing
    and gives the same Task.
    """
    _may_decide(targets, caller, services)

    async def work() -> tuple[Made, ...]:
        ids = [id for id, _ in targets]
        looked = await look_at_each(chart, ids, caller, services)
        return await _decide(looked, dict(targets), verdict, caller, services, visit)

    return await settled(work)


def _may_decide(targets: Sequence[tuple[str, str]], caller: Caller, services: Services) -> None:
    if not targets:
        raise Problem(Trouble.REQUIRED, "Say which results.", "target")
    if len(dict(targets)) != len(targets):
        raise Problem(Trouble.MALFORMED, "A result is named twice.", "target")
    may_record(caller, services)


def may_record(caller: Caller, services: Services) -> None:
    """Problem REFUSED unless a person asks, and not in emergency access."""
    if caller.purpose == services.policy.emergency_override:
        raise Problem(Trouble.REFUSED, "Emergency access is read-only.")
    if not caller.user:
        raise Problem(Trouble.REFUSED, "A decision is a named clinician's.")


async def _decide(
    looked: Looked,
    targets: Mapping[str, str],
    verdict: Verdict,
    caller: Caller,
    services: Services,
    visit: Visit,
) -> tuple[Made, ...]:
    offered = _offered(looked.reports)
    visit = at_visit(visit, looked.visit)
    made: list[Made] = []
    work: list[_Decision] = []
    at = services.now()
    for id, version in targets.items():
        thing = offered.get(id)
        if thing is None:
            raise nothing()
        if thing.opened.version != version:
            raise Problem(Trouble.CONFLICT, "Another version stands; look at it first.")
        if thing.judged.state != "eligible":
            raise Problem(Trouble.UNPROCESSABLE, "This may not be recognised here.", "target")
        if _said_already(verdict, thing.decided, caller):
            task = thing.decided.task if thing.decided else ""
            made.append(Made(task, id, version, verdict.choice, new=False))
        else:
            work.append(await _prepared(looked.seen, thing, verdict, at, caller, services, visit))
            made.append(work[-1].made)
    if work:
        plans = await plans_of(
            [(one.chart, one.planned) for one in work], caller.organization, services, at
        )
        events = ledger.prepared([one.event for one in work], services)
        epochs = looked.seen.person.epochs
        await filing.with_neighbours(
            plans, services, _write, work, plans, events, epochs, caller.user, services, at
        )
    return tuple(made)


def at_visit(said: Visit, known: Visit) -> Visit:
    """What the caller said of the visit, filled up with what is on file of it."""
    return replace(
        said,
        encounter=said.encounter or known.encounter,
        department=said.department or known.department,
        patient_class=said.patient_class or known.patient_class,
    )


def _offered(reports: Sequence[Report]) -> dict[str, _Thing]:
    """What of these reports can be decided on."""
    found: dict[str, _Thing] = {}
    for report in reports:
        for one in report.results:
            found.setdefault(one.opened.id, _Thing(one.opened, one.judged, one.decided, report))
    for report in reports:
        thing = _Thing(report.opened, report.judged, report.decided, report)
        found.setdefault(report.opened.id, thing)
    return found


def _said_already(verdict: Verdict, decided: Decided | None, caller: Caller) -> bool:
    return decided is not None and (
        (decided.choice, decided.reason, decided.words, decided.by)
        == (verdict.choice, verdict.reason or "", verdict.words.strip(), caller.user)
    )


async def _prepared(
    seen: Gathering,
    thing: _Thing,
    verdict: Verdict,
    at: int,
    caller: Caller,
    services: Services,
    visit: Visit,
) -> _Decision:
    opened, judged = thing.opened, thing.judged
    nature, entry = opened.match.pair
    id = services.ids(caller.organization)("recognition", "Task", (opened.id, opened.version))
    decision = Decision(
        id=id,
        result=Pin(opened.type, opened.id, opened.version, entry.digest.hex()),
        chart=_folder(seen, id, opened.match.chart, caller, services),
        organization=caller.organization,
        practitioner=caller.user,
        choice=verdict.choice,
        at=at,
        reason=verdict.reason,
        note=verdict.words,
        informed=verdict.informed,
        issuer=nature.source,
    )
    fault = fault_of(decision)
    if fault:
        raise Problem(Trouble.UNPROCESSABLE, " ".join(fault), "reason")
    judgement = judged.judgement
    assert judgement is not None, "what is eligible was judged"
    settings = services.settings
    text = decision_task(decision, judgement, base=settings.canonical, zone=settings.zone)
    body = Body(
        request=f"recognition.{at}",
        human=caller.name,
        role=caller.role,
        strength=str(caller.strength),
        token=caller.session,
        address=caller.address,
        policies=dict(judgement.rules),
        note=verdict.words,
        details={
            "task": id,
            "target": f"{opened.type}/{opened.id}/_history/{opened.version}",
            "content": entry.digest.hex(),
            "item": judgement.item,
            "choice": str(verdict.choice),
            "reason": str(verdict.reason or ""),
            "informed": "yes" if verdict.informed else "no",
            "hook": visit.hook,
        },
    )
    asked = ledger.Asked(
        caller, person_of(seen), opened.id, nature.source, judgement.item, judgement.rules, visit
    )
    charts = tuple(dict.fromkeys((opened.match.chart, decision.chart)))
    return _Decision(
        made=Made(id, opened.id, opened.version, verdict.choice, new=True),
        chart=decision.chart,
        source=opened.match.chart,
        version=entry.version,
        planned=task_of(text, id, at, caller.organization, services),
        draft=await services.log.draft(
            Kind.RECOGNITION_DECISION, Outcome.PERMIT, caller, at, body, charts
        ),
        event=ledger.event(
            Happened.DECISION,
            asked,
            at,
            services,
            choice=str(verdict.choice),
            reason=str(verdict.reason or ""),
            task=id,
        ),
    )


def person_of(seen: Gathering) -> str:
    """The identity group whom the events of recognition are about."""
    return seen.person.charts[0].person


def task_of(text: bytes, id: str, at: int, organization: str, services: Services) -> Planned:
    """A Task of ours, ready to be written."""
    head, tail = merge.renamed(text, id)
    return prepare(Mapped("Task", id, (), head, tail, clock=at), organization, services)


def _folder(seen: Gathering, task: str, source: str, caller: Caller, services: Services) -> str:
    """The deciding organisation's folder on the person: where the Task already is, else its first
    chart, else one that is made for it, named after the chart of the result and linked with it."""
    for opened in seen.records:
        if opened.id == task:
            return opened.match.chart
    own = [row.id for row in seen.person.charts if row.organization == caller.organization]
    made = services.ids(caller.organization)("recognition", "Patient", (source,))
    return min(own, default=made)


async def plans_of(
    work: Sequence[tuple[str, Planned]], organization: str, services: Services, at: int
) -> list[Plan]:
    """Resources of our own by the folder they go to, with its keys."""
    plans = []
    year = moment(at).year
    for chart in sorted({chart for chart, _ in work}):
        planned = tuple(one for whose, one in work if whose == chart)
        wants = [ChartTier(chart, t) for t in sorted({Tier.GENERAL, *(p.tier for p in planned)})]
        await services.vault.ensure(wants, [(chart, year)])
        grant = Grant("filing", f"recognition.{at}", ALL_TIERS)
        plans.append(
            Plan(
                chart=chart,
                organization=organization,
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
    events: Sequence[EventRow],
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
    standing = rows.standing(tx, [one.made.target for one in work])
    if any(standing[one.made.target].version != one.version for one in work):
        raise Problem(Trouble.CONFLICT, "Another version stands; look at it first.")
    for plan in plans:
        write_own(tx, plan, services)
    for chart, source in sorted({(one.chart, one.source) for one in work}):
        if chart not in epochs and not tx.all(links.OF, [chart]):
            links.add(tx, (chart, source), links.RECOGNITION, user, at)
            links.regroup(tx, {chart, source})
    append(tx, services.log.filing_writer, [one.draft for one in work], services.now)
    ledger.add(tx, events)


def write_own(tx: Tx, plan: Plan, services: Services) -> None:
    """Write a plan of `plans_of`; CONFLICT when somebody else's later word stands."""
    filing.write_plan(tx, plan, services)
    if plan.issues:
        raise Problem(Trouble.CONFLICT, "Somebody else has just decided; look at it first.")
