"""The load: keep-alive connections that send prepared requests and trust no answer unseen.

Every answer's status and length are checked, so that an error is never counted as speed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

CONNECTIONS = 16
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every answer of a load must be: its status, and the least and most bytes of its body."""

    status: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one load saw: answers as wanted, seconds, how long each took (s), and wrong answers."""

    count: int
    seconds: float
    took: Sequence[float]
    wrong: int

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return self.count / self.seconds

    def quantile(self, part: float) -> float:
        """Milliseconds within which that part of the answers came."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1_000 if ordered else 0.0


class _Line(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last is complete."""

    def __init__(self, requests: Sequence[bytes], wanted: Wanted, ends: float) -> None:
        self._requests = requests
        self._status = b"HTTP/1.1 %d" % wanted.status
        self._wanted = wanted
        self._ends = ends
        self._turn = 0
        self._head = b""
        self._left = -1  # bytes of the body still to come; -1 while the head is being read
        self._right = True
        self._sent = 0.0
        self.took: list[float] = []
        self.wrong = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._sent = time.perf_counter()
        if self._sent >= self._ends:
            self._transport.close()
            return
        self._transport.write(self._requests[self._turn % len(self._requests)])
        self._turn += 1

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            length = _length(head)
            self._right = (
                self._head.startswith(self._status)
                and self._wanted.least <= length <= self._wanted.most
            )
            self._left = length - (len(self._head) - end - 4)
            self._head = b""
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._left = -1
            if self._right:
                self.took.append(time.perf_counter() - self._sent)
            else:
                self.wrong += 1
            self._next()

    def connection_lost(self, fault: Exception | None) -> None:
        if time.perf_counter() < self._ends:
            self.wrong += 1  # the server hung up
        if not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int:
    at = head.find(_LENGTH)
    if at < 0:
        return 0
    end = head.find(b"\r\n", at)
    return int(head[at + len(_LENGTH) : end if end >= 0 else len(head)])


async def load(
    port: int, requests: Sequence[Sequence[bytes]], wanted: Wanted, seconds: float
) -> Load:
    """Send `requests[n]` round and round on connection n, each as soon as the one before is answered."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    lines = []
    for own in requests:
        _, line = await loop.create_connection(
            lambda own=own: _Line(own, wanted, started + seconds),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        lines.append(line)
    await asyncio.wait_for(asyncio.gather(*(line.done for line in lines)), seconds + 30)
    took = [one for line in lines for one in line.took]
    spent = time.perf_counter() - started
    return Load(len(took), spent, took, sum(line.wrong for line in lines))


def get(path: str, token: str) -> bytes:
    """A prepared request."""
    return (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {token}\r\n"
        "accept: application/fhir+json\r\n\r\n"
    ).encode()
