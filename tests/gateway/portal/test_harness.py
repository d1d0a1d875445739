"""Every page there is, found by its route or by a link, meets what must be true of every page."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from starlette.routing import Mount, Route

from gateway.auth import people
from gateway.demo import story
from gateway.portal import assets, desk
from gateway.portal.languages import translations
from tests.gateway.portal import harness, paper
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_records import NUMBER
from tests.gateway.portal.own_town import MOTHER, PASSWORD, OwnTown
from tests.gateway.portal.test_mine import give

pytestmark = pytest.mark.browser
SIZES = ((1024, 768), (683, 384), (375, 812), (1366, 768))
# Their cells hold the registers' and the indicators' own words, which stand there in both languages.
TERMS = (
    "/county/resources", "/county/elements", "/county/statistics", "/figures", "/county/catalogue",
)  # fmt: skip
# Pages no link of this county leads to; each is looked at where its own story is told.
ELSEWHERE = {
    "/": "leads on",
    "/{path:path}": "test_everywhere: problem",
    "/mine/presence/{token}": "test_presence_pages",
    "/consents/new": "test_everywhere: desk preview",
    "/consents/code": "test_everywhere: desk code",
    "/consents/{handle}/evidence": "a file",
    "/consents/{handle}/receipt.pdf": "a file",
    "/reports/{handle}/report.pdf": "a file",
    "/results.pdf": "a file",
    "/mine/consents/preview": "test_everywhere: mine preview",
    "/mine/consents/code": "test_everywhere: mine code",
    "/mine/consents/{handle}/receipt.pdf": "a file",
    "/privacy/cases/{handle}": "test_everywhere: case",
    "/privacy/policy/file": "a file",
    "/claim": "test_everywhere: claim",
    "/presence": "test_everywhere: presence",
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, migrated_files: Path) -> Iterator[OwnTown]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "_HASHER", PasswordHasher(1, 8, 1))
        patch.setattr(desk, "translations", lambda: translations() | {"xx": harness.Marked()})
        patch.setitem(desk.GAPS, "xx", "")
        made = OwnTown(tmp_path_factory.mktemp("harness"), migrated_files, port)
        yield made
        made.close()


def pages_of(county: County) -> list[Route]:
    """All routes of pages that are read."""
    (mount,) = [one for one in county.app.routes if isinstance(one, Mount)]
    files = {one.path for one in assets.read().values()}
    return [
        one
        for one in mount.routes
        if isinstance(one, Route) and "GET" in (one.methods or ()) and one.path not in files
    ]


def enter(eyes: Eyes, login: str) -> None:
    eyes.go("/sign-in")
    eyes.page.fill("#login", login)
    eyes.page.fill("#password", PASSWORD)
    eyes.press("form:has(#login) button.primary")
    if eyes.page.locator("#number").count():
        eyes.find(MOTHER.number)


def test_every_page_is_what_every_page_must_be(
    chromium: Browser, county: County, town: OwnTown
) -> None:
    finder = harness.Finder(pages_of(county))
    sentences = harness.known_sentences()
    faults: list[str] = []
    logins = {one.role: one.login for one in reversed(story.ACCOUNTS)}
    visited: set[str] = set()
    answered: set[str] = set()  # files and pages that lead on, too
    for role, login in ({"": "", "patient": town.logins["mother"]} | logins).items():
        eyes = Eyes(chromium, town.address)
        eyes.context.set_default_timeout(20_000)
        eyes.context.add_init_script(Axe().axe_script)
        if login:
            enter(eyes, login)
        if role == "patient":
            give(eyes, town)  # and so there is something to see for the others
        # A role's first page puts the chart in hand back: it comes last.
        fixed = sorted(finder.fixed(), key=lambda path: path in desk.HOMES.values())
        queue = [f"/portal{path}" for path in fixed]
        while queue:
            address = queue.pop(0)
            template = finder.template(address)
            if template in visited:
                continue
            got = eyes.page.request.get(town.address + address, max_redirects=0)
            if got.status < 400:
                answered.add(template)
            if got.status != 200 or not got.headers["content-type"].startswith("text/html"):
                continue
            visited.add(template)
            finder.seen.add(template)
            about = f"{role} {template}: "
            said = frozenset[str]() if template.startswith(TERMS) else sentences
            faults += [about + one for one in looked_at(eyes, address, said, bool(login))]
            links = eyes.page.locator("#page a[href]").evaluate_all(
                "all => all.map(a => a.pathname + a.search)"
            )
            queue += finder.new(links)
        faults += [f"{role}: {one}" for one in eyes.trouble]
        eyes.context.close()
    missed = set(finder.fixed()) - answered - set(ELSEWHERE)

    assert "\n".join(faults) == ""
    assert missed == set(), "nobody may open it: say where it is looked at"


def looked_at(eyes: Eyes, address: str, sentences: frozenset[str], signed_in: bool) -> list[str]:
    """One page once: in Chinese by day and night, at every size, on paper; then between marks."""
    page = eyes.page
    page.emulate_media(color_scheme="dark")
    answer = page.goto(address)
    assert answer is not None
    faults = harness.without_scripts(
        answer.text(), page.locator("main").evaluate("m => m.textContent")
    )
    faults += harness.accessible(page) + eyes.violations() + harness.alive(page)
    page.emulate_media(color_scheme="light")
    faults += harness.fits(page, SIZES)
    if signed_in:
        faults += harness.on_paper(page, page.locator(".who-name b").inner_text())
    marks = [{"name": desk.LANGUAGE, "value": "xx", "url": eyes.address}]
    eyes.context.add_cookies(marks)  # type: ignore[arg-type]
    between = page.request.get(eyes.address + address).text()
    eyes.context.clear_cookies(name=desk.LANGUAGE)
    return faults + [f"not marked: {one}" for one in harness.unmarked(between, sentences)]


# H3: by keys alone, and where the focus is after a step.


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))


def test_a_step_takes_the_focus_to_the_new_content_and_the_way_back_leads_back(eyes: Eyes) -> None:
    eyes.context.add_init_script(Axe().axe_script)
    eyes.sign_in("he")
    page = eyes.go("/quarantine")
    page.evaluate("window.__kept = true")
    chosen = page.locator(".filters a[aria-current]")
    page.get_by_role("link", name="tcm-lis").focus()

    page.keyboard.press("Enter")
    expect(chosen).to_contain_text("tcm-lis")

    assert page.evaluate("window.__kept"), "the page was not loaded anew"
    assert page.url.endswith("/quarantine?source=tcm-lis")
    assert focused(page) == "隔离区"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert harness.accessible(page) == []
    # The language switch of the exchanged page leads back to where the browser is now.
    assert page.locator("input[name=back]").input_value() == "/quarantine?source=tcm-lis"
    page.go_back()
    expect(chosen).to_contain_text("全部")
    assert eyes.violations() == []


def test_a_form_sent_in_a_step_keeps_its_token_and_says_what_happened(
    eyes: Eyes, county: County
) -> None:
    eyes.sign_in("he")
    page = eyes.go("/alarms")
    page.evaluate("window.__kept = true")

    eyes.press(page.locator("main form button").first)

    assert page.evaluate("window.__kept")
    assert ("settle", "7") in county.stories.told
    assert focused(page).startswith("✓")
    eyes.press(page.locator("main form button").first)
    assert [one for one in county.stories.told if one[0] == "settle"] == [("settle", "7")] * 2


def test_single_keys_find_the_field_and_the_page_and_can_be_switched_off(eyes: Eyes) -> None:
    eyes.sign_in("zhou")
    page = eyes.go("/look-up")
    page.locator("h1").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "number"
    page.keyboard.press("?")  # where somebody types it is a character
    assert page.input_value("#number") == "?"
    page.locator("h1").click()
    page.keyboard.press("?")
    page.wait_for_url("**/display")

    page.uncheck("input[name=keys]")
    eyes.press("main .primary")
    page.locator("h1").click()
    page.keyboard.press("1")
    page.keyboard.press("?")

    assert page.url.endswith("/display")
    assert page.evaluate("document.body.dataset.keys") is None


def test_light_or_dark_and_the_colours_of_high_and_low_are_kept_without_scripts(
    chromium: Browser, county: County
) -> None:
    eyes = Eyes(chromium, county.address, java_script_enabled=False)
    eyes.go("/display")
    page = eyes.page
    page.check("input[value=dark]")
    page.check("input[value=blue]")
    page.click("main .primary")

    assert page.locator("html[data-high=blue]").count() == 1
    assert page.locator("link[media=screen][href*=dark]").count() == 1
    eyes.context.close()
    assert eyes.trouble == []


# H5 and H8: what goes onto paper.


def test_the_print_button_prints_only_what_was_noted(eyes: Eyes, county: County) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)
    page.evaluate("window.__printed = 0; window.print = () => window.__printed++; 0")
    page.locator("button[data-print]").click()
    page.wait_for_timeout(300)
    assert page.evaluate("window.__printed") == 1
    assert county.stories.told[-1] == ("printed", "page", "/results", False)

    page.route("**/printed", lambda route: route.abort())
    page.locator("button[data-print]").click()
    expect(page.locator("#live")).to_contain_text("没有完成")
    assert page.evaluate("window.__printed") == 1
    eyes.trouble.clear()  # the call that was made to fail


def test_a_page_as_long_as_a_book_says_on_every_sheet_which_it_is(eyes: Eyes) -> None:
    eyes.sign_in("gu")
    sheets = paper.pages(eyes.go("/audit").pdf(format="A5"))

    assert sheets
    for n, sheet in enumerate(sheets, 1):
        assert sheet.startswith(f"{n}/{len(sheets)}打印人顾清(演示)")
