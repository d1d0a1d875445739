"""Turns what hospitals send anyway into evidence of treatment: visits, referrals, appointments, contracts.

| record | proves | for | on whose word |
|---|---|---|---|
| Encounter | encounter | the sender | its own |
| ServiceRequest, a referral in force | referral | who receives the patient | of somebody else: nobody refers to himself |
| Appointment that stands | appointment | where it will be | of whoever books |
| EpisodeOfCare of the family-doctor kind | contract | a primary-care organisation | its own, or the county's |
| CareTeam that works | care-team | the members' organisations, or persons | of whoever leads the team |

How long each counts is the policy's affair. An organisation the register does not know gets nothing, and a
record that is cancelled, refused or entered in error takes back what it had proved.

Whom a hospital names is its word for the patient in front of it, so it may open the patient's record to
another hospital but never to itself where the other's word is what counts: a receiver that tells of a
referral proves nothing by that, its own visit or appointment does. The evidence says whose word it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from consent.model import RelationshipKind as Kind
from gateway.exchange.person import Evidence, evidence_place, pack_evidence
from gateway.exchange.planning import Plan, Planned
from gateway.records.instant import instant_text, interval
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store.engine import Tx
from mappings.engine import Issue

EVIDENCE_ONLY: Final = frozenset({"Appointment", "CareTeam", "EpisodeOfCare"})
"""Kept in order and for replays, and read at no door: what they are for is the evidence."""

TELLING: Final = frozenset({"Encounter", "ServiceRequest", *EVIDENCE_ONLY})
MOST: Final = 32  # organisations and persons that one record may speak for

REFERRAL: Final = frozenset(
    {
        ("http://snomed.info/sct", "3457005"),  # patient referral
        ("http://snomed.info/sct", "306206005"),  # referral to service
    }
)
FAMILY_DOCTOR: Final = "family-doctor"
"""The code of EpisodeOfCare.type, in a code system whose name ends with contract-type."""

_DAY_VISITS: Final = frozenset({"AMB", "VR", "HH", "FLD", "EMER"})
_A_YEAR: Final = 366 * 86_400_000_000
_NO_VISIT: Final = frozenset({"cancelled", "entered-in-error", "planned"})
_IN_FORCE: Final = frozenset({"active", "completed"})
_STANDING: Final = frozenset({"booked", "arrived", "checked-in", "fulfilled"})


class Proof(NamedTuple):
    """Evidence for everybody in an organisation, or for one person there."""

    kind: Kind
    organization: str
    evidence: Evidence


def write(tx: Tx, plan: Plan, planned: Planned, services: Services) -> None:
    """The evidence a record gives, in the place of what it gave before; part of the filing transaction."""
    chart, id = plan.chart, planned.mapped.id
    found = list(_Reading(plan, planned, services).proofs())[:MOST]
    if planned.mapped.type == "Encounter":  # one at most, and by far the most frequent
        if not found:
            tx.run(rows.DROP_RELATIONSHIP, chart, id)
    else:
        tx.run(rows.DROP_RELATIONSHIPS, chart, [_row(id, number) for number in range(MOST)])
    for number, proof in enumerate(found):
        about = (chart, _row(id, number))
        place = evidence_place(*about, proof.kind.value, proof.organization)
        sealed = services.vault.seal_field("relationship", place, pack_evidence(proof.evidence))
        tx.run(rows.PUT_RELATIONSHIP, *about, proof.organization, proof.kind.value, sealed, plan.at)


def _row(id: str, number: int) -> str:
    return f"{id}.{number}" if number else id


class _Reading:
    """One record, read for what it proves."""

    def __init__(self, plan: Plan, planned: Planned, services: Services) -> None:
        self._plan, self._planned, self._services = plan, planned, services
        self._resource: Mapping[str, Any] = orjson.loads(planned.mapped.text())
        self._register = services.register

    def proofs(self) -> Iterator[Proof]:
        match self._planned.mapped.type:
            case "Encounter":
                yield from self._visit()
            case "ServiceRequest":
                yield from self._referral()
            case "Appointment":
                yield from self._appointment()
            case "EpisodeOfCare":
                yield from self._contract()
            case "CareTeam":
                yield from self._team()

    def _visit(self) -> Iterator[Proof]:
        """A visit; of one whose beginning nobody told, the end is all there is.

        What is over, and what never lasts longer than a day, is not open because nobody told its end.
        """
        if self._status in _NO_VISIT:
            return
        start, end = self._span(self._resource.get("period"))
        if start is None and end is None:
            return
        begun = start if start is not None else end or 0
        if end is None and self._status == "finished":
            end = max(begun, self._planned.mapped.clock or begun)
        elif end is None and _dict(self._resource.get("class")).get("code") in _DAY_VISITS:
            end = self._day_end(begun)
        yield self._proof(Kind.ENCOUNTER, self._plan.organization, begun, end)

    def _referral(self) -> Iterator[Proof]:
        """A referral in force: HL7 table 0283 says A, FHIR says active; what is asked for is a draft."""
        asked = {(one.get("system"), one.get("code")) for one in self._codings("category")}
        if not asked & REFERRAL or self._status not in _IN_FORCE:
            return
        if self._resource.get("intent") in {"proposal", "plan"}:
            return
        start, end = self._span(self._resource.get("occurrencePeriod"))
        if start is None:
            start = self._moment(self._resource.get("authoredOn"))
        if start is None:
            start = self._planned.mapped.clock or self._plan.at
        for receiver in self._receivers(_list(self._resource.get("performer"))):
            if not self._own(receiver):
                yield self._proof(Kind.REFERRAL, receiver, start, end)

    def _appointment(self) -> Iterator[Proof]:
        """An appointment that stands, where it will be: at the place it names, else at the sender's."""
        start, end = (self._moment(self._resource.get(name)) for name in ("start", "end"))
        if self._status not in _STANDING or start is None:
            return
        places = []
        for one in _list(self._resource.get("participant")):
            actor = _dict(one.get("actor"))
            where = actor.get("type") or str(actor.get("reference", "")).partition("/")[0]
            system = str(_dict(actor.get("identifier")).get("system", ""))
            if where == "Organization" or system.endswith("/sid/organization"):
                places.append(actor)
        for place in self._receivers(places) if places else [self._plan.organization]:
            yield self._proof(Kind.APPOINTMENT, place, start, end)

    def _contract(self) -> Iterator[Proof]:
        """A contract with a family doctor, for the organisation that signed it; a year where no end is told."""
        if not any(
            str(one.get("system", "")).endswith("contract-type")
            and one.get("code") == FAMILY_DOCTOR
            for one in self._codings("type")
        ):
            return
        if self._status not in {"active", "onhold", "finished"}:
            return
        start, end = self._span(self._resource.get("period"))
        if start is None:
            return
        if end is None:
            over = self._status == "finished"
            end = self._planned.mapped.clock or start if over else start + _A_YEAR
        named = self._resource.get("managingOrganization")
        signed = self._receivers([named]) if named else [self._plan.organization]
        for one in signed:
            by_the_county = self._register.get(self._plan.organization).kind == "authority"
            if self._register.get(one).primary_care and (by_the_county or self._own(one)):
                yield self._proof(Kind.CONTRACT, one, start, end)
            else:
                self._note("contract-not-theirs")

    def _team(self) -> Iterator[Proof]:
        """Who is in a care team that works: a person where one is named by number, else the organisation."""
        if self._status != "active":
            return
        start, end = self._span(self._resource.get("period"))
        for one in _list(self._resource.get("participant")):
            joined, left = self._span(one.get("period"))
            begun = max((t for t in (start, joined) if t is not None), default=self._plan.at)
            over = min((t for t in (end, left) if t is not None), default=None)
            member = _dict(one.get("member"))
            resource = self._named(member)
            type_ = resource.get("resourceType") or member.get("type")
            if type_ == "Organization":
                for receiver in self._receivers([member]):
                    yield self._proof(Kind.CARE_TEAM, receiver, begun, over)
            elif type_ in {"Practitioner", "PractitionerRole"}:
                at = one.get("onBehalfOf") or resource.get("organization")
                person = _dict(member.get("identifier")) or resource.get("practitioner") or resource
                number = self._number(_dict(person))
                where = self._receivers([at]) if at else [self._plan.organization]
                for receiver in where if number else ():
                    yield self._proof(Kind.CARE_TEAM, receiver, begun, over, user=number)

    # Reading

    def _proof(
        self, kind: Kind, organization: str, start: int, end: int | None, user: str | None = None
    ) -> Proof:
        said_by = "" if organization == self._plan.organization else self._plan.organization
        return Proof(kind, organization, Evidence(start, end, user, said_by=said_by))

    @property
    def _status(self) -> str:
        return str(self._resource.get("status", ""))

    def _span(self, period: Any) -> tuple[int | None, int | None]:
        """[start, end) of a FHIR Period; whatever is not told is None."""
        zone = self._services.settings.zone
        start = interval(str(_dict(period).get("start", "")), zone)
        end = interval(str(_dict(period).get("end", "")), zone)
        return start[0] if start else None, end[1] if end else None

    def _moment(self, text: Any) -> int | None:
        found = interval(str(text), self._services.settings.zone) if text else None
        return found[0] if found else None

    def _day_end(self, at: int) -> int:
        zone = self._services.settings.zone
        found = interval(instant_text(at, zone)[:10], zone)
        return found[1] if found else at

    def _codings(self, element: str) -> Iterator[Mapping[str, Any]]:
        for concept in _list(self._resource.get(element)):
            yield from _list(concept.get("coding"))

    def _own(self, organization: str) -> bool:
        """Is it the sender's own legal body?"""
        mine, theirs = map(self._register.chain, (self._plan.organization, organization))
        return mine[-1:] == theirs[-1:]

    def _receivers(self, references: list[Any]) -> list[str]:
        """The registered organisations that are pointed at; the others are noted, and get nothing."""
        found = []
        for reference in references:
            known = self._organization(_dict(reference))
            if known is None:
                self._note("organization-unknown")
            elif known not in found:
                found.append(known)
        return found

    def _organization(self, reference: Mapping[str, Any]) -> str | None:
        resource = self._named(reference)
        if resource.get("resourceType") == "PractitionerRole":
            reference = _dict(resource.get("organization"))
            resource = self._named(reference)
        numbers = [*_list(resource.get("identifier")), _dict(reference.get("identifier"))]
        for one in numbers:
            if known := self._register.named(str(one.get("value", ""))):
                return known.id
        return None

    def _named(self, reference: Mapping[str, Any]) -> Mapping[str, Any]:
        """The register resource of the same message that is pointed at; empty when there is none."""
        return self._plan.named.get(str(reference.get("reference", "")), {})

    def _number(self, person: Mapping[str, Any]) -> str:
        """The number under which the organisation knows a person: here their login."""
        resource = self._named(person) or person
        numbers = [*_list(resource.get("identifier")), _dict(resource.get("identifier")), resource]
        return next((str(one["value"]) for one in numbers if one.get("value")), "")

    def _note(self, code: str) -> None:
        self._plan.issues.append(Issue("note", code, self._planned.mapped.place))


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
