"""Tells where the elements of a stored record come from: message, field, rule, functions, table row, release.

Nothing of it is stored, for the received bytes and the release that read them give it again. It shows
what a patient's record says, so it is for the IT office of the hospital that sent it, and its event is
durable before a message is opened.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange.aside import aside
from gateway.exchange.kept import opened
from gateway.exchange.person import ALL_TIERS, head_name
from gateway.records.entry import unpack_head
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.maps import Release
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.charts import RecordRow
from gateway.vault import ChartTier, Grant, RecordName, Tier, VaultError
from mappings.engine import jsontext
from mappings.engine.explain import Element, Resource, Silent

MOST_VERSIONS: Final = 50


@dataclass(frozen=True, slots=True)
class Origin:
    """The message that wrote a version, and the release that read it; `arrived` µs UTC."""

    version: int
    message: str
    source: str
    arrived: int
    release: int
    hash: str
    place: str


@dataclass(frozen=True, slots=True)
class Traced:
    """Elements of a record with the message each came from; `silent` are rules of the newest message
    that could have made the path asked for and did not. `untold` are members no message was found for."""

    type: str
    id: str
    version: int
    elements: tuple[tuple[Origin, Element], ...]
    silent: tuple[Silent, ...]
    untold: tuple[str, ...]


async def trace(id: str, path: str, by: Caller, services: Services, version: int = 0) -> Traced:
    """Where a record, or one path in it, comes from; `version` 0 is the one that stands.

    A patched record is made of several messages: for each element the newest that said it is told.
    Problem UNKNOWN when there is no such record of the caller's own hospital, REFUSED for another role.
    """
    if by.role != "it" or not by.user:
        raise Problem(Kind.REFUSED, "Another role's work.")
    found = [
        row
        for row in await rows.versions(services.db, id)
        if row.version <= (version or row.version)
    ]
    first = found[0] if found else None
    if first is None or (version and first.version != version):
        raise _nothing()
    source = await _source(first, services)
    # Also the authority reads no record here: it is the sender's own question about its own data.
    if source is None or source.organization != by.organization:
        raise _nothing()
    await _note(first, path, by, services)
    type, text = await _opened(first, services)
    members = [name for name in _members(text) if name not in ("resourceType", "meta")]
    wanted = [name for name in members if not path or _top(path) == name]
    elements: list[tuple[Origin, Element]] = []
    silent: tuple[Silent, ...] = ()
    told: set[str] = set()
    for row in found[:MOST_VERSIONS]:
        if row is not first and told >= set(wanted) - {"id"}:
            break
        read = await _read(row, services)
        if read is None:
            continue
        origin, resource = read
        if row is first:
            silent = tuple(one for one in resource.silent if not path or _near(one.rule, path))
        new = [
            one
            for one in (*resource.key, *resource.elements)
            if _top(one.path) in wanted and _top(one.path) not in told
            if not path or path == _top(path) or one in resource.at(path)
        ]
        elements += [(origin, one) for one in new]
        told |= {_top(one.path) for one in new}
    # A Patient's id hangs on the best number the message holds, not on a rule of its own.
    untold = tuple(name for name in wanted if name not in told and name != "id")
    return Traced(type, id, first.version, tuple(elements), silent, untold)


def _nothing() -> Problem:
    return Problem(Kind.UNKNOWN, "There is no such record of your hospital.", "record")


async def _source(row: RecordRow, services: Services) -> inbox.SourceRow | None:
    """The source whose message wrote a version; None when no message did."""
    kept = await services.db.read(inbox.RAW, row.inbox)
    known = await services.db.read(inbox.SOURCE, inbox.RawRow(*kept[0]).source) if kept else ()
    return inbox.SourceRow(*known[0]) if known else None


async def _note(row: RecordRow, path: str, by: Caller, services: Services) -> None:
    body = Body(
        request=secrets.token_hex(8),
        returned=1,
        details={"map": "explain", "record": row.id, "path": path},
    ).asked_by(by)
    at = services.now()
    await services.log.note(Noted.READ, Outcome.PERMIT, by, at, body, (row.chart,))


async def _opened(row: RecordRow, services: Services) -> tuple[str, bytes]:
    want = ChartTier(row.chart, Tier(row.tier))
    grant = Grant("job", f"explain {row.id}", ALL_TIERS)
    try:
        manifest = (await services.vault.manifests(grant, [want]))[want]
        body = (await services.vault.records(grant, [want]))[want]
    except VaultError:
        raise _nothing() from None
    head = unpack_head(manifest.open(row.head, head_name(row.id, row.version)))
    if row.sealed is None:
        raise _nothing()
    name = RecordName(head.nature.type, row.id, row.version)
    return head.nature.type, body.open(row.sealed, name)


async def _read(row: RecordRow, services: Services) -> tuple[Origin, Resource] | None:
    """What the message that wrote a version says of it under the release that read it."""
    kept = await services.db.read(inbox.RAW, row.inbox)
    source = await _source(row, services)
    if not kept or source is None:
        return None
    raw = inbox.RawRow(*kept[0])
    release: Release
    if row.release:
        release = await services.maps.of(row.release)
    else:  # filed before releases were kept: the nearest thing is what runs now
        release = await services.maps.in_force(source.map)
    try:
        text = await opened(raw, services)
    except VaultError:
        return None
    ids = services.ids(source.organization)
    told = await aside(len(text), partial(release.map.explain, text, ids, origin=raw.id))
    resource = told.resource(row.id)
    if resource is None:
        return None
    origin = Origin(
        row.version,
        raw.id,
        raw.source,
        raw.arrived,
        release.number,
        release.map.release,
        resource.place,
    )
    return origin, resource


def _members(text: bytes) -> Sequence[str]:
    return list(jsontext.parse(text).members())


def _top(path: str) -> str:
    """The element of the resource a path is in."""
    for end, sign in enumerate(path):
        if sign in ".[(":
            return path[:end]
    return path


def _near(rule: str, path: str) -> bool:
    """Could a rule have made what is at a path? `value[x]` makes `valueQuantity`."""
    top = _top(path)
    if rule.endswith("[x]"):
        return top.startswith(rule[:-3])
    return _top(rule) == top
