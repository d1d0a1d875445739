"""The pages of the catalogue and the register, in a real browser over a real county."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import OfficeTown, OwnTown

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def kind_of_town() -> type[OwnTown]:
    return OfficeTown


@pytest.fixture
def eyes(visitor: Eyes) -> Eyes:
    return visitor


def book(eyes: Eyes) -> bytes:
    with eyes.page.expect_download() as waiting:
        eyes.page.click("a[href$='/county/catalogue/file']")
    return Path(waiting.value.path()).read_bytes()


def edited(body: bytes, place: str, value: object) -> dict[str, object]:
    made = load_workbook(io.BytesIO(body))
    made["项目"][place].value = value
    kept = io.BytesIO()
    made.save(kept)
    return {"name": "目录.xlsx", "mimeType": "application/zip", "buffer": kept.getvalue()}


def upload(eyes: Eyes, file: dict[str, object], note: str) -> None:
    eyes.page.set_input_files("#file", file)  # type: ignore[arg-type]
    eyes.page.fill("#note", note)
    eyes.page.click("form:has(#file) button.primary")
    eyes.page.wait_for_load_state()


def row_of(body: bytes, code: str) -> int:
    tab = load_workbook(io.BytesIO(body))["项目"]
    return next(n for n in range(2, 999) if tab[f"A{n}"].value == code)


def test_a_changed_workbook_goes_from_draft_to_published_by_two_persons(
    eyes: Eyes, town: OfficeTown
) -> None:
    eyes.enter("commission")
    eyes.go("/county/catalogue")
    body = book(eyes)
    row = row_of(body, "HR-L-0001")

    upload(eyes, edited(body, f"N{row}", "七"), "wrong")
    assert f"“项目”第 {row} 行“门诊时限（天）”列：不是整数" in eyes.page.inner_text("main")
    upload(eyes, edited(body, f"N{row}", "=1+4"), "formula")
    assert "含有公式" in eyes.page.inner_text("main")
    upload(eyes, edited(body, f"N{row}", "5"), HOSTILE)
    assert "门诊时限（天）由“7”改为“5”" in eyes.page.inner_text("main")
    assert HOSTILE in eyes.page.inner_text("main")
    assert eyes.page.locator("button[value=approve]").count() == 0
    eyes.sign_out()

    eyes.enter("commission-second")
    eyes.go("/county/catalogue")
    assert "时限缩短" in eyes.page.inner_text("main")
    eyes.page.click("button[value=approve]")
    eyes.page.wait_for_load_state()
    assert "请用几个字说明理由" in eyes.page.inner_text("main")
    eyes.page.fill("input[name=reason]", "会议决定")
    eyes.page.click("button[value=approve]")
    eyes.page.wait_for_load_state()
    eyes.page.click("button[value=publish]")
    eyes.page.wait_for_load_state()
    item = town.services.catalogue.item("HR-L-0001", town.services.now())
    assert item is not None
    assert item.op_days == 5
    assert "正在使用" in eyes.page.inner_text("main")


def test_items_are_found_by_name_kind_scope_and_state(eyes: Eyes) -> None:
    eyes.enter("commission")
    eyes.go("/county/catalogue?words=%E8%82%8C%E9%85%90")
    assert "显示 2 项" in eyes.page.inner_text("main")  # 肌酐, 尿白蛋白肌酐比
    eyes.go("/county/catalogue?state=uncertain&kind=imaging")
    assert "HR-E-0022" in eyes.page.inner_text("main")
    eyes.go("/county/catalogue?words=30799-1")
    eyes.page.click("td a")
    eyes.page.wait_for_load_state()
    text = eyes.page.inner_text("main")
    assert "头颅CT平扫" in text
    assert "急诊" in text


def test_an_entitlement_is_granted_suspended_and_restored(eyes: Eyes, town: OfficeTown) -> None:
    eyes.enter("commission")
    eyes.go("/county/entitlements")
    before = town.services.catalogues.event
    assert "已暂停" in eyes.page.inner_text("main")
    eyes.page.select_option("#organization", "mch")
    eyes.page.select_option("#what", "ultrasound")
    eyes.page.select_option("#scope", "CN-ZJ-JX")
    eyes.page.fill("#basis", "IMG-QC")
    eyes.page.fill("#evidence", HOSTILE)
    eyes.page.fill("#reason", "合格")
    eyes.page.click("form:has(#basis) button.primary")
    eyes.page.wait_for_load_state()
    assert HOSTILE in eyes.page.inner_text("main")
    for act, word in (("suspended", "已暂停"), ("restored", "有效"), ("revoked", "已撤销")):
        eyes.page.fill("#reason", act)
        eyes.page.click(f"button[value={act}]")
        eyes.page.wait_for_load_state()
        assert word in eyes.page.inner_text(".head-line")
    assert eyes.page.locator("button[value=revoked]").count() == 0
    assert town.services.catalogues.event == before + 4


def send(eyes: Eyes, body: bytes) -> str:
    """Upload a workbook of the register; what the page says."""
    file = {"name": "r.xlsx", "mimeType": "application/octet-stream", "buffer": body}
    eyes.page.set_input_files("#file", file)  # type: ignore[arg-type]
    eyes.page.click("form:has(#file) button.primary")
    eyes.page.wait_for_load_state()
    return eyes.page.inner_text("main")


def with_rows(body: bytes, *rows: list[str]) -> bytes:
    opened = load_workbook(io.BytesIO(body))
    for row in rows:
        opened["互认资格"].append(row)
    kept = io.BytesIO()
    opened.save(kept)
    return kept.getvalue()


def test_a_file_adds_all_that_was_shown_or_nothing(eyes: Eyes, town: OfficeTown) -> None:
    eyes.enter("commission")
    eyes.go("/county/entitlements")
    with eyes.page.expect_download() as download:
        eyes.page.click("a[href$='/county/entitlements/file']")
    body = Path(download.value.path()).read_bytes()
    before = town.services.catalogues.event
    good = [
        "mch",
        "HR-L-0034",
        "",
        "CN-ZJ",
        "2026-01-01",
        "",
        "active",
        "ZJ-EQA",
        HOSTILE,
        "县",
        "",
    ]

    assert "没有新增" in send(eyes, body)
    told = send(eyes, with_rows(body, good, [*good[:1], "HR-L-9999", *good[2:]]))
    assert "没有这个项目" in told
    assert eyes.page.locator("button[value=take]").count() == 0
    assert "不是 Excel 工作簿" in send(eyes, b"not a workbook")
    assert "文件将增加 1 行" in send(eyes, with_rows(body, good))
    assert town.services.catalogues.event == before
    eyes.page.fill("#sheet-reason", "批量登记")
    eyes.page.click("button[value=take]")
    eyes.page.wait_for_load_state()
    assert "已全部登记" in eyes.page.inner_text("main")
    assert town.services.catalogues.event == before + 1
    assert "没有新增" in send(eyes, with_rows(body, good))


def test_what_is_not_accepted_is_said_and_nothing_is_kept(eyes: Eyes, town: OfficeTown) -> None:
    eyes.enter("commission")
    eyes.go("/county/entitlements")
    before = town.services.catalogues.event
    eyes.page.select_option("#what", "ultrasound")
    eyes.page.fill("#reason", "x")
    eyes.page.click("form:has(#basis) button.primary")
    eyes.page.wait_for_load_state()
    assert "没有被接受" in eyes.page.inner_text("main")
    assert town.services.catalogues.event == before
