"""Residents' own accounts, and who may act for whom: rows, and what changes them."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update

from gateway.store import tables
from gateway.store.charts import Upsert, binds
from gateway.store.statements import Statement, any_of

_own = tables.OwnAccount.__table__  # type: ignore[attr-defined]
_mandate = tables.Mandate.__table__  # type: ignore[attr-defined]
_grant = tables.EmergencyGrant.__table__  # type: ignore[attr-defined]
_notice = tables.Notice.__table__  # type: ignore[attr-defined]


class OwnRow(NamedTuple):
    """An own account. `verified` 0: the telephone has not answered yet; `ended` 0: it stands."""

    login: str
    chart: str
    proof: str
    sealed: bytes
    phone: bytes
    verified: int
    code: bytes
    code_ends: int
    attempts: int
    made_by: str
    at: int
    ended: int


class MandateRow(NamedTuple):
    """A right of `login` to act for the person of `chart`, its terms sealed."""

    chart: str
    id: str
    login: str
    kind: str
    sealed: bytes
    suspended: int
    recorded_by: str
    at: int
    ended: int


def _columns(table: Any, row: Any) -> list[Any]:
    return [table.c[name] for name in row._fields]


OWN = Statement(select(*_columns(_own, OwnRow)).where(_own.c.login == bindparam("login")), "login")
OWN_OF = Statement(
    select(*_columns(_own, OwnRow))
    .where(any_of(_own.c.chart, "charts"), _own.c.ended == 0, _own.c.verified != 0)
    .order_by(_own.c.at, _own.c.login),
    "charts",
    lists=("charts",),
)
"""The accounts that stand of the person with these charts."""
SAME_PHONE = Statement(
    select(_own.c.login, _own.c.chart).where(
        _own.c.phone == bindparam("phone"), _own.c.ended == 0, _own.c.verified != 0
    ),
    "phone",
)
ADD_OWN = Statement(insert(_own).values(**binds(_own)), *(c.name for c in _own.columns))
DROP_ASKED = Statement(
    delete(_own).where(any_of(_own.c.chart, "charts"), _own.c.verified == 0),
    "charts",
    lists=("charts",),
)
"""Forget what was begun for this person and never verified."""
TRY = Statement(
    update(_own)
    .where(_own.c.login == bindparam("login"), _own.c.ended == 0)
    .values(attempts=_own.c.attempts + 1)
    .returning(*_columns(_own, OwnRow)),
    "login",
)
"""Count an attempt to name the code, before it is looked at."""
SET_CODE = Statement(
    update(_own)
    .where(_own.c.login == bindparam("login"), _own.c.ended == 0)
    .values(
        code=bindparam("code", type_=_own.c.code.type),
        code_ends=bindparam("ends", type_=_own.c.code_ends.type),
        verified=bindparam("verified", type_=_own.c.verified.type),
        sealed=bindparam("sealed", type_=_own.c.sealed.type),
        attempts=0,
    ),
    "login",
    "code",
    "ends",
    "verified",
    "sealed",
)
END_OWN = Statement(
    update(_own)
    .where(_own.c.login == bindparam("login"), _own.c.ended == 0)
    .values(
        ended=bindparam("at", type_=_own.c.ended.type),
        code=bindparam("none", type_=_own.c.code.type),
        sealed=bindparam("sealed", type_=_own.c.sealed.type),
    )
    .returning(_own.c.chart),
    "login",
    "at",
    "none",
    "sealed",
)

MANDATE = Statement(
    select(*_columns(_mandate, MandateRow)).where(
        _mandate.c.chart == bindparam("chart"), _mandate.c.id == bindparam("id")
    ),
    "chart",
    "id",
)
MANDATES_ON = Statement(
    select(*_columns(_mandate, MandateRow))
    .where(any_of(_mandate.c.chart, "charts"))
    .order_by(_mandate.c.at, _mandate.c.id),
    "charts",
    lists=("charts",),
)
"""Everybody who acts or acted for the person with these charts."""
MANDATES_OF = Statement(
    select(*_columns(_mandate, MandateRow))
    .where(_mandate.c.login == bindparam("login"), _mandate.c.ended == 0)
    .order_by(_mandate.c.at, _mandate.c.id),
    "login",
)
"""For whom an account acts."""
PUT_MANDATE = Upsert(_mandate, "chart", "id")
HELD_BACK = Statement(
    select(_grant.c.login, _grant.c.organization, _grant.c.start, _grant.c.end)
    .join(_notice, _notice.c.about == _grant.c.id)
    .where(any_of(_notice.c.chart, "charts"), _notice.c.held > bindparam("at")),
    "charts",
    "at",
    lists=("charts",),
)
"""(login, organisation, start, end) of emergency accesses the person is told of only later."""
