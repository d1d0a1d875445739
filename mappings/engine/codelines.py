"""Lines of generated code that read: names for objects, locals for raw texts, the text of a chain of sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from mappings.engine.bound import BoundBlock, BoundRule
from mappings.engine.functions import FUNCTIONS
from mappings.engine.memo import Memo
from mappings.engine.reader import Fields, Slot, Source
from mappings.engine.rules import Atom, Expression


class Wanted(NamedTuple):
    """Names that ``@Name`` looks for upwards, and (name, each) from which ``@Name[*]`` looks down."""

    upwards: frozenset[str]
    below: frozenset[tuple[str, str]]


class Lines:
    """What the function of one block reads. Texts of a map reach it only through `repr` and `bind`."""

    def __init__(
        self, block: BoundBlock, number: int, fields: Fields, source: Source, wanted: Wanted
    ) -> None:
        self.block, self.number, self.fields, self.source = block, number, fields, source
        self.wanted = wanted
        self.names: dict[str, Any] = {}
        self.memos = 0
        self.asks: dict[str, int] = {}
        # (record, whether it lies above) -> its local and the slots that are read.
        self.records: dict[tuple[str, bool], tuple[str, set[int]]] = {}
        self.twin: tuple[str, ...] = ()

    def bind(self, value: Any) -> str:
        """A name of the generated function's own for an object."""
        name = f"o{len(self.names)}"
        self.names[name] = value
        return name

    def memo_name(self) -> str:
        self.memos += 1
        return f"m{self.memos - 1}"

    def local(self, slot: Slot) -> str:
        """The local that holds a raw text."""
        key = (slot.record, self.outside(slot))
        name, used = self.records.setdefault(key, (f"r{len(self.records)}", set()))
        used.add(slot.number)
        return f"{name}_{slot.number}"

    def outside(self, slot: Slot) -> bool:
        outside = getattr(self.fields, "outside", None)
        each = self.block.each
        return bool(outside and each != "message" and outside(slot.record, each))

    def needed(self, expression: Expression) -> list[Atom]:
        """The atoms of a rule without those its functions seldom ask."""
        atoms = [atom for option in expression.alternatives for atom in option]
        for call in expression.calls:
            function = FUNCTIONS[call.name]
            given = dict(call.named)
            given |= {
                name: (atom,) for name, atom in zip(function.order, call.positional, strict=False)
            }
            for name, named in given.items():
                if name in function.sources and name not in function.seldom:
                    atoms += named
        return atoms

    def slots(self, rules: Iterable[BoundRule]) -> list[Slot] | None:
        """Every raw text that rules depend on; None when they depend on more than such."""
        found: dict[Slot, None] = {}
        for rule in rules:
            if any(FUNCTIONS[call.name].reads for call in rule.expression.calls):
                return None
            for atom in self.needed(rule.expression):
                if atom.kind == "address":
                    slot = self.fields.slot(atom.text, self.source)
                    if slot is None or slot.number < 0:
                        return None
                    found[slot] = None
                elif atom.kind == "reference" and atom.text != "Organization":
                    return None
        return list(found)

    def facts(self, rules: Iterable[BoundRule]) -> list[str]:
        atoms = [atom for rule in rules for atom in self.needed(rule.expression)]
        return list(dict.fromkeys(atom.text for atom in atoms if atom.kind == "fact"))

    def moving(self, rule: BoundRule) -> bool:
        """Whether a rule depends on anything but the map."""
        return any(
            atom.kind in ("address", "fact")
            or (atom.kind == "reference" and atom.text != "Organization")
            for atom in self.needed(rule.expression)
        )

    def chain(self, name: str, rule: BoundRule) -> list[str] | None:
        """Lines that set a local to the text of the first alternative that has one; None when it takes more."""
        lines: list[str] = []
        for option in rule.expression.alternatives:
            if len(option) != 1:
                return None
            atom = option[0]
            guard = f"if {name} is None" if lines else ""
            match atom.kind:
                case "address":
                    found, raw = self.reading(atom.text)
                    if raw and guard:
                        lines.append(f"{guard} and {raw}: {name} = {found}")
                    elif raw:
                        lines.append(f"{name} = {found} if {raw} else None")
                    else:
                        lines.append(f"{guard}: {name} = {found}" if guard else f"{name} = {found}")
                case "literal":
                    lines.append(
                        f"{guard}: {name} = {atom.text!r}" if guard else f"{name} = {atom.text!r}"
                    )
                case "fact":
                    value = f"facts.get({atom.text!r}) or None"
                    lines.append(f"{guard}: {name} = {value}" if guard else f"{name} = {value}")
                case _:
                    return None
        return lines

    def reading(self, address: str) -> tuple[str, str]:
        """The expression for the text at an address, and the local that must be filled for it."""
        slot = self.fields.slot(address, self.source)
        read = self.fields.text(address, self.source)
        if slot is None or slot.number < 0 or read is None:
            return f"first({self.bind(self.fields.address(address, self.source))}(scope))", ""
        raw = self.local(slot)
        return f"{self.bind(read)}({raw}, w)", raw

    def word(self, name: str, rule: BoundRule) -> tuple[list[str], list[str]] | None:
        """Lines (once for siblings, in each scope) that set a local to the text of `when`, `key` or `clock`."""
        if not rule.expression.calls and "[*]" not in "".join(
            atom.text for atom in self.needed(rule.expression)
        ):
            chain = self.chain(name, rule)
            if chain is not None:
                return self.led(name, rule, chain)
        atoms = self.needed(rule.expression)
        if name == "when" and [atom.kind for atom in atoms] == ["reference"]:
            return [], [f"when = {finding(atoms[0].text).replace('all_below', 'some_below')}"]
        slots = self.slots([rule])
        if slots is None:
            return None
        ask = self.bind(Memo(self.block, [(0, rule)], self.fields, {}))
        raws = [self.local(slot) for slot in slots]
        raws += [f"facts.get({fact!r}, '')" for fact in self.facts([rule])]
        known = self.memo_name()
        return [], [
            f"k = ({', '.join(raws)},)" if raws else "k = ()",
            f"{name} = {known}.get(k, run)",
            f"if {name} is run: {name} = {ask}.word(run, scope, {known}, k)",
        ]

    def led(self, name: str, rule: BoundRule, chain: list[str]) -> tuple[list[str], list[str]]:
        """The first alternatives are read once for siblings as far as they lie above them."""
        count = 0
        for option in rule.expression.alternatives:
            slot = (
                self.fields.slot(option[0].text, self.source)
                if option[0].kind == "address"
                else None
            )
            if slot is None or not self.outside(slot):
                break
            count += 1
        above = [line.replace(f"{name} ", f"{name}_ ") for line in chain[:count]]
        if above:
            return above, [f"{name} = {name}_", *chain[count:]]
        slots = self.slots([rule])
        if self.block.each == "message" or slots is None or len(slots) != 1 or self.facts([rule]):
            return [], chain
        known, raw = self.memo_name(), self.local(slots[0])
        return [], [
            f"{name} = {known}.get({raw})",
            f"if {name} is None:",
            *indented(chain),
            f"    if {name} is not None: keep({known}, {raw}, {name})",
        ]

    def loading(self) -> list[tuple[tuple[str, bool], list[str]]]:
        """Lines that load each record and the slots of it that are read."""
        found: list[tuple[tuple[str, bool], list[str]]] = []
        for (record, outside), (name, used) in self.records.items():
            width = max(used) + 1
            lines = [
                f"{name} = scope.record({record!r})",
                f"if len({name}) < {width}: {name} = [*{name}, *{('',) * width!r}]",
            ]
            lines += [f"{name}_{index} = {name}[{index}]" for index in sorted(used)]
            found.append(((record, outside), lines))
        return found


def finding(name: str) -> str:
    """The call that finds what a reference names."""
    if not name.endswith("[*]"):
        return f"nearest(run, {name!r}, scope)"
    below = name.removesuffix("[*]")
    return f"all_below(run, {below!r}, {'scope' if below else 'None'})"


def indented(lines: Iterable[str], steps: int = 1) -> list[str]:
    return [f"{'    ' * steps}{line}" for line in lines]
