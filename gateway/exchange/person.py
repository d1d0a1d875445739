"""Meets a person: what is on file about them, opened only as far as a decision needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from consent.decide import Ruling, gates, ruling
from consent.model import (
    AccessRequest,
    Decision,
    DenyHide,
    DenyTell,
    Directive,
    FacetClass,
    Facets,
    Part,
    PatientContext,
    Permit,
    Reason,
    Relationship,
    RelationshipKind,
    Requester,
)
from consent.model import Grant as Emergency
from consent.model import Tier as Category
from consent.policy import PolicySet
from gateway.exchange import acting, directives, grants, relabelling, rights
from gateway.exchange.shelves import ALL_TIERS as ALL_TIERS
from gateway.exchange.shelves import head_name as head_name
from gateway.exchange.shelves import manifests as manifests
from gateway.exchange.shelves import segment_name as segment_name
from gateway.records import facts as facts_
from gateway.records.entry import Entry, Nature, Segment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Moved
from gateway.store import charts as rows
from gateway.vault import ChartTier, Grant, ManifestKey, SealBroken, Tier

Pair = tuple[Nature, Entry]

NOBODY = PatientContext(charts=frozenset())
WITHOUT_RIGHT = DenyHide(Reason.NO_RIGHT)


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """A relationship as sealed: µs UTC, for a person alone whose, and a person's own claim why.

    `said_by` is the organisation that told of it, empty where it is the one that it is for.
    """

    start: int
    end: int | None = None
    user: str | None = None
    reason: str = ""
    purpose: str | None = None
    said_by: str = ""


_evidence = msgspec.msgpack.Decoder(Evidence).decode
pack_evidence = msgspec.msgpack.Encoder().encode


def evidence_place(chart: str, id: str, kind: str, organization: str) -> str:
    """What sealed evidence is bound to: whom it is about, what it is, and whose relationship."""
    return f"{chart}/{id}/{kind}/{organization}"


class OwnSource:
    """The rule for a system that names no person: it may read what its own organisation sent."""

    until: int | None = None

    def __init__(self, organization: str) -> None:
        self._organization = organization

    def decide(self, facets: Facets) -> Decision:
        """Permit what the organisation sent; everything else does not exist."""
        if facets.kind.source == self._organization and not facets.kind.entered_in_error:
            return Permit(Reason.OWN_SOURCE, ("own-source",))
        return DenyHide(Reason.NO_RELATIONSHIP, ("own-source",))

    def of_class(self, kind: FacetClass) -> Decision:
        """The same for every record of a class."""
        return self.decide(Facets(kind, ""))


@dataclass(slots=True)
class Person:
    """A person as one request sees them; `gate` is set when nothing may be looked at."""

    charts: tuple[rows.ChartRow, ...]
    directives: tuple[Directive, ...]
    context: PatientContext
    request: AccessRequest
    gate: DenyTell | DenyHide | None
    rule: Ruling | OwnSource | None
    keys: dict[ChartTier, ManifestKey]
    grant: Grant
    facts: dict[str, facts_.Facts]
    policy: PolicySet  # the one this person is decided by, whatever is in force meanwhile
    policy_number: int = 0  # its version; 0 when nothing was read that it could be compared with
    entitled: rights.Entitled | None = (
        None  # what the matrix of rights narrows it to; None: nothing
    )
    shelves: dict[str, list[Segment]] = field(default_factory=dict)  # manifests opened so far
    _classes: dict[tuple[str, Nature], tuple[FacetClass, Decision | None]] = field(
        default_factory=dict
    )

    @property
    def epochs(self) -> dict[str, int]:
        """Epoch of each chart as it was read, and the version of the policy that was read with them."""
        epochs = {row.id: row.epoch for row in self.charts}
        return epochs | ({rows.POLICY: self.policy_number} if self.policy_number else {})

    @property
    def chart_ids(self) -> tuple[str, ...]:
        """The linked charts."""
        return tuple(row.id for row in self.charts)

    def decide_all(self, chart: str, nature: Nature) -> Decision | None:
        """The decision on every record of the nature; None when a consent tells single ones apart."""
        return self._class(chart, nature)[1]

    def decide(self, chart: str, pair: Pair) -> Decision:
        """The decision on one entry of one chart."""
        nature, entry = pair
        kind, decision = self._class(chart, nature)
        if decision is not None:
            return decision
        assert self.rule is not None, "a gated person has no rule"
        return self.rule.decide(
            Facets(
                kind,
                entry.hex,
                str(entry.version),
                entry.start,
                entry.end,
                frozenset(to.hex() for _, to in entry.links),
            )
        )

    def _class(self, chart: str, nature: Nature) -> tuple[FacetClass, Decision | None]:
        known = self._classes.get((chart, nature))
        if known is None:
            assert self.rule is not None, "a gated person has no rule"
            made = facet_class(nature, chart)
            seen = self.entitled is None or self.entitled.sees(nature.type, nature.categories)
            decision = self.rule.of_class(made) if seen else WITHOUT_RIGHT
            decision = _kept(nature, self.request, self.policy) or decision
            known = self._classes[chart, nature] = made, decision
        return known


_DECISIONS = "/CodeSystem/recognition|"


def _kept(nature: Nature, request: AccessRequest, policy: PolicySet) -> Decision | None:
    """A hospital's file on its own decisions holds copies of what others measured: it is its own and
    the resident's, because a refusal of the one must not be got round by way of the other."""
    if not any(_DECISIONS in code for code in nature.codes):
        return None
    if nature.source in request.requester.chain or not policy.patient.isdisjoint(request.purposes):
        return None
    return DenyHide(Reason.NO_RELATIONSHIP, ("recognition/own-file",))


