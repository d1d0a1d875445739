"""The pages in real Chromium: what people see, by keyboard alone, without scripts, on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from gateway.portal import desk, image_stories, stories
from gateway.recognition.reasons import Declined
from tests.gateway.portal import harness, paper
from tests.gateway.portal.conftest import County, Eyes
from tests.gateway.portal.fake_records import NUMBER, STRANGER, UNSIGNED

pytestmark = pytest.mark.browser


def every_page(eyes: Eyes) -> Iterator[str]:
    """Walk through all pages; yields a name while each is open."""
    page = eyes.go("/sign-in")
    yield "sign-in"
    eyes.sign_in("zhou")
    yield "look-up"
    for number, name in (
        (NUMBER[:-1] + "4", "misread"),
        (STRANGER, "claim"),
        (UNSIGNED, "refused"),
    ):
        eyes.look_up(number)
        yield name
    eyes.look_up(NUMBER)
    yield "results"
    reports = [a.get_attribute("href") or "" for a in page.locator(".open, .exam-title").all()]
    for n, report in enumerate(reports):
        page.goto(report)
        yield f"report {n}"
    eyes.go("/nowhere")
    yield "problem"
    eyes.sign_out()
    eyes.sign_in("lin")
    yield "find"
    eyes.find(NUMBER)
    yield "consents"
    page.check("input[value=category]")
    eyes.press(".options .primary")
    yield "preview"
    eyes.go("/consents")
    eyes.press(page.locator("li.card a.button").first)
    yield "withdraw"
    eyes.sign_out()
    eyes.sign_in("gu")
    yield "audit"
    eyes.go("/audit/alarms")
    yield "alarms"
    eyes.go("/audit/verify")
    eyes.press("main button")
    yield "verify"
    eyes.sign_out()
    eyes.sign_in("he")
    yield "sources"
    for path in (
        "/quarantine",
        "/issues",
        "/quality",
        "/labels",
        "/quality?source=tcm-lis",
        "/quality?source=mch-fhir",
        "/unmapped",
        "/unmapped?ignored=yes",
        "/releases",
    ):
        eyes.go(path)
        yield path
    eyes.sign_out()
    eyes.sign_in("bai")
    eyes.go("/privacy/explain")
    eyes.find(NUMBER)
    yield "explain"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_page_breaks_its_policy_asks_elsewhere_overflows_or_names_a_person_in_its_address(
    eyes: Eyes, county: County, language: str
) -> None:
    if language == "en":
        eyes.go("/sign-in")
        eyes.in_english()
    for name in every_page(eyes):
        page = eyes.page
        assert eyes.violations() == [], name
        assert page.locator("h1").count() == 1, name
        assert page.locator("html").get_attribute("lang") == {"zh": "zh-CN", "en": "en"}[language]
        nameless = page.evaluate(
            """[...document.querySelectorAll('input:not([type=hidden]),select,textarea,button')]
               .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).length"""
        )
        assert nameless == 0, name
        for width in (1366, 1024, 375):
            page.set_viewport_size({"width": width, "height": 768})
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{name} is {over} px too wide at {width}"

    known = {NUMBER, STRANGER, UNSIGNED, county.stories.resident.chart}
    known |= {one.id for report in county.stories.reports for one in (report, *report.results)}
    known |= {consent.id for consent in county.stories.on_file}
    paths = [address.removeprefix(eyes.address) for address in eyes.addresses]
    assert [a for a in paths if any(secret in a for secret in known)] == []
    assert [a for a in paths if re.search(r"\d{15}", a)] == []


def test_results_stand_digit_by_digit_as_issued(eyes: Eyes) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)

    def row(item: str) -> list[str]:
        cells = page.locator("tr", has=page.locator("th[scope=row]", has_text=item)).first
        return [cell.inner_text().strip().replace("\n", "") for cell in cells.locator("td").all()]

    assert row("葡萄糖")[:3] == ["6.10", "mmol/L", "3.9-6.1"]
    assert row("中性粒细胞百分比")[0] == "82.10"
    assert row("高敏肌钙蛋白I")[0] == "<0.01"
    assert row("抗核抗体滴度")[0] == "1:80"
    assert row("乙肝表面抗原")[0] == "阴性(-)"
    # A flag is an arrow and a word, and the issuer's own spelling when it is another.
    assert row("白细胞计数")[3] == "↑偏高"
    assert row("糖化血红蛋白")[3].split() == ["↑偏高H"]
    assert row("抗核抗体滴度")[3].split() == ["?标记未识别★"]
    # A day stays a day, a moment is told in the county's zone.
    assert row("空腹血糖")[5] == "2025-12-19"
    assert row("白细胞计数")[5] == "2026-02-28 07:12"
    assert "已作废" in row("尿酸")[6]
    assert "全国HR" in row("白细胞计数")[7]
    assert "超过互认时限" in row("高敏肌钙蛋白I")[7]


def test_a_number_never_breaks_over_two_lines(eyes: Eyes) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)
    for width, media in ((1366, "screen"), (780, "screen"), (375, "screen"), (703, "print")):
        page.set_viewport_size({"width": width, "height": 768})
        page.emulate_media(media=media)
        broken = page.evaluate(
            """[...document.querySelectorAll('.value')].filter(e => {
             const words = document.createRange(); words.selectNodeContents(e);
             const lines = [...words.getClientRects()];  // one per font, too: compare the heights
             return Math.max(...lines.map(r => r.top)) > Math.min(...lines.map(r => r.bottom)) - 2;
           }).map(e => e.textContent)"""
        )
        assert broken == [], (width, media)


def test_a_silent_hospital_is_named_not_hidden(eyes: Eyes) -> None:
    eyes.sign_in("zhou")
    strip = eyes.look_up(NUMBER).locator(".strip")

    assert "未应答 柳溪镇卫生院" in strip.inner_text().replace("\n", " ").replace("✕", "")
    assert "可能不在下表中" in strip.inner_text()


def test_abnormal_only_keeps_what_the_issuer_flagged_and_says_so(eyes: Eyes) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)
    eyes.press(page.get_by_role("link", name="仅异常 9"))

    assert page.locator(".results th[scope=row]").count() == 9
    assert page.get_by_text("已隐藏没有异常提示的结果").is_visible()


def test_unknown_and_not_treated_here_look_the_same(eyes: Eyes, county: County) -> None:
    eyes.sign_in("zhou")
    known = eyes.look_up(STRANGER).locator("main").inner_text()
    county.stories.claim_found = False
    unknown = eyes.look_up(STRANGER).locator("main").inner_text()

    assert known == unknown
    assert "没有可以直接查阅的记录" in known


def test_a_claim_needs_its_words_and_is_marked_on_every_page(eyes: Eyes, county: County) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(STRANGER)
    page.check("[name=declared]")
    page.fill("#reason", "看病看病看病")
    page.locator("form.warn-card").evaluate("form => form.noValidate = true")
    eyes.press("main .primary")
    assert page.get_by_text("理由太短").is_visible()

    page.fill("#reason", "急诊抢救室接诊，尚未建档")
    eyes.press("main .primary")
    assert county.stories.told == [("claim", "急诊抢救室接诊，尚未建档")]
    assert "您自述的诊疗关系" in page.locator(".banner").inner_text()


def test_the_main_path_works_by_keyboard_alone(eyes: Eyes, county: County) -> None:
    page = eyes.go("/sign-in")
    page.keyboard.type("zhou")  # the first field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type(county.people.demo_accounts()[0].password)
    page.keyboard.press("Enter")
    expect(page.locator("#number")).to_be_focused()
    page.keyboard.type(NUMBER)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("概览")
    page.goto("/portal/results?view=list")

    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.className")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "focus must be seen"
        if focused == "open":
            break
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("血常规 + CRP")
    page.wait_for_load_state()
    page.keyboard.press("Alt+y")  # in every browser, whatever it calls its access keys

    expect(page.locator(".notice")).to_contain_text("结果获得认可")
    (told,) = county.stories.told
    assert (told[0], len(told[2]), told[3].outcome) == ("decide", 6, "accepted")
    assert {target.version for target in told[2]} == {"1"}
    assert page.locator("td.recognition", has_text="周明").count() == 6
    page.reload()
    assert page.locator(".notice").count() == 0, "said once"


def test_a_code_signs_with_the_keyboard_alone_and_a_wrong_one_may_be_typed_again(
    eyes: Eyes, county: County
) -> None:
    eyes.sign_in("lin")
    page = eyes.find(NUMBER)
    page.check("[value=share]")
    eyes.press(".options .primary")
    assert "138****1234" in page.locator("main").inner_text()
    page.focus("#code-signer")
    page.keyboard.press("ArrowDown")  # nobody signs by default
    page.keyboard.press("Tab")
    page.keyboard.type("沈芷")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "code"
    for typed, wrong in (("000000", 1), ("123456", 0)):
        page.keyboard.type(typed)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator("[role=alert]").count() == wrong
    assert "有效" in page.locator(".consents li").first.inner_text()
    told = [one[0] for one in county.stories.told]
    assert told == ["send-code", "sign", "sign", "record"]
    assert county.stories.told[0][1].witness == "沈芷"


def test_declining_names_its_reason_and_its_words(eyes: Eyes, county: County) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)
    eyes.press(page.locator(".exam-title").first)
    page.select_option("#reason", "08")
    page.fill("#words", "右上腹痛加重")
    page.check("[name=explained]")
    eyes.press("[value=declined]")

    ((_, _, targets, verdict),) = county.stories.told
    assert (verdict.reason, verdict.words, verdict.explained) == ("08", "右上腹痛加重", True)
    assert len(targets) == 1
    assert "右上腹痛加重" in page.locator(".side").inner_text()


def test_everything_works_with_scripts_off(chromium: Browser, county: County) -> None:
    eyes = Eyes(chromium, county.address, java_script_enabled=False)
    page = eyes.sign_in("zhou")
    eyes.look_up(NUMBER)
    assert page.locator(".results th[scope=row]").count() == 17
    eyes.press(page.locator(".open").first)
    # Access keys are matched on the letter that would have been typed; Playwright leaves it out.
    keys = eyes.context.new_cdp_session(page)
    for kind in ("rawKeyDown", "char"):
        keys.send(
            "Input.dispatchKeyEvent",
            {"type": kind, "modifiers": 1, "key": "y", "text": "y", "unmodifiedText": "y"},
        )
    expect(page.locator(".notice")).to_be_visible()
    eyes.sign_out()

    eyes.sign_in("lin")
    eyes.find(NUMBER)
    page.check("[value=refuse-all]")
    eyes.press(".options .primary")
    page.set_input_files(
        "#evidence", {"name": "scan.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4"}
    )
    page.fill("#witness", "沈芷")
    page.select_option("#signer", "resident")
    eyes.press("main .primary")
    assert "拒绝一切共享" in page.locator(".consents li").first.inner_text()
    eyes.press(page.locator("li.card a.button").first)
    page.fill("#witness", "沈芷")
    eyes.press(".danger")
    assert "不再以它为依据" in page.locator(".notice").inner_text()
    assert [told[0] for told in county.stories.told] == ["decide", "record", "withdraw"]
    eyes.context.close()


def test_what_is_read_to_the_resident_names_the_hospital_and_the_category(eyes: Eyes) -> None:
    eyes.sign_in("lin")
    page = eyes.page
    eyes.find(NUMBER)
    page.check("[value=category]")
    page.select_option("#organization", "tcm")
    page.select_option("#category", "PSY")
    eyes.press(".options .primary")

    assert page.locator(".read-aloud").inner_text() == (
        "本人许可：云溪县中医医院为给我诊疗，可以查阅我被列为“精神卫生”的受限记录。其他机构仍不能查阅这类记录。"
    )


def test_a_sum_that_does_not_agree_is_said_loudly(eyes: Eyes) -> None:
    page = eyes.sign_in("he")

    assert (
        page.locator("tr", has_text="township-csv").locator(".mark.bad").text_content()
        == "✕对不上，请立即报告"
    )
    assert page.locator(".mark.bad").count() == 1


def test_altered_evidence_of_a_decision_is_said_loudly_and_its_content_not_at_all(
    eyes: Eyes,
) -> None:
    eyes.context.add_init_script(Axe().axe_script)
    eyes.sign_in("gu")
    page = eyes.go("/audit")
    eyes.press("a[href$='/audit/decisions/10482']")
    said = page.locator("main").inner_text()
    assert all(one in said for one in ("证据完整", "有效", "annex-d-2", "c" * 64, "1.4", "f" * 64))
    eyes.go("/audit/decisions/10400")
    said = page.locator(".verdict.bad").inner_text()
    assert "证据记录被改动" in said
    assert "无法认定" in said
    eyes.in_english()
    assert "The evidence row was changed" in page.locator(".verdict.bad").inner_text()
    assert harness.accessible(page) + eyes.violations() == []
    assert harness.fits(page, ((1366, 768), (375, 812))) == []


def test_a_log_that_does_not_verify_names_the_first_failure(eyes: Eyes, county: County) -> None:
    county.stories.sound = False
    eyes.sign_in("gu")
    page = eyes.go("/audit/verify")
    eyes.press("main .primary")

    verdict = page.locator(".verdict").inner_text()
    assert "日志核验未通过" in verdict
    assert "第 9121 条" in verdict
    assert "叶子与正文的散列不符" in verdict
    assert "互认统计事件有 1 条已不在库中" in verdict


def test_a_proposal_is_approved_by_another_and_what_changed_meanwhile_is_not(
    eyes: Eyes, county: County
) -> None:
    eyes.sign_in("he")
    page = eyes.go("/releases")
    cards = page.locator("li.card")
    own, other = cards.nth(0).inner_text(), cards.nth(1)

    assert "未对照 → 2064-4" in own
    assert "1200" in own
    assert "您提交的，由另一人决定。" in own
    assert cards.nth(0).locator("button").count() == 0
    assert "还没有试运行" in other.inner_text()
    eyes.press(other.locator("button.primary"))
    assert county.stories.told[-1] == ("decide_release", 4, True)
    assert "已批准" in page.locator(".notice").inner_text()

    page.evaluate("document.querySelector('tbody form input[name=about]').value = 'x'")
    eyes.press("tbody button")
    assert "内容刚刚有了新版本" in page.locator("main").inner_text()
    assert county.stories.told[-1] == ("decide_release", 4, True)


HOSTILE = "<img src=x onerror=alert(1)>\"'>&amp;%(x)s{{7*7}}"


def poisoned(value: Any, poison: str = HOSTILE) -> Any:
    """The same view with hostile text in every field that is text and no code."""
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value), localns=vars(image_stories) | vars(stories))
        changes: dict[str, Any] = {}
        for one in fields(value):
            held = getattr(value, one.name)
            if (
                one.name in {"id", "chart", "version", "newer"}
                or get_origin(hints[one.name]) is Literal
            ):
                continue
            if isinstance(held, str):
                changes[one.name] = poison if held else held
            elif isinstance(held, tuple):
                changes[one.name] = tuple(poisoned(item, poison) for item in held)
            elif isinstance(held, Mapping):
                changes[one.name] = dict.fromkeys(held, poison)
            elif is_dataclass(held):
                changes[one.name] = poisoned(held, poison)
        return replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(poisoned(item, poison) for item in value)
    return poison if isinstance(value, str) else value


def poison(county: County, text: str) -> None:
    """Every story answers with hostile text in all its fields."""
    told_by: Any = county.stories
    for name in ("open_resident", "results", "report", "consents", "accesses", "alarms", "verify",
                 "sources", "quarantine", "issues", "quality", "unmapped", "releases",
                 "explain", "explain_offered", "consent_effects", "withdrawal_effects", "labels"):  # fmt: skip
        told = getattr(told_by, name)

        async def answer(*args: Any, _told: Any = told) -> Any:
            found = await _told(*args)
            if isinstance(found, tuple):
                return tuple(poisoned(one, text) for one in found)
            return poisoned(found, text)

        setattr(told_by, name, answer)


def test_hostile_text_is_shown_as_text_on_every_page(eyes: Eyes, county: County) -> None:
    eyes.page.on("dialog", lambda _: eyes.trouble.append("a dialog opened"))
    poison(county, HOSTILE)
    seen = 0
    for name in every_page(eyes):
        assert eyes.page.locator("img[src=x]").count() == 0, name
        assert eyes.violations() == [], name
        assert "{{7*7}}" in HOSTILE
        seen += HOSTILE in eyes.page.locator("body").inner_text()
    assert seen >= 8


class Pseudo(NullTranslations):
    """Marks whatever goes through translation."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"


