"""Lines of generated code for the elements of a resource: written straight into a form, or asked of functions once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from mappings.engine import interpret
from mappings.engine.bound import BoundRule
from mappings.engine.codelines import Lines, finding, indented
from mappings.engine.functions import FUNCTIONS
from mappings.engine.memo import Memo, Shared
from mappings.engine.reader import Source

_MARK = "\x00\x01mark\x01\x00"


class Piece(NamedTuple):
    """How the generated function comes by one element: `above` once for siblings, `here` in each scope.

    A `fixed` one is the same in every resource; it needs no lines. Where functions are asked, `y` and the
    number of the piece hold what else they said. Pieces of one `kind` are looked up together, under all their `raws`.
    """

    elements: tuple[str, ...]
    above: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    fixed: bytes | None = None
    bits: int = 0
    first: str = "0"
    asking: bool = False
    kind: str = ""
    raws: tuple[str, ...] = ()
    timed: bool = False


class Form(NamedTuple):
    """The member of a resource around the one text or reference that changes in it, and without it."""

    before: bytes
    behind: bytes
    without: bytes
    bits: int
    bits_without: int
    first: int
    first_without: int


class Pieces(Lines):
    """The elements of one block, each with the lines that make its member of the resource."""

    def piece(self, index: int, rules: list[tuple[int, BoundRule]]) -> Piece:
        names = tuple(dict.fromkeys(rule.element for _, rule in rules))
        shared = all(rule.shared for _, rule in rules)
        still = all(not self.moving(rule) for _, rule in rules)
        if still:
            entry = Memo(self.block, rules, self.fields, self.asks).ask(_still(self.source), None)
            if entry[2] is None:
                return Piece(names, fixed=entry[0], bits=entry[1], first=str(entry[4]))
        formed = self.formed(index, rules)
        if formed is None:
            above, here = self.remembered(index, rules, shared)
            kind, raws = ("", ()) if above else self.kind([rule for _, rule in rules])
            return Piece(
                names,
                tuple(above),
                tuple(here),
                first=f"f{index}",
                asking=not shared,
                kind=kind,
                raws=raws,
                timed=self.timed([rule for _, rule in rules]),
            )
        if shared:
            return Piece(names, above=formed, first=f"f{index}")
        return Piece(names, here=formed, first=f"f{index}")

    def formed(self, index: int, rules: list[tuple[int, BoundRule]]) -> tuple[str, ...] | None:
        """Lines for an element in which one text, fact or reference changes; None for any other."""
        moving = [(number, rule) for number, rule in rules if self.moving(rule)]
        if len(moving) != 1 or any(rule.expression.calls for _, rule in rules):
            return None
        number, rule = moving[0]
        atoms = self.needed(rule.expression)
        if atoms[0].kind == "reference":
            return self.referring(index, rules, number, rule) if len(atoms) == 1 else None
        if "[*]" in "".join(atom.text for atom in atoms):
            return None
        chain = self.chain("t", rule)
        form = self.form(rules, number, _MARK)
        if chain is None or form is None:
            return None
        return (
            *chain,
            "if t is None:",
            *self.absent(index, rule, form),
            "else:",
            f"    p{index} = {form.before!r} + dumps(t) + {form.behind!r}",
            f"    b{index} = {form.bits}; f{index} = {form.first}",
        )

    def absent(self, index: int, rule: BoundRule, form: Form) -> tuple[str, ...]:
        if rule.must:
            return ("    raise Bail",)
        return (
            f"    p{index} = {form.without!r}; b{index} = {form.bits_without}; f{index} = {form.first_without}",
        )

    def referring(
        self, index: int, rules: list[tuple[int, BoundRule]], number: int, rule: BoundRule
    ) -> tuple[str, ...] | None:
        name = self.needed(rule.expression)[0].text
        node: Any = {"reference": _MARK}
        form = self.form(rules, number, [node] if name.endswith("[*]") else node, node)
        if form is None:
            return None
        return (
            f"t = {finding(name)}",
            "if t is None:",
            *self.absent(index, rule, form),
            "else:",
            f"    p{index} = {form.before!r} + t + {form.behind!r}",
            f"    b{index} = {form.bits}; f{index} = {form.first}",
        )

    def form(
        self, rules: list[tuple[int, BoundRule]], moving: int, node: Any, mark: Any = _MARK
    ) -> Form | None:
        """Put the mark where the changing node goes, by the rules' own targets, and cut the text there."""
        fixed = {
            number: rule.expression.alternatives[0][0].text
            for number, rule in rules
            if number != moving and rule.expression.alternatives[0][0].kind == "literal"
        }
        if len(fixed) != len(rules) - 1:
            return None
        found: list[tuple[bytes, int, int]] = []
        for nodes in ({**fixed, moving: node}, fixed):
            body: dict[str, Any] = {}
            bits, first = 0, -1
            at: Any = interpret.Instance(self.block, None, _still(self.source))  # type: ignore[arg-type]
            for number, rule in rules:
                if number in nodes:
                    bits |= 1 << number
                    rule.put(body, nodes[number], at)
                    first = number if first < 0 and body else first
            found.append((orjson.dumps(body)[1:-1], bits, max(first, 0)))
        pieces = found[0][0].split(orjson.dumps(mark))
        if len(pieces) != 2:
            return None
        return Form(
            pieces[0], pieces[1], found[1][0], found[0][1], found[1][1], found[0][2], found[1][2]
        )

    def remembered(
        self, index: int, rules: list[tuple[int, BoundRule]], shared: bool
    ) -> tuple[list[str], list[str]]:
        """Lines (once for siblings, in each scope) for an element whose functions are asked, once for the same raw texts."""
        bound = [rule for _, rule in rules]
        slots = self.slots(bound)
        facts = self.facts(bound)
        ask = Memo(self.block, rules, self.fields, self.asks, live=slots is None)
        if shared:
            pairs = [(slot.record, slot.number) for slot in slots or ()]
            known = self.memo_name()
            make = f"{self.bind(Shared(ask, pairs, facts))}.make(run, scope, {known})"
            return [f"p{index}, b{index}, f{index} = {make}"], []
        lines: list[str]
        if (led := self.led_element(index, rules)) is not None:
            return led
        if slots is None:
            lines = [f"e = {self.bind(ask)}.ask(run, scope)"]
        else:
            raws = [self.local(slot) for slot in slots]
            raws += [f"facts.get({name!r}, '')" for name in facts]
            known = self.memo_name()
            lines = [
                f"k = {raws[0]}" if len(raws) == 1 else f"k = ({', '.join(raws)},)",
                f"e = {known}.get(k)",
                f"if e is None: e = {self.bind(ask)}.fill(run, scope, {known}, k)",
            ]
        lines += self.taken(index, bound)
        absent = self.absent_records(bound)
        if slots is None and absent is not None:
            nothing = f"p{index} = b''; b{index} = f{index} = 0; y{index} = None"
            lines = [f"if {absent}:", f"    {nothing}", "else:", *indented(lines)]
        return [], lines

    def kind(self, rules: list[BoundRule]) -> tuple[str, tuple[str, ...]]:
        """With which other elements one is looked up: results, times, or what takes few different texts, as codes do."""
        slots = self.slots(rules)
        calls = [FUNCTIONS[call.name] for rule in rules for call in rule.expression.calls]
        if slots is None or not calls or self.facts(rules):
            return "", ()
        timed, wide = any(one.timed for one in calls), any(one.wide for one in calls)
        kind = "wide" if wide else "timed" if timed else "narrow"
        return kind, tuple(self.local(slot) for slot in slots)

    def taken(self, index: int, rules: Iterable[BoundRule]) -> list[str]:
        """Lines that take an entry apart."""
        lines = [f"p{index}, b{index}, y{index}, u, f{index} = e"]
        if self.timed(rules):
            lines.append("if u > limit: raise Bail")
        return lines

    def timed(self, rules: Iterable[BoundRule]) -> bool:
        """Whether a function compares its answer with the time of the message."""
        return any(FUNCTIONS[call.name].timed for rule in rules for call in rule.expression.calls)

    def led_element(
        self, index: int, rules: list[tuple[int, BoundRule]]
    ) -> tuple[list[str], list[str]] | None:
        """An element of one rule whose first alternatives lie above: asked once for siblings when one is filled."""
        rule = rules[0][1]
        options = rule.expression.alternatives
        slots = [
            self.fields.slot(option[0].text, self.source)
            for option in options
            if len(option) == 1 and option[0].kind == "address"
        ]
        found = [slot for slot in slots if slot is not None and slot.number >= 0]
        count = next((n for n, slot in enumerate(found) if not self.outside(slot)), len(found))
        if len(rules) > 1 or len(found) < len(options) or not 0 < count < len(found):
            return None
        if len(self.needed(rule.expression)) > len(options):
            return None  # Arguments may lie in the scope.
        getters = [self.fields.address(option[0].text, self.source) for option in options[:count]]
        ask = self.bind(Memo(self.block, rules, self.fields, self.asks, leads=getters))
        known, rest = self.memo_name(), self.memo_name()
        upper = [self.local(slot) for slot in found[:count]]
        lower = [self.local(slot) for slot in found[count:]]
        above = [
            f"h{index} = {' or '.join(upper)}",
            f"if h{index}:",
            f"    k = ({', '.join(upper)},)",
            f"    e = {known}.get(k)",
            f"    if e is None: e = {ask}.lead(run, scope, {known}, k)",
            *indented(self.taken(index, [rule])),
        ]
        here = [
            f"if not h{index}:",
            f"    k = ({', '.join(lower)},)",
            f"    e = {rest}.get(k)",
            f"    if e is None: e = {ask}.fill(run, scope, {rest}, k)",
            *indented(self.taken(index, [rule])),
        ]
        return above, here

    def absent_records(self, rules: list[BoundRule]) -> str | None:
        """The condition by which an element is certainly empty: no record of the only kinds it reads is there, or no value."""
        names: list[str] = []
        getters: list[str] = []
        for rule in rules:
            expression = rule.expression
            atoms = [atom for option in expression.alternatives for atom in option]
            if rule.must or (expression.calls and FUNCTIONS[expression.calls[0].name].empty):
                return None
            for atom in atoms:
                slot = self.fields.slot(atom.text, self.source) if atom.kind == "address" else None
                if slot is None:
                    return None
                names.append(slot.record)
                getters.append(self.bind(self.fields.address(atom.text, self.source)))
        records = " or ".join(f"scope.record({name!r})" for name in dict.fromkeys(names))
        values = " or ".join(f"{getter}(scope)" for getter in getters)
        return f"not (({records}) and ({values}))"


class _Still:
    """Stands for a run where rules are asked that depend on the map alone."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.facts: dict[str, str] = {}
        self.built: dict[Any, Any] = {}
        self.limit = 2**63


def _still(source: Source) -> Any:
    return _Still(source)
