"""Reads a hospital's database view on a schedule and keeps its rows as if the hospital had sent them.

1. Only the holder of the view's lease reads it.
2. Rows come from the watermark on, some earlier ones with them (`[source] overlap`), for transactions
   that commit late; what was kept already is told by the digest of its row.
3. Rows of one group that stand together are one unit, as in a CSV delivery.
4. Units are kept durably, then the watermark moves. A crash between the two reads them again: twice,
   never not at all.

What a view cannot tell is not known here: a row deleted there stays as it was read, and a row that changes
without its watermark moving is not seen again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from gateway.errors import Kind, Problem
from gateway.exchange.loading import in_batches
from gateway.exchange.receive import Unit, source_named
from gateway.records.instant import moment
from gateway.services import Services
from gateway.sources import views
from gateway.sources.secret import SecretRefused, read_secret
from gateway.sources.views import Mark, View, ViewFault, ViewRow
from gateway.store import inbox
from gateway.store import log as leases
from gateway.store import views as rows
from gateway.store.engine import Tx
from mappings.engine import Map
from mappings.engine.er7 import CODECS
from mappings.engine.rows import Contract

LEASE: Final = 180_000_000  # µs; longer than a statement may take
UNITS: Final = 200  # kept between two moves of the watermark
MOST_ROWS: Final = 5_000  # in one unit
MOST_SEEN: Final = 20_000
LEAST_EVERY: Final = 5  # seconds
_HOUR: Final = 3_600_000_000
_SILENT_AFTER: Final = 24  # hours


SAID: Final = {
    "address-file": "The file with the database's address cannot be read, or others may read it.",
    "address": "That is not a database address as SQLAlchemy writes it.",
    "driver": "The driver of that database is not installed: pip install 'health-gateway[views]'.",
    "unreachable": "The database does not answer, or not in time.",
    "refused": "The database has no such view, or does not let this account read it.",
    "columns-missing": "The view lacks columns that the map declares; nothing was read.",
    "columns-new": "The view has columns that the map does not declare; nothing was read.",
    "watermark": "The watermark column cannot be compared with what was read before.",
    "cell": "A cell of the view is neither text, number, time nor bytes.",
    "not-kept": "The rows could not be kept; they will be read again.",
    "silent": "The view can be read but shows nothing new.",
}
"""What each kind of trouble means."""


class Pulled(NamedTuple):
    """What a reading gave: rows not kept before, in how many units; `error` is "" or why it ended early."""

    rows: int = 0
    units: int = 0
    error: str = ""


class _State(msgspec.Struct, array_like=True):
    """How far a view was read, and which rows of the overlap are kept already."""

    mark: Mark | None = None
    seen: tuple[tuple[Mark, bytes], ...] = ()


# --- declaring -------------------------------------------------------------------------------------


async def declare(
    name: str,
    address_file: Path,
    view: str,
    every: int,
    services: Services,
    *,
    from_start: bool = False,
) -> None:
    """Declare that a source's rows are read from a view; again, it changes where and how often.

    With `from_start` it is read from its first row again, which gives duplicates and loses nothing.
    Raises Problem UNKNOWN for an undeclared source, MALFORMED naming what is wrong.
    """
    source = await source_named(name, services)
    view_of(await services.maps.get(source.map), view)
    if every < LEAST_EVERY:
        raise Problem(
            Kind.MALFORMED, f"A view is read every {LEAST_EVERY} seconds or less often.", "every"
        )
    try:
        read_secret(address_file)
    except SecretRefused as refused:
        raise Problem(Kind.MALFORMED, str(refused), "address-file") from None
    await services.db.do(_declare, name, str(address_file.resolve()), view, every, from_start)


def _declare(tx: Tx, name: str, address: str, view: str, every: int, from_start: bool) -> None:
    if tx.one(rows.FEED, name) is None:
        tx.run(rows.ADD_FEED, name, address, view, every, b"", 0, 0, "")
        return
    tx.run(rows.CHANGE_FEED, name, address, view, every)
    if from_start:
        tx.run(rows.KEEP_FEED, name, b"", 0)


def view_of(site: Map, view: str) -> View:
    """The view as the source's map describes it; Problem MALFORMED when the map does not read rows."""
    contract = Contract(site.source) if site.input == "rows" else None
    if contract is None or not contract.columns or contract.watermark is None:
        raise Problem(
            Kind.MALFORMED,
            'A view needs a map with input = "rows" that names columns and watermark.',
            "map",
        )
    if not views.NAME.fullmatch(view):
        raise Problem(Kind.MALFORMED, "A view is named by letters, digits, _ $ # and dots.", "view")
    return View(
        name=view,
        columns=tuple(contract.columns),
        group=tuple(contract.columns[at] for at in contract.group),
        watermark=contract.columns[contract.watermark],
        charset=CODECS.get(site.source.charset, "utf-8"),
        recode=str(site.source.options.get("recode", "")),
    )


