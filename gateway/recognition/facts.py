"""What a judgement about one result rests on, taken from FHIR once and stored with the judgement.

Facts hold no name, no value and no free text of the patient: what was measured, in what, where, how
it stands and when. With the catalogue of the day they give the same judgement again for ever.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, tzinfo
from functools import lru_cache
from typing import Any, Literal

import msgspec

from gateway.recognition.images import Images

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"

Resource = Mapping[str, Any]
SourceClass = Literal["clinical", "health-check", "research", "poct", "unknown"]
Contrast = Literal["", "without", "with", "both"]


class ResultFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of one result. Times are µs UTC, None when not told.

    `result` is "Type/id"; `version` and `content` (keyed hash of its text, hex) pin it. `specimen`
    is a word of SPECIMENS, "other", or "" when not stated. `value` says what kind of value there
    is: quantity, concept, ratio, ordinal (a word such as 阴性 or 2+), text (any other), report,
    absent (a reason stands instead, or words that are no result) or none. `device` is the
    instrument or platform as its laboratory names it, folded. `acquired` is when the images were
    taken. `quality` are facts by which images are judged, (name, value with unit), sorted.
    `times_copied` says that the times are one, and come from an organisation that has a source known
    to write one time into all places.
    """

    result: str
    version: str
    content: str
    organization: str
    identity_tier: int
    status: str
    report_status: str = ""
    latest: bool = True
    disputed: bool = False
    source_class: SourceClass = "unknown"
    sensitivities: tuple[str, ...] = ()
    loinc: tuple[str, ...] = ()
    specimen: str = ""
    method: str = ""
    modality: str = ""
    body_parts: tuple[str, ...] = ()
    laterality: str = ""
    collected: int | None = None
    effective: int | None = None
    issued: int | None = None
    value: str = "none"
    unit: str = ""
    images: Images = "unknown"
    marks: tuple[str, ...] = ()
    device: str = ""
    contrast: Contrast = ""
    acquired: int | None = None
    quality: tuple[tuple[str, str], ...] = ()
    times_copied: bool = False


SPECIMENS: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    # class: codes (HL7 table 0487 and the short forms met, SNOMED CT), words in any text
    "serum": (frozenset({"SER", "SERUM", "119364003"}), ("血清",)),
    "plasma": (frozenset({"PLAS", "PLASMA", "PPP", "119361006"}), ("血浆",)),
    "capillary blood": (frozenset({"BLDC", "CAPBLD"}), ("末梢血", "指血", "毛细血管血")),
    "blood": (
        frozenset({"BLD", "WB", "BLDV", "BLOOD", "119297000", "122555007"}),
        ("全血", "静脉血", "抗凝血", "EDTA"),
    ),
    "urine": (frozenset({"UR", "URI", "URINE", "122575003"}), ("尿",)),
}
_MODALITIES = {
    "CT": "CT", "RUS": "US", "US": "US", "OUS": "US", "VUS": "US", "CUS": "US", "NMR": "MR",
    "MR": "MR", "MRI": "MR", "DX": "DX", "CR": "DX", "DR": "DX", "RX": "DX", "ECG": "ECG",
    "EC": "ECG",
}  # fmt: skip


def _any(*parts: str) -> re.Pattern[str]:
    """Finds any of these."""
    return re.compile("|".join(map(re.escape, parts)))


