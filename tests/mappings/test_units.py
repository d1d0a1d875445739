"""Units: a delivery cut into what is kept apart gives the same resources as the whole, and the same bytes again."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from gateway.intake import hl7ack
from mappings.engine import Issue, Map, TooLarge, Unit, er7, load
from mappings.engine.reader import Limits
from tests import public

SITES = Path(mappings.__file__).parent / "sites"
HERE = Path(__file__).parent
PEOPLE, TCM, MCH = (load(SITES / name) for name in ("people", "tcm", "mch"))
SAMPLES = load(HERE.parent / "journeys" / "sites" / "hl7v2")


def ids(space: str, kind: str, key: Sequence[str]) -> str:
    return blake2b("\0".join([space, kind, *key]).encode(), digest_size=16).hexdigest()


def said(site: Map, deliveries: Sequence[bytes]) -> Counter[tuple[object, ...]]:
    """Everything that would be filed, without the places, which count from the start of a delivery."""
    found: Counter[tuple[object, ...]] = Counter()
    for raw in deliveries:
        for message in site.read(raw, ids).messages:
            if message.resources:
                found[(message.patient, message.identifiers, message.timestamp)] += 1
            for one in message.resources:
                found[
                    (one.text(), one.kept_meta, one.clock, one.mode, one.deletes, one.unions)
                ] += 1
    return found


def same_said_in_units(site: Map, raw: bytes) -> list[Unit]:
    units = site.units(raw)
    assert said(site, [unit.raw for unit in units]) == said(site, [raw])
    assert site.units(raw) == units
    assert all(site.units(unit.raw) == [unit] for unit in units)
    return units


# --- HL7 v2 ----------------------------------------------------------------------------------------

RESULT = (
    "MSH|^~\\&|LIS|330421A|GW|330421|20260302102100||ORU^R01|{id}|P|2.4\r"
    "PID|1||{patient}^^^330421A&HIS^MR||王珅||19800101|M\r"
    "OBR|1|R{id}|S1|LFT^肝功能|||20260302075800|||||||||||||||20260302102100||CH|F\r"
    "OBX|1|NM|ALT^谷丙||6.10|U/L|||||F\r"
)


def result(id: str, patient: str = "0000812345", end: str = "\r") -> bytes:
    return RESULT.format(id=id, patient=patient).replace("\r", end).encode("gb18030")


def test_a_batch_becomes_its_messages_and_its_envelope_belongs_to_none() -> None:
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + result("1") + result("2", "77") + b"BTS|2\rFTS|1\r"

    units = same_said_in_units(PEOPLE, batch)

    assert units == [Unit(result("1"), "1"), Unit(result("2", "77"), "2")]


def test_a_message_alone_is_kept_as_it_came() -> None:
    for raw in (result("1"), b"\xef\xbb\xbf" + result("1", end="\n"), b"\r\n" + result("1")):
        assert same_said_in_units(PEOPLE, raw) == [Unit(raw, "1")]


def test_frames_in_a_file_are_no_part_of_the_messages() -> None:
    framed = b"".join(b"\x0b" + result(id) + b"\x1c\r" for id in "123")
    assert same_said_in_units(PEOPLE, framed) == [Unit(result(id), id) for id in "123"]


def test_a_message_of_a_file_is_the_same_unit_as_through_the_doors() -> None:
    for delivery in (
        result("1") + result("2"),
        b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + result("1") + b"BTS|1\r",
        result("1", end="\r\n") + result("2", end="\r\n"),
        b"\xef\xbb\xbf" + result("1", end="\n") + b"\n" + result("2", end="\n"),
        result("1"),
    ):
        units = PEOPLE.units(delivery)
        assert [unit.raw for unit in units] == hl7ack.cut(delivery)
        for unit in units:
            header = hl7ack.peek(unit.raw, "gb18030")
            assert header is not None
            assert header.control_id == unit.control_id


def test_a_batch_that_is_short_is_said() -> None:
    issues: list[Issue] = []
    short = b"BHS|^~\\&|A\r" + result("1") + b"BTS|2\r"
    list(PEOPLE.stream(io.BytesIO(short), issues))
    assert [(issue.severity, issue.code) for issue in issues] == [("alarm", "batch-short")]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("123"), st.sampled_from(["77", "78"])), min_size=2),
    st.sampled_from(["\r", "\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 300),
)
def test_wherever_a_stream_is_broken_the_units_are_the_same(
    told: list[tuple[str, str]], end: str, batch: bool, chunk: int
) -> None:
    raw = b"".join(result(*one, end) for one in told)
    if batch:
        raw = b"BHS|^~\\&|A" + end.encode() + raw + b"BTS|%d" % len(told) + end.encode()
    units = same_said_in_units(PEOPLE, raw)
    assert len(units) == len(told)

    usual, er7._CHUNK = er7._CHUNK, chunk
    try:
        assert list(PEOPLE.stream(io.BytesIO(raw), [])) == units
    finally:
        er7._CHUNK = usual


@pytest.mark.parametrize(
    "path", public.files("ms-fhir-converter-hl7v2", suffixes=(".hl7",)), ids=lambda path: path.stem
)
def test_published_messages_are_units_as_they_came(path: Path) -> None:
    raw = path.read_bytes()
    (unit,) = same_said_in_units(SAMPLES, raw)
    assert unit.raw == raw
    assert unit.control_id


# --- rows ------------------------------------------------------------------------------------------

COLUMNS = str(TCM.source.options["columns"]).split(",")
CELLS = st.text(st.sampled_from('ab珅玘,"\r\n |1.0<'), max_size=5)


def rows(patients: Sequence[tuple[str, str, str]], cell: str = "") -> list[list[str]]:
    given = {"XM": "王珅", "XMDM": "0401", "XMMC": cell, "ZT": "2", "GXSJ": "2026-03-02 08:00:00"}
    given |= {"BGSJ": "2026-03-02 08:00:00"}
    return [
        [({"BRID": patient, "BGDH": report, "JG": value} | given).get(name, "") for name in COLUMNS]
        for patient, report, value in patients
    ]


def as_csv(table: Sequence[Sequence[str]], end: str = "\r\n") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(COLUMNS)
    writer.writerows(table)
    return text.getvalue().encode("gb18030")


def as_json(table: Sequence[Sequence[str]], lines: bool) -> bytes:
    texts = [json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) for row in table]
    return ("\n".join(texts) if lines else f"[{', '.join(texts)}]").encode()


TOLD = [("T1", "B1", "6.10"), ("T1", "B1", "<0.01"), ("T2", "B2", "5.00")]


def test_the_rows_of_one_report_are_a_unit_with_the_heading() -> None:
    table = rows(TOLD)
    units = same_said_in_units(TCM, as_csv(table))
    assert units == [Unit(as_csv(table[:2])), Unit(as_csv(table[2:]))]


def test_rows_of_an_array_and_of_lines_are_the_same_units() -> None:
    table = rows(TOLD)
    units = same_said_in_units(TCM, as_json(table, lines=False))
    assert len(units) == 2
    assert same_said_in_units(TCM, as_json(table, lines=True)) == units


def test_a_row_of_another_width_is_a_unit_of_its_own() -> None:
    table = rows(TOLD)
    broken = [*table[:1], ["T9", "x"], *table[1:]]
    units = same_said_in_units(TCM, as_csv(broken))
    assert units == [
        Unit(as_csv([["T9", "x"]])),
        Unit(as_csv(table[:2])),
        Unit(as_csv(table[2:])),
    ]


def test_what_cannot_be_read_to_its_end_is_one_unit() -> None:
    whole = as_csv(rows(TOLD))
    for raw in (b"", whole + b'"open', whole + b"\xff\xff", whole.replace(b"BRID", b"ID")):
        assert TCM.units(raw) == [Unit(raw)]


def test_a_broken_line_of_json_is_a_unit_of_its_own() -> None:
    lines = as_json(rows(TOLD), lines=True)
    units = TCM.units(lines + b"\n{")
    assert Unit(b"[{]") in units
    assert [one for one in units if one != Unit(b"[{]")] == TCM.units(lines)


def test_a_heading_alone_holds_nothing_to_keep() -> None:
    assert TCM.units(as_csv([])) == []


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["T1", "T2"]), st.sampled_from(["B1", "B2"]), CELLS), min_size=1
    ),
    CELLS,
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.sampled_from(["csv", "json", "lines"]),
)
def test_any_rows_give_the_same_in_units(
    told: list[tuple[str, str, str]], cell: str, end: str, form: str
) -> None:
    table = rows(told, cell)
    raw = as_csv(table, end) if form == "csv" else as_json(table, form == "lines")
    same_said_in_units(TCM, raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_units_again(noise: bytes) -> None:
    for site in (PEOPLE, TCM, MCH):
        for raw in (noise, as_csv(rows(TOLD)) + noise, result("1") + noise, b'{"a":1}\n' + noise):
            assert site.units(raw) == site.units(raw)


# --- FHIR ------------------------------------------------------------------------------------------


def test_each_line_of_ndjson_is_a_unit_and_a_bad_line_too() -> None:
    line = b'{"resourceType":"Patient","id":"p%d","birthDate":"1980-01-01"}'
    raw = line % 1 + b"\r\n\n" + b'{"resourceType":' + b"\n" + line % 2
    units = same_said_in_units(MCH, raw)
    assert [unit.raw for unit in units] == [line % 1, b'{"resourceType":', line % 2]


def test_a_message_bundle_is_one_unit_under_the_id_of_its_header() -> None:
    for path in (HERE / "fhirinput_cases" / "mch").glob("*.json"):
        if path.name.endswith(".fhir.json"):
            continue
        raw = path.read_bytes()
        (unit,) = same_said_in_units(MCH, raw)
        control_ids = {message.control_id for message in MCH.read(raw, ids).messages}
        assert unit.raw == raw
        assert unit.control_id in {*control_ids, ""}


@pytest.mark.parametrize(
    "path",
    public.files("hl7-fhir-r4-examples", "synthea-bulk-10", suffixes=(".json", ".ndjson")),
    ids=lambda path: path.stem[:40],
)
def test_published_fhir_gives_the_same_in_units(path: Path) -> None:
    raw = path.read_bytes()
    if path.suffix == ".ndjson" and len(raw) > 300_000:
        raw = b"\n".join(raw.split(b"\n")[:50])
    units = same_said_in_units(MCH, raw)
    if path.suffix == ".json":
        assert [unit.raw for unit in units] == [raw]


# --- size ------------------------------------------------------------------------------------------


def test_a_unit_larger_than_its_source_may_send_is_refused_not_read() -> None:
    for site, raw in (
        (PEOPLE, result("1") + b"x" * 3_000),
        (TCM, as_csv(rows([("T1", "B1", "x" * 3_000)]))),
        (MCH, b'{"resourceType":"Patient","id":"' + b"x" * 3_000 + b'"}'),
    ):
        limits = Limits(bytes=1_000)
        source = msgspec.structs.replace(site.source, limits=limits)
        small = Map(
            site.organization, site.release, source, site.input, site.parts, (), site._module
        )
        with pytest.raises(TooLarge):
            list(small.stream(io.BytesIO(raw), []))
        assert small.units(raw) == [Unit(raw)]
