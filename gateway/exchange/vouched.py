"""Rows that nobody deletes, alters or adds unseen: the access log vouches for each of them.

The figures' events, alerts of changed results, messages to hospitals' systems, the standing of decisions,
frozen months and the objections to them are single rows, and whoever may write to the database could take one away. So whoever
writes or changes one appends a `vouched` event in the same transaction: it names the row and holds a
keyed digest of it. Row and event commit together or not at all. After a crash there are both or neither,
and an event whose row is not there tells of a row that was deleted; a look or a prompt whose row was
never written has no such event, and is written when it is asked for again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from gateway.audit.events import Kind, Outcome, body_hash
from gateway.services import Services
from gateway.services.log import Draft, append
from gateway.store import decisions, ledger, log, statistics, write_backs
from gateway.store.decisions import AlertRow, EvidenceRow
from gateway.store.engine import Tx
from gateway.store.ledger import EventRow
from gateway.store.statements import Statement
from gateway.store.statistics import ObjectionRow, SnapshotRow
from gateway.store.write_backs import MessageRow
from gateway.vault import SealBroken

Row = EventRow | EvidenceRow | AlertRow | MessageRow | SnapshotRow | ObjectionRow
PAGE = 1_000
_DAY = 86_400_000_000  # µs; by so much a clock may have been set back
_PLACE = "audit_event", "vouched"  # where the body of such an event belongs


class _Kind(NamedTuple):
    """How rows of one kind are told: their table, the one name each has, how far its life has gone
    (a row's state only ever goes on), what of it counts, and how all of them are read from where."""

    table: str
    name: Callable[[Any], str]
    step: Callable[[Any], int]
    page: Statement
    first: str | int = ""
    said: Callable[[Any], tuple[object, ...]] = tuple


def _delivered(row: MessageRow) -> int:
    return int(row.state == "delivered")


_KINDS: dict[type, _Kind] = {
    EventRow: _Kind("recognition_event", lambda row: row.id, lambda row: 0, ledger.ALL),
    EvidenceRow: _Kind(
        "decision_evidence",
        lambda row: row.id,
        lambda row: 1 - row.standing,
        decisions.ALL_EVIDENCE,
    ),
    AlertRow: _Kind(
        "relied_alert",
        lambda row: f"{row.evidence}/{row.version}/{row.change}",
        lambda row: sum(1 for at in (row.seen, row.settled, row.told) if at),
        decisions.ALL_ALERTS,
        first=0,
        said=lambda row: tuple(row[1:]),  # its number is the database's own
    ),
    MessageRow: _Kind(
        "write_back",
        lambda row: row.id,
        _delivered,
        write_backs.ALL,
        # Its tries come and go; that it was taken does not.
        said=lambda row: (*row[:5], row.sealed, row.kind, _delivered(row)),
    ),
    SnapshotRow: _Kind(
        "statistics_snapshot",
        lambda row: f"{row.month}/{row.organization}",
        lambda row: 0,
        statistics.ALL_SNAPSHOTS,
    ),
    ObjectionRow: _Kind(
        "statistics_objection",
        lambda row: row.id,
        lambda row: int(row.state != "open"),
        statistics.ALL_OBJECTIONS,
    ),
}


class _Said(NamedTuple):
    """What one event says of one row."""

    table: str
    name: str
    step: int
    digest: bytes


_decoded = msgspec.msgpack.Decoder(list[_Said]).decode


def event(rows: Sequence[Row], services: Services) -> Draft:
    """The event that vouches for rows as they are about to stand; there must be some."""
    said = [_said(row, services) for row in rows]
    sealed = services.vault.seal_field(*_PLACE, msgspec.msgpack.encode(said))
    return Draft(
        Kind.VOUCHED, Outcome.PERMIT, "", "gateway", "", "", "", body_hash(sealed), "", sealed, {}
    )


def _said(row: Row, services: Services) -> _Said:
    kind = _KINDS[type(row)]
    text = msgspec.msgpack.encode(kind.said(row))
    digest = services.vault.digest(f"vouched-{kind.table}", text)[:16]
    return _Said(kind.table, kind.name(row), kind.step(row), digest)


def vouch(tx: Tx, rows: Sequence[Row], services: Services) -> None:
    """Append the event for rows that this transaction has just written or changed."""
    if rows:
        append(tx, services.log.filing_writer, [event(rows, services)], services.now)


# Comparing


class Contradiction(NamedTuple):
    """A row that is not as the log says; `entry` is the place of the newest event that names it."""

    table: str
    what: Literal["gone", "changed", "added"]
    entry: int | None


class _Log:
    """What the log says of rows, as far as it has been read: of each the furthest step."""

    def __init__(
        self, services: Services, only: tuple[str, str] | None = None, since: int = 0
    ) -> None:
        self._services, self._only, self._since = services, only, since
        self._until: dict[str, int] = {}
        self.newest: dict[tuple[str, str], tuple[int, int | None]] = {}  # step and entry
        self.digests: set[bytes] = set()
        self.unread = 0  # events whose body is not there any more

    async def read(self) -> None:
        """Read on from where it was left."""
        db = self._services.db
        for writer, counter, _ in await db.read(log.WRITERS):
            for after in range(self._until.get(writer, 0), counter, PAGE):
                for hash, sealed, entry in await db.read(
                    log.VOUCHED, writer, after, min(after + PAGE, counter), self._since
                ):
                    self._take(bytes(hash), sealed, entry)
            self._until[writer] = counter

    def _take(self, hash: bytes, sealed: bytes | None, entry: int | None) -> None:
        try:
            if sealed is None or body_hash(sealed) != hash:
                raise SealBroken
            said = _decoded(self._services.vault.open_field(*_PLACE, sealed))
        except (SealBroken, msgspec.MsgspecError):
            self.unread += 1
            return
        for one in said:
            key = one.table, one.name
            if self._only not in (None, key):
                continue
            if key not in self.newest or one.step >= self.newest[key][0]:
                self.newest[key] = one.step, entry
            self.digests.add(one.digest)


async def contradictions(services: Services) -> list[Contradiction]:
    """Every row that is gone, is not as it was written, or that nobody wrote.

    Holds beside others who write meanwhile: the log is read before the rows, and again after them. Takes
    some 300 bytes of memory for each row.
    """
    told = _Log(services)
    await told.read()
    lacking = dict(told.newest)
    found, doubtful = [], []
    for type_, kind in _KINDS.items():
        async for row in _all(type_, kind, services):
            one = _said(row, services)
            step, entry = lacking.pop((one.table, one.name), (-1, None))
            if one.step < step:  # put back
                found.append(Contradiction(one.table, "changed", entry))
            elif step < 0 and (one.table, one.name) in told.newest:  # there twice
                found.append(Contradiction(one.table, "added", None))
            elif one.digest not in told.digests:
                doubtful.append(one)
    found += [Contradiction(table, "gone", entry) for (table, _), (_, entry) in lacking.items()]
    if doubtful:
        await told.read()  # they may have been written while the rows were read
    for one in doubtful:
        step, entry = told.newest.get((one.table, one.name), (-1, None))
        if one.digest not in told.digests:
            found.append(Contradiction(one.table, "added" if step < 0 else "changed", entry))
    return [*found, *[Contradiction("audit_event", "gone", None)] * told.unread]


async def evidence(
    id: str, since: int, services: Services
) -> tuple[EvidenceRow | None, Literal["", "changed", "added"]]:
    """One decision's evidence and whether its row is as the log says; reads what the log says of rows
    from a day before `since` (µs UTC) on."""
    told = _Log(services, ("decision_evidence", id), since - _DAY)
    await told.read()
    found = await services.db.read(decisions.ONE, id)
    if not found:
        return None, ""
    row = EvidenceRow(*found[0])
    one = _said(row, services)
    if one.digest not in told.digests:
        await told.read()  # it may have been written since
    step, _ = told.newest.get((one.table, one.name), (-1, None))
    if one.digest in told.digests and one.step == step:
        return row, ""
    return row, "added" if step < 0 else "changed"


async def _all(type_: Any, kind: _Kind, services: Services) -> AsyncIterator[Any]:
    after = kind.first
    while page := await services.db.read(kind.page, after, PAGE):
        for values in page:
            yield type_(*values)
        after = page[-1][0]
