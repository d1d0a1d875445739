"""Reads kept messages again under a release and writes only what differs, as new versions of the same ids.

A replay is a row that says which messages and how far it is; what it did with a message and that it
did are one transaction, so it goes on after any interruption and doing it twice changes nothing. A
message that wrote what stands may say it anew; what came later is never overridden, what was
withdrawn stays so (`filing`). Messages that wait to be filed go first.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

import msgspec
import orjson

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import filing, unmapped_queue
from gateway.exchange.filing import Ending, Read, issues_of, issues_text, write_plan
from gateway.exchange.kept import opened
from gateway.exchange.oversight import sees_all
from gateway.exchange.planning import Plan
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import append
from gateway.services.maps import Release
from gateway.store import inbox
from gateway.store import log as log_rows
from gateway.store import maps as rows
from gateway.store.engine import Tx
from gateway.store.maps import KeptRow, ReplayRow
from gateway.vault import VaultError
from mappings.engine import Mapped, Message

BATCH: Final = 16
LEASE: Final = 30_000_000  # µs; a process that died lets go after it
MOST_LATE: Final = 1_000
EVER: Final = 2**62


class Tally(msgspec.Struct):
    """What a replay did so far: counts, never a value. `types` are of the versions written."""

    changed: int = 0  # messages that were read otherwise
    types: dict[str, int] = {}
    issues: dict[str, int] = {}  # by code, of the messages read
    passed: int = 0  # not chosen by kind or issue, or waiting to be filed anyway
    unreadable: int = 0  # their key is gone
    failed: int = 0  # a fault of this program; alarmed


@dataclass(frozen=True, slots=True)
class Choice:
    """Which kept messages of a source: arrivals (µs UTC, `until` not included, 0 is open), kind
    (``ADT^A*``), an issue they had, or a line of the queue of unmapped codes."""

    since: int = 0
    until: int = 0
    kind: str = ""
    issue: str = ""
    unmapped: int = 0


EVERYTHING: Final = Choice()


async def start(
    source: str,
    by: Caller,
    services: Services,
    choice: Choice = EVERYTHING,
    *,
    release: int = 0,
    why: str = "",
    dry: bool = False,
) -> int:
    """Ask for a replay and note who did; a worker takes it from here. Its number.

    `release` 0 is the one in force. One that is not approved (any more) may only be tried `dry`,
    which writes nothing but the counts. Problem UNKNOWN without such a source, REFUSED when it is
    another hospital's.
    """
    found = await services.db.read(inbox.SOURCE, source)
    if not found:
        raise Problem(Kind.UNKNOWN, "No such source is declared here.", "source")
    row = inbox.SourceRow(*found[0])
    operator = by.role == "operator"
    if not operator and (by.role != "it" or not by.user):
        raise Problem(Kind.REFUSED, "Another role's work.")
    if not operator and not sees_all(by, services) and by.organization != row.organization:
        raise Problem(Kind.REFUSED, "Another hospital's source.")
    chosen = await services.maps.of(release) if release else await services.maps.in_force(row.map)
    if chosen.site != row.map:
        raise Problem(Kind.CONFLICT, "That release is of another map.", "release")
    running = await services.maps.in_force(row.map)
    if not dry and chosen.number != running.number:
        raise Problem(Kind.CONFLICT, "Only the release in force may write.", "release")
    at = services.now()
    until = choice.until or at
    [(total,)] = await services.db.read(
        rows.COUNT_KEPT, source, choice.since, until, 0, "", choice.unmapped
    )
    body = Body(
        request=secrets.token_hex(8),
        details={
            "map": "replay",
            "source": source,
            "release": chosen.map.release,
            "messages": str(total),
            "dry": "yes" if dry else "no",
        },
    ).asked_by(by)
    draft = await services.log.draft(Noted.CONFIG, Outcome.PERMIT, by, at, body)

    def add(tx: Tx) -> int:
        append(tx, services.log.filing_writer, [draft], services.now)
        made = tx.one(
            rows.ADD_REPLAY,
            source, chosen.number, why, by.user, at, choice.since, until, choice.unmapped,
            choice.kind, choice.issue, 0, "", total, 0, 0, int(dry), "running", "", 0,
        )  # fmt: skip
        if made is None:
            raise LookupError("the replay was not kept")
        number: int = made[0]
        return number

    return await services.db.do(add)


async def named(id: int, services: Services) -> ReplayRow:
    """A replay by its number; Problem UNKNOWN without one."""
    found = await services.db.read(rows.REPLAY, id)
    if not found:
        raise Problem(Kind.UNKNOWN, "There is no replay of that number.", "replay")
    return ReplayRow(*found[0])


async def set_state(id: int, state: str, services: Services) -> None:
    """Pause a replay, or let it go on (`running`); one that is done stays so."""
    await named(id, services)
    await services.db.do(_set_state, id, state)


def tally_of(replay: ReplayRow) -> Tally:
    """What a replay did so far."""
    return msgspec.json.decode(replay.report or "{}", type=Tally)


def _set_state(tx: Tx, id: int, state: str) -> None:
    tx.run(rows.SET_REPLAY_STATE, id, state)


async def work(holder: str, services: Services) -> int:
    """Take the oldest running replay a step further, unless messages wait; how many were read.

    Several processes may call it: one at a time holds a replay's lease.
    """
    for (id,) in await services.db.read(rows.RUNNING):
        now = services.now()
        [(line,)] = await services.db.read(rows.LINE, now)
        if line:
            return 0  # live traffic goes first
        if await services.db.do(_lease, f"replay/{id}", holder, now):
            return await _step(await named(id, services), services)
    return 0


def _lease(tx: Tx, name: str, holder: str, now: int) -> bool:
    tx.run(log_rows.ADD_LEASE, name)
    return tx.one(log_rows.TAKE_LEASE, name, holder, now, now + LEASE) is not None


async def _step(replay: ReplayRow, services: Services) -> int:
    if replay.state != "running":
        return 0
    found = await services.db.read(
        rows.KEPT,
        replay.source,
        replay.from_at,
        replay.until_at or EVER,
        replay.position,
        replay.last,
        replay.unmapped,
        BATCH,
    )
    release = await services.maps.of(replay.release)
    known = await services.db.read(inbox.SOURCE, replay.source)
    going = _Going(replay, inbox.SourceRow(*known[0]), release)
    if not found:
        await _finish(going, services)
        return 0
    for row in found:
        await _one(KeptRow(*row), going, services)
    return len(found)


async def _finish(going: _Going, services: Services) -> None:
    """End a replay, after the messages that were in hand under the release before when it began."""
    row = going.row
    if not row.dry:
        late = await services.db.read(
            rows.STRAGGLERS,
            row.source,
            row.until_at or EVER,
            row.asked_at,
            going.release.map.release,
            MOST_LATE,
        )
        for one in late:
            await _one(KeptRow(*one), going, services)
    await services.db.do(_end, going.row, services.now())


def _end(tx: Tx, replay: ReplayRow, at: int) -> None:
    tx.run(
        rows.MOVE_ON,
        replay.id, replay.position, replay.last, replay.done, replay.changed, "done",
        replay.report, at,
    )  # fmt: skip


@dataclass(slots=True)
class _Going:
    """A replay under way; `row` is as it was committed last."""

    row: ReplayRow
    source: inbox.SourceRow
    release: Release
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = tally_of(self.row)


class _Tried(Exception):
    """Undoes a dry run's transaction and carries what it would have written."""

    def __init__(self, written: Sequence[str], issues: Sequence[str]) -> None:
        self.written, self.issues = written, issues


