"""May this record be shared? The one rule, in numbered steps; every way to share goes through it.

    1 request gates        4 hard rules          7 death             10 county default
    2 relationship gate    5 statutory permits   8 own source        11 permit
    3 subjects             6 data subject        9 directives        12 break-glass
                                                                     13 severable parts, 14 hide

Each step ends with an answer or falls through. `gates` runs 1, 2 and (for treatment) 7 before any
record is touched; `ruling` prepares one request for one person; `Ruling.decide` answers per record
and remembers the answer per facet class. The default is no, and every no has a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import msgspec

from consent.model import (
    AccessRequest,
    Actor,
    ActorKind,
    Datum,
    Decision,
    Delegation,
    DelegationKind,
    DenyHide,
    DenyTell,
    Directive,
    FacetClass,
    Facets,
    Meaning,
    Obligation,
    PatientContext,
    Permit,
    PermitEmergency,
    Provision,
    Reason,
    Redact,
    Relationship,
    RelationshipKind,
    Tier,
)
from consent.policy import LEVELS, Labelling, PolicySet

NO, MAYBE, YES = 0, 1, 2  # a refusal applies on YES or MAYBE, a permit only on YES
_BY_RECORD = (Meaning.INSTANCE, Meaning.RELATED, Meaning.DEPENDENTS)


def decide(
    request: AccessRequest,
    patient: PatientContext,
    directives: Iterable[Directive],
    facets: Facets,
    policy: PolicySet,
) -> Decision:
    """One record, all steps. For more than one record prepare a `ruling` once."""
    return ruling(request, patient, directives, policy).decide(facets)


def ruling(
    request: AccessRequest,
    patient: PatientContext,
    directives: Iterable[Directive],
    policy: PolicySet,
) -> Ruling:
    """Prepare what all records of this person have in common. Pass every directive on file."""
    return Ruling(request, patient, tuple(directives), policy)


# --- 1, 2 and 7: before any record is touched ---------------------------------------------------


def gates(
    request: AccessRequest, patient: PatientContext, policy: PolicySet
) -> DenyTell | DenyHide | None:
    """Refuse what needs no record to be refused; None lets the request look at records.

    For a patient nobody knows pass an empty PatientContext and no relationships: the answer is
    the one for a known patient without relationship. Scopes of a token are the door's to check.
    """
    reason = _request_gate(request, patient, policy)
    told = reason is not None or request.named_patient
    if reason is None:
        reason = _relationship_gate(request, policy) or _death_gate(request, patient, policy)
    if reason is None:
        return None
    until = _horizon(request, patient, (), policy)
    return DenyTell(reason, valid_until=until) if told else DenyHide(reason, valid_until=until)


def _request_gate(
    request: AccessRequest, patient: PatientContext, policy: PolicySet
) -> Reason | None:
    """1. One purpose, which the role may assert; break-glass only with a live, fitting grant."""
    if len(request.purposes) != 1:
        return Reason.ONE_PURPOSE
    purpose = request.purposes[0]
    if purpose not in policy.roles.get(request.requester.role, frozenset()):
        return Reason.ROLE_PURPOSE
    if purpose != policy.emergency_override:
        return None
    grant = request.grant
    if grant is None or not grant.start <= request.now < grant.end:
        return Reason.NO_GRANT
    if grant.user != request.requester.user or not grant.charts & patient.charts:
        return Reason.NO_GRANT
    if request.action not in policy.emergency_actions:
        return Reason.GRANT_SCOPE
    return None


def _relationship_gate(request: AccessRequest, policy: PolicySet) -> Reason | None:
    """2. A treatment purpose needs live evidence of a treatment relationship."""
    if request.purposes[0] in policy.treatment and not live_relationships(request, policy):
        return Reason.NO_RELATIONSHIP
    return None


def _death_gate(
    request: AccessRequest, patient: PatientContext, policy: PolicySet
) -> Reason | None:
    """7, asked early so that the answer cannot depend on a record; a seal would hide it."""
    if patient.sealed or patient.dispute:
        return None
    return _dead_for_treatment(request, patient, policy)


def live_relationships(request: AccessRequest, policy: PolicySet) -> tuple[Relationship, ...]:
    """The evidence that counts now, for this requester and purpose."""
    return tuple(
        relationship
        for relationship in request.relationships
        if relationship.organization in request.requester.chain
        and _holds_for(relationship, request, policy)
        and _within(request.now, *policy.life(relationship))
    )


def _holds_for(relationship: Relationship, request: AccessRequest, policy: PolicySet) -> bool:
    if relationship.purpose not in (None, request.purposes[0]):
        return False
    if relationship.user is None:
        return not policy.lives[relationship.kind].personal
    return relationship.user == request.requester.user


def _within(now: int, start: int | None, end: int | None) -> bool:
    return (start is None or start <= now) and (end is None or now < end)


# --- the ruling: one request, one person --------------------------------------------------------


class Ruling:
    """The answer to one request about one person, record by record.

    `decide` is a pure function of what the ruling was made from and of the facets. Answers are
    remembered per facet class unless a considered provision looks at single records or dates.
    """

    def __init__(
        self,
        request: AccessRequest,
        patient: PatientContext,
        directives: tuple[Directive, ...],
        policy: PolicySet,
    ) -> None:
        self.request, self.patient, self.policy = request, patient, policy
        self.gate = gates(request, patient, policy)
        if self.gate is not None:
            return
        self.until = _horizon(request, patient, directives, policy)
        self.purpose = request.purposes[0]
        self.live = live_relationships(request, policy)
        self.everywhere: list[_Node] = []
        self.by_source: dict[str, list[_Node]] = {}
        self._single = False
        for directive in directives:
            if (node := self._eligible(directive)) is not None:
                self._single = self._single or node.single
                if directive.controller in policy.controllers:
                    self.everywhere.append(node)
                else:
                    self.by_source.setdefault(directive.controller, []).append(node)
        self._by_class: dict[FacetClass, Decision] = {}
        self._labels: dict[tuple[str, frozenset[str]], Labelling] = {}

    def decide(self, facets: Facets) -> Decision:
        """The decision for one record version; never raises on strange facets."""
        if self.gate is not None:
            return self.gate
        if self._single:
            return _settle(self, facets)
        answer = self._by_class.get(facets.kind)
        if answer is None:
            answer = self._by_class[facets.kind] = _settle(self, facets)
        return answer

    def _eligible(self, directive: Directive) -> _Node | None:
        """A directive of this person, in force; a permit dated ahead of our clock is not."""
        if not directive.active or directive.patient not in self.patient.charts:
            return None
        ahead = directive.at > self.request.now + self.policy.clock_skew
        if directive.root is None:
            return _Node(directive, None, permit=False, certain=YES, purpose=YES)
        return _compile(self, directive, directive.root, None, ahead=ahead)

    def labelling(self, confidentiality: str, sensitivities: frozenset[str]) -> Labelling:
        key = confidentiality, sensitivities
        if key not in self._labels:
            self._labels[key] = self.policy.labelling(confidentiality, sensitivities)
        return self._labels[key]

    def same_identity(self, chart: str, other: str) -> bool:
        """False across a merge that the patient has not confirmed."""
        return chart == other or all(
            (chart in charts) == (other in charts) for charts in self.patient.identities
        )

    def default_rule(self, tier: Tier) -> str:
        return f"policy/{self.policy.name}/{self.policy.version[:12]}/{tier.name.lower()}"


@dataclass(slots=True)
class _Case:
    """One record before the steps, with what several steps need to know about it."""

    facets: Facets
    labels: Labelling
    tier: Tier
    found: _Found | None = None


def _settle(ruling: Ruling, facets: Facets) -> Decision:
    """Steps 3 to 14 for one record."""
    kind = facets.kind
    answer = _subjects(ruling, kind)  # 3
    if answer is not None:
        return answer
    labels = ruling.labelling(kind.confidentiality, kind.sensitivities)
    tier = max(kind.tier, labels.tier)  # the stricter of stored and fresh
    case = _Case(facets, labels, tier)
    for step in _STEPS:  # 4 to 8
        answer = step(ruling, case)
        if answer is not None:
            return answer
    verdict = _directives(ruling, case) or _county_default(ruling, case)  # 9, 10
    if isinstance(verdict, Permit):
        return verdict  # 11
    return (
        _break_glass(ruling, case, verdict)  # 12
        or _severable(ruling, case, verdict)  # 13
        or verdict  # 14
    )


def _subjects(ruling: Ruling, kind: FacetClass) -> Decision | None:
    """3. About whom it is must be known, and it must be labelled and meant."""
    if not kind.subjects:
        if kind.type in ruling.policy.directory_types:
            return _permit(ruling, Reason.DIRECTORY, None)
        return _hide(ruling, Reason.NO_SUBJECT)
    if not ruling.patient.charts.issuperset(kind.subjects):
        return _hide(ruling, Reason.UNKNOWN_SUBJECT)
    if not kind.labelled or kind.confidentiality not in LEVELS:
        return _hide(ruling, Reason.NOT_LABELLED)
    if kind.entered_in_error:
        return _hide(ruling, Reason.ENTERED_IN_ERROR)
    return None


def _hard_rules(ruling: Ruling, case: _Case) -> Decision | None:
    """4. A seal beats everything; an identity dispute yields to a break-glass grant only."""
    if ruling.patient.sealed:
        return _hide(ruling, Reason.PATIENT_SEALED)
    if ruling.patient.dispute and ruling.purpose != ruling.policy.emergency_override:
        return _hide(ruling, Reason.IDENTITY_DISPUTE)
    return None


def _statutory(ruling: Ruling, case: _Case) -> Decision | None:
    """5. The closed list of legal duties to tell: code, body and purpose must all fit."""
    kind = case.facets.kind
    for statute in ruling.policy.statutory:
        if statute.purpose != ruling.purpose:
            continue
        if ruling.request.requester.organization not in statute.bodies:
            continue
        if (statute.notifiable and kind.notifiable) or any(
            f"{system}|{code}" in statute.codes for system, code in kind.codes
        ):
            basis = (Obligation.STATUTORY_BASIS,)
            return _permit(ruling, Reason.STATUTORY, case, (f"statute/{statute.basis}",), basis)
    return None


def _data_subject(ruling: Ruling, case: _Case) -> Decision | None:
    """6. The patient, or somebody who may act for the patient; nobody else under this purpose."""
    if ruling.purpose not in ruling.policy.patient:
        return None
    request, patient, policy = ruling.request, ruling.patient, ruling.policy
    hold = case.facets.kind.hold_until
    if hold is not None and hold > request.now:
        return _hide(ruling, Reason.HELD, hold=hold)
    if request.requester.user in patient.selves:
        if patient.death is not None:
            return _hide(ruling, Reason.AFTER_DEATH)  # whoever this is, it is not the patient
        if _age(patient, policy.day(request.now), latest=True) < policy.self_access_age:
            return _hide(ruling, Reason.TOO_YOUNG)
        return _permit(ruling, Reason.DATA_SUBJECT, case)
    return _representative(ruling, case)


def _representative(ruling: Ruling, case: _Case) -> Decision:
    """6. Guardians by age, which is computed and not looked up; mandates as far as they go."""
    user = ruling.request.requester.user
    held = [d for d in ruling.patient.delegations if d.user == user]
    if any(d.suspended and d.kind is DelegationKind.GUARDIAN for d in held):
        held = [d for d in held if d.kind is not DelegationKind.GUARDIAN]
    if not held:
        return _hide(ruling, Reason.NO_DELEGATION)
    running = [d for d in held if _delegation_runs(ruling, d)]
    if not running:
        return _hide(ruling, Reason.DELEGATION_ENDED)
    if any(_delegation_covers(ruling, d, case) for d in running):
        return _permit(ruling, Reason.REPRESENTATIVE, case)
    return _hide(ruling, Reason.DELEGATION_SCOPE)


def _delegation_runs(ruling: Ruling, delegation: Delegation) -> bool:
    now, patient, policy = ruling.request.now, ruling.patient, ruling.policy
    if delegation.suspended or patient.death is not None:
        return False
    if not _within(now, delegation.start, delegation.end):
        return False
    if delegation.kind is DelegationKind.GUARDIAN:
        return _age(patient, policy.day(now), latest=False) < policy.adult_age
    return True


def _delegation_covers(ruling: Ruling, delegation: Delegation, case: _Case) -> bool:
    patient, policy, labels = ruling.patient, ruling.policy, case.labels
    if case.tier is Tier.SEALED:
        return False
    if delegation.kind is DelegationKind.GUARDIAN:
        age = _age(patient, policy.day(ruling.request.now), latest=False)
        if age < policy.guardian_limited_age:
            return not labels.around & policy.child_withheld
        return case.tier < Tier.RESTRICTED and not labels.around & policy.minor_withheld
    if case.tier < Tier.RESTRICTED:
        return True
    if not delegation.restricted:
        return False
    return not delegation.categories or (
        bool(labels.restricted)
        and all(names & delegation.categories for names in labels.restricted)
    )


def _after_death(ruling: Ruling, case: _Case) -> Decision | None:
    """7. Treatment ends a while after death."""
    reason = _dead_for_treatment(ruling.request, ruling.patient, ruling.policy)
    return None if reason is None else DenyTell(reason, valid_until=ruling.until)


def _dead_for_treatment(
    request: AccessRequest, patient: PatientContext, policy: PolicySet
) -> Reason | None:
    purpose = request.purposes[0]
    if patient.death is None:
        return None
    if purpose not in policy.treatment and purpose != policy.emergency_override:
        return None
    last = patient.death + timedelta(days=policy.treatment_after_death)
    return Reason.AFTER_DEATH if policy.day(request.now) > last else None


def _own_source(ruling: Ruling, case: _Case) -> Decision | None:
    """8. Who wrote it may go on treating with it, unless a live refusal names them.

    A sealed record is for named persons only, at its source too.
    """
    if ruling.purpose not in ruling.policy.treatment or case.tier is Tier.SEALED:
        return None
    if case.facets.kind.source not in ruling.request.requester.chain:
        return None
    if any(node.names_actor for node in _collect(ruling, case).denies):
        return None
    return _permit(ruling, Reason.OWN_SOURCE, case)


_STEPS = (_hard_rules, _statutory, _data_subject, _after_death, _own_source)


def _directives(ruling: Ruling, case: _Case) -> Permit | DenyHide | None:
    """9. Any live refusal refuses; else any permit permits; else nothing was said."""
    found = _collect(ruling, case)
    if found.denies:
        return _hide(ruling, Reason.DIRECTIVE, rules=_rules(found.denies))
    if found.permits:
        return _permit(ruling, Reason.DIRECTIVE, case, _rules(found.permits))
    return None


def _county_default(ruling: Ruling, case: _Case) -> Permit | DenyHide:
    """10. What the county's policy says about this tier and purpose."""
    rules = (ruling.default_rule(case.tier),)
    match ruling.policy.default(case.tier, ruling.purpose):
        case "permit":
            return _permit(ruling, Reason.DEFAULT, case, rules)
        case "presence":
            if any(r.kind is RelationshipKind.PRESENCE for r in ruling.live):
                return _permit(ruling, Reason.PRESENCE, case, rules)
        case None:
            if case.tier is Tier.SEALED:
                return _hide(ruling, Reason.SEALED_NAMED_ONLY, rules=rules)
            if case.tier is Tier.RESTRICTED:
                return _hide(ruling, Reason.RESTRICTED_OPT_IN, rules=rules)
    return _hide(ruling, Reason.DEFAULT, rules=rules)


