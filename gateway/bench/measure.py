"""Runs the measurements: the county is built, then gateway and ceiling take turns under the same load."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from joserfc import jwt

from gateway.bench import ceiling
from gateway.bench.county import READER, READERS, STRANGER, County, build, opened
from gateway.bench.load import CONNECTIONS, Load, Wanted, get, load
from gateway.bench.machine import (
    cores,
    cpu_seconds,
    described,
    pin,
    resident_megabytes,
    unpin,
    versions,
)
from gateway.bench.report import result

NAMES = ("read", "search", "filing", "all")
OBSERVATIONS = 200
PAIRS = 2  # how often gateway and ceiling take turns in one load
STARTS = 1
WHOLE = 48.0  # seconds a run should take; loads are shortened where building took long
ROUND_ABOUT = 11.0  # of which starting and stopping programs take
LOADS = {"read": 3.0, "search": 2.5, "filing": 2.0, "all": 7.0}  # in loads of full length
SHORTEST = 1.0
FIRST = 30.0  # seconds a server may take to come up

Results = list[dict[str, Any]]


@dataclass(slots=True)
class Server:
    """A running program under measurement."""

    process: subprocess.Popen[bytes]
    port: int
    requests: dict[str, list[list[bytes]]]
    wanted: dict[str, Wanted]


async def measured(name: str, persons: int, seconds: float, engine: str) -> dict[str, Any]:
    """The document of one run; everything it builds is gone when it returns."""
    if engine != "sqlite" and name in {"filing", "all"}:
        raise SystemExit("health-gateway: filing is measured on SQLite only; use read or search")
    data: dict[str, Any] = {"engine": "sqlite" if engine == "sqlite" else "postgresql"}
    started = time.perf_counter()
    document = {"machine": described(), "versions": versions(), "data": data}
    results: Results = []
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    before = cores()
    try:
        if name != "filing":
            county = await _county(persons, engine, folder, data)
            left = WHOLE - ROUND_ABOUT - (time.perf_counter() - started)
            seconds = min(seconds, max(SHORTEST, left / LOADS[name]))
            pin(1)
            results += await _answers(name, county, seconds, engine, folder)
        if name in {"filing", "all"}:
            results += await asyncio.to_thread(_intake, seconds, data)
        data["seconds of each load"] = round(seconds, 1)
    finally:
        unpin(before)
        shutil.rmtree(folder, ignore_errors=True)
    return document | {"results": results}


async def _county(persons: int, engine: str, folder: Path, data: dict[str, Any]) -> County:
    started = time.perf_counter()
    services = await opened(folder / "gateway", engine)
    try:
        county = await build(services, persons, OBSERVATIONS, filling(folder, persons, engine))
    finally:
        await services.close()
    data |= {
        "persons": len(county.charts),
        "observations of each": OBSERVATIONS,
        "resources of each": county.resources,
        "text of an observation, bytes": round(statistics.mean(map(len, county.texts))),
        "built by": "one person's messages mapped, every person's resources filed in full",
        "seconds to build": round(time.perf_counter() - started, 1),
        "connections": CONNECTIONS,
        "asked by": "another hospital's clinician, under a broad consent and an encounter",
    }
    return county


async def recent(folder: Path, engine: str, persons: int, records: int) -> County:
    """A county in that folder whose newest results are of yesterday: they may be recognised."""
    services = await opened(folder / "gateway", engine)
    last = (datetime.now(services.settings.zone) - timedelta(days=1)).date()
    try:
        return await build(services, persons, records, filling(folder, persons, engine), last)
    finally:
        await services.close()


async def _answers(name: str, county: County, seconds: float, engine: str, folder: Path) -> Results:
    results: Results = []
    with running("ceiling", folder, county, engine) as bare:
        bare.requests, bare.wanted = _ceiling_requests(county)
        with running("gateway", folder, county, engine) as gateway:
            gateway.requests, gateway.wanted = _gateway_requests(county, gateway.port)
            if name in {"read", "all"}:
                results += await _reads(gateway, bare, seconds)
            if name in {"search", "all"}:
                results += [
                    await _beside(gateway, bare, "search, page of 20", seconds),
                    await _beside(gateway, bare, "whole record", seconds),
                ]
            if name in {"read", "all"}:
                memory = [resident_megabytes(one.process.pid) for one in (gateway, bare)]
                results.append(result("resident memory", "MB", memory[:1], memory[1:]))
                requests, wanted = gateway.requests, gateway.wanted
                with running("stubbed", folder, county, engine) as stubbed:
                    stubbed.requests, stubbed.wanted = requests, wanted
                    results.append(await _share(gateway, stubbed, seconds / 2))
    if name in {"read", "all"}:
        results.append(_cold_start(folder, county, engine, requests["read by id"][0][0]))
    return results


# The programs


def filling(folder: Path, persons: int, engine: str) -> Any:
    """What fills the ceiling's database, given the texts, while the gateway's is being built."""

    def begin(texts: list[bytes]) -> multiprocessing.process.BaseProcess:
        work: Any = ceiling.fill if engine == "sqlite" else ceiling.fill_postgres
        where = folder / "ceiling.sqlite" if engine == "sqlite" else engine
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(where, persons, texts)
        )
        process.start()
        return process

    return begin


@contextmanager
def running(program: str, folder: Path, county: County, engine: str) -> Iterator[Server]:
    """A program under measurement, answering, for as long as the block lasts."""
    port = _free_port()
    given = {
        "program": program,
        "port": port,
        "engine": "" if engine == "sqlite" else engine,
        "path": str(folder / "ceiling.sqlite"),
        "persons": len(county.charts),
        "data": str(county.settings.data),
        "county_file": str(county.settings.county_file),
        "settings": {
            name: value
            for name, value in asdict(county.settings).items()
            if name in {"database", "county", "demo", "mllp_port"}
        },
    }
    process = subprocess.Popen([sys.executable, "-m", "gateway.bench.serve"], stdin=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(given).encode())
        process.stdin.close()
        _first_answer(port, b"GET /fhir/metadata HTTP/1.1\r\nhost: x\r\n\r\n", process)
        yield Server(process, port, {}, {})
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _first_answer(port: int, request: bytes, process: subprocess.Popen[bytes]) -> bytes:
    """Ask until there is an answer; its status line."""
    ends = time.perf_counter() + FIRST
    while process.poll() is None and time.perf_counter() < ends:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as line:
                line.sendall(request)
                return line.recv(65_536).partition(b"\r\n")[0]
        except OSError:
            time.sleep(0.002)
    raise SystemExit("health-gateway: a program under measurement did not come up")


# The requests


def _spread(paths: list[str], tokens: list[str]) -> list[list[bytes]]:
    """Paths over the connections, so that no two connections ask about one person."""
    return [
        [get(path, tokens[line % len(tokens)]) for path in paths[line::CONNECTIONS]]
        for line in range(min(CONNECTIONS, len(paths)))
    ]


def _gateway_requests(
    county: County, port: int
) -> tuple[dict[str, list[list[bytes]]], dict[str, Wanted]]:
    tokens = [token(county, id, port) for id in READERS]
    stranger = [token(county, STRANGER, port)]
    charts = county.charts
    deep = range(min(map(len, county.observations)))
    reads = [f"/fhir/Observation/{own[turn]}" for turn in deep for own in county.observations]
    pages = [f"/fhir/Observation?patient={chart}" for chart in charts]
    whole = [f"/fhir/Patient/{chart}/$everything" for chart in charts]
    size = round(statistics.mean(map(len, county.texts)))
    shared = county.resources - 1  # the consent itself is not shown
    return {
        "read by id": _spread(reads, tokens),
        "denied read": _spread(reads, stranger),
        "search, page of 20": _spread(pages, tokens),
        "whole record": _spread(whole, tokens),
    }, {
        "read by id": Wanted(200, size // 2, size * 2),
        "denied read": Wanted(404, 50, 400),
        "search, page of 20": Wanted(200, 20 * size * 9 // 10, 20 * (size + 500)),
        "whole record": Wanted(200, OBSERVATIONS * size, shared * (size + 700)),
    }


def _ceiling_requests(county: County) -> tuple[dict[str, list[list[bytes]]], dict[str, Wanted]]:
    persons = len(county.charts)
    every = len(county.texts) // 20
    reads = [
        f"/fhir/Observation/{id}"
        for turn in range(20)
        for id in (
            ceiling.ids(person, len(county.texts))[turn * every] for person in range(persons)
        )
    ]
    charts = [ceiling.chart(person) for person in range(persons)]
    size = round(statistics.mean(map(len, county.texts)))
    return {
        "read by id": _spread(reads, [READER]),
        "search, page of 20": _spread([f"/fhir/Observation?patient={c}" for c in charts], [READER]),
        "whole record": _spread([f"/fhir/Patient/{c}/$everything" for c in charts], [READER]),
    }, {
        "read by id": Wanted(200, size // 2, size * 2),
        "search, page of 20": Wanted(200, 20 * size * 8 // 10, 20 * (size + 500)),
        "whole record": Wanted(200, OBSERVATIONS * size * 9 // 10, OBSERVATIONS * (size + 500)),
    }


def token(county: County, client: str, port: int) -> str:
    """A token as a hospital's system gets it: a signed assertion that speaks for one clinician."""
    now = int(time.time())
    person = {
        "version": "1",
        "subject_id": f"dr-{client}",
        "subject_name": "李玘",
        "organization_id": STRANGER if client == STRANGER else READER,
        "subject_role": "clinician",
        "purpose_of_use": ["TREAT"],
    }
    claims = {
        "iss": client,
        "sub": client,
        "aud": f"{county.settings.base_url}/auth/token",
        "iat": now,
        "exp": now + 240,
        "jti": secrets.token_hex(8),
        "extensions": {"hl7-b2b": person},
    }
    header = {"alg": "ES384", "kid": client, "typ": "JWT"}
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(header, claims, county.keys[client], algorithms=["ES384"]),
    }
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    line.request("POST", "/auth/token", urlencode(form), kind)
    answer = orjson.loads(line.getresponse().read())
    if "access_token" not in answer:
        raise SystemExit(f"health-gateway: the bench got no token ({answer.get('error')})")
    return f"Bearer {answer['access_token']}"


