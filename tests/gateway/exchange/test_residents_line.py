"""Residents' accounts at the command line: the desk's rules hold there, too."""

from __future__ import annotations

from pathlib import Path

from gateway.demo import story
from tests.gateway.exchange.residents_at_desk import CHILD, MOTHER, SCAN
from tests.shell import call


def test_the_operator_opens_nothing_that_the_desk_could_not(tmp_path: Path) -> None:
    given = {
        "GATEWAY_DATA": str(tmp_path),
        "GATEWAY_COUNTY_FILE": str(story.REGISTER),
        "GATEWAY_COUNTY": "yunxi",
    }
    assert call(given, "init").code == 0
    mother = ("--number", MOTHER.number, "--name", MOTHER.name, "--phone", MOTHER.phone)
    nowhere = call(given, "resident", "account", *mother)
    assert nowhere.code == 2  # no way to send the code is set up
    assert "could not be sent" in nowhere.err
    assert MOTHER.number not in nowhere.err + nowhere.out
    child = ("--number", CHILD.number, "--name", CHILD.name, "--phone", CHILD.phone)
    young = call(given, "resident", "account", *child)
    assert (young.code, "Too young" in young.err) == (1, True)
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(SCAN)
    refused = call(
        given, "resident", "mandate", "r00000000", scan, "--number", CHILD.number,
        "--ground", "guardian", "--document", "birth-certificate", "--witness", "周立",
    )  # fmt: skip
    assert (refused.code, "the resident's name" in refused.err) == (1, True)
    listed = call(given, "resident", "mandates-of", "--number", CHILD.number, "--json")
    assert (listed.code, listed.json) == (0, [])
