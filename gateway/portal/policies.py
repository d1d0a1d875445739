"""The page of the county's policy, for privacy officers."""

from __future__ import annotations

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.portal.desk import Desk

REASON = 500  # characters of a word of why, at most
MISTAKES = {Kind.UNPROCESSABLE, Kind.CONFLICT, Kind.TOO_LARGE}


async def policy(desk: Desk) -> Response:
    """The policy in force in plain words, and what waits for a second person."""
    return await _page(desk)


async def _page(desk: Desk, status: int = 200, wrong: str = "") -> Response:
    found = await desk.portal.stories.policy(desk.who.caller)
    note = desk.text("note", REASON)
    return await desk.page("policy.html", status, view=found, wrong=wrong, note=note)


async def policy_file(desk: Desk) -> Response:
    """The file in force, to be edited and proposed."""
    text = await desk.portal.stories.policy_file(desk.who.caller)
    named = {"content-disposition": 'attachment; filename="policy.toml"'}
    return Response(text, media_type="application/toml", headers=named)


async def propose(desk: Desk) -> Response:
    """Take a file up as a proposal; what cannot be meant is said, and nothing is kept."""
    file = desk.file("file")
    note = desk.text("note", REASON)
    if file is None or not note:
        return await _page(desk, 400, "missing")
    text = await file.read()
    try:
        await desk.portal.stories.propose_policy(text, note, desk.who.caller)
    except Problem as problem:
        if problem.kind not in MISTAKES:
            raise
        return await _page(desk, problem.kind.status, problem.text)
    return await desk.go("/privacy/policy", "policy-proposed")


async def decide(desk: Desk) -> Response:
    """Approve or refuse a proposal; what was read is what is decided about."""
    number, seen, act = desk.text("version", 12), desk.text("seen", 64), desk.text("act", 12)
    if not number.isdecimal() or act not in {"approve", "refuse"}:
        raise Problem(Kind.MALFORMED, "Neither approved nor refused.")
    desk.still_about(number, seen)
    reason = desk.text("reason", REASON)
    if not reason:
        return await _page(desk, 400, f"reason {number}")
    stories, caller = desk.portal.stories, desk.who.caller
    if act == "approve":
        await stories.approve_policy(int(number), seen, reason, caller)
    else:
        await stories.refuse_policy(int(number), reason, caller)
    return await desk.go("/privacy/policy", f"policy-{act}")
