"""Commands on the releases of a map: propose, shadow, approve, refuse, rollback, releases, show, replay."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.common import AsJson, counted, print_columns, print_json, say, with_services
from gateway.cli.proof import Login, PasswordFile, as_person
from gateway.errors import Kind, Problem
from gateway.exchange import comparing, kept, receive, releases, replays
from gateway.exchange.comparing import Report
from gateway.jobs.worker import Worker
from gateway.records.instant import instant_text, micros, moment
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.services.maps import unpack
from gateway.settings import read
from gateway.store import inbox
from gateway.store import maps as rows

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="number of a release")]
Days = Annotated[int, typer.Option(help="how many days of kept messages", min=1)]
Most = Annotated[int, typer.Option(help="messages of a source at most, the newest", min=1)]
Rate = Annotated[int, typer.Option(help="messages a second at most", min=1)]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command("releases")(releases_)
    for command in (show, propose, shadow, approve, refuse, rollback, replay):
        app.command()(command)


def releases_(site: str, as_json: AsJson = False) -> None:
    """All releases of a site's map: which is in force, who proposed and who approved it."""
    found = with_services(lambda services: releases.of_site(site, services))
    if as_json:
        print_json([_told(row) for row in found])
        return
    zone = read().zone
    lines: list[tuple[str, ...]] = [
        ("number", "state", "since", "proposed by", "decided by", "hash", "note")
    ]
    for row in found:
        since = instant_text(row.since, zone) if row.since else "-"
        lines.append(
            (
                str(row.number), row.state, since, row.proposed_by, row.decided_by or "-",
                row.hash[:12], row.note,
            )
        )  # fmt: skip
    print_columns(lines)


def _told(row: rows.ReleaseRow) -> dict[str, Any]:
    told = row._asdict()
    told["report"] = msgspec.to_builtins(comparing.decode(row.report))
    return told


