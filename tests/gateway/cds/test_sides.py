"""One knee is not the other: what was answered for the left is asked again for the right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cds.cards import groups
from gateway.cds.orders import Written
from gateway.exchange.duplicates import Checked, Draft, Question
from gateway.exchange.ledger import PORTAL, questions
from gateway.recognition.orders import Candidate, Order, compare
from gateway.services import Services
from tests.gateway.exchange.house import clinician
from tests.gateway.recognition.test_orders import KNEE, judged

KEYS = ("left", "right", "both")


def ordered(sides: tuple[str, ...], measured: tuple[str, ...], **answered: Question) -> Any:
    """What is asked when orders of these sides meet results of those, with some questions answered."""
    found = []
    for side in measured:
        judgement = judged(KNEE, side=side)
        judged_ = SimpleNamespace(judgement=judgement)
        opened = SimpleNamespace(id=side, version="v1", type="DiagnosticReport")
        result: Any = SimpleNamespace(judged=judged_, opened=opened, organization="people")
        found.append(Candidate(judgement, "people", f"DiagnosticReport/{side}", result))
    orders = [Order(side, (KNEE,), side=side) for side in sides]
    drafts = tuple(Draft(side, ()) for side in sides)
    compared = tuple(compare([one], found).orders[0] for one in orders)
    asked = {(KNEE.code, side): answered.get(side, Question(side)) for side in measured}
    checked = Checked("c" * 32, drafts, compared, asked, (), PORTAL, 0)
    return groups([Written(one, {}) for one in drafts], checked)


ACCEPTED = Question("left", task="t", accepted=True)


@pytest.mark.parametrize(
    ("sides", "measured", "answered", "asked"),
    [
        (("left", "right"), ("left", "right"), {}, ["left", "right"]),
        (("left", "right"), ("left", "right"), {"left": ACCEPTED}, ["right"]),
        (("left",), ("left", "right"), {"left": Question("left", dismissed=True)}, []),
        (("right",), ("both",), {"both": Question("both", task="t", accepted=True)}, []),
    ],
)
def test_each_side_is_asked_and_settled_for_itself(
    sides: tuple[str, ...], measured: tuple[str, ...], answered: Any, asked: list[str]
) -> None:
    told = groups_of(ordered(sides, measured, **answered))
    assert told == asked


def groups_of(found: Any) -> list[str]:
    return [shown.best.opened.id for group in found for shown in group.shown]


async def test_a_question_is_of_one_side_and_of_none_where_sides_do_not_matter(
    services: Services,
) -> None:
    about = [(KNEE.code, side) for side in ("", *KEYS)]
    names = questions(clinician("dr-li", "tcm"), "p", about, PORTAL, services.now(), services)
    assert len(set(names.values())) == len(about)
