"""Statements on prompts: cards that were given to clients, and order codes nobody knows."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import LargeBinary, bindparam, delete, func, or_, select, update

from gateway.store import recognition_tables as tables
from gateway.store.charts import binds, insert_or_leave
from gateway.store.statements import Statement, any_of

_card = tables.RecognitionCard.__table__  # type: ignore[attr-defined]
_order = tables.UnmappedOrder.__table__  # type: ignore[attr-defined]


class CardRow(NamedTuple):
    """A card; times are µs UTC, `answered` is 0 until its feedback was taken; `answer` tells it
    from when that began."""

    id: str
    client: str
    organization: str
    login: str
    at: int
    ends: int
    answered: int
    answer: bytes
    sealed: bytes


class UnmappedRow(NamedTuple):
    """An order code that means nothing here; times are µs UTC."""

    organization: str
    digest: str
    sealed: bytes
    signed: int
    first_at: int
    last_at: int


_CARD = tuple(_card.c[name] for name in CardRow._fields)
_ORDER = tuple(_order.c[name] for name in UnmappedRow._fields)

ADD = Statement(insert_or_leave(_card).values(**binds(_card)), *CardRow._fields)
"""A card that stands stays as it is: the same question gives the same card."""
STANDING = Statement(select(*_CARD).where(any_of(_card.c.id, "ids")), "ids", lists=("ids",))
_content = bindparam("content_", type_=LargeBinary)
_open = (_card.c.id == bindparam("id_"), _card.c.answered == 0)
CLAIM = Statement(
    update(_card)
    .where(*_open, or_(_card.c.answer == b"", _card.c.answer == _content))
    .values(answer=_content)
    .returning(_card.c.id),
    "id_",
    "content_",
)
"""Say what is being answered, before it is done: of different answers at once one goes on."""
RELEASE = Statement(
    update(_card).where(*_open, _card.c.answer == _content).values(answer=b""), "id_", "content_"
)
"""What was claimed could not be done."""
ANSWER = Statement(
    update(_card).where(*_open, _card.c.answer == _content).values(answered=bindparam("at")),
    "id_",
    "at",
    "content_",
)
END = Statement(delete(_card).where(_card.c.ends < bindparam("now")), "now")

UNKNOWN = Statement(
    select(_order.c.digest).where(
        _order.c.organization == bindparam("organization"),
        any_of(_order.c.digest, "digests"),
    ),
    "organization",
    "digests",
    lists=("digests",),
)
LINES = Statement(
    select(func.count())
    .select_from(_order)
    .where(_order.c.organization == bindparam("organization")),
    "organization",
)
MEET = Statement(
    insert_or_leave(_order).values(
        organization=bindparam("organization"),
        digest=bindparam("digest"),
        sealed=bindparam("sealed", type_=LargeBinary),
        signed=0,
        first_at=bindparam("at"),
        last_at=bindparam("at"),
    ),
    "organization",
    "digest",
    "sealed",
    "at",
)
SIGNED = Statement(
    update(_order)
    .where(
        _order.c.organization == bindparam("organization_"),
        _order.c.digest == bindparam("digest_"),
    )
    .values(signed=_order.c.signed + 1, last_at=bindparam("at")),
    "organization_",
    "digest_",
    "at",
)
UNMAPPED_COUNTS = Statement(
    select(_order.c.organization, func.count())
    .group_by(_order.c.organization)
    .order_by(_order.c.organization)
)
"""(organisation, how many order codes of its mean nothing to the catalogue)."""
UNMAPPED = Statement(
    select(*_ORDER)
    .where(_order.c.organization == bindparam("organization"))
    .order_by(_order.c.signed.desc(), _order.c.last_at.desc())
    .limit(bindparam("most")),
    "organization",
    "most",
)
