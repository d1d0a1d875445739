"""The county's own accounts behind the portal: a real store, real keys, real passwords."""

from __future__ import annotations

from gateway.auth import people
from gateway.portal.local import LocalPeople
from gateway.services import Services
from gateway.services.caller import Caller
from tests.gateway.auth.conftest import Clock, clock, services

__all__ = ["clock", "services"]

PASSWORD = "云溪-only-a-test"
ADMIN = Caller(client="cli", organization="county")


async def signed_in(services: Services) -> tuple[LocalPeople, str]:
    await people.open_account(
        services,
        login="zhou",
        name="周明（演示）",
        organization="people",
        password=PASSWORD,
        roles=("clinician", "registrar"),
        by=ADMIN,
    )
    local = LocalPeople(services)
    cookie = await local.sign_in("zhou", PASSWORD, "registrar", "127.0.0.1", None)
    assert cookie is not None
    return local, cookie


async def test_a_session_has_the_chosen_role_and_keeps_what_is_in_hand(services: Services) -> None:
    local, cookie = await signed_in(services)
    session = await local.session_at(cookie, "127.0.0.1")
    assert session is not None
    assert (session.caller.role, session.caller.name, dict(session.memory)) == (
        "registrar", "周明（演示）", {},
    )  # fmt: skip

    await local.remember(session, {"asked": {"kind": "resident-id", "number": "玘"}})
    again = await local.session_at(cookie, "127.0.0.1")
    assert again is not None
    assert again.memory == {"asked": {"kind": "resident-id", "number": "玘"}}


async def test_whatever_was_wrong_nobody_is_let_in_and_nothing_is_said(services: Services) -> None:
    local, _ = await signed_in(services)
    for login, password, role in (
        ("zhou", "wrong-password", ""), ("nobody", PASSWORD, ""), ("zhou", PASSWORD, "auditor"),
    ):  # fmt: skip
        assert await local.sign_in(login, password, role, "127.0.0.1", None) is None


async def test_signing_out_and_idling_end_the_session(services: Services, clock: Clock) -> None:
    local, cookie = await signed_in(services)
    session = await local.session_at(cookie, "127.0.0.1")
    assert session is not None
    await local.sign_out(session)
    assert await local.session_at(cookie, "127.0.0.1") is None

    cookie = await local.sign_in("zhou", PASSWORD, "", "127.0.0.1", None) or ""
    clock.forward(15 * 60 + 1)
    assert await local.session_at(cookie, "127.0.0.1") is None
