"""The auditor's pages: who looked at whom, what was refused, what needs a look, and the proof."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.identity import resident_id
from gateway.identity.resident_id import NotAnId
from gateway.portal import auditor_words
from gateway.portal.desk import Desk, plain
from gateway.portal.stories import AccessFilter
from gateway.records.instant import moment

ALARMS = {"it": "/alarms", "auditor": "/audit/alarms"}
"""Where each role reads them."""
FIELDS = ("number", "actor", "organization", "kind", "outcome")


async def accesses(desk: Desk) -> Response:
    """A page of the log; what it is narrowed to is kept in the session, never in the address."""
    page = desk.request.query_params.get("page", "1")
    return await _accesses(desk, max(1, int(page)) if page.isdecimal() and len(page) < 7 else 1)


async def _accesses(desk: Desk, page: int, misread: NotAnId | None = None) -> Response:
    narrowed = _filter(plain(desk.who.memory, "narrowed"), page)
    found = await desk.portal.stories.accesses(narrowed, desk.who.caller)
    number = desk.text("number", 64) if misread else narrowed.number
    return await desk.page(
        "audit.html",
        422 if misread else 200,
        found=found,
        filter=narrowed,
        number=number,
        misread=misread,
    )


def _filter(kept: dict[str, Any], page: int) -> AccessFilter:
    return AccessFilter(
        **{name: str(kept.get(name, "")) for name in FIELDS},
        since=_day(kept.get("since")),
        until=_day(kept.get("until")),
        page=max(1, min(page, 100_000)),
    )


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        return None


async def narrow(desk: Desk) -> Response:
    """Set or clear the filter; a wrong number leaves it as it was."""
    if desk.text("clear"):
        return await desk.go("/audit", narrowed=None)
    typed = {name: desk.text(name, 64) for name in (*FIELDS, "since", "until")}
    if typed["number"]:
        match resident_id.read(typed["number"]):
            case NotAnId() as why:
                return await _accesses(desk, 1, why)
            case found:
                typed["number"] = found.number
    return await desk.go("/audit", narrowed={name: value for name, value in typed.items() if value})


async def decision(desk: Desk) -> Response:
    """Whether the evidence of one decision is whole, and under which versions it was made."""
    number = int(desk.request.path_params["number"])
    found = await desk.portal.stories.inspect(number, desk.who.caller)
    verdict = auditor_words.VERDICTS[found.verdict]
    return await desk.page("audit-decision.html", found=found, verdict=verdict, at=moment(found.at))


async def alarms(desk: Desk) -> Response:
    """What waits for somebody to look, and behind it what has been settled."""
    found = await desk.portal.stories.alarms(desk.who.caller)
    return await desk.page("alarms.html", alarms=found, here=ALARMS[desk.who.caller.role])


async def settle(desk: Desk) -> Response:
    """Somebody has looked at one alarm."""
    id = desk.text("alarm", 18)
    if not (id.isascii() and id.isdigit()):
        raise Problem(Kind.UNKNOWN, "No such alarm.")
    await desk.portal.stories.settle(int(id), desk.who.caller)
    return await desk.go(ALARMS[desk.who.caller.role], "alarm-settled")


async def verify_page(desk: Desk) -> Response:
    """The verdict of the last "verify now" of this session."""
    return await desk.page("verify.html", check=plain(desk.who.memory, "verdict"))


async def verify(desk: Desk) -> Response:
    """Walk the whole log now."""
    check = await desk.portal.stories.verify(desk.who.caller)
    shown = asdict(check)
    for time in ("signed_at", "checked_at"):
        shown[time] = shown[time].isoformat() if shown[time] else ""
    return await desk.go("/audit/verify", verdict=shown)
