"""Keys of a hospital's own clients: exchanged with overlap and no failed call, ended, revoked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from sqlmodel import Session
from starlette.applications import Starlette

from gateway.auth import client_keys, registry, systems
from gateway.auth.client_keys import own
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.store import clients
from tests.gateway.auth.conftest import EC, RSA

SECOND = 1_000_000


def it(organization: str) -> Caller:
    return Caller("portal", organization, "it", user="li", name="李")


@pytest.fixture
async def door(services):
    app = Starlette(routes=systems.routes(services))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


def public(key: Any, kid: str, **more: Any) -> str:
    return json.dumps(key.as_dict(private=False) | {"kid": kid} | more)


async def call(door, hospital, key: Any = EC) -> int:
    answer = await door.post("/auth/token", data=hospital.form(hospital.assertion(key=key)))
    return int(answer.status_code)


async def six_more(answers: list[int], load: list[asyncio.Task[None]]) -> None:
    """Wait until six calls more were answered; one that fails is raised."""
    done = len(answers)
    while len(answers) < done + 6:
        for one in load:
            if one.done():
                one.result()
        await asyncio.sleep(0.01)


async def test_keys_are_exchanged_under_load_and_no_call_fails(door, services, hospital, noted):
    here = it("people")
    [before] = [one for one in await own(here, services) if one.id == hospital.id]
    old, new = {one.kid for one in before.keys}, ECKey.generate_key("P-384", {"kid": "second"})
    held = [EC]
    answers: list[int] = []
    over = asyncio.Event()

    async def calls() -> None:
        while not over.is_set():
            answers.append(await call(door, hospital, held[0]))

    load = [asyncio.create_task(calls()) for _ in range(3)]
    await asyncio.sleep(0)
    await client_keys.add_key(hospital.id, public(new, "second"), 0, here, services)
    await six_more(answers, load)
    held[0] = new
    await six_more(answers, load)  # those under way with the old key are through
    for kid in old:
        await client_keys.drop_key(hospital.id, kid, False, here, services)
    await six_more(answers, load)
    over.set()
    await asyncio.gather(*load)

    assert set(answers) == {200}
    [after] = [one for one in await own(here, services) if one.id == hospital.id]
    assert [one.kid for one in after.keys] == ["second"]
    assert (after.keys[0].added, after.used > 0) == (services.now() // SECOND * SECOND, True)
    assert [row[0] for row in await noted()].count("client") == 1 + len(old)


async def test_a_key_counts_until_its_end_and_the_log_says_which_check_refused(
    door, services, hospital, clock
):
    here = it("people")
    new = ECKey.generate_key("P-384", {"kid": "brief"})
    ends = services.now() + 3_600 * SECOND
    await client_keys.add_key(hospital.id, public(new, "brief"), ends, here, services)
    assert await call(door, hospital, new) == 200
    clock.forward(3_601)
    checks: list[str] = []
    kept = systems.note_refusal

    async def note(refusal: systems.Refusal, *given: Any) -> None:
        checks.append(refusal.check)
        await kept(refusal, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems, "note_refusal", note)
        assert await call(door, hospital, new) >= 400
        await client_keys.revoke(hospital.id, "合同到期", here, services)
        assert await call(door, hospital, new) >= 400
    assert checks == ["key expired", "client revoked"]
    [told] = [one for one in await own(here, services) if one.id == hospital.id]
    assert (told.active, told.refused) == (False, services.now())
    assert {one.kid: one.ends for one in told.keys}["brief"] == ends // SECOND * SECOND


async def test_dropping_may_end_the_tokens_at_once_and_adding_never_does(services, hospital):
    here = it("people")

    async def epoch() -> int:
        found = await services.db.session(clients.find, hospital.id)
        return int(found.epoch)

    before = await epoch()
    await client_keys.add_key(
        hospital.id, public(ECKey.generate_key("P-384"), "b"), 0, here, services
    )
    await client_keys.add_key(
        hospital.id, public(ECKey.generate_key("P-384"), "c"), 0, here, services
    )
    await client_keys.drop_key(hospital.id, "b", False, here, services)
    assert await epoch() == before
    await client_keys.drop_key(hospital.id, "c", True, here, services)
    assert await epoch() == before + 1


async def test_what_cannot_be_a_key_or_is_anothers_is_refused(services, hospital):
    here = it("people")
    good = ECKey.generate_key("P-384")
    wrong = (
        ("", 0, Kind.MALFORMED),
        ("<script>", 0, Kind.MALFORMED),
        (json.dumps(good.as_dict(private=True) | {"kid": "x"}), 0, Kind.MALFORMED),
        (public(ECKey.generate_key("P-256"), "x"), 0, Kind.MALFORMED),
        (public(good, "x", exp="tomorrow"), 0, Kind.MALFORMED),
        (public(good, "x", exp=10**30), 0, Kind.MALFORMED),
        (public(good, "x" * 201), 0, Kind.MALFORMED),
        (public(good, "x\u0000y"), 0, Kind.MALFORMED),
        (public(good, "x"), services.now(), Kind.MALFORMED),
        (public(good, EC.kid), 0, Kind.CONFLICT),
    )
    for text, ends, kind in wrong:
        with pytest.raises(Problem) as caught:
            await client_keys.add_key(hospital.id, text, ends, here, services)
        assert caught.value.kind is kind, text[:40]
    await client_keys.drop_key(hospital.id, RSA.kid, False, here, services)
    with pytest.raises(Problem) as last:
        await client_keys.drop_key(hospital.id, EC.kid, False, here, services)
    assert last.value.kind is Kind.CONFLICT
    with pytest.raises(Problem) as silent:
        await client_keys.revoke(hospital.id, "", here, services)
    assert silent.value.kind is Kind.MALFORMED
    told = set()
    for id, caller in ((hospital.id, it("tcm")), ("nobody", here)):
        for attempt in (
            client_keys.add_key(id, public(good, "x"), 0, caller, services),
            client_keys.drop_key(id, EC.kid, False, caller, services),
            client_keys.revoke(id, "不再使用", caller, services),
        ):
            with pytest.raises(Problem) as caught:
                await attempt
            told.add((caught.value.kind, str(caught.value)))
    assert len(told) == 1
    assert hospital.id not in {one.id for one in await own(it("tcm"), services)}
    assert hospital.id in {one.id for one in await own(it("county"), services)}


async def test_a_client_is_warned_of_when_all_its_keys_end_soon(services, hospital):
    here, day = it("people"), 86_400 * SECOND
    next_key = ECKey.generate_key("P-384", {"kid": "next"})
    later = services.now() + 12 * day
    assert await client_keys.ending(here, services) == 0
    await client_keys.add_key(hospital.id, public(next_key, "next"), later, here, services)
    assert await client_keys.ending(here, services) == 0, "the others go on"
    [held] = [one for one in await own(here, services) if one.id == hospital.id]
    for kid in {one.kid for one in held.keys} - {"next"}:
        await client_keys.drop_key(hospital.id, kid, False, here, services)
    assert await client_keys.ending(here, services) == 1
    assert await client_keys.ending(it("tcm"), services) == 0


async def test_the_operator_exchanges_keys_of_every_hospital_and_nobody_else_does(
    services, hospital
):
    new = ECKey.generate_key("P-384", {"kid": "next"})
    await client_keys.add_key(hospital.id, public(new, "next"), 0, OPERATOR, services)
    [held] = await own(OPERATOR, services)
    assert "next" in {one.kid for one in held.keys}
    with pytest.raises(Problem):
        await own(Caller("portal", "people", "clinician", user="wang"), services)


async def test_when_a_client_last_called_is_sought_not_scanned_for(services: Services) -> None:
    """The log only grows; each client's newest call is one seek in an index of calls alone."""

    def plan(session: Session) -> str:
        connection = session.connection()
        if connection.dialect.name == "sqlite":
            asked = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {clients.CALLS.sqlite[0]}")
        else:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            asked = connection.exec_driver_sql(f"EXPLAIN {clients.CALLS.postgres[0]}")
        return "\n".join(str(row) for row in asked)

    told = await services.db.session(plan)
    about = [line for line in told.splitlines() if "audit_event" in line]
    assert len(about) == 2, told
    assert all("audit_event_calls" in line for line in about), told


