"""Says where every element of a delivery's resources comes from, which rules stayed silent and why, and what nothing read.

Maps are deterministic, so nothing of this is stored: the received bytes and the release give it again.
The interpreter runs over rules that are bound anew with a `_Trace` around each address, function and table.
Texts and answers in here are patient data: for the caller's eyes, never for a log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import orjson

from mappings.engine import binding, interpret
from mappings.engine.bound import Apply, BoundBlock, BoundRule, Setup
from mappings.engine.elements import Choice
from mappings.engine.interpret import EXPECTED, Instance
from mappings.engine.model import Ids, Issue, Mapped, Message
from mappings.engine.reader import Dialect, Getter, Inventory, Letter, Value
from mappings.engine.rules import Block, Call
from mappings.engine.tables import Row, Table

if TYPE_CHECKING:
    from mappings.engine.release import Map, Part

Why = Literal["empty", "null", "failed", "nothing"]
"""empty: no source held a value; null: the sender said ``""``; failed: the rule raised; nothing: its
function made nothing of the value, or the element refused it."""

Outcome = Literal["made", "held", "absent", "repeated"]
"""held: a ``must`` kept it back; absent: its ``when`` was empty; repeated: the same resource was made before."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value a rule read: its address in the map, its place in the delivery, its text as received."""

    address: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A table that was asked. `line` is ``file:line`` of the row, empty for pairs written in the map or no row."""

    table: str
    code: str
    known: bool
    line: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One function of a rule's chain, what it answered (JSON text, empty for nothing) and where it looked."""

    function: str
    answer: str
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a resource. `path` is in the resource (``valueQuantity``), `rule` as the map has it (``value[x]``).

    `text` is the rule as written, `line` its ``file:line``; `value` is JSON text. `offered` says that the
    element was given beside the rule's own (a flag inside a result text).
    """

    path: str
    rule: str
    text: str
    line: str
    value: str
    sources: tuple[Found, ...] = ()
    steps: tuple[Step, ...] = ()
    issues: tuple[Issue, ...] = ()
    offered: bool = False


@dataclass(frozen=True, slots=True)
class Silent:
    """A rule that gave nothing, why, and the addresses it looked at."""

    rule: str
    text: str
    line: str
    why: Why
    addresses: tuple[str, ...] = ()
    sources: tuple[Found, ...] = ()
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One block in one place of the message: what became of it and how."""

    block: str
    type: str
    place: str
    outcome: Outcome
    mapped: Mapped | None
    elements: tuple[Element, ...]
    silent: tuple[Silent, ...]
    key: tuple[Element, ...] = ()
    clock: Element | None = None

    @property
    def id(self) -> str:
        return self.mapped.id if self.mapped is not None else ""

    def at(self, path: str) -> tuple[Element, ...]:
        """The elements that make up a path: itself, what lies in it, and what it lies in."""
        return tuple(one for one in self.elements if _related(one.path, path))


@dataclass(frozen=True, slots=True)
class Unread:
    """A field or column that held something no rule read: ``OBX-17``, how often, and where it first stood."""

    address: str
    count: int
    place: str = ""


