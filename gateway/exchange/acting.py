"""Who is a resident's own account, and who may act for them: read anew at every request.

Nothing here decides; it says what was recorded, for `consent.delegation` to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from consent.model import Delegation, DelegationKind
from gateway.services import Services
from gateway.store import own
from gateway.vault import SealBroken


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed of an own account: whose it is, and where its owner is reached.

    `desk` is the address of the browser at which the account was opened; `stands` from when its
    telephone answered until it ends.
    """

    name: str
    phone: str
    desk: str = ""
    stands: bool = False


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed of a mandate. Times are µs UTC; `evidence` is a keyed hash in hex.

    `reviewed` is when a court's document was last looked at. `categories` as in
    `consent.model.Delegation`: the only protected ones that are opened, or all an heir may see.
    """

    start: int
    end: int | None = None
    restricted: bool = False
    categories: tuple[str, ...] = ()
    relation: str = ""
    document: str = ""
    evidence: str = ""
    reviewed: int | None = None
    witness: str = ""
    stopped_by: str = ""
    stopped_at: int = 0
    stopped_why: str = ""  # what document stopped it


_encode = msgspec.msgpack.Encoder().encode
_identity = msgspec.msgpack.Decoder(Identity).decode
_terms = msgspec.msgpack.Decoder(Terms).decode


def seal_identity(login: str, chart: str, identity: Identity, services: Services) -> bytes:
    """An identity, bound to its account and to whose chart it is."""
    return services.vault.seal_field("own_account", f"{login}/{chart}", _encode(identity))


def identity_of(row: own.OwnRow, services: Services) -> Identity:
    """The identity behind an account; SealBroken when the row was altered."""
    place = f"{row.login}/{row.chart}"
    return _identity(services.vault.open_field("own_account", place, row.sealed))


def stands(row: own.OwnRow, services: Services) -> bool:
    """Whether an account stands as it was opened; never for a row that was altered."""
    if not row.verified or row.ended:
        return False
    try:
        return identity_of(row, services).stands
    except SealBroken:
        return False


def _place(chart: str, id: str, login: str, kind: str) -> str:
    return f"{chart}/{id}/{login}/{kind}"


def seal_terms(
    chart: str, id: str, login: str, kind: str, terms: Terms, services: Services
) -> bytes:
    """Terms, bound to whom they are about, who acts and on what ground."""
    place = _place(chart, id, login, kind)
    return services.vault.seal_field("mandate", place, _encode(terms))


def terms_of(row: own.MandateRow, services: Services) -> Terms | None:
    """The terms of a mandate; None for a row that was altered, which proves nothing."""
    place = _place(row.chart, row.id, row.login, row.kind)
    try:
        return _terms(services.vault.open_field("mandate", place, row.sealed))
    except SealBroken:
        return None


async def own_account(login: str, services: Services) -> own.OwnRow | None:
    """The account that stands under this login; None when there is none (any more)."""
    found = await services.db.read(own.OWN, login)
    row = own.OwnRow(*found[0]) if found else None
    return row if row is not None and stands(row, services) else None


async def accounts_of(charts: Sequence[str], services: Services) -> list[own.OwnRow]:
    """The accounts that stand of the person with these charts."""
    found = [own.OwnRow(*row) for row in await services.db.read(own.OWN_OF, list(charts))]
    return [row for row in found if stands(row, services)]


class Standing(NamedTuple):
    """Whose a person's charts are: own accounts, which chart each proved to be, others' rights."""

    selves: frozenset[str]
    self_charts: frozenset[tuple[str, str]]
    delegations: tuple[Delegation, ...]


async def standing(charts: Sequence[str], services: Services) -> Standing:
    """What is recorded for the person with these charts.

    Two accounts mean that two persons' charts were joined: then neither of them is believed.
    """
    accounts = await accounts_of(charts, services)
    mine = accounts if len(accounts) == 1 else []
    given = [own.MandateRow(*row) for row in await services.db.read(own.MANDATES_ON, list(charts))]
    told = (delegation(row, services) for row in given)
    return Standing(
        frozenset(row.login for row in mine),
        frozenset((row.login, row.chart) for row in mine),
        tuple(one for one in told if one is not None),
    )


def stopped(row: own.MandateRow, terms: Terms) -> bool:
    """Whether a mandate rests, by its row or by what is sealed in it."""
    return bool(row.suspended or terms.stopped_at)


def delegation(row: own.MandateRow, services: Services) -> Delegation | None:
    """A mandate as a decision reads it; None when it ended or the row was altered."""
    terms = terms_of(row, services)
    if terms is None or row.ended:
        return None
    return Delegation(
        user=row.login,
        kind=DelegationKind(row.kind),
        start=terms.start,
        end=terms.end,
        restricted=terms.restricted,
        categories=frozenset(terms.categories),
        suspended=stopped(row, terms),
        reviewed=terms.reviewed,
        chart=row.chart,
    )
