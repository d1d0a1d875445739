"""Binds a merged rule file to closures once: addresses, tables and functions looked up, every mistake found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from mappings.engine import elements, targets
from mappings.engine.bound import Apply, Bound, BoundBlock, BoundRule, Setup
from mappings.engine.functions import FUNCTIONS
from mappings.engine.model import Finding
from mappings.engine.reader import AddressFault, Dialect, Getter, Scope, Value, plain
from mappings.engine.rules import Atom, Block, Call, Expression, Line, Rule, RuleFile

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance, Made

FACTS = ("origin", "release", "digest", "kind", "org", "org_name", "sent", "event")
_REFUSED_KEYS = re.compile(r"(?:OBX-1|OBR-1|PID-1|DG1-1|MSH-7|MSH-10|EVN-\d+)(?:\.\d+)?$")

Find = Callable[["Instance"], Sequence[Value]]


Watch = Callable[[Call, Apply], Apply]
"""Put around each function of each rule, by those who want to see what it does (`explain`)."""


class _Binder:
    def __init__(
        self, file: RuleFile, dialect: Dialect, setup: Setup, watch: Watch | None = None
    ) -> None:
        self.file, self.dialect, self.setup, self.watch = file, dialect, setup, watch
        self.findings: list[Finding] = []
        self.order = list(file.blocks)
        self.closed = False

    def find(self, line: Line, zh: str, en: str, offset: int = 0) -> None:
        self.findings.append(Finding(line.file, line.number, line.column + offset, zh, en))

    def bind(self) -> tuple[BoundBlock, ...]:
        known = self.dialect.eaches(self.setup.source)
        bound: list[BoundBlock] = []
        for block in self.file.blocks.values():
            each = block.each or "message"
            if each != "message" and not known(each):
                self.find(
                    block.line,
                    f'each = "{each}" 在这种来源里没有',
                    f'each = "{each}" does not exist in this kind of source',
                )
                continue
            bound.append(self.block(block, each))
        return tuple(bound)

    def block(self, block: Block, each: str) -> BoundBlock:
        source = self.setup.source
        rules = tuple(self.rule(rule, block, block.type) for rule in block.rules.values())
        if block.type == "Patient" and block.key:
            self.find(
                block.line,
                "Patient 的编号由 identifier 规则和 [source] ids 决定，不要写 key",
                "Patient takes its key from its identifier rules and [source] ids; remove key",
            )
        if block.type != "Patient" and not block.key:
            self.find(block.line, f"[{block.name}] 没有 key", f"[{block.name}] has no key")
        for part in block.key or ():
            for atom in (atom for option in part.expression.alternatives for atom in option):
                if atom.kind == "address" and _REFUSED_KEYS.match(atom.text):
                    self.find(
                        part.line,
                        f"{atom.text} 是序号、控制号或时间，不能作主键",
                        f"{atom.text} is a set id, control id or time and cannot be part of a key",
                    )
        declared = dict.fromkeys(source.ids.values())
        for rule in block.rules.values():
            if match := re.fullmatch(r"identifier\(([^)]+)\)", rule.path):
                declared.setdefault(match[1])
        return BoundBlock(
            name=block.name,
            type=block.type,
            each=each,
            mode=block.mode or "full",
            space=block.space or source.space,
            spaces=tuple(space for space in declared if space not in elements.NATIONAL),
            key=tuple(self.rule(part, block, "") for part in block.key or ()),
            clock=self.rule(block.clock, block, "") if block.clock else None,
            when=self.rule(block.when, block, "") if block.when else None,
            rules=rules,
            line=str(block.line),
            unions=self.named(block, "unite", block.unite),
            fills=self.named(block, "fill", block.fill),
        )

    def named(self, block: Block, word: str, listed: str | None) -> tuple[str, ...]:
        """The elements of ``unite = "result, series.instance"``; each must be one that a rule of the block writes.

        A dot leads into the elements of a list: with a patch, or with a reference, which adds to them only.
        """
        names = tuple(name.strip() for name in (listed or "").split(",") if name.strip())
        written = {re.split(r"[.(\[]", path, maxsplit=1)[0] for path in block.rules}
        for name in names:
            if name.partition(".")[0] not in written or block.mode in (None, "full"):
                self.find(
                    block.line,
                    f"{word} 里的 {name} 要有自己的规则，并且 mode 是 patch 或 reference",
                    f"{word} names {name}: it needs a rule of its own, and mode patch or reference",
                )
        return names

    def rule(self, rule: Rule, block: Block, type_: str) -> BoundRule:
        """`type_` is empty for key, clock and when, which have no target element."""
        element = re.split(r"[.(\[]", rule.path, maxsplit=1)[0]
        put: Callable[[dict[str, Any], Any, Instance], None] = _nowhere
        if type_:
            try:
                put = elements.putter(type_, rule.path, self.setup.source)
            except elements.PathFault as fault:
                self.find(rule.line, fault.zh, fault.en)
            for zh, en, column in targets.faults(type_, rule, self.setup.tables):
                self.find(rule.line, zh, en, column)
        self.closed = bool(type_) and targets.closed(type_, rule.path)
        first = rule.expression.alternatives[0][0]
        return BoundRule(
            path=rule.path,
            element=element,
            evaluate=self.expression(rule.expression, rule.line, block),
            put=put,
            must=rule.expression.must,
            whole=rule.path == element or "(" in rule.path,
            shared=self.shared(rule.expression, block),
            line=str(rule.line),
            address=first.text if first.kind == "address" else rule.path,
            expression=rule.expression,
        )

    def shared(self, expression: Expression, block: Block) -> bool:
        """Whether the rule gives the same for all siblings: nothing it names lies in the scope itself."""
        each = block.each or "message"
        if each == "message" or any(
            FUNCTIONS[call.name].own for call in expression.calls if call.name in FUNCTIONS
        ):
            return False
        outside = getattr(self.dialect, "outside", None)
        atoms = [atom for option in expression.alternatives for atom in option]
        for call in expression.calls:
            atoms += [atom for named in call.named.values() for atom in named]
        for atom in atoms:
            if atom.kind == "address" and not (outside and outside(atom.text, each)):
                return False
            if atom.kind == "reference" and atom.text != "Organization":
                # What is made in the scope or below it differs from sibling to sibling.
                named = [
                    one for one in self.file.blocks.values() if atom.text in (one.name, one.type)
                ]
                levels = {one.each or "message" for one in named} - {"message"}
                if not named or not all(outside and outside(level, each) for level in levels):
                    return False
        return True

    def expression(
        self, expression: Expression, line: Line, block: Block
    ) -> Callable[[Instance], Any]:
        many = any("[*]" in atom.text for option in expression.alternatives for atom in option)
        applies = [self.call(call, line, block) for call in expression.calls]
        empty = (
            bool(expression.calls)
            and (call := FUNCTIONS.get(expression.calls[0].name)) is not None
            and call.empty
        )
        ready = [apply for apply in applies if apply is not None]
        if all(
            len(option) == 1 and option[0].kind == "address" for option in expression.alternatives
        ):
            getters = [self.getter(option[0], line) for option in expression.alternatives]
            getter = getters[0] if len(getters) == 1 else _first_getter(getters)
            return _evaluator(getter, None, ready, many, empty)
        finds = [self.option(option, line, block) for option in expression.alternatives]
        find = finds[0] if len(finds) == 1 else _first_of(finds)
        return _evaluator(None, find, ready, many, empty)

    def getter(self, atom: Atom, line: Line) -> Getter:
        try:
            return self.dialect.address(atom.text, self.setup.source)
        except AddressFault as fault:
            self.find(line, fault.zh, fault.en, atom.column + fault.offset)
            return lambda scope: ()

    def option(self, option: Sequence[Atom], line: Line, block: Block) -> Find:
        finds = [self.atom(atom, line, block) for atom in option]
        return finds[0] if len(finds) == 1 else _composite(finds)

    def atom(self, atom: Atom, line: Line, block: Block) -> Find:
        match atom.kind:
            case "literal":
                fixed = (plain(atom.text, "literal"),)
                return lambda at: fixed
            case "fact":
                return self.fact(atom, line)
            case "reference":
                return self.reference(atom, line, block)
        getter = self.getter(atom, line)
        return lambda at: getter(at.scope)

    def fact(self, atom: Atom, line: Line) -> Find:
        name = atom.text
        if name not in FACTS:
            listed = ", ".join(f"${fact}" for fact in FACTS)
            self.find(
                line,
                f"没有 ${name}；可用：{listed}",
                f"there is no ${name}; known are: {listed}",
                atom.column,
            )

        def find(at: Instance) -> Sequence[Value]:
            text = at.run.facts.get(name, "")
            return (plain(text, f"${name}"),) if text else ()

        return find

    def reference(self, atom: Atom, line: Line, block: Block) -> Find:
        name, star = atom.text.removesuffix("[*]"), atom.text.endswith("[*]")
        if name == "Organization" and name not in self.file.blocks:
            fixed = (Value("", "@Organization", (), node=self.setup.organization()),)
            return lambda at: fixed
        if name == "" and star:
            return _everything
        here = self.order.index(block.name) if block.name in self.order else 0
        made_before = self.order[:here]
        if not any(other == name or other.partition(".")[0] == name for other in made_before):
            self.find(
                line,
                f"@{name} 所指的块不存在，或写在本块之后",
                f"@{name} names a block that does not exist or stands later in the file",
                atom.column,
            )
        return _all_below(name) if star else _nearest(name)

    def call(self, call: Call, line: Line, block: Block) -> Apply | None:
        function = FUNCTIONS.get(call.name)
        if function is None:
            near = ", ".join(sorted(FUNCTIONS))
            self.find(
                line,
                f"没有函数 {call.name}；可用：{near}",
                f"there is no function {call.name}; known are: {near}",
                call.column,
            )
            return None
        bound = Bound(pairs=dict(call.pairs), closed=self.closed)
        if call.pairs and not function.pairs:
            self.find(
                line,
                f"{call.name} 不接受 '甲'='乙'",
                f"{call.name} takes no 'a'='b' pairs",
                call.column,
            )
        given = dict(call.named)
        for index, atom in enumerate(call.positional):
            if index < len(function.order) and not (function.variadic and atom.kind == "literal"):
                given[function.order[index]] = (atom,)
            elif function.variadic and atom.kind == "literal":
                bound.texts_many.append(atom.text)
            else:
                self.find(
                    line,
                    f"{call.name} 的参数太多",
                    f"too many arguments for {call.name}",
                    atom.column,
                )
        for name, atoms in given.items():
            self.argument(call, name, atoms, bound, line, block)
        for name in function.tables:
            if name not in bound.tables and name in self.setup.tables:
                bound.tables[name] = self.setup.tables[name]
            elif name not in bound.tables and name in function.needs:
                self.find(
                    line,
                    f"{call.name} 需要码表 {name}",
                    f"{call.name} needs a table {name}",
                    call.column,
                )
                return None
        for address in function.reads:
            bound.reads[address] = self.getter(Atom("address", address, call.column), line)
        made = function.make(self.setup, bound)
        return made if self.watch is None else self.watch(call, made)

    def argument(
        self, call: Call, name: str, atoms: Sequence[Atom], bound: Bound, line: Line, block: Block
    ) -> None:
        function = FUNCTIONS[call.name]
        first = atoms[0]
        if name in function.tables:
            table = self.setup.tables.get(first.text)
            if table is None:
                listed = ", ".join(sorted(self.setup.tables))
                self.find(
                    line,
                    f"[tables] 里没有 {first.text}；已有：{listed}",
                    f"[tables] has no {first.text}; it has: {listed}",
                    first.column,
                )
            else:
                bound.tables[name] = table
        elif name in function.texts:
            bound.texts[name] = first.text
        elif name in function.sources:
            finds = [self.atom(atom, line, block) for atom in atoms]
            find = finds[0] if len(finds) == 1 else _first_of(finds)
            bound.sources[name] = _seldom(find) if name in function.seldom else find
        else:
            known = ", ".join((*function.order, *function.sources))
            self.find(
                line,
                f"{call.name} 没有参数 {name}；可用：{known}",
                f"{call.name} has no argument {name}; known are: {known}",
                call.column,
            )


def bind(
    file: RuleFile, dialect: Dialect, setup: Setup, watch: Watch | None = None
) -> tuple[tuple[BoundBlock, ...], list[Finding]]:
    """Turn a merged rule file into blocks of closures, with everything that is wrong in it."""
    binder = _Binder(file, dialect, setup, watch)
    return binder.bind(), binder.findings


def _seldom(find: Find) -> Find:
    def asked(at: Instance) -> Sequence[Value]:
        at.rare = True
        return find(at)

    return asked


def _nowhere(body: dict[str, Any], node: Any, at: Instance) -> None:
    """Target of key, clock and when."""


def _first_getter(getters: Sequence[Getter]) -> Getter:
    def get(scope: Scope) -> Sequence[Value]:
        for getter in getters:
            if values := getter(scope):
                return values
        return ()

    return get


def _first_of(finds: Sequence[Find]) -> Find:
    def find(at: Instance) -> Sequence[Value]:
        for one in finds:
            if values := one(at):
                return values
        return ()

    return find


def _composite(finds: Sequence[Find]) -> Find:
    def find(at: Instance) -> Sequence[Value]:
        found = [one(at) for one in finds]
        if not any(found):
            return ()
        texts = tuple(values[0].text if values else "" for values in found)
        place = next(values[0].place for values in found if values)
        return (Value(texts[0], place, texts),)

    return find


def _reference(made: Made) -> dict[str, str]:
    node: dict[str, str] = orjson.loads(made.reference)
    return node


def _nearest(name: str) -> Find:
    def find(at: Instance) -> Sequence[Value]:
        built = at.run.built
        scope: Scope | None = at.scope
        while scope is not None:
            # What hangs on a neighbour, below the message itself, belongs to the neighbour alone.
            here = scope.parent is not None or scope is at.scope
            for made in built.get((name if here else f"={name}", id(scope)), ()):
                if made.held:
                    at.issue("note", "reference-held")
                    return ()
                return (Value("", at.scope.place, (), node=_reference(made)),)
            scope = scope.parent
        return ()

    return find


def _all_below(name: str) -> Find:
    def find(at: Instance) -> Sequence[Value]:
        found = at.run.built.get((name, id(at.scope)), ())
        return _references(found)

    return find


def _everything(at: Instance) -> Sequence[Value]:
    return _references(at.run.built.get(("", 0), ()))


def _references(found: Iterable[Made]) -> Sequence[Value]:
    """One reference to each resource: the same one may have been built in several scopes."""
    kept = {made.id: made for made in found if not made.held}
    return [Value("", "", (), node=_reference(made)) for made in kept.values()]


def _evaluator(
    getter: Getter | None, find: Find | None, applies: Sequence[Apply], many: bool, empty: bool
) -> Callable[[Instance], Any]:
    """One closure for a rule's right-hand side. `getter` reads the scope directly, the frequent case.

    An explicit null counts as no value, and the instance remembers it. Functions run only with
    values, but for those that say `empty`.
    """
    if getter is None:
        assert find is not None
        found = find
    else:
        direct = getter

        def found(at: Instance) -> Sequence[Value]:
            return direct(at.scope)

    if len(applies) == 1 and getter is not None:
        apply, read = applies[0], getter

        def applied(at: Instance) -> Any:
            values = read(at.scope)
            if values and values[0].null:
                at.nulled = True
                values = ()
            return apply(values, at) if values or empty else None

        return applied

    def evaluate(at: Instance) -> Any:
        values = found(at)
        if values and values[0].null:
            at.nulled = True
            values = ()
        if not values and not empty:
            return None
        if not applies:
            nodes = [value.text if value.node is None else value.node for value in values]
            return nodes if many else nodes[0]
        node: Any = None
        for one in applies:
            node = one(values, at)
            if node is None:
                return None
            place = values[0].place if values else at.scope.place
            values = [plain(node, place)] if isinstance(node, str) else values
        return node

    return evaluate
