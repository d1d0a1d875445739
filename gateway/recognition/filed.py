"""What is filed beside a decision: the duplicate noticed, the copy for the record, a re-read, an alert.

All FHIR R4, in the folder of the organisation that decides; each begins with resourceType and id
and holds no meta. Nothing here orders anything: a re-read is a proposal the hospital's own system may
turn into an order.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import msgspec

from gateway.recognition.bundle import Bundle
from gateway.recognition.decisions import Decision, Revoked, coded, doctor_of, named, written_at


def duplicate(id: str, decision: Decision, *, base: str, zone: tzinfo) -> bytes:
    """A DetectedIssue: the same was measured before, and what the doctor did about it.

    `implicated` names the order, where one is known, and the very version of the earlier result.
    """
    at = written_at(decision.at, zone)
    order = [named(decision.order, "ServiceRequest", decision.organization, base)]
    choice = decision.choice
    return msgspec.json.encode(
        {
            "resourceType": "DetectedIssue",
            "id": id,
            "status": "final",
            "code": coded("duplicate-test", "重复检查检验", base),
            "patient": {"reference": f"Patient/{decision.chart}"},
            "identifiedDateTime": at,
            "implicated": [
                *(order if decision.order else []),
                {"reference": decision.result.reference, "type": decision.result.type},
            ],
            "detail": "同一项目已有可互认的结果，由医师决定是否重复检查。",
            "mitigation": [
                _mitigation(choice.value, choice.zh, at, doctor_of(decision, base)[0], base)
            ],
        }
    )


def lifted(
    issue: bytes, at: int, why: Revoked, practitioner: str, *, base: str, zone: tzinfo
) -> bytes:
    """The next version of such a DetectedIssue: the decision was taken back at `at`, by whom."""
    said: dict[str, Any] = msgspec.json.decode(issue)
    said.pop("meta", None)
    system = said["mitigation"][0]["author"]["identifier"]["system"]
    doctor = {"system": system, "value": practitioner}
    more = _mitigation(why.value, why.zh, written_at(at, zone), doctor, base)
    said["mitigation"] = [*said["mitigation"], more]
    return msgspec.json.encode(said)


def _mitigation(
    code: str, zh: str, at: str, doctor: dict[str, str], base: str
) -> dict[str, object]:
    author = {"type": "Practitioner", "identifier": doctor}
    return {"action": coded(code, zh, base), "date": at, "author": author}


def copy_of(
    id: str,
    decisions: Sequence[Decision],
    text: str,
    title: str,
    *,
    base: str,
    zone: tzinfo,
) -> bytes:
    """A DocumentReference: what was relied on or declined, word for word, for the medical record.

    `text` is kept inside as UTF-8; `related` names the decisions and the versions they are about. The
    decisions are of one act: one doctor, one patient, one moment.
    """
    one = decisions[0]
    plain = text.encode("utf-8", "replace")
    related = [{"reference": f"Task/{each.id}"} for each in decisions]
    related += [{"reference": each.result.reference} for each in decisions]
    context: dict[str, object] = {"related": related}
    if one.encounter.startswith("Encounter/"):
        context = {"encounter": [{"reference": one.encounter}], **context}
    return msgspec.json.encode(
        {
            "resourceType": "DocumentReference",
            "id": id,
            "status": "current",
            "docStatus": "final",
            "type": coded("recognition-copy", "互认结果存档", base),
            "subject": {"reference": f"Patient/{one.chart}"},
            "date": written_at(one.at, zone),
            "author": [{"type": "Practitioner", "identifier": doctor_of(one, base)[0]}],
            "description": title,
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "language": "zh-CN",
                        "data": base64.b64encode(plain).decode(),
                        "size": len(plain),
                        "title": title,
                        "creation": written_at(one.at, zone),
                    }
                }
            ],
            "context": context,
        }
    )


CHANGES = {
    "corrected": ("出具机构更正了这项结果", "Its issuer corrected this result"),
    "replaced": ("出具机构以新报告重发了这项结果", "Its issuer sent this result again in a new report"),
    "withdrawn": ("出具机构作废了这项结果", "Its issuer withdrew this result"),
    "identity": ("这项结果是否属于同一患者需要核对", "Whether this result is the same patient's has to be checked"),
}  # fmt: skip
"""What may happen to a result after somebody decided on it, in the words of its alert."""


def change_text(change: str, found: Bundle) -> tuple[str, str]:
    """What the hospital's system is told in words, Chinese and English: which decision, and what has
    changed since. Names are as issued in both."""
    seen, (zh, en) = found.shown, CHANGES[change]
    return (
        f"互认变更提醒：{zh}\n"
        f"出具机构：{seen.hospital}　报告：{seen.report}　项目：{seen.item}\n"
        f"医师：{found.doctor.name}，请核对后决定撤销或重新认可。\n",
        f"Change after recognition: {en}\n"
        f"Issued by: {seen.hospital}; report: {seen.report}; item: {seen.item}\n"
        f"Doctor: {found.doctor.name}. Please check, then revoke or recognise anew.\n",
    )


def _in_english(text: str) -> dict[str, object]:
    """A string's translation, in FHIR R4's extension `translation`."""
    parts = [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": text}]
    url = "http://hl7.org/fhir/StructureDefinition/translation"
    return {"extension": [{"url": url, "extension": parts}]}


def alert(
    id: str,
    change: str,
    pinned: str,
    chart: str,
    at: int,
    found: Bundle,
    *,
    base: str,
    zone: tzinfo,
) -> bytes:
    """A Communication to the doctor of the decision of `found`: its result has changed.

    `pinned` is "Type/id/_history/version" of what changed it, `chart` the folder of the decision.
    """
    doctor = found.doctor
    who = {"system": f"{base}/sid/{doctor.organization}/user", "value": doctor.login}
    category = "http://terminology.hl7.org/CodeSystem/communication-category"
    zh, en = change_text(change, found)
    return msgspec.json.encode(
        {
            "resourceType": "Communication",
            "id": id,
            "language": "zh-CN",
            "status": "completed",
            "category": [{"coding": [{"system": category, "code": "alert"}]}],
            "priority": "urgent",
            "subject": {"reference": f"Patient/{chart}"},
            "topic": coded(f"result-{change}", CHANGES[change][0], base),
            "about": [
                {"reference": f"Task/{found.task}"},
                {"reference": pinned, "type": pinned.partition("/")[0]},
            ],
            "sent": written_at(at, zone),
            "recipient": [{"type": "Practitioner", "identifier": who}],
            "payload": [{"contentString": zh, "_contentString": _in_english(en)}],
        }
    )


def reread(id: str, decision: Decision, what: str, *, base: str, zone: tzinfo) -> bytes:
    """A ServiceRequest draft: the images are accepted, and our own radiology is asked to read them.

    A proposal: whether it becomes an order, with its own fee, is for the hospital's system.
    """
    return msgspec.json.encode(
        {
            "resourceType": "ServiceRequest",
            "id": id,
            "status": "draft",
            "intent": "proposal",
            "code": coded("re-read", "外院影像重新阅片", base) | {"text": f"重新阅片：{what}"},
            "subject": {"reference": f"Patient/{decision.chart}"},
            "authoredOn": written_at(decision.at, zone),
            "requester": {"type": "Practitioner", "identifier": doctor_of(decision, base)[0]},
            "performer": [
                {
                    "type": "Organization",
                    "identifier": {
                        "system": f"{base}/sid/organization",
                        "value": decision.organization,
                    },
                }
            ],
            "supportingInfo": [
                {"reference": decision.result.reference, "type": decision.result.type}
            ],
        }
    )
