"""The doctor's decision about one version of one earlier result, and the FHIR Task that keeps it."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from enum import StrEnum

import msgspec

from gateway.recognition.judgement import Judgement
from gateway.recognition.reasons import Declined as Declined
from gateway.recognition.reasons import LocalReason


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

    @property
    def reference(self) -> str:
        """The version as FHIR names it."""
        return f"{self.type}/{self.id}/_history/{self.version}"


class Decision(msgspec.Struct, frozen=True):
    """One decision. `chart` is the patient's folder at the organisation that decides.

    `reason` stands with a decline and only there, `local` is the hospital's own word for it. `informed`
    says whether the necessity of repeating was explained to the patient (a duty when declining),
    `acknowledged` is what the patient signed to that, `note` holds the doctor's own words. `order` and
    `encounter` are references where the record is on file here, else the receiver's own number.
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
    local: LocalReason | None = None
    acknowledged: str = ""
    name: str = ""  # the doctor's
    licence: str = ""  # the doctor's, empty when not on file
    order: str = ""
    encounter: str = ""


def fault_of(decision: Decision) -> tuple[str, str] | None:
    """What is missing or too much, as a Chinese and an English sentence; None when it is whole."""
    reason = decision.reason
    if decision.choice is Choice.DECLINE and reason is None:
        return "不认可时请选择原因。", "Choose a reason for declining."
    if decision.choice is not Choice.DECLINE and reason is not None:
        return "认可时不能填写不认可原因。", "A reason is for declining only."
    if decision.local and decision.local.national is not reason:
        return "本院原因与目录原因不一致。", "The local reason stands for another."
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
    pin, choice = decision.result, decision.choice
    decided = written_at(decision.at, zone)
    doctor = doctor_of(decision, base)
    task: dict[str, object] = {
        "resourceType": "Task",
        "id": decision.id,
        "contained": [
            {"resourceType": "Practitioner", "id": "doctor", "identifier": doctor}
            | ({"name": [{"text": decision.name}]} if decision.name else {})
        ],
    }
    if decision.order:
        task["basedOn"] = [named(decision.order, "ServiceRequest", decision.organization, base)]
    task["status"] = "completed" if decision.revoked is None else "cancelled"
    if decision.revoked is not None:
        task["statusReason"] = coded(Revoked.DOCTOR.value, Revoked.DOCTOR.zh, base)
    task |= {
        "businessStatus": coded(choice.value, choice.zh, base),
        "intent": "order",
        "code": coded("recognition-decision", "检查检验结果互认决定", base),
        "focus": {"reference": pin.reference, "type": pin.type},
        "for": {"reference": f"Patient/{decision.chart}"},
    }
    if decision.encounter:
        task["encounter"] = named(decision.encounter, "Encounter", decision.organization, base)
    task |= {
        "authoredOn": decided,
        "lastModified": decided if decision.revoked is None else written_at(decision.revoked, zone),
        "requester": {
            "type": "Organization",
            "identifier": {"system": f"{base}/sid/organization", "value": decision.organization},
        },
        "owner": {"reference": "#doctor", "type": "Practitioner", "identifier": doctor[0]},
    }
    if decision.note.strip():
        task["note"] = [{"time": decided, "text": decision.note.strip()}]
    task["input"] = _inputs(decision, judgement, base)
    task["output"] = _outputs(decision, base)
    return msgspec.json.encode(task)


# Of the first version of the rules the state of the register was not kept.
_RESTED_ON = (("catalogue", "目录版本"), ("register", "资格登记版本"), ("rules", "规则版本"))


def _inputs(decision: Decision, judgement: Judgement, base: str) -> list[dict[str, object]]:
    eligible = "eligible" if judgement.reason is None else judgement.reason.value
    inputs = [
        part("content-hash", "结果内容哈希", "String", decision.result.content, base),
        part("eligibility", "系统判定", "Code", eligible, base),
    ]
    if decision.issuer:
        inputs.append(part("issuer", "出具机构", "String", decision.issuer, base))
    if judgement.item:
        inputs.append(part("item", "互认项目", "Code", judgement.item, base))
    if judgement.side:
        inputs.append(part("side", "侧别", "Code", judgement.side, base))
    inputs += [
        part(name, zh, "String", judgement.rules[name], base)
        for name, zh in _RESTED_ON
        if judgement.rules.get(name)
    ]
    return inputs


def _outputs(decision: Decision, base: str) -> list[dict[str, object]]:
    choice, reason, local = decision.choice, decision.reason, decision.local
    concept = coded(choice.value, choice.zh, base)
    outputs = [part("decision", "互认决定", "CodeableConcept", concept, base)]
    if reason:
        system = f"{base}/CodeSystem/recognition-decline"
        codings = [{"system": system, "code": reason.value, "display": reason.zh}]
        if reason.upstream != reason.value:
            upstream = Declined(reason.upstream)
            codings.append({"system": system, "code": upstream.value, "display": upstream.zh})
        if local:
            own = f"{base}/sid/{decision.organization}/decline-reason"
            codings.append({"system": own, "code": local.code, "display": local.zh})
        said = {"coding": codings}
        outputs.append(part("decline-reason", "不认可原因", "CodeableConcept", said, base))
        outputs.append(part("patient-informed", "已向患者说明", "Boolean", decision.informed, base))
    if decision.acknowledged.strip():
        text = decision.acknowledged.strip()
        outputs.append(part("patient-acknowledged", "患者知情确认", "String", text, base))
    return outputs


def coded(code: str, zh: str, base: str) -> dict[str, object]:
    """A concept of our own code system."""
    return {"coding": [{"system": f"{base}/CodeSystem/recognition", "code": code, "display": zh}]}


def part(code: str, zh: str, kind: str, value: object, base: str) -> dict[str, object]:
    """One input or output of a Task."""
    return {"type": coded(code, zh, base), f"value{kind}": value}


def named(said: str, type: str, organization: str, base: str) -> dict[str, object]:
    """A reference to a record on file ("Type/id"), or to one that only the hospital has, by number."""
    if said.startswith(f"{type}/"):
        return {"reference": said, "type": type}
    system = f"{base}/sid/{organization}/{type.lower()}"
    return {"type": type, "identifier": {"system": system, "value": said}}


def doctor_of(decision: Decision, base: str) -> list[dict[str, str]]:
    """Who decided: the login at the hospital, and the licence number (医师执业证书编号) if on file."""
    system = f"{base}/sid/{decision.organization}/user"
    identifiers = [{"system": system, "value": decision.practitioner}]
    if decision.licence:
        identifiers.append({"system": f"{base}/sid/doctor-licence", "value": decision.licence})
    return identifiers


def revoked_task(
    task: bytes, at: int, why: Revoked, words: str, practitioner: str, *, base: str, zone: tzinfo
) -> bytes:
    """The next version of a decision's Task: cancelled at `at`, by whom and why.

    What it says of the decision stays. Begins with resourceType and id and holds no meta.
    """
    said = json.loads(task)
    said.pop("meta", None)
    moment = written_at(at, zone)
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


def written_at(at: int, zone: tzinfo) -> str:
    """A moment as FHIR writes it."""
    seconds, micro = divmod(at, 1_000_000)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=micro).isoformat()
