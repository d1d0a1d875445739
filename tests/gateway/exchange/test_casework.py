"""Cases of privacy officers: taken by one, closed with words, against somebody only by two."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlmodel import Session

from gateway.errors import Kind, Problem
from gateway.exchange import casework
from gateway.services.caller import Caller
from gateway.store import accounts, cases, notices
from tests.gateway.exchange.house import HOUR, NOON, House

WHY = "门诊没有登记，急诊抢救中"


def officer(user: str, organization: str = "people") -> Caller:
    return Caller(
        client="portal",
        organization=organization,
        role="privacy",
        user=user,
        name=user,
        strength=2,
    )


QIAN, LU, COUNTY = officer("qian"), officer("lu"), officer("county-officer", "county")
DOCTOR = Caller(client="portal", organization="people", role="clinician", user="dr-wang")
RESIDENT = Caller(client="portal", organization="county", role="patient", user="shen")


async def opened(
    house: House, id: str = "c1", kind: str = "self-claim", organization: str = "people"
) -> str:
    """A case of dr-wang's."""
    word = casework.Word("reason", "dr-wang", "王若溪", NOON, WHY)
    at = house.services.now()
    case = casework.new_case(
        kind,  # type: ignore[arg-type]
        id,
        "ab" * 16,
        "dr-wang",
        organization,
        [word],
        at,
        at + 72 * HOUR,
        house.services,
    )
    await house.services.db.do(casework.add, case)
    return id


async def told(work: object) -> Kind:
    with pytest.raises(Problem) as caught:
        await work  # type: ignore[misc]
    return caught.value.kind


async def test_a_second_officer_sees_that_a_case_is_taken(house: House) -> None:
    id, services = await opened(house), house.services
    await casework.take(id, QIAN, services)

    [seen] = await casework.queue(LU, services)
    assert (seen.row.taken_by, seen.mine, seen.free) == ("qian", False, False)
    assert await told(casework.take(id, LU, services)) is Kind.CONFLICT
    assert await told(casework.decide(id, "justified", WHY, LU, services)) is Kind.CONFLICT

    house.clock.forward(24 * 3600 + 1)
    await casework.take(id, LU, services)
    assert (await casework.case(id, LU, services)).mine, "one that was left lying may be taken over"


async def test_a_case_is_closed_with_words_and_a_second_factor(house: House) -> None:
    id, services = await opened(house), house.services
    await casework.take(id, QIAN, services)
    for words in ("", "  好的  "):
        assert (
            await told(casework.decide(id, "justified", words, QIAN, services))
            is Kind.UNPROCESSABLE
        )
    weak = replace(QIAN, strength=1)
    assert await told(casework.decide(id, "justified", WHY, weak, services)) is Kind.REFUSED
    assert await told(casework.decide(id, "answered", WHY, QIAN, services)) is Kind.UNPROCESSABLE, (
        "a verdict of another kind of case"
    )

    await casework.decide(id, "justified", WHY, QIAN, services, findings={"encounter": "found"})

    assert await casework.queue(QIAN, services) == ()
    done = await casework.case(id, QIAN, services)
    assert (done.row.verdict, done.row.closed > 0) == ("justified", True)
    assert [word.role for word in done.file.words] == ["reason", "verdict"]
    assert done.file.findings == {"encounter": "found"}
    assert await told(casework.take(id, LU, services)) is Kind.CONFLICT


async def test_what_goes_against_somebody_needs_a_second_officer(house: House) -> None:
    id, services = await opened(house), house.services
    await casework.take(id, QIAN, services)
    await casework.decide(id, "not-justified", WHY, QIAN, services)

    [waiting] = await casework.queue(LU, services)
    assert (waiting.waits_for_second, waiting.row.closed) == (True, 0)
    assert await told(casework.second(id, True, WHY, QIAN, services)) is Kind.REFUSED
    assert (
        await told(casework.second(id, True, WHY, replace(LU, strength=1), services))
        is Kind.REFUSED
    )
    await casework.second(id, False, "没有看到医生的答复", LU, services)
    [again] = await casework.queue(QIAN, services)
    assert (again.row.verdict, again.row.taken_by, again.free) == ("", "", True)

    await casework.take(id, LU, services)
    await casework.decide(id, "not-justified", WHY, LU, services)
    await casework.second(id, True, WHY, QIAN, services)
    done = await casework.case(id, QIAN, services)
    assert (done.row.decided_by, done.row.second_by) == ("lu", "qian")
    assert done.row.closed > 0


