"""Asks for records: read, search, everything. One order of steps, whatever is asked.

1 gates · 2 manifest · 3 decide · 4 leaf · 5 open · 6 bytes. A chart that changed between 2 and 4
sends the request back to 1. Hidden and absent are one answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from consent.model import DenyTell, Redact
from gateway.audit.events import Body, Item, Kind, Outcome, Restricted, manifest_root
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.grants import noted
from gateway.exchange.person import Person, head_name, manifests, meet
from gateway.exchange.shelf import (
    NOT_IN_EVERYTHING,
    Match,
    Permitted,
    Shown,
    Tally,
    may_stand_alone,
    permitted,
    withheld,
)
from gateway.records.entry import unpack_head
from gateway.records.query import INCLUDED, Key, Query, keys, sort_key
from gateway.records.redact import redacted
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Leaf, Moved
from gateway.store import charts as rows
from gateway.vault import ChartTier, Grant, RecordName, Tier, VaultError

__all__ = [
    "Gathering", "Match", "Opened", "Page", "Permitted", "Shown",
    "gather", "glance", "nothing", "read", "search", "settled",
]  # fmt: skip

T = TypeVar("T")

_KINDS = {"search": Kind.EVERYTHING, "export": Kind.EXPORT}
ATTEMPTS = 4
PAGE_LIFE = 30 * 60 * 1_000_000


class Opened(NamedTuple):
    """A record as it leaves: its stored bytes and how its version is named."""

    type: str
    id: str
    text: bytes
    filed: int  # µs UTC
    match: Match
    leaf: Leaf  # the durable event behind this answer
    tag: Callable[[str, int], str]
    cut: str = ""  # names what was left out of a copy that is not whole

    @property
    def version(self) -> str:
        """The opaque name of its version; a copy that is not whole has its own."""
        return self.tag(self.id + self.cut, self.match.pair[1].version)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: records in order, the exact total, and where the next one begins."""

    records: tuple[Opened, ...]
    included: tuple[Opened, ...]
    total: int
    next: str = ""  # sealed; empty on the last page
    leaf: Leaf | None = None
    person: Person | None = None
    query: Query | None = None


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended, bound to who asked what; sealed, it is a page link.

    `highs` are the sequence numbers of those charts alone of which something was shown, all of one
    width: the length of a link says nothing of what was not.
    """

    route: str
    params: tuple[tuple[str, str], ...]
    who: tuple[str, str, str, str, str]
    highs: dict[str, str]
    after: tuple[str, ...]  # sort key, as decimal text
    ends: int


_cursor = msgspec.msgpack.Decoder(Cursor).decode
_pack = msgspec.msgpack.Encoder().encode


def nothing() -> Problem:
    """The one answer for absent, hidden, deleted and never-existed."""
    return Problem(Trouble.UNKNOWN, "There is no such resource here.")


def refused(gate: DenyTell) -> Problem:
    """A refusal that is told: it was decided before any record was looked at."""
    return Problem(Trouble.REFUSED, f"Not shared: {gate.reason.value}.")


def who(caller: Caller) -> tuple[str, str, str, str, str]:
    """What a page link is bound to."""
    return (caller.client, caller.user, caller.organization, caller.role, caller.purpose)


async def settled(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` again while charts change under it."""
    for _ in range(ATTEMPTS):
        try:
            return await work()
        except Moved:
            continue
    raise Problem(Trouble.BUSY, "This record is changing right now; please try again.")


# Reading by id


async def read(type: str, id: str, caller: Caller, services: Services, version: str = "") -> Opened:
    """One resource, or one version of it; Problem UNKNOWN when absent or hidden."""
    opened, _ = await settled(lambda: _read(type, id, caller, services, version))
    return opened