# The measurements


async def _turns(one: Server, other: Server, name: str, seconds: float) -> list[tuple[Load, Load]]:
    """Both under the same load in turns, after a breath each that is not counted."""
    part = seconds / (2 * PAIRS)
    for server in (other, one):
        await load(server.port, server.requests[name], server.wanted[name], min(0.25, part / 2))
    pairs = []
    for _ in range(PAIRS):
        best = await load(other.port, other.requests[name], other.wanted[name], part)
        mine = await load(one.port, one.requests[name], one.wanted[name], part)
        pairs.append((mine, best))
    return pairs


async def _beside(gateway: Server, bare: Server, name: str, seconds: float) -> dict[str, Any]:
    return _compared(name, await _turns(gateway, bare, name, seconds))


def _compared(name: str, pairs: list[tuple[Load, Load]]) -> dict[str, Any]:
    mine, best = zip(*pairs, strict=True)
    return result(
        name,
        "req/s",
        [one.rate for one in mine],
        [one.rate for one in best],
        sum(one.wrong for pair in pairs for one in pair),
        more={
            f"{said} {part}, ms": round(
                statistics.median(one.quantile(quantile) for one in loads), 2
            )
            for said, loads in (("gateway", mine), ("ceiling", best))
            for part, quantile in (("p50", 0.5), ("p99", 0.99))
        },
    )


