"""The message monitor: where every message is, and a second reading that says first what it would do."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from gateway.errors import Kind, Problem
from gateway.exchange import messages, rerunning
from gateway.exchange.messages import Asked
from gateway.exchange.rerunning import differing
from gateway.store import oversight as listed
from gateway.store import tables
from gateway.store.engine import Tx
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import AUTHORITY, LI, ZHOU, Office, office

BY_HAND = '"method" = "\'by hand\' | codeable_text"'
INBOX = tables.Inbox.__table__  # type: ignore[attr-defined]
JOB = tables.Job.__table__  # type: ignore[attr-defined]


@pytest.fixture
def here(house: House, tmp_path: Path) -> Office:
    return office(house, tmp_path / "sites")


async def ids(here: Office) -> list[str]:
    found = await here.services.db.read(Statement(select(INBOX.c.id).order_by(INBOX.c.arrived)))
    return [row[0] for row in found]


async def events(here: Office, kind: str) -> int:
    found = await here.services.db.session(listed.events, listed.Narrow(kind=kind), 0, 1_000)
    return found.total


async def test_fifty_messages_wait_are_filed_and_are_found_where_they_are(here: Office):
    house = here.house
    raws = [house.adt(person(), event="A08", at=f"2026-02-20T08:{n:02d}") for n in range(50)]
    await house.send(*raws)
    waiting = await messages.monitor(Asked(state="waiting"), LI, here.services)
    assert (waiting.total, len(waiting.messages), waiting.more) == (50, 50, False)
    await house.work()
    await house.send(raws[0], b"MSH|not a message")
    await house.work()

    shown = await messages.monitor(Asked(), LI, here.services)

    [row] = (one for one in shown.counts if one.source == "people-his")
    assert (row.messages, row.filed, row.quarantined, row.waiting) == (51, 50, 1, 0)
    assert (row.repeats, shown.total, shown.more) == (1, 51, True)
    arrivals = [one.arrived for one in shown.messages]
    assert arrivals == sorted(arrivals, reverse=True)
    second = await messages.monitor(Asked(page=2), LI, here.services)
    assert {one.id for one in shown.messages + second.messages} == set(await ids(here))
    visits = await messages.monitor(Asked(kind="ADT"), LI, here.services)
    assert (visits.total, {one.kind for one in visits.messages}) == (50, {"ADT"})
    [other] = (await messages.monitor(Asked(kind="HL7"), LI, here.services)).messages
    assert other.state == "quarantined"
    repeated = await messages.monitor(Asked(state="repeated"), LI, here.services)
    assert [one.arrivals for one in repeated.messages] == [2]
    [held] = (await messages.monitor(Asked(state="quarantined"), LI, here.services)).messages
    code = held.issues[0].code
    assert (await messages.monitor(Asked(issue=code), LI, here.services)).total == 1
    assert (await messages.monitor(Asked(issue="no-such"), LI, here.services)).total == 0
    early = Asked(until=held.arrived)
    assert (await messages.monitor(early, LI, here.services)).total < 51
    for wrong in (Asked(state="lost"), Asked(issue='x", "')):
        with pytest.raises(Problem) as caught:
            await messages.monitor(wrong, LI, here.services)
        assert caught.value.kind is Kind.MALFORMED


async def test_a_message_that_could_not_be_filed_is_shown_with_its_next_try(here: Office):
    await here.house.send(here.house.adt(person()))
    [id] = await ids(here)
    due = here.services.now() + 60_000_000

    def put_off(tx: Tx) -> None:
        tx.run(Statement(update(JOB).values(attempts=3, leased=0, due=due)))

    await here.services.db.do(put_off)
    [kept] = (await messages.monitor(Asked(state="retry"), LI, here.services)).messages
    assert (kept.id, kept.state, kept.tries, kept.due) == (id, "retry", 3, due)
    with pytest.raises(Problem) as caught:
        await rerunning.tried(id, LI, here.services)
    assert caught.value.kind is Kind.CONFLICT


async def test_another_hospitals_message_is_as_one_that_never_came(here: Office):
    await here.house.file(here.house.adt(person()))
    [id] = await ids(here)
    told = set()
    for wanted in (id, "0" * 32):
        for story in (messages.one, messages.became, rerunning.tried, rerunning.rerun):
            with pytest.raises(Problem) as caught:
                await story(wanted, ZHOU, here.services)
            told.add((caught.value.kind, str(caught.value)))
    assert len(told) == 1
    assert (await messages.monitor(Asked(source="people-his"), ZHOU, here.services)).total == 0
    assert (await messages.one(id, AUTHORITY, here.services)).id == id


async def test_it_tells_types_and_numbers_of_what_a_message_became_and_notes_it(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    _, oru = await ids(here)
    before = await events(here, "config")

    became = await messages.became(oru, LI, here.services)

    found = {one.type: (one.versions, one.current) for one in became}
    assert found["Observation"] == found["DiagnosticReport"] == (1, 1)
    assert await events(here, "config") == before + 1


async def test_a_trial_after_a_map_was_corrected_names_paths_and_writes_nothing(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    _, oru = await ids(here)
    assert (await rerunning.tried(oru, LI, here.services)).nothing
    here.add_rule("Observation", BY_HAND)
    await here.release()
    before, noted = await here.house.state(), await events(here, "config")

    trial = await rerunning.tried(oru, LI, here.services)

    assert await here.house.state() == before
    assert await events(here, "config") == noted + 1
    changes = {one.type: one for one in trial.changes}
    assert (changes["Observation"].new, changes["Observation"].changed) == (0, 1)
    assert changes["Observation"].paths == (("method.text", 1),)
    assert changes["DiagnosticReport"].changed == 0 < changes["DiagnosticReport"].unchanged
    assert changes["Provenance"].new == 1
    assert (trial.kinds, trial.filed, trial.nothing) == (("ORU^R01",), True, False)

    updates = await events(here, "update")
    assert await rerunning.rerun(oru, LI, here.services)
    assert await events(here, "update") == updates + 2  # who asked, and what was written
    seen = await here.house.only("Observation")
    assert (seen.version, seen.plain["method"]["text"]) == (2, "by hand")
    state = await here.house.state()
    assert not await rerunning.rerun(oru, LI, here.services)
    assert await here.house.state() == state
    assert (await rerunning.tried(oru, LI, here.services)).nothing


async def test_what_was_held_and_still_cannot_be_read_stays_held(here: Office):
    await here.house.file(here.house.adt(person()), b"MSH|not a message")
    held = (await messages.monitor(Asked(state="quarantined"), LI, here.services)).messages[0]

    trial = await rerunning.tried(held.id, LI, here.services)

    assert (trial.changes, trial.nothing, trial.filed) == ((), True, False)
    assert not await rerunning.rerun(held.id, LI, here.services)
    assert (await messages.one(held.id, LI, here.services)).state == "quarantined"


async def test_a_message_whose_key_was_destroyed_is_not_read_again(here: Office):
    await here.house.file(here.house.adt(person()))
    [id] = await ids(here)
    await here.services.vault.shred(here.house.chart())
    with pytest.raises(Problem) as caught:
        await rerunning.tried(id, LI, here.services)
    assert caught.value.kind is Kind.CONFLICT
    assert await messages.became(id, LI, here.services) == ()


def test_paths_are_told_without_places_and_digits_count():
    was = {"a": [{"b": "1"}, {"b": "2"}], "v": "13.20", "meta": {"x": "1"}}
    now = {"a": [{"b": "1"}, {"b": "3"}], "v": "13.2", "meta": {"x": "2"}, "n": None}
    assert differing(was, now) == {"a.b", "v", "n"}
    assert differing(was, was) == set()
