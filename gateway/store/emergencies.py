"""Statements on broken glass: who may look at whom in an emergency, until when, and how often."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, or_, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.statements import Statement, any_of, exclusive

_grant = tables.EmergencyGrant.__table__  # type: ignore[attr-defined]


class GrantRow(NamedTuple):
    """A grant: one user, one chart's person, from `start` to before `end` (µs UTC).

    `closed` is 0 while it was not ended early. `sealed` holds the words it was asked for with.
    """

    id: str
    chart: str
    login: str
    organization: str
    reason: str
    sealed: bytes
    start: int
    end: int
    closed: int
    approver: str


_ROW = tuple(_grant.c[name] for name in GrantRow._fields)

HOLD = Statement(select(exclusive("digest")), "digest")
"""Nobody else counts this person's grants until the transaction ends."""
ADD = Statement(insert(_grant).values(**binds(_grant)), *(c.name for c in _grant.columns))
ONE = Statement(select(*_ROW).where(_grant.c.id == bindparam("id")), "id")
LIVE = Statement(
    select(*_ROW)
    .where(
        any_of(_grant.c.chart, "charts"),
        _grant.c.login == bindparam("login"),
        _grant.c.organization == bindparam("organization"),
        _grant.c.closed == 0,
        _grant.c.start <= bindparam("at"),
        _grant.c.end > bindparam("at"),
    )
    .order_by(_grant.c.end.desc(), _grant.c.id),
    "charts",
    "login",
    "organization",
    "at",
    lists=("charts",),
)
"""What a user of an organisation holds on any of these charts at an instant."""
SINCE = Statement(
    select(_grant.c.organization, _grant.c.approver).where(
        _grant.c.login == bindparam("login"), _grant.c.start > bindparam("since")
    ),
    "login",
    "since",
)
"""(organisation, approver) of each grant of a user's since an instant: what the budget counts."""
CLOSE = Statement(
    update(_grant)
    .where(_grant.c.id == bindparam("id_"), _grant.c.closed == 0, _grant.c.end > bindparam("at_"))
    .values(closed=bindparam("at_"))
    .returning(_grant.c.chart),
    "id_",
    "at_",
)
_running = (
    any_of(_grant.c.chart, "charts"),
    _grant.c.closed == 0,
    _grant.c.end > bindparam("at_"),
)
LIVE_ON = Statement(
    select(_grant.c.id, _grant.c.chart).where(*_running), "charts", "at_", lists=("charts",)
)
"""Everybody's on these charts."""
CLOSE_ON = Statement(
    update(_grant).where(*_running).values(closed=bindparam("at_")).returning(_grant.c.id),
    "charts",
    "at_",
    lists=("charts",),
)
CLOSE_ALL = Statement(
    update(_grant)
    .where(
        _grant.c.login == bindparam("login_"), _grant.c.closed == 0, _grant.c.end > bindparam("at_")
    )
    .values(closed=bindparam("at_"))
    .returning(_grant.c.chart),
    "login_",
    "at_",
)
"""End everything a user holds; the charts it was about."""
BY_PERSON = Statement(
    select(_grant.c.login, _grant.c.organization, _grant.c.reason, _grant.c.start).where(
        or_(
            _grant.c.login == bindparam("login"),
            _grant.c.organization == bindparam("organization"),
        ),
        _grant.c.start > bindparam("since"),
        _grant.c.start <= bindparam("until"),
    ),
    "login",
    "organization",
    "since",
    "until",
)
"""(login, organisation, reason, start) of grants of a user or of their organisation."""
BY_MONTH = Statement(
    select(_grant.c.organization, _grant.c.reason, func.count())
    .where(_grant.c.start >= bindparam("since"), _grant.c.start < bindparam("until"))
    .group_by(_grant.c.organization, _grant.c.reason),
    "since",
    "until",
)
"""(organisation, reason, how many) between two instants."""
