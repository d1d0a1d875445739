"""Backup and restore of a whole database: SQLite by its online copy, PostgreSQL by its own tools."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from gateway.errors import Kind, Problem
from gateway.store.migrate import Which, is_empty


async def backup(url: str, folder: Path, which: Which) -> list[Path]:
    """Write `which` into `folder`, consistent though the gateway runs; returns the files made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _copy_of(url, folder, which)
    if url.startswith("sqlite:///"):
        await asyncio.to_thread(_copy_sqlite, _file(url), path)
    else:
        part = Path(f"{path}.part")
        try:
            await _run(url, "pg_dump", "--format=custom", "--no-owner", f"--file={part}")
            _settle(part, path)
        finally:
            part.unlink(missing_ok=True)
    return [path]


async def refuse_restore(url: str, folder: Path, which: Which) -> None:
    """Problem UNKNOWN when `folder` holds no copy, CONFLICT when something stands where it would go."""
    path = _copy_of(url, folder, which)
    if not path.is_file():
        raise Problem(Kind.UNKNOWN, f"There is no {path.name} in that folder.")
    if not url.startswith("sqlite:///"):
        if not await is_empty(url):
            raise Problem(Kind.CONFLICT, f"The {which} database is not empty.")
        return
    target = _file(url)
    # SQLite would replay a journal left from another database into the restored one.
    for standing in (target, *(Path(f"{target}-{end}") for end in ("wal", "shm", "journal"))):
        if standing.exists():
            raise Problem(Kind.CONFLICT, f"{standing} exists; move it away first.")


async def restore(url: str, folder: Path, which: Which) -> None:
    """Put the copy in `folder` in place; refuses as `refuse_restore` does."""
    await refuse_restore(url, folder, which)
    path = _copy_of(url, folder, which)
    if url.startswith("sqlite:///"):
        target = _file(url)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(_copy_sqlite, path, target)
    else:
        await _run(
            url, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", str(path)
        )


def keep(source: Path, target: Path) -> None:
    """Copy a small file so that it is whole or absent."""
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    _settle(part, target)


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _copy_of(url: str, folder: Path, which: Which) -> Path:
    return folder / (f"{which}.sqlite" if url.startswith("sqlite:///") else f"{which}.dump")


def _copy_sqlite(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    writing = sqlite3.connect(part)
    try:
        reading.backup(writing)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        writing.close()
        reading.close()
    _settle(part, target)


def _settle(part: Path, target: Path) -> None:
    """Give a finished copy its name, once it is on the disk."""
    part.chmod(0o600)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


async def _run(url: str, tool: str, *arguments: str) -> None:
    """A PostgreSQL client tool; its error text may hold data, so only its name is told."""
    found = shutil.which(tool) or next(
        (str(p) for p in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{tool}"), reverse=True)),
        "",
    )
    if not found:
        raise Problem(Kind.BUSY, f"{tool} is not installed here.")
    address, password = _apart(url)
    process = await asyncio.create_subprocess_exec(
        found,
        f"--dbname={address}",
        *arguments,
        env={**os.environ, **({"PGPASSWORD": password} if password else {})},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise Problem(Kind.BUSY, f"{tool} did not succeed.")


def _apart(url: str) -> tuple[str, str]:
    """The address without its password, which other users of the machine would see, and that."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}@{place}" if user else place)), unquote(
        password
    )
