"""Who may act for a resident: guardians, a court's guardian, whom an adult has charged, heirs.

Recorded at the desk with a document, by nobody else: who acts for somebody can neither pass the
right on nor widen it. It rests at once when a court or a privacy officer stops it, and ends by
computation when a child comes of age or the person dies (`consent.delegation`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

import msgspec

from consent.ages import perhaps, surely
from consent.model import DelegationKind, PatientContext
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import acting, desk
from gateway.exchange.acting import Terms
from gateway.exchange.authority import runs
from gateway.exchange.person import ALL_TIERS, context_of, manifests
from gateway.identity.systems import RESIDENT_ID
from gateway.records import facts as facts_
from gateway.records.facts import Facts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import own
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, Tier

Ground = Literal["guardian", "court", "mandate", "heir"]
Relation = Literal["parent", "guardian", "spouse", "child", "other"]
DOCUMENTS: dict[str, tuple[str, ...]] = {
    "guardian": ("birth-certificate", "household-register", "guardianship"),
    "court": ("court-ruling",),
    "mandate": ("signed-mandate",),
    "heir": ("kinship",),
}
"""What proves each ground."""
TIERS = frozenset({"basic", "general", "restricted"})
"""What an heir's right may name beside protected categories."""
_DESK = frozenset({"registrar", "operator"})
_STOPPERS = frozenset({"registrar", "privacy", "operator"})


@dataclass(frozen=True, slots=True)
class Given:
    """What the desk takes down. `login` is the own account of who will act; days are the county's,
    `until` included. Only a mandate and an heir's right have a scope: `restricted` opens protected
    categories at all, `categories` only these."""

    ground: Ground
    login: str
    relation: Relation
    document: str
    witness: str
    scan: bytes
    until: date | None = None
    restricted: bool = False
    categories: tuple[str, ...] = ()
    name: str = ""  # of whom it is about, where no hospital has sent them yet


@dataclass(frozen=True, slots=True)
class Held:
    """A right to act as people see it. `person` is a chart of whom it is about; times are µs UTC."""

    chart: str
    id: str
    ground: Ground
    login: str
    actor: str  # what who acts is called
    person: str  # what whom it is about is called
    terms: Terms
    state: Literal["running", "stopped", "ended", "waiting"]
    at: int
    recorded_by: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A person's charts and what they say."""

    charts: tuple[rows.ChartRow, ...]
    name: str
    context: PatientContext

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(row.id for row in self.charts)


async def record(number: str, given: Given, caller: Caller, services: Services) -> str:
    """Record who may act for the person with this number; the id of the right.

    Problem UNPROCESSABLE names what does not fit: a document that proves something else, a child's
    guardian for an adult, a mandate of a child, somebody acting for themselves, a scope that is
    not to be given; CONFLICT when the same right stands.
    """
    if caller.role not in _DESK:
        raise Problem(Trouble.REFUSED, "Who may act is recorded at the registration desk.")
    at = services.now()
    charts, facts = await desk.known(RESIDENT_ID, number, services)
    chart = await desk.county_chart(charts, facts, given.name, caller, services)
    person = await _known(chart, services)
    actor = await _actor(given.login, services)
    _fits(given, person, actor, at, services)
    if await _held(person, actor, services):
        raise Problem(Trouble.CONFLICT, "This person acts for them already.")
    if given.ground == "mandate" and any(
        one.kind is DelegationKind.COURT and runs(one, person.context, at, services.policy)
        for one in (await acting.standing(person.ids, services)).delegations
    ):
        raise Problem(Trouble.UNPROCESSABLE, "A court has given them a guardian.", "ground")
    terms = Terms(
        start=at - at % 1_000_000,  # consents are dated to the second
        end=_end_of(given.until, services),
        restricted=given.restricted,
        categories=tuple(sorted(given.categories)),
        relation=given.relation,
        document=given.document,
        evidence=services.vault.digest("evidence", hashlib.sha256(given.scan).digest()).hex(),
        reviewed=at if given.ground == "court" else None,
        witness=given.witness.strip(),
    )
    county = desk.controller(services)
    id = services.ids(county)("mandate", "Mandate", (chart, given.login, given.ground, str(at)))
    row = own.MandateRow(
        chart=chart,
        id=id,
        login=given.login,
        kind=given.ground,
        sealed=acting.seal_terms(chart, id, given.login, given.ground, terms, services),
        suspended=0,
        recorded_by=caller.user or caller.client,
        at=at,
        ended=0,
    )
    await _put(row, "recorded", terms, caller, services)
    return id


