"""Consent at the FHIR door: create, read, replace, withdraw; for registrars only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import Kind, Problem
from gateway.exchange import consents
from gateway.exchange.consents import Recorded
from gateway.fhir.answers import Answer
from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.fhir.door import Request

LONGEST = 5_000_000  # a scan may be inside
JSON = frozenset({"application/fhir+json", "application/json"})


async def read(request: Request, caller: Caller) -> Answer:
    """GET Consent/[id]"""
    return _answer(200, await consents.read(request.parts[1], caller, request.services), request)


async def create(request: Request, caller: Caller) -> Answer:
    """POST Consent"""
    recorded = await consents.create(await _text(request), caller, request.services)
    return _answer(201, recorded, request)


async def update(request: Request, caller: Caller) -> Answer:
    """PUT Consent/[id], with If-Match"""
    given = request.headers.get("if-match", "").removeprefix("W/").strip('"')
    text = await _text(request)
    recorded = await consents.replace(request.parts[1], text, given, caller, request.services)
    return _answer(200, recorded, request)


async def _text(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON:
        raise Problem(Kind.MEDIA_TYPE, "Send application/fhir+json.")
    return await request.body(min(LONGEST, request.services.settings.body_limit))


def _answer(status: int, recorded: Recorded, request: Request) -> Answer:
    location = f"{request.services.settings.base_url}/fhir/Consent/{recorded.id}"
    return Answer(
        status,
        recorded.text,
        (
            (b"etag", f'W/"{recorded.version}"'.encode()),
            (b"location", f"{location}/_history/{recorded.version}".encode()),
        ),
    )
