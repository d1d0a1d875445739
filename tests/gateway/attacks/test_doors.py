"""Attacks on every address of the portal at once: no token, another site, another role, nobody (C, D)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from gateway.auth.people import ROLES
from gateway.portal import assets, routes
from gateway.portal.stories import Session
from gateway.services.caller import Caller
from tests.gateway.portal.fake_county import FakeServices

COOKIE = "session"
TOKEN = "t" * 43
HOME = {"sec-fetch-site": "same-origin"}
ANYBODYS = {
    "/sign-in",
    "/first-password",
    "/language",
    "/display",
    "/launch/{token}",
    "/mine/presence/{token}",
    "/{path:path}",
}
FILES = {one.path for one in assets.read().values()}
SHARED = {"/sign-out", "/second-factor", "/printed"}
OWNER = {
    "/cards": "clinician",
    "/images": "clinician",
    "/dicomweb": "clinician",
    "/privacy": "privacy",
    "/mine": "patient",
    "/consents": "registrar",
    "/folders": "registrar",
    "/audit": "auditor",
    "/look-up": "clinician",
    "/claim": "clinician",
    "/results": "clinician",
    "/overview": "clinician",
    "/trend": "clinician",
    "/reports": "clinician",
    "/put-back": "clinician",
    "/emergency": "clinician",
    "/presence": "clinician",
    "/county": "commission",
    "/decisions": "clinician",
    "/alerts": "clinician",
}


class Trap:
    """Whatever of the county is reached by somebody who should not have been let in."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.reached.append(name)
        raise AssertionError(name)


class OneSession:
    """Everybody who brings a cookie is signed in, in the role under attack."""

    def __init__(self) -> None:
        self.role = "clinician"
        self.changed: list[str] = []

    async def session_at(self, cookie: str, address: str) -> Session | None:
        caller = Caller(client="portal", organization="people", role=self.role, user="mallory")
        return Session(caller, TOKEN, "handle", "", {}) if cookie else None

    def __getattr__(self, name: str) -> Any:
        async def called(*_: Any, **__: Any) -> Any:
            self.changed.append(name)

        return called


class Doors:
    """The portal with nothing behind it."""

    def __init__(self) -> None:
        self.stories, self.people = Trap(), OneSession()
        made = routes(FakeServices(), self.stories, self.people)  # type: ignore[arg-type]
        [mount] = [one for one in made if isinstance(one, Mount)]
        known = [one for one in mount.routes if isinstance(one, Route)]
        self.gets = [r.path for r in known if "GET" in (r.methods or ())]
        self.posts = [r.path for r in known if r.methods == {"POST"}]
        self.app = Starlette(routes=made)


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
async def web(doors: Doors) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=doors.app, raise_app_exceptions=False)
    address = "http://127.0.0.1:8080"
    async with httpx.AsyncClient(transport=transport, base_url=address) as client:
        yield client


def at(path: str) -> str:
    given = {"{handle}": "0" * 32, "{token}": "x" * 32, ":int}": "}", ":path}": "}"}
    for name, value in given.items():
        path = path.replace(name, value)
    return "/portal" + re.sub(r"\{[a-z]+\}", "1", path)


def owner(path: str) -> str:
    found = [role for prefix, role in OWNER.items() if path.startswith(prefix)]
    return found[0] if found else "it"


COOKIES = {COOKIE: "c" * 43, "__Host-" + COOKIE: "c" * 43}


@pytest.mark.parametrize(
    ("headers", "token"),
    [(HOME, ""), (HOME, "T" * 43), (HOME, "令牌"), ({"sec-fetch-site": "cross-site"}, TOKEN),
     ({"sec-fetch-site": "same-site"}, TOKEN), ({"origin": "http://evil.example"}, TOKEN), ({}, TOKEN)],
)  # fmt: skip
async def test_no_form_of_another_page_or_site_reaches_anything(
    doors: Doors, web: httpx.AsyncClient, headers: dict[str, str], token: str
) -> None:
    web.cookies.update(COOKIES)
    assert len(doors.posts) > 40
    for path in doors.posts:
        doors.people.role = "clinician" if path in ANYBODYS | SHARED else owner(path)
        answer = await web.post(at(path), headers=headers, data={"csrf": token, "about": token})
        assert answer.status_code == 403, path
        assert (doors.stories.reached, doors.people.changed) == ([], []), path


async def test_every_page_is_one_roles_and_nobody_elses(
    doors: Doors, web: httpx.AsyncClient
) -> None:
    web.cookies.update(COOKIES)
    for method, paths in (("GET", doors.gets), ("POST", doors.posts)):
        for path in set(paths) - ANYBODYS - FILES - SHARED - {"/"}:
            for role in set(ROLES) - {owner(path)}:
                doors.people.role = role
                answer = await web.request(method, at(path), headers=HOME, data={"csrf": TOKEN})
                assert answer.status_code == 403, (path, role)
                assert (doors.stories.reached, doors.people.changed) == ([], []), (path, role)


async def test_who_is_not_signed_in_reaches_nothing(doors: Doors, web: httpx.AsyncClient) -> None:
    for method, paths in (("GET", doors.gets), ("POST", doors.posts)):
        for path in set(paths) - ANYBODYS - FILES - {"/"}:
            answer = await web.request(method, at(path), headers=HOME, data={"csrf": TOKEN})
            if path.startswith("/dicomweb/"):  # a viewer is not led to a form
                assert answer.status_code == 401
            else:
                assert answer.headers.get("location") == "/portal/sign-in", path
            assert (doors.stories.reached, doors.people.changed) == ([], []), path


@pytest.mark.parametrize("token", ["令牌", "a\r\nset-cookie: x=1", 'x"; path=/evil', "x" * 9_000])
async def test_what_was_scanned_is_no_way_to_set_another_cookie(
    doors: Doors, web: httpx.AsyncClient, token: str
) -> None:
    answer = await web.get("/portal/mine/presence/" + quote(token, safe=""))
    assert answer.status_code == 404
    assert all(one.startswith("door=") for one in answer.headers.get_list("set-cookie"))


async def test_what_was_scanned_waits_in_a_cookie_of_its_own(web: httpx.AsyncClient) -> None:
    answer = await web.get("/portal/mine/presence/" + "x" * 32)
    assert answer.headers.get_list("set-cookie")[0].startswith("presence=" + "x" * 32)
