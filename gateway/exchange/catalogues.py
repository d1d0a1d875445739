"""Changes the recognition catalogue: drafted by one person of the health commission, approved by another.

draft (read strictly, compared with the newest) → another person reads what changes → approve → publish,
at once or from a day on → in force then on every process. Nothing that once was published is changed; an
older content comes back only as a new version. What was decided under a version is judged under it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import msgspec

from gateway.audit.charter import Charter
from gateway.errors import Kind, Problem
from gateway.exchange.changing import noted, said
from gateway.recognition.catalogue import Catalogue, excel
from gateway.recognition.catalogue.content import cells_of, register_cells
from gateway.recognition.catalogue.csvfile import CatalogueFault, Fault
from gateway.recognition.catalogue.difference import Change, difference
from gateway.recognition.catalogue.reader import load, of_content
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.catalogues import ABOUT, Line
from gateway.services.log import Draft, append
from gateway.services.versions import Signed
from gateway.store import catalogues as rows
from gateway.store.catalogues import VersionRow
from gateway.store.engine import Tx

ROLE = "commission"


class FileRefused(Problem):
    """A file that cannot be meant; `faults` says everything by sheet, row and column."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(Kind.UNPROCESSABLE, f"The file is refused: {faults[0].en}.", "file")
        self.faults = faults


# Looking.


async def versions(services: Services) -> list[VersionRow]:
    """All versions, oldest first."""
    return [VersionRow(*row) for row in await services.db.read(rows.VERSIONS)]


async def named(number: int, services: Services) -> VersionRow:
    """A version by its number; Problem UNKNOWN without one."""
    found = await services.db.read(rows.VERSION, number)
    if not found:
        raise Problem(Kind.UNKNOWN, "There is no catalogue of that number.", "version")
    return VersionRow(*found[0])


def state_of(row: VersionRow, services: Services) -> str:
    """draft, approved, refused, in-force, coming, retired (it was in force) or passed-over (a newer
    one came before its day)."""
    if row.state != "published":
        return row.state
    line, now = services.catalogues.line_held, services.now()
    standing = line.in_force(now)
    if row.number == standing:
        return "in-force"
    later = [line.charters[n].since for n in line.charters if n > row.number]
    if any(since <= row.since for since in later):
        return "passed-over"
    return "retired" if row.number < standing else "coming"


def content(row: VersionRow, services: Services) -> Catalogue:
    """What a version consists of; Problem UNPROCESSABLE when this program cannot read it."""
    try:
        return of_content(bytes(row.content), services.settings.zone)
    except ValueError:
        raise Problem(Kind.UNPROCESSABLE, "This version cannot be read.", "version") from None


async def changes(row: VersionRow, services: Services) -> tuple[Change, ...]:
    """What a version changes against the one it was made from, computed from their contents."""
    base = await named(row.base, services) if row.base else row
    return _differences(base, row, services)


async def compare(one: int, other: int, services: Services) -> tuple[Change, ...]:
    """What differs between two versions."""
    return _differences(await named(one, services), await named(other, services), services)


def _differences(before: VersionRow, after: VersionRow, services: Services) -> tuple[Change, ...]:
    try:
        return _between(bytes(before.content), bytes(after.content), services.settings.zone)
    except ValueError:
        raise Problem(Kind.UNPROCESSABLE, "This version cannot be read.", "version") from None


@lru_cache(maxsize=32)
def _between(before: bytes, after: bytes, zone: tzinfo) -> tuple[Change, ...]:
    """Worked out once: a page shows what every version changed."""
    return difference(of_content(before, zone), of_content(after, zone), zone)


def workbook(catalogue: Catalogue, services: Services) -> bytes:
    """A version as Excel."""
    return excel.write(cells_of(catalogue, services.settings.zone))


def register_workbook(services: Services) -> bytes:
    """The register as it stands, as Excel."""
    held = services.catalogue
    return excel.write(register_cells(held.members, held.entitled, services.settings.zone))


async def read_workbook(body: bytes, services: Services) -> Catalogue:
    """The catalogue in a workbook; FileRefused with every fault."""
    try:
        return await asyncio.to_thread(excel.read, body, services.settings.zone)
    except CatalogueFault as fault:
        raise FileRefused(fault.faults) from None


def read_folder(folder: Path, services: Services) -> Catalogue:
    """The catalogue in CSV files; FileRefused with every fault."""
    try:
        return load(folder, zone=services.settings.zone)
    except CatalogueFault as fault:
        raise FileRefused(fault.faults) from None


# Drafting.


