"""Cases a privacy officer decides: an emergency access, a claimed relationship, a resident's question.

A case is opened in the transaction of what it is about. It is taken by one officer, who may ask the
person whose access it is, and closes it with a verdict and words; what goes against that person is
closed by a second officer. Nobody decides about themselves, and an officer sees the cases of their
own institution only; the county's health authority sees all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import accounts, cases, emergencies, notices
from gateway.store import charts as rows
from gateway.store.cases import CaseRow
from gateway.store.engine import Tx

CaseKind = Literal["emergency", "self-claim", "question", "suspension"]

DAY = 24 * 3_600_000_000
QUESTION_DUE = 15 * DAY  # what a resident asked is answered within
COUNTED = 365 * DAY  # what was found not justified is remembered for
TOO_OFTEN = 2
LEFT = DAY  # a case that somebody took and left lying may be taken over
SHORTEST = 6  # characters of any word that closes, asks or answers
LONGEST = 2_000

VERDICTS: dict[str, tuple[str, ...]] = {
    "emergency": ("justified", "not-justified"),
    "self-claim": ("justified", "not-justified"),
    "question": ("answered", "not-justified"),
    "suspension": ("lifted",),
}
"""What a case of each kind may be closed with."""
BY_TWO: frozenset[str] = frozenset({"not-justified", "lifted"})
"""Verdicts that a second officer must share."""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What somebody said in a case, at µs UTC.

    `role` is reason (of who looked), resident, question, answer, verdict, second, reopened or told
    (what a resident is answered).
    """

    role: str
    by: str
    name: str
    at: int
    words: str


class File(msgspec.Struct, frozen=True, array_like=True):
    """The sealed part of a case: what was said, and what it rested on when it was decided."""

    words: tuple[Word, ...] = ()
    about: str = ""  # the event a question is about, as the log names it
    findings: dict[str, str] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(File).decode


@dataclass(frozen=True, slots=True)
class Case:
    """A case as an officer sees it in the queue or opened."""

    row: CaseRow
    file: File
    overdue: bool
    mine: bool  # taken by the caller
    free: bool  # the caller may take it

    @property
    def waits_for_second(self) -> bool:
        """Decided by one officer, to be confirmed by another."""
        return not self.row.closed and self.row.verdict in BY_TWO


def opened(row: CaseRow, services: Services) -> File:
    """What is sealed of a case; SealBroken when the row was altered."""
    return _decode(services.vault.open_field("review", _place(row), row.sealed))


def _place(row: CaseRow) -> str:
    return f"{row.id}/{row.kind}/{row.chart}/{row.login}"


def _sealed(row: CaseRow, file: File, services: Services) -> bytes:
    return services.vault.seal_field("review", _place(row), _encode(file))


# Opening


def new_case(
    kind: CaseKind,
    id: str,
    chart: str,
    login: str,
    organization: str,
    words: Iterable[Word],
    at: int,
    due: int,
    services: Services,
    about: str = "",
) -> CaseRow:
    """A case ready for `add`; `login` and `organization` are of the person whose access it is."""
    row = CaseRow(
        id, kind, chart, login, organization, b"", at, due, "", 0, "", "", 0, "", 0
    )  # fmt: skip
    return row._replace(sealed=_sealed(row, File(tuple(words), about), services))


def add(tx: Tx, case: CaseRow) -> None:
    """Open it, in the transaction of what it is about."""
    tx.run(cases.ADD, *case)


async def open_question(
    chart: str,
    about: str,
    login: str,
    organization: str,
    words: str,
    caller: Caller,
    services: Services,
) -> str:
    """A resident does not recognise an access; the id of the case, the same for the same event.

    `about` names the event as the log does (`writer/counter`), `login` and `organization` are of
    whoever looked. The answer comes back as a notice of kind `answer`; `answer_to` reads it.
    Problem UNPROCESSABLE for words that say too little.
    """
    words = _said(words, "question")
    id = services.vault.digest("review-question", f"{chart}/{about}".encode())[:16].hex()
    if await services.db.read(cases.ONE, id):
        return id
    at = services.now()
    word = Word("resident", caller.user, caller.name, at, words)
    case = new_case(
        "question", id, chart, login, organization, [word], at, at + QUESTION_DUE, services, about
    )
    draft = await _draft("opened", case, caller, at, words, services)
    await services.db.do(_open, case, draft, services)
    return id


