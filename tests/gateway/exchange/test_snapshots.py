"""A source whose reports are whole: an item that is gone from a newer version is for a person to look at."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from sqlalchemy import select

from gateway.errors import Kind, Problem
from gateway.exchange import feeds, filing, reviewing
from gateway.services.caller import Caller
from gateway.services.maps import Release
from gateway.store import inbox, log_tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, Stored, clinician, person
from tests.gateway.exchange.map_office import AUTHORITY, LI, WANG, ZHOU, FlakyDatabase

SHEN = person()
_EVENT = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]
EVENTS = Statement(
    select(_EVENT.c.actor).where(_EVENT.c.kind == "update").order_by(_EVENT.c.counter)
)
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

    for room in (filing, reviewing):
        monkeypatch.setattr(room, "read_raw", whole)
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


async def _held(house: House) -> str:
    """The id of a message that waits for a person: the second picture lost AST."""
    assert await house.file(*both(house)) == ["filed", "quarantined"]
    [row] = await house.services.db.read(inbox.INBOX_IDS, "people-his", "quarantined")
    return str(row[0])


async def _results(house: House) -> dict[str, tuple[str, int]]:
    """Status and version of each standing result by its item."""
    return {
        _item(one): (one.plain["status"], one.version) for one in await house.current("Observation")
    }


async def _tally(house: House) -> inbox.Tally:
    rows = [inbox.Tally(*row) for row in await house.services.db.read(inbox.TALLY)]
    return next(one for one in rows if one.name == "people-his")


async def _waits(house: House, id: str) -> bool:
    """Whether the message's alarm is unsettled."""
    return bool(await house.services.db.read(inbox.ALARM_STANDS, "snapshot-missing", id))


async def _events(house: House) -> list[str]:
    return [str(row[0]) for row in await house.services.db.read(EVENTS)]


async def test_what_the_laboratory_took_out_is_withdrawn_and_nothing_else_changes(
    snapshot: House,
) -> None:
    id = await _held(snapshot)
    [before] = [one for one in await snapshot.current("Observation") if _item(one) == "AST"]
    noted = await _events(snapshot)

    assert await reviewing.review(id, "withdraw", LI, snapshot.services) == 1

    assert await _results(snapshot) == {"ALT": ("final", 2), "AST": ("entered-in-error", 2)}
    [after] = [one for one in await snapshot.current("Observation") if _item(one) == "AST"]
    was, now = before.plain, after.plain
    assert was.pop("meta") != now.pop("meta")
    assert now == {**was, "status": "entered-in-error"}
    assert after.entry.clock == (await snapshot.only("DiagnosticReport")).entry.clock
    tally = await _tally(snapshot)
    assert (tally.filed, tally.quarantined, tally.agrees) == (2, 0, True)
    assert not await _waits(snapshot, id)
    assert (await _events(snapshot))[len(noted) :] == ["li"]
    assert ("note", "snapshot-withdrawn") in await snapshot.issues()


async def test_what_is_still_valid_stands_and_the_message_is_settled(snapshot: House) -> None:
    id = await _held(snapshot)
    state = await snapshot.state()
    noted = await _events(snapshot)

    assert await reviewing.review(id, "keep", LI, snapshot.services) == 0

    assert await snapshot.state() == state
    tally = await _tally(snapshot)
    assert (tally.filed, tally.quarantined, tally.agrees) == (2, 0, True)
    assert not await _waits(snapshot, id)
    assert (await _events(snapshot))[len(noted) :] == ["li"]
    assert ("hold", "snapshot-missing") not in await snapshot.issues()


@pytest.mark.parametrize(("first", "other"), [("withdraw", "keep"), ("keep", "withdraw")])
async def test_said_twice_is_said_once_and_the_contrary_is_refused(
    snapshot: House, first: reviewing.Verdict, other: reviewing.Verdict
) -> None:
    id = await _held(snapshot)
    await reviewing.review(id, first, LI, snapshot.services)
    versions, noted = len(await snapshot.everything()), await _events(snapshot)
    assert await reviewing.review(id, first, LI, snapshot.services) == 0
    with pytest.raises(Problem) as told:
        await reviewing.review(id, other, LI, snapshot.services)
    assert told.value.kind is Kind.CONFLICT
    assert (len(await snapshot.everything()), await _events(snapshot)) == (versions, noted)


