"""Code tables: what a spreadsheet or a hurried hand does to them is found, by file, line and column."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mappings
from mappings.engine import lint, load, tables
from mappings.engine.model import Finding
from mappings.engine.table_review import review, same_but
from mappings.engine.tables import Table

HEAD = "code,name,specimen,loinc,relation,unit,state,by,on,note\n"


def read(text: str | bytes) -> tuple[Table, list[Finding]]:
    raw = text.encode() if isinstance(text, str) else text
    return tables.read_csv(Path("items.csv"), raw, "items", "urn:x")


def row(code: str = "A01", **cells: str) -> str:
    named = {"code": code, "loinc": "1742-6", "relation": "equivalent", **cells}
    return ",".join(named.get(column, "") for column in tables.ITEM_COLUMNS) + "\n"


# --- what cannot be used ---------------------------------------------------------------------------

REFUSED = [
    # what stands there, line, column, words of the finding
    (HEAD + row("1.01E+17"), 2, 1, "damaged by a spreadsheet"),
    (HEAD + row("1月2日"), 2, 1, "damaged by a spreadsheet"),
    (HEAD + row("2-Jan"), 2, 1, "damaged by a spreadsheet"),
    (HEAD + row("2026/1/2"), 2, 1, "damaged by a spreadsheet"),
    (HEAD + row("#N/A"), 2, 1, "damaged by a spreadsheet"),
    (HEAD + row("330421198001010000"), 2, 1, "damaged by a spreadsheet"),
    (HEAD + row(loinc="48067-5"), 2, 7, "check digit"),
    (HEAD + row(loinc="１742-6"), 2, 7, "check digit"),
    (HEAD + row(relation="same"), 2, 14, "relation is one of"),
    (HEAD + row() + row(), 3, 1, "stands twice"),
    (HEAD + row(unit="g/L") + row(unit="mg/dL"), 3, 1, "stands twice"),
    (HEAD + row(specimen="*") + row(), 3, 1, "stands twice"),
    (HEAD + "A01,谷丙\n", 2, 1, "2 columns, the heading has 10"),
    ("code;name;loinc\n", 1, 1, "separate the columns with commas"),
    ("code\tname\tloinc\n", 1, 1, "separate the columns with commas"),
    ("code,name,lonic\n", 1, 11, "unknown column 'lonic'"),
    ("code,name,name\n", 1, 11, "stands twice"),
    ("# nothing\n", 1, 1, "no heading"),
    ("编码,名称\n".encode("gb18030"), 1, 1, "UTF-8"),
    ("code,name\n".encode("utf-16"), 1, 1, "UTF-8"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), REFUSED)
def test_what_cannot_be_used_is_found_where_it_stands(text, line, column, words):
    _, findings = read(text)
    assert [(f.file, f.line, f.column) for f in findings] == [("items.csv", line, column)]
    assert words in findings[0].en
    assert findings[0].zh


def test_a_refused_row_is_not_used_and_the_others_are():
    table, _ = read(HEAD + row("1.01E+17") + row("A02") + row("A03", relation="same"))
    assert [table.get(code) is not None for code in ("1.01E+17", "A02", "A03")] == [
        False, True, False,
    ]  # fmt: skip


def test_a_mark_of_excel_in_front_and_comments_are_no_trouble():
    table, findings = read(b"\xef\xbb\xbf# agreed 2026-03\n" + (HEAD + row()).encode())
    assert (findings, len(table)) == ([], 1)


def test_a_cell_of_several_lines_does_not_shift_the_numbers():
    note = '"asked\nthe laboratory"'
    _, findings = read(HEAD + row("A01", note=note) + row("A02", relation="same"))
    assert [finding.line for finding in findings] == [4]


def test_only_approved_rows_are_used():
    text = HEAD + row("A", state="approved") + row("B", state="proposed") + row("C")
    table, _ = read(text)
    assert [table.get(code) is not None for code in "ABC"] == [True, False, True]


# --- the key: code, specimen, kind of unit -----------------------------------------------------------

NEUT = (
    HEAD
    + row("NEUT", loinc="770-8", unit="%")
    + row("NEUT", loinc="751-8", unit="10*9/L")
    + row("GLU", specimen="SER", loinc="14749-6", unit="mmol/L")
    + row("GLU", specimen="UR", loinc="25428-4")
    + row("K", loinc="2823-3", unit="mmol/L")
)


@pytest.mark.parametrize(
    ("code", "specimen", "kind", "loinc"),
    [
        ("NEUT", "BLD", "NFr", "770-8"),
        ("NEUT", "BLD", "NCnc", "751-8"),
        ("NEUT", "BLD", "", None),
        ("NEUT", "BLD", "MCnc", None),
        ("GLU", "SER", "SCnc", "14749-6"),
        ("GLU", "UR", "", "25428-4"),
        ("GLU", "", "SCnc", None),
        ("K", "SER", "anything", "2823-3"),
    ],
)
def test_specimen_and_kind_of_unit_are_part_of_the_key(code, specimen, kind, loinc):
    table, findings = read(NEUT)
    assert findings == []
    found = table.get(code, specimen, kind)
    assert (found["loinc"] if found else None) == loinc


# --- what is probably wrong ---------------------------------------------------------------------------

DOUBTED = [
    (row(loinc="47238-1"), 7, "IgG only"),
    (row(loinc="59826-8"), 7, "creatinine in blood"),
    (row(loinc="24627-2", name="胸片"), 9, "CT of the chest"),
    (row(loinc="5792-7"), 7, "not in the county's LOINC list"),
    (row(loinc="15060-7"), 7, "marked uncertain"),
    (row(loinc="1742-6", unit="g/L"), 25, "does not measure"),
    (row(loinc="14682-9", unit="mg/dL"), 26, "does not measure"),
    (row(loinc="770-8", unit="10*9/L"), 24, "does not measure"),
    (row(loinc="14749-6", specimen="UR"), 6, "not that of"),
    (row(loinc="14749-6", specimen="尿液"), 6, "not that of"),
    (row(loinc="29252-4", name="胸部DR正位"), 13, "the name says DR"),
    (row(loinc="24648-8", name="胸部CT平扫"), 13, "the name says CT"),
    (row(loinc=""), 7, "to nothing"),
]


@pytest.mark.parametrize(("line", "column", "words"), DOUBTED)
def test_what_is_probably_wrong_is_doubted_where_it_stands(line, column, words):
    (doubt,) = review("items.csv", (HEAD + line).encode())
    assert (doubt.line, doubt.column) == (2, column)
    assert words in doubt.en
    assert doubt.zh


@pytest.mark.parametrize(
    "line",
    [
        row(unit="U/L"),
        row(unit="[IU]/L"),
        row(loinc="10334-1", unit="U/mL"),
        row(loinc="14749-6", specimen="PLAS"),
        row(loinc="6301-6", unit="{INR}"),
        row(loinc="29252-4", name="胸部CT平扫"),
        row(loinc="", relation="", state="proposed"),
        row(loinc="15060-7", state="proposed"),
        row(loinc="", relation="unmatched"),
    ],
)
def test_what_is_as_it_should_be_is_not_doubted(line):
    assert review("items.csv", (HEAD + line).encode()) == []


def test_a_number_the_county_checked_for_this_hospital_is_not_doubted():
    assert review("items.csv", (HEAD + row(loinc="5792-7")).encode(), frozenset({"5792-7"})) == []


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ("0101", "101", "zeros"), ("ALT", "alt", "case"), ("ALT", "ＡＬＴ", "width"),
        ("0101", "0101", ""), ("0101", "0102", ""), ("00a", "0A", "zeros"),
    ],
)  # fmt: skip
def test_codes_that_look_alike_are_told_how(one, other, how):
    assert same_but(one, other) == how
    assert same_but(other, one) == how


def test_codes_that_differ_only_by_zeros_case_or_width_and_mean_another_item_are_doubted():
    text = HEAD + row("0101") + row("101", loinc="1920-8") + row("b") + row("B", loinc="1920-8")
    assert [(d.line, "line 2" in d.en or "line 4" in d.en) for d in review("x", text.encode())] == [
        (3, True), (5, True),
    ]  # fmt: skip


def test_codes_that_lost_their_zeros_stand_out_among_the_others():
    codes = ["0101", "0102", "0301", "1201", "302"]
    text = HEAD + "".join(row(code) for code in codes)
    (doubt,) = review("x", text.encode())
    assert (doubt.line, "leading zeros" in doubt.en) == (6, True)


def test_a_unit_table_says_ucum_and_nothing_else():
    text = "text,ucum,state\n克/升,克/L,approved\nu/L,U/L,approved\n"
    assert [doubt.line for doubt in review("units.csv", text.encode())] == [2]


@given(st.text(max_size=400))
@example('0",')
def test_no_text_makes_reading_a_table_raise(text):
    for raw in (text.encode("utf-8", "surrogatepass"), (HEAD + text).encode("utf-8", "replace")):
        table, findings = read(raw)
        assert len(table) >= 0
        assert all(finding.line >= 1 and finding.column >= 1 for finding in findings)
        assert all(doubt.line >= 1 for doubt in review("x", raw))


def test_lint_tells_a_sites_doubts_and_a_licensed_table_settles_them(tmp_path):
    site = tmp_path / "tcm"
    shutil.copytree(Path(mappings.__path__[0]) / "sites" / "tcm", site)
    items, rules = site / "codes" / "lis_items.csv", site / "lis.toml"
    items.write_text(items.read_text("utf-8") + row("0999", loinc="5792-7"), "utf-8")

    assert ["5792-7" in doubt.en for doubt in lint(site)] == [True]
    assert load(site).release  # it runs all the same

    (site / "codes" / "licensed.csv").write_text("code,note\n5792-7,looked up 2026-03\n", "utf-8")
    text = rules.read_text("utf-8")
    rules.write_text(
        text.replace("[tables]\n", '[tables]\nlicensed = "codes/licensed.csv"\n'), "utf-8"
    )
    assert lint(site) == []
