"""A number is set right (A08) or a merge taken back (A37): whose the folders are, and who is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from itertools import permutations

import hl7.client
import pytest

from gateway.demo import people
from gateway.exchange import alerts
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.ledger import PORTAL
from gateway.exchange.patients import charts_of
from gateway.identity.systems import RESIDENT_ID
from gateway.intake import mllp
from gateway.jobs.worker import Worker
from gateway.portal.stories import Resident
from gateway.recognition.decisions import Choice
from gateway.services import Services
from tests.gateway.exchange.house import Clock, House, person
from tests.gateway.exchange.portal_county import LI, REASON, Town, panel, town
from tests.gateway.exchange.test_identities import events, grouped, seen, visited
from tests.gateway.exchange.test_joining import GONE, KEPT, SHEN, UNKNOWN, persons, said

TRUE = "0000000003"
OTHER = person("other", "王珅", date(1982, 2, 2))
ALT = "丙氨酸氨基转移酶"


async def found(house: House, number: str) -> set[str]:
    """The persons a look-up by a number comes to."""
    return set(await charts_of(RESIDENT_ID, number, house.services))


async def test_a_corrected_number_moves_the_folder_with_all_that_follows(house: House) -> None:
    """At KEPT somebody else's number was typed in: GONE is its owner's, TRUE their own."""
    await visited(house, SHEN, GONE, "AST", "HAMA")
    await house.file(house.adt(OTHER, TRUE, visit="V3"))
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await house.sign(mrn=GONE)
    assert await seen(house, mrn=GONE) == {"ALT", "AST"}
    before = await grouped(house)

    await house.file(house.adt(OTHER, KEPT, event="A08", visit="V4", at="2026-02-22T08:00"))

    kept, gone, true = await persons(house, KEPT, GONE, TRUE)
    assert (kept, gone) == (true, house.chart(GONE))
    after = await grouped(house)
    assert after[house.chart(KEPT)][2] > before[house.chart(KEPT)][2]
    assert after[house.chart(GONE)][2] > before[house.chart(GONE)][2]
    assert await seen(house, mrn=GONE) == {"AST"}
    assert await seen(house, mrn=KEPT) == set(), "the other's consent does not reach it"
    assert await found(house, SHEN.number) == {house.chart(GONE)}
    assert len(await found(house, OTHER.number)) == 1
    assert {"rule": "corrected"} in await events(house, "unlink")

    # What comes late, or from a system that still has the old number, changes nothing.
    await house.file(
        house.adt(SHEN, KEPT, visit="V5", at="2026-02-21T08:00"),
        house.oru(SHEN, KEPT, ("ALT", "77.70", "F"), report="late", at="2026-02-23T08:00"),
    )
    assert await persons(house, KEPT, GONE, TRUE) == [kept, gone, true]
    assert await found(house, SHEN.number) == {house.chart(GONE)}
    [late] = [one for one in await house.current("Observation") if b"77.70" in one.text]
    assert late.chart == house.chart(KEPT)
    await house.again()
    assert await persons(house, KEPT, GONE, TRUE) == [kept, gone, true]

    # Set back, it is theirs again: no person has parted the two.
    await house.file(house.adt(SHEN, KEPT, event="A08", visit="V6", at="2026-02-24T08:00"))
    kept, gone, true = await persons(house, KEPT, GONE, TRUE)
    assert kept == gone != true
    assert await seen(house, mrn=GONE) == {"ALT", "AST"}


async def test_in_any_order_a_folder_ends_where_its_newest_number_is(house: House) -> None:
    for turn, order in enumerate(permutations(range(3))):
        mrns = [f"{turn + 1}00000000{n}" for n in range(3)]
        kept, gone, true = mrns
        steps = [
            house.adt(SHEN, gone, visit=f"A{turn}"),
            house.adt(SHEN, kept, visit=f"B{turn}"),
            house.adt(OTHER, kept, event="A08", visit=f"C{turn}", at="2026-02-22T08:00"),
        ]
        await house.file(*(steps[place] for place in order))
        await house.file(house.adt(OTHER, true, visit=f"D{turn}"))
        one, two, three = await persons(house, *mrns)
        assert (one == three, one == two) == (True, False), order


async def test_a_number_that_speaks_against_a_merge_is_a_dispute_until_it_is_set_right(
    house: House,
) -> None:
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await visited(house, UNKNOWN, GONE, "AST", "HAMA")
    await house.sign(mrn=KEPT)
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    assert await seen(house) == {"ALT", "AST"}

    await house.file(house.adt(OTHER, GONE, event="A08", visit="V8", at="2026-02-22T08:00"))

    assert await seen(house) == set()
    assert "merge-two-persons" in await house.alarms()
    await house.file(house.adt(SHEN, GONE, event="A08", visit="V9", at="2026-02-23T08:00"))
    assert await seen(house) == {"ALT", "AST"}


async def test_what_the_hospital_parts_is_in_dispute_while_a_third_folder_holds_it_together(
    house: House,
) -> None:
    await visited(house, SHEN, KEPT, "ALT", "HAMA")
    await visited(house, SHEN, GONE, "AST", "HAMD")
    await house.file(house.adt(SHEN, TRUE, visit="V3"))
    await house.sign(mrn=KEPT)
    assert await seen(house) == {"ALT", "AST"}

    await house.file(said("A37", KEPT, GONE, "2026-02-21T08:00"))

    assert await seen(house) == set(), "one of the two carries a wrong number"
    await house.file(house.adt(OTHER, GONE, event="A08", visit="V9", at="2026-02-22T08:00"))
    assert await seen(house) == {"ALT"}
    kept, gone, third = await persons(house, KEPT, GONE, TRUE)
    assert kept == third != gone


# With decisions, over the wire


async def sent(here: Town, *raws: bytes) -> None:
    """By MLLP, as a hospital's engine sends it, and filed."""
    allowed = replace(here.services.settings, mllp_plain="people-his=127.0.0.1/32")
    door = await mllp.open_door(replace(here.services, settings=allowed), "127.0.0.1", 0)

    def send() -> list[bytes]:
        with hl7.client.MLLPClient("127.0.0.1", door.port) as client:
            return [client.send_message(raw) for raw in raws]

    try:
        answers = await asyncio.to_thread(send)
    finally:
        await door.close()
    assert all(b"MSA|AA|" in one for one in answers)
    await Worker(here.services).drain()


