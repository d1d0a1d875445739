"""The pages of presence: the doctor's screen shows a question, the resident's telephone answers it.

The address in the QR code holds the question's token and nothing of anybody; it is answered only
after signing in, and leaves the address at once. No page needs a script.
"""

from __future__ import annotations

import re
from datetime import datetime

import segno
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from gateway.errors import Kind, Problem
from gateway.portal.desk import ROOT, Desk, plain
from gateway.portal.presence_stories import PresenceSubject

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")


# The doctor's screen


async def ask(desk: Desk) -> Response:
    """Ask anew; what this screen asked before ends."""
    desk.paced("presence")
    asked = await desk.portal.stories.ask_presence(desk.who.caller)
    kept = {"token": asked.token, "code": asked.code, "until": asked.until.isoformat()}
    return await desk.go("/presence", presence=kept)


async def page(desk: Desk) -> Response:
    return await _page(desk, "")


async def _page(desk: Desk, state: str, status: int = 200) -> Response:
    asked = plain(desk.who.memory, "presence")
    if not asked:
        return await desk.go("/look-up")
    until = datetime.fromisoformat(asked["until"])
    over = state in {"no", "over"} or until <= desk.portal.now()
    return await desk.page(
        "presence.html",
        status,
        state=state or ("over" if over else ""),
        code=asked["code"],
        until=until,
        qr=None if over else _qr(desk, asked["token"]),
    )


def _qr(desk: Desk, token: str) -> Markup:
    """The address as an image that is part of the page: nothing is fetched for it."""
    address = f"{desk.portal.services.settings.base_url}{ROOT}/mine/presence/{token}"
    image = segno.make(address, error="m", micro=False)
    return Markup(image.svg_inline(svgclass="qr", lineclass=None, omitsize=True, border=4))  # noqa: S704 - drawn here, from an address of ours


async def go_on(desk: Desk) -> Response:
    """Go on with the resident's yes: the chart is taken in hand."""
    asked = plain(desk.who.memory, "presence")
    if not asked:
        return await desk.go("/look-up")
    found = await desk.portal.stories.presence_state(asked["token"], desk.who.caller)
    if found.state == "yes":
        return await desk.go("/overview", chart=found.chart, asked=None, presence=None, grant=None)
    return await _page(desk, found.state)


# The resident's telephone


async def scanned(desk: Desk) -> Response:
    """Take the token out of the address; whoever is not signed in signs in first."""
    token = desk.request.path_params["token"]
    if not _TOKEN.fullmatch(token):
        raise Problem(Kind.UNKNOWN, "Nobody asks this.")
    response = RedirectResponse(ROOT + "/mine/presence", 303)
    if desk.session is not None and desk.session.caller.role == "patient":
        await desk.keep(presence=token)
        return response
    if desk.session is not None:
        raise Problem(Kind.REFUSED, "A resident answers.")
    response = RedirectResponse(ROOT + "/sign-in", 303)
    desk.set_cookie(response, _cookie(desk), token)
    return response


def waits(desk: Desk) -> bool:
    """Did whoever signed in come by a QR code?"""
    return bool(desk.request.cookies.get(_cookie(desk)))


def _cookie(desk: Desk) -> str:
    """The cookie of what was scanned, while its reader signs in."""
    return "__Host-presence" if desk.portal.secure else "presence"


def _name(desk: Desk) -> str:
    kept = desk.who.memory.get("presence")
    return kept if isinstance(kept, str) else ""


async def question_page(desk: Desk) -> Response:
    """Who asks; without a question, where to type its code."""
    scanned = desk.request.cookies.get(_cookie(desk), "")
    if scanned:
        await desk.keep(presence=scanned)
        response = RedirectResponse(ROOT + "/mine/presence", 303)
        desk.drop_cookie(response, _cookie(desk))
        return response
    return await _question_page(desk, _name(desk))


async def _question_page(
    desk: Desk, name: str, status: int = 200, missing: str = "", chosen: str = ""
) -> Response:
    if not name:
        return await desk.page("mine-presence-code.html", status, missing=missing)
    try:
        question = await desk.portal.stories.presence_question(name, desk.who.caller)
    except Problem as problem:
        if problem.kind not in {Kind.UNKNOWN, Kind.THROTTLED}:
            raise
        await desk.keep(presence=None)
        missing = "often" if problem.kind is Kind.THROTTLED else "unknown"
        return await desk.page("mine-presence-code.html", problem.kind.status, missing=missing)
    return await desk.page(
        "mine-presence.html",
        status,
        question=question,
        subjects=await desk.portal.stories.presence_subjects(desk.who.caller),
        about=desk.about("presence", name),
        missing=missing,
        chosen=chosen,
    )


async def code(desk: Desk) -> Response:
    """Take down the typed code; the next page says who asks."""
    name = desk.text("code", 40)
    if not name:
        return await _question_page(desk, "", 422, "code")
    return await desk.go("/mine/presence", presence=name)


async def answer(desk: Desk) -> Response:
    """Say yes or no to the question on the page, and to no other."""
    name = _name(desk)
    desk.still_about("presence", name)
    verdict = desk.text("answer")
    whose = desk.text("whose")
    charts = {desk.handle(one.chart): one for one in await _subjects(desk)}
    if verdict not in {"yes", "no"} or whose not in charts:
        return await _question_page(desk, name, 422, "whose", whose)
    chart = charts[whose].chart
    try:
        await desk.portal.stories.answer_presence(name, verdict == "yes", chart, desk.who.caller)
    except Problem as problem:
        if problem.kind is not Kind.UNKNOWN:
            raise
        await desk.keep(presence=None)
        return await desk.page("mine-presence-code.html", 404, missing="unknown")
    await desk.keep(presence=None)
    return await desk.page("mine-presence-done.html", yes=verdict == "yes")


async def _subjects(desk: Desk) -> tuple[PresenceSubject, ...]:
    return await desk.portal.stories.presence_subjects(desk.who.caller)
