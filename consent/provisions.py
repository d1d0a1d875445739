"""What the signed consents say about one record: matching, walking, and taking refusals back.

Matching is three-valued. A refusal applies on YES or MAYBE, a permit only on YES, so whatever is
not known fails closed. Elements of a provision are ANDed, repeats inside one are ORed, an absent
element does not limit. A child narrows its parent, with one exception: on a path of permits only,
a child that states purposes or labels of its own goes by those and not by its parents' (a form
that permits the ordinary, and psychiatry to one doctor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.structs import replace

from consent.ages import perhaps, surely
from consent.model import (
    AccessRequest,
    Actor,
    ActorKind,
    Datum,
    Directive,
    Facets,
    Meaning,
    PatientContext,
    Provision,
    Tier,
)
from consent.policy import LEVELS, Labelling, PolicySet

NO, MAYBE, YES = 0, 1, 2
_BY_RECORD = (Meaning.INSTANCE, Meaning.RELATED, Meaning.DEPENDENTS)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that passed the gates, about one person, under one policy."""

    request: AccessRequest
    patient: PatientContext
    policy: PolicySet
    purpose: str
    permitted_by: frozenset[str]
    refused_by: frozenset[str]

    def same_identity(self, chart: str, other: str) -> bool:
        """False across a merge that the patient has not confirmed."""
        return all((chart in charts) == (other in charts) for charts in self.patient.identities)

    def one_identity(self, chart: str, subjects: Iterable[str]) -> bool:
        """Whether all subjects are surely the person of this chart."""
        return all(self.same_identity(chart, subject) for subject in subjects)


class Record(NamedTuple):
    """One record version, its labels read by policy, and the stricter of its tiers."""

    facets: Facets
    labels: Labelling
    tier: Tier


@dataclass(slots=True, eq=False)
class Node:
    """One provision, with everything that the request alone decides already decided.

    `certain` is the certainty of the actors down the path, `purpose` whether its purposes cover the
    one asked. `permits_only` says that everything on the path permits. `path` is as written from
    the root; `scope` leaves out what the node goes beyond.
    """

    directive: Directive
    permit: bool
    certain: int = YES
    purpose: bool = True
    permits_only: bool = True
    level: int | None = None
    labelled: bool = False
    looks_inside: bool = False
    path: tuple[Provision, ...] = ()
    scope: tuple[Provision, ...] = ()
    children: list[Node] = field(default_factory=list)

    def single(self) -> bool:
        """Whether it tells apart records of one facet class."""
        here = self.looks_inside and (
            _dated(self.path[-1]) or any(d.meaning in _BY_RECORD for d in self.path[-1].data)
        )
        return here or any(child.single() for child in self.children)

    def coded(self) -> bool:
        """Whether it looks at a record's codes or authors."""
        here = self.looks_inside and bool(self.path[-1].codes or self.path[-1].data)
        return here or any(child.coded() for child in self.children)

    def actors(self) -> Iterator[Actor]:
        """Everybody its path names, whoever asks."""
        return (actor for provision in self.path for actor in provision.actors)

    def names(self, purpose: str) -> bool:
        """Whether its path names the purpose, not one above it."""
        return any(purpose in p.purposes for p in self.path)


# --- once per request ---------------------------------------------------------------------------


def eligible(asked: Asked, directive: Directive) -> Node | None:
    """A directive of this person, in force, as far as it can matter to this request.

    One that could not be interpreted refuses all it could cover. One dated ahead of our clock, signed
    by a patient not surely old enough, or before its folder's number was corrected, grants nothing;
    what it refuses holds. What somebody else refused for the patient does not stand in the way of
    emergency care.
    """
    patient, policy = asked.patient, asked.policy
    if not directive.active or directive.patient not in patient.charts:
        return None
    if directive.root is None:
        return Node(directive, permit=False)
    own = directive.performer in patient.charts
    mute = set()
    if (
        directive.at > asked.request.now + policy.clock_skew
        or directive.in_doubt
        or (own and not surely(patient, policy.guardian_limited_age, directive.at, policy))
    ):
        mute.add(True)
    if not own and asked.purpose in policy.emergency:
        mute.add(False)
    return _prepare(asked, directive.root, Node(directive, permit=True), mute)


