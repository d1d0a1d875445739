"""Changes the county's consent policy: proposed by one privacy officer, approved by another.

propose (read strictly, compared with the one in force) → another person reads what changes for whom
→ approve, with a word of why → in force at that instant on every process. Nothing that once was in
force is brought back but by proposing its text again. The version a county begins with is taken up
by the operator's command that founds it, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import msgspec

from consent import policy as policy_files
from consent.difference import Sentence, difference
from consent.policy import PolicyFault, PolicySet
from gateway.audit.charter import Charter
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange.changing import noted, said
from gateway.exchange.event_bodies import bodies
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.services.policies import ABOUT, Line
from gateway.services.versions import Signed
from gateway.store import oversight as listed
from gateway.store import policies as rows
from gateway.store.engine import Tx
from gateway.store.policies import VersionRow

LARGEST = 200_000  # bytes of a policy file
PAGE = 500
_report = msgspec.json.Decoder(tuple[Sentence, ...])


# Looking.


async def versions(services: Services) -> list[VersionRow]:
    """All versions, oldest first."""
    return [VersionRow(*row) for row in await services.db.read(rows.VERSIONS)]


async def named(number: int, services: Services) -> VersionRow:
    """A version by its number; Problem UNKNOWN without one."""
    found = await services.db.read(rows.VERSION, number)
    if not found:
        raise Problem(Kind.UNKNOWN, "There is no policy of that number.", "version")
    return VersionRow(*found[0])


def told(row: VersionRow) -> tuple[Sentence, ...]:
    """What a version changed when it was proposed, as it was kept then."""
    return _report.decode(row.report) if row.report else ()


def read(text: bytes, services: Services) -> PolicySet:
    """A policy file of this county; Problem UNPROCESSABLE says what in it cannot be meant."""
    if len(text) > LARGEST:
        raise Problem(Kind.TOO_LARGE, "A policy file is not that large.", "file")
    made = _parsed(text, services)
    known = {one.id for one in services.register}
    if known and (strangers := sorted(made.controllers - known)):
        raise Problem(
            Kind.UNPROCESSABLE, f"controllers: {strangers[0]} is not in the register.", "file"
        )
    return made


def parsed(row: VersionRow, services: Services) -> PolicySet:
    """A kept version, whatever the register says by now."""
    return _parsed(bytes(row.text), services)


def _parsed(text: bytes, services: Services) -> PolicySet:
    try:
        return policy_files.parse(text, services.settings.timezone)
    except PolicyFault as fault:
        raise Problem(Kind.UNPROCESSABLE, f"The policy does not read: {fault}", "file") from None


async def compare(text: bytes, services: Services) -> tuple[Sentence, ...]:
    """What would change if this file took the place of the policy in force."""
    return difference(await services.policies.current(), read(text, services))


async def changes(row: VersionRow, services: Services) -> tuple[Sentence, ...]:
    """What a proposal would change, computed now from the texts: what an approver decides by."""
    return difference(await services.policies.current(), parsed(row, services))


# Proposing.


async def propose(text: bytes, note: str, by: Caller, services: Services) -> int:
    """Keep a file as a proposal; its number.

    Problem REQUIRED without words of why, UNPROCESSABLE when the file cannot be meant, CONFLICT when
    it is in force or proposed already.
    """
    _privacy(by)
    note = said(note, "note")
    changed = await compare(text, services)
    base = services.policies.number
    digest = sha256(text).hexdigest()
    draft = await noted("policy", "proposed", by, services, hash=digest, base=str(base), note=note)
    report = msgspec.json.encode(changed).decode()
    return await services.db.do(_propose, text, digest, base, note, report, by, draft, services)


def _propose(
    tx: Tx,
    text: bytes,
    digest: str,
    base: int,
    note: str,
    report: str,
    by: Caller,
    draft: Draft,
    services: Services,
) -> int:
    tx.run(rows.HOLD, ABOUT)
    number = 0
    for one in tx.all(rows.VERSIONS):
        row = VersionRow(*one)
        number = row.number
        if row.hash == digest and row.state in ("in-force", "proposed"):
            raise Problem(
                Kind.CONFLICT, f"This file is version {row.number} already ({row.state}).", "file"
            )
    append(tx, services.log.filing_writer, [draft], services.now)
    seal = _seal(text, base, by.user, by.organization, services)
    number += 1
    tx.run(
        rows.PUT, number, digest, text, "proposed", base, note, report, by.user, by.organization,
        services.now(), "", 0, "", 0, 0, seal,
    )  # fmt: skip
    return number


def _seal(text: bytes, base: int, login: str, organization: str, services: Services) -> bytes:
    """Stands in a proposal's signature, so that nobody else's words are signed as this person's."""
    what = msgspec.msgpack.encode((text, base, login, organization))
    return services.vault.digest("policy-proposal", what)


