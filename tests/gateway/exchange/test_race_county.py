"""Two processes decide for the county at the same moment, on PostgreSQL: one wins, the other is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import catalogues, entitlements, frozen
from gateway.exchange.verification import verify_log
from gateway.recognition.catalogue.register import Act, Terms
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.settings import Settings
from tests.gateway.attacks.test_vouched import last_month
from tests.gateway.exchange.test_catalogues import ALT, SHEN, XU, officer, with_days
from tests.gateway.exchange.test_race import Pausing, waiting_for_a_lock
from tests.gateway.exchange.test_statistics import decided, keep

pytestmark = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
LIN = officer("c-lin")
Deed = Callable[[Services], Awaitable[Any]]


@pytest.fixture
async def other(services: Services, settings: Settings) -> AsyncIterator[Services]:
    """Another process of the same county, with connections of its own."""
    opened = await open_services(settings)
    yield opened
    await opened.close()


async def approved(days: int, services: Services) -> int:
    number = await catalogues.draft(with_days(services, days), "the committee", XU, services)
    row = await catalogues.named(number, services)
    await catalogues.approve(number, "right", SHEN, services, seen=row.hash)
    return number


async def two_versions(services: Services) -> tuple[str, Deed, Deed]:
    numbers = [await approved(days, services) for days in (5, 6)]
    one, two = [
        lambda process, number=number: catalogues.publish(number, 0, XU, process)
        for number in numbers
    ]
    return "_publish", one, two


async def one_version(services: Services) -> tuple[str, Deed, Deed]:
    number = await approved(5, services)
    return (
        "_publish",
        lambda process: catalogues.publish(number, 0, XU, process),
        lambda process: catalogues.publish(number, 0, SHEN, process),
    )


async def two_approvals(services: Services) -> tuple[str, Deed, Deed]:
    number = await catalogues.draft(with_days(services, 5), "the committee", XU, services)
    row = await catalogues.named(number, services)

    def by(who: Caller) -> Deed:
        return lambda process: catalogues.approve(number, "right", who, process, seen=row.hash)

    return "_approve", by(SHEN), by(LIN)


async def two_steps(services: Services) -> tuple[str, Deed, Deed]:
    held = services.catalogue.entitled[0]

    def step(what: Act, who: Caller) -> Deed:
        return lambda process: entitlements.act(what, held.number, "a recall", who, process)

    return "_steps", step(Act.SUSPENDED, XU), step(Act.REVOKED, SHEN)


async def two_grants(services: Services) -> tuple[str, Deed, Deed]:
    scope = services.catalogue.entitled[0].scope
    terms = Terms(services.now(), item=ALT, scope=scope, basis="a list", evidence="its page 1")
    one, two = [
        lambda process, who=who: entitlements.grant("mch", terms, "listed", who, process)
        for who in (XU, SHEN)
    ]
    return "_steps", one, two


async def two_freezes(services: Services) -> tuple[str, Deed, Deed]:
    month, start = last_month(services)
    await keep(decided(1, start + 3_600_000_000), services)
    one, two = [lambda process, who=who: frozen.freeze(month, who, process) for who in (XU, SHEN)]
    return "_keep", one, two


@pytest.mark.parametrize(
    "prepared",
    [
        two_versions,
        one_version,
        two_approvals,
        two_steps,
        two_grants,
        two_freezes,
    ],
)
async def test_of_two_at_once_one_wins_and_the_other_is_told(
    services: Services, other: Services, prepared: Callable[[Services], Awaitable[Any]]
) -> None:
    work, first, second = await prepared(services)
    await other.catalogues.current()
    before = services.catalogues.number, services.catalogues.event
    store = Pausing(other.db, work)  # type: ignore[arg-type]
    one = asyncio.create_task(first(replace(other, db=store)))
    await store.reached(one)
    two = asyncio.create_task(second(services))
    assert await waiting_for_a_lock(services, two), "the second waits for the first one's commit"
    store.go.set()

    answers = await asyncio.gather(one, two, return_exceptions=True)

    assert not isinstance(answers[0], BaseException), answers
    assert isinstance(answers[1], Problem)
    assert answers[1].kind is Kind.CONFLICT
    assert (await services.catalogues.line()).findings == ()
    assert (await services.catalogues.register()).findings == ()
    await services.catalogues.current()
    after = services.catalogues.number, services.catalogues.event
    assert sum(after) - sum(before) == (work in {"_publish", "_steps"}), "decided once"
    assert (await verify_log(services)).ok
