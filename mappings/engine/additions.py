"""One row more in a table of a map: which files change, and how, so that a person could have typed it.

Works on `Map.contents`. A row of the hospital's own CSV is added, or takes the place of the row that
waited for an answer; pairs written in a rule file get one more; a table that only the shipped base
has is copied into the hospital's folder and declared, and the shipped one is left alone.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from mappings.engine import tables, unit_kinds
from mappings.engine.suggestions import TableKind, kind_of
from mappings.engine.tables import ITEM_COLUMNS, SAME, Read, ReadRow

_RULE_WORDS = frozenset({"map", "source", "tables", "let", "each"})
_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_GIVES: Mapping[TableKind, str] = {"items": "loinc", "units": "ucum", "codes": "target"}
_HEADINGS: Mapping[TableKind, tuple[str, ...]] = {
    "items": ITEM_COLUMNS,
    "units": ("text", "ucum", "state", "by", "on", "note"),
    "codes": ("code", "target", "state", "by", "on", "note"),
}


class CannotAdd(Exception):
    """The row cannot stand in that table; the sentences say why and hold no code of it."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh, self.en = zh, en
        super().__init__(en)


class Declared(NamedTuple):
    """A table of a map as its files declare it."""

    file: str  # the site's rule file that declares it, empty when only the base does
    path: str  # its CSV in the contents, empty for pairs
    pairs: Mapping[str, str]


def declared(contents: Mapping[str, bytes], name: str) -> Declared:
    """Where a table of the map stands; `CannotAdd` when no file declares it."""
    for own in (True, False):
        for path in sorted(contents):
            if path.endswith(".toml") and path.startswith("/") is not own:
                found = tomllib.loads(contents[path].decode("utf-8-sig")).get("tables", {})
                if name in found:
                    return _declared(contents, path if own else "", found[name])
    raise CannotAdd("映射里没有这个码表", "the map has no table of that name")


def _declared(contents: Mapping[str, bytes], file: str, value: Any) -> Declared:
    if isinstance(value, dict):
        return Declared(file, "", {str(code): str(target) for code, target in value.items()})
    path = next((place for place in (str(value), f"/{value}") if place in contents), "")
    if not path:
        raise CannotAdd("码表文件不在映射里", "the table's file is not part of the map")
    return Declared(file, path, {})


def kind(contents: Mapping[str, bytes], name: str) -> TableKind:
    """What the table gives: LOINC, UCUM or a target."""
    at = declared(contents, name)
    if at.path:
        return kind_of(tables.read(at.path, contents[at.path])[0].header)
    return "units" if name == "units" else "codes"


def add_row(
    contents: Mapping[str, bytes], name: str, code: str, cells: Mapping[str, str]
) -> dict[str, bytes]:
    """The files that change when the table gets a row for `code`; `cells` are named by column.

    Cells of columns the table does not have are left out, but for what the table is there to give.
    Raises `CannotAdd`.
    """
    if not code.strip() or code != code.strip() or _CONTROL.search(code):
        raise CannotAdd(
            "代码为空或带有空白、控制字符，不能写进码表",
            "an empty code, or one with blanks, cannot stand in a table",
        )
    if code[0] in "#=@":
        raise CannotAdd(
            "以 #、= 或 @ 开头的代码不能写进码表",
            "a code that begins with #, = or @ cannot stand in a table",
        )
    at = declared(contents, name)
    if at.path and not at.path.startswith("/"):
        return {at.path: with_row(at.path, contents[at.path], code, cells)}
    if not at.path and at.file and "target" in cells and re.fullmatch(r"[^\"\\]+", code):
        return {at.file: _with_pair(contents[at.file], name, code, cells["target"])}
    return _with_own_table(contents, name, at, code, cells)


# --- a row of a CSV ------------------------------------------------------------------------------------


def with_row(shown: str, raw: bytes, code: str, cells: Mapping[str, str]) -> bytes:
    """The bytes of a CSV table with a row for `code`, line ends and mark in front as they were."""
    found, findings = tables.read(shown, raw)
    gives = _GIVES[kind_of(found.header)] if found.header else ""
    if findings or gives not in found.header:
        raise CannotAdd(
            "码表本身有问题，请先改正（mappings lint）",
            "the table itself has faults; see `mappings lint`",
        )
    if not cells.get(gives) and cells.get("relation") != "unmatched":
        raise CannotAdd(f"没有填写 {gives}", f"{gives} is empty")
    row = {**cells, found.header[0]: code}
    line = _written([code, *(_plain(row.get(column, "")) for column in found.header[1:])])
    mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    end = "\r\n" if b"\r\n" in raw else "\n"
    lines = tables.lines_of(raw.decode("utf-8-sig"))
    old = _replaced(found, code, row)
    if old is None:
        lines.append(line)
    else:
        lines[old.number - 1 : old.last] = [line]
    return mark + "".join(one + end for one in lines).encode()


