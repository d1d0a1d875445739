"""The register of systems that may ask for tokens, and the assertions they have spent."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete
from sqlmodel import select as choose

from gateway.store.charts import binds
from gateway.store.engine import Tx
from gateway.store.log_tables import CALL_KINDS, AuditEvent
from gateway.store.statements import Statement
from gateway.store.tables import Client, UsedAssertion

_client = Client.__table__  # type: ignore[attr-defined]
_event = AuditEvent.__table__  # type: ignore[attr-defined]

STANDING = Statement(
    select(_client.c.state, _client.c.epoch).where(_client.c.id == bindparam("id")),
    "id",
)
"""(state, epoch) of a client as last committed: read at every request."""

_ADD = Statement(insert(_client).values(**binds(_client)), *(c.name for c in _client.columns))
_TOLD = ("organization", "name", "jwks", "scopes", "roles")
_RENEW = Statement(
    update(_client)
    .where(_client.c.id == bindparam("id_"))
    .values(
        **{name: bindparam(f"{name}_") for name in _TOLD},
        state="active",
        epoch=_client.c.epoch + 1,
    )
    .returning(_client.c.id),
    "id_",
    *(f"{name}_" for name in _TOLD),
)
_CHANGE_KEYS = Statement(
    update(_client)
    .where(
        _client.c.id == bindparam("id_"),
        _client.c.state == "active",
        _client.c.jwks == bindparam("had"),
    )
    .values(jwks=bindparam("jwks_"), epoch=_client.c.epoch + bindparam("end", type_=BigInteger))
    .returning(_client.c.id),
    "id_",
    "had",
    "jwks_",
    "end",
)
_REVOKE = Statement(
    update(_client)
    .where(_client.c.id == bindparam("id_"))
    .values(state="revoked", epoch=_client.c.epoch + 1)
    .returning(_client.c.id),
    "id_",
)


def _newest(outcome: str) -> Select[tuple[str, str, int]]:
    """One seek in the index of calls for each client, however long the log is."""
    said: ColumnElement[str] = literal_column(f"'{outcome}'")
    newest = (
        select(func.max(_event.c.at))
        .where(text(CALL_KINDS), _event.c.client == _client.c.id, _event.c.outcome == said)
        .scalar_subquery()
    )
    return select(_client.c.id, said.label("outcome"), newest.label("at"))


CALLS = Statement(union_all(_newest("permit"), _newest("deny")))
"""(client, outcome, µs of the newest or NULL): when each client last proved who it is, or was refused."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A client as registered; `jwks` is its key set (JSON), `scopes` and `roles` what it may get."""

    id: str
    organization: str
    name: str
    jwks: str
    scopes: str
    roles: tuple[str, ...]
    active: bool
    epoch: int
    created: int


def _registered(row: Client) -> Registered:
    return Registered(
        id=row.id,
        organization=row.organization,
        name=row.name,
        jwks=row.jwks,
        scopes=row.scopes,
        roles=tuple(row.roles.split()),
        active=row.state == "active",
        epoch=row.epoch,
        created=row.created,
    )


def find(session: Session, id: str) -> Registered | None:
    """The client of that id, revoked or not."""
    row = session.get(Client, id)
    return _registered(row) if row is not None else None


def everyone(session: Session) -> tuple[Registered, ...]:
    """All clients by id."""
    rows = session.exec(choose(Client).order_by(col(Client.id))).all()
    return tuple(_registered(row) for row in rows)


def put(
    tx: Tx,
    *,
    id: str,
    organization: str,
    name: str,
    jwks: str,
    scopes: str,
    roles: tuple[str, ...] = (),
    at: int,
) -> None:
    """Register a client or register it anew; tokens it holds end at once."""
    told = (organization, name, jwks, scopes, " ".join(roles))
    if tx.one(_RENEW, id, *told) is None:
        tx.run(_ADD, id, *told, "active", 0, at)


def change_keys(tx: Tx, id: str, had: str, jwks: str, end: bool) -> bool:
    """Exchange the key set `had` for another; False when it is another by now, or the client revoked.

    Tokens the client holds go on unless they are to `end`.
    """
    return tx.one(_CHANGE_KEYS, id, had, jwks, int(end)) is not None


def revoke(tx: Tx, id: str) -> bool:
    """No new tokens, and those it holds end at once; False when there is no such client."""
    return tx.one(_REVOKE, id) is not None


def spend(session: Session, tag: bytes, expires: int, at: int) -> bool:
    """Spend an assertion: True for exactly one caller, however many try at once.

    `tag` is kept until `expires`, after which the assertion is refused for its age.
    """
    session.exec(delete(UsedAssertion).where(col(UsedAssertion.expires) < at))
    try:
        with session.begin_nested():
            session.add(UsedAssertion(tag=tag, expires=expires))
    except IntegrityError:
        return False
    return True
