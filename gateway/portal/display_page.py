"""The page on which anybody chooses how the portal looks, and reads which keys do what."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from gateway.portal.desk import ROOT, Adder, Desk
from gateway.portal.display import COOKIE, Display


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this page."""
    return [get("/display", page, None), post("/display", choose, None)]


async def page(desk: Desk) -> Response:
    """What is chosen now, and the keys."""
    return await desk.page("display.html")


async def choose(desk: Desk) -> Response:
    """Keep the choice in this browser, and show it at once."""
    keys = "keys" if desk.text("keys") == "yes" else "no-keys"
    wanted = Display.read(".".join((desk.text("theme", 10), desk.text("high", 10), keys)))
    response = RedirectResponse(ROOT + "/display", 303)
    desk.set_cookie(response, COOKIE, wanted.text)
    return response
