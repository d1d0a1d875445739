"""Statements on the access log: append events, give them their place, keep checkpoints."""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, select, update

from gateway.store import log_tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.statements import Statement

_writer = log_tables.Writer.__table__  # type: ignore[attr-defined]
_event = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]
_leaf = log_tables.LogLeaf.__table__  # type: ignore[attr-defined]
_checkpoint = log_tables.Checkpoint.__table__  # type: ignore[attr-defined]
_lease = log_tables.Lease.__table__  # type: ignore[attr-defined]

ADD_WRITER = Statement(
    insert_or_leave(_writer).values(name=bindparam("name"), counter=0, sequenced=0), "name"
)
COUNT_ON = Statement(
    update(_writer)
    .where(_writer.c.name == bindparam("name_"))
    .values(counter=_writer.c.counter + bindparam("by_", type_=_writer.c.counter.type))
    .returning(_writer.c.counter),
    "name_",
    "by_",
)
ADD_EVENT = Statement(insert(_event).values(**binds(_event)), *(c.name for c in _event.columns))

BEHIND = Statement(
    select(_writer.c.name, _writer.c.sequenced, _writer.c.counter)
    .where(_writer.c.counter > _writer.c.sequenced)
    .order_by(_writer.c.name)
)
EVENT = (
    _event.c.writer,
    _event.c.counter,
    _event.c.at,
    _event.c.kind,
    _event.c.outcome,
    _event.c.actor,
    _event.c.client,
    _event.c.organization,
    _event.c.purpose,
    _event.c.charts,
    _event.c.body_hash,
)
EVENTS_AFTER = Statement(
    select(*EVENT)
    .where(_event.c.writer == bindparam("writer"), _event.c.counter > bindparam("after"))
    .order_by(_event.c.counter)
    .limit(bindparam("most")),
    "writer",
    "after",
    "most",
)
SEQUENCED = Statement(
    update(_writer).where(_writer.c.name == bindparam("name_")).values(sequenced=bindparam("to_")),
    "name_",
    "to_",
)
VOUCHED = Statement(
    select(_event.c.body_hash, _event.c.sealed, _leaf.c.number)
    .select_from(
        _event.outerjoin(
            _leaf, (_leaf.c.writer == _event.c.writer) & (_leaf.c.counter == _event.c.counter)
        )
    )
    .where(
        _event.c.writer == bindparam("writer"),
        _event.c.counter > bindparam("after"),
        _event.c.counter <= bindparam("until"),
        _event.c.kind == "vouched",
        _event.c.at >= bindparam("since"),
    )
    .order_by(_event.c.counter),
    "writer",
    "after",
    "until",
    "since",
)
"""What one writer's events say of rows: hash, body, place in the log (NULL until it has one)."""
ADD_LEAF = Statement(insert(_leaf).values(**binds(_leaf)), *(c.name for c in _leaf.columns))
ADD_CHECKPOINT = Statement(
    insert(_checkpoint).values(**binds(_checkpoint)), *(c.name for c in _checkpoint.columns)
)
NEWEST_CHECKPOINT = Statement(
    select(_checkpoint.c.size, _checkpoint.c.note, _checkpoint.c.frontier, _checkpoint.c.at)
    .order_by(_checkpoint.c.size.desc())
    .limit(1)
)
CHECKPOINTS = Statement(select(_checkpoint.c.size, _checkpoint.c.note).order_by(_checkpoint.c.size))
LOGGED = Statement(
    select(
        _leaf.c.number,
        _leaf.c.hash,
        _leaf.c.writer,
        _leaf.c.counter,
        *EVENT[2:],
        _event.c.sealed,
        _event.c.body_owner,
    )
    .select_from(
        _leaf.outerjoin(
            _event, (_event.c.writer == _leaf.c.writer) & (_event.c.counter == _leaf.c.counter)
        )
    )
    .where(_leaf.c.number >= bindparam("first"))
    .order_by(_leaf.c.number)
    .limit(bindparam("most")),
    "first",
    "most",
)
STRAY = Statement(
    select(_event.c.writer, func.count())
    .select_from(
        _event.outerjoin(
            _leaf, (_leaf.c.writer == _event.c.writer) & (_leaf.c.counter == _event.c.counter)
        ).outerjoin(_writer, _writer.c.name == _event.c.writer)
    )
    .where(
        _leaf.c.number.is_(None),
        _writer.c.name.is_(None)
        | (_event.c.counter <= _writer.c.sequenced)
        | (_event.c.counter > _writer.c.counter),
    )
    .group_by(_event.c.writer)
    .order_by(_event.c.writer)
)
"""Events that neither have a place in the log nor wait for one."""
LEAVES = Statement(
    select(_leaf.c.number, _leaf.c.hash)
    .where(_leaf.c.number >= bindparam("first"))
    .order_by(_leaf.c.number)
    .limit(bindparam("most")),
    "first",
    "most",
)
WRITERS = Statement(select(_writer.c.name, _writer.c.counter, _writer.c.sequenced))

ADD_LEASE = Statement(
    insert_or_leave(_lease).values(name=bindparam("name"), holder="", until=0), "name"
)
TAKE_LEASE = Statement(
    update(_lease)
    .where(
        _lease.c.name == bindparam("name_"),
        (_lease.c.holder == bindparam("holder_")) | (_lease.c.until < bindparam("now_")),
    )
    .values(holder=bindparam("holder_"), until=bindparam("until_"))
    .returning(_lease.c.name),
    "name_",
    "holder_",
    "now_",
    "until_",
)