def _break_glass(ruling: Ruling, case: _Case, verdict: DenyHide) -> Decision | None:
    """12. The grant overrides the default and refusals, save sealed records and refusals of it."""
    policy = ruling.policy
    if ruling.purpose != policy.emergency_override or case.tier is Tier.SEALED:
        return None
    refused = _collect(ruling, case).denies
    if policy.honour_emergency_refusal and any(node.names(ruling.purpose) for node in refused):
        return None
    over = Reason.BREAK_GLASS_DIRECTIVE if refused else Reason.BREAK_GLASS_DEFAULT
    return PermitEmergency(over, verdict.rules, ruling.until, policy.emergency_obligations)


def _severable(ruling: Ruling, case: _Case, verdict: DenyHide) -> Redact | None:
    """13. If it may be shared without some labelled parts, share it without those."""
    kind = case.facets.kind
    if not kind.parts:
        return None

    def labelled(confidentiality: str, sensitivities: frozenset[str]) -> Decision:
        tier = ruling.policy.tier_of(kind.type, kind.codes, confidentiality, sensitivities)
        alone = msgspec.structs.replace(
            kind, tier=tier, confidentiality=confidentiality, sensitivities=sensitivities, parts=()
        )
        return _settle(ruling, msgspec.structs.replace(case.facets, kind=alone))

    remainder = labelled(*kind.rest)
    if not isinstance(remainder, Permit):
        return None
    paths = tuple(
        part.path
        for part in kind.parts
        if not isinstance(labelled(part.confidentiality, part.sensitivities), Permit)
    )
    if not paths:
        return None  # the parts explain nothing: withhold it whole
    return Redact(verdict.reason, paths, verdict.rules, ruling.until, remainder.obligations)