def names_own(asked: Asked, node: Node, source: str) -> bool:
    """Whether it is about the source where the requester works, a unit of it there, or the person.

    What may mean anybody may mean them.
    """
    request = asked.request
    own = request.requester.chain[: request.requester.chain.index(source) + 1]
    return any(
        not actor.known
        or (actor.kind is ActorKind.ORGANIZATION and actor.id in own)
        or (actor.kind is ActorKind.PERSON and _is_actor(actor, request))
        for actor in node.actors()
    )


def _prepare(asked: Asked, provision: Provision, parent: Node, mute: set[bool]) -> Node | None:
    """The provision with its exceptions; `mute` are the types, permit or not, that count nothing."""
    request = asked.request
    if not within(request.now, provision.start, provision.end):
        return None
    if provision.actions and request.action not in provision.actions:
        return None
    certain = _actors(provision.actors, request) if provision.actors else YES
    if certain == NO:
        return None
    path, scope = (*parent.path, provision), parent.scope
    permits_only = provision.permit and parent.permits_only
    labelled = bool(provision.confidentiality or provision.sensitivities)
    purpose = _covers(asked, provision, path)
    if permits_only and provision.purposes:
        scope = tuple(replace(p, purposes=()) for p in scope)
    else:
        purpose = purpose and parent.purpose
    if permits_only and labelled:
        scope = tuple(replace(p, confidentiality=(), sensitivities=()) for p in scope)
    node = Node(
        parent.directive,
        provision.permit,
        min(certain, parent.certain),
        purpose,
        permits_only,
        level=_level(provision),
        labelled=labelled,
        looks_inside=bool(
            provision.classes or provision.codes or provision.data or _dated(provision)
        ),
        path=path,
        scope=(*scope, provision),
    )
    for child in provision.exceptions:
        if (below := _prepare(asked, child, node, mute)) is not None:
            node.children.append(below)
    if node.permit in mute:
        node.purpose = False
    return node if node.children or node.purpose else None


def within(now: int, start: int | None, end: int | None) -> bool:
    """Whether an instant lies in [start, end); None is open."""
    return (start is None or start <= now) and (end is None or now < end)


def _covers(asked: Asked, provision: Provision, path: tuple[Provision, ...]) -> bool:
    """Equal or an ancestor; a permit reaches some purposes only if its path names them."""
    if provision.purposes:
        covering = asked.permitted_by if provision.permit else asked.refused_by
        return not covering.isdisjoint(provision.purposes)
    if provision.permit and asked.purpose in asked.policy.not_inherited:
        return any(asked.purpose in p.purposes for p in path)
    return True


def _actors(actors: tuple[Actor, ...], request: AccessRequest) -> int:
    if any(actor.known and _is_actor(actor, request) for actor in actors):
        return YES
    # An unknown participation role may mean anybody.
    return NO if all(actor.known for actor in actors) else MAYBE


def _is_actor(actor: Actor, request: AccessRequest) -> bool:
    requester = request.requester
    match actor.kind:
        case ActorKind.PERSON:
            return actor.id in (requester.user, requester.practitioner)
        case ActorKind.ORGANIZATION:
            return actor.id in requester.chain
        case ActorKind.ROLE:
            return actor.id == requester.role
    return actor.id in requester.groups


def _level(provision: Provision) -> int | None:
    """A permit reaches up to its highest level, a refusal down to its lowest."""
    if not provision.confidentiality:
        return None
    if provision.permit:
        return max(LEVELS.get(letter, -1) for letter in provision.confidentiality)
    return min(LEVELS.get(letter, 0) for letter in provision.confidentiality)


# --- once per record ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """The permits that count, and the refusals that no permit has taken back."""

    permits: tuple[Node, ...]
    denies: tuple[Node, ...]


def said(asked: Asked, nodes: Iterable[Node], record: Record) -> Said:
    """What these directives say about this record, in whatever order they are read."""
    leaves = walked(asked, nodes, record)
    permits = tuple(leaf for leaf in leaves if leaf.permit)
    left = (
        deny
        for deny in leaves
        if not deny.permit
        and not any(
            cancels(asked, permit, deny) or _outranks(asked, permit, deny, record)
            for permit in permits
        )
    )
    return Said(permits, tuple(left))