async def feeds(services: Services) -> list[rows.FeedRow]:
    """Every declared view."""
    return [rows.FeedRow(*row) for row in await services.db.read(rows.FEEDS)]


# --- reading ---------------------------------------------------------------------------------------


async def pull_due(services: Services, holder: str) -> int:
    """Read every view whose time has come; returns how many rows were new."""
    now = services.now()
    due = [one for one in await feeds(services) if one.last_at + one.every * 1_000_000 <= now]
    # Together: a hospital that does not answer must not keep the others waiting.
    done = await asyncio.gather(*(_or_later(one.source, services, holder) for one in due))
    return sum(one.rows for one in done)


async def _or_later(name: str, services: Services, holder: str) -> Pulled:
    try:
        return await pull(name, services, holder)
    except Problem:  # paused, or we cannot keep more now: its time stays due
        return Pulled()


async def pull(name: str, services: Services, holder: str) -> Pulled:
    """Read a view once, from its watermark to its end.

    Raises Problem UNKNOWN for an undeclared source or view, CONFLICT when another process reads it
    now, BUSY when the source is paused. A view that cannot be read, or rows that cannot be kept, are
    told by `Pulled.error`, noted, and raise an alarm the first time.
    """
    source = await source_named(name, services)
    found = await services.db.read(rows.FEED, name)
    if not found:
        raise Problem(Kind.UNKNOWN, "No view is declared for this source.")
    feed = rows.FeedRow(*found[0])
    site = await services.maps.get(source.map)
    if not await services.db.do(_lease, name, holder, services.now()):
        raise Problem(Kind.CONFLICT, "Another process reads this view now.")
    try:
        reading = _Reading(feed, view_of(site, feed.view), _number(site, "overlap", 0), services)
        pulled = await _read(reading, holder, services)
        await _ended_well(feed, site, reading, pulled, services)
    except SecretRefused:
        pulled = await _failed(feed, "address-file", services)
    except ViewFault as fault:
        pulled = await _failed(feed, fault.kind, services)
    except Problem:
        pulled = await _failed(feed, "not-kept", services)
    finally:
        await services.db.do(_release, name, holder)
    return pulled


def _number(site: Map, name: str, otherwise: int) -> int:
    value = site.source.options.get(name, otherwise)
    return value if isinstance(value, int) and value >= 0 else otherwise


@dataclass
class _Reading:
    """One reading under way; its methods but `__post_init__` run in the reading thread."""

    feed: rows.FeedRow
    view: View
    overlap: int
    services: Services
    state: _State = field(init=False)
    address: str = field(init=False)

    def __post_init__(self) -> None:
        self.address = read_secret(Path(self.feed.address))
        sealed, vault = self.feed.watermark, self.services.vault
        self.state = (
            msgspec.msgpack.decode(
                vault.open_field("view_feed", self.feed.source, sealed), type=_State
            )
            if sealed
            else _State()
        )
        since = self.state.mark.before(self.overlap) if self.state.mark else None
        self.known = {digest for _, digest in self.state.seen}
        self.recent = {digest: mark for mark, digest in self.state.seen}
        self.newest = self.state.mark
        self.groups = _groups(views.read(self.address, self.view, since), self.view)

    def batch(self) -> tuple[list[Unit], int] | None:
        """The next units, and how many of their rows are new; None at the end."""
        units: list[Unit] = []
        new = 0
        for group in self.groups:
            for row in group:
                self.recent[row.digest] = row.mark
                if self.newest is None or not _older(row.mark, self.newest):
                    self.newest = row.mark
            fresh = sum(row.digest not in self.known for row in group)
            if fresh:
                units.append(_unit(self.view.columns, group))
                new += fresh
            if len(units) == UNITS or len(self.recent) > 2 * MOST_SEEN:
                self._forget()
            if len(units) == UNITS:
                break
        self._forget()
        return (units, new) if units else None

    def _forget(self) -> None:
        """Let go of rows that no later reading comes back to."""
        if self.newest is None:
            return
        since = self.newest.before(self.overlap)
        kept = {digest: mark for digest, mark in self.recent.items() if not _older(mark, since)}
        # More rows than that at one watermark are told apart by the inbox, one by one.
        self.recent = kept if len(kept) <= MOST_SEEN else {}

    def sealed(self) -> bytes:
        """How far this reading has come."""
        seen = tuple((mark, digest) for digest, mark in self.recent.items())
        plain = msgspec.msgpack.encode(_State(self.newest, seen))
        return self.services.vault.seal_field("view_feed", self.feed.source, plain)

    def close(self) -> None:
        self.groups.close()

    def unmarked(self) -> bool:
        return views.unmarked(self.address, self.view)


