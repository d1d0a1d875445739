"""Reports and results as PDF files: what every sheet says, that it is noted, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from unicodedata import normalize

import pytest
from playwright.sync_api import APIResponse

from gateway.portal.chart_stories import Original
from gateway.portal.stories import Contribution
from tests.gateway.portal import paper
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_charts import PDF, PEOPLE, TCM, many, three_hospitals
from tests.gateway.portal.fake_records import NOON, NUMBER, id_

pytestmark = pytest.mark.browser


def got(eyes: Eyes, path: str) -> APIResponse:
    return eyes.page.context.request.get(eyes.page.url.split("/portal")[0] + path)


def sheets(answer: APIResponse) -> list[str]:
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["cache-control"] == "no-store"
    return paper.pages(answer.body())


def plain(words: str) -> str:
    """Words as `paper` reads them."""
    return normalize("NFKC", words)


def test_a_report_on_paper_says_whose_from_where_and_who_printed_it(
    eyes: Eyes, county: County
) -> None:
    county.stories.reports = three_hospitals(NOON)
    resident = county.stories.resident
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?period=all&view=list")
    eyes.press(page.locator("tr.panel a.open").first)
    link = page.get_by_role("link", name="下载 PDF").get_attribute("href")
    told = sheets(got(eyes, link or ""))
    assert len(told) > 1
    for number, sheet in enumerate(told, 1):
        for words in (
            resident.name, resident.number, "打印人周明", f"来源：{TCM}",
            f"第{number}页，共{len(told)}页",
        ):  # fmt: skip
            assert plain(words) in sheet
    assert "项目08" in told[0]
    assert "原值6.52" in "".join(told)
    assert ("printed", "document", "report-document", False) in county.stories.told
    assert resident.name not in got(eyes, link or "").headers["content-disposition"]


def test_paper_is_noted_as_that_persons_it_is_about(eyes: Eyes, county: County) -> None:
    """Another tab may have put somebody else in hand meanwhile."""
    county.stories.reports = three_hospitals(NOON)
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?period=all&view=list")
    eyes.press(page.locator("tr.panel a.open").first)
    link = page.get_by_role("link", name="下载 PDF").get_attribute("href")
    county.stories.resident = replace(county.stories.resident, chart=id_("another"))
    got(eyes, link or "")
    assert county.stories.printed_of == id_("another")


def test_all_results_on_paper_say_what_is_left_out(eyes: Eyes, county: County) -> None:
    county.stories.reports = many(50, NOON)
    county.stories.contributions = (Contribution(PEOPLE, "late", NOON),)
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?period=all")
    link = page.get_by_role("link", name="PDF", exact=True).get_attribute("href") or ""
    told = sheets(got(eyes, link))
    whole = "".join(told)
    assert "另有较早的8次未印出" in whole
    assert plain("第6部分，共6部分") in whole
    assert f"{PEOPLE}数据迟到" in whole
    assert "3.9-6.1" in whole
    for number, sheet in enumerate(told, 1):
        assert plain(f"第{number}页，共{len(told)}页") in sheet
        assert county.stories.resident.number in sheet
    one = f"hospital={TCM}"
    assert plain(f"来源：{TCM}") in "".join(sheets(got(eyes, f"/portal/results.pdf?{one}")))


def test_nothing_is_laid_out_without_a_person_or_for_another_role(
    eyes: Eyes, county: County
) -> None:
    eyes.sign_in("lin")
    assert got(eyes, "/portal/results.pdf").status == 403
    eyes.sign_out()
    eyes.sign_in("zhou")
    eyes.go("/look-up")
    assert got(eyes, "/portal/results.pdf").url.endswith("/look-up")
    assert not [one for one in county.stories.told if one[0] == "printed"]


def test_hospitals_that_stopped_are_named_before_the_others(eyes: Eyes, county: County) -> None:
    first = county.stories.contributions[0]
    county.stories.contributions = (
        replace(first, organization=TCM, state="answered"),
        replace(first, organization=PEOPLE, state="silent", last=NOON),
    )
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    lines = eyes.go("/overview").locator(".strip li").all_inner_texts()
    assert PEOPLE in lines[0]
    assert "未应答" in lines[0]
    assert "最新数据" in lines[0]
    assert TCM in lines[1]
    assert "已应答" in lines[1]


def test_a_hospitals_pdf_is_shown_in_a_frame_under_a_policy_of_its_own(
    eyes: Eyes, county: County
) -> None:
    county.stories.reports = three_hospitals(NOON)
    id = county.stories.reports[0].id
    county.stories.originals = {id: (Original("document", "原件", "application/pdf", len(PDF)),)}
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?period=all&view=list")
    eyes.press(page.locator("tr.panel a.open").first)
    eyes.press(page.locator(".documents a"))
    frame = page.locator("iframe.original-frame")
    assert frame.get_attribute("sandbox") is None  # Chromium shows no PDF in such a frame
    file = got(eyes, frame.get_attribute("src") or "")
    assert file.body() == PDF
    assert file.headers["content-type"] == "application/pdf"
    assert file.headers["content-disposition"] == 'inline; filename="original.pdf"'
    policy = file.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'self'"} <= set(policy)
    assert file.headers["x-content-type-options"] == "nosniff"
    kept = got(eyes, (frame.get_attribute("src") or "") + "?keep=yes")
    assert kept.headers["content-disposition"].startswith("attachment; ")
