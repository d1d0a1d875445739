"""Attacks by an image archive that was taken over: endless, packed, slow, misshapen and leading elsewhere."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import images
from gateway.services import archives
from gateway.services.archives import Archives
from gateway.services.register import Archive

JSON = b"content-type: application/dicom+json\r\n"
Says = Callable[..., Archives]


@pytest.fixture
async def says() -> AsyncIterator[Says]:
    """An archive that answers every call with these bytes, piece by piece; `asked` keeps the calls."""
    made: list[Archives] = []
    answer: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            for piece in answer:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02 if len(answer) > 50 else 0)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def telling(head: bytes, *body: bytes, status: bytes = b"200 OK") -> Archives:
        answer[:] = [b"HTTP/1.1 " + status + b"\r\nconnection: close\r\n" + head + b"\r\n", *body]
        made.append(Archives({"people": Archive("people", f"http://127.0.0.1:{port}/dicom-web/")}))
        return made[-1]

    asked: list[bytes] = []
    telling.asked = asked  # type: ignore[attr-defined]
    yield telling
    for one in made:
        await one.close()
    server.close()


async def refused(archive: Archives) -> str:
    with pytest.raises(Problem) as told:
        await archive.json("people", "studies")
    assert told.value.kind is Kind.BUSY
    return told.value.text


async def test_nothing_is_unpacked(says: Says) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    packed = says(JSON + b"content-encoding: gzip\r\n", bomb)
    assert "packed" in await refused(packed)
    with pytest.raises(Problem) as told:
        await packed.stream("people", "studies/1/rendered", "image/jpeg")
    assert told.value.kind is Kind.BUSY
    assert all(b"accept-encoding: identity" in one.lower() for one in says.asked)  # type: ignore[attr-defined]


async def test_an_endless_list_and_one_that_drips_end(
    says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LARGEST_TEXT", 100_000)
    assert "too large" in await refused(says(JSON, *[b"[" + b" " * 65_536] * 4))
    monkeypatch.setattr(archives, "LONGEST", 0.3)
    assert "TimeoutError" in await refused(says(JSON, *[b" "] * 1_000))


async def test_an_endless_image_is_broken_off(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_BODY", 100_000)
    found = await says(b"content-type: image/jpeg\r\n", *[b"x" * 65_536] * 4).stream(
        "people", "studies/1/rendered", "image/jpeg"
    )
    assert found is not None
    with pytest.raises(Problem):
        [piece async for piece in found.body]


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b"[1]", b"[[]]", b'[{"0020000D": []}]', b'[{"0020000D": {"Value": {"a": 1}}}]',
        b'[{"0020000D": {"Value": "1.2"}}]', b'[{"0020000D": null}]', b"[NaN]", b"[" * 5_000,
        b"\xff\xfe", b'[{"00200013": {"Value": 7}}]',
    ],
)  # fmt: skip
async def test_what_is_no_list_of_objects_is_said_to_be_none(says: Says, body: bytes) -> None:
    await refused(says(JSON, body))


@pytest.mark.parametrize(
    "head",
    [
        b"content-type: text/html\r\n",
        b"content-type: application/json, text/html\r\n",
        b"",
    ],
)
async def test_another_kind_of_content_is_not_passed_on(says: Says, head: bytes) -> None:
    await refused(says(head, b"[]"))


async def test_a_redirection_is_not_followed(says: Says) -> None:
    archive = says(b"location: /elsewhere\r\n", status=b"302 Found")
    assert "status 302" in await refused(archive)
    (asked,) = says.asked  # type: ignore[attr-defined]
    assert b"elsewhere" not in asked


@pytest.mark.parametrize(
    "uid", ["..", ".", "...", "1..2", ".1", "1.", "", "1.2\n", "１.２", "1/..", "1" * 65]
)
def test_what_leads_elsewhere_is_no_uid(uid: str) -> None:
    assert images.UID.fullmatch(uid) is None


@pytest.mark.parametrize("number", ["²", "٣" * 10, "9" * 5_000, "-1", "1e9", ""])
def test_numbers_of_an_archive_are_numbers_or_nothing(number: str) -> None:
    attributes: Any = {"00200013": {"Value": [number]}}
    assert images._number(images.value(attributes, "00200013")) == 0


def test_a_list_within_lists_does_not_end_the_stack() -> None:
    deep: Any = {"vr": "SQ"}
    for _ in range(900):
        deep = {"00081115": {"Value": [deep]}}
    with pytest.raises(Problem) as told:
        images.rewritten([deep], "/p/")
    assert told.value.kind is Kind.BUSY
