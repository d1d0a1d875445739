"""Functions for visits and orders: who takes part, where, until when, under which numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mappings.engine import people
from mappings.engine.bound import Apply, Bound, Function, Setup
from mappings.engine.reader import Value

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LOCATION_USE = "http://hl7.org/fhir/StructureDefinition/subject-locationClassification"
_ROLES = {
    "ATND": "attender", "REF": "referrer", "CON": "consultant", "ADM": "admitter",
    "PART": "Participation",
}  # fmt: skip
_TYPES = {"VN": "visit number"}


def _make_practitioners(setup: Setup, bound: Bound) -> Apply:
    """practitioners: a logical reference for each person named; `practitioner` gives the first."""
    one = people.FUNCTIONS["practitioner"].make(setup, bound)

    def practitioners(found: Sequence[Value], at: Instance) -> Any:
        nodes = [node for value in found if (node := one((value,), at)) is not None]
        return nodes or None

    return practitioners


def _make_participant(setup: Setup, bound: Bound) -> Apply:
    """participant('ATND'): Encounter.participant, one for each person named."""
    one = people.FUNCTIONS["practitioner"].make(setup, bound)
    role = bound.texts["role"]
    coding = {"system": PARTICIPATION, "code": role, "display": _ROLES.get(role, role)}

    def participant(found: Sequence[Value], at: Instance) -> Any:
        nodes = [
            {"type": [{"coding": [coding], "text": coding["display"]}], "individual": person}
            for value in found
            if (person := one((value,), at)) is not None
        ]
        return nodes or None

    return participant


def _make_agent(setup: Setup, bound: Bound) -> Apply:
    """agent('enterer'): Provenance.agent, a person and what they did."""
    one = people.FUNCTIONS["practitioner"].make(setup, bound)
    type_ = {"coding": [{"system": AGENT_TYPE, "code": bound.texts["type"]}]}

    def agent(found: Sequence[Value], at: Instance) -> Any:
        who = one(found[:1], at)
        return who and [{"type": type_, "who": who}]

    return agent


def _make_location(setup: Setup, bound: Bound) -> Apply:
    """location('active'): Encounter.location by name, with its state; ``temporary`` marks a passing place."""
    status = bound.texts["status"]

    def location(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        names = [part.partition("&")[0] for part in value.parts[:3] if part]
        name = value.part(2) if not value.part(2).isascii() else " ".join(names)
        name = name or value.text or next(part for part in value.parts if part)
        node: dict[str, Any] = {"location": {"display": name}}
        if status != "temporary":
            return {**node, "status": status}
        use = {"coding": [{"system": "http://hl7.org/fhir/ValueSet/subject-location",
                           "code": status}]}  # fmt: skip
        extension = {"url": LOCATION_USE, "valueCodeableConcept": use}
        return {"extension": [extension], **node, "status": "active"}

    return location


def _make_number(setup: Setup, bound: Bound) -> Apply:
    """number('visit', 'VN'): an identifier of one of the hospital's number spaces with its HL7 type (table 0203)."""
    system = setup.source.system_of(bound.texts["space"])
    type_ = bound.texts.get("type", "")
    typed: dict[str, Any] = {}
    if type_:
        typed = {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": type_}]}}
        if type_ in _TYPES:
            typed["type"]["text"] = _TYPES[type_]

    def number(found: Sequence[Value], at: Instance) -> Any:
        return {**typed, "system": system, "value": found[0].text} if found[0].text else None

    return number


def _make_visit_end(setup: Setup, bound: Bound) -> Apply:
    """visit_end(events, event=$event): a time, but nothing when the event takes the end back (A13)."""
    table = bound.tables["events"]
    time = people.FUNCTIONS["time"].make(setup, Bound())

    def visit_end(found: Sequence[Value], at: Instance) -> Any:
        row = table.get(bound.text("event", at))
        return None if row is not None and row.get("deletes") else time(found, at)

    return visit_end


def _make_organization(setup: Setup, bound: Bound) -> Apply:
    """organization(name=): a logical reference to another organisation by its code in the county."""
    system = setup.organization()["identifier"]["system"]

    def organization(found: Sequence[Value], at: Instance) -> Any:
        if not (code := found[0].text):
            return None
        node: dict[str, Any] = {
            "type": "Organization",
            "identifier": {"system": system, "value": code},
        }
        if name := bound.text("name", at):
            node["display"] = name
        return node

    return organization


def _make_attendee(setup: Setup, bound: Bound) -> Apply:
    """attendee('Location', name=): Appointment.participant: the doctors, or the organisation where it will be."""
    place = _make_organization(setup, bound)
    person = people.FUNCTIONS["practitioner"].make(setup, bound)
    of_place = bound.texts["kind"] == "Location"

    def attendee(found: Sequence[Value], at: Instance) -> Any:
        nodes = []
        for value in found[:1] if of_place else found:
            actor = place((value,), at) if of_place else person((value,), at)
            if actor is not None:
                nodes.append(
                    {"actor": {**actor, "type": bound.texts["kind"]}, "status": "accepted"}
                )
        return nodes or None

    return attendee


def _make_event_status(setup: Setup, bound: Bound) -> Apply:
    """event_status(events, states, state=SCH-25): what the event says, unless the state says that it stands otherwise.

    An event that ends something (S15, I14) ends it whatever the state still says.
    """
    events = bound.tables["events"]
    states = bound.tables["states"]
    open_ = {"booked", "draft"}

    def event_status(found: Sequence[Value], at: Instance) -> Any:
        event = events.get(found[0].text) or {}
        target = event.get("target")
        state = bound.first("state", at)
        if not target or target not in open_ or state is None or not state.text:
            return target or None
        row = states.get(state.text)
        if row is None or not row.get("target"):
            at.issue("drop", "unknown-code", state.place)
            at.unmapped(states.name, state.text)
            return None  # who knows what it says: it may be off
        return row["target"]

    return event_status


def _make_order_status(setup: Setup, bound: Bound) -> Apply:
    """order_status(order_states, order_controls, control=ORC-1): ORC-5, or what ORC-1 orders to be done."""
    states, controls = bound.tables["order_states"], bound.tables["order_controls"]

    def order_status(found: Sequence[Value], at: Instance) -> Any:
        state, control = found[0].text if found else "", bound.text("control", at)
        for text, table in ((state, states), (control, controls)):
            row = table.get(text) if text else None
            if row is not None and row.get("target"):
                return row["target"]
        if state or control:
            at.issue("note", "unknown-code", found[0].place if found else None)
        return "unknown"

    return order_status


FUNCTIONS = {
    "agent": Function(_make_agent, order=("type",), texts=("type",)),
    "attendee": Function(
        _make_attendee, order=("kind",), texts=("kind",), needs=("kind",), sources=("name",)
    ),
    "event_status": Function(
        _make_event_status,
        order=("events", "states"),
        tables=("events", "states"),
        needs=("events", "states"),
        sources=("state",),
    ),
    "location": Function(_make_location, order=("status",), texts=("status",)),
    "number": Function(_make_number, order=("space", "type"), texts=("space", "type"), wide=True),
    "order_status": Function(
        _make_order_status,
        order=("order_states", "order_controls"),
        tables=("order_states", "order_controls"),
        needs=("order_states", "order_controls"),
        sources=("control",),
        empty=True,
    ),
    "organization": Function(_make_organization, sources=("name",)),
    "participant": Function(_make_participant, order=("role",), texts=("role",)),
    "practitioners": Function(_make_practitioners),
    "visit_end": Function(
        _make_visit_end,
        order=("events",),
        tables=("events",),
        needs=("events",),
        sources=("event",),
        timed=True,
    ),
}
