"""Reads rows of a hospital's database view from a watermark on: read-only, streamed, every cell as the text it shows.

Nothing that comes from the view or from a hand is ever put into SQL text: names are identifiers quoted by
SQLAlchemy's dialect, values are bound parameters. Exceptions of drivers hold SQL, parameters and rows, so
none leaves this file: a `ViewFault` names a kind.

Works with every database SQLAlchemy has a dialect for. Drivers for Oracle, SQL Server and MySQL are the
optional extra ``views``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, create_engine, false, select, text
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import quoted_name

Kind = Literal[
    "address",
    "driver",
    "unreachable",
    "refused",
    "columns-missing",
    "columns-new",
    "watermark",
    "cell",
]
"""Why a view could not be read:

address         the address is not a database address
driver          the driver of that database is not installed
unreachable     no connection, or it was lost, or the statement ran out of time
refused         the database does not let us read this view, or has none of that name
columns-missing, columns-new   the view's columns are not those its map declares
watermark       the watermark cannot be compared with the one kept
cell            a cell is neither text, number, time nor bytes
"""

NAME: Final = re.compile(r"[^\W\d][\w$#]{0,127}(?:\.[^\W\d][\w$#]{0,127}){0,2}")
"""A view, with schema and database in front where it has them, as the database writes it."""

TIMEOUT: Final = 60  # seconds, of a statement and of a connection
FETCH: Final = 500  # rows held at once
_RECODE: Final = frozenset({"latin-1", "cp1252"})


class ViewFault(Exception):
    """Why a view could not be read. Holds neither SQL nor anything that stands in the view."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        super().__init__(kind)


@dataclass(frozen=True, slots=True)
class View:
    """What is to be read. `columns` in the map's order, `group` and `watermark` among them.

    `charset` is what bytes are; with `recode` texts that the driver decoded as that set are read again as
    `charset` (a database whose GBK text is labelled Latin-1).
    """

    name: str
    columns: tuple[str, ...]
    group: tuple[str, ...]
    watermark: str
    charset: str = "utf-8"
    recode: str = ""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A watermark as the database gave it, so that it can be given back and compared there."""

    kind: Literal["text", "int", "decimal", "float", "datetime", "date", "bytes"]
    value: str

    def python(self) -> Any:
        """The value a statement is given."""
        match self.kind:
            case "text":
                return self.value
            case "int":
                return int(self.value)
            case "decimal":
                return Decimal(self.value)
            case "float":
                return float(self.value)
            case "datetime":
                return datetime.fromisoformat(self.value)
            case "date":
                return date.fromisoformat(self.value)
            case "bytes":
                return bytes.fromhex(self.value)

    def before(self, overlap: int) -> Mark:
        """The mark `overlap` earlier: seconds of a time, units of a whole number; others stay."""
        match self.kind:
            case "datetime":
                return Mark(self.kind, (self.python() - timedelta(seconds=overlap)).isoformat())
            case "date":
                days = -(-overlap // 86_400)
                return Mark(self.kind, (self.python() - timedelta(days=days)).isoformat())
            case "int":
                return Mark(self.kind, str(int(self.value) - overlap))
            case "text":
                return Mark("text", _earlier(self.value, overlap))
        return self


def _earlier(text: str, overlap: int) -> str:
    """A time written as text, as it would be written earlier; other texts stay as they are."""
    shape = re.fullmatch(r"(\d{4}-\d\d-\d\d)([ T])(\d\d:\d\d:\d\d)(\.\d{1,6})?", text)
    if shape is None or not overlap:
        return text
    moment = datetime.fromisoformat(f"{shape[1]} {shape[3]}") - timedelta(seconds=overlap)
    return f"{moment:%Y-%m-%d}{shape[2]}{moment:%H:%M:%S}{shape[4] or ''}"


class ViewRow(NamedTuple):
    """One row: its cells as texts (None for NULL) in the order of `View.columns`, its watermark, its digest."""

    cells: tuple[str | None, ...]
    mark: Mark
    digest: bytes


def read(address: str, view: View, since: Mark | None, timeout: int = TIMEOUT) -> Iterator[ViewRow]:
    """The rows with ``watermark >= since``, by watermark and group, as the database has them at one moment.

    Rows whose watermark is NULL are not among them; `unmarked` tells whether there are any. No more
    than `FETCH` rows are held. Raises `ViewFault`. Blocks: run it in a thread of its own.
    """
    with _connected(address, timeout) as db:
        wanted = query(view, _contract(db, view), since)
        convert = _Cells(view)
        with _told("watermark" if since is not None else "refused"):
            rows = db.execution_options(stream_results=True, max_row_buffer=FETCH).execute(wanted)
            for some in rows.partitions(FETCH):
                yield from [convert.row(row) for row in some]


def query(view: View, names: Mapping[str, quoted_name], since: Mark | None) -> Select[Any]:
    """The statement `read` asks; `names` are the view's own names of its columns."""
    mark: Any = sql_column(names[view.watermark])
    order = [mark, *(sql_column(names[name]) for name in view.group)]
    columns: list[Any] = [sql_column(names[name]) for name in view.columns]
    # Once more behind them: whatever the driver does to names, the last is the watermark.
    wanted = select(*columns, mark.label("watermark_")).select_from(_table(view.name))
    wanted = wanted.where(mark.is_not(None)).order_by(*order)
    return wanted if since is None else wanted.where(mark >= since.python())


