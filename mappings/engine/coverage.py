"""Counts over much traffic which rules of a map fired and which fields no rule reads.

Cheap enough for a month: it goes by the masks every resource carries and by the addresses a map names,
not by watching the interpreter (`explain` does that for one delivery).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mappings.engine.explain import Unread
from mappings.engine.functions import FUNCTIONS
from mappings.engine.model import trial_ids
from mappings.engine.reader import Dialect, Inventory
from mappings.engine.rules import Atom, Rule

if TYPE_CHECKING:
    from mappings.engine.release import Map, Part


@dataclass(frozen=True, slots=True)
class RuleUse:
    """How often a rule gave something among the resources its block made. `map` is the id of its file."""

    map: str
    block: str
    rule: str
    line: str
    fired: int
    made: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a map made of much traffic. `unread` are fields that held something no rule names."""

    deliveries: int
    messages: int
    rules: tuple[RuleUse, ...]
    unread: tuple[Unread, ...]

    @property
    def silent(self) -> tuple[RuleUse, ...]:
        """The rules that never gave anything."""
        return tuple(rule for rule in self.rules if rule.fired == 0)


def coverage(site: Map, raws: Iterable[bytes]) -> Coverage:
    """Count over deliveries. Holds no patient data; FHIR that passes through has no rules to count."""
    dialect = site.dialect
    tally = _Tally(site)
    for raw in raws:
        tally.deliveries += 1
        if dialect is not None:
            tally.delivery(dialect, raw)
    return tally.result()


class _Tally:
    def __init__(self, site: Map) -> None:
        self.site = site
        self.deliveries = self.messages = 0
        self.masks: Counter[tuple[str, str, int]] = Counter()
        self.unread: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        self.named = {part.file.id: set(_fields(part, site.dialect)) for part in site.parts}

    def delivery(self, dialect: Dialect, raw: bytes) -> None:
        letters, _ = self.site.letters(raw)
        for letter in letters:
            self.messages += 1
            part = self.site.part(letter)
            if part is None:
                continue
            name = part.file.id
            for one in self.site.map_letter(letter, trial_ids).resources:
                self.masks[name, one.block, one.mask] += 1
            if letter.root is not None and isinstance(dialect, Inventory):
                for address, place in dialect.filled(letter.root, self.site.source):
                    if address not in self.named[name]:
                        self.unread[address] += 1
                        self.places.setdefault(address, place)

    def result(self) -> Coverage:
        return Coverage(
            self.deliveries,
            self.messages,
            tuple(use for part in self.site.parts for use in self.uses(part)),
            tuple(
                Unread(address, count, self.places[address])
                for address, count in self.unread.most_common()
            ),
        )

    def uses(self, part: Part) -> Iterator[RuleUse]:
        for block in part.blocks:
            masks = [
                (mask, count)
                for (file, name, mask), count in self.masks.items()
                if (file, name) == (part.file.id, block.name)
            ]
            made = sum(count for _, count in masks)
            for number, rule in enumerate(block.rules):
                fired = sum(count for mask, count in masks if mask >> number & 1)
                yield RuleUse(part.file.id, block.name, rule.path, rule.line, fired, made)


def _fields(part: Part, dialect: Dialect | None) -> Iterator[str]:
    """The fields the rules of a map file name."""
    if not isinstance(dialect, Inventory):
        return
    for atom in addresses(part):
        yield dialect.field(atom.text)


def addresses(part: Part) -> Iterator[Atom]:
    """Every address in the rules of a map file, arguments of functions included."""
    for block in part.file.blocks.values():
        rules: list[Rule | None] = [*block.rules.values(), *(block.key or ())]
        for rule in [*rules, block.clock, block.when]:
            if rule is None:
                continue
            atoms = [atom for option in rule.expression.alternatives for atom in option]
            for call in rule.expression.calls:
                atoms += [atom for named in call.named.values() for atom in named]
                reads = FUNCTIONS[call.name].reads if call.name in FUNCTIONS else ()
                atoms += [Atom("address", address, call.column) for address in reads]
            yield from (atom for atom in atoms if atom.kind == "address")
