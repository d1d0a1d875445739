"""Merges a hospital declares: two of its numbers become one person, in any order, and apart again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import select

from gateway.audit.events import Kind
from gateway.demo import people
from gateway.exchange.joining import RULE
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, clinician, person
from tests.logged import kinds

KEPT, GONE = "0000000001", "0000000002"
SHEN = person()
# The same man, registered in a hurry without his number.
UNKNOWN = replace(SHEN, key="unknown", name="王坤", born=date(1980, 1, 2), number="")
LINKS = Statement(select(tables.Link.__table__))  # type: ignore[attr-defined]


def said(event: str, kept: str, gone: str, at: str, control: str = "") -> bytes:
    """ADT about two numbers: PID and MRG, or two PID where the event is about a pair."""
    when = datetime.fromisoformat(at)
    lines = [f"EVN|{event}|{people.stamp(when)}", f"PID|1||{kept}^^^330421A&HIS"]
    lines += [
        f"PID|2||{gone}^^^330421A&HIS" if event in ("A24", "A37") else f"MRG|{gone}^^^330421A&HIS"
    ]
    return people.message("HIS", f"ADT^{event}", when, control or f"M{event}{kept}{at}", lines)


async def persons(house: House, *numbers: str) -> list[str]:
    table = tables.Chart.__table__  # type: ignore[attr-defined]
    found = dict(await house.services.db.read(Statement(select(table.c.id, table.c.person))))
    return [found[house.chart(number)] for number in numbers]


async def patient(house: House, number: str) -> dict[str, Any]:
    chart = house.chart(number)
    (one,) = [one for one in await house.current("Patient") if one.chart == chart]
    return one.plain


@pytest.mark.parametrize("event", ["A18", "A34", "A36", "A39", "A40", "A47"])
async def test_a_merge_links_the_charts_and_retires_the_number(house: House, event: str) -> None:
    states = await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.adt(UNKNOWN, GONE, visit="V2", at="2026-02-20T09:00"),
        said(event, KEPT, GONE, "2026-02-21T08:00"),
    )
    assert states == ["filed", "filed", "filed"]
    one, other = await persons(house, KEPT, GONE)
    assert one == other
    retired = await patient(house, GONE)
    assert retired["active"] is False
    assert retired["link"] == [
        {"other": {"reference": f"Patient/{house.chart(KEPT)}"}, "type": "replaced-by"}
    ]
    assert retired["name"][0]["text"] == "王坤"
    assert "active" not in await patient(house, KEPT)
    assert str(Kind.LINK) in await kinds(house.services)


async def test_what_hangs_on_the_retired_number_stays_where_it_is_and_is_found(
    house: House,
) -> None:
    await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.oru(UNKNOWN, GONE, ("ALT", "62.40", "F"), at="2026-02-20T10:00"),
    )
    (before,) = await house.current("Observation")
    await house.sign(mrn=KEPT)
    assert not (await house.search("Observation", clinician(), mrn=KEPT)).records
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    (after,) = await house.current("Observation")
    assert (after.text, after.version) == (before.text, before.version)
    page = await house.search("Observation", clinician(), mrn=KEPT)
    assert [one.id for one in page.records] == [before.id]


async def test_an_epoch_moves_when_a_person_grows(house: House) -> None:
    await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.adt(UNKNOWN, GONE, visit="V2", at="2026-02-20T09:00"),
    )
    before = {row.id: row.epoch for row in (await house.grounds(house.chart(GONE))).charts}
    before |= {row.id: row.epoch for row in (await house.grounds(house.chart(KEPT))).charts}
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    after = {row.id: row.epoch for row in (await house.grounds(house.chart(GONE))).charts}
    assert set(after) == {house.chart(KEPT), house.chart(GONE)}
    assert any(after[chart] > before[chart] for chart in after)


async def test_a_merge_that_names_an_unknown_number_makes_a_chart_that_waits_for_it(
    house: House,
) -> None:
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    one, other = await persons(house, KEPT, GONE)
    assert one == other
    assert (await patient(house, GONE))["active"] is False
    await house.file(house.oru(UNKNOWN, GONE, ("ALT", "62.40", "F"), at="2026-02-20T10:00"))
    (result,) = await house.current("Observation")
    assert result.chart == house.chart(GONE)


async def test_a37_takes_a_merge_back(house: House) -> None:
    await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.adt(UNKNOWN, GONE, visit="V2", at="2026-02-20T09:00"),
        said("A40", KEPT, GONE, "2026-02-21T08:00"),
        said("A37", KEPT, GONE, "2026-02-22T08:00"),
    )
    one, other = await persons(house, KEPT, GONE)
    assert one != other
    again = await patient(house, GONE)
    assert again["active"] is True
    assert "link" not in again
    assert str(Kind.UNLINK) in await kinds(house.services)
    (link,) = await house.services.db.read(LINKS)
    assert (link[3], link[7]) == (RULE, "source")  # the row stays, revoked
    assert link[6] > 0


async def test_in_any_order_the_same_messages_leave_the_same_links(house: House) -> None:
    """Merged at two, parted at three, merged again at four: twice each, in every order."""
    steps = (
        ("A40", "2026-02-21T02:00"),
        ("A37", "2026-02-21T03:00"),
        ("A40", "2026-02-21T04:00"),
    )
    for number, order in enumerate(permutations([0, 1, 2])):
        kept, gone = f"1{number:09}", f"2{number:09}"
        for upto, expected in ((3, True), (2, False)):
            one, two = f"{kept}{upto}", f"{gone}{upto}"
            for place in [place for place in order if place < upto] * 2:
                event, at = steps[place]
                await house.file(said(event, one, two, at))
            first, second = await persons(house, one, two)
            assert (first == second) is expected, (order, upto)
            assert (await patient(house, two)).get("active") is not expected


async def test_filing_everything_again_changes_nothing(house: House) -> None:
    await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.adt(UNKNOWN, GONE, visit="V2", at="2026-02-20T09:00"),
        said("A40", KEPT, GONE, "2026-02-21T08:00"),
    )
    before, links = await house.state(), await house.services.db.read(LINKS)
    await house.again()
    assert await house.state() == before
    assert await house.services.db.read(LINKS) == links


async def test_charts_with_two_resident_ids_are_not_merged_but_shown(house: House) -> None:
    other = person("other", "李四", date(1990, 5, 5), sex="female")
    states = await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.adt(other, GONE, visit="V2", at="2026-02-20T09:00"),
        said("A40", KEPT, GONE, "2026-02-21T08:00"),
    )
    assert states[-1] == "quarantined"
    one, two = await persons(house, KEPT, GONE)
    assert one != two
    assert "active" not in await patient(house, GONE)
    assert "merge-two-persons" in await house.alarms()


async def test_what_a_person_has_parted_no_message_joins(house: House) -> None:
    await house.file(
        house.adt(SHEN, KEPT, at="2026-02-20T08:00"),
        house.adt(UNKNOWN, GONE, visit="V2", at="2026-02-20T09:00"),
        said("A40", KEPT, GONE, "2026-02-21T08:00"),
    )
    table = tables.Link.__table__  # type: ignore[attr-defined]
    await house.services.db.do(
        lambda tx: tx.run(Statement(table.update().values(revoked=1, revoked_by="registrar")))
    )
    (state,) = await house.file(said("A40", KEPT, GONE, "2026-02-24T08:00"))
    assert state == "quarantined"
    assert "merge-was-parted" in await house.alarms()


async def test_a24_links_two_numbers_that_both_stay_in_use(house: House) -> None:
    await house.file(said("A24", KEPT, GONE, "2026-02-21T08:00"))
    one, other = await persons(house, KEPT, GONE)
    assert one == other
    linked = await patient(house, GONE)
    assert "active" not in linked
    assert linked["link"][0]["type"] == "seealso"


async def test_another_hospitals_number_is_never_named_by_a_merge(house: House) -> None:
    """The same digits at another hospital are another chart, whatever the message says."""
    await house.file(said("A40", KEPT, GONE, "2026-02-21T08:00"))
    charts = await house.services.db.read(
        Statement(select(tables.Chart.__table__.c.organization))  # type: ignore[attr-defined]
    )
    assert {row[0] for row in charts} == {"people"}
    assert house.chart(KEPT) != house.chart(KEPT, "tcm")
