"""Statements on the lines of the county's registers, and on what is stored where."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, or_, select, update

from gateway.store import recognition_tables as tables
from gateway.store.charts import binds
from gateway.store.statements import Statement, exclusive

_entry = tables.RegisterEntry.__table__  # type: ignore[attr-defined]


class EntryRow(NamedTuple):
    """A version of a line; times are µs UTC, 0 is never."""

    kind: str
    id: str
    version: int
    act: str  # put | end
    state: str  # draft | approved | refused
    content: bytes
    made_by: str
    made_at: int
    decided_by: str
    decided_at: int


_ROW = tuple(_entry.c[name] for name in EntryRow._fields)

# Written out: an expanding IN list has no fixed text.
_OF_RIGHTS = or_(_entry.c.kind == "right", _entry.c.kind == "system")
HOLD = Statement(select(exclusive("about")), "about")
STAMP = Statement(
    select(func.count(), func.coalesce(func.max(_entry.c.decided_at), 0)).where(
        _entry.c.decided_at > 0, _OF_RIGHTS
    )
)
"""Changes whenever something is decided about rights or systems."""
OF_KIND = Statement(
    select(*_ROW).where(_entry.c.kind == bindparam("kind")).order_by(_entry.c.id, _entry.c.version),
    "kind",
)
DECIDED = Statement(
    select(*_ROW)
    .where(_entry.c.state == "approved", _OF_RIGHTS)
    .order_by(_entry.c.kind, _entry.c.id, _entry.c.version)
)
VERSIONS = Statement(
    select(*_ROW)
    .where(_entry.c.kind == bindparam("kind"), _entry.c.id == bindparam("id"))
    .order_by(_entry.c.version),
    "kind",
    "id",
)
DRAFTS = Statement(select(*_ROW).where(_entry.c.state == "draft").order_by(_entry.c.made_at))
PUT = Statement(insert(_entry).values(**binds(_entry)), *(c.name for c in _entry.columns))
DECIDE = Statement(
    update(_entry)
    .where(
        _entry.c.kind == bindparam("kind_"),
        _entry.c.id == bindparam("id_"),
        _entry.c.version == bindparam("version_"),
        _entry.c.state == "draft",
    )
    .values(
        state=bindparam("state_"),
        content=bindparam("content_"),
        decided_by=bindparam("by_"),
        decided_at=bindparam("at_"),
    )
    .returning(_entry.c.version),
    "kind_",
    "id_",
    "version_",
    "state_",
    "content_",
    "by_",
    "at_",
)
