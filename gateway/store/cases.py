"""Statements on cases that privacy officers decide: opened, taken, answered, closed."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, case, func, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.statements import Statement

_review = tables.Review.__table__  # type: ignore[attr-defined]


class CaseRow(NamedTuple):
    """A case as it stands; times are µs UTC and 0 where it has not come to that."""

    id: str
    kind: str
    chart: str
    login: str
    organization: str
    sealed: bytes
    opened: int
    due: int
    taken_by: str
    taken: int
    verdict: str
    decided_by: str
    decided: int
    second_by: str
    closed: int


_ROW = tuple(_review.c[name] for name in CaseRow._fields)

ADD = Statement(insert(_review).values(**binds(_review)), *(c.name for c in _review.columns))
ONE = Statement(select(*_ROW).where(_review.c.id == bindparam("id")), "id")
OPEN = Statement(
    select(*_ROW).where(_review.c.closed == 0).order_by(_review.c.due, _review.c.id).limit(1_000)
)
"""Every case that waits, the one due first at the head."""
CLOSED = Statement(
    select(*_ROW)
    .where(_review.c.closed > bindparam("since"))
    .order_by(_review.c.closed.desc(), _review.c.id)
    .limit(200),
    "since",
)
AGAINST = Statement(
    select(*_ROW)
    .where(
        _review.c.login == bindparam("login"),
        _review.c.verdict == "not-justified",
        _review.c.closed > bindparam("since"),
    )
    .order_by(_review.c.closed),
    "login",
    "since",
)
"""What was found not justified of a user's since an instant."""
ASKED = Statement(
    select(*_ROW)
    .where(
        _review.c.login == bindparam("login"),
        _review.c.verdict == "needs-answer",
        _review.c.closed == 0,
    )
    .order_by(_review.c.due, _review.c.id),
    "login",
)
"""Cases in which a user has been asked something."""
SUSPENDED = Statement(
    select(_review.c.id).where(
        _review.c.login == bindparam("login"),
        _review.c.kind == "suspension",
        _review.c.closed == 0,
    ),
    "login",
)
"""Whether a user is suspended: the case stands open until two officers lift it."""
MOVE = Statement(
    update(_review)
    .where(
        _review.c.id == bindparam("id_"),
        _review.c.closed == 0,
        _review.c.taken_by == bindparam("was_taken_by"),
        _review.c.verdict == bindparam("was_verdict"),
        _review.c.sealed == bindparam("was_sealed"),
    )
    .values(
        sealed=bindparam("sealed_"),
        taken_by=bindparam("taken_by_"),
        taken=bindparam("taken_"),
        verdict=bindparam("verdict_"),
        decided_by=bindparam("decided_by_"),
        decided=bindparam("decided_"),
        second_by=bindparam("second_by_"),
        closed=bindparam("closed_"),
    )
    .returning(_review.c.id),
    "id_",
    "was_taken_by",
    "was_verdict",
    "was_sealed",
    "sealed_",
    "taken_by_",
    "taken_",
    "verdict_",
    "decided_by_",
    "decided_",
    "second_by_",
    "closed_",
)
"""A case goes on from what it was; no row when somebody else moved it first."""
COUNTS = Statement(
    select(
        _review.c.kind,
        func.count(),
        func.coalesce(func.sum(case((_review.c.due < bindparam("at"), 1), else_=0)), 0),
    )
    .where(_review.c.closed == 0)
    .group_by(_review.c.kind),
    "at",
)
"""(kind, open, overdue) of the cases that wait."""