async def draft(catalogue: Catalogue, note: str, by: Caller, services: Services) -> int:
    """Keep a content as a draft; its number.

    Problem REQUIRED without words of why, CONFLICT when it is the newest version or a draft already,
    UNPROCESSABLE when it leaves out a scope or item that the register still speaks of.
    """
    commission(by)
    note = said(note, "note")
    await services.catalogues.current()
    _keeps_the_register(catalogue, services)
    text = catalogue.content
    base, digest = services.catalogues.number, sha256(text).hexdigest()
    event = await noted(
        "catalogue", "drafted", by, services, hash=digest, base=str(base), note=note
    )
    return await services.db.do(_draft, text, digest, base, note, by, event, services)


def _keeps_the_register(catalogue: Catalogue, services: Services) -> None:
    now = services.now()
    held = services.catalogue
    placed = {one.scope for one in held.members if one.valid.end > now}
    placed |= {one.scope for one in held.entitled if one.valid.end > now}
    for scope in sorted(placed - set(catalogue.scopes)):
        raise Problem(
            Kind.UNPROCESSABLE, f"The register still speaks of the scope {scope}.", "scopes"
        )
    codes = {item.code for item in catalogue.items}
    spoken = {one.item for one in held.entitled if one.valid.end > now and one.item}
    for code in sorted(spoken - codes):
        raise Problem(Kind.UNPROCESSABLE, f"The register still speaks of the item {code}.", "items")


def _draft(
    tx: Tx,
    text: bytes,
    digest: str,
    base: int,
    note: str,
    by: Caller,
    event: Draft,
    services: Services,
) -> int:
    tx.run(rows.HOLD, ABOUT)
    number = 0
    for one in tx.all(rows.VERSIONS):
        row = VersionRow(*one)
        number = row.number
        same = row.hash == digest
        if same and (row.state in ("draft", "approved") or row.number == base):
            raise Problem(Kind.CONFLICT, f"This is version {row.number} already.", "file")
    append(tx, services.log.filing_writer, [event], services.now)
    number += 1
    made = VersionRow(
        number, digest, "draft", base, note, by.user, by.organization, services.now(), "", 0, "", 0,
        b"", text,
    )  # fmt: skip
    tx.run(rows.PUT, *made._replace(signature=_seal(made, services)))
    return number


def _seal(row: VersionRow, services: Services) -> bytes:
    """Stands in the signature until it is published, so that nobody else's content is signed as this
    person's, nor an approval made up."""
    what = msgspec.msgpack.encode(
        (row.state, row.hash, row.base, row.made_by, row.organization, row.decided_by)
    )
    return services.vault.digest("catalogue-version", what)


# Deciding.


async def approve(number: int, reason: str, by: Caller, services: Services, *, seen: str) -> None:
    """Agree to a draft as another person than who made it; `seen` is the hash of what was read.

    Problem REFUSED when it is one's own, REQUIRED without words of why, CONFLICT when it is no draft
    any more, another version was published since, or it is not what was read.
    """
    commission(by)
    reason = said(reason, "reason")
    row = await named(number, services)
    _second_person(row, by)
    event = await noted(
        "catalogue", "approved", by, services,
        version=str(number), hash=row.hash, drafted_by=row.made_by, reason=reason,
    )  # fmt: skip
    await services.db.do(_approve, number, reason, by, seen, event, services)


def _approve(
    tx: Tx, number: int, reason: str, by: Caller, seen: str, event: Draft, services: Services
) -> None:
    row = _held(tx, number, ("draft",), services)
    _second_person(row, by)
    if row.hash != seen:
        raise Problem(Kind.CONFLICT, "The draft is not the one that was read.", "version")
    at = services.now()
    approved = row._replace(state="approved", decided_by=by.user)
    tx.run(
        rows.DECIDE, number, "draft", "approved", by.user, at, reason, 0, _seal(approved, services)
    )
    append(tx, services.log.filing_writer, [event], services.now)


async def publish(number: int, since: int, by: Caller, services: Services) -> None:
    """Put an approved version in force from `since` on (µs UTC; what lies behind is now).

    The newest published version whose day has come is in force, so publishing at once also takes the
    place of what was to come. Problem CONFLICT when it is not approved, or another version was
    published since it was drafted.
    """
    commission(by)
    row = await named(number, services)
    line = await services.catalogues.line()
    if line.findings:
        raise Problem(Kind.CONFLICT, line.findings[0], "version")
    event = await noted(
        "catalogue", "published", by, services,
        version=str(number), hash=row.hash, since=str(max(since, services.now())),
    )  # fmt: skip
    signed = await services.db.do(_publish, number, since, line, event, services)
    await services.catalogues.keep(number, signed)
    await services.catalogues.current()


def _publish(
    tx: Tx, number: int, since: int, line: Line, event: Draft, services: Services
) -> Signed:
    row = _held(tx, number, ("approved",), services)
    text = bytes(row.content)
    if row.base != line.newest:
        raise Problem(Kind.CONFLICT, "Another version was published just now.", "version")
    before = line.charters[line.newest]
    at = max(since, services.now(), 1)
    catalogues = services.catalogues
    statement = Charter(
        catalogues.key.name, number, sha256(text).digest(), at, row.made_by, row.decided_by,
        before.digest(),
    )  # fmt: skip
    note = catalogues.sign(statement)
    tx.run(
        rows.DECIDE, number, "approved", "published", row.decided_by, row.decided_at, row.reason, at,
        note,
    )  # fmt: skip
    append(tx, services.log.filing_writer, [event], services.now)
    return Signed(note, text)


