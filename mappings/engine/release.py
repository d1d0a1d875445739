"""A hospital's map, loaded from its folder: merged, checked, bound, hashed, ready to read deliveries."""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from zoneinfo import ZoneInfo

import msgspec

from mappings.engine import (
    binding,
    coverage,
    envelope,
    explain,
    interpret,
    renaming,
    rules,
    streams,
    table_review,
    tables,
    validation,
)
from mappings.engine.bound import BoundBlock, Setup
from mappings.engine.compile import Program, compile_blocks
from mappings.engine.coverage import Coverage
from mappings.engine.er7 import CODECS
from mappings.engine.explain import Explained
from mappings.engine.files import SHIPPED, SITE, Files, Folder, Kept, within
from mappings.engine.model import Finding, Ids, Issue, MapError, Message, Reading, Unit
from mappings.engine.reader import Dialect, Letter, Limits, Source
from mappings.engine.rules import Line, RuleFile, TableRef
from mappings.engine.streams import TooLarge
from mappings.engine.tables import Table
from mappings.engine.validation import STRICT, Validation
from mappings.r4 import gate as gates

if TYPE_CHECKING:
    from mappings.r4.gate import Gate

ENGINE = "1"
"""Part of every release hash: raise it when the engine maps the same rules to other bytes."""

DEFAULT_BASE_URL = "https://gateway.example/fhir"
DIALECTS = {
    "er7": "mappings.engine.er7",
    "rows": "mappings.engine.rows",
    "fhir": "mappings.engine.fhirinput",
    "dicom": "mappings.engine.dicominput",
    "xml": "mappings.engine.xmlinput",
}
"""Input form -> its module. It defines `units(file, source, issues)`, and `DIALECT`, or `read(map, raw, ids, origin)`
and `lint(file, tables)` when it reads whole deliveries itself. `for_map(file, source)` gives a dialect of its own to
each map file; that dialect says which letters the file accepts and opens them for its rules."""

_SOURCE_WORDS = frozenset({"org", "name", "charset", "timezone", "space", "ids", "limits"})
SOURCE_OPTIONS = frozenset(
    {"envelope", "pseudo_utc", "snapshot"}  # of several forms
    | {"columns", "delimiter", "group", "rename", "watermark"}  # rows
    | {"overlap", "recode", "silent_after"}  # rows of a view the gateway reads itself
    | {"namespaces", "repair"}  # xml
    | {"resource_ids"}  # fhir
)
"""What else may stand in ``[source]``. A misspelt setting is a wrong one, so nothing else may."""


@dataclass(frozen=True, slots=True)
class Part:
    """One map file of a site, bound: which kinds of message it accepts and the blocks it runs."""

    file: RuleFile
    blocks: tuple[BoundBlock, ...]
    tables: Mapping[str, Table]
    dialect: Any = None
    program: Program | None = field(default=None, repr=False, compare=False)

    def accepts(self, letter: Letter) -> bool:
        if (by_form := getattr(self.dialect, "accepts", None)) is not None:
            return bool(by_form(self.file.extras.get("accept", {}), letter))
        return _accepts(self.file.accept, letter.kind)

    def opened(self, letter: Letter) -> Letter:
        """The letter as this file's rules see it."""
        by_form = getattr(self.dialect, "opened", None)
        found: Letter = letter if by_form is None else by_form(letter)
        return found


