"""Remembers what was asked of whom, and what came back: prompts, closed prompts, decisions.

A card has one name for the same questions to the same clinician, however often a HIS calls: it is kept
once, and so are the events of it. Who says nothing has not declined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec
import structlog

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import ledger
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.duplicates import Checked, Measured
from gateway.exchange.ledger import Asked, Visit
from gateway.exchange.revoking import repeal
from gateway.recognition.decisions import Choice, Declined
from gateway.recognition.ledger import Happened
from gateway.recognition.reasons import LocalReason
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft as Noted
from gateway.services.log import append
from gateway.store import cards as rows
from gateway.store.accounts import tidy
from gateway.store.engine import Tx
from gateway.vault import SealBroken

LIFE = 30 * 86_400_000_000  # how long feedback on a card is taken
_TABLE = "recognition_card"

log = structlog.get_logger(__name__)


class Target(msgspec.Struct, frozen=True):
    """One result a card asked about: its item, id and version tag, who issued it."""

    item: str
    result: str
    version: str
    issuer: str
    side: str = ""


class Kept(msgspec.Struct, frozen=True):
    """What is remembered of a card. `suggestions` are the items that each of them stands for."""

    service: str
    chart: str
    person: str
    encounter: str
    department: str
    patient_class: str
    hook: str
    order: str  # the sender's own names of the orders
    said: str  # the card's words
    targets: tuple[Target, ...]
    suggestions: dict[str, tuple[str, ...]]
    rules: dict[str, str]
    reports: tuple[str, ...] = ()  # ids of the reports that show the results
    number: str = ""  # the hospital's own of the visit


@dataclass(frozen=True, slots=True)
class Card:
    """A card about to be given."""

    id: str
    kept: Kept


def card_id(
    service: str, results: Iterable[Measured], checked: Checked, caller: Caller, services: Services
) -> str:
    """The name (a UUID) of the card that asks this clinician about these results in this visit."""
    about = sorted(
        f"{checked.question(one).id}/{one.opened.id}/{one.opened.version}" for one in results
    )
    parts = (service, caller.client, caller.organization, caller.user, *about)
    return uuid_of("recognition-card", "\n".join(parts), services)


def uuid_of(about: str, text: str, services: Services) -> str:
    """A UUID (version 8, RFC 9562) that only this county makes of the text."""
    digest = bytearray(services.vault.digest(about, text.encode())[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return "-".join(
        bytes(digest[a:b]).hex() for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 16))
    )


# Asking


async def tell(
    checked: Checked,
    told: Sequence[Measured],
    eligible: Sequence[Measured],
    cards: Sequence[Card],
    caller: Caller,
    services: Services,
) -> None:
    """Keep the cards and the events of what they tell, durably; what stands already stays.

    `eligible` met an order and `told` is shown of it: that is counted once for a question, result
    and clinician.
    """
    known = {row[0] for row in await services.db.read(rows.STANDING, [card.id for card in cards])}
    new = [card for card in cards if card.id not in known]
    if not new:
        return
    happened = [
        ledger.event(kind, checked.asked(one, caller), checked.at, services)
        for kind, results in ((Happened.ELIGIBLE, eligible), (Happened.PROMPT, told))
        for one in results
    ]
    events = ledger.prepared(happened, services, once=True)
    kept = []
    for card in new:
        row = rows.CardRow(
            card.id, caller.client, caller.organization, caller.user, checked.at,
            checked.at + LIFE, 0, b"", b"",
        )  # fmt: skip
        text = msgspec.json.encode(card.kept)
        kept.append(row._replace(sealed=services.vault.seal_field(_TABLE, _place(row), text)))
    await services.db.do(_tell, kept, events)


def _tell(tx: Tx, kept: Sequence[rows.CardRow], events: ledger.Prepared) -> None:
    tx.many(rows.ADD, kept)
    ledger.write(tx, events)


async def unanswered(chart: str, visit: Visit, caller: Caller, services: Services) -> None:
    """Count a question that took too long: nothing was said, whatever there is."""
    asked = Asked(caller, chart, "", "", "", {"catalogue": services.catalogue.version}, visit)
    event = ledger.event(Happened.UNANSWERED, asked, services.now(), services)
    await services.db.do(ledger.write, ledger.prepared([event], services))


# What came back


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a clinician did with a card. `accepted` are ids of suggestions, None when overridden."""

    card: str
    accepted: tuple[str, ...] | None
    reason: Declined | None = None
    words: str = ""
    local: LocalReason | None = None  # the hospital's own word for the reason


