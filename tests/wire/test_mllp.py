"""MLLP over real sockets: certificates, broken frames, silence, crowds, and trouble of our own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import hl7.client
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.auth import client_keys
from gateway.errors import Kind, Problem
from gateway.exchange import sources
from gateway.intake import er7
from gateway.intake.mllp import Patience
from gateway.services.caller import Caller

QUICK = Patience(within=0.3, frame=0.8, between=5, handshake=2, closing=3)


def adt(control_id: str, facility: str = "330421A", more: str = "") -> bytes:
    header = f"MSH|^~\\&|HIS|{facility}|GATEWAY|COUNTY|20260301102100||ADT^A01|{control_id}|P|2.4"
    return f"{header}\rPID|1||0000812345||王珅\r{more}".encode("gb18030")


def frame(content: bytes) -> bytes:
    return b"\x0b" + content + b"\x1c\r"


@contextlib.asynccontextmanager
async def connection(doors, **tls) -> AsyncIterator[tuple]:
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.mllp.port, **tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def answer(reader) -> bytes:
    return (await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 10))[1:-2]


async def hung_up(reader) -> bool:
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 10) == b""
    return True


async def works(doors) -> bool:
    """Whether somebody else is still served."""
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("OTHER")))
        return b"MSA|AA|OTHER" in await answer(reader)


# Senders as they are.


async def test_python_hl7s_own_client_is_answered(doors):
    def send() -> bytes:
        with hl7.client.MLLPClient("127.0.0.1", doors.mllp.port) as client:
            client.send_message(adt("M1"))
            return client.send_message(adt("M2"))

    assert b"MSA|AA|M2" in await asyncio.to_thread(send)
    assert (await doors.received())["people-his"].received == 2


async def test_what_was_acknowledged_is_kept_byte_for_byte(doors):
    raw = adt("M1", more="OBX|1|ST|A||<0.01\r\n")
    async with connection(doors) as (reader, writer):
        writer.write(frame(raw))
        assert b"MSA|AA|M1" in await answer(reader)
    assert await doors.keeps("people-his", raw)


async def test_a_thousand_results_in_one_message_are_one_message(open_doors):
    doors = await open_doors(body_limit=1_000_000)
    more = "".join(f"OBX|{n}|NM|X{n}||6.10|mmol/L\r" for n in range(1, 1_001))
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1", more=more)))
        assert b"MSA|AA|M1" in await answer(reader)


async def test_a_sender_that_does_not_wait_gets_all_answers_in_order(doors):
    async with connection(doors) as (reader, writer):
        writer.write(b"".join(frame(adt(f"M{n}")) for n in range(200)))
        for n in range(200):
            assert b"MSA|AA|M%d\r" % n in await answer(reader)
    assert (await doors.received())["people-his"].received == 200


async def test_frames_that_together_pass_the_limit_are_each_kept(open_doors):
    doors = await open_doors(body_limit=1_000)
    big = adt("BIG", more="NTE|1||" + "x" * 800 + "\r")
    async with connection(doors) as (reader, writer):
        writer.write(frame(big) + frame(adt("M1", more="NTE|1||" + "x" * 800 + "\r")))
        assert b"MSA|AA|BIG" in await answer(reader)
        assert b"MSA|AA|M1" in await answer(reader)


async def test_a_frame_that_trickles_in_byte_by_byte_is_whole(doors):
    async with connection(doors) as (reader, writer):
        for byte in frame(adt("M1")):
            writer.write(bytes([byte]))
            await writer.drain()
        assert b"MSA|AA|M1" in await answer(reader)


# Senders as they should not be.


@pytest.mark.parametrize(
    "bytes_",
    [b"\x0b" + adt("M1"), b"\x0b", b"\x0bMSH|^~\\&|"],
    ids=["no end block", "nothing but a start", "half a header"],
)
async def test_a_truncated_frame_is_not_kept_and_harms_nobody(doors, bytes_):
    async with connection(doors) as (reader, writer):
        writer.write(bytes_)
        writer.write_eof()
        assert await hung_up(reader)
    assert doors.mllp.counts.truncated == 1
    assert (await doors.received())["people-his"].received == 0
    assert await works(doors)


async def test_silence_inside_a_frame_ends_the_connection(open_doors):
    doors = await open_doors(QUICK)
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")) + b"\x0bMSH|")
        assert b"MSA|AA|M1" in await answer(reader)
        assert await works(doors)
        assert await hung_up(reader)
    assert doors.mllp.counts.truncated == 1


async def test_a_frame_may_not_trickle_for_ever(open_doors):
    doors = await open_doors(QUICK)
    async with connection(doors) as (reader, writer):
        writer.write(b"\x0b")
        ended = asyncio.create_task(hung_up(reader))
        for _ in range(50):
            await asyncio.sleep(0.1)  # each byte well within the patience for one
            if ended.done():
                break
            writer.write(b"x")
        assert ended.done()
    assert doors.mllp.counts.truncated == 1


async def test_a_frame_inside_a_frame_is_kept_in_neither_reading(doors):
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")) + b"\x0b" + adt("M2") + frame(adt("M3")))
        assert b"MSA|AA|M1" in await answer(reader)
        assert await hung_up(reader)
    assert (await doors.received())["people-his"].received == 1
    assert await works(doors)


async def test_a_frame_over_the_limit_is_refused_while_it_is_still_being_sent(doors):
    async with connection(doors) as (reader, writer):
        writer.write(b"\x0b" + adt("HUGE") + b"x" * 30_000)
        told = await answer(reader)
        assert b"MSA|AR|HUGE" in told
        assert b"^^^207&" in told
        writer.write(b"x" * 30_000)
    assert doors.mllp.counts.too_large == 1
    assert (await doors.received())["people-his"].received == 0
    assert await works(doors)


async def test_a_browser_at_the_wrong_port_is_told_so_and_hung_up_on(doors):
    async with connection(doors) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"MSA|AR|" in await answer(reader)
        assert await hung_up(reader)
    assert doors.mllp.counts.misframed == 1


async def test_too_much_at_once_is_told_to_come_again(open_doors):
    doors = await open_doors(body_limit=2_000)
    async with contextlib.AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(connection(doors)) for _ in range(5)]
        for n, (_, writer) in enumerate(ends):
            writer.write(b"\x0b" + adt(f"M{n}", more="x" * 1_800))
            await writer.drain()
            await asyncio.sleep(0.05)
        assert b"MSA|AE|M4" in await answer(ends[4][0])
        ends[0][1].write(b"\x1c\r")
        assert b"MSA|AA|M0" in await answer(ends[0][0])
    assert doors.mllp.counts.crowded == 1


async def test_an_address_nobody_declared_is_refused_in_hl7_and_hung_up_on(open_doors):
    doors = await open_doors(mllp_plain="people-his=10.1.0.0/16")
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")) + frame(adt("M2")))
        assert b"MSA|AR|M1" in await answer(reader)
        await answer(reader)
        assert await hung_up(reader)
    assert doors.mllp.counts.refused == 1
    assert (await doors.received())["people-his"].received == 0


async def test_a_declared_range_speaks_for_its_own_source_only(open_doors):
    doors = await open_doors(mllp_plain="tcm-lis=127.0.0.0/8")
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")))
        assert b"MSA|AR|M1" in await answer(reader)


# Trouble of our own.


async def test_a_paused_source_is_told_to_send_again(doors):
    await sources.set_state("people-his", "paused", doors.services)
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")))
        assert b"MSA|AE|M1" in await answer(reader)
        await sources.set_state("people-his", "active", doors.services)
        writer.write(frame(adt("M1")))
        assert b"MSA|AA|M1" in await answer(reader)


@pytest.mark.parametrize(
    "trouble", [Problem(Kind.BUSY, "The disk is full."), MemoryError("王珅"), KeyError("x")]
)
async def test_what_could_not_be_kept_is_never_accepted(doors, monkeypatch, caplog, trouble):
    async def fails(*given):
        raise trouble

    monkeypatch.setattr(er7, "receive", fails)
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")))
        told = await answer(reader)
        assert b"MSA|AE|M1" in told
        monkeypatch.undo()
        writer.write(frame(adt("M1")))
        assert b"MSA|AA|M1" in await answer(reader)
    assert "王珅" not in caplog.text


async def test_no_answer_leaves_before_the_message_is_kept(doors, monkeypatch):
    kept = asyncio.Event()
    really = er7.receive

    async def slow(*given):
        await kept.wait()
        return await really(*given)

    monkeypatch.setattr(er7, "receive", slow)
    async with connection(doors) as (reader, writer):
        writer.write(frame(adt("M1")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        kept.set()
        assert b"MSA|AA|M1" in await answer(reader)


async def test_closing_finishes_what_is_being_kept(open_doors, monkeypatch):
    doors = await open_doors(QUICK)
    begun, go = asyncio.Event(), asyncio.Event()
    really = er7.receive

    async def slow(*given):
        begun.set()
        await go.wait()
        return await really(*given)

    monkeypatch.setattr(er7, "receive", slow)
    async with connection(doors) as (reader, writer), connection(doors) as (idle, _):
        writer.write(frame(adt("M1")))
        await begun.wait()
        closing = asyncio.create_task(doors.mllp.close())
        assert await hung_up(idle)
        go.set()
        assert b"MSA|AA|M1" in await answer(reader)
        await asyncio.wait_for(closing, 3)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", doors.mllp.port)


# TLS.


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "County CA")])
        self.root = self._sign(self.name, self.key, ca=True)
        self.path = self.write("ca", self.root, None)

    def issue(self, name: str) -> tuple[Path, str]:
        """A file with certificate and key, and the certificate's SHA-256."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, ca=False)
        der = certificate.public_bytes(serialization.Encoding.DER)
        return self.write(name, certificate, key), sha256(der).hexdigest()

    def write(self, name, certificate, key) -> Path:
        path = self.folder / f"{name}.pem"
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        if key is not None:
            pem += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        path.write_bytes(pem)
        return path

    def _sign(self, subject, key, *, ca: bool):
        now = datetime.datetime.now(datetime.UTC)
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(local, critical=False)
            .sign(self.key, hashes.SHA256())
        )


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def secure(open_doors, authority):
    ours, _ = authority.issue("gateway")
    return await open_doors(
        QUICK, mllp_plain="", tls_certificate=ours, tls_client_ca=authority.path
    )


