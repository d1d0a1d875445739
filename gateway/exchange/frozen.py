"""Frozen months: figures as they stood when a month was closed, signed, and never computed again.

Events that come later change the live figures, and both are shown; a hospital that does not agree
objects in words, the commission answers, and the frozen figures stay as they are.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Literal

import msgspec

from gateway.audit import note
from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import rights, vouched
from gateway.exchange.statistics import (
    COUNTY_ROLES,
    Month,
    allowed,
    bounds,
    drafted,
    of_month,
    published,
)
from gateway.exchange.verification import verify_log
from gateway.recognition.publication import Publication, Side
from gateway.recognition.rights import DataClass, Use
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import inbox
from gateway.store import statistics as rows
from gateway.store.engine import Tx
from gateway.store.quality import UNSETTLED
from gateway.store.statistics import ObjectionRow, SnapshotRow

GRACE_DAYS = 5
"""So long after its end a month is frozen by itself: reports of its last days still come in."""
UNVERIFIED = "log"
"""The place of the refusal when what the figures come from does not verify."""
JOB = Caller(client="job", organization="county", role="operator", user="statistics")
_SEALED = "statistics_snapshot"
_OBJECTION = "statistics_objection"
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen month; `whole` is false when it does not stand as it was signed: then no figures."""

    month: str
    organization: str
    hash: str
    by: str
    at: int
    whole: bool
    sides: Mapping[str, Publication]


@dataclass(frozen=True, slots=True)
class Objection:
    """What a hospital says about frozen figures and what it was answered; times µs UTC."""

    id: str
    month: str
    organization: str
    by: str
    at: int
    text: str
    state: Literal["open", "upheld", "rejected"]
    answered_by: str = ""
    answered_at: int = 0
    answer: str = ""


async def freeze(month: str, caller: Caller, services: Services, despite: str = "") -> str:
    """Freeze a month that has ended, the county's figures and each hospital's; returns the hash of
    the county's. Problem CONFLICT when it is not over, stands frozen already, or the access log and the
    rows it vouches for do not verify: then nothing is signed, unless the operator says why it is signed
    `despite` that, which the log keeps."""
    if caller.role not in COUNTY_ROLES:
        raise Problem(Trouble.REFUSED, "The health commission freezes figures.")
    _, end = bounds(month, services)
    if services.now() < end:
        raise Problem(Trouble.CONFLICT, "The month is not over.", month)
    if await services.db.read(rows.SNAPSHOT, month, ""):
        raise Problem(Trouble.CONFLICT, "The month is frozen already.", month)
    await _verified(despite if caller.role == "operator" else "", caller, services)
    read = await of_month(month, services)
    found = [await _row(read, "", caller, services)]
    hospitals = sorted({one for case in read.cases for one in (case.organization, case.issuer)})
    found += [await _row(read, one, caller, services) for one in hospitals]
    draft = await drafted(
        Kind.STATISTICS_CHANGE, caller, services, act="freeze", month=month, hash=found[0].hash,
        **({"despite": despite} if despite else {}),
    )  # fmt: skip
    await services.db.do(_keep, found, draft, services)
    return found[0].hash


async def _verified(despite: str, caller: Caller, services: Services) -> None:
    if despite or (await verify_log(services)).ok:
        return
    await services.db.do(_alarm, caller.organization, services.now())
    raise Problem(
        Trouble.CONFLICT,
        "The access log or the ledger does not verify: nothing is frozen.",
        UNVERIFIED,
    )


def _alarm(tx: Tx, organization: str, at: int) -> None:
    if tx.one(UNSETTLED, "log", organization) is None:
        tx.run(inbox.ADD_ALARM, "log", organization, "", at)


def _keep(tx: Tx, found: Sequence[SnapshotRow], draft: Draft, services: Services) -> None:
    if tx.one(rows.SNAPSHOT, found[0].month, "") is not None:
        raise Problem(Trouble.CONFLICT, "The month is frozen already.", found[0].month)
    tx.many(rows.ADD_SNAPSHOT, found)
    vouched.vouch(tx, found, services)
    append(tx, services.log.filing_writer, [draft], services.now)


async def _row(month: Month, organization: str, caller: Caller, services: Services) -> SnapshotRow:
    sides: tuple[Side, ...] = ("receiver", "issuer") if organization else ("county",)
    told = {side: await published(month, organization, side) for side in sides}
    content = msgspec.json.encode(told, order="deterministic")
    id = secrets.token_hex(16)
    hash = sha256(content).hexdigest()
    made = SnapshotRow(
        id=id,
        month=month.name,
        organization=organization,
        content=services.vault.seal_field(_SEALED, id, content),
        hash=hash,
        made_by=caller.user,
        at=month.until,
        signature=b"",
    )
    signed = note.write(_statement(made, services), _key(services), services.vault.sign)
    return made._replace(signature=signed)


def _statement(row: SnapshotRow, services: Services) -> str:
    """What the signed note says: which figures, by their hash, and who froze them when."""
    said = (services.settings.county, row.month, row.organization, row.hash, row.made_by, row.at)
    return "\n".join(("frozen figures on recognition 1", *map(str, said), ""))


def _key(services: Services) -> note.Key:
    return note.Key("figures", services.vault.public_key())