def test_no_page_says_anything_that_is_not_marked_for_translation(
    chromium: Browser, county: County, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "translations", lambda: {"zh": Pseudo()})
    served.county = county = County(county.address)
    data = "⟪d⟫"
    poison(county, data)
    eyes = Eyes(chromium, county.address)
    for name in every_page(eyes):
        text = eyes.page.evaluate(
            """() => { const copy = document.body.cloneNode(true);
            copy.querySelectorAll('kbd,.who,.account,.filters').forEach(e => e.remove());
            const said = [document.title, copy.textContent];
            for (const e of copy.querySelectorAll('[aria-label],[title],[alt],[data-label]'))
              for (const a of ['aria-label', 'title', 'alt', 'data-label'])
                said.push(e.getAttribute(a) || '');
            return said.join(' '); }"""
        )
        for reason in Declined:  # the list has both languages itself
            text = text.replace(reason.zh, " ")
        while "⟦" in text:
            text, before = re.sub(r"⟦[^⟦⟧]*⟧", " ", text), text
            if text == before:
                break
        left = re.findall(
            r"[A-Za-z\u4e00-\u9fff]+", re.sub(rf"{data}|\b[0-9a-f]{{32}}\b", " ", text)
        )
        # Codes of the rule and the last character of a masked number are the same in any language.
        assert [w for w in left if w not in {"E", "X"}] == [], name
    eyes.context.close()


