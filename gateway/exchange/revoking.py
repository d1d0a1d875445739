"""Takes a decision on a result back: by the doctor, or because the order was signed after all.

The Task stays, with its history; a new version of it says that it is revoked, by whom and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import filing, ledger, write_back
from gateway.exchange.ask import Gathering, Match, Permitted, gather, nothing, settled
from gateway.exchange.decide import at_visit, end, may_record, write_own
from gateway.exchange.deciding import own, person_of, plans_of
from gateway.exchange.issued import parsed
from gateway.exchange.ledger import PORTAL, Visit
from gateway.exchange.page_records import open_visits
from gateway.exchange.planning import Plan
from gateway.exchange.recognise import decided_in, decision_records, rested_on, visit_of
from gateway.recognition.decisions import Revoked, revoked_task
from gateway.recognition.filed import lifted
from gateway.recognition.ledger import Happened
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, Moved, append
from gateway.store import charts as rows
from gateway.store import decisions
from gateway.store.decisions import EvidenceRow
from gateway.store.engine import Tx
from gateway.store.write_backs import MessageRow
from gateway.vault import ChartTier, Tier

LONGEST = 500
SHORTEST = 2  # characters of a reason


async def revoke(
    task: str, reason: str, caller: Caller, services: Services, visit: Visit = PORTAL
) -> None:
    """Take a decision of the caller's own organisation back, with a reason in words.

    By whoever of the organisation may see it: the doctor who decided may be off duty. Problem UNKNOWN
    when absent, hidden or another organisation's, UNPROCESSABLE without a reason. One that is revoked
    already stays as it is.
    """
    if len(reason.strip()) < SHORTEST:
        raise Problem(Trouble.UNPROCESSABLE, "Say why the decision is revoked.", "reason")
    await _revoke(task, Revoked.DOCTOR, reason.strip()[:LONGEST], caller, services, visit)


async def repeal(task: str, caller: Caller, services: Services, visit: Visit) -> None:
    """The order was signed although the result had been recognised: the decision does not stand.

    Two events more: the revocation, and that the order was signed. Errors as in `revoke`.
    """
    await _revoke(task, Revoked.ORDERED, "", caller, services, visit)


async def _revoke(
    task: str, why: Revoked, words: str, caller: Caller, services: Services, visit: Visit
) -> None:
    may_record(caller, services)
    await settled(lambda: _attempt(task, why, words, caller, services, visit))


@dataclass(frozen=True, slots=True)
class _Revocation:
    """One revocation, ready to be written; `version` is the Task's that it takes back."""

    task: str
    version: int
    plans: Sequence[Plan]
    draft: Draft
    events: ledger.Prepared
    epochs: Mapping[str, int]
    at: int
    letters: Sequence[MessageRow]


async def _attempt(
    task: str, why: Revoked, words: str, caller: Caller, services: Services, visit: Visit
) -> None:
    seen, visited = await _look(task, caller, services)
    found = next((one for one in seen.records if one.id == task), None)
    if found is None:
        raise nothing()
    decided = decided_in(parsed(found.text), services)
    if decided is None:
        return
    at = services.now()
    visit = at_visit(visit, visited)
    settings = services.settings
    text = revoked_task(
        found.text, at, why, words, caller.user, base=settings.canonical, zone=settings.zone
    )
    rest = rested_on(parsed(found.text))
    issue = next((one for one in seen.records if one.type == "DetectedIssue"), None)
    entry = found.match.pair[1]
    body = Body(
        request=f"recognition.{at}",
        note=words,
        details={"task": task, "target": decided.target, "why": why.value, "hook": visit.hook},
    ).asked_by(caller)
    draft = await services.log.draft(
        Kind.RECOGNITION_REVOCATION, Outcome.PERMIT, caller, at, body, (found.match.chart,)
    )
    asked = ledger.Asked(
        caller, person_of(seen, caller), decided.target, rest.issuer, rest.item, rest.rules, visit,
        side=rest.side,
    )  # fmt: skip
    kinds = [Happened.REVOCATION] + [Happened.ORDERED] * (why is Revoked.ORDERED)
    events = [
        ledger.event(
            kind, asked, at, services, choice=str(decided.choice), reason=decided.reason, task=task
        )
        for kind in kinds
    ]
    planned = [own("Task", task, text, at, caller.organization, services)]
    if issue is not None:
        text = lifted(issue.text, at, why, caller.user, base=settings.canonical, zone=settings.zone)
        planned.append(own("DetectedIssue", issue.id, text, at, caller.organization, services))
    chart = found.match.chart
    plans = await plans_of(
        [(chart, one) for one in planned], caller.organization, services, at, seen
    )
    letter = write_back.Letter(
        "revocation", at, caller.organization, chart, visit.encounter, visit.order, caller.user,
        f"互认决定{why.zh}\n原因：{words or why.zh}\n",
        tuple(one.mapped.text().decode() for one in planned), visit=visit.number,
    )  # fmt: skip
    key = plans[0].bodies[ChartTier(chart, Tier.GENERAL)]
    work = _Revocation(
        task,
        entry.version,
        plans,
        draft,
        ledger.prepared(events, services),
        seen.person.epochs,
        at,
        await write_back.message(letter, task, key, services),
    )
    await filing.with_neighbours(work.plans, services, _write, work, services)


async def _look(task: str, caller: Caller, services: Services) -> tuple[Gathering, Visit]:
    current = await rows.current(services.db, task)

    issue = ("DetectedIssue", caller.organization)

    def choose(permitted: Permitted) -> list[Match]:
        mine = [one for one in decision_records(permitted, caller) if one.pair[1].hex == task]
        about = {to for one in mine for said, to in one.pair[1].links if said == "focus"}
        noticed = [
            one
            for one in permitted.where(lambda nature: (nature.type, nature.source) == issue)
            if any(said == "implicated" and to in about for said, to in one.pair[1].links)
        ]
        return [*mine, *noticed, *open_visits(permitted, caller)] if mine else []

    seen = await gather(
        current.chart if current else "",
        caller,
        services,
        choose,
        kind=Kind.READ,
        named=False,
    )
    own = [parsed(one.text) for one in seen.records if one.type == "Encounter"]
    return seen, visit_of(caller, own)


def _write(tx: Tx, work: _Revocation, services: Services) -> None:
    """The new version of the Task and its events in one transaction, if the old one still stands."""
    if dict(tx.all(rows.STOOD_ON, list(work.epochs))) != dict(work.epochs):
        raise Moved
    standing = rows.standing(tx, [work.task])
    if standing[work.task].version != work.version:
        raise Problem(Trouble.CONFLICT, "Somebody else has just decided; look at it first.")
    for plan in work.plans:
        write_own(tx, plan, services)
    ended = [EvidenceRow(*row).id for row in tx.all(decisions.OF_TASKS, [work.task])]
    end(tx, [work.task], ended, work.at, services)
    append(tx, services.log.filing_writer, [work.draft], services.now)
    ledger.add(tx, work.events)
    write_back.write(tx, work.letters, services)