async def _one(kept: KeptRow, going: _Going, services: Services) -> None:
    """Read one message again and move on, in one transaction."""
    replay = going.row
    had = {issue.code for issue in issues_of(kept.issues)}
    if kept.state == "waiting" or (replay.issue and replay.issue not in had):
        return await _pass(kept, going, services, "passed")
    try:
        text = await opened(kept, services)
        retell = None
        if kept.state == "filed":
            retell = retelling(going.source, going.release, going.row.asked_at, services)
        read = await filing.read_raw(
            text,
            kept.id,
            kept.day,
            going.source.organization,
            going.release,
            services,
            retell,
        )
        if replay.kind and not any(
            fnmatchcase(message.kind, replay.kind) for message in read.reading.messages
        ):
            return await _pass(kept, going, services, "passed")
        allowed = await filing.within_rights(read, going.source, services)
        if allowed is not read and kept.state == "filed":
            return await _pass(kept, going, services, "passed")  # what stands, stands
        await _file(kept, allowed, going, services)
    except VaultError:
        await _pass(kept, going, services, "unreadable")
    except Problem:
        raise
    except Exception:
        # A fault of ours must not stop the messages behind this one.
        await _pass(kept, going, services, "failed")


async def _file(kept: KeptRow, read: Read, going: _Going, services: Services) -> None:
    prepare_again(read, kept.state, going.release)
    raw = inbox.RawRow(
        kept.id, kept.source, kept.day, kept.sealed, kept.wrap, kept.owner, kept.owner_tier,
        kept.state, kept.issues, kept.arrived,
    )  # fmt: skip
    end = await filing.ending(raw, going.source, going.release.map.release, read, services)
    try:
        going.row = await filing.with_neighbours(
            read.plans, services, _file_again, read.plans, end, kept, going, services
        )
    except _Tried as tried:
        going.row = await services.db.do(
            _move_on, kept, going, _counted(going.tally, tried.written, tried.issues), services
        )
    going.tally = tally_of(going.row)


