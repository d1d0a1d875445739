"""A map runs when two persons have said so, on every process, between two messages."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.errors import Kind, Problem
from gateway.exchange import comparing, releases
from gateway.portal.county import stories
from gateway.services.caller import OPERATOR
from gateway.services.maps import Maps, pack, unpack
from gateway.store import inbox, tables
from gateway.store import maps as rows
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import (
    AUTHORITY,
    LI,
    SHIPPED,
    WANG,
    ZHOU,
    FlakyDatabase,
    Office,
    office,
)
from tests.logged import kinds

BY_HAND = '"method" = "\'by hand\' | codeable_text"'
RELEASES = tables.MapRelease.__table__  # type: ignore[attr-defined]


@pytest.fixture
def here(house: House, tmp_path: Path) -> Office:
    return office(house, tmp_path / "sites")


async def events(here: Office) -> int:
    return (await kinds(here.services)).count("config")


async def state(here: Office, number: int) -> str:
    return (await releases.named(number, here.services)).state


async def methods(here: Office) -> list[Any]:
    found = await here.house.current("Observation")
    return [one.plain.get("method", {}).get("text") for one in found]


async def test_the_first_release_is_what_lay_in_the_folder_and_the_event_says_so(here: Office):
    number = await here.in_force()

    row = await releases.named(number, here.services)

    assert (row.state, row.proposed_by, row.decided_by) == ("in-force", "operator", "operator")
    assert row.hash == here.services.maps.draft("people").release
    assert await releases.adopt("people", OPERATOR, here.services) == number
    assert len(await releases.of_site("people", here.services)) == 1
    assert await events(here) >= 1


async def test_an_edited_file_changes_nothing_until_it_is_approved(here: Office):
    here.add_rule("Observation", BY_HAND)

    await here.house.file(here.house.adt(person()), here.house.oru(person(), report="R1"))
    assert await methods(here) == [None]

    await here.release()
    await here.house.file(here.house.oru(person(), report="R2"))
    assert sorted(map(str, await methods(here))) == ["None", "by hand"]


async def test_nobody_approves_their_own_proposal(here: Office):
    here.add_rule("Observation", BY_HAND)
    before = await here.in_force()
    number = await releases.propose("people", "methods", LI, here.services)

    with pytest.raises(Problem) as caught:
        await releases.approve(number, LI, here.services)

    assert caught.value.kind is Kind.REFUSED
    assert (await here.in_force(), await state(here, number)) == (before, "proposed")
    await releases.approve(number, WANG, here.services)
    assert await here.in_force() == number
    row = await releases.named(number, here.services)
    assert (row.proposed_by, row.decided_by) == ("li", "wang")
    assert await state(here, before) == "retired"


@pytest.mark.parametrize("who", [ZHOU, replace(WANG, role="auditor"), replace(WANG, user="")])
async def test_only_the_it_office_of_that_hospital_decides(here: Office, who: Any):
    here.add_rule("Observation", BY_HAND)
    number = await releases.propose("people", "methods", LI, here.services)

    for refused in (
        releases.approve(number, who, here.services),
        releases.refuse(number, who, here.services),
        releases.propose("people", "more", who, here.services),
        releases.derive("people", {}, "more", who, here.services),
    ):
        with pytest.raises(Problem) as caught:
            await refused
        assert caught.value.kind is Kind.REFUSED
    await releases.approve(number, AUTHORITY, here.services)


async def test_a_switch_reaches_every_process_between_two_messages(here: Office):
    """Two Services on one database, as two processes have them; neither is restarted."""
    other = replace(
        here.house,
        services=replace(
            here.services,
            maps=Maps(
                here.folder, here.services.settings.canonical, here.services.db, here.services.now
            ),
        ),
    )
    first = await here.in_force()
    await here.house.file(here.house.adt(person()))
    await other.file(here.house.oru(person(), report="R1"))
    here.add_rule("Observation", BY_HAND)
    number = await here.release()

    await other.file(here.house.oru(person(), report="R2"))

    assert (await other.services.maps.in_force("people")).number == number
    assert sorted(map(str, await methods(here))) == ["None", "by hand"]
    table = tables.Record.__table__  # type: ignore[attr-defined]
    found = await here.services.db.read(Statement(select(table.c.release).distinct()))
    assert {row[0] for row in found} == {first, number}


async def test_a_release_that_cannot_be_loaded_leaves_the_old_one_running(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person(), report="R1"))
    here.add_rule("Observation", BY_HAND)
    number = await releases.propose("people", "methods", LI, here.services)
    await here.services.db.do(
        lambda tx: tx.run(
            Statement(update(RELEASES).where(RELEASES.c.number == number).values(files=b"broken"))
        )
    )

    with pytest.raises(Problem):
        await releases.approve(number, WANG, here.services)
    # And should such a row be in force all the same:
    before = await here.in_force()
    await here.services.db.do(
        lambda tx: (
            tx.run(rows.RETIRE, "people", 1),
            tx.run(rows.DECIDE, number, "in-force", "wang", 1, 1),
        )
    )
    await here.house.file(here.house.oru(person(), report="R2"))
    await here.house.file(here.house.oru(person(), report="R3"))

    assert await methods(here) == [None, None, None]
    assert (await here.house.alarms()).count("map-release") == 1
    found = await here.house.current("Observation")
    assert len(found) == 3
    # A process that starts now has nothing to go on with: messages wait, none is lost.
    fresh = replace(
        here.services,
        maps=Maps(here.folder, "https://x.example/fhir", here.services.db, here.services.now),
    )
    with pytest.raises(Problem) as caught:
        await fresh.maps.get("people")
    assert caught.value.kind is Kind.BUSY
    await releases.approve(before, WANG, here.services)
    assert (await fresh.maps.in_force("people")).number == before


async def test_an_older_release_is_brought_back_by_approving_it_again(here: Office):
    first = await here.in_force()
    here.add_rule("Observation", BY_HAND)
    second = await here.release()

    await releases.approve(first, LI, here.services)

    assert await here.in_force() == first
    assert await state(here, second) == "retired"
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    assert await methods(here) == [None]
    with pytest.raises(Problem, match="in-force"):
        await releases.approve(first, LI, here.services)


async def test_what_was_refused_may_be_proposed_again_and_by_then_by_another(here: Office):
    here.add_rule("Observation", BY_HAND)
    number = await releases.propose("people", "methods", LI, here.services)
    await releases.refuse(number, WANG, here.services)
    with pytest.raises(Problem, match="refused"):
        await releases.approve(number, WANG, here.services)

    again = await releases.propose("people", "methods, agreed", WANG, here.services)

    assert again == number
    with pytest.raises(Problem):
        await releases.approve(number, WANG, here.services)
    await releases.approve(number, LI, here.services)
    assert await here.in_force() == number


async def test_the_same_files_are_one_release(here: Office):
    with pytest.raises(Problem) as caught:
        await releases.propose("people", "nothing", LI, here.services)
    assert caught.value.kind is Kind.CONFLICT


async def test_a_map_with_findings_is_no_proposal(here: Office):
    here.add_rule("Observation", '"method" = "OBX-17 | no_such_function"')

    with pytest.raises(Problem, match="mappings lint people") as caught:
        await releases.propose("people", "oops", LI, here.services)

    assert caught.value.kind is Kind.UNPROCESSABLE


async def test_a_row_can_be_changed_without_touching_the_folder(here: Office):
    path = "codes/lis_items.csv"
    running = await here.services.maps.get("people")
    row = "\nCP01,铜蓝蛋白,SER,2064-4,equivalent,g/L,approved,王敏,2026-03-02,\n".encode()

    number = await releases.derive(
        "people", {path: running.contents[path].rstrip() + row}, "铜蓝蛋白", LI, here.services
    )
    await releases.approve(number, WANG, here.services)
    await here.house.file(
        here.house.adt(person()), here.house.oru(person(), "0000000001", ("CP01", "0.25", "F"))
    )

    found = await here.house.only("Observation")
    assert found.plain["code"]["coding"][0]["code"] == "2064-4"
    report = comparing.decode((await releases.named(number, here.services)).report)
    assert [(one.path, one.added, one.removed) for one in report.files] == [(path, 1, 0)]
    assert here.services.maps.draft("people").release == running.release


@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_an_approval_whose_answer_was_lost_is_done_once_or_not_at_all(
    here: Office, lost: str
):
    here.add_rule("Observation", BY_HAND)
    before = await here.in_force()
    number = await releases.propose("people", "methods", LI, here.services)
    noted = await events(here)
    flaky = replace(here.services, db=FlakyDatabase(here.services.db, lost, 1))

    with pytest.raises(Problem, match="store"):
        await releases.approve(number, WANG, flaky)

    if lost == "question":
        assert (await here.in_force(), await events(here)) == (before, noted)
        await releases.approve(number, WANG, here.services)
    assert (await here.in_force(), await events(here)) == (number, noted + 1)


@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_a_proposal_whose_answer_was_lost_is_found_again(here: Office, lost: str):
    here.add_rule("Observation", BY_HAND)
    flaky = replace(here.services, db=FlakyDatabase(here.services.db, lost, 1))

    with pytest.raises(Problem, match="store"):
        await releases.propose("people", "methods", LI, flaky)

    if lost == "question":
        await releases.propose("people", "methods", LI, here.services)
    else:
        with pytest.raises(Problem, match="already"):
            await releases.propose("people", "methods", LI, here.services)
    assert len(await releases.of_site("people", here.services)) == 2


async def test_a_new_version_of_the_program_gives_the_same_files_a_number_of_their_own(
    here: Office, monkeypatch: pytest.MonkeyPatch
):
    first = await here.in_force()
    moved = Maps(here.folder, "https://moved.example/fhir", here.services.db, here.services.now)
    newer = replace(here.services, maps=moved)

    second = await releases.adopt("people", OPERATOR, newer)

    assert second != first
    assert (await moved.in_force("people")).number == second
    assert await releases.adopt("people", OPERATOR, newer) == second
    files = [(await here.services.db.read(rows.FILES, n))[0][2] for n in (first, second)]
    assert unpack(files[0]) == unpack(files[1])


async def test_a_source_whose_map_has_findings_is_alarmed_and_the_others_are_served(here: Office):
    for folder in SHIPPED.iterdir():
        if folder.name != "people":
            shutil.copytree(folder, here.folder / folder.name)
    await here.services.db.do(
        lambda tx: tx.run(Statement(RELEASES.delete()))  # as before there were releases
    )
    here.add_rule("Observation", '"method" = "OBX-17 | no_such_function"')

    failed = await releases.adopt_all(OPERATOR, here.services)
    again = await releases.adopt_all(OPERATOR, here.services)

    assert (failed, again) == (["people"], ["people"])
    assert (await here.house.alarms()).count("map-release") == 1
    assert await here.services.db.read(rows.IN_FORCE, "tcm")
    # What arrives meanwhile is kept and waits.
    (receipt,) = await here.house.send(here.house.adt(person()))
    await here.house.work()
    kept = inbox.RawRow(*(await here.services.db.read(inbox.RAW, receipt.id))[0])
    assert kept.state == "waiting"


async def test_the_portal_lists_what_its_office_looks_after_and_decides_for_it(here: Office):
    here.add_rule("Observation", BY_HAND)
    number = await releases.propose("people", "methods", LI, here.services)
    portal = stories(here.services)

    (mine, *_) = [one for one in await portal.releases(LI) if one.site == "people"]
    assert [(one.number, one.state, one.mine) for one in mine.releases] == [
        (number, "proposed", True),
        (mine.releases[1].number, "in-force", False),
    ]
    assert {one.site for one in await portal.releases(ZHOU)} & {"people"} == set()
    assert {"people", "tcm"} <= {one.site for one in await portal.releases(AUTHORITY)}
    with pytest.raises(Problem):
        await portal.releases(replace(LI, role="clinician"))
    with pytest.raises(Problem):
        await portal.decide_release(number, True, LI)
    await portal.decide_release(number, True, WANG)

    assert await here.in_force() == number


def test_files_come_back_as_they_were():
    files = {"oru.toml": b"x", "/base/adt.toml": b"\xff" * 1000}

    assert unpack(pack(files)) == files
    assert pack(dict(reversed(files.items()))) == pack(files)
    with pytest.raises(ValueError):
        unpack(b"x" + pack(files))


async def test_another_version_of_the_program_reads_what_is_in_force_again(here: Office):
    number = await here.in_force()
    older = Statement(
        update(RELEASES)
        .where(RELEASES.c.number == number)
        .values(engine="0", hash="read otherwise")
    )
    await here.services.db.do(lambda tx: tx.run(older))

    again = await releases.adopt("people", OPERATOR, here.services)

    assert again != number
    assert await here.in_force() == again
    assert await releases.adopt("people", OPERATOR, here.services) == again
    assert (await releases.named(number, here.services)).state == "retired"
