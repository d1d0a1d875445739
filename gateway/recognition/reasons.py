"""Why a doctor does not recognise a result: the coded national list, and a hospital's own words.

The codes are those of a provincial platform with our own wording. 98 and 99 are no
refusals and stay out of the refusal rate; 09 is ours and is reported upstream as 08. A hospital's own
reason always stands for one of the list, and is counted as that one.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Declined(StrEnum):
    """Why a doctor does not recognise a result."""

    CHANGED = "01"
    FAST = "02"
    DECISIVE = "03"
    EMERGENCY = "04"
    APPRAISAL = "05"
    QUALIFIED_LABORATORY = "06"
    JUDGEMENT = "07"
    OTHER = "08"
    QUALITY = "09"
    NOT_RECEIVED = "98"
    MONITORING = "99"

    @property
    def zh(self) -> str:
        """The sentence to choose from."""
        return _REASONS[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _REASONS[self][1]

    @property
    def counted(self) -> bool:
        """Does it count as a refusal in the statistics?"""
        return self not in {Declined.NOT_RECEIVED, Declined.MONITORING}

    @property
    def upstream(self) -> str:
        """The code the provincial platform knows."""
        return "08" if self is Declined.QUALITY else self.value

    @property
    def needs_words(self) -> bool:
        """Must the doctor say it in words too?"""
        return self is Declined.OTHER


_REASONS = {
    Declined.CHANGED: (
        "病情变化，原结果与临床表现或诊断不符",
        "Condition changed; the result does not fit presentation or diagnosis",
    ),
    Declined.FAST: (
        "该项目在疾病过程中变化较快",
        "The item changes fast in the course of the disease",
    ),
    Declined.DECISIVE: (
        "结果对治疗有重大影响（手术、输血等重大措施前）",
        "Decisive for treatment (before surgery, transfusion or other major measures)",
    ),
    Declined.EMERGENCY: ("急诊、急救等危急情况", "Emergency, first aid or critical state"),
    Declined.APPRAISAL: (
        "司法、伤残、病退、劳动仲裁等鉴定",
        "Judicial, disability, sick-retirement or labour appraisal",
    ),
    Declined.QUALIFIED_LABORATORY: (
        "依法须由具备特定资质的机构检查",
        "The law requires a specially qualified institution",
    ),
    Declined.JUDGEMENT: ("主诊医师认为确需重复检查", "The attending doctor finds it necessary"),
    Declined.OTHER: ("其他确需重复检查的情形（请说明）", "Another reason (say which)"),
    Declined.QUALITY: ("影像或标本质量不符合要求", "Quality of images or specimen insufficient"),
    Declined.NOT_RECEIVED: (
        "未收到或患者无法提供外院影像资料",
        "Outside images not received and not brought by the patient",
    ),
    Declined.MONITORING: ("疾病需连续动态监测", "Continuous monitoring needs serial tests"),
}


class LocalReason(msgspec.Struct, frozen=True):
    """A hospital's own reason, shown in its own forms; `national` is what it is counted as."""

    organization: str
    code: str
    zh: str
    en: str
    national: Declined
