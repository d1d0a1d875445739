"""Rights of use: may this system use data of this class in this way now? One pure function over a matrix.

A cell is a right of a holder (one system, one organisation, or all of an owner level) to use one class of
data in one way, for a time and by a legal document. Whoever has a row of their own is judged by that
alone: the system's before the organisation's before the level's. What stands in no cell is refused, so
taking a cell away can only narrow. Consent decides afterwards; no cell opens what it closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """Who owns a system."""

    MINISTRY = "ministry"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    INSTITUTION = "institution"


class DataClass(StrEnum):
    """What kind of data; the classes follow the types of records."""

    IDENTITY = "identity"
    VISITS = "visits"
    DIAGNOSES = "diagnoses"
    LABORATORY = "laboratory"
    IMAGING = "imaging"
    DOCUMENTS = "documents"
    CONSENT = "consent"
    DECISIONS = "decisions"
    STATISTICS = "statistics"


class Use(StrEnum):
    """What is done with it."""

    VIEW = "view"
    MATCH = "match"
    STORE = "store"
    FORWARD = "forward"
    STATISTICS = "statistics"


class Cell(NamedTuple):
    """One right. `start` and `end` are µs UTC, the end itself not included; None is without end.

    `version` 0 is a founding cell, which nobody has decided yet.
    """

    holder: str
    data_class: DataClass
    use: Use
    document: str
    start: int = 0
    end: int | None = None
    version: int = 0

    @property
    def id(self) -> str:
        """The cell's name in the register of rights."""
        return cell_id(self.holder, self.data_class, self.use)

    def holds(self, at: int) -> bool:
        """Whether it is in force at this instant."""
        return self.start <= at and (self.end is None or at < self.end)


class Who(NamedTuple):
    """Whose use it is: a registered system (or empty), the organisation and what that is part of, and
    the level that owns the system."""

    system: str
    organizations: tuple[str, ...]
    level: Level


