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

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from consent.delegation import acting_for
from consent.horizon import horizon
from consent.model import (
    AccessRequest,
    Decision,
    DenyHide,
    DenyTell,
    Directive,
    FacetClass,
    Facets,
    Obligation,
    PatientContext,
    Permit,
    PermitEmergency,
    Reason,
    Redact,
    Relationship,
    RelationshipKind,
    Tier,
)
from consent.policy import LEVELS, Labelling, PolicySet
from consent.provisions import Asked, Node, Record, Said, eligible, names_own, said, walked, within


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


def decide_shared(rulings: Sequence[Ruling], facets: Facets) -> Decision:
    """One record about several persons, a ruling for each: the strictest of their answers.

    Each is asked as if it were about that person alone; a subject without a ruling is unknown. What
    one of them would refuse openly is hidden: who else it is about is not the caller's to know.
    """
    kind, answers, unknown = facets.kind, list[Decision](), set(facets.kind.subjects)
    for one in rulings:
        if mine := tuple(chart for chart in kind.subjects if chart in one.charts):
            unknown.difference_update(mine)
            alone = msgspec.structs.replace(kind, subjects=mine)
            answers.append(one.decide(msgspec.structs.replace(facets, kind=alone)))
    if unknown or not answers:
        return DenyHide(Reason.UNKNOWN_SUBJECT)
    worst = max(answers, key=lambda one: (_STRICTER.index(type(one)), one.reason))
    alike = [one for one in answers if type(one) is type(worst)]
    rules = tuple(sorted({rule for one in alike for rule in one.rules}))
    until = min((t for one in answers if (t := one.valid_until) is not None), default=None)
    if isinstance(worst, DenyHide | DenyTell):
        return DenyHide(worst.reason, rules, until)
    owed = tuple(dict.fromkeys(duty for one in answers for duty in one.obligations))
    shared = msgspec.structs.replace(worst, rules=rules, valid_until=until, obligations=owed)
    if isinstance(shared, Redact):
        cut = {path for one in answers if isinstance(one, Redact) for path in one.paths}
        shared = msgspec.structs.replace(shared, paths=tuple(sorted(cut)))
    return shared


_STRICTER: tuple[type[Decision], ...] = (Permit, PermitEmergency, Redact, DenyHide, DenyTell)


# --- 1, 2 and 7: before any record is touched ---------------------------------------------------


def gates(
    request: AccessRequest, patient: PatientContext, policy: PolicySet
) -> DenyTell | DenyHide | None:
    """Refuse what needs no record to be refused; None lets the request look at records.

    For a patient nobody knows pass an empty PatientContext and no relationships: the answer is
    the one for a known patient without relationship. Scopes of a token are the door's to check.
    """
    reason = _request_gate(request, patient, policy)
    # Whether there is a grant depends on the patient: not told of whom only a record was named.
    told = request.named_patient or reason not in (None, Reason.NO_GRANT)
    if reason is None:
        reason = _relationship_gate(request, policy) or _death_gate(request, patient, policy)
    if reason is None:
        return None
    until = horizon(request, patient, (), policy)
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
    if request.action not in policy.emergency_actions:
        return Reason.GRANT_SCOPE  # before the grant is looked for: it says nothing of the patient
    grant = request.grant
    if grant is None or not grant.start <= request.now < grant.end:
        return Reason.NO_GRANT
    if grant.user != request.requester.user or not grant.charts & patient.charts:
        return Reason.NO_GRANT
    return None


def _relationship_gate(request: AccessRequest, policy: PolicySet) -> Reason | None:
    """2. A treatment purpose needs live evidence of a treatment relationship."""
    if request.purposes[0] in policy.treatment and not live_relationships(request, policy):
        return Reason.NO_RELATIONSHIP
    return None


def _death_gate(
    request: AccessRequest, patient: PatientContext, policy: PolicySet
) -> Reason | None:
    """7. Treatment ends a while after death. Not said of those whom step 4 hides."""
    purpose = request.purposes[0]
    emergency = purpose == policy.emergency_override
    if patient.death is None or not (emergency or purpose in policy.treatment):
        return None
    if patient.sealed or (patient.dispute and not emergency):
        return None
    last = patient.death + timedelta(days=policy.treatment_after_death)
    return Reason.AFTER_DEATH if policy.day(request.now) > last else None


