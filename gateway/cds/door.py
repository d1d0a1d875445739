"""CDS Hooks 2.0: `GET /cds-services` says what is offered, `POST /cds-services/{id}` calls a service.

A service is one function from a read call to cards; the table below is all there is. Every answer is
JSON. What a caller sends beside the context (`fhirServer`, `fhirAuthorization`, `prefetch`,
`extension`) is never looked at: who asks is who was proved, and what is known is ours.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth import hooks
from gateway.auth.systems import note_of
from gateway.cds import consult
from gateway.cds.call import Call, Cards
from gateway.errors import Kind, Problem, place_of
from gateway.services import Services, even
from mappings.engine.jsontext import JsonFault, check

PATH: Final = "/cds-services"
LONGEST: Final = 64_000
DEPTH: Final = 16
MOST: Final = 20  # names of unheard members that are noted
_INSTANCE = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

log = structlog.get_logger(__name__)


class Service(NamedTuple):
    """One CDS service, as discovery tells it, and the function that answers a call."""

    id: str
    hook: str
    title: str
    description: str
    usage: str
    answer: Callable[[Call], Awaitable[Cards]]


SERVICES: Final = (
    Service(
        consult.ID,
        consult.HOOK,
        "授权咨询 / Consent consult",
        "某类健康记录此刻能否为某个用途给本机构的这个人看：只回答能或不能，不给出任何记录。 "
        "Whether records of a kind may be shared with this person for this purpose now: yes or no, "
        "and no record.",
        "The call speaks for a person: an access token or a signed call with an hl7-b2b object.",
        consult.answer,
    ),
)


def routes(services: Services) -> list[Route]:
    """The discovery endpoint and every service."""
    listed = orjson.dumps(
        {
            "services": [
                {
                    "hook": one.hook,
                    "title": one.title,
                    "description": one.description,
                    "id": one.id,
                    "usageRequirements": one.usage,
                }
                for one in SERVICES
            ]
        }
    )
    known = {one.id: one for one in SERVICES}

    async def discover(request: Request) -> Response:
        return _json(200, listed)

    async def call(request: Request) -> Response:
        began = even.now()
        try:
            service = known.get(request.path_params["id"])
            if service is None:
                raise Problem(Kind.NO_SUCH_ROUTE, "There is no such service.")
            called = await _call(service, request, services)
            response = _json(200, orjson.dumps(await _answered(service, called)))
        except Problem as problem:
            response = _trouble(problem)
        except ClientDisconnect:
            raise
        except Exception as fault:
            # The text of an unforeseen exception may hold a name or a number: only its kind is kept.
            log.error("unforeseen", kind=type(fault).__name__, place=place_of(fault))
            response = _json(500, b'{"error":"exception","message":"Something broke here."}')
        # Yes and no, known and unknown take the same time.
        await even.even(began, services.settings.answer_floor_ms)
        return response

    return [
        Route(PATH, discover, methods=["GET"]),
        Route(f"{PATH}/{{id}}", call, methods=["POST"]),
    ]


async def _answered(service: Service, call: Call) -> Cards:
    """The service's answer; that a caller asked for what is not theirs is noted before it is said."""
    try:
        return await service.answer(call)
    except Problem as problem:
        if problem.kind is Kind.REFUSED:
            body = note_of(call.caller, service=service.id, at=problem.place)
            at = call.services.now()
            await call.services.log.note(Noted.REFUSED, Outcome.DENY, call.caller, at, body)
        raise


async def _call(service: Service, request: Request, services: Services) -> Call:
    """1 who · 2 a body of the right kind and size · 3 the hook, its instance, its context."""
    # 1
    address = request.client.host if request.client else ""
    audience = f"{services.settings.base_url.rstrip('/')}{PATH}/{service.id}"
    caller = await hooks.caller_of(request.headers, services, audience, address)
    # 2
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(Kind.MEDIA_TYPE, "Send application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(Kind.MEDIA_TYPE, "Send it uncompressed.")
    try:
        said = check(await _body(request), max_depth=DEPTH)
    except JsonFault as fault:
        raise Problem(Kind.MALFORMED, fault.text("en"), f"line {fault.line}") from None
    # 3
    if not isinstance(said, dict):
        raise Problem(Kind.MALFORMED, "A call is a JSON object.")
    if said.get("hook") != service.hook:
        raise Problem(Kind.MALFORMED, "This service is for another hook.", "hook")
    instance = said.get("hookInstance")
    if not isinstance(instance, str) or not _INSTANCE.fullmatch(instance):
        raise Problem(Kind.MALFORMED, "A UUID is needed.", "hookInstance")
    context = said.get("context")
    if not isinstance(context, dict):
        raise Problem(Kind.REQUIRED, "A context is needed.", "context")
    heard = {"hook", "hookInstance", "context"}
    unheard = tuple(_named(name) for name in said if name not in heard)
    return Call(context, caller, services, unheard[:MOST])


def _named(name: str) -> str:
    """A member's name as it may stand in the log."""
    return name[:32] if name.isascii() and name.isprintable() and " " not in name else "?"


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise Problem(Kind.TOO_LARGE, "The body is larger than this service accepts.")
    return bytes(body)


def _trouble(problem: Problem) -> Response:
    told: dict[str, str] = {"error": problem.kind.code, "message": problem.text}
    if problem.place:
        told["at"] = problem.place
    headers = {}
    match problem.kind:
        case Kind.UNAUTHENTICATED:
            headers["www-authenticate"] = 'Bearer realm="cds-services"'
        case Kind.TOO_LARGE:
            headers["connection"] = "close"  # what is still coming is not read
        case Kind.BUSY:
            headers["retry-after"] = "2"
    return _json(problem.kind.status, orjson.dumps(told), headers)


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    fixed = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(body, status, {**fixed, **(headers or {})}, "application/json")
