"""What one decision rested on, kept whole: what was shown, judged, said, and when.

Made in the transaction of the decision and never changed. The judgement can be made again from
`case` with the catalogue and the rules it names, years later, and must come out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from gateway.recognition.decisions import Choice
from gateway.recognition.reasons import Declined


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result exactly as it stood on the screen, field by field; times as texts of the county."""

    hospital: str
    report: str
    item: str
    value: str = ""
    unit: str = ""
    range: str = ""
    flag: str = ""
    status: str = ""
    specimen: str = ""
    method: str = ""
    note: str = ""
    earlier: str = ""  # the value a correction replaced
    collected: str = ""
    issued: str = ""
    findings: str = ""
    conclusion: str = ""
    mark: str = ""
    until: str = ""
    age_days: int | None = None
    card: str = ""  # the words of the card, where a card asked


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided; `reason` is a code of `Declined`, `local` the hospital's own beside it."""

    choice: str
    reason: str = ""
    local: str = ""
    words: str = ""
    informed: bool = False
    acknowledged: str = ""


class Doctor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who decided; an empty licence was not on file."""

    login: str
    name: str
    organization: str
    licence: str = ""
    client: str = ""  # the system that spoke for them


class Times(msgspec.Struct, frozen=True, omit_defaults=True):
    """µs UTC; 0: did not happen, or nobody told us."""

    decided: int
    prompted: int = 0
    viewed: int = 0


class Where(msgspec.Struct, frozen=True, omit_defaults=True):
    """The visit it was decided in; `number` is the hospital's own of it, where its system gave one."""

    encounter: str = ""
    department: str = ""
    patient_class: str = ""
    hook: str = ""
    order: str = ""
    number: str = ""


class Bundle(msgspec.Struct, frozen=True, omit_defaults=True):
    """The evidence of one decision.

    `target` is "Type/id/_history/version", `content` the keyed hash of that version's text; `judgement`
    and `case` are canonical JSON. `basis` names the event in the access log under which it was shown,
    and the consent rules that permitted it. `signatures` counts electronic signatures of the issuer
    that came with it; `seal` says that the stored text was opened unaltered.
    """

    id: str
    task: str
    issuer: str
    target: str
    content: str
    shown: Shown
    judgement: str
    case: str
    catalogue: str
    rules: str
    entitlement: str
    leaf: str
    basis: tuple[str, ...]
    said: Said
    doctor: Doctor
    times: Times
    where: Where
    register: str = ""  # the state of the register of entitlements
    received: int = 0
    report: str = ""  # id of the report it was shown in
    signatures: int = 0
    seal: str = "intact"


def encode(bundle: Bundle) -> bytes:
    """Canonical JSON, the same for the same bundle."""
    return msgspec.json.encode(bundle, order="deterministic")


def decode(data: bytes) -> Bundle:
    """The bundle again; msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(data, type=Bundle)


def fingerprint(data: bytes) -> str:
    """SHA-256 of an encoded bundle, as it is printed on the page."""
    return sha256(data).hexdigest()


def as_text(found: Sequence[Bundle], hospital: str, when: str) -> str:
    """The copy for the medical record: what was relied on or declined, by whom, in plain words."""
    one = found[0]
    licence = one.doctor.licence or "未登记"
    lines = [
        "互认结果存档",
        f"决定机构：{hospital}　医师：{one.doctor.name}（执业证书编号 {licence}）　时间：{when}",
    ]
    for each in found:
        seen = each.shown
        value = " ".join(filter(None, (seen.value, seen.unit, seen.flag)))
        lines += [
            "",
            f"出具机构：{seen.hospital}　报告：{seen.report}　互认标识：{seen.mark or '无'}",
            f"采集时间：{seen.collected or '未注明'}　报告时间：{seen.issued or '未注明'}",
            f"项目：{seen.item}" + (f"　结果：{value}" if value else ""),
        ]
        lines += [
            f"{name}：{text}"
            for name, text in (
                ("参考范围", seen.range),
                ("标本", seen.specimen),
                ("所见", seen.findings),
                ("结论", seen.conclusion),
                ("备注", seen.note),
            )
            if text
        ]
        choice = Choice(each.said.choice)
        said = f"决定：{choice.zh}"
        if each.said.reason:
            said += f"　原因：{each.said.reason} {Declined(each.said.reason).zh}"
        lines += [said, *([f"说明：{each.said.words}"] if each.said.words else [])]
        lines.append(f"版本：{each.target}　内容指纹：{each.content}")
    return "\n".join(lines) + "\n"
