"""The people's hospital's golden cases: received bytes, the FHIR they become, the issues they raise.

``UPDATE_CASES=1 pytest tests/mappings/test_er7_golden.py`` writes the expected files anew; read the
difference before keeping it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from mappings.engine import Map, Message, Reading, load

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases" / "people").glob("*.hl7"))
PEOPLE = HERE.parent.parent / "mappings" / "sites" / "people"


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


@pytest.fixture(scope="module")
def people() -> Map:
    return load(PEOPLE)


def written(reading: Reading, release: str) -> bytes:
    texts = [mapped.text() for message in reading.messages for mapped in message.resources]
    joined = b"[" + b",".join(texts) + b"]"
    return msgspec.json.format(joined.replace(release.encode(), b"RELEASE"), indent=1) + b"\n"


def told(reading: Reading) -> str:
    lines: list[str] = []
    for message in reading.messages:
        lines.append(f"{message.control_id} {message.kind} {len(message.resources)}")
        lines += [f"identifier {found.system}" for found in message.identifiers]
        lines += [
            f"{mapped.mode} {mapped.type} {mapped.place} clock={mapped.clock}"
            + (f" deletes={','.join(mapped.deletes)}" if mapped.deletes else "")
            for mapped in message.resources
        ]
        lines += [f"{issue.severity} {issue.code} {issue.place}" for issue in message.issues]
    return "\n".join(lines) + "\n"


def expected(path: Path, content: bytes) -> bytes:
    if os.environ.get("UPDATE_CASES"):
        path.write_bytes(content)
    return path.read_bytes()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_received_message_becomes_just_this(case: Path, people: Map) -> None:
    reading = people.read(case.read_bytes(), ids, origin="0011223344556677")
    content = written(reading, people.release)
    assert content.decode() == expected(case.with_suffix(".fhir.json"), content).decode()
    issues = told(reading).encode()
    assert issues.decode() == expected(case.with_suffix(".issues.txt"), issues).decode()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_what_comes_out_is_valid_fhir_in_a_second_opinion(case: Path, people: Map) -> None:
    for message in people.read(case.read_bytes(), ids).messages:
        for mapped in message.resources:
            get_fhir_model_class(mapped.type).model_validate_json(mapped.text())


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_same_message_in_utf_8_gives_the_same(case: Path, people: Map) -> None:
    other = in_charset(people, "utf-8")
    raw = case.read_bytes()
    assert bodies(other.read(raw.decode("gb18030").encode(), ids)) == bodies(people.read(raw, ids))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_line_ends_do_not_matter(case: Path, end: bytes, people: Map) -> None:
    raw = case.read_bytes()
    assert bodies(people.read(raw.replace(b"\r", end), ids)) == bodies(people.read(raw, ids))


def test_a_batch_says_the_same_as_its_messages_one_by_one(people: Map) -> None:
    raws = [case.read_bytes() for case in CASES]
    count = sum(raw.count(b"MSH|") for raw in raws)
    head, tail = b"FHS|^~\\&|HIS\rBHS|^~\\&|HIS\r", f"BTS|{count}\rFTS|1\r".encode()
    together = people.read(head + b"".join(raws) + tail, ids)
    singles = [message for raw in raws for message in people.read(raw, ids).messages]
    assert together.issues == ()
    assert [inside(message) for message in together.messages] == [inside(m) for m in singles]
    assert [m.issues for m in together.messages] == [m.issues for m in singles]


def test_reading_twice_gives_the_same_bytes(people: Map) -> None:
    for case in CASES:
        raw = case.read_bytes()
        assert people.read(raw, ids) == load(PEOPLE).read(raw, ids)


def test_no_issue_repeats_a_value(people: Map) -> None:
    for case in CASES:
        for message in people.read(case.read_bytes(), ids).messages:
            for issue in message.issues:
                for secret in ("王珅", "0000812345", "33042119", "62.40", "阴性(-)"):
                    assert secret not in issue.text("zh") + issue.text("en")


def in_charset(site: Map, charset: str) -> Map:
    return replace(site, source=msgspec.structs.replace(site.source, charset=charset))


def inside(message: Message) -> list[bytes]:
    """The resources but the Provenance, whose key is the digest of the bytes as received."""
    return [mapped.text() for mapped in message.resources if mapped.type != "Provenance"]


def bodies(reading: Reading) -> list[list[bytes]]:
    return [inside(message) for message in reading.messages]
