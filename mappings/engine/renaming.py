"""A base map read with a hospital's own column names: ``rename = { BRID = "病人ID" }`` in ``[source]``.

Names are replaced where the base's rules stand, before anything is bound, so that findings, issues,
coverage and explanations speak of the columns the hospital has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mappings.engine.model import Finding
from mappings.engine.rules import Atom, Block, Expression, Line, Rule, RuleFile

_LISTS = ("columns", "group", "watermark")
"""The options of ``[source]`` that name columns."""


def renamed(base: RuleFile, upper: RuleFile) -> tuple[RuleFile, list[Finding]]:
    """`base` with the columns called as `upper` says; unchanged when it says nothing."""
    names = upper.source.get("rename", {})
    if not names:
        return base, []
    line = upper.source_lines.get("rename", upper.line)
    findings = _wrong(names, base, upper, line)
    if findings:
        return base, findings
    blocks = {name: _block(block, names) for name, block in base.blocks.items()}
    source = dict(base.source)
    for option in _LISTS:
        if option in source:
            source[option] = ",".join(names.get(one, one) for one in _listed(source[option]))
    return replace(base, blocks=blocks, source=source), []


def _wrong(names: Any, base: RuleFile, upper: RuleFile, line: Line) -> list[Finding]:
    def finding(zh: str, en: str) -> Finding:
        return Finding(line.file, line.number, line.column, zh, en)

    pairs = isinstance(names, dict) and all(isinstance(own, str) and own for own in names.values())
    if not pairs or (upper.input or base.input) != "rows":
        return [
            finding(
                'rename 只用于 rows，写成 { 基础映射的列名 = "本院的列名" }',
                'rename is for rows: { COLUMN_OF_THE_BASE = "your column" }',
            )
        ]
    known = _listed(base.source.get("columns"))
    return [
        finding(
            f"基础映射没有列 {name}；它的列是 {', '.join(known)}",
            f"the base has no column {name}; its columns are {', '.join(known)}",
        )
        for name in names
        if name not in known
    ]


def _listed(columns: Any) -> list[str]:
    parts = columns if isinstance(columns, list) else str(columns or "").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def _block(block: Block, names: Mapping[str, str]) -> Block:
    return replace(
        block,
        key=tuple(_rule(rule, names) for rule in block.key) if block.key is not None else None,
        clock=_rule(block.clock, names) if block.clock else None,
        when=_rule(block.when, names) if block.when else None,
        rules={path: _rule(rule, names) for path, rule in block.rules.items()},
    )


def _rule(rule: Rule, names: Mapping[str, str]) -> Rule:
    expression = rule.expression
    alternatives = tuple(_atoms(atoms, names) for atoms in expression.alternatives)
    calls = tuple(
        replace(
            call,
            positional=_atoms(call.positional, names),
            named={word: _atoms(atoms, names) for word, atoms in call.named.items()},
        )
        for call in expression.calls
    )
    changed: Expression = replace(expression, alternatives=alternatives, calls=calls)
    return replace(rule, expression=changed)


def _atoms(atoms: Iterable[Atom], names: Mapping[str, str]) -> tuple[Atom, ...]:
    return tuple(
        replace(atom, text=names[atom.text])
        if atom.kind == "address" and atom.text in names
        else atom
        for atom in atoms
    )
