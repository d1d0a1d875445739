"""The residents exist nowhere, and carry the traps they are there for."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from gateway.demo.residents import check_digit, resident_number, residents

TODAY = date(2026, 11, 20)
FOLK = residents(TODAY)
NAMED = {one.key: one for one in FOLK}


def test_the_check_digit_is_the_one_of_the_standard():
    assert check_digit("33042119800101000") == "5"
    assert resident_number("330421", date(1955, 6, 15)) == "33042119550615000X"


def test_every_number_is_valid_and_of_the_sequence_that_is_never_issued():
    for one in FOLK:
        if one.number:
            assert len(one.number) == 18
            assert one.number[14:17] == "000"
            assert one.number[17] == check_digit(one.number[:17])


def test_numbers_are_unique_except_the_mothers_which_her_newborn_carries():
    shared = [
        number
        for number, times in Counter(one.number for one in FOLK if one.number).items()
        if times > 1
    ]

    assert shared == [NAMED["qi"].number]
    assert NAMED["newborn"].number == NAMED["qi"].number
    assert NAMED["newborn"].name == f"{NAMED['qi'].name}之女"
    assert (TODAY - NAMED["newborn"].born).days < 28


def test_a_number_tells_the_birth_date_of_its_owner():
    for one in FOLK:
        if one.number and one.key != "newborn":
            assert one.number[6:14] == f"{one.born:%Y%m%d}"


def test_two_people_have_one_name_and_one_town_but_not_one_number():
    elder, younger = NAMED["fang-elder"], NAMED["fang-younger"]

    assert (elder.name, elder.town) == (younger.name, younger.town)
    assert elder.number != younger.number


@pytest.mark.parametrize(
    ("key", "letter", "delimiter"),
    [("shen", "珅", b"|"), ("qi", "玘", b"^"), ("nong", "燶", b"\\"), ("zu", "珇", b"~")],
)
def test_a_byte_of_a_name_is_a_delimiter(key, letter, delimiter):
    assert letter in NAMED[key].name
    assert delimiter in letter.encode("gb18030")


def test_other_names_are_hard_in_other_ways():
    assert "·" in NAMED["ayguli"].name
    assert any(ord(letter) > 0xFFFF for letter in NAMED["ji"].name)
    assert NAMED["nameless"].number == NAMED["nocard"].number == ""


def test_about_nine_in_ten_signed_the_broad_form():
    will = Counter(one.will for one in FOLK)

    assert 0.85 < will["broad"] / len(FOLK) < 0.95
    assert will["none"] >= 10
    assert (will["refused"], will["withdrawn"], will["psychiatry"]) == (1, 1, 1)


def test_telephone_numbers_and_cards_belong_to_nobody():
    assert all(one.phone.startswith("100") and len(one.phone) == 11 for one in FOLK)
    assert len({one.card for one in FOLK}) == len(FOLK)
