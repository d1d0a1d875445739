"""Whatever stands in the fields of a message, what a map makes of it is valid FHIR R4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mappings.engine import load

HERE = Path(__file__).parent
PEOPLE = load(HERE.parent.parent / "mappings" / "sites" / "people")
MESSAGES = [
    path.read_bytes().decode("gb18030")
    for path in sorted((HERE / "cases" / "people").glob("*.hl7"))
]

ODD = [
    "", '""', " ", "  a  b ", "\\X00\\", "\\X07\\x", "x" * 70, "0", "-1", "1.50", "20260302",
    "20261399", "19000101", "99991231", "2026-03-02T25:00:00", "http://x y", "{}", "null", "男",
    "M", "F", "X", "N", "W", "阴性(-)", "<5", "1:80", "+++", "1E400", "9" * 40, "\u3000", "\u00a0",
    "\u2028", "^^^", "&&", "~~", "NaN", "\\E\\", "\\F\\", "urn:uuid:1", "#x", "Patient/1", "^血清",
]  # fmt: skip


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return blake2b(repr((space, type_, tuple(key))).encode(), digest_size=16).hexdigest()


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A good message with odd texts in a few fields or components."""
    text = draw(st.sampled_from(MESSAGES)).replace("\r\n", "\r").replace("\n", "\r")
    segments = [segment.split("|") for segment in text.split("\r")]
    for _ in range(draw(st.integers(1, 4))):
        fields = draw(st.sampled_from(segments))
        if len(fields) < 2 or fields[0] == "MSH":
            continue
        number = draw(st.integers(1, len(fields) - 1))
        parts = fields[number].split("^")
        parts[draw(st.integers(0, len(parts) - 1))] = draw(st.sampled_from(ODD))
        fields[number] = "^".join(parts)
    return "\r".join("|".join(fields) for fields in segments).encode("gb18030")


def at_a_place(place: str) -> bytes:
    """An admission to a ward of which one component alone is said."""
    text = next(text for text in MESSAGES if "ADT^A01" in text and "|I|" in text)
    segments = [segment.split("|") for segment in re.split(r"[\r\n]+", text)]
    for fields in segments:
        if fields[0] == "PV1":
            fields[3] = place
    return "\r".join("|".join(fields) for fields in segments).encode("gb18030")


@settings(max_examples=300)
@given(spoiled())
@example(at_a_place("^^^^产科"))
@example(at_a_place("^^^^^^^3"))
def test_odd_fields_never_make_an_invalid_resource(raw: bytes) -> None:
    reading = PEOPLE.read(raw, ids, gate=PEOPLE.gate(everything=True))
    faults = [
        (issue.code, issue.place, issue.rule)
        for message in reading.messages
        for issue in message.issues
        if issue.code.startswith("r4-") or issue.code == "json-number-range"
    ]
    assert faults == []
