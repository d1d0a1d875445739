"""Who acts for somebody: what is recorded, what it opens at the next request, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.demo.residents import Resident
from gateway.errors import Problem
from gateway.exchange import ask, mandates
from gateway.exchange.person import meet
from gateway.records.query import Query
from gateway.services.caller import Caller
from gateway.services.log import Moved
from gateway.store import charts as rows
from gateway.store import oversight as listed
from tests.gateway.exchange.house import REGISTRAR, House, person
from tests.gateway.exchange.residents_at_desk import (
    CHILD,
    MOTHER,
    account,
    for_another,
    guardian,
    mandate,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PSYCHIATRY = "0601^精神心理科"
PRIVACY = replace(REGISTRAR, role="privacy", user="privacy")
FATHER = person("father", "王柏舟", date(1985, 5, 5))
GRANDMOTHER = person("grandmother", "林芷", date(1950, 6, 15), sex="female")


async def visited(house: House, who: Resident, mrn: str = "0000000001") -> str:
    """A general result and a psychiatric one; the chart at the hospital."""
    await house.send(
        house.adt(who, mrn, visit="V" + mrn),
        house.oru(who, mrn, ("ALT", "62.40", "F"), report="R" + mrn, visit="V" + mrn),
        house.adt(who, mrn, visit="P" + mrn, clinic=PSYCHIATRY, diagnosis="F32.100^中度抑郁发作"),
        house.oru(
            who, mrn, ("HAMD", "21", "F"), report="P" + mrn, visit="P" + mrn, clinic=PSYCHIATRY
        ),
    )
    await house.work()
    return house.chart(mrn)


async def seen(house: House, chart: str, caller: Caller) -> list[str]:
    """The item codes somebody reads of a person."""
    page = await ask.search(Query("Observation", patient=chart, count=50), caller, house.services)
    return sorted(
        item for item in ("ALT", "HAMD") if any(item.encode() in one.text for one in page.records)
    )


async def refused(work: Any) -> str:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.place or caught.value.kind.name


async def test_the_person_and_a_guardian_read_and_what_ends_it_ends_at_the_next_request(
    house: House,
) -> None:
    services = house.services
    chart = await visited(house, CHILD)
    mother, stranger = await account(MOTHER, services), await account(FATHER, services)
    assert await seen(house, chart, for_another(mother)) == []

    id = await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)
    assert await seen(house, chart, for_another(mother)) == ["ALT", "HAMD"]
    assert await seen(house, chart, for_another(stranger)) == []
    [held] = await mandates.of_actor(mother.user, services)
    assert (held.person, held.state, held.actor) == (CHILD.name, "running", MOTHER.name)

    await mandates.stop(held.chart, id, "（2026）云法民字第 8 号", PRIVACY, services)
    assert await seen(house, chart, for_another(mother)) == []
    assert (await mandates.of_actor(mother.user, services))[0].state == "stopped"
    with pytest.raises(Problem):
        await mandates.resume(held.chart, id, "同上", PRIVACY, services)
    await mandates.resume(held.chart, id, "（2026）云法民字第 9 号", REGISTRAR, services)
    assert await seen(house, chart, for_another(mother)) == ["ALT", "HAMD"]
    await mandates.end(held.chart, id, mother, services)
    assert await seen(house, chart, for_another(mother)) == []
    assert await mandates.of_actor(mother.user, services) == ()
    [past] = await mandates.of_person(chart, services)
    assert past.state == "ended"
    found = await services.db.session(listed.events, listed.Narrow(kind="mandate"), 0, 100)
    assert found.total == 4


@ON_SQLITE
async def test_a_child_turns_fourteen_and_eighteen_during_the_guardians_session(
    house: House,
) -> None:
    services = house.services
    for years, before, after in (
        (14, ["ALT", "HAMD"], ["ALT"]),
        (18, ["ALT"], []),
    ):
        child = person(f"c{years}", "王若谷", date(2026 - years, 3, 2))
        mrn = f"00000000{years}"
        chart = await visited(house, child, mrn)
        guarded = person(f"g{years}", "陈安岚", date(1980, 1, years))
        parent = for_another(await account(guarded, services, phone=f"100000000{years}"))
        await mandates.record(child.number, guardian(parent.user), REGISTRAR, services)
        assert await seen(house, chart, parent) == before
        house.clock.forward(12 * 3600)  # noon to midnight: the birthday, in county time
        assert await seen(house, chart, parent) == after
        house.clock.forward(-12 * 3600)


@ON_SQLITE
async def test_a_mandate_opens_what_the_adult_signed_and_nothing_more(house: House) -> None:
    services = house.services
    chart = await visited(house, GRANDMOTHER)
    son = await account(FATHER, services)
    id = await mandates.record(GRANDMOTHER.number, mandate(son.user), REGISTRAR, services)
    assert await seen(house, chart, for_another(son)) == ["ALT"]
    again = mandates.record(GRANDMOTHER.number, mandate(son.user), REGISTRAR, services)
    assert await refused(again) == "CONFLICT"
    [held] = await mandates.of_person(chart, services)
    await mandates.end(held.chart, id, REGISTRAR, services)

    wide = mandate(
        son.user, restricted=True, categories=("PSY", "BH", "MH"), until=date(2026, 3, 1)
    )
    await mandates.record(GRANDMOTHER.number, wide, REGISTRAR, services)
    assert await seen(house, chart, for_another(son)) == ["ALT", "HAMD"]
    house.clock.forward(12 * 3600)  # the last day is over
    assert await seen(house, chart, for_another(son)) == []


@ON_SQLITE
async def test_who_gave_a_mandate_takes_it_back_and_nobody_else_does(house: House) -> None:
    services = house.services
    chart = await visited(house, GRANDMOTHER)
    son, grandmother = await account(FATHER, services), await account(GRANDMOTHER, services)
    other = await account(MOTHER, services)
    id = await mandates.record(GRANDMOTHER.number, mandate(son.user), REGISTRAR, services)
    [held] = await mandates.of_person(chart, services)
    assert await refused(mandates.end(held.chart, id, other, services)) == "UNKNOWN"
    assert await refused(mandates.stop(held.chart, id, "x", son, services)) == "REFUSED"
    await mandates.end(held.chart, id, grandmother, services)
    assert await seen(house, chart, for_another(son)) == []
    assert await refused(mandates.end(held.chart, id, grandmother, services)) == "UNKNOWN"


@ON_SQLITE
async def test_who_acts_can_neither_pass_it_on_nor_widen_it(house: House) -> None:
    """Only the desk records; a session of somebody who acts is no desk, whatever it says it is."""
    services = house.services
    chart = await visited(house, CHILD)
    mother, father = await account(MOTHER, services), await account(FATHER, services)
    await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)
    for caller in (mother, for_another(mother), PRIVACY):
        passed = mandates.record(CHILD.number, guardian(father.user), caller, services)
        assert await refused(passed) == "REFUSED"
    assert await seen(house, chart, for_another(father)) == []


@ON_SQLITE
async def test_what_does_not_fit_is_refused_by_its_name_and_nothing_is_stored(
    house: House,
) -> None:
    services = house.services
    chart = await visited(house, CHILD)
    await visited(house, GRANDMOTHER, "0000000002")
    mother = (await account(MOTHER, services)).user
    young = person("youth", "陈星野", date(2010, 6, 1))
    youth = (await account(young, services, phone="10011112222")).user
    for number, given, place in (
        (CHILD.number, guardian(mother, document="signed-mandate"), "document"),
        (CHILD.number, guardian(mother, scan=b""), "scan"),
        (CHILD.number, guardian(mother, witness=" "), "witness"),
        (CHILD.number, guardian(youth), "login"),
        (CHILD.number, guardian("r00000000"), "login"),
        (CHILD.number, guardian("dr-wang"), "login"),
        (CHILD.number, guardian(mother, categories=("PSY",)), "categories"),
        (CHILD.number, guardian(mother, until=date(2026, 2, 28)), "until"),
        (CHILD.number, mandate(mother), "ground"),
        (
            CHILD.number,
            mandate(mother, ground="heir", document="kinship", categories=("general",)),
            "ground",
        ),
        (MOTHER.number, mandate(mother), "login"),
        (GRANDMOTHER.number, guardian(mother), "ground"),
        (GRANDMOTHER.number, mandate(mother, categories=("PSY",)), "categories"),
        (GRANDMOTHER.number, mandate(mother, restricted=True, categories=("XX",)), "categories"),
        (
            GRANDMOTHER.number,
            mandate(mother, ground="court", document="birth-certificate"),
            "document",
        ),
    ):
        assert await refused(mandates.record(number, given, REGISTRAR, services)) == place
    assert await mandates.of_person(chart, services) == ()


@ON_SQLITE
async def test_a_courts_guardian_is_looked_at_again_every_year(house: House) -> None:
    services = house.services
    chart = await visited(house, GRANDMOTHER)
    son = await account(FATHER, services)
    court = mandate(son.user, ground="court", document="court-ruling", restricted=True)
    id = await mandates.record(GRANDMOTHER.number, court, REGISTRAR, services)
    mandated = mandates.record(
        GRANDMOTHER.number,
        mandate((await account(MOTHER, services)).user),
        REGISTRAR,
        services,
    )
    assert await refused(mandated) == "ground"  # who has a guardian signs nothing herself
    house.clock.forward(366 * 24 * 3600)
    [held] = await mandates.of_person(chart, services)
    assert held.state == "ended"
    await mandates.review(held.chart, id, REGISTRAR, services)
    assert (await mandates.of_person(chart, services))[0].state == "running"


@ON_SQLITE
async def test_a_row_altered_in_the_database_opens_nothing(house: House) -> None:
    services = house.services
    chart = await visited(house, CHILD)
    mother, father = await account(MOTHER, services), await account(FATHER, services)
    await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)

    def alter(session: Any) -> None:
        from sqlalchemy import text

        session.execute(text("UPDATE mandate SET login = :to"), {"to": father.user})

    await services.db.session(alter)
    assert await seen(house, chart, for_another(father)) == []
    assert await seen(house, chart, for_another(mother)) == []


@ON_SQLITE
async def test_two_accounts_on_one_persons_charts_are_both_believed_nothing(house: House) -> None:
    """Charts joined wrongly must never open one person's records to another."""
    services = house.services
    chart = await visited(house, GRANDMOTHER)
    mine = await account(GRANDMOTHER, services)
    assert await seen(house, chart, mine) == ["ALT", "HAMD"]
    other = await account(FATHER, services)

    def join(session: Any) -> None:
        from sqlalchemy import text

        session.execute(text("UPDATE chart SET person = 'x'"))

    await services.db.session(join)
    assert await seen(house, chart, mine) == []
    assert await seen(house, chart, other) == []
    assert len((await rows.grounds(services.db, chart, "")).charts) > 1


@ON_SQLITE
async def test_an_answer_that_is_being_made_when_a_right_is_stopped_does_not_leave(
    house: House,
) -> None:
    """What was decided under the right is thrown away: the chart's epoch has moved."""
    services = house.services
    chart = await visited(house, CHILD)
    mother = await account(MOTHER, services)
    id = await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)
    [held] = await mandates.of_person(chart, services)
    acting, at = for_another(mother), services.now()
    person = await ask.settled(lambda: meet(chart, acting, services, at, action="read", named=True))
    body = Body(request="answer")
    draft = await services.log.draft(
        Noted.READ, Outcome.PERMIT, acting, at, body, person.chart_ids, person.epochs
    )
    await mandates.stop(held.chart, id, "（2026）云法民字第 8 号", PRIVACY, services)
    with pytest.raises(Moved):
        await services.log.write(draft)
