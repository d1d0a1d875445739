"""Whatever a message is wrapped in, what comes out reads like the message by itself."""

from __future__ import annotations

import base64
import csv
import dataclasses
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import Map, envelope, load
from mappings.engine.model import Reading
from tests.mappings.test_rows_golden import SITES, ids

HERE = Path(__file__).parent
LOADED = {name: load(SITES / name) for name in ("tcm-cda", "people", "tcm", "mch")}
INNER: dict[str, tuple[str, str, str]] = {
    # form -> site, file, how its text is written
    "CDA": ("tcm-cda", "xml_cases/tcm-cda/c0006-ultrasound.xml", "utf-8"),
    "HL7 v2": ("people", "cases/people/oru-ultrasound-report.hl7", "gb18030"),
    "CSV rows": ("tcm", "rows_cases/tcm/values-as-written.csv", "gb18030"),
    "JSON rows": ("tcm", "rows_cases/tcm/corrected-and-withdrawn.json", "utf-8"),
    "FHIR": ("mch", "fhirinput_cases/mch/codes-added-and-references-rewritten.json", "utf-8"),
}  # fmt: skip
SOAP11, SOAP12 = (
    "http://schemas.xmlsoap.org/soap/envelope/",
    "http://www.w3.org/2003/05/soap-envelope",
)


def within(site: Map, *steps: str, **options: object) -> Map:
    """The map of a source that declares an envelope."""
    source = site.source
    changed = msgspec.structs.replace(
        source, options={**source.options, "envelope": list(steps), **options}
    )
    return dataclasses.replace(site, source=changed)


def soap(payload: str, version: str = SOAP11) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{version}"><s:Header><id>1</id></s:Header><s:Body>'
        f'<q:invoke xmlns:q="urn:platform"><serviceCode>S01</serviceCode><payload>{payload}</payload>'
        "</q:invoke></s:Body></s:Envelope>"
    ).encode()


def in_base64(raw: bytes) -> str:
    return "\n".join(base64.encodebytes(raw).decode().split())


WRAPPED: dict[str, tuple[tuple[str, ...], Callable[[str, bytes], bytes]]] = {
    "escaped text in SOAP 1.1": (
        ("soap:Body/*/payload", "text", "xml"),
        lambda text, raw: soap(escape(text, {"\r": "&#13;"})),
    ),
    "CDATA in SOAP 1.2": (
        ("soap:Body/*/payload", "cdata"),
        lambda text, raw: soap(f"<![CDATA[{text}]]>".replace("\r", "]]>&#13;<![CDATA["), SOAP12),
    ),
    "base64 in SOAP": (
        ("soap:Body/*/payload", "base64"),
        lambda text, raw: soap(in_base64(raw)),
    ),
    "gzip in base64 in JSON": (
        ("json:body.data", "base64", "gzip"),
        lambda text, raw: json.dumps(
            {"head": {"transCode": "T1"}, "body": {"data": in_base64(gzip.compress(raw))}}
        ).encode(),
    ),
    "a string in JSON": (
        ("json:Body.Data", "text"),
        lambda text, raw: json.dumps({"body": {"data": text}}, ensure_ascii=False).encode(),
    ),
    "two SOAP layers": (
        ("soap:Body/*/payload", "text", "Request/Body", "cdata"),
        lambda text, raw: soap(
            escape(
                '<?xml version="1.0" encoding="GBK"?><Request><Header><sender>HIS</sender></Header>'
                f"<Body>{escape(text, {chr(13): '&#13;'})}</Body></Request>",
                {"\r": "&#13;"},
            )
        ),
    ),
    "the names in another case": (
        ("BSXML/Content", "text"),
        lambda text, raw: (
            f"<bsXml><MsgHeader/><CONTENT>{escape(text, {chr(13): '&#13;'})}</CONTENT></bsXml>"
        ).encode(),
    ),
    "gzip alone": (("gzip",), lambda text, raw: gzip.compress(raw)),
}  # fmt: skip


def bodies(reading: Reading) -> list[tuple[str, bytes]]:
    return [
        (one.type, one.text())
        for message in reading.messages
        for one in message.resources
        if one.type != "Provenance"
    ]


def stops(reading: Reading) -> list[tuple[str, str]]:
    return [(one.code, one.place) for one in reading.issues if one.severity == "stop"]