def _open(tx: Tx, case: CaseRow, draft: Draft, services: Services) -> None:
    if tx.one(cases.ONE, case.id) is None:
        add(tx, case)
        append(tx, services.log.filing_writer, [draft], services.now)


async def answer_to(id: str, charts: Sequence[str], services: Services) -> str:
    """What a resident is told about a question of theirs; empty while there is no answer."""
    row = await of(id, services)
    if row is None or row.kind != "question" or not row.closed or row.chart not in charts:
        return ""
    told = [one.words for one in opened(row, services).words if one.role == "told"]
    return told[-1] if told else ""


# Looking


async def queue(caller: Caller, services: Services) -> tuple[Case, ...]:
    """The cases that wait at the caller's institution, overdue ones first, by when they are due."""
    must_be_officer(caller)
    rows = [CaseRow(*row) for row in await services.db.read(cases.OPEN)]
    seen = [_case(row, caller, services) for row in rows if _sees(row, caller, services)]
    return tuple(sorted(seen, key=lambda one: (not one.overdue, one.row.due, one.row.id)))


async def case(id: str, caller: Caller, services: Services) -> Case:
    """One case with everything said in it; Problem UNKNOWN when it is not the caller's to see."""
    must_be_officer(caller)
    return _case(await _row(id, caller, services), caller, services)


async def of(id: str, services: Services) -> CaseRow | None:
    """The row of a case, for stories that decide themselves who may know of it."""
    found = await services.db.read(cases.ONE, id)
    return CaseRow(*found[0]) if found else None


async def _row(id: str, caller: Caller, services: Services) -> CaseRow:
    row = await of(id, services)
    if row is None or not _sees(row, caller, services):
        raise Problem(Kind.UNKNOWN, "No such case.")
    return row


def _case(row: CaseRow, caller: Caller, services: Services) -> Case:
    now = services.now()
    mine = row.taken_by == caller.user
    if row.verdict in BY_TWO:
        free = row.decided_by != caller.user
    else:
        free = not row.taken_by or (not mine and row.taken + LEFT <= now)
    return Case(row, opened(row, services), not row.closed and row.due < now, mine, free)


def must_be_officer(caller: Caller) -> None:
    """Problem REFUSED for anybody but a privacy officer."""
    if caller.role != "privacy":
        raise Problem(Kind.REFUSED, "Another role's work.")


def oversees(organization: str, caller: Caller, services: Services) -> bool:
    """Whether what happened at an organisation is this officer's: their own, or the whole county's."""
    whole = services.register.get(caller.organization).kind == "authority"
    return whole or caller.organization in services.register.chain(organization)


def _sees(row: CaseRow, caller: Caller, services: Services) -> bool:
    return row.login != accounts.tidy(caller.user) and oversees(row.organization, caller, services)


# Going on


async def take(id: str, caller: Caller, services: Services) -> None:
    """Take a case; Problem CONFLICT when another officer has it."""
    must_be_officer(caller)
    row = await _row(id, caller, services)
    if row.closed or row.verdict in BY_TWO or not _case(row, caller, services).free:
        raise Problem(Kind.CONFLICT, "Another officer has taken this case.")
    moved = row._replace(taken_by=caller.user, taken=services.now())
    await _move(row, moved, "taken", "", caller, services)


async def ask(id: str, words: str, caller: Caller, services: Services) -> None:
    """Ask the person whose access it is; the case waits for their answer."""
    row = await _taken(id, caller, services)
    words = _said(words, "words")
    if row.kind == "suspension" or not row.login:
        raise Problem(Kind.UNPROCESSABLE, "There is nobody to ask.", "verdict")
    moved = _with(row, "question", words, caller, services)._replace(verdict="needs-answer")
    await _move(row, moved, "asked", words, caller, services)


async def asked(caller: Caller, services: Services) -> tuple[Case, ...]:
    """Cases in which the caller is asked about an access of their own."""
    login = accounts.tidy(caller.user)
    rows = [CaseRow(*row) for row in await services.db.read(cases.ASKED, login)]
    return tuple(
        Case(row, opened(row, services), row.due < services.now(), False, False)
        for row in rows
        if related(row.organization, caller.organization, services)
    )


