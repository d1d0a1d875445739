"""The explaining pages in real Chromium: by keyboard, on paper, in both languages; effects at the desk."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from gateway.portal.explain_stories import Question
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_explaining import LOSES, RULE
from tests.gateway.portal.fake_records import NUMBER

pytestmark = pytest.mark.browser


def test_an_officer_asks_by_keyboard_alone_and_reads_the_way_to_the_answer(
    eyes: Eyes, county: County
) -> None:
    page = eyes.sign_in("bai") and eyes.go("/privacy/explain")
    page.focus("#number")
    page.keyboard.type(NUMBER)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    question = Question("Practitioner/li", "TREAT", "PSY")
    assert county.stories.told[-1] == ("explain", NUMBER, question)
    expect(page.locator(".verdict-line")).to_contain_text("允许")
    expect(page.locator(".steps li").nth(1)).to_have_text(f"{RULE}：许可")
    expect(page.locator(".seers")).to_have_count(2)
    assert all(NUMBER not in address for address in eyes.addresses)


def test_each_line_says_what_by_which_rule_since_until_and_what_would_change_it(eyes: Eyes) -> None:
    eyes.sign_in("bai")
    eyes.go("/privacy/explain")
    page = eyes.find(NUMBER)

    cells = page.locator(".seers").first.locator("tbody tr").first.locator("td")
    texts = [cell.inner_text() for cell in cells.all()]
    assert "就诊和检查检验结果" in texts[0]
    assert "各条可能不同" in texts[0]
    assert "给本人看病时可以看" in texts[1]
    assert RULE in texts[2]
    assert texts[3:5] == ["2026-03-01 12:00", "2030-03-01 08:00"]
    assert texts[5].split() == ["诊疗关系", "紧急查阅授权"]
    last = page.locator(".seers").first.locator("tbody tr").last
    expect(last).to_contain_text("不能看")


def test_in_english_every_word_of_ours_is_english(eyes: Eyes) -> None:
    eyes.sign_in("bai")
    eyes.in_english()
    eyes.go("/privacy/explain")
    page = eyes.find(NUMBER)

    expect(page.locator("h1")).to_have_text("Who can see what, and why")
    expect(page.locator(".seers").last).to_contain_text("Insurer · Payment")
    expect(page.locator(".seers").first).to_contain_text(
        "treatment relationship + resident's consent"
    )


def test_a_mistyped_number_is_said_and_nothing_is_asked(eyes: Eyes, county: County) -> None:
    eyes.sign_in("bai")
    eyes.go("/privacy/explain")

    page = eyes.find(NUMBER[:-1] + "4")

    expect(page.get_by_role("alert")).to_contain_text("校验码不符")
    assert [one for one in county.stories.told if one[0] == "explain"] == []


def test_what_is_not_on_the_lists_is_not_asked(eyes: Eyes, county: County) -> None:
    eyes.sign_in("bai")
    page = eyes.go("/privacy/explain")
    page.eval_on_selector("#purpose option", "option => option.value = 'HMARKT'")
    page.select_option("#purpose", "HMARKT")

    eyes.find(NUMBER)

    assert [one for one in county.stories.told if one[0] == "explain"] == []


def test_clearing_forgets_the_number(eyes: Eyes) -> None:
    eyes.sign_in("bai")
    eyes.go("/privacy/explain")
    page = eyes.find(NUMBER)

    eyes.press("button[name=clear]")

    expect(page.locator("#number")).to_have_value("")
    expect(page.locator(".seers")).to_have_count(0)


def test_on_paper_the_number_is_masked_and_who_printed_stands_there(eyes: Eyes) -> None:
    eyes.sign_in("bai")
    eyes.go("/privacy/explain")
    page = eyes.find(NUMBER)

    page.emulate_media(media="print")

    head = page.locator(".print-head")
    expect(head).to_be_visible()
    expect(head).to_contain_text("白宁（演示）")
    assert NUMBER not in page.locator("main").inner_text()


@pytest.mark.parametrize("role", ["zhou", "lin", "gu", "he"])
def test_no_other_role_gets_in(eyes: Eyes, role: str) -> None:
    eyes.sign_in(role)

    page = eyes.go("/privacy/explain")

    expect(page.locator("#number")).to_have_count(0)


def draft(eyes: Eyes) -> None:
    eyes.sign_in("lin")
    eyes.go("/consents/find")
    page = eyes.find(NUMBER)
    page.check("input[value=refuse-all]")
    eyes.press(".options .primary")


@pytest.mark.parametrize(
    ("effects", "says"),
    [
        ("as-told", LOSES["zh"]),
        ((), "没有变化：谁能看到什么，和现在一样。"),
        (None, "按现有资料，这份决定不能由本人这样签署，因此无法预先说明。"),
    ],
)
def test_before_recording_the_desk_reads_what_it_would_change(
    eyes: Eyes, county: County, effects: tuple[str, ...] | None, says: str
) -> None:
    county.stories.effects = effects  # type: ignore[assignment]

    draft(eyes)

    expect(eyes.page.locator(".effects")).to_contain_text(says)


def test_before_withdrawing_too(eyes: Eyes, county: County) -> None:
    county.stories.effects = (LOSES["zh"],)
    eyes.sign_in("lin")
    eyes.go("/consents/find")
    page = eyes.find(NUMBER)

    eyes.press(page.locator("li.card a.button").first)

    expect(page.locator(".effects")).to_contain_text(LOSES["zh"])
