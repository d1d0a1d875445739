"""Commands on the queue of unmapped codes: list it, propose, approve, decline, ignore, reopen."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.common import AsJson, print_columns, print_json, say
from gateway.cli.proof import Login, PasswordFile, as_person
from gateway.exchange import unmapped
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.settings import read
from mappings.engine.model import Language

app = typer.Typer(help="Codes and units that no table knows: who decides what they mean.")

Line = Annotated[int, typer.Argument(metavar="LINE", help="number of a line in the queue")]
English = Annotated[bool, typer.Option("--english", help="suggestions in English")]


@app.command("list")
def list_(
    login: Login,
    source: Annotated[
        str, typer.Argument(help="of one source; otherwise all of your hospital")
    ] = "",
    ignored: Annotated[bool, typer.Option("--ignored", help="those that need no row")] = False,
    password_file: PasswordFile = None,
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """Codes no table knows, those most messages met first, with suggestions that nobody applies.

    Names and codes are shown to the IT office of the hospital that sent them, hence the sign-in.
    """
    states = ("ignored",) if ignored else unmapped.WAITING

    async def run(services: Services, by: Caller) -> tuple[unmapped.Waiting, ...]:
        return await unmapped.queue(source, by, services, states)

    found = as_person(login, password_file, run)
    language: Language = "en" if english else "zh"
    if as_json:
        print_json([_told(one) for one in found])
        return
    zone = read().zone
    lines: list[tuple[str, ...]] = [
        ("line", "messages", "last", "source", "table", "code", "name", "specimen", "unit", "state")
    ]
    for one in found:
        sent = one.unmapped
        lines.append(
            (
                str(one.id), str(one.messages), instant_text(one.last, zone)[:16], one.source,
                sent.table, sent.code, sent.name, sent.specimen, sent.unit, one.state,
            )
        )  # fmt: skip
    print_columns(lines)
    for one in found:
        for number, best in enumerate(one.suggestions, 1):
            cells = " ".join(f"{name}={value}" for name, value in best.cells.items() if value)
            say(
                f"{one.id} --suggestion {number}  {best.score}  {best.name}  {cells}  {best.text(language)}"
            )
        if one.cells:
            cells = " ".join(f"{name}={value}" for name, value in one.cells.items() if value)
            say(f"{one.id}  {one.proposed_by}: {cells}")


def _told(one: unmapped.Waiting) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(one)
    made["suggestions"] = [
        {
            "name": best.name,
            "score": best.score,
            "cells": dict(best.cells),
            "reasons": {"zh": best.text("zh"), "en": best.text("en")},
        }
        for best in one.suggestions
    ]
    return made


@app.command()
def propose(
    line: Line,
    login: Login,
    cells: Annotated[
        list[str] | None,
        typer.Option("--cell", help="COLUMN=VALUE: loinc, relation, unit, specimen, ucum, target"),
    ] = None,
    suggestion: Annotated[int, typer.Option(help="number of a suggestion", min=0)] = 0,
    knowing: Annotated[bool, typer.Option("--knowing", help="although lint doubts it")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Say what a code means; another person approves it."""
    given = dict(cell.partition("=")[::2] for cell in cells or ())

    async def run(services: Services, by: Caller) -> None:
        row = given
        if suggestion:
            found = (await unmapped.one(line, by, services)).suggestions
            if suggestion > len(found):
                raise typer.BadParameter("there is no suggestion of that number")
            row = {**found[suggestion - 1].cells, **given}
        await unmapped.propose(line, row, by, services, knowing=knowing)

    as_person(login, password_file, run)
    say(f"line {line} proposed; another person approves it: mappings unmapped approve {line}")


@app.command()
def approve(line: Line, login: Login, password_file: PasswordFile = None) -> None:
    """Agree to another person's proposal: a release with the row, and its messages read again."""

    async def run(services: Services, by: Caller) -> unmapped.Approved:
        return await unmapped.approve(line, by, services)

    done = as_person(login, password_file, run)
    say(f"release {done.release} in force; replay {done.replay} reads its messages again")


@app.command()
def decline(line: Line, login: Login, password_file: PasswordFile = None) -> None:
    """Turn a proposal down, or take one back."""

    async def run(services: Services, by: Caller) -> None:
        await unmapped.decline(line, by, services)

    as_person(login, password_file, run)
    say(f"line {line} is open again")


@app.command()
def ignore(
    line: Line,
    login: Login,
    reason: Annotated[str, typer.Option(help="why it needs no row", prompt=True)],
    password_file: PasswordFile = None,
) -> None:
    """This code needs no row."""

    async def run(services: Services, by: Caller) -> None:
        await unmapped.ignore(line, reason, by, services)

    as_person(login, password_file, run)
    say(f"line {line} is ignored")


@app.command()
def reopen(line: Line, login: Login, password_file: PasswordFile = None) -> None:
    """What was ignored waits again."""

    async def run(services: Services, by: Caller) -> None:
        await unmapped.reopen(line, by, services)

    as_person(login, password_file, run)
    say(f"line {line} is open again")
