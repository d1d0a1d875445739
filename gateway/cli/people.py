"""Commands on who may come in: client, user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import segno
import typer

from gateway.auth import factors, people, registry
from gateway.cli.common import AsJson, print_columns, print_json, with_services
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.store import clients

client = typer.Typer(help="Systems that may ask for tokens.", no_args_is_help=True)
user = typer.Typer(help="Local accounts of people.", no_args_is_help=True)


@client.command("add")
def add_client(
    id: str,
    organization: Annotated[str, typer.Option()],
    jwks: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="public keys (JSON)")],
    scopes: Annotated[str, typer.Option(help="e.g. 'system/*.rs'")],
    roles: Annotated[str, typer.Option(help="roles it may assert for its staff")] = "",
    name: Annotated[str, typer.Option()] = "",
) -> None:
    """Register a client, or register it anew."""

    async def run(services: Services) -> None:
        await registry.register(
            services,
            id=id,
            organization=organization,
            name=name or id,
            jwks=jwks.read_text("utf-8"),
            scopes=scopes,
            roles=tuple(roles.split()),
            by=OPERATOR,
        )

    with_services(run)


@client.command("list")
def list_clients(as_json: AsJson = False) -> None:
    """All clients."""

    async def run(services: Services) -> list[dict[str, object]]:
        return [
            {
                "id": one.id,
                "organization": one.organization,
                "scopes": one.scopes,
                "roles": " ".join(one.roles),
                "state": "active" if one.active else "revoked",
            }
            for one in await services.db.session(clients.everyone)
        ]

    rows = with_services(run)
    if as_json:
        print_json(rows)
    else:
        print_columns([tuple(map(str, row.values())) for row in rows])


@client.command()
def revoke(id: str) -> None:
    """End its tokens at once."""
    with_services(lambda services: registry.revoke(services, id, by=OPERATOR))


@user.command("add")
def add_user(
    login: str,
    name: Annotated[str, typer.Option(prompt=True)],
    organization: Annotated[str, typer.Option(prompt=True)],
    roles: Annotated[str, typer.Option(help="clinician registrar auditor privacy commission it")],
    licence: Annotated[str, typer.Option(help="a doctor's licence number")] = "",
    password_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="its first line; else it is asked"),
    ] = None,
) -> None:
    """Open an account, or set it anew and sign its owner out."""
    if password_file is None:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = password_file.read_text("utf-8").partition("\n")[0]

    async def run(services: Services) -> None:
        await people.open_account(
            services,
            login=login,
            name=name,
            organization=organization,
            password=password,
            roles=tuple(roles.split()),
            by=OPERATOR,
            licence=licence,
        )

    with_services(run)


@user.command()
def roles(login: str, roles: list[str]) -> None:
    """Give exactly these roles."""
    with_services(lambda services: people.change_roles(services, login, tuple(roles), by=OPERATOR))


@user.command()
def disable(login: str) -> None:
    """Sign the person out and let nobody in by this account."""
    with_services(lambda services: people.disable_account(services, login, by=OPERATOR))


@user.command("second-factor")
def second_factor(
    login: str,
    reset: Annotated[
        bool, typer.Option(help="take it away; its owner sets up another at the portal")
    ] = False,
) -> None:
    """Give an account a second factor and print it once, for its owner alone; or take it away."""
    secret = factors.new_secret()

    async def run(services: Services) -> str:
        if reset:
            await factors.reset(services, login, by=OPERATOR)
            return ""
        await factors.enrol(services, login, secret, by=OPERATOR)
        return factors.address(login, secret, services.settings.county)

    address = with_services(run)
    if address:
        segno.make_qr(address).terminal(compact=True)
        typer.echo(secret)
