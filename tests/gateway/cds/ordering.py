"""A HIS that orders: draft orders, hooks and feedback, over a real socket."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx

from gateway.exchange import ledger
from gateway.recognition.ledger import Event, Happened
from tests.gateway.cds.hooks import claims, signed
from tests.gateway.cds.specification import response_faults
from tests.gateway.exchange.house import HOUR, House
from tests.gateway.fhir.conftest import SHEN, Door

SELECT, SIGN, VIEW = (
    "recognition-order-select",
    "recognition-order-sign",
    "recognition-patient-view",
)
LOINC = "http://loinc.org"
ALT, AST, ALP, CREA = "1742-6", "1920-8", "6768-6", "14682-9"
KEY = "example.gateway.recognition"


def recent(house: House, *values: tuple[str, str, str], report: str = "R7", **more: Any) -> bytes:
    """A report of two days ago: young enough to be recognised."""
    raw = house.oru(SHEN, "0000000001", *values, report=report, at="2026-02-27T10:00", **more)
    return raw.replace(b"20260220", b"20260227")


def order(id: str, *codes: str, text: str = "", **more: Any) -> dict[str, Any]:
    """A draft order for items by their LOINC codes."""
    code: dict[str, Any] = {"coding": [{"system": LOINC, "code": one} for one in codes]}
    if text:
        code["text"] = text
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "draft",
        "intent": "order",
        "code": code,
    } | more


def call(
    door: Door,
    hook: str,
    *orders: dict[str, Any],
    patient: Any = None,
    user: str = "dr-li",
    **more: Any,
) -> dict[str, Any]:
    """A call about the resident of these tests unless it says otherwise."""
    context: dict[str, Any] = {
        "userId": f"Practitioner/{user}",
        "patientId": patient if patient is not None else door.chart,
        "encounterId": "V77",
    }
    if hook != VIEW:
        context["draftOrders"] = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": one} for one in orders],
        }
    if hook == SELECT:
        context["selections"] = [f"{one['resourceType']}/{one['id']}" for one in orders]
    return {
        "hook": hook.removeprefix("recognition-"),
        "hookInstance": str(uuid.uuid4()),
        "context": context | more,
    }


async def post(
    door: Door,
    path: str,
    body: Any,
    user: str = "dr-li",
    client: str = "tcm-his",
    **headers: str,
) -> httpx.Response:
    """One signed call of a client for a clinician."""
    base = door.house.services.settings.base_url
    said = claims(door, client, user) | {"aud": f"{base}/cds-services/{path}"}
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return await door.web.post(
        f"/cds-services/{path}",
        content=content,
        headers={"content-type": "application/json"}
        | signed(said)
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )


async def hook(
    door: Door,
    service: str,
    *orders: dict[str, Any],
    user: str = "dr-li",
    client: str = "tcm-his",
    language: str = "zh",
    **more: Any,
) -> list[dict[str, Any]]:
    """The cards of one call, checked against the specification."""
    answer = await post(
        door,
        service,
        call(door, service, *orders, user=user, **more),
        user,
        client,
        accept_language=language,
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert response_faults(told) == []
    return list(told["cards"])


def accepted(card: dict[str, Any]) -> dict[str, Any]:
    (suggestion,) = card["suggestions"]
    return {
        "card": card["uuid"],
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": suggestion["uuid"]}],
        "outcomeTimestamp": "2026-03-01T12:00:00+08:00",
    }


def overridden(card: dict[str, Any], code: str = "", words: str = "") -> dict[str, Any]:
    said: dict[str, Any] = {
        "card": card["uuid"],
        "outcome": "overridden",
        "outcomeTimestamp": "2026-03-01T12:00:00+08:00",
    }
    if code or words:
        said["overrideReason"] = {}
    if code:
        (reason,) = (one for one in card["overrideReasons"] if one["code"] == code)
        said["overrideReason"]["reason"] = reason
    if words:
        said["overrideReason"]["userComment"] = words
    return said


async def feed_back(
    door: Door, service: str, *entries: dict[str, Any], user: str = "dr-li", client: str = "tcm-his"
) -> httpx.Response:
    return await post(door, f"{service}/feedback", {"feedback": list(entries)}, user, client)


async def events(door: Door, *kinds: Happened) -> list[Event]:
    """What the ledger holds, oldest first."""
    services = door.house.services
    found = await ledger.between(0, services.now() + HOUR, services)
    return [one for one in found if not kinds or one.kind in kinds]
