"""Why somebody would be answered what, at the command line, by a privacy officer with a password."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.house.conftest import Desk


@pytest.fixture
def officer(desk: Desk, messages) -> tuple[Desk, str, tuple[str | Path, ...]]:
    """A county with one resident, a chart of theirs, and an officer's sign-in."""
    assert desk("load", "people-his", messages(1)).code == 0
    word = desk.folder / "officer.password"
    word.write_text("a long enough sentence 42\n")
    account = ("--name", "周宁", "--organization", "county", "--roles", "privacy")
    assert desk("user", "add", "officer", *account, "--password-file", word).code == 0
    with sqlite3.connect(desk.folder / "data" / "records.sqlite") as records:
        ((chart,),) = records.execute("select id from chart").fetchall()
    return desk, chart, ("--as", "officer", "--password-file", word)


def explain(desk: Desk, *words: str | Path):
    return desk("consent", "explain", *words)


def test_a_decision_is_told_step_by_step_in_both_languages(officer):
    desk, chart, sign_in = officer
    question = (chart, "--for", "people", "--purpose", "TREAT", *sign_in)

    zh = explain(desk, *question)
    en = explain(desk, *question, "--language", "en")
    told = explain(desk, *question, "--json").json

    assert (zh.code, zh.err) == (0, "")
    assert zh.out.splitlines()[-1].startswith("拒绝，并告知请求者：没有有效的诊疗关系")
    assert en.out.splitlines()[0] == "no relationship on file"
    assert (told["answer"], told["reason"]) == ("DenyTell", "no-relationship")


def test_a_plain_mistake_is_one_sentence(officer):
    desk, chart, sign_in = officer
    for words, says in (
        ((), "Name a chart or a record."),
        ((chart, "--record", "0" * 32), "Name a chart or a record."),
        ((chart, "--at", "yesterday"), "Not an instant."),
        (("--record", "0" * 32), "There is no such resource here."),
    ):
        told = explain(desk, *words, "--for", "people", "--purpose", "TREAT", *sign_in)
        assert (told.code, told.err.count("\n")) == (1, 1)
        assert says in told.err


def test_who_is_no_officer_is_told_nothing(officer, tmp_path):
    desk, chart, _ = officer
    word = tmp_path / "word"
    word.write_text("a long enough sentence 43\n")
    account = ("--name", "李", "--organization", "people", "--roles", "it")
    assert desk("user", "add", "li", *account, "--password-file", word).code == 0

    told = explain(
        desk, chart, "--for", "people", "--purpose", "TREAT", "--as", "li", "--password-file", word
    )

    assert told.code == 1
    assert told.out == ""
