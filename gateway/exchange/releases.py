"""Releases of the maps: adopted, proposed, approved by a second person, refused, brought back.

edit in the sites folder → `propose` (lint, golden cases) → shadow run (`shadow`) → a second person
approves → in force on every process between two messages. Bringing an older one back is approving it
again. What once was proposed stays for ever and can be run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.errors import Kind, Problem
from gateway.exchange import comparing
from gateway.exchange.changing import noted
from gateway.exchange.oversight import sees_all
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.services.maps import pack, unpack
from gateway.store import inbox
from gateway.store import maps as rows
from gateway.store.engine import Tx
from gateway.store.maps import ReleaseRow
from mappings.engine import Map, MapError

APPROVABLE = frozenset({"proposed", "retired"})


# Adopting: what an operator does by declaring a source, or by starting a new version.


FIRST = "首个版本：按文件夹中的现状采用。The first release: adopted as it lay in the folder."


async def adopt(site: str, by: Caller, services: Services) -> int:
    """Put the map in the sites folder in force when none is; the number of the one in force.

    When this version of the program reads the files in force to another hash than they were kept
    under, they get a new number, so that every record names what really made it. Raises Problem
    UNPROCESSABLE when the map has findings.
    """
    found = await services.db.read(rows.IN_FORCE, site)
    if found:
        number: int = found[0][0]
        if await services.db.read(rows.READ_BY, number) == [(services.maps.engine,)]:
            return number  # as this program reads it: not loaded before a message comes
        made = await _kept(number, services)
        if made.release == (await named(number, services)).hash:
            return number
        note = (
            f"版本 {number}，按本程序版本重新读取。"
            f"Release {number} as this version of the program reads it."
        )
    else:
        made, note = _draft(site, services), FIRST
    at = services.now()
    draft = await noted("map", "adopted", by, services, site=site, hash=made.release, note=note)
    return await services.db.do(_adopt, site, made, note, by.user, at, draft, services)


def _adopt(
    tx: Tx, site: str, made: Map, note: str, by: str, at: int, draft: Draft, services: Services
) -> int:
    tx.run(rows.HOLD_SITE, _about(site))
    standing = tx.one(rows.BY_HASH, site, made.release)
    if standing is not None:
        row = ReleaseRow(*standing)
        if row.state != "in-force":  # read so before, by an earlier version of the program
            tx.run(rows.RETIRE, site, at)
            tx.run(rows.DECIDE, row.number, "in-force", by, at, at)
            append(tx, services.log.filing_writer, [draft], services.now)
        return row.number
    tx.run(rows.RETIRE, site, at)
    append(tx, services.log.filing_writer, [draft], services.now)
    return _add(
        tx,
        site,
        made,
        "in-force",
        note,
        by,
        at,
        report="",
        decided_by=by,
        engine=services.maps.engine,
    )


async def adopt_all(by: Caller, services: Services) -> list[str]:
    """`adopt` for the map of every declared source; the sites whose map could not be, alarmed."""
    failed = []
    for site in sorted({row[2] for row in await services.db.read(inbox.SOURCES)}):
        try:
            await adopt(site, by, services)
        except Problem as problem:
            if problem.kind is Kind.BUSY:
                raise
            failed.append(site)
            await services.db.do(_alarm_unadopted, site, services.now())
    return failed


def _alarm_unadopted(tx: Tx, site: str, at: int) -> None:
    if tx.one(inbox.ALARM_STANDS, "map-release", site) is None:
        for row in tx.all(inbox.SOURCES_OF_MAP, site):
            tx.run(inbox.ADD_ALARM, "map-release", row[0], site, at)


# Proposing.


async def propose(site: str, note: str, by: Caller, services: Services) -> int:
    """Keep the map in the sites folder as a proposal; its number.

    Problem UNPROCESSABLE when lint has findings or a golden case reads otherwise than it says,
    CONFLICT when these files are a release already.
    """
    await must_look_after(site, by, services)
    made = _draft(site, services)
    failed = comparing.failing_cases(services.maps.folder / site, made)
    if failed:
        raise Problem(
            Kind.UNPROCESSABLE,
            f"Golden cases read otherwise: {', '.join(failed)}; see `mappings check {site}`.",
            "cases",
        )
    return await _keep(site, made, note, by, services, failing=())


async def derive(
    site: str, files: Mapping[str, bytes], note: str, by: Caller, services: Services
) -> int:
    """Keep the release in force with these files in place of its own as a proposal; its number.

    Paths are seen from the site's folder (`codes/lis_items.csv`). The folder itself is not touched:
    `mappings show NUMBER --into FOLDER` writes a release out. Golden cases that would read otherwise
    are named in the report. Raises as `propose` does; Problem BUSY when nothing is in force.
    """
    await must_look_after(site, by, services)
    running = await services.maps.in_force(site)
    made = _checked({**running.map.contents, **files}, services)
    failing = comparing.failing_cases(services.maps.folder / site, made)
    return await _keep(site, made, note, by, services, failing=failing)


async def _keep(
    site: str, made: Map, note: str, by: Caller, services: Services, failing: tuple[str, ...]
) -> int:
    if not note.strip():
        raise Problem(Kind.REQUIRED, "Say what was changed, and why.", "note")
    running = await services.maps.in_force(site)
    report = comparing.encode(comparing.of_files(running, made, failing))
    at = services.now()
    draft = await noted("map", "proposed", by, services, site=site, hash=made.release, note=note)
    return await services.db.do(
        _propose, site, made, note.strip(), by.user, at, report, draft, services
    )


def _propose(
    tx: Tx,
    site: str,
    made: Map,
    note: str,
    by: str,
    at: int,
    report: str,
    draft: Draft,
    services: Services,
) -> int:
    tx.run(rows.HOLD_SITE, _about(site))
    standing = tx.one(rows.BY_HASH, site, made.release)
    row = ReleaseRow(*standing) if standing else None
    if row is not None and row.state != "refused":
        raise Problem(
            Kind.CONFLICT, f"These files are release {row.number} already ({row.state}).", "files"
        )
    append(tx, services.log.filing_writer, [draft], services.now)
    if row is not None:
        tx.run(rows.PROPOSE_AGAIN, row.number, note, by, at)
        tx.run(rows.REPORT, row.number, report)
        return row.number
    return _add(
        tx,
        site,
        made,
        "proposed",
        note,
        by,
        at,
        report=report,
        decided_by="",
        engine=services.maps.engine,
    )


def _add(
    tx: Tx,
    site: str,
    made: Map,
    state: str,
    note: str,
    by: str,
    at: int,
    *,
    report: str,
    decided_by: str,
    engine: str,
) -> int:
    decided = at if decided_by else 0
    row = tx.one(
        rows.ADD_RELEASE,
        site, made.release, pack(made.contents), state, note, report, by, at,
        decided_by, decided, decided, 0, engine,
    )  # fmt: skip
    if row is None:
        raise LookupError("the release was not kept")
    number: int = row[0]
    return number


# Deciding.


async def approve(number: int, by: Caller, services: Services, *, over: int = 0) -> None:
    """Put a proposed release, or an older one, in force from the next message on.

    Problem REFUSED when the approver proposed it themselves, CONFLICT when it was refused or is in
    force already, or when another than `over` is by now (0: whichever), UNPROCESSABLE when it cannot
    be loaded by this version: what runs goes on then.
    """
    row = await named(number, services)
    await must_look_after(row.site, by, services)
    _second_person(row, by)
    made = await _kept(number, services)
    if row.state == "proposed" and made.release != row.hash:
        raise Problem(
            Kind.CONFLICT, "Another version of the program proposed it; propose it again.", "files"
        )
    at = services.now()
    draft = await noted(
        "map", "approved", by, services, site=row.site, release=str(number), was=row.state
    )
    await services.db.do(_approve, number, over, by, at, draft, services)


def _second_person(row: ReleaseRow, by: Caller) -> None:
    if not by.user or by.user == row.proposed_by:
        raise Problem(Kind.REFUSED, "Another person than the one who proposed it approves it.")


def _approve(
    tx: Tx, number: int, over: int, by: Caller, at: int, draft: Draft, services: Services
) -> None:
    row = _one(tx, number)
    tx.run(rows.HOLD_SITE, _about(row.site))
    row = _one(tx, number)
    _second_person(row, by)  # who proposed it may have changed since it was looked at
    if row.state not in APPROVABLE:
        raise Problem(Kind.CONFLICT, f"Release {number} is {row.state}.", "release")
    running = tx.one(rows.IN_FORCE, row.site)
    if over and (running is None or running[0] != over):
        raise Problem(Kind.CONFLICT, "Another release is in force by now.", "release")
    tx.run(rows.RETIRE, row.site, at)
    tx.run(rows.DECIDE, number, "in-force", by.user, at, at)
    append(tx, services.log.filing_writer, [draft], services.now)


def _one(tx: Tx, number: int) -> ReleaseRow:
    found = tx.one(rows.RELEASE, number)
    if found is None:
        raise Problem(Kind.UNKNOWN, "There is no release of that number.", "release")
    return ReleaseRow(*found)


async def refuse(number: int, by: Caller, services: Services) -> None:
    """A proposal that will not run; it can be proposed again. Problem CONFLICT when it is none."""
    row = await named(number, services)
    await must_look_after(row.site, by, services)
    at = services.now()
    draft = await noted("map", "refused", by, services, site=row.site, release=str(number))
    await services.db.do(_refuse, number, by.user, at, draft, services)


def _refuse(tx: Tx, number: int, by: str, at: int, draft: Draft, services: Services) -> None:
    row = _one(tx, number)
    tx.run(rows.HOLD_SITE, _about(row.site))
    row = _one(tx, number)
    if row.state != "proposed":
        raise Problem(Kind.CONFLICT, f"Release {number} is {row.state}.", "release")
    tx.run(rows.DECIDE, number, "refused", by, at, 0)
    append(tx, services.log.filing_writer, [draft], services.now)


# Looking.


async def named(number: int, services: Services) -> ReleaseRow:
    """A release by its number; Problem UNKNOWN without one."""
    found = await services.db.read(rows.RELEASE, number)
    if not found:
        raise Problem(Kind.UNKNOWN, "There is no release of that number.", "release")
    return ReleaseRow(*found[0])


async def of_site(site: str, services: Services) -> list[ReleaseRow]:
    """All releases of a site, oldest first."""
    return [ReleaseRow(*row) for row in await services.db.read(rows.RELEASES, site)]


class Overview(NamedTuple):
    """A site, the sources that use its map, and its releases, oldest first."""

    site: str
    sources: tuple[str, ...]
    rows: tuple[ReleaseRow, ...]


async def overview(caller: Caller, services: Services) -> list[Overview]:
    """The maps the caller's organisation looks after; all for the authority."""
    if caller.role != "it":
        raise Problem(Kind.REFUSED, "Another role's work.")
    everything = sees_all(caller, services)
    sites: dict[str, list[str]] = {}
    for row in await services.db.read(inbox.SOURCES):
        source = inbox.SourceRow(*row)
        if everything or source.organization == caller.organization:
            sites.setdefault(source.map, []).append(source.name)
    return [
        Overview(site, tuple(names), tuple(await of_site(site, services)))
        for site, names in sorted(sites.items())
    ]