async def _read(
    type: str, id: str, caller: Caller, services: Services, version: str
) -> tuple[Opened, Person]:
    at = services.now()
    current = await rows.current(services.db, id)
    wanted = current
    if version and current is not None:
        wanted = next(
            (
                row
                for row in await rows.versions(services.db, id)
                if services.vault.version_tag(id, row.version) == version
            ),
            None,
        )
    action = "history" if version else "read"
    chart = current.chart if current else ""
    person = await meet(chart, caller, services, at, action=action, named=False)
    tally = Tally()
    match = None
    if person.gate is None and current is not None and wanted is not None:
        # A relabelled record protects its past: the version and the current one must both pass.
        match = await _decided(person, services, current, tally)
        if match is not None and wanted is not current:
            match = await _decided(person, services, wanted, tally)
        if match is not None and (
            match.pair[0].type != type or not await may_stand_alone(person, services, caller, match)
        ):
            match = None
    if match is None or wanted is None:
        leaf = await _event(Kind.READ, caller, services, at, person, (), tally, refused=True)
        if isinstance(person.gate, DenyTell):
            raise refused(person.gate)
        raise nothing()
    items = (match,)
    veiled = await withheld(person, services, items)
    leaf = await _event(Kind.READ, caller, services, at, person, items, tally)
    (opened,) = await _open(services, person, items, leaf, {id: wanted}, veiled)
    return opened, person


async def _decided(
    person: Person, services: Services, row: rows.RecordRow, tally: Tally
) -> Match | None:
    want = ChartTier(row.chart, Tier(row.tier))
    if want not in person.keys:
        person.keys |= await manifests(services, person.grant, [want])
    key = person.keys.get(want)
    if key is None:
        return None
    head = unpack_head(key.open(row.head, head_name(row.id, row.version)))
    pair = (head.nature, head.entry)
    decision = person.decide(row.chart, pair)
    return Match(row.chart, pair, decision) if tally.note(decision) else None


# Searching


async def search(
    query: Query, caller: Caller, services: Services, route: str = "", cursor: Cursor | None = None
) -> Page:
    """The permitted matches of one person's charts, a page at a time.

    Raises Problem REFUSED when the caller may not ask about this person at all; an unknown
    patient gives the same answer as a known one without a relationship.
    """
    return await settled(lambda: _search(query, caller, services, route or query.type, cursor))


async def _search(
    query: Query, caller: Caller, services: Services, route: str, cursor: Cursor | None
) -> Page:
    at = services.now()
    if not query.patient:
        return await _search_ids(query, caller, services, route, at, cursor)
    person = await meet(query.patient, caller, services, at, action=query.action, named=True)
    kind = _KINDS[query.action] if query.type == "" else Kind.SEARCH
    tally = Tally()
    if person.gate is not None:
        leaf = await _event(kind, caller, services, at, person, (), tally, query, refused=True)
        if isinstance(person.gate, DenyTell):
            raise refused(person.gate)
        return Page((), (), 0, leaf=leaf)
    highs = (
        {chart: int(high, 16) for chart, high in cursor.highs.items()}
        if cursor
        else {row.id: row.seq for row in person.charts}
    )
    types = {query.type, *(INCLUDED[element] for element in query.includes)} - {""}
    shown: list[Shown] = []
    for row in person.charts:
        if row.id in highs:
            shown += await permitted(person, services, caller, row, types, tally, highs[row.id])
    matches: list[Key] = []
    for mark, one in enumerate(shown):
        matches += keys(query, one.segment, _wanted(one, query), mark)
    told = {one.chart: f"{highs[one.chart]:016x}" for one in shown if one.places}
    page, following = _cut(matches, told, query, caller, services, route, at, cursor)
    items = tuple(shown[mark].match(place) for *_, mark, place in page)
    also = tuple(_included(items, shown, query))
    total = len(matches)
    # What is not on the page is let go before others' requests run: together they fill the caches.
    del shown, matches, page
    veiled = await withheld(person, services, items + also)
    person.shelves.clear()
    leaf = await _event(kind, caller, services, at, person, items + also, tally, query)
    opened = await _open(services, person, items + also, leaf, veiled=veiled)
    return Page(
        tuple(opened[: len(items)]),
        tuple(opened[len(items) :]),
        total,
        following,
        leaf,
        person,
        query,
    )


