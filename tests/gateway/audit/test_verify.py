"""Whatever is done to the log, the verifier finds it and says where."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import checkpoint, events, merkle, tiles
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.events import Event, Kind, Outcome
from gateway.audit.merkle import Frontier
from gateway.audit.note import Key
from gateway.audit.verify import Fault, Report, Row, consistent, verify

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KEY = Key("gateway.example/yunxi", PRIVATE.public_key().public_bytes_raw())
FORGER = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
START = 1_772_400_000_000_000
SIZE = 40
SIGNED_AT = (10, 20, 30, 40)


def written(number: int) -> Row:
    """Entry `number` of a quiet morning: two writers take turns."""
    sealed = b"sealed body %d" % number
    event = Event(
        f"gw-{number % 2}",
        number // 2 + 1,
        START + number * 100_000,
        Kind.READ,
        Outcome.PERMIT,
        f"d{number % 5}",
        "portal",
        "people",
        "TREAT",
        (f"{number % 7:032x}",),
        events.body_hash(sealed),
    )
    return row_of(number, event, sealed)


def row_of(number: int, event: Event, sealed: bytes | None) -> Row:
    return Row(number, event, sealed, merkle.leaf_hash(events.leaf(event)))


ROWS = [written(number) for number in range(SIZE)]


def signed(rows: list[Row], private: Ed25519PrivateKey = PRIVATE, key: Key = KEY) -> list[bytes]:
    """Checkpoints as the sequencer made them while these rows were written."""
    notes, frontier, previous = [], Frontier(), None
    for number, row in enumerate(rows, start=1):
        frontier.append(merkle.leaf_hash(events.leaf(row.event)))
        if number in SIGNED_AT:
            head = Checkpoint(key.name, number, frontier.root(), row.event.at + 1, previous)
            previous = head.digest()
            notes.append(checkpoint.sign(head, key, private.sign))
    return notes


NOTES = signed(ROWS)


def tree_of(rows: list[Row]) -> Callable[[int, int], bytes]:
    @cache
    def get(level: int, index: int) -> bytes:
        if (index + 1) << level > len(rows):
            raise LookupError
        if level == 0:
            return merkle.leaf_hash(events.leaf(rows[index].event))
        return merkle.node_hash(get(level - 1, 2 * index), get(level - 1, 2 * index + 1))

    files = {tile.path: tiles.build(tile, get) for tile in tiles.tiles_of(len(rows))}
    return tiles.hashes_of(lambda tile: files[tile.path], len(rows))


TREE = tree_of(ROWS)


def check(rows: list[Row], notes: list[bytes] = NOTES, **options: object) -> Report:
    options = {"tree": TREE, "witnessed": (NOTES[-1],)} | options
    return verify(iter(rows), iter(notes), KEY, **options)  # type: ignore[arg-type]


def found(report: Report) -> set[tuple[str, int | None]]:
    return {(str(finding.fault), finding.entry) for finding in report.findings}


def test_an_untouched_log_is_whole():
    for tree in (None, TREE):
        report = check(ROWS, tree=tree)
        assert report.ok
        assert report.findings == ()
        assert (report.entries, report.signed, report.unsigned) == (40, 40, 0)
        assert (report.checkpoints, report.bodies, report.expired) == (5, 40, 0)
        assert report.newest == checkpoint.read(NOTES[-1], KEY)


def test_the_check_goes_on_behind_entries_that_are_lost_with_their_hashes():
    def torn(level: int, index: int) -> bytes:
        if level == 0 and index in (25, 26):
            raise LookupError
        return TREE(level, index)

    rows = [row for row in ROWS if row.number not in (25, 26)]
    report = check(rows, tree=torn)
    assert ("missing", 25) in found(report)
    assert report.signed == 40
    assert report.counts["root"] == 1  # where they are missing, and not again behind it
    changed = msgspec.structs.replace(rows[-1].event, actor="d9")
    rows[-1] = rows[-1]._replace(event=changed)
    assert ("changed", 39) in found(check(rows, tree=torn))


def test_an_expired_body_leaves_the_log_whole():
    expired = [row._replace(sealed=None) if row.number < 10 else row for row in ROWS]
    report = check(expired)
    assert report.ok
    assert (report.bodies, report.expired) == (30, 10)


def test_entries_after_the_last_checkpoint_are_counted_as_not_yet_signed():
    report = check(ROWS, NOTES[:2], witnessed=(NOTES[0],))
    assert report.ok
    assert (report.signed, report.unsigned) == (20, 20)


def test_an_empty_log_is_whole_and_says_that_nobody_outside_was_asked():
    report = verify([], [], KEY)
    assert report.ok
    assert found(report) == {("no-witness", None)}


CHANGES = {
    "writer": "gw-9", "counter": 99, "at": START - 1, "kind": Kind.SEARCH,
    "outcome": Outcome.DENY, "actor": "", "client": "x", "organization": "tcm",
    "purpose": "ETREAT", "charts": (), "body_hash": bytes(32),
}  # fmt: skip


@pytest.mark.parametrize("column", Event.__struct_fields__)
@pytest.mark.parametrize("kept", ["tree", "row", "nothing"])
def test_a_changed_column_is_found_at_its_entry(column, kept):
    rows = list(ROWS)
    event = msgspec.structs.replace(rows[17].event, **{column: CHANGES[column]})
    rows[17] = rows[17]._replace(event=event)
    if kept == "nothing":
        rows = [row._replace(leaf_hash=None) for row in rows]
    report = check(rows, tree=TREE if kept == "tree" else None)
    assert not report.ok
    if kept == "nothing":  # no hash but the signed ones: the stretch between two checkpoints
        root = next(f for f in report.findings if f.fault is Fault.ROOT)
        assert (root.entry, "10 至 19" in root.zh, "10 to 19" in root.en) == (10, True, True)
    else:
        assert ("changed", 17) in found(report)
        assert "root" not in report.counts


def test_a_changed_row_with_its_hash_changed_to_match_is_still_found():
    rows = list(ROWS)
    rows[17] = row_of(17, msgspec.structs.replace(rows[17].event, actor="d9"), rows[17].sealed)
    assert (
        found(check(rows, tree=None)) == {("root", 10), ("root", 0)}
        or not check(rows, tree=None).ok
    )
    assert ("changed", 17) in found(check(rows))


def test_a_changed_body_is_found():
    rows = list(ROWS)
    rows[3] = rows[3]._replace(sealed=b"another body")
    assert found(check(rows)) == {("body", 3)}


def test_a_hash_changed_beside_an_untouched_row_is_told_apart():
    rows = list(ROWS)
    rows[17] = rows[17]._replace(leaf_hash=bytes(32))
    report = check(rows, tree=None)
    assert found(report) == {("changed", 17), ("hashes", 10)}
    assert report.signed == 40


@pytest.mark.parametrize("tree", [None, TREE])
@pytest.mark.parametrize("gone", [0, 9, 10, 25, 36])
def test_a_removed_entry_is_found(gone, tree):
    report = check([row for row in ROWS if row.number != gone], tree=tree)
    assert not report.ok
    assert ("missing", gone) in found(report)
    assert report.counts["counter-gap"] == 1
    if tree:
        assert report.signed == 40  # the rest is proven by the kept tree


@pytest.mark.parametrize("tree", [None, TREE])
def test_a_removed_entry_with_the_rest_moved_up_is_found(tree):
    rows = [
        row._replace(number=number)
        for number, row in enumerate(row for row in ROWS if row.number != 25)
    ]
    report = check(rows, tree=tree)
    assert {"counter-gap", "truncated"} <= set(report.counts)
    assert "changed" in report.counts if tree else ("root", 20) in found(report)


@pytest.mark.parametrize("tree", [None, TREE])
def test_swapped_entries_are_found(tree):
    rows = list(ROWS)
    rows[24], rows[26] = rows[26]._replace(number=24), rows[24]._replace(number=26)
    report = check(rows, tree=tree)
    assert {("counter-gap", 24), ("counter-back", 26)} <= found(report)
    assert ("changed", 24) in found(report) if tree else ("root", 20) in found(report)


def test_rows_that_come_out_of_order_are_found():
    rows = list(ROWS)
    rows[24], rows[26] = rows[26], rows[24]
    assert {("missing", 24), ("repeated", 24), ("repeated", 25)} <= found(check(rows))


@pytest.mark.parametrize("tree", [None, TREE])
def test_an_inserted_back_dated_entry_is_found(tree):
    event = msgspec.structs.replace(ROWS[11].event, at=START - 60_000_000, actor="d7")
    rows = [*ROWS[:35], row_of(35, event, ROWS[11].sealed)]
    rows += [row._replace(number=row.number + 1) for row in ROWS[35:]]
    report = check(rows, tree=tree)
    assert {("counter-back", 35), ("time-back", 35), ("back-dated", 35)} <= found(report)
    assert ("changed", 35) in found(report) if tree else ("root", 30) in found(report)


@pytest.mark.parametrize("tree", [None, TREE])
def test_a_tail_cut_off_with_its_checkpoints_shows_against_the_one_kept_outside(tree):
    short = check(ROWS[:30], NOTES[:3], tree=tree)
    assert found(short) == {("truncated", 30)}
    assert "至少有 40 条" in short.findings[0].zh
    alone = check(ROWS[:30], NOTES[:3], tree=tree, witnessed=())
    assert alone.ok  # nobody could tell
    assert found(alone) == {("no-witness", None)}  # and the report says so


def test_a_log_written_anew_is_found_by_the_one_kept_outside():
    """An operator with the signing key makes a second history with entry 17 left out."""
    rows = []
    counters: dict[str, int] = {}
    for row in (row for row in ROWS if row.number != 17):
        counters[row.event.writer] = counters.get(row.event.writer, 0) + 1
        event = msgspec.structs.replace(row.event, counter=counters[row.event.writer])
        rows.append(row_of(len(rows), event, row.sealed))
    notes, tree = signed(rows), tree_of(rows)
    assert check(rows, notes, tree=tree, witnessed=()).ok
    for kept in (NOTES[1], NOTES[2]):
        report = check(rows, notes, tree=tree, witnessed=(kept,))
        assert not report.ok
        assert {"root", "fork"} & set(report.counts)
    assert "truncated" in check(rows, notes, tree=tree).counts


def test_a_checkpoint_of_another_key_or_log_is_not_believed():
    forger = Key(KEY.name, FORGER.public_key().public_bytes_raw())
    report = check(ROWS, signed(ROWS, FORGER, forger), witnessed=())
    assert report.counts == {"checkpoint": 4, "unsigned": 1, "no-witness": 1}
    elsewhere = Key("gateway.example/elsewhere", KEY.public)
    report = check(ROWS, signed(ROWS, PRIVATE, elsewhere), witnessed=())
    assert report.counts == {"checkpoint": 4, "unsigned": 1, "no-witness": 1}
    assert not report.ok
    assert report.signed == 0


def test_a_wrong_checkpoint_kept_outside_is_a_failure_too():
    report = check(ROWS, witnessed=(b"not a note",))
    assert report.counts == {"checkpoint": 1, "no-witness": 1}


def test_checkpoints_that_contradict_each_other_are_found():
    assert "checkpoint-order" in check(ROWS, [NOTES[1], NOTES[0], *NOTES[2:]]).counts
    other = Checkpoint(KEY.name, 20, bytes(32), START + 2_000_000)
    fork = checkpoint.sign(other, KEY, PRIVATE.sign)
    report = check(ROWS, [*NOTES[:2], fork, *NOTES[2:]])
    assert report.counts["fork"] == 1
    assert "root" not in report.counts
    assert report.signed == 40  # the later ones fit again


def test_a_checkpoint_left_out_is_worth_a_look():
    report = check(ROWS, [NOTES[0], *NOTES[2:]])
    assert report.counts == {"chain": 1}
    assert report.ok


def test_an_entry_dated_after_its_checkpoint_is_worth_a_look():
    rows = list(ROWS)
    late = msgspec.structs.replace(rows[5].event, at=START + 3_600_000_000)
    rows[5] = row_of(5, late, rows[5].sealed)
    made = signed(rows)
    report = check(rows, made, tree=None, witnessed=(made[0],))
    assert report.ok
    assert ("time-ahead", 0) in found(report)


def test_a_number_raised_beyond_all_bounds_does_not_hold_the_verifier_up():
    rows = [*ROWS[:-1], ROWS[-1]._replace(number=10**15)]
    for tree in (None, TREE):
        assert ("missing", 39) in found(check(rows, tree=tree))


def test_the_report_keeps_a_thousand_findings_and_counts_the_rest():
    rows = [written(n) for n in range(1_200)]
    report = verify([r._replace(sealed=b"x") for r in rows], signed(rows), KEY)
    assert report.counts["body"] == 1_200
    assert len(report.findings) == 1_000


def test_every_sentence_can_be_written_in_both_languages():
    report = check([], [], witnessed=(NOTES[-1],))
    assert found(report) == {("truncated", 0)}
    for finding in report.findings:
        assert "{" not in finding.zh + finding.en


COLUMNS = st.sampled_from(sorted(CHANGES))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_nothing_can_be_done_to_the_rows_unseen(data):
    """Change, drop, repeat, swap, insert or cut anything, with or without the kept hashes."""
    rows = list(ROWS)
    at = data.draw(st.integers(0, SIZE - 1))
    way = data.draw(st.sampled_from(["column", "body", "drop", "double", "swap", "cut"]))
    if way == "column":
        column = data.draw(COLUMNS)
        event = msgspec.structs.replace(rows[at].event, **{column: CHANGES[column]})
        if event == rows[at].event:
            return
        rows[at] = row_of(at, event, rows[at].sealed)
    elif way == "body":
        sealed = bytearray(rows[at].sealed)
        sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
        rows[at] = rows[at]._replace(sealed=bytes(sealed))
    elif way == "drop":
        del rows[at]
    elif way == "double":
        rows.insert(at, rows[at])
    elif way == "swap":
        other = data.draw(st.integers(0, SIZE - 1).filter(lambda n: n != at))
        rows[at], rows[other] = rows[other], rows[at]
    else:
        del rows[at:]
    if data.draw(st.booleans()):  # the numbers are put right by who did it
        rows = [row._replace(number=number) for number, row in enumerate(rows)]
    report = check(rows, tree=data.draw(st.sampled_from([None, TREE])))
    assert not report.ok
    assert all(finding.zh and finding.en for finding in report.findings)


def test_a_witness_sees_whether_the_log_only_grew():
    old, new = (checkpoint.read(note, KEY) for note in (NOTES[0], NOTES[3]))
    assert consistent(old, new, TREE)
    assert not consistent(new, old, TREE)
    assert not consistent(msgspec.structs.replace(old, root=bytes(32)), new, TREE)
    assert not consistent(old, msgspec.structs.replace(new, origin="x"), TREE)
    assert not consistent(old, msgspec.structs.replace(new, size=41), TREE)