async def must_look_after(site: str, caller: Caller, services: Services) -> None:
    """Problem REFUSED unless the caller is of the IT office of a hospital that this map is for."""
    if caller.role != "it" or not caller.user:
        raise Problem(Kind.REFUSED, "Another role's work.")
    sources = await services.db.read(inbox.SOURCES_OF_MAP, site)
    if not sources:
        raise Problem(Kind.UNKNOWN, "No source uses that map.", "site")
    if not sees_all(caller, services) and caller.organization not in {row[1] for row in sources}:
        raise Problem(Kind.REFUSED, "Another hospital's map.")


def _draft(site: str, services: Services) -> Map:
    try:
        return services.maps.draft(site)
    except MapError as fault:
        raise _found(len(fault.findings), site) from None


def _checked(contents: Mapping[str, bytes], services: Services) -> Map:
    try:
        return services.maps.of_files(contents)
    except MapError as fault:
        raise Problem(
            Kind.UNPROCESSABLE, f"The map does not load: {fault.findings[0].text('en')}", "files"
        ) from None


async def _kept(number: int, services: Services) -> Map:
    """The map of a kept release, loaded anew."""
    _, _, files = (await services.db.read(rows.FILES, number))[0]
    try:
        contents = unpack(files)
    except ValueError:
        raise Problem(Kind.UNPROCESSABLE, "The files of this release are damaged.") from None
    return _checked(contents, services)


def _found(count: int, site: str) -> Problem:
    things = "one thing" if count == 1 else f"{count} things"
    return Problem(
        Kind.UNPROCESSABLE, f"The map has {things} to put right; see `mappings lint {site}`.", site
    )


def _about(site: str) -> bytes:
    return f"map {site}".encode()
