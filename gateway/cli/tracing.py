"""Commands that tell where something comes from: explain (a record), diff (a map's lines)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.common import AsJson, print_json, say, with_services
from gateway.cli.proof import Login, PasswordFile, as_person
from gateway.cli.sites import loaded
from gateway.errors import Problem
from gateway.exchange import tracing
from gateway.exchange.tracing import Origin, Traced
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.maps import Release
from gateway.settings import read
from mappings.engine import Map, difference
from mappings.engine.explain import Element


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (explain, diff):
        app.command()(command)


def explain(
    record: Annotated[str, typer.Argument(help="id of a record, with or without its type")],
    login: Login,
    path: Annotated[str, typer.Argument(help="only this element, such as valueQuantity")] = "",
    version: Annotated[int, typer.Option(help="an older version, counted from 1")] = 0,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Show for each element of a record the field, rule, functions, table row and release.

    This prints patient data: it is for the IT office of the hospital that sent it, and is logged.
    """
    id = record.rpartition("/")[2]
    traced = as_person(
        login,
        password_file,
        lambda services, by: tracing.trace(id, path, by, services, version),
    )
    if as_json:
        print_json(_told(traced))
        return
    zone = read().zone
    say(f"{traced.type}/{traced.id} version {traced.version}")
    before: Origin | None = None
    for origin, element in traced.elements:
        if origin != before:
            arrived = instant_text(origin.arrived, zone)
            say(f"message {origin.message} of {origin.source}, arrived {arrived},")
            say(f"  read by release {origin.release} ({origin.hash[:12]}) at {origin.place}")
            before = origin
        for line in _lines(element):
            say(f"  {line}")
    for silent in traced.silent if path else ():
        say(f"  {silent.rule}: nothing ({silent.why})  {silent.text}  [{silent.line}]")
        for found in silent.sources:
            say(f"      read    {found.place or found.address}  {found.text!r}")
    for name in traced.untold:
        say(f"  {name}: no message tells of it any more")


def _lines(element: Element) -> list[str]:
    beside = "  (beside)" if element.offered else ""
    lines = [f"{element.path} = {element.value}{beside}"]
    if element.line:
        lines.append(f"    rule    {element.rule} = {element.text}  [{element.line}]")
    lines += [f"    read    {one.place or one.address}  {one.text!r}" for one in element.sources]
    for step in element.steps:
        lines.append(f"    through {step.function} -> {step.answer or 'nothing'}")
        for one in step.looked:
            where = one.line or ("no such row" if not one.known else "in the map")
            lines.append(f"    table   {one.table} {one.code!r}  [{where}]")
    lines += [f"    issue   {issue.severity} {issue.code}" for issue in element.issues]
    return lines


def _told(traced: Traced) -> dict[str, Any]:
    return {
        "type": traced.type,
        "id": traced.id,
        "version": traced.version,
        "elements": [
            {
                "path": element.path,
                "value": element.value,
                "rule": element.text,
                "line": element.line,
                "offered": element.offered,
                "sources": [
                    {"address": one.address, "place": one.place, "text": one.text}
                    for one in element.sources
                ],
                "steps": [
                    {
                        "function": step.function,
                        "answer": step.answer,
                        "rows": [
                            {"table": one.table, "code": one.code, "line": one.line}
                            for one in step.looked
                        ],
                    }
                    for step in element.steps
                ],
                "message": origin.message,
                "version": origin.version,
                "release": origin.release,
            }
            for origin, element in traced.elements
        ],
        "silent": [{"rule": one.rule, "why": one.why, "line": one.line} for one in traced.silent],
        "untold": list(traced.untold),
    }


def diff(
    site: str,
    all: Annotated[bool, typer.Option("--all", help="the whole effective map")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the map in the folder with the layer that owns each line, and against what is in force.

    Lines of the site's own layer only, unless --all.
    """
    site_map = loaded(site)
    running = _running(site)
    edits = difference.edits(running.map, site_map) if running else ()
    if as_json:
        print_json(
            {
                "effective": [
                    {"block": block, "path": one.path, "rule": one.text, "line": one.line}
                    for block, one in _effective(site_map)
                ],
                "release": running.number if running else None,
                "edits": msgspec.to_builtins(edits),
            }
        )
        return
    heading = ""
    for block, one in _effective(site_map):
        if not all and (not one.line or one.line.startswith("base/")):
            continue
        if block != heading:
            say(f"[{block}]")
            heading = block
        say(f"  {one.path} = {one.text}" + (f"  [{one.line}]" if one.line else ""))
    if running is None:
        say("no release of this map is in force")
        return
    say(f"against release {running.number}:")
    for edit in edits:
        if edit.before:
            say(f"  - {edit.block} {edit.path} = {edit.before}")
        if edit.after:
            say(f"  + {edit.block} {edit.path} = {edit.after}  [{edit.line}]")
    for file in difference.files(running.map.contents, site_map.contents):
        say(f"  {file.path}: lines added {file.added}, removed {file.removed}")
        if file.path.endswith(".csv"):
            for line in difference.lines(running.map.contents, site_map.contents, file.path):
                say(f"    {line}")


def _effective(site_map: Map) -> list[tuple[str, difference.Said]]:
    return [
        (f"{part.file.id} {block.name}", one)
        for part in site_map.parts
        for block in part.file.blocks.values()
        for one in difference.effective(block)
    ]


def _running(site: str) -> Release | None:
    """What is in force, if there is a county here and it has this map."""
    if not read().root_key.exists():
        return None

    async def run(services: Services) -> Release | None:
        try:
            return await services.maps.in_force(site)
        except Problem:
            return None

    return with_services(run)
