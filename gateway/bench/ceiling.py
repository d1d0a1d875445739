"""The bare program beside which the gateway is measured: what the same machine can do at most.

Starlette and uvicorn with an indexed read, AES-256-GCM, a consent look-up in memory and a hash-chained
audit row on the disk before the answer, waiting requests sharing a commit. No FHIR semantics, no
validation, no manifest, no search, no key hierarchy. Same engine settings as the gateway.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.store.engine import sqlite_connection

KEY = bytes(range(32))
READER = "tcm"
PAGE, WHOLE = 20, 10_000

Audit = tuple[str, str, int]  # who, what, how many
Row = tuple[str, bytes, bytes]

TABLES = (
    "CREATE TABLE record (id TEXT PRIMARY KEY, chart TEXT NOT NULL, at BIGINT NOT NULL,"
    " nonce {blob} NOT NULL, sealed {blob} NOT NULL)",
    "CREATE INDEX record_chart ON record (chart, at)",
    "CREATE TABLE audit (number BIGINT PRIMARY KEY, who TEXT, what TEXT, count INT, hash {blob})",
)
_ONE = "SELECT chart, nonce, sealed FROM record WHERE id = {one}"
_PAGE = "SELECT id, nonce, sealed FROM record WHERE chart = {one} ORDER BY at DESC, id LIMIT {two}"
_ADD = "INSERT INTO record VALUES ({marks})"
_NOTE = "INSERT INTO audit VALUES ({marks})"


def ids(person: int, count: int) -> list[str]:
    """The ids of a person's records, spread like the gateway's."""
    return [sha256(f"{person}/{number}".encode()).hexdigest()[:32] for number in range(count)]


def chart(person: int) -> str:
    """The id of a person's folder."""
    return sha256(f"chart/{person}".encode()).hexdigest()[:32]


def sealed_rows(person: int, texts: Sequence[bytes]) -> list[tuple[str, str, int, bytes, bytes]]:
    """A person's records as rows: the gateway's own texts under one key."""
    key = AESGCM(KEY)
    rows = []
    for number, (id, text) in enumerate(zip(ids(person, len(texts)), texts, strict=True)):
        nonce = os.urandom(12)
        rows.append((id, chart(person), number, nonce, key.encrypt(nonce, text, id.encode())))
    return rows


def fill(path: Path, persons: int, texts: Sequence[bytes]) -> None:
    """Make the SQLite database."""
    db = sqlite_connection(str(path))
    for table in TABLES:
        db.execute(table.format(blob="BLOB"))
    for person in range(persons):
        if person % 50 == 0:
            db.execute("BEGIN")
        db.executemany(_ADD.format(marks="?,?,?,?,?"), sealed_rows(person, texts))
        if person % 50 == 49 or person == persons - 1:
            db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def fill_postgres(url: str, persons: int, texts: Sequence[bytes]) -> None:
    """Make the PostgreSQL tables, in a schema of their own."""
    asyncio.run(_fill_postgres(url, persons, texts))


async def _fill_postgres(url: str, persons: int, texts: Sequence[bytes]) -> None:
    db = await asyncpg.connect(url)
    await db.execute("DROP SCHEMA IF EXISTS ceiling CASCADE")
    await db.execute("CREATE SCHEMA ceiling")
    await db.execute("SET search_path = ceiling")
    for table in TABLES:
        await db.execute(table.format(blob="BYTEA"))
    for person in range(persons):
        await db.copy_records_to_table(
            "record", records=sealed_rows(person, texts), schema_name="ceiling"
        )
    await db.execute("ANALYZE ceiling.record")
    await db.close()


class Book(Protocol):
    """Where the records are and where the audit rows go."""

    async def one(self, id: str) -> Sequence[Any] | None:
        """(chart, nonce, sealed) of a record."""

    async def page(self, chart: str, most: int) -> Sequence[Row]:
        """The newest of a chart."""

    async def note(self, batch: Sequence[Audit]) -> None:
        """Audit rows, durable when this returns."""


def _chained(last: bytes, batch: Sequence[Audit], first: int) -> list[tuple[Any, ...]]:
    rows = []
    for number, (who, what, count) in enumerate(batch, first):
        last = sha256(last + f"{number}|{who}|{what}|{count}".encode()).digest()
        rows.append((number, who, what, count, last))
    return rows


