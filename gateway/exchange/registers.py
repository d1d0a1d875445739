"""The county's registers: what stands in them, and how two persons of the health authority change a line.

What ships with the product (founding rights, resources, data elements) is version 0; whatever was decided on
a line stands in its place. Nothing is ever overwritten: each change is a version, first a draft.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import gateway.recognition
from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.oversight import sees_all
from gateway.recognition.registers import (
    KINDS,
    MOST_LINES,
    TITLES,
    Column,
    Fault,
    Kind,
    Line,
    changed,
    checked,
    id_of,
)
from gateway.recognition.rights import founding
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft as Event
from gateway.services.log import append
from gateway.store import registers as rows
from gateway.store.engine import Tx
from gateway.store.registers import EntryRow

ABOUT = b"registers"
SHIPPED = Path(gateway.recognition.__file__).parent / "shipped"
FOUNDED = "2000-01-01"  # a founding right began before anybody can ask


class Faults(Problem):
    """Lines that cannot be taken up; each fault says row, column and why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(Trouble.UNPROCESSABLE, faults[0].text, faults[0].column)
        self.faults = tuple(faults)


class Entry(NamedTuple):
    """A line that stands; `version` 0 came with the product and nobody decided it. Times µs UTC."""

    id: str
    version: int
    line: Mapping[str, str]
    made_by: str = ""
    decided_by: str = ""
    decided_at: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that waits for a second person. `seen` names exactly this content; `may` the caller decide."""

    kind: Kind
    id: str
    version: int
    act: str  # put | end
    line: Mapping[str, str]
    changes: tuple[tuple[Column, str, str], ...]
    made_by: str
    made_at: int
    seen: str
    mine: bool
    may: bool


def commission(caller: Caller, services: Services) -> None:
    """Problem REFUSED unless this is a person of the county's health authority."""
    if caller.role != "commission" or not caller.user or not sees_all(caller, services):
        raise Problem(Trouble.REFUSED, "Another role's work.")


@lru_cache
def shipped(kind: Kind) -> tuple[Entry, ...]:
    """What a register holds before anything was decided."""
    if kind == "right":
        lines: Iterable[Mapping[str, str]] = [
            {
                "holder": cell.holder,
                "data_class": cell.data_class,
                "use": cell.use,
                "document": cell.document,
                "start": FOUNDED,
                "end": "",
            }
            for cell in founding()
        ]
    elif (file := SHIPPED / f"{kind}s.csv").exists():
        with file.open(encoding="utf-8", newline="") as text:
            lines = list(csv.DictReader(text))
    else:
        lines = ()
    return tuple(
        Entry(id_of(kind, line), 0, line) for line in (checked(kind, one)[0] for one in lines)
    )


async def standing(kind: Kind, services: Services) -> tuple[Entry, ...]:
    """The lines that stand, in order of their names; one whose row was altered is left out."""
    found = {entry.id: entry for entry in shipped(kind)}
    for one in await services.db.read(rows.OF_KIND, kind):
        row = EntryRow(*one)
        if row.state != "approved":
            continue
        found.pop(row.id, None)
        line = services.rights.open(row) if row.act == "put" else None
        if line is not None:
            found[row.id] = Entry(
                row.id, row.version, line, row.made_by, row.decided_by, row.decided_at
            )
    return tuple(found[id] for id in sorted(found))


async def drafts(caller: Caller, services: Services) -> tuple[Draft, ...]:
    """What waits for a second person, oldest first, each with what it changes."""
    commission(caller, services)
    known = {kind: {one.id: one for one in await standing(kind, services)} for kind in KINDS}
    found = []
    for one in await services.db.read(rows.DRAFTS):
        row = EntryRow(*one)
        line = services.rights.open(row)
        kind = next((kind for kind in KINDS if kind == row.kind), None)
        if line is None or kind is None:
            continue
        before = known[kind].get(row.id)
        found.append(
            Draft(
                kind,
                row.id,
                row.version,
                row.act,
                line,
                changed(kind, before.line if before else None, line) if row.act == "put" else (),
                row.made_by,
                row.made_at,
                _seen(row),
                row.made_by == caller.user,
                row.made_by != caller.user,
            )
        )
    return tuple(found)


def _seen(row: EntryRow) -> str:
    return sha256(bytes(row.content)).hexdigest()


# Proposing.


async def propose(
    kind: Kind,
    given: Sequence[Mapping[str, str]],
    caller: Caller,
    services: Services,
    *,
    act: str = "put",
) -> int:
    """Keep lines as drafts, one event for all; how many differ from what stands.

    `act` "end" proposes that the lines go. Raises `Faults` when anything cannot be meant: nothing is kept
    then. Problem CONFLICT when a draft of one of the lines waits already.
    """
    commission(caller, services)
    known = {one.id: one for one in await standing(kind, services)}
    if len(given) > MOST_LINES:
        raise Problem(Trouble.TOO_LARGE, f"At most {MOST_LINES} lines at once.", "file")
    faults: list[Fault] = []
    lines: dict[str, dict[str, str]] = {}
    claimed: set[str] = set()  # sources and clients by the lines before
    for row, one in enumerate(given, 1):
        line, wrong = checked(kind, one, row)
        if not wrong:
            wrong = await _unknown(kind, line, row, services)
            if kind == "system" and (twice := _claimed(line) & claimed):
                zh = f"“{min(twice)[:40]}”在本文件中登记给了两个系统"
                en = f"“{min(twice)[:40]}” stands under two systems in this file"
                wrong.append(Fault(row, "对应来源", zh, en))
            claimed |= _claimed(line) if kind == "system" else set()
            if id_of(kind, line) in lines:
                wrong.append(Fault(row, TITLES[kind], "同一行出现了两次", "stands here twice"))
        faults += wrong
        if not wrong:
            lines[id_of(kind, line)] = line
    if faults:
        raise Faults(faults)
    if act == "put":
        lines = {
            id: line for id, line in lines.items() if id not in known or known[id].line != line
        }
    elif missing := sorted(set(lines) - set(known)):
        raise Problem(Trouble.UNKNOWN, "There is no such line.", missing[0][:80])
    if not lines:
        return 0
    event = await _event("proposed", kind, sorted(lines), caller, services, act=act)
    await services.db.do(_propose, kind, lines, act, caller.user, event, services)
    return len(lines)


