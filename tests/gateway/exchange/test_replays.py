"""Kept messages read again under a release: only differences are written, and nothing newer is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from gateway.errors import Kind, Problem
from gateway.exchange import filing, releases, replays
from gateway.jobs.worker import Worker
from gateway.services.caller import OPERATOR
from gateway.store import inbox, tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import LI, WANG, ZHOU, FlakyDatabase, Office, office

BY_HAND = '"method" = "\'by hand\' | codeable_text"'
RECORDS = tables.Record.__table__  # type: ignore[attr-defined]
COUNT = Statement(select(func.count()).select_from(RECORDS))


@pytest.fixture
def here(house: House, tmp_path: Path) -> Office:
    return office(house, tmp_path / "sites")


async def versions(here: Office) -> int:
    return int((await here.services.db.read(COUNT))[0][0])


async def observation(here: Office) -> Any:
    return (await here.house.only("Observation")).plain


async def test_a_changed_rule_makes_new_versions_of_the_same_ids_and_of_nothing_else(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    before = {one.id: one for one in await here.house.current()}
    first = await here.in_force()
    here.add_rule("Observation", BY_HAND)
    number = await here.release()

    row = await here.replay()

    after = {one.id: one for one in await here.house.current()}
    changed = [one for id, one in after.items() if id not in before or one != before[id]]
    assert sorted(one.type for one in changed) == ["Observation", "Provenance"]
    (seen,) = (one for one in changed if one.type == "Observation")
    assert (seen.version, before[seen.id].version) == (2, 1)
    assert seen.plain["method"]["text"] == "by hand"
    assert (row.total, row.done, row.changed, row.state) == (2, 2, 2, "done")
    assert replays.tally_of(row).types == {"Observation": 1, "Provenance": 1}
    kept = await here.services.db.read(
        Statement(select(RECORDS.c.id, RECORDS.c.version, RECORDS.c.release))
    )
    assert {(r[1], r[2]) for r in kept if r[0] == seen.id} == {(1, first), (2, number)}


async def test_the_provenance_says_remapped_and_the_first_one_stays(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    first = {one.id for one in await here.house.current("Provenance")}
    here.add_rule("Observation", BY_HAND)
    await here.release()
    await here.replay()

    told = await here.house.current("Provenance")

    assert first < {one.id for one in told}
    (new,) = (one.plain for one in told if one.id not in first)
    assert new["activity"]["text"] == "remapped"
    assert new["activity"]["coding"][0]["code"] == "UPDATE"
    running = (await here.services.maps.in_force("people")).map
    assert new["policy"] == [f"{running.source.base_url}/map-release/{running.release}"]
    seen = await here.house.only("Observation")
    assert f"Observation/{seen.id}" in [one["reference"] for one in new["target"]]


async def test_a_second_replay_finds_nothing_to_write(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    here.add_rule("Observation", BY_HAND)
    await here.release()
    await here.replay()
    before = await versions(here)

    row = await here.replay()

    assert (row.changed, replays.tally_of(row).changed, await versions(here)) == (0, 0, before)


async def test_a_replay_under_the_same_release_writes_nothing(here: Office):
    await here.house.file(
        here.house.adt(person(), mrn="0000000001"),
        here.house.oru(person()),
        here.house.oru(person(), "0000000001", ("ALT", "70", "C"), at="2026-02-20T11:00"),
        here.house.adt(person(), event="A08", at="2026-02-21T08:00", clinic="0101^呼吸内科"),
    )
    before, state = await versions(here), await here.house.state()

    row = await here.replay()

    assert row.changed == 0
    assert (await versions(here), await here.house.state()) == (before, state)


async def test_a_dry_run_writes_nothing_and_says_what_would_be(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    here.add_rule("Observation", BY_HAND)
    number = await releases.propose("people", "methods", LI, here.services)
    before = await versions(here)

    # Dry also under a release that is only proposed.
    row = await here.replay(dry=True, release=number)

    assert replays.tally_of(row).types == {"Observation": 1, "Provenance": 1}
    assert (row.state, await versions(here)) == ("done", before)
    with pytest.raises(Problem) as caught:
        await here.replay(release=number)
    assert caught.value.kind is Kind.CONFLICT


async def test_a_message_read_again_never_overrides_a_later_one(here: Office):
    """Though under the new map its clock is the later one: the map reads the message's own time."""
    late = here.house.oru(person(), "0000000001", ("ALT", "1.10", "F"), at="2026-02-20T10:00")
    late = late.replace(b"20260220100000||ORU", b"20260225100000||ORU", 1)
    await here.house.file(
        here.house.adt(person()),
        late,
        here.house.oru(person(), "0000000001", ("ALT", "2.20", "C"), at="2026-02-20T11:00"),
    )
    assert (await observation(here))["valueQuantity"]["value"] == 2.2
    here.add_rule("Observation", 'clock = "MSH-7"')
    here.add_rule("Observation", BY_HAND)
    await here.release()

    await here.replay()

    seen = await observation(here)
    assert (seen["valueQuantity"]["value"], seen["method"]["text"]) == (2.2, "by hand")


