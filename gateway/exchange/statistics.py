"""The figures on recognition of a month, for those who may see them; every reading is an event.

The health commission sees the county's, a hospital's IT office its own as receiver and as issuer.
Nobody sees a doctor's: there is no such dimension. Small counts are withheld from everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import ledger, rights
from gateway.exchange.aside import aside
from gateway.recognition.figures import Case, cases
from gateway.recognition.indicators import dictionary
from gateway.recognition.ledger import Event
from gateway.recognition.publication import Publication, Side, publish
from gateway.recognition.rights import DataClass, Use
from gateway.recognition.targets import Reached, reached
from gateway.records.instant import micros, moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft
from gateway.store import ledger as rows

COUNTY_ROLES = frozenset({"commission", "operator"})


@dataclass(frozen=True, slots=True)
class Month:
    """The questions that arose in a month, and all that happened to them before `until`."""

    name: str
    start: int
    end: int
    until: int
    events: tuple[Event, ...]
    cases: tuple[Case, ...]
    unanswered: Mapping[str, int]  # by receiver


def bounds(month: str, services: Services) -> tuple[int, int]:
    """[start, end) of a county month "YYYY-MM" in µs; Problem MALFORMED when it is none."""
    zone = services.settings.zone
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
        after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    except ValueError:
        raise Problem(Trouble.MALFORMED, "Name a month as YYYY-MM.", "month") from None
    if first.strftime("%Y-%m") != month:
        raise Problem(Trouble.MALFORMED, "Name a month as YYYY-MM.", "month")
    return micros(first), micros(after)


def this_month(services: Services) -> str:
    """The county's month."""
    return moment(services.now(), services.settings.zone).strftime("%Y-%m")


async def months(services: Services) -> tuple[str, ...]:
    """Every month from the first event to this one, newest first; this one where there is no event."""
    newest = this_month(services)
    (first,) = (await services.db.read(rows.FIRST))[0]
    if first is None:
        return (newest,)
    zone = services.settings.zone
    at, found = moment(int(str(first)), zone), []
    year, month = at.year, at.month
    while (name := f"{year:04}-{month:02}") <= newest:
        found.append(name)
        year, month = year + month // 12, month % 12 + 1
    return tuple(reversed(found)) or (newest,)


async def of_month(month: str, services: Services) -> Month:
    """What the ledger says now of a month."""
    start, end = bounds(month, services)
    until = services.now()
    events = tuple(await ledger.arisen(start, end, until, services))
    found = await aside(len(events) * 512, _cases, events)
    return Month(month, start, end, until, events, *found)


def _cases(events: tuple[Event, ...]) -> tuple[tuple[Case, ...], Mapping[str, int]]:
    told: dict[str, list[Event]] = {}
    for event in events:
        told.setdefault(event.organization, []).append(event)
    found: list[Case] = []
    unanswered = {}
    for organization, own in told.items():
        some, late = cases(own)
        found += some
        unanswered[organization] = late
    return tuple(sorted(found, key=lambda one: one.question)), unanswered


async def published(month: Month, organization: str, side: Side) -> Publication:
    """A month as it may be shown: the county's, or one hospital's on one side."""
    if side == "county":
        mine, unanswered = month.cases, sum(month.unanswered.values())
        organization = ""
    elif side == "receiver":
        mine = tuple(one for one in month.cases if one.organization == organization)
        unanswered = month.unanswered.get(organization, 0)
    else:
        mine = tuple(one for one in month.cases if one.issuer == organization)
        unanswered = 0
    return await aside(
        len(mine) * 4_096,
        lambda: publish(
            mine,
            unanswered,
            dictionary(),
            month=month.name,
            organization=organization,
            side=side,
            until=month.until,
            events=len(month.events),
        ),
    )


def allowed(side: Side, organization: str, caller: Caller) -> None:
    """Problem REFUSED for figures that are not the caller's to see."""
    whole = caller.role in COUNTY_ROLES
    own = caller.role == "it" and side != "county" and organization == caller.organization
    if not whole and not own:
        raise Problem(Trouble.REFUSED, "These figures are not yours to see.")


async def live(
    month: str, organization: str, side: Side, caller: Caller, services: Services
) -> Publication:
    """The figures as the ledger gives them now; a `statistics` event is written first."""
    allowed(side, organization, caller)
    await rights.demand(caller, DataClass.STATISTICS, Use.STATISTICS, services)
    bounds(month, services)
    await noted(
        Kind.STATISTICS, caller, services, month=month, organization=organization, side=side
    )
    return await published(await of_month(month, services), organization, side)


async def targets(caller: Caller, services: Services) -> tuple[Reached, ...]:
    """The targets today: the county's organisations, their entitlements, the catalogue in force."""
    if caller.role not in COUNTY_ROLES:
        raise Problem(Trouble.REFUSED, "These figures are not yours to see.")
    await rights.demand(caller, DataClass.STATISTICS, Use.STATISTICS, services)
    await noted(Kind.STATISTICS, caller, services, what="targets")
    known = [one.id for one in services.register]
    return reached(dictionary(), services.catalogue, known, services.now())


async def noted(kind: Kind, caller: Caller, services: Services, **details: str) -> None:
    """Write that somebody read, took away or changed figures."""
    draft = await drafted(kind, caller, services, **details)
    await services.log.write(draft)


async def drafted(kind: Kind, caller: Caller, services: Services, **details: str) -> Draft:
    """The same, for the caller's transaction."""
    at = services.now()
    body = Body(
        request=f"{kind}.{at}", details={"definitions": dictionary().version, **details}
    ).asked_by(caller)
    return await services.log.draft(kind, Outcome.PERMIT, caller, at, body)
