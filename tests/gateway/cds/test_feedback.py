"""What a clinician did with a card: decided, declined with a reason, closed, or said nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from gateway.exchange import prompting
from gateway.exchange.ask import nothing
from gateway.recognition.ledger import Happened
from gateway.store import cards
from gateway.store.cards import CardRow
from tests.gateway.cds.ordering import (
    ALT,
    AST,
    CREA,
    SELECT,
    SIGN,
    VIEW,
    accepted,
    events,
    feed_back,
    hook,
    order,
    overridden,
    post,
)
from tests.gateway.fhir.conftest import Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
_LAST = (Happened.DECISION, Happened.REVOCATION, Happened.ORDERED, Happened.DISMISSED)


async def since(door: Door, begun: int) -> list[tuple[str, str, str, str]]:
    """(kind, item, choice, reason) of what was decided since."""
    found = await events(door, *_LAST)
    return [(one.kind.value, one.item, one.choice, one.reason) for one in found if one.at > begun]


async def tasks(door: Door) -> list[dict[str, Any]]:
    return [one.plain for one in await door.house.current("Task")]


async def cancelled(door: Door) -> int:
    return sum(one["status"] == "cancelled" for one in await tasks(door))


async def test_accepting_is_a_decision_on_each_result_that_was_shown(ward: Door) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, SELECT, order("a", ALT, AST), encounterId="A1")
    services = ward.house.services
    kept = CardRow(*(await services.db.read(cards.STANDING, [card["uuid"]]))[0])
    assert prompting._kept(kept, services).number == "A1"  # the HIS is told so again

    answer = await feed_back(ward, SELECT, accepted(card))

    assert answer.status_code == 200, answer.text
    assert sorted(await since(ward, begun)) == [
        ("decision", "HR-L-0001", "accept", ""),
        ("decision", "HR-L-0002", "accept", ""),
    ]
    assert await hook(ward, SELECT, order("a", ALT, AST), encounterId="A1") == []  # asked once


async def test_accepting_what_is_covered_leaves_what_is_missing(ward: Door) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, SELECT, order("a", ALT, CREA), encounterId="A2")

    assert (await feed_back(ward, SELECT, accepted(card))).status_code == 200

    assert await since(ward, begun) == [("decision", "HR-L-0001", "accept", "")]


async def test_told_again_it_changes_nothing_and_told_otherwise_it_conflicts(ward: Door) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A3")
    entry = accepted(card)

    answers = await asyncio.gather(*(feed_back(ward, SELECT, entry) for _ in range(3)))
    again = await feed_back(ward, SELECT, entry)
    otherwise = await feed_back(ward, SELECT, overridden(card, "07"))

    assert {one.status_code for one in (*answers, again)} == {200}
    assert (otherwise.status_code, otherwise.json()["at"]) == (409, "feedback[0]")
    assert await since(ward, begun) == [("decision", "HR-L-0001", "accept", "")]


async def test_overriding_with_a_reason_is_a_decline(ward: Door) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, SIGN, order("a", AST), encounterId="A4")

    answer = await feed_back(ward, SIGN, overridden(card, "99", "每日监测"))

    assert answer.status_code == 200, answer.text
    assert await since(ward, begun) == [("decision", "HR-L-0002", "decline", "99")]
    assert await hook(ward, SIGN, order("a", AST), encounterId="A4") == []


async def test_the_hospitals_own_reason_is_offered_and_kept_as_its_own(ward: Door) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A4x", language="en")
    (own,) = [one for one in card["overrideReasons"] if one["code"] == "Z1"]
    assert own["system"].endswith("/sid/tcm/decline-reason")
    assert own["display"] == "liver and kidney function again after herbal treatment"

    stranger = overridden(card, "Z1")
    stranger["overrideReason"]["reason"] = own | {"system": own["system"].replace("tcm", "people")}
    assert (await feed_back(ward, SELECT, stranger)).status_code == 400
    assert (await feed_back(ward, SELECT, overridden(card, "Z1"))).status_code == 200

    assert await since(ward, begun) == [("decision", "HR-L-0001", "decline", "Z1")]


async def test_overriding_without_a_reason_decides_nothing(ward: Door) -> None:
    """It is no decline; the card is closed for this doctor and this visit, and open to a colleague's."""
    begun = ward.house.services.now()
    before = len(await tasks(ward))
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A5")

    assert (await feed_back(ward, SELECT, overridden(card))).status_code == 200

    assert await since(ward, begun) == [("dismissed", "HR-L-0001", "", "")]
    assert len(await tasks(ward)) == before
    assert await hook(ward, SELECT, order("a", ALT), encounterId="A5") == []
    assert await hook(ward, SELECT, order("a", ALT), encounterId="A5x")


