"""A decision in one process and a correction of its result in another, on PostgreSQL: never neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange.decide import decide_results
from gateway.exchange.ledger import PORTAL
from gateway.services import Services
from gateway.services.log import AccessLog
from gateway.store.engine import PostgresStore
from tests.gateway.exchange.portal_county import LI, Town, town
from tests.gateway.exchange.test_portal_clinician import correct
from tests.gateway.exchange.test_proving import ACCEPT, alerts, alt
from tests.gateway.exchange.test_race import Pausing, waiting_for_a_lock

pytestmark = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


@pytest.fixture
async def here(services: Services) -> Town:
    found = await town(services, "shen")
    await found.sign("shen")
    return found


@pytest.fixture
async def other(here: Town) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(here.services.settings.database_url)
    yield store
    await store.close()


def process(here: Town, store: Any) -> Town:
    services = here.services
    log = AccessLog(store, services.vault, "other", services.now)
    return replace(here, services=replace(services, db=store, log=log))


async def test_a_decision_waits_for_a_correction_that_is_about_to_commit_and_is_refused(
    here: Town, other: PostgresStore
) -> None:
    shown, id, version = await alt(here)
    store = Pausing(other, "_file")
    correction = asyncio.create_task(correct(process(here, store)))
    await store.reached(correction)

    decision = asyncio.create_task(
        decide_results(shown.resident.chart, [(id, version)], ACCEPT, LI, here.services, PORTAL)
    )
    waited = await waiting_for_a_lock(here.services, decision)
    store.go.set()
    await correction
    with pytest.raises(Problem) as told:
        await decision

    assert waited
    assert told.value.kind is Kind.CONFLICT
    assert await alerts(here) == []


async def test_a_correction_waits_for_a_decision_that_is_about_to_commit_and_alerts(
    here: Town, other: PostgresStore
) -> None:
    shown, id, version = await alt(here)
    store = Pausing(other, "_write")
    there = process(here, store)
    decision = asyncio.create_task(
        decide_results(shown.resident.chart, [(id, version)], ACCEPT, LI, there.services, PORTAL)
    )
    await store.reached(decision)

    correction = asyncio.create_task(correct(here))
    waited = await waiting_for_a_lock(here.services, correction)
    store.go.set()
    await asyncio.gather(decision, correction)

    assert waited
    [alert] = await alerts(here)
    assert (alert.target, alert.change) == (id, "corrected")
