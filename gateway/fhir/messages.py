"""FHIR messaging: a message Bundle in, kept, and a response Bundle out (R4 2.4)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from gateway.auth.bearer import allows
from gateway.errors import Complaint, Kind, Problem
from gateway.exchange.aside import aside
from gateway.exchange.receive import Unit, receive, source_of_client
from gateway.fhir import response
from gateway.fhir.answers import Answer
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.inbox import SourceRow
from mappings.engine import Ids, Map, jsontext

if TYPE_CHECKING:
    from gateway.fhir.door import Request

JSON = frozenset({"application/fhir+json", "application/json"})


async def process(request: Request, caller: Caller) -> Answer:
    """POST $process-message: answered once the message is durably kept.

    What cannot be read is kept all the same, for quarantine; the answer says so and why.
    """
    services = request.services
    if not allows(caller.scopes, "Bundle", "create"):
        raise Problem(Kind.REFUSED, "The token's scopes do not allow this.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON:
        raise Problem(Kind.MEDIA_TYPE, "Send application/fhir+json.")
    source = await source_of_client(caller.client, services)
    raw = await request.body(services.settings.body_limit)
    header: Mapping[str, Any] | None = None
    problem: Problem | None = None
    try:
        header = _header(await aside(len(raw), jsontext.check, raw))
        control = str(header.get("id", ""))
    except Problem as found:
        problem, control = found, ""
    except jsontext.JsonFault as fault:
        place = f"line {fault.line}, column {fault.column}"
        problem = Problem(Kind.MALFORMED, f"{fault.text('zh')} {fault.text('en')}", place)
        control = ""
    try:
        await receive(source.name, [Unit(raw, control)], services, "fhir")
    except Problem as found:
        problem = found
    if problem is None:
        problem = await _told_at_once(raw, source, services)
    answer = response.response(
        header,
        problem,
        endpoint=f"{services.settings.base_url}/fhir/$process-message",
        ids=(str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())),
        at=moment(services.now(), services.settings.zone),
    )
    return Answer(problem.kind.status if problem else 200, orjson.dumps(answer))


def _header(bundle: Any) -> Mapping[str, Any]:
    """The MessageHeader, which R4 wants as the first entry."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Problem(Kind.UNPROCESSABLE, "A message is a Bundle.", "resourceType")
    if bundle.get("type") != "message":
        raise Problem(Kind.UNPROCESSABLE, "This is not a message Bundle.", "Bundle.type")
    entries = bundle.get("entry")
    first = entries[0] if isinstance(entries, list) and entries else None
    header = first.get("resource") if isinstance(first, dict) else None
    if not isinstance(header, dict) or header.get("resourceType") != "MessageHeader":
        raise Problem(
            Kind.UNPROCESSABLE, "The first entry is a MessageHeader.", "Bundle.entry[0].resource"
        )
    return header


async def _told_at_once(raw: bytes, source: SourceRow, services: Services) -> Problem | None:
    """What stops the whole message; the rest is found when it is filed."""
    try:
        site = await services.maps.get(source.map)
    except Problem:
        return None  # the message is kept and waits for a map
    return await aside(len(raw), _unreadable, raw, site, services.ids(source.organization))


def _unreadable(raw: bytes, site: Map, ids: Ids) -> Problem | None:
    reading = site.read(raw, ids)
    stops = [
        issue
        for issue in (*reading.issues, *(i for m in reading.messages for i in m.issues))
        if issue.severity == "stop"
    ]
    if not stops:
        return None
    return Problem(
        Kind.UNPROCESSABLE,
        stops[0].text("en"),
        complaints=tuple(
            Complaint(f"{one.text('zh')} {one.text('en')}", one.place, "processing")
            for one in stops[:20]
        ),
    )