def _permit(
    ruling: Ruling,
    reason: Reason,
    case: _Case | None,
    rules: tuple[str, ...] = (),
    extra: tuple[Obligation, ...] = (),
) -> Permit:
    """11. With what the receiver owes for it."""
    policy = ruling.policy
    owed = extra
    if case is not None:
        owed += policy.always_obligations
        if case.tier >= Tier.RESTRICTED:
            owed += policy.restricted_obligations
        if ruling.live and all(r.kind is RelationshipKind.SELF_CLAIM for r in ruling.live):
            owed += (Obligation.ALERT_SELF_CLAIM,)
    return Permit(reason, rules, ruling.until, owed)


def _hide(
    ruling: Ruling, reason: Reason, *, rules: tuple[str, ...] = (), hold: int | None = None
) -> DenyHide:
    until = ruling.until
    if hold is not None:
        until = hold if until is None else min(until, hold)
    return DenyHide(reason, rules, until)


def _rules(nodes: list[_Node]) -> tuple[str, ...]:
    return tuple(sorted({node.directive.rule for node in nodes}))


# --- provisions: prepared per request, matched per record ----------------------------------------


@dataclass
class _Node:
    """One provision, with what the request alone decides already decided along its path.

    `certain` is the certainty of period, actors and actions down the path, `purpose` that of the
    purposes. A child narrows its parent, with one exception: on a path of permits only, a child
    that states purposes or labels of its own goes by those and not by its parent's (a form that
    permits the ordinary, and psychiatry to one doctor).
    """

    directive: Directive
    provision: Provision | None
    permit: bool
    certain: int
    purpose: int
    permits_only: bool = False
    widens: bool = False
    path: tuple[Provision, ...] = ()  # as written, from the root
    scope: tuple[Provision, ...] = ()  # the path without what the node goes beyond
    children: tuple[_Node, ...] = ()

    @cached_property
    def level(self) -> int | None:
        """A permit reaches up to its highest level, a refusal down to its lowest."""
        levels = self.path[-1].confidentiality
        if not levels:
            return None
        if self.permit:
            return max(LEVELS.get(letter, -1) for letter in levels)
        return min(LEVELS.get(letter, 0) for letter in levels)

    @cached_property
    def plain(self) -> bool:
        """Whether nothing in it looks at the record."""
        p = self.provision
        return p is None or not (
            p.confidentiality or p.sensitivities or p.classes or p.codes or p.data or _dated(p)
        )

    @cached_property
    def single(self) -> bool:
        """Whether it tells apart records of one facet class."""
        p = self.provision
        here = p is not None and (_dated(p) or any(d.meaning in _BY_RECORD for d in p.data))
        return here or any(child.single for child in self.children)

    @cached_property
    def names_actor(self) -> bool:
        return any(p.actors for p in self.path)

    @cached_property
    def names_person(self) -> bool:
        return any(a.kind is ActorKind.PERSON for p in self.path for a in p.actors)

    def names(self, purpose: str) -> bool:
        return any(purpose in p.purposes for p in self.path)

    @cached_property
    def spoken(self) -> frozenset[str]:
        """The sensitivities its path speaks about."""
        return frozenset(s for p in self.path for s in p.sensitivities)

    @cached_property
    def spoken_level(self) -> int:
        return max((LEVELS.get(c, -1) for p in self.path for c in p.confidentiality), default=-1)

    @cached_property
    def instances(self) -> frozenset[str]:
        return frozenset(
            d.reference for p in self.path for d in p.data if d.meaning is Meaning.INSTANCE
        )


