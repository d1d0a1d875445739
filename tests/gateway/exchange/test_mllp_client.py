"""A hospital's system is told by MLLP: a real listener that falls silent, cuts the line and says no."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.exchange import mllp_client, write_back
from gateway.services import Services
from gateway.services.register import Endpoint, Register, RegisterFault, load
from tests.gateway.exchange.test_write_back import decided, later
from tests.wire.test_mllp import Authority

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


class Listener:
    """Keeps what comes, and answers each as it is told to; yes when it is told nothing."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.got: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(1)
        message = (await reader.readuntil(b"\x1c\r"))[:-2]
        assert start == b"\x0b"
        self.got.append(message)
        answer = self.answers.pop(0) if self.answers else "AA"
        id = message.split(b"|")[9]
        if answer == "other":
            answer, id = "AA", b"somebody-elses"
        whole = b"\x0bMSH|^~\\&|HIS\rMSA|" + answer.encode() + b"|" + id + b"\r\x1c\r"
        if answer == "cut":
            writer.write(whole[:20])
        elif answer != "silent":
            writer.write(whole)
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    found = Listener()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


@ON_SQLITE
async def test_it_is_sent_until_it_is_taken_under_one_control_id(
    services: Services, listener: Listener
) -> None:
    endpoint = Endpoint(f"mllp://127.0.0.1:{listener.port}", "hl7v2")
    here, _ = await decided(services, endpoint)
    listener.answers = ["silent", "cut", "other", "AE", "AA"]

    taken = [
        await write_back.send_due(later(here.services, wait)) for wait in (0, 10, 60, 600, 3_000)
    ]

    assert taken == [0, 0, 0, 0, 1]
    assert len(listener.got) == 5
    assert len(set(listener.got)) == 1, "the same bytes under the same name"
    assert listener.got[0].split(b"|")[8] == b"MDM^T02"
    assert await write_back.send_due(later(here.services, 90_000)) == 0


@ON_SQLITE
async def test_what_the_system_rejects_is_given_up_and_what_is_not_there_is_tried_again(
    services: Services, listener: Listener
) -> None:
    endpoint = Endpoint(f"mllp://127.0.0.1:{listener.port}", "hl7v2")
    here, _ = await decided(services, endpoint)
    away = replace(
        here.services.register.get("tcm"), write_back=Endpoint("mllp://127.0.0.1:1", "hl7v2")
    )
    assert await write_back.send_due(replace(here.services, register=Register({"tcm": away}))) == 0
    assert (await write_back.counts(here.services))["waiting"] == 1

    listener.answers = ["AR"]
    assert await write_back.send_due(later(here.services, 10)) == 0
    assert (await write_back.counts(here.services))["failed"] == 1
    assert len(listener.got) == 1


async def test_in_tls_both_sides_are_known_and_a_stranger_hears_nothing(tmp_path: Path) -> None:
    authority, found = Authority(tmp_path), Listener()
    theirs, _ = authority.issue("his")
    ours, _ = authority.issue("gateway")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        known = Endpoint(f"mllps://127.0.0.1:{port}", "hl7v2", "", str(authority.path), str(ours))
        message = b"MSH|^~\\&|GATEWAY|COUNTY|HIS|tcm|2026||MDM^T02|C1|P|2.4\r"
        assert await mllp_client.hand_over(message, "C1", known, 10.0) == ("", False)
        assert found.got == [message]
        for stranger in (replace(known, ca_file=""), replace(known, client_file="")):
            try:
                told = await mllp_client.hand_over(message, "C1", stranger, 10.0)
            except OSError:
                continue
            assert told == ("not-acknowledged", False)
    assert found.got == [message]


async def test_a_system_that_never_answers_is_not_waited_for() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError):
            await mllp_client.hand_over(
                b"MSH|\r", "C1", Endpoint(f"mllp://127.0.0.1:{port}", "hl7v2"), 0.2
            )


@pytest.mark.parametrize("content", [b"a\x1cb", b"\x0bMSH"])
async def test_what_would_end_the_frame_is_never_sent(content: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        await mllp_client.hand_over(content, "C1", Endpoint("mllp://127.0.0.1:1", "hl7v2"), 1.0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"\x0bMSH|^~\\&|HIS\rMSA|AA|C1\r\x1c", ("", False)),
        (b"MSH|^~\\&|HIS\r\nMSA|CA|C1|fine\r\n", ("", False)),
        (b"MSH|\rMSA|AE|C1\r", ("ack-AE", False)),
        (b"MSH|\rMSA|CE|C1\r", ("ack-CE", False)),
        (b"MSH|\rMSA|AR|C1\r", ("ack-AR", True)),
        (b"MSH|\rMSA|CR|C1\r", ("ack-CR", True)),
        (b"MSH|\rMSA|AA|C2\r", ("other-acknowledgment", False)),
        (b"MSH|\rMSA|AA\r", ("other-acknowledgment", False)),
        (b"MSH|\rMSA|YES|C1\r", ("not-acknowledged", False)),
        (b"HTTP/1.1 200 OK\r\n\r\n", ("not-acknowledged", False)),
        (b"", ("not-acknowledged", False)),
    ],
)
def test_an_acknowledgment_is_of_this_message_and_says_yes(
    answer: bytes, told: tuple[str, bool]
) -> None:
    assert mllp_client.said(answer, "C1") == told


@pytest.mark.parametrize(
    ("row", "allowed"),
    [
        ('url = "https://his.example/in"', True),
        ('url = "http://127.0.0.1:8080/in"', True),
        ('url = "http://[::1]:8080/in"', True),
        ('url = "mllps://10.1.2.3:2575", form = "hl7v2"', True),
        ('url = "mllp://127.0.0.1:2575", form = "hl7v2"', True),
        ('url = "mllp://10.1.2.3:2575", form = "hl7v2", plain = true', True),
        ('url = "http://10.1.2.3:8080/in"', False),
        ('url = "http://10.1.2.3:8080/in", plain = true', False),
        ('url = "http://127.0.0.1.example/in"', False),
        ('url = "http://127.0.0.1:80@his.example/in"', False),
        ('url = "mllp://10.1.2.3:2575", form = "hl7v2"', False),
        ('url = "mllp://10.1.2.3:2575", form = "hl7v2", plain = "no"', False),
        ('url = "mllps://10.1.2.3", form = "hl7v2"', False),
        ('url = "mllps://10.1.2.3:2575"', False),
        ('url = "https://[::1", form = "fhir"', False),
        ('url = "ftp://his.example/in"', False),
        ('url = "https:///in"', False),
    ],
)
def test_nothing_goes_to_another_computer_in_plain_text(
    row: str, allowed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "county.toml"
    path.write_text(
        f'[[organization]]\nid = "tcm"\nzh = "中医院"\nwrite_back = {{ {row} }}\n', "utf-8"
    )
    if allowed:
        assert load(path).get("tcm").write_back is not None
        return
    with pytest.raises(RegisterFault, match="write_back"):
        load(path)
