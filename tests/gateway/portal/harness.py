"""What must be true of every page, and a walk that finds every page by itself.

H1 nothing forbidden, no error, nobody else asked · H2 axe, also in the dark · H4 the answer itself holds
all that is shown, and forms and links work without scripts · H6 in a language of marks nothing of ours
is unmarked · H7 what others wrote is text · H8 on paper who, when and from where stand on it. H3 (keys)
and H5 (events) are stories of their own in test_harness.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from gettext import NullTranslations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from babel.messages.pofile import read_po
from lxml import html
from playwright.sync_api import Page
from starlette.routing import Match, Route

import consent
import gateway.portal
from gateway.portal.languages import CATALOGUES
from tests.gateway.portal.own_town import CHILD, MOTHER, OwnTown

PORTAL = Path(gateway.portal.__file__).parent
OPEN, CLOSE = "⟦", "⟧"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# The watermark is there to be seen through (WCAG 2.2, 1.4.3: decoration); its rules look at what is
# drawn, so style sheets need not be fetched again for them.
_AXE = """tags => axe.run({exclude: '.watermark'},
    {runOnly: tags, resultTypes: ['violations'], preload: false})"""
_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_ALIVE = """[...document.querySelectorAll('#page *')].filter(e => e.matches('script, iframe, object')
    || [...e.attributes].some(a => a.name.startsWith('on') || a.name === 'style')
    || (e.tagName === 'IMG' && !/^(data:|.*assets)/.test(e.getAttribute('src')))).length"""
_COUNTS = """() => ({
    headings: document.querySelectorAll('h1').length,
    nameless: [...document.querySelectorAll('input:not([type=hidden]),select,textarea,button')]
        .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).length,
    clipped: [...document.querySelectorAll('tbody, .card, .table-box')]
        .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth).length})"""
_SMALL = """[...document.querySelectorAll('main a.button, main button, main summary')]
    .filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44).length"""
_CHINESE = re.compile(r"[\u4e00-\u9fff]{2,}")


def accessible(page: Page) -> list[str]:
    """What axe finds, as rule and element."""
    found = page.evaluate(_AXE, WCAG)
    return [f"{v['id']} {n['html']}" for v in found["violations"] for n in v["nodes"]]


def fits(page: Page, sizes: Iterable[tuple[int, int]]) -> list[str]:
    """Widths at which the page is wider than its window; half a window is 200 % zoom."""
    wrong = []
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        if (over := page.evaluate(_WIDE)) > 0:
            wrong.append(f"{over} px too wide at {width}")
    return wrong


def whole(page: Page) -> list[str]:
    """One heading, every field has a name; at this width nothing is cut off or hard to hit."""
    counts = page.evaluate(_COUNTS)
    wrong = [] if counts["headings"] == 1 else ["not one heading"]
    wrong += ["a field without a name"] * counts["nameless"]
    wrong += ["something is cut off"] * counts["clipped"]
    # A resident's fingers may be old and the telephone small.
    small = page.evaluate(_SMALL) if "/portal/mine" in page.url else 0
    return wrong + ["a target that is too small"] * small


def unfold(page: Page) -> None:
    """Open whatever is folded away, so that it is looked at too."""
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true })")


def alive(page: Page) -> list[str]:
    """Elements that could run or fetch something: nothing others wrote may become one."""
    count = page.evaluate(_ALIVE)
    return [f"{count} living elements"] if count else []


def told_in(addresses: Iterable[str], town: OwnTown) -> list[str]:
    """Addresses that name somebody, and so would stay in a log or a history."""
    known = (MOTHER.number, CHILD.number, MOTHER.phone, town.logins["mother"])
    return [one for one in addresses if any(secret in one for secret in known)]


def on_paper(page: Page, printer: str) -> list[str]:
    """Who printed it, when and from where, as the print view shows it."""
    page.emulate_media(media="print")
    head = page.locator(".paper-head")
    says = head.inner_text() if head.count() and head.is_visible() else ""
    page.emulate_media(media="screen")
    refused = page.locator(".print-refusal").count()
    if refused:
        return ["an emergency on paper"] if says else []
    told = (re.escape(printer), r"20\d\d-\d\d-\d\d \d\d:\d\d", "来源")
    return [f"on paper without {one}" for one in told if not re.search(one, says)]


def without_scripts(answer: str, shown: str) -> list[str]:
    """Whether the answer's own text is all that the page with scripts shows, and nothing needs them."""
    tree = html.fromstring(answer)
    wrong = []
    (main,) = tree.xpath("//main")
    if _flat(main.text_content()) != _flat(shown):
        wrong.append("scripts change what is shown")
    for one in tree.xpath("//*[@*[starts-with(name(), 'hx-')]]"):
        if not (one.tag == "a" and one.get("href")) and not (
            one.tag == "form" and one.get("action")
        ):
            wrong.append(f"only scripts make this work: {html.tostring(one)[:80]!r}")
        if not one.get("hx-nonce"):
            wrong.append(f"an element of htmx without its nonce: {html.tostring(one)[:80]!r}")
    posts = tree.xpath("//form[translate(@method, 'POST', 'post') = 'post']")
    tokenless = [one for one in posts if not one.xpath(".//input[@name='csrf']")]
    lost = tree.xpath(
        "//form[not(@action)] | //button[@type='button'][not(@data-print or @hidden)]"
    )
    wrong += [f"leads nowhere: {html.tostring(one)[:80]!r}" for one in lost]
    wrong += [f"a form without its token: {one.get('action')}" for one in tokenless]
    return wrong


