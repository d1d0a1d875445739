"""Who could see what of a person, by which rule, and what would change it.

Every cell is an answer of `consent.decide`, asked with the request it stands for: as things are,
and once for each way that could turn a no into a yes (a treatment relationship, the person's
presence, a consent, an emergency). There is no second rule here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from consent.ages import surely
from consent.decide import Ruling, ruling
from consent.model import (
    AccessRequest,
    Actor,
    ActorKind,
    Decision,
    Directive,
    FacetClass,
    Facets,
    Grant,
    PatientContext,
    Permit,
    PermitEmergency,
    Provision,
    Relationship,
    RelationshipKind,
    Requester,
    Tier,
)
from consent.policy import PolicySet
from consent.provisions import within

OWN, ELSEWHERE = "own", ""  # sources of content that is not on file: the asker's own, another's
_PLAIN = {Tier.BASIC: "basic", Tier.GENERAL: "general", Tier.SEALED: "sealed"}
_UNNAMED = "restricted"  # restricted by its level, without a category


class Need(StrEnum):
    """What is missing for a yes."""

    RELATIONSHIP = "treatment-relationship"
    PRESENCE = "presence"
    CONSENT = "consent"
    EMERGENCY = "emergency"


WAYS: tuple[tuple[Need, ...], ...] = (
    (),
    (Need.RELATIONSHIP,),
    (Need.PRESENCE,),
    (Need.CONSENT,),
    (Need.RELATIONSHIP, Need.CONSENT),
    (Need.EMERGENCY,),
)
"""What is tried, the least first. Presence is a relationship too; an emergency needs nothing else."""


class Content(Struct, frozen=True):
    """Records that a person would call one thing: a protected category (or several), or a tier.

    `source` is an organisation, or OWN or ELSEWHERE for content that only could be there; `count`
    of it is 0 then.
    """

    names: tuple[str, ...]
    source: str
    kind: FacetClass
    count: int = 0


class Asker(Struct, frozen=True):
    """Somebody who might ask. A requester without a user stands for anybody in that role there."""

    requester: Requester
    purpose: str
    relationships: tuple[Relationship, ...] = ()


class Way(Struct, frozen=True):
    """These needs met, the decision says yes."""

    needs: tuple[Need, ...]
    decision: Decision


class Cell(Struct, frozen=True):
    """What one asker gets of one content: the decision as things are, and the least ways to a yes.

    `varies` says that a consent tells single records of the content apart (dates, named records):
    the answers are those for a record of which nothing of that kind is known. `since` is when the
    consents that decide began to say what they say (µs UTC), None when no consent decides.
    """

    content: Content
    now: Decision
    ways: tuple[Way, ...]
    varies: bool
    since: int | None

    @property
    def open(self) -> bool:
        """Whether it may be seen as things are."""
        return permits(self.now)

    @property
    def least(self) -> tuple[Need, ...] | None:
        """The first way to a yes; empty when it is open, None when nothing tried opens it."""
        return self.ways[0].needs if self.ways else None


@dataclass(frozen=True, slots=True)
class Column:
    """One asker and a cell for each content."""

    asker: Asker
    cells: tuple[Cell, ...]

    def same_as(self, other: Column) -> bool:
        """Whether both get the same answers, so that they can be told together."""
        return (
            self.asker.requester.role == other.asker.requester.role
            and self.asker.purpose == other.asker.purpose
            and bool(self.asker.requester.user) == bool(other.asker.requester.user)
            and self.cells == other.cells
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Who could see what at one instant (µs UTC)."""

    now: int
    columns: tuple[Column, ...]

    @property
    def groups(self) -> tuple[tuple[Column, ...], ...]:
        """Columns with equal answers side by side, in the order of their first."""
        groups: list[list[Column]] = []
        for column in self.columns:
            for group in groups:
                if group[0].same_as(column):
                    group.append(column)
                    break
            else:
                groups.append([column])
        return tuple(map(tuple, groups))


def permits(decision: Decision) -> bool:
    """Whether the whole record may be seen."""
    return isinstance(decision, Permit | PermitEmergency)


# --- rows and columns -----------------------------------------------------------------------------


