"""Statements on the versions of the county's consent policy."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.statements import Statement, exclusive

_version = tables.PolicyVersion.__table__  # type: ignore[attr-defined]


class VersionRow(NamedTuple):
    """A version; times are µs UTC, 0 is never. `signature` is the signed note of one that came in
    force."""

    number: int
    hash: str
    text: bytes
    state: str  # proposed | in-force | retired | refused
    base: int
    note: str
    report: str
    proposed_by: str
    organization: str
    proposed_at: int
    decided_by: str
    decided_at: int
    reason: str
    since: int
    until: int
    signature: bytes


_ROW = tuple(_version.c[name] for name in VersionRow._fields)

IN_FORCE = Statement(
    select(func.coalesce(func.max(_version.c.number), 0)).where(_version.c.state == "in-force")
)
"""The number of the version in force; 0 when there is none."""
VERSION = Statement(select(*_ROW).where(_version.c.number == bindparam("number")), "number")
VERSIONS = Statement(select(*_ROW).order_by(_version.c.number))
HOLD = Statement(select(exclusive("name")), "name")
"""Waits until no other transaction decides about the policy."""
PUT = Statement(insert(_version).values(**binds(_version)), *(c.name for c in _version.columns))
RETIRE = Statement(
    update(_version)
    .where(_version.c.state == "in-force")
    .values(state="retired", until=bindparam("at_")),
    "at_",
)
DECIDE = Statement(
    update(_version)
    .where(_version.c.number == bindparam("number_"), _version.c.state == "proposed")
    .values(
        state=bindparam("state_"),
        decided_by=bindparam("by_"),
        decided_at=bindparam("at_"),
        reason=bindparam("reason_"),
        since=bindparam("since_"),
        signature=bindparam("signature_"),
    ),
    "number_",
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
        text=bindparam("text_"),
        state=bindparam("state_"),
        proposed_by=bindparam("proposed_by_"),
        decided_by=bindparam("decided_by_"),
        since=bindparam("since_"),
        until=bindparam("until_"),
        signature=bindparam("signature_"),
    ),
    "number_",
    "hash_",
    "text_",
    "state_",
    "proposed_by_",
    "decided_by_",
    "since_",
    "until_",
    "signature_",
)
"""A row as it was signed again."""
DISOWN = Statement(
    update(_version)
    .where(_version.c.number == bindparam("number_"))
    .values(state="refused", signature=b""),
    "number_",
)
"""A row that stands as if it had been in force, though nobody signed it."""
