"""Resident ID numbers (GB 11643): read what hospitals send, refuse what names nobody.

The region is checked only down to the province: codes of abolished counties stay valid for life and
no complete history of GB/T 2260 is at hand.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from enum import StrEnum
from typing import Literal

import msgspec

Sex = Literal["male", "female"]

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_PROVINCES = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91", re.ASCII)
# Blanks, hyphens, and what is not seen: joiners, marks of direction.
_PADDING = re.compile(
    r"[\s\-\u2010-\u2015\u2212\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
)
_MASK = frozenset("*×#•●")
_EIGHTEEN = re.compile(r"\d{17}[\dX]", re.ASCII)
_FIFTEEN = re.compile(r"\d{15}", re.ASCII)


class NotAnId(StrEnum):
    """Why a text is not somebody's resident ID number."""

    EMPTY = "empty"
    MASKED = "masked"
    SHAPE = "shape"
    CHECK = "check-digit"
    REGION = "region"
    BIRTH = "birth-date"
    PLACEHOLDER = "placeholder"

    @property
    def zh(self) -> str:
        """The reason for hospital people; never holds the number."""
        return _WORDS[self][0]

    @property
    def en(self) -> str:
        """The reason in English."""
        return _WORDS[self][1]


_WORDS = {
    NotAnId.EMPTY: ("未填写身份证号", "no resident ID number given"),
    NotAnId.MASKED: ("身份证号已脱敏，不能用于识别", "the resident ID number is masked"),
    NotAnId.SHAPE: (
        "身份证号的位数或字符不对",
        "wrong length or characters for a resident ID number",
    ),
    NotAnId.CHECK: ("身份证号校验码错误", "wrong check digit"),
    NotAnId.REGION: ("身份证号的行政区划不存在", "no such region"),
    NotAnId.BIRTH: ("身份证号中的出生日期不存在", "no such date of birth"),
    NotAnId.PLACEHOLDER: ("身份证号是占位号码，不代表真实居民", "a placeholder, nobody's number"),
}


class ResidentId(msgspec.Struct, frozen=True):
    """A number that could have been issued. `legacy`: it came with 15 digits and no check digit,
    so a typing error cannot be noticed; use it for matching only as a second sign."""

    number: str  # always 18 characters
    legacy: bool = False

    @property
    def birth(self) -> date:
        """The date of birth the number states."""
        return date(int(self.number[6:10]), int(self.number[10:12]), int(self.number[12:14]))

    @property
    def sex(self) -> Sex:
        """The sex the number states: odd sequence male, even female."""
        return "male" if int(self.number[16]) % 2 else "female"

    @property
    def region(self) -> str:
        """Six digits: where the number was first issued."""
        return self.number[:6]

    def __repr__(self) -> str:
        """Masked, because representations end up in logs."""
        return f"ResidentId({masked(self.number)})"


def check_digit(first17: str) -> str:
    """The last character of a number (ISO 7064 MOD 11-2), from its first 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(first17, _WEIGHTS, strict=True))
    return _CHECKS[total % 11]


def normalised(text: str) -> str:
    """Half-width, without spaces and hyphens, X as a capital. Other letters stay as they are:
    a Cyrillic Х only looks like an X and is refused by `read`."""
    return _PADDING.sub("", unicodedata.normalize("NFKC", text)).replace("x", "X")


def read(text: str) -> ResidentId | NotAnId:
    """The number somebody typed or sent, or why it is none. Never raises."""
    number = normalised(text)
    if not number:
        return NotAnId.EMPTY
    if _MASK & set(number):
        return NotAnId.MASKED
    legacy = bool(_FIFTEEN.fullmatch(number))
    if not legacy and not _EIGHTEEN.fullmatch(number):
        return NotAnId.SHAPE
    if _is_placeholder(number):
        return NotAnId.PLACEHOLDER
    if legacy:
        number = f"{number[:6]}19{number[6:]}"
        number += check_digit(number)
    if check_digit(number[:17]) != number[17]:
        return NotAnId.CHECK
    if not _PROVINCES.fullmatch(number[:2]):
        return NotAnId.REGION
    found = ResidentId(number, legacy)
    try:
        born = found.birth
    except ValueError:
        return NotAnId.BIRTH
    return found if 1880 <= born.year <= 2100 else NotAnId.BIRTH


def _is_placeholder(number: str) -> bool:
    """What desks type for unknown patients: one digit over and over, a run, the year 1900."""
    digits = number[:17]  # without the check digit, if there is one
    runs = "01234567890123456789012", "98765432109876543210987"
    return (
        len(set(digits)) == 1
        or len(set(digits[6:])) == 1
        or any(digits in run or digits[:9] in run for run in runs)
        or number[6:14] in {"19000101", "19000000", "00000000"}
    )


def masked(number: str) -> str:
    """A number for the screen: the first three characters and the last, stars between.

    Region and date of birth are on the screen anyway, so the usual mask that shows the last four
    would give the whole number away; this one leaves about fifty possible numbers of that sex. Anything too
    short to be a number becomes stars only.
    """
    if len(number) < 15:
        return "*" * len(number)
    return f"{number[:3]}{'*' * (len(number) - 4)}{number[-1]}"
