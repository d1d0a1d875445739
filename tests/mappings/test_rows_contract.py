"""Rows: the same letters from CSV and JSON, a contract of columns, and no row that drags others down."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import rows
from mappings.engine.fhirwording import chinese_place
from mappings.engine.model import Issue
from mappings.engine.reader import AddressFault, Letter, Limits, Source
from mappings.engine.rows import RowDialect

COLUMNS = ("BRID", "XM", "BGDH", "XMDM", "JG", "GXSJ")


def source(charset: str = "gb18030", **options: object) -> Source:
    return Source(
        org="tcm",
        name="云溪县中医医院",
        charset=charset,
        zone=ZoneInfo("Asia/Shanghai"),
        space="mrn",
        ids={},
        limits=Limits(bytes=100_000, rows=50),
        options={"columns": ",".join(COLUMNS), "group": "BRID,BGDH", "watermark": "GXSJ"} | options,
        base_url="https://gateway.example/fhir",
    )


ROWS = (
    ("T1", "王珅", "B1", "0401", "6.10", "2026-03-02 08:00:00"),
    ("T1", "王珅", "B1", "0402", "<0.01", "2026-03-02 09:00:00"),
    ("T2", "李玘", "B2", "0401", "5.00", "2026-03-02 08:30:00"),
)


def as_csv(rows: Sequence[Sequence[str]], charset: str = "gb18030", end: str = "\r\n") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode(charset)


def as_json(rows: Sequence[Sequence[str]]) -> bytes:
    return json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows]).encode()


def as_lines(rows: Sequence[Sequence[str]]) -> bytes:
    return b"\n".join(
        json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False).encode()
        for row in rows
    )


def cells(letter: Letter, column: str, where: Source) -> list[str]:
    get = RowDialect().address(column, where)
    return [value.text for row in letter.root.children("row") for value in get(row)]


def only_stop(raw: bytes, where: Source | None = None) -> Issue:
    letters, issues = RowDialect().cut(raw, where or source())
    assert not letters
    assert [issue.severity for issue in issues] == ["stop"]
    return issues[0]


def test_consecutive_rows_of_one_report_are_one_letter() -> None:
    letters, issues = RowDialect().cut(as_csv(ROWS), source())

    assert not issues
    assert [cells(letter, "XMDM", source()) for letter in letters] == [["0401", "0402"], ["0401"]]
    assert cells(letters[0], "JG", source()) == ["6.10", "<0.01"]
    assert letters[0].sent == "2026-03-02 09:00:00"
    assert letters[0].control_id.startswith("T1-B1#")
    assert [str(row.place) for row in letters[0].root.children("row")] == ["row 2", "row 3"]
    assert letters[1].root.locate("JG") == "row 4 JG"


@pytest.mark.parametrize("form", [as_json, as_lines, lambda rows: as_csv(rows, end="\n")])
def test_every_form_gives_the_same_letters(form: object) -> None:
    expected = [(one.control_id, one.sent) for one in RowDialect().cut(as_csv(ROWS), source())[0]]
    letters, issues = RowDialect().cut(form(ROWS), source())  # type: ignore[operator]
    assert not issues
    assert [(one.control_id, one.sent) for one in letters] == expected


CELL = st.text(st.characters(codec="gb18030", exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(st.tuples(*[CELL] * len(COLUMNS)), min_size=1, max_size=6))
def test_whatever_the_cells_hold_csv_and_json_agree(rows: list[tuple[str, ...]]) -> None:
    rows = [("T", *row[1:]) for row in rows]
    from_csv, _ = RowDialect().cut(as_csv(rows), source())
    from_json, _ = RowDialect().cut(as_json(rows), source())
    assert [one.digest for one in from_csv] == [one.digest for one in from_json]


@given(st.binary(max_size=300))
def test_any_bytes_are_answered_and_never_raise(raw: bytes) -> None:
    for where in (source(), source("utf-8")):
        letters, issues = RowDialect().cut(raw, where)
        assert letters or issues
        letters, issues = RowDialect().cut(as_csv(ROWS)[:20] + raw, where)
        assert letters or issues


@given(st.integers(0, len(as_csv(ROWS))), st.binary(max_size=3))
def test_a_damaged_file_never_raises(at: int, piece: bytes) -> None:
    raw = as_csv(ROWS)
    RowDialect().cut(raw[:at] + piece + raw[at + 1 :], source())


def test_the_order_of_the_columns_does_not_matter() -> None:
    turned = [dict(reversed(list(zip(COLUMNS, row, strict=True)))) for row in ROWS]
    letters, _ = RowDialect().cut(json.dumps(turned).encode(), source())
    assert [one.digest for one in letters] == [
        one.digest for one in RowDialect().cut(as_json(ROWS), source())[0]
    ]


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        (b"BRID,XM,BGDH,XMDM,GXSJ\r\n", "columns-missing", "header: JG"),
        (b"BRID,XM,BGDH,XMDM,JG,GXSJ,NEW\r\n", "columns-new", "header column 7"),
        (b"BRID,XM,XM,BGDH,XMDM,JG,GXSJ\r\n", "columns-new", "header column 3"),
        (b'[{"BRID":"T1"}]', "columns-missing", "row 1: XM, BGDH, XMDM, JG, GXSJ"),
        (b"[1]", "row-not-object", "row 1"),
        (b'[{"BRID":"1","BRID":"2"}]', "json-duplicate", "line 1 column 14"),
        (b'[{"BRID"', "json-truncated", "line 1 column 9"),
        (b"\xff\xff\xff", "charset-broken", ""),
        (b"  \r\n", "empty", ""),
        (b'BRID,XM,BGDH,XMDM,JG,GXSJ\r\n"T1', "csv-broken", "row 2"),
        (b"x" * 100_001, "too-many-bytes", ""),
    ],
)
def test_a_delivery_outside_the_contract_is_not_read_at_all(
    raw: bytes, code: str, place: str
) -> None:
    stop = only_stop(raw)
    assert (stop.code, stop.place) == (code, place)
    assert stop.text("zh") != f"{place}: {code}"


def test_a_file_without_a_heading_tells_no_patient_data() -> None:
    raw = as_csv(ROWS).split(b"\r\n", 1)[1]
    stop = only_stop(raw)
    for text in (stop.text("zh"), stop.text("en"), stop.place):
        assert "王珅" not in text
        assert "6.10" not in text
    assert only_stop(b"BRID,XM,BGDH,XMDM,JG,GXSJ,6.10\r\n").place == "header column 7"


def test_a_stray_comma_stops_its_own_row_only() -> None:
    raw = as_csv(ROWS).replace(b"<0.01", b"<0,01")
    letters, issues = RowDialect().cut(raw, source())

    assert not issues
    assert [cells(letter, "XMDM", source()) for letter in letters[:2]] == [["0401"], ["0401"]]
    assert [(issue.code, issue.place) for issue in letters[2].issues] == [("row-width", "row 3")]


def test_a_json_number_keeps_its_digits_and_null_is_no_value() -> None:
    raw = b'[{"BRID":"T1","XM":null,"BGDH":"B1","XMDM":"0401","JG":6.10,"GXSJ":"NULL"}]'
    letters, _ = RowDialect().cut(raw, source())
    assert cells(letters[0], "JG", source()) == ["6.10"]
    assert cells(letters[0], "XM", source()) == []
    assert letters[0].sent == ""


def test_a_json_object_as_a_cell_stops_its_own_row_only() -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    rows[1]["JG"] = {"value": 1}  # type: ignore[assignment]
    letters, _ = RowDialect().cut(json.dumps(rows).encode(), source())
    assert [len(letter.root.rows) for letter in letters] == [1, 1, 1]
    assert [(issue.code, issue.place) for issue in letters[2].issues] == [("row-cell", "row 2 JG")]


def test_a_wrong_charset_is_alarmed_or_refused() -> None:
    chinese = [("T1", "欧阳诸葛司徒上官夏侯皇甫", "B1", "0401", "1", "")]
    assert only_stop(as_csv(chinese), source("utf-8")).code == "charset-suspicious-gb"
    _, issues = RowDialect().cut(as_csv(chinese, "utf-8"), source("gb18030"))
    assert "charset-suspicious-utf8" in {issue.code for issue in issues}


def test_a_byte_order_mark_in_front_of_utf8_is_not_part_of_the_heading() -> None:
    letters, issues = RowDialect().cut(as_csv(ROWS, "utf-8-sig"), source("utf-8"))
    assert len(letters) == 2
    assert not issues


def test_more_rows_than_allowed_stop_the_delivery() -> None:
    assert only_stop(as_csv([ROWS[0]] * 51)).code == "too-many-rows"
    assert only_stop(as_json([ROWS[0]] * 51)).code == "too-many-rows"


def test_a_column_the_source_does_not_declare_is_a_fault_of_the_map() -> None:
    with pytest.raises(AddressFault):
        RowDialect().address("GHOST", source())


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("row 381 JG", "第 381 行 JG 列"),
        ("row 4", "第 4 行"),
        ("header: JG, DW", "表头缺 JG, DW"),
        ("header column 7", "表头第 7 列"),
        ("row 1 column 3", "第 1 行第 3 列"),
        ("row 4 结果 值", "第 4 行 结果 值 列"),
        ("line 2 column 17", "第 2 行第 17 列"),
        ("line 3 Patient.gender", "第 3 行 Patient.gender"),
        ("Bundle.entry[1].resource", "Bundle.entry[1].resource"),
        ("OBX[7]-5.1 (line 12)", "OBX[7]-5.1（第 12 行）"),
    ],
)
def test_places_are_told_as_people_say_them(place: str, said: str) -> None:
    assert chinese_place(place) == said


# --- deliveries as systems really write them -------------------------------------------------------

UTF8_MARK, GB_MARK = b"\xef\xbb\xbf", "\ufeff".encode("gb18030")


@pytest.mark.parametrize(
    ("raw", "registered", "codes"),
    [
        (UTF8_MARK + as_csv(ROWS, "utf-8"), "utf-8", []),
        (UTF8_MARK + as_csv(ROWS, "utf-8"), "gb18030", ["charset-by-mark"]),
        (GB_MARK + as_csv(ROWS), "gb18030", []),
        (GB_MARK + as_csv(ROWS), "utf-8", ["charset-by-mark"]),
        (UTF8_MARK + as_json(ROWS), "gb18030", []),
        (UTF8_MARK + as_lines(ROWS), "gb18030", []),
    ],
)
def test_a_byte_order_mark_says_what_the_bytes_are(
    raw: bytes, registered: str, codes: list[str]
) -> None:
    where = source(registered)
    letters, issues = RowDialect().cut(raw, where)
    assert [issue.code for issue in issues] == codes
    assert [cells(letter, "XM", where) for letter in letters] == [["王珅", "王珅"], ["李玘"]]
    apart = list(rows.units(io.BytesIO(raw), where, []))
    assert len(apart) == 2
    again = [letter for unit in apart for letter in RowDialect().cut(unit.raw, where)[0]]
    assert [one.digest for one in again] == [one.digest for one in letters]


def test_unicode_text_of_a_spreadsheet_is_told_how_to_be_saved() -> None:
    assert only_stop(as_csv(ROWS, "utf-16")).code == "charset-utf16"


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", "^"])
def test_another_delimiter_is_declared(delimiter: str) -> None:
    where = source(delimiter=delimiter)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(COLUMNS)
    writer.writerows([("T1", f"王{delimiter}珅", "B1", "0401", "6,10", "2026-03-02 08:00:00")])
    (letter,), issues = RowDialect().cut(text.getvalue().encode("gb18030"), where)
    assert not issues
    assert cells(letter, "XM", where) == [f"王{delimiter}珅"]
    assert cells(letter, "JG", where) == ["6,10"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_cell_may_go_over_lines_and_hold_quotes(end: str) -> None:
    where = source()
    raw = as_csv([("T1", '王"珅"', "B1", "0401", "第一行\n第二行,6.10", "2026-03-02")] * 2, end=end)
    (letter,), issues = RowDialect().cut(raw, where)
    assert not issues
    assert cells(letter, "JG", where) == ["第一行\n第二行,6.10"] * 2
    assert cells(letter, "XM", where)[0] == '王"珅"'
    assert len(list(rows.units(io.BytesIO(raw), where, []))) == 1


def test_a_line_that_is_no_json_stops_only_itself() -> None:
    lines = as_lines(ROWS).split(b"\n")
    raw = b"\r\n".join([lines[0], b"", b'{"BRID": ', lines[2], lines[1][:40]])
    letters, issues = RowDialect().cut(raw, source())
    assert not issues
    stops = [[(i.code, i.place) for i in letter.issues] for letter in letters]
    assert sorted(stops) == [
        [],
        [],
        [("json-truncated", "line 3 column 11")],
        [("json-truncated", "line 5 column 37")],
    ]
    assert len(list(rows.units(io.BytesIO(raw), source(), []))) == 4


def test_a_bit_column_comes_as_one_and_zero() -> None:
    row = dict(zip(COLUMNS, ROWS[0], strict=True)) | {"JG": True, "XMDM": False}
    (letter,), _ = RowDialect().cut(json.dumps([row]).encode(), source())
    assert cells(letter, "JG", source()) == ["1"]
    assert cells(letter, "XMDM", source()) == ["0"]


@pytest.mark.parametrize("digits", ["6.10", "0.010", "1.00000", "12345678901234567890.5", "1e2"])
def test_a_number_keeps_its_digits_in_every_form(digits: str) -> None:
    row = ("T1", "王珅", "B1", "0401", digits, "2026-03-02")
    bare = as_lines([row]).replace(f'"{digits}"'.encode(), digits.encode())
    for raw in (as_csv([row]), as_json([row]), as_lines([row]), bare):
        (letter,), _ = RowDialect().cut(raw, source())
        assert cells(letter, "JG", source()) == [digits]


@pytest.mark.parametrize("form", [as_lines, lambda some: as_lines(some[:1])])
def test_json_in_the_registered_set_is_read_and_cut_into_utf8(form: Any) -> None:
    """Java on a Chinese Windows writes it so; each unit is the JSON it should have been."""
    raw = form(ROWS).decode().encode("gb18030")
    letters, issues = RowDialect().cut(raw, source())
    assert not issues
    assert cells(letters[0], "XM", source())[0] == "王珅"
    units = list(rows.units(io.BytesIO(raw), source(), []))
    assert len(units) == len(letters)
    assert "王珅".encode() in units[0].raw
    assert only_stop(raw, source("utf-8")).code == "json-not-utf8"
    assert len(list(rows.units(io.BytesIO(raw), source("utf-8"), []))) == 1
