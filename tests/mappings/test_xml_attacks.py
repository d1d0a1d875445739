"""Hostile XML is refused with a place, in time and memory that its own size bounds; and no bytes make it raise."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.engine import load
from mappings.engine.model import Reading
from mappings.engine.xmlparse import DEPTH, LONGEST_ATTRIBUTE
from tests.mappings.test_rows_golden import SITES, ids

SITE = load(SITES / "tcm-cda")
CASES = sorted((Path(__file__).parent / "xml_cases" / "tcm-cda").glob("*.xml"))
SOUND = CASES[0].read_bytes()
SECRET = "王珅"


def stops(reading: Reading) -> list[str]:
    found = [*reading.issues, *(issue for one in reading.messages for issue in one.issues)]
    return [issue.code for issue in found if issue.severity == "stop"]


def within(begin: str, content: str, end: str = "") -> bytes:
    """A document of the right kind around something hostile."""
    head = '<ClinicalDocument xmlns="urn:hl7-org:v3"><templateId root="2.16.156.10011.2.1.1.27"/>'
    return f"{begin}{head}{content}{end}</ClinicalDocument>".encode()


LAUGHS = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(12)
)  # fmt: skip
ATTACKS: dict[str, tuple[bytes, set[str]]] = {
    "an external entity": (
        within('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "<title>&x;</title>"),
        {"xml-doctype"},
    ),
    "an external entity in an attribute": (
        within('<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1/">]>', '<id extension="&x;"/>'),
        {"xml-doctype"},
    ),
    "a parameter entity": (
        within('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]>', ""),
        {"xml-doctype"},
    ),
    "an external DTD": (within('<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">', ""), {"xml-doctype"}),
    "billion laughs": (within(f"<!DOCTYPE a [{LAUGHS}]>", "<title>&l11;</title>"), {"xml-doctype"}),
    "a DOCTYPE behind comments": (
        within("<!-- a --><?x y?>\n<!-- <b> --><!DOCTYPE a [<!ENTITY x 'y'>]>", "&x;"),
        {"xml-doctype"},
    ),
    "an entity nobody defined": (within("", "<title>&passwd;</title>"), {"xml-broken"}),
    "nesting": (within("", "<a>" * 300, "</a>" * 300), {"xml-too-deep"}),
    "nesting without an end": (within("", "<a>" * 100_000), {"xml-too-deep"}),
    "a giant attribute": (
        within("", f'<id extension="{"9" * (LONGEST_ATTRIBUTE + 1)}"/>'),
        {"xml-attribute-too-long"},
    ),
    "a giant attribute in single quotes": (
        within("", f"<id extension = '{'9' * (LONGEST_ATTRIBUTE + 1)}'/>"),
        {"xml-attribute-too-long"},
    ),
    "a giant number of elements": (within("", "<a/>" * 500_000), {"xml-too-many-elements"}),
    "a giant number of attributes": (
        within("", "<a " + " ".join(f'a{n}="1"' for n in range(900_000)) + "/>"),
        {"xml-too-many-elements"},
    ),
    "a giant number of namespaces": (
        within("", "<a " + " ".join(f'xmlns:a{n}="u{n}"' for n in range(900_000)) + "/>"),
        {"xml-too-many-elements"},
    ),
    "the same attribute twice": (within("", '<id root="1" root="2"/>'), {"xml-broken"}),
    "a byte that is no character": (within("", "<title></title>") + b"\xe4", {"charset-broken", "defect-encoding-gb18030"}),
    "an unknown encoding": (within('<?xml version="1.0" encoding="ebcdic"?>', ""), {"xml-encoding-unknown"}),
    "UTF-7": (within('<?xml version="1.0" encoding="UTF-7"?>', "+ADw-"), {"xml-encoding-unknown"}),
    "two documents": (SOUND + SOUND.partition(b"?>")[2], {"xml-broken"}),
    "half a document": (SOUND[: len(SOUND) // 2], {"xml-broken", "defect-encoding-gb18030"}),
    "nothing": (b"", {"empty"}),
    "space": (b" \r\n\t ", {"empty"}),
    "HL7": (b"MSH|^~\\&|LIS|", {"xml-broken", "defect-bare-ampersand"}),
    "a lone declaration": (b'<?xml version="1.0"?>', {"xml-broken"}),
    "a document nobody has a map for": (b"<html><body/></html>", {"no-map"}),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_xml_is_a_stop_that_quotes_nothing(attack: str) -> None:
    raw, codes = ATTACKS[attack]
    reading = SITE.read(raw, ids)
    assert set(stops(reading)) & codes, stops(reading)
    assert not any(message.resources for message in reading.messages)
    told = [*reading.issues, *(issue for one in reading.messages for issue in one.issues)]
    for issue in told:
        text = issue.text("zh") + issue.text("en")
        assert "passwd" not in text
        assert "127.0.0.1" not in text
        assert issue.code not in issue.text("zh").split(" [")[0] or issue.code == "empty"
    assert [unit.raw for unit in SITE.units(raw)] == [raw]


def test_a_document_at_the_depth_that_is_allowed_is_read() -> None:
    levels = DEPTH - 2
    raw = within("", "<a>" * levels, "</a>" * levels)
    assert "xml-too-deep" not in stops(SITE.read(raw, ids))


def test_a_text_of_many_megabytes_is_read_and_one_beyond_the_limit_is_not() -> None:
    long = SOUND.replace("上腹隐痛三月".encode(), "腹痛".encode() * 2_000_000)
    assert len(long) > 10_000_000
    assert not stops(SITE.read(long, ids))
    limits = msgspec.structs.replace(SITE.source.limits, bytes=1_000_000)
    small = dataclasses.replace(SITE, source=msgspec.structs.replace(SITE.source, limits=limits))
    assert stops(small.read(long, ids)) == ["too-many-bytes"]


def test_depth_is_counted_too_where_a_text_is_huge() -> None:
    raw = within("", "<t>" + "x" * 10_500_000 + "</t>" + "<a>" * 300, "</a>" * 300)
    assert stops(SITE.read(raw, ids)) == ["xml-too-deep"]


def test_memory_stays_within_a_small_multiple_of_the_bytes() -> None:
    """Python's own part; what libxml2 takes is bounded by the counts of elements and attributes."""
    raw = within("", "<entry><observation/></entry>" * 30_000)
    tracemalloc.start()
    SITE.read(raw, ids)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(raw)


