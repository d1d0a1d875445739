"""Code tables: CSV files a hospital can open in WPS, read once into dictionaries.

The first column is the code as sent. Lines that begin with ``#`` say where the table is from and
when. A ``specimen`` column makes it part of the key (``*`` = any). A row whose ``state`` is filled
with anything but ``approved`` is not used. Other columns mean what the function that reads the table
says: ``target``, ``display``, ``system``, ``loinc``, ``relation``, ``ucum``, ``ordinal``,
``interpretation``, ``absent``, ``alarm``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from mappings.engine.model import Finding

Row = Mapping[str, str]

_EXCEL_DAMAGE = re.compile(r"\d(?:\.\d+)?E\+\d+|\d{1,2}月\d{1,2}日|#(?:N/A|REF!|NAME\?)")


class Table:
    """One table. `system` is the code system of its local codes: one system per dictionary."""

    __slots__ = ("_lines", "_rows", "_specimens", "name", "system")

    def __init__(
        self,
        name: str,
        system: str,
        rows: Mapping[tuple[str, str], Row],
        lines: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.name = name
        self.system = system
        self._lines = lines or {}
        self._rows = {code: row for (code, specimen), row in rows.items() if specimen in ("", "*")}
        self._specimens = {key: row for key, row in rows.items() if key[1] not in ("", "*")}

    def get(self, code: str, specimen: str = "") -> Row | None:
        """The row for a code: of that very specimen first, then the one for any specimen."""
        if specimen and (row := self._specimens.get((code, specimen))) is not None:
            return row
        return self._rows.get(code)

    def where(self, code: str, specimen: str = "") -> str:
        """Where the row that `get` answers stands, as ``file:line``; empty for pairs written in the map."""
        keys = ((code, specimen), (code, ""), (code, "*"))
        return next((self._lines[key] for key in keys if key in self._lines), "")

    def __len__(self) -> int:
        return len(self._rows) + len(self._specimens)


def from_pairs(name: str, system: str, pairs: Mapping[str, str]) -> Table:
    """A table written in the map: code to target."""
    return Table(name, system, {(code, ""): {"target": target} for code, target in pairs.items()})


def read_csv(path: Path, raw: bytes, name: str, system: str) -> tuple[Table, list[Finding]]:
    """Read a CSV table; findings name damaged, doubled and impossible rows, which are not used."""
    findings: list[Finding] = []
    rows: dict[tuple[str, str], Row] = {}
    lines: dict[tuple[str, str], str] = {}
    shown = path.name

    def find(line: int, zh: str, en: str) -> None:
        findings.append(Finding(shown, line, 1, zh, en))

    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        find(1, "码表要存成 UTF-8 CSV", "save the table as UTF-8 CSV")
        return Table(name, system, {}), findings
    header: list[str] = []
    for number, line in enumerate(csv.reader(text.splitlines()), 1):
        if not line or not any(line) or line[0].startswith("#"):
            continue
        if not header:
            header = [column.strip() for column in line]
            continue
        if len(line) != len(header):
            find(
                number,
                f"这一行有 {len(line)} 列，表头有 {len(header)} 列",
                f"this row has {len(line)} columns, the heading has {len(header)}",
            )
            continue
        row = dict(zip(header, (cell.strip() for cell in line), strict=True))
        code = row[header[0]]
        if _EXCEL_DAMAGE.search(code):
            find(
                number,
                "代码被表格软件改坏了（科学计数或日期），请改成文本格式",
                "the code was damaged by a spreadsheet (exponent or date); format the column as text",
            )
            continue
        loinc = row.get("loinc", "")
        if loinc and not loinc_valid(loinc):
            find(number, "LOINC 校验位不对", "the LOINC check digit is wrong")
            continue
        if row.get("state", "approved") not in ("", "approved"):
            continue
        key = (code, row.get("specimen", ""))
        if key in rows:
            find(
                number,
                "同一代码（和标本）出现两次，只用第一行",
                "a code (and specimen) stands twice; only the first row is used",
            )
            continue
        rows[key] = row
        lines[key] = f"{shown}:{number}"
    return Table(name, system, rows, lines), findings


def loinc_valid(code: str) -> bool:
    """Whether a LOINC number has a valid check digit (mod 10)."""
    match = re.fullmatch(r"(\d{1,7})-(\d)", code)
    if match is None:
        return False
    total = 0
    for index, digit in enumerate(reversed(match[1])):
        doubled = int(digit) * (2 if index % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return (10 - total % 10) % 10 == int(match[2])
