"""The HTTP door for raw messages: `POST /intake/{source}`, answered in the sender's own terms.

HL7 v2 gets an HL7 acknowledgment, XML gets XML and a SOAP call SOAP, rows and DICOM headers get JSON. A body is taken
only from the client that the source names, and never grows past the limit in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth import bearer
from gateway.errors import Kind, Problem, issues
from gateway.exchange.loading import in_batches
from gateway.exchange.receive import Receipt, source_named
from gateway.intake import er7, xmlack
from gateway.intake.hl7ack import Fault
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.inbox import SourceRow
from mappings.engine import envelope
from mappings.engine.jsontext import JsonFault, check

ER7 = frozenset({"x-application/hl7-v2+er7", "application/hl7-v2"})
JSON = frozenset({"application/json", "application/x-ndjson", "application/ndjson"})
CSV = frozenset({"text/csv"})
DICOM = frozenset({"application/dicom", "application/dicom+json"})
XML = frozenset({"application/xml", "text/xml", "application/soap+xml", "application/hl7-cda+xml"})
_TAKEN = ER7 | JSON | CSV | DICOM | XML
_HL7_STATUS = {
    Fault.NOT_HL7: 400,
    Fault.UNKNOWN_SENDER: 404,
    Fault.NOT_ALLOWED: 403,
    Fault.TOO_LARGE: 413,
    Fault.BUSY: 503,
}
_BEGINNING = 8_192
_SOON = 2.0
_OFF_THE_LOOP = 262_144


def routes(services: Services) -> list[Route]:
    """`POST /intake/{source}`."""

    async def intake(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = _Body(request, services.settings.body_limit)
        hl7 = kind in ER7
        try:
            source = await _admitted(request, services)
            if kind not in _TAKEN:
                raise Problem(Kind.MEDIA_TYPE, f"Send {', '.join(sorted(_TAKEN))}.")
            if request.headers.get("content-encoding", "identity").lower() != "identity":
                raise Problem(Kind.MEDIA_TYPE, "Send the body without content-encoding.")
            raw = await body.whole()
            if hl7:
                return await _hl7(raw, source, services)
            receipts = await _kept(raw, kind, source, services)
            if kind in XML:
                form = xmlack.form_of(raw[:_BEGINNING], kind)
                return _xml(xmlack.kept(form, receipts), 200, form)
            return _received(receipts)
        except Problem as problem:
            if problem.kind is Kind.MEDIA_TYPE:
                return _outcome(problem)
            if hl7:
                return await _hl7_refusal(problem, body, services)
            if kind in XML:
                form = xmlack.form_of(await body.beginning(), kind)
                text, status = xmlack.refused(form, problem)
                return _xml(text, status, form)
            return _outcome(problem)

    return [Route("/intake/{source}", intake, methods=["POST"])]


async def _admitted(request: Request, services: Services) -> SourceRow:
    """The source, when the client may speak for it; Problem otherwise.

    Who is not authenticated learns nothing of which sources exist.
    """
    address = request.client.host if request.client else ""
    caller = await bearer.caller_of(request.headers, services, address)
    source = await source_named(request.path_params["source"], services)
    if not _may_push(caller, source):
        raise Problem(Kind.REFUSED, "This client does not speak for that source.")
    return source


def _may_push(caller: Caller, source: SourceRow) -> bool:
    """The source's own client, with a scope that creates: raw messages count as Bundle."""
    return bool(source.client) and (
        caller.client == source.client and bearer.allows(caller.scopes, "Bundle", "create")
    )


class _Body:
    """A request body that is read only as far as it may be."""

    def __init__(self, request: Request, limit: int) -> None:
        self._chunks = request.stream()
        self._limit = limit
        self._declared = request.headers.get("content-length", "")
        self._read = bytearray()

    async def whole(self) -> bytes:
        """All of it; Problem(TOO_LARGE) as soon as that is known."""
        if self._declared.isdigit() and int(self._declared) > self._limit:
            raise self._too_large()
        try:
            async for chunk in self._chunks:
                self._read += chunk
                if len(self._read) > self._limit:
                    raise self._too_large()
        except ClientDisconnect:
            raise Problem(Kind.MALFORMED, "The body ended early.") from None
        return bytes(self._read)

    async def beginning(self) -> bytes:
        """What arrives soon of the first kilobytes: the header that a refusal is addressed with."""
        with suppress(ClientDisconnect, StopAsyncIteration, TimeoutError):
            async with asyncio.timeout(_SOON):
                while len(self._read) < _BEGINNING:
                    self._read += await anext(self._chunks)
        return bytes(self._read[:_BEGINNING])

    def _too_large(self) -> Problem:
        return Problem(Kind.TOO_LARGE, f"A body has at most {self._limit} bytes.")