async def test_what_was_withdrawn_stays_so_when_everything_is_read_again(snapshot: House) -> None:
    await reviewing.review(await _held(snapshot), "withdraw", LI, snapshot.services)
    await snapshot.again()
    assert await _results(snapshot) == {"ALT": ("final", 2), "AST": ("entered-in-error", 2)}


async def test_reading_the_message_again_is_no_persons_word(snapshot: House) -> None:
    id = await _held(snapshot)
    assert await feeds.replay(id, LI, snapshot.services) == "quarantined"
    assert (await snapshot.alarms()).count("snapshot-missing") == 1
    assert await reviewing.review(id, "withdraw", LI, snapshot.services) == 1


@pytest.mark.parametrize("verdict", ["withdraw", "keep"])
@pytest.mark.parametrize(
    ("who", "kind"),
    [(ZHOU, Kind.UNKNOWN), (AUTHORITY, Kind.REFUSED), (clinician(), Kind.REFUSED)],
    ids=["another hospital", "the authority", "a clinician"],
)
async def test_nobody_decides_but_the_it_office_of_the_hospital_that_sent_it(
    snapshot: House, verdict: reviewing.Verdict, who: Caller, kind: Kind
) -> None:
    id = await _held(snapshot)
    with pytest.raises(Problem) as told:
        await reviewing.review(id, verdict, who, snapshot.services)
    assert told.value.kind is kind
    assert {status for status, _ in (await _results(snapshot)).values()} == {"final"}
    assert await _waits(snapshot, id)


@pytest.mark.parametrize("at", ["2026-02-20T14:00", SECOND], ids=["later", "the same minute"])
async def test_an_item_that_a_still_newer_report_names_again_is_not_withdrawn(
    snapshot: House, at: str
) -> None:
    id = await _held(snapshot)
    whole = [("ALT", "1", "F"), ("AST", "2", "F")]
    raw = snapshot.oru(SHEN, "0000000001", *whole, at=at, status="C")
    assert await snapshot.file(raw) == ["filed"]
    state = await snapshot.state()
    assert await reviewing.review(id, "withdraw", LI, snapshot.services) == 0
    assert await snapshot.state() == state
    assert (await _tally(snapshot)).quarantined == 0


async def test_a_message_that_waits_for_something_else_is_not_decided_here(house: House) -> None:
    assert await house.file(b"MSH|^~\\&|nothing") == ["quarantined"]
    [row] = await house.services.db.read(inbox.INBOX_IDS, "people-his", "quarantined")
    with pytest.raises(Problem) as told:
        await reviewing.review(str(row[0]), "keep", LI, house.services)
    assert told.value.kind is Kind.CONFLICT


@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_a_connection_lost_at_the_commit_leaves_all_or_nothing(
    snapshot: House, lost: str
) -> None:
    id = await _held(snapshot)
    breaks = 0
    for nth in range(1, 20):
        flaky = FlakyDatabase(snapshot.services.db, lost, nth)
        broken = replace(snapshot.services, db=flaky)  # type: ignore[arg-type]
        try:
            await reviewing.review(id, "withdraw", LI, broken)
        except Problem:
            breaks += 1
            done = (await _results(snapshot))["AST"][0] == "entered-in-error"
            assert await _waits(snapshot, id) is not done
            assert (await _tally(snapshot)).quarantined == (0 if done else 1)
            assert (("note", "snapshot-withdrawn") in await snapshot.issues()) is done
        else:
            break
    assert breaks
    assert await _results(snapshot) == {"ALT": ("final", 2), "AST": ("entered-in-error", 2)}
    assert (await _events(snapshot)).count("li") == 1


async def test_two_people_who_decide_at_once_are_one_decision(snapshot: House) -> None:
    id = await _held(snapshot)
    ends = await asyncio.gather(
        reviewing.review(id, "withdraw", LI, snapshot.services),
        reviewing.review(id, "keep", WANG, snapshot.services),
        return_exceptions=True,
    )
    refused = [one for one in ends if isinstance(one, Problem)]
    assert [one.kind for one in refused] == [Kind.CONFLICT]
    kept = isinstance(ends[0], Problem)
    assert (await _results(snapshot))["AST"] == (("final", 1) if kept else ("entered-in-error", 2))


def _item(one: Stored) -> str:
    return str(one.plain["code"]["text"])
