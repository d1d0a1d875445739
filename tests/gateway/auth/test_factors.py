"""One-time codes: the published values, one use each, and what a step-up is worth."""

from __future__ import annotations

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from gateway.auth import factors, people
from gateway.auth.people import PortalCaller
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from tests.gateway.auth.conftest import Clock

OFFICE = Caller(client="cli", organization="county", role="operator", user="operator")
PASSWORD = "不告诉别人的口令-1"


async def opened(services: Services, login: str = "li", role: str = "clinician") -> str:
    """An account with a second factor; its secret."""
    await people.open_account(
        services, login=login, name="李娜", organization="people", password=PASSWORD,
        roles=(role,), by=OFFICE,
    )  # fmt: skip
    secret = factors.new_secret()
    await factors.enrol(services, login, secret, by=OFFICE)
    return secret


async def entered(services: Services, login: str = "li") -> tuple[str, PortalCaller]:
    admitted = await people.sign_in(services, login=login, password=PASSWORD)
    return admitted.cookie, admitted.portal


def code(services: Services, secret: str, seconds: float = 0) -> str:
    return factors.code_at(secret, services.now() + int(seconds * 1_000_000))


@pytest.mark.parametrize(
    ("seconds", "right"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1234567890, "89005924"),
        (20000000000, "65353130"),
    ],
)
def test_the_published_values(seconds: int, right: str) -> None:
    """RFC 6238 appendix B, SHA-1; ours are its last six digits."""
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert factors.code_at(secret, seconds * 1_000_000) == right[-6:]
    whole = TOTP(b"12345678901234567890", 8, SHA1(), 30)
    assert whole.generate(seconds).decode() == right


async def test_a_step_up_is_strong_for_five_minutes_under_a_new_cookie(
    services: Services, clock: Clock
) -> None:
    secret = await opened(services)
    cookie, portal = await entered(services)
    await people.keep(portal, services, chart='{"asked":"玘"}')
    portal = await people.session_at(cookie, services)
    assert portal is not None
    assert portal.caller.strength == 1

    admitted = await factors.step_up(services, portal, code(services, secret))

    assert admitted is not None
    assert await people.session_at(cookie, services) is None, "the old cookie is worth nothing"
    now = await people.session_at(admitted.cookie, services)
    assert now is not None
    assert (now.caller.strength, now.chart, now.csrf) == (2, '{"asked":"玘"}', portal.csrf)
    await people.keep(now, services, chart="{}")
    clock.forward(5 * 60 - 1)
    still = await people.session_at(admitted.cookie, services)
    assert still is not None
    assert still.caller.strength == 2, "keeping something in hand does not end it"
    clock.forward(1)
    over = await people.session_at(admitted.cookie, services)
    assert over is not None
    assert over.caller.strength == 1


async def test_no_code_counts_twice_and_only_the_next_ones_do(
    services: Services, clock: Clock
) -> None:
    secret = await opened(services)
    assert not await factors.shown(services, "li", code(services, secret, -60))
    assert await factors.shown(services, "li", code(services, secret, -30)), "a step late"
    assert not await factors.shown(services, "li", code(services, secret, -30))
    assert await factors.shown(services, "LI ", code(services, secret, 30)), "a step early"
    assert not await factors.shown(services, "li", code(services, secret)), "older than one used"
    assert not await factors.shown(services, "li", code(services, secret, 60))
    clock.forward(60)
    found = await asyncio.gather(
        *(factors.shown(services, "li", code(services, secret)) for _ in range(2))
    )
    assert sorted(found) == [False, True], "of two at once one wins"


async def test_guessing_locks_even_the_right_code(services: Services, clock: Clock) -> None:
    secret = await opened(services)
    for wrong in ("", "12345", "abcdef", "１２３４５６", "0000000"):
        assert not await factors.shown(services, "li", wrong)
    assert not await factors.shown(services, "li", code(services, secret))
    clock.forward(61)
    assert await factors.shown(services, "li", code(services, secret))


async def test_without_one_nothing_is_strong(services: Services) -> None:
    secret = await opened(services)
    _, portal = await entered(services)
    await factors.reset(services, "li", by=OFFICE)
    assert await factors.step_up(services, portal, code(services, secret)) is None
    with pytest.raises(Problem) as caught:
        await factors.reset(services, "li", by=OFFICE)
    assert caught.value.kind is Kind.UNKNOWN
    with pytest.raises(Problem):
        await factors.enrol(services, "nobody", secret, by=OFFICE)


async def test_ones_own_is_taken_by_password_and_code_and_never_replaced(
    services: Services, clock: Clock
) -> None:
    await opened(services)
    _, portal = await entered(services)
    new = factors.new_secret()
    with pytest.raises(Problem) as caught:
        await factors.enrol_own(services, portal, new, PASSWORD, code(services, new))
    assert caught.value.kind is Kind.REFUSED
    await factors.reset(services, "li", by=OFFICE)
    assert not await factors.enrol_own(services, portal, new, "wrong-one", code(services, new))
    assert not await factors.enrol_own(services, portal, new, PASSWORD, "000000")
    assert await factors.enrol_own(services, portal, new, PASSWORD, code(services, new))
    assert not await factors.shown(services, "li", code(services, new)), "that code is used up"
    clock.forward(30)
    assert await factors.shown(services, "li", code(services, new))


async def test_another_vouches_with_everything_or_not_at_all(
    services: Services, clock: Clock
) -> None:
    secret = await opened(services)
    clerk = await opened(services, "clerk", "registrar")

    async def vouch(login: str, password: str, typed: str) -> Caller | None:
        return await factors.vouch(services, login, password, typed, "clinician", "10.0.0.9")

    assert await vouch("li", "wrong", code(services, secret)) is None
    assert await vouch("li", PASSWORD, "000000") is None
    assert await vouch("clerk", PASSWORD, code(services, clerk)) is None, "another role"
    assert await vouch("nobody", PASSWORD, code(services, secret)) is None
    good = await vouch("Li", PASSWORD, code(services, secret))
    assert good is not None
    assert (good.user, good.strength, good.organization, good.name) == ("li", 2, "people", "李娜")
    assert await vouch("li", PASSWORD, code(services, secret)) is None, "a code is worth one"
    clock.forward(30)
    await people.disable_account(services, "li", by=OFFICE)
    assert await vouch("li", PASSWORD, code(services, secret)) is None
