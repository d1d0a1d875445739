"""Code tables: CSV files a hospital can open in WPS, read once into dictionaries.

The first column is the code as sent. Lines that begin with ``#`` say where the table is from and
when. A ``specimen`` column makes it part of the key (``*`` = any). Where one code (and specimen) has
several rows whose ``unit`` cells measure different kinds of things, the unit sent chooses among
them. A row whose ``state`` is filled with anything but ``approved`` is not used. Other columns mean
what the function that reads the table says; `COLUMNS` lists them all.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mappings.engine import unit_kinds
from mappings.engine.model import Finding

Row = Mapping[str, str]

ITEM_COLUMNS = (
    "code",
    "name",
    "specimen",
    "loinc",
    "relation",
    "unit",
    "state",
    "by",
    "on",
    "note",
)
"""The heading of a hospital's table of laboratory items."""

COLUMNS = frozenset(
    {
        *ITEM_COLUMNS, "text", "target", "system", "display", "ucum", "ordinal", "interpretation",
        "absent", "alarm", "base", "mode", "fill", "deletes",
        # The county's own catalogues.
        "aliases", "items", "property", "sure", "number", "role", "modality", "body_part", "laterality",
    }
)  # fmt: skip
"""Every column a table may have beside its first."""

RELATIONS = ("", "equal", "equivalent", "wider", "narrower", "inexact", "unmatched")
SAME = frozenset({"", "equal", "equivalent"})
"""Relations that say the same thing; all others are shown, never counted as the same test."""

_DAMAGE = re.compile(
    r"\d(?:\.\d+)?E\+\d+"
    r"|\d{1,2}月\d{1,2}日|\d{1,2}-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{1,2}"
    r"|\d{4}[-/]\d{1,2}[-/]\d{1,2}(?: .*)?"
    r"|#(?:N/A|REF!|NAME\?|VALUE!)"
)
_ROUNDED = re.compile(r"[1-9]\d{14}0{1,}")  # a spreadsheet keeps fifteen digits


class Table:
    """One table. `system` is the code system of its local codes: one system per dictionary."""

    __slots__ = ("_kinds", "_lines", "_rows", "_specimens", "by_unit", "name", "system")

    def __init__(
        self,
        name: str,
        system: str,
        rows: Mapping[tuple[str, str], Row],
        kinds: Mapping[tuple[str, str, str], Row] | None = None,
        lines: Mapping[int, str] | None = None,
    ) -> None:
        """`kinds` holds the rows that only the kind of the unit sent tells apart; `lines` says where
        a row stands, by the row's `id`."""
        self.name = name
        self.system = system
        self._lines = lines or {}
        self._rows = {code: row for (code, specimen), row in rows.items() if specimen in ("", "*")}
        self._specimens = {key: row for key, row in rows.items() if key[1] not in ("", "*")}
        self._kinds = dict(kinds or {})
        self.by_unit = bool(self._kinds)

    def get(self, code: str, specimen: str = "", kind: str = "") -> Row | None:
        """The row for a code: of that very specimen first, then the one for any specimen.

        `kind` is what the unit sent measures (`unit_kinds.kind`); where rows differ only by it, a unit
        of another kind finds none of them.
        """
        for place in (specimen, "") if specimen else ("",):
            if self.by_unit and (row := self._kinds.get((code, place, kind))) is not None:
                return row
            row = self._specimens.get((code, place)) if place else self._rows.get(code)
            if row is not None:
                return row
        return None

    def rows(self) -> Iterator[Row]:
        """Every row that is used."""
        yield from self._rows.values()
        yield from self._specimens.values()
        yield from self._kinds.values()

    def where(self, code: str, specimen: str = "", kind: str = "") -> str:
        """Where the row that `get` answers stands, as ``file:line``; empty for pairs written in the map."""
        return self._lines.get(id(self.get(code, specimen, kind)), "")

    def __len__(self) -> int:
        return len(self._rows) + len(self._specimens) + len(self._kinds)


def from_pairs(name: str, system: str, pairs: Mapping[str, str]) -> Table:
    """A table written in the map: code to target."""
    rows = {(code, ""): {"code": code, "target": target} for code, target in pairs.items()}
    return Table(name, system, rows)


class Read(NamedTuple):
    """A table file as it stands: its comments, heading and rows, each with its line and columns."""

    comments: tuple[str, ...]
    header: tuple[str, ...]
    lines: tuple[ReadRow, ...]

    @property
    def used(self) -> list[ReadRow]:
        """The rows the engine may use."""
        return [line for line in self.lines if line.row.get("state", "") in ("", "approved")]


class ReadRow(NamedTuple):
    """One row: the lines of the file it takes, the first of them as written, its cells by column."""

    number: int
    last: int
    text: str
    row: dict[str, str]

    def column(self, header: Sequence[str], name: str) -> int:
        """Where a cell begins in its line, counted from 1."""
        return _start(_starts(self.text), header.index(name) if name in header else 0)


def read(shown: str, raw: bytes) -> tuple[Read, list[Finding]]:
    """The rows of a CSV table, and what keeps some of them from being read at all."""
    findings: list[Finding] = []
    find = _Find(shown, findings)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        find(
            1,
            "码表要存成 UTF-8 CSV（WPS：另存为，编码选 UTF-8）",
            "save the table as UTF-8 CSV",
        )
        return Read((), (), ()), findings
    comments: list[str] = []
    header: tuple[str, ...] = ()
    rows: list[ReadRow] = []
    lines = lines_of(text)
    reader = csv.reader(lines)
    before = 0
    try:
        for cells in reader:
            number, before = before + 1, reader.line_num
            if not any(cells):
                continue
            if cells[0].startswith("#") and not _DAMAGE.fullmatch(cells[0]):
                comments.append(lines[number - 1])
                continue
            if not header:
                header = tuple(column.strip() for column in cells)
                _heading(header, lines[number - 1], number, find)
                continue
            if len(cells) != len(header):
                find(
                    number,
                    f"这一行有 {len(cells)} 列，表头有 {len(header)} 列",
                    f"this row has {len(cells)} columns, the heading has {len(header)}",
                )
                continue
            named = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            rows.append(ReadRow(number, before, lines[number - 1], named))
    except csv.Error:
        find(before + 1, "这一行不是 CSV（引号没有配对？）", "not a CSV line (an open quote?)")
    if not header and not findings:
        find(1, "码表没有表头", "the table has no heading")
    return Read(tuple(comments), header, tuple(rows)), findings


