"""Commands on keys: status, rotate, shred, close the inbox's past days."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from gateway.audit.events import Body, Kind, Outcome
from gateway.cli.common import AsJson, console, counted, print_json, say, with_services
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.store import inbox
from gateway.vault import KeyFile, Tier

app = typer.Typer(help="Keys: where they are, renewing, destroying.", no_args_is_help=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """What keys there are, and what their custody does not protect from."""

    async def run(services: Services) -> dict[str, object]:
        root = KeyFile.open(services.settings.root_key, allow_demo=True)
        prefixes = ("county/", "chart/", "audit/", "intake/", "shred/")
        keyring = services.wrapped_keys
        return {
            "root": root.kind,
            "demo": root.demo,
            "limits": root.limits,
            "public_key": services.vault.public_key().hex(),
            "keys": {p.rstrip("/"): len(await keyring.names(p)) for p in prefixes},
        }

    found = with_services(run)
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            parts = value if isinstance(value, tuple) else (value,)
            if isinstance(value, dict):
                parts = (", ".join(f"{count} {kind}" for kind, count in value.items()),)
            for part in parts:
                say(f"{name}: {part}")


@app.command()
def rotate(
    tier: Annotated[str, typer.Argument(help="general, restricted, sealed, audit or intake")],
) -> None:
    """A new county key; every key under the old one is wrapped again. Data stays as it is."""

    async def run(services: Services) -> int:
        which = {"general": Tier.GENERAL, "restricted": Tier.RESTRICTED, "sealed": Tier.SEALED}
        if tier not in which and tier not in {"audit", "intake"}:
            raise typer.BadParameter("general, restricted, sealed, audit or intake")
        count = await services.vault.rotate(which.get(tier, tier))  # type: ignore[arg-type]
        await _note(services, "rotate", tier, count)
        return count

    console.print(f"{counted(with_services(run), 'keys')} wrapped again")


@app.command()
def shred(
    chart: Annotated[str, typer.Argument(help="chart id, 32 hex")],
    yes: Annotated[bool, typer.Option("--yes", help="I know that this cannot be undone")] = False,
) -> None:
    """Destroy the keys of a chart: its facts become unreadable here and in every backup of the records.

    Messages in a backup from before they were filed open by their day's key: see `close-inbox`.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", chart):
        raise typer.BadParameter("a chart id is 32 characters of 0-9 and a-f")
    if not yes:
        raise typer.BadParameter("say --yes: this cannot be undone")

    async def run(services: Services) -> int:
        count = await services.vault.shred(chart)
        if not count:
            raise Problem(
                Trouble.UNKNOWN, "No keys of such a chart are here; nothing was destroyed."
            )
        await _note(services, "shred", services.log.tag(chart), count)
        return count

    console.print(
        f"{counted(with_services(run), 'keys')} destroyed. A running gateway forgets them within five minutes; "
        "backups of the keyring still hold them until those are destroyed too, and old backups of the "
        "inbox open by the key of the day a message came in until `keys close-inbox` destroys that."
    )


@app.command("close-inbox")
def close_inbox(
    days: Annotated[int, typer.Option(min=2, help="days that stay open, today being the first")],
    yes: Annotated[bool, typer.Option("--yes", help="I know that this cannot be undone")] = False,
) -> None:
    """Destroy the keys that messages of past days came in under, where charts hold all of them.

    A day with a message that no chart holds (it waits, or nobody could be named) keeps its key.
    Afterwards messages in a backup of the records from before they were filed cannot be read:
    keep more days than such a backup is kept.
    """

    async def run(services: Services) -> tuple[int, int]:
        today = moment(services.now(), services.settings.zone).date()
        before = (today - timedelta(days=days - 1)).isoformat()
        owing = {tuple(row) for row in await services.db.read(inbox.UNOWNED_DAYS, before)}
        past = [
            (source, day)
            for source, day in sorted(
                name.split("/")[1:] for name in await services.wrapped_keys.names("intake/")
            )
            if day < before
        ]
        free = [place for place in past if place not in owing]
        if yes and free:
            count = 0
            for source, day in free:
                count += await services.vault.close_intake(source, day)
            await _note(services, "close-inbox", f"before {before}", count)
        return len(free), len(past) - len(free)

    free, kept = with_services(run)
    done = "destroyed" if yes else "can be destroyed (say --yes: this cannot be undone)"
    say(f"{counted(free, 'keys')} {done}")
    if kept:
        say(f"{counted(kept, 'keys')} kept: no chart holds all messages of that source and day")


async def _note(services: Services, act: str, about: str, count: int) -> None:
    at = services.now()
    body = Body(request=f"keys.{at}", details={"act": act, "about": about, "keys": str(count)})
    await services.log.note(Kind.KEY, Outcome.PERMIT, OPERATOR, at, body)
