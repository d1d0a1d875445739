"""The same county twice: once with records that a doctor may not see, once without them.

They are hidden by what they are labelled, and by what the patient refused: one hospital, one kind of
document.

Both have the same keys, the same clock at each delivery and the same consents, so whatever answer
differs by a byte tells the doctor that something is hidden.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx

from consent.fhir import Choice, Form, write_consent
from gateway.app import Application
from gateway.auth import people
from gateway.demo import mch, story
from gateway.demo.panels import BLOOD_COUNT, results
from gateway.exchange import consents, receive, residents, sources
from gateway.identity.systems import RESIDENT_ID
from gateway.services import open_services
from gateway.services.caller import OPERATOR
from gateway.services.log import AccessLog
from gateway.settings import Settings
from gateway.vault import KeyFile
from tests.gateway.exchange.house import NOON, REGISTRAR, SECOND, Clock, House, clinician, person
from tests.gateway.fhir.conftest import Door, register

SHEN = person()
OTHER = person("gu", "顾燶", number="", born=None)
MRN, SECOND_MRN, STRANGER_MRN = "0000000001", "0000000002", "0000000009"
PSYCHIATRY = "0601^精神心理科"
REFUSED_KIND = "OP^手术记录"
PAGE = re.compile(rb"_page=([A-Za-z0-9_\-.~%=]+)")
# The clock, the request's own name, and the receipt: its place in a log of everybody's accesses.
PASSING = {"date", "x-request-id", "x-access-log"}
URL = "http://127.0.0.1:8080"


@dataclass
class County:
    """One of the two: its house, and a doctor of another hospital at its doors."""

    house: House
    door: Door

    async def ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        return await self.door.web.request(method, address, **more)


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    """All that a caller can compare: of a page link its length alone, for it is sealed anew."""
    headers = [(k, v) for k, v in answer.headers.raw if k.decode().lower() not in PASSING]
    body = PAGE.sub(lambda link: b"_page=<%d>" % len(link[1]), answer.content)
    return answer.status_code, headers, body


def page_link(answer: httpx.Response) -> str:
    """The address of the next page, below /fhir; empty on the last."""
    found = [one["url"] for one in answer.json().get("link", ()) if one["relation"] == "next"]
    return found[0].removeprefix(URL) if found else ""


def visible(house: House, number: int) -> bytes:
    """The n-th delivery that the doctor may see."""
    day = f"2026-02-{1 + number % 27:02}"
    match number % 4:
        case 0:
            visit = f"V{number}"
            return house.adt(SHEN, visit=visit, begun=f"{day}T08:00", left=f"{day}T11:00")
        case 3:
            return house.mdm(SHEN, MRN, "复诊，情况稳定。", number=f"D{number}", at=f"{day}T10:00")
        case _:
            values = [("ALT", f"{number}.10", "F"), ("AST", f"{number}.20", "F")]
            return house.oru(SHEN, MRN, *values, report=f"R{number}", at=f"{day}T09:30")


def hidden(house: House, number: int, kind: int) -> bytes:
    """A delivery of which the doctor may learn nothing, not even that there was one."""
    day = f"2026-02-{1 + (number * 7) % 27:02}"
    visit, report = f"X{number}", f"Z{number}"
    match kind % 7:
        case 0:
            return house.adt(
                SHEN,
                visit=visit,
                clinic=PSYCHIATRY,
                begun=f"{day}T08:00",
                diagnosis="F32.100^中度抑郁发作",
            )
        case 1:
            values = [("HAMD", f"{number}", "F")] * 1
            return house.oru(
                SHEN, MRN, *values, report=report, visit=visit, clinic=PSYCHIATRY, at=f"{day}T10:00"
            )
        case 2:
            return house.mdm(
                SHEN,
                MRN,
                "情绪低落。",
                number=report,
                visit=visit,
                clinic=PSYCHIATRY,
                at=f"{day}T10:00",
            )
        case 3:  # another folder of the same person, of which nothing may be seen
            return house.adt(
                SHEN, SECOND_MRN, visit=visit, clinic=PSYCHIATRY, diagnosis="F20.000^精神分裂症"
            )
        case 4:  # somebody else
            return house.oru(
                OTHER, STRANGER_MRN, ("ALT", f"{number}.70", "F"), report=report, at=f"{day}T10:00"
            )
        case 5:  # the patient refused this kind; what tells where it came from is not labelled
            return house.mdm(
                SHEN, MRN, "手术顺利。", number=report, at=f"{day}T10:00", title=REFUSED_KIND
            )
        case _:
            values = [("HIVAB", "1.0", "F")]
            return house.oru(
                SHEN,
                MRN,
                *values,
                report=report,
                order="HIV^HIV抗体",
                at=f"{day}T10:00",
            )


async def opened(folder: Path) -> House:
    settings = Settings(
        data=folder,
        county="yunxi",
        county_file=story.REGISTER,
        catalogue=story.CATALOGUE,
        demo=True,
        mllp_port=0,
        base_url=URL,
        answer_floor_ms=0,
    )
    services = await open_services(settings)
    clock = Clock()
    log = AccessLog(services.db, services.vault, "test", clock)
    return House(replace(services, now=clock, log=log), clock)


async def founded(folder: Path, migrated: Path) -> None:
    """What both have: the keys, the person's first visit, the signed form, the doctor's claim."""
    folder.mkdir()
    for which in ("records", "keyring"):
        shutil.copyfile(migrated / f"{which}.sqlite", folder / f"{which}.sqlite")
    KeyFile.create(folder / "root.key", demo=True)
    house = await opened(folder)
    await sources.declare(house.services)
    for id in ("people-his", "tcm-his"):
        await register(house, id, "system/*.cruds", ("clinician",))
    await people.open_account(
        house.services,
        login="dr-li",
        name="李玘",
        organization="tcm",
        password=story.PASSWORD,
        roles=("clinician",),
        by=OPERATOR,
    )
    await house.file(house.adt(SHEN))
    await house.sign()
    kinds = f"{house.services.settings.canonical}/CodeSystem/people-document-types"
    kind = {"system": kinds, "code": REFUSED_KIND.partition("^")[0]}
    await refuse(house, provision={"type": "deny", "code": [{"coding": [kind]}]})
    await refuse(house, organization=[{"reference": "Organization/mch"}])
    li = clinician("dr-li", "tcm")
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, li, house.services, claim="急诊抢救室接诊"
    )
    await house.services.close()


async def refuse(house: House, **how: Any) -> None:
    """Record what the patient does not want shared, beside the broad form."""
    form = Form(
        choice=Choice.REFUSE_ALL,
        id="x",
        patient=f"Patient/{house.chart(MRN)}",
        performer=f"Patient/{house.chart(MRN)}",
        organization="Organization/county",
        at="2026-02-02T10:00:00+08:00",
        evidence_sha256="b" * 64,
    )
    base = house.services.settings.canonical
    plain = json.loads(write_consent(form, base))
    plain["policy"] = [{"uri": f"{base}/policies/sharing#{min(how)}"}]
    await consents.create(json.dumps(plain | how).encode(), REGISTRAR, house.services)


async def filled(house: House, deliveries: int, chance: Random | None) -> None:
    """The visible deliveries; with `chance` hidden ones before, between and behind them.

    A message's own name, made by chance, stands in what is told of it: here it is its number.
    """
    named = SimpleNamespace(token_hex=lambda _: f"{house.sent:032x}")
    with mock.patch.object(receive, "secrets", named):
        await _filled(house, deliveries, chance)


async def _filled(house: House, deliveries: int, chance: Random | None) -> None:
    house.sent = 100
    secret = 0
    values = results(BLOOD_COUNT, "mch", "two")
    for number in range(deliveries):
        for _ in range(chance.randint(0, 3) if chance else 0):
            secret += 1
            kept = house.sent
            house.sent = 10_000 + secret
            house.clock.at = NOON + number * 60 * SECOND + 30 * SECOND
            await house.file(hidden(house, secret, secret))
            if secret % 5 == 0:  # another hospital's, of which the patient refused everything
                house.sent = 20_000 + secret
                at = datetime.fromisoformat(f"2026-02-{1 + secret % 27:02}T09:10")
                raw, _ = mch.bundle(SHEN, BLOOD_COUNT, values, at)
                assert await house.file(raw, source=mch.SOURCE) == ["filed"]
            house.sent = kept
        house.clock.at = NOON + (number + 1) * 60 * SECOND
        assert await house.file(visible(house, number)) == ["filed"]
    # Somebody else's, so that both have heard of that hospital at the same time.
    house.sent += 1
    house.clock.at = NOON + (deliveries + 1) * 60 * SECOND
    raw, _ = mch.bundle(OTHER, BLOOD_COUNT, values, datetime.fromisoformat("2026-02-28T09:10"))
    await house.file(raw, source=mch.SOURCE)
    house.clock.at = NOON + (deliveries + 2) * 60 * SECOND


@asynccontextmanager
async def served(folder: Path, deliveries: int, chance: Random | None) -> AsyncIterator[County]:
    """A county filled and at its doors."""
    house = await opened(folder)
    await filled(house, deliveries, chance)
    web = httpx.AsyncClient(
        transport=httpx.ASGITransport(Application(house.services)),  # type: ignore[arg-type]
        base_url=URL,
    )
    async with web:
        door = Door(house, web, f"{URL}/fhir")
        web.headers.update(await door.li())
        yield County(house, door)
    await house.services.close()


@asynccontextmanager
async def two(
    folder: Path, migrated: Path, deliveries: int, seed: int
) -> AsyncIterator[tuple[County, County]]:
    """(without the hidden records, with them)"""
    await founded(folder / "base", migrated)
    for name in ("without", "with"):
        shutil.copytree(folder / "base", folder / name)
    async with (
        served(folder / "without", deliveries, None) as without,
        served(folder / "with", deliveries, Random(seed)) as with_,
    ):
        yield without, with_
