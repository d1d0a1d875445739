"""One decision with the whole way to it, for an officer: each step tried, and what each consent said.

It takes the decision apart by asking its own public pieces again (`gates`, `eligible`, `said`): what
one element of a provision matches is found by asking about a provision that has only that element.
`Trace.concluded` is put together from these answers, so that a trace which does not explain the
decision shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from msgspec.structs import replace

from consent.decide import gates, live_relationships, ruling
from consent.model import (
    AccessRequest,
    Decision,
    Directive,
    Facets,
    PatientContext,
    PermitEmergency,
    Provision,
    Reason,
    Relationship,
)
from consent.policy import PolicySet
from consent.provisions import MAYBE, NO, YES, Asked, Node, Record, eligible, said

_ELEMENTS = {
    "period": ("start", "end"),
    "actors": ("actors",),
    "actions": ("actions",),
    "purposes": ("purposes",),
    "labels": ("confidentiality", "sensitivities"),
    "classes": ("classes",),
    "codes": ("codes",),
    "dates": ("data_start", "data_end"),
    "data": ("data",),
}
# Answers that follow from what the consents say; every other reason is of an earlier step.
_BY_CONSENTS = frozenset(
    {
        *(Reason.DIRECTIVE, Reason.DEFAULT, Reason.PRESENCE, Reason.RESTRICTED_OPT_IN),
        *(Reason.SEALED_NAMED_ONLY, Reason.BREAK_GLASS_DEFAULT, Reason.BREAK_GLASS_DIRECTIVE),
    }
)


class State(StrEnum):
    """What became of a consent in this decision."""

    WITHDRAWN = "withdrawn"
    OTHER_PATIENT = "other-patient"
    OTHER_SOURCE = "other-source"  # binds only the data of its own controller
    NOT_NOW = "not-now"  # nothing in it can matter to this request
    UNREADABLE = "unreadable"  # refuses all it could cover
    SILENT = "silent"  # considered; says nothing about this record
    PERMITS = "permits"
    REFUSES = "refuses"
    TAKEN_BACK = "taken-back"  # refuses, but a later permit takes that back
    DOUBTED = "doubted"  # would permit, had its folder's number not been corrected since


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a provision as written, and whether it matches: NO, MAYBE or YES."""

    name: str
    match: int


@dataclass(frozen=True, slots=True)
class Matched:
    """One provision of a consent: how deep it is nested, and each element it states."""

    depth: int
    permit: bool
    elements: tuple[Element, ...]

    @property
    def match(self) -> int:
        """The least certain of its elements; YES when it states none."""
        return min((one.match for one in self.elements), default=YES)


@dataclass(frozen=True, slots=True)
class Considered:
    """One consent: what became of it, its provisions, and who took its refusal back."""

    directive: Directive
    state: State
    provisions: tuple[Matched, ...] = ()
    taken_back_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """The way to one decision. `relationships` are those on file and whether each counts now.

    `rules` and `concluded` are what the pieces add up to; they agree with the decision, or the trace
    is wrong.
    """

    decision: Decision
    gate: Decision | None
    relationships: tuple[tuple[Relationship, bool], ...]
    consents: tuple[Considered, ...]
    concluded: str

    @property
    def whole(self) -> bool:
        """Whether the pieces add up to the decision."""
        return self.concluded == _name(self.decision)


def trace(
    request: AccessRequest,
    patient: PatientContext,
    directives: Iterable[Directive],
    facets: Facets,
    policy: PolicySet,
) -> Trace:
    """The decision of `consent.decide.decide` on the same arguments, with the way to it."""
    on_file = tuple(directives)
    ruled = ruling(request, patient, on_file, policy)
    decision = ruled.decide(facets)
    live = live_relationships(request, policy) if len(request.purposes) == 1 else ()
    relationships = tuple((one, one in live) for one in request.relationships)
    gate = gates(request, patient, policy)
    if gate is not None:
        return Trace(decision, gate, relationships, (), _name(gate))
    labels = ruled.labelling(facets.kind.confidentiality, facets.kind.sensitivities)
    record = Record(facets, labels, max(facets.kind.tier, labels.tier))
    consents = _considered(ruled.asked, on_file, record)
    return Trace(decision, None, relationships, consents, _concluded(decision, consents))


def _considered(
    asked: Asked, directives: Sequence[Directive], record: Record
) -> tuple[Considered, ...]:
    """What each consent says alone, then what is left of the refusals when all are heard."""
    nodes: dict[int, Node] = {}
    states: dict[int, State] = {}
    for number, one in enumerate(directives):
        state = _out_of_play(asked, one, record) or _doubted(asked, one, record)
        node = eligible(asked, one) if state is None else None
        if state is not None or node is None:
            states[number] = state or State.NOT_NOW
        else:
            nodes[number] = node
    standing = {id(node) for node in said(asked, nodes.values(), record).denies}
    found = []
    for number, one in enumerate(directives):
        heard = states.get(number, State.NOT_NOW) is State.NOT_NOW
        provisions = (
            ()
            if one.root is None or not heard
            else tuple(_matched(asked, one, one.root, record, 0))
        )
        if number not in nodes:
            found.append(Considered(one, states[number], provisions))
            continue
        alone = said(asked, [nodes[number]], record)
        by: tuple[str, ...] = ()
        if alone.denies and not any(id(leaf) in standing for leaf in alone.denies):
            state = State.TAKEN_BACK
            by = tuple(
                other.rule
                for n, other in enumerate(directives)
                if n in nodes
                and n != number
                and _takes_back(asked, nodes[n], nodes[number], record)
            )
        elif alone.denies:
            state = State.UNREADABLE if one.root is None else State.REFUSES
        else:
            state = State.PERMITS if alone.permits else State.SILENT
        found.append(Considered(one, state, provisions, by))
    return tuple(found)


