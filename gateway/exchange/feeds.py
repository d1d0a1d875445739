"""What an IT office sees of its own systems: the sum, what is held back and why, and a second try.

Issues say where, never what; no message is opened to list them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import filing, receive
from gateway.exchange.filing import issues_of
from gateway.exchange.oversight import sees_all
from gateway.exchange.sources import tallies
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.store import inbox
from gateway.store import oversight as listed
from mappings.engine import Issue

MOST_HELD = 500
MOST_READ = 20_000  # newest messages with issues that are counted
_WHICH = re.compile(r"\[\d+\]|\s*\(line \d+\)|(?<=\brow) \d+")
_SPEAKS = {
    ("er7", "mllp"): "HL7 v2 / MLLP",
    ("er7", ""): "HL7 v2",
    ("rows", ""): "CSV / 视图",
    ("fhir", ""): "FHIR R4",
    ("dicom", ""): "DICOM",
}


@dataclass(frozen=True, slots=True)
class Feed:
    """A source, what it speaks, and where everything it sent is."""

    tally: inbox.Tally
    speaks: str


@dataclass(frozen=True, slots=True)
class Held:
    """A message in quarantine; `arrived` µs UTC."""

    id: str
    source: str
    organization: str
    arrived: int
    size: int
    arrivals: int
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages of a source had this issue at this place, whatever its repetition."""

    source: str
    organization: str
    issue: Issue
    messages: int
    last: int


async def feeds(caller: Caller, services: Services) -> tuple[Feed, ...]:
    """The sources of the caller's organisation; all for the authority."""
    known = await own_sources(caller, services)
    maps = {row[0]: row[2] for row in await services.db.read(inbox.SOURCES)}
    return tuple(
        [
            Feed(tally, await _speaks(maps[tally.name], tally.name, services))
            for tally in await tallies(services)
            if tally.name in known
        ]
    )


async def _speaks(map: str, name: str, services: Services) -> str:
    try:
        form = (await services.maps.get(map)).input
    except Problem:
        return ""  # the map cannot be loaded; `mappings lint` says why
    plain = {source for source, _ in services.settings.plain_ranges}
    spoken = "mllp" if name in plain or services.settings.mllp_port else ""
    return _SPEAKS.get((form, spoken)) or _SPEAKS.get((form, ""), form)


async def own_sources(caller: Caller, services: Services) -> Mapping[str, str]:
    """Organisation of each source the caller may see."""
    if caller.role != "it":
        raise Problem(Trouble.REFUSED, "Another role's work.")
    everything = sees_all(caller, services)
    return {
        row[0]: row[1]
        for row in await services.db.read(inbox.SOURCES)
        if everything or row[1] == caller.organization
    }


async def quarantine(source: str, caller: Caller, services: Services) -> tuple[Held, ...]:
    """What is held back, oldest first; an empty `source` is all of the caller's, for the operator of the
    machine every hospital's."""
    if caller == OPERATOR:
        known = {row[0]: row[1] for row in await services.db.read(inbox.SOURCES)}
    else:
        known = dict(await own_sources(caller, services))
    wanted = sorted(known) if not source else [source] if source in known else []
    found = await services.db.session(listed.held, wanted, MOST_HELD)
    return tuple(
        Held(
            row.id,
            row.source,
            known[row.source],
            row.arrived,
            row.size,
            row.arrivals,
            issues_of(row.issues),
        )
        for row in found
    )


async def held_here(id: str, caller: Caller, services: Services) -> inbox.SourceRow:
    """The source of a message that the caller sees; Problem UNKNOWN when it is not there or another's."""
    known = await own_sources(caller, services)
    found = await services.db.read(listed.HELD_ONE, id)
    if not found or found[0][0] not in known:
        raise Problem(Trouble.UNKNOWN, "No such message is held.")
    [source] = await services.db.read(inbox.SOURCE, found[0][0])
    return inbox.SourceRow(*source)


async def replay(
    id: str, caller: Caller, services: Services
) -> Literal["filed", "quarantined", "waiting"]:
    """Read a held message again with the map as it is now, at once.

    An `update` event says who asked. Problem UNKNOWN when it is not there or another's; what is
    not in quarantine any more is left as it is.
    """
    source = (await held_here(id, caller, services)).name
    if await receive.replay(id, services):
        at = services.now()
        body = Body(request=f"replay.{at}", details={"replay": id, "source": source}).asked_by(
            caller
        )
        await services.log.note(Kind.UPDATE, Outcome.PERMIT, caller, at, body)
        try:
            await filing.file_message(id, services)
        except Problem:
            return "waiting"  # its job stands: the worker will try
    [(_, state)] = await services.db.read(listed.HELD_ONE, id)
    return "filed" if state == "filed" else "quarantined" if state == "quarantined" else "waiting"


async def issues(caller: Caller, services: Services) -> tuple[Count, ...]:
    """Issues of the newest messages by place, most frequent first; repetitions are one place."""
    known = await own_sources(caller, services)
    messages: dict[tuple[str, Issue], int] = {}
    last: dict[tuple[str, Issue], int] = {}
    for source, text, arrived in await services.db.session(
        listed.with_issues, sorted(known), MOST_READ
    ):
        for one in {(source, at_large(issue)) for issue in issues_of(text)}:
            messages[one] = messages.get(one, 0) + 1
            last[one] = max(last.get(one, 0), arrived)
    found = [
        Count(source, known[source], issue, count, last[source, issue])
        for (source, issue), count in messages.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.messages, one.source, one.issue.place)))


def at_large(issue: Issue) -> Issue:
    """The issue at its kind of place: `OBX[7]-5.1 (line 12)` and `OBX[3]-5.1 (line 8)` are one."""
    place = _WHICH.sub("", issue.place).strip()
    return Issue(issue.severity, issue.code, place, issue.rule)
