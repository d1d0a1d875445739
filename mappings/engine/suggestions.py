"""What an unmapped code or unit could mean: ranked, each with its reasons, for a person to choose from.

Nothing is ever applied from here. A suggestion compares the name with the county's catalogue, takes
specimen and unit as evidence for and against, and counts how other hospitals map the same thing.
The same question always has the same answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from rapidfuzz import fuzz

from mappings.engine import terms, unit_kinds, units, values
from mappings.engine.model import Language, Unmapped
from mappings.engine.table_review import modality_differs, same_but
from mappings.engine.terms import Term

TableKind = Literal["items", "units", "codes"]
"""What a table gives: a LOINC number, a UCUM code, or a target code."""

LEAST = 45
"""Scores below are guesses."""
RESEMBLES = 65
"""Names that agree by less are other names."""

SENTENCES: dict[str, tuple[str, str]] = {
    "name": ("名称相似度 {0}%（{1}）", "the names agree by {0}% ({1})"),
    "abbreviation": ("代码就是缩写 {0}", "the code is the abbreviation {0}"),
    "text": ("写法相似度 {0}%", "the texts agree by {0}%"),
    "specimen": ("标本相符", "the specimen fits"),
    "specimen-other": ("标本不符（{0}）", "another specimen ({0})"),
    "unit": ("单位相同", "the same unit"),
    "unit-alike": ("单位可换算（{0}）", "the unit can be converted ({0})"),
    "unit-other": ("单位量纲不符（{0}）", "the unit measures something else ({0})"),
    "neighbour": ("在{0}已有批准的对照", "approved at {0}"),
    "own": ("与本院代码 {0} 相同的目标", "what the own code {0} means"),
    "zeros": ("与本院代码 {0} 只差前面的零", "differs from the own code {0} only by leading zeros"),
    "case": ("与 {0} 只差大小写，请核对", "differs from {0} only by case: check it"),
    "width": ("与 {0} 只差全角半角", "differs from {0} only by width"),
    "ucum": ("本身就是 UCUM 写法", "it is written in UCUM already"),
    "uncertain": (
        "目录中标为不确定，先核对 LOINC",
        "marked uncertain in the catalogue: look it up",
    ),
    "variant": ("同一项目的另一种方法或数量", "another method or quantity of the item"),
}


class Reason(NamedTuple):
    """Why a suggestion is made, or what speaks against it."""

    code: str
    values: tuple[str, ...] = ()

    def text(self, language: Language = "zh") -> str:
        """In words."""
        return SENTENCES[self.code][language == "en"].format(*self.values)


class Suggestion(NamedTuple):
    """One row that could be added: `cells` are what the table would say, `name` what that is called."""

    cells: Mapping[str, str]
    name: str
    score: int
    reasons: tuple[Reason, ...]

    def text(self, language: Language = "zh") -> str:
        """The reasons in one line."""
        return ("，" if language == "zh" else ", ").join(r.text(language) for r in self.reasons)


class Precedent(NamedTuple):
    """An approved row of a table: this hospital's own (empty `organization`) or another's."""

    organization: str
    row: Mapping[str, str]

    @property
    def code(self) -> str:
        """The first cell."""
        return next(iter(self.row.values()), "")


def kind_of(header: Iterable[str]) -> TableKind:
    """What a table of these columns gives."""
    columns = set(header)
    return "items" if "loinc" in columns else "units" if "ucum" in columns else "codes"


def suggest(
    met: Unmapped, kind: TableKind, precedents: Sequence[Precedent] = (), most: int = 5
) -> tuple[Suggestion, ...]:
    """The best `most` suggestions, best first; often fewer, and none rather than a bad one."""
    match kind:
        case "items":
            found = _items(met, precedents)
        case "units":
            found = _units(met, precedents)
        case "codes":
            found = _codes(met, precedents)
    best: dict[tuple[str, ...], Suggestion] = {}
    for one in found:
        key = tuple(one.cells.values())
        if one.score >= LEAST and (key not in best or best[key].score < one.score):
            best[key] = one
    ranked = sorted(best.values(), key=lambda one: (-one.score, one.name, *one.cells.values()))
    return tuple(ranked[:most])


# --- items -----------------------------------------------------------------------------------------

_FILLERS = re.compile(
    r"测定|检测|检查|含量|浓度|水平|试验|血清|血浆|全血|[\s()（）\[\]【】:：,，/_-]"
)


@lru_cache(maxsize=8192)
def cleaned(name: str) -> str:
    """A name as it is compared: no marks, no method, half-width, without words that say nothing."""
    bare = unicodedata.normalize("NFKC", values.read_name(name).name).upper()
    return _FILLERS.sub("", bare) or bare


def _alike(one: str, other: str) -> float:
    """How much two cleaned names agree, 0 to 100; a name inside a longer one counts nearly."""
    if not one or not other:
        return 0.0
    short, long = sorted((one, other), key=len)
    return max(fuzz.ratio(one, other), 85.0 if len(short) > 2 and short in long else 0.0)


def _items(met: Unmapped, precedents: Sequence[Precedent]) -> Iterable[Suggestion]:
    sent_code = _ucum(units.clean(met.unit), precedents)
    neighbours = _same_thing(met, precedents)
    for term in terms.licensed().values():
        if modality_differs(met.name, term):
            continue
        score, reasons = _named(met, term)
        near = neighbours.get(term.loinc, [])
        if near:
            score = max(score, 60.0)
        if not reasons and not near:
            continue
        score *= 0.7
        for points, reason in (
            *_by_specimen(met.specimen, term),
            *_by_unit(sent_code, term),
            *near,
        ):
            score += points
            if reason is not None:
                reasons.append(reason)
        if not term.is_main() and term.role != "extension":
            score -= 3
            reasons.append(Reason("variant"))
        if term.sure == "Q":
            score -= 10
            reasons.append(Reason("uncertain"))
        # The table says what the laboratory reports in, which need not be the catalogue's unit.
        unit = sent_code if unit_kinds.alike(sent_code, term.unit) else term.unit
        cells = {"loinc": term.loinc, "relation": "equivalent", "unit": unit}
        yield Suggestion(cells, term.name, _whole(score), tuple(reasons))


def _named(met: Unmapped, term: Term) -> tuple[float, list[Reason]]:
    """How well code and name of what was met are those of a term."""
    name = cleaned(met.name)
    called = (term.name, term.name.partition(" (")[0], *term.aliases)
    best, shown = max((_alike(name, cleaned(one)), one) for one in called)
    code = unicodedata.normalize("NFKC", met.code).casefold()
    short = next((a for a in (term.code, *term.aliases) if a.casefold() == code), "")
    reasons: list[Reason] = []
    if best >= RESEMBLES:
        reasons.append(Reason("name", (str(int(best)), shown)))
    if short:
        # Abbreviations mean several things (PCT, TP, P): alone they are weaker than a name.
        reasons.append(Reason("abbreviation", (short,)))
        best = min(100.0, best + 15) if best >= RESEMBLES else 45.0 if name else 75.0
    return best, reasons


def _by_specimen(sent: str, term: Term) -> list[tuple[float, Reason | None]]:
    group, meant = terms.specimen_group(sent), terms.specimen_group(term.specimen)
    if not group or not meant:
        return []
    if group == meant:
        return [(12.0, Reason("specimen"))]
    return [(-60.0, Reason("specimen-other", (term.specimen,)))]


def _by_unit(code: str, term: Term) -> list[tuple[float, Reason | None]]:
    if not code or not unit_kinds.kind(code):
        return []
    if not term.unit:
        return [(-15.0, None)]
    if code == term.unit:
        return [(18.0, Reason("unit"))]
    if unit_kinds.alike(code, term.unit):
        return [(14.0, Reason("unit-alike", (term.unit,)))]
    return [(-60.0, Reason("unit-other", (term.unit,)))]


def _ucum(sent: str, precedents: Sequence[Precedent]) -> str:
    """The UCUM code of a unit as sent, by an approved row or because it is UCUM itself."""
    for one in precedents:
        if one.row.get("ucum") and units.clean(one.code) == sent:
            return one.row["ucum"]
    return sent if unit_kinds.kind(sent) else ""


def _same_thing(
    met: Unmapped, precedents: Sequence[Precedent]
) -> dict[str, list[tuple[float, Reason | None]]]:
    """By LOINC: who maps a code of this name (or, in the own house, nearly this code) to it."""
    name = cleaned(met.name)
    found: dict[str, list[tuple[float, Reason | None]]] = {}
    for one in precedents:
        loinc = one.row.get("loinc", "")
        if not loinc:
            continue
        if not one.organization:
            how = same_but(one.code, met.code)
            if how:
                found.setdefault(loinc, []).append((25.0, Reason(how, (one.code,))))
        elif name and cleaned(one.row.get("name", "")) == name:
            approved = (8.0, Reason("neighbour", (one.organization,)))
            if approved not in found.setdefault(loinc, []):  # a hospital of three maps is one
                found[loinc].append(approved)
    return found


# --- units -----------------------------------------------------------------------------------------


def _units(met: Unmapped, precedents: Sequence[Precedent]) -> Iterable[Suggestion]:
    sent = units.clean(met.code)
    if unit_kinds.kind(sent):
        yield Suggestion({"ucum": sent}, sent, 80, (Reason("ucum"),))
    approved: dict[str, list[Reason]] = {}
    for one in precedents:
        ucum, text = one.row.get("ucum") or one.row.get("target", ""), units.clean(one.code)
        if not ucum:
            continue
        if one.organization and text == sent:
            approved.setdefault(ucum, []).append(Reason("neighbour", (one.organization,)))
            continue
        how = same_but(text, sent)
        if how in ("case", "width"):
            yield Suggestion({"ucum": ucum}, ucum, 70, (Reason(how, (one.code,)),))
            continue
        score = fuzz.ratio(text.casefold(), sent.casefold())
        if score >= 60:
            reasons = (Reason("text", (str(int(score)),)),)
            yield Suggestion({"ucum": ucum}, ucum, _whole(score * 0.7), reasons)
    for ucum, near in approved.items():
        yield Suggestion({"ucum": ucum}, ucum, min(100, 85 + 5 * len(near)), tuple(near))


# --- other codes -----------------------------------------------------------------------------------


def _codes(met: Unmapped, precedents: Sequence[Precedent]) -> Iterable[Suggestion]:
    name = cleaned(met.name or met.code)
    near: dict[str, list[Reason]] = {}
    for one in precedents:
        target = one.row.get("target", "")
        if not target:
            continue
        shown = one.row.get("display") or target
        cells = {key: one.row[key] for key in ("target", "system", "display") if one.row.get(key)}
        if one.organization:
            if one.code == met.code:
                near.setdefault(target, []).append(Reason("neighbour", (one.organization,)))
                points = min(100, 75 + 8 * len(near[target]))
                yield Suggestion(cells, shown, points, tuple(near[target]))
            continue
        how = same_but(one.code, met.code)
        if how:
            yield Suggestion(cells, shown, 85, (Reason(how, (one.code,)),))
            continue
        texts = (one.code, one.row.get("name", ""), one.row.get("display", ""))
        score = max(_alike(name, cleaned(text)) for text in texts if text)
        if score >= 50:
            reasons = (Reason("text", (str(int(score)),)), Reason("own", (one.code,)))
            yield Suggestion(cells, shown, _whole(score * 0.8), reasons)


def _whole(score: float) -> int:
    return max(0, min(100, round(score)))