class SqliteBook:
    """Reads in the loop, one writing thread."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._db = sqlite_connection(self._path)
        self._one = _ONE.format(one="?")
        self._page = _PAGE.format(one="?", two="?")
        self._tasks: queue.SimpleQueue[tuple[Sequence[Audit], asyncio.Future[None]]] = (
            queue.SimpleQueue()
        )
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()

    async def one(self, id: str) -> Sequence[Any] | None:
        row: Sequence[Any] | None = self._db.execute(self._one, (id,)).fetchone()
        return row

    async def page(self, chart: str, most: int) -> Sequence[Row]:
        return self._db.execute(self._page, (chart, most)).fetchall()

    async def note(self, batch: Sequence[Audit]) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._tasks.put((batch, future))
        await future

    def _write(self) -> None:
        db = sqlite_connection(self._path)
        row = db.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        number, last = row or (0, b"")
        while True:
            batch, future = self._tasks.get()
            rows = _chained(last, batch, number + 1)
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_NOTE.format(marks="?,?,?,?,?"), rows)
            db.execute("COMMIT")
            number, last = rows[-1][0], rows[-1][-1]
            self._loop.call_soon_threadsafe(_done, future)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class PostgresBook:
    """Kept connections with prepared statements."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: asyncio.LifoQueue[tuple[Any, Any, Any]] = asyncio.LifoQueue()
        self._writer: Any = None
        self._number, self._last = 0, b""

    async def _take(self) -> tuple[Any, Any, Any]:
        if self._writer is None:
            self._writer = await self._connect()
            row = await self._writer.fetchrow(
                "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1"
            )
            self._number, self._last = row or (0, b"")
            for _ in range(8):
                db = await self._connect()
                ready = [
                    await db.prepare(text.format(one="$1", two="$2")) for text in (_ONE, _PAGE)
                ]
                self._free.put_nowait((db, ready[0], ready[1]))
        return await self._free.get()

    async def _connect(self) -> Any:
        return await asyncpg.connect(self._url, server_settings={"search_path": "ceiling"})

    async def one(self, id: str) -> Sequence[Any] | None:
        line = await self._take()
        try:
            row: Sequence[Any] | None = await line[1].fetchrow(id)
            return row
        finally:
            self._free.put_nowait(line)

    async def page(self, chart: str, most: int) -> Sequence[Row]:
        line = await self._take()
        try:
            rows: Sequence[Row] = await line[2].fetch(chart, most)
            return rows
        finally:
            self._free.put_nowait(line)

    async def note(self, batch: Sequence[Audit]) -> None:
        rows = _chained(self._last, batch, self._number + 1)
        await self._writer.executemany(_NOTE.format(marks="$1,$2,$3,$4,$5"), rows)
        self._number, self._last = rows[-1][0], rows[-1][-1]


class Trail:
    """Whoever waits shares a commit."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._waiting: list[tuple[Audit, asyncio.Future[None]]] = []
        self._busy: asyncio.Task[None] | None = None

    async def note(self, who: str, what: str, count: int) -> None:
        """On the disk when this returns."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((who, what, count), future))
        if self._busy is None:
            self._busy = asyncio.ensure_future(self._commit())
        await future

    async def _commit(self) -> None:
        await asyncio.sleep(0)  # one turn of the loop, so that its requests go together
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._book.note([audit for audit, _ in batch])
            for _, future in batch:
                _done(future)
        self._busy = None


def application(book: Book, persons: int) -> Starlette:
    """The bare program; in its memory every person of the county consents to the reader."""
    key = AESGCM(KEY)
    trail = Trail(book)
    consents = {chart(person): frozenset({READER}) for person in range(persons)}
    kind = "application/fhir+json; charset=utf-8"

    async def read(request: Request) -> Response:
        id = request.path_params["id"]
        row = await book.one(id)
        who = request.headers["authorization"]
        if row is None or who not in consents[row[0]]:
            await trail.note(who, id, 0)
            return Response(b"{}", 404, media_type=kind)
        text = key.decrypt(row[1], row[2], id.encode())
        await trail.note(who, id, 1)
        return Response(text, media_type=kind)

    async def answer(request: Request, chart: str, most: int) -> Response:
        who = request.headers["authorization"]
        if who not in consents.get(chart, ()):
            await trail.note(who, chart, 0)
            return Response(b"{}", 404, media_type=kind)
        texts = [
            b'{"resource":%b}' % key.decrypt(nonce, sealed, id.encode())
            for id, nonce, sealed in await book.page(chart, most)
        ]
        await trail.note(who, chart, len(texts))
        body = b'{"resourceType":"Bundle","type":"searchset","total":%d,"entry":[%b]}' % (
            len(texts),
            b",".join(texts),
        )
        return Response(body, media_type=kind)

    async def search(request: Request) -> Response:
        return await answer(request, request.query_params["patient"], PAGE)

    async def everything(request: Request) -> Response:
        return await answer(request, request.path_params["id"], WHOLE)

    return Starlette(
        routes=[
            Route("/fhir/Observation/{id}", read),
            Route("/fhir/Observation", search),
            Route("/fhir/Patient/{id}/$everything", everything),
        ]
    )


def file_message(db: sqlite3.Connection, number: int, raw: bytes, charset: str) -> int:
    """The bare way in: split the message, seal each line as it is, all in one commit."""
    key = AESGCM(KEY)
    text = raw.decode(charset)
    rows = []
    for at, line in enumerate(text.split("\r")):
        fields = line.split("|")
        if fields[0] == "OBX":
            id = sha256(f"{number}/{at}".encode()).hexdigest()[:32]
            nonce = os.urandom(12)
            said = "|".join(fields[1:]).encode()
            rows.append((id, fields[3], at, nonce, key.encrypt(nonce, said, id.encode())))
    db.execute("BEGIN IMMEDIATE")
    db.executemany(_ADD.format(marks="?,?,?,?,?"), rows)
    db.execute(_NOTE.format(marks="?,?,?,?,?"), (number, "bench", "oru", len(rows), b""))
    db.execute("COMMIT")
    return len(rows)
