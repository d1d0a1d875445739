"""Lines of signed versions, in the records and again in the keyring: which of them hold, and what is wrong.

The county's policy and the recognition catalogue are kept alike: every version that counts has a
signed statement that covers its text and names the statement before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from gateway.audit import charter
from gateway.audit.charter import Charter, Key, NoteFault
from gateway.store.keyring import StoredKeyring
from gateway.vault import Wrapped

RESTORE = "restore the records and the keyring from backups of the same day."


class Signed(NamedTuple):
    """A version that counts: its signed note and the text that the note covers."""

    note: bytes
    text: bytes


class Standing(NamedTuple):
    """What a row of the records says of a version that counts or counted."""

    number: int
    state: str
    signed: Signed
    said: tuple[str, int, str, str]  # hash (hex), since, who proposed and who approved it


class Kind(NamedTuple):
    """How findings speak of a line: of what, how its versions begin, and what mends it."""

    name: str
    begins: str
    back: str


Good = Mapping[int, tuple[Charter, Signed]]


def whole(
    kind: Kind, rows: Sequence[Standing], copies: Mapping[int, Signed | None], key: Key
) -> tuple[Good, list[str]]:
    """The versions that stand somewhere as they were signed, by number, and what is wrong with each.

    `copies` are the keyring's; None is one that cannot be read.
    """
    name, findings = kind.name, list[str]()
    here = {row.number: row for row in rows}
    good: dict[int, tuple[Charter, Signed]] = {}
    for number in sorted(copies.keys() | here.keys()):
        row, copy = here.get(number), copies.get(number)
        standing = row.signed if row else None
        for one in (copy, standing):
            said = _verified(number, one, key)
            if number not in good and said is not None and one is not None:
                good[number] = said, one
        if number in copies and _verified(number, copy, key) is None:
            findings.append(f"The keyring's copy of {name} {number} does not hold: {kind.back}")
        wrong = ""
        if row is None:
            wrong = f"{kind.begins} but is not in the records"
        elif number not in good:
            wrong = f"stands as {row.state}, but nobody signed it"
        elif good[number][1] != standing or row.said != _as_signed(good[number][0]):
            wrong = "was altered after it was signed"
        if wrong:
            findings.append(f"{name.capitalize()} {number} {wrong}: {kind.back}")
    return good, findings


def chained(kind: Kind, good: Good) -> tuple[dict[int, Charter], list[str]]:
    """The statements of which each follows the one before it, and what breaks the line."""
    findings: list[str] = []
    before: Charter | None = None
    charters: dict[int, Charter] = {}
    for number, (said, _) in sorted(good.items()):
        if said.previous == (before.digest() if before else None):
            charters[number] = before = said
        else:
            findings.append(
                f"{kind.name.capitalize()} {number} does not follow the one before it: {RESTORE}"
            )
    return charters, findings


def lacking(good: Good, copies: Mapping[int, Signed | None]) -> frozenset[int]:
    """Those without a good copy in the keyring."""
    return frozenset(number for number, (_, one) in good.items() if copies.get(number) != one)


async def mend(keyring: StoredKeyring[Wrapped], copies: Iterable[Wrapped]) -> None:
    """Keep good copies in the keyring, in the place of those that do not hold."""
    for copy in copies:
        if not await keyring.replace([copy]):
            await keyring.keep([copy])


def read(note: bytes, key: Key) -> Charter | None:
    """The statement of a note; None unless `key` signed it."""
    try:
        return charter.read(note, key)
    except NoteFault:
        return None


def _verified(number: int, one: Signed | None, key: Key) -> Charter | None:
    """What the note of a version says, if it is signed and covers its number and text."""
    said = read(one.note, key) if one is not None else None
    if one is None or said is None:
        return None
    fits = said.number == number and said.hash == sha256(one.text).digest()
    return said if fits else None


def _as_signed(said: Charter) -> tuple[str, int, str, str]:
    return said.hash.hex(), said.since, said.proposed_by, said.approved_by