@pytest.mark.parametrize("form", INNER)
@pytest.mark.parametrize("wrapping", WRAPPED)
def test_what_is_wrapped_reads_like_what_is_not(wrapping: str, form: str) -> None:
    name, file, codec = INNER[form]
    raw = (HERE / file).read_bytes()
    steps, wrap = WRAPPED[wrapping]
    site = within(LOADED[name], *steps)
    wrapped = wrap(raw.decode(codec), raw)

    expected = bodies(LOADED[name].read(raw, ids))
    assert expected
    assert bodies(site.read(wrapped, ids)) == expected
    # Kept apart, message by message, nothing is lost either.
    units = site.units(wrapped)
    assert [one for unit in units for one in bodies(site.read(unit.raw, ids))] == expected
    if len(units) == 1:
        assert units[0].raw == wrapped


@pytest.mark.parametrize("form", INNER)
def test_a_message_that_is_not_wrapped_is_taken_as_it_is(form: str) -> None:
    name, file, _ = INNER[form]
    raw = (HERE / file).read_bytes()
    for steps, _ in WRAPPED.values():
        if steps[0] == "json:body.data" and form == "FHIR":
            continue
        assert bodies(within(LOADED[name], *steps).read(raw, ids)) == bodies(
            LOADED[name].read(raw, ids)
        )


def test_an_element_within_is_a_document_of_its_own() -> None:
    raw = (HERE / INNER["CDA"][1]).read_bytes()
    bare = raw.decode().partition("?>")[2]
    for payload, steps in (
        (bare, ("soap:Body/*/payload", "xml")),
        (f"<doc>{bare}</doc>", ("soap:Body/*/payload/doc/*",)),
    ):
        site = within(LOADED["tcm-cda"], *steps)
        assert bodies(site.read(soap(payload), ids)) == bodies(LOADED["tcm-cda"].read(raw, ids))


def test_one_envelope_may_hold_several_messages_and_each_is_kept_alone() -> None:
    texts = [
        (HERE / f"xml_cases/tcm-cda/{name}.xml").read_text().partition("?>")[2]
        for name in ("c0006-ultrasound", "c0053-admission-and-discharge")
    ]
    site = within(LOADED["tcm-cda"], "soap:Body/*/payload", "xml")
    wrapped = soap("".join(texts))
    units = site.units(wrapped)
    assert len(units) == 2
    assert b"C0053" not in units[0].raw
    assert [unit.control_id for unit in units] == ["D202603020026", "D202603020073"]
    apart = [one for unit in units for one in bodies(site.read(unit.raw, ids))]
    assert apart == bodies(site.read(wrapped, ids))
    assert {message.patient for message in site.read(wrapped, ids).messages} == {
        message.patient
        for text in texts
        for message in LOADED["tcm-cda"].read(text.encode("gb18030"), ids).messages
    }


