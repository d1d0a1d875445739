"""The queue of unmapped codes at the command line: two persons, their passwords, one row."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.conftest import Desk
from tests.house.test_commands import signed


@pytest.fixture
def queue(desk: Desk, messages) -> Desk:
    """A county whose first message held an item nobody knows."""
    raw: Path = messages(1)
    raw.write_bytes(raw.read_bytes().replace(b"|ALT^", b"|CR9^"))
    assert desk("load", "people-his", raw).code == 0
    return desk


def unmapped(desk: Desk, *words: str | Path):
    return desk("mappings", "unmapped", *words)


def test_a_code_is_listed_proposed_approved_and_read_again(queue: Desk):
    li, wang = signed(queue, "li"), signed(queue, "wang")
    (line,) = unmapped(queue, "list", *li, "--json").json
    assert (line["unmapped"]["code"], line["messages"], line["state"]) == ("CR9", 1, "open")
    best = line["suggestions"][0]
    assert (best["cells"]["loinc"], bool(best["reasons"]["en"])) == ("1742-6", True)

    id = str(line["id"])
    assert unmapped(queue, "propose", id, "--suggestion", "1", *li).code == 0
    refused = unmapped(queue, "approve", id, *li)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    done = unmapped(queue, "approve", id, *wang)

    assert (done.code, done.err) == (0, "")
    assert "in force" in done.out
    (line,) = queue("mappings", "releases", "people", "--json").json[-1:]
    assert (line["state"], line["proposed_by"], line["decided_by"]) == ("in-force", "li", "wang")
    assert unmapped(queue, "list", *li, "--json").json == []


def test_a_row_is_given_cell_by_cell_taken_back_ignored_and_reopened(queue: Desk):
    li = signed(queue, "li")
    told = unmapped(queue, "list", *li, "--english")
    id = told.out.splitlines()[1].split()[0]
    assert "the names agree by 100%" in told.out

    doubt = unmapped(queue, "propose", id, "--cell", "loinc=47238-1", *li)
    assert (doubt.code, "IgG only" in doubt.err) == (1, True)
    wrong = unmapped(queue, "propose", id, "--suggestion", "9", *li)
    assert wrong.code == 2
    for words in (
        ("propose", id, "--cell", "loinc=47238-1", "--knowing"),
        ("decline", id),
        ("ignore", id, "--reason", "a research item"),
        ("reopen", id),
    ):
        assert unmapped(queue, *words, *li).code == 0, words
    assert unmapped(queue, "list", *li, "--ignored", "--json").json == []


def test_without_the_password_nothing_is_shown(queue: Desk, tmp_path):
    signed(queue, "li")
    word = tmp_path / "wrong"
    word.write_text("something else\n")
    told = unmapped(queue, "list", "--as", "li", "--password-file", word)
    assert told.code == 1
    assert "CR9" not in told.out + told.err
