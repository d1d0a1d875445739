"""A server under measurement, in a process of its own: the gateway, the gateway with consent,
decryption and audit stubbed, or the bare ceiling.

`python -m gateway.bench.serve` reads a JSON object from standard input (an address may hold a password).
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from gateway.app import Application, running, settle
from gateway.bench.ceiling import PostgresBook, SqliteBook, application
from gateway.bench.machine import pin
from gateway.bench.stub import without_consent_decryption_and_audit
from gateway.services import open_services
from gateway.settings import Settings


def _server(application: Any, port: int) -> uvicorn.Server:
    """As the gateway's own command sets it up, for both programs."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            host="127.0.0.1",
            port=port,
            access_log=False,
            log_level="warning",
            server_header=False,
            lifespan="off",
            timeout_keep_alive=30,
            loop="uvloop",
            http="httptools",
        )
    )


async def _gateway(given: dict[str, Any]) -> None:
    paths = {name: Path(given[name]) for name in ("data", "county_file")}
    settings = Settings(**{**given["settings"], **paths})
    services = await open_services(settings)
    if given["program"] == "stubbed":
        services = without_consent_decryption_and_audit(services)
    try:
        server = _server(Application(services), given["port"])
        settle()
        async with running(services):
            await server.serve()
    finally:
        await services.close()


async def _ceiling(given: dict[str, Any]) -> None:
    book = PostgresBook(given["engine"]) if given["engine"] else SqliteBook(Path(given["path"]))
    await _server(application(book, given["persons"]), given["port"]).serve()


def main() -> None:
    """Serve until interrupted."""
    pin(0)
    given = json.load(sys.stdin)
    work = _ceiling if given["program"] == "ceiling" else _gateway
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(given))


if __name__ == "__main__":
    main()
