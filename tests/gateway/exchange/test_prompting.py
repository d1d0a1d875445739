"""What is remembered of prompts, on each engine: a card is kept once, answered once, and ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Problem
from gateway.exchange import ledger, prompting, unmapped_orders
from gateway.exchange.duplicates import Checked, Draft
from gateway.exchange.ledger import Visit
from gateway.exchange.prompting import Card, Feedback, Kept, Taken, Target
from gateway.recognition.ledger import Happened
from gateway.services import Services
from tests.gateway.exchange.house import clinician

LI = clinician("dr-li", "tcm")
CONNECTIONS = 20  # more than a process has to PostgreSQL
CARD = "0c5a1f3e-8d1b-8c11-9a55-2f6f0e7b1d42"
KEPT = Kept(
    service="recognition-order-select",
    chart="c" * 32,
    person="c" * 32,
    encounter="e" * 32,
    department="",
    patient_class="OP",
    hook="order-select",
    order="ServiceRequest/1",
    said="",
    targets=(Target("ALT", "a" * 32, "v1", "people"),),
    suggestions={},
    rules={"catalogue": "c1", "rules": "annex-d-2"},
)


async def _told(services: Services) -> None:
    at = services.now()
    checked = Checked(KEPT.chart, (), (), {}, (), Visit(), at)
    await prompting.tell(checked, (), (), [Card(CARD, KEPT)], LI, services)


async def test_a_card_is_given_once_and_is_its_clinicians_alone(services: Services) -> None:
    await _told(services)
    await _told(services)
    assert await prompting.standing(CARD, LI, services) == KEPT
    for other in (clinician("dr-chen", "tcm"), replace(LI, client="another-system")):
        with pytest.raises(Problem):
            await prompting.standing(CARD, other, services)


async def test_a_card_is_closed_once_and_another_answer_is_told_apart(services: Services) -> None:
    await _told(services)
    closed = Feedback(CARD, None, words="later")
    answers = [
        await prompting.answer(KEPT.service, said, LI, services)
        for said in (closed, closed, Feedback(CARD, None, words="never"))
    ]
    assert answers == [Taken.RECORDED, Taken.RECORDED, Taken.OTHERWISE]
    happened = await ledger.between(0, services.now() + 1, services)
    assert [(one.kind, one.item) for one in happened] == [(Happened.DISMISSED, "ALT")]


async def test_a_card_ends_when_no_feedback_is_taken_any_more(services: Services) -> None:
    await _told(services)
    later = replace(services, now=lambda: services.now() + prompting.LIFE + 1_000_000)
    assert await prompting.answer(KEPT.service, Feedback(CARD, None), LI, later) is Taken.UNKNOWN
    await prompting.forget(later)
    with pytest.raises(Problem):
        await prompting.standing(CARD, LI, services)


async def test_an_unknown_order_is_kept_once_and_counted_when_signed(services: Services) -> None:
    drafts = [Draft("1", (("urn:his", "9001"),), "某项目"), Draft("2", (), "肝功")]
    await unmapped_orders.meet(drafts, LI, services, signed=False)
    await unmapped_orders.meet(drafts[:1], LI, services, signed=True)
    await unmapped_orders.meet(drafts[:1], LI, services, signed=True)
    found = await unmapped_orders.standing("tcm", services)
    assert [(one.codings, one.name, one.signed) for one in found] == [
        ((("urn:his", "9001"),), "某项目", 2),
        ((), "肝功", 0),
    ]
    assert await unmapped_orders.standing("people", services) == ()


async def test_a_hospital_that_orders_nonsense_stops_at_a_bound_and_is_counted(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unmapped_orders, "MOST", 5)
    nonsense = [Draft(str(n), (("urn:his", f"X{n}"),), f"第{n}个病人") for n in range(20)]
    for batch in (nonsense[:4], nonsense[:8], nonsense[8:]):
        await unmapped_orders.meet(batch, LI, services, signed=True)
    await unmapped_orders.meet(nonsense[:1], LI, services, signed=True)
    await unmapped_orders.meet(nonsense[:1], clinician("dr-wang"), services, signed=True)

    found = await unmapped_orders.standing("tcm", services)
    assert [(one.name, one.signed) for one in found][:1] == [("第0个病人", 3)]
    assert len(found) == 5
    assert services.counts[unmapped_orders.BEYOND] == 15
    assert len(await unmapped_orders.standing("people", services)) == 1


async def test_many_calls_at_once_stay_within_the_bound(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unmapped_orders, "MOST", 5)
    await asyncio.gather(
        *(
            unmapped_orders.meet([Draft("1", (), f"某项目{n}")], LI, services, signed=False)
            for n in range(40)
        )
    )
    kept = len(await unmapped_orders.standing("tcm", services))
    assert kept + services.counts[unmapped_orders.BEYOND] == 40
    assert 5 <= kept <= (5 if services.db.engine == "sqlite" else 5 + CONNECTIONS)
