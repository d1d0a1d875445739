"""Reads reviewed CSV files strictly: an unknown column, a doubtful cell or a double row refuses."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Fault(NamedTuple):
    """One thing wrong in a file, at a line (from 1)."""

    file: str
    line: int
    text: str


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

    def wrong(self, text: str) -> None:
        """Refuse this line."""
        self._faults.append(Fault(self.file, self.line, text))

    def text(self, column: str) -> str:
        """The cell as it stands; may be empty."""
        return self._cells[column]

    def must(self, column: str) -> str:
        """A cell that may not be empty."""
        if not self._cells[column]:
            self.wrong(f"{column} is empty")
        return self._cells[column]

    def words(self, column: str) -> tuple[str, ...]:
        """Several values with semicolons between, none of them twice."""
        found = tuple(word.strip() for word in self._cells[column].split(";") if word.strip())
        if len(set(found)) != len(found):
            self.wrong(f"{column} names something twice")
        return found

    def one_of(self, column: str, choices: Sequence[str]) -> str:
        """One word of a closed list."""
        if self._cells[column] not in choices:
            self.wrong(f"{column} is none of {', '.join(filter(None, choices))}")
            return choices[0]
        return self._cells[column]

    def yes(self, column: str) -> bool:
        """yes or no."""
        return self.one_of(column, ("no", "yes")) == "yes"

    def number(self, column: str) -> int:
        """A whole number from 0."""
        cell = self._cells[column]
        if not (cell.isascii() and cell.isdigit()):
            self.wrong(f"{column} is not a whole number")
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
        if day is None or day.isoformat() != cell:
            self.wrong(f"{column} is not a day (YYYY-MM-DD)")
            return None
        return day


def read(path: Path, columns: Sequence[str], faults: list[Fault]) -> Iterator[Row]:
    """The lines of a file whose head must name exactly `columns`; faults are added to the list."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Excel puts a mark in front
    except UnicodeDecodeError:
        faults.append(Fault(path.name, 1, "not UTF-8"))
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = next(reader, [])
        strange = set(head) ^ set(columns)
        if strange or len(head) != len(set(head)):
            faults.append(
                Fault(path.name, 1, f"columns missing, unknown or twice: {strange or ''}")
            )
            return
        for cells in reader:
            if not cells or cells == [""]:
                continue
            if len(cells) != len(head):
                faults.append(Fault(path.name, reader.line_num, "another number of cells"))
                continue
            yield Row(
                path.name,
                reader.line_num,
                {column: cell.strip() for column, cell in zip(head, cells, strict=True)},
                faults,
            )
    except csv.Error:
        faults.append(Fault(path.name, reader.line_num, "not a CSV line"))


def without_doubles(
    found: Sequence[tuple[Row, T]], key: Callable[[T], object], what: str
) -> list[T]:
    """The values; a key that stands twice is noted at its second line."""
    seen: set[object] = set()
    for row, value in found:
        if key(value) in seen:
            row.wrong(f"{what} stands twice")
        seen.add(key(value))
    return [value for _, value in found]