def live_relationships(request: AccessRequest, policy: PolicySet) -> tuple[Relationship, ...]:
    """The evidence that counts now, for this requester and purpose."""
    return tuple(
        relationship
        for relationship in request.relationships
        if relationship.organization in request.requester.chain
        and _holds_for(relationship, request, policy)
        and within(request.now, *policy.life(relationship))
    )


def _holds_for(relationship: Relationship, request: AccessRequest, policy: PolicySet) -> bool:
    if relationship.purpose not in (None, request.purposes[0]):
        return False
    if relationship.user is None:
        return not policy.lives[relationship.kind].personal
    return relationship.user == request.requester.user


# --- the ruling: one request, one person --------------------------------------------------------


class Ruling:
    """The answer to one request about one person, record by record.

    `decide` is a pure function of what the ruling was made from and of the facets. Answers are
    remembered per facet class, and where consents tell its records apart, per what those say.
    """

    def __init__(
        self,
        request: AccessRequest,
        patient: PatientContext,
        directives: tuple[Directive, ...],
        policy: PolicySet,
    ) -> None:
        self.charts = patient.charts
        self.gate = gates(request, patient, policy)
        if self.gate is not None:
            return
        purpose = request.purposes[0]
        self.asked = Asked(
            request,
            patient,
            policy,
            purpose,
            policy.permitted_by(purpose),
            policy.refused_by(purpose),
        )
        self.until = horizon(request, patient, directives, policy)
        self.live = live_relationships(request, policy)
        self._everywhere: list[Node] = []
        self._by_source: dict[str, list[Node]] = {}
        self._owed = policy.always_obligations + _of(
            policy.purpose_obligations, policy.refused_by(purpose)
        )
        if self.live and all(r.kind is RelationshipKind.SELF_CLAIM for r in self.live):
            self._owed += (Obligation.ALERT_SELF_CLAIM,)
        # Whether codes or authors can matter: where nobody asks for them, one answer is for all.
        self._coded = any(statute.purpose == purpose for statute in policy.statutory)
        for directive in directives:
            if (node := eligible(self.asked, directive)) is not None:
                self._coded = self._coded or node.coded()
                if directive.controller in policy.controllers:
                    self._everywhere.append(node)
                else:  # a hospital's consent binds only the data of that hospital
                    self._by_source.setdefault(directive.controller, []).append(node)
        self._classes: dict[FacetClass, _Class] = {}
        self._labels: dict[tuple[str, frozenset[str]], Labelling] = {}

    def decide(self, facets: Facets) -> Decision:
        """The decision for one record version; never raises on strange facets."""
        if self.gate is not None:
            return self.gate
        known = self._class(facets.kind)
        if known.answer is not None:
            return known.answer
        spoken = tuple(map(id, walked(self.asked, known.single, Record(facets, *known.labels))))
        answer = known.answers.get(spoken)
        if answer is None:
            answer = _settle(self, facets)
            if not facets.kind.parts:  # parts are decided by labels of their own
                known.answers[spoken] = answer
        return answer

    def of_class(self, kind: FacetClass) -> Decision | None:
        """The decision on every record of the class; None when a consent tells single ones apart."""
        if self.gate is not None:
            return self.gate
        if not (self._coded or kind.parts) and (kind.codes or kind.authors):
            kind = msgspec.structs.replace(kind, codes=frozenset(), authors=frozenset())
        return self._class(kind).answer

    def _class(self, kind: FacetClass) -> _Class:
        known = self._classes.get(kind)
        if known is None:
            labels = self.labelling(kind.confidentiality, kind.sensitivities)
            single = [node for node in self._about(kind) if node.single()]
            answer = None if single else _settle(self, Facets(kind, ""))
            known = self._classes[kind] = _Class(
                answer, (labels, max(kind.tier, labels.tier)), single
            )
        return known

    def _about(self, kind: FacetClass) -> list[Node]:
        own = self._by_source.get(kind.source)
        return self._everywhere + own if own else self._everywhere

    def labelling(self, confidentiality: str, sensitivities: frozenset[str]) -> Labelling:
        key = confidentiality, sensitivities
        if key not in self._labels:
            self._labels[key] = self.asked.policy.labelling(confidentiality, sensitivities)
        return self._labels[key]

    def said(self, record: Record) -> Said:
        return said(self.asked, self._about(record.facets.kind), record)

    def owed(self, record: Record, *extra: Obligation) -> tuple[Obligation, ...]:
        """What the receiver owes for this record, each duty once."""
        policy, owed = self.asked.policy, extra + self._owed
        if record.tier >= Tier.RESTRICTED:
            owed += policy.restricted_obligations
        owed += _of(policy.label_obligations, record.labels.above)
        return tuple(dict.fromkeys(owed))

    def default_rule(self, tier: Tier) -> str:
        policy = self.asked.policy
        return f"policy/{policy.name}/{policy.version[:12]}/{tier.name.lower()}"


