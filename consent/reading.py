"""Strict reading of FHIR elements: every refusal names the element and says why in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from consent.labels import V3_ACT_CODE, V3_CONFIDENTIALITY
from consent.policy import PolicySet

V3_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
V3_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
CONSENT_ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"

# Other names the same code systems go by.
_SAME_SYSTEM = {
    "http://hl7.org/fhir/v3/Confidentiality": V3_CONFIDENTIALITY,
    "urn:oid:2.16.840.1.113883.5.25": V3_CONFIDENTIALITY,
    "http://hl7.org/fhir/v3/ActCode": V3_ACT_CODE,
    "urn:oid:2.16.840.1.113883.5.4": V3_ACT_CODE,
    "http://hl7.org/fhir/v3/ActReason": V3_ACT_REASON,
    "urn:oid:2.16.840.1.113883.5.8": V3_ACT_REASON,
    "http://hl7.org/fhir/v3/ParticipationType": V3_PARTICIPATION,
    "http://terminology.hl7.org/CodeSystem/consent-scope": CONSENT_SCOPE,
}

_MAX_VALUES = 100
ELEMENT = frozenset({"id", "extension"})
_MODIFIERS = frozenset({"modifierExtension", "implicitRules"})
Resolve = Callable[[str], str | None]

_SENTENCES = {
    "not-a-consent": ("这不是知情同意（Consent）资源。", "This is not a Consent."),
    "unknown-element": (
        "网关不认识这个元素，不能忽略它。",
        "Unknown element; it cannot be ignored.",
    ),
    "modifier": ("网关不认识这个修饰扩展或隐含规则。", "Unknown modifier or implicit rules."),
    "contained": (
        "不接受内嵌资源；被引用的对象须已在网关登记。",
        "Contained resources are not accepted; what is referred to must be known here.",
    ),
    "missing": ("缺少这个元素。", "This element is required."),
    "wrong-type": ("这个元素的数据类型不对。", "This element has the wrong data type."),
    "one-value": ("这里只能有一个值。", "Exactly one value is allowed here."),
    "too-many": ("值或层数过多。", "Too many values or nodes."),
    "too-deep": ("嵌套的条款层数超过允许。", "Provisions are nested deeper than allowed."),
    "status": ("状态只接受 active 或 inactive。", "Only active and inactive are accepted."),
    "scope": ("范围必须是 patient-privacy。", "The scope must be patient-privacy."),
    "unknown-patient": ("网关不认识这位患者。", "This patient is not known here."),
    "ambiguous": (
        "引用与同时给出的标识或类型无法确认一致。",
        "A reference beside an identifier or a type that may mean somebody else.",
    ),
    "not-an-instant": (
        "日期时间无效：有时间就必须带时区，日期必须完整。",
        "Not a valid date or time: a time needs its zone, a date must be complete.",
    ),
    "future": ("日期在将来。", "Dated in the future."),
    "period": ("结束不晚于开始。", "The end is not after the start."),
    "no-authority": (
        "签署人不是患者本人，也不是当时有权代理的人。",
        "Signed neither by the patient nor by somebody with authority then.",
    ),
    "unknown-organization": ("网关不认识这个机构。", "This organization is not known here."),
    "unknown-policy": ("网关不认识这个政策。", "This policy is not known here."),
    "no-base": (
        "看不出总体是同意还是拒绝。",
        "Neither a policy rule nor a type says permit or deny.",
    ),
    "contradiction": ("政策规则与条款类型矛盾。", "The policy rule and the type contradict."),
    "no-evidence": (
        "缺少签署凭证或其摘要。",
        "Evidence of the signature, or its hash, is required.",
    ),
    "evidence": (
        "凭证与摘要不符，或网关无法核实。",
        "The evidence does not fit its hash or is not known.",
    ),
    "used": (
        "这份凭证已经用于另一份同意。",
        "This evidence already proves another consent.",
    ),
    "withdrawn": (
        "已撤回的同意不能恢复，请重新签署。",
        "A consent that was withdrawn is not revived; sign a new one.",
    ),
    "weaker": (
        "凭证的可信程度低于原来的签署，不能取代它。",
        "The proof is weaker than that of what stands, and cannot undo it.",
    ),
    "unknown-code": ("网关不认识这个代码。", "This code is not known here."),
    "unknown-system": ("网关不认识这个代码系统。", "This code system is not known here."),
    "unknown-reference": ("网关不认识所引用的对象。", "What this refers to is not known here."),
}


class Refusal(msgspec.Struct, frozen=True):
    """Why a Consent is not accepted: a code and the element, never a value."""

    code: str
    path: str

    def text(self, language: str) -> str:
        """The sentence for people, "zh" or "en"; it starts with the element."""
        chinese, english = _SENTENCES[self.code]
        return f"{self.path}: {chinese if language == 'zh' else english}"


@dataclass
class Elements:
    """Reads FHIR elements; every method notes what it refuses and lets the reader go on."""

    policy: PolicySet
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, code: str, path: str) -> None:
        """Note a refusal."""
        self.refusals.append(Refusal(code, path))

    def period(
        self, given: Mapping[str, Any], name: str, path: str
    ) -> tuple[int | None, int | None]:
        """[start, end); an end that is a date alone runs through that county day."""
        period = self.object(given, name, path)
        if period is None:
            return None, None
        path = f"{path}.{name}"
        self.members(period, ELEMENT | {"start", "end"}, path)
        start = end = None
        if "start" in period and (bounds := self.instant(period["start"], f"{path}.start")):
            start = bounds[0]
        if "end" in period and (bounds := self.instant(period["end"], f"{path}.end")):
            end = bounds[1]
        if start is not None and end is not None and start >= end:
            self.refuse("period", path)
        if "start" not in period and "end" not in period:
            self.refuse("missing", f"{path}.start")
        return start, end

    def instant(self, text: object, path: str) -> tuple[int, int] | None:
        """A time as (t, t), a date as the bounds of its county day."""
        bounds = _instant(text, self.policy) if isinstance(text, str) else None
        if bounds is None:
            self.refuse("not-an-instant", path)
        return bounds

    def known(
        self, coding: Mapping[str, Any], path: str, system: str, codes: object
    ) -> Iterator[str]:
        """The code of a coding of this system; `codes` None accepts any."""
        code = coding.get("code")
        if system_of(coding) != system:
            self.refuse("unknown-system", path)
        elif not isinstance(code, str) or not (codes is None or code in codes):  # type: ignore[operator]
            self.refuse("unknown-code", path)
        else:
            yield code

    def codings(self, concept: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
        """(system, code, path) of each coding; text alone says nothing to a machine."""
        for place, coding in self.objects(concept, "coding", path, required=True):
            system, code = system_of(coding), coding.get("code")
            if isinstance(system, str) and isinstance(code, str) and code:
                yield system, code, place
            else:
                self.refuse("missing", f"{place}.code")

    def reference(
        self, given: Mapping[str, Any], path: str, resolve: Resolve, code: str
    ) -> str | None:
        """What a literal reference resolves to; beside an identifier or another type it is refused."""
        literal = given.get("reference")
        if literal is not None and (
            "identifier" in given or given.get("type", type_of(given)) != type_of(given)
        ):
            self.refuse("ambiguous", path)
            return None
        found = resolve(literal) if isinstance(literal, str) else None
        if found is None:
            self.refuse(code, path)
        return found

    def object(
        self, given: Mapping[str, Any], name: str, path: str, *, required: bool = False
    ) -> Mapping[str, Any] | None:
        value = given.get(name)
        if value is None:
            if required:
                self.refuse("missing", f"{path}.{name}")
            return None
        if not isinstance(value, Mapping):
            self.refuse("wrong-type", f"{path}.{name}")
            return None
        return value

    def list(
        self, given: Mapping[str, Any], name: str, path: str, *, required: bool = False
    ) -> Sequence[Any]:
        value = given.get(name, ())
        if not isinstance(value, (list, tuple)):
            self.refuse("wrong-type", f"{path}.{name}")
            return ()
        if len(value) > _MAX_VALUES:
            self.refuse("too-many", f"{path}.{name}")
            return ()
        if not value and (required or name in given):
            self.refuse("missing", f"{path}.{name}")
        return value

    def objects(
        self, given: Mapping[str, Any], name: str, path: str, *, required: bool = False
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for number, value in enumerate(self.list(given, name, path, required=required)):
            place = f"{path}.{name}[{number}]"
            if isinstance(value, Mapping):
                yield place, value
            else:
                self.refuse("wrong-type", place)

    def one(self, given: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any] | None:
        values = list(self.objects(given, name, path, required=True))
        if len(values) > 1:
            self.refuse("one-value", f"{path}.{name}")
        return values[0][1] if values else None

    def modifiers(self, resource: Mapping[str, Any], path: str) -> None:
        """Refuse what changes the meaning of its surroundings, wherever it stands."""
        todo: list[tuple[Any, str]] = [(resource, path)]
        while todo:
            value, place = todo.pop()
            if isinstance(value, Mapping):
                for name, inner in value.items():
                    if name in _MODIFIERS:
                        self.refuse("modifier", f"{place}.{name}")
                    else:
                        todo.append((inner, f"{place}.{_shown(name)}"))
            elif isinstance(value, (list, tuple)):
                todo += [(inner, f"{place}[{n}]") for n, inner in enumerate(value)]

    def members(self, given: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        for name in given:
            if name not in known and name not in _MODIFIERS:
                self.refuse("unknown-element", f"{path}.{_shown(name)}")


def _shown(name: object) -> str:
    """A name of the sender's making is not repeated back; it could say anything."""
    return name if isinstance(name, str) and re.fullmatch("[A-Za-z_]{1,40}", name) else "?"


def system_of(coding: Mapping[str, Any]) -> str | None:
    """The code system of a coding under its one name."""
    system = coding.get("system")
    return _SAME_SYSTEM.get(system, system) if isinstance(system, str) else None


def type_of(reference: Mapping[str, Any]) -> str:
    """The resource type a literal reference names."""
    literal = reference.get("reference")
    return literal.split("/")[-2] if isinstance(literal, str) and "/" in literal else ""


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _instant(text: str, policy: PolicySet) -> tuple[int, int] | None:
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            if day.year < 1900:
                return None
            return policy.midnight(day), policy.midnight(day + timedelta(days=1))
        if _TIME.fullmatch(text):
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
            if moment.year < 1900:
                return None
            at = round(moment.timestamp() * 1_000_000)
            return at, at
    except (ValueError, OverflowError):
        pass
    return None
