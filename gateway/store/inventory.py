"""Counts of what is stored: rows and bytes of each table, of each source, and of each source's road."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import LargeBinary, func, select
from sqlmodel import Session

from gateway.store import log_tables, schema, tables

_source = tables.Source.__table__  # type: ignore[attr-defined]
_inbox = tables.Inbox.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]
_chart = tables.Chart.__table__  # type: ignore[attr-defined]
_unmapped = tables.Unmapped.__table__  # type: ignore[attr-defined]
_audit = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]


class TableSize(NamedTuple):
    """A table's rows, and the bytes in its columns of sealed or other binary content."""

    name: str
    rows: int
    bytes: int


class SourceStock(NamedTuple):
    """What of one source lies here: raw messages and records, and how many of them hold content."""

    source: str
    organization: str
    keep: str
    messages: int
    message_bytes: int
    records: int
    with_content: int
    content_bytes: int


class Road(NamedTuple):
    """What became of one source's records: all versions that stand, and those on a closer shelf."""

    source: str
    standing: int
    closer: int


def sizes(session: Session) -> list[TableSize]:
    """Every table of the records database, the largest first."""
    found = []
    for table in schema.records.sorted_tables:
        binary = [column for column in table.columns if isinstance(column.type, LargeBinary)]
        held = [func.coalesce(func.sum(func.length(column)), 0) for column in binary]
        count, *lengths = session.execute(select(func.count(), *held).select_from(table)).one()
        found.append(TableSize(table.name, int(count), sum(int(one) for one in lengths)))
    return sorted(found, key=lambda one: (-one.bytes, -one.rows, one.name))


def stocks(session: Session) -> list[SourceStock]:
    """What lies here of each source."""
    messages = {
        row[0]: (int(row[1]), int(row[2]))
        for row in session.execute(
            select(
                _inbox.c.source,
                func.count(),
                func.coalesce(func.sum(func.length(_inbox.c.sealed)), 0),
            ).group_by(_inbox.c.source)
        )
    }
    records = {
        row[0]: (int(row[1]), int(row[2]), int(row[3]))
        for row in session.execute(
            select(
                _inbox.c.source,
                func.count(),
                func.count(_record.c.sealed),
                func.coalesce(func.sum(func.length(_record.c.sealed)), 0),
            )
            .join(_inbox, _inbox.c.id == _record.c.inbox)
            .group_by(_inbox.c.source)
        )
    }
    return [
        SourceStock(
            name,
            organization,
            keep,
            *messages.get(name, (0, 0)),
            *records.get(name, (0, 0, 0)),
        )
        for name, organization, keep in session.execute(
            select(_source.c.name, _source.c.organization, _source.c.keep).order_by(_source.c.name)
        )
    ]


def roads(session: Session) -> list[Road]:
    """The current records of each source, and how many of them are kept closely."""
    closer = func.count().filter(_record.c.tier > 1)
    return [
        Road(source, int(standing), int(kept))
        for source, standing, kept in session.execute(
            select(_inbox.c.source, func.count(), closer)
            .join(_inbox, _inbox.c.id == _record.c.inbox)
            .where(_record.c.current == 1)
            .group_by(_inbox.c.source)
        )
    ]


def linked(session: Session) -> dict[str, tuple[int, int]]:
    """(folders, those that are one person's with another folder) of each organisation."""
    other = _chart.alias("other")
    shared = (
        select(other.c.id)
        .where(other.c.person == _chart.c.person, other.c.id != _chart.c.id)
        .exists()
    )
    return {
        row[0]: (int(row[1]), int(row[2]))
        for row in session.execute(
            select(_chart.c.organization, func.count(), func.count().filter(shared)).group_by(
                _chart.c.organization
            )
        )
    }


def unmapped(session: Session) -> dict[str, tuple[int, int]]:
    """(codes met that no table knew, those still open) of each source."""
    waits = func.count().filter(_unmapped.c.state.in_(("open", "proposed")))
    return {
        row[0]: (int(row[1]), int(row[2]))
        for row in session.execute(
            select(_unmapped.c.source, func.count(), waits).group_by(_unmapped.c.source)
        )
    }


def answered(session: Session, since: int) -> dict[str, tuple[int, int]]:
    """(answers given, answers refused) to each organisation since an instant (µs UTC)."""
    asked = ("read", "search", "everything", "disclosure")
    given = func.count().filter(_audit.c.outcome == "permit")
    return {
        row[0]: (int(row[1]), int(row[2]))
        for row in session.execute(
            select(_audit.c.organization, given, func.count().filter(_audit.c.outcome == "deny"))
            .where(_audit.c.kind.in_(asked), _audit.c.at >= since)
            .group_by(_audit.c.organization)
        )
    }
