"""Numbers are read as hospitals write them, and what names nobody is refused with its reason."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import resident_id
from gateway.identity.resident_id import NotAnId, ResidentId

GOOD = "330421198001010005"


def numbered(region: str, born: date, sequence: int) -> str:
    first = f"{region}{born:%Y%m%d}{sequence:03d}"
    return first + resident_id.check_digit(first)


valid = st.builds(
    numbered,
    st.sampled_from(["330421", "110101", "820000", "653101"]),
    st.dates(date(1901, 1, 1), date(2026, 12, 31)),
    st.integers(0, 999),
)


@pytest.mark.parametrize(
    ("first", "check"), [("33042119800101000", "5"), ("33042119550615000", "X")]
)
def test_the_check_digits_of_annex_c(first, check):
    assert resident_id.check_digit(first) == check


@pytest.mark.parametrize(
    ("number", "born", "sex"),
    [
        ("330421198001010005", date(1980, 1, 1), "female"),
        ("33042119550615000X", date(1955, 6, 15), "female"),
        ("330421201809090006", date(2018, 9, 9), "female"),
        ("330421197212200007", date(1972, 12, 20), "female"),
        (numbered("330421", date(2000, 2, 29), 1), date(2000, 2, 29), "male"),
    ],
)
def test_birth_and_sex_stand_in_the_number(number, born, sex):
    found = resident_id.read(number)
    assert isinstance(found, ResidentId)
    assert (found.number, found.birth, found.sex, found.legacy) == (number, born, sex, False)
    assert found.region == "330421"


@pytest.mark.parametrize(
    "text",
    ["３３０４２１１９５５０６１５０００Ｘ", " 33042119550615000x ", "330421-19550615-000X",
     "330421\u300019550615 000x", "330421–19550615–000X\t"],
)  # fmt: skip
def test_widths_spaces_hyphens_and_a_small_x_do_not_matter(text):
    assert resident_id.read(text) == ResidentId("33042119550615000X")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", NotAnId.EMPTY),
        ("  -  ", NotAnId.EMPTY),
        ("330421********0005", NotAnId.MASKED),
        ("330421＊＊＊＊＊＊＊＊0005", NotAnId.MASKED),
        ("33042119550615000Х", NotAnId.SHAPE),  # Cyrillic
        ("33042119800101000", NotAnId.SHAPE),
        ("3304211980010100055", NotAnId.SHAPE),
        ("X30421198001010005", NotAnId.SHAPE),
        ("33042119800101000５6", NotAnId.SHAPE),
        ("٣٣٠٤٢١١٩٨٠٠١٠١٠٠٠٥", NotAnId.SHAPE),
        ("330421198001010006", NotAnId.CHECK),
        ("330421198001010500", NotAnId.CHECK),
        ("000421198001010005", NotAnId.CHECK),
        (numbered("990421", date(1980, 1, 1), 0), NotAnId.REGION),
        ("33042119801301000" + resident_id.check_digit("33042119801301000"), NotAnId.BIRTH),
        ("33042119810229000" + resident_id.check_digit("33042119810229000"), NotAnId.BIRTH),
        ("33042117810228000" + resident_id.check_digit("33042117810228000"), NotAnId.BIRTH),
        ("111111111111111111", NotAnId.PLACEHOLDER),
        ("000000000000000000", NotAnId.PLACEHOLDER),
        ("123456789012345678", NotAnId.PLACEHOLDER),
        ("123456789012345", NotAnId.PLACEHOLDER),
        ("111111111111111", NotAnId.PLACEHOLDER),
        ("33042119000101000X", NotAnId.PLACEHOLDER),
        (numbered("330421", date(1900, 1, 1), 123), NotAnId.PLACEHOLDER),
    ],
)  # fmt: skip
def test_what_is_not_a_number_is_refused_with_its_reason(text, why):
    assert resident_id.read(text) is why
    assert why.zh
    assert why.en


def test_an_old_number_of_15_digits_is_raised_to_18_and_flagged():
    found = resident_id.read("330421 800101 000")
    assert found == ResidentId("330421198001010005", legacy=True)


@given(valid)
def test_every_number_with_its_check_digit_is_read(number):
    assert resident_id.read(number) == ResidentId(number)


@given(valid, st.integers(0, 17), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_always_noticed(number, at, digit):
    wrong = number[:at] + digit + number[at + 1 :]
    if wrong != number:
        assert isinstance(resident_id.read(wrong), NotAnId)


@given(valid, st.integers(0, 15))
def test_two_swapped_digits_are_always_noticed(number, at):
    wrong = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    if wrong != number:
        assert isinstance(resident_id.read(wrong), NotAnId)


@given(st.text(max_size=25))
def test_reading_never_raises(text):
    assert isinstance(resident_id.read(text), ResidentId | NotAnId)


@given(valid)
def test_the_mask_hides_what_the_screen_does_not_show_otherwise(number):
    """Region and birth date are beside it: the sequence must not be."""
    mask = resident_id.masked(number)
    assert len(mask) == 18
    assert (mask[:3], mask[17]) == (number[:3], number[17])
    assert set(mask[3:17]) == {"*"}
    possible = [
        sequence
        for sequence in range(1000)
        if resident_id.check_digit(f"{number[:14]}{sequence:03d}") == number[17]
    ]
    assert len(possible) > 80
    assert number not in repr(ResidentId(number))
    assert number[6:14] not in repr(ResidentId(number))


def test_short_texts_are_masked_whole():
    assert resident_id.masked("12345") == "*****"
    assert resident_id.masked("") == ""
