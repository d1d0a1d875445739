"""People's local accounts and their signed-in browsers."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy import delete as remove
from sqlalchemy import update as change
from sqlmodel import Session, col, delete, update
from sqlmodel import select as choose

from gateway.store import attempts
from gateway.store.engine import Tx
from gateway.store.statements import Statement
from gateway.store.tables import Account, AccountRole, PortalSession

_account = Account.__table__  # type: ignore[attr-defined]
_role = AccountRole.__table__  # type: ignore[attr-defined]
_session = PortalSession.__table__  # type: ignore[attr-defined]


def tidy(login: str) -> str:
    """A login as it is kept: without case, width and outer blanks."""
    return unicodedata.normalize("NFKC", login).strip().casefold()


@dataclass(frozen=True, slots=True)
class Person:
    """An account without its password; `sealed` is its owner's name, by `Vault.seal_field`."""

    login: str
    organization: str
    roles: tuple[str, ...]
    sealed: bytes
    active: bool
    epoch: int
    locked_until: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tries to sign in: who it would be, the hash to check, and whether it may count."""

    person: Person
    password: str
    locked: bool


class SignedIn(NamedTuple):
    """A signed-in browser with what its account says now; `held` counts the role (0 or 1)."""

    login: str
    role: str
    epoch: int
    csrf: str
    seen: int
    ends: int
    sealed: bytes
    organization: str
    state: str
    account_epoch: int
    account_sealed: bytes
    held: int


SESSION = Statement(
    select(
        _session.c.login,
        _session.c.role,
        _session.c.epoch,
        _session.c.csrf,
        _session.c.seen,
        _session.c.ends,
        _session.c.sealed,
        _account.c.organization,
        _account.c.state,
        _account.c.epoch,
        _account.c.sealed,
        select(func.count())
        .select_from(_role)
        .where(_role.c.login == _session.c.login, _role.c.role == _session.c.role)
        .scalar_subquery(),
    )
    .join(_account, _account.c.login == _session.c.login)
    .where(_session.c.tag == bindparam("tag")),
    "tag",
)
"""One row of `SignedIn`, as last committed: read at every request of a browser."""


ACCOUNT = Statement(
    select(_account.c.organization, _account.c.state, _role.c.role)
    .join(_role, _role.c.login == _account.c.login, isouter=True)
    .where(_account.c.login == bindparam("login")),
    "login",
)
"""(organization, state, role) of an account, a row for each role: read where a token speaks for a
person."""


def _person(session: Session, row: Account) -> Person:
    roles = session.exec(
        choose(AccountRole.role).where(AccountRole.login == row.login).order_by(AccountRole.role)
    )
    return Person(
        login=row.login,
        organization=row.organization,
        roles=tuple(roles),
        sealed=row.sealed,
        active=row.state == "active",
        epoch=row.epoch,
        locked_until=row.locked_until,
    )


def find(session: Session, login: str) -> Person | None:
    """The account of that login, disabled or not."""
    row = session.get(Account, login)
    return _person(session, row) if row is not None else None


def everyone(session: Session) -> tuple[Person, ...]:
    """All accounts by login."""
    rows = session.exec(choose(Account).order_by(Account.login)).all()
    return tuple(_person(session, row) for row in rows)


def put(
    session: Session,
    *,
    login: str,
    organization: str,
    sealed: bytes,
    password: str,
    roles: tuple[str, ...],
    at: int,
) -> None:
    """Open an account or set it anew; browsers signed in with it are signed out.

    `password` is the argon2id hash, `sealed` the owner's name by `Vault.seal_field`.
    """
    row = session.get(Account, login, with_for_update=True)
    if row is None:
        row = Account(login=login, sealed=b"", organization="", password="", created=at)
    else:
        row.epoch += 1
    row.organization = organization
    row.sealed = sealed
    row.password = password
    row.state = "active"
    row.failures = row.locked_until = 0
    session.add(row)
    _hold(session, login, roles)
    _end_all(session, login)


def set_roles(session: Session, login: str, roles: tuple[str, ...]) -> bool:
    """Give these roles and no others; browsers are signed out. False when there is no account."""
    row = session.get(Account, login, with_for_update=True)
    if row is None:
        return False
    row.epoch += 1
    session.add(row)
    _hold(session, login, roles)
    _end_all(session, login)
    return True


def disable(session: Session, login: str) -> bool:
    """Nobody signs in with it any more, and whoever is signed in is not. False when unknown."""
    row = session.get(Account, login, with_for_update=True)
    if row is None:
        return False
    row.state = "disabled"
    row.epoch += 1
    session.add(row)
    _end_all(session, login)
    return True


_STATE = Statement(
    change(_account)
    .where(_account.c.login == bindparam("login_"), _account.c.state == bindparam("was"))
    .values(state=bindparam("state_"), epoch=_account.c.epoch + 1)
    .returning(_account.c.login),
    "login_",
    "was",
    "state_",
)
_END_ALL = Statement(remove(_session).where(_session.c.login == bindparam("login")), "login")


def suspend(tx: Tx, login: str) -> bool:
    """Sign the owner out and let nobody in until `restore`; False when it was not in use."""
    tx.run(_END_ALL, login)
    return tx.one(_STATE, login, "active", "suspended") is not None


def restore(tx: Tx, login: str) -> bool:
    """Give a suspended account back; one that was disabled stays so."""
    return tx.one(_STATE, login, "suspended", "active") is not None


def _hold(session: Session, login: str, roles: tuple[str, ...]) -> None:
    session.exec(delete(AccountRole).where(col(AccountRole.login) == login))
    session.add_all(AccountRole(login=login, role=role) for role in dict.fromkeys(roles))


def _end_all(session: Session, login: str) -> None:
    session.exec(delete(PortalSession).where(col(PortalSession.login) == login))


def attempt(session: Session, login: str, at: int) -> Attempt | None:
    """Count an attempt to sign in (`attempts`), before its password is looked at; None for an unknown
    login. `admit` forgets the failures."""
    row = session.get(Account, login, with_for_update=True)
    if row is None:
        return None
    locked = attempts.locked(row, at)
    session.add(row)
    return Attempt(_person(session, row), row.password, locked)


def admit(
    session: Session, browser: PortalSession, before: bytes | None, idle_before: int, at: int
) -> bool:
    """Sign a browser in, and out of what it was signed in to before.

    False when the account was disabled or changed since the attempt was counted: the epoch of
    `browser` is that of the attempt. Sessions that have ended are swept here.
    """
    row = session.get(Account, browser.login, with_for_update=True)
    if row is None or row.state != "active" or row.epoch != browser.epoch:
        return False
    row.failures = row.locked_until = 0
    session.add(row)
    session.exec(
        delete(PortalSession).where(
            (col(PortalSession.ends) < at) | (col(PortalSession.seen) < idle_before)
        )
    )
    if before is not None:
        session.exec(delete(PortalSession).where(col(PortalSession.tag) == before))
    session.add(browser)
    return True


def forgive(session: Session, login: str) -> None:
    """Forget failures: the owner has proved who they are without signing in."""
    row = session.get(Account, login, with_for_update=True)
    if row is not None:
        row.failures = row.locked_until = 0
        session.add(row)


def rotate(session: Session, old: bytes, tag: bytes, sealed: bytes) -> bool:
    """Give a living session another tag; False when it has ended."""
    row = session.get(PortalSession, old, with_for_update=True)
    if row is None:
        return False
    kept = row.model_dump() | {"tag": tag, "sealed": sealed}
    session.delete(row)
    session.flush()
    session.add(PortalSession(**kept))
    return True


def touch(session: Session, tag: bytes, at: int) -> None:
    """The browser was seen; a session that was ended meanwhile stays ended."""
    session.exec(
        update(PortalSession)
        .where(col(PortalSession.tag) == tag, col(PortalSession.seen) < at)
        .values(seen=at)
    )


def keep(session: Session, tag: bytes, sealed: bytes) -> None:
    """Keep what the browser has in hand."""
    session.exec(update(PortalSession).where(col(PortalSession.tag) == tag).values(sealed=sealed))


def end(session: Session, tag: bytes) -> None:
    """Sign the browser out."""
    session.exec(delete(PortalSession).where(col(PortalSession.tag) == tag))
