"""What rules made of raw texts, remembered: generated code asks the interpreter's own functions once for each text.

So a rule's meaning stands in one place. An `Entry` holds the finished JSON of one element and what else the
functions said (`Extra`). Whatever cannot be told again from the raw texts alone becomes `SLOW`, and the block
instance that meets it goes to the interpreter whole. Memos belong to one loaded map, so that an edited table
never answers with old codes, and are bounded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from mappings.engine import times
from mappings.engine.bound import BoundBlock, BoundRule
from mappings.engine.elements import codes, disagree
from mappings.engine.interpret import EXPECTED, Instance, Made, Run, build, remember
from mappings.engine.model import Identifier, Issue, LocalId, Mapped, Severity, Unmapped
from mappings.engine.reader import Fields, Getter, Scope, Value

SIZE = 8192
"""Entries of one memo; when it is full it begins anew."""
PATIENTS = 1024
"""Persons that are remembered: those of the last hours, not all there are."""
LONGEST = 512
"""Raw texts longer than this, together, are not kept: reports and pictures do not come again."""


ADDING = ("extension", "note")
"""Elements where an offer and a rule add up."""


class Bail(Exception):
    """This block instance is for the interpreter."""


class Noted(msgspec.Struct, frozen=True):
    """An issue of a rule; `place` is as `Fields.relative` says, or None for the scope's own."""

    severity: Severity
    code: str
    line: str
    place: Hashable | None


Offer = tuple[int, str, bytes, bool]
"""The number of the rule that offers, the element, its JSON, and whether that is a list."""


class Extra(msgspec.Struct, frozen=True):
    """What functions said beside their answer, each with the number of its rule in the block.

    `marks` is what is put behind the items of the extensions there are, when just that was offered.
    """

    offers: tuple[Offer, ...] = ()
    issues: tuple[tuple[int, Noted], ...] = ()
    unmapped: tuple[tuple[int, Unmapped], ...] = ()
    marks: bytes = b""


SLOW = Extra()
"""Told by identity: nothing of this may be remembered."""

Entry = tuple[bytes, int, Extra | None, int, int]
"""The element's member of the resource (``"code":{…}``, empty for none), the rules that gave something as
bits, what else was said, the latest time in it, and the first rule that wrote it."""

_SLOW_ENTRY: Entry = (b"", 0, SLOW, 0, 0)


