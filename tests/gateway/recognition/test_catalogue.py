"""The catalogue is used whole or not at all, and says by file and line what is wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.recognition.catalogue import SHIPPED, plain_mark
from gateway.recognition.catalogue.csvfile import CatalogueFault
from gateway.recognition.catalogue.reader import load, loinc_ok

COUNTY = Path(__file__).parent / "county"
ZONE = ZoneInfo("Asia/Shanghai")
AT = 1_772_596_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped list and the county's files in one folder, the county's items at the end."""
    for path in (*SHIPPED.glob("*.csv"), *COUNTY.glob("*.csv")):
        shutil.copy(path, tmp_path)
    shipped, own = ((at / "items.csv").read_text("utf-8") for at in (SHIPPED, COUNTY))
    (tmp_path / "items.csv").write_text(shipped + own.split("\n", 1)[1], encoding="utf-8")
    return tmp_path


def faults(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(CatalogueFault) as raised:
        load(folder, zone=ZONE)
    assert str(raised.value)
    assert all(fault.words and fault.zh for fault in raised.value.faults)
    return [fault[:3] for fault in raised.value.faults]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_list_has_twelve_laboratory_and_two_examination_items():
    catalogue = load(SHIPPED, zone=ZONE)
    open_items = [item for item in catalogue.items if not item.negative_list]
    assert len([item for item in open_items if item.kind == "lab"]) == 12
    assert sorted(item.modality for item in open_items if item.kind == "imaging") == ["CT", "US"]
    assert all(item.confidence in "AC" and item.approved_by for item in catalogue.items)
    assert all(loinc_ok(code) for item in catalogue.items for code in item.loinc)
    assert all(item.ip_days <= item.op_days for item in catalogue.items)
    assert not any(item.protected_category for item in open_items)


def test_the_check_digits_of_annex_c():
    assert loinc_ok("14682-9")
    assert loinc_ok("48066-5")
    assert not loinc_ok("48067-5")  # often seen on the web
    for text in ("", "14682", "14682-", "14682-99", "A4682-9", "１4682-9", "-9"):
        assert not loinc_ok(text)


def test_the_version_is_the_content_of_the_files(folder: Path):
    before = load(folder, zone=ZONE).version
    assert load(folder, zone=ZONE).version == before
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
    # file, what stands there, what somebody makes of it, line, words of the fault
    ("items.csv", "HR-L-0031,钾", "HR-L-0001,钾", 18, "twice"),
    ("items.csv", "1742-6", "1742-7", 2, "check digit"),
    ("items.csv", "code,name_zh", "code,nickname,name_zh", 1, "unknown"),
    ("items.csv", ",approved_by", ",approved", 1, "missing"),
    ("items.csv", "1920-8", "1742-6", 3, "another item"),
    ("items.csv", "HR-L-0002", "HR-L-0001", 3, "twice"),
    ("items.csv", ",7,3,lab", ",seven,3,lab", 2, "op_days"),
    ("items.csv", ",7,3,lab", ",-7,3,lab", 2, "op_days"),
    ("items.csv", "U/L,serum;plasma", "U/L,", 2, "specimens"),
    ("items.csv", "U/L,serum;plasma", ",serum;plasma", 2, "unit"),
    ("items.csv", ",CT,CHEST;胸;肺;THORAX", ",CT,", 16, "body part"),
    ("items.csv", ",no,no,A,", ",no,perhaps,A,", 2, "qualitative"),
    ("items.csv", ",CN,no,,", ",MARS,no,,", 2, "no such scope"),
    ("items.csv", "2026-01-01,,1,starter proposal", "2026-01-01,,1,", 2, "approved_by"),
    ("items.csv", "2026-01-01,,1", "01.01.2026,,1", 2, "effective_from"),
    ("items.csv", "2026-01-01,,1", "2026-01-01,2025-01-01,1", 2, "before"),
    ("items.csv", ",starter proposal", "", 2, "number of cells"),
    ("scopes.csv", "CN,,national", "CN,CONS-YX1,national", 2, "contains itself"),
    ("scopes.csv", "CN-ZJ,CN;REG-YRD", "CN-ZJ,CN;CN", 4, "twice"),
    ("scopes.csv", "CN-ZJ-JX,CN-ZJ,", "CN-ZJ-JX,CN-XX,", 5, "no such scope"),
    ("scopes.csv", "嘉兴HR", "浙江HR", 5, "mark stands twice"),
    ("members.csv", "people,CONS-YX1", "people,CONS-YX9", 2, "no such scope"),
    ("members.csv", "township,CONS-YX1", "people,CONS-YX1", 3, "twice"),
    ("entitlements.csv", "people,,chemistry", "people,HR-L-0001,chemistry", 2, "only one"),
    ("entitlements.csv", "people,,chemistry", "people,,", 2, "only one"),
    ("entitlements.csv", "people,,chemistry", "people,,alchemy", 2, "no such group"),
    ("entitlements.csv", "HR-E-0012", "HR-E-9999", 4, "no such item"),
    ("entitlements.csv", "active,NCCL-EQA", "perhaps,NCCL-EQA", 2, "status"),
    ("entitlements.csv", "eqa/2026/people-chem", "", 2, "evidence"),
]


@pytest.mark.parametrize(("file", "old", "new", "line", "words"), WRONG)
def test_one_doubtful_cell_refuses_everything(folder: Path, file, old, new, line, words):
    edit(folder / file, old, new)
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
