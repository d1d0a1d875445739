"""Which result is probably corrected by a new report: case by case, and the same for a whole record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recognition.successors import Measured, replaces, superseded

ALT = frozenset({"http://loinc.org|1742-6", "urn:lab|ALT"})
OLD = Measured("a", "Observation", "people", ALT, frozenset({b"tube"}), 1_000, 5_000, "final")
NEW = OLD._replace(id="b", told=9_000)
FIRST = {"orders": frozenset({b"1"}), "panels": frozenset({"urn:lab|LFT"})}
OTHER = {"orders": frozenset({b"2"}), "panels": frozenset({"urn:lab|BIO"})}
BIO = frozenset({"http://loinc.org|1920-8"})
NUMBER = {"numbers": frozenset({b"x7"})}
NAMING = {"names": frozenset({"a"})}
REPORTED = FIRST | {"reports": frozenset({"r"})}
IN_REPORT = {"names": frozenset({"r"})}


@pytest.mark.parametrize(
    ("situation", "change", "before", "told"),
    [
        ("the same tube and time, later", {}, {}, True),
        ("a new tube number, the same time", {"samples": frozenset({b"other"})}, {}, True),
        ("no specimen, the same time", {"samples": frozenset()}, {"samples": frozenset()}, True),
        ("the same tube, no time told", {"at": None}, {}, True),
        ("the same tube, neither time told", {"at": None}, {"at": None}, True),
        ("corrected by its own status", {"status": "corrected"}, {}, True),
        ("a first result that was preliminary", {}, {"status": "preliminary"}, True),
        ("one code more in the new report", {"codes": ALT | {"urn:lab|GPT"}}, {}, True),
        ("an ordinary later measurement", {"at": 2_000, "samples": frozenset({b"2"})}, {}, False),
        ("a specimen number used again another day", {"at": 2_000}, {}, False),
        ("neither specimen nor time", {"at": None, "samples": frozenset()}, {}, False),
        ("another item", {"codes": frozenset({"http://loinc.org|1920-8"})}, {}, False),
        ("no codes at all", {"codes": frozenset()}, {"codes": frozenset()}, False),
        ("another hospital", {"source": "tcm"}, {}, False),
        ("another type", {"type": "DiagnosticReport"}, {}, False),
        ("told at the same moment", {"told": 5_000}, {}, False),
        ("told earlier", {"told": 4_000}, {}, False),
        ("told who knows when", {}, {"told": 0}, False),
        ("not final yet", {"status": "preliminary"}, {}, False),
        ("withdrawn itself", {"status": "entered-in-error"}, {}, False),
        ("the old one is withdrawn already", {}, {"status": "cancelled"}, False),
        ("the same record in a new version", {"id": "a"}, {}, False),
        ("another panel of the same sample, ordered apart", OTHER, FIRST, False),
        ("another panel, and nobody knows the order", {"panels": OTHER["panels"]}, FIRST, True),
        ("another panel for the same order", OTHER | {"orders": FIRST["orders"]}, FIRST, True),
        ("the same panel ordered again", OTHER | {"panels": FIRST["panels"]}, FIRST, True),
        ("another panel and order, said to correct", OTHER | {"status": "corrected"}, FIRST, True),
        ("another panel and order, amended", OTHER | {"status": "amended"}, FIRST, True),
        ("another panel and order, only added to", OTHER | {"status": "appended"}, FIRST, False),
        ("another panel and order, its own number", OTHER | NUMBER, FIRST | NUMBER, True),
        ("a number used again another day", NUMBER | {"at": 2_000}, NUMBER, False),
        ("one said to correct another sample", {"status": "corrected", "at": 2_000}, {}, False),
        ("named as replaced", OTHER | NAMING | {"codes": BIO, "at": 2_000}, FIRST, True),
        ("named by another hospital", NAMING | {"source": "tcm"}, {}, False),
        ("named before it was told", NAMING | {"told": 4_000}, {}, False),
        ("in a report named as replaced", OTHER | IN_REPORT | {"at": 2_000}, REPORTED, True),
        ("another item of such a report", IN_REPORT | {"codes": BIO}, REPORTED, False),
    ],
)
def test_case(situation: str, change: dict, before: dict, told: bool) -> None:
    new, old = NEW._replace(**change), OLD._replace(**before)
    assert replaces(new, old) is told, situation
    assert ("a" in superseded([old, new])) is told, situation
    assert not (told and replaces(old, new)), "never both of each other"


@pytest.mark.parametrize(("codes", "told"), [(ALT, True), (ALT | {"urn:lab|2"}, False)])
def test_a_report_of_images_needs_all_its_codes(codes: frozenset[str], told: bool) -> None:
    old = OLD._replace(type="DiagnosticReport", at=None)
    assert replaces(NEW._replace(type="DiagnosticReport", codes=codes, at=None), old) is told


results = st.lists(
    st.builds(
        Measured,
        id=st.sampled_from("abcdefgh"),
        type=st.sampled_from(["Observation", "DiagnosticReport"]),
        source=st.sampled_from(["people", "tcm"]),
        codes=st.frozensets(st.sampled_from("xyz"), max_size=2),
        samples=st.frozensets(st.sampled_from([b"1", b"2"]), max_size=2),
        at=st.sampled_from([None, 1, 2]),
        told=st.integers(0, 3),
        status=st.sampled_from(["final", "corrected", "preliminary", "cancelled"]),
        orders=st.frozensets(st.sampled_from([b"1", b"2"]), max_size=1),
        panels=st.frozensets(st.sampled_from("pq"), max_size=1),
        reports=st.frozensets(st.sampled_from("rs"), max_size=1),
        names=st.frozensets(st.sampled_from("abrs"), max_size=1),
        numbers=st.frozensets(st.sampled_from([b"1", b"2"]), max_size=1),
    ),
    max_size=8,
    unique_by=lambda one: one.id,
)


@given(results)
def test_a_whole_record_is_compared_as_its_pairs_are(found: list[Measured]) -> None:
    expected = {old.id for old in found if any(replaces(new, old) for new in found)}
    assert superseded(found) == expected
