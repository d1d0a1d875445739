"""Documents inside messages: decoded strictly, known by their content, stored once, never leaked into a result."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import Map, Message, load
from mappings.engine.attachments import MARK, declared, sniff
from mappings.engine.reader import Limits

PEOPLE = load(Path(__file__).parent.parent.parent / "mappings" / "sites" / "people")
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 8 + b"\n%%EOF\n"
HEAD = (
    "MSH|^~\\&|LIS|330421A|GATEWAY|330421|20260302102100||ORU^R01|{control}|P|2.4|||AL|AL|CHN|GBK",
    "PID|1||{number}^^^330421A&HIS^MR||王珅||19800101|M",
    "OBR|1|R1|S1|ECG^心电图|||20260302075800|||||||||||||||20260302102100||EC|F",
)


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


def encoded(data: bytes, width: int = 0, end: str = "\r\n") -> str:
    text = base64.b64encode(data).decode()
    return end.join(text[at : at + width] for at in range(0, len(text), width)) if width else text


def read(
    value: str,
    type_: str = "ED",
    number: str = "0000812345",
    site: Map = PEOPLE,
    control: str = "1",
) -> Message:
    lines = [line.format(number=number, control=control) for line in HEAD]
    lines.append(f"OBX|1|{type_}|PDF^心电图报告||{value}||||||F")
    (message,) = site.read(("\r".join(lines) + "\r").encode("gb18030"), ids).messages
    return message


def made(message: Message, type_: str) -> list[dict[str, Any]]:
    return [json.loads(one.text()) for one in message.resources if one.type == type_]


def issues(message: Message) -> set[tuple[str, str]]:
    return {(issue.severity, issue.code) for issue in message.issues}


@pytest.mark.parametrize(
    "value",
    [
        "LIS^AP^PDF^Base64^{data}",
        "^AP^PDF^BASE64^{data}",  # no source
        "LIS^^AP^PDF^Base64^{data}",  # the type one component further
        "^^^^{data}",  # nothing said
        "{data}",  # the data alone
        "PDF^{data}",
    ],
)
@pytest.mark.parametrize(("width", "end"), [(0, ""), (76, "\r\n"), (76, "\n"), (64, "\\.br\\")])
def test_a_document_is_found_however_it_stands_in_the_field(
    value: str, width: int, end: str
) -> None:
    message = read(value.format(data=encoded(PDF, width, end)))
    (binary,) = made(message, "Binary")
    assert base64.b64decode(binary["data"]) == PDF
    assert binary["contentType"] == "application/pdf"
    (document,) = made(message, "DocumentReference")
    (report,) = made(message, "DiagnosticReport")
    (attachment,) = [one["attachment"] for one in document["content"]]
    assert report["presentedForm"] == [attachment]
    assert attachment == {
        "contentType": "application/pdf",
        "url": f"Binary/{binary['id']}",
        "size": len(PDF),
        "hash": base64.b64encode(hashlib.sha1(PDF, usedforsecurity=False).digest()).decode(),
    }
    assert not made(message, "Observation")


def test_the_same_document_is_one_binary_of_one_patient() -> None:
    value = f"LIS^AP^PDF^Base64^{encoded(PDF)}"
    first, again, other = (
        made(read(value, number=number, control=control), "Binary")[0]["id"]
        for number, control in (("1", "a"), ("1", "b"), ("2", "c"))
    )
    assert first == again != other


@pytest.mark.parametrize("type_", ["TX", "ST", "FT", ""])
def test_base64_in_a_field_of_words_is_a_document_all_the_same(type_: str) -> None:
    message = read(encoded(PDF), type_)
    assert len(made(message, "Binary")) == 1
    assert not made(message, "Observation")


def test_a_long_report_in_words_is_no_document() -> None:
    message = read("the patient is well and " * 60, "TX")
    assert made(message, "Observation")
    assert not made(message, "Binary")


@pytest.mark.parametrize(
    "broken", [encoded(PDF)[:-3], encoded(PDF)[:100] + "==" + encoded(PDF)[100:], "====" * 40]
)
def test_a_broken_document_is_held_and_the_rest_goes_through(broken: str) -> None:
    message = read(f"LIS^AP^PDF^Base64^{broken}")
    assert ("hold", "attachment-broken") in issues(message)
    assert not made(message, "Binary")
    assert not made(message, "DocumentReference")
    assert made(message, "DiagnosticReport")


def test_a_document_larger_than_the_source_may_send_is_held() -> None:
    limits = msgspec.structs.replace(PEOPLE.source.limits, attachment=len(PDF) - 1)
    small = replace(PEOPLE, source=msgspec.structs.replace(PEOPLE.source, limits=limits))
    message = read(f"LIS^AP^PDF^Base64^{encoded(PDF)}", site=small)
    assert ("hold", "attachment-too-large") in issues(message)
    assert not made(message, "Binary")
    assert Limits().attachment == 20_000_000


def test_hexadecimal_is_an_encoding_too() -> None:
    (binary,) = made(read(f"LIS^AP^PDF^Hex^{PDF.hex()}"), "Binary")
    assert base64.b64decode(binary["data"]) == PDF


def test_a_pointer_is_kept_as_said_and_never_fetched() -> None:
    message = read("http://10.1.2.3/pacs?study=1.2.3^PACS^IM^JPEG", "RP")
    (document,) = made(message, "DocumentReference")
    assert document["content"] == [
        {"attachment": {"contentType": "image/jpeg", "url": "http://10.1.2.3/pacs?study=1.2.3"}}
    ]
    assert not made(message, "Binary")


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        (b"%PDF-1.7", "application/pdf"), (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF89a", "image/gif"), (b"II*\x00", "image/tiff"),
        (b"MM\x00*", "image/tiff"), (b"BM6", "image/bmp"), (b"{\\rtf1", "application/rtf"),
        (b"PK\x03\x04", "application/zip"), (bytes(128) + b"DICM", "application/dicom"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "application/xml"), (b"<html>", "text/html"),
        ("心电图".encode(), "text/plain; charset=utf-8"),
        ("心电图".encode("gb18030"), "text/plain; charset=gb18030"), (b"\x00\x01\x02", ""),
    ],
)  # fmt: skip
def test_the_first_bytes_say_what_a_document_is(data: bytes, type_: str) -> None:
    assert sniff(data) == type_


def test_a_type_that_is_not_what_it_says_is_noted_and_the_content_decides() -> None:
    message = read(f"LIS^IM^JPEG^Base64^{encoded(PDF)}")
    assert ("note", "attachment-type") in issues(message)
    assert made(message, "Binary")[0]["contentType"] == "application/pdf"
    assert declared(("LIS", "application/pdf", "")) == "application/pdf"


def test_two_megabytes_in_short_lines_are_read_like_any_other() -> None:
    data = PDF * 1000
    (binary,) = made(read(f"LIS^AP^PDF^Base64^{encoded(data, 76)}"), "Binary")
    assert base64.b64decode(binary["data"]) == data


@given(
    st.text(alphabet="ABCxyz019+/=\r\n^~&\\ |", max_size=700),
    st.sampled_from(["ED", "TX", "NM", "RP"]),
)
def test_whatever_stands_in_the_field_no_token_is_ever_told_as_content(
    value: str, type_: str
) -> None:
    message = read(value.replace("\r", "\r\n"), type_)
    for one in message.resources:
        assert MARK.encode() not in one.text()
