"""Who would recognise, read from the open encounters and the own results of the caller's hospital."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from gateway.exchange.duplicates import _Pick
from gateway.exchange.page_records import NEWEST, platforms_told
from gateway.exchange.recognise import platforms_of, receiver_of
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.eligibility import Receiver
from gateway.records.entry import Nature
from tests.gateway.exchange.portal_county import LI
from tests.gateway.recognition.table import CATALOGUE, NOON

WARD = {
    "resourceType": "Encounter",
    "class": {"code": "IMP"},
    "serviceType": {"coding": [{"code": "0203", "display": "心内科"}], "text": "心内科病区"},
    "period": {"start": "2026-03-03T09:00:00+08:00"},
}
CLINIC = {
    "resourceType": "Encounter",
    "class": {"code": "AMB"},
    "serviceType": {"text": "全科门诊"},
    "period": {"start": "2026-03-01T09:00:00+08:00"},
}
CEA = {
    "resourceType": "Observation",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2039-6"}]},
    "device": {"display": "cobas e801-2"},
}


def test_the_newest_open_encounter_says_class_and_department():
    assert receiver_of(LI, [CLINIC, WARD]) == Receiver("tcm", "IP", "心内科病区")
    assert receiver_of(LI, [CLINIC]) == Receiver("tcm", "OP", "全科门诊")
    assert receiver_of(LI, []) == Receiver("tcm")


@pytest.mark.parametrize(
    ("more", "before"),
    [
        ({"type": [{"text": "术前检查"}]}, True),
        ({"reasonCode": [{"coding": [{"display": "术前评估"}]}]}, True),
        ({"type": [{"text": "术后复查"}]}, False),
    ],
)
def test_an_encounter_may_say_that_an_operation_is_being_prepared(more, before):
    assert receiver_of(LI, [{**WARD, **more}]).preoperative is before


def test_the_own_platform_is_read_where_comparing_needs_it():
    services = SimpleNamespace(catalogue=CATALOGUE)
    alt = {**CEA, "code": {"coding": [{"system": "http://loinc.org", "code": "1742-6"}]}}
    unnamed = {key: value for key, value in CEA.items() if key != "device"}
    found = platforms_of([CEA, CEA, alt, unnamed], services, NOON)
    assert found == {("HR-L-0068", "cobas e801-2")}
    assert receiver_of(LI, [], platforms=found).platforms == (("HR-L-0068", "cobas e801-2"),)


def test_nothing_is_read_where_no_item_needs_it():
    plain = [msgspec.structs.replace(item, platform_only=False) for item in CATALOGUE.items]
    services = SimpleNamespace(catalogue=Catalogue(plain, [], [], [], "v"))
    assert platforms_of([CEA], services, NOON) == set()


THEIRS, OWN, OTHER = (
    Nature("Observation", source, (f"http://loinc.org|{code}",), status="final")
    for source, code in (("people", "2039-6"), ("tcm", "2039-6"), ("tcm", "1742-6"))
)


def match(nature: Nature, day: int) -> SimpleNamespace:
    entry = SimpleNamespace(start=NOON - day * 86_400_000_000, hex=f"{day:032x}", id=bytes([day]))
    return SimpleNamespace(pair=(nature, entry), chart="c")


def clinic() -> SimpleNamespace:
    return SimpleNamespace(catalogue=CATALOGUE, now=lambda: NOON)


def test_what_it_measures_on_now_is_told_by_its_newest_results_of_such_items_alone():
    own = [match(OWN, day) for day in range(1, 9)]
    others = [match(THEIRS, 1), match(OTHER, 1)]
    assert list(platforms_told([*own[::-1], *others], LI, clinic())) == own[:NEWEST]


def test_a_prompt_opens_what_a_page_opens_of_it():
    natures = [THEIRS, OWN, OTHER]
    rows = [match(THEIRS, 1), *(match(OWN, day) for day in range(2, 9)), match(OTHER, 9)]
    segment = SimpleNamespace(
        natures=natures,
        starts=[one.pair[1].start for one in rows],
        ids=[one.pair[1].id for one in rows],
    )
    shown = SimpleNamespace(
        segment=segment,
        match=lambda place: rows[place],
        among=lambda _: [],
        of_nature=lambda n: [i for i, one in enumerate(rows) if one.pair[0] == natures[n]],
    )
    item = next(one for one in CATALOGUE.items if one.code == "HR-L-0068")
    pick = _Pick([item], LI, clinic(), NOON, 3)
    pick.known = {THEIRS: item, OWN: None, OTHER: None}
    for one in rows:
        one.pair[1].links = ()
    assert pick([shown]) == [rows[0], *platforms_told(rows, LI, clinic())]
    pick.known[THEIRS] = None  # nothing is asked about it: nothing of the own is opened
    assert pick([shown]) == []
