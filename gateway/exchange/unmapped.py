"""The queue of unmapped codes: what waits, what it could mean, and the two persons who decide.

One person proposes a row, another approves it; then a release of the hospital's map with that row is
in force, and just the messages that met the code are read again. Suggestions are shown with their
reasons and never applied alone. Codes and names are shown to the IT office of the hospital that sent
them and to nobody else.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import releases, replays, unmapped_queue
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.services.maps import Release
from gateway.store import inbox
from gateway.store import maps as release_rows
from gateway.store import unmapped as rows
from gateway.store.engine import Tx
from gateway.store.unmapped import Line
from mappings.engine import MapError, Unmapped, table_review, unit_kinds
from mappings.engine.additions import CannotAdd, add_row, kind
from mappings.engine.suggestions import Precedent, Suggestion, TableKind, suggest
from mappings.engine.tables import RELATIONS, SAME

WAITING: Final = ("open", "proposed")
MOST: Final = 200  # lines shown at once
TRIES: Final = 4
CLAIMED: Final = 60_000_000  # µs one approver has before another may begin
_SEALED = "unmapped-proposal"
_COLUMNS: Mapping[TableKind, tuple[str, ...]] = {
    "items": ("loinc", "relation", "unit", "specimen", "name"),
    "units": ("ucum",),
    "codes": ("target", "system", "display"),
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """One line of the queue, opened. Times are µs UTC; `gives` is None where no row can be added.

    `cells` are those proposed; `reason` is why it is ignored. `release` is the one that knows it.
    """

    id: int
    source: str
    organization: str
    site: str
    unmapped: Unmapped
    gives: TableKind | None
    messages: int
    first: int
    last: int
    state: str
    cells: Mapping[str, str]
    reason: str
    proposed_by: str
    decided_by: str
    release: int
    suggestions: tuple[Suggestion, ...] = ()


class Approved(NamedTuple):
    """The release that knows the code now, and the replay of the messages that met it."""

    release: int
    replay: int


class Doubtful(Problem):
    """A row that is not proposed as it stands: `zh` and `text` say what is wrong with it."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh = zh
        super().__init__(Trouble.UNPROCESSABLE, f"{en[0].upper()}{en[1:]}.", "row")


# Looking.


async def queue(
    source: str,
    caller: Caller,
    services: Services,
    states: Sequence[str] = WAITING,
    most: int = MOST,
) -> tuple[Waiting, ...]:
    """What waits, most messages first, with suggestions; an empty `source` is all of the caller's.

    Lines that a release came to know without the queue, by an edited table, are closed first.
    Problem REFUSED unless the caller is of an IT office.
    """
    mine = await _sources(caller, services)
    wanted = sorted(mine) if not source else [source] if source in mine else []
    lines = await services.db.session(rows.queue, wanted, states, most)
    houses = await _houses(services)
    known = [line for line in lines if _known(line, houses.get(mine[line.source].map), services)]
    for line in known:
        number = houses[mine[line.source].map].number
        with suppress(Problem):  # another reader was first
            await _move(line, ("open",), "approved", caller, services, release=number)
    lines = tuple(line for line in lines if line not in known)
    opened = [_opened(line, mine[line.source], houses, services) for line in lines]
    # Names are compared beside the event loop: a full page takes a good part of a second.
    return tuple(await asyncio.to_thread(lambda: [_suggested(one, houses) for one in opened]))


async def one(id: int, caller: Caller, services: Services) -> Waiting:
    """One line; Problem UNKNOWN when there is none, or it is another hospital's."""
    line, source = await _line(id, caller, services)
    houses = await _houses(services)
    return _suggested(_opened(line, source, houses, services), houses)


async def _sources(caller: Caller, services: Services) -> dict[str, inbox.SourceRow]:
    """The sources of the caller's own hospital; not even the authority sees another's codes."""
    if caller.role != "it" or not caller.user:
        raise Problem(Trouble.REFUSED, "Another role's work.")
    found = (inbox.SourceRow(*row) for row in await services.db.read(inbox.SOURCES))
    return {row.name: row for row in found if row.organization == caller.organization}


async def _line(id: int, caller: Caller, services: Services) -> tuple[Line, inbox.SourceRow]:
    mine = await _sources(caller, services)
    found = await services.db.read(rows.ONE, id)
    line = Line(*found[0]) if found else None
    if line is None or line.source not in mine:
        raise Problem(Trouble.UNKNOWN, "There is no such line in the queue.", "line")
    return line, mine[line.source]


