"""Statements on tickets that open the recognition page: given once, spent once."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, update

from gateway.store import recognition_tables as tables
from gateway.store.charts import binds
from gateway.store.statements import Statement

_ticket = tables.LaunchTicket.__table__  # type: ignore[attr-defined]


class TicketRow(NamedTuple):
    """A ticket; times are µs UTC, `spent` is 0 until it was used."""

    tag: bytes
    organization: str
    login: str
    ends: int
    spent: int
    sealed: bytes


ADD = Statement(insert(_ticket).values(**binds(_ticket)), *TicketRow._fields)
SPEND = Statement(
    update(_ticket)
    .where(
        _ticket.c.tag == bindparam("tag_"), _ticket.c.spent == 0, _ticket.c.ends > bindparam("at")
    )
    .values(spent=bindparam("at"))
    .returning(*(_ticket.c[name] for name in TicketRow._fields)),
    "tag_",
    "at",
)
"""Marks it as used and gives it, to one alone."""
END = Statement(delete(_ticket).where(_ticket.c.ends < bindparam("now")), "now")