@dataclass(slots=True)
class _Found:
    """What the directives say about one record: permits, and refusals nothing has cancelled."""

    permits: list[_Node]
    denies: list[_Node]


def _compile(
    ruling: Ruling,
    directive: Directive,
    provision: Provision,
    parent: _Node | None,
    *,
    ahead: bool,
) -> _Node | None:
    """Decide what the request alone decides; None when nothing here or below can apply.

    `ahead`: dated beyond our clock, so that it grants nothing yet; its refusals already hold.
    """
    request = ruling.request
    certain = min(
        YES if _within(request.now, provision.start, provision.end) else NO,
        _actors(provision.actors, request),
        YES if not provision.actions or request.action in provision.actions else NO,
        YES if parent is None else parent.certain,
    )
    if certain == NO:
        return None
    path = (*(parent.path if parent else ()), provision)
    purpose = _purpose(ruling, path)
    labelled = bool(provision.confidentiality or provision.sensitivities)
    permits_only = provision.permit and (parent is None or parent.permits_only)
    above = () if parent is None else parent.scope
    if parent is not None and not (permits_only and provision.purposes):
        purpose = min(purpose, parent.purpose)
    elif provision.purposes:
        above = tuple(msgspec.structs.replace(p, purposes=()) for p in above)
    if permits_only and labelled:
        above = tuple(
            msgspec.structs.replace(p, confidentiality=(), sensitivities=()) for p in above
        )
    node = _Node(
        directive,
        provision,
        provision.permit,
        certain,
        purpose,
        permits_only,
        widens=permits_only and labelled,
        path=path,
        scope=(*above, provision),
    )
    children = (
        _compile(ruling, directive, child, node, ahead=ahead) for child in provision.exceptions
    )
    node.children = tuple(child for child in children if child is not None)
    if ahead and node.permit:
        node.purpose = NO
    return node if node.children or node.purpose != NO else None


