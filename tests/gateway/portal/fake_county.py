"""A hand-written county for looking at pages: every person, number and result is invented."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from gateway.errors import Kind, Problem
from gateway.exchange import quality
from gateway.portal.emergency_stories import PrivacyDesk
from gateway.portal.identity_stories import FolderPair
from gateway.portal.label_stories import LabelRun, LabelsView
from gateway.portal.presence_stories import (
    PresenceAsked,
    PresenceQuestion,
    PresenceState,
    PresenceSubject,
)
from gateway.portal.releases import Difference, Release, RuleCount, SiteReleases, Turn
from gateway.portal.shown import detected, quality_alarm
from gateway.portal.signing_stories import CodeSent, SigningWays
from gateway.portal.stories import (
    Access,
    Accesses,
    AccessFilter,
    Age,
    Alarm,
    Amendment,
    Choice,
    CodeSuggestion,
    Consent,
    ConsentChoice,
    ConsentDesk,
    Contribution,
    Decision,
    DemoAccount,
    Detected,
    Evidence,
    Flag,
    Held,
    Identifier,
    Issue,
    IssueCount,
    LogCheck,
    NeedsClaim,
    Recognition,
    Refused,
    Report,
    ReportView,
    Resident,
    Result,
    Results,
    Said,
    Session,
    SourceQuality,
    SourceRow,
    Target,
    UnmappedCode,
    Verdict,
)
from gateway.services.caller import Caller
from gateway.settings import Settings
from tests.gateway.portal.fake_charts import FakeCharts
from tests.gateway.portal.fake_decisions import FakeDecisions
from tests.gateway.portal.fake_explaining import FakeExplaining
from tests.gateway.portal.fake_printing import FakePrinting

NUMBER = "330421198001010005"  # treated here
STRANGER = "33042119550615000X"  # not known to be treated here
UNSIGNED = "330421201809090006"  # nothing signed
PASSWORD = "演示-cloud-creek"
NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
TOKEN = "Vq3kT9bYw0mZx7RcAe5LdN2s"  # of a question to a patient who is there

PEOPLE, TCM, MCH, TOWN = "云溪县人民医院", "云溪县中医医院", "云溪县妇幼保健院", "柳溪镇卫生院"
COUNTY = "云溪县卫生健康局"


def id_(name: str) -> str:
    """An id as the house makes them."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def days(n: float) -> datetime:
    return NOON - timedelta(days=n)


ELIGIBLE = Recognition("eligible", mark="全国HR", until=date(2026, 3, 15))
PROVINCE = Recognition("eligible", mark="浙HR", until=date(2026, 3, 15))
OWN = Recognition("own")
HIGH, LOW, NONE = Flag("high", "H"), Flag("low", "↓"), Flag("", "")


def no(reason: str) -> Recognition:
    return Recognition("not-eligible", reason)


def result(
    item: str,
    value: str,
    unit: str,
    range_: str,
    flag: Flag,
    organization: str,
    collected: datetime | date,
    recognition: Recognition = ELIGIBLE,
    **more: Any,
) -> Result:
    return Result(
        id=id_(item + organization + str(collected)),
        version=more.pop("version", "1"),
        item=item,
        value=value,
        unit=unit,
        range=range_,
        flag=flag,
        organization=organization,
        collected=collected,
        status=more.pop("status", "final"),
        recognition=recognition,
        **more,
    )


def blood_count() -> Report:
    at = days(1.2)
    rows = (
        ("白细胞计数", "11.82", "10^9/L", "3.5～9.5", Flag("high", "↑")),
        ("红细胞计数", "4.61", "10^12/L", "4.3～5.8", NONE),
        ("血红蛋白", "138", "g/L", "130～175", NONE),
        ("血小板计数", "86", "10^9/L", "125～350", Flag("low", "↓")),
        ("中性粒细胞百分比", "82.10", "%", "40～75", Flag("high", "↑")),
        ("C反应蛋白", "＞200", "mg/L", "0～10", Flag("very-high", "↑↑")),
    )
    return Report(
        id=id_("cbc"),
        version="1",
        title="血常规 + CRP",
        kind="laboratory",
        organization=TCM,
        collected=at,
        issued=at + timedelta(minutes=42),
        status="final",
        results=tuple(result(*row, TCM, at, specimen="全血") for row in rows),
        recognition=ELIGIBLE,
    )


