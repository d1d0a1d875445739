"""The doctor's pages on decisions in real Chromium: deciding, evidence, revoking, what has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from gateway.portal import printed
from gateway.portal.stories import Decision
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_decisions import TASK
from tests.gateway.portal.fake_records import NUMBER, PEOPLE, TCM, chemistry, days

pytestmark = pytest.mark.browser


def clinician(eyes: Eyes) -> None:
    eyes.sign_in("zhou")


def test_a_change_is_told_at_sign_in_and_leads_to_the_evidence(eyes: Eyes, county: County) -> None:
    clinician(eyes)
    page = eyes.go("/look-up")
    expect(page.locator("main")).to_contain_text("您作过互认决定的 1 项结果有变化")
    page.click("a:has-text('您作过互认决定')")
    expect(page.locator("main li.card")).to_have_count(3)
    expect(page.locator("main")).to_contain_text("出具机构更正了这项结果")
    assert ("relied_alerts",) in county.stories.told
    page.locator("main li.card a").first.click()

    shown = page.locator("main")
    for words in (
        "62.4 U/L",
        "全国HR",
        "110330000000000",
        "Z1 中药治疗后需复查肝肾功能",
        "ab" * 32,
    ):
        expect(shown).to_contain_text(words)
    expect(shown).to_contain_text("<script>alert(1)</script>")
    then, now = page.locator(".then-now tr").all_inner_texts()
    assert "62.4 U/L" in then
    assert "88.8 U/L" in now
    expect(page.locator("article.card")).to_have_count(2)
    assert TASK not in page.url


def test_what_this_hospital_decided_comes_before_the_form(eyes: Eyes, county: County) -> None:
    clinician(eyes)
    for hospital, folded in ((TCM, 0), (PEOPLE, 1)):
        said = Decision("accepted", "", "", "周明（演示）", hospital, days(1), "1", TASK)
        whole = chemistry()
        results = tuple(replace(one, decision=said) for one in whole.results)
        county.stories.reports = [replace(whole, results=results)]
        page = eyes.look_up(NUMBER)
        page.locator(".open").first.click()
        expect(page.locator("#decision")).to_have_count(1)
        expect(page.locator("details:not([open]) #decision")).to_have_count(folded)
    # A key shows what it would press, and presses it the next time.
    page.keyboard.press("Alt+y")
    expect(page.locator("details[open] #decision .primary")).to_be_focused()
    assert not [one for one in county.stories.told if one[0] == "decide"]


def test_a_decision_is_revoked_with_a_reason_only(eyes: Eyes, county: County) -> None:
    clinician(eyes)
    page = eyes.go("/alerts")
    page.locator("main li.card a").first.click()
    page.fill("#words", " ")
    page.click("button:has-text('撤销这项决定')")
    expect(page.locator(".wrong-why")).to_have_count(1)
    page.fill("#words", "病情变化")
    page.click("button:has-text('撤销这项决定')")
    expect(page.locator(".notice")).to_contain_text("决定已撤销")
    assert ("revoke_decision", TASK, "病情变化") in county.stories.told


def test_the_evidence_is_a_document_to_keep(eyes: Eyes, monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[str] = []
    real = printed.pdf
    monkeypatch.setattr(printed, "pdf", lambda html: (laid.append(html), real(html))[1])
    clinician(eyes)
    page = eyes.go("/alerts")
    page.locator("main li.card a").first.click()
    with page.expect_download() as got:
        page.click("button:has-text('下载证据')")
    assert got.value.path().read_bytes().startswith(b"%PDF-1.7")
    assert got.value.suggested_filename == "decision-abababab.pdf"
    [html] = laid
    for words in ("62.4 U/L", "各方责任", "打印人", "第 <span", "ab" * 32, "&lt;script&gt;"):
        assert words in html


def test_in_english_a_hospitals_own_reason_is_english_too(eyes: Eyes) -> None:
    clinician(eyes)
    eyes.in_english()
    page = eyes.go("/alerts")
    page.locator("main li.card a").first.click()
    expect(page.locator("h1")).to_have_text("Recognition decision")
    expect(page.locator("main")).to_contain_text("again after herbal treatment")
