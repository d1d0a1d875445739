"""Reads the sheets of the catalogue, strictly: one doubtful cell and nothing of it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.recognition.catalogue import (
    FOREVER,
    LOINC,
    Catalogue,
    Entitlement,
    Item,
    Member,
    Panel,
    Price,
    Scope,
    Span,
    Window,
    csvfile,
    plain_mark,
)
from gateway.recognition.catalogue.content import canonical, version_of
from gateway.recognition.catalogue.csvfile import CatalogueFault, Fault, Row
from gateway.recognition.catalogue.sheets import SHEETS, VERSIONED, Cells

SCOPE_KINDS = ("national", "region", "province", "prefecture", "county", "consortium")
PROTECTED = ("", "HIV", "STD", "PSY", "REPRO", "GENETIC", "HBV", "HCV", "VIOLENCE")
PATIENT_CLASSES = ("", "OP", "IP", "EM")
_LOINC = re.compile(r"\d{1,7}-\d", re.ASCII)
_AMOUNT = re.compile(r"(0|[1-9]\d{0,6})(\.\d{1,2})?", re.ASCII)


def loinc_ok(code: str) -> bool:
    """Is it shaped like a LOINC code, with the right check digit (mod 10)?"""
    if not _LOINC.fullmatch(code):
        return False
    digits, check = code.split("-")
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return (10 - total % 10) % 10 == int(check)


def load(*directories: Path, zone: tzinfo) -> Catalogue:
    """The catalogue in these folders together, usually SHIPPED and the county's own.

    Days mean county days in `zone`. Raises CatalogueFault with every fault by file and line:
    missing or unknown columns, doubtful cells, wrong LOINC check digits, unknown scopes or items,
    scopes that contain each other, anything that stands twice.
    """
    found = [path for directory in directories for path in sorted(directory.glob("*.csv"))]
    return _of_files(tuple((path.name, path.read_bytes()) for path in found), zone)


@lru_cache(maxsize=4)
def _of_files(files: tuple[tuple[str, bytes], ...], zone: tzinfo) -> Catalogue:
    faults: list[Fault] = []
    reader = Reader(zone, faults)
    for name, body in files:
        sheet = SHEETS.get(name.removesuffix(".csv"))
        if sheet is None:
            faults.append(Fault(name, 1, "not a file of the catalogue", "不是目录的文件"))
            continue
        for row in csvfile.read(name, body, sheet, faults):
            reader.keep(row)
    return reader.catalogue()


def of_cells(cells: Cells, zone: tzinfo) -> Catalogue:
    """The catalogue whose sheets hold these texts; CatalogueFault as `load`."""
    faults: list[Fault] = []
    reader = Reader(zone, faults)
    for name, lines in cells.items():
        sheet = SHEETS[name]
        for row in csvfile.rows(name, sheet, sheet.names, _numbered(lines), faults):
            reader.keep(row)
    return reader.catalogue()


@lru_cache(maxsize=8)
def of_content(content: bytes, zone: tzinfo) -> Catalogue:
    """A version as it was kept (see `content.canonical`), with nobody entitled to anything.

    ValueError for what this version of the program cannot read.
    """
    try:
        cells = msgspec.json.decode(content, type=dict[str, list[list[str]]])
    except msgspec.MsgspecError:
        raise ValueError("not the content of a catalogue") from None
    if set(cells) != {sheet.name for sheet in VERSIONED}:
        raise ValueError("not the content of a catalogue")
    return of_cells(cells, zone)


def _numbered(lines: Iterable[Iterable[str]]) -> Iterator[tuple[int, list[str]]]:
    return ((number, list(line)) for number, line in enumerate(lines, 2))


class Reader:
    """Takes rows of any sheet, in any order, and makes a catalogue of them."""

    def __init__(self, zone: tzinfo, faults: list[Fault]) -> None:
        self._zone = zone
        self._faults = faults
        self._items: list[tuple[Row, Item]] = []
        self._scopes: list[tuple[Row, Scope]] = []
        self._panels: list[tuple[Row, Panel]] = []
        self._windows: list[tuple[Row, tuple[str, Window]]] = []
        self._prices: list[tuple[Row, tuple[str, Price]]] = []
        self._members: list[tuple[Row, Member]] = []
        self._entitlements: list[tuple[Row, Entitlement]] = []

    @property
    def anything(self) -> bool:
        """Whether any row was taken up."""
        return bool(self._items or self._scopes or self._panels or self._members)

    def keep(self, row: Row) -> None:
        """Take a row up; what is wrong with it goes to the faults."""
        match row.sheet:
            case "items":
                self._items.append((row, self._item(row)))
            case "scopes":
                self._scopes.append((row, _scope(row)))
            case "panels" | "orders":
                self._panels.append((row, _panel(row)))
            case "windows":
                self._windows.append((row, (row.must("item"), _window(row))))
            case "prices":
                self._prices.append((row, (row.must("item"), _price(row))))
            case "members":
                self._members.append((row, self._member(row)))
            case _:
                self._entitlements.append((row, self._entitlement(row)))

    def span(self, row: Row, start: str, end: str) -> Span:
        """From the beginning of one day to the end of another, which may be open."""
        first, last = row.day(start), row.day(end)
        if first is None:
            row.wrong(f"{start} is empty", "不能为空", start)
        span = Span(self._midnight(first) if first else 0, FOREVER)
        if last is not None:
            span = Span(span.start, self._midnight(last + timedelta(days=1)))
        if span.end <= span.start:
            row.wrong(f"{end} lies before {start}", "早于起始日", end)
        return span

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self._zone).timestamp()) * 1_000_000

    def _item(self, row: Row) -> Item:
        item = Item(
            code=row.must("code"),
            name_zh=row.must("name_zh"),
            name_en=row.must("name_en"),
            kind=row.one_of("kind", ("lab", "imaging", "function")),
            loinc=row.words("loinc"),
            ucum=row.words("ucum"),
            specimens=row.words("specimen"),
            methods=row.words("methods"),
            modality=row.text("modality"),
            body_parts=row.words("body_part"),
            laterality_required=row.yes("laterality_required"),
            qualitative=row.yes("qualitative"),
            comparability=row.one_of("comparability", ("A", "B", "C")),
            op_days=row.number("op_days"),
            ip_days=row.number("ip_days"),
            groups=row.words("groups"),
            scopes=row.words("scopes"),
            negative_list=row.yes("negative_list"),
            protected_category=row.one_of("protected_category", PROTECTED),
            eqa_programme=row.text("eqa_programme"),
            confidence=row.one_of("confidence", ("A", "B", "C", "Q")),
            effective=self.span(row, "effective_from", "effective_to"),
            version=row.must("version"),
            approved_by=row.must("approved_by"),
            property=row.text("property"),
            contrast=row.one_of("contrast", ("", "without", "with", "both")),
            platform_only=row.yes("platform_only"),
            quality_facts=row.words("quality_facts"),
        )
        if not item.loinc:
            row.wrong("loinc is empty", "不能为空", "loinc")
        for code in item.loinc:
            if not loinc_ok(code):
                row.wrong(
                    f"{code} is not a LOINC code: wrong check digit",
                    f"{code} 不是 LOINC 码：校验位不对",
                    "loinc",
                )
        if item.kind == "lab" and not item.specimens:
            row.wrong("a laboratory item names its specimens", "检验项目须写明标本", "specimen")
        if item.kind == "lab" and not item.qualitative and not item.ucum:
            row.wrong("a measured item names its unit", "定量项目须写明单位", "ucum")
        if item.kind != "lab" and not item.modality:
            row.wrong("an examination names its modality", "检查项目须写明设备类型", "modality")
        if item.kind != "lab" and not item.body_parts:
            row.wrong("an examination names its body part", "检查项目须写明部位", "body_part")
        if not item.scopes:
            row.wrong("scopes is empty", "不能为空", "scopes")
        return item

    def _member(self, row: Row) -> Member:
        span = self.span(row, "valid_from", "valid_to")
        return Member(row.must("organization"), row.must("scope"), span)

    def _entitlement(self, row: Row) -> Entitlement:
        found = Entitlement(
            organization=row.must("organization"),
            item=row.text("item"),
            group=row.text("item_group"),
            scope=row.must("scope"),
            valid=self.span(row, "valid_from", "valid_to"),
            status=row.one_of("status", ("active", "suspended", "revoked")),
            basis=row.must("basis"),
            evidence=row.must("evidence"),
            decided_by=row.must("decided_by"),
            decided_at=self._midnight(day) if (day := row.day("decided_at")) else 0,
        )
        if bool(found.item) == bool(found.group):
            row.wrong(
                "either item or item_group, and only one of them", "项目与项目组须填且只填一个"
            )
        return found

    def catalogue(self) -> Catalogue:
        """All rows together; CatalogueFault with everything that is wrong in them."""
        if not self._items and not self._faults:
            self._faults.append(Fault("items.csv", 1, "no items", "没有任何项目"))
        scopes = csvfile.without_doubles(self._scopes, lambda s: s.code, "the scope", "范围")
        known = {scope.code for scope in scopes}
        self._check_scopes(scopes, known)
        self._check_items(known)
        self._check_orders()
        self._check_register(known, [item for _, item in self._items])
        windows = _by_item(self._windows, lambda w: (w.patient_class, w.department), "window")
        prices = _by_item(self._prices, lambda p: p.level, "price")
        if self._faults:
            raise CatalogueFault(self._faults)
        items = [
            msgspec.structs.replace(
                item, windows=windows.get(item.code, ()), prices=prices.get(item.code, ())
            )
            for _, item in sorted(
                self._items, key=lambda one: (one[1].code, one[1].effective.start)
            )
        ]
        panels = [panel for _, panel in self._panels]
        content = canonical(items, scopes, panels, self._zone)
        return Catalogue(
            items,
            scopes,
            [member for _, member in self._members],
            [entitlement for _, entitlement in self._entitlements],
            version_of(content),
            panels,
            content=content,
        )

    def _check_scopes(self, scopes: list[Scope], known: set[str]) -> None:
        marks: set[str] = set()
        within = {scope.code: scope.within for scope in scopes}
        for row, scope in self._scopes:
            for missing in set(scope.within) - known:
                row.wrong(f"no such scope: {missing}", f"没有这个范围：{missing}", "within")
            for mark in map(plain_mark, scope.marks):
                if mark in marks:
                    row.wrong("the mark stands twice", "互认标识重复", "marks")
                marks.add(mark)
            ahead, seen = list(scope.within), set[str]()
            while ahead:
                code = ahead.pop()
                if code == scope.code:
                    row.wrong("the scope contains itself", "范围隶属于它自己", "within")
                    break
                if code not in seen:
                    seen.add(code)
                    ahead.extend(within.get(code, ()))

    def _check_items(self, scopes: set[str]) -> None:
        """An item may stand in several versions, one after the other; a LOINC code means one item."""
        by_word: dict[str, list[Item]] = {}
        for row, item in self._items:
            for missing in set(item.scopes) - scopes:
                row.wrong(f"no such scope: {missing}", f"没有这个范围：{missing}", "scopes")
            near = {
                id(one): one for word in (item.code, *item.loinc) for one in by_word.get(word, ())
            }
            for other in near.values():
                together = (
                    item.effective.start < other.effective.end
                    and other.effective.start < item.effective.end
                )
                if together and item.code == other.code:
                    row.wrong("the item stands twice for the same time", "同一时间重复", "code")
                elif together:
                    row.wrong(
                        "the LOINC code means another item already",
                        f"LOINC 码已用于另一项目 {other.code}",
                        "loinc",
                    )
            for word in (item.code, *item.loinc):
                by_word.setdefault(word, []).append(item)
        codes = {item.code: item.kind for _, item in self._items}
        for row, (code, _) in (*self._windows, *self._prices):
            if code not in codes:
                row.wrong(f"no such item: {code}", f"没有这个项目：{code}", "item")
        for row, (code, window) in self._windows:
            if code in codes and (codes[code] == "lab") != (window.clock == "collection"):
                row.wrong("another clock than the item's kind has", "起算与项目类别不符", "clock")
        for row, panel in self._panels:
            for code in panel.items:
                if code not in codes:
                    row.wrong(f"no such item: {code}", f"没有这个项目：{code}", "items")

    def _check_orders(self) -> None:
        """A word of one organisation means one order; so do LOINC's panels for everybody."""
        csvfile.without_doubles(
            self._panels, lambda p: (p.organization, p.code), "the panel", "组合"
        )
        said: set[tuple[str, str]] = set()
        for row, panel in self._panels:
            for word in (*panel.codings, *panel.names):
                if (panel.organization, word) in said:
                    row.wrong("the order means another panel already", "编码或名称已用于另一组合")
                said.add((panel.organization, word))

    def register(
        self, held: Catalogue
    ) -> tuple[list[tuple[Row, Member]], list[tuple[Row, Entitlement]]]:
        """Memberships and entitlements with their rows, checked against a catalogue; what is wrong in
        them goes to the faults."""
        self._check_register(set(held.scopes), held.items)
        return self._members, self._entitlements

    def _check_register(self, scopes: set[str], items: Sequence[Item]) -> None:
        codes = {item.code for item in items}
        groups = {group for item in items for group in item.groups}
        for row, one in self._entitlements:
            if one.item and one.item not in codes:
                row.wrong(f"no such item: {one.item}", f"没有这个项目：{one.item}", "item")
            if one.group and one.group not in groups:
                row.wrong(
                    f"no such group: {one.group}", f"没有这个项目组：{one.group}", "item_group"
                )
        where = [*self._entitlements, *self._members]  # type: list[tuple[Row, Entitlement | Member]]
        for row, either in where:
            if either.scope not in scopes:
                row.wrong(
                    f"no such scope: {either.scope}", f"没有这个范围：{either.scope}", "scope"
                )
        csvfile.without_doubles(
            self._members,
            lambda m: (m.organization, m.scope, m.valid.start),
            "the membership",
            "成员关系",
        )
        csvfile.without_doubles(
            self._entitlements,
            lambda e: (e.organization, e.item, e.group, e.scope, e.valid.start),
            "the entitlement",
            "互认资格",
        )


