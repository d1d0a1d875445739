"""The second factor at the portal: taking one, and showing it before what needs it."""

from __future__ import annotations

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.portal.desk import HOMES, Desk


async def stepped_up(desk: Desk, code: str) -> bool:
    """Whether the session is strong: it was just now, or the code makes it so under a new cookie."""
    if desk.who.caller.strength >= 2:
        return True
    found = await desk.portal.people.step_up(desk.who, code)
    if found is None:
        return False
    desk.renewed, desk.session = found
    return True


async def factor_page(desk: Desk) -> Response:
    """A fresh secret to take into an authenticator app, or that there is one already."""
    return await _page(desk)


async def _page(desk: Desk, wrong: bool = False) -> Response:
    people = desk.portal.people
    if desk.who.caller.role == "patient":
        raise Problem(Kind.REFUSED, "Another role's page.")
    if await people.has_factor(desk.who):
        return await desk.page("second-factor.html", new=None, wrong=False)
    kept = desk.who.memory.get("factor")
    new = people.new_factor(desk.who, kept if isinstance(kept, str) else "")
    if kept != new.secret:
        await desk.keep(factor=new.secret)
    return await desk.page("second-factor.html", 422 if wrong else 200, new=new, wrong=wrong)


async def enrol(desk: Desk) -> Response:
    """Take the secret that was shown, by password and its first code."""
    kept = desk.who.memory.get("factor")
    if not isinstance(kept, str):
        return await desk.go("/second-factor")
    good = await desk.portal.people.enrol(
        desk.who, kept, desk.text("password", 1_000), desk.text("code", 16)
    )
    if not good:
        return await _page(desk, wrong=True)
    return await desk.go(HOMES[desk.who.caller.role], "factor-taken", factor=None)
