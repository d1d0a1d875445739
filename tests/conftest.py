"""Fixtures for everybody: a real county's services on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.demo import story
from gateway.services import Services, open_services
from gateway.settings import Settings
from gateway.store.migrate import migrate
from gateway.vault import KeyFile

CI = os.environ.get("CI") == "true"


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
    options = f"-c listen_addresses= -c unix_socket_directories={socket} -c max_connections=200"
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


async def new_database(postgres: str) -> str:
    """A fresh database in the throw-away cluster."""
    name = f"t{os.urandom(6).hex()}"
    db = await asyncpg.connect(postgres.format("postgres"))
    try:
        await db.execute(f'CREATE DATABASE "{name}"')
    finally:
        await db.close()
    return postgres.format(name)


@pytest.fixture(params=["sqlite", "postgresql"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a small real county with its databases migrated, on each engine."""
    given = {
        "data": tmp_path,
        "county": "yunxi",
        "county_file": story.REGISTER,
        "catalogue": story.CATALOGUE,
        "demo": True,
        "mllp_port": 0,
    }
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        given |= {
            "database": await new_database(postgres),
            "keyring": await new_database(postgres),
        }
    made = Settings(**given)
    KeyFile.create(made.root_key, demo=True)
    await migrate(made.database_url, "records")
    await migrate(made.keyring_url, "keyring")
    return made


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
