"""Commands that run: serve, worker, demo, bench."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from typing import Annotated

import structlog
import typer

from gateway.cli.common import AsJson, console, refuse_unmigrated
from gateway.exchange import releases, safety
from gateway.jobs.worker import Worker
from gateway.services import open_services
from gateway.services.caller import OPERATOR
from gateway.services.scrub import Scrubbing, scrub
from gateway.settings import Settings, read

PATIENCE = 20  # seconds that requests in hand may take after SIGTERM


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (serve, worker, demo, bench):
        app.command()(command)


def quiet_logs() -> None:
    """JSON lines on standard error: route templates, kinds and places, nothing a person sent.

    Whoever logs, and whatever: what looks like a resident ID is taken out of the finished line.
    """
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
            scrub,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    last = logging.StreamHandler(sys.stderr)
    last.setFormatter(Scrubbing("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[last], level=logging.WARNING, force=True)
    # These write addresses with queries, frames, SQL: never at a level that prints.
    for name in ("uvicorn.access", "asyncio", "sqlalchemy", "httpx", "multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def refuse_unsafe(settings: Settings) -> None:
    """Exit 2 with the sentences when serving would be unsafe."""
    found = safety.findings(settings)
    for sentence in found:
        print(f"health-gateway: {sentence}", file=sys.stderr)
    if found:
        raise typer.Exit(2)


def serve() -> None:
    """Serve all doors; with `worker = true` file messages too."""
    settings = read()
    refuse_unsafe(settings)
    quiet_logs()
    uvloop_run(_serve(settings))


def uvloop_run(work: object) -> None:
    """asyncio.run on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)  # type: ignore[arg-type]


async def _serve(settings: Settings) -> None:
    # Here, because the other commands need no doors and should not wait for them to be read.
    from gateway.app import Application, http_server, running, settle

    await refuse_unmigrated(settings)
    services = await open_services(settings)
    try:
        await releases.adopt_all(OPERATOR, services)
        server = http_server(Application(services), settings)
        server.config.timeout_graceful_shutdown = PATIENCE
        settle()
        # uvicorn ends well on these and then raises them again; the other doors and the worker must
        # still get to finish what they have in hand.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: None)
        async with running(services):
            await server.serve()
    finally:
        await services.close()


def worker() -> None:
    """File messages, sequence the log and merge segments, without serving."""
    settings = read()
    quiet_logs()

    async def run() -> None:
        await refuse_unmigrated(settings)
        services = await open_services(settings)
        await releases.adopt_all(OPERATOR, services)
        working = Worker(services)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(name, working.stop)
        try:
            await working.run()
        finally:
            await services.close()

    uvloop_run(run())


def demo(
    check: Annotated[bool, typer.Option("--check", help="walk the whole road and end")] = False,
    without: Annotated[
        str, typer.Option(help="switch one station off, to see the check fail")
    ] = "",
    port: Annotated[int, typer.Option(help="port of the served demo")] = 8080,
    as_json: AsJson = False,
) -> None:
    """Build the pretend county under var/demo and serve it; --check walks the road and ends."""
    quiet_logs()
    if check:
        from gateway.demo.check import walk

        raise typer.Exit(walk(without=without, as_json=as_json))
    from gateway.demo.run import build_and_serve

    build_and_serve(port, console)


def bench(
    name: Annotated[
        str, typer.Argument(help="read, search, filing, all, mappings, consent, cds or pages")
    ],
    persons: Annotated[int, typer.Option(help="persons in the data set")] = 1_000,
    seconds: Annotated[float, typer.Option(help="how long each load runs")] = 4.0,
    engine: Annotated[str, typer.Option(help="sqlite or a postgresql:// address")] = "sqlite",
    as_json: AsJson = False,
) -> None:
    """Measure beside the bare ceiling in the same run; exit 1 on a missed goal."""
    from gateway.bench import run

    raise typer.Exit(run(name, persons=persons, seconds=seconds, engine=engine, as_json=as_json))