@dataclass(frozen=True, slots=True)
class Map:
    """What turns one source's deliveries into FHIR. Pure: same bytes, same ids, same answer.

    `release` is a hash over engine, rule files and tables; `source` holds the site's `[source]`
    settings (charset, zone, ids, options such as columns); `input` is er7, rows or fhir. `contents`
    are the bytes of every file that went in, by path (see `files`): `load` makes the same map of them.
    """

    organization: str
    release: str
    source: Source
    input: str
    parts: tuple[Part, ...]
    files: tuple[str, ...] = ()
    _module: Any = field(default=None, repr=False)
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    validation: Validation = STRICT

    def read(
        self,
        raw: bytes,
        ids: Ids,
        origin: str = "",
        gate: Gate | None = None,
        day: date | None = None,
    ) -> Reading:
        """Read one delivery. Never raises on bad input: trouble is an issue with its place.

        `origin` names the received bytes in the Provenance (the caller's digest of them). `day` is when
        they arrived: it decides which tier of `[validation]` is in force. What is mapped is validated by
        the `gate` of this map (`gate()` makes one; its counters decide how much is looked at); what
        comes as FHIR is always validated.
        """
        whole = getattr(self._module, "read", None)
        if whole is None:
            letters, issues = self.letters(raw)
            messages = tuple([self.map_letter(letter, ids, origin) for letter in letters])
            if (finished := getattr(self._module.DIALECT, "mapped", None)) is not None:
                finished(letters)
            read = Reading(messages, tuple(issues))
            return read if gate is None else gate.reading(read, day)
        found: list[Issue] = []
        readings: list[Reading] = [
            whole(self, inner, ids, origin, day) for inner in envelope.peel(raw, self.source, found)
        ]
        return Reading(
            tuple(message for reading in readings for message in reading.messages),
            (*found, *(issue for reading in readings for issue in reading.issues)),
        )

    def gate(self, everything: bool = False) -> Gate:
        """A fresh gate for `read`: keep it as long as this release runs, or check `everything`."""
        lines: dict[tuple[str, str], str] = {}
        for part in self.parts:
            for block in part.blocks:
                for rule in block.rules:
                    where = (block.name, rule.element)
                    # Two files with a block of one name: which of them spoke is not known here.
                    lines[where] = rule.line if lines.get(where, rule.line) == rule.line else ""
        return gates.Gate(self.validation, lines, everything)

    def letters(self, raw: bytes) -> tuple[list[Letter], list[Issue]]:
        """A delivery out of its envelope and cut, for the inputs that are read by rules."""
        letters: list[Letter] = []
        issues: list[Issue] = []
        for inner in envelope.peel(raw, self.source, issues):
            cut, found = self._module.DIALECT.cut(inner, self.source)
            letters += cut
            issues += found
        return letters, issues

    def units(self, raw: bytes) -> list[Unit]:
        """A delivery cut into what is kept apart, because each chart owns the copies of its messages.

        The same delivery always gives the same bytes, so what comes again is recognised. Reading the
        units one by one gives the resources of the whole. Nothing is lost: a delivery that cannot be
        read is one unit, and so is a FHIR Bundle, whomever it names.
        """
        try:
            return list(self.stream(io.BytesIO(raw), []))
        except TooLarge:
            return [Unit(raw)]

    def stream(self, file: BinaryIO, issues: list[Issue]) -> Iterator[Unit]:
        """`units` of a file of any size, which must be seekable; `issues` gets those of the delivery.

        Raises `TooLarge` when a single unit is larger than the source may send.
        """
        units: Callable[[BinaryIO, Source, list[Issue]], Iterator[Unit]] = self._module.units
        if not envelope.declared(self.source):
            return units(file, self.source, issues)
        return self._unwrapped(file, units, issues)

    def _unwrapped(
        self,
        file: BinaryIO,
        units: Callable[[BinaryIO, Source, list[Issue]], Iterator[Unit]],
        issues: list[Issue],
    ) -> Iterator[Unit]:
        """The envelope as it came around a single unit; the messages by themselves when it holds several."""
        raw = streams.whole(file, self.source.limits.bytes)
        inner = envelope.peel(raw, self.source, [])
        found = [unit for one in inner for unit in units(io.BytesIO(one), self.source, issues)]
        if len(found) < 2:
            yield Unit(raw, found[0].control_id if found else "")
        else:
            yield from found

    def map_letter(self, letter: Letter, ids: Ids, origin: str = "") -> Message:
        """Map one letter with the part that accepts its kind; a kind without map is a stop issue."""
        part = self.part(letter)
        stopped = any(issue.severity == "stop" for issue in letter.issues)
        if part is None and not stopped:
            stop = Issue("stop", "no-map", "MSH-9 (line 1)" if self.input == "er7" else "")
            letter = msgspec.structs.replace(letter, issues=(*letter.issues, stop))
        if part is None:
            return interpret.interpret((), letter, ids, self.source, self.facts(origin))
        letter = part.opened(letter)
        facts = self.facts(origin)
        return interpret.interpret(part.blocks, letter, ids, self.source, facts, part.program)

    def interpreted(self) -> Map:
        """The same map without generated code: slower, and the meaning it is measured by."""
        return replace(self, parts=tuple(replace(part, program=None) for part in self.parts))

    @property
    def dialect(self) -> Dialect | None:
        """The input form the rules address; None for FHIR, which is not read by rules."""
        dialect: Dialect | None = getattr(self._module, "DIALECT", None)
        return dialect

    def part(self, letter: Letter) -> Part | None:
        """The map file that accepts this kind of message."""
        return next((part for part in self.parts if part.accepts(letter)), None)

    def facts(self, origin: str) -> dict[str, str]:
        """What ``$name`` means in this map, beside what each letter says of itself."""
        return {
            "origin": origin,
            "release": f"{self.source.base_url}/map-release/{self.release}",
            "org": self.source.org,
            "org_name": self.source.name,
        }

    def explain(self, raw: bytes, ids: Ids, origin: str = "") -> Explained:
        """Where every element of what `read` gives comes from; holds patient data."""
        return explain.explain(self, raw, ids, origin)

    def coverage(self, raws: Iterable[bytes]) -> Coverage:
        """Which rules fired how often over these deliveries, and which fields no rule reads."""
        return coverage.coverage(self, raws)


