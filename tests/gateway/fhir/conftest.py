"""The whole HTTP server on a real socket, with a hospital's records and systems that hold tokens."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.app import Application, http_server
from gateway.auth import systems
from gateway.demo import story
from gateway.demo.check import free_port
from gateway.exchange import deciding, filing, residents, sources
from gateway.identity.systems import RESIDENT_ID
from gateway.services import open_services
from gateway.services.log import AccessLog
from gateway.settings import Settings
from gateway.store import clients
from gateway.vault import KeyFile
from tests.dicom_objects import image, part10
from tests.gateway.exchange.house import Clock, House, clinician, person

KEY = ECKey.generate_key("P-384", {"kid": "1"})
SHEN = person()
PDF = b"%PDF-1.4\n% \xe5\xbf\x83\n%%EOF\n"


@dataclass
class Door:
    """A served county."""

    house: House
    web: httpx.AsyncClient
    url: str

    @property
    def chart(self) -> str:
        return self.house.chart()

    async def token(
        self, client: str, user: str = "", role: str = "clinician", purpose: str = ""
    ) -> str:
        """A token by the token endpoint itself; with `user` it speaks for a person."""
        services = self.house.services
        claims: dict[str, Any] = {
            "iss": client,
            "sub": client,
            "aud": systems.token_url(services),
            "exp": services.now() // 1_000_000 + 200,
            "jti": secrets.token_hex(16),
        }
        if user:
            claims["extensions"] = {
                "hl7-b2b": {
                    "version": "1",
                    "subject_id": user,
                    "subject_name": user,
                    "subject_role": role,
                    "organization_id": client.partition("-")[0],
                    "purpose_of_use": [purpose or ("TREAT" if role == "clinician" else "HOPERAT")],
                }
            }
        header = {"alg": "ES384", "kid": "1", "typ": "JWT"}
        answer = await self.web.post(
            "/auth/token",
            data={
                "grant_type": "client_credentials",
                "scope": "system/*.cruds",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": jwt.encode(header, claims, KEY, algorithms=["ES384"]),
            },
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def wang(self) -> dict[str, str]:
        """A doctor of the hospital that sent everything."""
        return {"authorization": f"Bearer {await self.token('people-his', 'dr-wang')}"}

    async def li(self) -> dict[str, str]:
        """A doctor of another hospital."""
        return {"authorization": f"Bearer {await self.token('tcm-his', 'dr-li')}"}


async def register(house: House, id: str, scopes: str, roles: tuple[str, ...]) -> None:
    def put(tx: Any) -> None:
        clients.put(
            tx,
            id=id,
            organization=id.partition("-")[0],
            name=id,
            jwks=json.dumps({"keys": [KEY.as_dict(private=False)]}),
            scopes=scopes,
            roles=roles,
            at=1,
        )

    await house.services.db.do(put)


@asynccontextmanager
async def served(folder: Path, migrated: Path, **more: Any) -> AsyncIterator[Door]:
    """An empty county behind its HTTP server, at the house's own time: no day of ours matters."""
    for which in ("records", "keyring"):
        shutil.copyfile(migrated / f"{which}.sqlite", folder / f"{which}.sqlite")
    port = free_port()
    settings = Settings(
        data=folder,
        county="yunxi",
        county_file=story.REGISTER,
        catalogue=story.CATALOGUE,
        demo=True,
        port=port,
        mllp_port=0,
        base_url=f"http://127.0.0.1:{port}",
        answer_floor_ms=0,
        **more,
    )
    KeyFile.create(settings.root_key, demo=True)
    clock = Clock()
    with patch("gateway.services.wall_clock", clock):  # what is founded is in force by then
        opened = await open_services(settings)
    log = AccessLog(opened.db, opened.vault, settings.node, clock)
    services = replace(opened, now=clock, log=log)
    await sources.declare(services)
    house = House(services, clock)
    for id in ("people-his", "tcm-his", "mch-fhir"):
        await register(house, id, "system/*.cruds", ("clinician",))
    await register(house, "county-desk", "system/Consent.cru", ("registrar",))
    server = http_server(Application(services), settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=settings.base_url) as web:
        yield Door(house, web, f"{settings.base_url}/fhir")
    server.should_exit = True
    await serving
    await services.close()


async def fill(door: Door) -> None:
    """A visit with three reports and a document, and a psychiatric visit with one of each."""
    house, mrn, closed = door.house, "0000000001", "0601^精神心理科"
    await house.send(
        house.adt(SHEN),
        *(
            house.oru(SHEN, mrn, ("ALT", f"{n}.10", "F"), report=f"R{n}", at=f"2026-02-20T1{n}:00")
            for n in range(3)
        ),
        house.adt(SHEN, visit="V9", clinic=closed, diagnosis="F32.100^中度抑郁发作"),
        house.oru(SHEN, mrn, ("HAMD", "21", "F"), report="R9", visit="V9", clinic=closed),
        house.mdm(SHEN, mrn, PDF),
        house.mdm(SHEN, mrn, "患者情绪低落。", number="D9", visit="V9", clinic=closed),
    )
    await house.send(
        part10(
            image(PatientID=mrn, PatientName=SHEN.name, PatientBirthDate="19800101", PatientSex="M")
        ),
        source="people-pacs",
    )
    await house.work()
    await keep(house)


OWN = {
    "Task": {"status": "completed", "intent": "order", "for": "for"},
    "DetectedIssue": {"status": "final", "for": "patient"},
    "Communication": {"status": "completed", "for": "subject"},
}


async def keep(house: House) -> None:
    """What the gateway itself writes into a folder, one of each kind."""
    chart, at, services = house.chart(), house.services.now(), house.services
    made = []
    for kind, said in OWN.items():
        id = services.ids("people")("recognition", kind, ("1",))
        fields = {name: value for name, value in said.items() if name != "for"}
        text = {"resourceType": kind, "id": id, **fields}
        text[said["for"]] = {"reference": f"Patient/{chart}"}
        resource = deciding.own(kind, id, json.dumps(text).encode(), at, "people", services)
        made.append((chart, resource))
    for plan in await deciding.plans_of(made, "people", services, at):
        await filing.with_neighbours([plan], services, filing.write_plan, plan, services)


# One county for all tests of a file, which leave it as they found it: a server takes a while to start.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    """A county with records that nobody has consented to share."""
    async with served(tmp_path_factory.mktemp("full"), migrated_files) as door:
        await fill(door)
        yield door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    """The broad form is signed and dr-li of another hospital says she is treating."""
    async with served(tmp_path_factory.mktemp("shared"), migrated_files) as door:
        await fill(door)
        await door.house.sign()
        li = clinician("dr-li", "tcm")
        why = "急诊抢救室接诊"
        await residents.open_resident(RESIDENT_ID, SHEN.number, li, door.house.services, claim=why)
        yield door
