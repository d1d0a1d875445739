"""Commands on folders that a hospital said are one person's: which pairs wait, what the resident says."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.common import AsJson, print_columns, print_json, with_services
from gateway.cli.proof import PasswordFile, as_person
from gateway.exchange import identities
from gateway.identity.systems import RESIDENT_ID
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller

app = typer.Typer(
    help="Folders a hospital said are one person's: which wait for the resident, what they say.",
    no_args_is_help=True,
)
Pair = Annotated[int, typer.Argument(metavar="PAIR", help="its number, as `list` shows it")]
Login = Annotated[str, typer.Option("--as", help="your login (role registrar)", prompt="Login")]


@app.command("list")
def list_(
    organization: Annotated[str, typer.Option(help="only this organisation's")] = "",
    as_json: AsJson = False,
) -> None:
    """Every pair that waits, oldest first; a disputed one shows nothing of either until decided."""

    async def run(services: Services) -> list[dict[str, object]]:
        zone = services.settings.zone
        return [
            {
                "pair": one.id,
                "organization": one.organization,
                "said": moment(one.said, zone).date().isoformat(),
                "state": "disputed" if one.contradicted else "unconfirmed",
            }
            for one in await identities.waiting(organization, services)
        ]

    found = with_services(run)
    if as_json:
        print_json(found)
    else:
        names = ("pair", "organization", "said", "state")
        print_columns([names, *(tuple(map(str, one.values())) for one in found)])


@app.command()
def confirm(pair: Pair, login: Login, password_file: PasswordFile = None) -> None:
    """The resident is here, their card was checked, and both folders are theirs."""
    _answer(pair, "one", login, password_file)


@app.command()
def part(pair: Pair, login: Login, password_file: PasswordFile = None) -> None:
    """The folders are two persons': they are parted, and no message joins them again."""
    _answer(pair, "two", login, password_file)


def _answer(pair: int, answer: identities.Answer, login: str, password_file: PasswordFile) -> None:
    # Asked for, not an argument: what is typed on the command line others on the machine can read.
    number = typer.prompt("Resident ID number on the card")

    async def run(services: Services, by: Caller) -> None:
        await identities.answer(pair, answer, RESIDENT_ID, number, by, services)

    as_person(login, password_file, run, "registrar")
