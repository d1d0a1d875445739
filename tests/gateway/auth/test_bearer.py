"""Access tokens at the resource doors: what ends them, and that all refusals look alike."""

from __future__ import annotations

import asyncio

import pytest
from starlette.datastructures import Headers

from gateway.auth import bearer, systems
from gateway.errors import Kind, Problem
from gateway.store import clients


@pytest.fixture
async def token(services, hospital):
    return (await systems.issue(hospital.form(hospital.assertion()), services))["access_token"]


async def refused(services, headers) -> None:
    with pytest.raises(Problem) as caught:
        await bearer.caller_of(headers, services)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.text == "A valid access token is needed."


async def test_a_token_says_who_speaks_and_how_far(services, token):
    who = await bearer.caller_of({"authorization": f"bearer {token}"}, services, "10.0.0.7")

    assert (who.client, who.organization, who.role) == ("people-his", "people", "system")
    assert who.scopes == {"system/*.rs", "system/Bundle.c"} - {"system/Bundle.c"}
    assert (who.address, who.strength) == ("10.0.0.7", 2)
    assert who.session
    assert who.session not in token


async def test_a_token_ends_after_five_minutes_and_thirty_seconds_of_grace(services, token, clock):
    headers = {"authorization": f"Bearer {token}"}
    clock.forward(329)
    await bearer.caller_of(headers, services)
    clock.forward(1)
    await refused(services, headers)


async def test_revoking_a_client_ends_its_tokens_with_the_next_request(services, token):
    headers = {"authorization": f"Bearer {token}"}
    await bearer.caller_of(headers, services)

    await services.db.do(clients.revoke, "people-his")

    await refused(services, headers)


async def test_registering_anew_ends_the_tokens_issued_before(services, token, register_client):
    await register_client(services, "people-his", "people", scopes="system/Patient.r")

    await refused(services, {"authorization": f"Bearer {token}"})


async def test_forged_and_malformed_tokens_are_all_refused_alike(services, token):
    middle = len(token) // 2
    turned = "A" if token[middle] != "A" else "B"
    other = services.vault.seal_token("page", b"not an access token")
    wrong = [
        "",
        "Bearer",
        "Bearer ",
        token,
        f"Basic {token}",
        f"Bearer {token[:middle]}{turned}{token[middle + 1 :]}",
        f"Bearer {token[:-4]}",
        f"Bearer {other}",
        f"Bearer {token} {token}",
        f"Bearer {'a' * 5_000_000}",
        "Bearer é",
    ]
    for value in wrong:
        await refused(services, {"authorization": value})
    await refused(services, {})


async def test_two_authorization_headers_are_refused(services, token):
    pair = (b"authorization", f"Bearer {token}".encode())
    await bearer.caller_of(Headers(raw=[pair]), services)
    await refused(services, Headers(raw=[pair, pair]))


async def test_many_requests_at_once_with_one_token_agree(services, token):
    headers = {"authorization": f"Bearer {token}"}
    callers = await asyncio.gather(*(bearer.caller_of(headers, services) for _ in range(50)))
    assert len(set(callers)) == 1
