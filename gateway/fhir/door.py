"""The FHIR R4 door: one table of routes, plain ASGI, every error an OperationOutcome."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

import structlog

from gateway import __version__
from gateway.auth.bearer import allows, caller_of
from gateway.errors import Kind, Problem, place_of
from gateway.exchange import ask, patients, probing, quality
from gateway.fhir import answers, export, metadata
from gateway.fhir.answers import Answer
from gateway.fhir.emergency import notice_claims
from gateway.records import query as queries
from gateway.records.entry import Nature
from gateway.services import Services, even
from gateway.services.caller import Caller

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = structlog.get_logger(__name__)

CLINICAL = (
    "Communication",
    "Condition",
    "DetectedIssue",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "ImagingStudy",
    "Observation",
    "Provenance",
    "ServiceRequest",
    "Specimen",
    "Task",
)
READABLE = ("Patient", *CLINICAL)
VERSIONED = ("Binary", *READABLE)
FORM = "application/x-www-form-urlencoded"
LONGEST_FORM = 64_000
_SEGMENT = re.compile(r"[A-Za-z0-9$_.\-]{1,64}")


class Headers(Mapping[str, str]):
    """Request headers by lower-case name; the first of a repeated one."""

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        wanted = name.lower().encode()
        for key, value in self._raw:
            if key == wanted:
                return value.decode("latin-1")
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(dict.fromkeys(key.decode("latin-1") for key, _ in self._raw))

    def __len__(self) -> int:
        return len(self._raw)

    @property
    def raw(self) -> Sequence[tuple[bytes, bytes]]:
        """Every header as it came."""
        return self._raw

    def getlist(self, name: str) -> list[str]:
        """Every value of a header."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self._raw if key == wanted]


@dataclass(slots=True)
class Request:
    """What a handler needs of an HTTP request."""

    method: str
    parts: tuple[str, ...]
    query: str
    headers: Headers
    receive: Receive
    services: Services
    address: str = ""

    async def caller(self) -> Caller:
        """The proved caller."""
        return await caller_of(self.headers, self.services, self.address)

    async def body(self, most: int) -> bytes:
        """The body; Problem TOO_LARGE as soon as it is longer than `most`."""
        declared = self.headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > most:
            raise Problem(Kind.TOO_LARGE, "The body is larger than this gateway accepts.")
        parts = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Problem(Kind.MALFORMED, "The body ended early.")
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise Problem(Kind.TOO_LARGE, "The body is larger than this gateway accepts.")
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    @property
    def lenient(self) -> bool:
        """The caller prefers unknown parameters to be ignored (R4 3.1.1.1)."""
        return "handling=lenient" in self.headers.get("prefer", "").replace(" ", "")


Handler = Callable[[Request, Caller], Awaitable[Answer]]


class Route(NamedTuple):
    """One thing the door can do; `metadata` is made from these."""

    method: str
    shape: tuple[str, ...]  # fixed words, or "type", "id", "version"
    types: tuple[str, ...]
    interaction: str
    handler: Handler
    operation: str = ""


# Handlers


async def read(request: Request, caller: Caller) -> Answer:
    """GET [type]/[id]"""
    kind, id = request.parts
    _only_format(request)
    opened = await ask.read(kind, id, caller, request.services)
    if request.headers.get("if-none-match") == f'W/"{opened.version}"':
        answer = answers.resource(opened)
        return Answer(304, b"", answer.headers)
    return answers.resource(opened)


async def content(request: Request, caller: Caller) -> Answer:
    """GET Binary/[id]: the resource, or what it holds when the caller asks for its media type (R4 2.36.2)."""
    _only_format(request)
    kind, id = request.parts
    opened = await ask.read(kind, id, caller, request.services)
    return answers.content(opened, request.headers.get("accept", "*/*"))


async def vread(request: Request, caller: Caller) -> Answer:
    """GET [type]/[id]/_history/[vid]"""
    kind, id, _, version = request.parts
    _only_format(request)
    return answers.resource(await ask.read(kind, id, caller, request.services, version))


