"""The rule language: TOML files of one rule a line, read, layered and checked, with every line number kept.

    "FHIR path" = "source (?? source)* (| function(args))* (| must)"

and instead of ``must`` an overlay that loosens one writes ``| optional('reason')``.

A source is an address in the sender's form (``PID-3[5=NI].1``, ``OBX-5[*]``, a column), several
addresses joined by commas (one composite value), a ``'literal'``, ``@Block`` (a reference to what that
block made; ``@Block[*]`` all of them below here) or ``$name`` (a fact about the delivery). A column
whose name holds other characters stands between backquotes. ``drop('reason')`` alone removes a rule of
the base. Nothing can be computed, looped or called beyond the closed list of `functions`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from mappings.engine.model import Finding, MapError

AtomKind = Literal["address", "literal", "reference", "fact"]

BLOCK_WORDS = frozenset({"key", "clock", "each", "mode", "when", "space", "unite", "fill"})
MODES = ("full", "patch", "reference")
TOP_WORDS = frozenset({"map", "source", "tables", "let", "each", "validation"})
MAP_WORDS = frozenset({"id", "version", "base", "input", "accept"})


@dataclass(frozen=True, slots=True)
class Atom:
    """One source in a rule; `column` counts characters from the start of the expression."""

    kind: AtomKind
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """One function in a rule: positional and named arguments, and ``'a' = 'b'`` pairs.

    A named argument is a source with alternatives (``specimen=SPM-4.1 ?? OBR-15.1``) or one word.
    """

    name: str
    column: int
    positional: tuple[Atom, ...] = ()
    named: Mapping[str, tuple[Atom, ...]] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed right-hand side. Each alternative is one atom, or several that make a composite."""

    alternatives: tuple[tuple[Atom, ...], ...]
    calls: tuple[Call, ...] = ()
    must: bool = False
    loosened: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Where a rule stands: the file as shown to people, line and column counted from 1."""

    file: str
    number: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a map. `text` is the expression as written."""

    path: str
    text: str
    expression: Expression
    line: Line


@dataclass(frozen=True, slots=True)
class Block:
    """The rules for one resource type. `name` is the type, or type.variant for a second block of it."""

    name: str
    line: Line
    key: tuple[Rule, ...] | None = None
    clock: Rule | None = None
    each: str | None = None
    mode: str | None = None
    when: Rule | None = None
    space: str | None = None
    unite: str | None = None
    fill: str | None = None
    rules: Mapping[str, Rule] = field(default_factory=dict)
    dropped: Mapping[str, tuple[str, Line]] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table by name: a CSV path seen from `folder`, or pairs written in the map."""

    name: str
    path: str
    pairs: Mapping[str, str]
    folder: PurePosixPath
    line: Line


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One map file, parsed or merged with its base. `layers` are the texts it was made from, base first."""

    id: str
    version: str
    base: str | None
    input: str
    accept: tuple[str, ...]
    source: Mapping[str, Any]
    tables: Mapping[str, TableRef]
    blocks: Mapping[str, Block]
    line: Line
    extras: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[bytes, ...] = ()
    source_lines: Mapping[str, Line] = field(default_factory=dict)


class Fault(Exception):
    """An expression that cannot be read; `column` counts characters from its start."""

    def __init__(self, column: int, zh: str, en: str) -> None:
        self.column, self.zh, self.en = column, zh, en
        super().__init__(en)


