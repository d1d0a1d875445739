"""Commands on the recognition catalogue: its versions, drafted by one person and approved by another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.cli.common import (
    AsJson,
    English,
    counted,
    must_be_new,
    print_columns,
    print_json,
    print_table,
    say,
    with_services,
)
from gateway.cli.proof import PasswordFile, as_person
from gateway.errors import Kind, Problem
from gateway.exchange import catalogues
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.catalogue.content import day
from gateway.recognition.catalogue.difference import Change
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.settings import read

app = typer.Typer(
    help="The recognition catalogue: two persons of the commission change it.",
    no_args_is_help=True,
)

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="number of a version")]
Content = Annotated[Path, typer.Argument(exists=True, help="an Excel file, or a folder of CSV")]
Into = Annotated[Path, typer.Argument(dir_okay=False, help="the file to write (.xlsx)")]
Login = Annotated[str, typer.Option("--as", help="your login (role commission)", prompt="Login")]
Why = Annotated[str, typer.Option("--reason", help="why", prompt=True)]
Begins = Annotated[str, typer.Option("--from", help="county day (YYYY-MM-DD); empty is now")]
ROLE = "commission"


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="a version; the one in force without it")] = 0,
    as_json: AsJson = False,
) -> None:
    """The items of a version with their validity and scopes."""

    async def run(services: Services) -> Catalogue:
        if not number:
            return services.catalogue
        return catalogues.content(await catalogues.named(number, services), services)

    held = with_services(run)
    if as_json:
        print_json({"version": held.version, "items": msgspec.to_builtins(held.items)})
        return
    print_columns(
        [("code", "name", "LOINC", "sure", "OP", "IP", "scopes", "listed")]
        + [
            (
                item.code, item.name_zh, " ".join(item.loinc), item.confidence, str(item.op_days),
                str(item.ip_days), " ".join(item.scopes),
                "negative" if item.negative_list else "yes" if item.active else "waits",
            )
            for item in held.items
        ]
    )  # fmt: skip


@app.command()
def versions(as_json: AsJson = False) -> None:
    """All versions: which is in force, who drafted and who approved it."""

    async def run(services: Services) -> list[tuple[str, ...]]:
        zone = services.settings.zone
        return [
            (
                str(row.number), catalogues.state_of(row, services),
                day(row.since, zone) if row.since else "-", row.made_by, row.decided_by or "-",
                row.hash[:12], row.reason or row.note,
            )
            for row in await catalogues.versions(services)
        ]  # fmt: skip

    head = ("number", "state", "since", "drafted by", "decided by", "hash", "why")
    print_table(head, with_services(run), as_json)


@app.command()
def diff(
    one: Number,
    other: Annotated[int, typer.Argument(help="another version")],
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """What differs between two versions."""
    found = with_services(lambda services: catalogues.compare(one, other, services))
    _print_changes(found, english, as_json)


@app.command("import")
def import_(file: Content, english: English = False) -> None:
    """Read a file and say everything that is wrong in it by sheet, row and column; nothing is kept."""
    held = with_services(lambda services: _content(file, services, english))
    say(f"version {held.version}: {len(held.items)} items, {len(held.panels)} panels and orders")


@app.command()
def draft(
    file: Content,
    note: Annotated[str, typer.Option(help="what is changed, and why", prompt=True)],
    login: Login,
    password_file: PasswordFile = None,
    english: English = False,
) -> None:
    """Keep a file as a draft and show what it changes. Another person approves it."""

    async def run(services: Services, by: Caller) -> tuple[int, tuple[Change, ...]]:
        held = await _content(file, services, english)
        number = await catalogues.draft(held, note, by, services)
        row = await catalogues.named(number, services)
        return number, await catalogues.changes(row, services)

    number, found = as_person(login, password_file, run, ROLE)
    say(f"catalogue {number} drafted; another person approves it: catalogue approve {number}")
    _print_changes(found, english, as_json=False)


@app.command()
def approve(
    number: Number,
    reason: Why,
    login: Login,
    password_file: PasswordFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="its changes were read; do not ask")] = False,
    english: English = False,
) -> None:
    """Show what a draft changes and agree to it, as another person than who made it."""

    async def look(services: Services) -> tuple[str, tuple[Change, ...]]:
        row = await catalogues.named(number, services)
        return row.hash, await catalogues.changes(row, services)

    seen, found = with_services(look)
    if not yes:
        _print_changes(found, english, as_json=False)
        typer.confirm("Approve it?", abort=True)
    as_person(
        login,
        password_file,
        lambda services, by: catalogues.approve(number, reason, by, services, seen=seen),
        ROLE,
    )
    say(f"catalogue {number} is approved: catalogue publish {number}")


@app.command()
def publish(
    number: Number, login: Login, since: Begins = "", password_file: PasswordFile = None
) -> None:
    """Put an approved version in force, at once or from a day on, on every process."""
    as_person(
        login,
        password_file,
        lambda services, by: catalogues.publish(number, start_of(since), by, services),
        ROLE,
    )
    say(f"catalogue {number} is published")


@app.command()
def refuse(number: Number, reason: Why, login: Login, password_file: PasswordFile = None) -> None:
    """Turn a version down, or take one's own back."""
    as_person(
        login,
        password_file,
        lambda services, by: catalogues.refuse(number, reason, by, services),
        ROLE,
    )
    say(f"catalogue {number} is refused")


