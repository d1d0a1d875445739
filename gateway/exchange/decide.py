"""Records a clinician's decision on results of other hospitals: recognised or not, and why.

A decision is a Task in the folder the deciding organisation keeps on the person, pinned to one
version of one result, with the evidence it rested on. It orders nothing, cancels nothing and merges
nothing. Deciding anew about the same version makes a new version of the same Task; the old one stays
in its history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import filing, ledger, vouched, write_back
from gateway.exchange.ask import nothing, settled
from gateway.exchange.deciding import (
    Act,
    Thing,
    Work,
    copy_of,
    doctor_of,
    messages,
    plans_of,
    sealed,
)
from gateway.exchange.deciding import Made as Made
from gateway.exchange.deciding import Verdict as Verdict
from gateway.exchange.ledger import PORTAL
from gateway.exchange.ledger import Visit as Visit
from gateway.exchange.planning import Plan
from gateway.exchange.recognise import Decided
from gateway.exchange.results import Looked, Report, look_at_all, look_at_each
from gateway.recognition.decisions import Choice
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Moved, append
from gateway.store import charts as rows
from gateway.store import decisions, links
from gateway.store.decisions import AlertRow, EvidenceRow
from gateway.store.engine import Tx
from gateway.store.write_backs import MessageRow


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

    current = await rows.current(services.db, report)
    chart = current.chart if current else ""
    return await _settled(chart, targets, verdict, caller, services, visit, report)


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

    return await _settled(chart, targets, verdict, caller, services, visit)


async def everything_from(
    issuer: str, chart: str, choice: Choice, caller: Caller, services: Services, visit: Visit
) -> tuple[tuple[str, str], ...]:
    """(id, version tag) of all results of one hospital that may be recognised here and are undecided,
    or decided just so by the caller: what `decide_results` takes for "all of this hospital"."""
    may_record(caller, services)
    looked = await look_at_all(chart, caller, services, visit)
    return tuple(
        (id, thing.opened.version)
        for id, thing in sorted(_offered(looked.reports).items())
        if thing.judged.state == "eligible"
        and (
            thing.decided is None
            or (thing.decided.choice, thing.decided.by) == (choice, caller.user)
        )
        and thing.opened.match.pair[0].source == issuer
        and (thing.result is not None or not thing.report.results)
    )


async def _settled(
    chart: str,
    targets: Sequence[tuple[str, str]],
    verdict: Verdict,
    caller: Caller,
    services: Services,
    visit: Visit,
    report: str = "",
) -> tuple[Made, ...]:
    beside = [one.rpartition("/")[2] for one in (visit.order, visit.encounter)]

    async def look() -> Looked:
        ids = [id for id, _ in targets]
        accepts = verdict.choice is not Choice.DECLINE
        return await look_at_each(chart, ids, caller, services, visit, beside, decisive=accepts)

    async def work() -> tuple[Made, ...]:
        looked = await look()
        return await _decide(looked, dict(targets), verdict, caller, services, visit, report)

    try:
        return await settled(work)
    except Problem as problem:
        if problem.kind is not Trouble.CONFLICT:
            raise
        said = _said_meanwhile(await settled(look), targets, verdict, caller)
        if not said:
            raise
        return said


def _said_meanwhile(
    looked: Looked, targets: Sequence[tuple[str, str]], verdict: Verdict, caller: Caller
) -> tuple[Made, ...]:
    """What stands where the same person said all the same at once; empty where they did not."""
    offered = _offered(looked.reports)
    found = [(offered.get(id), id, version) for id, version in targets]
    made = tuple(
        Made(thing.decided.task, id, version, verdict.choice, new=False)
        for thing, id, version in found
        if thing is not None
        and thing.opened.version == version
        and thing.decided is not None
        and _said_already(verdict, thing.decided, caller)
    )
    return made if len(made) == len(targets) else ()


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
    report: str,
) -> tuple[Made, ...]:
    offered = _offered(looked.reports)
    at, organization = services.now(), caller.organization
    doctor = await doctor_of(caller, services)
    act = Act(looked.seen, verdict, caller, at_visit(visit, looked.visit), at, doctor)
    made: list[Made] = []
    work: list[Work] = []
    for id, version in targets.items():
        thing = offered.get(id)
        if thing is None or report not in ("", thing.reported):
            raise nothing()
        if thing.opened.version != version:
            raise Problem(Trouble.CONFLICT, "Another version stands; look at it first.")
        if thing.judged.state != "eligible":
            raise Problem(Trouble.UNPROCESSABLE, "This may not be recognised here.", "target")
        if thing.decided is not None and _said_already(verdict, thing.decided, caller):
            made.append(Made(thing.decided.task, id, version, verdict.choice, new=False))
        else:
            work.append(await act.prepared(thing, services))
            made.append(work[-1].made)
    if work:
        written = [(one.chart, each) for one in work for each in one.resources]
        written += copy_of(work, act, services)
        plans = await plans_of(written, organization, services, at, looked.seen)
        events = ledger.prepared([one.event for one in work], services)
        epochs = looked.seen.person.epochs
        evidence = sealed(work, plans)
        letters = await messages(work, written, plans, act, services)
        await filing.with_neighbours(
            plans, services, _write, work, plans, evidence, letters, events, epochs, act, services
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


def _offered(reports: Sequence[Report]) -> dict[str, Thing]:
    """What of these reports can be decided on: their results, or an examination as a whole."""
    found: dict[str, Thing] = {}
    for report in reports:
        for one in report.results:
            found.setdefault(one.opened.id, Thing(one.opened, one.judged, one.decided, report, one))
    for report in reports:
        whole = Thing(report.opened, report.judged, report.decided, report, None)
        found.setdefault(report.opened.id, whole)
    return found


def _said_already(verdict: Verdict, decided: Decided, caller: Caller) -> bool:
    """What the patient signed later is said anew; who leaves it out takes nothing back."""
    local = verdict.local.code if verdict.local else ""
    informed = verdict.informed and verdict.choice is Choice.DECLINE
    if verdict.acknowledged.strip() not in ("", decided.acknowledged):
        return False
    before = (decided.choice, decided.reason, decided.local, decided.words, decided.informed)
    return (*before, decided.by) == (
        verdict.choice, verdict.reason or "", local, verdict.words.strip(), informed, caller.user,
    )  # fmt: skip


def _write(
    tx: Tx,
    work: Sequence[Work],
    plans: Sequence[Plan],
    evidence: Sequence[EvidenceRow],
    letters: Sequence[MessageRow],
    events: ledger.Prepared,
    epochs: Mapping[str, int],
    act: Act,
    services: Services,
) -> None:
    """Records, evidence and events in one transaction, if what was judged still stands."""
    for source in sorted({one.source for one in work}):
        rows.take(tx, source, 0)
    if dict(tx.all(rows.STOOD_ON, list(epochs))) != dict(epochs):
        raise Moved
    standing = rows.standing(tx, [one.made.target for one in work])
    if any(standing[one.made.target].version != one.version for one in work):
        raise Problem(Trouble.CONFLICT, "Another version stands; look at it first.")
    tasks = rows.standing(tx, [one.made.task for one in work])
    known = {id: row.version for id, row in tasks.items()}
    if any(known.get(one.made.task, 0) != one.before for one in work):
        raise Problem(Trouble.CONFLICT, "Somebody else has just decided; look at it first.")
    for plan in plans:
        write_own(tx, plan, services)
    for chart, source in sorted({(one.chart, one.source) for one in work}):
        if chart not in epochs and not tx.all(links.OF, [chart]):
            links.add(tx, (chart, source), links.RECOGNITION, act.caller.user, act.at)
            links.regroup(tx, {chart, source})
    targets = [one.made.target for one in work]
    supersede(tx, targets, act.caller.organization, act.at, services)
    tx.many(decisions.ADD, [tuple(row) for row in evidence])
    vouched.vouch(tx, evidence, services)
    if act.verdict.code:
        tx.run(decisions.USED, act.caller.organization, act.verdict.code)
    append(tx, services.log.filing_writer, [one.draft for one in work], services.now)
    ledger.add(tx, events)
    write_back.write(tx, letters, services)


def supersede(
    tx: Tx, targets: Sequence[str], organization: str, at: int, services: Services
) -> None:
    """What an organisation decided on these records before, in whatever version, stands no longer,
    and nobody needs to be told of changes to it."""
    found = [EvidenceRow(*row) for row in tx.all(decisions.RELIED_ON, list(targets), [])]
    before = [one for one in found if one.organization == organization]
    if before:
        end(tx, [one.task for one in before], [one.id for one in before], at, services)


def end(tx: Tx, tasks: Sequence[str], evidence: Sequence[str], at: int, services: Services) -> None:
    """What these Tasks rested on does not stand any more, and alerts of it are settled."""
    ended = [EvidenceRow(*row) for row in tx.all(decisions.END, tasks)]
    settled = [AlertRow(*row) for row in tx.all(decisions.SETTLE, evidence, at)]
    vouched.vouch(tx, [*ended, *settled], services)


def write_own(tx: Tx, plan: Plan, services: Services) -> None:
    """Write a plan of `plans_of`; CONFLICT when somebody else's later word stands."""
    filing.write_plan(tx, plan, services)
    if plan.issues:
        raise Problem(Trouble.CONFLICT, "Somebody else has just decided; look at it first.")
