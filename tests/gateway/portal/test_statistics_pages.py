"""Figures in real Chromium: the commission's whole county, a hospital's own; frozen, objected to."""

from __future__ import annotations

import io
import json
import re

import openpyxl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from sqlalchemy import select

from gateway.audit.events import Kind
from gateway.demo import recognised
from gateway.exchange import statistics
from gateway.store import log_tables
from gateway.store.statements import Statement
from tests.gateway.portal import harness
from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import OfficeTown, OwnTown

pytestmark = pytest.mark.browser
WIDE, PHONE = (1366, 800), (375, 800)
HOSTILE = "<img src=x onerror=alert(1)> =1+1"


class FiguresTown(OfficeTown):
    """A county in which only figures were made."""

    async def _settle(self) -> None:
        await super()._settle()
        await recognised.write(self.services)


@pytest.fixture(scope="module")
def kind_of_town() -> type[OwnTown]:
    return FiguresTown


@pytest.fixture
def eyes(visitor: Eyes) -> Eyes:
    return visitor


def month(town: FiguresTown, back: int) -> str:
    return town.do(statistics.months(town.services))[back]


def events(town: FiguresTown, kind: Kind) -> int:
    event = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]
    return len(
        town.do(
            town.services.db.read(Statement(select(event.c.kind).where(event.c.kind == kind.value)))
        )
    )


def test_the_picture_says_what_the_table_beside_it_says(eyes: Eyes, town: FiguresTown) -> None:
    eyes.enter("commission")
    before = events(town, Kind.STATISTICS)
    eyes.go(f"/county/statistics?month={month(town, 1)}")
    assert events(town, Kind.STATISTICS) == before + 1
    bars = eyes.page.locator("svg.funnel .funnel-count").all_text_contents()
    rows = eyes.page.locator(".funnel-table").first.locator("tbody td:nth-child(2)")
    assert [bar.split(" ")[0] for bar in bars] == rows.all_inner_texts()
    assert len(bars) == 9
    told = eyes.page.locator("svg.funnel desc").text_content() or ""
    assert all(bar in told for bar in bars)
    assert eyes.page.locator("svg.funnel").get_attribute("role") == "img"
    assert eyes.page.locator("[style]").count() == 0
    eyes.page.emulate_media(media="print")
    bars_on_paper = eyes.page.locator(".funnel-bar").all()
    assert bars_on_paper
    assert all(bar.is_visible() for bar in bars_on_paper)


def test_a_file_says_what_the_page_says(eyes: Eyes, town: FiguresTown) -> None:
    eyes.enter("commission")
    eyes.go(f"/county/statistics?month={month(town, 1)}&by=item")
    page = {
        row.locator(".code").first.inner_text(): row.locator("td.figure").first.inner_text()
        for row in eyes.page.locator("#rows ~ .table-box").first.locator("tbody tr").all()
    }
    assert page
    before = events(town, Kind.STATISTICS_EXPORT)
    with eyes.page.expect_download() as got:
        eyes.page.click("text=Excel")
    book = openpyxl.load_workbook(io.BytesIO(got.value.path().read_bytes()))
    sheet = book["按项目"]
    assert {
        str(row[0]): str(row[2]) for row in sheet.iter_rows(min_row=2, values_only=True)
    } == page
    assert "说明" in book.sheetnames
    with eyes.page.expect_download() as got:
        eyes.page.click("text=FHIR")
    bundle = json.loads(got.value.path().read_bytes())
    assert {one["resource"]["resourceType"] for one in bundle["entry"]} == {
        "Measure",
        "MeasureReport",
    }
    with eyes.page.expect_download() as got:
        eyes.page.click("text=互认月报")
    assert got.value.suggested_filename.startswith("county-month-")
    (report,) = openpyxl.load_workbook(io.BytesIO(got.value.path().read_bytes())).worksheets
    assert [row[0].value for row in report.rows][:3] == ["代码", "1", "2"]
    assert events(town, Kind.STATISTICS_EXPORT) == before + 3


def test_a_hospital_sees_itself_objects_and_is_answered(eyes: Eyes, town: FiguresTown) -> None:
    last = month(town, 1)
    eyes.enter("commission")
    eyes.go(f"/county/statistics?month={last}")
    if eyes.page.locator("form[action$='/freeze']").count():
        eyes.press("form[action$='/freeze'] button")
    assert eyes.page.locator("#frozen + .card .mark.good").count() == 1
    eyes.sign_out()
    eyes.enter("it-office")
    eyes.go(f"/figures?month={last}&side=issuer&by=pair")
    names = eyes.page.locator("#rows ~ .table-box").first.locator("tbody a").all_inner_texts()
    own = town.services.register.get("people").zh
    assert names
    assert all(name.startswith(own) for name in names)
    eyes.page.fill("main #text", HOSTILE)
    eyes.press("form[action$='/object'] button")
    assert HOSTILE in eyes.page.locator(".objection").inner_text()
    eyes.sign_out()
    eyes.enter("commission")
    eyes.go(f"/county/statistics?month={last}")
    eyes.page.check(".objection input[value=rejected]")
    eyes.page.fill(".objection textarea", "已核对台账，数字无误。")
    eyes.press(".objection button.primary")
    assert "已核对台账" in eyes.page.locator(".objection").inner_text()
    assert eyes.page.locator(".objection form").count() == 0


def test_a_hospital_gets_nothing_of_the_county(eyes: Eyes) -> None:
    eyes.enter("it-office")
    for path in (
        "/county/statistics",
        "/county/targets",
        "/county/statistics/file?form=csv&month=2026-01",
    ):
        answer = eyes.page.goto(f"/portal{path}")
        assert answer is not None
        assert answer.status == 403


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_pages_are_open_to_everybody_and_fit(
    chromium: Browser, town: FiguresTown, language: str
) -> None:
    eyes = Eyes(chromium, town.address, viewport={"width": PHONE[0], "height": PHONE[1]})
    eyes.context.add_init_script(Axe().axe_script)
    eyes.go("/sign-in")
    if language == "en":
        eyes.in_english()
    faults: list[str] = []
    for login, paths in (
        ("commission", [f"/county/statistics?month={month(town, 1)}",
                        "/county/statistics?by=department", "/county/targets"]),
        ("it-office", ["/figures", "/figures?side=issuer&by=hook&key=order-select"]),
    ):  # fmt: skip
        eyes.enter(login)
        for path in paths:
            page = eyes.go(path)
            harness.unfold(page)
            wrong = harness.accessible(page) + harness.whole(page) + eyes.violations()
            wrong += harness.fits(page, (WIDE, PHONE))
            if language == "en" and re.search("[一-鿿]", page.locator("main h1").inner_text()):
                wrong.append("Chinese heading")
            faults += [f"{path}: {one}" for one in wrong]
        eyes.sign_out()
    eyes.context.close()
    assert "\n".join(faults + eyes.trouble) == ""
