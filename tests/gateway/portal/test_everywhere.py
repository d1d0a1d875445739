"""What follows a form or a mistake in a real county: in both languages, on a telephone, for everybody.

Pages that a link or an address leads to are looked at by test_harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from gateway.auth import factors
from gateway.demo import story
from tests.gateway.portal import harness
from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import AUNT, CHILD, HOSTILE, MOTHER, PASSWORD, OwnTown

pytestmark = pytest.mark.browser
WORDS = "抢救室昏迷病人，家属联系不上，需要用药史"
STRANGER = "33042119550615000X"
SCAN = {"name": "scan.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 signed"}
WIDE, PHONE = (1366, 800), (375, 800)
STAFF = {
    "zh": ("dr-chen", "privacy-tcm", "privacy-county"),
    "en": ("dr-li", "privacy-county", "privacy-tcm"),
}


class Walk:
    """One browser that goes through the county as all of its people, one after another."""

    def __init__(self, eyes: Eyes, town: OwnTown, language: str) -> None:
        self.eyes, self.town, self.page = eyes, town, eyes.page
        # Whoever takes a second factor here takes it once.
        self.asker, self.officer, self.second = STAFF[language]
        self.phone = self.secret = ""

    def leave(self) -> None:
        self.eyes.sign_out()

    def enrol(self) -> None:
        """Take a second factor, with the code of now."""
        self.eyes.go("/second-factor")
        self.secret = self.page.locator("main .number").inner_text()
        self.page.fill("#password", PASSWORD)
        self.page.fill("#code", self.code())
        self.eyes.press("main .primary")

    def code(self, ahead: int = 0) -> str:
        """A code of the last factor taken, of now or of a step after it: each counts once."""
        return factors.code_at(self.secret, self.town.services.now() + ahead * 30_000_000)

    def step_up(self) -> None:
        """Type the next code where one is asked for."""
        if self.page.locator("#code").count():
            self.page.fill("#code", self.code(1))

    def post(self, selector: str) -> None:
        """Send a form as it stands; the browser's own complaints would hide the page's."""
        self.page.locator("form").evaluate_all("all => all.forEach(f => f.noValidate = true)")
        self.eyes.press(selector)

    def pages(self) -> Iterator[str]:
        yield from self.outside()
        yield from self.doctor()
        yield from self.resident()
        yield from self.desk()
        yield from self.officers()
        yield from self.offices()

    def outside(self) -> Iterator[str]:
        eyes, page = self.eyes, self.page
        eyes.go("/sign-in")
        page.fill("#login", "nobody")
        page.fill("#password", "nothing")
        eyes.press("form:has(#login) button.primary")
        yield "sign-in wrong"
        eyes.go("/first-password")
        for name, value in (("login", "x"), ("code", "y"), ("password", "z"), ("again", "w")):
            page.fill(f"#{name}", value)
        self.post("main .primary")
        yield "first-password wrong"

    def doctor(self) -> Iterator[str]:
        eyes, page = self.eyes, self.page
        eyes.enter(self.asker)
        eyes.find(MOTHER.number[:-1] + "#")
        yield "look-up misread"
        eyes.go("/look-up")
        eyes.find(STRANGER)
        yield "claim"
        page.fill("#reason", "x")
        self.post("main .primary")
        yield "claim wrong"
        page.check("[name=declared]")
        page.fill("#reason", "急诊抢救室接诊，尚未建档")
        eyes.press("main .primary")
        yield "claim of nobody"
        eyes.go("/look-up")
        eyes.press("main form[action$='/presence'] button")
        yield "presence"
        self.phone = page.locator(".presence-code").inner_text()
        eyes.press("form[action$='/presence/go'] button")
        yield "presence waiting"
        eyes.go("/emergency")
        yield "emergency without a second factor"
        eyes.go("/second-factor")
        page.fill("#password", "wrong")
        page.fill("#code", "000000")
        eyes.press("main .primary")
        yield "second-factor wrong"
        self.enrol()
        yield "look-up after enrolling"
        eyes.go("/second-factor")
        yield "second-factor taken"
        eyes.look_up(MOTHER.number)
        eyes.go("/emergency")
        page.check("input[value=unconscious]")
        page.fill("#words", "急" * 20)
        self.step_up()
        self.post("button.danger")
        yield "emergency wrong"
        page.fill("#words", WORDS)
        self.step_up()
        eyes.press("button.danger")
        yield "emergency results"
        eyes.press(page.locator("a.open").first)
        yield "emergency report"
        eyes.press("form[action$='/emergency/end'] button")
        yield "emergency ended"
        eyes.go("/emergency")
        self.post("button.danger")
        yield "emergency misread"
        page.fill("#number", STRANGER)
        page.check("input[value=unconscious]")
        page.fill("#words", WORDS)
        self.step_up()
        eyes.press("button.danger")
        yield "emergency nothing"
        eyes.press("form[action$='/emergency/end'] button")
        eyes.go("/emergency/questions")
        yield "emergency no questions"
        eyes.go("/nowhere")
        yield "problem"
        self.leave()

    def resident(self) -> Iterator[str]:
        eyes, page, post = self.eyes, self.page, self.town.post
        eyes.enter(self.town.logins["mother"])
        eyes.go("/mine/presence")
        yield "mine presence code"
        page.fill("#code", "ABCD-EFGH")
        eyes.press("main .primary")
        yield "mine presence wrong"
        page.fill("#code", self.phone)
        eyes.press("main .primary")
        yield "mine presence"
        page.locator("input[name=whose]").first.check()
        eyes.press("button[value=yes]")
        yield "mine presence done"
        eyes.go("/mine/consents/new")
        self.post(".options > .primary")
        yield "mine new wrong"
        page.check("input[value=category]")
        eyes.press(".options > .primary")
        yield "mine preview of a category"
        eyes.go("/mine/consents/new")
        page.check("input[value=share]")
        eyes.press(".options > .primary")
        yield "mine preview"
        eyes.press("main form .primary")
        page.fill("#code", "000000")
        eyes.press("main form .primary")
        yield "mine code wrong"
        page.fill("#code", post.code(MOTHER.phone))
        eyes.press("main form .primary")
        yield "mine receipt"
        eyes.go("/mine/consents")
        eyes.press(page.locator("a[href$=take-back]").first)
        eyes.press("main .danger")
        yield "mine taken back"
        eyes.go("/mine/looked")
        for fold in page.locator("summary").all():
            fold.click()
        eyes.press(page.locator("main form button:visible").first)
        yield "mine question"
        page.fill("#words", "这位医生是谁，为什么看我的记录？")
        eyes.press("main .primary")
        yield "mine asked"
        eyes.go("/mine")
        eyes.press("form:has(input[name=for]) button")
        yield "mine for a child"
        for path in ("/mine/consents", "/mine/looked", "/mine/results"):
            eyes.go(path)
            yield f"for a child {path}"
        eyes.press(".banner form button")
        self.leave()

    def desk(self) -> Iterator[str]:
        eyes, page = self.eyes, self.page
        eyes.enter("registrar")
        eyes.find(STRANGER)
        yield "desk nobody"
        self.post(".options .primary")
        yield "desk nobody wrong"
        eyes.go("/consents/find")
        eyes.find(MOTHER.number)
        yield "desk consents"
        page.check("input[value=share]")
        eyes.press(".options .primary")
        yield "desk preview"
        self.post("main .primary")
        yield "desk preview wrong"
        page.fill("#code-witness", "周立")
        eyes.press("form[action$='send-code'] button")
        yield "desk code"
        page.fill("#code", "000000")
        eyes.press("main .primary")
        yield "desk code wrong"
        page.fill("#code", self.town.post.code(MOTHER.phone))
        eyes.press("main .primary")
        yield "desk signed"
        eyes.press(page.locator("li.card a[href$=withdraw]").first)
        yield "desk withdraw"
        page.fill("#witness", "周立")
        eyes.press("main .danger")
        yield "desk withdrawn"
        eyes.go("/consents/account")
        yield "desk account"
        self.post("form[action$='/mandates'] .primary")
        yield "desk mandate wrong"
        eyes.go("/consents/find")
        eyes.find(CHILD.number)
        page.check("input[value=refuse-organization]")
        eyes.press(".options .primary")
        yield "desk preview for a child"
        page.set_input_files("#evidence", SCAN)
        page.fill("#witness", "周立")
        page.fill("#signed", "2026-01-02")
        page.select_option("#signer", "resident")
        eyes.press("main .primary")
        yield "desk signed by a child"
        page.set_input_files("#evidence", SCAN)
        page.select_option("#signer", index=2)
        eyes.press("main .primary")
        yield "desk signed for a child"
        eyes.go("/consents/account")
        yield "desk account of a child"
        eyes.go("/consents/find")
        eyes.find(AUNT.number)
        eyes.go("/consents/account")
        yield "desk account of nobody yet"
        self.leave()

    def case(self, button: str) -> None:
        """The first case of the doctor who asked that offers this button."""
        name = next(one.name for one in story.ACCOUNTS if one.login == self.asker)
        cases = self.page.locator("tr", has_text=name).locator("a[href*='/cases/']").all()
        for address in [one.get_attribute("href") or "" for one in cases]:
            self.page.goto(address)
            if self.page.locator(f"button[value={button}]").count():
                return
        raise AssertionError(f"no case to {button}")

    def officers(self) -> Iterator[str]:
        eyes, page = self.eyes, self.page
        eyes.enter(self.officer)
        yield "privacy"
        self.enrol()
        eyes.go("/privacy")
        self.case("take")
        yield "case"
        eyes.press("button[value=take]")
        yield "case in hand"
        self.post("button[value=decide]")
        yield "case wrong"
        page.fill("#question", "当晚为什么没有就诊登记？")
        eyes.press("button[value=ask]")
        yield "case asked"
        self.leave()
        eyes.enter(self.asker)
        yield "look-up with a question"
        eyes.go("/emergency/questions")
        yield "emergency questions"
        page.fill("main textarea", "x")
        self.post("main .primary")
        yield "emergency questions wrong"
        page.fill("main textarea", "急诊系统当晚停机，已补登记")
        eyes.press("main .primary")
        self.leave()
        eyes.enter(self.officer)
        self.case("decide")
        page.check("input[value='not-justified']")
        page.fill("#words", "补登记查无此事，没有理由")
        self.step_up()
        eyes.press("button[value=decide]")
        yield "case decided"
        self.leave()
        eyes.enter(self.second)
        self.case("second")
        yield "case for a second officer"
        eyes.go("/privacy/explain")
        page.fill("#number", MOTHER.number)
        eyes.press("main .primary")
        yield "explained"
        self.leave()

    def offices(self) -> Iterator[str]:
        eyes = self.eyes
        eyes.enter("it-office")
        eyes.go("/messages?hours=0")
        yield "messages of all days"
        eyes.press(eyes.page.locator("td.when a").first)
        eyes.press("button[value=try]")
        yield "message tried"
        self.leave()
        eyes.enter("commission")
        eyes.go("/county/line?kind=element&id=YX007")
        yield "county line of an element"
        eyes.go("/county/line?kind=system")
        self.post("main .primary")
        yield "county line wrong"
        self.leave()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_is_open_to_everybody_fits_a_telephone_and_asks_nobody_else(
    chromium: Browser, town: OwnTown, language: str
) -> None:
    eyes = Eyes(chromium, town.address, viewport={"width": PHONE[0], "height": PHONE[1]})
    eyes.context.set_default_timeout(20_000)
    eyes.context.add_init_script(Axe().axe_script)
    eyes.go("/sign-in")
    if language == "en":
        eyes.in_english()
    seen: list[str] = []
    faults: list[str] = []
    hostile = False
    for name in Walk(eyes, town, language).pages():
        page = eyes.page
        seen.append(name)
        harness.unfold(page)
        wrong = harness.accessible(page) + harness.whole(page) + eyes.violations()
        wrong += harness.fits(page, (WIDE, PHONE))
        faults += [f"{name}: {one}" for one in wrong]
        hostile = hostile or HOSTILE in page.inner_text("body")
    eyes.context.close()
    assert "\n".join(faults + eyes.trouble) == ""
    assert hostile, "a name stands as it is written"
    assert harness.told_in(eyes.addresses, town) == []
    assert len(seen) == len(set(seen)) > 60