async def _reads(gateway: Server, bare: Server, seconds: float) -> Results:
    granted = await _beside(gateway, bare, "read by id", seconds)
    same = {"denied read": gateway.requests["read by id"]}
    beside = Server(
        gateway.process, gateway.port, same, {"denied read": gateway.wanted["read by id"]}
    )
    denied = _compared("denied read", await _turns(gateway, beside, "denied read", seconds / 2))
    return [granted, denied | {"ceiling is": "the granted read"}]


async def _share(gateway: Server, stubbed: Server, seconds: float) -> dict[str, Any]:
    """CPU time per read with and without consent, decryption and audit, at saturation."""
    name = "read by id"
    shares, wrong, each = [], 0, []
    # What the stub remembers it must have seen once: it goes round all its requests first.
    await load(stubbed.port, [own[:200] for own in stubbed.requests[name]], stubbed.wanted[name], 1)
    for _ in range(PAIRS):
        spent = []
        for server in (stubbed, gateway):
            before = cpu_seconds(server.process.pid)
            own = [one[:200] for one in server.requests[name]]
            seen = await load(server.port, own, server.wanted[name], seconds / (2 * PAIRS))
            spent.append((cpu_seconds(server.process.pid) - before) / max(1, seen.count))
            wrong += seen.wrong
        shares.append(1 - spent[0] / spent[1] if spent[1] else 1.0)
        each.append(spent[1] * 1e6)
    return result(
        "consent, decryption and audit, share of CPU time",
        "",
        shares,
        wrong=wrong,
        more={"CPU time per read, µs": round(statistics.median(each))},
    )


def _cold_start(folder: Path, county: County, engine: str, request: bytes) -> dict[str, Any]:
    """From starting `health-gateway serve` to its first record, and the same of the bare program."""
    took = []
    for _ in range(STARTS):
        port = _free_port()
        settings = {
            "DATA": county.settings.data,
            "DATABASE": county.settings.database,
            "COUNTY": county.settings.county,
            "COUNTY_FILE": county.settings.county_file,
            "DEMO": "true",
            "MLLP_PORT": "0",
            "PORT": port,
        }
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        environ |= {f"GATEWAY_{name}": str(value) for name, value in settings.items()}
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", "from gateway.cli import main; main()", "serve"], env=environ
        )
        try:
            status = _first_answer(port, request, process)
            took.append(time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait(10)
        if not status.startswith(b"HTTP/1.1 200"):
            raise SystemExit("health-gateway: the first answer after a cold start was not 200")
    return result("cold start to first answer", "s", took)


def _intake(seconds: float, data: dict[str, Any]) -> Results:
    done = subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, "-m", "gateway.bench.intake", str(seconds)],
        capture_output=True,
        check=True,
    )
    found = json.loads(done.stdout)
    mine, best = zip(*found["pairs"], strict=True)
    data["messages filed"] = found["messages"]
    wrong = 0 if found["all filed"] else 1
    return [
        result("raw ORU of 20 OBX to filed", "msg/s", mine, best, wrong),
        result(
            "disk per observation",
            "KB",
            [found["observation bytes"] / 1_000],
            more={"includes": "raw message, records, manifest, log, keys, indexes"},
        ),
    ]
