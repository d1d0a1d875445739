"""Broken glass: who may, for whom, how long, how often; and what it never opens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import func, select

from consent.fhir import Choice
from consent.model import Reason
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import (
    ask,
    casework,
    decide,
    emergency,
    event_bodies,
    identities,
    residents,
)
from gateway.exchange.person import meet
from gateway.identity.systems import RESIDENT_ID
from gateway.recognition.decisions import Choice as Recognised
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.store import cases, emergencies, notices
from gateway.store import oversight as listed
from gateway.store.engine import Tx
from gateway.store.statements import Statement
from tests.gateway.exchange.house import HOUR, REGISTRAR, House, clinician, person
from tests.gateway.exchange.test_joining import said

SHEN, FANG = person(), person("fang", "方芸", date(1975, 5, 5))
LI = replace(clinician("dr-li", "tcm", "BTG"), strength=2)
HE = replace(clinician("dr-he", "tcm", "BTG"), strength=2)
ASKED = emergency.Asked("unconscious", "抢救室昏迷病人，身份证在身，家属联系不上")
QIAN = Caller(client="portal", organization="tcm", role="privacy", user="qian", strength=2)
LU = replace(QIAN, user="lu")
STRANGER = person("nobody", "无此人", date(1950, 2, 3)).number


@pytest.fixture
async def filed(house: House) -> House:
    """Two residents of the people's hospital who refused everything."""
    for mrn, who, visit in (("0000000001", SHEN, "V1"), ("0000000002", FANG, "V2")):
        await house.file(
            house.adt(who, mrn, visit=visit),
            house.oru(who, mrn, visit=visit, report=f"R{mrn[-1]}", order=f"LFT^{mrn}"),
        )
    await house.sign(Choice.REFUSE_ALL)
    return house


async def told(work: object) -> Problem:
    with pytest.raises(Problem) as caught:
        await work  # type: ignore[misc]
    return caught.value


async def break_for(house: House, who: Caller = LI, mrn: str = "0000000001") -> emergency.Granted:
    return await emergency.break_glass(house.chart(mrn), ASKED, who, house.services)


async def total(house: House, who: Caller = LI, mrn: str = "0000000001") -> int:
    return (await house.search("Observation", who, mrn=mrn)).total


async def gate(house: House, who: Caller, mrn: str = "0000000001", action: str = "read") -> object:
    at = house.services.now()
    met = await meet(house.chart(mrn), who, house.services, at, action=action, named=True)
    return met.gate.reason if met.gate else None


async def test_a_grant_opens_over_a_refusal_for_four_hours(filed: House) -> None:
    assert (await told(total(filed))).kind is Kind.REFUSED, "the purpose alone opens nothing"

    granted = await break_for(filed)

    assert granted.end - filed.clock.at <= 4 * HOUR
    assert await total(filed) == 1
    filed.clock.forward(4 * 3600 - 10)
    assert await total(filed) == 1
    filed.clock.forward(10)
    assert (await told(total(filed))).text == f"Not shared: {Reason.NO_GRANT.value}."


async def test_it_is_one_users_and_one_patients(filed: House) -> None:
    await break_for(filed)
    elsewhere = replace(LI, organization="mch")
    for who, mrn in ((LI, "0000000002"), (HE, "0000000001"), (elsewhere, "0000000001")):
        assert await gate(filed, who, mrn) is Reason.NO_GRANT
    assert await gate(filed, replace(LI, user="")) is Reason.NO_GRANT
    assert await gate(filed, replace(LI, purpose="TREAT")) is Reason.NO_RELATIONSHIP


@pytest.mark.parametrize("action", ["export", "print", "push", "subscribe"])
async def test_it_is_for_reading_only(filed: House, action: str) -> None:
    await break_for(filed)
    assert await gate(filed, LI) is None
    assert await gate(filed, LI, action=action) is Reason.GRANT_SCOPE
    report = next(one for one in await filed.current("DiagnosticReport"))
    verdict = decide.Verdict(Recognised.ACCEPT)
    refusal = await told(decide.decide(report.id, [(report.id, "1")], verdict, LI, filed.services))
    assert refusal.kind is Kind.REFUSED


async def test_ended_early_it_opens_nothing_more(filed: House) -> None:
    granted = await break_for(filed)
    assert (await told(emergency.end(granted.id, HE, filed.services))).kind is Kind.UNKNOWN
    before = (await filed.grounds(filed.chart())).charts[0].epoch
    await emergency.end(granted.id, LI, filed.services)
    await emergency.end(granted.id, LI, filed.services)
    assert await gate(filed, LI) is Reason.NO_GRANT
    after = (await filed.grounds(filed.chart())).charts[0].epoch
    assert after == before + 1, "answers on their way are decided again"


async def test_a_closed_review_closes_what_it_was_about(filed: House) -> None:
    granted = await break_for(filed)
    await casework.take(granted.id, QIAN, filed.services)
    await casework.decide(granted.id, "justified", "急诊登记已核对", QIAN, filed.services)
    assert await gate(filed, LI) is Reason.NO_GRANT