@app.command()
def export(
    into: Into, number: Annotated[int, typer.Option("--version", help="a version")] = 0
) -> None:
    """Write a version as Excel; the one in force without --version."""

    async def run(services: Services) -> bytes:
        held = services.catalogue
        if number:
            held = catalogues.content(await catalogues.named(number, services), services)
        return catalogues.workbook(held, services)

    write(into, with_services(run))


@app.command()
def verify() -> None:
    """Check every signature of versions and of the register, in both databases; exit 1 on findings."""
    found = with_services(catalogues.verify, policy=False)
    say(
        f"signed: {counted(len(found.charters), 'versions')}, {counted(found.steps, 'steps')} of the register"
    )
    for finding in found.findings:
        say(finding, "red")
    raise typer.Exit(1 if found.findings else 0)


@app.command()
def recover() -> None:
    """Put the signed versions back into the records, from the copies in the keyring."""
    numbers = with_services(lambda services: catalogues.recover(OPERATOR, services), policy=False)
    say(f"{len(numbers)} signed versions stand in the records")


async def _content(file: Path, services: Services, english: bool) -> Catalogue:
    with faults_told(english):
        if file.is_dir():
            return catalogues.read_folder(file, services)
        return await catalogues.read_workbook(file.read_bytes(), services)


@contextmanager
def faults_told(english: bool) -> Iterator[None]:
    """Prints every fault of a file that is refused, before the refusal itself."""
    try:
        yield
    except catalogues.FileRefused as refused:
        for fault in refused.faults:
            say(fault.en if english else fault.zh)
        raise


def start_of(text: str) -> int:
    """The first instant of a county day, µs; 0 for none."""
    if not text:
        return 0
    return int(datetime.combine(day_of(text), time(), read().zone).timestamp()) * 1_000_000


def day_of(text: str) -> date:
    """A day of the calendar; Problem UNPROCESSABLE for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(Kind.UNPROCESSABLE, "Write a day as YYYY-MM-DD.") from None


def write(into: Path, body: bytes) -> None:
    """Keep what a command writes out in a new file."""
    must_be_new(into)
    into.write_bytes(body)
    say(f"{into}: {len(body)} bytes")


def _print_changes(found: Sequence[Change], english: bool, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    say("  + more can be recognised   - less   ~ neither, or it depends")
    for one in found:
        say(f"  {one.effect} {one.en if english else one.zh}")
