"""Statements on what residents are told: due, handed over, read on their own pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, select, update

from gateway.store import tables
from gateway.store.engine import Store, Tx
from gateway.store.statements import Statement, any_of

_notice = tables.Notice.__table__  # type: ignore[attr-defined]


class NoticeRow(NamedTuple):
    """A notice; `about` is the opaque id of what it tells of, times are µs UTC.

    `held` is until when a recorded safety reason keeps it back, `sent` 0 until a message went out,
    `attempts` how often that was tried, `read` when the resident saw it on their own page.
    """

    id: int
    chart: str
    kind: str
    about: str
    at: int
    due: int
    held: int
    sent: int
    attempts: int
    read: int


_ROW = tuple(_notice.c[name] for name in NoticeRow._fields)

ADD = Statement(
    insert(_notice).values(
        chart=bindparam("chart"),
        kind=bindparam("kind"),
        about=bindparam("about"),
        at=bindparam("at"),
        due=bindparam("due"),
        held=bindparam("held"),
        sent=0,
        attempts=0,
        read=0,
    ),
    "chart",
    "kind",
    "about",
    "at",
    "due",
    "held",
)
OF_CHARTS = Statement(
    select(*_ROW)
    .where(any_of(_notice.c.chart, "charts"), _notice.c.held <= bindparam("at"))
    .order_by(_notice.c.at.desc(), _notice.c.id.desc()),
    "charts",
    "at",
    lists=("charts",),
)
"""What the person of these charts may read now, newest first."""
READ = Statement(
    update(_notice)
    .where(
        any_of(_notice.c.chart, "charts"),
        _notice.c.read == 0,
        _notice.c.held <= bindparam("at_"),
    )
    .values(read=bindparam("at_")),
    "charts",
    "at_",
    lists=("charts",),
)
DUE = Statement(
    select(*_ROW)
    .where(_notice.c.sent == 0, _notice.c.due <= bindparam("at"))
    .order_by(_notice.c.due, _notice.c.id)
    .limit(bindparam("most")),
    "at",
    "most",
)
TRY = Statement(
    update(_notice)
    .where(
        _notice.c.id == bindparam("id_"),
        _notice.c.sent == 0,
        _notice.c.due == bindparam("was_due"),
    )
    .values(due=bindparam("next_"), attempts=_notice.c.attempts + 1)
    .returning(_notice.c.attempts),
    "id_",
    "was_due",
    "next_",
)
"""Take a notice in hand: counted and put off before it is tried, so that one worker does."""
SENT = Statement(
    update(_notice)
    .where(_notice.c.id == bindparam("id_"), _notice.c.sent == 0)
    .values(sent=bindparam("at_")),
    "id_",
    "at_",
)
HOLD_BACK = Statement(
    update(_notice)
    .where(_notice.c.about == bindparam("about_"), _notice.c.sent == 0, _notice.c.read == 0)
    .values(held=bindparam("until_"), due=bindparam("until_"))
    .returning(_notice.c.id),
    "about_",
    "until_",
)
UNDELIVERED = Statement(
    select(*_ROW)
    .where(_notice.c.sent == 0, _notice.c.read == 0, _notice.c.attempts >= bindparam("attempts"))
    .order_by(_notice.c.at, _notice.c.id)
    .limit(500),
    "attempts",
)
ABOUT = Statement(
    select(*_ROW).where(_notice.c.about == bindparam("about")).order_by(_notice.c.id), "about"
)
COUNTS = Statement(
    select(func.count()).where(
        _notice.c.sent == 0, _notice.c.read == 0, _notice.c.attempts >= bindparam("attempts")
    ),
    "attempts",
)


def add(tx: Tx, chart: str, kind: str, about: str, at: int, held: int = 0) -> None:
    """Something the person of a chart is told, as soon as can be; `held` is until when it is not.

    One notice of a kind about one thing: a second raises the engine's integrity fault.
    """
    tx.run(ADD, chart, kind, about, at, max(at, held), held)


async def of_charts(store: Store, charts: Sequence[str], at: int) -> list[NoticeRow]:
    """What the person of these charts may read at `at`, newest first; what is held back is not."""
    return [NoticeRow(*row) for row in await store.read(OF_CHARTS, list(charts), at)]


def mark_read(tx: Tx, charts: Sequence[str], at: int) -> None:
    """The person of these charts has seen what they may read at `at`."""
    tx.run(READ, list(charts), at)
