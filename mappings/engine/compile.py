"""Generates plain Python from a bound map: one function for each block, which must say what the interpreter says.

A function reads the raw texts of its records into locals and puts the finished members of a resource side by
side as bytes. What a rule's functions make of a raw text is asked of the interpreter's own closures and kept
(`memo`); texts, facts and references are written straight into a form that the rule's own target path gave at
compile time. Whatever is out of the ordinary (an issue that holds, a null that deletes, a `must` without value, an
exception) raises, and the block instance is built by the interpreter, as if nothing had been tried.

No text of a map becomes code: the source holds names of our own and literals written by `repr`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import orjson

from mappings.engine import interpret, memo
from mappings.engine.bound import BoundBlock, BoundRule
from mappings.engine.functions import FUNCTIONS
from mappings.engine.interpret import EXPECTED, Made, Run
from mappings.engine.memo import Bail, Finish, Memo, Shared, Whole
from mappings.engine.model import Mapped
from mappings.engine.reader import Fields, Scope, Slot, Source, Unusual
from mappings.engine.rules import Atom, Expression, RuleFile

Build = Callable[[Run, Iterable[Scope], Callable[[Mapped], None]], None]
"""(run, the scopes of a block, where finished resources go)."""

_STATES = 16
_TWINS = 6
_MARK = "\x00\x01mark\x01\x00"


class Program:
    """The generated functions of one map file, and what they remember.

    What is remembered holds for one source and one form of writing (delimiters), and is bounded.
    """

    def __init__(
        self, builds: Sequence[Build | None], sizes: Sequence[int], fields: Fields
    ) -> None:
        self.builds, self._sizes, self._fields = tuple(builds), tuple(sizes), fields
        self._states: dict[tuple[int, Hashable], tuple[Source, list[list[dict[Any, Any]]]]] = {}

    def enter(self, run: Run) -> None:
        """Give a run the memos for its source and form."""
        run.form = self._fields.form(run.letter.root)
        key = (id(run.source), run.form)
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= _STATES:
                self._states.clear()
            memos: list[list[dict[Any, Any]]] = [[{} for _ in range(n)] for n in self._sizes]
            # The source is kept so that its identity stays its own.
            state = self._states[key] = (run.source, memos)
        run.memos = state[1]

    def remembered(self) -> int:
        """How many answers are kept; for tests and for those who watch memory."""
        return sum(
            len(known) for _, blocks in self._states.values() for block in blocks for known in block
        )


def compile_blocks(
    blocks: Sequence[BoundBlock], file: RuleFile, dialect: object, source: Source
) -> Program | None:
    """The program of a bound map file; None for a dialect that offers no `Fields`."""
    if not isinstance(dialect, Fields):
        return None
    wanted = _wanted(file)
    builds: list[Build | None] = []
    sizes: list[int] = []
    for number, block in enumerate(blocks):
        writer = _Writer(block, number, dialect, source, wanted)
        builds.append(writer.build())
        sizes.append(writer.memos)
    return Program(builds, sizes, dialect)


def text_of(block: BoundBlock, number: int, file: RuleFile, dialect: Fields, source: Source) -> str:
    """The generated text of one block, for people and tests; empty when the interpreter keeps it."""
    return _Writer(block, number, dialect, source, _wanted(file)).text() or ""


# --- which references a map makes ---------------------------------------------------------------------


class _Wanted(NamedTuple):
    """Names that ``@Name`` looks for upwards, and (name, each) from which ``@Name[*]`` looks down."""

    upwards: frozenset[str]
    below: frozenset[tuple[str, str]]


def _wanted(file: RuleFile) -> _Wanted:
    upwards: set[str] = set()
    below: set[tuple[str, str]] = set()
    for block in file.blocks.values():
        rules = [*block.rules.values(), *(block.key or ()), block.clock, block.when]
        for rule in rules:
            for atom in _atoms(rule.expression) if rule is not None else ():
                if atom.kind == "reference" and atom.text.endswith("[*]"):
                    below.add((atom.text.removesuffix("[*]"), block.each or "message"))
                elif atom.kind == "reference":
                    upwards.add(atom.text)
    return _Wanted(frozenset(upwards), frozenset(below))


def _atoms(expression: Expression) -> list[Atom]:
    atoms = [atom for option in expression.alternatives for atom in option]
    for call in expression.calls:
        atoms += [*call.positional, *(atom for named in call.named.values() for atom in named)]
    return atoms


# --- writing one block --------------------------------------------------------------------------------


class _Piece(NamedTuple):
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


class _Form(NamedTuple):
    """The member of a resource around the one text or reference that changes in it, and without it."""

    before: bytes
    behind: bytes
    without: bytes
    bits: int
    bits_without: int
    first: int
    first_without: int


class _Writer:
    """Writes the function of one block. Texts of the map reach it only through `repr` and `bind`."""

    def __init__(
        self, block: BoundBlock, number: int, fields: Fields, source: Source, wanted: _Wanted
    ) -> None:
        self.block, self.number, self.fields, self.source = block, number, fields, source
        self.wanted = wanted
        self.names: dict[str, Any] = {}
        self.memos = 0
        self.asks: dict[str, int] = {}
        # (record, whether it lies above) -> its local and the slots that are read.
        self.records: dict[tuple[str, bool], tuple[str, set[int]]] = {}
        self.twin: tuple[str, ...] = ()

    # .. names

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

    # .. what a rule depends on

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

    # .. the function

    def build(self) -> Build | None:
        text = self.text()
        if text is None:
            return None
        made: dict[str, Any] = {}
        names = {"__builtins__": {}, **_GLOBALS, **self.names}
        exec(compile(text, f"<map block {self.number}>", "exec"), names, made)  # noqa: S102 - literals by repr and our own names only
        build: Build = made["build"]
        return build

    def text(self) -> str | None:
        """The source of the function; None when the block's own words ask too much."""
        block = self.block
        if block.type == "Patient":
            return self.whole()
        pieces = [self.piece(index, rules) for index, rules in enumerate(self.groups())]
        when = self.word("when", block.when) if block.when is not None else ([], [])
        keys = [self.word(f"k{index}", rule) for index, rule in enumerate(block.key)]
        clock = self.word("clock", block.clock) if block.clock is not None else ([], [])
        if when is None or clock is None or not keys or None in keys:
            return None
        words = [*when[1], *(line for key in keys if key for line in key[1])]
        self.twin = self.twins(pieces, words)
        return "\n".join(self.assemble(pieces, when, [key for key in keys if key], clock)) + "\n"

    def whole(self) -> str | None:
        """The function of a Patient block: all of it is remembered under all that it reads."""
        block = self.block
        rules = [*block.rules, *([block.when] if block.when is not None else [])]
        slots = self.slots(rules)
        clock = self.word("clock", block.clock) if block.clock is not None else ([], [])
        if slots is None or clock is None or block.key:
            return None
        raws = [self.local(slot) for slot in slots]
        raws += [f"facts.get({name!r}, '')" for name in self.facts(rules)]
        ask, known = self.bind(Whole(block)), self.memo_name()
        here = [
            f"k = ({', '.join(raws)},)" if raws else "k = ()",
            f"made = {known}.get(k)",
            "if made is None:",
            f"    made = {ask}.build(run, scope, {known}, k)",
            "    if made is not None: add(made)",
            "    continue",
            *self.clocked(clock),
            f"add({ask}.again(run, scope, made, us))",
        ]
        return "\n".join(self.framed([*clock[0]], here, False)) + "\n"

    def groups(self) -> list[list[tuple[int, BoundRule]]]:
        """Rules by the top-level element they write, in the order of the first of each."""
        found: dict[str, list[tuple[int, BoundRule]]] = {}
        for number, rule in enumerate(self.block.rules):
            found.setdefault(self.element(rule), []).append((number, rule))
        return list(found.values())

    def element(self, rule: BoundRule) -> str:
        """``value`` for ``value[x]`` and for what any of its choices is called."""
        choices = [one.element for one in self.block.rules if one.path == f"{one.element}[x]"]
        return next((base for base in choices if rule.element.startswith(base)), rule.element)

    def ordered(self) -> bool:
        """Whether the rules of each element stand together, so that members come in the order of groups."""
        runs = [name for name, _ in groupby(self.block.rules, self.element)]
        return len(runs) == len(set(runs))

    # .. elements

    def piece(self, index: int, rules: list[tuple[int, BoundRule]]) -> _Piece:
        names = tuple(dict.fromkeys(rule.element for _, rule in rules))
        shared = all(rule.shared for _, rule in rules)
        still = all(not self.moving(rule) for _, rule in rules)
        if still:
            entry = Memo(self.block, rules, self.fields, self.asks).ask(_still(self.source), None)
            if entry[2] is None:
                return _Piece(names, fixed=entry[0], bits=entry[1], first=str(entry[4]))
        formed = self.formed(index, rules)
        if formed is None:
            above, here = self.remembered(index, rules, shared)
            kind, raws = ("", ()) if above else self.kind([rule for _, rule in rules])
            return _Piece(
                names,
                tuple(above),
                tuple(here),
                first=f"f{index}",
                asking=not shared,
                kind=kind,
                raws=raws,
            )
        if shared:
            return _Piece(names, above=formed, first=f"f{index}")
        return _Piece(names, here=formed, first=f"f{index}")

    def moving(self, rule: BoundRule) -> bool:
        """Whether a rule depends on anything but the map."""
        return any(
            atom.kind in ("address", "fact")
            or (atom.kind == "reference" and atom.text != "Organization")
            for atom in self.needed(rule.expression)
        )

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

    def absent(self, index: int, rule: BoundRule, form: _Form) -> tuple[str, ...]:
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
            f"t = {_finding(name)}",
            "if t is None:",
            *self.absent(index, rule, form),
            "else:",
            f"    p{index} = {form.before!r} + t + {form.behind!r}",
            f"    b{index} = {form.bits}; f{index} = {form.first}",
        )

    def form(
        self, rules: list[tuple[int, BoundRule]], moving: int, node: Any, mark: Any = _MARK
    ) -> _Form | None:
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
        return _Form(
            pieces[0], pieces[1], found[1][0], found[0][1], found[1][1], found[0][2], found[1][2]
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
            lines = [f"if {absent}:", f"    {nothing}", "else:", *_indented(lines)]
        return [], lines

    def kind(self, rules: list[BoundRule]) -> tuple[str, tuple[str, ...]]:
        """With which other elements one is looked up: times, results, or what takes few different texts, as codes do."""
        slots = self.slots(rules)
        calls = [FUNCTIONS[call.name] for rule in rules for call in rule.expression.calls]
        if slots is None or not calls or self.facts(rules):
            return "", ()
        timed, wide = any(one.timed for one in calls), any(one.wide for one in calls)
        kind = "timed" if timed else "wide" if wide else "narrow"
        return kind, tuple(self.local(slot) for slot in slots)

    def taken(self, index: int, rules: Iterable[BoundRule]) -> list[str]:
        """Lines that take an entry apart."""
        lines = [f"p{index}, b{index}, y{index}, u, f{index} = e"]
        if any(FUNCTIONS[call.name].timed for rule in rules for call in rule.expression.calls):
            lines.append("if u > limit: raise Bail")
        return lines

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
            *_indented(self.taken(index, [rule])),
        ]
        here = [
            f"if not h{index}:",
            f"    k = ({', '.join(lower)},)",
            f"    e = {rest}.get(k)",
            f"    if e is None: e = {ask}.fill(run, scope, {rest}, k)",
            *_indented(self.taken(index, [rule])),
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
            return [], [f"when = {_finding(atoms[0].text).replace('all_below', 'some_below')}"]
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
            *_indented(chain),
            f"    if {name} is not None: keep({known}, {raw}, {name})",
        ]

    # .. the whole

    def assemble(
        self,
        pieces: list[_Piece],
        when: tuple[list[str], list[str]],
        keys: list[tuple[list[str], list[str]]],
        clock: tuple[list[str], list[str]],
    ) -> list[str]:
        block = self.block
        parts, gathered = self.parts(pieces)
        fixed = sum(piece.bits for piece in pieces if piece.fixed is not None)
        moving = [index for index, piece in enumerate(pieces) if piece.fixed is None]
        above_bits = [f"b{index}" for index in moving if not pieces[index].here]
        own, upward, all_ = self.noted()

        above = [*when[0], *(line for key in keys for line in key[0]), *clock[0]]
        above += [line for index in moving for line in pieces[index].above]
        above += gathered
        above.append(f"bits = {' | '.join([str(fixed), *above_bits])}")
        if block.clock is not None and clock[0]:
            above.append("us_ = None if clock_ is None else us_of(clock_, run)")
        if upward:
            above.append(f"ls = lists(run, {upward!r}, scope.parent)")

        here: list[str] = []
        if self.twin:
            above.append("twins = {}")
            here += [
                f"twin = ({', '.join(self.twin)},)",
                "one = twins.get(twin)",
                "if one is not None:",
                *_indented(self.note(own, upward, all_)),
                "    continue",
            ]
        here += when[1]
        if block.when is not None:
            here.append("if when is None: continue")
        here.append("ys = ()")
        together = self.together(pieces)
        for kind, indexes in together.items():
            here += self.looked_up(pieces, kind, indexes)
        joined = {index for indexes in together.values() for index in indexes}
        for index in moving:
            if index not in joined:
                here += pieces[index].here
                if pieces[index].asking:
                    here.append(f"if y{index} is not None: ys = (*ys, y{index})")
        here_bits = [f"b{index}" for index in moving if pieces[index].here and index not in joined]
        here.append(
            f"mask = {' | '.join(['bits', *here_bits, *(f'b_{kind}' for kind in together)])}"
        )
        here += self.finished(pieces, parts)
        for index, key in enumerate(keys):
            here += [*key[1], f"if k{index} is None: raise Bail"]
        here += self.clocked(clock)
        here += self.made(own, upward, all_, len(keys))
        return self.framed(above, here, all_)

    def together(self, pieces: list[_Piece]) -> dict[str, list[int]]:
        """The elements that are looked up with one key, by kind, where there are several."""
        found: dict[str, list[int]] = {}
        if self.block.each != "message" and self.ordered():
            for index, piece in enumerate(pieces):
                if piece.kind:
                    found.setdefault(piece.kind, []).append(index)
        return {kind: indexes for kind, indexes in found.items() if len(indexes) > 1}

    def looked_up(self, pieces: list[_Piece], kind: str, indexes: list[int]) -> list[str]:
        """Lines that look up elements of one kind under all the raw texts they are made of."""
        raws = dict.fromkeys(raw for index in indexes for raw in pieces[index].raws)
        known = self.memo_name()
        latest = ["u"] if kind == "timed" else []
        kept = [*(f"p{index}" for index in indexes), f"b_{kind}", "zs", *latest]
        said = [f"y{index}" for index in indexes]
        asked: list[str] = []
        for index in indexes:
            asked += pieces[index].here
            asked += [f"u{index} = u"] if latest else []
        if latest:
            asked.append(f"u = max(({', '.join(f'u{index}' for index in indexes)}))")
        return [
            f"j = ({', '.join(raws)},)",
            f"e = {known}.get(j)",
            "if e is None:",
            *_indented(asked),
            f"    zs = tuple([y for y in ({', '.join(said)},) if y is not None])",
            f"    b_{kind} = {' | '.join(f'b{index}' for index in indexes)}",
            f"    keep({known}, j, ({', '.join(kept)}))",
            "else:",
            f"    {', '.join(kept)} = e",
            *(["    if u > limit: raise Bail"] if latest else []),
            "if zs: ys = (*ys, *zs)",
        ]

    def twins(self, pieces: list[_Piece], words: list[str]) -> tuple[str, ...]:
        """The few locals that decide everything of a resource, when siblings may be the same: a specimen of each row.

        None when something is asked of the scope that no local holds.
        """
        found = [
            f"{name}_{number}"
            for (_, outside), (name, used) in self.records.items()
            if not outside
            for number in sorted(used)
        ]
        lines = [*words, *(line for piece in pieces for line in piece.here)]
        open_ = any("scope)" in line for line in lines)
        alone = self.block.each == "message" or open_ or not self.ordered()
        return () if alone or len(found) > _TWINS else tuple(found)

    def parts(self, pieces: list[_Piece]) -> tuple[list[str], list[str]]:
        """The parts of a resource in order, neighbours that are the same for siblings gathered into one."""
        if not self.ordered():
            return [
                f"p{index}" if piece.fixed is None else repr(piece.fixed)
                for index, piece in enumerate(pieces)
            ], []
        parts: list[str] = []
        gathered: list[str] = []
        for still, group in groupby(enumerate(pieces), lambda one: not one[1].here):
            found = list(group)
            if not still:
                parts += [f"p{index}" for index, _ in found]
                continue
            members = [
                f"p{index}" if piece.fixed is None else repr(piece.fixed)
                for index, piece in found
                if piece.fixed != b""
            ]
            if len(members) == 1:
                parts += members
            elif members:
                name = f"c{len(gathered)}"
                gathered.append(f"{name} = join(filter(None, ({', '.join(members)})))")
                parts.append(name)
        return parts, gathered

    def finished(self, pieces: list[_Piece], parts: list[str]) -> list[str]:
        """Lines that make `tail`, and `issues` and `told` of what functions said."""
        names: dict[str, int] = {}
        for index, piece in enumerate(pieces):
            for element in piece.elements:
                named = f"p{index}"
                names[element] = parts.index(named) if piece.here and named in parts else -1
        finish = self.bind(Finish(self.block, self.fields, self.asks, names))
        listed = "".join(f"{part}, " for part in parts)
        lines = ["issues = told = None"]
        if self.ordered():
            own = names.get("extension", -1)
            adding: list[str] = []
            if own >= 0:
                mark = parts[own]
                adding = [
                    f"if ys and {mark} and ys[0].marks and len(ys) == 1 and 'extension' not in asks:",
                    f"    {mark} = {mark}[:-1] + ys[0].marks",
                    "    ys = ()",
                ]
                self.names["asks"] = self.asks
            return [
                *lines,
                *adding,
                "if ys:",
                f"    parts = [{listed}]",
                f"    issues, told = {finish}.settle(scope, ys, parts)",
                "    tail = join(filter(None, parts)) + b'}'",
                "else:",
                f"    tail = join(filter(None, ({listed}))) + b'}}'",
                "if tail == b'}': raise Bail",
            ]
        firsts = "".join(f"{piece.first}, " for piece in pieces)
        return [
            *lines,
            f"parts = [{listed}]",
            f"if ys: issues, told = {finish}.settle(scope, ys, parts)",
            f"tail = join(filter(None, in_order(parts, ({firsts})))) + b'}}'",
            "if tail == b'}': raise Bail",
        ]

    def clocked(self, clock: tuple[list[str], list[str]]) -> list[str]:
        if self.block.clock is None:
            return ["us = run.sent_us"]
        if not clock[0] and self.block.each != "message" and not self.facts([self.block.clock]):
            raws = [self.local(slot) for slot in self.slots([self.block.clock]) or ()]
            known = self.memo_name()
            return [
                f"k = ({', '.join(raws)},)",
                f"us = {known}.get(k)",
                "if us is None:",
                *_indented([*clock[1], "us = us_of(clock, run)", f"keep({known}, k, us)"]),
            ]
        if not clock[0]:
            return [*clock[1], "us = us_of(clock, run)"]
        return [
            "us = us_",
            "if us is None:",
            *_indented([*clock[1], "us = us_of(clock, run)"]),
        ]

    def noted(self) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        """Under which names a resource is noted in its own scope and in those above, and whether among all."""
        block = self.block
        names = dict.fromkeys((block.name, block.type))
        below = {name for name, _ in self.wanted.below}
        upward = tuple(name for name in names if name in self.wanted.upwards or name in below)
        own = tuple(
            name
            for name in names
            if name in self.wanted.upwards or (name, block.each) in self.wanted.below
        )
        return own, upward, "" in below

    def made(
        self, own: tuple[str, ...], upward: tuple[str, ...], all_: bool, keys: int
    ) -> list[str]:
        """Lines that give the resource its id, note it, and hand it over."""
        block = self.block
        opening = b'{"reference":"%s/' % block.type.encode()
        one = f"one = Made(id_, False, {opening!r} + name + b'\"}}')"
        note = ["name = id_.encode()", one, *self.note(own, upward, all_)]
        if self.twin:
            note.append("if not (issues or told): twins[twin] = one")
        head = b'{"resourceType":"%s","id":"' % block.type.encode()
        key = "".join(f"k{index}, " for index in range(keys))
        return [
            f"key = ({key})",
            f"id_ = ids({block.space!r}, {block.type!r}, key)",
            "if id_ in taken:",
            "    if taken[id_] != tail: raise Bail",
            "    if issues: run.issues.extend(issues)",
            "    if told: run.unmapped.extend(told)",
            *_indented(note),
            "    continue",
            "if issues: run.issues.extend(issues)",
            "if told: run.unmapped.extend(told)",
            "taken[id_] = tail",
            *note,
            f"add(Mapped({block.type!r}, id_, key, {head!r} + name + b'\",', tail, b'', us, "
            f"{block.mode!r}, (), scope.where(), (), {tuple(block.unions)!r}, {block.name!r}, mask, "
            f"{tuple(block.fills)!r}))",
        ]

    def note(self, own: tuple[str, ...], upward: tuple[str, ...], all_: bool) -> list[str]:
        """Lines that note `one` for the references that come later."""
        whole = [f"={name}" for name in own] if self.block.each == "message" else []
        noted = (*own, *whole)
        lines = [f"built.setdefault(({name!r}, id(scope)), []).append(one)" for name in noted]
        if upward:
            lines.append("for l in ls: l.append(one)")
        if all_:
            lines.append("everything.append(one)")
        return lines

    def framed(self, above: list[str], here: list[str], all_: bool) -> list[str]:
        outer = [lines for (_, outside), lines in self.loading() if outside]
        inner = [lines for (_, outside), lines in self.loading() if not outside]
        memos = "".join(f"m{index}, " for index in range(self.memos))
        return [
            "def build(run, scopes, add):",
            *([f"    {memos}= run.memos[{self.number}]"] if memos else []),
            "    w = run.form; limit = run.limit; taken = run.taken; ids = run.ids",
            "    facts = run.facts; built = run.built",
            *(["    everything = built.setdefault(('', 0), [])"] if all_ else []),
            "    last = run",
            "    for scope in scopes:",
            "        try:",
            "            if scope.parent is not last or last is None:",
            "                last = run",
            *_indented([line for lines in outer for line in lines], 4),
            *_indented(above, 4),
            "                last = scope.parent",
            *_indented([line for lines in inner for line in lines], 3),
            *_indented(here, 3),
            "        except FALLBACK:",
            f"            made = by_hand({self.bind(self.block)}, scope, run)",
            "            if made is not None: add(made)",
        ]

    def loading(self) -> list[tuple[tuple[str, bool], list[str]]]:
        """Lines that load each record and the slots of it that are read."""
        found: list[tuple[tuple[str, bool], list[str]]] = []
        for (record, outside), (name, used) in self.records.items():
            width = max(used) + 1
            lines = [
                f"{name} = scope.record({record!r})",
                f"if len({name}) < {width}: {name} = [*{name}, *blank({width})]",
            ]
            lines += [f"{name}_{index} = {name}[{index}]" for index in sorted(used)]
            found.append(((record, outside), lines))
        return found


