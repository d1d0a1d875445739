"""Who can see what of a person and why, and what a consent would change before anybody signs it.

Three may ask. A resident (or who may act for them) is told of what is on file as far as they may read
it themselves. A registrar at the desk and a privacy officer are told the rules: the same lines whether
or not anything of a category is on file, and for a number nobody carries those of a person who signed
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from consent import effects, fhir
from consent.effects import Group, Language, Names, Register
from consent.model import Directive, FacetClass, PatientContext, Requester
from consent.policy import PolicySet
from consent.standing import (
    Asker,
    Content,
    Standing,
    on_file,
    persons_named,
    possible,
)
from consent.standing import standing as stands
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import consents, staff
from gateway.exchange.ask import nothing, settled
from gateway.exchange.authority import may_read
from gateway.exchange.person import Person, facet_class, meet, on_record
from gateway.exchange.shelf import NOT_IN_EVERYTHING, Tally, permitted
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft
from gateway.store import accounts
from gateway.store.charts import alongside

OFFICERS: Final = frozenset({"registrar", "privacy"})
RESIDENTS: Final = frozenset({"patient", "representative"})
_NOT_CONTENT = NOT_IN_EVERYTHING | {"Patient", "Provenance"}
_GROWN_UP = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody is about to sign or take back: forms (or FHIR Consents), ids of consents.

    `assurance` is what the proof will be worth: 1 recorded by staff, 2 a one-time code, 3 a signature.
    A form may leave `evidence_sha256` and `at` empty, and `patient` and `performer` for the person.
    """

    add: tuple[fhir.Form | bytes, ...] = ()
    withdraw: tuple[str, ...] = ()
    assurance: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """A standing with what is needed to say it in words."""

    standing: Standing
    policy: PolicySet
    names: Names

    def groups(self, language: Language, register: Register = "plain") -> tuple[Group, ...]:
        """In words: who, and for each what they reach and how."""
        return effects.told(self.standing, self.policy, self.names, language, register)


@dataclass(frozen=True, slots=True)
class Preview:
    """Before and after, with what is needed to say the difference."""

    before: Told
    after: Told
    changes: tuple[effects.Change, ...] = field(default=())

    def sentences(self, language: Language, register: Register = "plain") -> tuple[str, ...]:
        """What changes, plain for residents or precise for officers; empty when nothing does."""
        return effects.sentences(
            self.changes,
            [column.asker for column in self.before.standing.columns],
            self.before.policy,
            self.before.names,
            language,
            register,
        )


async def standing(
    chart: str, caller: Caller, services: Services, born: date | None = None
) -> Told:
    """Who can see what, and what would change it; one `consent-explain` event before the answer.

    `chart` may be empty for a registrar or privacy officer: somebody nobody knows, `born` as their
    number says (None: a grown-up). Problem REFUSED for another role, UNKNOWN for a resident who may
    not act for the person.
    """
    return await settled(lambda: _standing(chart, caller, services, born or _GROWN_UP))


async def preview(
    chart: str, change: Change, caller: Caller, services: Services, born: date | None = None
) -> Preview:
    """What a change would do to who can see what; nothing is recorded but that it was asked.

    Problems as `standing`; UNPROCESSABLE names each element of a consent that would be refused.
    """
    return await settled(lambda: _preview(chart, change, caller, services, born or _GROWN_UP))


async def _standing(chart: str, caller: Caller, services: Services, born: date) -> Told:
    matter = await _matter(chart, caller, services, born)
    askers = await _askers(matter.directives, services)
    told = _told(matter, matter.directives, matter.contents(matter.directives), askers, services)
    await services.log.write(await _draft("standing", matter, {}, caller, services))
    return told


async def _preview(
    chart: str, change: Change, caller: Caller, services: Services, born: date
) -> Preview:
    matter = await _matter(chart, caller, services, born)
    unknown = set(change.withdraw) - {directive.id for directive in matter.directives}
    if unknown:
        raise nothing()
    added, gone = [], set(change.withdraw)
    for one in change.add:
        directive, superseded = await _understood(one, change.assurance, matter, services)
        added.append(directive)
        gone |= superseded
    after = (*(d for d in matter.directives if d.id not in gone), *added)
    everything = (*matter.directives, *added)
    askers = await _askers(everything, services)
    contents = matter.contents(everything)
    was = _told(matter, matter.directives, contents, askers, services)
    becomes = _told(matter, after, contents, askers, services)
    details = {"added": str(len(added)), "withdrawn": " ".join(change.withdraw)}
    await services.log.write(await _draft("preview", matter, details, caller, services))
    return Preview(was, becomes, effects.changes(was.standing, becomes.standing))


# The person


@dataclass(frozen=True, slots=True)
class _Matter:
    """The person it is about, as far as the caller may know them."""

    person: Person
    context: PatientContext
    directives: tuple[Directive, ...]
    classes: tuple[tuple[FacetClass, int], ...] | None  # None: rules only
    policy: PolicySet
    at: int

    @property
    def chart(self) -> str:
        return min(self.context.charts)

    def contents(self, directives: Sequence[Directive]) -> tuple[Content, ...]:
        """What is on file, else what could be."""
        if self.classes is None:
            return possible(self.context, directives, self.policy)
        return on_file(self.classes, self.policy)


