"""Does the element a rule writes to exist in FHIR R4, and may it hold what the rule gives?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from mappings.engine.rules import Atom, Rule
from mappings.engine.tables import Table
from mappings.r4 import definitions
from mappings.r4.definitions import Element

Fault = tuple[str, str, int]
"""What is wrong and what to do, in Chinese and English, and the column in the expression (0: its start)."""

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*)(\[x\])?(?:\[(\d+)\])?")
_SHORT = re.compile(r"(identifier|extension)\([a-z0-9\-]+\)")


_KEEPING = frozenset({"concept", "local", "diagnosis", "codeable_text"})
"""Functions that keep a code they do not know beside its system."""


class NoElement(Exception):
    """A path that leads nowhere in R4."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh, self.en = zh, en
        super().__init__(en)


def element(type_: str, path: str) -> Element | None:
    """The element a target path writes to; `NoElement` when R4 has none there.

    None for `identifier(space)` and `extension(name)`, which make their own content. An index stands
    where an element repeats and nowhere else; the last step may go without, one node becomes a list.
    """
    short = _SHORT.fullmatch(path)
    steps = [short[1]] if short else path.split(".")
    here = type_
    found: Element | None = None
    for number, step in enumerate(steps):
        match = _STEP.fullmatch(step)
        if match is None:
            return None  # told where the path is read
        found = _child(here, match[1], bool(match[2]), path)
        last = number == len(steps) - 1
        if match[3] is not None and not found.many:
            raise NoElement(
                f"{path}：{match[1]} 在 FHIR 里不是列表，去掉 [{match[3]}]",
                f"{path}: {match[1]} is no list in FHIR; remove [{match[3]}]",
            )
        if match[3] is None and found.many and not last:
            raise NoElement(
                f"{path}：{match[1]} 在 FHIR 里是列表，写成 {match[1]}[0]",
                f"{path}: {match[1]} is a list in FHIR; write {match[1]}[0]",
            )
        here = found.type
    return None if short else found


def _child(type_: str, name: str, choice: bool, path: str) -> Element:
    elements = definitions.elements(type_) if definitions.known(type_) else {}
    wanted = f"{name}[x]" if choice else name
    for json_name, one in elements.items():
        if (one.path if choice else json_name) == wanted:
            return one
    names = {*elements, *(one.path for one in elements.values() if one.choice)}
    near = ", ".join(get_close_matches(wanted, sorted(names), 3, 0.5)) or ", ".join(sorted(names))
    raise NoElement(
        f"FHIR R4 的 {type_} 没有 {wanted}（规则 {path}）；可用：{near}",
        f"{type_} has no element {wanted} in FHIR R4 (rule {path}); known are: {near}",
    )


def faults(type_: str, rule: Rule, tables: Mapping[str, Table]) -> Iterator[Fault]:
    """Everything R4 forbids about a rule of a block of this resource type."""
    if type_ not in definitions.resources():
        return  # told where the block is read
    try:
        target = element(type_, rule.path)
    except NoElement as fault:
        yield fault.zh, fault.en, 0
        return
    if target is None:
        return
    expression = rule.expression
    if not expression.calls:
        for option in expression.alternatives:
            if len(option) == 1:
                yield from _given(option[0], target, rule.path)
    for call in expression.calls:
        if call.name in _KEEPING and target.type == "CodeableConcept" and target.codes:
            path = rule.path
            yield (
                f"{path} 的代码由 FHIR 规定，{call.name} 会保留不认识的代码；改用 coded(码表)",
                f"FHIR requires the codes of {path}, and {call.name} keeps an unknown one; use"
                " coded(table)",
                call.column,
            )
        if call.name == "code":
            given = set(call.pairs.values())
            for atom in call.positional[:1]:
                if atom.text in tables:
                    given.update(row.get("target", "") for row in tables[atom.text].rows())
            for code in sorted(given - {""}):
                yield from _code(code, target, rule.path, call.column)


def closed(type_: str, path: str) -> bool:
    """Does FHIR require a code from a list for the concept a rule writes?"""
    found = definitions.at(f"{type_}.{path}")
    return found is not None and bool(found.codes) and found.type not in definitions.PRIMITIVES


def _given(atom: Atom, target: Element, path: str) -> Iterator[Fault]:
    if atom.kind == "literal":
        yield from _code(atom.text, target, path, atom.column)
    elif atom.kind == "reference":
        to = atom.text.removesuffix("[*]").partition(".")[0]
        if target.type != "Reference":
            yield (
                f"{path} 在 FHIR 里是 {target.type}，不能写成引用 @{atom.text}",
                f"{path} is a {target.type} in FHIR; the reference @{atom.text} cannot stand there",
                atom.column,
            )
        elif to and target.targets and to not in target.targets:
            allowed = ", ".join(sorted(target.targets))
            yield (
                f"{path} 不能引用 {to}；FHIR 允许：{allowed}",
                f"{path} may not point at {to}; FHIR allows: {allowed}",
                atom.column,
            )


def _code(code: str, target: Element, path: str, column: int) -> Iterator[Fault]:
    if target.type == "code" and not target.allows(code):
        allowed = ", ".join(sorted({one for codes in target.codes.values() for one in codes}))
        yield (
            f"{path} 不能是 {code}；FHIR 规定的代码：{allowed}",
            f"{path} cannot be {code}; FHIR requires one of: {allowed}",
            column,
        )
