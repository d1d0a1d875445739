"""The whole story of one emergency in a real county behind a real server, seen in Chromium."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from gateway.app import Application, http_server
from gateway.auth import factors
from gateway.demo import founding, story
from gateway.demo.check import free_port
from gateway.demo.residents import resident_number
from gateway.demo.run import demo_accounts
from gateway.exchange import receive
from gateway.jobs.worker import Worker
from gateway.records.instant import moment
from gateway.services import Services
from tests.gateway.portal.conftest import Eyes

WORDS = "抢救室昏迷病人，身份证在身，家属联系不上"
STRANGER, *OTHERS = (resident_number("330421", date(1950 + n, 2, 3)) for n in range(4))


@dataclass
class Live:
    """A served county, its clock moved by tests."""

    folder: Path
    services: Services = field(init=False)
    url: str = ""
    ready: threading.Event = field(default_factory=threading.Event)
    number: str = ""

    def run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        port = free_port()
        settings = founding.settings_for(self.folder, port, 0)
        self.services = await founding.found(settings, founding.Keys.in_folder(self.folder / "k"))
        today = moment(self.services.now(), settings.zone).date()
        pretend = story.county(today, size=30)
        self.number = pretend.resident("shen").number
        for delivery in pretend.messages:
            if self.number.encode() in delivery.raw:
                await receive.receive(delivery.source, [receive.Unit(delivery.raw)], self.services)
        await Worker(self.services).drain()
        application = Application(self.services, demo_accounts(self.services))
        self.server = http_server(application, settings)
        self.url = settings.base_url
        serving = asyncio.create_task(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
        self.ready.set()
        await serving
        await self.services.close()

    def code(self, login: str, ahead: int = 0) -> str:
        """The code of now, or of the step after it where this one is used up."""
        secret = next(one.secret for one in story.ACCOUNTS if one.login == login)
        return factors.code_at(secret, self.services.now() + ahead * 30_000_000)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    county = Live(tmp_path_factory.mktemp("live"))
    thread = threading.Thread(target=county.run, daemon=True)
    thread.start()
    assert county.ready.wait(60)
    yield county
    county.server.should_exit = True
    thread.join(10)


@pytest.fixture
def seen(chromium: Browser, live: Live) -> Iterator[Eyes]:
    """A signed-out browser; afterwards nothing bad may have happened."""
    one = Eyes(chromium, live.url)
    yield one
    assert one.violations() == []
    assert one.trouble == []
    assert not [url for url in one.addresses if live.number in url]
    one.context.close()


def fill(seen: Eyes, live: Live, login: str, ahead: int = 0) -> None:
    page = seen.page
    page.check("input[value=unconscious]")
    page.fill("#words", WORDS)
    if page.locator("#code").count():
        page.fill("#code", live.code(login, ahead))


def test_an_emergency_from_the_refusal_to_the_verdict(seen: Eyes, live: Live) -> None:
    page = seen.sign_in("dr-li")
    seen.look_up(live.number)
    expect(page.locator("h1")).to_have_text("没有可以直接查阅的记录")
    seen.press("text=紧急查阅")
    expect(page.locator(".demo-code")).to_contain_text("仅供演示")
    before = {c["name"]: c["value"] for c in seen.context.cookies()}["session"]

    # Filler is refused by the server too, and what was written stays.
    page.check("input[value=unconscious]")
    page.fill("#words", "急" * 20)
    page.fill("#code", live.code("dr-li"))
    seen.press("button.danger")
    expect(page.locator("#words-wrong")).to_be_visible()
    after = {c["name"]: c["value"] for c in seen.context.cookies()}["session"]
    assert after != before, "the step-up gave the session another cookie"

    fill(seen, live, "dr-li")
    page.focus("button.danger")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".emergency-bar")).to_contain_text("还有 3 小时 59 分")
    expect(page.locator(".watermark span").first).to_contain_text("李明轩")
    assert page.locator("table.grid tbody tr").count() > 3
    page.emulate_media(media="print")
    assert page.locator("table.results").is_hidden()
    expect(page.locator(".print-refusal")).to_be_visible()
    page.emulate_media(media="screen")
    seen.in_english()
    expect(page.locator(".emergency-bar")).to_contain_text("For reading only")
    page.locator(".grid thead summary").first.click()
    page.locator("a.open").first.click()
    expect(page.locator(".emergency-bar")).to_be_visible()
    assert page.locator("input[name=target]").count() == 0, "nothing is decided on"
    seen.press("form[action$='/emergency/end'] button")
    expect(page.locator(".notice")).to_contain_text("has ended")
    page.goto("/portal/results")
    assert page.url.endswith("/look-up")
    seen.sign_out()

    # The officer of the hospital finds it, asks, is answered, and hands it to a second.
    seen.sign_in("privacy-tcm")
    seen.press("th a")
    text = page.locator("main").inner_text()
    assert WORDS in text
    assert "nothing but the emergency opened" in text
    for secret in ("王珅", live.number, *(item.name for item in story.SEEN)):
        assert secret not in text
    seen.press("button[value=take]")
    page.fill("#question", "当晚为什么没有就诊登记？")
    seen.press("button[value=ask]")
    seen.sign_out()
    seen.sign_in("dr-li")
    seen.press("a[href$='/emergency/questions']")
    page.fill("textarea", "急诊系统当晚停机，已补登记")
    seen.press("main .primary")
    seen.sign_out()
    seen.sign_in("privacy-tcm")
    seen.press("th a")
    page.check("input[value='not-justified']")
    page.fill("#words", "补登记查无此事")
    page.fill("#code", "000000")
    seen.press("button[value=decide]")
    expect(page.locator("#code-wrong")).to_be_visible()
    page.check("input[value='not-justified']")
    page.fill("#words", "补登记查无此事")
    page.fill("#code", live.code("privacy-tcm"))
    seen.press("button[value=decide]")
    expect(page.locator("tbody tr").first).to_contain_text("Waiting for a second officer")
    seen.press("th a")
    assert page.locator("button[value=second]").count() == 0, "not by the same officer"
    seen.sign_out()
    seen.sign_in("privacy-county")
    seen.press("th a")
    page.check("input[name=agrees][value=yes]")
    page.fill("#words", "核对排班后同意")
    page.fill("#code", live.code("privacy-county"))
    seen.press("button[value=second]")
    expect(page.locator(".empty").first).to_contain_text("Nothing waits")
    metrics = httpx.get(f"{live.url}/metrics").text
    assert "gateway_notices_undelivered 0" in metrics
    seen.press(page.get_by_role("button", name="中文"))
    seen.sign_out()


def test_nobody_by_that_number_is_the_same_page_up_to_the_grant(seen: Eyes, live: Live) -> None:
    page = seen.sign_in("dr-chen")
    seen.go("/emergency")
    page.fill("#number", STRANGER)
    fill(seen, live, "dr-chen")
    seen.press("button.danger")
    expect(page.locator("h1")).to_have_text("没有可以查阅的记录")
    expect(page.locator(".emergency-bar")).to_contain_text("还有 3 小时 59 分")
    seen.press("form[action$='/emergency/end'] button")
    seen.sign_out()


def test_the_fourth_of_a_day_is_agreed_to_on_the_spot(seen: Eyes, live: Live) -> None:
    page = seen.sign_in("dr-zhou")
    for n, number in enumerate(OTHERS):
        seen.go("/emergency")
        page.fill("#number", number)
        fill(seen, live, "dr-zhou")
        seen.press("button.danger")
        assert page.locator(".emergency-bar").count() == 1, n
        seen.press("form[action$='/emergency/end'] button")
    seen.go("/emergency")
    page.fill("#number", live.number)
    fill(seen, live, "dr-zhou")
    seen.press("button.danger")
    expect(page.locator("#second-wrong")).to_be_visible()
    page.fill("#second-login", "dr-wang")  # of another hospital
    page.fill("#second-password", story.PASSWORD)
    page.fill("#second-code", live.code("dr-wang"))
    page.fill("#number", live.number)
    seen.press("button.danger")
    expect(page.locator("#second-wrong")).to_be_visible()
    seen.sign_out()


def test_a_second_factor_is_taken_with_an_authenticator(seen: Eyes, live: Live) -> None:
    page = seen.sign_in("auditor")
    seen.go("/second-factor")
    secret = page.locator("main .number").inner_text()
    expect(page.locator("img.qr")).to_be_visible()
    page.fill("#password", story.PASSWORD)
    page.fill("#code", "000000")
    seen.press("main .primary")
    assert page.locator("main .number").inner_text() == secret, "the same secret is still shown"
    page.fill("#password", story.PASSWORD)
    page.fill("#code", factors.code_at(secret, live.services.now()))
    seen.press("main .primary")
    expect(page.locator(".notice")).to_contain_text("第二要素已登记")
    seen.go("/second-factor")
    assert page.locator("main .number").count() == 0
    seen.sign_out()


def test_a_form_from_elsewhere_breaks_no_glass(seen: Eyes, live: Live) -> None:
    seen.sign_in("dr-wang")
    fields = {"number": live.number, "reason": "unconscious", "words": WORDS}
    fields |= {"code": live.code("dr-wang", 1)}
    for headers in ({}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-origin"}):
        sent = seen.context.request.post("/portal/emergency", form=fields, headers=headers)
        assert sent.status == 403
    found = httpx.get(f"{live.url}/metrics").text
    assert "gateway_cases" in found
    seen.go("/results")
    assert seen.page.url.endswith("/look-up"), "nothing is in hand"
    seen.sign_out()


def test_other_roles_have_no_way_in(seen: Eyes, live: Live) -> None:
    page = seen.sign_in("registrar")
    for path in ("/emergency", "/privacy", "/privacy/cases/abc", "/emergency/questions"):
        answer = page.goto(f"/portal{path}")
        assert answer is not None
        assert answer.status == 403
    seen.sign_out()
