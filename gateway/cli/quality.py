"""Commands on the quality of what sources send: show, scan, expect."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import (
    AsJson,
    English,
    console,
    counted,
    print_columns,
    print_json,
    say,
    with_services,
)
from gateway.errors import Kind, Problem
from gateway.exchange import quality, scanning
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.store import inbox
from mappings.quality import DETECTORS, told

app = typer.Typer(
    help="The quality of what sources send: show, scan, expect.", no_args_is_help=True
)
Days = Annotated[int, typer.Option(min=1, max=3660, help="how many days back, today included")]


@app.command()
def show(
    source: Annotated[
        str, typer.Argument(help="a source, a client that was refused, or `gateway`")
    ],
    days: Days = quality.DAYS,
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """What the detectors counted; exit 1 when one asks for a look."""

    async def run(services: Services) -> quality.Quality:
        declared = {row[0]: row[1] for row in await services.db.read(inbox.SOURCES)}
        (found,) = await quality.of_sources({source: declared.get(source, "")}, days, services)
        if source not in declared and not found.found:
            raise Problem(Kind.UNKNOWN, "No such source is declared here.", source)
        return found

    of = with_services(run)
    if as_json:
        print_json(_as_json(of))
    else:
        _print(of, english)
    raise typer.Exit(1 if of.crossed else 0)


def _print(of: quality.Quality, english: bool) -> None:
    lines = [("", "detector", "seen", "struck", "share")]
    for one in of.found:
        share = f"{one.struck / one.seen:.1%}" if one.seen else "-"
        mark = "!" if one.crossed else ""
        lines.append((mark, one.detector, str(one.seen), str(one.struck), share))
    print_columns(lines)
    read = f"{counted(of.scanned, 'messages')} read, {of.unreadable} unreadable, last of {of.last or 'no day'}"
    console.print(read, highlight=False)
    for one in of.found:
        if one.crossed:
            says = DETECTORS[one.detector]
            means, do = (says.means_en, says.do_en) if english else (says.means_zh, says.do_zh)
            places = ", ".join(
                f"{told(place, 'en' if english else 'zh')}: {n}"
                for place, n in list(one.detail.items())[:5]
            )
            for text in (
                f"! {says.en if english else says.zh} ({places})",
                f"  {means}",
                f"  → {do}",
            ):
                say(text)


def _as_json(of: quality.Quality) -> dict[str, object]:
    return {
        "source": of.source,
        "messages": of.scanned,
        "unreadable": of.unreadable,
        "last": of.last,
        "detectors": [
            {
                "detector": one.detector,
                "seen": one.seen,
                "struck": one.struck,
                "crossed": one.crossed,
                "days": [{"day": d, "seen": s, "struck": n} for d, s, n in one.days],
                "places": dict(one.detail),
            }
            for one in of.found
        ],
    }


@app.command()
def scan(source: str, days: Days = scanning.DAYS, as_json: AsJson = False) -> None:
    """Read the kept messages of the last days again and count; also done every night."""
    done = with_services(lambda services: scanning.scan(source, services, OPERATOR, days))
    if as_json:
        print_json(done._asdict())
        return
    sample = "" if done.whole else " (a sample: there are more)"
    console.print(
        f"{counted(done.messages, 'messages')} since {done.since}{sample}, {done.unreadable} unreadable; "
        f"to look at: {', '.join(done.crossed) or 'nothing'}",
        highlight=False,
    )


@app.command()
def expect(
    source: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
) -> None:
    """Take the hospital's own counts of reports (CSV: day,reason,count); the next scan compares."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            told = [
                (row["day"] or "", row["reason"] or "", int(row["count"] or ""))
                for row in csv.DictReader(lines)
            ]
    except (KeyError, ValueError, csv.Error):
        raise Problem(
            Kind.MALFORMED, "The file has the columns day,reason,count in UTF-8.", file.name
        ) from None
    days = with_services(lambda services: quality.expect(source, told, services))
    console.print(f"{counted(len(days), 'days')} kept", highlight=False)
