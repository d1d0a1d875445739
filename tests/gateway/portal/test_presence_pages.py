"""The two screens of presence in real Chromium: a question on a ward PC, its answer on a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from gateway.portal.mine_stories import Me
from gateway.portal.presence_stories import PresenceSubject
from gateway.portal.stories import DemoAccount
from gateway.services.caller import Caller
from tests.gateway.portal import fake_county
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_records import PASSWORD, STRANGER, TOKEN, id_

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 375, "height": 720}, "has_touch": True}
SHEN = DemoAccount("shen", PASSWORD, "沈芷（演示）", "", "patient")


@pytest.fixture(autouse=True)
def a_resident_with_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_county, "ACCOUNTS", (*fake_county.ACCOUNTS, SHEN))

    async def me(self: object, acting: str, caller: Caller) -> Me:
        since = datetime(2026, 3, 1, tzinfo=UTC)
        return Me(caller.name, acting, True, (), (), (), caller.user, "139****0000", since)

    monkeypatch.setattr(fake_county.FakeStories, "me", me, raising=False)


@pytest.fixture
def phone(chromium: Browser, county: County) -> Iterator[Eyes]:
    seen = Eyes(chromium, county.address, **PHONE)
    yield seen
    seen.context.close()
    assert seen.trouble == []


def asked(eyes: Eyes) -> str:
    """The doctor asks; the address in the QR code, which is the token's."""
    eyes.sign_in("zhou")
    eyes.press("main form[action$='/presence'] button")
    return f"/mine/presence/{TOKEN}1"


def fits(eyes: Eyes) -> None:
    over = eyes.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert over <= 0
    assert eyes.violations() == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_scanned_before_signing_in_and_answered_by_keyboard_alone(
    eyes: Eyes, phone: Eyes, county: County, language: str
) -> None:
    if language == "en":
        for one in (eyes, phone):
            one.go("/sign-in")
            one.in_english()
    address = asked(eyes)
    fits(eyes)
    assert eyes.page.locator("svg.qr path").count() >= 1
    assert (
        eyes.page.get_by_role("img", name="二维码" if language == "zh" else "QR code").count() == 1
    )

    phone.go(address)
    assert phone.page.url.endswith("/portal/sign-in")
    phone.press("form:has(input[value='shen']) button.account")
    assert phone.page.url.endswith("/mine/presence")
    fits(phone)
    text = phone.page.inner_text("main")
    for who in ("周行舟", "云溪县中医医院", "诊疗" if language == "zh" else "Treatment"):
        assert who in text
    assert county.stories.told == []  # reading says nothing

    eyes.press("form[action$='/presence/go'] button")  # too early
    assert eyes.page.locator("main [role=status]").count() == 1

    yes = phone.page.locator("button[name=answer][value=yes]")
    for _ in range(30):
        phone.page.keyboard.press("Tab")
        if yes.evaluate("e => e === document.activeElement"):
            break
    with phone.page.expect_navigation():
        phone.page.keyboard.press("Enter")
    fits(phone)
    assert county.stories.told == [("presence", True, id_("own"))]

    eyes.press("form[action$='/presence/go'] button")
    assert eyes.page.url.endswith("/overview")
    addresses = " ".join(phone.addresses + eyes.addresses)
    assert id_("own") not in addresses
    assert addresses.count(TOKEN) == 1  # scanned once, and gone from the address


def test_no_is_told_and_nothing_is_taken_in_hand(eyes: Eyes, phone: Eyes, county: County) -> None:
    asked(eyes)
    phone.sign_in("shen")
    phone.go("/mine/presence")
    phone.page.fill("#code", "K7MP-2QXR")
    phone.press("main .primary")
    phone.press("button[value=no]")
    eyes.press("form[action$='/presence/go'] button")
    assert eyes.page.get_by_role("alert").count() == 1
    assert eyes.page.locator("svg.qr").count() == 0
    eyes.go("/results")
    assert eyes.page.url.endswith("/look-up")


def test_a_code_nobody_asked_with_is_told_in_words(phone: Eyes) -> None:
    phone.sign_in("shen")
    phone.go("/mine/presence")
    phone.page.fill("#code", "ABCD-EFGH")
    phone.press("main .primary")
    assert "没有这样的询问" in phone.page.inner_text("main")
    fits(phone)
    assert phone.page.locator("#code").get_attribute("aria-invalid") == "true"


def test_who_acts_for_a_child_says_whose_record_it_is(
    eyes: Eyes, phone: Eyes, county: County
) -> None:
    child = PresenceSubject(id_("child"), "沈小满", False)
    county.stories.subjects = (*county.stories.subjects, child)
    asked(eyes)
    phone.sign_in("shen")
    phone.go("/mine/presence")
    phone.page.fill("#code", "K7MP-2QXR")
    phone.press("main .primary")
    assert phone.page.locator("input[name=whose]:checked").count() == 0  # nobody is chosen for them
    phone.page.get_by_label("沈小满").check()
    phone.press("button[value=yes]")
    assert county.stories.told == [("presence", True, child.chart)]


def test_the_claim_page_offers_it_first_and_a_doctor_cannot_answer(eyes: Eyes) -> None:
    eyes.sign_in("zhou")
    eyes.look_up(STRANGER)
    eyes.press("main form[action$='/presence'] button")
    assert eyes.page.locator("svg.qr").count() == 1
    for path in (f"/mine/presence/{TOKEN}1", "/mine/presence"):
        answer = eyes.page.goto(f"/portal{path}")
        assert answer is not None
        assert answer.status == 403


def test_the_token_does_not_outlive_the_answer(eyes: Eyes, phone: Eyes) -> None:
    address = asked(eyes)
    phone.sign_in("shen")
    phone.go(address)
    phone.press("button[value=yes]")
    phone.go(address)
    assert "没有这样的询问" in phone.page.inner_text("main")
