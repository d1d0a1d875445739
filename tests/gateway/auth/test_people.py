"""Signing in and out: what a person, an attacker and an administrator each see."""

from __future__ import annotations

import asyncio
import time

import pytest
from argon2 import PasswordHasher
from sqlmodel import update
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth import people
from gateway.errors import Kind, Problem
from gateway.services.caller import Caller
from gateway.settings import Settings
from gateway.store.tables import Account

OFFICE = Caller(client="cli", organization="county", role="it", user="office")
PASSWORD = "不告诉别人的口令-1"


@pytest.fixture
async def doctor(services):
    await open_account(services)
    return services


async def open_account(services, login="li.na", roles=("clinician",), password=PASSWORD):
    await people.open_account(
        services,
        login=login,
        name="李娜",
        organization="people",
        password=password,
        roles=roles,
        licence="110330000000000",
        by=OFFICE,
    )


async def enter(services, login="li.na", password=PASSWORD, **more):
    return await people.sign_in(services, login=login, password=password, **more)


async def refused(services, **how) -> str:
    with pytest.raises(Problem) as caught:
        await enter(services, **how)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    return caught.value.text


def browser(cookie: str, *more: str, name: str = "session") -> Request:
    lines = [f"{name}={cookie}", *more]
    return Request(
        {
            "type": "http",
            "headers": [(b"cookie", line.encode()) for line in lines],
            "client": ("10.0.0.9", 5),
        }
    )


async def session_of(request, services):
    """Who is at the browser, as the portal asks."""
    cookie = people.cookie_of(request, services.settings)
    address = request.client.host if request.client else ""
    return await people.session_at(cookie, services, address) if cookie else None


# Signing in.


async def test_a_clinician_who_signs_in_treats(doctor):
    admitted = await enter(doctor, address="10.0.0.9")
    portal = await session_of(browser(admitted.cookie), doctor)

    assert portal == admitted.portal
    who = portal.caller
    assert (who.client, who.organization, who.user) == ("portal", "people", "li.na")
    assert (who.role, who.purpose, who.name, who.address) == (
        "clinician",
        "TREAT",
        "李娜",
        "10.0.0.9",
    )


async def test_case_and_width_of_a_login_do_not_matter(doctor):
    assert await enter(doctor, login=" ＬＩ.NA ")


async def test_only_a_clinician_has_the_purpose_of_treatment(services):
    for role in ("registrar", "auditor", "it"):
        await open_account(services, login=role, roles=(role,))
        assert (await enter(services, login=role)).portal.caller.purpose == ""


async def test_a_person_with_two_roles_takes_one_at_a_time(services):
    await open_account(services, roles=("registrar", "clinician"))

    assert (await enter(services)).portal.caller.role == "clinician"
    assert (await enter(services, role="registrar")).portal.caller.role == "registrar"
    await refused(services, role="auditor")


async def test_whatever_was_wrong_the_answer_is_the_same(doctor, clock):
    await open_account(doctor, login="gone")
    await people.disable_account(doctor, "gone", by=OFFICE)
    texts = {
        await refused(doctor, password="wrong password"),
        await refused(doctor, login="nobody"),
        await refused(doctor, login="gone"),
        await refused(doctor, role="auditor"),
        await refused(doctor, login="", password=""),
        await refused(doctor, login="x" * 10_000, password="x" * 1_000_000),
    }
    assert len(texts) == 1


async def test_an_unknown_login_takes_as_long_as_a_wrong_password(doctor, monkeypatch):
    slower = PasswordHasher(time_cost=4, memory_cost=16_384, parallelism=1)
    monkeypatch.setattr(people, "_HASHER", slower)
    people._nobody.cache_clear()
    people._nobody()
    await open_account(doctor, login="slow")

    async def seconds(login: str) -> float:
        started = time.perf_counter()
        await refused(doctor, login=login, password="wrong password")
        return time.perf_counter() - started

    known = min([await seconds("slow") for _ in range(3)])
    unknown = min([await seconds("nobody") for _ in range(3)])
    people._nobody.cache_clear()
    assert known / 3 < unknown < known * 3


