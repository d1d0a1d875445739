"""Detectors of codes: only the last of several items (2), too much "other" (3), one code of two meanings (8)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from mappings.quality.counting import OK, STRUCK, Days, Judged, Label, together
from mappings.quality.sighting import Resource, Sighting
from mappings.quality.times import section

_SEVERAL = re.compile(r"[、,，;；+＋]|(?<=[\u4e00-\u9fff])/(?=[\u4e00-\u9fff])")
_BRACKETS = re.compile(r"[(（【\[].*?[)）】\]]|[★*☆▲\s]")
_OTHER_WORDS = frozenset({"其他", "其它", "未知", "other", "others", "unknown", "未分类"})


def _codings(concept: object) -> list[Resource]:
    return list(concept.get("coding") or ()) if isinstance(concept, dict) else []


def _name(concept: object) -> str:
    if not isinstance(concept, dict):
        return ""
    shown = [str(coding.get("display", "")) for coding in _codings(concept)]
    return str(concept.get("text") or next((one for one in shown if one), ""))


# 2. A loop overwrites the mapped code list, so only the last item survives.


def last_item_only(seen: Sighting) -> Iterator[Label]:
    """Orders and reports that name several items, and reports of several results: how many codes?"""
    for order in seen.of("ServiceRequest", "DiagnosticReport"):
        name = _BRACKETS.sub("", _name(order.get("code")))
        items = [part for part in _SEVERAL.split(name) if part.strip()]
        if len(items) > 1:
            details = [order.get("code"), *(order.get("orderDetail") or ())]
            codes = {str(c.get("code")) for concept in details for c in _codings(concept)}
            several = len(codes) > 1 or len(order.get("result") or ()) > 1
            yield str(order["resourceType"]), OK if several else STRUCK
    for report in seen.of("DiagnosticReport"):
        results = [seen.at(one) for one in report.get("result") or ()]
        pairs = {
            (tuple(str(c.get("code")) for c in _codings(r.get("code"))), _name(r.get("code")))
            for r in results
            if r and _codings(r.get("code"))
        }
        if len(pairs) > 1:
            codes_ = {codes for codes, _ in pairs}
            yield "DiagnosticReport.result", STRUCK if len(codes_) == 1 else OK


# 3. A kind of examination mapped to "other" for months.


def share_of_other(seen: Sighting) -> Iterator[Label]:
    """Reports and orders by service section: is the code, or the section itself, "other"?"""
    for report in seen.of("DiagnosticReport"):
        sections = report.get("category") or ()
        if sections:
            yield "category", STRUCK if all(map(_is_other, sections)) else OK
        if report.get("code"):
            yield section(report), STRUCK if _is_other(report["code"]) else OK
    for study in seen.of("ImagingStudy"):
        for modality in study.get("modality") or ():
            yield "modality", STRUCK if _other_code(modality) else OK
    for order in seen.of("ServiceRequest"):
        if order.get("code"):
            yield "ServiceRequest", STRUCK if _is_other(order["code"]) else OK


def _is_other(concept: Resource) -> bool:
    codings = _codings(concept)
    if codings:
        return all(map(_other_code, codings))
    return _name(concept).strip().casefold() in _OTHER_WORDS


def _other_code(coding: Resource) -> bool:
    name = str(coding.get("display", "")).strip().casefold()
    return str(coding.get("code", "")) in OTHER_CODES or name in _OTHER_WORDS


OTHER_CODES = frozenset({"99", "OT", "OTH", "OTHER", "98", "9999"})
"""Codes that say "other" in the tables of county hospitals, HL7 0074 and DICOM."""


# 8. The same code means different things in two modules.


def code_meaning(seen: Sighting) -> Iterator[Label]:
    """Every code of the sender's own tables with the name it came with: (system and code, name, table).

    Concepts that stand directly in a resource or in a component of it: there codes of tables are.
    """
    for resource in seen.resources:
        if resource.get("resourceType") != "Provenance":
            yield from _meanings(resource)
            for component in resource.get("component") or ():
                yield from _meanings(component)


def _meanings(node: Resource) -> Iterator[Label]:
    for element in node.values():
        for concept in element if type(element) is list else (element,):
            if type(concept) is not dict or "coding" not in concept:
                continue
            for coding in concept["coding"]:
                system = str(coding.get("system", ""))
                _, ours, table = system.rpartition("/CodeSystem/")
                if not ours or system.startswith(_STANDARD):
                    continue
                code = str(coding.get("code", ""))
                name = _clean(str(coding.get("display") or concept.get("text") or ""))
                if code and name:
                    yield f"{system}|{code}", name, table


_STANDARD = ("http://terminology.hl7.org/", "http://hl7.org/", "http://loinc.org")


def _clean(name: str) -> str:
    return _BRACKETS.sub("", name).casefold()


def meanings_differ(days: Days) -> Judged:
    """Struck are the codes sent with another name than their usual one, unless one name is part of the other."""
    usual: dict[str, tuple[int, str]] = {}
    for (group, name, _), n in together(days).items():
        usual[group] = max(usual.get(group, (0, "")), (n, name))
    judged: Judged = {}
    for day, counted in days.items():
        struck: Counter[str] = Counter()
        for (group, name, table), n in counted.items():
            common = usual[group][1]
            if name not in common and common not in name:
                struck[table] += n
        judged[day] = (counted.total(), struck)
    return judged
