"""What two releases of a map make of the same messages, told apart by rule: counts and codes, never a value.

A report names blocks, elements, rule lines and how often; of contents only codes that stand in the
tables or literals of one of the two maps, and words such as ``unmapped`` for everything else.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import orjson

from mappings.engine.model import Mapped, Reading
from mappings.engine.release import Map
from mappings.engine.rules import Block, Rule

MOST_TURNS = 20
"""Pairs of codes told of one rule, the most frequent first."""
_KNOWN_TURNS = 500  # counted at most, so that no message can make a report grow
_CODE_COLUMNS = ("target", "loinc", "ucum", "interpretation", "absent")
_CODED = frozenset({"status", "gender", "intent", "class", "priority", "mode"})
_NOT_TOLD = "Provenance"  # names the release, so it always differs


class Turn(msgspec.Struct, frozen=True):
    """How often what was `was` is `now` now: codes, or absent, unmapped, value."""

    was: str
    now: str
    count: int


class RuleChange(msgspec.Struct, frozen=True):
    """One element that is made otherwise; `before` and `after` are the lines of its rules."""

    block: str
    element: str
    before: str
    after: str
    count: int
    turns: tuple[Turn, ...] = ()


class IssueChange(msgspec.Struct, frozen=True):
    """An issue raised more or less often than before."""

    severity: str
    code: str
    before: int
    after: int


class FileChange(msgspec.Struct, frozen=True):
    """A file of the map that is not the same; lines added and removed."""

    path: str
    added: int
    removed: int


class Difference(msgspec.Struct, frozen=True):
    """What a run over kept messages showed."""

    messages: int
    changed: int
    rules: tuple[RuleChange, ...] = ()
    appeared: Mapping[str, int] = {}
    disappeared: Mapping[str, int] = {}
    issues: tuple[IssueChange, ...] = ()


def files(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[FileChange, ...]:
    """The files that differ, by path."""
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path, b""), after.get(path, b"")
        if old != new:
            changed = list(_lines(old, new))
            added = sum(line.startswith("+") for line in changed)
            found.append(FileChange(path, added, len(changed) - added))
    return tuple(found)


def _lines(old: bytes, new: bytes) -> Iterator[str]:
    """The lines that differ, each behind ``+`` or ``-``."""
    was, now = (raw.decode("utf-8", "replace").splitlines() for raw in (old, new))
    for line in difflib.unified_diff(was, now, lineterm="", n=0):
        if line[:1] in "+-" and not line.startswith(("+++", "---")):
            yield line


class Comparison:
    """Counts, message by message, what `after` makes otherwise than `before`.

    Its size does not grow with the number of messages.
    """

    def __init__(self, before: Map, after: Map) -> None:
        self._rules = (_rules(before), _rules(after))
        self._codes = _codes(before) | _codes(after)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._turns: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
        self._appeared: Counter[str] = Counter()
        self._disappeared: Counter[str] = Counter()
        self._issues: tuple[Counter[tuple[str, str]], ...] = (Counter(), Counter())
        self._messages = self._changed = 0

    def add(self, before: Reading, after: Reading) -> bool:
        """Count one delivery, read under both; True when anything but its Provenance differs."""
        told = self._told()
        for side, reading in enumerate((before, after)):
            for issue in (*reading.issues, *(i for m in reading.messages for i in m.issues)):
                self._issues[side][issue.severity, issue.code] += 1
        old, new = _by_id(before), _by_id(after)
        for id_ in old.keys() | new.keys():
            was, now = old.get(id_), new.get(id_)
            if was is None and now is not None:
                self._appeared[now.block or now.type] += 1
            elif now is None and was is not None:
                self._disappeared[was.block or was.type] += 1
            elif was is not None and now is not None:
                self._compare(was, now)
        self._messages += 1
        differs = told != self._told()
        self._changed += differs
        return differs

    def _told(self) -> tuple[int, int, int]:
        return self._counts.total(), self._appeared.total(), self._disappeared.total()

    def result(self) -> Difference:
        """What was counted so far, the most frequent first."""
        rules = []
        for (block, element), count in self._counts.most_common():
            turns = self._turns.get((block, element), Counter())
            rules.append(
                RuleChange(
                    block,
                    element,
                    _line(self._rules[0], block, element),
                    _line(self._rules[1], block, element),
                    count,
                    tuple(Turn(was, now, n) for (was, now), n in turns.most_common(MOST_TURNS)),
                )
            )
        before, after = self._issues
        issues = [
            IssueChange(severity, code, before[severity, code], after[severity, code])
            for severity, code in sorted(before.keys() | after.keys())
            if before[severity, code] != after[severity, code]
        ]
        return Difference(
            self._messages,
            self._changed,
            tuple(rules),
            dict(sorted(self._appeared.items())),
            dict(sorted(self._disappeared.items())),
            tuple(issues),
        )

    def _compare(self, was: Mapped, now: Mapped) -> None:
        block = now.block or now.type
        for name, one, two in (
            ("(clock)", was.clock, now.clock),
            ("(mode)", was.mode, now.mode),
            ("(deletes)", was.deletes, now.deletes),
        ):
            if one != two:
                self._count(block, name, "value", "value")
        if was.tail == now.tail:
            return
        old, new = _members(was.text()), _members(now.text())
        changed: dict[str, list[str]] = {}
        for name in (*old, *(one for one in new if one not in old)):
            if old.get(name) != new.get(name):
                changed.setdefault(self._element(block, name), []).append(name)
        for element, names in changed.items():
            sides = [
                " ".join(filter(None, (self._shape(n, side.get(n)) for n in names))) or "absent"
                for side in (old, new)
            ]
            self._count(block, element, *sides)

    def _element(self, block: str, name: str) -> str:
        """The element as rules name it: ``valueQuantity`` is ``value[x]``."""
        for side in self._rules:
            for path in side.get(block, {}):
                if path.endswith("[x]") and name.startswith(path[:-3]) and name != path[:-3]:
                    return path
        return name

    def _count(self, block: str, element: str, was: str, now: str) -> None:
        self._counts[block, element] += 1
        turns = self._turns.setdefault((block, element), Counter())
        if (was, now) in turns or len(turns) < _KNOWN_TURNS:
            turns[was, now] += 1

    def _shape(self, name: str, raw: bytes | None) -> str:
        """What may be told of an element's content."""
        if raw is None:
            return ""
        node = orjson.loads(raw)
        if isinstance(node, str):
            return node if name in _CODED and node in self._codes else "value"
        codes = list(dict.fromkeys(_coded(node)))
        known = [code for code in codes if code in self._codes]
        return " ".join(known) or ("unmapped" if codes else "value")


