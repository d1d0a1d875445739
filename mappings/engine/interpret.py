"""Runs the rules of a map over one letter: blocks, scopes, references, holds, and the finished resources.

A map is bound once to closures (`binding`); `interpret` then only calls them. Rules fail alone: an
exception inside one rule becomes a ``rule-failed`` issue at its place, and only ``must`` holds back the
resource, together with those that reach it through a ``must`` reference.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import orjson

from mappings.engine import elements, times
from mappings.engine.bound import BoundBlock, BoundRule
from mappings.engine.identity import mothers_number
from mappings.engine.model import (
    Identifier,
    Ids,
    Issue,
    LocalId,
    Mapped,
    Merge,
    Message,
    Severity,
    Unmapped,
)
from mappings.engine.reader import Letter, Scope, Source

_NEVER = 2**63


class Run:
    """One letter being mapped: what its blocks have made so far."""

    __slots__ = (
        "built", "facts", "form", "identifiers", "ids", "issues", "joined", "latest", "letter", "limit", "local",
        "memos", "patient", "sent_us", "shared", "source", "taken", "unmapped",
    )  # fmt: skip

    def __init__(self, letter: Letter, ids: Ids, source: Source, facts: dict[str, str]) -> None:
        self.letter, self.ids, self.source, self.facts = letter, ids, source, facts
        self.issues: list[Issue] = []
        # (block or type, identity of a scope) -> references of what was built there or below.
        self.built: dict[tuple[str, int], list[Made]] = {}
        self.taken: dict[str, bytes] = {}
        # Answers of rules that are the same for all siblings, by rule and parent scope.
        self.shared: dict[tuple[int, int], Any] = {}
        self.local: list[LocalId] = []
        self.identifiers: list[Identifier] = []
        self.patient: LocalId | None = None
        self.unmapped: list[Unmapped] = []
        # Numbers the sender says the letter's patient is one person with; True: not after all.
        # For generated code: the latest time that was compared with the message's own, how raw
        # texts are read here, and what is remembered of them.
        self.latest = 0
        self.form: Hashable = None
        self.memos: Sequence[Sequence[dict[Any, Any]]] = ()
        self.joined: list[tuple[LocalId, bool]] = []
        moment = times.read(letter.sent, source.zone) if letter.sent else None
        self.sent_us = moment.us if isinstance(moment, times.Moment) else None
        self.limit = _NEVER if self.sent_us is None else self.sent_us + times.DAY_US


class Made(msgspec.Struct, frozen=True, gc=False):
    """A resource that was built, or held, in a scope; what references find."""

    id: str
    held: bool
    reference: bytes


class Instance:
    """One block evaluated in one scope; what a function may see and say while it runs."""

    __slots__ = (
        "block", "body", "fills", "held", "made", "mode", "nulled", "nulls", "offered", "rare", "rule",
        "run", "scope", "skipped",
    )  # fmt: skip

    def __init__(self, block: BoundBlock, scope: Scope, run: Run) -> None:
        self.block, self.scope, self.run = block, scope, run
        self.body: dict[str, Any] = {}
        self.offered: dict[str, Any] = {}
        self.nulls: list[str] = []
        self.fills: list[str] = []
        self.mode = block.mode
        self.held = False
        self.skipped = False
        self.nulled = False
        # Whether a function asked for what it seldom needs.
        self.rare = False
        self.rule: BoundRule | None = None
        # What became of it; for those who watch (`explain`).
        self.made: Mapped | None = None

    def issue(self, severity: Severity, code: str, place: object = None) -> None:
        """Say that something was not understood; the place is the scope's unless given."""
        where = str(self.scope.place if place is None else place)
        self.run.issues.append(
            Issue(severity, code, where, self.rule.line if self.rule else self.block.line)
        )
        if severity == "hold":
            self.held = True

    def unmapped(
        self, table: str, code: str, name: str = "", specimen: str = "", unit: str = ""
    ) -> None:
        """Note a code or unit that no table knows, as sent, for the queue of unmapped codes."""
        if code:
            self.run.unmapped.append(Unmapped(table, code, name, specimen, unit))

    def in_future(self, us: int) -> bool:
        """Whether a time lies more than a day after the message's own."""
        run = self.run
        run.latest = max(run.latest, us)
        return us > run.limit

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


class Program(Protocol):
    """Generated functions for some of the blocks of a map (`compile`)."""

    @property
    def builds(
        self,
    ) -> Sequence[Callable[[Run, Iterable[Scope], Callable[[Mapped], None]], None] | None]: ...

    def enter(self, run: Run) -> None: ...


