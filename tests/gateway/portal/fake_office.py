"""The IT office of the invented county: sources, what is held, codes, quality, releases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from gateway.errors import Kind, Problem
from gateway.exchange import quality
from gateway.portal.label_stories import LabelRun, LabelsView
from gateway.portal.releases import Difference, Release, RuleCount, SiteReleases, Turn
from gateway.portal.shown import detected
from gateway.portal.stories import (
    CodeSuggestion,
    Detected,
    Held,
    Issue,
    IssueCount,
    Said,
    SourceQuality,
    SourceRow,
    UnmappedCode,
)
from gateway.services.caller import Caller
from tests.gateway.portal.fake_records import MCH, NOON, PEOPLE, TCM, TOWN, days, id_


class FakeOffice:
    """Answers to the IT office's pages."""

    told: list[tuple[Any, ...]]
    decided: list[tuple[Any, ...]]

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
            "名称相似度 100%（肌酐），标本相符，单位可换算（umol/L）",
            "the names agree by 100% (肌酐)",
        )
        creatinine = CodeSuggestion("肌酐", 97, why, row)
        gram = CodeSuggestion(
            "g/L", 85, Said("在people已有批准的对照", "approved at people"), {"ucum": "g/L"}
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
