"""Breaks the decision on purpose, one small change at a time, and sees whether the table notices.

`python -m tests.consent.mutants [module ...]` prints every change that nothing noticed. Each of them
must stand in survivors.md with the reason why it changes no answer; an explanation of a change that
is noticed is out of date. Exit code 1 when either is wrong.

Every change is tried in a forked process of its own, against the table and the plain checks of
checks.py, under a time limit. Nothing on disk is touched.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HOME = Path(__file__).parent
MODULES = ("ages", "provisions", "delegation", "horizon", "decide")  # as they import each other
LIMIT = 20  # seconds for one change; only one that loops for ever needs them

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {
    "any": "all",
    "all": "any",
    "min": "max",
    "max": "min",
    "surely": "perhaps",
    "perhaps": "surely",
    "YES": "MAYBE",
    "MAYBE": "YES",
    "NO": "YES",
}
_ATTRIBUTES = {
    "start": "end",
    "end": "start",
    "data_start": "data_end",
    "data_end": "data_start",
    "up": "down",
    "down": "up",
    "above": "around",
    "around": "above",
    "permitted_by": "refused_by",
    "refused_by": "permitted_by",
    "permits": "denies",
    "denies": "permits",
    "child_withheld": "minor_withheld",
}


@dataclass(frozen=True)
class Mutant:
    """One change: where, what it says before and after, and how to make it."""

    module: str
    line: int
    place: str
    before: str
    after: str
    apply: Callable[[], None]

    @property
    def name(self) -> str:
        """How survivors.md names it: by words, as line numbers move."""
        return f"{self.module}.{self.place}: `{self.before}` → `{self.after}`"


def mutants(module: str) -> tuple[ast.Module, list[Mutant]]:
    """The parsed module and every change that can be made to it, each in place."""
    path = Path(importlib.import_module(f"consent.{module}").__file__ or "")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Mutant] = []
    for place, node, put in _nodes(tree, "", lambda new: None):
        for new, undo in _variants(node, put):
            before = _told(undo)
            found.append(
                Mutant(module, getattr(node, "lineno", 0), place, before, _told(new), put(new))
            )
    return tree, found


Put = Callable[[Any], Callable[[], None]]


def _nodes(node: ast.AST, place: str, put: Any) -> Iterator[tuple[str, ast.AST, Any]]:
    """Every node that runs, with the way to put another one there. Types and texts do not run."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        place = f"{place}.{node.name}" if place else node.name
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases"}:
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "cast":
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or _silent(child):
                continue
            way = _putter(node, name, index)
            yield place, child, way
            yield from _nodes(child, place, way)


def _putter(node: ast.AST, name: str, index: int | None) -> Put:
    def put(new: Any) -> Callable[[], None]:
        def now() -> None:
            if index is None:
                setattr(node, name, new)
            elif new is None:
                del getattr(node, name)[index]
            else:
                getattr(node, name)[index] = new
            ast.fix_missing_locations(node)

        return now

    return put


