"""Folders that may be one person's, compared on paper: who sees them, what an answer does, and its undoing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import pairing
from gateway.exchange.pairing import Answer, Pair
from gateway.identity.matching import Tier
from gateway.services.caller import Caller
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person
from tests.gateway.exchange.test_identities import (
    AT_PEOPLE,
    AT_TCM,
    answer,
    events,
    grouped,
    seen,
    two_folders,
    visited,
)
from tests.gateway.exchange.test_joining import GONE, KEPT, LINKS, SHEN, said

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
# The same man without his card, by name, birth date and telephone: no rule is sure of that.
OLD = replace(SHEN, number="")
COLLEAGUE = replace(AT_PEOPLE, user="desk-people-2", name="second")


async def possible(house: House) -> Pair:
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await visited(house, OLD, GONE, "AST", "HAMA")
    return await only(house)


async def only(house: House, caller: Caller = AT_PEOPLE) -> Pair:
    [one] = (await pairing.worklist(1, caller, house.services)).pairs
    return one


async def say(
    house: House, told: Answer, one: Pair, caller: Caller = AT_PEOPLE, why: str = ""
) -> int:
    return await pairing.answer(one.id, told, one.mark, why, "见病历首页", caller, house.services)


async def again(house: House, one: Pair) -> Pair:
    return await pairing.pair(one.id, AT_PEOPLE, house.services)


async def trouble(work: object) -> Trouble:
    with pytest.raises(Problem) as caught:
        await work  # type: ignore[misc]
    return caught.value.kind


async def links(house: House) -> list[tuple[object, ...]]:
    """Every link as it stands."""
    return [tuple(row) for row in await house.services.db.read(LINKS)]


async def stands(house: House) -> tuple[object, ...]:
    """Persons, disputes and what is seen of each folder; without epochs, which only rise."""
    groups = {chart: row[:2] for chart, row in (await grouped(house)).items()}
    return groups, await seen(house), await seen(house, mrn=GONE), await house.state()


async def test_a_pair_the_rule_is_not_sure_of_waits_for_who_has_both_folders(house: House) -> None:
    one = await possible(house)
    assert (one.state, one.match.tier, one.open) == ("possible", Tier.POSSIBLE, True)
    assert {side.facts.number for side in one.sides} == {SHEN.number, ""}
    assert all(side.records > 3 and side.newest >= side.opened for side in one.sides)
    await house.again()
    assert await only(house) == one, "asked once"
    assert await only(house, REGISTRAR) == one
    assert (await pairing.worklist(1, AT_TCM, house.services)).total == 0
    assert await trouble(pairing.pair(one.id, AT_TCM, house.services)) is Trouble.UNKNOWN
    assert await trouble(pairing.pair(one.id + 9, AT_PEOPLE, house.services)) is Trouble.UNKNOWN
    for caller in (clinician(), replace(AT_PEOPLE, role="it")):
        assert await trouble(pairing.worklist(1, caller, house.services)) is Trouble.REFUSED
    assert {"page": "list"} in await events(house, Kind.IDENTITY_REVIEW)


async def test_one_person_on_paper_is_a_hospitals_word_and_taken_back_leaves_no_trace(
    house: House,
) -> None:
    one = await possible(house)
    await house.sign(mrn=KEPT)
    before, written = await stands(house), await links(house)

    assert await say(house, "one", one) == 0

    assert {person for person, _, _ in (await grouped(house)).values()} == {
        min(await grouped(house))
    }
    assert len({identity for _, identity, _ in (await grouped(house)).values()}) == 2
    assert "AST" in await seen(house)
    found = await pairing.worklist(1, AT_PEOPLE, house.services)
    assert (found.total, [each.id for each in found.lately]) == (0, [one.id])
    told = await again(house, one)
    assert (told.state, told.open, told.undoable) == ("joined", False, True)
    assert told.answers[0].said.note == "见病历首页"
    details = {"rule": "papers", "answer": "one", "link": str(one.id), "why": ""}
    assert details in await events(house, Kind.LINK)

    assert await say(house, "undone", told, COLLEAGUE) == one.id

    assert (await stands(house), await links(house)) == (before, written)
    assert details | {"answer": "undone"} in await events(house, Kind.UNLINK)
    assert (await only(house)).open


@pytest.mark.parametrize("kind", ["possible", "merge", "contradicted"])
async def test_two_persons_is_said_once_for_all_but_can_be_taken_back(
    house: House, kind: str
) -> None:
    if kind == "possible":
        await possible(house)
    elif kind == "merge":
        await two_folders(house)
        await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    else:
        await visited(house, SHEN, KEPT, "ALT", "HAMD")
        await visited(house, person("other", "李四", date(1990, 5, 5)), GONE, "AST", "HAMA")
        await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    one = await only(house)
    assert one.state == kind
    await house.sign(mrn=KEPT)
    before, written = await stands(house), await links(house)

    await say(house, "two", one)

    charts = await grouped(house)
    assert {chart: person for chart, (person, _, _) in charts.items()} == {c: c for c in charts}
    assert await seen(house) == {"ALT"}
    await house.again()
    assert (await pairing.worklist(1, AT_PEOPLE, house.services)).total == 0, "never asked again"
    told = await again(house, one)
    assert told.state == "parted"
    await say(house, "undone", told)
    assert (await stands(house), await links(house)) == (before, written)
    changes = Kind.LINK if kind == "merge" else Kind.IDENTITY_REVIEW
    assert "undone" in {one.get("answer") for one in await events(house, changes)}


@ON_SQLITE
async def test_of_a_merge_that_stands_taking_one_person_back_parts_nothing(house: House) -> None:
    await two_folders(house)
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    one = await only(house)
    before = await stands(house)
    await say(house, "one", one)
    await say(house, "undone", await again(house, one))
    assert await stands(house) == before
    assert await events(house, Kind.UNLINK) == []
    told = [each.get("answer") for each in await events(house, Kind.IDENTITY_REVIEW)]
    assert told.count("undone") == 1


@ON_SQLITE
async def test_of_a_merge_the_papers_answer_the_list_and_the_resident_the_desk(
    house: House,
) -> None:
    await two_folders(house)
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    one = await only(house)
    before = await grouped(house)
    await say(house, "one", one)
    assert {c: r[:2] for c, r in (await grouped(house)).items()} == {
        c: r[:2] for c, r in before.items()
    }
    assert (await pairing.worklist(1, AT_PEOPLE, house.services)).total == 0
    await answer(house, "one")
    told = await again(house, one)
    assert not told.undoable, "the resident has said so since"
    assert await trouble(say(house, "undone", told)) is Trouble.CONFLICT


@ON_SQLITE
async def test_what_cannot_be_answered_is_refused_in_words(house: House) -> None:
    one = await possible(house)
    assert await trouble(say(house, "later", one)) is Trouble.UNPROCESSABLE
    assert await trouble(say(house, "undone", one)) is Trouble.CONFLICT
    assert await trouble(say(house, "one", one, clinician())) is Trouble.REFUSED
    assert await trouble(say(house, "one", one, AT_TCM)) is Trouble.UNKNOWN
    await say(house, "later", one, why="papers")
    off = await only(house)
    assert (off.open, off.answers[0].said.why) == (True, "papers")
    assert (await pairing.worklist(1, AT_PEOPLE, house.services)).put_off == 1
    await house.file(said("A37", KEPT, GONE, "2026-02-22T08:00"))
    assert await trouble(say(house, "one", off)) is Trouble.CONFLICT, "the hospital was quicker"
    assert (await pairing.worklist(1, AT_PEOPLE, house.services)).total == 0


async def test_of_two_answers_at_once_one_wins_and_the_other_is_told(house: House) -> None:
    one = await possible(house)
    came = await asyncio.gather(
        say(house, "one", one), say(house, "two", one, COLLEAGUE), return_exceptions=True
    )
    [lost] = [each for each in came if isinstance(each, Problem)]
    assert (lost.kind, lost.place) == (Trouble.CONFLICT, "pair")
    assert len((await again(house, one)).answers) == 1


@ON_SQLITE
async def test_a_list_is_paged_and_an_answer_leads_to_the_next(house: House) -> None:
    for number in range(7):  # each may be each other: 21 pairs
        await house.file(
            house.adt(SHEN if number == 0 else OLD, f"9{number:09}", visit=f"W{number}")
        )
    first = await pairing.worklist(1, AT_PEOPLE, house.services)
    second = await pairing.worklist(2, AT_PEOPLE, house.services)
    beyond = await pairing.worklist(99, AT_PEOPLE, house.services)
    ids = [one.id for one in (*first.pairs, *second.pairs)]
    assert len(set(ids)) == len(ids) > 0
    assert (first.total, len(second.pairs), beyond) == (21, 1, second)
    assert await say(house, "later", first.pairs[0], why="other") == ids[1]
    assert (await pairing.worklist(1, AT_PEOPLE, house.services)).pairs[0].id == ids[1]
    # A card of 18 digits comes after all: the rule answers by itself.
    await house.file(house.adt(SHEN, "9000000001", event="A08", visit="W1", at="2026-02-22T08:00"))
    left = await pairing.worklist(1, AT_PEOPLE, house.services)
    assert left.total < first.total