@lru_cache(maxsize=1024)
def _accepts(accept: tuple[str, ...], kind: str) -> bool:
    return not accept or any(fnmatchcase(kind, pattern) for pattern in accept)


def load(site: Path | Mapping[str, bytes], base_url: str = DEFAULT_BASE_URL) -> Map:
    """Load a site's folder (every ``*.toml`` in it) or one map file; `MapError` lists all findings.

    `Map.contents` of an earlier load may stand in place of the folder: nothing else is read then.
    """
    loaded, findings = _load(site, base_url)
    if loaded is None or findings:
        raise MapError(findings)
    return loaded


def lint(site: Path | Mapping[str, bytes], base_url: str = DEFAULT_BASE_URL) -> list[Finding]:
    """Everything wrong in a site's folder or map file, with file, line, column and what to do."""
    loaded, findings = _load(site, base_url)
    return _once([*findings, *_doubts(loaded)]) if loaded is not None else findings


def _doubts(site: Map) -> Iterator[Finding]:
    """What `table_review` says about the site's own tables."""
    more = frozenset(
        row["code"]
        for part in site.parts
        if (table := part.tables.get("licensed")) is not None
        for row in table.rows()
    )
    for path, raw in site.contents.items():
        if path.endswith(".csv") and not path.startswith("/"):
            yield from table_review.review(PurePosixPath(path).name, raw, more)


# --- loading ---------------------------------------------------------------------------------------


