"""A patient's yes: for one question, one person, one organisation, one purpose, a quarter of an hour, once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Kind, Problem
from gateway.exchange import mandates, presence
from gateway.exchange.person import meet
from gateway.exchange.presence import LIFE
from gateway.portal.county import stories
from gateway.portal.stories import Results
from gateway.services.caller import Caller
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import CHILD, MOTHER, account, guardian
from tests.logged import kinds

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
SHEN = person()
LI = replace(clinician("dr-li", "tcm"), name="李明轩", session="li-1", client="portal")


async def known(house: House) -> tuple[str, Caller]:
    """The resident's chart at the people's hospital, from an old visit, and the resident."""
    await house.file(
        house.adt(SHEN, event="A03", begun="2025-01-01T08:00", left="2025-01-02T08:00",
                  at="2025-01-02T08:00"),
    )  # fmt: skip
    return house.chart(), await account(SHEN, house.services)


async def opens(house: House, chart: str, who: Caller) -> bool:
    found = await meet(chart, who, house.services, house.clock(), action="read", named=True)
    return found.gate is None or str(getattr(found.gate, "reason", "")) != "no-relationship"


async def own(house: House, caller: Caller) -> str:
    return (await presence.subjects(caller, house.services))[0].chart


async def kind_of(work: Any) -> Kind:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind


@pytest.mark.parametrize("by", ["token", "code", "code typed badly"])
async def test_yes_opens_for_who_asked_for_a_quarter_of_an_hour(house: House, by: str) -> None:
    services = house.services
    chart, shen = await known(house)
    asked = await presence.ask(LI, services)
    name = {"token": asked.token, "code": asked.code}.get(
        by, f" {asked.code.lower().replace('-', ' ')}"
    )
    assert not await opens(house, chart, LI)

    question = await presence.look(name, shen, services)
    assert (question.asker, question.organization, question.purpose) == ("李明轩", "tcm", "TREAT")
    assert (await presence.state(asked.token, LI, services)).state == "waiting"
    assert not await opens(house, chart, LI)  # reading who asks says nothing

    await presence.answer(name, True, await own(house, shen), shen, services)
    answered = house.clock.at
    found = await presence.state(asked.token, LI, services)
    assert found.state == "yes"
    assert await opens(house, found.chart, LI)
    assert await opens(house, chart, LI)
    for other in (
        replace(LI, user="dr-chen"),
        replace(LI, organization="people"),
        replace(LI, purpose="COC"),
        replace(LI, purpose="ETREAT"),
    ):
        assert not await opens(house, chart, other)

    at = next(row[0] for row in await services.db.read(ANSWERED))
    assert at <= answered
    house.clock.at = at + LIFE - 2
    assert await opens(house, chart, LI)
    house.clock.at = at + LIFE
    assert not await opens(house, chart, LI)


ANSWERED = Statement(select(tables.Presence.__table__.c.answered))  # type: ignore[attr-defined]


async def test_a_question_is_answered_once_and_its_yes_is_told_once(house: House) -> None:
    services = house.services
    _, shen = await known(house)
    asked = await presence.ask(LI, services)
    chart = await own(house, shen)
    await presence.answer(asked.code, True, chart, shen, services)
    for yes in (True, False):
        again = presence.answer(asked.token, yes, chart, shen, services)
        assert await kind_of(again) is Kind.UNKNOWN
    assert await kind_of(presence.look(asked.token, shen, services)) is Kind.UNKNOWN
    assert (await presence.state(asked.token, LI, services)).state == "yes"
    assert (await presence.state(asked.token, LI, services)).state == "over"


async def test_of_yes_and_no_at_once_one_is_kept_and_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = house.services
    _, shen = await known(house)
    chart, asked = await own(house, shen), await presence.ask(LI, services)
    both, subjects = asyncio.Barrier(2), presence.subjects

    async def looked(*given: Any) -> Any:
        await both.wait()  # neither answers before the other has found the question open
        return await subjects(*given)

    monkeypatch.setattr(presence, "subjects", looked)
    said = await asyncio.gather(
        *(presence.answer(asked.token, yes, chart, shen, services) for yes in (True, False)),
        return_exceptions=True,
    )
    assert [one.kind for one in said if isinstance(one, Problem)] == [Kind.UNKNOWN]
    kept = "no" if isinstance(said[0], Problem) else "yes"
    assert (await presence.state(asked.token, LI, services)).state == kept
    assert await opens(house, chart, LI) is (kept == "yes")


async def test_no_opens_nothing_and_is_told(house: House) -> None:
    services = house.services
    chart, shen = await known(house)
    asked = await presence.ask(LI, services)
    await presence.answer(asked.token, False, await own(house, shen), shen, services)
    assert (await presence.state(asked.token, LI, services)).state == "no"
    assert not await opens(house, chart, LI)


async def test_a_photograph_of_the_screen_is_of_no_use_to_another(house: House) -> None:
    """Another person, another session of the same person, another organisation or purpose."""
    services = house.services
    _, shen = await known(house)
    asked = await presence.ask(LI, services)
    await presence.answer(asked.token, True, await own(house, shen), shen, services)
    for other in (
        replace(LI, user="dr-chen"),
        replace(LI, session="li-2"),
        replace(LI, organization="people"),
        replace(LI, purpose="COC"),
    ):
        assert (await presence.state(asked.token, other, services)).state == "over"
    assert (await presence.state(asked.token, LI, services)).state == "yes"


@ON_SQLITE
async def test_after_a_quarter_of_an_hour_nobody_asks_any_more(house: House) -> None:
    services = house.services
    chart, shen = await known(house)
    mine = await own(house, shen)
    asked = await presence.ask(LI, services)
    house.clock.at = asked.until - 3
    await presence.look(asked.token, shen, services)
    house.clock.at = asked.until
    assert await kind_of(presence.look(asked.token, shen, services)) is Kind.UNKNOWN
    assert await kind_of(presence.answer(asked.code, True, mine, shen, services)) is Kind.UNKNOWN
    assert (await presence.state(asked.token, LI, services)).state == "over"
    assert not await opens(house, chart, LI)


@ON_SQLITE
async def test_a_yes_that_was_not_picked_up_in_time_is_over(house: House) -> None:
    services = house.services
    _, shen = await known(house)
    asked = await presence.ask(LI, services)
    await presence.answer(asked.token, True, await own(house, shen), shen, services)
    house.clock.at += LIFE
    assert (await presence.state(asked.token, LI, services)).state == "over"


@ON_SQLITE
async def test_asking_again_ends_what_this_screen_asked_before_and_no_other(house: House) -> None:
    services = house.services
    _, shen = await known(house)
    first = await presence.ask(LI, services)
    elsewhere = await presence.ask(replace(LI, session="li-2"), services)
    second = await presence.ask(LI, services)
    assert await kind_of(presence.look(first.token, shen, services)) is Kind.UNKNOWN
    for one in (second, elsewhere):
        await presence.look(one.code, shen, services)


async def test_a_resident_answers_for_nobody_but_those_they_act_for(house: House) -> None:
    services = house.services
    await house.file(
        house.adt(CHILD, "0000000002", begun="2025-01-01T08:00", left="2025-01-01T09:00")
    )
    child = house.chart("0000000002")
    mother = await account(MOTHER, services)
    asked = await presence.ask(LI, services)
    for chart in (child, "", "ab" * 16):
        assert (
            await kind_of(presence.answer(asked.token, True, chart, mother, services))
            is Kind.REFUSED
        )

    right = await mandates.record(CHILD.number, guardian(mother.user), REGISTRAR, services)
    _, ward = await presence.subjects(mother, services)
    assert (ward.name, ward.own) == (CHILD.name, False)
    await presence.answer(asked.token, True, ward.chart, mother, services)
    assert await opens(house, child, LI)

    held = (await mandates.of_actor(mother.user, services))[0]
    for over in (
        mandates.stop(held.chart, right, "父母有争议", REGISTRAR, services),
        mandates.end(held.chart, right, REGISTRAR, services),
    ):
        await over
        again = await presence.ask(LI, services)
        late = presence.answer(again.token, True, ward.chart, mother, services)
        assert await kind_of(late) is Kind.REFUSED


@ON_SQLITE
@pytest.mark.parametrize("role", ["clinician", "registrar", "privacy", "auditor", ""])
async def test_only_residents_answer(house: House, role: str) -> None:
    services = house.services
    _, shen = await known(house)
    asked = await presence.ask(LI, services)
    other = replace(shen, role=role)
    assert await kind_of(presence.look(asked.token, other, services)) is Kind.REFUSED
    said = presence.answer(asked.token, True, await own(house, shen), other, services)
    assert await kind_of(said) is Kind.REFUSED


@ON_SQLITE
@pytest.mark.parametrize(
    "change",
    [{"role": "registrar"}, {"purpose": "PATRQT"}, {"purpose": ""}, {"session": ""}, {"user": ""}],
)
async def test_only_who_treats_at_a_screen_asks(house: House, change: dict[str, str]) -> None:
    assert await kind_of(presence.ask(replace(LI, **change), house.services)) is Kind.REFUSED


async def test_whoever_guesses_is_stopped_and_may_come_back_later(house: House) -> None:
    services = house.services
    _, shen = await known(house)
    for n in range(5):
        assert await kind_of(presence.look(f"ABCDEFG{n + 2}", shen, services)) is Kind.UNKNOWN
    asked = await presence.ask(LI, services)
    assert await kind_of(presence.look(asked.code, shen, services)) is Kind.THROTTLED
    house.clock.at += LIFE
    later = await presence.ask(LI, services)
    await presence.look(later.code, shen, services)


@ON_SQLITE
async def test_names_are_long_and_never_kept_as_they_are(house: House) -> None:
    services = house.services
    asked = await presence.ask(LI, services)
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", asked.token)  # 192 bits
    assert re.fullmatch(r"[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}", asked.code)
    (row,) = await services.db.read(Statement(select(tables.Presence.__table__)))  # type: ignore[attr-defined]
    for value in row:
        text = value if isinstance(value, bytes) else str(value).encode()
        for secret in (asked.token, asked.code, asked.code.replace("-", ""), LI.name):
            assert secret.encode() not in text


@ON_SQLITE
async def test_a_row_given_to_another_asker_shows_no_name_and_opens_nothing(house: House) -> None:
    services = house.services
    chart, shen = await known(house)
    asked = await presence.ask(LI, services)
    await presence.answer(asked.token, True, await own(house, shen), shen, services)

    def forge(tx: Any) -> None:
        table = tables.Relationship.__table__  # type: ignore[attr-defined]
        tx.run(Statement(table.update().values(organization="people")))

    await services.db.do(forge)
    assert not await opens(house, chart, replace(LI, organization="people"))


@ON_SQLITE
async def test_who_asked_and_what_was_answered_stands_in_the_log(house: House) -> None:
    services = house.services
    _, shen = await known(house)
    asked = await presence.ask(LI, services)
    await presence.answer(asked.token, True, await own(house, shen), shen, services)
    assert (await kinds(services)).count("presence") == 2


async def test_the_doctors_page_goes_on_to_the_results_of_whoever_said_yes(house: House) -> None:
    """The whole road over the portal's stories, without any number typed by the doctor."""
    services, told = house.services, stories(house.services)
    await house.file(
        house.adt(SHEN, event="A03", begun="2025-01-01T08:00", left="2025-01-02T08:00",
                  at="2025-01-02T08:00"),
        house.oru(SHEN),
    )  # fmt: skip
    shen = await account(SHEN, services)
    await house.sign()
    asked = await told.ask_presence(LI)
    question = await told.presence_question(asked.code, shen)
    assert question.organization == "云溪县中医医院"
    (mine,) = await told.presence_subjects(shen)
    await told.answer_presence(asked.code, True, mine.chart, shen)
    found = await told.presence_state(asked.token, LI)
    assert found.state == "yes"
    seen = await told.results(found.chart, LI)
    assert isinstance(seen, Results)
    assert [one.value for report in seen.reports for one in report.results] == ["62.40"]