async def test_grants_follow_what_is_one_person_now(filed: House) -> None:
    """Granted on one chart; another is joined to it later, confirmed, and parted again.

    It was given for one patient: a hospital's word that two are one widens nothing.
    """
    in_a_hurry, third = replace(SHEN, name="王坤", born=date(1980, 1, 2), number=""), "0000000003"
    await filed.file(
        filed.adt(in_a_hurry, third, visit="V3"),
        filed.oru(in_a_hurry, third, visit="V3", report="R3", order="LFT^3"),
    )
    await break_for(filed)
    assert await gate(filed, LI, third) is Reason.NO_GRANT

    await filed.file(said("A40", "0000000001", third, "2026-02-21T08:00"))
    assert await gate(filed, LI, third) is None
    assert await total(filed) == 1
    number = (RESIDENT_ID, SHEN.number)
    [pair] = await identities.pending(*number, REGISTRAR, filed.services)
    await identities.answer(pair.id, "one", *number, REGISTRAR, filed.services)
    assert await total(filed) == 2

    await filed.file(said("A37", "0000000001", third, "2026-02-22T08:00"))
    assert await gate(filed, LI, third) is Reason.NO_GRANT
    assert await gate(filed, LI) is None


@pytest.mark.parametrize(
    ("words", "enough"),
    [
        ("抢救室昏迷病人，身份证在身，家属联系不上", True),
        ("抢救室昏迷病人家属联系不上了", False),  # 14
        ("抢救室昏迷病人家属联系不上了。", False),  # punctuation says nothing
        ("急急急急急急急急急急急急急急急急", False),
        ("抢救病人抢救病人抢救病人抢救病人抢救病人", False),
        ("1234567890123456789", False),
        ("unconscious patient brought in by ambulance", True),
        ("aaaaaaa bbbbbbb aaaaaaa", False),
        ("               ", False),
    ],
)
def test_filler_is_no_reason(words: str, enough: bool) -> None:
    assert emergency.says_enough(words, 15) is enough


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_what_is_asked_must_be_whole(filed: House) -> None:
    chart, services = filed.chart(), filed.services
    for asked, place in (
        (replace(ASKED, reason="curious"), "reason"),
        (replace(ASKED, words="急诊"), "words"),
        (replace(ASKED, words="抢" * 1000 + ASKED.words * 200), "words"),
        (replace(ASKED, keep_back="危险"), "hold"),
    ):
        problem = await told(emergency.break_glass(chart, asked, LI, services))
        assert (problem.kind, problem.place) == (Kind.UNPROCESSABLE, place)
    for who in (
        replace(LI, strength=1),
        replace(LI, user=""),
        replace(LI, role="registrar"),
        replace(LI, role="system"),
    ):
        assert (await told(emergency.break_glass(chart, ASKED, who, services))).kind is Kind.REFUSED
    assert not await services.db.read(cases.OPEN)


async def test_unknown_sealed_and_known_are_one_answer(filed: House) -> None:
    services = filed.services
    real = await emergency.by_number(RESIDENT_ID, SHEN.number, ASKED, LI, services)
    none = await emergency.by_number(RESIDENT_ID, STRANGER, ASKED, LI, services)
    assert len(real.id) == len(none.id)
    assert len(real.chart) == len(none.chart)
    # Afterwards somebody nobody knows is like somebody of whom nothing is shown, and only to whom
    # it was granted.
    assert await residents.open_resident(RESIDENT_ID, STRANGER, LI, services) is None
    refusal = await residents.open_resident(RESIDENT_ID, STRANGER, HE, services)
    assert refusal is Reason.NO_GRANT
    assert await residents.open_resident(RESIDENT_ID, FANG.number, LI, services) is Reason.NO_GRANT
    found = await residents.open_resident(RESIDENT_ID, SHEN.number, LI, services)
    assert isinstance(found, residents.InHand)
    kinds = [row.kind for row in await _cases(services)]
    assert kinds == ["emergency", "emergency"], "both are looked at"


async def _cases(services: Services) -> list[cases.CaseRow]:
    return [cases.CaseRow(*row) for row in await services.db.read(cases.OPEN)]


async def test_a_record_id_tells_nothing_either(filed: House) -> None:
    """With a grant on one person: a record of theirs that is hidden, one of another, and none."""
    await break_for(filed)
    others = [o for o in await filed.current("Observation") if o.chart != filed.chart()]
    for type, id in (
        ("Observation", others[0].id),
        ("Observation", "0" * 32),
        ("Patient", "f" * 32),
    ):
        assert (await told(ask.read(type, id, LI, filed.services))).kind is Kind.UNKNOWN