async def _houses(services: Services) -> dict[str, Release]:
    """The map in force of every hospital that sends, by site; those that cannot run are left out."""
    found: dict[str, Release] = {}
    for site in sorted({row[2] for row in await services.db.read(inbox.SOURCES)}):
        try:
            found[site] = await services.maps.in_force(site)
        except Problem:
            continue
    return found


def _opened(
    line: Line, source: inbox.SourceRow, houses: Mapping[str, Release], services: Services
) -> Waiting:
    unmapped = unmapped_queue.open_line(line, services)
    house = houses.get(source.map)
    gives: TableKind | None = None
    if house is not None:
        try:
            gives = kind(house.map.contents, unmapped.table)
        except CannotAdd:
            gives = None
    cells = _proposal(line, services)
    return Waiting(
        id=line.id,
        source=line.source,
        organization=source.organization,
        site=source.map,
        unmapped=unmapped,
        gives=gives,
        messages=line.messages,
        first=line.first_at,
        last=line.last_at,
        state=line.state,
        cells={} if line.state == "ignored" else cells,
        reason=cells.get("reason", "") if line.state == "ignored" else "",
        proposed_by=line.proposed_by,
        decided_by=line.decided_by if line.state in ("approved", "ignored") else "",
        release=line.release,
    )


def _known(line: Line, house: Release | None, services: Services) -> bool:
    """Whether an open line's code has a row by now in the map in force."""
    if house is None or line.state != "open":
        return False
    unmapped = unmapped_queue.open_line(line, services)
    key = (unmapped.code, unmapped.specimen, unit_kinds.kind(unmapped.unit))
    tables = (part.tables.get(unmapped.table) for part in house.map.parts)
    return any(table is not None and table.get(*key) is not None for table in tables)


def _suggested(waiting: Waiting, houses: Mapping[str, Release]) -> Waiting:
    if waiting.gives is None or waiting.state != "open":
        return waiting
    known = _precedents(waiting, houses)
    return replace(waiting, suggestions=suggest(waiting.unmapped, waiting.gives, known))


def _precedents(waiting: Waiting, houses: Mapping[str, Release]) -> list[Precedent]:
    """Approved rows that say something about it: the own table's, and other hospitals' alike."""
    gives, table = waiting.gives, waiting.unmapped.table
    units = ("units", "county_units")
    found: list[Precedent] = []
    for site, house in houses.items():
        own = site == waiting.site
        for part in house.map.parts:
            for name, known in part.tables.items():
                same = name == table or (gives == "units" and name in units)
                if not (same or (gives == "items" and name in units and own)):
                    continue
                organization = "" if own else house.map.source.name or house.map.organization
                found += [Precedent(organization, row) for row in known.rows()]
    return found


# Deciding.


async def propose(
    id: int,
    cells: Mapping[str, str],
    caller: Caller,
    services: Services,
    *,
    knowing: bool = False,
) -> None:
    """One person says what the code means; nothing changes until another approves.

    `cells` are named by column: loinc, relation, unit and specimen (empty for any) for items, ucum
    for units, target for other codes. Doubtful when the row could not stand, or, unless `knowing`,
    when lint would doubt it. Problem CONFLICT when the line is not open any more.
    """
    line, source = await _line(id, caller, services)
    house = await services.maps.in_force(source.map)
    unmapped = unmapped_queue.open_line(line, services)
    row = _row(house, unmapped, cells)
    files = _files(house, unmapped, _signed(row, caller.user, services), services)
    if not knowing:
        _without_doubts(house, files)
    await _move(
        line,
        ("open",),
        "proposed",
        caller,
        services,
        proposal=row,
        proposed_by=caller.user,
    )


async def approve(id: int, caller: Caller, services: Services) -> Approved:
    """Another person agrees: a release with the row is in force, and its messages are read again.

    May be asked again after it was interrupted and then goes on where it stopped. Problem REFUSED
    for whoever proposed it, CONFLICT when it is not proposed or somebody else is approving it.
    """
    line, source = await _line(id, caller, services)
    if line.state == "approved":
        return await _finished(line, source, caller, services)
    if line.state == "open":
        raise Problem(Trouble.CONFLICT, "Nobody has proposed what this code means yet.", "line")
    if line.state != "proposed":
        raise Problem(Trouble.CONFLICT, f"The line is {line.state}.", "line")
    if caller.user == line.proposed_by:
        raise Problem(Trouble.REFUSED, "Another person than the one who proposed it approves it.")
    at = services.now()
    await services.db.do(_claim, line, caller.user, at)
    number = await _released(line, source, caller, services)
    await _move(
        line,
        ("proposed",),
        "approved",
        caller,
        services,
        proposal=_proposal(line, services),
        proposed_by=line.proposed_by,
        release=number,
    )
    return await _finished(line._replace(release=number), source, caller, services)