def interpret(
    blocks: Sequence[BoundBlock],
    letter: Letter,
    ids: Ids,
    source: Source,
    facts: Mapping[str, str],
    program: Program | None = None,
) -> Message:
    """Map one letter, with the generated functions where there are some. Same letter, same map, same ids: same bytes."""
    own = {**facts, "digest": letter.digest, "kind": letter.kind, "sent": letter.sent}
    own["event"] = letter.kind.partition("^")[2]
    run = Run(letter, ids, source, own)
    run.issues.extend(letter.issues)
    resources: list[Mapped] = []
    if not any(issue.severity == "stop" for issue in letter.issues):
        builds = (None,) * len(blocks) if program is None else program.builds
        if program is not None:
            program.enter(run)
        for block, fast in zip(blocks, builds, strict=True):
            scopes = [letter.root] if block.each == "message" else letter.root.children(block.each)
            if fast is not None:
                fast(run, scopes, resources.append)
            else:
                resources += [
                    made for scope in scopes if (made := build(block, scope, run)) is not None
                ]
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
        unmapped=tuple(dict.fromkeys(run.unmapped)),
        merges=_merges(run),
    )


def _merges(run: Run) -> tuple[Merge, ...]:
    """What was said of the letter's patient and other numbers, with the letter's own as the one gone."""
    if run.patient is None:
        return ()
    return tuple(Merge(kept, run.patient, undone) for kept, undone in dict.fromkeys(run.joined))


EXPECTED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def _evaluate(rule: BoundRule, at: Instance) -> Any:
    at.rule = rule
    at.nulled = False
    try:
        return rule.evaluate(at)
    except EXPECTED:
        at.issue("drop", "rule-failed", at.scope.locate(rule.address))
        return None


def _once_for_siblings(rule: BoundRule, at: Instance) -> Any:
    key = (id(rule), id(at.scope.parent))
    shared = at.run.shared
    if key not in shared:
        shared[key] = (rule.evaluate(at), at.nulled)
    node, at.nulled = shared[key]
    return node


def build(block: BoundBlock, scope: Scope, run: Run) -> Mapped | None:
    """Run one block in one scope, rule by rule."""
    at = Instance(block, scope, run)
    if block.when is not None and _evaluate(block.when, at) is None:
        return None
    mask = 0
    for number, rule in enumerate(block.rules):
        at.rule = rule
        at.nulled = False
        try:
            node = _once_for_siblings(rule, at) if rule.shared else rule.evaluate(at)
        except EXPECTED:
            # A rule fails alone. The exception text may hold the value, so only the place is told.
            at.issue("drop", "rule-failed", scope.locate(rule.address))
            node = None
        if at.skipped:
            return None
        if node is None:
            if rule.must:
                at.issue("hold", "must-missing", scope.locate(rule.address))
            elif at.nulled and at.mode == "patch":
                if rule.whole:
                    at.nulls.append(rule.element)
                elif rule.element in elements.JOINED:
                    at.nulls.append(rule.path)
        else:
            mask |= 1 << number
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
        remember(run, block, scope, "", held=True)
        return None
    clock = _clock(block, at)
    id_ = run.ids(space, block.type, key)
    tail = orjson.dumps(at.body)[1:]
    ordinal = 1
    while id_ in run.taken:
        if run.taken[id_] == tail:
            remember(run, block, scope, id_, held=False)
            return None
        ordinal += 1
        if ordinal == 2:
            at.rule = None
            at.issue("note", "key-collision")
        id_ = run.ids(space, block.type, (*key, f"#{ordinal}"))
    if ordinal > 1:
        key = (*key, f"#{ordinal}")
    run.taken[id_] = tail
    remember(run, block, scope, id_, held=False)
    at.made = Mapped(
        type=block.type,
        id=id_,
        key=key,
        head=b'{"resourceType":"%s","id":"%s",' % (block.type.encode(), id_.encode()),
        tail=tail,
        clock=clock,
        mode=at.mode,
        deletes=tuple(name for name in dict.fromkeys(at.nulls) if not said(at.body, name)),
        place=str(scope.place),
        unions=block.unions,
        fills=tuple(dict.fromkeys((*block.fills, *at.fills))),
        block=block.name,
        mask=mask,
    )
    return at.made


def said(body: Mapping[str, Any], path: str) -> bool:
    """Whether the resource gives the element a null was sent for, from another source."""
    element, _, inner = path.partition(".")
    return element in body and (not inner or inner in body[element])


def remember(run: Run, block: BoundBlock, scope: Scope, id_: str, *, held: bool) -> None:
    """Note what was made, or held, for the references that come later."""
    made = Made(id_, held, b'{"reference":"%s/%s"}' % (block.type.encode(), id_.encode()))
    names = {block.name, block.type}
    upward: Scope | None = scope
    if scope.parent is None:
        # Of the message itself, not of a part of it: what a part may refer to.
        for name in names:
            run.built.setdefault((f"={name}", id(scope)), []).append(made)
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
    at.rule = None
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
