"""Brings a database to the tables this version wants; safe to run again.

Alembic is loaded when there is something to do: every start asks whether there is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from alembic.config import Config

Which = Literal["records", "keyring"]
_SCRIPTS = Path(__file__).parent / "migrations"
_NAMED = re.compile(r"^(down_)?revision\b[^=\n]*= *(?:\"([^\"\n]+)\"|None)", re.MULTILINE)


def _config(which: Which, connection: Connection | None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS / which))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, which: Which) -> None:
    from alembic import command

    command.upgrade(_config(which, connection), "head")


async def migrate(url: str, which: Which) -> None:
    """Upgrade the database at `url` to the newest tables."""
    await _on(url, _upgrade, which)


async def pending(url: str, which: Which) -> bool:
    """True when `migrate` has something to do."""
    return bool(await _on(url, _pending, which))


def _pending(connection: Connection, which: Which) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return True
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    return set(found) != heads(which)


def heads(which: Which) -> set[str]:
    """The newest migration, as the migrations themselves name each other."""
    own: set[str] = set()
    followed: set[str] = set()
    for path in (_SCRIPTS / which / "versions").glob("*.py"):
        for down, name in _NAMED.findall(path.read_text(encoding="utf-8")):
            (followed if down else own).add(name)
    return own - followed


async def is_empty(url: str) -> bool:
    """True when the database has no tables."""
    return bool(await _on(url, lambda connection: not inspect(connection).get_table_names()))


async def _on(url: str, work: Any, *given: Any) -> Any:
    """`work(connection, …)` in a transaction of its own."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, hide_parameters=True)
        try:
            with engine.begin() as connection:
                # Only a new file takes it. A commit empties the readers' caches, and a person's
                # manifest and page of records then come back in half as many pieces.
                connection.exec_driver_sql("PRAGMA page_size = 8192")
                return work(connection, *given)
        finally:
            engine.dispose()
    address = url.replace("postgresql+asyncpg://", "postgresql://")
    outer = create_async_engine(
        address.replace("postgresql://", "postgresql+asyncpg://"), hide_parameters=True
    )
    try:
        async with outer.begin() as connection:
            return await connection.run_sync(work, *given)
    finally:
        await outer.dispose()


def revise(which: Which, message: str) -> None:
    """Write a new migration from the difference between the newest one and the tables."""
    from alembic import command

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        _upgrade(connection, which)
        command.revision(_config(which, connection), message=message, autogenerate=True)
