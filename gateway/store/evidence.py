"""Statements on what proves a signature: kept evidence and one-time codes."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.statements import Statement, any_of

_evidence = tables.ConsentEvidence.__table__  # type: ignore[attr-defined]
_code = tables.SigningCode.__table__  # type: ignore[attr-defined]
_directive = tables.Directive.__table__  # type: ignore[attr-defined]


def _names(table: Any) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


# Evidence.


class EvidenceRow(NamedTuple):
    """Kept evidence; `sealed` opens with the chart's record key."""

    id: str
    chart: str
    kind: str
    assurance: int
    media_type: str
    sealed: bytes
    recorded_by: str
    at: int


ADD_EVIDENCE = Statement(insert_or_leave(_evidence).values(**binds(_evidence)), *_names(_evidence))
EVIDENCE = Statement(
    select(*(_evidence.c[name] for name in EvidenceRow._fields)).where(
        any_of(_evidence.c.id, "ids")
    ),
    "ids",
    lists=("ids",),
)
PROVED_BY = Statement(
    select(_directive.c.id).where(
        any_of(_directive.c.chart, "charts"), _directive.c.evidence == bindparam("evidence")
    ),
    "charts",
    "evidence",
    lists=("charts",),
)
"""The consents of these charts that rest on this evidence (keyed hash)."""


# One-time codes.


class CodeRow(NamedTuple):
    """A code that was just tried: `attempts` counts this one."""

    chart: str
    subject: bytes
    code: bytes
    sealed: bytes
    attempts: int
    made: int


ADD_CODE = Statement(insert(_code).values(**binds(_code)), *_names(_code))
TRY_CODE = Statement(
    update(_code)
    .where(
        _code.c.id == bindparam("id_"),
        _code.c.used == 0,
        _code.c.ends > bindparam("now_"),
        _code.c.attempts < bindparam("most_"),
    )
    .values(attempts=_code.c.attempts + 1)
    .returning(*(_code.c[name] for name in CodeRow._fields)),
    "id_",
    "now_",
    "most_",
)
"""Count an attempt; no row when the code is unknown, spent, late or tried too often."""
USE_CODE = Statement(
    update(_code)
    .where(_code.c.id == bindparam("id_"), _code.c.used == 0)
    .values(used=bindparam("at_"))
    .returning(_code.c.id),
    "id_",
    "at_",
)
CODES_SENT = Statement(
    select(func.count())
    .select_from(_code)
    .where(_code.c.ends > bindparam("since"), _code.c.chart == bindparam("chart")),
    "since",
    "chart",
)
DROP_CODES = Statement(delete(_code).where(_code.c.ends < bindparam("before")), "before")
