"""Commands on what comes in: load, source."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from gateway.cli.common import AsJson, console, counted, print_columns, print_json, with_services
from gateway.errors import Kind, Problem
from gateway.exchange import loading, pulling, sources
from gateway.jobs.worker import Worker
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.store.views import FeedRow

source = typer.Typer(help="The hospital systems that send to us.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(load)


def load(
    source_name: Annotated[str, typer.Argument(metavar="SOURCE")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Take messages from files as if the source had sent them; run again, it resumes."""

    async def run(services: Services) -> dict[str, int]:
        worker = Worker(services)
        counts: dict[str, int] = {"new": 0, "again": 0, "conflict": 0}
        with Progress(console=Console(stderr=True), disable=as_json, transient=True) as progress:
            task = progress.add_task(source_name, total=sum(f.stat().st_size for f in files))
            for file in files:
                async for outcomes, size in loading.load(source_name, file, services):
                    for outcome in outcomes:
                        counts[outcome] += 1
                    progress.advance(task, size)
            waiting = progress.add_task("filing", total=None)
            await worker.drain()
            progress.update(waiting, total=1, completed=1)
        return counts

    counts = with_services(run)
    tally = with_services(lambda services: _tally(services, source_name))
    if as_json:
        print_json({"source": source_name, **counts, "tally": tally})
    else:
        console.print(
            f"{counts['new']} new, {counts['again']} already here, "
            f"{counts['conflict']} with a control id used before"
        )
        if held := tally.get("quarantined"):
            console.print(
                f"in quarantine, whole: {held} of this source's messages; see `quarantine list`"
            )


async def _tally(services: Services, name: str) -> dict[str, object]:
    return next(
        (
            {**row._asdict(), "agrees": row.agrees}
            for row in await sources.tallies(services)
            if row.name == name
        ),
        {},
    )


@source.command("list")
def list_(as_json: AsJson = False) -> None:
    """Received = filed + quarantined + waiting + duplicates, for each source."""

    async def run(services: Services) -> list[dict[str, object]]:
        views = {feed.source: feed for feed in await pulling.feeds(services)}
        return [
            {**row._asdict(), "agrees": row.agrees}
            | ({"view": _view(views[row.name])} if row.name in views else {})
            for row in await sources.tallies(services)
        ]

    rows = with_services(run)
    if as_json:
        print_json(rows)
        return
    shown = [
        "name",
        "organization",
        "state",
        "received",
        "filed",
        "quarantined",
        "waiting",
        "duplicates",
    ]
    lines: list[tuple[str, ...]] = [(*shown, "sum", "last message", "view")]
    for row in rows:
        last = int(str(row["last_at"]))
        lines.append(
            (
                *(str(row[name]) for name in shown),
                "agrees" if row["agrees"] else "DISAGREES",
                moment(last).isoformat(timespec="seconds") if last else "-",
                str(row.get("view", "-")),
            )
        )
    print_columns(lines)


@source.command()
def add(
    name: str,
    organization: Annotated[str, typer.Option(help="id in the register")],
    map: Annotated[str, typer.Option(help="folder under the sites folder")],
    keep: Annotated[str, typer.Option(help="content | index | relay")] = "content",
    facility: Annotated[str, typer.Option(help="MSH-4 that plain MLLP must carry")] = "",
    certificate: Annotated[str, typer.Option(help="SHA-256 of its client certificate")] = "",
    client: Annotated[str, typer.Option(help="system client that may post for it")] = "",
) -> None:
    """Declare a source."""

    async def run(services: Services) -> None:
        known = {one.id for one in services.register}
        if known and organization not in known:
            raise Problem(Kind.UNKNOWN, "The register has no such organisation.", "organization")
        await sources.add(
            name,
            organization,
            map,
            services,
            keep=keep,
            facility=facility,
            certificate=certificate,
            client=client or name,
        )

    with_services(run)


def _view(feed: FeedRow) -> str:
    """How the last reading of a view went."""
    if not feed.last_at:
        return feed.error or "never read"
    at = moment(feed.last_at).isoformat(timespec="seconds")
    return f"{feed.error.upper() or 'ok'} at {at}"


@source.command()
def view(
    name: str,
    address_file: Annotated[
        Path, typer.Option(help="file (mode 600) with the SQLAlchemy address of the database")
    ],
    view: Annotated[str, typer.Option(help="the view's name, with its schema if it has one")],
    every: Annotated[int, typer.Option(help="seconds between two readings")] = 60,
    from_start: Annotated[bool, typer.Option(help="read it from its first row again")] = False,
) -> None:
    """Read a source's rows from a database view, from a watermark on."""
    with_services(
        lambda services: pulling.declare(
            name, address_file, view, every, services, from_start=from_start
        )
    )


@source.command()
def pull(name: str, as_json: AsJson = False) -> None:
    """Read a source's view now; exit 1 when it cannot be read."""
    pulled = with_services(
        lambda services: pulling.pull(name, services, f"pull-{secrets.token_hex(8)}")
    )
    if as_json:
        print_json(pulled._asdict())
    else:
        console.print(f"{counted(pulled.rows, 'new rows')} in {counted(pulled.units, 'messages')}")
    if pulled.error:
        print(f"health-gateway: {pulling.SAID[pulled.error]}", file=sys.stderr)
        raise typer.Exit(1)


@source.command()
def change(
    name: str,
    map: Annotated[str | None, typer.Option(help="folder under the sites folder")] = None,
    facility: Annotated[str | None, typer.Option(help="MSH-4 that plain MLLP must carry")] = None,
    certificate: Annotated[
        str | None, typer.Option(help="SHA-256 of its client certificate")
    ] = None,
    client: Annotated[str | None, typer.Option(help="system client that may post for it")] = None,
) -> None:
    """Change what is said of a source; what is not named stays."""

    async def run(services: Services) -> None:
        await sources.change(
            name,
            services,
            OPERATOR,
            map=map,
            facility=facility,
            certificate=certificate,
            client=client,
        )

    with_services(run)


@source.command()
def pause(name: str) -> None:
    """Answer its messages with "busy" until it is resumed."""
    with_services(lambda services: sources.set_state(name, "paused", services))


@source.command()
def resume(name: str) -> None:
    """Take its messages again."""
    with_services(lambda services: sources.set_state(name, "active", services))