def _replaced(found: Read, code: str, row: Mapping[str, str]) -> ReadRow | None:
    """The row of this key that says nothing yet: not approved, or approved as having no equal."""
    for line in found.lines:
        old = line.row
        if old[found.header[0]] != code or _any(old) != _any(row):
            continue
        gives = _GIVES[kind_of(found.header)]
        used = old.get("state", "") in ("", "approved")
        if not used or not old[gives] or old.get("relation", "") not in SAME:
            return line
        known, new = (unit_kinds.kind(one.get("unit", "")) for one in (old, row))
        if not known or not new or known == new:
            raise CannotAdd("码表里已有这个代码", "the table has a row for this code already")
    return None


def _any(row: Mapping[str, str]) -> str:
    specimen = row.get("specimen", "")
    return "" if specimen == "*" else specimen


def _plain(cell: str) -> str:
    """A cell without line ends, and none that a spreadsheet would run as a formula."""
    flat = re.sub(r"\s+", " ", cell).strip()
    return f"'{flat}" if flat[:1] in ("=", "@") else flat


def _written(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


# --- a pair in a rule file -------------------------------------------------------------------------------


def _with_pair(raw: bytes, name: str, code: str, target: str) -> bytes:
    """One more ``"code" = "target"`` in an inline table of `[tables]`."""
    text = raw.decode()
    for number, (line, inside) in enumerate(_sections(text)):
        match = re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=\s*\{{", line)
        if inside == "tables" and match:
            close = line.index("}", _end_of_last_pair(line, match.end()))
            before = line[:close].rstrip()
            comma = "" if before.endswith("{") else ","
            lines = text.splitlines(keepends=True)
            lines[number] = f'{before}{comma} "{code}" = "{target}" {line[close:]}'
            made = "".join(lines)
            if tomllib.loads(made)["tables"][name].get(code) == target:
                return made.encode()
    raise CannotAdd("请在规则文件里手工添加这一行", "add this line to the rule file by hand")


def _end_of_last_pair(line: str, start: int) -> int:
    """Behind the last quoted text of an inline table that begins at `start`."""
    at = start
    while match := re.compile(r"[^\"}#]*\"[^\"]*\"").match(line, at):
        at = match.end()
    return at


def _sections(text: str) -> list[tuple[str, str]]:
    """Each line (with its end) and the section it stands in."""
    found, inside = [], ""
    for line in text.splitlines(keepends=True):
        header = _HEADER.match(line)
        inside = header[1].strip("\"' ") if header else inside
        found.append((line, inside))
    return found


# --- a table of the hospital's own -------------------------------------------------------------------------


def _with_own_table(
    contents: Mapping[str, bytes], name: str, at: Declared, code: str, cells: Mapping[str, str]
) -> dict[str, bytes]:
    """The shipped table, or the pairs, copied into the site's folder with the row, and declared."""
    path = f"codes/{name}.csv"
    if path in contents:
        raise CannotAdd(f"{path} 已被占用，请手工添加", f"{path} is taken; add the row by hand")
    if at.path:
        raw = contents[at.path]
    else:
        kinds: tuple[TableKind, ...] = ("items", "units", "codes")
        gives: TableKind = next((kind for kind in kinds if _GIVES[kind] in cells), "codes")
        heading = _HEADINGS[gives]
        rows = [{heading[0]: known, _GIVES[gives]: target} for known, target in at.pairs.items()]
        lines = [list(heading), *([row.get(column, "") for column in heading] for row in rows)]
        raw = "".join(f"{_written(line)}\n" for line in lines).encode()
    changed = {path: with_row(path, raw, code, cells)}
    for file in _declaring(contents, at):
        changed[file] = _declaration(contents[file], name, path)
    return changed


def _declaring(contents: Mapping[str, bytes], at: Declared) -> list[str]:
    """The rule files that must name the new table: the one that did, the common one, or every one."""
    if at.file:
        return [at.file]
    own = sorted(path for path in contents if path.endswith(".toml") and "/" not in path)
    common = [path for path in own if _is_common(contents[path])]
    return common[:1] or own


def _is_common(raw: bytes) -> bool:
    """Whether a rule file has neither blocks of its own nor a base's: it says what all share."""
    document = tomllib.loads(raw.decode("utf-8-sig"))
    return set(document) <= _RULE_WORDS and "base" not in document.get("map", {})


def _declaration(raw: bytes, name: str, path: str) -> bytes:
    """The rule file with ``name = "path"`` in its `[tables]`."""
    text = raw.decode("utf-8-sig")
    line = f'{name} = "{path}"\n'
    lines = text.splitlines(keepends=True)
    sections = [inside for _, inside in _sections(text)]
    for number, inside in enumerate(sections):
        if inside == "tables" and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=", lines[number]):
            lines[number] = line
            break
    else:
        if "tables" in sections:
            lines.insert(sections.index("tables") + 1, line)
        else:
            block = next(
                (n for n, inside in enumerate(sections) if inside and inside not in _RULE_WORDS),
                len(lines),
            )
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            lines[block:block] = ["[tables]\n", line, "\n"]
    made = "".join(lines)
    if tomllib.loads(made)["tables"][name] != path:
        raise CannotAdd(
            "请在规则文件里手工添加这个码表", "declare this table in the rule file by hand"
        )
    return made.encode()
