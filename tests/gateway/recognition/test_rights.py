"""The matrix of rights: what stands in no cell is refused, and taking a cell away only narrows."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import mappings
from gateway.exchange.planning import REGISTERS
from gateway.exchange.rights import Entitled
from gateway.recognition.rights import (
    Cell,
    DataClass,
    Level,
    Matrix,
    Use,
    Who,
    cell_id,
    classes_of,
    founding,
    matrix,
    permits,
)
from gateway.records.query import PARAMETERS
from mappings.r4 import definitions

AT = 1_000
MAPS = Path(mappings.__path__[0])
SENT = frozenset({"AllergyIntolerance", "Immunization", "MedicationRequest", "Procedure"})
"""No map makes these; hospitals that speak FHIR send them."""
WHO_LIS = Who("lis", ("people",), Level.INSTITUTION)
SYSTEMS, HOUSES = ("lis", "pacs", ""), ("people", "tcm")
HOLDERS = [
    *(f"level:{level}" for level in Level),
    *(f"organization:{one}" for one in HOUSES),
    "system:lis",
    "system:pacs",
]
cells = st.builds(
    Cell,
    st.sampled_from(HOLDERS),
    st.sampled_from(DataClass),
    st.sampled_from(Use),
    st.just("a law"),
    st.integers(0, 2_000),
    st.none() | st.integers(0, 2_000),
    st.just(1),
)
whos = st.builds(
    Who,
    st.sampled_from(SYSTEMS),
    st.sampled_from(HOUSES).map(lambda one: (one,)),
    st.sampled_from(Level),
)
own = st.frozensets(st.sampled_from(HOLDERS[len(Level) :]))
ASKED = [(one, use) for one in DataClass for use in Use]


def answers(found: Matrix, who: Who, at: int = AT) -> set[tuple[DataClass, Use]]:
    return {(one, use) for one, use in ASKED if permits(found, who, one, use, at)}


@given(st.lists(cells, max_size=30), own, whos, st.data())
def test_taking_a_cell_away_never_widens(
    all_: list[Cell], rows: frozenset[str], who: Who, data: st.DataObject
) -> None:
    fewer = data.draw(st.lists(st.sampled_from(all_), unique=True)) if all_ else []

    assert answers(Matrix(tuple(fewer), rows), who) <= answers(Matrix(tuple(all_), rows), who)


@given(st.lists(cells, max_size=20), whos)
def test_ending_what_was_decided_never_widens(decided: list[Cell], who: Who) -> None:
    given_ = {cell.id: cell for cell in decided}
    whole = answers(matrix(given_.items()), who)

    for ended in given_:
        left = [(id, None if id == ended else cell) for id, cell in given_.items()]
        assert answers(matrix(left), who) <= whole


@given(whos)
def test_an_empty_matrix_permits_nothing(who: Who) -> None:
    assert answers(Matrix(), who) == set()


def test_a_county_begins_with_all_its_own_and_nobody_elses() -> None:
    begun = matrix(())
    for level in Level:
        found = answers(begun, Who("", ("people",), level))
        assert found == (set(ASKED) if level in {Level.COUNTY, Level.INSTITUTION} else set())
    assert len(founding()) == 2 * len(ASKED)


def test_a_right_holds_from_its_first_instant_and_not_at_its_end() -> None:
    cell = Cell("level:city", DataClass.IMAGING, Use.VIEW, "a law", 10, 20, 1)
    found, city = matrix([(cell.id, cell)]), Who("", ("elsewhere",), Level.CITY)

    at = [permits(found, city, DataClass.IMAGING, Use.VIEW, when) for when in (9, 10, 19, 20)]

    assert at == [False, True, True, False]


def test_whoever_has_a_row_is_judged_by_it_alone_even_when_it_has_ended() -> None:
    mine = Cell("system:lis", DataClass.LABORATORY, Use.STORE, "a contract", 0, None, 1)
    lis, other = (Who(name, ("people",), Level.INSTITUTION) for name in ("lis", "pacs"))
    found = matrix([(mine.id, mine)])

    assert answers(found, lis) == {(DataClass.LABORATORY, Use.STORE)}
    assert answers(found, other) == set(ASKED)
    assert answers(matrix([(mine.id, None)]), lis) == set()


def test_a_founding_cell_that_was_ended_is_gone() -> None:
    ended = cell_id("level:institution", DataClass.DOCUMENTS, Use.FORWARD)
    house = Who("", ("people",), Level.INSTITUTION)

    assert answers(matrix([(ended, None)]), house) == set(ASKED) - {
        (DataClass.DOCUMENTS, Use.FORWARD)
    }


def test_records_are_of_the_class_that_they_say() -> None:
    section = "http://terminology.hl7.org/CodeSystem/v2-0074|"
    assert classes_of("Patient") == {DataClass.IDENTITY}
    assert classes_of("DiagnosticReport", [section + "RAD"]) == {DataClass.IMAGING}
    assert classes_of("Observation", [section + "LAB"]) == {DataClass.LABORATORY}
    assert classes_of("Observation") == {DataClass.LABORATORY, DataClass.IMAGING}
    assert classes_of("Binary") == classes_of("DocumentReference") == {DataClass.DOCUMENTS}
    assert classes_of("Provenance") == frozenset()


def test_every_type_that_is_served_or_made_by_a_map_is_of_a_class() -> None:
    """A new map or search of a type nobody gave a class fails here; until then it is closed."""
    maps = [*MAPS.glob("base/*.toml"), *MAPS.glob("sites/**/*.toml")]
    made = {name for one in maps for name in re.findall(r"^\[+([A-Z]\w+)", one.read_text(), re.M)}
    assert made
    told = (set(PARAMETERS) | REGISTERS | made | SENT) & definitions.resources()
    every = frozenset(DataClass)
    assert {"Observation", "Procedure", "Provenance", "ImagingStudy"} <= told
    assert [one for one in sorted(told) if classes_of(one) == every] == []
    beside = {one for one in definitions.resources() if not classes_of(one)}
    assert beside == REGISTERS | {"Device", "Provenance"}


def test_a_row_for_one_class_opens_nothing_that_nobody_thought_of() -> None:
    cells = [Cell("system:lis", DataClass.LABORATORY, use, "a law") for use in Use]
    lis = Entitled(Matrix(tuple(cells), frozenset({"system:lis"})), WHO_LIS, AT)
    assert lis.sees("Observation", ["category|LAB"])
    for other in sorted(definitions.resources() - REGISTERS - {"Device", "Provenance"}):
        if classes_of(other) != {DataClass.LABORATORY}:
            assert not lis.sees(other), other
    assert not lis.sees("NewInTheNextRelease")
