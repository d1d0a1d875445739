"""A patient who is there says yes: one question, one answer, one use.

1 the asker's screen shows a token (as a QR code) and a short code; both name a question and no patient
2 the patient, signed in with an account of their own, reads who asks and says yes or no
3 a yes is evidence of kind presence for this person, organisation and purpose, and for nobody else
4 the screen that asked goes on, once

What proves presence is the answer of the resident's own account, or of who acts for them by a right that
runs. A card, its number, a registrar's or a witness's word prove nothing: whoever holds a card could look
at anybody. For a resident without an account there is the declared relationship, with its alarm and case.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from consent.model import RelationshipKind
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import acting, mandates
from gateway.exchange.person import Evidence, evidence_place, pack_evidence
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import presence as store
from gateway.store.engine import Tx
from gateway.store.presence import PresenceRow

MINUTE: Final = 60_000_000
LIFE: Final = 15 * MINUTE
KEPT: Final = 24 * 60 * MINUTE  # how long an answered question is remembered
TRIES: Final = 5  # names that nobody asked with, in LIFE
LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that looks like another
CODE_LENGTH: Final = 8
RESIDENTS: Final = frozenset({"patient", "representative"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question just asked: `token` for the QR code, `code` to be typed, `until` in µs UTC."""

    token: str
    code: str
    until: int


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks, as the patient reads it. `asker` is a name, `until` µs UTC."""

    asker: str
    organization: str
    purpose: str
    until: int


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an account may answer for: its owner, or somebody it acts for."""

    chart: str
    name: str
    own: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a question stands for who asked it; `chart` is told once, after yes."""

    state: Literal["waiting", "yes", "no", "over"]
    chart: str = ""


async def ask(caller: Caller, services: Services) -> Asked:
    """Ask whoever is there; what this screen asked before and nobody answered ends.

    Problem REFUSED for whoever does not treat, or has no session to bind the question to.
    """
    if (
        caller.role != "clinician"
        or caller.purpose not in services.policy.treatment
        or not (caller.user and caller.session)
    ):
        raise Problem(Trouble.REFUSED, "Presence is asked for by who treats, at a screen.")
    at = services.now()
    token = secrets.token_urlsafe(24)
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    tag = _tag(token, services)
    place = _place(tag, caller.user, caller.organization)
    row = PresenceRow(
        tag=tag,
        code=_code(code, services),
        login=caller.user,
        sealed=services.vault.seal_field("presence", place, caller.name.encode()),
        session=caller.session,
        organization=caller.organization,
        purpose=caller.purpose,
        made=at,
        ends=at + LIFE,
        chart="",
        answered_by="",
        answered=0,
        yes=0,
        used=0,
    )
    body = _body(at, caller, {"state": "asked"})
    draft = await services.log.draft(Kind.PRESENCE, Outcome.PERMIT, caller, at, body)
    await services.db.do(_ask, row, draft, services)
    return Asked(token, f"{code[:4]}-{code[4:]}", row.ends)


def _ask(tx: Tx, row: PresenceRow, draft: Draft, services: Services) -> None:
    tx.run(store.END_OLD, row.made - KEPT, row.login, row.session)
    tx.run(store.ADD, *row)
    append(tx, services.log.filing_writer, [draft], services.now)


async def look(name: str, caller: Caller, services: Services) -> Question:
    """Who asks, by the token or the short code; nothing changes by looking.

    Problem UNKNOWN for what nobody asks (any more), THROTTLED after five of them in a quarter of an
    hour, REFUSED for whoever is not a resident.
    """
    return _question(await _open(name, caller, services), services)


def _question(row: PresenceRow, services: Services) -> Question:
    place = _place(row.tag, row.login, row.organization)
    asker = services.vault.open_field("presence", place, row.sealed)
    return Question(asker.decode(), row.organization, row.purpose, row.ends)


async def subjects(caller: Caller, services: Services) -> tuple[Subject, ...]:
    """Whom the caller's account may answer for: its owner first, then those it acts for now."""
    row = await acting.own_account(caller.user, services)
    if caller.role not in RESIDENTS or row is None:
        return ()
    found = []
    known = await rows.grounds(services.db, row.chart, "")
    recorded = await acting.standing([one.id for one in known.charts], services)
    if caller.user in recorded.selves:
        found.append(Subject(row.chart, acting.identity_of(row, services).name, True))
    found += [
        Subject(held.chart, held.person, False)
        for held in await mandates.of_actor(caller.user, services)
        if held.state == "running" and held.ground != "heir"
    ]
    return tuple(found)


