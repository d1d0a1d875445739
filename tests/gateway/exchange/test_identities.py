"""Two folders that a hospital joined: what was refused binds both, what opens waits for the resident."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from consent.fhir import Choice
from gateway.demo.residents import Resident
from gateway.errors import Kind, Problem
from gateway.exchange import ask, claims, consents, identities, looked
from gateway.exchange.event_bodies import bodies
from gateway.exchange.identities import Pending
from gateway.identity.systems import RESIDENT_ID
from gateway.records.query import Query
from gateway.services.caller import Caller
from gateway.store import oversight as listed
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import account
from tests.gateway.exchange.test_joining import GONE, KEPT, SHEN, UNKNOWN, said

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PSYCHIATRY = "0601^精神心理科"
OTHER = person("other", "李四", date(1990, 5, 5), sex="female")
AT_PEOPLE = replace(REGISTRAR, client="portal", organization="people", user="desk-people")
AT_TCM = replace(AT_PEOPLE, organization="tcm", user="desk-tcm")
DR_LI = clinician("dr-li", "tcm")


async def visited(house: House, who: Resident, mrn: str, general: str, closed: str) -> None:
    """Two results on a folder of the people's hospital: an ordinary one and a psychiatric one."""
    visit = "V" + mrn
    states = await house.file(
        house.adt(who, mrn, visit=visit),
        house.oru(who, mrn, (general, "62.40", "F"), report="R" + mrn, visit=visit),
        house.adt(who, mrn, visit="P" + mrn, clinic=PSYCHIATRY),
        house.oru(
            who, mrn, (closed, "21", "F"), report="P" + mrn, visit="P" + mrn, clinic=PSYCHIATRY
        ),
    )
    assert set(states) == {"filed"}


async def two_folders(house: House) -> None:
    """The same man's, it is said: ALT and HAMD under his number, AST and HAMA under none."""
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await visited(house, UNKNOWN, GONE, "AST", "HAMA")


async def merge(house: House, event: str = "A40", at: str = "2026-02-21T08:00") -> None:
    assert await house.file(said(event, KEPT, GONE, at)) == ["filed"]


async def seen(house: House, caller: Caller = DR_LI, mrn: str = KEPT) -> set[str]:
    """The items somebody is shown of the person of a folder; a doctor declares that they treat."""
    chart = house.chart(mrn)
    if caller.role == "clinician":
        why = "急诊抢救室接诊，尚未建档"
        await ask.settled(lambda: claims.claim_where_lacking(chart, why, caller, house.services))
    page = await ask.search(Query("Observation", patient=chart, count=50), caller, house.services)
    items = {"ALT", "AST", "HAMD", "HAMA"}
    return {item for item in items if any(item.encode() in one.text for one in page.records)}


async def pending(house: House, caller: Caller = AT_PEOPLE) -> tuple[Pending, ...]:
    return await identities.pending(RESIDENT_ID, SHEN.number, caller, house.services)


async def answer(
    house: House, said: identities.Answer, caller: Caller = AT_PEOPLE, id: int | None = None
) -> None:
    if id is None:
        [one] = await pending(house)
        id = one.id
    await identities.answer(id, said, RESIDENT_ID, SHEN.number, caller, house.services)


async def grouped(house: House) -> dict[str, tuple[str, str, int]]:
    """(person, identity, epoch) by folder."""
    rows = [row for mrn in (KEPT, GONE) for row in (await house.grounds(house.chart(mrn))).charts]
    return {row.id: (row.person, row.identity, row.epoch) for row in rows}


async def events(house: House, kind: str) -> list[dict[str, str]]:
    page = await house.services.db.session(listed.events, listed.Narrow(kind=kind), 0, 100)
    found = await bodies(page.rows, house.services)
    return [dict(one.details) for one in found if one is not None]


async def refused(work: Any) -> Kind:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind


