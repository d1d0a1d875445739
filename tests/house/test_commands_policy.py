"""The county's policy at the command line: from a file on the desk to what is in force."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from consent import policy
from tests.house.conftest import Desk


def officer(desk: Desk, login: str, organization: str) -> tuple[str, ...]:
    """An account of a privacy officer, and how they sign what they do."""
    file = desk.folder / f"{login}.txt"
    file.write_text("a long enough password\n", "utf-8")
    told = desk(
        "user", "add", login, "--name", login, "--organization", organization,
        "--roles", "privacy", "--password-file", file,
    )  # fmt: skip
    assert told.code == 0, told.err
    return ("--as", login, "--password-file", str(file))


@pytest.fixture
def proposed(desk: Desk) -> Desk:
    """The other preset, proposed by a hospital's privacy officer as version 2."""
    file = desk.folder / "wanted.toml"
    file.write_bytes(policy.preset("opt-out"))
    he = officer(desk, "he", "people")
    told = desk("policy", "propose", file, "--note", "as decided", *he, "--english")
    assert (told.code, told.err) == (0, "")
    assert "policy 2 proposed" in told.out
    assert "+ Staff of other organizations, for treatment (TREAT): general records" in told.out
    return desk


def execute(desk: Desk, *statements: str) -> None:
    with closing(sqlite3.connect(desk.folder / "data" / "records.sqlite")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_a_county_shows_verifies_and_writes_out_what_it_was_founded_with(desk: Desk) -> None:
    shown, english = desk("policy", "show"), desk("policy", "show", "--english")
    file = desk.folder / "out.toml"
    written = desk("policy", "show", "--into", file)

    assert shown.code == english.code == written.code == 0
    assert "policy 1 (cn-optin): in-force" in shown.out
    assert "founded by operator" in shown.out
    assert "每次紧急查阅持续：4 小时" in shown.out
    assert "An emergency access lasts: 4 hours" in english.out
    assert file.read_bytes() == policy.preset("cn-optin")
    assert desk("policy", "diff", file).out.strip().startswith("nothing changes")
    assert desk("policy", "verify").code == 0
    assert desk("policy", "verify", "--json").json["findings"] == []


def test_it_is_changed_by_two_persons_and_every_step_is_an_event(proposed: Desk) -> None:
    desk, lin = proposed, officer(proposed, "lin", "county")
    he = ("--as", "he", "--password-file", str(desk.folder / "he.txt"))
    own = desk("policy", "approve", "2", "--reason", "mine", "--yes", *he)
    empty = desk("policy", "approve", "2", "--reason", " ", "--yes", *lin)

    assert (own.code, empty.code) == (1, 1)
    assert "Another person" in own.err
    assert "Say why" in empty.err
    assert desk("policy", "approve", "2", "--reason", "as decided", "--yes", *lin).code == 0
    one, two = desk("policy", "versions", "--json").json
    assert (one["state"], two["state"]) == ("retired", "in-force")
    assert (two["proposed_by"], two["decided_by"], two["reason"]) == ("he", "lin", "as decided")
    assert "approved-by lin\n" in two["signature"]
    assert desk("policy", "refuse", "2", "--reason", "late", *lin).code == 1
    with closing(sqlite3.connect(desk.folder / "data" / "records.sqlite")) as db:
        actors = db.execute("SELECT actor FROM audit_event WHERE kind = 'config'").fetchall()
    assert {("operator",), ("he",), ("lin",)} <= set(actors)


def test_serving_is_refused_when_an_older_version_was_put_back(proposed: Desk) -> None:
    desk, lin = proposed, officer(proposed, "lin", "county")
    assert desk("policy", "approve", "2", "--reason", "yes", "--yes", *lin).code == 0
    execute(
        desk,
        "DELETE FROM policy_version WHERE number = 2",
        "UPDATE policy_version SET state = 'in-force' WHERE number = 1",
    )

    for command in (("serve",), ("worker",), ("policy", "show"), ("source", "list")):
        told = desk(*command, behind_proxy="true", base_url="https://x", mllp_port="0")
        assert told.code == 2, command
        assert "`health-gateway policy recover`" in told.err
    checked = desk("policy", "verify")
    assert checked.code == 1
    assert "Policy 2 came in force but is not in the records" in checked.out
    recovered = desk("policy", "recover")
    assert (recovered.code, recovered.err) == (0, "")
    assert desk("policy", "verify").code == 0
    assert "policy 2 (opt-out): in-force" in desk("policy", "show").out


def test_a_setting_that_is_not_what_is_in_force_is_refused_with_what_to_do(desk: Desk) -> None:
    told = desk("policy", "show", policy="opt-out")

    assert told.code == 2
    assert "founded with cn-optin" in told.err
    assert "Take the setting away" in told.err


def test_a_file_that_cannot_be_meant_is_told_with_its_key(desk: Desk) -> None:
    file = desk.folder / "wrong.toml"
    file.write_text(policy.preset("cn-optin").decode().replace("adult = 18", "adult = 'x'"))

    told = desk("policy", "diff", file)

    assert told.code == 1
    assert "ages.adult" in told.err