async def stop(chart: str, id: str, why: str, caller: Caller, services: Services) -> None:
    """A court or child protection has stopped it, by the document `why` names: from this moment on
    it opens nothing. Also by a privacy officer. Stopped again it stays as it was stopped."""
    if caller.role not in _STOPPERS:
        raise Problem(Trouble.REFUSED, "The desk and the privacy officer stop a right.")
    if not why.strip():
        raise Problem(Trouble.UNPROCESSABLE, "Name the document.", "why")
    row, terms = await _standing(chart, id, services)
    if acting.stopped(row, terms):
        return
    at = services.now()
    terms = msgspec.structs.replace(
        terms, stopped_by=caller.user or caller.client, stopped_at=at, stopped_why=why.strip()
    )
    sealed = acting.seal_terms(chart, id, row.login, row.kind, terms, services)
    await _put(row._replace(suspended=1, sealed=sealed), "stopped", terms, caller, services)


async def resume(chart: str, id: str, why: str, caller: Caller, services: Services) -> None:
    """What stopped it was lifted, by the document `why` names; by the desk only."""
    if caller.role not in _DESK:
        raise Problem(Trouble.REFUSED, "A stopped right is given back at the desk.")
    if not why.strip():
        raise Problem(Trouble.UNPROCESSABLE, "Name the document.", "why")
    row, terms = await _standing(chart, id, services)
    if not acting.stopped(row, terms):
        return
    terms = msgspec.structs.replace(terms, stopped_at=0, stopped_why=why.strip())
    sealed = acting.seal_terms(chart, id, row.login, row.kind, terms, services)
    await _put(row._replace(suspended=0, sealed=sealed), "resumed", terms, caller, services)


async def review(chart: str, id: str, caller: Caller, services: Services) -> None:
    """A court's document was looked at again and still holds; by the desk only."""
    if caller.role not in _DESK:
        raise Problem(Trouble.REFUSED, "A court's document is looked at again at the desk.")
    row, terms = await _standing(chart, id, services)
    if row.kind != DelegationKind.COURT:
        raise Problem(Trouble.UNPROCESSABLE, "Only a court's guardian is reviewed.", "ground")
    terms = msgspec.structs.replace(terms, reviewed=services.now())
    sealed = acting.seal_terms(chart, id, row.login, row.kind, terms, services)
    await _put(row._replace(sealed=sealed), "reviewed", terms, caller, services)


async def end(chart: str, id: str, caller: Caller, services: Services) -> None:
    """It is over: by the desk, by who acts, or, for a mandate, by the person who gave it."""
    row, terms = await _standing(chart, id, services)
    person = (await rows.grounds(services.db, chart, "")).charts
    selves = (await acting.standing([one.id for one in person], services)).selves
    mine = caller.role == "patient" and (
        caller.user == row.login or (row.kind == "mandate" and caller.user in selves)
    )
    if caller.role not in _DESK and not mine:
        raise Problem(Trouble.UNKNOWN, "There is no such right.")
    at = services.now()
    terms = msgspec.structs.replace(terms, end=min(at, at if terms.end is None else terms.end))
    sealed = acting.seal_terms(chart, id, row.login, row.kind, terms, services)
    await _put(row._replace(ended=at, sealed=sealed), "ended", terms, caller, services)


async def of_person(chart: str, services: Services) -> tuple[Held, ...]:
    """Who acts or acted for the person of `chart`, oldest first."""
    person = await _known(chart, services)
    found = await services.db.read(own.MANDATES_ON, list(person.ids))
    return await _told((own.MandateRow(*row) for row in found), services)


async def of_actor(login: str, services: Services) -> tuple[Held, ...]:
    """For whom an account acts or acted and was not ended, oldest first."""
    found = await services.db.read(own.MANDATES_OF, login)
    return await _told((own.MandateRow(*row) for row in found), services)


# What fits


def _fits(given: Given, person: _Known, actor: _Known, at: int, services: Services) -> None:
    """Problem UNPROCESSABLE unless this right may be given to this account."""

    def refuse(says: str, place: str) -> None:
        raise Problem(Trouble.UNPROCESSABLE, says, place)

    policy, today = services.policy, services.policy.day(at)
    if given.ground not in get_args(Ground):
        refuse("There is no such ground.", "ground")
    if given.document not in DOCUMENTS[given.ground]:
        refuse("This document proves something else.", "document")
    if not given.scan:
        refuse("The document is scanned.", "scan")
    if not given.witness.strip():
        refuse("A second person has seen the document.", "witness")
    if set(actor.ids) & set(person.ids):
        refuse("Nobody acts for themselves.", "login")
    if not surely(actor.context, policy.adult_age, at, policy):
        refuse("Who acts for somebody is an adult.", "login")
    if given.until is not None and given.until < today:
        refuse("The last day lies behind.", "until")
    named = set(given.categories)
    match given.ground:
        case "guardian" | "court" if given.categories:
            refuse("The law says what a guardian sees.", "categories")
        case "heir" if not named or named - policy.restricted - TIERS:
            refuse("An heir's right names what it opens.", "categories")
        case "mandate" if (named and not given.restricted) or named - policy.restricted:
            refuse("There is no such category.", "categories")
        case _:
            pass
    dead, adult = person.context.death is not None, policy.adult_age
    if dead != (given.ground == "heir"):
        refuse("An heir's right is for the dead, every other for the living.", "ground")
    if given.ground == "guardian":
        if perhaps(person.context, adult, at, policy):
            refuse("This person is an adult.", "ground")
    elif not dead and not surely(person.context, adult, at, policy):
        refuse("This person is not surely an adult.", "ground")


