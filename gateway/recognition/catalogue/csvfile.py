"""Reads rows of text strictly: an unknown column, a doubtful cell or a double row refuses."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import NamedTuple, TypeVar

from gateway.recognition.catalogue.sheets import SHEETS, Sheet

T = TypeVar("T")


class Fault(NamedTuple):
    """One thing wrong: file or sheet, line (from 1), what, the same in Chinese, and the column."""

    file: str
    line: int
    text: str
    words: str = ""
    column: str = ""

    @property
    def zh(self) -> str:
        """Where and what, in Chinese: sheet, row, column."""
        sheet = SHEETS.get(self.file.removesuffix(".csv"))
        where = f"“{sheet.zh if sheet else self.file}”第 {self.line} 行"
        if self.column:
            where += f"“{sheet.called(self.column) if sheet else self.column}”列"
        return f"{where}：{self.words or self.text}"

    @property
    def en(self) -> str:
        """The same in English."""
        return f"{self.file}, row {self.line}: {self.text}"


class CatalogueFault(ValueError):
    """The files are refused; `faults` lists everything found, by file and line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{f.file}:{f.line}: {f.text}" for f in faults))
        self.faults = tuple(faults)


class Row:
    """One line, read column by column. What is wrong is noted, and a harmless value returned."""

    def __init__(self, file: str, line: int, cells: dict[str, str], faults: list[Fault]) -> None:
        self.file = file
        self.line = line
        self._cells = cells
        self._faults = faults

    @property
    def sheet(self) -> str:
        """The name of the sheet it belongs to."""
        return self.file.removesuffix(".csv")

    @property
    def said(self) -> frozenset[tuple[str, str]]:
        """Every column and its cell."""
        return frozenset(self._cells.items())

    def wrong(self, text: str, zh: str, column: str = "") -> None:
        """Refuse this line."""
        self._faults.append(Fault(self.file, self.line, text, zh, column))

    def text(self, column: str) -> str:
        """The cell as it stands; may be empty."""
        return self._cells[column]

    def must(self, column: str) -> str:
        """A cell that may not be empty."""
        if not self._cells[column]:
            self.wrong(f"{column} is empty", "不能为空", column)
        return self._cells[column]

    def words(self, column: str) -> tuple[str, ...]:
        """Several values with semicolons between (also ；), none of them twice."""
        cells = self._cells[column].replace("；", ";").split(";")
        found = tuple(word.strip() for word in cells if word.strip())
        if len(set(found)) != len(found):
            self.wrong(f"{column} names something twice", "有重复的值", column)
        return found

    def one_of(self, column: str, choices: Sequence[str]) -> str:
        """One word of a closed list."""
        if self._cells[column] not in choices:
            listed = [choice for choice in choices if choice]
            self.wrong(
                f"{column} is none of {', '.join(listed)}",
                f"只能是：{'、'.join(listed)}" + ("，或留空" if "" in choices else ""),
                column,
            )
            return choices[0]
        return self._cells[column]

    def yes(self, column: str) -> bool:
        """yes or no."""
        return self.one_of(column, ("no", "yes")) == "yes"

    def number(self, column: str) -> int:
        """A whole number from 0 to 9999."""
        cell = self._cells[column]
        if not (cell.isascii() and cell.isdigit() and len(cell) < 5):
            self.wrong(f"{column} is not a whole number", "不是整数（0 至 9999）", column)
            return 0
        return int(cell)

    def day(self, column: str) -> date | None:
        """A day as YYYY-MM-DD, or None for an empty cell."""
        cell = self._cells[column]
        if not cell:
            return None
        try:
            day = date.fromisoformat(cell)
        except ValueError:
            day = None
        if day is None or day.isoformat() != cell or not 1970 < day.year < 9999:
            self.wrong(f"{column} is not a day (YYYY-MM-DD)", "不是日期（如 2026-03-01）", column)
            return None
        return day


def rows(
    file: str,
    sheet: Sheet,
    head: Sequence[str],
    lines: Iterator[tuple[int, Sequence[str]]],
    faults: list[Fault],
) -> Iterator[Row]:
    """The lines under a head that names the sheet's columns; one that may be left out has its own
    meaning then. Faults are added to the list."""
    needed = {column.name for column in sheet.columns if column.missing is None}
    strange = (set(head) - set(sheet.names)) | (needed - set(head))
    if strange or len(head) != len(set(head)):
        shown = ", ".join(sorted(strange))
        called = "、".join(sheet.called(one) for one in sorted(strange))
        faults.append(
            Fault(
                file, 1, f"columns missing, unknown or twice: {shown}",
                f"表头有缺少、不认识或重复的列：{called}",
            )
        )  # fmt: skip
        return
    left_out = {one.name: one.missing for one in sheet.columns if one.name not in head}
    for number, cells in lines:
        if len(cells) != len(head):
            faults.append(Fault(file, number, "another number of cells", "单元格数与表头不一致"))
            continue
        for column, cell in zip(head, cells, strict=True):
            if any(ord(letter) < 32 for letter in cell.strip()):
                faults.append(
                    Fault(
                        file, number, f"{column} holds control characters", "含有控制字符", column
                    )
                )
        found = {column: cell.strip() for column, cell in zip(head, cells, strict=True)}
        yield Row(file, number, found | {k: v or "" for k, v in left_out.items()}, faults)


def read(file: str, body: bytes, sheet: Sheet, faults: list[Fault]) -> Iterator[Row]:
    """The lines of a CSV file of that sheet; faults are added to the list."""
    try:
        text = body.decode("utf-8-sig")  # Excel puts a mark in front
    except UnicodeDecodeError:
        faults.append(Fault(file, 1, "not UTF-8", "不是 UTF-8 编码"))
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = next(reader, [])
        lines = ((reader.line_num, cells) for cells in reader if cells and cells != [""])
        yield from rows(file, sheet, head, lines, faults)
    except csv.Error:
        faults.append(Fault(file, reader.line_num, "not a CSV line", "不是 CSV 行"))


def without_doubles(
    found: Sequence[tuple[Row, T]], key: Callable[[T], object], what: str, zh: str
) -> list[T]:
    """The values; a key that stands twice is noted at its second line."""
    seen: set[object] = set()
    for row, value in found:
        if key(value) in seen:
            row.wrong(f"{what} stands twice", f"{zh}重复")
        seen.add(key(value))
    return [value for _, value in found]