def chemistry() -> Report:
    at = days(3.1)
    decided = Decision("accepted", "", "", "周明（演示）", PEOPLE, days(2.9), "1")
    declined = Decision("declined", "02", "", "周明（演示）", PEOPLE, days(2.9), "1")
    return Report(
        id=id_("chem"),
        version="2",
        title="生化全套",
        kind="laboratory",
        organization=TCM,
        collected=at,
        issued=at + timedelta(hours=3),
        status="corrected",
        results=(
            result("葡萄糖", "6.10", "mmol/L", "3.9-6.1", NONE, TCM, at, decision=decided),
            result(
                "钾",
                "5.62",
                "mmol/L",
                "3.5-5.3",
                HIGH,
                TCM,
                at,
                version="2",
                status="corrected",
                earlier="6.52",
                recognition=no("E04"),
            ),
            result("丙氨酸氨基转移酶", "38", "U/L", "9-50", NONE, TCM, at, decision=declined),
            result(
                "肌酐",
                "97",
                "μmol/L",
                "57-97",
                NONE,
                TCM,
                at,
                recognition=PROVINCE,
                method="酶法",
            ),
            result(
                "尿酸",
                "412",
                "μmol/L",
                "208-428",
                NONE,
                TCM,
                at,
                status="cancelled",
                recognition=no("E04"),
                note="标本溶血，请重新采集。",
            ),
        ),
        recognition=PROVINCE,
    )


def immunity() -> Report:
    at = days(24)
    return Report(
        id=id_("imm"),
        version="1",
        title="免疫组合",
        kind="laboratory",
        organization=MCH,
        collected=at,
        issued=at,
        status="final",
        results=(
            result("乙肝表面抗原", "阴性(-)", "", "阴性", NONE, MCH, at),
            result(
                "梅毒螺旋体抗体",
                "阳性(+)",
                "",
                "阴性",
                Flag("abnormal", "阳性"),
                MCH,
                at,
                no("E10"),
            ),
            result("抗核抗体滴度", "1:80", "", "＜1:80", Flag("unread", "★"), MCH, at, no("E01")),
            result("高敏肌钙蛋白I", "<0.01", "ng/mL", "0-0.04", NONE, MCH, at, no("E03")),
        ),
        recognition=no("E01"),
    )


def township() -> Report:
    day = date(2025, 12, 19)
    return Report(
        id=id_("town"),
        version="1",
        title="随访检验",
        kind="laboratory",
        organization=TOWN,
        collected=day,
        issued=day,
        status="final",
        results=(
            result(
                "空腹血糖", "7.4", "mmol/L", "3.9～6.1", Flag("high", "偏高"), TOWN, day, no("E02")
            ),
            result("糖化血红蛋白", "6.9", "%", "4-6", HIGH, TOWN, day, no("E02")),
        ),
        recognition=no("E02"),
    )


def ultrasound() -> Report:
    at = days(9)
    return Report(
        id=id_("us"),
        version="1",
        title="肝胆胰脾彩色多普勒超声",
        kind="ultrasound",
        organization=TCM,
        collected=at,
        issued=at,
        status="final",
        results=(),
        recognition=ELIGIBLE,
        conclusion="脂肪肝（轻度）。\n胆囊壁稍毛糙；胰、脾未见明显异常。",
    )


def ct() -> Report:
    at = days(40)
    return Report(
        id=id_("ct"),
        version="2",
        title="胸部CT平扫",
        kind="ct",
        organization=PEOPLE,
        collected=at,
        issued=at + timedelta(hours=2),
        status="amended",
        results=(),
        recognition=OWN,
        conclusion="右肺上叶磨玻璃结节，约 6 mm，建议 3 个月后复查。",
    )


RESIDENT = Resident(
    chart=id_("chart"),
    name="冯玘",
    sex="male",
    age=Age(46, "year"),
    number="330***************5",
    hospitals=(PEOPLE, TCM, MCH, TOWN),
    relationship="encounter",
)

