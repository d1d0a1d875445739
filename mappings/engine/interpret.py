"""Runs the rules of a map over one letter: blocks, scopes, references, holds, and the finished resources.

A map is bound once to closures (`bind`); `interpret` then only calls them. Rules fail alone: an
exception inside one rule becomes a ``rule-failed`` issue at its place, and only ``must`` holds back the
resource, together with those that reach it through a ``must`` reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from mappings.engine import elements, times
from mappings.engine.functions import FUNCTIONS, Apply, Bound, Setup
from mappings.engine.identity import mothers_number
from mappings.engine.model import (
    Finding,
    Identifier,
    Ids,
    Issue,
    LocalId,
    Mapped,
    Message,
    Severity,
)
from mappings.engine.reader import AddressFault, Dialect, Letter, Scope, Source, Value, plain
from mappings.engine.rules import Atom, Block, Call, Expression, Line, Rule, RuleFile

FACTS = ("origin", "release", "digest", "kind", "org", "org_name", "sent", "event")
_REFUSED_KEYS = re.compile(r"(?:OBX-1|OBR-1|PID-1|DG1-1|MSH-7|MSH-10|EVN-\d+)(?:\.\d+)?$")

Find = Callable[["Instance"], Sequence[Value]]


class Run:
    """One letter being mapped: what its blocks have made so far."""

    __slots__ = (
        "built", "facts", "identifiers", "ids", "issues", "letter", "local", "patient", "sent_us",
        "source", "taken",
    )  # fmt: skip

    def __init__(self, letter: Letter, ids: Ids, source: Source, facts: dict[str, str]) -> None:
        self.letter, self.ids, self.source, self.facts = letter, ids, source, facts
        self.issues: list[Issue] = []
        # (block or type, identity of a scope) -> references of what was built there or below.
        self.built: dict[tuple[str, int], list[_Made]] = {}
        self.taken: dict[str, bytes] = {}
        self.local: list[LocalId] = []
        self.identifiers: list[Identifier] = []
        self.patient: LocalId | None = None
        moment = times.read(letter.sent, source.zone) if letter.sent else None
        self.sent_us = moment.us if isinstance(moment, times.Moment) else None


class _Made(msgspec.Struct, frozen=True):
    scope: int
    type: str
    id: str
    held: bool


class Instance:
    """One block evaluated in one scope; what a function may see and say while it runs."""

    __slots__ = (
        "block",
        "body",
        "held",
        "line",
        "mode",
        "nulled",
        "nulls",
        "offered",
        "run",
        "scope",
        "skipped",
    )

    def __init__(self, block: BoundBlock, scope: Scope, run: Run) -> None:
        self.block, self.scope, self.run = block, scope, run
        self.body: dict[str, Any] = {}
        self.offered: dict[str, Any] = {}
        self.nulls: list[str] = []
        self.mode = block.mode
        self.held = False
        self.skipped = False
        self.nulled = False
        self.line = ""

    def issue(self, severity: Severity, code: str, place: object = None) -> None:
        """Say that something was not understood; the place is the scope's unless given."""
        where = str(self.scope.place if place is None else place)
        self.run.issues.append(Issue(severity, code, where, self.line))
        if severity == "hold":
            self.held = True

    def offer(self, element: str, node: Any) -> None:
        """Give another element of the same resource; a rule for that element wins over the offer."""
        if element in self.offered and isinstance(node, list):
            self.offered[element] = [*self.offered[element], *node]
        else:
            self.offered[element] = node

    def identify(self, space: str, value: str, usable: bool) -> None:
        """Note an identifier of the message's patient."""
        if self.block.type != "Patient":
            return
        source = self.run.source
        if usable:
            found = Identifier(source.system_of(space), value)
            if found not in self.run.identifiers:
                self.run.identifiers.append(found)
        if space in self.block.spaces:
            self.run.local.append(LocalId(space, value))


class BoundRule(msgspec.Struct, frozen=True):
    """A rule ready to run: find the values, apply the functions, set the element."""

    path: str
    element: str
    evaluate: Callable[[Instance], Any]
    put: Callable[[dict[str, Any], Any, Instance], None]
    must: bool
    whole: bool
    line: str
    address: str


class BoundBlock(msgspec.Struct, frozen=True):
    """A block ready to run. `spaces` are the number spaces a chart may hang on, best first."""

    name: str
    type: str
    each: str
    mode: Any
    space: str
    spaces: tuple[str, ...]
    key: tuple[BoundRule, ...]
    clock: BoundRule | None
    when: BoundRule | None
    rules: tuple[BoundRule, ...]
    line: str


# --- binding ---------------------------------------------------------------------------------------