async def test_it_is_durable_with_its_event_review_notice_and_alarm(filed: House) -> None:
    services = filed.services
    granted = await break_for(filed)
    await total(filed)

    found = await services.db.session(listed.events, listed.Narrow(actors=("dr-li",)), 0, 10)
    seen, event = found.rows[0], found.rows[1]
    assert (event.kind, event.purpose, event.outcome) == ("break-glass", "BTG", "permit")
    body, told_more = await event_bodies.bodies([event, seen], services), seen
    assert body[0] is not None
    assert (body[0].reason, body[0].details["grant"]) == (ASKED.words, granted.id)
    assert told_more.purpose == "BTG"
    assert body[1] is not None
    assert body[1].details == {
        "grant": granted.id,
        "opened": "Observation/general=1",
        "labels": "",
        "over": "1",
    }
    [case] = await _cases(services)
    assert (case.id, case.kind, case.login) == (granted.id, "emergency", "dr-li")
    assert case.due - case.opened == 72 * HOUR
    [notice] = await notices.of_charts(services.db, [filed.chart()], services.now())
    assert (notice.kind, notice.about, notice.due <= services.now()) == (
        "emergency", granted.id, True
    )  # fmt: skip
    assert "break-glass" in await filed.alarms()


async def test_told_later_only_for_a_recorded_reason(filed: House) -> None:
    services = filed.services
    asked = replace(ASKED, keep_back="陪同的家属有施暴嫌疑，此刻告知会危及病人")
    await emergency.break_glass(filed.chart(), asked, LI, services)
    assert await notices.of_charts(services.db, [filed.chart()], services.now()) == []
    filed.clock.forward(72 * 3600 + 1)
    assert len(await notices.of_charts(services.db, [filed.chart()], services.now())) == 1
    found = await services.db.session(listed.events, listed.Narrow(kind="break-glass"), 0, 1)
    [body] = await event_bodies.bodies(found.rows, services)
    assert body is not None
    assert body.details["notice-kept-back"] == asked.keep_back


async def test_the_fourth_of_a_day_needs_a_second_clinician(filed: House) -> None:
    services = filed.services
    charts = [f"{n:032x}" for n in range(6)]
    for chart in charts[:3]:
        await emergency.break_glass(chart, ASKED, LI, services)
    again = await emergency.break_glass(charts[0], ASKED, replace(LI, user="Dr-Li"), services)
    assert again.chart == charts[0], "the one that lives is given again, and costs nothing"

    def fourth(approver: Caller | None = None, who: Caller = LI) -> object:
        return emergency.break_glass(charts[3], ASKED, who, services, approver)

    with pytest.raises(emergency.BudgetSpent):
        await fourth()  # type: ignore[misc]
    assert (await services.db.session(
        listed.events, listed.Narrow(kind="break-glass", outcome="deny"), 0, 10
    )).total == 1  # fmt: skip
    with pytest.raises(emergency.BudgetSpent):
        await fourth(who=replace(LI, user="DR-LI"))  # type: ignore[misc]
    for wrong in (
        LI,
        replace(LI, user="DR-LI "),
        replace(HE, strength=1),
        replace(HE, organization="people"),
        replace(HE, role="it"),
    ):
        assert (await told(fourth(wrong))).kind is Kind.REFUSED
    await fourth(HE)  # type: ignore[misc]
    row = emergencies.GrantRow(
        *(await services.db.read(
            emergencies.LIVE, [(await _cases(services))[-1].chart], "dr-li", "tcm", services.now()
        ))[0]
    )  # fmt: skip
    assert row.approver == "dr-he"
    filed.clock.forward(24 * 3600)
    await emergency.break_glass(charts[4], ASKED, LI, services)
    namesake = replace(LI, organization="people")
    await emergency.break_glass(charts[5], ASKED, namesake, services)


async def test_two_processes_cannot_both_spend_the_last(filed: House) -> None:
    """Another process on the same database is about to commit the third when the fourth is asked."""
    mine = filed.services
    other = await open_services(mine.settings)
    ours = [await emergency.break_glass(f"{n:032x}", ASKED, LI, mine) for n in range(2)]
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def third(tx: Tx) -> None:
        digest = mine.vault.digest("emergency-budget", b"dr-li")
        tx.one(emergencies.HOLD, digest)
        [row] = tx.all(emergencies.ONE, ours[0].id)
        tx.run(emergencies.ADD, "third", *row[1:])
        loop.call_soon_threadsafe(begun.set)
        if other.db.engine == "postgresql":
            tx.one(Statement(select(func.pg_sleep(0.3))))

    try:
        theirs = asyncio.ensure_future(other.db.do(third))
        await begun.wait()
        with pytest.raises(emergency.BudgetSpent):
            await emergency.break_glass(f"{7:032x}", ASKED, LI, mine)
        await theirs
    finally:
        await other.close()


async def test_who_is_suspended_breaks_no_glass(filed: House) -> None:
    services = filed.services
    for mrn in ("0000000001", "0000000002"):
        granted = await break_for(filed, LI, mrn)
        await casework.take(granted.id, QIAN, services)
        await casework.decide(granted.id, "not-justified", "没有任何就诊登记", QIAN, services)
        await casework.second(granted.id, True, "核对后同意该结论", LU, services)
    assert (await told(break_for(filed))).kind is Kind.REFUSED
    assert (
        await told(emergency.break_glass("1" * 32, ASKED, HE, services, approver=LI))
    ).kind is Kind.REFUSED, "nor agrees to another's"
    assert Noted.ROLE in {
        row.kind
        for row in (await services.db.session(listed.events, listed.Narrow(kind="role"), 0, 5)).rows
    }