def unmarked(address: str, view: View, timeout: int = TIMEOUT) -> bool:
    """Whether the view has rows without a watermark, which `read` never gives."""
    with _connected(address, timeout) as db:
        mark: Any = sql_column(_contract(db, view)[view.watermark])
        wanted = select(mark).select_from(_table(view.name)).where(mark.is_(None)).limit(1)
        with _told("refused"):
            return db.execute(wanted).first() is not None


# --- connection ------------------------------------------------------------------------------------

_ARGUMENTS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "postgresql": lambda seconds: {
        "connect_timeout": 10,
        "options": f"-c statement_timeout={seconds * 1000} -c default_transaction_read_only=on",
    },
    "mysql": lambda seconds: {"connect_timeout": 10, "read_timeout": seconds},
    "mssql": lambda seconds: {"login_timeout": 10, "timeout": seconds},
    "oracle": lambda seconds: {"tcp_connect_timeout": 10},
    "sqlite": lambda seconds: {"timeout": 10, "check_same_thread": False},
}
"""What a driver is told when it connects (psycopg, pymysql, pymssql, oracledb, sqlite3)."""

_BEGINNING: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "START TRANSACTION WITH CONSISTENT SNAPSHOT"),
    "oracle": ("SET TRANSACTION READ ONLY",),
    "sqlite": ("PRAGMA query_only = ON",),
    "mssql": ("SET LOCK_TIMEOUT 10000",),
}
"""What makes a transaction read only. SQL Server has no such thing: give us an account that may only read, and
we wait for its writers no longer than ten seconds."""


@contextmanager
def _connected(address: str, timeout: int) -> Iterator[Connection]:
    """A connection that can only read, and lasts as long as the work with it."""
    engine = _engine(address, timeout)
    with _told("unreachable"):
        db = engine.connect()
    try:
        with _told("refused"):
            if engine.dialect.name == "oracle":
                db.connection.dbapi_connection.call_timeout = timeout * 1000  # type: ignore[union-attr]
            for statement in _BEGINNING.get(engine.dialect.name, ()):
                db.exec_driver_sql(statement)
        yield db
    finally:
        with suppress(
            Exception
        ):  # the work is done; a connection that broke cannot be closed twice
            db.rollback()
        with suppress(Exception):
            db.close()
        engine.dispose()


def _engine(address: str, timeout: int) -> Engine:
    try:
        url = make_url(address.strip())
        url = _with_driver(url)
        known = _ARGUMENTS.get(url.get_backend_name())
        arguments = known(timeout) if known is not None else {}
        return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    except (NoSuchModuleError, ModuleNotFoundError):
        raise ViewFault("driver") from None
    except (ArgumentError, SQLAlchemyError, ValueError, TypeError):
        raise ViewFault("address") from None


_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mssql": "pymssql", "oracle": "oracledb"}


def _with_driver(url: URL) -> URL:
    """The driver of the extra ``views`` where the address names none."""
    if "+" in url.drivername or url.drivername not in _DRIVERS:
        return url
    return url.set(drivername=f"{url.drivername}+{_DRIVERS[url.drivername]}")