T = TypeVar("T")


def _by_item(
    found: list[tuple[Row, tuple[str, T]]], key: Callable[[T], object], what: str
) -> Mapping[str, tuple[T, ...]]:
    """Windows or prices by the item they belong to, in one order whatever the order of rows."""
    csvfile.without_doubles(found, lambda one: (one[0], key(one[1])), f"the {what}", "该行")
    by_item: dict[str, list[T]] = {}
    for _, (code, one) in found:
        by_item.setdefault(code, []).append(one)
    return {
        code: tuple(sorted(ones, key=lambda one: str(key(one)))) for code, ones in by_item.items()
    }


def _scope(row: Row) -> Scope:
    return Scope(
        row.must("code"),
        row.words("within"),
        row.one_of("kind", SCOPE_KINDS),
        row.words("marks"),
        row.must("name_zh"),
        row.must("name_en"),
    )


def _panel(row: Row) -> Panel:
    order = row.sheet == "orders"
    panel = Panel(
        row.must("code"),
        row.must("name_zh"),
        row.must("name_en"),
        row.words("codings"),
        row.words("items"),
        row.must("organization") if order else "",
        row.words("names") if order else (),
    )
    for coding in panel.codings:
        system, bar, code = coding.partition("|")
        if not (bar and system and code):
            row.wrong(f"{coding} is not system|code", f"{coding} 不是“体系|编码”", "codings")
        elif system == LOINC and not loinc_ok(code):
            row.wrong(
                f"{code} is not a LOINC code: wrong check digit",
                f"{code} 不是 LOINC 码：校验位不对",
                "codings",
            )
    if not panel.items:
        row.wrong("items is empty", "不能为空", "items")
    return panel


def _window(row: Row) -> Window:
    return Window(
        row.number("days"),
        row.one_of("patient_class", PATIENT_CLASSES),
        row.text("department"),
        row.one_of("clock", ("collection", "acquisition")),
    )


def _price(row: Row) -> Price:
    amount = row.text("amount")
    if not _AMOUNT.fullmatch(amount):
        row.wrong("amount is not a price in yuan", "不是金额（元，最多两位小数）", "amount")
        return Price("0.00", row.text("level"))
    return Price(f"{Decimal(amount):.2f}", row.text("level"))
