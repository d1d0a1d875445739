"""Whether two folders of one hospital are one person's: asked at the desk, with the resident there.

A hospital's merge joins folders at once, so that nothing refused is lost; what opens reaches from
one to the other only when the resident has said that both are theirs. A merge that the folders
contradict (two different resident ID numbers) is a dispute: nothing of either is shown until the
hospital takes it back or corrects a number, or a desk has said that they are two persons'.

Where somebody has a folder tells where they were treated, and another's folder is another's matter:
so only a registrar of the folders' own organisation, who has both in their own system, and the
county's desk are told of such a pair or may decide. To anybody else it is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import desk, relied
from gateway.exchange.consents import RECORDERS
from gateway.exchange.person import ALL_TIERS, manifests
from gateway.records import facts as facts_
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import links
from gateway.store.engine import Tx
from gateway.store.links import Link
from gateway.vault import ChartTier, Grant, Tier

Answer = Literal["one", "two"]
"""Both folders are the resident's own; or they are two persons'."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What is written on a folder, to compare with the card; `facts` are empty where nothing is."""

    chart: str
    facts: facts_.Facts


@dataclass(frozen=True, slots=True)
class Pending:
    """Two folders of `organization` that it said to be one person's (µs UTC), for the resident to say.

    `contradicted`: they carry different persons' numbers, so that only "two" can be answered here.
    """

    id: int
    organization: str
    folders: tuple[Folder, Folder]
    said: int
    contradicted: bool


async def waiting(organization: str, services: Services) -> tuple[Pending, ...]:
    """Every pair that waits, of one organisation or ("") of all, without what is on the folders."""
    found = [Link(*row) for row in await services.db.read(links.UNDECIDED)]
    told = await houses([end for one in found for end in (one.left, one.right)], services)
    return tuple(
        Pending(
            one.id,
            told[one.left],
            (Folder(one.left, facts_.Facts()), Folder(one.right, facts_.Facts())),
            one.at,
            one.contradicted,
        )
        for one in found
        if organization in ("", told[one.left])
    )


async def pending(
    system: str, value: str, caller: Caller, services: Services
) -> tuple[Pending, ...]:
    """The pairs the resident with this number may be asked about here; oldest first.

    Problem REFUSED for who records no consents. Part of a desk's look-up, which is logged as one.
    """
    at_desk(caller)
    known = await _charts(system, value, services)
    found = await services.db.read(links.OF, list(known))
    open_ = [link for row in found if (link := Link(*row)).undecided]
    told = await houses([end for one in open_ for end in (one.left, one.right)], services)
    mine = [
        one
        for one in open_
        if all(may_know(told[end], caller, services) for end in (one.left, one.right))
        and (one.contradicted or known[one.left] != known[one.right])
    ]
    facts = await facts_of({end for one in mine for end in (one.left, one.right)}, services)
    return tuple(
        Pending(
            one.id,
            told[one.left],
            (Folder(one.left, facts[one.left]), Folder(one.right, facts[one.right])),
            one.at,
            one.contradicted,
        )
        for one in mine
    )


async def answer(
    id: int, said: Answer, system: str, value: str, caller: Caller, services: Services
) -> None:
    """Write down what the resident says of a pair of folders, their card having been looked at.

    One event, `link` or `unlink`, naming both charts, in the transaction that moves their epochs.
    Problem UNKNOWN for a pair that is not the resident's or not this desk's to ask about, CONFLICT
    for one that was decided meanwhile, UNPROCESSABLE for "one" of what the folders contradict.
    """
    found = {one.id: one for one in await pending(system, value, caller, services)}
    if id not in found:
        raise Problem(Trouble.UNKNOWN, "No such pair of folders waits here.")
    if said == "one" and found[id].contradicted:
        raise Problem(
            Trouble.UNPROCESSABLE, "The folders carry two numbers; correct one first.", "answer"
        )
    at = services.now()
    pair = tuple(sorted(folder.chart for folder in found[id].folders))
    body = Body(
        request=f"identity.{at}", details={"rule": "resident", "answer": said, "link": str(id)}
    ).asked_by(caller)
    kind = Kind.LINK if said == "one" else Kind.UNLINK
    draft = await services.log.draft(kind, Outcome.PERMIT, caller, at, body, pair)
    by = caller.user or caller.client
    await services.db.do(_write, id, pair, said, at, by, draft, services)


def _write(
    tx: Tx,
    id: int,
    pair: Sequence[str],
    said: Answer,
    at: int,
    by: str,
    draft: Draft,
    services: Services,
) -> None:
    for chart in pair:
        rows.take(tx, chart, 0)  # whoever files a merge of them now waits for us
    link = next((one for one in links.between(tx, pair) if one.id == id), None)
    if link is None or not link.undecided or (said == "one" and link.contradicted):
        raise Problem(Trouble.CONFLICT, "Somebody has just decided this.")
    tx.run(links.CONFIRM if said == "one" else links.REVOKE, id, at, by)
    links.regroup(tx, pair)
    if said == "two":
        relied.parted(tx, pair, at, services, at if link.contradicted else link.at)
    append(tx, services.log.filing_writer, [draft], services.now)


def at_desk(caller: Caller) -> None:
    if caller.role not in RECORDERS:
        raise Problem(Trouble.REFUSED, "Folders are compared at the registration desk.")


def may_know(organization: str, caller: Caller, services: Services) -> bool:
    chain = services.register.chain
    return (
        caller.organization in services.policy.controllers
        or caller.organization in chain(organization)
        or organization in chain(caller.organization)
    )


async def _charts(system: str, value: str, services: Services) -> dict[str, str]:
    """Every chart of the persons who carry the number, and the identity each belongs to."""
    charts, _ = await desk.known(system, value, services)
    return {
        row.id: row.identity
        for chart in charts
        for row in (await rows.grounds(services.db, chart, "")).charts
    }


async def houses(charts: Sequence[str], services: Services) -> dict[str, str]:
    return {row[0]: row[1] for row in await services.db.read(links.ON_CHARTS, sorted(set(charts)))}


async def facts_of(charts: set[str], services: Services) -> dict[str, facts_.Facts]:
    wants = [ChartTier(chart, Tier.GENERAL) for chart in sorted(charts)]
    keys = await manifests(services, Grant("job", "desk", ALL_TIERS), wants)
    found = dict.fromkeys(charts, facts_.Facts())
    for chart, _, sealed in await services.db.read(links.ON_CHARTS, sorted(charts)):
        key = keys.get(ChartTier(chart, Tier.GENERAL))
        if key is not None and sealed:
            found[chart] = facts_.unpack(key.open(sealed, f"facts/{chart}".encode()))
    return found