def _file_again(
    tx: Tx,
    plans: Sequence[Plan],
    end: Ending,
    kept: KeptRow,
    going: _Going,
    services: Services,
) -> ReplayRow:
    """Everything of one message, and how far we are."""
    written, codes = settle_again(tx, plans, end, kept, services, dry=bool(going.row.dry))
    if going.row.dry:
        raise _Tried(written, codes)
    moved = _move_on(tx, kept, going, _counted(going.tally, written, codes), services)
    # Last, because these lines are shared by all messages of a source.
    unmapped_queue.note(tx, kept.source, kept.id, end.unmapped, end.at, services)
    return moved


def prepare_again(read: Read, state: str, release: Release) -> None:
    """Make plans those of a message in that state which is read again."""
    for plan in read.plans:
        plan.again = state == "filed"
        plan.telling = _telling(plan, release)


def settle_again(
    tx: Tx,
    plans: Sequence[Plan],
    end: Ending,
    kept: KeptRow | inbox.RawRow,
    services: Services,
    *,
    dry: bool = False,
) -> tuple[list[str], list[str]]:
    """Write what differs, the event if anything does, and the state: the types written, the issues.

    `dry` writes the versions alone, for a transaction that its caller undoes. Inside
    `filing.with_neighbours`; Problem BUSY when the message changed hands since it was read.
    """
    standing = tx.one(inbox.RAW, kept.id)
    if standing is None or inbox.RawRow(*standing).wrap != kept.wrap:
        raise Problem(Kind.BUSY, "The message is being filed; it is read again in a moment.")
    for plan in plans:
        plan.fresh.clear()
    for plan in plans:
        write_plan(tx, plan, services)
    written = [type for plan in plans for type in plan.written]
    issues = (*end.issues, *(issue for plan in plans for issue in plan.issues))
    codes = sorted({issue.code for issue in issues})
    if dry:
        return written, codes
    held = not plans or any(issue.severity in {"stop", "hold"} for issue in issues)
    state = "quarantined" if held else "filed"
    if written or state != kept.state:
        draft = end.draft._replace(kind=Noted.UPDATE if written else Noted.FILED)
        if held:
            draft = draft._replace(kind=Noted.QUARANTINED, outcome=Outcome.ERROR)
        append(tx, services.log.filing_writer, [draft], services.now)
    tx.run(
        inbox.SETTLE,
        kept.id, state, end.wrap, end.owner, end.tier, issues_text(issues), end.release, end.at,
    )  # fmt: skip
    known = {issue.code for issue in issues_of(kept.issues)}
    for code in sorted({issue.code for issue in issues if issue.severity == "alarm"} - known):
        tx.run(inbox.ADD_ALARM, code, kept.source, kept.id, end.at)
    tx.run(inbox.END_JOB, "file", kept.id)
    return written, codes