async def test_another_reason_needs_words(ward: Door) -> None:
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A6")

    silent = await feed_back(ward, SELECT, overridden(card, "08"))
    spoken = await feed_back(ward, SELECT, overridden(card, "08", "转院前复核"))

    assert (silent.status_code, silent.json()["at"]) == (
        422,
        "feedback[0].overrideReason.userComment",
    )
    assert spoken.status_code == 200


async def test_saying_nothing_is_nothing(ward: Door) -> None:
    begun = ward.house.services.now()

    await hook(ward, SELECT, order("a", ALT), encounterId="A7")

    assert await since(ward, begun) == []


async def test_signing_the_order_after_all_undoes_the_decision(ward: Door) -> None:
    begun, before = ward.house.services.now(), await cancelled(ward)
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A8")
    await feed_back(ward, SELECT, accepted(card))

    await hook(ward, SIGN, order("a", ALT), encounterId="A8")

    kinds = [kind for kind, *_ in await since(ward, begun)]
    assert sorted(kinds) == ["decision", "ordered", "revocation"]
    assert await cancelled(ward) == before + 1


# Cards of others


async def test_unknown_cards_and_those_of_others_are_one_answer(ward: Door) -> None:
    """A card nobody gave, another doctor's, another service's and another hospital's."""
    begun = ward.house.services.now()
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A9")
    nobodys = accepted(card) | {"card": str(uuid.uuid4())}

    answers = [
        await feed_back(ward, SELECT, nobodys),
        await feed_back(ward, SELECT, accepted(card), user="dr-chen"),
        await feed_back(ward, SIGN, accepted(card)),
        await feed_back(ward, SELECT, accepted(card), user="dr-wang", client="people-his"),
    ]

    assert {(one.status_code, one.content) for one in answers} == {
        (404, answers[0].content),
    }
    assert answers[0].json()["at"] == "feedback[0].card"
    assert await since(ward, begun) == []


async def test_what_is_known_in_a_batch_is_recorded_whatever_stands_beside_it(ward: Door) -> None:
    begun = ward.house.services.now()
    (one,) = await hook(ward, SELECT, order("a", ALT), encounterId="A10")
    (other,) = await hook(ward, SELECT, order("a", AST), encounterId="A11")
    unknown = overridden(one, "07") | {"card": str(uuid.uuid4())}

    answer = await feed_back(ward, SELECT, overridden(one, "01"), unknown, accepted(other), unknown)

    assert answer.status_code == 404
    assert answer.json()["all"] == ["feedback[1].card", "feedback[3].card"]
    assert sorted(await since(ward, begun)) == [
        ("decision", "HR-L-0001", "decline", "01"),
        ("decision", "HR-L-0002", "accept", ""),
    ]


async def test_an_entry_that_cannot_be_done_does_not_hold_up_the_others(ward: Door) -> None:
    begun = ward.house.services.now()
    (one,) = await hook(ward, SELECT, order("a", ALT), encounterId="A14")
    (other,) = await hook(ward, SELECT, order("a", AST), encounterId="A15")
    foreign = accepted(one) | {"acceptedSuggestions": [{"id": CARD}]}

    answer = await feed_back(ward, SELECT, foreign, accepted(other))

    assert (answer.status_code, answer.json()["at"]) == (400, "feedback[0].acceptedSuggestions")
    assert await since(ward, begun) == [("decision", "HR-L-0002", "accept", "")]