_SIDES = {
    "left": _any("左", "LEFT", "7771000"),
    "right": _any("右", "RIGHT", "24028007"),
    "both": _any("双", "BILATERAL", "51440002"),
}
# LOINC codes that name a side by themselves, for senders that send no words with them.
_LOINC_SIDES = {
    "36710-2": "left", "36685-6": "left", "26158-6": "left", "26159-4": "right",
    "36508-0": "left", "36510-6": "right", "26214-7": "both",
}  # fmt: skip
_CODE_SIDES = {
    "left": _any("左", " LEFT "),
    "right": _any("右", " RIGHT "),
    "both": _any("双侧", "双膝", "双踝", "双肩", " BILATERAL "),
}
_DICOM_SIDES = {"L": "left", "R": "right", "B": "both"}
_BOTH_PHASES = re.compile(r"平扫\s*(?:\+|及|加|和|、|与)\s*增强|WO AND W\b|WITHOUT AND WITH\b")
_WITH_CONTRAST = re.compile(r"(?<![非不未无])增强|造影|CTA|\bW (?:CONTRAST|IV)|\bWITH CONTRAST")
_WITHOUT_CONTRAST = re.compile(r"平扫|[非不未]增强|\bWO (?:CONTRAST|IV)|\bWITHOUT CONTRAST")
# Ordinal answers that senders of FHIR write as text; the maps make concepts of them.
_ORDINAL = re.compile(
    r"(?:弱?阳性|阴性|可疑|未检出|检出|NEG(?:ATIVE)?|POS(?:ITIVE)?|(?:NON-?)?REACTIVE|TRACE|±|\+-|-\+"
    r"|\+{1,4}|[1-4]\+|\+[1-4])?\s*(?:\((?:±|-|\+{1,4}|[1-4]\+|\+[1-4])\))?"
)
_NO_RESULT = re.compile(
    r"[./*\s]+|-{2,}|(?:见|详见|请见|另见).{0,8}|.{0,4}(?:溶血|脂血|凝固|不足|污染|错误)|(?:请|建议)?复查"
    r"|已退.{0,2}|未做|退检|重抽|拒收|作废|取消"
)
_HEALTH_CHECK = _any("体检", "健康检查", "健康管理", "HEALTH CHECK", "CHECKUP", "CHECK-UP")
_RESEARCH = _any("科研", "临床试验", "RESEARCH", "CLINICAL TRIAL")
_POCT = _any("POCT", "床旁", "床边", "即时检验", "POINT OF CARE", "POINT-OF-CARE")


def facts_of(
    result: Resource,
    *,
    version: str,
    content: str,
    organization: str,
    identity_tier: int,
    zone: tzinfo,
    report: Resource | None = None,
    specimen: Resource | None = None,
    encounter: Resource | None = None,
    latest: bool = True,
    disputed: bool = False,
    sensitivities: Iterable[str] = (),
    performers: Mapping[str, str] | None = None,
    images: Images = "unknown",
    study: Resource | None = None,
    times_copied: bool = False,
) -> ResultFacts:
    """The facts of an Observation, or of a DiagnosticReport that is an examination itself.

    `organization` is the one whose chart holds it and counts as the performer, unless `performers`
    is given: then a performing Organization is looked up in it by its reference, and one that is
    not there stays a reference no register knows. Days without a time start at midnight in `zone`.
    Never raises for content: what cannot be read is as if it had not been said.
    """
    collection = _map(_map(specimen).get("collection"))
    report, study = report or {}, study or {}
    taken = _words(_map(specimen).get("type")) + _words(_map(result.get("specimen")).get("display"))
    code, method, device = (_words(result.get(name)) for name in ("code", "method", "device"))
    site = _words(result.get("bodySite"))
    quality = _quality(study)
    return ResultFacts(
        result=f"{result.get('resourceType', '')}/{result.get('id', '')}",
        version=version,
        content=content,
        organization=_performer(result, report, organization, performers),
        identity_tier=identity_tier,
        status=_text(result.get("status")),
        report_status=_text(report.get("status")),
        latest=latest,
        disputed=disputed,
        source_class=_source_class(result, report, encounter, [*method, *code, *device]),
        sensitivities=tuple(sorted(set(sensitivities))),
        loinc=tuple(
            dict.fromkeys(
                _text(coding.get("code"))
                for coding in _codings(result.get("code"))
                if coding.get("system") == LOINC
            )
        ),
        specimen=_specimen(tuple(taken)),
        method=" ".join(method),
        modality=_modality(result, report),
        body_parts=tuple(site or _study_body(study)),
        laterality=_laterality(result, study, site),
        collected=_first_time(
            zone,
            collection.get("collectedDateTime"),
            _map(collection.get("collectedPeriod")).get("start"),
        ),
        effective=_first_time(zone, *_effective(result), *_effective(report)),
        issued=_first_time(zone, result.get("issued"), report.get("issued")),
        value=_value(result),
        unit=_unit(result),
        images=images,
        marks=tuple(dict.fromkeys([*marks_of(result), *marks_of(report)])),
        device=" ".join(dict.fromkeys(device)),
        contrast=_contrast(code, study, quality),
        acquired=_first_time(zone, study.get("started")),
        quality=tuple(sorted(quality)),
        times_copied=times_copied,
    )


def in_one(facts: ResultFacts) -> bool:
    """Is the time of collection or examination told, and everywhere the very one of the report?"""
    told = {facts.collected, facts.acquired, facts.effective} - {None}
    return told == {facts.issued}


