"""Laboratory values, ranges, names, units and times: digits kept, nothing guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import identity, tables, times, units, values
from mappings.engine.times import BadTime, Moment

HOME = Path(__file__).parent.parent.parent / "mappings"
SHANGHAI = ZoneInfo("Asia/Shanghai")
FHIR_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def county(name: str) -> tables.Table:
    path = HOME / "tables" / name
    table, findings = tables.read_csv(path, path.read_bytes(), name, "urn:x")
    assert findings == []
    return table


WORDS = county("words.csv")
UNITS = county("units.csv")


# --- numbers ---------------------------------------------------------------------------------------


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None).map(str))
def test_every_decimal_keeps_its_digits_and_its_value(text: str) -> None:
    kept = values.digits(text.replace("E+", "E"))
    assert kept is not None
    assert FHIR_DECIMAL.fullmatch(kept)
    assert Decimal(kept) == Decimal(text)
    assert Decimal(kept).as_tuple().exponent == Decimal(text).as_tuple().exponent


@given(st.from_regex(r"[+-]?[0-9]{0,6}\.?[0-9]{0,6}", fullmatch=True))
def test_whatever_is_called_a_number_is_fhir_grammar_with_the_same_decimals(text: str) -> None:
    kept = values.digits(text)
    if kept is None:
        assert not any(sign.isdigit() for sign in text)
    else:
        assert FHIR_DECIMAL.fullmatch(kept)
        assert Decimal(kept) == Decimal(text)
        assert kept.partition(".")[2] == text.partition(".")[2]


@given(st.text(max_size=20))
def test_any_text_reads_as_something(text: str) -> None:
    assert values.read(text, WORDS).kind


def test_a_result_never_passes_through_a_float() -> None:
    assert values.digits("0.1000000000000000055511151231257827") == (
        "0.1000000000000000055511151231257827"
    )


# --- ranges and names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("3.5-9.5", "3.5", "9.5"),
        ("3.5--9.5", "3.5", "9.5"),
        ("3.5～9.5", "3.5", "9.5"),
        ("3.5—9.5", "3.5", "9.5"),
        ("9.0000-50.0000", "9.0000", "50.0000"),
        ("<5.2", "", "5.2"),
        ("≤26", "", "26"),
        ("＜5.2", "", "5.2"),
        (">=1.0", "1.0", ""),
        ("-2.0-3.0", "-2.0", "3.0"),
        ("4.30 to 5.70", "4.30", "5.70"),
    ],
)
def test_a_range_is_read_with_its_digits(text: str, low: str, high: str) -> None:
    (part,), sure = values.read_range(text)
    assert (part.low, part.high, part.text, sure) == (low, high, text, True)


@pytest.mark.parametrize("text", ["0-0", "9-3", "见说明书1", "成人3.5-9.5", "男:1-2"])
def test_a_range_that_is_not_sure_is_text_only(text: str) -> None:
    (part,), sure = values.read_range(text)
    assert (part.low, part.high, part.text, sure) == ("", "", text, False)


def test_a_word_is_a_sure_range_without_ends() -> None:
    (part,), sure = values.read_range("阴性")
    assert (part.low, part.high, part.text, sure) == ("", "", "阴性", True)


def test_both_sexes_are_given_and_nothing_is_chosen() -> None:
    parts, sure = values.read_range("男：57-97；女：41-73")
    assert sure
    assert [(part.sex, part.low, part.high) for part in parts] == [
        ("male", "57", "97"),
        ("female", "41", "73"),
    ]


@pytest.mark.parametrize(
    ("text", "mark", "name", "method"),
    [
        ("【全国HR】丙氨酸氨基转移酶", "【全国HR】", "丙氨酸氨基转移酶", ""),
        ("★乙肝表面抗原", "★", "乙肝表面抗原", ""),
        ("*肌酐(酶法)", "*", "肌酐", "酶法"),
        ("【浙江HR】★肌酐（苦味酸法）", "【浙江HR】★", "肌酐", "苦味酸法"),
        ("尿素氮(BUN)", "", "尿素氮(BUN)", ""),
        ("乙肝表面抗原(稀释)", "", "乙肝表面抗原(稀释)", ""),
    ],
)
def test_a_name_is_taken_apart(text: str, mark: str, name: str, method: str) -> None:
    assert values.read_name(text) == values.ItemName(mark, name, method)


# --- units -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("U/L", "U/L"),
        ("μmol/L", "umol/L"),  # Greek mu
        ("µmol/L", "umol/L"),  # micro sign
        ("10^9/L", "10*9/L"),
        ("×10⁹/L", "10*9/L"),
        ("x10^12/L", "10*12/L"),
        ("秒", "s"),
        ("mIU/ml", "m[IU]/mL"),
        ("个/HP", "/[HPF]"),
        ("Pg", "pg"),
        ("u/L", ""),  # parses as UCUM, and means atomic mass units per litre
        ("S", ""),  # siemens
        ("mm/H", ""),
        ("MMOL/L", ""),
        ("foo", ""),
    ],
)
def test_only_an_approved_row_gives_a_unit_its_code(text: str, code: str) -> None:
    assert units.ucum(text, (UNITS,)) == code


@pytest.mark.parametrize(
    ("parts", "unit", "joined"),
    [
        (("10", "9/L"), "10^9/L", True),
        (("x10", "12/L"), "x10^12/L", True),
        (("", "U/L"), "U/L", False),
        (("U/L", "单位", "ISO+"), "U/L", False),
        (("10", "L"), "10", False),
    ],
)
def test_a_caret_in_the_unit_is_put_back(parts: tuple[str, ...], unit: str, joined: bool) -> None:
    assert units.rejoin(parts) == (unit, joined)


# --- times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026", "2026"),
        ("202603", "2026-03"),
        ("20260302", "2026-03-02"),
        ("2026030207", "2026-03-02T07:00:00+08:00"),
        ("202603020758", "2026-03-02T07:58:00+08:00"),
        ("20260302075801", "2026-03-02T07:58:01+08:00"),
        ("20260302075801.1234", "2026-03-02T07:58:01.1234+08:00"),
        ("20260302075801+0000", "2026-03-02T07:58:01+00:00"),
        ("20240615T103000", "2024-06-15T10:30:00+08:00"),
        ("2024-10-23 15:49:54", "2024-10-23T15:49:54+08:00"),
        ("2025-06-22T09:06:26Z", "2025-06-22T09:06:26+00:00"),
        ("2026/3/2", "2026-03-02"),
        ("2026年3月2日", "2026-03-02"),
        ("202603022400", "2026-03-03T00:00:00+08:00"),
        ("19870701120000", "1987-07-01T12:00:00+09:00"),  # summer time of those years
        ("19000601120000", "1900-06-01"),  # +08:05:43 cannot be written
    ],
)
def test_a_time_keeps_its_precision(text: str, written: str) -> None:
    moment = times.read(text, SHANGHAI)
    assert isinstance(moment, Moment)
    assert moment.text == written


@pytest.mark.parametrize(
    "text",
    ["", "abc", "20261301", "20260230", "2026030225", "202603022401", "20260302075860", "99991231",
     "19000101", "00010101", "17530101", "2026-03-02T", "3岁2月"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_a_code(text: str) -> None:
    assert isinstance(times.read(text, SHANGHAI), BadTime)


def test_beijing_time_written_with_a_z_is_a_setting_of_the_source() -> None:
    moment = times.read("2025-06-22T09:06:26Z", SHANGHAI, "", True)
    assert isinstance(moment, Moment)
    assert moment.text == "2025-06-22T09:06:26+08:00"


@given(st.datetimes(min_value=datetime(1992, 1, 1), max_value=datetime(2199, 12, 31)))
def test_an_hl7_stamp_is_the_instant_it_names(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    read = times.read(f"{moment:%Y%m%d%H%M%S}", SHANGHAI)
    assert isinstance(read, Moment)
    instant = moment - timedelta(hours=8)
    assert read.us == (instant.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    assert times.read(read.text, ZoneInfo("UTC")) == read


@given(st.text(max_size=25))
def test_any_text_is_a_time_or_a_code(text: str) -> None:
    assert isinstance(times.read(text, SHANGHAI), Moment | BadTime)


# --- identity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "usable", "issue"),
    [
        ("330421198001010005", "330421198001010005", True, ""),
        ("33042119550615000x", "33042119550615000X", True, ""),
        ("３３０４２１ 19800101-0005", "330421198001010005", True, ""),
        ("330421198001010006", "330421198001010006", False, "resident-id-check"),
        ("330421800101001", "330421800101001", False, "resident-id-15"),
        ("33042119550615000Х", "", False, "resident-id-form"),  # Cyrillic
        ("3304211980****0005", "", False, "resident-id-form"),
        ("111111111111111111", "", False, "resident-id-placeholder"),
        ("33042119000101000X", "", False, "resident-id-placeholder"),
        ("无", "", False, "resident-id-form"),
    ],
)
def test_a_resident_id_is_normalised_checked_or_refused(
    text: str, value: str, usable: bool, issue: str
) -> None:
    assert identity.resident_id(text) == identity.Checked(value, usable, issue)


@given(st.dates(min_value=date(1910, 1, 1), max_value=date(2030, 1, 1)), st.integers(0, 17))
def test_one_wrong_digit_is_always_noticed(birth: date, position: int) -> None:
    body = f"330421{birth:%Y%m%d}000"
    total = sum(int(d) * w for d, w in zip(body, identity._WEIGHTS, strict=True))
    number = body + "10X98765432"[total % 11]
    assert identity.resident_id(number).usable
    old = number[position]
    other = "1" if old != "1" else "2"
    wrong = number[:position] + other + number[position + 1 :]
    assert not identity.resident_id(wrong).usable


@pytest.mark.parametrize("name", ["赵玘之子", "李某之女", "王芳之婴", "王芳之大女", "张三婴儿"])
def test_a_newborns_name_tells_that_the_number_is_the_mothers(name: str) -> None:
    assert identity.mothers_number("330421199505060008", name, "")


def test_ten_years_younger_than_the_number_is_somebody_else() -> None:
    assert identity.mothers_number("330421199505060008", "赵小明", "2026-03-01")
    assert not identity.mothers_number("330421199505060008", "赵小明", "1995-05-06")
    assert not identity.mothers_number("330421199505060008", "赵小明", "")


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        (("王珅",), ["王珅"]),
        (("欧阳  玘",), ["欧阳 玘"]),
        (("王", "珅"), ["王珅"]),
        (("WANG SHEN", "王珅"), ["王珅", "WANG SHEN"]),
        (("买买提·艾力",), ["买买提·艾力"]),
        (("𠮷田",), ["𠮷田"]),
        (("DUCK", "DONALD", "D"), ["DONALD D DUCK"]),
        (("", ""), []),
    ],
)
def test_a_name_stays_whole_and_pinyin_is_a_second_name(
    parts: tuple[str, ...], texts: list[str]
) -> None:
    assert [name["text"] for name in identity.human_names(parts)] == texts
