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
from typing import Any

import orjson

from mappings.engine import interpret, memo
from mappings.engine.bound import BoundBlock
from mappings.engine.codeblock import BlockWriter
from mappings.engine.codelines import Wanted
from mappings.engine.interpret import EXPECTED, Made, Run
from mappings.engine.memo import Bail
from mappings.engine.model import Mapped
from mappings.engine.reader import Fields, Scope, Source, Unusual
from mappings.engine.rules import Atom, Expression, RuleFile

Build = Callable[[Run, Iterable[Scope], Callable[[Mapped], None]], None]
"""(run, the scopes of a block, where finished resources go)."""

_STATES = 16


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
        writer = BlockWriter(block, number, dialect, source, wanted)
        builds.append(_build(writer))
        sizes.append(writer.memos)
    return Program(builds, sizes, dialect)


def _build(writer: BlockWriter) -> Build | None:
    text = writer.text()
    if text is None:
        return None
    made: dict[str, Any] = {}
    names = {"__builtins__": {}, **_GLOBALS, **writer.names}
    exec(compile(text, f"<map block {writer.number}>", "exec"), names, made)  # noqa: S102 - literals by repr and our own names only
    build: Build = made["build"]
    return build


def text_of(block: BoundBlock, number: int, file: RuleFile, dialect: Fields, source: Source) -> str:
    """The generated text of one block, for people and tests; empty when the interpreter keeps it."""
    return BlockWriter(block, number, dialect, source, _wanted(file)).text() or ""


# --- which references a map makes ---------------------------------------------------------------------


def _wanted(file: RuleFile) -> Wanted:
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
    return Wanted(frozenset(upwards), frozenset(below))


def _atoms(expression: Expression) -> list[Atom]:
    atoms = [atom for option in expression.alternatives for atom in option]
    for call in expression.calls:
        atoms += [*call.positional, *(atom for named in call.named.values() for atom in named)]
    return atoms


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