class _Loader:
    def __init__(self, files: Files, base_url: str) -> None:
        self.files = files
        self.base_url = base_url.rstrip("/")
        self.findings: list[Finding] = []
        self.hashed: list[bytes] = []
        self.contents: dict[str, bytes] = {}
        self.tables: dict[tuple[str, str], Table] = {}  # by name and path: parts share them

    def find(self, line: Line, zh: str, en: str) -> None:
        self.findings.append(Finding(line.file, line.number, line.column, zh, en))

    def take(self, path: str | None) -> bytes | None:
        """The bytes of a file, which is part of the map from now on."""
        raw = self.files.get(path) if path is not None else None
        if path is not None and raw is not None:
            self.contents[path] = raw
        return raw

    def merged(self, path: str, raw: bytes, seen: tuple[str, ...] = ()) -> RuleFile | None:
        """A file laid over its base, and that over its own."""
        folder = PurePosixPath(path).parent
        parsed, findings = rules.read_file(raw, self.files.shown(path), folder)
        self.findings.extend(findings)
        if parsed is None or parsed.base is None:
            return parsed
        name, _, version = parsed.base.partition("@")
        below_path = within(SHIPPED, f"{name}.toml")
        below_raw = self.take(below_path)
        if below_path is None or below_raw is None or below_path in seen:
            self.find(
                parsed.line,
                f"找不到基础映射 {parsed.base}",
                f"the base map {parsed.base} does not exist",
            )
            return None
        below = self.merged(below_path, below_raw, (*seen, path))
        if below is None:
            return None
        if version and below.version != version:
            self.find(
                parsed.line,
                f"基础映射 {name} 现在是版本 {below.version}，这里写的是 {version}；请核对后改写",
                f"the base map {name} is now version {below.version}, not {version}; check and update",
            )
        below, findings = renaming.renamed(below, parsed)
        self.findings.extend(findings)
        merged, findings = rules.overlay(below, parsed)
        self.findings.extend(findings)
        return merged

    def source(
        self, settings: Mapping[str, Any], lines: Mapping[str, Line], line: Line
    ) -> Source | None:
        zone = self.zone(settings.get("timezone"), lines.get("timezone", line))
        charset = str(settings.get("charset", "utf-8")).lower()
        known_words = sorted(_SOURCE_WORDS | SOURCE_OPTIONS)
        for name in settings:
            if name not in known_words:
                near = get_close_matches(name, known_words, 3, 0.5) or known_words
                self.find(
                    lines.get(name, line),
                    f"[source] 不认识 {name}；可用：{', '.join(near)}",
                    f"[source] knows no {name}; known are: {', '.join(near)}",
                )
        org = settings.get("org")
        if not isinstance(org, str) or not org:
            self.find(line, "[source] 要写 org（机构编号）", "[source] needs org")
        if charset not in CODECS:
            known = ", ".join(CODECS)
            self.find(
                lines.get("charset", line),
                f"不认识字符集 {charset}；可用：{known}",
                f"unknown charset {charset}; known: {known}",
            )
            return None
        if zone is None or not isinstance(org, str):
            return None
        try:
            limits = msgspec.convert(settings.get("limits", {}), Limits)
        except msgspec.ValidationError as error:
            self.find(
                lines.get("limits", line), "[source] limits 写法不对", f"[source] limits: {error}"
            )
            return None
        return Source(
            org=org,
            name=str(settings.get("name", "")),
            charset=charset,
            zone=zone,
            space=str(settings.get("space", "main")),
            ids=dict(settings.get("ids", {})),
            limits=limits,
            options={name: value for name, value in settings.items() if name not in _SOURCE_WORDS},
            base_url=self.base_url,
        )

    def zone(self, name: object, line: Line) -> ZoneInfo | None:
        try:
            return ZoneInfo(str(name or "?"))
        except (ValueError, OSError, KeyError):
            self.find(
                line,
                "[source] 必须写 timezone，例如 Asia/Shanghai",
                "[source] needs a timezone, for example Asia/Shanghai",
            )
            return None

    def table(self, ref: TableRef, org: str) -> Table | None:
        system = f"{self.base_url}/CodeSystem/{org}-{ref.name}"
        if not ref.path:
            return tables.from_pairs(ref.name, system, ref.pairs)
        for folder in dict.fromkeys((ref.folder, SITE, SHIPPED)):
            path = within(folder, ref.path)
            raw = self.take(path)
            if path is not None and raw is not None:
                self.hashed.append(raw)
                if (ref.name, path) not in self.tables:
                    table, findings = tables.read_csv(Path(path), raw, ref.name, system)
                    self.findings.extend(findings)
                    self.tables[ref.name, path] = table
                return self.tables[ref.name, path]
        self.find(ref.line, f"找不到码表 {ref.path}", f"the table {ref.path} does not exist")
        return None


