"""Statements of the queue of unmapped codes: what a source sends and no table knows, and who met it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import LargeBinary, bindparam, exists, func, or_, select, update
from sqlmodel import Session

from gateway.store import tables
from gateway.store.charts import insert_or_leave
from gateway.store.engine import Tx
from gateway.store.statements import Statement

_unmapped = tables.Unmapped.__table__  # type: ignore[attr-defined]
_met = tables.UnmappedMessage.__table__  # type: ignore[attr-defined]

STANDING = Statement(
    select(_unmapped.c.id).where(
        _unmapped.c.source == bindparam("source"), _unmapped.c.digest == bindparam("digest")
    ),
    "source",
    "digest",
)
LINES = Statement(
    select(func.count())
    .select_from(_unmapped)
    .where(_unmapped.c.source == bindparam("source"), _unmapped.c.state == "open"),
    "source",
)
ADD = Statement(
    insert_or_leave(_unmapped).values(
        source=bindparam("source"),
        digest=bindparam("digest", type_=LargeBinary),
        sealed=bindparam("sealed", type_=LargeBinary),
        messages=0,
        first_at=bindparam("at"),
        last_at=bindparam("at"),
        state="open",
        proposal=b"",
        proposed_by="",
        decided_by="",
        decided_at=0,
        release=0,
    ),
    "source",
    "digest",
    "sealed",
    "at",
)
COUNT = Statement(
    update(_unmapped)
    .where(
        _unmapped.c.source == bindparam("source_"),
        _unmapped.c.digest == bindparam("digest_"),
        ~exists().where(_met.c.unmapped == _unmapped.c.id, _met.c.inbox == bindparam("inbox_")),
    )
    .values(messages=_unmapped.c.messages + 1, last_at=bindparam("at_")),
    "source_",
    "digest_",
    "inbox_",
    "at_",
)
"""One message more has met a line, unless this one is remembered there."""
LINK = Statement(
    insert_or_leave(_met).from_select(
        ["unmapped", "inbox"],
        select(_unmapped.c.id, bindparam("inbox", type_=_met.c.inbox.type)).where(
            _unmapped.c.source == bindparam("source"),
            _unmapped.c.digest == bindparam("digest"),
            _unmapped.c.messages <= bindparam("most"),
        ),
    ),
    "inbox",
    "source",
    "digest",
    "most",
)
"""Remember the message at the line, up to `most` of them."""


class Line(NamedTuple):
    """One line of the queue; `sealed` and `proposal` open with the vault."""

    id: int
    source: str
    digest: bytes
    sealed: bytes
    messages: int
    first_at: int
    last_at: int
    state: str  # open | proposed | approved | ignored
    proposal: bytes
    proposed_by: str
    decided_by: str
    decided_at: int
    release: int


_LINE = tuple(_unmapped.c[name] for name in Line._fields)
ONE = Statement(select(*_LINE).where(_unmapped.c.id == bindparam("id")), "id")
MESSAGES = Statement(
    select(_met.c.inbox).where(_met.c.unmapped == bindparam("unmapped")).order_by(_met.c.inbox),
    "unmapped",
)
"""The messages that met a line, as far as they were remembered."""
MOVE = Statement(
    update(_unmapped)
    .where(_unmapped.c.id == bindparam("id_"), _unmapped.c.state == bindparam("was_"))
    .values(
        state=bindparam("state_"),
        proposal=bindparam("proposal_", type_=LargeBinary),
        proposed_by=bindparam("proposed_by_"),
        decided_by=bindparam("decided_by_"),
        decided_at=bindparam("decided_at_"),
        release=bindparam("release_"),
    )
    .returning(_unmapped.c.id),
    "id_",
    "was_",
    "state_",
    "proposal_",
    "proposed_by_",
    "decided_by_",
    "decided_at_",
    "release_",
)
"""From one state to another: gives no row when somebody else was first."""

CLAIM = Statement(
    update(_unmapped)
    .where(
        _unmapped.c.id == bindparam("id_"),
        _unmapped.c.state == "proposed",
        _unmapped.c.proposed_by == bindparam("proposer_"),
        or_(
            _unmapped.c.decided_by.in_(("", bindparam("by_"))),
            _unmapped.c.decided_at < bindparam("stale_"),
        ),
    )
    .values(decided_by=bindparam("by_"), decided_at=bindparam("at_"))
    .returning(_unmapped.c.id),
    "id_",
    "proposer_",
    "by_",
    "at_",
    "stale_",
)
"""One approver at a time: gives no row while another, not stale, has begun."""


def queue(
    session: Session, sources: Sequence[str], states: Sequence[str], most: int
) -> tuple[Line, ...]:
    """Lines of these sources in these states, those most messages met first."""
    asked = (
        select(*_LINE)
        .where(_unmapped.c.source.in_(sources), _unmapped.c.state.in_(states))
        .order_by(_unmapped.c.messages.desc(), _unmapped.c.id)
        .limit(most)
    )
    return tuple(Line(*row) for row in session.execute(asked))


def meet(tx: Tx, source: str, digests: Sequence[bytes], inbox: str, at: int, most: int) -> None:
    """A message met these lines, which stand: once, however often it is filed.

    Beyond `most` messages a line only counts, and counts again what is filed again.
    """
    tx.many(COUNT, [(source, digest, inbox, at) for digest in digests])
    tx.many(LINK, [(inbox, source, digest, most) for digest in digests])
