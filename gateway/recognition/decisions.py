"""The doctor's decision about one version of one earlier result, and the FHIR Task that keeps it.

The reasons are the coded list of a provincial platform with our own wording. 98 and
99 are no refusals and stay out of the refusal rate; 09 is ours and is reported upstream as 08.
"""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from enum import StrEnum

import msgspec

from gateway.recognition.judgement import Judgement


class Choice(StrEnum):
    """What the doctor decided. An image may be accepted while its reading is asked for again."""

    ACCEPT = "accept"
    ACCEPT_REREAD = "accept-reread"
    DECLINE = "decline"

    @property
    def zh(self) -> str:
        """The word on the button."""
        return _CHOICES[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _CHOICES[self][1]


_CHOICES = {
    Choice.ACCEPT: ("认可", "accepted"),
    Choice.ACCEPT_REREAD: ("认可影像，申请重新阅片", "images accepted, new reading requested"),
    Choice.DECLINE: ("不认可", "declined"),
}


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
        "condition changed; the result does not fit presentation or diagnosis",
    ),
    Declined.FAST: (
        "该项目在疾病过程中变化较快",
        "the item changes fast in the course of the disease",
    ),
    Declined.DECISIVE: (
        "结果对治疗有重大影响（手术、输血等重大措施前）",
        "decisive for treatment (before surgery, transfusion or other major measures)",
    ),
    Declined.EMERGENCY: ("急诊、急救等危急情况", "emergency, first aid or critical state"),
    Declined.APPRAISAL: (
        "司法、伤残、病退、劳动仲裁等鉴定",
        "judicial, disability, sick-retirement or labour appraisal",
    ),
    Declined.QUALIFIED_LABORATORY: (
        "依法须由具备特定资质的机构检查",
        "the law requires a specially qualified institution",
    ),
    Declined.JUDGEMENT: ("主诊医师认为确需重复检查", "the attending doctor finds it necessary"),
    Declined.OTHER: ("其他确需重复检查的情形（请说明）", "another reason (say which)"),
    Declined.QUALITY: ("影像或标本质量不符合要求", "quality of images or specimen insufficient"),
    Declined.NOT_RECEIVED: (
        "未收到或患者无法提供外院影像资料",
        "outside images not received and not brought by the patient",
    ),
    Declined.MONITORING: ("疾病需连续动态监测", "continuous monitoring needs serial tests"),
}


class Revoked(StrEnum):
    """Why a decision does not stand any more."""

    DOCTOR = "revoked"
    ORDERED = "order-signed"

    @property
    def zh(self) -> str:
        """The word in the Task."""
        return {"revoked": "已撤销", "order-signed": "医嘱仍已签署"}[self.value]


class Pin(msgspec.Struct, frozen=True):
    """The very version that was looked at; `content` is the keyed hash of its text, in hex."""

    type: str
    id: str
    version: str
    content: str


class Decision(msgspec.Struct, frozen=True):
    """One decision. `chart` is the patient's folder at the organisation that decides.

    `reason` stands with a decline and only there. `informed` says whether necessity of repeating
    was explained to the patient (a duty when declining), `note` holds the doctor's own words.
    """

    id: str
    result: Pin
    chart: str
    organization: str
    practitioner: str
    choice: Choice
    at: int  # µs UTC
    reason: Declined | None = None
    note: str = ""
    informed: bool = False
    revoked: int | None = None  # µs UTC
    issuer: str = ""  # who issued the result


def fault_of(decision: Decision) -> tuple[str, str] | None:
    """What is missing or too much, as a Chinese and an English sentence; None when it is whole."""
    reason = decision.reason
    if decision.choice is Choice.DECLINE and reason is None:
        return "不认可时请选择原因。", "Choose a reason for declining."
    if decision.choice is not Choice.DECLINE and reason is not None:
        return "认可时不能填写不认可原因。", "A reason is for declining only."
    if reason and reason.needs_words and not decision.note.strip():
        return "选择“其他”时请用文字说明。", "Say in words what the other reason is."
    if decision.revoked is not None and decision.revoked < decision.at:
        return "撤销时间早于决定时间。", "Revoked before it was decided."
    return None