async def test_a_permit_of_one_folder_takes_no_refusal_of_the_other_back_until_confirmed(
    house: House,
) -> None:
    await two_folders(house)
    await house.sign(Choice.REFUSE_ALL, GONE, at="2026-02-01T10:00:00+08:00")
    await house.sign(Choice.PERMIT_TREATMENT, KEPT, at="2026-02-02T10:00:00+08:00")
    assert await seen(house) == {"ALT"}
    before = await grouped(house)
    await merge(house)
    after = await grouped(house)
    assert await seen(house) == set(), (
        "the refusal binds both, the later permit is not its writer's"
    )
    assert {person for person, _, _ in after.values()} == {min(after)}
    assert {identity for _, identity, _ in after.values()} == set(after)
    assert all(after[chart][2] > before[chart][2] for chart in after)

    await answer(house, "one")
    told = await grouped(house)
    assert {identity for _, identity, _ in told.values()} == {min(told)}
    assert all(told[chart][2] > after[chart][2] for chart in told)
    assert await seen(house) == {"ALT", "AST"}, "one person's later word on their earlier one"
    assert await pending(house) == ()


async def test_a_permit_of_protected_records_reaches_the_other_folder_only_when_confirmed(
    house: House,
) -> None:
    await two_folders(house)
    more = {"category": "PSY", "recipients": ("Organization/tcm",)}
    await house.sign(Choice.PERMIT_TREATMENT, KEPT)
    await house.sign(Choice.PERMIT_CATEGORY, KEPT, at="2026-02-02T10:00:00+08:00", **more)
    assert await seen(house) == {"ALT", "HAMD"}
    await merge(house)
    assert await seen(house) == {"ALT", "HAMD", "AST"}
    await answer(house, "one")
    assert await seen(house) == {"ALT", "HAMD", "AST", "HAMA"}
    await merge(house, "A37", "2026-02-22T08:00")
    assert await seen(house) == {"ALT", "HAMD"}
    await merge(house, "A40", "2026-02-23T08:00")
    assert await seen(house) == {"ALT", "HAMD", "AST"}, "said anew, it is to be confirmed anew"


async def test_a_refusal_made_on_either_folder_after_a_merge_binds_both_at_once(
    house: House,
) -> None:
    await two_folders(house)
    await house.sign(Choice.PERMIT_TREATMENT, KEPT)
    await merge(house)
    assert await seen(house) == {"ALT", "AST"}
    await house.sign(Choice.REFUSE_ALL, GONE, at="2026-02-03T10:00:00+08:00")
    assert await seen(house) == set()
    await answer(house, "two")
    assert await seen(house) == {"ALT"}, "parted, each is what it was"
    assert await seen(house, mrn=GONE) == set()


@pytest.mark.parametrize("event", ["A24", "A34"])
@ON_SQLITE
async def test_the_persons_own_account_reads_only_what_is_surely_theirs(
    house: House, event: str
) -> None:
    await two_folders(house)
    mine = await account(SHEN, house.services)
    await house.sign(Choice.REFUSE_ALL, GONE)
    [theirs] = await consents.on_file(house.chart(GONE), REGISTRAR, house.services)
    await merge(house, event)
    assert await seen(house, mine) == {"ALT", "HAMD"}

    asked = house.services.now()

    async def earlier() -> set[str]:
        """What was done with their records before the desk asked them."""
        page = await looked.looks(house.chart(KEPT), None, mine, house.services)
        visits = (*page.people, *page.program)
        return {one.ref for visit in visits for one in visit.looks if one.at < asked}

    before = await earlier()
    signed = await consents.on_file(house.chart(KEPT), mine, house.services)
    assert theirs.id not in {one.id for one in signed}
    assert await refused(consents.read(theirs.id, mine, house.services)) is Kind.UNKNOWN
    await answer(house, "one")
    assert await seen(house, mine) == {"ALT", "HAMD", "AST", "HAMA"}
    assert await earlier() > before
    signed = await consents.on_file(house.chart(KEPT), mine, house.services)
    assert theirs.id in {one.id for one in signed}


