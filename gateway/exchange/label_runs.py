"""Works through the charts that are labelled under older rules: a run with its progress, live traffic first.

Which charts are left is in their own rows, so a run goes on after any interruption, and what a look-up
labelled meanwhile counts as done. Several processes may call `work`; one at a time holds the lease.
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

import msgspec
import structlog

from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange.relabelling import WORKER, relabel
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import append
from gateway.store import labels as statements
from gateway.store import log as log_rows
from gateway.store import maps as map_rows
from gateway.store.engine import Tx
from gateway.store.labels import RunRow

log = structlog.get_logger(__name__)

BATCH: Final = 16
LEASE: Final = 60_000_000  # µs; a process that died lets go after it
_LEASE_NAME: Final = "labels"
_failed: dict[str, int] = {}  # charts that could not be labelled, and when they are tried again
AGAIN: Final = 600_000_000


class Progress(NamedTuple):
    """How far labelling is: what is in force, charts left, and the runs, newest first."""

    rules: str
    lists: str
    policy: str
    left: int
    runs: tuple[RunRow, ...]


async def progress(services: Services, most: int = 20) -> Progress:
    """What a steward sees: versions and counts, never a patient."""
    return Progress(
        services.rules,
        services.labels.version[:12],
        f"{services.policy.name}/{services.policy.version[:12]}",
        await left(services),
        tuple(RunRow(*row) for row in await services.db.read(statements.RUNS, most)),
    )


async def left(services: Services) -> int:
    """How many charts are labelled under other rules than those in force."""
    rules = services.rules
    [(one,)] = await services.db.read(statements.COUNT_BEFORE, rules)
    [(two,)] = await services.db.read(statements.COUNT_BEYOND, rules)
    return int(one) + int(two)


def counts(run: RunRow) -> dict[str, int]:
    """Records by label, of the charts the run has done."""
    found = msgspec.json.decode(run.report or "{}", type=dict[str, int])
    return dict(sorted(found.items()))


async def work(holder: str, services: Services, *, patient: bool = True) -> int:
    """Label some charts again; how many were. While messages wait to be filed (`patient`): none.

    A run is begun when the rules are others than those of the newest one, and ended when no chart
    is left.
    """
    now = services.now()
    await services.policies.current()
    found = await _next(services)
    run = await newest(services)
    if run is not None and run.rules == services.rules and run.state == "done" and not found:
        return 0
    if patient:
        [(line,)] = await services.db.read(map_rows.LINE, now)
        if line:
            return 0
    if not await services.db.do(_lease, holder, now):
        return 0
    if run is None or run.rules != services.rules:
        await begin(WORKER, services)
    elif run.state == "running" and not found and not _failed:
        await services.db.do(_finish, run.id, services)
    for chart in found:
        try:
            await relabel(chart, services)
        except Exception as fault:
            # A chart we fail on stays hidden, and must not stop those behind it.
            log.error("labelling failed", kind=type(fault).__name__)
            _failed[chart] = now + AGAIN
        else:
            _failed.pop(chart, None)
    return len(found)


async def _next(services: Services) -> list[str]:
    rules, now = services.rules, services.now()
    put_off = {chart for chart, due in _failed.items() if due > now}
    found: list[str] = []
    for statement in (statements.BEFORE, statements.BEYOND):
        if len(found) < BATCH:
            rows = await services.db.read(statement, rules, BATCH + len(put_off))
            found += [chart for (chart,) in rows if chart not in put_off]
    return found[:BATCH]


async def newest(services: Services) -> RunRow | None:
    """The newest run, if there ever was one."""
    found = await services.db.read(statements.NEWEST_RUN)
    return RunRow(*found[0]) if found else None


async def begin(by: Caller, services: Services) -> int:
    """Begin a run under the rules in force, and note who did; its number. Runs before it are over."""
    total, at = await left(services), services.now()
    body = Body(
        request=secrets.token_hex(8),
        policies={"labels": services.rules, "consent": services.policy.version},
        details={"labels": "run", "charts": str(total)},
    ).asked_by(by)
    draft = await services.log.draft(Kind.CONFIG, Outcome.PERMIT, by, at, body)
    rules, policy = services.rules, services.policy.version[:12]

    def add(tx: Tx) -> int:
        before = tx.one(statements.NEWEST_RUN)
        if before is not None and RunRow(*before).rules == rules:
            return RunRow(*before).id  # another process has begun it
        append(tx, services.log.filing_writer, [draft], services.now)
        if before is not None:
            tx.run(statements.FINISH, RunRow(*before).id, at)
        made = tx.one(
            statements.ADD_RUN,
            rules, policy, "running", by.user, at, total, 0, 0, 0, 0, "", 0,
        )  # fmt: skip
        if made is None:
            raise LookupError("the run was not kept")
        return int(made[0])

    return await services.db.do(add)


def _lease(tx: Tx, holder: str, now: int) -> bool:
    tx.run(log_rows.ADD_LEASE, _LEASE_NAME)
    return tx.one(log_rows.TAKE_LEASE, _LEASE_NAME, holder, now, now + LEASE) is not None


def _finish(tx: Tx, id: int, services: Services) -> None:
    tx.run(statements.FINISH, id, services.now())