def decision_task(decision: Decision, judgement: Judgement, *, base: str, zone: tzinfo) -> bytes:
    """The decision as FHIR R4 Task JSON; the same decision gives the same bytes.

    Begins with resourceType and id and holds no meta. `base` is the canonical base of our code
    systems, `zone` the one times are written in. ValueError when `fault_of` finds a fault.
    """
    if fault_of(decision):
        raise ValueError("the decision is not whole")
    system = f"{base}/CodeSystem/recognition"
    pin = decision.result
    decided = _moment(decision.at, zone)

    def coded(code: str, zh: str) -> dict[str, object]:
        return {"coding": [{"system": system, "code": code, "display": zh}]}

    def part(code: str, zh: str, kind: str, value: object) -> dict[str, object]:
        return {"type": coded(code, zh), f"value{kind}": value}

    choice = decision.choice
    outputs = [part("decision", "互认决定", "CodeableConcept", coded(choice.value, choice.zh))]
    if decision.reason:
        concept = {
            "coding": [
                {
                    "system": f"{base}/CodeSystem/recognition-decline",
                    "code": decision.reason.value,
                    "display": decision.reason.zh,
                }
            ]
        }
        outputs.append(part("decline-reason", "不认可原因", "CodeableConcept", concept))
        outputs.append(part("patient-informed", "已向患者说明", "Boolean", decision.informed))
    eligible = "eligible" if judgement.reason is None else judgement.reason.value
    task: dict[str, object] = {
        "resourceType": "Task",
        "id": decision.id,
        "status": "completed" if decision.revoked is None else "cancelled",
    }
    if decision.revoked is not None:
        task["statusReason"] = coded("revoked", "已撤销")
    task |= {
        "businessStatus": coded(choice.value, choice.zh),
        "intent": "order",
        "code": coded("recognition-decision", "检查检验结果互认决定"),
        "focus": {
            "reference": f"{pin.type}/{pin.id}/_history/{pin.version}",
            "type": pin.type,
        },
        "for": {"reference": f"Patient/{decision.chart}"},
        "authoredOn": decided,
        "lastModified": decided if decision.revoked is None else _moment(decision.revoked, zone),
        "requester": {
            "type": "Organization",
            "identifier": {"system": f"{base}/sid/organization", "value": decision.organization},
        },
        "owner": {
            "type": "Practitioner",
            "identifier": {
                "system": f"{base}/sid/{decision.organization}/user",
                "value": decision.practitioner,
            },
        },
    }
    if decision.note.strip():
        task["note"] = [{"time": decided, "text": decision.note.strip()}]
    inputs = [
        part("content-hash", "结果内容哈希", "String", pin.content),
        part("eligibility", "系统判定", "Code", eligible),
    ]
    if decision.issuer:
        inputs.append(part("issuer", "出具机构", "String", decision.issuer))
    if judgement.item:
        inputs.append(part("item", "互认项目", "Code", judgement.item))
    inputs += [
        part(name, zh, "String", judgement.rules[name])
        for name, zh in (("catalogue", "目录版本"), ("rules", "规则版本"))
    ]
    task["input"] = inputs
    task["output"] = outputs
    return msgspec.json.encode(task)


def revoked_task(
    task: bytes, at: int, why: Revoked, words: str, practitioner: str, *, base: str, zone: tzinfo
) -> bytes:
    """The next version of a decision's Task: cancelled at `at`, by whom and why.

    What it says of the decision stays. Begins with resourceType and id and holds no meta.
    """
    said = json.loads(task)
    said.pop("meta", None)
    moment = _moment(at, zone)
    code = {"system": f"{base}/CodeSystem/recognition", "code": why.value, "display": why.zh}
    system = said["owner"]["identifier"]["system"]
    by = {"type": "Practitioner", "identifier": {"system": system, "value": practitioner}}
    note = {"authorReference": by, "time": moment, "text": words or why.zh}
    found: dict[str, object] = {}
    for name, value in said.items():
        found[name] = value
        if name == "status":
            found["status"] = "cancelled"
            found["statusReason"] = {"coding": [code]}
    found["lastModified"] = moment
    found["note"] = [*said.get("note", []), note]
    return msgspec.json.encode(found)


def _moment(at: int, zone: tzinfo) -> str:
    seconds, micro = divmod(at, 1_000_000)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=micro).isoformat()
