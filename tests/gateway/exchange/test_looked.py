"""Who looked: nothing is missing, programs and people are apart, and who acts learns no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import ask, looked, mandates
from gateway.records.query import Query
from gateway.services.caller import Caller
from gateway.store import cases, notices
from gateway.store import oversight as listed
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import CHILD, MOTHER, account, for_another, guardian

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PSYCHIATRY = "0601^精神心理科"
SYSTEM = Caller(client="people-his", organization="people", role="system", purpose="TREAT")


async def visited(house: House, who: Any) -> str:
    mrn = "0000000001"
    await house.send(
        house.adt(who, mrn),
        house.oru(who, mrn, ("ALT", "62.40", "F")),
        house.adt(who, mrn, visit="V9", clinic=PSYCHIATRY, diagnosis="F32.100^中度抑郁发作"),
        house.oru(who, mrn, ("HAMD", "21", "F"), report="R9", visit="V9", clinic=PSYCHIATRY),
    )
    await house.work()
    return house.chart(mrn)


async def look(house: House, chart: str, caller: Caller, type: str = "Observation") -> int:
    try:
        query = Query(type, patient=chart, count=50)
        return len((await ask.search(query, caller, house.services)).records)
    except Problem:
        return 0


def flat(page: looked.Looks) -> list[looked.Look]:
    return [
        one
        for group in (page.people, page.program, page.self)
        for visit in group
        for one in visit.looks
    ]


async def test_every_event_of_the_log_is_told_and_nothing_else(house: House) -> None:
    services = house.services
    chart = await visited(house, MOTHER)
    mine = await account(MOTHER, services)
    await look(house, chart, clinician())
    await look(house, chart, SYSTEM)
    await look(house, chart, clinician("dr-li", "tcm"))  # refused, and noted
    await look(house, chart, mine)
    known = await ask.rows.grounds(services.db, chart, "")
    tags = tuple(services.log.tag(row.id) for row in known.charts)
    there = await services.db.session(listed.events, listed.Narrow(tags=tags), 0, 1000)

    page = await looked.looks(chart, None, mine, services)
    assert {one.ref for one in flat(page)} == {f"{r.writer}/{r.counter}" for r in there.rows}
    assert len(flat(page)) == there.total
    assert not page.more
    noted = await services.db.session(listed.events, listed.Narrow(kind="audit-read"), 0, 9)
    assert noted.total == 1
    again = await looked.looks(chart, None, mine, services)
    assert len(flat(again)) == there.total + 1  # having looked at the list is told, too

    people = {(one.login, one.organization, one.refused) for v in page.people for one in v.looks}
    assert ("dr-wang", "people", False) in people
    assert ("dr-li", "tcm", True) in people
    programs = {one.organization for v in page.program for one in v.looks}
    assert programs == {"people"}
    assert all(one.login == "" or one.kind == "filed" for v in page.program for one in v.looks)
    assert {one.login for v in page.self for one in v.looks} == {mine.user}
    [wang] = [v for v in page.people if v.organization == "people"]
    assert wang.treated
    assert wang.day == date(2026, 3, 1)
    assert [(one.ground, one.shown) for one in wang.looks] == [("own-source", 2)]


@ON_SQLITE
async def test_somebody_else_learns_nothing_of_it(house: House) -> None:
    chart = await visited(house, MOTHER)
    other = await account(person("other", "李玘", date(1971, 4, 4)), house.services)
    for caller in (other, for_another(other), replace(other, role="clinician", purpose="TREAT")):
        with pytest.raises(Problem) as caught:
            await looked.looks(chart, None, caller, house.services)
        assert caught.value.kind is Kind.UNKNOWN


@ON_SQLITE
async def test_a_guardian_does_not_learn_that_protected_records_were_read(house: House) -> None:
    """Fifteen years old: what a guardian may not read is not hinted at by who read it."""
    services = house.services
    youth = person("youth", "陈星野", date(2010, 6, 1))
    chart = await visited(house, youth)
    mother, mine = (
        await account(MOTHER, services),
        await account(youth, services, phone="10088889999"),
    )
    await mandates.record(youth.number, guardian(mother.user), REGISTRAR, services)
    await look(house, chart, clinician("dr-a"), "Patient")
    await look(house, chart, clinician("dr-b"), "Observation")  # the psychiatric one among them
    of_mother = flat(await looked.looks(chart, None, for_another(mother), services))
    of_youth = flat(await looked.looks(chart, None, mine, services))
    assert {one.login for one in of_mother if one.who == "people"} == {"dr-a"}
    assert {"dr-a", "dr-b"} <= {one.login for one in of_youth}
    assert {one.kind for one in of_mother} <= {"read", "search", "everything"}
    hidden = next(one for one in of_youth if one.login == "dr-b")
    with pytest.raises(Problem):  # nor by asking about it
        await looked.question(
            chart,
            hidden.ref,
            date(2026, 3, 1),
            "这个人是谁？我不认识",
            for_another(mother),
            services,
        )


@ON_SQLITE
async def test_a_question_becomes_a_case_once(house: House) -> None:
    services = house.services
    chart = await visited(house, MOTHER)
    mine = await account(MOTHER, services)
    await look(house, chart, clinician())
    await look(house, chart, mine)
    page = await looked.looks(chart, None, mine, services)
    [one] = [look for visit in page.people for look in visit.looks if look.login == "dr-wang"]
    day = page.people[0].day
    first = await looked.question(
        chart, one.ref, day, "我不认识这位医生，为什么看我", mine, services
    )
    assert (
        await looked.question(chart, one.ref, day, "我不认识这位医生，为什么看我", mine, services)
        == first
    )
    row = cases.CaseRow(*(await services.db.read(cases.ONE, first))[0])
    assert (row.kind, row.login, row.organization) == ("question", "dr-wang", "people")
    own = page.self[0].looks[0]
    for ref in (own.ref, "test.ask/999999", ""):
        with pytest.raises(Problem) as caught:
            await looked.question(chart, ref, day, "我不认识这位医生", mine, services)
        assert caught.value.kind is Kind.UNKNOWN


@ON_SQLITE
async def test_an_emergency_that_is_kept_back_appears_after_its_time(house: House) -> None:
    from gateway.audit.events import Body, Outcome
    from gateway.audit.events import Kind as Noted
    from gateway.store import emergencies

    services = house.services
    chart = await visited(house, MOTHER)
    mine = await account(MOTHER, services)
    at = services.now()
    doctor = clinician("dr-zhou", "township", "BTG")
    row = emergencies.GrantRow(
        "g1", chart, "dr-zhou", "township", "unconscious", b"", at, at + 4 * 3600 * 10**6, 0, ""
    )
    later = at + 24 * 3600 * 10**6

    def begin(tx: Any) -> None:
        tx.run(emergencies.ADD, *row)
        notices.add(tx, chart, "emergency", "g1", at, later)

    await services.db.do(begin)
    body = Body(request="x", human="周启明", role="clinician")
    await services.log.note(Noted.BREAK_GLASS, Outcome.PERMIT, doctor, at, body, (chart,))
    page = await looked.looks(chart, None, mine, services)
    assert not [one for one in flat(page) if one.emergency]
    house.clock.forward(24 * 3600 + 1)
    page = await looked.looks(chart, None, mine, services)
    [visit] = [visit for visit in page.people if visit.emergency]
    assert (visit.organization, visit.looks[0].login) == ("township", "dr-zhou")


@ON_SQLITE
async def test_what_lies_further_back_is_on_an_earlier_page(house: House) -> None:
    services = house.services
    chart = await visited(house, CHILD)
    mother = await account(MOTHER, services)
    await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)
    await look(house, chart, clinician(), "Patient")
    house.clock.forward(100 * 24 * 3600)
    page = await looked.looks(chart, None, for_another(mother), services)
    assert page.more
    assert not page.people
    before = await looked.looks(chart, page.since, for_another(mother), services)
    assert [one.login for visit in before.people for one in visit.looks] == ["dr-wang"]
    assert not before.more