async def test_what_cannot_be_noted_is_not_done(
    services: Services, hospital: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError

    before = await services.db.session(clients.find, hospital.id)
    monkeypatch.setattr(client_keys, "append", full)
    monkeypatch.setattr(registry, "append", full)
    anew = {"organization": "people", "name": "x", "jwks": before.jwks, "scopes": "system/*.r"}
    tries = [
        lambda: registry.register(services, id=hospital.id, **anew, by=OPERATOR),
        lambda: registry.register(services, id="people-new", **anew, by=OPERATOR),
        lambda: client_keys.add_key(hospital.id, public(RSA, "new"), 0, OPERATOR, services),
        lambda: client_keys.revoke(hospital.id, "停用", OPERATOR, services),
    ]
    for one in tries:
        with pytest.raises(Exception):  # noqa: B017 (each engine has its own)
            await one()
    assert await services.db.session(clients.find, hospital.id) == before
    assert await services.db.session(clients.find, "people-new") is None


async def test_a_client_is_registered_with_its_event_or_not_at_all(
    services: Services, hospital: Any, noted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault before the commit leaves neither; one after it leaves both, whatever the caller heard."""
    before = await services.db.session(clients.find, hospital.id)
    events = [row[0] for row in await noted()].count("client")
    anew = {"organization": "people", "name": "x", "jwks": before.jwks, "scopes": "system/*.r"}
    store, do = services.db, services.db.do
    for after in (False, True):

        async def broken(work: Any, *given: Any, after: bool = after) -> None:
            def last(tx: Any) -> None:
                work(tx, *given)
                if not after:
                    raise OSError

            await do(last)
            raise OSError

        with monkeypatch.context() as patch:
            patch.setattr(store, "do", broken)
            with pytest.raises((OSError, Problem)):
                await registry.register(services, id=hospital.id, **anew, by=OPERATOR)
        found = await services.db.session(clients.find, hospital.id)
        assert (found.name, found.epoch) == (
            ("x", before.epoch + 1) if after else ("HIS", before.epoch)
        )
        assert [row[0] for row in await noted()].count("client") == events + after
