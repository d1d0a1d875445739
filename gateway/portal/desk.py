"""One request at the portal: who is asking, in which language, and how it is answered."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property, partial
from typing import Any, Protocol

from jinja2 import Environment
from markupsafe import Markup
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.auth.people import cookie_of, same_origin, set_cookie
from gateway.errors import Kind, Problem
from gateway.portal import assets, display, emergency_words, words
from gateway.portal.display import Display
from gateway.portal.handles import handles, id_of
from gateway.portal.headers import NONCE
from gateway.portal.languages import TAGS, environment, translations
from gateway.portal.pace import Pace
from gateway.portal.stories import People, Session, Stories, Surroundings
from gateway.services import even
from mappings.engine.fhirwording import chinese_place

FORM_LIMIT = 256_000
EVIDENCE_LIMIT = 10_000_000
LANGUAGE = "gateway-language"
ROOT = "/portal"
HOMES = {
    "clinician": "/look-up",
    "registrar": "/consents/find",
    "auditor": "/audit",
    "it": "/sources",
    "privacy": "/privacy",
    "commission": "/county",
    "patient": "/mine",
}

# What stands between two sentences of one paragraph: a Chinese full stop brings its own space.
GAPS = {"zh": "", "en": " "}
_SHOWING_NOTHING = {403, 404}

log = logging.getLogger("gateway.portal")


class Portal:
    """What all pages share: settings, stories, people, and the templates in each language."""

    def __init__(self, services: Surroundings, stories: Stories, people: People) -> None:
        self.services = services
        self.stories = stories
        self.people = people
        self.pace = Pace()
        self.contact = services.settings.contact
        settings = services.settings
        # A browser keeps `__Host-` cookies only from a safe origin; plain HTTP is the demo alone.
        self.secure = settings.behind_proxy or bool(settings.tls_certificate.name)
        self.door_cookie = "__Host-door" if self.secure else "door"
        self.assets = assets.read()
        known = {
            "words": words,
            "emergency_words": emergency_words,
            "root": ROOT,
            "demo": services.settings.demo,
            "assets": self.assets,
        }
        self.pages: dict[str, Environment] = {
            language: environment(
                texts,
                services.settings.zone,
                known
                | {
                    "gap": GAPS[language],
                    "noted": partial(words.noted, language),
                    "actor": partial(words.actor, texts),
                    "placed": chinese_place if language == "zh" else str,
                },
            )
            for language, texts in translations().items()
        }

    def now(self) -> datetime:
        """This instant."""
        return datetime.fromtimestamp(self.services.now() / 1_000_000, UTC)

    def today(self) -> date:
        """The county's day."""
        return self.now().astimezone(self.services.settings.zone).date()


