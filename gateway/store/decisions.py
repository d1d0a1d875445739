"""Statements on decisions: their evidence, who relied on what has changed, and how often reasons are used."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, case, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import recognition_tables as tables
from gateway.store.charts import binds
from gateway.store.statements import Statement, any_of

_evidence = tables.DecisionEvidence.__table__  # type: ignore[attr-defined]
_alert = tables.ReliedAlert.__table__  # type: ignore[attr-defined]
_use = tables.DeclineUse.__table__  # type: ignore[attr-defined]


def _names(table: Any) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


# Evidence.


class EvidenceRow(NamedTuple):
    """The evidence of one decision; `sealed` opens with the record key of `chart`."""

    id: str
    task: str
    chart: str
    target: str
    version: int
    source: str  # the chart of the result
    report: str
    organization: str
    login: str
    at: int
    standing: int
    licensed: int
    sealed: bytes


_ROW = tuple(_evidence.c[name] for name in EvidenceRow._fields)

ADD = Statement(insert(_evidence).values(**binds(_evidence)), *_names(_evidence))
END = Statement(
    update(_evidence)
    .where(any_of(_evidence.c.task, "tasks"), _evidence.c.standing == 1)
    .values(standing=0)
    .returning(*_ROW),
    "tasks",
    lists=("tasks",),
)
"""What these Tasks rested on so far does not stand any more; returns it."""
ALL_EVIDENCE = Statement(
    select(*_ROW)
    .where(_evidence.c.id > bindparam("after"))
    .order_by(_evidence.c.id)
    .limit(bindparam("most")),
    "after",
    "most",
)
ONE = Statement(select(*_ROW).where(_evidence.c.id == bindparam("id")), "id")
OF_TASKS = Statement(
    select(*_ROW).where(any_of(_evidence.c.task, "tasks")).order_by(_evidence.c.at),
    "tasks",
    lists=("tasks",),
)
OF_CHARTS = Statement(
    select(*_ROW).where(any_of(_evidence.c.chart, "charts")).order_by(_evidence.c.at),
    "charts",
    lists=("charts",),
)
RELIED_ON = Statement(
    select(*_ROW).where(
        _evidence.c.standing == 1,
        or_(any_of(_evidence.c.target, "ids"), any_of(_evidence.c.report, "reports")),
    ),
    "ids",
    "reports",
    lists=("ids", "reports"),
)
"""The standing decisions on these records, or made on results of these reports."""
RELIED_ACROSS = Statement(
    select(*_ROW).where(
        _evidence.c.standing == 1,
        or_(any_of(_evidence.c.source, "sources"), any_of(_evidence.c.chart, "charts")),
    ),
    "sources",
    "charts",
    lists=("sources", "charts"),
)
"""The standing decisions on results of these sources, or kept in these charts."""
UNLICENSED = Statement(
    select(_evidence.c.organization, func.count())
    .where(_evidence.c.licensed == 0)
    .group_by(_evidence.c.organization)
    .order_by(_evidence.c.organization)
)


# Alerts.


class AlertRow(NamedTuple):
    """A result that was relied on has changed; `seen` is µs UTC, 0 until its doctor looked."""

    id: int
    evidence: str
    organization: str
    login: str
    chart: str
    target: str
    version: int
    change: str
    at: int
    seen: int
    settled: int
    told: int


_ALERT = tuple(_alert.c[name] for name in AlertRow._fields)
_ALERT_GIVEN = tuple(name for name in _names(_alert) if name not in ("id", "trouble"))


class _AlertOnce(Statement):
    """Adds an alert and returns it; the same change of the same evidence alerts once."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_alert_once(sqlite), *_ALERT_GIVEN)

    def _compile(self, dialect: Any) -> Any:
        if dialect.name == "postgresql":
            self._clause = _alert_once(postgresql)
        return super()._compile(dialect)


def _alert_once(engine: Any) -> Any:
    values: dict[str, Any] = {name: bindparam(name) for name in _ALERT_GIVEN}
    values["trouble"] = ""
    added = engine.insert(_alert).values(**values)
    added = added.on_conflict_do_nothing(index_elements=["evidence", "version", "change"])
    return added.returning(*_ALERT)


