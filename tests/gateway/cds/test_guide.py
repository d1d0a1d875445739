"""The guide for vendors (gateway/cds/README.md): its code asks and answers over a real socket."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from requests import Session

import gateway.cds
from gateway.errors import Kind
from gateway.recognition.decisions import Choice
from gateway.recognition.ledger import Happened
from tests.gateway.cds.ordering import ALT, AST, LOINC, events
from tests.gateway.fhir.conftest import KEY, SHEN, Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
GUIDE = (Path(gateway.cds.__path__[0]) / "README.md").read_text("utf-8")
DOCTOR = {"id": "dr-li", "name": "李明轩", "organization": "tcm"}
ORDERS = [("alt", LOINC, ALT, "丙氨酸氨基转移酶"), ("ast", LOINC, AST, "天门冬氨酸氨基转移酶")]


@pytest.fixture
def code(ward: Door) -> dict[str, Any]:
    """What the guide's Python defines, on the county's clock."""
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        exec(block, found)
    found["time"] = SimpleNamespace(time=lambda: ward.house.services.now() // 1_000_000)
    return found


def place(door: Door) -> str:
    return door.house.services.settings.base_url.rstrip("/")


async def asked(door: Door, code: dict[str, Any], visit: str) -> list[dict[str, Any]]:
    call = (place(door), "tcm-his", DOCTOR, KEY, SHEN.number, visit, ORDERS)
    return list(await asyncio.to_thread(code["ask"], *call))


async def decided(door: Door, choice: Choice) -> int:
    return sum(one.choice == choice for one in await events(door, Happened.DECISION))


async def test_what_is_asked_is_told_once_and_an_accepted_suggestion_is_a_decision(
    ward: Door, code: dict[str, Any]
) -> None:
    (card,) = await asked(ward, code, "guide-1")
    assert "62.40 U/L" in card["detail"]
    before = await decided(ward, Choice.ACCEPT)

    call = (place(ward), "tcm-his", DOCTOR, KEY, card)
    await asyncio.to_thread(code["answer"], *call)

    assert await decided(ward, Choice.ACCEPT) == before + 2
    assert await asked(ward, code, "guide-1") == []


async def test_a_reason_of_the_card_is_a_decline_and_another_answer_is_409(
    ward: Door, code: dict[str, Any]
) -> None:
    (card,) = await asked(ward, code, "guide-2")
    call = (place(ward), "tcm-his", DOCTOR, KEY, card)
    before = await decided(ward, Choice.DECLINE)

    await asyncio.to_thread(code["answer"], *call, card["overrideReasons"][0])

    assert await decided(ward, Choice.DECLINE) == before + 2
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await asyncio.to_thread(code["answer"], *call)
    assert refused.value.response.status_code == 409


async def test_soap_says_the_same(ward: Door, code: dict[str, Any]) -> None:
    session = Session()
    session.headers["authorization"] = f"Bearer {await ward.token('tcm-his', 'dr-li')}"
    doctor = {"id": DOCTOR["id"], "name": DOCTOR["name"]}

    prompts = await asyncio.to_thread(
        code["check"], place(ward), session, doctor, SHEN.number, "guide-3", ORDERS
    )

    (card,) = await asked(ward, code, "guide-4")
    assert [one.summary for one in prompts] == [card["summary"]]


async def test_every_member_of_a_card_and_every_status_is_explained(
    ward: Door, code: dict[str, Any]
) -> None:
    (card,) = await asked(ward, code, "guide-5")
    explained = set(re.findall(r"^\| `(\w+)` \| ", GUIDE, re.MULTILINE))
    assert set(card) - explained == {"indicator", "source", "uuid", "selectionBehavior"}
    statuses = set(re.findall(r"\b[45]\d\d\b", GUIDE))
    source = "".join(one.read_text("utf-8") for one in Path(gateway.cds.__path__[0]).glob("*.py"))
    raised = {str(kind.status) for kind in Kind if f"Problem(Kind.{kind.name}," in source}
    assert raised <= statuses <= {str(kind.status) for kind in Kind}
