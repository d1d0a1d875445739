"""What a version of the catalogue consists of, as one text: the same content is the same text.

Values become the cells of their sheets again, rows in the order of their keys; so neither spaces,
the order of rows nor the way through Excel makes another version of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import sha256

import msgspec

from gateway.recognition.catalogue import (
    FOREVER,
    Catalogue,
    Entitlement,
    Item,
    Member,
    Panel,
    Scope,
)

HASH = 32
"""Hex digits by which a version is called."""

Lines = list[list[str]]


def cells_of(catalogue: Catalogue, zone: tzinfo) -> dict[str, Lines]:
    """The texts of all sheets of a version, in order, without their heads."""
    return _cells(catalogue.items, catalogue.scopes.values(), catalogue.panels, zone)


def register_cells(
    members: Iterable[Member], entitlements: Iterable[Entitlement], zone: tzinfo
) -> dict[str, Lines]:
    """The texts of the register's sheets, in order, without their heads."""
    return {
        "members": sorted(
            [one.organization, one.scope, *days(one.valid.start, one.valid.end, zone)]
            for one in members
        ),
        "entitlements": sorted(
            [
                one.organization, one.item, one.group, one.scope,
                *days(one.valid.start, one.valid.end, zone), one.status, one.basis, one.evidence,
                one.decided_by, day(one.decided_at, zone) if one.decided_at else "",
            ]
            for one in entitlements
        ),
    }  # fmt: skip


def canonical(
    items: Iterable[Item], scopes: Iterable[Scope], panels: Iterable[Panel], zone: tzinfo
) -> bytes:
    """The text of a version."""
    return msgspec.json.encode(_cells(items, scopes, panels, zone))


def version_of(content: bytes) -> str:
    """What a version with this text is called."""
    return sha256(content).hexdigest()[:HASH]


def day(at: int, zone: tzinfo) -> str:
    """The county day of a moment."""
    return _local(at, zone).date().isoformat()


def days(start: int, end: int, zone: tzinfo) -> tuple[str, str]:
    """First and last county day of a span; no last day when it is open."""
    if end >= FOREVER:
        return day(start, zone), ""
    ends = _local(end, zone)
    last = ends.date() - timedelta(days=1) if ends.time() == time() else ends.date()
    return day(start, zone), last.isoformat()


def _local(at: int, zone: tzinfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(zone)


def _cells(
    items: Iterable[Item], scopes: Iterable[Scope], panels: Iterable[Panel], zone: tzinfo
) -> dict[str, Lines]:
    found: dict[str, Lines] = {
        "items": [], "scopes": [], "panels": [], "orders": [], "windows": [], "prices": [],
    }  # fmt: skip
    windows: dict[tuple[str, str, str], list[str]] = {}
    prices: dict[tuple[str, str], list[str]] = {}
    for item in items:
        found["items"].append(_item(item, zone))
        for window in item.windows:
            windows[item.code, window.patient_class, window.department] = [
                item.code, window.patient_class, window.department, str(window.days), window.clock,
            ]  # fmt: skip
        for price in item.prices:
            prices[item.code, price.level] = [item.code, price.level, price.amount]
    for scope in scopes:
        found["scopes"].append(
            [
                scope.code, _list(scope.within), scope.kind, _list(scope.marks), scope.name_zh,
                scope.name_en,
            ]
        )  # fmt: skip
    for panel in panels:
        codings, held = _list(panel.codings), _list(panel.items)
        named = [panel.code, panel.name_zh, panel.name_en, codings]
        if panel.organization:
            found["orders"].append([panel.organization, *named, _list(panel.names), held])
        else:
            found["panels"].append([*named, held])
    found["windows"], found["prices"] = list(windows.values()), list(prices.values())
    return {name: sorted(lines) for name, lines in found.items()}


def _item(item: Item, zone: tzinfo) -> list[str]:
    start, end = days(item.effective.start, item.effective.end, zone)
    return [
        item.code, item.name_zh, item.name_en, item.kind, _list(item.loinc), _list(item.ucum),
        _list(item.specimens), _list(item.methods), item.modality, _list(item.body_parts),
        _yes(item.laterality_required), _yes(item.qualitative), item.comparability,
        str(item.op_days), str(item.ip_days), _list(item.groups), _list(item.scopes),
        _yes(item.negative_list), item.protected_category, item.eqa_programme, item.confidence,
        start, end, item.version, item.approved_by, item.property, item.contrast,
        _yes(item.platform_only), _list(item.quality_facts),
    ]  # fmt: skip


def _list(words: Iterable[str]) -> str:
    return ";".join(words)


def _yes(whether: bool) -> str:
    return "yes" if whether else "no"
