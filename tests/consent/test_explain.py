"""Decisions in words, in both languages, without a patient in them."""

from __future__ import annotations

import pytest

from consent import policy
from consent.explain import explain
from consent.model import (
    Decision,
    DenyHide,
    DenyTell,
    Permit,
    PermitEmergency,
    Reason,
    Redact,
)
from tests.consent import build

COUNTY = policy.load("cn-optin", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("decision", "chinese", "english"),
    [
        (
            Permit(Reason.DIRECTIVE, ("Consent/c1/_history/1",), build.at("2026-06-02T08:00:00")),
            "允许：患者的知情同意（依据 Consent/c1/_history/1）；在 2026-06-02 08:00:00+08:00 之前有效。",
            "Permitted: the patient's directive (by Consent/c1/_history/1); "
            "valid before 2026-06-02 08:00:00+08:00.",
        ),
        (
            Redact(Reason.RESTRICTED_OPT_IN, ("component[1]",)),
            "允许，隐去 1 处内容：敏感类别须患者专门同意。",
            "Permitted without 1 part(s): "
            "restricted categories need the patient's explicit permit.",
        ),
        (
            PermitEmergency(Reason.BREAK_GLASS_DEFAULT),
            "紧急允许，须事后审查：紧急查阅，越过县级默认规则。",
            "Permitted as emergency access, to be reviewed: "
            "emergency access over the county default.",
        ),
        (
            DenyTell(Reason.NO_RELATIONSHIP),
            "拒绝，并告知请求者：没有有效的诊疗关系。",
            "Refused openly: there is no live treatment relationship.",
        ),
    ],
)
def test_a_decision_is_one_sentence(decision: Decision, chinese: str, english: str) -> None:
    assert explain(decision, COUNTY) == chinese
    assert explain(decision, COUNTY, "en") == english


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    decision = DenyHide(reason)

    assert explain(decision, COUNTY, "zh") != explain(decision, COUNTY, "en")