async def refuse(number: int, reason: str, by: Caller, services: Services) -> None:
    """Turn a draft or an approved version down, or take one's own back."""
    commission(by)
    reason = said(reason, "reason")
    row = await named(number, services)
    event = await noted(
        "catalogue", "refused", by, services, version=str(number), hash=row.hash, reason=reason
    )
    await services.db.do(_refuse, number, reason, by, event, services)


def _refuse(tx: Tx, number: int, reason: str, by: Caller, event: Draft, services: Services) -> None:
    tx.run(rows.HOLD, ABOUT)
    row = _found(tx, number)
    if row.state not in ("draft", "approved"):
        raise Problem(Kind.CONFLICT, f"Version {number} is {row.state}.", "version")
    tx.run(
        rows.DECIDE, number, row.state, "refused", by.user, services.now(), reason, 0,
        bytes(row.signature),
    )  # fmt: skip
    append(tx, services.log.filing_writer, [event], services.now)


def _found(tx: Tx, number: int) -> VersionRow:
    found = tx.one(rows.VERSION, number)
    if found is None:
        raise Problem(Kind.UNKNOWN, "There is no catalogue of that number.", "version")
    return VersionRow(*found)


def _held(tx: Tx, number: int, states: tuple[str, ...], services: Services) -> VersionRow:
    """A version that waits, as it was sealed, while nobody else decides about the catalogue."""
    tx.run(rows.HOLD, ABOUT)
    row = _found(tx, number)
    if row.state not in states:
        raise Problem(Kind.CONFLICT, f"Version {number} is {row.state}.", "version")
    good = row.hash == sha256(bytes(row.content)).hexdigest()
    if not good or bytes(row.signature) != _seal(row, services):
        raise Problem(Kind.CONFLICT, "The version was altered after it was made.", "version")
    newest = tx.all(rows.STAMP)[0][0]
    if row.base != newest:
        raise Problem(
            Kind.CONFLICT, f"Version {newest} was published since; draft it again.", "version"
        )
    return row


def may_approve(row: VersionRow, by: Caller) -> bool:
    """Whether this person may be the second one."""
    return by.role == ROLE and bool(by.user) and row.state == "draft" and by.user != row.made_by


def _second_person(row: VersionRow, by: Caller) -> None:
    if by.user == row.made_by:
        raise Problem(Kind.REFUSED, "Another person than the one who made it approves it.")


def commission(by: Caller) -> None:
    """Problem REFUSED for everybody else than a named person of the health commission."""
    if by.role != ROLE or not by.user:
        raise Problem(Kind.REFUSED, "Another role's work.")


# Checking.


@dataclass(frozen=True, slots=True)
class Verified:
    """The published versions, the number of the register's steps, and what is wrong."""

    charters: Mapping[int, Charter]
    steps: int
    findings: tuple[str, ...]


async def verify(services: Services) -> Verified:
    """Check every signature of versions and steps, in the records and in the keyring."""
    line, register = await services.catalogues.line(), await services.catalogues.register()
    return Verified(line.charters, len(register.steps), (*line.findings, *register.findings))


async def recover(by: Caller, services: Services) -> tuple[int, ...]:
    """Put the signed versions back into the records, from the keyring, and the other way round.

    The numbers of all. Problem CONFLICT when a version stands nowhere as it was signed.
    """
    line = await services.catalogues.line()
    if not line.charters:
        raise Problem(Kind.CONFLICT, "No signed version is left: restore backups.", "version")
    await services.catalogues.mend(line)
    numbers = " ".join(map(str, sorted(line.charters)))
    event = await noted("catalogue", "recovered", by, services, versions=numbers)
    await services.db.do(_recover, line, event, services)
    return tuple(sorted(line.charters))


def _recover(tx: Tx, line: Line, event: Draft, services: Services) -> None:
    tx.run(rows.HOLD, ABOUT)
    for one in tx.all(rows.PUBLISHED):
        if one[0] not in line.charters:
            tx.run(rows.DISOWN, one[0])
    for number, told in line.charters.items():
        note, text = line.signed[number]
        stood = tx.all(
            rows.RESTORE, number, told.hash.hex(), told.proposed_by, told.approved_by, told.since,
            note, text,
        )  # fmt: skip
        if not stood:
            tx.run(
                rows.PUT, number, told.hash.hex(), "published", 0, "", told.proposed_by, "", 0,
                told.approved_by, 0, "", told.since, note, text,
            )  # fmt: skip
    append(tx, services.log.filing_writer, [event], services.now)
