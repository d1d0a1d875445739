"""The doctor's side of the invented county: looking up, presence, results, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.errors import Kind, Problem
from gateway.portal.chart_stories import Original, ReportView
from gateway.portal.emergency_stories import EmergencyAccess, PrivacyDesk, Terms
from gateway.portal.image_stories import StudyList, StudyRow
from gateway.portal.presence_stories import (
    PresenceAsked,
    PresenceQuestion,
    PresenceState,
    PresenceSubject,
)
from gateway.portal.stories import (
    Amendment,
    Contribution,
    Decision,
    Identifier,
    NeedsClaim,
    Refused,
    Report,
    Resident,
    Results,
    Target,
    Verdict,
)
from gateway.services.caller import Caller
from tests.gateway.portal.fake_records import NOON, NUMBER, PEOPLE, TOKEN, UNSIGNED, days, id_


class FakeClinician:
    """Answers to the doctor's pages."""

    told: list[tuple[Any, ...]]
    resident: Resident
    reports: list[Report]
    contributions: tuple[Contribution, ...]
    notice: bool
    parts = 1  # of a long record
    subjects: tuple[PresenceSubject, ...]
    asked: int
    answered: bool | None
    claim_found: bool
    originals: Mapping[str, tuple[Original, ...]]

    async def open_resident(
        self, identifier: Identifier, caller: Caller, claim: str | None
    ) -> Resident | NeedsClaim | Refused:
        if identifier.number == UNSIGNED:
            return Refused("county-default")
        if identifier.number == NUMBER:
            return self.resident
        if claim is None:
            return NeedsClaim()
        self.told.append(("claim", claim))
        if not self.claim_found:
            return NeedsClaim()
        self.resident = replace(
            self.resident, relationship="claimed", until=NOON + timedelta(hours=4)
        )
        return self.resident

    def emergency_terms(self) -> Terms:
        return Terms(hours=4, per_day=3, characters=20, notice_minutes=10, review_hours=72)

    async def emergency(self, chart: str, caller: Caller) -> EmergencyAccess | None:
        return None

    async def studies(self, chart: str, caller: Caller) -> StudyList | Refused:
        row = StudyRow(id_("study"), "胸部CT平扫", PEOPLE, ("CT",), days(40), 2, 18, "unknown")
        return StudyList(self.resident, (row,))

    async def questions(self, caller: Caller) -> tuple[Any, ...]:
        return ()

    async def privacy_desk(self, caller: Caller) -> PrivacyDesk:
        return PrivacyDesk((), (), ())

    async def ask_presence(self, caller: Caller) -> PresenceAsked:
        self.asked += 1
        self.answered = None
        return PresenceAsked(f"{TOKEN}{self.asked}", "K7MP-2QXR", NOON + timedelta(minutes=15))

    async def presence_state(self, token: str, caller: Caller) -> PresenceState:
        if token != f"{TOKEN}{self.asked}":
            return PresenceState("over")
        if self.answered is None:
            return PresenceState("waiting")
        return PresenceState("yes", self.resident.chart) if self.answered else PresenceState("no")

    async def presence_question(self, name: str, caller: Caller) -> PresenceQuestion:
        if self.answered is not None or name not in {f"{TOKEN}{self.asked}", "K7MP-2QXR"}:
            raise Problem(Kind.UNKNOWN, "Nobody asks this.")
        return PresenceQuestion("周行舟", "云溪县中医医院", "TREAT", NOON + timedelta(minutes=15))

    async def presence_subjects(self, caller: Caller) -> tuple[PresenceSubject, ...]:
        return self.subjects

    async def answer_presence(self, name: str, yes: bool, chart: str, caller: Caller) -> None:
        await self.presence_question(name, caller)
        self.answered = yes
        self.told.append(("presence", yes, chart))

    async def results(
        self, chart: str, caller: Caller, since: datetime | None = None, part: int | None = None
    ) -> Results | Refused:
        told = tuple(self.reports)
        return Results(
            self.resident,
            self.contributions,
            told,
            self.notice,
            min(part or 1, self.parts),
            self.parts,
        )

    async def report(self, id: str, caller: Caller) -> ReportView:
        found = next((r for r in self.reports if r.id == id), None)
        if found is None:
            raise Problem(Kind.UNKNOWN, "Not found.")
        issued = found.issued if isinstance(found.issued, datetime) else NOON
        versions: tuple[Amendment, ...] = ()
        if found.version == "2":
            versions = (
                Amendment("1", issued, "final"),
                Amendment("2", issued + timedelta(hours=5), found.status, "钾复查后更正。"),
            )
        return ReportView(
            resident=self.resident,
            report=found,
            findings=""
            if found.results
            else "肝脏形态大小正常，实质回声增强、分布欠均匀，远场衰减。\n胆囊大小约 72 mm × 28 mm，壁稍毛糙。\n胰腺、脾脏形态大小正常，内部回声均匀。",
            author="王若",
            verifier="李清越",
            source="tcm-lis",
            received=issued + timedelta(minutes=1),
            fingerprint="9c41 e07d 33aa",
            amendments=versions,
            originals=self.originals.get(id, ()),
        )

    async def decide(
        self, report: str, targets: tuple[Target, ...], verdict: Verdict, caller: Caller
    ) -> None:
        self.told.append(("decide", report, targets, verdict))
        decision = Decision(
            verdict.outcome, verdict.reason, verdict.words, caller.name, PEOPLE, NOON, "1"
        )
        ids = {target.id for target in targets}
        for n, one in enumerate(self.reports):
            results = tuple(
                replace(o, decision=decision) if o.id in ids else o for o in one.results
            )
            one = replace(one, results=results)
            self.reports[n] = replace(one, decision=decision) if one.id in ids else one
