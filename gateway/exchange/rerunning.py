"""One kept message is read again: first dry, which says what would change, then for good.

A trial writes in a transaction that is undone, so it is the very run it tells of. It names resource
types, paths and issues, never a value; an event is durable before the message is opened. Reading a
message again twice changes nothing the second time (`replays`).
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import filing, messages, repeats, replays, unmapped_queue
from gateway.exchange.filing import Ending, Read, issues_of
from gateway.exchange.kept import opened
from gateway.exchange.planning import Plan
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.maps import Release
from gateway.store import charts, inbox
from gateway.store.engine import Tx
from gateway.vault import ChartTier, RecordName, Tier, VaultError

MOST_PATHS: Final = 60


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one type: resources new, written otherwise, left as they are; `paths` are the
    elements that are said otherwise, with how many resources each."""

    type: str
    new: int
    changed: int
    unchanged: int
    paths: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What reading a message again under the release in force would do.

    `kinds` are the message kinds (ORU^R01). `raised` and `cleared` are codes of issues it would have
    then, and would not have any more.
    """

    message: str
    release: int
    kinds: tuple[str, ...]
    changes: tuple[Change, ...]
    raised: tuple[str, ...]
    cleared: tuple[str, ...]
    filed: bool  # it would be filed then, rather than held

    @property
    def nothing(self) -> bool:
        """Everything would stay as it is."""
        return not (
            self.raised or self.cleared or any(one.new or one.changed for one in self.changes)
        )


class _Tried(Exception):
    """Undoes the transaction of a trial and carries what it found."""

    def __init__(self, changes: tuple[Change, ...], codes: Sequence[str], held: bool) -> None:
        self.changes, self.codes, self.held = changes, codes, held


async def tried(id: str, caller: Caller, services: Services) -> Trial:
    """What would change; nothing is written but the event that somebody asked.

    Problem UNKNOWN when it is not there or another's, CONFLICT while it waits to be filed or when
    its key was destroyed.
    """
    raw, source = await _settled(id, caller, services)
    release = await services.maps.in_force(source.map)
    await _note(raw, release, True, caller, services)
    read = await _read(raw, source, release, services)
    end = await filing.ending(raw, source, release.map.release, read, services)
    kinds = tuple(sorted({one.kind for one in read.reading.messages}))
    had = {one.code for one in issues_of(raw.issues)}
    try:
        await filing.with_neighbours(read.plans, services, _try, read.plans, end, raw, services)
    except _Tried as found:
        now = set(found.codes)
        return Trial(
            id, release.number, kinds, found.changes,
            tuple(sorted(now - had)), tuple(sorted(had - now)), not found.held,
        )  # fmt: skip
    raise LookupError("a trial ended without saying what it found")


async def rerun(id: str, caller: Caller, services: Services) -> bool:
    """Read it again under the release in force: whether anything was written otherwise.

    One event says who asked, another what was written. Problems as `tried`.
    """
    raw, source = await _settled(id, caller, services)
    release = await services.maps.in_force(source.map)
    await _note(raw, release, False, caller, services)
    read = await _read(raw, source, release, services)
    end = await filing.ending(raw, source, release.map.release, read, services)
    return await filing.with_neighbours(read.plans, services, _do, read.plans, end, raw, services)


async def _settled(
    id: str, caller: Caller, services: Services
) -> tuple[inbox.RawRow, inbox.SourceRow]:
    if not caller.user:
        raise Problem(Kind.REFUSED, "A person reads messages again.")
    kept = await messages.one(id, caller, services)
    if kept.state in ("waiting", "retry"):
        raise Problem(Kind.CONFLICT, "The message waits to be filed anyway.", "message")
    [raw] = await services.db.read(inbox.RAW, id)
    [source] = await services.db.read(inbox.SOURCE, kept.source)
    return inbox.RawRow(*raw), inbox.SourceRow(*source)


async def _note(
    raw: inbox.RawRow, release: Release, dry: bool, caller: Caller, services: Services
) -> None:
    at = services.now()
    body = Body(
        request=secrets.token_hex(8),
        details={
            "monitor": "rerun",
            "message": raw.id,
            "source": raw.source,
            "release": release.map.release,
            "dry": "yes" if dry else "no",
        },
    ).asked_by(caller)
    kind = Noted.CONFIG if dry else Noted.UPDATE
    charts_of = (raw.owner,) if raw.owner else ()
    await services.log.note(kind, Outcome.PERMIT, caller, at, body, charts_of)


async def _read(
    raw: inbox.RawRow, source: inbox.SourceRow, release: Release, services: Services
) -> Read:
    try:
        text = await opened(raw, services)
    except VaultError:
        raise Problem(Kind.CONFLICT, "The key of this message was destroyed.", "message") from None
    retell = None
    if raw.state == "filed":
        retell = replays.retelling(source, release, services.now(), services)
    read = await filing.read_raw(
        text, raw.id, raw.day, source.organization, release, services, retell
    )
    allowed = await filing.within_rights(read, source, services)
    if allowed is not read and raw.state == "filed":
        raise Problem(Kind.CONFLICT, "The source has no right to store this now.", "message")
    replays.prepare_again(allowed, raw.state, release)
    return allowed


def _do(tx: Tx, plans: Sequence[Plan], end: Ending, raw: inbox.RawRow, services: Services) -> bool:
    written, _ = replays.settle_again(tx, plans, end, raw, services)
    if raw.state != "filed":
        repeats.note(tx, plans, services)
    unmapped_queue.note(tx, raw.source, raw.id, end.unmapped, end.at, services)
    return bool(written)


def _try(tx: Tx, plans: Sequence[Plan], end: Ending, raw: inbox.RawRow, services: Services) -> None:
    ids = [one.mapped.id for plan in plans for one in plan.resources]
    before = charts.standing(tx, ids)
    _, codes = replays.settle_again(tx, plans, end, raw, services, dry=True)
    after = charts.standing(tx, ids)
    issues = (*end.issues, *(issue for plan in plans for issue in plan.issues))
    held = not plans or any(issue.severity in {"stop", "hold"} for issue in issues)
    raise _Tried(_changes(plans, before, after), codes, held)


def _changes(
    plans: Sequence[Plan],
    before: Mapping[str, charts.RecordRow],
    after: Mapping[str, charts.RecordRow],
) -> tuple[Change, ...]:
    new, changed, same = Counter[str](), Counter[str](), Counter[str]()
    paths: dict[str, Counter[str]] = {}
    for plan in plans:
        for id, type in {one.mapped.id: one.mapped.type for one in plan.resources}.items():
            was, now = before.get(id), after.get(id)
            if now is None:
                continue  # a telling of nothing, or held
            if was is None:
                new[type] += 1
            elif was.version == now.version:
                same[type] += 1
            else:
                changed[type] += 1
                told = differing(_plain(plan, type, was), _plain(plan, type, now))
                paths.setdefault(type, Counter()).update(told)
    return tuple(
        Change(type, new[type], changed[type], same[type], _most(paths.get(type, Counter())))
        for type in sorted({*new, *changed, *same})
    )


def _most(paths: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(paths.items(), key=lambda one: (-one[1], one[0]))[:MOST_PATHS])


def _plain(plan: Plan, type: str, row: charts.RecordRow) -> Any:
    key = plan.bodies.get(ChartTier(plan.chart, Tier(row.tier)))
    if key is None or row.sealed is None:
        return {}
    text = key.open(row.sealed, RecordName(type, row.id, row.version))
    # Numbers as their digits: 13.2 is not what 13.20 said.
    return json.loads(text, parse_float=str, parse_int=str)


def differing(before: Any, after: Any) -> set[str]:
    """Paths, without places in lists, at which two resources say something else; ``meta`` is ours."""
    ours = {("meta",)}
    was, now = Counter(_leaves(before, ())), Counter(_leaves(after, ()))
    return {
        ".".join(path) for path, _ in {*(was - now), *(now - was)} if path[:1] not in ours and path
    }


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    match node:
        case dict():
            for name, value in node.items():
                yield from _leaves(value, (*path, name))
        case list():
            for value in node:
                yield from _leaves(value, path)
        case _:
            yield path, json.dumps(node)