def _purpose(ruling: Ruling, path: tuple[Provision, ...]) -> int:
    """Equal or an ancestor; a permit reaches some purposes only if its path names them."""
    purpose, policy, provision = ruling.purpose, ruling.policy, path[-1]
    if provision.purposes:
        covering = policy.permitted_by if provision.permit else policy.refused_by
        return NO if covering(purpose).isdisjoint(provision.purposes) else YES
    if provision.permit and purpose in policy.not_inherited:
        return YES if any(purpose in p.purposes for p in path) else NO
    return YES


def _actors(actors: tuple[Actor, ...], request: AccessRequest) -> int:
    if not actors or any(actor.known and _is_actor(actor, request) for actor in actors):
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
        case ActorKind.GROUP:
            return actor.id in requester.groups


def _collect(ruling: Ruling, case: _Case) -> _Found:
    """9, first half: what each eligible directive says, and which refusals were taken back."""
    if case.found is None:
        permits: list[_Node] = []
        denies: list[_Node] = []
        for nodes in (ruling.everywhere, ruling.by_source.get(case.facets.kind.source, ())):
            for node in nodes:
                for leaf in _walk(ruling, node, case, YES, YES):
                    (permits if leaf.permit else denies).append(leaf)
        if permits and denies:
            denies = [d for d in denies if not any(_cancels(ruling, p, d) for p in permits)]
        case.found = _Found(permits, denies)
    return case.found


