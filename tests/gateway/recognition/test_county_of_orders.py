"""A county of orders with repeats planted in it: how many are found, and is anything else called one.

Every planted result is known to be the same test done before and good enough (a repeat), or spoilt in
one way that forbids saying so. Whoever planted it knows; the rules do not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.recognition.catalogue import Catalogue, Item, Panel
from gateway.recognition.eligibility import Receiver, judge
from gateway.recognition.facts import LOINC, ResultFacts
from gateway.recognition.orders import Candidate, Order, compare, meant
from tests.gateway.recognition.table import CATALOGUE, DAY, NOON, facts, frozen, rows

HIS = "https://his.tcm/order"
ITEMS = [
    item
    for item in CATALOGUE.items
    if item.kind == "lab" and not item.negative_list and not item.platform_only
    and not item.qualitative and item.op_days and "chemistry" in item.groups
]  # fmt: skip
PANELS = [
    Panel("LIV", "肝功能", "Liver", (f"{HIS}|LIV",), tuple(i.code for i in ITEMS[:5]), "tcm"),
    Panel("REN", "肾功能", "Kidney", (f"{HIS}|REN",), tuple(i.code for i in ITEMS[5:8]), "tcm"),
]
COUNTY = Catalogue(
    CATALOGUE.items, CATALOGUE.scopes.values(), frozen().members, rows(CATALOGUE), "county", PANELS
)
SPOILT: dict[str, Mapping[str, Any]] = {
    "cancelled": {"status": "cancelled"},
    "a newer version exists": {"latest": False},
    "wrong patient alarm": {"disputed": True},
    "too old": {"collected": NOON - 400 * DAY},
    "another specimen": {"specimen": "urine"},
    "a unit of another kind": {"unit": "furlong"},
    "no value": {"value": "absent", "unit": ""},
    "health check": {"source_class": "health-check"},
    "identity not certain": {"identity_tier": 2},
    "protected": {"sensitivities": ("PSY",)},
    "not entitled": {"organization": "mch"},
}
# True repeats that nobody can know of: the price of never guessing.
BLIND: dict[str, Mapping[str, Any]] = {
    "its code was never mapped": {"loinc": ()},
    "its unit was never mapped": {"unit": ""},
}


@dataclass(frozen=True)
class Planted:
    facts: ResultFacts
    item: Item
    kind: str  # "repeat", or what is the matter with it

    @property
    def repeat(self) -> bool:
        return self.kind == "repeat" or self.kind in BLIND


def planted(item: Item, number: int, chance: random.Random) -> Planted:
    good = msgspec.structs.replace(
        facts(),
        result=f"Observation/{number}",
        loinc=item.loinc[:1],
        unit=item.ucum[0],
        method="酶法" if item.methods else "",
        collected=NOON - chance.randrange(item.op_days * DAY),
    )
    kind = chance.choice(["repeat"] * 6 + list(SPOILT) + list(BLIND))
    return Planted(msgspec.structs.replace(good, **{**SPOILT, **BLIND}.get(kind, {})), item, kind)


def orders_of(chance: random.Random) -> list[tuple[str, Order]]:
    """An order set of one visit: panels, single items, and codes nobody knows."""
    single = chance.choice(ITEMS)
    asked = [
        ("panel", [(HIS, chance.choice(["LIV", "REN"]))]),
        ("single", [(LOINC, single.loinc[0])]),
        ("unknown", [(HIS, "套餐Z")]),
    ]
    return [
        (kind, meant(COUNTY, f"{kind}{n}", "tcm", codings, "", NOON))
        for n, (kind, codings) in enumerate(chance.sample(asked, chance.randint(1, 3)))
    ]


def test_no_false_repeat_and_no_missed_one_but_those_nobody_could_know():
    chance = random.Random(20260304)
    receiver = Receiver("tcm")
    told, right, true, missed = 0, 0, 0, Counter[str]()
    met = Counter[str]()
    for _patient in range(600):
        # The truth is by item: what is ordered and has any planted repeat.
        history = [planted(chance.choice(ITEMS), n, chance) for n in range(chance.randint(0, 12))]
        met.update(one.kind for one in history)
        there = [
            Candidate(judge(one.facts, receiver, COUNTY, NOON), one.facts.organization,
                      one.facts.result, one)
            for one in history
        ]  # fmt: skip
        for order in compare([order for _, order in orders_of(chance)], there).orders:
            for line in order.lines:
                repeats = [p for p in history if p.item.code == line.item.code and p.repeat]
                true += bool(repeats)
                if line.best is not None:
                    told += 1
                    right += (
                        line.best.result.repeat and line.best.result.item.code == line.item.code
                    )
                elif repeats:
                    assert {one.kind for one in repeats} <= set(BLIND)
                    missed.update({one.kind for one in repeats})
    assert set(met) == {"repeat", *SPOILT, *BLIND}
    assert true > 300
    assert right == told, "precision 1.0"
    # Whatever could be known was found; what was missed is listed by why.
    assert set(missed) == set(BLIND)
    print(f"\nprecision {right}/{told}; recall {right}/{true}, all others of those {dict(missed)}")


def test_an_order_nobody_knows_prompts_nothing():
    repeat = Candidate(judge(facts(), Receiver("tcm"), COUNTY, NOON), "people", "r", None)
    order = meant(COUNTY, "o", "tcm", [(HIS, "套餐Z")], "肝功能套餐", NOON)
    assert compare([order], [repeat]).orders[0].covered == ()
