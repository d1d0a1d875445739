"""The access log: whatever is done to its rows afterwards is found, and its archive proves itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, literal, select, text, update

from gateway.audit import checkpoint as checkpoints
from gateway.audit.merkle import leaf_hash, verify_inclusion
from gateway.audit.note import Key
from gateway.audit.verify import Fault, Report
from gateway.errors import Kind, Problem
from gateway.exchange import archive
from gateway.exchange.sequence import checkpoint_file, log_key, sequence
from gateway.exchange.verification import verify_log
from gateway.store import log as rows
from gateway.store.engine import Tx
from gateway.store.log_tables import AuditEvent, Checkpoint, LogLeaf, Writer
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, clinician, person

SHEN = person()
EVENT, LEAF, NOTE, WRITER = (
    kind.__table__  # type: ignore[attr-defined]
    for kind in (AuditEvent, LogLeaf, Checkpoint, Writer)
)


@pytest.fixture
async def house(house: House) -> House:
    """A log of some events under several checkpoints."""
    await house.file(house.adt(SHEN), house.oru(SHEN))
    house.clock.forward(6)  # the worker's lease of the sequencer ends
    for _ in range(4):
        await house.search("Observation", clinician())
        await sequence(house.services, "test")
    report = await verify_log(house.services)
    assert report.ok, report.findings
    assert report.entries == report.signed >= 6
    return house


async def done(house: House, *statements: Any) -> Report:
    def run(tx: Tx) -> None:
        for statement in statements:
            tx.run(Statement(statement))

    await house.services.db.do(run)
    return await verify_log(house.services)


def found(report: Report) -> set[Fault]:
    return {finding.fault for finding in report.findings}


COLUMNS: dict[str, Any] = {
    "at": 5,
    "kind": "export",
    "outcome": "deny",
    "actor": "somebody-else",
    "client": "another",
    "organization": "tcm",
    "purpose": "HRESCH",
    "charts": "00" * 16,
    "body_hash": b"\0" * 32,
    "body_owner": "0" * 32,
    "sealed": b"other bytes",
    "counter": 999,
    "writer": "ghost",
}


async def test_every_column_is_under_test() -> None:
    assert set(COLUMNS) == set(EVENT.columns.keys())


@pytest.mark.parametrize("column", sorted(COLUMNS))
async def test_a_changed_column_of_an_event_is_found(house: House, column: str) -> None:
    one = (EVENT.c.writer == literal("test.ask")) & (EVENT.c.counter == literal(2))
    report = await done(house, update(EVENT).where(one).values({column: COLUMNS[column]}))
    assert not report.ok
    assert report.findings


@pytest.mark.parametrize("kind", ["no-such-kind", ""])
async def test_a_word_that_cannot_be_read_is_found_and_does_not_stop_the_check(
    house: House, kind: str
) -> None:
    report = await done(house, update(EVENT).where(EVENT.c.counter == literal(2)).values(kind=kind))
    assert Fault.CHANGED in found(report)
    assert report.entries >= 6


@pytest.mark.parametrize(
    ("column", "value"),
    [("hash", b"\0" * 32), ("writer", "ghost"), ("counter", 50), ("number", 99)],
)
async def test_a_changed_place_in_the_log_is_found(house: House, column: str, value: Any) -> None:
    change = update(LEAF).where(LEAF.c.number == literal(3)).values({column: value})
    assert not (await done(house, change)).ok


@pytest.mark.parametrize("column", ["note", "size"])
async def test_a_changed_checkpoint_is_found(house: House, column: str) -> None:
    newest = (await house.services.db.read(rows.CHECKPOINTS))[-1]
    value = newest[1].replace("\n", "\n1", 1) if column == "note" else 1_000
    change = update(NOTE).where(NOTE.c.size == literal(newest[0])).values({column: value})
    report = await done(house, change)
    assert column == "size" or not report.ok


async def test_a_deleted_event_is_found(house: House) -> None:
    report = await done(house, delete(EVENT).where(EVENT.c.counter == literal(2)))
    assert {Fault.MISSING, Fault.COUNTER_GAP} <= found(report)


async def test_an_event_deleted_with_its_place_is_found(house: House) -> None:
    one = literal(2)
    report = await done(
        house,
        delete(EVENT).where(EVENT.c.counter == one),
        delete(LEAF).where(LEAF.c.counter == one),
    )
    assert not report.ok


async def test_two_events_that_changed_places_are_found(house: House) -> None:
    report = await done(
        house,
        update(LEAF).where(LEAF.c.number == literal(2)).values(number=1_000),
        update(LEAF).where(LEAF.c.number == literal(3)).values(number=2),
        update(LEAF).where(LEAF.c.number == literal(1_000)).values(number=3),
    )
    assert not report.ok


async def test_an_event_put_in_afterwards_is_found(house: House) -> None:
    names = [c.name for c in EVENT.columns if c.name not in {"writer", "counter"}]
    copied = [EVENT.c[name] for name in names]
    for writer, counter in (("test.ask", 500), ("ghost", 1)):
        forged = insert(EVENT).from_select(
            ["writer", "counter", *names],
            select(literal(writer), literal(counter), *copied)
            .where(EVENT.c.counter == literal(1))
            .limit(literal(1)),
        )
        report = await done(house, forged)
        assert Fault.COUNTER_BACK in found(report)
        assert not report.ok


def cut(house: House, size: int, *, events: bool = True) -> list[Any]:
    """What somebody with the database would delete to make the log end at `size`."""
    statements = [
        delete(LEAF).where(LEAF.c.number >= literal(size)),
        delete(NOTE).where(NOTE.c.size > literal(size)),
    ]
    if events:
        kept = select(LEAF.c.writer, LEAF.c.counter).where(LEAF.c.number < literal(size))
        statements.insert(
            0,
            delete(EVENT).where(
                text("(writer, counter) NOT IN (SELECT writer, counter FROM log_leaf)")
            ),
        )
        statements.insert(0, statements.pop(1))
        for name in ("test.ask", "test.file"):
            highest = (
                select(LEAF.c.counter)
                .where(LEAF.c.writer == literal(name))
                .order_by(LEAF.c.counter.desc())
                .limit(literal(1))
                .scalar_subquery()
            )
            statements.append(
                update(WRITER)
                .where(WRITER.c.name == literal(name))
                .values(counter=highest, sequenced=highest)
            )
        del kept
    return statements


async def sizes(house: House) -> list[int]:
    return [size for size, _ in await house.services.db.read(rows.CHECKPOINTS)]


async def test_a_log_cut_off_with_its_checkpoints_is_found_by_the_one_kept_outside(
    house: House,
) -> None:
    size = (await sizes(house))[-3]
    report = await done(house, *cut(house, size))
    assert Fault.TRUNCATED in found(report)
    checkpoint_file(house.services).unlink()
    assert Fault.NO_WITNESS in found(await verify_log(house.services)), "the report says so"


async def test_a_log_that_was_cut_off_is_not_signed_again(house: House) -> None:
    """Otherwise the next half second would replace the proof by a shorter one."""
    outside = checkpoint_file(house.services)
    kept = outside.read_bytes()
    await done(house, *cut(house, (await sizes(house))[-3]))
    await house.search("Observation", clinician())
    with pytest.raises(Problem) as caught:
        await sequence(house.services, "test")
    assert caught.value.kind is Kind.CONFLICT
    assert outside.read_bytes() == kept
    assert Fault.TRUNCATED in found(await verify_log(house.services))


async def test_another_root_of_the_same_size_is_not_continued(house: House) -> None:
    outside = checkpoint_file(house.services)
    key = log_key(house.services)
    newest = checkpoints.read(outside.read_bytes(), key)
    other = replace_root(newest)
    outside.write_bytes(checkpoints.sign(other, key, house.services.vault.sign))
    await house.search("Observation", clinician())
    with pytest.raises(Problem):
        await sequence(house.services, "test")
    assert Fault.FORK in found(await verify_log(house.services))


def replace_root(one: Any) -> Any:
    return checkpoints.Checkpoint(one.origin, one.size, b"\1" * 32, one.at, one.previous)


async def test_waiting_events_that_vanish_are_found(house: House) -> None:
    for _ in range(3):
        await house.search("Observation", clinician())
    assert (await verify_log(house.services)).ok
    [(writer, _, last), *_] = await house.services.db.read(rows.BEHIND)
    second_last = (EVENT.c.writer == literal(writer)) & (EVENT.c.counter == literal(last - 1))
    report = await done(house, delete(EVENT).where(second_last))
    assert Fault.COUNTER_GAP in found(report)
    await sequence(house.services, "test")
    report = await verify_log(house.services)
    assert Fault.COUNTER_GAP in found(report), "the log goes on, and the gap stays to be seen"
    assert report.entries == report.signed


async def test_only_one_holder_of_the_lease_sequences(house: House) -> None:
    await house.search("Observation", clinician())
    assert await sequence(house.services, "another") == 0
    assert await sequence(house.services, "test") == 1
    await house.search("Observation", clinician())
    house.clock.forward(6)
    assert await sequence(house.services, "another") == 1


async def test_two_writers_events_keep_their_own_order(house: House) -> None:
    other = replace(
        house.services,
        log=type(house.services.log)(house.services.db, house.services.vault, "two", house.clock),
    )
    for turn in range(6):
        here = replace(house.services) if turn % 2 else other
        await House(here, house.clock).search("Observation", clinician())
    await sequence(house.services, "test")
    report = await verify_log(house.services)
    assert report.ok
    assert report.entries == report.signed


# The archive


async def test_an_archive_verifies_with_the_public_key_alone(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    await archive.export(folder, house.services)
    report = archive.verify_archive(folder, log_key(house.services).text())
    assert report.ok, report.findings
    assert report.entries == report.signed == report.bodies >= 6
    with pytest.raises(Problem):
        await archive.export(folder, house.services)
    stranger = Key("yunxi/access-log", b"\7" * 32).text()
    assert not archive.verify_archive(folder, stranger).ok


async def test_each_flipped_byte_of_an_archive_is_found(house: House, tmp_path: Path) -> None:
    """Every file, and in each file some thirty bytes from beginning to end."""
    folder = tmp_path / "archive"
    await archive.export(folder, house.services)
    key = log_key(house.services).text()
    flips = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        good = path.read_bytes()
        for at in sorted({*range(0, len(good), max(1, len(good) // 30)), len(good) - 1}):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            report = archive.verify_archive(folder, key)
            assert not report.ok, f"{path.relative_to(folder)} at {at}"
            flips += 1
        path.write_bytes(good[:-1])
        assert not archive.verify_archive(folder, key).ok, f"{path.relative_to(folder)} cut"
        path.write_bytes(good)
    assert flips > 150
    assert archive.verify_archive(folder, key).ok


async def test_a_proof_leads_from_an_entry_to_the_signed_root(house: House) -> None:
    key = log_key(house.services)
    size = (await sizes(house))[-1]
    for entry in (0, size // 2, size - 1):
        told = json.loads(json.dumps(await archive.prove(entry, house.services)))
        signed = checkpoints.read(told["checkpoint"].encode(), Key.parse(told["key"]))
        assert Key.parse(told["key"]) == key
        digest = leaf_hash(bytes.fromhex(told["leaf"]))
        path = [bytes.fromhex(node) for node in told["path"]]
        assert verify_inclusion(digest, entry, signed.size, path, signed.root)
        wrong = leaf_hash(bytes.fromhex(told["leaf"]) + b"\0")
        assert not verify_inclusion(wrong, entry, signed.size, path, signed.root)
    for outside in (-1, size, 10**9):
        with pytest.raises(Problem):
            await archive.prove(outside, house.services)
