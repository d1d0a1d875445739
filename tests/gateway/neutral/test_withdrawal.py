"""A consent withdrawn in the middle of something: not a byte leaves afterwards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
import pytest_asyncio
from sqlmodel import select

from gateway.exchange import consents, residents
from gateway.fhir import export
from gateway.fhir.door import FhirDoor
from gateway.identity.systems import RESIDENT_ID
from gateway.store import clients
from gateway.store.log_tables import AuditEvent
from tests.gateway.exchange.house import REGISTRAR, clinician, person
from tests.gateway.fhir.conftest import Door, fill, register, served
from tests.gateway.neutral.two_counties import page_link

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIGNED = count(1)
Work = Callable[[], Awaitable[Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def county(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:

    async with served(tmp_path_factory.mktemp("withdrawal"), migrated_files) as door:
        await fill(door)
        li = clinician("dr-li", "tcm")
        await residents.open_resident(
            RESIDENT_ID, person().number, li, door.house.services, claim="急诊抢救室接诊"
        )
        yield door


@pytest_asyncio.fixture(loop_scope="module")
async def withdrawal(county: Door) -> AsyncIterator[Work]:
    """A signed form, and how it is taken back."""
    form = await county.house.sign(at=f"2026-02-01T10:00:{next(SIGNED):02}+08:00")

    async def take_back() -> None:
        await consents.withdraw(form.id, REGISTRAR, county.house.services)

    yield take_back
    await take_back()


@contextmanager
def pieces_of(size: int) -> Iterator[None]:
    with mock.patch.object(export, "PIECE", size):
        yield


async def streamed(door: Door, headers: dict[str, str], meanwhile: Work | None = None) -> list[str]:
    """The lines of an export, spoken to without a socket; `meanwhile` runs when the first have left."""
    left: list[bytes] = []
    status: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
        elif message.get("body"):
            left.append(message["body"])
            if len(left) == 1 and meanwhile is not None:
                await meanwhile()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/fhir/Patient/{door.chart}/$everything",
        "query_string": b"",
        "headers": [(b"accept", export.NDJSON)]
        + [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    await FhirDoor(door.house.services)(scope, receive, send)
    assert status == [200]
    return b"".join(left).decode().splitlines()


async def events(door: Door) -> Counter[str]:
    """How many of each kind the log holds."""

    def all_of(session: Any) -> Counter[str]:
        return Counter(session.exec(select(AuditEvent.kind)))

    return await door.house.services.db.session(all_of)


async def test_the_third_page_is_empty_when_consent_went_after_the_second(
    county: Door, withdrawal: Work
) -> None:
    headers = await county.li()
    address = f"/fhir/Patient/{county.chart}/$everything?_count=3"
    pages = []
    for number in range(4):
        answer = await county.web.get(address, headers=headers)
        pages.append(answer.json())
        assert len(pages[-1].get("entry", ())) == (3 if number < 2 else 0)
        address = page_link(answer) if number < 2 else address
        if number == 1:
            await withdrawal()
            following = page_link(answer).replace(county.url.removesuffix("/fhir"), "")
            address = following
    assert pages[2]["total"] == 0
    assert [link["relation"] for link in pages[2]["link"]] == ["self"]


async def test_everything_asked_while_consent_goes_is_decided_anew(
    county: Door, withdrawal: Work
) -> None:
    """The withdrawal comes between the decision and its event: the answer is made again."""
    services = county.house.services
    write = services.log.write
    once = iter([withdrawal])

    async def interrupted(draft: Any) -> Any:
        for work in once:
            await work()
        return await write(draft)

    with mock.patch.object(services.log, "write", interrupted):
        answer = await county.web.get(
            f"/fhir/Patient/{county.chart}/$everything", headers=await county.li()
        )
    assert (answer.status_code, answer.json()["total"]) == (200, 0)
    assert "entry" not in answer.json()


async def test_an_export_is_everything_line_by_line(county: Door, withdrawal: Work) -> None:
    headers = await county.li()
    whole = await county.web.get(f"/fhir/Patient/{county.chart}/$everything", headers=headers)
    entries = [one["resource"] for one in whole.json()["entry"]]
    with pieces_of(4):
        before = await events(county)
        lines = await streamed(county, headers)
        told = await events(county) - before
    assert [json.loads(line) for line in lines] == entries
    assert len(entries) > 12
    assert told == {"export": -(-len(entries) // 4)}, "each piece has its event"


async def test_an_export_over_a_socket(county: Door, withdrawal: Work) -> None:
    headers = {**await county.li(), "accept": export.NDJSON.decode()}
    with pieces_of(5):
        async with county.web.stream(
            "GET", f"/fhir/Patient/{county.chart}/$everything", headers=headers
        ) as answer:
            lines = [line async for line in answer.aiter_lines()]
    assert answer.headers["content-type"] == export.NDJSON.decode()
    assert answer.headers["x-access-log"]
    assert "content-length" not in answer.headers
    assert len(lines) > 12


async def test_an_export_ends_where_consent_ends(county: Door, withdrawal: Work) -> None:
    headers = await county.li()
    with pieces_of(4):
        lines = await streamed(county, headers, withdrawal)
        assert len(lines) == 4, "what had left, and nothing after it"
        assert await streamed(county, headers) == []


async def test_an_export_ends_where_the_token_ends(county: Door, withdrawal: Work) -> None:
    headers = await county.li()

    async def revoke() -> None:
        await county.house.services.db.do(clients.revoke, "tcm-his")

    with pieces_of(4):
        assert len(await streamed(county, headers, revoke)) == 4
    await register(county.house, "tcm-his", "system/*.cruds", ("clinician",))


async def test_a_fault_of_ours_leaves_an_export_visibly_short(
    county: Door, withdrawal: Work
) -> None:
    headers = {**await county.li(), "accept": export.NDJSON.decode()}
    more = export.ask.more

    async def broken(*given: Any) -> Any:
        await more(*given)
        raise RuntimeError("a name that must not be printed")

    came = bytearray()

    async def take() -> None:
        address = f"/fhir/Patient/{county.chart}/$everything"
        async with county.web.stream("GET", address, headers=headers) as answer:
            async for part in answer.aiter_raw():
                came.extend(part)

    faulty = mock.patch.object(export.ask, "more", broken)
    with pieces_of(4), faulty, pytest.raises(httpx.RemoteProtocolError):
        await take()
    assert came.count(b"\n") == 4


async def test_an_export_of_somebody_not_treated_is_refused_as_of_nobody(county: Door) -> None:
    headers = {
        "authorization": f"Bearer {await county.token('mch-fhir', 'dr-chen')}",
        "accept": export.NDJSON.decode(),
    }
    found = [
        await county.web.get(f"/fhir/Patient/{id}/$everything", headers=headers)
        for id in (county.chart, "0" * 32)
    ]
    assert {one.status_code for one in found} == {403}
    assert found[0].content == found[1].content
