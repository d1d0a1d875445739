"""A report that lost items, decided at the command line by a person of the hospital's IT office."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import mappings
from tests.house.conftest import Desk
from tests.house.test_commands import signed


@pytest.fixture
def lost(desk: Desk, messages: Callable[..., Path]) -> Desk:
    """A hospital whose reports are whole, and a report whose newer version lost its second item."""
    sites = desk.folder / "sites"
    shutil.copytree(Path(mappings.__path__[0]) / "sites" / "people", sites / "people")
    source = sites / "people" / "source.toml"
    text = source.read_text("utf-8")
    source.write_text(text.replace("[source]\n", "[source]\nsnapshot = true\n"), "utf-8")
    propose = ("mappings", "propose", "people", "--note", "reports are whole")
    proposed = desk(*propose, *signed(desk, "li"), "--json", sites=str(sites))
    assert desk("mappings", "approve", proposed.json["release"], *signed(desk, "wang")).code == 0
    newer = messages(1, name="newer.hl7")
    one = newer.read_bytes()
    older = desk.folder / "older.hl7"
    older.write_bytes(one + b"OBX|2|NM|AST^AST||22.0|U/L|9-50||||F|||20260302090000\r")
    corrected = one.replace(b"20260302093000", b"20260302113000").replace(b"C00001", b"C00002")
    newer.write_bytes(corrected.replace(b"|LAB|F", b"|LAB|C"))
    for file in (older, newer):
        assert desk("load", "people-his", file).code == 0
    return desk


@pytest.mark.parametrize(
    ("verdict", "said"), [("withdraw", "1 result withdrawn"), ("keep", "the results stand")]
)
def test_a_held_report_is_listed_decided_and_settled(lost: Desk, verdict: str, said: str):
    li = signed(lost, "li")
    (line,) = lost("quarantine", "list", *li, "--json").json
    shown = lost("quarantine", "list", *li).out
    assert f"{line['id']}  " in shown
    assert "snapshot-missing: " in shown
    assert lost("quarantine", "list").out == shown, "the operator of the machine needs no account"
    assert "王珅" not in shown, "where and why, never what"

    done = lost("quarantine", verdict, line["id"], *li)

    assert (done.code, done.err) == (0, "")
    assert said in done.out
    assert lost("quarantine", "list", *li, "--json").json == []
    other = lost("quarantine", "keep" if verdict == "withdraw" else "withdraw", line["id"], *li)
    assert (other.code, other.err.count("\n")) == (1, 1)
