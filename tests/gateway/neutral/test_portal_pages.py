"""A doctor's pages about a person with hidden records are, to the byte, those without them."""

from __future__ import annotations

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

from gateway.demo import story
from gateway.demo.browser import Browser, Page
from tests.gateway.neutral.two_counties import MRN, SHEN, URL, County, two

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counties(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[County, County]]:
    folder = tmp_path_factory.mktemp("pages")
    async with two(folder, migrated_files, 16, seed=4) as both:
        yield both


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


async def walk(county: County) -> list[Page]:
    """Sign in, look the person up, read every page that can be reached from there."""
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
    todo = [address for address, _ in pages[-1].links]
    known = {"/portal/second-factor"}  # a secret made by chance
    while todo:
        address = todo.pop(0)
        if address in known or not address.startswith("/portal/"):
            continue
        known.add(address)
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
    assert MRN not in "".join(page.path for page in without)