class _Closed:
    """Stands for what a remembered answer must not depend on."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        raise Bail

    def __contains__(self, item: object) -> bool:
        raise Bail

    def __getitem__(self, item: object) -> Any:
        raise Bail

    def __iter__(self) -> Any:
        raise Bail


_CLOSED: Any = _Closed()


class _Asked(_Closed):
    """Elements offered by earlier rules: a function may ask for one by name, and the names are kept."""

    __slots__ = ("_asks", "_number", "_own")

    def __init__(self, asks: dict[str, int], number: int) -> None:
        self._asks, self._number, self._own = asks, number, ""

    def add(self, element: str) -> None:
        self._own += f" {element}"

    def __contains__(self, item: object) -> bool:
        name = str(item)
        self._asks[name] = max(self._asks.get(name, -1), self._number)
        return name in self._own.split()


class _View:
    """The part of a `Run` that a remembered answer may depend on: its key holds the facts."""

    __slots__ = ("built", "facts", "source")

    def __init__(self, run: Run, live: bool) -> None:
        self.facts, self.source = run.facts, run.source
        self.built: Any = run.built if live else _CLOSED


class Recorder(Instance):
    """An instance that only writes down what functions say."""

    __slots__ = ("fields", "issues", "latest", "number", "offers", "slow", "told")

    def __init__(
        self, element: Memo, block: BoundBlock, scope: Scope, run: Run, *, live: bool = False
    ) -> None:
        # As `Instance` begins, with what must not be looked at closed.
        view: Any = _View(run, live)
        asked: Any = _Asked(element.asks, element.number)
        self.block, self.scope, self.run = block, scope, view
        self.body, self.offered = _CLOSED, asked
        self.nulls, self.fills = [], []
        self.mode = block.mode
        self.held = self.skipped = self.nulled = self.rare = self.slow = False
        self.rule = self.made = None
        self.fields = element.fields
        self.number = element.number
        self.offers: list[tuple[int, str, Any]] = []
        self.issues: list[tuple[int, Noted]] = []
        self.told: list[tuple[int, Unmapped]] = []
        self.latest = 0

    def issue(self, severity: Severity, code: str, place: object = None) -> None:
        seen = None if place is None else self.fields.relative(place, self.scope)
        if severity == "hold" or (place is not None and seen is None):
            self.slow = True
        line = self.rule.line if self.rule else self.block.line
        self.issues.append((self.number, Noted(severity, code, line, seen)))

    def unmapped(
        self, table: str, code: str, name: str = "", specimen: str = "", unit: str = ""
    ) -> None:
        if code:
            self.told.append((self.number, Unmapped(table, code, name, specimen, unit)))

    def offer(self, element: str, node: Any) -> None:
        self.offers.append((self.number, element, node))
        asked: Any = self.offered
        asked.add(element)

    def identify(self, space: str, value: str, usable: bool) -> None:
        self.slow = True

    def in_future(self, us: int) -> bool:
        self.latest = max(self.latest, us)
        return False

    def extra(self) -> Extra | None:
        """What was said beside the answer; `SLOW` when it cannot be told again."""
        changed = self.held or self.skipped or self.mode != self.block.mode
        changed = changed or bool(self.nulls or self.fills)
        if self.slow or self.rare or changed:
            return SLOW
        if not (self.offers or self.issues or self.told):
            return None
        offers = tuple(
            (number, element, orjson.dumps(node), isinstance(node, list))
            for number, element, node in self.offers
        )
        marks = b""
        if len(offers) == 1 and not (self.issues or self.told) and offers[0][1] == "extension":
            marks = b"," + offers[0][2][1:]
        return Extra(offers, tuple(self.issues), tuple(self.told), marks)


class Memo:
    """The rules that write one top-level element of a block, and how they are asked."""

    def __init__(
        self,
        block: BoundBlock,
        rules: Sequence[tuple[int, BoundRule]],
        fields: Fields,
        asks: dict[str, int],
        *,
        live: bool = False,
        leads: Sequence[Getter] = (),
    ) -> None:
        self.leads = tuple(leads)
        self.block, self.rules, self.fields, self.asks = block, tuple(rules), fields, asks
        self.number = self.rules[0][0] if self.rules else -1
        self.live = live

    def fill(self, run: Run, scope: Scope, known: dict[Any, Entry], key: Any) -> Entry:
        """Ask the functions, and remember the answer under the raw texts it was made of."""
        entry = self.ask(run, scope)
        keep(known, key, entry)
        return entry

    def lead(self, run: Run, scope: Scope, known: dict[Any, Entry], key: Any) -> Entry:
        """`fill`, where the key holds only what lies above: one of those alternatives must have the value."""
        if any(lead(scope) for lead in self.leads):
            return self.fill(run, scope, known, key)
        return _SLOW_ENTRY

    def ask(self, run: Run, scope: Any) -> Entry:
        """Ask the functions."""
        at = Recorder(self, self.block, scope, run, live=self.live)
        body: dict[str, Any] = {}
        bits = first = 0
        try:
            for number, rule in self.rules:
                at.rule, at.number, at.nulled = rule, number, False
                node = rule.evaluate(at)
                if node is not None:
                    bits |= 1 << number
                    before = bool(body)
                    rule.put(body, node, at)
                    if body and not before:
                        first = number
                elif rule.must or (at.nulled and self.block.mode == "patch"):
                    return _SLOW_ENTRY
        except (Bail, *EXPECTED):
            return _SLOW_ENTRY
        return orjson.dumps(body)[1:-1], bits, at.extra(), at.latest, first

    def word(self, run: Run, scope: Scope, known: dict[Any, str | None], key: Any) -> str | None:
        """The answer itself, of `when`, `key` and `clock`; only a text of which nothing else was said."""
        at = Recorder(self, self.block, scope, run, live=self.live)
        at.rule = self.rules[0][1]
        try:
            node = at.rule.evaluate(at)
        except EXPECTED:
            raise Bail from None
        if at.extra() is not None or at.latest or not (node is None or isinstance(node, str)):
            raise Bail
        if len(known) >= SIZE:
            known.clear()
        known[key] = node
        return node


def first(values: Sequence[Value]) -> str | None:
    """The text of the first value; an explicit null is the interpreter's to tell."""
    if values and values[0].null:
        raise Bail
    return values[0].text if values else None


def keep(known: dict[Any, Any], key: Any, made: Any) -> None:
    """Remember what was made of a raw text, or of several, within bounds."""
    if len(known) >= SIZE:
        known.clear()
    if (len(key) if isinstance(key, str) else sum(map(len, key))) <= LONGEST:
        known[key] = made


def us_of(text: str | None, run: Run) -> int:
    """The business time of a `clock`; what cannot be read is the interpreter's to tell."""
    if text is None:
        raise Bail
    moment = times.read(text, run.source.zone)
    if not isinstance(moment, times.Moment):
        raise Bail
    return moment.us


