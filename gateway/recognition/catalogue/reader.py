"""Reads the files of the catalogue, strictly: one doubtful cell and nothing of it is used."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from hashlib import sha256
from pathlib import Path

from gateway.recognition.catalogue import (
    Catalogue,
    Entitlement,
    Item,
    Member,
    Scope,
    Span,
    csvfile,
    plain_mark,
)
from gateway.recognition.catalogue.csvfile import CatalogueFault, Fault, Row

ITEM_COLUMNS = (
    "code", "name_zh", "name_en", "kind", "loinc", "ucum", "specimen", "methods", "modality",
    "body_part", "laterality_required", "qualitative", "comparability", "op_days", "ip_days",
    "groups", "scopes", "negative_list", "protected_category", "eqa_programme", "confidence",
    "effective_from", "effective_to", "version", "approved_by",
)  # fmt: skip
SCOPE_COLUMNS = ("code", "within", "kind", "marks", "name_zh", "name_en")
MEMBER_COLUMNS = ("organization", "scope", "valid_from", "valid_to")
ENTITLEMENT_COLUMNS = (
    "organization", "item", "item_group", "scope", "valid_from", "valid_to", "status", "basis",
    "evidence", "decided_by", "decided_at",
)  # fmt: skip
COLUMNS = {
    "items.csv": ITEM_COLUMNS,
    "scopes.csv": SCOPE_COLUMNS,
    "members.csv": MEMBER_COLUMNS,
    "entitlements.csv": ENTITLEMENT_COLUMNS,
}

SCOPE_KINDS = ("national", "region", "province", "prefecture", "county", "consortium")
PROTECTED = ("", "HIV", "STD", "PSY", "REPRO", "GENETIC", "HBV", "VIOLENCE")
_FOREVER = 2**62
_LOINC = re.compile(r"\d{1,7}-\d", re.ASCII)


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
    faults: list[Fault] = []
    reader = _Reader(zone, faults)
    for directory in directories:
        reader.folder(directory)
    catalogue = reader.finish()
    if catalogue is None or faults:
        raise CatalogueFault(faults)
    return catalogue


class _Reader:
    def __init__(self, zone: tzinfo, faults: list[Fault]) -> None:
        self._zone = zone
        self._faults = faults
        self._hash = sha256()
        self._items: list[tuple[Row, Item]] = []
        self._scopes: list[tuple[Row, Scope]] = []
        self._members: list[tuple[Row, Member]] = []
        self._entitlements: list[tuple[Row, Entitlement]] = []

    def folder(self, directory: Path) -> None:
        for path in sorted(directory.glob("*.csv")):
            columns = COLUMNS.get(path.name)
            if columns is None:
                self._faults.append(Fault(path.name, 1, "not a file of the catalogue"))
                continue
            body = path.read_bytes()
            self._hash.update(f"{path.name}\0{len(body)}\0".encode() + body)
            for row in csvfile.read(path, columns, self._faults):
                self._keep(row)

    def _keep(self, row: Row) -> None:
        match row.file:
            case "items.csv":
                self._items.append((row, self._item(row)))
            case "scopes.csv":
                self._scopes.append((row, _scope(row)))
            case "members.csv":
                self._members.append((row, self._member(row)))
            case _:
                self._entitlements.append((row, self._entitlement(row)))

    def _span(self, row: Row, start: str, end: str) -> Span:
        first, last = row.day(start), row.day(end)
        if first is None:
            row.wrong(f"{start} is empty")
        span = Span(self._midnight(first) if first else 0, _FOREVER)
        if last is not None:
            span = Span(span.start, self._midnight(last + timedelta(days=1)))
        if span.end <= span.start:
            row.wrong(f"{end} lies before {start}")
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
            effective=self._span(row, "effective_from", "effective_to"),
            version=row.must("version"),
            approved_by=row.must("approved_by"),
        )
        if not item.loinc:
            row.wrong("loinc is empty")
        for code in item.loinc:
            if not loinc_ok(code):
                row.wrong(f"{code} is not a LOINC code: wrong check digit")
        if item.confidence in "BQ" and not item.negative_list:
            row.wrong("a code that was not verified (B, Q) cannot be recognised")
        if item.kind == "lab" and not item.specimens:
            row.wrong("a laboratory item names its specimens")
        if item.kind == "lab" and not item.qualitative and not item.ucum:
            row.wrong("a measured item names its unit")
        if item.kind != "lab" and not (item.modality and item.body_parts):
            row.wrong("an examination names its modality and body part")
        if not item.scopes:
            row.wrong("scopes is empty")
        return item

    def _member(self, row: Row) -> Member:
        span = self._span(row, "valid_from", "valid_to")
        return Member(row.must("organization"), row.must("scope"), span)

    def _entitlement(self, row: Row) -> Entitlement:
        found = Entitlement(
            organization=row.must("organization"),
            item=row.text("item"),
            group=row.text("item_group"),
            scope=row.must("scope"),
            valid=self._span(row, "valid_from", "valid_to"),
            status=row.one_of("status", ("active", "suspended", "revoked")),
            basis=row.must("basis"),
            evidence=row.must("evidence"),
        )
        row.must("decided_by")
        row.day("decided_at")
        if bool(found.item) == bool(found.group):
            row.wrong("either item or item_group, and only one of them")
        return found

    def finish(self) -> Catalogue | None:
        scopes = csvfile.without_doubles(self._scopes, lambda scope: scope.code, "the scope")
        known = {scope.code for scope in scopes}
        marks: set[str] = set()
        for row, scope in self._scopes:
            for missing in set(scope.within) - known:
                row.wrong(f"no such scope: {missing}")
            for mark in map(plain_mark, scope.marks):
                if mark in marks:
                    row.wrong("the mark stands twice")
                marks.add(mark)
        self._against_circles(scopes)
        self._check_items(known)
        codes = {item.code for _, item in self._items}
        groups = {group for _, item in self._items for group in item.groups}
        for row, entitlement in self._entitlements:
            if entitlement.item and entitlement.item not in codes:
                row.wrong(f"no such item: {entitlement.item}")
            if entitlement.group and entitlement.group not in groups:
                row.wrong(f"no such group: {entitlement.group}")
            if entitlement.scope not in known:
                row.wrong(f"no such scope: {entitlement.scope}")
        for row, member in self._members:
            if member.scope not in known:
                row.wrong(f"no such scope: {member.scope}")
        members = csvfile.without_doubles(
            self._members, lambda m: (m.organization, m.scope, m.valid.start), "the membership"
        )
        entitlements = csvfile.without_doubles(
            self._entitlements,
            lambda e: (e.organization, e.item, e.group, e.scope, e.valid.start),
            "the entitlement",
        )
        if self._faults:
            return None
        if not self._items:
            self._faults.append(Fault("items.csv", 1, "no items"))
            return None
        return Catalogue(
            [item for _, item in self._items],
            scopes,
            members,
            entitlements,
            self._hash.hexdigest()[:32],
        )

    def _against_circles(self, scopes: list[Scope]) -> None:
        within = {scope.code: scope.within for scope in scopes}
        for row, scope in self._scopes:
            ahead, seen = list(scope.within), set[str]()
            while ahead:
                code = ahead.pop()
                if code == scope.code:
                    row.wrong("the scope contains itself")
                    break
                if code not in seen:
                    seen.add(code)
                    ahead.extend(within.get(code, ()))

    def _check_items(self, scopes: set[str]) -> None:
        """An item may stand in several versions, one after the other; a LOINC code means one item."""
        before: list[Item] = []
        for row, item in self._items:
            for missing in set(item.scopes) - scopes:
                row.wrong(f"no such scope: {missing}")
            for other in before:
                together = (
                    item.effective.start < other.effective.end
                    and other.effective.start < item.effective.end
                )
                if together and item.code == other.code:
                    row.wrong("the item stands twice for the same time")
                elif together and set(item.loinc) & set(other.loinc):
                    row.wrong("the LOINC code means another item already")
            before.append(item)


def _scope(row: Row) -> Scope:
    return Scope(
        row.must("code"),
        row.words("within"),
        row.one_of("kind", SCOPE_KINDS),
        row.words("marks"),
        row.must("name_zh"),
        row.must("name_en"),
    )