@dataclass(frozen=True, slots=True)
class ExplainedMessage:
    """One message: what `Map.read` says of it, and how it came to that."""

    message: Message
    resources: tuple[Resource, ...]
    unread: tuple[Unread, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """A whole delivery under one release of a map."""

    release: str
    messages: tuple[ExplainedMessage, ...]
    issues: tuple[Issue, ...] = ()

    def resource(self, id: str) -> Resource | None:
        """The resource of that id, if this delivery makes it."""
        return next((one for said in self.messages for one in said.resources if one.id == id), None)


def explain(site: Map, raw: bytes, ids: Ids, origin: str = "") -> Explained:
    """Read a delivery as `Map.read` does, and tell how. A stop is told as there.

    FHIR that passes through has no rules for its elements; its resources list what was changed.
    """
    dialect = site.dialect
    if dialect is None:
        reading = site.read(raw, ids, origin)
        return Explained(
            site.release,
            tuple(
                ExplainedMessage(said, tuple(_passed(one) for one in said.resources), ())
                for said in reading.messages
            ),
            reading.issues,
        )
    letters, issues = site.letters(raw)
    return Explained(
        site.release,
        tuple(_letter(site, dialect, letter, ids, origin) for letter in letters),
        tuple(issues),
    )


def _passed(one: Mapped) -> Resource:
    edits = tuple(
        Element(edit.path, edit.path, edit.reason, "", edit.inserted.decode("utf-8", "replace"))
        for edit in one.edits
    )
    return Resource(one.block or one.type, one.type, one.place, "made", one, edits, ())


def _letter(site: Map, dialect: Dialect, letter: Letter, ids: Ids, origin: str) -> ExplainedMessage:
    part = site.part(letter)
    if part is None:
        return ExplainedMessage(site.map_letter(letter, ids, origin), (), ())
    letter, dialect = part.opened(letter), part.dialect or dialect
    trace = _Trace(part)
    blocks = trace.bind(dialect, site)
    message = interpret.interpret(blocks, letter, ids, site.source, site.facts(origin))
    resources = tuple(trace.resources())
    return ExplainedMessage(message, resources, _unread(site, dialect, letter, trace))


def _unread(site: Map, dialect: Dialect, letter: Letter, trace: _Trace) -> tuple[Unread, ...]:
    if letter.root is None or not isinstance(dialect, Inventory):
        return ()
    read = {dialect.whole(value.place) for value in trace.values}
    counts: dict[str, int] = {}
    places: dict[str, str] = {}
    for address, place in dialect.filled(letter.root, site.source):
        if place not in read:
            counts[address] = counts.get(address, 0) + 1
            places.setdefault(address, place)
    return tuple(Unread(address, count, places[address]) for address, count in counts.items())


# --- watching ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Evaluation:
    """One rule evaluated once."""

    sources: list[Found] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    issues: tuple[Issue, ...] = ()
    offers: dict[str, Any] = field(default_factory=dict)
    node: Any = None
    nulled: bool = False
    failed: bool = False


@dataclass(slots=True)
class _Watched:
    """One instance while the interpreter runs it; `at` is kept so that its identity stays its own."""

    at: Instance
    rules: dict[tuple[str, int], _Evaluation] = field(default_factory=dict)
    puts: dict[int, tuple[str, Any]] = field(default_factory=dict)


class _WatchedDialect:
    """A dialect whose getters tell what they found."""

    def __init__(self, inner: Dialect, trace: _Trace) -> None:
        self._inner, self._trace = inner, trace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def address(self, text: str, source: Any) -> Getter:
        return self._trace.getter(text, self._inner.address(text, source))


class _WatchedTable(Table):
    """A table that tells which row it answered with."""

    __slots__ = ("_inner", "_trace")

    def __init__(self, inner: Table, trace: _Trace) -> None:
        super().__init__(inner.name, inner.system, {})
        self._inner, self._trace = inner, trace
        self.by_unit = inner.by_unit

    def get(self, code: str, specimen: str = "", kind: str = "") -> Row | None:
        row = self._inner.get(code, specimen, kind)
        line = self._inner.where(code, specimen, kind) if row is not None else ""
        self._trace.looked(Looked(self.name, code, row is not None, line))
        return row

    def __len__(self) -> int:
        return len(self._inner)


class _Trace:
    """Collects what the interpreter does with one letter."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.values: list[Value] = []
        self.instances: dict[int, _Watched] = {}
        # Rules that are the same for all siblings are evaluated at the first of them.
        self.siblings: dict[tuple[str, int, int], _Evaluation] = {}
        self.open: _Evaluation | None = None

    def bind(self, dialect: Dialect, site: Map) -> tuple[BoundBlock, ...]:
        tables: Mapping[str, Table] = {
            name: _WatchedTable(table, self) for name, table in self.part.tables.items()
        }
        watched: Any = _WatchedDialect(dialect, self)
        setup = Setup(site.source, tables)
        blocks, _ = binding.bind(self.part.file, watched, setup, self.call)
        return tuple(self.block(block) for block in blocks)

    def block(self, block: BoundBlock) -> BoundBlock:
        def all_of(role: str, rules: Sequence[BoundRule]) -> tuple[BoundRule, ...]:
            return tuple(self.rule(block, role, n, rule) for n, rule in enumerate(rules))

        return msgspec.structs.replace(
            block,
            rules=all_of("rule", block.rules),
            key=all_of("key", block.key),
            clock=self.rule(block, "clock", 0, block.clock) if block.clock else None,
            when=self.rule(block, "when", 0, block.when) if block.when else None,
        )

    def getter(self, address: str, inner: Getter) -> Getter:
        def get(scope: Any) -> Sequence[Value]:
            values = inner(scope)
            self.values.extend(values)
            if self.open is not None:
                self.open.addresses.append(address)
                self.open.sources += [
                    Found(address, str(value.place), value.whole) for value in values
                ]
            return values

        return get

    def call(self, call: Call, inner: Apply) -> Apply:
        def apply(values: Sequence[Value], at: Instance) -> Any:
            node = inner(values, at)
            if self.open is not None:
                self.open.steps.append(Step(call.name, _json(node), tuple(self.open.looked)))
                self.open.looked.clear()
            return node

        return apply

    def looked(self, looked: Looked) -> None:
        if self.open is not None:
            self.open.looked.append(looked)

    def instance(self, at: Instance) -> _Watched:
        return self.instances.setdefault(id(at), _Watched(at))

    def rule(self, block: BoundBlock, role: str, number: int, rule: BoundRule) -> BoundRule:
        def evaluate(at: Instance) -> Any:
            self.open = one = _Evaluation()
            self.instance(at).rules[role, number] = one
            if rule.shared and role == "rule":
                self.siblings[block.name, number, id(at.scope.parent)] = one
            issues, offered = len(at.run.issues), dict(at.offered)
            try:
                one.node = rule.evaluate(at)
            except EXPECTED:
                one.failed = True
                raise
            finally:
                self.open = None
                one.nulled = at.nulled
                one.issues = tuple(at.run.issues[issues:])
                one.offers = {
                    name: node for name, node in at.offered.items() if offered.get(name) is not node
                }
            return one.node

        def put(body: dict[str, Any], node: Any, at: Instance) -> None:
            before = dict(body)
            rule.put(body, node, at)
            changed = [name for name in body if body[name] is not before.get(name)]
            if changed:
                path = _placed(rule, changed[0], before.get(changed[0]))
                self.instance(at).puts[number] = (path, node)

        return msgspec.structs.replace(rule, evaluate=evaluate, put=put)

    def resources(self) -> Iterator[Resource]:
        for watched in self.instances.values():
            at = watched.at
            source = self.part.file.blocks[at.block.name]
            elements: list[Element] = []
            silent: list[Silent] = []
            for number, rule in enumerate(at.block.rules):
                one = watched.rules.get(("rule", number)) or self.siblings.get(
                    (at.block.name, number, id(at.scope.parent))
                )
                if one is None:
                    continue  # A `when` or a status that wants no resource ended it before.
                text = source.rules[rule.path].text
                if number in watched.puts:
                    path, node = watched.puts[number]
                    elements.append(_element(path, rule, text, one, node))
                else:
                    silent.append(_silent(rule, text, one))
                written = {path for path, _ in watched.puts.values()}
                for name, node in one.offers.items():
                    if at.made is not None and _taken(name, written, at):
                        offered = _element(name, rule, text, one, node)
                        elements.append(replace(offered, offered=True))
            yield Resource(
                block=at.block.name,
                type=at.block.type,
                place=str(at.scope.place),
                outcome=_outcome(watched),
                mapped=at.made,
                elements=tuple(elements),
                silent=tuple(silent),
                key=tuple(_keys(watched, source)),
                clock=_clock(watched, source),
            )


def _outcome(watched: _Watched) -> Outcome:
    at = watched.at
    if at.made is not None:
        return "made"
    when = watched.rules.get(("when", 0))
    if at.skipped or (when is not None and when.node is None):
        return "absent"
    return "held" if at.held or not at.body else "repeated"


def _keys(watched: _Watched, source: Block) -> Iterator[Element]:
    for number, rule in enumerate(watched.at.block.key):
        one = watched.rules.get(("key", number))
        if one is not None and one.node is not None:
            text = source.key[number].text if source.key else ""
            yield _element("id", rule, text, one, one.node)


def _clock(watched: _Watched, source: Block) -> Element | None:
    rule, one = watched.at.block.clock, watched.rules.get(("clock", 0))
    if rule is None or one is None or one.node is None or source.clock is None:
        return None
    return _element("clock", rule, source.clock.text, one, one.node)


def _element(path: str, rule: BoundRule, text: str, one: _Evaluation, node: Any) -> Element:
    return Element(
        path=path,
        rule=rule.path,
        text=text,
        line=rule.line,
        value=_json(node),
        sources=tuple(one.sources),
        steps=tuple(one.steps),
        issues=one.issues,
    )


def _silent(rule: BoundRule, text: str, one: _Evaluation) -> Silent:
    why: Why
    if one.failed:
        why = "failed"
    elif one.nulled:
        why = "null"
    else:
        why = "nothing" if one.sources or one.node is not None else "empty"
    return Silent(
        rule=rule.path,
        text=text,
        line=rule.line,
        why=why,
        addresses=tuple(dict.fromkeys(one.addresses)),
        sources=tuple(one.sources),
        issues=one.issues,
    )


def _placed(rule: BoundRule, name: str, before: Any) -> str:
    """The path in the resource: ``identifier[1]`` for the second, ``valueQuantity`` for ``value[x]``."""
    if rule.path.endswith("[x]"):
        return name
    if "(" in rule.path:
        return f"{name}[{len(before) if isinstance(before, list) else 0}]"
    return rule.path


def _taken(element: str, written: set[str], at: Instance) -> bool:
    """Whether an offered element stands in the resource: rules win, lists of extensions add up."""
    own = any(path.partition("[")[0] == element for path in written)
    return element in at.body and (not own or element in ("extension", "note"))


def _related(path: str, asked: str) -> bool:
    return path == asked or _inside(path, asked) or _inside(asked, path)


def _inside(inner: str, outer: str) -> bool:
    return inner.startswith(outer) and inner[len(outer) : len(outer) + 1] in (".", "[")


def _json(node: Any) -> str:
    if node is None:
        return ""
    return orjson.dumps(node.node if isinstance(node, Choice) else node).decode()


__all__ = [
    "Element",
    "Explained",
    "ExplainedMessage",
    "Found",
    "Looked",
    "Outcome",
    "Resource",
    "Silent",
    "Step",
    "Unread",
    "Why",
    "explain",
]
