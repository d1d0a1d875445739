"""Commands on code tables: list those of a map, write one as a FHIR ConceptMap, read one back as CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

import mappings
from gateway.cli.common import English, print_columns, say
from gateway.errors import Kind, Problem
from gateway.settings import read
from mappings.engine import MapError, table_review
from mappings.engine import load as load_map
from mappings.engine import tables as code_tables
from mappings.engine.additions import CannotAdd, declared
from mappings.engine.conceptmap import CannotKeep, export, read_conceptmap
from mappings.engine.release import Map

app = typer.Typer(help="Code tables: list, and ConceptMap in and out.", no_args_is_help=True)

Into = Annotated[Path | None, typer.Option("--into", help="write to this file", dir_okay=False)]


def _map(site: str) -> Map:
    folder = read().sites
    sites = folder if folder != Path() else Path(mappings.__path__[0]) / "sites"
    try:
        return load_map(sites / site, read().canonical)
    except MapError:
        raise Problem(
            Kind.UNPROCESSABLE, f"The map has findings; see `mappings lint {site}`.", site
        ) from None


def _table(site: Map, name: str) -> code_tables.Read:
    """The table as its file has it; pairs written in a rule file become a table of two columns."""
    try:
        at = declared(site.contents, name)
    except CannotAdd as fault:
        raise Problem(Kind.UNKNOWN, f"{fault.en[0].upper()}{fault.en[1:]}.", name) from None
    if at.path:
        found, _ = code_tables.read(at.path, site.contents[at.path])
        return found
    rows = [{"code": code, "target": target} for code, target in at.pairs.items()]
    lines = tuple(code_tables.ReadRow(0, 0, "", row) for row in rows)
    return code_tables.Read((), ("code", "target"), lines)


@app.command("list")
def list_(site: str) -> None:
    """The tables of a map: name, rows in use, where it stands."""
    made = _map(site)
    known = {name: table for part in made.parts for name, table in part.tables.items()}
    lines = [("table", "rows", "file")]
    for name, table in sorted(known.items()):
        at = declared(made.contents, name)
        lines.append((name, str(len(table)), at.path.lstrip("/") or at.file or "base"))
    print_columns(lines)


@app.command("export")
def export_(site: str, table: str, into: Into = None) -> None:
    """Write a table of a map as a FHIR R4 ConceptMap."""
    made = _map(site)
    system = next((part.tables[table].system for part in made.parts if table in part.tables), "")
    try:
        resource = export(_table(made, table), table, system, made.source.base_url)
    except CannotKeep as fault:
        raise Problem(Kind.UNPROCESSABLE, str(fault), table) from None
    _write(orjson.dumps(resource, option=orjson.OPT_INDENT_2) + b"\n", into)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    into: Into = None,
    english: English = False,
) -> None:
    """Write a ConceptMap as a CSV table; what a table cannot keep is refused by its element.

    Says what is doubtful in the table, and then exits 1; the file is written all the same.
    """
    try:
        imported = read_conceptmap(orjson.loads(file.read_bytes()))
    except orjson.JSONDecodeError as fault:
        where = f"line {fault.lineno} column {fault.colno}"
        raise Problem(Kind.MALFORMED, "The file is not JSON.", where) from None
    except CannotKeep as fault:
        raise Problem(Kind.UNPROCESSABLE, fault.en if english else fault.zh, fault.place) from None
    _write(imported.raw, into)
    shown = into or Path(f"{imported.name or 'table'}.csv")
    _, findings = code_tables.read_csv(shown, imported.raw, imported.name, imported.system)
    findings += table_review.review(shown.name, imported.raw)
    for finding in findings:
        print(finding.text("en" if english else "zh"), file=sys.stderr)
    raise typer.Exit(1 if findings else 0)


def _write(raw: bytes, into: Path | None) -> None:
    if into is None:
        sys.stdout.buffer.write(raw)
    else:
        into.write_bytes(raw)
        say(f"{into}: {len(raw)} bytes")
