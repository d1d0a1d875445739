"""Joins charts of one hospital because the hospital says so (ADT A18, A34, A40 …), and parts them again (A37).

What a hospital says of two of its numbers is ordered by its own clock and not by arrival, so the same
messages in any order, once or again, leave the same links. A link is a row that can be revoked; no
record moves and no reference changes. Only charts of the sender's own organisation can be named, since
the map makes both ids from that organisation's numbers.

A merge is the hospital's word: it joins the charts of one person, but until the resident confirms it
(exchange/identities.py) they stay two identities, between which nothing that opens reaches. Where
the two carry different persons' numbers nothing is joined: it is kept as a dispute, in which
nothing of either is shown, until the hospital corrects itself or a registration desk has looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import relied
from gateway.exchange.person import manifests
from gateway.records import facts as facts_
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft
from gateway.store import charts as rows
from gateway.store import links
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, ManifestKey, Shredded, Tier
from mappings.engine import Issue, Message

RULE = "source-merge"
BY_SOURCE = "source"
"""`link.revoked_by` of a pair that the hospital itself parted."""
_UNPARTED = links.UNJUDGED | {BY_SOURCE, links.CONTRADICTED, links.GATEWAY}
TWO_PERSONS = Issue("hold", "merge-two-persons", "")


@dataclass(frozen=True, slots=True)
class Join:
    """The hospital says at `clock` (µs UTC, 0 unknown) that `other` is the plan's chart's person, or no more."""

    other: str
    undone: bool
    clock: int
    draft: Draft


async def joins_of(
    message: Message, chart: str, organization: str, inbox_id: str, services: Services
) -> tuple[Join, ...]:
    """What a message says of its patient and other charts of the hospital, with the event to log."""
    ids, at = services.ids(organization), services.now()
    clock = next((one.clock for one in message.resources if one.type == "Patient"), None)
    found = []
    for said in message.merges:
        other = ids(said.kept.space, "Patient", (said.kept.number,))
        draft = await services.log.draft(
            Kind.UNLINK if said.undone else Kind.LINK,
            Outcome.PERMIT,
            Caller(client=organization, organization=organization, role="system"),
            at,
            Body(request=inbox_id, details={"rule": RULE}),
            (chart, other),
        )
        found.append(Join(other, said.undone, clock or 0, draft))
    return tuple(found)


async def keys_of(
    joins: Sequence[Join], grant: Grant, services: Services
) -> dict[ChartTier, ManifestKey]:
    """Keys of the charts named, made where the number is heard of for the first time."""
    keys: dict[ChartTier, ManifestKey] = {}
    for join in joins:
        want = ChartTier(join.other, Tier.GENERAL)
        try:
            await services.vault.ensure([want])
        except Shredded:
            continue  # a destroyed chart is nobody
        keys |= await manifests(services, grant, [want])
    return keys


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of a plan's joins; without `stands` nothing else of the plan may be written."""

    stands: bool
    issues: tuple[Issue, ...] = ()
    events: tuple[Draft, ...] = ()


def join(
    tx: Tx,
    chart: str,
    own: facts_.Facts | None,
    joins: Sequence[Join],
    keys: dict[ChartTier, ManifestKey],
    organization: str,
    at: int,
    services: Services,
) -> Joined:
    """Write the links, inside the transaction that files the message."""
    issues: list[Issue] = []
    events: list[Draft] = []
    for one in joins:
        key = keys.get(ChartTier(one.other, Tier.GENERAL))
        if key is None:
            return Joined(False, (Issue("hold", "merge-destroyed-chart", ""),))
        tx.run(
            rows.ADD_CHART,
            one.other, rows.bucket_of(one.other), organization, one.other, one.other,
            0, 0, 0, b"", b"", services.rules, at,
        )  # fmt: skip
        sealed = rows.take(tx, one.other, 0)[3]
        about = f"facts/{one.other}".encode()
        theirs = facts_.unpack(key.open(sealed, about)) if sealed else None
        pair = sorted((chart, one.other))
        said = links.between(tx, pair)
        trouble = _trouble(one, said, own, theirs)
        if trouble:
            if TWO_PERSONS in trouble and _dispute(tx, pair, one, said, at):
                events.append(one.draft._replace(outcome=Outcome.ERROR))
            return Joined(False, trouble, tuple(events))
        if _say(tx, pair, one, said, at):
            links.regroup(tx, pair)
            if one.undone:
                joined = [link.at for link in said if not link.revoked]
                relied.parted(tx, pair, at, services, min(joined, default=at))
            events.append(one.draft)
    return Joined(True, tuple(issues), tuple(events))


def _trouble(
    one: Join,
    said: Sequence[links.Link],
    own: facts_.Facts | None,
    theirs: facts_.Facts | None,
) -> tuple[Issue, ...]:
    """Why nothing may be written: something newer was said, or a person must look first."""
    ours = [link for link in said if link.rule == RULE]
    newest = max((link.clock for link in ours), default=-1)
    undated = one.clock == newest == 0 and not all(link.contradicted for link in ours)
    if newest > one.clock or undated:
        return (Issue("note", "older-than-stored", ""),)
    if one.undone:
        return ()
    if any(link.revoked and link.revoked_by not in _UNPARTED for link in said):
        return (Issue("hold", "merge-was-parted", ""), Issue("alarm", "merge-was-parted", ""))
    numbers = {facts.number for facts in (own, theirs) if facts is not None and facts.number}
    if len(numbers) > 1:
        return (TWO_PERSONS, Issue("alarm", "merge-two-persons", ""))
    return ()


def _dispute(tx: Tx, pair: Sequence[str], one: Join, said: Sequence[links.Link], at: int) -> bool:
    """Keep a merge that the charts contradict; True when nobody had said it before."""
    known = next((link for link in said if link.contradicted), None)
    if known is not None:
        tx.run(links.SET_CLOCK, known.id, one.clock)
        return False
    links.add(tx, pair, RULE, BY_SOURCE, at, one.clock, links.CONTRADICTED)
    links.regroup(tx, pair)
    return True


def _say(tx: Tx, pair: Sequence[str], one: Join, said: Sequence[links.Link], at: int) -> bool:
    """Keep what was said; True when it changes what stands."""
    standing = [link for link in said if not link.revoked]
    disputed = [link for link in said if link.contradicted]
    for link in said:
        if link.contradicted or link.revoked_by == links.POSSIBLE:
            tx.run(links.REVOKE, link.id, at, BY_SOURCE)
    ours = next((link for link in standing if link.rule == RULE), None)
    if not one.undone:
        if ours is not None:
            tx.run(links.SET_CLOCK, ours.id, one.clock)
            return bool(disputed)
        links.add(tx, pair, RULE, BY_SOURCE, at, one.clock)
        return True
    # Whoever else had joined the two did so by the same numbers: the hospital knows better.
    for link in standing:
        tx.run(links.REVOKE, link.id, at, BY_SOURCE)
    last = max((link for link in said if link.rule == RULE), key=lambda link: link.id, default=None)
    if last is not None:
        tx.run(links.SET_CLOCK, last.id, one.clock)
    else:
        # Kept without ever having stood, so that an older merge that comes late joins nothing.
        links.add(tx, pair, RULE, BY_SOURCE, at, one.clock, BY_SOURCE)
    return bool(standing or disputed)
