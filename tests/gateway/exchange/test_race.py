"""A withdrawal in one process and an answer in another, on PostgreSQL: whoever commits first counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy.util.concurrency import await_only

from gateway.exchange import ask, consents, residents
from gateway.identity.systems import RESIDENT_ID
from gateway.services import Services
from gateway.services.log import AccessLog
from gateway.store.engine import PostgresStore, Tx
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person

pytestmark = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
SHEN = person()
LI = clinician("dr-li", "tcm")


class Pausing:
    """Another process's store: a named piece of work is done, and its commit waits."""

    def __init__(self, store: PostgresStore, name: str) -> None:
        self.store, self.name = store, name
        self.done, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def reached(self, task: asyncio.Task[Any]) -> None:
        """The task has done that work; one that ends without it fails here, rather than never."""
        reached = asyncio.create_task(self.done.wait())
        await asyncio.wait({reached, task}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        assert self.done.is_set(), f"{self.name} was never called"

    async def do(self, work: Any, *given: Any) -> Any:
        def held(tx: Tx, *given: Any) -> Any:
            answer = work(tx, *given)
            self.done.set()
            await_only(self.go.wait())
            return answer

        return await self.store.do(held if work.__name__ == self.name else work, *given)


@pytest.fixture
async def shared(house: House) -> House:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, LI, house.services, claim="急诊抢救室接诊"
    )
    return house


@pytest.fixture
async def other(shared: House) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(shared.services.settings.database_url)
    yield store
    await store.close()


def process(house: House, store: Any) -> Any:
    log = AccessLog(store, house.services.vault, "other", house.clock)
    return replace(house.services, db=store, log=log)


async def waiting_for_a_lock(services: Services, task: asyncio.Task[Any]) -> bool:
    """True once a connection waits for another's row; False when the task ends without."""
    db = await asyncpg.connect(services.settings.database_url)
    try:
        while not task.done():
            if await db.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                return True
            await asyncio.sleep(0.01)
        return False
    finally:
        await db.close()


async def test_an_answer_waits_for_a_withdrawal_that_is_about_to_commit_and_is_decided_anew(
    shared: House, other: PostgresStore
) -> None:
    form = await shared.sign()
    assert (await shared.search("Observation", LI)).total > 0
    store = Pausing(other, "_write")
    withdrawal = asyncio.create_task(consents.withdraw(form.id, REGISTRAR, process(shared, store)))
    await store.reached(withdrawal)

    asked = asyncio.create_task(ask.search(shared.query("Observation"), LI, shared.services))
    waited = await waiting_for_a_lock(shared.services, asked)
    store.go.set()
    page, _ = await asyncio.gather(asked, withdrawal)

    assert waited
    assert (page.total, page.records) == (0, ())


async def test_a_withdrawal_waits_for_an_answer_whose_event_is_about_to_commit(
    shared: House, other: PostgresStore
) -> None:
    form = await shared.sign()
    store = Pausing(other, "_append_fresh")
    asked = asyncio.create_task(ask.search(shared.query("Observation"), LI, process(shared, store)))
    await store.reached(asked)

    withdrawal = asyncio.create_task(consents.withdraw(form.id, REGISTRAR, shared.services))
    assert await waiting_for_a_lock(shared.services, withdrawal)
    store.go.set()
    page, _ = await asyncio.gather(asked, withdrawal)

    assert page.total > 0
    assert (await shared.search("Observation", LI)).total == 0