async def relied(services: Services, *, rows: bool) -> tuple[Town, House, str]:
    """Dr Li of the TCM hospital, with a folder of the resident or without, is to recognise an ALT."""
    here = await town(services, "shen", rows=rows)
    await here.sign("shen")
    return here, House(services, Clock()), people.mrn(here.resident("shen"))


async def recognised(here: Town) -> None:
    shown = await here.results("shen", LI)
    [one] = [r for r in panel(shown, "肝功能").results if r.item == ALT]
    chosen = [(one.id, one.version)]
    await decide_results(
        shown.resident.chart, chosen, Verdict(Choice.ACCEPT), LI, here.services, PORTAL
    )


async def changes(here: Town) -> list[str]:
    return [one.change for one in await alerts.look(LI, here.services)]


async def items(here: Town) -> list[str]:
    shown = await here.portal.open_resident(here.number("shen"), LI, REASON)
    if not isinstance(shown, Resident):
        return []
    found = await here.portal.results(shown.chart, LI)
    return [r.item for p in getattr(found, "reports", ()) for r in p.results]


OWN_FOLDER = pytest.mark.parametrize("rows", [True, False], ids=["own folder", "folder of ours"])


@OWN_FOLDER
async def test_who_relied_on_a_folder_whose_number_is_corrected_is_told(
    services: Services, rows: bool
) -> None:
    here, house, mrn = await relied(services, rows=rows)
    await recognised(here)
    assert await changes(here) == []
    await sent(here, house.adt(OTHER, mrn, event="A08", visit="V9", at="2126-02-22T08:00"))
    assert await changes(here) == ["identity"]
    assert ALT not in await items(here)


@OWN_FOLDER
async def test_who_relied_on_joined_folders_is_told_when_the_hospital_parts_them(
    services: Services, rows: bool
) -> None:
    """GONE was entered under the number of Shen, whose ALT is recognised: for whom, nobody knows."""
    here, house, mrn = await relied(services, rows=rows)
    shen = here.resident("shen")
    await sent(here, house.adt(shen, GONE, visit="V9"))
    await recognised(here)
    assert await changes(here) == []

    await sent(here, said("A37", mrn, GONE, "2126-02-21T08:00"))

    assert await changes(here) == ["identity"]
    assert await items(here) == [], "as long as both carry the number"
    late = house.oru(shen, GONE, ("AST", "88.80", "F"), report="U1", visit="V9")
    await sent(here, house.adt(OTHER, GONE, event="A08", visit="V9", at="2126-02-22T08:00"), late)
    kept, gone = await persons(house, mrn, GONE)
    assert kept != gone
    assert ALT in await items(here)
    [one] = [one for one in await house.current("Observation") if b"88.80" in one.text]
    assert one.chart == house.chart(GONE)
    assert await changes(here) == ["identity"], "told once"


@OWN_FOLDER
async def test_a_merge_taken_back_leaves_decisions_alone_that_it_never_touched(
    services: Services, rows: bool
) -> None:
    here, house, mrn = await relied(services, rows=rows)
    await recognised(here)
    await sent(
        here,
        house.adt(UNKNOWN, GONE, visit="V9"),
        said("A40", mrn, GONE, "2126-02-21T08:00"),
        said("A37", mrn, GONE, "2126-02-22T08:00"),
    )
    assert await changes(here) == []
    assert ALT in await items(here)