# Deciding.


async def approve(number: int, reason: str, by: Caller, services: Services, *, seen: str) -> None:
    """Put a proposal in force, at once and on every process.

    `seen` is the hash of the text whose changes the approver has read. Problem REFUSED when the
    approver proposed it, or neither of both is of the county's health authority; REQUIRED without
    words of why; CONFLICT when it is not a proposal any more, another version came in force since,
    or it is not what was proposed or read.
    """
    _privacy(by)
    reason = said(reason, "reason")
    row = await named(number, services)
    _second_person(row, by, services)
    if row.hash != seen:
        raise Problem(Kind.CONFLICT, "The proposal is not the one that was read.", "version")
    read(bytes(row.text), services)
    line = await services.policies.line()
    if line.findings:
        raise Problem(Kind.CONFLICT, line.findings[0], "version")
    draft = await noted(
        "policy",
        "approved", by, services,
        version=str(number), hash=row.hash, proposer=row.proposed_by, reason=reason,
    )  # fmt: skip
    signed = await services.db.do(_approve, number, reason, by, line, seen, draft, services)
    await services.policies.keep(number, signed)
    await services.policies.current()


def _approve(
    tx: Tx,
    number: int,
    reason: str,
    by: Caller,
    line: Line,
    seen: str,
    draft: Draft,
    services: Services,
) -> Signed:
    row = _held(tx, number)
    _second_person(row, by, services)
    text = bytes(row.text)
    seal = _seal(text, row.base, row.proposed_by, row.organization, services)
    if row.hash != seen or row.hash != sha256(text).hexdigest() or bytes(row.signature) != seal:
        raise Problem(Kind.CONFLICT, "The proposal was altered after it was made.", "version")
    (standing,) = tx.all(rows.IN_FORCE)[0]
    if standing != line.newest or row.base != standing:
        raise Problem(
            Kind.CONFLICT, f"Version {standing} came in force since; propose it again.", "version"
        )
    before = line.charters[standing]
    at = max(services.now(), before.since + 1)
    key = services.policies.key
    statement = Charter(
        key.name, number, sha256(text).digest(), at, row.proposed_by, by.user, before.digest()
    )
    note = services.policies.sign(statement)
    tx.run(rows.RETIRE, at)
    tx.run(rows.DECIDE, number, "in-force", by.user, at, reason, at, note)
    append(tx, services.log.filing_writer, [draft], services.now)
    return Signed(note, text)


async def refuse(number: int, reason: str, by: Caller, services: Services) -> None:
    """Turn a proposal down, or take one's own back; Problem CONFLICT when it is none any more."""
    _privacy(by)
    reason = said(reason, "reason")
    row = await named(number, services)
    draft = await noted(
        "policy", "refused", by, services, version=str(number), hash=row.hash, reason=reason
    )
    await services.db.do(_refuse, number, reason, by, draft, services)


def _refuse(tx: Tx, number: int, reason: str, by: Caller, draft: Draft, services: Services) -> None:
    row = _held(tx, number)
    at = services.now()
    tx.run(rows.DECIDE, number, "refused", by.user, at, reason, 0, bytes(row.signature))
    append(tx, services.log.filing_writer, [draft], services.now)


def _held(tx: Tx, number: int) -> VersionRow:
    """A proposal, while nobody else decides about the policy."""
    tx.run(rows.HOLD, ABOUT)
    found = tx.one(rows.VERSION, number)
    if found is None:
        raise Problem(Kind.UNKNOWN, "There is no policy of that number.", "version")
    row = VersionRow(*found)
    if row.state != "proposed":
        raise Problem(Kind.CONFLICT, f"Version {number} is {row.state}.", "version")
    return row


