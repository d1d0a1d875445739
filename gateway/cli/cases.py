"""Commands on golden cases and what they leave untested: case, check, coverage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.cli.common import AsJson, counted, print_json, say, with_services
from gateway.cli.sites import folder_of, loaded
from gateway.errors import Kind, Problem
from gateway.exchange import covering
from gateway.services.caller import OPERATOR
from mappings import cases
from mappings.engine import Coverage, Map


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (case, check, coverage):
        app.command()(command)


def case(
    site: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a delivery")],
    name: Annotated[str, typer.Argument(help="what the case shows, such as oru-bare-range")],
    anonymised: Annotated[
        bool, typer.Option("--anonymised", help="no number in it is anybody's")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="replace a case of that name")] = False,
) -> None:
    """Keep a delivery and what comes of it as a golden case of the site; read both before you keep it.

    Refuses a delivery with a resident ID that could be somebody's: invent one with sequence 000.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise Problem(Kind.MALFORMED, "A case's name is letters, digits, dots and hyphens.", "name")
    site_map = loaded(site)
    raw = file.read_bytes()
    numbers = cases.real_looking_numbers(raw, site_map.source.charset)
    if numbers and not anonymised:
        raise Problem(
            Kind.REFUSED,
            f"{numbers} resident IDs in it could be somebody's; make them up (sequence 000),"
            " or say --anonymised.",
            "file",
        )
    folder = folder_of(site) / "cases"
    if (folder / f"{name}.raw").exists() and not again:
        raise Problem(Kind.CONFLICT, "There is a case of that name; say --again.", "name")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.raw").write_bytes(raw)
    expected = cases.written(site_map, raw)
    (folder / f"{name}.expect.json").write_bytes(expected)
    say(f"{folder / name}.raw and .expect.json: read what is expected before you keep it")


def check(site: str) -> None:
    """Read every golden case of a site in both executors; exit 1 with what is otherwise."""
    site_map = loaded(site)
    found = cases.cases(folder_of(site))
    failed = 0
    for one in found:
        lines = cases.failures(one, site_map)
        if lines:
            failed += 1
            say(f"{one.name}:")
            for line in lines:
                say(f"  {line}")
    say(f"{counted(len(found), 'cases')}, {failed} read otherwise")
    raise typer.Exit(1 if failed else 0)


def coverage(
    site: str,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]…", exists=True, dir_okay=False)
    ] = None,
    days: Annotated[int, typer.Option(help="over kept messages of the last days", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Which rules never fired and which fields nothing reads: in the cases, in files, in traffic.

    Without FILE or --days the golden cases are counted alone; with them, beside.
    """
    site_map = loaded(site)
    tested = site_map.coverage(one.raw for one in cases.cases(folder_of(site)))
    seen = tested
    if days:
        seen = with_services(lambda services: covering.over_traffic(site, days, OPERATOR, services))
    elif files:
        seen = site_map.coverage(file.read_bytes() for file in files)
    if as_json:
        print_json({"cases": _told(tested), "seen": _told(seen)})
        return
    _print(site_map, tested, seen)


def _told(one: Coverage) -> object:
    return msgspec.to_builtins(one)


def _print(site_map: Map, tested: Coverage, seen: Coverage) -> None:
    in_cases = {(use.block, use.rule, use.line): use.fired for use in tested.rules}
    say(f"messages: {seen.messages}, deliveries: {seen.deliveries}, rules: {len(seen.rules)}")
    for use in seen.rules:
        fired = in_cases.get((use.block, use.rule, use.line), 0)
        if use.fired == 0:
            made = f"{use.made} made" if use.made else "its block made nothing"
            say(f"never fired: {use.block} {use.rule}  [{use.line}]  ({made})")
        elif fired == 0 and seen is not tested:
            say(f"in no case: {use.block} {use.rule}  [{use.line}]  ({use.fired}×)")
    for field in seen.unread:
        say(f"no rule reads: {field.address}  ({field.count}×, first {field.place})")