def _silent(node: ast.AST) -> bool:
    """Imports, texts for readers, assertions and names of types."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Callable[")


def _variants(node: ast.AST, put: Put) -> Iterator[tuple[Any, ast.AST]]:
    """What could stand there instead, with what stands there now."""
    for new in _changed(node):
        yield new, node
    match node:
        case ast.Return(value=value) if value and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None)), node
        case ast.Expr() | ast.AugAssign():
            yield ast.Pass(), node
        case ast.Assign() if not isinstance(node.targets[0], ast.Name):
            yield ast.Pass(), node
        case ast.keyword(arg=str()):
            yield None, node


def _changed(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=right):
            for at, op in enumerate(ops):
                for other in _COMPARISONS[type(op)]:
                    yield ast.Compare(left, [*ops[:at], other(), *ops[at + 1 :]], right)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for at in range(len(values)):
                rest = values[:at] + values[at + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(op)](), right)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.If(body=body, orelse=orelse):
            yield ast.If(ast.Constant(True), body, orelse)
            yield ast.If(ast.Constant(False), body, orelse)
        case ast.comprehension(target=target, iter=source, ifs=[_, *_]):
            yield ast.comprehension(target, source, [], 0)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value):
            yield ast.Constant(value + "x")
        case ast.Tuple(elts=elts, ctx=ast.Load()) if len(elts) > 1:
            for at in range(len(elts)):
                yield ast.Tuple(elts[:at] + elts[at + 1 :], ast.Load())
        case ast.Name(id=name, ctx=ast.Load()) if name in _NAMES:
            yield ast.Name(_NAMES[name], ast.Load())
        case ast.Attribute(value=value, attr=attr, ctx=ast.Load()) if attr in _ATTRIBUTES:
            yield ast.Attribute(value, _ATTRIBUTES[attr], ast.Load())
        case ast.Continue():
            yield ast.Break()


def _told(node: ast.AST | None) -> str:
    if node is None:
        return "nothing"
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    text = (
        ast.unparse(ast.fix_missing_locations(node))
        if not isinstance(node, ast.keyword)
        else (f"{node.arg}={ast.unparse(node.value)}")
    )
    return re.sub(r"\s+", " ", text).strip()


# --- trying ---------------------------------------------------------------------------------------


def survives(tree: ast.Module, mutant: Mutant) -> bool:
    """Whether all checks pass with this change. Loops, crashes and exceptions are noticed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    code = 1
    try:
        signal.alarm(LIMIT)  # its default action ends the process
        mutant.apply()
        checks = _installed(mutant.module, tree)
        code = 1 if any(check() for check in checks) else 0
    except BaseException:  # whatever it broke, it was noticed
        code = 1
    finally:
        os._exit(code)


def _installed(changed: str, tree: ast.Module) -> Iterator[Callable[[], bool]]:
    """Load the changed module and all that stand on it; what to try then."""
    for name in MODULES[MODULES.index(changed) :]:
        full = f"consent.{name}"
        old = sys.modules.pop(full)
        spec = importlib.util.find_spec(full)
        assert spec is not None
        module = ModuleType(full)
        module.__spec__ = spec
        sys.modules[full] = module
        source = old.__file__ or ""
        code = compile(tree, source, "exec") if name == changed else _compiled(source)
        exec(code, module.__dict__)
    checks = importlib.import_module("tests.consent.checks")
    return iter(checks.all_of(sys.modules["consent.decide"]))


_CODE: dict[str, Any] = {}


def _compiled(source: str) -> Any:
    if source not in _CODE:
        _CODE[source] = compile(Path(source).read_text(encoding="utf-8"), source, "exec")
    return _CODE[source]


# --- telling --------------------------------------------------------------------------------------


def explained() -> dict[str, str]:
    """The changes survivors.md speaks of, each with its reason."""
    lines = (HOME / "survivors.md").read_text(encoding="utf-8").splitlines()
    said = (re.fullmatch(r"- (.+` → `.+`): (.+)", line) for line in lines)
    return {one[1]: one[2] for one in said if one}


def main(names: list[str]) -> int:
    """Try all changes of these modules (none named: all) and print what was not noticed."""
    chosen = names or list(MODULES)
    for module in MODULES:
        source = importlib.import_module(f"consent.{module}").__file__ or ""
        _compiled(source)
    importlib.import_module("tests.consent.checks")
    known = explained()
    tried, unexplained, seen = 0, 0, set()
    for module in chosen:
        tree, found = mutants(module)
        if not survives(tree, Mutant(module, 0, "", "", "", lambda: None)):
            print(f"{module}: a check fails without any change; run the tests first")
            return 2
        alive = [mutant for mutant in found if survives(tree, mutant)]
        tried += len(found)
        print(f"{module}: {len(found)} changes, {len(found) - len(alive)} noticed")
        for mutant in alive:
            seen.add(mutant.name)
            if mutant.name not in known:
                unexplained += 1
                print(f"  NOT NOTICED line {mutant.line}: {mutant.name}", flush=True)
    stale = {name for name in known if name.partition(".")[0] in chosen} - seen
    for name in sorted(stale):
        print(f"  explained, but noticed or gone: {name}")
    print(f"{tried} changes, {len(seen)} not noticed, {unexplained} of them unexplained")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
