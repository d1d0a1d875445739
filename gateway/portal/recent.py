"""Whom this session had in hand today, to be taken up again; nobody else can see the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.portal.desk import Adder, Desk
from gateway.portal.stories import Resident

MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Recent:
    """One of them, as sealed in the session."""

    chart: str
    name: str
    sex: str
    number: str  # masked
    day: str


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The address that takes one up again; whom stands in the form."""
    return [post("/look-up/recent", again, "clinician")]


def of_today(desk: Desk) -> list[Recent]:
    """Those of the county's day, the last one first."""
    kept = desk.who.memory.get("recent")
    today = desk.portal.today().isoformat()
    rows = (
        [Recent(*map(str, one)) for one in kept if len(one) == 5] if isinstance(kept, list) else []
    )
    return [one for one in rows if one.day == today]


async def taken(desk: Desk, found: Resident) -> Response:
    """Take a resident in hand, and open the first page about them."""
    today = desk.portal.today().isoformat()
    own: list[Any] = [found.chart, found.name, found.sex, found.number, today]
    others = [
        [one.chart, one.name, one.sex, one.number, one.day]
        for one in of_today(desk)
        if one.chart != found.chart
    ]
    recent = [own, *others][:MOST]
    return await desk.go("/overview", chart=found.chart, asked=None, grant=None, recent=recent)


async def again(desk: Desk) -> Response:
    """Take one up again: whether that may still be is decided, and noted, by the page it opens."""
    chart = desk.id_of(desk.text("who", 64))
    if chart not in {one.chart for one in of_today(desk)}:
        return await desk.go("/look-up")
    desk.paced("look-up")
    return await desk.go("/overview", chart=chart, asked=None, grant=None)
