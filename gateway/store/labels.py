"""Statements on charts to be labelled again, and on the runs that tell how far that is."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.statements import Statement

_chart = tables.Chart.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]
_run = tables.LabelRun.__table__  # type: ignore[attr-defined]


class ChartState(NamedTuple):
    """A chart as labelling meets it; both numbers move with every change of it."""

    id: str
    organization: str
    seq: int
    epoch: int
    labelled: str


CHART = Statement(
    select(
        _chart.c.id, _chart.c.organization, _chart.c.seq, _chart.c.epoch, _chart.c.labelled
    ).where(_chart.c.id == bindparam("chart")),
    "chart",
)
BEFORE = Statement(
    select(_chart.c.id).where(_chart.c.labelled < bindparam("rules")).limit(bindparam("most")),
    "rules",
    "most",
)
"""Charts that are labelled under other rules: this and the next, each a range of the index."""
BEYOND = Statement(
    select(_chart.c.id).where(_chart.c.labelled > bindparam("rules")).limit(bindparam("most")),
    "rules",
    "most",
)
COUNT_BEFORE = Statement(
    select(func.count()).select_from(_chart).where(_chart.c.labelled < bindparam("rules")), "rules"
)
COUNT_BEYOND = Statement(
    select(func.count()).select_from(_chart).where(_chart.c.labelled > bindparam("rules")), "rules"
)
RECORDS = Statement(
    select(
        _record.c.seq,
        _record.c.id,
        _record.c.version,
        _record.c.current,
        _record.c.tier,
        _record.c.head,
        _record.c.sealed,
    )
    .where(
        _record.c.bucket == bindparam("bucket"),
        _record.c.chart == bindparam("chart"),
        _record.c.seq > bindparam("after"),
    )
    .order_by(_record.c.seq)
    .limit(bindparam("most")),
    "bucket",
    "chart",
    "after",
    "most",
)
"""A chart's versions as they lie, a page at a time."""


class RunRow(NamedTuple):
    """One time all charts were labelled again, and how far it is."""

    id: int
    rules: str
    policy: str
    state: str  # running | done
    asked_by: str
    asked_at: int
    total: int
    done: int
    records: int
    raised: int
    faults: int
    report: str
    finished: int


_COLUMNS = tuple(_run.c[name] for name in RunRow._fields)
NEWEST_RUN = Statement(select(*_COLUMNS).order_by(_run.c.id.desc()).limit(1))
RUNS = Statement(select(*_COLUMNS).order_by(_run.c.id.desc()).limit(bindparam("most")), "most")
ADD_RUN = Statement(
    insert(_run).values(**binds(_run, "id")).returning(_run.c.id),
    *(c.name for c in _run.columns if c.name != "id"),
)
MOVE_ON = Statement(
    update(_run)
    .where(_run.c.id == bindparam("id_"), _run.c.state == "running")
    .values(
        done=_run.c.done + 1,
        records=_run.c.records + bindparam("records_"),
        raised=_run.c.raised + bindparam("raised_"),
        faults=_run.c.faults + bindparam("faults_"),
    )
    .returning(_run.c.report),
    "id_",
    "records_",
    "raised_",
    "faults_",
)
SET_REPORT = Statement(
    update(_run).where(_run.c.id == bindparam("id_")).values(report=bindparam("report_")),
    "id_",
    "report_",
)
FINISH = Statement(
    update(_run)
    .where(_run.c.id == bindparam("id_"), _run.c.state == "running")
    .values(state="done", finished=bindparam("at_"))
    .returning(_run.c.done, _run.c.raised),
    "id_",
    "at_",
)
