"""Statements about database views that are asked for rows: where they are, how far they were read."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.statements import Statement

_feed = tables.ViewFeed.__table__  # type: ignore[attr-defined]
_source = tables.Source.__table__  # type: ignore[attr-defined]


class FeedRow(NamedTuple):
    """A declared view; `error` is "" when the last reading went well, `last_at` µs UTC of that reading."""

    source: str
    address: str
    view: str
    every: int
    watermark: bytes
    rows: int
    last_at: int
    error: str


_FEED = tuple(_feed.c[name] for name in FeedRow._fields)

FEED = Statement(select(*_FEED).where(_feed.c.source == bindparam("source")), "source")
FEEDS = Statement(select(*_FEED).order_by(_feed.c.source))
ADD_FEED = Statement(insert(_feed).values(**binds(_feed)), *(c.name for c in _feed.columns))
CHANGE_FEED = Statement(
    update(_feed)
    .where(_feed.c.source == bindparam("source_"))
    .values(address=bindparam("address_"), view=bindparam("view_"), every=bindparam("every_")),
    "source_",
    "address_",
    "view_",
    "every_",
)
KEEP_FEED = Statement(
    update(_feed)
    .where(_feed.c.source == bindparam("source_"))
    .values(watermark=bindparam("watermark_"), rows=_feed.c.rows + bindparam("more_")),
    "source_",
    "watermark_",
    "more_",
)
NOTE_FEED = Statement(
    update(_feed)
    .where(_feed.c.source == bindparam("source_"))
    .values(last_at=bindparam("at_"), error=bindparam("error_")),
    "source_",
    "at_",
    "error_",
)
LAST_ARRIVAL = Statement(
    select(_source.c.last_at).where(_source.c.name == bindparam("source")), "source"
)