CONTRIBUTIONS = (
    Contribution(PEOPLE, "answered", days(0.1)),
    Contribution(TCM, "answered", days(0.2)),
    Contribution(MCH, "late", days(3)),
    Contribution(TOWN, "silent", date(2025, 12, 19)),
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
class FakeStories(FakeCharts, FakeDecisions, FakeExplaining, FakePrinting):
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
        self, chart: str, caller: Caller, since: datetime | None = None
    ) -> Results | Refused:
        return Results(self.resident, self.contributions, tuple(self.reports), self.notice)

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
            department="检验科" if found.results else "功能检查科",
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

    async def consents(self, identifier: Identifier, caller: Caller) -> ConsentDesk:
        known = replace(self.resident, hospitals=(), relationship="", until=None)
        if identifier.number != NUMBER:
            known = replace(known, name="", sex="unknown", age=None, number="330***************X")
        return ConsentDesk(
            resident=known,
            consents=tuple(self.on_file) if known.name else (),
            organizations=(Choice("people", PEOPLE), Choice("tcm", TCM), Choice("mch", MCH)),
            categories=(Choice("PSY", "精神卫生"), Choice("HIV", "艾滋病病毒感染")),
            by_default="not-shared",
        )

    async def record_consent(
        self, identifier: Identifier, choice: ConsentChoice, evidence: Evidence, caller: Caller
    ) -> str:
        self.told.append(("record", choice, evidence))
        names = {
            "people": PEOPLE,
            "tcm": TCM,
            "mch": MCH,
            "PSY": "精神卫生",
            "HIV": "艾滋病病毒感染",
        }
        made = Consent(
            id_(f"new{len(self.told)}"), choice.kind, "active", choice.signed,
            organization=names.get(choice.organization, ""),
            category=names.get(choice.category, ""),
            recorded_by=caller.name, recorded_at=NOON, witness=choice.witness,
            evidence=hashlib.sha256(evidence.content).hexdigest()[:12],
        )  # fmt: skip
        self.on_file.insert(0, made)
        return made.id

    async def folder_pairs(self, identifier: Identifier, caller: Caller) -> tuple[FolderPair, ...]:
        return tuple(self.pairs)

    async def answer_folders(
        self, id: int, answer: Literal["one", "two"], identifier: Identifier, caller: Caller
    ) -> None:
        self.told.append(("folders", id, answer, identifier))
        self.pairs = [one for one in self.pairs if one.id != id]

    async def signing_ways(self, identifier: Identifier, caller: Caller) -> SigningWays:
        return self.ways

    async def send_signing_code(
        self, identifier: Identifier, choice: ConsentChoice, caller: Caller
    ) -> CodeSent:
        self.told.append(("send-code", choice))
        self.coded = identifier, choice
        return CodeSent("code-1", self.ways.phone, NOON)

    async def sign_with_code(self, id: str, code: str, caller: Caller) -> str:
        self.told.append(("sign", id, code))
        if code != "123456":
            raise Problem(Kind.UNPROCESSABLE, "This code does not sign anything now.", "code")
        identifier, choice = self.coded
        evidence = Evidence("application/vnd.signing-code+json", b"{}")
        return await self.record_consent(identifier, choice, evidence, caller)

    async def consent_evidence(self, id: str, caller: Caller) -> Evidence:
        return Evidence("application/pdf", b"%PDF-1.4 signed")

    async def withdraw_consent(self, id: str, witness: str, caller: Caller) -> None:
        self.told.append(("withdraw", id, witness))
        self.on_file = [
            replace(c, state="withdrawn", withdrawn_by=caller.name, withdrawn_at=NOON)
            if c.id == id
            else c
            for c in self.on_file
        ]

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
        return replace(check, sound=False, first_failure=9121, failure=said)

    async def sources(self, caller: Caller) -> tuple[SourceRow, ...]:
        return (
            SourceRow("people-his", PEOPLE, "HL7 v2.4 · MLLP", "active", 4210, 4102, 31, 75, 2, days(0.001)),
            SourceRow("tcm-lis", TCM, "LIS", "active", 1288, 1260, 12, 16, 0, days(0.02)),
            SourceRow("mch-fhir", MCH, "FHIR R4", "paused", 402, 402, 0, 0, 0, days(3)),
            SourceRow("township-csv", TOWN, "CSV", "active", 96, 90, 4, 1, 0, days(72)),
        )  # fmt: skip

    async def quarantine(self, source: str, caller: Caller) -> tuple[Held, ...]:
        held = (
            Held(id_("q1"), "people-his", PEOPLE, days(0.4), 2310, 1, (
                Issue("stop", "PID-3", "no-patient", Said("没有患者编号，不能归档", "no patient number; it cannot be filed")),
            )),
            Held(id_("q2"), "tcm-lis", TCM, days(1), 918, 3, (
                Issue("hold", "OBX[7]-5.1 (第 12 行)", "not-a-number", Said("数值类型的结果里不是数", "a numeric result is not a number")),
                Issue("note", "OBX[7]-6", "unknown-unit", Said("单位不在单位表里，按原文保留", "the unit is not in the table; kept as sent")),
            )),
            Held(id_("q3"), "people-his", PEOPLE, days(1.1), 1204, 1, (
                Issue("hold", "OBR[1]", "snapshot-missing", Said("新报告比旧报告少了项目", "a newer report holds fewer items")),
            ), lost=True),
        )  # fmt: skip
        return tuple(one for one in held if source in ("", one.source))

    async def replay(self, id: str, caller: Caller) -> Literal["filed", "quarantined", "waiting"]:
        self.told.append(("replay", id))
        return "filed"

    async def review(self, id: str, verdict: Literal["withdraw", "keep"], caller: Caller) -> None:
        self.told.append((verdict, id))

    async def labels(self, caller: Caller) -> LabelsView:
        begun = datetime(2026, 11, 20, 8, tzinfo=UTC)
        runs = (
            LabelRun(2, "1d0c93a4b7e2", True, begun, None, 1200, 480, 91_000, 37, 1),
            LabelRun(
                1,
                "77aa01b2c3d4",
                False,
                begun,
                begun,
                9,
                9,
                60,
                2,
                0,
                ((Said("艾滋病病毒感染（HIV）", "HIV (HIV)"), 2),),
            ),
        )
        return LabelsView(
            "1d0c93a4b7e2",
            "cn-optin/0f1e2d",
            720,
            ((Said("精神卫生（PSY）", "mental health (PSY)"), 61),),
            runs,
        )

    async def issues(self, caller: Caller) -> tuple[IssueCount, ...]:
        unit = Issue(
            "note",
            "OBX-6",
            "unknown-unit",
            Said("单位不在单位表里，按原文保留", "the unit is not in the table; kept as sent"),
        )
        code = Issue(
            "drop",
            "OBX-3",
            "unmapped-code",
            Said("本地项目代码没有对照", "the local item code is not mapped"),
        )
        return (
            IssueCount("tcm-lis", TCM, code, 214, days(0.02)),
            IssueCount("people-his", PEOPLE, unit, 87, days(0.3)),
        )

    async def unmapped(self, ignored: bool, caller: Caller) -> tuple[UnmappedCode, ...]:
        row = {"loinc": "14682-9", "relation": "equivalent", "unit": "umol/L"}
        why = Said(
            "名称相同 100 %（肌酐），标本相符，单位可换算（umol/L）",
            "the names agree by 100 % (肌酐)",
        )
        creatinine = CodeSuggestion("肌酐", 97, why, row)
        gram = CodeSuggestion(
            "g/L", 85, Said("people 的对照已批准", "approved at people"), {"ucum": "g/L"}
        )
        if ignored:
            return (
                UnmappedCode(
                    9,
                    "people-his",
                    "units",
                    "COI",
                    "",
                    "",
                    "",
                    700,
                    days(1),
                    "ignored",
                    "units",
                    reason="比值，不是单位",
                ),
            )
        return (
            UnmappedCode(1, "people-his", "items", "CRE2", "肌酐(酶法)", "SER", "mg/dL", 412, days(0.1), "open", "items", (creatinine,)),
            UnmappedCode(2, "people-his", "units", "克/升", "", "", "", 90, days(0.2), "open", "units", (gram,)),
            UnmappedCode(3, "people-his", "state", "已打印<b>", "", "", "", 3, days(2), "open", "codes"),
            UnmappedCode(4, "people-his", "nowhere", "X", "", "", "", 1, days(3), "open", ""),
            UnmappedCode(5, "people-his", "items", "CP01", "铜蓝蛋白", "SER", "g/L", 41, days(1), "proposed", "items", (), {"loinc": "2064-4", "relation": "narrower"}, "wang"),
            UnmappedCode(6, "people-his", "items", "CP02", "前白蛋白", "", "mg/L", 12, days(1), "proposed", "items", (), {"loinc": "14338-8"}, caller.user, True),
        )  # fmt: skip

    async def propose_code(
        self, id: int, cells: Mapping[str, str], knowing: bool, caller: Caller
    ) -> Said | None:
        self.decided.append(("propose", id, {k: v for k, v in cells.items() if v}, knowing))
        if cells.get("loinc") == "47238-1" and not knowing:
            return Said("只是 IgG 抗体。", "IgG only.")
        return None

    async def approve_code(self, id: int, caller: Caller) -> None:
        if id == 6:
            raise Problem(Kind.REFUSED, "Another person approves it.")
        self.decided.append(("approve", id))

    async def decline_code(self, id: int, caller: Caller) -> None:
        self.decided.append(("decline", id))

    async def ignore_code(self, id: int, reason: str, caller: Caller) -> None:
        self.decided.append(("ignore", id, reason))

    async def reopen_code(self, id: int, caller: Caller) -> None:
        self.decided.append(("reopen", id))

    async def quality(self, caller: Caller) -> tuple[SourceQuality, ...]:
        def one(name: str, seen: int, struck: int, *places: tuple[str, int]) -> Detected:
            per_day = [(seen // 14, struck // 14 + n % 3 if struck else 0) for n in range(14)]
            found = quality.Found(
                "people-his", name, seen, struck,
                tuple((f"2026-02-{15 + n}", *counts) for n, counts in enumerate(per_day)),
                dict(places),
            )  # fmt: skip
            return detected(found)

        people = (
            one("equal-times", 2210, 2203, ("LAB", 1804), ("CT", 399)),
            one("share-of-other", 2210, 12, ("RAD", 12)),
            one("gender-unknown", 4102, 0),
            one("reconcile", 2300, 90, ("not received", 90), ("not sent: no-resident-id", 41)),
            one("truncated-text", 640, 38, ("OBX-5 = 255 characters", 38)),
            one("time-formats", 31240, 2, ("OBX-14", 2)),
            one("clock-source", 18330, 40, ("report time", 40)),
        )
        tcm = (
            one("equal-times", 1100, 2),
            one("default-values", 9120, 2280, ("MZ = 01", 1140), ("GJ = CN", 1140)),
            one("encounter-class", 1100, 1100, ("no class", 1100)),
        )
        today = NOON.date()
        return (
            SourceQuality("people-his", PEOPLE, people, 4102, 3, today),
            SourceQuality("tcm-lis", TCM, tcm, 1260, 0, today),
            SourceQuality("mch-fhir", MCH, (), 0, 0, None),
            SourceQuality("township-csv", TOWN, (), 90, 0, today),
        )

    async def releases(self, caller: Caller) -> tuple[SiteReleases, ...]:
        found = Difference(
            files=(("codes/lis_items.csv", 1, 0),),
            failing=("oru-copper",),
            messages=4102,
            days=7,
            cut=True,
            changed=1204,
            rules=(
                RuleCount(
                    "Observation code",
                    "base/oru_r01.toml:72",
                    1204,
                    (Turn("unmapped", "2064-4", 1200), Turn("absent", "2064-4", 4)),
                ),
            ),
            appeared=(("Observation", 3),),
            disappeared=(("DiagnosticReport", 1),),
            issues=(("unmapped-code", 1204, 0),),
        )
        return (
            SiteReleases(
                "people",
                ("people-his", "people-lis"),
                (
                    Release(5, "proposed", "铜蓝蛋白有了 LOINC", "何工", days(0.1), True, difference=found),
                    Release(4, "proposed", "PV1-3 的科室", "江工", days(1), False,
                            difference=Difference((("oru.toml", 2, 1),))),
                    Release(3, "in-force", "标本", "何工", days(9), True, "江工", days(8)),
                    Release(2, "refused", "试一试", "何工", days(20), True, "江工"),
                    Release(1, "retired", "第一版", "operator", days(90), False, "operator", days(90)),
                ),
            ),
            SiteReleases("township", ("township-csv",), ()),
        )  # fmt: skip

    async def decide_release(self, number: int, approve: bool, caller: Caller) -> None:
        self.told.append(("decide_release", number, approve))


@dataclass
class FakeServices:
    """Settings and a clock that stands at noon."""

    settings: Settings = field(default_factory=lambda: Settings(demo=True))

    def now(self) -> int:
        return int(NOON.timestamp() * 1_000_000)
