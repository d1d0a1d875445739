"""The difference between two policies in words: nothing that means something goes unsaid."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from consent import policy
from consent.difference import Effect, Sentence, difference
from consent.model import Obligation, RelationshipKind
from consent.policy import PolicyFault, PolicySet, Tree
from consent.wording import OBLIGATIONS, RELATIONSHIPS, SECTIONS, facts

ZONE = "Asia/Shanghai"
PRESETS = ("cn-optin", "opt-out")
TEXT = policy.preset("cn-optin").decode()


def read(text: str) -> PolicySet:
    return policy.parse(text.encode(), ZONE)


def changed(old: str, new: str, text: str = TEXT) -> tuple[Sentence, ...]:
    assert old in text
    return difference(read(text), read(text.replace(old, new, 1)))


def written(value: Any) -> str:
    """A TOML value."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(written, value))}]"
        case dict():
            return f"{{{', '.join(f'{written(k)} = {written(v)}' for k, v in value.items())}}}"
    return str(value)


def file_of(content: dict[str, Any]) -> str:
    return "\n".join(f"{written(key)} = {written(value)}" for key, value in content.items())


WORDS = ("never", "TREAT", "HIV", "print", "watermark", "12d", "permit", "urn:x|1")


def others(value: Any) -> Iterator[Any]:
    """What else could stand there, one step away."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1)
        case str():
            yield from WORDS
        case list():
            for place in range(len(value)):
                yield value[:place] + value[place + 1 :]
            for word in WORDS:
                yield [*value, word]
            for place, one in enumerate(value):
                if isinstance(one, dict):
                    yield from ([*value[:place], new, *value[place + 1 :]] for new in others(one))
        case dict():
            for key in value:
                yield {k: v for k, v in value.items() if k != key}
                yield from ({**value, key: new} for new in others(value[key]))
            for word in WORDS:
                yield from ({**value, word: made} for made in ([], "permit", ["HIV"]))


def meaning(given: PolicySet) -> dict[str, Any]:
    """A policy without its file's hash, comparable."""

    def plain(value: Any) -> Any:
        if isinstance(value, Tree):
            return {code: value.children(code) for code in value.codes}
        if isinstance(value, dict):  # that nothing is owed need not be said
            return {key: plain(one) for key, one in value.items() if one != ()}
        if isinstance(value, tuple) and value and isinstance(value[0], Obligation):
            return frozenset(value)
        return value

    return {
        one.name: plain(getattr(given, one.name))
        for one in fields(given)
        if one.name not in ("version", "zone")
    }


def test_whatever_is_changed_in_the_file_is_said() -> None:
    """Every value, entry and key altered, removed and added, one at a time."""
    before = read(TEXT)
    content = tomllib.loads(TEXT)
    assert difference(before, read(file_of(content))) == ()
    told = silent = refused = 0
    for section in content:
        for new in others(copy.deepcopy(content[section])):
            try:
                after = read(file_of({**content, section: new}))
            except PolicyFault:
                refused += 1
                continue
            same = meaning(after) == meaning(before)
            sentences = difference(before, after)
            assert bool(sentences) is not same, (section, new)
            assert all(one.zh and one.en and one.section in SECTIONS for one in sentences)
            told, silent = told + (not same), silent + same
    assert told > 400
    assert silent < told
    assert refused > 100


@pytest.mark.parametrize("preset", PRESETS)
def test_back_again_says_the_opposite(preset: str) -> None:
    one, other = (policy.load(name, ZONE) for name in (preset, *({*PRESETS} - {preset})))
    turned = {
        Effect.OPENS: Effect.CLOSES,
        Effect.CLOSES: Effect.OPENS,
        Effect.CHANGES: Effect.CHANGES,
    }

    there, back = difference(one, other), difference(other, one)

    assert there
    assert sorted(turned[said.effect] for said in there) == sorted(said.effect for said in back)