def _counted(tally: Tally, written: Sequence[str], issues: Sequence[str]) -> Tally:
    return msgspec.structs.replace(
        tally,
        changed=tally.changed + bool(written),
        types=dict(sorted((Counter(tally.types) + Counter(written)).items())),
        issues=dict(sorted((Counter(tally.issues) + Counter(issues)).items())),
    )


async def _pass(kept: KeptRow, going: _Going, services: Services, why: str) -> None:
    tally = msgspec.structs.replace(going.tally, **{why: getattr(going.tally, why) + 1})

    def move(tx: Tx) -> ReplayRow:
        if why == "failed":
            tx.run(inbox.ADD_ALARM, "gateway-fault", kept.source, kept.id, services.now())
        return _move_on(tx, kept, going, tally, services)

    going.row = await services.db.do(move)
    going.tally = tally


def _move_on(tx: Tx, kept: KeptRow, going: _Going, tally: Tally, services: Services) -> ReplayRow:
    """How far the replay is now; a pause that somebody asked for meanwhile stays."""
    standing = tx.one(rows.REPLAY, going.row.id)
    now = ReplayRow(*standing) if standing else None
    if now is None or (now.position, now.last) != (going.row.position, going.row.last):
        raise Problem(Kind.BUSY, "Another process has taken this replay on.")
    state = now.state
    changed = sum(tally.types.values())
    report = msgspec.json.encode(tally).decode()
    position, last = max((now.position, now.last), (kept.arrived, kept.id))
    tx.run(
        rows.MOVE_ON,
        going.row.id, position, last, going.row.done + 1, changed, state, report, 0,
    )  # fmt: skip
    return going.row._replace(
        position=position,
        last=last,
        done=going.row.done + 1,
        changed=changed,
        state=state,
        report=report,
    )


# Provenance of a message that is read again.


def _policy(release: Release) -> list[str]:
    site = release.map
    return [f"{site.source.base_url}/map-release/{site.release}"]


def retelling(
    source: inbox.SourceRow, release: Release, asked_at: int, services: Services
) -> Callable[[Message], Message]:
    """Our own Provenance under an id of its own: the one that told of the first reading stays."""
    id_of = services.ids(source.organization)
    recorded = instant_text(asked_at, services.settings.zone)
    policy = _policy(release)

    def told(one: Mapped) -> Mapped:
        node = orjson.loads(one.text())
        if node.get("policy") != policy:
            return one  # the sender's own
        id = id_of("map-release", "Provenance", (one.id, release.map.release))
        node = {name: value for name, value in node.items() if name not in ("resourceType", "id")}
        node["recorded"] = recorded
        node["activity"] = {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation",
                    "code": "UPDATE",
                }
            ],
            "text": "remapped",
        }
        head = b'{"resourceType":"Provenance","id":"%s",' % id.encode()
        return msgspec.structs.replace(one, id=id, head=head, tail=orjson.dumps(node)[1:])

    def retell(message: Message) -> Message:
        others = [one for one in message.resources if one.type != "Provenance"]
        tellings = [told(one) for one in message.resources if one.type == "Provenance"]
        return msgspec.structs.replace(message, resources=(*others, *tellings))

    return retell


def _telling(plan: Plan, release: Release) -> frozenset[str]:
    if not plan.again:
        return frozenset()
    policy = _policy(release)
    return frozenset(
        one.mapped.id
        for one in plan.resources
        if one.mapped.type == "Provenance"
        and orjson.loads(one.mapped.text()).get("policy") == policy
    )
