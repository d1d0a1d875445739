"""Attacks by people at the portal: forms of another tab, too many look-ups, addresses made up."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from gateway.demo import check, story
from gateway.demo.browser import Browser, Page
from gateway.demo.check import SCAN
from gateway.demo.residents import Resident
from gateway.demo.road import Road
from gateway.portal.pace import MOST, Pace

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def signed_in(road: Road, login: str) -> Browser:
    browser = Browser(road.base)
    page = await browser.go("/portal/sign-in")
    await browser.submit(page, "/sign-in", {"login": login, "password": story.PASSWORD})
    return browser


async def at_desk(browser: Browser, who: Resident) -> Page:
    page = await browser.go("/portal/consents/find")
    return await browser.submit(page, "/consents/find", {"number": who.number})


def others(road: Road) -> tuple[Resident, Resident]:
    """Two residents without a form of their own."""
    free = [one for one in road.county.residents if one.number and one.will == "none"]
    return free[0], free[1]


async def active(browser: Browser, who: Resident) -> int:
    return (await at_desk(browser, who)).html.count("/withdraw")


FORM = {"witness": "周立", "signed": "2026-01-02"}
FILES = {"evidence": ("form.pdf", SCAN, "application/pdf")}


async def test_a_form_read_to_one_resident_is_not_recorded_for_the_one_in_the_other_tab(road):
    browser = await signed_in(road, "registrar")
    try:
        first, second = others(road)
        page = await at_desk(browser, first)
        left = await browser.submit(page, "/consents", {"name": first.name, "kind": "share"})
        page = await at_desk(browser, second)
        await browser.submit(page, "/consents", {"name": second.name, "kind": "share"})

        done = await browser.submit(left, "/consents/new", FORM, FILES)

        assert done.status == 409
        assert await active(browser, second) == 0
    finally:
        await browser.close()


async def test_a_form_is_not_recorded_as_another_choice_than_was_read_out(road):
    browser = await signed_in(road, "registrar")
    try:
        first, _ = others(road)
        page = await at_desk(browser, first)
        read_out = await browser.submit(page, "/consents", {"name": first.name, "kind": "share"})
        page = await browser.go("/portal/consents")
        await browser.submit(page, "/consents", {"name": first.name, "kind": "refuse-all"})

        done = await browser.submit(read_out, "/consents/new", FORM, FILES)

        assert done.status == 409
        assert await active(browser, first) == 0
    finally:
        await browser.close()


async def test_a_declaration_about_one_person_is_not_taken_for_the_one_in_the_other_tab(road):
    browser = await signed_in(road, "dr-zhou")
    try:
        first, second = others(road)
        pages = []
        for who in (first, second):
            page = await browser.go("/portal/look-up")
            pages.append(await browser.submit(page, "/look-up", {"number": who.number}))
        said = {"reason": check.REASON, "declared": "yes"}
        done = await browser.submit(pages[0], "/claim", said)
        assert done.status == 409
    finally:
        await browser.close()


async def test_the_31st_look_up_of_a_minute_is_answered_with_a_request_to_wait(road):
    browser = await signed_in(road, "dr-chen")
    try:
        number = road.shen.number
        statuses = []
        for _ in range(MOST + 1):
            page = await browser.go("/portal/look-up")
            page = await browser.submit(page, "/look-up", {"number": number})
            statuses.append(page.status)
        assert statuses[:-1].count(429) == 0
        assert statuses[-1] == 429
        assert page.says("查询过于频繁")
        assert number not in page.html
    finally:
        await browser.close()


def _pace(times: list[int]) -> list[bool]:
    pace = Pace(2, 10)
    taken = []
    for at in times:
        try:
            pace.take("look-up", "dr", at)
            taken.append(True)
        except Exception:
            taken.append(False)
    return taken


async def test_who_waits_may_look_up_again_and_being_refused_does_not_lengthen_the_wait():
    assert _pace([0, 1, 2, 9, 10, 11, 12]) == [True, True, False, False, True, True, False]


@pytest.mark.parametrize("page", ["0", "-1", "9" * 30, "9" * 5_000, "٣", "1e3", "１"])
async def test_a_page_number_made_up_is_a_page_all_the_same(road, page):
    browser = await road.browser("auditor")
    assert (await browser.go(f"/portal/audit?page={page}")).status == 200


# Forced browsing, forgery


async def test_no_page_answers_another_role_or_a_forged_form(road):
    pages = {
        "clinician": ["/look-up", "/claim", "/results"],
        "registrar": ["/consents/find", "/consents", "/consents/new"],
        "auditor": ["/audit", "/audit/alarms", "/audit/verify"],
        "it": ["/sources", "/quarantine", "/issues", "/alarms"],
    }
    for login in ("dr-li", "registrar", "auditor", "it-office"):
        browser = await road.browser(login)
        role = next(one.role for one in story.ACCOUNTS if one.login == login)
        for other, addresses in pages.items():
            for address in addresses if other != role else []:
                assert (await browser.go(f"/portal{address}")).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1"},
        {},
    ],
)
async def test_a_form_from_elsewhere_signs_nobody_in(road, headers: dict[str, Any]):
    async with httpx.AsyncClient(base_url=road.base) as http:
        page = await http.get("/portal/sign-in")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token
        data = {"csrf": token[1], "login": "dr-li", "password": story.PASSWORD}
        answer = await http.post("/portal/sign-in", data=data, headers=headers)
        assert answer.status_code == 403
        assert "session=" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "/\\evil.example", "https://evil.example", "@evil.example", "/\r\nx: y", ""],
)
async def test_the_language_switch_leads_nowhere_but_back(road, back):
    async with httpx.AsyncClient(
        base_url=road.base, headers={"sec-fetch-site": "same-origin"}
    ) as http:
        page = await http.get("/portal/sign-in")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token
        data = {"csrf": token[1], "language": "en", "back": back}
        answer = await http.post("/portal/language", data=data)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/portal/")
        assert "x" not in answer.headers