async def test_signing_goes_on_where_the_decision_may_not_be_seen_any_more(
    ward: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A16")
    await feed_back(ward, SELECT, accepted(card))

    async def hidden(*_: object) -> None:
        raise nothing()

    monkeypatch.setattr(prompting, "repeal", hidden)

    assert await hook(ward, SIGN, order("a", ALT), encounterId="A16") == []
    assert [kind for kind, *_ in await since(ward, begun)] == ["decision"]


async def test_a_card_that_only_counts_takes_a_closing_and_decides_nothing(ward: Door) -> None:
    begun = ward.house.services.now()
    (card,) = await hook(ward, VIEW, encounterId="A12")

    answer = await feed_back(ward, VIEW, overridden(card))

    assert answer.status_code == 200
    assert await since(ward, begun) == []


# Bad input

CARD = "8147831d-7065-8274-aeff-8751b262df6b"
GOOD = {
    "card": CARD,
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": CARD}],
    "outcomeTimestamp": "2026-03-01T12:00:00Z",
}


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ([], ""),
        ({}, "feedback"),
        ({"feedback": {}}, "feedback"),
        ({"feedback": []}, "feedback"),
        ({"feedback": [GOOD] * 101}, "feedback"),
        ({"feedback": [GOOD, 1]}, "feedback[1]"),
        ({"feedback": [GOOD | {"card": "1"}]}, "feedback[0].card"),
        ({"feedback": [GOOD | {"card": None}]}, "feedback[0].card"),
        ({"feedback": [GOOD | {"outcome": "ignored"}]}, "feedback[0].outcome"),
        ({"feedback": [GOOD | {"outcome": None}]}, "feedback[0].outcome"),
        ({"feedback": [GOOD | {"outcomeTimestamp": None}]}, "feedback[0].outcomeTimestamp"),
        ({"feedback": [GOOD | {"outcomeTimestamp": "today"}]}, "feedback[0].outcomeTimestamp"),
        ({"feedback": [GOOD | {"acceptedSuggestions": []}]}, "feedback[0].acceptedSuggestions"),
        (
            {"feedback": [GOOD | {"acceptedSuggestions": [{"id": 1}]}]},
            "feedback[0].acceptedSuggestions[0].id",
        ),
        ({"feedback": [GOOD | {"overrideReason": {}}]}, "feedback[0].overrideReason"),
        ({"feedback": [GOOD | {"outcome": "overridden"}]}, "feedback[0].acceptedSuggestions"),
        (
            {
                "feedback": [
                    {
                        "card": CARD,
                        "outcome": "overridden",
                        "overrideReason": {"reason": {"code": "42"}},
                        "outcomeTimestamp": "2026-03-01T12:00:00Z",
                    }
                ]
            },
            "feedback[0].overrideReason.reason",
        ),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_place(
    ward: Door, said: Any, place: str
) -> None:
    answer = await post(ward, f"{SELECT}/feedback", said)

    assert (answer.status_code, answer.json().get("at", "")) == (400, place)


async def test_a_suggestion_of_another_card_is_refused(ward: Door) -> None:
    (card,) = await hook(ward, SELECT, order("a", ALT), encounterId="A13")
    entry = accepted(card) | {"acceptedSuggestions": [{"id": CARD}]}

    answer = await feed_back(ward, SELECT, entry)

    assert (answer.status_code, answer.json()["at"]) == (400, "feedback[0].acceptedSuggestions")


async def test_the_consult_takes_no_feedback(ward: Door) -> None:
    answer = await feed_back(ward, "patient-consent-consult", GOOD)

    assert answer.status_code == 404
