"""Which protected categories a record belongs to: code lists, departments and words. Labels only rise.

The lists are `consent/codes/*.csv`, reviewed like code. A source's own labels can raise, never lower.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from msgspec import Struct

from consent.model import CONFIDENTIALITY

V3_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
V3_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HEALTH_CHECK = "health-check"

# Where a code that looks like ICD-10 is one, whatever its dictionary calls itself.
_DIAGNOSIS_TYPES = frozenset({"Condition", "Encounter", "EpisodeOfCare", "FamilyMemberHistory"})
_ICD_SYSTEM = re.compile(r"icd-?10|2\.16\.156\.10011\.2\.3\.3\.11", re.IGNORECASE)
_STEM = re.compile(r"[A-Z]\d\d")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_REMEMBERED = 20_000  # texts up to 40 characters (item names) and code sets; then start again


class LabelFacts(Struct, frozen=True):
    """What a labeller reads of one record.

    `codes` are all codings (system, code) of the record, `texts` its displays, conclusions and
    narrative, `departments` the names of ordering, performing and visit departments,
    `encounter_class` "health-check" for such encounters, `given` the source's own security labels
    (system, code).
    """

    type: str
    codes: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    encounter_class: str | None = None
    given: tuple[tuple[str, str], ...] = ()


class Labels(Struct, frozen=True):
    """The labels of one record and the version of the rules that found them."""

    confidentiality: str
    sensitivities: frozenset[str]
    rules_version: str
    notifiable: bool = False

    def raised_by(self, other: Labels) -> Labels:
        """The stricter of both in every respect; the rules version is the other's."""
        return Labels(
            confidentiality=max(
                self.confidentiality, other.confidentiality, key=CONFIDENTIALITY.index
            ),
            sensitivities=self.sensitivities | other.sensitivities,
            rules_version=other.rules_version,
            notifiable=self.notifiable or other.notifiable,
        )


@dataclass(frozen=True, slots=True)
class _Mark:
    """One rule's effect; `only` limits it to a class of encounters, `near` to a context."""

    sensitivity: str
    confidentiality: str
    near: re.Pattern[str] | None = None
    only: str = ""


@dataclass(slots=True)
class _Words:
    """A word list as two patterns; whole words are checked where they are found."""

    chinese: re.Pattern[str]
    latin: re.Pattern[str]
    marks: Mapping[str, tuple[_Mark, ...]]  # by the word, Latin ones in lower case
    exact: Mapping[str, str]
    beginnings: frozenset[str]

    def found(self, text: str) -> Iterator[_Mark]:
        text = _plain(text)
        for match in self.chinese.finditer(text):
            yield from self._counted(match[0], text)
        for match in self.latin.finditer(text):
            word = match[0].lower()
            before = text[max(match.start() - 1, 0) : match.start()]
            if before.isascii() and before.isalnum():
                continue
            after = text[match.end() : match.end() + 1]
            if after.isascii() and after.isalpha() and word not in self.beginnings:
                continue
            if self.exact.get(word, match[0]) == match[0]:
                yield from self._counted(word, text)

    def _counted(self, word: str, text: str) -> Iterator[_Mark]:
        for mark in self.marks[word]:
            if mark.near is None or mark.near.search(text):
                yield mark


@dataclass
class Labeller:
    """The rules of one folder of lists; `version` is a hash of the lists."""

    version: str
    diagnoses: Mapping[str, tuple[_Mark, ...]]  # by three-character stem
    notifiable: frozenset[str]
    items: Mapping[tuple[str, str], tuple[_Mark, ...]]
    departments: tuple[tuple[str, _Mark], ...]
    words: _Words
    levels: Mapping[str, str]  # the level each sensitivity stands at
    _texts: dict[str, tuple[_Mark, ...]] = field(default_factory=dict)
    _names: dict[str, tuple[_Mark, ...]] = field(default_factory=dict)

    def label(self, facts: LabelFacts) -> Labels:
        """The labels of one record. Never raises on strange content."""
        marks: list[_Mark] = []
        notifiable = False
        for coding in facts.codes:
            marks += self.items.get(coding, ())
            stem = self._stem(facts.type, *coding)
            if stem is not None:
                marks += self.diagnoses.get(stem, ())
                notifiable = notifiable or stem in self.notifiable
        for text in facts.texts:
            marks += self._of_text(text)
        for name in facts.departments:
            marks += self._of_department(name)
        level, sensitivities = self._given(facts.given)
        for mark in marks:
            if mark.only and mark.only != facts.encounter_class:
                continue
            sensitivities.add(mark.sensitivity)
            level = max(level, CONFIDENTIALITY.index(mark.confidentiality))
        return Labels(CONFIDENTIALITY[level], frozenset(sensitivities), self.version, notifiable)

    def _stem(self, type: str, system: str, code: str) -> str | None:
        if type not in _DIAGNOSIS_TYPES and not _ICD_SYSTEM.search(system):
            return None
        match = _STEM.match(unicodedata.normalize("NFKC", code).strip().upper())
        return None if match is None else match[0]

    def _of_text(self, text: str) -> tuple[_Mark, ...]:
        if len(text) > 40:
            return tuple(self.words.found(text))
        return _remembered(self._texts, text, self.words.found)

    def _of_department(self, name: str) -> tuple[_Mark, ...]:
        return _remembered(self._names, name, self._departments)

    def _departments(self, name: str) -> Iterator[_Mark]:
        name = _plain(name).lower()
        return (mark for word, mark in self.departments if word in name)

    def _given(self, given: Iterable[tuple[str, str]]) -> tuple[int, set[str]]:
        """What the source says of its own record. A level nobody knows counts as restricted."""
        level, sensitivities = CONFIDENTIALITY.index("N"), set()
        for system, code in given:
            if system == V3_CONFIDENTIALITY:
                known = len(code) == 1 and code in CONFIDENTIALITY
                level = max(level, CONFIDENTIALITY.index(code if known else "R"))
            elif system == V3_ACT_CODE:
                sensitivities.add(code)
                level = max(level, CONFIDENTIALITY.index(self.levels.get(code, "N")))
        return level, sensitivities


