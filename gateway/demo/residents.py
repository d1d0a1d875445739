"""The residents of the pretend county 云溪县, none of whom exists.

Resident ID numbers follow GB 11643 (valid check digit) with the sequence `000`, which is not
issued. A sequence usually tells the sex (odd is male); `000` tells nothing here, so about half of
these residents look female by their number and are not. As there is only one sequence, a number is
unique by region and birth date: no two residents with a number share both. Telephone numbers begin
with 100, which no mobile number does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from gateway.demo.dice import Dice

Sex = Literal["male", "female", "unknown"]
Will = Literal["broad", "none", "refused", "withdrawn", "psychiatry"]
"""What the registration desk has on paper. `psychiatry` is a broad form and a second one that opens
the psychiatric record to one named doctor; `withdrawn` is a broad form taken back later."""

SEED = Dice("云溪县")
REGIONS = ("330421", "330402", "330411", "330481", "330482", "330483", "330424")
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
TOWNS = ("柳溪镇", "云岭街道", "石桥镇", "南浦镇", "白鹭乡", "东塘街道")
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严金魏陶姜谢邹喻潘葛范彭鲁韦马方俞任袁柳史唐费薛雷贺倪汤罗毕安常于傅顾孟黄穆萧尹姚邵"
GIVEN = "安岚柏澄川笛恩帆歌鹤桦霁珂澜黎蔓宁鸥沛琪蕊森棠薇汐娅屿哲芷舟语桐涵墨予清越星野知远书言若谷"


@dataclass(frozen=True, slots=True)
class Resident:
    """One invented person. `key` is our own handle and is never sent.

    `number` is empty and `born` None when nobody knows.
    """

    key: str
    name: str
    sex: Sex
    born: date | None
    number: str
    phone: str
    town: str
    will: Will = "broad"
    trap: str = ""

    @property
    def card(self) -> str:
        """An invented health card number: 64 hexadecimal digits would be real, 16 digits are not."""
        return "99" + "".join(str(SEED.number(10, self.key, "card", n)) for n in range(14))

    @property
    def address(self) -> str:
        """A place that is on no map."""
        house = SEED.between(1, 300, self.key, "house")
        return f"浙江省云溪县{self.town}云水路{house}号"


def check_digit(first17: str) -> str:
    """The 18th character of a resident ID number (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(first17, WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def resident_number(region: str, born: date) -> str:
    """A number that is valid by its check digit and never issued."""
    first17 = f"{region}{born:%Y%m%d}000"
    return first17 + check_digit(first17)


def residents(today: date, size: int = 300) -> tuple[Resident, ...]:
    """`size` residents: first the named ones below, who carry the traps, then anonymous ones.

    Only the newborn's age depends on `today`. About nine in ten have signed the broad form.
    """
    named = _named(today)
    taken = {one.number for one in named}
    rest = []
    for index in range(len(named), max(size, len(named))):
        rest.append(_anonymous(index, taken))
        taken.add(rest[-1].number)
    return (*named, *rest)


def _named(today: date) -> tuple[Resident, ...]:
    """The residents that the stories and the checks speak of."""
    mother_number = resident_number("330421", date(1996, 4, 18))

    def one(
        key: str,
        name: str,
        sex: Sex,
        born: date | None,
        *,
        trap: str = "",
        will: Will = "broad",
        region: str = "330421",
        number: str | None = None,
        town: str = "云岭街道",
    ) -> Resident:
        known = number if number is not None or born is None else resident_number(region, born)
        phone = f"100{SEED.number(10**8, key, 'phone'):08d}"
        return Resident(key, name, sex, born, known or "", phone, town, will, trap)

    return (
        # The one to look up: results at two hospitals, a name whose GBK bytes hold a bar.
        one("shen", "王珅", "male", date(1980, 1, 1), trap="delimiter |", town="柳溪镇"),
        one("qi", "李玘", "female", date(1996, 4, 18), trap="delimiter ^"),
        one("nong", "周燶", "male", date(1955, 6, 15), trap="delimiter \\", town="柳溪镇"),
        one("zu", "吴珇", "female", date(1988, 8, 8), trap="delimiter ~"),
        # A newborn registered under its mother's number.
        one(
            "newborn",
            "李玘之女",
            "female",
            today - timedelta(days=9),
            trap="mother's number",
            number=mother_number,
            will="none",
        ),
        # Two people, one name, one town.
        one("fang-elder", "王芳", "female", date(1961, 3, 2), trap="same name", town="石桥镇"),
        one("fang-younger", "王芳", "female", date(1992, 11, 23), trap="same name", town="石桥镇"),
        one(
            "ayguli",
            "阿依古丽·买买提",
            "female",
            date(1990, 5, 5),
            trap="middle dot",
            region="653101",
        ),
        one("ji", "陈𠮷安", "male", date(1973, 9, 30), trap="supplementary character"),
        one("nameless", "无名氏", "unknown", None, trap="no number", will="none"),
        # One person with two charts at the people's hospital.
        one("twice", "顾清越", "male", date(1968, 2, 14), trap="two local numbers"),
        # Nothing of these two may be seen elsewhere.
        one("refused", "郑予宁", "male", date(1983, 7, 19), will="refused"),
        one("withdrawn", "许若谷", "female", date(1979, 12, 3), will="withdrawn"),
        # The restricted record.
        one("restricted", "林知夏", "female", date(1994, 6, 21), will="psychiatry"),
        # Results first filed under the wrong one of two neighbours.
        one("mistaken", "沈墨言", "male", date(1977, 10, 10), trap="wrong patient"),
        one(
            "nocard",
            "何星野",
            "male",
            date(2016, 2, 29),
            trap="no number",
            number="",
            town="柳溪镇",
        ),
    )


def _anonymous(index: int, taken: set[str]) -> Resident:
    """Resident number `index`, with a resident ID number that nobody in `taken` has."""
    key = f"r{index:04d}"
    sex: Sex = SEED.pick(("male", "female"), key, "sex")
    attempt = 0
    while True:
        days = SEED.number(31_000, key, "born", attempt)
        born = date(1938, 1, 1) + timedelta(days=days)
        region = REGIONS[0] if SEED.chance(80, key, "here", attempt) else SEED.pick(REGIONS, key)
        number = resident_number(region, born)
        if number not in taken:
            break
        attempt += 1
    letters = 2 if SEED.chance(80, key, "letters") else 1
    given = "".join(SEED.pick(GIVEN, key, "given", n) for n in range(letters))
    return Resident(
        key=key,
        name=SEED.pick(SURNAMES, key, "surname") + given,
        sex=sex,
        born=born,
        number=number,
        phone=f"100{SEED.number(10**8, key, 'phone'):08d}",
        town=SEED.pick(TOWNS, key, "town"),
        will="broad" if SEED.chance(92, key, "will") else "none",
    )
