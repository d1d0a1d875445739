"""Commands on the county's registers: list, show, export, import, approve, refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import (
    AsJson,
    console,
    counted,
    must_be_new,
    print_columns,
    print_json,
    say,
    with_services,
)
from gateway.cli.proof import PasswordFile, as_person
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import register_sheets, registers
from gateway.exchange.registers import Chosen, Draft, Entry, Faults
from gateway.recognition.registers import COLUMNS, Kind, said
from gateway.services import Services
from gateway.services.caller import Caller

app = typer.Typer(
    help="Systems, rights of use, resources, data elements: two persons change a line.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="REGISTER", help="system, right, resource or element")]
Id = Annotated[str, typer.Argument(help="name of the line")]
Login = Annotated[str, typer.Option("--as", help="your login (role commission)", prompt="Login")]


def _kind(name: str) -> Kind:
    for kind in COLUMNS:
        if kind == name:
            return kind
    raise Problem(Trouble.UNKNOWN, f"The registers are {', '.join(COLUMNS)}.", name)


@app.command("list")
def list_(name: Name, as_json: AsJson = False) -> None:
    """The lines that stand; version 0 came with the product."""
    kind = _kind(name)
    found = with_services(lambda services: registers.standing(kind, services))
    if as_json:
        print_json([{"id": one.id, "version": one.version, **one.line} for one in found])
        return
    columns = [column for column in COLUMNS[kind] if column.required][:4]
    lines: list[tuple[str, ...]] = [("id", "version", *(column.name for column in columns))]
    for one in found:
        cells = (said(column, one.line[column.name]) for column in columns)
        lines.append((one.id, str(one.version), *cells))
    print_columns(lines)


@app.command()
def show(name: Name, id: Id, as_json: AsJson = False) -> None:
    """One line whole."""
    kind = _kind(name)
    found = with_services(lambda services: _one(kind, id, services))
    if as_json:
        print_json({"id": found.id, "version": found.version, **found.line})
        return
    for column in COLUMNS[kind]:
        if found.line[column.name]:
            say(f"{column.zh}：{said(column, found.line[column.name])}")


async def _one(kind: Kind, id: str, services: Services) -> Entry:
    for one in await registers.standing(kind, services):
        if one.id == id:
            return one
    raise Problem(Trouble.UNKNOWN, "There is no such line.", id[:80])


@app.command()
def export(
    name: Name,
    into: Annotated[Path, typer.Argument(help="the file to write, .xlsx or .json", dir_okay=False)],
    login: Login,
    password_file: PasswordFile = None,
) -> None:
    """Write a register to an Excel or JSON file; it is logged."""
    kind, form = _kind(name), into.suffix.removeprefix(".")
    if form not in ("xlsx", "json"):
        raise Problem(Trouble.MALFORMED, "The file ends in .xlsx or .json.", str(into))
    must_be_new(into)
    content = as_person(
        login,
        password_file,
        lambda services, by: register_sheets.exported(kind, form, by, services),
        "commission",
    )
    into.write_bytes(content)


@app.command("import")
def import_(
    name: Name,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="an Excel file")],
    login: Login,
    password_file: PasswordFile = None,
) -> None:
    """Keep the lines of an Excel file that differ as drafts; faults are told by row and column."""
    kind = _kind(name)

    async def run(services: Services, by: Caller) -> int:
        lines = register_sheets.read(kind, file.read_bytes())
        return await registers.propose(kind, lines, by, services)

    try:
        kept = as_person(login, password_file, run, "commission")
    except Faults as wrong:
        for one in wrong.faults:
            say(one.text, "red")
        raise typer.Exit(1) from None
    console.print(
        f"drafted: {counted(kept, 'lines')}; another person approves them", highlight=False
    )


@app.command()
def approve(
    name: Name,
    login: Login,
    ids: Annotated[
        list[str] | None, typer.Argument(help="lines; all that wait without any")
    ] = None,
    password_file: PasswordFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="the changes were read; do not ask")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="refuse them instead")] = False,
) -> None:
    """Show what drafts change and approve them, as another person than who made them."""
    kind = _kind(name)

    async def run(services: Services, by: Caller) -> int:
        waiting = await registers.drafts(by, services)
        found = [one for one in waiting if one.kind == kind and (not ids or one.id in ids)]
        for one in found:
            _tell(one)
        if found and not yes:
            typer.confirm("Refuse these?" if refuse else "Approve these?", abort=True)
        chosen = [Chosen(one.kind, one.id, one.version, one.seen) for one in found]
        if chosen:
            await registers.decide(chosen, not refuse, by, services)
        return len(chosen)

    count = as_person(login, password_file, run, "commission")
    word = "refused" if refuse else "approved, in force from the next request on"
    console.print(f"{counted(count, 'lines')} {word}", highlight=False)


def _tell(one: Draft) -> None:
    say(f"{'-' if one.act == 'end' else '~'} {one.id} ({one.made_by})")
    for column, before, after in one.changes:
        say(f"    {column.zh}：{before or '—'} → {after or '—'}")