def show(
    number: Number,
    into: Annotated[
        Path | None, typer.Option(help="an empty folder to write its files into", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a release and the report of its shadow run; --into writes the site's files out."""

    async def run(services: Services) -> tuple[rows.ReleaseRow, dict[str, bytes]]:
        row = await releases.named(number, services)
        [(_, _, files)] = await services.db.read(rows.FILES, number)
        return row, unpack(files)

    row, files = with_services(run)
    if into is not None:
        _write_out(files, into)
    if as_json:
        print_json({**_told(row), "files": {path: len(raw) for path, raw in files.items()}})
        return
    say(f"release {row.number} of {row.site}: {row.state}")
    say(f"  {row.note}")
    say(f"  proposed by {row.proposed_by}, decided by {row.decided_by or '-'}")
    print_report(comparing.decode(row.report))


def _write_out(files: dict[str, bytes], into: Path) -> None:
    """The site's own files; the shipped ones come with the program."""
    if into.exists() and any(into.iterdir()):
        raise Problem(Kind.CONFLICT, "The folder is not empty.", str(into))
    for path, raw in sorted(files.items()):
        if not path.startswith("/"):
            target = into / PurePosixPath(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)


def propose(
    site: str,
    note: Annotated[str, typer.Option(help="what was changed, and why", prompt=True)],
    login: Login,
    password_file: PasswordFile = None,
    days: Days = 7,
    most: Most = kept.MOST,
    rate: Rate = comparing.RATE,
    as_json: AsJson = False,
) -> None:
    """Keep the map in the sites folder as a proposal and run it beside the one in force.

    Lint and the golden cases must be clean. Another person then reads the report and approves.
    """

    async def run(services: Services, by: Caller) -> tuple[int, Report]:
        number = await releases.propose(site, note, by, services)
        row = await releases.named(number, services)
        report = await comparing.shadow(row, by, services, days=days, most=most, rate=rate)
        return number, report

    number, report = as_person(login, password_file, run)
    if as_json:
        print_json({"release": number, "report": msgspec.to_builtins(report)})
        return
    say(f"release {number} proposed; another person approves it: mappings approve {number}")
    print_report(report)


def shadow(
    number: Number,
    login: Login,
    password_file: PasswordFile = None,
    days: Days = 7,
    most: Most = kept.MOST,
    rate: Rate = comparing.RATE,
    as_json: AsJson = False,
) -> None:
    """Run a proposal beside the release in force over kept messages once more."""

    async def run(services: Services, by: Caller) -> Report:
        row = await releases.named(number, services)
        await releases.must_look_after(row.site, by, services)
        return await comparing.shadow(row, by, services, days=days, most=most, rate=rate)

    report = as_person(login, password_file, run)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        print_report(report)


def approve(number: Number, login: Login, password_file: PasswordFile = None) -> None:
    """Put a proposal in force, as another person than the one who made it."""

    async def run(services: Services, by: Caller) -> rows.ReleaseRow:
        row = await releases.named(number, services)
        if row.state != "proposed":
            raise Problem(Kind.CONFLICT, f"Release {number} is {row.state}.", "release")
        await releases.approve(number, by, services)
        return await releases.named(number, services)

    row = as_person(login, password_file, run)
    say(f"release {number} of {row.site} is in force from the next message on")


def refuse(number: Number, login: Login, password_file: PasswordFile = None) -> None:
    """Turn a proposal down."""
    as_person(login, password_file, lambda services, by: releases.refuse(number, by, services))
    say(f"release {number} is refused")


def rollback(number: Number, login: Login, password_file: PasswordFile = None) -> None:
    """Bring an older release back: it is approved again, by another person than its author."""

    async def run(services: Services, by: Caller) -> rows.ReleaseRow:
        row = await releases.named(number, services)
        if row.state != "retired":
            raise Problem(Kind.CONFLICT, f"Release {number} is {row.state}.", "release")
        await releases.approve(number, by, services)
        return row

    row = as_person(login, password_file, run)
    say(f"release {number} of {row.site} is in force again from the next message on")


# Replays.


def replay(
    source: Annotated[str, typer.Argument(help="whose kept messages are read again")],
    everything: Annotated[
        bool, typer.Option("--all", help="filed messages too, not only quarantined ones")
    ] = False,
    since: Annotated[
        datetime | None, typer.Option("--from", help="arrived at or after", formats=["%Y-%m-%d"])
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="arrived before", formats=["%Y-%m-%d"])
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="message type, such as 'ORU^R01'")] = "",
    issue: Annotated[str, typer.Option(help="code of an issue they had")] = "",
    release: Annotated[int, typer.Option(help="with --dry-run: another than in force")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
    resume: Annotated[int, typer.Option(help="number of a replay to go on with")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read kept messages again with the release in force; only differences are written.

    Without options: what is in quarantine. With any: what was filed as well, as new versions of the
    same records.
    """
    chosen = everything or since or until or kind or issue or release or dry_run or resume
    if not chosen:
        _quarantined(source)
        return
    zone = read().zone
    choice = replays.Choice(
        since=micros(since.replace(tzinfo=zone)) if since else 0,
        until=micros(until.replace(tzinfo=zone)) if until else 0,
        kind=kind,
        issue=issue,
    )

    async def run(services: Services) -> rows.ReplayRow:
        number = resume or await replays.start(
            source, OPERATOR, services, choice, release=release, dry=dry_run
        )
        await replays.set_state(number, "running", services)
        return await _finish(number, services)

    row = with_services(run)
    tally = replays.tally_of(row)
    if as_json:
        print_json({**row._asdict(), "report": msgspec.to_builtins(tally)})
        return
    would = "would be " if row.dry else ""
    say(f"replay {row.id}: {counted(row.done, 'messages')} read, {tally.changed} of them otherwise")
    for type, count in tally.types.items():
        say(f"  {count} new versions of {type} {would}written")
    for what, count in (
        ("not chosen or waiting to be filed", tally.passed),
        ("whose key was destroyed", tally.unreadable),
        ("this program failed on: see the alarms", tally.failed),
    ):
        if count:
            say(f"  {count} {what}")
    raise typer.Exit(1 if tally.failed else 0)


async def _finish(number: int, services: Services) -> rows.ReplayRow:
    """Work on a replay, beside whoever else does, until it is done."""
    worker = Worker(services)
    while (row := await replays.named(number, services)).state == "running":
        await worker.drain()  # what waits to be filed goes first
        if not await worker.replay_some():
            await asyncio.sleep(0.1)
    return row


def _quarantined(source: str) -> None:
    async def run(services: Services) -> tuple[int, int]:
        if not await services.db.read(inbox.SOURCE, source):
            raise Problem(Kind.UNKNOWN, "No such source is declared here.", source)
        found = await services.db.read(inbox.INBOX_IDS, source, "quarantined")
        for row in found:
            await receive.replay(row[0], services)
        await Worker(services).drain()
        still = await services.db.read(inbox.INBOX_IDS, source, "quarantined")
        return len(found), len(still)

    before, after = with_services(run)
    say(f"{before} replayed, {after} still in quarantine")


# Showing.


def print_report(report: Report) -> None:
    """A report as the approver reads it."""
    for file in report.files:
        say(f"  {file.path}: lines added {file.added}, removed {file.removed}")
    if report.failing:
        say(f"  golden cases that would read otherwise: {', '.join(report.failing)}")
    if report.shadow is None:
        say("  no shadow run yet")
        return
    run, found = report.shadow, report.shadow.found
    cut = " (the newest; there were more)" if run.cut else ""
    at = moment(run.at).isoformat(timespec="seconds")
    say(
        f"  shadow run of {at} over {counted(run.days, 'days')}: {counted(found.messages, 'messages')}{cut},"
    )
    say(f"  {found.changed} would be read otherwise than under release {report.against}")
    if run.unreadable:
        say(f"  not opened, their key was destroyed: {counted(run.unreadable, 'messages')}")
    for rule in found.rules:
        say(f"  {rule.block} {rule.element}: {rule.count} changed  [{rule.after or rule.before}]")
        for turn in rule.turns:
            say(f"      {turn.count}  {turn.was} -> {turn.now}")
    for word, counts in (("appear", found.appeared), ("disappear", found.disappeared)):
        for block, count in counts.items():
            say(f"  {count} {block} {word}")
    for issue in found.issues:
        say(f"  issue {issue.severity} {issue.code}: {issue.before} before, {issue.after} after")
