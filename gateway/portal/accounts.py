"""The registration desk: a resident's own account, and who may act for them."""

from __future__ import annotations

from typing import get_args

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.exchange.mandates import DOCUMENTS, Ground, Relation
from gateway.portal import mine_words
from gateway.portal.desk import EVIDENCE_LIMIT, Desk, plain
from gateway.portal.mine import day
from gateway.portal.mine_stories import NewMandate
from gateway.portal.registrar import at_desk, media_type_of
from gateway.portal.stories import Evidence


async def page(desk: Desk) -> Response:
    return await _page(desk)


async def _page(desk: Desk, status: int = 200, missing: str = "") -> Response:
    here = await at_desk(desk)
    number = _number(desk)
    if here is None:
        return await desk.go("/consents/find")
    account = await desk.portal.stories.desk_account(number, desk.who.caller) if number else None
    return await desk.page(
        "accounts.html",
        status,
        resident=here.resident,
        account=account,
        begun=plain(desk.who.memory, "account"),
        missing=missing,
        say=mine_words,
        grounds=get_args(Ground),
        relations=get_args(Relation),
        documents=DOCUMENTS,
        categories=here.categories,
        about=desk.about(number),
    )


def _number(desk: Desk) -> str:
    """The resident ID number of who stands at the desk; accounts hang on no other number."""
    kept = plain(desk.who.memory, "at_desk")
    return str(kept["number"]) if kept.get("kind") == "resident-id" else ""


async def act(desk: Desk) -> Response:
    """One step of opening, renewing or ending an account."""
    number, stories, caller = _number(desk), desk.portal.stories, desk.who.caller
    desk.still_about(number)
    begun = plain(desk.who.memory, "account")
    try:
        match desk.text("step"):
            case "ask" if desk.text("seen") == "yes":
                desk.paced("account")
                login = await stories.ask_account(
                    number, desk.text("name", 100), desk.text("phone", 30), caller
                )
                return await desk.go("/consents/account", "code-sent", account={"login": login})
            case "ask":
                return await _page(desk, 422, "seen")
            case "confirm" if begun:
                await stories.confirm_account(begun["login"], desk.text("code", 20), caller)
                return await desk.go("/consents/account", "account-open", account=None)
            case "renew":
                desk.paced("account")
                await stories.renew_account(number, caller)
                return await desk.go("/consents/account", "code-sent")
            case "end":
                await stories.close_account(number, caller)
                return await desk.go("/consents/account", "account-ended")
            case _:
                return await desk.go("/consents/account", account=None)
    except Problem as problem:
        if problem.kind not in {Kind.UNPROCESSABLE, Kind.CONFLICT}:
            raise
        return await _page(desk, 422, problem.place or "standing")


async def record(desk: Desk) -> Response:
    """Record who may act for the resident, with the document that proves it."""
    number = _number(desk)
    desk.still_about(number)
    upload = desk.file("evidence")
    if upload is None:
        return await _page(desk, 422, "scan")
    content = await upload.read()
    if len(content) > EVIDENCE_LIMIT:
        raise Problem(Kind.TOO_LARGE, "The scan is too large.")
    until = desk.text("until", 10)
    if until and day(until) is None:
        return await _page(desk, 422, "until")
    ground = desk.text("ground")
    new = NewMandate(
        ground=ground,
        login=desk.text("login", 64),
        relation=desk.text("relation"),
        document=desk.text("document"),
        witness=desk.text("witness", 100),
        until=day(until),
        restricted=ground == "mandate" and bool(desk.texts("category")),
        categories=tuple(desk.texts("category")),
    )
    try:
        await desk.portal.stories.record_mandate(
            number, new, Evidence(media_type_of(content), content), desk.who.caller
        )
    except Problem as problem:
        if problem.kind not in {Kind.UNPROCESSABLE, Kind.CONFLICT}:
            raise
        return await _page(desk, 422, problem.place or "held")
    return await desk.go("/consents/account", "mandate-recorded")


async def change(desk: Desk) -> Response:
    """A right is stopped by a document, or ends."""
    number, id = _number(desk), desk.id_of(desk.text("right", 64))
    desk.still_about(number)
    if desk.text("step") == "stop":
        why = desk.text("why", 200)
        if not why:
            return await _page(desk, 422, "why")
        await desk.portal.stories.stop_mandate(number, id, why, desk.who.caller)
        return await desk.go("/consents/account", "mandate-stopped")
    await desk.portal.stories.end_mandate(number, id, desk.who.caller)
    return await desk.go("/consents/account", "mandate-ended")
