"""Two folders that a hospital joined, at the registration desk in real Chromium."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.portal.identity_stories import FolderPair, FolderSays
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_records import NUMBER, PEOPLE

pytestmark = pytest.mark.browser

CARD = FolderSays("沈青", "female", "1990-05-05", "330***************X")
HURRY = FolderSays("", "unknown", "", "")
PAIR = FolderPair(7, PEOPLE, CARD, HURRY, date(2026, 2, 21), False)


def test_nothing_is_asked_where_nothing_waits(eyes: Eyes) -> None:
    eyes.sign_in("lin")
    page = eyes.find(NUMBER)
    assert page.locator("#folders").count() == 0


def test_the_resident_is_asked_with_the_card_on_the_table(eyes: Eyes, county: County) -> None:
    county.stories.pairs = [PAIR, FolderPair(8, PEOPLE, CARD, CARD, date(2026, 2, 22), True)]
    eyes.sign_in("lin")
    page = eyes.find(NUMBER)
    assert page.locator("#folders").inner_text() == "这些档案都是您的吗？"
    asked, disputed = page.locator("form[action$=folders]").all()
    assert PEOPLE in asked.inner_text()
    assert "没有身份证号" in asked.inner_text()
    assert disputed.locator("button[value=one]").count() == 0, "two numbers are not one person's"

    page.evaluate("document.querySelectorAll('[name=checked]').forEach(e => e.required = false)")
    eyes.press(asked.locator("button[value=one]"))
    assert county.stories.told == [], "the card was not looked at"
    assert page.locator("[role=alert]").inner_text().endswith("请先核对证件，再选择一项。")

    page.locator("[name=checked]").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    [(what, pair, answer, whom)] = county.stories.told
    assert (what, pair, answer, whom.number) == ("folders", 7, "one", NUMBER)
    assert "都是这位居民的" in page.locator(".notice").inner_text()
    page.locator("[name=checked]").check()
    eyes.press("button[value=two]")
    assert county.stories.told[1][1:3] == (8, "two")
    assert page.locator("#folders").count() == 0


def test_the_question_is_whole_in_english(eyes: Eyes, county: County) -> None:
    county.stories.pairs = [PAIR]
    eyes.sign_in("lin")
    eyes.find(NUMBER)
    page = eyes.in_english()
    eyes.go("/consents")
    said = page.locator("section[aria-labelledby=folders]").inner_text()
    assert "Are these folders yours?" in said
    assert "Both are the resident's" in said
    assert not {"档", "号", "证", "同"} & set(said.replace(PEOPLE, ""))
    assert eyes.violations() == []