def _cut(
    matches: list[Key],
    highs: dict[str, str],
    query: Query,
    caller: Caller,
    services: Services,
    route: str,
    at: int,
    cursor: Cursor | None,
) -> tuple[list[Key], str]:
    """The page of keys that follows the cursor, and the link to the next one.

    Behind its numbers and the id a key has what its caller put there.
    """
    matches.sort()
    left = matches
    if cursor:
        *numbers, last = cursor.after
        after = (*map(int, numbers), bytes.fromhex(last))
        left = [key for key in matches if key[: len(after)] > after]
    page = left[: query.count]
    if not page or len(left) == len(page):
        return page, ""
    width = len(query.sort) or 1
    place = (*map(str, page[-1][:width]), page[-1][width].hex())
    mark = Cursor(route, query.self_link, who(caller), highs, place, at + PAGE_LIFE)
    return page, services.vault.seal_token("page", _pack(mark))


def _wanted(one: Shown, query: Query) -> Sequence[int]:
    """The places that match the query."""
    segment = one.segment
    wanted = {
        number
        for number, nature in enumerate(segment.natures)
        if (nature.type == query.type if query.type else nature.type not in NOT_IN_EVERYTHING)
        and all(test(nature) for test in query.natures)
    }
    places = one.places
    if len(wanted) < len(segment.natures):
        places = [place for place in places if segment.which[place] in wanted]
    return query.among(segment, places) if query.ids or query.times or query.links else places


def _included(items: Sequence[Match], shown: Iterable[Shown], query: Query) -> list[Match]:
    wanted = {
        target
        for match in items
        if query.includes
        for said, target in match.pair[1].links
        if said in query.includes
    }
    wanted -= {match.pair[1].id for match in items}
    return [
        one.match(place)
        for one in shown
        if wanted
        for place in one.places
        if one.segment.ids[place] in wanted
    ]


async def _search_ids(
    query: Query,
    caller: Caller,
    services: Services,
    route: str,
    at: int,
    cursor: Cursor | None,
) -> Page:
    """A search that names records: each is decided as a read would, several persons apart."""
    by_chart: dict[str, list[rows.RecordRow]] = {}
    for id in sorted(query.ids):
        row = await rows.current(services.db, id)
        by_chart.setdefault(row.chart if row else "", []).extend([row] if row else [])
    key = sort_key(query)
    asked: list[tuple[Person, Tally]] = []
    matches: list[Key] = []
    found: list[tuple[Person, Match]] = []
    for chart, standing in by_chart.items():
        person = await meet(chart, caller, services, at, action="search", named=False)
        tally = Tally()
        asked.append((person, tally))
        for row in standing if person.gate is None else ():
            match = await _decided(person, services, row, tally)
            if (
                match is not None
                and match.pair[0].type == query.type
                and query.matches(match.pair)
                and await may_stand_alone(person, services, caller, match)
            ):
                matches.append((*key(match.pair), len(found)))
                found.append((person, match))
    page, following = _cut(matches, {}, query, caller, services, route, at, cursor)
    records: list[Opened] = []
    leaf = None
    for person, tally in asked:
        items = [match for whose, match in (found[at] for *_, at in page) if whose is person]
        veiled = await withheld(person, services, items)
        leaf = await _event(
            Kind.SEARCH, caller, services, at, person, items, tally, query, refused=not items
        )
        if isinstance(person.gate, DenyTell):
            raise refused(person.gate)
        records += await _open(services, person, items, leaf, veiled=veiled)
    records.sort(key=lambda one: key(one.match.pair))
    return Page(tuple(records), (), len(matches), following, leaf, None, query)


