"""What must have a single winner has one on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.auth import bearer, people, systems
from gateway.errors import Problem
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.settings import Settings
from gateway.store import clients

OFFICE = Caller(client="cli", organization="county", role="it", user="office")


@pytest.fixture
async def services(settings: Settings, clock: Any) -> AsyncIterator[Services]:
    opened = await open_services(settings)
    yield replace(opened, now=clock)
    await opened.close()


async def test_an_assertion_is_spent_once(services, hospital):
    fields = hospital.form(hospital.assertion())

    told = await asyncio.gather(
        *(systems.issue(fields, services) for _ in range(8)), return_exceptions=True
    )

    won = [one for one in told if isinstance(one, dict)]
    lost = [one for one in told if isinstance(one, systems.Refusal)]
    assert (len(won), len(lost)) == (1, 7)


async def test_spent_assertions_are_forgotten_when_they_have_expired(services):
    def spend(at: int) -> Any:
        return services.db.session(clients.spend, b"tag", at + 10, at)

    assert await spend(100)
    assert not await spend(105)
    assert await spend(111)


async def test_a_person_signs_in_and_is_signed_out_by_disabling(services):
    await people.open_account(
        services,
        login="wang",
        name="王珅",
        organization="people",
        password="correct horse battery",
        roles=("registrar", "clinician"),
        by=OFFICE,
    )
    with pytest.raises(Problem):
        await people.sign_in(services, login="wang", password="wrong horse battery")
    admitted = await people.sign_in(services, login="wang", password="correct horse battery")
    assert await people.session_at(admitted.cookie, services) == admitted.portal
    await people.keep(admitted.portal, services, language="en")

    await people.disable_account(services, "wang", by=OFFICE)

    assert await people.session_at(admitted.cookie, services) is None


async def test_guesses_sent_at_once_are_counted_one_by_one(services):
    await people.open_account(
        services,
        login="wang",
        name="王珅",
        organization="people",
        password="correct horse battery",
        roles=("clinician",),
        by=OFFICE,
    )
    guesses = [
        people.sign_in(services, login="wang", password=f"guess {n} of ten") for n in range(6)
    ]
    assert all(
        isinstance(one, Problem) for one in await asyncio.gather(*guesses, return_exceptions=True)
    )
    with pytest.raises(Problem):
        await people.sign_in(services, login="wang", password="correct horse battery")


async def test_revoking_ends_tokens(services, hospital):
    told = await systems.issue(hospital.form(hospital.assertion()), services)
    headers = {"authorization": f"Bearer {told['access_token']}"}
    assert (await bearer.caller_of(headers, services)).client == "people-his"

    await services.db.do(clients.revoke, "people-his")

    with pytest.raises(Problem):
        await bearer.caller_of(headers, services)
