"""Fetches images from the hospitals' archives over DICOMweb: only of the register's addresses.

Paths are made here from checked UIDs, redirects are not followed, what an archive says about itself is
not passed on, and a fault names the organisation and the kind of fault, never a study. Answers come as they
are or not at all: nothing is unpacked, and each has a size and a time it may take.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import structlog

from gateway.errors import Kind, Problem
from gateway.services.register import Archive

log = structlog.get_logger(__name__)

PATIENCE = httpx.Timeout(10.0, connect=2.0)
LARGEST_TEXT = 32_000_000
LARGEST_BODY = 600_000_000
LONGEST = 30.0  # seconds for a list
LONGEST_BODY = 300.0  # seconds for an image
DICOM_JSON = "application/dicom+json"
TYPES = frozenset(
    {DICOM_JSON, "application/json", "multipart/related", "image/jpeg", "image/png",
     "application/octet-stream"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Streamed:
    """An archive's answer: its media type as sent, and its bytes as they come."""

    media_type: str
    body: AsyncIterator[bytes]


class Archives:
    """The archives of the county, each with a client of its own."""

    def __init__(self, archives: Mapping[str, Archive]) -> None:
        self._archives = archives
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._beside: set[asyncio.Task[None]] = set()
        self.asked: dict[str, set[tuple[str, ...]]] = {}
        """By organisation, what its archive is being asked beside; see `exchange.image_probes`."""

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for; it ends with the services, and what fails is told."""
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.warning("archive not asked", kind=type(fault).__name__)

    async def settled(self) -> None:
        """Wait for what runs beside."""
        await asyncio.gather(*self._beside, return_exceptions=True)

    def has(self, organization: str) -> bool:
        """Whether this organisation's images can be fetched at all."""
        return organization in self._archives

    async def json(self, organization: str, path: str) -> list[dict[str, Any]]:
        """The DICOM JSON model objects under `path`; nothing found is an empty list.

        Problem BUSY when the archive cannot be asked or answers something else.
        """
        try:
            async with asyncio.timeout(LONGEST):
                text = await self._text(organization, path)
            found = orjson.loads(text) if text else []
        except (TimeoutError, httpx.HTTPError, orjson.JSONDecodeError) as fault:
            raise _trouble(organization, type(fault).__name__) from None
        if not _is_dicom_json(found):
            raise _trouble(organization, "not a list of objects")
        return found

    async def _text(self, organization: str, path: str) -> bytes:
        answer = await self._send(organization, path, DICOM_JSON)
        try:
            if answer.status_code in (204, 404):
                return b""
            self._whole(organization, answer)
            text = bytearray()
            async for piece in answer.aiter_raw():
                text += piece
                if len(text) > LARGEST_TEXT:
                    raise _trouble(organization, "too large")
            return bytes(text)
        finally:
            await answer.aclose()

    async def stream(self, organization: str, path: str, accept: str) -> Streamed | None:
        """What stands under `path`, as it comes; None when there is nothing."""
        answer = await self._send(organization, path, accept)
        if answer.status_code in (204, 404):
            await answer.aclose()
            return None
        try:
            self._whole(organization, answer)
        except Problem:
            await answer.aclose()
            raise
        return Streamed(answer.headers.get("content-type", ""), _pieces(answer))

    async def close(self) -> None:
        """Let go of connections."""
        for task in self._beside:
            task.cancel()
        await self.settled()
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))
        self._clients.clear()

    def _whole(self, organization: str, answer: httpx.Response) -> None:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if answer.status_code != 200:
            raise _trouble(organization, f"status {answer.status_code}")
        if kind not in TYPES:
            raise _trouble(organization, "media type")
        if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise _trouble(organization, "packed")  # a few bytes may unpack to any number

    async def _send(self, organization: str, path: str, accept: str) -> httpx.Response:
        client = self._client(organization)
        plain = {"accept": accept, "accept-encoding": "identity"}
        request = client.build_request("GET", path, headers=plain)
        try:
            async with asyncio.timeout(LONGEST):
                return await client.send(request, stream=True)
        except (TimeoutError, httpx.HTTPError) as fault:
            raise _trouble(organization, type(fault).__name__) from None

    def _client(self, organization: str) -> httpx.AsyncClient:
        archive = self._archives.get(organization)
        if archive is None:
            raise _trouble(organization, "no archive in the register")
        client = self._clients.get(organization)
        if client is None:
            headers = {}
            if archive.password_file:
                try:
                    secret = Path(archive.password_file).read_bytes().strip()
                except OSError as fault:
                    raise _trouble(organization, type(fault).__name__) from None
                headers["authorization"] = f"Basic {base64.b64encode(secret).decode()}"
            client = self._clients[organization] = httpx.AsyncClient(
                base_url=archive.dicomweb.rstrip("/") + "/",
                headers=headers,
                timeout=PATIENCE,
                follow_redirects=False,
                trust_env=False,
            )
        return client


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The body; a fault in the middle breaks the answer off where everybody can see it."""
    size, ends = 0, asyncio.get_running_loop().time() + LONGEST_BODY
    try:
        async for piece in answer.aiter_raw():
            size += len(piece)
            if size > LARGEST_BODY or asyncio.get_running_loop().time() > ends:
                raise Problem(Kind.BUSY, "The archive sent too much, or too slowly.")
            yield piece
    finally:
        await answer.aclose()


def _is_dicom_json(found: Any) -> bool:
    """Objects of attributes, each an object whose Value, if it has one, is a list (PS3.18, F.2)."""
    return isinstance(found, list) and all(
        isinstance(one, dict)
        and all(
            isinstance(said, dict) and isinstance(said.get("Value", []), list)
            for said in one.values()
        )
        for one in found
    )


def _trouble(organization: str, what: str) -> Problem:
    return Problem(Kind.BUSY, f"The image archive of {organization} cannot be asked now: {what}.")
