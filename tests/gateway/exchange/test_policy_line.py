"""The line of signed versions, examined without a database: what is left out or stands elsewhere."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import charter
from gateway.audit.charter import Charter, Key
from gateway.services.policies import examine
from gateway.services.versions import Signed
from gateway.store.policies import VersionRow

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = Key("yunxi/policy", SIGNER.public_key().public_bytes_raw())
TEXTS = {number: f"text {number}".encode() for number in (1, 2, 3)}


def line() -> dict[int, tuple[Charter, Signed]]:
    """Three versions that followed each other."""
    found: dict[int, tuple[Charter, Signed]] = {}
    before = None
    for number, text in TEXTS.items():
        said = Charter(
            KEY.name, number, sha256(text).digest(), number,
            "a", "b" if before else "", before.digest() if before else None,
        )  # fmt: skip
        found[number] = said, Signed(charter.sign(said, KEY, SIGNER.sign), text)
        before = said
    return found


def row(number: int, said: Charter, one: Signed, newest: int) -> VersionRow:
    return VersionRow(
        number, said.hash.hex(), one.text, "in-force" if number == newest else "retired", 0, "",
        "", said.proposed_by, "", 0, said.approved_by, 0, "", said.since, 0, one.note,
    )  # fmt: skip


VERSIONS = line()
ROWS = {number: row(number, *one, newest=3) for number, one in VERSIONS.items()}
COPIES = {number: msgspec.msgpack.encode(one) for number, (_, one) in VERSIONS.items()}


def test_a_whole_line_has_no_findings() -> None:
    found = examine(list(ROWS.values()), COPIES, KEY)

    assert (found.findings, found.newest, found.lost, found.lacking) == (
        (), 3, frozenset(), frozenset(),
    )  # fmt: skip
    assert found.signed == {number: one for number, (_, one) in VERSIONS.items()}


def test_a_version_left_out_everywhere_is_missed_by_the_one_after_it() -> None:
    rows = [ROWS[1], ROWS[3]]

    found = examine(rows, {1: COPIES[1], 3: COPIES[3]}, KEY)

    assert any("Policy 3 does not follow" in one for one in found.findings)
    assert found.lost == {3}
    assert found.newest == 1


def test_an_older_version_under_a_newer_number_is_not_that_version() -> None:
    """Its signature holds and it follows the first one, but it is not version 3."""
    posing = ROWS[2]._replace(number=3, state="in-force")

    found = examine([ROWS[1], posing], {1: COPIES[1]}, KEY)

    assert any("Policy 3 stands as in-force, but nobody signed it" in f for f in found.findings)
    assert 3 not in found.charters
    assert found.lost == {2}, "its own note tells that there was a version 2"


def test_what_was_signed_but_stands_nowhere_as_signed_is_lost_and_not_passed_over() -> None:
    altered = ROWS[3]._replace(text=b"another text")

    found = examine([ROWS[1], ROWS[2], altered], {1: COPIES[1], 2: COPIES[2]}, KEY)

    assert found.lost == {3}
    assert found.newest == 2, "which is why nothing is recovered to it"


def test_a_good_row_stands_in_for_a_copy_that_does_not_hold() -> None:
    found = examine(list(ROWS.values()), COPIES | {3: b"\xc1"}, KEY)

    assert found.lacking == {3}
    assert (found.lost, found.newest) == (frozenset(), 3)
    assert any("keyring's copy of policy 3" in one for one in found.findings)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_good_copy_stands_in_for_a_row_that_is_gone(number: int) -> None:
    rows = [one for one in ROWS.values() if one.number != number]

    found = examine(rows, COPIES, KEY)

    assert found.findings
    assert (found.lost, found.newest) == (frozenset(), 3)


def test_another_countys_key_signs_nothing_here() -> None:
    other = Key("linshui/policy", KEY.public)

    found = examine(list(ROWS.values()), COPIES, other)

    assert found.charters == {}
    assert len(found.findings) >= 3