def side_of(codings: Iterable[tuple[str, str]], *names: str) -> str:
    """The side that an order or examination names by its (system, code) or its names, else ""."""
    for system, code in codings:
        if system == LOINC and code in _LOINC_SIDES:
            return _LOINC_SIDES[code]
    return _one_side([f" {word} " for name in names for word in _words(name)], _CODE_SIDES)


# Asking for a dict, None or text first spares asking whether something is any Mapping: that is slow,
# and a result is asked a hundred times.

_OBJECT = (dict, Mapping)
_NOTHING: Mapping[str, Any] = {}


def _map(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    if value is None or isinstance(value, str | list):
        return _NOTHING
    return value if isinstance(value, Mapping) else _NOTHING


def _list(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; a lone object counts as a list of one."""
    if value is None:
        return []
    if isinstance(value, list):
        return [one for one in value if isinstance(one, _OBJECT)]
    return [value] if isinstance(value, _OBJECT) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _codings(concept: object) -> list[Mapping[str, Any]]:
    return _list(_map(concept).get("coding"))


def _words(concept: object) -> list[str]:
    """Codes, displays and text of a CodeableConcept, a Coding or a plain text, as folded capitals."""
    if concept is None:
        return []
    found: list[object] = [concept]
    if not isinstance(concept, str):
        node = _map(concept)
        found = [node.get("code"), node.get("display"), node.get("text")]
        for coding in _list(node.get("coding")):
            found += (coding.get("code"), coding.get("display"))
    return [_folded(word) for word in found if isinstance(word, str) and word.strip()]


def _folded(word: str) -> str:
    plain = word if word.isascii() else unicodedata.normalize("NFKC", word)
    return plain.strip().upper()


def _says(words: Iterable[str], any_of: re.Pattern[str]) -> bool:
    """Does one of the words hold any of these? None of these goes over the end of a line."""
    return bool(any_of.search("\n".join(words)))


@lru_cache(256)  # hospitals have few words for what they take
def _specimen(words: tuple[str, ...]) -> str:
    """The class all codes and texts agree on, "" when nothing is said, "other" when they quarrel or
    say what we do not know."""
    if not words:
        return ""
    found = set()
    for word in words:
        for name, (codes, parts) in SPECIMENS.items():
            if word in codes or any(part in word for part in parts):
                found.add(name)
                break
    return found.pop() if len(found) == 1 else "other"


def _modality(*resources: Resource) -> str:
    for resource in resources:
        for category in _list(resource.get("category")):
            for word in _words(category):
                if word in _MODALITIES:
                    return _MODALITIES[word]
    return ""


def _one_side(words: list[str], sides: Mapping[str, re.Pattern[str]]) -> str:
    found = [side for side, parts in sides.items() if _says(words, parts)] if words else []
    return found[0] if len(found) == 1 else ""


def _laterality(result: Resource, study: Resource, site: list[str]) -> str:
    """Of the body site, else of the series, else of the code's own words."""
    if side := _one_side(site, _SIDES):
        return side
    sides = {
        _DICOM_SIDES.get(word, "") or _one_side([word], _SIDES)
        for series in _list(study.get("series"))
        for word in _words(series.get("laterality"))
    } - {""}
    if len(sides) == 1:
        return sides.pop()
    if sides == {"left", "right"}:
        return "both"
    code = _map(result.get("code"))
    names = [_text(code.get("text")), *(_text(one.get("display")) for one in _codings(code))]
    return side_of([(_text(c.get("system")), _text(c.get("code"))) for c in _codings(code)], *names)


def _study_body(study: Resource) -> list[str]:
    found = [w for series in _list(study.get("series")) for w in _words(series.get("bodySite"))]
    return list(dict.fromkeys(found))


def _contrast(code: list[str], study: Resource, quality: Iterable[tuple[str, str]]) -> Contrast:
    """As the names say; an agent in the images themselves is believed before the word 平扫."""
    words = code + _words(study.get("description"))
    for procedure in _list(study.get("procedureCode")):
        words += _words(procedure)
    said = " | ".join(words)
    given = any(name == "contrastAgent" for name, _ in quality)
    plain, enhanced = bool(_WITHOUT_CONTRAST.search(said)), bool(_WITH_CONTRAST.search(said))
    if _BOTH_PHASES.search(said) or (plain and enhanced):
        return "both"
    if given or enhanced:
        return "with"
    return "without" if plain else ""


def _quality(study: Resource) -> set[tuple[str, str]]:
    """What the series say for a reader: slice thickness, detector rows, agent, and how many series."""
    found = set()
    series = _list(study.get("series"))
    for one in series:
        for extension in _list(one.get("extension")):
            if _text(extension.get("url")).endswith("/image-quality"):
                for part in _list(extension.get("extension")):
                    if said := _said(part):
                        found.add((_text(part.get("url")), said))
    if series:
        found.add(("series", str(len(series))))
    return found


def _said(part: Resource) -> str:
    quantity = _map(part.get("valueQuantity"))
    if quantity:
        return f"{quantity.get('value', '')} {_text(quantity.get('code'))}".strip()
    return _text(part.get("valueString")) or str(part.get("valueInteger", ""))


def _source_class(
    result: Resource, report: Resource, encounter: Resource | None, how: list[str]
) -> SourceClass:
    visit = _map(encounter)
    kind = _words(visit.get("class")) + _words(visit.get("serviceType"))
    for type_ in _list(visit.get("type")):
        kind += _words(type_)
    for category in [*_list(result.get("category")), *_list(report.get("category"))]:
        kind += _words(category)
    if "PE" in kind or _says(kind, _HEALTH_CHECK):
        return "health-check"
    if _says(kind, _RESEARCH):
        return "research"
    if _says(how + kind, _POCT):
        return "poct"
    return "clinical" if visit else "unknown"


def _performer(
    result: Resource, report: Resource, organization: str, performers: Mapping[str, str] | None
) -> str:
    if performers is None:
        return organization
    for resource in (result, report):
        for performer in _list(resource.get("performer")):
            reference = _text(performer.get("reference"))
            if reference.startswith("Organization/") or "/Organization/" in reference:
                return performers.get(reference, reference)
    return organization


def _effective(resource: Resource) -> tuple[object, ...]:
    return (
        resource.get("effectiveDateTime"),
        resource.get("effectiveInstant"),
        _map(resource.get("effectivePeriod")).get("start"),
    )


def _first_time(zone: tzinfo, *texts: object) -> int | None:
    for text in texts:
        found = _time(_text(text), zone)
        if found is not None:
            return found
    return None


def _time(text: str, zone: tzinfo) -> int | None:
    """A FHIR dateTime or instant in µs; a bare day is its midnight, a month or year says too little."""
    try:
        if len(text) == 10:
            moment = datetime.combine(date.fromisoformat(text), time(), zone)
        elif "T" in text:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                return None
        else:
            return None
        whole = int(moment.replace(microsecond=0).timestamp())
        return whole * 1_000_000 + moment.microsecond
    except (ValueError, OverflowError):
        return None


_VALUES = {
    "valueQuantity": "quantity",
    "valueCodeableConcept": "concept",
    "valueRatio": "ratio",
    "valueString": "text",
    "valueInteger": "quantity",
    "valueBoolean": "concept",
}


def _value(result: Resource) -> str:
    if result.get("resourceType") == "DiagnosticReport":
        parts = ("conclusion", "conclusionCode", "presentedForm", "result", "imagingStudy", "media")
        return "report" if any(result.get(part) for part in parts) else "none"
    for element, kind in _VALUES.items():
        if element in result:
            return _kind_of_text(result[element]) if kind == "text" else kind
    return "absent" if "dataAbsentReason" in result else "none"


def _kind_of_text(value: object) -> str:
    said = unicodedata.normalize("NFKC", _text(value)).strip().upper()
    if not said or _NO_RESULT.fullmatch(said):
        return "absent"
    return "ordinal" if _ORDINAL.fullmatch(said) else "text"


def _unit(result: Resource) -> str:
    quantity = _map(result.get("valueQuantity"))
    return _text(quantity.get("code")) if quantity.get("system") == UCUM else ""


def marks_of(resource: Resource) -> list[str]:
    """Printed marks kept by the maps in the extension hr-mark: plain, or as its part `raw`."""
    found = []
    for extension in _list(resource.get("extension")):
        if not _text(extension.get("url")).endswith("/hr-mark"):
            continue
        raw = [extension.get("valueString")]
        raw += [
            part.get("valueString")
            for part in _list(extension.get("extension"))
            if part.get("url") == "raw"
        ]
        found += [text for text in map(_text, raw) if text]
    return found