def _flat(text: str) -> str:
    return re.sub(r"\s+", "", text)


class Marked(NullTranslations):
    """A language in which every sentence of ours stands between marks."""

    def gettext(self, message: str) -> str:
        return f"{OPEN}{message}{CLOSE}" if message else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def known_sentences() -> frozenset[str]:
    """Everything Chinese that the portal says: in catalogues, and in its own Python files.

    Not what `consent` says of a policy: that comes in each language as a whole.
    """
    said: set[str] = set()
    for path in CATALOGUES["en"]:
        with path.open("rb") as file:
            said |= {str(one.id) for one in read_po(file) if isinstance(one.id, str)}
    found, paired = _literals(PORTAL)
    elsewhere = set().union(*_literals(Path(consent.__file__).parent), paired)
    return frozenset(
        one for one in (said | found) - elsewhere if _CHINESE.search(one) and "%(" not in one
    )


def _literals(folder: Path) -> tuple[set[str], set[str]]:
    """Texts of a folder's Python files, and those that are one half of a pair in both languages."""
    found: set[str] = set()
    paired: set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"Said", "Words"}:
                paired |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    return found, paired


def unmarked(answer: str, sentences: frozenset[str]) -> list[str]:
    """Sentences of ours that a page in the language of marks says without them."""
    tree = html.fromstring(answer)
    for one in tree.xpath("//script | //style | //*[@translate='no']"):
        one.drop_tree()
    texts = [str(one) for one in tree.itertext()]
    for name in ("title", "alt", "placeholder", "aria-label", "data-label"):
        texts += tree.xpath(f"//@{name}")
    # A sentence's pieces stand in one text or around elements: marks are taken away over the whole.
    left = _outside("\x00".join(texts))
    return sorted({one.strip() for one in left.split("\x00") if one.strip() in sentences})


def chinese(answer: str, names: Iterable[str]) -> list[str]:
    """Chinese in the English page, but for cells of data (`translate="no"`) and these names."""
    tree = html.fromstring(answer)
    for one in tree.xpath("//*[@translate='no'] | //main//script"):
        one.drop_tree()
    (main,) = tree.xpath("//main")
    text = "\x00".join(str(one) for one in main.itertext())
    for name in names:
        text = text.replace(name, "")
    return [one.strip() for one in text.split("\x00") if _CHINESE.search(one)]


def _outside(text: str) -> str:
    depth, kept = 0, []
    for letter in text:
        if letter == OPEN:
            depth += 1
        elif letter == CLOSE:
            depth -= 1
        elif letter == "\x00" or depth == 0:
            kept.append(letter)
    return "".join(kept)


@dataclass
class Finder:
    """Finds pages: those without a variable part by the list of routes, the others by links."""

    routes: list[Route]

    def fixed(self) -> Iterator[str]:
        """Addresses without a variable part."""
        yield from (one.path for one in self.routes if "{" not in one.path)

    def template(self, address: str) -> str:
        """Which route an address belongs to; empty for none of a page."""
        path = urlsplit(address).path.removeprefix("/portal")
        scope: dict[str, Any] = {"type": "http", "path": path, "method": "GET", "root_path": ""}
        found = (one.path for one in self.routes if one.matches(scope)[0] is Match.FULL)
        return next(found, "")