async def search(request: Request, caller: Caller) -> Answer:
    """GET [type]?… and POST [type]/_search"""
    kind = request.parts[0]
    services = request.services
    given = _pairs(request.query)
    if request.method == "POST":
        given += _pairs(await _form(request))
    token = dict(given).get("_page")
    if token is not None:
        return await _more(request, caller, kind, token)
    if kind == "Patient" and any(name.partition(":")[0] == "identifier" for name, _ in given):
        return await _find(request, caller, given)
    if kind == "Patient":
        given = [("_id" if name == "_id" else name, value) for name, value in given]
    query = queries.parse(kind, given, services.settings.zone, lenient=request.lenient)
    _may_include(query, caller)
    page = await ask.search(query, caller, services, kind)
    return _searchset(request, page, query.self_link)


def _may_include(query: queries.Query, caller: Caller) -> None:
    """What comes along needs a scope of its own: an include is no way around one."""
    types = {queries.INCLUDED[element] for element in query.includes}
    if not all(allows(caller.scopes, type, "read") for type in types):
        raise Problem(Kind.REFUSED, "The token's scopes do not allow this.")


async def everything(request: Request, caller: Caller) -> Answer:
    """GET Patient/[id]/$everything"""
    services = request.services
    chart = request.parts[1]
    given = _pairs(request.query)
    token = dict(given).get("_page")
    if token is not None:
        return await _more(request, caller, f"Patient/{chart}/$everything", token)
    query = everything_query(chart, given, lenient=request.lenient)
    route = f"Patient/{chart}/$everything"
    if export.wanted(request.headers.get("accept", "")):
        query = replace(query, count=export.PIECE, action="export")
        return await export.export(query, request.caller, services, f"{route}/ndjson")
    page = await ask.search(query, caller, services, route)
    return _searchset(request, page, query.self_link, route)


def everything_query(
    chart: str, given: Sequence[tuple[str, str]], *, lenient: bool
) -> queries.Query:
    """All of one person's charts, 1,000 records a page unless `_count` says fewer."""
    count = 1_000
    for name, value in given:
        if name == "_count" and value.isascii() and value.isdigit() and 0 < len(value) < 9:
            count = max(1, min(int(value), 1_000))
        elif name != "_format" and not lenient:
            raise Problem(Kind.NOT_SUPPORTED, "This parameter is not offered.", name[:32])
    # Contents of documents are fetched one by one: they are large, and of no patient compartment (R4).
    return queries.Query(
        "", patient=chart, natures=(_no_content,), count=count, self_link=tuple(given)
    )


def _no_content(nature: Nature) -> bool:
    return nature.type != "Binary"


async def _find(request: Request, caller: Caller, given: list[tuple[str, str]]) -> Answer:
    """Patient by identifier. A resident ID in an address stays in logs of proxies for ever."""
    services = request.services
    in_address = any(name.startswith("identifier") for name, _ in _pairs(request.query))
    if in_address and (
        services.settings.identifiers_in_urls == "refuse" or caller.role != "system"
    ):
        await quality.count(caller.client, "identifiers-in-urls", 1, services)
        raise Problem(
            Kind.NOT_SUPPORTED,
            "Identifiers do not belong in addresses; use POST Patient/_search.",
            "identifier",
        )
    identifiers = []
    for name, value in given:
        if name == "identifier":
            identifiers.append(value)
        elif name not in {"_format", "_count"} and not request.lenient:
            raise Problem(Kind.NOT_SUPPORTED, "This search parameter is not offered.", name[:32])
    system, bar, value = identifiers[0].partition("|") if len(identifiers) == 1 else ("", "", "")
    if not bar or not system or not value or "," in value:
        raise Problem(Kind.MALFORMED, "Give one identifier as system|value.", "identifier")
    page = await patients.find(system, value, caller, services)
    return _searchset(request, page, ())


async def _more(request: Request, caller: Caller, route: str, token: str) -> Answer:
    services = request.services
    cursor = await ask.more(token, caller, services)
    if cursor.route != route:
        raise ask.nothing()
    kind = request.parts[0]
    if "$everything" in route:
        query = everything_query(request.parts[1], cursor.params, lenient=True)
    else:
        query = queries.parse(kind, cursor.params, services.settings.zone, lenient=True)
        _may_include(query, caller)
    page = await ask.search(query, caller, services, route, cursor)
    return _searchset(request, page, (("_page", token),), route)


