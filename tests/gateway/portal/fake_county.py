"""A hand-written county for looking at pages: every person, number and result is invented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from gateway.portal.identity_stories import FolderPair
from gateway.portal.presence_stories import (
    PresenceSubject,
)
from gateway.portal.signing_stories import SigningWays
from gateway.portal.stories import (
    Choice,
    Consent,
    Contribution,
    DemoAccount,
    Report,
    Resident,
    Session,
)
from gateway.services.caller import Caller
from gateway.settings import Settings
from tests.gateway.portal.fake_audit import FakeAudit
from tests.gateway.portal.fake_charts import FakeCharts
from tests.gateway.portal.fake_clinician import FakeClinician
from tests.gateway.portal.fake_decisions import FakeDecisions
from tests.gateway.portal.fake_desk import FakeDesk
from tests.gateway.portal.fake_explaining import FakeExplaining
from tests.gateway.portal.fake_folders import FakeFolders
from tests.gateway.portal.fake_office import FakeOffice
from tests.gateway.portal.fake_operators import FakeOperators
from tests.gateway.portal.fake_printing import FakePrinting
from tests.gateway.portal.fake_prompt import FakePrompt
from tests.gateway.portal.fake_records import (
    CONTRIBUTIONS,
    COUNTY,
    MCH,
    NOON,
    PASSWORD,
    PEOPLE,
    RESIDENT,
    blood_count,
    chemistry,
    ct,
    days,
    id_,
    immunity,
    township,
    ultrasound,
)

ACCOUNTS = (
    DemoAccount("zhou", PASSWORD, "周明（演示）", PEOPLE, "clinician"),
    DemoAccount("lin", PASSWORD, "林岚（演示）", PEOPLE, "registrar"),
    DemoAccount("gu", PASSWORD, "顾清（演示）", COUNTY, "auditor"),
    DemoAccount("he", PASSWORD, "贺舟（演示）", COUNTY, "it"),
    DemoAccount("bai", PASSWORD, "白宁（演示）", COUNTY, "privacy"),
)


class FakePeople:
    """Sessions in a dictionary."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.made = 0

    async def sign_in(
        self, login: str, password: str, role: str, address: str, before: str | None
    ) -> str | None:
        self.sessions.pop(before or "", None)
        account = next((a for a in ACCOUNTS if a.login == login), None)
        if account is None or password != PASSWORD or role not in ("", account.role):
            return None
        self.made += 1
        cookie = f"cookie-{self.made}-{'x' * 32}"
        caller = Caller(
            client="portal", organization="people", role=account.role, user=login,
            name=account.name, purpose="TREAT" if account.role == "clinician" else "",
            session=str(self.made), address=address,
        )  # fmt: skip
        self.sessions[cookie] = Session(
            caller, f"csrf-{self.made}-{'y' * 32}", cookie, account.organization, {}
        )
        return cookie

    async def session_at(self, cookie: str, address: str) -> Session | None:
        return self.sessions.get(cookie)

    async def remember(self, session: Session, memory: Mapping[str, Any]) -> None:
        json.dumps(memory)  # as the real one must be able to
        self.sessions[session.name] = replace(session, memory=dict(memory))

    async def sign_out(self, session: Session) -> None:
        self.sessions.pop(session.name, None)

    def demo_accounts(self) -> tuple[DemoAccount, ...]:
        return ACCOUNTS

    async def has_factor(self, session: Session) -> bool:
        return True

    def demo_code(self, session: Session) -> str:
        return ""


@dataclass
class FakeStories(
    FakeAudit,
    FakeCharts,
    FakeClinician,
    FakeDecisions,
    FakeDesk,
    FakeExplaining,
    FakeFolders,
    FakeOffice,
    FakeOperators,
    FakePrinting,
    FakePrompt,
):
    """Canned answers; what pages did is written down in `told`."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    decided: list[tuple[Any, ...]] = field(default_factory=list)
    resident: Resident = RESIDENT
    reports: list[Report] = field(
        default_factory=lambda: [
            blood_count(), chemistry(), ultrasound(), immunity(), ct(), township()
        ]
    )  # fmt: skip
    contributions: tuple[Contribution, ...] = CONTRIBUTIONS
    notice: bool = True
    pairs: list[FolderPair] = field(default_factory=list)
    ways: SigningWays = field(
        default_factory=lambda: SigningWays("138****1234", (Choice("right-1", "沈芷"),))
    )
    on_file: list[Consent] = field(
        default_factory=lambda: [
            Consent(
                id_("c1"), "share", "active", date(2025, 3, 2), recorded_by="林岚（演示）",
                recorded_at=days(364), witness="沈芷", evidence="5f0c 91ab 77e2",
                until=date(2030, 3, 1),
            ),
            Consent(
                id_("c2"), "refuse-organization", "withdrawn", date(2024, 8, 9),
                organization=MCH, recorded_by="林岚（演示）", recorded_at=days(569),
                withdrawn_by="林岚（演示）", withdrawn_at=days(364), witness="沈芷",
                evidence="c3d8 02f1 4b6e",
            ),
        ]
    )  # fmt: skip
    subjects: tuple[PresenceSubject, ...] = (PresenceSubject(id_("own"), "沈芷", True),)
    asked: int = 0
    answered: bool | None = None
    sound: bool = True
    claim_found: bool = True


@dataclass
class FakeServices:
    """Settings and a clock that stands at noon."""

    settings: Settings = field(default_factory=lambda: Settings(demo=True))

    def now(self) -> int:
        return int(NOON.timestamp() * 1_000_000)
