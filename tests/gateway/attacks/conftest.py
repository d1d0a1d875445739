"""A whole county under attack: its server on free ports, filled through its own doors."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from sqlmodel import col, func, select

from gateway.demo import check, story
from gateway.demo.road import PURPOSE, Road
from gateway.identity.systems import RESIDENT_ID
from gateway.store.log_tables import AuditEvent

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    """The pretend county with its data sent and filed, and the residents' forms recorded."""
    async with check.open_road(tmp_path_factory.mktemp("attacked"), "") as opened:
        for station in (
            check.mllp,
            check.rows,
            check.images,
            check.documents,
            check.messages,
            check.files,
        ):
            await station(opened)
        await check.filing(opened)
        await check.desk(opened)
        yield opened


@pytest.fixture
def speak(road: Road) -> Callable[..., Any]:
    """Ask for a token as a system; `claims` and `fields` bend the request, `person` speaks for one."""

    async def ask(
        client: str,
        person: dict[str, Any] | None = None,
        scope: str = "",
        **claims: Any,
    ) -> httpx.Response:
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": client,
            "sub": client,
            "aud": f"{road.base}/auth/token",
            "iat": now,
            "exp": now + 240,
            "jti": f"attack-{time.time_ns()}",
        }
        if person is not None:
            said["extensions"] = {"hl7-b2b": person}
        key = road.keys.private[client]
        header = {"alg": "ES384", "kid": f"{client}-1"}
        async with httpx.AsyncClient() as http:
            return await http.post(
                f"{road.base}/auth/token",
                data={
                    "grant_type": "client_credentials",
                    "scope": scope or next(o.scopes for o in story.CLIENTS if o.id == client),
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": jwt.encode(
                        header, said | claims, key, algorithms=["ES384"]
                    ),
                },
            )

    return ask


def person(user: str, organization: str, role: str = "clinician") -> dict[str, Any]:
    """An `hl7-b2b` object for treatment."""
    return {
        "version": "1",
        "subject_name": "某医生",
        "subject_id": user,
        "subject_role": role,
        "organization_id": organization,
        "purpose_of_use": [PURPOSE],
    }


def fhir(road: Road, token: str) -> httpx.AsyncClient:
    """An HTTP client at the FHIR door."""
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=f"{road.base}/fhir", headers=headers, timeout=60)


async def events(road: Road) -> int:
    """How many events the access log holds."""

    def count(session: Any) -> int:
        return int(session.exec(select(func.count(col(AuditEvent.counter)))).one())

    return await road.services.db.session(count)


async def found(http: httpx.AsyncClient, number: str) -> str:
    """The chart of the resident with that number, as this caller sees it."""
    answer = await http.post("/Patient/_search", data={"identifier": f"{RESIDENT_ID}|{number}"})
    assert answer.status_code == 200
    return str(answer.json()["entry"][0]["resource"]["id"])