def _out_of_play(asked: Asked, directive: Directive, record: Record) -> State | None:
    if not directive.active:
        ended = directive.in_doubt and not directive.refuses
        return State.DOUBTED if ended else State.WITHDRAWN
    if directive.patient not in asked.patient.charts:
        return State.OTHER_PATIENT
    everywhere = directive.controller in asked.policy.controllers
    if not everywhere and directive.controller != record.facets.kind.source:
        return State.OTHER_SOURCE
    return None


def _doubted(asked: Asked, directive: Directive, record: Record) -> State | None:
    """Whether nothing but the doubt keeps it from permitting this record."""
    now, before = (
        said(asked, [node] if (node := eligible(asked, one)) else [], record)
        for one in (directive, replace(directive, doubted=0))
    )
    return State.DOUBTED if before.permits and not (now.permits or now.denies) else None


def _takes_back(asked: Asked, permit: Node, refusal: Node, record: Record) -> bool:
    """Whether the two heard together refuse less than the refusal alone."""
    alone = said(asked, [refusal], record).denies
    return len(said(asked, [permit, refusal], record).denies) < len(alone)


# --- one element ------------------------------------------------------------------------------------


def _matched(
    asked: Asked, directive: Directive, provision: Provision, record: Record, depth: int
) -> Iterator[Matched]:
    elements = [
        Element(name, _match(asked, directive, provision, name, record))
        for name in _ELEMENTS
        if _stated(provision, name) or (name == "labels" and _opens_only_by_name(provision, record))
    ]
    yield Matched(depth, provision.permit, tuple(elements))
    for child in provision.exceptions:
        yield from _matched(asked, directive, child, record, depth + 1)


def _stated(provision: Provision, name: str) -> bool:
    return any(getattr(provision, field) not in ((), None) for field in _ELEMENTS[name])


def _opens_only_by_name(provision: Provision, record: Record) -> bool:
    """A permit that is silent on labels does not open a protected record: that it is silent counts."""
    return provision.permit and not provision.exceptions and bool(record.labels.restricted)


def _match(
    asked: Asked, directive: Directive, provision: Provision, name: str, record: Record
) -> int:
    """Labels and purposes are read differently by a permit and a refusal; the others alike, but that
    a permit must be sure."""
    alone = Provision(
        permit=provision.permit,
        **{field: getattr(provision, field) for field in _ELEMENTS[name]},
    )
    if name == "labels":
        return YES if _applies(asked, directive, alone, record) else NO
    plain = _plain(asked, record)
    if name == "purposes":
        return YES if _applies(asked, directive, alone, plain) else NO
    if not _applies(asked, directive, replace(alone, permit=False), plain):
        return NO
    return YES if _applies(asked, directive, replace(alone, permit=True), plain) else MAYBE


def _applies(asked: Asked, directive: Directive, provision: Provision, record: Record) -> bool:
    """Whether a consent of this one provision, signed by a grown-up patient in time, would count."""
    now = asked.request.now
    chart = directive.patient
    grown = PatientContext(charts=asked.patient.charts, birth=(date(1900, 1, 1),) * 2)
    probe = replace(
        directive, at=min(directive.at, now), performer=chart, root=provision, doubted=0
    )
    plainly = Asked(
        asked.request, grown, asked.policy, asked.purpose, asked.permitted_by, asked.refused_by
    )
    node = eligible(plainly, probe)
    if node is None:
        return False
    found = said(plainly, [node], record)
    return bool(found.permits if provision.permit else found.denies)


def _plain(asked: Asked, record: Record) -> Record:
    """The record without its labels: what an element matches does not hang on them."""
    kind = replace(record.facets.kind, tier=0, confidentiality="N", sensitivities=frozenset())
    labels = asked.policy.labelling("N", frozenset())
    return Record(replace(record.facets, kind=kind), labels, labels.tier)


# --- what it adds up to -----------------------------------------------------------------------------


def _name(decision: Decision) -> str:
    """The reason and, where consents decide, which."""
    if decision.reason is Reason.DIRECTIVE:
        return " ".join([decision.reason.value, *decision.rules])
    return decision.reason.value


def _concluded(decision: Decision, consents: Sequence[Considered]) -> str:
    """What the consents as told here lead to, where no earlier step has answered."""
    refusing = {State.REFUSES, State.UNREADABLE}
    denies = sorted({one.directive.rule for one in consents if one.state in refusing})
    permits = sorted({one.directive.rule for one in consents if one.state is State.PERMITS})
    if decision.reason not in _BY_CONSENTS:
        return decision.reason.value
    if isinstance(decision, PermitEmergency):
        over = Reason.BREAK_GLASS_DIRECTIVE if denies else Reason.BREAK_GLASS_DEFAULT
        return over.value
    if denies or permits:
        return " ".join([Reason.DIRECTIVE.value, *(denies or permits)])
    if decision.reason is Reason.DIRECTIVE:
        return "no consent"
    return decision.reason.value
