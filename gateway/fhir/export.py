"""A person's records as a stream of lines (NDJSON), each piece decided anew just before it leaves.

R4 `Patient/[id]/$everything` with `Accept: application/fhir+ndjson`. A consent withdrawn, a token
ended or a role taken away while the stream runs ends it with the next piece, without a word: what
is no longer shared looks like what was never there. A fault of ours breaks the stream off instead,
so that it cannot be taken for whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.errors import Kind, Problem
from gateway.exchange import ask
from gateway.fhir.answers import Answer, receipt
from gateway.records.query import Query
from gateway.services import Services
from gateway.services.caller import Caller

NDJSON = b"application/fhir+ndjson"
PIECE = 50  # records that leave on one decision
_ENDS = {Kind.UNKNOWN, Kind.REFUSED, Kind.UNAUTHENTICATED}


def wanted(accept: str) -> bool:
    """Whether the caller asks for lines."""
    return "ndjson" in accept.lower()


async def export(
    query: Query, again: Callable[[], Awaitable[Caller]], services: Services, route: str
) -> Answer:
    """The stream of a query, whose `count` is the size of a piece.

    `again` proves the caller anew for each piece. Problem REFUSED before the first byte as for any
    search. The receipt names the first piece's event; every piece has an event of its own.
    """
    page = await ask.search(query, await again(), services, route)
    headers = (receipt(page.leaf),) if page.leaf else ()
    if not page.records:
        return Answer(200, b"", headers, NDJSON)
    return Answer(200, b"", headers, NDJSON, _pieces(page, query, again, services, route))


async def _pieces(
    page: ask.Page,
    query: Query,
    again: Callable[[], Awaitable[Caller]],
    services: Services,
    route: str,
) -> AsyncIterator[bytes]:
    while True:
        yield b"".join(_line(one.text) for one in page.records)
        if not page.next:
            return
        try:
            caller = await again()
            cursor = await ask.more(page.next, caller, services)
            page = await ask.search(query, caller, services, route, cursor)
        except Problem as problem:
            if problem.kind in _ENDS:
                return
            raise


def _line(text: bytes) -> bytes:
    """JSON text on one line: line breaks stand only between its tokens."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
