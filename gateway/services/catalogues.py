"""The recognition catalogue in force and the register of who belongs where and may what.

Versions are signed and counted upwards like the county's policy; the register is a line of signed
steps. Both are kept a second time (the steps by their newest) in the keyring, so that restoring or
editing the records alone brings neither an older list nor a lost suspension back. Whoever reads a
person learns the newest numbers with it, and this process follows before anything is judged.
"""

from __future__ import annotations

import logging
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.audit import chain, charter
from gateway.audit.chain import Entry
from gateway.audit.charter import Charter, Key, NoteFault
from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.catalogue.content import HASH
from gateway.recognition.catalogue.reader import of_content
from gateway.recognition.catalogue.register import Act, Step, Terms, founding, state
from gateway.services import versions
from gateway.services.caller import OPERATOR
from gateway.services.log import AccessLog, Draft, append
from gateway.services.versions import RESTORE, Signed, Standing
from gateway.store import catalogues as rows
from gateway.store.catalogues import EventRow, VersionRow
from gateway.store.engine import Store, Tx
from gateway.store.keyring import StoredKeyring
from gateway.vault import Vault, Wrapped

ABOUT = b"recognition catalogue"
FOUNDED = "由运维人员用命令采用的初始目录。The list the county was founded with."
KEPT, HEADS = "catalogue", "register"  # names of the copies in the keyring
HELD = 16  # catalogues of other days that stay at hand

_log = logging.getLogger("gateway.catalogue")


class Line(NamedTuple):
    """All published versions by number, and what is wrong: sentences that say what to do.

    `lacking` are those without a good copy in the keyring.
    """

    signed: Mapping[int, Signed]
    charters: Mapping[int, Charter]
    findings: tuple[str, ...]
    lacking: frozenset[int]

    @property
    def newest(self) -> int:
        """The number of the newest published version; 0 without any."""
        return max(self.charters, default=0)

    def in_force(self, at: int) -> int:
        """The version in force at a moment: the newest decision whose day has come, before all of
        them the first; 0 without any."""
        first = min(self.charters, default=0)
        return max((n for n, said in self.charters.items() if said.since <= at), default=first)


class Register(NamedTuple):
    """All steps of the register and the entries that sign them, and what is wrong."""

    steps: tuple[Step, ...]
    entries: tuple[Entry, ...]
    findings: tuple[str, ...]


_EMPTY = Line({}, {}, (), frozenset())


