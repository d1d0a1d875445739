"""A sender's text in a card can do nothing, as Markdown and as HTML."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cds.markdown import inert, plain, table

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "https://evil.example/?p=1",
    "www.evil.example",
    "mailto:a@evil.example",
    "a@evil.example",
    "| cell | more |\n|---|---|",
    "# head\n\n- list\n1. one",
    "`code` ~~~ **bold** _it_",
    "&lt;b&gt; &#60;i&#62;",
    "\u202egnp.exe\u2066\u200b",
    "<img src=x onerror=alert(1)>",
    "\\<b>",
    "$x^2$",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_line_without_anything_that_acts(text: str) -> None:
    assert faults(inert(text)) == []


@given(st.text())
def test_no_text_acts(text: str) -> None:
    assert faults(inert(text)) == []


@given(st.text(alphabet="<>[]()!|`*_~#\\&:/@.wWhHtTpPsS\n javscript"))
def test_nothing_made_of_what_markdown_reads_acts(text: str) -> None:
    assert faults(inert(text)) == []


def test_values_stay_readable() -> None:
    assert inert("62.40") == "62.40"
    assert inert("9--50") == "9--50"
    assert inert("1:80") == "1:80"
    assert inert("<0.01") == "&lt;0.01"
    assert inert("弱阳性（±）") == "弱阳性（±）"


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert plain("长" * 500, 10) == "长" * 9 + "…"


def test_a_cell_never_becomes_two() -> None:
    assert table(["a"], [[inert("x | y")]]).splitlines()[-1] == "| x \\| y |"


def faults(shown: str) -> list[str]:
    """What could act in it: each special character has to be escaped."""
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)  # CommonMark 2.4: escaped punctuation is literal
    bare = re.sub(r"&(?:amp|lt|gt);", "", bare)
    found = [one for one in "<>`*_[]|\\#!~&" if one in bare]
    found += re.findall(r"(?i)www\.|://|mailto:|xmpp:|javascript:|@", bare)
    return found + [one for one in shown if ord(one) < 32 or one in "\u202e\u2066\u200b"]