# --- patients ---------------------------------------------------------------------------------------


class _Known(msgspec.Struct, frozen=True):
    """What a Patient block made, and said of the message, without its clock and id."""

    mapped: Mapped
    latest: int
    patient: LocalId | None
    local: tuple[LocalId, ...]
    identifiers: tuple[Identifier, ...]
    unmapped: tuple[Unmapped, ...]


class Whole:
    """A Patient block, remembered as a whole: the same person often comes again within a day.

    Only one of which nothing was said is remembered, and only while it is the first to identify anybody.
    """

    def __init__(self, block: BoundBlock) -> None:
        self.block = block

    def build(
        self, run: Run, scope: Scope, known: dict[Any, _Known], key: tuple[str, ...]
    ) -> Mapped | None:
        """The Patient by the interpreter, remembered when it can be."""
        before = len(run.issues), len(run.unmapped)
        alone = not (run.local or run.identifiers or run.joined or run.patient)
        run.latest = 0
        mapped = build(self.block, scope, run)
        said = before[0] != len(run.issues) or bool(run.joined)
        if mapped is not None and alone and not said and len(mapped.key) == 1:
            if len(known) >= PATIENTS:
                known.clear()
            if sum(map(len, key)) <= LONGEST:
                known[key] = _Known(
                    mapped,
                    run.latest,
                    run.patient,
                    tuple(run.local),
                    tuple(run.identifiers),
                    tuple(run.unmapped[before[1] :]),
                )
        return mapped

    def again(self, run: Run, scope: Any, known: _Known, us: int | None) -> Mapped:
        """The Patient as before, with the clock of this message and the ids of this county."""
        mapped = known.mapped
        id_ = run.ids(self.space(known), "Patient", mapped.key)
        if (
            run.local
            or run.identifiers
            or run.patient
            or known.latest > run.limit
            or id_ in run.taken
        ):
            raise Bail
        place = scope.where()
        run.local.extend(known.local)
        run.identifiers.extend(known.identifiers)
        run.patient = known.patient
        run.unmapped.extend(known.unmapped)
        run.taken[id_] = mapped.tail
        remember(run, self.block, scope, id_, held=False)
        return Mapped(
            "Patient",
            id_,
            mapped.key,
            b'{"resourceType":"Patient","id":"%s",' % id_.encode(),
            mapped.tail,
            b"",
            us,
            mapped.mode,
            mapped.deletes,
            place,
            (),
            mapped.unions,
            mapped.block,
            mapped.mask,
            mapped.fills,
        )

    def space(self, known: _Known) -> str:
        return known.patient.space if known.patient is not None else self.block.space


# --- what is the same for siblings ------------------------------------------------------------------


class Shared:
    """An element whose rules are all the same for siblings: made once for each parent."""

    def __init__(self, memo: Memo, slots: Sequence[tuple[str, int]], facts: Sequence[str]) -> None:
        self.memo, self.slots, self.facts = memo, tuple(slots), tuple(facts)

    def make(self, run: Run, scope: Scope, known: dict[Any, Entry]) -> tuple[bytes, int, int]:
        """The member, its bits and its first rule. When a sibling before was the interpreter's, what it found holds."""
        above = id(scope.parent)
        found = [run.shared.get((id(rule), above)) for _, rule in self.memo.rules]
        if None not in found:
            return self._again(found)
        part, bits, extra, latest, first = self._ask(run, scope, known)
        if extra is not None or latest > run.limit:
            raise Bail
        return part, bits, first

    def _ask(self, run: Run, scope: Scope, known: dict[Any, Entry]) -> Entry:
        if self.memo.live:
            return self.memo.ask(run, scope)
        records: dict[str, Sequence[str]] = {}
        key: list[str] = [run.facts.get(name, "") for name in self.facts]
        for name, index in self.slots:
            record = records.get(name)
            if record is None:
                record = records[name] = _record(scope, name)
            key.append(record[index] if index < len(record) else "")
        raws = tuple(key)
        entry = known.get(raws)
        return self.memo.fill(run, scope, known, raws) if entry is None else entry

    def _again(self, found: Sequence[Any]) -> tuple[bytes, int, int]:
        body: dict[str, Any] = {}
        bits = first = 0
        closed: Any = None
        for (number, rule), (node, nulled) in zip(self.memo.rules, found, strict=True):
            if node is not None:
                bits |= 1 << number
                first = first if body else number
                rule.put(body, node, closed)
            elif rule.must or (nulled and self.memo.block.mode == "patch"):
                raise Bail
        return orjson.dumps(body)[1:-1], bits, first