class Catalogues:
    """The catalogue in force, and everything that ever was."""

    def __init__(
        self, db: Store, keyring: StoredKeyring[Wrapped], vault: Vault, zone: ZoneInfo
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._vault = vault
        self._zone = zone
        self.line_held = _EMPTY
        self.register_held = Register((), (), ())
        self._made: dict[tuple[int, int], Catalogue] = {}

    @property
    def number(self) -> int:
        """The newest published version that this process knows, in force or to come."""
        return self.line_held.newest

    @property
    def event(self) -> int:
        """The newest step of the register that this process knows."""
        return len(self.register_held.steps)

    @property
    def key(self) -> Key:
        """What verifies the signed versions."""
        return Key(f"{self._vault.county}/catalogue", self._vault.policy_key())

    @property
    def register_key(self) -> Key:
        """What verifies the steps of the register."""
        return Key(f"{self._vault.county}/register", self._vault.policy_key())

    def at(self, moment: int) -> Catalogue:
        """The catalogue in force at a moment (µs UTC), as this process last read it."""
        return self._catalogue(self.line_held.in_force(moment), self.event)

    async def of(self, version: str, register: str | int) -> Catalogue:
        """The catalogue as a judgement names it (`rules`): as it was, for replay.

        Problem UNKNOWN when there never was such a version or state of the register.
        """
        await self.current()
        number = next(
            (n for n, said in self.line_held.charters.items() if said.hash.hex()[:HASH] == version),
            0,
        )
        event = int(register) if str(register).isdecimal() else -1
        if not number or not 0 <= event <= self.event:
            raise Problem(Kind.UNKNOWN, "There never was such a catalogue.", "catalogue")
        return self._catalogue(number, event)

    async def follow(self, number: int, event: int) -> None:
        """Be at these newest numbers, which were just read; costs two comparisons when it is.

        Problem BUSY when the catalogue cannot be relied on: nothing is judged then.
        """
        if (number, event) != (self.number, self.event):
            try:
                await self._load()
            except Problem as problem:
                _log.error("catalogue refused: %s", problem.text)
                raise Problem(Kind.BUSY, "The catalogue cannot be relied on now.") from None

    async def current(self) -> None:
        """Be at the newest numbers, asked of the database now."""
        await self.follow(*(await self._db.read(rows.STAMP))[0])

    async def open(self, shipped: Callable[[], Catalogue], log: AccessLog) -> None:
        """Read what is in force; found the county with the files when it never had a catalogue.

        Problem BUSY, with what to do, when versions or steps are unsigned, altered, missing or older
        than the newest known.
        """
        line = await self.line()
        if not line.signed and not line.findings:
            await self._found(shipped(), log)
        await self._load()

    async def line(self) -> Line:
        """All published versions, from the records and from the copies in the keyring."""
        # The copies first: a version is in the records before it is in the keyring.
        kept = {row.generation: row.wrapped for row in await self._keyring.fetch([KEPT])}
        found = [VersionRow(*row) for row in await self._db.read(rows.PUBLISHED)]
        return examine(found, kept, self.key)

    async def register(self) -> Register:
        """All steps, each checked against its signature, the one before it and the keyring."""
        kept = {row.generation: row.wrapped for row in await self._keyring.fetch([HEADS])}
        found = [EventRow(*row) for row in await self._db.read(rows.EVENTS, 0)]
        return examine_register(found, kept, self.register_key)

    async def keep(self, number: int, signed: Signed) -> None:
        """Keep a published version in the keyring too; one that stands there stays."""
        await self._keyring.keep([_copy(number, signed)])

    async def keep_head(self, number: int, note: bytes) -> None:
        """Keep the note of the newest step in the keyring too."""
        await self._keyring.keep([Wrapped(HEADS, number, "", note)])

    async def mend(self, line: Line) -> None:
        """Keep every good version in the keyring, in the place of copies that do not hold."""
        numbers = sorted(line.lacking & line.charters.keys())
        await versions.mend(self._keyring, [_copy(n, line.signed[n]) for n in numbers])

    def sign(self, statement: Charter) -> bytes:
        """The signed note of a published version."""
        return charter.sign(statement, self.key, self._vault.sign_policy)

    def entries(self, steps: Sequence[Step], before: Entry | None) -> list[tuple[Entry, bytes]]:
        """The signed entries of new steps, after the entry before them."""
        made = []
        for step in steps:
            previous = before.digest() if before else None
            before = Entry(self.register_key.name, step.number, step.hash(), previous)
            made.append((before, chain.sign(before, self.register_key, self._vault.sign_policy)))
        return made

    def _catalogue(self, number: int, event: int) -> Catalogue:
        made = self._made.get((number, event))
        if made is None:
            known = state(self.register_held.steps[:event])
            content = self.line_held.signed[number].text
            made = of_content(content, self._zone).with_register(
                known.members, known.entitlements, str(event)
            )
            while len(self._made) >= HELD:
                self._made.pop(next(iter(self._made)))
            self._made[number, event] = made
        return made

    async def _load(self) -> None:
        line, register = await self.line(), await self.register()
        for finding in (*line.findings, *register.findings):
            raise Problem(Kind.BUSY, finding)
        try:
            of_content(line.signed[line.newest].text, self._zone)
        except ValueError as fault:
            raise Problem(
                Kind.BUSY,
                f"This version of the program cannot read catalogue {line.newest}: {fault}.",
            ) from None
        for number in sorted(line.lacking):
            await self.keep(number, line.signed[number])
        if register.entries:
            last = await self._db.read(rows.LAST)
            await self.keep_head(len(register.entries), bytes(EventRow(*last[0]).signature))
        if len(register.steps) < self.event:
            raise Problem(Kind.BUSY, f"The register lost its newest steps: {RESTORE}")
        self.line_held, self.register_held = line, register
        self._made.clear()

    async def _found(self, catalogue: Catalogue, log: AccessLog) -> None:
        at = log.now()
        content = catalogue.content
        digest = sha256(content)
        steps = founding(catalogue, OPERATOR.user, at, FOUNDED)
        body = Body(
            request=secrets.token_hex(8),
            details={
                "catalogue": "founded",
                "version": "1",
                "hash": digest.hexdigest(),
                "register": str(len(steps)),
            },
        ).asked_by(OPERATOR)
        draft = await log.draft(Noted.CONFIG, Outcome.PERMIT, OPERATOR, at, body)
        statement = Charter(self.key.name, 1, digest.digest(), at, OPERATOR.user)
        notes = [note for _, note in self.entries(steps, None)]
        await self._db.do(
            _found, content, statement, self.sign(statement), steps, notes, draft,
            log.filing_writer, log.now,
        )  # fmt: skip


def _copy(number: int, signed: Signed) -> Wrapped:
    packed = msgspec.msgpack.encode((signed.note, zlib.compress(signed.text, 9)))
    return Wrapped(KEPT, number, "", packed)


def _unpacked(packed: bytes) -> Signed | None:
    try:
        note, content = msgspec.msgpack.decode(packed, type=tuple[bytes, bytes])
        return Signed(note, zlib.decompress(content))
    except (msgspec.MsgspecError, zlib.error):
        return None


def _found(
    tx: Tx,
    content: bytes,
    statement: Charter,
    note: bytes,
    steps: Sequence[Step],
    notes: Sequence[bytes],
    draft: Draft,
    writer: str,
    now: Callable[[], int],
) -> None:
    tx.run(rows.HOLD, ABOUT)
    if tx.one(rows.VERSION, 1):
        return  # another process was first
    append(tx, writer, [draft], now)
    tx.run(
        rows.PUT, 1, statement.hash.hex(), "published", 0, FOUNDED, statement.proposed_by,
        OPERATOR.organization, statement.since, "", statement.since, "", statement.since, note,
        content,
    )  # fmt: skip
    add_steps(tx, steps, notes)


def add_steps(tx: Tx, steps: Sequence[Step], notes: Sequence[bytes]) -> None:
    """Add signed steps to the register, in a transaction that holds it."""
    tx.many(rows.ADD, [_row(step, note) for step, note in zip(steps, notes, strict=True)])


def _row(step: Step, note: bytes) -> EventRow:
    return EventRow(
        step.number, str(step.entitlement), step.organization, step.act.value,
        msgspec.json.encode(step.terms, order="deterministic"), step.reason, step.by, step.at, note,
    )  # fmt: skip


def step_of(row: EventRow) -> Step:
    """The step a row tells; ValueError when it tells none."""
    try:
        terms = msgspec.json.decode(row.content, type=Terms)
        return Step(
            row.number, int(row.entitlement), Act(row.act), row.organization, terms, row.reason,
            row.decided_by, row.at,
        )  # fmt: skip
    except msgspec.MsgspecError:
        raise ValueError("not a step") from None


def examine(found: Sequence[VersionRow], kept: Mapping[int, bytes], key: Key) -> Line:
    """The line of versions, from rows and from the keyring's copies by number, and its findings."""
    copies = {number: _unpacked(packed) for number, packed in kept.items()}
    good, findings = versions.whole(_KIND, [_standing(row) for row in found], copies, key)
    charters, broken = versions.chained(_KIND, good)
    signed = {number: good[number][1] for number in charters}
    return Line(signed, charters, (*findings, *broken), versions.lacking(good, copies))


def _standing(row: VersionRow) -> Standing:
    signed = Signed(bytes(row.signature), bytes(row.content))
    said = row.hash, row.since, row.made_by, row.decided_by
    return Standing(row.number, row.state, signed, said)


def examine_register(found: Sequence[EventRow], kept: Mapping[int, bytes], key: Key) -> Register:
    """The steps that hold, up to the first that does not, and what is wrong."""
    findings: list[str] = []
    steps: list[Step] = []
    entries: list[Entry] = []
    before: Entry | None = None
    for row in found:
        try:
            step, entry = step_of(row), chain.read(bytes(row.signature), key)
        except ValueError:
            findings.append(f"Step {row.number} of the register is not as it was signed: {RESTORE}")
            break
        previous = before.digest() if before else None
        if (entry.number, entry.hash, entry.previous) != (row.number, step.hash(), previous):
            findings.append(f"Step {row.number} of the register was altered or moved: {RESTORE}")
            break
        steps.append(step)
        entries.append(entry)
        before = entry
    for number, note in sorted(kept.items()):
        try:
            stands = number <= len(entries) and chain.read(note, key) == entries[number - 1]
        except NoteFault:
            stands = False
        if not stands and not findings:
            findings.append(f"Step {number} of the register is lost or another: {RESTORE}")
    return Register(tuple(steps), tuple(entries), tuple(findings))


_BACK = (
    "`health-gateway catalogue recover` puts the signed versions back; find out who changed them."
)
_KIND = versions.Kind("catalogue", "was published", _BACK)