async def test_the_doctor_is_asked_and_answers(house: House) -> None:
    id, services = await opened(house), house.services
    await casework.take(id, QIAN, services)
    await casework.ask(id, "为什么没有就诊登记？", QIAN, services)

    [question] = await casework.asked(DOCTOR, services)
    assert question.file.words[-1].words == "为什么没有就诊登记？"
    other = replace(DOCTOR, user="dr-li", organization="tcm")
    assert await casework.asked(other, services) == ()
    assert await told(casework.answer(id, "我来答复", other, services)) is Kind.UNKNOWN
    namesake = replace(DOCTOR, organization="tcm")
    assert await casework.asked(namesake, services) == (), "another hospital's person of that name"

    await casework.answer(id, "急诊系统当晚停机", DOCTOR, services)
    assert await casework.asked(DOCTOR, services) == ()
    back = await casework.case(id, QIAN, services)
    assert (back.row.verdict, back.mine) == ("", True)
    assert [word.role for word in back.file.words] == ["reason", "question", "answer"]


async def test_an_officer_sees_only_their_institution_and_never_themselves(house: House) -> None:
    services = house.services
    await opened(house, "c1", organization="people")
    await opened(house, "c2", organization="tcm")

    assert [one.row.id for one in await casework.queue(QIAN, services)] == ["c1"]
    assert await told(casework.case("c2", QIAN, services)) is Kind.UNKNOWN
    assert {one.row.id for one in await casework.queue(COUNTY, services)} == {"c1", "c2"}
    himself = officer("Dr-Wang")
    assert await casework.queue(himself, services) == ()
    assert await told(casework.take("c1", himself, services)) is Kind.UNKNOWN
    assert await told(casework.queue(DOCTOR, services)) is Kind.REFUSED


async def test_two_officers_at_once_are_one_verdict(house: House) -> None:
    """Both read the case before either writes."""
    id, services = await opened(house), house.services
    row = (await casework.case(id, QIAN, services)).row
    moves = [
        (row, row._replace(taken_by=who.user, taken=services.now()), "taken", "", who, services)
        for who in (QIAN, LU)
    ]
    await casework._move(*moves[0])
    assert await told(casework._move(*moves[1])) is Kind.CONFLICT
    assert (await casework.case(id, QIAN, services)).row.taken_by == "qian"


def _account(session: Session) -> None:
    accounts.put(
        session,
        login="dr-wang",
        organization="people",
        sealed=b"",
        password="nobody signs in here",
        roles=("clinician",),
        at=0,
    )


async def test_what_was_not_justified_twice_suspends_and_two_lift_it(house: House) -> None:
    services = house.services
    await services.db.session(_account)
    for id in ("c1", "c2"):
        found = await services.db.session(accounts.find, "dr-wang")
        assert found is not None
        assert found.active, "once is not enough"
        await opened(house, id)
        await casework.take(id, QIAN, services)
        await casework.decide(id, "not-justified", WHY, QIAN, services)
        await casework.second(id, True, WHY, LU, services)

    found = await services.db.session(accounts.find, "dr-wang")
    assert found is not None
    assert not found.active
    [case] = await casework.queue(LU, services)
    assert case.row.kind == "suspension"
    assert await services.db.read(cases.SUSPENDED, "dr-wang")
    await casework.take(case.row.id, LU, services)
    await casework.decide(case.row.id, "lifted", "已经谈话并培训", LU, services)
    assert await told(casework.second(case.row.id, True, WHY, LU, services)) is Kind.REFUSED
    await casework.second(case.row.id, True, "同意恢复使用", QIAN, services)
    found = await services.db.session(accounts.find, "dr-wang")
    assert found is not None
    assert found.active
    assert not await services.db.read(cases.SUSPENDED, "dr-wang")


async def test_a_residents_question_is_answered_as_a_notice(house: House) -> None:
    services, chart = house.services, "cd" * 16
    ask = ("test.ask/7", "dr-wang", "people", "我不认识这位医生", RESIDENT, services)
    id = await casework.open_question(chart, *ask)
    assert await casework.open_question(chart, *ask) == id, "the same event is one question"
    assert await casework.answer_to(id, [chart], services) == ""

    await casework.take(id, QIAN, services)
    assert await told(casework.decide(id, "answered", WHY, QIAN, services)) is Kind.UNPROCESSABLE, (
        "the resident is owed words"
    )
    await casework.decide(id, "answered", WHY, QIAN, services, told="他是当晚的急诊医生。")

    [notice] = await notices.of_charts(services.db, [chart], services.now())
    assert (notice.kind, notice.about) == ("answer", id)
    assert await casework.answer_to(id, [chart], services) == "他是当晚的急诊医生。"
    assert await casework.answer_to(id, ["ef" * 16], services) == ""
    await services.db.do(notices.mark_read, [chart], services.now())
    [read] = await notices.of_charts(services.db, [chart], services.now())
    assert read.read > 0


async def test_overdue_cases_come_first_and_are_counted(house: House) -> None:
    services = house.services
    await opened(house, "late")
    house.clock.forward(73 * 3600)
    await opened(house, "fresh")
    found = await casework.queue(QIAN, services)
    assert [(one.row.id, one.overdue) for one in found] == [("late", True), ("fresh", False)]
    assert await casework.counts(services) == {"self-claim": (2, 1)}