# --- expressions -----------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<or>\?\?) | (?P<bar>\|) | (?P<open>\() | (?P<close>\)) | (?P<comma>,) | (?P<eq>=)
      | '(?P<literal>[^']*)'
      | `(?P<quoted>[^`]+)`
      | (?P<word>[@$]?(?:\[[^\]]*\]|[^\s'`|?(),=\[\]])+)
    )""",
    re.VERBOSE,
)


def parse_expression(text: str) -> Expression:
    """Read one right-hand side, or raise `Fault` with the column and what to do."""
    return _Parser(text).expression()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:
                raise Fault(
                    position,
                    "这里的字符无法识别；文字要放在单引号里",
                    "this character cannot be read; texts stand in single quotes",
                )
            kind = str(match.lastgroup)
            quote = 1 if kind in ("literal", "quoted") else 0
            self.tokens.append((kind, match.group(kind), match.start(kind) - quote))
            position = match.end()
        self.end = len(stripped)
        self.index = 0

    def peek(self) -> str:
        return self.tokens[self.index][0] if self.index < len(self.tokens) else "end"

    def column(self) -> int:
        return self.tokens[self.index][2] if self.index < len(self.tokens) else self.end

    def take(self) -> tuple[str, str, int]:
        token = self.tokens[self.index]
        self.index += 1
        return token

    def atom(self) -> Atom:
        if self.peek() not in ("literal", "quoted", "word"):
            raise Fault(
                self.column(),
                "这里应有来源：地址、'文字'、@块 或 $名",
                "a source is expected here: an address, 'text', @Block or $name",
            )
        kind, text, column = self.take()
        if kind == "literal":
            return Atom("literal", text, column)
        if kind == "word" and text[0] == "@":
            return Atom("reference", text[1:], column)
        if kind == "word" and text[0] == "$":
            return Atom("fact", text[1:], column)
        return Atom("address", text, column)

    def expression(self) -> Expression:
        alternatives = [self.composite()]
        while self.peek() == "or":
            self.take()
            alternatives.append(self.composite())
        calls: list[Call] = []
        must = False
        loosened = ""
        while self.peek() == "bar":
            self.take()
            call = self.call()
            if call.name == "must":
                must = True
            elif call.name == "optional":
                loosened = self.reason(call)
            elif must:
                raise Fault(call.column, "must 要写在最后", "must stands at the end")
            else:
                calls.append(call)
        if self.peek() != "end":
            raise Fault(
                self.column(),
                "这里多出了内容；函数前要写 |",
                "something is left over here; a function is preceded by |",
            )
        return Expression(tuple(alternatives), tuple(calls), must, loosened)

    def reason(self, call: Call) -> str:
        if len(call.positional) != 1 or call.positional[0].kind != "literal":
            raise Fault(
                call.column,
                "放宽 must 要写明理由：optional('理由')",
                "loosening a must needs a reason: optional('reason')",
            )
        return call.positional[0].text

    def composite(self) -> tuple[Atom, ...]:
        atoms = [self.atom()]
        while self.peek() == "comma":
            self.take()
            atoms.append(self.atom())
        return tuple(atoms)

    def call(self) -> Call:
        if self.peek() != "word":
            raise Fault(self.column(), "这里应有函数名", "a function name is expected here")
        _, name, column = self.take()
        if self.peek() != "open":
            return Call(name, column)
        self.take()
        positional: list[Atom] = []
        named: dict[str, tuple[Atom, ...]] = {}
        pairs: dict[str, str] = {}
        while self.peek() != "close":
            first = self.atom()
            if self.peek() == "eq":
                self.take()
                second = [self.atom()]
                while self.peek() == "or":
                    self.take()
                    second.append(self.atom())
                if first.kind == "literal" and second[0].kind == "literal":
                    pairs[first.text] = second[0].text
                elif first.kind == "address":
                    named[first.text] = tuple(second)
                else:
                    raise Fault(
                        first.column,
                        "参数写成 名=来源 或 '甲'='乙'",
                        "an argument is written name=source or 'a'='b'",
                    )
            else:
                positional.append(first)
            if self.peek() == "comma":
                self.take()
            elif self.peek() != "close":
                raise Fault(self.column(), "缺少 ) 或 ,", "a ) or , is missing")
        self.take()
        return Call(name, column, tuple(positional), named, pairs)


# --- files -----------------------------------------------------------------------------------------

_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_ENTRY = re.compile(
    r"""^\s*("(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[A-Za-z0-9_\-]+))\s*=\s*"""
)


def _locate(text: str, shown: str) -> dict[tuple[str, str], Line]:
    """Where each key of each table stands; tomllib tells only of syntax errors."""
    lines: dict[tuple[str, str], Line] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = re.sub(r"[\"'\s]", "", header.group(1))
            lines.setdefault((table, ""), Line(shown, number))
        elif entry := _ENTRY.match(line):
            name = entry.group("quoted") or entry.group("single") or entry.group("bare") or ""
            value = entry.end()
            # Point at the expression, behind its opening quote.
            quote = 1 if value < len(line) and line[value] in "\"'" else 0
            lines.setdefault((table, name), Line(shown, number, value + quote + 1))
    return lines


