"""Attacks on prompts and the pages they open: rows that say more than was given, answers at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from gateway.auth import people
from gateway.errors import Kind, Problem
from gateway.exchange import launching, prompting
from gateway.exchange.decide import Verdict
from gateway.recognition.decisions import Choice, Declined
from gateway.recognition.ledger import Happened
from gateway.services.caller import OPERATOR, Caller
from gateway.store import recognition_tables as tables
from gateway.store.statements import Statement
from tests.gateway.cds.conftest import ward
from tests.gateway.cds.ordering import (
    ALT,
    SELECT,
    accepted,
    events,
    feed_back,
    hook,
    order,
    overridden,
)
from tests.gateway.fhir.conftest import SHEN, Door
from tests.gateway.test_canary import dumped, spellings

__all__ = ["ward"]

pytestmark = pytest.mark.asyncio(loop_scope="module")
TICKET = tables.LaunchTicket.__table__  # type: ignore[attr-defined]
EVIDENCE = tables.DecisionEvidence.__table__  # type: ignore[attr-defined]
CARD = tables.RecognitionCard.__table__  # type: ignore[attr-defined]


async def card_of(door: Door, visit: str) -> dict[str, Any]:
    (card,) = await hook(door, SELECT, order("1", ALT), encounterId=visit)
    return card


def doctor(login: str, organization: str = "tcm") -> Caller:
    return Caller("tcm-his", organization, "clinician", login, login, "TREAT")


async def alter(door: Door, statement: Any) -> None:
    """Write into the database past the gateway."""
    await door.house.services.db.do(lambda tx: tx.run(Statement(statement)))


async def account(door: Door, login: str, organization: str = "tcm") -> None:
    await people.open_account(
        door.house.services, login=login, name=login, organization=organization,
        password="eleven-chars", roles=("clinician",), by=OPERATOR,
    )  # fmt: skip


@pytest.mark.parametrize(
    "altered",
    [{"login": "dr-boss"}, {"organization": "people"}, {"ends": 2**60}, {"sealed": b"\x00" * 60}],
)
async def test_a_ticket_lets_in_only_whom_it_was_given_for(
    ward: Door, altered: dict[str, Any]
) -> None:
    for login in ("dr-li", "dr-boss"):
        await account(ward, login)
    services = ward.house.services
    card = (await card_of(ward, "V101"))["uuid"]
    name = await launching.ticket(card, doctor("dr-li"), services)
    await alter(ward, update(TICKET).values(**altered))
    with pytest.raises(Problem) as told:
        await people.launched(services, name)
    assert told.value.kind is Kind.UNKNOWN


async def test_a_ticket_that_is_made_new_again_still_ends(ward: Door) -> None:
    await account(ward, "dr-li")
    services = ward.house.services
    card = (await card_of(ward, "V102"))["uuid"]
    name = await launching.ticket(card, doctor("dr-li"), services)
    await people.launched(services, name)
    ward.house.clock.forward(121)
    await alter(ward, update(TICKET).values(spent=0, ends=2**60))
    with pytest.raises(Problem):
        await people.launched(services, name)


@pytest.mark.parametrize(
    "altered", [{"login": "dr-boss"}, {"client": "people-his"}, {"ends": 2**60}]
)
async def test_a_card_is_only_whose_it_was(ward: Door, altered: dict[str, Any]) -> None:
    services = ward.house.services
    card = (await card_of(ward, f"V11-{next(iter(altered))}"))["uuid"]
    await alter(ward, update(CARD).where(CARD.c.id == card).values(**altered))
    for login in ("dr-li", "dr-boss"):
        for ask in (prompting.standing, prompting.shown_to):
            with pytest.raises(Problem) as told:
                await ask(card, doctor(login), services)
            assert told.value.kind is Kind.UNKNOWN


async def test_what_a_card_asked_is_not_put_under_another(ward: Door) -> None:
    services = ward.house.services
    one, two = [(await card_of(ward, visit))["uuid"] for visit in ("V121", "V122")]
    [(sealed,)] = await services.db.read(
        Statement(CARD.select().with_only_columns(CARD.c.sealed).where(CARD.c.id == two))
    )
    await alter(ward, update(CARD).where(CARD.c.id == one).values(sealed=sealed))
    answer = await feed_back(ward, SELECT, overridden({"uuid": one}))
    assert answer.status_code == 404


async def test_one_card_answered_in_many_ways_at_once_is_one_decision(ward: Door) -> None:
    card = await card_of(ward, "V131")
    before = len(await events(ward, Happened.DECISION))
    answers = await asyncio.gather(*(feed_back(ward, SELECT, accepted(card)) for _ in range(6)))
    assert {one.status_code for one in answers} == {200}
    assert len(await events(ward, Happened.DECISION)) == before + 1


async def test_yes_and_no_at_once_is_what_is_kept_of_the_card(ward: Door) -> None:
    card = await card_of(ward, "V141")
    said = [accepted(card), overridden(card, "01")] * 3
    answers = await asyncio.gather(*(feed_back(ward, SELECT, one) for one in said))
    assert {one.status_code for one in answers} <= {200, 409}
    first, second = [await feed_back(ward, SELECT, one) for one in said[:2]]
    assert {first.status_code, second.status_code} == {200, 409}
    last = (await events(ward, Happened.DECISION))[-1]
    assert last.choice == ("accept" if first.status_code == 200 else "decline")


async def test_a_card_is_answered_by_nobody_else(ward: Door) -> None:
    card = await card_of(ward, "V151")
    before = len(await events(ward))
    for user, client in (("dr-chen", "tcm-his"), ("dr-li", "people-his")):
        answer = await feed_back(ward, SELECT, accepted(card), user=user, client=client)
        assert answer.status_code in {401, 403, 404}, (user, client)
    assert len(await events(ward)) == before


async def test_nothing_of_what_was_asked_or_answered_stands_in_clear(ward: Door) -> None:
    services = ward.house.services
    await account(ward, "dr-li")
    planted = {
        "an order's name": "燶镡套餐甲乙丙",
        "an order's code": "ORDERCODE-CANARY-1",
        "a visit": "VISIT-CANARY-2",
        "a doctor's words": "家属代诉要求复查燶",
        "a resident's number": SHEN.number,
        "a resident's name": SHEN.name,
        "a value": "62.40",
    }
    unknown = {"coding": [{"system": "urn:x", "code": planted["an order's code"]}]}
    drafts = [
        order("1", ALT),
        order("2") | {"code": unknown | {"text": planted["an order's name"]}},
    ]
    cards = await hook(ward, SELECT, *drafts, encounterId=planted["a visit"])
    await launching.ticket(cards[0]["uuid"], doctor("dr-li"), services)
    words = planted["a doctor's words"]
    assert (await feed_back(ward, SELECT, overridden(cards[0], "99", words))).status_code == 200
    dump = await dumped(services)
    assert b"dr-li" in b"".join(dump.values()), "who asked may be read: this looks where it stands"
    assert [
        (what, place)
        for what, text in planted.items()
        for spelling in spellings(text)
        for place, data in dump.items()
        if spelling in data
    ] == []


async def test_two_clicks_on_the_page_at_once_leave_one_decision(ward: Door) -> None:
    services = ward.house.services
    card = (await card_of(ward, "V161"))["uuid"]
    kept = await prompting.shown_to(card, doctor("dr-li"), services)
    pins = [(one.result, one.version) for one in kept.targets]
    clicks = [Verdict(Choice.ACCEPT), Verdict(Choice.DECLINE, Declined.FAST)] * 3
    answers = await asyncio.gather(
        *(prompting.decide(card, pins, one, doctor("dr-li"), services) for one in clicks),
        return_exceptions=True,
    )
    refused = [one for one in answers if one is not None]
    assert all(isinstance(one, Problem) and one.kind is Kind.CONFLICT for one in refused)
    assert len(refused) < len(clicks)
    rows = await services.db.read(
        Statement(EVIDENCE.select().with_only_columns(EVIDENCE.c.id).where(
            EVIDENCE.c.target == pins[0][0], EVIDENCE.c.standing == 1
        ))
    )  # fmt: skip
    assert len(rows) == 1


async def test_a_card_answered_late_is_of_its_visit_and_of_nobody_who_treats_no_more(
    ward: Door,
) -> None:
    first, second = [await card_of(ward, visit) for visit in ("V171", "V172")]
    *_, asked, _ = await events(ward, Happened.PROMPT)
    ward.house.clock.forward(6 * 3_600)
    assert (await feed_back(ward, SELECT, overridden(first, "01"))).status_code == 200
    said = (await events(ward, Happened.DECISION))[-1]
    assert said.question == asked.question

    ward.house.clock.forward(2 * 86_400)  # the declared relationship is over
    before = len(await events(ward))
    assert (await feed_back(ward, SELECT, overridden(second, "01"))).status_code == 404
    assert len(await events(ward)) == before