def client_tls(authority: Authority, certificate: Path | None) -> dict:
    context = ssl.create_default_context(cafile=str(authority.path))
    if certificate is not None:
        context.load_cert_chain(certificate)
    return {"ssl": context, "server_hostname": "127.0.0.1"}


async def test_a_certificate_speaks_for_its_source_whatever_the_message_says(secure, authority):
    certificate, fingerprint = authority.issue("tcm")
    await sources.add("tcm-his", "tcm", "tcm", secure.services, certificate=fingerprint)
    async with connection(secure, **client_tls(authority, certificate)) as (reader, writer):
        writer.write(frame(adt("M1", facility="330421A")))
        assert b"MSA|AA|M1" in await answer(reader)
    received = await secure.received()
    assert (received["tcm-his"].received, received["people-his"].received) == (1, 0)
    here = Caller("portal", "tcm", "it", user="li")
    ours, theirs = await client_keys.certificates(here, secure.services)
    assert (ours.source, theirs.source, theirs.print) == ("", "tcm-his", fingerprint)
    shown = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    assert theirs.ends == shown.timestamp() * 1_000_000
    await sources.change("tcm-his", secure.services, here, certificate="00" * 32)
    assert (await client_keys.certificates(here, secure.services))[1].ends == 0


async def test_a_certificate_nobody_registered_is_refused_in_hl7(secure, authority):
    certificate, _ = authority.issue("stranger")
    async with connection(secure, **client_tls(authority, certificate)) as (reader, writer):
        writer.write(frame(adt("M1")))
        assert b"MSA|AR|M1" in await answer(reader)
        assert await hung_up(reader)


async def test_without_a_certificate_nothing_is_said(secure, authority):
    with contextlib.suppress(OSError):
        async with connection(secure, **client_tls(authority, None)) as (reader, writer):
            writer.write(frame(adt("M1")))
            assert await hung_up(reader)
    async with connection(secure) as (reader, writer):
        writer.write(frame(adt("M1")))
        assert b"MSA" not in await asyncio.wait_for(reader.read(), 5)
    assert secure.mllp.counts.frames == 0


async def test_a_certificate_of_another_authority_is_refused(secure, authority, tmp_path):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    certificate, fingerprint = other.issue("tcm")
    await sources.add("tcm-his", "tcm", "tcm", secure.services, certificate=fingerprint)
    with contextlib.suppress(OSError):
        async with connection(secure, **client_tls(authority, certificate)) as (reader, writer):
            writer.write(frame(adt("M1")))
            assert await hung_up(reader)
    assert secure.mllp.counts.frames == 0
