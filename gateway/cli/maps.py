"""Commands on the hospitals' maps: lint, try; those on releases are in `releases`."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.highlighter import JSONHighlighter

import mappings
from gateway.cli import releases
from gateway.cli.common import AsJson, console, indented, print_json
from gateway.settings import read
from mappings.engine import Issue, MapError, Mapped
from mappings.engine import lint as lint_map
from mappings.engine import load as load_map
from mappings.engine.model import Language
from mappings.r4 import second

OVER = {"zh": "例外已过期，可以删去", "en": "this exception is over and may go:"}

app = typer.Typer(help="The hospitals' maps and their releases.", no_args_is_help=True)


def _site(name: str) -> Path:
    folder = read().sites
    return (folder if folder != Path() else Path(mappings.__path__[0]) / "sites") / name


@app.command()
def lint(
    site: str,
    english: Annotated[bool, typer.Option("--english", help="findings in English")] = False,
) -> None:
    """Check a site's rule files and tables; exit 1 with file, line and what to do."""
    findings = lint_map(_site(site))
    for finding in findings:
        console.print(finding.text("en" if english else "zh"), highlight=False, markup=False)
    raise typer.Exit(1 if findings else 0)


@app.command("try")
def try_(
    site: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    english: Annotated[bool, typer.Option("--english", help="issues in English")] = False,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="as if it arrived on that day; else today"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a file would become, and what was not understood; nothing is stored.

    Every resource is validated, under the tier of `[validation]` that is in force on the day.
    """
    try:
        site_map = load_map(_site(site), read().canonical)
    except MapError as fault:
        for finding in fault.findings:
            console.print(finding.text("en" if english else "zh"), highlight=False, markup=False)
        raise typer.Exit(1) from None
    arrived = (day or datetime.now(site_map.source.zone)).date()
    gate = site_map.gate(everything=True)
    reading = site_map.read(file.read_bytes(), _plain_id, origin="try", gate=gate, day=arrived)
    resources = [one for message in reading.messages for one in message.resources]
    issues = [
        *reading.issues,
        *(i for m in reading.messages for i in m.issues),
        *(i for one in resources for i in _second_opinion(one)),
    ]
    if as_json:
        print_json(
            {
                "resources": [orjson.Fragment(one.text()) for one in resources],
                "issues": [
                    {"severity": i.severity, "code": i.code, "place": i.place, "rule": i.rule}
                    for i in issues
                ],
                "validation": site_map.validation.tier_on(arrived),
            }
        )
    else:
        for one in resources:
            console.rule(f"{one.type}  {one.place}")
            console.print(JSONHighlighter()(indented(one.text()).decode()))
        for issue in issues:
            console.print(
                f"{issue.severity}: {issue.text('en' if english else 'zh')}",
                highlight=False,
                markup=False,
            )
        language: Language = "en" if english else "zh"
        console.print(site_map.validation.text(arrived, language), highlight=False, markup=False)
        for ended in site_map.validation.over(arrived):
            line = f"{ended.line}: {OVER[language]} {ended.path}"
            console.print(line, highlight=False, markup=False)
        console.print(f"{len(resources)} resources, {len(issues)} issues")
    stopped = any(issue.severity in {"stop", "hold"} for issue in issues)
    raise typer.Exit(1 if stopped else 0)


def _second_opinion(one: Mapped) -> list[Issue]:
    """Where other people's models see a fault that ours did not."""
    if one.mode == "patch":
        return []
    place = f"{one.place} → " if one.place else ""
    return [
        Issue("note", "r4-second-opinion", place + path)
        for path in second.faults(one.text(), one.type)
    ]


def _plain_id(space: str, type: str, key: object) -> str:
    """Ids for a trial: stable, but not the county's."""
    return blake2b(repr((space, type, tuple(key))).encode(), digest_size=16).hexdigest()  # type: ignore[arg-type]


releases.add_to(app)
