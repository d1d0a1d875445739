"""The portal's addresses, and its front door: signing in and out, the language."""

from __future__ import annotations

from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gateway.auth.people import clear_cookie, cookie_of, set_cookie
from gateway.errors import Kind, Problem
from gateway.portal import (
    accounts,
    auditor,
    catalogue,
    clinician,
    county_desk,
    decisions,
    display_page,
    emergency,
    explain,
    folders,
    images,
    mine,
    office,
    operators,
    originals,
    paper,
    policies,
    presence,
    printed,
    privacy,
    prompt,
    recent,
    record,
    registers,
    registrar,
    second_factor,
    statistics,
)
from gateway.portal.assets import Asset
from gateway.portal.desk import HOMES, LANGUAGE, ROOT, Adder, Desk, Endpoint, Page, Portal, at
from gateway.portal.headers import SecurityHeaders
from gateway.portal.stories import People, Stories, Surroundings

AREAS: tuple[Callable[[Adder, Adder], list[BaseRoute]], ...] = (
    decisions.pages,
    catalogue.pages,
    prompt.pages,
    display_page.pages,
    images.pages,
    printed.pages,
    registers.pages,
    statistics.pages,
    record.pages,
    recent.pages,
    originals.pages,
    paper.pages,
    operators.pages,
    county_desk.pages,
    folders.pages,
)
"""Areas that list their own addresses: each gives the pages it adds with `get` and `post`."""


def routes(services: Surroundings, stories: Stories, people: People) -> list[BaseRoute]:
    """All of /portal, with its security headers; nothing outside of it is touched."""
    portal = Portal(services, stories, people)

    def get(path: str, page: Page, role: str | None = "", upload: bool = False) -> Route:
        return Route(path, at(portal, page, role), methods=["GET"])

    def post(path: str, page: Page, role: str | None = "", upload: bool = False) -> Route:
        return Route(path, at(portal, page, role, upload), methods=["POST"])

    pages: list[BaseRoute] = [
        get("/", home, None),
        get("/sign-in", sign_in_page, None),
        post("/sign-in", sign_in, None),
        post("/sign-out", sign_out),
        post("/language", language, None),
        *(Route(one.path, _file(one)) for one in portal.assets.values()),
        get("/privacy/explain", explain.page, "privacy"),
        post("/privacy/explain", explain.ask, "privacy"),
        get("/look-up", clinician.look_up_page, "clinician"),
        post("/look-up", clinician.look_up, "clinician"),
        post("/look-up/name", clinician.look_up_name, "clinician"),
        get("/claim", clinician.claim_page, "clinician"),
        post("/claim", clinician.claim, "clinician"),
        get("/reports/{handle}", clinician.report, "clinician"),
        post("/reports/{handle}", clinician.decide, "clinician"),
        post("/put-back", clinician.put_back, "clinician"),
        get("/emergency", emergency.page, "clinician"),
        post("/emergency", emergency.break_glass, "clinician"),
        post("/emergency/end", emergency.end, "clinician"),
        get("/emergency/questions", emergency.questions, "clinician"),
        post("/emergency/questions", emergency.answer, "clinician"),
        get("/second-factor", second_factor.factor_page),
        post("/second-factor", second_factor.enrol),
        get("/privacy", privacy.desk_page, "privacy"),
        get("/privacy/cases/{handle}", privacy.case_page, "privacy"),
        post("/privacy/cases/{handle}", privacy.act, "privacy"),
        get("/presence", presence.page, "clinician"),
        post("/presence", presence.ask, "clinician"),
        post("/presence/go", presence.go_on, "clinician"),
        get("/mine/presence", presence.question_page, "patient"),
        post("/mine/presence", presence.code, "patient"),
        post("/mine/presence/answer", presence.answer, "patient"),
        get("/mine/presence/{token}", presence.scanned, None),
        get("/consents/find", registrar.find_page, "registrar"),
        post("/consents/find", registrar.find, "registrar"),
        get("/consents", registrar.desk_page, "registrar"),
        post("/consents", registrar.draft, "registrar"),
        post("/consents/folders", registrar.folders, "registrar"),
        get("/consents/new", registrar.preview, "registrar"),
        post("/consents/new", registrar.record, "registrar", upload=True),
        post("/consents/send-code", registrar.send_code, "registrar"),
        get("/consents/code", registrar.code_page, "registrar"),
        post("/consents/code", registrar.sign, "registrar"),
        get("/consents/{handle}/evidence", registrar.evidence, "registrar"),
        get("/consents/{handle}/withdraw", registrar.withdraw_page, "registrar"),
        post("/consents/{handle}/withdraw", registrar.withdraw, "registrar"),
        get("/consents/{handle}/receipt.pdf", mine.receipt_file, "registrar"),
        get("/consents/account", accounts.page, "registrar"),
        post("/consents/account", accounts.act, "registrar"),
        post("/consents/mandates", accounts.record, "registrar", upload=True),
        post("/consents/mandates/change", accounts.change, "registrar"),
        get("/first-password", mine.first_password_page, None),
        post("/first-password", mine.first_password, None),
        get("/mine", mine.home, "patient"),
        post("/mine/acting", mine.act, "patient"),
        get("/mine/consents", mine.consents, "patient"),
        get("/mine/consents/new", mine.choose_page, "patient"),
        post("/mine/consents/new", mine.choose, "patient"),
        get("/mine/consents/preview", mine.preview, "patient"),
        post("/mine/consents/preview", mine.sign, "patient"),
        get("/mine/consents/code", mine.code_page, "patient"),
        post("/mine/consents/code", mine.confirm, "patient"),
        get("/mine/consents/{handle}", mine.consent, "patient"),
        get("/mine/consents/{handle}/receipt.pdf", mine.receipt_file, "patient"),
        get("/mine/consents/{handle}/take-back", mine.take_back_page, "patient"),
        post("/mine/consents/{handle}/take-back", mine.take_back, "patient"),
        get("/mine/looked", mine.looks, "patient"),
        post("/mine/looked", mine.question, "patient"),
        get("/mine/results", mine.results, "patient"),
        get("/mine/results/{handle}", mine.report, "patient"),
        get("/mine/account", mine.account, "patient"),
        post("/mine/account/right", mine.end_right, "patient"),
        post("/mine/account/end", mine.end_account, "patient"),
        get("/audit", auditor.accesses, "auditor"),
        post("/audit", auditor.narrow, "auditor"),
        get("/audit/decisions/{number:int}", auditor.decision, "auditor"),
        get("/audit/alarms", auditor.alarms, "auditor"),
        post("/audit/alarms", auditor.settle, "auditor"),
        get("/audit/verify", auditor.verify_page, "auditor"),
        post("/audit/verify", auditor.verify, "auditor"),
        get("/sources", office.sources, "it"),
        get("/quarantine", office.quarantine, "it"),
        post("/quarantine", office.decide_held, "it"),
        get("/issues", office.issues, "it"),
        get("/quality", office.quality, "it"),
        get("/labels", office.labels, "it"),
        get("/unmapped", office.unmapped, "it"),
        post("/unmapped", office.decide_code, "it"),
        get("/releases", office.releases, "it"),
        post("/releases", office.decide_release, "it"),
        get("/privacy/policy", policies.policy, "privacy"),
        post("/privacy/policy", policies.propose, "privacy", upload=True),
        get("/privacy/policy/file", policies.policy_file, "privacy"),
        post("/privacy/policy/decide", policies.decide, "privacy"),
        get("/alarms", auditor.alarms, "it"),
        post("/alarms", auditor.settle, "it"),
        *(page for area in AREAS for page in area(get, post)),
        Route("/{path:path}", at(portal, nowhere, None), methods=["GET", "POST"]),
    ]
    return [Mount(ROOT, routes=pages, middleware=[Middleware(SecurityHeaders)])]


