"""Canned decisions, their evidence and alerts; every doctor and resident is invented."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.errors import Kind, Problem
from gateway.portal.decisions_stories import (
    DecisionFile,
    DeclineReason,
    Evidence,
    ReliedAlert,
    Today,
)
from gateway.recognition.bundle import Bundle, Doctor, Said, Shown, Times, Where
from gateway.recognition.reasons import Declined
from gateway.services.caller import Caller

TASK = "7a" * 16
AT = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
HERBS = DeclineReason("Z1", "中药治疗后需复查肝肾功能", "again after herbal treatment", False)
BUNDLE = Bundle(
    id="e1" * 16, task=TASK, issuer="people", target=f"Observation/{'0b' * 16}/_history/6f1c",
    content="c0" * 16,
    shown=Shown(
        hospital="云溪县人民医院", report="肝功能", item="丙氨酸氨基转移酶", value="62.4", unit="U/L",
        range="9-50", flag="H", status="final", specimen="血清", collected="2026-02-27 08:00",
        issued="2026-02-27 10:30", mark="全国HR", until="2026-03-06", age_days=2,
        note="<script>alert(1)</script>", card="同一项目已有可互认的结果",
    ),
    judgement="{}", case="{}", catalogue="3f2a", rules="annex-d-2", entitlement="HR-2026-017",
    leaf="gateway.ask/77", basis=("directive", "Consent/5f0c/_history/c3d8"),
    said=Said("decline", "02", "Z1", "服中药两周", True, "已知情"),
    doctor=Doctor("dr-li", "李青（演示）", "tcm", "110330000000000"),
    times=Times(1, 1, 1), where=Where("E1", "消化内科", "OP", "order-sign", "O-17"), register="12",
)  # fmt: skip


class FakeDecisions:
    """`DecisionStories` for looking at pages; what was asked is written down in `told`."""

    told: list[tuple[Any, ...]]
    own_reasons: tuple[DeclineReason, ...] = ()
    relied: tuple[ReliedAlert, ...] = (
        ReliedAlert(TASK, "corrected", AT, AT, True),
        ReliedAlert(TASK, "identity", AT, AT, False),
        ReliedAlert(TASK, "withdrawn", AT, AT, False),
    )

    async def decline_reasons(self, caller: Caller) -> tuple[DeclineReason, ...]:
        national = (DeclineReason(d.value, d.zh, d.en, d.needs_words) for d in Declined)
        return (*self.own_reasons, *national)

    async def decision_file(self, task: str, caller: Caller) -> DecisionFile:
        self.told.append(("decision_file", task))
        one = Evidence(
            BUNDLE,
            "ab" * 32,
            True,
            "云溪县人民医院",
            "云溪县中医医院",
            AT,
            AT,
            AT,
            AT,
            HERBS,
            Today(True, AT, "corrected", "88.8", "U/L", "9--50", "↑↑", ""),
        )
        old = Evidence(
            BUNDLE, "cd" * 32, False, "云溪县人民医院", "云溪县中医医院", AT, None, None, None, None
        )
        return DecisionFile(task, "王珅", "330***********001X", (one, old))

    async def revoke_decision(self, task: str, words: str, caller: Caller) -> None:
        if not words:
            raise Problem(Kind.UNPROCESSABLE, "Say why.", "reason")
        self.told.append(("revoke_decision", task, words))

    async def relied_alerts(self, caller: Caller, *, looked: bool) -> tuple[ReliedAlert, ...]:
        if looked:
            self.told.append(("relied_alerts",))
        return self.relied
