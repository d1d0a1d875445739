"""What the health authority sees of the hospitals' work, in counts: feeds, held messages, alerts, what waits.

No message and no record is opened, and nobody is named. Counts of what happened to patients are
withheld where they are small, as in the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.exchange import alerts, catalogues, pipeline, registers
from gateway.exchange.glance import DAY, STUCK
from gateway.recognition.catalogue import Entitlement, Member
from gateway.recognition.cells import small
from gateway.recognition.registers import Kind
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import cards, write_backs
from gateway.store import oversight as listed
from gateway.store import statistics as figures

SOON: Final = 90 * DAY
"""µs before its end that an entitlement is told of."""


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital's feeds, as its IT office sees them in counts.

    `late` are feeds with a message that has waited to be read for more than ten minutes, `silent`
    those in use that sent nothing for a day. `oldest` is the age of the oldest message held back in
    whole days, None without one. `score` is the mean of its sources' (0 to 100), None where nothing
    could be judged. `failed` is None when withheld.
    """

    organization: str
    feeds: int
    late: int
    silent: int
    paused: int
    held: int
    oldest: int | None
    codes: int
    orders: int
    score: float | None
    failed: int | None

    @property
    def asks(self) -> bool:
        """Somebody should ring up."""
        return bool(self.late or self.silent or self.held or self.failed is None or self.failed)


class AlertCounts(NamedTuple):
    """Alerts of the whole county; None is withheld. `oldest` is the age in days of the oldest open one."""

    open: int | None
    untold: int | None  # open ones that did not reach the hospital's own system
    oldest: int | None


class Ends(NamedTuple):
    """An entitlement or membership that ends soon: its number, whose, of what, when (µs UTC)."""

    number: int
    organization: str
    what: str  # item or group, empty for a membership
    scope: str
    at: int


class Objected(NamedTuple):
    """An objection nobody has answered; `at` µs UTC."""

    month: str
    organization: str
    at: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for the commission: numbers of catalogue versions by state, drafts of registers by
    kind, what ends soon, objections, and order codes nobody knows by hospital."""

    drafted: tuple[int, ...]
    approved: tuple[int, ...]
    registers: tuple[tuple[Kind, int], ...]
    ends: tuple[Ends, ...]
    objections: tuple[Objected, ...]
    orders: tuple[tuple[str, int], ...]


async def hospitals(caller: Caller, services: Services) -> tuple[Hospital, ...]:
    """Every organisation that sends, by id; Problem REFUSED for another role."""
    stages = (await pipeline.pipeline(caller, services)).sources
    now, read = services.now(), services.db.read
    waits: dict[str, int] = dict(await read(listed.WAITING))
    held = {
        source: (int(count), oldest) for source, count, oldest in await read(listed.HELD_COUNTS)
    }
    failed = await _failed(services)
    orders: dict[str, int] = dict(await read(cards.UNMAPPED_COUNTS))
    found = []
    for organization in sorted({one.tally.organization for one in stages}):
        mine = [one for one in stages if one.tally.organization == organization]
        names = [one.tally.name for one in mine]
        active = [one.tally for one in mine if one.tally.state == "active"]
        ages = [held[name][1] for name in names if name in held]
        scores = [one.score for one in mine if one.score is not None]
        found.append(
            Hospital(
                organization,
                feeds=len(mine),
                late=sum(now - waits.get(name, now) > STUCK for name in names),
                silent=sum(now - one.last_at > DAY for one in active),
                paused=len(mine) - len(active),
                held=sum(held[name][0] for name in names if name in held),
                oldest=(now - min(ages)) // DAY if ages else None,
                codes=sum(one.codes_open for one in mine),
                orders=int(orders.get(organization, 0)),
                score=sum(scores) / len(scores) if scores else None,
                failed=_shown(failed[organization]),
            )
        )
    return tuple(found)


async def alert_counts(caller: Caller, services: Services) -> AlertCounts:
    """Alerts on changed results in numbers; Problem REFUSED for another role."""
    registers.commission(caller, services)
    found = await alerts.counts(services)
    untold = sum(one.untold for one in found) + (await _failed(services, "alert")).total()
    oldest = min((one.oldest for one in found if one.oldest), default=None)
    return AlertCounts(
        _shown(sum(one.open for one in found)),
        _shown(untold),
        None if oldest is None else (services.now() - oldest) // DAY,
    )


async def _failed(services: Services, kind: str = "") -> Counter[str]:
    """How many messages to each organisation were given up, of one kind or of all."""
    found = Counter[str]()
    for organization, which, state, count in await services.db.read(write_backs.BY_KIND):
        if state == "failed" and kind in ("", which):
            found[organization] += int(count)
    return found


def _shown(count: int) -> int | None:
    return None if small(count) else count


async def waiting(caller: Caller, services: Services) -> Waiting:
    """What waits for a person of the commission; Problem REFUSED for another role."""
    registers.commission(caller, services)
    versions = [
        (row.number, catalogues.state_of(row, services))
        for row in await catalogues.versions(services)
    ]
    held = services.catalogue
    drafts = Counter(one.kind for one in await registers.drafts(caller, services))
    return Waiting(
        tuple(number for number, state in versions if state == "draft"),
        tuple(number for number, state in versions if state == "approved"),
        tuple(sorted(drafts.items())),
        tuple(ending(held.entitled, held.members, services.now())),
        tuple(Objected(*row) for row in await services.db.read(figures.OPEN)),
        tuple((name, int(count)) for name, count in await services.db.read(cards.UNMAPPED_COUNTS)),
    )


def ending(entitled: Iterable[Entitlement], members: Iterable[Member], now: int) -> list[Ends]:
    """Entitlements and memberships that end within `SOON` of `now`, the first to end first; not what
    goes on under another number, or suspended."""
    found = []
    active = [one for one in entitled if one.status != "revoked"]
    lines: tuple[Sequence[Entitlement | Member], ...] = (active, tuple(members))
    for rows in lines:
        for one in rows:
            end, about = one.valid.end, _about(one)
            if not now < end <= now + SOON:
                continue
            if not any(_about(other) == about and other.valid.covers(end) for other in rows):
                found.append(Ends(one.number, *about, end))
    return sorted(found, key=lambda one: (one.at, one.number))


def _about(one: Entitlement | Member) -> tuple[str, str, str]:
    what = one.item or one.group if isinstance(one, Entitlement) else ""
    return one.organization, what, one.scope