def _finding(name: str) -> str:
    """The call that finds what a reference names."""
    if not name.endswith("[*]"):
        return f"nearest(run, {name!r}, scope)"
    below = name.removesuffix("[*]")
    return f"all_below(run, {below!r}, {'scope' if below else 'None'})"


def _indented(lines: Iterable[str], steps: int = 1) -> list[str]:
    return [f"{'    ' * steps}{line}" for line in lines]


class _Still:
    """Stands for a run where rules are asked that depend on the map alone."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.facts: dict[str, str] = {}
        self.built: dict[Any, Any] = {}
        self.limit = 2**63


def _still(source: Source) -> Any:
    return _Still(source)


def _blank(width: int) -> Sequence[str]:
    return ("",) * width


def _in_order(parts: list[bytes], firsts: Sequence[int]) -> list[bytes]:
    """The members in the order in which rules first wrote them, offered ones behind."""
    own = sorted(zip(firsts, parts, strict=False), key=lambda pair: pair[0])
    return [part for _, part in own] + parts[len(firsts) :]


_GLOBALS: Mapping[str, Any] = {
    "Bail": Bail,
    "FALLBACK": (Bail, Unusual, *EXPECTED),
    "Made": Made,
    "Mapped": Mapped,
    "all_below": memo.all_below,
    "blank": _blank,
    "by_hand": interpret.build,
    "dumps": orjson.dumps,
    "filter": filter,
    "first": memo.first,
    "id": id,
    "in_order": _in_order,
    "join": b",".join,
    "len": len,
    "max": max,
    "lists": memo.lists,
    "keep": memo.keep,
    "nearest": memo.nearest,
    "some_below": memo.some_below,
    "str": str,
    "tuple": tuple,
    "us_of": memo.us_of,
}
"""Everything generated code can reach beside its own objects."""
