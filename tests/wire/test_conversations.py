"""Plays the conversations in the .txt files beside this one against the open doors.

A conversation is a list of exchanges. `#` begins a comment. An exchange is a request line (`POST
/path`, or `MLLP`), header lines, an empty line, a body, and lines of what must be true:

    => 202                        the HTTP status
    => header name: text          the header holds the text
    => body contains text         likewise the body (MLLP: the content of the answer's frame)
    => body lacks text
    => received people-his 1      what the source's tally says now
    => closed                     MLLP: the door hangs up after its answer

`{token NAME}` in a header is an access token of that client. Bodies of HL7 v2 are sent with carriage
returns; `charset` in the content type (or as a header of its own for MLLP) is what they are written
in. An MLLP exchange may hold several frames, parted by a line `---`; they are sent at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REQUEST = re.compile(r"(POST|GET|PUT|DELETE) (/\S*)|MLLP")


@dataclass
class Exchange:
    line: int
    request: str
    headers: dict[str, str] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def content(self) -> bytes:
        while self.body and not self.body[-1]:
            self.body.pop()
        kind = self.headers.get("content-type", "")
        charset = re.search(r"charset=([\w-]+)", kind)
        codec = charset[1] if charset else self.headers.get("charset", "utf-8")
        hl7 = self.request == "MLLP" or "hl7" in kind
        end = "\r" if hl7 else "\n"
        return (end.join(self.body) + (end if self.body else "")).encode(codec)


def exchanges(path: Path) -> Iterator[Exchange]:
    part, one = "expected", None
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if part == "expected" and REQUEST.fullmatch(line):
            if one is not None:
                yield one
            part, one = "headers", Exchange(number, line)
        elif one is None or (part == "expected" and (not line or line.startswith("#"))):
            assert not line or line.startswith("#"), f"{path.name}:{number}"
        elif line.startswith("=> "):
            part = "expected"
            one.expected.append(line.removeprefix("=> "))
        elif part == "headers" and line:
            name, _, value = line.partition(": ")
            one.headers[name.lower()] = value
        elif part == "headers":
            part = "body"
        else:
            assert part == "body", f"{path.name}:{number} is not understood"
            one.body.append(line)
    assert one is not None, f"{path.name} holds no conversation"
    yield one


def conversations() -> list[Path]:
    found = sorted(HERE.glob("*.txt"))
    assert found
    return found


@pytest.mark.parametrize("path", conversations(), ids=lambda path: path.stem)
async def test_the_conversation_goes_as_written(path, doors):
    for exchange in exchanges(path):
        where = f"{path.name}:{exchange.line}"
        if exchange.request == "MLLP":
            status, headers, body, closed = 0, {}, *await mllp(exchange, doors)
        else:
            status, headers, body = await http(exchange, doors)
            closed = False
        assert exchange.expected, f"{where} expects nothing"
        for expected in exchange.expected:
            await check(expected, where, status, headers, body, closed, doors)


async def http(exchange, doors):
    headers = {}
    for name, value in exchange.headers.items():
        for client in re.findall(r"\{token ([\w-]+)\}", value):
            value = value.replace(f"{{token {client}}}", await doors.token(client))
        headers[name] = value
    method, path = exchange.request.split()
    answer = await doors.web.request(method, path, headers=headers, content=exchange.content())
    return answer.status_code, answer.headers, text(answer.content)


async def mllp(exchange, doors):
    frames = exchange.content().split(b"---\r")
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.mllp.port)
    writer.write(b"".join(b"\x0b" + frame + b"\x1c\r" for frame in frames))
    answers = [await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 10) for _ in frames]
    closed = False
    if "closed" in exchange.expected:
        closed = await asyncio.wait_for(reader.read(1), 10) == b""
    writer.close()
    assert all(answer.startswith(b"\x0b") for answer in answers)
    return text(b"---\r".join(answer[1:-2] for answer in answers)), closed


def text(content: bytes) -> str:
    for codec in ("utf-8", "gb18030"):
        try:
            return content.decode(codec).replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise AssertionError("the answer is in no character set we know")


async def check(expected, where, status, headers, body, closed, doors):
    told = f"{where}: {expected}\n{status}\n{body}"
    if expected.isdigit():
        assert status == int(expected), told
    elif expected.startswith("header "):
        name, _, value = expected.removeprefix("header ").partition(": ")
        assert value in headers.get(name, ""), told
    elif expected.startswith("body contains "):
        assert expected.removeprefix("body contains ") in body, told
    elif expected.startswith("body lacks "):
        assert expected.removeprefix("body lacks ") not in body, told
    elif expected.startswith("received "):
        _, source, count = expected.split()
        assert (await doors.received())[source].received == int(count), told
    elif expected == "closed":
        assert closed, told
    else:
        raise AssertionError(f"{where}: {expected!r} is not understood")
