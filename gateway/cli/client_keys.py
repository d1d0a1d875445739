"""Commands on a client's keys: shown with their ends, and exchanged while the client goes on calling."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated

import typer

from gateway.auth import client_keys
from gateway.cli.common import (
    AsJson,
    print_table,
    say,
    with_services,
)
from gateway.errors import Kind, Problem
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import OPERATOR

app = typer.Typer(
    help="Public keys of a client. To exchange one without an interruption: `add` the new key, let the"
    " vendor sign with it, `list` until it was used, then `drop` the old one.",
    no_args_is_help=True,
)
Client = Annotated[str, typer.Argument(help="id of the client")]
DAY = 86_400_000_000


@app.command("list")
def list_keys(
    client: Annotated[str, typer.Argument(help="id of a client; else of all")] = "",
    as_json: AsJson = False,
) -> None:
    """Keys, since when and until when each counts, and in how many days it ends."""

    async def run(services: Services) -> list[tuple[str, ...]]:
        now, zone = services.now(), services.settings.zone
        return [
            (
                one.id,
                key.kid,
                key.print,
                moment(key.added, zone).date().isoformat() if key.added else "",
                moment(key.ends - 1, zone).date().isoformat() if key.ends else "",
                str((key.ends - now) // DAY) if key.ends else "",
            )
            for one in await client_keys.own(OPERATOR, services)
            if one.active and client in ("", one.id)
            for key in one.keys
        ]

    found = with_services(run)
    if client and not found:
        raise Problem(Kind.UNKNOWN, "There is no such client.", "client")
    head = ("client", "kid", "thumbprint", "added", "last day", "days left")
    print_table(head, found, as_json)


@app.command()
def add(
    client: Client,
    key: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="public key: a JWK, or a JWKS of one"),
    ],
    ends: Annotated[
        str, typer.Option(help="last day it counts, YYYY-MM-DD; else it has no end")
    ] = "",
) -> None:
    """Add a key beside those the client holds: both count, tokens go on."""

    async def run(services: Services) -> None:
        until = _after(ends, services.settings.zone) if ends else 0
        text = key.read_text("utf-8")
        await client_keys.add_key(client, text, until, OPERATOR, services)

    with_services(run)
    say(f"Added; the keys {client} held before still count.")


@app.command()
def drop(
    client: Client,
    kid: Annotated[str, typer.Argument(help="the key's `kid`, as `list` shows it")],
    at_once: Annotated[
        bool, typer.Option("--at-once", help="end its tokens too, which last minutes otherwise")
    ] = False,
) -> None:
    """Drop one of several keys; the last one is not dropped, `client revoke` ends a client."""
    with_services(lambda services: client_keys.drop_key(client, kid, at_once, OPERATOR, services))
    say(f"Dropped; {client} can sign with the keys that are left.")


def _after(day: str, zone: tzinfo) -> int:
    """The first instant after a day of the county, µs UTC."""
    try:
        after = date.fromisoformat(day) + timedelta(days=1)
    except ValueError:
        raise Problem(Kind.UNPROCESSABLE, "Write a day as YYYY-MM-DD.", "ends") from None
    return int(datetime.combine(after, time(), zone).timestamp()) * 1_000_000
