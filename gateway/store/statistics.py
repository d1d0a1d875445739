"""Statements on frozen figures and the objections to them: figures are added once, never changed."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from gateway.store import recognition_tables as tables
from gateway.store.statements import Statement

_snapshot = tables.StatisticsSnapshot.__table__  # type: ignore[attr-defined]
_objection = tables.StatisticsObjection.__table__  # type: ignore[attr-defined]


class SnapshotRow(NamedTuple):
    """The figures of a month; `content` is sealed, `organization` empty for the county."""

    id: str
    month: str
    organization: str
    content: bytes
    hash: str
    made_by: str
    at: int
    signature: bytes


class ObjectionRow(NamedTuple):
    """An objection; `state` is open, upheld or rejected, the texts are sealed, times µs UTC."""

    id: str
    month: str
    organization: str
    made_by: str
    made_at: int
    sealed: bytes
    state: str
    decided_by: str
    decided_at: int
    answer: bytes


_SNAPSHOT = tuple(_snapshot.c[name] for name in SnapshotRow._fields)
_OBJECTION = tuple(_objection.c[name] for name in ObjectionRow._fields)

ADD_SNAPSHOT = Statement(
    insert(_snapshot).values({name: bindparam(name) for name in SnapshotRow._fields}),
    *SnapshotRow._fields,
)
SNAPSHOT = Statement(
    select(*_SNAPSHOT).where(
        _snapshot.c.month == bindparam("month"),
        _snapshot.c.organization == bindparam("organization"),
    ),
    "month",
    "organization",
)
ALL_SNAPSHOTS = Statement(
    select(*_SNAPSHOT)
    .where(_snapshot.c.id > bindparam("after"))
    .order_by(_snapshot.c.id)
    .limit(bindparam("most")),
    "after",
    "most",
)
FROZEN = Statement(
    select(_snapshot.c.month).where(_snapshot.c.organization == "").order_by(_snapshot.c.month)
)
"""The months whose figures are frozen."""
ADD_OBJECTION = Statement(
    insert(_objection).values({name: bindparam(name) for name in ObjectionRow._fields}),
    *ObjectionRow._fields,
)
OBJECTIONS = Statement(
    select(*_OBJECTION)
    .where(_objection.c.month == bindparam("month"))
    .order_by(_objection.c.made_at, _objection.c.id),
    "month",
)
ALL_OBJECTIONS = Statement(
    select(*_OBJECTION)
    .where(_objection.c.id > bindparam("after"))
    .order_by(_objection.c.id)
    .limit(bindparam("most")),
    "after",
    "most",
)
OPEN = Statement(
    select(_objection.c.month, _objection.c.organization, _objection.c.made_at)
    .where(_objection.c.state == "open")
    .order_by(_objection.c.made_at, _objection.c.id)
)
"""(month, organisation, µs) of the objections nobody has answered, oldest first."""
OBJECTION = Statement(select(*_OBJECTION).where(_objection.c.id == bindparam("id")), "id")
ANSWER = Statement(
    update(_objection)
    .where(_objection.c.id == bindparam("id_"), _objection.c.state == "open")
    .values(
        state=bindparam("state_"),
        decided_by=bindparam("by_"),
        decided_at=bindparam("at_"),
        answer=bindparam("answer_"),
    )
    .returning(*_OBJECTION),
    "id_",
    "state_",
    "by_",
    "at_",
    "answer_",
)
"""Answer an open objection, once; returns it."""