async def _actor(login: str, services: Services) -> _Known:
    row = await acting.own_account(login, services)
    if row is None:
        raise Problem(Trouble.UNPROCESSABLE, "Who acts needs an account of their own.", "login")
    return await _known(row.chart, services)


async def _held(person: _Known, actor: _Known, services: Services) -> bool:
    """Does somebody with the actor's charts act for the person already?"""
    for found in await services.db.read(own.MANDATES_ON, list(person.ids)):
        row = own.MandateRow(*found)
        if row.ended:
            continue
        account = await acting.own_account(row.login, services)
        if account is not None and account.chart in actor.ids:
            return True
    return False


def _end_of(until: date | None, services: Services) -> int | None:
    """The end of a county day."""
    return services.policy.midnight(date.fromordinal(until.toordinal() + 1)) if until else None


# Rows


async def _standing(chart: str, id: str, services: Services) -> tuple[own.MandateRow, Terms]:
    found = await services.db.read(own.MANDATE, chart, id)
    row = own.MandateRow(*found[0]) if found else None
    terms = acting.terms_of(row, services) if row is not None and not row.ended else None
    if row is None or terms is None:
        raise Problem(Trouble.UNKNOWN, "There is no such right.")
    return row, terms


async def _put(
    row: own.MandateRow, state: str, terms: Terms, caller: Caller, services: Services
) -> None:
    """The row, the epoch and the event in one transaction: the next request sees it."""
    at = services.now()
    details = {
        "mandate": row.id,
        "account": row.login,
        "ground": row.kind,
        "state": state,
        "document": terms.document,
        "evidence": terms.evidence,
    }
    if terms.restricted:
        details["restricted"] = " ".join(terms.categories) or "all"
    if state in {"stopped", "resumed"}:
        details["why"] = terms.stopped_why
    body = Body(request=f"mandate.{at}", details=details).asked_by(caller)
    draft = await services.log.draft(Kind.MANDATE, Outcome.PERMIT, caller, at, body, (row.chart,))
    await services.db.do(_write, row, draft, services)


def _write(tx: Tx, row: own.MandateRow, draft: Draft, services: Services) -> None:
    rows.take(tx, row.chart, 0, 1)
    tx.run(own.PUT_MANDATE, *row)
    append(tx, services.log.filing_writer, [draft], services.now)


async def _known(chart: str, services: Services) -> _Known:
    """The person of `chart` by their demographic facts; nothing clinical is opened."""
    charts = (await rows.grounds(services.db, chart, "")).charts
    wants = [ChartTier(row.id, Tier.GENERAL) for row in charts if row.facts]
    keys = await manifests(services, Grant("job", "mandate", ALL_TIERS), wants)
    told: list[Facts] = []
    for row in charts:
        key = keys.get(ChartTier(row.id, Tier.GENERAL))
        if row.facts and key is not None:
            told.append(facts_.unpack(key.open(row.facts, f"facts/{row.id}".encode())))
    name = next((one.name for one in told if one.name), "")
    return _Known(charts, name, context_of(charts, told))


async def _told(found: Iterable[own.MandateRow], services: Services) -> tuple[Held, ...]:
    at, told = services.now(), []
    for row in found:
        terms = acting.terms_of(row, services)
        if terms is None:
            continue
        person = await _known(row.chart, services)
        actor = await acting.own_account(row.login, services)
        one = acting.delegation(row, services)
        state: Literal["running", "stopped", "ended", "waiting"] = "ended"
        if acting.stopped(row, terms) and not row.ended:
            state = "stopped"
        elif actor is None and not row.ended:
            state = "waiting"
        elif one is not None and runs(one, person.context, at, services.policy):
            state = "running"
        told.append(
            Held(
                chart=row.chart,
                id=row.id,
                ground=row.kind,  # type: ignore[arg-type]
                login=row.login,
                actor=acting.identity_of(actor, services).name if actor else "",
                person=person.name,
                terms=terms,
                state=state,
                at=row.at,
                recorded_by=row.recorded_by,
            )
        )
    return tuple(told)