class Taken(StrEnum):
    """What became of a feedback."""

    RECORDED = "recorded"
    UNKNOWN = "unknown"  # no such card, or not this caller's: one answer for all
    OTHERWISE = "otherwise"  # it was answered differently before


async def standing(card: str, caller: Caller, services: Services) -> Kept:
    """What is remembered of a card that this very caller was given; Problem UNKNOWN otherwise."""
    row = await _row(card, services)
    if row is None or not _given_to(row, caller):
        raise Problem(Trouble.UNKNOWN, "There is no such card.")
    return _kept(row, services)


async def shown_to(card: str, caller: Caller, services: Services) -> Kept:
    """What is remembered of a card that was given for the doctor who asks now, by whatever system;
    Problem UNKNOWN otherwise."""
    row = await _row(card, services)
    whose = (caller.organization, tidy(caller.user))
    if row is None or (row.organization, tidy(row.login)) != whose:
        raise Problem(Trouble.UNKNOWN, "There is no such card.")
    return _kept(row, services)


async def _row(card: str, services: Services) -> rows.CardRow | None:
    """The card of that name while feedback on it is taken."""
    found = await services.db.read(rows.STANDING, [card])
    row = rows.CardRow(*found[0]) if found else None
    return row if row is not None and row.ends >= services.now() else None


def _given_to(row: rows.CardRow, caller: Caller) -> bool:
    return (row.client, row.organization, row.login) == (
        caller.client,
        caller.organization,
        caller.user,
    )


async def decide(
    card: str,
    pins: Sequence[tuple[str, str]],
    verdict: Verdict,
    caller: Caller,
    services: Services,
) -> None:
    """The verdict on some results of a card, in the visit it was given in; as `decide_results`.

    Problem UNKNOWN for a card or a result that is not the doctor's.
    """
    kept = await shown_to(card, caller, services)
    targets = [one for one in kept.targets if (one.result, one.version) in set(pins)]
    if len(targets) != len(set(pins)):
        raise Problem(Trouble.UNKNOWN, "There is no such card.")
    await _decide(kept, targets, verdict, caller, services)


async def answer(service: str, said: Feedback, caller: Caller, services: Services) -> Taken:
    """Record one feedback: a decision, a decline with its reason, or that a card was closed.

    Told again it changes nothing. Problem as in `decide_results`, and MALFORMED for a suggestion that
    is not of the card.
    """
    row = await _row(said.card, services)
    if row is None or not _given_to(row, caller):
        return Taken.UNKNOWN
    kept = _kept(row, services)
    if kept.service != service:
        return Taken.UNKNOWN
    content = _content(said, services)
    if row.answered or not await services.db.do(_claimed, row.id, content):
        standing = rows.CardRow(*(await services.db.read(rows.STANDING, [row.id]))[0])
        return Taken.RECORDED if standing.answer == content else Taken.OTHERWISE
    try:
        if said.accepted is not None:
            await _accept(said.accepted, kept, caller, services)
        elif said.reason is not None:
            verdict = Verdict(Choice.DECLINE, said.reason, said.words, local=said.local)
            await _decide(kept, kept.targets, verdict, caller, services)
        else:
            await _dismiss(row.id, kept, said.words, caller, services)
    except Problem:
        await services.db.do(_released, row.id, content)
        raise
    await services.db.do(_answered, row.id, services.now(), content)
    return Taken.RECORDED


def _kept(row: rows.CardRow, services: Services) -> Kept:
    """Problem UNKNOWN for a row that says another doctor, system or time than the card was given for."""
    try:
        text = services.vault.open_field(_TABLE, _place(row), row.sealed)
    except SealBroken:
        log.error("card altered", card=row.id)
        raise Problem(Trouble.UNKNOWN, "There is no such card.") from None
    return msgspec.json.decode(text, type=Kept)


def _place(row: rows.CardRow) -> str:
    return "\n".join((row.id, row.client, row.organization, row.login, str(row.ends)))


def _content(said: Feedback, services: Services) -> bytes:
    accepted = None if said.accepted is None else sorted(said.accepted)
    text = msgspec.json.encode((accepted, said.reason, said.words, said.local))
    return services.vault.digest("card-answer", text)[:16]


