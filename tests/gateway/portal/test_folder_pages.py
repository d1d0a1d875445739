"""The worklist of folders that may be one person's, worked in real Chromium."""

from __future__ import annotations

import pytest

from gateway.portal.folders import lines, masked
from gateway.records.facts import Facts
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_folders import HOSTILE, NUMBER

pytestmark = pytest.mark.browser


def test_a_list_shows_no_more_of_strangers_than_it_must(eyes: Eyes, county: County) -> None:
    eyes.sign_in("lin")
    page = eyes.go("/folders")
    said = page.locator("main").inner_text()
    assert "共 1 对" in said
    assert page.locator("a[href$='/folders/7']").inner_text() == "第 1 对", "its place in this list"
    assert "1980" in said
    assert HOSTILE not in said
    assert masked(HOSTILE) in said
    assert not any(part in page.content() for part in (NUMBER, "01-01", "330421"))
    county.stories.folders = []
    assert "没有要核对的档案。" in eyes.go("/folders").locator("main").inner_text()


def test_a_pair_is_answered_by_keyboard_and_leads_on(eyes: Eyes, county: County) -> None:
    eyes.sign_in("lin")
    eyes.go("/folders")
    page = eyes.page
    page.locator("a[href$='/folders/7']").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    rows = page.locator("table.two-folders tbody tr")
    assert HOSTILE in rows.nth(0).inner_text(), "as it is written, and no markup"
    assert "不同" in page.locator("tr.other").inner_text(), "said in words, not by colour alone"
    assert NUMBER not in page.content()
    with page.expect_navigation():
        page.keyboard.press("d")
    assert county.stories.said == [(7, "two", "", "")]
    assert page.url.endswith("/folders")
    assert "不是同一人" in page.locator(".notice").inner_text()
    eyes.go("/folders/7")
    eyes.press("button[value=undone]")
    assert [one[1] for one in county.stories.said] == ["two", "undone"]


def test_later_wants_a_reason_and_who_comes_second_is_told(eyes: Eyes, county: County) -> None:
    eyes.sign_in("lin")
    page = eyes.go("/folders/7")
    eyes.press("button[value=later]")
    assert "要选一个原因" in page.locator("[role=alert]").inner_text()
    page.locator("#why").select_option("papers")
    page.locator("#note").fill("病历在分院")
    eyes.press("button[value=later]")
    assert county.stories.said == [(7, "later", "papers", "病历在分院")]

    page = eyes.go("/folders/7")
    page.evaluate("document.querySelector('[name=mark]').value = '7.0'")
    eyes.press("button[value=one]")
    assert "您的回答没有记录" in page.locator("[role=alert]").inner_text()
    assert len(county.stories.said) == 1
    page.evaluate("document.querySelector('button[value=one]').value = 'maybe'")
    eyes.press("button[value=maybe]")
    assert len(county.stories.said) == 1


def test_numbers_are_compared_whole_and_shown_masked() -> None:
    one, other = (
        Facts("王坤", "male", "1980-01-01", number=NUMBER),
        Facts("王珅", number=NUMBER[:-1] + "X"),
    )
    found = {line.field: line for line in lines((one, other))}
    assert (found["number"].verdict, found["number"].apart) == ("other", 1)
    assert set(found["number"].texts[0][3:-1]) == {"*"}
    assert (found["name"].verdict, found["sex"].verdict) == ("other", "missing")
    assert lines((one, one))[0].verdict == "same"


def test_the_pair_is_whole_in_english(eyes: Eyes, county: County) -> None:
    eyes.sign_in("lin")
    eyes.go("/folders/7")
    page = eyes.in_english()
    page = eyes.go("/folders/7")
    said = page.locator("main").inner_text()
    assert "Possibly one person; somebody has to look" in said
    assert not {"档", "号", "证", "同"} & set(said)
    assert eyes.violations() == []
