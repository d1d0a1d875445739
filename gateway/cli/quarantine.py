"""Commands on held messages: list them, and say of lost items what the laboratory says of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gateway.cli.common import AsJson, counted, print_json, say, with_services
from gateway.cli.proof import Login, PasswordFile, as_person
from gateway.exchange import feeds, reviewing
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.settings import read

app = typer.Typer(
    help="Messages that are held; of reports that lost items, what the laboratory says."
)

Id = Annotated[
    str, typer.Argument(metavar="ID", help="of the held message, as the portal shows it")
]


@app.command("list")
def list_(
    login: Annotated[
        str, typer.Option("--as", help="your login (role it); without, every hospital's")
    ] = "",
    password_file: PasswordFile = None,
    english: Annotated[bool, typer.Option("--english", help="sentences in English")] = False,
    as_json: AsJson = False,
) -> None:
    """Messages that are held, oldest first, and what holds each: the place and the reason, no content."""

    async def run(services: Services, by: Caller = OPERATOR) -> tuple[feeds.Held, ...]:
        return await feeds.quarantine("", by, services)

    held = as_person(login, password_file, run) if login else with_services(run)
    if as_json:
        print_json(msgspec.to_builtins(held))
        return
    for one in held:
        say(f"{one.id}  {instant_text(one.arrived, read().zone)[:16]}  {one.source}")
        for issue in one.issues:
            if issue.severity in {"stop", "hold"}:
                say(f"  {issue.code}: {issue.text('en' if english else 'zh')}")


@app.command()
def withdraw(id: Id, login: Login, password_file: PasswordFile = None) -> None:
    """The laboratory took the missing items out: their results become entered-in-error."""
    withdrawn = counted(_review(id, "withdraw", login, password_file), "results")
    say(f"{withdrawn} withdrawn; {id} is settled")


@app.command()
def keep(id: Id, login: Login, password_file: PasswordFile = None) -> None:
    """The missing items are still valid: their results stand."""
    _review(id, "keep", login, password_file)
    say(f"the results stand; {id} is settled")


def _review(id: str, verdict: reviewing.Verdict, login: str, password_file: PasswordFile) -> int:
    async def run(services: Services, by: Caller) -> int:
        return await reviewing.review(id, verdict, by, services)

    return as_person(login, password_file, run)
