"""A shadow run tells by rule what a proposal makes otherwise of kept messages, and never a value."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Kind, Problem
from gateway.exchange import comparing, releases
from gateway.exchange.comparing import Report
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import LI, WANG, Office, office
from tests.logged import kinds

DAY = 24 * 3600
ITEMS = "codes/lis_items.csv"
CANARIES = ("王珅", "WANG", "62.40", "0.25", "0000000001", "33042119800101", "D0012", "李玘", "V1")


@pytest.fixture
def here(house: House, tmp_path: Path) -> Office:
    return office(house, tmp_path / "sites")


async def traffic(here: Office) -> None:
    strange = ("CP01", "0.25", "F")
    await here.house.file(
        here.house.adt(person()),
        here.house.oru(person(), report="R1"),
        here.house.oru(person(), "0000000001", strange, report="R2"),
        here.house.oru(person(), "0000000001", strange, report="R3"),
    )


async def with_row(here: Office, row: str, by: Any = LI) -> int:
    running = await here.services.maps.get("people")
    items = running.contents[ITEMS].rstrip() + f"\n{row}\n".encode()
    return await releases.derive("people", {ITEMS: items}, "铜蓝蛋白", by, here.services)


COPPER = "CP01,铜蓝蛋白,SER,2064-4,equivalent,g/L,approved,王敏,2026-03-02,"


async def run(here: Office, number: int, **more: Any) -> Report:
    row = await releases.named(number, here.services)
    return await comparing.shadow(row, LI, here.services, rate=100_000, **more)


async def everything(here: Office) -> list[Any]:
    """All of the database but the log and the report."""
    kept = (tables.Record, tables.Inbox, tables.Job, tables.Alarm, tables.Chart)
    return [
        await here.services.db.read(Statement(select(table.__table__)))  # type: ignore[attr-defined]
        for table in kept
    ]


async def test_a_new_row_is_told_as_the_rule_that_uses_it_with_codes_before_and_after(here: Office):
    await traffic(here)
    number = await with_row(here, COPPER)

    report = await run(here, number)

    assert report.shadow is not None
    found = report.shadow.found
    assert (found.messages, found.changed) == (4, 2)
    (code,) = (one for one in found.rules if (one.block, one.element) == ("Observation", "code"))
    assert code.count == 2
    assert [(turn.was, turn.now, turn.count) for turn in code.turns] == [("unmapped", "2064-4", 2)]
    assert code.after.startswith("base/oru_r01.toml:")
    assert [(i.code, i.before, i.after) for i in found.issues] == [("unmapped-code", 2, 0)]
    assert [(one.path, one.added, one.removed) for one in report.files] == [(ITEMS, 1, 0)]
    kept = comparing.decode((await releases.named(number, here.services)).report)
    assert kept == report


async def test_a_dropped_block_and_a_changed_key_are_told_as_what_appears_and_disappears(
    here: Office,
):
    await traffic(here)
    here.edit('key = ["OBR-3.1 ?? OBR-2.1", "OBX-3.1 ?? OBX-3.2"]', 'key = ["OBX-3.1 ?? OBX-3.2"]')
    here.edit("[DiagnosticReport]", '[DiagnosticReport]\nwhen = "OBX[3.1=NONE]-5"')
    number = await releases.propose("people", "keys", LI, here.services)

    report = await run(here, number)

    assert report.shadow is not None
    found = report.shadow.found
    assert found.appeared == {"Observation": 3}
    assert found.disappeared == {"DiagnosticReport": 3, "Observation": 3}


async def test_a_report_never_holds_a_value_of_a_patient(here: Office):
    """Every element of every kind changes, and none of what was in it is told."""
    await traffic(here)
    for block, rule in (
        ("Patient", '"name" = "\'x\' | person_name"'),
        ("Patient", '"birthDate" = "\'19000102\' | date"'),
        ("Patient", '"gender" = "\'F\' | gender(sex)"'),
        ("Observation", '"value[x]" = "OBX-5 | codeable_text"'),
        ("Observation", '"note" = "OBX-5 | note"'),
        ("Observation", '"referenceRange" = "drop(\'x\')"'),
        ("ServiceRequest", '"code" = "PID-5 | codeable_text"'),
    ):
        here.add_rule(block, rule)
    number = await releases.propose("people", "everything", LI, here.services)

    report = comparing.encode(await run(here, number))

    assert '"changed":3' in report
    for canary in CANARIES:
        assert canary not in report, canary


async def test_a_shadow_run_changes_nothing_but_its_report_and_is_in_the_log(here: Office):
    await traffic(here)
    number = await with_row(here, COPPER)
    before = await everything(here)
    noted = len(await kinds(here.services))

    await run(here, number)

    assert await everything(here) == before
    assert len(await kinds(here.services)) == noted + 1


async def test_a_run_that_is_stopped_leaves_everything_as_it_was(
    here: Office, monkeypatch: pytest.MonkeyPatch
):
    await traffic(here)
    number = await with_row(here, COPPER)
    before = await everything(here), (await releases.named(number, here.services)).report
    monkeypatch.setattr(comparing, "PAGE", 1)
    row = await releases.named(number, here.services)

    task = asyncio.ensure_future(comparing.shadow(row, LI, here.services, rate=1))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    after = await everything(here), (await releases.named(number, here.services)).report
    assert after == before


async def test_only_the_last_days_and_at_most_the_newest_messages_are_looked_at(here: Office):
    await traffic(here)
    number = await with_row(here, COPPER)

    few = await run(here, number, most=1)
    here.house.clock.forward(8 * DAY)
    none = await run(here, number)
    all_ = await run(here, number, days=30)

    told = [(one.shadow.found.messages, one.shadow.cut) for one in (few, none, all_) if one.shadow]
    assert told == [(1, True), (0, False), (4, False)]


async def test_messages_whose_key_was_destroyed_are_counted(here: Office):
    await traffic(here)
    number = await with_row(here, COPPER)
    await here.services.vault.shred(here.house.chart())

    report = await run(here, number)

    assert report.shadow is not None
    assert (report.shadow.unreadable, report.shadow.found.messages) == (4, 0)


async def test_the_report_of_a_release_that_was_decided_meanwhile_is_not_kept(here: Office):
    await traffic(here)
    number = await with_row(here, COPPER)
    row = await releases.named(number, here.services)
    await releases.approve(number, WANG, here.services)

    await comparing.shadow(row, LI, here.services, rate=100_000)

    kept = comparing.decode((await releases.named(number, here.services)).report)
    assert kept.shadow is None
    with pytest.raises(Problem) as caught:
        await run(here, number)
    assert caught.value.kind is Kind.CONFLICT


async def test_a_run_waits_for_messages_but_not_for_ever(here: Office):
    await traffic(here)
    number = await with_row(here, COPPER)
    await here.house.send(here.house.oru(person(), report="R9"))  # nobody files it

    report = await run(here, number)

    assert report.shadow is not None
    assert report.shadow.found.messages == 5


def test_reports_come_back_as_they_were():
    report = Report(3, failing=("one",))
    assert comparing.decode(comparing.encode(report)) == report
    assert comparing.decode("") == Report(0)
