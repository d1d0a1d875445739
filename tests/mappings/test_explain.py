"""Every element can be traced to the field, the value, the functions, the table row and the rule it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

import mappings
from mappings.engine import Map, load
from mappings.engine.explain import Explained, Resource

HERE = Path(__file__).parent
SITES = Path(mappings.__file__).parent / "sites"
ORU = HERE / "cases" / "people" / "oru-marks-and-flags.hl7"
CASES = sorted(
    path
    for folder in ("cases", "rows_cases", "fhirinput_cases", "dicom_cases")
    for path in (HERE / folder).glob("*/*")
    if not path.name.endswith((".fhir.json", ".issues.txt"))
)


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


@pytest.fixture(scope="module")
def people() -> Map:
    return load(SITES / "people")


@pytest.fixture(scope="module")
def told(people: Map) -> Explained:
    return people.explain(ORU.read_bytes(), ids, origin="0011")


def first(told: Explained, block: str) -> Resource:
    return next(one for said in told.messages for one in said.resources if one.block == block)


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_explained_is_what_is_read(case: Path) -> None:
    site = load(SITES / case.parent.name)
    raw = case.read_bytes()
    told, reading = site.explain(raw, ids, "0011"), site.read(raw, ids, "0011")
    assert tuple(said.message for said in told.messages) == reading.messages
    assert told.issues == reading.issues
    assert told.release == site.release
    for said in told.messages:
        made = [one.mapped for one in said.resources if one.mapped is not None]
        assert not said.message.resources or made == list(said.message.resources)


def test_a_code_is_traced_to_its_field_its_table_row_and_its_rule(told: Explained) -> None:
    (code,) = first(told, "Observation").at("code")
    assert [(found.address, found.place, found.text) for found in code.sources] == [
        ("OBX-3", "OBX[1]-3 (line 5)", "ALT^【全国HR】丙氨酸氨基转移酶"),
        ("OBR-15.1", "OBR[1]-15.1 (line 4)", "SER"),
    ]
    (step,) = code.steps
    assert step.function == "concept"
    assert [(one.table, one.code, one.line) for one in step.looked] == [
        ("items", "ALT", "lis_items.csv:3")
    ]
    lines = (SITES.parent / "base" / "oru_r01.toml").read_text().splitlines()
    (line,) = [
        n for n, text in enumerate(lines, 1) if text.startswith('"code"') and "concept" in text
    ]
    assert code.line == f"base/oru_r01.toml:{line}"
    assert code.text.startswith("OBX-3 | concept(")
    assert '"1742-6"' in code.value


def test_the_table_row_is_named_for_every_result_not_only_the_first(told: Explained) -> None:
    for said in told.messages:
        for one in said.resources:
            for element in one.at("valueQuantity"):
                if '"code"' not in element.value:
                    continue  # A unit no table knows.
                asked = [looked for step in element.steps for looked in step.looked]
                assert "units.csv" in "".join(looked.line for looked in asked if looked.known)


def test_an_element_that_a_function_gave_beside_its_own_is_traced_too(told: Explained) -> None:
    mark = [one for one in first(told, "Observation").at("extension") if one.offered]
    assert [(one.rule, one.sources[0].address) for one in mark] == [("code", "OBX-3")]


def test_a_choice_is_named_by_its_type_and_the_second_identifier_by_its_number(
    told: Explained,
) -> None:
    assert [one.rule for one in first(told, "Observation").at("valueQuantity")] == ["value[x]"]
    assert [one.path for one in first(told, "Patient").at("identifier")] == [
        "identifier",
        "identifier[1]",
    ]


def test_siblings_share_what_was_found_above_them(told: Explained) -> None:
    second = [
        one for said in told.messages for one in said.resources if one.block == "Observation"
    ][1]
    (issued,) = second.at("issued")
    assert [found.place for found in issued.sources] == ["OBR[1]-22 (line 4)"]
    assert [element.sources[0].address for element in second.key] == ["OBR-3.1", "OBX-3.1"]
    assert second.clock is not None
    assert second.clock.sources[0].address == "OBR-22"


def test_a_silent_rule_says_why(told: Explained) -> None:
    silent = {one.rule: one for one in first(told, "Observation").silent}
    assert silent["note"].why == "empty"
    assert silent["note"].addresses == ("NTE[*]-3[*]",)


def test_a_null_a_bad_value_and_a_held_resource_say_why(people: Map) -> None:
    raw = ORU.read_bytes().replace(b"|19800101|", b"|19801345|")
    raw = raw.replace(b"|||F|||2026", b"|||?|||2026", 1).replace(b"||CH|F\r", b"||CH|?\r", 1)
    told = people.explain(raw, ids)
    birth = {one.rule: one for one in first(told, "Patient").silent}["birthDate"]
    assert (birth.why, [issue.code for issue in birth.issues]) == ("nothing", ["bad-time"])
    assert [found.text for found in birth.sources] == ["19801345"]
    assert first(told, "Observation").outcome == "held"
    null = people.explain(ORU.read_bytes().replace(b"|19800101|", b'|""|'), ids)
    assert {one.rule: one.why for one in first(null, "Patient").silent}["birthDate"] == "null"


def test_fields_no_rule_reads_are_listed_with_their_place(people: Map) -> None:
    raw = ORU.read_bytes().replace(b"\rOBR|", b"|||AMB\rOBR|", 1)
    raw = raw.replace(b"\rPV1|", b"\rZPI|1|secret\rPV1|", 1)
    (said,) = people.explain(raw, ids).messages
    unread = {one.address: (one.count, one.place) for one in said.unread}
    assert unread["ZPI-2"] == (1, "ZPI (line 3)".replace("ZPI", "ZPI-2"))
    assert "OBX-5" not in unread
    assert "PID-3" not in unread
    assert "secret" not in repr(unread)


def test_a_column_that_no_rule_reads_is_listed(tmp_path: Path) -> None:
    site = SITES / "tcm"
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "lis_items.csv").write_bytes(
        (site / "codes" / "lis_items.csv").read_bytes()
    )
    text = (site / "lis.toml").read_text(encoding="utf-8")
    text += '\n[Observation]\n"interpretation" = "drop(\'colours\')"\n"extension(result-raw)" = "JG | result_raw"\n'
    (tmp_path / "lis.toml").write_text(text, encoding="utf-8")
    raw = (HERE / "rows_cases" / "tcm" / "values-as-written.csv").read_bytes()
    told = load(tmp_path).explain(raw, ids)
    unread = {one.address for said in told.messages for one in said.unread}
    assert unread == {"TS"}
    covered = load(tmp_path).coverage([raw])
    assert [one.address for one in covered.unread] == ["TS"]


def test_coverage_counts_what_fired_and_what_nobody_reads(people: Map) -> None:
    raw = ORU.read_bytes().replace(b"\rPV1|", b"\rZPI|1|secret\rPV1|", 1)
    covered = people.coverage([raw, raw])
    assert (covered.deliveries, covered.messages) == (2, 2)
    uses = {(use.map, use.block, use.rule): use for use in covered.rules}
    code = uses["people.lis.oru", "Observation", "code"]
    assert code.fired == code.made > 4
    assert uses["people.his.adt", "Patient", "telecom"] in covered.silent
    assert ("ZPI-2", 2) in [(one.address, one.count) for one in covered.unread]
    assert not any(one.address in ("PID-3", "OBX-5", "OBX-1", "MSH-10") for one in covered.unread)


def test_coverage_counts_the_resources_that_reading_gives(people: Map) -> None:
    raw = (ORU.parent / "oru-u-v-b-and-what-is-not-asked.hl7").read_bytes()
    made = [
        one for one in people.read(raw, ids).messages[0].resources if one.block == "Observation"
    ]
    uses = {(use.map, use.block, use.rule): use for use in people.coverage([raw]).rules}
    assert uses["people.lis.oru", "Observation", "subject"].made == len(made) > 1


def test_fhir_that_passes_through_lists_what_was_changed() -> None:
    case = HERE / "fhirinput_cases" / "mch" / "codes-added-and-references-rewritten.json"
    site = load(SITES / "mch")
    told = site.explain(case.read_bytes(), ids)
    changed = {one.path for said in told.messages for res in said.resources for one in res.elements}
    assert "Observation.code.coding" in changed
    assert site.coverage([case.read_bytes()]).rules == ()
