"""The second factors of accounts: secrets for one-time codes, each code worth one try."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from gateway.store import attempts
from gateway.store.charts import binds, insert_or_leave
from gateway.store.engine import Tx
from gateway.store.statements import Statement
from gateway.store.tables import SecondFactor

_factor = SecondFactor.__table__  # type: ignore[attr-defined]
_PUT_FIRST = Statement(
    insert_or_leave(_factor).values(**binds(_factor)).returning(_factor.c.login),
    *(c.name for c in _factor.columns),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """Somebody types a code: the sealed secret, and whether it may count; `own` when its owner took
    it at the portal, at `made` (µs UTC)."""

    sealed: bytes
    locked: bool
    own: bool
    made: int


def put(session: Session, login: str, sealed: bytes, made_by: str, at: int) -> None:
    """Enrol, or enrol anew; what was before is worth nothing."""
    row = session.get(SecondFactor, login, with_for_update=True)
    if row is None:
        row = SecondFactor(login=login, sealed=sealed, made_by=made_by, at=at)
    row.sealed, row.made_by, row.at, row.step = sealed, made_by, at, 0
    row.failures = row.locked_until = 0
    session.add(row)


def put_first(tx: Tx, login: str, sealed: bytes, at: int, step: int) -> bool:
    """The owner takes their first one, whose code of `step` is spent; False when there is one."""
    return tx.one(_PUT_FIRST, login, sealed, step, 0, 0, login, at) is not None


def drop(session: Session, login: str) -> bool:
    """Take the factor away; False when there was none."""
    row = session.get(SecondFactor, login)
    if row is None:
        return False
    session.delete(row)
    return True


def enrolled(session: Session, login: str) -> bool:
    """Whether the account has a second factor."""
    return session.get(SecondFactor, login) is not None


def attempt(session: Session, login: str, at: int) -> Trial | None:
    """Count a try (`attempts`) before the code is looked at; None without a factor. `spend` forgets
    the failures."""
    row = session.get(SecondFactor, login, with_for_update=True)
    if row is None:
        return None
    locked = attempts.locked(row, at)
    session.add(row)
    return Trial(row.sealed, locked, row.made_by == login, row.at)


def spend(session: Session, login: str, sealed: bytes, step: int) -> bool:
    """Use up the code of a step, once: False when it or a later one was used, or the secret changed."""
    row = session.get(SecondFactor, login, with_for_update=True)
    if row is None or row.sealed != sealed or row.step >= step:
        return False
    row.step = step
    row.failures = row.locked_until = 0
    session.add(row)
    return True