def _walk(ruling: Ruling, node: _Node, case: _Case, certain: int, label: int) -> list[_Node]:
    """What one consent says: its children's results, refusals first; else its own type."""
    if not node.plain:
        certain = min(certain, _about(node, case.facets))
        if certain == NO:
            return []
        own = _labels(node, case.labels)
        label = own if node.widens else min(label, own)
    found = [leaf for child in node.children for leaf in _walk(ruling, child, case, certain, label)]
    if found:
        return [leaf for leaf in found if not leaf.permit] or found
    sure = min(certain, label, node.certain, node.purpose)
    if node.permit:
        return [node] if sure == YES and _opens(ruling, node, case) else []
    return [node] if sure != NO else []


def _labels(node: _Node, labels: Labelling) -> int:
    level, sensitivities = node.level, node.path[-1].sensitivities
    if node.permit:
        if level is not None and labels.level > level:
            return NO
        return NO if sensitivities and labels.above.isdisjoint(sensitivities) else YES
    if level is not None and labels.level < level:
        return NO
    return NO if sensitivities and labels.around.isdisjoint(sensitivities) else YES


def _about(node: _Node, facets: Facets) -> int:
    """Whether the record is what the provision is about: class, code, dates, data."""
    provision, kind = node.path[-1], facets.kind
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
        case Meaning.AUTHORED_BY:
            kind = facets.kind
            if datum.reference in kind.authors or datum.reference == kind.source:
                return YES
            return NO if kind.authors else MAYBE  # who wrote it is not known


