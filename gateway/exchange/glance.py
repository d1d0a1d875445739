"""What an IT office should know first: its own feeds, what is held or stuck, what could not be told back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import alerts, identities, replays, unmapped_orders
from gateway.exchange.feeds import own_sources
from gateway.exchange.replays import Choice
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import append
from gateway.store import decisions, maps, unmapped, write_backs
from gateway.store import messages as rows
from gateway.store import oversight as listed
from gateway.store.engine import Tx
from gateway.store.maps import ReplayRow

STUCK: Final = 600_000_000  # µs a message may wait
DAY: Final = 86_400_000_000
MOST: Final = 50
MOST_LINES: Final = 500


@dataclass(frozen=True, slots=True)
class Silent:
    """A source in use that sent nothing for a day; `last` µs UTC, 0: it never sent."""

    source: str
    last: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A message to the caller's own HIS that was given up: when it was written, how often tried, why."""

    id: str
    at: int
    tries: int
    error: str
    kind: str  # decision | revocation | alert


class Untold(NamedTuple):
    """An alert that could not be made into a message: when the result changed, and why."""

    id: int
    at: int
    trouble: str


class Sent(NamedTuple):
    """Messages of one kind to the caller's own HIS, by where they are; `held`: no right to send on."""

    kind: str
    waiting: int
    held: int
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Glance:
    """Numbers of the caller's own sources and organisation. Of folders and alerts: numbers only."""

    stuck: int
    silent: tuple[Silent, ...]
    held: int  # arrived since yesterday
    codes: int  # lines of the queue of unmapped codes
    orders: int
    folders: int  # pairs that wait for a resident's word
    disputed: int
    relied: int  # alerts on relied-on results not settled
    failed: tuple[Failed, ...]
    untold: tuple[Untold, ...] = ()
    sent: tuple[Sent, ...] = ()


async def glance(caller: Caller, services: Services) -> Glance:
    """The first screen; Problem REFUSED for another role."""
    known = await own_sources(caller, services)
    now = services.now()
    names = tuple(sorted(known))
    session = services.db.session
    old = rows.Narrow(names, until=now - STUCK, state="waiting")
    held = rows.Narrow(names, since=now - DAY, state="quarantined")
    _, stuck = await session(rows.page, old, 0, 1)
    _, fresh = await session(rows.page, held, 0, 1)
    lines = await session(unmapped.queue, list(names), ("open", "proposed"), MOST_LINES)
    pairs = await identities.waiting(caller.organization, services)
    return Glance(
        stuck=stuck,
        silent=tuple(
            Silent(name, last or 0)
            for name, _, state, last in await services.db.read(listed.FEEDS)
            if name in known and state == "active" and now - (last or 0) > DAY
        ),
        held=fresh,
        codes=len(lines),
        orders=len(await unmapped_orders.standing(caller.organization, services)),
        folders=len(pairs),
        disputed=sum(one.contradicted for one in pairs),
        relied=sum(one.open for one in await alerts.counts(services, caller.organization)),
        failed=tuple(
            Failed(*row)
            for row in await services.db.read(write_backs.FAILED, caller.organization, MOST)
        ),
        untold=tuple(
            Untold(*row)
            for row in await services.db.read(decisions.PASSED_OVER, caller.organization, MOST)
        ),
        sent=await _sent(caller.organization, services),
    )


async def _sent(organization: str, services: Services) -> tuple[Sent, ...]:
    found: dict[str, dict[str, int]] = {}
    for whose, kind, state, count in await services.db.read(write_backs.BY_KIND):
        if whose == organization:
            found.setdefault(kind, {})[state] = int(count)
    states = ("waiting", "held", "delivered", "failed")
    return tuple(Sent(kind, *(found[kind].get(one, 0) for one in states)) for kind in found)


async def send_again(id: str, caller: Caller, services: Services) -> None:
    """Try a message to the caller's own HIS again from the start; it keeps its name, so once is enough.

    Problem UNKNOWN when it is not there, another's, or not given up.
    """
    await own_sources(caller, services)
    at = services.now()
    body = _body(caller, {"write-back": "again", "message": id})
    draft = await services.log.draft(Noted.UPDATE, Outcome.PERMIT, caller, at, body)

    def again(tx: Tx) -> None:
        if tx.one(write_backs.SEND_AGAIN, id, caller.organization, at) is None:
            raise Problem(Kind.UNKNOWN, "No such message was given up.", "message")
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(again)


async def tell_again(id: int, caller: Caller, services: Services) -> None:
    """Try to tell the caller's own HIS of an alert that could not be told.

    Problem UNKNOWN when it is not there, another's, settled, or told.
    """
    await own_sources(caller, services)
    body = _body(caller, {"alert": "again", "id": str(id)})
    draft = await services.log.draft(Noted.UPDATE, Outcome.PERMIT, caller, services.now(), body)

    def again(tx: Tx) -> None:
        if tx.one(decisions.TELL_AGAIN, id, caller.organization) is None:
            raise Problem(Kind.UNKNOWN, "No such message was given up.", "message")
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(again)


async def orders(
    caller: Caller, services: Services, *, taken: bool = False
) -> tuple[unmapped_orders.Unmapped, ...]:
    """What the caller's hospital orders and the catalogue does not know, the most often signed first.

    `taken` away as a file is an event of its own.
    """
    await own_sources(caller, services)
    found = await unmapped_orders.standing(caller.organization, services)
    if taken:
        body = _body(caller, {"orders": "file", "lines": str(len(found))})
        await services.log.note(Noted.CONFIG, Outcome.PERMIT, caller, services.now(), body)
    return found


# Many messages read again


async def reruns(caller: Caller, services: Services) -> tuple[ReplayRow, ...]:
    """The replays of the caller's own sources, newest first."""
    known = await own_sources(caller, services)
    found = [
        ReplayRow(*row) for name in known for row in await services.db.read(maps.REPLAYS, name)
    ]
    return tuple(sorted(found, key=lambda one: -one.id)[:MOST])


async def try_many(source: str, choice: Choice, caller: Caller, services: Services) -> int:
    """Start a dry replay of the caller's own source; Problem UNKNOWN when it is not."""
    if source not in await own_sources(caller, services):
        raise Problem(Kind.UNKNOWN, "No such source is declared here.", "source")
    return await replays.start(source, caller, services, choice, dry=True)


async def settle_many(id: int, act: str, caller: Caller, services: Services) -> int:
    """`do` what a dry replay that is done has told of, `pause` one, or let it `go` on: its number.

    Problem UNKNOWN when it is not there or another's; CONFLICT for a dry replay that is not done, or
    told of a release that is not in force any more.
    """
    found = {one.id: one for one in await reruns(caller, services)}
    if id not in found:
        raise Problem(Kind.UNKNOWN, "There is no replay of that number.", "replay")
    row = found[id]
    if act == "do":
        if not row.dry or row.state != "done":
            raise Problem(Kind.CONFLICT, "It has not been tried to its end.", "replay")
        choice = Choice(row.from_at, row.until_at, row.kind, row.issue, row.unmapped)
        return await replays.start(row.source, caller, services, choice, release=row.release)
    if act not in ("pause", "go"):
        raise Problem(Kind.MALFORMED, "No such step.", "act")
    body = _body(caller, {"map": "replay", "replay": str(id), "act": act})
    await services.log.note(Noted.CONFIG, Outcome.PERMIT, caller, services.now(), body)
    await replays.set_state(id, "paused" if act == "pause" else "running", services)
    return id


def _body(caller: Caller, details: dict[str, str]) -> Body:
    return Body(request=secrets.token_hex(8), details=details).asked_by(caller)
