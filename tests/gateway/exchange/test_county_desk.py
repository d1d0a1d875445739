"""The commission's desk: hospitals in counts as their IT offices see them, and what waits for a decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import county_desk, glance, receive, sources
from gateway.exchange.county_desk import ending
from gateway.exchange.receive import Unit
from gateway.jobs.worker import Worker
from gateway.recognition.catalogue import Entitlement, Member, Span
from gateway.services import Services
from gateway.store import cards, write_backs
from gateway.store import statistics as figures
from gateway.store.engine import Tx
from tests.gateway.exchange.portal_county import LI, OFFICE, caller, town

ONE = caller("commission")
DAY = 86_400_000_000


async def test_the_commission_counts_what_the_it_office_sees(services: Services) -> None:
    here = await town(services, "shen", rows=False)
    await receive.receive("people-his", [Unit(b"MSH|not a message")], services)
    before = {one.organization: one for one in await county_desk.hospitals(ONE, services)}
    assert before["people"].late == 0
    await Worker(here.services).drain()
    await sources.set_state("township-csv", "paused", services)

    def fail(tx: Tx) -> None:
        for n, organization in enumerate(("people", *["tcm"] * 5)):
            tx.run(
                write_backs.ADD, f"{n:032}", organization, "c" * 32, "t", 1, "failed", 24, 1,
                "ConnectTimeout", b"x", "alert",
            )  # fmt: skip

    await services.db.do(fail)
    found = {one.organization: one for one in await county_desk.hospitals(ONE, services)}
    seen = await glance.glance(OFFICE, services)

    people = found["people"]
    assert (people.held, people.oldest, people.codes) == (1, 0, seen.codes)
    assert people.silent == len(seen.silent)
    assert (people.failed, found["tcm"].failed, found["mch"].failed) == (None, 5, 0)
    assert (found["township"].paused, found["township"].feeds) == (1, 2)
    assert people.asks
    assert (await county_desk.alert_counts(ONE, services)).untold == 6


async def test_what_waits_is_listed_until_it_is_done(services: Services) -> None:
    empty = await county_desk.waiting(ONE, services)
    assert (empty.drafted, empty.objections, empty.orders) == ((), (), ())

    def ask(tx: Tx) -> None:
        tx.run(figures.ADD_OBJECTION, "o", "2026-02", "tcm", "li", 5, b"x", "open", "", 0, b"")
        tx.run(cards.MEET, "tcm", "d" * 64, b"x", 9)

    await services.db.do(ask)
    found = await county_desk.waiting(ONE, services)

    assert [(one.month, one.organization, one.at) for one in found.objections] == [
        ("2026-02", "tcm", 5)
    ]
    assert found.orders == (("tcm", 1),)


@pytest.mark.parametrize("who", [LI, OFFICE, replace(ONE, organization="people")])
async def test_other_roles_are_refused(services: Services, who: object) -> None:
    for ask in (county_desk.hospitals, county_desk.waiting, county_desk.alert_counts):
        with pytest.raises(Problem) as caught:
            await ask(who, services)  # type: ignore[operator]
        assert caught.value.kind is Kind.REFUSED


def granted(number: int, start: int, end: int, status: str = "active") -> Entitlement:
    span = Span(start * DAY, end * DAY)
    return Entitlement("tcm", "ALT", "", "county", span, status, "", "", number=number)


def test_only_what_really_ends_soon_is_told() -> None:
    member = Member("tcm", "county", Span(0, 1_005 * DAY), 9)
    told = [granted(1, 0, 1_010), granted(2, 0, 999), granted(3, 0, 1_200)]
    for entitled, numbers in (
        (told, [9]),  # the first goes on as number 3
        (told[:2], [9, 1]),
        ([granted(1, 0, 1_010), granted(1, 1_010, 1_300, "suspended")], [9]),
        ([granted(1, 0, 1_010), granted(1, 1_010, 1_300, "revoked")], [9, 1]),
        ([granted(1, 0, 1_010, "revoked")], [9]),
    ):
        assert [one.number for one in ending(entitled, [member], 1_000 * DAY)] == numbers
