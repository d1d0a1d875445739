"""What auditors and IT offices are told over a real county, and what they are never told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlmodel import Session

from gateway.demo import story
from gateway.errors import Kind, Problem
from gateway.exchange.sequence import sequence
from gateway.portal.stories import AccessFilter
from gateway.services import Services
from tests.gateway.exchange.portal_county import (
    AUDITOR,
    CHEN,
    COLLEAGUE,
    LI,
    OFFICE,
    REASON,
    STRANGER,
    WANG,
    ZHOU,
    Town,
    town,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
async def here(services: Services) -> Town:
    return await town(services, "shen", "mistaken", "fang-elder", "fang-younger")


async def test_the_auditor_sees_who_looked_at_whom_newest_first(here: Town) -> None:
    await here.sign("shen")
    shown = await here.results("shen", LI)

    found = await here.portal.accesses(AccessFilter(number=here.number("shen").number), AUDITOR)

    assert (found.rows[0].kind, found.rows[0].actor) == ("audit-read", "赵若愚")
    mine = [row for row in found.rows if row.actor == "李明轩"]
    assert [row.kind for row in mine] == [
        "recognition-view", "everything", "search", "relationship-claim"
    ]  # fmt: skip
    claim = mine[-1]
    assert (claim.reason, claim.claimed, claim.role) == (REASON, True, "clinician")
    assert mine[1].shown is not None
    assert mine[1].shown >= sum(len(report.results) for report in shown.reports)
    assert len({row.person for row in found.rows}) == 1, "one person, one name"
    assert [row.at for row in found.rows] == sorted((r.at for r in found.rows), reverse=True)
    assert found.total == len(found.rows)


@ON_SQLITE
async def test_a_refusal_is_told_with_its_code(here: Town) -> None:
    await here.portal.open_resident(here.number("shen"), ZHOU, None)
    found = await here.portal.accesses(AccessFilter(outcome="deny"), AUDITOR)
    [row] = found.rows
    assert (row.actor, row.reason, row.shown) == ("周启明", "no-relationship", 0)


@ON_SQLITE
async def test_nothing_clinical_and_no_number_reaches_the_auditor(here: Town) -> None:
    await here.sign("shen")
    await here.results("shen", LI)
    told = repr(
        (
            await here.portal.accesses(AccessFilter(), AUDITOR),
            await here.portal.alarms(AUDITOR),
            await here.portal.verify(AUDITOR),
        )
    )
    resident = here.resident("shen")
    for secret in (resident.name, resident.number, *(seen.name for seen in story.SEEN)):
        assert secret not in told
    for seen in story.SEEN:
        if len(seen.value) > 3:
            assert f"'{seen.value}'" not in told


@ON_SQLITE
async def test_filters_narrow_and_pages_follow_each_other(here: Town) -> None:
    whole = await here.portal.accesses(AccessFilter(kind="filed"), AUDITOR)
    assert whole.total > 0
    assert {row.kind for row in whole.rows} == {"filed"}
    assert {row.organization for row in whole.rows} > {"云溪县人民医院"}
    one = await here.portal.accesses(AccessFilter(kind="filed", organization="people"), AUDITOR)
    assert {row.organization for row in one.rows} == {"云溪县人民医院"}
    assert one.total < whole.total
    today = here.pretend.today
    assert not (await here.portal.accesses(AccessFilter(until=today.replace(day=1)), AUDITOR)).rows
    assert (await here.portal.accesses(AccessFilter(kind="filed", page=99), AUDITOR)).rows == ()
    await here.portal.open_resident(here.number("shen"), ZHOU, None)
    for actor in ("dr-zhou", "周启明"):
        found = await here.portal.accesses(AccessFilter(actor=actor), AUDITOR)
        assert [row.actor for row in found.rows] == ["周启明"]


@ON_SQLITE
async def test_somebody_nobody_knows_was_looked_at_by_nobody(here: Town) -> None:
    found = await here.portal.accesses(AccessFilter(number=STRANGER), AUDITOR)
    assert found.rows == ()


@ON_SQLITE
async def test_a_hospitals_own_auditor_sees_its_own_people_only(here: Town) -> None:
    await here.portal.open_resident(here.number("shen"), ZHOU, None)
    await here.portal.open_resident(here.number("shen"), WANG, None)
    own = replace(AUDITOR, organization="people")
    found = await here.portal.accesses(AccessFilter(), own)
    assert {row.organization for row in found.rows} == {"云溪县人民医院"}
    with pytest.raises(Problem) as told:
        await here.portal.accesses(AccessFilter(organization="tcm"), own)
    assert told.value.kind is Kind.REFUSED
    await here.portal.open_resident(here.number("shen"), LI, REASON)
    assert "self-claim" not in {alarm.kind for alarm in await here.portal.alarms(own)}


async def test_an_alarm_tells_the_words_of_the_claim_that_raised_it(here: Town) -> None:
    await here.portal.open_resident(here.number("shen"), LI, "第一个理由：门诊复诊")
    await here.portal.open_resident(here.number("shen"), CHEN, "第二个理由：会诊")
    await here.portal.open_resident(here.number("mistaken"), ZHOU, "第三个理由：上门随访")

    found = [a for a in await here.portal.alarms(AUDITOR) if a.kind == "self-claim"]

    assert [(alarm.actor, alarm.words) for alarm in found] == [
        ("周启明", "第三个理由：上门随访"),
        ("陈思远", "第二个理由：会诊"),
        ("李明轩", "第一个理由：门诊复诊"),
    ]
    assert len({alarm.person for alarm in found}) == 2
    assert {a.source for a in await here.portal.alarms(AUDITOR) if a.kind == "wrong-patient"} == {
        "people-his"
    }


@ON_SQLITE
async def test_an_it_office_gets_its_sources_alarms_without_anybodys_words(here: Town) -> None:
    await here.portal.open_resident(here.number("shen"), LI, REASON)
    [alarm] = await here.portal.alarms(replace(OFFICE, organization="tcm"))
    assert (alarm.kind, alarm.organization) == ("self-claim", "云溪县中医医院")
    assert (alarm.words, alarm.actor, alarm.person) == ("", "", "")
    own = await here.portal.alarms(OFFICE)
    assert {one.organization for one in own} == {"云溪县人民医院"}


async def test_verifying_is_an_event_and_a_changed_entry_is_named(here: Town) -> None:
    good = await here.portal.verify(AUDITOR)
    assert (good.sound, good.signature) == (True, True)
    assert good.size > 0

    await sequence(here.services, "test")
    await here.services.db.session(_forge)
    bad = await here.portal.verify(AUDITOR)

    assert not bad.sound
    assert bad.first_failure is not None
    assert str(bad.first_failure) in bad.failures[0].zh
    assert (await here.events())["audit-verify"] == 2
    assert "log" in {alarm.kind for alarm in await here.portal.alarms(AUDITOR)}


def _forge(session: Session) -> None:
    """Somebody changes who did it."""
    session.execute(
        text("UPDATE audit_event SET actor = 'nobody' WHERE counter = 1 AND writer LIKE '%.file'")
    )


@ON_SQLITE
async def test_other_roles_are_refused_and_leave_no_event(here: Town) -> None:
    before = await here.events()
    for asked in (
        here.portal.accesses(AccessFilter(), OFFICE),
        here.portal.verify(LI),
        here.portal.alarms(LI),
        here.portal.sources(AUDITOR),
        here.portal.quarantine("", LI),
        here.portal.issues(AUDITOR),
        here.portal.replay("x", LI),
    ):
        with pytest.raises(Problem) as told:
            await asked
        assert told.value.kind is Kind.REFUSED
    assert await here.events() == before


async def test_an_alarm_is_settled_once_by_name_and_goes_behind_those_that_wait(
    here: Town,
) -> None:
    await here.portal.open_resident(here.number("shen"), LI, REASON)
    office = replace(OFFICE, organization="tcm")
    await here.portal.open_resident(here.number("mistaken"), LI, REASON)
    waiting = await here.portal.alarms(office)
    assert len(waiting) == 2
    assert all(one.mine and one.settled is None for one in waiting)
    before = await here.events()

    for _ in range(2):
        await here.portal.settle(waiting[0].id, office)

    found = await here.portal.alarms(office)
    assert [one.id for one in found] == [waiting[1].id, waiting[0].id]
    assert [one.settled is None for one in found] == [True, False]
    assert dict(await here.events() - before) == {"update": 1}


@ON_SQLITE
async def test_an_alarm_is_settled_by_whom_it_concerns_only(here: Town) -> None:
    [alarm] = [one for one in await here.portal.alarms(OFFICE) if one.kind == "wrong-patient"]
    stranger, clerk = replace(OFFICE, organization="tcm"), replace(OFFICE, organization="county")
    assert [one.mine for one in await here.portal.alarms(clerk) if one.id == alarm.id] == [False]
    for who, id, kind in (
        (stranger, alarm.id, Kind.UNKNOWN),
        (clerk, alarm.id, Kind.REFUSED),
        (LI, alarm.id, Kind.REFUSED),
        (OFFICE, 10**9, Kind.UNKNOWN),
    ):
        with pytest.raises(Problem) as told:
            await here.portal.settle(id, who)
        assert told.value.kind is kind
    assert all(one.settled is None for one in await here.portal.alarms(OFFICE))


@ON_SQLITE
async def test_the_authority_settles_what_concerns_no_hospital(here: Town) -> None:
    await sequence(here.services, "test")
    await here.services.db.session(_forge)
    await here.portal.verify(AUDITOR)
    [alarm] = [one for one in await here.portal.alarms(AUDITOR) if one.kind == "log"]
    assert alarm.mine
    await here.portal.settle(alarm.id, AUDITOR)
    again = [one for one in await here.portal.alarms(AUDITOR) if one.kind == "log"]
    assert [one.settled is not None for one in again] == [True]


# The IT office


@ON_SQLITE
async def test_the_office_sees_its_own_sources_and_a_sum_that_agrees(here: Town) -> None:
    mine = {one.name: one for one in await here.portal.sources(OFFICE)}
    assert set(mine) == {"people-his", "people-pacs"}
    source = mine["people-his"]
    assert source.organization == "云溪县人民医院"
    assert all(one.agrees for one in mine.values())
    assert source.received > 0
    everything = await here.portal.sources(replace(OFFICE, organization="county"))
    assert {one.name for one in everything} > set(mine)
    assert all(one.agrees for one in everything)


@ON_SQLITE
async def test_what_is_held_says_where_and_why_and_only_to_its_own_office(here: Town) -> None:
    held = await here.portal.quarantine("", OFFICE)
    assert held
    assert {one.source for one in held} == {"people-his"}
    assert all(issue.says.zh and issue.says.en for one in held for issue in one.issues)
    assert [one.arrived for one in held] == sorted(one.arrived for one in held)
    assert here.resident("mistaken").name not in repr(held)
    assert await here.portal.quarantine("people-his", replace(OFFICE, organization="tcm")) == ()


async def test_a_held_message_is_read_again_and_the_asker_is_noted(here: Town) -> None:
    [held, *_] = await here.portal.quarantine("", OFFICE)
    before = await here.events()

    assert await here.portal.replay(held.id, OFFICE) == "quarantined"

    assert dict(await here.events() - before) == {"update": 1, "quarantined": 1}
    assert [one.id for one in await here.portal.quarantine("", OFFICE)].count(held.id) == 1
    assert all(one.agrees for one in await here.portal.sources(OFFICE))
    with pytest.raises(Problem) as told:
        await here.portal.replay(held.id, replace(OFFICE, organization="tcm"))
    assert told.value.kind is Kind.UNKNOWN


@ON_SQLITE
async def test_issues_are_counted_by_place_whatever_the_repetition(here: Town) -> None:
    found = await here.portal.issues(OFFICE)
    assert found
    assert [one.messages for one in found] == sorted((o.messages for o in found), reverse=True)
    assert not any("[" in one.issue.place or "line" in one.issue.place for one in found)
    keys = [(one.source, one.issue.code, one.issue.place, one.issue.severity) for one in found]
    assert len(set(keys)) <= len(keys)


@ON_SQLITE
async def test_a_code_nobody_knows_is_decided_by_two_of_its_own_office(here: Town) -> None:
    waiting = {one.code: one for one in await here.portal.unmapped(False, OFFICE)}
    troponin = waiting["hs-cTnI"]
    best = troponin.suggestions[0]
    assert (best.cells["loinc"], troponin.unit) == ("89579-7", "ng/mL")
    assert "标本相符" in best.says.zh

    doubt = await here.portal.propose_code(troponin.id, {"loinc": "59826-8"}, False, OFFICE)
    assert doubt is not None
    assert doubt.zh.endswith("。")
    assert await here.portal.propose_code(troponin.id, best.cells, False, OFFICE) is None
    (mine,) = (one for one in await here.portal.unmapped(False, OFFICE) if one.state == "proposed")
    assert (mine.mine, mine.proposed_by) == (True, "it-office")
    with pytest.raises(Problem):
        await here.portal.approve_code(troponin.id, OFFICE)
    await here.portal.approve_code(troponin.id, COLLEAGUE)
    ana = waiting["ANA"]
    await here.portal.ignore_code(ana.id, "不做互认", COLLEAGUE)
    assert [one.reason for one in await here.portal.unmapped(True, OFFICE)] == ["不做互认"]
    await here.portal.reopen_code(ana.id, OFFICE)
    assert "hs-cTnI" not in {one.code for one in await here.portal.unmapped(False, OFFICE)}