def test_comments_order_and_spelling_are_no_difference() -> None:
    text = TEXT.replace('"24h"', '"1d"').replace('["TREAT", "COC",', '["COC", "TREAT",')

    assert difference(read(TEXT), read("# more\n" + text)) == ()


def test_it_is_told_for_whom_what_opens() -> None:
    found = difference(policy.load("cn-optin", ZONE), policy.load("opt-out", ZONE))
    told = {one.en: one.effect for one in found}

    assert (
        told[
            "Staff of other organizations, for treatment (TREAT): general records (laboratory,"
            " imaging, encounters, diagnoses): from “after consent or when the patient is present”"
            " to “by default”."
        ]
        is Effect.OPENS
    )
    # What TREAT includes changes with it and is told too.
    assert any("coordination of care (COC): general" in said for said in told)
    assert any(
        one.zh == "其他机构的人员以诊疗（TREAT）为目的查看一般记录（检验、检查、就诊、诊断）："
        "由“患者同意后，或患者在场时”改为“默认可以”。"
        for one in found
    )
    assert not any(one.section not in ("name", "defaults") for one in found)


@pytest.mark.parametrize(
    ("old", "new", "effect", "says"),
    [
        (
            '"SEX", "STD", "SUD"', '"SEX", "SUD"', Effect.OPENS,
            "The category sexually transmitted disease (STD): from “is protected” to"
            " “is not protected”.",
        ),
        (
            "self_access = 14", "self_access = 12", Effect.OPENS,
            "The age from which a person sees their own record: from “14” to “12”.",
        ),
        (
            "guardian_limited = 14", "guardian_limited = 12", Effect.CLOSES,
            "The age from which a guardian no longer sees a minor's private categories:"
            " from “14” to “12”.",
        ),
        ("adult = 18", "adult = 20", Effect.OPENS, "The age at which a guardian's rights end"),
        ('after = "30d"', 'after = "60d"', Effect.OPENS, "encounter or admission: goes on after"),
        ('life = "4h"', 'life = "2h"', Effect.CLOSES, "An emergency access lasts"),
        ("per_day = 3", "per_day = 9", Effect.OPENS, "Times a person may in a day"),
        ("reason_length = 15", "reason_length = 5", Effect.OPENS, "The reason has at least"),
        ('review = "72h"', 'review = "7d"', Effect.OPENS, "It is reviewed within: from “3 days”"),
        ('notice = "5m"', 'notice = "1m"', Effect.CLOSES, "The patient is told within"),
        ("honour_refusal = true", "honour_refusal = false", Effect.OPENS, "A patient's refusal"),
        ('notice = "always"', 'notice = "never"', Effect.CHANGES, "something may be withheld"),
        ('bodies = ["cdc"]', 'bodies = ["cdc", "x"]', Effect.OPENS, "the body x"),
        ('never = ["HMARKT"]', "never = []", Effect.OPENS, "marketing (HMARKT)"),
        ("auditor = []", 'auditor = ["TREAT"]', Effect.OPENS, "auditors (auditor)"),
        ('"notify-patient", ', "", Effect.OPENS, "Emergency access: tell the patient"),
        ('treatment = ["TREAT", "COC",', 'treatment = ["TREAT",', Effect.OPENS, "coordination"),
    ],
)  # fmt: skip
def test_each_change_is_told_with_its_direction(
    old: str, new: str, effect: Effect, says: str
) -> None:
    found = changed(old, new)

    assert any(says in one.en and one.effect is effect for one in found), found


def test_every_chapter_and_every_code_has_words_in_both_languages() -> None:
    said = facts(policy.load("cn-optin", ZONE))

    assert {one.section for one in said} == set(SECTIONS)
    assert set(RELATIONSHIPS) == set(RelationshipKind)
    assert set(OBLIGATIONS) == set(Obligation)
    for one in said:
        assert all((*one.subject, *one.state))
    assert len({(one.section, one.key) for one in said}) == len(said)
