"""A source whose reports are whole: an item that is gone from a newer version is for a person to look at."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.exchange import filing
from gateway.services.maps import Release
from tests.gateway.exchange.house import House, person

SHEN = person()
FIRST, SECOND = "2026-02-20T10:00", "2026-02-20T12:00"


@pytest.fixture
def snapshot(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The people's hospital says that its reports are whole."""
    read = filing.read_raw

    async def whole(*given: object) -> filing.Read:
        release = next(one for one in given if isinstance(one, Release))
        source = release.map.source
        source = msgspec.structs.replace(source, options={**source.options, "snapshot": True})
        told = replace(release, map=replace(release.map, source=source))
        return await read(*(told if one is release else one for one in given))  # type: ignore[arg-type]

    monkeypatch.setattr(filing, "read_raw", whole)
    return house


def both(house: House) -> tuple[bytes, bytes]:
    return (
        house.oru(SHEN, "0000000001", ("ALT", "1", "F"), ("AST", "2", "F"), at=FIRST),
        house.oru(SHEN, "0000000001", ("ALT", "1", "F"), at=SECOND, status="C"),
    )


async def test_an_item_that_is_gone_is_alarmed_and_stands_until_somebody_looks(
    snapshot: House,
) -> None:
    states = await snapshot.file(*both(snapshot))
    assert states == ["filed", "quarantined"]
    assert "snapshot-missing" in await snapshot.alarms()
    results = await snapshot.current("Observation")
    assert {one.plain["status"] for one in results} == {"final"}
    assert len(results) == 2
    report = await snapshot.only("DiagnosticReport")
    assert len(report.plain["result"]) == 1


async def test_the_older_picture_that_comes_late_takes_nothing_away(snapshot: House) -> None:
    old, new = both(snapshot)
    assert await snapshot.file(new, old) == ["filed", "filed"]
    assert "snapshot-missing" not in await snapshot.alarms()


async def test_the_same_items_again_are_no_alarm(snapshot: House) -> None:
    whole = [("ALT", "1", "F"), ("AST", "2", "F")]
    states = await snapshot.file(
        snapshot.oru(SHEN, "0000000001", *whole, at=FIRST),
        snapshot.oru(SHEN, "0000000001", *whole, at=SECOND, status="C"),
    )
    assert states == ["filed", "filed"]


async def test_a_source_that_does_not_say_so_may_send_one_item_at_a_time(house: House) -> None:
    assert await house.file(*both(house)) == ["filed", "filed"]
    assert "snapshot-missing" not in await house.alarms()
