"""The tables of the access log: who writes it, its events, their places, what was signed of it.

The header of an event is clear, what it says is sealed. All times are integer microseconds UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlmodel import Field

from gateway.store.tables import Base


class Writer(Base, table=True):
    """A process that writes audit events, and how many it has written."""

    __tablename__ = "writer"
    name: str = Field(primary_key=True)
    counter: int = Field(default=0, sa_type=BigInteger)
    sequenced: int = Field(default=0, sa_type=BigInteger)  # how many of them are in the log


CALL_KINDS = "kind IN ('token', 'recognition-prompt', 'recognition-feedback')"
"""Events by which a client proved who it is; few of the log, and an index has them alone."""


class AuditEvent(Base, table=True):
    """One event; the header columns are clear, the rest is sealed."""

    __tablename__ = "audit_event"
    writer: str = Field(primary_key=True)
    counter: int = Field(primary_key=True, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger, index=True)
    kind: str
    outcome: str
    actor: str
    client: str
    organization: str
    purpose: str
    charts: str = Field(sa_type=Text)  # keyed hashes, space separated
    body_hash: bytes = Field(sa_type=LargeBinary)
    body_owner: str = ""  # chart whose audit key seals the body
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    __table_args__ = (
        Index(
            "audit_event_calls",
            "client",
            "outcome",
            "at",
            sqlite_where=text(CALL_KINDS),
            postgresql_where=text(CALL_KINDS),
        ),
    )


class LogLeaf(Base, table=True):
    """The place of an event in the Merkle log."""

    __tablename__ = "log_leaf"
    number: int = Field(primary_key=True, sa_type=BigInteger)
    writer: str
    counter: int = Field(sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary)
    __table_args__ = (Index("log_leaf_event", "writer", "counter", unique=True),)


class Checkpoint(Base, table=True):
    """A signed statement of the log's size and root."""

    __tablename__ = "checkpoint"
    size: int = Field(primary_key=True, sa_type=BigInteger)
    note: str = Field(sa_type=Text)
    frontier: bytes = Field(sa_type=LargeBinary)
    at: int = Field(sa_type=BigInteger)


class Lease(Base, table=True):
    """Who may do what only one process may do."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    holder: str
    until: int = Field(sa_type=BigInteger)
