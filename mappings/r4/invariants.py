"""The invariants of FHIR R4 that are looked at: each one line or one small function, named by its key.

Left out, with the reason in `UNCHECKED`: those the types already guarantee, best practices, and those of
types that no hospital sends. Two forms:

* `Presence`: which elements stand together. Decided from the names alone (`value` for any `value[x]`).
* `Content`: what the elements say. Asked only when all of `needs` are there.

Severity follows the reader: `hold` when the record contradicts itself or cannot be understood without
what is missing, `note` when a reader loses nothing and somebody should look.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, Protocol

from mappings.engine.jsontext import Number
from mappings.r4 import definitions

Severity = Literal["hold", "note"]


class Where(Protocol):
    """Finds what stands below an element: ``where("code.coding", "system", "code")`` gives one pair per coding.

    Arrays on the way are entered, each leaf is the text or number there, None where it is missing.
    """

    def __call__(self, path: str, *leaves: str) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class Presence:
    """An invariant on which elements are there; `holds` gets their names, choices by their stem."""

    type: str
    key: str
    severity: Severity
    holds: Callable[[Set[str]], bool]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """An invariant on what elements say, asked when all of `needs` are there."""

    type: str
    key: str
    severity: Severity
    needs: tuple[str, ...]
    holds: Callable[[Where], bool]


_Form = tuple[Callable[[Set[str]], bool], tuple[str, ...]]


def _implies(first: str, *then: str) -> _Form:
    return (lambda there: first not in there or there.issuperset(then)), (first, *then)


def _any(*names: str) -> _Form:
    return (lambda there: not there.isdisjoint(names)), names


def _at_most_one(*names: str) -> _Form:
    return (lambda there: len(there & set(names)) <= 1), names


def _exactly_one(*names: str) -> _Form:
    return (lambda there: len(there & set(names)) == 1), names


def _together(*names: str) -> _Form:
    return (lambda there: len(there & set(names)) in (0, len(names))), names


def _ratio(there: Set[str]) -> bool:
    parts = len(there & {"numerator", "denominator"})
    return parts == 2 or (parts == 0 and "extension" in there)


_PRESENCE: Final[tuple[tuple[str, str, Severity, _Form], ...]] = (
    ("Quantity", "qty-3", "note", _implies("code", "system")),
    ("Age", "age-1", "note", _implies("value", "code")),
    ("Count", "cnt-3", "note", _implies("value", "code")),
    ("Distance", "dis-1", "note", _implies("value", "code")),
    ("Duration", "drt-1", "note", _implies("code", "system", "value")),
    ("Ratio", "rat-1", "hold", (_ratio, ("numerator", "denominator", "extension"))),
    ("Extension", "ext-1", "hold", _exactly_one("extension", "value")),
    ("Attachment", "att-1", "note", _implies("data", "contentType")),
    ("ContactPoint", "cpt-2", "note", _implies("value", "system")),
    ("DataRequirement.codeFilter", "drq-1", "note", _exactly_one("path", "searchParam")),
    ("DataRequirement.dateFilter", "drq-2", "note", _exactly_one("path", "searchParam")),
    ("Expression", "exp-1", "note", _any("expression", "reference")),
    ("TriggerDefinition", "trd-1", "note", _at_most_one("data", "timing")),
    ("TriggerDefinition", "trd-2", "note", _implies("condition", "data")),
    ("Timing.repeat", "tim-1", "note", _implies("duration", "durationUnit")),
    ("Timing.repeat", "tim-2", "note", _implies("period", "periodUnit")),
    ("Timing.repeat", "tim-6", "note", _implies("periodMax", "period")),
    ("Timing.repeat", "tim-7", "note", _implies("durationMax", "duration")),
    ("Timing.repeat", "tim-8", "note", _implies("countMax", "count")),
    ("Timing.repeat", "tim-10", "note", _at_most_one("timeOfDay", "when")),
    ("Appointment", "app-2", "note", _together("start", "end")),
    ("Appointment.participant", "app-1", "note", _any("type", "actor")),
    ("AppointmentResponse", "apr-1", "note", _any("participantType", "actor")),
    ("AuditEvent.entity", "sev-1", "note", _at_most_one("name", "query")),
    ("Bundle.entry", "bdl-5", "hold", _any("resource", "request", "response")),
    ("CarePlan.activity", "cpl-3", "note", _at_most_one("detail", "reference")),
    ("Composition.section", "cmp-1", "note", _any("text", "entry", "section")),
    ("Composition.section", "cmp-2", "hold", _at_most_one("emptyReason", "entry")),
    ("Condition.evidence", "con-2", "note", _any("code", "detail")),
    ("Condition.stage", "con-1", "note", _any("summary", "assessment")),
    ("Consent", "ppc-1", "note", _any("policy", "policyRule")),
    ("FamilyMemberHistory", "fhs-1", "hold", _at_most_one("age", "born")),
    ("FamilyMemberHistory", "fhs-2", "note", _implies("estimatedAge", "age")),
    ("Goal.target", "gol-1", "note", _implies("detail", "measure")),
    ("Immunization.education", "imm-1", "note", _any("documentType", "reference")),
    (
        "ImmunizationRecommendation.recommendation",
        "imr-1",
        "note",
        _any("vaccineCode", "targetDisease"),
    ),
    ("List", "lst-1", "hold", _at_most_one("emptyReason", "entry")),
    ("MedicationAdministration.dosage", "mad-1", "note", _any("dose", "rate")),
    ("Observation", "obs-6", "hold", _at_most_one("dataAbsentReason", "value")),
    ("Observation.referenceRange", "obs-3", "note", _any("low", "high", "text")),
    ("Organization", "org-1", "note", _any("identifier", "name")),
    ("Parameters.parameter", "inv-1", "hold", _exactly_one("part", "value", "resource")),
    ("Patient.contact", "pat-1", "note", _any("name", "telecom", "address", "organization")),
    ("QuestionnaireResponse.item", "qrs-1", "note", _at_most_one("answer", "item")),
    ("RequestGroup.action", "rqg-1", "note", _exactly_one("resource", "action")),
    ("ServiceRequest", "prr-1", "note", _implies("orderDetail", "code")),
)


def _not_after(earlier: str, later: str) -> Callable[[Where], bool]:
    def holds(where: Where) -> bool:
        first, last = where("", earlier, later)[0]
        if not isinstance(first, str) or not isinstance(last, str):
            return True  # a time that only an extension tells
        if len(first) > 10 and len(last) > 10:
            try:
                return datetime.fromisoformat(first) <= datetime.fromisoformat(last)
            except (ValueError, TypeError):
                return True  # not a time: told where the format is looked at
        # Different precision: only what both say can be compared.
        both = min(len(first), len(last), 10)
        return first[:both] <= last[:both]

    return holds


def _range(where: Where) -> bool:
    low, high = where("low", "value", "code"), where("high", "value", "code")
    if not low or not high or low[0][1] != high[0][1]:
        return True
    first, last = low[0][0], high[0][0]
    if not _numeric(first) or not _numeric(last):
        return True
    return Decimal(str(first)) <= Decimal(str(last))


def _numeric(value: object) -> bool:
    return isinstance(value, Number | int | float) and not isinstance(value, bool)


def _codes(where: Where, element: str) -> set[str]:
    return {code for (code,) in where(f"{element}.coding", "code")}


_RESOLVED: Final = frozenset({"resolved", "remission", "inactive"})


def _abated(where: Where) -> bool:
    return not _RESOLVED.isdisjoint(_codes(where, "clinicalStatus"))


def _problem(where: Where) -> bool:
    if "problem-list-item" not in _codes(where, "category"):
        return True
    return bool(where("clinicalStatus")) or "entered-in-error" in _codes(
        where, "verificationStatus"
    )


def _not_in_error(where: Where) -> bool:
    return "entered-in-error" not in _codes(where, "verificationStatus")


def _allergy(where: Where) -> bool:
    return bool(where("clinicalStatus")) or not _not_in_error(where)


def _component_codes(where: Where) -> bool:
    own = set(where("code.coding", "system", "code"))
    return own.isdisjoint(where("component.code.coding", "system", "code"))


def _no_home(element: str) -> Callable[[Where], bool]:
    return lambda where: ("home",) not in where(element, "use")


def _appointment(where: Where) -> bool:
    return where("", "status")[0][0] in ("proposed", "cancelled", "waitlist") or bool(
        where("start") and where("end")
    )


def _cancelled(where: Where) -> bool:
    return where("", "status")[0][0] in ("no-show", "cancelled")


def _mode(wanted: str, element: str) -> Callable[[Where], bool]:
    return lambda where: (
        where("", "mode")[0][0] == wanted
        or all(said is None for (said,) in where("entry", element))
    )


def _actual(where: Where) -> bool:
    return where("", "actual")[0][0] is True


def _whole(where: Where) -> bool:
    return "." not in str(where("", "value")[0][0])


def _positive(element: str) -> Callable[[Where], bool]:
    return lambda where: not str(where("", element)[0][0]).startswith("-")


def _document(where: Where) -> bool:
    """A document says when, has an identifier and begins with its Composition (bdl-9, 10, 11)."""
    kind, timestamp = where("", "type", "timestamp")[0]
    if kind != "document":
        return True
    named = where("identifier", "system", "value")
    first = where("entry.resource", "resourceType")
    return bool(timestamp and named and all(named[0]) and first and first[0] == ("Composition",))


def _message(where: Where) -> bool:
    if where("", "type")[0] != ("message",):
        return True
    return where("entry.resource", "resourceType")[:1] == [("MessageHeader",)]


_CONTENT: Final[tuple[tuple[str, str, Severity, tuple[str, ...], Callable[[Where], bool]], ...]] = (
    ("Period", "per-1", "note", ("start", "end"), _not_after("start", "end")),
    ("Range", "rng-2", "note", ("low", "high"), _range),
    ("Count", "cnt-3", "note", ("value",), _whole),
    ("Timing.repeat", "tim-4", "note", ("duration",), _positive("duration")),
    ("Timing.repeat", "tim-5", "note", ("period",), _positive("period")),
    ("AllergyIntolerance", "ait-1", "note", (), _allergy),
    (
        "AllergyIntolerance",
        "ait-2",
        "hold",
        ("verificationStatus", "clinicalStatus"),
        _not_in_error,
    ),
    ("Appointment", "app-3", "note", (), _appointment),
    ("Appointment", "app-4", "note", ("cancelationReason",), _cancelled),
    ("Bundle", "bdl-9", "hold", ("type",), _document),
    ("Bundle", "bdl-12", "hold", ("type",), _message),
    ("Condition", "con-3", "note", ("category",), _problem),
    ("Condition", "con-4", "note", ("abatement",), _abated),
    ("Condition", "con-5", "hold", ("verificationStatus", "clinicalStatus"), _not_in_error),
    ("Group", "grp-1", "note", ("member",), _actual),
    ("List", "lst-2", "note", ("entry",), _mode("changes", "deleted")),
    ("List", "lst-3", "note", ("entry",), _mode("working", "date")),
    (
        "MedicationDispense",
        "mdd-1",
        "note",
        ("whenPrepared", "whenHandedOver"),
        _not_after("whenPrepared", "whenHandedOver"),
    ),
    ("Observation", "obs-7", "note", ("value", "component"), _component_codes),
    ("Organization", "org-2", "note", ("address",), _no_home("address")),
    ("Organization", "org-3", "note", ("telecom",), _no_home("telecom")),
    (
        "Task",
        "inv-1",
        "note",
        ("authoredOn", "lastModified"),
        _not_after("authoredOn", "lastModified"),
    ),
)

PRESENCE: Final = tuple(
    Presence(type_, key, severity, *form) for type_, key, severity, form in _PRESENCE
)
CONTENT: Final = tuple(Content(*told) for told in _CONTENT)

ELSEWHERE: Final = {
    "dom-2": "check.py, with what a resource contains",
    "dom-3": "check.py",
    "dom-4": "check.py",
    "dom-5": "check.py",
    "ref-1": "check.py, with references",
    "sqty-1": "SimpleQuantity has no comparator to begin with",
    "ele-1": "check.py: an empty object is refused",
    "bdl-10": "with bdl-9",
    "bdl-11": "with bdl-9",
}
"""Invariants that are looked at, but not here."""

UNCHECKED: Final = {
    "dom-6": "a best practice: records that machines make carry no narrative",
    "txt-1": "narrative is never shown as HTML by the gateway",
    "txt-2": "as txt-1",
    "bdl-1": "search results, histories and responses are not taken in",
    "bdl-2": "as bdl-1",
    "bdl-3": "which entries are carried out is decided entry by entry",
    "bdl-4": "as bdl-1",
    "bdl-7": "entries with one key and different content are told apart when they are filed",
    "bdl-8": "a reference to a version is resolved when it is filed",
    "ppc-2": "the official expression asks for the code system 'something'",
    "ppc-3": "as ppc-2",
    "ppc-4": "as ppc-2",
    "ppc-5": "as ppc-2",
    "ctm-1": "needs the resource that is referred to",
    "trd-3": "trigger definitions are kept as sent",
    "tim-9": "timing by meals is kept as sent",
    "mrp-1": "measure reports are made here, not taken in",
    "mrp-2": "as mrp-1",
    "ras-1": "risk assessments are kept as sent",
    "ras-2": "as ras-1",
}
"""Invariants of types hospitals send that are not looked at, and why."""


@cache
def presence(type_: str) -> tuple[Presence, ...]:
    """The invariants on presence of a type and of what it is derived from."""
    types = definitions.ancestors(type_)
    return tuple(one for one in PRESENCE if one.type in types)


@cache
def content(type_: str) -> tuple[Content, ...]:
    """The invariants on content of a type and of what it is derived from."""
    types = definitions.ancestors(type_)
    return tuple(one for one in CONTENT if one.type in types)