def may_approve(row: VersionRow, by: Caller, services: Services) -> bool:
    """Whether this person may be the second one on a proposal."""
    county = {one.id for one in services.register if one.kind == "authority"}
    of_county = not county or not county.isdisjoint((row.organization, by.organization))
    return by.role == "privacy" and bool(by.user) and by.user != row.proposed_by and of_county


def _second_person(row: VersionRow, by: Caller, services: Services) -> None:
    if by.user == row.proposed_by:
        raise Problem(Kind.REFUSED, "Another person than the one who proposed it approves it.")
    if not may_approve(row, by, services):
        raise Problem(
            Kind.REFUSED, "One of the two persons is a privacy officer of the health authority."
        )


def _privacy(by: Caller) -> None:
    if by.role != "privacy" or not by.user:
        raise Problem(Kind.REFUSED, "Another role's work.")


# Checking.


@dataclass(frozen=True, slots=True)
class Verified:
    """The versions that came in force, and what is wrong; each finding says what to do."""

    charters: tuple[Charter, ...]
    findings: tuple[str, ...]


async def verify(services: Services) -> Verified:
    """Check every signature, the line of versions in both databases, and what the access log tells."""
    line = await services.policies.line()
    findings = list(line.findings)
    for number, digest in (await _logged(services)).items():
        known = line.charters.get(number)
        if known is None or known.hash.hex() != digest:
            findings.append(
                f"The access log tells that policy {number} came in force, but it is not among the"
                " signed versions: restore the keyring's backup, then `health-gateway policy"
                " recover`."
            )
    return Verified(tuple(line.charters[n] for n in sorted(line.charters)), tuple(findings))


async def recover(by: Caller, services: Services) -> tuple[int, ...]:
    """Put the signed versions back into the records, from the keyring, and the other way round; the numbers
    of all.

    Problem CONFLICT when the signed versions do not hold: only backups help then.
    """
    line = await services.policies.line()
    lost = line.lost | ((await _logged(services)).keys() - line.charters.keys())
    if lost or not line.charters:
        gone = ", ".join(map(str, sorted(lost))) or "any version"
        raise Problem(
            Kind.CONFLICT,
            f"Nowhere stands policy {gone} as it was signed: restore the records and the keyring"
            " from backups of the same day.",
            "version",
        )
    await services.policies.mend(line)
    numbers = " ".join(map(str, sorted(line.charters)))
    draft = await noted("policy", "recovered", by, services, versions=numbers)
    await services.db.do(_recover, line, draft, services)
    return tuple(sorted(line.charters))


def _recover(tx: Tx, line: Line, draft: Draft, services: Services) -> None:
    tx.run(rows.HOLD, ABOUT)
    standing = {row[0]: VersionRow(*row) for row in tx.all(rows.VERSIONS)}
    for number, row in standing.items():
        if row.state in ("in-force", "retired") and number not in line.charters:
            tx.run(rows.DISOWN, number)
    follower: Charter | None = None
    for number in sorted(line.charters, reverse=True):
        said, (note, text) = line.charters[number], line.signed[number]
        state, until = ("retired", follower.since) if follower else ("in-force", 0)
        follower = said
        if number in standing:
            tx.run(
                rows.RESTORE, number, said.hash.hex(), text, state, said.proposed_by,
                said.approved_by, said.since, until, note,
            )  # fmt: skip
        else:
            tx.run(
                rows.PUT, number, said.hash.hex(), text, state, 0, "", "", said.proposed_by, "",
                0, said.approved_by, said.since, "", said.since, until, note,
            )  # fmt: skip
    append(tx, services.log.filing_writer, [draft], services.now)


async def _logged(services: Services) -> dict[int, str]:
    """Hash by number of every version that the access log saw come in force."""
    narrow = listed.Narrow(kind=Noted.CONFIG.value)
    found: dict[int, str] = {}
    first = 0
    while page := (await services.db.session(listed.events, narrow, first, PAGE)).rows:
        for body in await bodies(page, services):
            said = body.details if body is not None else {}
            if said.get("policy") in ("founded", "approved"):
                found[int(said["version"])] = said["hash"]
        first += PAGE
    return found