# HL7 v2.


async def _hl7(raw: bytes, source: SourceRow, services: Services) -> Response:
    (answer,) = await er7.deliver([raw], lambda header: source, services, "http")
    # One refused message makes the whole answer an error; MSA tells which of several it was.
    status = max((_HL7_STATUS[fault] for fault in answer.faults), default=200)
    return _acknowledged(answer.text, status)


async def _hl7_refusal(problem: Problem, body: _Body, services: Services) -> Response:
    text = er7.refusal(await body.beginning(), er7.told_as(problem), services)
    return _acknowledged(text, problem.kind.status, problem)


def _acknowledged(text: bytes, status: int, problem: Problem | None = None) -> Response:
    headers = {"cache-control": "no-store", **_headers(status)}
    return Response(text, status, headers=headers, media_type="x-application/hl7-v2+er7")


def _headers(status: int) -> dict[str, str]:
    if status == 401:
        return dict(bearer.CHALLENGE)
    return {"retry-after": "10"} if status == 503 else {}


# XML and SOAP.


def _xml(text: bytes, status: int, form: xmlack.Form) -> Response:
    headers = {"cache-control": "no-store", **_headers(status)}
    return Response(text, status, headers=headers, media_type=form.media_type)


# Rows, documents, headers of images.


async def _kept(raw: bytes, kind: str, source: SourceRow, services: Services) -> list[Receipt]:
    """Cut as the source's map says and keep every part."""
    if not raw.strip():
        raise Problem(Kind.MALFORMED, "The body is empty.")
    site = await services.maps.get(source.map)
    if kind in DICOM and site.input != "dicom":
        # Another map would keep the pixels with the rest.
        raise Problem(Kind.MEDIA_TYPE, "This source does not send DICOM.")
    if kind in XML and site.input != "xml" and not envelope.declared(site.source):
        raise Problem(Kind.MEDIA_TYPE, "This source does not send XML.")
    if kind in JSON | {"application/dicom+json"}:
        lines = kind in JSON and kind != "application/json"
        if len(raw) > _OFF_THE_LOOP:
            await asyncio.to_thread(_check_json, raw, lines)
        else:
            _check_json(raw, lines)
    if len(raw) > _OFF_THE_LOOP:
        units = await asyncio.to_thread(site.units, raw)
    else:
        units = site.units(raw)
    receipts: list[Receipt] = []
    async for some in in_batches(source.name, units, services, "http"):
        receipts += some
    return receipts


def _check_json(raw: bytes, lines: bool) -> None:
    """Problem(MALFORMED) with line and column unless every value is strict JSON."""
    number = 0
    try:
        for text in raw.splitlines() if lines else [raw]:
            number += 1
            if text.strip():
                check(text)
    except JsonFault as fault:
        line = number if lines else fault.line
        place = f"line {line} column {fault.column}"
        raise Problem(Kind.MALFORMED, f"Not strict JSON ({fault.code}).", place) from None


def _received(receipts: Sequence[Receipt]) -> Response:
    told = [{"id": one.id, "outcome": one.outcome} for one in receipts]
    return _json({"received": told}, 202, "application/json")


def _outcome(problem: Problem) -> Response:
    """The problem as an OperationOutcome (FHIR R4)."""
    told = {"resourceType": "OperationOutcome", "issue": issues(problem)}
    return _json(told, problem.kind.status, "application/fhir+json")


def _json(value: Any, status: int, media_type: str) -> Response:
    headers = {"cache-control": "no-store", **_headers(status)}
    return Response(orjson.dumps(value), status, headers=headers, media_type=media_type)