def _load(site: Path | Mapping[str, bytes], base_url: str) -> tuple[Map | None, list[Finding]]:
    read: Files = Folder(site) if isinstance(site, Path) else Kept(site)
    loader = _Loader(read, base_url)
    paths = read.rule_files()
    if not paths:
        loader.find(Line(read.name, 1), "这里没有映射文件", "there is no map file here")
        return None, loader.findings
    files = [
        file
        for path in paths
        if (file := loader.merged(path, loader.take(path) or b"")) is not None
    ]
    if len(files) < len(paths):
        return None, loader.findings
    common = [file for file in files if not file.blocks]
    maps = [file for file in files if file.blocks or file.input == "fhir"]
    settings: dict[str, Any] = {}
    lines: dict[str, Line] = {}
    refs: dict[str, TableRef] = {}
    for file in common:
        if file not in maps:
            settings |= file.source
            lines |= file.source_lines
            refs |= file.tables
    for file in maps:
        settings |= file.source
        lines |= file.source_lines
    first = files[0].line
    source = loader.source(settings, lines, first)
    for zh, en in envelope.lint(source) if source is not None else ():
        loader.find(lines.get("envelope", first), zh, en)
    inputs = {file.input or "er7" for file in maps}
    if len(inputs) != 1 or not inputs <= set(DIALECTS):
        known = ", ".join(DIALECTS)
        loader.find(
            first,
            f"一个来源的映射只能有一种 input：{known}",
            f"the maps of one source share one input: {known}",
        )
        return None, loader.findings
    if source is None:
        return None, loader.findings
    input_ = inputs.pop()
    module = importlib.import_module(DIALECTS[input_])
    dialect: Dialect | None = getattr(module, "DIALECT", None)
    parts: list[Part] = []
    for file in maps:
        bound_tables = _bind_tables(loader, {**file.tables, **refs}, source.org)
        blocks: tuple[BoundBlock, ...] = ()
        program: Program | None = None
        if (for_map := getattr(module, "for_map", None)) is not None:
            dialect, findings = for_map(file, source)
            loader.findings.extend(findings)
        if dialect is not None:
            setup = Setup(source, bound_tables)
            blocks, findings = binding.bind(file, dialect, setup)
            loader.findings.extend(findings)
            program = None if findings else compile_blocks(blocks, file, dialect, source)
        else:
            loader.findings.extend(module.lint(file, bound_tables))
        parts.append(Part(file, blocks, bound_tables, dialect, program))
    judged, findings = validation.read([*(file for file in common if file not in maps), *maps])
    loader.findings.extend(findings)
    layers = [layer for file in files for layer in file.layers]
    release = _release([*layers, *loader.hashed], loader.base_url)
    names = tuple(map(read.shown, paths))
    made = Map(
        source.org,
        release,
        source,
        input_,
        tuple(parts),
        names,
        module,
        loader.contents,
        judged,
    )
    return made, _once(loader.findings)


def _bind_tables(loader: _Loader, refs: Mapping[str, TableRef], org: str) -> dict[str, Table]:
    made: dict[str, Table] = {}
    for name, ref in refs.items():
        table = loader.table(ref, org)
        if table is not None:
            made[name] = table
    return made


def _release(pieces: Sequence[bytes], base_url: str) -> str:
    digest = hashlib.blake2b(f"{ENGINE}\n{base_url}\n".encode(), digest_size=16)
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.hexdigest()


def _once(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(set(findings), key=lambda finding: (finding.file, finding.line, finding.column))
