"""A portal served on a loopback port, and Chromium looking at it."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, Route, sync_playwright
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from gateway.portal import routes
from tests.gateway.portal.fake_county import FakePeople, FakeServices, FakeStories
from tests.gateway.portal.own_town import PASSWORD, OwnTown

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH = """
window.__violations = [];
document.addEventListener('securitypolicyviolation',
    e => window.__violations.push(e.violatedDirective + ' ' + e.blockedURI));
"""


class Served:
    """One server for all tests; each test puts its own county behind it."""

    def __init__(self) -> None:
        self.county: County | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            self.app, port=self.port, log_config=None, lifespan="off", interface="asgi3"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.county is not None
        await self.county.app(scope, receive, send)

    def start(self) -> None:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(5)


@dataclass
class County:
    """The pretend county of one test, and the address of its portal."""

    address: str
    people: FakePeople = field(default_factory=FakePeople)
    stories: FakeStories = field(default_factory=FakeStories)
    services: FakeServices = field(default_factory=FakeServices)
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.app = Starlette(routes=routes(self.services, self.stories, self.people))


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    server = Served()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def county(served: Served) -> County:
    served.county = County(served.address)
    return served.county


@pytest.fixture(scope="module")  # its loop runs in this thread, and other modules bring their own
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is missing; pages must be looked at")
        warnings.warn("no Chromium: the portal's pages are NOT tested", stacklevel=1)
        pytest.skip("no Chromium")
    os.environ.setdefault("LANGUAGE", "zh_CN")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def kind_of_town() -> type[OwnTown]:
    """What kind of county a module wants."""
    return OwnTown


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, migrated_files: Path, kind_of_town: type[OwnTown]
) -> Iterator[OwnTown]:
    """A real county of this module's own."""
    with closing(kind_of_town(tmp_path_factory.mktemp("town"), migrated_files)) as made:
        yield made


class Eyes:
    """A browser window that notes whatever should not happen."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        self.trouble: list[str] = []
        self.addresses: list[str] = []
        usual = {"viewport": {"width": 1366, "height": 768}, "timezone_id": "Asia/Shanghai"}
        self.context = browser.new_context(locale="zh-CN", base_url=address, **(usual | options))
        self.context.set_default_timeout(8_000)
        self.context.add_init_script(WATCH)
        self.context.route("**/*", self._at_home)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda m: m.type == "error" and self._note(m.text))
        self.page.on("pageerror", lambda e: self._note(str(e)))
        self.page.on("request", lambda r: self.addresses.append(r.url))

    def _note(self, text: str) -> None:
        # A form sent back with a complaint answers 4xx; Chromium calls that an error too.
        if "the server responded with a status of 4" not in text:
            self.trouble.append(text)

    def _at_home(self, route: Route) -> None:
        # The browser's own pages show a PDF; they are no foreign place.
        if route.request.url.startswith((self.address, "chrome://", "chrome-extension://")):
            route.continue_()
        else:
            self.trouble.append(f"asked for {route.request.url}")
            route.abort()

    def go(self, path: str) -> Page:
        self.page.goto(f"/portal{path}")
        return self.page

    def press(self, what: str | Locator) -> Page:
        """Click, and wait until the page it leads to is there with its style: loaded or exchanged."""
        target = self.page.locator(what) if isinstance(what, str) else what
        self.page.evaluate("document.getElementById('page')?.setAttribute('data-left', '')")
        target.click()
        self.page.locator("#page:not([data-left])").wait_for(state="attached")
        self.page.wait_for_load_state()
        return self.page

    def sign_in(self, login: str) -> Page:
        self.go("/sign-in")
        return self.press(f"form:has(input[value='{login}']) button.account")

    def enter(self, login: str) -> Page:
        """Sign in to a real county, by its password."""
        self.go("/sign-in")
        self.page.fill("#login", login)
        self.page.fill("#password", PASSWORD)
        return self.press("form:has(#login) button.primary")

    def sign_out(self) -> Page:
        return self.press("form[action$='sign-out'] button")

    def in_english(self) -> Page:
        return self.press(self.page.get_by_role("button", name="English"))

    def find(self, number: str) -> Page:
        """Type a number into the look-up form of this page."""
        self.page.fill("#number", number)
        return self.press("main .primary")

    def look_up(self, number: str) -> Page:
        """Look a number up; where that opens a record, go on to its results as a list."""
        self.go("/look-up")
        self.find(number)
        return self.go("/results?view=list") if self.page.url.endswith("/overview") else self.page

    def violations(self) -> list[str]:
        return [str(v) for v in self.page.evaluate("window.__violations || []")]


@pytest.fixture
def visitor(chromium: Browser, town: OwnTown) -> Iterator[Eyes]:
    """A window on the real county, which may keep what it is given."""
    seen = Eyes(chromium, town.address, accept_downloads=True)
    yield seen
    seen.context.close()
    assert seen.trouble == []


@pytest.fixture
def eyes(chromium: Browser, county: County) -> Iterator[Eyes]:
    """A signed-out browser on the county's portal; afterwards nothing bad may have happened."""
    seen = Eyes(chromium, county.address)
    yield seen
    seen.context.close()
    assert seen.trouble == []
