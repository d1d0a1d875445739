"""The doctor orders at the HIS: asks what was measured elsewhere and answers, as the HIS's vendor would."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from gateway.demo.road import Road, expect
from gateway.identity.systems import RESIDENT_ID

SERVICE = "recognition-order-select"
PANELS = "https://gateway.example/fhir/CodeSystem/tcm-panels"
KEY = "example.gateway.recognition"


async def prompt(road: Road) -> str:
    """The HIS says that liver function is being ordered and is told of the other hospital's, once in
    a visit; the doctor takes the suggestion with one answer."""
    async with httpx.AsyncClient(base_url=road.base) as http:
        asked = await http.post(
            f"/cds-services/{SERVICE}", json=_select(road), headers=_signed(road)
        )
        expect(asked.status_code == 200, f"the hook was answered {asked.status_code}")
        cards = asked.json()["cards"]
        expect(len(cards) == 1, f"{len(cards)} cards for one order")
        (card,) = cards
        other = road.services.register.get("people").name
        expect(other in card["summary"] + card["detail"], f"{other} is not named")
        expect("62.4" in card["detail"], "the value is not on the card")
        (suggestion,) = card["suggestions"]
        done = {
            "card": card["uuid"],
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": suggestion["uuid"]}],
            "outcomeTimestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        told = await http.post(
            f"/cds-services/{SERVICE}/feedback",
            json={"feedback": [done]},
            headers=_signed(road, "/feedback"),
        )
        expect(told.status_code == 200, f"feedback was answered {told.status_code}")
        again = await http.post(
            f"/cds-services/{SERVICE}", json=_select(road), headers=_signed(road)
        )
        expect(again.json()["cards"] == [], "asked twice in one visit")
    return f"one card, answered with one key: {suggestion['label']}"


def _select(road: Road) -> dict[str, Any]:
    order = {
        "resourceType": "ServiceRequest",
        "id": "lft",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": PANELS, "code": "TCM-LFT"}], "text": "肝功能"},
    }
    return {
        "hook": "order-select",
        "hookInstance": str(uuid.uuid4()),
        "context": {
            "userId": "Practitioner/dr-li",
            "patientId": [{"system": RESIDENT_ID, "value": road.shen.number}],
            "encounterId": "demo-visit",
            "selections": ["ServiceRequest/lft"],
            "draftOrders": {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": order}],
            },
        },
    }


def _signed(road: Road, tail: str = "") -> dict[str, str]:
    audience = f"{road.base}/cds-services/{SERVICE}{tail}"
    return {"authorization": f"Bearer {road.assertion('tcm-his', audience, 'dr-li')}"}