def _older(mark: Mark, since: Mark) -> bool:
    if mark.kind != since.kind:
        return False  # the view was changed: what comes now counts
    one, other = mark.python(), since.python()
    try:
        return bool(one < other)
    except TypeError:  # one with an offset, one without
        return False


def _groups(found: Iterator[ViewRow], view: View) -> Any:
    """Rows that follow each other with the same group columns; without any, each row alone."""
    places = [view.columns.index(name) for name in view.group]
    group: list[ViewRow] = []
    last: tuple[str, ...] | None = None
    for row in found:
        key = tuple((row.cells[at] or "").strip() for at in places)
        if group and (not places or key != last or len(group) == MOST_ROWS):
            yield group
            group = []
        last = key
        group.append(row)
    if group:
        yield group


def _unit(columns: Sequence[str], group: Sequence[ViewRow]) -> Unit:
    """Rows as a JSON array of objects, which a map of rows reads like any delivery."""
    return Unit(orjson.dumps([dict(zip(columns, row.cells, strict=True)) for row in group]))


async def _read(reading: _Reading, holder: str, services: Services) -> Pulled:
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, "view")
    total = Pulled()
    try:
        while batch := await loop.run_in_executor(thread, reading.batch):
            units, new = batch
            async for _ in in_batches(reading.feed.source, units, services, "view"):
                pass
            kept = await services.db.do(
                _keep, reading.feed.source, holder, services.now(), reading.sealed(), new
            )
            total = Pulled(total.rows + new, total.units + len(units))
            if not kept:  # another process took over after we were slow
                return total
        await services.db.do(
            _keep, reading.feed.source, holder, services.now(), reading.sealed(), 0
        )
    finally:
        thread.submit(reading.close)
        thread.shutdown(wait=False)
    return total


def _lease(tx: Tx, name: str, holder: str, now: int) -> bool:
    tx.run(leases.ADD_LEASE, f"view/{name}")
    return tx.one(leases.TAKE_LEASE, f"view/{name}", holder, now, now + LEASE) is not None


def _release(tx: Tx, name: str, holder: str) -> None:
    tx.one(leases.TAKE_LEASE, f"view/{name}", holder, 0, 0)


def _keep(tx: Tx, name: str, holder: str, now: int, sealed: bytes, new: int) -> bool:
    """Move the watermark, as long as the view is ours to read."""
    if not _lease(tx, name, holder, now):
        return False
    tx.run(rows.KEEP_FEED, name, sealed, new)
    return True


async def _ended_well(
    feed: rows.FeedRow, site: Map, reading: _Reading, pulled: Pulled, services: Services
) -> None:
    now = services.now()
    zone = services.settings.zone
    alarm = ""
    first = not feed.last_at or moment(feed.last_at, zone).date() != moment(now, zone).date()
    # Once a day: without an index this looks at every row.
    if first and await asyncio.to_thread(reading.unmarked):
        alarm = "view-unmarked"
    [(arrived,)] = await services.db.read(rows.LAST_ARRIVAL, feed.source)
    limit = _number(site, "silent_after", _SILENT_AFTER) * _HOUR
    silent = bool(arrived) and not pulled.rows and now - arrived > limit
    error = "silent" if silent else ""
    if silent and feed.error != error:
        alarm = "view-silent"
    await services.db.do(_note, feed.source, now, error, alarm)


async def _failed(feed: rows.FeedRow, kind: str, services: Services) -> Pulled:
    alarm = "view-failing" if feed.error != kind else ""
    await services.db.do(_note, feed.source, services.now(), kind, alarm)
    return Pulled(error=kind)


def _note(tx: Tx, name: str, at: int, error: str, alarm: str) -> None:
    tx.run(rows.NOTE_FEED, name, at, error)
    if alarm:
        tx.run(inbox.ADD_ALARM, alarm, name, "", at)
