"""Keeps a raw message: sealed and committed before anybody is told it was received."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Literal, NamedTuple

from gateway.errors import Kind, Problem
from gateway.exchange.message_kinds import kind_of
from gateway.records.instant import moment
from gateway.services import Services
from gateway.store import inbox
from gateway.store.engine import Tx
from mappings.engine import Unit as Unit


class Receipt(NamedTuple):
    """What became of a unit: `new`, `again` (same bytes), or `conflict` (same control id, other
    bytes: kept, filed and alarmed). `id` names it in the inbox."""

    id: str
    outcome: Literal["new", "again", "conflict"]


class _Letter(NamedTuple):
    """A unit sealed and ready to be kept."""

    id: str
    source: str
    day: str
    digest: bytes
    control: bytes
    sealed: bytes
    wrap: bytes
    size: int
    at: int
    kind: str


async def source_named(name: str, services: Services) -> inbox.SourceRow:
    """The declared source; Problem UNKNOWN when there is none or it is paused."""
    found = await services.db.read(inbox.SOURCE, name)
    if not found:
        raise Problem(Kind.UNKNOWN, "No such source is declared here.")
    source = inbox.SourceRow(*found[0])
    if source.state != "active":
        raise Problem(Kind.BUSY, "This source is paused; please send again later.")
    return source


async def receive(
    source_name: str, units: Sequence[Unit], services: Services, channel: str = ""
) -> list[Receipt]:
    """Keep the units in one transaction, each once however often it is sent.

    Raises Problem UNKNOWN for an undeclared source, TOO_LARGE over the body limit, BUSY when the
    message could not be kept: the sender must send again.
    """
    source = await source_named(source_name, services)
    if sum(len(unit.raw) for unit in units) > services.settings.body_limit:
        raise Problem(Kind.TOO_LARGE, "The message is larger than this gateway accepts.")
    at = services.now()
    # One microsecond apart, so that the order within a delivery is an order of arrival.
    letters = [
        await _sealed(source.name, unit, at + place, services) for place, unit in enumerate(units)
    ]
    return await services.db.do(_keep, source.name, letters, at)


async def _sealed(source: str, unit: Unit, at: int, services: Services) -> _Letter:
    id = secrets.token_hex(16)
    day = moment(at, services.settings.zone).date().isoformat()
    raw = await services.vault.seal_raw(source, day, id, unit.raw)
    about = f"inbox/{source}"
    control = b""
    if unit.control_id:
        control = services.vault.digest(f"{about}/control", unit.control_id.encode())
    return _Letter(
        id,
        source,
        day,
        services.vault.digest(about, unit.raw),
        control,
        raw.sealed,
        raw.wrap,
        len(unit.raw),
        at,
        kind_of(unit.raw),
    )


def _keep(tx: Tx, source: str, letters: Sequence[_Letter], at: int) -> list[Receipt]:
    receipts = [_keep_one(tx, letter) for letter in letters]
    tx.run(inbox.COUNT_ARRIVAL, source, len(letters), at)
    return receipts


def _keep_one(tx: Tx, letter: _Letter) -> Receipt:
    same = tx.one(inbox.SAME_BYTES, letter.source, letter.digest)
    if same is not None:
        tx.run(inbox.ARRIVED_AGAIN, same[0])
        return Receipt(same[0], "again")
    clash = letter.control and tx.one(inbox.SAME_CONTROL, letter.source, letter.control)
    kept = tx.one(
        inbox.KEEP,
        letter.id,
        letter.source,
        letter.day,
        letter.digest,
        letter.control,
        letter.sealed,
        letter.wrap,
        "",
        0,
        letter.size,
        "waiting",
        1,
        "",
        "",
        letter.at,
        0,
        letter.kind,
    )
    if kept is None:  # the same bytes were committed by another process since we looked
        return _keep_one(tx, letter)
    tx.run(inbox.ADD_JOB, "file", letter.id, letter.at)
    if clash:
        tx.run(inbox.ADD_ALARM, "control-id-reused", letter.source, letter.id, letter.at)
        return Receipt(letter.id, "conflict")
    return Receipt(letter.id, "new")


async def replay(id: str, services: Services) -> bool:
    """Put a quarantined message back in line; False when it is not in quarantine."""
    return await services.db.do(_replay, id, services.now())


def _replay(tx: Tx, id: str, at: int) -> bool:
    if tx.one(inbox.REOPEN, id) is None:
        return False
    tx.run(inbox.ADD_JOB, "file", id, at)
    return True


async def source_of_client(client: str, services: Services) -> inbox.SourceRow:
    """The active source a system client posts for; Problem REFUSED when it posts for none."""
    found = await services.db.read(inbox.SOURCE_OF_CLIENT, client)
    if not found:
        raise Problem(Kind.REFUSED, "This client does not speak for any source.")
    return await source_named(found[0][0], services)