def _opens(ruling: Ruling, node: _Node, case: _Case) -> bool:
    """A permit opens restricted data only if its path speaks about every restricted label.

    Nor does it reach across a merge the patient has not confirmed. Sealed data is for persons
    named in the permit only.
    """
    if case.tier < Tier.RESTRICTED:
        return True
    subjects = case.facets.kind.subjects
    if not all(ruling.same_identity(node.directive.patient, chart) for chart in subjects):
        return False
    sealed = case.tier is Tier.SEALED
    if sealed and not node.names_person:
        return False
    if case.facets.id in node.instances:
        return True
    if node.spoken_level >= max(case.labels.level, LEVELS["V" if sealed else "R"]):
        return True
    restricted = case.labels.restricted
    return not sealed and bool(restricted) and all(names & node.spoken for names in restricted)


# --- 9, supersession: an exception made afterwards, no broader, no weaker in proof ---------------


def _cancels(ruling: Ruling, permit: _Node, deny: _Node) -> bool:
    """Whether this permit takes back that refusal; both match now, so periods do not count.

    What could not be interpreted is never taken back; nor is what was signed under another
    unconfirmed identity, or by somebody else than the patient or the same representative.
    """
    later, earlier = permit.directive, deny.directive
    if deny.provision is None or later.at <= earlier.at or later.assurance < earlier.assurance:
        return False
    if later.controller != earlier.controller and (
        earlier.controller not in ruling.policy.controllers
    ):
        return False  # reaches further than that one institution's refusal
    if later.performer != earlier.performer and later.performer not in ruling.patient.charts:
        return False
    if not ruling.same_identity(later.patient, earlier.patient):
        return False
    return all(_contains(ruling, outer, permit.scope) for outer in deny.scope)