@dataclass
class Desk:
    """One request. A page is read by GET; whatever changes something is a POST with the token."""

    portal: Portal
    request: Request
    language: str
    display: Display = field(default_factory=Display)
    session: Session | None = None
    door: str = ""  # the token of a browser nobody has signed in with yet
    renewed: str = ""  # the session's new cookie, where a second factor was shown
    form: FormData = field(default_factory=FormData)
    even: bool = False  # the answer's time must not tell what was found

    @property
    def address(self) -> str:
        """Where the browser is."""
        return self.request.client.host if self.request.client else ""

    @property
    def nonce(self) -> str:
        """What this answer's scripts, and the elements htmx may look at, are named with."""
        return str(self.request.scope.get(NONCE, ""))

    @property
    def step(self) -> Markup:
        """Attributes of a link or form whose answer takes the page's place without loading it anew.

        For steps within a page: filter, sort, turn a page, decide about a row. Without scripts it
        is the ordinary link or form it also is. Not for files, for pages with scripts of their own,
        for signing in or out, nor where language or display changes.
        """
        if "htmx" not in self.portal.assets:
            return Markup("")
        return Markup(
            'hx-boost="true" hx-target="#page" hx-select="#page" hx-swap="outerHTML" '
            'hx-sync="this:drop" hx-nonce="{}"'
        ).format(self.nonce)

    @property
    def who(self) -> Session:
        """The signed-in session; only for pages that ask for one."""
        assert self.session is not None
        return self.session

    @property
    def token(self) -> str:
        """What every form of this browser must carry back."""
        return self.session.csrf if self.session else self.door

    def text(self, name: str, limit: int = 2_000) -> str:
        """A field of the form, trimmed; empty when absent."""
        value = self.form.get(name, "")
        return value.strip()[:limit] if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for value in self.form.getlist(name) if isinstance(value, str)]

    def file(self, name: str) -> UploadFile | None:
        """An uploaded file; None when none was chosen."""
        value = self.form.get(name)
        return value if isinstance(value, UploadFile) and value.size else None

    def paced(self, what: str) -> None:
        """Count a look-up; Problem THROTTLED for more in a minute than anybody can need."""
        self.portal.pace.take(what, self.who.caller.user, self.portal.services.now())

    def about(self, *what: Any) -> str:
        """Whom and what a page is about, for its form to carry back."""
        said = json.dumps(what, ensure_ascii=False, sort_keys=True)
        return hmac.new(self.who.csrf.encode(), said.encode(), "sha256").hexdigest()

    def still_about(self, *what: Any) -> None:
        """Problem CONFLICT when another page of this session has meanwhile taken up another matter."""
        if not hmac.compare_digest(self.text("about").encode(), self.about(*what).encode()):
            raise Problem(Kind.CONFLICT, "The page is about something else by now.")

    def handle(self, id: str) -> str:
        """A record's name in this session's addresses."""
        return self._handles(id)

    @cached_property
    def _handles(self) -> Callable[[str], str]:
        return handles(self.who.csrf)

    def id_of(self, handle: str) -> str:
        """The record behind a handle of this session."""
        return id_of(self.who.csrf, handle)

    async def keep(self, **changes: Any) -> None:
        """Keep something in the session; None drops it."""
        memory = {**self.who.memory, **changes}
        await self.portal.people.remember(
            self.who, {name: value for name, value in memory.items() if value is not None}
        )

    async def go(self, path: str, notice: str = "", **changes: Any) -> Response:
        """Send the browser on, keeping what the next page needs to know."""
        if notice or changes:
            await self.keep(**changes, **({"notice": notice} if notice else {}))
        return RedirectResponse(ROOT + path, 303)

    async def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page in this browser's language; says once what just happened."""
        notice = ""
        if self.session and (notice := str(self.session.memory.get("notice", ""))):
            await self.keep(notice=None)
        return self.render(template, status, notice=notice, **context)

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page; `back` is where the language switch returns to."""
        back = str(self.request.url.path).removeprefix(ROOT)
        if self.request.url.query and self.request.method == "GET":
            back += "?" + self.request.url.query
        filled = self.portal.pages[self.language].get_template(template)
        said: dict[str, Any] = {
            "desk": self,
            "session": self.session,
            "me": self.session.caller if self.session else None,
            "language": self.language,
            "tag": TAGS.get(self.language, self.language),
            "back": back,
            "path": str(self.request.url.path).removeprefix(ROOT),
            "printed": self.portal.now(),
            "notice": "",
            "resident": None,
        }
        response = HTMLResponse(filled.render(said | context), status)
        if not self.session and self.door:
            self.set_cookie(response, self.portal.door_cookie, self.door)
        return response

    def set_cookie(self, response: Response, name: str, value: str) -> None:
        """A cookie no script reads and no other site sends; it ends with the browser."""
        response.set_cookie(
            name, value, path="/", secure=self.portal.secure, httponly=True, samesite="strict"
        )

    def drop_cookie(self, response: Response, name: str) -> None:
        """Take a cookie back."""
        response.delete_cookie(
            name, path="/", secure=self.portal.secure, httponly=True, samesite="strict"
        )


Page = Callable[[Desk], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Adder(Protocol):
    """Makes the route of a page; see `at` for `role`. Only a POST takes an `upload`."""

    def __call__(self, path: str, page: Page, role: str | None = "", upload: bool = False) -> Route:
        """The route."""


def at(portal: Portal, page: Page, role: str | None = "", upload: bool = False) -> Endpoint:
    """An endpoint for a page. `role` None: anybody; "": whoever signed in; else that role alone."""

    async def endpoint(request: Request) -> Response:
        began = even.now()
        desk = await _desk(portal, request)
        response = await answered(desk, request)
        if desk.renewed:
            set_cookie(response, desk.renewed, portal.services.settings)
        if desk.even or response.status_code in _SHOWING_NOTHING:
            await even.even(began, portal.services.settings.answer_floor_ms)
        return response

    async def answered(desk: Desk, request: Request) -> Response:
        try:
            if role is not None and desk.session is None:
                return RedirectResponse(ROOT + "/sign-in", 303)
            if role and desk.who.caller.role != role:
                raise Problem(Kind.REFUSED, "Another role's page.")
            if request.method == "POST":
                desk.form = await _form(request, EVIDENCE_LIMIT if upload else 0)
                _same_site(desk)
            return await page(desk)
        except Problem as problem:
            says = words.PROBLEMS.get(problem.kind, words.PROBLEM_OTHERWISE)
            if problem.place == "csrf":
                says = words.STALE
            return desk.render("problem.html", problem.kind.status, says=says)
        except ClientDisconnect:
            raise
        except Exception as fault:  # the text may hold names: only its type and place are told
            log.error("portal %s at %s", type(fault).__name__, page.__name__)
            return desk.render("problem.html", 500, says=words.BROKEN)

    return endpoint


async def _desk(portal: Portal, request: Request) -> Desk:
    language = request.cookies.get(LANGUAGE, "zh")
    shown = Display.read(request.cookies.get(display.COOKIE, ""))
    desk = Desk(portal, request, language if language in portal.pages else "zh", shown)
    cookie = cookie_of(request, portal.services.settings)
    if cookie:
        desk.session = await portal.people.session_at(cookie, desk.address)
    if desk.session is None:
        desk.door = request.cookies.get(portal.door_cookie, "")
        if len(desk.door) < 32:
            desk.door = secrets.token_urlsafe(32)
    return desk


def _same_site(desk: Desk) -> None:
    """Refuse a form that our own page in this very session did not send."""
    ours = same_origin(desk.request.headers, desk.portal.services.settings)
    sent = desk.text("csrf")
    if not ours or not hmac.compare_digest(sent.encode(), desk.token.encode()):
        raise Problem(Kind.REFUSED, "The form did not come from this session.", "csrf")


async def _form(request: Request, upload: int) -> FormData:
    """The form of a request within its limit. A scan stays in memory: it is never on a disk clear."""
    limit = upload + FORM_LIMIT
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    stream = _at_most(request, limit)
    try:
        if kind == "application/x-www-form-urlencoded":
            return await FormParser(request.headers, stream, max_fields=2_000).parse()
        if kind == "multipart/form-data" and upload:
            parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=50)
            parser.spool_max_size = limit
            return await parser.parse()
    except (MultiPartException, KeyError, ValueError):
        raise Problem(Kind.MALFORMED, "The form cannot be read.") from None
    raise Problem(Kind.MALFORMED, "Not a form.")


async def _at_most(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise Problem(Kind.TOO_LARGE, "The form is too large.")
        yield piece


def plain(memory: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A small record kept in the session; empty when there is none."""
    kept = memory.get(name)
    return dict(kept) if isinstance(kept, Mapping) else {}