def _searchset(
    request: Request, page: ask.Page, used: Sequence[tuple[str, str]], route: str = ""
) -> Answer:
    base = f"{request.services.settings.base_url}/fhir"
    route = route or request.parts[0]
    pairs = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in used)
    link = f"{base}/{route}" + (f"?{pairs}" if pairs else "")
    following = f"{base}/{route}?_page={page.next}" if page.next else ""
    return answers.searchset(page, base, link, following)


def quoted(text: str) -> str:
    """Percent-encoding of a query part."""
    return quote(text, safe="|:,/")


def _pairs(query: str) -> list[tuple[str, str]]:
    if len(query) > LONGEST_FORM:
        raise Problem(Kind.TOO_LARGE, "The query is too long.")
    try:
        return parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            max_num_fields=200,
            errors="strict",
        )
    except ValueError:
        raise Problem(Kind.MALFORMED, "The query is not name=value pairs in UTF-8.") from None


async def _form(request: Request) -> str:
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if kind != FORM:
        raise Problem(Kind.MEDIA_TYPE, f"A search is posted as {FORM}.")
    try:
        return (await request.body(LONGEST_FORM)).decode("ascii")
    except UnicodeDecodeError:
        raise Problem(Kind.MALFORMED, "A posted search is percent-encoded.") from None


def _only_format(request: Request) -> None:
    for name, _ in _pairs(request.query):
        if name not in {"_format", "_pretty"} and not request.lenient:
            raise Problem(Kind.NOT_SUPPORTED, "This parameter is not offered here.", name[:32])


# The table


def table() -> list[Route]:
    """Everything the door does, in the order it is tried."""
    from gateway.fhir import consents, emergency, messages, recognition

    return [
        Route("GET", ("type", "id"), READABLE, "read", read),
        Route("GET", ("type", "id"), ("Binary",), "read", content),
        Route("GET", ("type",), READABLE, "search-type", search),
        Route("POST", ("type", "_search"), READABLE, "search-type", search),
        Route("GET", ("type", "id", "_history", "version"), VERSIONED, "vread", vread),
        Route("GET", ("type", "id", "$everything"), ("Patient",), "", everything, "everything"),
        Route(
            "POST", ("type", "$break-glass"), ("Patient",), "", emergency.break_glass, "break-glass"
        ),
        Route(
            "POST",
            ("type", "id", "$break-glass"),
            ("Patient",),
            "",
            emergency.break_glass,
            "break-glass",
        ),
        Route("GET", ("type", "id"), ("Consent",), "read", consents.read),
        Route("POST", ("type",), ("Consent",), "create", consents.create),
        Route("PUT", ("type", "id"), ("Consent",), "update", consents.update),
        Route("POST", ("$process-message",), (), "", messages.process, "process-message"),
        Route(
            "POST", ("$recognition-decision",), (), "", recognition.decision, "recognition-decision"
        ),
        Route(
            "POST",
            ("$recognition-revocation",),
            (),
            "",
            recognition.revocation,
            "recognition-revocation",
        ),
    ]


class NoSuchMethod(Problem):
    """The address is right and the method is not; the answer names those that are (RFC 9110 15.5.6)."""

    def __init__(self, offered: set[str]) -> None:
        super().__init__(Kind.NO_SUCH_METHOD, "This interaction is not offered here.")
        self.offered = sorted(offered | ({"HEAD"} if "GET" in offered else set()))


class BrokenOff(RuntimeError):
    """A body was not finished; the server closes the connection."""


