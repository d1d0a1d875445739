"""The commission's desk: what waits for it, and how each hospital's feeds stand."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.portal import catalogue_words, registers, registers_words
from gateway.portal.desk import Adder, Desk
from gateway.records.instant import moment


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/county/waiting", waiting, "commission"),
        get("/county/hospitals", hospitals, "commission"),
    ]


async def waiting(desk: Desk) -> Response:
    """Drafts, what ends soon, objections, order codes nobody knows: everything that asks for a decision."""
    found = await desk.portal.stories.county_waiting(desk.who.caller)
    return await desk.page(
        "county-waiting.html",
        view=found,
        at=moment,
        today=desk.portal.today(),
        day_of=lambda end: moment(end - 1, desk.portal.services.settings.zone).date(),
        marks=catalogue_words,
        **registers.known(),
    )


async def hospitals(desk: Desk) -> Response:
    """Each hospital in counts; to read only."""
    found = await desk.portal.stories.hospitals(desk.who.caller)
    names = {one.organization: desk.portal.stories.named(one.organization) for one in found}
    return await desk.page(
        "county-hospitals.html", hospitals=found, names=names, terms=registers_words
    )
