"""The page a HIS opens for one prompt, by a ticket or by the card's link: look, recognise or not, go back."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.auth.people import cookie_of, set_cookie
from gateway.errors import Kind, Problem
from gateway.portal import decision_form
from gateway.portal.decision_form import Form
from gateway.portal.desk import ROOT, Adder, Desk

_CARD: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/launch/{token}", launch, None),
        get("/cards/{card}", page, "clinician"),
        post("/cards/{card}", decide, "clinician"),
    ]


async def launch(desk: Desk) -> Response:
    """Spend the ticket and lead on; from a page of ours, because a browser that came from elsewhere
    would not send the new cookie along."""
    desk.even = True
    settings = desk.portal.services.settings
    found = await desk.portal.people.launched(
        desk.request.path_params["token"], desk.address, cookie_of(desk.request, settings)
    )
    if found is None:
        return await desk.page("launch-over.html", 404)
    cookie, card = found
    response = desk.render("launch.html", card=card)
    response.headers["refresh"] = f"0; url={ROOT}/cards/{card}"
    set_cookie(response, cookie, settings)
    desk.drop_cookie(response, desk.portal.door_cookie)
    return response


def _card(desk: Desk) -> str:
    said = str(desk.request.path_params["card"])
    if not _CARD.fullmatch(said):
        raise Problem(Kind.UNKNOWN, "There is no such card.")
    return said


async def page(desk: Desk) -> Response:
    """The prompt, with what stands now."""
    return await _page(desk)


async def _page(desk: Desk, form: Form | None = None) -> Response:
    desk.even = True
    card = _card(desk)
    view = await desk.portal.stories.prompt(card, desk.who.caller)
    await desk.keep(chart=view.resident.chart, asked=None, grant=None)
    return await desk.page(
        "prompt.html",
        422 if form else 200,
        resident=view.resident,
        view=view,
        card=card,
        reasons=await desk.portal.stories.decline_reasons(desk.who.caller),
        missing=form.missing if form else "",
        said=form.verdict if form else None,
    )


async def decide(desk: Desk) -> Response:
    """Recognise or not what was ticked, in the versions that were on the screen."""
    card, form = _card(desk), await decision_form.read(desk)
    if form.missing:
        return await _page(desk, form)
    try:
        await desk.portal.stories.decide_prompt(card, form.targets, form.verdict, desk.who.caller)
    except Problem as problem:
        if (problem.kind, problem.place) != (Kind.UNPROCESSABLE, "choice"):
            raise
        return await _page(desk, form._replace(missing="images"))
    return await desk.go(f"/cards/{card}", form.verdict.outcome)
