"""CDS Hooks 2.0: `GET /cds-services` says what is offered, `POST /cds-services/{id}` calls a service,
`POST /cds-services/{id}/feedback` tells what a clinician did with a card.

A service is one function from a read call to cards; the table below is all there is. Every answer is
JSON. What a caller sends beside the context (`fhirServer`, `fhirAuthorization`, `prefetch`,
`extension`) is never looked at: who asks is who was proved, and what is known is ours. No prefetch is
wanted, so a stale or foreign one cannot mislead.

Who waits for a prompt waits in front of a patient: over the cut-off an empty answer goes out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.auth import hooks
from gateway.auth.systems import note_of
from gateway.cds import consult, feedback, order_select, order_sign, patient_view
from gateway.cds.call import Call, Cards, subject_of
from gateway.errors import Kind, Problem, place_of
from gateway.exchange import prompting
from gateway.exchange.duplicates import chart_of
from gateway.exchange.ledger import Visit
from gateway.services import Services, even
from mappings.engine.jsontext import JsonFault, check

PATH: Final = "/cds-services"
LONGEST: Final = 64_000
LONG: Final = 1_000_000  # of a call with draft orders, and with a prefetch nobody asked for
DEPTH: Final = 16
DEEP: Final = 40
MOST_BEHIND: Final = 64  # late calls that are counted behind their answers at once
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
    longest: int = LONGEST
    depth: int = DEPTH
    prompts: bool = False  # asks about results: has a cut-off, and takes feedback


_WHO = "The call speaks for a clinician: an access token or a signed call with an hl7-b2b object."
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
    Service(
        patient_view.ID,
        patient_view.HOOK,
        "可互认结果 / Results to recognise",
        "打开病历时：其他医院有多少结果可在本院互认。 "
        "When a record is opened: how many results of other hospitals may be recognised here.",
        _WHO,
        patient_view.answer,
        LONG,
        DEEP,
        True,
    ),
    Service(
        order_select.ID,
        order_select.HOOK,
        "开单时查重 / Repeated orders, when selecting",
        "选择检查检验项目时：哪些在其他医院已有可互认的结果。 "
        "While an order is chosen: what of it was measured elsewhere and may be recognised here.",
        _WHO,
        order_select.answer,
        LONG,
        DEEP,
        True,
    ),
    Service(
        order_sign.ID,
        order_sign.HOOK,
        "签署前查重 / Repeated orders, before signing",
        "签署医嘱前：哪些在其他医院已有可互认的结果。 "
        "Before orders are signed: what of them was measured elsewhere and may be recognised here.",
        _WHO,
        order_sign.answer,
        LONG,
        DEEP,
        True,
    ),
)


KNOWN: Final = {one.id: one for one in SERVICES}


def routes(services: Services) -> list[Route]:
    """The discovery endpoint, every service, and feedback on its cards."""
    listed = _json_text(
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
    origins = frozenset(filter(None, map(str.strip, services.settings.cds_origins.split(","))))

    def found(request: Request) -> Service:
        service = KNOWN.get(request.path_params["id"])
        if service is None:
            raise Problem(Kind.NO_SUCH_ROUTE, "There is no such service.")
        return service

    async def discover(request: Request) -> Response:
        return _json(200, listed)

    async def call(request: Request) -> Response:
        began = even.now()
        service = found(request)
        called = await _call(service, request, services)
        return _json(200, _json_text(await answered(service, called, began)))

    async def feed_back(request: Request) -> Response:
        service = found(request)
        if not service.prompts:
            raise Problem(Kind.NO_SUCH_ROUTE, "There is no such service.")
        said, called = await _said(service, request, services, f"/{service.id}/feedback")
        try:
            await feedback.take(service.id, said, called)
        except Problem as problem:
            if problem.kind in (Kind.REFUSED, Kind.UNKNOWN):
                await _noted(service, called, problem)
            raise
        return _json(200, b"{}")

    def door(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Any]:
        async def open(request: Request) -> Response:
            if request.method == "OPTIONS":
                return _shared(Response(status_code=204), request, origins)
            began = even.now()
            try:
                response = await work(request)
            except Problem as problem:
                response = _trouble(problem)
            except ClientDisconnect:
                raise
            except Exception as fault:
                # The text of an unforeseen exception may hold a name or a number: only its kind is kept.
                log.error("unforeseen", kind=type(fault).__name__, place=place_of(fault))
                response = _json(500, b'{"error":"exception","message":"Something broke here."}')
            if work is not discover:
                # Yes and no, known and unknown take the same time.
                await even.even(began, services.settings.answer_floor_ms)
            return _shared(response, request, origins)

        return open

    return [
        Route(PATH, door(discover), methods=["GET", "OPTIONS"]),
        Route(f"{PATH}/{{id}}", door(call), methods=["POST", "OPTIONS"]),
        Route(f"{PATH}/{{id}}/feedback", door(feed_back), methods=["POST", "OPTIONS"]),
    ]


def _shared(response: Response, request: Request, origins: frozenset[str]) -> Response:
    """Let a page of an allowed origin read the answer (CDS Hooks 2.0, "Cross-Origin Resource Sharing")."""
    origin = request.headers.get("origin", "")
    if origins:
        response.headers["vary"] = "origin"
    if origin in origins:
        response.headers["access-control-allow-origin"] = origin
        if request.method == "OPTIONS":
            response.headers["access-control-allow-methods"] = "GET, POST, OPTIONS"
            response.headers["access-control-allow-headers"] = (
                "authorization, content-type, accept-language"
            )
            response.headers["access-control-max-age"] = "600"
    return response


async def answered(service: Service, call: Call, began: float) -> Cards:
    """The service's answer, or none in time; that a caller asked for what is not theirs is noted."""
    try:
        if not service.prompts:
            return await service.answer(call)
        left = call.services.settings.cds_cutoff_ms / 1000 - (even.now() - began)
        try:
            async with asyncio.timeout(left):
                answer = await service.answer(call)
        except TimeoutError:
            return await _too_late(service, call)
        spent = (even.now() - began) * 1000
        if spent <= call.services.settings.cds_cutoff_ms:
            return answer
        return await _too_late(service, call)
    except Problem as problem:
        if problem.kind is Kind.REFUSED:
            await _noted(service, call, problem)
        raise


