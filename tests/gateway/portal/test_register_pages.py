"""The register pages over a real county: two persons, hostile text, files, and without JavaScript."""

from __future__ import annotations

import io
import re

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Browser

from gateway.demo import registers as pretend
from gateway.exchange import register_sheets, registers
from gateway.exchange.registers import Entry
from gateway.fhir.door import READABLE
from gateway.portal import registers_words
from gateway.recognition.registers import COLUMNS, TITLES
from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import OwnTown

HOSTILE = "<img src=x onerror=alert(1)>=cmd|' /C calc'!A0"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def town(town: OwnTown) -> OwnTown:
    town.do(pretend.fill(town.services))
    return town


@pytest.mark.browser
def test_two_persons_change_a_line_without_javascript_and_markup_stays_text(
    chromium: Browser, town: OwnTown
) -> None:
    first = Eyes(chromium, town.address, java_script_enabled=False)
    first.enter("commission")
    page = first.page
    assert page.locator(".heat tbody tr").count() == 6  # five levels and one system of its own row
    assert page.locator("#unregistered li").count() == 1
    first.go("/county/line?kind=system")
    for name, value in (("id", "X-99"), ("name", HOSTILE), ("owner", "某公司")):
        page.fill(f"#f-{name}", value)
    page.select_option("#f-level", "city")
    page.select_option("#f-interface", "web")
    first.press("main .primary")
    assert HOSTILE in page.locator(".held").inner_text()
    assert page.locator("main img").count() == 0
    page.check("input[name=draft]")
    first.press("button[value=approve]")
    assert page.locator(".register", has_text="X-99").count() == 0, "nobody approves their own"

    second = Eyes(chromium, town.address, java_script_enabled=False)
    second.enter("commission-second")
    second.go("/county/systems")
    second.press("button[value=approve]")
    assert HOSTILE in second.page.locator(".register").inner_text()
    assert second.page.locator("main img").count() == 0
    assert first.trouble + second.trouble == []
    for one in (first, second):
        one.context.close()


@pytest.mark.browser
def test_a_right_is_drafted_for_several_cells_and_a_mistake_keeps_what_was_typed(
    chromium: Browser, town: OwnTown
) -> None:
    eyes = Eyes(chromium, town.address)
    eyes.enter("commission")
    page = eyes.go("/county/rights")
    page.select_option("#holder", "level:province")
    page.check("input[name=class][value=imaging]")
    page.check("input[name=class][value=laboratory]")
    page.check("input[name=use_of][value=view]")
    page.fill("#document", "省文（演示）")
    page.fill("#start", "2026-02-01")
    page.fill("#end", "2026-01-01")
    eyes.press("form:has(#holder) .primary")
    assert "早于起始日" in page.locator("[role=alert]").inner_text()
    assert page.input_value("#document") == "省文（演示）"
    assert page.is_checked("input[name=class][value=imaging]")
    page.fill("#end", "2026-12-31")
    eyes.press("form:has(#holder) .primary")
    assert page.locator("input[name=draft]").count() == 3  # one waited before
    eyes.in_english()
    eyes.press("button[name=act][value=approve]")
    told = page.locator("[role=alert]").inner_text()
    assert "choose the drafts to decide on first" in told
    assert not CHINESE.search(told)
    assert eyes.trouble + eyes.violations() == []
    eyes.context.close()


@pytest.mark.parametrize("kind", list(COLUMNS))
def test_an_exported_file_can_be_taken_up_again_unchanged(town: OwnTown, kind: str) -> None:
    found = town.do(registers.standing(kind, town.services))  # type: ignore[arg-type]
    read = register_sheets.read(kind, register_sheets.workbook(kind, found))  # type: ignore[arg-type]

    lines = [registers.checked(kind, line)[0] for line in read]  # type: ignore[arg-type]

    assert lines == [one.line for one in found]


def test_no_cell_of_a_file_is_a_formula_and_none_is_taken() -> None:
    names = [column.name for column in COLUMNS["system"]]
    entry = Entry("=1+1", 1, dict.fromkeys(names, "") | {"id": "=1+1", "name": HOSTILE})
    content = register_sheets.workbook("system", [entry])

    cells = [cell for row in load_workbook(io.BytesIO(content)).active for cell in row]
    assert {cell.data_type for cell in cells if cell.value} == {"s"}
    assert (
        register_sheets.read("system", content)[0]["id"] == "=1+1"
    )  # a text, which no name may be
    book = load_workbook(io.BytesIO(content))
    book.active["B2"] = "=1+1"
    content_with = io.BytesIO()
    book.save(content_with)
    with pytest.raises(registers.Faults) as wrong:
        register_sheets.read("system", content_with.getvalue())
    assert "公式" in wrong.value.faults[0].zh


def test_a_file_that_is_none_or_has_other_columns_is_said_to_be_so() -> None:
    for content in (b"", b"PK\x03\x04", b"<html>"):
        with pytest.raises(registers.Faults):
            register_sheets.read("element", content)
    other = register_sheets.sheet("x", ["系统编号", "秘密"], [["A", "B"]])
    with pytest.raises(registers.Faults) as wrong:
        register_sheets.read("system", other)
    assert ("秘密", "这个登记册没有这一列") in {(f.column, f.zh) for f in wrong.value.faults}


def test_every_complaint_is_said_in_both_languages() -> None:
    """Only what stands in a line is quoted as it is."""
    wrong = {"id": "!", "level": "国", "interface": "x" * 2_001, "start": "morgen", "name": "a\x07"}
    faults = list(registers.checked("system", wrong)[1])
    full = {one.name: "x" for one in COLUMNS["right"]} | {"data_class": "visits", "use": "view"}
    for more in (
        {"holder": "level:x", "start": "2026-02-01", "end": "2026-01-01"},
        {"holder": "x", "start": "2026-02-01", "end": ""},
        {"holder": "system:!", "start": "2026-02-01", "end": ""},
    ):
        faults += registers.checked("right", full | more)[1]
    shared = {one.name: "x" for one in COLUMNS["resource"]} | {"published": "", "open": "no"}
    shared |= {"sharing": "none", "conditions": "", "code": "!"}
    faults += registers.checked("resource", shared)[1]

    assert len({one.zh for one in faults}) == 11
    for one in faults:
        assert CHINESE.search(one.zh)
        assert not CHINESE.search(one.en.replace("国", ""))


def test_what_ships_can_be_meant_and_everything_served_is_in_the_catalogue() -> None:
    for kind in ("right", "resource", "element"):
        for one in registers.shipped(kind):  # type: ignore[arg-type]
            assert registers.checked(kind, one.line)[1] == []  # type: ignore[arg-type]
    codes = {one.id for one in registers.shipped("resource")}
    assert {*READABLE, "Binary", "Consent"} <= codes
    elements = registers.shipped("element")
    assert len(elements) >= 60
    assert len({one.line["field"] for one in elements}) == len(elements)


def test_every_column_and_choice_is_spoken() -> None:
    said = {column.zh for columns in COLUMNS.values() for column in columns}
    said |= {
        word
        for columns in COLUMNS.values()
        for column in columns
        for word in column.choices.values()
    }
    assert said | {*TITLES.values(), "文件", "待批准"} == registers_words.SPOKEN