async def test_the_countys_own_rule_proves_it_in_any_order(house: House) -> None:
    """The number comes to the second folder before the merge or after it: no question is asked."""
    number = replace(UNKNOWN, name=SHEN.name, born=SHEN.born, number=SHEN.number)
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await visited(house, UNKNOWN, GONE, "AST", "HAMA")
    await merge(house)
    assert len(await pending(house)) == 1
    await house.file(house.adt(number, GONE, event="A08", visit="V9", at="2026-02-22T08:00"))
    assert await pending(house) == ()
    found = await grouped(house)
    assert {identity for _, identity, _ in found.values()} == {min(found)}
    await merge(house, "A40", "2026-02-23T08:00")
    assert await grouped(house) == found, "said again, it proves no less"


@ON_SQLITE
async def test_only_the_hospitals_own_desk_and_the_countys_are_told_and_may_answer(
    house: House,
) -> None:
    await two_folders(house)
    await merge(house)
    [one] = await pending(house)
    assert [(f.facts.name, f.facts.number) for f in sorted(one.folders, key=lambda f: f.chart)] == [
        (who.name, who.number)
        for _, who in sorted(((house.chart(KEPT), SHEN), (house.chart(GONE), UNKNOWN)))
    ]
    assert (one.organization, one.contradicted) == ("people", False)
    assert await pending(house, REGISTRAR) == (one,)
    assert await pending(house, AT_TCM) == ()
    assert await refused(pending(house, DR_LI)) is Kind.REFUSED
    assert await refused(answer(house, "one", AT_TCM, one.id)) is Kind.UNKNOWN
    assert await refused(answer(house, "one", AT_PEOPLE, one.id + 1)) is Kind.UNKNOWN
    stranger = identities.answer(
        one.id, "one", RESIDENT_ID, OTHER.number, AT_PEOPLE, house.services
    )
    assert await refused(stranger) is Kind.UNKNOWN
    await answer(house, "one", REGISTRAR)
    told = {"rule": "resident", "answer": "one", "link": str(one.id)}
    assert told in await events(house, "link")
    assert await refused(answer(house, "two", AT_PEOPLE, one.id)) is Kind.UNKNOWN


@ON_SQLITE
async def test_what_the_resident_parted_no_message_joins_and_each_is_told_in_the_log(
    house: House,
) -> None:
    await two_folders(house)
    await merge(house)
    [one] = await identities.waiting("people", house.services)
    assert await identities.waiting("tcm", house.services) == ()
    await answer(house, "two")
    assert {"rule": "resident", "answer": "two", "link": str(one.id)} in await events(
        house, "unlink"
    )
    assert await identities.waiting("", house.services) == ()
    assert await house.file(said("A40", KEPT, GONE, "2026-02-24T08:00")) == ["quarantined"]
    found = await grouped(house)
    assert {chart: person for chart, (person, _, _) in found.items()} == {
        chart: chart for chart in found
    }


async def test_a_merge_that_the_folders_contradict_is_a_dispute_until_somebody_decides(
    house: House,
) -> None:
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await visited(house, OTHER, GONE, "AST", "HAMA")
    await house.sign(mrn=KEPT)
    assert await seen(house) == {"ALT"}
    assert await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00")) == ["quarantined"]
    disputed = await grouped(house)
    assert await seen(house) == set()
    assert await seen(house, clinician()) == set(), "not even where it was written"
    await house.again()
    assert await grouped(house) == disputed, "said again, it is the same dispute"
    [one] = await pending(house)
    assert one.contradicted
    assert await refused(answer(house, "one")) is Kind.UNPROCESSABLE
    await answer(house, "two")
    assert await seen(house) == {"ALT"}
    await house.file(said("A40", KEPT, GONE, "2026-02-24T08:00"))
    assert await seen(house) == {"ALT"}, "a person has decided: it is held, and nothing else"


@ON_SQLITE
@pytest.mark.parametrize("late", [False, True])
async def test_the_hospital_ends_a_dispute_by_taking_the_merge_back(
    house: House, late: bool
) -> None:
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await visited(house, OTHER, GONE, "AST", "HAMA")
    await house.sign(mrn=KEPT)
    steps = [
        said("A40", KEPT, GONE, "2026-02-21T08:00"),
        said("A37", KEPT, GONE, "2026-02-22T08:00"),
    ]
    await house.file(*(reversed(steps) if late else steps))
    assert await seen(house) == {"ALT"}
    assert await pending(house) == ()
