"""A person's own word that they treat somebody: a day long, an alarm, a case, and a sign of a missing feed."""

from __future__ import annotations

import pytest

from gateway.demo.residents import Resident
from gateway.errors import Kind, Problem
from gateway.exchange import casework, residents
from gateway.exchange.claims import CLAIM_LIFE, COUNTED, says_enough
from gateway.exchange.person import meet
from gateway.identity.systems import RESIDENT_ID
from gateway.services.caller import Caller
from gateway.store import cases
from gateway.store.cases import CaseRow
from tests.gateway.exchange.house import House, clinician, person

SHEN = person()
LI = clinician("dr-li", "tcm")
REASON = "急诊抢救室接诊，尚未建档"


async def visited(house: House, who: Resident, mrn: str) -> str:
    await house.file(house.adt(who, mrn, visit=f"V{mrn}"), house.oru(who, mrn, report=f"R{mrn}"))
    return house.chart(mrn)


async def claim(house: House, who: Resident, reason: str, caller: Caller = LI) -> object:
    return await residents.open_resident(RESIDENT_ID, who.number, caller, house.services, reason)


async def open_cases(house: House) -> list[CaseRow]:
    return [CaseRow(*row) for row in await house.services.db.read(cases.OPEN)]


async def opens(house: House, chart: str, who: Caller, at: int) -> bool:
    house.clock.at = at
    found = await meet(chart, who, house.services, at, action="read", named=True)
    return str(getattr(found.gate, "reason", "")) != "no-relationship"


async def test_it_holds_for_that_person_for_a_day_and_a_privacy_officer_decides(
    house: House,
) -> None:
    chart = await visited(house, SHEN, "0000000001")
    await claim(house, SHEN, f"  {REASON} ")
    (case,) = await open_cases(house)
    begun = case.opened
    assert (case.kind, case.chart, case.login, case.organization) == (
        "self-claim", chart, "dr-li", "tcm",
    )  # fmt: skip
    assert case.due == begun + 3 * 24 * 3_600_000_000
    (word,) = casework.opened(case, house.services).words
    assert (word.role, word.by, word.words) == ("reason", "dr-li", REASON)
    assert await house.alarms() == ["self-claim"]
    assert await opens(house, chart, LI, begun)
    assert not await opens(house, chart, clinician("dr-chen", "tcm"), begun)
    assert not await opens(house, chart, clinician("dr-li", "township"), begun)
    assert await opens(house, chart, LI, begun + CLAIM_LIFE - 1)
    assert not await opens(house, chart, LI, begun + CLAIM_LIFE)


async def test_a_number_nobody_carries_raises_the_alarm_and_is_answered_alike(house: House) -> None:
    assert await claim(house, SHEN, REASON) is None
    assert await house.alarms() == ["self-claim"]
    assert await open_cases(house) == []


async def test_who_is_treating_anyway_claims_nothing(house: House) -> None:
    await visited(house, SHEN, "0000000001")
    await house.sign()
    await claim(house, SHEN, REASON, clinician("dr-wang", "people"))
    assert (await house.alarms(), await open_cases(house)) == ([], [])


@pytest.mark.parametrize(
    ("reason", "enough"),
    [
        (REASON, True),
        ("门诊随访需要", True),
        ("outpatient follow-up", True),
        ("看病", False),
        ("看病看病看病", False),
        ("111111111", False),
        ("。。。。。。。。", False),
        ("看 病 了 。", False),
        ("aaaaaaa", False),
        (" " * 20, False),
    ],
)
def test_a_reason_says_something(reason: str, enough: bool) -> None:
    assert says_enough(reason) is enough


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_reason_that_says_nothing_is_refused_before_anybody_is_looked_for(
    house: House,
) -> None:
    await visited(house, SHEN, "0000000001")
    with pytest.raises(Problem) as caught:
        await claim(house, SHEN, "看病看病看病")
    assert (caught.value.kind, caught.value.place) == (Kind.UNPROCESSABLE, "claim")
    assert (await house.alarms(), await open_cases(house)) == ([], [])


async def test_the_same_reason_three_times_in_a_month_is_told_as_a_missing_feed(
    house: House,
) -> None:
    for n, reason in enumerate((REASON, "急诊抢救室接诊, 尚未建档!"), 1):
        await claim(house, SHEN, reason, clinician(f"dr-{n}", "tcm"))
    await claim(house, SHEN, REASON, clinician("dr-1", "township"))
    await claim(house, SHEN, "转诊病人，材料未到", clinician("dr-1", "tcm"))
    assert await house.alarms() == ["self-claim"] * 4
    await claim(house, SHEN, REASON, clinician("dr-3", "tcm"))
    assert (await house.alarms()).count("missing-feed") == 1
    await claim(house, SHEN, REASON, clinician("dr-4", "tcm"))
    assert (await house.alarms()).count("missing-feed") == 1
    house.clock.at += COUNTED
    for n in range(2):
        await claim(house, SHEN, REASON, clinician(f"dr-{n}", "tcm"))
    assert (await house.alarms()).count("missing-feed") == 1