async def answer(id: str, words: str, caller: Caller, services: Services) -> None:
    """Answer as the person whose access it is; the case goes back to the officer who asked."""
    row = {one.row.id: one.row for one in await asked(caller, services)}.get(id)
    if row is None:
        raise Problem(Kind.UNKNOWN, "No such case.")
    words = _said(words, "words")
    moved = _with(row, "answer", words, caller, services)._replace(verdict="")
    await _move(row, moved, "answered", words, caller, services)


async def decide(
    id: str,
    verdict: str,
    words: str,
    caller: Caller,
    services: Services,
    *,
    told: str = "",
    findings: dict[str, str] | None = None,
) -> None:
    """Close a case, or hand it to a second officer where the verdict needs two.

    `told` is what a resident is answered, needed where they asked; `findings` are kept beside the
    verdict. Problem REFUSED without a second factor, UNPROCESSABLE without words or for a verdict
    that the kind of case does not know, CONFLICT when another officer has it.
    """
    row = await _taken(id, caller, services)
    stepped_up(caller)
    if verdict not in VERDICTS[row.kind]:
        raise Problem(Kind.UNPROCESSABLE, "Choose a verdict of the list.", "verdict")
    words, at = _said(words, "words"), services.now()
    moved = _with(row, "verdict", words, caller, services, findings)
    if row.kind == "question":
        moved = _with(moved, "told", _said(told, "told"), caller, services)
    moved = moved._replace(verdict=verdict, decided_by=caller.user, decided=at)
    if verdict not in BY_TWO:
        moved = moved._replace(closed=at)
    await _move(row, moved, verdict, words, caller, services)


async def second(id: str, agrees: bool, words: str, caller: Caller, services: Services) -> None:
    """A second officer's word on a verdict that needs two: it is closed, or open again.

    A second "not justified" of a person's within a year suspends their account; a suspension
    lifted by two gives it back. Problem REFUSED for one's own verdict.
    """
    must_be_officer(caller)
    row = await _row(id, caller, services)
    if row.closed or row.verdict not in BY_TWO:
        raise Problem(Kind.CONFLICT, "The case does not wait for a second officer.")
    if row.decided_by == caller.user:
        raise Problem(Kind.REFUSED, "Another officer than the first confirms this.")
    stepped_up(caller)
    words, at = _said(words, "words"), services.now()
    if not agrees:
        moved = _with(row, "reopened", words, caller, services)
        moved = moved._replace(taken_by="", taken=0, verdict="", decided_by="", decided=0)
        await _move(row, moved, "reopened", words, caller, services)
        return
    moved = _with(row, "second", words, caller, services)
    moved = moved._replace(second_by=caller.user, closed=at)
    await _move(row, moved, f"second-{row.verdict}", words, caller, services)


def stepped_up(caller: Caller) -> None:
    """Problem REFUSED unless the caller has just shown a second factor."""
    if caller.strength < 2:
        raise Problem(Kind.REFUSED, "This needs your second factor.", "code")


def related(one: str, other: str, services: Services) -> bool:
    """Whether two organisations are one, or one is a unit of the other."""
    chain = services.register.chain
    return one in chain(other) or other in chain(one)


async def _taken(id: str, caller: Caller, services: Services) -> CaseRow:
    must_be_officer(caller)
    row = await _row(id, caller, services)
    if row.closed or row.verdict in BY_TWO or row.taken_by != caller.user:
        raise Problem(Kind.CONFLICT, "Take the case first; another officer may have it.")
    return row


def _said(words: str, place: str) -> str:
    words = words.strip()[:LONGEST]
    if len(words) < SHORTEST:
        raise Problem(Kind.UNPROCESSABLE, "Say it in a few words.", place)
    return words


def _with(
    row: CaseRow,
    role: str,
    words: str,
    caller: Caller,
    services: Services,
    findings: dict[str, str] | None = None,
) -> CaseRow:
    """The case with one more word in it."""
    file = opened(row, services)
    word = Word(role, caller.user, caller.name, services.now(), words)
    file = File((*file.words, word), file.about, findings or file.findings)
    return row._replace(sealed=_sealed(row, file, services))


# Writing


@dataclass(frozen=True, slots=True)
class _Move:
    """A step of a case, ready to be written; `suspension` is what a second unjustified one opens."""

    was: CaseRow
    now: CaseRow
    event: Draft
    suspension: CaseRow | None = None
    suspended: Draft | None = None
    restored: Draft | None = None


