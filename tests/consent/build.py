"""Builds decision inputs from the words of decisions.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from consent.model import (
    AccessRequest,
    Actor,
    ActorKind,
    Datum,
    Delegation,
    DelegationKind,
    Directive,
    FacetClass,
    Facets,
    Grant,
    Meaning,
    Part,
    PatientContext,
    Provision,
    Relationship,
    RelationshipKind,
    Requester,
    Tier,
)

ZONE = ZoneInfo("Asia/Shanghai")
PEOPLE = ("dr-", "clerk", "mother", "father", "daughter")


def at(text: str) -> int:
    """ "2026-06-01" or "2026-06-01T10:00:00" in county time, as microseconds UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * 1_000_000


NOW = at("2026-06-01T10:00:00")


def _maybe(row: Mapping[str, Any], key: str) -> int | None:
    return at(row[key]) if key in row else None


def provision(row: Mapping[str, Any]) -> Provision:
    assert row.get("permit", False) != row.get("deny", False), row
    actors = [
        Actor(ActorKind.PERSON if name.startswith(PEOPLE) else ActorKind.ORGANIZATION, name)
        for name in row.get("to", ())
    ]
    actors += [Actor(ActorKind.ROLE, name) for name in row.get("to_role", ())]
    actors += [Actor(ActorKind.GROUP, name) for name in row.get("to_group", ())]
    actors += [
        Actor(ActorKind.ORGANIZATION, name, False) for name in row.get("to_unknown_role", ())
    ]
    actors += [Actor(ActorKind.PERSON, name, False) for name in row.get("to_unknown_person", ())]
    labels = row.get("labels", ())
    return Provision(
        permit=row.get("permit", False),
        start=_maybe(row, "from"),
        end=_maybe(row, "until"),
        purposes=tuple(row.get("purposes", ())),
        actors=tuple(actors),
        actions=tuple(row.get("actions", ())),
        confidentiality=tuple(label for label in labels if len(label) == 1),
        sensitivities=tuple(label for label in labels if len(label) > 1),
        classes=tuple(row.get("classes", ())),
        codes=tuple(_coding(code) for code in row.get("codes", ())),
        data_start=_maybe(row, "data_from"),
        data_end=_maybe(row, "data_until"),
        data=tuple(
            Datum(meaning, reference)
            for meaning, key in (
                (Meaning.INSTANCE, "instances"),
                (Meaning.RELATED, "related"),
                (Meaning.DEPENDENTS, "dependents"),
                (Meaning.AUTHORED_BY, "authored_by"),
            )
            for reference in row.get(key, ())
        ),
        exceptions=tuple(provision(child) for child in row.get("except", ())),
    )


def _coding(text: str) -> tuple[str, str]:
    system, _, code = text.partition("|")
    return system, code


def directive(row: Mapping[str, Any], id: str | int) -> Directive:
    patient = row.get("patient", "P")
    return Directive(
        id=id if isinstance(id, str) else f"c{id}",
        version="1",
        patient=patient,
        controller=row.get("controller", "county"),
        at=at(row.get("at", "2026-01-01")),
        assurance=row.get("assurance", 3),
        performer=row.get("performer", patient),
        root=None if row.get("unreadable") else provision(row),
        active=row.get("active", True),
        doubted=at(row["doubted"]) if "doubted" in row else 0,
    )


def facets(row: Mapping[str, Any]) -> Facets:
    rest = row.get("rest", ("N",))
    kind = FacetClass(
        type=row.get("type", "Observation"),
        source=row.get("source", "B"),
        subjects=tuple(row.get("subjects", ("P",))),
        tier=Tier(row.get("tier", Tier.GENERAL)),
        confidentiality=row.get("confidentiality", "N"),
        sensitivities=frozenset(row.get("sensitivities", ())),
        codes=frozenset(_coding(code) for code in row.get("codes", ())),
        authors=frozenset(row.get("authors", ())),
        hold_until=_maybe(row, "hold_until"),
        notifiable=row.get("notifiable", False),
        labelled=row.get("labelled", True),
        entered_in_error=row.get("entered_in_error", False),
        parts=tuple(
            Part(part["path"], part["confidentiality"], frozenset(part.get("sensitivities", ())))
            for part in row.get("parts", ())
        ),
        rest=(rest[0], frozenset(rest[1:])),
    )
    return Facets(
        kind,
        id=row.get("id", "o1"),
        start=_maybe(row, "start"),
        end=_maybe(row, "end"),
        links=frozenset(row.get("links", ())),
    )


def request(row: Mapping[str, Any], user: str, person: Mapping[str, Any]) -> AccessRequest:
    requester = Requester(
        user=person.get("user", user),
        practitioner=user,
        organization=person["organization"],
        chain=tuple(person["chain"]),
        role=person["role"],
        client="portal",
        groups=frozenset(person.get("groups", ())),
    )
    default = [{"kind": "encounter", "organization": person["organization"], "start": "2026-05-30"}]
    evidence: Sequence[Mapping[str, Any]] = row.get("relationships", default)
    grant = row.get("grant")
    return AccessRequest(
        now=at(row["now"]) if "now" in row else NOW,
        requester=requester,
        purposes=tuple(row.get("purposes", ("TREAT",))),
        action=row.get("action", "read"),
        relationships=tuple(
            Relationship(
                kind=RelationshipKind(one["kind"]),
                organization=one["organization"],
                user=one.get("user"),
                start=at(one["start"]),
                end=_maybe(one, "end"),
                purpose=one.get("purpose"),
            )
            for one in evidence
        ),
        grant=None
        if grant is None
        else Grant(
            id="g1",
            user=grant.get("user", user),
            charts=frozenset(grant.get("charts", ("P",))),
            start=at(grant.get("start", "2026-06-01T09:00:00")),
            end=at(grant.get("end", "2026-06-01T13:00:00")),
        ),
        named_patient=row.get("named_patient", True),
    )


def _account(text: str) -> tuple[str, str]:
    user, _, chart = text.rpartition("/")
    return user or "patient-self", chart


def patient(row: Mapping[str, Any]) -> PatientContext:
    birth = row.get("birth", ("1980-01-01", "1980-01-01"))
    return PatientContext(
        charts=frozenset(row.get("charts", ("P", "P-at-B"))),
        birth=(date.fromisoformat(birth[0]), date.fromisoformat(birth[1])) if birth else None,
        death=date.fromisoformat(row["death"]) if "death" in row else None,
        sealed=row.get("sealed", False),
        dispute=row.get("dispute", False),
        selves=frozenset({"patient-self"}),
        delegations=tuple(
            Delegation(
                user=one["user"],
                kind=DelegationKind(one["kind"]),
                start=at(one.get("start", "2026-01-01")),
                end=_maybe(one, "end"),
                restricted=one.get("restricted", False),
                categories=frozenset(one.get("categories", ())),
                suspended=one.get("suspended", False),
                reviewed=_maybe(one, "reviewed"),
                chart=one.get("chart", ""),
            )
            for one in row.get("delegations", ())
        ),
        identities=tuple(frozenset(charts) for charts in row.get("identities", ())),
        self_charts=frozenset(_account(said) for said in row.get("self_charts", ())),
    )
