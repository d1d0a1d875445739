"""Commands on the figures on recognition: show, freeze, export, measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer

from gateway.cli.common import AsJson, console, print_columns, print_json, with_services
from gateway.errors import Kind, Problem
from gateway.exchange import frozen, statistics, statistics_files
from gateway.exchange.statistics_files import DOT
from gateway.recognition.figure_words import COUNTS
from gateway.recognition.figures import COLUMNS
from gateway.recognition.indicators import dictionary
from gateway.recognition.publication import Publication, Side, encode
from gateway.services import Services
from gateway.services.caller import OPERATOR

app = typer.Typer(
    help="The figures on recognition: show, freeze, export, measure.", no_args_is_help=True
)
Month = Annotated[str, typer.Argument(help="YYYY-MM")]
Hospital = Annotated[
    str, typer.Option("--organization", help="a hospital's own; else the county's")
]
Issuer = Annotated[bool, typer.Option("--issuer", help="what others were asked about its results")]
English = Annotated[bool, typer.Option("--english", help="names in English")]


def _side(organization: str, issuer: bool) -> Side:
    return ("issuer" if issuer else "receiver") if organization else "county"


@app.command()
def show(
    month: Month,
    organization: Hospital = "",
    issuer: Issuer = False,
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """The figures of a month as the ledger gives them now; counts below 5 are withheld (·)."""

    async def run(services: Services) -> Publication:
        side = _side(organization, issuer)
        return await statistics.live(month, organization, side, OPERATOR, services)

    of = with_services(run)
    if as_json:
        print_json(orjson.Fragment(encode(of)))
        return
    language = "en" if english else "zh"
    lines = [
        (name, getattr(COUNTS[name], language), str(of.totals.counts.get(name, DOT)))
        for name in COLUMNS
    ]
    for one in dictionary().indicator:
        value = of.value(one.code)
        told = DOT if value.why == "withheld" else value.value or "-"
        parts = f"{value.numerator} / {value.denominator}" if value.denominator else ""
        lines.append((one.code, getattr(one, language), f"{told} {parts}".strip()))
    print_columns(lines)


@app.command()
def freeze(
    month: Month,
    despite: Annotated[
        str,
        typer.Option(help="why, although the log or the ledger does not verify; kept in the log"),
    ] = "",
) -> None:
    """Freeze a month that is over, signed; refused when the log or the ledger does not verify."""
    hash = with_services(lambda services: frozen.freeze(month, OPERATOR, services, despite))
    console.print(f"{month} frozen, SHA-256 {hash}", highlight=False)


@app.command()
def export(
    month: Month,
    file: Annotated[Path, typer.Argument(help="ends in .xlsx, .csv or .json", dir_okay=False)],
    organization: Hospital = "",
    issuer: Issuer = False,
    english: English = False,
    report: Annotated[
        str, typer.Option(help="only what one receiver of reports wants: county-month, upstream …")
    ] = "",
) -> None:
    """Write the figures of a month into a file that also holds the definitions."""
    form = file.suffix.removeprefix(".")
    if form not in {"xlsx", "csv", "json"}:
        raise Problem(Kind.MALFORMED, "The file's name ends in .xlsx, .csv or .json.", file.name)
    _write(form, month, file, organization, issuer, english, report)


@app.command()
def measure(
    month: Month,
    file: Annotated[Path, typer.Argument(help="a FHIR Bundle (JSON)", dir_okay=False)],
    organization: Hospital = "",
    issuer: Issuer = False,
) -> None:
    """Write FHIR Measures and the month's MeasureReports into a Bundle."""
    _write("fhir", month, file, organization, issuer, False)


def _write(
    form: str,
    month: str,
    file: Path,
    organization: str,
    issuer: bool,
    english: bool,
    report: str = "",
) -> None:
    language = "en" if english else "zh"
    side = _side(organization, issuer)
    wanted = msgspec.convert(form, statistics_files.Form)
    data = with_services(
        lambda services: statistics_files.file(
            wanted, month, organization, side, language, OPERATOR, services, report
        )
    )
    file.write_bytes(data)
    console.print(f"{file}: {len(data)} bytes", highlight=False)
