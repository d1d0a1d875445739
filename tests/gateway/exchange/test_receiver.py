"""Who would recognise, read from the open encounters and the own results of the caller's hospital."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from gateway.exchange.recognise import platforms_of, receiver_of
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.eligibility import Receiver
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