async def freeze_due(services: Services) -> int:
    """Freeze the month before, once `GRACE_DAYS` have passed and anything happened in it; returns 0:
    there is never more to do at once."""
    zone = services.settings.zone
    grown = moment(services.now(), zone) - timedelta(days=GRACE_DAYS)
    month = (grown.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    if await services.db.read(rows.SNAPSHOT, month, ""):
        return 0
    if (await of_month(month, services)).cases:
        await freeze(month, JOB, services)
    return 0


async def frozen(
    month: str, organization: str, caller: Caller, services: Services
) -> Frozen | None:
    """What stands frozen, checked against its signature; None when nothing is.

    Who reads it reads the live figures too, whose event names the month.
    """
    allowed("receiver" if organization else "county", organization, caller)
    await rights.demand(caller, DataClass.STATISTICS, Use.STATISTICS, services)
    found = await services.db.read(rows.SNAPSHOT, month, organization)
    if not found:
        return None
    row = SnapshotRow(*found[0])
    sides: Mapping[str, Publication] = {}
    whole = _signed(row, services)
    if whole:
        content = services.vault.open_field(_SEALED, row.id, row.content)
        whole = sha256(content).hexdigest() == row.hash
        if whole:
            sides = msgspec.json.decode(content, type=dict[str, Publication])
    return Frozen(row.month, row.organization, row.hash, row.made_by, row.at, whole, sides)


def _signed(row: SnapshotRow, services: Services) -> bool:
    try:
        return note.read(row.signature, [_key(services)]) == _statement(row, services)
    except note.NoteFault:
        return False


async def frozen_months(services: Services) -> frozenset[str]:
    """The months that are frozen."""
    return frozenset(str(row[0]) for row in await services.db.read(rows.FROZEN))


@dataclass(frozen=True, slots=True)
class Late:
    """How many events came after a month was frozen, by kind; None where so few that nobody is told."""

    all: int | None
    by_kind: Mapping[str, int]


async def late(month: str, at: int, services: Services) -> Late:
    """Why live figures differ from frozen ones: events written to the month's questions since `at`."""
    kinds: dict[str, int] = {}
    for event in (await of_month(month, services)).events:
        if event.at >= at:
            kinds[event.kind.value] = kinds.get(event.kind.value, 0) + 1
    total = sum(kinds.values())
    few = 0 < total < 5
    told = {kind: n for kind, n in sorted(kinds.items()) if n >= 5}
    return Late(None if few else total, told)


# Objections


async def object_(month: str, text: str, caller: Caller, services: Services) -> str:
    """A hospital's IT office objects to its frozen figures, in words; returns the objection's id."""
    if caller.role != "it":
        raise Problem(Trouble.REFUSED, "A hospital objects to its own figures.")
    bounds(month, services)
    if not text.strip() or len(text) > _LONGEST:
        raise Problem(Trouble.MALFORMED, "Say in words what is not right.", "text")
    if not await services.db.read(rows.SNAPSHOT, month, caller.organization):
        raise Problem(Trouble.UNKNOWN, "Nothing of this month is frozen for this hospital.", month)
    id = secrets.token_hex(16)
    row = ObjectionRow(
        id=id,
        month=month,
        organization=caller.organization,
        made_by=caller.user,
        made_at=services.now(),
        sealed=services.vault.seal_field(_OBJECTION, id, text.strip().encode()),
        state="open",
        decided_by="",
        decided_at=0,
        answer=b"",
    )
    draft = await drafted(
        Kind.STATISTICS_CHANGE, caller, services, act="object", month=month, objection=id
    )

    def add(tx: Tx) -> None:
        tx.run(rows.ADD_OBJECTION, *row)
        vouched.vouch(tx, [row], services)
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(add)
    return id


async def answer(id: str, upheld: bool, text: str, caller: Caller, services: Services) -> None:
    """The commission answers an objection, once. Upheld, the correction stands in its words beside
    the frozen figures, which do not change."""
    if caller.role not in COUNTY_ROLES:
        raise Problem(Trouble.REFUSED, "The health commission answers objections.")
    if not text.strip() or len(text) > _LONGEST:
        raise Problem(Trouble.MALFORMED, "An answer needs words.", "text")
    if not await services.db.read(rows.OBJECTION, id):
        raise Problem(Trouble.UNKNOWN, "No such objection.")
    sealed = services.vault.seal_field(_OBJECTION, f"{id}.answer", text.strip().encode())
    state = "upheld" if upheld else "rejected"
    at = services.now()
    draft = await drafted(
        Kind.STATISTICS_CHANGE, caller, services, act="answer", objection=id, state=state
    )

    def write(tx: Tx) -> None:
        answered = tx.one(rows.ANSWER, id, state, caller.user, at, sealed)
        if answered is None:
            raise Problem(Trouble.CONFLICT, "It has been answered already.")
        vouched.vouch(tx, [ObjectionRow(*answered)], services)
        append(tx, services.log.filing_writer, [draft], services.now)

    await services.db.do(write)


async def objections(
    month: str, organization: str, caller: Caller, services: Services
) -> tuple[Objection, ...]:
    """The objections to a month, oldest first; a hospital sees its own."""
    allowed("receiver" if organization else "county", organization, caller)
    found = (ObjectionRow(*row) for row in await services.db.read(rows.OBJECTIONS, month))
    return tuple(_told(row, services) for row in found if organization in ("", row.organization))


def _told(row: ObjectionRow, services: Services) -> Objection:
    def words(name: str, sealed: bytes) -> str:
        return services.vault.open_field(_OBJECTION, name, sealed).decode() if sealed else ""

    return Objection(
        id=row.id,
        month=row.month,
        organization=row.organization,
        by=row.made_by,
        at=row.made_at,
        text=words(row.id, row.sealed),
        state=row.state,  # type: ignore[arg-type]
        answered_by=row.decided_by,
        answered_at=row.decided_at,
        answer=words(f"{row.id}.answer", row.answer),
    )
