"""Registers as files: Excel and JSON out, Excel in; each export is noted, and no cell can be a formula."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.registers import Entry, Faults, commission, standing
from gateway.recognition.registers import COLUMNS, MOST_LINES, TITLES, Fault, Kind, said
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller

LARGEST = 5_000_000
UNPACKED = 50_000_000
WIDEST = 60  # columns
FORMULA = object()  # stands for a cell that is one: never computed, never taken
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def exported(kind: Kind, form: str, caller: Caller, services: Services) -> bytes:
    """A register as an Excel file (`xlsx`) or JSON (`json`); one `register-export` event before it."""
    commission(caller, services)
    found = await standing(kind, services)
    await noted(f"{kind}.{form}", len(found), caller, services)
    if form == "xlsx":
        return workbook(kind, found)
    return json.dumps(document(kind, found, services), ensure_ascii=False, indent=2).encode()


async def noted(what: str, lines: int, caller: Caller, services: Services) -> None:
    """Write the event of an export."""
    at = services.now()
    body = Body(request=f"register.{at}", returned=lines, details={"export": what}).asked_by(caller)
    await services.log.note(Noted.REGISTER_EXPORT, Outcome.PERMIT, caller, at, body)


def workbook(kind: Kind, found: Sequence[Entry]) -> bytes:
    """One sheet: the columns by their Chinese names, choices in words, version and approval behind them."""
    columns = COLUMNS[kind]
    titles = [*(column.zh for column in columns), "版本", "批准人"]
    return sheet(
        TITLES[kind],
        titles,
        [
            [
                *(said(column, one.line.get(column.name, "")) for column in columns),
                str(one.version),
                one.decided_by,
            ]
            for one in found
        ],
    )


def sheet(title: str, titles: Sequence[str], lines: Sequence[Sequence[str]]) -> bytes:
    """A plain workbook of text cells: what begins like a formula is stored as the text that it is."""
    book = Workbook()
    page = book.active
    page.title = title
    for number, line in enumerate([titles, *lines], 1):
        for place, text in enumerate(line, 1):
            cell = page.cell(number, place)
            cell.value, cell.data_type = text, "s"
            cell.quotePrefix = text.startswith(tuple("=+-@\t\r"))
            cell.number_format = "@"
            cell.alignment = Alignment(vertical="top", wrap_text=len(text) > 40)
            if number == 1:
                cell.font = Font(bold=True)
    for place, name in enumerate(titles, 1):
        longest = max((len(line[place - 1]) for line in lines), default=0)
        page.column_dimensions[get_column_letter(place)].width = min(
            60, 2 * max(len(name), longest) + 2
        )
    page.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def document(kind: Kind, found: Sequence[Entry], services: Services) -> dict[str, Any]:
    """The register as JSON; the resource catalogue shaped like a DCAT 3 catalogue (W3C, 2024)."""
    county = services.register.name
    at = moment(services.now(), services.settings.zone).isoformat(timespec="seconds")
    if kind != "resource":
        lines = [
            {**dict(one.line), "version": one.version, "approvedBy": one.decided_by}
            for one in found
        ]
        return {"register": kind, "title": TITLES[kind], "county": county, "at": at, "lines": lines}
    return {
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "gbt21063": "urn:gbt:21063.3:",
        },
        "@type": "dcat:Catalog",
        "dct:title": f"{county}{TITLES[kind]}",
        "dct:modified": at,
        "dcat:dataset": [_dataset(one, services) for one in found],
    }


def _dataset(one: Entry, services: Services) -> dict[str, Any]:
    line = one.line
    return {
        "@type": "dcat:Dataset",
        "dct:identifier": line["code"],
        "dct:title": line["name"],
        "dct:description": line["abstract"],
        "dcat:theme": line["class"],
        "dct:publisher": {"name": line["provider"], "code": line["provider_code"]},
        "dct:accessRights": line["sharing"],
        "dct:rights": line["conditions"],
        "dct:accrualPeriodicity": line["cycle"],
        "dct:issued": line["published"],
        "dct:relation": line["related"].split(),
        "dcat:distribution": [
            {
                "@type": "dcat:Distribution",
                "dct:format": line["format"],
                "dcat:accessURL": f"{services.settings.base_url}/fhir",
                "dct:description": line["method"],
            }
        ],
        "gbt21063:open": line["open"],
        "gbt21063:items": [
            dict(zip(("name", "type", "length"), item.split(":"), strict=False))
            for item in line["items"].replace(";", "；").split("；")
            if item.strip()
        ],
        "version": one.version,
    }


def read(kind: Kind, content: bytes) -> list[Mapping[str, str]]:
    """The lines of an Excel file whose first row holds the Chinese titles (or the JSON names).

    Raises `Faults` naming what is missing or unknown; columns 版本 and 批准人 are passed over. A formula is not
    computed and not taken: its cell is refused.
    """
    if len(content) > LARGEST:
        raise Problem(Trouble.TOO_LARGE, "The file is larger than this page accepts.", "file")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(one.file_size for one in packed.infolist()) > UNPACKED:
                raise Problem(Trouble.TOO_LARGE, "The file unpacks to too much.", "file")
            if any(b"<!DOCTYPE" in packed.read(one)[:4_096] for one in packed.infolist()):
                raise ValueError("declares entities")
        book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        page = book.active
        page.reset_dimensions()  # what the file says of its own size may be wrong
        table = [
            [FORMULA if cell.data_type == "f" else cell.value for cell in row]
            for row in page.iter_rows(max_row=MOST_LINES + 2, max_col=WIDEST)
        ]
    except Problem:
        raise
    except Exception:
        unread = ("不是可以读取的 Excel 文件（.xlsx）", "is no Excel file (.xlsx) that can be read")
        raise Faults([Fault(1, "文件", *unread)]) from None
    return _lines(kind, table)


def _lines(kind: Kind, table: Sequence[Sequence[Any]]) -> list[Mapping[str, str]]:
    if not table:
        raise Faults([Fault(1, "文件", "没有内容", "is empty")])
    names = {column.zh: column.name for column in COLUMNS[kind]}
    names |= {column.name: column.name for column in COLUMNS[kind]}
    titles = [str(one or "").strip() for one in table[0]]
    passed = {"版本", "批准人", ""}
    faults = [
        Fault(0, one[:40], "这个登记册没有这一列", "is no column of this register")
        for one in titles
        if one not in names and one not in passed
    ]
    present = {names[one] for one in titles if one in names}
    faults += [
        Fault(0, column.zh, "缺少这一列", "is missing as a column")
        for column in COLUMNS[kind]
        if column.required and column.name not in present
    ]
    if faults:
        raise Faults(faults)
    lines: list[Mapping[str, str]] = []
    for number, row in enumerate(table[1:], 1):
        texts = [_text(one) for one in row]
        if not any(texts):
            continue
        line = {names[t]: x for t, x in zip(titles, texts, strict=False) if t in names}
        faults += [
            Fault(number, title, "单元格是公式，请改为文字", "holds a formula; write text")
            for title, one in zip(titles, row, strict=False)
            if title in names and one is FORMULA
        ]
        lines.append(line)
    if faults:
        raise Faults(faults)
    return lines


def _text(value: Any) -> str:
    if value is None or value is FORMULA:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())[:10]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