async def _matter(chart: str, caller: Caller, services: Services, born: date) -> _Matter:
    at = services.now()
    if caller.role in OFFICERS:
        person = await on_record(chart, services, f"explain.{at}")
        context = person.context
        if not person.charts:  # as somebody of that age of whom nothing is on file
            context = PatientContext(charts=frozenset({"somebody"}), birth=(born, born))
        return _Matter(person, context, person.directives, None, services.policy, at)
    if caller.role not in RESIDENTS:
        raise Problem(Trouble.REFUSED, "Another role's work.")
    person = await meet(chart, caller, services, at, action="read", named=True)
    if not may_read(person, chart):
        raise nothing()
    classes: Counter[FacetClass] = Counter()
    for row in person.charts:
        for shown in await permitted(person, services, caller, row, (), Tally()):
            for place in shown.places:
                nature = shown.segment.natures[shown.segment.which[place]]
                if nature.type not in _NOT_CONTENT:
                    kind = facet_class(nature, row.id)
                    classes[kind] += 1
    found = tuple(classes.items())
    # What was signed on folders that are only said to be theirs is not theirs to know yet.
    near = alongside(person.charts, chart)
    said = tuple(one for one in person.directives if one.patient in near)
    return _Matter(person, person.context, said, found, services.policy, at)


def _told(
    matter: _Matter,
    directives: Sequence[Directive],
    contents: Sequence[Content],
    askers: _Askers,
    services: Services,
) -> Told:
    found = stands(matter.context, directives, services.policy, contents, askers.askers, matter.at)
    return Told(found, services.policy, askers.names)


async def _draft(
    what: str, matter: _Matter, details: dict[str, str], caller: Caller, services: Services
) -> Draft:
    """The event of the question, of the charts as they were read."""
    body = Body(
        request=f"{what}.{matter.at}",
        policies={"consent": services.policy.version},
        epochs=matter.person.epochs,
        details={"asked": what} | details,
    ).asked_by(caller)
    return await services.log.draft(
        Kind.CONSENT_EXPLAIN,
        Outcome.PERMIT,
        caller,
        matter.at,
        body,
        matter.person.chart_ids,
        matter.person.epochs,
    )


# Who might ask


@dataclass(frozen=True, slots=True)
class _Askers:
    askers: tuple[Asker, ...]
    names: Names


async def _askers(directives: Iterable[Directive], services: Services) -> _Askers:
    """Whoever the policy lets ask: treating roles at each organisation, others anywhere, the bodies
    of statutes, and everybody a consent names."""
    policy, register = services.policy, services.register
    houses = [one.id for one in register if one.kind != "authority"]
    askers: list[Asker] = []
    for role, purposes in policy.roles.items():
        treating = sorted(purposes & policy.treatment)
        if treating:
            widest = next(p for p in treating if not policy.refused_by(p) - {p} & policy.treatment)
            askers += [_asker("", house, role, widest, services) for house in houses]
        for purpose in sorted(purposes - policy.treatment - policy.patient):
            if purpose == policy.emergency_override:
                continue
            bodies = {b for s in policy.statutory if s.purpose == purpose for b in s.bodies}
            askers += [_asker("", b, role, purpose, services) for b in sorted(bodies) or [""]]
    logins: dict[str, str] = {}
    for user in sorted(persons_named(directives)):
        known = await services.db.read(accounts.ACCOUNT, accounts.tidy(user))
        where = known[0][0] if known else ""
        logins[user] = user
        askers.append(_asker(user, where, "clinician", "TREAT", services))
    called = await staff.names(logins, services)

    def organization(id: str, language: Language) -> str:
        one = register.get(id)
        return (one.en if language == "en" else one.zh) or one.zh

    return _Askers(
        tuple(dict.fromkeys(askers)),
        Names(organization, lambda id, language: called.get(id, id)),
    )


def _asker(user: str, house: str, role: str, purpose: str, services: Services) -> Asker:
    chain = services.register.chain(house) if house else ("",)
    return Asker(Requester(user, user or None, house, chain, role, ""), purpose)


# What is about to be signed


async def _understood(
    given: fhir.Form | bytes, assurance: int, matter: _Matter, services: Services
) -> tuple[Directive, frozenset[str]]:
    """The directive a form or a FHIR Consent would become, read as strictly as when it is recorded,
    and the consents whose place it would take."""
    if isinstance(given, fhir.Form):
        now = moment(matter.at, services.settings.zone).replace(microsecond=0).isoformat()
        given = fhir.write_consent(
            replace(
                given,
                patient=f"Patient/{matter.chart}",
                performer=f"Patient/{matter.chart}",
                at=given.at or now,
                evidence_sha256=given.evidence_sha256 or "0" * 64,
            ),
            services.settings.canonical,
        )
    somebody = "" if matter.person.charts else matter.chart
    return await consents.understood(given, assurance, services, somebody)