class _FileReader:
    """Turns one TOML document into a `RuleFile`, collecting every finding instead of the first."""

    def __init__(self, raw: bytes, shown: str, folder: PurePosixPath) -> None:
        self.raw, self.shown, self.folder = raw, shown, folder
        self.findings: list[Finding] = []
        self.lines: dict[tuple[str, str], Line] = {}

    def at(self, table: str, name: str = "") -> Line:
        return self.lines.get((table, name)) or self.lines.get((table, "")) or Line(self.shown, 1)

    def find(self, line: Line, zh: str, en: str, offset: int = 0) -> None:
        self.findings.append(Finding(line.file, line.number, line.column + offset, zh, en))

    def read(self) -> RuleFile | None:
        try:
            text = self.raw.decode("utf-8-sig")
            document = tomllib.loads(text)
        except UnicodeDecodeError:
            self.find(Line(self.shown, 1), "文件要存成 UTF-8", "save the file as UTF-8")
            return None
        except tomllib.TOMLDecodeError as error:
            where = re.search(r"line (\d+), column (\d+)", str(error))
            line = Line(self.shown, int(where[1]), int(where[2])) if where else Line(self.shown, 1)
            self.find(
                line,
                "TOML 语法不对：检查引号、等号和重复的键",
                f"not valid TOML: check quotes, equals signs and repeated keys ({error})",
            )
            return None
        self.lines = _locate(text, self.shown)
        head = document.get("map", {})
        for name in head:
            if name not in MAP_WORDS:
                self.unknown(self.at("map", name), f"[map] {name}", sorted(MAP_WORDS))
        blocks: dict[str, Block] = {}
        for name, content in document.items():
            if name in TOP_WORDS:
                continue
            if not isinstance(content, dict) or not name[:1].isupper():
                self.unknown(self.at(name), name, sorted(TOP_WORDS))
                continue
            self.block(name, content, blocks)
        accept = head.get("accept", [])
        return RuleFile(
            id=str(head.get("id", "")),
            version=str(head.get("version", "")),
            base=head.get("base"),
            input=str(head.get("input", "")),
            accept=tuple(accept) if isinstance(accept, list) else (),
            source=document.get("source", {}),
            tables=self.tables(document.get("tables", {})),
            blocks=blocks,
            line=self.at("map"),
            extras={
                "let": document.get("let", {}),
                "each": document.get("each", {}),
                "accept": accept if isinstance(accept, dict) else {},
                "validation": document.get("validation", {}),
                "lines": self.extra_lines(document),
            },
            layers=(self.raw,),
            source_lines={name: self.at("source", name) for name in document.get("source", {})},
        )

    def extra_lines(self, document: Mapping[str, Any]) -> dict[str, Line]:
        """Where entries of `[let]`, `[validation]` and `[each.NAME]` stand: ``let.NAME``, ``each.NAME.KEY``."""
        lines = {f"let.{name}": self.at("let", name) for name in document.get("let", {})}
        for name, content in document.get("each", {}).items():
            for key in content if isinstance(content, dict) else ():
                lines[f"each.{name}.{key}"] = self.at(f"each.{name}", key)
        lines["validation"] = self.at("validation")
        for table in ("validation", "validation.allow"):
            named = (name for section, name in self.lines if section == table and name)
            lines |= {f"{table}.{name}": self.at(table, name) for name in named}
        return lines

    def unknown(self, line: Line, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(known)
        self.find(line, f"不认识 {name}；可用：{listed}", f"unknown: {name}; known are: {listed}")

    def tables(self, content: Mapping[str, Any]) -> dict[str, TableRef]:
        tables: dict[str, TableRef] = {}
        for name, value in content.items():
            line = self.at("tables", name)
            if isinstance(value, str):
                tables[name] = TableRef(name, value, {}, self.folder, line)
            elif isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
                tables[name] = TableRef(name, "", dict(value), self.folder, line)
            else:
                self.find(
                    line,
                    '码表写成 CSV 路径，或 { "甲" = "乙" }',
                    'a table is a CSV path or { "a" = "b" }',
                )
        return tables

    def block(self, name: str, content: Mapping[str, Any], blocks: dict[str, Block]) -> None:
        rules: dict[str, Rule] = {}
        dropped: dict[str, tuple[str, Line]] = {}
        words: dict[str, Any] = {}
        variants: list[tuple[str, Mapping[str, Any]]] = []
        for path, value in content.items():
            line = self.at(name, path)
            if isinstance(value, dict):
                variants.append((f"{name}.{path}", value))
            elif path in BLOCK_WORDS:
                words[path] = self.word(name, path, value, line)
            elif not isinstance(value, str):
                self.find(line, "规则要写成一行文字", "a rule is one line of text")
            elif (rule := self.rule(path, value, line)) is not None:
                calls = rule.expression.calls
                if rule.expression.alternatives[0][0].text == "drop" or any(
                    call.name == "drop" for call in calls
                ):
                    self.drop(rule, dropped)
                else:
                    rules[path] = rule
        blocks[name] = Block(name, self.at(name), rules=rules, dropped=dropped, **words)
        for variant, inner in variants:
            self.block(variant, inner, blocks)

    def drop(self, rule: Rule, dropped: dict[str, tuple[str, Line]]) -> None:
        match = re.fullmatch(r"\s*drop\s*\(\s*'([^']+)'\s*\)\s*", rule.text)
        if match is None:
            self.find(
                rule.line,
                "去掉基础规则要写明理由：drop('理由')",
                "dropping a rule of the base needs a reason: drop('reason')",
            )
        else:
            dropped[rule.path] = (match[1], rule.line)

    def rule(self, path: str, text: str, line: Line) -> Rule | None:
        if re.fullmatch(r"\s*drop\b.*", text):
            # Not an expression of the language; looked at by drop().
            return Rule(path, text, Expression(((Atom("address", "drop", 0),),)), line)
        try:
            return Rule(path, text, parse_expression(text), line)
        except Fault as fault:
            self.find(line, fault.zh, fault.en, fault.column)
            return None

    def word(self, block: str, name: str, value: Any, line: Line) -> Any:
        if name == "key":
            parts = value if isinstance(value, list) else [value]
            rules = [self.rule("key", part, line) for part in parts if isinstance(part, str)]
            return tuple(rule for rule in rules if rule is not None)
        if not isinstance(value, str):
            self.find(line, f"{name} 要写成文字", f"{name} must be a text")
            return None
        if name in ("clock", "when"):
            return self.rule(name, value, line)
        if name == "mode" and value not in MODES:
            self.unknown(line, f"mode {value!r}", MODES)
            return None
        return value


def read_file(
    raw: bytes, shown: str, folder: PurePosixPath
) -> tuple[RuleFile | None, list[Finding]]:
    """Parse one map file. None when nothing could be made of it; findings in either case."""
    reader = _FileReader(raw, shown, folder)
    parsed = reader.read()
    return parsed, reader.findings


# --- layers ----------------------------------------------------------------------------------------


def overlay(base: RuleFile, upper: RuleFile) -> tuple[RuleFile, list[Finding]]:
    """Lay a hospital's file over its base: replace, add or drop (with a reason) single rules.

    A replaced rule may not lose ``must`` silently: that is a finding unless it says ``optional``.
    """
    findings: list[Finding] = []
    blocks = dict(base.blocks)
    for name, block in upper.blocks.items():
        below = blocks.get(name)
        blocks[name] = block if below is None else _overlay_block(below, block, findings)
        if below is None:
            for path, (_, line) in block.dropped.items():
                findings.append(_nothing_to_drop(path, line))
    return (
        replace(
            upper,
            input=upper.input or base.input,
            accept=upper.accept or base.accept,
            source={**base.source, **upper.source},
            source_lines={**base.source_lines, **upper.source_lines},
            tables={**base.tables, **upper.tables},
            blocks=blocks,
            extras={
                key: {**base.extras.get(key, {}), **value} for key, value in upper.extras.items()
            },
            layers=base.layers + upper.layers,
        ),
        findings,
    )


def _nothing_to_drop(path: str, line: Line) -> Finding:
    return Finding(
        line.file,
        line.number,
        line.column,
        f"基础规则里没有 {path}，不用去掉",
        f"the base has no rule {path} to drop",
    )


def _overlay_block(below: Block, above: Block, findings: list[Finding]) -> Block:
    rules = dict(below.rules)
    for path, (_, line) in above.dropped.items():
        if rules.pop(path, None) is None:
            findings.append(_nothing_to_drop(path, line))
    for path, rule in above.rules.items():
        old = rules.get(path)
        expression = rule.expression
        if old and old.expression.must and not (expression.must or expression.loosened):
            findings.append(
                Finding(
                    rule.line.file,
                    rule.line.number,
                    rule.line.column,
                    f"基础规则 {path} 是 must；请补上 | must，或写明理由 | optional('理由')",
                    f"the base rule {path} is a must; add | must, or | optional('reason')",
                )
            )
        rules[path] = rule
    return replace(
        below,
        line=above.line,
        key=above.key if above.key is not None else below.key,
        clock=above.clock or below.clock,
        each=above.each or below.each,
        mode=above.mode or below.mode,
        when=above.when or below.when,
        space=above.space or below.space,
        unite=below.unite if above.unite is None else above.unite,
        fill=below.fill if above.fill is None else above.fill,
        rules=rules,
        dropped={**below.dropped, **above.dropped},
    )


def require(parsed: RuleFile | None, findings: Sequence[Finding]) -> RuleFile:
    """The file, or `MapError` with everything that is wrong with it."""
    if parsed is None or findings:
        raise MapError(findings)
    return parsed
