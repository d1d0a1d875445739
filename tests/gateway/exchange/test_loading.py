"""Loading a file: every message once, in batches, and again from where it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import loading, sources
from gateway.services import Services
from gateway.store.inbox import ALARMS

ADT = (
    "MSH|^~\\&|HIS|330421A|GW|330421|2026030210{n:04}||ADT^A04|M{n}|P|2.4\r"
    "PID|1||00008{n:05}^^^330421A&HIS^MR||王珅||19800101|M\rPV1|1|O\r"
)


def file_of(folder: Path, count: int, envelope: tuple[str, str] = ("", "")) -> Path:
    text = "".join(ADT.format(n=n) for n in range(count))
    path = folder / "messages.hl7"
    path.write_bytes(f"{envelope[0]}{text}{envelope[1]}".encode("gb18030"))
    return path


async def loaded(path: Path, services: Services) -> tuple[list[str], int]:
    outcomes: list[str] = []
    done = 0
    async for some, size in loading.load("people-his", path, services):
        outcomes += some
        done += size
    return outcomes, done


async def test_a_file_is_kept_once_and_its_size_is_told(services: Services, tmp_path: Path) -> None:
    path = file_of(tmp_path, 5)
    assert await loaded(path, services) == (["new"] * 5, path.stat().st_size)
    assert await loaded(path, services) == (["again"] * 5, path.stat().st_size)


async def test_what_was_stopped_goes_on_where_it_ended(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "BATCH", 2)
    path = file_of(tmp_path, 5)
    async for outcomes, _ in loading.load("people-his", path, services):
        assert outcomes == ["new", "new"]
        break

    outcomes, _ = await loaded(path, services)

    assert outcomes == ["again", "again", "new", "new", "new"]
    (tally,) = [row for row in await sources.tallies(services) if row.name == "people-his"]
    assert (tally.received, tally.duplicates, tally.waiting, tally.agrees) == (7, 2, 5, True)


async def test_a_batch_that_is_short_raises_an_alarm(services: Services, tmp_path: Path) -> None:
    path = file_of(tmp_path, 2, ("BHS|^~\\&|HIS\r", "BTS|3\r"))
    assert (await loaded(path, services))[0] == ["new", "new"]
    alarms = await services.db.read(ALARMS, 10)
    assert [(row[1], row[2]) for row in alarms] == [("batch-short", "people-his")]


async def test_a_source_nobody_declared_takes_nothing(services: Services, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        async for _ in loading.load("nobody", file_of(tmp_path, 1), services):
            pass
    assert caught.value.kind is Kind.UNKNOWN


async def test_a_file_that_is_a_document_is_one_message(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_bytes('<?xml version="1.0" encoding="GBK"?><a>检验报告</a>'.encode("gb18030"))
    outcomes = [one async for some, _ in loading.load("tcm-emr", path, services) for one in some]
    assert outcomes == ["new"]
