"""What filing writes into the queue of unmapped codes, and how a line of it is opened.

A code cell holds whatever a sender put there, even a name: a line is found by a keyed digest and
its text is sealed, so that the database tells nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from gateway.services import Services
from gateway.store import unmapped as rows
from gateway.store.engine import Store, Tx
from mappings.engine import Unmapped

MOST_OF_A_MESSAGE = 200
MOST_OPEN = 20_000  # lines of one source; a sender that puts values into its codes stops there
MOST_MESSAGES = 100_000  # remembered by line; those beyond are counted
MOST_LETTERS = 200
MOST_KNOWN = 100_000  # digests remembered in this process

_TABLE = "unmapped"


class Met(NamedTuple):
    """Something no table knew, and the digest its line is found by."""

    digest: bytes
    unmapped: Unmapped


def met(source: str, found: Iterable[Unmapped], services: Services) -> tuple[Met, ...]:
    """What a message met, in the order all transactions take (no two wait for each other)."""
    lines: dict[bytes, Unmapped] = {}
    for one in found:
        cut = Unmapped(*(part[:MOST_LETTERS] for part in msgspec.structs.astuple(one)))
        # The name is not part of it: the same code comes with and without marks.
        key = msgspec.msgpack.encode((cut.table, cut.code, cut.specimen, cut.unit))
        lines.setdefault(services.vault.digest(f"unmapped/{source}", key), cut)
        if len(lines) == MOST_OF_A_MESSAGE:
            break
    return tuple(Met(digest, lines[digest]) for digest in sorted(lines))


_standing: WeakKeyDictionary[Store, set[bytes]] = WeakKeyDictionary()
"""Digests seen committed in a store: a line never goes, so nobody need look again."""


def note(
    tx: Tx, source: str, inbox: str, found: Sequence[Met], at: int, services: Services
) -> None:
    """Part of filing: a line for each code not met before, and this message among those that met it.

    Filing the same message again changes nothing. Last in its transaction: the lines are shared by
    all messages of a source.
    """
    if not found:
        return
    standing = _standing.setdefault(services.db, set())
    for digest, unmapped in found:
        if digest in standing:
            continue
        if tx.one(rows.STANDING, source, digest) is not None:
            if len(standing) >= MOST_KNOWN:
                standing.clear()
            standing.add(digest)
            continue
        opened = tx.one(rows.LINES, source)
        if opened is not None and int(opened[0]) < MOST_OPEN:
            # Beyond that the issue beside the message still says it.
            tx.run(rows.ADD, source, digest, seal(source, digest, unmapped, services), at)
    rows.meet(tx, source, [digest for digest, _ in found], inbox, at, MOST_MESSAGES)


def seal(source: str, digest: bytes, unmapped: Unmapped, services: Services) -> bytes:
    """The text of a line, bound to its place."""
    plain = msgspec.msgpack.encode(msgspec.structs.astuple(unmapped))
    return services.vault.seal_field(_TABLE, f"{source}/{digest.hex()}", plain)


def open_line(line: rows.Line, services: Services) -> Unmapped:
    """The code as the source sent it."""
    name = f"{line.source}/{line.digest.hex()}"
    return Unmapped(*msgspec.msgpack.decode(services.vault.open_field(_TABLE, name, line.sealed)))
