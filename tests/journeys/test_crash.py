"""Kills the serving process at random moments of intake and look-ups; nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import bindparam, select

from gateway.demo import founding
from gateway.demo.check import free_port
from gateway.demo.hospital import Line
from gateway.demo.road import Road
from gateway.demo.volume import volume
from gateway.exchange import sources
from gateway.exchange.verification import verify_log
from gateway.services import open_services
from gateway.settings import Settings
from gateway.store import log_tables, tables
from gateway.store.statements import Statement

PERSONS = 40
EVENT = Statement(
    select(log_tables.AuditEvent.__table__.c.kind).where(
        log_tables.AuditEvent.__table__.c.writer == bindparam("writer"),
        log_tables.AuditEvent.__table__.c.counter == bindparam("counter"),
    ),
    "writer",
    "counter",
)
BY_CONTROL = Statement(
    select(tables.Inbox.__table__.c.state).where(
        tables.Inbox.__table__.c.control == bindparam("control")
    ),
    "control",
)


@dataclass
class Life:
    """What the outside world remembers of a server that keeps dying."""

    settings: Settings
    token: str = ""
    acknowledged: set[str] = field(default_factory=set)
    receipts: list[tuple[str, int]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        environment = {
            **os.environ,
            **{
                f"GATEWAY_{name.upper()}": str(value)
                for name, value in (
                    (one, getattr(self.settings, one)) for one in self.settings.__slots__
                )
                if str(value) not in {"", "."}
            },
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(200):
            try:
                if httpx.get(f"{self.settings.base_url}/readyz", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if self.process.poll() is not None:
                raise AssertionError(self.process.stderr.read().decode()[-2000:])
            time.sleep(0.05)
        raise AssertionError("the server does not come up")

    def kill(self) -> None:
        """Pull the plug."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def send(self) -> None:
        """A hospital system: one message after the other, again until it hears AA."""
        line = Line("127.0.0.1", self.settings.mllp_port)
        for delivery in volume(PERSONS, 8_000, seed="crash"):
            while not self.over.is_set():
                try:
                    answer = line.ask(delivery.raw)
                except OSError:
                    time.sleep(0.02)
                    continue
                if b"MSA|AA|" in answer:
                    self.acknowledged.add(delivery.control_id)
                    time.sleep(0.02)  # a busy hospital, not a flood: the rest must be filed too
                    break
                time.sleep(0.02)
            if self.over.is_set():
                break
        line.close()

    def look(self, charts: list[str]) -> None:
        """A system that keeps asking, and keeps every receipt."""
        dice = random.Random(3)
        headers = {"authorization": f"Bearer {self.token}"}
        client = httpx.Client(base_url=self.settings.base_url, headers=headers, timeout=5)
        while not self.over.is_set():
            try:
                answer = client.get(
                    "/fhir/Observation", params={"patient": dice.choice(charts), "_count": 5}
                )
            except httpx.HTTPError:
                time.sleep(0.02)
                continue
            if answer.status_code == 200 and "x-access-log" in answer.headers:
                writer, _, counter = answer.headers["x-access-log"].partition("/")
                self.receipts.append((writer, int(counter)))
        client.close()


async def _prepared(settings: Settings, folder: Path) -> tuple[Life, list[str]]:
    port, mllp = free_port(), free_port()
    settings = replace(
        settings,
        port=port,
        base_url=f"http://127.0.0.1:{port}",
        mllp_port=mllp,
        mllp_plain="people-his=127.0.0.1/32",
    )
    keys = founding.Keys.in_folder(folder / "clients")
    services = await founding.found(settings, keys)
    ids = services.ids("people")
    reading = services.maps.draft("people")
    charts = []
    for delivery in volume(PERSONS, 20, seed="crash"):
        (message,) = reading.read(delivery.raw, ids, origin="x").messages
        assert message.patient is not None
        charts.append(ids(message.patient.space, "Patient", [message.patient.number]))
    await services.close()
    life = Life(settings)
    life.start()
    road = Road(None, keys, None, settings.base_url, mllp)  # type: ignore[arg-type]
    life.token = await road.token("people-his")
    return life, sorted(set(charts))


async def _live_and_die(settings: Settings, folder: Path, kills: int) -> None:
    life, charts = await _prepared(settings, folder)
    threads = [
        threading.Thread(target=life.send),
        threading.Thread(target=life.look, args=(charts,)),
        threading.Thread(target=life.look, args=(charts,)),
    ]
    for thread in threads:
        thread.start()
    dice = random.Random(kills)
    try:
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(0.05, 0.9))
            life.kill()
            await asyncio.to_thread(life.start)
        await asyncio.sleep(1)
    finally:
        life.over.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    for _ in range(600):
        text = httpx.get(f"{life.settings.base_url}/metrics").text
        if 'source="people-his",state="waiting"} 0' in text:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)  # one more turn of the sequencer
    life.kill()

    assert len(life.acknowledged) > kills, "the test did not get messages through"
    assert len(life.receipts) > kills, "the test did not get look-ups through"
    services = await open_services(life.settings)
    try:
        for tally in await sources.tallies(services):
            assert tally.agrees
            assert not tally.waiting
            assert not tally.quarantined
        for control in life.acknowledged:
            digest = services.vault.digest("inbox/people-his/control", control.encode())
            assert await services.db.read(BY_CONTROL, digest) == [("filed",)]
        for writer, counter in life.receipts:
            assert await services.db.read(EVENT, writer, counter) == [("search",)]
        report = await verify_log(services)
        assert report.ok, report.findings
    finally:
        await services.close()


async def test_three_kills_lose_nothing(settings: Settings, tmp_path: Path) -> None:
    await _live_and_die(settings, tmp_path, 3)


@pytest.mark.crash
async def test_fifty_kills_lose_nothing(settings: Settings, tmp_path: Path) -> None:
    await _live_and_die(settings, tmp_path, 50)
