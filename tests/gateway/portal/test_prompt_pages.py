"""The page a HIS opens for one prompt, in real Chromium: what may be said, and how it looks there."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from gateway.portal.stories import Verdict
from tests.gateway.portal import harness
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_decisions import HERBS
from tests.gateway.portal.fake_prompt import CARD

pytestmark = pytest.mark.browser
SIZES = ((1366, 768), (1024, 768), (640, 480), (375, 812))


def said(county: County) -> list[tuple[int, Verdict]]:
    """How many were decided on, and the word, of each decision."""
    told = [one for one in county.stories.told if one[0] == "decide_prompt"]
    return [(len(targets), verdict) for _, _, targets, verdict in told]


@pytest.mark.parametrize("night", [True, False])
def test_a_prompt_page_is_what_every_page_must_be(eyes: Eyes, county: County, night: bool) -> None:
    county.stories.own_reasons = (HERBS,)
    eyes.context.add_init_script(Axe().axe_script)
    eyes.sign_in("zhou")
    page = eyes.page
    page.emulate_media(color_scheme="dark" if night else "light")
    if not night:
        eyes.go("/look-up")
        eyes.in_english()
    answer = page.goto(f"/portal/cards/{CARD}")
    assert answer is not None
    assert harness.accessible(page) + eyes.violations() + harness.fits(page, SIZES) == []
    text = answer.text()
    assert harness.without_scripts(text, page.locator("main").text_content() or "") == []
    assert ("again after herbal treatment" in text) is not night


def test_the_hospitals_own_reason_is_among_those_to_choose_from(eyes: Eyes, county: County) -> None:
    county.stories.own_reasons = (HERBS,)
    eyes.sign_in("zhou")
    page = eyes.go(f"/cards/{CARD}")
    page.select_option("#reason", "Z1")
    page.check("input[name=explained]")
    page.fill("#acknowledged", "已知情")
    eyes.press("button[value=declined]")
    expect(page.locator(".notice")).to_be_visible()
    assert said(county) == [(3, Verdict("declined", "Z1", "", True, "已知情"))]


def test_what_is_missing_is_said_and_what_was_typed_stays(eyes: Eyes, county: County) -> None:
    eyes.sign_in("zhou")
    page = eyes.go(f"/cards/{CARD}")
    page.select_option("#reason", "08")
    page.check("input[name=explained]")
    eyes.press("button[value=declined]")
    expect(page.locator(".wrong-why")).to_have_count(1)
    assert page.input_value("#reason") == "08"
    assert page.is_checked("input[name=explained]")
    for box in page.locator("input[name=target]").all():
        box.uncheck()
    eyes.press("button[value=accepted]")
    expect(page.locator(".wrong-why")).to_contain_text("至少勾选一项")
    assert said(county) == []


def test_a_new_reading_is_asked_for_of_images_alone(eyes: Eyes, county: County) -> None:
    eyes.sign_in("zhou")
    page = eyes.go(f"/cards/{CARD}")
    boxes = page.locator("input[name=target]")
    boxes.last.check()
    eyes.press("button[value=accepted-reread]")
    expect(page.locator(".wrong-why")).to_contain_text("只勾选影像")
    for box in boxes.all()[:-1]:
        box.uncheck()
    boxes.last.check()
    eyes.press("button[value=accepted-reread]")
    expect(page.locator(".notice")).to_contain_text("重新阅片")
    assert said(county) == [(1, Verdict("accepted-reread", "", "", False))]


def test_a_prompt_that_only_tells_asks_nothing(eyes: Eyes, county: County) -> None:
    county.stories.asks = False
    eyes.sign_in("zhou")
    page = eyes.go(f"/cards/{CARD}")
    expect(page.locator("table.results tbody tr")).to_have_count(3)
    expect(page.locator("main button, main input[type=checkbox]")).to_have_count(0)
