"""A small CDS client of its own that signs its calls."""

from __future__ import annotations

import json
import secrets
import uuid
from typing import Any

import httpx
from joserfc import jwt

from gateway.identity.systems import RESIDENT_ID
from tests.gateway.cds.specification import response_faults
from tests.gateway.fhir.conftest import KEY, SHEN, Door

ID = "patient-consent-consult"


def audience(door: Door) -> str:
    return f"{door.house.services.settings.base_url}/cds-services/{ID}"


def claims(door: Door, client: str = "tcm-his", user: str = "dr-li", **more: Any) -> dict[str, Any]:
    """The payload of a signed call that speaks for a person."""
    now = door.house.services.now() // 1_000_000
    said: dict[str, Any] = {
        "iss": client,
        "aud": audience(door),
        "iat": now,
        "exp": now + 200,
        "jti": secrets.token_hex(16),
    }
    if user:
        said["extensions"] = {
            "hl7-b2b": {
                "version": "1",
                "subject_id": user,
                "subject_name": user,
                "subject_role": "clinician",
                "organization_id": client.partition("-")[0],
                "purpose_of_use": ["TREAT"],
            }
        }
    return said | more


def signed(said: dict[str, Any], **header: Any) -> dict[str, str]:
    text = jwt.encode(
        {"alg": "ES384", "kid": "1", "typ": "JWT"} | header, said, KEY, algorithms=["ES384"]
    )
    return {"authorization": f"Bearer {text}"}


def number(value: str = SHEN.number) -> list[dict[str, str]]:
    return [{"system": RESIDENT_ID, "value": value}]


def call(**context: Any) -> dict[str, Any]:
    """A call about the resident of these tests unless it says otherwise."""
    return {
        "hook": ID,
        "hookInstance": str(uuid.uuid4()),
        "context": {"patientId": number(), "scope": "patient-privacy"} | context,
    }


async def ask(
    door: Door, body: Any = None, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    """One call, signed for dr-li unless headers say otherwise."""
    content = body if isinstance(body, bytes) else json.dumps(body or call()).encode()
    given = signed(claims(door)) if headers is None else headers
    return await door.web.post(
        f"/cds-services/{ID}",
        content=content,
        headers={"content-type": "application/json"} | given | more,
    )


def decision(answer: httpx.Response) -> dict[str, Any]:
    """What the one card's extension tells machines."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert response_faults(told) == []
    (card,) = told["cards"]
    return dict(card["extension"]["example.gateway.consent-decision"])
