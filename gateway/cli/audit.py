"""Commands on the access log: verify, export, prove, key, emergencies."""

from __future__ import annotations

import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.verify import Report
from gateway.cli.common import AsJson, console, print_columns, print_json, say, with_services
from gateway.exchange import archive, findings
from gateway.exchange.sequence import log_key
from gateway.exchange.verification import verify_log
from gateway.records.instant import micros, moment
from gateway.services import Services

app = typer.Typer(help="The access log: verify, export, prove.", no_args_is_help=True)


@app.command()
def verify(
    witnessed: Annotated[
        list[Path] | None, typer.Option(help="a checkpoint somebody else has kept")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--archive", help="an exported log, instead of the store")
    ] = None,
    key: Annotated[str, typer.Option(help="the log's public key text, for an export")] = "",
    as_json: AsJson = False,
) -> None:
    """Check every entry: exit 1 when anything was changed, removed, reordered or cut off."""
    notes = [path.read_bytes() for path in witnessed or []]
    started = time.perf_counter()
    if folder is not None:
        try:
            report = archive.verify_archive(folder, key, notes)
        except ValueError:
            raise typer.BadParameter(
                "give the key text that `audit key` printed", param_hint="--key"
            ) from None
    else:
        report = with_services(lambda services: verify_log(services, notes))
    _tell(report, time.perf_counter() - started, as_json)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def emergencies(
    month: Annotated[
        str, typer.Option(help="YYYY-MM, the county's month; empty is the present one")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Each organisation's share of emergency access among its accesses, and its commonest reason.

    A reason that comes again and again is a missing feed of visits. Counts only.
    """

    async def run(services: Services) -> tuple[findings.Share, ...]:
        zone = services.settings.zone
        today = moment(services.now(), zone)
        try:
            wanted = date.fromisoformat(f"{month}-01") if month else today
        except ValueError:
            raise typer.BadParameter("YYYY-MM", param_hint="--month") from None
        first = datetime(wanted.year, wanted.month, 1, tzinfo=zone)
        after = datetime(wanted.year + wanted.month // 12, wanted.month % 12 + 1, 1, tzinfo=zone)
        return await findings.shares(micros(first), micros(after), None, services)

    rows = [
        {
            "organization": one.organization,
            "accesses": one.accesses,
            "emergencies": one.emergencies,
            "share": f"{one.share:.1%}",
            "reason": one.reason,
            "times": one.times,
        }
        for one in with_services(run)
    ]
    if as_json:
        print_json(rows)
    else:
        print_columns([tuple(map(str, row.values())) for row in rows])


def _tell(report: Report, seconds: float, as_json: bool) -> None:
    newest = report.newest
    if as_json:
        print_json(
            {
                "ok": report.ok,
                "entries": report.entries,
                "signed": report.signed,
                "unsigned": report.unsigned,
                "root": newest.root.hex() if newest else "",
                "findings": [
                    {"fault": f.fault, "entry": f.entry, "zh": f.zh, "en": f.en}
                    for f in report.findings
                ],
                "seconds": round(seconds, 3),
            }
        )
        return
    for finding in report.findings:
        say(f"{finding.zh} / {finding.en}", "red")
    verdict = "every entry is in its place" if report.ok else "THE LOG IS NOT WHOLE"
    console.print(
        f"{verdict}: {report.entries} entries, {report.signed} under a signed checkpoint, "
        f"{seconds:.1f} s",
        highlight=False,
    )


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="a new folder")],
) -> None:
    """Write the log as static files that anybody with the public key can verify."""

    async def run(services: Services) -> str:
        await archive.export(folder, services)
        return log_key(services).text()

    say(with_services(run))


@app.command()
def prove(
    entry: Annotated[int, typer.Argument(help="number of the entry, from 0")],
) -> None:
    """Print one entry's inclusion proof under the newest checkpoint (JSON)."""

    async def run(services: Services) -> object:
        return await archive.prove(entry, services)

    print_json(with_services(run))


@app.command("key")
def key_() -> None:
    """Print what a verifier pins: the log's name and public key."""

    async def run(services: Services) -> str:
        return log_key(services).text()

    say(with_services(run))
