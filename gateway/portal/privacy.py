"""The privacy officer's pages: what waits, one case with its signs, the verdict and the second one."""

from __future__ import annotations

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.portal.desk import Desk
from gateway.portal.second_factor import stepped_up

LONGEST_HOLD = 30  # days
STRONG = frozenset({"decide", "second", "hold"})
"""What needs a second factor."""
DONE = {
    "take": "case-taken",
    "ask": "case-asked",
    "decide": "case-decided",
    "second": "case-decided",
    "hold": "notice-held",
}


async def desk_page(desk: Desk) -> Response:
    """Cases that wait, overdue ones first; who could not be told; how often this month."""
    found = await desk.portal.stories.privacy_desk(desk.who.caller)
    return await desk.page("privacy.html", found=found)


async def case_page(desk: Desk) -> Response:
    """One case."""
    return await _case(desk, desk.id_of(desk.request.path_params["handle"]))


async def _case(desk: Desk, id: str, status: int = 200, missing: str = "") -> Response:
    people = desk.portal.people
    view = await desk.portal.stories.privacy_case(id, desk.who.caller)
    return await desk.page(
        "privacy-case.html",
        status,
        view=view,
        case=view.line,
        missing=missing,
        enrolled=await people.has_factor(desk.who),
        strong=desk.who.caller.strength >= 2,
        demo_code=people.demo_code(desk.who),
        said={name: desk.text(name) for name in ("act", "verdict", "words", "told", "reason")},
    )


async def act(desk: Desk) -> Response:
    """Take a case, ask, decide, confirm, or keep a notice back."""
    id = desk.id_of(desk.request.path_params["handle"])
    what, stories, who = desk.text("act", 16), desk.portal.stories, desk.who.caller
    if what not in DONE:
        raise Problem(Kind.MALFORMED, "No such act.")
    if what in STRONG and not await stepped_up(desk, desk.text("code", 16)):
        return await _case(desk, id, 422, "code")
    who, words = desk.who.caller, desk.text("words")
    try:
        match what:
            case "take":
                await stories.take_case(id, who)
            case "ask":
                await stories.ask_about_case(id, words, who)
            case "decide":
                verdict = desk.text("verdict", 32)
                await stories.decide_case(id, verdict, words, desk.text("told"), who)
            case "second":
                await stories.second_case(id, desk.text("agrees") == "yes", words, who)
            case _:
                await stories.hold_notice(id, _days(desk.text("days", 3)), desk.text("reason"), who)
    except Problem as problem:
        if problem.kind is not Kind.UNPROCESSABLE:
            raise
        place = "case-words" if problem.place == "words" else problem.place
        return await _case(desk, id, 422, place)
    handle = desk.request.path_params["handle"]
    stays = what in {"take", "hold"}
    return await desk.go(f"/privacy/cases/{handle}" if stays else "/privacy", DONE[what])


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Problem(Kind.UNPROCESSABLE, "For how many days.", "hold")
    return min(int(text), LONGEST_HOLD)
