"""The doors that hospitals see, over a real store, ready for conversations."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette

from gateway.auth import systems
from gateway.demo import story
from gateway.exchange import sources
from gateway.intake import http, mllp
from gateway.services import Services, open_services
from gateway.settings import Settings
from gateway.store import clients
from gateway.store.inbox import SAME_BYTES, Tally
from gateway.store.migrate import migrate
from gateway.vault import KeyFile

KEY = ECKey.generate_key("P-384", {"kid": "1"})
PLAIN = "people-his=127.0.0.1/32"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty databases to copy, because migrating takes longer than a test."""
    folder = tmp_path_factory.mktemp("wire")
    asyncio.run(migrate(f"sqlite:///{folder}/records.sqlite", "records"))
    asyncio.run(migrate(f"sqlite:///{folder}/keyring.sqlite", "keyring"))
    return folder


@dataclass
class Doors:
    """The open doors of one county."""

    services: Services
    web: httpx.AsyncClient
    mllp: mllp.MllpDoor

    async def token(self, client: str) -> str:
        """An access token of a registered system, by the token endpoint itself."""
        now = self.services.now() // 1_000_000
        url = systems.token_url(self.services)
        claims = {"iss": client, "sub": client, "aud": url, "exp": now + 200}
        claims["jti"] = secrets.token_hex(16)
        header = {"alg": "ES384", "kid": "1", "typ": "JWT"}
        assertion = jwt.encode(header, claims, KEY, algorithms=["ES384"])
        told = await systems.issue(
            {
                "grant_type": "client_credentials",
                "scope": "system/*.cruds",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion,
            },
            self.services,
        )
        return str(told["access_token"])

    async def received(self) -> dict[str, Tally]:
        """What came from each source."""
        return {tally.name: tally for tally in await sources.tallies(self.services)}

    async def keeps(self, source: str, raw: bytes) -> bool:
        """Whether exactly these bytes are in the inbox."""
        digest = self.services.vault.digest(f"inbox/{source}", raw)
        return bool(await self.services.db.read(SAME_BYTES, source, digest))


@pytest.fixture
async def open_doors(migrated: Path, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Open the doors with other settings or less patience than usual."""
    opened: list[Doors] = []

    async def make(patience: mllp.Patience | None = None, **changed: Any) -> Doors:
        for name in ("records.sqlite", "keyring.sqlite"):
            (tmp_path / name).write_bytes((migrated / name).read_bytes())
        given = {
            "data": tmp_path,
            "county_file": story.REGISTER,
            "catalogue": story.CATALOGUE,
            "demo": True,
            "mllp_plain": PLAIN,
            "body_limit": 20_000,
            **changed,
        }
        settings = Settings(**given)
        KeyFile.create(settings.root_key, demo=True)
        services = await open_services(settings)
        await sources.declare(services)
        for name in ("people-his", "people-pacs", "tcm-lis", "tcm-emr", "township-csv"):
            await register(services, name, "system/*.cruds")
        await register(services, "mch-fhir", "system/*.rs")  # may read, not push
        app = Starlette(routes=[*http.routes(services), *systems.routes(services)])
        transport = httpx.ASGITransport(app=app)
        web = httpx.AsyncClient(transport=transport, base_url=settings.base_url)
        door = await mllp.open_door(services, "127.0.0.1", 0, patience)
        opened.append(Doors(services, web, door))
        return opened[-1]

    yield make
    for doors in opened:
        await doors.mllp.close()
        await doors.web.aclose()
        await doors.services.close()


@pytest.fixture
async def doors(open_doors: Callable[..., Any]) -> Doors:
    """The doors with usual settings: people-his may speak plain MLLP from 127.0.0.1."""
    made: Doors = await open_doors()
    return made


async def register(services: Services, id: str, scopes: str) -> None:
    def put(tx: Any) -> None:
        clients.put(
            tx,
            id=id,
            organization=id.partition("-")[0],
            name=id,
            jwks=json.dumps({"keys": [KEY.as_dict(private=False)]}),
            scopes=scopes,
            at=1,
        )

    await services.db.do(put)