@contextmanager
def _told(otherwise: Kind) -> Iterator[None]:
    """Turn what drivers raise into a kind; their texts quote SQL, parameters and rows."""
    try:
        yield
    except ViewFault:
        raise
    except (NoSuchModuleError, ModuleNotFoundError):
        raise ViewFault("driver") from None
    except OperationalError as fault:
        lost = fault.connection_invalidated or not _names_an_object(fault)
        raise ViewFault("unreachable" if lost else "refused") from None
    except DBAPIError as fault:
        raise ViewFault("unreachable" if fault.connection_invalidated else otherwise) from None
    except (SQLAlchemyError, OSError):
        raise ViewFault("unreachable") from None
    except UnicodeError:
        raise ViewFault("cell") from None


def _names_an_object(fault: OperationalError) -> bool:
    """SQLite and MySQL tell of a missing view or right as of a lost connection, but for the words."""
    words = str(fault.orig).lower()
    return any(word in words for word in ("no such", "denied", "doesn't exist", "unknown"))


def _table(name: str) -> Any:
    """The view as an identifier; every part is quoted, whatever it holds."""
    if not NAME.fullmatch(name):
        raise ViewFault("refused")
    *above, last = name.split(".")
    schema = ".".join(above)
    # A schema of two parts (SQL Server: database.owner) is split at its dots by the dialect.
    quoted = quoted_name(schema, True) if len(above) == 1 else quoted_name(schema, None)
    return sql_table(quoted_name(last, True), schema=quoted if above else None)


def _contract(db: Connection, view: View) -> dict[str, quoted_name]:
    """The view's own name of each declared column; every one must be there, and no other.

    Databases fold the case of names; two columns that differ in nothing else are not one of ours.
    """
    with _told("refused"):
        nothing = select(text("*")).select_from(_table(view.name)).where(false())
        cursor = db.execute(nothing).cursor
        found = [str(one[0]) for one in (cursor.description if cursor is not None else None) or ()]
    by_name = {name.casefold(): name for name in found}
    missing = [name for name in view.columns if name.casefold() not in by_name]
    if missing:
        raise ViewFault("columns-missing")
    if len(found) != len(view.columns):
        raise ViewFault("columns-new")
    return {name: quoted_name(by_name[name.casefold()], True) for name in view.columns}


# --- cells -----------------------------------------------------------------------------------------


class _Cells:
    """Turns what a driver gives into texts, without losing a digit."""

    def __init__(self, view: View) -> None:
        self.charset = view.charset
        self.recode = view.recode if view.recode in _RECODE else ""

    def row(self, row: Sequence[Any]) -> ViewRow:
        cells = tuple(self.text(value) for value in row[:-1])
        digest = blake2b(msgspec.msgpack.encode(cells), digest_size=8).digest()
        return ViewRow(cells, _mark(row[-1]), digest)

    def text(self, value: Any) -> str | None:
        match value:
            case None:
                return None
            case str():
                return self.letters(value)
            case bool():
                return "1" if value else "0"
            case int():
                return str(value)
            case Decimal():
                # As the database prints it: 100 and not 1E+2, 6.10 and not 6.1.
                return format(value, "f")
            case float():
                return repr(value)
            case datetime():
                return value.isoformat(sep=" ")
            case date() | time():
                return value.isoformat()
            case bytes() | bytearray() | memoryview():
                return self.binary(bytes(value))
            case UUID() | timedelta():
                return str(value)
        raise ViewFault("cell")

    def letters(self, value: str) -> str:
        if self.recode and not value.isascii():
            # What is no Latin-1 was decoded well; what is, but no text of the charset, stays too.
            with suppress(UnicodeError):
                value = value.encode(self.recode).decode(self.charset)
        # Half a surrogate pair is what a driver makes of bytes it could not read.
        return value.encode("utf-8", "replace").decode() if _broken(value) else value

    def binary(self, value: bytes) -> str:
        """Text in the source's character set where it is that, else hexadecimal digits."""
        try:
            return value.decode(self.charset)
        except UnicodeDecodeError:
            return value.hex()


def _broken(value: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in value)


def _mark(value: Any) -> Mark:
    match value:
        case str():
            return Mark("text", value)
        case bool():
            raise ViewFault("watermark")
        case int():
            return Mark("int", str(value))
        case Decimal():
            return Mark("decimal", str(value))
        case float():
            return Mark("float", repr(value))
        case datetime():
            return Mark("datetime", value.isoformat())
        case date():
            return Mark("date", value.isoformat())
        case bytes() | bytearray() | memoryview():
            return Mark("bytes", bytes(value).hex())
    raise ViewFault("watermark")
