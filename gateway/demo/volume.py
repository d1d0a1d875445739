"""As many invented laboratory messages as a measurement wants, one at a time.

Persons are numbered from 0 and share nothing with the residents of the pretend county; the same
numbers and seed give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from gateway.demo.delivery import ER7, Delivery, moment
from gateway.demo.dice import Dice
from gateway.demo.panels import BLOOD_COUNT, KIDNEY, LIPIDS, LIVER, Item, Panel, Result, decimal
from gateway.demo.people import DOCTORS, SOURCE, Visit, oru
from gateway.demo.residents import GIVEN, REGIONS, SURNAMES, Resident, resident_number

FIRST_DAY = date(1940, 1, 1)
DAYS = 30_000
ITEMS: tuple[Item, ...] = (*LIVER.items, *LIPIDS.items, *KIDNEY.items, *BLOOD_COUNT.items)
CHECKUP = Panel("ALL", "生化血常规全套", "SER", "血清", ITEMS)
PER_MESSAGE = len(ITEMS)  # 20


def person(index: int, seed: str = "volume") -> Resident:
    """Person number `index`; their resident ID numbers differ for the first 210,000."""
    dice = Dice(seed)
    born = FIRST_DAY + timedelta(days=index % DAYS)
    region = REGIONS[index // DAYS % len(REGIONS)]
    name = dice.pick(SURNAMES, index) + dice.pick(GIVEN, index, 1) + dice.pick(GIVEN, index, 2)
    return Resident(
        key=f"v{index}",
        name=name,
        sex=dice.pick(("male", "female"), index, "sex"),
        born=born,
        number=resident_number(region, born),
        phone=f"100{index:08d}",
        town="云岭街道",
    )


def volume(
    persons: int, observations: int, seed: str = "volume", last: date = date(2026, 6, 30)
) -> Iterator[Delivery]:
    """ORU^R01 messages of 20 OBX each until every person has at least `observations`.

    Rounds go through all persons, so a bench that stops early still has persons with equal records.
    Reports of one person are a week apart and end on `last`.
    """
    dice = Dice(seed)
    rounds = -(-observations // PER_MESSAGE)
    for turn in range(rounds):
        day = last - timedelta(weeks=rounds - 1 - turn)
        for index in range(persons):
            one = person(index, seed)
            at = moment(day, 0) + timedelta(seconds=index % 7200)
            specimen = f"V{turn:04d}{index:08d}"
            visit = Visit(one, f"V{index:09d}", specimen, at, "0101^全科门诊", DOCTORS[0])
            values = [
                Result(item, decimal(_units(dice, item, index, turn), item.digits))
                for item in ITEMS
            ]
            control_id = f"L{specimen}"
            raw = oru(visit, CHECKUP, values, specimen, at, at + timedelta(hours=2), control_id)
            yield Delivery(SOURCE, "mllp", ER7, raw, at, "volume", control_id)


def _units(dice: Dice, item: Item, index: int, turn: int) -> int:
    return dice.between(item.low, item.high, item.code, index, turn)
