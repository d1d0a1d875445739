"""Decisions on several results at once, taken back, and what the ledger says of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count

import pytest

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import decide, ledger, revoking
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.deciding import doctor_of
from gateway.exchange.ledger import Visit
from gateway.exchange.revoking import repeal, revoke
from gateway.portal.stories import Results
from gateway.recognition.bundle import Doctor
from gateway.recognition.decisions import Choice, Declined
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from tests.gateway.exchange.portal_county import CHEN, LI, WANG, ZHOU, Town, every, town

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
VISIT = Visit("E1", "心内科", "OP", "order-select", "ServiceRequest/" + "0" * 32)
ACCEPT = Verdict(Choice.ACCEPT)


@pytest.fixture
async def here(services: Services) -> Town:
    found = await town(services, "shen")
    await found.sign("shen")
    return found


async def offered(here: Town) -> tuple[Results, list[tuple[str, str]]]:
    shown = await here.results("shen", LI)
    return shown, [(r.id, r.version) for r in every(shown) if r.recognition.state == "eligible"]


async def refusal(work: object) -> Trouble:
    with pytest.raises(Problem) as told:
        await work  # type: ignore[misc]
    return told.value.kind


async def happened(here: Town) -> list[tuple[str, str, str]]:
    found = await ledger.between(0, 1 << 62, here.services)
    return [(one.kind.value, one.choice, one.reason) for one in found]


async def test_results_are_decided_at_once_and_taken_back_one_by_one(here: Town) -> None:
    shown, targets = await offered(here)
    chart = shown.resident.chart

    made = await decide_results(chart, targets, ACCEPT, LI, here.services, VISIT)
    again = await decide_results(chart, targets, ACCEPT, LI, here.services, VISIT)

    assert [one.task for one in made] == [one.task for one in again]
    assert {one.new for one in made} == {True}
    assert {one.new for one in again} == {False}
    events = [e for e in await ledger.between(0, 1 << 62, here.services) if e.kind == "decision"]
    assert len(events) == len(targets)
    assert {(e.department, e.hook, e.issuer, e.organization) for e in events} == {
        ("心内科", "order-select", "people", "tcm")
    }
    assert all(e.item and e.catalogue and e.task for e in events)

    await revoke(made[0].task, "病情变化,需要复查", LI, here.services)
    await revoke(made[0].task, "病情变化,需要复查", LI, here.services)
    await repeal(made[1].task, LI, here.services, VISIT)

    kinds = [kind for kind, _, _ in await happened(here) if kind != "decision"]
    assert sorted(kinds) == ["ordered", "revocation", "revocation"]
    assert (await here.events())["recognition-revocation"] == 2
    standing = {r.id for r in every(await here.results("shen", LI)) if r.decision}
    assert standing == {one.target for one in made[2:]}


@ON_SQLITE
async def test_what_was_revoked_may_be_decided_anew_in_the_same_task(here: Town) -> None:
    shown, targets = await offered(here)
    chart = shown.resident.chart
    (made,) = await decide_results(chart, targets[:1], ACCEPT, LI, here.services, VISIT)
    await revoke(made.task, "选错了", LI, here.services)
    no = Verdict(Choice.DECLINE, Declined.CHANGED)
    (anew,) = await decide_results(chart, targets[:1], no, LI, here.services, VISIT)

    assert anew == made._replace(choice=Choice.DECLINE, evidence=anew.evidence)
    assert anew.evidence != made.evidence
    versions = await rows.versions(here.services.db, made.task)
    assert len(versions) == 3
    assert (await happened(here))[-1] == ("decision", "decline", "01")


@ON_SQLITE
async def test_one_that_may_not_be_decided_on_stops_them_all(here: Town) -> None:
    shown, targets = await offered(here)
    chart = shown.resident.chart
    own = next(r for r in every(shown) if r.recognition.state == "own")
    services = here.services
    cases = {
        (own.id, own.version): Trouble.UNPROCESSABLE,
        ("0" * 32, "1"): Trouble.UNKNOWN,
        (targets[1][0], "1"): Trouble.CONFLICT,
    }
    for bad, kind in cases.items():
        work = decide_results(chart, [targets[0], bad], ACCEPT, LI, services, VISIT)
        assert await refusal(work) is kind
    nobody = replace(LI, user="")
    work = decide_results(chart, targets[:1], ACCEPT, nobody, services, VISIT)
    assert await refusal(work) is Trouble.REFUSED
    twice = decide_results(chart, targets[:1] * 2, ACCEPT, LI, services, VISIT)
    assert await refusal(twice) is Trouble.MALFORMED
    assert "recognition-decision" not in await here.events()
    assert not await ledger.between(0, 1 << 62, services)


@ON_SQLITE
async def test_a_decision_is_revoked_by_its_own_hospital_alone_and_never_without_a_reason(
    here: Town,
) -> None:
    shown, targets = await offered(here)
    made = await decide_results(shown.resident.chart, targets[:1], ACCEPT, LI, here.services, VISIT)
    task = made[0].task
    assert await refusal(revoke(task, " ", LI, here.services)) is Trouble.UNPROCESSABLE
    for who in (WANG, ZHOU):
        assert await refusal(revoke(task, "不是我的", who, here.services)) is Trouble.UNKNOWN
    assert await refusal(revoke("0" * 32, "没有", LI, here.services)) is Trouble.UNKNOWN
    assert "recognition-revocation" not in await here.events()


@ON_SQLITE
async def test_the_task_says_who_took_it_back_and_why(here: Town) -> None:
    shown, targets = await offered(here)
    made = await decide_results(shown.resident.chart, targets[:1], ACCEPT, LI, here.services, VISIT)
    await revoke(made[0].task, "选错了人", LI, here.services)
    seen, _ = await revoking._look(made[0].task, LI, here.services)
    task = json.loads(next(one.text for one in seen.records if one.id == made[0].task))
    assert (task["status"], task["statusReason"]["coding"][0]["code"]) == ("cancelled", "revoked")
    assert task["note"][-1]["text"] == "选错了人"
    assert task["note"][-1]["authorReference"]["identifier"]["value"] == "dr-li"


@ON_SQLITE
async def test_looking_at_a_report_is_a_view_of_what_may_be_recognised_in_it(here: Town) -> None:
    shown, targets = await offered(here)
    assert await happened(here) == [], "a list of all there is, is not a look at one result"
    report = next(r for r in shown.reports if any((o.id, o.version) in targets for o in r.results))
    await here.portal.report(report.id, LI)
    views = await ledger.between(0, 1 << 62, here.services)
    assert [one.kind.value for one in views] == ["view"] * len(targets)
    await decide_results(
        shown.resident.chart, targets[:1], ACCEPT, LI, here.services, ledger.PORTAL
    )
    decision = (await ledger.between(0, 1 << 62, here.services))[-1]
    same = await ledger.of_question(decision.question, here.services)
    assert [one.kind.value for one in same] == ["view", "decision"]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Of two who decide within the block, neither writes before the other has looked."""

    @contextmanager
    def block() -> Iterator[None]:
        looked, times = asyncio.Barrier(2), count()

        async def has_looked(caller: Caller, services: Services) -> Doctor:
            if next(times) < 2:
                await looked.wait()
            return await doctor_of(caller, services)

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(decide, "doctor_of", has_looked)
            yield

    return block


