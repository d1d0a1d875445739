"""The catalogue goes to Excel and comes back the same; what is wrong is told by sheet, row and column."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from gateway.recognition.catalogue import SHIPPED, Catalogue, excel
from gateway.recognition.catalogue.content import cells_of, register_cells
from gateway.recognition.catalogue.csvfile import CatalogueFault
from gateway.recognition.catalogue.difference import difference
from gateway.recognition.catalogue.reader import load, of_cells, of_content
from gateway.recognition.catalogue.sheets import REGISTER, SHEETS

ZONE = ZoneInfo("Asia/Shanghai")
SMALL = {
    "items": [
        "HR-L-0001,丙氨酸氨基转移酶,ALT,lab,1742-6,U/L,serum;plasma,,,,no,no,A,7,3,lab;chemistry,CN,"
        "no,,常规化学,A,2026-01-01,,1,us,CCnc,,no,",
        "HR-E-0012,胸部CT平扫,CT chest,imaging,29252-4,,,,CT,CHEST;胸,no,no,B,30,7,imaging,CN,no,,,"
        "A,2026-01-01,2026-12-31,1,us,,without,no,层厚;期相",
    ],
    "scopes": ["CN,,national,全国HR,全国,China"],
    "panels": ["P1,肝功能,Liver,http://loinc.org|24325-3,HR-L-0001"],
    "orders": ["people,LFT,肝功能,Liver,urn:x|LFT,肝功,HR-L-0001"],
    "windows": ["HR-L-0001,IP,重症,0,collection"],
    "prices": ["HR-L-0001,,5.00"],
}


def small() -> dict[str, list[list[str]]]:
    return {name: [line.split(",") for line in lines] for name, lines in SMALL.items()}


CATALOGUE = of_cells(small(), ZONE)
BOOK = excel.write(cells_of(CATALOGUE, ZONE))


def edited(edit: Callable[[Any], None]) -> bytes:
    book = load_workbook(io.BytesIO(BOOK))
    edit(book)
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


def faults(body: bytes) -> list[str]:
    with pytest.raises(CatalogueFault) as raised:
        excel.read(body, ZONE)
    return [fault.zh for fault in raised.value.faults]


def test_the_whole_shipped_list_comes_back_as_the_same_version():
    shipped = load(SHIPPED, zone=ZONE)
    back = excel.read(excel.write(cells_of(shipped, ZONE)), ZONE)
    assert (back.version, back.items) == (shipped.version, shipped.items)
    assert of_content(shipped.content, ZONE).items == shipped.items


TEXT = st.text(
    st.one_of(
        st.sampled_from("=+-@'\";,<& 天"), st.characters(min_codepoint=33, max_codepoint=0x9FFF)
    ),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip() and "_x" not in text)


@given(
    st.lists(st.tuples(TEXT, TEXT, st.integers(0, 9999), st.booleans()), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
def test_any_text_goes_out_and_comes_back_whatever_the_order_of_rows(said, random):
    cells = small()
    usual = cells["items"][0]
    for number, (name, version, days, qualitative) in enumerate(said):
        line = list(usual)
        line[0], line[1], line[2], line[13] = f"X-{number}", name.strip(), name.strip(), str(days)
        line[4] = ["1920-8", "6768-6", "2324-2", "2885-2"][number]
        line[11], line[23] = "yes" if qualitative else "no", version.strip()
        cells["items"].append(line)
        cells["windows"].append([f"X-{number}", "", name.strip(), str(days), "collection"])
    made = of_cells(cells, ZONE)
    for lines in cells.values():
        random.shuffle(lines)
    assert of_cells(cells, ZONE).version == made.version

    body = excel.write(cells_of(made, ZONE))

    assert excel.read(body, ZONE).version == made.version
    for tab in load_workbook(io.BytesIO(body)).worksheets:
        for row in tab.iter_rows(min_row=2):
            for cell in row:
                assert cell.data_type != "f"
                assert cell.value is None or not str(cell.value).startswith(("=", "+", "-", "@"))


def put(sheet: str, place: str, value: object) -> Callable[[Any], None]:
    def edit(book: Any) -> None:
        book[sheet][place].value = value

    return edit


@pytest.mark.parametrize(
    ("sheet", "place", "value", "said"),
    [
        ("项目", "N2", "七", "“项目”第 2 行“门诊时限（天）”列：不是整数（0 至 9999）"),
        ("项目", "N2", 7.5, "“项目”第 2 行“门诊时限（天）”列：不是整数（0 至 9999）"),
        ("项目", "E3", "1742-7", "“项目”第 3 行“LOINC”列：1742-7 不是 LOINC 码：校验位不对"),
        ("项目", "B2", "=1+1", "“项目”第 2 行“中文名称”列：含有公式"),
        ("项目", "B2", "@SUM(A1)", "“项目”第 2 行“中文名称”列：以公式符号（= + - @）开头"),
        ("项目", "B2", "-2+3", "“项目”第 2 行“中文名称”列：以公式符号（= + - @）开头"),
        ("项目", "A1", "名字", "“项目”第 1 行：表头有缺少、不认识或重复的列：编码、名字"),
        ("项目", "D2", "blood", "“项目”第 2 行“类别”列：只能是：lab、imaging、function"),
        ("项目", "Q2", "MARS", "“项目”第 2 行“互认范围”列：没有这个范围：MARS"),
        ("时限", "D2", "-1", "“时限”第 2 行“天数”列：以公式符号（= + - @）开头"),
        ("价格", "C2", "五元", "“价格”第 2 行“金额（元）”列：不是金额（元，最多两位小数）"),
        ("医嘱对照", "G2", "HR-X", "“医嘱对照”第 2 行“项目”列：没有这个项目：HR-X"),
        ("组合", "D2", "24325-3", "“组合”第 2 行“通用编码”列：24325-3 不是“体系|编码”"),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_sheet_row_and_column(sheet, place, value, said):
    found = faults(edited(put(sheet, place, value)))
    assert said in found


def test_numbers_and_days_may_be_numbers_and_days():
    def typed(book: Any) -> None:
        from datetime import datetime

        book["项目"]["N3"].value = 7
        book["项目"]["V3"].value = datetime(2026, 1, 1)
        book["价格"]["C2"].value = 5

    assert excel.read(edited(typed), ZONE).version == CATALOGUE.version


def test_sheets_are_the_catalogues_own_and_all_of_them():
    def more(book: Any) -> None:
        book.create_sheet("其他")
        book.remove(book["价格"])

    found = faults(edited(more))
    assert "“其他”第 1 行：不是目录的工作表" in found
    assert "“价格”第 1 行：缺少这个工作表" in found


def test_what_is_no_workbook_or_too_large_is_refused(monkeypatch):
    assert faults(b"PK nothing")[0].endswith("不是 Excel 工作簿（.xlsx）")
    monkeypatch.setattr(excel, "UNPACKED", 1_000)
    assert faults(BOOK)[0].endswith("文件解压后太大")
    monkeypatch.setattr(excel, "LARGEST", 1_000)
    assert faults(BOOK)[0].endswith("文件太大（上限 5 MB）")


@pytest.mark.parametrize("damage", ["cut", "elsewhere"])
def test_a_sheet_that_is_damaged_inside_is_a_fault(damage):
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(BOOK)) as good, zipfile.ZipFile(kept, "w") as bad:
        for part in good.infolist():
            body = good.read(part)
            if part.filename.endswith("sheet1.xml"):
                far = b'<sheetData><row r="1"><c r="A1" t="s"><v>99999</v></c></row>'
                cut = body[: len(body) // 2]
                body = cut if damage == "cut" else body.replace(b"<sheetData>", far, 1)
            bad.writestr(part, body)
    assert any(one.endswith("工作表已损坏") for one in faults(kept.getvalue()))


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("xl/vbaProject.bin", b"x", "文件含有宏"),
        ("xl/evil.xml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>', "文件含有不允许的声明"),
    ],
)  # fmt: skip
def test_macros_and_entities_are_refused(name, body, said):
    kept = io.BytesIO(BOOK)
    with zipfile.ZipFile(kept, "a") as packed:
        packed.writestr(name, body)
    assert faults(kept.getvalue())[0].endswith(said)


def test_more_rows_than_anybody_has_are_refused(monkeypatch):
    monkeypatch.setattr(excel, "ROWS", 2)
    assert "“项目”第 3 行：行数超过 2" in faults(BOOK)


def test_the_register_comes_back_too():
    from gateway.demo import story

    held = load(SHIPPED, story.CATALOGUE, zone=ZONE)
    cells = register_cells(held.members, held.entitled, ZONE)
    found: list[Any] = []
    again: dict[str, list[list[str]]] = {"members": [], "entitlements": []}
    for row in excel.rows(excel.write(cells), REGISTER, found):
        again[row.sheet].append([row.text(column) for column in SHEETS[row.sheet].names])
    assert (again, found) == (cells, [])


# Differences


def changed(edit: Callable[[dict[str, list[list[str]]]], None]) -> Catalogue:
    cells = small()
    edit(cells)
    return of_cells(cells, ZONE)


def lines(after: Catalogue) -> list[tuple[str, str, str]]:
    return [(one.effect, one.zh, one.field) for one in difference(CATALOGUE, after, ZONE)]


def test_a_difference_says_what_is_added_removed_and_changed():
    def edit(cells: dict[str, list[list[str]]]) -> None:
        alt = cells["items"][0]
        alt[13], alt[14] = "5", "4"
        cells["items"][1][17] = "yes"
        cells["items"].append(["HR-L-0002", "天冬氨酸", "AST", "lab", "1920-8", *alt[5:]])
        cells["prices"].clear()
        cells["windows"][0][3] = "1"

    assert lines(changed(edit)) == [
        ("-", "项目 HR-E-0012 2026-01-01 胸部CT平扫：负面清单由“no”改为“yes”", "negative_list"),
        ("-", "项目 HR-L-0001 2026-01-01 丙氨酸氨基转移酶：门诊时限（天）由“7”改为“5”", "op_days"),
        ("+", "项目 HR-L-0001 2026-01-01 丙氨酸氨基转移酶：住院时限（天）由“3”改为“4”", "ip_days"),
        ("+", "新增项目 HR-L-0002 2026-01-01 天冬氨酸", ""),
        ("+", "时限 HR-L-0001 IP 重症 丙氨酸氨基转移酶：天数由“0”改为“1”", "days"),
        ("~", "删除价格 HR-L-0001 丙氨酸氨基转移酶", ""),
    ]  # fmt: skip


def test_the_same_content_differs_in_nothing_and_back_is_the_opposite():
    assert difference(CATALOGUE, of_cells(small(), ZONE), ZONE) == ()
    after = changed(lambda cells: cells["items"].pop())
    (gone,) = difference(CATALOGUE, after, ZONE)
    (back,) = difference(after, CATALOGUE, ZONE)
    assert (gone.act, gone.effect, back.act, back.effect) == ("removed", "-", "added", "+")
    assert gone.en == "item HR-E-0012 2026-01-01 CT chest removed"


@pytest.mark.parametrize(
    ("column", "value", "effect"),
    [(4, "1742-6;1920-8", "+"), (6, "serum", "-"), (6, "serum;urine", "~"), (7, "酶法", "-"),
     (20, "Q", "-"), (20, "B", "~"), (18, "STD", "-"), (1, "谷丙", "~"), (27, "yes", "-")],
)  # fmt: skip
def test_what_opens_and_what_closes(column, value, effect):
    def edit(cells: dict[str, list[list[str]]]) -> None:
        cells["items"][0][column] = value

    assert [one[0] for one in lines(changed(edit))] == [effect]
