"""Views read on a schedule: every row is kept once, whatever breaks between the reading and the keeping."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.errors import Kind, Problem
from gateway.exchange import pulling, sources
from gateway.exchange.sources import tallies
from gateway.jobs.worker import Worker
from gateway.sources import views
from gateway.sources.views import ViewFault
from gateway.store import inbox
from gateway.store.views import FeedRow
from mappings.engine import Message, Unit
from tests.conftest import new_database
from tests.gateway.exchange.house import House
from tests.hospital import COLUMNS, VIEW, Hospital, result

SOURCE = "tcm-lis"


@pytest.fixture
async def hospital(
    house: House, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Hospital]:
    """The hospital's database, of the kind the gateway's is, declared as a view of its source."""
    if house.services.settings.database.startswith("postgresql"):
        address = await new_database(request.getfixturevalue("postgres"))
    else:
        address = f"sqlite:///{tmp_path}/lis.sqlite"
    made = Hospital(address)
    made.found()
    file = tmp_path / "address"
    file.write_text(address)
    file.chmod(0o600)
    await pulling.declare(SOURCE, file, VIEW, 60, house.services)
    yield made
    made.close()


async def pull(house: House) -> pulling.Pulled:
    return await pulling.pull(SOURCE, house.services, "test")


async def feed(house: House) -> FeedRow:
    (one,) = await pulling.feeds(house.services)
    return one


async def tally(house: House) -> Any:
    return next(one for one in await tallies(house.services) if one.name == SOURCE)


async def alarms(house: House) -> list[str]:
    return [row[1] for row in await house.services.db.read(inbox.ALARMS, 50)]


def day(hospital: Hospital, count: int = 5, at: str = "2026-02-28 10:00") -> None:
    """Reports of three results each, a second apart."""
    hospital.add(
        *(
            result(f"R{report}", item, "6.10", f"{at}:{report:02}")
            for report in range(count)
            for item in ("A", "B", "C")
        )
    )


async def test_rows_of_a_view_become_records_like_rows_of_a_delivery(
    house: House, hospital: Hospital
) -> None:
    day(hospital)
    assert await pull(house) == (15, 5, "")
    await house.work()
    assert (await tally(house)).filed == 5
    values = [one.text for one in await house.current("Observation")]
    assert len(values) == 15
    assert all(b'"value":6.10' in text for text in values)
    assert len(await house.current("DiagnosticReport")) == 5


async def test_what_was_read_is_not_kept_again_and_its_ties_are_not_missed(
    house: House, hospital: Hospital
) -> None:
    day(hospital)
    await pull(house)
    assert await pull(house) == (0, 0, "")
    assert (await tally(house)).duplicates == 0
    hospital.add(result("R4", "D", "1.0", "2026-02-28 10:00:04"))  # the newest watermark's second
    assert await pull(house) == (1, 1, "")
    hospital.add(result("R9", "A", "1.0", "2026-02-28 10:00:09"))
    assert await pull(house) == (1, 1, "")
    await house.work()
    assert len(await house.current("Observation")) == 17


async def test_a_transaction_that_commits_late_is_found_within_the_overlap(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {"overlap": 600}
    monkeypatch.setattr(pulling, "_number", lambda site, name, other: declared.get(name, other))
    day(hospital, at="2026-02-28 10:05")
    await pull(house)
    hospital.add(
        result("R90", "A", "1.0", "2026-02-28 09:56:00"),  # within ten minutes
        result("R91", "A", "1.0", "2026-02-28 09:40:00"),  # not
    )
    assert await pull(house) == (1, 1, "")
    assert await pull(house) == (0, 0, "")


async def test_a_correction_is_read_because_its_watermark_moves(
    house: House, hospital: Hospital
) -> None:
    day(hospital, 1)
    await pull(house)
    hospital.run("""UPDATE "LIS_JG" SET "JG" = '7.20', "ZT" = '3', "GXSJ" = '2026-02-28 12:00:00'
                    WHERE "XMDM" = 'B'""")
    assert await pull(house) == (1, 1, "")
    await house.work()
    corrected = [one for one in await house.current("Observation") if one.version == 2]
    assert [b'"value":7.20' in one.text for one in corrected] == [True]


@pytest.mark.parametrize("lost", ["before keeping", "after keeping", "after the watermark"])
async def test_a_crash_anywhere_gives_duplicates_at_most_and_never_a_loss(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(pulling, "UNITS", 3)
    day(hospital, 10)
    kept, noted = pulling.in_batches, pulling._keep
    calls = 0

    def now(which: str) -> None:
        nonlocal calls
        calls += which == lost
        if which == lost and calls == 2:
            raise KeyboardInterrupt  # nobody catches it: the process ends here

    async def in_batches(*given: Any) -> AsyncIterator[Any]:
        now("before keeping")
        async for one in kept(*given):
            yield one
        now("after keeping")

    def keep(*given: Any) -> bool:
        done = noted(*given)
        now("after the watermark")
        return done

    monkeypatch.setattr(pulling, "in_batches", in_batches)
    monkeypatch.setattr(pulling, "_keep", keep)
    with pytest.raises((KeyboardInterrupt, Problem)):
        await pull(house)
    monkeypatch.setattr(pulling, "in_batches", kept)
    monkeypatch.setattr(pulling, "_keep", noted)
    house.clock.forward(600)  # the lease of the dead process has run out

    assert not (await pull(house)).error
    await house.work()
    assert len(await house.current("Observation")) == 30
    found = await tally(house)
    assert found.agrees
    assert found.filed == 10
    assert found.duplicates <= 3
    assert await pull(house) == (0, 0, "")


async def test_writers_at_work_during_a_reading_lose_nothing(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "UNITS", 2)
    monkeypatch.setattr(views, "FETCH", 5)
    day(hospital, 8)
    kept = pulling.in_batches
    written = 0

    async def in_batches(*given: Any) -> AsyncIterator[Any]:
        nonlocal written
        written += 1
        if hospital.postgresql:  # SQLite has one writer, which waits for the reader
            # At the newest second: a tie that the next reading must not miss.
            row = result(f"W{written}", "A", "1.0", "2026-02-28 10:00:07")
            await asyncio.to_thread(hospital.add, row)
        async for one in kept(*given):
            yield one

    monkeypatch.setattr(pulling, "in_batches", in_batches)
    await pull(house)
    await pull(house)
    monkeypatch.setattr(pulling, "in_batches", kept)
    await pull(house)
    await house.work()
    assert written >= 4
    expected = 24 + (await asyncio.to_thread(count, hospital, "W%"))
    assert len(await house.current("Observation")) == expected


def count(hospital: Hospital, reports: str) -> int:
    with hospital.engine.connect() as db:
        query = text('SELECT count(*) FROM "LIS_JG" WHERE "BGDH" LIKE :reports')
        return int(db.execute(query, {"reports": reports}).scalar_one())


async def test_a_new_column_stops_the_reading_until_somebody_has_looked(
    house: House, hospital: Hospital
) -> None:
    day(hospital, 2)
    hospital.run(f'DROP VIEW "{VIEW}"')
    hospital.run(f'CREATE VIEW "{VIEW}" AS SELECT *, 1 AS "YQBH" FROM "LIS_JG"')
    for _ in range(2):
        assert (await pull(house)).error == "columns-new"
    assert (await feed(house)).error == "columns-new"
    assert (await tally(house)).received == 0
    assert await alarms(house) == ["view-failing"]  # once, not every minute
    hospital.run(f'DROP VIEW "{VIEW}"')
    hospital.run(f'CREATE VIEW "{VIEW}" AS SELECT * FROM "LIS_JG"')
    assert await pull(house) == (6, 2, "")
    assert (await feed(house)).error == ""


async def test_a_database_that_is_away_is_noted_and_read_when_it_is_back(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    day(hospital, 1)

    def away(*given: Any) -> Any:
        raise ViewFault("unreachable")

    with monkeypatch.context() as broken:
        broken.setattr(views, "_connected", away)
        assert (await pull(house)).error == "unreachable"
    assert await alarms(house) == ["view-failing"]
    assert await pull(house) == (3, 1, "")


async def test_a_view_that_shows_nothing_new_for_a_day_raises_an_alarm_once(
    house: House, hospital: Hospital
) -> None:
    day(hospital, 1)
    await pull(house)
    house.clock.forward(25 * 3600)
    for _ in range(2):
        assert (await pull(house)).error == ""
    assert (await feed(house)).error == "silent"
    assert await alarms(house) == ["view-silent"]
    day(hospital, 1, at="2026-03-02 10:00")
    await pull(house)
    assert (await feed(house)).error == ""


async def test_rows_without_a_watermark_raise_an_alarm(house: House, hospital: Hospital) -> None:
    hospital.add(result("R1", "A", 1, None))  # type: ignore[arg-type]
    assert await pull(house) == (0, 0, "")
    assert await alarms(house) == ["view-unmarked"]


async def test_one_process_reads_at_a_time(house: House, hospital: Hospital) -> None:
    assert await house.services.db.do(pulling._lease, SOURCE, "another", house.services.now())
    with pytest.raises(Problem) as caught:
        await pull(house)
    assert caught.value.kind is Kind.CONFLICT
    assert await pulling.pull_due(house.services, "test") == 0
    house.clock.forward(600)
    assert not (await pull(house)).error


async def test_the_worker_reads_what_is_due_and_nothing_of_a_paused_source(
    house: House, hospital: Hospital
) -> None:
    day(hospital, 1)
    worker = Worker(house.services)
    assert await worker.pull_some() == 3
    day(hospital, 1, at="2026-02-28 11:00")
    assert await worker.pull_some() == 0  # not due yet
    house.clock.forward(61)
    await sources.set_state(SOURCE, "paused", house.services)
    assert await worker.pull_some() == 0
    await sources.set_state(SOURCE, "active", house.services)
    assert await worker.pull_some() == 3


async def test_rows_that_cannot_be_kept_are_read_again(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    day(hospital, 1)

    async def full(*given: Any) -> Any:
        raise Problem(Kind.BUSY, "full")

    with monkeypatch.context() as broken:
        broken.setattr("gateway.exchange.loading.receive", full)
        assert (await pull(house)).error == "not-kept"
    assert (await feed(house)).watermark == b""
    assert await pull(house) == (3, 1, "")


async def test_what_is_kept_of_a_view_shows_no_value(house: House, hospital: Hospital) -> None:
    day(hospital, 1)
    await pull(house)
    one = await feed(house)
    for canary in (b"2026-02-28", b"10:00:00"):
        assert canary not in one.watermark


async def test_reading_from_the_start_again_loses_nothing_and_makes_no_versions(
    house: House, hospital: Hospital
) -> None:
    day(hospital, 2)
    await pull(house)
    await house.work()
    one = await feed(house)
    await pulling.declare(SOURCE, Path(one.address), VIEW, 60, house.services, from_start=True)
    assert await pull(house) == (6, 2, "")
    await house.work()
    assert (await tally(house)).duplicates == 2
    assert {o.version for o in await house.current("Observation")} == {1}


async def test_the_rows_of_a_view_say_what_a_csv_of_them_would(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units are cut where CSV rows would be, so that the same report is the same letter."""
    day(hospital, 4)
    hospital.add(result("R1", "D", "0.01", "2026-02-28 10:00:03", TS="↓"))
    hospital.add(result("R7", "A", "2.50", "2026-02-28 10:00:09", CKFW="阴性", XM='王"珅', DW=None))
    site = await house.services.maps.get("tcm")
    units: list[Unit] = []

    async def in_batches(name: str, some: list[Unit], *given: Any) -> AsyncIterator[Any]:
        units.extend(some)
        yield []

    monkeypatch.setattr(pulling, "in_batches", in_batches)
    await pull(house)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(row for unit in units for row in json.loads(unit.raw))
    ids = house.services.ids("tcm")
    whole = site.read(text.getvalue().encode("gb18030"), ids)
    apart = [message for unit in units for message in site.read(unit.raw, ids).messages]
    assert len(units) == len(whole.messages) == 6

    def said(message: Message) -> list[tuple[Any, ...]]:
        return [(one.type, one.id, one.text(), one.clock) for one in message.resources]

    assert [said(one) for one in apart] == [said(one) for one in whole.messages]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_in_whatever_order_every_row_is_kept(
    house: House, hospital: Hospital, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Rows that come late within the overlap, corrections, crashes of either kind, tiny batches."""
    dice = random.Random(seed)
    kept: list[bytes] = []
    monkeypatch.setattr(
        pulling, "_number", lambda site, name, other: {"overlap": 60}.get(name, other)
    )
    monkeypatch.setattr(pulling, "UNITS", dice.choice((1, 2, 5)))
    monkeypatch.setattr(views, "FETCH", dice.choice((1, 3, 50)))
    trouble = 0.0

    async def in_batches(name: str, units: list[Unit], *given: Any) -> AsyncIterator[Any]:
        if dice.random() < trouble:
            raise Problem(Kind.BUSY, "not kept")
        kept.extend(unit.raw for unit in units)
        if dice.random() < trouble:
            raise Problem(Kind.BUSY, "kept, but nobody heard of it")
        yield []

    monkeypatch.setattr(pulling, "in_batches", in_batches)
    at, serial = 0, 0
    for _ in range(12):
        trouble = dice.choice((0.0, 0.0, 0.3))
        for _ in range(dice.randrange(6)):
            at += dice.choice((0, 0, 1, 20))
            serial += 1
            late = at - dice.choice((0, 0, 0, 30, 59))
            moment = f"2026-02-28 {10 + max(late, 0) // 3600:02}:{max(late, 0) // 60 % 60:02}:{max(late, 0) % 60:02}"
            hospital.add(result(f"R{dice.randrange(8)}", f"I{serial}", f"{serial}.10", moment))
        await pull(house)
    trouble = 0.0
    await pull(house)
    found = {row["XMDM"]: row["JG"] for raw in kept for row in json.loads(raw)}
    assert found == {f"I{n}": f"{n}.10" for n in range(1, serial + 1)}
    before = len(kept)
    assert await pull(house) == (0, 0, "")
    assert len(kept) == before


@pytest.mark.parametrize(
    ("source", "view", "every", "mode", "place"),
    [
        ("tcm-lis", "V; DROP", 60, 0o600, "view"),
        ("tcm-lis", VIEW, 1, 0o600, "every"),
        ("tcm-lis", VIEW, 60, 0o644, "address-file"),
        ("people-his", VIEW, 60, 0o600, "map"),
    ],
)
async def test_a_declaration_that_cannot_work_is_refused_with_its_place(
    house: House, tmp_path: Path, source: str, view: str, every: int, mode: int, place: str
) -> None:
    file = tmp_path / "address"
    file.write_text("sqlite:///x")
    file.chmod(mode)
    with pytest.raises(Problem) as caught:
        await pulling.declare(source, file, view, every, house.services)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.place == place