def test_passwords_cost_an_attacker_what_rfc_9106_asks(real_hasher):
    hashed = real_hasher.hash("x")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


# Guessing.


async def test_five_wrong_passwords_lock_for_a_minute_even_the_right_one(doctor, clock):
    for _ in range(5):
        await refused(doctor, password="wrong password")
    await refused(doctor)
    clock.forward(59)
    await refused(doctor)
    clock.forward(1)
    assert await enter(doctor)


async def test_each_further_failure_locks_twice_as_long_up_to_a_quarter_of_an_hour(doctor, clock):
    for _ in range(4):
        await refused(doctor, password="wrong password")
    for minutes in (1, 2, 4, 8, 15, 15):
        await refused(doctor, password="wrong password")
        clock.forward(minutes * 60 - 1)
        await refused(doctor)
        clock.forward(1)
    assert await enter(doctor)


async def test_signing_in_forgets_the_failures(doctor):
    for _ in range(3):
        for _ in range(4):
            await refused(doctor, password="wrong password")
        assert await enter(doctor)


async def test_guesses_sent_all_at_once_are_all_counted(doctor):
    tries = [enter(doctor, password=f"wrong password {n}") for n in range(20)]
    await asyncio.gather(*tries, return_exceptions=True)

    await refused(doctor)  # locked by now, so even the right password


# A signed-in browser.


async def gone(services, cookie) -> None:
    assert await session_of(browser(cookie), services) is None


async def test_a_browser_left_alone_for_a_quarter_of_an_hour_is_signed_out(doctor, clock):
    cookie = (await enter(doctor)).cookie
    for _ in range(3):
        clock.forward(14 * 60)
        assert await session_of(browser(cookie), doctor)
    clock.forward(15 * 60)
    await gone(doctor, cookie)


async def test_ten_hours_are_the_end_however_busy(doctor, clock):
    cookie = (await enter(doctor)).cookie
    for _ in range(59):
        clock.forward(600)
        assert await session_of(browser(cookie), doctor)
    clock.forward(600)
    await gone(doctor, cookie)


async def test_signing_out_holds_at_once(doctor):
    admitted = await enter(doctor)
    await people.sign_out(admitted.portal, doctor)
    await gone(doctor, admitted.cookie)


async def test_disabling_an_account_signs_its_owner_out(doctor):
    cookie = (await enter(doctor)).cookie
    await people.disable_account(doctor, "li.na", by=OFFICE)
    await gone(doctor, cookie)
    await refused(doctor)


async def test_taking_a_role_away_signs_its_owner_out(doctor):
    cookie = (await enter(doctor)).cookie
    await people.change_roles(doctor, "li.na", ("registrar",), by=OFFICE)
    await gone(doctor, cookie)
    assert (await enter(doctor)).portal.caller.role == "registrar"


async def test_a_session_from_before_a_change_is_nobody_even_if_its_row_is_left(doctor):
    """A restored backup, or a row written at the same moment, brings no old rights back."""
    cookie = (await enter(doctor)).cookie

    def change(session) -> None:
        session.exec(update(Account).values(epoch=Account.epoch + 1))

    await doctor.db.session(change)
    await gone(doctor, cookie)


async def test_a_cookie_planted_before_signing_in_is_worth_nothing(doctor):
    planted = (await enter(doctor)).cookie
    fresh = await enter(doctor, before=planted)

    assert fresh.cookie != planted
    await gone(doctor, planted)


async def test_invented_cookies_and_two_cookies_are_nobody(doctor):
    good = (await enter(doctor)).cookie
    for cookie in ("", "x", "a" * 43, good[:-1], good + "x", "a" * 10_000):
        await gone(doctor, cookie)
    assert await session_of(browser(good, "session=planted"), doctor) is None
    assert await session_of(browser("planted", f"other=1; session={good}"), doctor) is None


