"""What a hospital orders and nobody here knows, kept sealed for its IT office, up to a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.exchange.duplicates import Draft
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import cards as rows
from gateway.store.engine import Tx

MOST: Final = (
    5_000  # codes of one hospital; a system that writes values into its orders stops there
)
BEYOND: Final = "orders_unmapped_beyond"
_TABLE = "unmapped_order"


async def meet(
    drafts: Sequence[Draft], caller: Caller, services: Services, *, signed: bool
) -> None:
    """Keep order codes that are not here yet; counted when signed. Beyond `MOST` of a hospital a new
    one is only counted, in `services.counts`."""
    if not drafts:
        return
    found = {}
    for draft in drafts:
        said = msgspec.json.encode((draft.codings, draft.name))
        found[services.vault.digest("unmapped-order", said)[:16].hex()] = said
    organization, at = caller.organization, services.now()
    known = {row[0] for row in await services.db.read(rows.UNKNOWN, organization, list(found))}
    missing = [digest for digest in found if digest not in known]
    room = _room(await services.db.read(rows.LINES, organization)) if missing else 0
    fresh = [
        (
            organization,
            digest,
            services.vault.seal_field(_TABLE, f"{organization}/{digest}", found[digest]),
            at,
        )
        for digest in missing[:room]
    ]
    counted = [(organization, digest, at) for digest in found] if signed else []
    kept = len(fresh)
    if fresh or counted:
        kept = await services.db.do(_meet, organization, fresh, counted)
    services.counts[BEYOND] += len(missing) - kept


def _room(counted: Sequence[tuple[int, ...]]) -> int:
    return max(0, MOST - counted[0][0])


def _meet(
    tx: Tx,
    organization: str,
    fresh: Sequence[tuple[object, ...]],
    counted: Sequence[tuple[object, ...]],
) -> int:
    """How many were kept: others may have come while these were sealed. On PostgreSQL transactions
    that overlap may together go past the bound, by no more than they carry."""
    fresh = fresh[: _room(tx.all(rows.LINES, organization))] if fresh else ()
    if fresh:
        tx.many(rows.MEET, fresh)
    if counted:
        tx.many(rows.SIGNED, counted)
    return len(fresh)


@dataclass(frozen=True, slots=True)
class Unmapped:
    """An order code of a hospital that means nothing to the catalogue."""

    codings: tuple[tuple[str, str], ...]
    name: str
    signed: int
    last: int  # µs UTC


async def standing(organization: str, services: Services, most: int = 200) -> tuple[Unmapped, ...]:
    """What an organisation orders and nobody here knows, the most often signed first."""
    found = []
    for values in await services.db.read(rows.UNMAPPED, organization, most):
        row = rows.UnmappedRow(*values)
        said = services.vault.open_field(_TABLE, f"{organization}/{row.digest}", row.sealed)
        codings, name = msgspec.json.decode(said, type=tuple[tuple[tuple[str, str], ...], str])
        found.append(Unmapped(codings, name, row.signed, row.last_at))
    return tuple(found)
