"""What tells in one look whether the recognition catalogue or the register has moved on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from gateway.store.recognition_tables import CatalogueVersion, EntitlementEvent

_version = CatalogueVersion.__table__  # type: ignore[attr-defined]
_event = EntitlementEvent.__table__  # type: ignore[attr-defined]


def published() -> Any:
    """The number of the newest published version, 0 without any, as part of a query."""
    newest = select(func.coalesce(func.max(_version.c.number), 0))
    return newest.where(_version.c.state == "published").scalar_subquery()


def newest_event() -> Any:
    """The number of the newest event of the register, 0 without any, as part of a query."""
    return select(func.coalesce(func.max(_event.c.number), 0)).scalar_subquery()