def label(facts: LabelFacts) -> Labels:
    """The labels of one record by the shipped lists; a few microseconds for a laboratory result."""
    return shipped().label(facts)


@cache
def shipped() -> Labeller:
    """The labeller of `consent/codes`, read once."""
    return read(Path(__file__).parent / "codes")


def read(folder: Path) -> Labeller:
    """Read a folder of lists. Raises ValueError naming file and line of a row it cannot mean."""
    names = ("departments", "diagnoses", "health-check", "items", "notifiable", "words")
    digest = hashlib.sha256()
    tables: dict[str, list[dict[str, str]]] = {}
    for name in names:
        text = (folder / f"{name}.csv").read_bytes()
        digest.update(name.encode() + b"\0" + hashlib.sha256(text).digest())
        tables[name] = list(_rows(f"{name}.csv", text.decode()))
    diagnoses: dict[str, list[_Mark]] = {}
    for row in tables["diagnoses"]:
        for stem in _stems(row):
            diagnoses.setdefault(stem, []).append(_mark(row))
    items: dict[tuple[str, str], list[_Mark]] = {}
    for row in tables["items"]:
        items.setdefault((row["system"], row["code"]), []).append(_mark(row))
    for row in tables["health-check"]:
        items.setdefault((row["system"], row["code"]), []).append(
            _Mark("IDS", "V", only=HEALTH_CHECK)
        )
    levels = {
        row["sensitivity"]: row["confidentiality"]
        for row in (*tables["words"], *tables["diagnoses"])
        if row["confidentiality"] and not row.get("only") and row["confidentiality"] != "V"
    }
    return Labeller(
        version=digest.hexdigest(),
        diagnoses={stem: tuple(marks) for stem, marks in diagnoses.items()},
        notifiable=frozenset(stem for row in tables["notifiable"] for stem in _stems(row)),
        items={coding: tuple(marks) for coding, marks in items.items()},
        departments=tuple((row["contains"].lower(), _mark(row)) for row in tables["departments"]),
        words=_words(tables["words"]),
        levels=levels,
    )


def _words(rows: list[dict[str, str]]) -> _Words:
    marks: dict[str, list[_Mark]] = {}
    exact: dict[str, str] = {}
    beginnings: set[str] = set()
    for row in rows:
        word = row["word"].strip("=*")
        key = word.lower()
        marks.setdefault(key, []).append(_mark(row))
        if row["word"].startswith("="):
            exact[key] = word
        if row["word"].endswith("*"):
            beginnings.add(key)
    return _Words(
        chinese=_any_of((word for word in marks if not word.isascii()), re.NOFLAG),
        latin=_any_of((word for word in marks if word.isascii()), re.IGNORECASE | re.ASCII),
        marks={word: tuple(found) for word, found in marks.items()},
        exact=exact,
        beginnings=frozenset(beginnings),
    )


def _any_of(words: Iterable[str], flags: re.RegexFlag) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(re.escape(word) for word in longest_first), flags)


def _rows(name: str, text: str) -> Iterator[dict[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for number, row in enumerate(csv.DictReader(lines), start=2):
        if None in row or None in row.values():
            raise ValueError(f"{name}: row {number} has too many or too few columns")
        if row.get("confidentiality", "") not in ("", *CONFIDENTIALITY):
            raise ValueError(f"{name}: row {number} names an unknown confidentiality")
        yield row


def _mark(row: Mapping[str, str]) -> _Mark:
    near = row.get("near", "")
    return _Mark(
        row["sensitivity"],
        row["confidentiality"] or "N",
        near=re.compile(near, re.IGNORECASE) if near else None,
        only=row.get("only", ""),
    )


def _stems(row: Mapping[str, str]) -> Iterator[str]:
    first, last = row["first"], row["last"]
    if not (_STEM.fullmatch(first) and _STEM.fullmatch(last) and first[0] == last[0]):
        raise ValueError(f"not a range of ICD-10 stems: {first}-{last}")
    for number in range(int(first[1:]), int(last[1:]) + 1):
        yield f"{first[0]}{number:02}"


def _plain(text: str) -> str:
    """Full-width letters read as letters, invisible characters as nothing."""
    if text.isascii():
        return text
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


def _remembered(
    memory: dict[str, tuple[_Mark, ...]], text: str, found: Callable[[str], Iterator[_Mark]]
) -> tuple[_Mark, ...]:
    if text not in memory:
        if len(memory) >= _REMEMBERED:
            memory.clear()
        memory[text] = tuple(found(text))
    return memory[text]
