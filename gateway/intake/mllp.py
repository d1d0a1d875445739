"""The MLLP door: hospitals' interface engines over TCP, by client certificate or declared range.

Who speaks is settled before a byte of HL7 is read: an address inside a declared plain range speaks
plain, everybody else TLS with a client certificate. Each connection stands alone; what one sender
breaks, no other notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from gateway.errors import Problem
from gateway.intake import er7
from gateway.intake.framing import FrameFault, Frames, framed
from gateway.intake.hl7ack import Fault, Header
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.store.inbox import SourceRow

_LOG = logging.getLogger(__name__)
_CHUNK = 65_536
_LINGER = 2.0
_STRANGERS_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: within a frame, for a whole frame, between frames, for TLS."""

    within: float = 60.0
    frame: float = 600.0
    between: float = 3_600.0
    handshake: float = 15.0
    closing: float = 5.0


@dataclass(slots=True)
class Counts:
    """What has happened at this door since it opened."""

    connections: int = 0
    frames: int = 0
    refused: int = 0  # connections of nobody we know
    truncated: int = 0  # ended, or fell silent, inside a frame
    misframed: int = 0
    too_large: int = 0
    crowded: int = 0  # turned away because too much was being received at once


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS that demands a client certificate, None when no certificate of ours is configured."""
    if settings.tls_certificate == Path() or settings.tls_client_ca == Path():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key = settings.tls_key if settings.tls_key != Path() else None
    context.load_cert_chain(settings.tls_certificate, key)
    context.load_verify_locations(settings.tls_client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True, slots=True)
class _Peer:
    """How a connection may name its source: by certificate, or by MSH-4 among declared sources."""

    fingerprint: str = ""
    declared: tuple[str, ...] = ()

    def among(self, sources: Sequence[SourceRow]) -> tuple[SourceRow, ...]:
        if self.fingerprint:
            return tuple(
                one
                for one in sources
                if one.certificate.replace(":", "").lower() == self.fingerprint
            )
        return tuple(one for one in sources if one.name in self.declared and one.facility)

    def sender(self, mine: Sequence[SourceRow]) -> er7.Sender:
        """A certificate speaks for its one source; plain messages say which in MSH-4."""
        if self.fingerprint:
            return lambda header: mine[0] if len(mine) == 1 else None
        by_facility = {one.facility: one for one in mine}

        def named(header: Header) -> SourceRow | None:
            return by_facility.get(header.facility)

        return named


class MllpDoor:
    """A listening MLLP door; made by `open_door`."""

    def __init__(self, services: Services, listener: socket.socket, patience: Patience) -> None:
        self.services = services
        self.counts = Counts()
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._patience = patience
        self._tls = tls_context(services.settings)
        self._held = 0
        self._closing = False
        self._connections: dict[asyncio.Task[None], asyncio.Event] = {}
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Accept nothing more; what is being kept is still kept and acknowledged."""
        self._closing = True
        self._accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        self._listener.close()
        for task, busy in list(self._connections.items()):
            if not busy.is_set():
                task.cancel()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=self._patience.closing)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as fault:  # out of descriptors, most likely: others go on
                _LOG.warning("no connection can be accepted: %s", type(fault).__name__)
                await asyncio.sleep(0.2)
                continue
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.counts.connections += 1
            busy = asyncio.Event()
            task = asyncio.create_task(self._serve(connection, str(address[0]), busy))
            self._connections[task] = busy
            task.add_done_callback(self._connections.pop)

    async def _serve(self, connection: socket.socket, address: str, busy: asyncio.Event) -> None:
        """One connection from its first byte to its last; whatever breaks, breaks here."""
        declared = self._declared(address)
        tls = None if declared else self._tls
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_CHUNK, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=tls,
                ssl_handshake_timeout=self._patience.handshake if tls else None,
            )
        except (OSError, TimeoutError):
            self.counts.refused += 1
            connection.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        peer = _Peer(_fingerprint(writer), declared)
        try:
            await self._note_end(writer, peer)
            await self._converse(reader, writer, peer, busy)
        except (OSError, TimeoutError):
            pass  # the sender has gone; what was kept is kept, and it will send the rest again
        except Problem:
            _LOG.warning("an MLLP connection was closed: the store cannot answer")
        except Exception as unforeseen:  # never its text
            _LOG.error("an MLLP connection broke: %s", type(unforeseen).__name__)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _LINGER)

    async def _note_end(self, writer: asyncio.StreamWriter, peer: _Peer) -> None:
        """Keep when the certificate just shown ends, so that the IT office is told in time."""
        if not peer.fingerprint:
            return
        ends = _ends(writer)
        for name, _, fingerprint, known in await self.services.db.read(inbox.CERTIFICATES):
            if fingerprint == peer.fingerprint and known != ends:
                await self.services.db.do(_keep_end, name, ends)

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: _Peer,
        busy: asyncio.Event,
    ) -> None:
        known = peer.fingerprint or peer.declared
        frames = Frames(self.services.settings.body_limit if known else _STRANGERS_LIMIT)
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        patience = self._patience
        counted = 0
        try:
            while True:
                if not frames.begun:
                    begun_at = loop.time()
                try:
                    async with asyncio.timeout(
                        min(patience.within, begun_at + patience.frame - loop.time())
                        if frames.begun
                        else patience.between
                    ):
                        chunk = await reader.read(_CHUNK)
                except TimeoutError:
                    chunk = b""
                if not chunk:
                    self.counts.truncated += frames.begun
                    return
                busy.set()
                whole, fault = frames.feed(chunk)
                if whole and not await self._answer(whole, writer, peer):
                    return
                self._held += frames.held - counted
                counted = frames.held
                if fault is None and self._held > 4 * self.services.settings.body_limit:
                    self.counts.crowded += 1
                    refusal = er7.refusal(frames.beginning, Fault.BUSY, self.services)
                    await self._last_word(reader, writer, refusal)
                    return
                if fault is not None:
                    await self._misframed(fault, reader, writer)
                    return
                busy.clear()
                if self._closing:
                    return
        finally:
            self._held -= counted

    async def _answer(
        self, whole: Sequence[bytes], writer: asyncio.StreamWriter, peer: _Peer
    ) -> bool:
        """Keep and acknowledge frames; False when nobody we know is speaking."""
        self.counts.frames += len(whole)
        rows = await self.services.db.read(inbox.SOURCES)
        mine = peer.among([SourceRow(*row) for row in rows])
        answers = await er7.deliver(whole, peer.sender(mine), self.services, "mllp")
        writer.write(b"".join(framed(answer.text) for answer in answers))
        async with asyncio.timeout(self._patience.within):
            await writer.drain()
        if not mine:
            self.counts.refused += 1
        return bool(mine)

    async def _misframed(
        self, fault: FrameFault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A connection that lost its place: say why if it is known, and let the sender begin again."""
        if fault.reason == "unended":  # which of the two the sender meant, we cannot know
            self.counts.truncated += 1
            return
        if fault.reason == "too-large":
            self.counts.too_large += 1
            told = Fault.TOO_LARGE
        else:
            self.counts.misframed += 1
            told = Fault.NOT_HL7
        answer = er7.refusal(fault.beginning, told, self.services)
        await self._last_word(reader, writer, answer)

    async def _last_word(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
    ) -> None:
        """Answer a sender that is still sending, and read on a little so that it gets the answer."""
        writer.write(framed(answer))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LINGER):
                await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                while await reader.read(_CHUNK):
                    pass

    def _declared(self, address: str) -> tuple[str, ...]:
        """The sources that may speak plainly from this address."""
        try:
            here = ip_address(address.partition("%")[0])
        except ValueError:
            return ()
        here = getattr(here, "ipv4_mapped", None) or here
        ranges = self.services.settings.plain_ranges
        return tuple(source for source, network in ranges if here in network)


def _fingerprint(writer: asyncio.StreamWriter) -> str:
    """SHA-256 of the client's certificate in hex, "" on a plain connection."""
    tls = writer.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return sha256(certificate).hexdigest() if certificate else ""


def _ends(writer: asyncio.StreamWriter) -> int:
    """When the client's certificate ends, µs UTC; 0 where it does not say."""
    shown = writer.get_extra_info("ssl_object").getpeercert() or {}
    return int(ssl.cert_time_to_seconds(shown["notAfter"])) * 1_000_000 if shown else 0


def _keep_end(tx: Tx, source: str, ends: int) -> None:
    tx.run(inbox.CERTIFICATE_ENDS, source, ends)


async def open_door(
    services: Services,
    host: str | None = None,
    port: int | None = None,
    patience: Patience | None = None,
) -> MllpDoor:
    """Listen where the settings say; `port` 0 takes a free one. OSError when that cannot be."""
    host = services.settings.host if host is None else host
    port = services.settings.mllp_port if port is None else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=128)
    listener.setblocking(False)
    return MllpDoor(services, listener, patience or Patience())