async def test_the_same_said_twice_at_once_is_one_decision(
    here: Town, at_once: Callable[[], AbstractContextManager[None]]
) -> None:
    shown, targets = await offered(here)
    chart, services = shown.resident.chart, here.services
    no = Verdict(Choice.DECLINE, Declined.CHANGED)
    for verdict in (no, ACCEPT):  # the second finds its folder and an older word there
        with at_once():
            one, other = await asyncio.gather(*(
                decide_results(chart, targets, verdict, LI, services, VISIT) for _ in range(2)
            ))  # fmt: skip
        assert [made.task for made in one] == [made.task for made in other]
        assert {made.new for made in (*one, *other)} == {True, False}
    assert len(await happened(here)) == 2 * len(targets)


async def test_of_two_doctors_who_decide_at_once_the_second_is_told_to_look(
    here: Town, at_once: Callable[[], AbstractContextManager[None]]
) -> None:
    shown, targets = await offered(here)
    chart, services = shown.resident.chart, here.services
    no = Verdict(Choice.DECLINE, Declined.CHANGED)
    await here.results("shen", CHEN)
    with at_once():
        said = await asyncio.gather(
            decide_results(chart, targets[:1], ACCEPT, LI, services, VISIT),
            decide_results(chart, targets[:1], no, CHEN, services, VISIT),
            return_exceptions=True,
        )
    lost = [one for one in said if isinstance(one, Problem)]
    assert [one.kind for one in lost] == [Trouble.CONFLICT]
    assert (await here.events())["recognition-decision"] == 1
    loser, verdict = ((LI, ACCEPT), (CHEN, no))[said.index(lost[0])]
    (made,) = await decide_results(chart, targets[:1], verdict, loser, services, VISIT)
    assert made.new, "who has looked may decide otherwise"