class _Class(msgspec.Struct):
    """What is remembered of one facet class: the answer, or the consents it depends on."""

    answer: Decision | None
    labels: tuple[Labelling, Tier]  # the stricter of the labels' tier and the stored one
    single: list[Node]
    answers: dict[tuple[int, ...], Decision] = {}


def _of(
    table: Mapping[str, tuple[Obligation, ...]], names: Iterable[str]
) -> tuple[Obligation, ...]:
    return tuple(owed for name in sorted(names) for owed in table.get(name, ()))


def _settle(ruling: Ruling, facets: Facets) -> Decision:
    """Steps 3 to 14 for one record."""
    kind = facets.kind
    answer = _subjects(ruling, kind)  # 3
    if answer is not None:
        return answer
    labels = ruling.labelling(kind.confidentiality, kind.sensitivities)
    record = Record(facets, labels, max(kind.tier, labels.tier))
    answer = (
        _hard_rules(ruling)  # 4
        or _statutory(ruling, record)  # 5
        or _data_subject(ruling, record)  # 6; 7 was answered at the gate
    )
    if answer is not None:
        return answer
    found = ruling.said(record)
    verdict = (
        _own_source(ruling, record, found)  # 8
        or _directives(ruling, record, found)  # 9
        or _county_default(ruling, record)  # 10
    )
    if isinstance(verdict, Permit):
        return verdict  # 11
    return (
        _break_glass(ruling, record, found, verdict)  # 12
        or _severable(ruling, record, verdict)  # 13
        or verdict  # 14
    )


def _subjects(ruling: Ruling, kind: FacetClass) -> Decision | None:
    """3. About whom it is must be known, and it must be labelled and meant."""
    if not kind.subjects:
        if kind.type in ruling.asked.policy.directory_types:
            return _permit(ruling, Reason.DIRECTORY, None)
        return _hide(ruling, Reason.NO_SUBJECT)
    if not ruling.asked.patient.charts.issuperset(kind.subjects):
        return _hide(ruling, Reason.UNKNOWN_SUBJECT)
    if not kind.labelled or kind.confidentiality not in LEVELS:
        return _hide(ruling, Reason.NOT_LABELLED)
    if kind.entered_in_error:
        return _hide(ruling, Reason.ENTERED_IN_ERROR)
    return None


def _hard_rules(ruling: Ruling) -> DenyHide | None:
    """4. A seal beats everything; an identity dispute yields to a break-glass grant only."""
    asked = ruling.asked
    if asked.patient.sealed:
        return _hide(ruling, Reason.PATIENT_SEALED)
    if asked.patient.dispute and asked.purpose != asked.policy.emergency_override:
        return _hide(ruling, Reason.IDENTITY_DISPUTE)
    return None


def _statutory(ruling: Ruling, record: Record) -> Permit | None:
    """5. The closed list of legal duties to tell: code, body and purpose must all fit."""
    asked, kind = ruling.asked, record.facets.kind
    for statute in asked.policy.statutory:
        if statute.purpose != asked.purpose:
            continue
        if asked.request.requester.organization not in statute.bodies:
            continue
        if (statute.notifiable and kind.notifiable) or statute.names(kind.codes):
            rule, basis = f"statute/{statute.basis}", Obligation.STATUTORY_BASIS
            return _permit(ruling, Reason.STATUTORY, record, (rule,), basis)
    return None


def _data_subject(ruling: Ruling, record: Record) -> Permit | DenyHide | None:
    """6. The patient, or somebody who may act for the patient; nobody else under this purpose.

    An heir reads unless the deceased decided otherwise.
    """
    asked, hold = ruling.asked, record.facets.kind.hold_until
    if asked.purpose not in asked.policy.patient:
        return None
    if hold is not None and hold > asked.request.now:
        return _hide(ruling, Reason.HELD, hold=hold)
    allowed, reason = acting_for(asked, record)
    if allowed and asked.patient.death is not None and (denies := ruling.said(record).denies):
        return _hide(ruling, Reason.DIRECTIVE, rules=_rules(denies))
    return _permit(ruling, reason, record) if allowed else _hide(ruling, reason)


