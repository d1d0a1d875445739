"""Every page there is, found by its route or by a link, meets what must be true of every page."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from starlette.routing import Mount, Route

from gateway.demo import story
from gateway.portal import assets, desk
from gateway.portal.chart_stories import Original
from gateway.portal.languages import translations
from tests.gateway.portal import harness, paper
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_records import NUMBER
from tests.gateway.portal.lived_in import DOCTOR, Life, events, take_in_hand
from tests.gateway.portal.own_town import MOTHER, OwnTown

pytestmark = pytest.mark.browser
WIDE, PHONE = (1366, 768), (375, 812)
SIZES = ((1024, 768), (683, 384))
# Their words come in both languages from the lists themselves: English is looked for instead of marks.
IN_BOTH = (
    "/county/resources", "/county/elements", "/county/statistics", "/figures", "/county/catalogue",
)  # fmt: skip
# Pages the walk cannot come to, and the test that looks at each.
ELSEWHERE = {
    "/{path:path}": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/mine/presence/{token}": "portal.test_presence_pages:test_scanned_before_signing_in",
    "/presence": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/claim": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/consents/new": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/consents/code": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/mine/consents/preview": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/mine/consents/code": "portal.test_everywhere:test_every_page_is_open_to_everybody",
    "/images/{handle}": "images.test_image_pages:test_a_doctor_pages_through",
    "/images/{handle}/{series:int}/{number:int}": "images.test_image_pages:test_a_doctor_pages",
    "/images/{handle}/{series:int}/{number:int}.jpg": "images.test_image_pages:test_without_scr",
    "/dicomweb/{handle}/studies": "images.test_image_pages:test_an_ordinary_dicomweb_client",
    "/dicomweb/{handle}/studies/{uid}/{below:path}": "images.test_image_pages:test_an_ordinary_dicomweb_client",
    "/reports/{handle}/original/{place:int}": "portal.test_harness:test_an_original_lies_in_a_frame",
    "/reports/{handle}/original/{place:int}/file": "portal.test_harness:test_an_original_lies_in_a_frame",
    "/clients/revoke": "portal.test_operator_pages:test_a_key_is_exchanged_and_a_client_revoked",
    "/launch/{token}": "cds.test_soap:test_a_page_opens_once",
    "/audit/decisions/{number:int}": "portal.test_pages:test_altered_evidence_of_a_decision",
    "/cards/{card}": "portal.test_prompt_pages:test_a_prompt_page_is",
}
# Their own script draws beside the table (portal.test_chart_pages says it draws what stands there).
DRAWN = {"/trend/{handle}"}
# They only lead on.
LEADS_ON = {"/"}
FORMS: dict[str, dict[str, int]] = {
    "display": {},
    "consent": {
        "login": 1,
        "consent-explain": 1,
        "signing-code": 1,
        "signature": 1,
        "consent-create": 1,
        "read": 1,
    },
    "claim": {
        "logout": 1,
        "login": 1,
        "search": 2,
        "relationship-claim": 1,
        "everything": 1,
        "recognition-view": 1,
    },
    "decide": {"everything": 1, "read": 3, "recognition-view": 3, "recognition-decision": 1},
    "revoke": {"read": 3, "recognition-evidence": 2, "recognition-revocation": 1},
    "decide again": {"everything": 1, "read": 3, "recognition-view": 3, "recognition-decision": 1},
    "catalogue draft": {"logout": 1, "login": 1, "config": 1},
    "suspend": {"config": 1},
    "right drafted": {"register": 1},
    "right approved": {"logout": 1, "login": 1, "register": 1},
    "freeze": {"statistics": 2, "statistics-change": 1},
    "object": {"logout": 1, "login": 1, "statistics": 2, "statistics-change": 1},
}
# What one look at a page leaves in the log; a page that is not here leaves nothing.
EVENTS: dict[str, tuple[str, ...]] = {
    "/audit": ("audit-read",),
    "/audit/alarms": ("audit-read",),
    "/consents": ("read", "search"),
    "/consents/account": ("read", "search"),
    "/consents/{handle}/evidence": ("read", "read"),
    "/consents/{handle}/receipt.pdf": ("print", "read"),
    "/consents/{handle}/withdraw": ("consent-explain", "read", "search"),
    "/county/export/{file}": ("register-export",),
    "/county/statistics": ("statistics",),
    "/county/statistics/file": ("statistics-export",),
    "/county/targets": ("statistics",),
    "/decisions/{handle}": ("read", "recognition-evidence"),
    "/figures": ("statistics",),
    "/figures/file": ("statistics-export",),
    "/folders": ("identity-review",),
    "/folders/{number:int}": ("identity-review",),
    "/images": ("everything",),
    "/mine/consents": ("read",),
    "/mine/consents/new": ("read",),
    "/mine/consents/{handle}": ("read",),
    "/mine/consents/{handle}/receipt.pdf": ("print", "read"),
    "/mine/consents/{handle}/take-back": ("consent-explain", "read"),
    "/mine/looked": ("audit-read",),
    "/mine/results": ("everything",),
    "/mine/results/{handle}": ("read",),
    "/overview": ("everything",),
    "/privacy/cases/{handle}": ("audit-read",),
    "/reports/{handle}": ("read", "recognition-view"),
    "/reports/{handle}/report.pdf": ("print", "read", "recognition-view"),
    "/results": ("everything", "recognition-view"),
    "/results.pdf": ("everything", "print", "recognition-view"),
    "/trend/{handle}": ("recognition-view", "search"),
    "/messages/{handle}": ("config",),
    "/orders-unmapped/file": ("config",),
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, migrated_files: Path) -> Iterator[OwnTown]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "translations", lambda: translations() | {"xx": harness.Marked()})
        patch.setitem(desk.GAPS, "xx", "")
        with closing(OwnTown(tmp_path_factory.mktemp("harness"), migrated_files)) as made:
            yield made


@pytest.fixture(scope="module")
def told(chromium: Browser, town: OwnTown) -> dict[str, dict[str, int]]:
    """People have worked here without scripts: what each step left in the log."""
    return dict(Life(chromium, town).told())


def pages_of(county: County) -> list[Route]:
    """All routes of pages that are read."""
    (mount,) = [one for one in county.app.routes if isinstance(one, Mount)]
    files = {one.path for one in assets.read().values()}
    return [
        one
        for one in mount.routes
        if isinstance(one, Route) and "GET" in (one.methods or ()) and one.path not in files
    ]


def test_forms_are_sent_without_scripts_and_leave_exactly_their_events(
    told: dict[str, dict[str, int]],
) -> None:
    assert told == FORMS


@pytest.mark.parametrize("where", sorted(set(ELSEWHERE.values())))
def test_what_is_looked_at_elsewhere_is_looked_at(where: str) -> None:
    module, begin = where.split(":")
    names = vars(importlib.import_module(f"tests.gateway.{module}"))
    assert [name for name in names if name.startswith(begin)]


def test_every_page_is_what_every_page_must_be(
    chromium: Browser, county: County, town: OwnTown, told: dict[str, dict[str, int]]
) -> None:
    finder = harness.Finder(pages_of(county))
    walk = Walk(town, finder)
    logins = {one.role: one.login for one in reversed(story.ACCOUNTS)} | {"clinician": DOCTOR}
    for role, login in ({"": "", "patient": town.logins["mother"]} | logins).items():
        eyes = Eyes(chromium, town.address)
        eyes.context.set_default_timeout(20_000)
        eyes.context.add_init_script(Axe().axe_script)
        walk.through(eyes, role, login)
        eyes.context.close()

    assert "\n".join(walk.faults) == ""
    assert {one.path for one in finder.routes} - walk.answered - set(ELSEWHERE) == set()
    assert set(ELSEWHERE) & walk.answered == set(), "the walk comes here by itself"
    assert walk.left == EVENTS


class Walk:
    """Every role through all of its pages; each page once, for the first who may read it."""

    def __init__(self, town: OwnTown, finder: harness.Finder) -> None:
        self.town, self.finder = town, finder
        self.sentences = harness.known_sentences()
        self.names = {one.name for one in story.ACCOUNTS}
        self.names |= {name for one in town.services.register for name in (one.zh, one.name)}
        self.faults: list[str] = []
        self.answered: set[str] = set()  # files and pages that lead on, too
        self.left: dict[str, tuple[str, ...]] = {}  # the events of one look, where there are any

    def through(self, eyes: Eyes, role: str, login: str) -> None:
        """All pages of one role. Those that put the person in hand back come last."""
        if login:
            eyes.enter(login)
        if role == "clinician":
            take_in_hand(eyes)
        if role == "registrar":
            eyes.find(MOTHER.number)
        queue = [f"/portal{path}" for path in self.finder.fixed()]
        looked: set[str] = set()
        while queue:
            queue.sort(key=lambda one: self.finder.template(one) in desk.HOMES.values())
            address = queue.pop(0)
            template = self.finder.template(address)
            if template in looked or (template in self.answered and role):
                continue
            before = events(self.town)
            got = eyes.page.request.get(self.town.address + address, max_redirects=0)
            if got.status >= 400 or (got.status >= 300 and template not in LEADS_ON):
                continue
            self.answered.add(template)
            looked.add(template)
            if left := events(self.town) - before:
                self.left[template] = tuple(sorted(left.elements()))
            if got.status != 200 or not got.headers["content-type"].startswith("text/html"):
                continue
            faults = self.looked_at(eyes, address, template, bool(login))
            self.faults += [f"{role} {template}: {one}" for one in faults]
            queue += eyes.page.locator("#page a[href]").evaluate_all(
                "all => all.map(a => a.pathname + a.search)"
            )
        self.faults += [f"{role}: {one}" for one in eyes.trouble]
        self.faults += harness.told_in(eyes.addresses, self.town)

    def looked_at(self, eyes: Eyes, address: str, template: str, signed_in: bool) -> list[str]:
        """In Chinese by night on a desk and on paper; in English by day on a telephone; in marks."""
        page = eyes.page
        speak(eyes, "zh")
        page.emulate_media(color_scheme="dark")
        answer = page.goto(address)
        assert answer is not None
        shown = page.locator("main").evaluate("m => m.textContent")
        harness.unfold(page)
        faults = harness.accessible(page) + eyes.violations()
        if template not in DRAWN:
            faults += harness.without_scripts(answer.text(), shown) + harness.alive(page)
        faults += harness.fits(page, (*SIZES, PHONE)) + harness.whole(page)
        faults += harness.fits(page, (WIDE,))
        if signed_in:
            faults += harness.on_paper(page, page.locator(".who-name b").inner_text())
        speak(eyes, "en")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        answer = page.goto(address)
        assert answer is not None
        harness.unfold(page)
        faults += harness.accessible(page) + eyes.violations() + harness.whole(page)
        faults += harness.fits(page, (PHONE, WIDE))
        if template.startswith(IN_BOTH):
            found = harness.chinese(answer.text(), self.names)
            return faults + [f"not in English: {one}" for one in found]
        speak(eyes, "xx")
        between = page.request.get(eyes.address + address).text()
        return faults + [f"not marked: {one}" for one in harness.unmarked(between, self.sentences)]


def speak(eyes: Eyes, language: str) -> None:
    cookie = {"name": desk.LANGUAGE, "value": language, "url": eyes.address}
    eyes.context.add_cookies([cookie])  # type: ignore[list-item]


def test_an_original_lies_in_a_frame_that_may_do_nothing(eyes: Eyes, county: County) -> None:
    report = next(one for one in county.stories.reports if not one.results)
    photo = Original("document", "<b>超声</b>", "application/x-scan", 4)
    county.stories.originals = {report.id: (photo,)}
    eyes.context.add_init_script(Axe().axe_script)
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)
    page.goto(page.locator(f"tr:has-text('{report.title}') a, li:has-text('{report.title}') a")
              .first.get_attribute("href") or "")  # fmt: skip
    link = page.locator("ul.documents a").first.get_attribute("href") or ""

    answer = page.goto(link)
    assert answer is not None
    assert "<b>超声</b>" in page.inner_text("h1")
    assert page.locator("iframe").count() == 0, "no browser shows this kind"
    assert harness.without_scripts(answer.text(), page.locator("main").text_content() or "") == []
    assert harness.accessible(page) + harness.alive(page) + harness.fits(page, (PHONE,)) == []
    file = page.request.get(f"{eyes.address}{link}/file")
    assert file.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in file.headers["content-security-policy"]
    assert file.headers["content-type"] == "application/octet-stream"


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
    page.wait_for_function("window.__printed === 1")
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