class FhirDoor:
    """The ASGI application under /fhir."""

    def __init__(self, services: Services, prefix: str = "/fhir") -> None:
        self._services = services
        self._prefix = prefix
        self._routes = table()
        self._statement = metadata.statement(self._routes, services.settings, __version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        name = ask.request_id()
        began = even.now()
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = answers.trouble(problem)
            if isinstance(problem, NoSuchMethod):
                answer = answer._replace(headers=((b"allow", ", ".join(problem.offered).encode()),))
        except asyncio.CancelledError:
            raise
        except Exception as fault:
            # The text of an unforeseen exception may hold a name or a number: only its kind is kept.
            place = place_of(fault)
            log.error("unforeseen", request=name, kind=type(fault).__name__, place=place)
            answer = Answer(500, answers.BROKEN)
        if answers.shows_nothing(answer):
            # Absent, hidden and not this caller's business take the same time.
            await even.even(began, self._services.settings.answer_floor_ms)
        length = ((b"content-length", b"%d" % len(answer.body)),) if answer.stream is None else ()
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.type),
                    *length,
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                    (b"x-request-id", name.encode()),
                    *answer.headers,
                ],
            }
        )
        body = b"" if scope["method"] == "HEAD" else answer.body
        if answer.stream is not None and scope["method"] != "HEAD":
            await self._pieces(answer.stream, name, send)
        await send({"type": "http.response.body", "body": body})

    async def _pieces(self, stream: AsyncIterator[bytes], name: str, send: Send) -> None:
        """Send a body as it is made; what breaks it off leaves it visibly short."""
        try:
            async for piece in stream:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Exception as fault:
            log.error("broken off", request=name, kind=type(fault).__name__, place=place_of(fault))
            raise BrokenOff from None

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path = scope["path"].removeprefix(self._prefix).strip("/")
        if scope["path"] != f"{self._prefix}/{path}" and path:
            raise Problem(Kind.NO_SUCH_ROUTE, "There is no such address.")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        parts = tuple(path.split("/")) if path else ()
        if any(not _SEGMENT.fullmatch(part) for part in parts):
            raise Problem(Kind.NO_SUCH_ROUTE, "There is no such address.")
        client = scope.get("client")
        request = Request(
            method,
            parts,
            scope["query_string"].decode("latin-1"),
            Headers(scope["headers"]),
            receive,
            self._services,
            client[0] if client else "",
        )
        if parts == ("metadata",) and method == "GET":
            return Answer(200, self._statement)
        if parts[:1] != ("Binary",):
            _acceptable(request)
        route = self._route(method, parts)
        caller = await request.caller()
        if route.interaction and not allows(caller.scopes, parts[0], route.interaction):
            raise Problem(Kind.REFUSED, "The token's scopes do not allow this.")
        if route.operation == "everything" and not (
            allows(caller.scopes, "Patient", "read") and allows(caller.scopes, "*", "search-type")
        ):
            raise Problem(Kind.REFUSED, "The token's scopes do not allow this.")
        await notice_claims(request, caller)
        try:
            answer = await route.handler(request, caller)
        except Problem as problem:
            if problem.kind in {Kind.UNKNOWN, Kind.REFUSED}:
                await probing.struck(caller, self._services)
            raise
        if answers.shows_nothing(answer):
            await probing.struck(caller, self._services)
        return answer

    def _route(self, method: str, parts: tuple[str, ...]) -> Route:
        found = [route for route in self._routes if _fits(route, parts)]
        for route in found:
            if route.method == method:
                return route
        if found:
            raise NoSuchMethod({route.method for route in found})
        raise Problem(Kind.NO_SUCH_ROUTE, "There is no such address; see /fhir/metadata.")


def _fits(route: Route, parts: tuple[str, ...]) -> bool:
    if len(route.shape) != len(parts):
        return False
    for shape, part in zip(route.shape, parts, strict=True):
        if shape == "type":
            if part not in route.types:
                return False
        elif shape in {"id", "version"}:
            if part.startswith(("_", "$")):
                return False
        elif shape != part:
            return False
    return True


def _acceptable(request: Request) -> None:
    """JSON only: XML is 406 going out, 415 coming in."""
    wanted = [value for name, value in _pairs(request.query) if name == "_format"]
    accept = request.headers.get("accept", "*/*").lower()
    if any("xml" in value or "ttl" in value for value in wanted) or not (
        "json" in accept or "*/*" in accept or "application/*" in accept
    ):
        raise Problem(Kind.NOT_ACCEPTABLE, "This gateway answers in JSON.")