def test_every_sheet_says_who_it_is_about_who_printed_it_when_from_where_and_which_it_is(
    eyes: Eyes,
) -> None:
    eyes.sign_in("zhou")
    page = eyes.look_up(NUMBER)

    sheets = paper.pages(page.pdf(format="A4"))

    assert len(sheets) > 1
    for n, sheet in enumerate(sheets, 1):
        assert sheet.startswith(f"{n}/{len(sheets)}冯玘·男·46岁·330***")
        assert "打印人周明(演示)(云溪县人民医院),2026-03-0112:00来源:县域健康记录共享·结果" in sheet
    assert NUMBER not in "".join(sheets)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("sheet", ["tokens.css", "dark.css"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [("ink", "ground"), ("soft", "ground"), ("soft", "tint"), ("mid", "raised"), ("brand", "tint"),
     ("tint-ink", "tint"), ("good", "good-tint"), ("warn", "warn-tint"), ("bad", "bad-tint"),
     ("red", "paper"), ("blue", "paper"), ("on-brand", "brand"), ("on-brand", "brand-deep"),
     ("on-bad", "bad"), ("on-bad", "bad-deep"), ("on-frame", "frame"), ("demo-ink", "demo-two")],
)  # fmt: skip
def test_every_ink_is_readable_on_its_paper(ink: str, paper: str, sheet: str) -> None:
    css = (Path(desk.__file__).parent / "style" / sheet).read_text("utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))
    light, dark = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3
