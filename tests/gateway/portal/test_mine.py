"""Residents' own pages in Chromium over a real county: by keyboard, without scripts, on a telephone."""

from __future__ import annotations

import contextlib
import re
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_file
from playwright.sync_api import Browser

import gateway.portal
from gateway.exchange import looked
from gateway.portal import printed
from gateway.store import oversight as listed
from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import CHILD, MOTHER, PASSWORD, UNCLE, OwnTown

pytestmark = pytest.mark.browser
PORTAL = Path(gateway.portal.__file__).parent
JARGON = (
    "授权", "数据", "主体", "访问", "权限", "查阅", "受限", "检索", "令牌", "策略", "机构", "诊疗",
    "撤回", "撤销", "披露", "个人信息", "元数据", "条款", "知情", "系统管理员", "审计", "敏感",
)  # fmt: skip


@pytest.fixture
def window(chromium: Browser, town: OwnTown) -> Iterator[Any]:
    """Opens browsers of people; afterwards nothing bad may have happened in any."""
    opened: list[Eyes] = []

    def open(login: str = "", **options: Any) -> Eyes:
        eyes = Eyes(chromium, town.address, accept_downloads=True, **options)
        eyes.context.set_default_timeout(30_000)
        opened.append(eyes)
        if login:
            eyes.enter(login)
        return eyes

    yield open
    for eyes in opened:
        eyes.context.close()
    assert [eyes.trouble for eyes in opened if eyes.trouble] == []


def give(eyes: Eyes, town: OwnTown, kind: str = "share") -> None:
    """Choose, read what changes, sign."""
    page = eyes.go("/mine/consents/new")
    page.check(f"input[value={kind}]")
    eyes.press(".options > .primary")
    assert page.locator("section.card li, section.card p").count()
    eyes.press("main form .primary")
    page.fill("#code", town.post.code(MOTHER.phone))
    eyes.press("main form .primary")


