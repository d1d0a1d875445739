"""A resident decides at home: previewed, signed by a code, effective with the next request."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway.errors import Problem
from gateway.exchange import ask, consents, mandates, own_consents
from gateway.exchange.own_consents import Wish
from gateway.records.query import Query
from gateway.services.caller import Caller
from gateway.store import oversight as listed
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import (
    MOTHER,
    Post,
    account,
    for_another,
    guardian,
    mandate,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
LI = clinician("dr-li", "tcm")
TCM = "Organization/tcm"
GRANDMOTHER = person("grandmother", "林芷", date(1950, 6, 15), sex="female")


async def visited(house: House, who: Any, mrn: str = "0000000001") -> str:
    """Results at the people's hospital, and a visit at the TCM hospital, whose doctor asks."""
    await house.send(house.adt(who, mrn), house.oru(who, mrn, ("ALT", "62.40", "F")))
    await house.work()
    from gateway.exchange import residents
    from gateway.identity.systems import RESIDENT_ID

    await residents.open_resident(
        RESIDENT_ID, who.number, LI, house.services, claim="复诊，患者在场要求查看"
    )
    return house.chart(mrn)


async def sees(house: House, chart: str, who: Caller = LI) -> bool:
    try:
        page = await ask.search(Query("Observation", patient=chart), who, house.services)
    except Problem:
        return False
    return bool(page.records)


async def sign(
    house: House, chart: str, wish: Wish, caller: Caller, phone: str = ""
) -> consents.Recorded:
    pending = await own_consents.begin(chart, wish, caller, house.services)
    code = Post(house.services).code(phone)
    return await own_consents.confirm(pending.id, code, caller, house.services)


async def refused(work: Any) -> str:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind.name


async def test_a_consent_is_previewed_signed_by_a_code_in_force_and_taken_back(
    house: House,
) -> None:
    services = house.services
    chart = await visited(house, MOTHER)
    mine = await account(MOTHER, services)
    assert not await sees(house, chart)

    preview = await own_consents.preview(chart, Wish("share"), mine, services)
    assert preview.sentences("zh")
    assert not await sees(house, chart)  # looking changes nothing
    recorded = await sign(house, chart, Wish("share"), mine)
    assert await sees(house, chart)
    [paper] = await own_consents.papers(chart, mine, services)
    assert (paper.on_file.id, paper.on_file.kind, paper.on_file.state) == (
        recorded.id,
        "share",
        "active",
    )
    assert (paper.proof, paper.version, len(paper.digest)) == ("code", recorded.version, 64)
    assert paper.on_file.recorded.recorder == mine.user

    before = await own_consents.preview_withdrawal(chart, recorded.id, mine, services)
    assert before.sentences("zh")
    assert await own_consents.withdraw(chart, recorded.id, mine, services) is None
    assert not await sees(house, chart)
    [paper] = await own_consents.papers(chart, mine, services)
    assert paper.on_file.state == "withdrawn"
    assert paper.version != recorded.version
    kinds = [
        (await services.db.session(listed.events, listed.Narrow(kind=kind), 0, 9)).total
        for kind in ("consent-create", "consent-withdraw")
    ]
    assert kinds == [1, 1]


@ON_SQLITE
async def test_a_refusal_is_taken_back_only_by_a_code(house: House) -> None:
    services = house.services
    chart = await visited(house, MOTHER)
    mine = await account(MOTHER, services)
    await sign(house, chart, Wish("share"), mine)
    house.clock.forward(2)
    refusal = await sign(house, chart, Wish("refuse-organization", TCM), mine)
    assert not await sees(house, chart)
    pending = await own_consents.withdraw(chart, refusal.id, mine, services)
    assert pending is not None
    assert not await sees(house, chart)
    wrong = own_consents.confirm_withdrawal(chart, refusal.id, pending.id, "000000", mine, services)
    assert await refused(wrong) == "UNPROCESSABLE"
    code = Post(services).code()
    await own_consents.confirm_withdrawal(chart, refusal.id, pending.id, code, mine, services)
    assert await sees(house, chart)


@ON_SQLITE
async def test_nobody_else_sees_or_changes_what_somebody_decided(house: House) -> None:
    services = house.services
    chart = await visited(house, GRANDMOTHER)
    mine = await account(GRANDMOTHER, services)
    recorded = await sign(house, chart, Wish("share"), mine)
    other = await account(MOTHER, services, phone="10077778888")
    await mandates.record(GRANDMOTHER.number, mandate(other.user), REGISTRAR, services)
    doctor = replace(LI, role="clinician")
    for caller in (other, for_another(other), doctor):
        for work in (
            own_consents.papers(chart, caller, services),
            own_consents.paper(recorded.id, caller, services),
            own_consents.withdraw(chart, recorded.id, caller, services),
            own_consents.preview(chart, Wish("refuse-all"), caller, services),
            own_consents.begin(chart, Wish("refuse-all"), caller, services),
            consents.withdraw(recorded.id, caller, services),
        ):
            assert await refused(work) in {"UNKNOWN", "REFUSED"}
    assert await sees(house, chart)


@ON_SQLITE
@pytest.mark.parametrize(
    "wish",
    [
        Wish("category", TCM),
        Wish("category", "", "PSY"),
        Wish("category", TCM, "XX"),
        Wish("refuse-organization"),
        Wish("share", TCM),
        Wish("share", until=date(2026, 2, 28)),
    ],
)
async def test_a_wish_that_is_not_whole_signs_nothing(house: House, wish: Wish) -> None:
    chart = await visited(house, MOTHER)
    mine = await account(MOTHER, house.services)
    sent = len(Post(house.services).sent)
    assert await refused(own_consents.begin(chart, wish, mine, house.services)) == "UNPROCESSABLE"
    assert len(Post(house.services).sent) == sent


@ON_SQLITE
async def test_a_parent_decides_for_a_child_until_it_may_be_fourteen(house: House) -> None:
    services = house.services
    child = person("almost", "王若谷", date(2012, 3, 2))  # 14 tomorrow
    chart = await visited(house, child)
    mother = await account(MOTHER, services)
    await mandates.record(child.number, guardian(mother.user), REGISTRAR, services)
    acting = for_another(mother)
    assert not await sees(house, chart)
    await sign(house, chart, Wish("share"), acting, MOTHER.phone)
    assert await sees(house, chart)
    pending = await own_consents.begin(chart, Wish("refuse-all"), acting, services)
    code = Post(services).code(MOTHER.phone)
    house.clock.forward(
        12 * 3600
    )  # the birthday comes before the code is typed, in the same session
    assert await refused(own_consents.papers(chart, acting, services)) == "UNKNOWN"
    late = own_consents.confirm(pending.id, code, acting, services)
    assert await refused(late) in {"UNKNOWN", "UNPROCESSABLE"}
    assert await refused(own_consents.begin(chart, Wish("share"), acting, services)) == "UNKNOWN"