def _file(asset: Asset) -> Endpoint:
    """A file of ours; its address changes with its content, so browsers may keep it."""

    async def endpoint(request: Request) -> Response:
        keep = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(asset.content, media_type=asset.media_type, headers=keep)

    return endpoint


async def nowhere(desk: Desk) -> Response:
    raise Problem(Kind.NO_SUCH_ROUTE, "No such page.")


async def home(desk: Desk) -> Response:
    """Each role starts where its work is."""
    if desk.session is None:
        return RedirectResponse(ROOT + "/sign-in", 303)
    role = desk.session.caller.role
    scanned = role == "patient" and presence.waits(desk)
    return RedirectResponse(ROOT + ("/mine/presence" if scanned else HOMES[role]), 303)


async def sign_in_page(desk: Desk) -> Response:
    return await _sign_in_page(desk)


async def _sign_in_page(desk: Desk, wrong: bool = False, login: str = "") -> Response:
    if desk.session is not None:
        return await home(desk)
    accounts = desk.portal.people.demo_accounts() if desk.portal.services.settings.demo else ()
    status = 401 if wrong else 200
    return await desk.page("sign-in.html", status, wrong=wrong, login=login, accounts=accounts)


async def sign_in(desk: Desk) -> Response:
    """Let a person in, in the role they chose; whatever was wrong, the answer is the same."""
    login, role = desk.text("login", 200), desk.text("role")
    settings = desk.portal.services.settings
    before = cookie_of(desk.request, settings)
    cookie = await desk.portal.people.sign_in(
        login, desk.text("password", 1_000), role, desk.address, before
    )
    if cookie is None:
        return await _sign_in_page(desk, True, login)
    response = RedirectResponse(ROOT + "/", 303)
    set_cookie(response, cookie, settings)
    desk.drop_cookie(response, desk.portal.door_cookie)
    return response


async def sign_out(desk: Desk) -> Response:
    """End the session; the browser forgets what it cached."""
    await desk.portal.people.sign_out(desk.who)
    response = RedirectResponse(ROOT + "/sign-in", 303)
    clear_cookie(response, desk.portal.services.settings)
    return response


async def language(desk: Desk) -> Response:
    """Switch the language and come back to the same page."""
    back = desk.text("back")
    # A path of ours only: never another host, which "//…" would be.
    inside = back.startswith("/") and not back.startswith(("//", "/\\"))
    response = RedirectResponse(ROOT + (back if inside else "/"), 303)
    wanted = desk.text("language")
    if wanted in desk.portal.pages:
        desk.set_cookie(response, LANGUAGE, wanted)
    return response
