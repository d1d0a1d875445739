"""Figures as files: Excel, CSV and JSON that say what the page says, with the definitions in them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

import msgspec
from openpyxl import Workbook
from openpyxl.styles import Font

from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import rights
from gateway.exchange.statistics import allowed, bounds, noted, of_month, published
from gateway.recognition import measures
from gateway.recognition.figure_words import COUNTS, FAIRNESS, HOOKS, METHOD, SIDES, TABLES, Words
from gateway.recognition.figures import COLUMNS
from gateway.recognition.indicators import Dictionary, Report, Value, dictionary
from gateway.recognition.publication import Publication, Row, Side
from gateway.recognition.rights import DataClass, Use
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller

Form = Literal["xlsx", "csv", "json", "fhir"]
MEDIA: dict[str, str] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "fhir": "application/fhir+json",
}
DOT = "·"
"""What stands in place of a withheld count."""
Cell = str | int | Decimal
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A title, column heads and lines."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]


async def file(
    form: Form,
    month: str,
    organization: str,
    side: Side,
    language: str,
    caller: Caller,
    services: Services,
    receiver: str = "",
) -> bytes:
    """The figures of a month in one form; a `statistics-export` event is durable before any byte.

    With `receiver` only the report of that code in the dictionary, as xlsx or csv; Problem UNKNOWN
    for no such report.
    """
    allowed(side, organization, caller)
    await rights.demand(caller, DataClass.STATISTICS, Use.STATISTICS, services)
    bounds(month, services)
    if form not in MEDIA:
        raise Problem(Trouble.MALFORMED, "xlsx, csv, json or fhir.", "form")
    wanted = _wanted(receiver) if receiver else None
    if wanted and form not in {"xlsx", "csv"}:
        raise Problem(Trouble.MALFORMED, "A report is xlsx or csv.", "form")
    await noted(
        Kind.STATISTICS_EXPORT,
        caller,
        services,
        form=form,
        month=month,
        organization=organization,
        side=side,
        report=receiver,
    )
    told = await published(await of_month(month, services), organization, side)
    if form == "json":
        return as_json(told, services)
    if form == "fhir":
        return as_fhir(told, services)
    found = (report(told, wanted, language),) if wanted else sheets(told, language, services)
    return workbook(found) if form == "xlsx" else lines(found)


def names(services: Services, language: str) -> Callable[[str, str], str]:
    """(dimension, key) → what the key is called; a name nobody knows is the key itself."""
    items = {one.code: one for one in services.catalogue.items}

    def organization(id: str) -> str:
        known = services.register.get(id)
        return (known.en if language == "en" else known.zh) or known.zh or id

    def named(by: str, key: str) -> str:
        if by == "item":
            item = items.get(key)
            return (item.name_en if language == "en" else item.name_zh) if item else key
        if by == "pair":
            issuer, _, receiver = key.partition(">")
            return f"{organization(issuer)} → {organization(receiver)}"
        if by == "department":
            id, _, department = key.partition("/")
            unknown = "department not stated" if language == "en" else "未注明科室"
            return f"{organization(id)} {department or unknown}"
        if by == "hook":
            return _in(HOOKS.get(key, Words(key, key)), language)
        return organization(key)

    return named


def sheets(of: Publication, language: str, services: Services) -> tuple[Sheet, ...]:
    """Everything a page shows of a publication, table by table."""
    definitions = dictionary()
    named = names(services, language)

    def say(zh: str, en: str) -> str:
        return en if language == "en" else zh

    heads = tuple(_in(COUNTS[name], language) for name in COLUMNS)
    rate, money = say("互认率 %", "Recognition rate %"), say("节省（元）", "Saved (CNY)")
    whole = of.organization and named("organization", of.organization)
    found = [
        Sheet(
            say("合计", "Totals"),
            (say("范围", "Scope"), *heads, rate),
            (
                (
                    whole or _in(SIDES["county"], language),
                    *_cells(of.totals),
                    _number(of.totals.rate),
                ),
            ),
        )
    ]
    for table in of.tables:
        key = _in(TABLES[table.by], language)
        last = (money,) if table.by == "item" else ()
        found.append(
            Sheet(
                key,
                (say("代码", "Code"), say("名称", "Name"), *heads, rate, *last),
                tuple(
                    (row.key, named(table.by, row.key), *_cells(row), _number(row.rate))
                    + ((_number(row.money) if row.money else DOT,) if last else ())
                    for row in table.rows
                ),
            )
        )
    found.append(_indicators(of, definitions, language))
    found.append(_notes(of, definitions, language, services))
    return tuple(found)


def _cells(row: Row) -> tuple[Cell, ...]:
    return tuple(row.counts.get(name, DOT) for name in COLUMNS)


def _number(text: str) -> Cell:
    return Decimal(text) if text else ""


def _indicators(of: Publication, definitions: Dictionary, language: str) -> Sheet:
    def say(zh: str, en: str) -> str:
        return en if language == "en" else zh

    return Sheet(
        say("指标", "Indicators"),
        (
            say("代码", "Code"), say("名称", "Name"), say("数值", "Value"),
            say("分子", "Numerator"), say("分母", "Denominator"), say("算式", "Formula"),
            say("定义", "Definition"),
        ),
        tuple(
            (
                one.code,
                say(one.zh, one.en),
                _value(of.value(one.code)),
                _or_dot(of.value(one.code).numerator),
                _or_dot(of.value(one.code).denominator) if one.kind == "rate" else "",
                one.formula,
                say(one.definition_zh, one.definition_en),
            )
            for one in definitions.indicator
        ),
    )  # fmt: skip


def _value(of: Value) -> Cell:
    if of.value is None:
        return DOT if of.why == "withheld" else ""
    return f"≥ {of.value}" if of.least else Decimal(of.value)


def _or_dot(count: int | None) -> Cell:
    return DOT if count is None else count


def _notes(of: Publication, definitions: Dictionary, language: str, services: Services) -> Sheet:
    def say(zh: str, en: str) -> str:
        return en if language == "en" else zh

    stood = moment(of.until, services.settings.zone).isoformat(timespec="seconds")
    lines_ = (
        (say("月份", "Month"), of.month),
        (say("范围", "Scope"), _in(SIDES[of.side], language)),
        (say("统计时间", "As of"), stood),
        (say("指标口径版本", "Version of the definitions"), of.definitions),
        (say("目录版本", "Version of the catalogue"), services.catalogue.version[:12]),
        (say("来源", "Source"), say(definitions.source_zh, definitions.source_en)),
        (say("责任单位", "Owner"), say(definitions.owner_zh, definitions.owner_en)),
        (say("排除", "Left out"), say(definitions.exclusions_zh, definitions.exclusions_en)),
        (say("小数保护", "Small counts"), _in(METHOD, language)),
        (say("公平", "Fairness"), _in(FAIRNESS, language)),
    )
    return Sheet(say("说明", "Notes"), (say("事项", "What"), say("内容", "Says")), lines_)


def _in(words: Words, language: str) -> str:
    return words.en if language == "en" else words.zh


def safe(cell: Cell) -> Cell:
    """A text that no spreadsheet takes for a formula, without characters that no file may hold."""
    if not isinstance(cell, str):
        return cell
    plain = _UNSEEN.sub("", cell)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def workbook(found: Sequence[Sheet]) -> bytes:
    """The sheets as an Excel file: numbers are numbers, heads stay in view."""
    book = Workbook()
    book.remove(book.active)
    for sheet in found:
        made = book.create_sheet(sheet.title[:31].replace("/", " "))
        made.append([safe(head) for head in sheet.heads])
        for cell in made[1]:
            cell.font = Font(bold=True)
        for line in sheet.lines:
            made.append([safe(cell) for cell in line])
        made.freeze_panes = "B2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def lines(found: Sequence[Sheet]) -> bytes:
    """The sheets as one CSV (UTF-8 with a mark, so that Excel reads it): each line names its table."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for sheet in found:
        writer.writerow([safe(cell) for cell in ("#", *sheet.heads)])
        for line in sheet.lines:
            writer.writerow([safe(cell) for cell in (sheet.title, *line)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def as_json(of: Publication, services: Services) -> bytes:
    """The publication and the definitions it was made by."""
    told = {"publication": of, "dictionary": dictionary(), "catalogue": services.catalogue.version}
    return msgspec.json.format(msgspec.json.encode(told, order="deterministic"), indent=2)


def as_fhir(of: Publication, services: Services) -> bytes:
    """A Bundle of the Measures and the month's MeasureReports."""
    zone, base = services.settings.zone, services.settings.canonical
    start, end = bounds(of.month, services)
    period = (moment(start, zone), moment(end, zone) - timedelta(seconds=1))
    definitions = dictionary()
    reporter = of.organization or services.settings.county
    at = moment(of.until, zone)
    told = measures.reports(of, definitions, base, reporter, period, at)
    since = moment(start, zone).date().isoformat()
    return measures.bundle([*measures.measures(definitions, base, since), *told])


def _wanted(code: str) -> Report:
    found = next((one for one in dictionary().report if one.code == code), None)
    if found is None:
        raise Problem(Trouble.UNKNOWN, "No such report.", code)
    return found


def report(of: Publication, wanted: Report, language: str) -> Sheet:
    """The figures under the codes of one receiver of reports."""
    definitions = dictionary()
    english = language == "en"
    return Sheet(
        wanted.en if english else wanted.zh,
        ("Code", "Name", "Value") if english else ("代码", "名称", "数值"),
        tuple(
            (
                theirs,
                definitions.named(ours).en if english else definitions.named(ours).zh,
                _value(of.value(ours)),
            )
            for theirs, ours in wanted.lines
        ),
    )
