"""What maps make is validated on its way to the chart, as strictly as the day of arrival asks for."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.services.maps import Release
from mappings.engine.model import Issue
from mappings.engine.validation import Validation
from mappings.r4 import check
from tests.gateway.exchange.house import House, person


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Observation has a fault, as if the map wrote a status that R4 does not have."""

    def text(raw: bytes, type_: str) -> list[Issue]:
        bad = type_ == "Observation"
        return [Issue("hold", "r4-code", "Observation.status")] if bad else []

    monkeypatch.setattr(check, "text", text)


async def running(house: House) -> Release:
    return await house.services.maps.in_force("people")


async def test_what_a_message_becomes_is_looked_at_before_it_is_filed(house: House) -> None:
    gate = (await running(house)).gate
    before = gate.checked

    await house.file(house.adt(person()), house.oru(person(), "0000000001", ("ALT", "12", "F")))

    assert gate.checked - before >= 6
    assert await house.issues() == []


async def test_a_fault_of_the_map_holds_its_resource_and_the_rest_is_filed(
    house: House, faulty: None
) -> None:
    await house.file(house.adt(person()), house.oru(person(), "0000000001", ("ALT", "12", "F")))

    assert await house.current("Observation") == []
    assert len(await house.current("DiagnosticReport")) == 1
    assert await house.issues() == [("hold", "r4-code")]


async def test_the_day_of_arrival_decides_also_when_it_is_read_again_later(
    house: House, faulty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = (await running(house)).gate
    gate.validation = Validation("report", strict_from=date(2026, 3, 2))  # it is the 1st

    await house.file(house.adt(person()), house.oru(person(), "0000000001", ("ALT", "12", "F")))
    assert len(await house.current("Observation")) == 1

    house.clock.forward(86400 * 3)
    await house.again()  # it arrived before the tier tightened
    assert len(await house.current("Observation")) == 1

    await house.file(house.oru(person(), "0000000001", ("CREA", "88", "F"), report="R2"))
    assert len(await house.current("Observation")) == 1
