"""A trace in words, line by line, for a privacy officer; it names no record, label or code of a patient."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from consent.effects import Language
from consent.explain import explain
from consent.model import RelationshipKind
from consent.policy import PolicySet
from consent.provisions import MAYBE, NO, YES
from consent.tracing import Considered, Matched, State, Trace

_KINDS: dict[RelationshipKind, tuple[str, str]] = {
    RelationshipKind.ENCOUNTER: ("就诊", "encounter"),
    RelationshipKind.REFERRAL: ("转诊", "referral"),
    RelationshipKind.APPOINTMENT: ("预约", "appointment"),
    RelationshipKind.CONTRACT: ("签约", "family doctor contract"),
    RelationshipKind.CARE_TEAM: ("诊疗组", "care team"),
    RelationshipKind.PRESENCE: ("患者在场", "presence of the patient"),
    RelationshipKind.SELF_CLAIM: ("自述", "self-claim"),
}
_STATES: dict[State, tuple[str, str]] = {
    State.WITHDRAWN: ("已撤回", "withdrawn"),
    State.OTHER_PATIENT: ("属于别的患者", "of another patient"),
    State.OTHER_SOURCE: ("只约束其他机构的数据", "binds the data of another organisation only"),
    State.NOT_NOW: ("与这次请求无关", "cannot matter to this request"),
    State.UNREADABLE: ("无法解读，按拒绝处理", "cannot be read, so it refuses"),
    State.SILENT: ("没有涉及这条记录", "says nothing about this record"),
    State.PERMITS: ("许可", "permits"),
    State.REFUSES: ("拒绝", "refuses"),
    State.TAKEN_BACK: ("拒绝，但已被后来的许可收回", "refuses, but was taken back"),
    State.DOUBTED: (
        "签署后所在病案的身份证号作过更正，不知是谁的同意：不再许可，须重新签署",
        "signed before its folder's ID number was corrected, so whose word it is nobody knows: "
        "permits no longer, to be signed anew",
    ),
}
_ELEMENTS: dict[str, tuple[str, str]] = {
    "period": ("期限", "period"),
    "actors": ("对象", "actors"),
    "actions": ("操作", "actions"),
    "purposes": ("用途", "purposes"),
    "labels": ("敏感标签", "labels"),
    "classes": ("记录类型", "types"),
    "codes": ("代码", "codes"),
    "dates": ("临床日期", "clinical dates"),
    "data": ("指定的记录", "named data"),
}
_MATCHES: dict[int, tuple[str, str]] = {
    YES: ("是", "yes"),
    MAYBE: ("不确定", "maybe"),
    NO: ("否", "no"),
}


def lines(trace: Trace, policy: PolicySet, language: Language = "zh") -> Iterator[str]:
    """The way to the decision in order, the decision last."""
    at = 0 if language == "zh" else 1

    def instant(micros: int) -> str:
        return datetime.fromtimestamp(micros // 1_000_000, policy.zone).isoformat(" ", "minutes")

    for relationship, live in trace.relationships:
        start, end = policy.life(relationship)
        kind, since = _KINDS[relationship.kind][at], instant(start)
        until = instant(end) if end is not None else ("未定", "open")[at]
        if at:
            yield f"relationship: {kind}, {since} to {until}: {'counts' if live else 'does not count'}"
        else:
            yield f"诊疗关系：{kind}，{since} 至 {until}：{'有效' if live else '无效'}"
    if not trace.relationships:
        yield ("没有登记的诊疗关系", "no relationship on file")[at]
    if trace.gate is not None:
        yield ("在查看任何记录之前已有结论", "settled before any record is looked at")[at]
    for one in trace.consents:
        yield from _consent(one, at)
    if trace.gate is None and not trace.consents:
        yield ("没有登记的同意或拒绝", "no consent on file")[at]
    yield explain(trace.decision, policy, language)


def _consent(one: Considered, at: int) -> Iterator[str]:
    by = ", ".join(one.taken_back_by)
    ending = (f"（{by}）", f" (by {by})")[at] if by else ""
    yield f"{one.directive.rule}{('：', ': ')[at]}{_STATES[one.state][at]}{ending}"
    for provision in one.provisions:
        yield _provision(provision, at)


def _provision(one: Matched, at: int) -> str:
    kind = (("拒绝", "许可"), ("deny", "permit"))[at][one.permit]
    told = [f"{_ELEMENTS[e.name][at]} = {_MATCHES[e.match][at]}" for e in one.elements]
    matched = (", " if at else "，").join(told) or ("没有条件", "no condition")[at]
    return f"{'  ' * (one.depth + 1)}{kind}{('：', ': ')[at]}{matched}"