async def test_what_was_withdrawn_by_a_later_message_stays_withdrawn(here: Office):
    await here.house.file(
        here.house.adt(person()),
        here.house.oru(person(), "0000000001", ("ALT", "1.10", "F")),
        here.house.oru(person(), "0000000001", ("ALT", "", "D"), at="2026-02-20T11:00"),
    )
    assert (await observation(here))["status"] == "entered-in-error"
    here.add_rule("Observation", BY_HAND)
    await here.release()

    await here.replay()

    seen = await observation(here)
    assert seen["status"] == "entered-in-error"


async def test_a_withdrawal_that_a_new_map_reads_otherwise_stays_all_the_same(here: Office):
    await here.house.file(
        here.house.adt(person()), here.house.oru(person(), "0000000001", ("ALT", "1.1", "D"))
    )
    assert (await observation(here))["status"] == "entered-in-error"
    here.add_rule("Observation", '"status" = "\'final\' | must"')
    await here.release()

    await here.replay()

    assert (await observation(here))["status"] == "entered-in-error"
    assert ("note", "withdrawn-stays") in await here.house.issues()


async def test_a_patch_is_laid_over_what_stood_before_its_message(here: Office):
    """An element the new map does not make any more goes; what others said stays."""
    await here.house.file(
        here.house.adt(person(), diagnosis=""),
        here.house.adt(person(), event="A08", at="2026-02-21T08:00", clinic="0101^呼吸内科"),
    )
    visit = (await here.house.only("Encounter")).plain
    assert visit["serviceType"]["coding"][0]["code"] == "0101"
    before = await versions(here)
    here.edit("[Encounter]", '[Encounter]\n"serviceType.text" = "\'clinic\'"', "adt.toml")
    await here.release()

    await here.replay()

    again = (await here.house.only("Encounter")).plain
    assert again["serviceType"]["text"] == "clinic"
    assert {k: v for k, v in again.items() if k not in ("meta", "serviceType")} == {
        k: v for k, v in visit.items() if k not in ("meta", "serviceType")
    }
    assert await versions(here) > before


async def test_only_the_chosen_messages_are_read_again(here: Office):
    await here.house.file(
        here.house.adt(person()),
        here.house.oru(person(), report="R1"),
        here.house.oru(person(), "0000000001", ("XX1", "1", "F"), report="R2"),
    )
    here.add_rule("Observation", BY_HAND)
    await here.release()

    by_kind = await here.replay(replays.Choice(kind="ADT^*"))
    by_issue = await here.replay(replays.Choice(issue="unmapped-code"))
    by_time = await here.replay(replays.Choice(until=1))

    assert (by_kind.changed, replays.tally_of(by_kind).passed) == (0, 2)
    assert (replays.tally_of(by_issue).changed, replays.tally_of(by_issue).passed) == (1, 2)
    assert (by_time.total, by_time.done) == (0, 0)


async def test_only_messages_that_met_a_line_of_the_queue_are_read_again(here: Office):
    await here.house.file(
        here.house.adt(person()),
        here.house.oru(person(), report="R1"),
        here.house.oru(person(), "0000000001", ("CP01", "0.25", "F"), report="R2"),
    )
    table = tables.Unmapped.__table__  # type: ignore[attr-defined]
    [(line,)] = await here.services.db.read(Statement(select(table.c.id)))
    path = "codes/lis_items.csv"
    running = await here.services.maps.get("people")
    row = "\nCP01,铜蓝蛋白,SER,2064-4,equivalent,g/L,approved,王敏,2026-03-02,\n".encode()
    number = await releases.derive(
        "people", {path: running.contents[path].rstrip() + row}, "铜蓝蛋白", LI, here.services
    )
    await releases.approve(number, WANG, here.services)

    done = await here.replay(replays.Choice(unmapped=line))

    assert (done.total, done.done, replays.tally_of(done).types["Observation"]) == (1, 1, 1)


async def test_a_message_in_quarantine_is_filed_by_a_replay(here: Office):
    states = await here.house.file(
        here.house.adt(person()),
        here.house.oru(person(), "0000000001", ("ALT", "1", "?"), status="?"),
    )
    assert states == ["filed", "quarantined"]
    here.edit("[Encounter]", "[tables]\nstate = { F = 'final' }\n\n[Encounter]")
    here.add_rule(
        "Observation", "\"status\" = \"OBX-11 | code(state, '?' = 'preliminary') | must\""
    )
    here.add_rule("ServiceRequest", '"status" = "\'unknown\' | must"')
    here.add_rule(
        "DiagnosticReport", "\"status\" = \"OBR-25 | code(state, '?' = 'partial') | must\""
    )
    await here.release()

    row = await here.replay()

    assert (await observation(here))["status"] == "preliminary"
    assert row.state == "done"
    [tallied] = [
        inbox.Tally(*row)
        for row in await here.services.db.read(inbox.TALLY)
        if row[0] == "people-his"
    ]
    assert (tallied.filed, tallied.quarantined, tallied.agrees) == (2, 0, True)
    # A first reading is no second one: its Provenance says created.
    acts = [one.plain["activity"] for one in await here.house.current("Provenance")]
    assert all("text" not in act for act in acts)


