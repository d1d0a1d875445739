"""Commands on the county as a whole: init, migrate, check-config, backup, restore."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import AsJson, console, counted, print_json, say, with_services
from gateway.errors import Kind, Problem
from gateway.exchange import releases, safety, sources, standing_consents
from gateway.portal import assets
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.settings import Settings, describe, read
from gateway.store import copies
from gateway.store.migrate import Which
from gateway.store.migrate import migrate as migrate_one
from gateway.vault import KeyFile, VaultError


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (init, migrate, backup, restore):
        app.command()(command)
    app.command("check-config")(check_config)


def init() -> None:
    """Make a new county: root key, both databases, the register's sources."""
    settings = read()
    if settings.root_key.exists():
        raise Problem(Kind.CONFLICT, f"{settings.root_key} exists; this county is made already.")
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _migrate(settings)
    KeyFile.create(settings.root_key, demo=settings.demo)

    async def declare(services: Services) -> str:
        await sources.declare(services)
        return services.policy.name

    founded = with_services(declare, settings)
    console.print(f"Consent policy: {founded}; two privacy officers change it, see `policy`.")
    console.print(f"Root key: {settings.root_key} - back it up first, apart from the databases.")


def migrate() -> None:
    """Bring both databases to the tables this version wants; maps not in force yet are adopted, and
    consents recorded before there were sums over them get theirs."""
    settings = read()
    _migrate(settings)
    if settings.root_key.exists():

        async def adopt(services: Services) -> None:
            failed = await releases.adopt_all(OPERATOR, services)
            for site in failed:
                console.print(f"The map {site} has findings: see `mappings lint {site}`.")
            _, wrong = await standing_consents.adopt(OPERATOR, services)
            if wrong:
                console.print(
                    f"Not as they were recorded: {counted(wrong, 'consents')}; their charts stay closed."
                )

        with_services(adopt, settings)


def _migrate(settings: Settings) -> None:
    async def both() -> None:
        await migrate_one(settings.database_url, "records")
        await migrate_one(settings.keyring_url, "keyring")

    asyncio.run(both())


def check_config(as_json: AsJson = False) -> None:
    """Print what is in force, masked, and what is unsafe; exit 1 when serving would be refused."""
    settings = read()
    findings = safety.findings(settings)
    limits: tuple[str, ...] = ()
    with contextlib.suppress(VaultError):  # an unusable key is among the findings
        limits = KeyFile.open(settings.root_key, allow_demo=True).limits
    if as_json:
        print_json(
            {
                "settings": {name: value for name, value, _ in describe(settings)},
                "refusals": findings,
                "key_custody": limits,
            }
        )
    else:
        for name, value, says in describe(settings):
            say(f"{name}={value}", "bold")
            say(f"    {says}")
        for limit in limits:
            say(f"key file: {limit}")
        if "htmx" not in assets.read():
            say(assets.MISSING)
        for finding in findings:
            say(f"REFUSED: {finding}", "red")
    raise typer.Exit(1 if findings else 0)


def backup(
    folder: Annotated[Path, typer.Argument(help="where the records and the log go")],
    keyring: Annotated[Path, typer.Option(help="where the keyring goes: another medium")],
) -> None:
    """Copy the records and, apart from them, the keyring, while the gateway runs."""
    settings = read()
    if keyring.resolve() == folder.resolve():
        raise typer.BadParameter("keep the keyring's backup apart from the records'")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    checkpoint = settings.data / "checkpoint"
    made = []
    # Each is at most as new as what follows: a checkpoint proves entries that the records hold, and a
    # key is kept before what it seals.
    if checkpoint.exists():
        copies.keep(checkpoint, folder / "checkpoint")
        made.append(folder / "checkpoint")
    made += asyncio.run(copies.backup(settings.database_url, folder, "records"))
    made += asyncio.run(copies.backup(settings.keyring_url, keyring, "keyring"))
    for path in made:
        console.print(str(path), highlight=False)


def restore(
    folder: Annotated[Path, typer.Argument(help="the records' backup")],
    keyring: Annotated[Path, typer.Option(help="the keyring's backup")],
) -> None:
    """Put a backup in place; refuses while databases stand where it would go."""
    settings = read()
    parts: tuple[tuple[str, Path, Which], ...] = (
        (settings.database_url, folder, "records"),
        (settings.keyring_url, keyring, "keyring"),
    )
    for url, place, which in parts:
        asyncio.run(copies.refuse_restore(url, place, which))
    for url, place, which in parts:
        asyncio.run(copies.restore(url, place, which))
    standing = settings.data / "checkpoint"
    # One that stands here is newer: against it `audit verify` shows what the backup lacks.
    if (folder / "checkpoint").exists() and not standing.exists():
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        copies.keep(folder / "checkpoint", standing)
    console.print("Restored. Run `health-gateway audit verify` before serving.")
