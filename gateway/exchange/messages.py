"""The message monitor of an IT office: what came in, where it is, and what one message became.

Types, counts, places and times only: what a message says is opened here for nobody.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange.feeds import own_sources
from gateway.exchange.filing import issues_of
from gateway.exchange.message_kinds import KINDS
from gateway.exchange.person import ALL_TIERS, head_name
from gateway.records.entry import unpack_head
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts, inbox
from gateway.store import messages as rows
from gateway.store.messages import CountRow, MessageRow, Narrow
from gateway.vault import ChartTier, Grant, Tier, VaultError
from mappings.engine import Issue

PAGE: Final = 50
STATES: Final = ("waiting", "retry", "filed", "quarantined", "repeated")
_CODE = re.compile(r"[a-z0-9-]{1,60}")

State = Literal["waiting", "retry", "filed", "quarantined"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which messages somebody wants to see; empty fields do not narrow, times are µs UTC."""

    source: str = ""
    state: str = ""
    issue: str = ""
    since: int = 0
    until: int = 0
    page: int = 1
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message without its content; times µs UTC, 0: not yet. `due` is when a retry comes."""

    id: str
    source: str
    organization: str
    state: State
    size: int
    arrivals: int
    arrived: int
    settled: int
    tries: int
    due: int
    release: str
    issues: tuple[Issue, ...]
    kind: str  # a word of `message_kinds`, empty: came before it was noted


@dataclass(frozen=True, slots=True)
class Monitor:
    """A page of messages, newest first, and what arrived in the same window by source."""

    sources: Mapping[str, str]  # name and organisation of each the caller may see
    counts: tuple[CountRow, ...]
    messages: tuple[Kept, ...]
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class Became:
    """What stands of a message in the folder it belongs to: versions written, and still current."""

    type: str
    versions: int
    current: int


async def monitor(asked: Asked, caller: Caller, services: Services) -> Monitor:
    """What arrived, of the caller's own sources; Problem MALFORMED for a state, code or kind that is none."""
    known = await own_sources(caller, services)
    if asked.state and asked.state not in STATES:
        raise Problem(Kind.MALFORMED, "No such state.", "state")
    if asked.issue and not _CODE.fullmatch(asked.issue):
        raise Problem(Kind.MALFORMED, "Not the code of an issue.", "issue")
    if asked.kind and asked.kind not in KINDS:
        raise Problem(Kind.MALFORMED, "No such kind of message.", "kind")
    wanted = tuple(sorted(known)) if not asked.source else (asked.source,)
    narrow = Narrow(
        tuple(one for one in wanted if one in known),
        asked.since, asked.until, asked.state, asked.issue, asked.kind,
    )  # fmt: skip
    first = (asked.page - 1) * PAGE
    counted = await services.db.session(rows.counts, narrow)
    found, total = await services.db.session(rows.page, narrow, first, PAGE)
    shown = tuple(_kept(one, known[one.source]) for one in found)
    return Monitor(known, tuple(counted), shown, total, first + len(shown) < total)


async def one(id: str, caller: Caller, services: Services) -> Kept:
    """A message of the caller's own sources; Problem UNKNOWN when it is not there or another's."""
    known = await own_sources(caller, services)
    found = await services.db.read(rows.ONE, id)
    row = MessageRow(*found[0]) if found else None
    if row is None or row.source not in known:
        raise Problem(Kind.UNKNOWN, "No such message is kept.", "message")
    return _kept(row, known[row.source])


async def became(id: str, caller: Caller, services: Services) -> tuple[Became, ...]:
    """Which types of resource a message wrote into the folder it belongs to, and how many stand.

    An event says who asked, before anything is opened. Nothing for a message that is not filed, or
    whose folder's keys were destroyed. Problem UNKNOWN as `one`.
    """
    await one(id, caller, services)
    raw = inbox.RawRow(*(await services.db.read(inbox.RAW, id))[0])
    if not raw.owner:
        return ()
    at = services.now()
    body = Body(
        request=secrets.token_hex(8), details={"monitor": "became", "message": id}
    ).asked_by(caller)
    await services.log.note(Noted.CONFIG, Outcome.PERMIT, caller, at, body)
    place = (charts.bucket_of(raw.owner), raw.owner, id)
    found = await services.db.read(rows.OF_MESSAGE, *place)
    wants = sorted({ChartTier(raw.owner, Tier(row[2])) for row in found})
    grant = Grant("job", f"monitor {id}", ALL_TIERS)
    try:
        keys = await services.vault.manifests(grant, wants)
    except VaultError:
        return ()
    versions, current = Counter[str](), Counter[str]()
    for record, version, tier, head, stands in found:
        key = keys[ChartTier(raw.owner, Tier(tier))]
        type = unpack_head(key.open(head, head_name(record, version))).nature.type
        versions[type] += 1
        current[type] += stands
    return tuple(Became(type, versions[type], current[type]) for type in sorted(versions))


def _kept(row: MessageRow, organization: str) -> Kept:
    state = row.state
    if state == "waiting" and row.tries and row.due > row.arrived:
        state = "retry"
    return Kept(
        row.id, row.source, organization, state, row.size, row.arrivals, row.arrived,  # type: ignore[arg-type]
        row.settled, row.tries, row.due, row.release, issues_of(row.issues), row.kind,
    )  # fmt: skip
