"""The catalogue as an Excel workbook, out and in again: the same content comes back as the same.

Nothing in a workbook is evaluated. Text that a spreadsheet could take for a formula is written with an
apostrophe before it; a formula, or such text without one, is refused when it is read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from gateway.recognition.catalogue import Catalogue, csvfile
from gateway.recognition.catalogue.csvfile import CatalogueFault, Fault, Row
from gateway.recognition.catalogue.reader import Reader
from gateway.recognition.catalogue.sheets import SHEETS, VERSIONED, Sheet

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LARGEST = 5_000_000  # bytes of a workbook
UNPACKED = 60_000_000  # bytes of its parts together
ROWS = 20_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_APOSTROPHE = "'"


def write(cells: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """A workbook with one tab for each of these sheets, heads in Chinese, every cell text."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, lines in cells.items():
        sheet = SHEETS[name]
        tab = book.create_sheet(sheet.zh)
        for number, line in enumerate(([one.zh for one in sheet.columns], *lines), 1):
            for place, text in enumerate(line, 1):
                cell = tab.cell(number, place)
                cell.value = _harmless(text) if number > 1 else text
                cell.data_type = "s"
                cell.number_format = "@"
                if number == 1:
                    cell.font = Font(bold=True)
                    cell.fill = PatternFill("solid", fgColor="E8EEF4")
                    cell.alignment = Alignment(vertical="top", wrap_text=True)
        for place, column in enumerate(sheet.columns, 1):
            longest = max((len(line[place - 1]) for line in lines), default=0)
            width = min(40, max(10, longest + 2, 2 * len(column.zh) + 2))
            tab.column_dimensions[get_column_letter(place)].width = width
        tab.freeze_panes = "C2"
        tab.auto_filter.ref = tab.dimensions
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


def read(body: bytes, zone: tzinfo, sheets: Sequence[Sheet] = VERSIONED) -> Catalogue:
    """The catalogue in a workbook; CatalogueFault says everything that is wrong by sheet, row, column.

    Exactly these sheets must be there; none but the catalogue's can be told from others' content.
    """
    faults: list[Fault] = []
    reader = Reader(zone, faults)
    for row in rows(body, sheets, faults):
        reader.keep(row)
    if faults and not reader.anything:
        raise CatalogueFault(faults)
    return reader.catalogue()


def rows(body: bytes, sheets: Sequence[Sheet], faults: list[Fault]) -> Iterator[Row]:
    """The rows of a workbook's sheets; what is wrong goes to the faults."""
    book = _opened(body, faults)
    if book is None:
        return
    tabs = {sheet.zh: sheet for sheet in sheets}
    faults.extend(
        Fault(name, 1, "not a sheet of the catalogue", "不是目录的工作表")
        for name in book.sheetnames
        if name not in tabs
    )
    for sheet in sheets:
        if sheet.zh not in book.sheetnames:
            faults.append(Fault(sheet.name, 1, "the sheet is missing", "缺少这个工作表"))
            continue
        lines = _lines(book[sheet.zh], sheet, faults)
        first = next(lines, None)
        head = [_english(sheet, text) for text in (first[1] if first else [])]
        while head and not head[-1]:
            head.pop()
        yield from csvfile.rows(sheet.name, sheet, head, _fitted(lines, len(head)), faults)
    book.close()


def _opened(body: bytes, faults: list[Fault]) -> Any:
    """The workbook, when it is one of bearable size and nothing hides in it."""

    def refused(en: str, zh: str) -> None:
        faults.append(Fault("workbook", 1, en, zh))

    if len(body) > LARGEST:
        return refused("the file is too large", "文件太大（上限 5 MB）")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            if sum(one.file_size for one in packed.infolist()) > UNPACKED:
                return refused("the file is too large unpacked", "文件解压后太大")
            if any(b"<!DOCTYPE" in packed.read(one)[:4_096] for one in packed.infolist()):
                return refused("the file declares entities", "文件含有不允许的声明")
            if any("vbaProject" in one.filename for one in packed.infolist()):
                return refused("the file holds macros", "文件含有宏")
        return load_workbook(io.BytesIO(body), read_only=True, data_only=False, keep_links=False)
    except Exception:  # whatever a damaged archive makes the library raise
        return refused("not an Excel workbook (.xlsx)", "不是 Excel 工作簿（.xlsx）")


def _lines(tab: Any, sheet: Sheet, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a tab as texts, without empty ones; what cannot be read ends them."""
    number = 0
    try:
        tab.reset_dimensions()  # what the file says of its own size may be wrong
        for number, cells in enumerate(tab.iter_rows(max_col=60), 1):
            if number > ROWS:
                faults.append(Fault(sheet.name, number, "too many rows", f"行数超过 {ROWS}"))
                return
            line = []
            for place, cell in enumerate(cells):
                text, wrong = _text(cell)
                if wrong:
                    column = sheet.names[place] if place < len(sheet.names) else ""
                    faults.append(Fault(sheet.name, number, *wrong, column))
                line.append(text)
            if any(line):
                yield number, line
    except Exception:  # a tab is read piece by piece, whatever is damaged in it
        faults.append(Fault(sheet.name, number + 1, "the sheet is damaged", "工作表已损坏"))


def _text(cell: Any) -> tuple[str, tuple[str, str] | None]:
    """What a cell says, and what is wrong with it."""
    value = cell.value
    if value is None:
        return "", None
    if cell.data_type == "f":
        return "", ("a formula", "含有公式")
    if cell.data_type == "e":
        return "", ("an error value", "单元格是错误值")
    if isinstance(value, bool):
        return ("yes" if value else "no"), None
    if isinstance(value, int):
        return str(value), None
    if isinstance(value, float):
        return (str(int(value)) if value.is_integer() else repr(value)), None
    if isinstance(value, datetime):
        return value.date().isoformat(), None
    if isinstance(value, date):
        return value.isoformat(), None
    text = str(value).strip()
    if text.startswith(_APOSTROPHE):
        return text[1:], None
    if text.startswith(_FORMULA):
        return "", ("text that a spreadsheet takes for a formula", "以公式符号（= + - @）开头")
    return text, None


def _harmless(text: str) -> str:
    return _APOSTROPHE + text if text.startswith((*_FORMULA, _APOSTROPHE)) else text


def _english(sheet: Sheet, head: str) -> str:
    return next((one.name for one in sheet.columns if head in (one.zh, one.name)), head)


def _fitted(lines: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    """Rows as wide as their head; cells beyond it only where they are not empty."""
    for number, line in lines:
        while len(line) > width and not line[-1]:
            line.pop()
        yield number, line + [""] * (width - len(line))
