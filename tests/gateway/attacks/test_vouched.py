"""Attacks on rows that stand alone: an alert, a decision's standing, an event of the figures, a frozen month."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from gateway.audit.verify import Fault
from gateway.errors import Kind, Problem
from gateway.exchange import frozen, statistics
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.ledger import PORTAL
from gateway.exchange.revoking import revoke
from gateway.exchange.verification import verify_log
from gateway.jobs.worker import Worker
from gateway.recognition.decisions import Choice
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.services.register import Endpoint, Register
from tests.gateway.exchange.portal_county import LI, Town, panel, town
from tests.gateway.exchange.test_portal_clinician import correct
from tests.gateway.exchange.test_proving import ALT, ON_SQLITE
from tests.gateway.exchange.test_statistics import COMMISSION, decided, keep
from tests.gateway.exchange.test_write_back import His, his

__all__ = ["his"]
OFFICE = Caller("portal", "tcm", "it", "it-tcm", "某")
TABLES = (
    "recognition_event",
    "decision_evidence",
    "relied_alert",
    "statistics_snapshot",
    "statistics_objection",
    "write_back",
)
ONE_EVENT = "(SELECT min(id) FROM recognition_event)"
COPY = "SELECT '{id}', kind, at, organization, question, patient, sealed FROM recognition_event"
MOVED = (
    "UPDATE recognition_event SET sealed ="
    " (SELECT sealed FROM recognition_event ORDER BY id DESC LIMIT 1)"
    f" WHERE id = {ONE_EVENT}"
)
ATTACKS: dict[str, tuple[Fault, int]] = {
    f"DELETE FROM recognition_event WHERE id = {ONE_EVENT}": (Fault.MISSING, 1),
    f"UPDATE recognition_event SET at = at - 3000000000000 WHERE id = {ONE_EVENT}": (
        Fault.CHANGED, 1,
    ),
    f"UPDATE recognition_event SET kind = 'view2' WHERE id = {ONE_EVENT}": (Fault.CHANGED, 1),
    f"UPDATE recognition_event SET organization = 'mch' WHERE id = {ONE_EVENT}": (
        Fault.CHANGED, 1,
    ),
    f"UPDATE recognition_event SET question = 'other' WHERE id = {ONE_EVENT}": (Fault.CHANGED, 1),
    MOVED: (Fault.CHANGED, 1),
    f"INSERT INTO recognition_event {COPY.format(id='f' * 32)} WHERE id = {ONE_EVENT}": (
        Fault.CHANGED, 1,
    ),
    f"UPDATE recognition_event SET id = 'renamed' WHERE id = {ONE_EVENT}": (Fault.MISSING, 1),
    "DELETE FROM relied_alert": (Fault.MISSING, 1),
    "UPDATE relied_alert SET settled = 1": (Fault.CHANGED, 1),
    "UPDATE relied_alert SET seen = 1": (Fault.CHANGED, 1),
    "UPDATE relied_alert SET told = 0": (Fault.CHANGED, 1),
    "UPDATE relied_alert SET login = 'dr-boss'": (Fault.CHANGED, 1),
    "UPDATE relied_alert SET version = version + 1": (Fault.MISSING, 1),
    "DELETE FROM decision_evidence WHERE standing = 1": (Fault.MISSING, 1),
    "UPDATE decision_evidence SET standing = 0 WHERE standing = 1": (Fault.CHANGED, 1),
    "UPDATE decision_evidence SET standing = 1 WHERE standing = 0": (Fault.CHANGED, 1),
    "UPDATE decision_evidence SET target = 'x' WHERE standing = 1": (Fault.CHANGED, 1),
    "UPDATE decision_evidence SET version = 9 WHERE standing = 1": (Fault.CHANGED, 1),
    "DELETE FROM statistics_snapshot WHERE organization = ''": (Fault.MISSING, 1),
    "DELETE FROM statistics_snapshot": (Fault.MISSING, 3),
    "UPDATE statistics_snapshot SET hash = 'x' WHERE organization = 'tcm'": (Fault.CHANGED, 1),
    "UPDATE statistics_snapshot SET organization = 'mch' WHERE organization = 'tcm'": (
        Fault.MISSING, 1,
    ),
    "DELETE FROM statistics_objection": (Fault.MISSING, 1),
    "UPDATE statistics_objection SET state = 'open'": (Fault.CHANGED, 1),
    "UPDATE statistics_objection SET answer = sealed": (Fault.CHANGED, 1),
    "DELETE FROM write_back WHERE kind = 'alert'": (Fault.MISSING, 1),
    "UPDATE write_back SET id = 'renamed' WHERE kind = 'alert'": (Fault.MISSING, 1),
    "UPDATE write_back SET organization = 'mch' WHERE kind = 'revocation'": (Fault.CHANGED, 1),
    "UPDATE write_back SET state = 'waiting' WHERE state = 'delivered'": (Fault.CHANGED, 1),
    "UPDATE write_back SET state = 'delivered' WHERE state = 'failed'": (Fault.CHANGED, 1),
    # With what vouches for them: the access log itself is not whole then.
    "DELETE FROM audit_event WHERE kind = 'vouched'; DELETE FROM relied_alert": (
        Fault.MISSING, 1,
    ),
    "UPDATE audit_event SET sealed = NULL WHERE kind = 'vouched'; DELETE FROM relied_alert": (
        Fault.MISSING, 1,
    ),
}  # fmt: skip


class Altered:
    """The database as its operator has it: what is done to it, and all of it put back."""

    def __init__(self, services: Services) -> None:
        self.db = services.db
        self.kept: dict[str, list[dict[str, Any]]] = {}

    async def do(self, statements: str) -> None:
        def work(session: Session) -> None:
            for table in (*TABLES, "audit_event"):
                found = session.execute(text(f"SELECT * FROM {table}")).mappings()
                self.kept[table] = [dict(row) for row in found]
            for statement in statements.split("; "):
                session.execute(text(statement))

        await self.db.session(work)

    async def undo(self) -> None:
        def work(session: Session) -> None:
            for table, rows in self.kept.items():
                session.execute(text(f"DELETE FROM {table}"))
                columns = ", ".join(rows[0])
                marks = ", ".join(f":{name}" for name in rows[0])
                session.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), rows)

        await self.db.session(work)


@pytest.fixture
async def lived_in(services: Services, his: His) -> Town:
    """Two results decided on, one of the decisions revoked, the other's result corrected; last month
    frozen, objected to and answered. The hospital's system took some of what it was told of it."""
    known = {one.id: one for one in services.register}
    known["tcm"] = replace(known["tcm"], write_back=Endpoint(his.url))
    services = replace(services, register=Register(known))
    here = await town(services, "shen")
    await here.sign("shen")
    shown = await here.results("shen", LI)
    liver = panel(shown, "肝功能")
    await here.portal.report(liver.id, LI)
    able = [one for one in liver.results if one.recognition.state == "eligible"]
    alt = next(one for one in able if one.item == ALT)
    other = next(one for one in able if one.item != ALT)
    for one in (alt, other):
        made = await decide_results(
            shown.resident.chart,
            [(one.id, one.version)],
            Verdict(Choice.ACCEPT),
            LI,
            services,
            PORTAL,
        )
    await revoke(made[0].task, "选错了", LI, services)
    await correct(here)
    assert (await verify_log(services)).ok, "also before the alert is told"
    month, start = last_month(services)
    await keep([one for n in range(6) for one in decided(n, start + n * 3_600_000_000)], services)
    his.answers = [(400, b"")]  # the first message is given up
    await Worker(services).write_back_some()  # the alert is told
    await frozen.freeze(month, COMMISSION, services)
    objection = await frozen.object_(month, "少算了两例", OFFICE, services)
    await frozen.answer(objection, False, "已核对", COMMISSION, services)
    await services.db.session(
        lambda session: session.execute(text("UPDATE lease SET until = 0")).close()
    )
    await Worker(services).drain()  # every event has its place
    return here


