"""The queue of unmapped codes: suggestions, two persons, a release, and just the messages that met it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Kind, Problem
from gateway.exchange import releases, unmapped
from gateway.exchange.unmapped import Doubtful, Waiting
from gateway.store import log_tables, tables
from gateway.store import maps as release_rows
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import (
    AUTHORITY,
    LI,
    WANG,
    ZHOU,
    FlakyDatabase,
    Office,
    it,
    office,
)

CREATININE = {"loinc": "14682-9", "relation": "equivalent", "unit": "umol/L"}
ALL = ("open", "proposed", "approved", "ignored")


@pytest.fixture
async def here(house: House, tmp_path: Path) -> Office:
    """Two reports met CR9, a third did not; CR9 is one line of the queue."""
    made = office(house, tmp_path / "sites")
    await made.house.file(
        made.house.adt(person()),
        made.house.oru(person(), "0000000001", ("CR9", "88.4", "F"), report="R1"),
        made.house.oru(person(), "0000000001", ("CR9", "90.1", "F"), report="R2"),
        made.house.oru(person(), "0000000001", ("ALT", "12", "F"), report="R3"),
    )
    return made


async def only(here: Office, states: tuple[str, ...] = ALL) -> Waiting:
    (line,) = await unmapped.queue("", LI, here.services, states)
    return line


async def proposed(here: Office) -> int:
    line = await only(here)
    await unmapped.propose(line.id, CREATININE, LI, here.services, knowing=True)
    return line.id


async def codes(here: Office) -> dict[str, set[str]]:
    """LOINC numbers of the current results by the local code."""
    found: dict[str, set[str]] = {}
    for one in await here.house.current("Observation"):
        coding = one.plain["code"]["coding"]
        loinc = {c["code"] for c in coding if c["system"] == "http://loinc.org"}
        found.setdefault(coding[-1]["code"], set()).update(loinc)
    return found


async def kind(work: Any) -> Kind:
    with pytest.raises(Problem) as refused:
        await work
    assert refused.value.text.count("\n") == 0
    assert "CR9" not in str(refused.value)
    return refused.value.kind


async def test_what_waits_is_ranked_by_messages_and_opened_for_its_own_office(here: Office):
    await here.house.file(here.house.oru(person(), "0000000001", ("X1", "1", "F"), report="R4"))

    first, second = await unmapped.queue("", LI, here.services)

    assert (first.unmapped.code, first.messages, first.gives) == ("CR9", 2, "items")
    assert (second.unmapped.code, second.messages, second.state) == ("X1", 1, "open")
    assert await unmapped.queue("people-his", LI, here.services) == (first, second)
    assert await unmapped.queue("tcm-lis", LI, here.services) == ()


async def test_two_persons_make_a_release_and_just_its_messages_are_read_again(here: Office):
    before = await here.in_force()
    id = await proposed(here)
    assert (await only(here)).cells["loinc"] == "14682-9"
    assert await here.in_force() == before

    done = await unmapped.approve(id, WANG, here.services)
    row = await here.finish(done.replay)

    assert done.release == await here.in_force() != before
    assert (row.total, row.done, row.unmapped) == (2, 2, id)
    assert await codes(here) == {"CR9": {"14682-9"}, "ALT": {"1742-6"}}
    line = await only(here)
    assert (line.state, line.release, line.decided_by) == ("approved", done.release, "wang")
    running = (await here.services.maps.in_force("people")).map
    text = running.contents["codes/lis_items.csv"].decode()
    assert 'CR9,CR9,,14682-9,equivalent,umol/L,approved,"li, wang",2026-03-01,\n' in text


async def test_the_next_message_with_the_code_is_mapped_and_met_no_more(here: Office):
    await unmapped.approve(await proposed(here), WANG, here.services)
    await here.house.file(here.house.oru(person(), "0000000001", ("CR9", "70.0", "F"), report="R9"))
    assert (await only(here)).messages == 2


async def test_whoever_proposed_a_row_does_not_approve_it(here: Office):
    id = await proposed(here)
    before = await releases.of_site("people", here.services)
    assert await kind(unmapped.approve(id, LI, here.services)) is Kind.REFUSED
    assert (await only(here)).state == "proposed"
    assert await releases.of_site("people", here.services) == before


async def test_nobody_else_sees_or_decides(here: Office):
    id = (await only(here)).id
    for stranger in (ZHOU, AUTHORITY):
        assert await unmapped.queue("", stranger, here.services) == ()
        assert await kind(unmapped.one(id, stranger, here.services)) is Kind.UNKNOWN
        assert await kind(unmapped.propose(id, CREATININE, stranger, here.services)) is Kind.UNKNOWN
        assert await kind(unmapped.ignore(id, "x", stranger, here.services)) is Kind.UNKNOWN
    clinician = replace(LI, role="clinician")
    assert await kind(unmapped.queue("", clinician, here.services)) is Kind.REFUSED
    assert await kind(unmapped.one(999, LI, here.services)) is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"loinc": ""}, "Loinc is empty"),
        ({"loinc": "14682-8"}, "check digit"),
        ({"loinc": "14682-9", "relation": "same"}, "relation"),
        ({"loinc": "14682-9", "specimen": "UR"}, "specimen"),
        ({"loinc": "59826-8"}, "creatinine in blood"),
        ({"loinc": "14682-9", "unit": "mg/dL"}, "does not measure"),
        ({"loinc": "5792-7"}, "county's LOINC list"),
    ],
)
async def test_a_doubtful_row_is_not_proposed(here: Office, cells, words):
    line = await only(here)
    with pytest.raises(Doubtful, match=words) as doubt:
        await unmapped.propose(line.id, cells, LI, here.services)
    assert doubt.value.zh
    assert (await only(here)).state == "open"


async def test_a_doubt_may_be_passed_over_knowingly_an_impossible_row_not(here: Office):
    id = (await only(here)).id
    with pytest.raises(Doubtful):
        await unmapped.propose(id, {"loinc": "14682-8"}, LI, here.services, knowing=True)
    await unmapped.propose(id, {"loinc": "5792-7"}, LI, here.services, knowing=True)
    assert (await only(here)).state == "proposed"


async def test_a_unit_gets_its_ucum_and_the_quantity_its_code(here: Office):
    raw = here.house.oru(person(), "0000000001", ("ALT", "5.5", "F"), report="R5")
    await here.house.file(raw.replace(b"U/L", "单位/升".encode("gb18030")))
    (line,) = (w for w in await unmapped.queue("", LI, here.services) if w.gives == "units")

    await unmapped.propose(line.id, {"ucum": "U/L"}, LI, here.services)
    done = await unmapped.approve(line.id, WANG, here.services)
    row = await here.finish(done.replay)

    assert (row.total, row.changed) == (1, 2)  # the result and the word about it
    quantities = [one.plain["valueQuantity"] for one in await here.house.current("Observation")]
    assert {(q["unit"], q.get("code")) for q in quantities if q["unit"] == "单位/升"} == {
        ("单位/升", "U/L")
    }


async def test_what_needs_no_row_is_kept_with_its_reason_and_may_come_back(here: Office):
    id = (await only(here)).id
    assert await kind(unmapped.ignore(id, " ", LI, here.services)) is Kind.REQUIRED
    await unmapped.ignore(id, "research item", LI, here.services)

    line = await only(here)
    assert (line.state, line.reason, line.cells) == ("ignored", "research item", {})
    assert await unmapped.queue("", LI, here.services) == ()
    assert await kind(unmapped.propose(id, CREATININE, LI, here.services)) is Kind.CONFLICT
    await unmapped.reopen(id, LI, here.services)
    assert (await only(here)).state == "open"


async def test_a_proposal_may_be_taken_back_and_made_anew(here: Office):
    id = await proposed(here)
    assert await kind(unmapped.propose(id, CREATININE, WANG, here.services)) is Kind.CONFLICT
    await unmapped.decline(id, WANG, here.services)

    await unmapped.propose(id, CREATININE, WANG, here.services, knowing=True)
    assert await kind(unmapped.approve(id, WANG, here.services)) is Kind.REFUSED
    assert (await unmapped.approve(id, LI, here.services)).release == await here.in_force()


async def test_of_two_who_propose_at_once_one_does(here: Office):
    id = (await only(here)).id
    ended = await asyncio.gather(
        *(unmapped.propose(id, CREATININE, who, here.services, knowing=True) for who in (LI, WANG)),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ended) == ["NoneType", "Problem"]
    assert (await only(here)).proposed_by in ("li", "wang")


async def test_a_proposal_is_not_turned_down_while_it_is_being_approved(here: Office, monkeypatch):
    id = await proposed(here)
    derive, told = releases.derive, []

    async def meanwhile(*given: Any) -> int:
        told.append(await kind(unmapped.decline(id, it("zhao"), here.services)))
        return await derive(*given)

    monkeypatch.setattr(releases, "derive", meanwhile)
    await unmapped.approve(id, WANG, here.services)

    assert told == [Kind.CONFLICT]
    assert (await only(here)).state == "approved"


async def test_what_was_not_proposed_cannot_be_approved(here: Office):
    assert await kind(unmapped.approve((await only(here)).id, WANG, here.services)) is Kind.CONFLICT


async def test_of_two_who_approve_at_once_one_does_and_there_is_one_release(here: Office):
    id = await proposed(here)
    before = len(await releases.of_site("people", here.services))

    ended = await asyncio.gather(
        *(unmapped.approve(id, it(who), here.services) for who in ("wang", "zhao")),
        return_exceptions=True,
    )

    done = [end for end in ended if isinstance(end, unmapped.Approved)]
    assert done
    others = [end for end in ended if not isinstance(end, unmapped.Approved)]
    assert all(isinstance(end, Problem) and end.kind is Kind.CONFLICT for end in others)
    assert len(await releases.of_site("people", here.services)) == before + 1


async def test_approving_again_gives_the_same_release_and_replay(here: Office):
    id = await proposed(here)
    done = await unmapped.approve(id, WANG, here.services)
    assert await unmapped.approve(id, WANG, here.services) == done


async def test_two_rows_approved_one_after_the_other_stand_both(here: Office):
    await here.house.file(here.house.oru(person(), "0000000001", ("X1", "1", "F"), report="R4"))
    lines = await unmapped.queue("", LI, here.services)
    for line in lines:
        await unmapped.propose(line.id, CREATININE, LI, here.services, knowing=True)
    for line in lines:
        await unmapped.approve(line.id, WANG, here.services)

    running = (await here.services.maps.in_force("people")).map
    text = running.contents["codes/lis_items.csv"].decode()
    assert all(f"\n{code}," in text for code in ("CR9", "X1"))


async def test_a_release_that_came_between_is_kept_under_the_row(here: Office, monkeypatch):
    id = await proposed(here)
    derive = releases.derive

    async def meanwhile(*given: Any) -> int:
        number = await derive(*given)
        monkeypatch.setattr(releases, "derive", derive)
        here.add_rule("Observation", '"method" = "\'by hand\' | codeable_text"')
        await here.release()
        return number

    monkeypatch.setattr(releases, "derive", meanwhile)

    await unmapped.approve(id, WANG, here.services)

    running = (await here.services.maps.in_force("people")).map
    assert b"by hand" in running.contents["oru.toml"]
    assert b"\nCR9," in running.contents["codes/lis_items.csv"]


@pytest.mark.parametrize("lost", ["question", "answer"])
@pytest.mark.parametrize("nth", range(1, 6))
async def test_an_approval_broken_anywhere_goes_on_when_asked_again(here: Office, lost, nth):
    id = await proposed(here)
    flaky = replace(here.services, db=FlakyDatabase(here.services.db, lost, nth))
    with contextlib.suppress(Problem):  # in time before the nth transaction
        await unmapped.approve(id, WANG, flaky)

    done = await unmapped.approve(id, WANG, here.services)
    await here.finish(done.replay)

    assert (await only(here)).state == "approved"
    assert (await codes(here))["CR9"] == {"14682-9"}
    kept = await releases.of_site("people", here.services)
    assert [row.state for row in kept].count("in-force") == 1
    assert [row.state for row in kept].count("proposed") == 0
    runs = await here.services.db.read(release_rows.REPLAYS, "people-his")
    assert len(runs) == 1


async def test_every_step_is_noted_with_who_and_never_with_the_code(here: Office):
    id = await proposed(here)
    await unmapped.approve(id, WANG, here.services)

    event = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]
    rows = await here.services.db.read(
        Statement(select(event.c.actor, event.c.kind).where(event.c.kind == "config"))
    )
    actors = [row[0] for row in rows]
    assert {"li", "wang"} <= set(actors)


async def test_proposal_and_reason_stand_nowhere_in_clear(here: Office):
    id = await proposed(here)
    table = tables.Unmapped.__table__  # type: ignore[attr-defined]
    (row,) = await here.services.db.read(Statement(select(table)))
    clear = b"".join(c if isinstance(c, bytes) else str(c).encode() for c in row)
    assert b"14682-9" not in clear
    assert b"CR9" not in clear
    await unmapped.decline(id, LI, here.services)
    await unmapped.ignore(id, "a patient told us", LI, here.services)
    (row,) = await here.services.db.read(Statement(select(table)))
    assert b"patient told" not in b"".join(
        c if isinstance(c, bytes) else str(c).encode() for c in row
    )


async def test_a_line_whose_code_an_edited_table_knows_is_closed_with_that_release(here: Office):
    table = here.folder / "people" / "codes" / "lis_items.csv"
    row = "CR9,肌酐,,14682-9,equivalent,umol/L,approved,li,2026-03-01,\n"
    table.write_text(table.read_text("utf-8") + row, "utf-8")
    number = await here.release()

    assert await unmapped.queue("", LI, here.services) == ()
    line = await only(here)
    assert (line.state, line.release, line.proposed_by) == ("approved", number, "")
    assert await unmapped.queue("", LI, here.services) == ()