def walked(asked: Asked, nodes: Iterable[Node], record: Record) -> list[Node]:
    """What each of these consents says about the record, before anything is taken back."""
    return [leaf for node in nodes for leaf in _walk(asked, node, record, YES, True)]


def _walk(asked: Asked, node: Node, record: Record, certain: int, label: bool) -> list[Node]:
    """One consent: its children's results, refusals before permits; else its own type."""
    if node.looks_inside:
        about = _about(node.path[-1], record.facets)
        if about == NO:
            return []
        certain = min(about, certain)
    if node.labelled:
        label = (label or node.permits_only) and _labelled(node, record.labels)
    found: list[Node] = []
    for child in node.children:
        found += _walk(asked, child, record, certain, label)
    if found:
        return [leaf for leaf in found if not leaf.permit] or found
    if not (label and node.purpose):
        return []
    if not node.permit:
        return [node]
    sure = certain == YES and node.certain == YES
    return [node] if sure and _opens(asked, node, record) else []


def _labelled(node: Node, labels: Labelling) -> bool:
    level, sensitivities = node.level, node.path[-1].sensitivities
    if level is not None and (labels.level > level if node.permit else labels.level < level):
        return False
    meant = labels.above if node.permit else labels.around
    return not sensitivities or not meant.isdisjoint(sensitivities)


def _about(provision: Provision, facets: Facets) -> int:
    """Whether the record is what the provision is about: class, code, dates, data."""
    kind = facets.kind
    if provision.classes and kind.type not in provision.classes:
        return NO
    if provision.codes and kind.codes.isdisjoint(provision.codes):
        return NO
    certain = _dates(provision, facets) if _dated(provision) else YES
    if provision.data:
        certain = min(certain, max(_datum(datum, facets) for datum in provision.data))
    return certain


def _dated(provision: Provision) -> bool:
    return provision.data_start is not None or provision.data_end is not None


def _dates(provision: Provision, facets: Facets) -> int:
    """Fully inside YES, disjoint NO, straddling or unknown MAYBE."""
    first, last = provision.data_start, provision.data_end
    start, end = facets.start, facets.end
    if start is None:
        return NO if end is not None and first is not None and end <= first else MAYBE
    if last is not None and start >= last:
        return NO
    if first is not None and (start < first if end is None else end <= first):
        return NO
    inside = (first is None or start >= first) and (last is None or end is None or end <= last)
    return YES if inside else MAYBE


def _datum(datum: Datum, facets: Facets) -> int:
    """Links are those of the stored facets; nobody gains or loses by adding some to a request."""
    match datum.meaning:
        case Meaning.INSTANCE:
            return YES if datum.reference == facets.id else NO
        case Meaning.RELATED | Meaning.DEPENDENTS:
            linked = datum.reference == facets.id or datum.reference in facets.links
            return YES if linked else NO
    kind = facets.kind
    if datum.reference in kind.authors or datum.reference == kind.source:
        return YES
    return NO if kind.authors else MAYBE  # who wrote it is not known


def _opens(asked: Asked, node: Node, record: Record) -> bool:
    """A permit opens restricted data only if its path speaks about every restricted label.

    By level, by sensitivity or by the exact instance. Nor does it reach across a merge the patient
    has not confirmed. Sealed data is for persons named in the permit only.
    """
    if record.tier < Tier.RESTRICTED:
        return True
    if not asked.one_identity(node.directive.patient, record.facets.kind.subjects):
        return False
    sealed = record.tier is Tier.SEALED
    if sealed and not any(
        actor.kind is ActorKind.PERSON and actor.known and _is_actor(actor, asked.request)
        for actor in node.actors()
    ):
        return False
    exact = Datum(Meaning.INSTANCE, record.facets.id)
    if any(exact in p.data for p in node.path):
        return True
    needed = max(record.labels.level, LEVELS["V" if sealed else "R"])
    if any(LEVELS.get(letter, -1) >= needed for p in node.path for letter in p.confidentiality):
        return True
    spoken = {label for p in node.path for label in p.sensitivities}
    restricted = record.labels.restricted
    return not sealed and bool(restricted) and not any(map(spoken.isdisjoint, restricted))


# --- taking back: an exception made afterwards, no broader, no weaker in proof -------------------


