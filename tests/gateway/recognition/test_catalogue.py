"""The catalogue is used whole or not at all, and says by file and line what is wrong with it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from gateway.recognition.catalogue import SHIPPED, Window, plain_mark
from gateway.recognition.catalogue.csvfile import CatalogueFault
from gateway.recognition.catalogue.reader import load, loinc_ok

COUNTY = Path(__file__).parent / "county"
ZONE = ZoneInfo("Asia/Shanghai")
ORDERS = """\
organization,code,name_zh,name_en,codings,names,items
people,LFT,肝功能,Liver,urn:people|LFT,肝功能;肝功,HR-L-0001;HR-L-0002
people,LIP,血脂,Lipids,urn:people|LIP,血脂,HR-L-0019
"""
AT = 1_772_596_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped list and the county's files in one folder, with one order of a hospital."""
    for path in (*SHIPPED.glob("*.csv"), *COUNTY.glob("*.csv")):
        shutil.copy(path, tmp_path)
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    return tmp_path


def faults(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(CatalogueFault) as raised:
        load(folder, zone=ZONE)
    assert str(raised.value)
    assert all(fault.words and fault.zh for fault in raised.value.faults)
    return [fault[:3] for fault in raised.value.faults]


def edit(path: Path, old: str, new: str) -> int:
    """Put something in the place of what stands there first; its line."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_the_shipped_list_has_all_rows_of_the_two_lists():
    items = load(SHIPPED, zone=ZONE).items
    numbers = {(item.code[3], int(item.code[5:9])) for item in items}
    assert {n for kind, n in numbers if kind == "L"} >= set(range(1, 75))
    assert {n for kind, n in numbers if kind == "E"} >= set(range(1, 37))
    assert len(items) == len({item.code for item in items}) >= 110
    assert all(loinc_ok(code) for item in items for code in item.loinc)
    assert all(item.approved_by and item.name_en.isascii() for item in items)
    assert all(item.eqa_programme or not item.groups or item.kind == "lab" for item in items)


def test_what_changes_fast_or_decides_about_life_is_never_recognised():
    items = {item.code: item for item in load(SHIPPED, zone=ZONE).items}
    negative = {code for code, item in items.items() if item.negative_list}
    by_loinc = {code: item for item in items.values() for code in item.loinc}
    for loinc in ("56888-1", "31201-7", "13969-1", "32673-6", "33959-8", "89579-7", "10839-9",
                  "883-9", "10331-7", "36147-7"):  # fmt: skip
        assert by_loinc[loinc].code in negative, loinc
    for code in negative:
        assert (items[code].op_days, items[code].ip_days, items[code].comparability) == (0, 0, "C")
        assert not items[code].windows


def test_windows_get_no_longer_where_things_change_faster():
    for item in load(SHIPPED, zone=ZONE).items:
        assert item.ip_days <= item.op_days
        for window in item.windows:
            # A row of every kind of visit counts on the wards, too.
            usual = item.op_days if window.patient_class == "OP" else item.ip_days
            assert window.days <= usual, (item.code, window)
            assert window.clock == ("collection" if item.kind == "lab" else "acquisition")


def test_the_most_specific_window_counts():
    item = load(SHIPPED, zone=ZONE).item("HR-L-0013", AT)
    assert item is not None
    assert [item.window(*who).days for who in (
        ("OP", "心内科"), ("IP", "心内科"), ("OP", "肾内科"), ("IP", "肾内科"), ("IP", "重症医学科"),
        ("EM", "急诊科"),
    )] == [7, 2, 3, 1, 0, 2]  # fmt: skip
    either = msgspec.structs.replace(item, windows=(Window(4, "IP"), Window(5, "", "肾内")))
    assert [either.window(*who).days for who in (("IP", "肾内科"), ("IP", "儿科"))] == [5, 4]


def test_values_that_depend_on_the_platform_say_so():
    items = load(SHIPPED, zone=ZONE).items
    tumour = [item for item in items if "tumour-markers" in item.groups]
    assert len(tumour) >= 7
    assert all(item.platform_only and item.comparability == "B" for item in tumour)


def test_only_uncertain_codes_wait():
    catalogue = load(SHIPPED, zone=ZONE)
    waiting = {item.code for item in catalogue.items if not item.active}
    assert waiting == {item.code for item in catalogue.items if item.confidence == "Q"}
    assert "HR-E-0022" in waiting  # coronary CT angiography
    assert catalogue.items_for(["79089-9"], AT) == ()


def test_every_item_that_can_be_recognised_has_a_price_at_every_level():
    for item in load(SHIPPED, zone=ZONE).items:
        if item.op_days and not item.negative_list:
            assert {one.level for one in item.prices} == {
                "三级甲等", "三级乙等", "二级甲等", "二级乙等", "一级", "",
            }  # fmt: skip
            assert all(re.fullmatch(r"\d+\.\d\d", one.amount) for one in item.prices)


def test_examinations_say_part_contrast_and_what_a_reader_wants_to_know():
    items = [item for item in load(SHIPPED, zone=ZONE).items if item.kind != "lab"]
    assert all(item.quality_facts and item.body_parts for item in items)
    for item in items:
        wanted = (
            "both" if "平扫+增强" in item.name_zh
            else "with" if "增强" in item.name_zh or "CTA" in item.name_zh
            else "without" if "平扫" in item.name_zh else item.contrast
        )  # fmt: skip
        assert item.contrast == wanted, item.code
        # A term for scanners, and the words of Chinese examination names.
        assert item.body_parts[0].isascii()
        assert any(not part.isascii() for part in item.body_parts)


@pytest.mark.parametrize(
    ("code", "why"),
    [("48067-5", "no D-dimer: check digit"), ("48066-7", "no D-dimer: check digit"),
     ("47238-1", "syphilis IgG only"), ("59826-8", "creatinine in blood, not serum"),
     ("24627-2", "CT chest, not a radiograph"), ("2160-0", "another unit, another number")],
)  # fmt: skip
def test_numbers_that_mean_something_else_are_not_on_the_list(code, why):
    assert all(code not in item.loinc for item in load(SHIPPED, zone=ZONE).items), why


def test_the_same_letters_in_other_material_are_other_items():
    catalogue = load(SHIPPED, zone=ZONE)
    by_loinc = {code: item for item in catalogue.items for code in item.loinc}
    assert by_loinc["14749-6"].specimens == ("serum", "plasma")
    assert by_loinc["25428-4"].specimens == ("urine",)
    assert by_loinc["48065-7"].code != by_loinc["48066-5"].code  # FEU and DDU
    assert by_loinc["10835-7"].code != by_loinc["43583-4"].code  # Lp(a): no factor between them
    assert by_loinc["14804-9"].code != by_loinc["14805-6"].code  # LDH: two directions, two ranges
    assert by_loinc["33959-8"].ucum == ("ng/mL",)  # procalcitonin, no share of platelets


def test_panels_and_orders_say_which_items_they_mean(folder: Path):
    catalogue = load(folder, zone=ZONE)
    codes = {item.code for item in catalogue.items}
    assert all(set(panel.items) <= codes for panel in catalogue.panels)
    known = {coding.partition("|")[2] for panel in catalogue.panels for coding in panel.codings}
    assert {"57021-8", "24325-3", "24362-6", "24326-1", "24331-1", "24356-8"} <= known
    names = {panel.name_zh for panel in catalogue.panels}
    assert {"肝功能", "肾功能", "凝血四项", "甲功五项", "乙肝五项", "尿常规"} <= names

    def meant(organization, codings=(), name=""):
        return [i.code for i in catalogue.ordered(organization, codings, name, AT)]

    assert meant("people", [("urn:people", "LFT")]) == ["HR-L-0001", "HR-L-0002"]
    assert meant("people", (), "肝功") == ["HR-L-0001", "HR-L-0002"]
    assert meant("tcm", [("urn:people", "LFT")]) == []
    assert len(meant("tcm", [("http://loinc.org", "24325-3")])) == 7
    assert len(meant("tcm", [("http://loinc.org", "57021-8")])) == 16


def test_the_check_digits_of_annex_c():
    assert loinc_ok("14682-9")
    assert loinc_ok("48066-5")
    assert not loinc_ok("48067-5")  # often seen on the web
    for text in ("", "14682", "14682-", "14682-99", "A4682-9", "１4682-9", "-9"):
        assert not loinc_ok(text)


def test_the_version_is_the_content_of_the_files(folder: Path):
    before = load(folder, zone=ZONE).version
    assert load(folder, zone=ZONE).version == before
    edit(folder / "members.csv", "2026-01-01", "2026-01-02")
    assert load(folder, zone=ZONE).version == before  # the register is no part of it
    edit(folder / "items.csv", ",7,3,", ",6,3,")
    assert load(folder, zone=ZONE).version != before


def test_an_organisation_lies_in_its_scope_and_all_around_it():
    catalogue = load(SHIPPED, COUNTY, zone=ZONE)
    assert catalogue.scopes_of("people", AT) == {
        "CONS-YX1", "CN-ZJ-JX-YX", "CN-ZJ-JX", "CN-ZJ", "REG-YRD", "CN",
    }  # fmt: skip
    assert catalogue.scopes_of("shanghai", AT) == {"REG-YRD", "CN"}
    assert catalogue.scopes_of("nowhere", AT) == frozenset()
    assert catalogue.scopes_of("left", AT) == frozenset()
    assert catalogue.scopes_of("late", AT - 7 * 86_400_000_000) == frozenset()


@pytest.mark.parametrize(
    ("raw", "scope"),
    [("【全国HR】", "CN"), ("全国hr", "CN"), ("［浙江ＨＲ］", "CN-ZJ"), ("(浙HR)", "CN-ZJ"),
     ("★", ""), ("★★", ""), ("HR", ""), ("互认", ""), ("武汉HR", None), ("见备注", None)],
)  # fmt: skip
def test_printed_marks_are_read(raw, scope):
    assert load(SHIPPED, zone=ZONE).scope_of_mark(raw) == scope
    assert plain_mark(plain_mark(raw)) == plain_mark(raw)


def test_a_code_that_is_uncertain_waits_and_one_that_was_half_checked_does_not(folder: Path):
    """B says that property and specimen come from general knowledge: the county decides to rely on
    it. Only Q, "look it up before anybody relies on it", keeps an item out."""
    text = (folder / "items.csv").read_text(encoding="utf-8")
    for mark, known in (("B", True), ("Q", False)):
        (folder / "items.csv").write_text(
            text.replace("常规化学,A,", f"常规化学,{mark},", 1), "utf-8"
        )
        catalogue = load(folder, zone=ZONE)
        item = next(one for one in catalogue.items if one.code == "HR-L-0001")
        assert item.active is known
        assert bool(catalogue.items_for(["1742-6"], AT)) is known
        assert (catalogue.item("HR-L-0001", AT) is not None) is known


def test_an_item_may_follow_its_own_older_version(folder: Path):
    text = (folder / "items.csv").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("HR-L-0001"))
    old = row.replace("2026-01-01,,1", "2026-01-01,2026-02-28,1")
    new = row.replace(",7,3,", ",10,3,").replace("2026-01-01,,1", "2026-03-01,,2")
    (folder / "items.csv").write_text(text.replace(row, f"{old}\n{new}"), encoding="utf-8")
    catalogue = load(folder, zone=ZONE)
    assert [item.op_days for item in catalogue.items_for(["1742-6"], AT)] == [10]
    assert [item.op_days for item in catalogue.items_for(["1742-6"], AT - 7 * 86_400_000_000)] == [
        7
    ]
    assert catalogue.items_for(["1742-6"], 0) == ()


def test_excel_may_put_its_mark_in_front(folder: Path):
    path = folder / "scopes.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(folder, zone=ZONE).scopes


WRONG = [
    # file, what stands there, what somebody makes of it, words of the fault
    ("items.csv", "HR-L-0031,钾", "HR-L-0001,钾", "twice"),
    ("items.csv", "1742-6", "1742-7", "check digit"),
    ("items.csv", "code,name_zh", "code,nickname,name_zh", "unknown"),
    ("items.csv", ",approved_by", ",approved", "missing"),
    ("items.csv", "1920-8", "1742-6", "another item"),
    ("items.csv", "HR-L-0002", "HR-L-0001", "twice"),
    ("items.csv", ",7,3,lab", ",seven,3,lab", "op_days"),
    ("items.csv", ",7,3,lab", ",-7,3,lab", "op_days"),
    ("items.csv", ",7,3,lab", ",99999,3,lab", "op_days"),
    ("items.csv", "U/L,serum;plasma", "U/L,", "specimens"),
    ("items.csv", "U/L,serum;plasma", ",serum;plasma", "unit"),
    ("items.csv", ",CT,CHEST;胸;肺;THORAX", ",CT,", "body part"),
    ("items.csv", ",CT,CHEST;胸;肺;THORAX", ",,CHEST", "modality"),
    ("items.csv", ",no,no,A,", ",no,perhaps,A,", "qualitative"),
    ("items.csv", ",CN,no,,", ",MARS,no,,", "no such scope"),
    ("items.csv", "2026-01-01,,1,starter proposal", "2026-01-01,,1,", "approved_by"),
    ("items.csv", "2026-01-01,,1", "01.01.2026,,1", "effective_from"),
    ("items.csv", "2026-01-01,,1", "2026-01-01,2025-01-01,1", "before"),
    ("items.csv", ",starter proposal", "", "number of cells"),
    ("items.csv", ",without,no,", ",maybe,no,", "contrast"),
    ("scopes.csv", "CN,,national", "CN,CONS-YX1,national", "contains itself"),
    ("scopes.csv", "CN-ZJ,CN;REG-YRD", "CN-ZJ,CN;CN", "twice"),
    ("scopes.csv", "CN-ZJ-JX,CN-ZJ,", "CN-ZJ-JX,CN-XX,", "no such scope"),
    ("scopes.csv", "嘉兴HR", "浙江HR", "mark stands twice"),
    ("panels.csv", "HR-P-0002", "HR-P-0001", "twice"),
    ("panels.csv", "57021-8", "57021-9", "check digit"),
    ("panels.csv", "http://loinc.org|57021-8", "57021-8", "system|code"),
    ("panels.csv", "24325-3", "57021-8", "another panel"),
    ("panels.csv", "HR-L-0046;", "HR-L-9999;", "no such item"),
    ("orders.csv", "people,LFT", ",LFT", "organization"),
    ("orders.csv", "urn:people|LIP", "urn:people|LFT", "another panel"),
    ("orders.csv", ",血脂,HR-L-0019", ",肝功,HR-L-0019", "another panel"),
    ("orders.csv", ",HR-L-0019", ",", "items"),
    ("windows.csv", "HR-L-0001,", "HR-L-9999,", "no such item"),
    ("windows.csv", ",OP,", ",XX,", "patient_class"),
    ("windows.csv", ",acquisition", ",report", "clock"),
    ("windows.csv", ",acquisition", ",collection", "another clock"),
    ("prices.csv", "HR-L-0001,", "HR-L-9999,", "no such item"),
    ("prices.csv", "HR-L-0001,二级甲等", "HR-L-0001,三级甲等", "twice"),
    ("prices.csv", ".50", ".5x", "price"),
    ("members.csv", "people,CONS-YX1", "people,CONS-YX9", "no such scope"),
    ("members.csv", "township,CONS-YX1", "people,CONS-YX1", "twice"),
    ("entitlements.csv", "people,,chemistry", "people,HR-L-0001,chemistry", "only one"),
    ("entitlements.csv", "people,,chemistry", "people,,", "only one"),
    ("entitlements.csv", "people,,chemistry", "people,,alchemy", "no such group"),
    ("entitlements.csv", "HR-E-0012", "HR-E-9999", "no such item"),
    ("entitlements.csv", "active,NCCL-EQA", "perhaps,NCCL-EQA", "status"),
    ("entitlements.csv", "eqa/2026/people-chem", "", "evidence"),
]


@pytest.mark.parametrize(("file", "old", "new", "words"), WRONG)
def test_one_doubtful_cell_refuses_everything(folder: Path, file, old, new, words):
    line = edit(folder / file, old, new)
    found = faults(folder)
    assert any(f[:2] == (file, line) and words in f[2] for f in found), found


def test_files_that_are_none_of_ours_or_not_text_are_refused(folder: Path):
    (folder / "item.csv").write_text("code\n", encoding="utf-8")
    assert ("item.csv", 1, "not a file of the catalogue") in faults(folder)
    (folder / "item.csv").unlink()
    (folder / "items.csv").write_bytes("编码".encode("gb18030"))
    assert ("items.csv", 1, "not UTF-8") in faults(folder)


def test_a_folder_without_items_is_no_catalogue(tmp_path: Path):
    assert faults(tmp_path) == [("items.csv", 1, "no items")]
