"""Commands on the register of entitlements: whose results count where, step by step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.catalogues import (
    ROLE,
    Begins,
    Into,
    Login,
    Why,
    day_of,
    faults_told,
    start_of,
    write,
)
from gateway.cli.common import AsJson, English, counted, print_table, say, with_services
from gateway.cli.proof import PasswordFile, as_person
from gateway.exchange import catalogues, entitlements, register_files
from gateway.recognition.catalogue import FOREVER
from gateway.recognition.catalogue.content import days
from gateway.recognition.catalogue.register import Act, Step, Terms
from gateway.services import Services
from gateway.services.caller import Caller

app = typer.Typer(help="Whose results count where: step by step.", no_args_is_help=True)

Line = Annotated[int, typer.Argument(metavar="NUMBER", help="number of the entitlement")]
Ends = Annotated[str, typer.Option("--until", help="last county day; empty is open")]


@app.command("list")
def list_(
    organization: Annotated[str, typer.Option(help="of this organisation only")] = "",
    as_json: AsJson = False,
) -> None:
    """Who belongs where and whose results count, from when to when."""

    async def run(services: Services) -> list[tuple[str, ...]]:
        held, zone = services.catalogue, services.settings.zone
        rows = [
            (
                str(one.number), one.organization, one.item or one.group, one.scope, one.status,
                *days(one.valid.start, one.valid.end, zone), one.evidence,
            )
            for one in held.entitled
        ] + [
            (
                str(one.number), one.organization, "", one.scope, "member",
                *days(one.valid.start, one.valid.end, zone), "",
            )
            for one in held.members
        ]  # fmt: skip
        return [row for row in rows if organization in ("", row[1])]

    head = (
        "number",
        "organization",
        "item or group",
        "scope",
        "state",
        "from",
        "until",
        "evidence",
    )
    print_table(head, with_services(run), as_json)


@app.command()
def grant(
    organization: Annotated[str, typer.Argument(help="id of the organisation")],
    scope: Annotated[str, typer.Argument(help="code of the scope")],
    reason: Why,
    login: Login,
    item: Annotated[str, typer.Option(help="code of an item")] = "",
    group: Annotated[str, typer.Option(help="or a group of items")] = "",
    basis: Annotated[str, typer.Option(help="such as NCCL-EQA")] = "",
    evidence: Annotated[str, typer.Option(help="certificate or notice")] = "",
    begins: Begins = "",
    ends: Ends = "",
    password_file: PasswordFile = None,
) -> None:
    """Entitle an organisation for an item or a group; with neither it only joins the scope."""

    async def run(services: Services, by: Caller) -> int:
        start = start_of(begins) or services.now()
        terms = Terms(start, _end(ends), scope, item, group, basis, evidence)
        if item or group:
            return await entitlements.grant(organization, terms, reason, by, services)
        return await entitlements.join(organization, terms, reason, by, services)

    say(f"registered as number {as_person(login, password_file, run, ROLE)}")


@app.command()
def suspend(
    number: Line,
    reason: Why,
    login: Login,
    begins: Begins = "",
    ends: Ends = "",
    password_file: PasswordFile = None,
) -> None:
    """Suspend it at once, or for days that may lie in the past (a recall)."""
    _act(Act.SUSPENDED, number, reason, login, password_file, begins, ends)


@app.command()
def restore(number: Line, reason: Why, login: Login, password_file: PasswordFile = None) -> None:
    """Let a suspended entitlement count again, from now on."""
    _act(Act.RESTORED, number, reason, login, password_file)


@app.command()
def revoke(number: Line, reason: Why, login: Login, password_file: PasswordFile = None) -> None:
    """End an entitlement, or a membership, for good."""

    async def look(services: Services) -> tuple[Step, ...]:
        return await entitlements.line_of(number, services)

    member = with_services(look)[0].act is Act.JOINED
    _act(Act.LEFT if member else Act.REVOKED, number, reason, login, password_file)


@app.command("export")
def export_register(into: Into) -> None:
    """Write the register as Excel."""

    async def run(services: Services) -> bytes:
        return catalogues.register_workbook(services)

    write(into, with_services(run))


@app.command("import")
def import_register(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="as `export` writes")],
    reason: Why,
    login: Login,
    apply: Annotated[bool, typer.Option("--apply", help="add it; else it is only shown")] = False,
    password_file: PasswordFile = None,
    english: English = False,
) -> None:
    """Show what an Excel file adds to the register, and with --apply add it, each row a step."""

    async def run(services: Services, by: Caller) -> tuple[int, ...]:
        with faults_told(english):
            found = await register_files.additions(file.read_bytes(), services)
        for one in found:
            terms = one.terms
            first, last = days(terms.start, terms.end, services.settings.zone)
            what = terms.item or terms.group or "member"
            say(f"  + {one.organization} {what} {terms.scope} {first} – {last} {terms.evidence}")
        if not apply:
            say(f"{counted(len(found), 'rows')} would be added; --apply adds them")
            return ()
        return await register_files.take_up(found, reason, by, services)

    if numbers := as_person(login, password_file, run, ROLE):
        say(f"registered as numbers {', '.join(map(str, numbers))}")


def _act(
    what: Act,
    number: int,
    reason: str,
    login: str,
    password_file: Path | None,
    begins: str = "",
    ends: str = "",
) -> None:
    async def run(services: Services, by: Caller) -> int:
        return await entitlements.act(
            what, number, reason, by, services, start=start_of(begins), end=_end(ends)
        )

    step = as_person(login, password_file, run, ROLE)
    say(f"number {number} is {what.value}: step {step} of the register")


def _end(text: str) -> int:
    """The first instant after a county day, µs; for ever for none."""
    return start_of((day_of(text) + timedelta(days=1)).isoformat()) if text else FOREVER
