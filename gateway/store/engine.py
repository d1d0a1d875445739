"""The record database: plain functions in shared transactions, hot reads in the loop.

Both engines keep one promise: `do(work)` commits when the plain function `work` returns and
leaves no trace when it raises; its answer is given only after the commit is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.util.concurrency import await_only, greenlet_spawn
from sqlmodel import Session

from gateway.errors import Kind, Problem
from gateway.store.statements import Statement

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_MS = 10_000


class Tx(Protocol):
    """A transaction as a plain function sees it."""

    def all(self, statement: Statement, *given: Any) -> Sequence[Row]:
        """Every row."""

    def one(self, statement: Statement, *given: Any) -> Row | None:
        """The first row, or None."""

    def run(self, statement: Statement, *given: Any) -> None:
        """Do it; the rows, if any, are dropped."""

    def many(self, statement: Statement, rows: Sequence[Row]) -> None:
        """Do it once for each row, in one trip."""


class Store(Protocol):
    """What the rest of the house may ask of a database."""

    engine: str

    async def read(self, statement: Statement, *given: Any) -> Sequence[Row]:
        """Rows of one statement, as last committed."""

    async def do(self, work: Callable[..., T], *given: Any) -> T:
        """Run `work(tx, *given)` in a transaction; the answer comes after the commit."""

    async def session(self, work: Callable[..., T], *given: Any) -> T:
        """Run `work(session, *given)` in a transaction of its own."""

    async def close(self) -> None:
        """Finish what was handed over and let go of the database."""


class StoreFault(Exception):
    """The database refused a statement: a fault of ours, which trying again does not cure.

    Names the kind only; the engines' own texts show parameters.
    """


def unavailable() -> Problem:
    """What a caller hears when the database cannot do its work."""
    return Problem(Kind.BUSY, "The record store cannot answer now; please try again.")


def _told(fault: BaseException) -> BaseException:
    """What a caller hears of an engine's exception; an exception of the work's own stays."""
    engines = fault
    if isinstance(fault, DBAPIError) and fault.orig is not None:
        engines = fault.orig.__cause__ or fault.orig
    match engines:
        case sqlite3.IntegrityError() | sqlite3.ProgrammingError() | sqlite3.InterfaceError():
            return StoreFault(type(engines).__name__)
        case asyncpg.PostgresError() if (engines.sqlstate or "")[:2] in _OURS:
            return StoreFault(type(engines).__name__)
        case sqlite3.Error():
            return unavailable()
        case _ if isinstance(engines, _LOST):
            return unavailable()
    return unavailable() if isinstance(fault, DBAPIError | SQLAlchemyTimeout) else fault


# What asyncpg and the socket raise when a connection goes away, also while it is being used.
_LOST = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# SQLSTATE classes of statements that will fail again: data, integrity, cardinality, syntax.
_OURS = frozenset({"21", "22", "23", "42"})


# SQLite


class _SqliteTx:
    """Statements on the writer's connection."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self, statement: Statement, *given: Any) -> Sequence[Row]:
        sql, order = statement.sqlite
        return self._db.execute(sql, _listed(statement, order(given), given)).fetchall()

    def one(self, statement: Statement, *given: Any) -> Row | None:
        sql, order = statement.sqlite
        row: Row | None = self._db.execute(sql, _listed(statement, order(given), given)).fetchone()
        return row

    def run(self, statement: Statement, *given: Any) -> None:
        sql, order = statement.sqlite
        self._db.execute(sql, _listed(statement, order(given), given))

    def many(self, statement: Statement, rows: Sequence[Row]) -> None:
        sql, order = statement.sqlite
        self._db.executemany(sql, [order(row) for row in rows])


def _listed(statement: Statement, ordered: Row, given: Row) -> Row:
    """SQLite takes a list as JSON."""
    if not statement.lists:
        return ordered
    lists = {id(given[at]): json.dumps(given[at]) for at in statement.lists}
    return tuple(lists.get(id(value), value) for value in ordered)


