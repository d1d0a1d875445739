"""Commands on residents' own accounts and on who acts for them: what the desk does, for the operator."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, get_args

import typer

from gateway.cli.common import AsJson, print_columns, print_json, with_services
from gateway.exchange import mandates, own_accounts
from gateway.exchange.patients import charts_of
from gateway.identity.systems import RESIDENT_ID
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import OPERATOR

resident = typer.Typer(help="Residents' own accounts, and who acts for them.", no_args_is_help=True)


@resident.command()
def account(
    number: Annotated[str, typer.Option(prompt=True, help="resident ID number")],
    name: Annotated[str, typer.Option(prompt=True, help="as the card says it")],
    phone: Annotated[str, typer.Option(prompt=True, help="a code is sent there")],
) -> None:
    """Open an account: a code goes to the telephone and is asked for; the password is the resident's."""
    login = with_services(
        lambda services: own_accounts.ask(number, name, phone, OPERATOR, services)
    )
    code = typer.prompt("Code that arrived")
    with_services(lambda services: own_accounts.confirm(login, code, OPERATOR, services))
    typer.echo(login)


@resident.command()
def renew(login: str) -> None:
    """Send a new code for the password to the telephone that was verified."""
    with_services(lambda services: own_accounts.renew(login, OPERATOR, services))


@resident.command()
def close(login: str) -> None:
    """End an account; its owner is signed out."""
    with_services(lambda services: own_accounts.end(login, OPERATOR, services))


@resident.command()
def mandate(
    login: Annotated[str, typer.Argument(help="own account of who will act")],
    scan: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    number: Annotated[
        str, typer.Option(prompt=True, help="resident ID number of whom it is about")
    ],
    ground: Annotated[str, typer.Option(help=" ".join(get_args(mandates.Ground)))],
    document: Annotated[str, typer.Option(help="what the scan is")],
    witness: Annotated[str, typer.Option(help="who has seen the document, too")],
    relation: Annotated[str, typer.Option(help=" ".join(get_args(mandates.Relation)))] = "other",
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    category: Annotated[list[str] | None, typer.Option(help="protected category it opens")] = None,
) -> None:
    """Record who may act for a resident."""
    named = tuple(category or ())
    given = mandates.Given(
        ground=ground,  # type: ignore[arg-type]
        login=login,
        relation=relation,  # type: ignore[arg-type]
        document=document,
        witness=witness,
        scan=scan.read_bytes(),
        until=until.date() if until else None,
        restricted=ground == "mandate" and bool(named),
        categories=named,
    )
    typer.echo(with_services(lambda s: mandates.record(number, given, OPERATOR, s)))


@resident.command()
def mandates_of(
    number: Annotated[str, typer.Option(prompt=True, help="resident ID number")],
    as_json: AsJson = False,
) -> None:
    """Who acts or acted for a resident."""

    async def run(services: Services) -> list[dict[str, str]]:
        return [
            {
                "id": held.id,
                "account": held.login,
                "ground": held.ground,
                "state": held.state,
                "since": moment(held.at, services.settings.zone).isoformat(timespec="seconds"),
            }
            for chart in await charts_of(RESIDENT_ID, number, services)
            for held in await mandates.of_person(chart, services)
        ]

    found = with_services(run)
    if as_json:
        print_json(found)
    else:
        print_columns([tuple(row.values()) for row in found])


@resident.command()
def stop(
    id: str,
    number: Annotated[str, typer.Option(prompt=True, help="resident ID number")],
    why: Annotated[str, typer.Option(help="the document that stops it")],
) -> None:
    """Stop somebody's right to act, at once."""

    async def run(services: Services) -> None:
        for chart in await charts_of(RESIDENT_ID, number, services):
            for held in await mandates.of_person(chart, services):
                if held.id == id:
                    await mandates.stop(held.chart, id, why, OPERATOR, services)

    with_services(run)
