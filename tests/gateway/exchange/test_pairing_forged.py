"""A hospital sends what it likes about numbers, names and telephones, between somebody's look and answer too."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from gateway.errors import Kind as Trouble
from gateway.exchange import pairing
from gateway.exchange.filing_person import MOST_ALIKE
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.test_identities import AT_PEOPLE, seen, two_folders
from tests.gateway.exchange.test_joining import GONE, KEPT, LINKS, SHEN, said
from tests.gateway.exchange.test_pairing import (
    OLD,
    ON_SQLITE,
    again,
    only,
    possible,
    say,
    trouble,
)
from tests.gateway.exchange.test_relations import bundle

OTHER = person("other", "王珅", date(1982, 2, 2))


async def corrected(house: House) -> None:
    """The second folder gets another person's number."""
    moved = house.adt(OTHER, GONE, event="A08", visit="V8", at="2026-02-22T08:00")
    assert await house.file(moved) == ["filed"]


async def test_taking_an_answer_back_joins_no_folders_that_carry_two_numbers_by_now(
    house: House,
) -> None:
    await two_folders(house)
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    await say(house, "two", await only(house))
    await corrected(house)
    await house.sign(mrn=KEPT)

    await say(house, "undone", await again_by_id(house))

    one = await again_by_id(house)
    assert (one.state, one.open) == ("contradicted", True)
    assert await seen(house) == set(), "in dispute, as the hospital's word would be"


async def again_by_id(house: House) -> pairing.Pair:
    [row] = await house.services.db.read(LINKS)
    return await pairing.pair(row[0], AT_PEOPLE, house.services)


@ON_SQLITE
async def test_nobody_answers_that_two_numbers_are_one_person(house: House) -> None:
    one = await possible(house)
    await say(house, "two", one)
    await corrected(house)
    await say(house, "undone", await again(house, one))
    now = await again(house, one)
    assert (now.state, now.two_numbers) == ("possible", True)
    assert await trouble(say(house, "one", now)) is Trouble.UNPROCESSABLE


async def test_an_answer_is_about_what_the_folders_said_when_they_were_compared(
    house: House,
) -> None:
    one = await possible(house)
    other = replace(OLD, name="王坤坤")
    await house.file(house.adt(other, GONE, event="A08", visit="V8", at="2026-02-22T08:00"))
    assert await trouble(say(house, "one", one)) is Trouble.CONFLICT


@ON_SQLITE
async def test_folders_all_alike_do_not_fill_the_list_with_every_pair_of_them(
    house: House,
) -> None:
    many = MOST_ALIKE + 6
    for number in range(many):
        await house.file(house.adt(OLD, f"9{number:09}", visit=f"W{number}"))
    found = await pairing.worklist(1, AT_PEOPLE, house.services)
    assert (
        found.total
        <= many * MOST_ALIKE - MOST_ALIKE * (MOST_ALIKE + 1) // 2
        < many * (many - 1) / 2
    )
    assert found.total > MOST_ALIKE


def elsewhere(name: str) -> bytes:
    """A folder at another hospital, made up by its interface: a name, a birth date, a telephone."""
    whole = json.loads(bundle())
    patient = whole["entry"][1]["resource"]
    patient["name"] = [{"text": name}]
    patient["telecom"] = [{"system": "phone", "value": SHEN.phone}]
    patient["identifier"] = patient["identifier"][:1]
    return json.dumps(whole).encode()


@pytest.mark.parametrize("name", [SHEN.name, "无此人"])
@ON_SQLITE
async def test_a_hospital_learns_nothing_of_folders_elsewhere_by_sending_a_name(
    house: House, name: str
) -> None:
    await house.file(house.adt(SHEN, KEPT))
    before = await house.issues()
    assert await house.file(elsewhere(name), source="mch-fhir") == ["filed"]
    assert ("note", "possible-same-person") not in await house.issues(), before
    assert len(await house.services.db.read(LINKS)) == (name == SHEN.name), "the county compares"


async def test_answers_elsewhere_push_none_of_a_houses_own_off_its_list(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "PAGE", 1)
    at_mch = replace(AT_PEOPLE, organization="mch", user="desk-mch")
    first = elsewhere(SHEN.name)
    second = first.replace(b"M1", b"M2").replace(b'"H2026', b'"H2027')
    assert await house.file(first, second, source="mch-fhir") == ["filed", "filed"]
    theirs = await only(house, at_mch)
    await say(house, "two", theirs, at_mch)
    ours = await possible(house)
    await say(house, "two", ours)
    for caller, own in ((AT_PEOPLE, ours), (at_mch, theirs)):
        found = await pairing.worklist(1, caller, house.services)
        assert [one.id for one in found.lately] == [own.id], caller.organization
        assert (found.total, found.before) == (0, 0)
    assert await trouble(pairing.pair(theirs.id, AT_PEOPLE, house.services)) is Trouble.UNKNOWN
