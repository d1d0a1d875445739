"""Every sentence of the portal is marked for translation, and the English catalogue is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import gateway.portal
from consent.model import Reason
from gateway.audit.events import Kind as Noted
from gateway.audit.events import Outcome
from gateway.identity.resident_id import NotAnId
from gateway.portal import words
from gateway.portal.languages import CATALOGUES

PORTAL = Path(gateway.portal.__file__).parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"newstyle_gettext": "true", "silent": "false"}}
LETTERS = re.compile(r"[A-Za-z\u4e00-\u9fff]")
HOLE = re.compile(r"%\(\w+\)s")


def marked() -> set[str]:
    return {str(found[2]) for found in extract_from_dir(str(PORTAL), METHODS, OPTIONS)}


def english_messages() -> list[Message]:
    found: list[Message] = []
    for path in CATALOGUES["en"]:
        with path.open("rb") as file:
            found += [message for message in read_po(file) if message.id]
    return found


def test_the_english_catalogue_has_every_sentence_and_no_other() -> None:
    messages = english_messages()
    english = {str(m.id): m for m in messages}

    assert len(english) == len(messages), "a sentence stands in two files"
    assert set(english) == marked()
    assert [m.id for m in english.values() if not m.string or m.fuzzy] == []


def test_a_translation_fills_the_same_holes() -> None:
    wrong = [
        m.id
        for m in english_messages()
        if sorted(HOLE.findall(str(m.id))) != sorted(HOLE.findall(str(m.string)))
    ]
    assert wrong == []


@pytest.mark.parametrize("page", sorted(p.name for p in (PORTAL / "templates").glob("*.html")))
def test_no_template_says_anything_unmarked(page: str) -> None:
    source = (PORTAL / "templates" / page).read_text("utf-8")
    source = re.sub(r"{#.*?#}|{% block body_class %}.*?{% endblock %}", "", source, flags=re.S)
    bare = re.sub(r"{{.*?}}|{%.*?%}", " ", source, flags=re.S)
    spoken = re.findall(r'(?:title|alt|placeholder|aria-label|data-label)="([^"]*)"', bare)
    text = re.sub(r"<kbd>.*?</kbd>|<!doctype html>", " ", bare)
    text = re.sub(r"<[^>]*>", " ", text)

    assert LETTERS.findall(" ".join([text, *spoken])) == []


def test_every_kind_of_event_outcome_and_misreading_has_words() -> None:
    assert set(words.ACCESS_KINDS) == {kind.value for kind in Noted}
    assert set(words.ACCESS_OUTCOMES) == {outcome.value for outcome in Outcome}
    assert set(words.MISREAD) == set(NotAnId)
    assert set(words.REFUSED) <= {reason.value for reason in Reason}


def test_every_machine_reason_of_the_catalogue_rules_has_words() -> None:
    assert set(words.NOT_ELIGIBLE) == {f"E{n:02}" for n in range(1, 15)}
    assert set(words.REASONS) == {f"{n:02}" for n in range(1, 10)} | {"98", "99"}