def facet_class(nature: Nature, chart: str) -> FacetClass:
    """A nature as consent looks at it, in one chart."""
    return msgspec.structs.replace(_anywhere(nature), subjects=(chart,))


@lru_cache(maxsize=4096)
def _anywhere(nature: Nature) -> FacetClass:
    return FacetClass(
        # A Binary is a document's content, and decided as the document is.
        type="DocumentReference" if nature.type == "Binary" else nature.type,
        source=nature.source,
        subjects=(),
        tier=Category(nature.tier),
        confidentiality=nature.confidentiality,
        sensitivities=frozenset(nature.sensitivities),
        codes=frozenset(_pair(code) for code in nature.codes),
        authors=frozenset(author.rpartition("/")[2] for author in nature.authors),
        notifiable=nature.notifiable,
        labelled=bool(nature.labels),
        entered_in_error=nature.status == "entered-in-error",
        parts=tuple(
            Part(one.path, one.confidentiality, frozenset(one.sensitivities))
            for one in nature.parts
        ),
        rest=(nature.rest[0], frozenset(nature.rest[1])),
    )


def _pair(code: str) -> tuple[str, str]:
    system, _, bare = code.rpartition("|")
    return system, bare


def request_of(
    caller: Caller,
    services: Services,
    at: int,
    *,
    action: str,
    named: bool,
    relationships: Sequence[Relationship] = (),
    grant: Emergency | None = None,
) -> AccessRequest:
    """The caller's request as the decision reads it."""
    return AccessRequest(
        now=at,
        requester=Requester(
            user=caller.user,
            practitioner=caller.user or None,
            organization=caller.organization,
            chain=services.register.chain(caller.organization),
            role=caller.role,
            client=caller.client,
            assurance=caller.strength,
            groups=services.register.groups_of(caller.user, caller.organization),
        ),
        purposes=(caller.purpose,),
        action=action,
        relationships=tuple(relationships),
        grant=grant,
        named_patient=named,
    )


async def meet(
    chart: str, caller: Caller, services: Services, at: int, *, action: str, named: bool
) -> Person:
    """The person of `chart` (empty or unknown: nobody), gated, with directives ready to decide.

    Order: grounds → relationship gate on county-sealed evidence → manifest keys →
    directives and facts → ruling. A gated person has opened nothing of a chart. A chart that is
    labelled under other rules than those in force is labelled first; then the request begins anew
    (Moved), because what was read of it before is not what stands.
    """
    known, policy = await _grounds(chart, caller.organization, services)
    evidence = relationships_of(known, caller.organization, services)
    charts = [row.id for row in known.charts]
    emergency = None
    if caller.purpose == policy.emergency_override:
        if not charts and chart:
            charts = [grants.nobody(chart, services)]
        emergency = grants.as_asked(await grants.held(charts, caller, services, at), caller)
    request = request_of(
        caller, services, at, action=action, named=named, relationships=evidence, grant=emergency
    )
    grant = Grant("request", f"{caller.client}.{at}", ALL_TIERS)
    person = Person(
        known.charts, (), NOBODY, request, None, None, {}, grant, {}, policy, known.policy
    )
    person.entitled = await rights.entitled(caller, services, at)
    if not caller.purpose and caller.role == "system":
        person.rule = OwnSource(caller.organization)
        if not known.charts:
            person.gate = DenyHide(Reason.UNKNOWN_SUBJECT)
        else:
            await _unlock(person, services, known)
        return person
    person.gate = gates(request, PatientContext(charts=frozenset(charts)), policy)
    if person.gate is None and not known.charts:
        person.gate = DenyHide(Reason.UNKNOWN_SUBJECT)
    if person.gate is None and await relabelling.settle(known.charts, services):
        raise Moved
    if person.gate is None:
        await _unlock(person, services, known)
        person.rule = ruling(request, person.context, person.directives, policy)
        person.gate = person.rule.gate
    return person


