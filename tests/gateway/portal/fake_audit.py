"""The access log and the alarms of the invented county."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.errors import Kind, Problem
from gateway.exchange.inspecting import Inspected, Verdict
from gateway.portal.shown import quality_alarm
from gateway.portal.stories import (
    Access,
    Accesses,
    AccessFilter,
    Alarm,
    Choice,
    LogCheck,
    Said,
)
from gateway.services.caller import Caller
from tests.gateway.portal.fake_records import COUNTY, MCH, NOON, PEOPLE, TCM, days

AT = 1_772_337_600_000_000


class FakeAudit:
    """Answers to the auditor's pages, and the IT office's alarms."""

    told: list[tuple[Any, ...]]
    sound: bool

    async def accesses(self, filter: AccessFilter, caller: Caller) -> Accesses:
        self.told.append(("accesses", filter))
        rows = (
            Access(None, days(0.01), "search", "permit", "周明（演示）", "clinician", PEOPLE, "TREAT", "居民 7f3a", 21),
            Access(10482, days(0.02), "recognition-decision", "permit", "周明（演示）", "clinician", PEOPLE, "TREAT", "居民 7f3a"),
            Access(10481, days(0.05), "relationship-claim", "permit", "许帆（演示）", "clinician", MCH, "TREAT", "居民 19c0", reason="急诊抢救室接诊，尚未建档", claimed=True),
            Access(10480, days(0.06), "search", "deny", "许帆（演示）", "clinician", MCH, "TREAT", "居民 19c0", 0, reason="no-relationship"),
            Access(10479, days(0.3), "consent-withdraw", "permit", "林岚（演示）", "registrar", PEOPLE, "", "居民 d2e8"),
            Access(10478, days(0.4), "read", "deny", "tcm-his", "system", TCM, "TREAT", "居民 d2e8", 0, reason="county-default"),
            Access(10477, days(0.5), "audit-read", "permit", "顾清（演示）", "auditor", COUNTY, "", ""),
        )  # fmt: skip
        return Accesses(
            rows=rows,
            total=10483,
            more=True,
            organizations=(Choice("people", PEOPLE), Choice("tcm", TCM), Choice("mch", MCH)),
            kinds=tuple(sorted({row.kind for row in rows})),
        )

    async def inspect(self, number: int, caller: Caller) -> Inspected:
        if number not in (10482, 10400):
            raise Problem(Kind.UNKNOWN, "No decision stands at that place of the log.")
        verdict: Verdict = "whole" if number == 10482 else "changed"
        return Inspected(
            number, AT, PEOPLE, "周明（演示）", "e" * 32, "annex-d-2", "c" * 64, "1.4", "f" * 64,
            verdict, True if verdict == "whole" else None,
        )  # fmt: skip

    async def alarms(self, caller: Caller) -> tuple[Alarm, ...]:
        return (
            Alarm("self-claim", days(0.05), MCH, actor="许帆（演示）", person="居民 19c0", words="急诊抢救室接诊，尚未建档"),
            Alarm("control-id-reused", days(1), PEOPLE, source="people-his", id=7, mine=True),
            Alarm("quality-equal-times", days(1.2), PEOPLE, source="people-his", says=quality_alarm("quality-equal-times")),
            Alarm("wrong-patient", days(2), TCM, source="tcm-lis", settled=days(1.5)),
        )  # fmt: skip

    async def settle(self, id: int, caller: Caller) -> None:
        self.told.append(("settle", str(id)))

    async def verify(self, caller: Caller) -> LogCheck:
        check = LogCheck(
            True, 10483, "b7e4f0c2" * 8, days(0.001), "云溪县日志 2026", True, NOON, pending=1
        )
        if self.sound:
            return check
        said = Said("叶子与正文的散列不符", "the leaf does not match the body")
        gone = Said("互认统计事件有 1 条已不在库中", "1 events of the figures' ledger are gone")
        return replace(check, sound=False, first_failure=9121, failures=(said, gone))