async def decline(id: int, caller: Caller, services: Services) -> None:
    """Take a proposal back, or turn one down: the line is open again."""
    line, _ = await _line(id, caller, services)
    await _move(line, ("proposed",), "open", caller, services)


async def ignore(id: int, reason: str, caller: Caller, services: Services) -> None:
    """This needs no row; the reason is kept. It is still counted, and `reopen` brings it back."""
    line, _ = await _line(id, caller, services)
    if not reason.strip():
        raise Problem(Trouble.REQUIRED, "Say why this code needs no row.", "reason")
    kept = {"reason": reason.strip()[:500]}
    await _move(line, ("open",), "ignored", caller, services, proposal=kept)


async def reopen(id: int, caller: Caller, services: Services) -> None:
    """What was ignored waits again."""
    line, _ = await _line(id, caller, services)
    await _move(line, ("ignored",), "open", caller, services)


# The row.


def _row(house: Release, unmapped: Unmapped, cells: Mapping[str, str]) -> dict[str, str]:
    """The cells of a proposal that its table knows, each checked for itself."""
    try:
        gives = kind(house.map.contents, unmapped.table)
    except CannotAdd as fault:
        raise Doubtful(fault.zh, fault.en) from None
    row = {name: cells.get(name, "").strip() for name in _COLUMNS[gives]}
    if gives == "items":
        row["name"] = unmapped.name
        row["relation"] = row["relation"] or "equivalent"
        if row["relation"] not in RELATIONS:
            raise Doubtful("这种关系没有定义", "that relation is not one of the list")
        if row["specimen"] not in ("", unmapped.specimen):
            raise Doubtful("标本只能是原文或不限", "the specimen is the one sent, or any")
    return row


def _signed(row: Mapping[str, str], who: str, services: Services) -> dict[str, str]:
    day = moment(services.now(), services.settings.zone).date().isoformat()
    return {**row, "state": "approved", "by": who, "on": day}


def _files(
    house: Release, unmapped: Unmapped, cells: Mapping[str, str], services: Services
) -> dict[str, bytes]:
    """The files of the map that change; Doubtful when it would not load with them."""
    try:
        files = add_row(house.map.contents, unmapped.table, unmapped.code, cells)
        services.maps.of_files({**house.map.contents, **files})
    except CannotAdd as fault:
        raise Doubtful(fault.zh, fault.en) from None
    except MapError as fault:
        raise Doubtful(fault.findings[0].zh, fault.findings[0].en) from None
    return files


def _without_doubts(house: Release, files: Mapping[str, bytes]) -> None:
    """Doubtful when lint doubts something that it did not doubt before."""
    for path, raw in files.items():
        if path.endswith(".csv"):
            before = house.map.contents.get(path, b"")
            known = {(found.zh, found.column) for found in table_review.review(path, before)}
            for found in table_review.review(path, raw):
                if (found.zh, found.column) not in known:
                    raise Doubtful(found.zh, found.en)


# The steps of an approval.


def _claim(tx: Tx, line: Line, by: str, at: int) -> None:
    if tx.one(rows.CLAIM, line.id, line.proposed_by, by, at, at - CLAIMED) is None:
        raise Problem(Trouble.CONFLICT, "Somebody else is deciding about this line.", "line")


async def _released(line: Line, source: inbox.SourceRow, caller: Caller, services: Services) -> int:
    """The number of a release in force that has the row; made now unless an earlier try made it.

    When another release comes in force meanwhile, the row is added to that one instead.
    """
    unmapped = unmapped_queue.open_line(line, services)
    row = _proposal(line, services)
    for _ in range(TRIES):
        house = await services.maps.in_force(source.map)
        if _knows(house, unmapped, row):
            return house.number
        number = await _derived(line, source, house, unmapped, row, caller, services)
        try:
            await releases.approve(number, caller, services, over=house.number)
        except Problem as problem:
            if problem.kind is not Trouble.CONFLICT:
                raise
            await releases.refuse(number, caller, services)
            continue
        return number
    raise Problem(Trouble.BUSY, "The map is being changed by others; please try again.", "map")