def test_comments_and_instructions_are_no_part_of_a_value() -> None:
    damaged = SOUND.replace(b'extension="T0000123"', b'extension="T0000123"', 1).replace(
        "<name>王珅</name>".encode(), "<name>王<!-- 假 --><?x 假?>珅</name>".encode()
    )
    assert damaged != SOUND
    (said,) = SITE.read(damaged, ids).messages
    (sound,) = SITE.read(SOUND, ids).messages
    assert [one.text() for one in said.resources if one.type == "Patient"] == [
        one.text() for one in sound.resources if one.type == "Patient"
    ]


TAGS = st.sampled_from(
    ["ClinicalDocument", "recordTarget", "patientRole", "id", "value", "entry", "observation", "code",
     "organizer", "component", "section", "effectiveTime", "low", "x:y", "Title"]
)  # fmt: skip
ATTRIBUTES = st.sampled_from(
    ['root="2.16.156.10011.1.11"', 'extension="1"', 'code="DE04.30.019.00"', 'value="5.6"', 'code=""',
     'value=""', 'nullFlavor="UNK"', 'root="16.156.10011.1.3"', 'codeSystem="2.16.156.1001l.2"',
     'xsi:type="PQ"', 'determnerCode="I"', 'ID="a"', 'unit="mmol/L"']
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", "血清", "6.10", "<", "&", "&nbsp;", "]]>", "\x0b", "&#x0;", "<![CDATA[ & ]]>"]
)


@st.composite
def elements(draw: st.DrawFn, depth: int = 0) -> str:
    tag = draw(TAGS)
    inside = "".join(
        draw(TEXTS) if depth > 4 or draw(st.booleans()) else draw(elements(depth + 1))
        for _ in range(draw(st.integers(0, 3)))
    )
    attributes = " ".join(draw(st.lists(ATTRIBUTES, max_size=3)))
    return f"<{tag} {attributes}>{inside}</{tag}>"


@settings(max_examples=150)
@given(elements(), st.sampled_from(["utf-8", "gb18030", "utf-16"]), st.booleans())
def test_no_document_makes_it_raise(element: str, codec: str, kind: bool) -> None:
    raw = within("", element) if kind else element.encode(codec)
    reading = SITE.read(raw, ids)
    for issue in [*reading.issues, *(i for m in reading.messages for i in m.issues)]:
        assert issue.text("zh")
    assert SITE.units(raw)[0].raw == raw
    # Generated code, the interpreter and the explanation say the same.
    assert SITE.interpreted().read(raw, ids) == reading
    explained = SITE.explain(raw, ids)
    assert [one.message.resources for one in explained.messages] == [
        message.resources for message in reading.messages
    ]


@settings(max_examples=150)
@given(st.data())
def test_no_damage_to_a_sound_document_makes_it_raise(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(CASES)).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        much = data.draw(st.integers(0, 40))
        raw[at : at + much] = data.draw(
            st.binary(max_size=6) | st.just(b"") | st.just(b"<!DOCTYPE")
        )
    reading = SITE.read(bytes(raw), ids)
    assert SITE.interpreted().read(bytes(raw), ids) == reading
    for issue in [*reading.issues, *(i for m in reading.messages for i in m.issues)]:
        assert SECRET not in issue.text("zh") + issue.text("en")


# What must make no difference at all.


def said(raw: bytes) -> list[tuple[str, bytes]]:
    return [
        (one.type, one.text())
        for message in SITE.read(raw, ids).messages
        for one in message.resources
        if one.type != "Provenance"
    ]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_line_ends_encodings_prefixes_and_order_of_attributes_change_nothing(path: Path) -> None:
    raw = path.read_bytes()
    codec = "gb18030" if b"GB" in raw[:60] else "utf-8"
    text = raw.decode(codec)
    body = text.partition("?>")[2]
    expected = said(raw)
    assert expected
    variants = {
        "CRLF": text.replace("\n", "\r\n").encode(codec),
        "CR": text.replace("\n", "\r").encode(codec),
        "GBK": f'<?xml version="1.0" encoding="GBK"?>{body}'.encode("gb18030"),
        "GB2312": f'<?xml version="1.0" encoding="gb2312"?>{body}'.encode("gb18030"),
        "UTF-8": f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode(),
        "UTF-8 with a mark": b"\xef\xbb\xbf" + body.strip().encode(),
        "UTF-16": f'<?xml version="1.0" encoding="UTF-16"?>{body}'.encode("utf-16"),
        "no declaration, the charset of the source": body.encode("gb18030"),
        "space around": b"\r\n " + raw + b"\n\n",
        "a prefix": body.replace("</", "</c:").replace('xmlns="', 'xmlns:c="').encode("gb18030"),
    }
    variants["a prefix"] = re.sub(
        r"<(?=[A-Za-z])", "<c:", variants["a prefix"].decode("gb18030")
    ).encode("gb18030")
    for name, variant in variants.items():
        assert variant != raw or name in ("UTF-8", "GBK", "GB2312"), name
        assert said(variant) == expected, name
