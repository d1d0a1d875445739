"""What operators rely on: backup while it runs, restore that verifies, a full disk, a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import asyncpg
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlmodel import Session

from gateway.app import Application
from gateway.auth import systems
from gateway.demo.check import free_port
from gateway.demo.hospital import Line
from gateway.demo.volume import volume
from gateway.errors import Problem
from gateway.exchange import ask, kept, sources
from gateway.exchange.receive import Unit, receive
from gateway.exchange.verification import verify_log
from gateway.intake import mllp
from gateway.jobs.worker import Worker
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.settings import Settings
from gateway.store import clients, inbox
from gateway.store.engine import Tx
from gateway.vault import KeyMissing, VaultError
from tests.conftest import new_database
from tests.shell import call

SOURCE = "people-his"
PUSHES = Caller(client=SOURCE, organization="people", role="system", strength=2)
LEASE = 61_000_000
HL7 = {"content-type": "x-application/hl7-v2+er7"}
KEY = ECKey.generate_key("P-384", {"kid": "1"})


async def command(settings: Settings, *words: str | Path) -> tuple[int, str]:
    """Run `health-gateway` as an operator would; exit code and all it said."""
    told = await asyncio.to_thread(call, environment(settings), *words)
    return told.code, told.out + told.err


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    given = {
        f"GATEWAY_{one.name.upper()}": str(getattr(settings, one.name)) for one in fields(settings)
    }
    return kept | {name: value for name, value in given.items() if value not in {"", "."}}


async def elsewhere(settings: Settings, folder: Path, request: pytest.FixtureRequest) -> Settings:
    """Another machine: empty databases, and the root key from the safe."""
    folder.mkdir()
    key = folder / "root.key"
    key.touch(0o600)
    key.write_bytes(settings.root_key.read_bytes())
    if not settings.database:
        return replace(settings, data=folder)
    postgres = request.getfixturevalue("postgres")
    return replace(
        settings,
        data=folder,
        database=await new_database(postgres),
        keyring=await new_database(postgres),
    )


async def send(services: Services, first: int, count: int) -> list[str]:
    """Messages first … first + count - 1 of invented persons, acknowledged; their inbox ids."""
    made = [one for one in volume(first + count, 1) if one.control_id][first:]
    receipts = await receive(SOURCE, [Unit(one.raw, one.control_id) for one in made], services)
    return [receipt.id for receipt in receipts]


@asynccontextmanager
async def opened(settings: Settings, **changed: object) -> AsyncIterator[Services]:
    services = await open_services(settings)
    try:
        yield replace(services, **changed)  # type: ignore[arg-type]
    finally:
        await services.close()


async def records(services: Services) -> dict[str, bytes]:
    """Every current observation as its own source reads it, by id."""

    def ids(session: Session) -> list[str]:
        rows = session.execute(text("SELECT DISTINCT id FROM record ORDER BY id"))
        return [row[0] for row in rows]

    found = {}
    for id in await services.db.session(ids):
        try:
            found[id] = (await ask.read("Observation", id, PUSHES, services)).text
        except Problem:
            continue  # another type's id
    return found


async def tally(services: Services) -> inbox.Tally:
    return next(one for one in await sources.tallies(services) if one.name == SOURCE)


# Backup and restore


async def test_a_backup_taken_while_messages_are_filed_restores_to_a_county_that_verifies(
    services: Services, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = services.settings
    before = await send(services, 0, 6)
    worker = Worker(services)
    await worker.drain()
    over = asyncio.Event()

    async def keep_sending() -> None:
        number = 6
        while not over.is_set():
            await send(services, number, 2)
            number += 2
            await worker.file_some()
            await worker.sequence_some()
            await asyncio.sleep(0.2)

    sending = asyncio.create_task(keep_sending())
    code, told = await command(
        settings, "backup", tmp_path / "copy", "--keyring", tmp_path / "keys"
    )
    over.set()
    await sending
    assert code == 0, told

    other = await elsewhere(settings, tmp_path / "other", request)
    assert await command(other, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys") == (
        0,
        "Restored. Run `health-gateway audit verify` before serving.\n",
    )
    code, told = await command(other, "audit", "verify")
    assert code == 0, told

    was = await records(services)
    async with opened(other, now=lambda: services.now() + LEASE) as restored:
        has = await records(restored)
        assert has
        assert {id: was[id] for id in has} == has
        # What a worker held when the copy was made is due again once its lease is over.
        await Worker(restored).drain()
        later = await records(restored)
        assert {id: unfiled(was[id]) for id in later} == {id: unfiled(later[id]) for id in later}
        kept = await tally(restored)
        assert kept.received >= len(before)
        assert (kept.filed, kept.waiting, kept.agrees) == (kept.received, 0, True)


def unfiled(record: bytes) -> bytes:
    """The record without the time it was filed here."""
    return re.sub(rb'"lastUpdated":"[^"]*"', b"", record)


async def test_a_copy_is_readable_by_its_owner_alone(services: Services, tmp_path: Path) -> None:
    code, told = await command(
        services.settings, "backup", tmp_path / "copy", "--keyring", tmp_path / "keys"
    )

    assert code == 0
    made = [Path(line) for line in told.splitlines()]
    assert {path.parent.name for path in made} == {"copy", "keys"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
    same = await command(
        services.settings, "backup", tmp_path / "one", "--keyring", tmp_path / "one"
    )
    assert same[0] == 2


async def test_restoring_refuses_while_anything_stands_there(
    services: Services, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = services.settings
    await command(settings, "backup", tmp_path / "copy", "--keyring", tmp_path / "keys")
    other = await elsewhere(settings, tmp_path / "other", request)
    half = replace(other, keyring=settings.keyring_url)

    over_all = await command(settings, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys")
    over_keys = await command(half, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys")
    no_copy = await command(other, "restore", tmp_path / "none", "--keyring", tmp_path / "keys")

    assert (over_all[0], over_keys[0], no_copy[0]) == (1, 1, 1)
    assert over_keys[1].count("\n") == 1
    # Refused before anything was put in place: the same restore, whole, still goes.
    assert (await command(other, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys"))[
        0
    ] == 0


async def test_an_older_backup_beside_the_newer_checkpoint_is_found_out(
    services: Services, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = services.settings
    worker = Worker(services)
    await send(services, 0, 2)
    await worker.drain()
    await records(services)  # reads are entries of the log
    await worker.drain()
    await command(settings, "backup", tmp_path / "copy", "--keyring", tmp_path / "keys")
    await records(services)
    await worker.drain()

    other = await elsewhere(settings, tmp_path / "other", request)
    (other.data / "checkpoint").write_bytes((settings.data / "checkpoint").read_bytes())
    await command(other, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys")
    code, told = await command(other, "audit", "verify")

    assert code == 1
    assert "截断" in told


async def test_records_without_their_keyring_open_nothing(
    services: Services, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await send(services, 0, 2)
    await Worker(services).drain()
    settings = services.settings
    await command(settings, "backup", tmp_path / "copy", "--keyring", tmp_path / "keys")
    other = await elsewhere(settings, tmp_path / "other", request)
    await command(other, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys")
    fresh = await elsewhere(settings, tmp_path / "fresh", request)
    stolen = replace(other, keyring=fresh.keyring_url)
    code, told = await command(stolen, "migrate")  # migrated, but no map can be adopted
    assert (code, told.count("\n")) == (2, 1)

    with pytest.raises(KeyMissing, match="restore its backup"):
        await open_services(stolen)
    code, told = await command(stolen, "source", "list")

    assert (code, told.count("\n")) == (2, 1)


# Keys


async def test_after_rotating_every_key_all_is_readable_here_and_in_a_process_that_ran_on(
    services: Services,
) -> None:
    await send(services, 0, 2)
    await Worker(services).drain()
    was = await records(services)

    for tier in ("general", "restricted", "sealed", "audit", "intake"):
        assert (await command(services.settings, "keys", "rotate", tier))[0] == 0

    async with opened(services.settings) as after:
        assert await records(after) == was
    await send(services, 2, 1)  # this process has not been told
    await Worker(services).drain()
    assert was.items() < (await records(services)).items()


async def test_a_shredded_chart_is_as_if_it_had_never_been_also_in_a_restored_backup(
    services: Services, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = services.settings
    await send(services, 0, 2)
    await Worker(services).drain()
    was = await records(services)
    charts = await charts_of(services, list(was))
    gone = min(charts.values())
    await command(settings, "backup", tmp_path / "copy", "--keyring", tmp_path / "old-keys")

    code, told = await command(settings, "keys", "shred", gone, "--yes")
    assert code == 0, told
    await command(settings, "backup", tmp_path / "later", "--keyring", tmp_path / "keys")

    other = await elsewhere(settings, tmp_path / "other", request)
    await command(other, "restore", tmp_path / "copy", "--keyring", tmp_path / "keys")
    for place in (settings, other):
        async with opened(place) as after:
            left = await records(after)
            assert left == {id: text for id, text in was.items() if charts[id] != gone}
            assert await told_of(after, gone) == await told_of(after, secrets.token_hex(16))
        code, told = await command(place, "audit", "verify")
        assert code == 0, told


async def test_a_past_day_of_the_inbox_is_closed_once_charts_hold_all_of_it(
    services: Services,
) -> None:
    settings = services.settings

    def days_ago(days: int) -> Services:
        return replace(services, now=lambda: services.now() - days * 86_400_000_000)

    (filed,) = await send(days_ago(5), 0, 1)
    as_backed_up = await services.db.read(inbox.RAW, filed)
    await Worker(services).drain()
    (waits,) = await send(days_ago(9), 1, 1)
    await send(services, 2, 1)  # today's

    assert (await command(settings, "keys", "close-inbox", "--days", "1", "--yes"))[0] == 2
    code, told = await command(settings, "keys", "close-inbox", "--days", "2")
    assert (code, "1 key can be destroyed" in told, "1 key kept" in told) == (0, True, True), told
    assert (
        "0 keys destroyed"
        in (await command(settings, "keys", "close-inbox", "--days", "9", "--yes"))[1]
    ), "five days ago is not yet past"
    async with opened(settings) as before:
        assert await kept.opened(inbox.RawRow(*as_backed_up[0]), before)
    assert (
        "1 key destroyed"
        in (await command(settings, "keys", "close-inbox", "--days", "2", "--yes"))[1]
    )

    async with opened(settings) as after:
        with pytest.raises(VaultError):
            await kept.opened(inbox.RawRow(*as_backed_up[0]), after)
        for id in (filed, waits):
            (row,) = await after.db.read(inbox.RAW, id)
            assert await kept.opened(inbox.RawRow(*row), after)
        await Worker(after).drain()
    assert (
        "1 key destroyed"
        in (await command(settings, "keys", "close-inbox", "--days", "2", "--yes"))[1]
    ), "the message that waited is filed now"
    code, told = await command(settings, "audit", "verify")
    assert code == 0, told


async def charts_of(services: Services, ids: Sequence[str]) -> dict[str, str]:
    def rows(session: Session) -> dict[str, str]:
        found = session.execute(text("SELECT id, chart FROM record"))
        return {row[0]: row[1] for row in found if row[0] in ids}

    return await services.db.session(rows)


async def told_of(services: Services, chart: str) -> list[tuple[int, bytes]]:
    """What the chart's own hospital is told: a search, a read, everything; the chart's id blotted."""
    async with doors(services) as (web, token):
        headers = {"authorization": f"Bearer {token}"}
        answers = [
            await web.get(f"/fhir/{path}", headers=headers)
            for path in (
                f"Observation?patient={chart}",
                f"Patient/{chart}",
                f"Patient/{chart}/$everything",
            )
        ]
    return [(one.status_code, _timeless(one.json(), chart)) for one in answers]


def _timeless(bundle: dict[str, object], chart: str) -> bytes:
    for name in ("id", "timestamp", "meta"):
        bundle.pop(name, None)
    return json.dumps(bundle).replace(chart, "CHART").encode()


# A full disk


@dataclass
class Full:
    """A store that can be told to have no room."""

    services: Services

    @asynccontextmanager
    async def room_gone(self) -> AsyncIterator[None]:
        if self.services.db.engine == "sqlite":
            with _no_room_for(Path(self.services.settings.data)):
                yield
            return
        # PostgreSQL with a full disk refuses every statement that writes and goes on reading.
        await self._postgres("on")
        yield
        await self._postgres("off")

    async def _postgres(self, read_only: str) -> None:
        url = self.services.settings.database
        db = await asyncpg.connect(url)
        name = await db.fetchval("SELECT current_database()")
        await db.execute("SET default_transaction_read_only = off")
        await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {read_only}')
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await db.close()
        await asyncio.sleep(0.2)


@contextmanager
def _no_room_for(folder: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the smallest database file has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [path.stat().st_size for path in folder.glob("records.sqlite-wal")]
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(1, *sizes, 4096), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


@asynccontextmanager
async def doors(services: Services) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """The HTTP doors, and a token of the people's hospital's system."""
    now = services.now()

    def register(tx: Tx) -> None:
        public = json.dumps({"keys": [KEY.as_dict(private=False)]})
        clients.put(
            tx, id=SOURCE, organization="people", name=SOURCE, jwks=public,
            scopes="system/*.cruds", at=now,
        )  # fmt: skip

    await services.db.do(register)
    claims = {
        "iss": SOURCE,
        "sub": SOURCE,
        "aud": systems.token_url(services),
        "exp": now // 1_000_000 + 200,
        "jti": secrets.token_hex(16),
    }
    header = {"alg": "ES384", "kid": "1", "typ": "JWT"}
    told = await systems.issue(
        {
            "grant_type": "client_credentials",
            "scope": "system/*.cruds",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(header, claims, KEY, algorithms=["ES384"]),
        },
        services,
    )
    transport = httpx.ASGITransport(app=Application(services))
    async with httpx.AsyncClient(transport=transport, base_url=services.settings.base_url) as web:
        web.headers["authorization"] = f"Bearer {told['access_token']}"
        yield web, str(told["access_token"])


async def test_a_full_disk_stops_intake_with_ae_and_reads_with_503_and_nothing_is_half_done(
    services: Services,
) -> None:
    port = free_port()
    settings = replace(services.settings, mllp_port=port, mllp_plain=f"{SOURCE}=127.0.0.1/32")
    services = replace(services, settings=settings)
    worker = Worker(services)
    await send(services, 0, 3)
    await worker.drain()
    readable = next(iter(await records(services)))
    await worker.drain()
    new = [one for one in volume(8, 1) if one.control_id][3:]
    events = await count(services, "audit_event")
    acknowledged: list[str] = []
    door = await mllp.open_door(services)
    line = Line("127.0.0.1", port)
    try:
        async with doors(services) as (web, _):
            events = await count(services, "audit_event")
            async with Full(services).room_gone():
                for one in new[:2]:
                    answer = await asyncio.to_thread(line.ask, one.raw)
                    assert b"MSA|AE|" + one.control_id.encode() in answer
                posted = await web.post(f"/intake/{SOURCE}", content=new[2].raw, headers=HL7)
                assert (posted.status_code, b"MSA|AE|" in posted.content) == (503, True)
                read = await web.get(f"/fhir/Observation/{readable}")
                assert read.status_code == 503
                assert read.json()["issue"][0]["code"] == "transient"
                assert b"valueQuantity" not in read.content
                assert (await web.get("/healthz")).status_code == 200
                with suppress(Problem):
                    await worker.file_some()
            assert await count(services, "audit_event") == events  # no leaf, no bytes

            for one in new:
                answer = await asyncio.to_thread(line.ask, one.raw)
                assert b"MSA|AA|" + one.control_id.encode() in answer
                acknowledged.append(one.control_id)
            assert (await web.get(f"/fhir/Observation/{readable}")).status_code == 200
    finally:
        line.close()
        await door.close()
    await worker.drain()
    kept = await tally(services)
    assert (kept.received, kept.filed, kept.agrees) == (3 + len(acknowledged), 8, True)
    assert (await verify_log(services)).ok


async def count(services: Services, table: str) -> int:
    def rows(session: Session) -> int:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    return await services.db.session(rows)


# A clean end


async def test_sigterm_lets_every_door_finish_what_it_has_in_hand(services: Services) -> None:
    port, mllp_port = free_port(), free_port()
    settings = replace(
        services.settings,
        port=port,
        base_url=f"http://127.0.0.1:{port}",
        mllp_port=mllp_port,
        mllp_plain=f"{SOURCE}=127.0.0.1/32",
    )
    services = replace(services, settings=settings)
    new = [one for one in volume(6, 1) if one.control_id]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve"],
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    line = Line("127.0.0.1", mllp_port)
    try:
        await up(settings, process)
        async with doors(services) as (_, token):
            for one in new[:4]:
                assert b"MSA|AA|" in await asyncio.to_thread(line.ask, one.raw)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            body = new[4].raw
            writer.write(
                f"POST /intake/{SOURCE} HTTP/1.1\r\nhost: localhost\r\n"
                f"authorization: Bearer {token}\r\ncontent-type: {HL7['content-type']}\r\n"
                f"content-length: {len(body)}\r\n\r\n".encode()
                + body[:40]
            )
            await writer.drain()
            await asyncio.sleep(0.3)  # the request is in hand

            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            writer.write(body[40:])
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"MSA|AA|" + new[4].control_id.encode() in answer
            writer.close()
        told = await asyncio.to_thread(process.communicate, timeout=15)
    finally:
        line.close()
        process.kill()
    assert (process.returncode, told[1].decode()) == (0, "")
    await Worker(services).drain()
    kept = await tally(services)
    assert (kept.received, kept.waiting, kept.agrees) == (5, 0, True)
    assert kept.filed == 5


async def up(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    async with httpx.AsyncClient() as web:
        for _ in range(150):
            try:
                if (await web.get(f"{settings.base_url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert process.poll() is None, process.communicate()
            await asyncio.sleep(0.1)
    pytest.fail("the server did not become ready")
