"""The worklist of folders that may be one person's: compared on paper, by who has both in their own house.

Only a registrar of the folders' own organisation, or of the county's desk, sees a pair, as at the
desk (exchange/identities.py). What the papers say joins two folders as a hospital's word does:
refusals of either bind both, but nothing that opens reaches across before the resident has said at
a desk that both are theirs. Every answer can be taken back, which leaves the links, and with them
records, consents and decisions, exactly as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import identities, relied, rights
from gateway.exchange.correcting import match_of
from gateway.identity import matching
from gateway.recognition.rights import DataClass, Use
from gateway.records.facts import Facts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import links, reviews
from gateway.store.engine import Tx
from gateway.store.links import Link
from gateway.store.reviews import ReviewRow

Answer = Literal["one", "two", "later", "undone"]
State = Literal["possible", "merge", "contradicted", "joined", "parted"]
"""Open: the county's rule cannot tell; a hospital said so; it said so of two persons' numbers.
Settled: somebody found them one person's, or two."""
OPEN: frozenset[str] = frozenset({"possible", "merge", "contradicted"})
WHY = ("resident", "papers", "hospital", "other")
"""Why a pair is put off: until the resident comes, the papers are here, the hospital answers; else."""
LONGEST = 200
PAGE = 20
LATELY = 30 * 86_400_000_000


class Said(msgspec.Struct, frozen=True, array_like=True):
    """The sealed part of an answer."""

    name: str
    why: str
    note: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Said).decode


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with who gave it, at µs UTC."""

    answer: Answer
    said: Said
    at: int


@dataclass(frozen=True, slots=True)
class Side:
    """One folder of a pair: whose, since when, how much is in it (times µs UTC, 0: nothing)."""

    organization: str
    facts: Facts
    opened: int
    records: int
    newest: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two folders, why they are compared, what was answered, newest first.

    `undoable`: the newest answer settled it, and nothing else was said since. `mark` names the state
    that was seen, with what the folders said.
    """

    id: int
    state: State
    since: int
    sides: tuple[Side, Side]
    match: matching.Match
    answers: tuple[Answered, ...]
    undoable: bool
    mark: str

    @property
    def two_numbers(self) -> bool:
        """Whether the folders carry different persons' numbers: then they are never joined."""
        numbers = {side.facts.number for side in self.sides}
        return len(numbers - {""}) > 1

    @property
    def open(self) -> bool:
        """Whether it waits for an answer; one that was put off does."""
        told = self.answers[0].answer if self.answers else ""
        return self.state in OPEN and told not in ("one", "two")


@dataclass(frozen=True, slots=True)
class Worklist:
    """A page of pairs that wait, those put off last, and those answered within thirty days."""

    pairs: tuple[Pair, ...]
    lately: tuple[Pair, ...]
    total: int
    put_off: int
    page: int

    @property
    def before(self) -> int:
        """How many wait on the pages before this one: a pair is counted by its place in this list."""
        return (self.page - 1) * PAGE

    @property
    def more(self) -> bool:
        """Whether there is a next page."""
        return self.page * PAGE < self.total


