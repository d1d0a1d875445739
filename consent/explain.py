"""One decision in words, for the auditor and the privacy officer; never for the caller."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from consent.model import (
    Decision,
    DenyHide,
    DenyTell,
    Permit,
    PermitEmergency,
    Reason,
    Redact,
)
from consent.policy import PolicySet

_REASONS: dict[Reason, tuple[str, str]] = {
    Reason.ONE_PURPOSE: ("一次请求只能有一个用途", "a request has exactly one purpose"),
    Reason.ROLE_PURPOSE: ("该角色不得以此用途请求", "the role may not assert this purpose"),
    Reason.NO_GRANT: (
        "没有有效的紧急查阅授权",
        "there is no live emergency grant for this user and patient",
    ),
    Reason.GRANT_SCOPE: (
        "紧急查阅授权不包括这种操作",
        "an emergency grant does not cover this action",
    ),
    Reason.NO_RELATIONSHIP: (
        "没有有效的诊疗关系",
        "there is no live treatment relationship",
    ),
    Reason.NO_RIGHT: (
        "县使用权矩阵未授予该机构或系统使用此类数据",
        "the county's matrix of rights gives no use of this class of data",
    ),
    Reason.DIRECTORY: ("目录信息，不涉及患者", "directory data, not about a patient"),
    Reason.NO_SUBJECT: ("看不出记录属于哪位患者", "the record names no patient"),
    Reason.UNKNOWN_SUBJECT: (
        "记录涉及的患者不是此人",
        "the record is about somebody who is not this person",
    ),
    Reason.NOT_LABELLED: ("记录尚未标注敏感类别", "the record is not labelled"),
    Reason.ENTERED_IN_ERROR: ("记录已标为录入错误", "the record was entered in error"),
    Reason.PATIENT_SEALED: (
        "患者档案已由法院或县级封存",
        "the patient is sealed by a court or the county",
    ),
    Reason.IDENTITY_DISPUTE: ("患者身份存在争议", "the patient's identity is in dispute"),
    Reason.IDENTITY_UNCONFIRMED: (
        "两份档案的合并尚未经本人确认",
        "the patient has not yet confirmed that the two charts are one person's",
    ),
    Reason.STATUTORY: ("法定职责", "a statutory duty"),
    Reason.DATA_SUBJECT: ("患者本人", "the patient in person"),
    Reason.HELD: (
        "须先由医生告知患者",
        "it is held until the clinician has told the patient",
    ),
    Reason.TOO_YOUNG: (
        "未确定已满自行查阅的年龄",
        "the patient is not surely old enough for an own account",
    ),
    Reason.REPRESENTATIVE: ("监护人或受托人", "a guardian or other representative"),
    Reason.NO_DELEGATION: ("没有有效的代理关系", "there is no valid delegation"),
    Reason.DELEGATION_ENDED: ("代理权已终止", "the delegation has ended"),
    Reason.DELEGATION_SCOPE: ("超出代理范围", "it is outside what the representative may see"),
    Reason.AFTER_DEATH: ("患者已去世，访问期已过", "the patient has died and the time is over"),
    Reason.OWN_SOURCE: ("本机构自己的记录", "the organization's own record"),
    Reason.DIRECTIVE: ("患者的知情同意", "the patient's directive"),
    Reason.DEFAULT: ("县级默认规则", "the county default"),
    Reason.PRESENCE: ("患者在场，并出示了有效凭证", "the patient is present with a fresh proof"),
    Reason.RESTRICTED_OPT_IN: (
        "敏感类别须患者专门同意",
        "restricted categories need the patient's explicit permit",
    ),
    Reason.SEALED_NAMED_ONLY: (
        "封存记录只对指名的人开放",
        "sealed records are for named persons only",
    ),
    Reason.BREAK_GLASS_DEFAULT: (
        "紧急查阅，越过县级默认规则",
        "emergency access over the county default",
    ),
    Reason.BREAK_GLASS_DIRECTIVE: (
        "紧急查阅，越过患者的拒绝",
        "emergency access over the patient's refusal",
    ),
}


def because(reason: Reason, language: str = "zh") -> str:
    """A reason in "zh" or "en"."""
    return _REASONS[reason][0 if language == "zh" else 1]


def explain(decision: Decision, policy: PolicySet, language: str = "zh") -> str:
    """What was answered, why, by which rules and until when, in "zh" or "en"."""
    chinese = language == "zh"
    answer = _answer(decision)[0 if chinese else 1]
    reason = _REASONS[decision.reason][0 if chinese else 1]
    text = f"{answer}：{reason}" if chinese else f"{answer}: {reason}"
    if decision.rules:
        rules = ", ".join(decision.rules)
        text += f"（依据 {rules}）" if chinese else f" (by {rules})"
    if decision.valid_until is not None:
        until = datetime.fromtimestamp(decision.valid_until // 1_000_000, policy.zone)
        until_text = until.isoformat(" ", "seconds")
        text += f"；在 {until_text} 之前有效" if chinese else f"; valid before {until_text}"
    return text + ("。" if chinese else ".")


def _answer(decision: Decision) -> tuple[str, str]:
    match decision:
        case Permit():
            return "允许", "Permitted"
        case PermitEmergency():
            return "紧急允许，须事后审查", "Permitted as emergency access, to be reviewed"
        case Redact():
            parts = len(decision.paths)
            return f"允许，隐去 {parts} 处内容", f"Permitted without {parts} part(s)"
        case DenyHide():
            return "不予共享，对请求者如同不存在", "Hidden, as if it did not exist"
        case DenyTell():
            return "拒绝，并告知请求者", "Refused openly"
        case _:
            assert_never(decision)
