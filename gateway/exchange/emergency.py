"""Breaks the glass: one user, one patient, a few hours, read-only; told, and looked at afterwards.

The county's default already lets an emergency (ETREAT) see basic and general records where there is
a relationship. This road is the other one: it needs no relationship and goes over refusals and the
default for restricted records, so it costs a second factor, a reason, a budget, a notice to the
patient and a review. Somebody nobody knows, somebody sealed and a patient get the same grant.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from consent.decide import live_relationships
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import casework
from gateway.exchange.grants import held, nobody, place
from gateway.exchange.patients import matched, stranger
from gateway.exchange.person import relationships_of, request_of
from gateway.services import Services, even
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import accounts, cases, emergencies, inbox, notices
from gateway.store import charts as rows
from gateway.store.cases import CaseRow
from gateway.store.emergencies import GrantRow
from gateway.store.engine import Tx

REASONS = ("unconscious", "life-threatening", "child-alone", "disaster", "other")
DAY = 24 * 3_600_000_000
LONGEST_HOLD = 3 * DAY  # a notice is kept back for safety until the review at the latest
DISTINCT = 6  # different characters a reason has at least


class BudgetSpent(Problem):
    """The day's emergency accesses are spent; another clinician of the house must agree."""

    def __init__(self) -> None:
        super().__init__(
            Trouble.REFUSED, "The day's emergency accesses are spent: a second clinician.", "second"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a clinician says when breaking the glass.

    `reason` is one of `REASONS`, `words` say it in the clinician's own. `keep_back` is why telling
    the patient now would put somebody in danger; it delays the notice until the review.
    """

    reason: str
    words: str
    keep_back: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """An emergency access: until when (µs UTC), and the chart to ask by."""

    id: str
    chart: str
    end: int


class Words(msgspec.Struct, frozen=True, array_like=True):
    """The sealed part of a grant: what was said, and whether a relationship stood without it."""

    words: str
    ordinary: bool
    keep_back: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Words).decode


def words_of(row: GrantRow, services: Services) -> Words:
    """What was said; SealBroken when the row was altered."""
    return _decode(services.vault.open_field("emergency_grant", place(row), row.sealed))


def says_enough(words: str, least: int) -> bool:
    """Whether words are a reason: `least` letters and figures, and not the same few over again."""
    if len(words) > casework.LONGEST:
        return False
    said = [c for c in unicodedata.normalize("NFKC", words) if unicodedata.category(c)[0] in "LN"]
    text = "".join(said).casefold()
    if len(text) < least or len(set(text)) < DISTINCT or not any(c.isalpha() for c in text):
        return False
    return not any(text[size:] == text[:-size] for size in range(DISTINCT, len(text) // 2 + 1))


# Breaking it


async def by_number(
    system: str,
    value: str,
    asked: Asked,
    caller: Caller,
    services: Services,
    approver: Caller | None = None,
) -> Granted:
    """Break the glass for whoever carries an identifier; as `break_glass`.

    A number that several persons carry is answered like one that nobody does: showing one of them
    would be a guess.
    """
    found = await matched(system, value, caller, services)
    chart = found[0] if len(found) == 1 else stranger(system, value, services)
    return await break_glass(chart, asked, caller, services, approver)


async def break_glass(
    chart: str,
    asked: Asked,
    caller: Caller,
    services: Services,
    approver: Caller | None = None,
) -> Granted:
    """Let the caller read one person's records for the policy's time, over refusals.

    The grant, its event, its review and the patient's notice are durable together before anything
    opens. A live one is given again rather than a second. Problem REFUSED for a role that may not,
    without a second factor, while suspended, or (`BudgetSpent`) when the day's number is spent and
    nobody else agrees; UNPROCESSABLE for a reason that says too little.
    """
    began = even.now()
    try:
        return await _break(chart, asked, caller, services, approver)
    finally:
        # Whether there is such a patient does not show in how long it takes.
        await even.even(began, services.settings.answer_floor_ms)


async def _break(
    chart: str, asked: Asked, caller: Caller, services: Services, approver: Caller | None
) -> Granted:
    policy, at = services.policy, services.now()
    if not caller.user or policy.emergency_override not in policy.roles.get(
        caller.role, frozenset()
    ):
        raise Problem(Trouble.REFUSED, "Only a clinician breaks the glass.")
    casework.stepped_up(caller)
    _complete(asked, policy.emergency_reason_length)
    if approver is not None and not _may_agree(approver, caller, services):
        raise Problem(Trouble.REFUSED, "Another clinician of the same house agrees.", "second")
    known = await rows.grounds(services.db, chart, caller.organization)
    charts = tuple(row.id for row in known.charts) or (nobody(chart, services),)
    target = chart if known.charts else charts[0]
    standing = await held(charts, caller, services, at)
    if standing is not None:
        return Granted(standing.id, chart, standing.end)
    evidence = relationships_of(known, caller.organization, services)
    usual = request_of(
        caller, services, at, action="read", named=True, relationships=evidence
    )  # fmt: skip
    ordinary = bool(live_relationships(usual, policy))
    grant = GrantRow(
        secrets.token_hex(16), target, accounts.tidy(caller.user), caller.organization,
        asked.reason, b"", at, at + policy.emergency_life, 0,
        accounts.tidy(approver.user) if approver else "",
    )  # fmt: skip
    words = Words(asked.words.strip(), ordinary, asked.keep_back.strip())
    sealed = services.vault.seal_field("emergency_grant", place(grant), _encode(words))
    grant = grant._replace(sealed=sealed)
    said = [casework.Word("reason", caller.user, caller.name, at, words.words)]
    if approver is not None:
        said.append(casework.Word("second", approver.user, approver.name, at, asked.reason))
    case = casework.new_case(
        "emergency", grant.id, target, grant.login, grant.organization, said, at,
        at + policy.emergency_review, services,
    )  # fmt: skip
    draft = await _event(Outcome.PERMIT, grant, words, caller, charts, services)
    try:
        await services.db.do(_write, grant, case, draft, bool(known.charts), words, services)
    except BudgetSpent:
        draft = await _event(Outcome.DENY, grant, words, caller, charts, services)
        await services.log.write(draft)
        raise
    return Granted(grant.id, chart, grant.end)


def _complete(asked: Asked, least: int) -> None:
    if asked.reason not in REASONS:
        raise Problem(Trouble.UNPROCESSABLE, "Choose a reason of the list.", "reason")
    if not says_enough(asked.words, least):
        raise Problem(
            Trouble.UNPROCESSABLE, f"Say in {least} characters or more what happened.", "words"
        )
    if asked.keep_back and not says_enough(asked.keep_back, least):
        raise Problem(
            Trouble.UNPROCESSABLE, "Say who would be in danger if the patient were told.", "hold"
        )


def _may_agree(approver: Caller, caller: Caller, services: Services) -> bool:
    """Another clinician of the same house, there in person: password and second factor."""
    return (
        accounts.tidy(approver.user) != accounts.tidy(caller.user)
        and approver.role == caller.role
        and approver.strength >= 2
        and casework.related(approver.organization, caller.organization, services)
    )


def _write(
    tx: Tx, grant: GrantRow, case: CaseRow, draft: Draft, known: bool, words: Words,
    services: Services,
) -> None:  # fmt: skip
    """Everything or nothing, with the caller's other grants held still while they are counted."""
    digest = services.vault.digest("emergency-budget", grant.login.encode())
    tx.one(emergencies.HOLD, digest)
    for login in filter(None, (grant.login, grant.approver)):
        if tx.one(cases.SUSPENDED, login) is not None:
            raise Problem(Trouble.REFUSED, "Emergency access is suspended for this person.")
    spent = sum(
        casework.related(organization, grant.organization, services)
        for organization, _ in tx.all(emergencies.SINCE, grant.login, grant.start - DAY)
    )
    if spent >= services.policy.emergency_per_day and not grant.approver:
        raise BudgetSpent
    tx.run(emergencies.ADD, *grant)
    casework.add(tx, case)
    if known:
        until = grant.start + min(LONGEST_HOLD, services.policy.emergency_review)
        notices.add(
            tx, grant.chart, "emergency", grant.id, grant.start, until if words.keep_back else 0
        )
    append(tx, services.log.filing_writer, [draft], services.now)
    about = services.log.tag(grant.chart)
    tx.run(inbox.ADD_ALARM, "break-glass", grant.organization, about, services.now())


async def _event(
    outcome: Outcome,
    grant: GrantRow,
    words: Words,
    caller: Caller,
    charts: Sequence[str],
    services: Services,
) -> Draft:
    details = {"grant": grant.id, "reason": grant.reason, "until": str(grant.end)}
    if grant.approver:
        details["second"] = grant.approver
    if words.keep_back:
        details["notice-kept-back"] = words.keep_back
    return await _draft(outcome, caller, charts, services, reason=words.words, details=details)


async def _draft(
    outcome: Outcome,
    caller: Caller,
    charts: Sequence[str],
    services: Services,
    **more: str | dict[str, str],
) -> Draft:
    at = services.now()
    body = Body(request=f"emergency.{at}", **more).asked_by(caller)  # type: ignore[arg-type]
    return await services.log.draft(Kind.BREAK_GLASS, outcome, caller, at, body, charts)


# Holding it


async def standing(chart: str, caller: Caller, services: Services) -> Granted | None:
    """The caller's live emergency access to the person of a chart; None when there is none."""
    known = await rows.grounds(services.db, chart, caller.organization)
    charts = tuple(row.id for row in known.charts) or (nobody(chart, services),)
    found = await held(charts, caller, services, services.now())
    return Granted(found.id, chart, found.end) if found is not None else None


async def end(id: str, caller: Caller, services: Services) -> None:
    """Give an emergency access back before its time; nobody else's is ended, and once is enough."""
    found = await services.db.read(emergencies.ONE, id)
    grant = GrantRow(*found[0]) if found else None
    mine = grant is not None and (grant.login, grant.organization) == (
        accounts.tidy(caller.user),
        caller.organization,
    )
    if grant is None or not mine:
        raise Problem(Trouble.UNKNOWN, "No such emergency access.")
    draft = await _draft(
        Outcome.PERMIT, caller, (grant.chart,), services, details={"grant": id, "act": "ended"}
    )
    await services.db.do(_end, id, draft, services)


def _end(tx: Tx, id: str, draft: Draft, services: Services) -> None:
    if casework.end_grant(tx, id, services.now()):
        append(tx, services.log.filing_writer, [draft], services.now)


async def claimed(name: str, caller: Caller, services: Services) -> None:
    """A request claimed an emergency by a header or parameter of that name, which counts for nothing.

    A `refused` event each time; an alarm for the client's organisation while none stands.
    """
    at = services.now()
    body = Body(request=f"claimed.{at}", details={"claimed": name}).asked_by(caller)
    draft = await services.log.draft(Kind.REFUSED, Outcome.DENY, caller, at, body)
    await services.db.do(_claimed, draft, caller, services)


def _claimed(tx: Tx, draft: Draft, caller: Caller, services: Services) -> None:
    append(tx, services.log.filing_writer, [draft], services.now)
    if tx.one(inbox.ALARM_STANDS, "emergency-claimed", caller.client) is None:
        at = services.now()
        tx.run(inbox.ADD_ALARM, "emergency-claimed", caller.organization, caller.client, at)
