"""The page of the county's policy in real Chromium: read, propose, decide; in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser

from consent import policy as policy_files
from consent.difference import difference
from gateway.errors import Kind, Problem
from gateway.portal.policy_county import view
from gateway.portal.policy_stories import PolicyView
from gateway.services.caller import Caller
from gateway.store.policies import VersionRow
from tests.gateway.portal.conftest import County, Eyes, Served
from tests.gateway.portal.fake_county import FakeStories

pytestmark = pytest.mark.browser
ZONE = "Asia/Shanghai"
IN, OUT = (policy_files.preset(name) for name in ("cn-optin", "opt-out"))
AT = 1_780_000_000_000_000
HOSTILE = "<img src=x onerror=alert(1)>{{7*7}}"


def row(number: int, text: bytes, state: str, **more: Any) -> VersionRow:
    given = {
        "number": number, "hash": sha256(text).hexdigest(), "text": text, "state": state,
        "base": number - 1, "note": "县里的决定", "report": "", "proposed_by": "wu",
        "organization": "people", "proposed_at": AT, "decided_by": "", "decided_at": 0,
        "reason": "", "since": 0, "until": 0, "signature": b"",
    }  # fmt: skip
    return VersionRow(**{**given, **more})


@dataclass
class Office(FakeStories):
    """Versions kept in a list; what was decided is written down."""

    rows: list[VersionRow] = field(
        default_factory=lambda: [
            row(1, IN, "in-force", base=0, proposed_by="operator", since=AT, note="首个版本"),
            row(2, OUT, "proposed"),
            row(3, OUT + b"#", "refused", decided_by="bai", reason="不合适"),
            row(4, OUT + b"##", "proposed", proposed_by="bai"),
        ]
    )

    async def policy(self, caller: Caller) -> PolicyView:
        now = policy_files.parse(IN, ZONE)
        changes = {
            one.number: difference(now, policy_files.parse(one.text, ZONE)) for one in self.rows
        }
        may = {one.number for one in self.rows if one.proposed_by != caller.user}
        return view(now, self.rows, {}, changes, caller, lambda one: one.number in may)

    async def policy_file(self, caller: Caller) -> bytes:
        return IN

    async def propose_policy(self, text: bytes, note: str, caller: Caller) -> None:
        try:
            policy_files.parse(text, ZONE)
        except policy_files.PolicyFault as fault:
            raise Problem(Kind.UNPROCESSABLE, str(fault)) from None
        self.told.append(("propose", note))

    async def approve_policy(self, number: int, seen: str, reason: str, caller: Caller) -> None:
        self.told.append(("approve", number, seen, reason))

    async def refuse_policy(self, number: int, reason: str, caller: Caller) -> None:
        self.told.append(("refuse", number, reason))


@pytest.fixture
def office(served: Served) -> Office:
    stories = Office()
    served.county = County(served.address, stories=stories)
    return stories


@pytest.fixture
def eyes(chromium: Browser, served: Served, office: Office) -> Iterator[Eyes]:
    """A privacy officer at the page of the policy."""
    seen = Eyes(chromium, served.address)
    seen.sign_in("bai")
    seen.go("/privacy/policy")
    yield seen
    seen.context.close()
    assert seen.trouble == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_policy_is_read_in_plain_words_at_every_width(eyes: Eyes, language: str) -> None:
    page = eyes.page
    if language == "en":
        eyes.in_english()
    text = page.locator("main").inner_text()

    assert eyes.violations() == []
    assert page.locator("h1").count() == 1
    for said in {
        "zh": ("没有签字时", "患者同意后，或患者在场时", "艾滋病病毒感染（HIV）", "4 小时", "没有第二人批准"),
        "en": ("when nothing was signed", "after consent or when the patient is present",
               "HIV (HIV)", "4 hours", "no second person approved it"),
    }[language]:  # fmt: skip
        assert said in text
    for width in (1366, 1024, 375):
        page.set_viewport_size({"width": width, "height": 768})
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{over} px too wide at {width}"
    if language == "en":
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        body = page.locator("main").inner_text()
        left = {word for word in body.split() if any("\u4e00" <= c <= "\u9fff" for c in word)}
        assert left <= {"首个版本", "县里的决定", "不合适", "传染病防治法,"}, "people's own words"


def test_anothers_proposal_is_approved_with_a_word_of_why_and_ones_own_only_taken_back(
    eyes: Eyes, office: Office
) -> None:
    page = eyes.page
    theirs, own = (page.locator(f"li.card:has(#reason-{number})") for number in (2, 4))
    assert "由“患者同意后，或患者在场时”改为“默认可以”" in theirs.inner_text()
    assert "更开放" in theirs.inner_text()
    assert own.locator("button[value=approve]").count() == 0
    assert "由另一人决定" in own.inner_text()

    page.evaluate("document.querySelectorAll('[required]').forEach(one => one.required = false)")
    eyes.press(theirs.locator("button[value=approve]"))
    assert "请用几个字说明理由" in page.locator("#why-2").inner_text()
    assert office.told == []
    page.fill("#reason-2", "按县里的决定")
    page.keyboard.press("Enter")
    page.wait_for_selector(".notice")

    assert office.told == [("approve", 2, office.rows[1].hash, "按县里的决定")]
    assert "已批准" in page.locator(".notice").inner_text()
    page.fill("#reason-4", "写错了")
    eyes.press("li.card:has(#reason-4) button[value=refuse]")
    assert office.told[-1] == ("refuse", 4, "写错了")


def test_what_was_read_is_what_is_approved(eyes: Eyes, office: Office) -> None:
    page = eyes.page
    page.fill("#reason-2", "可以")
    page.evaluate(
        "document.querySelector('#reason-2').form.querySelector('[name=seen]').value = 'ab'"
    )
    eyes.press("li.card:has(#reason-2) button[value=approve]")

    assert "内容刚刚有了新版本" in page.locator("main").inner_text()
    assert office.told == []


def test_a_file_is_downloaded_changed_and_proposed_or_told_what_is_wrong(
    eyes: Eyes, office: Office
) -> None:
    page = eyes.page
    with page.expect_download() as download:
        page.get_by_role("link", name="下载现行规则文件").click()
    assert download.value.suggested_filename == "policy.toml"

    def upload(text: bytes) -> None:
        page.set_input_files("#file", {"name": "x.toml", "mimeType": "text/plain", "buffer": text})
        page.fill("#note", "儿童年龄")
        eyes.press("form:has(#file) button")

    upload(IN.replace(b"adult = 18", b"adult = 'x'"))
    assert "ages.adult" in page.locator("#wrong").inner_text()
    assert page.input_value("#note") == "儿童年龄"
    assert office.told == []
    upload(IN.replace(b"self_access = 14", b"self_access = 16"))
    assert office.told == [("propose", "儿童年龄")]
    assert "另一位隐私保护员" in page.locator(".notice").inner_text()


def test_hostile_words_are_shown_as_words(eyes: Eyes, office: Office) -> None:
    said = msgspec.json.encode(
        [{"section": "name", "effect": "opens", "zh": HOSTILE, "en": HOSTILE}]
    ).decode()
    office.rows[:] = [
        one._replace(note=HOSTILE, proposed_by=HOSTILE, reason=HOSTILE, report=said)
        for one in office.rows
    ]
    page = eyes.go("/privacy/policy")

    assert page.locator("img[src=x]").count() == 0
    assert page.locator("main").inner_text().count(HOSTILE) > 4
    assert eyes.violations() == []


def test_it_is_a_page_of_privacy_officers_alone(eyes: Eyes, office: Office) -> None:
    eyes.sign_out()
    for login in ("gu", "he", "zhou"):
        eyes.sign_in(login)
        for path in ("/privacy/policy", "/privacy/policy/file"):
            assert eyes.page.request.get(f"{eyes.address}/portal{path}").status == 403
        eyes.sign_out()
