"""Fixtures for everybody: a real county's services on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from argon2 import PasswordHasher

import gateway.services.maps
import mappings.engine
from gateway.auth import people
from gateway.demo import story
from gateway.services import Services, open_services
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.migrate import Which, migrate
from gateway.vault import KeyFile

T = TypeVar("T")
CI = os.environ.get("CI") == "true"
MEMORY, ROOM = Path("/dev/shm"), 4 << 30

# What tests write lies in memory where there is room: nobody waits for a disk.
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def missing(what: str) -> None:
    """Fail in CI, skip loudly elsewhere."""
    if CI:
        pytest.fail(f"{what} is missing, and CI must have it")
    warnings.warn(f"SKIPPED FOR LACK OF {what.upper()}", stacklevel=2)
    pytest.skip(f"{what} is missing")


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session", autouse=True)
def maps_made_once() -> Iterator[None]:
    """The shipped maps are loaded once for all tests: a map never changes, and loading takes 10 ms."""
    shipped = Path(mappings.__path__[0])
    made: dict[Any, Any] = {}

    def load(site: Any, base_url: str) -> Any:
        if isinstance(site, Path):
            if not site.resolve().is_relative_to(shipped):
                return mappings.engine.load(site, base_url)
            key: Any = site, base_url
        else:
            key = frozenset(site.items()), base_url
        if key not in made:
            made[key] = mappings.engine.load(site, base_url)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.services.maps, "load", load)
        yield


@pytest.fixture(scope="session", autouse=True)
def real_hasher() -> Iterator[PasswordHasher]:
    """What passwords are hashed with outside tests; here they cost nothing, but for the test of it."""
    real = people._HASHER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield real


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a throw-away PostgreSQL cluster, without a database name."""
    binaries = _postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
        return
    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data, socket = folder / "data", folder
    run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run(
        [
            *as_user,
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "gateway",
            "-A",
            "trust",
            "--locale=C.UTF-8",
        ],
        **run,
    )
    options = (
        f"-c listen_addresses= -c unix_socket_directories={socket} -c max_connections=200 "
        "-c fsync=off"  # the machine does not lose power in a test
    )
    subprocess.run(
        [
            *as_user,
            str(binaries / "pg_ctl"),
            "-D",
            str(data),
            "-w",
            "-o",
            options,
            "-l",
            str(folder / "log"),
            "start",
        ],
        **run,
    )
    try:
        yield f"postgresql://gateway@/{{}}?host={socket}"
    finally:
        subprocess.run(
            [*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"], **run
        )
        shutil.rmtree(folder, ignore_errors=True)


async def new_database(postgres: str, template: str = "template1") -> str:
    """A fresh database in the throw-away cluster, a copy of `template`."""
    name = f"t{os.urandom(6).hex()}"
    db = await asyncpg.connect(postgres.format("postgres"))
    try:
        await db.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await db.close()
    return postgres.format(name)


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end in a loop of its own: fixtures of a session may be wanted inside another."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def emptied(url: str) -> bool:
    """Take every row out of a migrated database; False when it is not one any more."""
    db = await asyncpg.connect(url)
    try:
        await db.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found = {
            row[0]
            for row in await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
        found.discard("alembic_version")
        if found not in (set(schema.records.tables), set(schema.keyring.tables)):
            return False
        await db.execute("; ".join(f"DELETE FROM {table}" for table in sorted(found)))
        return True
    finally:
        await db.close()


WHICH: tuple[Which, Which] = ("records", "keyring")


@pytest.fixture(scope="session")
def migrated_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with migrated SQLite databases to copy: migrating takes longer than most tests."""
    folder = tmp_path_factory.mktemp("migrated")
    for which in WHICH:
        apart(migrate(f"sqlite:///{folder}/{which}.sqlite", which))
    return folder


@pytest.fixture(scope="session")
def migrated_databases(postgres: str) -> dict[str, str]:
    """Migrated PostgreSQL databases to copy, by which."""

    async def make(which: Which) -> str:
        url = await new_database(postgres)
        await migrate(url, which)
        return url.partition("?")[0].rpartition("/")[2]

    return {which: apart(make(which)) for which in WHICH}


@pytest.fixture(scope="session")
def spare_databases() -> dict[str, list[str]]:
    """Migrated databases that a test has left empty again: making one takes longer than a test."""
    return {which: [] for which in WHICH}


@pytest.fixture(params=["sqlite", "postgresql"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of a small real county with its databases migrated, on each engine."""
    given = {
        "data": tmp_path,
        "county": "yunxi",
        "county_file": story.REGISTER,
        "catalogue": story.CATALOGUE,
        "demo": True,
        "mllp_port": 0,
    }
    databases: list[str] = []
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        ready = request.getfixturevalue("migrated_databases")
        spare = request.getfixturevalue("spare_databases")
        for which in WHICH:
            url = spare[which].pop() if spare[which] else None
            databases.append(url or await new_database(postgres, ready[which]))
        given |= dict(zip(("database", "keyring"), databases, strict=True))
    else:
        ready = request.getfixturevalue("migrated_files")
        for which in WHICH:
            shutil.copyfile(ready / f"{which}.sqlite", tmp_path / f"{which}.sqlite")
    made = Settings(**given)
    KeyFile.create(made.root_key, demo=True)
    yield made
    for which, url in zip(WHICH, databases, strict=False):
        if await emptied(url):
            request.getfixturevalue("spare_databases")[which].append(url)


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Services over those databases, with the register's sources declared."""
    from gateway.exchange import sources

    opened = await open_services(settings)
    try:
        await sources.declare(opened)
        yield opened
    finally:
        await opened.close()
