"""The clinician's emergency pages: break the glass, see what it opens, give it back, answer for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.identity import resident_id
from gateway.identity.resident_id import NotAnId
from gateway.portal.desk import Desk, plain
from gateway.portal.emergency_county import minutes_left
from gateway.portal.emergency_stories import EmergencyAccess, Plea
from gateway.portal.identifiers import kept, typed
from gateway.portal.second_factor import stepped_up
from gateway.portal.stories import Identifier, Refused
from gateway.services.caller import Caller

T = TypeVar("T")
FIELDS = frozenset({"reason", "words", "hold", "second"})
"""What of the form the story itself may find wanting."""


def _kept(desk: Desk) -> Identifier | str | None:
    """Whom it would be about: the number that was looked up, else the chart in hand."""
    if asked := kept(plain(desk.who.memory, "asked")):
        return asked
    chart = desk.who.memory.get("chart")
    return chart if isinstance(chart, str) else None


def _matter(who: Identifier | str | None) -> tuple[str, ...]:
    """Whom the form is about, for it to carry back."""
    said = (who.kind, who.number) if isinstance(who, Identifier) else (who or "",)
    return ("emergency", *said)


async def page(desk: Desk) -> Response:
    """What breaking the glass means, and the form for it."""
    return await _page(desk)


async def _page(
    desk: Desk, status: int = 200, missing: str = "", misread: NotAnId | None = None
) -> Response:
    people, who = desk.portal.people, _kept(desk)
    return await desk.page(
        "emergency.html",
        status,
        asked=resident_id.masked(who.number) if isinstance(who, Identifier) else "",
        in_hand=isinstance(who, str),
        about=desk.about(*_matter(who)),
        terms=desk.portal.stories.emergency_terms(),
        missing=missing,
        misread=misread,
        enrolled=await people.has_factor(desk.who),
        strong=desk.who.caller.strength >= 2,
        demo_code=people.demo_code(desk.who),
        said={name: desk.text(name) for name in ("reason", "words", "hold", "second-login")},
    )


async def break_glass(desk: Desk) -> Response:
    """Say why, show the second factor, and read; the same whoever it is about."""
    desk.even = True
    known = _kept(desk)
    desk.still_about(*_matter(known))
    who = known if known is not None else typed(desk)
    if isinstance(who, NotAnId):
        return await _page(desk, 422, "number", who)
    plea = Plea(desk.text("reason", 64), desk.text("words"), desk.text("hold"))
    desk.paced("emergency")
    if not await stepped_up(desk, desk.text("code", 16)):
        return await _page(desk, 422, "code")
    approver = None
    if desk.text("second-login"):
        approver = await _second(desk)
        if approver is None:
            return await _page(desk, 422, "second")
    try:
        access = await desk.portal.stories.break_glass(who, plea, desk.who.caller, approver)
    except Problem as problem:
        if problem.place not in FIELDS:
            raise
        return await _page(desk, 422, problem.place)
    return await desk.go("/results", chart=access.chart, grant=access.grant, asked=None)


async def _second(desk: Desk) -> Caller | None:
    return await desk.portal.people.vouch(
        desk.text("second-login", 200),
        desk.text("second-password", 1_000),
        desk.text("second-code", 16),
        "clinician",
        desk.address,
    )


async def in_hand(desk: Desk) -> EmergencyAccess | None:
    """The emergency access the session reads by; None in ordinary work, or when it has ended."""
    memory = desk.who.memory
    chart = memory.get("chart")
    if not memory.get("grant") or not isinstance(chart, str):
        return None
    access = await desk.portal.stories.emergency(chart, desk.who.caller)
    if access is None:
        await desk.keep(grant=None)
    return access


def asking(desk: Desk, access: EmergencyAccess | None) -> Caller:
    """Who asks, and for which purpose."""
    return desk.portal.stories.in_emergency(desk.who.caller) if access else desk.who.caller


async def none_in_hand(desk: Desk) -> None:
    """Problem REFUSED during emergency access, before anything is opened: for what can be kept."""
    if desk.who.memory.get("grant"):
        raise Problem(Kind.REFUSED, "Not during emergency access.")


async def seen(
    desk: Desk, access: EmergencyAccess, ask: Callable[[Caller], Awaitable[T | Refused]]
) -> T | Response:
    """What the emergency opens; one page for whatever there is nothing to show of."""
    desk.even = True
    try:
        found = await ask(asking(desk, access))
    except Problem as problem:
        if problem.kind is not Kind.UNKNOWN:
            raise
        return await desk.page("emergency-nothing.html", **shown(desk, access))
    if isinstance(found, Refused):
        return await desk.page("refused.html", 403, reason=found.reason)
    return found


def shown(desk: Desk, access: EmergencyAccess | None) -> dict[str, Any]:
    """What a page needs for the banner and the watermark."""
    left = minutes_left(access.until, desk.portal.now()) if access else 0
    return {"access": access, "hours_left": left // 60, "minutes_left": left % 60}


async def end(desk: Desk) -> Response:
    """Give it back before its time."""
    grant = desk.who.memory.get("grant")
    if isinstance(grant, str):
        await desk.portal.stories.end_emergency(grant, desk.who.caller)
    return await desk.go("/look-up", "emergency-ended", grant=None, chart=None, asked=None)


async def questions(desk: Desk) -> Response:
    """What privacy officers want to know about accesses of one's own."""
    return await _questions(desk)


async def _questions(desk: Desk, missing: str = "", case: str = "") -> Response:
    found = await desk.portal.stories.questions(desk.who.caller)
    return await desk.page(
        "emergency-questions.html",
        422 if missing else 200,
        cases=found,
        missing=missing,
        at_fault=case,
        typed=desk.text("words") if missing else "",
    )


async def answer(desk: Desk) -> Response:
    """Answer one."""
    case = desk.id_of(desk.text("case", 200))
    try:
        await desk.portal.stories.answer_question(case, desk.text("words"), desk.who.caller)
    except Problem as problem:
        if problem.kind is not Kind.UNPROCESSABLE:
            raise
        return await _questions(desk, "case-words", case)
    return await desk.go("/emergency/questions", "case-answered")