async def _too_late(service: Service, call: Call) -> Cards:
    """Nothing is said, nobody is held up, and it is counted behind the answer. Where too many are
    being counted already, the answer waits for its own: none is lost, and no more gather."""
    call.services.counts["cds_unanswered"] += 1

    async def count() -> None:
        try:
            chart = await chart_of(subject_of(call.context), call.caller, call.services)
            visit = Visit(hook=service.hook)
            await prompting.unanswered(chart, visit, call.caller, call.services)
        except Exception as fault:
            log.error("unanswered, and not counted", kind=type(fault).__name__)

    if len(_behind) >= MOST_BEHIND:
        await count()
    else:
        task = asyncio.create_task(count())
        _behind.add(task)
        task.add_done_callback(_behind.discard)
    return {"cards": []}


_behind: set[asyncio.Task[None]] = set()


async def _noted(service: Service, call: Call, problem: Problem) -> None:
    body = note_of(call.caller, service=service.id, at=problem.place)
    at = call.services.now()
    await call.services.log.note(Noted.REFUSED, Outcome.DENY, call.caller, at, body)


async def _call(service: Service, request: Request, services: Services) -> Call:
    """1 who, and a body of the right kind and size · 2 the hook, its instance, its context."""
    # 1
    said, call = await _said(service, request, services, f"/{service.id}")
    # 2
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
    return replace(call, context=context, unheard=unheard[:MOST])


async def _said(
    service: Service, request: Request, services: Services, path: str
) -> tuple[dict[str, Any], Call]:
    """1 who · 2 a body of the right kind and size, strictly read."""
    # 1
    address = request.client.host if request.client else ""
    audience = f"{services.settings.base_url.rstrip('/')}{PATH}{path}"
    caller = await hooks.caller_of(request.headers, services, audience, address)
    # 2
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(Kind.MEDIA_TYPE, "Send application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(Kind.MEDIA_TYPE, "Send it uncompressed.")
    body = await _body(request, service.longest)
    try:
        said = check(body, max_depth=service.depth)
    except JsonFault as fault:
        raise Problem(Kind.MALFORMED, fault.text("en"), f"line {fault.line}") from None
    if not isinstance(said, dict):
        raise Problem(Kind.MALFORMED, "A call is a JSON object.")
    english = request.headers.get("accept-language", "").strip().lower().startswith("en")
    return said, Call({}, caller, services, (), body, english)


def _named(name: str) -> str:
    """A member's name as it may stand in the log."""
    return name[:32] if name.isascii() and name.isprintable() and " " not in name else "?"


async def _body(request: Request, longest: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise Problem(Kind.TOO_LARGE, "The body is larger than this service accepts.")
    return bytes(body)


def _trouble(problem: Problem) -> Response:
    told: dict[str, Any] = {"error": problem.kind.code, "message": problem.text}
    if problem.place:
        told["at"] = problem.place
    if len(problem.complaints) > 1:
        told["all"] = [one.place for one in problem.complaints]
    headers = {}
    match problem.kind:
        case Kind.UNAUTHENTICATED:
            headers["www-authenticate"] = 'Bearer realm="cds-services"'
        case Kind.TOO_LARGE:
            headers["connection"] = "close"  # what is still coming is not read
        case Kind.BUSY:
            headers["retry-after"] = "2"
    return _json(problem.kind.status, _json_text(told), headers)


def _json_text(said: Any) -> bytes:
    """JSON; what stands in it as it was written (msgspec.Raw) stays so."""
    return msgspec.json.encode(said)


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    fixed = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(body, status, {**fixed, **(headers or {})}, "application/json")
