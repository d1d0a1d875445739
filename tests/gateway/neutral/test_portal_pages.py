"""A doctor's pages about a person with hidden records are, to the byte, those without them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select

from gateway.demo import archive, pacs, story
from gateway.demo.browser import Browser, Page
from gateway.exchange import receive
from gateway.portal import desk, handles
from gateway.services import even
from gateway.services.archives import Archives
from gateway.services.register import load
from gateway.settings import Settings
from gateway.store import recognition_tables
from gateway.store.statements import Statement
from tests.dicom_objects import image, part10
from tests.gateway.neutral.two_counties import MRN, PASSING, SHEN, URL, County, two

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counties(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[County, County]]:
    folder = tmp_path_factory.mktemp("pages")
    async with (
        two(folder, migrated_files, 16, seed=4) as both,
        archive.serving(Settings(data=folder)) as settings,
    ):
        declared = Archives(load(settings.county_file).archives)
        for county in both:
            object.__setattr__(county.house.services, "archives", declared)
            await imaged(county, "20260227")
        await imaged(both[1], "20260226", StudyDescription="艾滋病相关肺部感染复查")
        yield both
        await declared.settled()


async def imaged(county: County, day: str, **hidden: str) -> None:
    """A chest CT of which the archive has images; one that is `hidden` is there all the same."""
    study, house = f"{pacs.ROOT}.{day}.902", county.house
    kept, house.sent = house.sent, 40_000
    raw = part10(
        image(
            StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", SOPInstanceUID=f"{study}.1.1",
            AccessionNumber=pacs.accession(day), PatientID=MRN, PatientName="Shen=王珅",
            **dict.fromkeys(("StudyDate", "SeriesDate", "InstanceCreationDate"), day), **hidden,
        )
    )  # fmt: skip
    named = SimpleNamespace(token_hex=lambda _: f"{day}{house.sent:024x}")
    with mock.patch.object(receive, "secrets", named):
        assert await house.file(raw, source=pacs.SOURCE) == ["filed"]
    house.sent = kept


@contextmanager
def by_number() -> Iterator[None]:
    """What a session is made of by chance is counted instead: two browsers get the same."""
    numbers = count(1)

    def made(size: int = 32) -> str:
        return sha256(b"%d" % next(numbers)).hexdigest()[: max(size, 43)]

    named = SimpleNamespace(token_urlsafe=made, token_hex=made, compare_digest=None)
    with (
        mock.patch("gateway.auth.people.secrets", named),
        mock.patch("gateway.portal.desk.secrets", named),
        mock.patch("gateway.portal.headers.secrets", named),
    ):
        yield


async def entered(county: County) -> tuple[Browser, list[Page]]:
    """Signed in, with the person looked up; the pages on the way."""
    browser = Browser(URL)
    transport = county.door.web._transport
    browser._http = httpx.AsyncClient(
        transport=transport,
        base_url=URL,
        follow_redirects=True,
        headers={"origin": URL, "sec-fetch-site": "same-origin"},
    )
    pages = [await browser.go("/portal/sign-in")]
    fields = {"login": "dr-li", "password": story.PASSWORD}
    pages.append(await browser.submit(pages[-1], "/sign-in", fields))
    pages.append(await browser.submit(pages[-1], "/look-up", {"number": SHEN.number}))
    return browser, pages


async def walk(county: County) -> list[Page]:
    """Every page that can be reached from there."""
    browser, pages = await entered(county)
    todo = [address for address, _ in pages[-1].links]
    known = {"/portal/second-factor"}  # a secret made by chance
    while todo:
        address = todo.pop(0)
        if address in known or not address.startswith("/portal/"):
            continue
        known.add(address)
        await county.house.services.archives.settled()  # else it is chance what is known yet
        page = await browser.go(address)
        pages.append(page)
        todo += [to for to, _ in page.links]
    await browser._http.aclose()
    return pages


async def test_every_page_of_the_portal_is_the_same(counties: tuple[County, County]) -> None:
    walks = []
    for county in counties:
        with by_number():
            walks.append(await walk(county))
    without, with_ = walks
    assert [(page.status, page.path) for page in without] == [
        (page.status, page.path) for page in with_
    ]
    for one, other in zip(without, with_, strict=True):
        assert one.html == other.html, one.path
    reports = [page for page in without if "/reports/" in page.path]
    assert len(reports) >= 8
    studies = [page for page in without if page.path.startswith("/portal/images/")]
    assert len(studies) > pacs.SLICES["肺窗 1.25mm"]
    assert all(page.status == 200 for page in studies)
    assert "/0/6.jpg" in studies[0].html
    assert MRN not in "".join(page.path for page in without)


async def test_a_hidden_study_and_an_absent_one_are_one_answer(
    counties: tuple[County, County], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every address of images, though the archive has them: status, body, headers, step of time."""
    _, county = counties
    hidden = next(
        one for one in await county.house.current("ImagingStudy") if one.nature.sensitivities
    )
    uid = f"{pacs.ROOT}.20260226.902"
    assert uid in str(hidden.plain)
    keys: list[str] = []
    monkeypatch.setattr(desk, "handles", lambda key: keys.append(key) or handles.handles(key))
    waited: list[int] = []

    async def note(began: float, step: int) -> None:
        waited.append(step)

    browser, _ = await entered(county)
    await browser.go("/portal/images")
    monkeypatch.setattr(even, "even", note)
    names = [handles.handle(keys[-1], id) for id in (hidden.id, "0" * 32)]
    places = [
        "images/{}", "images/{}/0/0", "images/{}/0/0.jpg", "images/{}/9/9",
        "dicomweb/{}/studies?StudyInstanceUID=" + uid, "dicomweb/{}/studies/" + uid + "/metadata",
        "dicomweb/{}/studies/" + uid + f"/series/{uid}.1/instances/{uid}.1.1/rendered",
    ]  # fmt: skip
    for place in places:
        one, other = [
            told(await browser._http.get(f"/portal/{place.format(name)}"), name) for name in names
        ]
        assert one[0] == 404, place
        assert one == other, place
    assert waited == [county.house.services.settings.answer_floor_ms] * 2 * len(places)
    asked = Statement(select(recognition_tables.ImageProbe.__table__.c.study))  # type: ignore[attr-defined]
    assert hidden.id not in {id for (id,) in await county.house.services.db.read(asked)}
    await browser.close()


def told(answer: httpx.Response, handle: str) -> tuple[int, list[str], str]:
    """What a browser is told, without what passes, its own address and the nonce of the answer."""
    headers = "\n".join(
        f"{name}: {value}" for name, value in answer.headers.items() if name not in PASSING
    )
    nonce = re.search(r"'nonce-([^']+)'", headers)
    gone = [handle, *([nonce[1]] if nonce else [])]
    body = answer.text
    for one in gone:
        headers, body = headers.replace(one, ""), body.replace(one, "")
    return answer.status_code, sorted(headers.splitlines()), body