def _contains(ruling: Ruling, outer: Provision, scope: tuple[Provision, ...]) -> bool:
    """Whether a path stays inside one node of the refusal, dimension by dimension.

    Confidentiality: as both match, a permit that names a level at all names the refusal's.
    """
    policy = ruling.policy

    def within(
        codes: tuple[str, ...], limit: tuple[str, ...], up: Callable[[str], frozenset[str]]
    ) -> bool:
        return bool(codes) and all(not up(code).isdisjoint(limit) for code in codes)

    def some(inside: Callable[[Provision], bool]) -> bool:
        return any(inside(inner) for inner in scope)

    return (
        (not outer.actors or some(lambda p: _actors_within(ruling, p.actors, outer.actors)))
        and (
            not outer.purposes
            or some(lambda p: within(p.purposes, outer.purposes, policy.refused_by))
        )
        and (not outer.actions or some(lambda p: _subset(p.actions, outer.actions)))
        and (not outer.confidentiality or some(lambda p: bool(p.confidentiality)))
        and (
            not outer.sensitivities
            or some(lambda p: within(p.sensitivities, outer.sensitivities, policy.labels.up))
        )
        and (not outer.classes or some(lambda p: _subset(p.classes, outer.classes)))
        and (not outer.codes or some(lambda p: _subset(p.codes, outer.codes)))
        and (not outer.data or some(lambda p: _subset(p.data, outer.data)))
        and (not _dated(outer) or some(lambda p: _dates_within(p, outer)))
    )


def _subset(inner: tuple[object, ...], outer: tuple[object, ...]) -> bool:
    return bool(inner) and all(value in outer for value in inner)


def _dates_within(inner: Provision, outer: Provision) -> bool:
    starts = outer.data_start is None or (
        inner.data_start is not None and inner.data_start >= outer.data_start
    )
    return starts and (
        outer.data_end is None or (inner.data_end is not None and inner.data_end <= outer.data_end)
    )


def _actors_within(ruling: Ruling, inner: tuple[Actor, ...], outer: tuple[Actor, ...]) -> bool:
    return bool(inner) and all(any(_actor_within(ruling, a, b) for b in outer) for a in inner)


def _actor_within(ruling: Ruling, inner: Actor, outer: Actor) -> bool:
    """Equal; a unit of the organization; or the person who is asking, among those refused."""
    if inner == outer:
        return True
    request, chain = ruling.request, ruling.request.requester.chain
    if not (inner.known and outer.known and _is_actor(inner, request)):
        return False
    if inner.kind is ActorKind.PERSON:
        return _is_actor(outer, request)
    if inner.kind is not ActorKind.ORGANIZATION or outer.kind is not ActorKind.ORGANIZATION:
        return False
    return outer.id in chain and chain.index(inner.id) < chain.index(outer.id)


# --- time: until when the answer holds ------------------------------------------------------------


def _horizon(
    request: AccessRequest,
    patient: PatientContext,
    directives: Iterable[Directive],
    policy: PolicySet,
) -> int | None:
    """The next instant at which anything considered may change state; None: never."""
    instants: list[int | None] = []
    for directive in directives:
        instants.append(directive.at - policy.clock_skew)
        if directive.root is not None:
            _turns(directive.root, instants)
    for relationship in request.relationships:
        instants.extend(policy.life(relationship))
    if request.grant is not None:
        instants += (request.grant.start, request.grant.end)
    if patient.death is not None:
        last = patient.death + timedelta(days=policy.treatment_after_death)
        instants.append(policy.midnight(last + timedelta(days=1)))
    if not policy.patient.isdisjoint(request.purposes):
        for delegation in patient.delegations:
            instants += (delegation.start, delegation.end)
        ages = (policy.self_access_age, policy.guardian_limited_age, policy.adult_age)
        for birth in patient.birth or ():
            instants.extend(policy.midnight(_birthday(birth, age)) for age in ages)
    return min((t for t in instants if t is not None and t > request.now), default=None)


def _turns(provision: Provision, instants: list[int | None]) -> None:
    instants += (provision.start, provision.end)
    for child in provision.exceptions:
        _turns(child, instants)


def _birthday(birth: date, age: int) -> date:
    """The day somebody turns `age`; born on 29 February, on 1 March of other years."""
    try:
        return birth.replace(year=birth.year + age)
    except ValueError:
        return date(birth.year + age, 3, 1)


def _age(patient: PatientContext, today: date, *, latest: bool) -> int:
    """Completed years by the latest or earliest possible birth; unknown reads as least access."""
    if patient.birth is None:
        return -1 if latest else 999
    birth = patient.birth[1 if latest else 0]
    years = today.year - birth.year
    return years if _birthday(birth, years) <= today else years - 1
