"""Statements on questions shown to patients who are there, and on relationships people claim instead."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, delete, insert, or_, select, update

from gateway.store import tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.statements import Statement

_presence = tables.Presence.__table__  # type: ignore[attr-defined]
_try = tables.PresenceTry.__table__  # type: ignore[attr-defined]
_reason = tables.ClaimReason.__table__  # type: ignore[attr-defined]


class PresenceRow(NamedTuple):
    """A question as it stands; `tag` and `code` are keyed hashes, times µs UTC and 0 before they come."""

    tag: bytes
    code: bytes
    login: str
    sealed: bytes
    session: str
    organization: str
    purpose: str
    made: int
    ends: int
    chart: str
    answered_by: str
    answered: int
    yes: int
    used: int


_ROW = tuple(_presence.c[name] for name in PresenceRow._fields)


def _one_more(table: Any) -> dict[str, Any]:
    """One more in `count`; one again, from now on, where `since` lies before `floor`."""
    old = table.c.since < bindparam("floor", type_=table.c.since.type)
    now = bindparam("at", type_=table.c.since.type)
    return {
        "count": case((old, 1), else_=table.c.count + 1),
        "since": case((old, now), else_=table.c.since),
    }


ADD = Statement(insert(_presence).values(**binds(_presence)), *PresenceRow._fields)
END_OLD = Statement(
    delete(_presence).where(
        or_(
            _presence.c.ends < bindparam("before", type_=_presence.c.ends.type),
            (_presence.c.login == bindparam("login"))
            & (_presence.c.session == bindparam("session"))
            & (_presence.c.answered == 0),
        )
    ),
    "before",
    "login",
    "session",
)
"""Forget what is long over, and what this screen asked before."""
BY_TAG = Statement(select(*_ROW).where(_presence.c.tag == bindparam("tag")), "tag")
BY_CODE = Statement(select(*_ROW).where(_presence.c.code == bindparam("code")), "code")
ANSWER = Statement(
    update(_presence)
    .where(
        _presence.c.tag == bindparam("tag_"),
        _presence.c.answered == 0,
        _presence.c.ends > bindparam("at", type_=_presence.c.ends.type),
    )
    .values(
        chart=bindparam("chart_"),
        answered_by=bindparam("by"),
        answered=bindparam("at", type_=_presence.c.answered.type),
        yes=bindparam("yes_"),
    )
    .returning(_presence.c.tag),
    "tag_",
    "chart_",
    "by",
    "at",
    "yes_",
)
"""Answer it; no row when somebody has, or it ended."""
USE = Statement(
    update(_presence)
    .where(_presence.c.tag == bindparam("tag_"), _presence.c.yes == 1, _presence.c.used == 0)
    .values(used=bindparam("at", type_=_presence.c.used.type))
    .returning(_presence.c.chart),
    "tag_",
    "at",
)
"""Go on with it; no row the second time."""

ADD_TRY = Statement(
    insert_or_leave(_try).values(
        login=bindparam("login"), since=bindparam("at", type_=_try.c.since.type), count=0
    ),
    "login",
    "at",
)
COUNT_TRY = Statement(
    update(_try)
    .where(_try.c.login == bindparam("login_"))
    .values(**_one_more(_try))
    .returning(_try.c.count),
    "login_",
    "floor",
    "at",
)
"""Count one more, from one again where the first of them is older than `floor`."""
FORGET_TRIES = Statement(delete(_try).where(_try.c.login == bindparam("login")), "login")

ADD_REASON = Statement(
    insert_or_leave(_reason).values(
        organization=bindparam("organization"),
        reason=bindparam("reason", type_=_reason.c.reason.type),
        since=bindparam("at", type_=_reason.c.since.type),
        count=0,
    ),
    "organization",
    "reason",
    "at",
)
COUNT_REASON = Statement(
    update(_reason)
    .where(
        _reason.c.organization == bindparam("organization_"),
        _reason.c.reason == bindparam("reason_"),
    )
    .values(**_one_more(_reason))
    .returning(_reason.c.count),
    "organization_",
    "reason_",
    "floor",
    "at",
)