def test_rows_in_xml_read_like_rows_in_csv() -> None:
    site = LOADED["tcm"]
    raw = (HERE / "rows_cases/tcm/values-as-written.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(raw.decode("gb18030"), newline="")))
    as_elements = "".join(
        "<Row>"
        + "".join(f"<{n.lower()}>{escape(v)}</{n.lower()}>" for n, v in row.items() if v)
        + "</Row>"
        for row in rows
    )
    as_attributes = "".join(
        "<ROW " + " ".join(f"{n}={quoteattr(v)}" for n, v in row.items()) + "/>" for row in rows
    )
    for wrapped in (as_elements, as_attributes):
        text = (
            f'<?xml version="1.0" encoding="GBK"?><BSXML><LABREQUEST>{wrapped}</LABREQUEST></BSXML>'
        )
        peeled = within(site, "BSXML/LABREQUEST", "rows:ROW")
        reading = peeled.read(text.encode("gb18030"), ids)
        assert bodies(reading) == bodies(site.read(raw, ids))


def test_a_column_that_is_new_in_xml_stops_the_delivery_as_in_csv() -> None:
    site = within(LOADED["tcm"], "rows:L/ROW")
    reading = site.read(b"<L><ROW><BRID>1</BRID><XYZ>2</XYZ></ROW></L>", ids)
    assert [code for code, _ in stops(reading)] == ["columns-new"]


FAULTS: dict[str, tuple[tuple[str, ...], bytes, str]] = {
    "no such element": (("soap:Body/*/payload", "text"), soap("x").replace(b"payload", b"other"), "envelope-not-found"),
    "a SOAP fault": (
        ("soap:Body/*/payload", "text"),
        f'<s:Envelope xmlns:s="{SOAP11}"><s:Body/></s:Envelope>'.encode(),
        "envelope-not-found",
    ),
    "no such member": (("json:body.data", "text"), b'{"head":{}}', "envelope-not-found"),
    "JSON with a member twice": (("json:a", "text"), b'{"a":"1","a":"2"}', "json-duplicate"),
    "broken base64": (("soap:Body/*/payload", "base64"), soap("a$b"), "envelope-base64"),
    "broken gzip": (("soap:Body/*/payload", "base64", "gzip"), soap(in_base64(b"\x1f\x8bxxxx")), "envelope-gzip"),
    "gzip cut short": (
        ("soap:Body/*/payload", "base64", "gzip"),
        soap(in_base64(gzip.compress(b"MSH" * 400)[:-9])),
        "envelope-gzip",
    ),
    "no gzip at all": (("soap:Body/*/payload", "base64", "gzip"), soap(in_base64(b"MSH|")), "envelope-gzip"),
    "a DOCTYPE outside": (("soap:Body/*/payload", "text"), b"<!DOCTYPE a><a/>", "xml-doctype"),
    "a DOCTYPE inside": (("soap:Body/*/payload", "text", "a/b"), soap("&lt;!DOCTYPE a>&lt;a/>"), "xml-doctype"),
    "text pasted without escaping": (
        ("Request/Body", "text"),
        b"<Request><Body><JG>A & B</JG></Body></Request>",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_layer_that_is_not_there_is_a_stop_with_its_place(fault: str) -> None:
    steps, raw, code = FAULTS[fault]
    site = within(LOADED["people"], *steps)
    reading = site.read(raw, ids)
    assert not bodies(reading)
    told = [*stops(reading), *(s for m in reading.messages for s in stops(Reading((), m.issues)))]
    assert [one for one, _ in told] == [code or "defect-bare-ampersand"]
    if code.startswith(("envelope", "json")):
        assert told[0][1]
    # What cannot be peeled is kept whole.
    assert [unit.raw for unit in site.units(raw)] == [raw]


def test_a_bomb_in_gzip_stops_at_the_limit_of_its_source() -> None:
    site = LOADED["people"]
    limits = msgspec.structs.replace(site.source.limits, bytes=100_000)
    small = dataclasses.replace(site, source=msgspec.structs.replace(site.source, limits=limits))
    bomb = gzip.compress(b"M" * 50_000_000)
    assert len(bomb) < 100_000
    reading = within(small, "gzip").read(bomb, ids)
    assert stops(reading) == [("too-many-bytes", "gzip")]


def test_more_messages_than_the_source_may_send_are_a_stop() -> None:
    site = LOADED["tcm-cda"]
    limits = msgspec.structs.replace(site.source.limits, messages=3)
    small = dataclasses.replace(site, source=msgspec.structs.replace(site.source, limits=limits))
    reading = within(small, "l/*").read(b"<l><a/><a/><a/><a/></l>", ids)
    assert stops(reading) == [("too-many-messages", "l/*")]


STEPS = st.sampled_from(
    ["soap:Body/*/payload", "a/b", "*", "text", "cdata", "xml", "base64", "gzip", "json:a.b",
     "json:a[*]", "rows:r"]
)  # fmt: skip
PIECES = st.sampled_from(
    [b"<a>", b"</a>", b"<b>", b"</b>", b"<r x='1'/>", b"MSH|^~\\&|", b'{"a":', b"[", b"]", b"}", b'"b"',
     b"\x1f\x8b\x08", b"TVNI", b"&lt;", b"<![CDATA[", b"]]>", b"\xff\xfe", b"\xb0\xa1", b"\x00",
     b"<?xml version='1.0' encoding='GBK'?>", soap("x")]
)  # fmt: skip


@given(
    st.lists(STEPS, min_size=1, max_size=4), st.lists(PIECES | st.binary(max_size=8), max_size=12)
)
def test_no_envelope_and_no_bytes_make_it_raise(steps: list[str], pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    for name in ("tcm-cda", "people", "tcm", "mch"):
        site = within(LOADED[name], *steps)
        reading = site.read(raw, ids)
        units = site.units(raw)
        assert units
        if stops(reading) and not reading.messages:
            assert [unit.raw for unit in units] == [raw] or name == "tcm"


def test_lint_names_a_step_nobody_knows(tmp_path: Path) -> None:
    bad = within(LOADED["people"], "soap:Body/*/payload", "unzip!", "json:a[b]").source
    assert [zh.split("；")[0] for zh, _ in envelope.lint(bad)] == [
        "envelope 里不认识 unzip!",
        "envelope 里不认识 json:a[b]",
    ]