async def answer(name: str, yes: bool, chart: str, caller: Caller, services: Services) -> Question:
    """Say yes or no, for the person of `chart`; the question that was answered.

    Problems as of `look`; REFUSED for a chart that is not the caller's to answer for.
    """
    row = await _open(name, caller, services)
    if chart not in {one.chart for one in await subjects(caller, services)}:
        raise Problem(Trouble.REFUSED, "This account does not answer for that person.")
    at = services.now()
    details = {
        "state": "yes" if yes else "no",
        "asker": row.login,
        "organization": row.organization,
        "purpose": row.purpose,
    }
    outcome = Outcome.PERMIT if yes else Outcome.DENY
    body = _body(at, caller, details)
    draft = await services.log.draft(Kind.PRESENCE, outcome, caller, at, body, (chart,))
    given = row._replace(chart=chart, answered_by=caller.user, answered=at, yes=int(yes))
    await services.db.do(_answer, given, draft, services)
    return _question(row, services)


def _answer(tx: Tx, row: PresenceRow, draft: Draft, services: Services) -> None:
    """The answer, its evidence, the epoch and the event in one transaction."""
    if not tx.one(store.ANSWER, row.tag, row.chart, row.answered_by, row.answered, row.yes):
        raise Problem(Trouble.UNKNOWN, "Nobody asks this any more.")
    if row.yes:
        rows.take(tx, row.chart, 0, 1)
        kind = RelationshipKind.PRESENCE.value
        about = (row.chart, row.tag.hex()[:32])
        place = evidence_place(*about, kind, row.organization)
        evidence = Evidence(row.answered, None, row.login, purpose=row.purpose)
        sealed = services.vault.seal_field("relationship", place, pack_evidence(evidence))
        tx.run(rows.PUT_RELATIONSHIP, *about, row.organization, kind, sealed, row.answered)
    append(tx, services.log.filing_writer, [draft], services.now)


async def state(token: str, caller: Caller, services: Services) -> Standing:
    """Where the question stands; a yes is told once, and only to the session that asked.

    "over" is also what anybody else's question is.
    """
    found = await services.db.read(store.BY_TAG, _tag(token, services))
    row = PresenceRow(*found[0]) if found else None
    asked_here = row is not None and (row.login, row.session, row.organization, row.purpose) == (
        caller.user,
        caller.session,
        caller.organization,
        caller.purpose,
    )
    at = services.now()
    if row is None or not asked_here or row.used:
        return Standing("over")
    if not row.answered:
        return Standing("waiting" if at < row.ends else "over")
    if not row.yes:
        return Standing("no")
    if at >= row.answered + LIFE:
        return Standing("over")
    chart = await services.db.do(_use, row.tag, at)
    return Standing("yes", chart) if chart else Standing("over")


def _use(tx: Tx, tag: bytes, at: int) -> str:
    used = tx.one(store.USE, tag, at)
    return str(used[0]) if used else ""


async def _open(name: str, caller: Caller, services: Services) -> PresenceRow:
    """The question that waits under this name; every wrong name is counted."""
    if caller.role not in RESIDENTS or not caller.user:
        raise Problem(Trouble.REFUSED, "A resident answers, with an account of their own.")
    row = await services.db.do(_find, name.strip()[:64], caller.user, services)
    match row:
        case None:
            raise Problem(Trouble.UNKNOWN, "Nobody asks this.")
        case "often":
            raise Problem(Trouble.THROTTLED, "Too many codes that nobody asked with.")
        case PresenceRow():
            return row


def _find(
    tx: Tx, name: str, login: str, services: Services
) -> PresenceRow | Literal["often"] | None:
    at = services.now()
    tx.run(store.ADD_TRY, login, at)
    count = tx.one(store.COUNT_TRY, login, at - LIFE, at)
    if count is None or int(count[0]) > TRIES:
        return "often"
    short = re.sub(r"[\s-]", "", name).upper()
    found = (
        tx.one(store.BY_CODE, _code(short, services))
        if len(short) == CODE_LENGTH
        else tx.one(store.BY_TAG, _tag(name, services))
    )
    row = PresenceRow(*found) if found else None
    if row is None or row.answered or at >= row.ends:
        return None
    tx.run(store.FORGET_TRIES, login)
    return row


def _tag(token: str, services: Services) -> bytes:
    return services.vault.digest("presence-token", token.encode())


def _code(code: str, services: Services) -> bytes:
    return services.vault.digest("presence-code", code.encode())


def _place(tag: bytes, login: str, organization: str) -> str:
    return f"{tag.hex()}/{login}/{organization}"


def _body(at: int, caller: Caller, details: dict[str, str]) -> Body:
    return Body(request=f"presence.{at}", details=details).asked_by(caller)