async def on_record(chart: str, services: Services, about: str) -> Person:
    """The person of `chart` with context and directives, when rules are explained: nobody asks for
    a record, so nothing is gated and nothing but directives and facts is opened."""
    known, policy = await _grounds(chart, "", services)
    request = AccessRequest(services.now(), Requester("", None, "", (), "", ""), ())
    grant = Grant("job", about, ALL_TIERS)
    person = Person(
        known.charts, (), NOBODY, request, None, None, {}, grant, {}, policy, known.policy
    )
    if known.charts:
        await _unlock(person, services, known)
    return person


async def _grounds(
    chart: str, organization: str, services: Services
) -> tuple[rows.Grounds, PolicySet]:
    """What is on file about a person, and the policy that was in force when it was read.

    The recognition catalogue of this process is the one in force then, too."""
    if not chart:
        return rows.Grounds((), (), ()), services.policy
    known = await rows.grounds(services.db, chart, organization)
    await services.catalogues.follow(known.catalogue, known.register)
    return known, await services.policies.of(known.policy)


def relationships_of(
    known: rows.Grounds, organization: str, services: Services
) -> list[Relationship]:
    """The evidence the grounds tell for this organisation, as far as it was not altered."""
    told = (_relationship(services, organization, *row) for row in known.relationships)
    return [one for one in told if one is not None]


def _relationship(
    services: Services, organization: str, chart: str, id: str, kind: str, sealed: bytes
) -> Relationship | None:
    place = evidence_place(chart, id, kind, organization)
    try:
        found = _evidence(services.vault.open_field("relationship", place, sealed))
    except SealBroken:
        # Somebody else's evidence, or another kind of it: the row was altered, and proves nothing.
        return None
    return Relationship(
        RelationshipKind(kind),
        organization,
        found.user,
        found.start,
        found.end,
        found.purpose,
    )


async def _unlock(person: Person, services: Services, known: rows.Grounds) -> None:
    """Manifest keys of every chart; directives and facts opened with them.

    A chart whose keys were shredded is as if it had never been.
    """
    wants = [ChartTier(row.id, Tier.GENERAL) for row in known.charts]
    person.keys = await manifests(services, person.grant, wants)
    lost = {want.chart for want in wants} - {want.chart for want in person.keys}
    if lost:
        person.charts = tuple(row for row in known.charts if row.id not in lost)
    keys = {want.chart: key for want, key in person.keys.items()}
    person.directives, broken = directives.opened(person.charts, known.directives, keys, services)
    if broken:
        await directives.alarm(broken, services)
    for row in person.charts:
        if row.facts:
            key = person.keys[ChartTier(row.id, Tier.GENERAL)]
            person.facts[row.id] = facts_.unpack(key.open(row.facts, f"facts/{row.id}".encode()))
    person.context = context_of(person.charts, person.facts.values())
    if not person.policy.patient.isdisjoint(person.request.purposes):
        recorded = await acting.standing(person.chart_ids, services)
        person.context = msgspec.structs.replace(person.context, **recorded._asdict())


def context_of(charts: Sequence[rows.ChartRow], facts: Iterable[facts_.Facts]) -> PatientContext:
    """What the charts of one person say of them: nothing of accounts and mandates."""
    told = tuple(facts)
    births = [d for f in told if f.birth and (d := facts_.days(f.birth))]
    deaths = [d[1] for f in told if f.death and (d := facts_.days(f.death))]
    identities: dict[str, set[str]] = {}
    for row in charts:
        identities.setdefault(row.identity, set()).add(row.id)
    return PatientContext(
        charts=frozenset(row.id for row in charts),
        birth=(min(b[0] for b in births), max(b[1] for b in births)) if births else None,
        death=min(deaths) if deaths else None,
        sealed=any(f.sealed for f in told),
        dispute=any(row.disputed for row in charts),
        identities=tuple(map(frozenset, identities.values())) if len(identities) > 1 else (),
    )