def _claimed(tx: Tx, id: str, content: bytes) -> bool:
    """Of different answers at once one goes on; of one that was cut off, the same again."""
    return tx.one(rows.CLAIM, id, content) is not None


def _released(tx: Tx, id: str, content: bytes) -> None:
    tx.run(rows.RELEASE, id, content)


def _answered(tx: Tx, id: str, at: int, content: bytes) -> None:
    tx.run(rows.ANSWER, id, at, content)


async def _accept(
    suggestions: Sequence[str], kept: Kept, caller: Caller, services: Services
) -> None:
    if not set(suggestions) <= set(kept.suggestions):
        raise Problem(Trouble.MALFORMED, "Not a suggestion of this card.", "acceptedSuggestions")
    items = {item for one in suggestions for item in kept.suggestions[one]}
    targets = [target for target in kept.targets if target.item in items]
    await _decide(kept, targets, Verdict(Choice.ACCEPT), caller, services)


async def _decide(
    kept: Kept, targets: Sequence[Target], verdict: Verdict, caller: Caller, services: Services
) -> None:
    """One decision a result; what was decided so in an earlier visit is told of this one too."""
    if not targets:
        return
    pins = [(one.result, one.version) for one in targets]
    made = await decide_results(kept.chart, pins, verdict, caller, services, _visit(kept))
    at = services.now()
    standing = {one.target: one.task for one in made if not one.new}
    happened = [
        ledger.event(
            Happened.DECISION,
            _asked(kept, one, caller),
            at,
            services,
            choice=verdict.choice.value,
            reason=verdict.code,
            task=standing[one.result],
        )
        for one in targets
        if one.result in standing
    ]
    known = await ledger.of_questions([one.question for one in happened], services)
    told = {one.question for one in known if one.kind is Happened.DECISION}
    fresh = [one for one in happened if one.question not in told]
    if fresh:
        await services.db.do(ledger.write, ledger.prepared(fresh, services, once=True))


def _asked(kept: Kept, one: Target, caller: Caller) -> Asked:
    return Asked(
        caller, kept.person, one.result, one.issuer, one.item, kept.rules, _visit(kept),
        side=one.side,
    )  # fmt: skip


def _visit(kept: Kept) -> Visit:
    return Visit(
        kept.encounter, kept.department, kept.patient_class, kept.hook, kept.order, kept.said,
        kept.number,
    )  # fmt: skip


async def _dismiss(card: str, kept: Kept, words: str, caller: Caller, services: Services) -> None:
    """A prompt closed without a reason is no decision; that it was closed is noted."""
    at = services.now()
    body = Body(
        request=f"recognition.{at}",
        policies=dict(kept.rules),
        note=words,
        details={"card": card, "service": kept.service},
    ).asked_by(caller)
    draft = await services.log.draft(
        Kind.RECOGNITION_FEEDBACK, Outcome.PERMIT, caller, at, body, (kept.chart,)
    )
    happened = [
        ledger.event(Happened.DISMISSED, _asked(kept, one, caller), at, services)
        for one in kept.targets
    ]
    events = ledger.prepared(happened, services, once=True)
    await services.db.do(_note, draft, events, services)


def _note(tx: Tx, draft: Noted, events: ledger.Prepared, services: Services) -> None:
    ledger.add(tx, events)
    append(tx, services.log.filing_writer, [draft], services.now)


# What became of it


async def signed_after_all(
    checked: Checked, orders: Mapping[str, str], caller: Caller, services: Services
) -> None:
    """End the decisions that do not stand, because the order they spared is being signed.

    `orders` names the sender's order by the question that its signing answers. One that may not be
    seen any more, or that somebody else changes now, stays: signing waits for nothing.
    """
    for question in checked.questions.values():
        order = orders.get(question.id)
        if order is not None and question.accepted:
            visit = replace(checked.visit, order=order)
            try:
                await repeal(question.task, caller, services, visit)
            except Problem as problem:
                if problem.kind not in (Trouble.UNKNOWN, Trouble.CONFLICT):
                    raise


async def forget(services: Services) -> None:
    """Let go of cards whose time is over; their events and decisions stay."""
    await services.db.do(_forget, services.now())


def _forget(tx: Tx, now: int) -> None:
    tx.run(rows.END, now)
