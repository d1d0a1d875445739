"""The access log as stories use it: an event is durable before the call returns.

Waiting events share one commit. In that same transaction the epochs of the charts they touch and the
number of the policy in force are read again: an event about a chart that changed meanwhile, or
decided under a policy that is not in force any more, is not written, and whoever waits must decide
anew. Both are held from that reading to our own commit: a withdrawal commits before it, and is seen,
or after it, and the answer was given before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gateway.audit.events import Body, Kind, Outcome, body_hash, encode_body
from gateway.records.instant import moment
from gateway.services.caller import Caller
from gateway.store import charts as chart_rows
from gateway.store import log as rows
from gateway.store.engine import Store, Tx
from gateway.vault import AuditKey, Grant, KeyMissing, Shredded, Tier, Vault

_EVERY_TIER = frozenset(Tier)


class Leaf(NamedTuple):
    """The durable event behind an answer: which writer, and its how-manyth."""

    writer: str
    counter: int


class Moved(Exception):
    """A chart or the policy changed while the answer was made; decide again."""


class Draft(NamedTuple):
    """An event without its counter; everything else is settled, the body sealed."""

    kind: Kind
    outcome: Outcome
    actor: str
    client: str
    organization: str
    purpose: str
    charts: str
    body_hash: bytes
    body_owner: str
    sealed: bytes
    epochs: Mapping[str, int]


def append(tx: Tx, writer: str, drafts: Sequence[Draft], now: Callable[[], int]) -> int:
    """Write the drafts under the writer's next counters; returns the last one.

    The time is read while the writer's row is held, so that a writer's times never go back.
    """
    row = tx.one(rows.COUNT_ON, writer, len(drafts))
    if row is None:
        tx.run(rows.ADD_WRITER, writer)
        row = tx.one(rows.COUNT_ON, writer, len(drafts))
    if row is None:
        raise LookupError("the writer's row is gone")
    last = int(row[0])
    first = last - len(drafts) + 1
    at = now()
    tx.many(
        rows.ADD_EVENT,
        [(writer, first + place, at, *draft[:-1]) for place, draft in enumerate(drafts)],
    )
    return last


def _append_fresh(
    tx: Tx, writer: str, drafts: Sequence[Draft], now: Callable[[], int]
) -> list[int]:
    """Counter of each draft, 0 where a chart's epoch moved."""
    charts = list({chart for draft in drafts for chart in draft.epochs})
    known: dict[str, int] = dict(tx.all(chart_rows.STOOD_ON, charts)) if charts else {}
    fresh = [all(known.get(c) == e for c, e in draft.epochs.items()) for draft in drafts]
    good = [draft for draft, ok in zip(drafts, fresh, strict=True) if ok]
    if not good:
        return [0] * len(drafts)
    counter = append(tx, writer, good, now) - len(good)
    answers = []
    for ok in fresh:
        counter += ok
        answers.append(counter if ok else 0)
    return answers


class AccessLog:
    """Writes events of one process group to the store."""

    def __init__(self, db: Store, vault: Vault, node: str, now: Callable[[], int]) -> None:
        self._db = db
        self.now = now
        self._vault = vault
        self.writer = f"{node}.ask"
        self.filing_writer = f"{node}.file"
        self.ledger_writer = f"{node}.ledger"  # waits for nobody who files
        self._waiting: list[tuple[Draft, asyncio.Future[int]]] = []
        self._busy = False
        self._tags: dict[str, str] = {}

    def tag(self, chart: str) -> str:
        """How the log names a chart: a keyed hash, in hex."""
        known: str | None = self._tags.get(chart)
        if known is None:
            if len(self._tags) > 100_000:
                self._tags.clear()
            known = self._vault.digest("audit-chart", chart.encode())[:16].hex()
            self._tags[chart] = known
        return known

    async def draft(
        self,
        kind: Kind,
        outcome: Outcome,
        caller: Caller,
        at: int,
        body: Body,
        charts: Sequence[str] = (),
        epochs: Mapping[str, int] | None = None,
    ) -> Draft:
        """An event ready to append; its body is sealed under the first chart's key of the year."""
        owner = charts[0] if charts else ""
        grant = Grant("job", body.request or "audit", _EVERY_TIER)
        try:
            owner, seal = await self._seal(grant, owner, at)
        except Shredded:  # of a destroyed chart the county keeps who asked
            owner, seal = await self._seal(grant, "", at)
        sealed = seal.seal(encode_body(body), b"audit-body")
        return Draft(
            kind,
            outcome,
            caller.user,
            caller.client,
            caller.organization,
            caller.purpose,
            " ".join(map(self.tag, charts)),
            body_hash(sealed),
            owner,
            sealed,
            epochs or {},
        )

    async def _seal(self, grant: Grant, owner: str, at: int) -> tuple[str, AuditKey]:
        want = (owner, moment(at).year)
        try:
            seals = await self._vault.audit_seals(grant, [want])
        except KeyMissing:
            await self._vault.ensure((), [want])
            seals = await self._vault.audit_seals(grant, [want])
        return owner, seals[want]

    async def write(self, draft: Draft) -> Leaf:
        """Make it durable, together with whatever else waits; Moved when a chart changed."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, future))
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._start)
        counter = await future
        if counter == 0:
            raise Moved
        return Leaf(self.writer, counter)

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._commit())

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                counters = await self._db.do(
                    _append_fresh, self.writer, [d for d, _ in batch], self.now
                )
            except Exception as fault:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(fault)
                continue
            for (_, future), counter in zip(batch, counters, strict=True):
                if not future.done():
                    future.set_result(counter)
        self._busy = False

    async def note(
        self,
        kind: Kind,
        outcome: Outcome,
        caller: Caller,
        at: int,
        body: Body,
        charts: Sequence[str] = (),
    ) -> Leaf:
        """Draft and write an event that no answer's decision hangs on."""
        return await self.write(await self.draft(kind, outcome, caller, at, body, charts))
