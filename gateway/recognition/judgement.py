"""What a judgement about one earlier result says: outcome, reason, flags, and every step taken.

Values only. The rules that make one stand in annex_d_1 and annex_d_2; `eligibility` chooses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from gateway.recognition import images
from gateway.recognition.facts import ResultFacts

DAY = 86_400_000_000
SKEW = 600_000_000  # µs a clock may run ahead

PatientClass = Literal["OP", "IP", "EM"]
Offer = Literal["accept", "accept-reread", "decline"]
"""A word of `decisions.Choice`."""


class Outcome(StrEnum):
    """Offered for recognition, only to be looked at, or nothing to be said about it."""

    ELIGIBLE = "eligible"
    INFORMATIONAL = "informational"
    NONE = "none"

    @property
    def zh(self) -> str:
        """The outcome for a doctor."""
        return _OUTCOMES[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _OUTCOMES[self][1]


_OUTCOMES = {
    Outcome.ELIGIBLE: ("可互认", "may be recognised"),
    Outcome.INFORMATIONAL: ("仅供参考", "for information only"),
    Outcome.NONE: ("不可互认", "may not be recognised"),
}


class Reason(StrEnum):
    """Why a result is not eligible. Never to be mixed with a doctor's reason."""

    NOT_LISTED = "E01"
    NOT_ENTITLED = "E02"
    TOO_OLD = "E03"
    NOT_FINAL = "E04"
    OTHER_MATERIAL = "E05"
    NOT_READABLE = "E06"
    NO_IMAGES = "E07"
    IDENTITY = "E08"
    NO_BASIS = "E09"
    PROTECTED = "E10"
    EMERGENCY = "E11"
    SUSPENDED = "E12"
    SOURCE = "E13"
    NEGATIVE = "E14"

    @property
    def zh(self) -> str:
        """The reason for a doctor."""
        return _WORDS[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _WORDS[self][1]


_WORDS = {
    Reason.NOT_LISTED: ("不在互认项目目录内", "not in the recognition catalogue"),
    Reason.NOT_ENTITLED: (
        "出具机构在采样时或目前没有覆盖本机构的互认资格",
        "the issuing laboratory is not entitled for this receiver, then or now",
    ),
    Reason.TOO_OLD: ("超出互认时限", "outside the validity window"),
    Reason.NOT_FINAL: (
        "报告未审核、已作废或已被更正版本取代",
        "the report is not final, was withdrawn, or has a newer version",
    ),
    Reason.OTHER_MATERIAL: (
        "标本、方法、部位或侧别不符",
        "specimen, method, body part or side does not fit",
    ),
    Reason.NOT_READABLE: ("结果值或单位无法解读", "value or unit cannot be interpreted"),
    Reason.NO_IMAGES: images.WORDS["unreachable"],
    Reason.IDENTITY: ("患者身份未达到互认要求，请核对证件", "identity not certain: check the card"),
    Reason.NO_BASIS: ("无授权或法律依据", "no consent or other legal basis"),
    Reason.PROTECTED: ("受保护类别，不参与互认", "a protected category, not for recognition"),
    Reason.EMERGENCY: ("急诊就诊，仅供参考，不计入统计", "emergency: for information, not counted"),
    Reason.SUSPENDED: (
        "出具机构的互认资格已暂停或撤销",
        "the laboratory's entitlement is suspended or revoked",
    ),
    Reason.SOURCE: (
        "来源标明不用于互认（体检、科研或床旁检测）",
        "marked not for recognition (health check, research or point of care)",
    ),
    Reason.NEGATIVE: ("在不予互认的负面清单内", "on the negative list"),
}


class Flag(StrEnum):
    """Something to look at that does not decide by itself."""

    MARK_NOT_IN_REGISTER = "mark-not-in-register"  # printed, but the register knows nothing of it
    MARK_UNKNOWN = "mark-unknown"
    CLOCK_IS_ISSUE_TIME = "clock-is-issue-time"  # no collection time: the age is too small
    COLLECTED_WHEN_ISSUED = "collected-when-issued"  # this result has one time in all places
    TIMES_NOT_TRUSTED = "times-not-trusted"  # its source always copies one time into all places
    IN_THE_FUTURE = "in-the-future"
    SOURCE_CLASS_UNKNOWN = "source-class-unknown"
    SPECIMEN_NOT_STATED = "specimen-not-stated"
    METHOD_NOT_STATED = "method-not-stated"
    BODY_PART_NOT_STATED = "body-part-not-stated"
    CONTRAST_NOT_STATED = "contrast-not-stated"
    IMAGES_NOT_CHECKED = "images-not-checked"
    QUALITY_NOT_STATED = "quality-not-stated"  # slice thickness, detector rows, phases
    OWN_RESULT = "own-result"
    AMBIGUOUS_CODE = "ambiguous-code"

    @property
    def zh(self) -> str:
        """What there is to look at, for a doctor."""
        return _FLAGS[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _FLAGS[self][1]


_FLAGS = {
    Flag.MARK_NOT_IN_REGISTER: (
        "报告上印有互认标识，但资格登记中没有对应资格",
        "carries a printed mark that the register of entitlements does not know",
    ),
    Flag.MARK_UNKNOWN: ("报告上的互认标识无法识别", "carries a mark nobody here knows"),
    Flag.CLOCK_IS_ISSUE_TIME: (
        "没有采样或检查时间，按报告时间计算，实际可能更早",
        "no collection time: counted from the report, the result may be older",
    ),
    Flag.COLLECTED_WHEN_ISSUED: (
        "采样时间与报告时间相同，请留意",
        "collected at the very time it was reported",
    ),
    Flag.TIMES_NOT_TRUSTED: (
        "该来源的采样、检查与报告时间总是相同，时间不可信",
        "this source always sends one time for all: its times are not to be trusted",
    ),
    Flag.IN_THE_FUTURE: ("时间晚于现在", "lies in the future"),
    Flag.SOURCE_CLASS_UNKNOWN: ("就诊类别不明", "kind of visit not stated"),
    Flag.SPECIMEN_NOT_STATED: ("未注明标本", "specimen not stated"),
    Flag.METHOD_NOT_STATED: ("未注明方法", "method not stated"),
    Flag.BODY_PART_NOT_STATED: ("未注明检查部位", "body part not stated"),
    Flag.CONTRAST_NOT_STATED: ("未注明平扫或增强", "contrast not stated"),
    Flag.IMAGES_NOT_CHECKED: images.WORDS["unknown"],
    Flag.QUALITY_NOT_STATED: (
        "未提供影像质量信息（层厚、探测器排数、期相）",
        "no facts on image quality (slice thickness, detector rows, phases)",
    ),
    Flag.OWN_RESULT: ("本院结果", "this hospital's own result"),
    Flag.AMBIGUOUS_CODE: ("编码对应多个互认项目", "the code means more than one item"),
}


class Receiver(msgspec.Struct, frozen=True):
    """Who would recognise, and in what kind of visit and department the patient is there.

    `preoperative`: an operation is being prepared, so the result would be decisive. `platforms` are
    (item, instrument) of the receiver's own laboratory, as far as known.
    """

    organization: str
    patient_class: PatientClass = "OP"
    department: str = ""
    preoperative: bool = False
    platforms: tuple[tuple[str, str], ...] = ()


class Step(msgspec.Struct, frozen=True):
    """One step that was taken: its number in Annex D, whether it was passed, what decided."""

    number: int
    passed: bool
    note: str


class Judgement(msgspec.Struct, frozen=True):
    """The answer for one result and one receiver at one moment.

    `age_days` counts whole days since the clock started, None when no time is known.
    `qualified_then` and `qualified_now` are both answers of step 8, None when it was not reached.
    `choices` is what a doctor may be offered, empty unless eligible. `counted` is false where the
    figures leave the result out. `rules` names what the case must be judged with again: version of the
    catalogue, state of the register (since annex-d-2) and version of the rules. `clock` is µs UTC of what the age counts from. `reference_only`
    names what of the result is never recognised: a doctor's conclusion. `side` is left, right, both
    or empty.
    """

    eligible: bool
    reason: Reason | None
    item: str
    age_days: int | None
    window_days: int | None
    rules: dict[str, str]
    trace: tuple[Step, ...]
    flags: tuple[Flag, ...] = ()
    evidence: str = ""
    qualified_then: bool | None = None
    qualified_now: bool | None = None
    outcome: Outcome = Outcome.NONE
    choices: tuple[Offer, ...] = ()
    counted: bool = True
    clock: int | None = None
    reference_only: tuple[str, ...] = ()
    side: str = ""

    @property
    def silent(self) -> bool:
        """Nothing may be said of it to somebody who does not see the result itself."""
        return self.reason is Reason.PROTECTED


_SINCE_2 = ("outcome", "choices", "counted", "clock", "reference_only", "side")


class Case(msgspec.Struct, frozen=True):
    """Everything a judgement was made from, apart from the catalogue it names."""

    facts: ResultFacts
    receiver: Receiver
    at: int
    rules: str


class _Stored(msgspec.Struct):
    """A case as it may stand in the store: before there were several versions it named none."""

    facts: ResultFacts
    receiver: Receiver
    at: int
    rules: str = "annex-d-1"


def encode(case: Case) -> bytes:
    """Canonical JSON of a case, to be stored with its judgement."""
    return msgspec.json.encode(case, order="deterministic")


def decode(data: bytes) -> Case:
    """The case again, one that names no rules as of the first version; msgspec.MsgspecError when it is none."""
    stored = msgspec.json.decode(data, type=_Stored)
    return Case(stored.facts, stored.receiver, stored.at, stored.rules)


def written(judgement: Judgement) -> bytes:
    """Canonical JSON of a judgement as its own version of the rules words it.

    Whoever judges a stored case again compares these bytes with the stored ones.
    """
    fields: dict[str, Any] = {
        name: getattr(judgement, name) for name in judgement.__struct_fields__
    }
    if judgement.rules["rules"] == "annex-d-1":
        for name in _SINCE_2:
            del fields[name]
    return msgspec.json.encode(fields | {"rules": dict(sorted(judgement.rules.items()))})


def read(data: bytes) -> Judgement:
    """A stored judgement again; msgspec.MsgspecError when it is none."""
    found = msgspec.json.decode(data, type=Judgement)
    if found.eligible:
        return msgspec.structs.replace(found, outcome=Outcome.ELIGIBLE)
    return found