ADD_ALERT = _AlertOnce()
ALL_ALERTS = Statement(
    select(*_ALERT)
    .where(_alert.c.id > bindparam("after"))
    .order_by(_alert.c.id)
    .limit(bindparam("most")),
    "after",
    "most",
)
ALERTS_OF = Statement(
    select(*_ALERT)
    .where(
        _alert.c.organization == bindparam("organization"),
        _alert.c.login == bindparam("login"),
        _alert.c.settled == 0,
    )
    .order_by(_alert.c.at.desc(), _alert.c.id.desc())
    .limit(200),
    "organization",
    "login",
)
"""What waits for one doctor, newest first."""
SEE = Statement(
    update(_alert)
    .where(_alert.c.id == bindparam("id_"), _alert.c.seen == 0)
    .values(seen=bindparam("at_"))
    .returning(*_ALERT),
    "id_",
    "at_",
)
SETTLE = Statement(
    update(_alert)
    .where(any_of(_alert.c.evidence, "ids"), _alert.c.settled == 0)
    .values(settled=bindparam("at_"))
    .returning(*_ALERT),
    "ids",
    "at_",
    lists=("ids",),
)
"""The decision these were about was renewed or revoked: there is nothing left to do."""
UNTOLD = Statement(
    select(*_ALERT)
    .where(_alert.c.told == 0, _alert.c.settled == 0, _alert.c.trouble == "")
    .order_by(_alert.c.id)
    .limit(bindparam("most")),
    "most",
)
"""What the hospitals' own systems have not been written to about."""
TELL = Statement(
    update(_alert)
    .where(_alert.c.id == bindparam("id_"), _alert.c.told == 0)
    .values(told=bindparam("at_"))
    .returning(*_ALERT),
    "id_",
    "at_",
)
PASS_OVER = Statement(
    update(_alert)
    .where(_alert.c.id == bindparam("id_"), _alert.c.told == 0)
    .values(trouble=bindparam("trouble_")),
    "id_",
    "trouble_",
)
"""It could not be made into a message, and why; nobody tries again until somebody says so."""
PASSED_OVER = Statement(
    select(_alert.c.id, _alert.c.at, _alert.c.trouble)
    .where(
        _alert.c.organization == bindparam("organization"),
        _alert.c.trouble != "",
        _alert.c.settled == 0,
    )
    .order_by(_alert.c.at.desc())
    .limit(bindparam("most")),
    "organization",
    "most",
)
TELL_AGAIN = Statement(
    update(_alert)
    .where(
        _alert.c.id == bindparam("id_"),
        _alert.c.organization == bindparam("organization_"),
        _alert.c.trouble != "",
        _alert.c.settled == 0,
    )
    .values(trouble="")
    .returning(_alert.c.id),
    "id_",
    "organization_",
)
ALERT_COUNTS = Statement(
    select(
        _alert.c.organization,
        _alert.c.change,
        func.count(),
        func.sum(case((_alert.c.seen > 0, 1), else_=0)),
        func.sum(case((_alert.c.settled > 0, 1), else_=0)),
        func.sum(case((and_(_alert.c.trouble != "", _alert.c.settled == 0), 1), else_=0)),
        func.min(case((_alert.c.settled == 0, _alert.c.at))),
    )
    .group_by(_alert.c.organization, _alert.c.change)
    .order_by(_alert.c.organization, _alert.c.change)
)
"""(organisation, change, all, seen, settled, open and not told, µs of the oldest open or None)."""


# How often a hospital uses a reason.


class _Used(Statement):
    """Counts one use of a reason."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_used(sqlite), "organization", "code")

    def _compile(self, dialect: Any) -> Any:
        if dialect.name == "postgresql":
            self._clause = _used(postgresql)
        return super()._compile(dialect)


def _used(engine: Any) -> Any:
    added = engine.insert(_use).values(
        organization=bindparam("organization"), code=bindparam("code"), uses=1
    )
    return added.on_conflict_do_update(
        index_elements=["organization", "code"], set_={"uses": _use.c.uses + 1}
    )


USED = _Used()
USES = Statement(
    select(_use.c.code, _use.c.uses).where(_use.c.organization == bindparam("organization")),
    "organization",
)