def cancels(asked: Asked, permit: Node, deny: Node) -> bool:
    """Whether this permit takes back that refusal; both match now, so periods do not count.

    What could not be interpreted is never taken back; nor is what was signed under another
    unconfirmed identity, or by somebody else than the patient or the same representative.
    """
    later, earlier = permit.directive, deny.directive
    if earlier.root is None or later.at <= earlier.at or later.assurance < earlier.assurance:
        return False
    if later.controller != earlier.controller and (
        earlier.controller not in asked.policy.controllers
    ):
        return False  # reaches further than that one institution's refusal
    if later.performer != earlier.performer and later.performer not in asked.patient.charts:
        return False
    if not asked.same_identity(later.patient, earlier.patient):
        return False
    return all(
        any(contained(asked, inner, outer) for inner in permit.scope)
        for outer in deny.scope
        for stated, contained in _DIMENSIONS
        if stated(outer)
    )


def _outranks(asked: Asked, permit: Node, deny: Node, record: Record) -> bool:
    """What a minor old enough said of confidential categories outranks the guardians' refusals.

    Who was a minor is told by the day of signing, so that no birthday changes it.
    """
    patient, policy = asked.patient, asked.policy
    own, other = permit.directive, deny.directive
    return (
        not record.labels.around.isdisjoint(policy.minor_withheld)
        and other.root is not None
        and own.performer in patient.charts
        and other.performer not in patient.charts
        and not perhaps(patient, policy.adult_age, own.at, policy)
        and not surely(patient, policy.adult_age, other.at, policy)
        and asked.same_identity(own.patient, other.patient)
    )


def _subset(element: str) -> tuple[_Stated, _Contained]:
    def contained(asked: Asked, inner: Provision, outer: Provision) -> bool:
        values = getattr(inner, element)
        return bool(values) and set(values) <= set(getattr(outer, element))

    return lambda provision: getattr(provision, element), contained


def _purposes_within(asked: Asked, inner: Provision, outer: Provision) -> bool:
    above = asked.policy.refused_by
    return bool(inner.purposes) and not any(
        above(purpose).isdisjoint(outer.purposes) for purpose in inner.purposes
    )


def _sensitivities_within(asked: Asked, inner: Provision, outer: Provision) -> bool:
    above = asked.policy.labels.up
    return bool(inner.sensitivities) and not any(
        above(label).isdisjoint(outer.sensitivities) for label in inner.sensitivities
    )


def _level_stated(asked: Asked, inner: Provision, outer: Provision) -> bool:
    """As both match the record, a permit that states a level states one the refusal covers."""
    return bool(inner.confidentiality)


def _dates_within(asked: Asked, inner: Provision, outer: Provision) -> bool:
    first, last = outer.data_start, outer.data_end
    if first is not None and (inner.data_start is None or inner.data_start < first):
        return False
    return last is None or (inner.data_end is not None and inner.data_end <= last)


def _actors_within(asked: Asked, inner: Provision, outer: Provision) -> bool:
    return bool(inner.actors) and all(
        any(_actor_within(asked.request, a, b) for b in outer.actors) for a in inner.actors
    )


def _actor_within(request: AccessRequest, inner: Actor, outer: Actor) -> bool:
    """Equal; a unit of the organization; or the person who is asking, among those refused."""
    if inner == outer:
        return True
    if not (inner.known and outer.known):
        return False
    if not (_is_actor(inner, request) and _is_actor(outer, request)):
        return False
    if inner.kind is ActorKind.PERSON:
        return True
    chain = request.requester.chain
    both = inner.kind is ActorKind.ORGANIZATION and outer.kind is ActorKind.ORGANIZATION
    return both and chain.index(inner.id) < chain.index(outer.id)


_Stated = Callable[[Provision], Any]
_Contained = Callable[[Asked, Provision, Provision], bool]
_DIMENSIONS: tuple[tuple[_Stated, _Contained], ...] = (
    (lambda p: p.actors, _actors_within),
    (lambda p: p.purposes, _purposes_within),
    (lambda p: p.confidentiality, _level_stated),
    (lambda p: p.sensitivities, _sensitivities_within),
    (_dated, _dates_within),
    *(_subset(element) for element in ("actions", "classes", "codes", "data")),
)
