"""Statements on the versions of the recognition catalogue and on the register of entitlements."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from gateway.store import stamp
from gateway.store.charts import binds
from gateway.store.recognition_tables import CatalogueVersion, EntitlementEvent
from gateway.store.statements import Statement, exclusive

_version = CatalogueVersion.__table__  # type: ignore[attr-defined]
_event = EntitlementEvent.__table__  # type: ignore[attr-defined]


class VersionRow(NamedTuple):
    """A version; times are µs UTC, 0 is never. `signature` is the signed note of a published one,
    and a seal over what was proposed or approved before that."""

    number: int
    hash: str
    state: str  # draft | approved | published | refused
    base: int
    note: str
    made_by: str
    organization: str
    made_at: int
    decided_by: str
    decided_at: int
    reason: str
    since: int
    signature: bytes
    content: bytes


class EventRow(NamedTuple):
    """One step in the register; `content` is the act's canonical JSON, `signature` its signed note."""

    number: int
    entitlement: str
    organization: str
    act: str
    content: bytes
    reason: str
    decided_by: str
    at: int
    signature: bytes


_ROW = tuple(_version.c[name] for name in VersionRow._fields)
_EVENT = tuple(_event.c[name] for name in EventRow._fields)

STAMP = Statement(select(stamp.published(), stamp.newest_event()))
"""The newest published version and the newest event of the register; 0 where there is none."""
VERSIONS = Statement(select(*_ROW).order_by(_version.c.number))
VERSION = Statement(select(*_ROW).where(_version.c.number == bindparam("number")), "number")
PUBLISHED = Statement(
    select(*_ROW).where(_version.c.state == "published").order_by(_version.c.number)
)
PUT = Statement(insert(_version).values(**binds(_version)), *(c.name for c in _version.columns))
DECIDE = Statement(
    update(_version)
    .where(_version.c.number == bindparam("number_"), _version.c.state == bindparam("was"))
    .values(
        state=bindparam("state_"),
        decided_by=bindparam("by_"),
        decided_at=bindparam("at_"),
        reason=bindparam("reason_"),
        since=bindparam("since_"),
        signature=bindparam("signature_"),
    )
    .returning(_version.c.number),
    "number_",
    "was",
    "state_",
    "by_",
    "at_",
    "reason_",
    "since_",
    "signature_",
)
RESTORE = Statement(
    update(_version)
    .where(_version.c.number == bindparam("number_"))
    .values(
        hash=bindparam("hash_"),
        state="published",
        made_by=bindparam("made_by_"),
        decided_by=bindparam("decided_by_"),
        since=bindparam("since_"),
        signature=bindparam("signature_"),
        content=bindparam("content_"),
    )
    .returning(_version.c.number),
    "number_",
    "hash_",
    "made_by_",
    "decided_by_",
    "since_",
    "signature_",
    "content_",
)
"""A row as it was signed again."""
DISOWN = Statement(
    update(_version)
    .where(_version.c.number == bindparam("number_"))
    .values(state="refused", signature=b""),
    "number_",
)
"""A row that stands as if it had been published, though nobody signed it."""
HOLD = Statement(select(exclusive("name")), "name")
"""Waits until no other transaction decides about the catalogue or the register."""

EVENTS = Statement(
    select(*_EVENT).where(_event.c.number > bindparam("after")).order_by(_event.c.number), "after"
)
LAST = Statement(select(*_EVENT).order_by(_event.c.number.desc()).limit(1))
ADD = Statement(insert(_event).values(**binds(_event)), *(c.name for c in _event.columns))