def _claimed(line: Line) -> set[str]:
    return set((line["sources"] + " " + line["clients"]).split())


async def _unknown(kind: Kind, line: Line, row: int, services: Services) -> list[Fault]:
    """What a line names that is not there."""
    listed = {one.id for one in services.register}
    nowhere = ("登记文件中没有这个机构", "no such organisation stands in the county file")
    if kind == "system":
        named = line["organization"]
        if named and listed and named not in listed:
            return [Fault(row, "所属机构代码", *nowhere)]
        held = await services.rights.current()
        taken = {
            name: held.of_source.get(name) or held.of_client.get(name)
            for name in sorted(_claimed(line))
        }
        for name, system in taken.items():
            if system and system != line["id"]:
                zh = f"“{name[:40]}”已登记在系统 {system} 名下"
                en = f"“{name[:40]}” stands under the system {system} already"
                return [Fault(row, "对应来源", zh, en)]
    elif kind == "right":
        sort, _, name = line["holder"].partition(":")
        if sort == "organization" and listed and name not in listed:
            return [Fault(row, "权利人", *nowhere)]
        if sort == "system" and name not in (await services.rights.current()).systems:
            en = "no such system stands in the list of systems"
            return [Fault(row, "权利人", "系统清单中没有这个系统", en)]
    return []


def _propose(
    tx: Tx,
    kind: Kind,
    lines: Mapping[str, Mapping[str, str]],
    act: str,
    by: str,
    event: Event,
    services: Services,
) -> None:
    tx.run(rows.HOLD, ABOUT)
    at = services.now()
    for id, line in lines.items():
        known = [EntryRow(*one) for one in tx.all(rows.VERSIONS, kind, id)]
        if any(row.state == "draft" for row in known):
            raise Problem(Trouble.CONFLICT, "A change of this line waits already.", id[:80])
        version = known[-1].version + 1 if known else 1
        row = EntryRow(kind, id, version, act, "draft", b"", by, at, "", 0)
        tx.run(rows.PUT, *row._replace(content=services.rights.seal(row, line)))
    append(tx, services.log.filing_writer, [event], services.now)


# Deciding.


class Chosen(NamedTuple):
    """A draft as somebody read it."""

    kind: Kind
    id: str
    version: int
    seen: str


async def decide(
    chosen: Sequence[Chosen], approve: bool, caller: Caller, services: Services
) -> None:
    """Approve or refuse drafts, all of them or none.

    Problem REFUSED when the approver made one of them (refusing one's own takes it back), CONFLICT when one
    is no draft any more or not what was read.
    """
    commission(caller, services)
    if not chosen:
        raise Problem(Trouble.REQUIRED, "Choose what is decided.", "draft")
    act = "approved" if approve else "refused"
    kinds = {one.kind for one in chosen}
    event = await _event(
        act, "+".join(sorted(kinds)), sorted(one.id for one in chosen), caller, services
    )
    await services.db.do(_decide, chosen, approve, caller.user, event, services)


def _decide(
    tx: Tx, chosen: Sequence[Chosen], approve: bool, by: str, event: Event, services: Services
) -> None:
    tx.run(rows.HOLD, ABOUT)
    at = services.now()
    for one in chosen:
        known = [EntryRow(*row) for row in tx.all(rows.VERSIONS, one.kind, one.id)]
        row = next((row for row in known if row.version == one.version), None)
        if row is None:
            raise Problem(Trouble.UNKNOWN, "There is no such draft.", "draft")
        line = services.rights.open(row)
        if row.state != "draft" or line is None or _seen(row) != one.seen:
            raise Problem(Trouble.CONFLICT, "The draft is not the one that was read.", "draft")
        if approve and row.made_by == by:
            raise Problem(
                Trouble.REFUSED, "Another person than the one who proposed it approves it."
            )
        state = "approved" if approve else "refused"
        decided = row._replace(state=state, decided_by=by, decided_at=at)
        sealed = services.rights.seal(decided, line)
        tx.run(rows.DECIDE, one.kind, one.id, one.version, state, sealed, by, at)
    append(tx, services.log.filing_writer, [event], services.now)


async def _event(
    what: str, kind: str, ids: Sequence[str], caller: Caller, services: Services, **more: str
) -> Event:
    at = services.now()
    body = Body(
        request=f"register.{at}",
        details={
            "what": what,
            "register": kind,
            "lines": " ".join(ids[:100]),
            "count": str(len(ids)),
            **more,
        },
    ).asked_by(caller)
    return await services.log.draft(Noted.REGISTER, Outcome.PERMIT, caller, at, body)


async def versions(
    kind: Kind, id: str, services: Services
) -> tuple[tuple[EntryRow, Line | None], ...]:
    """Every version of a line with its content, oldest first; None where the row was altered."""
    found = [EntryRow(*one) for one in await services.db.read(rows.VERSIONS, kind, id)]
    return tuple((row, services.rights.open(row)) for row in found)