def last_month(services: Services) -> tuple[str, int]:
    """Last month and when it began."""
    this, _ = statistics.bounds(statistics.this_month(services), services)
    month = moment(this - 1, services.settings.zone).strftime("%Y-%m")
    return month, statistics.bounds(month, services)[0]


async def test_every_row_that_is_taken_away_altered_put_back_or_put_in_is_told(
    lived_in: Town,
) -> None:
    services = lived_in.services
    assert (await verify_log(services)).ok, (await verify_log(services)).findings
    operator, unseen = Altered(services), []
    for attack, (fault, count) in ATTACKS.items():
        await operator.do(attack)
        report = await verify_log(services)
        if report.ok or report.counts.get(fault, 0) < count:
            unseen.append((attack[-60:], report.counts))
        await operator.undo()
    assert unseen == []
    assert (await verify_log(services)).ok


@ON_SQLITE
async def test_nothing_is_frozen_over_a_ledger_that_does_not_verify(lived_in: Town) -> None:
    services = lived_in.services
    month, _ = last_month(services)
    operator = Altered(services)
    for attack in (
        "DELETE FROM statistics_snapshot; DELETE FROM recognition_event WHERE kind = 'prompt'",
        "DELETE FROM statistics_snapshot",
    ):
        await operator.do(attack)
        for _ in range(2):
            with pytest.raises(Problem) as told:
                await frozen.freeze(month, COMMISSION, services, despite="words of no operator")
            assert (told.value.kind, told.value.place) == (Kind.CONFLICT, frozen.UNVERIFIED)
        assert not await frozen.frozen_months(services), "the figures are not signed anew"
        await operator.undo()
    alarms = await services.db.session(
        lambda session: session.execute(
            text("SELECT count(*) FROM alarm WHERE kind = 'log'")
        ).scalar_one()
    )
    assert alarms == 1, "told once until somebody has looked"


@ON_SQLITE
async def test_an_operator_may_sign_and_the_log_says_why(lived_in: Town) -> None:
    services = lived_in.services
    month, _ = last_month(services)
    await Altered(services).do(f"DELETE FROM recognition_event WHERE id = {ONE_EVENT}")
    await Altered(services).do("DELETE FROM statistics_snapshot")
    await frozen.freeze(month, OPERATOR, services, despite="卫健局 2 号函")
    assert month in await frozen.frozen_months(services)
    assert not (await verify_log(services)).ok, "what was done stays to be seen"