async def _move(
    was: CaseRow, now: CaseRow, act: str, words: str, caller: Caller, services: Services
) -> None:
    event = await _draft(act, now, caller, services.now(), words, services)
    move = _Move(was, now, event)
    if now.closed and now.verdict == "not-justified" and now.login:
        move = await _with_suspension(move, caller, services)
    if now.closed and now.verdict == "lifted":
        body = _body(caller, now.closed, details={"account": now.login, "state": "active"})
        restored = await services.log.draft(
            Noted.ROLE, Outcome.PERMIT, caller, now.closed, body
        )  # fmt: skip
        move = _Move(was, now, event, restored=restored)
    await services.db.do(_write, move, services)


async def _with_suspension(move: _Move, caller: Caller, services: Services) -> _Move:
    login, at = move.now.login, move.now.closed
    id = services.vault.digest("suspension", f"{login}/{move.now.id}".encode())[:16].hex()
    why = "suspended after what was found not justified"
    word = Word("reason", caller.user, caller.name, at, why)
    case = new_case(
        "suspension", id, "", login, move.now.organization, [word], at,
        at + services.policy.emergency_review, services,
    )  # fmt: skip
    body = _body(caller, at, details={"account": login, "state": "suspended"})
    draft = await services.log.draft(Noted.ROLE, Outcome.PERMIT, caller, at, body)
    return _Move(move.was, move.now, move.event, case, draft)


def _write(tx: Tx, move: _Move, services: Services) -> None:
    """The step, its event, and what follows from it, together or not at all."""
    was, now = move.was, move.now
    moved = tx.one(
        cases.MOVE, was.id, was.taken_by, was.verdict, was.sealed, now.sealed, now.taken_by, now.taken,
        now.verdict, now.decided_by, now.decided, now.second_by, now.closed,
    )  # fmt: skip
    if moved is None:
        raise Problem(Kind.CONFLICT, "Another officer has just gone on with this case.")
    drafts = [move.event]
    if now.closed and now.kind == "emergency":
        end_grant(tx, now.id, now.closed)  # what was looked at once is not opened again by it
    if now.closed and now.kind == "question":
        notices.add(tx, now.chart, "answer", now.id, now.closed)
    if move.suspension is not None and move.suspended is not None:
        since = now.closed - COUNTED
        against = [CaseRow(*row) for row in tx.all(cases.AGAINST, now.login, since)]
        counted = [one for one in against if related(one.organization, now.organization, services)]
        if len(counted) >= TOO_OFTEN and tx.one(cases.SUSPENDED, now.login) is None:
            add(tx, move.suspension)
            accounts.suspend(tx, now.login)
            for (chart,) in tx.all(emergencies.CLOSE_ALL, now.login, now.closed):
                tx.run(rows.TAKE_CHART, chart, 0, 1)
            drafts.append(move.suspended)
    if move.restored is not None:
        accounts.restore(tx, now.login)
        drafts.append(move.restored)
    append(tx, services.log.filing_writer, drafts, services.now)


def end_grant(tx: Tx, id: str, at: int) -> bool:
    """End an emergency access now, also for answers that are on their way; False when it has ended."""
    ended = tx.one(emergencies.CLOSE, id, at)
    if ended is None:
        return False
    tx.run(rows.TAKE_CHART, ended[0], 0, 1)
    return True


async def _draft(
    act: str, case: CaseRow, caller: Caller, at: int, words: str, services: Services
) -> Draft:
    details = {"case": case.id, "kind": case.kind, "act": act, "whose": case.login}
    charts = (case.chart,) if case.chart else ()
    body = _body(caller, at, reason=words, details=details)
    return await services.log.draft(Noted.REVIEW, Outcome.PERMIT, caller, at, body, charts)


def _body(caller: Caller, at: int, **more: Any) -> Body:
    return Body(request=f"case.{at}", **more).asked_by(caller)


# Counting


async def counts(services: Services) -> dict[str, tuple[int, int]]:
    """(open, overdue) of each kind of case, of the whole county."""
    found = await services.db.read(cases.COUNTS, services.now())
    return {kind: (int(open), int(late)) for kind, open, late in found}
