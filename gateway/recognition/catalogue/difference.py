"""What another version of the catalogue changes, in words and as data: for whoever approves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo

import msgspec

from gateway.recognition.catalogue import Catalogue
from gateway.recognition.catalogue.content import cells_of
from gateway.recognition.catalogue.sheets import VERSIONED, Sheet

_DAYS = frozenset({"op_days", "ip_days", "days"})
_LIMITS = frozenset({"negative_list", "platform_only", "laterality_required"})
_NOUN = {
    "items": ("项目", "item"),
    "scopes": ("范围", "scope"),
    "panels": ("组合", "panel"),
    "orders": ("医嘱对照", "order code"),
    "windows": ("时限", "window"),
    "prices": ("价格", "price"),
}


class Change(msgspec.Struct, frozen=True):
    """One difference. `act`: added, removed or changed (then `field`, `before` and `after` are told).

    `effect` is + where more can be recognised, - where less, ~ where neither or it depends.
    """

    sheet: str
    key: str
    act: str
    effect: str
    zh: str
    en: str
    field: str = ""
    before: str = ""
    after: str = ""

    @property
    def shortened(self) -> bool:
        """A validity became shorter."""
        return self.field in _DAYS and self.effect == "-"


def difference(before: Catalogue, after: Catalogue, zone: tzinfo) -> tuple[Change, ...]:
    """Every difference, sheet by sheet in the order of their keys; () for the same content."""
    if before.version == after.version:
        return ()
    old, new = cells_of(before, zone), cells_of(after, zone)
    names = {item.code: (item.name_zh, item.name_en) for item in (*before.items, *after.items)}
    return tuple(
        change
        for sheet in VERSIONED
        for change in _sheet(
            sheet, _by_key(sheet, old[sheet.name]), _by_key(sheet, new[sheet.name]), names
        )
    )


def _by_key(sheet: Sheet, lines: list[list[str]]) -> dict[tuple[str, ...], dict[str, str]]:
    rows = [dict(zip(sheet.names, line, strict=True)) for line in lines]
    return {tuple(row[column] for column in sheet.key): row for row in rows}


def _sheet(
    sheet: Sheet,
    old: Mapping[tuple[str, ...], Mapping[str, str]],
    new: Mapping[tuple[str, ...], Mapping[str, str]],
    names: Mapping[str, tuple[str, str]],
) -> Iterator[Change]:
    zh, en = _NOUN[sheet.name]
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        row = now or was or {}
        said = " ".join(filter(None, key))
        named = names.get(key[0]) or (row.get("name_zh", ""), row.get("name_en", ""))
        called_zh, called_en = f"{said} {named[0]}".strip(), f"{said} {named[1]}".strip()
        if was is None:
            effect = _of_row(sheet, row, "+")
            yield Change(
                sheet.name, said, "added", effect, f"新增{zh} {called_zh}", f"new {en} {called_en}"
            )
        elif now is None:
            effect = _of_row(sheet, row, "-")
            yield Change(
                sheet.name,
                said,
                "removed",
                effect,
                f"删除{zh} {called_zh}",
                f"{en} {called_en} removed",
            )
        else:
            for column in sheet.columns:
                one, other = was[column.name], now[column.name]
                if one != other:
                    yield Change(
                        sheet.name, said, "changed", _of_field(column.name, one, other),
                        f"{zh} {called_zh}：{column.zh}由“{one or '空'}”改为“{other or '空'}”",
                        f"{en} {called_en}: {column.name} from “{one or '-'}” to “{other or '-'}”",
                        column.name, one, other,
                    )  # fmt: skip


def _of_row(sheet: Sheet, row: Mapping[str, str], effect: str) -> str:
    """Whether a whole row opens or closes something."""
    if sheet.name == "items":
        counts = row["negative_list"] == "no" and row["confidence"] != "Q"
        return effect if counts else "~"
    return "~"


def _of_field(column: str, before: str, after: str) -> str:
    if column in _DAYS:
        return "+" if int(after) > int(before) else "-"
    if column in _LIMITS:
        return "-" if after == "yes" else "+"
    if column == "confidence":
        return "-" if after == "Q" else "+" if before == "Q" else "~"
    if column == "protected_category":
        return "-" if after else "+"
    if column in ("scopes", "loinc"):
        was, now = set(before.split(";")), set(after.split(";"))
        return "+" if was < now else "-" if now < was else "~"
    if column in ("specimen", "methods", "body_part", "ucum"):
        was, now = set(before.split(";")), set(after.split(";"))
        if not (before and after):
            return "+" if not after else "-"  # empty means: not restricted
        return "+" if was < now else "-" if now < was else "~"
    return "~"