def on_file(classes: Iterable[tuple[FacetClass, int]], policy: PolicySet) -> tuple[Content, ...]:
    """The contents of what is on file, counted; records that are nobody's to see are left out."""
    counts: dict[tuple[tuple[str, ...], str, FacetClass], int] = {}
    for kind, count in classes:
        if kind.entered_in_error or not kind.labelled or not kind.subjects:
            continue
        key = names_of(kind, policy), kind.source, kind
        counts[key] = counts.get(key, 0) + count
    found = [Content(names, source, kind, n) for (names, source, kind), n in counts.items()]
    return tuple(sorted(found, key=lambda one: (one.kind.tier, one.names, one.source)))


def possible(
    person: PatientContext, directives: Sequence[Directive], policy: PolicySet
) -> tuple[Content, ...]:
    """One content for each tier and protected category, whether or not anything of it is on file.

    Each as the asker's own, as another's, and for each organisation that a consent of its own binds.
    """
    sources = sorted({d.controller for d in directives if d.controller not in policy.controllers})
    subjects = tuple(sorted(person.charts)[:1])
    basic = min(policy.basic_types, default="Observation")
    kinds = [
        FacetClass(basic, "", subjects, Tier.BASIC),
        FacetClass("Observation", "", subjects),
        *(
            FacetClass(
                "Observation",
                "",
                subjects,
                Tier.RESTRICTED,
                confidentiality="R",
                sensitivities=frozenset({code}),
            )
            for code in sorted(policy.restricted)
        ),
        FacetClass("Observation", "", subjects, Tier.SEALED, confidentiality="V"),
    ]
    return tuple(
        Content(names_of(kind, policy), source, replace(kind, source=source))
        for kind in kinds
        for source in (ELSEWHERE, OWN, *sources)
    )


def names_of(kind: FacetClass, policy: PolicySet) -> tuple[str, ...]:
    """What a record of the class is called: its protected categories, else its tier."""
    labels = policy.labelling(kind.confidentiality, kind.sensitivities)
    tier = max(kind.tier, labels.tier)
    if tier is not Tier.RESTRICTED:
        return (_PLAIN[tier],)
    named = labels.above & policy.restricted
    # The nearest: a record about opioids is of the category it falls under, not of all above it.
    nearest = {n for n in named if not any(n != o and n in policy.labels.up(o) for o in named)}
    return tuple(sorted(nearest)) or (_UNNAMED,)


def persons_named(directives: Iterable[Directive]) -> frozenset[str]:
    """Everybody a consent names as a person."""
    return frozenset(
        actor.id
        for directive in directives
        if directive.root is not None
        for provision in _nodes(directive.root)
        for actor in provision.actors
        if actor.kind is ActorKind.PERSON
    )


def _nodes(provision: Provision) -> Iterator[Provision]:
    yield provision
    for child in provision.exceptions:
        yield from _nodes(child)


# --- the cells ------------------------------------------------------------------------------------


def standing(
    person: PatientContext,
    directives: Sequence[Directive],
    policy: PolicySet,
    contents: Sequence[Content],
    askers: Sequence[Asker],
    now: int,
) -> Standing:
    """Ask the decision for each asker and content, as things are and in each way that could open it.

    Pass every directive on file. The relationships of an asker are those on file.
    """
    columns = []
    for asker in askers:
        rulings = {
            way: ruling(request_for(asker, way, person, policy, now), person, directives, policy)
            for way in WAYS
            if Need.CONSENT not in way
        }
        columns.append(
            Column(
                asker,
                tuple(
                    _cell(asker, content, rulings, person, directives, policy, now)
                    for content in contents
                ),
            )
        )
    return Standing(now, tuple(columns))


def request_for(
    asker: Asker, way: tuple[Need, ...], person: PatientContext, policy: PolicySet, now: int
) -> AccessRequest:
    """The request that a way stands for: this asker names the patient to read, with that need met."""
    requester = asker.requester
    purposes: tuple[str, ...] = (asker.purpose,)
    relationships, grant = asker.relationships, None
    if Need.RELATIONSHIP in way:
        relationships += (_evidence(RelationshipKind.ENCOUNTER, requester, now),)
    if Need.PRESENCE in way:
        relationships += (_evidence(RelationshipKind.PRESENCE, requester, now),)
    if Need.EMERGENCY in way:
        purposes = (policy.emergency_override,)
        grant = Grant("", requester.user, person.charts, now, now + 1)
    return AccessRequest(now, requester, purposes, "read", relationships, grant)