def write(found: Read) -> bytes:
    """The table as a CSV file: comments, heading, rows; `read` gives them again."""
    out = io.StringIO()
    for comment in found.comments:
        out.write(f"{comment}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(found.header)
    writer.writerows([line.row[column] for column in found.header] for line in found.lines)
    return out.getvalue().encode()


def lines_of(text: str) -> list[str]:
    """The lines of a CSV text: only CR and LF end one, whatever else a cell may hold."""
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


def _heading(header: Sequence[str], line: str, number: int, find: _Find) -> None:
    starts = _starts(line)
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        find(number, "列要用逗号分开", "separate the columns with commas")
        return
    for at, column in enumerate(header):
        if at and column not in COLUMNS:
            find(
                number,
                f"不认识的列 {column!r}；可用：{'、'.join(sorted(COLUMNS))}",
                f"unknown column {column!r}; known: {', '.join(sorted(COLUMNS))}",
                _start(starts, at),
            )
        elif column in header[:at]:
            find(
                number,
                f"列 {column} 出现两次",
                f"the column {column} stands twice",
                _start(starts, at),
            )


def _starts(line: str) -> tuple[int, ...]:
    """Where each cell of a line begins, counted from 1."""
    starts, quoted = [1], False
    for at, sign in enumerate(line, 1):
        if sign == '"':
            quoted = not quoted
        elif sign == "," and not quoted:
            starts.append(at + 1)
    return tuple(starts)


def _start(starts: Sequence[int], at: int) -> int:
    """Where a cell begins; 1 where quotes inside cells make that unclear."""
    return starts[at] if at < len(starts) else 1


class _Find:
    """Collects findings of one file."""

    def __init__(self, shown: str, findings: list[Finding]) -> None:
        self.shown, self.findings = shown, findings

    def __call__(self, line: int, zh: str, en: str, column: int = 1) -> None:
        self.findings.append(Finding(self.shown, line, column, zh, en))


def read_csv(path: Path, raw: bytes, name: str, system: str) -> tuple[Table, list[Finding]]:
    """Read a CSV table; findings name damaged, doubled and impossible rows, which are not used."""
    found, findings = read(path.name, raw)
    find = _Find(path.name, findings)
    keyed: dict[tuple[str, str], list[ReadRow]] = {}
    for line in found.lines:
        if not _sound(line, found.header, find):
            continue
        if line.row.get("state", "") not in ("", "approved"):
            continue
        specimen = line.row.get("specimen", "")
        key = (line.row[found.header[0]], "" if specimen == "*" else specimen)
        keyed.setdefault(key, []).append(line)
    rows: dict[tuple[str, str], Row] = {}
    kinds: dict[tuple[str, str, str], Row] = {}
    for key, lines in keyed.items():
        rows[key] = lines[0].row
        if len(lines) > 1:
            told = {unit_kinds.kind(line.row.get("unit", "")): line.row for line in reversed(lines)}
            if len(told) == len(lines) and "" not in told:
                del rows[key]
                kinds |= {(*key, kind): row for kind, row in told.items()}
            else:
                for line in lines[1:]:
                    find(
                        line.number,
                        "同一代码（和标本）出现两次，单位也分不开，只用第一行",
                        "a code (and specimen) stands twice and the units do not tell them apart;"
                        " only the first row is used",
                    )
    findings.sort(key=lambda finding: (finding.line, finding.column))
    places = {id(line.row): f"{path.name}:{line.number}" for line in found.lines}
    return Table(name, system, rows, kinds, places), findings


def _sound(line: ReadRow, header: Sequence[str], find: _Find) -> bool:
    """Whether a row can be used at all; what cannot is said."""
    code = line.row[header[0]]
    if _DAMAGE.fullmatch(code) or _ROUNDED.fullmatch(code):
        find(
            line.number,
            "代码被表格软件改坏了（科学计数、日期或丢了尾数），请把该列设为文本格式后重新填写",
            "the code was damaged by a spreadsheet (exponent, date or lost digits);"
            " format the column as text and enter it again",
        )
        return False
    loinc = line.row.get("loinc", "")
    if loinc and not loinc_valid(loinc):
        find(
            line.number,
            "LOINC 校验位不对，请对照 LOINC 重新填写",
            "the LOINC check digit is wrong; look the number up again",
            line.column(header, "loinc"),
        )
        return False
    relation = line.row.get("relation", "")
    if relation not in RELATIONS:
        known = ", ".join(filter(None, RELATIONS))
        find(
            line.number,
            f"relation 只能是：{known}",
            f"relation is one of: {known}",
            line.column(header, "relation"),
        )
        return False
    return True


def loinc_valid(code: str) -> bool:
    """Whether a LOINC number has a valid check digit (mod 10)."""
    match = re.fullmatch(r"(\d{1,7})-(\d)", code, re.ASCII)
    if match is None:
        return False
    total = 0
    for index, digit in enumerate(reversed(match[1])):
        doubled = int(digit) * (2 if index % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return (10 - total % 10) % 10 == int(match[2])