def _coded(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        code = node.get("code")
        if isinstance(code, str):
            yield code
        for value in node.values():
            yield from _coded(value)
    elif isinstance(node, list):
        for value in node:
            yield from _coded(value)


def _by_id(reading: Reading) -> dict[str, Mapped]:
    return {one.id: one for m in reading.messages for one in m.resources if one.type != _NOT_TOLD}


_DECODE = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _members(text: bytes) -> dict[str, bytes]:
    """The elements of a resource as they are written: 6.10 is not 6.1."""
    return {name: bytes(raw) for name, raw in _DECODE(text).items()}


# Rules and tables.

Elements = Mapping[str, Mapping[str, Sequence[Rule]]]


def _rules(site: Map) -> Elements:
    """Rules by block and by the element they make, `value[x]` under that name."""
    found: dict[str, dict[str, list[Rule]]] = {}
    for part in site.parts:
        for block in part.file.blocks.values():
            elements = found.setdefault(block.name, {})
            for rule in _all_rules(block):
                elements.setdefault(element_of(rule.path), []).append(rule)
    return found


def _all_rules(block: Block) -> Iterator[Rule]:
    yield from block.rules.values()
    if block.clock is not None:
        yield replace(block.clock, path="(clock)")


def element_of(path: str) -> str:
    """The top element a rule's path is in: ``code.text`` is ``code``, ``identifier(mrn)`` ``identifier``."""
    match = re.match(r"\([a-z]+\)|\w+(?:\[x\])?", path)
    return match[0] if match else path


def _line(rules: Elements, block: str, element: str) -> str:
    lines = dict.fromkeys(str(rule.line) for rule in rules.get(block, {}).get(element, ()))
    return ", ".join(list(lines)[:3])


def _codes(site: Map) -> frozenset[str]:
    """Every code that stands in a table or as a literal of the map."""
    found: set[str] = set()
    for path, raw in site.contents.items():
        if path.endswith(".csv"):
            found |= set(_table_codes(raw))
    for part in site.parts:
        for ref in part.file.tables.values():
            found |= set(ref.pairs.values())
        for block in part.file.blocks.values():
            for rule in block.rules.values():
                found |= set(_literals(rule))
    return frozenset(found - {""})


def _table_codes(raw: bytes) -> Iterator[str]:
    text = raw.decode("utf-8-sig", "replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for row in csv.DictReader(lines):
        for column in _CODE_COLUMNS:
            yield (row.get(column) or "").strip()


def _literals(rule: Rule) -> Iterator[str]:
    for alternative in rule.expression.alternatives:
        yield from (atom.text for atom in alternative if atom.kind == "literal")
    for call in rule.expression.calls:
        yield from call.pairs.values()


class RuleEdit(msgspec.Struct, frozen=True):
    """A rule of the effective map that is not the same; an empty text is no rule. `line` is the new one's."""

    block: str
    path: str
    before: str
    after: str
    line: str


def edits(before: Map, after: Map) -> tuple[RuleEdit, ...]:
    """The rules two maps differ in, whichever layer they stand in."""
    old, new = _by_path(before), _by_path(after)
    found = []
    for key in dict.fromkeys((*new, *old)):
        was, now = old.get(key), new.get(key)
        if (was and was.text) != (now and now.text):
            said = now or was
            line = said.line if said else ""
            found.append(RuleEdit(*key, was.text if was else "", now.text if now else "", line))
    return tuple(found)


def _by_path(site: Map) -> dict[tuple[str, str], Said]:
    found: dict[tuple[str, str], Said] = {}
    for part in site.parts:
        name = f"{part.file.id} " if len(site.parts) > 1 else ""
        for block in part.file.blocks.values():
            for said in effective(block):
                found[f"{name}{block.name}", said.path] = said
    return found


class Said(NamedTuple):
    """One line of an effective map; `line` is where the layer stands that owns it."""

    path: str
    text: str
    line: str


def effective(block: Block) -> Iterator[Said]:
    """Everything a block says after all layers: its words, its key, its rules."""
    for word in ("each", "mode", "space", "unite"):
        text = getattr(block, word)
        if text is not None:
            yield Said(word, text, "")  # which layer said a word is not kept
    if block.key is not None:
        for number, rule in enumerate(block.key, 1):
            yield Said(f"key[{number}]", rule.text, str(rule.line))
    for word, one in (("when", block.when), ("clock", block.clock)):
        if one is not None:
            yield Said(word, one.text, str(one.line))
    for rule in block.rules.values():
        yield Said(rule.path, rule.text, str(rule.line))
    for path, (reason, line) in block.dropped.items():
        yield Said(path, f"drop('{reason}')", str(line))


def lines(before: Mapping[str, bytes], after: Mapping[str, bytes], path: str) -> Iterator[str]:
    """The lines of one file that differ, each behind ``+`` or ``-``."""
    return _lines(before.get(path, b""), after.get(path, b""))
