"""The worker: files kept messages, reads some again, orders events, merges segments; stops cleanly."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import Problem
from gateway.exchange import (
    changes_told,
    filing,
    frozen,
    label_runs,
    prompting,
    pulling,
    replays,
    scanning,
    telling,
    upkeep,
    write_back,
)
from gateway.exchange.sequence import sequence
from gateway.services import Services
from gateway.store import inbox

log = structlog.get_logger(__name__)

LEASE = 10_000_000  # what a dead worker had in hand waits this long; done twice is done once
BATCH = 16
IDLE = 0.2
SEQUENCE_EVERY = 0.5
UPKEEP_EVERY = 30.0
PULL_EVERY = 5.0
QUALITY_EVERY = 60.0
TELL_EVERY = 2.0
REPLAY_EVERY = 0.05  # between two steps of a replay: a few hundred messages a second at most
POLICY_EVERY = 1.0
FREEZE_EVERY = 3_600.0
LABEL_EVERY = 0.05  # between two batches of charts that are labelled again
ATTEMPTS = 6


class Worker:
    """Runs until `stop`; several may run on one PostgreSQL database."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = asyncio.Event()
        self._holder = secrets.token_hex(8)

    def stop(self) -> None:
        """Finish what is in hand and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped."""
        await asyncio.gather(
            self._every(0.0, self.file_some),
            self._every(SEQUENCE_EVERY, self.sequence_some),
            self._every(UPKEEP_EVERY, self.keep_up),
            self._every(PULL_EVERY, self.pull_some),
            self._every(QUALITY_EVERY, self.look_at_quality),
            self._every(REPLAY_EVERY, self.replay_some),
            self.watch(),
            self._every(LABEL_EVERY, self.label_some),
            self._every(TELL_EVERY, self.tell_some),
            self._every(TELL_EVERY, self.write_back_some),
            self._every(FREEZE_EVERY, self.freeze_month),
        )

    async def freeze_month(self) -> int:
        """Freeze last month's figures once they are due; never more to do."""
        return await frozen.freeze_due(self._services)

    async def watch(self) -> None:
        """Follow the policy in force until stopped: a decision reads it anew, but not everything
        that goes by it is a decision."""
        await self._every(POLICY_EVERY, self.look_at_policy)

    async def look_at_policy(self) -> int:
        """Take up the policy and the catalogue in force; never more to do."""
        await self._services.policies.current()
        await self._services.catalogues.current()
        return 0

    async def _every(self, pause: float, work: Callable[[], Awaitable[int]]) -> None:
        while not self._stopping.is_set():
            try:
                done = await work()
            except Problem as problem:
                log.warning("waiting", work=work.__name__, kind=problem.kind.name)
                done = 0
            except Exception as fault:
                log.error("unforeseen", work=work.__name__, kind=type(fault).__name__)
                done = 0
            wait = pause if done and pause else 0 if done else max(pause, IDLE)
            if wait:
                try:
                    await asyncio.wait_for(self._stopping.wait(), wait)
                except TimeoutError:
                    continue
            else:
                await asyncio.sleep(0)

    async def file_some(self) -> int:
        """File due messages; returns how many were tried."""
        now = self._services.now()
        jobs = await self._services.db.do(inbox.lease_jobs, "file", now, now + LEASE, BATCH)
        # Together: their commits are shared, and the order is the business clock's, not theirs.
        await asyncio.gather(*(self._file(key, attempts) for key, attempts in jobs))
        for key, _ in await self._services.db.do(
            inbox.lease_jobs, "dispute", now, now + LEASE, BATCH
        ):
            await upkeep.mark_disputed(key, self._services)
        return len(jobs)

    async def _file(self, id: str, attempts: int) -> None:
        try:
            await filing.file_message(id, self._services)
        except Problem as problem:
            log.warning("put off", inbox=id, kind=problem.kind.name, attempts=attempts)
            await upkeep.put_off(id, attempts, self._services)
        except Exception as fault:
            # A fault of ours must neither lose the message nor stop the line behind it.
            log.error("filing failed", inbox=id, kind=type(fault).__name__, attempts=attempts)
            if attempts >= ATTEMPTS:
                await upkeep.set_aside(id, self._services)
            else:
                await upkeep.put_off(id, attempts, self._services)

    async def sequence_some(self) -> int:
        """Give waiting events their place."""
        return await sequence(self._services, self._holder)

    async def keep_up(self) -> int:
        """Merge scattered segments; let go of cards whose time is over."""
        await prompting.forget(self._services)
        return await upkeep.merge_segments(self._services)

    async def look_at_quality(self) -> int:
        """Scan the sources whose night it is."""
        return await scanning.tonight(self._services)

    async def replay_some(self) -> int:
        """Take a replay a step further, when no message waits; returns how many were read again."""
        return await replays.work(self._holder, self._services)

    async def label_some(self) -> int:
        """Label some charts again, when no message waits; returns how many."""
        return await label_runs.work(self._holder, self._services)

    async def tell_some(self) -> int:
        """Tell residents what they must be told; returns how many messages were taken."""
        return await telling.send_due(self._services)

    async def write_back_some(self) -> int:
        """Tell hospitals' systems what their doctors decided and what has changed since; returns how
        many alerts were put into words and messages taken."""
        told = await changes_told.file_due(self._services)
        return told + await write_back.send_due(self._services)

    async def pull_some(self) -> int:
        """Read the databases' views whose time has come."""
        return await pulling.pull_due(self._services, self._holder)

    async def drain(self) -> None:
        """File everything that is due, then sequence: for commands and tests."""
        while await self.file_some():
            pass
        while await self.sequence_some():
            pass
