"""The IT office's pages: every message and its second reading, system clients, what the catalogue lacks."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.auth.client_keys import SOON
from gateway.errors import Kind, Problem
from gateway.exchange.messages import Asked
from gateway.exchange.replays import Choice, tally_of
from gateway.portal import operators_words
from gateway.portal.desk import Adder, Desk
from gateway.portal.shown import issue
from gateway.records.instant import moment

HOUR = 3_600_000_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/messages", messages, "it"),
        get("/messages/{handle}", message, "it"),
        post("/messages/{handle}", read_again, "it"),
        get("/reruns", reruns, "it"),
        post("/reruns", settle_rerun, "it"),
        get("/clients", clients, "it"),
        post("/clients", change_client, "it"),
        get("/clients/revoke", revoke_page, "it"),
        post("/clients/revoke", revoke, "it"),
        get("/orders-unmapped", orders, "it"),
        get("/orders-unmapped/file", orders_file, "it"),
        post("/write-backs", send_again, "it"),
    ]


def _known(desk: Desk) -> dict[str, Any]:
    return {
        "marks": operators_words,
        "at": moment,
        "issue": issue,
        "named": desk.portal.stories.named,
    }


async def messages(desk: Desk) -> Response:
    """What arrived: counts by source and a page of messages, newest first."""
    query = desk.request.query_params
    hours = _number(query.get("hours", "24"), 8_760)
    since, until = (_instant(desk, query.get(name, "")) for name in ("since", "until"))
    if not since and hours:
        since = desk.portal.services.now() - hours * HOUR
    asked = Asked(
        query.get("source", ""),
        query.get("state", ""),
        query.get("issue", "").strip(),
        since,
        until,
        max(1, _number(query.get("page", "1"), 100_000)),
        query.get("kind", ""),
    )
    found = await desk.portal.stories.messages(asked, desk.who.caller)
    kept = {name: query[name] for name in ("since", "until") if query.get(name)}
    narrow = (
        kept
        | {"hours": str(hours)}
        | {
            name: value
            for name in ("source", "state", "issue", "kind")
            if (value := getattr(asked, name))
        }
    )
    return await desk.page(
        "messages.html", found=found, asked=asked, hours=hours, narrow=narrow, **_known(desk)
    )


async def message(desk: Desk) -> Response:
    """One message: its life, what is wrong with it, what it became."""
    return await _message(desk)


async def _message(desk: Desk, **more: Any) -> Response:
    id = desk.id_of(desk.request.path_params["handle"])
    kept, became = await desk.portal.stories.message(id, desk.who.caller)
    context = {"trial": None} | more
    return await desk.page("message.html", one=kept, became=became, **context, **_known(desk))


async def read_again(desk: Desk) -> Response:
    """Say what a second reading would change; then, and only about that, do it."""
    handle = desk.request.path_params["handle"]
    id, caller, stories = desk.id_of(handle), desk.who.caller, desk.portal.stories
    trial = await stories.try_message(id, caller)
    told = astuple(trial)
    if desk.text("act", 12) != "rerun":
        return await _message(desk, trial=trial, about=desk.about(*told))
    desk.still_about(*told)
    changed = await stories.rerun_message(id, caller)
    return await desk.go(f"/messages/{handle}", "rerun-done" if changed else "rerun-same")


async def reruns(desk: Desk) -> Response:
    """Many messages read again: tried first, then done; how far each is."""
    found = await desk.portal.stories.reruns(desk.who.caller)
    known = await desk.portal.stories.messages(Asked(), desk.who.caller)
    return await desk.page(
        "reruns.html",
        runs=[(one, tally_of(one)) for one in found],
        sources=sorted(known.sources),
        given=desk.request.query_params,
        **_known(desk),
    )


async def settle_rerun(desk: Desk) -> Response:
    """Try a choice of messages, do what was tried, pause, go on."""
    stories, caller, act = desk.portal.stories, desk.who.caller, desk.text("act", 12)
    if act == "try":
        choice = Choice(
            _instant(desk, desk.text("since", 20)),
            _instant(desk, desk.text("until", 20)),
            desk.text("kind", 40),
            desk.text("issue", 60),
        )
        await stories.try_messages(desk.text("source", 80), choice, caller)
        return await desk.go("/reruns", "rerun-tried")
    await stories.settle_rerun(_number(desk.text("run", 12), 2**31 - 1), act, caller)
    return await desk.go("/reruns", "rerun-started" if act == "do" else "")


async def clients(desk: Desk) -> Response:
    """Own system clients: what they may, their keys, when they last called."""
    found = await desk.portal.stories.system_clients(desk.who.caller)
    return await desk.page(
        "clients.html",
        clients=found,
        certificates=await desk.portal.stories.certificates(desk.who.caller),
        now=desk.portal.services.now(),
        soon=SOON,
        **_known(desk),
    )


async def change_client(desk: Desk) -> Response:
    """Add a key beside the others, or drop one."""
    stories, caller, id = desk.portal.stories, desk.who.caller, desk.text("client", 200)
    match desk.text("act", 12):
        case "add":
            ends = _instant(desk, desk.text("ends", 20))
            await stories.add_client_key(id, desk.text("key", 20_000), ends, caller)
            return await desk.go("/clients", "key-added")
        case "drop":
            at_once = desk.text("at_once") == "yes"
            await stories.drop_client_key(id, desk.text("kid", 200), at_once, caller)
            return await desk.go("/clients", "key-dropped")
    raise Problem(Kind.MALFORMED, "No such step.", "act")


async def revoke_page(desk: Desk) -> Response:
    """What ends with a client, before it is revoked."""
    return await _revoke_page(desk, desk.request.query_params.get("client", ""))


async def _revoke_page(desk: Desk, id: str, status: int = 200) -> Response:
    found = await desk.portal.stories.system_clients(desk.who.caller)
    chosen = next((one for one in found if one.id == id and one.active), None)
    if chosen is None:
        raise Problem(Kind.UNKNOWN, "There is no such client.", "client")
    return await desk.page(
        "client-revoke.html", status, one=chosen, wrong=status != 200, **_known(desk)
    )


async def revoke(desk: Desk) -> Response:
    """End a client, with a reason."""
    id, reason = desk.text("client", 200), desk.text("reason", 500)
    if len(reason) < 2:
        return await _revoke_page(desk, id, 422)
    await desk.portal.stories.revoke_client(id, reason, desk.who.caller)
    return await desk.go("/clients", "client-revoked")


async def orders(desk: Desk) -> Response:
    """What is ordered here and means nothing to the catalogue."""
    found = await desk.portal.stories.unknown_orders(desk.who.caller)
    return await desk.page("orders-unmapped.html", orders=found, **_known(desk))


async def orders_file(desk: Desk) -> Response:
    """The same as CSV, for the commission; no cell is a formula."""
    found = await desk.portal.stories.unknown_orders(desk.who.caller, taken=True)
    text = io.StringIO()
    write = csv.writer(text)
    write.writerow(("system", "code", "name", "signed", "last"))
    zone = desk.portal.services.settings.zone
    for one in found:
        for system, code in one.codings or (("", ""),):
            last = moment(one.last, zone).isoformat(timespec="seconds")
            write.writerow([_cell(it) for it in (system, code, one.name, str(one.signed), last)])
    headers = {
        "content-disposition": 'attachment; filename="orders-unmapped.csv"',
        "cache-control": "no-store",
    }
    # A byte order mark, or Excel takes Chinese for another character set.
    return Response("\ufeff" + text.getvalue(), media_type="text/csv", headers=headers)


async def send_again(desk: Desk) -> Response:
    """Try a message to the own HIS again, or an alert that never became one."""
    if alert := desk.text("alert", 12):
        await desk.portal.stories.tell_again(_number(alert, 2**31 - 1), desk.who.caller)
    else:
        await desk.portal.stories.send_again(desk.text("message", 64), desk.who.caller)
    return await desk.go("/sources", "sent-again")


def _cell(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) else text


def _number(text: str, most: int) -> int:
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _instant(desk: Desk, text: str) -> int:
    """µs UTC of a local date and time as a form sends it, 0 for none; Problem MALFORMED otherwise."""
    if not text:
        return 0
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(Kind.MALFORMED, "Not a date and time.") from None
    if local.tzinfo is not None or not 1990 <= local.year <= 2100:
        raise Problem(Kind.MALFORMED, "Not a date and time.")
    return int(local.replace(tzinfo=desk.portal.services.settings.zone).timestamp()) * 1_000_000