def test_a_consent_is_given_and_taken_back_by_keyboard_alone_and_the_doctors_next_click_is_shut(
    window: Any, town: OwnTown
) -> None:
    eyes = window(town.logins["mother"])
    doctor = window("dr-li")
    shown = doctor.look_up(MOTHER.number)
    shown.fill("textarea", "复诊，患者在场要求查看肝功能")
    shown.check("input[name=declared]")
    doctor.press("main form .primary")
    assert "62.40" not in shown.content()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"Tab never reaches {selector}")

    page = eyes.go("/mine/consents")
    tab_to("a.primary")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to("input[name=kind]")
    page.keyboard.press("Space")
    tab_to(".options > button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to("main form button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'code'")  # it has the focus by itself
    page.keyboard.type(town.post.code(MOTHER.phone))
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "签好了" in page.inner_text("main")

    doctor.look_up(MOTHER.number)
    assert "62.40" in shown.content()
    page = eyes.go("/mine/consents")
    tab_to("a[href$=take-back]")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to("main .danger")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "收回了" in page.inner_text("main")
    shown.reload()
    assert "62.40" not in shown.content()


def test_everything_works_without_scripts_and_leaves_its_events(window: Any, town: OwnTown) -> None:
    def count(kind: str) -> int:
        narrow = listed.Narrow(kind=kind, actors=(town.logins["mother"],))
        return town.do(town.services.db.session(listed.events, narrow, 0, 1)).total

    kinds = ("signing-code", "signature", "consent-create", "consent-explain", "audit-read")
    before = {kind: count(kind) for kind in kinds}
    eyes = window(town.logins["mother"], java_script_enabled=False)
    page = eyes.go("/mine/consents/new")
    page.check("input[value=refuse-all]")
    page.click(".options > .primary")
    page.click("main form .primary")
    page.fill("#code", town.post.code(MOTHER.phone))
    page.click("main form .primary")
    assert page.locator("a[href$='receipt.pdf']").count() == 1
    page.goto("/portal/mine/looked")
    said = page.locator("h2.section").all_inner_texts() + page.locator("summary").all_inner_texts()
    listed_there = sum(int(n) for text in said for n in re.findall(r"：(\d+) 次", text))
    now = {kind: count(kind) - before[kind] for kind in kinds}
    assert now == dict.fromkeys(kinds, 1)

    # What the page counts is what the log holds (it was read before its own event was written).
    from gateway.exchange import acting
    from gateway.store import charts as rows

    own = town.do(acting.own_account(town.logins["mother"], town.services))
    assert own is not None
    charts = town.do(rows.grounds(town.services.db, own.chart, "")).charts
    tags = tuple(town.services.log.tag(row.id) for row in charts)
    since = town.services.now() - looked.WINDOW * 86_400_000_000
    narrow = listed.Narrow(tags=tags, since=since)
    there = town.do(town.services.db.session(listed.events, narrow, 0, 1)).total
    assert listed_there == there - 1
    # A refusal opens something when it ends: the code is asked for again.
    page.goto("/portal/mine/consents")
    page.locator("li.card:not(.past) a[href$=take-back]").first.click()
    page.click("main .danger")
    page.fill("#code", town.post.code(MOTHER.phone))
    page.click("main form .primary")
    assert "收回了" in page.inner_text("main")


def test_the_receipt_is_a_file_that_names_consent_version_time_and_proof(
    window: Any, town: OwnTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[str] = []
    real = printed.pdf
    monkeypatch.setattr(printed, "pdf", lambda html: (laid.append(html), real(html))[1])
    eyes = window(town.logins["aunt"])
    give(eyes, town)
    page = eyes.page
    version, digest = page.locator("dd.code").all_inner_texts()[1:]
    address = page.locator("a[href$='receipt.pdf']").get_attribute("href")
    with page.expect_download() as got:
        page.click("a[href$='receipt.pdf']")
    got.value.save_as(tmp_path / "receipt.pdf")
    content = (tmp_path / "receipt.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"NotoSansCJK" in content + b"".join(_streams(content))  # its font is inside
    flat = re.sub(r"<[^>]*>|\s", "", laid[0])
    for said in (
        version, digest, "+08:00", "同意回执", "给我看病的医院", "用手机验证码签的", "第页，共页",
        "0573-00000000", "&lt;imgsrc=x",
    ):  # fmt: skip
        assert said in flat, said
    stranger = window("dr-li")
    assert stranger.page.request.get(f"{town.address}{address}").status in {403, 404}


def _streams(content: bytes) -> Iterator[bytes]:
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", content, re.S):
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(found[1])


def test_a_receipt_fetches_nothing() -> None:
    """Neither from elsewhere nor from this machine's own files."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        listening.settimeout(0.2)
        there = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        page = f"<html lang='zh'><head><title>x</title></head><img src='{there}' alt='x'></html>"
        assert printed.pdf(page).startswith(b"%PDF-")
        with pytest.raises(TimeoutError):
            listening.accept()
    secret = (
        "<html lang='zh'><head><title>x</title></head><object data='file:///etc/passwd'></html>"
    )
    assert b"root:" not in b"".join(_streams(printed.pdf(secret)))


def test_a_question_becomes_a_case_with_its_day(window: Any, town: OwnTown) -> None:
    doctor = window("dr-wang")
    doctor.look_up(MOTHER.number)
    eyes = window(town.logins["mother"])
    page = eyes.go("/mine/looked")
    eyes.press(page.locator("main form button:visible").first)
    assert re.search(r"20\d\d-\d\d-\d\d 以前答复", page.inner_text("main"))
    page.fill("#words", "我不认识这位医生，为什么看我")
    eyes.press("main form .primary")
    assert "15 天内会答复" in page.inner_text("main")


def test_a_resident_reaches_nobody_elses_page(window: Any, town: OwnTown) -> None:
    eyes = window(town.logins["mother"])
    for path in ("/consents", "/audit", "/look-up", "/mine/consents/" + "0" * 32, "/sources"):
        eyes.go(path)
        assert MOTHER.number not in eyes.page.content()
        assert eyes.page.locator("h1").count() == 1
    other = window("dr-li")
    assert other.page.goto("/portal/mine/consents").status == 403


def test_the_desk_opens_an_account_whose_password_it_never_sees_and_records_who_acts(
    window: Any, town: OwnTown, tmp_path: Path
) -> None:
    desk = window("registrar")
    page = desk.go("/consents/find")
    desk.find(UNCLE.number)
    desk.go("/consents/account")
    page.fill("#name", UNCLE.name)
    page.fill("#phone", "10055556666")
    desk.press("main form:has(#phone) button.primary")
    assert "先核对证件" in page.inner_text("main")
    page.check("input[name=seen]")
    desk.press("main form:has(#phone) button.primary")
    page.fill("#code", town.post.code("10055556666"))
    desk.press("main form:has(#code) button.primary")
    assert "账户开好了" in page.inner_text("main")
    secret = town.post.code("10055556666")
    assert secret not in page.content()
    login = page.locator("dd.code").first.inner_text()

    owner = window()
    mine = owner.go("/first-password")
    for field, typed in (("login", login), ("code", secret), ("password", PASSWORD)):
        mine.fill(f"#{field}", typed)
    mine.fill("#again", "another-one")
    owner.press("main form .primary")
    assert "不一样" in mine.inner_text("main")
    for field, typed in (("code", secret), ("password", PASSWORD), ("again", PASSWORD)):
        mine.fill(f"#{field}", typed)
    owner.press("main form .primary")
    owner.enter(login)
    assert UNCLE.name in mine.inner_text("h1")

    desk.go("/consents/find")
    desk.find(CHILD.number)
    desk.go("/consents/account")
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"%PDF-1.4 a document")
    page.fill("#helper", login)
    page.fill("#witness", "周立")
    page.set_input_files("#evidence", scan)
    page.select_option("#ground", "mandate")
    desk.press("main form:has(#helper) button.primary")
    assert page.locator("main [role=alert]").count() == 1  # a birth certificate is no mandate
    page.select_option("#ground", "guardian")
    page.fill("#witness", "周立")
    page.set_input_files("#evidence", scan)
    desk.press("main form:has(#helper) button.primary")
    assert "代办权已登记" in page.inner_text("main")
    owner.go("/mine")
    owner.press("form:has(input[name=for]) button")
    assert CHILD.name in mine.inner_text("h1")

    card = page.locator("li.card", has_text=UNCLE.name)
    card.locator("input[name=why]").fill("（2026）云法民字第 8 号")
    desk.press(card.locator("button[value=stop]"))
    owner.go("/mine/results")  # the old session: the next click is over
    assert "62.40" not in mine.content()
    assert "不能替这个人办事" in mine.inner_text("main")


def sentences() -> list[str]:
    """What the own pages say in Chinese."""
    said: list[str] = []
    pages = [*sorted((PORTAL / "templates").glob("mine*.html")), PORTAL / "mine_words.py"]
    pages += [PORTAL / "templates" / "receipt.html", PORTAL / "templates" / "first-password.html"]
    for page in pages:
        method = "python" if page.suffix == ".py" else "jinja2"
        options = {"newstyle_gettext": "true", "silent": "false"} if method == "jinja2" else {}
        said += [str(found[1]) for found in extract_from_file(method, str(page), options=options)]
    return said


def test_a_child_of_twelve_can_read_it() -> None:
    """Sentences of at most thirty characters, without a term of the trade."""
    said = sentences()
    assert len(said) > 150
    parts = [part for text in said for part in re.split(r"[。？！]", text)]
    assert [part for part in parts if len(re.sub(r"%\(\w+\)s", "", part)) > 30] == []
    assert [(word, text) for text in said for word in JARGON if word in text] == []
