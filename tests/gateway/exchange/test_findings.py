"""What an officer is told beside a case: signs and counts, never what a record says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import msgspec
import pytest
from sqlmodel import Session

from consent.fhir import Choice
from gateway.errors import Problem
from gateway.exchange import casework, emergency, findings
from gateway.exchange.grants import counted
from gateway.services.caller import Caller
from gateway.store import accounts
from tests.gateway.exchange.house import House, clinician, person
from tests.gateway.exchange.test_emergency import ASKED

PATIENT = person("wang", "王珅", date(1980, 1, 1))
WANG = replace(clinician("dr-wang", "people", "BTG"), strength=2, name="王若溪")
QIAN = Caller(client="portal", organization="people", role="privacy", user="qian", strength=2)
CLOSED = "0601^精神心理科"


async def staffed(house: House, **names: str) -> None:
    """Accounts of people at the hospital."""

    def put(session: Session) -> None:
        for login, name in names.items():
            sealed = house.services.vault.seal_field(
                "account", login, msgspec.msgpack.encode((name, ""))
            )
            accounts.put(
                session, login=login, organization="people", sealed=sealed,
                password="nobody signs in here", roles=("clinician",), at=0,
            )  # fmt: skip

    await house.services.db.session(put)


async def filed(house: House) -> None:
    """A visit nine days ago, with a result and a psychiatric one."""
    await house.file(
        house.adt(PATIENT, left="2026-02-20T09:00"),
        house.oru(PATIENT),
        house.adt(PATIENT, visit="V9", clinic=CLOSED, left="2026-02-20T09:00"),
        house.oru(
            PATIENT, "0000000001", ("HAMD", "21", "F"), report="R9", visit="V9", clinic=CLOSED
        ),
    )
    await house.sign(Choice.REFUSE_ALL)


async def found(house: House, grant: str) -> findings.Findings:
    case = await casework.case(grant, QIAN, house.services)
    signs = await findings.gathered(case.row, QIAN, house.services)
    assert signs is not None
    return signs


async def test_signs_of_one_access(house: House) -> None:
    await filed(house)
    await staffed(house, **{"dr-wang": "王若溪", "nurse": "王珅"})
    granted = await emergency.break_glass(house.chart(), ASKED, WANG, house.services)
    page = await house.search("Observation", WANG)
    assert page.total == 2

    signs = await found(house, granted.id)

    assert (signs.encounter, signs.ordinary) == (False, True), (
        "the visit was last week: the relationship still stands, the patient is not here"
    )
    assert (signs.same_surname, signs.own_name, signs.colleague) == (True, False, True)
    assert signs.out_of_hours, "noon of a Sunday"
    assert (signs.opened, signs.reason, signs.by_person) == (2, "unconscious", 0)
    assert dict(signs.labels) == {"PSY": 1}
    assert {kind.partition("/")[0] for kind, _ in signs.kinds} == {"Observation"}
    kept = signs.kept()
    assert counted(kept["kinds"]).total() == 2
    for secret in ("王珅", "HAMD", "62.40", PATIENT.number):
        assert secret not in repr(signs) + repr(kept)


async def test_an_encounter_of_the_day_and_repetition_are_seen(house: House) -> None:
    await filed(house)
    first = await emergency.break_glass(house.chart(), ASKED, WANG, house.services)
    await emergency.end(first.id, WANG, house.services)
    house.clock.forward(46 * 3600)  # Tuesday, ten in the morning
    await house.file(
        house.adt(PATIENT, visit="V3", at="2026-03-03T09:00", begun="2026-03-03T09:00")
    )
    second = await emergency.break_glass(house.chart(), ASKED, WANG, house.services)
    other = replace(WANG, user="dr-he")
    third = await emergency.break_glass(house.chart(), ASKED, other, house.services)

    signs = await found(house, second.id)
    assert (signs.encounter, signs.out_of_hours, signs.ended) == (True, False, 0)
    assert (signs.by_person, signs.same_reason, signs.by_unit) == (1, 1, 1)
    again = await found(house, third.id)
    assert (again.by_person, again.same_reason, again.by_unit) == (0, 0, 2)
    assert (await found(house, first.id)).ended > 0

    [share] = await findings.shares(0, house.services.now(), QIAN, house.services)
    assert (share.organization, share.emergencies, share.reason, share.times) == (
        "people", 3, "unconscious", 3,
    )  # fmt: skip
    elsewhere = replace(QIAN, organization="tcm")
    assert await findings.shares(0, house.services.now(), elsewhere, house.services) == ()
    assert await findings.shares(0, 1, None, house.services) == ()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_only_officers_see_signs_and_somebody_unknown_has_none(house: House) -> None:
    granted = await emergency.break_glass("f" * 32, ASKED, WANG, house.services)
    signs = await found(house, granted.id)
    assert (signs.encounter, signs.same_surname, signs.colleague, signs.opened) == (
        False, False, False, 0,
    )  # fmt: skip
    case = await casework.case(granted.id, QIAN, house.services)
    with pytest.raises(Problem):
        await findings.gathered(case.row, WANG, house.services)
