"""Writes FHIR answers as bytes: stored text is spliced in, never parsed and printed again."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable
from email.utils import format_datetime
from typing import NamedTuple

import orjson

from gateway.errors import Kind, Problem, issues
from gateway.exchange.ask import Opened, Page
from gateway.records.instant import moment
from gateway.services.log import Leaf

JSON = b"application/fhir+json; charset=utf-8"

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """An HTTP answer: complete, or with a body that is made piece by piece as it leaves."""

    status: int
    body: bytes
    headers: Headers = ()
    type: bytes = JSON
    stream: AsyncIterator[bytes] | None = None


BROKEN = (
    '{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception",'
    '"details":{"text":"系统出错，已经记下，请稍后再试。"},'
    '"diagnostics":"Something broke here; it was noted."}]}'
).encode()


def outcome(problem: Problem) -> bytes:
    """An OperationOutcome: kinds, sentences and places, no value."""
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": issues(problem)})


def trouble(problem: Problem) -> Answer:
    """How a problem is told."""
    headers: list[tuple[bytes, bytes]] = []
    if problem.kind.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="fhir"'))
    if problem.kind.status == 413:
        headers.append((b"connection", b"close"))  # what is still coming is not read
    if problem.kind.status == 503:
        headers.append((b"retry-after", b"2"))
    return Answer(problem.kind.status, outcome(problem), tuple(headers))


def resource(opened: Opened, text: bytes | None = None) -> Answer:
    """One resource with its version and time."""
    modified = format_datetime(moment(opened.filed).replace(microsecond=0), usegmt=True)
    return Answer(
        200,
        opened.text if text is None else text,
        (
            (b"etag", f'W/"{opened.version}"'.encode()),
            (b"last-modified", modified.encode()),
            receipt(opened.leaf),
        ),
    )


def content(opened: Opened, accept: str) -> Answer:
    """A Binary as FHIR, or the bytes it holds where `accept` asks for their media type and not for JSON.

    Problem NOT_ACCEPTABLE for any other type. What a sender put in never runs here: it is sent as a
    download, without scripts and without a guess at its type.
    """
    as_fhir = resource(opened)
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if any(one in ("*/*", "application/*") or "json" in one for one in wanted):
        return as_fhir
    binary = orjson.loads(opened.text)
    type_ = str(binary["contentType"])
    bare = type_.partition(";")[0]
    if not {bare, f"{bare.partition('/')[0]}/*"} & set(wanted):
        raise Problem(Kind.NOT_ACCEPTABLE, "This content is of another media type.")
    headers = (
        *as_fhir.headers,
        (b"content-disposition", b"attachment"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
    )
    return Answer(200, base64.b64decode(binary["data"]), headers, type_.encode("ascii", "replace"))


def receipt(leaf: Leaf) -> tuple[bytes, bytes]:
    """Which event of the access log stands behind an answer; a caller may later ask for its proof."""
    return b"x-access-log", f"{leaf.writer}/{leaf.counter}".encode()


_EMPTY = b'{"resourceType":"Bundle","type":"searchset","total":0,'


def shows_nothing(answer: Answer) -> bool:
    """Whether the answer must not tell, by its time either, what there is."""
    if answer.status == 200 and not answer.body:
        return answer.stream is None
    return answer.status in {403, 404} or answer.body.startswith(_EMPTY)


def searchset(page: Page, base: str, self_link: str, next_link: str = "") -> Answer:
    """A searchset Bundle around stored texts."""
    links = [{"relation": "self", "url": self_link}]
    if next_link:
        links.append({"relation": "next", "url": next_link})
    parts = [
        b'{"resourceType":"Bundle","type":"searchset","total":%d,"link":' % page.total,
        orjson.dumps(links),
    ]
    entries = list(_entries(page.records, base, b"match"))
    entries += _entries(page.included, base, b"include")
    if entries:
        parts += [b',"entry":[', b",".join(entries), b"]"]
    parts.append(b"}")
    return Answer(200, b"".join(parts), (receipt(page.leaf),) if page.leaf else ())


def _entries(records: Iterable[Opened], base: str, mode: bytes) -> Iterable[bytes]:
    for one in records:
        yield b'{"fullUrl":"%s/%s/%s","resource":%s,"search":{"mode":"%s"}}' % (
            base.encode(),
            one.type.encode(),
            one.id.encode(),
            one.text,
            mode,
        )
