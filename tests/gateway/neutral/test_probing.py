"""Whoever asks many times for what is not there is noticed, at either door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.exchange import residents
from gateway.identity.systems import RESIDENT_ID
from gateway.services.probes import MOST, WITHIN, Probes
from tests.gateway.exchange.house import House, clinician, person
from tests.gateway.exchange.portal_county import STRANGER
from tests.gateway.fhir.conftest import Door, fill, served

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def county(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    async with served(tmp_path_factory.mktemp("probing"), migrated_files) as door:
        await fill(door)
        yield door


async def alarms(house: House) -> int:
    return (await house.alarms()).count("probe")


async def test_guessing_ids_raises_one_alarm_and_still_tells_nothing(county: Door) -> None:
    headers = await county.wang()
    before = await alarms(county.house)
    answers = {
        (answer.status_code, answer.content)
        for n in range(MOST + 5)
        for answer in [await county.web.get(f"/fhir/Observation/{n:032x}", headers=headers)]
    }
    assert len(answers) == 1, "the alarm changes no answer"
    assert await alarms(county.house) == before + 1


async def test_who_finds_what_they_ask_for_is_not_suspected(county: Door) -> None:
    headers = await county.wang()
    wang = clinician("dr-wang", "people")
    await residents.open_resident(
        RESIDENT_ID, person().number, wang, county.house.services, claim="复诊，正在接诊"
    )
    address = f"/fhir/Observation?patient={county.chart}"
    before = await alarms(county.house)
    for _ in range(MOST + 5):
        assert (await county.web.get(address, headers=headers)).json()["total"] > 0
    assert await alarms(county.house) == before


async def test_looking_up_numbers_nobody_carries_is_noticed(county: Door) -> None:
    services = replace(county.house.services, probes=Probes(most=3))
    who = clinician("dr-chen", "mch")
    before = await alarms(county.house)
    for _ in range(4):
        assert await residents.open_resident(RESIDENT_ID, STRANGER, who, services) is None
    assert await alarms(county.house) == before + 1


async def test_what_is_long_ago_is_forgotten_and_others_are_others() -> None:
    probes = Probes(most=2)
    assert [probes.strike("his", "a", at) for at in (0, 1, WITHIN, WITHIN + 1)] == [False] * 4
    assert not probes.strike("his", "b", WITHIN + 2)
    assert probes.strike("his", "a", WITHIN + 2)
    assert not probes.strike("his", "a", WITHIN + 3), "counting begins anew"
