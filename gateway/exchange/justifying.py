"""One decision with the whole way to it, for a privacy officer: what would somebody be answered, and why?

The person is met exactly as that somebody's own request would meet them; only what it finds is told,
and nothing of a record is opened but, where one is named, the head that a decision reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from consent.model import FacetClass, Facets, Tier
from consent.tracing import Trace, trace
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import directives
from gateway.exchange.ask import nothing, settled
from gateway.exchange.person import Person, facet_class, head_name, manifests, meet
from gateway.records.entry import unpack_head
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import accounts
from gateway.store import charts as rows
from gateway.vault import ChartTier
from gateway.vault import Tier as KeyTier


@dataclass(frozen=True, slots=True)
class Question:
    """Who would ask (a login, or an organisation for anybody there), for what, and when (µs UTC, None:
    now); about a record on file, else about any record of those protected categories (none: a plain
    one) that another organisation wrote, or `source`."""

    who: str
    purpose: str
    at: int | None = None
    record: str = ""
    categories: frozenset[str] = frozenset()
    source: str = ""


async def justify(chart: str, question: Question, caller: Caller, services: Services) -> Trace:
    """The trace of that decision; one `consent-explain` event before it.

    With a record `chart` is found from it. What is signed is what is on file now, whatever instant is
    asked about. Problem REFUSED for who is no privacy officer, UNKNOWN for a record that is not there,
    MALFORMED for a requester, purpose or category that does not exist.
    """
    if caller.role != "privacy":
        raise Problem(Trouble.REFUSED, "Another role's work.")
    return await settled(lambda: _justify(chart, question, caller, services))


async def _justify(chart: str, question: Question, caller: Caller, services: Services) -> Trace:
    now = services.now()
    at = now if question.at is None else question.at
    row = await rows.current(services.db, question.record) if question.record else None
    if question.record:
        if row is None:
            raise nothing()
        chart = row.chart
    asking = await _requester(question, services)
    named = not question.record
    person = await meet(chart, asking, services, at, action="read", named=named)
    facets = await _facets_of(person, row, services) if row else _facets(person, question, services)
    keys = {want.chart: key for want, key in person.keys.items() if want.tier is KeyTier.GENERAL}
    signed = (*person.directives, *await directives.ended(person.charts, keys, services))
    found = trace(person.request, person.context, signed, facets, services.policy)
    body = Body(
        request=f"explain.{now}",
        policies={"consent": services.policy.version},
        epochs=person.epochs,
        details={
            "asked": "decision",
            "for": question.who,
            "purpose": question.purpose,
            "record": question.record,
        },
    ).asked_by(caller)
    draft = await services.log.draft(
        Kind.CONSENT_EXPLAIN,
        Outcome.PERMIT,
        caller,
        now,
        body,
        person.chart_ids,
        person.epochs,
    )
    await services.log.write(draft)
    return found


async def _requester(question: Question, services: Services) -> Caller:
    """The caller that the person or organisation would be."""
    policy = services.policy
    if question.purpose not in policy.known_purposes:
        raise Problem(Trouble.MALFORMED, "There is no such purpose.", "purpose")
    held = await services.db.read(accounts.ACCOUNT, accounts.tidy(question.who))
    roles = sorted(role for role, may in policy.roles.items() if question.purpose in may)
    if held:
        own = sorted({row[2] for row in held})
        role = next((one for one in own if one in roles), own[0])
        return Caller("explain", held[0][0], role, question.who, purpose=question.purpose)
    if question.who not in {one.id for one in services.register}:
        raise Problem(Trouble.MALFORMED, "There is no such account or organisation.", "for")
    role = roles[0] if roles else "system"
    return Caller("explain", question.who, role, purpose=question.purpose)


def _facets(person: Person, question: Question, services: Services) -> Facets:
    """A record of which only its categories are known."""
    unknown = question.categories - services.policy.known_labels
    if unknown:
        raise Problem(Trouble.MALFORMED, "There is no such category.", "category")
    level = "R" if question.categories else "N"
    tier = services.policy.tier_of("Observation", frozenset(), level, question.categories)
    subjects = (min(person.chart_ids, default="somebody"),)
    return Facets(
        FacetClass(
            "Observation", question.source, subjects, Tier(tier), level, question.categories
        ),
        "",
    )


async def _facets_of(person: Person, row: rows.RecordRow, services: Services) -> Facets:
    """A record on file as a decision reads it."""
    want = ChartTier(row.chart, KeyTier(row.tier))
    key = (await manifests(services, person.grant, [want])).get(want)
    if key is None:
        raise nothing()
    head = unpack_head(key.open(row.head, head_name(row.id, row.version)))
    entry = head.entry
    return Facets(
        facet_class(head.nature, row.chart),
        entry.hex,
        str(entry.version),
        entry.start,
        entry.end,
        frozenset(to.hex() for _, to in entry.links),
    )
