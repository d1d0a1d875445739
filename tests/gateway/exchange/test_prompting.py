"""What is remembered of prompts, on each engine: a card is kept once, answered once, and ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import Problem
from gateway.exchange import ledger, prompting
from gateway.exchange.duplicates import Checked, Draft
from gateway.exchange.ledger import Visit
from gateway.exchange.prompting import Card, Feedback, Kept, Taken, Target
from gateway.recognition.ledger import Happened
from gateway.services import Services
from tests.gateway.exchange.house import clinician

LI = clinician("dr-li", "tcm")
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
    await prompting.meet_unmapped(drafts, LI, services, signed=False)
    await prompting.meet_unmapped(drafts[:1], LI, services, signed=True)
    await prompting.meet_unmapped(drafts[:1], LI, services, signed=True)
    found = await prompting.unmapped_orders("tcm", services)
    assert [(one.codings, one.name, one.signed) for one in found] == [
        ((("urn:his", "9001"),), "某项目", 2),
        ((), "肝功", 0),
    ]
    assert await prompting.unmapped_orders("people", services) == ()
