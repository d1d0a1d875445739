"""FHIR messaging's answers: the response Bundle for a request's MessageHeader (R4 2.4, Messaging).

Pure: ids and times come in. The door that receives message Bundles uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from gateway.errors import Kind, Problem, issues

Code = Literal["ok", "transient-error", "fatal-error"]
"""R4 valueset-response-code: kept; send again; sending this again will not help."""

_PASSING = frozenset({Kind.BUSY, Kind.THROTTLED})


def code_of(problem: Problem | None) -> Code:
    """The response code a problem is told with."""
    if problem is None:
        return "ok"
    return "transient-error" if problem.kind in _PASSING else "fatal-error"


def outcome(problem: Problem | None) -> dict[str, Any]:
    """The OperationOutcome that tells it; with no problem, that the message is kept."""
    kept = {
        "severity": "information",
        "code": "informational",
        "details": {"text": "已接收并保存。"},
        "diagnostics": "Received and kept.",
    }
    told = [kept] if problem is None else issues(problem)
    return {"resourceType": "OperationOutcome", "issue": told}


def response(
    request: Mapping[str, Any] | None,
    problem: Problem | None,
    *,
    endpoint: str,
    ids: tuple[str, str, str],
    at: datetime,
) -> dict[str, Any]:
    """The response message: MessageHeader, then the OperationOutcome it points to.

    `request` is the request's MessageHeader as plain JSON, None when none could be read; its id is
    then given as "unknown", because `response.identifier` may not be absent. `endpoint` is our own
    address, `ids` are UUIDs for Bundle, header and outcome.
    """
    bundle_id, header_id, outcome_id = ids
    request = request or {}
    code = code_of(problem)
    header: dict[str, Any] = {"resourceType": "MessageHeader", "id": header_id}
    event = request.get("eventCoding")
    if isinstance(event, Mapping):
        header["eventCoding"] = {
            name: event[name] for name in ("system", "code") if isinstance(event.get(name), str)
        }
    elif isinstance(request.get("eventUri"), str):
        header["eventUri"] = request["eventUri"]
    else:
        header["eventUri"] = "urn:unknown"
    source = request.get("source")
    sender = source.get("endpoint") if isinstance(source, Mapping) else None
    if isinstance(sender, str):
        header["destination"] = [{"endpoint": sender}]
    header["source"] = {"endpoint": endpoint}
    asked = request.get("id")
    header["response"] = {
        "identifier": asked if isinstance(asked, str) and asked else "unknown",
        "code": code,
        "details": {"reference": f"urn:uuid:{outcome_id}"},
    }
    details = {**outcome(problem), "id": outcome_id}
    return {
        "resourceType": "Bundle",
        "id": bundle_id,
        "type": "message",
        "timestamp": at.isoformat(timespec="milliseconds"),
        "entry": [
            {"fullUrl": f"urn:uuid:{header_id}", "resource": header},
            {"fullUrl": f"urn:uuid:{outcome_id}", "resource": details},
        ],
    }