class _Binder:
    def __init__(self, file: RuleFile, dialect: Dialect, setup: Setup) -> None:
        self.file, self.dialect, self.setup = file, dialect, setup
        self.findings: list[Finding] = []
        self.order = list(file.blocks)

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
        )

    def rule(self, rule: Rule, block: Block, type_: str) -> BoundRule:
        """`type_` is empty for key, clock and when, which have no target element."""
        element = re.split(r"[.(\[]", rule.path, maxsplit=1)[0]
        put: Callable[[dict[str, Any], Any, Instance], None] = _nowhere
        if type_:
            try:
                put = elements.putter(type_, rule.path, self.setup.source)
            except elements.PathFault as fault:
                self.find(rule.line, fault.zh, fault.en)
        first = rule.expression.alternatives[0][0]
        return BoundRule(
            path=rule.path,
            element=element,
            evaluate=self.expression(rule.expression, rule.line, block),
            put=put,
            must=rule.expression.must,
            whole=rule.path == element or "(" in rule.path,
            line=str(rule.line),
            address=first.text if first.kind == "address" else rule.path,
        )

    def expression(
        self, expression: Expression, line: Line, block: Block
    ) -> Callable[[Instance], Any]:
        finds = [self.option(option, line, block) for option in expression.alternatives]
        find = finds[0] if len(finds) == 1 else _first_of(finds)
        many = any("[*]" in atom.text for option in expression.alternatives for atom in option)
        applies = [self.call(call, line, block) for call in expression.calls]
        return _evaluator(find, [apply for apply in applies if apply is not None], many)

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
        try:
            getter = self.dialect.address(atom.text, self.setup.source)
        except AddressFault as fault:
            self.find(line, fault.zh, fault.en, atom.column + fault.offset)
            return _nothing
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
        bound = Bound(pairs=dict(call.pairs))
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
        return _with_empty(function.make(self.setup, bound), function.empty)

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
            bound.sources[name] = finds[0] if len(finds) == 1 else _first_of(finds)
        else:
            known = ", ".join((*function.order, *function.sources))
            self.find(
                line,
                f"{call.name} 没有参数 {name}；可用：{known}",
                f"{call.name} has no argument {name}; known are: {known}",
                call.column,
            )


def bind(
    file: RuleFile, dialect: Dialect, setup: Setup
) -> tuple[tuple[BoundBlock, ...], list[Finding]]:
    """Turn a merged rule file into blocks of closures, with everything that is wrong in it."""
    binder = _Binder(file, dialect, setup)
    return binder.bind(), binder.findings


def _nowhere(body: dict[str, Any], node: Any, at: Instance) -> None:
    """Target of key, clock and when."""


def _nothing(at: Instance) -> Sequence[Value]:
    return ()


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


def _reference(made: _Made) -> dict[str, str]:
    return {"reference": f"{made.type}/{made.id}"}


def _nearest(name: str) -> Find:
    def find(at: Instance) -> Sequence[Value]:
        built = at.run.built
        scope: Scope | None = at.scope
        while scope is not None:
            for made in built.get((name, id(scope)), ()):
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
        return [Value("", "", (), node=_reference(made)) for made in found if not made.held]

    return find


def _everything(at: Instance) -> Sequence[Value]:
    found = at.run.built.get(("", 0), ())
    return [Value("", "", (), node=_reference(made)) for made in found if not made.held]


def _with_empty(apply: Apply, empty: bool) -> Apply:
    if empty:
        return apply

    def only_values(values: Sequence[Value], at: Instance) -> Any:
        return apply(values, at) if values else None

    return only_values


def _present(find: Find, at: Instance) -> Sequence[Value]:
    """The values, or none when the sender wrote an explicit null; the instance remembers that."""
    values = find(at)
    if values and values[0].null:
        at.nulled = True
        return ()
    return values


def _evaluator(find: Find, applies: Sequence[Apply], many: bool) -> Callable[[Instance], Any]:
    if not applies:

        def plainly(at: Instance) -> Any:
            values = _present(find, at)
            if not values:
                return None
            if many:
                return [value.text if value.node is None else value.node for value in values]
            first = values[0]
            return first.text if first.node is None else first.node

        return plainly
    if len(applies) == 1:
        apply = applies[0]
        return lambda at: apply(_present(find, at), at)

    def chained(at: Instance) -> Any:
        values = _present(find, at)
        node: Any = None
        for one in applies:
            node = one(values, at)
            if node is None:
                return None
            place = values[0].place if values else at.scope.place
            values = [plain(node, place)] if isinstance(node, str) else values
        return node

    return chained


# --- running ---------------------------------------------------------------------------------------


def interpret(
    blocks: Sequence[BoundBlock], letter: Letter, ids: Ids, source: Source, facts: Mapping[str, str]
) -> Message:
    """Map one letter. Same letter, same map, same ids: same bytes."""
    own = {**facts, "digest": letter.digest, "kind": letter.kind, "sent": letter.sent}
    own["event"] = letter.kind.partition("^")[2]
    run = Run(letter, ids, source, own)
    run.issues.extend(letter.issues)
    resources: list[Mapped] = []
    if not any(issue.severity == "stop" for issue in letter.issues):
        for block in blocks:
            scopes = [letter.root] if block.each == "message" else letter.root.children(block.each)
            for scope in scopes:
                mapped = _build(block, scope, run)
                if mapped is not None:
                    resources.append(mapped)
            if block.type == "Patient" and run.patient is None:
                break  # Without a chart nothing can be filed; one issue says it once.
    moment = times.read(letter.sent, source.zone) if letter.sent else None
    return Message(
        control_id=letter.control_id,
        kind=letter.kind,
        patient=run.patient,
        identifiers=tuple(run.identifiers),
        resources=tuple(resources) if run.patient is not None else (),
        issues=tuple(run.issues),
        sender=letter.sender,
        timestamp=moment.text if isinstance(moment, times.Moment) else "",
    )


