"""May two patients be linked as one person? Only a sure rule links by itself."""

from __future__ import annotations

from datetime import date
from enum import IntEnum, StrEnum

import msgspec

from gateway.identity import names, resident_id
from gateway.identity.resident_id import ResidentId, Sex

SIMILAR = 0.8
NEWBORN_YEARS = 10


class Tier(IntEnum):
    """How sure it is. Only SAME links; POSSIBLE asks a person to look at the card; NONE is no."""

    NONE = 0
    SAME = 1
    POSSIBLE = 2


class Ground(StrEnum):
    """What spoke for or against."""

    SAME_NUMBER = "same-number"
    SAME_NAME = "same-name"
    SAME_BIRTH = "same-birth"
    SAME_PHONE = "same-phone"
    SAME_INSURANCE = "same-insurance"
    NO_NUMBER = "no-number"
    OTHER_NUMBER = "other-number"
    LEGACY_NUMBER = "legacy-number"
    MOTHERS_NUMBER = "mothers-number"
    OTHER_NAME = "other-name"
    NO_NAME = "no-name"
    OTHER_BIRTH = "other-birth"
    OTHER_SEX = "other-sex"

    @property
    def zh(self) -> str:
        """The ground for a person who decides."""
        return _WORDS[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _WORDS[self][1]


_WORDS = {
    Ground.SAME_NUMBER: ("身份证号相同", "same resident ID number"),
    Ground.SAME_NAME: ("姓名相同或相近", "same or similar name"),
    Ground.SAME_BIRTH: ("出生日期相同", "same date of birth"),
    Ground.SAME_PHONE: ("电话相同", "same telephone"),
    Ground.SAME_INSURANCE: ("医保号相同", "same insurance number"),
    Ground.NO_NUMBER: ("至少一方没有有效身份证号", "one of them has no valid resident ID number"),
    Ground.OTHER_NUMBER: ("身份证号不同", "different resident ID numbers"),
    Ground.LEGACY_NUMBER: ("使用 15 位旧证号，无校验码", "a 15-digit number without check digit"),
    Ground.MOTHERS_NUMBER: ("疑似新生儿使用母亲证件", "a newborn under its mother's number"),
    Ground.OTHER_NAME: ("姓名不同", "different names"),
    Ground.NO_NAME: ("姓名缺失或为无名氏", "no name known"),
    Ground.OTHER_BIRTH: ("出生日期矛盾", "dates of birth disagree"),
    Ground.OTHER_SEX: ("性别矛盾", "sexes disagree"),
}


class Known(msgspec.Struct, frozen=True):
    """What one organisation says about one of its patients. `number` is the text it sent."""

    name: str
    number: str = ""
    birth: date | None = None
    sex: Sex | None = None
    phones: frozenset[str] = frozenset()
    insurance: str = ""


class Match(msgspec.Struct, frozen=True):
    """The answer, with everything that spoke for and against it."""

    tier: Tier
    grounds: tuple[Ground, ...]


def own_number(known: Known) -> ResidentId | None:
    """The patient's own resident ID number; None when there is none, or it is its mother's.

    A newborn is entered under the mother's number: the name says so, or the record was born more
    than ten years after the number's owner.
    """
    number = resident_id.read(known.number)
    if not isinstance(number, ResidentId) or _is_mothers(known, number):
        return None
    return number


def _is_mothers(known: Known, number: ResidentId) -> bool:
    if known.birth is None:
        return names.is_newborn(known.name)
    if known.birth.year - number.birth.year > NEWBORN_YEARS:
        return True
    # A child that was given its own number before its name keeps it.
    return names.is_newborn(known.name) and known.birth != number.birth


def quality(known: Known) -> tuple[Ground, ...]:
    """Where a record contradicts its own number: worth a data-quality event, not a refusal."""
    number = resident_id.read(known.number)
    if not isinstance(number, ResidentId):
        return ()
    if _is_mothers(known, number):
        return (Ground.MOTHERS_NUMBER,)
    found = []
    if number.legacy:
        found.append(Ground.LEGACY_NUMBER)
    if known.birth is not None and known.birth != number.birth:
        found.append(Ground.OTHER_BIRTH)
    if known.sex is not None and known.sex != number.sex:
        found.append(Ground.OTHER_SEX)
    return tuple(found)


def match(one: Known, other: Known) -> Match:
    """Compare two patients; the order does not matter.

    SAME: both have the same valid 18-digit number of their own, names at least 0.8 alike, and no
    birth date (the one in the number included) or stated sex contradicts another. The sex in the
    number is no evidence: a slip at a desk is commoner than a borrowed card of the same name, so
    it is a matter of `quality`. POSSIBLE: the same with
    a 15-digit number on a side, or without a common number the same name and birth date and a
    common telephone or insurance number. Two different valid numbers are two people.
    """
    grounds: list[Ground] = []
    mine, theirs = own_number(one), own_number(other)
    for known, number in ((one, mine), (other, theirs)):
        if number is None and isinstance(resident_id.read(known.number), ResidentId):
            grounds.append(Ground.MOTHERS_NUMBER)
    legacy = False
    if mine is None or theirs is None:
        grounds.append(Ground.NO_NUMBER)
    elif mine.number != theirs.number:
        grounds.append(Ground.OTHER_NUMBER)
    else:
        grounds.append(Ground.SAME_NUMBER)
        legacy = mine.legacy or theirs.legacy
        if legacy:
            grounds.append(Ground.LEGACY_NUMBER)

    if names.is_nobody(one.name) or names.is_nobody(other.name):
        grounds.append(Ground.NO_NAME)
    elif names.similarity(one.name, other.name) >= SIMILAR:
        grounds.append(Ground.SAME_NAME)
    else:
        grounds.append(Ground.OTHER_NAME)

    births = {born for born in (one.birth, other.birth, *_stated(mine, theirs)) if born}
    sexes = {sex for sex in (one.sex, other.sex) if sex}
    if len(births) > 1:
        grounds.append(Ground.OTHER_BIRTH)
    elif births and (one.birth or mine) and (other.birth or theirs):
        grounds.append(Ground.SAME_BIRTH)
    if len(sexes) > 1:
        grounds.append(Ground.OTHER_SEX)
    if one.phones & other.phones:
        grounds.append(Ground.SAME_PHONE)
    if one.insurance and one.insurance == other.insurance:
        grounds.append(Ground.SAME_INSURANCE)
    return Match(_tier(frozenset(grounds), legacy), tuple(dict.fromkeys(grounds)))


def _stated(*numbers: ResidentId | None) -> list[date]:
    return [number.birth for number in numbers if number]


def _tier(grounds: frozenset[Ground], legacy: bool) -> Tier:
    if Ground.SAME_NAME not in grounds:
        return Tier.NONE
    if grounds & {Ground.OTHER_NUMBER, Ground.OTHER_BIRTH}:
        return Tier.NONE
    if Ground.SAME_NUMBER in grounds and Ground.OTHER_SEX not in grounds:
        return Tier.POSSIBLE if legacy else Tier.SAME
    second = grounds & {Ground.SAME_PHONE, Ground.SAME_INSURANCE}
    if Ground.SAME_BIRTH in grounds and second and Ground.MOTHERS_NUMBER not in grounds:
        return Tier.POSSIBLE
    return Tier.NONE
