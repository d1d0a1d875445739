"""What was answered about pairs of folders that may be one person's, and which pairs are open."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, or_, select

from gateway.store import recognition_tables, tables
from gateway.store.charts import binds
from gateway.store.links import CONTRADICTED, POSSIBLE, PROVEN, Link
from gateway.store.statements import Statement, any_of

_review = recognition_tables.IdentityReview.__table__  # type: ignore[attr-defined]
_link = tables.Link.__table__  # type: ignore[attr-defined]
_chart = tables.Chart.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]


class ReviewRow(NamedTuple):
    """One answer; `at` is µs UTC."""

    id: int
    link: int
    answer: str
    before: str
    organization: str
    login: str
    at: int
    sealed: bytes


_ROW = tuple(_review.c[name] for name in ReviewRow._fields)
_LINK = tuple(_link.c[name] for name in Link._fields)

ADD = Statement(
    insert(_review).values(**binds(_review, "id")),
    *(c.name for c in _review.columns if c.name != "id"),
)
_left, _right = _chart.alias("one"), _chart.alias("other")
_within = (
    select(*_LINK)
    .join(_left, _left.c.id == _link.c.left)
    .join(_right, _right.c.id == _link.c.right)
    .where(
        any_of(_left.c.organization, "houses"),
        any_of(_right.c.organization, "houses"),
        *(_link.c.rule != rule for rule in sorted(PROVEN)),
    )
)
OPEN = Statement(
    _within.where(
        or_(
            _link.c.revoked_by == CONTRADICTED,
            _link.c.revoked_by == POSSIBLE,
            (_link.c.revoked == 0) & (_link.c.confirmed == 0),
        )
    ).order_by(_link.c.at, _link.c.id),
    "houses",
    lists=("houses",),
)
"""The pairs of these organisations' folders that nobody has settled, oldest first; what was answered
of them is in `NEWEST`."""
PAIR = Statement(select(*_LINK).where(_link.c.id == bindparam("id")), "id")
_last = select(func.max(_review.c.id)).group_by(_review.c.link)
NEWEST = Statement(select(*_ROW).where(_review.c.id.in_(_last)).order_by(_review.c.id.desc()))
"""The newest answer of each pair that has one, newest first."""
LATELY = Statement(
    _within.join(_review, _review.c.link == _link.c.id)
    .where(
        _review.c.id.in_(_last),
        or_(_review.c.answer == "one", _review.c.answer == "two"),
        _review.c.at > bindparam("since"),
    )
    .order_by(_review.c.id.desc())
    .limit(bindparam("most")),
    "houses",
    "since",
    "most",
    lists=("houses",),
)
"""The pairs of these organisations' folders that were settled since then, newest first."""
OF = Statement(
    select(*_ROW).where(_review.c.link == bindparam("link")).order_by(_review.c.id.desc()), "link"
)
"""Every answer about a pair, newest first."""
HELD = Statement(
    select(_chart.c.id, _chart.c.created, func.count(_record.c.id), func.max(_record.c.filed))
    .select_from(
        _chart.outerjoin(_record, (_record.c.chart == _chart.c.id) & (_record.c.current == 1))
    )
    .where(any_of(_chart.c.id, "charts"))
    .group_by(_chart.c.id, _chart.c.created),
    "charts",
    lists=("charts",),
)
"""(chart, opened, records that stand in it, the newest's filing) of charts, times µs UTC."""