def _own_source(ruling: Ruling, record: Record, found: Said) -> Permit | None:
    """8. Who wrote it may go on treating with it, unless a live refusal names them.

    A sealed record is for named persons only, at its source too.
    """
    asked, source = ruling.asked, record.facets.kind.source
    if asked.purpose not in asked.policy.treatment or record.tier is Tier.SEALED:
        return None
    if source not in asked.request.requester.chain:
        return None
    if any(names_own(asked, node, source) for node in found.denies):
        return None
    return _permit(ruling, Reason.OWN_SOURCE, record)


def _directives(ruling: Ruling, record: Record, found: Said) -> Permit | DenyHide | None:
    """9. Any live refusal refuses; else any permit permits; else nothing was said."""
    if found.denies:
        return _hide(ruling, Reason.DIRECTIVE, rules=_rules(found.denies))
    if found.permits:
        return _permit(ruling, Reason.DIRECTIVE, record, _rules(found.permits))
    return None


def _county_default(ruling: Ruling, record: Record) -> Permit | DenyHide:
    """10. What the county's policy says about this tier and purpose."""
    rules = (ruling.default_rule(record.tier),)
    default = ruling.asked.policy.default(record.tier, ruling.asked.purpose)
    if default == "permit":
        return _permit(ruling, Reason.DEFAULT, record, rules)
    present = any(r.kind is RelationshipKind.PRESENCE for r in ruling.live)
    if default == "presence" and present:
        return _permit(ruling, Reason.PRESENCE, record, rules)
    return _hide(ruling, _CLOSED.get(record.tier, Reason.DEFAULT), rules=rules)


_CLOSED = {Tier.RESTRICTED: Reason.RESTRICTED_OPT_IN, Tier.SEALED: Reason.SEALED_NAMED_ONLY}


def _break_glass(ruling: Ruling, record: Record, found: Said, verdict: DenyHide) -> Decision | None:
    """12. The grant overrides the default and refusals, save sealed records and refusals of it.

    It was given for one patient: it does not reach across a merge that is not confirmed.
    """
    asked, policy, grant = ruling.asked, ruling.asked.policy, ruling.asked.request.grant
    if asked.purpose != policy.emergency_override or record.tier is Tier.SEALED:
        return None
    assert grant is not None, "step 1 asked for one"
    for subject in record.facets.kind.subjects:
        if not any(asked.same_identity(chart, subject) for chart in grant.charts):
            return None
    if policy.honour_emergency_refusal and any(node.names(asked.purpose) for node in found.denies):
        return None
    over = Reason.BREAK_GLASS_DIRECTIVE if found.denies else Reason.BREAK_GLASS_DEFAULT
    owed = ruling.owed(record, *policy.emergency_obligations)
    return PermitEmergency(over, verdict.rules, ruling.until, owed)


def _severable(ruling: Ruling, record: Record, verdict: DenyHide) -> Redact | None:
    """13. If it may be shared without some labelled parts, share it without those."""
    kind = record.facets.kind
    if not kind.parts:
        return None

    def labelled(confidentiality: str, sensitivities: frozenset[str]) -> Decision:
        tier = ruling.asked.policy.tier_of(kind.type, kind.codes, confidentiality, sensitivities)
        alone = msgspec.structs.replace(
            kind, tier=tier, confidentiality=confidentiality, sensitivities=sensitivities, parts=()
        )
        return _settle(ruling, msgspec.structs.replace(record.facets, kind=alone))

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
    record: Record | None,
    rules: tuple[str, ...] = (),
    *extra: Obligation,
) -> Permit:
    """11. With what the receiver owes for it; a directory owes nothing."""
    owed = () if record is None else ruling.owed(record, *extra)
    return Permit(reason, rules, ruling.until, owed)


def _hide(
    ruling: Ruling, reason: Reason, *, rules: tuple[str, ...] = (), hold: int | None = None
) -> DenyHide:
    until = ruling.until
    if hold is not None:
        until = hold if until is None else min(until, hold)
    return DenyHide(reason, rules, until)


def _rules(nodes: Iterable[Node]) -> tuple[str, ...]:
    return tuple(sorted({node.directive.rule for node in nodes}))
