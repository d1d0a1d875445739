"""Backup and restore of a whole database: SQLite by its online copy, PostgreSQL by its own tools."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path

from gateway.errors import Kind, Problem
from gateway.store.migrate import Which, is_empty


async def backup(url: str, folder: Path, which: Which) -> list[Path]:
    """Write `which` into `folder`, consistent though the gateway runs; returns the files made."""
    folder.mkdir(parents=True, exist_ok=True)
    if url.startswith("sqlite:///"):
        path = folder / f"{which}.sqlite"
        await asyncio.to_thread(_copy_sqlite, Path(url.removeprefix("sqlite:///")), path)
    else:
        path = folder / f"{which}.dump"
        await _run("pg_dump", "--format=custom", "--no-owner", f"--file={path}.part", _dsn(url))
        _settle(Path(f"{path}.part"), path)
    return [path]


async def restore(url: str, folder: Path, which: Which) -> None:
    """Put the copy in `folder` in place; Problem CONFLICT when something stands there."""
    if url.startswith("sqlite:///"):
        path, target = folder / f"{which}.sqlite", Path(url.removeprefix("sqlite:///"))
        _must_exist(path)
        if target.exists():
            raise Problem(Kind.CONFLICT, f"{target} exists; move it away first.")
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(_copy_sqlite, path, target)
        return
    path = folder / f"{which}.dump"
    _must_exist(path)
    if not await is_empty(url):
        raise Problem(Kind.CONFLICT, f"The {which} database is not empty.")
    await _run(
        "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction",
        f"--dbname={_dsn(url)}", str(path),
    )  # fmt: skip


def keep(source: Path, target: Path) -> None:
    """Copy a small file so that it is whole or absent."""
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    _settle(part, target)


def _copy_sqlite(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    reading, writing = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(part)
    try:
        reading.backup(writing)
    finally:
        writing.close()
        reading.close()
    os.chmod(part, 0o600)
    _settle(part, target)


def _settle(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise Problem(Kind.UNKNOWN, f"There is no {path.name} in that folder.")


def _dsn(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://")


async def _run(tool: str, *arguments: str) -> None:
    """A PostgreSQL client tool; its error text may hold data, so only its name is told."""
    found = shutil.which(tool) or next(
        (str(p) for p in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{tool}"), reverse=True)),
        "",
    )
    if not found:
        raise Problem(Kind.BUSY, f"{tool} is not installed here.")
    process = await asyncio.create_subprocess_exec(
        found, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise Problem(Kind.BUSY, f"{tool} did not succeed.")
