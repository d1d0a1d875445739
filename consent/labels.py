"""Which protected categories a record belongs to: code lists, departments and words. Labels only rise.

The lists are `consent/codes/*.csv`, reviewed like code; a county adds rows of its own and takes none
away. A source's own labels can raise, never lower.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from msgspec import Struct

from consent.model import CONFIDENTIALITY

SHIPPED = Path(__file__).parent / "codes"
V3_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
V3_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HEALTH_CHECK = "health-check"
_REVISION = b"2"  # of the rules that are no list: a change of them makes records be labelled again

# Where a code that looks like ICD-10 is one, whatever its dictionary calls itself.
_DIAGNOSIS_TYPES = frozenset({"Condition", "Encounter", "EpisodeOfCare", "FamilyMemberHistory"})
_ICD_SYSTEM = re.compile(r"icd-?10|2\.16\.156\.10011\.2\.3\.3\.11", re.IGNORECASE)
_STEM = re.compile(r"[A-Z]\d\d")
_ATC = re.compile(r"\batc\b|2\.16\.840\.1\.113883\.6\.73", re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_REMEMBERED = 20_000  # texts up to 40 characters (item names) and code sets; then start again


class LabelFacts(Struct, frozen=True):
    """What a labeller reads of one record.

    `codes` are all codings (system, code) of the record, `texts` its displays, conclusions and
    narrative, `departments` the names of ordering, performing and visit departments,
    `encounter_class` the class of the visit, or "health-check" where the visit is one, `given` the
    source's own security labels (system, code), inline ones too. `organization` are id and name of
    who sent it, `identifiers` (system, value) of a Patient.
    """

    type: str
    codes: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    encounter_class: str | None = None
    given: tuple[tuple[str, str], ...] = ()
    organization: tuple[str, str] = ("", "")
    identifiers: tuple[tuple[str, str], ...] = ()


class Labels(Struct, frozen=True):
    """The labels of one record and the version of the rules that found them.

    `health_check` is no label: what hangs on such a record is of a health check.
    """

    confidentiality: str
    sensitivities: frozenset[str]
    rules_version: str
    notifiable: bool = False
    health_check: bool = False

    def raised_by(self, other: Labels) -> Labels:
        """The stricter of both in every respect; the rules version is the other's."""
        return Labels(
            confidentiality=max(
                self.confidentiality, other.confidentiality, key=CONFIDENTIALITY.index
            ),
            sensitivities=self.sensitivities | other.sensitivities,
            rules_version=other.rules_version,
            notifiable=self.notifiable or other.notifiable,
            health_check=self.health_check or other.health_check,
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
        if not text.isascii():
            for match in self.chinese.finditer(text):
                yield from self._counted(match[1], text)
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
    """The rules of one folder of lists and the county's own; `version` is a hash of them."""

    version: str
    diagnoses: Mapping[str, tuple[_Mark, ...]]  # by three-character stem
    notifiable: frozenset[str]
    items: Mapping[tuple[str, str], tuple[_Mark, ...]]
    medicines: Mapping[str, tuple[_Mark, ...]]  # by the beginning of an ATC code
    departments: tuple[tuple[str, _Mark], ...]
    organizations: tuple[tuple[str, _Mark], ...]
    persons: Mapping[tuple[str, str], tuple[_Mark, ...]]  # value empty: any
    visits: tuple[str, ...]  # what a visit is called that is a health check
    words: _Words
    levels: Mapping[str, str]  # the level each sensitivity stands at
    rows: Mapping[str, int]  # how many rows speak of each sensitivity
    _texts: dict[str, tuple[_Mark, ...]] = field(default_factory=dict)
    _names: dict[str, tuple[_Mark, ...]] = field(default_factory=dict)
    _senders: dict[tuple[str, str], tuple[_Mark, ...]] = field(default_factory=dict)
    _visits: dict[str, tuple[_Mark, ...]] = field(default_factory=dict)

    @property
    def sensitivities(self) -> frozenset[str]:
        """All that the lists speak of."""
        return frozenset(self.rows)

    def label(self, facts: LabelFacts) -> Labels:
        """The labels of one record. Never raises on strange content."""
        marks: list[_Mark] = []
        notifiable = False
        for coding in facts.codes:
            marks += self.items.get(coding, ())
            icd, atc = _kinds(coding[0])
            if atc:
                marks += self._of_medicine(coding[1])
            stem = _stem(coding[1]) if icd or facts.type in _DIAGNOSIS_TYPES else None
            if stem is not None:
                marks += self.diagnoses.get(stem, ())
                notifiable = notifiable or stem in self.notifiable
        for text in facts.texts:
            marks += self._of_text(text)
        for name in facts.departments:
            marks += self._of_department(name)
        marks += self._of_sender(facts.organization)
        for system, value in facts.identifiers:
            marks += (*self.persons.get((system, ""), ()), *self.persons.get((system, value), ()))
        checked = self._is_check(facts)
        level, sensitivities = self._given(facts.given)
        for mark in marks:
            if mark.only and not checked:
                continue
            sensitivities.add(mark.sensitivity)
            level = max(level, CONFIDENTIALITY.index(mark.confidentiality))
        return Labels(
            CONFIDENTIALITY[level], frozenset(sensitivities), self.version, notifiable, checked
        )

    def _is_check(self, facts: LabelFacts) -> bool:
        names = facts.departments
        if facts.encounter_class:
            names = (*names, facts.encounter_class)
        if facts.type == "Encounter":
            names = (*names, *(code for _, code in facts.codes), *facts.texts)
        return any(self._of_visit(name) for name in names)

    def _of_visit(self, name: str) -> tuple[_Mark, ...]:
        return _remembered(self._visits, name, self._visit)

    def _visit(self, name: str) -> Iterator[_Mark]:
        name = _plain(name).lower()
        return (_CHECKED for word in self.visits if word in name)

    def _of_medicine(self, code: str) -> Iterator[_Mark]:
        code = unicodedata.normalize("NFKC", code).strip().upper()
        for length in range(1, len(code[:7]) + 1):
            yield from self.medicines.get(code[:length], ())

    def _of_sender(self, sender: tuple[str, str]) -> tuple[_Mark, ...]:
        known = self._senders.get(sender)
        if known is None:
            id, name = sender[0], _plain(sender[1]).lower()
            known = self._senders[sender] = tuple(
                mark for word, mark in self.organizations if word == f"={id}" or word in name
            )
        return known

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


@lru_cache(maxsize=1024)
def _kinds(system: str) -> tuple[bool, bool]:
    """Whether a system's codes are of ICD-10, and of ATC."""
    return _ICD_SYSTEM.search(system) is not None, _ATC.search(system) is not None


def _stem(code: str) -> str | None:
    match = _STEM.match(unicodedata.normalize("NFKC", code).strip().upper())
    return None if match is None else match[0]


_CHECKED = _Mark("", "N")  # only its being there counts


def label(facts: LabelFacts) -> Labels:
    """The labels of one record by the shipped lists; a few microseconds for a laboratory result."""
    return shipped().label(facts)


@cache
def shipped() -> Labeller:
    """The labeller of `consent/codes`, read once."""
    return read(SHIPPED)


_LISTS = (
    "departments",
    "diagnoses",
    "health-check",
    "health-check-visits",
    "items",
    "medicines",
    "notifiable",
    "organizations",
    "persons",
    "words",
)


def read(folder: Path, county: Path | None = None) -> Labeller:
    """Read a folder of lists, and the rows a county adds in files of the same names and columns.

    Raises ValueError naming file and line of a row it cannot mean, or a file it does not know.
    """
    digest = hashlib.sha256(_REVISION)
    tables: dict[str, list[dict[str, str]]] = {}
    for name in _LISTS:
        text = (folder / f"{name}.csv").read_bytes()
        digest.update(name.encode() + b"\0" + hashlib.sha256(text).digest())
        tables[name] = list(_rows(f"{name}.csv", text.decode()))
    for path in sorted(county.glob("*.csv")) if county is not None else ():
        name = path.stem
        if name not in tables:
            raise ValueError(f"{path.name}: there is no list of this name")
        text = path.read_bytes()
        digest.update(b"+" + name.encode() + b"\0" + hashlib.sha256(text).digest())
        tables[name] += _rows(path.name, text.decode("utf-8-sig"), _columns(folder, name))
    diagnoses: dict[str, list[_Mark]] = {}
    for row in tables["diagnoses"]:
        for stem in _stems(row):
            diagnoses.setdefault(stem, []).append(_mark(row))
    checked = [
        row | {"sensitivity": "IDS", "confidentiality": "V", "only": HEALTH_CHECK}
        for row in tables["health-check"]
    ]
    items = _marks(tables["items"], "system", "code")
    for coding, found in _marks(checked, "system", "code").items():
        items[coding] = (*items.get(coding, ()), *found)
    levels = {
        row["sensitivity"]: row["confidentiality"]
        for row in (*tables["words"], *tables["diagnoses"])
        if row["confidentiality"] and not row.get("only") and row["confidentiality"] != "V"
    }
    persons = [row | {"confidentiality": "V"} for row in tables["persons"]]
    medicines: dict[str, list[_Mark]] = {}
    for row in tables["medicines"]:
        medicines.setdefault(row["begins"].upper(), []).append(_mark(row))
    return Labeller(
        version=digest.hexdigest(),
        diagnoses={stem: tuple(marks) for stem, marks in diagnoses.items()},
        notifiable=frozenset(stem for row in tables["notifiable"] for stem in _stems(row)),
        items=items,
        medicines={begins: tuple(marks) for begins, marks in medicines.items()},
        departments=tuple((row["contains"].lower(), _mark(row)) for row in tables["departments"]),
        organizations=tuple((r["contains"].lower(), _mark(r)) for r in tables["organizations"]),
        persons=_marks(persons, "system", "value"),
        visits=tuple(row["contains"].lower() for row in tables["health-check-visits"]),
        words=_words(tables["words"]),
        levels=levels,
        rows=dict(
            sorted(
                Counter(
                    row["sensitivity"]
                    for table in (*tables.values(), checked)
                    for row in table
                    if "sensitivity" in row
                ).items()
            )
        ),
    )


def _columns(folder: Path, name: str) -> list[str]:
    lines = (folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return next(csv.reader(line for line in lines if not line.startswith("#")))


def _marks(
    rows: Iterable[Mapping[str, str]], first: str, second: str
) -> dict[tuple[str, str], tuple[_Mark, ...]]:
    found: dict[tuple[str, str], tuple[_Mark, ...]] = {}
    for row in rows:
        place = row[first], row[second]
        found[place] = (*found.get(place, ()), _mark(row))
    return found


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
        # Looked ahead for, so that a word which begins inside another is found as well.
        chinese=_any_of((word for word in marks if not word.isascii()), re.NOFLAG, "(?=(%s))"),
        latin=_any_of((word for word in marks if word.isascii()), re.IGNORECASE | re.ASCII),
        marks={
            word: tuple(mark for short in marks if word.startswith(short) for mark in marks[short])
            for word in marks
        },
        exact=exact,
        beginnings=frozenset(beginnings),
    )


def _any_of(words: Iterable[str], flags: re.RegexFlag, around: str = "%s") -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(around % "|".join(re.escape(word) for word in longest_first), flags)


def _rows(name: str, text: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    reader = csv.DictReader(lines)
    if columns is not None and list(reader.fieldnames or ()) != list(columns):
        raise ValueError(f"{name}: the columns are {','.join(columns)}")
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{name}: row {number} has too many or too few columns")
        if row.get("confidentiality", "") not in ("", *CONFIDENTIALITY):
            raise ValueError(f"{name}: row {number} names an unknown confidentiality")
        if not next(value for key, value in row.items()):
            raise ValueError(f"{name}: row {number} says nothing in its first column")
        try:
            re.compile(row.get("near", ""))
        except re.error:
            raise ValueError(f"{name}: row {number} has a pattern that is none") from None
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