@pytest.mark.parametrize("lost", ["question", "answer"])
@pytest.mark.parametrize("nth", [2, 3, 4])
async def test_a_replay_that_was_cut_off_goes_on_where_it_was(here: Office, lost: str, nth: int):
    await here.house.file(
        here.house.adt(person()),
        *(here.house.oru(person(), report=f"R{n}") for n in range(3)),
    )
    here.add_rule("Observation", BY_HAND)
    await here.release()
    number = await replays.start("people-his", OPERATOR, here.services)
    flaky = replace(here.services, db=FlakyDatabase(here.services.db, lost, nth))
    with pytest.raises(Problem, match="store"):
        await replays.work("a", flaky)
    here.house.clock.forward(60)  # its lease runs out

    row = await here.finish(number)

    assert (row.total, row.done, replays.tally_of(row).changed, row.changed) == (4, 4, 3, 6)
    assert replays.tally_of(row).failed == 0
    assert [one.version for one in await here.house.current("Observation")] == [2, 2, 2]


async def test_a_replay_stops_when_paused_and_goes_on(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    number = await replays.start("people-his", OPERATOR, here.services)
    await replays.set_state(number, "paused", here.services)

    assert await Worker(here.services).replay_some() == 0
    await replays.set_state(number, "running", here.services)
    row = await here.finish(number)

    assert (row.state, row.done) == ("done", 2)


async def test_messages_that_wait_to_be_filed_go_first(here: Office):
    await here.house.file(here.house.adt(person()))
    await replays.start("people-his", OPERATOR, here.services)
    await here.house.send(here.house.oru(person()))

    assert await Worker(here.services).replay_some() == 0
    await here.house.work()
    assert await Worker(here.services).replay_some() == 1


async def test_messages_flow_while_a_replay_runs(here: Office):
    await here.house.file(
        here.house.adt(person()), *(here.house.oru(person(), report=f"R{n}") for n in range(4))
    )
    here.add_rule("Observation", BY_HAND)
    await here.release()
    number = await replays.start("people-his", OPERATOR, here.services)

    async def flow() -> None:
        for n in range(4, 8):
            await here.house.file(here.house.oru(person(), report=f"R{n}"))

    await asyncio.gather(flow(), here.finish(number))

    found = await here.house.current("Observation")
    assert [one.plain["method"]["text"] for one in found] == ["by hand"] * 8
    assert sorted(one.version for one in found) == [1, 1, 1, 1, 2, 2, 2, 2]


async def test_a_message_that_was_in_hand_when_the_map_changed_is_not_forgotten(
    here: Office, monkeypatch: pytest.MonkeyPatch
):
    """Read under the old release, committed after the replay has passed its place."""
    await here.house.file(here.house.adt(person()), here.house.oru(person(), report="R1"))
    (receipt,) = await here.house.send(here.house.oru(person(), report="R2"))
    here.add_rule("Observation", BY_HAND)
    old = await here.services.maps.in_force("people")
    await here.release()
    number = await replays.start("people-his", OPERATOR, here.services)
    # Its job is leased, so it is not in the line; the replay passes it over.
    await here.services.db.do(lambda tx: tx.run(inbox.PUT_OFF_JOB, "file", receipt.id, 2**61))
    assert await Worker(here.services).replay_some() == 3
    with monkeypatch.context() as patch:

        async def before(site: str) -> Any:
            return old

        patch.setattr(here.services.maps, "in_force", before)
        await filing.file_message(receipt.id, here.services)
    here.house.clock.forward(60)  # the lease of the worker above runs out

    row = await here.finish(number)

    found = await here.house.current("Observation")
    assert [one.plain["method"]["text"] for one in found] == ["by hand"] * 2
    assert row.state == "done"


async def test_two_workers_share_a_replay_without_doing_it_twice(here: Office):
    await here.house.file(
        here.house.adt(person()), *(here.house.oru(person(), report=f"R{n}") for n in range(4))
    )
    here.add_rule("Observation", BY_HAND)
    await here.release()
    number = await replays.start("people-his", OPERATOR, here.services)

    await asyncio.gather(here.finish(number), here.finish(number))

    row = await replays.named(number, here.services)
    assert (row.done, replays.tally_of(row).types["Observation"]) == (5, 4)


async def test_another_hospital_does_not_replay(here: Office):
    with pytest.raises(Problem) as caught:
        await replays.start("people-his", ZHOU, here.services)
    assert caught.value.kind is Kind.REFUSED
    with pytest.raises(Problem) as caught:
        await replays.start("nobody", LI, here.services)
    assert caught.value.kind is Kind.UNKNOWN
