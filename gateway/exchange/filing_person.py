"""Files whom a chart is about: the facts of a Patient, what it is found by, whom it is linked with."""

from __future__ import annotations

from gateway.exchange import correcting, joining
from gateway.exchange.correcting import match_of
from gateway.exchange.planning import Plan
from gateway.identity.matching import Tier as Likely
from gateway.records import facts as facts_
from gateway.services import Services
from gateway.services.log import append
from gateway.store import charts as rows
from gateway.store import links
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Tier
from mappings.engine import Issue

MOST_ALIKE = 20  # folders that one is compared with: what is written for a message is bounded


class Again(Exception):
    """Something the transaction needs was not prepared; prepare again."""


def join(tx: Tx, plan: Plan, sealed_facts: bytes, services: Services) -> bool:
    """Write the links a plan tells of; False when nothing else of it may be written."""
    key = plan.shelves[ChartTier(plan.chart, Tier.GENERAL)]
    about = f"facts/{plan.chart}".encode()
    before = facts_.unpack(key.open(sealed_facts, about)) if sealed_facts else None
    own = _told(plan.facts, before) if plan.facts is not None else before
    came = joining.join(
        tx, plan.chart, own, plan.joins, plan.shelves, plan.organization, plan.at, services
    )
    plan.issues.extend(came.issues)
    if came.events:
        append(tx, services.log.filing_writer, came.events, services.now)
    return came.stands


def write_person(
    tx: Tx, plan: Plan, sealed_facts: bytes, services: Services, *, known_better: bool
) -> None:
    """Who the chart is about: facts, identifiers, and whom it is linked with.

    `known_better`: the Patient that came is older than the one that stands, and so are its facts.
    Raises Again when what is needed of a chart that may be the same person's was not prepared.
    """
    chart = plan.chart
    key = plan.shelves[ChartTier(chart, Tier.GENERAL)]
    about = f"facts/{chart}".encode()
    before = facts_.unpack(key.open(sealed_facts, about)) if sealed_facts else None
    facts = before
    if plan.facts is not None and (
        before is None or (plan.facts_mode != "reference" and not known_better)
    ):
        facts = _told(plan.facts, before)
        if facts != before:
            tx.run(rows.SET_FACTS, chart, key.seal(facts_.pack(facts), about))
            rows.take(tx, chart, 0, 1)
    if facts is not None and facts.number and facts.number != (before.number if before else ""):
        came = correcting.recheck(
            tx, chart, facts, before, plan.partings, plan.shelves, plan.doubt, plan.at, services
        )
        if came is None:
            plan.corrects = True
            raise Again
        plan.issues.extend(came.issues)
        if came.events:
            append(tx, services.log.filing_writer, came.events, services.now)
        if before is not None and before.number:
            tx.run(rows.FORGET, chart)  # the cards that came with the other number go with it
    told = plan.facts.number if plan.facts is not None else ""
    if facts is not None and facts.number and told not in ("", facts.number):
        return  # an older word, or another system's: its cards are those of another number
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
            theirs = _theirs(plan, other, other_facts)
            if theirs and match_of(facts, theirs, "").tier is Likely.SAME:
                linked.add(other)
    links.join_same(tx, chart, linked, plan.at)
    if plan.called and plan.facts_mode != "reference":
        _ask(tx, plan, facts, linked)


def _theirs(plan: Plan, other: str, sealed: bytes) -> facts_.Facts | None:
    """Another chart's facts; None when its keys were destroyed. Raises Again for lack of its key."""
    key = plan.shelves.get(ChartTier(other, Tier.GENERAL))
    if key is not None:
        return facts_.unpack(key.open(sealed, f"facts/{other}".encode()))
    if other not in plan.neighbours:
        raise Again
    return None


def _ask(tx: Tx, plan: Plan, facts: facts_.Facts, linked: set[str]) -> None:
    """Keep charts of the same name and birth with a telephone or card in common for a person to
    compare: no rule joins them."""
    others = {row[0]: row for row in tx.all(rows.FIND, plan.called) if row[4]}
    alike = {
        (other, sign)
        for digest, sign in plan.seconds.items()
        if others
        for other, *_ in tx.all(rows.FIND, digest)
        if other in others and other not in {plan.chart, *linked}
    }
    own = [pair for pair in alike if others[pair[0]][2] == plan.organization]
    # Its own first: nobody else's folders crowd them out.
    chosen = (*sorted(own), *sorted(alike - set(own)))[:MOST_ALIKE]
    plan.compares |= {other for other, _ in chosen}
    asked = False
    for other, sign in chosen:
        theirs = _theirs(plan, other, others[other][4])
        if theirs and match_of(facts, theirs, f"{links.POSSIBLE}/{sign}").tier is Likely.POSSIBLE:
            asked |= others[other][2] == plan.organization
            links.ask(tx, (plan.chart, other), sign, plan.at)
    if asked:  # of its own: of others' folders a hospital is told nothing
        plan.issues.append(Issue("note", "possible-same-person", ""))


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