class _Waiting:
    """One piece of work and whoever waits for it."""

    __slots__ = ("answer", "fault", "future", "given", "work")

    def __init__(self, work: Callable[..., Any], given: Row, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.given = given
        self.future = future
        self.answer: Any = None
        self.fault: BaseException | None = None


def sqlite_connection(path: str) -> sqlite3.Connection:
    """A connection as this house opens them: WAL, full synchronous, our own transactions."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # a destroyed key is not to stand in a free page
    db.execute("PRAGMA cache_size = -32768")
    # A map of the file is thrown away at every commit, with every page that was faulted in.
    db.execute("PRAGMA mmap_size = 0")
    return db


class SqliteStore:
    """One file: reads in the loop, one writing thread in which waiting work shares a commit."""

    engine = "sqlite"

    def __init__(self, path: str) -> None:
        self.path = path
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._reader = sqlite_connection(path)
        self._tasks: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._gathered: list[_Waiting] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._thread.start()
        self._sessions = create_engine(
            f"sqlite:///{path}",
            hide_parameters=True,
            connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
        )

        @event.listens_for(self._sessions, "connect")
        def _connect(db: Any, record: Any) -> None:
            db.isolation_level = None
            db.execute("PRAGMA synchronous = FULL")

        @event.listens_for(self._sessions, "begin")
        def _begin(connection: Any) -> None:
            # Taking the lock at once: a read that later writes would otherwise fail, not wait.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def read(self, statement: Statement, *given: Any) -> Sequence[Row]:
        sql, order = statement.sqlite
        try:
            return self._reader.execute(sql, _listed(statement, order(given), given)).fetchall()
        except sqlite3.Error as fault:
            raise _told(fault) from None

    async def do(self, work: Callable[..., T], *given: Any) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._gathered:
            self._loop = loop
            loop.call_soon(self._hand_over)
        self._gathered.append(_Waiting(work, given, future))
        return await future

    def _hand_over(self) -> None:
        batch, self._gathered = self._gathered, []
        self._tasks.put(batch)

    def _write(self) -> None:
        db = sqlite_connection(self.path)
        tx = _SqliteTx(db)
        while (batch := self._tasks.get()) is not None:
            while True:
                try:
                    more = self._tasks.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._tasks.put(None)
                    break
                batch = batch + more
            self._commit(db, tx, batch)
            loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(_answer, batch)
        db.close()

    @staticmethod
    def _commit(db: sqlite3.Connection, tx: _SqliteTx, batch: list[_Waiting]) -> None:
        """All of the batch in one commit; what raises is undone alone."""
        try:
            db.execute("BEGIN IMMEDIATE")
            for waiting in batch:
                db.execute("SAVEPOINT work")
                try:
                    waiting.answer = waiting.work(tx, *waiting.given)
                except BaseException as fault:
                    waiting.fault = fault
                    if not db.in_transaction:  # a full disk rolls everything back
                        raise
                    db.execute("ROLLBACK TO work")
                db.execute("RELEASE work")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            for waiting in batch:
                if waiting.fault is None or isinstance(waiting.fault, sqlite3.Error):
                    waiting.fault = unavailable()

    async def session(self, work: Callable[..., T], *given: Any) -> T:
        def run() -> T:
            with Session(self._sessions, expire_on_commit=False) as session:
                answer = work(session, *given)
                session.commit()
                return answer

        try:
            return await asyncio.to_thread(run)
        except (DBAPIError, SQLAlchemyTimeout) as fault:
            raise _told(fault) from None

    async def close(self) -> None:
        if self._gathered:
            self._hand_over()
        self._tasks.put(None)
        await asyncio.to_thread(self._thread.join)
        self._sessions.dispose()
        self._reader.close()


def _answer(batch: list[_Waiting]) -> None:
    for waiting in batch:
        if waiting.future.done():
            continue  # the caller has gone; the work stands
        if waiting.fault is not None:
            waiting.future.set_exception(_told(waiting.fault))
        else:
            waiting.future.set_result(waiting.answer)


# PostgreSQL


class _PostgresTx:
    """Statements on one connection, awaited from inside a plain function."""

    __slots__ = ("_line",)

    def __init__(self, line: _Line) -> None:
        self._line = line

    def all(self, statement: Statement, *given: Any) -> Sequence[Row]:
        return await_only(self._line.fetch(statement, given))

    def one(self, statement: Statement, *given: Any) -> Row | None:
        rows = await_only(self._line.fetch(statement, given))
        return rows[0] if rows else None

    def run(self, statement: Statement, *given: Any) -> None:
        await_only(self._line.fetch(statement, given))

    def many(self, statement: Statement, rows: Sequence[Row]) -> None:
        await_only(self._line.many(statement, rows))


class _Line:
    """One kept connection with its prepared statements (a pool's reset costs a round trip)."""

    __slots__ = ("db", "prepared")

    def __init__(self, db: Any) -> None:
        self.db = db
        self.prepared: dict[Statement, Any] = {}

    async def fetch(self, statement: Statement, given: Row) -> list[Row]:
        ready = self.prepared.get(statement)
        sql, order = statement.postgres
        if ready is None:
            ready = self.prepared[statement] = await self.db.prepare(sql)
        rows: list[Row] = await ready.fetch(*order(given))
        return rows

    async def many(self, statement: Statement, rows: Sequence[Row]) -> None:
        sql, order = statement.postgres
        await self.db.executemany(sql, [order(row) for row in rows])


# Two transactions got in each other's way; the second one, begun anew, sees what the first one did.
_CROSSED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
)


class PostgresStore:
    """A PostgreSQL database behind a few kept connections."""

    engine = "postgresql"

    def __init__(self, url: str, lines: int = 8) -> None:
        self._dsn = url.replace("postgresql+asyncpg://", "postgresql://")
        self._free: asyncio.LifoQueue[_Line | None] = asyncio.LifoQueue()
        for _ in range(lines):
            self._free.put_nowait(None)  # opened when first wanted, again after a loss
        self._sessions = create_async_engine(
            self._dsn.replace("postgresql://", "postgresql+asyncpg://"),
            hide_parameters=True,
            pool_size=4,
            pool_pre_ping=True,
        )

    async def _take(self) -> _Line:
        line = await self._free.get()
        if line is not None and not line.db.is_closed():
            return line
        try:
            return _Line(await asyncpg.connect(self._dsn, timeout=10))
        except BaseException as fault:
            self._free.put_nowait(None)
            if isinstance(fault, _LOST):
                raise unavailable() from None
            raise

    async def read(self, statement: Statement, *given: Any) -> Sequence[Row]:
        line = await self._take()
        try:
            return await line.fetch(statement, given)
        except _LOST as fault:
            line.db.terminate()
            raise _told(fault) from None
        except asyncio.CancelledError:
            line.db.terminate()
            raise
        finally:
            self._free.put_nowait(line)

    async def do(self, work: Callable[..., T], *given: Any) -> T:
        for attempt in range(5):
            try:
                return await self._once(work, given)
            except _CROSSED as fault:
                crossed: BaseException = fault
                await asyncio.sleep(0.01 * 2**attempt)
        raise _told(crossed) from None

    async def _once(self, work: Callable[..., T], given: Row) -> T:
        line = await self._take()
        try:
            await line.db.execute("BEGIN")
            answer: T = await greenlet_spawn(work, _PostgresTx(line), *given)
            if await line.db.execute("COMMIT") != "COMMIT":
                raise StoreFault("the work went on after a failed statement")
            return answer
        except _CROSSED:
            await _undo(line)
            raise
        except Exception as fault:
            await _undo(line)
            told = _told(fault)
            if told is fault:
                raise
            raise told from None
        except BaseException:
            line.db.terminate()
            raise
        finally:
            self._free.put_nowait(line)

    async def session(self, work: Callable[..., T], *given: Any) -> T:
        def run(inner: Any) -> T:
            with Session(inner.connection(), expire_on_commit=False) as session:
                answer = work(session, *given)
                session.flush()
                return answer

        try:
            async with AsyncSession(self._sessions) as outer, outer.begin():
                return await outer.run_sync(run)
        except (DBAPIError, SQLAlchemyTimeout, *_LOST) as fault:
            raise _told(fault) from None

    async def close(self) -> None:
        while not self._free.empty():
            line = self._free.get_nowait()
            if line is not None and not line.db.is_closed():
                with contextlib.suppress(*_LOST, TimeoutError):
                    await line.db.close(timeout=2)
        await self._sessions.dispose()


async def _undo(line: _Line) -> None:
    """Roll back; a connection that cannot do even that is given up."""
    try:
        await line.db.execute("ROLLBACK")
    except _LOST:
        line.db.terminate()


def open_store(url: str) -> SqliteStore | PostgresStore:
    """The store at `sqlite:///path` or `postgresql://…`."""
    if url.startswith("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    if url.startswith(("postgresql://", "postgresql+asyncpg://")):
        return PostgresStore(url)
    raise ValueError("a database address is sqlite:///path or postgresql://…")
