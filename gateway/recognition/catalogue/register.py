"""Who belongs where and whose results count, as steps that are added and never changed.

An entitlement or membership is called by the number of the step that began it. Later steps paint over
its time: suspended from the 1st to the 5th makes three stretches of it. So results of the days of a
recall do not count, those before and after do, and what was known at step n can be told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from hashlib import sha256

import msgspec

from gateway.recognition.catalogue import FOREVER, Catalogue, Entitlement, Member, Span


class Act(StrEnum):
    """What a step does."""

    GRANTED = "granted"
    SUSPENDED = "suspended"
    RESTORED = "restored"
    REVOKED = "revoked"
    JOINED = "joined"
    LEFT = "left"


STATUS = {
    Act.GRANTED: "active",
    Act.SUSPENDED: "suspended",
    Act.RESTORED: "active",
    Act.REVOKED: "revoked",
}


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step says. `start` and `end` are µs UTC: for which time it holds.

    `decided_by` and `decided_at` are whose decision it was where others decided than who entered it.
    """

    start: int
    end: int = FOREVER
    scope: str = ""
    item: str = ""
    group: str = ""
    basis: str = ""
    evidence: str = ""
    decided_by: str = ""
    decided_at: int = 0


class Step(msgspec.Struct, frozen=True):
    """One step; `entitlement` is the number of the step that began what it is about."""

    number: int
    entitlement: int
    act: Act
    organization: str
    terms: Terms
    reason: str
    by: str
    at: int

    def hash(self) -> bytes:
        """What the step's signature covers."""
        return sha256(msgspec.json.encode(self, order="deterministic")).digest()


class State(msgspec.Struct, frozen=True):
    """The register as some step left it."""

    members: tuple[Member, ...]
    entitlements: tuple[Entitlement, ...]


def state(steps: Iterable[Step]) -> State:
    """What the steps come to, in the order of their numbers."""
    lines: dict[int, list[Step]] = {}
    for step in steps:
        lines.setdefault(step.entitlement, []).append(step)
    members: list[Member] = []
    entitlements: list[Entitlement] = []
    for line in lines.values():
        if line[0].act is Act.JOINED:
            members += _members(line)
        else:
            entitlements += _entitlements(line)
    return State(tuple(members), tuple(entitlements))


def _entitlements(line: list[Step]) -> Iterator[Entitlement]:
    first = line[0]
    painted: list[tuple[Span, Step]] = [(Span(first.terms.start, first.terms.end), first)]
    for step in line[1:]:
        over = Span(max(step.terms.start, first.terms.start), min(step.terms.end, first.terms.end))
        if over.start < over.end:
            painted = [rest for one in painted for rest in _without(one, over)] + [(over, step)]
    for span, step in sorted(painted, key=lambda one: one[0].start):
        terms = step.terms
        yield Entitlement(
            organization=first.organization,
            item=first.terms.item,
            group=first.terms.group,
            scope=first.terms.scope,
            valid=span,
            status=STATUS[step.act],
            basis=first.terms.basis,
            evidence=terms.evidence or first.terms.evidence,
            decided_by=terms.decided_by or step.by,
            decided_at=terms.decided_at or step.at,
            number=first.number,
        )


def _without(one: tuple[Span, Step], over: Span) -> Iterator[tuple[Span, Step]]:
    span, step = one
    for rest in (
        Span(span.start, min(span.end, over.start)),
        Span(max(span.start, over.end), span.end),
    ):
        if rest.start < rest.end:
            yield rest, step


def _members(line: list[Step]) -> Iterator[Member]:
    first = line[0]
    end = min((step.terms.start for step in line[1:]), default=FOREVER)
    span = Span(first.terms.start, min(first.terms.end, end))
    if span.start < span.end:
        yield Member(first.organization, first.terms.scope, span, first.number)


def founding(catalogue: Catalogue, by: str, at: int, reason: str) -> list[Step]:
    """The steps that bring a new register to what a county's files say."""
    steps: list[Step] = []

    def add(act: Act, organization: str, terms: Terms, begins: int = 0) -> int:
        number = len(steps) + 1
        steps.append(Step(number, begins or number, act, organization, terms, reason, by, at))
        return number

    for member in catalogue.members:
        terms = Terms(member.valid.start, member.valid.end, scope=member.scope)
        add(Act.JOINED, member.organization, terms)
    for one in catalogue.entitled:
        granted = Terms(
            one.valid.start, one.valid.end, one.scope, one.item, one.group, one.basis,
            one.evidence, one.decided_by, one.decided_at,
        )  # fmt: skip
        number = add(Act.GRANTED, one.organization, granted)
        if one.status != "active":
            lost = Act.SUSPENDED if one.status == "suspended" else Act.REVOKED
            terms = Terms(
                one.valid.start, one.valid.end, evidence=one.evidence, decided_by=one.decided_by,
                decided_at=one.decided_at,
            )  # fmt: skip
            add(lost, one.organization, terms, number)
    return steps
