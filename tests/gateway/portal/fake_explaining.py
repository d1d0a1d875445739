"""Canned explanations; every rule and resident is invented."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from gateway.portal.explain_stories import Explained, Offered, Question, SeenLine, Seers, Way
from gateway.portal.stories import Choice, Identifier
from gateway.services.caller import Caller

RULE = "Consent/5f0c91ab77e24d1e8a3b5f0c91ab77e2/_history/c3d802f14b6e"
LOSES = {
    "zh": "云溪县中医医院将不再看到您的就诊和检查检验结果（不论在哪里产生）。",
    "en": "Yunxi TCM Hospital will no longer see your visits and test results (wherever written).",
}
WHEN = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


class FakeExplaining:
    """`ExplainStories` for looking at pages; what was asked is written down in `told`."""

    told: list[tuple[Any, ...]]
    effects: tuple[str, ...] | Literal["as-told"] | None = "as-told"

    async def explain_offered(self, caller: Caller) -> Offered:
        return Offered(
            (
                Choice("Organization/tcm", "云溪县中医医院"),
                Choice("Practitioner/li", "李青（演示）"),
            ),
            ("ETREAT", "HPAYMT", "TREAT"),
            (Choice("PSY", "精神卫生"), Choice("HIV", "艾滋病病毒感染")),
        )

    async def explain(
        self, identifier: Identifier, question: Question, language: str, caller: Caller
    ) -> Explained:
        self.told.append(("explain", identifier.number, question))
        english = language == "en"
        lines = (
            SeenLine(
                "visits and test results (another's)"
                if english
                else "就诊和检查检验结果（其他机构产生）",
                "treating",
                (Way(("treatment-relationship",)), Way(("emergency",))),
                "the patient's directive" if english else "患者的知情同意",
                (RULE,),
                WHEN,
                datetime(2030, 3, 1, tzinfo=UTC),
                True,
            ),
            SeenLine(
                "psychiatric records" if english else "精神卫生记录",
                "consent",
                (Way(("treatment-relationship", "consent")), Way(("emergency",))),
                "by level" if english else "敏感类别须患者专门同意",
            ),
            SeenLine("sealed records" if english else "封存的记录", "closed", (), "—"),
        )
        steps = (
            ("relationship: encounter: counts", f"{RULE}: permits", "  permit: purposes = yes")
            if english
            else ("诊疗关系：就诊：有效", f"{RULE}：许可", "  许可：用途 = 是")
        )
        answer = "Permitted." if english else "允许：患者的知情同意。"
        return Explained(
            True,
            (*steps, answer),
            (
                Seers(
                    "Yunxi TCM Hospital" if english else "云溪县中医医院",
                    "clinician",
                    "TREAT",
                    lines,
                ),
                Seers(
                    "Any (for payment)" if english else "任何机构（为付费）",
                    "insurer",
                    "HPAYMT",
                    lines[2:],
                ),
            ),
            WHEN,
        )

    async def consent_effects(
        self, identifier: Identifier, draft: Mapping[str, str], language: str, caller: Caller
    ) -> tuple[str, ...] | None:
        return (LOSES[language],) if self.effects == "as-told" else self.effects

    async def withdrawal_effects(
        self, identifier: Identifier, id: str, language: str, caller: Caller
    ) -> tuple[str, ...]:
        return () if self.effects in (None, "as-told") else self.effects
