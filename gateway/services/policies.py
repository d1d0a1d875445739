"""The consent policy in force: signed, counted upwards, the same on every process.

What is in force is a row of `policy_version` under a signed note; every signed version is kept a
second time in the keyring, so that restoring or editing the records alone cannot bring an older
policy back. A decision reads the number of the version in force together with the person it is
about, and the access log reads it again in the transaction of the answer's event: an answer that
was decided under a policy that is not in force any more does not leave.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from consent import policy as policy_files
from consent.policy import PolicyFault, PolicySet
from gateway.audit import charter
from gateway.audit.charter import Charter, Key
from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.services import versions
from gateway.services.caller import OPERATOR
from gateway.services.log import AccessLog, Draft, append
from gateway.services.versions import Signed, Standing
from gateway.store import policies as rows
from gateway.store.engine import Store, Tx
from gateway.store.keyring import StoredKeyring
from gateway.store.policies import VersionRow
from gateway.vault import Vault, Wrapped

PRESET = "cn-optin"  # founds a county whose settings name none
ABOUT = b"consent policy"
_KEPT = "policy"  # name of the copies in the keyring
FOUNDED = "由运维人员用命令采用，尚无第二人批准。Taken up by the operator's command; nobody has approved it yet."

_log = logging.getLogger("gateway.policies")


class Line(NamedTuple):
    """All versions that ever came in force, and what is wrong with them.

    `signed` and `charters` hold by number what is good; `lost` are versions that are known to have
    been in force but stand nowhere as they were signed, `lacking` those without a good copy in the
    keyring.
    """

    signed: Mapping[int, Signed]
    charters: Mapping[int, Charter]
    findings: tuple[str, ...]
    lost: frozenset[int]
    lacking: frozenset[int]

    @property
    def newest(self) -> int:
        """The version that is in force; 0 without any."""
        return max(self.charters, default=0)


class Policies:
    """The policy in force, and the line of versions behind it."""

    def __init__(self, db: Store, keyring: StoredKeyring[Wrapped], vault: Vault, zone: str) -> None:
        self._db = db
        self._keyring = keyring
        self._vault = vault
        self._zone = zone
        self._held: PolicySet | None = None
        self.number = 0

    @property
    def policy(self) -> PolicySet:
        """The policy as this process last read it."""
        assert self._held is not None, "the policy is opened with the services"
        return self._held

    @property
    def key(self) -> Key:
        """What verifies the signed versions: the line's name and the public key."""
        return Key(f"{self._vault.county}/policy", self._vault.policy_key())

    async def of(self, number: int) -> PolicySet:
        """The policy of the version that was just read as being in force.

        Costs a comparison when it is the one at hand. Problem BUSY when it cannot be relied on:
        nothing is decided then.
        """
        if number != self.number or self._held is None:
            try:
                await self._load()
            except Problem as problem:
                _log.error("policy refused: %s", problem.text)
                raise Problem(Kind.BUSY, "The county's policy cannot be relied on now.") from None
        return self.policy

    async def current(self) -> PolicySet:
        """The policy in force, asked of the database now."""
        return await self.of((await self._db.read(rows.IN_FORCE))[0][0])

    async def open(self, preset: str, log: AccessLog) -> None:
        """Read the policy in force; found the county with `preset` when it never had one.

        Problem BUSY, with what to do, when the versions are unsigned, altered or older than the
        newest one known, or when `preset` is not what the county was founded with.
        """
        line = await self.line()
        if not line.signed and not line.findings and not line.lost:
            await self._found(preset or PRESET, log)
        await self._load()
        founded = policy_files.parse(line.signed[1].text, self._zone) if line.signed else None
        if preset and founded is not None and founded.name != preset != self.policy.name:
            raise Problem(
                Kind.BUSY,
                f"GATEWAY_POLICY is {preset}, but this county was founded with {founded.name} and"
                f" version {self.number} ({self.policy.name}) is in force. Take the setting away;"
                " two persons change the policy: `health-gateway policy propose`.",
            )

    async def line(self) -> Line:
        """All versions that came in force, from the records and from the copies in the keyring."""
        # The copies first: a version is in the records before it is in the keyring.
        kept = {row.generation: row.wrapped for row in await self._keyring.fetch([_KEPT])}
        found = [VersionRow(*row) for row in await self._db.read(rows.VERSIONS)]
        return examine(found, kept, self.key)

    async def keep(self, number: int, signed: Signed) -> None:
        """Keep a signed version in the keyring too; one that stands there stays."""
        await self._keyring.keep([_copy(number, signed)])

    async def mend(self, line: Line) -> None:
        """Keep every good version in the keyring, in the place of copies that do not hold."""
        numbers = sorted(line.lacking & line.charters.keys())
        await versions.mend(self._keyring, [_copy(n, line.signed[n]) for n in numbers])

    def sign(self, statement: Charter) -> bytes:
        """The signed note of a statement."""
        return charter.sign(statement, self.key, self._vault.sign_policy)

    async def _load(self) -> None:
        line = await self.line()
        if line.findings:
            raise Problem(Kind.BUSY, line.findings[0])
        number = line.newest
        signed = line.signed[number]
        try:
            policy = policy_files.parse(signed.text, self._zone)
        except PolicyFault as fault:
            raise Problem(
                Kind.BUSY, f"This version of the program cannot read policy {number}: {fault}."
            ) from None
        for lacking in sorted(line.lacking):
            await self.keep(lacking, line.signed[lacking])
        self._held, self.number = policy, number

    async def _found(self, preset: str, log: AccessLog) -> None:
        text = policy_files.preset(preset)
        policy_files.parse(text, self._zone)
        at = log.now()
        digest = sha256(text)
        body = Body(
            request=secrets.token_hex(8),
            details={
                "policy": "founded",
                "name": preset,
                "version": "1",
                "hash": digest.hexdigest(),
            },
        ).asked_by(OPERATOR)
        draft = await log.draft(Noted.CONFIG, Outcome.PERMIT, OPERATOR, at, body)
        statement = Charter(self.key.name, 1, digest.digest(), at, OPERATOR.user)
        note = self.sign(statement)
        await self._db.do(_found, text, statement, note, draft, log.filing_writer, log.now)


