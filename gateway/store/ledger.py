"""Statements on the events of recognition: added once, never changed."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import recognition_tables as tables
from gateway.store.statements import Statement, any_of

_event = tables.RecognitionEvent.__table__  # type: ignore[attr-defined]


class EventRow(NamedTuple):
    """An event; times are µs UTC."""

    id: str
    kind: str
    at: int
    organization: str
    question: str
    patient: str
    sealed: bytes


_ROW = tuple(_event.c[name] for name in EventRow._fields)


class _AddOnce(Statement):
    """Adds a row; one that stands under its id stays as it is."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_add(sqlite), *EventRow._fields)

    def _compile(self, dialect: Any) -> Any:
        if dialect.name == "postgresql":
            self._clause = _add(postgresql)
        return super()._compile(dialect)


def _add(engine: Any) -> Any:
    values: dict[str, Any] = {name: bindparam(name) for name in EventRow._fields}
    insert = engine.insert(_event).values(**values)
    return insert.on_conflict_do_nothing(index_elements=["id"])


ADD = _AddOnce()
ALL = Statement(
    select(*_ROW)
    .where(_event.c.id > bindparam("after"))
    .order_by(_event.c.id)
    .limit(bindparam("most")),
    "after",
    "most",
)
BETWEEN = Statement(
    select(*_ROW)
    .where(_event.c.at >= bindparam("start"), _event.c.at < bindparam("end"))
    .order_by(_event.c.at, _event.c.id),
    "start",
    "end",
)
OF_QUESTION = Statement(
    select(*_ROW).where(_event.c.question == bindparam("question")).order_by(_event.c.at),
    "question",
)
_arisen = (
    select(_event.c.question)
    .group_by(_event.c.question)
    .having(func.min(_event.c.at) >= bindparam("start"), func.min(_event.c.at) < bindparam("end"))
)
ARISEN = Statement(
    select(*_ROW)
    .where(_event.c.question.in_(_arisen), _event.c.at < bindparam("until"))
    .order_by(_event.c.at, _event.c.id),
    "start",
    "end",
    "until",
)
"""Every event before `until` of the questions whose first event lies in [start, end)."""
OF_PATIENTS = Statement(
    select(*_ROW)
    .where(
        any_of(_event.c.patient, "patients"),
        _event.c.organization == bindparam("organization"),
        _event.c.at >= bindparam("since"),
    )
    .order_by(_event.c.at, _event.c.id),
    "patients",
    "organization",
    "since",
    lists=("patients",),
)
"""What one receiver was asked about these patients since then, and what became of it."""
FIRST = Statement(select(func.min(_event.c.at)))
"""When the first event of all happened; NULL without any."""
OF_EACH = Statement(
    select(*_ROW).where(any_of(_event.c.question, "questions")).order_by(_event.c.at, _event.c.id),
    "questions",
    lists=("questions",),
)
