"""The access log as static files: what an auditor takes home and verifies with the public key alone.

Layout (C2SP tlog-tiles): `checkpoint`, `checkpoints/…`, `tile/<level>/<n>`, `tile/entries/<n>`, and
`bodies/<n>` with the sealed bodies. Nothing in it needs the live system.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from gateway.audit import checkpoint, tiles
from gateway.audit.events import event_of, leaf
from gateway.audit.merkle import Hashes, inclusion_proof, leaf_hash
from gateway.audit.note import Key, NoteFault
from gateway.audit.verify import Fault, Finding, Report, Row, verify
from gateway.errors import Kind, Problem
from gateway.exchange.sequence import log_key
from gateway.exchange.verification import row_of
from gateway.services import Services
from gateway.store import log as rows

BATCH = 256
_bodies = msgspec.msgpack.Decoder(list[bytes | None])


async def export(folder: Path, services: Services) -> None:
    """Write the log up to its newest checkpoint into a new folder; Problem CONFLICT if it exists."""
    if folder.exists() and any(folder.iterdir()):
        raise Problem(Kind.CONFLICT, "The folder is not empty.")
    notes = await services.db.read(rows.CHECKPOINTS)
    if not notes:
        raise Problem(Kind.UNKNOWN, "The log has no checkpoint yet.")
    size = notes[-1][0]
    for number, (_, note) in enumerate(notes):
        _write(folder / "checkpoints" / f"{number:09d}", note.encode())
    _write(folder / "checkpoint", notes[-1][1].encode())
    hashes: list[bytes] = []
    for first in range(0, size, BATCH):
        found = await services.db.read(rows.LOGGED, first, min(BATCH, size - first))
        complete = [row for row in found if row[4] is not None]
        if len(complete) != min(BATCH, size - first):
            raise Problem(Kind.CONFLICT, "Entries are missing; run `audit verify`.")
        entries = [row_of(row) for row in complete]
        hashes += [bytes(row[1]) for row in complete]
        tile = tiles.tile_at(0, first // BATCH, size)
        _write(folder / tile.entries_path, tiles.bundle([leaf(e.event) for e in entries]))
        body = msgspec.msgpack.encode([e.sealed for e in entries])
        _write(folder / "bodies" / f"{first // BATCH:09d}", body)
    get = _hashes(hashes)
    for tile in tiles.tiles_of(size):
        _write(folder / tile.path, tiles.build(tile, get))


def verify_archive(folder: Path, key_text: str, witnessed: Sequence[bytes] = ()) -> Report:
    """Check every file of an exported log; ValueError when the key text is not one.

    A damaged file never stops the check: what it should have held is reported.
    """
    key = Key.parse(key_text)
    notes = [path.read_bytes() for path in sorted((folder / "checkpoints").iterdir())]
    newest = (folder / "checkpoint").read_bytes()
    hashes: list[bytes] = []
    findings: list[Finding] = []
    entries = _entries(folder, _signed_size([newest, *notes], key), hashes, findings)
    report = verify(entries, notes, key, witnessed=[newest, *witnessed])
    get = _hashes(hashes)
    findings += [
        _damaged(Fault.HASHES, tile.path)
        for tile in (tiles.tiles_of(len(hashes)) if report.ok else ())
        if _bytes_of(folder / tile.path) != tiles.build(tile, get)
    ]
    counts = dict(report.counts)
    for one in findings:
        counts[one.fault] = counts.get(one.fault, 0) + 1
    return msgspec.structs.replace(report, findings=(*report.findings, *findings), counts=counts)


def _signed_size(notes: Sequence[bytes], key: Key) -> int:
    """How many entries the largest trustworthy checkpoint promises."""
    sizes = [0]
    for note in notes:
        with suppress(NoteFault):
            sizes.append(checkpoint.read(note, key).size)
    return max(sizes)


def _entries(
    folder: Path, size: int, hashes: list[bytes], findings: list[Finding]
) -> Iterator[Row]:
    """The entries that can be read; those that cannot are missing, which the verifier tells."""
    for first in range(0, size, BATCH):
        tile = tiles.tile_at(0, first // BATCH, size)
        try:
            leaves = tiles.parse_bundle(_bytes_of(folder / tile.entries_path), tile.width)
        except ValueError:
            continue
        path = f"bodies/{first // BATCH:09d}"
        sealed: list[bytes | None] = [None] * tile.width
        try:
            sealed = _bodies.decode(_bytes_of(folder / path))
            pairs = list(zip(leaves, sealed, strict=True))
        except ValueError:  # also what msgspec raises
            findings.append(_damaged(Fault.BODY, path))
            pairs = [(leaf_, None) for leaf_ in leaves]
        for place, (data, body) in enumerate(pairs):
            try:
                event = event_of(data)
            except ValueError:
                continue
            hashes.append(leaf_hash(data))
            yield Row(first + place, event, body)


def _bytes_of(path: Path) -> bytes:
    """The file, or nothing."""
    return path.read_bytes() if path.is_file() else b""


def _damaged(fault: Fault, path: str) -> Finding:
    return Finding(
        fault, None, f"文件 {path} 缺失或已被改动。", f"The file {path} is missing or was changed."
    )


async def prove(entry: int, services: Services) -> dict[str, Any]:
    """One entry's place under the newest checkpoint: leaf, path, and the signed note."""
    newest = await services.db.read(rows.NEWEST_CHECKPOINT)
    size = newest[0][0] if newest else 0
    if not 0 <= entry < size:
        raise Problem(Kind.UNKNOWN, "No such entry is under a checkpoint yet.")
    hashes: list[bytes] = []
    while found := await services.db.read(rows.LEAVES, len(hashes), 50_000):
        hashes += [bytes(row[1]) for row in found]
    path = inclusion_proof(entry, size, _hashes(hashes[:size]))
    (row,) = await services.db.read(rows.LOGGED, entry, 1)
    return {
        "entry": entry,
        "size": size,
        "key": log_key(services).text(),
        "leaf": leaf(row_of(row).event).hex(),
        "path": [node.hex() for node in path],
        "checkpoint": newest[0][1],
    }


def _hashes(leaves: Sequence[bytes]) -> Hashes:
    """A source of hashes over leaf hashes in memory; levels are made once."""
    levels = [list(leaves)]

    def get(level: int, index: int) -> bytes:
        while len(levels) <= level:
            below = levels[-1]
            levels.append(
                [
                    sha256(b"\x01" + below[at] + below[at + 1]).digest()
                    for at in range(0, len(below) - 1, 2)
                ]
            )
        return levels[level][index]

    return get


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
