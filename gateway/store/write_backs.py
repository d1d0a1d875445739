"""Statements on messages to the hospitals whose doctors decided: due, handed over, given up."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update

from gateway.store import recognition_tables as tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.statements import Statement

_message = tables.WriteBack.__table__  # type: ignore[attr-defined]


class MessageRow(NamedTuple):
    """A message; `sealed` opens with the record key of `chart`. Times are µs UTC."""

    id: str
    organization: str
    chart: str
    task: str
    at: int
    state: str
    attempts: int
    due: int
    error: str
    sealed: bytes
    kind: str  # decision | revocation | alert


def _names(table: Any) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


_ROW = tuple(_message.c[name] for name in MessageRow._fields)
ADD = Statement(insert_or_leave(_message).values(**binds(_message)), *_names(_message))
_OPEN = or_(_message.c.state == "waiting", _message.c.state == "held")
DUE = Statement(
    select(*_ROW)
    .where(_OPEN, _message.c.due <= bindparam("at"))
    .order_by(_message.c.due, _message.c.id)
    .limit(bindparam("most")),
    "at",
    "most",
)
TAKE = Statement(
    update(_message)
    .where(
        _message.c.id == bindparam("id_"),
        _OPEN,
        _message.c.due == bindparam("was_due"),
    )
    .values(due=bindparam("next_"), attempts=_message.c.attempts + 1)
    .returning(_message.c.attempts),
    "id_",
    "was_due",
    "next_",
)
"""Take a message in hand: counted and put off before it is tried, so that one worker does."""
HOLD = Statement(
    update(_message)
    .where(
        _message.c.id == bindparam("id_"),
        _OPEN,
        _message.c.due == bindparam("was_due"),
    )
    .values(state="held", error=bindparam("why_"), due=bindparam("next_")),
    "id_",
    "was_due",
    "why_",
    "next_",
)
"""Put a message off without counting a try: it may not be sent now."""
END = Statement(
    update(_message)
    .where(_message.c.id == bindparam("id_"))
    .values(state=bindparam("state_"), error=bindparam("error_"))
    .returning(*_ROW),
    "id_",
    "state_",
    "error_",
)
ALL = Statement(
    select(*_ROW)
    .where(_message.c.id > bindparam("after"))
    .order_by(_message.c.id)
    .limit(bindparam("most")),
    "after",
    "most",
)
COUNTS = Statement(
    select(_message.c.state, func.count()).group_by(_message.c.state).order_by(_message.c.state)
)
BY_KIND = Statement(
    select(_message.c.organization, _message.c.kind, _message.c.state, func.count())
    .group_by(_message.c.organization, _message.c.kind, _message.c.state)
    .order_by(_message.c.organization, _message.c.kind, _message.c.state)
)
"""(organisation, kind, state, how many)."""

FAILED = Statement(
    select(_message.c.id, _message.c.at, _message.c.attempts, _message.c.error, _message.c.kind)
    .where(_message.c.organization == bindparam("organization"), _message.c.state == "failed")
    .order_by(_message.c.at.desc())
    .limit(bindparam("most")),
    "organization",
    "most",
)
"""(id, at, attempts, kind of failure, kind) of what was given up, newest first."""
SEND_AGAIN = Statement(
    update(_message)
    .where(
        _message.c.id == bindparam("id_"),
        _message.c.organization == bindparam("organization_"),
        _message.c.state == "failed",
    )
    .values(state="waiting", attempts=0, due=bindparam("due_"), error="")
    .returning(_message.c.id),
    "id_",
    "organization_",
    "due_",
)
