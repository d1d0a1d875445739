"""Grid, trend and originals in real Chromium: heads that stay, what is drawn, text that does nothing."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser

from gateway.portal import assets
from gateway.portal.narrative import harmless
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_charts import NARRATIVE, many, three_hospitals
from tests.gateway.portal.fake_records import NOON, NUMBER


def test_a_narrative_keeps_its_words_and_does_nothing() -> None:
    made = str(harmless(NARRATIVE))
    assert made == (
        "<div><h3>所见</h3><p>肝脏<b>形态</b>正常。</p>连接"
        '<table><tr><td colspan="2">血压</td></tr></table></div>'
    )
    assert harmless("<p>a<b>c</p><script>x<script>") == "<p>a<b>c</b></p>"
    assert harmless("&lt;script&gt; < 3") == "&lt;script&gt; &lt; 3"
    assert harmless("") == ""


@pytest.mark.parametrize(
    "piece", ["<!--", "<![CDATA[", "<form></a>", "<a b='", "<div>", "<table><td>"]
)
def test_a_narrative_full_of_what_is_never_closed_is_read_at_once(piece: str) -> None:
    made = str(harmless("<p>甲</p>" + piece * 40_000))
    assert made.startswith("<p>甲</p>")
    assert made.count("<") - made.count("</") == made.count("</")


@pytest.mark.browser
def test_heads_stay_while_three_hundred_columns_move(eyes: Eyes, county: County) -> None:
    county.stories.reports = many(300, NOON)
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?period=all")
    assert page.locator(".grid thead th[scope=col]").count() == 301
    box = page.locator("[data-grid]")
    before = box.bounding_box()
    row = page.locator(".grid tbody th[scope=row]").first
    at = row.bounding_box()
    box.evaluate("e => { e.scrollLeft = 9000; }")
    assert box.evaluate("e => e.scrollLeft") == 9000
    assert (box.bounding_box(), row.bounding_box()) == (before, at)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    eyes.go("/results?period=all&view=paper")
    assert page.locator(".paper-part").count() == 43


@pytest.mark.browser
def test_a_long_record_is_turned_page_by_page_and_says_so(eyes: Eyes, county: County) -> None:
    county.stories.reports = many(3, NOON)
    county.stories.parts = 3
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?part=99&show=abnormal")
    assert "分为 3 页，新的在前，这是第 3 页" in page.locator("main").inner_text()
    assert page.get_by_text("较早的一页").count() == 0
    eyes.press(page.get_by_text("较新的一页"))
    assert page.url.endswith("/results?show=abnormal&part=2")
    eyes.press(page.get_by_role("link", name="列表"))  # another way to look at it begins anew
    assert "这是第 1 页" in page.locator("main").inner_text()
    assert "这是第 1 页" in eyes.go("/results?part=-7").locator("main").inner_text()
    county.stories.parts = 1
    assert eyes.go("/results").get_by_text("新的在前，这是").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize(
    ("every", "label"), [(3, "{0.month}月{0.day}日"), (24, "{0.year}年{0.month}月")]
)
def test_a_trends_axis_counts_the_countys_days_wherever_the_browser_is(
    chromium: Browser, county: County, every: int, label: str
) -> None:
    county.stories.reports = many(50 * every, NOON)[::every]
    told = []
    for place in ("Asia/Shanghai", "America/Los_Angeles", "Pacific/Auckland"):
        eyes = Eyes(chromium, county.address, timezone_id=place)
        eyes.sign_in("zhou")
        eyes.look_up(NUMBER)
        page = eyes.go("/results?period=all")
        eyes.press(page.locator(".grid th[scope=row] a", has_text="葡萄糖").first)
        if page.evaluate("typeof window.trend") != "object":
            pytest.skip("uPlot is not installed: the server's drawing stands alone")
        told.append(page.evaluate("window.trend.ticks()"))
        eyes.context.close()
        assert eyes.trouble == []
    assert len(told[0]) > 3
    assert told[1:] == told[:1] * 2
    for at, said in told[0]:
        day = datetime.fromtimestamp(at, ZoneInfo("Asia/Shanghai"))
        assert day.time() == time()
        assert said == label.format(day)


@pytest.mark.browser
def test_a_trend_is_drawn_from_what_the_table_says(eyes: Eyes, county: County) -> None:
    county.stories.reports = three_hospitals(NOON)
    eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    page = eyes.go("/results?period=all")
    eyes.press(page.locator(".grid th[scope=row] a", has_text="肌酐").first)
    assert page.locator(".trend-table tbody tr").count() == 3
    assert "90.2 umol/L" in page.locator(".converted").inner_text()
    drawn = page.evaluate("typeof window.trend") == "object"
    assert drawn == ("uplot" in assets.read()), "wherever the library was fetched"
    if drawn:
        given = page.evaluate("window.trend.given")
        assert sorted(len(one["points"]) for one in given["series"]) == [1, 1, 1]
        assert given["joined"] is False
        page.locator(".uplot").focus()
        page.keyboard.press("Home")
        assert "1.02" in page.locator("#spoken").inner_text()
    assert eyes.violations() == []
    page.go_back()
    eyes.press(page.locator(".grid th[scope=row] a", has_text="D-二聚体").first)
    assert page.locator(".no-chart").is_visible()
    assert page.locator(".plot").count() == 0
