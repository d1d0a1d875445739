"""The table of decisions, told to a real county case by case."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Problem
from gateway.exchange import ledger
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.ledger import PORTAL
from gateway.recognition.decisions import Choice
from gateway.recognition.reasons import Declined
from gateway.services import Services
from gateway.store import decisions as rows
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.portal_county import CHEN, LI, ZHOU, Town, every, town
from tests.gateway.exchange.test_portal_clinician import correct
from tests.gateway.exchange.test_proving import ALT

CHARTS = Statement(select(tables.Chart.__table__.c.id))  # type: ignore[attr-defined]
TABLE = tomllib.loads(Path(__file__).with_name("decisions.toml").read_text("utf-8"))["case"]


async def left(here: Town, charts: list[str]) -> tuple[int, int, int]:
    """How much there is of decisions: evidence, events of the ledger, events in the log."""
    evidence = await here.services.db.read(rows.OF_CHARTS, charts)
    told = [e for e in await ledger.between(0, 1 << 62, here.services) if e.kind == "decision"]
    return len(evidence), len(told), (await here.events())["recognition-decision"]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_every_case_of_the_table(services: Services) -> None:
    here = await town(services, "shen")
    await here.sign("shen")
    older = next(o for o in every(await here.results("shen", LI)) if o.item == ALT).version
    await correct(here)
    await here.results("shen", CHEN)
    shown = await here.results("shen", LI)
    found = every(shown)
    one = next(o for o in found if o.item == ALT)
    named = {state: next(o for o in found if o.recognition.state == state) for state in
             ("own", "not-eligible")}  # fmt: skip
    targets = {
        "eligible": [(one.id, one.version)],
        **{state: [(o.id, o.version)] for state, o in named.items()},
        "nothing": [("0" * 32, one.version)],
        "twice": [(one.id, one.version)] * 2,
        "none": [],
    }
    who = {
        "doctor": LI,
        "colleague": CHEN,
        "stranger": ZHOU,
        "system": replace(LI, user=""),
        "emergency": replace(LI, purpose=services.policy.emergency_override),
    }
    charts = [row[0] for row in await services.db.read(CHARTS)]
    wrong: list[tuple[str, str]] = []
    for case in TABLE:
        before = await left(here, charts)
        asked = targets[case.get("target", "eligible")]
        if "version" in case:
            asked = [(asked[0][0], {"older": older, "invented": "f" * 16}[case["version"]])]
        try:
            (made,) = await decide_results(
                shown.resident.chart, asked, verdict(case), who[case.get("who", "doctor")],
                services, PORTAL,
            )  # fmt: skip
            told = "recorded" if made.new else "unchanged"
        except Problem as problem:
            told = problem.kind.name
        more = int(told == "recorded")
        assert await left(here, charts) == tuple(n + more for n in before), case["situation"]
        if told != case["told"]:
            wrong.append((case["situation"], told))
    assert wrong == [], wrong


def verdict(case: dict[str, Any]) -> Verdict:
    reason = Declined(case["reason"]) if "reason" in case else None
    choice = Choice(case.get("choice", "accept"))
    return Verdict(choice, reason, case.get("words", ""), case.get("informed", False))


def test_the_table_tells_every_choice_and_every_way_out() -> None:
    assert {case.get("choice", "accept") for case in TABLE} == {one.value for one in Choice}
    assert {case["told"] for case in TABLE} == {
        "recorded", "unchanged", "UNPROCESSABLE", "CONFLICT", "UNKNOWN", "MALFORMED", "REQUIRED",
        "REFUSED",
    }  # fmt: skip
    assert len({case["situation"] for case in TABLE}) == len(TABLE)