async def worklist(page: int, caller: Caller, services: Services) -> Worklist:
    """What waits at the caller's house; one event that names the charts whose facts were opened.

    Problem REFUSED for another role, or without the right to match.
    """
    await _may(caller, services)
    newest = {row[1]: row[2] for row in await services.db.read(reviews.NEWEST)}
    waiting: list[Link] = []
    off: list[Link] = []
    houses, since = _houses(caller, services), services.now() - LATELY
    for row in await services.db.read(reviews.OPEN, houses):
        link = Link(*row)
        told = newest.get(link.id, "")
        if told not in ("one", "two"):
            (off if told == "later" else waiting).append(link)
    lately = [Link(*row) for row in await services.db.read(reviews.LATELY, houses, since, PAGE)]
    queue = [*waiting, *off]
    page = max(1, min(page, (len(queue) + PAGE - 1) // PAGE))
    shown = [*queue[(page - 1) * PAGE : page * PAGE], *lately]
    pairs = {one.id: one for one in await _pairs(shown, services)}
    await _note(shown, "list", caller, services)
    return Worklist(
        tuple(pairs[one.id] for one in queue[(page - 1) * PAGE : page * PAGE]),
        tuple(pairs[one.id] for one in lately),
        len(queue), len(off), page,
    )  # fmt: skip


async def pair(id: int, caller: Caller, services: Services) -> Pair:
    """One pair, whole; Problem UNKNOWN when it is not the caller's to see. One event."""
    await _may(caller, services)
    found = await _one(id, caller, services)
    await _note([found], "pair", caller, services)
    return (await _pairs([found], services))[0]


async def answer(
    id: int, said: Answer, mark: str, why: str, note: str, caller: Caller, services: Services
) -> int:
    """Write an answer down, with its event; the id of the pair that waits next, 0 for none.

    `mark` is what the pair's page showed. Problem CONFLICT when it has changed since, UNPROCESSABLE
    for "one" of two persons' numbers, for "later" without a reason, or with nothing to take back.
    """
    await _may(caller, services)
    link = await _one(id, caller, services)
    [now] = await _pairs([link], services)
    if now.mark != mark:
        raise Problem(Trouble.CONFLICT, "Somebody has just answered this.", "pair")
    _sensible(now, said, why)
    at = services.now()
    charts = tuple(sorted((link.left, link.right)))
    words = Said(caller.name, why if said == "later" else "", note.strip()[:LONGEST])
    given = await _answers(link.id, services)
    before = given[0].before if said == "undone" else str(now.state)
    place = _place(link.id, said, caller.user, at)
    row = ReviewRow(
        0, link.id, said, before, caller.organization, caller.user, at,
        services.vault.seal_field("identity-review", place, _encode(words)),
    )  # fmt: skip
    stood, stands = now.state in ("merge", "joined"), _stands(said, before, now.two_numbers)
    kind = Kind.LINK if stands else Kind.UNLINK
    if said == "later" or (said == "undone" and stood == stands):
        kind = Kind.IDENTITY_REVIEW  # nothing is joined or parted by it
    details = {"rule": "papers", "answer": said, "link": str(id), "why": words.why}
    draft = await services.log.draft(
        kind, Outcome.PERMIT, caller, at, _body(caller, at, details, words.note), charts
    )
    await services.db.do(_write, link, row, mark, now.two_numbers, draft, services)
    waits = (await _next(caller, services)) if said != "undone" else [id]
    return next((one for one in waits if one != id or said == "undone"), 0)


def _stands(said: str, before: str, two_numbers: bool) -> bool:
    """Whether an answer leaves the two joined, where the pair was as `before` until it was settled."""
    return said == "one" or (said == "undone" and before == "merge" and not two_numbers)


def _sensible(now: Pair, said: Answer, why: str) -> None:
    settles = said in ("one", "two", "later")
    if said == "one" and (now.state == "contradicted" or now.two_numbers):
        raise Problem(Trouble.UNPROCESSABLE, "The folders carry two numbers.", "answer")
    if (said == "undone" and not now.undoable) or (settles and not now.open):
        raise Problem(Trouble.CONFLICT, "Somebody has just answered this.", "pair")
    if said == "later" and why not in WHY:
        raise Problem(Trouble.UNPROCESSABLE, "Say why it is put off.", "why")


def _write(
    tx: Tx,
    seen: Link,
    row: ReviewRow,
    mark: str,
    two_numbers: bool,
    draft: Draft,
    services: Services,
) -> None:
    charts = sorted((seen.left, seen.right))
    # One answer after the other, and none beside a filing.
    sealed = [bytes(rows.take(tx, chart, 0)[3]) for chart in charts]
    link = Link(*(tx.one(reviews.PAIR, seen.id) or ()))
    given = [ReviewRow(*one) for one in tx.all(reviews.OF, seen.id)]
    if _mark(link, given, sealed) != mark:
        raise Problem(Trouble.CONFLICT, "Somebody has just answered this.", "pair")
    if row.answer == "two":
        tx.run(links.REVOKE, link.id, row.at, row.login)
    elif _stands(row.answer, row.before, two_numbers):
        tx.run(links.STAND, link.id)
    elif row.answer == "undone":
        by = links.POSSIBLE if row.before == "possible" else links.CONTRADICTED
        tx.run(links.REVOKE, link.id, link.at, by)
    links.regroup(tx, charts)
    parts = row.answer in ("two", "undone") and not _stands(row.answer, row.before, two_numbers)
    if parts and not link.revoked:
        joined = given[0].at if given and row.before == "possible" else link.at
        relied.parted(tx, charts, row.at, services, joined)
    tx.run(reviews.ADD, *row[1:])
    append(tx, services.log.filing_writer, [draft], services.now)


def _state(link: Link, given: Sequence[ReviewRow]) -> State:
    if link.contradicted:
        return "contradicted"
    if link.revoked:
        return "possible" if link.revoked_by == links.POSSIBLE else "parted"
    told = given[0].answer if given else ""
    return "joined" if link.confirmed or told == "one" else "merge"


def _undoable(link: Link, given: Sequence[ReviewRow]) -> bool:
    last = given[0] if given else None
    if last is None or last.answer not in ("one", "two") or link.confirmed:
        return False
    if last.answer == "two":
        return (link.revoked, link.revoked_by) == (last.at, last.login)
    return not link.revoked


def _mark(link: Link, given: Sequence[ReviewRow], sealed: Sequence[bytes]) -> str:
    """Names everything an answer stands on: the link as it is, the newest answer, both folders."""
    last = given[0].id if given else 0
    state = (link.id, link.revoked, link.revoked_by, link.confirmed, last, sealed)
    return sha256(msgspec.msgpack.encode(state)).hexdigest()


async def _may(caller: Caller, services: Services) -> None:
    identities.at_desk(caller)
    await rights.demand(caller, DataClass.IDENTITY, Use.MATCH, services)


def _houses(caller: Caller, services: Services) -> list[str]:
    """The organisations whose folders the caller may compare."""
    return [one.id for one in services.register if identities.may_know(one.id, caller, services)]


async def _one(id: int, caller: Caller, services: Services) -> Link:
    found = [Link(*row) for row in await services.db.read(reviews.PAIR, id)]
    told = await identities.houses([one for f in found for one in (f.left, f.right)], services)
    if (
        not told
        or found[0].rule in links.PROVEN
        or not set(told.values()) <= set(_houses(caller, services))
    ):
        raise Problem(Trouble.UNKNOWN, "No such pair of folders.")
    return found[0]


async def _next(caller: Caller, services: Services) -> list[int]:
    newest = {row[1]: row[2] for row in await services.db.read(reviews.NEWEST)}
    found = [row[0] for row in await services.db.read(reviews.OPEN, _houses(caller, services))]
    return [one for one in found if newest.get(one, "undone") == "undone"]


async def _answers(link: int, services: Services) -> list[ReviewRow]:
    return [ReviewRow(*row) for row in await services.db.read(reviews.OF, link)]


async def _pairs(found: Sequence[Link], services: Services) -> list[Pair]:
    charts = {end for one in found for end in (one.left, one.right)}
    # Before they are opened: what is said in between makes the mark another.
    told = {row[0]: row[1:] for row in await services.db.read(links.ON_CHARTS, sorted(charts))}
    facts = await identities.facts_of(charts, services)
    held = {row[0]: row[1:] for row in await services.db.read(reviews.HELD, sorted(charts))}
    made = []
    for link in found:
        given = await _answers(link.id, services)
        one, other = facts[link.left], facts[link.right]
        sides = [
            Side(told[end][0], facts[end], held[end][0], held[end][1], held[end][2] or 0)
            for end in (link.left, link.right)
        ]
        made.append(
            Pair(
                link.id, _state(link, given), link.at, (sides[0], sides[1]),
                match_of(one, other, link.rule),
                tuple(_answered(row, services) for row in given), _undoable(link, given),
                _mark(link, given, [bytes(told[end][1]) for end in sorted((link.left, link.right))]),
            )
        )  # fmt: skip
    return made


def _answered(row: ReviewRow, services: Services) -> Answered:
    place = _place(row.link, row.answer, row.login, row.at)
    said = _decode(services.vault.open_field("identity-review", place, row.sealed))
    return Answered(row.answer, said, row.at)  # type: ignore[arg-type]


def _place(link: int, answer: str, login: str, at: int) -> str:
    return f"{link}/{answer}/{login}/{at}"


async def _note(found: Sequence[Link], page: str, caller: Caller, services: Services) -> None:
    at = services.now()
    charts = tuple(sorted({end for one in found for end in (one.left, one.right)}))
    body = _body(caller, at, {"page": page})
    await services.log.note(Kind.IDENTITY_REVIEW, Outcome.PERMIT, caller, at, body, charts)


def _body(caller: Caller, at: int, details: dict[str, str], reason: str = "") -> Body:
    return Body(request=f"identity-review.{at}", reason=reason, details=details).asked_by(caller)
