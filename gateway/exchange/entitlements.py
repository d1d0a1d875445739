"""The register of who belongs where and whose results count: granted, suspended, restored, revoked.

One named person of the health commission decides, with a reason, and it acts at once on every process.
Nothing is ever changed: a step is added, signed and chained to the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.chain import Entry
from gateway.errors import Kind, Problem
from gateway.exchange.catalogues import commission
from gateway.exchange.changing import noted, said
from gateway.recognition.catalogue import FOREVER, Entitlement, Member, Span
from gateway.recognition.catalogue.register import Act, Step, Terms
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.catalogues import ABOUT, add_steps
from gateway.services.log import Draft, append
from gateway.store import catalogues as rows
from gateway.store.engine import Tx

FOLLOWS = {
    Act.SUSPENDED: Act.GRANTED,
    Act.RESTORED: Act.GRANTED,
    Act.REVOKED: Act.GRANTED,
    Act.LEFT: Act.JOINED,
}
"""Which kind of beginning a later step is about."""


async def steps(services: Services) -> tuple[Step, ...]:
    """All steps, oldest first."""
    await services.catalogues.current()
    return services.catalogues.register_held.steps


async def line_of(number: int, services: Services) -> tuple[Step, ...]:
    """What happened to the entitlement or membership of that number; Problem UNKNOWN without one."""
    found = tuple(one for one in await steps(services) if one.entitlement == number)
    if not found:
        raise Problem(Kind.UNKNOWN, "There is no entitlement of that number.", "number")
    return found


def standing(line: tuple[Step, ...], services: Services) -> str:
    """How it stands today: active, suspended, revoked, member, over or coming."""
    held, now = services.catalogue, services.now()
    number = line[0].number
    if line[0].act is Act.JOINED:
        stretches = [(one.valid, "member") for one in held.members if one.number == number]
    else:
        stretches = [(one.valid, one.status) for one in held.entitled if one.number == number]
    for span, status in stretches:
        if span.covers(now):
            return status
    if any(span.start > now for span, _ in stretches):
        return "coming"
    return "over"


async def grant(
    organization: str, terms: Terms, reason: str, by: Caller, services: Services
) -> int:
    """Entitle an organisation's results in an item or a group, in a scope; its number.

    Problem UNPROCESSABLE for an organisation, item, group or scope nobody knows, or a time that ends
    before it begins; REQUIRED without basis, evidence or reason; CONFLICT when it stands already.
    """
    await services.catalogues.current()
    _grantable(organization, terms, services)
    return await _add(Act.GRANTED, 0, organization, terms, reason, by, services)


async def join(organization: str, terms: Terms, reason: str, by: Caller, services: Services) -> int:
    """Put an organisation into a scope; the number of the membership. Problems as `grant`."""
    await services.catalogues.current()
    _joinable(organization, terms, services)
    return await _add(Act.JOINED, 0, organization, terms, reason, by, services)


async def add_all(
    found: Sequence[tuple[str, Terms]], reason: str, by: Caller, services: Services
) -> tuple[int, ...]:
    """Entitle and let join, each a step of its own, all in one transaction or none; their numbers.

    Terms without item and group are memberships. Problems as `grant` and `join`; that two of them do
    not overlap is for the caller to see to.
    """
    await services.catalogues.current()
    beginnings = []
    for organization, terms in found:
        granted = bool(terms.item or terms.group)
        (_grantable if granted else _joinable)(organization, terms, services)
        beginnings.append((Act.GRANTED if granted else Act.JOINED, 0, organization, terms))
    return await _add_all(beginnings, reason, by, services)


def _grantable(organization: str, terms: Terms, services: Services) -> None:
    held = services.catalogue
    _place(organization, terms, services)
    if bool(terms.item) == bool(terms.group):
        raise Problem(Kind.UNPROCESSABLE, "Either an item or a group of items.", "item")
    if terms.item and terms.item not in {item.code for item in held.items}:
        raise Problem(Kind.UNPROCESSABLE, "There is no item of that code.", "item")
    if terms.group and all(terms.group not in item.groups for item in held.items):
        raise Problem(Kind.UNPROCESSABLE, "There is no group of that name.", "group")
    said(terms.basis, "basis")
    said(terms.evidence, "evidence")
    for one in held.entitled:
        same = (one.organization, one.item, one.group, one.scope) == (
            organization, terms.item, terms.group, terms.scope,
        )  # fmt: skip
        if same and one.status != "revoked" and _overlap(one, terms):
            raise Problem(Kind.CONFLICT, f"It stands already: number {one.number}.", "item")


def _joinable(organization: str, terms: Terms, services: Services) -> None:
    _place(organization, terms, services)
    for one in services.catalogue.members:
        if (one.organization, one.scope) == (organization, terms.scope) and _overlap(one, terms):
            raise Problem(Kind.CONFLICT, f"It stands already: number {one.number}.", "scope")


async def act(
    what: Act,
    number: int,
    reason: str,
    by: Caller,
    services: Services,
    *,
    start: int = 0,
    end: int = FOREVER,
    evidence: str = "",
) -> int:
    """Suspend, restore or revoke an entitlement, or end a membership; the number of the step.

    It holds from `start` (0 is now) until `end`, both may lie in the past: a recall of results of
    some days. Problem CONFLICT when it does not fit what stands: a revoked entitlement is granted
    anew, never restored.
    """
    line = await line_of(number, services)
    if FOLLOWS.get(what) is not line[0].act:
        raise Problem(Kind.CONFLICT, "That is not done to it.", "number")
    if any(step.act in (Act.REVOKED, Act.LEFT) for step in line):
        raise Problem(Kind.CONFLICT, "It has ended; begin it anew.", "number")
    if what is Act.RESTORED and all(step.act is not Act.SUSPENDED for step in line):
        raise Problem(Kind.CONFLICT, "It is not suspended.", "number")
    terms = Terms(start or services.now(), end, evidence=evidence.strip())
    if terms.end <= terms.start:
        raise Problem(Kind.UNPROCESSABLE, "It ends before it begins.", "end")
    return await _add(what, number, line[0].organization, terms, reason, by, services)


def _place(organization: str, terms: Terms, services: Services) -> None:
    known = {one.id for one in services.register}
    if not organization or (known and organization not in known):
        raise Problem(
            Kind.UNPROCESSABLE, "The organisation is not in the register.", "organization"
        )
    if terms.scope not in services.catalogue.scopes:
        raise Problem(Kind.UNPROCESSABLE, "There is no scope of that code.", "scope")
    if terms.end <= terms.start:
        raise Problem(Kind.UNPROCESSABLE, "It ends before it begins.", "end")


def _overlap(one: Entitlement | Member, terms: Terms) -> bool:
    span = Span(max(one.valid.start, terms.start), min(one.valid.end, terms.end))
    return span.start < span.end


async def _add(
    what: Act,
    begins: int,
    organization: str,
    terms: Terms,
    reason: str,
    by: Caller,
    services: Services,
) -> int:
    [number] = await _add_all([(what, begins, organization, terms)], reason, by, services)
    return number


async def _add_all(
    beginnings: Sequence[tuple[Act, int, str, Terms]], reason: str, by: Caller, services: Services
) -> tuple[int, ...]:
    """Sign and add steps (act, number of what it is about or 0, organisation, terms) in one transaction."""
    commission(by)
    if not beginnings:
        return ()
    reason = said(reason, "reason")
    before = services.catalogues.register_held.entries
    at = services.now()
    steps = [
        Step(number, begins or number, what, organization, terms, reason, by.user, at)
        for number, (what, begins, organization, terms) in enumerate(beginnings, len(before) + 1)
    ]
    events = [
        await noted(
            "register", one.act.value, by, services,
            step=str(one.number), entitlement=str(one.entitlement), organization=one.organization,
            reason=reason,
        )
        for one in steps
    ]  # fmt: skip
    last = before[-1] if before else None
    note = await services.db.do(_steps, steps, last, events, services)
    await services.catalogues.keep_head(steps[-1].number, note)
    await services.catalogues.current()
    return tuple(one.number for one in steps)


def _steps(
    tx: Tx, steps: Sequence[Step], before: Entry | None, events: Sequence[Draft], services: Services
) -> bytes:
    tx.run(rows.HOLD, ABOUT)
    if tx.all(rows.STAMP)[0][1] != steps[0].number - 1:
        raise Problem(Kind.CONFLICT, "Somebody else changed the register just now; look again.")
    notes = [note for _, note in services.catalogues.entries(steps, before)]
    append(tx, services.log.filing_writer, events, services.now)
    add_steps(tx, steps, notes)
    return notes[-1]
