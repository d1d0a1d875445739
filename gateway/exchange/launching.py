"""Tickets that open the recognition page inside a HIS: for one named doctor, one prompt, one use.

The address that a HIS opens holds a random name and nothing else. It is good for two minutes and for the
first who uses it; what it opens is a session of the doctor's own account here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import prompting
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import accounts
from gateway.store import launches as rows
from gateway.store.engine import Tx
from gateway.vault import SealBroken

LIFE: Final = 120_000_000  # µs
_TABLE = "launch_ticket"


class Inside(msgspec.Struct, frozen=True, array_like=True):
    """What a ticket leads to and whom it lets in until when, sealed: its row alone is not believed."""

    client: str
    card: str
    login: str
    organization: str
    ends: int


@dataclass(frozen=True, slots=True)
class Launch:
    """Whom a ticket lets in, and the prompt it shows."""

    login: str
    organization: str
    client: str
    card: str


async def ticket(card: str, caller: Caller, services: Services) -> str:
    """A ticket for the prompt that this caller was given; kept and logged before it is told.

    Problem UNKNOWN for a card that is not the caller's, UNPROCESSABLE for a doctor without an account
    here: a page shows results, and only an account can answer for that.
    """
    await prompting.standing(card, caller, services)
    held = await services.db.read(accounts.ACCOUNT, accounts.tidy(caller.user))
    roles = {row[2] for row in held}
    if not held or held[0][1] != "active" or caller.role not in roles:
        raise Problem(Trouble.UNPROCESSABLE, "This doctor has no account here.", "doctor")
    at = services.now()
    name = secrets.token_urlsafe(32)
    tag = _tag(name, services)
    inside = Inside(caller.client, card, accounts.tidy(caller.user), caller.organization, at + LIFE)
    sealed = services.vault.seal_field(_TABLE, tag.hex(), msgspec.msgpack.encode(inside))
    row = rows.TicketRow(tag, inside.organization, inside.login, inside.ends, 0, sealed)
    draft = await _noted(caller, at, services, "ticket given", card)
    await services.db.do(_give, row, draft, at, services)
    return name


def _give(tx: Tx, row: rows.TicketRow, draft: Draft, at: int, services: Services) -> None:
    tx.run(rows.END, at)
    tx.run(rows.ADD, *row)
    append(tx, services.log.filing_writer, [draft], services.now)


async def spend(name: str, services: Services) -> Launch:
    """Use a ticket; Problem UNKNOWN for one that is unknown, late or used, one answer for all."""
    tag, at = _tag(name[:100], services), services.now()
    row = await services.db.do(_spend, tag, at)
    inside = _inside(row, services) if row is not None else None
    if inside is None or inside.ends <= at:
        raise Problem(Trouble.UNKNOWN, "This address has been used, or its time is over.")
    return Launch(inside.login, inside.organization, inside.client, inside.card)


def _inside(row: rows.TicketRow, services: Services) -> Inside | None:
    """What was sealed; None when the row says something else."""
    try:
        text = services.vault.open_field(_TABLE, row.tag.hex(), row.sealed)
    except SealBroken:
        return None
    inside = msgspec.msgpack.decode(text, type=Inside)
    said = (inside.login, inside.organization, inside.ends)
    return inside if said == (row.login, row.organization, row.ends) else None


def _spend(tx: Tx, tag: bytes, at: int) -> rows.TicketRow | None:
    """Of two at the same time the database lets one through."""
    found = tx.all(rows.SPEND, tag, at)
    return rows.TicketRow(*found[0]) if found else None


def _tag(name: str, services: Services) -> bytes:
    return services.vault.digest("launch-ticket", name.encode())


async def _noted(caller: Caller, at: int, services: Services, said: str, card: str) -> Draft:
    body = Body(request=f"launch.{at}", details={"launch": said, "card": card}).asked_by(caller)
    return await services.log.draft(Kind.TOKEN, Outcome.PERMIT, caller, at, body)