@dataclass(frozen=True, slots=True)
class Matrix:
    """The cells that were decided, and who has a row of their own, even one that has ended."""

    cells: tuple[Cell, ...] = ()
    own: frozenset[str] = frozenset()
    _by_place: Mapping[tuple[str, str, str], tuple[Cell, ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        places: dict[tuple[str, str, str], tuple[Cell, ...]] = {}
        for cell in self.cells:
            key = cell.holder, cell.data_class, cell.use
            places[key] = (*places.get(key, ()), cell)
        object.__setattr__(self, "_by_place", places)

    def at(self, holder: str, data_class: str, use: str) -> tuple[Cell, ...]:
        """The cells of one place."""
        return self._by_place.get((holder, data_class, use), ())

    def row_of(self, who: Who) -> str:
        """The holder by whose row somebody is judged."""
        own = [f"system:{who.system}"] if who.system else []
        own += [f"organization:{id}" for id in who.organizations]
        return next((one for one in own if one in self.own), f"level:{who.level}")


def cell_id(holder: str, data_class: str, use: str) -> str:
    """The name of a cell in the register of rights."""
    return f"{holder}.{data_class}.{use}"


def permits(matrix: Matrix, who: Who, data_class: DataClass, use: Use, at: int) -> bool:
    """Whether a cell of the row that `who` is judged by is in force at `at` (µs UTC)."""
    return any(cell.holds(at) for cell in matrix.at(matrix.row_of(who), data_class, use))


FOUNDED_FOR = (Level.COUNTY, Level.INSTITUTION)
FOUNDING = "建库时的规则：县内机构沿用登记文件已声明的用途"


def founding() -> tuple[Cell, ...]:
    """What a county begins with: whoever is declared in the county may do what they did before there was
    a matrix; systems of the city, the province or a ministry may nothing."""
    return tuple(
        Cell(f"level:{level}", one, use, FOUNDING)
        for level in FOUNDED_FOR
        for one in DataClass
        for use in Use
    )


def matrix(decided: Iterable[tuple[str, Cell | None]]) -> Matrix:
    """The founding cells, each replaced by what was decided on it: (cell's name, the cell or None when
    it was ended)."""
    cells = {cell.id: cell for cell in founding()}
    own: set[str] = set()
    for id, cell in decided:
        cells.pop(id, None)
        if cell is not None:
            cells[id] = cell
        holder = id.rsplit(".", 2)[0]
        if not holder.startswith("level:"):
            own.add(holder)
    return Matrix(tuple(cells.values()), frozenset(own))


_CLASSES = {
    "Patient": DataClass.IDENTITY,
    "RelatedPerson": DataClass.IDENTITY,
    "Consent": DataClass.CONSENT,
    "Task": DataClass.DECISIONS,
    "DetectedIssue": DataClass.DECISIONS,
    "Communication": DataClass.DECISIONS,
    "Encounter": DataClass.VISITS,
    "Appointment": DataClass.VISITS,
    "EpisodeOfCare": DataClass.VISITS,
    "CareTeam": DataClass.VISITS,
    "Condition": DataClass.DIAGNOSES,
    **dict.fromkeys(
        (
            "Account",
            "AppointmentResponse",
            "CarePlan",
            "Coverage",
            "DeviceRequest",
            "DeviceUseStatement",
            "Flag",
            "Goal",
            "Immunization",
            "ImmunizationRecommendation",
            "Medication",
            "MedicationAdministration",
            "MedicationDispense",
            "MedicationRequest",
            "MedicationStatement",
            "NutritionOrder",
            "Procedure",
            "RequestGroup",
            "VisionPrescription",
        ),
        DataClass.VISITS,
    ),
    **dict.fromkeys(
        (
            "AdverseEvent",
            "AllergyIntolerance",
            "ClinicalImpression",
            "FamilyMemberHistory",
            "RiskAssessment",
        ),
        DataClass.DIAGNOSES,
    ),
    "Specimen": DataClass.LABORATORY,
    "MolecularSequence": DataClass.LABORATORY,
    "BodyStructure": DataClass.IMAGING,
    "ImagingStudy": DataClass.IMAGING,
    "DocumentReference": DataClass.DOCUMENTS,
    "Binary": DataClass.DOCUMENTS,
    **dict.fromkeys(
        ("Composition", "DocumentManifest", "List", "QuestionnaireResponse"), DataClass.DOCUMENTS
    ),
    "MeasureReport": DataClass.STATISTICS,
}
# What only accompanies others, and tells nothing of a person by itself.
_BESIDE = frozenset(
    {"Device", "Location", "Organization", "Practitioner", "PractitionerRole", "Provenance"}
)
_TESTED = frozenset({"Observation", "DiagnosticReport", "ServiceRequest", "Media"})
# HL7 table 0074 and observation-category, as maps write them.
_IMAGED = frozenset(
    {"imaging", "RAD", "CT", "CUS", "NMR", "NMS", "OUS", "RUS", "RX", "VUS", "XRC", "CTH"}
)
_MEASURED = frozenset({"vital-signs", "social-history", "exam", "survey", "activity"})


def classes_of(type: str, categories: Iterable[str] = ()) -> frozenset[DataClass]:
    """The classes of a record of a FHIR type with categories (`system|code`); to be seen it needs all of them.

    A result or an order that says nothing of its kind may be either, laboratory or imaging. What only
    accompanies others (Provenance, Organization, Practitioner …) is of no class; a type nobody has
    thought of is of every class.
    """
    if type in _TESTED:
        codes = {one.rpartition("|")[2] for one in categories}
        if codes & _IMAGED:
            return frozenset({DataClass.IMAGING})
        if codes & _MEASURED:
            return frozenset({DataClass.VISITS})
        if codes:
            return frozenset({DataClass.LABORATORY})
        return frozenset({DataClass.LABORATORY, DataClass.IMAGING})
    if type in _BESIDE:
        return frozenset()
    found = _CLASSES.get(type)
    return frozenset({found} if found else DataClass)