async def test_the_chart_in_hand_and_the_language_stay_with_the_session(doctor):
    first, second = await enter(doctor, language="en"), await enter(doctor)
    await people.keep(first.portal, doctor, chart="c" * 32)

    seen = await session_of(browser(first.cookie), doctor)
    assert (seen.language, seen.chart) == ("en", "c" * 32)
    other = await session_of(browser(second.cookie), doctor)
    assert (other.language, other.chart) == ("zh", "")


async def test_a_stolen_table_holds_no_cookie_no_password_and_no_name(doctor, tmp_path):
    cookie = (await enter(doctor)).cookie
    await people.keep((await enter(doctor)).portal, doctor, chart="abcdef" * 5)
    stolen = b"".join(path.read_bytes() for path in tmp_path.glob("records.sqlite*"))

    assert b"li.na" in stolen
    for secret in (cookie, PASSWORD, "李娜", "110330000000000", "abcdef" * 5):
        assert secret.encode() not in stolen


async def test_all_comings_and_goings_are_noted(doctor, noted):
    await refused(doctor, password="wrong password")
    await refused(doctor, login="nobody")
    await people.sign_out((await enter(doctor)).portal, doctor)

    assert await noted() == [
        ("role", "permit", "office", "cli"),
        ("login-failed", "deny", "li.na", "portal"),
        ("login-failed", "deny", "", "portal"),
        ("login", "permit", "li.na", "portal"),
        ("logout", "permit", "li.na", "portal"),
    ]


# Accounts.


@pytest.mark.parametrize(
    "roles",
    [(), ("surgeon",), ("auditor", "clinician"), ("auditor", "it"), ("it", "clinician")],
)
async def test_roles_that_exclude_each_other_are_not_given(services, roles):
    with pytest.raises(Problem) as caught:
        await open_account(services, roles=roles)
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
async def test_passwords_have_a_sensible_length(services, password):
    with pytest.raises(Problem):
        await open_account(services, password=password)


async def test_changing_an_account_that_is_not_there_says_so(services):
    for change in (
        people.disable_account(services, "nobody", by=OFFICE),
        people.change_roles(services, "nobody", ("it",), by=OFFICE),
    ):
        with pytest.raises(Problem) as caught:
            await change
        assert caught.value.kind is Kind.UNKNOWN


# The cookie, and requests from other sites.


def test_over_tls_the_cookie_is_bound_to_the_host():
    response = Response()
    people.set_cookie(response, "secret", Settings(behind_proxy=True))
    assert response.headers["set-cookie"].lower() == (
        "__host-session=secret; httponly; path=/; samesite=strict; secure"
    )


def test_without_tls_only_the_demo_has_a_cookie():
    response = Response()
    people.set_cookie(response, "secret", Settings(demo=True))
    assert response.headers["set-cookie"].startswith("session=secret; HttpOnly")
    with pytest.raises(Problem):
        people.set_cookie(response, "secret", Settings())


def test_signing_out_clears_the_browser():
    response = Response()
    people.clear_cookie(response, Settings(behind_proxy=True))
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert response.headers["clear-site-data"]


OURS = {"origin": "http://127.0.0.1:8080"}
CROSS = {
    "another site": {"sec-fetch-site": "cross-site", **OURS},
    "a sibling host": {"sec-fetch-site": "same-site"},
    "a typed address": {"sec-fetch-site": "none"},
    "an old browser elsewhere": {"origin": "http://evil.example"},
    "another port": {"origin": "http://127.0.0.1:8081"},
    "another scheme": {"origin": "https://127.0.0.1:8080"},
    "an opaque origin": {"origin": "null"},
    "no word at all": {},
}


@pytest.mark.parametrize("headers", CROSS.values(), ids=CROSS)
def test_forms_from_elsewhere_are_known(headers):
    assert not people.same_origin(headers, Settings())


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin", "origin": "null"}, OURS])
def test_our_own_forms_are_known(headers):
    assert people.same_origin(headers, Settings())
