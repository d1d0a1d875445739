"""Attacks by who may write into the database: rows that say more than was ever recorded (E7, E8)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from consent.model import Reason
from gateway.errors import Kind, Problem
from gateway.exchange import (
    acting,
    authority,
    casework,
    desk_signing,
    emergency,
    mandates,
    own_accounts,
    proving,
    telling,
)
from gateway.exchange.grants import nobody
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.store import recognition_tables, tables
from gateway.store.statements import Statement
from gateway.vault import SealBroken
from tests.gateway.exchange.conftest import clock, house
from tests.gateway.exchange.house import HOUR, REGISTRAR, House
from tests.gateway.exchange.portal_county import LI as LI_TCM
from tests.gateway.exchange.portal_county import town
from tests.gateway.exchange.residents_at_desk import (
    CHILD,
    MOTHER,
    account,
    for_another,
    guardian,
)
from tests.gateway.exchange.test_casework import WHY
from tests.gateway.exchange.test_emergency import (
    ASKED,
    LI,
    LU,
    QIAN,
    SHEN,
    break_for,
    filed,
    gate,
)
from tests.gateway.exchange.test_proving import decided

__all__ = ["clock", "filed", "house"]

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
ACCOUNT = tables.OwnAccount.__table__  # type: ignore[attr-defined]
GRANT = tables.EmergencyGrant.__table__  # type: ignore[attr-defined]
MANDATE = tables.Mandate.__table__  # type: ignore[attr-defined]
PROOF = recognition_tables.DecisionEvidence.__table__  # type: ignore[attr-defined]


async def alter(house: House, statement: Any) -> None:
    """Write into the database past the gateway."""
    await house.services.db.do(lambda tx: tx.run(Statement(statement)))


async def with_account(house: House) -> Caller:
    """The mother's own account; her chart and another resident's are on file."""
    await house.file(house.adt(MOTHER), house.adt(SHEN, "0000000002", visit="V2"))
    return await account(MOTHER, house.services)


async def test_an_account_is_not_hung_on_somebody_elses_chart(house: House) -> None:
    mine, services = await with_account(house), house.services
    hers, his = house.chart(), house.chart("0000000002")
    assert await authority.may_decide(hers, mine, services)

    await alter(house, update(ACCOUNT).values(chart=his))

    assert not await authority.may_decide(his, mine, services)
    assert not await authority.may_decide(hers, mine, services)
    assert await acting.own_account(mine.user, services) is None
    assert await own_accounts.of_person(his, services) is None
    assert await telling._phones(his, services) == [], "nobody is told at a stranger's number"
    known = (await rows.grounds(services.db, his, "")).charts
    assert await desk_signing.telephone(known, services) is None, "no code goes there"


async def test_an_account_whose_telephone_never_answered_is_not_believed(house: House) -> None:
    services = house.services
    await house.file(house.adt(MOTHER))
    login = await own_accounts.ask(MOTHER.number, MOTHER.name, "13800001234", REGISTRAR, services)
    await alter(house, update(ACCOUNT).values(verified=house.clock.at))
    with pytest.raises(Problem):
        await own_accounts.renew(login, REGISTRAR, services)
    assert await acting.own_account(login, services) is None


async def test_an_account_that_ended_does_not_come_back(house: House) -> None:
    mine, services = await with_account(house), house.services
    await own_accounts.end(mine.user, mine, services)
    await alter(house, update(ACCOUNT).values(ended=0))
    assert await acting.own_account(mine.user, services) is None


@pytest.mark.parametrize(
    "altered", [{"end": 2**60}, {"sealed": b"\x00" * 60}, {"chart": "other"}, {"reason": "other"}]
)
async def test_a_grant_says_only_what_was_granted(filed: House, altered: dict[str, Any]) -> None:
    await break_for(filed)
    assert await gate(filed, LI) is None
    if altered.get("chart"):
        altered = {"chart": filed.chart("0000000002")}
    await alter(filed, update(GRANT).values(**altered))
    for mrn in ("0000000001", "0000000002"):
        assert await gate(filed, LI, mrn) is Reason.NO_GRANT


async def test_a_grant_nobody_gave_opens_nothing_and_can_be_asked_for_again(filed: House) -> None:
    services, at = filed.services, filed.clock.at
    await alter(
        filed,
        GRANT.insert().values(
            id="f" * 32, chart=filed.chart(), login="dr-li", organization="tcm", reason="other",
            sealed=b"", start=at, end=at + HOUR, closed=0, approver="",
        ),
    )  # fmt: skip
    assert await gate(filed, LI) is Reason.NO_GRANT
    granted = await emergency.break_glass(filed.chart(), ASKED, LI, services)
    assert granted.id != "f" * 32
    assert await gate(filed, LI) is None
    assert nobody("x", services) != filed.chart()


async def test_whom_a_court_stopped_is_not_set_going_in_the_table(house: House) -> None:
    services = house.services
    await house.file(house.adt(MOTHER), house.adt(CHILD, "0000000002", visit="V2"))
    mother = await account(MOTHER, services)
    chart = house.chart("0000000002")
    id = await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)
    [held] = await mandates.of_person(chart, services)
    acts = for_another(mother)
    assert await authority.may_decide(chart, acts, services)

    await mandates.stop(held.chart, id, "（2026）民初 12 号", REGISTRAR, services)
    await alter(house, update(MANDATE).values(suspended=0))
    assert not await authority.may_decide(chart, acts, services)
    [held] = await mandates.of_person(chart, services)
    assert held.state == "stopped"

    await mandates.resume(held.chart, id, "（2026）民初 13 号", REGISTRAR, services)
    assert await authority.may_decide(chart, acts, services), "the desk gives it back"
    await mandates.end(held.chart, id, REGISTRAR, services)
    await alter(house, update(MANDATE).values(ended=0))
    assert not await authority.may_decide(chart, acts, services)


async def test_who_is_suspended_reads_nothing_more_by_what_was_granted(filed: House) -> None:
    """Also where a hospital's system speaks for them and they have no account here."""
    services = filed.services
    for mrn in ("0000000001", "0000000002"):
        await break_for(filed, mrn=mrn)
    for one in await casework.queue(QIAN, services):
        await casework.take(one.row.id, QIAN, services)
        await casework.decide(one.row.id, "not-justified", WHY, QIAN, services)
    filed.clock.forward(5 * 3600)
    again = await break_for(filed, mrn="0000000001")
    assert await gate(filed, LI) is None
    epoch = (await filed.grounds(filed.chart())).charts[0].epoch
    for one in await casework.queue(LU, services):
        if one.waits_for_second and one.row.id != again.id:
            await casework.second(one.row.id, True, WHY, LU, services)
    assert await gate(filed, LI) is Reason.NO_GRANT
    assert (await filed.grounds(filed.chart())).charts[0].epoch > epoch, "on their way or not"
    with pytest.raises(Problem) as told:
        await break_for(filed)
    assert told.value.kind is Kind.REFUSED


@pytest.mark.parametrize("altered", [{"login": "dr-boss"}, {"organization": "people"}])
async def test_evidence_stands_for_its_own_doctor_alone(
    services: Services, altered: dict[str, Any]
) -> None:
    here = await town(services, "shen")
    await here.sign("shen")
    task = await decided(here)
    assert await proving.proofs(task, LI_TCM, services)
    statement = Statement(update(PROOF).values(**altered))
    await services.db.do(lambda tx: tx.run(statement))
    with pytest.raises(SealBroken):
        await proving.proofs(task, LI_TCM, services)
