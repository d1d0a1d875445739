"""What browsers are given: files named by their content, scripts that are the pinned ones or none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gateway.errors import Problem
from gateway.portal import assets
from tests.conftest import missing

OURS = sorted(assets.SCRIPTS.glob("*.js"))


def test_a_file_is_named_by_its_content_and_proves_it() -> None:
    one, other = (assets.made("x", ".js", content) for content in (b"1", b"2"))

    assert one.path != other.path
    assert re.fullmatch(r"/assets/x\.[0-9a-f]{16}\.js", one.path)
    assert one.integrity.startswith("sha384-")


def test_a_machine_without_npm_has_style_and_no_scripts_at_all(tmp_path: Path) -> None:
    assert set(assets.read(tmp_path)) == {"style", "dark", "mark", "icons"}


def test_half_a_package_is_no_package(tmp_path: Path) -> None:
    if not (assets.FETCHED / "htmx.org").is_dir():
        missing("what npm ci fetches")
    shutil.copytree(assets.FETCHED / "htmx.org", tmp_path / "htmx.org")
    (tmp_path / "htmx.org/dist/ext/hx-csp.min.js").unlink()

    assert "htmx" not in assets.read(tmp_path)


def test_a_script_that_is_not_the_pinned_one_stops_the_start(tmp_path: Path) -> None:
    bad = tmp_path / "htmx.org/dist/htmx.min.js"
    bad.parent.mkdir(parents=True)
    bad.write_text("alert(1)")

    with pytest.raises(Problem, match="not the file that was pinned"):
        assets.read(tmp_path)


def test_small_windows_and_paper_have_the_last_word() -> None:
    style = assets.style().decode()

    assert style.index("--ink:") < style.index(".card {") < style.index("@media (max-width: 720px)")
    assert style.index("@media (max-width: 720px)") < style.rindex("@media print")
    assert "color-scheme: dark" not in style


def test_the_dark_says_every_colour_again() -> None:
    light, dark = (
        set(re.findall(r"--([\w-]+): (?:#|rgb)", (assets.HERE / "style" / name).read_text("utf-8")))
        for name in ("tokens.css", "dark.css")
    )

    assert light == dark


# What came after Chromium 109, the newest that runs on Windows 7: in our own scripts never.

TOO_NEW = (
    r"\.(?:toSorted|toReversed|toSpliced|with|groupBy|isWellFormed|union|intersection|difference)\(",
    r"\b(?:Promise\.withResolvers|Promise\.try|Array\.fromAsync|Object\.groupBy|URL\.canParse)\b",
    r"\b(?:startViewTransition|checkVisibility|setHTMLUnsafe|parseHTMLUnsafe|moveBefore|showPopover)\b",
    r"\busing\s+\w+\s*=|/[a-z]*v[a-z]*\.test|import\s+\w+\s+from .* with\b",
)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_own_scripts_ask_nothing_of_a_browser_newer_than_chromium_109(path: Path) -> None:
    text = path.read_text("utf-8")

    assert [found for one in TOO_NEW for found in re.findall(one, text)] == []
    # Trusted Types and the policy: text never becomes elements or code in a script of ours.
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", text
        )
        == []
    )


# What the fetched ones name of it, each looked at: behind a question (`if(e.moveBefore)`, `?.`), or in
# hx-csp only for an answer without a policy of its own, which no page of ours is.
LOOKED_AT = {
    "htmx": {"moveBefore", "startViewTransition", "parseHTMLUnsafe"},
    "hx-csp": {"parseHTMLUnsafe"},
    "uplot": set[str](),
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_fetched_scripts_want_of_newer_browsers_was_looked_at(name: str) -> None:
    found = assets.read().get(name)
    if found is None:
        missing("what npm ci fetches")
    text = found.content.decode()

    assert {one for wanted in TOO_NEW for one in re.findall(wanted, text)} == LOOKED_AT[name]