def _record(scope: Any, name: str) -> Sequence[str]:
    found: Sequence[str] = scope.record(name)
    return found


# --- references ------------------------------------------------------------------------------------


def nearest(run: Run, name: str, scope: Scope) -> bytes | None:
    """``{"reference":…}`` of the nearest resource a block made; one that is held is the interpreter's to tell."""
    built = run.built
    at: Scope | None = scope
    while at is not None:
        # What hangs on a neighbour, below the message itself, belongs to the neighbour alone.
        here = at.parent is not None or at is scope
        found = built.get((name if here else f"={name}", id(at)))
        if found:
            if found[0].held:
                raise Bail
            return found[0].reference
        at = at.parent
    return None


def all_below(run: Run, name: str, scope: Scope | None) -> bytes | None:
    """References to all that were made in a scope and below, or by the whole letter, joined by commas."""
    found = run.built.get((name, 0 if scope is None else id(scope)), ())
    kept = {made.id: made.reference for made in found if not made.held}
    return b",".join(kept.values()) if kept else None


def some_below(run: Run, name: str, scope: Scope | None) -> bool | None:
    """Whether `all_below` would find any; None for no, as of an empty `when`."""
    found = run.built.get((name, 0 if scope is None else id(scope)), ())
    return any(not made.held for made in found) or None


def lists(run: Run, names: Sequence[str], scope: Scope | None) -> list[list[Made]]:
    """Where what is made in a scope is to be noted, from that scope upwards."""
    found: list[list[Made]] = []
    while scope is not None:
        found += [run.built.setdefault((name, id(scope)), []) for name in names]
        scope = scope.parent
    return found


# --- finishing -------------------------------------------------------------------------------------


class Finish:
    """Takes in what functions offered beside their own element, as `elements.settle` does for the interpreter.

    `names` says which part of a resource holds an element that rules write; -1 when it cannot be told.
    """

    def __init__(
        self, block: BoundBlock, fields: Fields, asks: Mapping[str, int], names: Mapping[str, int]
    ) -> None:
        self.block, self.fields, self.asks, self.names = block, fields, asks, names
        self.line = block.rules[-1].line if block.rules else block.line

    def settle(
        self, scope: Any, extras: Sequence[Extra], parts: list[bytes]
    ) -> tuple[list[Issue], list[Unmapped]]:
        """Change `parts`; give the issues and unmapped codes in the order of their rules."""
        noted: list[tuple[int, Noted]] = []
        told: list[tuple[int, Unmapped]] = []
        offers: list[Offer] = []
        for extra in extras:
            if extra is SLOW:
                raise Bail
            offers += extra.offers
            noted += extra.issues
            told += extra.unmapped
        if len(extras) > 1:
            noted.sort(key=_number)
            told.sort(key=_number)
        issues = [self._issue(scope, one) for _, one in noted]
        if offers:
            self._offers(scope, sorted(offers, key=_number), parts, issues)
        return issues, [one for _, one in told]

    def _issue(self, scope: Any, one: Noted) -> Issue:
        place = scope.where() if one.place is None else self.fields.absolute(one.place, scope)
        return Issue(one.severity, one.code, place, one.line)

    def _offers(
        self,
        scope: Any,
        offers: Sequence[Offer],
        parts: list[bytes],
        issues: list[Issue],
    ) -> None:
        offered: dict[str, bytes] = {}
        for number, element, node, many in offers:
            if self.asks.get(element, -1) > number:
                raise Bail
            before = offered.get(element)
            offered[element] = node if before is None or not many else _joined(before, node)
        for element, node in offered.items():
            index = self.names.get(element, -2)
            if index == -1:
                raise Bail
            if index == -2 or not parts[index]:
                parts.append(b'"%s":%s' % (element.encode(), node))
            elif element in ADDING:
                parts[index] = _joined(parts[index], node)
            elif element == "interpretation" and _disagree(parts[index], node):
                issues.append(Issue("note", "flag-disagrees", scope.where(), self.line))


def _number(numbered: tuple[Any, ...]) -> int:
    number: int = numbered[0]
    return number


def _joined(first: bytes, second: bytes) -> bytes:
    """Two JSON arrays as one."""
    return first[:-1] + b"," + second[1:]


@lru_cache(maxsize=1024)
def _disagree(member: bytes, offered: bytes) -> bool:
    (own,) = orjson.loads(b"{" + member + b"}").values()
    return disagree(codes(own), codes(orjson.loads(offered)))