async def _derived(
    line: Line,
    source: inbox.SourceRow,
    house: Release,
    unmapped: Unmapped,
    row: Mapping[str, str],
    caller: Caller,
    services: Services,
) -> int:
    """A proposed release: the one in force with the row, proposed by whoever proposed the row."""
    cells = _signed(row, f"{line.proposed_by}, {caller.user}", services)
    files = _files(house, unmapped, cells, services)
    made = services.maps.of_files({**house.map.contents, **files})
    standing = await services.db.read(release_rows.BY_HASH, source.map, made.release)
    kept = release_rows.ReleaseRow(*standing[0]) if standing else None
    if kept is not None and (kept.state, kept.proposed_by) == ("proposed", line.proposed_by):
        return kept.number  # an earlier try came so far
    proposer = replace(caller, user=line.proposed_by, name=line.proposed_by, session="")
    note = (
        f"未对照队列第 {line.id} 行：{unmapped.table} 表增加一行。"
        f"Queue of unmapped codes, line {line.id}: a row in {unmapped.table}."
    )
    return await releases.derive(source.map, files, note, proposer, services)


def _knows(house: Release, unmapped: Unmapped, row: Mapping[str, str]) -> bool:
    """Whether the map in force says of the code what was proposed."""
    for part in house.map.parts:
        table = part.tables.get(unmapped.table)
        measured = unit_kinds.kind(row.get("unit", ""))
        key = (unmapped.code, row.get("specimen", ""), measured)
        found = table.get(*key) if table is not None else None
        if found is not None:
            gives = next(name for name in ("loinc", "ucum", "target") if name in row)
            told = found.get(gives) or (found.get("target") if gives == "ucum" else "")
            return told == row[gives] and found.get("relation", "") in {row.get("relation"), *SAME}
    return False


async def _finished(
    line: Line, source: inbox.SourceRow, caller: Caller, services: Services
) -> Approved:
    """The replay of an approved line, started unless it was."""
    for found in await services.db.read(release_rows.REPLAYS, source.name):
        known = release_rows.ReplayRow(*found)
        if known.unmapped == line.id and known.release >= line.release:
            return Approved(line.release, known.id)
    chosen = replays.Choice(unmapped=line.id)
    why = f"unmapped {line.id}"
    started = await replays.start(source.name, caller, services, chosen, why=why)
    return Approved(line.release, started)


# Keeping.


def _place(line: Line) -> str:
    return f"{line.source}/{line.digest.hex()}"


def _proposal(line: Line, services: Services) -> dict[str, str]:
    if not line.proposal:
        return {}
    plain = services.vault.open_field(_SEALED, _place(line), line.proposal)
    return msgspec.msgpack.decode(plain, type=dict[str, str])


async def _move(
    line: Line,
    was: Sequence[str],
    state: str,
    caller: Caller,
    services: Services,
    *,
    proposal: Mapping[str, str] | None = None,
    proposed_by: str = "",
    release: int = 0,
) -> None:
    """From one state to the next with its event; Problem CONFLICT when somebody else was first."""
    sealed = b""
    if proposal is not None:
        plain = msgspec.msgpack.encode(dict(proposal))
        sealed = services.vault.seal_field(_SEALED, _place(line), plain)
    if line.state not in was:
        raise Problem(Trouble.CONFLICT, f"The line is {line.state}.", "line")
    at = services.now()
    decided = state in ("approved", "ignored")
    draft = await _event(line, state, caller, at, services)
    await services.db.do(
        _moved,
        line,
        (
            state, sealed, proposed_by, caller.user if decided else "", at if decided else 0,
            release,
        ),
        draft,
        services,
    )  # fmt: skip


def _moved(
    tx: Tx, line: Line, values: tuple[object, ...], draft: Draft, services: Services
) -> None:
    if (line.state, values[0]) == ("proposed", "open"):
        # Not while somebody is approving it: the release with the row is being made.
        _claim(tx, line, draft.actor, services.now())
    if tx.one(rows.MOVE, line.id, line.state, *values) is None:
        raise Problem(Trouble.CONFLICT, "Somebody else has decided about this line.", "line")
    append(tx, services.log.filing_writer, [draft], services.now)


async def _event(line: Line, what: str, caller: Caller, at: int, services: Services) -> Draft:
    """Who did what to which line; never the code."""
    body = Body(
        request=secrets.token_hex(8),
        details={"unmapped": what, "line": str(line.id), "source": line.source},
    ).asked_by(caller)
    return await services.log.draft(Kind.CONFIG, Outcome.PERMIT, caller, at, body)