def _copy(number: int, signed: Signed) -> Wrapped:
    return Wrapped(_KEPT, number, "", msgspec.msgpack.encode(signed))


def _found(
    tx: Tx,
    text: bytes,
    statement: Charter,
    note: bytes,
    draft: Draft,
    writer: str,
    now: Callable[[], int],
) -> None:
    tx.run(rows.HOLD, ABOUT)
    if tx.all(rows.VERSIONS):
        return  # another process was first
    append(tx, writer, [draft], now)
    tx.run(
        rows.PUT, 1, statement.hash.hex(), text, "in-force", 0, FOUNDED, "", statement.proposed_by,
        OPERATOR.organization, statement.since, "", statement.since, "", statement.since, 0, note,
    )  # fmt: skip


def examine(found: Sequence[VersionRow], kept: Mapping[int, bytes], key: Key) -> Line:
    """The line of versions, from rows and from the keyring's copies by number, and its findings.

    Each finding is a sentence that says what to do about it.
    """
    copies = {number: _unpacked(packed) for number, packed in kept.items()}
    here = [row for row in found if row.state in ("in-force", "retired")]
    good, findings = versions.whole(_KIND, [_standing(row) for row in here], copies, key)
    newest = max(good, default=0)
    in_force = [row.number for row in here if row.state == "in-force"]
    if good and in_force != [newest]:
        stands = ", ".join(map(str, in_force)) or "none"
        findings.append(f"Policy {newest} is the newest, but in force stands {stands}: {_BACK}")
    charters, broken = versions.chained(_KIND, good)
    notes = [one.note for one in copies.values() if one] + [bytes(row.signature) for row in found]
    told = {said.number for note in notes if (said := versions.read(note, key)) is not None}
    lost = frozenset((copies.keys() | good.keys() | told) - charters.keys())
    signed = {number: good[number][1] for number in charters}
    lacking = versions.lacking(good, copies)
    return Line(signed, charters, (*findings, *broken), lost, lacking)


def _standing(row: VersionRow) -> Standing:
    signed = Signed(bytes(row.signature), bytes(row.text))
    said = row.hash, row.since, row.proposed_by, row.decided_by
    return Standing(row.number, row.state, signed, said)


def _unpacked(packed: bytes) -> Signed | None:
    try:
        return msgspec.msgpack.decode(packed, type=Signed)
    except msgspec.MsgspecError:
        return None


_BACK = "`health-gateway policy recover` puts the signed versions back; find out who changed them."
_KIND = versions.Kind("policy", "came in force", _BACK)
