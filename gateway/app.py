"""Wires the doors to one ASGI application and runs what must run beside it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway import portal
from gateway.auth import systems
from gateway.bodies import Bodies
from gateway.cds import door as cds
from gateway.cds import soap
from gateway.errors import Kind, Problem, place_of
from gateway.exchange import casework, telling, unmapped_orders, write_back
from gateway.fhir.door import FhirDoor
from gateway.intake import http as intake
from gateway.intake import mllp
from gateway.jobs.worker import Worker
from gateway.portal.county import stories
from gateway.portal.local import LocalPeople
from gateway.portal.stories import DemoAccount
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import inbox

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = structlog.get_logger(__name__)


class Application:
    """FHIR requests go straight to their door; everything else through Starlette."""

    def __init__(self, services: Services, demo: tuple[DemoAccount, ...] = ()) -> None:
        self.services = services
        self._fhir = FhirDoor(services)
        self._rest = starlette(services, demo)
        self._bodies = Bodies(4 * services.settings.body_limit)

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        path = scope["path"]
        fhir = f"{path}/".startswith("/fhir/") and not path.startswith("/fhir/.well-known/")
        door = self._fhir if fhir else self._guarded
        if not _has_body(scope):
            await door(scope, receive, send)
            return
        body = self._bodies.watched(receive)
        try:
            await door(scope, body, send)
        finally:
            body.close()

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but FHIR; of what nobody foresaw only kind and place are kept, never its text,
        which the server would print."""
        begun = False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._rest(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as fault:
            busy = isinstance(fault, Problem) and fault.kind is Kind.BUSY
            if not busy:
                log.error("unforeseen", kind=type(fault).__name__, place=place_of(fault))
            if not begun:
                status, says = (503, "busy") if busy else (500, "broken")
                await PlainTextResponse(f"{says}\n", status)(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in scope["headers"]
    )


def starlette(services: Services, demo: tuple[DemoAccount, ...] = ()) -> Starlette:
    """Every door but FHIR."""
    return Starlette(
        routes=[
            Route("/", _home),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz(services)),
            Route("/metrics", _metrics(services)),
            *systems.routes(services),
            *intake.routes(services),
            *cds.routes(services),
            *soap.routes(services),
            *portal.routes(services, stories(services), LocalPeople(services, demo)),
        ]
    )


async def _home(request: Request) -> Response:
    return RedirectResponse("/portal/", 303)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _readyz(services: Services) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(request: Request) -> Response:
        try:
            await services.db.read(inbox.SOURCES)
        except Problem:
            return JSONResponse({"records": "unavailable"}, 503)
        return JSONResponse({"records": "ready"})

    return readyz


def _metrics(services: Services) -> Callable[[Request], Awaitable[Response]]:
    async def metrics(request: Request) -> Response:
        """Counts per source, of cases that wait and of notices, in the Prometheus text format; never
        anything of a patient."""
        lines = ["# TYPE gateway_messages gauge"]
        for row in await services.db.read(inbox.TALLY):
            tally = inbox.Tally(*row)
            for state in ("received", "filed", "quarantined", "waiting", "duplicates"):
                count = getattr(tally, state)
                lines.append(f'gateway_messages{{source="{tally.name}",state="{state}"}} {count}')
        lines.append("# TYPE gateway_cases gauge")
        for kind, (waiting, overdue) in sorted((await casework.counts(services)).items()):
            lines.append(f'gateway_cases{{kind="{kind}",state="open"}} {waiting}')
            lines.append(f'gateway_cases{{kind="{kind}",state="overdue"}} {overdue}')
        lines.append("# TYPE gateway_cds_unanswered_total counter")
        lines.append(f"gateway_cds_unanswered_total {services.counts['cds_unanswered']}")
        beyond = services.counts[unmapped_orders.BEYOND]
        lines.append("# TYPE gateway_cds_orders_unmapped_beyond_total counter")
        lines.append(f"gateway_cds_orders_unmapped_beyond_total {beyond}")
        lines.append("# TYPE gateway_write_backs gauge")
        for state, count in (await write_back.counts(services)).items():
            lines.append(f'gateway_write_backs{{state="{state}"}} {count}')
        lines.append("# TYPE gateway_notices_undelivered gauge")
        lines.append(f"gateway_notices_undelivered {await telling.count(services)}")
        return PlainTextResponse("\n".join(lines) + "\n")

    return metrics


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """The MLLP door and the worker, for as long as the block lasts."""
    worker = Worker(services)
    tasks: list[asyncio.Task[Any]] = []
    working = worker.run() if services.settings.worker else worker.watch()
    tasks.append(asyncio.create_task(working))
    door = await mllp.open_door(services) if services.settings.mllp_port else None
    try:
        yield
    finally:
        if door is not None:
            await door.close()
        worker.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


def settle() -> None:
    """What stands by now stays: catalogue, maps and doors are some hundred thousand objects, and a
    collection that walks through them all takes a sixth of a second out of somebody's answer. A page
    makes thousands more, which end with it: looking for rings among them less often saves a tenth."""
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)


def http_server(application: Application, settings: Settings) -> uvicorn.Server:
    """The HTTP server of the settings."""
    tls = {}
    if str(settings.tls_certificate) != ".":
        tls = {
            "ssl_certfile": str(settings.tls_certificate),
            "ssl_keyfile": str(settings.tls_key),
        }
    return uvicorn.Server(
        uvicorn.Config(
            application,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_level="warning",
            log_config=None,  # its lines take the road of all others, and are scrubbed
            server_header=False,
            date_header=True,
            lifespan="off",
            proxy_headers=settings.behind_proxy,
            forwarded_allow_ips="127.0.0.1" if settings.behind_proxy else None,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=65_536,
            **tls,  # type: ignore[arg-type]
        )
    )
