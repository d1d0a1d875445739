"""Checks a log from its rows up, with nothing but the public key: what was changed, and where.

Everything is streamed: memory holds the frontier of the tree, one counter per writer and the
findings. What the rows say is compared with the kept leaf hashes, those with the signed roots, and
the end of the log with a checkpoint that somebody outside the operator's reach has kept. Without
such a checkpoint a log cut off together with its checkpoints looks whole; the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

import msgspec

from gateway.audit import checkpoint as checkpoints_
from gateway.audit import merkle
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.events import Event
from gateway.audit.merkle import Frontier, Hashes
from gateway.audit.note import Key, NoteFault

MERGE_DELAY = 10_000_000  # µs an event may wait for its place in the tree
MAX_FINDINGS = 1_000  # kept in the report; the counts go on


class Row(NamedTuple):
    """One row as it is stored: its place in the log, its columns, its body unless expired.

    `leaf_hash` is the hash kept beside the row when it was written, None where none is kept.
    """

    number: int  # from 0
    event: Event
    sealed: bytes | None = None
    leaf_hash: bytes | None = None


class Fault(StrEnum):
    """What can be wrong. Warnings do not make a log bad; they are for a person to look at."""

    CHANGED = "changed"
    BODY = "body"
    MISSING = "missing"
    REPEATED = "repeated"
    COUNTER_GAP = "counter-gap"
    COUNTER_BACK = "counter-back"
    ROOT = "root"
    HASHES = "hashes"
    TRUNCATED = "truncated"
    CHECKPOINT = "checkpoint"
    CHECKPOINT_ORDER = "checkpoint-order"
    FORK = "fork"
    UNSIGNED = "unsigned"
    CHAIN = "chain"
    TIME_BACK = "time-back"
    BACK_DATED = "back-dated"
    TIME_AHEAD = "time-ahead"
    NO_WITNESS = "no-witness"


WARNINGS = frozenset(
    {Fault.CHAIN, Fault.TIME_BACK, Fault.BACK_DATED, Fault.TIME_AHEAD, Fault.NO_WITNESS}
)

_SENTENCES: dict[Fault, tuple[str, str]] = {
    Fault.CHANGED: (
        "条目 {entry} 的内容与写入时保存的哈希不一致，说明有人改动过。",
        "Entry {entry} does not match the hash kept when it was written: it was changed.",
    ),
    Fault.BODY: (
        "条目 {entry} 的密封正文与其哈希不一致，说明正文被替换或改动。",
        "The sealed body of entry {entry} does not match its hash: it was replaced or changed.",
    ),
    Fault.MISSING: (
        "条目 {entry} 至 {last} 不在日志中，说明已被删除。",
        "Entries {entry} to {last} are not in the log: they were removed.",
    ),
    Fault.REPEATED: (
        "条目号 {entry} 重复出现或次序颠倒。",
        "Entry number {entry} appears twice or out of order.",
    ),
    Fault.COUNTER_GAP: (
        "条目 {entry} 之前，同一写入者少了 {count} 个连续计数，说明有事件被删除或顺序被调换。",
        "Before entry {entry} its writer's counter skips {count}: events were removed or reordered.",
    ),
    Fault.COUNTER_BACK: (
        "条目 {entry} 的写入者计数重复或倒退，说明有条目被插入或顺序被调换。",
        "At entry {entry} its writer's counter repeats or goes back: inserted or reordered.",
    ),
    Fault.ROOT: (
        "条目 {entry} 至 {last} 与签名检查点（共 {count} 条）的树根不符，其中至少一条被改动、插入、删除或调换。",
        "Entries {entry} to {last} do not give the root signed for {count} entries: at least one "
        "was changed, inserted, removed or moved.",
    ),
    Fault.HASHES: (
        "条目 {entry} 至 {last} 本身与签名一致，但保存的哈希被改动。",
        "Entries {entry} to {last} agree with the signature, but the hashes kept were altered.",
    ),
    Fault.TRUNCATED: (
        "签名检查点证明日志至少有 {count} 条，现在从条目 {entry} 起缺失，说明日志尾部被截断。",
        "A signed checkpoint proves {count} entries, but from entry {entry} on there are none: "
        "the tail was cut off.",
    ),
    Fault.CHECKPOINT: (
        "第 {count} 个检查点不可信（{why}）。",
        "Checkpoint number {count} cannot be relied on ({why}).",
    ),
    Fault.CHECKPOINT_ORDER: (
        "第 {count} 个检查点的条目数或时间比前一个小，检查点互相矛盾。",
        "Checkpoint number {count} has fewer entries or an earlier time than the one before.",
    ),
    Fault.FORK: (
        "对同一条目数（{count}）存在两个不同树根的签名检查点，说明日志曾以两个版本示人。",
        "Two signed checkpoints of {count} entries have different roots: the log was shown in two "
        "versions.",
    ),
    Fault.UNSIGNED: (
        "没有任何有效签名的检查点，{count} 条记录均无法证明。",
        "No checkpoint with a valid signature: none of the {count} entries is proven.",
    ),
    Fault.CHAIN: (
        "第 {count} 个检查点所指的前一检查点不在其列，可能缺少检查点。",
        "Checkpoint number {count} names another predecessor: a checkpoint may be missing.",
    ),
    Fault.TIME_BACK: (
        "条目 {entry} 的时间早于同一写入者的前一条。",
        "Entry {entry} is dated before the one its writer wrote before it.",
    ),
    Fault.BACK_DATED: (
        "条目 {entry} 的时间明显早于其之前已签名的检查点，可能是补写。",
        "Entry {entry} is dated well before the checkpoint signed ahead of it: written late?",
    ),
    Fault.TIME_AHEAD: (
        "条目 {entry} 至 {last} 中有时间晚于其检查点签名时间的记录，请核对时钟。",
        "Among entries {entry} to {last} one is dated after its checkpoint was signed: check clocks.",
    ),
    Fault.NO_WITNESS: (
        "没有提供外部保存的检查点，无法排除日志尾部连同检查点一起被截断。",
        "No checkpoint kept outside was given: a tail cut off with its checkpoints would not show.",
    ),
}

_REASONS = {
    "malformed": ("格式错误", "malformed"),
    "unknown-key": ("未由本日志的密钥签名", "not signed by this log's key"),
    "bad-signature": ("签名错误", "wrong signature"),
    "other-origin": ("属于其他日志", "of another log"),
}


class Finding(msgspec.Struct, frozen=True):
    """One thing found: what, at which entry (None for checkpoints), in both languages."""

    fault: Fault
    entry: int | None
    zh: str
    en: str

    @property
    def warning(self) -> bool:
        """Something to look at that does not by itself prove tampering."""
        return self.fault in WARNINGS


class Report(msgspec.Struct, frozen=True):
    """The outcome. `counts` counts every finding, also those over MAX_FINDINGS that are not kept.

    `signed` entries are proven by `newest`, the largest checkpoint with a valid signature that the
    log fulfils; `unsigned` came after it and wait for the next one.
    """

    entries: int
    checkpoints: int
    signed: int
    unsigned: int
    bodies: int
    expired: int
    newest: Checkpoint | None
    findings: tuple[Finding, ...]
    counts: dict[str, int]

    @property
    def ok(self) -> bool:
        """Nothing but warnings was found."""
        return all(Fault(fault) in WARNINGS for fault in self.counts)


class _Findings:
    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: dict[str, int] = {}

    def add(
        self,
        fault: Fault,
        entry: int | None = None,
        last: int | None = None,
        count: int = 0,
        why: str = "",
    ) -> None:
        self.counts[fault.value] = self.counts.get(fault.value, 0) + 1
        if len(self.kept) >= MAX_FINDINGS:
            return
        zh, en = _SENTENCES[fault]
        why_zh, why_en = _REASONS.get(why, ("", ""))
        self.kept.append(
            Finding(
                fault,
                entry,
                zh.format(entry=entry, last=last, count=count, why=why_zh),
                en.format(entry=entry, last=last, count=count, why=why_en),
            )
        )


class _Mark(NamedTuple):
    checkpoint: Checkpoint
    outside: bool


class _Marks:
    """The trustworthy checkpoints, smallest first, one at a time."""

    def __init__(
        self,
        inside: Iterable[bytes],
        outside: Sequence[bytes],
        key: Key,
        findings: _Findings,
    ) -> None:
        self._findings = findings
        self._key = key
        self.valid = 0
        self._inside = self._ordered(inside)
        witnessed = [c for c in map(self._read, _numbered(outside)) if c]
        self._outside = iter(sorted(witnessed, key=lambda c: c.size))
        self.witnessed = bool(witnessed)
        self._next_inside = next(self._inside, None)
        self._next_outside = next(self._outside, None)

    def take(self) -> _Mark | None:
        """The next checkpoint in order of size."""
        inside, outside = self._next_inside, self._next_outside
        if outside is not None and (inside is None or outside.size <= inside.size):
            self._next_outside = next(self._outside, None)
            return _Mark(outside, outside=True)
        if inside is not None:
            self._next_inside = next(self._inside, None)
            return _Mark(inside, outside=False)
        return None

    def _read(self, numbered: tuple[int, bytes]) -> Checkpoint | None:
        number, note = numbered
        try:
            found = checkpoints_.read(note, self._key)
        except NoteFault as fault:
            self._findings.add(Fault.CHECKPOINT, count=number, why=fault.code)
            return None
        self.valid += 1
        return found

    def _ordered(self, notes: Iterable[bytes]) -> Iterator[Checkpoint]:
        before: Checkpoint | None = None
        for number, note in _numbered(notes):
            found = self._read((number, note))
            if found is None:
                continue
            if before is not None:
                if found.size < before.size or found.at < before.at:
                    self._findings.add(Fault.CHECKPOINT_ORDER, count=number)
                    if found.size < before.size:
                        continue
                if found.previous is not None and found.previous != before.digest():
                    self._findings.add(Fault.CHAIN, count=number)
            elif found.previous is not None:
                self._findings.add(Fault.CHAIN, count=number)
            before = found
            yield found


def _numbered(notes: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    return enumerate(notes, start=1)


class _Walk:
    """What is known on the way from left to right."""

    def __init__(self, marks: _Marks, tree: Hashes | None, findings: _Findings) -> None:
        self.findings = findings
        self.marks = marks
        self.tree = tree
        # What the rows say, and what the kept hashes say. One object until they part ways.
        self.said = self.kept = Frontier()
        self.lost = False  # entries are missing and their hashes too: no root can be made
        self.open = False  # the last checkpoint did not fit, and has been told
        self.proven: Checkpoint | None = None  # the last checkpoint that fits
        self.latest = 0  # newest time since the last checkpoint
        self.floor = 0  # older than this after the last checkpoint is back-dated
        self._roots: dict[int, bytes] = {}
        self.mark = marks.take()
        self.stop = self.mark.checkpoint.size if self.mark else -1

    def part(self) -> None:
        """From here on rows and kept hashes give two trees."""
        if self.said is self.kept:
            self.said = self.kept.copy()

    def skip(self, start: int, end: int) -> None:
        """Entries start..end are not there: go on with their kept hashes, if there are any."""
        self.findings.add(Fault.MISSING, start, end - 1)
        self.said = self.kept  # the rows alone give no tree any more
        at = start
        while at < end:
            if not self.lost:
                try:
                    if self.tree is None:
                        raise LookupError
                    self.kept.append(self.tree(0, at))
                except LookupError:
                    self.lost = True
            if self.lost:  # straight to the next checkpoint: the gap may be as wide as a lie
                if not at < self.stop <= end:
                    return
                at = self.stop
            else:
                at += 1
            if at == self.stop:
                self.settle(at)

    def settle(self, size: int) -> None:
        """`size` entries have been walked: compare with every checkpoint of that size."""
        self._roots.clear()
        while self.mark and self.stop == size:
            self._compare(self.mark)
            self.mark = self.marks.take()
            self.stop = self.mark.checkpoint.size if self.mark else -1

    def _compare(self, mark: _Mark) -> None:
        signed = mark.checkpoint
        first = self.proven.size if self.proven else 0
        forked = self._roots.setdefault(signed.size, signed.root) != signed.root
        if forked:
            self.findings.add(Fault.FORK, count=signed.size)
        if self.latest > signed.at + MERGE_DELAY:
            self.findings.add(Fault.TIME_AHEAD, first, max(first, signed.size - 1))
        self.latest, self.floor = 0, signed.at - MERGE_DELAY
        if not self.lost and self.kept.root() == signed.root:
            self.said = self.kept
        elif not self.lost and self.said.root() == signed.root:
            self.findings.add(Fault.HASHES, first, signed.size - 1)
            self.kept = self.said
        else:
            if not forked and (not self.open or mark.outside):
                self.findings.add(Fault.ROOT, first, max(first, signed.size - 1), count=signed.size)
            self.open = True
            self._find_again(signed)
            return
        self.open, self.proven = False, signed

    def _find_again(self, signed: Checkpoint) -> None:
        """Go on from the kept tree when that one is what was signed."""
        if self.tree is None:
            return
        try:
            edge = Frontier.of(signed.size, self.tree)
        except LookupError:
            return
        if edge.root() == signed.root:
            self.said = self.kept = edge
            self.lost = self.open = False
            self.proven = signed


def verify(
    entries: Iterable[Row],
    checkpoints: Iterable[bytes],
    key: Key,
    *,
    tree: Hashes | None = None,
    witnessed: Sequence[bytes] = (),
) -> Report:
    """Check a whole log and report every failure found; never raises for what is in the log.

    `entries` come in the order of their number, `checkpoints` (signed notes) in the order they were
    made. `key` is pinned by the auditor: name (= origin) and public key. `tree` is the stored tree,
    which lets each changed entry be named exactly and the check go on behind a removed one; without
    it the rows' own leaf hashes serve. `witnessed` are notes kept outside the operator's reach.
    """
    findings = _Findings()
    marks = _Marks(checkpoints, witnessed, key, findings)
    walk = _Walk(marks, tree, findings)
    encode = msgspec.msgpack.Encoder().encode  # as events.leaf, which also refuses; here all counts
    counters: dict[str, int] = {}
    times: dict[str, int] = {}
    expected = bodies = expired = 0
    walk.settle(0)

    for number, event, sealed, kept in entries:
        if number != expected:
            if number < expected:
                findings.add(Fault.REPEATED, number)
                continue
            walk.skip(expected, number)
            expected = number
        writer, counter, at = event.writer, event.counter, event.at

        said = sha256(b"\x00" + encode(event)).digest()
        if tree is not None:
            try:
                kept = tree(0, number)
            except LookupError:
                kept = None  # newer than the stored tree
        if kept is not None and kept != said:
            findings.add(Fault.CHANGED, number)
            walk.part()
            walk.kept.append(kept)
            walk.said.append(said)
        elif not walk.lost:
            walk.kept.append(said)
            if walk.said is not walk.kept:
                walk.said.append(said)

        if sealed is None:
            expired += 1
        else:
            bodies += 1
            if sha256(sealed).digest() != event.body_hash:
                findings.add(Fault.BODY, number)

        last = counters.get(writer, 0)
        if counter == last + 1:
            counters[writer] = counter
        elif counter > last:
            findings.add(Fault.COUNTER_GAP, number, count=counter - last - 1)
            counters[writer] = counter
        else:
            findings.add(Fault.COUNTER_BACK, number)

        if at < times.get(writer, 0):
            findings.add(Fault.TIME_BACK, number)
        times[writer] = at
        if at < walk.floor:
            findings.add(Fault.BACK_DATED, number)
        if at > walk.latest:
            walk.latest = at

        expected += 1
        if expected == walk.stop:
            walk.settle(expected)

    _end(walk, findings, expected)
    signed = walk.proven.size if walk.proven else 0
    return Report(
        entries=expected,
        checkpoints=marks.valid,
        signed=signed,
        unsigned=max(0, expected - signed),
        bodies=bodies,
        expired=expired,
        newest=walk.proven,
        findings=tuple(findings.kept),
        counts=findings.counts,
    )


def _end(walk: _Walk, findings: _Findings, size: int) -> None:
    """What only shows at the end: entries that were signed and are not there."""
    furthest = 0
    while walk.mark:
        furthest = max(furthest, walk.mark.checkpoint.size)
        walk.mark = walk.marks.take()
    if furthest > size:
        findings.add(Fault.TRUNCATED, size, count=furthest)
    if size and not walk.marks.valid:
        findings.add(Fault.UNSIGNED, count=size)
    if not walk.marks.witnessed:
        findings.add(Fault.NO_WITNESS)


def consistent(old: Checkpoint, new: Checkpoint, tree: Hashes) -> bool:
    """Does `new` continue `old`, shown from the stored tree? What a witness asks each time."""
    if old.origin != new.origin or old.size > new.size:
        return False
    try:
        proof = merkle.consistency_proof(old.size, new.size, tree)
    except LookupError:
        return False
    return merkle.verify_consistency(old.size, new.size, old.root, new.root, proof)