def _evaluate(rule: BoundRule, at: Instance) -> Any:
    at.line = rule.line
    at.nulled = False
    try:
        return rule.evaluate(at)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        # A rule fails alone. The exception text may hold the value, so only the place is told.
        at.issue("drop", "rule-failed", at.scope.locate(rule.address))
        return None


def _build(block: BoundBlock, scope: Scope, run: Run) -> Mapped | None:
    at = Instance(block, scope, run)
    if block.when is not None and _evaluate(block.when, at) is None:
        return None
    for rule in block.rules:
        node = _evaluate(rule, at)
        if at.skipped:
            return None
        if node is None:
            if rule.must:
                at.issue("hold", "must-missing", scope.locate(rule.address))
            elif at.nulled and rule.whole and at.mode == "patch":
                at.nulls.append(rule.element)
        else:
            rule.put(at.body, node, at)
    elements.settle(at.body, at.offered, at)
    if block.type == "Patient":
        key, space = _patient_key(at)
    else:
        space = block.space
        key = _key(block, at)
    if key is None or at.held or not at.body:
        if key is not None and not at.held:
            at.issue("note", "nothing-mapped")
        _remember(run, block, scope, "", held=True)
        return None
    clock = _clock(block, at)
    id_ = run.ids(space, block.type, key)
    tail = orjson.dumps(at.body)[1:]
    ordinal = 1
    while id_ in run.taken:
        if run.taken[id_] == tail:
            _remember(run, block, scope, id_, held=False)
            return None
        ordinal += 1
        if ordinal == 2:
            at.line = block.line
            at.issue("note", "key-collision")
        id_ = run.ids(space, block.type, (*key, f"#{ordinal}"))
    if ordinal > 1:
        key = (*key, f"#{ordinal}")
    run.taken[id_] = tail
    _remember(run, block, scope, id_, held=False)
    return Mapped(
        type=block.type,
        id=id_,
        key=key,
        head=b'{"resourceType":"%s","id":"%s",' % (block.type.encode(), id_.encode()),
        tail=tail,
        clock=clock,
        mode=at.mode,
        deletes=tuple(name for name in dict.fromkeys(at.nulls) if name not in at.body),
        place=str(scope.place),
    )


def _remember(run: Run, block: BoundBlock, scope: Scope, id_: str, *, held: bool) -> None:
    made = _Made(id(scope), block.type, id_, held)
    names = {block.name, block.type}
    upward: Scope | None = scope
    while upward is not None:
        for name in names:
            run.built.setdefault((name, id(upward)), []).append(made)
        upward = upward.parent
    run.built.setdefault(("", 0), []).append(made)


def _key(block: BoundBlock, at: Instance) -> tuple[str, ...] | None:
    parts: list[str] = []
    for rule in block.key:
        text = _evaluate(rule, at)
        if not isinstance(text, str):
            at.issue("hold", "key-missing", at.scope.locate(rule.address))
            return None
        parts.append(text)
    return tuple(parts)


def _patient_key(at: Instance) -> tuple[tuple[str, ...] | None, str]:
    """The chart hangs on the best declared local number the message holds."""
    run = at.run
    for space in at.block.spaces:
        for local in run.local:
            if local.space == space:
                run.patient = local
                _detach_newborn(at)
                return (local.number,), space
    at.line = at.block.line
    at.issue("hold", "no-local-id")
    return None, ""


def _detach_newborn(at: Instance) -> None:
    """A child under its mother's number must never be linked to the mother."""
    source = at.run.source
    system = source.system_of("resident-id")
    names = at.body.get("name") or [{}]
    name, birth = str(names[0].get("text", "")), str(at.body.get("birthDate", ""))
    gender = at.body.get("gender", "")
    for node in at.body.get("identifier", ()):
        if node.get("system") != system or node.get("use") == "secondary":
            continue
        number = node["value"]
        if mothers_number(number, name, birth):
            elements.not_for_linking(node, "newborn-mothers-number", source)
            found = Identifier(system, number)
            at.run.identifiers = [known for known in at.run.identifiers if known != found]
            at.issue("note", "newborn-mothers-number", at.scope.place)
            continue
        for code in elements.contradictions(number, birth, gender):
            at.issue("note", code, at.scope.place)


def _clock(block: BoundBlock, at: Instance) -> int | None:
    if block.clock is None:
        return at.run.sent_us
    text = _evaluate(block.clock, at)
    if isinstance(text, str):
        moment = times.read(text, at.run.source.zone)
        if isinstance(moment, times.Moment):
            return moment.us
    at.issue("note", "clock-missing", at.scope.locate(block.clock.address))
    return None