async def more(token: str, caller: Caller, services: Services) -> Cursor:
    """The place a page link leads to; somebody else's, forged or late ones are UNKNOWN."""
    plain = services.vault.open_token("page", token)
    if plain is None:
        raise nothing()
    cursor = _cursor(plain)
    if cursor.who != who(caller) or cursor.ends < services.now():
        raise nothing()
    return cursor


# Gathering for a page

Choose = Callable[[Permitted], Sequence[Match]]
Pick = Callable[[Sequence[Shown]], Sequence[Match]]
"""Chooses from a manifest's columns, so that only what is chosen is made an entry of."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """What one page needs of one person: records, their earlier versions, and the event of both.

    `versions` are those of the chosen records that may be known of, oldest first, the current one
    included; `earlier` are the texts of the older ones. A gated person has nothing.
    """

    person: Person
    records: tuple[Opened, ...]
    versions: tuple[Match, ...]
    earlier: tuple[Opened, ...]
    leaf: Leaf


async def gather(
    chart: str,
    caller: Caller,
    services: Services,
    choose: Choose,
    *,
    kind: Kind,
    named: bool,
    amended: frozenset[str] = frozenset(),
) -> Gathering:
    """What `choose` picks of everything permitted, as one event of that `kind`.

    Of chosen records whose type is in `amended` the permitted older versions come along.
    """

    return await settled(
        lambda: _gather(
            chart, caller, services, lambda shown: choose(Permitted(shown)), kind, named, amended
        )
    )


async def glance(
    chart: str, caller: Caller, services: Services, pick: Pick, *, kind: Kind, why: str
) -> Gathering:
    """The few records that `pick` takes from the columns of a long chart, as one event of that `kind`.

    `why` says in the event what asked. That nothing is picked is no refusal; a gated person's is.
    """
    more = {"asked": why}
    return await settled(
        lambda: _gather(chart, caller, services, pick, kind, True, frozenset(), more)
    )


async def _gather(
    chart: str,
    caller: Caller,
    services: Services,
    pick: Pick,
    kind: Kind,
    named: bool,
    amended: frozenset[str],
    more: Mapping[str, str] | None = None,
) -> Gathering:
    at = services.now()
    person = await meet(chart, caller, services, at, action="read", named=named)
    known = Tally()
    shown: list[Shown] = []
    for row in person.charts if person.gate is None else ():
        shown += await permitted(person, services, caller, row, (), known)
    chosen = list(pick(shown))
    tally = Tally(withheld=known.withheld)
    versions: list[Match] = []
    older: dict[str, rows.RecordRow] = {}
    for match in chosen:
        tally.note(match.decision)
        nature, entry = match.pair
        if nature.type in amended and entry.version > 1:
            for old in reversed(await rows.versions(services.db, entry.hex)):
                if old.version < entry.version and (
                    before := await _decided(person, services, old, tally)
                ):
                    versions.append(before)
                    older[f"{old.id}/{old.version}"] = old
        versions.append(match)
    past = [match for match in versions if f"{match.pair[1].hex}/{match.pair[1].version}" in older]
    veiled = await withheld(person, services, [*chosen, *past])
    refused = not chosen if more is None else person.gate is not None
    leaf = await _event(
        kind, caller, services, at, person, [*chosen, *past], tally, refused=refused, more=more
    )
    return Gathering(
        person,
        tuple(await _open(services, person, chosen, leaf, veiled=veiled)),
        tuple(versions),
        tuple(await _open(services, person, past, leaf, older, veiled)),
        leaf,
    )


# The last steps


async def _event(
    kind: Kind,
    caller: Caller,
    services: Services,
    at: int,
    person: Person,
    items: Sequence[Match],
    tally: Tally,
    query: Query | None = None,
    *,
    refused: bool = False,
    more: Mapping[str, str] | None = None,
) -> Leaf:
    """Step 4: the durable event of this answer; Moved when a chart changed since it was read."""
    if person.gate is not None:
        tally.withheld[person.gate.reason.value] += 1
    body = Body(
        request=person.grant.about,
        query_clean=_clean(query),
        policies={"consent": person.policy.version},
        epochs=person.epochs,
        rulings=tally.rulings(),
        returned=len(items),
        manifest=manifest_root(
            [
                Item(m.pair[0].type, m.pair[1].hex, str(m.pair[1].version), m.pair[1].digest)
                for m in items
            ]
        ),
        details=noted(person, items) | dict(more or {}),
        restricted=Restricted(sum(tally.withheld.values()), dict(tally.withheld)),
        sensitivities=tuple(sorted({s for m in items for s in m.pair[0].sensitivities})),
    ).asked_by(caller)
    # A refused caller's event names the person they asked about, so that oversight can find it.
    draft = await services.log.draft(
        kind,
        Outcome.DENY if refused else Outcome.PERMIT,
        caller,
        at,
        body,
        person.chart_ids,
        person.epochs,
    )
    return await services.log.write(draft)


def _clean(query: Query | None) -> str:
    if query is None:
        return ""
    return f"{query.type}?" + "&".join(f"{name}={value}" for name, value in query.self_link)


async def _open(
    services: Services,
    person: Person,
    items: Sequence[Match],
    leaf: Leaf,
    known: dict[str, rows.RecordRow] | None = None,
    veiled: Collection[bytes] = (),
) -> list[Opened]:
    """Step 5: open exactly the permitted records, against the durable leaf.

    What is withheld of one leaves its copy, and so do references to the `veiled` records.
    """
    if not items:
        return []
    named = [(match, match.pair[1].hex, match.pair[1].version) for match in items]
    bodies: dict[tuple[str, int], tuple[int, bytes | None]]
    if known:
        bodies = {(row.id, row.version): (row.tier, row.sealed) for row in known.values()}
    else:
        seqs: dict[str, list[int]] = {}
        for match in items:
            seqs.setdefault(match.chart, []).append(match.pair[1].seq)
        bodies = {
            (id, version): (tier, sealed)
            for chart, own in seqs.items()
            for id, version, tier, sealed in await rows.bodies(services.db, chart, own)
        }
        for _, id, version in named:
            if (id, version) not in bodies:  # what was marked disputed has another number
                for row in await rows.versions(services.db, id):
                    bodies[row.id, row.version] = (row.tier, row.sealed)
    grant = Grant(person.grant.kind, person.grant.about, person.grant.tiers, leaf)
    shelves = {(match.chart, bodies[id, version][0]) for match, id, version in named}
    wants = {one: ChartTier(one[0], Tier(one[1])) for one in sorted(shelves)}
    keys = await services.vault.records(grant, list(wants.values()))
    openers = {one: keys[want].open for one, want in wants.items()}
    tag = services.vault.version_tag
    opened = []
    for match, id, version in named:
        tier, sealed = bodies[id, version]
        if sealed is None:
            raise Problem(Trouble.BUSY, "The source that keeps this record cannot be asked now.")
        nature, entry = match.pair
        try:
            text = openers[match.chart, tier](sealed, RecordName(nature.type, id, version))
        except VaultError:
            raise Problem(
                Trouble.BUSY, "A stored record is damaged; operations were told."
            ) from None
        whole = Opened(nature.type, id, text, entry.filed, match, leaf, tag)
        opened.append(_copy(whole, veiled))
    return opened


def _copy(whole: Opened, veiled: Collection[bytes]) -> Opened:
    """The record as it may leave: whole, or without what is withheld and what tells of it."""
    decision, (nature, entry) = whole.match.decision, whole.match.pair
    paths = decision.paths if isinstance(decision, Redact) else ()
    ids = sorted({to.hex() for _, to in entry.links if to in veiled}) if veiled else []
    if not paths and not ids:
        return whole
    cut = "/".join(("", *paths, *ids))
    version = whole.tag(whole.id + cut, entry.version)
    return whole._replace(text=redacted(whole.text, nature, paths, ids, version), cut=cut)


def request_id() -> str:
    """A name for one request, for headers and the log."""
    return secrets.token_hex(8)
