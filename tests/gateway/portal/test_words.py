"""Every sentence of the portal is marked for translation, and the English catalogue is whole."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

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
from gateway.portal.languages import CATALOGUES, environment, translations

PORTAL = Path(gateway.portal.__file__).parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"newstyle_gettext": "true", "silent": "false"}}
LETTERS = re.compile(r"[A-Za-z\u4e00-\u9fff]")
HOLE = re.compile(r"%\(\w+\)s")
MANY = re.compile(r"%\((?:n|all|number|rows|columns|days|hours|minutes)\)s (?!series)[a-z]+s\b")
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff”）](?: ?[,;?!()]|: )|[,;?!()] ?[\u4e00-\u9fff“（]")


def marked() -> set[str]:
    return {str(found[2]) for found in extract_from_dir(str(PORTAL), METHODS, OPTIONS)}


def says(one: str | tuple[str, ...]) -> tuple[str, ...]:
    """A message's id or text: one sentence, or one for each number."""
    return one if isinstance(one, tuple) else (one,)


def english_messages() -> list[Message]:
    found: list[Message] = []
    for path in CATALOGUES["en"]:
        with path.open("rb") as file:
            found += [message for message in read_po(file) if message.id]
    return found


def test_the_english_catalogue_has_every_sentence_and_no_other() -> None:
    messages = english_messages()
    english = {says(m.id)[0]: m for m in messages}

    assert len(english) == len(messages), "a sentence stands in two files"
    assert set(english) == marked()
    assert [m.id for m in english.values() if not all(says(m.string)) or m.fuzzy] == []


def test_a_translation_fills_the_same_holes() -> None:
    wrong = [
        m.id
        for m in english_messages()
        for text in says(m.string)
        if sorted(HOLE.findall(says(m.id)[0])) != sorted(HOLE.findall(text))
    ]
    assert wrong == []


def test_nothing_counts_one_things() -> None:
    """A plural beside its number has a form for one; what never is one is written as `4 h`."""
    one = [says(m.string)[0] for m in english_messages()]

    assert [text for text in one if MANY.search(text)] == []


def test_chinese_sentences_have_chinese_punctuation() -> None:
    said = {text for message in english_messages() for text in says(message.id)}

    assert [text for text in sorted(said) if HALF_WIDTH.search(text)] == []


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
    assert words.declined("zh", "07") == "主诊医师认为确需重复检查"
    assert words.declined("en", "07") == "The attending doctor finds it necessary"
    assert words.declined("en", "Z1") == "Z1"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("10*9/L", "10⁹/L"),
        ("10^12/L", "10¹²/L"),
        ("mmol/L", "mmol/L"),
        ("10*-3", "10⁻³"),
        ("/100", "/100"),
    ],
)
def test_a_unit_is_written_as_people_write_it(code: str, said: str) -> None:
    assert words.unit(code) == said


def test_what_is_no_person_is_named_in_the_language_of_the_page() -> None:
    spoken = translations()

    assert words.actor(spoken["zh"], "operator") == "运维人员"
    assert words.actor(spoken["en"], "operator") == "Operator"
    assert words.actor(spoken["en"], "王若溪") == "王若溪"


def test_a_sentence_takes_the_form_of_its_number() -> None:
    page = environment(translations()["en"], ZoneInfo("UTC"), {}).from_string(
        "{{ _('%(n)s 条草稿', n=1) }}, {{ _('%(n)s 条草稿', n=2) }}; {{ _('未对照的代码') }}"
    )

    assert page.render() == "1 draft, 2 drafts; Unmapped codes"