def _evidence(kind: RelationshipKind, requester: Requester, now: int) -> Relationship:
    user = requester.user if kind is RelationshipKind.PRESENCE else None
    return Relationship(kind, requester.organization, user, now)


def facets_for(asker: Asker, content: Content) -> Facets:
    """The record that a cell stands for; of what only could be there the asker's own is its own."""
    kind = content.kind
    if content.source == OWN:
        kind = replace(kind, source=asker.requester.organization)
    return Facets(kind, "")


def consent_for(
    asker: Asker,
    kind: FacetClass,
    person: PatientContext,
    directives: Sequence[Directive],
    policy: PolicySet,
    now: int,
) -> Directive:
    """The consent that would say yes to exactly this: to the asker, for the purpose, for the kind.

    Signed with the best proof after everything on file, by the patient, or by who signs for one not
    surely old enough; under the source's own control where a consent of its own is on file, for none
    of the county's takes that back.
    """
    own = any(directive.controller == kind.source for directive in directives)
    requester = asker.requester
    who = (
        Actor(ActorKind.PERSON, requester.user)
        if requester.user
        else Actor(ActorKind.ORGANIZATION, requester.organization)
    )
    chart = min(kind.subjects, default=min(person.charts, default=""))
    signer = chart
    if not surely(person, policy.guardian_limited_age, now, policy):
        others = {d.performer for d in directives} - person.charts
        signer = min(others, default="representative")
    return Directive(
        id="would-be",
        version="0",
        patient=chart,
        controller=kind.source if own else min(policy.controllers, default=""),
        at=now + policy.clock_skew,
        assurance=3,
        performer=signer,
        root=Provision(
            permit=True,
            purposes=(asker.purpose,),
            actors=(who,),
            actions=("read",),
            confidentiality=(kind.confidentiality,),
            sensitivities=tuple(sorted(kind.sensitivities)),
            classes=(kind.type,),
            codes=tuple(sorted(kind.codes)),
        ),
    )


def _cell(
    asker: Asker,
    content: Content,
    rulings: dict[tuple[Need, ...], Ruling],
    person: PatientContext,
    directives: Sequence[Directive],
    policy: PolicySet,
    now: int,
) -> Cell:
    facets = facets_for(asker, content)
    plain = rulings[()].decide(facets)
    ways: list[Way] = []
    for needs in WAYS:
        if any(_less(way.needs, needs) for way in ways):
            continue
        asked = rulings.get(needs)
        if asked is None:
            request = request_for(asker, needs, person, policy, now)
            signed = consent_for(asker, facets.kind, person, directives, policy, now)
            asked = ruling(request, person, (*directives, signed), policy)
        decision = asked.decide(facets)
        if permits(decision):
            ways.append(Way(needs, decision))
    varies = any(one.of_class(facets.kind) is None for one in rulings.values())
    rules = {rule for decision in (plain, *(w.decision for w in ways)) for rule in decision.rules}
    turned = [_turned(d, now) for d in directives if d.rule in rules]
    return Cell(content, plain, tuple(ways), varies, max(turned, default=None))


def _less(met: tuple[Need, ...], needs: tuple[Need, ...]) -> bool:
    """Whether what opens it already makes it idle to say that these needs would."""
    if Need.RELATIONSHIP in met and Need.PRESENCE in needs:
        return set(met) <= {Need.RELATIONSHIP}
    return set(met) <= set(needs)


def _turned(directive: Directive, now: int) -> int:
    """The last instant at which a consent began to say what it says now."""
    instants = [directive.at]
    if directive.root is not None:
        for provision in _nodes(directive.root):
            instants += [
                t
                for t in (provision.start, provision.end)
                if t is not None and within(t, None, now)
            ]
    return max(instants)
