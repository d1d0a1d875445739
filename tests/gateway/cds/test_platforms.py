"""A tumour marker is offered to who measures it on the same instrument, as their own newest result says."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.exchange import entitlements
from gateway.recognition.catalogue.register import Terms
from tests.gateway.cds.ordering import KEY, SELECT, hook, order, recent
from tests.gateway.exchange.test_catalogues import XU
from tests.gateway.exchange.test_relations import SUBJECT, bundle
from tests.gateway.fhir.conftest import Door

CEA = "2039-6"
ITEM = "HR-L-0068"
DAY = 86_400_000_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


def elsewhere(instrument: str) -> bytes:
    """CEA of two days ago at the maternal and child hospital."""
    specimen: dict[str, Any] = {
        "resourceType": "Specimen", "id": "S-CEA", **SUBJECT,
        "type": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/v2-0487", "code": "SER"}
        ]},
        "collection": {"collectedDateTime": "2026-02-27T08:00:00+08:00"},
    }  # fmt: skip
    result = {
        "resourceType": "Observation", "id": "CEA-1", "status": "final", **SUBJECT,
        "code": {"coding": [{"system": "http://loinc.org", "code": CEA}], "text": "癌胚抗原"},
        "effectiveDateTime": "2026-02-27T08:00:00+08:00",
        "issued": "2026-02-27T10:00:00+08:00",
        "valueQuantity": {"value": 3.3, "unit": "ng/mL", "system": "http://unitsofmeasure.org",
                          "code": "ng/mL"},
        "specimen": {"reference": "Specimen/S-CEA"},
        "device": {"display": instrument},
    }  # fmt: skip
    return bundle(specimen, result)


def own(ward: Door, instrument: str, report: str) -> bytes:
    """CEA of the hospital's own, measured on an instrument (OBX-18)."""
    raw = recent(ward.house, ("CEA", "2.9", "F"), report=report)
    return raw.replace(b"|U/L|", b"|ng/mL|").replace(
        b"|LAB01", b"|LAB01|||" + instrument.encode("gb18030")
    )


async def offered(ward: Door, **more: Any) -> list[str]:
    cards = await hook(ward, SELECT, order("1", CEA), user="dr-wang", client="people-his", **more)
    return [item["item"] for card in cards for item in card["extension"][KEY]["items"]]


async def test_a_tumour_marker_is_offered_on_the_same_instrument_alone(ward: Door) -> None:
    house = ward.house
    start = house.services.now() - 400 * DAY
    terms = Terms(start, scope="CN-ZJ", item=ITEM, basis="ZJ-EQA", evidence="2026-1 合格")
    await entitlements.grant("mch", terms, "室间质评合格", XU, house.services)
    assert await house.file(elsewhere("cobas e801"), source="mch-fhir") == ["filed"]

    assert await offered(ward, encounterId="V81") == [], "nobody knows on what it is measured here"
    assert await house.file(own(ward, "ARCHITECT i2000", "R81")) == ["filed"]
    assert await offered(ward, encounterId="V82") == [], "on another"
    assert await house.file(own(ward, "cobas e801-2", "R82")) == ["filed"]
    assert await offered(ward, encounterId="V83") == [ITEM], "on the same"
