"""Pages of the recognition catalogue and of the register of entitlements, for the health commission."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import date

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.errors import Kind, Problem
from gateway.portal import catalogue_words
from gateway.portal.catalogue_stories import CatalogueView, Grounds
from gateway.portal.desk import Adder, Desk
from gateway.recognition.catalogue import Item
from gateway.recognition.catalogue.excel import LARGEST, MEDIA_TYPE

LIST, REGISTER = "/county/catalogue", "/county/entitlements"
LARGEST_SHEET = 700_000  # bytes of a workbook of the register: it goes to the browser and back
WORDS = 500  # characters of a word of why, at most
MISTAKES = {Kind.UNPROCESSABLE, Kind.CONFLICT, Kind.REQUIRED, Kind.TOO_LARGE, Kind.REFUSED}
ACTS = {"suspended", "restored", "revoked", "left"}


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get(LIST, catalogue, "commission"),
        get(LIST + "/file", file, "commission"),
        get(LIST + "/items/{code}", item, "commission"),
        post(LIST, draft, "commission", upload=True),
        post(LIST + "/decide", decide, "commission"),
        get(REGISTER, register, "commission"),
        get(REGISTER + "/file", register_file, "commission"),
        get(REGISTER + "/{number:int}", line, "commission"),
        post(REGISTER, grant, "commission"),
        post(REGISTER + "/import", take_register, "commission", upload=True),
        post(REGISTER + "/{number:int}", act, "commission"),
    ]


def state_of(item: Item, view: CatalogueView) -> str:
    """How an item stands today: a word of `catalogue_words.ITEM_STATES`."""
    if not item.active:
        return "uncertain"
    if item.code not in view.in_force:
        return "out"
    if item.negative_list:
        return "negative"
    return "protected" if item.protected_category else "in-force"


async def catalogue(desk: Desk) -> Response:
    """The items in force, searched and filtered, and the versions."""
    return await _catalogue(desk)


async def _catalogue(desk: Desk, status: int = 200, **wrong: object) -> Response:
    view = await desk.portal.stories.catalogue(desk.who.caller)
    asked = desk.request.query_params
    words, kind = asked.get("words", "")[:80].strip(), asked.get("kind", "")
    scope, state = asked.get("scope", ""), asked.get("state", "")
    found = [
        one
        for one in view.items
        if _has(one, words)
        and kind in ("", one.kind)
        and (not scope or scope in one.scopes)
        and state in ("", state_of(one, view))
    ]
    return await desk.page(
        "catalogue.html",
        status,
        **{
            "view": view,
            "found": found,
            "states": {one.code: state_of(one, view) for one in view.items},
            "asked": {"words": words, "kind": kind, "scope": scope, "state": state},
            "marks": catalogue_words,
            "faults": (),
            "wrong": "",
            "note": desk.text("note", WORDS),
            **wrong,
        },
    )


def _has(item: Item, words: str) -> bool:
    low = words.casefold()
    return any(
        low in text.casefold() for text in (item.code, item.name_zh, item.name_en, *item.loinc)
    )


async def item(desk: Desk) -> Response:
    """One item with windows, prices, codes, panels and who is entitled."""
    code = desk.request.path_params["code"]
    view = await desk.portal.stories.catalogue_item(code, desk.who.caller)
    return await desk.page("catalogue-item.html", view=view, marks=catalogue_words)


async def file(desk: Desk) -> Response:
    """A version as a workbook."""
    asked = desk.request.query_params.get("version", "")
    number = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    body = await desk.portal.stories.catalogue_file(number, desk.who.caller)
    return _workbook(body, f"catalogue-{number or 'in-force'}.xlsx")


def _workbook(body: bytes, name: str) -> Response:
    named = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=MEDIA_TYPE, headers=named)


async def draft(desk: Desk) -> Response:
    """Take a workbook up as a draft, or say by sheet, row and column what is wrong in it."""
    upload, note = desk.file("file"), desk.text("note", WORDS)
    if upload is None or not note:
        return await _catalogue(desk, 400, wrong="missing")
    if upload.size is None or upload.size > LARGEST:
        return await _catalogue(desk, 413, wrong="too large")
    try:
        faults = await desk.portal.stories.draft_catalogue(
            await upload.read(), note, desk.who.caller
        )
    except Problem as problem:
        if problem.kind not in MISTAKES:
            raise
        return await _catalogue(desk, problem.kind.status, wrong=problem.text)
    if faults:
        return await _catalogue(desk, 422, faults=faults)
    return await desk.go(LIST, "catalogue-drafted")


async def decide(desk: Desk) -> Response:
    """Approve, publish or refuse a version; what was read is what is decided about."""
    number, seen, what = desk.text("version", 9), desk.text("seen", 64), desk.text("act", 12)
    if not number.isdecimal() or what not in {"approve", "publish", "refuse"}:
        raise Problem(Kind.MALFORMED, "Neither approved, published nor refused.")
    desk.still_about(number, seen)
    stories, caller, reason = desk.portal.stories, desk.who.caller, desk.text("reason", WORDS)
    try:
        if what == "approve":
            await stories.approve_catalogue(int(number), seen, reason, caller)
        elif what == "publish":
            await stories.publish_catalogue(int(number), _day(desk, "since"), caller)
        else:
            await stories.refuse_catalogue(int(number), reason, caller)
    except Problem as problem:
        if problem.kind not in MISTAKES:
            raise
        told = f"reason {number}" if problem.kind is Kind.REQUIRED else problem.text
        return await _catalogue(desk, problem.kind.status, wrong=told)
    return await desk.go(LIST, f"catalogue-{what}")


def _grounds(desk: Desk) -> Grounds:
    return Grounds(
        _day(desk, "begins"),
        _day(desk, "to"),
        desk.text("basis", 80),
        desk.text("evidence", WORDS),
        desk.text("reason", WORDS),
    )


def _day(desk: Desk, name: str) -> date | None:
    """A day of the form; None when it is left empty."""
    text = desk.text(name, 10)
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not 1970 < day.year < 9000:
        raise Problem(Kind.UNPROCESSABLE, "That is not a day.", name)
    return day


async def register(desk: Desk) -> Response:
    """Who holds what: organisations and groups of items, memberships, and a form to grant."""
    return await _register(desk)


async def _register(desk: Desk, status: int = 200, wrong: str = "", **file: object) -> Response:
    view = await desk.portal.stories.entitlements(desk.who.caller)
    return await desk.page(
        "entitlements.html",
        status,
        **{
            "view": view,
            "marks": catalogue_words,
            "wrong": wrong,
            "faults": (),
            "adds": None,
            **file,
        },
    )


async def register_file(desk: Desk) -> Response:
    """The register as a workbook."""
    body = await desk.portal.stories.entitlements_file(desk.who.caller)
    return _workbook(body, "entitlements.xlsx")


async def take_register(desk: Desk) -> Response:
    """Show what a workbook adds, or each fault in it; then, and only exactly that, add it whole."""
    stories, caller = desk.portal.stories, desk.who.caller
    if desk.text("act", 12) == "take":
        try:
            body = b64decode(desk.text("sheet", 2 * LARGEST_SHEET), validate=True)
        except ValueError:
            raise Problem(Kind.MALFORMED, "The form cannot be read.") from None
        seen = desk.text("seen", 64)
        try:
            await stories.take_entitlements(body, seen, desk.text("reason", WORDS), caller)
        except Problem as problem:
            if problem.kind not in MISTAKES:
                raise
            return await _sheet(desk, body, problem.kind.status, problem.text)
        return await desk.go(REGISTER, "entitlements-added")
    upload = desk.file("file")
    if upload is None or upload.size is None or upload.size > LARGEST_SHEET:
        return await _register(desk, 413 if upload else 400, "too large" if upload else "missing")
    return await _sheet(desk, await upload.read())


async def _sheet(desk: Desk, body: bytes, status: int = 200, wrong: str = "") -> Response:
    found = await desk.portal.stories.read_entitlements(body, desk.who.caller)
    status = 422 if found.faults else status
    sheet = b64encode(body).decode()
    return await _register(desk, status, wrong, faults=found.faults, adds=found, sheet=sheet)


async def line(desk: Desk) -> Response:
    """One entitlement or membership with its steps, and what may be done to it."""
    return await _line(desk)


async def _line(desk: Desk, status: int = 200, wrong: str = "") -> Response:
    number = desk.request.path_params["number"]
    view = await desk.portal.stories.entitlement(number, desk.who.caller)
    return await desk.page(
        "entitlement.html", status, view=view, marks=catalogue_words, wrong=wrong
    )


async def grant(desk: Desk) -> Response:
    """Entitle an organisation, or put it into a scope."""
    try:
        number = await desk.portal.stories.grant_entitlement(
            desk.text("organization", 80),
            desk.text("what", 80),
            desk.text("scope", 80),
            _grounds(desk),
            desk.who.caller,
        )
    except Problem as problem:
        if problem.kind not in MISTAKES:
            raise
        return await _register(desk, problem.kind.status, problem.text)
    return await desk.go(f"{REGISTER}/{number}", "entitlement-changed")


async def act(desk: Desk) -> Response:
    """Suspend, restore, revoke or end it, with a reason; it acts at once."""
    what, number = desk.text("act", 12), desk.request.path_params["number"]
    if what not in ACTS:
        raise Problem(Kind.MALFORMED, "That is nothing that can be done.")
    try:
        await desk.portal.stories.act_on_entitlement(what, number, _grounds(desk), desk.who.caller)
    except Problem as problem:
        if problem.kind not in MISTAKES:
            raise
        return await _line(desk, problem.kind.status, problem.text)
    return await desk.go(f"{REGISTER}/{number}", "entitlement-changed")
